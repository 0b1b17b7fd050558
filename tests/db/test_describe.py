# SPDX-License-Identifier: Apache-2.0
"""What is only described."""
from conftest import fails


def filtered(call, key, **filters):
    return call(Filters=[{"Name": k.replace("_", "-"), "Values": v}
                         for k, v in filters.items()])[key]


def test_vpcs_and_subnets(cloud):
    ec2 = cloud.ec2
    vpc = ec2.describe_vpcs()["Vpcs"]
    assert len(vpc) == 1 and vpc[0]["CidrBlock"] == "172.31.0.0/16" and vpc[0]["IsDefault"]
    assert vpc[0]["CidrBlockAssociationSet"][0]["CidrBlockState"] == {"State": "associated"}
    vpc_id = vpc[0]["VpcId"]
    assert filtered(ec2.describe_vpcs, "Vpcs", is_default=["true"]) == vpc
    assert filtered(ec2.describe_vpcs, "Vpcs", cidr=["10.*"]) == []
    subnets = ec2.describe_subnets()["Subnets"]
    assert sorted(s["AvailabilityZone"] for s in subnets) == ["us-east-1a", "us-east-1b"]
    assert all(s["VpcId"] == vpc_id and s["MapPublicIpOnLaunch"] and s["DefaultForAz"]
               and s["AvailableIpAddressCount"] == 4091 for s in subnets)
    assert sorted(s["AvailabilityZoneId"] for s in subnets) == ["use1-az1", "use1-az2"]
    assert len(filtered(ec2.describe_subnets, "Subnets", availability_zone=["us-east-1b"])) == 1
    assert filtered(ec2.describe_subnets, "Subnets", vpc_id=["vpc-x"]) == []
    with fails("InvalidVpcID.NotFound"):
        cloud.other.describe_vpcs(VpcIds=[vpc_id])
    with fails("InvalidSubnetID.NotFound"):
        ec2.describe_subnets(SubnetIds=["subnet-00000000000000001"])
    with fails("InvalidSubnetID.Malformed"):
        ec2.describe_subnets(SubnetIds=["x"])
    assert ec2.describe_subnets(SubnetIds=[subnets[0]["SubnetId"]])["Subnets"] == [subnets[0]]


def test_zones_regions_account(cloud):
    ec2 = cloud.ec2
    zones = ec2.describe_availability_zones()["AvailabilityZones"]
    assert [z["ZoneName"] for z in zones] == ["us-east-1a", "us-east-1b"]
    assert {z["State"] for z in zones} == {"available"}
    assert [z["ZoneName"] for z in ec2.describe_availability_zones(ZoneIds=["use1-az2"])[
        "AvailabilityZones"]] == ["us-east-1b"]
    with fails("InvalidParameterValue", "us-east-1z"):
        ec2.describe_availability_zones(ZoneNames=["us-east-1z"])
    assert len(filtered(ec2.describe_availability_zones, "AvailabilityZones",
                        zone_name=["*b"])) == 1
    assert ec2.describe_regions()["Regions"][0]["RegionName"] == "us-east-1"
    attributes = {a["AttributeName"]: a["AttributeValues"][0]["AttributeValue"]
                  for a in ec2.describe_account_attributes()["AccountAttributes"]}
    assert attributes["supported-platforms"] == "VPC"
    assert attributes["default-vpc"] == ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    assert len(ec2.describe_account_attributes(AttributeNames=["default-vpc"])[
        "AccountAttributes"]) == 1


def test_types(cloud):
    ec2 = cloud.ec2
    micro = ec2.describe_instance_types(InstanceTypes=["t3.micro"])["InstanceTypes"][0]
    assert micro["MemoryInfo"] == {"SizeInMiB": 1024} and micro["VCpuInfo"]["DefaultVCpus"] == 2
    assert micro["ProcessorInfo"]["SupportedArchitectures"] == ["x86_64"]
    with fails("InvalidInstanceType", "t3.big"):
        ec2.describe_instance_types(InstanceTypes=["t3.big"])
    every = {t["InstanceType"] for p in ec2.get_paginator("describe_instance_types").paginate(
        PaginationConfig={"PageSize": 40}) for t in p["InstanceTypes"]}
    assert every == {t["InstanceType"] for t in ec2.describe_instance_types()["InstanceTypes"]}
    assert {"t3.micro", "m5.large", "2c4g"} <= every and len(every) > 100
    assert {t["InstanceType"] for t in filtered(
        ec2.describe_instance_types, "InstanceTypes", instance_type=["t3.*"],
        **{"memory-info.size-in-mib": ["512", "1024"]})} == {"t3.nano", "t3.micro"}
    offerings = ec2.describe_instance_type_offerings()["InstanceTypeOfferings"]
    assert {o["Location"] for o in offerings} == {"us-east-1"} and len(offerings) == len(every)
    by_zone = [o for p in ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone", Filters=[{"Name": "instance-type",
                                                    "Values": ["m5.*"]}],
        PaginationConfig={"PageSize": 5}) for o in p["InstanceTypeOfferings"]]
    assert len(by_zone) == len({(o["InstanceType"], o["Location"]) for o in by_zone}) == 16


def test_volumes(cloud, launch):
    ec2, one = cloud.ec2, launch()[0]
    volume = ec2.describe_volumes()["Volumes"][0]
    assert volume["State"] == "in-use" and volume["Attachments"][0]["State"] == "attaching"
    cloud.settle()
    volume = ec2.describe_volumes()["Volumes"][0]
    assert volume["Attachments"][0]["State"] == "attached" and volume["VolumeType"] == "gp2"
    assert volume["Attachments"][0]["InstanceId"] == one["InstanceId"] and volume["Iops"] == 100
    launch()
    assert len(ec2.describe_volumes()["Volumes"]) == 2
    assert len(filtered(ec2.describe_volumes, "Volumes",
                        **{"attachment.instance-id": [one["InstanceId"]]})) == 1
    assert len(filtered(ec2.describe_volumes, "Volumes", size=["2"])) == 2
    with fails("InvalidVolume.NotFound"):
        cloud.other.describe_volumes(VolumeIds=[volume["VolumeId"]])
    with fails("InvalidParameterValue"):
        ec2.describe_volumes(VolumeIds=["x"])


def test_interfaces(cloud, launch):
    ec2 = cloud.ec2
    one = launch(NetworkInterfaces=[{"DeviceIndex": 0, "DeleteOnTermination": False}])[0]
    interface = ec2.describe_network_interfaces()["NetworkInterfaces"][0]
    assert interface["Status"] == "in-use"
    assert interface["Attachment"]["InstanceId"] == one["InstanceId"]
    assert interface["Association"]["PublicIp"] == one["PublicIpAddress"]
    assert interface["AvailabilityZone"] == "us-east-1a"
    assert len(filtered(ec2.describe_network_interfaces, "NetworkInterfaces",
                        **{"attachment.instance-id": [one["InstanceId"]],
                           "private-ip-address": [one["PrivateIpAddress"]]})) == 1
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    cloud.settle()
    left = ec2.describe_network_interfaces(
        NetworkInterfaceIds=[interface["NetworkInterfaceId"]])["NetworkInterfaces"][0]
    assert left["Status"] == "available" and "Attachment" not in left
    with fails("InvalidNetworkInterfaceID.NotFound"):
        ec2.describe_network_interfaces(NetworkInterfaceIds=["eni-00000000000000001"])
