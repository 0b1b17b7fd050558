# SPDX-License-Identifier: Apache-2.0
"""Who may call, and what those are told who may not: AWS's codes and statuses, for EC2 and STS."""
import os
import re

import pytest

from aws_model import Model
from cloud import ACCOUNT, Cloud, running_cloud
from recorder import Answer
from sigv4 import FORM, Caller, encode, error_code

ACTION = {"ec2": {"Action": "DescribeRegions"}, "sts": {"Action": "GetCallerIdentity"}}
SERVICES = sorted(ACTION)
# What EC2 and STS call the same failure.
REFUSED = {"ec2": (401, "AuthFailure"), "sts": (403, "SignatureDoesNotMatch")}
NO_KEY = {"ec2": (401, "AuthFailure"), "sts": (403, "InvalidClientTokenId")}
EXPIRED = {"ec2": (400, "RequestExpired"), "sts": (403, "SignatureDoesNotMatch")}


@pytest.fixture(scope="module")
def strict_cloud(build_dir):
    """Serves requests for its own region only."""
    with running_cloud(build_dir, state=os.environ["TMPDIR"] + "/strict",
                       settings=dict(Cloud.FAKE, cloud={"any-region": "false"})) as cloud:
        yield cloud


@pytest.fixture(params=SERVICES)
def call(request, fake_cloud):
    return Caller(fake_cloud.env, request.param)


def check(service, answer, expected):
    status, body = answer
    assert (status, error_code(body)) == expected, body
    assert not Model(service).check(Answer(service, ACTION[service]["Action"], None, status, body))


def good(service, answer):
    status, body = answer
    assert status == 200, body
    assert (ACCOUNT if service == "sts" else "us-east-1") in body


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_right_signature(call, method):
    good(call.service, call(ACTION[call.service], method=method))


def test_query_of_a_post(call):
    text = encode(call.complete(ACTION[call.service]).items())
    good(call.service, call.send("POST", text, "", call.headers("POST", text, "")))


def test_more_signed_headers(call):
    good(call.service, call(ACTION[call.service], extra={"amz-sdk-request": "attempt=1; max=3",
                                                         "x-forwarded-for": "a  b   c"}))


def test_wrong_secret(call):
    check(call.service, call(ACTION[call.service], secret="x" * 40), REFUSED[call.service])


def test_unknown_key(call):
    check(call.service, call(ACTION[call.service], key="AKIA0000000000000000"), NO_KEY[call.service])


@pytest.mark.parametrize("shift_s", [-1200, 1200])
def test_skewed_clock(call, shift_s):
    check(call.service, call(ACTION[call.service], shift_s=shift_s), EXPIRED[call.service])


@pytest.mark.parametrize("shift_s", [-600, 600])
def test_slightly_skewed_clock(call, shift_s):
    good(call.service, call(ACTION[call.service], shift_s=shift_s))


def test_other_region_is_served(call):
    good(call.service, call(ACTION[call.service], region="eu-west-3"))


@pytest.mark.parametrize("service", SERVICES)
def test_other_region_is_refused(strict_cloud, service):
    call = Caller(strict_cloud.env, service)
    good(service, call(ACTION[service]))
    check(service, call(ACTION[service], region="eu-west-3"), REFUSED[service])


def test_scope_of_another_service(call):
    status, body = call(ACTION[call.service], service="s3")
    assert (status, error_code(body)) == (401, "AuthFailure")
    other = {"ec2": "sts", "sts": "ec2"}[call.service]
    status, body = call(ACTION[call.service], service=other)
    assert (status, error_code(body)) == (400, "InvalidAction")


def test_session_token_of_a_permanent_key(call):
    check(call.service, call(ACTION[call.service], token="FwoGZXIvYXdzEXAMPLE"),
          NO_KEY[call.service])


def test_changed_body(call):
    text = encode(call.complete(ACTION[call.service]).items())
    check(call.service, call.send("POST", "", text + "&DryRun=false", call.headers("POST", "", text)),
          REFUSED[call.service])


def test_changed_signature(call):
    text = encode(call.complete(ACTION[call.service]).items())
    headers = call.headers("POST", "", text)
    last = headers["authorization"][-1]
    headers["authorization"] = headers["authorization"][:-1] + ("0" if last != "0" else "1")
    check(call.service, call.send("POST", "", text, headers), REFUSED[call.service])


def test_changed_header(call):
    text = encode(call.complete(ACTION[call.service]).items())
    headers = call.headers("POST", "", text)
    headers["content-type"] = FORM.upper()
    check(call.service, call.send("POST", "", text, headers), REFUSED[call.service])


