# SPDX-License-Identifier: Apache-2.0
"""Daemons are killed in the middle of everything, and everything comes to its right end by itself.

VIRGA_SURVIVAL_ROUNDS: how many rounds (16); VIRGA_SURVIVAL_SEED: to have the same ones again."""
import os
import random
import time

import pytest

from botocore.config import Config
from cloud import DAEMONS
from conftest import run, wait_for

ROUNDS = int(os.environ.get("VIRGA_SURVIVAL_ROUNDS", "16"))
SETTLED_S = 60  # for an instance to reach its state after the last kill
KILLS = [(daemon,) for daemon in DAEMONS] + [("virgad", "virga-node"), ("postgresql", "libvirtd"),
                                             ("virga-node", "libvirtd"), ("postgresql", "virgad")]


class Life:
    """One instance that goes through launch, stop, start and terminate, again and again.  Its disk
    is empty: a domain that runs is enough, and is soon there."""

    verbs = ("launch", "stop", "start", "terminate")
    ends = {"launch": "running", "stop": "stopped", "start": "running", "terminate": "terminated"}

    def __init__(self, cloud, image):
        self.cloud = cloud
        self.image = image
        self.instance = None
        self.all = []
        self.ec2 = cloud.client("ec2", config=Config(retries={"total_max_attempts": 1},
                                                     read_timeout=10, connect_timeout=5))

    def do(self, verb, token):
        """Makes the request; kills may come before, during and after."""
        if verb == "launch":
            answer = self.cloud.ask(lambda: self.ec2.run_instances(
                ImageId=self.image, InstanceType="t3.nano", MinCount=1, MaxCount=1, ClientToken=token))
            self.instance = answer["Instances"][0]["InstanceId"]
            assert self.instance not in self.all
            self.all.append(self.instance)
            return
        ids = [self.instance]
        calls = {"stop": lambda: self.ec2.stop_instances(InstanceIds=ids, Force=True),
                 "start": lambda: self.ec2.start_instances(InstanceIds=ids),
                 "terminate": lambda: self.ec2.terminate_instances(InstanceIds=ids)}
        self.cloud.ask(calls[verb])

    def describe(self):
        return self.ec2.describe_instances(InstanceIds=[self.instance])["Reservations"][0]["Instances"][0]

    def wait(self, state):
        seen = []

        def there():
            said = self.cloud.ask(self.describe)
            seen[:] = [said["State"]["Name"], said.get("StateReason")]
            return seen[0] == state
        try:
            wait_for(there, SETTLED_S, "%s of %s" % (state, self.instance), 0.1)
        except TimeoutError as error:
            raise AssertionError("%s: it is %s\n%s" % (
                error, seen, self.cloud.virga("why", self.instance, check=False).stdout))

    def check(self, state):
        """The world is as the state says."""
        running = self.cloud.guest_pid(self.instance)
        assert (running is not None) == (state == "running"), (state, running)
        said = self.cloud.ask(self.describe)
        assert ("PublicIpAddress" in said) == (state == "running")


@pytest.fixture(scope="module")
def blank(cloud, tmp_path_factory):
    path = str(tmp_path_factory.mktemp("blank") / "disk.qcow2")
    run(["qemu-img", "create", "-q", "-f", "qcow2", path, "1M"])
    return cloud.import_image(path, "blank")


@pytest.fixture(scope="module")
def elder(cloud):
    """The guest that nothing may touch: its process and its boot stay the same."""
    instance = cloud.launch()
    cloud.wait_ssh(instance)
    boot = cloud.boot_id(instance)
    assert boot
    return instance, cloud.guest_pid(instance), boot


def check_elder(cloud, elder):
    instance, pid, boot = elder
    assert cloud.guest_pid(instance) == pid
    assert cloud.boot_id(instance) == boot
    wait_for(lambda: cloud.state_of(instance) == "running", 30, "state running", 0.2)


@pytest.fixture(scope="module")
def life(cloud, blank, elder):
    return Life(cloud, blank)


