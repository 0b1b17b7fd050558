# SPDX-License-Identifier: Apache-2.0
"""Elastic IPs: what leads where, and what becomes of the pool's own addresses."""
import pytest

from conftest import fails
from test_quotas import check, limit  # noqa: F401


def instance(cloud, id_):
    return cloud.ec2.describe_instances(InstanceIds=[id_])["Reservations"][0]["Instances"][0]


def address(cloud, allocation):
    return cloud.ec2.describe_addresses(AllocationIds=[allocation])["Addresses"][0]


def free(cloud):
    return int(cloud.sql("SELECT count(*) FROM public_address WHERE interface_id IS NULL"
                         " AND allocation_id IS NULL")[0][0])


@pytest.fixture
def running(cloud, launch):
    def go(count=1, **options):
        made = [i["InstanceId"] for i in launch(count, **options)]
        cloud.settle()
        return made
    return go


def test_allocation(cloud):
    ec2 = cloud.ec2
    made = ec2.allocate_address(Domain="vpc", TagSpecifications=[
        {"ResourceType": "elastic-ip", "Tags": [{"Key": "a", "Value": "b"}]}])
    assert made["AllocationId"].startswith("eipalloc-") and made["Domain"] == "vpc"
    assert made["PublicIp"].startswith("198.18.") and made["PublicIpv4Pool"] == "amazon"
    assert made["NetworkBorderGroup"] == "us-east-1"
    seen = address(cloud, made["AllocationId"])
    assert seen == {"AllocationId": made["AllocationId"], "Domain": "vpc",
                    "PublicIp": made["PublicIp"], "PublicIpv4Pool": "amazon",
                    "NetworkBorderGroup": "us-east-1", "Tags": [{"Key": "a", "Value": "b"}]}
    ec2.create_tags(Resources=[made["AllocationId"]], Tags=[{"Key": "c", "Value": "d"}])
    with fails("InvalidAllocationID.NotFound"):
        cloud.other.create_tags(Resources=[made["AllocationId"]], Tags=[{"Key": "c", "Value": "d"}])
    other = ec2.allocate_address(Address="198.18.3.7", PublicIpv4Pool="amazon",
                                 NetworkBorderGroup="us-east-1")
    assert other["PublicIp"] == "198.18.3.7"

    def only(**options):
        return [a["PublicIp"] for a in ec2.describe_addresses(**options)["Addresses"]]
    assert only(PublicIps=["198.18.3.7"]) == ["198.18.3.7"]
    assert only(Filters=[{"Name": "tag:c", "Values": ["d"]}]) == [made["PublicIp"]]
    assert only(Filters=[{"Name": "public-ip", "Values": ["198.18.3.*"]}]) == ["198.18.3.7"]
    assert len(only(Filters=[{"Name": "domain", "Values": ["vpc"]}])) == 2
    assert cloud.other.describe_addresses()["Addresses"] == []
    check(cloud)
    ec2.release_address(AllocationId=made["AllocationId"])
    assert only() == ["198.18.3.7"]
    assert ec2.describe_tags()["Tags"] == []
    check(cloud)
    # What was released last is given out again last.
    assert ec2.allocate_address()["PublicIp"] != made["PublicIp"]
    attributes = {a["AttributeName"]: a["AttributeValues"][0]["AttributeValue"]
                  for a in ec2.describe_account_attributes()["AccountAttributes"]}
    assert attributes["max-elastic-ips"] == attributes["vpc-max-elastic-ips"] == "500"


