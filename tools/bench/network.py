# SPDX-License-Identifier: Apache-2.0
"""The network's benchmarks: guests' packets through the kernel driver against a plain bridge.

Runs itself once more in namespaces of its own, where guests are namespaces and veth pairs stand for their taps
on both sides.  Nothing here needs a virtual machine or a database."""
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))

TRANSFER_S, CONNECTIONS, ROUNDS = 1.0, 3000, 3
GROUP, SUBNET = "sg-08000000000000001", "subnet-08000000000000001"

# Sends for some time, or connects so often that no port of the client has to be taken twice while it is still held
# by a connection that was closed; prints bytes/s or connections/s.
CLIENT = """
import socket, sys, time
what, host, seconds, connections = sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])
count, block, start = 0, bytes(1 << 18), time.monotonic()
if what == "stream":
    sock = socket.create_connection((host, 5001))
    while time.monotonic() - start < seconds:
        count += sock.send(block)
else:
    while count < connections:
        socket.create_connection((host, 5001)).close()
        count += 1
print(count / (time.monotonic() - start))
"""
SERVER = """
import socket, threading
def drain(peer):
    block = bytearray(1 << 18)
    while peer.recv_into(block): pass
    peer.close()
server = socket.create_server(("0.0.0.0", 5001), backlog=1024)
print("ready", flush=True)
while True:
    drain(server.accept()[0])
"""


def run(path=__file__):
    """The measures of a file in namespaces of its own; they print rows."""
    script = ("mount -t tmpfs tmpfs /run && mkdir -p /run/netns && mount -t sysfs sysfs /sys && "
              'exec "$0" ' + os.path.realpath(path))
    tool = os.path.join(os.environ["VIRGA_BUILD"], "tests", "system", "network-tool")
    subprocess.run(["unshare", "-n", "-m", "--fork", "--pid", "--kill-child", "--mount-proc", "sh", "-c", script,
                    sys.executable], check=True, timeout=120,
                   env=dict(os.environ, VIRGA_NETWORK_INSIDE="1", VIRGA_NETWORK_TOOL=tool))


def row(what, ours, floor, unit, limit):
    print(f"| {what} | {ours:.2f} {unit} | {floor:.2f} {unit} | {ours / floor:.2f}x | {limit} |", flush=True)


def client(lab, namespace, what, host, enter=()):
    return float(lab.sh(*enter, "ip", "netns", "exec", namespace, sys.executable, "-c", CLIENT, what, host,
                        str(TRANSFER_S), str(CONNECTIONS)))


