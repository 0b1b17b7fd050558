# SPDX-License-Identifier: Apache-2.0
"""VPCs, their blocks and attributes, and subnets."""
from concurrent.futures import ThreadPoolExecutor

import botocore.exceptions
import pytest

from conftest import fails

NOBODY = "vpc-00000000000000001"


def named(call, key, /, **filters):
    """What a Describe call finds by filters; "_" stands for "-"."""
    return call(Filters=[{"Name": k.replace("_", "-"), "Values": [v]}
                         for k, v in filters.items()])[key]


@pytest.fixture
def vpc(cloud):
    return cloud.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]


@pytest.fixture
def subnet(cloud, vpc):
    def make(cidr, **options):
        return cloud.ec2.create_subnet(VpcId=vpc, CidrBlock=cidr, **options)["Subnet"]["SubnetId"]
    return make


def generation(cloud, vpc):
    return int(cloud.sql("SELECT generation FROM vpc WHERE id = '%s'" % vpc)[0][0])


def test_what_a_vpc_gets(cloud):
    ec2 = cloud.ec2
    made = ec2.create_vpc(CidrBlock="10.1.2.3/16", TagSpecifications=[
        {"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": "first"}]}])["Vpc"]
    assert made["State"] == "pending" and made["CidrBlock"] == "10.1.0.0/16"
    assert made["Tags"] == [{"Key": "Name", "Value": "first"}] and not made["IsDefault"]
    vpc = made["VpcId"]
    shown = named(ec2.describe_vpcs, "Vpcs", **{"tag:Name": "first"})[0]
    assert shown == dict(made, State="available") and shown["OwnerId"] == "000000000001"
    assert shown["InstanceTenancy"] == "default" and shown["DhcpOptionsId"].startswith("dopt-")
    assert shown["CidrBlockAssociationSet"][0]["CidrBlock"] == "10.1.0.0/16"
    table = named(ec2.describe_route_tables, "RouteTables", vpc_id=vpc)
    assert len(table) == 1 and table[0]["Routes"] == [
        {"DestinationCidrBlock": "10.1.0.0/16", "GatewayId": "local",
         "Origin": "CreateRouteTable", "State": "active"}]
    assert [a["Main"] for a in table[0]["Associations"]] == [True]
    group = named(ec2.describe_security_groups, "SecurityGroups", vpc_id=vpc)
    assert [g["GroupName"] for g in group] == ["default"]
    ec2.create_vpc(CidrBlock="10.1.0.0/16")  # they may overlap
    ec2.delete_vpc(VpcId=vpc)
    for call, key in ((ec2.describe_vpcs, "Vpcs"), (ec2.describe_route_tables, "RouteTables"),
                      (ec2.describe_security_groups, "SecurityGroups")):
        assert named(call, key, vpc_id=vpc) == []
    assert cloud.sql("SELECT * FROM tag") == []


@pytest.mark.parametrize("cidr, code", [
    ("10.0.0.0/15", "InvalidVpc.Range"), ("10.0.0.0/29", "InvalidVpc.Range"),
    ("127.0.0.0/16", "InvalidVpc.Range"), ("169.254.0.0/24", "InvalidVpc.Range"),
    ("224.0.0.0/16", "InvalidVpc.Range"), ("10.0.0.0", "InvalidParameterValue"),
    ("10.0.0.0/33", "InvalidParameterValue"), ("x", "InvalidParameterValue"),
    ("::/64", "InvalidParameterValue")])
def test_blocks_that_are_none(cloud, cidr, code):
    with fails(code):
        cloud.ec2.create_vpc(CidrBlock=cidr)


def test_what_a_vpc_cannot_have(cloud):
    for options in ({"AmazonProvidedIpv6CidrBlock": True}, {"InstanceTenancy": "dedicated"},
                    {"Ipv4IpamPoolId": "ipam-pool-1"}):
        with fails("UnsupportedOperation"):
            cloud.ec2.create_vpc(CidrBlock="10.0.0.0/16", **options)
    with fails("MissingParameter"):
        cloud.ec2.create_vpc()
    with fails("InvalidParameterValue", "taggable"):
        cloud.ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=[
            {"ResourceType": "subnet", "Tags": [{"Key": "a", "Value": "b"}]}])
    with fails("DryRunOperation"):
        cloud.ec2.create_vpc(CidrBlock="10.0.0.0/16", DryRun=True)
    assert len(cloud.ec2.describe_vpcs()["Vpcs"]) == 1


