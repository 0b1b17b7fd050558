# SPDX-License-Identifier: Apache-2.0
"""A volume on one host's disk that a guest on another host uses.

The writer puts the number n into block n and syncs, one block after the other, and notes how far it
has come: so what was synced and is not there is seen."""
import os
import signal

import pytest
from botocore.exceptions import ClientError

from conftest import run, wait_for
from rack import Host

WRITER = """cat >/tmp/writer <<'END'
n=0
while [ ! -e /tmp/stop ]; do
    n=$((n + 1))
    printf '%%08d' $n | dd of=$1 bs=4096 seek=$n conv=fsync,notrunc 2>/dev/null || exit 1
    echo $n >/tmp/count.new && mv /tmp/count.new /tmp/count
done
END
rm -f /tmp/stop; echo 0 >/tmp/count; sh /tmp/writer %s >/dev/null 2>&1 &"""


@pytest.fixture(scope="module")
def cloud(rack_cloud):
    return rack_cloud


@pytest.fixture(scope="module")
def third(cloud, build_dir):
    """Another host in the first one's zone."""
    host = Host(cloud, build_dir, 3, zone="a")
    try:
        wait_for(lambda: any(h["name"] == "host-3" and h["up"] for h in cloud.status()["hosts"]), 60, "third host")
        yield host
    finally:
        cloud.terminate_all()
        host.close()


@pytest.fixture(scope="module")
def pair(cloud, third):
    """A guest on the first host, and one on the third."""
    cloud.ec2.create_placement_group(GroupName="apart", Strategy="spread")
    both = [cloud.launch(wait=False, Placement={"GroupName": "apart", "AvailabilityZone": zone(cloud)}) for _ in range(2)]
    for instance in both:
        cloud.wait_state(instance, "running")
    for instance in both:
        cloud.wait_ssh(instance)
    both.sort(key=lambda instance: instance in third.domains())
    assert both[1] in third.domains() and both[0] not in third.domains()
    return both


def zone(cloud):
    return cloud.env["AWS_DEFAULT_REGION"] + "a"


def volume_of(cloud, volume):
    return cloud.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]


def attach(cloud, volume, instance):
    """The guest's name of it."""
    cloud.ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
    wait_for(lambda: volume_of(cloud, volume)["Attachments"][0]["State"] == "attached", 60, "attachment")

    def disk():
        found = cloud.ssh(instance, "grep -l %s /sys/block/*/serial || true" % volume.replace("-", "")).split("/")
        return "/dev/" + found[3] if len(found) > 3 else None
    return wait_for(disk, 30, "disk in the guest")


