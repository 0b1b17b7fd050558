# SPDX-License-Identifier: Apache-2.0
"""Several simulated hosts on one network, as in a rack.

The host that the test runs in is the first: it has virgad, and guests like the others.  The network is
a bridge in it.  Each further host is a simulated host of its own (tests/lib/host), with its own
libvirtd and virga-node; it talks to virgad by virgad's socket, which the test hands to it.

    198.51.100.1    rack, the first host's card        198.51.100.N   eth0 of host N
    198.51.100.200  a machine outside of the cloud, see World
"""
import json
import os
import signal
import subprocess
import sys
import tempfile

from conftest import ROOT, run, wait_for

CARD = "rack"

SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.client_address[0].encode())
    def log_message(self, *arguments):
        pass
server = http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Handler)
print("ready", flush=True)
server.serve_forever()
"""


def children_of(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as file:
        return [int(child) for child in file.read().split()]


def plug(name, pid, address):
    """A card "eth0" for another network namespace, plugged into the rack."""
    run(["ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", str(pid)])
    run(["ip", "link", "set", name, "up", "master", CARD])
    enter = ["nsenter", "-t", str(pid), "-n"]
    run(enter + ["ip", "addr", "add", address + "/24", "dev", "eth0"])
    run(enter + ["ip", "link", "set", "eth0", "up"])


class Rack:
    """The network; a context manager.  'settings' are those of a Cloud on the first host."""

    def __enter__(self):
        run(["ip", "link", "add", CARD, "type", "bridge"])
        run(["ip", "addr", "add", "198.51.100.1/24", "dev", CARD])
        run(["ip", "link", "set", CARD, "up"])
        return self

    def __exit__(self, *exception):
        run(["ip", "link", "del", CARD], check=False)

    # The pool is known to all of the network: public addresses are seen as they are.
    settings = {"network": {"tunnel-address": "198.51.100.1", "public-interface": CARD, "masquerade": "false"}}


class World:
    """A machine on the rack's network that knows the pool to be there, and nothing else."""

    def __init__(self, pool="198.18.0.0/20"):
        self.keeper = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo ready; exec sleep infinity"],
                                       stdout=subprocess.PIPE, text=True)
        assert self.keeper.stdout.readline() == "ready\n"
        self.servers = []
        plug("world", self.keeper.pid, "198.51.100.200")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "route", "add", pool, "dev", "eth0")

    def command(self, *words):
        return ["nsenter", "-t", str(self.keeper.pid), "-n"] + list(words)

    def run(self, *words, **options):
        return run(self.command(*words), **options)

    def serve(self, port):
        """Answers every request with the address that it came from."""
        server = subprocess.Popen(self.command(sys.executable, "-c", SERVER, str(port)), stdout=subprocess.PIPE, text=True)
        assert server.stdout.readline() == "ready\n"
        self.servers.append(server)

    def close(self):
        for server in self.servers:
            server.kill()
            server.wait()
        self.keeper.kill()
        self.keeper.wait()


class Pieces:
    """What one host has of one VPC, for somebody who takes parts of it away.  'run' runs a command on
    that host, like conftest.run()."""

    def __init__(self, run, vpc_id):
        self.run = run
        (self.namespace,) = [name for name in run("ls", "/run/netns").stdout.split() if name.endswith(vpc_id)]

    def inside(self, *words):
        return self.run("ip", "netns", "exec", self.namespace, *words).stdout

    def rules(self):
        """(family, table, chain, handle) of every rule of the VPC's filter."""
        listed = json.loads(self.inside("nft", "-a", "-j", "list", "ruleset"))["nftables"]
        return [(r["family"], r["table"], r["chain"], str(r["handle"])) for r in
                (item["rule"] for item in listed if "rule" in item)]

    def routes(self):
        """As "ip route del" wants them; those that the kernel makes of addresses are its own."""
        shown = self.inside("ip", "-4", "route", "show", "table", "all").splitlines()
        return [line.strip() for line in shown if "proto kernel" not in line]

    def daemons(self):
        """pid -> name of the VPC's name server and HAProxy, and of the host's forwarders."""
        found = self.run("sh", "-c", "stat -Lc %%i /run/netns/%s /proc/self/ns/net; for pid in "
                         "$(pgrep -x 'dnsmasq|pdns_recursor|haproxy'); do "
                         "echo $pid $(stat -Lc %%i /proc/$pid/ns/net) $(cat /proc/$pid/comm); done; true"
                         % self.namespace).stdout.splitlines()
        places = dict(zip(found[:2], ("of the VPC", "of the host")))
        words = [line.split() for line in found[2:]]  # of those that end meanwhile less is known
        return {it[0]: "%s %s" % (it[2], places[it[1]]) for it in words if len(it) == 3 and it[1] in places}

    def state(self):
        """All of it, as lines."""
        return {"filter": self.inside("nft", "list", "ruleset").splitlines(), "routes": self.routes(),
                "routing rules": self.inside("ip", "rule").splitlines(),
                "links": [line.split()[1].split("@")[0] for line in self.inside("ip", "-o", "link").splitlines()],
                "host's filter": self.run("nft", "list", "ruleset").stdout.splitlines(),
                "host's routes": self.run("ip", "route").stdout.splitlines(),
                "daemons": list(set(self.daemons().values()))}

    def missing(self, before):
        """What is not as it was: lines that came or went."""
        return {name: sorted(set(now) ^ set(before[name])) for name, now in self.state().items()
                if sorted(now) != sorted(before[name])}


