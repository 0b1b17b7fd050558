# SPDX-License-Identifier: Apache-2.0
"""libvirt's daemons in a simulated host, for tests that need them without Virga."""
import subprocess

from conftest import run, wait_for


class Libvirt:
    """virtlogd and libvirtd; a context manager.  Guests outlive it, as they do a crash of libvirtd."""

    def __init__(self):
        self.daemons = []

    def __enter__(self):
        self.daemons.append(subprocess.Popen(["virtlogd"], stdin=subprocess.DEVNULL))
        self.daemons.append(subprocess.Popen(["libvirtd"], stdin=subprocess.DEVNULL))
        wait_for(self.answers, 60, "answer of libvirtd")
        return self

    def answers(self):
        for daemon in self.daemons:
            assert daemon.poll() is None, "%s ended with %d" % (daemon.args[0], daemon.returncode)
        return run(["virsh", "-q", "-c", "qemu:///system", "uri"], check=False).returncode == 0

    def __exit__(self, *exception):
        for daemon in reversed(self.daemons):
            daemon.terminate()
            daemon.wait(30)

    @staticmethod
    def virsh(*arguments, deadline_s=60):
        return run(["virsh", "-q", "-c", "qemu:///system"] + list(arguments),
                   deadline_s=deadline_s).stdout