def test_unsigned(fake_cloud):
    call = Caller(fake_cloud.env)
    for method in ("GET", "POST"):
        text = encode(call.complete(ACTION["ec2"]).items())
        status, body = call.send(method, text if method == "GET" else "",
                                 text if method == "POST" else "", {"content-type": FORM})
        assert (status, error_code(body)) == (403, "MissingAuthenticationToken")


@pytest.mark.parametrize("header", ["x-amz-date", "host"])
def test_missing_header(call, header):
    """Without its date a request is incomplete, and unless it signs its host it is anybody's."""
    text = encode(call.complete(ACTION[call.service]).items())
    headers = call.headers("POST", "", text)
    headers["authorization"] = re.sub("(SignedHeaders=.*?)%s;?" % header, r"\1",
                                      headers["authorization"]).replace(";,", ",")
    del headers[header]
    check(call.service, call.send("POST", "", text, headers),
          (400, "IncompleteSignature") if header == "x-amz-date" else REFUSED[call.service])


def test_signed_header_that_was_not_sent(call):
    text = encode(call.complete(ACTION[call.service]).items())
    headers = call.headers("POST", "", text, extra={"x-amz-extra": "1"})
    del headers["x-amz-extra"]
    check(call.service, call.send("POST", "", text, headers), REFUSED[call.service])


@pytest.mark.parametrize("authorization", [
    "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=x", "Basic eDp5", "AWS4-HMAC-SHA512 a=b",
    "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host, Signature=0",
])
def test_broken_authorization(fake_cloud, authorization):
    call = Caller(fake_cloud.env)
    text = encode(call.complete(ACTION["ec2"]).items())
    headers = dict(call.headers("POST", "", text), authorization=authorization)
    status, body = call.send("POST", "", text, headers)
    assert status in (400, 401, 403) and error_code(body) in (
        "IncompleteSignature", "AuthFailure", "MissingAuthenticationToken"), body


def test_presigned(call):
    good(call.service, call.send("GET", call.presigned(ACTION[call.service])))


def test_presigned_long_ago_and_still_valid(call):
    good(call.service, call.send("GET", call.presigned(ACTION[call.service], shift_s=-3000,
                                                       expires_s=3600)))


def test_presigned_and_expired(call):
    check(call.service, call.send("GET", call.presigned(ACTION[call.service], shift_s=-120)),
          EXPIRED[call.service])


def test_presigned_for_too_long(call):
    status, body = call.send("GET", call.presigned(ACTION[call.service], expires_s=604801))
    assert status in (400, 403) and error_code(body), body


def test_presigned_and_tampered(call):
    query = call.presigned(ACTION[call.service])
    check(call.service, call.send("GET", query + "&DryRun=true"), REFUSED[call.service])
    check(call.service, call.send("GET", query.replace("X-Amz-Expires=60", "X-Amz-Expires=61")),
          REFUSED[call.service])
    check(call.service, call.send("GET", call.presigned(ACTION[call.service], secret="x" * 40)),
          REFUSED[call.service])


def test_two_clouds_do_not_meet(fake_cloud, strict_cloud):
    """Side by side on one machine, each with its own state, key, image and port."""
    assert fake_cloud.env["AWS_ENDPOINT_URL"] != strict_cloud.env["AWS_ENDPOINT_URL"]
    assert strict_cloud.ec2.describe_images(Owners=["self"])["Images"] == []
    image = strict_cloud.import_image(strict_cloud.empty_image())
    assert image != fake_cloud.image_id()
    pair = []
    for cloud in (fake_cloud, strict_cloud):
        made = cloud.ec2.run_instances(ImageId=cloud.image_id(), InstanceType="t3.nano", MinCount=1,
                                       MaxCount=1)["Instances"][0]["InstanceId"]
        cloud.wait_state(made, "running")
        pair.append(made)
    for cloud, own, other in ((fake_cloud, *pair), (strict_cloud, *reversed(pair))):
        seen = [one["InstanceId"] for reservation in cloud.ec2.describe_instances()["Reservations"]
                for one in reservation["Instances"]]
        assert own in seen and other not in seen
        cloud.ec2.terminate_instances(InstanceIds=[own])
    stranger = Caller(dict(fake_cloud.env, AWS_ENDPOINT_URL=strict_cloud.env["AWS_ENDPOINT_URL"]))
    check("ec2", stranger(ACTION["ec2"]), NO_KEY["ec2"])
