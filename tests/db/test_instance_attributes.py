# SPDX-License-Identifier: Apache-2.0
"""What can be changed of an instance after its launch, and when."""
import base64

import pytest

from conftest import fails


@pytest.fixture
def one(launch):
    return launch()[0]["InstanceId"]


@pytest.fixture
def stopped(cloud, one):
    cloud.settle()
    cloud.ec2.stop_instances(InstanceIds=[one])
    cloud.settle()
    return one


def shown(cloud, one):
    return cloud.ec2.describe_instances(InstanceIds=[one])["Reservations"][0]["Instances"][0]


def attribute(cloud, one, name):
    answer = cloud.ec2.describe_instance_attribute(InstanceId=one, Attribute=name)
    return {k: v for k, v in answer.items() if k not in ("InstanceId", "ResponseMetadata")}


def wish(cloud):
    """Generation of the wish of the only instance."""
    return int(cloud.sql("SELECT generation FROM instance")[0][0])


def test_flags(cloud, one):
    ec2 = cloud.ec2
    for name in ("DisableApiTermination", "DisableApiStop", "SourceDestCheck"):
        for value in (True, False):
            ec2.modify_instance_attribute(InstanceId=one, **{name: {"Value": value}})
            assert attribute(cloud, one, name[0].lower() + name[1:])[name] == {"Value": value}
            ec2.modify_instance_attribute(InstanceId=one, Attribute=name[0].lower() + name[1:],
                                          Value="false" if value else "true")
            assert attribute(cloud, one, name[0].lower() + name[1:])[name] == {"Value": not value}
    ec2.modify_instance_attribute(InstanceId=one,
                                  InstanceInitiatedShutdownBehavior={"Value": "terminate"})
    assert attribute(cloud, one, "instanceInitiatedShutdownBehavior") == {
        "InstanceInitiatedShutdownBehavior": {"Value": "terminate"}}
    assert attribute(cloud, one, "productCodes") == {"ProductCodes": []}
    with fails("DryRunOperation"):
        ec2.modify_instance_attribute(InstanceId=one, DisableApiStop={"Value": False}, DryRun=True)
    assert attribute(cloud, one, "disableApiStop") == {"DisableApiStop": {"Value": True}}


def test_source_dest_check(cloud, one):
    """The plan of the VPC has it, so that the host's filter does."""
    before = cloud.sql("SELECT generation FROM vpc WHERE id = (SELECT vpc_id FROM instance)")
    cloud.ec2.modify_instance_attribute(InstanceId=one, SourceDestCheck={"Value": False})
    assert shown(cloud, one)["SourceDestCheck"] is False
    assert shown(cloud, one)["NetworkInterfaces"][0]["SourceDestCheck"] is False
    after = cloud.sql("SELECT generation FROM vpc WHERE id = (SELECT vpc_id FROM instance)")
    assert int(after[0][0]) > int(before[0][0])
    cloud.ec2.reset_instance_attribute(InstanceId=one, Attribute="sourceDestCheck")
    assert shown(cloud, one)["SourceDestCheck"] is True


def test_groups(cloud, one):
    ec2 = cloud.ec2
    groups = [ec2.create_security_group(GroupName=n, Description="d")["GroupId"] for n in "xy"]
    before = wish(cloud)
    ec2.modify_instance_attribute(InstanceId=one, Groups=groups)
    assert [g["GroupId"] for g in shown(cloud, one)["SecurityGroups"]] == groups
    assert [g["GroupName"] for g in attribute(cloud, one, "groupSet")["Groups"]] == ["x", "y"]
    assert wish(cloud) > before # the metadata shows groups
    ec2.modify_instance_attribute(InstanceId=one, Attribute="groupSet", Value=groups[1])
    assert [g["GroupId"] for g in shown(cloud, one)["SecurityGroups"]] == groups[1:]
    ec2.delete_security_group(GroupId=groups[0])
    with fails("InvalidGroup.NotFound"):
        ec2.modify_instance_attribute(InstanceId=one, Groups=[groups[0]])
    assert [g["GroupId"] for g in shown(cloud, one)["SecurityGroups"]] == groups[1:]
    foreign = cloud.other.create_security_group(GroupName="z", Description="d")["GroupId"]
    with fails("InvalidGroup.NotFound"):
        ec2.modify_instance_attribute(InstanceId=one, Groups=[foreign])


