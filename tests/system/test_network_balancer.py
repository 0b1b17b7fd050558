# SPDX-License-Identifier: Apache-2.0
"""Load balancers of a VPC on one host, with real packets and a real HAProxy, driven by plans.

    172.31.1.0/24   "web1", "web2" (targets), "client", "stranger" (no group lets it in)
    172.31.1.100    the node of an application balancer, public address 203.0.113.100
    172.31.1.101    the node of a network balancer

The balancers' port names its groups; targets let nobody in but the balancer's group."""
import json, os, pathlib, signal, subprocess, sys, time
import pytest

from network_lab import (INSIDE, VPC, Host, PlanLab, Tool, listening, make_world, needs_tool, rule, run_inside, sh, silence,
                         wait_for)

if not INSIDE:
    @needs_tool
    def test_in_namespaces():
        run_inside(__file__, 240)


GUEST = str(pathlib.Path(__file__).resolve().parent / "balancer_guest.py")
NS = f"virga-tst-{VPC}"
SUBNET = "subnet-08000000000000001"
WEB, FRONT, CLIENT, STRANGE = (f"sg-0800000000000000{n}" for n in (1, 2, 3, 4))
ALB, NLB = "elb-08000000000000001", "elb-08000000000000002"
BLUE, GREEN, RAW = (f"tg-0800000000000000{n}" for n in (1, 2, 3))
NODE, NODE2, PUBLIC = "172.31.1.100", "172.31.1.101", "203.0.113.100"
ADDRESSES = {"web1": "172.31.1.11", "web2": "172.31.1.12", "client": "172.31.1.21", "stranger": "172.31.1.22"}
NAMES = list(ADDRESSES)


def port(number, address, groups, **more):
    return dict({"id": f"eni-080000000000000{number:02x}", "subnet_id": SUBNET, "mac": f"02:00:00:00:00:{number:02x}",
                 "address": address, "host_id": "host-1", "group_ids": groups, "source_dest_check": True}, **more)


def target_group(group_id, protocol, targets, **more):
    return dict({"id": group_id, "protocol": protocol, "algorithm": "roundrobin", "health_enabled": True,
                 "health_protocol": "HTTP", "health_path": "/health", "health_codes": "200-299", "health_port": 80,
                 "health_interval_s": 30, "health_timeout_s": 5, "healthy_threshold": 5, "unhealthy_threshold": 2,
                 "targets": [{"address": ADDRESSES[name], "port": number} for name, number in targets]}, **more)


def forward(*groups, priority=0, conditions=(), **more):
    return dict(priority=priority, conditions=list(conditions), action="forward", **more,
                forwards=[{"target_group_id": g, "weight": w} for g, w in groups])


def make_plan():
    everybody = [rule("egress", "-1")]
    return {"id": VPC, "generation": 0, "cidrs": ["172.31.0.0/16"], "vni": 7, "domain": "ec2.internal",
            "subnets": [{"id": SUBNET, "zone": "us-east-1a", "cidr": "172.31.1.0/24"}],
            "ports": [port(1, ADDRESSES["web1"], [WEB]), port(2, ADDRESSES["web2"], [WEB]),
                      port(3, ADDRESSES["client"], [CLIENT]), port(4, ADDRESSES["stranger"], [STRANGE]),
                      port(5, NODE, [FRONT], of_balancer=True, public_address=PUBLIC),
                      port(6, NODE2, [FRONT], of_balancer=True)],
            "groups": [{"id": WEB, "rules": everybody + [rule("ingress", "-1", group=FRONT)]},
                       {"id": FRONT, "rules": everybody + [rule("ingress", "-1", group=CLIENT),
                                                           rule("ingress", "-1", group=WEB),
                                                           rule("ingress", "tcp", 80, 80, cidr="192.0.2.0/24")]},
                       {"id": CLIENT, "rules": everybody}, {"id": STRANGE, "rules": everybody}],
            "balancers": [{"id": ALB, "type": "application", "port_ids": ["eni-08000000000000005"], "idle_timeout_s": 60,
                           "dns_name": "web-1.us-east-1.elb.amazonaws.com", "http2": True,
                           "listeners": [{"id": "lsn-08000000000000001", "protocol": "HTTP", "port": 80,
                                          "rules": [forward((BLUE, 1))]}]}],
            "target_groups": [target_group(BLUE, "HTTP", [("web1", 80), ("web2", 80)])]}


