# SPDX-License-Identifier: Apache-2.0
"""Launch templates: versions, what reads back, and what a launch makes of them."""
import base64

import pytest

from conftest import IMAGE_SNAPSHOT, fails

SCRIPT = base64.b64encode(b"#!/bin/sh\n").decode()
# Members of every kind, also such as Virga refuses to launch.
EVERYTHING = {
    "EbsOptimized": False, "ImageId": "ami-0123456789abcdef0", "InstanceType": "t3.micro",
    "KeyName": "k", "UserData": SCRIPT, "DisableApiTermination": True, "DisableApiStop": False,
    "InstanceInitiatedShutdownBehavior": "terminate", "KernelId": "aki-1", "RamDiskId": "ari-1",
    "IamInstanceProfile": {"Name": "p"}, "Monitoring": {"Enabled": False},
    "BlockDeviceMappings": [
        {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 9, "Encrypted": True, "Iops": 3000,
                                            "VolumeType": "gp3", "Throughput": 125,
                                            "DeleteOnTermination": False}},
        {"DeviceName": "/dev/sdf", "NoDevice": ""}],
    "NetworkInterfaces": [{"DeviceIndex": 0, "AssociatePublicIpAddress": False,
                           "Groups": ["sg-0123456789abcdef0"], "Description": "first",
                           "Ipv6AddressCount": 1,
                           "PrivateIpAddresses": [{"Primary": True,
                                                   "PrivateIpAddress": "10.0.0.1"}]}],
    "Placement": {"AvailabilityZone": "us-east-1a", "GroupName": "g", "PartitionNumber": 2},
    "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": ""}]}],
    "InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.1"}},
    "CreditSpecification": {"CpuCredits": "unlimited"},
    "CpuOptions": {"CoreCount": 2, "ThreadsPerCore": 1},
    "CapacityReservationSpecification": {"CapacityReservationPreference": "none"},
    "LicenseSpecifications": [{"LicenseConfigurationArn": "arn:x"}],
    "HibernationOptions": {"Configured": False},
    "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2,
                        "HttpEndpoint": "enabled"},
    "EnclaveOptions": {"Enabled": False}, "PrivateDnsNameOptions": {"HostnameType": "ip-name"},
    "MaintenanceOptions": {"AutoRecovery": "default"},
}


def make(cloud, name="web", data=None, **options):
    return cloud.ec2.create_launch_template(LaunchTemplateName=name,
                                            LaunchTemplateData=data or {"InstanceType": "t3.nano"},
                                            **options)["LaunchTemplate"]


def test_reads_back_as_it_was_set(cloud):
    made = make(cloud, data=EVERYTHING, VersionDescription="first",
                TagSpecifications=[{"ResourceType": "launch-template",
                                    "Tags": [{"Key": "t", "Value": "v"}]}])
    assert made["LaunchTemplateId"].startswith("lt-") and made["LaunchTemplateName"] == "web"
    assert (made["DefaultVersionNumber"], made["LatestVersionNumber"]) == (1, 1)
    assert made["CreatedBy"] == "arn:aws:iam::000000000001:root"
    assert made["Tags"] == [{"Key": "t", "Value": "v"}]
    seen = cloud.ec2.describe_launch_templates()["LaunchTemplates"]
    assert seen == [made]
    version = cloud.ec2.describe_launch_template_versions(
        LaunchTemplateName="web")["LaunchTemplateVersions"][0]
    assert version["LaunchTemplateData"] == EVERYTHING
    assert version["DefaultVersion"] and version["VersionDescription"] == "first"
    # Only what was set is there at all, even as an empty list.
    make(cloud, "small")
    small = cloud.ec2.describe_launch_template_versions(LaunchTemplateName="small")
    assert small["LaunchTemplateVersions"][0]["LaunchTemplateData"] == {"InstanceType": "t3.nano"}


def test_requirements_are_kept_and_refused(cloud, image):
    data = {"ImageId": image, "InstanceRequirements": {
        "VCpuCount": {"Min": 1, "Max": 2}, "MemoryMiB": {"Min": 512},
        "CpuManufacturers": ["intel"], "BurstablePerformance": "included"}}
    made = make(cloud, data=data)
    seen = cloud.ec2.describe_launch_template_versions(LaunchTemplateId=made["LaunchTemplateId"])
    assert seen["LaunchTemplateVersions"][0]["LaunchTemplateData"] == data
    with fails("UnsupportedOperation", "InstanceRequirements"):
        cloud.ec2.run_instances(LaunchTemplate={"LaunchTemplateName": "web"}, MinCount=1,
                                MaxCount=1, InstanceType="t3.micro")


