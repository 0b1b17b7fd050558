# SPDX-License-Identifier: Apache-2.0
"""Clients newer than Debian's, where the machine has them: AWS_ENDPOINT_URL alone is enough.

VIRGA_NEW_PYTHON names a python with a new boto3, VIRGA_NEW_AWS a new aws; otherwise PATH and pyenv's
folder are searched.  terraform is taken from PATH; its AWS provider has to be there without a network,
in the folder VIRGA_TERRAFORM_PLUGINS or in one that terraform or a packager would choose."""
import glob
import json
import os
import shutil
import subprocess

import pytest

from cloud import ACCOUNT
from conftest import run

# boto3 reads AWS_ENDPOINT_URL from here on.
SINCE = (1, 28)


def quick_run(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None


def candidates(variable, name):
    if os.environ.get(variable):
        return [os.environ[variable]]
    return [path for path in
            [shutil.which(name)]
            + sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin/" + name)), reverse=True)
            + [os.path.expanduser("~/.local/bin/" + name), "/usr/local/bin/" + name]
            if path and os.access(path, os.X_OK)]


@pytest.fixture(scope="module")
def new_python():
    for path in candidates("VIRGA_NEW_PYTHON", "python3"):
        done = quick_run([path, "-c", "import boto3; print(boto3.__version__)"])
        if done and done.returncode == 0 \
           and tuple(map(int, done.stdout.split(".")[:2])) >= SINCE:
            return path
    pytest.skip("no python with boto3 of %d.%d or newer; VIRGA_NEW_PYTHON may name one" % SINCE)


@pytest.fixture(scope="module")
def new_aws():
    for path in candidates("VIRGA_NEW_AWS", "aws"):
        done = quick_run([path, "--version"])
        words = done.stdout.split("/")[1].split(".") if done and done.stdout.startswith("aws-cli/") else []
        # Both lines of aws learned it in July 2023.
        if words and (int(words[0]), int(words[1])) >= ((1, 29) if words[0] == "1" else (2, 13)):
            return path
    pytest.skip("no aws of 1.29 or 2.13 or newer; VIRGA_NEW_AWS may name one")


@pytest.fixture
def env(fake_cloud, recorded):
    """What a user of a new client sets: no AWS_DATA_PATH, no variable of a single service."""
    env = recorded.env(fake_cloud.env)
    return {name: value for name, value in env.items()
            if name != "AWS_DATA_PATH" and not name.startswith("AWS_ENDPOINT_URL_")}


def test_boto3(fake_cloud, new_python, env):
    script = """
import boto3, sys
ec2 = boto3.resource("ec2")
print(boto3.client("sts").get_caller_identity()["Account"])
one, = ec2.create_instances(ImageId=sys.argv[1], InstanceType="t3.nano", MinCount=1, MaxCount=1,
    UserData="x", TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}])
waiter = ec2.meta.client.get_waiter("instance_running")
waiter.config.delay = 0.2
waiter.wait(InstanceIds=[one.id])
one.reload()
print(one.state["Name"], one.tags[0]["Value"], one.key_name)
for name in "describe_volumes describe_security_group_rules describe_tags describe_subnets".split():
    list(ec2.meta.client.get_paginator(name).paginate(PaginationConfig={"PageSize": 5}))
one.terminate()
"""
    done = run([new_python, "-c", script, fake_cloud.image_id()], env=env)
    assert done.stdout.split() == [ACCOUNT, "running", "b", "None"]


def test_aws(fake_cloud, new_aws, env):
    def aws(*arguments):
        text = run([new_aws, *arguments, "--output", "json"], env=env, deadline_s=120).stdout
        return json.loads(text) if text.strip() else None
    assert aws("sts", "get-caller-identity")["Account"] == ACCOUNT
    made = aws("ec2", "run-instances", "--image-id", fake_cloud.image_id(), "--instance-type",
               "t3.nano", "--count", "2")["Instances"]
    ids = [one["InstanceId"] for one in made]
    fake_cloud.wait_state(ids[0], "running")
    fake_cloud.wait_state(ids[1], "running")
    aws("ec2", "wait", "instance-running", "--instance-ids", *ids)
    assert len(aws("ec2", "describe-instances", "--instance-ids", *ids, "--query",
                   "Reservations[].Instances[]")) == 2
    aws("ec2", "terminate-instances", "--instance-ids", *ids)


def plugins():
    """The option that says where providers are, if they are where terraform does not look."""
    folders = [os.environ.get("VIRGA_TERRAFORM_PLUGINS", "")] + sorted(glob.glob("/opt/*")) \
        + [os.path.expanduser("~/.terraform.d/plugins"), "/usr/local/share/terraform/plugins"]
    for folder in folders:
        if folder and glob.glob(folder + "/registry.terraform.io/hashicorp/aws"):
            return ["-plugin-dir=" + folder]
    return []


@pytest.fixture
def terraform(request, fake_cloud, tmp_path):
    """terraform(…) in a folder of its own that has been initialised.  The parameter names the
    configuration of the folder "terraform"."""
    path = shutil.which("terraform", path=os.environ["PATH"] + ":/usr/local/bin")
    if not path:
        pytest.skip("no terraform on PATH")
    for name in ("provider", request.param):
        shutil.copy(os.path.join(os.path.dirname(__file__), "terraform", name + ".tf"), tmp_path)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(tmp_path / "key")])
    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=web.example.org",
         "-keyout", str(tmp_path / "web.key"), "-out", str(tmp_path / "web.pem")])
    env = dict(fake_cloud.env, TF_VAR_image=fake_cloud.image_id(), TF_IN_AUTOMATION="1",
               CHECKPOINT_DISABLE="1", HOME=str(tmp_path),
               TF_VAR_public_key=(tmp_path / "key.pub").read_text().strip(),
               TF_VAR_certificate=(tmp_path / "web.pem").read_text(),
               TF_VAR_private_key=(tmp_path / "web.key").read_text())

    def terraform(*arguments, check=True):
        return run([path, arguments[0], "-no-color"] + list(arguments[1:]), env=env, cwd=tmp_path,
                   check=check, deadline_s=240)
    done = terraform("init", "-input=false", *plugins(), check=False)
    if done.returncode != 0:
        pytest.skip("terraform's AWS provider is not here: " + done.stderr.strip()[:300])
    return terraform


