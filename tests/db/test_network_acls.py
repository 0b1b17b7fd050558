# SPDX-License-Identifier: Apache-2.0
"""Network ACLs and sets of DHCP options."""
import pytest

from conftest import fails
from test_vpcs import generation, named, subnet, vpc  # noqa: F401 (fixtures)

ANY = {"CidrBlock": "0.0.0.0/0", "Protocol": "-1"}


@pytest.fixture
def acl(cloud, vpc):
    return cloud.ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]


def entries(cloud, acl, egress=False):
    shown = cloud.ec2.describe_network_acls(NetworkAclIds=[acl])["NetworkAcls"][0]["Entries"]
    return [e for e in shown if e["Egress"] == egress]


def default_of(cloud, vpc):
    return named(cloud.ec2.describe_network_acls, "NetworkAcls", vpc_id=vpc, default="true")[0]


def test_default(cloud, vpc, subnet):
    inside = subnet("10.0.1.0/24")
    shown = default_of(cloud, vpc)
    assert shown["IsDefault"] and shown["VpcId"] == vpc and shown["OwnerId"] == "000000000001"
    assert [a["SubnetId"] for a in shown["Associations"]] == [inside]
    assert [(e["RuleNumber"], e["RuleAction"], e["Egress"], e["Protocol"], e["CidrBlock"])
            for e in shown["Entries"]] == [
                (100, "allow", True, "-1", "0.0.0.0/0"), (32767, "deny", True, "-1", "0.0.0.0/0"),
                (100, "allow", False, "-1", "0.0.0.0/0"), (32767, "deny", False, "-1", "0.0.0.0/0")]
    with fails("InvalidParameterValue", "default"):
        cloud.ec2.delete_network_acl(NetworkAclId=shown["NetworkAclId"])
    cloud.ec2.delete_subnet(SubnetId=inside)
    assert default_of(cloud, vpc)["Associations"] == []


def test_life(cloud, vpc, subnet):
    ec2 = cloud.ec2
    made = ec2.create_network_acl(VpcId=vpc, TagSpecifications=[
        {"ResourceType": "network-acl", "Tags": [{"Key": "a", "Value": "b"}]}])["NetworkAcl"]
    acl = made["NetworkAclId"]
    assert [e["RuleNumber"] for e in made["Entries"]] == [32767, 32767] and not made["IsDefault"]
    assert named(ec2.describe_network_acls, "NetworkAcls", **{"tag:a": "b"}) == [made]
    inside, before = subnet("10.0.1.0/24"), generation(cloud, vpc)
    association = default_of(cloud, vpc)["Associations"][0]["NetworkAclAssociationId"]
    new = ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=acl)[
        "NewAssociationId"]
    assert new != association and generation(cloud, vpc) > before
    assert named(ec2.describe_network_acls, "NetworkAcls", **{"association.subnet-id": inside})[0][
        "Associations"] == [{"NetworkAclAssociationId": new, "NetworkAclId": acl,
                             "SubnetId": inside}]
    assert default_of(cloud, vpc)["Associations"] == []
    with fails("DependencyViolation", inside):
        ec2.delete_network_acl(NetworkAclId=acl)
    with fails("DependencyViolation", acl):
        ec2.delete_subnet(SubnetId=inside)
        ec2.delete_vpc(VpcId=vpc)
    with fails("InvalidAssociationID.NotFound"):
        ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=acl)
    ec2.delete_network_acl(NetworkAclId=acl)
    with fails("InvalidNetworkAclID.NotFound"):
        ec2.describe_network_acls(NetworkAclIds=[acl])


