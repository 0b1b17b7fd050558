# SPDX-License-Identifier: Apache-2.0
"""The load balancers' benchmark: HTTP through a balancer of a VPC against HAProxy alone.

The floor is an HAProxy that has the very configuration which the driver made, with its own paths, in a namespace with
nothing but a bridge to its clients and targets; their addresses are those of the VPC."""
import os
import pathlib
import shutil
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import network  # noqa: E402
from wrk import wrk  # noqa: E402

# Many short rounds: what else the machine does in one of them meets one side alone.
TRANSFER_S, CONNECTIONS, ROUNDS = 1, 32, 8
BARE = "/run/bare"

# Answers faster than a balancer asks.
TARGET = """
global
    nbthread 1
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 5s
frontend target
    bind :80
    http-request return status 200 content-type text/plain string "hello, world"
"""


def run():
    network.run(__file__)


class Plain:
    """A namespace "bare" with a bridge, where HAProxy is, and a namespace "bare-NAME" for each guest of the VPC."""

    def __init__(self, lab, node, addresses):
        self.sh = lab.sh
        self.sh("ip", "netns", "add", "bare")
        self.sh("ip", "-n", "bare", "link", "add", "plain", "type", "bridge")
        self.sh("ip", "-n", "bare", "addr", "add", node + "/24", "dev", "plain")
        for device in ("lo", "plain"):
            self.sh("ip", "-n", "bare", "link", "set", device, "up")
        for name, address in addresses.items():
            self.guest(name, "bare-" + name, address)

    def guest(self, port, name, address):
        self.sh("ip", "netns", "add", name)
        self.sh("ip", "link", "add", port, "netns", "bare", "type", "veth", "peer", "name", "eth0", "netns", name)
        self.sh("ip", "-n", "bare", "link", "set", port, "up", "master", "plain")
        self.sh("ip", "-n", name, "link", "set", "eth0", "up")
        self.sh("ip", "-n", name, "addr", "add", address + "/24", "dev", "eth0")

    def balance(self, directory, socket):
        """HAProxy as the driver runs it, so also in a session of its own, which is what the scheduler weighs; it ends with
        the namespaces."""
        shutil.copytree(directory, BARE)
        config = pathlib.Path(BARE, "haproxy.cfg")
        text = config.read_text()
        assert directory in text and socket in text
        config.write_text(text.replace(socket, BARE + "/socket").replace(directory, BARE))
        self.sh("ip", "netns", "exec", "bare", "haproxy", "-W", "-D", "-q", "-p", BARE + "/haproxy.pid", "-f", str(config))


def inside(namespace, *words):
    return subprocess.Popen(["ip", "netns", "exec", namespace, *words])


def rate(namespace, node):
    return wrk(f"http://{node}/", CONNECTIONS, TRANSFER_S, ["ip", "netns", "exec", namespace])[1]


def answers(lab, namespace, node):
    """Waits for one answer that a target gave."""
    script = f"import urllib.request; print(urllib.request.urlopen('http://{node}/', timeout=5).read().decode())"
    return lab.wait_for(lambda: lab.sh("ip", "netns", "exec", namespace, sys.executable, "-c", script,
                                       check=False).stdout == "hello, world\n")


def measure():
    import network_lab as lab
    import test_network_balancer as vpc
    lab.make_world(knows_pool=True)
    pathlib.Path("/run/target.cfg").write_text(TARGET)
    ours, targets = vpc.Lab(vpc.make_plan()), ["web1", "web2"]
    for name, port in zip(vpc.NAMES, list(ours.plan["ports"])):
        ours.plug(name, port)
    floor = Plain(lab, vpc.NODE, {name: vpc.ADDRESSES[name] for name in [*targets, "client"]})
    servers = [inside(side + name, "haproxy", "-db", "-f", "/run/target.cfg")
               for name in targets for side in ("", "bare-")]
    assert all(lab.listening(side + name, 80) for name in targets for side in ("", "bare-"))
    assert lab.wait_for(lambda: set(ours.health().values()) == {"healthy"})
    floor.balance(f"/run/virga/{vpc.VPC}/haproxy", f"/run/virga-tst-{vpc.VPC}.haproxy")
    clients = {"client": [], "bare-client": []}
    assert all(answers(lab, client, vpc.NODE) for client in clients)
    for _ in range(ROUNDS):
        for client, rates in clients.items():
            rates.append(rate(client, vpc.NODE))
    network.row("HTTP requests through a load balancer against HAProxy alone", statistics.median(clients["client"]),
                statistics.median(clients["bare-client"]), "/s", "≥ 0.9x")
    ours.close()
    for server in servers:
        server.terminate()


if __name__ == "__main__":
    measure()
