# SPDX-License-Identifier: Apache-2.0
"""Snapshots of volumes: what becomes of them, who may use them, and what is refused."""
import pytest

from conftest import IMAGE_SNAPSHOT, fails
from test_quotas import check, limit  # noqa: F401

ZONE = "us-east-1a"
OTHER = "000000000002"


@pytest.fixture
def running(cloud, launch):
    """An instance with a root volume and another one, and the ids of all three."""
    one = launch(BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 3}}])[0]["InstanceId"]
    cloud.settle()
    volumes = {v["Attachments"][0]["Device"]: v["VolumeId"] for v in cloud.ec2.describe_volumes()["Volumes"]}
    return one, volumes["/dev/xvda"], volumes["/dev/sdf"]


def take(cloud, volume, **options):
    return cloud.ec2.create_snapshot(VolumeId=volume, **options)["SnapshotId"]


def seen(client, *ids, **options):
    return client.describe_snapshots(SnapshotIds=list(ids), **options)["Snapshots"]


def parent(cloud, snapshot):
    return cloud.sql("SELECT parent_id FROM snapshot WHERE id = '%s'" % snapshot)[0][0] or None


def rows(cloud):
    return {row[0] for row in cloud.sql("SELECT id FROM snapshot")}


def test_life(cloud, running):
    _, root, data = running
    made = cloud.ec2.create_snapshot(VolumeId=data, Description="first", TagSpecifications=[
        {"ResourceType": "snapshot", "Tags": [{"Key": "a", "Value": "b"}]}])
    assert made["State"] == "pending" and made["VolumeId"] == data and made["VolumeSize"] == 3
    assert made["Tags"] == [{"Key": "a", "Value": "b"}] and made["Description"] == "first"
    one = made["SnapshotId"]
    with fails("IncorrectState"):
        cloud.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=one)
    now = seen(cloud.ec2, one)[0]
    assert now["State"] == "pending" and now["Progress"] == "0%" and now["OwnerId"] == "000000000001"
    cloud.settle()
    now = seen(cloud.ec2, one)[0]
    assert now["State"] == "completed" and now["Progress"] == "100%" and now["StorageTier"] == "standard"
    cloud.ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[one])
    volume = cloud.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=one)
    assert volume["Size"] == 3 and volume["SnapshotId"] == one
    assert take(cloud, root) != one
    cloud.settle()
    assert parent(cloud, one) is None
    check(cloud)
    cloud.ec2.delete_snapshot(SnapshotId=one)
    with fails("InvalidSnapshot.NotFound"):
        cloud.ec2.delete_snapshot(SnapshotId=one)
    assert cloud.ec2.describe_tags()["Tags"] == []
    check(cloud)


@pytest.mark.parametrize("options, code", [
    ({"VolumeId": "vol-00000000000000001"}, "InvalidVolume.NotFound"),
    ({"VolumeId": "nothing"}, "InvalidParameterValue"),
    ({"VolumeId": "vol-00000000000000001", "OutpostArn": "arn:aws:outposts:x"}, "UnsupportedOperation"),
])
def test_refused(cloud, options, code):
    with fails(code):
        cloud.ec2.create_snapshot(**options)


def test_each_stands_on_the_one_before(cloud, running):
    """A root volume's first one stands on the image's; they may be deleted in any order."""
    root = running[1]
    ids = []
    for _ in range(3):
        ids.append(take(cloud, root))
        cloud.settle()
    assert [parent(cloud, i) for i in ids] == [IMAGE_SNAPSHOT, ids[0], ids[1]]
    cloud.ec2.delete_snapshot(SnapshotId=ids[1])
    assert [s["SnapshotId"] for s in cloud.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]] == \
        sorted([IMAGE_SNAPSHOT, ids[0], ids[2]])
    with fails("InvalidSnapshot.NotFound"):
        seen(cloud.ec2, ids[1])
    assert ids[1] in rows(cloud)  # the third one stands on it
    check(cloud)
    cloud.ec2.delete_snapshot(SnapshotId=ids[2])
    assert rows(cloud) == {IMAGE_SNAPSHOT, ids[0]}
    four = take(cloud, root)  # nobody knows any more what has changed since the first one
    assert parent(cloud, four) == IMAGE_SNAPSHOT
    check(cloud)


