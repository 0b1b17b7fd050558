# SPDX-License-Identifier: Apache-2.0
"""Encrypted volumes: what a real guest writes is nowhere on the host's disk, and is there for it
whatever was stopped, killed or copied meanwhile."""
import os

import pytest

from conftest import run, wait_for
from test_snapshots import attach, disk_of, drop, layers, store_file, wait_completed, zone

PLAIN = "virga-plaintext-%s-0123456789abcdef"
BLOCKS = 512  # of 4 KiB


@pytest.fixture(scope="module")
def guest(cloud):
    instance = cloud.launch(wait=False)
    cloud.wait_state(instance, "running")
    cloud.wait_ssh(instance)
    return instance


def text_of(mark):
    return PLAIN % mark


def write(cloud, guest, disk, mark, at=0):
    """Fills 2 MiB at 'at' MiB with a text, durably."""
    cloud.ssh(guest, "yes '%s' | dd of=%s bs=4096 count=%d seek=%d iflag=fullblock conv=fsync,notrunc 2>/dev/null"
              % (text_of(mark), disk, BLOCKS, at * 256))


def holds(cloud, guest, disk, mark, at=0):
    """What write() wrote is there, all of it."""
    want = "yes '%s' | dd bs=4096 count=%d iflag=fullblock 2>/dev/null | sha256sum" % (text_of(mark), BLOCKS)
    have = "dd if=%s bs=4096 count=%d skip=%d 2>/dev/null | sha256sum" % (disk, BLOCKS, at * 256)
    return cloud.ssh(guest, want) == cloud.ssh(guest, have)


def files_of(cloud, volume):
    """All files of a volume on its host."""
    folder = os.path.join(cloud.state, "node", "volumes")
    layers = os.path.join(folder, volume + ".layers")
    found = [os.path.join(folder, volume + ".qcow2")]
    if os.path.isdir(layers):
        found += [os.path.join(layers, name) for name in os.listdir(layers)]
    return found


def grep(text, *folders):
    """The files below that have a text in them."""
    done = run(["grep", "-rlaF", text] + list(folders), check=False, deadline_s=120)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.split()


def assert_nowhere(cloud, *marks):
    """Neither on the host, nor in the store, nor in a log: only what is encrypted was written."""
    run(["sync"])
    for mark in marks:
        found = [name for name in grep(text_of(mark), cloud.state) if "/node/console/" not in name]
        assert not found, found


def assert_closed(path):
    """QEMU itself cannot open it."""
    done = run(["qemu-img", "convert", "-U", "-O", "raw", path, "/dev/null"], check=False)
    assert done.returncode and "key-secret" in done.stderr, done.stderr


def passphrases(cloud):
    """No secret of libvirt's outlives the call that needs it."""
    socket = "qemu+unix:///system?socket=%s/libvirt/run/libvirt-sock" % cloud.state
    return run(["virsh", "-c", socket, "-q", "secret-list"]).stdout.split()


def test_what_is_written_is_nowhere(cloud, guest):
    volume, disk = attach(cloud, guest, "/dev/sdf", Size=1, Encrypted=True)
    shown = cloud.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]
    assert shown["Encrypted"] and shown["KmsKeyId"].startswith("arn:aws:kms:")
    write(cloud, guest, disk, "first")
    assert holds(cloud, guest, disk, "first")
    assert_nowhere(cloud, "first")
    for path in files_of(cloud, volume):
        assert_closed(path)
    assert passphrases(cloud) == []
    snapshot = cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    write(cloud, guest, disk, "second", at=4)
    wait_completed(cloud, snapshot)
    assert cloud.ec2.describe_snapshots(SnapshotIds=[snapshot])["Snapshots"][0]["Encrypted"]
    assert_closed(store_file(cloud, snapshot))
    assert_nowhere(cloud, "first", "second")
    # incremental, and made of both
    later = cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    wait_completed(cloud, later)
    assert os.path.getsize(store_file(cloud, later)) < 8 << 20
    # what is joined while the guest runs is what it was
    wait_for(lambda: len([name for name in layers(cloud, volume) if name.endswith(".qcow2")]) == 1, 60, "joined layers")
    assert holds(cloud, guest, disk, "first") and holds(cloud, guest, disk, "second", at=4)
    copy, disk_of_copy = attach(cloud, guest, "/dev/sdg", SnapshotId=later)
    assert cloud.ec2.describe_volumes(VolumeIds=[copy])["Volumes"][0]["Encrypted"]
    assert holds(cloud, guest, disk_of_copy, "first") and holds(cloud, guest, disk_of_copy, "second", at=4)
    write(cloud, guest, disk_of_copy, "third", at=8)
    assert_nowhere(cloud, "first", "second", "third")
    drop(cloud, copy, volume)
    for one in (snapshot, later):
        cloud.ec2.delete_snapshot(SnapshotId=one)
    wait_for(lambda: cloud.sql("SELECT count(*) FROM volume_key").strip() == "0", 60, "end of the key")


