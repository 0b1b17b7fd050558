# SPDX-License-Identifier: Apache-2.0
"""All that AWS's model names is answered as AWS would: in form, or by a refusal."""
import os
import xml.etree.ElementTree as ElementTree

import pytest

from aws_model import Model, local
from conftest import ROOT, run
from recorder import Answer
from sigv4 import Caller, error_code

MODEL = Model("ec2")
UNHANDLED = sorted(set(MODEL.operations) - set(MODEL.handled()))


@pytest.fixture(scope="module")
def call(fake_cloud):
    return Caller(fake_cloud.env)


def answered_empty(action):
    """Nothing is required to ask, and nothing but lists is told: then "there is none" is true."""
    operation = MODEL.operations[action]
    if not action.startswith("Describe") or action.endswith("Attribute") or "output" not in operation:
        return False
    members = MODEL.shapes[operation["output"]["shape"]]["members"]
    kinds = {MODEL.shapes[reference["shape"]]["type"] for name, reference in members.items()
             if name != "NextToken"}
    return kinds == {"list"} and not MODEL.input(action).get("required")


def answer_of(call, action, version=None):
    parameters = {"Action": action}
    if version:
        parameters["Version"] = version
    status, body = call(parameters)
    return Answer("ec2", action, version or "2016-11-15", status, body)


def test_there_are_many():
    assert len(MODEL.operations) > 700
    assert len(UNHANDLED) + len(MODEL.handled()) == len(MODEL.operations)


def test_actions_without_a_handler(call):
    wrong = []
    for action in UNHANDLED:
        answer = answer_of(call, action)
        expected = (200, None) if answered_empty(action) else (400, "UnsupportedOperation")
        if (answer.status, error_code(answer.body)) != expected:
            wrong.append("%s: %d %s" % (action, answer.status, error_code(answer.body)))
        if answer.status == 200 and any(len(child) or (child.text or "").strip()
                                        for child in ElementTree.fromstring(answer.body)
                                        if local(child) != "requestId"):
            wrong.append("%s: not empty" % action)
        wrong += ["%s: %s" % (action, text) for text in MODEL.check(answer)]
    assert not wrong, "\n".join(wrong)


# Describe actions that need a parameter, though the model does not say so.
UNSAID = {"DescribeLaunchTemplateVersions"}
# Actions that need nothing, and what comes of them.
WILLING = {"AllocateAddress": None, "CreateInternetGateway": None, "CreateDefaultVpc": "DefaultVpcAlreadyExists",
           "DisableEbsEncryptionByDefault": None, "EnableEbsEncryptionByDefault": None, "GetEbsDefaultKmsKeyId": None,
           "GetEbsEncryptionByDefault": None, "ResetEbsDefaultKmsKeyId": None}


def test_handled_actions_say_what_is_missing(call):
    """Without parameters: an answer, or what is missing."""
    wrong = []
    for action in MODEL.handled():
        answer = answer_of(call, action)
        required = MODEL.input(action).get("required", []) or action in UNSAID
        codes = ("MissingParameter", "InvalidParameterCombination") if required or not \
            action.startswith("Describe") else (None,)
        if action in WILLING:
            codes = (WILLING[action],)
        if error_code(answer.body) not in codes:
            wrong.append("%s: %d %s" % (action, answer.status, error_code(answer.body)))
        wrong += ["%s: %s" % (action, text) for text in MODEL.check(answer)]
    answer_of(call, "DisableEbsEncryptionByDefault")  # as it was
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("version", ["2016-11-15", "2014-10-01", "2012-08-15", "2009-11-30"])
def test_namespace_is_of_the_callers_version(call, version):
    for action in ("DescribeInstances", "DescribeNatGateways", "DescribeRegions"):
        answer = answer_of(call, action, version)
        assert answer.status == 200 and not MODEL.check(answer), MODEL.check(answer)
        assert "xmlns=\"http://ec2.amazonaws.com/doc/%s/\"" % version in answer.body


@pytest.mark.parametrize("action", ["Nonsense", "describeinstances", "DescribeInstances ", "<x>",
                                    "GetCallerIdentity", "A" * 1000])
def test_unknown_actions(call, action):
    status, body = call({"Action": action})
    assert (status, error_code(body)) == (400, "InvalidAction")
    assert not MODEL.check(Answer("ec2", action, None, status, body))


def test_no_action(call):
    status, body = call({"Name": "x"})
    assert (status, error_code(body)) == (400, "MissingAction")


@pytest.mark.parametrize("parameters,code", [
    ({"Action": "DescribeInstances", "Nonsense": "1"}, "UnknownParameter"),
    ({"Action": "DescribeInstances", "MaxResults": "many"}, "InvalidParameterValue"),
    ({"Action": "DescribeInstances", "DryRun": "maybe"}, "InvalidParameterValue"),
    ({"Action": "TerminateInstances"}, "MissingParameter"),
    ({"Action": "DescribeInstances", "InstanceId.1": "\udcff".encode("utf-8", "surrogateescape")},
     None),
])
def test_wrong_parameters(call, parameters, code):
    status, body = call(parameters)
    assert status == 400, body
    assert error_code(body) == code or not code, body
    assert not MODEL.check(Answer("ec2", parameters["Action"], None, status, body))


def test_ten_thousand_parameters(call):
    for name in ("InstanceId.%d", "Filter.%d.Name", "Nonsense.%d"):
        parameters = dict({"Action": "DescribeInstances"},
                          **{name % n: "i-0123456789abcdef0" for n in range(1, 10001)})
        status, body = call(parameters)
        assert status == 400 and error_code(body), body
        assert not MODEL.check(Answer("ec2", "DescribeInstances", None, status, body))


def test_too_large(call):
    status, body = call({"Action": "DescribeInstances", "Filter.1.Name": "x" * (3 << 20)})
    assert status == 413 and error_code(body) == "RequestEntityTooLarge"
    assert call({"Action": "DescribeRegions"})[0] == 200


@pytest.mark.parametrize("service", ["iam", "sts"])
def test_answers_of_query_services(fake_cloud, service):
    """Of every action, without a parameter: what needs none is done, all else refused in form."""
    model = Model(service)
    call = Caller(fake_cloud.env, service)
    done = 0
    for action in sorted(model.operations):
        if action == "CreateAccessKey":
            continue  # it may be done for the caller, if that is a user
        status, body = call({"Action": action, "Version": {"iam": "2010-05-08", "sts": "2011-06-15"}[service]})
        assert not model.check(Answer(service, action, None, status, body)), (action, body)
        assert status == 200 or 400 <= status < 500, (action, body)
        assert status != 200 or action in model.handled(), action
        done += status == 200
    assert done >= {"iam": 10, "sts": 2}[service]


@pytest.mark.parametrize("service", ["ec2", "iam", "sts", "elbv2"])
def test_page_of_coverage_is_current(tmp_path, service):
    """After a change of actions.list: tools/dev docs."""
    run([ROOT + "/api/wire/generate.py", "--prefix", service, "--model",
         ROOT + "/api/wire/models/%s.json" % service, "--actions",
         ROOT + "/api/aws/%s/actions.list" % service, "--coverage", str(tmp_path / "page")])
    with open(os.path.join(ROOT, "docs", service + "-coverage.md")) as file:
        assert file.read() == (tmp_path / "page").read_text()