def detach(cloud, volume):
    cloud.ec2.detach_volume(VolumeId=volume)
    cloud.ec2.get_waiter("volume_available").wait(VolumeIds=[volume], WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def count(cloud, instance):
    return int(cloud.ssh(instance, "cat /tmp/count"))


def numbers(cloud, instance, disk, last):
    text = cloud.ssh(instance, "dd if=%s bs=4096 skip=1 count=%d 2>/dev/null | tr -d '\\0'" % (disk, last))
    return [int(text[i:i + 8]) for i in range(0, len(text), 8)]


def daemon(volume, side):
    """The process of one side; the first host sees those of the others, too."""
    found = run(["pgrep", "-f", "qemu-storage-daemon.*exports/%s.%s" % (volume, side)], check=False).stdout.split()
    return int(found[0]) if found else None


def make(cloud, pair, **options):
    """A volume on the first host's disk, with a pattern."""
    made = cloud.ec2.create_volume(AvailabilityZone=zone(cloud), Size=1, **options)["VolumeId"]
    disk = attach(cloud, made, pair[0])
    cloud.ssh(pair[0], "head -c 1000000 /dev/zero | tr '\\0' 'v' | dd of=%s bs=64k seek=4096 conv=fsync 2>/dev/null" % disk)
    detach(cloud, made)
    return made


@pytest.fixture(scope="module")
def volume(cloud, pair):
    return make(cloud, pair)


def pattern(cloud, instance, disk):
    return cloud.ssh(instance, "dd if=%s bs=64k skip=4096 count=15 2>/dev/null | tr -d v | wc -c" % disk).strip()


def test_used_from_another_host(cloud, third, pair, volume):
    """Whatever is killed, the guest's writes go on, and all of them are there when the volume is back."""
    here, there = pair
    disk = attach(cloud, volume, there)
    assert pattern(cloud, there, disk) == "0"
    cloud.ssh(there, WRITER % disk)
    wait_for(lambda: count(cloud, there) > 3, 30, "first blocks")

    def goes_on(what):
        before = count(cloud, there)
        wait_for(lambda: count(cloud, there) > before + 10, 90, "further blocks after the end of " + what)
    for side in ("server", "client", "server", "client"):
        pid = wait_for(lambda: daemon(volume, side), 30, side)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: daemon(volume, side) not in (None, pid), 60, "another " + side)
        goes_on("the " + side)
    server, client = daemon(volume, "server"), daemon(volume, "client")
    cloud.kill("virga-node")
    third.kill("virga-node")
    goes_on("virga-node")
    third.start_node()
    wait_for(lambda: cloud.pid("virga-node"), 30, "virga-node")
    goes_on("virga-node's absence")
    assert (server, client) == (daemon(volume, "server"), daemon(volume, "client"))
    # Nobody reads it without the attachment's key, nor opens the file.
    with open("/proc/%d/cmdline" % client) as file:
        port = file.read().split("server.port=")[1].split(",")[0]
    assert run(["qemu-img", "info", "nbd://198.51.100.1:%s/disk" % port], check=False).returncode != 0
    image = "%s/node/volumes/%s.qcow2" % (cloud.state, volume)
    assert "lock" in run(["qemu-io", "-c", "write 0 4k", image], check=False).stderr
    # What would need the volume at rest is refused.
    for call in (lambda: cloud.ec2.create_snapshot(VolumeId=volume),
                 lambda: cloud.ec2.modify_volume(VolumeId=volume, Size=2)):
        with pytest.raises(ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == "IncorrectState"
        assert "another host" in refused.value.response["Error"]["Message"]
    cloud.ssh(there, "touch /tmp/stop; while grep -qs '/tmp/write[r]' /proc/[0-9]*/cmdline; do sleep 0.1; done")
    last = count(cloud, there)
    detach(cloud, volume)
    disk = attach(cloud, volume, here)
    assert daemon(volume, "server") is None
    wait_for(lambda: daemon(volume, "client") is None, 30, "end of the client")
    assert numbers(cloud, here, disk, last + 9) == list(range(1, last + 1))
    assert pattern(cloud, here, disk) == "0"
    detach(cloud, volume)
    snapshot = cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    cloud.ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    cloud.ec2.delete_snapshot(SnapshotId=snapshot)


def test_encrypted(cloud, pair):
    """The host that has it opens it, of however many layers it is."""
    volume = make(cloud, pair, Encrypted=True)
    snapshot = cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    cloud.ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    disk = attach(cloud, volume, pair[1])
    assert pattern(cloud, pair[1], disk) == "0"
    cloud.ssh(pair[1], "head -c 65536 /dev/zero | tr '\\0' 'w' | dd of=%s bs=64k conv=fsync 2>/dev/null" % disk)
    pid = daemon(volume, "server")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: daemon(volume, "server") not in (None, pid), 60, "another server")
    detach(cloud, volume)
    disk = attach(cloud, volume, pair[0])
    assert pattern(cloud, pair[0], disk) == "0"
    assert cloud.ssh(pair[0], "head -c 65536 %s | tr -d w | wc -c" % disk).strip() == "0"
    detach(cloud, volume)
    cloud.ec2.delete_volume(VolumeId=volume)
    cloud.ec2.delete_snapshot(SnapshotId=snapshot)


def test_across_a_stop(cloud, third, pair, volume):
    """A guest that boots finds the disk that it has elsewhere; with the instance goes what shall go with it."""
    there = pair[1]
    attach(cloud, volume, there)
    cloud.ec2.stop_instances(InstanceIds=[there])
    cloud.wait_state(there, "stopped")
    cloud.ec2.start_instances(InstanceIds=[there])
    cloud.wait_state(there, "running")
    cloud.wait_ssh(there)
    assert volume.replace("-", "") in cloud.ssh(there, "cat /sys/block/*/serial")
    cloud.ec2.modify_instance_attribute(InstanceId=there, BlockDeviceMappings=[
        {"DeviceName": "/dev/sdf", "Ebs": {"DeleteOnTermination": True, "VolumeId": volume}}])
    image = "%s/node/volumes/%s.qcow2" % (cloud.state, volume)
    assert os.path.exists(image)
    cloud.ec2.terminate_instances(InstanceIds=[there])
    cloud.wait_state(there, "terminated")
    wait_for(lambda: not os.path.exists(image), 60, "end of the file on the other host")
    wait_for(lambda: not daemon(volume, ""), 30, "end of the daemons")
    wait_for(lambda: not third.run("sh", "-c", "ls /var/lib/virga/node/exports").stdout.split(), 30, "end of their files")