def test_versions(cloud):
    ec2 = cloud.ec2
    one = make(cloud, data={"InstanceType": "t3.nano", "KeyName": "k", "BlockDeviceMappings": [
        {"DeviceName": "sdf", "Ebs": {"SnapshotId": IMAGE_SNAPSHOT, "VolumeSize": 4}}]})
    id_ = one["LaunchTemplateId"]
    two = ec2.create_launch_template_version(
        LaunchTemplateId=id_, SourceVersion="1", VersionDescription="larger",
        LaunchTemplateData={"InstanceType": "t3.micro"})["LaunchTemplateVersion"]
    assert two["VersionNumber"] == 2 and not two["DefaultVersion"]
    assert two["LaunchTemplateData"] == {
        "InstanceType": "t3.micro", "KeyName": "k",
        "BlockDeviceMappings": [{"DeviceName": "sdf", "Ebs": {"VolumeSize": 4}}]}
    three = ec2.create_launch_template_version(
        LaunchTemplateName="web", LaunchTemplateData={"KeyName": "x"})["LaunchTemplateVersion"]
    assert three["LaunchTemplateData"] == {"KeyName": "x"}

    def numbers(**options):
        found = ec2.describe_launch_template_versions(LaunchTemplateId=id_, **options)
        return [v["VersionNumber"] for v in found["LaunchTemplateVersions"]]
    assert numbers() == [3, 2, 1]
    assert numbers(Versions=["1", "$Latest"]) == [3, 1]
    assert numbers(Versions=["$Default"]) == [1]
    assert numbers(MinVersion="2") == [3, 2] and numbers(MaxVersion="2") == [2, 1]
    assert numbers(Filters=[{"Name": "instance-type", "Values": ["t3.*"]}]) == [2, 1]
    assert numbers(Filters=[{"Name": "is-default-version", "Values": ["true"]}]) == [1]
    first = ec2.describe_launch_template_versions(LaunchTemplateId=id_, MaxResults=2)
    assert [v["VersionNumber"] for v in first["LaunchTemplateVersions"]] == [3, 2]
    assert numbers(MaxResults=2, NextToken=first["NextToken"]) == [1]
    make(cloud, "other")
    every = ec2.describe_launch_template_versions(Versions=["$Latest"])["LaunchTemplateVersions"]
    assert {(v["LaunchTemplateName"], v["VersionNumber"]) for v in every} == {("web", 3),
                                                                             ("other", 1)}

    changed = ec2.modify_launch_template(LaunchTemplateId=id_, DefaultVersion="2")["LaunchTemplate"]
    assert (changed["DefaultVersionNumber"], changed["LatestVersionNumber"]) == (2, 3)
    gone = ec2.delete_launch_template_versions(LaunchTemplateId=id_, Versions=["2", "3", "9"])
    assert [v["VersionNumber"] for v in gone["SuccessfullyDeletedLaunchTemplateVersions"]] == [3]
    assert [(v["VersionNumber"], v["ResponseError"]["Code"])
            for v in gone["UnsuccessfullyDeletedLaunchTemplateVersions"]] == [
                (2, "unexpectedError"), (9, "launchTemplateVersionDoesNotExist")]
    assert numbers() == [2, 1]
    four = ec2.create_launch_template_version(LaunchTemplateId=id_,
                                              LaunchTemplateData={"KeyName": "x"})
    assert four["LaunchTemplateVersion"]["VersionNumber"] == 4  # 3 is not given out again
    assert ec2.delete_launch_template(LaunchTemplateName="web")["LaunchTemplate"][
        "LaunchTemplateId"] == id_
    with fails("InvalidLaunchTemplateId.NotFound", id_):
        ec2.describe_launch_template_versions(LaunchTemplateId=id_)