def test_entries(cloud, vpc, acl):
    ec2, before = cloud.ec2, generation(cloud, vpc)
    ec2.create_network_acl_entry(NetworkAclId=acl, RuleNumber=20, Egress=False, RuleAction="allow",
                                 Protocol="6", CidrBlock="10.9.8.7/8",
                                 PortRange={"From": 22, "To": 80})
    ec2.create_network_acl_entry(NetworkAclId=acl, RuleNumber=10, Egress=False, RuleAction="deny",
                                 Protocol="icmp", CidrBlock="10.0.0.0/8",
                                 IcmpTypeCode={"Type": 8, "Code": -1})
    ec2.create_network_acl_entry(NetworkAclId=acl, RuleNumber=10, Egress=True, RuleAction="allow",
                                 **ANY)
    assert generation(cloud, vpc) > before
    assert entries(cloud, acl)[:-1] == [
        {"CidrBlock": "10.0.0.0/8", "Egress": False, "IcmpTypeCode": {"Code": -1, "Type": 8},
         "Protocol": "1", "RuleAction": "deny", "RuleNumber": 10},
        {"CidrBlock": "10.0.0.0/8", "Egress": False, "PortRange": {"From": 22, "To": 80},
         "Protocol": "6", "RuleAction": "allow", "RuleNumber": 20}]
    assert len(entries(cloud, acl, True)) == 2
    for found, filters in ((1, {"entry.icmp.type": "8"}), (0, {"entry.icmp.type": "9"}),
                           (1, {"entry.port-range.from": "22"}), (2, {"entry.protocol": "-1"}),
                           (1, {"entry.rule-number": "20", "entry.rule-action": "allow"})):
        assert len(named(ec2.describe_network_acls, "NetworkAcls", vpc_id=vpc, **filters)) == found
    ec2.replace_network_acl_entry(NetworkAclId=acl, RuleNumber=20, Egress=False, Protocol="-1",
                                  RuleAction="deny", CidrBlock="0.0.0.0/0")
    assert entries(cloud, acl)[1] == {"CidrBlock": "0.0.0.0/0", "Egress": False, "Protocol": "-1",
                                      "RuleAction": "deny", "RuleNumber": 20}
    with fails("NetworkAclEntryAlreadyExists"):
        ec2.create_network_acl_entry(NetworkAclId=acl, RuleNumber=20, Egress=False,
                                     RuleAction="deny", **ANY)
    ec2.delete_network_acl_entry(NetworkAclId=acl, RuleNumber=20, Egress=False)
    with fails("InvalidNetworkAclEntry.NotFound"):
        ec2.delete_network_acl_entry(NetworkAclId=acl, RuleNumber=20, Egress=False)
    with fails("InvalidNetworkAclEntry.NotFound"):
        ec2.replace_network_acl_entry(NetworkAclId=acl, RuleNumber=20, Egress=False,
                                      RuleAction="deny", **ANY)


@pytest.mark.parametrize("entry, code", [
    (dict(ANY, RuleNumber=0), "InvalidParameterValue"),
    (dict(ANY, RuleNumber=32767), "InvalidParameterValue"),
    (dict(ANY, Protocol="256"), "InvalidParameterValue"),
    (dict(ANY, Protocol="nonsense"), "InvalidParameterValue"),
    (dict(ANY, CidrBlock="nonsense"), "InvalidParameterValue"),
    (dict(ANY, Protocol="6"), "MissingParameter"),
    (dict(ANY, Protocol="1"), "MissingParameter"),
    (dict(ANY, Protocol="6", PortRange={"From": 2, "To": 1}), "InvalidParameterValue"),
    (dict(ANY, Protocol="17", PortRange={"From": 0, "To": 65536}), "InvalidParameterValue"),
    (dict(ANY, Protocol="1", IcmpTypeCode={"Type": 256, "Code": -1}), "InvalidParameterValue"),
    ({"Protocol": "-1"}, "MissingParameter"),
    ({"Protocol": "-1", "Ipv6CidrBlock": "::/0"}, "UnsupportedOperation")])
def test_entries_that_are_none(cloud, acl, entry, code):
    with fails(code):
        cloud.ec2.create_network_acl_entry(**dict({"NetworkAclId": acl, "RuleNumber": 1,
                                                   "Egress": False, "RuleAction": "deny"}, **entry))
    assert len(entries(cloud, acl)) == 1


def test_acls_of_others(cloud, vpc, acl, subnet):
    ec2, other = cloud.ec2, cloud.other
    for call in (lambda: other.delete_network_acl(NetworkAclId=acl),
                 lambda: other.delete_network_acl_entry(NetworkAclId=acl, RuleNumber=1,
                                                        Egress=True),
                 lambda: other.create_network_acl_entry(NetworkAclId=acl, RuleNumber=1, Egress=True,
                                                        RuleAction="deny", **ANY),
                 lambda: other.describe_network_acls(NetworkAclIds=[acl])):
        with fails("InvalidNetworkAclID.NotFound"):
            call()
    with fails("InvalidVpcID.NotFound"):
        other.create_network_acl(VpcId=vpc)
    with fails("InvalidNetworkAclId.Malformed"):
        ec2.delete_network_acl(NetworkAclId="acl")
    elsewhere = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.create_subnet(VpcId=elsewhere, CidrBlock="10.0.0.0/24")
    association = default_of(cloud, elsewhere)["Associations"][0]["NetworkAclAssociationId"]
    with fails("InvalidParameterValue", "different networks"):
        ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=acl)


def options_of(cloud, options):
    shown = cloud.ec2.describe_dhcp_options(DhcpOptionsIds=[options])["DhcpOptions"][0]
    return {c["Key"]: [v["Value"] for v in c["Values"]] for c in shown["DhcpConfigurations"]}


