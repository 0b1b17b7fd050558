# SPDX-License-Identifier: Apache-2.0
"""NAT gateways: what they hold, which host carries them, and how they end."""
import pytest

from conftest import fails
from test_interfaces import in_subnet
from test_quotas import check, limit  # noqa: F401


@pytest.fixture
def subnet(cloud):
    return sorted(cloud.ec2.describe_subnets()["Subnets"], key=lambda s: s["AvailabilityZone"])[0]


@pytest.fixture
def make(cloud, subnet):
    def go(public=True, **options):
        options.setdefault("SubnetId", subnet["SubnetId"])
        if public:
            options.setdefault("AllocationId", cloud.ec2.allocate_address()["AllocationId"])
        return cloud.ec2.create_nat_gateway(**options)["NatGateway"]
    return go


def shown(cloud, id_):
    return cloud.ec2.describe_nat_gateways(NatGatewayIds=[id_])["NatGateways"][0]


def wait(cloud, name, id_):
    cloud.ec2.get_waiter(name).wait(NatGatewayIds=[id_],
                                    WaiterConfig={"Delay": 0, "MaxAttempts": 1})


def host(cloud, id_):
    return cloud.sql("SELECT host_id FROM nat_gateway WHERE id = '%s'" % id_)[0][0]


def test_life(cloud, make, subnet):
    ec2 = cloud.ec2
    made = make(TagSpecifications=[{"ResourceType": "natgateway",
                                    "Tags": [{"Key": "a", "Value": "b"}]}])
    id_ = made["NatGatewayId"]
    assert id_.startswith("nat-") and made["State"] == "pending"
    assert made["Tags"] == [{"Key": "a", "Value": "b"}]
    assert (made["VpcId"], made["SubnetId"], made["ConnectivityType"]) == \
        (subnet["VpcId"], subnet["SubnetId"], "public")
    address = made["NatGatewayAddresses"][0]
    eip = ec2.describe_addresses(AllocationIds=[address["AllocationId"]])["Addresses"][0]
    assert (address["PublicIp"], address["PrivateIp"], address["NetworkInterfaceId"]) == \
        (eip["PublicIp"], eip["PrivateIpAddress"], eip["NetworkInterfaceId"])
    # Nobody but the cloud touches what it has made for itself.
    interface = ec2.describe_network_interfaces(
        Filters=[{"Name": "interface-type", "Values": ["nat_gateway"]}])["NetworkInterfaces"][0]
    assert interface["NetworkInterfaceId"] == address["NetworkInterfaceId"]
    assert (interface["Status"], interface["RequesterManaged"], interface["Description"],
            interface["Attachment"]["Status"]) == \
        ("in-use", True, "Interface for NAT Gateway " + id_, "attached")
    for code, call, options in (
            ("AuthFailure", ec2.delete_network_interface, {}),
            ("AuthFailure", ec2.modify_network_interface_attribute,
             {"Description": {"Value": "x"}}),
            ("AuthFailure", ec2.assign_private_ip_addresses,
             {"SecondaryPrivateIpAddressCount": 1})):
        with fails(code):
            call(NetworkInterfaceId=interface["NetworkInterfaceId"], **options)
    with fails("OperationNotPermitted"):
        ec2.detach_network_interface(AttachmentId=interface["Attachment"]["AttachmentId"])
    with fails("AuthFailure"):
        ec2.disassociate_address(AssociationId=eip["AssociationId"])
    with fails("InvalidIPAddress.InUse"):
        ec2.release_address(AllocationId=address["AllocationId"])
    assert shown(cloud, id_)["State"] == "pending"
    check(cloud)
    cloud.settle()
    wait(cloud, "nat_gateway_available", id_)
    ec2.create_tags(Resources=[id_], Tags=[{"Key": "c", "Value": "d"}])
    assert ec2.delete_nat_gateway(NatGatewayId=id_)["NatGatewayId"] == id_
    assert shown(cloud, id_)["State"] == "deleting"
    ec2.delete_nat_gateway(NatGatewayId=id_)
    cloud.settle()
    wait(cloud, "nat_gateway_deleted", id_)
    seen = shown(cloud, id_)
    assert seen["DeleteTime"] and seen["NatGatewayAddresses"][0]["PublicIp"] == eip["PublicIp"]
    ec2.delete_nat_gateway(NatGatewayId=id_)
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    assert "AssociationId" not in ec2.describe_addresses()["Addresses"][0]
    ec2.release_address(AllocationId=address["AllocationId"])
    check(cloud)
    cloud.sql("UPDATE nat_gateway SET since = now() - interval '61 minutes'")
    with fails("NatGatewayNotFound"):
        shown(cloud, id_)
    cloud.control("sweep")
    assert cloud.sql("SELECT 1 FROM nat_gateway") == [] == ec2.describe_tags()["Tags"]


