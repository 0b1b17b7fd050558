# SPDX-License-Identifier: Apache-2.0
"""The first command of the README, on a machine that has the packages."""
import os
import shutil

import pytest

from conftest import ROOT, run


@pytest.fixture
def place():
    """Options for a cloud and an installation of their own, and the environment."""
    base = os.environ["TMPDIR"] + "/quick"
    options = ["--state", base + "/state", "--prefix", base + "/usr"]
    os.makedirs(base + "/home", mode=0o755)
    yield options, dict(os.environ, HOME=base + "/home")
    run([base + "/usr/bin/virga", "down", "--stop-instances", "--state", base + "/state"], 120, check=False)
    shutil.rmtree(base)


def test_quickstart(place):
    options, env = place

    def quickstart():
        return run([ROOT + "/tools/quickstart"] + options, 900, env=env).stdout
    first = quickstart()
    assert "it answers: Linux" in first and "Done in" in first, first
    again = quickstart()  # what is right is left alone
    assert again.count("it is there") == 2 and "it answers: Linux" in again, again