def test_disks(cloud, one):
    def deleted():
        mapping = attribute(cloud, one, "blockDeviceMapping")["BlockDeviceMappings"][0]
        return mapping["Ebs"]["DeleteOnTermination"]
    before = wish(cloud)
    cloud.ec2.modify_instance_attribute(InstanceId=one, BlockDeviceMappings=[
        {"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": False}}])
    assert deleted() is False and wish(cloud) > before
    volume = shown(cloud, one)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    cloud.ec2.modify_instance_attribute(
        InstanceId=one, Attribute="blockDeviceMapping", BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": True, "VolumeId": volume}}])
    assert deleted() is True
    for mapping in ({"DeviceName": "/dev/sdz", "Ebs": {"DeleteOnTermination": True}},
                    {"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": True,
                                                        "VolumeId": "vol-0123456789abcdef0"}}):
        with fails("InvalidInstanceAttributeValue", "No device"):
            cloud.ec2.modify_instance_attribute(InstanceId=one, BlockDeviceMappings=[mapping])
    cloud.ec2.modify_instance_attribute(InstanceId=one, BlockDeviceMappings=[
        {"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": False}}])
    cloud.ec2.terminate_instances(InstanceIds=[one])
    cloud.settle()
    assert [v["State"] for v in cloud.ec2.describe_volumes()["Volumes"]] == ["available"]


def test_resize(cloud, stopped):
    ec2 = cloud.ec2
    ec2.modify_instance_attribute(InstanceId=stopped, InstanceType={"Value": "4c8g"})
    assert shown(cloud, stopped)["InstanceType"] == "4c8g"
    assert shown(cloud, stopped)["CpuOptions"]["CoreCount"] == 4
    assert cloud.sql("SELECT vcpus_claimed, memory_claimed_mib FROM host") == [["0", "0"]]
    ec2.start_instances(InstanceIds=[stopped])
    assert cloud.sql("SELECT vcpus_claimed, memory_claimed_mib FROM host") == [["4", "8192"]]
    cloud.settle()
    with fails("IncorrectInstanceState", "stopped"):
        ec2.modify_instance_attribute(InstanceId=stopped, InstanceType={"Value": "t3.small"})
    ec2.terminate_instances(InstanceIds=[stopped])
    cloud.settle()
    assert cloud.sql("SELECT vcpus_claimed, memory_claimed_mib FROM host") == [["0", "0"]]


def test_resize_beyond_the_host(cloud, stopped):
    cloud.host(4, 4096)
    with fails("InsufficientInstanceCapacity", "4c8g"):
        cloud.ec2.modify_instance_attribute(InstanceId=stopped, InstanceType={"Value": "4c8g"})
    cloud.ec2.modify_instance_attribute(InstanceId=stopped, Attribute="instanceType",
                                        Value="4c4g")
    assert attribute(cloud, stopped, "instanceType") == {"InstanceType": {"Value": "4c4g"}}


def test_resize_with_room(cloud, stopped):
    """Called stopped while its host was silent, it has its room still: that is exchanged."""
    cloud.host(4, 8192)
    cloud.sql("UPDATE instance SET claimed = true; UPDATE host SET vcpus_claimed = 2,"
              " memory_claimed_mib = 1024")
    cloud.ec2.modify_instance_attribute(InstanceId=stopped, InstanceType={"Value": "4c8g"})
    assert cloud.sql("SELECT vcpus_claimed, memory_claimed_mib FROM host") == [["4", "8192"]]
    with fails("InsufficientInstanceCapacity"):
        cloud.ec2.modify_instance_attribute(InstanceId=stopped, InstanceType={"Value": "8c8g"})
    assert cloud.sql("SELECT vcpus_claimed, memory_claimed_mib FROM host") == [["4", "8192"]]