def test_describe(cloud):
    names = ["n-%d" % i for i in range(7)]
    for name in names:
        make(cloud, name, TagSpecifications=[{"ResourceType": "launch-template",
                                              "Tags": [{"Key": "k", "Value": name}]}])

    def find(**options):
        found = cloud.ec2.describe_launch_templates(**options)["LaunchTemplates"]
        return sorted(t["LaunchTemplateName"] for t in found)
    assert find() == names
    assert find(LaunchTemplateNames=["n-1", "n-3"]) == ["n-1", "n-3"]
    assert find(Filters=[{"Name": "launch-template-name", "Values": ["n[", "?-5"]}]) == ["n-5"]
    assert find(Filters=[{"Name": "tag:k", "Values": ["n-2"]}]) == ["n-2"]
    pages = cloud.ec2.get_paginator("describe_launch_templates").paginate(
        PaginationConfig={"PageSize": 3})
    assert sorted(t["LaunchTemplateName"] for page in pages
                  for t in page["LaunchTemplates"]) == names
    assert cloud.other.describe_launch_templates()["LaunchTemplates"] == []
    with fails("InvalidLaunchTemplateName.NotFoundException", "absent"):
        find(LaunchTemplateNames=["absent"])
    with fails("InvalidLaunchTemplateId.NotFound"):
        find(LaunchTemplateIds=["lt-0123456789abcdef0"])
    with fails("InvalidLaunchTemplateId.Malformed"):
        find(LaunchTemplateIds=["nonsense"])


def test_tokens_and_dry_runs(cloud):
    ec2 = cloud.ec2
    with fails("DryRunOperation"):
        make(cloud, DryRun=True)
    one = make(cloud, ClientToken="t")
    assert make(cloud, ClientToken="t") == one
    with fails("IdempotentParameterMismatch"):
        make(cloud, "else", ClientToken="t")
    for _ in range(2):
        version = ec2.create_launch_template_version(
            LaunchTemplateName="web", LaunchTemplateData={"KeyName": "x"}, ClientToken="v")
        assert version["LaunchTemplateVersion"]["VersionNumber"] == 2
    assert ec2.create_launch_template_version(
        LaunchTemplateName="web",
        LaunchTemplateData={"KeyName": "x"})["LaunchTemplateVersion"]["VersionNumber"] == 3


ID = "lt-0123456789abcdef0"


@pytest.mark.parametrize("action, parameters, code", [
    ("create_launch_template", {"LaunchTemplateName": "abc!", "LaunchTemplateData": {"KeyName": "k"}},
     "InvalidLaunchTemplateName.MalformedException"),
    ("create_launch_template", {"LaunchTemplateName": "web", "LaunchTemplateData": {"KeyName": "k"}},
     "InvalidLaunchTemplateName.AlreadyExistsException"),
    ("create_launch_template", {"LaunchTemplateName": "new", "LaunchTemplateData": {}},
     "MissingParameter"),
    ("create_launch_template", {"LaunchTemplateName": "new", "LaunchTemplateData": {"KeyName": "k"},
                                "TagSpecifications": [{"ResourceType": "instance",
                                                       "Tags": [{"Key": "a", "Value": "b"}]}]},
     "InvalidParameterValue"),
    ("create_launch_template_version", {"LaunchTemplateName": "web", "SourceVersion": "7",
                                        "LaunchTemplateData": {"KeyName": "k"}},
     "InvalidLaunchTemplateId.VersionNotFound"),
    ("create_launch_template_version", {"LaunchTemplateName": "web", "SourceVersion": "x",
                                        "LaunchTemplateData": {"KeyName": "k"}},
     "InvalidParameterValue"),
    ("create_launch_template_version", {"LaunchTemplateData": {"KeyName": "k"}}, "MissingParameter"),
    ("create_launch_template_version", {"LaunchTemplateId": ID, "LaunchTemplateName": "web",
                                        "LaunchTemplateData": {"KeyName": "k"}},
     "InvalidParameterCombination"),
    ("describe_launch_template_versions", {}, "MissingParameter"),
    ("describe_launch_template_versions", {"Versions": ["1"]}, "InvalidParameterCombination"),
    ("describe_launch_template_versions", {"LaunchTemplateName": "web", "Versions": ["1"],
                                           "MinVersion": "1"}, "InvalidParameterCombination"),
    ("describe_launch_template_versions", {"LaunchTemplateName": "web", "Versions": ["2"]},
     "InvalidLaunchTemplateId.VersionNotFound"),
    ("describe_launch_template_versions", {"LaunchTemplateName": "web", "MaxResults": 201},
     "InvalidParameterValue"),
    ("modify_launch_template", {"LaunchTemplateId": ID, "DefaultVersion": "1"},
     "InvalidLaunchTemplateId.NotFound"),
    ("modify_launch_template", {"LaunchTemplateName": "web", "DefaultVersion": "2"},
     "InvalidLaunchTemplateId.VersionNotFound"),
    ("delete_launch_template", {"LaunchTemplateName": "absent"},
     "InvalidLaunchTemplateName.NotFoundException"),
    ("delete_launch_template", {"LaunchTemplateId": "nonsense"}, "InvalidLaunchTemplateId.Malformed"),
    ("delete_launch_template_versions", {"LaunchTemplateId": ID, "Versions": ["1"]},
     "InvalidLaunchTemplateId.NotFound"),
    ("get_launch_template_data", {"InstanceId": "i-0123456789abcdef0"},
     "InvalidInstanceID.NotFound"),
])
def test_refusals(cloud, action, parameters, code):
    make(cloud)
    with fails(code):
        getattr(cloud.ec2, action)(**parameters)


