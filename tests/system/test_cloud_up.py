# SPDX-License-Identifier: Apache-2.0
"""The operator's command: up, down, status, env, doctor, image; and what it survives."""
import http.server
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from botocore.exceptions import ClientError
from cloud import ACCOUNT, DAEMONS, Cloud
from conftest import run, wait_for


def test_up_again_changes_nothing(cloud):
    pids = [cloud.pid(daemon) for daemon in DAEMONS + ("supervise",)]
    assert all(pids)
    cloud.up()
    assert [cloud.pid(daemon) for daemon in DAEMONS + ("supervise",)] == pids


def test_status(cloud):
    done = cloud.virga("status")
    assert "All is well." in done.stdout
    for daemon in DAEMONS:
        assert daemon in done.stdout


def test_users_of_daemons(cloud):
    def user(daemon):
        return run(["stat", "-c", "%U", "/proc/%d" % cloud.pid(daemon)]).stdout.strip()
    assert [user(daemon) for daemon in DAEMONS] == ["virga", "root", "virga", "root"]


def test_only_root_operates(cloud):
    done = subprocess.run(["setpriv", "--reuid=nobody", "--clear-groups", cloud.virga_path, "env",
                           "--state", cloud.state], capture_output=True, text=True)
    assert done.returncode == 1 and "needs root" in done.stderr
    done = subprocess.run(["setpriv", "--reuid=nobody", "--clear-groups", "cat",
                           cloud.state + "/credentials"], capture_output=True)
    assert done.returncode != 0


def test_no_tcp_but_the_api(cloud):
    listening = run(["ss", "-Hltn"]).stdout.split("\n")
    ports = sorted(line.split()[3] for line in listening if line)
    assert ports == ["127.0.0.1:8773"]


def test_unmodified_aws(cloud):
    assert cloud.aws("sts", "get-caller-identity")["Account"] == ACCOUNT
    assert cloud.aws("ec2", "describe-regions")["Regions"][0]["RegionName"] == "us-east-1"


def test_unmodified_boto3(cloud):
    script = ("import boto3\n"
              "print(boto3.client('ec2').describe_regions()['Regions'][0]['RegionName'])\n"
              "print(boto3.client('sts').get_caller_identity()['Account'])\n")
    done = run(["/usr/bin/python3", "-c", script], env=cloud.env)
    assert done.stdout.split() == ["us-east-1", ACCOUNT]


def test_foreign_region_is_served(cloud):
    done = run(["/usr/bin/aws", "ec2", "describe-regions"],
               env=dict(cloud.env, AWS_DEFAULT_REGION="eu-central-1"))
    assert "us-east-1" in done.stdout


def test_image_import_again(cloud, image_micro):
    first = cloud.virga("image", "import", "again", image_micro).stdout
    second = cloud.virga("image", "import", "again", image_micro).stdout
    assert first == second and first.startswith("ami-")
    assert first.strip() in cloud.virga("image", "list").stdout


def test_image_from_url(cloud, image_micro):
    handler = type("Handler", (http.server.SimpleHTTPRequestHandler,),
                   {"log_message": lambda *arguments: None})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *a: handler(*a, directory=os.path.dirname(image_micro)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = "http://127.0.0.1:%d/%s" % (server.server_port, os.path.basename(image_micro))
    assert cloud.virga("image", "import", "fetched", url).stdout.startswith("ami-")
    done = cloud.virga("image", "import", "missing", url + ".not", check=False)
    server.shutdown()
    assert done.returncode == 1 and "answered 404" in done.stderr


@pytest.mark.parametrize("kind", ["short", "overlay", "gzip", "data-file", "luks", "vmdk-list"])
def test_bad_images_are_refused(cloud, image_micro, tmp_path, kind):
    path = str(tmp_path / "disk")
    if kind == "short":
        open(path, "wb").write(b"x" * 100)
    elif kind == "overlay":
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", image_micro, "-F", "qcow2", path])
    elif kind == "gzip":
        open(path, "wb").write(b"\x1f\x8b" + bytes(1000))
    elif kind == "data-file":
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=%s/data" % tmp_path, path,
             "16M"])
    elif kind == "luks":
        open(path, "wb").write(b"LUKS\xba\xbe" + bytes(1000))
    else:
        open(path, "wb").write(b"# Disk DescriptorFile\nRW 2048 FLAT \"/etc/shadow\" 0\n" + bytes(900))
    before = sorted(os.listdir(cloud.state + "/store"))
    done = cloud.virga("image", "import", "bad-" + kind, path, check=False)
    assert done.returncode == 1 and "virga: " in done.stderr
    assert "bad-" + kind not in cloud.virga("image", "list").stdout
    assert sorted(os.listdir(cloud.state + "/store")) == before


