# SPDX-License-Identifier: Apache-2.0
"""What a VPC can be besides flat, with real packets: route tables, gateways, ACLs, several addresses.

    public    172.31.1.0/24   route to the internet gateway; "front" (with a public address), "plain" (without),
                              "router" (forwards; 10.244.1.1 is behind it), the NAT gateway
    private   172.31.2.0/24   route to the NAT gateway; "back"
    second    10.50.1.0/24    of the VPC's second block; "far"

The host does not masquerade, so the world (192.0.2.1) sees public addresses.  See network_lab.py."""
import json, re, select, subprocess, sys
import pytest

from network_lab import (GUEST, INSIDE, VPC, Host, PlanLab, Tool, listening, make_world, needs_tool, ping, rule, silence,
                         run_inside, sh, wait_for)

if not INSIDE:
    @needs_tool
    def test_in_namespaces():
        run_inside(__file__)


NS = f"virga-tst-{VPC}"
PUBLIC, PRIVATE, SECOND = (f"subnet-0800000000000000{n}" for n in (1, 2, 3))
CIDRS = {PUBLIC: "172.31.1.0/24", PRIVATE: "172.31.2.0/24", SECOND: "10.50.1.0/24"}
MAIN, OUT, NATTED = (f"rtb-0800000000000000{n}" for n in (1, 2, 3))
NAT = "nat-08000000000000001"
GROUP = "sg-08000000000000001"
WORLD = "192.0.2.1"


def tap(port):
    return "vtst" + port["id"][-11:]


def entry(number, egress, allow, protocol="-1", low=-1, high=-1, cidr="0.0.0.0/0"):
    return dict(number=number, egress=egress, allow=allow, protocol=protocol, from_port=low, to_port=high, cidr4=cidr)


def route(cidr, target, target_id=None):
    return dict(cidr4=cidr, target=target, **({"target_id": target_id} if target_id else {}))


def port(number, subnet, address, **more):
    return dict({"id": f"eni-080000000000000{number:02x}", "subnet_id": subnet, "mac": f"02:00:00:00:00:{number:02x}",
                 "address": address, "host_id": "host-1", "group_ids": [GROUP], "source_dest_check": True}, **more)


def make_plan():
    return {"id": VPC, "generation": 0, "cidrs": ["172.31.0.0/16", "10.50.0.0/16"], "vni": 7, "domain": "ec2.internal",
            "public_domain": "compute-1.example.org", "has_internet_gateway": True,
            "subnets": [{"id": i, "zone": "us-east-1a", "cidr": c} for i, c in CIDRS.items()],
            "ports": [port(1, PUBLIC, "172.31.1.5", public_address="203.0.113.10"),
                      port(2, PUBLIC, "172.31.1.6"),
                      port(3, PUBLIC, "172.31.1.7", source_dest_check=False),
                      port(4, PRIVATE, "172.31.2.5"),
                      port(5, SECOND, "10.50.1.5")],
            "groups": [{"id": GROUP, "rules": [rule("egress", "-1"), rule("ingress", "-1")]}],
            "route_tables": [{"id": MAIN, "is_main": True, "routes": [route("172.31.0.0/16", "local")]},
                             {"id": OUT, "subnet_ids": [PUBLIC], "routes": [route("0.0.0.0/0", "internet-gateway")]},
                             {"id": NATTED, "subnet_ids": [PRIVATE], "routes": [route("0.0.0.0/0", "nat-gateway", NAT)]}],
            "nat_gateways": [{"id": NAT, "subnet_id": PUBLIC, "address": "172.31.1.50", "public_address": "203.0.113.50",
                              "host_id": "host-1"}]}


class Lab(PlanLab):
    NAMES = {"front": 0, "plain": 1, "router": 2, "back": 3, "far": 4}

    def port(self, name):
        return self.plan["ports"][self.NAMES[name]]

    def table(self, table_id):
        return next(t for t in self.plan["route_tables"] if t["id"] == table_id)

    def run(self, name, *words, check=True):
        enter = ["ip", "netns", "exec", name] if name else []
        return sh(*enter, sys.executable, GUEST, *words, check=check)

    def fails(self, name, *words):
        return self.run(name, *words, check=False).returncode != 0

    def serve(self, name, *words):
        enter = ["ip", "netns", "exec", name]
        self.processes.append(subprocess.Popen([*enter, sys.executable, GUEST, *words]))

    def seen(self, name):
        """The address that the world sees, or None."""
        done = self.run(name, "get", WORLD, "8080", check=False)
        return done.stdout.strip() if done.returncode == 0 else None


