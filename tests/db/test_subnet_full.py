# SPDX-License-Identifier: Apache-2.0
"""A subnet of sixteen addresses: the first four and the last are AWS's, eleven are instances'."""
import random

import pytest

from conftest import fails

SUBNET = "subnet-00a00000000000028"
BASE = "172.31.200."
USABLE = [BASE + str(n) for n in range(4, 15)]
RESERVED = [BASE + str(n) for n in (0, 1, 2, 3, 15)]


@pytest.fixture
def small(cloud):
    """The id of the subnet; it is gone after the test."""
    cloud.sql("""INSERT INTO subnet (id, account_id, vpc_id, zone, cidr)
        SELECT '%s', account_id, id, 'us-east-1a', '%s0/28' FROM vpc
        WHERE account_id = '000000000001'""" % (SUBNET, BASE))
    yield SUBNET
    cloud.sql("DELETE FROM network_interface WHERE subnet_id = '%s';"
              "DELETE FROM subnet WHERE id = '%s'" % (SUBNET, SUBNET))


def free(cloud):
    return cloud.ec2.describe_subnets(SubnetIds=[SUBNET])["Subnets"][0]["AvailableIpAddressCount"]


def end(cloud, instance):
    cloud.ec2.terminate_instances(InstanceIds=[instance["InstanceId"]])
    cloud.settle()


def test_full_subnet(cloud, launch, small):
    taken = {}
    for left in range(len(USABLE), 0, -1):
        assert free(cloud) == left
        instance = launch(SubnetId=small)[0]
        taken[instance["PrivateIpAddress"]] = instance
    assert sorted(taken) == sorted(USABLE)
    assert free(cloud) == 0
    for count in (1, 2):
        with fails("InsufficientFreeAddressesInSubnet", small):
            launch(count, SubnetId=small)
    cloud.settle()
    for address in random.Random(28).sample(USABLE, 4):
        end(cloud, taken[address])
        assert free(cloud) == 1
        with fails("InsufficientFreeAddressesInSubnet"):  # all or nothing
            launch(2, SubnetId=small)
        assert free(cloud) == 1
        taken[address] = launch(SubnetId=small)[0]
        assert taken[address]["PrivateIpAddress"] == address
        cloud.settle()


def test_whole_subnet_at_once(cloud, launch, small):
    instances = launch(len(USABLE), SubnetId=small)
    assert sorted(i["PrivateIpAddress"] for i in instances) == sorted(USABLE)


@pytest.mark.parametrize("address", RESERVED + [BASE + "16"])
def test_reserved_addresses(launch, small, address):
    with fails("InvalidParameterValue", address):
        launch(SubnetId=small, PrivateIpAddress=address)
