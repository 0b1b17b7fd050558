# SPDX-License-Identifier: Apache-2.0
"""RunInstances: every parameter that is honoured, every one that is refused."""
import base64
from concurrent.futures import ThreadPoolExecutor

import botocore.exceptions
import pytest

from conftest import IMAGE_SNAPSHOT, fails


def test_reservation(cloud, image):
    answer = cloud.ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=2, MaxCount=3)
    assert answer["OwnerId"] == "000000000001" and answer["ReservationId"].startswith("r-")
    assert [i["AmiLaunchIndex"] for i in answer["Instances"]] == [0, 1, 2]
    for instance in answer["Instances"]:
        assert instance["State"] == {"Code": 0, "Name": "pending"}
        assert instance["CpuOptions"] == {"CoreCount": 2, "ThreadsPerCore": 1}
        assert instance["PublicIpAddress"].startswith("198.18.")
        assert instance["PrivateDnsName"] == "ip-%s.ec2.internal" % \
            instance["PrivateIpAddress"].replace(".", "-")


@pytest.mark.parametrize("more", [
    {},
    {"NetworkInterfaces": [{"DeviceIndex": 0, "AssociatePublicIpAddress": False, "Description": "d"}]},
    {"NetworkInterfaces": [{"DeviceIndex": 0, "SecondaryPrivateIpAddressCount": 1},
                           {"DeviceIndex": 1, "Groups": []}]},
    {"LaunchTemplate": {"LaunchTemplateName": "shown"}}], ids=["plain", "private", "several", "template"])
def test_says_what_a_read_says(cloud, image, more):
    group = cloud.ec2.create_security_group(GroupName="web", Description="d")["GroupId"]
    if "LaunchTemplate" in more:
        cloud.ec2.create_launch_template(LaunchTemplateName="shown", LaunchTemplateData={"EbsOptimized": True})
    groups = {} if "NetworkInterfaces" in more else {"SecurityGroupIds": [group], "SecurityGroups": ["default"]}
    said = cloud.ec2.run_instances(
        ImageId=image, InstanceType="t3.micro", MinCount=2, MaxCount=2,
        BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 4, "DeleteOnTermination": False}}],
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "b", "Value": "2"}, {"Key": "a", "Value": "1"}]}],
        **groups, **more)
    read = cloud.ec2.describe_instances()["Reservations"][0]
    assert said["Instances"] == read["Instances"] and len(read["Instances"]) == 2


def test_everything_reads_back(cloud, image):
    ec2 = cloud.ec2
    ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    group = ec2.create_security_group(GroupName="web", Description="d")["GroupId"]
    subnet = ec2.describe_subnets(Filters=[{"Name": "availability-zone",
                                            "Values": ["us-east-1a"]}])["Subnets"][0]
    instance = ec2.run_instances(
        ImageId=image, InstanceType="2c4g", MinCount=1, MaxCount=1, KeyName="k",
        UserData="#!/bin/sh\n", DisableApiTermination=True, DisableApiStop=True, EbsOptimized=True,
        Monitoring={"Enabled": True}, InstanceInitiatedShutdownBehavior="terminate",
        Placement={"AvailabilityZone": "us-east-1a", "Tenancy": "default"},
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 3,
                         "InstanceMetadataTags": "enabled"},
        NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": subnet["SubnetId"], "Groups": [group],
                            "AssociatePublicIpAddress": False, "Description": "first",
                            "PrivateIpAddress": subnet["CidrBlock"].replace("0/20", "77"),
                            "DeleteOnTermination": False}],
        BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 9, "DeleteOnTermination": False}},
            {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 4, "VolumeType": "gp3", "Iops": 4000,
                                               "Throughput": 250}}],
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "one"}]},
            {"ResourceType": "volume", "Tags": [{"Key": "v", "Value": ""}]},
            {"ResourceType": "network-interface", "Tags": [{"Key": "n", "Value": "x"}]}],
    )["Instances"][0]
    assert instance["Tags"] == [{"Key": "Name", "Value": "one"}]
    assert instance["KeyName"] == "k" and instance["EbsOptimized"]
    assert instance["Monitoring"] == {"State": "enabled"}
    assert instance["MetadataOptions"]["HttpTokens"] == "required"
    assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 3
    assert instance["SecurityGroups"] == [{"GroupId": group, "GroupName": "web"}]
    assert instance["PrivateIpAddress"].endswith(".77") and "PublicIpAddress" not in instance
    interface = instance["NetworkInterfaces"][0]
    assert interface["Description"] == "first"
    assert not interface["Attachment"]["DeleteOnTermination"]
    disks = {d["DeviceName"]: d["Ebs"] for d in instance["BlockDeviceMappings"]}
    assert not disks["/dev/xvda"]["DeleteOnTermination"]
    volumes = {v["VolumeId"]: v for v in ec2.describe_volumes()["Volumes"]}
    extra = volumes[disks["/dev/sdf"]["VolumeId"]]
    assert (extra["Size"], extra["Iops"], extra["Throughput"]) == (4, 4000, 250)
    assert extra["Tags"] == [{"Key": "v", "Value": ""}]
    root = volumes[disks["/dev/xvda"]["VolumeId"]]
    assert (root["Size"], root["SnapshotId"]) == (9, IMAGE_SNAPSHOT)
    shown = ec2.describe_network_interfaces()["NetworkInterfaces"][0]
    assert shown["TagSet"] == [{"Key": "n", "Value": "x"}]

    def attribute(name):
        return ec2.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute=name)
    assert attribute("disableApiTermination")["DisableApiTermination"] == {"Value": True}
    assert attribute("instanceInitiatedShutdownBehavior")[
        "InstanceInitiatedShutdownBehavior"] == {"Value": "terminate"}
    assert base64.b64decode(attribute("userData")["UserData"]["Value"]) == b"#!/bin/sh\n"
    assert attribute("groupSet")["Groups"] == [{"GroupId": group, "GroupName": "web"}]
    assert len(attribute("blockDeviceMapping")["BlockDeviceMappings"]) == 2


