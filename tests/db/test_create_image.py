# SPDX-License-Identifier: Apache-2.0
"""Images of instances: what they are made of, and when they can be launched."""
import pytest

from conftest import IMAGE_SNAPSHOT, fails
from test_quotas import check
from test_snapshots import running  # noqa: F401


def make(cloud, instance, name="made", **options):
    return cloud.ec2.create_image(InstanceId=instance, Name=name, **options)["ImageId"]


def seen(cloud, image):
    return cloud.ec2.describe_images(ImageIds=[image])["Images"][0]


def devices(cloud, image):
    return {m["DeviceName"]: m["Ebs"] for m in seen(cloud, image)["BlockDeviceMappings"]}


def run(client, image):
    return client.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)["Instances"][0]


@pytest.mark.parametrize("no_reboot", [False, True])
def test_life(cloud, running, no_reboot):  # noqa: F811
    instance, root, data = running
    image = make(cloud, instance, Description="of it", NoReboot=no_reboot, TagSpecifications=[
        {"ResourceType": kind, "Tags": [{"Key": "of", "Value": kind}]} for kind in ("image", "snapshot")])
    now = seen(cloud, image)
    assert now["State"] == "pending" and now["Description"] == "of it"
    assert "<sourceInstanceId>%s<" % instance in cloud.raw({"Action": "DescribeImages", "ImageId.1": image})
    assert now["Tags"] == [{"Key": "of", "Value": "image"}] and now["RootDeviceName"] == "/dev/xvda"
    with fails("InvalidAMIID.Unavailable"):
        run(cloud.ec2, image)
    xml = cloud.raw({"Action": "EnableImage", "ImageId": image})  # Debian's botocore does not know it
    assert "<Code>InvalidAMIID.Unavailable</Code>" in xml
    cloud.settle()
    cloud.ec2.get_waiter("image_available").wait(ImageIds=[image])
    snapshots = {s["VolumeId"]: s for s in cloud.ec2.describe_snapshots(Filters=[
        {"Name": "tag:of", "Values": ["snapshot"]}])["Snapshots"]}
    assert set(snapshots) == {root, data}
    found = devices(cloud, image)
    assert {n: e["SnapshotId"] for n, e in found.items()} == {
        "/dev/xvda": snapshots[root]["SnapshotId"], "/dev/sdf": snapshots[data]["SnapshotId"]}
    assert found["/dev/sdf"]["VolumeSize"] == 3
    assert all(instance in s["Description"] for s in snapshots.values())
    halts = cloud.sql("SELECT DISTINCT halt FROM snapshot WHERE volume_id IS NOT NULL")
    assert halts == [["f" if no_reboot else "t"]]
    assert run(cloud.ec2, image)["RootDeviceName"] == "/dev/xvda"
    with fails("InvalidSnapshot.InUse", image):
        cloud.ec2.delete_snapshot(SnapshotId=snapshots[root]["SnapshotId"])
    cloud.ec2.deregister_image(ImageId=image)
    assert len(cloud.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 3
    check(cloud)


def test_stopped(cloud, running):  # noqa: F811
    instance = running[0]
    cloud.ec2.stop_instances(InstanceIds=[instance])
    with fails("IncorrectInstanceState"):
        make(cloud, instance)  # not yet
    cloud.settle()
    image = make(cloud, instance)
    assert cloud.sql("SELECT DISTINCT halt FROM snapshot") == [["f"]]
    cloud.settle()
    assert seen(cloud, image)["State"] == "available"


def test_devices(cloud, running):  # noqa: F811
    """Some are left out, some are others, some are new."""
    image = make(cloud, running[0], BlockDeviceMappings=[
        {"DeviceName": "/dev/sdf", "NoDevice": ""},
        {"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": False}},
        {"DeviceName": "/dev/sdg", "Ebs": {"VolumeSize": 7, "VolumeType": "gp3"}},
        {"DeviceName": "/dev/sdh", "Ebs": {"SnapshotId": IMAGE_SNAPSHOT}}])
    cloud.settle()
    found = devices(cloud, image)
    assert set(found) == {"/dev/xvda", "/dev/sdg", "/dev/sdh"}
    assert found["/dev/xvda"]["DeleteOnTermination"] is False and "SnapshotId" not in found["/dev/sdg"]
    assert (found["/dev/sdg"]["VolumeSize"], found["/dev/sdg"]["VolumeType"]) == (7, "gp3")
    assert found["/dev/sdh"]["VolumeSize"] == 2
    check(cloud)


