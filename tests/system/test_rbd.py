# SPDX-License-Identifier: Apache-2.0
"""Volumes in Ceph."""
import os

import pytest

from ceph import Ceph
from conftest import run


@pytest.fixture(scope="module")
def ceph(tmp_path_factory):
    cluster = Ceph(tmp_path_factory.mktemp("ceph"))
    yield cluster
    cluster.stop()


def test_contract(ceph, build_dir):
    """The driver does what every driver of volumes does."""
    where = "%s %s %s %s" % (ceph.monitors, ceph.user, ceph.key_file, ceph.pool)
    done = run([os.path.join(build_dir, "tests", "unit", "test-volume-contract"), "-p", "/volume/rbd"],
               deadline_s=240, env=dict(os.environ, VIRGA_TEST_RBD=where, CEPH_CONF="/dev/null"))
    assert "ok 1 /volume/rbd/empty" in done.stdout
    assert not [name for name in ceph.images() if not name.startswith("snap-") or "." in name]
