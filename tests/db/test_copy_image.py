# SPDX-License-Identifier: Apache-2.0
"""Copies of images: what they have of their source, and who may make them."""
import pytest

from conftest import IMAGE_SNAPSHOT, fails
from test_quotas import check

OTHER = "000000000002"


def copy(client, image, name="copy", **options):
    return client.copy_image(SourceImageId=image, Name=name, SourceRegion="us-east-1", **options)["ImageId"]


def seen(client, image):
    return client.describe_images(ImageIds=[image])["Images"][0]


def root(client, image):
    return seen(client, image)["BlockDeviceMappings"][0]["Ebs"]


def test_life(cloud, image, launch):
    cloud.ec2.create_tags(Resources=[image], Tags=[{"Key": "of", "Value": "source"}, {"Key": "b", "Value": "1"}])
    one = copy(cloud.ec2, image, Description="a copy")
    now = seen(cloud.ec2, one)
    assert now["State"] == "available" and now["Description"] == "a copy" and now["Name"] == "copy"
    assert now["RootDeviceName"] == "/dev/xvda" and now.get("Tags", []) == []
    xml = cloud.raw({"Action": "DescribeImages", "ImageId.1": one})
    assert "<sourceImageId>%s<" % image in xml and "<sourceImageRegion>us-east-1<" in xml
    ebs = root(cloud.ec2, one)
    assert ebs["SnapshotId"] != IMAGE_SNAPSHOT and ebs["VolumeSize"] == 2
    snapshot = cloud.ec2.describe_snapshots(SnapshotIds=[ebs["SnapshotId"]])["Snapshots"][0]
    assert snapshot["State"] == "completed" and image in snapshot["Description"]
    assert cloud.sql("SELECT parent_id, bytes FROM snapshot WHERE id = '%s'" % ebs["SnapshotId"]) == \
        [[IMAGE_SNAPSHOT, "0"]]  # nothing was copied
    cloud.ec2.deregister_image(ImageId=image)
    cloud.ec2.delete_snapshot(SnapshotId=IMAGE_SNAPSHOT)
    cloud.ec2.run_instances(ImageId=one, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    check(cloud)


def test_tags(cloud, image):
    cloud.ec2.create_tags(Resources=[image], Tags=[{"Key": "of", "Value": "source"}, {"Key": "b", "Value": "1"}])
    parameters = {"Action": "CopyImage", "SourceImageId": image, "Name": "copy", "SourceRegion": "us-east-1",
                  "CopyImageTags": "true"}
    for n, kind in enumerate(("image", "snapshot"), 1):
        parameters.update({"TagSpecification.%d.ResourceType" % n: kind, "TagSpecification.%d.Tag.1.Key" % n: "of",
                           "TagSpecification.%d.Tag.1.Value" % n: kind})
    assert "<imageId>ami-" in cloud.raw(parameters)  # Debian's botocore does not know the tags
    one = cloud.ec2.describe_images(Filters=[{"Name": "name", "Values": ["copy"]}])["Images"][0]
    assert {t["Key"]: t["Value"] for t in one["Tags"]} == {"of": "image", "b": "1"}
    id_ = one["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
    assert cloud.ec2.describe_snapshots(SnapshotIds=[id_])["Snapshots"][0]["Tags"] == \
        [{"Key": "of", "Value": "snapshot"}]


def test_of_others(cloud, image):
    with fails("InvalidAMIID.NotFound"):
        copy(cloud.other, image)
    cloud.ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"UserId": OTHER}]})
    with fails("InvalidRequest", "permission to access the storage"):
        copy(cloud.other, image)
    assert cloud.other.describe_images(Owners=["self"])["Images"] == []
    cloud.ec2.modify_snapshot_attribute(SnapshotId=IMAGE_SNAPSHOT, OperationType="add", UserIds=[OTHER])
    one = copy(cloud.other, image)
    assert seen(cloud.other, one)["OwnerId"] == OTHER
    cloud.ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Remove": [{"UserId": OTHER}]})
    assert root(cloud.other, one)["SnapshotId"] != IMAGE_SNAPSHOT
    with fails("InvalidAMIID.NotFound"):
        seen(cloud.ec2, one)
    check(cloud)


def test_of_the_clouds(cloud, image):
    """What the operator brought is everybody's to copy, though its snapshot is not."""
    cloud.sql("UPDATE image SET of_cloud = true, is_public = true")
    one = copy(cloud.other, image)
    now = seen(cloud.other, one)
    assert not now["Public"] and "ImageOwnerAlias" not in now


def test_token(cloud, image):
    one = copy(cloud.ec2, image, ClientToken="t")
    assert copy(cloud.ec2, image, ClientToken="t") == one
    with fails("IdempotentParameterMismatch"):
        copy(cloud.ec2, image, "another", ClientToken="t")
    with fails("InvalidAMIName.Duplicate"):
        copy(cloud.ec2, image)
    check(cloud)


@pytest.mark.parametrize("options, code", [
    ({"SourceRegion": "eu-west-1"}, "InvalidParameterValue"),
    ({"SourceImageId": "ami-00000000000000001"}, "InvalidAMIID.NotFound"),
    ({"SourceImageId": "nothing"}, "InvalidAMIID.Malformed"),
    ({"Name": "copy: this"}, "InvalidAMIName.Malformed"),
    ({"KmsKeyId": "k"}, "InvalidParameterDependency"),
    ({"DestinationOutpostArn": "arn:aws:outposts:x"}, "UnsupportedOperation"),
])
def test_refused(cloud, image, options, code):
    with fails(code):
        cloud.ec2.copy_image(**dict({"SourceImageId": image, "SourceRegion": "us-east-1", "Name": "copy"}, **options))


def test_disabled(cloud, image):
    cloud.raw({"Action": "DisableImage", "ImageId": image})
    with fails("InvalidAMIID.Unavailable"):
        copy(cloud.ec2, image)