def test_dependants(cloud, vpc, subnet):
    ec2 = cloud.ec2
    inside = subnet("10.0.1.0/24")
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    group = ec2.create_security_group(GroupName="g", Description="d", VpcId=vpc)["GroupId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    for what, undo in ((inside, lambda: ec2.delete_subnet(SubnetId=inside)),
                       (gateway, lambda: ec2.detach_internet_gateway(InternetGatewayId=gateway,
                                                                     VpcId=vpc)),
                       (group, lambda: ec2.delete_security_group(GroupId=group)),
                       (table, lambda: ec2.delete_route_table(RouteTableId=table))):
        with fails("DependencyViolation", what):
            ec2.delete_vpc(VpcId=vpc)
        undo()
    ec2.delete_vpc(VpcId=vpc)
    with fails("InvalidVpcID.NotFound"):
        ec2.delete_vpc(VpcId=vpc)


def test_attributes(cloud, vpc):
    ec2 = cloud.ec2

    def attribute(name):
        answer = ec2.describe_vpc_attribute(VpcId=vpc, Attribute=name)
        return answer[name[0].upper() + name[1:]]["Value"]

    assert (attribute("enableDnsSupport"), attribute("enableDnsHostnames")) == (True, False)
    before = generation(cloud, vpc)
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    assert attribute("enableDnsHostnames") and generation(cloud, vpc) > before
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": False})
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsSupport={"Value": False})
    assert not attribute("enableDnsSupport") and not attribute("enableDnsHostnames")
    with fails("InvalidParameterCombination"):
        ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    with fails("InvalidParameterCombination"):
        ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True},
                                 EnableDnsSupport={"Value": True})
    with fails("InvalidParameterCombination"):
        ec2.modify_vpc_attribute(VpcId=vpc)
    default = named(ec2.describe_vpcs, "Vpcs", is_default="true")[0]["VpcId"]
    assert ec2.describe_vpc_attribute(VpcId=default, Attribute="enableDnsHostnames")[
        "EnableDnsHostnames"]["Value"]
    assert ec2.modify_vpc_tenancy(VpcId=vpc, InstanceTenancy="default")["ReturnValue"]


def test_more_blocks(cloud, vpc, subnet):
    ec2 = cloud.ec2
    answer = ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="10.7.0.0/16")
    added = answer["CidrBlockAssociation"]
    assert answer["VpcId"] == vpc and added["CidrBlockState"] == {"State": "associating"}
    blocks = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["CidrBlockAssociationSet"]
    assert [b["CidrBlock"] for b in blocks] == ["10.0.0.0/16", "10.7.0.0/16"]
    assert named(ec2.describe_vpcs, "Vpcs",
                 **{"cidr-block-association.cidr-block": "10.7.*"})[0]["VpcId"] == vpc
    routes = named(ec2.describe_route_tables, "RouteTables", vpc_id=vpc)[0]["Routes"]
    assert [r["DestinationCidrBlock"] for r in routes] == ["10.0.0.0/16", "10.7.0.0/16"]
    inside = subnet("10.7.1.0/24")
    for overlapping in ("10.7.3.0/24", "10.0.0.0/16"):
        with fails("InvalidVpc.Range"):
            ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock=overlapping)
    with fails("InvalidCidrBlock.InUse", inside):
        ec2.disassociate_vpc_cidr_block(AssociationId=added["AssociationId"])
    with fails("InvalidVpcCidrBlockAssociationIdError.NotFound"):
        cloud.other.disassociate_vpc_cidr_block(AssociationId=added["AssociationId"])
    with fails("OperationNotPermitted"):
        ec2.disassociate_vpc_cidr_block(AssociationId=blocks[0]["AssociationId"])
    ec2.delete_subnet(SubnetId=inside)
    answer = ec2.disassociate_vpc_cidr_block(AssociationId=added["AssociationId"])
    assert answer["VpcId"] == vpc
    assert answer["CidrBlockAssociation"]["CidrBlockState"] == {"State": "disassociating"}
    assert len(ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["CidrBlockAssociationSet"]) == 1
    with fails("UnsupportedOperation"):
        ec2.associate_vpc_cidr_block(VpcId=vpc, AmazonProvidedIpv6CidrBlock=True)


