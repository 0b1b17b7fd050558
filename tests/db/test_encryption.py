# SPDX-License-Identifier: Apache-2.0
"""What the API promises of encrypted volumes, snapshots and images.  That the bytes are, is
tests/system/test_encryption.py's."""
import pytest

from conftest import IMAGE_SNAPSHOT, fails
from test_quotas import check

ZONE = "us-east-1a"
OTHER = "000000000002"
REGION = "us-east-1"


@pytest.fixture(autouse=True)
def no_default(cloud):
    cloud.sql("UPDATE account SET encrypts = false")


def make(client, **options):
    if "SnapshotId" not in options:
        options.setdefault("Size", 2)
    return client.create_volume(AvailabilityZone=ZONE, **options)


def volumes_of(cloud, instance):
    found = cloud.ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance]}])
    return {v["Attachments"][0]["Device"]: v for v in found["Volumes"]}


def take(cloud, volume):
    return cloud.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]


def snapshot(client, one):
    return client.describe_snapshots(SnapshotIds=[one])["Snapshots"][0]


def keys(cloud):
    return {row[0] for row in cloud.sql("SELECT id FROM volume_key")}


def key_of(cloud, one):
    table = "volume" if one.startswith("vol-") else "snapshot"
    return cloud.sql("SELECT key_id FROM %s WHERE id = '%s'" % (table, one))[0][0]


def finish(cloud, one):
    """Does what the thread that encrypts does, but for the bytes."""
    done = cloud.sql("UPDATE snapshot SET state = 'completed', source_id = NULL, bytes = 7, sha256 = 'y',"
                     " completed = now() WHERE id = '%s' AND state = 'pending' AND host_id IS NULL"
                     " AND source_id IS NOT NULL RETURNING id" % one)
    assert len(done) == 1


def test_volumes(cloud):
    one = make(cloud.ec2, Encrypted=True)
    assert one["Encrypted"] and one["KmsKeyId"].startswith("arn:aws:kms:us-east-1:000000000001:key/")
    other = make(cloud.ec2, Encrypted=False)
    assert not other["Encrypted"] and "KmsKeyId" not in other
    seen = {v["VolumeId"]: v for v in cloud.ec2.describe_volumes()["Volumes"]}
    assert seen[one["VolumeId"]]["Encrypted"] and not seen[other["VolumeId"]]["Encrypted"]
    by = cloud.ec2.describe_volumes(Filters=[{"Name": "encrypted", "Values": ["true"]}])["Volumes"]
    assert [v["VolumeId"] for v in by] == [one["VolumeId"]]
    two = make(cloud.ec2, Encrypted=True)
    assert key_of(cloud, one["VolumeId"]) != key_of(cloud, two["VolumeId"])  # each has its own
    cloud.ec2.delete_volume(VolumeId=one["VolumeId"])
    assert keys(cloud) == {key_of(cloud, two["VolumeId"])}  # and takes it with it
    cloud.ec2.delete_volume(VolumeId=two["VolumeId"])
    assert keys(cloud) == set()
    check(cloud)


@pytest.mark.parametrize("name", ["alias/aws/ebs", "arn:aws:kms:us-east-1:000000000001:alias/aws/ebs", "arn", "id"])
def test_the_one_key(cloud, name):
    arn = cloud.ec2.reset_ebs_default_kms_key_id()["KmsKeyId"]
    named = {"arn": arn, "id": arn.split("/")[-1]}.get(name, name)
    assert make(cloud.ec2, Encrypted=True, KmsKeyId=named)["KmsKeyId"] == arn
    assert cloud.ec2.modify_ebs_default_kms_key_id(KmsKeyId=named)["KmsKeyId"] == arn
    assert cloud.ec2.get_ebs_default_kms_key_id()["KmsKeyId"] == "alias/aws/ebs"
    assert cloud.other.reset_ebs_default_kms_key_id()["KmsKeyId"] != arn


@pytest.mark.parametrize("options, code", [
    ({"KmsKeyId": "alias/aws/ebs"}, "InvalidParameterDependency"),
    ({"KmsKeyId": "alias/aws/ebs", "Encrypted": False}, "InvalidParameterDependency"),
    ({"KmsKeyId": "alias/mine", "Encrypted": True}, "InvalidParameterValue"),
    ({"KmsKeyId": "arn:aws:kms:us-east-1:000000000002:alias/aws/ebs", "Encrypted": True}, "InvalidParameterValue"),
])
def test_keys_refused(cloud, image, options, code):
    with fails(code):
        make(cloud.ec2, **options)
    with fails(code):
        cloud.ec2.copy_snapshot(SourceSnapshotId=IMAGE_SNAPSHOT, SourceRegion=REGION, **options)
    with fails(code):
        cloud.ec2.copy_image(SourceImageId=image, SourceRegion=REGION, Name="copy", **options)
    with fails(code):
        cloud.ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, BlockDeviceMappings=[
            {"DeviceName": "/dev/sdf", "Ebs": dict(options, VolumeSize=1)}])
    with fails("InvalidParameterValue"):
        cloud.ec2.modify_ebs_default_kms_key_id(KmsKeyId="alias/mine")
    assert keys(cloud) == set()


