# SPDX-License-Identifier: Apache-2.0
"""Texts that the database would refuse as a value: each is refused before, as AWS refuses it.  What
reaches the database all the same is an internal error, and a bug."""
import base64
import http.client
import random
import re

import pytest

from conftest import fails

# Nothing that an index could hold, whichever way it packs it.
LONG = base64.b64encode(random.Random(1).randbytes(9000)).decode()
NO_ADDRESSES = ("us-east-1a", "", "10.0.0", "10.0.0.256", "10.0.0.05", "::1", "10.0.0.5/32", "\u00e4", LONG)


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_addresses(cloud, launch, text):
    instance = launch()[0]
    interface, subnet = instance["NetworkInterfaces"][0]["NetworkInterfaceId"], instance["SubnetId"]
    gateway = {"SubnetId": subnet, "ConnectivityType": "private"}
    with fails("InvalidParameterValue"):
        cloud.ec2.unassign_private_ip_addresses(NetworkInterfaceId=interface, PrivateIpAddresses=[text])
    with fails("InvalidParameterValue"):
        cloud.ec2.assign_private_ip_addresses(NetworkInterfaceId=interface, PrivateIpAddresses=[text])
    with fails("InvalidParameterValue"):
        cloud.ec2.create_network_interface(SubnetId=subnet, PrivateIpAddress=text)
    with fails("InvalidParameterValue"):
        launch(PrivateIpAddress=text)
    with fails("InvalidParameterValue"):
        cloud.ec2.create_nat_gateway(PrivateIpAddress=text, **gateway)
    with fails("InvalidParameterValue"):
        cloud.ec2.allocate_address(Domain="vpc", Address=text)
    with fails("InvalidAddress.NotFound"):
        cloud.ec2.describe_addresses(PublicIps=[text or "x"])
    allocation = cloud.ec2.allocate_address(Domain="vpc")["AllocationId"]
    with fails("InvalidParameterValue"):
        cloud.ec2.associate_address(AllocationId=allocation, NetworkInterfaceId=interface,
                                    PrivateIpAddress=text)


@pytest.mark.parametrize("text", ["us-east-1a", "10.0.0.0/33", "10.0.0.0/-1", "::/0", "\u00e4", LONG])
def test_blocks(cloud, text):
    vpc = cloud.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    of_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    table = cloud.ec2.describe_route_tables(Filters=of_vpc)["RouteTables"][0]["RouteTableId"]
    acl = cloud.ec2.describe_network_acls(Filters=of_vpc)["NetworkAcls"][0]["NetworkAclId"]
    group = cloud.ec2.describe_security_groups(Filters=of_vpc)["SecurityGroups"][0]["GroupId"]
    rule = dict(GroupId=group, IpProtocol="tcp", FromPort=1, ToPort=1, CidrIp=text)
    entry = dict(NetworkAclId=acl, RuleNumber=100, Protocol="-1", RuleAction="allow", Egress=False,
                 CidrBlock=text)
    for call in (lambda: cloud.ec2.create_vpc(CidrBlock=text),
                 lambda: cloud.ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock=text),
                 lambda: cloud.ec2.create_subnet(VpcId=vpc, CidrBlock=text),
                 lambda: cloud.ec2.create_route(RouteTableId=table, DestinationCidrBlock=text,
                                                GatewayId="igw-00000000000000000"),
                 lambda: cloud.ec2.replace_route(RouteTableId=table, DestinationCidrBlock=text,
                                                 GatewayId="igw-00000000000000000"),
                 lambda: cloud.ec2.delete_route(RouteTableId=table, DestinationCidrBlock=text),
                 lambda: cloud.ec2.replace_network_acl_entry(**entry),
                 lambda: cloud.ec2.authorize_security_group_ingress(**rule),
                 lambda: cloud.ec2.revoke_security_group_ingress(**rule)):
        with fails("InvalidParameterValue"):
            call()


@pytest.mark.parametrize("number", ["2147483648", "-2147483649", "9223372036854775808", "1e3", "0x1", ""])
def test_numbers(cloud, launch, number):
    """No column is narrower than what the wire lets through."""
    instance = launch()[0]
    interface = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
    for parameters in (
            {"Action": "AttachNetworkInterface", "NetworkInterfaceId": interface, "DeviceIndex": number,
             "InstanceId": instance["InstanceId"]},
            {"Action": "AuthorizeSecurityGroupIngress", "GroupName": "default", "IpProtocol": "tcp",
             "FromPort": number, "ToPort": number, "CidrIp": "10.0.0.0/8"},
            {"Action": "CreateVolume", "AvailabilityZone": "us-east-1a", "Size": number}):
        assert "<Code>InvalidParameterValue</Code>" in cloud.raw(parameters)


