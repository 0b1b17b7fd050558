# SPDX-License-Identifier: Apache-2.0
"""Runs in a host of test_host.py: brings up libvirt with a guest, says so, and waits to be killed."""
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

from conftest import run, wait_for
from libvirt import Libvirt

CONSOLE = "/var/log/libvirt/qemu/micro-console.log"
DOMAIN = """
<domain type='qemu'>
  <name>micro</name>
  <memory unit='MiB'>128</memory>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <features><acpi/></features>
  <cpu mode='custom'><model>qemu64</model></cpu>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='/var/lib/libvirt/images/micro.qcow2'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <serial type='file'><source path='%s' append='on'/></serial>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
  </devices>
</domain>
"""


def console():
    if not os.path.exists(CONSOLE):
        return ""
    with open(CONSOLE, errors="replace") as file:
        return file.read()


print("namespace=%d" % os.stat("/proc/self/ns/net").st_ino, flush=True)
print("scratch=%s" % os.path.dirname(os.environ["TMPDIR"]), flush=True)
run(["ip", "netns", "add", "vpc"])
run(["dnsmasq", "--conf-file=/dev/null", "--port=5353", "--listen-address=127.0.0.1",
     "--bind-interfaces", "--pid-file=/run/dnsmasq.pid"])
run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", sys.argv[1],
     "/var/lib/libvirt/images/micro.qcow2"])
with Libvirt() as libvirt, tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
    file.write(DOMAIN % CONSOLE)
    file.flush()
    libvirt.virsh("create", file.name)
    users = run(["ps", "-C", "qemu-system-x86_64", "-o", "user=", "--no-headers"]).stdout.split()
    assert users == ["libvirt+"] or users == ["libvirt-qemu"], users
    wait_for(lambda: "login ready (no metadata)" in console(), 240, "login on the console")
    print("ready=", flush=True)
    wait_for(lambda: False, 600, "end")
