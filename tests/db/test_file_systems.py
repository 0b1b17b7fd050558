# SPDX-License-Identifier: Apache-2.0
"""File systems for guests: their API, REST-JSON, over rows; hosts are what the tests say."""
import pytest

from conftest import KEYS, fails
from test_quotas import check, limit  # noqa: F401

CIDR = "172.31."


@pytest.fixture
def efs(cloud):
    cloud.sql("DELETE FROM mount_target; DELETE FROM file_system")
    return cloud.client("efs")


@pytest.fixture
def other(cloud, efs):
    return cloud.client("efs", KEYS[1])


def make(client, token="t", **options):
    return client.create_file_system(CreationToken=token, **options)


def subnets(cloud, **filters):
    found = cloud.ec2.describe_subnets()["Subnets"]
    return {s["AvailabilityZone"]: s["SubnetId"] for s in found}


def targets(client, fs):
    return client.describe_mount_targets(FileSystemId=fs)["MountTargets"]


def test_life(cloud, efs):
    made = make(efs, Tags=[{"Key": "Name", "Value": "shared"}, {"Key": "a", "Value": 'q"\\\n'}])
    fs = made["FileSystemId"]
    assert made["LifeCycleState"] == "available" and made["Name"] == "shared" and made["CreationToken"] == "t"
    assert made["OwnerId"] == "000000000001" and made["NumberOfMountTargets"] == 0 and not made["Encrypted"]
    assert made["FileSystemArn"].endswith("000000000001:file-system/" + fs)
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert {t["Key"]: t["Value"] for t in made["Tags"]} == {"Name": "shared", "a": 'q"\\\n'}
    assert abs(made["CreationTime"].timestamp() - made["SizeInBytes"]["Timestamp"].timestamp()) < 60
    with fails("FileSystemAlreadyExists"):
        make(efs)
    two = make(efs, "u")["FileSystemId"]
    assert {f["FileSystemId"] for f in efs.describe_file_systems()["FileSystems"]} == {fs, two}
    assert [f["FileSystemId"] for f in efs.describe_file_systems(CreationToken="u")["FileSystems"]] == [two]
    assert [f["FileSystemId"] for f in efs.describe_file_systems(FileSystemId=fs)["FileSystems"]] == [fs]
    page = efs.describe_file_systems(MaxItems=1)
    rest = efs.describe_file_systems(MaxItems=1, Marker=page["NextMarker"])
    assert [f["FileSystemId"] for f in page["FileSystems"] + rest["FileSystems"]] == sorted([fs, two])
    assert "NextMarker" not in rest
    assert efs.update_file_system(FileSystemId=fs, ThroughputMode="elastic")["ThroughputMode"] == "elastic"
    check(cloud)
    for gone in fs, two:
        assert efs.delete_file_system(FileSystemId=gone)["ResponseMetadata"]["HTTPStatusCode"] == 204
    with fails("FileSystemNotFound"):
        efs.delete_file_system(FileSystemId=fs)
    assert efs.describe_file_systems()["FileSystems"] == []
    check(cloud)


def test_tags(cloud, efs):
    made = make(efs, Tags=[{"Key": "a", "Value": "1"}])
    fs, arn = made["FileSystemId"], made["FileSystemArn"]
    efs.tag_resource(ResourceId=arn, Tags=[{"Key": "b", "Value": "2"}, {"Key": "Name", "Value": "x y/z"}])
    efs.untag_resource(ResourceId=fs, TagKeys=["a", "b"])
    assert efs.list_tags_for_resource(ResourceId=fs)["Tags"] == [{"Key": "Name", "Value": "x y/z"}]
    assert efs.describe_file_systems()["FileSystems"][0]["Name"] == "x y/z"
    efs.create_tags(FileSystemId=fs, Tags=[{"Key": "c", "Value": ""}])
    efs.delete_tags(FileSystemId=fs, TagKeys=["Name"])
    assert efs.describe_tags(FileSystemId=fs)["Tags"] == [{"Key": "c", "Value": ""}]
    assert cloud.ec2.describe_tags()["Tags"] == []
    efs.delete_file_system(FileSystemId=fs)
    assert cloud.sql("SELECT * FROM tag WHERE resource_id = '%s'" % fs) == []