def options(**changes):
    return dict({"InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1}, **changes)


@pytest.mark.parametrize("changes, code, text", [
    ({"InstanceType": "t3.gigantic"}, "InvalidParameterValue", "t3.gigantic"),
    ({"MinCount": 0}, "InvalidParameterValue", "minCount"),
    ({"MinCount": 2}, "InvalidParameterValue", "maxCount"),
    ({"MaxCount": 100000}, "InstanceLimitExceeded", ""),
    ({"ImageId": "nonsense"}, "InvalidAMIID.Malformed", "nonsense"),
    ({"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound", "ami-0123456789abcdef0"),
    ({"KeyName": "absent"}, "InvalidKeyPair.NotFound", "absent"),
    ({"SubnetId": "x"}, "InvalidSubnetID.Malformed", ""),
    ({"SubnetId": "subnet-0123456789abcdef0"}, "InvalidSubnetID.NotFound", ""),
    ({"SecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound", ""),
    ({"SecurityGroupIds": ["web"]}, "InvalidGroupId.Malformed", ""),
    ({"SecurityGroups": ["absent"]}, "InvalidGroup.NotFound", "absent"),
    ({"SecurityGroups": ["default"], "SubnetId": "subnet-0123456789abcdef0"},
     "InvalidParameterCombination", "subnet"),
    ({"Placement": {"AvailabilityZone": "us-east-1z"}}, "InvalidParameterValue", "us-east-1z"),
    ({"Placement": {"Tenancy": "dedicated"}}, "UnsupportedOperation", "Placement.Tenancy"),
    ({"Placement": {"GroupName": "g"}}, "InvalidPlacementGroup.Unknown", "g"),
    ({"Placement": {"GroupId": "pg-0123456789abcdef0"}}, "InvalidPlacementGroup.Unknown", "pg-"),
    ({"Placement": {"GroupId": "g"}}, "InvalidPlacementGroupId.Malformed", "g"),
    ({"Placement": {"PartitionNumber": 1}}, "InvalidParameterValue", "PartitionNumber"),
    ({"Placement": {"GroupId": "pg-0123456789abcdef0", "GroupName": "g"}},
     "InvalidParameterCombination", "GroupName"),
    ({"PrivateIpAddress": "10.0.0.1"}, "InvalidParameterValue", "10.0.0.1"),
    ({"LaunchTemplate": {"LaunchTemplateName": "absent"}},
     "InvalidLaunchTemplateName.NotFoundException", "absent"),
    ({"InstanceMarketOptions": {"MarketType": "spot"}}, "UnsupportedOperation", "InstanceMarket"),
    ({"InstanceType": "m5.large", "CreditSpecification": {"CpuCredits": "standard"}},
     "InvalidParameterCombination", "m5.large"),
    ({"CreditSpecification": {"CpuCredits": "some"}}, "InvalidParameterValue", "some"),
    ({"CpuOptions": {"CoreCount": 1}}, "UnsupportedOperation", "CpuOptions"),
    ({"HibernationOptions": {"Configured": True}}, "UnsupportedOperation", "Hibernation"),
    ({"EnclaveOptions": {"Enabled": True}}, "UnsupportedOperation", "Enclave"),
    ({"Ipv6AddressCount": 1}, "UnsupportedOperation", "Ipv6AddressCount"),
    ({"KernelId": "aki-1"}, "UnsupportedOperation", "KernelId"),
    ({"UserData": "x" * 16385}, "InvalidParameterValue", "16384"),
    ({"MetadataOptions": {"HttpPutResponseHopLimit": 65}}, "InvalidParameterValue", "HopLimit"),
    ({"MetadataOptions": {"HttpProtocolIpv6": "enabled"}}, "UnsupportedOperation", "Ipv6"),
    ({"BlockDeviceMappings": [{"DeviceName": "sdf"}]}, "InvalidBlockDeviceMapping", "sdf"),
    ({"BlockDeviceMappings": [{"DeviceName": "sdf", "VirtualName": "ephemeral0"}]},
     "UnsupportedOperation", "VirtualName"),
    ({"BlockDeviceMappings": [{"DeviceName": "sdf", "Ebs": {"VolumeSize": 1, "Iops": 100,
                                                            "VolumeType": "gp2"}}]},
     "InvalidParameterCombination", "iops"),
    ({"BlockDeviceMappings": [{"DeviceName": "sdf", "Ebs": {"VolumeSize": 4,
                                                            "VolumeType": "io1"}}]},
     "MissingParameter", "iops"),
    ({"BlockDeviceMappings": [{"DeviceName": "sdf", "Ebs": {"VolumeType": "gp9"}}]},
     "InvalidParameterValue", "gp9"),
    ({"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "NoDevice": ""}]},
     "InvalidParameterValue", "root"),
    ({"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 1}}]},
     "InvalidParameterValue", "smaller than snapshot"),
    ({"BlockDeviceMappings": [{"DeviceName": "../x", "Ebs": {"VolumeSize": 1}}]},
     "InvalidBlockDeviceMapping", "../x"),
    ({"NetworkInterfaces": [{"DeviceIndex": 0}], "SecurityGroupIds": ["sg-0123456789abcdef0"]},
     "InvalidParameterCombination", "security groups"),
    ({"NetworkInterfaces": [{"DeviceIndex": 0}], "SubnetId": "subnet-0123456789abcdef0"},
     "InvalidParameterCombination", "subnet"),
    ({"NetworkInterfaces": [{"Description": "d"}]}, "MissingParameter", "device index"),
    ({"TagSpecifications": [{"ResourceType": "vpc", "Tags": [{"Key": "a", "Value": "b"}]}]},
     "InvalidParameterValue", "vpc"),
    ({"TagSpecifications": [{"ResourceType": "instance",
                             "Tags": [{"Key": "aws:x", "Value": "b"}]}]},
     "InvalidParameterValue", "aws:"),
    ({"TagSpecifications": [{"ResourceType": "instance",
                             "Tags": [{"Key": "a", "Value": "b"}, {"Key": "a", "Value": "c"}]}]},
     "InvalidParameterValue", "Duplicate"),
    ({"InstanceType": "24xlarge"}, "InvalidParameterValue", ""),
])
def test_refusals(cloud, image, changes, code, text):
    with fails(code, text):
        cloud.ec2.run_instances(**options(**dict({"ImageId": image}, **changes)))
    assert cloud.sql("SELECT count(*) FROM instance") == [["0"]]
    assert cloud.sql("SELECT vcpus_claimed, memory_claimed_mib FROM host") == [["0", "0"]]


def test_missing(cloud, image):
    with fails("MissingParameter", "ImageId"):
        cloud.ec2.run_instances(InstanceType="t3.micro", MinCount=1, MaxCount=1)
    with fails("MissingParameter", "InstanceType"):
        cloud.ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)


def test_user_data_must_be_base64(cloud, image):
    events = cloud.client("ec2").meta.events
    client = cloud.client("ec2")
    client.meta.events.unregister("before-parameter-build.ec2.RunInstances")
    client.meta.events.register(
        "before-call.ec2.RunInstances",
        lambda params, **_: params["body"].update(UserData="not base64!"))
    assert events
    with fails("InvalidUserData.Malformed"):
        client.run_instances(**options(ImageId=image))


def test_dry_run(cloud, image):
    with fails("DryRunOperation"):
        cloud.ec2.run_instances(**options(ImageId=image, DryRun=True))
    with fails("InvalidAMIID.NotFound"):
        cloud.ec2.run_instances(**options(ImageId="ami-0123456789abcdef0", DryRun=True))
    assert cloud.sql("SELECT count(*) FROM instance") == [["0"]]


def test_client_token(cloud, image):
    first = cloud.ec2.run_instances(**options(ImageId=image, ClientToken="t"))
    again = cloud.ec2.run_instances(**options(ImageId=image, ClientToken="t"))
    assert again["ReservationId"] == first["ReservationId"]
    assert [i["InstanceId"] for i in again["Instances"]] == \
        [i["InstanceId"] for i in first["Instances"]]
    assert first["Instances"][0]["ClientToken"] == "t"
    with fails("IdempotentParameterMismatch"):
        cloud.ec2.run_instances(**options(ImageId=image, ClientToken="t", InstanceType="t3.small"))
    with fails("IdempotentParameterMismatch"):
        cloud.ec2.run_instances(**options(ImageId=image, ClientToken="t", TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]))
    assert cloud.sql("SELECT count(*) FROM instance") == [["1"]]


def test_token_race(cloud, image):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: cloud.ec2.run_instances(
            **options(ImageId=image, ClientToken="race"))["ReservationId"], range(16)))
    assert len(set(answers)) == 1
    assert cloud.sql("SELECT count(*) FROM instance") == [["1"]]


def test_partial_and_none(cloud, image):
    cloud.host(vcpus=4, memory_mib=4096)
    answer = cloud.ec2.run_instances(**options(ImageId=image, MinCount=1, MaxCount=5))
    assert len(answer["Instances"]) == 2
    with fails("InsufficientInstanceCapacity", "host-1"):
        cloud.ec2.run_instances(**options(ImageId=image))


def test_another_zone_when_one_has_no_host(cloud, launch):
    zones = {launch()[0]["Placement"]["AvailabilityZone"] for _ in range(6)}
    assert zones == {"us-east-1a"}


def test_never_overcommits(cloud, image):
    """8 threads want 64 instances of a host that has room for 20."""
    cloud.host(vcpus=40, memory_mib=1 << 20)

    def one(_):
        try:
            return len(cloud.ec2.run_instances(**options(ImageId=image))["Instances"])
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "InsufficientInstanceCapacity", error
            return 0
    with ThreadPoolExecutor(8) as pool:
        made = sum(pool.map(one, range(64)))
    assert made == 20
    assert cloud.sql("SELECT vcpus_claimed, memory_claimed_mib FROM host") == [["40", "20480"]]
    assert cloud.sql("SELECT count(*), count(DISTINCT address) FROM network_interface"
                     ) == [["20", "20"]]
    cloud.ec2.terminate_instances(InstanceIds=[r[0] for r in cloud.sql("SELECT id FROM instance")])
    cloud.settle()
    assert cloud.sql("SELECT vcpus_claimed, memory_claimed_mib FROM host") == [["0", "0"]]
    assert cloud.sql("SELECT count(*) FROM public_address WHERE interface_id IS NOT NULL"
                     ) == [["0"]]


def test_launches_and_terminations_balance(cloud, image):
    cloud.host(vcpus=16, memory_mib=1 << 20)

    def one(_):
        try:
            ids = [i["InstanceId"] for i in
                   cloud.ec2.run_instances(**options(ImageId=image, MaxCount=2))["Instances"]]
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "InsufficientInstanceCapacity", error
            return
        cloud.ec2.terminate_instances(InstanceIds=ids)
        cloud.settle()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(40)))
    cloud.settle()
    assert cloud.sql("SELECT vcpus_claimed, memory_claimed_mib FROM host") == [["0", "0"]]


def test_other_accounts_image(cloud, image):
    with fails("InvalidAMIID.NotFound"):
        cloud.other.run_instances(**options(ImageId=image))
    cloud.sql("UPDATE image SET is_public = true")
    assert cloud.other.run_instances(**options(ImageId=image))["OwnerId"] == "000000000002"
