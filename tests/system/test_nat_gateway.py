# SPDX-License-Identifier: Apache-2.0
"""The way out of a private subnet."""
import subprocess
import sys

import pytest

from cloud import SSH_OPTIONS, running_cloud
from conftest import run, wait_for

OUTSIDE, HOST, POOL = "192.0.2.1", "192.0.2.2", "198.18.0.0/20"
# Answers everybody with the address that it sees.
SERVER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.client_address[0].encode())
http.server.ThreadingHTTPServer(("%s", 80), Handler).serve_forever()
""" % OUTSIDE


@pytest.fixture(scope="module")
def cloud(build_dir, image_micro):
    """One whose public addresses are seen outside as they are."""
    with running_cloud(build_dir, image_micro, settings={"network": {"masquerade": "false"}}) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def outside():
    """A server that is no part of the cloud, nor of its host."""
    for command in ("ip netns add outside",
                    "ip link add out0 type veth peer name out1 netns outside",
                    "ip addr add %s/30 dev out0" % HOST, "ip link set out0 up",
                    "ip -n outside addr add %s/30 dev out1" % OUTSIDE,
                    "ip -n outside link set out1 up",
                    "ip -n outside route add %s via %s" % (POOL, HOST)):
        run(command.split())
    server = subprocess.Popen(["ip", "netns", "exec", "outside", sys.executable, "-c", SERVER],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield OUTSIDE
    server.kill()
    server.wait()
    run(["ip", "link", "del", "out0"])
    run(["ip", "netns", "del", "outside"])


class Inside:
    """A guest without a public address, reached by way of another."""

    def __init__(self, cloud, subnet):
        self.cloud = cloud
        self.bastion = cloud.launch()
        self.id = cloud.launch(wait=False, SubnetId=subnet, KeyName=cloud.key_pair())
        cloud.wait_ssh(self.bastion)
        cloud.wait_state(self.id, "running")
        wait_for(lambda: self.ssh("true").returncode == 0, 120, "login inside", 0.5)

    def ssh(self, command):
        cloud = self.cloud
        seen = cloud.describe(self.id)
        assert "PublicIpAddress" not in seen
        way = " ".join(["ssh"] + SSH_OPTIONS + ["-i", cloud.key, "-W", "%h:%p",
                                                "root@" + cloud.address(self.bastion)])
        return run(["ssh"] + SSH_OPTIONS + ["-o", "ProxyCommand=" + way, "-i", cloud.key,
                                            "root@" + seen["PrivateIpAddress"], command],
                   check=False, deadline_s=40)

    def fetch(self, server):
        """What the server says, or None."""
        lines = self.ssh("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 4 %s 80" % server).stdout.split()
        return lines[-1] if lines else None


@pytest.fixture(scope="module")
def private(cloud):
    """A subnet whose route table leads nowhere: the ids of both."""
    vpc = cloud.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnet = cloud.ec2.create_subnet(
        VpcId=vpc, CidrBlock="172.31.240.0/24",
        AvailabilityZone=cloud.ec2.describe_subnets()["Subnets"][0]["AvailabilityZone"])[
            "Subnet"]["SubnetId"]
    table = cloud.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    cloud.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    return subnet, table


@pytest.fixture(scope="module")
def inside(cloud, private):
    return Inside(cloud, private[0])


def test_way_out(cloud, private, inside, outside):
    ec2 = cloud.ec2
    assert inside.fetch(outside) is None
    eip = ec2.allocate_address()
    public = [s["SubnetId"] for s in ec2.describe_subnets()["Subnets"] if s["DefaultForAz"]][0]
    gateway = ec2.create_nat_gateway(SubnetId=public, AllocationId=eip["AllocationId"])[
        "NatGateway"]["NatGatewayId"]
    ec2.get_waiter("nat_gateway_available").wait(NatGatewayIds=[gateway],
                                                 WaiterConfig={"Delay": 1, "MaxAttempts": 40})
    ec2.create_route(RouteTableId=private[1], DestinationCidrBlock="0.0.0.0/0",
                     NatGatewayId=gateway)
    wait_for(lambda: inside.fetch(outside) == eip["PublicIp"], 60, "the way out", 0.5)
    for daemon in ("virgad", "virga-node"):
        cloud.kill(daemon)
    wait_for(lambda: "All is well." in cloud.virga("status", check=False).stdout, 60, "health", 0.3)
    wait_for(lambda: inside.fetch(outside) == eip["PublicIp"], 30, "the way out", 0.5)
    ec2.delete_nat_gateway(NatGatewayId=gateway)
    ec2.get_waiter("nat_gateway_deleted").wait(NatGatewayIds=[gateway],
                                               WaiterConfig={"Delay": 1, "MaxAttempts": 40})
    assert inside.fetch(outside) is None
    ec2.release_address(AllocationId=eip["AllocationId"])
    cloud.wait_no_leaks()


def test_of_a_vpc_without_guests(cloud):
    """Its host has nothing else of the VPC, and nothing at all in the end."""
    ec2 = cloud.ec2
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.1.0/24")["Subnet"]["SubnetId"]
    table = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])[
        "RouteTables"][0]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    eip = ec2.allocate_address()["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=subnet, AllocationId=eip)["NatGateway"]["NatGatewayId"]
    ec2.get_waiter("nat_gateway_available").wait(NatGatewayIds=[nat],
                                                 WaiterConfig={"Delay": 1, "MaxAttempts": 40})
    ec2.delete_nat_gateway(NatGatewayId=nat)
    ec2.get_waiter("nat_gateway_deleted").wait(NatGatewayIds=[nat],
                                               WaiterConfig={"Delay": 1, "MaxAttempts": 40})
    ec2.release_address(AllocationId=eip)
    ec2.delete_subnet(SubnetId=subnet)
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    ec2.delete_vpc(VpcId=vpc)
    cloud.wait_no_leaks()