def test_snapshots_carry_the_key_on(cloud, launch):
    instance = launch(BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 3, "Encrypted": True}}])
    cloud.settle()
    volumes = volumes_of(cloud, instance[0]["InstanceId"])
    assert volumes["/dev/sdf"]["Encrypted"] and not volumes["/dev/xvda"]["Encrypted"]
    volume = volumes["/dev/sdf"]["VolumeId"]
    one = take(cloud, volume)
    cloud.settle()
    seen = snapshot(cloud.ec2, one)
    assert seen["Encrypted"] and seen["KmsKeyId"] == volumes["/dev/sdf"]["KmsKeyId"]
    two = make(cloud.ec2, SnapshotId=one, Encrypted=False)  # what its snapshot is, it is
    assert two["Encrypted"] and key_of(cloud, two["VolumeId"]) == key_of(cloud, one) == key_of(cloud, volume)
    copied = cloud.ec2.copy_snapshot(SourceSnapshotId=one, SourceRegion=REGION)["SnapshotId"]
    assert snapshot(cloud.ec2, copied)["State"] == "completed" and key_of(cloud, copied) == key_of(cloud, one)
    with fails("OperationNotPermitted"):
        cloud.ec2.modify_snapshot_attribute(SnapshotId=one, CreateVolumePermission={"Add": [{"UserId": OTHER}]})
    with fails("OperationNotPermitted"):
        cloud.ec2.modify_snapshot_attribute(SnapshotId=one, CreateVolumePermission={"Add": [{"Group": "all"}]})
    cloud.ec2.modify_snapshot_attribute(SnapshotId=one, CreateVolumePermission={"Remove": [{"UserId": OTHER}]})
    check(cloud)


def test_copies_of_what_is_not(cloud):
    plain = take(cloud, make(cloud.ec2)["VolumeId"])
    copied = cloud.ec2.copy_snapshot(SourceSnapshotId=plain, SourceRegion=REGION, Encrypted=True)["SnapshotId"]
    seen = snapshot(cloud.ec2, copied)
    assert seen["State"] == "pending" and seen["Encrypted"]
    with fails("IncorrectState"):
        make(cloud.ec2, SnapshotId=copied)
    cloud.ec2.delete_snapshot(SnapshotId=plain)
    assert cloud.sql("SELECT source_id, parent_id FROM snapshot WHERE id = '%s'" % copied) == [[plain, '']]
    finish(cloud, copied)
    assert make(cloud.ec2, SnapshotId=copied)["Encrypted"]
    # nothing of the plain one is needed any more, nor kept
    assert cloud.sql("SELECT 1 FROM snapshot WHERE parent_id = '%s' OR source_id = '%s'" % (plain, plain)) == []
    early = cloud.ec2.copy_snapshot(SourceSnapshotId=copied, SourceRegion=REGION, Encrypted=True)["SnapshotId"]
    assert snapshot(cloud.ec2, early)["State"] == "completed"
    check(cloud)


def test_copies_that_are_not_wanted_any_more(cloud):
    plain = take(cloud, make(cloud.ec2)["VolumeId"])
    copied = cloud.ec2.copy_snapshot(SourceSnapshotId=plain, SourceRegion=REGION, Encrypted=True)["SnapshotId"]
    cloud.ec2.delete_snapshot(SnapshotId=copied)
    assert cloud.sql("SELECT 1 FROM snapshot WHERE id = '%s'" % copied) == [] and keys(cloud) == set()


def test_a_volume_without_bytes(cloud):
    """Made of what is not encrypted, and never on a host: its snapshot cannot be what it stands on."""
    plain = take(cloud, make(cloud.ec2)["VolumeId"])
    volume = make(cloud.ec2, SnapshotId=plain, Encrypted=True)
    assert volume["Encrypted"]
    one = take(cloud, volume["VolumeId"])
    assert snapshot(cloud.ec2, one)["State"] == "pending"
    finish(cloud, one)
    assert key_of(cloud, one) == key_of(cloud, volume["VolumeId"])
    two = take(cloud, make(cloud.ec2, SnapshotId=one)["VolumeId"])  # what stands on that one may
    assert snapshot(cloud.ec2, two)["State"] == "completed" and snapshot(cloud.ec2, two)["Encrypted"]
    check(cloud)


def test_by_default(cloud, image, launch):
    ec2 = cloud.ec2
    assert ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    with fails("DryRunOperation"):
        ec2.enable_ebs_encryption_by_default(DryRun=True)
    assert ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    assert ec2.enable_ebs_encryption_by_default()["EbsEncryptionByDefault"] is True
    assert ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is True
    assert cloud.other.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    assert make(ec2)["Encrypted"] and make(ec2, Encrypted=False)["Encrypted"]
    assert not make(cloud.other)["Encrypted"]
    assert volumes_of(cloud, launch()[0]["InstanceId"])["/dev/xvda"]["Encrypted"]
    copied = ec2.copy_snapshot(SourceSnapshotId=IMAGE_SNAPSHOT, SourceRegion=REGION)["SnapshotId"]
    assert snapshot(ec2, copied)["Encrypted"]
    assert ec2.disable_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    assert not make(ec2)["Encrypted"]
    check(cloud)


