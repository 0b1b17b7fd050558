# SPDX-License-Identifier: Apache-2.0
"""Network interfaces of their own: made, changed, attached, detached."""
import pytest

from conftest import fails
from test_addresses import free, instance
from test_quotas import check


@pytest.fixture
def subnet(cloud):
    return sorted(cloud.ec2.describe_subnets()["Subnets"], key=lambda s: s["AvailabilityZone"])[0]


@pytest.fixture
def make(cloud, subnet):
    def go(**options):
        options.setdefault("SubnetId", subnet["SubnetId"])
        return cloud.ec2.create_network_interface(**options)["NetworkInterface"]
    return go


@pytest.fixture
def one(cloud, launch, subnet):
    """A running instance in the subnet."""
    made = launch(SubnetId=subnet["SubnetId"])[0]["InstanceId"]
    cloud.settle()
    return made


def shown(cloud, id_):
    return cloud.ec2.describe_network_interfaces(NetworkInterfaceIds=[id_])["NetworkInterfaces"][0]


def private(interface):
    return [a["PrivateIpAddress"] for a in interface["PrivateIpAddresses"]]


def group(cloud, name, client=None):
    return (client or cloud.ec2).create_security_group(GroupName=name, Description="d")["GroupId"]


def in_subnet(subnet, last):
    return subnet["CidrBlock"].rsplit(".", 1)[0] + ".%d" % last


def test_life(cloud, make, subnet):
    ec2 = cloud.ec2
    before = ec2.describe_subnets(SubnetIds=[subnet["SubnetId"]])["Subnets"][0][
        "AvailableIpAddressCount"]
    made = make(Description="mine", TagSpecifications=[
        {"ResourceType": "network-interface", "Tags": [{"Key": "a", "Value": "b"}]}])
    id_ = made["NetworkInterfaceId"]
    assert made == shown(cloud, id_)
    assert (made["Status"], made["InterfaceType"], made["RequesterManaged"],
            made["SourceDestCheck"], made["Description"], made["TagSet"],
            made["Groups"][0]["GroupName"], made["VpcId"], made["AvailabilityZone"]) == \
        ("available", "interface", False, True, "mine", [{"Key": "a", "Value": "b"}], "default",
         subnet["VpcId"], subnet["AvailabilityZone"])
    assert "Attachment" not in made and "Association" not in made
    ec2.get_waiter("network_interface_available").wait(
        NetworkInterfaceIds=[id_], WaiterConfig={"Delay": 0, "MaxAttempts": 1})
    address = in_subnet(subnet, 77)
    named = make(PrivateIpAddress=address, Groups=[group(cloud, "g")])
    assert named["PrivateIpAddress"] == address and named["Groups"][0]["GroupName"] == "g"
    both = make(PrivateIpAddresses=[
        {"PrivateIpAddress": in_subnet(subnet, 81)},
        {"PrivateIpAddress": in_subnet(subnet, 80), "Primary": True}])
    assert private(both) == [in_subnet(subnet, 80), in_subnet(subnet, 81)]
    assert [a["Primary"] for a in both["PrivateIpAddresses"]] == [True, False]
    many = make(SecondaryPrivateIpAddressCount=3)
    assert len(set(private(many))) == 4
    assert ec2.describe_subnets(SubnetIds=[subnet["SubnetId"]])["Subnets"][0][
        "AvailableIpAddressCount"] == before - 8
    for code, options in (
            ("InvalidIPAddress.InUse", {"PrivateIpAddress": address}),
            ("InvalidIPAddress.InUse", {"PrivateIpAddress": in_subnet(subnet, 81)}),
            ("InvalidIPAddress.InUse", {"PrivateIpAddresses": [{"PrivateIpAddress": address}]})):
        with fails(code):
            make(**options)
    assert cloud.other.describe_network_interfaces()["NetworkInterfaces"] == []
    with fails("InvalidNetworkInterfaceID.NotFound"):
        cloud.other.delete_network_interface(NetworkInterfaceId=id_)
    for interface in (made, named, both, many):
        ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])
    with fails("InvalidNetworkInterfaceID.NotFound"):
        shown(cloud, id_)
    assert ec2.describe_tags()["Tags"] == []
    assert ec2.describe_subnets(SubnetIds=[subnet["SubnetId"]])["Subnets"][0][
        "AvailableIpAddressCount"] == before


