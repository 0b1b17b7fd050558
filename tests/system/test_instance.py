# SPDX-License-Identifier: Apache-2.0
"""An instance is a real machine: what the API says of it is what one finds in it.

Two guests for the whole module; the tests go through their lives in the file's order."""
import json
import os
import re

import pytest
from botocore.exceptions import ClientError

import vpc
from cloud import ACCOUNT
from conftest import wait_for

USER_DATA = """#!/bin/sh
echo run >>/root/runs
cat /proc/sys/kernel/random/boot_id >/root/boot
"""
FAST = {"Delay": 1, "MaxAttempts": 120}
METADATA = "http://169.254.169.254/latest/"


class Pair:
    """The first takes what is usual; the second is strict about metadata."""

    def __init__(self, cloud):
        common = dict(wait=False, UserData=USER_DATA, TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "first & only"}]},
            {"ResourceType": "volume", "Tags": [{"Key": "of", "Value": "test"}]}])
        self.first = cloud.launch(
            MetadataOptions={"HttpTokens": "optional", "HttpPutResponseHopLimit": 2,
                             "InstanceMetadataTags": "enabled"},
            BlockDeviceMappings=[
                {"DeviceName": cloud.ec2.describe_images(ImageIds=[cloud.image_id()])
                    ["Images"][0]["RootDeviceName"], "Ebs": {"VolumeSize": 3}},
                {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1, "DeleteOnTermination": False}}],
            **common)
        self.states = [cloud.state_of(self.first)]
        self.second = cloud.launch(MetadataOptions={"HttpTokens": "required"}, **common)
        for name in ("instance_exists", "instance_running"):
            cloud.ec2.get_waiter(name).wait(InstanceIds=[self.first, self.second], WaiterConfig=FAST)
        self.states.append(cloud.state_of(self.first))
        for instance in (self.first, self.second):
            cloud.wait_ssh(instance)
            wait_for(lambda: "user-data exit 0" in cloud.console(instance), 60, "user-data of " + instance)


@pytest.fixture(scope="module")
def pair(cloud):
    return Pair(cloud)


def imds(cloud, instance, method, path, *headers):
    """A request to the metadata service from within a guest: status and body."""
    request = r"%s /latest/%s HTTP/1.0\r\nHost: 169.254.169.254\r\nContent-Length: 0\r\n" % (method, path)
    request += "".join(header + r"\r\n" for header in headers) + r"\r\n"
    answer = cloud.ssh(instance, "rm -f /run/q; mkfifo /run/q; "
                       "nc -w 4 169.254.169.254 80 <>/run/q >/run/a 2>/dev/null & "
                       "printf '%s' >/run/q; wait $!; cat /run/a" % request)
    head, _, body = answer.replace("\r\n", "\n").partition("\n\n")
    return int(head.split()[1]), body


def token(cloud, instance):
    status, text = imds(cloud, instance, "PUT", "api/token", "X-aws-ec2-metadata-token-ttl-seconds: 60")
    assert status == 200
    return text


def test_states(pair):
    assert pair.states == ["pending", "running"]


def test_status_waiters(cloud, pair):
    for name in ("instance_status_ok", "system_status_ok"):
        cloud.ec2.get_waiter(name).wait(InstanceIds=[pair.first, pair.second], WaiterConfig=FAST)
    status = cloud.ec2.describe_instance_status(InstanceIds=[pair.first])["InstanceStatuses"][0]
    assert status["InstanceState"]["Name"] == "running"
    assert status["InstanceStatus"]["Details"][0]["Status"] == "passed"


def test_names_and_addresses(cloud, pair):
    for instance in (pair.first, pair.second):
        said = cloud.describe(instance)
        name = "ip-" + said["PrivateIpAddress"].replace(".", "-")
        assert re.match(r"172\.31\.\d+\.\d+$", said["PrivateIpAddress"])
        assert said["PrivateDnsName"] == name + ".ec2.internal"
        assert cloud.ssh(instance, "hostname").strip() == name
        shown = cloud.ssh(instance, "ip -4 -o addr show dev eth0")
        assert " %s/20 " % said["PrivateIpAddress"] in shown
        assert said["NetworkInterfaces"][0]["MacAddress"] in cloud.ssh(instance, "ip -o link show eth0")


