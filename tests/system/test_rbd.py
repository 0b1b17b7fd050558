# SPDX-License-Identifier: Apache-2.0
"""Volumes in Ceph, and guests that have nothing else."""
import os

import pytest

from ceph import Ceph
from conftest import run, wait_for
from test_snapshots import attach, count, disk_of, drop, guest, moment_of, numbers, stop_writer, wait_completed, writer  # noqa: F401


@pytest.fixture(scope="module")
def ceph(tmp_path_factory):
    cluster = Ceph(tmp_path_factory.mktemp("ceph"))
    yield cluster
    cluster.stop()


@pytest.fixture(scope="module")
def cloud(ceph, build_dir, image_micro):
    """Its images' types of volumes, and all that these tests make, are in Ceph."""
    from cloud import running_cloud
    with running_cloud(build_dir, image_micro, settings={
            "node": {"workers": 4},
            "pool ceph": {"monitors": ceph.monitors, "user": ceph.user, "key-file": ceph.key_file,
                          "ceph-pool": ceph.pool},
            "volume-type gp2": {"pool": "ceph"}, "volume-type gp3": {"pool": "ceph"}}) as cloud:
        yield cloud


def test_contract(ceph, build_dir):
    """The driver does what every driver of volumes does."""
    where = "%s %s %s %s" % (ceph.monitors, ceph.user, ceph.key_file, ceph.pool)
    done = run([os.path.join(build_dir, "tests", "unit", "test-volume-contract"), "-p", "/volume/rbd"],
               deadline_s=600, env=dict(os.environ, VIRGA_TEST_RBD=where, CEPH_CONF="/dev/null"))
    assert "ok 1 /volume/rbd/empty" in done.stdout
    assert not [name for name in ceph.images() if not name.startswith("snap-") or "." in name]


def size_gib(cloud, guest, disk):
    return int(cloud.ssh(guest, "blockdev --getsize64 " + disk)) >> 30


def test_guest(cloud, ceph, guest, writer):
    """Boots, gets a second volume, which is cut and grows while it is written to."""
    root = cloud.describe(guest)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    assert root in ceph.images()
    assert not os.listdir(cloud.state + "/node/volumes")
    volume, disk = attach(cloud, guest, "/dev/sdf", Size=1, VolumeType="gp3")
    assert volume in ceph.images()
    writer(disk)
    for _ in range(2):
        before = count(cloud, guest)
        snapshot = cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
        after = count(cloud, guest)
        wait_completed(cloud, snapshot)
        assert before <= moment_of(cloud, guest, snapshot, after + 50) <= after + 1
    # The store has the same of it for a host's own disk.
    copy, copied = attach(cloud, guest, "/dev/sdq", SnapshotId=snapshot, VolumeType="standard")
    found = numbers(cloud, guest, copied, after + 50)
    assert found == list(range(1, len(found) + 1)) and before <= len(found) <= after + 1
    assert copy not in ceph.images()
    drop(cloud, copy)
    wait_for(lambda: ceph.rbd("snap", "ls", volume).count("snap-") == 1, 30, "one snap alone")
    cloud.ec2.modify_volume(VolumeId=volume, Size=2)
    wait_for(lambda: size_gib(cloud, guest, disk) == 2, 30, "larger disk")
    stop_writer(cloud, guest)
    last = count(cloud, guest)
    cloud.ssh(guest, "echo 3 >/proc/sys/vm/drop_caches")
    assert len(numbers(cloud, guest, disk, last + 9)) == last
    drop(cloud, volume)
    wait_for(lambda: volume not in ceph.images(), 30, "end of the image")


def test_several_at_one_instant(cloud, guest, writer):
    """The second disk is never ahead of the first one, nor further behind than a block."""
    one, two = attach(cloud, guest, "/dev/sdf", Size=1), attach(cloud, guest, "/dev/sdg", Size=2)
    writer(one[1], two[1])
    made = cloud.ec2.create_snapshots(InstanceSpecification={"InstanceId": guest, "ExcludeBootVolume": True})
    last = count(cloud, guest) + 50
    snapshots = {s["VolumeId"]: s["SnapshotId"] for s in made["Snapshots"]}
    wait_completed(cloud, *snapshots.values())
    first, second = (moment_of(cloud, guest, snapshots[v], last) for v in (one[0], two[0]))
    assert second in (first, first - 1), (first, second)
    stop_writer(cloud, guest)
    drop(cloud, one[0], two[0])


def test_storage_dies(cloud, ceph, guest, writer):
    """What was synced is there when Ceph is back, and the guest, which waited, goes on."""
    volume, disk = attach(cloud, guest, "/dev/sdf", Size=1)
    writer(disk)
    before = count(cloud, guest)
    ceph.kill("osd.0")
    cloud.kill("virga-node")
    ceph.start("osd.0")

    def goes_on():
        done = cloud.ssh(guest, "cat /tmp/count", check=False, deadline_s=120)  # its root is in Ceph, too
        return done.returncode == 0 and int(done.stdout) > before + 20
    wait_for(goes_on, 120, "further blocks")
    stop_writer(cloud, guest)
    last = count(cloud, guest)
    cloud.ssh(guest, "echo 3 >/proc/sys/vm/drop_caches")
    assert len(numbers(cloud, guest, disk, last + 9)) == last
    drop(cloud, volume)


def test_others_do_not_wait(cloud, ceph, guest):
    """While Ceph is silent, what has nothing to do with it is done; the rest, when it is back."""
    image = cloud.ec2.describe_images(ImageIds=[cloud.image_id()])["Images"][0]
    root = [{"DeviceName": image["RootDeviceName"], "Ebs": {"VolumeType": "io1", "Iops": 100}}]
    ready = cloud.ec2.create_volume(AvailabilityZone=cloud.env["AWS_DEFAULT_REGION"] + "a", Size=1, VolumeType="gp3")["VolumeId"]
    ceph.kill("osd.0")
    try:
        cloud.ec2.attach_volume(VolumeId=ready, InstanceId=guest, Device="/dev/sdh")
        waiting = [cloud.launch(wait=False) for _ in range(5)]  # more than a host works on at a time
        local = cloud.launch(wait=False, BlockDeviceMappings=root)
        cloud.wait_state(local, "running")
        assert {cloud.state_of(instance) for instance in waiting} == {"pending"}
    finally:
        ceph.start("osd.0")
    for instance in waiting:
        cloud.wait_state(instance, "running", 240)
    wait_for(lambda: disk_of(cloud, guest, ready), 120, "disk in the guest", 0.5)
    cloud.ec2.terminate_instances(InstanceIds=waiting + [local])
    for instance in waiting + [local]:
        cloud.wait_state(instance, "terminated")
    drop(cloud, ready)


def test_nothing_is_left(cloud, ceph, guest):
    cloud.ec2.terminate_instances(InstanceIds=[guest])
    cloud.wait_state(guest, "terminated")
    wait_for(lambda: not [name for name in ceph.images() if not name.startswith("snap-") or "." in name], 30,
             "end of the images")
    cloud.wait_no_leaks()