def test_private(cloud, make, subnet):
    made = make(public=False, ConnectivityType="private", PrivateIpAddress=in_subnet(subnet, 33))
    assert made["State"] == "available" and made["ConnectivityType"] == "private"
    assert made["NatGatewayAddresses"][0]["PrivateIp"] == in_subnet(subnet, 33)
    assert "PublicIp" not in made["NatGatewayAddresses"][0]
    cloud.ec2.delete_nat_gateway(NatGatewayId=made["NatGatewayId"])
    cloud.control("sweep")
    wait(cloud, "nat_gateway_deleted", made["NatGatewayId"])


def test_client_token(cloud, make):
    eip = cloud.ec2.allocate_address()["AllocationId"]
    made = make(AllocationId=eip, ClientToken="t")
    assert make(AllocationId=eip, ClientToken="t")["NatGatewayId"] == made["NatGatewayId"]
    with fails("IdempotentParameterMismatch"):
        make(ClientToken="t")


def test_failures(cloud, make, subnet):
    ec2 = cloud.ec2
    eip = ec2.allocate_address()["AllocationId"]
    first = make(AllocationId=eip)
    second = make(AllocationId=eip)
    assert (second["State"], second["FailureCode"]) == ("failed", "Resource.AlreadyAssociated")
    assert shown(cloud, second["NatGatewayId"])["DeleteTime"]
    ec2.delete_nat_gateway(NatGatewayId=second["NatGatewayId"])  # there is nothing to do
    assert shown(cloud, second["NatGatewayId"])["State"] == "failed"
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    alone = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/28",
                              AvailabilityZone="us-east-1a")["Subnet"]["SubnetId"]
    third = make(SubnetId=alone)
    assert (third["State"], third["FailureCode"]) == ("failed", "Gateway.NotAttached")
    eni = ec2.create_network_interface(SubnetId=alone)["NetworkInterface"]["NetworkInterfaceId"]
    with fails("Gateway.NotAttached"):
        ec2.associate_address(AllocationId=ec2.allocate_address()["AllocationId"],
                              NetworkInterfaceId=eni)
    for _ in range(10):
        ec2.create_network_interface(SubnetId=alone)
    full = make(public=False, ConnectivityType="private", SubnetId=alone)
    assert (full["State"], full["FailureCode"]) == ("failed", "InsufficientFreeAddressesInSubnet")
    assert [g["NatGatewayId"] for g in ec2.describe_nat_gateways(Filters=[
        {"Name": "state", "Values": ["pending"]}])["NatGateways"]] == [first["NatGatewayId"]]
    check(cloud)


@pytest.mark.parametrize("options, code", [
    ({"SubnetId": "subnet-0123456789abcdef0"}, "InvalidSubnetID.NotFound"),
    ({"SubnetId": "x"}, "InvalidSubnetID.Malformed"),
    ({"AllocationId": "eipalloc-0123456789abcdef0"}, "InvalidAllocationID.NotFound"),
    ({"public": False}, "MissingParameter"),
    ({"ConnectivityType": "private"}, "InvalidParameterCombination"),
    ({"PrivateIpAddress": "10.1.2.3"}, "InvalidParameterValue"),
    ({"DryRun": True}, "DryRunOperation"),
])
def test_refusals(cloud, make, options, code):
    with fails(code):
        make(**options)
    assert cloud.ec2.describe_nat_gateways()["NatGateways"] == []
    check(cloud)