def test_mount_targets(cloud, efs):
    fs = make(efs)["FileSystemId"]
    nets = subnets(cloud)
    one = efs.create_mount_target(FileSystemId=fs, SubnetId=nets["us-east-1a"])
    assert one["LifeCycleState"] == "creating" and one["IpAddress"].startswith(CIDR)
    assert one["AvailabilityZoneName"] == "us-east-1a" and one["FileSystemId"] == fs
    eni = cloud.ec2.describe_network_interfaces(NetworkInterfaceIds=[one["NetworkInterfaceId"]])["NetworkInterfaces"][0]
    assert eni["RequesterManaged"] and fs in eni["Description"] and eni["PrivateIpAddress"] == one["IpAddress"]
    with fails("MountTargetConflict"):
        efs.create_mount_target(FileSystemId=fs, SubnetId=nets["us-east-1a"])
    with fails("FileSystemInUse"):
        efs.delete_file_system(FileSystemId=fs)
    two = efs.create_mount_target(FileSystemId=fs, SubnetId=nets["us-east-1b"])
    assert {t["MountTargetId"] for t in targets(efs, fs)} == {one["MountTargetId"], two["MountTargetId"]}
    assert efs.describe_mount_targets(MountTargetId=two["MountTargetId"])["MountTargets"][0]["IpAddress"] == two["IpAddress"]
    assert efs.describe_file_systems()["FileSystems"][0]["NumberOfMountTargets"] == 2
    plan = cloud.control("plan", one["VpcId"])
    assert '"front_port" : 2049' in plan.replace('":', '" :').replace(":2049", ": 2049") and fs + ".efs.us-east-1.amazonaws.com" in plan
    cloud.sql("UPDATE mount_target SET serving = true")
    assert {t["LifeCycleState"] for t in targets(efs, fs)} == {"available"}
    for target in one, two:
        efs.delete_mount_target(MountTargetId=target["MountTargetId"])
    with fails("MountTargetNotFound"):
        efs.delete_mount_target(MountTargetId=one["MountTargetId"])
    assert cloud.ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    efs.delete_file_system(FileSystemId=fs)
    assert efs.describe_file_systems(FileSystemId=fs)["FileSystems"][0]["LifeCycleState"] == "deleting"
    with fails("IncorrectFileSystemLifeCycleState"):
        efs.create_mount_target(FileSystemId=fs, SubnetId=nets["us-east-1a"])
    check(cloud)


def test_security_groups(cloud, efs):
    fs = make(efs)["FileSystemId"]
    net = subnets(cloud)["us-east-1a"]
    vpc = cloud.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = cloud.ec2.create_security_group(GroupName="nfs", Description="d", VpcId=vpc)["GroupId"]
    default = cloud.ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
    one = efs.create_mount_target(FileSystemId=fs, SubnetId=net)["MountTargetId"]
    assert efs.describe_mount_target_security_groups(MountTargetId=one)["SecurityGroups"] == [default]
    efs.modify_mount_target_security_groups(MountTargetId=one, SecurityGroups=[group, default])
    assert efs.describe_mount_target_security_groups(MountTargetId=one)["SecurityGroups"] == [group, default]
    with fails("SecurityGroupNotFound"):
        efs.modify_mount_target_security_groups(MountTargetId=one, SecurityGroups=["sg-00000000000000001"])
    with fails("SecurityGroupNotFound"):
        efs.create_mount_target(FileSystemId=make(efs, "u")["FileSystemId"], SubnetId=net, SecurityGroups=["sg-00000000000000001"])
    assert efs.describe_mount_target_security_groups(MountTargetId=one)["SecurityGroups"] == [group, default]


@pytest.mark.parametrize("options, code", [
    ({"Encrypted": True}, "UnsupportedOperation"), ({"KmsKeyId": "k"}, "UnsupportedOperation"),
    ({"Backup": True}, "UnsupportedOperation"),
    ({"ThroughputMode": "provisioned", "ProvisionedThroughputInMibps": 5}, "UnsupportedOperation"),
    ({"AvailabilityZoneName": "us-east-1z"}, "BadRequest"), ({"PerformanceMode": "fast"}, "BadRequest"),
    ({"Tags": [{"Key": "aws:x", "Value": ""}]}, "BadRequest"),
])
def test_refused(efs, options, code):
    with fails(code):
        make(efs, **options)
    assert efs.describe_file_systems()["FileSystems"] == []