class Host:
    """Host 2, 3 … of a cloud that is up on the first.  'state' is a folder outside of it, and thus outlives a
    power_off() as a disk does."""

    def __init__(self, cloud, build_dir, number, zone="a", settings=None, state="/var/lib/virga"):
        self.number, self.address, self.state = number, "198.51.100.%d" % number, state
        self.program = os.path.join(build_dir, "compute", "virga-node")
        self.config = tempfile.mkdtemp(prefix="host%d." % number) + "/virga.conf"
        groups = {"cloud": {}, "node": {"zone": zone, "libvirt-uri": "qemu:///system",
                                        "virgad": "unix:%s/run/virgad.sock" % cloud.state},
                  "network": {"tunnel-address": self.address, "public-interface": "eth0", "masquerade": "false"}}
        for group, keys in (settings or {}).items():
            groups.setdefault(group, {}).update(keys)
        with open(self.config, "w") as file:
            for group, keys in groups.items():
                file.write("[%s]\n" % group + "".join("%s = %s\n" % item for item in keys.items()))
        self.power_on()

    def power_on(self):
        self.machine = subprocess.Popen([os.path.join(ROOT, "tests", "lib", "host"), "--name", "host-%d" % self.number,
                                         "--", "sh", "-c", "echo ready; exec sleep infinity"],
                                        stdout=subprocess.PIPE, text=True)
        assert self.machine.stdout.readline() == "ready\n"
        (self.pid,) = sum(map(children_of, children_of(self.machine.pid)), [])  # the first process inside
        self.processes = {}
        plug("host%d" % self.number, self.pid, self.address)
        self.start("virtlogd", "virtlogd")
        self.start_libvirt()
        self.start_node()

    def start_libvirt(self):
        self.start("libvirtd", "libvirtd")
        wait_for(lambda: self.run("virsh", "-q", "-c", "qemu:///system", "uri", check=False).returncode == 0, 60,
                 "answer of libvirtd on host %d" % self.number)

    def power_off(self):
        """All of its processes are killed at once."""
        self.machine.kill()
        self.machine.wait()
        for process in self.processes.values():
            process.wait(30)
        # The kernel keeps a namespace of networks as long as a connection in it waits for its end.
        run(["ip", "link", "del", "host%d" % self.number], check=False)

    def command(self, *words):
        return ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "--"] + list(words)

    def run(self, *words, **options):
        return run(self.command(*words), **options)

    def start(self, name, *words):
        log = open(os.path.join(os.path.dirname(self.config), name + ".log"), "a")
        self.processes[name] = subprocess.Popen(self.command(*words), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start_node(self):
        self.start("virga-node", self.program, "--config", self.config, "--state", self.state)

    def kill(self, name, number=signal.SIGKILL):
        """Ends a daemon; nsenter has forked, since it entered a namespace of processes."""
        for pid in children_of(self.processes[name].pid):
            os.kill(pid, number)
        self.processes.pop(name).wait(30)

    def log(self, name="virga-node"):
        with open(os.path.join(os.path.dirname(self.config), name + ".log")) as file:
            return file.read()

    def domains(self):
        return self.run("virsh", "-q", "-c", "qemu:///system", "list", "--name").stdout.split()

    def close(self):
        """The machine is switched off."""
        self.machine.terminate()
        try:
            self.machine.wait(10)
        except subprocess.TimeoutExpired:
            self.machine.kill()
            self.machine.wait()