def test_limit(cloud, make, limit):  # noqa: F811
    limit(nat_gateways=1)
    made = make()
    with fails("NatGatewayLimitExceeded"):
        make()
    cloud.ec2.delete_nat_gateway(NatGatewayId=made["NatGatewayId"])
    cloud.settle()
    make()


def test_others_see_nothing(cloud, make):
    made = make()["NatGatewayId"]
    assert cloud.other.describe_nat_gateways()["NatGateways"] == []
    with fails("NatGatewayNotFound"):
        cloud.other.describe_nat_gateways(NatGatewayIds=[made])
    with fails("NatGatewayNotFound"):
        cloud.other.delete_nat_gateway(NatGatewayId=made)
    with fails("NatGatewayNotFound"):
        cloud.other.create_tags(Resources=[made], Tags=[{"Key": "a", "Value": "b"}])
    with fails("NatGatewayMalformed"):
        cloud.ec2.delete_nat_gateway(NatGatewayId="x")


def test_pages_and_filters(cloud, make, subnet):
    made = sorted(make(public=False, ConnectivityType="private")["NatGatewayId"]
                  for _ in range(7))
    pages = list(cloud.ec2.get_paginator("describe_nat_gateways").paginate(
        PaginationConfig={"PageSize": 5}))
    assert [g["NatGatewayId"] for p in pages for g in p["NatGateways"]] == made

    def count(name, value):
        return len(cloud.ec2.describe_nat_gateways(
            Filters=[{"Name": name, "Values": [value]}])["NatGateways"])
    assert count("subnet-id", subnet["SubnetId"]) == count("vpc-id", subnet["VpcId"]) == 7
    assert count("state", "deleted") == 0 and count("nat-gateway-id", made[0]) == 1


def test_hosts(cloud, make):
    """The one with the fewest carries it; another when that one is lost, or none."""
    cloud.host(name="host-2")
    ids = [make()["NatGatewayId"] for _ in range(2)]
    assert sorted(host(cloud, id_) for id_ in ids) == ["host-1", "host-2"]
    cloud.settle()
    lost = [id_ for id_ in ids if host(cloud, id_) == "host-1"][0]
    generation = cloud.sql("SELECT generation FROM vpc ORDER BY id")
    cloud.sql("UPDATE host SET seen = now() - interval '2 minutes' WHERE id = 'host-1'")
    cloud.control("sweep", "early")
    assert host(cloud, lost) == "host-1"
    cloud.control("sweep")
    assert host(cloud, lost) == "host-2" and shown(cloud, lost)["State"] == "available"
    assert cloud.sql("SELECT generation FROM vpc ORDER BY id") != generation
    cloud.sql("UPDATE host SET seen = now() - interval '2 minutes'")
    cloud.control("sweep")
    assert host(cloud, lost) == "host-2"  # nobody is better
    waiting = make()["NatGatewayId"]
    assert cloud.sql("SELECT 1 FROM nat_gateway WHERE id = '%s' AND host_id IS NULL" % waiting)
    cloud.ec2.delete_nat_gateway(NatGatewayId=lost)
    cloud.control("sweep")
    assert shown(cloud, lost)["State"] == "deleted"
    cloud.host(name="host-3")
    cloud.control("sweep", "early")
    assert host(cloud, waiting) == "host-3"
    cloud.sql("UPDATE nat_gateway SET since = now() - interval '11 minutes'"
              " WHERE state = 'pending'")
    cloud.control("sweep")
    seen = shown(cloud, waiting)
    assert (seen["State"], seen["FailureCode"]) == ("failed", "InternalError")
    check(cloud)


def test_an_older_plan_says_nothing(cloud, make):
    id_ = make()["NatGatewayId"]
    cloud.sql("UPDATE nat_gateway SET generation = generation + 1")
    cloud.settle()
    assert shown(cloud, id_)["State"] == "pending"
    cloud.sql("UPDATE vpc SET generation = generation + 1")
    cloud.settle()
    assert shown(cloud, id_)["State"] == "available"