def test_key(cloud, pair):
    with open(cloud.key + ".pub") as file:
        public = " ".join(file.read().split()[:2])
    assert cloud.ssh(pair.first, "cat ~/.ssh/authorized_keys").startswith(public)
    assert imds(cloud, pair.first, "GET", "meta-data/public-keys/") == (200, "0=test")
    assert imds(cloud, pair.first, "GET", "meta-data/public-keys/0/openssh-key")[1].startswith(public)


def test_user_data_ran_once(cloud, pair):
    assert cloud.ssh(pair.first, "cat /root/runs") == "run\n"
    assert cloud.ssh(pair.first, "cat /root/boot").strip() == cloud.boot_id(pair.first)
    assert imds(cloud, pair.first, "GET", "user-data") == (200, USER_DATA)


def test_metadata(cloud, pair):
    said = cloud.describe(pair.first)
    wanted = {"instance-id": pair.first, "local-ipv4": said["PrivateIpAddress"],
              "public-ipv4": said["PublicIpAddress"], "ami-id": said["ImageId"],
              "instance-type": "t3.nano", "mac": said["NetworkInterfaces"][0]["MacAddress"],
              "local-hostname": said["PrivateDnsName"], "security-groups": "default",
              "placement/availability-zone": said["Placement"]["AvailabilityZone"],
              "placement/region": "us-east-1", "tags/instance/Name": "first & only"}
    script = "; ".join("echo \"%s=$(wget -q -O - %smeta-data/%s)\"" % (path, METADATA, path)
                       for path in wanted)
    found = dict(line.split("=", 1) for line in cloud.ssh(pair.first, script).splitlines())
    assert found == wanted


def test_role(cloud, pair):
    """What the guest finds at its metadata service lets it do what its role may."""
    iam = cloud.client("iam")
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole",
                 "Principal": {"Service": "ec2.amazonaws.com"}}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    iam.create_role(RoleName="guest", AssumeRolePolicyDocument=json.dumps(document))
    iam.attach_role_policy(RoleName="guest",
                           PolicyArn="arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess")
    arn = iam.create_instance_profile(InstanceProfileName="guest")["InstanceProfile"]["Arn"]
    iam.add_role_to_instance_profile(InstanceProfileName="guest", RoleName="guest")
    assert imds(cloud, pair.first, "GET", "meta-data/iam/info")[0] == 404
    association = cloud.ec2.associate_iam_instance_profile(
        InstanceId=pair.first, IamInstanceProfile={"Name": "guest"})[
            "IamInstanceProfileAssociation"]["AssociationId"]
    folder = "meta-data/iam/security-credentials/"
    wait_for(lambda: imds(cloud, pair.first, "GET", folder) == (200, "guest"), 30,
             "the role in the metadata")
    info = json.loads(imds(cloud, pair.first, "GET", "meta-data/iam/info")[1])
    assert (info["Code"], info["InstanceProfileArn"]) == ("Success", arn)
    found = json.loads(imds(cloud, pair.first, "GET", folder + "guest")[1])
    with_role = {"aws_access_key_id": found["AccessKeyId"],
                 "aws_secret_access_key": found["SecretAccessKey"],
                 "aws_session_token": found["Token"]}
    caller = cloud.client("sts", **with_role).get_caller_identity()["Arn"]
    assert caller.endswith(":assumed-role/guest/" + pair.first)
    ec2 = cloud.client("ec2", **with_role)
    assert ec2.describe_instances()["Reservations"]
    with pytest.raises(ClientError, match="UnauthorizedOperation"):
        ec2.terminate_instances(InstanceIds=[pair.first])
    cloud.ec2.disassociate_iam_instance_profile(AssociationId=association)
    wait_for(lambda: imds(cloud, pair.first, "GET", folder)[0] == 404, 30, "the role is gone")