def test_it_grows_while_the_guest_uses_it(cloud, guest):
    volume, disk = attach(cloud, guest, "/dev/sdf", Size=1, Encrypted=True)
    write(cloud, guest, disk, "small")
    cloud.ec2.modify_volume(VolumeId=volume, Size=2)
    wait_for(lambda: int(cloud.ssh(guest, "cat /sys/block/%s/size" % disk[5:])) == 2 << 21, 60, "larger disk")
    write(cloud, guest, disk, "large", at=1500)
    assert holds(cloud, guest, disk, "small") and holds(cloud, guest, disk, "large", at=1500)
    drop(cloud, volume)


def test_daemons_are_killed(cloud, guest):
    """The guest goes on; what is done next works as before."""
    volume, disk = attach(cloud, guest, "/dev/sdf", Size=1, Encrypted=True)
    write(cloud, guest, disk, "before")
    for daemon in ("libvirtd", "virga-node"):
        old = cloud.kill(daemon)
        wait_for(lambda: cloud.pid(daemon) not in (None, old), 60, daemon)
        assert holds(cloud, guest, disk, "before")
        snapshot = cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
        wait_completed(cloud, snapshot)
        copy, disk_of_copy = attach(cloud, guest, "/dev/sdg", SnapshotId=snapshot)
        assert holds(cloud, guest, disk_of_copy, "before")
        drop(cloud, copy)
        cloud.ec2.delete_snapshot(SnapshotId=snapshot)
    assert_nowhere(cloud, "before")
    drop(cloud, volume)


def test_stopped_and_started_again(cloud):
    """An encrypted root disk, made of an image that is not."""
    root = {"DeviceName": "/dev/vda", "Ebs": {"Encrypted": True}}
    guest = cloud.launch(BlockDeviceMappings=[root])
    cloud.wait_ssh(guest)
    volume = cloud.ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [guest]}])["Volumes"][0]
    assert volume["Encrypted"]
    for path in files_of(cloud, volume["VolumeId"]):
        assert_closed(path)
    assert not run(["qemu-img", "info", "-U", "--output=json", files_of(cloud, volume["VolumeId"])[0]]).stdout.count("backing")
    second, disk = attach(cloud, guest, "/dev/sdf", Size=1, Encrypted=True)
    write(cloud, guest, disk, "asleep")
    snapshot = cloud.ec2.create_snapshot(VolumeId=second)["SnapshotId"]
    write(cloud, guest, disk, "layered", at=16)
    wait_completed(cloud, snapshot)
    cloud.ec2.stop_instances(InstanceIds=[guest])
    cloud.wait_state(guest, "stopped")
    cloud.ec2.modify_volume(VolumeId=second, Size=2)  # grown when nobody has it open
    # one that its host has, but no bytes of: it is what it would be made of
    base = cloud.ec2.describe_images(ImageIds=[cloud.image_id()])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]
    third = cloud.ec2.create_volume(AvailabilityZone=zone(cloud), SnapshotId=base["SnapshotId"], Encrypted=True)["VolumeId"]
    cloud.ec2.attach_volume(VolumeId=third, InstanceId=guest, Device="/dev/sdg")
    early = cloud.ec2.create_snapshot(VolumeId=third)["SnapshotId"]
    wait_completed(cloud, early, deadline_s=120)
    assert os.path.getsize(store_file(cloud, early)) > 4 << 20
    assert_closed(store_file(cloud, early))
    cloud.ec2.detach_volume(VolumeId=third)
    cloud.ec2.start_instances(InstanceIds=[guest])
    cloud.wait_state(guest, "running")
    cloud.wait_ssh(guest)
    disk = wait_for(lambda: disk_of(cloud, guest, second), 30, "disk in the guest")
    assert holds(cloud, guest, disk, "asleep") and holds(cloud, guest, disk, "layered", at=16)
    assert int(cloud.ssh(guest, "cat /sys/block/%s/size" % disk[5:])) == 2 << 21
    assert_nowhere(cloud, "asleep", "layered")
    cloud.ec2.terminate_instances(InstanceIds=[guest])
    cloud.wait_state(guest, "terminated")


