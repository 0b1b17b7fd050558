# SPDX-License-Identifier: Apache-2.0
"""What the tests of the kernel network driver share.

Everything happens below one "unshare": its own network ("the host"), mounts, /run and processes,
which vanish together.  Guests are network namespaces; their taps are stood in for by veth pairs,
which the driver moves like any link of the right name, except in the tests of taps themselves."""
import contextlib, copy, json, os, pathlib, select, subprocess, sys, time
import pytest

HERE = pathlib.Path(__file__).resolve().parent
GUEST = str(HERE / "network_guest.py")
INSIDE = os.environ.get("VIRGA_NETWORK_INSIDE")

VPC, VPC2 = "vpc-0800000000000000a", "vpc-0800000000000000b"
SUBNETS = {"subnet-08000000000000001": "172.31.1.0/24", "subnet-08000000000000002": "172.31.2.0/24"}
POOL = "203.0.113.0/24"


def sh(*argv, check=True, **kw):
    done = subprocess.run(argv, text=True, capture_output=True, timeout=30, **kw)
    if check and done.returncode:
        raise AssertionError(f"{argv}: {done.stdout}{done.stderr}")
    return done.stdout.strip() if check else done


needs_tool = pytest.mark.skipif(os.geteuid() != 0 or not os.environ.get("VIRGA_NETWORK_TOOL"),
                                reason="needs root and VIRGA_NETWORK_TOOL")


def run_inside(path, timeout_s=170):
    """The tests of a file once more, in namespaces of their own."""
    script = ("mount -t tmpfs tmpfs /run && mkdir -p /run/netns && mount -t sysfs sysfs /sys && "
              'exec "$0" -m pytest -x -q -s -p no:cacheprovider ' + str(pathlib.Path(path).resolve()))
    done = subprocess.run(["unshare", "-n", "-m", "--fork", "--pid", "--kill-child", "--mount-proc",
                           "sh", "-c", script, sys.executable], timeout=timeout_s,
                          env=dict(os.environ, VIRGA_NETWORK_INSIDE="1"))
    assert done.returncode == 0


def make_world(knows_pool=False, name_server=False):
    """The network outside: "world" (192.0.2.1) on the host's (192.0.2.2) default route.  It may know the way to
    the pool's addresses, and be the host's name server."""
    sh("ip", "link", "set", "lo", "up")
    sh("ip", "netns", "add", "world")
    sh("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", "world")
    sh("ip", "addr", "add", "192.0.2.2/24", "dev", "eth0")
    sh("ip", "link", "set", "eth0", "up")
    sh("ip", "-n", "world", "addr", "add", "192.0.2.1/24", "dev", "eth0")
    for device in ("lo", "eth0"):
        sh("ip", "-n", "world", "link", "set", device, "up")
    if knows_pool:
        sh("ip", "-n", "world", "route", "add", POOL, "via", "192.0.2.2")
    sh("ip", "route", "add", "default", "via", "192.0.2.1")
    if name_server:
        pathlib.Path("/run/resolv.conf").write_text("nameserver 192.0.2.1\n")
        sh("mount", "--bind", "/run/resolv.conf", "/etc/resolv.conf")