def test_subnets(cloud, vpc):
    ec2 = cloud.ec2
    made = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.9/24", AvailabilityZone="us-east-1b",
                             TagSpecifications=[{"ResourceType": "subnet", "Tags": [
                                 {"Key": "Name", "Value": "s"}]}])["Subnet"]
    assert made["CidrBlock"] == "10.0.1.0/24" and made["AvailableIpAddressCount"] == 251
    assert made["AvailabilityZoneId"] == "use1-az2" and not made["MapPublicIpOnLaunch"]
    assert not made["DefaultForAz"] and made["State"] == "available"
    assert named(ec2.describe_subnets, "Subnets", **{"tag:Name": "s"}) == [made]
    by_id = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.2.0/28", AvailabilityZoneId="use1-az2")
    assert by_id["Subnet"]["AvailabilityZone"] == "us-east-1b"
    assert by_id["Subnet"]["AvailableIpAddressCount"] == 11
    anywhere = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.3.0/24")["Subnet"]
    assert anywhere["AvailabilityZone"] in ("us-east-1a", "us-east-1b")
    ec2.modify_subnet_attribute(SubnetId=made["SubnetId"], MapPublicIpOnLaunch={"Value": True})
    assert named(ec2.describe_subnets, "Subnets", vpc_id=vpc,
                 map_public_ip_on_launch="true")[0]["SubnetId"] == made["SubnetId"]
    ec2.modify_subnet_attribute(SubnetId=made["SubnetId"], MapPublicIpOnLaunch={"Value": False})
    assert not ec2.describe_subnets(SubnetIds=[made["SubnetId"]])["Subnets"][0][
        "MapPublicIpOnLaunch"]


@pytest.mark.parametrize("cidr, code", [
    ("10.1.0.0/24", "InvalidSubnet.Range"), ("10.0.0.0/15", "InvalidSubnet.Range"),
    ("10.0.0.0/29", "InvalidSubnet.Range"), ("10.0.1.128/25", "InvalidSubnet.Conflict"),
    ("10.0.0.0/16", "InvalidSubnet.Conflict"), ("10.0.0.0/33", "InvalidParameterValue")])
def test_subnets_that_do_not_fit(cloud, vpc, subnet, cidr, code):
    subnet("10.0.1.0/24")
    with fails(code):
        subnet(cidr)


def test_what_a_subnet_cannot_have(cloud, vpc, subnet):
    ec2 = cloud.ec2
    with fails("InvalidParameterValue", "us-east-1a, us-east-1b"):
        subnet("10.0.1.0/24", AvailabilityZone="us-east-1z")
    with fails("InvalidParameterCombination"):
        subnet("10.0.1.0/24", AvailabilityZone="us-east-1a", AvailabilityZoneId="use1-az1")
    with fails("InvalidVpcID.NotFound"):
        ec2.create_subnet(VpcId=NOBODY, CidrBlock="10.0.1.0/24")
    with fails("InvalidVpcID.NotFound"):
        cloud.other.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")
    with fails("MissingParameter"):
        ec2.create_subnet(VpcId=vpc)
    with fails("UnsupportedOperation"):
        subnet("10.0.1.0/24", Ipv6CidrBlock="::/64")
    inside = subnet("10.0.1.0/24")
    for options in ({"AssignIpv6AddressOnCreation": {"Value": True}},
                    {"EnableDns64": {"Value": True}},
                    {"PrivateDnsHostnameTypeOnLaunch": "resource-name"}):
        with fails("UnsupportedOperation"):
            ec2.modify_subnet_attribute(SubnetId=inside, **options)
    ec2.modify_subnet_attribute(SubnetId=inside, AssignIpv6AddressOnCreation={"Value": False})
    for options in ({}, {"MapPublicIpOnLaunch": {"Value": True}, "EnableDns64": {"Value": False}}):
        with fails("InvalidParameterCombination"):
            ec2.modify_subnet_attribute(SubnetId=inside, **options)
    for call in (cloud.other.delete_subnet,
                 lambda SubnetId: cloud.other.modify_subnet_attribute(
                     SubnetId=SubnetId, MapPublicIpOnLaunch={"Value": True})):
        with fails("InvalidSubnetID.NotFound"):
            call(SubnetId=inside)


