# SPDX-License-Identifier: Apache-2.0
"""A guest under bare QEMU with user networking: for tests of images, not of the cloud."""
import json
import os
import re
import socket
import subprocess
import time

from conftest import run, wait_for

BOOT_S = 240  # an emulated processor on a busy machine; the micro image takes about 10 s


class Guest:
    """Boots an overlay of 'image'.  In the guest, 169.254.169.254 is this machine's 127.0.0.1; its
    ssh is on 'ssh_port' of 127.0.0.1.  Use as a context manager: the end kills it."""

    def __init__(self, image, directory, disk=None, memory_mib=128, uuid=None, network=True,
                 ssh_port=2222):
        self.directory = directory
        self.ssh_port = ssh_port
        self.key = os.path.join(directory, "key")
        self.disk = os.path.join(directory, "disk.qcow2")
        self.console_path = os.path.join(directory, "console")
        self.qmp_path = os.path.join(directory, "qmp")
        if not os.path.exists(self.key):
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", self.key])
        if not os.path.exists(self.disk):
            run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", image, self.disk]
                + ([disk] if disk else []))
        self.arguments = [
            "qemu-system-x86_64", "-machine", "q35,accel=tcg", "-m", str(memory_mib),
            "-display", "none", "-nodefaults", "-no-user-config",
            "-serial", "file:" + self.console_path,
            "-qmp", "unix:" + self.qmp_path + ",server=on,wait=off",
            "-drive", "file=" + self.disk + ",if=none,id=root,cache=unsafe",
            "-device", "virtio-blk-pci,drive=root,serial=vol0123456789abcdef0",
            "-device", "virtio-rng-pci"]
        if uuid:
            self.arguments += ["-uuid", uuid, "-smbios", "type=1,uuid=%s,serial=%s" % (uuid, uuid)]
        if network:
            self.arguments += [
                "-netdev", "user,id=net,net=169.254.0.0/16,dhcpstart=169.254.1.10,"
                "host=169.254.169.254,hostfwd=tcp:127.0.0.1:%d-:22" % ssh_port,
                "-device", "virtio-net-pci,netdev=net,romfile="]
        self.process = None

    @property
    def public_key(self):
        with open(self.key + ".pub") as file:
            return file.read().strip()

    def start(self):
        for path in (self.console_path, self.qmp_path):
            if os.path.exists(path):
                os.unlink(path)
        self.process = subprocess.Popen(self.arguments, stdin=subprocess.DEVNULL)

    def console(self):
        try:
            with open(self.console_path, errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def wait_console(self, pattern, deadline_s=BOOT_S):
        """Waits until a line of the console matches; returns the match."""
        def look():
            if self.process.poll() is not None and not re.search(pattern, self.console()):
                raise AssertionError("QEMU ended with %d; the console ends with:\n%s"
                                     % (self.process.returncode, self.console()[-2000:]))
            return re.search(pattern, self.console())
        try:
            return wait_for(look, deadline_s, "\"%s\" on the console" % pattern)
        except TimeoutError as error:
            raise TimeoutError("%s; the console ends with:\n%s"
                               % (error, self.console()[-2000:])) from None

    def ssh(self, command, user="root", deadline_s=60):
        """Runs a command in the guest and returns what it prints."""
        return run(["ssh", "-q", "-i", self.key, "-p", str(self.ssh_port), "-F", "none",
                    "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                    "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "ConnectTimeout=30",
                    user + "@127.0.0.1", command], deadline_s=deadline_s).stdout

    def qmp(self, command, **arguments):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(self.qmp_path)
            stream = connection.makefile("rw")
            stream.readline()
            for name, values in (("qmp_capabilities", {}), (command, arguments)):
                stream.write(json.dumps({"execute": name, "arguments": values}) + "\n")
                stream.flush()
                answer = json.loads(stream.readline())
                while "event" in answer:
                    answer = json.loads(stream.readline())
                assert "return" in answer, "%s: %s" % (name, answer)
            return answer["return"]

    def power_off(self, deadline_s=120):
        """Presses the power button until QEMU ends, and returns its exit status.  A guest that is
        still coming up may not see the first time."""
        end = time.monotonic() + deadline_s
        while True:
            try:
                self.qmp("system_powerdown")
            except (OSError, ValueError):
                pass  # QEMU is ending
            try:
                return self.process.wait(5)
            except subprocess.TimeoutExpired:
                assert time.monotonic() < end, \
                    "the guest does not end; its console ends with:\n" + self.console()[-2000:]

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        self.kill()