@pytest.fixture(scope="module")
def lab():
    make_world(knows_pool=True, name_server=True)
    it = Lab(make_plan())
    for name in it.NAMES:
        it.plug(name, it.port(name))
    sh("ip", "-n", "router", "addr", "add", "10.244.1.1/32", "dev", "lo")
    sh("ip", "netns", "exec", "router", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.arp_announce=2")
    it.serve("world", "serve", "8080")
    it.serve("world", "mirror", "9000")
    it.serve("world", "sink", "9100")
    for name in ("front", "plain", "back"):
        it.serve(name, "serve", "80")
    it.serve("back", "sink", "81")
    assert all(listening(name, 80) for name in ("front", "plain", "back"))
    assert listening("world", 8080) and listening("back", 81)
    yield it
    it.close()


if INSIDE:
    def test_internet_gateway(lab):
        assert lab.seen("front") == "203.0.113.10"
        assert lab.run("world", "get", "203.0.113.10", "80") == WORLD
        assert lab.seen("plain") is None                    # a route, but no public address
        assert lab.seen("far") is None                      # no route
        with lab.changed(lambda plan: lab.table(OUT)["routes"].clear()):
            assert lab.seen("front") is None
            assert ping("front", "172.31.2.5")              # what is local stays
        with lab.changed(lambda plan: plan.update(has_internet_gateway=False)):
            assert lab.seen("front") is None and lab.seen("back") is None
            assert lab.fails("world", "get", "203.0.113.10", "80")
        assert lab.seen("front") == "203.0.113.10"

    def test_longest_prefix(lab):
        def black_hole(plan):
            for table_id in (OUT, NATTED):
                lab.table(table_id)["routes"].append(route("192.0.2.0/24", "blackhole"))

        def exception(plan):
            black_hole(plan)
            lab.table(OUT)["routes"].append(route("192.0.2.1/32", "internet-gateway"))
        with lab.changed(black_hole):
            assert lab.seen("front") is None and lab.seen("back") is None
        with lab.changed(exception):
            assert lab.seen("front") == "203.0.113.10" and lab.seen("back") is None

    def test_nat_gateway(lab):
        assert lab.seen("back") == "203.0.113.50"
        assert lab.run("back", "get", "172.31.1.5", "80") == "172.31.2.5"  # not within the VPC
        assert lab.run("back", "get", "203.0.113.10", "80") == "203.0.113.50"
        assert not ping("world", "203.0.113.50") and lab.fails("world", "get", "203.0.113.50", "80")
        with lab.changed(lambda plan: lab.table(OUT)["routes"].clear()):
            assert lab.seen("back") is None                 # the gateway's own subnet needs the route
        with lab.changed(lambda plan: plan["nat_gateways"].clear()):
            assert lab.seen("back") is None                 # the route has become a black hole
        with lab.changed(lambda plan: lab.port("back").update(public_address="203.0.113.60")):
            assert lab.seen("back") == "203.0.113.50"       # its table says so
            assert lab.fails("world", "get", "203.0.113.60", "80")
        assert lab.seen("back") == "203.0.113.50"

    def test_second_block(lab):
        """Local in every table, and translated by nobody."""
        assert ping("far", "172.31.2.5") and ping("back", "10.50.1.5") and ping("front", "10.50.1.5")
        assert lab.run("far", "get", "172.31.2.5", "80") == "10.50.1.5"
        assert not ping("back", "10.50.1.99") and lab.seen("far") is None
        sh("ip", "-n", "far", "addr", "add", "10.50.1.77/32", "dev", "eth0")
        assert lab.fails("far", "ask", "172.31.2.5", "9", "1000")
        sh("ip", "-n", "far", "addr", "del", "10.50.1.77/32", "dev", "eth0")

    def test_elastic_address_moves(lab):
        """The same flow goes on with the new address: conntrack has forgotten the old one."""
        assert lab.run("front", "ask", WORLD, "9000", "5000") == "203.0.113.10"
        with lab.changed(lambda plan: lab.port("front").update(public_address="203.0.113.11")):
            assert lab.run("front", "ask", WORLD, "9000", "5000") == "203.0.113.11"
            assert lab.fails("world", "get", "203.0.113.10", "80")
            assert lab.run("world", "get", "203.0.113.11", "80") == WORLD
        assert lab.run("front", "ask", WORLD, "9000", "5000") == "203.0.113.10"

        def swap(plan):
            del lab.port("front")["public_address"]
            lab.port("plain")["public_address"] = "203.0.113.10"
        with lab.changed(swap):
            assert lab.fails("front", "ask", WORLD, "9000", "5000")
            assert lab.run("plain", "ask", WORLD, "9000", "5000") == "203.0.113.10"

    def test_other_connections_survive(lab):
        """While one public address moves, the rest goes on: also through the NAT gateway."""
        lab.serve("world", "hold", "7000")
        assert listening("world", 7000)
        talk = subprocess.Popen(["ip", "netns", "exec", "back", "nc", WORLD, "7000"], text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def echo(word):
            talk.stdin.write(word + "\n")
            talk.stdin.flush()
            return bool(select.select([talk.stdout], [], [], 5)[0]) and talk.stdout.readline() == word + "\n"
        assert echo("one")
        with lab.changed(lambda plan: lab.port("front").update(public_address="203.0.113.12")):
            assert echo("two")
        lab.tool.close()
        lab.tool = Tool()                                   # a new process programs everything anew
        lab.apply()
        sh("ip", "netns", "exec", NS, "nft", "flush", "ruleset")
        lab.apply()
        assert echo("three")
        talk.kill()

    def test_route_to_an_interface(lab):
        """Pods behind a node, and a middlebox between two subnets."""
        def pods(plan):
            for table in plan["route_tables"]:
                table["routes"].append(route("10.244.1.0/24", "interface", lab.port("router")["id"]))
        assert not ping("back", "10.244.1.1")
        with lab.changed(pods):
            assert ping("back", "10.244.1.1") and ping("plain", "10.244.1.1") and ping("far", "10.244.1.1")
            assert sh("ip", "netns", "exec", "router", "ping", "-c1", "-W1", "-I", "10.244.1.1", "172.31.2.5",
                      check=False).returncode == 0
            with lab.changed(lambda plan: lab.port("router").update(source_dest_check=True)):
                assert not ping("back", "10.244.1.1")       # the answer's source is not the guest's
        with lab.changed(lambda plan: lab.table(NATTED)["routes"].append(
                route("10.50.1.0/24", "interface", lab.port("router")["id"]))):
            way = sh("ip", "netns", "exec", "back", "ping", "-c1", "-W1", "-R", "10.50.1.5")
            assert "172.31.1.7" in way and ping("back", "10.50.1.5")
            sh("ip", "netns", "exec", "router", "sysctl", "-qw", "net.ipv4.ip_forward=0")
            assert not ping("back", "10.50.1.5")
            sh("ip", "netns", "exec", "router", "sysctl", "-qw", "net.ipv4.ip_forward=1")
        assert ping("back", "10.50.1.5")

    ACL = {"id": "acl-08000000000000001", "subnet_ids": [PRIVATE]}

    def acl(*entries, **more):
        return lambda plan: plan.update(acls=[dict(ACL, entries=list(entries), **more)])

    EVERYTHING = [entry(1000, False, True), entry(1000, True, True)]

    def test_acl_order(lab):
        with lab.changed(acl(entry(100, False, False, "tcp", 80, 80, "172.31.1.5/32"),
                             entry(200, False, True, "tcp", 80, 90), entry(300, False, False, "tcp", 80, 80),
                             entry(1000, True, True))):
            assert lab.fails("front", "get", "172.31.2.5", "80")
            assert lab.run("plain", "get", "172.31.2.5", "80") == "172.31.1.6"
            assert not ping("plain", "172.31.2.5")          # none matches
        assert ping("plain", "172.31.2.5")

    def test_acl_is_stateless(lab):
        """Answers are denied too, also of connections that have been there before."""
        talk = lab.run("front", "get", "172.31.2.5", "80")
        assert talk == "172.31.1.5"
        with lab.changed(acl(entry(100, False, True), entry(100, True, False, "tcp", 1024, 65535),
                             entry(200, True, True))):
            assert lab.fails("front", "get", "172.31.2.5", "80")
            assert ping("front", "172.31.2.5")
        with lab.changed(acl(entry(100, False, True, "icmp", 0, -1), entry(100, True, True))):
            assert ping("back", "172.31.1.5")               # answers may come in
            assert not ping("front", "172.31.2.5")          # questions may not

    def test_acl_only_at_the_boundary(lab):
        neighbour = port(9, PRIVATE, "172.31.2.9")
        lab.plan["ports"].append(neighbour)
        lab.plug("neighbour", neighbour)
        with lab.changed(acl()):                            # denies everything
            assert ping("neighbour", "172.31.2.5")
            assert not ping("front", "172.31.2.5") and not ping("back", "172.31.1.5") and lab.seen("back") is None
            assert ping("front", "172.31.1.6")              # another subnet's business
            assert lab.run("back", "dns", "172.31.0.2", "ip-172-31-1-5.ec2.internal") == "172.31.1.5"
        lab.plan["ports"].pop()
        lab.tool.ask("tap-remove", VPC, tap(neighbour))
        lab.apply()

    def test_acl_outside(lab):
        """Of a NAT gateway's subnet, and of one with a route to the internet gateway."""
        with lab.changed(lambda plan: plan.update(acls=[
                {"id": "acl-08000000000000002", "is_default": True, "entries": EVERYTHING},
                dict(ACL, subnet_ids=[PUBLIC], entries=[entry(100, False, True), entry(100, True, True, "tcp", 80, 80)])])):
            assert lab.seen("front") is None                # 8080
            assert lab.seen("back") is None
            assert ping("back", "10.50.1.5")
        with lab.changed(lambda plan: plan.update(acls=[
                dict(ACL, subnet_ids=[PUBLIC], entries=[entry(100, True, True),
                                                        entry(100, False, True, cidr="172.31.0.0/16")])])):
            assert lab.seen("back") is None                 # the world's answer is not let in
            assert ping("back", "172.31.1.5") and lab.fails("world", "get", "203.0.113.10", "80")
        assert lab.seen("back") == "203.0.113.50"

    def test_secondary_addresses(lab):
        def more(plan):
            lab.port("front")["secondary"] = [{"address": "172.31.1.15", "public_address": "203.0.113.15"},
                                              {"address": "172.31.1.16"}]
        sh("ip", "-n", "front", "addr", "add", "172.31.1.15/24", "dev", "eth0")
        sh("ip", "-n", "front", "addr", "add", "172.31.1.16/24", "dev", "eth0")
        assert not ping("back", "172.31.1.15")
        with lab.changed(more):
            assert ping("back", "172.31.1.15") and ping("plain", "172.31.1.16")
            assert lab.run("world", "get", "203.0.113.15", "80") == WORLD
            for source, seen in (("172.31.1.15", "203.0.113.15"), ("172.31.1.5", "203.0.113.10")):
                sh("ip", "-n", "front", "route", "replace", WORLD, "via", "172.31.1.1", "src", source)
                assert lab.seen("front") == seen
            sh("ip", "-n", "front", "route", "replace", WORLD, "via", "172.31.1.1", "src", "172.31.1.16")
            assert lab.seen("front") is None                # has no public address
            assert lab.run("back", "dns", "172.31.0.2", "ptr:172.31.1.16") == "ip-172-31-1-16.ec2.internal"
        sh("ip", "-n", "front", "route", "del", WORLD)
        assert not ping("back", "172.31.1.15")
        assert sh("ip", "netns", "exec", "front", "ping", "-c1", "-W1", "-I", "172.31.1.15", "172.31.2.5",
                  check=False).returncode != 0

    def test_second_interface(lab):
        """Of the same guest, in another subnet: each passes its own addresses only."""
        second = port(8, PRIVATE, "172.31.2.8", device_index=1)
        lab.plan["ports"].append(second)
        path = lab.write()
        lab.tool.ask("apply", path)
        sh("ip", "link", "add", tap(second), "type", "veth", "peer", "name", "eth1", "address", second["mac"],
           "netns", "front")
        sh("ip", "-n", "front", "link", "set", "eth1", "up")
        lab.tool.ask("plug", path, second["id"])
        sh("ip", "-n", "front", "addr", "add", "172.31.2.8/24", "dev", "eth1")
        sh("ip", "-n", "front", "rule", "add", "from", "172.31.2.8", "lookup", "8")
        sh("ip", "-n", "front", "route", "add", "default", "via", "172.31.2.1", "dev", "eth1", "table", "8")
        assert ping("far", "172.31.2.8") and ping("far", "172.31.1.5")

        def way_out(source):
            done = sh("ip", "netns", "exec", "front", sys.executable, "-c",
                      f"import socket; s = socket.create_connection(('{WORLD}', 8080), 1.5, ('{source}', 0)); "
                      "print(s.recv(100).decode())", check=False)
            return done.stdout.strip() or None
        assert way_out("172.31.2.8") == "203.0.113.50" and way_out("172.31.1.5") == "203.0.113.10"
        sh("ip", "-n", "front", "rule", "del", "from", "172.31.2.8", "lookup", "8")
        assert way_out("172.31.2.8") is None                # by the wrong interface
        lab.plan["ports"].pop()
        lab.tool.ask("tap-remove", VPC, tap(second))
        lab.apply()

    def test_bandwidth(lab):
        """8 Mbit/s each way; what goes out may have saved up for a second."""
        free = float(lab.run("front", "send", "172.31.2.5", "81", "2000000"))
        with lab.changed(lambda plan: lab.port("back").update(bandwidth_bps=8000000)):
            to = float(lab.run("front", "send", "172.31.2.5", "81", "2000000"))
            out = float(lab.run("back", "send", WORLD, "9100", "3000000"))
            print("2 MB: %.2f s free, %.2f s in; 3 MB: %.2f s out" % (free, to, out))
            assert free < 1 < to and 1 < out
            sh("ip", "netns", "exec", NS, "tc", "qdisc", "del", "dev", tap(lab.port("back")), "root")
            lab.apply()
            assert "tbf" in sh("ip", "netns", "exec", NS, "tc", "qdisc")
        assert "tbf" not in sh("ip", "netns", "exec", NS, "tc", "qdisc")
        assert float(lab.run("front", "send", "172.31.2.5", "81", "2000000")) < 1

    def test_counters(lab):
        def read():
            words = lab.tool.ask("counters", path).split()
            return {words[i]: (int(words[i + 1]), int(words[i + 2])) for i in range(0, len(words), 3)}
        path = lab.write()
        before = read()
        assert len(before) == len(lab.plan["ports"])
        lab.run("front", "send", "172.31.2.5", "81", "100000")
        after = read()
        front, back = lab.port("front")["id"], lab.port("back")["id"]
        assert 100000 < after[front][0] - before[front][0] < 200000 > after[back][1] - before[back][1] > 100000
        print("counters: %.1f ms" % lab.tool.ms)

    def test_dhcp_options(lab):
        def other(plan):
            plan.update(dhcp_domain="corp.example.org", dhcp_dns=["172.31.9.9", "AmazonProvidedDNS"], dhcp_ntp=["172.31.9.1"])
        with lab.changed(other):
            lease = json.loads(lab.run("back", "dhcp"))
            assert lease["domain"] == "corp.example.org" and lease["dns"] == "172.31.9.9"
        lease = json.loads(lab.run("back", "dhcp"))
        assert lease["domain"] == "ec2.internal" and lease["dns"] == "172.31.0.2"
        with lab.changed(lambda plan: plan.update(dns_support=False)):
            lease = json.loads(lab.run("back", "dhcp"))
            assert lease["dns"] is None
            assert lab.fails("back", "dns", "172.31.0.2", "ip-172-31-1-5.ec2.internal")

    def test_dns_names(lab):
        name = "ec2-203-0-113-10.compute-1.example.org"
        assert lab.run("back", "dns", "172.31.0.2", name) == "172.31.1.5"
        for known in (name, "ip-10-50-1-5.ec2.internal"):   # no other kind of address, and nobody else is asked
            assert lab.run("back", "dns", "172.31.0.2", "aaaa:" + known, check=False).stderr == "rcode 0\n"
        with lab.changed(lambda plan: plan.update(dns_hostnames=False)):
            assert lab.fails("back", "dns", "172.31.0.2", name)
            assert lab.run("back", "dns", "172.31.0.2", "ip-10-50-1-5.ec2.internal") == "10.50.1.5"

    def handles():
        return re.findall(r"table .* # handle .*", sh("ip", "netns", "exec", NS, "nft", "-a", "list", "ruleset"))

    def test_changes_are_differences(lab):
        """The filter is never loaded anew while it is what it was left as."""
        extra = port(7, PRIVATE, "172.31.2.7", bandwidth_bps=1000000, public_address="203.0.113.70")
        changes = {
            "rule": lambda plan: plan["groups"][0]["rules"].append(rule("ingress", "tcp", 80, 80, "192.0.2.0/24")),
            "group": lambda plan: plan["groups"].append({"id": "sg-08000000000000002", "rules": []}),
            "port": lambda plan: plan["ports"].append(extra),
            "member": lambda plan: plan["ports"].append(dict(extra, host_id="host-2")),
            "public address": lambda plan: lab.port("front").update(public_address="203.0.113.13"),
            "limit": lambda plan: lab.port("front").update(bandwidth_bps=10000000),
            "ACL": acl(*EVERYTHING[1:]),
            "router": lambda plan: lab.port("router").update(source_dest_check=True),
            "gateway": lambda plan: plan["nat_gateways"].clear(),
            "no internet gateway": lambda plan: plan.update(has_internet_gateway=False),
        }
        lab.apply()
        before = handles()
        assert len(before) == 2                             # inet and arp
        for what, change in changes.items():
            with lab.changed(change):
                assert handles() == before, what
            assert handles() == before, what
        assert lab.seen("front") == "203.0.113.10" and lab.seen("back") == "203.0.113.50"

    def table_numbers():
        return re.findall(r"lookup (\d{3,})", sh("ip", "-n", NS, "rule"))

    BREAKAGE = {
        "rules": lambda: sh("ip", "-n", NS, "rule", "flush"),
        "table": lambda: [sh("ip", "-n", NS, "route", "flush", "table", t) for t in table_numbers()],
        "chain": lambda: sh("ip", "netns", "exec", NS, "nft", "flush", "chain", "inet", "virga", "forward"),
        "group": lambda: sh("ip", "netns", "exec", NS, "nft", "flush", "chain", "inet", "virga",
                            GROUP.replace("-", "_") + "_in"),
        "element": lambda: sh("ip", "netns", "exec", NS, "nft", "flush", "map", "inet", "virga", "tables"),
        "tap's address": lambda: sh("ip", "-n", NS, "addr", "flush", "dev", "vtst00000000001"),
        "tap down": lambda: sh("ip", "-n", NS, "link", "set", "vtst00000000004", "down"),
        "neighbour": lambda: sh("ip", "-n", NS, "neigh", "flush", "all", "nud", "permanent"),
        "veth": lambda: sh("ip", "-n", NS, "link", "del", "up0"),
        "public routes": lambda: sh("ip", "route", "del", "203.0.113.50"),
    }

    @pytest.mark.parametrize("what", BREAKAGE)
    def test_heals(lab, what):
        lab.apply()
        BREAKAGE[what]()
        if what in ("rules", "table"):
            assert lab.seen("plain") is None and lab.seen("far") is None   # closed, not open
        lab.apply()
        assert lab.seen("front") == "203.0.113.10" and lab.seen("back") == "203.0.113.50"
        assert lab.seen("plain") is None and ping("far", "172.31.2.5")

    def test_new_process_changes_nothing(lab):
        """But the filter, which it cannot know."""
        lab.apply()
        lab.tool.close()
        lab.tool = Tool()
        with silence(NS, "up0", with_filter=False):
            lab.apply()

    def test_remove_leaves_nothing(lab):
        lab.tool.ask("remove", VPC)
        assert sh("nft", "list", "ruleset") == "" and "203.0.113" not in sh("ip", "route")

    @pytest.fixture
    def hosts():
        """Two, and the world behind them: this namespace, as 198.51.100.254."""
        sh("ip", "link", "add", "underlay", "type", "bridge")
        sh("ip", "addr", "add", "198.51.100.254/24", "dev", "underlay")
        sh("ip", "link", "set", "underlay", "up")
        sh("ip", "route", "add", "203.0.113.0/24", "via", "198.51.100.2")
        both = [Host(1), Host(2)]
        for host in both:
            host.run("ip", "route", "add", "default", "via", "198.51.100.254")
        server = subprocess.Popen([sys.executable, GUEST, "serve", "8080"])
        assert wait_for(lambda: ":8080 " in sh("ss", "-Hltn"))
        yield both
        server.kill()
        for host in both:
            host.close()
        sh("ip", "link", "del", "underlay")

    def test_targets_on_another_host(lab, hosts):
        """The NAT gateway and the router are on host 2, the guest that is sent to them on host 1."""
        first, second = hosts
        plan = make_plan()
        back, router, nat = plan["ports"][3], plan["ports"][2], plan["nat_gateways"][0]
        back.update(host_id="host-1", host_address="198.51.100.1")
        for member in (router, nat):
            member.update(host_id="host-2", host_address="198.51.100.2")
        plan["ports"] = [back, router]
        for table in plan["route_tables"]:
            table["routes"].append(route("10.244.1.0/24", "interface", router["id"]))

        def apply():
            plan["generation"] += 1
            for host in hosts:
                host.apply(plan)

        def out():
            return first.ask("get", "198.51.100.254", "8080")
        apply()
        first.guest(plan, back)
        second.guest(plan, router)
        second.run("ip", "-n", "guest", "addr", "add", "10.244.1.1/32", "dev", "eth0")
        assert first.ping("172.31.1.7") and second.ping("172.31.2.5")
        assert out() == "203.0.113.50"
        assert first.ping("10.244.1.1") and second.ping("172.31.2.5", "-I", "10.244.1.1")

        sh("ip", "link", "set", "h2", "down")                   # the gateway's host is gone, another one carries it
        assert out() is None
        nat.update(host_id="host-1", host_address="198.51.100.1")
        plan["generation"] += 1
        first.apply(plan)
        sh("ip", "route", "replace", "203.0.113.0/24", "via", "198.51.100.1")
        assert out() == "203.0.113.50"
        sh("ip", "link", "set", "h2", "up")
        apply()                                                 # the first one has come back
        assert out() == "203.0.113.50" and second.ping("172.31.2.5")
        nat.update(host_id="host-2", host_address="198.51.100.2")
        apply()
        sh("ip", "route", "replace", "203.0.113.0/24", "via", "198.51.100.2")
        assert out() == "203.0.113.50"

        second.run("ip", "-n", NS, "link", "del", "vx0")        # and with it the chain that reads MACs
        apply()
        assert first.ping("10.244.1.1") and out() == "203.0.113.50"

        plan["acls"] = [dict(ACL, entries=[entry(100, True, True), entry(100, False, True, "tcp")])]
        apply()                                                 # asked where the receiver is
        assert out() == "203.0.113.50" and not second.ping("172.31.2.5")
        plan["acls"] = [dict(ACL, subnet_ids=[PUBLIC], entries=[entry(100, False, True)])]
        apply()                                                 # of the gateway's subnet: nothing goes out
        assert out() is None and not first.ping("172.31.1.7")
        plan["acls"] = []
        router["source_dest_check"] = True
        apply()
        assert first.ping("172.31.1.7") and not first.ping("10.244.1.1")
        plan["nat_gateways"] = []
        apply()
        assert out() is None
        for host in hosts:
            host.tool.ask("remove", VPC)
            assert re.findall(r"^\d+: ([^:@]+)", host.run("ip", "link"), re.M) == ["lo", "eth0"]
