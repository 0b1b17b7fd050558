# SPDX-License-Identifier: Apache-2.0
"""A VPC that was made by calls does what they say, with real guests:

    front    in a public subnet, whose route table leads to the internet gateway
    back     in a private one, which has the main table: the VPC alone

and a machine outside that stands for the internet.  The tests go in the file's order."""
import pytest

import vpc
from conftest import wait_for
from test_packets import OUTSIDE, answers, cloud, outside  # noqa: F401 (fixtures)

SOON_S = 10
SERVE = """#!/bin/sh
echo %s >/tmp/index.html
for port in 8000 8001; do httpd -p $port -h /tmp; done
"""
ANY = {"Protocol": "-1", "CidrBlock": "0.0.0.0/0", "RuleAction": "allow"}


def soon(condition, what):
    wait_for(condition, SOON_S, what, 0.2)


class Network:
    """Everything but the guests, in a VPC of this block."""

    def __init__(self, ec2, block="10.77.0.0/16"):
        self.ec2 = ec2
        part = block.rpartition(".0.0/")[0]
        self.vpc = ec2.create_vpc(CidrBlock=block)["Vpc"]["VpcId"]
        self.public, self.private = (
            ec2.create_subnet(VpcId=self.vpc, CidrBlock="%s.%d.0/24" % (part, n))["Subnet"]["SubnetId"]
            for n in (1, 2))
        ec2.modify_subnet_attribute(SubnetId=self.public, MapPublicIpOnLaunch={"Value": True})
        self.gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=self.gateway, VpcId=self.vpc)
        self.table = ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
        self.route()
        ec2.associate_route_table(RouteTableId=self.table, SubnetId=self.public)
        self.group = ec2.create_security_group(GroupName="open", Description="open",
                                               VpcId=self.vpc)["GroupId"]
        ec2.authorize_security_group_ingress(GroupId=self.group, IpPermissions=[
            {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])

    def route(self):
        self.ec2.create_route(RouteTableId=self.table, DestinationCidrBlock="0.0.0.0/0",
                              GatewayId=self.gateway)

    def launch(self, cloud, subnet, name, **options):
        return cloud.launch(wait=False, SubnetId=subnet, SecurityGroupIds=[self.group],
                            UserData=SERVE % name, **options)


class Guests:
    def __init__(self, cloud):
        ec2 = self.ec2 = cloud.ec2
        self.cloud, self.network = cloud, Network(ec2)
        ec2.modify_vpc_attribute(VpcId=self.network.vpc, EnableDnsHostnames={"Value": True})
        options = ec2.create_dhcp_options(DhcpConfigurations=[
            {"Key": "domain-name", "Values": ["corp.example.org"]},
            {"Key": "domain-name-servers", "Values": ["10.77.2.53", "AmazonProvidedDNS"]}])
        ec2.associate_dhcp_options(VpcId=self.network.vpc,
                                   DhcpOptionsId=options["DhcpOptions"]["DhcpOptionsId"])
        self.front = self.network.launch(cloud, self.network.public, "front",
                                         PrivateIpAddress="10.77.1.10")
        self.back = self.network.launch(cloud, self.network.private, "back")
        for instance in (self.front, self.back):
            cloud.wait_state(instance, "running")
            vpc.wait_inside(cloud, instance)
            wait_for(lambda: "httpd -p 8001" in self.run(instance, "ps"), 60, "server")

    def run(self, instance, command):
        """What the command wrote, whether it succeeded or not."""
        return vpc.inside(self.cloud, instance, command, check=False).stdout

    def gets(self, source, address, port=8000):
        return self.run(source, "timeout 3 wget -q -O - http://%s:%d/" % (address, port)).strip()

    def metadata(self, instance, path):
        return self.run(instance, "wget -q -O - http://169.254.169.254/latest/meta-data/" + path)

    def private(self, instance):
        return self.cloud.describe(instance)["PrivateIpAddress"]

    def goes_out(self, instance):
        return "." in self.gets(instance, OUTSIDE, 80)


@pytest.fixture(scope="module")
def guests(cloud, outside):  # noqa: F811
    return Guests(cloud)


def test_public_subnet(guests):
    address = guests.cloud.describe(guests.front)["PublicIpAddress"]
    assert answers(address, 8000)
    assert guests.goes_out(guests.front)


def test_private_subnet(guests):
    assert "PublicIpAddress" not in guests.cloud.describe(guests.back)
    assert guests.gets(guests.front, guests.private(guests.back)) == "back"
    assert guests.gets(guests.back, "10.77.1.10") == "front"
    assert not guests.goes_out(guests.back)


def test_dhcp_options(guests):
    text = guests.run(guests.front, "cat /etc/resolv.conf")
    assert "corp.example.org" in text and "ec2.internal" not in text
    assert [line.split()[1] for line in text.splitlines() if line.startswith("nameserver")] == [
        "10.77.2.53", "10.77.0.2"]


    assert guests.metadata(guests.front, "local-hostname") == "ip-10-77-1-10.corp.example.org"


def test_names(guests):
    seen = guests.cloud.describe(guests.front)
    assert seen["PublicDnsName"].startswith("ec2-")
    assert "10.77.1.10" in guests.run(guests.back,
                                      "nslookup %s 10.77.0.2" % seen["PublicDnsName"])
    assert guests.metadata(guests.front, "public-hostname") == seen["PublicDnsName"]


def test_acl(guests):
    """The lowest number decides, both ways are judged, and the other port stays open."""
    ec2, back = guests.ec2, guests.private(guests.back)
    acl = ec2.create_network_acl(VpcId=guests.network.vpc)["NetworkAcl"]["NetworkAclId"]
    for egress in (False, True):
        ec2.create_network_acl_entry(NetworkAclId=acl, RuleNumber=100, Egress=egress, **ANY)
    denied = dict(NetworkAclId=acl, RuleNumber=10, Egress=False)
    ec2.create_network_acl_entry(Protocol="6", CidrBlock="10.77.1.0/24", RuleAction="deny",
                                 PortRange={"From": 8000, "To": 8000}, **denied)
    assert guests.gets(guests.front, back) == "back"
    association = ec2.describe_network_acls(Filters=[
        {"Name": "association.subnet-id", "Values": [guests.network.private]}])["NetworkAcls"][0]
    association = [a["NetworkAclAssociationId"] for a in association["Associations"]
                   if a["SubnetId"] == guests.network.private][0]
    association = ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=acl)[
        "NewAssociationId"]
    soon(lambda: not guests.gets(guests.front, back), "end of the way to the port")
    assert guests.gets(guests.front, back, 8001) == "back"
    ec2.delete_network_acl_entry(**denied)
    soon(lambda: guests.gets(guests.front, back) == "back", "way to the port")
    ec2.delete_network_acl_entry(NetworkAclId=acl, RuleNumber=100, Egress=True)
    soon(lambda: not guests.gets(guests.front, back, 8001), "end of the answers")
    ec2.replace_network_acl_association(AssociationId=association, NetworkAclId=[
        a["NetworkAclId"] for a in ec2.describe_network_acls(Filters=[
            {"Name": "vpc-id", "Values": [guests.network.vpc]},
            {"Name": "default", "Values": ["true"]}])["NetworkAcls"]][0])
    soon(lambda: guests.gets(guests.front, back) == "back", "way by the default ACL")


