# SPDX-License-Identifier: Apache-2.0
"""Guests live longer than anything that takes care of them."""
import pytest

from conftest import wait_for


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
    cloud.ec2.reboot_instances(InstanceIds=[guest])
    cloud.wait_ssh(guest)


def test_why_and_console(cloud, guest):
    assert "running" in cloud.virga("why", guest).stdout
    assert "Linux" in cloud.console(guest)


def test_down_with_instances(cloud, guest):
    cloud.down("--stop-instances")
    assert cloud.guest_pid(guest) is None
    cloud.up()
    assert cloud.state_of(guest) == "stopped"
    cloud.ec2.terminate_instances(InstanceIds=[guest])
    cloud.wait_state(guest, "terminated")
    assert cloud.leaks() == []
