# SPDX-License-Identifier: Apache-2.0
"""Internet gateways, route tables and routes."""
import pytest

from conftest import fails
from test_vpcs import generation, named, subnet, vpc  # noqa: F401 (fixtures)

TABLE = "rtb-00000000000000001"


@pytest.fixture
def gateway(cloud, vpc):
    made = cloud.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    cloud.ec2.attach_internet_gateway(InternetGatewayId=made, VpcId=vpc)
    return made


@pytest.fixture
def table(cloud, vpc):
    return cloud.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]


def routes(cloud, table):
    """Destination -> (target, state) of all but the local route."""
    shown = cloud.ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"]
    keys = ("GatewayId", "NatGatewayId", "NetworkInterfaceId")
    return {r["DestinationCidrBlock"]: ([r[k] for k in keys if k in r][0], r["State"])
            for r in shown if r.get("GatewayId") != "local"}


def main_of(cloud, vpc):
    return named(cloud.ec2.describe_route_tables, "RouteTables", vpc_id=vpc,
                 **{"association.main": "true"})[0]


def test_internet_gateways(cloud, vpc):
    ec2 = cloud.ec2
    made = ec2.create_internet_gateway(TagSpecifications=[
        {"ResourceType": "internet-gateway", "Tags": [{"Key": "a", "Value": "b"}]}])[
            "InternetGateway"]
    assert made["Attachments"] == [] and made["OwnerId"] == "000000000001"
    one = made["InternetGatewayId"]
    with fails("Gateway.NotAttached"):
        ec2.detach_internet_gateway(InternetGatewayId=one, VpcId=vpc)
    before = generation(cloud, vpc)
    ec2.attach_internet_gateway(InternetGatewayId=one, VpcId=vpc)
    assert generation(cloud, vpc) > before
    shown = named(ec2.describe_internet_gateways, "InternetGateways", **{"tag:a": "b"})
    assert shown == [dict(made, Attachments=[{"State": "available", "VpcId": vpc}])]
    with fails("Resource.AlreadyAssociated"):
        ec2.attach_internet_gateway(InternetGatewayId=one, VpcId=vpc)
    two = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    with fails("InvalidParameterValue", "already has"):
        ec2.attach_internet_gateway(InternetGatewayId=two, VpcId=vpc)
    with fails("DependencyViolation", vpc):
        ec2.delete_internet_gateway(InternetGatewayId=one)
    ec2.detach_internet_gateway(InternetGatewayId=one, VpcId=vpc)
    for gateway in (one, two):
        with fails("InvalidInternetGatewayID.NotFound"):
            cloud.other.delete_internet_gateway(InternetGatewayId=gateway)
        ec2.delete_internet_gateway(InternetGatewayId=gateway)
        with fails("InvalidInternetGatewayID.NotFound"):
            ec2.describe_internet_gateways(InternetGatewayIds=[gateway])
    with fails("InvalidInternetGatewayId.Malformed"):
        ec2.delete_internet_gateway(InternetGatewayId="igw")


def test_public_addresses_hold_the_gateway(cloud, vpc, subnet, gateway, launch):
    inside = subnet("10.0.1.0/24")
    cloud.ec2.modify_subnet_attribute(SubnetId=inside, MapPublicIpOnLaunch={"Value": True})
    one = launch(SubnetId=inside)[0]
    with fails("DependencyViolation", "mapped public address"):
        cloud.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    cloud.ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    cloud.settle()
    cloud.ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)