def test_tag_set_later_is_seen(cloud, pair):
    cloud.ec2.create_tags(Resources=[pair.first], Tags=[{"Key": "later", "Value": "1"}])
    wait_for(lambda: imds(cloud, pair.first, "GET", "meta-data/tags/instance/later") == (200, "1"), 10,
             "the tag in the guest", 0.2)


def test_identity_document(cloud, pair):
    said = cloud.describe(pair.first)
    document = json.loads(cloud.ssh(pair.first, "wget -q -O - %sdynamic/instance-identity/document" % METADATA))
    assert document["instanceId"] == pair.first and document["accountId"] == ACCOUNT
    assert document["privateIp"] == said["PrivateIpAddress"] and document["region"] == "us-east-1"
    assert document["imageId"] == said["ImageId"] and document["architecture"] == "x86_64"
    assert document["pendingTime"] == said["LaunchTime"].strftime("%Y-%m-%dT%H:%M:%SZ")


def test_tokens(cloud, pair):
    header = "X-aws-ec2-metadata-token: "
    for instance in (pair.first, pair.second):
        assert imds(cloud, instance, "GET", "meta-data/instance-id",
                    header + token(cloud, instance)) == (200, instance)
        assert imds(cloud, instance, "GET", "meta-data/instance-id", header + "nonsense")[0] == 401
    assert imds(cloud, pair.second, "GET", "meta-data/instance-id")[0] == 401
    assert imds(cloud, pair.second, "GET", "meta-data/instance-id",
                header + token(cloud, pair.first))[0] == 401
    assert imds(cloud, pair.second, "PUT", "api/token", "X-aws-ec2-metadata-token-ttl-seconds: 60",
                "X-Forwarded-For: 10.0.0.1")[0] == 403
    assert imds(cloud, pair.second, "GET", "meta-data/tags/instance/Name",
                header + token(cloud, pair.second))[0] == 404


@pytest.mark.parametrize("which, limit", [("first", 2), ("second", 1)])
def test_hop_limit(cloud, pair, which, limit):
    """The answer with a token dies on the hop after the limit, other answers do not."""
    instance = getattr(pair, which)

    def answers(sniffer):
        return [packet.ttl for packet in sniffer.packets()
                if packet.source == "169.254.169.254" and packet.source_port == 80 and packet.size]
    with vpc.Sniffer(vpc.namespace(), vpc.tap(cloud, instance)) as sniffer:
        text = token(cloud, instance)
        wait_for(lambda: answers(sniffer), 5, "packet with the token")
        assert set(answers(sniffer)) == {limit}
    with vpc.Sniffer(vpc.namespace(), vpc.tap(cloud, instance)) as sniffer:
        imds(cloud, instance, "GET", "meta-data/instance-id", "X-aws-ec2-metadata-token: " + text)
        wait_for(lambda: answers(sniffer), 5, "packet of an answer")
        assert set(answers(sniffer)) == {64}


def test_dns(cloud, pair):
    other = cloud.describe(pair.second)
    name, address = other["PrivateDnsName"], other["PrivateIpAddress"]
    assert "nameserver 172.31.0.2" in cloud.ssh(pair.first, "cat /etc/resolv.conf")
    for asked in (name, name.split(".")[0] + ".ec2.internal"):
        assert address in cloud.ssh(pair.first, "nslookup %s 172.31.0.2" % asked)
    assert name in cloud.ssh(pair.first, "nslookup %s 169.254.169.253" % address)
    assert "1 packets received" in cloud.ssh(pair.first, "ping -c 1 -W 3 " + name.split(".")[0])


def console_output(cloud, instance):
    return cloud.ec2.get_console_output(InstanceId=instance, Latest=True).get("Output", "")


def test_console_output(cloud, pair):
    assert "login ready instance-id=" + pair.first in console_output(cloud, pair.first)
    cloud.ssh(pair.first, "echo just printed >/dev/console")
    wait_for(lambda: "just printed" in console_output(cloud, pair.first), 3, "line in GetConsoleOutput", 0.1)


