# SPDX-License-Identifier: Apache-2.0
"""The Debian image on an instance of EC2's kind.  Slow where processors are emulated, and the image
takes a minute to build: runs only with VIRGA_IMAGE_DEBIAN=FILE."""
import os

import pytest

from conftest import wait_for
from imds import MetadataServer
from qemu import Guest

pytestmark = pytest.mark.skipif("VIRGA_IMAGE_DEBIAN" not in os.environ,
                                reason="VIRGA_IMAGE_DEBIAN is not set")


def test_cloud_init_takes_the_metadata(tmp_path):
    guest = Guest(os.environ["VIRGA_IMAGE_DEBIAN"], str(tmp_path), disk="3G", memory_mib=512,
                  uuid="ec200000-0000-4000-8000-000000000002")
    metadata = MetadataServer(guest.public_key, user_data="#!/bin/sh\ntouch /run/user-data-ran\n")
    with guest:
        guest.wait_console("Cloud-init v.* finished.*DataSourceEc2", 900)
        assert guest.ssh("sudo cat /run/user-data-ran && hostname", "debian", 120) == "ip-10-0-0-5\n"
        assert int(guest.ssh("df -m --output=size / | tail -n 1", "debian", 120)) > 2500
        assert guest.ssh("systemctl is-enabled qemu-guest-agent || true", "debian", 120).strip() in (
            "enabled", "static")
        wait_for(lambda: guest.ssh("systemctl is-system-running || true", "debian", 120).strip()
                 in ("running", "degraded"), 300, "end of the boot", 5)
        assert guest.ssh("systemctl --failed --plain --no-legend", "debian", 120) == ""
        assert guest.power_off(300) == 0
    metadata.stop()