def test_launch_into_a_subnet(cloud, vpc, subnet, launch):
    ec2, inside = cloud.ec2, subnet("10.0.1.0/24")
    one = launch(SubnetId=inside)[0]
    assert one["VpcId"] == vpc and one["PrivateIpAddress"].startswith("10.0.1.")
    assert "PublicIpAddress" not in one
    with fails("InvalidParameterValue", one["Placement"]["AvailabilityZone"]):
        launch(SubnetId=inside, Placement={"AvailabilityZone": "us-east-1b" if one["Placement"][
            "AvailabilityZone"] == "us-east-1a" else "us-east-1a"})
    assert ec2.describe_subnets(SubnetIds=[inside])["Subnets"][0]["AvailableIpAddressCount"] == 250
    with fails("DependencyViolation", one["NetworkInterfaces"][0]["NetworkInterfaceId"]):
        ec2.delete_subnet(SubnetId=inside)
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    cloud.settle()
    ec2.delete_subnet(SubnetId=inside)
    with fails("InvalidSubnetID.NotFound"):
        ec2.delete_subnet(SubnetId=inside)
    ec2.delete_vpc(VpcId=vpc)
    assert ec2.describe_instances()["Reservations"]  # the terminated one


def test_names_follow_the_vpc(cloud, vpc, subnet, launch):
    ec2, inside = cloud.ec2, subnet("10.0.1.0/24")
    ec2.modify_subnet_attribute(SubnetId=inside, MapPublicIpOnLaunch={"Value": True})
    one = launch(SubnetId=inside)[0]

    def seen():
        instance = ec2.describe_instances(InstanceIds=[one["InstanceId"]])["Reservations"][0][
            "Instances"][0]
        assert instance["PublicIpAddress"].startswith("198.18.")
        return instance

    assert seen()["PublicDnsName"] == ""
    ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
    instance = seen()
    name = "ec2-%s.compute-1.amazonaws.com" % instance["PublicIpAddress"].replace(".", "-")
    assert instance["PublicDnsName"] == name
    assert instance["NetworkInterfaces"][0]["Association"]["PublicDnsName"] == name
    assert instance["PrivateDnsName"].endswith(".ec2.internal")
    assert ec2.describe_network_interfaces()["NetworkInterfaces"][0]["Association"][
        "PublicDnsName"] == name


def test_default_vpc(cloud):
    ec2 = cloud.ec2
    default = named(ec2.describe_vpcs, "Vpcs", is_default="true")[0]["VpcId"]
    gateway = named(ec2.describe_internet_gateways, "InternetGateways",
                    **{"attachment.vpc-id": default})[0]["InternetGatewayId"]
    routes = named(ec2.describe_route_tables, "RouteTables", vpc_id=default)[0]["Routes"]
    assert [(r["DestinationCidrBlock"], r["GatewayId"], r["State"]) for r in routes] == [
        ("172.31.0.0/16", "local", "active"), ("0.0.0.0/0", gateway, "active")]
    with fails("DefaultVpcAlreadyExists"):
        ec2.create_default_vpc()
    with fails("DefaultSubnetAlreadyExistsInAvailabilityZone"):
        ec2.create_default_subnet(AvailabilityZone="us-east-1a")
    gone = named(ec2.describe_subnets, "Subnets", availability_zone="us-east-1a")[0]
    ec2.delete_subnet(SubnetId=gone["SubnetId"])
    cloud.control("accounts")  # what virgad does when it starts
    assert len(ec2.describe_subnets()["Subnets"]) == 1
    again = ec2.create_default_subnet(AvailabilityZone="us-east-1a")["Subnet"]
    assert again["CidrBlock"] == gone["CidrBlock"] and again["DefaultForAz"]
    assert again["MapPublicIpOnLaunch"]
    for subnet in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=default)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    ec2.delete_vpc(VpcId=default)
    cloud.control("accounts")
    assert ec2.describe_vpcs()["Vpcs"] == []
    with fails("DefaultVpcDoesNotExist"):
        ec2.create_default_subnet(AvailabilityZone="us-east-1a")
    made = ec2.create_default_vpc()["Vpc"]
    assert made["IsDefault"] and made["CidrBlock"] == "172.31.0.0/16"
    assert len(ec2.describe_subnets()["Subnets"]) == 2
    assert len(named(ec2.describe_internet_gateways, "InternetGateways",
                     **{"attachment.vpc-id": made["VpcId"]})) == 1