def test_dhcp_options(cloud, vpc):
    ec2 = cloud.ec2
    default = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["DhcpOptionsId"]
    assert options_of(cloud, default) == {"domain-name": ["ec2.internal"],
                                          "domain-name-servers": ["AmazonProvidedDNS"]}
    made = ec2.create_dhcp_options(DhcpConfigurations=[
        {"Key": "domain-name", "Values": ["corp.example.org example.org"]},
        {"Key": "domain-name-servers", "Values": ["10.0.0.53", "AmazonProvidedDNS"]},
        {"Key": "ntp-servers", "Values": ["10.0.0.1,10.0.0.2"]},
        {"Key": "netbios-name-servers", "Values": ["10.0.0.3"]},
        {"Key": "netbios-node-type", "Values": ["2"]}], TagSpecifications=[
            {"ResourceType": "dhcp-options", "Tags": [{"Key": "a", "Value": "b"}]}])["DhcpOptions"]
    options = made["DhcpOptionsId"]
    assert options_of(cloud, options) == {
        "domain-name": ["corp.example.org example.org"],
        "domain-name-servers": ["10.0.0.53", "AmazonProvidedDNS"],
        "ntp-servers": ["10.0.0.1", "10.0.0.2"], "netbios-name-servers": ["10.0.0.3"],
        "netbios-node-type": ["2"]}
    for filters in ({"tag:a": "b"}, {"key": "netbios-node-type"}, {"value": "10.0.0.53"}):
        assert named(ec2.describe_dhcp_options, "DhcpOptions", **filters) == [made]
    before = generation(cloud, vpc)
    ec2.associate_dhcp_options(VpcId=vpc, DhcpOptionsId=options)
    assert generation(cloud, vpc) > before
    assert named(ec2.describe_vpcs, "Vpcs", dhcp_options_id=options)[0]["VpcId"] == vpc
    with fails("DependencyViolation", vpc):
        ec2.delete_dhcp_options(DhcpOptionsId=options)
    ec2.associate_dhcp_options(VpcId=vpc, DhcpOptionsId="default")
    assert ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["DhcpOptionsId"] == "default"
    ec2.delete_dhcp_options(DhcpOptionsId=options)
    with fails("InvalidDhcpOptionID.NotFound"):
        ec2.delete_dhcp_options(DhcpOptionsId=options)


@pytest.mark.parametrize("key, values, code", [
    ("nonsense", ["1"], "InvalidParameterValue"),
    ("domain-name", ["under_score"], "InvalidParameterValue"),
    ("domain-name", ["a", "b"], "InvalidParameterValue"),
    ("domain-name-servers", ["nonsense"], "InvalidParameterValue"),
    ("domain-name-servers", ["::1"], "InvalidParameterValue"),
    ("ntp-servers", ["AmazonProvidedDNS"], "InvalidParameterValue"),
    ("ntp-servers", ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4", "1.1.1.5"],
     "InvalidParameterValue"),
    ("netbios-node-type", ["3"], "InvalidParameterValue"),
    ("domain-name", [], "MissingParameter"),
    ("ipv6-address-preferred-lease-time", ["140"], "UnsupportedOperation")])
def test_options_that_are_none(cloud, key, values, code):
    with fails(code):
        cloud.ec2.create_dhcp_options(DhcpConfigurations=[{"Key": key, "Values": values}])


def test_options_of_others(cloud, vpc):
    ec2, other = cloud.ec2, cloud.other
    mine = ec2.create_dhcp_options(DhcpConfigurations=[
        {"Key": "ntp-servers", "Values": ["10.0.0.1"]}])["DhcpOptions"]["DhcpOptionsId"]
    theirs = other.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    for call in (lambda: other.delete_dhcp_options(DhcpOptionsId=mine),
                 lambda: other.describe_dhcp_options(DhcpOptionsIds=[mine]),
                 lambda: other.associate_dhcp_options(DhcpOptionsId=mine, VpcId=theirs)):
        with fails("InvalidDhcpOptionID.NotFound"):
            call()
    with fails("InvalidVpcID.NotFound"):
        other.associate_dhcp_options(DhcpOptionsId="default", VpcId=vpc)


def test_tags(cloud, vpc, acl):
    """CreateTags knows all of them, and DescribeTags tells of what they are."""
    ec2 = cloud.ec2
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    options = ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["DhcpOptionsId"]
    kinds = {vpc: "vpc", acl: "network-acl", gateway: "internet-gateway", table: "route-table",
             options: "dhcp-options"}
    ec2.create_tags(Resources=list(kinds), Tags=[{"Key": "a", "Value": "b"}])
    assert {t["ResourceId"]: t["ResourceType"] for t in ec2.describe_tags()["Tags"]} == kinds
    for one, code in ((gateway, "InvalidInternetGatewayID.NotFound"),
                      (table, "InvalidRouteTableID.NotFound"),
                      (acl, "InvalidNetworkAclID.NotFound"),
                      (options, "InvalidDhcpOptionID.NotFound")):
        with fails(code):
            cloud.other.create_tags(Resources=[one], Tags=[{"Key": "a", "Value": "b"}])