def test_of_a_stopped_one(cloud, one):
    ec2 = cloud.ec2
    changes = ({"UserData": {"Value": b"x"}}, {"EbsOptimized": {"Value": True}},
               {"EnaSupport": {"Value": True}}, {"InstanceType": {"Value": "t3.small"}})
    cloud.settle()
    for change in changes:
        with fails("IncorrectInstanceState", "stopped"):
            ec2.modify_instance_attribute(InstanceId=one, **change)
    with fails("IncorrectInstanceState"):
        ec2.reset_instance_attribute(InstanceId=one, Attribute="kernel")
    ec2.stop_instances(InstanceIds=[one])
    cloud.settle()
    for change in changes:
        ec2.modify_instance_attribute(InstanceId=one, **change)
    ec2.reset_instance_attribute(InstanceId=one, Attribute="kernel")
    assert base64.b64decode(attribute(cloud, one, "userData")["UserData"]["Value"]) == b"x"
    assert attribute(cloud, one, "ebsOptimized") == {"EbsOptimized": {"Value": True}}
    ec2.modify_instance_attribute(InstanceId=one, UserData={"Value": b""})
    assert attribute(cloud, one, "userData") == {"UserData": {}}
    with fails("InvalidUserData.Malformed"):
        ec2.modify_instance_attribute(InstanceId=one, Attribute="userData", Value="!")


@pytest.mark.parametrize("parameters, code", [
    ({}, "MissingParameter"),
    ({"InstanceId": "nonsense", "DisableApiStop": {"Value": True}}, "InvalidInstanceID.Malformed"),
    ({"InstanceId": "i-0123456789abcdef0", "DisableApiStop": {"Value": True}},
     "InvalidInstanceID.NotFound"),
    ({"InstanceType": {"Value": "t3.gigantic"}}, "InvalidInstanceAttributeValue"),
    ({"InstanceInitiatedShutdownBehavior": {"Value": "explode"}}, "InvalidParameterValue"),
    ({"Attribute": "disableApiStop", "Value": "maybe"}, "InvalidParameterValue"),
    ({"Attribute": "disableApiStop"}, "MissingParameter"),
    ({"DisableApiStop": {"Value": True}, "EbsOptimized": {"Value": True}},
     "InvalidParameterCombination"),
    ({"Groups": ["web"]}, "InvalidGroupId.Malformed"),
    ({"Groups": ["sg-0000000000000000%d" % i for i in range(6)]}, "SecurityGroupLimitExceeded"),
    ({"Kernel": {"Value": "aki-1"}}, "UnsupportedOperation"),
    ({"SriovNetSupport": {"Value": "simple"}}, "UnsupportedOperation"),
    ({"EnaSupport": {"Value": False}}, "UnsupportedOperation"),
    ({"BlockDeviceMappings": [{"DeviceName": "sdf", "NoDevice": ""}]}, "UnsupportedOperation"),
    ({"BlockDeviceMappings": [{"DeviceName": "sdf", "Ebs": {"VolumeId": "vol-0123456789abcdef0"}}]},
     "MissingParameter"),
])
def test_refusals(cloud, one, parameters, code):
    with fails(code):
        cloud.ec2.modify_instance_attribute(**dict({"InstanceId": one}, **parameters))


def test_reset_refusals(cloud, one):
    with fails("InvalidParameterValue", "userData"):
        cloud.ec2.reset_instance_attribute(InstanceId=one, Attribute="userData")
    with fails("InvalidInstanceID.NotFound"):
        cloud.other.reset_instance_attribute(InstanceId=one, Attribute="sourceDestCheck")
    cloud.ec2.terminate_instances(InstanceIds=[one])
    with fails("IncorrectInstanceState"):
        cloud.ec2.reset_instance_attribute(InstanceId=one, Attribute="sourceDestCheck")


def test_metadata_options(cloud, one):
    cloud.settle()
    before = wish(cloud)
    changed = cloud.ec2.modify_instance_metadata_options(
        InstanceId=one, HttpTokens="required", HttpPutResponseHopLimit=3, HttpEndpoint="enabled",
        InstanceMetadataTags="enabled")
    assert changed["InstanceId"] == one
    options = changed["InstanceMetadataOptions"]
    assert options == {"State": "pending", "HttpTokens": "required", "HttpPutResponseHopLimit": 3,
                       "HttpEndpoint": "enabled", "HttpProtocolIpv6": "disabled",
                       "InstanceMetadataTags": "enabled"}
    assert shown(cloud, one)["MetadataOptions"] == options and wish(cloud) > before
    cloud.settle()
    assert shown(cloud, one)["MetadataOptions"] == dict(options, State="applied")
    changed = cloud.ec2.modify_instance_metadata_options(InstanceId=one, HttpTokens="optional")
    assert changed["InstanceMetadataOptions"] == dict(options, HttpTokens="optional")


