# SPDX-License-Identifier: Apache-2.0
"""Guests write their volumes and sync every block, while what serves them is killed, switched off and filled up, and
their volumes are copied, grown and moved.  What was synced is there afterwards, and every snapshot is what its volume
was at one moment: see pattern.c for how that is told.

VIRGA_SOAK_SECONDS: how long (0: each kind of fault and each operation a few times); VIRGA_SOAK_SEED: to have the same
rounds again."""
import collections
import os
import random
import subprocess
import threading
import time

import pytest

from botocore.config import Config
from botocore.exceptions import ClientError
from cloud import SSH_OPTIONS, running_cloud
from conftest import run, wait_for
from rack import Host

SECONDS = int(os.environ.get("VIRGA_SOAK_SECONDS", "0"))
BLOCKS = 2048  # of 4 KiB, which the writers go about in
UNKNOWN = 1 << 40  # numbers that a guest may have written that has not told
KEPT = 4  # snapshots of a volume at a time
HOST_MIB = 1536  # the disk of the second host


class Guest:
    """One instance, in which disks are written."""

    def __init__(self, machines, host):
        self.machines, self.cloud, self.host, self.devices = machines, machines.cloud, host, {}
        self.id = self.cloud.launch(wait=False, Placement={"GroupName": "apart"})

    def command(self, command):
        return ["ssh"] + SSH_OPTIONS + ["-o", "ServerAliveInterval=60", "-i", self.cloud.key, "root@" + self.address, command]

    def ssh(self, command, check=True, **options):
        done = run(self.command(command), check=check, **options)
        return done.stdout if check else done

    def insist(self, command):
        """The guest may stand still for a while."""
        done = []

        def answered():
            done[:] = [self.ssh(command, check=False)]
            return done[0].returncode == 0
        wait_for(answered, 90, "answer of " + self.id, 0.3)
        return done[0].stdout

    def wait_login(self):
        """It has booted, maybe anew, and has the program."""
        self.cloud.wait_state(self.id, "running")
        self.address = self.cloud.address(self.id)
        wait_for(lambda: self.ssh("true", check=False).returncode == 0, 120, "login on " + self.id, 0.5)
        if self.ssh("test -x /tmp/pattern", check=False).returncode == 0:
            return
        with open(self.machines.pattern, "rb") as program:
            sent = subprocess.run(self.command("cat >/tmp/new && chmod 755 /tmp/new && sync && mv /tmp/new /tmp/pattern && sync"),
                                  stdin=program, timeout=30)
        assert sent.returncode == 0

    def attach(self, volume):
        device = next("/dev/sd" + letter for letter in "fghijklmnop" if "/dev/sd" + letter not in self.devices.values())
        self.devices[volume] = device
        self.machines.ask("attach_volume", VolumeId=volume, InstanceId=self.id, Device=device)
        return self.disk_of(volume)

    def disk_of(self, volume):
        serial = volume.replace("-", "")
        found = wait_for(lambda: self.insist("grep -l %s /sys/block/*/serial || true" % serial), 60, "disk of " + volume, 0.2)
        return "/dev/" + found.split("/")[3]

    def detach(self, volume):
        self.machines.ask("detach_volume", VolumeId=volume)
        self.devices.pop(volume)
        self.machines.wait_volume(volume, "available")