@pytest.mark.parametrize("number", [-2147483648, -1, 2147483647])
def test_extreme_numbers(cloud, launch, number):
    instance = launch()[0]
    interface = instance["NetworkInterfaces"][0]["NetworkInterfaceId"]
    acl = cloud.ec2.describe_network_acls()["NetworkAcls"][0]["NetworkAclId"]
    for parameters in (
            {"Action": "AttachNetworkInterface", "NetworkInterfaceId": interface, "DeviceIndex": number,
             "InstanceId": instance["InstanceId"]},
            {"Action": "AssignPrivateIpAddresses", "NetworkInterfaceId": interface,
             "SecondaryPrivateIpAddressCount": number},
            {"Action": "AuthorizeSecurityGroupIngress", "GroupName": "default", "IpProtocol": "tcp",
             "FromPort": number, "ToPort": number - 1 if number > 0 else number, "CidrIp": "10.0.0.0/8"},
            {"Action": "DeleteNetworkAclEntry", "NetworkAclId": acl, "RuleNumber": number, "Egress": "false"},
            {"Action": "CreateVolume", "AvailabilityZone": "us-east-1a", "Size": number, "Iops": number},
            {"Action": "CreatePlacementGroup", "GroupName": "x", "Strategy": "partition",
             "PartitionCount": number}):
        answer = cloud.raw(parameters)
        code = re.search("<Code>(.*?)</Code>", answer)
        assert code and code.group(1) not in ("InternalError", "Unavailable"), (parameters, answer)


def test_lengths(cloud, launch, image):
    """What an index holds has a bound."""
    instance = launch()[0]["InstanceId"]
    volume = cloud.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    of_image = {"ImageId": image, "InstanceType": "t3.nano", "MinCount": 1, "MaxCount": 1}
    for code, call in (
            ("InvalidParameterValue", lambda: cloud.ec2.attach_volume(
                VolumeId=volume, InstanceId=instance, Device=LONG)),
            ("InvalidBlockDeviceMapping", lambda: cloud.ec2.run_instances(
                BlockDeviceMappings=[{"DeviceName": LONG, "Ebs": {"VolumeSize": 1}}], **of_image)),
            ("InvalidParameterValue", lambda: cloud.ec2.run_instances(ClientToken=LONG, **of_image)),
            ("InvalidParameterValue", lambda: cloud.ec2.create_key_pair(KeyName=LONG)),
            ("InvalidParameterValue", lambda: cloud.ec2.create_placement_group(
                GroupName=LONG, Strategy="spread")),
            ("InvalidParameterValue", lambda: cloud.ec2.create_security_group(
                GroupName=LONG, Description="x")),
            ("InvalidParameterValue", lambda: cloud.ec2.create_tags(
                Resources=[volume], Tags=[{"Key": "a", "Value": LONG}])),
            ("InvalidParameterValue", lambda: cloud.ec2.modify_image_attribute(
                ImageId=image, Description={"Value": LONG}))):
        with fails(code):
            call()
    # The longest tag that there can be, of the longest characters.
    cloud.ec2.create_tags(Resources=[volume], Tags=[{"Key": "\U0001f600" * 128, "Value": "\U0001f601" * 256}])


@pytest.mark.parametrize("key", [b"AKIA\xff", b"\xc3", b"A" * 129, b"'x", b"\xc3\xa4\xc3\xa4", b"AKI"])
def test_keys_of_nobody(cloud, key):
    """Whoever has no key may write anything in its place."""
    body, headers = cloud.signed({"Action": "DescribeRegions"})
    headers["Authorization"] = re.sub(b"Credential=[^/]*", b"Credential=" + key,
                                      headers["Authorization"].encode())
    connection = http.client.HTTPConnection("127.0.0.1", cloud.port, timeout=60)
    connection.request("POST", "/", body, headers)
    answer = connection.getresponse()
    assert (answer.status, b"<Code>AuthFailure</Code>" in answer.read()) == (401, True)
