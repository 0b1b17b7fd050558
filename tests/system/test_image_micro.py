# SPDX-License-Identifier: Apache-2.0
"""The micro image does what the tests of the cloud expect of a guest."""
import re

import pytest

from imds import MetadataServer
from qemu import Guest

USER_DATA = """#!/bin/sh
echo run >>/root/runs
echo "on $(hostname)" >/root/where
exit 3
"""


@pytest.fixture(scope="module")
def cloud(image_micro, tmp_path_factory):
    """A guest that came up with metadata; its disk is larger than its image."""
    guest = Guest(image_micro, str(tmp_path_factory.mktemp("micro")), disk="300M",
                  uuid="ec200000-0000-4000-8000-000000000001")
    metadata = MetadataServer(guest.public_key, user_data=USER_DATA)
    with guest:
        guest.wait_console("micro: user-data exit")
        yield guest, metadata
    metadata.stop()


def test_uses_version_2_of_the_metadata_service(cloud):
    guest, metadata = cloud
    assert re.search("login ready instance-id=i-0123456789abcdef0 hostname=ip-10-0-0-5 imds=v2 keys=1",
                     guest.console())
    assert ("PUT", "/latest/api/token", 200) in metadata.requests
    assert not [request for request in metadata.requests if request[2] == 401]


def test_login_with_the_key(cloud):
    guest, _ = cloud
    assert guest.ssh("id -un") == "root\n"
    assert guest.ssh("id -un", user="micro") == "micro\n"


def test_hostname(cloud):
    guest, _ = cloud
    assert guest.ssh("hostname") == "ip-10-0-0-5\n"


def test_user_data_ran(cloud):
    guest, _ = cloud
    assert "micro: user-data exit 3" in guest.console()
    assert guest.ssh("cat /root/where") == "on ip-10-0-0-5\n"


def test_root_filesystem_fills_the_disk(cloud):
    guest, _ = cloud
    kib = int(guest.ssh("df -k / | tail -n 1 | awk '{print $2}'"))
    assert kib > 270 * 1024


def test_disk_is_found_by_its_serial_number(cloud):
    guest, _ = cloud
    assert guest.ssh("readlink -f /dev/disk/by-id/virtio-vol0123456789abcdef0") == "/dev/vda\n"


def test_disk_can_be_plugged_in_and_out(cloud):
    guest, _ = cloud
    # On the root bus nothing is plugged while the guest runs: that takes a port.
    guest.kill()
    guest.arguments += ["-device", "pcie-root-port,id=port1,chassis=1",
                        "-device", "pcie-root-port,id=port2,chassis=2"]
    guest.start()
    guest.wait_console("login ready")
    guest.qmp("blockdev-add", **{"driver": "null-co", "node-name": "spare", "size": 64 << 20})
    guest.qmp("device_add", driver="virtio-blk-pci", drive="spare", bus="port1", id="spare",
              serial="vol00000000000000001")
    guest.wait_console("hotplug add disk vdb", 60)
    assert guest.ssh("readlink -f /dev/disk/by-id/virtio-vol00000000000000001") == "/dev/vdb\n"
    guest.qmp("device_del", id="spare")
    guest.wait_console("hotplug remove disk vdb", 60)
    guest.qmp("netdev_add", type="user", id="net2", net="10.77.0.0/24")
    guest.qmp("device_add", driver="virtio-net-pci", netdev="net2", bus="port2", id="nic2",
              romfile="")
    guest.wait_console("hotplug add nic eth1", 60)
    guest.wait_console("micro: eth1 10.77.0.15/", 60)


def test_user_data_runs_once_for_an_instance(cloud):
    """The test before this has started the machine again."""
    guest, _ = cloud
    guest.wait_console("login ready")
    assert guest.ssh("cat /root/runs") == "run\n"


def test_another_instance_id_is_another_machine(cloud):
    guest, metadata = cloud
    before = guest.ssh("dropbearkey -y -f /etc/dropbear/dropbear_ed25519_host_key")
    guest.kill()
    metadata.tree["instance-id"] = "i-0fedcba9876543210"
    metadata.tree["local-hostname"] = "other.ec2.internal"
    metadata.version = "v1"
    guest.start()
    guest.wait_console("micro: user-data exit 3")
    assert "instance-id=i-0fedcba9876543210 hostname=other imds=v1" in guest.console()
    assert guest.ssh("cat /root/runs") == "run\nrun\n"
    assert guest.ssh("dropbearkey -y -f /etc/dropbear/dropbear_ed25519_host_key") != before


def test_power_button_ends_it_cleanly(cloud):
    guest, _ = cloud
    if guest.process.poll() is not None:
        guest.start()
        guest.wait_console("login ready")
    assert guest.power_off() == 0
    assert "micro: stopping" in guest.console()
    guest.start()
    guest.wait_console("login ready")
    assert "recovery complete" not in guest.console()


def test_comes_up_without_a_network(image_micro, tmp_path):
    with Guest(image_micro, str(tmp_path), network=False) as guest:
        guest.wait_console(r"login ready \(no metadata\)")