def test_unmade_volume_keeps_its_snapshot(cloud, running):
    one = take(cloud, running[2])
    cloud.settle()
    volume = cloud.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=one)["VolumeId"]
    cloud.ec2.delete_snapshot(SnapshotId=one)
    assert one in rows(cloud)
    assert cloud.ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["SnapshotId"] == one
    cloud.ec2.attach_volume(VolumeId=volume, InstanceId=running[0], Device="/dev/sdg")
    cloud.settle()
    two = take(cloud, volume)
    assert parent(cloud, two) == one
    cloud.settle()
    cloud.ec2.delete_snapshot(SnapshotId=two)
    assert rows(cloud) == {IMAGE_SNAPSHOT}
    check(cloud)


def test_of_what_was_never_written(cloud):
    """No host is needed for it."""
    volume = cloud.ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
    of_image = cloud.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=IMAGE_SNAPSHOT)["VolumeId"]
    empty, same = take(cloud, volume), take(cloud, of_image)
    assert [s["State"] for s in seen(cloud.ec2, empty, same)] == ["completed"] * 2
    assert parent(cloud, empty) is None and parent(cloud, same) == IMAGE_SNAPSHOT
    check(cloud)


def test_in_use(cloud, running):
    one = take(cloud, running[1])
    cloud.settle()
    image = cloud.ec2.register_image(Name="of it", RootDeviceName="/dev/xvda", BlockDeviceMappings=[
        {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": one}}])["ImageId"]
    with fails("InvalidSnapshot.InUse", image):
        cloud.ec2.delete_snapshot(SnapshotId=one)
    cloud.ec2.deregister_image(ImageId=image)
    assert seen(cloud.ec2, one)[0]["State"] == "completed"
    cloud.ec2.delete_snapshot(SnapshotId=one)


def test_deleted_while_pending(cloud, running):
    root = running[1]
    one = take(cloud, root)
    cloud.ec2.delete_snapshot(SnapshotId=one)
    assert rows(cloud) == {IMAGE_SNAPSHOT}
    two = take(cloud, root)
    three = take(cloud, root)
    assert parent(cloud, three) == two
    cloud.ec2.delete_snapshot(SnapshotId=two)  # is made all the same: the third one stands on it
    cloud.settle()
    assert seen(cloud.ec2, three)[0]["State"] == "completed"
    check(cloud)


def test_volume_goes_when_its_snapshot_is_made(cloud, running):
    instance, root, data = running
    one, two = take(cloud, root), take(cloud, data)
    cloud.sql("UPDATE volume_attachment SET delete_on_termination = true")
    cloud.ec2.terminate_instances(InstanceIds=[instance])
    cloud.settle()
    assert [s["State"] for s in seen(cloud.ec2, one, two)] == ["completed"] * 2
    assert cloud.ec2.describe_volumes()["Volumes"] == []
    check(cloud)


def test_not_of_what_goes(cloud, running):
    instance, root, _ = running
    cloud.ec2.terminate_instances(InstanceIds=[instance])
    with fails("IncorrectState"):
        take(cloud, root)


def test_deleted_volume(cloud, running):
    instance, _, data = running
    cloud.ec2.detach_volume(VolumeId=data)
    cloud.settle()
    one = take(cloud, data)
    cloud.ec2.delete_volume(VolumeId=data)
    with fails("IncorrectState"):
        take(cloud, data)
    cloud.settle()
    cloud.settle()
    assert seen(cloud.ec2, one)[0]["VolumeId"] == data
    with fails("InvalidVolume.NotFound"):
        cloud.ec2.describe_volumes(VolumeIds=[data])
    check(cloud)


def test_all_of_an_instance(cloud, running):
    instance, root, data = running
    cloud.ec2.create_tags(Resources=[data], Tags=[{"Key": "of", "Value": "volume"}, {"Key": "x", "Value": "1"}])

    def create(**spec):
        return cloud.ec2.create_snapshots(
            InstanceSpecification=dict(InstanceId=instance, **spec), Description="both",
            CopyTagsFromSource="volume", TagSpecifications=[
                {"ResourceType": "snapshot", "Tags": [{"Key": "x", "Value": "2"}]}])["Snapshots"]
    both = create()
    assert {s["VolumeId"] for s in both} == {root, data}
    assert all(s["State"] == "pending" and s["Description"] == "both" for s in both)
    tags = {s["VolumeId"]: {t["Key"]: t["Value"] for t in s["Tags"]} for s in both}
    assert tags == {root: {"x": "2"}, data: {"x": "2", "of": "volume"}}
    assert [s["VolumeId"] for s in create(ExcludeBootVolume=True)] == [data]
    with fails("InvalidInstanceID.NotFound"):
        cloud.other.create_snapshots(InstanceSpecification={"InstanceId": instance})
    with fails("InvalidInstanceID.Malformed"):
        cloud.ec2.create_snapshots(InstanceSpecification={"InstanceId": "x"})
    with fails("DryRunOperation"):
        cloud.ec2.create_snapshots(InstanceSpecification={"InstanceId": instance}, DryRun=True)
    assert len(cloud.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]) == 4
    check(cloud)


def test_excluded_volumes(cloud, running):
    """Of a parameter that Debian's botocore does not know."""
    instance, root, data = running

    def create(excluded):
        return cloud.raw({"Action": "CreateSnapshots", "InstanceSpecification.InstanceId": instance,
                          "InstanceSpecification.ExcludeDataVolumeId.1": excluded})
    assert root in create(data)
    assert "<Code>InvalidParameterValue</Code>" in create(root)
    assert "<Code>InvalidParameterValue</Code>" in create("vol-00000000000000001")


def test_sharing(cloud, running):
    one = take(cloud, running[1])
    cloud.settle()

    def make(client):
        return client.create_volume(AvailabilityZone=ZONE, SnapshotId=one)

    def permissions():
        return cloud.ec2.describe_snapshot_attribute(
            SnapshotId=one, Attribute="createVolumePermission")["CreateVolumePermissions"]
    with fails("InvalidSnapshot.NotFound"):
        make(cloud.other)
    cloud.ec2.modify_snapshot_attribute(SnapshotId=one, Attribute="createVolumePermission",
                                        OperationType="add", UserIds=[OTHER])
    assert permissions() == [{"UserId": OTHER}]
    assert make(cloud.other)["SnapshotId"] == one
    assert seen(cloud.other, one)[0]["OwnerId"] == "000000000001"
    assert seen(cloud.other, RestorableByUserIds=["self"]) and not seen(cloud.other, OwnerIds=["self"])
    assert not seen(cloud.other, RestorableByUserIds=["all"])
    assert [s["SnapshotId"] for s in seen(cloud.ec2, RestorableByUserIds=[OTHER])] == [one]
    with fails("AuthFailure"):
        cloud.other.delete_snapshot(SnapshotId=one)
    with fails("AuthFailure"):
        cloud.other.describe_snapshot_attribute(SnapshotId=one, Attribute="createVolumePermission")
    cloud.ec2.modify_snapshot_attribute(SnapshotId=one, CreateVolumePermission={
        "Add": [{"Group": "all"}], "Remove": [{"UserId": OTHER}]})
    assert permissions() == [{"Group": "all"}]
    assert seen(cloud.other, RestorableByUserIds=["all"])
    cloud.ec2.reset_snapshot_attribute(SnapshotId=one, Attribute="createVolumePermission")
    assert permissions() == []
    with fails("InvalidSnapshot.NotFound"):
        make(cloud.other)
    assert "ProductCodes" in cloud.ec2.describe_snapshot_attribute(SnapshotId=one, Attribute="productCodes")
    check(cloud)


@pytest.mark.parametrize("options, code", [
    ({}, "MissingParameter"),
    ({"UserIds": [OTHER]}, "MissingParameter"),
    ({"OperationType": "add", "UserIds": ["me"]}, "InvalidUserID.Malformed"),
    ({"OperationType": "add", "UserIds": ["999999999999"]}, "InvalidUserID.NotFound"),
    ({"OperationType": "add", "GroupNames": ["some"]}, "InvalidParameterValue"),
    ({"Attribute": "productCodes"}, "UnsupportedOperation"),
    ({"SnapshotId": "snap-x", "OperationType": "add", "UserIds": [OTHER]}, "InvalidSnapshotID.Malformed"),
    ({"SnapshotId": "snap-00000000000000001", "OperationType": "add", "UserIds": [OTHER]},
     "InvalidSnapshot.NotFound"),
])
def test_sharing_refused(cloud, options, code):
    with fails(code):
        cloud.ec2.modify_snapshot_attribute(**dict({"SnapshotId": IMAGE_SNAPSHOT}, **options))


def test_copies(cloud, running):
    one = take(cloud, running[1])
    with fails("IncorrectState"):
        cloud.ec2.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=one)
    cloud.settle()
    cloud.ec2.modify_snapshot_attribute(SnapshotId=one, OperationType="add", UserIds=[OTHER])
    copied = cloud.other.copy_snapshot(SourceRegion="us-east-1", SourceSnapshotId=one, Description="mine",
                                       TagSpecifications=[{"ResourceType": "snapshot",
                                                           "Tags": [{"Key": "a", "Value": "b"}]}])
    assert copied["Tags"] == [{"Key": "a", "Value": "b"}]
    two = copied["SnapshotId"]
    cloud.ec2.delete_snapshot(SnapshotId=one)
    mine = seen(cloud.other, two)[0]
    assert mine["State"] == "completed" and mine["OwnerId"] == OTHER and mine["Description"] == "mine"
    assert cloud.other.create_volume(AvailabilityZone=ZONE, SnapshotId=two)["Size"] == mine["VolumeSize"]
    assert one in rows(cloud)
    check(cloud)


@pytest.mark.parametrize("options, code", [
    ({"SourceRegion": "eu-west-1"}, "InvalidParameterValue"),
    ({"SourceSnapshotId": "snap-x"}, "InvalidSnapshotID.Malformed"),
    ({"SourceSnapshotId": "snap-00000000000000001"}, "InvalidSnapshot.NotFound"),
])
def test_copies_refused(cloud, options, code):
    with fails(code):
        cloud.ec2.copy_snapshot(**dict({"SourceRegion": "us-east-1", "SourceSnapshotId": IMAGE_SNAPSHOT},
                                       **options))


def test_filters_and_pages(cloud, running):
    ids = sorted(take(cloud, running[2], Description="number %d" % n) for n in range(6))
    cloud.settle()

    def by(name, *values):
        return [s["SnapshotId"] for s in seen(cloud.ec2, Filters=[{"Name": name, "Values": list(values)}])]
    assert by("volume-id", running[2]) == ids and by("volume-size", "3") == ids
    assert len(by("description", "number*")) == 6 and by("status", "pending") == []
    assert by("owner-id", OTHER) == [] and by("progress", "100%") == sorted(ids + [IMAGE_SNAPSHOT])
    assert by("snapshot-id", ids[0]) == [ids[0]] and by("encrypted", "true") == []
    assert by("storage-tier", "archive") == [] and by("owner-alias", "amazon") == []
    with fails("InvalidParameterValue"):
        by("colour", "blue")
    first = cloud.ec2.describe_snapshots(MaxResults=5)
    rest = cloud.ec2.describe_snapshots(MaxResults=5, NextToken=first["NextToken"])
    assert [s["SnapshotId"] for s in first["Snapshots"] + rest["Snapshots"]] == sorted(ids + [IMAGE_SNAPSHOT])
    assert "NextToken" not in rest


def test_quota(cloud, running, limit):  # noqa: F811
    limit(snapshots=1)
    take(cloud, running[2])
    with fails("SnapshotLimitExceeded"):
        take(cloud, running[2])
    check(cloud)


def test_launched_of_a_snapshot(cloud, launch, running):
    one = take(cloud, running[2])
    mapping = [{"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": one}}]
    with fails("IncorrectState"):
        launch(BlockDeviceMappings=mapping)
    cloud.settle()
    instance = launch(BlockDeviceMappings=mapping)[0]["InstanceId"]
    volumes = cloud.ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance]}])
    assert {(v["SnapshotId"], v["Size"]) for v in volumes["Volumes"]} == {(IMAGE_SNAPSHOT, 2), (one, 3)}