def test_taken_image_name(cloud, tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(bytes(1 << 20))
    done = cloud.virga("image", "import", "micro", str(path), check=False)
    assert done.returncode == 1 and "other content" in done.stderr


@pytest.mark.parametrize("arguments", [["nonsense"], ["up", "x"], ["up", "--nonsense"], ["image"],
                                       ["image", "import", "x"], ["why"]])
def test_wrong_use(cloud, arguments):
    done = run([cloud.virga_path] + arguments, check=False)
    assert done.returncode == 2 and done.stderr


@pytest.mark.parametrize("command", ["up", "down", "status", "env", "why", "doctor", "supervise",
                                     "image"])
def test_help(cloud, command):
    assert "Usage:" in run([cloud.virga_path, command, "--help"]).stdout


def test_doctor(cloud):
    done = cloud.virga("doctor", check=False)
    assert "KVM" in done.stdout and "PROBLEM" not in done.stdout, done.stdout
    assert done.returncode == 0


def test_no_leaks_and_leaks(cloud):
    assert cloud.leaks() == []
    strange = cloud.state + "/node/volumes/vol-0abcdabcdabcdabcd.qcow2"
    open(strange, "w").close()
    variables = cloud.state + "/libvirt/lib/qemu/nvram/i-0abcdabcdabcdabcd_VARS.fd"
    os.makedirs(os.path.dirname(variables), exist_ok=True)
    open(variables, "w").close()
    run(["ip", "tuntap", "add", "vvga123", "mode", "tap"])
    found = cloud.leaks()
    os.unlink(strange)
    os.unlink(variables)
    run(["ip", "link", "delete", "vvga123"])
    assert len(found) == 3, found


def test_why(cloud):
    host = open(cloud.state + "/node/host-id").read().strip()
    assert "hypervisor" in cloud.virga("why", host).stdout
    done = cloud.virga("why", "i-08888888888888888", check=False)
    assert done.returncode == 1 and "nothing is known" in done.stderr


def test_host_reports_first(cloud):
    """A virgad that has just come hears of the host at once, and not when it is time again."""
    def seen_ms_ago():
        hosts = cloud.status().get("hosts") or [{"seen_ms_ago": 1 << 40}]
        return hosts[0]["seen_ms_ago"]
    wait_for(lambda: 500 < seen_ms_ago() < 2500, 30, "time between two reports", 0.05)
    pid = cloud.kill("virgad")
    killed = time.monotonic()
    wait_for(lambda: cloud.pid("virgad") not in (None, pid), 10, "new virgad")
    wait_for(lambda: cloud.virga("status", "--json", check=False).stdout.startswith("{") and
             seen_ms_ago() < (time.monotonic() - killed) * 1000, 4, "report", 0.1)


@pytest.mark.parametrize("daemon", DAEMONS)
def test_killed_daemon_returns(cloud, daemon):
    pid = cloud.kill(daemon)
    wait_for(lambda: cloud.pid(daemon) not in (None, pid), 20, "new " + daemon)
    wait_for(lambda: "All is well." in cloud.virga("status", check=False).stdout, 60, "health", 0.3)


def test_killed_supervisor(cloud):
    """Nothing runs twice, whatever the former supervisor left."""
    former = {daemon: cloud.pid(daemon) for daemon in DAEMONS}
    supervisor = cloud.kill("supervise")
    wait_for(lambda: cloud.pid("supervise") is None, 10, "end of the supervisor")
    assert cloud.virga("status", check=False).returncode == 1
    cloud.up()
    assert cloud.pid("supervise") not in (None, supervisor)
    for daemon, pid in former.items():
        assert cloud.pid(daemon) != pid
        assert not os.path.exists("/proc/%d" % pid)


def test_daemon_that_cannot_start_is_told(cloud):
    cloud.configure({"api": {"listen": "192.0.2.1:80"}})
    try:
        cloud.kill("virgad")
        # Until the next attempt has failed, status tells that it was killed.
        wait_for(lambda: [line for line in cloud.virga("status", check=False).stdout.splitlines()
                          if "virgad does not run" in line and "exit status 1" in line],
                 60, "complaint", 0.3)
        assert "192.0.2.1" in cloud.log("virgad")
    finally:
        cloud.configure({})
    wait_for(lambda: "All is well." in cloud.virga("status", check=False).stdout, 60, "health", 0.3)


def test_bad_configuration_is_named(cloud):
    cloud.configure({"nonsense": {"key": 1}})
    try:
        done = cloud.virga("status", check=False)
        assert done.returncode == 1 and "nonsense" in done.stderr
    finally:
        cloud.configure({})


def test_edited_configuration(cloud):
    """"virga up" starts those again whose settings have changed, and says so."""
    def pids():
        return {daemon: cloud.pid(daemon) for daemon in DAEMONS + ("supervise",)}

    def up(settings):
        former = pids()
        cloud.configure(settings)
        said = cloud.up().stdout
        assert "All is well." in cloud.virga("status").stdout
        now = pids()
        assert all(now.values())
        return {daemon for daemon in now if now[daemon] != former[daemon]}, said
    assert up({})[0] == set()
    instance = cloud.launch()
    guest = cloud.guest_pid(instance)
    restarted, said = up({"node": {"vcpu-overcommit": 0.001}})
    assert restarted == {"virga-node"} and "virga-node starts again: [node] vcpu-overcommit" in said
    with pytest.raises(ClientError) as refusal:  # from that moment on
        cloud.launch(wait=False)
    assert refusal.value.response["Error"]["Code"] == "InsufficientInstanceCapacity"
    restarted, said = up({"node": {"vcpu-overcommit": 8.0}, "api": {"debug": "true"}})
    assert restarted == {"virgad", "virga-node"} and "virgad starts again: [api] debug" in said
    second = cloud.launch()
    assert up({"api": {"debug": "false"}})[0] == {"virgad"}
    assert up({})[0] == set()
    assert cloud.guest_pid(instance) == guest and cloud.state_of(instance) == "running"
    cloud.ec2.terminate_instances(InstanceIds=[instance, second])
    for one in (instance, second):
        cloud.wait_state(one, "terminated")


def test_two_clouds(cloud, build_dir, tmp_path_factory):
    other = Cloud(build_dir, state=os.environ["TMPDIR"] + "/cloud-b")
    try:
        other.up()
        assert other.env["AWS_ENDPOINT_URL"] != cloud.env["AWS_ENDPOINT_URL"]
        assert other.ec2.describe_regions()["Regions"]
        assert "All is well." in cloud.virga("status").stdout
        assert "All is well." in other.virga("status").stdout
        assert other.status()["public_addresses"] == cloud.status()["public_addresses"]
    finally:
        other.close()
    assert "All is well." in cloud.virga("status").stdout


def test_port_of_another_program(build_dir):
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    address = "127.0.0.1:%d" % taken.getsockname()[1]
    other = Cloud(build_dir, state=os.environ["TMPDIR"] + "/cloud-c",
                  settings={"api": {"listen": address}})
    try:
        # The file says one thing, what was kept another: whoever reads the file must be told.
        assert "note: [api] listen is " in other.up().stdout
        assert other.env["AWS_ENDPOINT_URL"] != "http://" + address
        assert "virga.conf, not " + address in other.up().stdout
    finally:
        other.close()
        taken.close()


def test_down_and_up(cloud):
    cloud.down()
    assert [cloud.pid(daemon) for daemon in DAEMONS] == [None] * len(DAEMONS)
    assert cloud.virga("status", check=False).returncode == 1
    assert cloud.down().returncode == 0
    before = cloud.env
    cloud.up()
    assert cloud.env == before
    assert cloud.aws("sts", "get-caller-identity")["Account"] == ACCOUNT


def test_new_key(cloud, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY00\n")
    former = dict(cloud.env)
    done = cloud.virga("up", "--access-key", "AKIAEXAMPLEEXAMPLE00", "--secret-key-file",
                       str(secret), check=False)
    assert done.returncode == 1 and "chmod 600" in done.stderr
    secret.chmod(0o600)
    cloud.up("--access-key", "AKIAEXAMPLEEXAMPLE00", "--secret-key-file", str(secret))
    assert cloud.env["AWS_ACCESS_KEY_ID"] == "AKIAEXAMPLEEXAMPLE00"
    assert cloud.aws("sts", "get-caller-identity")["Account"] == ACCOUNT
    done = run(["/usr/bin/aws", "sts", "get-caller-identity"], env=former, check=False)
    assert done.returncode != 0 and "InvalidClientTokenId" in done.stderr


def test_other_account_is_refused(cloud):
    done = cloud.virga("up", "--account", "999999999999", check=False)
    assert done.returncode == 1 and "cannot become" in done.stderr
