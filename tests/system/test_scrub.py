# SPDX-License-Identifier: Apache-2.0
"""Bytes that rot: in the store, and in a base image that a host keeps.  Guests have an empty disk."""
import os

import pytest
from botocore.exceptions import ClientError

from cloud import running_cloud
from conftest import wait_for

SETTINGS = {"storage": {"scrub-days": 0, "scrub-mib": 1000}}


@pytest.fixture(scope="module")
def cloud(build_dir):
    with running_cloud(build_dir, settings=SETTINGS) as cloud:
        yield cloud


def new_image(cloud, directory, name):
    """An image with content of its own; its id and its snapshot's."""
    path = os.path.join(str(directory), name)
    with open(path, "wb") as file:
        file.write(os.urandom(1 << 20))
        file.truncate(2 << 20)
    image = cloud.import_image(path, name)
    said = cloud.ec2.describe_images(ImageIds=[image])["Images"][0]
    return image, said["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]


def flip(path):
    """One bit, and nothing else that could be told from."""
    status = os.stat(path)
    with open(path, "r+b") as file:
        file.seek(status.st_size - 100000)
        byte = file.read(1)[0]
        file.seek(status.st_size - 100000)
        file.write(bytes([byte ^ 4]))
        os.fsync(file.fileno())
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def launch(cloud, image):
    return cloud.ec2.run_instances(ImageId=image, InstanceType="t3.nano", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]


def base(cloud, snapshot):
    return "%s/node/images/%s.qcow2" % (cloud.state, snapshot)


def told(cloud, text):
    """virga status and virga doctor have a line with it, and say that something is wrong."""
    done = cloud.virga("status", check=False), cloud.virga("doctor", check=False)
    return all(d.returncode == 1 and text in d.stdout for d in done)


def looked_at(cloud, snapshot):
    """The host has its checksum."""
    wait_for(lambda: os.path.exists(base(cloud, snapshot)[:-5] + "sum"), 120, "the host to look at its base images")


def test_store(cloud, tmp_path):
    image, snapshot = new_image(cloud, tmp_path, "store")
    assert "no damage" in cloud.virga("doctor", check=False).stdout
    flip("%s/store/%s.qcow2" % (cloud.state, snapshot))
    wait_for(lambda: told(cloud, "%s is damaged" % snapshot), 120, "the damage to be told")
    with pytest.raises(ClientError) as refused:
        launch(cloud, image)
    assert refused.value.response["Error"]["Code"] == "InvalidAMIID.Unavailable"
    assert "damaged by %s" % snapshot in cloud.virga("why", snapshot).stdout
    cloud.ec2.deregister_image(ImageId=image)
    cloud.ec2.delete_snapshot(SnapshotId=snapshot)
    wait_for(lambda: "damaged" not in cloud.virga("status", check=False).stdout, 60, "nothing more to be told")


def test_idle_base(cloud, tmp_path):
    """It goes, and the next guest has a whole one."""
    image, snapshot = new_image(cloud, tmp_path, "idle")
    one = launch(cloud, image)
    cloud.wait_state(one, "running")
    cloud.ec2.terminate_instances(InstanceIds=[one])
    cloud.wait_state(one, "terminated")
    looked_at(cloud, snapshot)
    flip(base(cloud, snapshot))
    wait_for(lambda: not os.path.exists(base(cloud, snapshot)), 180, "the base image to go")
    two = launch(cloud, image)
    cloud.wait_state(two, "running")
    wait_for(lambda: "damaged" not in cloud.virga("status", check=False).stdout, 60, "nothing more to be told")
    cloud.ec2.terminate_instances(InstanceIds=[two])
    cloud.wait_state(two, "terminated")


def test_base_with_guests(cloud, tmp_path):
    """It stays, it is told, and nobody else gets it."""
    image, snapshot = new_image(cloud, tmp_path, "used")
    one = launch(cloud, image)
    cloud.wait_state(one, "running")
    looked_at(cloud, snapshot)
    flip(base(cloud, snapshot))
    wait_for(lambda: told(cloud, "the base image of %s is damaged" % snapshot), 180, "the damage to be told")
    before = set(os.listdir(cloud.state + "/node/volumes"))
    two = launch(cloud, image)  # waits, and begins when the first one is gone
    cloud.ec2.terminate_instances(InstanceIds=[one])
    cloud.wait_state(one, "terminated")
    cloud.wait_state(two, "running", 180)
    assert len(before) == 1
    wait_for(lambda: "damaged" not in cloud.virga("status", check=False).stdout, 60, "nothing more to be told")