def test_uefi(cloud, image_micro):
    """Firmware of the other kind finds the system partition; its variables go with the instance."""
    image = cloud.import_image(image_micro, "micro-uefi", "--boot-mode", "uefi")
    assert cloud.ec2.describe_images(ImageIds=[image])["Images"][0]["BootMode"] == "uefi"
    instance = cloud.launch(ImageId=image)
    assert cloud.describe(instance)["BootMode"] == "uefi"
    cloud.wait_ssh(instance)
    assert cloud.ssh(instance, "ls /sys/firmware/efi/systab").strip() == "/sys/firmware/efi/systab"
    variables = cloud.state + "/libvirt/lib/qemu/nvram"
    assert [name for name in os.listdir(variables) if instance in name]
    cloud.ec2.reboot_instances(InstanceIds=[instance])
    wait_for(lambda: console_output(cloud, instance).count("login ready instance-id=") == 2, 120,
             "second boot", 0.5)
    cloud.ec2.terminate_instances(InstanceIds=[instance])
    cloud.wait_state(instance, "terminated")
    assert os.listdir(variables) == []


def test_last_console_output(cloud):
    """What a guest printed in the end is there when it is stopped, and when it is terminated."""
    instance = cloud.launch()
    cloud.wait_ssh(instance)
    for verb, state in (("stop", "stopped"), ("start", "running"), ("terminate", "terminated")):
        if verb == "terminate":
            cloud.wait_ssh(instance)
        getattr(cloud.ec2, verb + "_instances")(InstanceIds=[instance])
        cloud.wait_state(instance, state)
        stops = {"stop": 1, "start": 1, "terminate": 2}[verb]
        assert console_output(cloud, instance).count("micro: stopping") == stops, state
    assert cloud.console(instance) == ""


def test_volumes(cloud, pair):
    said = cloud.describe(pair.first)
    volumes = cloud.ec2.describe_volumes(
        Filters=[{"Name": "attachment.instance-id", "Values": [pair.first]}])["Volumes"]
    by_device = {volume["Attachments"][0]["Device"]: volume for volume in volumes}
    assert sorted(by_device) == sorted(["/dev/sdf", said["RootDeviceName"]])
    for device, size, goes in ((said["RootDeviceName"], 3, True), ("/dev/sdf", 1, False)):
        volume = by_device[device]
        assert volume["State"] == "in-use" and volume["Size"] == size
        assert volume["Attachments"][0]["State"] == "attached"
        assert volume["Attachments"][0]["DeleteOnTermination"] is goes
        assert {"Key": "of", "Value": "test"} in volume["Tags"]
        link = "/dev/disk/by-id/virtio-" + volume["VolumeId"].replace("-", "")
        sectors = cloud.ssh(pair.first, "cat /sys/block/$(basename $(readlink -f %s))/size" % link)
        assert int(sectors) * 512 == size << 30
    kib = int(cloud.ssh(pair.first, "df -k / | tail -n 1 | awk '{print $2}'"))
    assert kib > 2800 * 1024
    cloud.ssh(pair.first, "mkfs.ext4 -q /dev/vdb && mount /dev/vdb /mnt && echo kept >/mnt/file && umount /mnt")


def test_reboot(cloud, pair):
    before, said, pid = cloud.boot_id(pair.first), cloud.describe(pair.first), cloud.guest_pid(pair.first)
    cloud.ec2.reboot_instances(InstanceIds=[pair.first])
    cloud.wait_boot(pair.first, before)
    now = cloud.describe(pair.first)
    for key in ("PrivateIpAddress", "PublicIpAddress", "LaunchTime"):
        assert now[key] == said[key]
    assert cloud.guest_pid(pair.first) == pid
    assert cloud.ssh(pair.first, "cat /root/runs") == "run\n"