def test_client_token(make, cloud):
    made = make(ClientToken="t")
    assert make(ClientToken="t")["NetworkInterfaceId"] == made["NetworkInterfaceId"]
    with fails("IdempotentParameterMismatch"):
        make(ClientToken="t", Description="other")
    assert len(cloud.ec2.describe_network_interfaces()["NetworkInterfaces"]) == 1


@pytest.mark.parametrize("options, code", [
    ({"SubnetId": "subnet-0123456789abcdef0"}, "InvalidSubnetID.NotFound"),
    ({"SubnetId": "x"}, "InvalidSubnetID.Malformed"),
    ({"InterfaceType": "efa"}, "UnsupportedOperation"),
    ({"Ipv6AddressCount": 1}, "UnsupportedOperation"),
    ({"Ipv4PrefixCount": 1}, "UnsupportedOperation"),
    ({"Groups": ["x"]}, "InvalidGroupId.Malformed"),
    ({"Groups": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound"),
    ({"PrivateIpAddress": "10.1.2.3"}, "InvalidParameterValue"),
    ({"PrivateIpAddresses": [{"PrivateIpAddress": "10.1.2.3"}]}, "InvalidParameterValue"),
    ({"Description": "x" * 256}, "InvalidParameterValue"),
    ({"SecondaryPrivateIpAddressCount": 50}, "PrivateIpAddressLimitExceeded"),
    ({"DryRun": True}, "DryRunOperation"),
])
def test_refusals(cloud, make, options, code):
    with fails(code):
        make(**options)
    assert cloud.ec2.describe_network_interfaces()["NetworkInterfaces"] == []


def test_attributes(cloud, make, one):
    ec2 = cloud.ec2
    made = make()
    id_ = made["NetworkInterfaceId"]

    def modify(id_=id_, **options):
        ec2.modify_network_interface_attribute(NetworkInterfaceId=id_, **options)

    def attribute(name, id_=id_):
        return ec2.describe_network_interface_attribute(NetworkInterfaceId=id_, Attribute=name)
    modify(Description={"Value": "new"})
    assert attribute("description")["Description"] == {"Value": "new"}
    modify(SourceDestCheck={"Value": False})
    assert attribute("sourceDestCheck")["SourceDestCheck"] == {"Value": False}
    ec2.reset_network_interface_attribute(NetworkInterfaceId=id_, SourceDestCheck="true")
    assert shown(cloud, id_)["SourceDestCheck"] is True
    g = group(cloud, "g")
    modify(Groups=[g])
    assert [x["GroupId"] for x in attribute("groupSet")["Groups"]] == [g]
    assert "Attachment" not in attribute("attachment")
    first = instance(cloud, one)["NetworkInterfaces"][0]
    modify(first["NetworkInterfaceId"], Attachment={
        "AttachmentId": first["Attachment"]["AttachmentId"], "DeleteOnTermination": False})
    assert attribute("attachment", first["NetworkInterfaceId"])["Attachment"][
        "DeleteOnTermination"] is False
    ec2.create_tags(Resources=[id_], Tags=[{"Key": "a", "Value": "b"}])
    for code, options in (
            ("MissingParameter", {}),
            ("InvalidParameterCombination", {"Description": {"Value": "x"}, "Groups": [g]}),
            ("InvalidGroup.NotFound", {"Groups": [group(cloud, "o", cloud.other)]}),
            ("InvalidAttachmentID.NotFound", {"Attachment": {
                "AttachmentId": "eni-attach-0123456789abcdef0", "DeleteOnTermination": True}})):
        with fails(code):
            modify(**options)
    with fails("MissingParameter"):
        ec2.describe_network_interface_attribute(NetworkInterfaceId=id_)
    with fails("InvalidNetworkInterfaceID.NotFound"):
        cloud.other.modify_network_interface_attribute(NetworkInterfaceId=id_,
                                                       Description={"Value": "x"})


def test_attach_to_a_running_one(cloud, make, one):
    ec2 = cloud.ec2
    id_ = make()["NetworkInterfaceId"]
    attachment = ec2.attach_network_interface(NetworkInterfaceId=id_, InstanceId=one,
                                              DeviceIndex=1)["AttachmentId"]
    seen = shown(cloud, id_)
    assert seen["Status"] == "in-use"
    assert seen["Attachment"]["Status"] == "attaching"
    cloud.settle()
    seen = shown(cloud, id_)["Attachment"]
    assert (seen["Status"], seen["AttachmentId"], seen["InstanceId"], seen["DeviceIndex"],
            seen["DeleteOnTermination"]) == ("attached", attachment, one, 1, False)
    interfaces = instance(cloud, one)["NetworkInterfaces"]
    assert [i["Attachment"]["DeviceIndex"] for i in interfaces] == [0, 1]
    with fails("InvalidParameterValue", "in use"):
        ec2.delete_network_interface(NetworkInterfaceId=id_)
    for code, options in (
            ("InvalidNetworkInterface.InUse", {"NetworkInterfaceId": id_, "DeviceIndex": 2}),
            ("InvalidParameterValue", {"NetworkInterfaceId": make()["NetworkInterfaceId"],
                                       "DeviceIndex": 1}),
            ("AttachmentLimitExceeded", {"NetworkInterfaceId": make()["NetworkInterfaceId"],
                                         "DeviceIndex": 2}),
            ("InvalidInstanceID.NotFound", {"NetworkInterfaceId": id_, "DeviceIndex": 2,
                                            "InstanceId": "i-0123456789abcdef0"}),
            ("InvalidParameterValue", {"NetworkInterfaceId": id_, "DeviceIndex": -1})):
        with fails(code):
            ec2.attach_network_interface(**dict({"InstanceId": one}, **options))
    # Several: which one is meant has to be said.
    eip = ec2.allocate_address()["AllocationId"]
    with fails("InvalidInstanceID", "multiple"):
        ec2.associate_address(AllocationId=eip, InstanceId=one)
    ec2.associate_address(AllocationId=eip, NetworkInterfaceId=id_)
    with fails("OperationNotPermitted"):
        ec2.detach_network_interface(AttachmentId=interfaces[0]["Attachment"]["AttachmentId"])
    with fails("InvalidAttachmentID.NotFound"):
        ec2.detach_network_interface(AttachmentId="eni-attach-0123456789abcdef0")
    with fails("InvalidAttachmentID.NotFound"):
        cloud.other.detach_network_interface(AttachmentId=attachment)
    ec2.detach_network_interface(AttachmentId=attachment)
    assert shown(cloud, id_)["Attachment"]["Status"] == "detaching"
    cloud.settle()
    seen = shown(cloud, id_)
    assert seen["Status"] == "available" and "Attachment" not in seen
    assert seen["Association"]["AllocationId"] == eip  # stays with the interface
    # Who waits for the end of this very attachment sees it.
    ended = ec2.describe_network_interfaces(Filters=[
        {"Name": "attachment.attachment-id", "Values": [attachment]}])["NetworkInterfaces"]
    assert [i["Attachment"] for i in ended] == [{"AttachmentId": attachment,
                                                 "Status": "detached"}]
    assert len(instance(cloud, one)["NetworkInterfaces"]) == 1
    ec2.delete_network_interface(NetworkInterfaceId=id_)
    ec2.release_address(AllocationId=eip)
    check(cloud)


def test_hosts_hear_of_it(cloud, make, one):
    def generation():
        return int(cloud.sql("SELECT generation FROM instance WHERE id = '%s'" % one)[0][0])
    id_ = make()["NetworkInterfaceId"]
    before = generation()
    attachment = cloud.ec2.attach_network_interface(
        NetworkInterfaceId=id_, InstanceId=one, DeviceIndex=1)["AttachmentId"]
    attached = generation()
    assert attached > before
    cloud.settle()
    cloud.ec2.detach_network_interface(AttachmentId=attachment, Force=True)
    detaching = generation()
    assert detaching > attached
    cloud.settle()
    assert generation() > detaching  # it may forget the port


def test_attach_to_a_stopped_one(cloud, make, one, launch):
    ec2 = cloud.ec2
    ec2.stop_instances(InstanceIds=[one])
    with fails("IncorrectInstanceState"):
        ec2.attach_network_interface(NetworkInterfaceId=make()["NetworkInterfaceId"],
                                     InstanceId=one, DeviceIndex=1)
    cloud.settle()
    id_ = make()["NetworkInterfaceId"]
    attachment = ec2.attach_network_interface(NetworkInterfaceId=id_, InstanceId=one,
                                              DeviceIndex=1)["AttachmentId"]
    assert shown(cloud, id_)["Attachment"]["Status"] == "attached"
    ec2.detach_network_interface(AttachmentId=attachment)
    assert shown(cloud, id_)["Status"] == "available"
    attachment = ec2.attach_network_interface(NetworkInterfaceId=id_, InstanceId=one,
                                              DeviceIndex=1)["AttachmentId"]
    ec2.modify_network_interface_attribute(NetworkInterfaceId=id_, Attachment={
        "AttachmentId": attachment, "DeleteOnTermination": True})
    ec2.start_instances(InstanceIds=[one])
    cloud.settle()
    # What is under way when it stops is over then.
    with fails("AttachmentLimitExceeded"):
        ec2.attach_network_interface(NetworkInterfaceId=make()["NetworkInterfaceId"],
                                     InstanceId=one, DeviceIndex=5)
    ec2.detach_network_interface(AttachmentId=attachment)
    ec2.stop_instances(InstanceIds=[one])
    cloud.settle()
    assert shown(cloud, id_)["Status"] == "available"


def test_other_zone(cloud, make, one):
    other = [s for s in cloud.ec2.describe_subnets()["Subnets"]
             if s["AvailabilityZone"] == "us-east-1b"][0]
    id_ = make(SubnetId=other["SubnetId"])["NetworkInterfaceId"]
    with fails("InvalidParameterCombination", "availability zone"):
        cloud.ec2.attach_network_interface(NetworkInterfaceId=id_, InstanceId=one, DeviceIndex=1)


def test_termination(cloud, make, one):
    ec2 = cloud.ec2
    kept = make()["NetworkInterfaceId"]
    ec2.attach_network_interface(NetworkInterfaceId=kept, InstanceId=one, DeviceIndex=1)
    ec2.terminate_instances(InstanceIds=[one])
    cloud.settle()
    assert [i["NetworkInterfaceId"] for i in
            ec2.describe_network_interfaces()["NetworkInterfaces"]] == [kept]
    assert shown(cloud, kept)["Status"] == "available"


# ---- further addresses ----

def test_addresses(cloud, make, subnet, one):
    ec2 = cloud.ec2
    id_ = instance(cloud, one)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    extra = in_subnet(subnet, 99)
    made = ec2.assign_private_ip_addresses(NetworkInterfaceId=id_, PrivateIpAddresses=[extra])
    assert made["AssignedPrivateIpAddresses"] == [{"PrivateIpAddress": extra}]
    assert private(shown(cloud, id_))[1:] == [extra]
    assert private(instance(cloud, one)["NetworkInterfaces"][0])[1:] == [extra]
    with fails("PrivateIpAddressLimitExceeded"):  # a t3.micro has two
        ec2.assign_private_ip_addresses(NetworkInterfaceId=id_, SecondaryPrivateIpAddressCount=1)
    ec2.assign_private_ip_addresses(NetworkInterfaceId=id_, PrivateIpAddresses=[extra])
    eip = ec2.allocate_address()
    ec2.associate_address(AllocationId=eip["AllocationId"], NetworkInterfaceId=id_,
                          PrivateIpAddress=extra)
    seen = shown(cloud, id_)
    assert seen["PrivateIpAddresses"][1]["Association"]["PublicIp"] == eip["PublicIp"]
    assert seen["Association"]["PublicIp"] != eip["PublicIp"]
    assert instance(cloud, one)["PublicIpAddress"] == seen["Association"]["PublicIp"]
    # It may move, with what leads to it.
    other = make()["NetworkInterfaceId"]
    with fails("InvalidIPAddress.InUse"):
        ec2.assign_private_ip_addresses(NetworkInterfaceId=other, PrivateIpAddresses=[extra])
    ec2.assign_private_ip_addresses(NetworkInterfaceId=other, PrivateIpAddresses=[extra],
                                    AllowReassignment=True)
    assert private(shown(cloud, id_))[1:] == []
    assert shown(cloud, other)["PrivateIpAddresses"][1]["Association"]["PublicIp"] == \
        eip["PublicIp"]
    with fails("InvalidParameterValue"):
        ec2.unassign_private_ip_addresses(NetworkInterfaceId=id_, PrivateIpAddresses=[extra])
    with fails("InvalidParameterValue"):  # its own address is for life
        ec2.unassign_private_ip_addresses(NetworkInterfaceId=other, PrivateIpAddresses=[
            shown(cloud, other)["PrivateIpAddress"]])
    ec2.unassign_private_ip_addresses(NetworkInterfaceId=other, PrivateIpAddresses=[extra])
    assert "AssociationId" not in ec2.describe_addresses()["Addresses"][0]
    with fails("InvalidIPAddress.InUse"):
        ec2.assign_private_ip_addresses(NetworkInterfaceId=other, AllowReassignment=True,
                                        PrivateIpAddresses=[shown(cloud, id_)["PrivateIpAddress"]])
    for code, options in (
            ("MissingParameter", {}),
            ("InvalidParameterCombination", {"PrivateIpAddresses": [extra],
                                             "SecondaryPrivateIpAddressCount": 1}),
            ("InvalidParameterValue", {"PrivateIpAddresses": ["10.1.2.3"]}),
            ("InvalidParameterValue", {"PrivateIpAddresses": [in_subnet(subnet, 2)]}),
            ("UnsupportedOperation", {"Ipv4PrefixCount": 1})):
        with fails(code):
            ec2.assign_private_ip_addresses(NetworkInterfaceId=other, **options)
    with fails("InvalidNetworkInterfaceID.NotFound"):
        cloud.other.assign_private_ip_addresses(NetworkInterfaceId=other,
                                                SecondaryPrivateIpAddressCount=1)
    check(cloud)


# ---- launches ----

def nic(index, **options):
    return dict({"DeviceIndex": index}, **options)


def test_launch_with_several(cloud, image, subnet, make, launch):
    g = group(cloud, "g")
    existing = make()["NetworkInterfaceId"]
    before = free(cloud)
    made = cloud.ec2.run_instances(
        ImageId=image, InstanceType="t3.large", MinCount=1, MaxCount=1, TagSpecifications=[
            {"ResourceType": "network-interface", "Tags": [{"Key": "a", "Value": "b"}]}],
        NetworkInterfaces=[
            nic(0, SubnetId=subnet["SubnetId"], SecondaryPrivateIpAddressCount=2),
            nic(1, SubnetId=subnet["SubnetId"], Groups=[g], Description="second",
                PrivateIpAddress=in_subnet(subnet, 50),
                PrivateIpAddresses=[{"PrivateIpAddress": in_subnet(subnet, 51)}]),
            nic(2, NetworkInterfaceId=existing)])["Instances"][0]
    interfaces = made["NetworkInterfaces"]
    assert [i["Attachment"]["DeviceIndex"] for i in interfaces] == [0, 1, 2]
    assert {i["Attachment"]["Status"] for i in interfaces} == {"attaching"}
    assert len(private(interfaces[0])) == 3
    assert private(interfaces[1]) == [in_subnet(subnet, 50), in_subnet(subnet, 51)]
    assert interfaces[1]["Description"] == "second"
    assert [x["GroupId"] for x in interfaces[1]["Groups"]] == [g]
    assert interfaces[2]["NetworkInterfaceId"] == existing
    assert [i["Attachment"]["DeleteOnTermination"] for i in interfaces] == [True, True, False]
    assert "PublicIpAddress" not in made  # with several there is none by itself
    assert free(cloud) == before
    assert made["PrivateIpAddress"] == interfaces[0]["PrivateIpAddress"]
    assert len(cloud.ec2.describe_tags()["Tags"]) == 2  # not of the one that was there
    cloud.settle()
    seen = cloud.ec2.describe_network_interfaces(Filters=[
        {"Name": "attachment.instance-id", "Values": [made["InstanceId"]]}])["NetworkInterfaces"]
    assert {i["Attachment"]["Status"] for i in seen} == {"attached"}
    cloud.ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    cloud.settle()
    assert [i["NetworkInterfaceId"] for i in cloud.ec2.describe_network_interfaces()[
        "NetworkInterfaces"]] == [existing]
    check(cloud)


def test_launch_on_an_existing_one(cloud, make, launch, subnet):
    existing = make(SecondaryPrivateIpAddressCount=1)
    id_ = existing["NetworkInterfaceId"]
    eip = cloud.ec2.allocate_address()
    cloud.ec2.associate_address(AllocationId=eip["AllocationId"], NetworkInterfaceId=id_)
    made = launch(NetworkInterfaces=[nic(0, NetworkInterfaceId=id_)])[0]
    assert made["NetworkInterfaces"][0]["NetworkInterfaceId"] == id_
    assert made["PrivateIpAddress"] == existing["PrivateIpAddress"]
    assert made["PublicIpAddress"] == eip["PublicIp"]
    assert made["SubnetId"] == subnet["SubnetId"]
    with fails("InvalidNetworkInterface.InUse"):
        launch(NetworkInterfaces=[nic(0, NetworkInterfaceId=id_)])
    cloud.settle()
    cloud.ec2.terminate_instances(InstanceIds=[made["InstanceId"]])
    cloud.settle()
    assert shown(cloud, id_)["Status"] == "available"


@pytest.mark.parametrize("nics, code", [
    ([nic(0), nic(1), nic(2)], "AttachmentLimitExceeded"),
    ([nic(0, SecondaryPrivateIpAddressCount=2)], "PrivateIpAddressLimitExceeded"),
    ([nic(1)], "InvalidParameterCombination"),
    ([nic(0), nic(0)], "InvalidParameterValue"),
    ([{"Description": "x"}], "MissingParameter"),
    ([nic(0, NetworkInterfaceId="eni-0123456789abcdef0")], "InvalidNetworkInterfaceID.NotFound"),
    ([nic(0, NetworkInterfaceId="eni-0123456789abcdef0", Groups=["sg-0123456789abcdef0"])],
     "InvalidParameterCombination"),
    ([nic(0, AssociatePublicIpAddress=True), nic(1)], "InvalidParameterCombination"),
    ([nic(0), nic(1, SubnetId="subnet-0123456789abcdef0")], "InvalidSubnetID.NotFound"),
    ([nic(0), nic(1, Groups=["sg-0123456789abcdef0"])], "InvalidGroup.NotFound"),
    ([nic(0, InterfaceType="efa")], "UnsupportedOperation"),
    ([nic(0, NetworkCardIndex=1)], "UnsupportedOperation"),
])
def test_launch_refusals(cloud, launch, nics, code):
    with fails(code):
        launch(NetworkInterfaces=nics)
    assert cloud.ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    check(cloud)


def test_launch_several_instances(cloud, launch):
    made = launch(3, NetworkInterfaces=[nic(0), nic(1)])
    assert [len(i["NetworkInterfaces"]) for i in made] == [2, 2, 2]
    assert len({x["PrivateIpAddress"] for i in made for x in i["NetworkInterfaces"]}) == 6
    with fails("InvalidParameterCombination"):
        launch(2, NetworkInterfaces=[nic(0, PrivateIpAddress="172.31.0.9")])


def test_types_say_what_they_allow(cloud):
    for name, limits in (("t3.nano", (2, 2)), ("t3.medium", (3, 6)), ("m5.xlarge", (4, 15)),
                         ("m5.4xlarge", (8, 30)), ("m5.24xlarge", (15, 50))):
        info = cloud.ec2.describe_instance_types(InstanceTypes=[name])["InstanceTypes"][0][
            "NetworkInfo"]
        assert (info["MaximumNetworkInterfaces"], info["Ipv4AddressesPerInterface"]) == limits


def test_filters(cloud, make, one, subnet):
    ec2 = cloud.ec2
    extra = make(Description="extra", SecondaryPrivateIpAddressCount=1)
    id_ = extra["NetworkInterfaceId"]
    ec2.attach_network_interface(NetworkInterfaceId=id_, InstanceId=one, DeviceIndex=1)

    def only(name, *values):
        return [i["NetworkInterfaceId"] for i in ec2.describe_network_interfaces(
            Filters=[{"Name": name, "Values": list(values)}])["NetworkInterfaces"]]
    assert only("attachment.status", "attaching") == [id_]
    assert only("attachment.device-index", "1") == [id_]
    assert only("description", "ex*") == [id_]
    assert only("addresses.private-ip-address", private(extra)[1]) == [id_]
    assert only("addresses.primary", "false") == [id_]
    assert only("mac-address", extra["MacAddress"]) == [id_]
    assert only("requester-managed", "true") == []
    assert len(only("subnet-id", subnet["SubnetId"])) == 2
    assert len(only("attachment.instance-id", one)) == 2
    assert only("status", "available") == []