@pytest.mark.parametrize("terraform", ["instances"], indirect=True)
def test_terraform(fake_cloud, terraform):
    terraform("apply", "-auto-approve", "-input=false")
    assert terraform("output", "state").stdout.strip() == "\"running\""
    drift = terraform("plan", "-detailed-exitcode", "-input=false", check=False)
    assert drift.returncode == 0, drift.stdout + drift.stderr
    terraform("destroy", "-auto-approve", "-input=false")
    left = fake_cloud.ec2.describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["terraform-*"]}])
    assert left["SecurityGroups"] == []
    iam = fake_cloud.client("iam")
    assert iam.list_users()["Users"] == iam.list_policies(Scope="Local")["Policies"] == []


@pytest.mark.parametrize("terraform", ["networks"], indirect=True)
def test_terraform_networks(fake_cloud, terraform):
    before = len(fake_cloud.ec2.describe_vpcs()["Vpcs"])
    terraform("apply", "-auto-approve", "-input=false")
    assert "compute-1.amazonaws.com" in terraform("output", "public_dns").stdout
    drift = terraform("plan", "-detailed-exitcode", "-input=false", check=False)
    assert drift.returncode == 0, drift.stdout + drift.stderr
    terraform("destroy", "-auto-approve", "-input=false")
    assert len(fake_cloud.ec2.describe_vpcs()["Vpcs"]) == before
    assert len(fake_cloud.ec2.describe_dhcp_options()["DhcpOptions"]) == 1


@pytest.mark.parametrize("terraform", ["balancers"], indirect=True)
def test_terraform_balancers(fake_cloud, terraform):
    terraform("apply", "-auto-approve", "-input=false")
    assert "terraform-web-" in terraform("output", "name").stdout
    drift = terraform("plan", "-detailed-exitcode", "-input=false", check=False)
    assert drift.returncode == 0, drift.stdout + drift.stderr
    terraform("destroy", "-auto-approve", "-input=false")
    assert fake_cloud.client("elbv2").describe_load_balancers()["LoadBalancers"] == []
    assert fake_cloud.client("elbv2").describe_target_groups()["TargetGroups"] == []
