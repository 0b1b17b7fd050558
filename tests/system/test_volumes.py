# SPDX-License-Identifier: Apache-2.0
"""Volumes that come to real guests and leave them, with what was written to them."""
import os

import pytest

from conftest import wait_for

PATTERN = "head -c 1000000 /dev/zero | tr '\\0' 'v' | "


@pytest.fixture(scope="module")
def guests(cloud):
    both = [cloud.launch(wait=False) for _ in range(2)]
    for instance in both:
        cloud.wait_state(instance, "running")
        cloud.wait_ssh(instance)
    return both


def disk_of(cloud, instance, volume):
    """The guest's name of a volume, by its serial number; None if it is not there."""
    serial = volume.replace("-", "")
    found = cloud.ssh(instance, "grep -l %s /sys/block/*/serial || true" % serial).split("/")
    return "/dev/" + found[3] if len(found) > 3 else None


def volume_of(cloud, volume):
    return cloud.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]


def attach(cloud, volume, instance, device="/dev/sdf"):
    cloud.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device=device)
    wait_for(lambda: volume_of(cloud, volume)["Attachments"][0]["State"] == "attached", 30, "attachment")
    return wait_for(lambda: disk_of(cloud, instance, volume), 30, "disk in the guest")


def detach(cloud, volume, instance):
    cloud.ec2.detach_volume(VolumeId=volume)
    cloud.ec2.get_waiter("volume_available").wait(VolumeIds=[volume], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    assert disk_of(cloud, instance, volume) is None


def read(cloud, instance, disk):
    return cloud.ssh(instance, "head -c 1000000 %s | sha256sum" % disk)


def file_of(cloud, volume):
    return "%s/node/volumes/%s.qcow2" % (cloud.state, volume)


def test_data_goes_with_the_volume(cloud, guests):
    """Written in one guest, read in another, and the same after both were stopped."""
    one, two = guests
    volume = cloud.ec2.create_volume(AvailabilityZone=cloud.env["AWS_DEFAULT_REGION"] + "a", Size=1)["VolumeId"]
    disk = attach(cloud, volume, one)
    assert cloud.ssh(one, "blockdev --getsize64 " + disk).strip() == str(1 << 30)
    cloud.ssh(one, PATTERN + "dd of=%s bs=64k conv=fsync 2>/dev/null" % disk)
    written = read(cloud, one, disk)
    detach(cloud, volume, one)
    disk = attach(cloud, volume, two)
    assert read(cloud, two, disk) == written
    cloud.ec2.stop_instances(InstanceIds=[two])
    cloud.wait_state(two, "stopped")
    cloud.ec2.detach_volume(VolumeId=volume)
    assert volume_of(cloud, volume)["State"] == "available"
    cloud.ec2.attach_volume(VolumeId=volume, InstanceId=two, Device="/dev/sdg")
    cloud.ec2.start_instances(InstanceIds=[two])
    cloud.wait_state(two, "running")
    cloud.wait_ssh(two)
    assert read(cloud, two, disk_of(cloud, two, volume)) == written
    detach(cloud, volume, two)
    assert os.path.exists(file_of(cloud, volume))
    cloud.ec2.delete_volume(VolumeId=volume)
    cloud.ec2.get_waiter("volume_deleted").wait(VolumeIds=[volume], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    assert not os.path.exists(file_of(cloud, volume))


def test_of_a_snapshot(cloud, guests):
    """What an image stands on makes a volume like any other: the guest sees its bytes."""
    image = cloud.ec2.describe_images(ImageIds=[cloud.image_id()])["Images"][0]
    snapshot = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    volume = cloud.ec2.create_volume(AvailabilityZone=cloud.env["AWS_DEFAULT_REGION"] + "a",
                                     SnapshotId=snapshot)["VolumeId"]
    disk = attach(cloud, volume, guests[0])
    assert int(cloud.ssh(guests[0], "head -c 1000000 %s | tr -d '\\0' | wc -c" % disk)) > 1000
    detach(cloud, volume, guests[0])
    cloud.ec2.delete_volume(VolumeId=volume)


@pytest.mark.parametrize("daemon", ["virga-node", "virgad", "libvirtd"])
def test_killed_on_the_way(cloud, guests, daemon):
    """Whatever is killed between the wish and its end: the volume arrives once, and leaves."""
    volume = cloud.ec2.create_volume(AvailabilityZone=cloud.env["AWS_DEFAULT_REGION"] + "a", Size=1)["VolumeId"]
    cloud.ec2.attach_volume(VolumeId=volume, InstanceId=guests[0], Device="/dev/sdh")
    cloud.kill(daemon)

    def there():
        try:
            return volume_of(cloud, volume)["Attachments"][0]["State"] == "attached"
        except Exception:  # virgad is on its way back
            return False
    wait_for(there, 60, "attachment")
    wait_for(lambda: disk_of(cloud, guests[0], volume), 30, "disk in the guest")
    cloud.ec2.detach_volume(VolumeId=volume)
    cloud.kill(daemon)

    def gone():
        try:
            return volume_of(cloud, volume)["State"] == "available"
        except Exception:
            return False
    wait_for(gone, 60, "detachment")
    assert disk_of(cloud, guests[0], volume) is None
    cloud.ec2.delete_volume(VolumeId=volume)
    wait_for(lambda: not os.path.exists(file_of(cloud, volume)), 30, "end of the file")


def test_larger_and_slower(cloud, guests):
    """The guest that has the disk sees it grow, and feels its type, and so does one that gets it."""
    one, two = guests
    volume = cloud.ec2.create_volume(AvailabilityZone=cloud.env["AWS_DEFAULT_REGION"] + "a", Size=4)["VolumeId"]
    disk = attach(cloud, volume, one)

    def change(**options):
        cloud.ec2.modify_volume(VolumeId=volume, **options)
        wait_for(lambda: cloud.ec2.describe_volumes_modifications(VolumeIds=[volume])[
            "VolumesModifications"][0]["ModificationState"] == "completed", 30, "changed volume")

    def seconds(instance, disk):
        """For 600 reads, one after the other."""
        return float(cloud.ssh(instance, "echo 4 >/sys/block/%s/queue/read_ahead_kb; echo 3 >/proc/sys/vm/drop_caches; "
                               "read a b </proc/uptime; head -c 2457600 %s >/dev/null; read c d </proc/uptime; "
                               "echo $a $c | awk '{print $2 - $1}'" % (os.path.basename(disk), disk)))

    def size(instance, disk):
        return int(cloud.ssh(instance, "blockdev --getsize64 " + disk)) >> 30
    fast = seconds(one, disk)
    change(Size=5)
    assert size(one, disk) == 5
    change(Size=6, VolumeType="io1", Iops=100)
    assert size(one, disk) == 6
    slow = seconds(one, disk)
    assert slow > 4.5 and slow > fast + 2, (fast, slow)
    detach(cloud, volume, one)
    change(Size=7)  # while nobody has it
    disk = attach(cloud, volume, two)
    assert size(two, disk) == 7 and seconds(two, disk) > 4.5
    detach(cloud, volume, two)
    cloud.ec2.delete_volume(VolumeId=volume)


def test_vanished_bytes_are_lost(cloud, guests):
    """A volume that was written once is never made anew and empty."""
    volume = cloud.ec2.create_volume(AvailabilityZone=cloud.env["AWS_DEFAULT_REGION"] + "a", Size=1)["VolumeId"]
    attach(cloud, volume, guests[0])
    detach(cloud, volume, guests[0])
    os.unlink(file_of(cloud, volume))
    cloud.ec2.attach_volume(VolumeId=volume, InstanceId=guests[0], Device="/dev/sdf")
    wait_for(lambda: volume_of(cloud, volume)["State"] == "error", 30, "error")
    assert not os.path.exists(file_of(cloud, volume))
    cloud.ec2.detach_volume(VolumeId=volume)
    wait_for(lambda: not volume_of(cloud, volume)["Attachments"], 30, "detachment")
    cloud.ec2.delete_volume(VolumeId=volume)
    cloud.ec2.get_waiter("volume_deleted").wait(VolumeIds=[volume], WaiterConfig={"Delay": 1, "MaxAttempts": 30})


def test_nothing_is_left(cloud, guests):
    assert [leak for leak in cloud.leaks() if "volume" in leak] == []
