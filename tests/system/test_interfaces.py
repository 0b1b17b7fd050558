# SPDX-License-Identifier: Apache-2.0
"""Interfaces that come to running guests and leave them, and elastic IPs that move between them."""
import os
import select
import signal
import subprocess

import pytest

from cloud import SSH_OPTIONS
from conftest import run, wait_for


@pytest.fixture(scope="module")
def guest(cloud):
    instance = cloud.launch()
    cloud.wait_ssh(instance)
    return instance


@pytest.fixture(scope="module")
def others(cloud, guest):
    made = [cloud.launch(wait=False), cloud.launch(wait=False)]
    for instance in made:
        cloud.wait_state(instance, "running")
        cloud.wait_ssh(instance)
    return made


@pytest.fixture
def interface(cloud, guest):
    made = cloud.ec2.create_network_interface(
        SubnetId=cloud.describe(guest)["SubnetId"])["NetworkInterface"]
    yield made
    attachment = shown(cloud, made).get("Attachment")
    if attachment:  # the test failed half way
        cloud.ec2.detach_network_interface(AttachmentId=attachment["AttachmentId"], Force=True)
    wait_for(lambda: shown(cloud, made)["Status"] == "available", 60, "the interface to be free", 0.2)
    cloud.ec2.delete_network_interface(NetworkInterfaceId=made["NetworkInterfaceId"])


def shown(cloud, interface):
    return cloud.ec2.describe_network_interfaces(
        NetworkInterfaceIds=[interface["NetworkInterfaceId"]])["NetworkInterfaces"][0]


def attach(cloud, interface, instance):
    return cloud.ec2.attach_network_interface(
        NetworkInterfaceId=interface["NetworkInterfaceId"], InstanceId=instance,
        DeviceIndex=1)["AttachmentId"]


def wait_attached(cloud, interface):
    wait_for(lambda: shown(cloud, interface)["Attachment"]["Status"] == "attached", 60,
             "the interface to be attached", 0.2)


def detach(cloud, attachment, interface, **options):
    cloud.ec2.detach_network_interface(AttachmentId=attachment, **options)
    wait_for(lambda: shown(cloud, interface)["Status"] == "available", 60,
             "the interface to be detached", 0.2)


# A connection whose address is taken away says nothing any more.
ALIVE = ["-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=3"]


def ssh(cloud, address, command, check=True):
    done = run(["ssh"] + SSH_OPTIONS + ALIVE + ["-i", cloud.key, "root@" + address, command],
               check=check, deadline_s=30)
    return done.stdout if check else done


def reached(cloud, address, instance):
    """Waits until the address leads to the guest."""
    name = "ip-" + cloud.describe(instance)["PrivateIpAddress"].replace(".", "-")

    def answers():
        done = ssh(cloud, address, "hostname", check=False)
        return done.returncode == 0 and done.stdout.startswith(name)
    wait_for(answers, 60, "%s at %s" % (instance, address), 0.3)


@pytest.fixture
def elastic(cloud):
    made = []

    def go():
        made.append(cloud.ec2.allocate_address())
        return made[-1]
    yield go
    for eip in made:
        row = cloud.ec2.describe_addresses(AllocationIds=[eip["AllocationId"]])["Addresses"][0]
        if "AssociationId" in row:
            cloud.ec2.disassociate_address(AssociationId=row["AssociationId"])
        cloud.ec2.release_address(AllocationId=eip["AllocationId"])


def test_second_interface(cloud, guest, interface, elastic):
    attachment = attach(cloud, interface, guest)
    assert shown(cloud, interface)["Attachment"]["Status"] in ("attaching", "attached")
    wait_attached(cloud, interface)
    eip = elastic()
    cloud.ec2.associate_address(AllocationId=eip["AllocationId"],
                                NetworkInterfaceId=interface["NetworkInterfaceId"])
    reached(cloud, eip["PublicIp"], guest)
    assert interface["PrivateIpAddress"] in ssh(cloud, eip["PublicIp"], "ip -4 addr show eth1")
    macs = "wget -q -O - http://169.254.169.254/latest/meta-data/network/interfaces/macs/"
    assert len(cloud.ssh(guest, macs).split()) == 2
    wait_for(lambda: eip["PublicIp"] in cloud.ssh(
        guest, macs + interface["MacAddress"] + "/public-ipv4s", check=False).stdout, 30,
        "the address in the metadata", 0.3)
    # A guest that boots anew has it, too.
    cloud.reboot(guest)
    wait_for(lambda: interface["PrivateIpAddress"] in cloud.ssh(guest, "ip -4 addr", check=False).stdout, 60,
             "the address in the guest", 0.3)
    reached(cloud, eip["PublicIp"], guest)
    detach(cloud, attachment, interface)
    assert "eth1" not in cloud.ssh(guest, "ip link")
    assert ssh(cloud, eip["PublicIp"], "true", check=False).returncode != 0
    cloud.wait_no_leaks()


def test_again_and_again(cloud, guest, interface):
    for _ in range(3):
        attachment = attach(cloud, interface, guest)
        wait_attached(cloud, interface)
        wait_for(lambda: interface["PrivateIpAddress"] in cloud.ssh(guest, "ip -4 addr"), 30,
                 "the address in the guest", 0.3)
        detach(cloud, attachment, interface)