def serve(namespace, enter=()):
    server = subprocess.Popen([*enter, "ip", "netns", "exec", namespace, sys.executable, "-c", SERVER],
                              stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline() == "ready\n"
    return server


class Bridge:
    """Two namespaces on a bridge whose packets pass conntrack and one rule."""

    def __init__(self, lab):
        sh = lab.sh
        sh("ip", "link", "add", "plain", "type", "bridge")
        sh("ip", "link", "set", "plain", "up")
        sh("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1")
        sh("nft", "-f", "-", input="table ip plain { chain forward { type filter hook forward priority 0; policy drop; "
           "ct state established,related accept; tcp dport 5001 accept; }; }")
        for number in (1, 2):
            name = f"plain{number}"
            sh("ip", "netns", "add", name)
            sh("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
            sh("ip", "link", "set", name, "up", "master", "plain")
            sh("ip", "-n", name, "link", "set", "eth0", "up")
            sh("ip", "-n", name, "addr", "add", f"192.168.7.{number}/24", "dev", "eth0")


class Vpc:
    """A VPC with two real guests and many that only its plan knows; all are members of the group."""

    def __init__(self, lab, tool):
        self.lab, self.tool, self.generation = lab, tool, 0
        self.rules = [lab.rule("egress", "-1"), lab.rule("ingress", "tcp", 5001, 5001, group=GROUP)]
        self.ports = []

    def fill(self, members, local):
        self.ports = [{"id": f"eni-{0x08000000000000000 + i:017x}", "subnet_id": SUBNET, "group_ids": [GROUP],
                       "mac": "02:00:00:%02x:%02x:%02x" % (i >> 16, i >> 8 & 255, i & 255), "source_dest_check": True,
                       "address": f"10.0.{(i + 10) // 250}.{(i + 10) % 250 + 1}",
                       "host_id": "host-1" if i < local else "host-2"} for i in range(members)]

    def write(self):
        self.generation += 1
        path = f"/run/plan-{self.generation}.json"
        pathlib.Path(path).write_text(json.dumps({
            "id": self.lab.VPC, "generation": self.generation, "cidrs": ["10.0.0.0/16"], "vni": 7,
            "domain": "ec2.internal", "subnets": [{"id": SUBNET, "zone": "us-east-1a", "cidr": "10.0.0.0/16"}],
            "ports": self.ports, "groups": [{"id": GROUP, "rules": self.rules}]}))
        return path

    def apply(self):
        self.tool.ask("apply", self.write())

    def plug(self, number):
        sh, port, name = self.lab.sh, self.ports[number], f"guest{number}"
        path = self.write()
        self.tool.ask("apply", path)
        sh("ip", "netns", "add", name)
        sh("ip", "link", "add", "vtst" + port["id"][-11:], "type", "veth", "peer", "name", "eth0",
           "address", port["mac"], "netns", name)
        sh("ip", "-n", name, "link", "set", "eth0", "up")
        self.tool.ask("plug", path, port["id"])
        sh("ip", "-n", name, "addr", "add", port["address"] + "/16", "dev", "eth0")

    def address(self, number):
        return self.ports[number]["address"]


def between_hosts(lab):
    """Guests on two hosts against namespaces there that are joined by a bare VXLAN device."""
    lab.sh("ip", "link", "add", "underlay", "type", "bridge")
    lab.sh("ip", "link", "set", "underlay", "up")
    hosts = [lab.Host(1), lab.Host(2)]
    ports = [{"id": f"eni-{0x08000000000000000 + n:017x}", "subnet_id": SUBNET, "group_ids": [GROUP],
              "mac": f"02:00:00:00:00:0{n}", "source_dest_check": True, "address": f"172.31.1.{n + 9}",
              "host_id": f"host-{n}", "host_address": f"198.51.100.{n}"} for n in (1, 2)]
    plan = {"id": lab.VPC, "generation": 1, "cidrs": ["172.31.0.0/16"], "vni": 7, "domain": "ec2.internal",
            "subnets": [{"id": SUBNET, "zone": "us-east-1a", "cidr": "172.31.1.0/24"}], "ports": ports,
            "groups": [{"id": GROUP, "rules": [lab.rule("egress", "-1"),
                                               lab.rule("ingress", "tcp", 5001, 5001, group=GROUP)]}]}
    for number, (host, port) in enumerate(zip(hosts, ports), 1):
        host.guest(plan, port)
        host.run("ip", "netns", "add", "bare")
        host.run("ip", "link", "add", "bare0", "type", "vxlan", "id", "99", "local", f"198.51.100.{number}",
                 "remote", f"198.51.100.{3 - number}", "dstport", "4790")
        host.run("ip", "link", "set", "bare0", "netns", "bare")
        host.run("ip", "-n", "bare", "addr", "add", f"192.168.9.{number}/24", "dev", "bare0")
        host.run("ip", "-n", "bare", "link", "set", "bare0", "up")
    for host in hosts:
        host.apply(plan)
    servers = [serve(name, hosts[1].enter) for name in ("guest", "bare")]
    ours, floor = [], []
    for _ in range(ROUNDS):
        ours.append(client(lab, "guest", "stream", ports[1]["address"], hosts[0].enter) * 8e-9)
        floor.append(client(lab, "bare", "stream", "192.168.9.2", hosts[0].enter) * 8e-9)
    row("TCP between guests of two hosts against bare VXLAN", statistics.median(ours), statistics.median(floor),
        "Gbit/s", "≥ 0.7x")
    for server in servers:
        server.kill()
    for host in hosts:
        host.close()


def measure():
    import network_lab as lab
    lab.sh("ip", "link", "set", "lo", "up")
    pathlib.Path("/run/resolv.conf").write_text("")
    lab.sh("mount", "--bind", "/run/resolv.conf", "/etc/resolv.conf")
    between_hosts(lab)
    Bridge(lab)
    tool = lab.Tool()
    vpc = Vpc(lab, tool)
    vpc.fill(10, 2)
    vpc.plug(0)
    vpc.plug(1)
    servers = [serve("plain2"), serve("guest1")]
    ours, floor = [], []
    for _ in range(ROUNDS):
        ours.append(client(lab, "guest0", "stream", vpc.address(1)) * 8e-9)
        floor.append(client(lab, "plain1", "stream", "192.168.7.2") * 8e-9)
    row("TCP between two guests against a plain bridge with conntrack", statistics.median(ours),
        statistics.median(floor), "Gbit/s", "≥ 0.7x")
    few, many, plain = [], [], []
    for _ in range(ROUNDS):
        plain.append(client(lab, "plain1", "connect", "192.168.7.2"))
        vpc.fill(10, 2)
        vpc.apply()
        few.append(client(lab, "guest0", "connect", vpc.address(1)))
        vpc.fill(10000, 2)
        vpc.apply()
        many.append(client(lab, "guest0", "connect", vpc.address(1)))
    row("New connections between two guests against a plain bridge", statistics.median(few), statistics.median(plain),
        "/s", "≥ 0.8x")
    row("New connections, a group of 10000 members against 10", statistics.median(many), statistics.median(few),
        "/s", "about 1x")
    vpc.fill(1000, 100)
    vpc.rules += [lab.rule("ingress", "tcp", 6000 + i, 6000 + i, group=GROUP) for i in range(57)]
    vpc.apply()
    whole, change = tool.cpu_ms, []
    for number in range(5):
        vpc.rules.append(lab.rule("ingress", "tcp", 7000 + number, 7000 + number, cidr=f"192.0.2.{number}/32"))
        vpc.apply()
        change.append(tool.cpu_ms)
        vpc.rules.pop()
        vpc.apply()
    row("One rule of 60 changes at 100 ports and 1000 members, CPU, against the first time", statistics.median(change),
        whole, "ms", "≤ 30 ms")
    tool.close()
    for server in servers:
        server.kill()


if __name__ == "__main__":
    measure()