class Disk:
    """One volume and its writer.  'of' is a guest on the host that has its bytes, 'user' the one that writes it."""

    def __init__(self, machines, seed, of, user, **options):
        self.machines, self.seed, self.user, self.remote = machines, seed, user, of is not user
        self.synced, self.size = 0, 1
        self.volume = machines.new_volume(Size=1, **options)
        self.disk = of.attach(self.volume)
        if self.remote:
            of.detach(self.volume)
            self.disk = user.attach(self.volume)
        self.write()

    def write(self):
        """Goes on after the last number; what was synced is heard of as it happens."""
        command = "/tmp/pattern write %s %d %d %d /tmp/begun.%d" % (self.disk, self.seed, BLOCKS, self.synced + 1, self.seed)
        self.writer = subprocess.Popen(self.user.command(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
        self.ear = threading.Thread(target=self.listen, args=(self.writer.stdout,), daemon=True)
        first = self.synced
        self.ear.start()
        wait_for(lambda: self.synced > first, 60, "block that was written", 0.05)

    def listen(self, lines):
        for line in lines:
            self.synced = int(line)

    def begun(self):
        return int(self.user.ssh("cat /tmp/begun.%d" % self.seed))

    def hush(self):
        self.writer.kill()
        self.writer.wait()
        self.ear.join(30)

    def stop(self):
        """The writer ends; what the disk has is checked."""
        self.user.insist("for it in $(pidof pattern); do grep -q %s /proc/$it/cmdline && kill $it; done; true" % self.disk)
        self.writer.wait(30)
        self.ear.join(30)
        return self.check(self.disk, self.synced, self.begun())

    def check(self, disk, low, high):
        """The last number on a disk, of which every byte is as it has to be."""
        said = self.user.ssh("/tmp/pattern check %s %d %d %d %d" % (disk, self.seed, BLOCKS, low, high), check=False, deadline_s=120)
        assert said.returncode == 0, "%s of %s: %s%s" % (disk, self.volume, said.stdout, said.stderr)
        last, size = map(int, said.stdout.split())
        self.machines.bytes += size
        return last

    def resume(self):
        """The guest is back after an end that it did not expect."""
        self.disk = self.user.disk_of(self.volume)
        self.synced = self.check(self.disk, self.synced, UNKNOWN)
        self.write()

    def wait_on(self):
        """It has not stopped writing; what was still on its way here does not count."""
        begun = int(self.user.insist("cat /tmp/begun.%d" % self.seed))
        wait_for(lambda: self.synced > begun, 90, "further block of " + self.volume, 0.05)


class Machines:
    """The cloud, its two hosts with a guest each, and the faults that they can have."""

    def __init__(self, cloud, second, second_disk, build_dir):
        self.cloud, self.second, self.second_disk = cloud, second, second_disk
        self.pattern = os.path.join(build_dir, "tests", "system", "pattern")
        self.client = cloud.client("ec2", config=Config(retries={"total_max_attempts": 1}, read_timeout=20,
                                                        connect_timeout=5))
        self.zone = cloud.env["AWS_DEFAULT_REGION"] + "a"
        self.snapshots = []  # (id, disk, low, high)
        self.bytes, self.verified, self.told = 0, 0, collections.Counter()
        cloud.ec2.create_placement_group(GroupName="apart", Strategy="spread")
        self.guests = [Guest(self, None) for _ in range(2)]
        for guest in self.guests:
            guest.wait_login()
        self.guests.sort(key=lambda guest: guest.id in second.domains())
        self.guests[1].host = second
        first, other = self.guests
        self.disks = [Disk(self, 1, first, first), Disk(self, 2, other, other, Encrypted=True),
                      Disk(self, 3, first, other)]

    def ask(self, action, deadline_s=60, **parameters):
        return self.cloud.ask(lambda: getattr(self.client, action)(**parameters), deadline_s)

    def new_volume(self, **options):
        return self.ask("create_volume", AvailabilityZone=self.zone, **options)["VolumeId"]

    def wait_volume(self, volume, state):
        wait_for(lambda: self.ask("describe_volumes", VolumeIds=[volume])["Volumes"][0]["State"] == state, 90,
                 "%s %s" % (state, volume), 0.2)

    def wait_well(self):
        wait_for(lambda: "All is well." in self.cloud.virga("status", check=False).stdout, 90, "health", 0.3)

    # ---- faults: each returns the guests that it has ended ----

    def no_fault(self, disk):
        return []

    def kill_controllers(self, disk):
        for daemon in self.chance.choice((("virgad",), ("postgresql",), ("virgad", "postgresql"))):
            self.cloud.kill(daemon)
        return []

    def kill_node(self, disk):
        if disk.user.host:
            disk.user.host.kill("virga-node")
            disk.user.host.start_node()
        else:
            self.cloud.kill("virga-node")
        return []

    def kill_libvirt(self, disk):
        if disk.user.host:
            disk.user.host.kill("libvirtd")
            disk.user.host.start_libvirt()
        else:
            self.cloud.kill("libvirtd")
        return []

    def kill_guest(self, disk):
        os.kill(self.cloud.guest_pid(disk.user.id), 9)
        return [disk.user]

    def kill_all(self, disk):
        """Guest, virga-node and libvirtd, in whatever order the kernel likes."""
        os.kill(self.cloud.guest_pid(disk.user.id), 9)
        self.kill_node(disk)
        self.kill_libvirt(disk)
        return [disk.user]

    def kill_storage(self, disk):
        """What serves the volume of one host to the guest of the other: one side of it, or both."""
        found = run(["pgrep", "-f", "qemu-storage-daemon.*exports/vol-"], check=False).stdout.split()
        for pid in self.chance.sample(found, self.chance.randint(min(1, len(found)), len(found))):
            os.kill(int(pid), 9)
        return []

    def switch_off(self, disk):
        """The second host, and it comes back."""
        self.second.power_off()
        time.sleep(self.chance.random())  # how long is what is tried here
        self.second.power_on()
        return [self.guests[1]]

    def fill_disk(self, disk):
        """Of the second host, for a while: its guest waits, and goes on by itself."""
        ballast = self.second_disk + "/ballast"
        with open(ballast, "wb") as file:
            try:
                while file.write(bytes(1 << 20)):
                    file.flush()
            except OSError:
                pass
        time.sleep(2 * self.chance.random())
        os.unlink(ballast)
        return []

    FAULTS = ("no_fault", "kill_controllers", "kill_node", "kill_libvirt", "kill_guest", "kill_all", "kill_storage",
              "switch_off", "fill_disk")

    # ---- operations: each begins something, and returns what waits for its end, and checks it ----

    def nothing(self, disk):
        return lambda: None

    def begin_snapshot(self, disk):
        """Its id; None if it was refused, for the reasons that there are."""
        try:
            return self.ask("create_snapshot", VolumeId=disk.volume)["SnapshotId"]
        except ClientError as error:  # what did not come to its moment in time was taken back
            assert error.response["Error"]["Code"] in (("IncorrectState",) if disk.remote else ("Unavailable",)), error
            return None

    def snapshot(self, disk):
        low = disk.synced
        id_ = self.begin_snapshot(disk)
        if not id_:
            return lambda: None
        try:
            high = disk.begun()
        except (AssertionError, ValueError, subprocess.TimeoutExpired):
            high = UNKNOWN  # the guest has ended meanwhile
        return lambda: self.end_snapshot(id_, disk, low, high)

    def end_snapshot(self, id_, disk, low, high):
        def completed():
            seen = self.ask("describe_snapshots", SnapshotIds=[id_])["Snapshots"][0]
            assert seen["State"] != "error", seen
            return seen["State"] == "completed"
        wait_for(completed, 120, "completed " + id_, 0.2)
        self.snapshots.append((id_, disk, low, high))
        self.verify(self.snapshots[-1])
        mine = [s for s in self.snapshots if s[1] is disk]
        if len(mine) > KEPT:  # any of the chain may go
            gone = self.chance.choice(mine)
            self.snapshots.remove(gone)
            self.ask("delete_snapshot", SnapshotId=gone[0])
            self.verify(self.chance.choice([s for s in self.snapshots if s[1] is disk]))

    def verify(self, snapshot):
        id_, disk, low, high = snapshot
        volume = self.new_volume(SnapshotId=id_)
        last = disk.check(disk.user.attach(volume), low, high)
        self.snapshots[self.snapshots.index(snapshot)] = (id_, disk, last, last)  # ever the same from now on
        disk.user.detach(volume)
        self.ask("delete_volume", VolumeId=volume)
        self.verified += 1

    def aborted_snapshot(self, disk):
        """Deleted on its way."""
        id_ = self.begin_snapshot(disk)
        return lambda: id_ and self.ask("delete_snapshot", SnapshotId=id_)

    def copied_snapshot(self, disk):
        of_it = [s for s in self.snapshots if s[1] is disk]
        if not of_it:
            return self.snapshot(disk)
        source, _, low, high = self.chance.choice(of_it)
        region = self.cloud.env["AWS_DEFAULT_REGION"]
        copy = self.ask("copy_snapshot", SourceSnapshotId=source, SourceRegion=region)["SnapshotId"]

        def end():
            wait_for(lambda: self.ask("describe_snapshots", SnapshotIds=[copy])["Snapshots"][0]["State"] == "completed",
                     120, "completed copy", 0.2)
            self.snapshots.append((copy, disk, low, high))
            self.verify(self.snapshots[-1])
            self.snapshots.pop()
            self.ask("delete_snapshot", SnapshotId=copy)
        return end

    def grow(self, disk):
        try:
            self.ask("modify_volume", VolumeId=disk.volume, Size=disk.size + 1)
        except ClientError as error:
            assert disk.remote and error.response["Error"]["Code"] == "IncorrectState", error
            return lambda: None
        disk.size += 1

        def end():
            sectors = "cat /sys/block/%s/size"
            wait_for(lambda: self.ask("describe_volumes_modifications", VolumeIds=[disk.volume])
                     ["VolumesModifications"][0]["ModificationState"] == "completed", 90, "larger volume", 0.2)
            wait_for(lambda: int(disk.user.ssh(sectors % disk.disk.split("/")[2])) == disk.size << 21, 60, "larger disk", 0.2)
        return end

    def move(self, disk):
        """Away from the guest and back to it."""
        disk.synced = disk.stop()
        self.ask("detach_volume", VolumeId=disk.volume)
        disk.user.devices.pop(disk.volume)

        def end():
            self.wait_volume(disk.volume, "available")
            disk.disk = disk.user.attach(disk.volume)
            disk.synced = disk.check(disk.disk, disk.synced, disk.synced)
            disk.write()
        return end

    OPERATIONS = ("nothing", "snapshot", "aborted_snapshot", "copied_snapshot", "grow", "move")

    # ---- rounds ----

    def round(self, operation, fault, disk):
        """The fault comes before the operation, or while it is under way."""
        if fault in ("switch_off", "fill_disk"):
            disk = self.disks[1]
        began, early, delay = time.monotonic(), self.chance.random() < 0.4, self.chance.random() ** 2
        if operation == "move" or fault in ("kill_guest", "kill_all", "switch_off"):
            early = False  # a guest that is away can be asked for nothing
        print("%s, %s %s, disk %d: %.2f s" % (operation, fault, "first" if early else "then", disk.seed, delay), flush=True)
        if early:
            ended = getattr(self, fault)(disk)
            time.sleep(delay)
            finish = getattr(self, operation)(disk)
        else:
            finish = getattr(self, operation)(disk)
            time.sleep(delay)
            ended = getattr(self, fault)(disk)
        self.told[operation] += 1
        self.told[fault] += 1
        self.wait_well()
        for guest in ended:
            of_it = [one for one in self.disks if one.user is guest]
            for one in of_it:
                one.hush()
            guest.wait_login()
            for one in of_it:
                if operation != "move" or one is not disk:
                    one.resume()
        finish()
        for one in self.disks:
            one.wait_on()
        print("    %.1f s" % (time.monotonic() - began), flush=True)


@pytest.fixture(scope="module")
def machines(rack, build_dir, image_micro, tmp_path_factory):
    disk = os.environ["TMPDIR"] + "/second"
    os.makedirs(disk)
    run(["mount", "-t", "tmpfs", "-o", "size=%dm,mode=711" % HOST_MIB, "tmpfs", disk])
    with running_cloud(build_dir, image_micro, state=os.environ["TMPDIR"] + "/lasting", settings=rack.settings) as cloud:
        second = Host(cloud, build_dir, 2, state=disk, settings={"node": {"disk-reserved-gib": 0}})
        try:
            wait_for(lambda: len([h for h in cloud.status()["hosts"] if h["up"]]) == 2, 60, "second host")
            machines = Machines(cloud, second, disk, build_dir)
            yield machines
        finally:
            print(second.log()[-5000:])
            try:
                cloud.terminate_all()
            except Exception as error:  # what the test found is to be told, not this
                print(error)
            second.close()
            run(["umount", "-l", disk], check=False)


def rounds(chance):
    """(operation, fault): each of both at least once, and as many as there is time for."""
    operations, faults = list(Machines.OPERATIONS), list(Machines.FAULTS)
    end = time.monotonic() + SECONDS
    while True:
        chance.shuffle(operations)
        chance.shuffle(faults)
        for number in range(max(len(operations), len(faults))):
            yield operations[number % len(operations)], faults[number % len(faults)]
            if SECONDS and time.monotonic() > end:
                return
        if not SECONDS:
            return


def test_nothing_is_lost(machines):
    seed = os.environ.get("VIRGA_SOAK_SEED", str(random.randrange(1 << 32)))
    print("VIRGA_SOAK_SEED=%s" % seed)
    machines.chance = random.Random(seed)
    for operation, fault in rounds(machines.chance):
        machines.round(operation, fault, machines.chance.choice(machines.disks))
    for disk in machines.disks:
        disk.synced = disk.stop()
    for snapshot in list(machines.snapshots):
        machines.verify(snapshot)
    print("%d numbers synced; %d snapshots verified; %d MiB compared; %s" % (
        sum(disk.synced for disk in machines.disks), machines.verified, machines.bytes >> 20, dict(machines.told)))


def test_nobody_else_opens_it(machines):
    """What a guest has is locked; so is what stands below it."""
    disk = machines.disks[0]
    listed = machines.cloud.virsh("domblklist", disk.user.id).split()
    files = [word for word in listed if disk.volume in word]
    assert len(files) == 1, listed
    said = run(["qemu-io", "-f", "qcow2", "-c", "write 0 4k", files[0]], check=False)
    assert said.returncode != 0 and "lock" in said.stderr, said
    with pytest.raises(ClientError) as error:
        machines.client.attach_volume(VolumeId=disk.volume, InstanceId=machines.guests[1].id, Device="/dev/sdq")
    assert error.value.response["Error"]["Code"] == "VolumeInUse"


def test_nothing_is_left(machines):
    """Of all volumes and snapshots, once they are deleted."""
    cloud = machines.cloud
    cloud.terminate_all()
    for volume in cloud.ec2.describe_volumes()["Volumes"]:
        machines.wait_volume(volume["VolumeId"], "available")
        cloud.ec2.delete_volume(VolumeId=volume["VolumeId"])
    of_images = {device["Ebs"]["SnapshotId"] for image in cloud.ec2.describe_images()["Images"]
                 for device in image["BlockDeviceMappings"]}
    for snapshot in cloud.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]:
        if snapshot["SnapshotId"] not in of_images:
            cloud.ec2.delete_snapshot(SnapshotId=snapshot["SnapshotId"])
    cloud.wait_no_leaks()
    for folder in (cloud.state + "/node/volumes", machines.second_disk + "/node/volumes"):
        wait_for(lambda: os.listdir(folder) == [], 60, "end of what is in " + folder, 0.2)
    assert {name.split(".")[0] for name in os.listdir(cloud.state + "/store")} <= of_images
