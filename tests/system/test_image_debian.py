# SPDX-License-Identifier: Apache-2.0
"""The Debian image as users have it: launched, found by cloud-init, grown, logged into."""
import pytest

from conftest import wait_for

BOOT_S = 300  # processors may be emulated
USER_DATA = "#!/bin/sh\necho \"ran on $(hostname)\" >/var/tmp/user-data\n"


@pytest.fixture(scope="module")
def debian(cloud, image_debian):
    """An instance that answers."""
    image = cloud.import_image(image_debian, "debian-12")
    device = cloud.ec2.describe_images(ImageIds=[image])["Images"][0]["RootDeviceName"]
    instance = cloud.launch(ImageId=image, InstanceType="t3.small", UserData=USER_DATA,
                            BlockDeviceMappings=[{"DeviceName": device, "Ebs": {"VolumeSize": 4}}])
    cloud.wait_ssh(instance, BOOT_S, user="debian")
    yield instance
    cloud.ec2.terminate_instances(InstanceIds=[instance])
    cloud.wait_state(instance, "terminated")


def test_debian(cloud, debian):
    def ssh(command, check=True):
        return cloud.ssh(debian, command, check=check, user="debian", deadline_s=BOOT_S)
    assert "status: done" in ssh("cloud-init status --wait --long")
    assert "DataSourceEc2" in ssh("cat /run/cloud-init/result.json")
    name = cloud.describe(debian)["PrivateDnsName"].split(".")[0]
    assert ssh("hostname").strip() == name
    assert ssh("cat /var/tmp/user-data").strip() == "ran on " + name
    assert int(ssh("df -m --output=size / | tail -n 1")) > 3600
    assert ssh("cat /sys/class/virtio-ports/*/name").strip() == "org.qemu.guest_agent.0"
    wait_for(lambda: ssh("systemctl is-active qemu-guest-agent", check=False).stdout == "active\n",
             60, "guest agent", 1)
    wait_for(lambda: ssh("systemctl is-system-running", check=False).stdout.strip() in
             ("running", "degraded"), BOOT_S, "end of the boot", 2)
    assert ssh("systemctl --failed --plain --no-legend") == ""