def test_routes_change_live(guests):
    network = guests.network
    guests.ec2.delete_route(RouteTableId=network.table, DestinationCidrBlock="0.0.0.0/0")
    soon(lambda: not guests.goes_out(guests.front), "end of the way out")
    assert guests.gets(guests.front, guests.private(guests.back)) == "back"
    network.route()
    soon(lambda: guests.goes_out(guests.front), "way out")


def test_more_blocks(guests):
    """A subnet of a second block is reached like any other; guests are told of it."""
    ec2, network = guests.ec2, guests.network
    ec2.associate_vpc_cidr_block(VpcId=network.vpc, CidrBlock="10.78.0.0/16")
    subnet = ec2.create_subnet(VpcId=network.vpc, CidrBlock="10.78.1.0/24")["Subnet"]["SubnetId"]
    third = network.launch(guests.cloud, subnet, "third")
    guests.cloud.wait_state(third, "running")
    blocks = "network/interfaces/macs/$(cat /sys/class/net/eth0/address)/vpc-ipv4-cidr-blocks"
    soon(lambda: guests.metadata(guests.front, blocks).split() == ["10.77.0.0/16", "10.78.0.0/16"],
         "block in the metadata")
    wait_for(lambda: guests.gets(guests.front, guests.private(third)) == "third", 120,
             "answer from the second block", 1)
    assert not guests.goes_out(third)
    ec2.terminate_instances(InstanceIds=[third])


