# SPDX-License-Identifier: Apache-2.0
"""Random requests that AWS's model allows: whatever is in them, the answer is one that AWS could
give, soon, and the daemon lives."""
import base64
import os
import random
import time

import pytest

from aws_model import Model
from recorder import Answer
from sigv4 import Caller, error_code

SECONDS = 20
MODEL = Model("ec2")
TEXTS = ["", "x", "name-1", "10.0.0.0/8", "10.0.0.5", "::/0", "tcp", "-1", "0", "65535", "*", "a?b",
         "\u00e4\U0001f600", "<&>\"'", "\x01", "a\nb", " ", "x" * 300, "/dev/xvda", "us-east-1a", "t3.nano",
         "default", "gp3", "true", "running", "2024-01-01T00:00:00Z", "%s%n", "'; DROP TABLE x; --"]


# Without these a request is refused before it gets anywhere.
WANTED = {"RunInstances": ("ImageId", "InstanceType"), "AuthorizeSecurityGroupIngress": ("GroupId",),
          "RevokeSecurityGroupIngress": ("GroupId",), "RegisterImage": ("BlockDeviceMappings",)}


class Generator:
    """Values for shapes of the model.  'known' are the ids of things that exist."""

    def __init__(self, seed, known):
        self.random = random.Random(seed)
        self.known = known

    def request(self, action):
        parameters = {"Action": action}
        self.wanted = WANTED.get(action, ()) if self.random.random() < 0.9 else ()
        self.share = self.random.choice((0, 0.02, 0.05, 0.1, 0.3))
        if "input" in MODEL.operations[action]:
            self.structure(MODEL.operations[action]["input"]["shape"], "", parameters, 0)
        return parameters

    def structure(self, name, prefix, parameters, depth):
        shape = MODEL.shapes[name]
        required = shape.get("required", ())
        share = self.share if depth == 0 else max(self.share, 1.5 / len(shape["members"]))
        for member, reference in shape["members"].items():
            if member not in required and self.random.random() >= share \
               and not (depth == 0 and member in self.wanted):
                continue
            key = reference.get("queryName")
            if not key:
                key = reference.get("locationName", member)
                key = key[:1].upper() + key[1:]
            self.value(reference["shape"], prefix + key, member, parameters, depth)

    def value(self, name, key, member, parameters, depth):
        shape = MODEL.shapes[name]
        if shape["type"] == "structure":
            if depth < 5:
                self.structure(name, key + ".", parameters, depth + 1)
        elif shape["type"] == "list":
            for n in range(1, self.random.choice((1, 1, 2, 3)) + 1):
                self.value(shape["member"]["shape"], "%s.%d" % (key, n), member.rstrip("s"),
                           parameters, depth)
        else:
            parameters[key] = self.scalar(shape, member)

    def scalar(self, shape, member):
        choose = self.random.choice
        if shape["type"] == "boolean":
            return choose(("true", "false"))
        if shape["type"] in ("integer", "long"):
            low, high = int(shape.get("min", -1)), int(shape.get("max", 1 << 31) - 1)
            return choose((low, high, self.random.randint(low, high), max(low, min(high, 5)),
                           max(low, 1), max(low, 22)))
        if shape["type"] in ("float", "double"):
            return choose((0, 1.5, -1, 1e300))
        if shape["type"] == "timestamp":
            return choose(("2024-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z"))
        if shape["type"] == "blob":
            return base64.b64encode(self.random.randbytes(choose((0, 3, 100)))).decode()
        if shape.get("enum"):
            return choose(shape["enum"])
        for suffix, values in self.known.items():
            if member.lower().endswith(suffix) and self.random.random() < 0.85:
                return choose(values)
        if member == "UserData":
            return base64.b64encode(self.random.randbytes(30)).decode()
        return choose(TEXTS + self.known["resource"])


def everything(cloud):
    """Ids of things to play with, by the end of the parameter's name."""
    ec2 = cloud.ec2
    image = cloud.image_id()
    group = [one["GroupId"] for one in ec2.describe_security_groups()["SecurityGroups"]]
    made = ec2.run_instances(ImageId=image, InstanceType="t3.nano", MinCount=3, MaxCount=3)
    known = {
        "instanceid": [one["InstanceId"] for one in made["Instances"]],
        "imageid": [image],
        "instancetype": ["t3.nano", "t3.micro"],
        "subnetid": [one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]],
        "vpcid": [one["VpcId"] for one in ec2.describe_vpcs()["Vpcs"]],
        "volumeid": [one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]],
        "snapshotid": [one["SnapshotId"] for one in
                       ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]],
        "ruleid": [one["SecurityGroupRuleId"] for one in
                   ec2.describe_security_group_rules()["SecurityGroupRules"]],
        "networkinterfaceid": [one["NetworkInterfaceId"] for one in
                               ec2.describe_network_interfaces()["NetworkInterfaces"]],
        "groupid": group, "securitygroup": group, "groupname": ["default", "random"],
        "keyname": ["random"], "name": ["name", "tag:x", "state", "instance-id", "random"],
        "iprotocol": ["tcp", "udp", "icmp", "-1"], "cidrip": ["10.0.0.0/8", "0.0.0.0/0"],
    }
    known["resource"] = [values[0] for name, values in known.items() if name.endswith("id")]
    return {name: values for name, values in known.items() if values}


def test_random_requests(fake_cloud):
    seed = int(os.environ.get("VIRGA_TEST_SEED", time.time()))
    print("VIRGA_TEST_SEED=%d" % seed)
    known = everything(fake_cloud)
    generator = Generator(seed, known)
    call = Caller(fake_cloud.env)
    pid = fake_cloud.pid("virgad")
    # Without the image there would be nothing to launch.
    actions = [action for action in MODEL.handled() if action != "DeregisterImage"] \
        + ["RunInstances", "ModifyInstanceAttribute"] * 3 \
        + ["AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress", "RegisterImage"]
    wrong, codes, end = [], {}, time.monotonic() + SECONDS
    while time.monotonic() < end and len(wrong) < 10:
        action = generator.random.choice(actions)
        parameters = generator.request(action)
        # An enormous launch is valid, too, but nobody waits for it.
        if action == "RunInstances" and int(parameters["MaxCount"]) > 5:
            parameters["MaxCount"] = max(5, int(parameters["MinCount"])) \
                if int(parameters["MinCount"]) < 5 else 5
        status, body = call(parameters)
        found = MODEL.check(Answer("ec2", action, "2016-11-15", status, body))
        if found or status >= 500 and not error_code(body).startswith(("Insufficient", "Unavailable")):
            wrong.append("%s\n    %s" % (parameters, "\n    ".join(found or [body])))
        key = (action, error_code(body) or "good")
        codes[key] = codes.get(key, 0) + 1
    print("\n".join("%6d %s %s" % (count, *key) for key, count in sorted(codes.items())))
    assert not wrong, "\n".join(wrong)
    assert fake_cloud.pid("virgad") == pid
    assert sum(codes.values()) > 500