def test_tables(cloud, vpc, subnet):
    ec2 = cloud.ec2
    made = ec2.create_route_table(VpcId=vpc, TagSpecifications=[
        {"ResourceType": "route-table", "Tags": [{"Key": "a", "Value": "b"}]}])["RouteTable"]
    table = made["RouteTableId"]
    assert made["Associations"] == [] and made["Tags"] == [{"Key": "a", "Value": "b"}]
    assert [r["GatewayId"] for r in made["Routes"]] == ["local"]
    assert named(ec2.describe_route_tables, "RouteTables", **{"tag:a": "b"}) == [made]
    inside = subnet("10.0.1.0/24")
    association = ec2.associate_route_table(RouteTableId=table, SubnetId=inside)
    assert association["AssociationState"] == {"State": "associated"}
    association = association["AssociationId"]
    assert ec2.associate_route_table(RouteTableId=table, SubnetId=inside)[
        "AssociationId"] == association
    found = named(ec2.describe_route_tables, "RouteTables", **{"association.subnet-id": inside})
    assert found[0]["Associations"] == [
        {"Main": False, "RouteTableAssociationId": association, "RouteTableId": table,
         "SubnetId": inside, "AssociationState": {"State": "associated"}}]
    other = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    with fails("Resource.AlreadyAssociated"):
        ec2.associate_route_table(RouteTableId=other, SubnetId=inside)
    with fails("DependencyViolation", inside):
        ec2.delete_route_table(RouteTableId=table)
    moved = ec2.replace_route_table_association(AssociationId=association, RouteTableId=other)
    ec2.delete_route_table(RouteTableId=table)
    with fails("InvalidAssociationID.NotFound"):
        ec2.disassociate_route_table(AssociationId=association)
    with fails("InvalidAssociationID.NotFound"):
        cloud.other.disassociate_route_table(AssociationId=moved["NewAssociationId"])
    ec2.disassociate_route_table(AssociationId=moved["NewAssociationId"])
    ec2.delete_route_table(RouteTableId=other)
    with fails("InvalidRouteTableID.NotFound"):
        ec2.delete_route_table(RouteTableId=other)


def test_tokens(cloud, vpc):
    calls = [cloud.raw({"Action": "CreateRouteTable", "VpcId": vpc, "ClientToken": "t"})
             for _ in range(2)]
    ids = {call.split("<routeTableId>")[1].split("<")[0] for call in calls}
    assert len(ids) == 1
    assert len(named(cloud.ec2.describe_route_tables, "RouteTables", vpc_id=vpc)) == 2


def test_main_table(cloud, vpc, table):
    ec2, main = cloud.ec2, main_of(cloud, vpc)
    association = main["Associations"][0]["RouteTableAssociationId"]
    with fails("InvalidParameterValue", "main"):
        ec2.disassociate_route_table(AssociationId=association)
    with fails("DependencyViolation"):
        ec2.delete_route_table(RouteTableId=main["RouteTableId"])
    new = ec2.replace_route_table_association(AssociationId=association, RouteTableId=table)[
        "NewAssociationId"]
    now = main_of(cloud, vpc)
    assert now["RouteTableId"] == table
    assert now["Associations"][0]["RouteTableAssociationId"] == new != association
    ec2.delete_route_table(RouteTableId=main["RouteTableId"])
    ec2.delete_vpc(VpcId=vpc)


def test_of_another_network(cloud, vpc, table, subnet):
    ec2 = cloud.ec2
    elsewhere = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    foreign = ec2.create_subnet(VpcId=elsewhere, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=elsewhere)
    with fails("InvalidParameterValue", "different networks"):
        ec2.associate_route_table(RouteTableId=table, SubnetId=foreign)
    with fails("InvalidParameterValue", "different networks"):
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    main = main_of(cloud, elsewhere)["Associations"][0]["RouteTableAssociationId"]
    with fails("InvalidParameterValue", "different networks"):
        ec2.replace_route_table_association(AssociationId=main, RouteTableId=table)
    with fails("UnsupportedOperation"):
        ec2.associate_route_table(RouteTableId=table, GatewayId=gateway)


def test_routes(cloud, vpc, gateway, table):
    ec2, before = cloud.ec2, generation(cloud, vpc)
    assert ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0",
                            GatewayId=gateway)["Return"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="192.168.9.9/16", GatewayId=gateway)
    assert routes(cloud, table) == {"0.0.0.0/0": (gateway, "active"),
                                    "192.168.0.0/16": (gateway, "active")}
    assert generation(cloud, vpc) > before
    assert named(ec2.describe_route_tables, "RouteTables",
                 **{"route.gateway-id": gateway})[0]["RouteTableId"] == table
    with fails("RouteAlreadyExists"):
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    assert routes(cloud, table)["0.0.0.0/0"] == (gateway, "blackhole")
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    assert routes(cloud, table)["0.0.0.0/0"] == (gateway, "blackhole")
    ec2.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    with fails("InvalidRoute.NotFound"):
        ec2.delete_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0")
    with fails("InvalidParameterValue", "local"):
        ec2.delete_route(RouteTableId=table, DestinationCidrBlock="10.0.0.0/16")
    with fails("InvalidParameterValue", "CreateRoute"):
        ec2.replace_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)


