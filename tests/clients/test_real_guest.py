# SPDX-License-Identifier: Apache-2.0
"""The first minutes of a user: a key, a group, an instance of which user data and login are real."""
import json
import stat

from conftest import run, wait_for


def test_first_minutes(cloud, tmp_path):
    def aws(*arguments):
        text = run(["/usr/bin/aws", "ec2", *arguments], env=cloud.env, deadline_s=300).stdout
        return json.loads(text) if text.strip().startswith(("{", "[")) else text.strip()
    key = tmp_path / "first.pem"
    key.write_text(aws("create-key-pair", "--key-name", "first", "--key-type", "ed25519", "--query",
                       "KeyMaterial", "--output", "text") + "\n")
    key.chmod(stat.S_IRUSR)
    group = aws("create-security-group", "--group-name", "ssh", "--description", "ssh")["GroupId"]
    aws("authorize-security-group-ingress", "--group-id", group, "--protocol", "tcp", "--port", "22",
        "--cidr", "0.0.0.0/0")
    (tmp_path / "user-data").write_text("#!/bin/sh\necho \"told by $(hostname)\" >/root/told\n")
    instance = aws("run-instances", "--image-id", cloud.image_id(), "--instance-type", "t3.nano",
                   "--key-name", "first", "--security-group-ids", group, "--user-data",
                   "file://%s/user-data" % tmp_path, "--query", "Instances[0].InstanceId",
                   "--output", "text")
    aws("wait", "instance-running", "--instance-ids", instance)
    seen = aws("describe-instances", "--instance-ids", instance)["Reservations"][0]["Instances"][0]
    cloud.key = str(key)
    cloud.wait_ssh(instance, 240)
    told = wait_for(lambda: cloud.ssh(instance, "cat /root/told", check=False).stdout, 60,
                    "what user data writes", 0.5)
    assert told.strip() == "told by " + seen["PrivateDnsName"].split(".")[0]
    # The host tells of the console now and then.
    wait_for(lambda: "login ready" in aws("get-console-output", "--instance-id", instance, "--query",
                                          "Output", "--output", "text"), 90, "console", 1)
    aws("terminate-instances", "--instance-ids", instance)
    aws("wait", "instance-terminated", "--instance-ids", instance)
