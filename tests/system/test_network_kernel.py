# SPDX-License-Identifier: Apache-2.0
"""The kernel network driver with real packets: one VPC, its life and its accidents.

See network_lab.py for what stands for hosts and guests."""
import fcntl, json, os, pathlib, re, socket, struct, subprocess, sys, time
import pytest

from network_lab import (GUEST, INSIDE, SUBNETS, VPC, VPC2, Host, Tool, listening, make_world, needs_tool, ping, rule,
                         run_inside, sh, silence, wait_for)

if not INSIDE:
    @needs_tool
    def test_in_namespaces():
        run_inside(__file__)


class Cloud:
    def __init__(self):
        self.tool = Tool()
        self.generation = 0
        self.ports = {}
        self.groups = {"sg-08000000000000001": [rule("egress", "-1"), rule("ingress", "icmp"),
                                                rule("ingress", "tcp", 22, 22)],
                       "sg-08000000000000002": [rule("egress", "-1"),
                                                rule("ingress", "tcp", 80, 90, group="sg-08000000000000001")]}

    def plan(self):
        self.generation += 1
        path = f"/run/plan-{self.generation}.json"
        plan = {"id": VPC, "generation": self.generation, "cidrs": ["172.31.0.0/16"], "vni": 7,
                "domain": "ec2.internal",
                "subnets": [{"id": i, "zone": "us-east-1a", "cidr": c} for i, c in SUBNETS.items()],
                "ports": list(self.ports.values()),
                "groups": [{"id": i, "rules": r} for i, r in self.groups.items()]}
        pathlib.Path(path).write_text(json.dumps(plan))
        return path

    def apply(self):
        return self.tool.ask("apply", self.plan())

    def port(self, name, address, groups, public=None):
        subnet = "subnet-0800000000000000" + address.split(".")[2]
        octets = address.split(".")
        port = {"id": f"eni-0800000000000{int(octets[2]):02x}{int(octets[3]):02x}", "subnet_id": subnet,
                "mac": "02:00:00:00:%02x:%02x" % (int(octets[2]), int(octets[3])), "address": address,
                "host_id": "host-1", "group_ids": groups, "source_dest_check": True}
        if public:
            port["public_address"] = public
        self.ports[name] = port
        return port

    def guest(self, name):
        """A namespace behind the port's tap, with its address by DHCP."""
        port = self.ports[name]
        tap = "vtst" + port["id"][-11:]
        plan = self.plan()
        self.tool.ask("apply", plan)
        sh("ip", "netns", "add", name)
        sh("ip", "link", "add", tap, "type", "veth", "peer", "name", "eth0", "address", port["mac"], "netns", name)
        sh("ip", "-n", name, "link", "set", "lo", "up")
        sh("ip", "-n", name, "link", "set", "eth0", "up")
        self.tool.ask("plug", plan, port["id"])
        lease = json.loads(self.run(name, "dhcp"))
        prefix = sum(bin(int(b)).count("1") for b in lease["netmask"].split("."))
        sh("ip", "-n", name, "addr", "add", f"{lease['address']}/{prefix}", "dev", "eth0")
        sh("ip", "-n", name, "route", "add", "default", "via", lease["router"])
        return lease

    def run(self, name, *words, check=True):
        enter = ["ip", "netns", "exec", name] if name else []
        return sh(*enter, sys.executable, GUEST, *words, check=check)

    def start(self, name, *words):
        enter = ["ip", "netns", "exec", name] if name else []
        process = subprocess.Popen([*enter, sys.executable, GUEST, *words], text=True)
        return process

    def fails(self, name, *words):
        return self.run(name, *words, check=False).returncode != 0


NS = f"virga-tst-{VPC}"


@pytest.fixture(scope="module")
def cloud():
    make_world(name_server=True)
    it = Cloud()
    it.port("a", "172.31.1.5", ["sg-08000000000000001"], public="203.0.113.10")
    it.port("b", "172.31.2.6", ["sg-08000000000000001", "sg-08000000000000002"], public="203.0.113.11")
    it.port("c", "172.31.1.7", ["sg-08000000000000002"])
    server, it.resolver = it.start("world", "serve", "8080"), it.start("world", "dns-server", "53")
    it.leases = {name: it.guest(name) for name in "abc"}
    yield it
    it.tool.close()
    server.kill()
    it.resolver.kill()


