# SPDX-License-Identifier: Apache-2.0
"""Snapshots of what real guests write, while they write it.

The writer puts the number n into block n and syncs, one block after the other, and notes how far it
has come.  So what a snapshot holds tells its moment: all numbers up to one, and nothing after it."""
import os

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from conftest import wait_for

WRITER = """cat >/tmp/writer <<'END'
n=0
while [ ! -e /tmp/stop ]; do
    n=$((n + 1))
    for disk in "$@"; do
        printf '%%08d' $n | dd of=$disk bs=4096 seek=$n conv=fsync,notrunc 2>/dev/null
    done
    echo $n >/tmp/count.new && mv /tmp/count.new /tmp/count
done
END
rm -f /tmp/stop; echo 0 >/tmp/count; sh /tmp/writer %s >/dev/null 2>&1 &"""


@pytest.fixture(scope="module")
def guest(cloud):
    instance = cloud.launch(wait=False)
    cloud.wait_state(instance, "running")
    cloud.wait_ssh(instance)
    return instance


def zone(cloud):
    return cloud.env["AWS_DEFAULT_REGION"] + "a"


def disk_of(cloud, guest, volume):
    """The guest's name of a volume, by its serial number; None if it is not there."""
    serial = volume.replace("-", "")
    found = cloud.ssh(guest, "grep -l %s /sys/block/*/serial || true" % serial).split("/")
    return "/dev/" + found[3] if len(found) > 3 else None


def attach(cloud, guest, device, **options):
    """A new volume, and the guest's name of it."""
    volume = cloud.ec2.create_volume(AvailabilityZone=zone(cloud), **options)["VolumeId"]
    cloud.ec2.attach_volume(VolumeId=volume, InstanceId=guest, Device=device)
    return volume, wait_for(lambda: disk_of(cloud, guest, volume), 30, "disk in the guest")