@pytest.mark.parametrize("parameters, code", [
    ({"Domain": "standard"}, "InvalidParameterValue"),
    ({"Address": "192.0.2.1"}, "InvalidAddress.NotFound"),
    ({"Address": "nonsense"}, "InvalidParameterValue"),
    ({"PublicIpv4Pool": "ipv4pool-ec2-012345"}, "InvalidPublicIpv4PoolID.NotFound"),
    ({"NetworkBorderGroup": "us-west-2"}, "InvalidParameterValue"),
    ({"CustomerOwnedIpv4Pool": "x"}, "UnsupportedOperation"),
    ({"DryRun": True}, "DryRunOperation"),
    ({"TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]},
     "InvalidParameterValue"),
])
def test_allocation_refusals(cloud, parameters, code):
    before = free(cloud)
    with fails(code):
        cloud.ec2.allocate_address(**parameters)
    assert free(cloud) == before
    check(cloud)


def test_limits(cloud, limit):  # noqa: F811
    limit(elastic_ips=1)
    one = cloud.ec2.allocate_address()
    with fails("AddressLimitExceeded"):
        cloud.ec2.allocate_address()
    with fails("InvalidAddress.NotFound"):
        cloud.other.allocate_address(Address=one["PublicIp"])
    cloud.sql("UPDATE public_address SET account_id = '000000000002', allocation_id ="
              " 'eipalloc-' || host(address) WHERE allocation_id IS NULL")
    with fails("InsufficientAddressCapacity"):
        cloud.other.allocate_address()


def test_association(cloud, running):
    ec2 = cloud.ec2
    one, two = running(2)
    before = free(cloud)
    own = instance(cloud, one)["PublicIpAddress"]
    eip = ec2.allocate_address()
    made = ec2.associate_address(AllocationId=eip["AllocationId"], InstanceId=one)["AssociationId"]
    assert made.startswith("eipassoc-")
    seen = instance(cloud, one)
    interface = seen["NetworkInterfaces"][0]
    assert seen["PublicIpAddress"] == eip["PublicIp"] != own
    assert interface["Association"]["IpOwnerId"] == "000000000001"
    assert free(cloud) == before  # one allocated, one returned
    row = address(cloud, eip["AllocationId"])
    assert (row["AssociationId"], row["InstanceId"], row["NetworkInterfaceId"],
            row["PrivateIpAddress"], row["NetworkInterfaceOwnerId"]) == \
        (made, one, interface["NetworkInterfaceId"], seen["PrivateIpAddress"], "000000000001")
    shown = ec2.describe_network_interfaces(Filters=[
        {"Name": "association.allocation-id", "Values": [eip["AllocationId"]]}])
    association = shown["NetworkInterfaces"][0]["PrivateIpAddresses"][0]["Association"]
    assert (association["AssociationId"], association["PublicIp"]) == (made, eip["PublicIp"])
    # Once more changes nothing; not even the association.
    assert ec2.associate_address(AllocationId=eip["AllocationId"], InstanceId=one,
                                 AllowReassociation=False)["AssociationId"] == made
    with fails("InvalidIPAddress.InUse"):
        ec2.release_address(AllocationId=eip["AllocationId"])
    with fails("Resource.AlreadyAssociated"):
        ec2.associate_address(AllocationId=eip["AllocationId"], InstanceId=two,
                              AllowReassociation=False)
    moved = ec2.associate_address(AllocationId=eip["AllocationId"], InstanceId=two)["AssociationId"]
    assert moved != made
    assert instance(cloud, two)["PublicIpAddress"] == eip["PublicIp"]
    # The one that lost it runs, and gets one of the pool again.
    assert instance(cloud, one)["PublicIpAddress"] not in (eip["PublicIp"],)
    with fails("InvalidAssociationID.NotFound"):
        ec2.disassociate_address(AssociationId=made)
    ec2.disassociate_address(AssociationId=moved)
    assert "AssociationId" not in address(cloud, eip["AllocationId"])
    assert instance(cloud, two)["PublicIpAddress"] != eip["PublicIp"]
    assert free(cloud) == before - 1
    ec2.release_address(AllocationId=eip["AllocationId"])
    assert free(cloud) == before
    check(cloud)


def test_another_takes_the_place(cloud, running):
    ec2 = cloud.ec2
    one, = running()
    first, second = ec2.allocate_address(), ec2.allocate_address()
    ec2.associate_address(AllocationId=first["AllocationId"], InstanceId=one)
    with fails("Resource.AlreadyAssociated"):
        ec2.associate_address(AllocationId=second["AllocationId"], InstanceId=one,
                              AllowReassociation=False)
    ec2.associate_address(AllocationId=second["AllocationId"], InstanceId=one)
    assert "InstanceId" not in address(cloud, first["AllocationId"])
    assert instance(cloud, one)["PublicIpAddress"] == second["PublicIp"]


def test_stopped_and_terminated(cloud, running):
    ec2 = cloud.ec2
    one, = running()
    before = free(cloud)
    eip = ec2.allocate_address()
    ec2.associate_address(AllocationId=eip["AllocationId"], InstanceId=one)
    ec2.stop_instances(InstanceIds=[one])
    cloud.settle()
    assert instance(cloud, one)["PublicIpAddress"] == eip["PublicIp"]
    ec2.start_instances(InstanceIds=[one])
    cloud.settle()
    assert instance(cloud, one)["PublicIpAddress"] == eip["PublicIp"]
    assert free(cloud) == before
    ec2.stop_instances(InstanceIds=[one])
    cloud.settle()
    ec2.disassociate_address(AssociationId=address(cloud, eip["AllocationId"])["AssociationId"])
    assert "PublicIpAddress" not in instance(cloud, one)
    ec2.associate_address(AllocationId=eip["AllocationId"], NetworkInterfaceId=instance(
        cloud, one)["NetworkInterfaces"][0]["NetworkInterfaceId"])
    ec2.terminate_instances(InstanceIds=[one])
    cloud.settle()
    row = address(cloud, eip["AllocationId"])
    assert "AssociationId" not in row and "PrivateIpAddress" not in row
    ec2.release_address(AllocationId=eip["AllocationId"])
    check(cloud)


def test_hosts_hear_of_it(cloud, running):
    one, = running()
    eip = cloud.ec2.allocate_address()["AllocationId"]

    def generations():
        return cloud.sql("SELECT i.generation, v.generation FROM instance i JOIN vpc v"
                         " ON v.id = i.vpc_id WHERE i.id = '%s'" % one)[0]
    before = generations()
    cloud.ec2.associate_address(AllocationId=eip, InstanceId=one)
    after = generations()
    assert int(after[0]) > int(before[0]) and int(after[1]) > int(before[1])


def test_association_refusals(cloud, launch, running):
    ec2 = cloud.ec2
    eip = ec2.allocate_address()["AllocationId"]
    pending = launch()[0]["InstanceId"]
    with fails("InvalidInstanceID", "pending"):
        ec2.associate_address(AllocationId=eip, InstanceId=pending)
    cloud.settle()
    one = pending
    interface = instance(cloud, one)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    absent = "eipalloc-0123456789abcdef0"
    for parameters, code in (
            ({"AllocationId": absent, "InstanceId": one}, "InvalidAllocationID.NotFound"),
            ({"AllocationId": eip}, "MissingParameter"),
            ({"InstanceId": one}, "MissingParameter"),
            ({"PublicIp": "198.18.0.1", "InstanceId": one}, "InvalidParameterCombination"),
            ({"AllocationId": eip, "InstanceId": one, "NetworkInterfaceId": interface},
             "InvalidParameterCombination"),
            ({"AllocationId": eip, "InstanceId": "i-0123456789abcdef0"},
             "InvalidInstanceID.NotFound"),
            ({"AllocationId": eip, "InstanceId": "x"}, "InvalidInstanceID.Malformed"),
            ({"AllocationId": eip, "NetworkInterfaceId": "eni-0123456789abcdef0"},
             "InvalidNetworkInterfaceID.NotFound"),
            ({"AllocationId": eip, "NetworkInterfaceId": "x"},
             "InvalidNetworkInterfaceId.Malformed"),
            ({"AllocationId": eip, "InstanceId": one, "PrivateIpAddress": "172.31.255.9"},
             "InvalidParameterValue"),
            ({"AllocationId": eip, "InstanceId": one, "DryRun": True}, "DryRunOperation")):
        with fails(code):
            ec2.associate_address(**parameters)
    with fails("InvalidInstanceID.NotFound"):
        cloud.other.associate_address(
            AllocationId=cloud.other.allocate_address()["AllocationId"], InstanceId=one)
    with fails("InvalidAllocationID.NotFound"):
        ec2.associate_address(AllocationId=cloud.other.describe_addresses()["Addresses"][0][
            "AllocationId"], InstanceId=one)
    for parameters, code in (
            ({}, "MissingParameter"),
            ({"PublicIp": "198.18.0.1"}, "InvalidParameterValue"),
            ({"AssociationId": "eipassoc-0123456789abcdef0"}, "InvalidAssociationID.NotFound")):
        with fails(code):
            ec2.disassociate_address(**parameters)
    for parameters, code in (
            ({}, "MissingParameter"),
            ({"PublicIp": "198.18.0.1"}, "InvalidParameterValue"),
            ({"AllocationId": absent}, "InvalidAllocationID.NotFound")):
        with fails(code):
            ec2.release_address(**parameters)
    made = ec2.associate_address(AllocationId=eip, NetworkInterfaceId=interface)["AssociationId"]
    with fails("InvalidAssociationID.NotFound"):
        cloud.other.disassociate_address(AssociationId=made)
    with fails("InvalidAllocationID.NotFound"):
        cloud.other.release_address(AllocationId=eip)
    with fails("InvalidAllocationID.NotFound"):
        ec2.describe_addresses(AllocationIds=[absent])
    with fails("InvalidAddress.NotFound"):
        ec2.describe_addresses(PublicIps=["192.0.2.1"])


def test_what_there_is_none_of(cloud):
    eip = cloud.ec2.allocate_address()["AllocationId"]
    assert cloud.ec2.describe_addresses_attribute(AllocationIds=[eip],
                                                  Attribute="domain-name")["Addresses"] == []
    with fails("InvalidAllocationID.NotFound"):
        cloud.other.describe_addresses_attribute(AllocationIds=[eip])
    assert cloud.ec2.describe_public_ipv4_pools()["PublicIpv4Pools"] == []
    with fails("InvalidPublicIpv4PoolID.NotFound"):
        cloud.ec2.describe_public_ipv4_pools(PoolIds=["ipv4pool-ec2-0123"])
