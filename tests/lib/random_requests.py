# SPDX-License-Identifier: Apache-2.0
"""Random requests that AWS's model of a service allows: whatever is in them, the answer is one that
AWS could give, soon, and the daemon lives.

    things = Things()
    things.add(("vpcid",), lambda: [one["VpcId"] for one in ec2.describe_vpcs()["Vpcs"]], ec2.create_vpc)
    play(cloud, "ec2", things)

VIRGA_TEST_SEED repeats a run's choices (what they lead to depends on what there is at the time), and
VIRGA_TEST_SECONDS sets its length."""
import base64
import os
import random
import time

from botocore.exceptions import ClientError

from aws_model import Model
from recorder import Answer
from sigv4 import Caller, error_code

SECONDS = {"ec2": 20, "elbv2": 10, "iam": 8, "sts": 2}
LOOK_EVERY = 200  # requests: what there is changes meanwhile
WRONG_MAX = 10
SPARED = 0.9      # of what takes things away: there would soon be nothing to play with
SIGNING_NAMES = {"elbv2": "elasticloadbalancing"}
TEXTS = ["", "x", "name-1", "10.0.0.0/8", "10.0.0.5", "10.0.0.05", "10.0.0.0/33", "::/0", "tcp", "-1", "0",
         "65535", "65536", "2147483648", "9223372036854775808", "*", "a?b", "\u00e4\U0001f600", "<&>\"'",
         "\x01", "a\nb", " ", "x" * 300, "x" + "\u00e4\U0001f600" * 150, "/dev/xvda", "us-east-1a",
         "t3.nano", "default", "gp3", "true", "running", "2024-01-01T00:00:00Z", "%s%n",
         "'; DROP TABLE x; --", "{}", "{\"a\":\"\\u0000\"}", "[[[", "arn:aws:iam::123456789012:root"]


class Things:
    """What there is to play with: values by the end of the parameter's name."""

    def __init__(self):
        self.kinds = []
        self.constants = {}

    def add(self, suffixes, find, make=None):
        """'find' lists the values, 'make' makes one when there is none."""
        self.kinds.append((suffixes, find, make))

    def look(self):
        known = dict(self.constants)
        for suffixes, find, make in self.kinds:
            values = find()
            if not values and make:
                try:
                    make()
                except (ClientError, IndexError):
                    continue  # what it is made of has gone, or a limit is reached
                values = find()
            for suffix in suffixes if values else ():
                known[suffix] = known.get(suffix, []) + values[:20]
        known["resource"] = [values[0] for suffix, values in known.items()
                             if suffix.endswith(("id", "arn", "name"))]
        # "natgatewayid" before "gatewayid"
        return dict(sorted(known.items(), key=lambda pair: -len(pair[0])))