def test_detour_within_the_vpc(guests):
    """A route to a subnet's block leads through a guest that forwards, for tables that have it."""
    ec2, network, back = guests.ec2, guests.network, guests.private(guests.back)
    subnet = ec2.create_subnet(VpcId=network.vpc, CidrBlock="10.77.3.0/24")["Subnet"]["SubnetId"]
    middle = network.launch(guests.cloud, subnet, "middle")
    guests.cloud.wait_state(middle, "running")
    vpc.wait_inside(guests.cloud, middle)
    ec2.modify_instance_attribute(InstanceId=middle, SourceDestCheck={"Value": False})
    guests.run(middle, "echo 0 >/proc/sys/net/ipv4/ip_forward; "
               "for f in /proc/sys/net/ipv4/conf/*/send_redirects; do echo 0 >$f; done")
    ec2.create_route(RouteTableId=network.table, DestinationCidrBlock="10.77.2.0/24",
                     InstanceId=middle)
    soon(lambda: not guests.gets(guests.front, back), "detour that leads nowhere")
    assert guests.gets(guests.back, "10.77.1.10") == ""  # its answers take the detour
    guests.run(middle, "echo 1 >/proc/sys/net/ipv4/ip_forward")
    soon(lambda: guests.gets(guests.front, back) == "back", "way through the guest")
    ec2.delete_route(RouteTableId=network.table, DestinationCidrBlock="10.77.2.0/24")
    guests.run(middle, "echo 0 >/proc/sys/net/ipv4/ip_forward")
    soon(lambda: guests.gets(guests.front, back) == "back", "straight way")
    ec2.terminate_instances(InstanceIds=[middle])


def test_same_addresses_elsewhere(guests):
    """Another VPC of the same block, with a guest of the same address, is another world; without
    DHCP options, it is told no names and servers."""
    cloud, twin = guests.cloud, Network(guests.ec2)
    guests.ec2.associate_dhcp_options(VpcId=twin.vpc, DhcpOptionsId="default")
    other = twin.launch(cloud, twin.public, "twin", PrivateIpAddress="10.77.1.10")
    cloud.wait_state(other, "running")
    cloud.wait_ssh(other)
    assert cloud.ssh(other, "wget -q -O - http://10.77.1.10:8000/").strip() == "twin"
    assert cloud.ssh(guests.front, "wget -q -O - http://10.77.1.10:8000/").strip() == "front"
    told = cloud.ssh(other, "cat /etc/resolv.conf 2>/dev/null || true")
    assert "nameserver" not in told and "internal" not in told
    done = cloud.ssh(other, "timeout 3 wget -q -O - http://%s:8000/" % guests.private(guests.back),
                     check=False)
    assert done.returncode != 0


def test_nothing_is_left(cloud, guests):  # noqa: F811
    instances = [i["InstanceId"] for r in cloud.ec2.describe_instances()["Reservations"]
                 for i in r["Instances"]]
    cloud.ec2.terminate_instances(InstanceIds=instances)
    for instance in instances:
        cloud.wait_state(instance, "terminated")
    cloud.wait_no_leaks()