def test_metadata_refusals(cloud, one):
    ec2 = cloud.ec2
    for hops in (0, 65):
        with fails("InvalidParameterValue", "HopLimit"):
            ec2.modify_instance_metadata_options(InstanceId=one, HttpPutResponseHopLimit=hops)
    with fails("UnsupportedOperation", "Ipv6"):
        ec2.modify_instance_metadata_options(InstanceId=one, HttpProtocolIpv6="enabled")
    with fails("InvalidInstanceID.NotFound"):
        cloud.other.modify_instance_metadata_options(InstanceId=one, HttpTokens="required")
    with fails("DryRunOperation"):
        ec2.modify_instance_metadata_options(InstanceId=one, HttpTokens="required", DryRun=True)
    ec2.create_tags(Resources=[one], Tags=[{"Key": "a/b", "Value": ""}])
    with fails("InvalidParameterValue", "a/b"):
        ec2.modify_instance_metadata_options(InstanceId=one, InstanceMetadataTags="enabled")
    assert shown(cloud, one)["MetadataOptions"]["InstanceMetadataTags"] == "disabled"
    ec2.delete_tags(Resources=[one], Tags=[{"Key": "a/b"}])
    ec2.modify_instance_metadata_options(InstanceId=one, InstanceMetadataTags="enabled")
    with fails("InvalidParameterValue", "a b"):
        ec2.create_tags(Resources=[one], Tags=[{"Key": "a b", "Value": ""}])
    ec2.create_tags(Resources=[one], Tags=[{"Key": "a:b", "Value": ""}])


def test_monitoring(cloud, launch):
    ids = [i["InstanceId"] for i in launch(2)]
    answer = cloud.ec2.monitor_instances(InstanceIds=ids)["InstanceMonitorings"]
    assert answer == [{"InstanceId": i, "Monitoring": {"State": "enabled"}} for i in ids]
    assert shown(cloud, ids[0])["Monitoring"] == {"State": "enabled"}
    cloud.ec2.unmonitor_instances(InstanceIds=ids[:1])
    assert [shown(cloud, i)["Monitoring"]["State"] for i in ids] == ["disabled", "enabled"]
    with fails("InvalidInstanceID.NotFound"):
        cloud.other.unmonitor_instances(InstanceIds=ids)
    with fails("DryRunOperation"):
        cloud.ec2.monitor_instances(InstanceIds=ids, DryRun=True)


def test_credits(cloud, image, launch):
    ec2 = cloud.ec2
    default = launch()[0]["InstanceId"]
    standard = launch(CreditSpecification={"CpuCredits": "standard"})[0]["InstanceId"]
    other = ec2.run_instances(ImageId=image, InstanceType="m5.large", MinCount=1,
                              MaxCount=1)["Instances"][0]["InstanceId"]
    cloud.settle()

    def credits(**options):
        found = ec2.describe_instance_credit_specifications(**options)
        return {i["InstanceId"]: i["CpuCredits"] for i in found["InstanceCreditSpecifications"]}
    assert credits() == {default: "unlimited", standard: "standard"}
    assert credits(InstanceIds=[standard]) == {standard: "standard"}
    assert credits(Filters=[{"Name": "instance-id", "Values": [default]}]) == {default: "unlimited"}
    with fails("InstanceCreditSpecification.NotSupported"):
        credits(InstanceIds=[other])
    with fails("InvalidInstanceID.NotFound"):
        cloud.other.describe_instance_credit_specifications(InstanceIds=[standard])
    answer = ec2.modify_instance_credit_specification(InstanceCreditSpecifications=[
        {"InstanceId": standard, "CpuCredits": "unlimited"},
        {"InstanceId": other, "CpuCredits": "standard"},
        {"InstanceId": "i-0123456789abcdef0", "CpuCredits": "standard"}])
    assert answer["SuccessfulInstanceCreditSpecifications"] == [{"InstanceId": standard}]
    assert [(i["InstanceId"], i["Error"]["Code"])
            for i in answer["UnsuccessfulInstanceCreditSpecifications"]] == [
                (other, "InstanceCreditSpecification.NotSupported"),
                ("i-0123456789abcdef0", "InvalidInstanceID.NotFound")]
    assert credits(InstanceIds=[standard]) == {standard: "unlimited"}
    with fails("InvalidParameterValue"):
        ec2.modify_instance_credit_specification(InstanceCreditSpecifications=[
            {"InstanceId": standard, "CpuCredits": "some"}])