def test_mount_targets_refused(cloud, efs):
    fs = make(efs)["FileSystemId"]
    net = subnets(cloud)["us-east-1a"]
    for options, code in (({"SubnetId": "subnet-00000000000000001"}, "SubnetNotFound"),
                          ({"SubnetId": net, "IpAddress": "10.9.9.9"}, "BadRequest"),
                          ({"SubnetId": net, "FileSystemId": "fs-00000000000000001"}, "FileSystemNotFound")):
        with fails(code):
            efs.create_mount_target(**dict({"FileSystemId": fs}, **options))
    with fails("BadRequest"):
        efs.describe_mount_targets()
    with fails("MountTargetNotFound"):
        efs.describe_mount_targets(MountTargetId="fsmt-00000000000000001")
    with fails("UnsupportedOperation"):
        efs.create_access_point(ClientToken="x", FileSystemId=fs)
    one = make(efs, "one", AvailabilityZoneName="us-east-1b")["FileSystemId"]
    with fails("AvailabilityZonesMismatch"):
        efs.create_mount_target(FileSystemId=one, SubnetId=net)


def test_others(cloud, efs, other):
    made = make(efs)
    fs = made["FileSystemId"]
    target = efs.create_mount_target(FileSystemId=fs, SubnetId=subnets(cloud)["us-east-1a"])["MountTargetId"]
    make(other)  # the same token, another account
    assert [f["OwnerId"] for f in other.describe_file_systems()["FileSystems"]] == ["000000000002"]
    for call in (lambda: other.delete_file_system(FileSystemId=fs), lambda: other.describe_mount_targets(FileSystemId=fs),
                 lambda: other.tag_resource(ResourceId=made["FileSystemArn"], Tags=[{"Key": "a", "Value": "b"}])):
        with fails("FileSystemNotFound"):
            call()
    with fails("MountTargetNotFound"):
        other.delete_mount_target(MountTargetId=target)


def test_quota(cloud, efs, limit):  # noqa: F811
    limit(file_systems=1)
    make(efs)
    with fails("FileSystemLimitExceeded"):
        make(efs, "u")
    check(cloud)


@pytest.mark.parametrize("method, path, body, status", [
    ("POST", "/2015-02-01/file-systems", b"[", 400), ("POST", "/2015-02-01/file-systems", b"[]", 400),
    ("POST", "/2015-02-01/file-systems", b'{"CreationToken": {"a": 1}}', 400),
    ("POST", "/2015-02-01/file-systems", b'{"CreationToken": "x", "Nothing": 1}', 400),
    ("POST", "/2015-02-01/file-systems", b'{"a.b": 1}', 400),
    ("POST", "/2015-02-01/file-systems", b"{" * 5000, 400),
    ("GET", "/2015-02-01/nothing", b"", 404), ("PATCH", "/2015-02-01/file-systems", b"", 404),
    ("GET", "/2015-02-01/file-systems?MaxItems=x", b"", 400), ("DELETE", "/2015-02-01/file-systems/%zz", b"", 400),
    ("DELETE", "/2015-02-01/file-systems/%ff", b"", 400), ("GET", "/", b"", 404),
])
def test_malformed(cloud, efs, method, path, body, status):
    import botocore.auth
    import botocore.awsrequest
    import botocore.credentials
    import urllib.error
    import urllib.request
    request = botocore.awsrequest.AWSRequest(method, cloud.url + path, {}, body)
    botocore.auth.SigV4Auth(botocore.credentials.Credentials(KEYS[0], "secret"), "elasticfilesystem",
                            "us-east-1").add_auth(request)
    sent = urllib.request.Request(cloud.url + path, body or None, dict(request.headers), method=method)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(sent, timeout=60)
    assert caught.value.code == status and caught.value.headers["x-amzn-ErrorType"]