def drop(cloud, *volumes):
    for volume in volumes:
        cloud.ec2.detach_volume(VolumeId=volume)
    for volume in volumes:
        cloud.ec2.get_waiter("volume_available").wait(VolumeIds=[volume], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        cloud.ec2.delete_volume(VolumeId=volume)


def wait_completed(cloud, *snapshots, deadline_s=60):
    def completed():
        try:
            seen = cloud.ec2.describe_snapshots(SnapshotIds=list(snapshots))["Snapshots"]
        except BotoCoreError:  # virgad is on its way back
            return False
        assert not [s for s in seen if s["State"] == "error"], seen
        return all(s["State"] == "completed" for s in seen)
    wait_for(completed, deadline_s, "completed snapshots", 0.1)


def count(cloud, guest):
    return int(cloud.ssh(guest, "cat /tmp/count"))


def stop_writer(cloud, guest):
    """Before its disks go: it would go on with files of their names."""
    cloud.ssh(guest, "touch /tmp/stop; while grep -qs '/tmp/write[r]' /proc/[0-9]*/cmdline; do sleep 0.1; done")


@pytest.fixture
def writer(cloud, guest):
    def go(*disks):
        cloud.ssh(guest, WRITER % " ".join(disks))
        wait_for(lambda: count(cloud, guest) > 3, 30, "first blocks")
    yield go
    stop_writer(cloud, guest)


def numbers(cloud, guest, disk, last):
    """The numbers in the blocks of a disk that a writer has not got further on than 'last'."""
    text = cloud.ssh(guest, "dd if=%s bs=4096 skip=1 count=%d 2>/dev/null | tr -d '\\0'" % (disk, last))
    return [int(text[i:i + 8]) for i in range(0, len(text), 8)]


def moment_of(cloud, guest, snapshot, last, device="/dev/sdp"):
    """How far the writer was: a volume of the snapshot is read by the guest."""
    volume, disk = attach(cloud, guest, device, SnapshotId=snapshot)
    found = numbers(cloud, guest, disk, last)
    assert found == list(range(1, len(found) + 1))
    drop(cloud, volume)
    return len(found)


def store_file(cloud, snapshot):
    return "%s/store/%s.qcow2" % (cloud.state, snapshot)


def layers(cloud, volume):
    try:
        return sorted(os.listdir("%s/node/volumes/%s.layers" % (cloud.state, volume)))
    except FileNotFoundError:
        return []


def test_moment_while_the_guest_writes(cloud, guest, writer):
    """Not before the call, not after its answer; and what is written goes on."""
    volume, disk = attach(cloud, guest, "/dev/sdf", Size=1)
    writer(disk)
    for _ in range(3):
        before = count(cloud, guest)
        snapshot = cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
        after = count(cloud, guest)
        wait_completed(cloud, snapshot)
        assert before <= moment_of(cloud, guest, snapshot, after + 50) <= after + 1
    wait_for(lambda: len(layers(cloud, volume)) == 1, 30, "joined layers")  # the guest has not noticed
    stop_writer(cloud, guest)
    last = count(cloud, guest)
    cloud.ssh(guest, "echo 3 >/proc/sys/vm/drop_caches")
    assert len(numbers(cloud, guest, disk, last + 9)) == last
    assert "completed" in cloud.virga("why", snapshot).stdout
    drop(cloud, volume)


def test_several_at_one_instant(cloud, guest, writer):
    """The second disk is never ahead of the first one, nor further behind than a block."""
    one, two = attach(cloud, guest, "/dev/sdf", Size=1), attach(cloud, guest, "/dev/sdg", Size=2)
    writer(one[1], two[1])
    made = cloud.ec2.create_snapshots(InstanceSpecification={"InstanceId": guest, "ExcludeBootVolume": True})
    last = count(cloud, guest) + 50
    snapshots = {s["VolumeId"]: s["SnapshotId"] for s in made["Snapshots"]}
    assert set(snapshots) == {one[0], two[0]}
    wait_completed(cloud, *snapshots.values())
    first, second = (moment_of(cloud, guest, snapshots[v], last) for v in (one[0], two[0]))
    assert second in (first, first - 1), (first, second)
    stop_writer(cloud, guest)
    drop(cloud, one[0], two[0])


def test_only_changes_are_kept(cloud, guest):
    """16 MiB, then 1 of them again; each snapshot has its own bytes, in whatever order they go."""
    volume, disk = attach(cloud, guest, "/dev/sdf", Size=1)
    cloud.ssh(guest, "dd if=/dev/zero of=%s bs=1M count=16 conv=fsync 2>/dev/null" % disk)
    snapshots, hashes = [], []
    for text in ("first", "second", "third"):
        cloud.ssh(guest, "head -c 1048576 /dev/zero | tr '\\0' '%s' | dd of=%s bs=1M seek=8 conv=fsync 2>/dev/null"
                  % (text[0], disk))
        hashes.append(cloud.ssh(guest, "head -c 16777216 %s | sha256sum" % disk))
        snapshots.append(cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"])
        wait_completed(cloud, snapshots[-1])
    sizes = [os.path.getsize(store_file(cloud, s)) for s in snapshots]
    assert 16 << 20 <= sizes[0] < 18 << 20 and max(sizes[1:]) < 1.5 * (1 << 20), sizes
    cloud.ec2.delete_snapshot(SnapshotId=snapshots[1])
    assert os.path.exists(store_file(cloud, snapshots[1]))  # the third one stands on it
    for position in (2, 0):
        of_it, restored = attach(cloud, guest, "/dev/sdp", SnapshotId=snapshots[position])
        assert cloud.ssh(guest, "head -c 16777216 %s | sha256sum" % restored).split()[0] == hashes[position].split()[0]
        drop(cloud, of_it)
    cloud.ec2.delete_snapshot(SnapshotId=snapshots[0])
    cloud.ec2.delete_snapshot(SnapshotId=snapshots[2])
    assert not any(os.path.exists(store_file(cloud, s)) for s in snapshots)
    drop(cloud, volume)


@pytest.mark.parametrize("daemon", ["virga-node", "virgad", "libvirtd"])
def test_killed_on_the_way(cloud, guest, writer, daemon):
    """Before its moment and after it: the snapshot is made, and is what it ought to be."""
    volume, disk = attach(cloud, guest, "/dev/sdf", Size=1)
    cloud.ssh(guest, "dd if=/dev/zero of=%s bs=1M seek=64 count=64 conv=fsync 2>/dev/null" % disk)
    writer(disk)

    def take():
        try:
            return cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
        except BotoCoreError:  # virgad is on its way back
            return None
        except ClientError as error:  # what did not come in time was taken back
            assert error.response["Error"]["Code"] == "Unavailable", error
            return None
    before = count(cloud, guest)
    cloud.kill(daemon)
    one = wait_for(take, 90, "snapshot")
    after = count(cloud, guest)
    cloud.kill(daemon)
    wait_completed(cloud, one, deadline_s=120)
    stop_writer(cloud, guest)
    assert before <= moment_of(cloud, guest, one, after + 200) <= after + 1
    drop(cloud, volume)


def test_guest_ends_on_the_way(cloud, guest):
    """The moment outlives the guest: what goes with it stays until it is in the store."""
    instance = cloud.launch()
    cloud.wait_ssh(instance)
    root = cloud.describe(instance)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    cloud.ssh(instance, "echo kept >/root/file; dd if=/dev/zero of=/root/large bs=1M count=48; sync")
    snapshot = cloud.ec2.create_snapshot(VolumeId=root)["SnapshotId"]
    os.kill(cloud.guest_pid(instance), 9)
    cloud.ec2.terminate_instances(InstanceIds=[instance])
    wait_completed(cloud, snapshot)
    cloud.wait_state(instance, "terminated")
    wait_for(lambda: not cloud.ec2.describe_volumes(Filters=[
        {"Name": "volume-id", "Values": [root]}])["Volumes"], 60, "end of the volume")
    assert not os.path.exists("%s/node/volumes/%s.qcow2" % (cloud.state, root)) and not layers(cloud, root)
    restored = cloud.ec2.create_volume(AvailabilityZone=zone(cloud), SnapshotId=snapshot)["VolumeId"]
    cloud.ec2.attach_volume(VolumeId=restored, InstanceId=guest, Device="/dev/sdp")
    disk = wait_for(lambda: disk_of(cloud, guest, restored), 30, "disk in the guest")
    cloud.ssh(guest, "mkdir -p /tmp/m; for part in %s*; do mount -t ext4 $part /tmp/m && break; done" % disk)
    assert cloud.ssh(guest, "cat /tmp/m/root/file; umount /tmp/m").strip() == "kept"
    drop(cloud, restored)


def test_image_of_a_guest(cloud, guest):
    """It is switched off for the moment, and runs again, though virga-node is killed meanwhile; all
    the while it is called running."""
    cloud.ssh(guest, "echo kept >/root/unsynced")
    before = cloud.boot_id(guest)
    image = cloud.ec2.create_image(InstanceId=guest, Name="of a guest")["ImageId"]
    wait_for(lambda: cloud.boot_id(guest) is None, 60, "end of the guest", 0.1)
    cloud.kill("virga-node")
    states = set()

    def available():
        states.add(cloud.state_of(guest))
        return cloud.ec2.describe_images(ImageIds=[image])["Images"][0]["State"] == "available"
    wait_for(available, 120, "available image", 0.3)
    wait_for(lambda: cloud.boot_id(guest) not in (None, before), 120, "boot of the guest", 0.5)
    assert states == {"running"} and cloud.state_of(guest) == "running"
    again = cloud.launch(ImageId=image)
    # It had a life as another instance: its first login may still be that one's, which ends.
    wait_for(lambda: cloud.ssh(again, "cat /root/unsynced", check=False).stdout.strip() == "kept", 120,
             "login on " + again, 0.5)
    wait_for(lambda: cloud.boot_id(again), 60, "boot of " + again, 0.5)
    assert cloud.boot_id(again) != cloud.boot_id(guest)
    cloud.ec2.terminate_instances(InstanceIds=[again])
    cloud.ec2.deregister_image(ImageId=image)


def test_quiet_volumes(cloud, guest):
    """One that is attached to nothing, and one of a stopped instance."""
    volume, disk = attach(cloud, guest, "/dev/sdf", Size=1)
    cloud.ssh(guest, "echo quiet | dd of=%s bs=64k conv=fsync 2>/dev/null" % disk)
    cloud.ec2.detach_volume(VolumeId=volume)
    cloud.ec2.get_waiter("volume_available").wait(VolumeIds=[volume], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    one = cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    # At once it is attached and written to: too late for the snapshot.
    cloud.ec2.attach_volume(VolumeId=volume, InstanceId=guest, Device="/dev/sdf")
    disk = wait_for(lambda: disk_of(cloud, guest, volume), 30, "disk in the guest")
    cloud.ssh(guest, "echo later | dd of=%s bs=64k conv=fsync 2>/dev/null" % disk)
    wait_completed(cloud, one)
    cloud.ec2.stop_instances(InstanceIds=[guest])
    cloud.wait_state(guest, "stopped")
    two = cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    cloud.ec2.start_instances(InstanceIds=[guest])
    wait_completed(cloud, two)
    cloud.wait_state(guest, "running")
    cloud.wait_ssh(guest)
    for snapshot, text in ((one, "quiet"), (two, "later")):
        of_it, restored = attach(cloud, guest, "/dev/sdp", SnapshotId=snapshot)
        assert cloud.ssh(guest, "head -c 5 " + restored) == text
        drop(cloud, of_it)
    drop(cloud, volume)


def test_nothing_is_left(cloud, guest):
    cloud.terminate_all()
    for snapshot in cloud.ec2.describe_snapshots(OwnerIds=["self"], Filters=[
            {"Name": "volume-id", "Values": ["vol-0*"]}])["Snapshots"]:
        cloud.ec2.delete_snapshot(SnapshotId=snapshot["SnapshotId"])
    wait_for(lambda: not [leak for leak in cloud.leaks() if "snapshot" in leak or "volume" in leak], 90, "order", 3)