def test_stop(cloud, pair):
    before = cloud.describe(pair.first)
    change = cloud.ec2.stop_instances(InstanceIds=[pair.first])["StoppingInstances"][0]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "stopping")
    with pytest.raises(ClientError) as refused:
        cloud.ec2.start_instances(InstanceIds=[pair.first])
    assert refused.value.response["Error"]["Code"] == "IncorrectInstanceState"
    cloud.ec2.get_waiter("instance_stopped").wait(InstanceIds=[pair.first], WaiterConfig=FAST)
    said = cloud.describe(pair.first)
    assert "PublicIpAddress" not in said and said["PublicDnsName"] == ""
    assert said["PrivateIpAddress"] == before["PrivateIpAddress"]
    assert said["StateReason"]["Code"] == "Client.UserInitiatedShutdown"
    assert said["StateTransitionReason"].startswith("User initiated (20")
    assert cloud.guest_pid(pair.first) is None
    end = cloud.console(pair.first)[-3000:]
    assert "micro: stopping" in end and "Power down" in end
    assert cloud.ec2.describe_instance_status(InstanceIds=[pair.first])["InstanceStatuses"] == []
    status = cloud.ec2.describe_instance_status(InstanceIds=[pair.first], IncludeAllInstances=True)
    assert status["InstanceStatuses"][0]["InstanceState"]["Name"] == "stopped"


def test_start(cloud, pair):
    """As another, larger type."""
    cloud.ec2.modify_instance_attribute(InstanceId=pair.first, InstanceType={"Value": "t3.micro"})
    before = cloud.describe(pair.first)
    cloud.ec2.start_instances(InstanceIds=[pair.first])
    cloud.ec2.get_waiter("instance_running").wait(InstanceIds=[pair.first], WaiterConfig=FAST)
    cloud.wait_ssh(pair.first)
    said = cloud.describe(pair.first)
    assert said["PrivateIpAddress"] == before["PrivateIpAddress"] and said["PublicIpAddress"]
    assert said["LaunchTime"] > before["LaunchTime"] and "StateReason" not in said
    assert cloud.ssh(pair.first, "cat /root/runs") == "run\n"
    assert "recover" not in cloud.ssh(pair.first, "dmesg | grep -i ext4")
    assert cloud.ssh(pair.first, "mount /dev/vdb /mnt && cat /mnt/file && umount /mnt") == "kept\n"
    assert imds(cloud, pair.first, "GET", "meta-data/public-ipv4") == (200, said["PublicIpAddress"])
    assert imds(cloud, pair.first, "GET", "meta-data/instance-type") == (200, "t3.micro")
    memory = cloud.ssh(pair.first, "grep MemTotal /proc/meminfo").split()[1]
    assert int(memory) > 800 * 1024  # of 1024 MiB; t3.nano has 512


def power_off(cloud, instance):
    cloud.ssh(instance, "poweroff", check=False)


def test_guest_stops_itself(cloud, pair):
    power_off(cloud, pair.first)
    cloud.ec2.get_waiter("instance_stopped").wait(InstanceIds=[pair.first], WaiterConfig=FAST)
    said = cloud.describe(pair.first)
    assert said["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    assert "PublicIpAddress" not in said


def test_guest_ends_itself(cloud, pair):
    cloud.ec2.modify_instance_attribute(InstanceId=pair.second,
                                        InstanceInitiatedShutdownBehavior={"Value": "terminate"})
    power_off(cloud, pair.second)
    cloud.ec2.get_waiter("instance_terminated").wait(InstanceIds=[pair.second], WaiterConfig=FAST)
    assert cloud.describe(pair.second)["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_terminate(cloud, pair):
    """It stays visible, without anything that was its own; a volume that was to stay stays."""
    volumes = [mapping["Ebs"]["VolumeId"] for mapping in cloud.describe(pair.first)["BlockDeviceMappings"]]
    cloud.ec2.terminate_instances(InstanceIds=[pair.first])
    cloud.ec2.get_waiter("instance_terminated").wait(InstanceIds=[pair.first], WaiterConfig=FAST)
    for instance in (pair.first, pair.second):
        said = cloud.describe(instance)
        for key in ("PrivateIpAddress", "PublicIpAddress", "SubnetId", "VpcId"):
            assert key not in said
        assert said["NetworkInterfaces"] == [] and said["BlockDeviceMappings"] == []
        assert {"Key": "Name", "Value": "first & only"} in said["Tags"]
        assert cloud.console(instance) == ""
    left = cloud.ec2.describe_volumes()["Volumes"]
    assert [(volume["State"], volume["Size"]) for volume in left] == [("available", 1)]
    assert left[0]["VolumeId"] in volumes
    cloud.wait_no_leaks()
