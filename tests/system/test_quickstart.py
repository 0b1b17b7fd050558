# SPDX-License-Identifier: Apache-2.0
"""The first command of the README, on a machine that has the packages."""
import os
import shutil

import pytest

from cloud import Cloud
from conftest import ROOT, run


@pytest.fixture
def place(build_dir):
    """Options for a cloud and an installation of their own, and the environment."""
    base = os.environ["TMPDIR"] + "/quick"
    cloud = Cloud(build_dir, state=base + "/state")
    os.makedirs(base + "/home", mode=0o755)
    yield ["--state", cloud.state, "--prefix", base + "/usr"], dict(os.environ, HOME=base + "/home")
    if cloud.pid("virgad"):
        cloud.env = cloud.read_env()
    cloud.close()
    shutil.rmtree(base)


def test_quickstart(place):
    options, env = place

    def quickstart():
        return run([ROOT + "/tools/quickstart"] + options, 900, env=env).stdout
    first = quickstart()
    assert "it answers: Linux" in first and "Done in" in first, first
    again = quickstart()  # what is right is left alone
    assert again.count("it is there") == 2 and "it answers: Linux" in again, again
