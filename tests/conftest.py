# SPDX-License-Identifier: Apache-2.0
"""Helpers of all Python tests: "from conftest import run, wait_for"."""
import os
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))

# Their tests start daemons and guests, and thus belong into a simulated host.
HOST_LAYERS = ("system", "hosts", "clients")


def wait_for(condition, deadline_s, what, interval_s=0.05):
    """Calls condition() until its result is true, and returns that; TimeoutError names 'what'.
    An exception of the condition is an answer, too: it is not caught."""
    end = time.monotonic() + deadline_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise TimeoutError("no %s after %g s" % (what, deadline_s))
        time.sleep(interval_s)


def run(command, deadline_s=60, check=True, **options):
    """Runs a command to its end and returns the CompletedProcess, output as text.  A failure shows
    what it wrote, unless check is False."""
    options.setdefault("stdin", None if "input" in options else subprocess.DEVNULL)
    if options["stdin"] is None:
        del options["stdin"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=deadline_s, **options)
    if check and done.returncode != 0:
        shown = command if isinstance(command, str) else " ".join(command)
        raise AssertionError("%s: exit %d\n%s%s"
                             % (shown, done.returncode, done.stdout, done.stderr))
    return done


def from_environment(name):
    if name not in os.environ:
        pytest.fail("%s is not set: run this through tools/test" % name, pytrace=False)
    return os.environ[name]


@pytest.fixture(scope="session")
def build_dir():
    """Where meson built the programs under test."""
    return from_environment("VIRGA_BUILD")


@pytest.fixture(scope="session")
def image_micro():
    """The path of the micro guest image.  Never write to it: make an overlay."""
    return from_environment("VIRGA_IMAGE_MICRO")


@pytest.fixture(scope="session")
def image_debian():
    """The path of the Debian image, likewise."""
    return from_environment("VIRGA_IMAGE_DEBIAN")


def pytest_collection_modifyitems(items):
    if "VIRGA_HOST" in os.environ:
        return
    for item in items:
        layer = os.path.relpath(str(item.fspath), os.path.join(ROOT, "tests")).split(os.sep)[0]
        if layer in HOST_LAYERS:
            pytest.exit("tests/%s needs a simulated host: run \"tools/test %s\", or pytest under "
                        "tests/lib/host" % (layer, layer), 4)


@pytest.fixture(scope="module")
def cloud(build_dir, image_micro):
    """A cloud that is up and has the image "micro"; the whole module shares it."""
    from cloud import running_cloud
    with running_cloud(build_dir, image_micro) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def fake_cloud(build_dir):
    """A cloud that is up, with endless room for guests that only pretend, and an image "micro"."""
    from cloud import Cloud, running_cloud
    with running_cloud(build_dir, state=os.environ["TMPDIR"] + "/fake", settings=Cloud.FAKE) as cloud:
        cloud.import_image(cloud.empty_image())
        yield cloud


@pytest.fixture(scope="session")
def recorder():
    """The proxy that all clients of the layer "clients" are sent through."""
    from recorder import Recorder
    recorder = Recorder()
    yield recorder
    recorder.close()


@pytest.fixture
def recorded(recorder):
    """Holds the answers that the test got against AWS's model."""
    first = len(recorder.answers)
    yield recorder
    found = recorder.complaints(first)
    assert not found, "\n".join(found)


# ---- several hosts: see lib/rack.py ----

@pytest.fixture(scope="session")
def rack():
    from rack import Rack
    with Rack() as rack:
        yield rack


@pytest.fixture(scope="session")
def world(rack):
    from rack import World
    world = World()
    yield world
    world.close()


@pytest.fixture(scope="session")
def rack_cloud(rack, build_dir, image_micro):
    """A cloud of two zones on the first host, with the image "micro"."""
    from cloud import running_cloud
    settings = dict(rack.settings, cloud={"zones": "a,b"}, **{
        "instance-type slow.nano": {"vcpus": 1, "memory-mib": 256, "bandwidth-mbit": 8}})
    with running_cloud(build_dir, image_micro, state=os.environ["TMPDIR"] + "/rack",
                       settings=settings) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def second(rack_cloud, build_dir):
    """The second host, in zone b."""
    from rack import Host
    host = Host(rack_cloud, build_dir, 2, zone="b")
    try:
        wait_for(lambda: len([h for h in rack_cloud.status()["hosts"] if h["up"]]) == 2, 60, "second host")
        yield host
        rack_cloud.terminate_all()
    except BaseException:
        print(host.log()[-5000:])
        raise
    finally:
        host.close()
