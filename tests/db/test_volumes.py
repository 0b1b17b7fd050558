# SPDX-License-Identifier: Apache-2.0
"""Volumes apart from instances: what becomes of them, and what is refused."""
import pytest

from conftest import fails
from test_quotas import check, limit  # noqa: F401

ZONE = "us-east-1a"


def volume(cloud, id_):
    return cloud.ec2.describe_volumes(VolumeIds=[id_])["Volumes"][0]


def state(cloud, id_):
    return cloud.ec2.describe_instances(InstanceIds=[id_])["Reservations"][0]["Instances"][0]["State"]["Name"]


@pytest.fixture
def running(cloud, launch):
    one = launch()[0]["InstanceId"]
    cloud.settle()
    return one


@pytest.fixture
def make(cloud):
    def go(**options):
        options.setdefault("AvailabilityZone", ZONE)
        if "SnapshotId" not in options:
            options.setdefault("Size", 2)
        return cloud.ec2.create_volume(**options)["VolumeId"]
    return go


def snapshot(cloud, image):
    return cloud.ec2.describe_images(ImageIds=[image])["Images"][0]["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]


def test_creation(cloud, image):
    ec2 = cloud.ec2
    made = ec2.create_volume(AvailabilityZone=ZONE, Size=3, VolumeType="gp3", Iops=4000, Throughput=200,
                             TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "a", "Value": "b"}]}])
    assert made["State"] == "creating" and made["Size"] == 3 and made["VolumeType"] == "gp3"
    assert made["Iops"] == 4000 and made["Throughput"] == 200 and made["Tags"] == [{"Key": "a", "Value": "b"}]
    ec2.get_waiter("volume_available").wait(VolumeIds=[made["VolumeId"]])
    seen = volume(cloud, made["VolumeId"])
    assert seen["State"] == "available" and seen["Attachments"] == [] and seen["AvailabilityZone"] == ZONE
    with fails("InvalidVolume.NotFound"):
        cloud.other.describe_volumes(VolumeIds=[made["VolumeId"]])
    of_snapshot = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot(cloud, image))
    assert of_snapshot["Size"] == 2 and of_snapshot["VolumeType"] == "gp2"
    status = ec2.describe_volume_status(VolumeIds=[made["VolumeId"]])["VolumeStatuses"][0]
    assert status["VolumeStatus"]["Status"] == "ok"
    assert {d["Name"] for d in status["VolumeStatus"]["Details"]} == {"io-enabled", "io-performance"}
    check(cloud)


@pytest.mark.parametrize("options, code", [
    ({}, "MissingParameter"),
    ({"Size": 0}, "InvalidParameterValue"),
    ({"Size": 16385}, "InvalidParameterValue"),
    ({"Size": 1, "VolumeType": "st1"}, "InvalidParameterValue"),
    ({"Size": 1, "VolumeType": "fast"}, "InvalidParameterValue"),
    ({"Size": 4, "VolumeType": "io1"}, "MissingParameter"),
    ({"Size": 4, "VolumeType": "gp2", "Iops": 3000}, "InvalidParameterCombination"),
    ({"Size": 1, "MultiAttachEnabled": True}, "UnsupportedOperation"),
    ({"Size": 1, "AvailabilityZone": "us-east-1z"}, "InvalidZone.NotFound"),
    ({"SnapshotId": "snap-00000000000000001"}, "InvalidSnapshot.NotFound"),
    ({"SnapshotId": "snap-x"}, "InvalidSnapshotID.Malformed"),
])
def test_refused(cloud, options, code):
    with fails(code):
        cloud.ec2.create_volume(**dict({"AvailabilityZone": ZONE}, **options))


def test_smaller_than_its_snapshot(cloud, image):
    with fails("InvalidParameterValue"):
        cloud.ec2.create_volume(AvailabilityZone=ZONE, Size=1, SnapshotId=snapshot(cloud, image))


def test_client_token(cloud, make):
    one = make(ClientToken="t")
    assert make(ClientToken="t") == one
    with fails("IdempotentParameterMismatch"):
        make(ClientToken="t", Size=9)
    assert len(cloud.ec2.describe_volumes()["Volumes"]) == 1
    with fails("DryRunOperation"):
        make(DryRun=True)
    check(cloud)


def test_quota(cloud, make, limit):  # noqa: F811
    limit(volumes=1)
    make()
    with fails("VolumeLimitExceeded"):
        make()
    check(cloud)