def test_another_account(cloud, image):
    id_ = make(cloud, data={"ImageId": image, "InstanceType": "t3.micro"})["LaunchTemplateId"]
    with fails("InvalidLaunchTemplateId.NotFound"):
        cloud.other.run_instances(LaunchTemplate={"LaunchTemplateId": id_}, MinCount=1, MaxCount=1)
    with fails("InvalidLaunchTemplateId.NotFound"):
        cloud.other.delete_launch_template(LaunchTemplateId=id_)
    with fails("InvalidLaunchTemplateId.NotFound"):
        cloud.other.create_tags(Resources=[id_], Tags=[{"Key": "a", "Value": "b"}])
    cloud.ec2.create_tags(Resources=[id_], Tags=[{"Key": "a", "Value": "b"}])


# ---- launches ----

def launch(cloud, name="web", version=None, **options):
    template = dict({"LaunchTemplateName": name}, **({"Version": version} if version else {}))
    return cloud.ec2.run_instances(LaunchTemplate=template, MinCount=1, MaxCount=1,
                                   **options)["Instances"][0]


def tags(instance):
    return {tag["Key"]: tag["Value"] for tag in instance["Tags"]}


def test_launch(cloud, image):
    id_ = make(cloud, data={
        "ImageId": image, "InstanceType": "t3.micro", "UserData": SCRIPT, "EbsOptimized": True,
        "MetadataOptions": {"HttpTokens": "required"},
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 9}},
                                {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 5}}],
        "TagSpecifications": [
            {"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "1"},
                                                  {"Key": "b", "Value": "1"}]},
            {"ResourceType": "spot-instances-request", "Tags": [{"Key": "s", "Value": "1"}]},
            {"ResourceType": "volume", "Tags": [{"Key": "v", "Value": "1"}]}]})["LaunchTemplateId"]
    plain = launch(cloud)
    assert plain["InstanceType"] == "t3.micro" and plain["ImageId"] == image
    assert plain["EbsOptimized"] and plain["MetadataOptions"]["HttpTokens"] == "required"
    assert tags(plain) == {"a": "1", "b": "1", "aws:ec2launchtemplate:id": id_,
                           "aws:ec2launchtemplate:version": "1"}
    sizes = {v["Attachments"][0]["Device"]: (v["Size"], v["Tags"])
             for v in cloud.ec2.describe_volumes()["Volumes"]}
    assert sizes == {"/dev/xvda": (9, [{"Key": "v", "Value": "1"}]),
                     "/dev/sdf": (5, [{"Key": "v", "Value": "1"}])}

    cloud.ec2.create_launch_template_version(LaunchTemplateId=id_, SourceVersion="1",
                                             LaunchTemplateData={"InstanceType": "t3.small"})
    assert launch(cloud, version="$Latest")["InstanceType"] == "t3.small"
    other = launch(cloud, version="2", InstanceType="t3.nano", EbsOptimized=False,
                   BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 7}}],
                   TagSpecifications=[{"ResourceType": "instance",
                                       "Tags": [{"Key": "b", "Value": "2"}]}])
    assert other["InstanceType"] == "t3.nano" and not other["EbsOptimized"]
    assert tags(other) == {"a": "1", "b": "2", "aws:ec2launchtemplate:id": id_,
                           "aws:ec2launchtemplate:version": "2"}
    found = cloud.ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id",
                                                 "Values": [other["InstanceId"]]}])["Volumes"]
    assert sorted(v["Size"] for v in found) == [7, 9]
    found = cloud.ec2.describe_instances(Filters=[{"Name": "tag:aws:ec2launchtemplate:version",
                                                   "Values": ["2"]}])["Reservations"]
    assert len(found) == 2
    with fails("InvalidParameterValue", "aws:"):
        cloud.ec2.delete_tags(Resources=[other["InstanceId"]],
                              Tags=[{"Key": "aws:ec2launchtemplate:id"}])