def test_failed(cloud, running):  # noqa: F811
    image = make(cloud, running[0])
    cloud.sql("UPDATE snapshot SET state = 'error', host_id = NULL, message = 'the disk has vanished'"
              " WHERE volume_id = '%s'" % running[1])
    cloud.settle()
    now = seen(cloud, image)
    assert now["State"] == "failed" and "vanished" in now["StateReason"]["Message"]
    cloud.ec2.deregister_image(ImageId=image)


@pytest.mark.parametrize("options, code", [
    ({"InstanceId": "i-00000000000000001"}, "InvalidInstanceID.NotFound"),
    ({"InstanceId": "x"}, "InvalidInstanceID.Malformed"),
    ({"Name": "a$bc"}, "InvalidAMIName.Malformed"),
    ({"Name": "base"}, "InvalidAMIName.Duplicate"),
    ({"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "NoDevice": ""}]}, "InvalidParameterValue"),
    ({"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": IMAGE_SNAPSHOT}}]},
     "InvalidParameterValue"),
    ({"BlockDeviceMappings": [{"DeviceName": "/dev/sdg", "Ebs": {"VolumeType": "gp3"}}]}, "InvalidParameterValue"),
    ({"TagSpecifications": [{"ResourceType": "volume", "Tags": [{"Key": "a", "Value": "b"}]}]},
     "InvalidParameterValue"),
    ({"DryRun": True}, "DryRunOperation"),
])
def test_refused(cloud, running, options, code):  # noqa: F811
    with fails(code):
        cloud.ec2.create_image(**dict({"InstanceId": running[0], "Name": "made"}, **options))
    assert len(cloud.ec2.describe_images(Owners=["self"])["Images"]) == 1
    check(cloud)


def test_only_of_ones_own(cloud, running):  # noqa: F811
    with fails("InvalidInstanceID.NotFound"):
        cloud.other.create_image(InstanceId=running[0], Name="made")


def test_deregistered_with_its_snapshots(cloud, running):  # noqa: F811
    """But for what another image has.  Debian's botocore does not know the parameter."""
    image = make(cloud, running[0])
    cloud.settle()
    found = {n: e["SnapshotId"] for n, e in devices(cloud, image).items()}
    cloud.ec2.register_image(Name="second", RootDeviceName="/dev/sdf", BlockDeviceMappings=[
        {"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": found["/dev/sdf"]}}])
    xml = cloud.raw({"Action": "DeregisterImage", "ImageId": image, "DeleteAssociatedSnapshots": "true"})
    assert "<snapshotId>%s</snapshotId><returnCode>success<" % found["/dev/xvda"] in xml.replace("\n", ""), xml
    assert "<snapshotId>%s</snapshotId><returnCode>skipped<" % found["/dev/sdf"] in xml.replace("\n", ""), xml
    assert [s["SnapshotId"] for s in cloud.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]] == \
        sorted([IMAGE_SNAPSHOT, found["/dev/sdf"]])
    check(cloud)


def test_pending_snapshot(cloud, running):  # noqa: F811
    one = cloud.ec2.create_snapshot(VolumeId=running[1])["SnapshotId"]
    with fails("IncorrectState"):
        cloud.ec2.register_image(Name="too early", RootDeviceName="/dev/xvda", BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": one}}])
