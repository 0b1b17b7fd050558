# SPDX-License-Identifier: Apache-2.0
"""Guests live longer than anything that takes care of them."""
import base64
import signal

import pytest

from conftest import run, wait_for


@pytest.fixture(scope="module")
def guest(cloud):
    instance = cloud.launch()
    cloud.wait_ssh(instance)
    return instance


def check_same(cloud, guest, pid):
    assert cloud.guest_pid(guest) == pid
    assert cloud.ssh(guest, "hostname").startswith("ip-")
    wait_for(lambda: cloud.state_of(guest) == "running", 30, "state running", 0.3)
    assert guest in cloud.virsh("list", "--name")


def well(cloud):
    wait_for(lambda: "All is well." in cloud.virga("status", check=False).stdout, 60, "health", 0.3)


@pytest.mark.parametrize("daemon", ["postgresql", "libvirtd", "virgad", "virga-node"])
def test_daemon_is_killed(cloud, guest, daemon):
    pid = cloud.guest_pid(guest)
    former = cloud.kill(daemon)
    wait_for(lambda: cloud.pid(daemon) not in (None, former), 20, "new " + daemon)
    well(cloud)
    check_same(cloud, guest, pid)


def test_supervisor_is_killed(cloud, guest):
    pid = cloud.guest_pid(guest)
    cloud.kill("supervise")
    cloud.up()
    check_same(cloud, guest, pid)


def test_down_and_up(cloud, guest):
    pid = cloud.guest_pid(guest)
    cloud.down()
    assert cloud.guest_pid(guest) == pid
    cloud.up()
    check_same(cloud, guest, pid)


def test_reconfigured(cloud, guest):
    """A guest that was adopted can still be told what to do."""
    cloud.reboot(guest)


def test_why_and_console(cloud, guest):
    assert "running" in cloud.virga("why", guest).stdout
    assert "Linux" in cloud.console(guest)


def test_screen_and_interrupt(cloud, guest):
    answer = cloud.ec2.get_console_screenshot(InstanceId=guest)
    picture = base64.b64decode(answer["ImageData"])
    assert answer["InstanceId"] == guest and picture[:3] == b"\xff\xd8\xff"
    assert picture[-2:] == b"\xff\xd9" and len(picture) > 1000
    cloud.ec2.send_diagnostic_interrupt(InstanceId=guest)
    wait_for(lambda: "NMI" in cloud.console(guest), 30, "the kernel's word on it", 0.3)
    assert cloud.ssh(guest, "hostname").startswith("ip-")


def test_metadata_options_change_live(cloud, guest):
    ask = "wget -q -O - http://169.254.169.254/latest/meta-data/instance-id || echo refused"

    def set_to(**options):
        cloud.ec2.modify_instance_metadata_options(InstanceId=guest, **options)
        wait_for(lambda: cloud.describe(guest)["MetadataOptions"]["State"] == "applied", 30,
                 "the options to be applied", 0.2)
    assert cloud.ssh(guest, ask) == guest
    try:
        set_to(HttpTokens="required")
        assert cloud.ssh(guest, ask).strip() == "refused"
        set_to(HttpTokens="optional", HttpEndpoint="disabled")
        assert cloud.ssh(guest, ask).strip() == "refused"
    finally:
        set_to(HttpTokens="optional", HttpEndpoint="enabled")
    assert cloud.ssh(guest, ask) == guest


def test_groups_change_live(cloud, guest):
    former = cloud.describe(guest)["SecurityGroups"][0]["GroupId"]
    closed = cloud.ec2.create_security_group(GroupName="closed", Description="d")["GroupId"]
    cloud.ec2.modify_instance_attribute(InstanceId=guest, Groups=[closed])
    try:
        wait_for(lambda: cloud.ssh(guest, "true", check=False).returncode != 0, 60,
                 "the guest to be out of reach", 0.3)
    finally:
        cloud.ec2.modify_instance_attribute(InstanceId=guest, Groups=[former])
    cloud.wait_ssh(guest)
    cloud.ec2.delete_security_group(GroupId=closed)


def test_rules_that_nothing_claims(cloud, guest):
    vpc = "virga-vga-" + cloud.describe(guest)["VpcId"]
    inside = ["ip", "netns", "exec", vpc, "nft"]
    assert cloud.leaks() == []
    cloud.kill("virga-node", signal.SIGSTOP)  # it would repair its tables
    try:
        run(["nft", "add", "chain", "inet", "virga_vga", "stray"])
        run(inside + ["add table ip stray"])
        run(inside + ["add chain inet virga eni_0abcdabcdabcdabcd_in"])
        run(inside + ["add set inet virga members_sg_0abcdabcdabcdabcd { type ipv4_addr; }"])
        run(inside + ['add element arp virga macs { "vvgabcdabcdabcd" . 02:00:00:00:00:09 }'])
        found = cloud.leaks()
    finally:
        cloud.kill("virga-node", signal.SIGCONT)
    assert sorted(found) == sorted([
        "leak: chain stray of nftables in the host",
        "leak: table ip stray of nftables in " + vpc,
        "leak: chain eni_0abcdabcdabcdabcd_in of nftables in " + vpc,
        "leak: set members_sg_0abcdabcdabcdabcd of nftables in " + vpc,
        "leak: tap vvgabcdabcdabcd in set macs of nftables in " + vpc])
    run(inside + ["delete table ip stray"])
    wait_for(lambda: cloud.leaks() == [], 60, "repair", 0.5)


def test_down_with_instances(cloud, guest):
    cloud.down("--stop-instances")
    assert cloud.guest_pid(guest) is None
    cloud.up()
    assert cloud.state_of(guest) == "stopped"
    cloud.ec2.terminate_instances(InstanceIds=[guest])
    cloud.wait_state(guest, "terminated")
    assert cloud.leaks() == []
