# SPDX-License-Identifier: Apache-2.0
"""Snapshots whose files are not what they were: nothing is made of them, nor of what stands on them."""
import hashlib
import os

import pytest

from conftest import IMAGE_SNAPSHOT, fails, wait_for
from test_copy_image import copy
from test_quotas import check
from test_snapshots import ZONE, parent, running, seen, take  # noqa: F401

CONTENT = os.urandom(3 << 20)


def path(cloud, id_):
    return "%s/store/%s.qcow2" % (cloud.state, id_)


def look(cloud, id_=IMAGE_SNAPSHOT):
    """The scrubber reads a snapshot's file; its row says since when it has."""
    cloud.sql("UPDATE snapshot SET checked = '1970-01-01', completed = coalesce(completed, created) WHERE id = '%s'" % id_)
    wait_for(lambda: cloud.sql("SELECT 1 FROM snapshot WHERE id = '%s' AND checked > '1971-01-01'" % id_),
             "the scrubber does not come", 40)


@pytest.fixture(autouse=True)
def stored(cloud):
    """The image's snapshot has a file, and nobody else has one that is due."""
    for name in os.listdir(cloud.state + "/store"):
        os.unlink(cloud.state + "/store/" + name)
    with open(path(cloud, IMAGE_SNAPSHOT), "wb") as file:
        file.write(CONTENT)
    cloud.sql("UPDATE snapshot SET bytes = %d, sha256 = '%s', completed = now()"
              % (len(CONTENT), hashlib.sha256(CONTENT).hexdigest()))


def flip(cloud, at=1 << 20):
    with open(path(cloud, IMAGE_SNAPSHOT), "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def test_sound(cloud):
    look(cloud)
    assert seen(cloud.ec2, IMAGE_SNAPSHOT)[0]["State"] == "completed"


@pytest.mark.parametrize("damage", ["flipped", "shorter", "gone"])
def test_damaged(cloud, image, running, damage):  # noqa: F811
    one = take(cloud, running[1])  # stands on the image's
    cloud.settle()
    other = cloud.ec2.copy_snapshot(SourceSnapshotId=one, SourceRegion="us-east-1")["SnapshotId"]
    if damage == "flipped":
        flip(cloud)
    elif damage == "shorter":
        os.truncate(path(cloud, IMAGE_SNAPSHOT), 1000)
    else:
        os.unlink(path(cloud, IMAGE_SNAPSHOT))
    look(cloud)
    for bad in (IMAGE_SNAPSHOT, one, other):
        now = seen(cloud.ec2, bad)[0]
        assert now["State"] == "error" and now["StateMessage"] == "Its data is damaged."
        with fails("IncorrectState"):
            cloud.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=bad)
        with fails("IncorrectState"):
            cloud.ec2.copy_snapshot(SourceSnapshotId=bad, SourceRegion="us-east-1")
    with fails("InvalidAMIID.Unavailable"):
        cloud.ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    with fails("InvalidAMIID.Unavailable"):
        copy(cloud.ec2, image)
    now = cloud.ec2.describe_images(ImageIds=[image])["Images"][0]
    assert now["State"] == "failed" and IMAGE_SNAPSHOT in now["StateReason"]["Message"]
    two = take(cloud, running[1])  # a snapshot of what runs stands on none of them
    assert parent(cloud, two) is None
    cloud.settle()
    assert seen(cloud.ec2, two)[0]["State"] == "completed"
    check(cloud)

    with open(path(cloud, IMAGE_SNAPSHOT), "wb") as file:  # the operator had another copy
        file.write(CONTENT)
    look(cloud)
    assert [s["State"] for s in seen(cloud.ec2, IMAGE_SNAPSHOT, one, other)] == ["completed"] * 3
    assert cloud.ec2.describe_images(ImageIds=[image])["Images"][0]["State"] == "available"
    cloud.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=other)


def test_pending_one(cloud, image, running):  # noqa: F811
    """What is being made when what it stands on is found to be damaged is damaged, too."""
    one = take(cloud, running[1])
    flip(cloud)
    look(cloud)
    cloud.settle()
    assert seen(cloud.ec2, one)[0]["State"] == "error"
    cloud.ec2.delete_snapshot(SnapshotId=one)
    assert [s["SnapshotId"] for s in cloud.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]] == [IMAGE_SNAPSHOT]
    check(cloud)


def test_failed_images_stay_so(cloud, image):
    cloud.sql("UPDATE image SET state = 'failed', state_reason = 'another reason'")
    flip(cloud)
    look(cloud)
    flip(cloud)
    look(cloud)
    assert cloud.ec2.describe_images(ImageIds=[image])["Images"][0]["State"] == "failed"