def test_launches(cloud, image, launch):
    mappings = [{"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True, "KmsKeyId": "alias/aws/ebs"}},
                {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1}}]
    found = volumes_of(cloud, launch(BlockDeviceMappings=mappings)[0]["InstanceId"])
    assert found["/dev/xvda"]["Encrypted"] and not found["/dev/sdf"]["Encrypted"]
    two = [volumes_of(cloud, i["InstanceId"])["/dev/xvda"]["VolumeId"] for i in launch(2, BlockDeviceMappings=mappings)]
    assert key_of(cloud, two[0]) != key_of(cloud, two[1])
    template = cloud.ec2.create_launch_template(LaunchTemplateName="ttt", LaunchTemplateData={
        "ImageId": image, "InstanceType": "t3.micro", "BlockDeviceMappings": mappings})["LaunchTemplate"]
    one = cloud.ec2.run_instances(MinCount=1, MaxCount=1, LaunchTemplate={
        "LaunchTemplateId": template["LaunchTemplateId"]})["Instances"][0]["InstanceId"]
    assert volumes_of(cloud, one)["/dev/xvda"]["Encrypted"]
    data = cloud.ec2.get_launch_template_data(InstanceId=one)["LaunchTemplateData"]
    assert [m["Ebs"]["Encrypted"] for m in data["BlockDeviceMappings"] if m["DeviceName"] == "/dev/xvda"] == [True]
    check(cloud)


def ebs_of(client, image):
    return {m["DeviceName"]: m["Ebs"] for m in client.describe_images(ImageIds=[image])["Images"][0]["BlockDeviceMappings"]}


def test_images(cloud, image, launch):
    volume = make(cloud.ec2, Encrypted=True)["VolumeId"]
    encrypted = take(cloud, volume)
    options = {"RootDeviceName": "/dev/xvda", "VirtualizationType": "hvm", "Architecture": "x86_64"}
    root = {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": encrypted}}
    one = cloud.ec2.register_image(Name="one", BlockDeviceMappings=[
        root, {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1, "Encrypted": True}},
        {"DeviceName": "/dev/sdg", "Ebs": {"VolumeSize": 1}}], **options)["ImageId"]
    assert {d: e["Encrypted"] for d, e in ebs_of(cloud.ec2, one).items()} == \
        {"/dev/xvda": True, "/dev/sdf": True, "/dev/sdg": False}
    with fails("InvalidParameter"):
        cloud.ec2.register_image(Name="two", BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": encrypted, "Encrypted": True}}], **options)
    instance = cloud.ec2.run_instances(ImageId=one, InstanceType="t3.micro", MinCount=1, MaxCount=1)["Instances"][0]
    found = volumes_of(cloud, instance["InstanceId"])
    assert {d: v["Encrypted"] for d, v in found.items()} == {"/dev/xvda": True, "/dev/sdf": True, "/dev/sdg": False}
    assert key_of(cloud, found["/dev/xvda"]["VolumeId"]) == key_of(cloud, encrypted)
    for permission in ({"UserId": OTHER}, {"Group": "all"}):
        with fails("InvalidParameter"):
            cloud.ec2.modify_image_attribute(ImageId=one, LaunchPermission={"Add": [permission]})
    cloud.settle()
    with fails("InvalidParameter"):
        cloud.ec2.create_image(InstanceId=instance["InstanceId"], Name="three", BlockDeviceMappings=[
            {"DeviceName": "/dev/sdg", "Ebs": {"Encrypted": True}}])
    made = cloud.ec2.create_image(InstanceId=instance["InstanceId"], Name="three", NoReboot=True, BlockDeviceMappings=[
        {"DeviceName": "/dev/sdh", "Ebs": {"VolumeSize": 1, "Encrypted": True}}])["ImageId"]
    assert {d: e["Encrypted"] for d, e in ebs_of(cloud.ec2, made).items()} == \
        {"/dev/xvda": True, "/dev/sdf": True, "/dev/sdg": False, "/dev/sdh": True}
    check(cloud)


def test_encrypted_copies_of_images(cloud, image):
    one = cloud.ec2.copy_image(SourceImageId=image, SourceRegion=REGION, Name="copy", Encrypted=True)["ImageId"]
    seen = cloud.ec2.describe_images(ImageIds=[one])["Images"][0]
    assert seen["State"] == "pending"
    root = ebs_of(cloud.ec2, one)["/dev/xvda"]
    assert root["Encrypted"] and snapshot(cloud.ec2, root["SnapshotId"])["State"] == "pending"
    again = cloud.ec2.copy_image(SourceImageId=image, SourceRegion=REGION, Name="plain")["ImageId"]
    assert cloud.ec2.describe_images(ImageIds=[again])["Images"][0]["State"] == "available"
    check(cloud)
