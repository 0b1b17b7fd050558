# SPDX-License-Identifier: Apache-2.0
"""A VPC seen from the host: its namespace, the guests' taps and what passes through them."""
import json
import os
import subprocess
import sys

from cloud import SSH_OPTIONS
from conftest import run, wait_for

# Prints "ready", then a line for each IPv4 packet of the link.
SNIFFER = """
import socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind((sys.argv[1], 0))
print("ready", flush=True)
while True:
    frame, (link, kind, direction, *_) = s.recvfrom(65535)
    if frame[12:14] != b"\\x08\\x00":
        continue
    ip = frame[14:]
    length = struct.unpack("!H", ip[2:4])[0]
    head = (ip[0] & 15) * 4
    payload, ports = ip[head:length], (0, 0)
    if ip[9] == 6:
        ports = struct.unpack("!HH", payload[:4])
        payload = payload[(payload[12] >> 4) * 4:]
    elif ip[9] == 17:
        ports = struct.unpack("!HH", payload[:4])
        payload = payload[8:]
    print(socket.inet_ntoa(ip[12:16]), socket.inet_ntoa(ip[16:20]), ip[9], ip[8], *ports,
          len(payload), flush=True)
"""


class Packet:
    def __init__(self, line):
        self.source, self.target = line.split()[:2]
        self.protocol, self.ttl, self.source_port, self.target_port, self.size = map(int, line.split()[2:])

    def __repr__(self):
        return "%s:%d > %s:%d protocol %d ttl %d size %d" % (
            self.source, self.source_port, self.target, self.target_port, self.protocol, self.ttl, self.size)


class Sniffer:
    """with Sniffer(namespace, link) as sniffer: ...; sniffer.packets() is what passed so far."""

    def __init__(self, namespace, link):
        self.command = ["ip", "netns", "exec", namespace, sys.executable, "-c", SNIFFER, link]

    def __enter__(self):
        self.file = os.path.join(os.environ["TMPDIR"], "packets.%d.%d" % (os.getpid(), id(self)))
        with open(self.file, "wb") as file:
            self.process = subprocess.Popen(self.command, stdout=file)
        wait_for(lambda: "ready" in open(self.file).read(), 10, "sniffer")
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()
        os.unlink(self.file)

    def packets(self):
        with open(self.file) as file:
            return [Packet(line) for line in file.read().rpartition("\n")[0].split("\n")[1:]]


def namespace():
    """That of the only VPC which has guests here."""
    names = [line.split()[0] for line in run(["ip", "netns", "list"]).stdout.splitlines()
             if line.startswith("virga-")]
    assert len(names) == 1, names
    return names[0]


def tap(cloud, instance):
    """The link of the instance's first interface, in namespace()."""
    digits = cloud.describe(instance)["NetworkInterfaces"][0]["NetworkInterfaceId"][-10:]
    for link in json.loads(run(["ip", "-n", namespace(), "-j", "link"]).stdout):
        if link["ifname"].startswith("v") and link["ifname"].endswith(digits):
            return link["ifname"]
    raise AssertionError("no tap of " + instance)


def inside(cloud, instance, command, check=True, deadline_s=30):
    """Runs a command in a guest by way of the VPC's namespace, where no security group filters;
    what it wrote, or the CompletedProcess if 'check' is False."""
    address = cloud.describe(instance)["PrivateIpAddress"]
    done = run(["ip", "netns", "exec", namespace(), "ssh"] + SSH_OPTIONS +
               ["-i", cloud.key, "root@" + address, command], check=check, deadline_s=deadline_s)
    return done.stdout if check else done


def wait_inside(cloud, instance, deadline_s=120):
    wait_for(lambda: inside(cloud, instance, "true", check=False).returncode == 0, deadline_s,
             "login on " + instance, 0.5)