def test_without_the_key_encryption_keys(cloud, guest):
    """Nothing is opened, nothing is lost, and all is said; when they are back, it goes on."""
    volume, disk = attach(cloud, guest, "/dev/sdf", Size=1, Encrypted=True)
    write(cloud, guest, disk, "kept")
    drop_only(cloud, volume)
    ring = os.path.join(cloud.state, "keys", "volumes")
    assert os.stat(ring).st_mode & 0o777 == 0o600
    os.rename(ring, ring + ".away")
    try:
        for daemon in ("virga-node", "virgad"):  # neither remembers anything, nor makes new keys
            old = cloud.kill(daemon)
            wait_for(lambda: cloud.pid(daemon) not in (None, old), 60, daemon)
        wait_for(lambda: cloud.virga("status", check=False).returncode == 0, 60, "virgad")
        assert not os.path.exists(ring)
        cloud.ec2.attach_volume(VolumeId=volume, InstanceId=guest, Device="/dev/sdf")
        wait_for(lambda: "key-encryption keys cannot be had" in cloud.log("virga-node"), 60, "the reason")
        assert "key-encryption" in cloud.virga("doctor", check=False).stdout
        assert disk_of(cloud, guest, volume) is None
    finally:
        os.rename(ring + ".away", ring)
    disk = wait_for(lambda: disk_of(cloud, guest, volume), 90, "disk in the guest")
    assert holds(cloud, guest, disk, "kept")
    drop(cloud, volume)


def drop_only(cloud, volume):
    """Detaches it."""
    cloud.ec2.detach_volume(VolumeId=volume)
    cloud.ec2.get_waiter("volume_available").wait(VolumeIds=[volume], WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def test_copies_of_what_is_not_encrypted(cloud, guest):
    volume, disk = attach(cloud, guest, "/dev/sdf", Size=1)
    write(cloud, guest, disk, "open")
    plain = cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    wait_completed(cloud, plain)
    copy = cloud.ec2.copy_snapshot(SourceSnapshotId=plain, SourceRegion=cloud.env["AWS_DEFAULT_REGION"],
                                   Encrypted=True)["SnapshotId"]
    wait_completed(cloud, copy, deadline_s=120)
    assert_closed(store_file(cloud, copy))
    # made of it by the host that has never had it, also when the plain one is gone
    drop(cloud, volume)
    cloud.ec2.delete_snapshot(SnapshotId=plain)
    made, disk = attach(cloud, guest, "/dev/sdf", SnapshotId=copy)
    assert cloud.ec2.describe_volumes(VolumeIds=[made])["Volumes"][0]["Encrypted"]
    assert holds(cloud, guest, disk, "open")
    wait_for(lambda: not grep(text_of("open"), os.path.join(cloud.state, "store")), 60, "end of the plain file")
    drop(cloud, made)
    # a snapshot of an encrypted volume that never had bytes of its own
    image = cloud.ec2.describe_images(ImageIds=[cloud.image_id()])["Images"][0]
    base = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    empty = cloud.ec2.create_volume(AvailabilityZone=zone(cloud), SnapshotId=base, Encrypted=True)["VolumeId"]
    early = cloud.ec2.create_snapshot(VolumeId=empty)["SnapshotId"]
    wait_completed(cloud, early, deadline_s=120)
    assert_closed(store_file(cloud, early))
    cloud.ec2.delete_volume(VolumeId=empty)
    for one in (copy, early):
        cloud.ec2.delete_snapshot(SnapshotId=one)