def test_other_account(cloud, vpc):
    other = cloud.other
    for call in (other.delete_vpc,
                 lambda VpcId: other.modify_vpc_attribute(VpcId=VpcId,
                                                          EnableDnsSupport={"Value": True}),
                 lambda VpcId: other.describe_vpc_attribute(VpcId=VpcId,
                                                            Attribute="enableDnsSupport"),
                 lambda VpcId: other.associate_vpc_cidr_block(VpcId=VpcId,
                                                              CidrBlock="10.9.0.0/16"),
                 lambda VpcId: other.create_route_table(VpcId=VpcId),
                 lambda VpcId: other.modify_vpc_tenancy(VpcId=VpcId, InstanceTenancy="default")):
        with fails("InvalidVpcID.NotFound"):
            call(VpcId=vpc)
    with fails("InvalidVpcID.Malformed"):
        other.delete_vpc(VpcId="x")


def attempt(call, *codes):
    """True if the call succeeded; it may fail with one of the codes."""
    try:
        call()
        return True
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] in codes, error
        return False


def test_races(cloud, vpc, launch):
    """Of two that cannot both be, one is; nothing is counted twice or left behind."""
    ec2 = cloud.ec2
    with ThreadPoolExecutor(8) as pool:
        for turn in range(6):
            made = list(pool.map(lambda n: attempt(
                lambda: ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.%d.0/2%d" % (turn, n)),
                "InvalidSubnet.Conflict"), (4, 5, 6, 7, 4, 5)))
            assert made.count(True) == 1
        subnets = [s["SubnetId"] for s in named(ec2.describe_subnets, "Subnets", vpc_id=vpc)]
        for inside in subnets:
            done = list(pool.map(lambda call: call(), (
                lambda: attempt(lambda: launch(SubnetId=inside), "InvalidSubnetID.NotFound"),
                lambda: attempt(lambda: ec2.delete_subnet(SubnetId=inside),
                                "DependencyViolation"))))
            assert done.count(True) == 1
        there = [s["SubnetId"] for s in named(ec2.describe_subnets, "Subnets", vpc_id=vpc)]
        used = {i["SubnetId"] for r in ec2.describe_instances()["Reservations"]
                for i in r["Instances"]}
        assert set(there) == used
        cloud.sql("INSERT INTO quota_limit VALUES ('000000000001', 'vpcs', 4)")
        made = list(pool.map(lambda _: attempt(
            lambda: ec2.create_vpc(CidrBlock="10.0.0.0/16"), "VpcLimitExceeded"), range(8)))
    assert made.count(True) == 2 and len(ec2.describe_vpcs()["Vpcs"]) == 4


def test_without_a_default_vpc(cloud, launch):
    ec2 = cloud.ec2
    subnets = [s["SubnetId"] for s in ec2.describe_subnets()["Subnets"]]
    ec2.delete_subnet(SubnetId=named(ec2.describe_subnets, "Subnets",
                                     availability_zone="us-east-1b")[0]["SubnetId"])
    with fails("MissingInput", "us-east-1b"):
        launch(Placement={"AvailabilityZone": "us-east-1b"})
    for subnet in subnets:
        attempt(lambda: ec2.delete_subnet(SubnetId=subnet), "InvalidSubnetID.NotFound")
    with fails("MissingInput"):
        launch()
    gateway = ec2.describe_internet_gateways()["InternetGateways"][0]
    default = gateway["Attachments"][0]["VpcId"]
    ec2.detach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=default)
    ec2.delete_vpc(VpcId=default)
    for call in (lambda: ec2.create_security_group(GroupName="g", Description="d"),
                 lambda: ec2.describe_security_groups(GroupNames=["default"]),
                 lambda: ec2.delete_security_group(GroupName="g")):
        with fails("VPCIdNotSpecified"):
            call()
    attributes = {a["AttributeName"]: a["AttributeValues"][0]["AttributeValue"]
                  for a in ec2.describe_account_attributes()["AccountAttributes"]}
    assert attributes["default-vpc"] == "none"


def test_pages(cloud):
    for n in range(6):
        vpc = cloud.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        cloud.ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.%d.0/24" % n)
    for action, key, name, count in (("describe_vpcs", "Vpcs", "VpcId", 7),
                                     ("describe_subnets", "Subnets", "SubnetId", 8),
                                     ("describe_network_acls", "NetworkAcls", "NetworkAclId", 7)):
        seen = [item[name] for page in cloud.ec2.get_paginator(action).paginate(
            PaginationConfig={"PageSize": 5}) for item in page[key]]
        assert len(seen) == len(set(seen)) == count
