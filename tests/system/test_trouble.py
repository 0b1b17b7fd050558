# SPDX-License-Identifier: Apache-2.0
"""What cannot be done is said: by an AWS error, or by the instance's StateReason.  Nothing hangs.

Most guests have an empty disk: their domain runs, which is all that is asked of them."""
import os
import signal

import pytest
from botocore.exceptions import ClientError

from cloud import running_cloud
from conftest import run, wait_for

POOL = {"network": {"public-pool": "198.18.0.0/29"}}  # six addresses
GIVEN_UP_S = 60


@pytest.fixture(scope="module")
def cloud(build_dir, image_micro):
    with running_cloud(build_dir, image_micro, settings=POOL) as cloud:
        yield cloud


def new_image(cloud, directory, name):
    """An image with content of its own; its id and its snapshot's file."""
    path = os.path.join(str(directory), name)
    with open(path, "wb") as file:
        file.write(name.encode())
        file.truncate(1 << 20)
    image = cloud.import_image(path, name)
    said = cloud.ec2.describe_images(ImageIds=[image])["Images"][0]
    snapshot = said["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    return image, "%s/store/%s.qcow2" % (cloud.state, snapshot)


@pytest.fixture(scope="module")
def blank(cloud, tmp_path_factory):
    return new_image(cloud, tmp_path_factory.mktemp("blank"), "blank")[0]


def launch(cloud, image, wait=True, **options):
    options.setdefault("MinCount", 1)
    options.setdefault("MaxCount", 1)
    options.setdefault("InstanceType", "t3.nano")
    instance = cloud.ec2.run_instances(ImageId=image, **options)["Instances"][0]["InstanceId"]
    if wait:
        cloud.wait_state(instance, "running")
    return instance


def terminate(cloud, *instances):
    cloud.ec2.terminate_instances(InstanceIds=list(instances))
    for instance in instances:
        cloud.wait_state(instance, "terminated")


def refused(call):
    """Its error: code, message, status, request id."""
    with pytest.raises(ClientError) as failure:
        call()
    answer = failure.value.response
    return (answer["Error"]["Code"], answer["Error"]["Message"],
            answer["ResponseMetadata"]["HTTPStatusCode"], answer["ResponseMetadata"]["RequestId"])


def reason_of(cloud, instance, state):
    """Waits for the end of an attempt and returns why it failed."""
    wait_for(lambda: cloud.state_of(instance) == state, GIVEN_UP_S, "%s of %s" % (state, instance), 0.2)
    reason = cloud.describe(instance)["StateReason"]
    assert reason["Message"].startswith(reason["Code"] + ": ")
    assert reason["Message"] in cloud.virga("why", instance).stdout
    return reason


def well(cloud):
    wait_for(lambda: "All is well." in cloud.virga("status", check=False).stdout, 60, "health", 0.3)


def reconfigure(cloud, settings):
    cloud.configure(settings)
    cloud.up()


def test_no_room(cloud, blank):
    code, message, status, request = refused(lambda: launch(cloud, blank, InstanceType="r5.24xlarge"))
    host = os.uname().nodename
    assert (code, status) == ("InsufficientInstanceCapacity", 500)
    assert host + ": " in message and "are needed" in message
    assert "are needed" in cloud.virga("why", request).stdout
    code, message, _, _ = refused(lambda: launch(cloud, blank, MinCount=200, MaxCount=200))
    assert code in ("InsufficientInstanceCapacity", "InsufficientAddressCapacity")
    assert cloud.leaks() == []


def test_no_public_address(cloud, blank):
    """All or nothing: five of six are free, six are too many; those without need none."""
    first = launch(cloud, blank)
    code, message, status, request = refused(lambda: launch(cloud, blank, MinCount=6, MaxCount=6))
    assert (code, status) == ("InsufficientAddressCapacity", 400), message
    assert code in cloud.virga("why", request).stdout or "address" in cloud.virga("why", request).stdout
    subnet = cloud.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    second = launch(cloud, blank, NetworkInterfaces=[
        {"DeviceIndex": 0, "SubnetId": subnet, "AssociatePublicIpAddress": False}])
    assert "PublicIpAddress" not in cloud.describe(second)
    terminate(cloud, first, second)
    cloud.wait_no_leaks()


def test_no_disk(cloud, blank):
    reconfigure(cloud, dict(POOL, node={"disk-reserved-gib": 1 << 20}))
    try:
        code, message, _, _ = refused(lambda: launch(cloud, blank))
        assert code == "InsufficientInstanceCapacity" and "GiB of disk are free" in message
    finally:
        reconfigure(cloud, POOL)
    terminate(cloud, launch(cloud, blank))


def test_full_disk(cloud, tmp_path):
    """No byte more where the host keeps its copies of images."""
    path = str(tmp_path / "full")
    with open(path, "wb") as file:
        file.write(os.urandom(8 << 20))
    image = cloud.import_image(path, "full")
    folder = cloud.state + "/node/images"
    run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=711", "tmpfs", folder])
    try:
        reason = reason_of(cloud, launch(cloud, image, wait=False), "terminated")
        assert reason["Code"].startswith("Server.")
    finally:
        run(["umount", folder])
    terminate(cloud, launch(cloud, image))


def test_snapshot_without_its_file(cloud, tmp_path):
    image, file = new_image(cloud, tmp_path, "vanishing")
    os.rename(file, file + ".away")
    reason = reason_of(cloud, launch(cloud, image, wait=False), "terminated")
    assert reason["Code"] == "Client.InvalidSnapshot.NotFound"
    os.rename(file + ".away", file)
    terminate(cloud, launch(cloud, image))


def test_snapshot_with_other_content(cloud, tmp_path):
    """What was damaged in the store is never started."""
    image, file = new_image(cloud, tmp_path, "damaged")
    with open(file, "r+b") as store:
        store.seek(-1, os.SEEK_END)
        byte = store.read(1)
        store.seek(-1, os.SEEK_END)
        store.write(bytes([byte[0] ^ 1]))
    reason = reason_of(cloud, launch(cloud, image, wait=False), "terminated")
    assert reason["Code"].startswith("Server.")


def test_libvirt_is_away(cloud, blank):
    """It cannot bind its socket for a while; the launch waits for it."""
    socket = cloud.state + "/libvirt/run/libvirt-sock"
    os.rename(socket, socket + ".away")
    os.mkdir(socket)
    try:
        cloud.kill("libvirtd")
        instance = launch(cloud, blank, wait=False)
        wait_for(lambda: "could not" in cloud.log("virga-node").rpartition(instance)[2], 30, "complaint", 0.2)
        assert cloud.state_of(instance) == "pending"
    finally:
        os.rmdir(socket)
        os.unlink(socket + ".away")
    cloud.wait_state(instance, "running", 120)
    terminate(cloud, instance)
    well(cloud)


def test_libvirt_hangs(cloud, blank):
    """A libvirtd that accepts and never answers blocks neither the API nor a later end."""
    pid = cloud.kill("libvirtd", signal.SIGSTOP)
    try:
        instance = launch(cloud, blank, wait=False)
        assert cloud.state_of(instance) == "pending"
        cloud.ec2.terminate_instances(InstanceIds=[instance])
        assert cloud.state_of(instance) == "shutting-down"
    finally:
        os.kill(pid, signal.SIGCONT)
    cloud.wait_state(instance, "terminated")
    well(cloud)


def test_libvirt_refuses(cloud, blank):
    """A domain that will never start: there is no folder for its console."""
    folder = cloud.state + "/node/console"
    os.rename(folder, folder + ".away")
    open(folder, "w").close()
    try:
        reason = reason_of(cloud, launch(cloud, blank, wait=False), "terminated")
        assert reason["Code"] == "Server.InternalError"
    finally:
        os.unlink(folder)
        os.rename(folder + ".away", folder)
    terminate(cloud, launch(cloud, blank))


def test_volume_that_vanished(cloud, blank):
    """A start without its disk fails, and no empty one is made."""
    instance = launch(cloud, blank)
    cloud.ec2.stop_instances(InstanceIds=[instance], Force=True)
    cloud.wait_state(instance, "stopped")
    volume = cloud.describe(instance)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    file = "%s/node/volumes/%s.qcow2" % (cloud.state, volume)
    os.unlink(file)
    cloud.ec2.start_instances(InstanceIds=[instance])
    wait_for(lambda: cloud.describe(instance).get("StateReason", {}).get("Code") == "Server.VolumeLost",
             GIVEN_UP_S, "Server.VolumeLost", 0.2)
    assert reason_of(cloud, instance, "stopped")["Code"] == "Server.VolumeLost"
    assert not os.path.exists(file)
    said = cloud.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]
    assert said["State"] in ("error", "in-use")
    terminate(cloud, instance)
    assert cloud.leaks() == []