def test_life_with_a_running_instance(cloud, running, make):
    ec2, one = cloud.ec2, make()
    attached = ec2.attach_volume(VolumeId=one, InstanceId=running, Device="/dev/sdf")
    assert attached["State"] == "attaching" and attached["Device"] == "/dev/sdf"
    assert attached["DeleteOnTermination"] is False
    assert volume(cloud, one)["State"] == "in-use"
    with fails("VolumeInUse"):
        ec2.attach_volume(VolumeId=one, InstanceId=running, Device="/dev/sdg")
    with fails("VolumeInUse"):
        ec2.delete_volume(VolumeId=one)
    cloud.settle()
    assert volume(cloud, one)["Attachments"][0]["State"] == "attached"
    shown = ec2.describe_instances()["Reservations"][0]["Instances"][0]["BlockDeviceMappings"]
    assert {m["DeviceName"] for m in shown} == {"/dev/xvda", "/dev/sdf"}
    with fails("InvalidAttachment.NotFound"):
        ec2.detach_volume(VolumeId=one, Device="/dev/sdg")
    assert ec2.detach_volume(VolumeId=one, InstanceId=running)["State"] == "detaching"
    assert volume(cloud, one)["Attachments"][0]["State"] == "detaching"
    cloud.settle()
    assert volume(cloud, one)["State"] == "available"
    with fails("IncorrectState"):
        ec2.detach_volume(VolumeId=one)
    ec2.delete_volume(VolumeId=one)
    assert volume(cloud, one)["State"] == "deleting"
    with fails("IncorrectState"):
        ec2.attach_volume(VolumeId=one, InstanceId=running, Device="/dev/sdf")
    cloud.settle()
    ec2.get_waiter("volume_deleted").wait(VolumeIds=[one])
    with fails("InvalidVolume.NotFound"):
        ec2.delete_volume(VolumeId=one)
    check(cloud)


def test_never_attached_goes_at_once(cloud, make):
    one = make()
    cloud.ec2.create_tags(Resources=[one], Tags=[{"Key": "a", "Value": "b"}])
    cloud.ec2.delete_volume(VolumeId=one)
    assert cloud.ec2.describe_volumes()["Volumes"] == [] and cloud.ec2.describe_tags()["Tags"] == []
    check(cloud)


def test_stopped_instance(cloud, running, make):
    ec2, one = cloud.ec2, make()
    ec2.stop_instances(InstanceIds=[running])
    with fails("IncorrectState"):
        ec2.attach_volume(VolumeId=one, InstanceId=running, Device="/dev/sdf")  # not yet
    cloud.settle()
    ec2.attach_volume(VolumeId=one, InstanceId=running, Device="/dev/sdf")
    root = [v for v in ec2.describe_volumes()["Volumes"] if v["VolumeId"] != one][0]["VolumeId"]
    assert ec2.detach_volume(VolumeId=root)["State"] == "detaching"
    assert volume(cloud, root)["State"] == "available"
    with fails("IncorrectInstanceState"):
        ec2.start_instances(InstanceIds=[running])
    with fails("InvalidParameterValue"):
        ec2.attach_volume(VolumeId=root, InstanceId=running, Device="/dev/sdf")
    ec2.attach_volume(VolumeId=root, InstanceId=running, Device="/dev/xvda")
    ec2.start_instances(InstanceIds=[running])
    cloud.settle()
    assert state(cloud, running) == "running"
    with fails("OperationNotPermitted"):
        ec2.detach_volume(VolumeId=root)
    ec2.terminate_instances(InstanceIds=[running])
    cloud.settle()
    assert volume(cloud, one)["State"] == volume(cloud, root)["State"] == "available"  # neither goes with it
    check(cloud)


def test_terminated_while_detaching(cloud, running, make):
    ec2, one = cloud.ec2, make()
    ec2.attach_volume(VolumeId=one, InstanceId=running, Device="/dev/sdf")
    cloud.settle()
    ec2.detach_volume(VolumeId=one)
    ec2.terminate_instances(InstanceIds=[running])
    cloud.settle()
    assert volume(cloud, one)["State"] == "available"
    check(cloud)


@pytest.mark.parametrize("device", ["", "sda/../x", "/dev/sda99", "disk", "/dev/sdf'; drop"])
def test_device_names(cloud, running, make, device):
    with fails("InvalidParameterValue"):
        cloud.ec2.attach_volume(VolumeId=make(), InstanceId=running, Device=device)


def test_zones_and_accounts(cloud, running, make):
    elsewhere = make(AvailabilityZone="us-east-1b")
    with fails("InvalidVolume.ZoneMismatch"):
        cloud.ec2.attach_volume(VolumeId=elsewhere, InstanceId=running, Device="/dev/sdf")
    for call in (lambda: cloud.other.delete_volume(VolumeId=elsewhere),
                 lambda: cloud.other.detach_volume(VolumeId=elsewhere)):
        with fails("InvalidVolume.NotFound"):
            call()
    theirs = cloud.other.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
    with fails("InvalidVolume.NotFound"):
        cloud.ec2.attach_volume(VolumeId=theirs, InstanceId=running, Device="/dev/sdf")
    with fails("InvalidInstanceID.NotFound"):
        cloud.other.attach_volume(VolumeId=theirs, InstanceId=running, Device="/dev/sdf")


def test_as_many_as_fit(cloud, running, make):
    for number in range(27):
        cloud.ec2.attach_volume(VolumeId=make(), InstanceId=running,
                                Device="/dev/sd" + chr(ord("b") + number % 25) + ("" if number < 25 else "1"))
    with fails("AttachmentLimitExceeded"):
        cloud.ec2.attach_volume(VolumeId=make(), InstanceId=running, Device="/dev/xvdzz")