def test_routes_that_lead_nowhere(cloud, vpc, gateway, table):
    ec2 = cloud.ec2
    for target, code in (({"GatewayId": "igw-00000000000000001"}, "InvalidGatewayID.NotFound"),
                         ({"NatGatewayId": "nat-00000000000000001"},
                          "InvalidNatGatewayID.NotFound"),
                         ({"NetworkInterfaceId": "eni-00000000000000001"},
                          "InvalidNetworkInterfaceID.NotFound"),
                         ({"InstanceId": "i-00000000000000001"}, "InvalidInstanceID.NotFound"),
                         ({"InstanceId": "x"}, "InvalidInstanceID.Malformed"),
                         ({"VpcPeeringConnectionId": "pcx-1"}, "UnsupportedOperation"),
                         ({"TransitGatewayId": "tgw-1"}, "UnsupportedOperation"),
                         ({}, "MissingParameter"),
                         ({"GatewayId": gateway, "InstanceId": "i-00000000000000001"},
                          "InvalidParameterCombination")):
        with fails(code):
            ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **target)
    for inside in ("10.0.0.0/16", "10.0.1.0/24"):
        with fails("InvalidParameterValue", "can target only an interface"):
            ec2.create_route(RouteTableId=table, DestinationCidrBlock=inside, GatewayId=gateway)
    with fails("InvalidParameterValue", "valid CIDR"):
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="x", GatewayId=gateway)
    with fails("UnsupportedOperation"):
        ec2.create_route(RouteTableId=table, DestinationIpv6CidrBlock="::/0", GatewayId=gateway)
    with fails("InvalidRouteTableID.NotFound"):
        ec2.create_route(RouteTableId=TABLE, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    with fails("InvalidRouteTableID.NotFound"):
        cloud.other.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0",
                                 GatewayId=gateway)
    assert routes(cloud, table) == {}


def test_routes_to_guests(cloud, vpc, subnet, table, launch):
    ec2, inside = cloud.ec2, subnet("10.0.1.0/24")
    one = launch(SubnetId=inside)[0]
    interface = one["NetworkInterfaces"][0]["NetworkInterfaceId"]
    cloud.settle()
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0",
                     InstanceId=one["InstanceId"])
    assert routes(cloud, table) == {"0.0.0.0/0": (interface, "active")}
    shown = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"][1]
    assert (shown["InstanceId"], shown["InstanceOwnerId"]) == (one["InstanceId"], "000000000001")
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.0.1.0/24",
                     NetworkInterfaceId=interface)
    with fails("InvalidParameterValue", "does not match a subnet"):
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.0.2.0/24",
                         NetworkInterfaceId=interface)
    ec2.replace_route(RouteTableId=table, DestinationCidrBlock="10.0.0.0/16",
                      NetworkInterfaceId=interface)
    local = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"][0]["Routes"][0]
    assert local["NetworkInterfaceId"] == interface and local["Origin"] == "CreateRouteTable"
    ec2.replace_route(RouteTableId=table, DestinationCidrBlock="10.0.0.0/16", LocalTarget=True)
    assert "10.0.0.0/16" not in routes(cloud, table)
    ec2.stop_instances(InstanceIds=[one["InstanceId"]])
    cloud.settle()
    assert routes(cloud, table)["0.0.0.0/0"] == (interface, "blackhole")
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    cloud.settle()
    assert routes(cloud, table)["0.0.0.0/0"] == (interface, "blackhole")


def test_pages(cloud, vpc):
    for _ in range(6):
        cloud.ec2.create_route_table(VpcId=vpc)
    every = [t["RouteTableId"] for page in cloud.ec2.get_paginator(
        "describe_route_tables").paginate(PaginationConfig={"PageSize": 5})
             for t in page["RouteTables"]]
    assert len(every) == len(set(every)) == 8