class Lab(PlanLab):
    def start(self, name, *words):
        process = subprocess.Popen(["ip", "netns", "exec", name, sys.executable, GUEST, *words], text=True,
                                   stdout=subprocess.PIPE)
        self.processes.append(process)
        return process

    def run(self, name, *words):
        """What a guest's program prints, or None if it fails."""
        done = sh("ip", "netns", "exec", name, sys.executable, GUEST, *words, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def get(self, path="/", *headers, name="client", node=NODE, number=80, scheme="http"):
        answer = self.run(name, "get", f"{scheme}://{node}:{number}{path}", *headers)
        return json.loads(answer) if answer else None

    def said(self, *words, **more):
        answer = self.get(*words, **more)
        return json.loads(answer["body"]) if answer and answer["status"] == 200 else None

    def names(self, count=8, **more):
        return {(self.said(**more) or {}).get("name") for _ in range(count)}

    def health(self):
        words = self.tool.ask("health", f"/run/plan-{self.plan['generation']}.json").split()
        return dict(zip(words[::2], words[1::2]))

    def rules(self, *rules):
        return self.changed(lambda plan: plan["balancers"][0]["listeners"][0].update(rules=list(rules)))


@pytest.fixture(scope="module")
def lab():
    make_world(knows_pool=True)
    it = Lab(make_plan())
    for name, port in zip(NAMES, list(it.plan["ports"])):
        it.plug(name, port)
    for name in ("web1", "web2"):
        it.start(name, "serve", name, "80")
        it.start(name, "echo", "7")
        it.start(name, "sign", name, "9")
    assert all(listening(name, 80) and listening(name, 7) for name in ("web1", "web2"))
    assert wait_for(lambda: set(it.health().values()) == {"healthy"})
    yield it
    it.close()


def haproxy_pid():
    return int(pathlib.Path(f"/run/virga/{VPC}/haproxy/haproxy.pid").read_text())


if INSIDE:
    def test_requests_are_spread(lab):
        assert lab.names() == {"web1", "web2"}
        said = lab.said("/a/b?c=d", "X-Forwarded-For: 198.51.100.7")
        assert said["path"] == "/a/b?c=d" and said["peer"] == NODE
        assert said["fields"]["x-forwarded-for"] == "198.51.100.7, " + ADDRESSES["client"]
        assert said["fields"]["x-forwarded-proto"] == "http" and said["fields"]["x-forwarded-port"] == "80"
        assert said["fields"]["x-amzn-trace-id"].startswith("Root=1-")

    def test_public_address(lab):
        said = lab.said(name="world", node=PUBLIC)
        assert said["fields"]["x-forwarded-for"] == "192.0.2.1"

    def test_security_groups(lab):
        closed = [lab.start(name, "get", f"http://{where}/") for name, where in (
            ("stranger", NODE), ("client", ADDRESSES["web1"]),  # only the balancer may
            ("client", NODE + ":81"))]
        for process in closed:
            assert process.communicate()[0] == "" and process.returncode != 0
        with lab.changed(lambda plan: plan["groups"][0].update(rules=[])):
            assert lab.said() is None
        with lab.changed(lambda plan: plan["groups"][1]["rules"].pop(0)):  # the balancer's own egress
            assert lab.said() is None
        assert wait_for(lambda: set(lab.health().values()) == {"healthy"})

    def test_hairpin(lab):
        assert {(lab.said(name="web1") or {}).get("name") for _ in range(8)} == {"web1", "web2"}

    def test_health(lab):
        sick = pathlib.Path("/run/web1.sick")
        sick.write_text("")
        start = time.monotonic()
        key = f"{BLUE}/{ADDRESSES['web1']}:80"
        assert wait_for(lambda: lab.health()[key] == "unhealthy/code/500") and time.monotonic() - start < 5
        assert lab.names() == {"web2"}
        pathlib.Path("/run/web2.sick").write_text("")
        # None is healthy: all are tried.
        assert wait_for(lambda: "healthy" not in lab.health().values())
        assert lab.get()["status"] == 500
        for name in ("web1", "web2"):
            pathlib.Path(f"/run/{name}.sick").unlink()
        start = time.monotonic()
        assert wait_for(lambda: set(lab.health().values()) == {"healthy"}) and time.monotonic() - start < 5
        assert lab.names() == {"web1", "web2"}

    def test_rules(lab):
        def path(value):
            return {"field": "path", "values": [value]}

        fixed = dict(action="fixed-response", content_type="text/html", body="<b>it's \"%[env(HOME)]\" $HOME\n#</b>")
        with lab.rules(
                forward((BLUE, 1)),
                dict(priority=10, conditions=[path("/old/*")], action="redirect", status=301, protocol="HTTPS",
                     port="443", host="new.#{host}", path="/#{path}", query="#{query}"),
                dict(priority=20, status=418, conditions=[{"field": "host", "values": ["*.Example.org", "a?.example.com"]}],
                     **fixed),
                dict(priority=30, status=202, action="fixed-response", conditions=[
                    {"field": "header", "name": "X-Kind", "values": ["b*", "exact (1+1)"]}]),
                dict(priority=40, status=203, action="fixed-response", conditions=[
                    {"field": "query", "keys": ["v", ""], "values": ["2?", "any"]}]),
                dict(priority=50, status=204, action="fixed-response", conditions=[
                    path("/x'y\"z%20*"), {"field": "method", "values": ["GET"]}]),
                dict(priority=60, status=205, action="fixed-response", conditions=[
                    {"field": "source-ip", "values": [ADDRESSES["web1"] + "/32"]}, path("/who")]),
                dict(priority=70, status=409, action="fixed-response", conditions=[path("/old/never")])):
            old = lab.get("/old/page?a=b&c=%20d", "Host: x.org")
            assert old["status"] == 301
            assert old["fields"]["location"] == "https://new.x.org:443/old/page?a=b&c=%20d"
            assert lab.get("/old/never", "Host: x.org")["fields"]["location"] == "https://new.x.org:443/old/never"
            for host, status in (("www.example.org", 418), ("WWW.EXAMPLE.ORG:80", 418), ("ab.example.com", 418),
                                 ("abc.example.com", 200), ("example.org", 200), ("wwwxexample.org", 200)):
                assert lab.get("/", f"Host: {host}")["status"] == status, host
            answer = lab.get("/", "Host: www.example.org")
            assert answer["body"] == fixed["body"] and answer["fields"]["content-type"] == "text/html"
            for value, status in (("bee", 202), ("exact (1+1)", 202), ("exact (11)", 200), ("a", 200)):
                assert lab.get("/", f"X-Kind: {value}")["status"] == status, value
            for query, status in (("v=21", 203), ("x=1&V=2a&y", 203), ("w=any", 203), ("v=2", 200), ("xv=21", 200)):
                assert lab.get("/?" + query)["status"] == status, query
            assert lab.get("/x'y\"z%20w")["status"] == 204
            assert lab.get("/who")["status"] == 200 and lab.get("/who", name="web1")["status"] == 205

    def test_weights_and_stickiness(lab):
        def split(plan):
            plan["target_groups"] = [target_group(BLUE, "HTTP", [("web1", 80)]),
                                     target_group(GREEN, "HTTP", [("web2", 80)])]
            plan["balancers"][0]["listeners"][0]["rules"] = [forward((BLUE, 0), (GREEN, 5))]

        with lab.changed(split):
            assert wait_for(lambda: set(lab.health().values()) == {"healthy"})
            assert lab.names() == {"web2"}
            with lab.rules(forward((BLUE, 1), (GREEN, 3))):
                shares = json.loads(lab.run("client", "count", f"http://{NODE}/", "100"))
                assert 10 <= shares["web1"] <= 40 and sum(shares.values()) == 100, shares
        with lab.changed(lambda plan: (split(plan), plan["balancers"][0]["listeners"][0]["rules"][0].update(
                sticky_s=60, forwards=[{"target_group_id": g, "weight": 1} for g in (BLUE, GREEN)]))):
            assert wait_for(lambda: set(lab.health().values()) == {"healthy"})
            answer = lab.get()
            cookie, name = answer["fields"]["set-cookie"].split(";")[0], json.loads(answer["body"])["name"]
            assert cookie.startswith("AWSALBTG=")
            assert {lab.said("/", "Cookie: " + cookie)["name"] for _ in range(8)} == {name}
        with lab.changed(lambda plan: plan["target_groups"][0].update(sticky="lb_cookie", sticky_s=60)):
            answer = lab.get()
            cookie, name = answer["fields"]["set-cookie"].split(";")[0], json.loads(answer["body"])["name"]
            assert cookie.startswith("AWSALB=") and name not in cookie
            assert {lab.said("/", "Cookie: " + cookie)["name"] for _ in range(8)} == {name}

    def test_reload_drops_nothing(lab):
        slow = [lab.start("client", "get", f"http://{NODE}/slow") for _ in range(4)]
        start = time.monotonic()
        for count in range(6):
            with lab.rules(forward((BLUE, 1)), dict(priority=7 + count, status=200, action="fixed-response",
                                                    conditions=[{"field": "path", "values": ["/seven"]}])):
                assert lab.get("/seven")["body"] == ""
                assert lab.said()  # what was healthy still is
        assert time.monotonic() - start < 30
        for process in slow:
            assert json.loads(json.loads(process.communicate(timeout=10)[0])["body"])["path"] == "/slow"

    def test_deregistered_target_finishes(lab):
        """It gets nothing new at once, and what it is at goes on to its end."""
        slow = [lab.start("client", "get", f"http://{NODE}/slow") for _ in range(4)]
        assert wait_for(lambda: ":80 " in sh("ip", "netns", "exec", "web1", "ss", "-Htn", "state", "established"))
        with lab.changed(lambda plan: plan["target_groups"][0]["targets"].pop(0)):
            assert lab.names(4) == {"web2"}
            said = [json.loads(json.loads(process.communicate(timeout=10)[0])["body"]) for process in slow]
            assert "web1" in {it["name"] for it in said} and {it["path"] for it in said} == {"/slow"}
        assert wait_for(lambda: set(lab.health().values()) == {"healthy"})

    def test_a_bad_plan_changes_nothing(lab):
        with pytest.raises(AssertionError, match="malformed rule"):
            with lab.rules(forward((BLUE, 1)), dict(priority=1, status=301, action="redirect", path="/a\n    bind :1",
                                                    conditions=[{"field": "path", "values": ["/"]}])):
                pass
        lab.plan["balancers"][0]["listeners"][0]["rules"] = [forward((BLUE, 1))]
        assert lab.said()

    def test_lost_pieces_return(lab):
        pid = haproxy_pid()
        os.kill(pid, signal.SIGKILL)
        assert wait_for(lambda: lab.get() is None)
        lab.apply()
        assert haproxy_pid() != pid and lab.said()
        assert wait_for(lambda: set(lab.health().values()) == {"healthy"})
        sh("ip", "netns", "exec", NS, "nft", "flush", "ruleset")
        sh("ip", "-n", NS, "addr", "del", NODE + "/32", "dev", "lo")
        lab.apply()
        assert lab.said() and lab.get(name="stranger") is None

    def test_adopted(lab):
        lab.apply()
        pid = haproxy_pid()
        lab.tool.close()
        assert lab.said()
        lab.tool = Tool()
        lab.apply()
        assert haproxy_pid() == pid and lab.said()

    def test_second_apply_changes_nothing(lab):
        def state():  # with handles: what was made anew has another one
            return sorted(sh("ip", "netns", "pids", NS).split()), sh("ip", "netns", "exec", NS, "nft", "-a", "list", "ruleset")
        lab.apply()
        before = state()
        with silence(NS, "up0"):
            lab.apply()
        assert state() == before

    def test_secrets_are_root_s(lab):
        directory = pathlib.Path(f"/run/virga/{VPC}/haproxy")
        assert directory.stat().st_mode & 0o777 == 0o700
        assert all(path.stat().st_mode & 0o77 == 0 for path in directory.iterdir() if path.suffix != ".pid")
        socket = pathlib.Path(f"/run/virga-tst-{VPC}.haproxy")
        assert socket.stat().st_mode & 0o777 == 0o600

    def test_tcp(lab):
        def network(plan):
            plan["target_groups"].append(target_group(RAW, "TCP", [("web1", 7), ("web2", 7)], health_protocol="TCP",
                                                      health_port=0))
            plan["balancers"].append({"id": NLB, "type": "network", "port_ids": ["eni-08000000000000006"],
                                      "idle_timeout_s": 350, "listeners": [
                                          {"id": "lsn-08000000000000002", "protocol": "TCP", "port": 7,
                                           "rules": [forward((RAW, 1))]}]})

        with lab.changed(network):
            assert wait_for(lambda: set(lab.health().values()) == {"healthy"})
            assert lab.run("client", "line", NODE2, "7") == NODE2
            assert lab.run("stranger", "line", NODE2, "7") is None

    def test_udp(lab):
        def network(plan):
            plan["target_groups"].append(target_group(RAW, "UDP", [("web1", 9), ("web2", 9)], healthy_threshold=1,
                                                      unhealthy_threshold=1))
            plan["balancers"].append({"id": NLB, "type": "network", "port_ids": ["eni-08000000000000006"],
                                      "idle_timeout_s": 350, "listeners": [
                                          {"id": "lsn-08000000000000002", "protocol": "UDP", "port": 53,
                                           "rules": [forward((RAW, 1))]}]})

        def ask(name="client", count=12, node=NODE2):
            return set(json.loads(lab.run(name, "ask", node, "53", str(count))))

        both = {f"web1 {NODE2}", f"web2 {NODE2}"}
        with lab.changed(network):
            assert wait_for(lambda: set(lab.health().values()) == {"healthy"})
            lab.apply()
            assert ask() == both
            assert ask("web1") == both  # a target, too
            assert ask("stranger", 2) == {None}
            pathlib.Path("/run/web1.sick").write_text("")
            assert wait_for(lambda: lab.health()[f"{RAW}/{ADDRESSES['web1']}:9"].startswith("unhealthy"))
            lab.apply()
            assert ask() == {f"web2 {NODE2}"}
            pathlib.Path("/run/web1.sick").unlink()
            assert wait_for(lambda: set(lab.health().values()) == {"healthy"})
            lab.apply()
            assert ask() == both
            with lab.changed(lambda plan: plan["ports"][5].update(public_address="203.0.113.101")):
                assert ask("world", 2, "203.0.113.101") == {None}  # its groups do not let the world in
                with lab.changed(lambda plan: plan["groups"][1]["rules"].append(rule("ingress", "udp", 53, 53))):
                    assert ask("world", 12, "203.0.113.101") == both
        assert ask("client", 1) == {None}

    def test_tls(lab):
        sh("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=one.example.org",
           "-keyout", "/run/key.pem", "-out", "/run/cert.pem")
        pem = pathlib.Path("/run/cert.pem").read_text() + pathlib.Path("/run/key.pem").read_text()

        def secure(plan):
            plan["balancers"][0]["listeners"].append({
                "id": "lsn-08000000000000003", "protocol": "HTTPS", "port": 443, "tls_min": "TLSv1.2",
                "alpn": ["h2", "http/1.1"], "certificates": [{"id": "one", "pem": pem}], "rules": [forward((BLUE, 1))]})

        with lab.changed(secure):
            said = lab.said(number=443, scheme="https")
            assert said["fields"]["x-forwarded-proto"] == "https" and said["fields"]["x-forwarded-port"] == "443"
            kept = [path for path in pathlib.Path(f"/run/virga/{VPC}/haproxy").glob("*.pem")]
            assert len(kept) == 1 and kept[0].stat().st_mode & 0o777 == 0o600 and kept[0].stat().st_uid == 0
            with lab.changed(lambda plan: plan["balancers"][0]["listeners"][1].update(tls_min="TLSv1.3", tls_max="TLSv1.3")):
                done = sh("ip", "netns", "exec", "client", "openssl", "s_client", "-tls1_2", "-connect", NODE + ":443",
                          check=False, stdin=subprocess.DEVNULL)
                assert done.returncode != 0
                assert lab.said(number=443, scheme="https")

        def network(plan):
            plan["target_groups"].append(target_group(RAW, "TCP", [("web1", 7)], health_protocol="TCP", health_port=0))
            plan["balancers"].append({"id": NLB, "type": "network", "port_ids": ["eni-08000000000000006"],
                                      "idle_timeout_s": 350, "listeners": [
                                          {"id": "lsn-08000000000000002", "protocol": "TLS", "port": 8443,
                                           "tls_min": "TLSv1.2", "certificates": [{"id": "one", "pem": pem}],
                                           "rules": [forward((RAW, 1))]}]})
        with lab.changed(network):
            assert wait_for(lambda: set(lab.health().values()) == {"healthy"})
            assert lab.run("client", "line", NODE2, "8443", "tls") == NODE2
            assert not lab.run("client", "line", NODE2, "8443")
        assert not list(pathlib.Path(f"/run/virga/{VPC}/haproxy").glob("*.pem"))

    def test_network_acls(lab):
        """Those of the node's subnet and of the other side's are asked about what crosses the boundary, answers too."""
        far = port(7, "172.31.2.21", [CLIENT], subnet_id="subnet-08000000000000002")
        lab.plan["subnets"].append({"id": far["subnet_id"], "zone": "us-east-1a", "cidr": "172.31.2.0/24"})
        lab.plan["ports"].append(far)
        lab.plan["groups"][2]["rules"].append(rule("ingress", "-1", group=FRONT))
        lab.plan["target_groups"] += [target_group(GREEN, "HTTP", [], health_timeout_s=2),
                                      target_group(RAW, "UDP", [("web1", 9), ("web2", 9)])]
        lab.plan["target_groups"][1]["targets"] = [{"address": far["address"], "port": 80}]
        lab.plan["balancers"][0]["listeners"][0]["rules"].append(forward(
            (GREEN, 1), priority=5, conditions=[{"field": "path", "values": ["/far"]}]))
        lab.plan["balancers"].append({"id": NLB, "type": "network", "port_ids": ["eni-08000000000000006"],
                                      "idle_timeout_s": 350, "listeners": [
                                          {"id": "lsn-08000000000000002", "protocol": "UDP", "port": 53,
                                           "rules": [forward((RAW, 1))]}]})
        lab.plug("far", far)
        lab.start("far", "serve", "far", "80")
        assert wait_for(lambda: set(lab.health().values()) == {"healthy"})
        lab.apply()

        def entry(egress, allow, protocol="-1", low=-1, high=-1, cidr="0.0.0.0/0", number=100):
            return dict(number=number, egress=egress, allow=allow, protocol=protocol, from_port=low, to_port=high, cidr4=cidr)

        def acl(subnet, *entries):
            return lab.changed(lambda plan: plan.update(acls=[{
                "id": "acl-08000000000000001", "subnet_ids": [subnet],
                "entries": [*entries, entry(False, True, number=1000), entry(True, True, number=1000)]}]))

        def reached():
            tries = {name: lab.start(name, "get", f"http://{PUBLIC if name == 'world' else NODE}/")
                     for name in ("client", "far", "world")}
            asked = lab.start("far", "ask", NODE2, "53", "2")
            there = {name for name, process in tries.items() if process.communicate()[0]}
            return there | ({"udp"} if None not in json.loads(asked.communicate()[0]) else set())
        assert reached() == {"client", "far", "world", "udp"}
        with acl(SUBNET, entry(False, False, cidr="172.31.2.0/24")):
            assert reached() == {"client", "world"}
        with acl(SUBNET, entry(False, False, "tcp", 80, 80)):
            assert reached() == {"client", "udp"}
        with acl(SUBNET, entry(True, False, "tcp", 1024, 65535)):
            assert reached() == {"client", "udp"}       # answers are denied
        with acl(far["subnet_id"], entry(True, False, "tcp", 80, 80)):
            assert reached() == {"client", "world", "udp"}
        with acl(far["subnet_id"], entry(False, False, "tcp", 80, 80)):
            assert reached() == {"client", "far", "world", "udp"}
            assert wait_for(lambda: lab.health()[f"{GREEN}/{far['address']}:80"].startswith("unhealthy"))
        assert wait_for(lambda: set(lab.health().values()) == {"healthy"}) and lab.said("/far")["name"] == "far"
        lab.plan.update(make_plan(), generation=lab.plan["generation"])
        lab.tool.ask("tap-remove", VPC, "vtst" + far["id"][-11:])
        lab.apply()

    def test_gone_elsewhere(lab):
        with lab.changed(lambda plan: plan["ports"][4].update(host_id="host-2")):
            assert lab.said() is None
            assert not pathlib.Path(f"/run/virga/{VPC}/haproxy").exists()
        assert lab.said()
        lab.tool.ask("remove", VPC)
        assert not pathlib.Path(f"/run/virga/{VPC}").exists()

    def test_target_on_another_host():
        """The client and the node are on one host, the target is on another: by HTTP, TCP and UDP, and back from it."""
        sh("ip", "link", "add", "underlay", "type", "bridge")
        sh("ip", "link", "set", "underlay", "up")
        first, second = hosts = [Host(1), Host(2)]
        plan = make_plan()
        target, client, node, other = (plan["ports"][n] for n in (0, 2, 4, 5))
        plan["ports"] = [target, client, node, other]
        for host, members in ((1, (client, node, other)), (2, (target,))):
            for member in members:
                member.update(host_id=f"host-{host}", host_address=f"198.51.100.{host}")
        health = dict(health_protocol="HTTP", health_port=80)
        plan["target_groups"] = [target_group(BLUE, "HTTP", [("web1", 80)]), target_group(RAW, "UDP", [("web1", 9)], **health),
                                 target_group(GREEN, "TCP", [("web1", 7)], **health)]
        plan["balancers"].append({"id": NLB, "type": "network", "port_ids": [other["id"]], "idle_timeout_s": 350, "listeners": [
            {"id": f"lsn-0800000000000001{number}", "protocol": protocol, "port": number, "rules": [forward((group, 1))]}
            for protocol, number, group in (("UDP", 9, RAW), ("TCP", 7, GREEN))]})
        first.guest(plan, client)
        second.guest(plan, target)
        enter = [*second.enter, "ip", "netns", "exec", "guest", sys.executable, GUEST]
        servers = [subprocess.Popen([*enter, *words])
                   for words in (("serve", "web1", "80"), ("echo", "7"), ("sign", "web1", "9"))]

        def asked(host, *words):
            done = host.run("ip", "netns", "exec", "guest", sys.executable, GUEST, *words, check=False)
            return done.stdout.strip() if done.returncode == 0 else None
        assert wait_for(lambda: first.tool.ask("health", "/run/plan.json").split()[1::2] == ["healthy"] * 3)
        plan["generation"] += 1
        for host in hosts:
            host.apply(plan)
        for host in hosts:
            assert json.loads(json.loads(asked(host, "get", f"http://{NODE}/"))["body"])["name"] == "web1"
            assert asked(host, "line", NODE2, "7") == NODE2
            assert set(json.loads(asked(host, "ask", NODE2, "9", "4"))) == {f"web1 {NODE2}"}
        for server in servers:
            server.kill()
        for host in hosts:
            host.tool.ask("remove", VPC)
            host.close()
        sh("ip", "link", "del", "underlay")