def test_token_stands_for_the_request(cloud, image):
    id_ = make(cloud, data={"ImageId": image, "InstanceType": "t3.micro"})["LaunchTemplateId"]
    first = launch(cloud, version="$Latest", ClientToken="t")
    cloud.ec2.create_launch_template_version(LaunchTemplateId=id_, SourceVersion="1",
                                             LaunchTemplateData={"InstanceType": "t3.small"})
    assert launch(cloud, version="$Latest", ClientToken="t")["InstanceId"] == first["InstanceId"]


def test_groups_replace(cloud, image):
    ec2 = cloud.ec2
    groups = [ec2.create_security_group(GroupName=n, Description="d")["GroupId"] for n in "xy"]
    make(cloud, data={"ImageId": image, "InstanceType": "t3.micro",
                      "SecurityGroupIds": [groups[0]]})
    assert [g["GroupId"] for g in launch(cloud)["SecurityGroups"]] == [groups[0]]
    other = launch(cloud, SecurityGroups=["y"])
    assert [g["GroupId"] for g in other["SecurityGroups"]] == [groups[1]]


@pytest.mark.parametrize("data, code, text", [
    ({"ImageId": "nonsense"}, "InvalidAMIID.Malformed", "nonsense"),
    ({"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound", ""),
    ({"KeyName": "absent"}, "InvalidKeyPair.NotFound", "absent"),
    ({"UserData": "!"}, "InvalidUserData.Malformed", ""),
    ({"InstanceType": "t3.gigantic"}, "InvalidParameterValue", "t3.gigantic"),
    ({"RamDiskId": "ari-1"}, "UnsupportedOperation", "RamdiskId"),
    ({"InstanceMarketOptions": {"MarketType": "spot"}}, "UnsupportedOperation", "InstanceMarket"),
    ({"ElasticGpuSpecifications": [{"Type": "x"}]}, "UnsupportedOperation", "ElasticGpu"),
    ({"NetworkInterfaces": [{"DeviceIndex": 0, "Ipv6AddressCount": 1}]}, "UnsupportedOperation",
     "Ipv6AddressCount"),
])
def test_checked_at_launch(cloud, image, data, code, text):
    make(cloud, data=dict({"ImageId": image, "InstanceType": "t3.micro"}, **data))
    with fails(code, text):
        launch(cloud)


def test_launch_refusals(cloud, image):
    make(cloud, data={"InstanceType": "t3.micro"})
    with fails("MissingParameter", "ImageId"):
        launch(cloud)
    with fails("InvalidLaunchTemplateId.VersionNotFound"):
        launch(cloud, version="5", ImageId=image)
    with fails("InvalidLaunchTemplateName.NotFoundException"):
        launch(cloud, "absent", ImageId=image)
    with fails("DryRunOperation"):
        launch(cloud, ImageId=image, DryRun=True)


def test_data_of_an_instance(cloud, launch):
    instance = launch(TagSpecifications=[{"ResourceType": "instance",
                                          "Tags": [{"Key": "a", "Value": "b"}]}],
                      UserData="#!/bin/sh\n", DisableApiStop=True)[0]
    data = cloud.ec2.get_launch_template_data(
        InstanceId=instance["InstanceId"])["LaunchTemplateData"]
    assert data["ImageId"] == instance["ImageId"] and data["UserData"] == SCRIPT
    assert data["DisableApiStop"] and not data["DisableApiTermination"]
    assert data["NetworkInterfaces"][0]["SubnetId"] == instance["SubnetId"]
    assert data["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 2
    # What it says makes another one.
    make(cloud, data=data)
    again = cloud.ec2.run_instances(LaunchTemplate={"LaunchTemplateName": "web"}, MinCount=1,
                                    MaxCount=1)["Instances"][0]
    assert tags(again)["a"] == "b" and again["SubnetId"] == instance["SubnetId"]