class Generator:
    """Values for shapes of the model.  'known' is what Things.look() found, 'wanted' names for some
    actions the members without which a request is refused before it gets anywhere, and 'examples'
    has for some a list of requests that are good: "$vpcid" is one of the known, "#" a number."""

    def __init__(self, model, seed, known, wanted, examples):
        self.model = model
        self.random = random.Random(seed)
        self.known = known
        self.wanted_of = wanted
        self.examples = examples

    def request(self, action):
        parameters = {"Action": action}
        if action in self.examples and self.random.random() < 0.7:
            self.share = self.random.choice((0, 0, 0.02))
            self.wanted, self.optional = (), True
        else:
            self.wanted = self.wanted_of.get(action, ()) if self.random.random() < 0.9 else ()
            self.share = self.random.choice((0, 0.02, 0.05, 0.1, 0.3))
            self.optional = False
        if "input" in self.model.operations[action]:
            self.structure(self.model.operations[action]["input"]["shape"], "", parameters, 0)
        if self.optional:
            parameters.update(self.like(self.random.choice(self.examples[action])))
        return parameters

    def like(self, example):
        """A good request, or one that differs from it a little."""
        spoilt = self.random.choice((0, 0, 0.1, 0.3))
        return {key: self.odd_text() if self.random.random() < spoilt else self.filled(value)
                for key, value in example.items()}

    def filled(self, value):
        if value.startswith("$"):
            return self.random.choice(self.known.get(value[1:], [""]))
        return value.replace("#", str(self.random.randint(0, 99)))

    def key(self, reference, member):
        if self.model.is_ec2:
            key = reference.get("queryName")
            if key:
                return key
            key = reference.get("locationName", member)
            return key[:1].upper() + key[1:]
        return reference.get("locationName", member)

    def structure(self, name, prefix, parameters, depth):
        shape = self.model.shapes[name]
        # What an example lacks is nothing that must be.
        required = shape.get("required", ()) if depth > 0 or not self.optional else ()
        share = self.share if depth == 0 else max(self.share, 1.5 / max(1, len(shape["members"])))
        for member, reference in shape["members"].items():
            if member not in required and self.random.random() >= share \
               and not (depth == 0 and member in self.wanted):
                continue
            self.value(reference["shape"], prefix + self.key(reference, member), member, parameters, depth)

    def value(self, name, key, member, parameters, depth):
        shape = self.model.shapes[name]
        if shape["type"] == "structure":
            if depth < 5:
                self.structure(name, key + ".", parameters, depth + 1)
        elif shape["type"] == "list":
            if not self.model.is_ec2:
                key += "." + shape["member"].get("locationName", "member")
            for n in range(1, self.random.choice((1, 1, 2, 3)) + 1):
                self.value(shape["member"]["shape"], "%s.%d" % (key, n), member.rstrip("s"),
                           parameters, depth)
        elif shape["type"] != "map":  # none that matters is asked with
            parameters[key] = self.scalar(shape, member)

    def scalar(self, shape, member):
        choose = self.random.choice
        if shape["type"] == "boolean":
            return choose(("true", "false"))
        if shape["type"] in ("integer", "long"):
            low, high = int(shape.get("min", choose((-1, -1 << 31)))), int(shape.get("max", 1 << 31) - 1)
            return choose((low, high, self.random.randint(low, high), max(low, min(high, 5)),
                           max(low, 1), max(low, 22)))
        if shape["type"] in ("float", "double"):
            return choose((0, 1.5, -1, 1e300))
        if shape["type"] == "timestamp":
            return choose(("2024-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1969-12-31T23:59:59.5Z",
                           "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"))
        if shape["type"] == "blob":
            return base64.b64encode(self.random.randbytes(choose((0, 3, 100)))).decode()
        if shape.get("enum"):
            return choose(shape["enum"])
        for suffix, values in self.known.items():
            if member.lower().endswith(suffix) and self.random.random() < 0.85:
                return choose(values)
        if member == "UserData":
            return base64.b64encode(self.random.randbytes(30)).decode()
        return self.odd_text()

    def odd_text(self):
        if self.random.random() < 0.02:  # nothing that packing makes shorter
            return base64.b64encode(self.random.randbytes(9000)).decode()
        return self.random.choice(TEXTS + self.known["resource"])


def play(cloud, service, things, more=(), without=(), wanted=None, examples=None, tame=None):
    """Asks for the service's actions, those in 'more' more often, for some seconds.  'tame' may
    change what would be right, but take too long."""
    seed = int(os.environ.get("VIRGA_TEST_SEED", time.time()))
    print("VIRGA_TEST_SEED=%d" % seed)
    model = Model(service)
    version = model.model["metadata"]["apiVersion"]
    generator = Generator(model, seed, things.look(), wanted or {}, examples or {})
    signing_name = SIGNING_NAMES.get(service, service)
    call = Caller(cloud.env, signing_name, version)
    pid = cloud.pid("virgad")
    actions = [action for action in model.handled() if action not in without] + list(more) \
        + sorted(examples or {}) * 2
    wrong, codes = [], {}
    end = time.monotonic() + int(os.environ.get("VIRGA_TEST_SECONDS", SECONDS[service]))
    while time.monotonic() < end and len(wrong) < WRONG_MAX:
        if sum(codes.values()) % LOOK_EVERY == LOOK_EVERY - 1:
            generator.known = things.look()
        action = generator.random.choice(actions)
        if action.startswith(("Delete", "Deregister", "Terminate")) and generator.random.random() < SPARED:
            continue
        parameters = generator.request(action)
        if tame:
            tame(parameters)
        status, body = call(parameters)
        found = model.check(Answer(signing_name, action, version, status, body))
        if found:
            wrong.append("%s\n    %s" % (parameters, "\n    ".join(found)))
        key = (action, error_code(body) if status >= 300 else "good")
        codes[key] = codes.get(key, 0) + 1
    print("\n".join("%6d %s %s" % (count, *key) for key, count in sorted(codes.items())))
    assert not wrong, "\n".join(wrong)
    assert cloud.pid("virgad") == pid
    assert sum(codes.values()) > 100
    return codes
