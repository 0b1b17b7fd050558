# SPDX-License-Identifier: Apache-2.0
"""Debian's boto3 as every program uses it: boto3.client("ec2") in the environment of "virga env"."""
import contextlib

import boto3
import botocore.config
import botocore.exceptions
import pytest

from cloud import ACCOUNT


@pytest.fixture(scope="module")
def session(fake_cloud, recorder):
    """No region, no key, no endpoint: the environment says it all."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in recorder.env(fake_cloud.env).items():
            if name != "PATH":
                patch.setenv(name, value)
        boto3.setup_default_session()
        yield boto3
        boto3.DEFAULT_SESSION = None


@pytest.fixture
def client(session, recorded):
    return session.client("ec2")


@pytest.fixture
def ec2(session, recorded):
    return session.resource("ec2")


@pytest.fixture(scope="module")
def image(fake_cloud):
    return fake_cloud.image_id()


@pytest.fixture
def instances(ec2, image):
    made = ec2.create_instances(
        ImageId=image, InstanceType="t3.nano", MinCount=3, MaxCount=3, UserData="#!/bin/sh\n",
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "test", "Value": "boto3"}]},
                           {"ResourceType": "volume", "Tags": [{"Key": "test", "Value": "disk"}]}])
    yield made
    ec2.instances.filter(InstanceIds=[one.id for one in made]).terminate()


@contextlib.contextmanager
def fails(code, status=400):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        yield
    answer = caught.value.response
    assert answer["Error"]["Code"] == code and answer["Error"]["Message"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == status
    assert answer["ResponseMetadata"]["RequestId"]


def quick(client, name):
    """A waiter that looks often."""
    waiter = client.get_waiter(name)
    waiter.config.delay, waiter.config.max_attempts = 0.2, 300
    return waiter


def test_identity(session, recorded):
    assert session.client("sts").get_caller_identity()["Account"] == ACCOUNT


def test_life_through_resources(client, ec2, instances):
    ids = [one.id for one in instances]
    quick(client, "instance_exists").wait(InstanceIds=ids)
    quick(client, "instance_running").wait(InstanceIds=ids)
    quick(client, "instance_status_ok").wait(InstanceIds=ids)
    quick(client, "system_status_ok").wait(InstanceIds=ids)
    one = instances[0]
    one.reload()
    assert one.state["Name"] == "running" and one.image_id and one.private_ip_address
    assert one.vpc.is_default and one.subnet.vpc_id == one.vpc_id
    assert [volume.state for volume in one.volumes.all()] == ["in-use"]
    assert one.describe_attribute(Attribute="userData")["UserData"]["Value"] == "IyEvYmluL3NoCg=="
    one.modify_attribute(InstanceInitiatedShutdownBehavior={"Value": "terminate"})
    assert one.describe_attribute(Attribute="instanceInitiatedShutdownBehavior")[
        "InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    one.reboot()
    assert one.console_output()["InstanceId"] == one.id
    one.stop()
    quick(client, "instance_stopped").wait(InstanceIds=[one.id])
    one.start()
    quick(client, "instance_running").wait(InstanceIds=[one.id])
    one.terminate()
    quick(client, "instance_terminated").wait(InstanceIds=[one.id])
    one.reload()
    assert one.state["Name"] == "terminated" and one.state_transition_reason


def test_collections_and_filters(ec2, instances):
    ids = {one.id for one in instances}
    tagged = ec2.instances.filter(Filters=[{"Name": "tag:test", "Values": ["boto*"]}])
    live = tagged.filter(Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}])
    assert {one.id for one in live} == ids
    assert len(list(ec2.instances.limit(2))) == 2
    assert {one.id for page in ec2.instances.pages() for one in page} >= ids
    volumes = ec2.volumes.filter(Filters=[{"Name": "attachment.instance-id", "Values": list(ids)}])
    assert [volume.tags for volume in volumes] == [[{"Key": "test", "Value": "disk"}]] * 3
    assert [one.name for one in ec2.images.filter(Owners=["self"])] == ["micro"]
    assert [vpc.is_default for vpc in ec2.vpcs.all()] == [True]
    assert list(ec2.vpcs.all())[0].subnets.all()
    assert len(list(ec2.network_interfaces.filter(
        Filters=[{"Name": "attachment.instance-id", "Values": list(ids)}]))) == 3


def test_tags_of_resources(client, ec2, instances):
    one = instances[0]
    one.create_tags(Tags=[{"Key": "Name", "Value": "first"}, {"Key": "a b", "Value": "\u00fc<&\""}])
    one.reload()
    assert {tag["Key"]: tag["Value"] for tag in one.tags} == {
        "Name": "first", "a b": "\u00fc<&\"", "test": "boto3"}
    ec2.Tag(one.id, "a b", "\u00fc<&\"").delete()
    one.delete_tags(Tags=[{"Key": "Name"}])
    assert [tag["Key"] for tag in client.describe_tags(
        Filters=[{"Name": "resource-id", "Values": [one.id]}])["Tags"]] == ["test"]
    ec2.create_tags(Resources=[other.id for other in instances], Tags=[{"Key": "all", "Value": ""}])
    assert len(list(ec2.instances.filter(Filters=[{"Name": "tag-key", "Values": ["all"]}]))) == 3


def test_groups_read_back(client, ec2):
    vpc = next(iter(ec2.vpcs.all()))
    group = ec2.create_security_group(GroupName="boto3", Description="d", VpcId=vpc.id)
    quick(client, "security_group_exists").wait(GroupIds=[group.id])
    wanted = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "Ipv6Ranges": [],
               "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "ssh & more"},
                            {"CidrIp": "192.0.2.1/32"}],
               "PrefixListIds": [], "UserIdGroupPairs": []},
              {"IpProtocol": "-1", "IpRanges": [], "Ipv6Ranges": [], "PrefixListIds": [],
               "UserIdGroupPairs": [{"GroupId": group.id, "UserId": ACCOUNT}]}]
    group.authorize_ingress(IpPermissions=wanted)
    group.reload()
    by_protocol = {item["IpProtocol"]: item for item in group.ip_permissions}
    by_protocol["tcp"]["IpRanges"].sort(key=lambda item: item["CidrIp"])
    assert by_protocol == {item["IpProtocol"]: item for item in wanted}
    with fails("InvalidPermission.Duplicate"):
        group.authorize_ingress(IpPermissions=wanted[:1])
    group.revoke_ingress(IpPermissions=group.ip_permissions)
    group.revoke_egress(IpPermissions=group.ip_permissions_egress)
    group.reload()
    assert (group.ip_permissions, group.ip_permissions_egress) == ([], [])
    group.delete()
    with fails("InvalidGroup.NotFound"):
        group.reload()


def test_key_pairs(client, ec2):
    pair = ec2.create_key_pair(KeyName="boto3", KeyType="ed25519")
    assert "PRIVATE KEY" in pair.key_material
    quick(client, "key_pair_exists").wait(KeyNames=["boto3"])
    with fails("InvalidKeyPair.Duplicate"):
        ec2.create_key_pair(KeyName="boto3")
    pair.delete()
    with fails("InvalidKeyPair.NotFound"):
        client.describe_key_pairs(KeyNames=["boto3"])


def count(items):
    """Reservations may be divided between pages; their instances may not."""
    return sum(len(item["Instances"]) if isinstance(item, dict) and "Instances" in item else 1
               for item in items)


# What some lists cannot be asked for without.
NEEDED = {"describe_launch_template_versions": {"Versions": ["$Latest"]}}


def paginated(client, names):
    for name in names:
        if hasattr(client, name) and client.can_paginate(name):  # or it is newer than this boto3
            yield name


def test_every_paginator(client, recorder, instances):
    from botocore import xform_name
    from aws_model import Model
    actions = {xform_name(action): action for action in Model("ec2").handled()}
    names = list(paginated(client, actions))
    assert len(names) > 8
    for name in names:
        paginator = client.get_paginator(name)
        first = len(recorder.answers)
        options = NEEDED.get(name, {})
        whole = getattr(client, name)(**options)
        members = [key for key, value in whole.items() if isinstance(value, list)]
        pages = list(paginator.paginate(PaginationConfig={"PageSize": 5}, **options))
        for member in members:
            assert sum(count(page[member]) for page in pages) == count(whole[member]), (name, member)
        assert {answer.action for answer in recorder.answers[first:]} == {actions[name]}


def test_waiter_that_fails(client, instances):
    ids = [one.id for one in instances]
    client.terminate_instances(InstanceIds=ids)
    with pytest.raises(botocore.exceptions.WaiterError) as caught:
        quick(client, "instance_running").wait(InstanceIds=ids)
    assert "terminal failure" in str(caught.value)


@pytest.mark.parametrize("action,options,code", [
    ("describe_instances", {"InstanceIds": ["i-0123456789abcdef0"]}, "InvalidInstanceID.NotFound"),
    ("describe_instances", {"InstanceIds": ["nonsense"]}, "InvalidInstanceID.Malformed"),
    ("describe_instances", {"MaxResults": 5, "NextToken": "nonsense"}, "InvalidNextToken"),
    ("describe_volumes", {"MaxResults": 1}, "InvalidParameterValue"),
    ("run_instances", {"MinCount": 2, "MaxCount": 1, "InstanceType": "t3.nano",
                       "ImageId": "ami-0123456789abcdef0"}, "InvalidParameterValue"),
    ("run_instances", {"MinCount": 1, "MaxCount": 1, "InstanceType": "t3.nano",
                       "ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
    ("create_vpc", {"CidrBlock": "10.0.0.0/16", "AmazonProvidedIpv6CidrBlock": True}, "UnsupportedOperation"),
    ("deregister_image", {"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
    ("describe_snapshots", {"SnapshotIds": ["snap-0123456789abcdef0"]}, "InvalidSnapshot.NotFound"),
    ("get_console_output", {"InstanceId": "i-0123456789abcdef0"}, "InvalidInstanceID.NotFound"),
])
def test_codes_of_errors(client, action, options, code):
    with fails(code):
        getattr(client, action)(**options)


def test_dry_run(client, image):
    with fails("DryRunOperation", 412):
        client.run_instances(ImageId=image, InstanceType="t3.nano", MinCount=1, MaxCount=1,
                             DryRun=True)
    with fails("DryRunOperation", 412):
        client.describe_vpcs(DryRun=True)
