# SPDX-License-Identifier: Apache-2.0
"""A private PostgreSQL and the API over it, with a host that does what it is told."""
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import botocore.exceptions
import pytest

from postgres import Postgres

KEYS = ("AKIAVIRGATEST0000001", "AKIAVIRGATEST0000002")
IMAGE_SNAPSHOT = "snap-00a0000000000000a"


# Two types of volumes that are not kept on the hosts; the one host has a pool for one of them.
CONFIGURATION = """
[storage]
import-from = any
disk-reserved-gib = 0
[pool ceph]
monitors = 192.0.2.1
key-file = /nonexistent
[pool far]
zones = z
monitors = 192.0.2.1
key-file = /nonexistent
[volume-type sc1]
pool = ceph
[volume-type standard]
pool = far
"""


class Cloud:
    def __init__(self, postgres, build_dir):
        self.postgres = postgres
        self.sql = postgres.sql
        self.state = tempfile.mkdtemp(prefix="virga-state-")
        os.mkdir(self.state + "/store")
        with open(self.state + "/virga.conf", "w") as file:
            file.write(CONFIGURATION)
        self.process = subprocess.Popen([build_dir + "/tests/db/api-server", postgres.dsn,
                                         self.state], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())
        self.url = "http://127.0.0.1:%d" % self.port
        self.ec2, self.other = (self.client("ec2", key) for key in KEYS)

    def client(self, service, key=KEYS[0], secret="secret", token=None):
        return boto3.client(service, endpoint_url=self.url, region_name="us-east-1",
                            aws_access_key_id=key, aws_secret_access_key=secret,
                            aws_session_token=token,
                            config=botocore.config.Config(retries={"max_attempts": 0},
                                                          max_pool_connections=32))

    def client_of(self, service, credentials):
        """A client with what CreateAccessKey or AssumeRole gave."""
        return self.client(service, credentials["AccessKeyId"], credentials["SecretAccessKey"],
                           credentials.get("SessionToken"))

    def signed(self, parameters, key=KEYS[0]):
        """A signed request with these parameters, as body and headers."""
        request = botocore.awsrequest.AWSRequest(
            "POST", self.url + "/", {"Content-Type": "application/x-www-form-urlencoded"},
            urllib.parse.urlencode(dict({"Version": "2016-11-15"}, **parameters)))
        botocore.auth.SigV4Auth(botocore.credentials.Credentials(key, "secret"), "ec2",
                                "us-east-1").add_auth(request)
        return request.body, dict(request.headers)

    def raw(self, parameters):
        """The XML of a call with parameters that Debian's botocore does not know."""
        request = urllib.request.Request(self.url + "/", *self.signed(parameters), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.read().decode()
        except urllib.error.HTTPError as error:
            return error.read().decode()

    def control(self, action, body=""):
        request = urllib.request.Request(self.url + "/control/" + action, body.encode(),
                                         method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.read().decode()
        except urllib.error.HTTPError as error:
            raise AssertionError("%s: %s" % (action, error.read().decode())) from None

    def settle(self):
        self.control("settle")

    def host(self, vcpus=100000, memory_mib=1 << 20, name="host-1"):
        self.control("host", "%s %d %d" % (name, vcpus, memory_mib))

    def close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        code = self.process.wait(30)
        shutil.rmtree(self.state)
        assert code == 0


@pytest.fixture(scope="session")
def postgres():
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="session")
def session_cloud(postgres, build_dir):
    server = Cloud(postgres, build_dir)
    yield server
    server.close()


@pytest.fixture
def cloud(session_cloud):
    """The cloud without anything but default VPCs; a large host."""
    session_cloud.sql("""
        DELETE FROM mount_target; DELETE FROM file_system; DELETE FROM public_address; DELETE FROM network_interface; DELETE FROM volume;
        DELETE FROM instance; DELETE FROM image; DELETE FROM snapshot; DELETE FROM host;
        DELETE FROM key_pair; DELETE FROM tag; DELETE FROM client_token; DELETE FROM event;
        DELETE FROM import_task; DELETE FROM launch_template; DELETE FROM placement_group; DELETE FROM fleet;
        DELETE FROM quota; DELETE FROM quota_limit WHERE account_id <> '*';
        DELETE FROM security_group_rule; DELETE FROM security_group; DELETE FROM nat_gateway;
        DELETE FROM internet_gateway; DELETE FROM route_table_association;
        DELETE FROM route_table; DELETE FROM subnet; DELETE FROM network_acl; DELETE FROM vpc;
        DELETE FROM dhcp_options; UPDATE account SET default_zones = '{}';
        INSERT INTO public_address (address)
            SELECT '198.18.0.0'::inet + n FROM generate_series(1, 4094) n;
        INSERT INTO snapshot (id, account_id, size_gib, state, sha256, bytes)
            VALUES ('%s', '000000000001', 2, 'completed', 'x', 1)""" % IMAGE_SNAPSHOT)
    session_cloud.control("accounts")
    session_cloud.host()
    return session_cloud


@pytest.fixture
def iam(cloud):
    """IAM of the first account; both accounts have nothing in it."""
    cloud.sql("""
        DELETE FROM access_key WHERE owner_id IS NOT NULL; DELETE FROM iam_attachment;
        DELETE FROM iam_inline_policy; DELETE FROM iam_member; DELETE FROM iam_profile_role;
        DELETE FROM iam_alias; DELETE FROM iam_entity""")
    return cloud.client("iam")


@pytest.fixture
def image(cloud):
    """A registered image of the first account."""
    return cloud.ec2.register_image(
        Name="base", RootDeviceName="/dev/xvda", VirtualizationType="hvm",
        Architecture="x86_64", EnaSupport=True,
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda",
                              "Ebs": {"SnapshotId": IMAGE_SNAPSHOT}}])["ImageId"]


@pytest.fixture
def launch(cloud, image):
    def go(count=1, **options):
        return cloud.ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=count,
                                       MaxCount=count, **options)["Instances"]
    return go


def wait_for(condition, what, deadline_s=10):
    """Replicas hear of changes a moment later."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@contextlib.contextmanager
def fails(code, text=""):
    """The call in the block fails with this code, and its message has this text."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        yield
    error = caught.value.response["Error"]
    assert error["Code"] == code, error
    assert text in error["Message"], error
