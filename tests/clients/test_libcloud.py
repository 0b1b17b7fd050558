# SPDX-License-Identifier: Apache-2.0
"""python3-libcloud's EC2 driver, as Debian has it: old habits of signing, namespaces and versions."""
import os
import urllib.parse

import pytest
from libcloud.common.types import LibcloudError
from libcloud.compute.base import NodeImage
from libcloud.compute.providers import get_driver
from libcloud.compute.types import NodeState, Provider

from conftest import wait_for


@pytest.fixture
def driver(fake_cloud, recorded, monkeypatch):
    monkeypatch.setenv("http_proxy", recorded.url)
    env = fake_cloud.env
    url = urllib.parse.urlsplit(env["AWS_ENDPOINT_URL"])
    return get_driver(Provider.EC2)(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], secure=False,
                                    host=url.hostname, port=url.port, region="us-east-1", signature_version="4",
                                    token=os.environ.get("AWS_SESSION_TOKEN"))


def node_of(driver, node):
    return next((one for one in driver.list_nodes(ex_node_ids=[node.id])), None)


@pytest.fixture
def node(driver, fake_cloud):
    size = next(one for one in driver.list_sizes() if one.id == "t3.nano")
    image = NodeImage(fake_cloud.image_id(), "micro", driver)
    node = driver.create_node(name="libcloud", image=image, size=size, ex_metadata={"purpose": "test"})
    yield node
    driver.destroy_node(node)


def test_places(driver, fake_cloud):
    assert {zone.availability_zone.name for zone in driver.list_locations()} >= {"us-east-1a"}
    assert fake_cloud.image_id() in [image.id for image in driver.list_images(ex_owner="self")]
    networks = driver.ex_list_networks()
    assert networks and all(subnet.extra["vpc_id"] in [network.id for network in networks]
                            for subnet in driver.ex_list_subnets())


def test_life(driver, node):
    assert node.name == "libcloud" and node.extra["tags"]["purpose"] == "test"
    wait_for(lambda: node_of(driver, node).state == NodeState.RUNNING, 60, "running node")
    running = node_of(driver, node)
    assert running.private_ips and running.extra["instance_type"] == "t3.nano"
    assert driver.ex_create_tags(running, {"more": "tags"})
    assert driver.ex_describe_tags(running)["more"] == "tags"
    assert driver.reboot_node(running)
    assert driver.stop_node(running)
    wait_for(lambda: node_of(driver, node).state == NodeState.STOPPED, 60, "stopped node")
    assert driver.start_node(running)
    wait_for(lambda: node_of(driver, node).state == NodeState.RUNNING, 60, "node that runs again")


def test_keys_and_groups(driver):
    key = driver.create_key_pair("libcloud")
    assert key.private_key.startswith("-----BEGIN")
    assert driver.get_key_pair("libcloud").fingerprint == key.fingerprint
    assert driver.delete_key_pair(key)
    group = driver.ex_create_security_group("libcloud", "made by libcloud")["group_id"]
    assert driver.ex_authorize_security_group_ingress(group, 22, 22, cidr_ips=["192.0.2.0/24"])
    found = next(one for one in driver.ex_get_security_groups(group_ids=[group]))
    assert found.ingress_rules[0]["cidr_ips"] == ["192.0.2.0/24"]
    assert driver.ex_revoke_security_group_ingress(group, 22, 22, cidr_ips=["192.0.2.0/24"])
    assert driver.ex_delete_security_group_by_id(group)


def test_error(driver):
    with pytest.raises((LibcloudError, Exception), match="InvalidInstanceID.Malformed"):
        driver.list_nodes(ex_node_ids=["nonsense"])