@pytest.mark.parametrize("daemon", ["virga-node", "virgad"])
def test_daemon_is_killed_half_way(cloud, guest, interface, daemon):
    def kill():
        former = cloud.kill(daemon)
        wait_for(lambda: cloud.pid(daemon) not in (None, former), 20, "new " + daemon)
        wait_for(lambda: "All is well." in cloud.virga("status", check=False).stdout, 60, "health",
                 0.3)
    pid = cloud.guest_pid(guest)
    attachment = attach(cloud, interface, guest)
    kill()
    wait_attached(cloud, interface)
    wait_for(lambda: interface["PrivateIpAddress"] in cloud.ssh(guest, "ip -4 addr"), 30,
             "the address in the guest", 0.3)
    cloud.ec2.detach_network_interface(AttachmentId=attachment)
    kill()
    wait_for(lambda: shown(cloud, interface)["Status"] == "available", 60,
             "the interface to be detached", 0.2)
    assert cloud.guest_pid(guest) == pid
    cloud.wait_no_leaks()


def test_guest_that_does_not_let_go(cloud, guest, interface):
    """It is waited for, unless by force."""
    attachment = attach(cloud, interface, guest)
    wait_attached(cloud, interface)
    wait_for(lambda: "eth1" in cloud.ssh(guest, "ip link"), 30, "the device in the guest", 0.3)
    # Without its driver for hot-plugging, the port's events are nobody's.
    cloud.ssh(guest, "for port in /sys/bus/pci/drivers/pcieport/0000:*; do"
                     " echo ${port##*/} > /sys/bus/pci/drivers/pcieport/unbind; done")
    cloud.ec2.detach_network_interface(AttachmentId=attachment)
    assert shown(cloud, interface)["Attachment"]["Status"] == "detaching"
    detach(cloud, attachment, interface, Force=True)
    assert cloud.ssh(guest, "hostname").startswith("ip-")
    cloud.reboot(guest)  # its kernel hears again


def test_secondary_address(cloud, guest, elastic):
    primary = cloud.describe(guest)["NetworkInterfaces"][0]
    id_ = primary["NetworkInterfaceId"]
    address = cloud.ec2.assign_private_ip_addresses(
        NetworkInterfaceId=id_, SecondaryPrivateIpAddressCount=1)[
            "AssignedPrivateIpAddresses"][0]["PrivateIpAddress"]
    eip = elastic()
    cloud.ec2.associate_address(AllocationId=eip["AllocationId"], NetworkInterfaceId=id_,
                                PrivateIpAddress=address)
    wait_for(lambda: cloud.ssh(guest, "ip addr replace %s/32 dev eth0" % address,
                               check=False).returncode == 0, 30, "the address in the guest", 0.3)
    reached(cloud, eip["PublicIp"], guest)
    reached(cloud, cloud.address(guest), guest)
    cloud.ec2.unassign_private_ip_addresses(NetworkInterfaceId=id_, PrivateIpAddresses=[address])
    wait_for(lambda: ssh(cloud, eip["PublicIp"], "true", check=False).returncode != 0, 30,
             "the address to lead nowhere", 0.2)
    wait_for(lambda: address not in cloud.ssh(
        guest, "ip addr del %s/32 dev eth0; ip addr" % address, check=False).stdout, 30,
        "the end of the address in the guest", 0.3)


class Echo:
    """A connection to a guest that stays: what is said comes back."""

    def __init__(self, cloud, instance):
        self.process = subprocess.Popen(
            ["ssh"] + SSH_OPTIONS + ["-i", cloud.key, "root@" + cloud.address(instance), "cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def works(self, word):
        self.process.stdin.write(word + b"\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], 20)
        return bool(ready) and os.read(self.process.stdout.fileno(), 100) == word + b"\n"

    def close(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def test_elastic_ip_moves(cloud, guest, others, elastic):
    eip = elastic()
    echo = Echo(cloud, others[1])
    try:
        assert echo.works(b"before")
        for instance in (guest, others[0], guest):
            cloud.ec2.associate_address(AllocationId=eip["AllocationId"], InstanceId=instance)
            assert cloud.address(instance) == eip["PublicIp"]
            reached(cloud, eip["PublicIp"], instance)
            assert echo.works(b"still")
        # The one that lost it has an address of the pool again.
        reached(cloud, cloud.address(others[0]), others[0])
        assert echo.works(b"after")
    finally:
        echo.close()


def test_attached_while_stopped(cloud, others, interface):
    instance = others[0]
    cloud.ec2.stop_instances(InstanceIds=[instance])
    cloud.wait_state(instance, "stopped")
    attachment = attach(cloud, interface, instance)
    assert shown(cloud, interface)["Attachment"]["Status"] == "attached"
    cloud.ec2.start_instances(InstanceIds=[instance])
    cloud.wait_state(instance, "running")
    cloud.wait_ssh(instance)
    wait_for(lambda: interface["PrivateIpAddress"] in cloud.ssh(instance, "ip -4 addr show eth1"),
             30, "the address in the guest", 0.3)
    detach(cloud, attachment, interface)