class Tool:
    """The driver in a process of its own, as virga-node has it."""

    def __init__(self, host="host-1", enter=(), tunnel=()):
        self.process = subprocess.Popen([*enter, os.environ["VIRGA_NETWORK_TOOL"], host, "/run/virga", POOL,
                                         *tunnel], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.ms = self.cpu_ms = 0.0

    def ask(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        kind, _, rest = self.process.stdout.readline().strip().partition(" ")
        if kind != "ok":
            raise AssertionError(rest)
        ms, cpu_ms, text = (rest + "  ").split(" ", 2)
        self.ms, self.cpu_ms = float(ms), float(cpu_ms)
        return text.strip()

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


def rule(direction, protocol, low=-1, high=-1, cidr="0.0.0.0/0", group=None):
    peer = {"group_id": group} if group else {"cidr4": cidr}
    return dict(direction=direction, protocol=protocol, from_port=low, to_port=high, **peer)


def ping(name, address):
    enter = ["ip", "netns", "exec", name] if name else []
    return sh(*enter, "ping", "-c1", "-W1", address, check=False).returncode == 0


def wait_for(condition):
    """Within five seconds."""
    end = time.monotonic() + 5
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.03)
    return True


def listening(name, port):
    return wait_for(lambda: f":{port} " in sh("ip", "netns", "exec", name, "ss", "-Hltn"))


class Ear:
    """A program that tells of changes, and changes of our own by which it is known to listen."""

    def __init__(self, enter, monitor, mark, changes):
        self.enter, self.mark, self.changes = enter, mark, changes
        self.process = subprocess.Popen([*enter, *monitor], stdout=subprocess.PIPE)
        self.said = b""

    def listens(self):
        """True once its socket is told of changes; a mark of nft's would make the driver look anew."""
        for line in open(f"/proc/{self.process.pid}/net/netlink").read().splitlines()[1:]:
            _, _, port, groups = line.split()[:4]
            if int(port) == self.process.pid and int(groups, 16):
                return True
        return False

    def hear(self):
        """Makes a change until it is heard; all lines until then."""
        def heard():
            if self.mark.encode() not in self.said:
                for command in self.changes:
                    sh(*self.enter, *command)
            if select.select([self.process.stdout], [], [], 0.5)[0]:
                self.said += os.read(self.process.stdout.fileno(), 65536)
            return self.mark.encode() in self.said
        assert wait_for(heard)
        whole, _, self.said = self.said.rpartition(b"\n")
        return whole.decode().splitlines()

    def others(self, lines):
        """Without those of our own changes; nft ends each with a line that begins with "#"."""
        kept, change = [], []
        for line in lines:
            if line.startswith("#"):
                kept += [] if change and all(self.mark in one for one in change) else [*change, line]
                change = []
            else:
                change.append(line)
        return kept + [line for line in change if self.mark not in line]


@contextlib.contextmanager
def silence(namespace=None, device="lo", with_filter=True):
    """Nothing changes meanwhile that ip, and nft unless without, could tell of."""
    enter = ["ip", "netns", "exec", namespace] if namespace else []
    route, table = ["198.51.100.77", "dev", device], ["table", "ip", "ear"]
    ears = [Ear(enter, ["ip", "monitor", "link", "address", "route", "rule"], route[0],
                [["ip", "route", "add", *route], ["ip", "route", "del", *route]])]
    if with_filter:
        ears.append(Ear(enter, ["nft", "monitor"], " ".join(table), [["nft", "add", *table], ["nft", "delete", *table]]))
    try:
        for ear in ears:
            assert wait_for(ear.listens)
        yield
        for ear in ears:
            others = ear.others(ear.hear())
            assert not others, others
    finally:
        for ear in ears:
            ear.process.terminate()
            ear.process.wait()


class PlanLab:
    """One host that does not masquerade, and the plan of its VPC, which is changed for the time of a "with"."""

    def __init__(self, plan):
        os.environ["VIRGA_NETWORK_NO_MASQUERADE"] = "1"
        self.tool = Tool()
        self.plan = plan
        self.processes = []

    def write(self):
        self.plan["generation"] += 1
        path = f"/run/plan-{self.plan['generation']}.json"
        pathlib.Path(path).write_text(json.dumps(self.plan))
        return path

    def apply(self):
        return self.tool.ask("apply", self.write())

    @contextlib.contextmanager
    def changed(self, change):
        old = copy.deepcopy(self.plan)
        change(self.plan)
        self.apply()
        try:
            yield
        finally:
            old["generation"] = self.plan["generation"]
            self.plan = old
            self.apply()

    def plug(self, name, port, addresses=()):
        """A namespace with the port's address, and further ones, behind its tap."""
        path, tap = self.write(), "vtst" + port["id"][-11:]
        self.tool.ask("apply", path)
        sh("ip", "netns", "add", name)
        sh("ip", "link", "add", tap, "type", "veth", "peer", "name", "eth0", "address", port["mac"], "netns", name)
        for device in ("lo", "eth0"):
            sh("ip", "-n", name, "link", "set", device, "up")
        self.tool.ask("plug", path, port["id"])
        for address in (port["address"], *addresses):
            sh("ip", "-n", name, "addr", "add", address + "/24", "dev", "eth0")
        sh("ip", "-n", name, "route", "add", "default", "via", port["address"].rpartition(".")[0] + ".1")

    def close(self):
        self.tool.close()
        for process in self.processes:
            process.kill()


class Host:
    """One of several hosts: network, mounts and /run of its own, and a tunnel address."""

    def __init__(self, number):
        self.keeper = subprocess.Popen(["unshare", "-n", "-m", "sh", "-c", "mount -t tmpfs tmpfs /run && "
                                        "mkdir -p /run/netns && echo ready && exec sleep 1000"],
                                       text=True, stdout=subprocess.PIPE)
        assert self.keeper.stdout.readline() == "ready\n"
        self.enter = ["nsenter", "-t", str(self.keeper.pid), "-n", "-m"]
        sh("ip", "link", "add", f"h{number}", "type", "veth", "peer", "name", "eth0",
           "netns", str(self.keeper.pid))
        sh("ip", "link", "set", f"h{number}", "up", "master", "underlay")
        self.run("ip", "addr", "add", f"198.51.100.{number}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.tool = Tool(f"host-{number}", self.enter, [f"198.51.100.{number}"])

    def run(self, *words, check=True):
        return sh(*self.enter, *words, check=check)

    def apply(self, plan):
        sh(*self.enter, "sh", "-c", "cat > /run/plan.json", input=json.dumps(plan))
        self.tool.ask("apply", "/run/plan.json")

    def guest(self, plan, port):
        tap = "vtst" + port["id"][-11:]
        path = "/run/plan.json"
        self.apply(plan)
        self.run("ip", "netns", "add", "guest")
        self.run("ip", "link", "add", tap, "type", "veth", "peer", "name", "eth0", "address", port["mac"],
                 "netns", "guest")
        self.run("ip", "-n", "guest", "link", "set", "eth0", "up")
        self.tool.ask("plug", path, port["id"])
        lease = json.loads(self.run("ip", "netns", "exec", "guest", sys.executable, GUEST, "dhcp"))
        assert lease["address"] == port["address"] and lease["mtu"] == 1450
        self.run("ip", "-n", "guest", "link", "set", "eth0", "mtu", "1450")
        self.run("ip", "-n", "guest", "addr", "add", lease["address"] + "/24", "dev", "eth0")
        self.run("ip", "-n", "guest", "route", "add", "default", "via", lease["router"])

    def ask(self, *words):
        """What the guest does; None if it fails."""
        done = self.run("ip", "netns", "exec", "guest", sys.executable, GUEST, *words, check=False)
        return done.stdout.strip() if done.returncode == 0 else None

    def close(self):
        self.tool.close()
        self.keeper.kill()
        self.keeper.wait()

    def ping(self, address, *options):
        return self.run("ip", "netns", "exec", "guest", "ping", "-c1", "-W1", *options, address,
                        check=False).returncode == 0