if INSIDE:
    def test_dhcp(cloud):
        assert cloud.leases["b"] == {"kind": 5, "address": "172.31.2.6", "netmask": "255.255.255.0",
                                     "router": "172.31.2.1", "dns": "172.31.0.2", "hostname": "ip-172-31-2-6",
                                     "domain": "ec2.internal", "mtu": 1500}
        assert cloud.leases["a"]["address"] == "172.31.1.5"

    def test_ping_and_groups(cloud):
        assert ping("a", "172.31.2.6")          # between subnets
        assert ping("b", "172.31.1.5")
        assert ping("c", "172.31.1.5")          # within one subnet: proxy ARP
        assert not ping("a", "172.31.1.7")      # c allows no ICMP
        assert not ping("a", "172.31.1.99")     # nobody

    def test_group_reference(cloud):
        server = cloud.start("c", "serve", "85")
        assert listening("c", 85)
        assert cloud.run("a", "get", "172.31.1.7", "85") == "172.31.1.5"   # a is in group 1
        assert cloud.fails("a", "get", "172.31.1.7", "22")
        server.kill()
        server = cloud.start("a", "serve", "85")
        assert listening("a", 85)
        assert cloud.fails("c", "get", "172.31.1.5", "85")                 # c is not
        server.kill()

    def test_connections_survive_new_policy(cloud):
        server = cloud.start("b", "hold", "22")
        assert listening("b", 22)
        client = subprocess.Popen(["ip", "netns", "exec", "a", "nc", "172.31.2.6", "22"], text=True,
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        client.stdin.write("one\n")
        client.stdin.flush()
        assert client.stdout.readline() == "one\n"
        rules = cloud.groups["sg-08000000000000001"]
        cloud.groups["sg-08000000000000001"] = [r for r in rules if r["protocol"] != "tcp"]
        cloud.apply()
        client.stdin.write("two\n")
        client.stdin.flush()
        assert client.stdout.readline() == "two\n"
        client.kill()
        server.wait(5)
        server = cloud.start("b", "serve", "22")
        assert listening("b", 22)
        assert cloud.fails("a", "get", "172.31.2.6", "22")
        cloud.groups["sg-08000000000000001"] = rules
        cloud.apply()
        assert cloud.run("a", "get", "172.31.2.6", "22") == "172.31.1.5"
        server.kill()

    def test_egress(cloud):
        old = cloud.groups["sg-08000000000000001"]
        cloud.groups["sg-08000000000000001"] = [rule("egress", "icmp", 8, 0, cidr="172.31.2.0/25")] + old[1:]
        cloud.apply()
        assert ping("a", "172.31.2.6")
        assert not ping("a", "192.0.2.1")
        cloud.groups["sg-08000000000000001"] = old
        cloud.apply()
        assert ping("a", "192.0.2.1")

    def test_spoofing(cloud):
        seen = subprocess.Popen(["ip", "netns", "exec", "b", "timeout", "3", "tcpdump", "-nl", "-i", "eth0",
                                 "udp port 90 and not icmp"], text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)
        seen.stderr.readline(), seen.stderr.readline()
        old = cloud.groups["sg-08000000000000001"]
        cloud.groups["sg-08000000000000001"] = old + [rule("ingress", "udp", 90, 90)]
        cloud.apply()
        sh("ip", "-n", "a", "addr", "add", "172.31.1.77/32", "dev", "eth0")
        cloud.run("a", "udp", "172.31.1.77", "172.31.2.6", "90")
        sh("ip", "-n", "a", "addr", "del", "172.31.1.77/32", "dev", "eth0")
        cloud.run("a", "udp", "172.31.1.5", "172.31.2.6", "90")
        cloud.run("a", "udp", "172.31.1.5", "172.31.2.6", "90", "67")       # as only a DHCP server does
        sh("ip", "-n", "a", "link", "set", "eth0", "address", "02:00:00:00:99:99")
        cloud.run("a", "udp", "172.31.1.5", "172.31.2.6", "90")
        sh("ip", "-n", "a", "link", "set", "eth0", "address", "02:00:00:00:01:05")
        sh("ip", "-n", "a", "route", "replace", "default", "via", "172.31.1.1")
        packets = [line for line in seen.communicate()[0].splitlines() if "UDP" in line]
        assert len(packets) == 1 and "172.31.1.5" in packets[0]
        cloud.groups["sg-08000000000000001"] = old
        cloud.apply()

    def test_arp_spoofing(cloud):
        sh("ip", "netns", "exec", "a", sys.executable, "-c", """
import socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); s.bind(("eth0", 0x0806))
mac = bytes.fromhex("020000000105")
for ip in ("172.31.1.66", "172.31.2.6"):
    s.send(b"\\xff" * 6 + mac + b"\\x08\\x06" + struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + mac +
           socket.inet_aton(ip) + bytes(6) + socket.inet_aton("172.31.1.1"))
""")
        time.sleep(0.2)
        neighbours = sh("ip", "-n", NS, "neigh", "show", "dev", "vtst" + cloud.ports["a"]["id"][-11:])
        assert "172.31.1.66" not in neighbours and "172.31.2.6" not in neighbours

    def test_public(cloud):
        assert ping(None, "203.0.113.10")                                   # from the host
        assert ping("world", "203.0.113.10") is False                       # no route back: not announced
        server = cloud.start("b", "serve", "22")
        assert listening("b", 22)
        assert cloud.run(None, "get", "203.0.113.11", "22") == "192.0.2.2"  # the host's own address
        assert cloud.run("a", "get", "203.0.113.11", "22") == "203.0.113.10"  # through the gateway
        assert cloud.run("b", "get", "203.0.113.11", "22") == "203.0.113.11"  # its own
        assert cloud.fails(None, "get", "203.0.113.11", "80")               # filtered like any source
        assert cloud.run("a", "get", "192.0.2.1", "8080") == "192.0.2.2"    # masqueraded by the host
        assert cloud.fails("c", "get", "192.0.2.1", "8080")                 # no public address
        assert cloud.fails("c", "get", "203.0.113.11", "22")
        server.kill()

    def test_dns(cloud):
        for server in ("172.31.0.2", "169.254.169.253"):
            assert cloud.run("a", "dns", server, "ip-172-31-2-6.ec2.internal") == "172.31.2.6"
        assert cloud.run("c", "dns", "172.31.0.2", "ptr:172.31.2.6") == "ip-172-31-2-6.ec2.internal"
        assert cloud.run("c", "dns", "172.31.0.2", "www.example.org") == "198.51.100.53"
        assert cloud.fails("c", "dns", "172.31.0.2", "nobody.ec2.internal")
        assert cloud.fails("a", "dns", "169.254.0.1", "www.example.org")    # the host's forwarder itself

    def test_dns_is_never_silent(cloud):
        """Of what the host's resolver leaves unanswered somebody says so, before guests ask again."""
        def asked(name, question):
            return subprocess.Popen(["ip", "netns", "exec", name, sys.executable, GUEST, "dns", "172.31.0.2", question],
                                    text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

        def ask(question):
            return asked("a", question).communicate()[0].strip()
        start = time.monotonic()
        waiting = [asked(name, question) for name in "abc"
                   for question in ("silent.example.org", f"tcp:silent-{name}.example.org")]
        while any(process.poll() is None for process in waiting):
            assert ask("www2.example.org") == "198.51.100.53"               # others are not kept waiting
        assert [process.communicate()[0] for process in waiting] == ["rcode 2\n"] * len(waiting)
        assert 3 < time.monotonic() - start < 7
        cloud.resolver.kill()
        cloud.resolver.wait()
        waiting = [asked("a", "www3.example.org")]                          # nobody is there
        sh("ip", "-n", "world", "link", "set", "eth0", "down")              # the whole network is not
        waiting += [asked("a", "www4.example.org"), asked("a", "tcp:www5.example.org")]
        assert ask("ip-172-31-2-6.ec2.internal") == "172.31.2.6"
        assert [process.communicate()[0] for process in waiting] == ["rcode 2\n"] * len(waiting)
        assert time.monotonic() - start < 14
        sh("ip", "-n", "world", "link", "set", "eth0", "up")
        cloud.resolver = cloud.start("world", "dns-server", "53")
        assert wait_for(lambda: ask("www4.example.org") == "198.51.100.53")
        assert ask("tcp:www5.example.org") == "198.51.100.53"

    def test_metadata(cloud):
        cloud.tool.ask("listen", VPC, "169.254.169.254", "80")
        assert cloud.run("c", "get", "169.254.169.254", "80") == "172.31.1.7"
        assert cloud.run("b", "get", "169.254.169.254", "80") == "172.31.2.6"
        assert cloud.fails("b", "get", "172.31.0.2", "80")

    def test_second_apply_changes_nothing(cloud):
        plan = cloud.plan()
        cloud.tool.ask("apply", plan)
        with silence(), silence(NS, "up0"):
            cloud.tool.ask("apply", plan)
        print("unchanged apply: %.1f ms" % cloud.tool.ms)

    def test_new_process_adopts(cloud):
        def pids():
            return [pathlib.Path("/run/virga/" + name).read_text()
                    for name in (f"{VPC}/dnsmasq.pid", "forwarder/dnsmasq.pid", "recursor/pdns_recursor.pid")]
        before = pids()
        cloud.tool.close()
        cloud.tool = Tool()
        assert cloud.run("a", "dns", "172.31.0.2", "ip-172-31-2-6.ec2.internal") == "172.31.2.6"
        cloud.apply()
        assert pids() == before
        assert ping("a", "172.31.2.6")

    BREAKAGE = {
        "policy": ["ip", "netns", "exec", NS, "nft", "flush", "ruleset"],
        "host policy": ["nft", "flush", "ruleset"],
        "route": ["ip", "-n", NS, "route", "del", "172.31.2.6"],
        "default route": ["ip", "-n", NS, "route", "flush", "table", "main"],
        "resolver": ["ip", "-n", NS, "addr", "flush", "dev", "lo"],
        "public route": ["ip", "route", "del", "203.0.113.10"],
        "uplink": ["ip", "-n", NS, "link", "del", "up0"],
        "uplink down": ["ip", "-n", NS, "link", "set", "up0", "down"],
        "neighbour": ["ip", "-n", NS, "neigh", "flush", "all", "nud", "permanent"],
        "gateway": ["ip", "addr", "del", "169.254.0.1/32", "dev", "lo"],
        "dnsmasq": ["sh", "-c", f"kill -9 $(cat /run/virga/{VPC}/dnsmasq.pid); sleep 0.1"],
        "forwarder": ["sh", "-c", "kill -9 $(cat /run/virga/forwarder/dnsmasq.pid); sleep 0.1"],
        "recursor": ["sh", "-c", "kill -9 $(cat /run/virga/recursor/pdns_recursor.pid); sleep 0.1"],
        "state files": ["sh", "-c", f"rm -r /run/virga/{VPC}"],
        "forwarding": ["ip", "netns", "exec", NS, "sysctl", "-qw", "net.ipv4.ip_forward=0"],
        "name": ["ip", "netns", "del", NS],
    }

    @pytest.mark.parametrize("what", BREAKAGE)
    def test_heals(cloud, what):
        tool_epoch = cloud.apply()
        if what == "state files":
            sh("sh", "-c", f"kill $(cat /run/virga/{VPC}/dnsmasq.pid); sleep 0.2")
        sh(*BREAKAGE[what])
        assert cloud.apply() == tool_epoch
        for name, address in (("a", "172.31.2.6"), (None, "203.0.113.10"), ("a", "192.0.2.1")):
            assert wait_for(lambda: ping(name, address)), (name, address)  # a new link takes a moment
        assert not ping("a", "172.31.1.7")
        assert cloud.run("c", "dns", "172.31.0.2", "www.example.org") == "198.51.100.53"
        assert cloud.run("a", "dns", "172.31.0.2", "ip-172-31-1-7.ec2.internal") == "172.31.1.7"
        cloud.run("b", "dhcp")

    def open_tap(name):
        fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", name.encode(), 0x5002))  # TAP, NO_PI, VNET_HDR
        return fd

    def test_tap(cloud):
        port = cloud.port("d", "172.31.2.9", ["sg-08000000000000001"])
        tap = "vtst" + port["id"][-11:]
        pid = pathlib.Path(f"/run/virga/{VPC}/dnsmasq.pid").read_text()
        plan = cloud.plan()
        times = []
        for words in (("apply", plan), ("prepare", plan, port["id"]), ("prepare", plan, port["id"])):
            cloud.tool.ask(*words)
            times.append(cloud.tool.ms)
        fd = open_tap(tap)                          # as QEMU does, before the move
        for _ in range(2):
            cloud.tool.ask("plug", plan, port["id"])
            times.append(cloud.tool.ms)
        print("launch: apply %.1f prepare %.1f again %.1f plug %.1f again %.1f ms" % tuple(times))
        cloud.tool.ask("prepare", plan, port["id"])  # running: stays where it is
        assert tap + "@" + VPC in cloud.tool.ask("list")
        mac = bytes.fromhex(port["mac"].replace(":", ""))
        os.set_blocking(fd, False)
        os.write(fd, bytes(10) + b"\xff" * 6 + mac + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) +
                 mac + socket.inet_aton("172.31.2.9") + bytes(6) + socket.inet_aton("172.31.2.6"))

        def answered():
            try:
                frame = os.read(fd, 2048)[10:]
                return frame[12:14] == b"\x08\x06" and frame[22:28] == bytes.fromhex("feffffffff01")
            except BlockingIOError:
                return False
        assert wait_for(answered)
        assert pid == pathlib.Path(f"/run/virga/{VPC}/dnsmasq.pid").read_text()
        os.close(fd)
        cloud.tool.ask("prepare", plan, port["id"])  # nobody behind it: back to the host
        assert tap + "@host" in cloud.tool.ask("list")
        cloud.tool.ask("tap-remove", VPC, tap)
        cloud.tool.ask("tap-remove", VPC, tap)
        assert tap not in cloud.tool.ask("list")
        del cloud.ports["d"]
        cloud.apply()

    def test_old_generation(cloud):
        old = cloud.plan()
        cloud.apply()
        with pytest.raises(AssertionError, match="generation"):
            cloud.tool.ask("apply", old)

    def test_second_vpc_same_addresses(cloud):
        plan = json.loads(pathlib.Path(cloud.plan()).read_text())
        plan["id"], plan["ports"] = VPC2, []
        pathlib.Path("/run/other.json").write_text(json.dumps(plan))
        cloud.tool.ask("apply", "/run/other.json")
        print("first apply: %.1f ms" % cloud.tool.ms)
        assert sorted(w for w in cloud.tool.ask("list").split() if "@" not in w) == [VPC, VPC2]
        assert ping("a", "172.31.2.6")
        cloud.tool.ask("remove", VPC2)

    def test_two_hosts(cloud):
        sh("ip", "link", "add", "underlay", "type", "bridge")
        sh("ip", "link", "set", "underlay", "up")
        hosts = [Host(1), Host(2)]
        plan = json.loads(pathlib.Path(cloud.plan()).read_text())
        a, b = (dict(cloud.ports[n]) for n in "ab")
        for n, port in enumerate((a, b), 1):
            port.update(host_id=f"host-{n}", host_address=f"198.51.100.{n}")
            port.pop("public_address", None)
        plan["ports"] = [a, b]
        for host, port in zip(hosts, (a, b)):
            host.guest(plan, port)
        assert hosts[0].ping("172.31.2.6") and hosts[1].ping("172.31.1.5")
        assert hosts[0].ping("172.31.2.6", "-M", "do", "-s", "1422")
        plan["groups"][0]["rules"] = [rule("egress", "-1")]     # filtered where the receiver is
        plan["generation"] += 1
        hosts[1].apply(plan)
        assert not hosts[0].ping("172.31.2.6") and hosts[1].ping("172.31.1.5")
        for host in hosts:
            host.tool.ask("remove", VPC)
            assert re.findall(r"^\d+: ([^:@]+)", host.run("ip", "link"), re.M) == ["lo", "eth0"]
            host.close()
        sh("ip", "link", "del", "underlay")

    def test_lost_public_address(cloud):
        del cloud.ports["a"]["public_address"]
        cloud.apply()
        assert not ping("a", "192.0.2.1") and not ping(None, "203.0.113.10") and ping("a", "172.31.2.6")

    def test_remove_leaves_nothing(cloud):
        cloud.tool.ask("remove", VPC)
        cloud.tool.ask("remove", VPC)
        assert cloud.tool.ask("list") == ""
        assert sorted(re.findall(r"^\d+: ([^:@]+)", sh("ip", "link"), re.M)) == ["eth0", "lo"]
        assert sh("nft", "list", "ruleset") == ""
        assert sh("ip", "route") == "default via 192.0.2.1 dev eth0 \n192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.2"
        assert "169.254" not in sh("ip", "addr")
        assert NS not in sh("ip", "netns")
        assert list(pathlib.Path("/run/virga").iterdir()) == []
        names = [(p / "comm").read_text().strip() for p in pathlib.Path("/proc").iterdir()
                 if p.name.isdigit() and (p / "cmdline").exists() and (p / "cmdline").read_bytes()]
        assert "dnsmasq" not in names and not [name for name in names if name.startswith("pdns_recursor")]