def kill(cloud, daemons):
    """A daemon that is just being started again is left to it."""
    former = {}
    for daemon in daemons:
        try:
            former[daemon] = cloud.kill(daemon)
        except (AssertionError, ProcessLookupError):
            pass
    return former


def wait_daemons(cloud):
    wait_for(lambda: all(cloud.pid(daemon) for daemon in DAEMONS), 30, "all daemons")


def wait_well(cloud):
    wait_for(lambda: "All is well." in cloud.virga("status", check=False).stdout, 60, "health", 0.3)


def test_random_kills(cloud, life, elder):
    seed = os.environ.get("VIRGA_SURVIVAL_SEED", str(random.randrange(1 << 32)))
    chance = random.Random(seed)
    print("VIRGA_SURVIVAL_SEED=%s" % seed)
    token = "survival-%s-%d"
    # Each kind of kill meets each verb in turn; when, is chance.
    for number in range(ROUNDS):
        verb = life.verbs[number % len(life.verbs)]
        daemons = KILLS[(number + number // len(life.verbs)) % len(KILLS)]
        early, delay = chance.random() < 0.3, chance.random() ** 2 * 1.5
        print("round %d: %s, kill %s %s %.3f s" % (number, verb, "+".join(daemons),
                                                   "first, then wait" if early else "after", delay))
        started = time.monotonic()
        if early:
            kill(cloud, daemons)
            time.sleep(delay)  # the moment is what is tried here
            life.do(verb, token % (seed, number))
        else:
            life.do(verb, token % (seed, number))
            time.sleep(delay)
            kill(cloud, daemons)
        life.wait(life.ends[verb])
        life.check(life.ends[verb])
        assert cloud.guest_pid(elder[0]) == elder[1]
        wait_daemons(cloud)
        print("    %.1f s" % (time.monotonic() - started))
    wait_well(cloud)
    check_elder(cloud, elder)


def test_everything_at_once(cloud, life, elder):
    """All four and the supervisor, in the middle of a launch; "virga up" is all that helps."""
    life.do("launch", "at-once")
    kill(cloud, ("supervise",) + DAEMONS)
    wait_for(lambda: cloud.pid("supervise") is None, 10, "end of the supervisor")
    cloud.up()
    life.wait("running")
    life.check("running")
    check_elder(cloud, elder)


def test_supervisor_in_a_stop(cloud, life, elder):
    life.do("stop", None)
    kill(cloud, ("supervise",))
    cloud.up()
    life.wait("stopped")
    life.check("stopped")
    check_elder(cloud, elder)


def test_guest_dies_with_its_host_daemon(cloud, life, elder):
    """QEMU and virga-node are killed together: the instance is found stopped, not running."""
    life.do("start", None)
    life.wait("running")
    run(["kill", "-9", str(cloud.guest_pid(life.instance))])
    kill(cloud, ("virga-node",))
    wait_for(lambda: life.cloud.ask(life.describe)["State"]["Name"] in ("stopped", "running"), 60, "an end", 0.2)
    wait_daemons(cloud)
    state = wait_for(lambda: settled(cloud, life), 60, "agreement of state and world", 0.3)
    assert state in ("stopped", "running")
    check_elder(cloud, elder)


def settled(cloud, life):
    state = life.cloud.ask(life.describe)["State"]["Name"]
    alive = cloud.guest_pid(life.instance) is not None
    return state if (state == "running") == alive and state in ("running", "stopped") else None


def test_nothing_leaks(cloud, life, elder):
    wait_well(cloud)
    if life.cloud.ask(life.describe)["State"]["Name"] != "terminated":
        life.do("terminate", None)
        life.wait("terminated")
    cloud.wait_no_leaks(150)  # until what a crash left has been collected
    check_elder(cloud, elder)
    cloud.ec2.terminate_instances(InstanceIds=[elder[0]])
    cloud.wait_state(elder[0], "terminated")
    cloud.wait_no_leaks(150)  # until what a crash left has been collected
    claims = cloud.status()
    assert claims["public_addresses"]["used"] == 0 if isinstance(claims.get("public_addresses"), dict) else True