def test_controller_is_away(cloud):
    """Guests keep their metadata, their lease and their names when virgad does not run."""
    instance = cloud.launch()
    cloud.wait_ssh(instance)
    address, private = cloud.address(instance), cloud.describe(instance)["PrivateIpAddress"]
    name = cloud.describe(instance)["PrivateDnsName"]
    script = ("wget -q -O - http://169.254.169.254/latest/meta-data/instance-id && echo && "
              "udhcpc -i eth0 -n -q -f -t 5 -T 1 -s /bin/true 2>&1 && nslookup %s" % name)
    cloud.configure(dict(POOL, api={"listen": "192.0.2.1:80"}))
    try:
        cloud.kill("virgad")
        wait_for(lambda: "virgad does not run" in cloud.virga("status", check=False).stdout, 20, "absence", 0.3)
        cloud.kill("virga-node")
        former = cloud.guest_pid(instance)
        wait_for(lambda: cloud.pid("virga-node"), 20, "virga-node")
        cloud.address = lambda wanted: address
        text = wait_for(lambda: cloud.ssh(instance, script, check=False).stdout, 20, "answers", 0.5)
        assert instance in text and "lease of %s obtained" % private in text, text
        assert text.count(private) >= 2
    finally:
        del cloud.__dict__["address"]
        cloud.configure(POOL)
    well(cloud)
    assert cloud.guest_pid(instance) == former and cloud.state_of(instance) == "running"
    terminate(cloud, instance)


def test_nothing_is_left(cloud):
    """Who cleans up cleans up all: nothing is left to the collection of garbage, which waits a minute."""
    wait_for(lambda: not cloud.leaks(), 30, "end of all leaks", 0.5)
