# SPDX-License-Identifier: Apache-2.0
"""Whatever arrives at a living virgad's sockets: it answers properly, and goes on."""
import http.client
import os
import socket
import time

import pytest

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cloud import running_cloud


@pytest.fixture(scope="module")
def cloud(build_dir):
    """It needs no guests."""
    with running_cloud(build_dir, settings={"node": {"driver": "fake"}}) as cloud:
        yield cloud


@pytest.fixture(autouse=True)
def lives(cloud):
    """After each test the same process answers as ever."""
    pid = cloud.pid("virgad")
    assert pid
    yield
    assert cloud.ec2.describe_regions()["Regions"]
    assert cloud.pid("virgad") == pid


def address(cloud):
    host, _, port = cloud.env["AWS_ENDPOINT_URL"].rpartition("/")[2].partition(":")
    return host, int(port)


def connect(cloud):
    return socket.create_connection(address(cloud), 10)


def raw(cloud, data):
    """What comes back until the server closes, or two seconds long nothing."""
    answer = b""
    with connect(cloud) as link:
        link.settimeout(2)
        try:
            link.sendall(data)
            link.shutdown(socket.SHUT_WR)
            while True:
                got = link.recv(65536)
                if not got:
                    break
                answer += got
        except OSError:
            pass
    return answer


def signed(cloud, body, headers=None):
    """A POST that is signed as it should be, whatever is in it: status and text."""
    request = AWSRequest("POST", cloud.env["AWS_ENDPOINT_URL"] + "/", data=body, headers=dict(
        {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, **(headers or {})))
    SigV4Auth(Credentials(cloud.env["AWS_ACCESS_KEY_ID"], cloud.env["AWS_SECRET_ACCESS_KEY"]), "ec2",
              "us-east-1").add_auth(request)
    return send(cloud, body, dict(request.headers))


def send(cloud, body, headers, path="/"):
    link = http.client.HTTPConnection(*address(cloud), timeout=20)
    try:
        try:
            link.request("POST", path, body, headers)
        except BrokenPipeError:
            pass  # it has heard enough, and has answered
        answer = link.getresponse()
        return answer.status, answer.read().decode()
    finally:
        link.close()


def local(cloud, method, path, body):
    """A request to the socket of hosts and operators: status and text."""
    link = http.client.HTTPConnection("localhost", timeout=20)
    link.sock = socket.socket(socket.AF_UNIX)
    link.sock.settimeout(20)
    link.sock.connect(socket_path(cloud))
    try:
        link.request(method, path, body, {"Content-Type": "application/json"})
        answer = link.getresponse()
        return answer.status, answer.read().decode()
    finally:
        link.close()


def socket_path(cloud):
    with open("/proc/net/unix") as file:
        paths = [line.split()[7] for line in file if len(line.split()) > 7]
    return [path for path in paths if path.startswith(cloud.state) and "virgad" in path][0]


@pytest.mark.parametrize("data", ids=range(11), argvalues=[
    b"\x00" * 5000, b"\xff\xfe\xfd\r\n\r\n", b"\r\n" * 2000, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 300, os.urandom(100000),
    b"A" * 1000000])
def test_garbage(cloud, data):
    answer = raw(cloud, data)
    assert not answer or answer[:10] in (b"HTTP/1.1 4", b"HTTP/1.1 5"), answer[:200]


def test_unsigned(cloud):
    status, text = send(cloud, "Action=DescribeRegions&Version=2016-11-15",
                        {"Content-Type": "application/x-www-form-urlencoded"})
    assert status in (401, 403) and "<Code>" in text


def test_huge_body(cloud):
    status, text = signed(cloud, b"Action=DescribeRegions&x=" + b"a" * (3 << 20))
    assert status == 413 or (status == 400 and "<Code>" in text), (status, text[:200])


def test_huge_headers(cloud):
    answer = raw(cloud, b"GET / HTTP/1.1\r\nHost: x\r\n" +
                 b"".join(b"X-%d: %s\r\n" % (i, b"y" * 900) for i in range(2000)) + b"\r\n")
    assert not answer or answer.startswith(b"HTTP/1.1 4"), answer[:200]


@pytest.mark.parametrize("body, codes", ids=range(9), argvalues=[
    (b"Action=DescribeRegions&Version=2016-11-15&RegionName.1=%ff%fe", ("InvalidParameterValue", "MalformedQueryString",
                                                                         "InvalidQueryParameter")),
    (b"Action=DescribeRegions&Version=2016-11-15&RegionName.1=%zz", ("MalformedQueryString", "InvalidParameterValue",
                                                                     "InvalidQueryParameter")),
    (b"Action=DescribeRegions&Version=2016-11-15&RegionName.1=a%00b", ("MalformedQueryString", "InvalidParameterValue",
                                                                       "InvalidQueryParameter")),
    (b"Action=NoSuchThing&Version=2016-11-15", ("InvalidAction",)),
    (b"Version=2016-11-15", ("MissingAction", "MissingParameter", "InvalidAction")),
    (b"", ("MissingAction", "MissingParameter", "InvalidAction")),
    (b"Action=DescribeInstances&Version=2016-11-15&MaxResults=many", ("InvalidParameterValue", "MalformedQueryString")),
    (b"Action=RunInstances&Version=2016-11-15", ("MissingParameter",)),
    (b"Action=DescribeInstances&Version=2016-11-15&Filter.99999999999999999999.Name=a",
     ("InvalidParameterValue", "UnknownParameter", "InvalidQueryParameter", "MalformedQueryString")),
])
def test_bad_parameters(cloud, body, codes):
    status, text = signed(cloud, body)
    assert status == 400 and any("<Code>%s</Code>" % code in text for code in codes), (status, text)


def test_ten_thousand_parameters(cloud):
    started = time.monotonic()
    body = "Action=DescribeInstances&Version=2016-11-15" + "".join(
        "&InstanceId.%d=i-%017x" % (i, i) for i in range(1, 10001))
    status, text = signed(cloud, body.encode())
    assert status == 400 and "<Code>" in text, text[:300]
    body = "Action=DescribeRegions&Version=2016-11-15" + "".join("&x%d.y.%d=z" % (i, i) for i in range(10000))
    status, text = signed(cloud, body.encode())
    assert status in (200, 400), text[:300]
    assert time.monotonic() - started < 10


def test_half_open_connections(cloud):
    """Those that never finish a request hold up nobody else."""
    links = [connect(cloud) for _ in range(400)]
    try:
        for i, link in enumerate(links):
            link.sendall([b"", b"P", b"POST / HTTP/1.1\r\nHost: x\r\n",
                          b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nAction="][i % 4])
        started = time.monotonic()
        for _ in range(20):
            assert cloud.ec2.describe_regions()["Regions"]
        assert time.monotonic() - started < 10
    finally:
        for link in links:
            link.close()


@pytest.mark.parametrize("path", ["/node/v1/facts", "/node/v1/desired", "/operator/v1/administrator"])
@pytest.mark.parametrize("body", ids=range(14), argvalues=[
    b"[" * 100000, b'{"a":' * 100000, b"[" * 50000 + b"]" * 50000, b'{"guests":' + b"[" * 100000,
    b"[" + b"[]," * 600000 + b"[]]", b"", b"nul", b"\xff\xfe", b'{"host_id":', b"3", b"null", b'"text"',
    b'{"host":{},"host_id":[],"guests":3}', b'{"after":"x","host":"y","vpcs":[]}'])
def test_bombs_of_json(cloud, path, body):
    method = "PUT" if path.startswith("/operator") else "POST"
    status, text = local(cloud, method, path, body)
    assert status in (400, 413), (status, text[:200])


def test_unknown_paths_of_the_operator(cloud):
    for path in ("/operator/v1/", "/operator/v1/why", "/operator/v1/why?id=%ff", "/operator/v1/why?id=" + "x" * 6000,
                 "/node/v1/snapshots/..%2f..%2fetc", "/node/v1/snapshots/snap-0/../../x", "/nonsense", "/%00"):
        status, text = local(cloud, "GET", path, None)
        assert 400 <= status < 500, (path, status, text)


def test_memory_stays(cloud):
    """After all this virgad holds no more than a small daemon's share."""
    with open("/proc/%d/smaps_rollup" % cloud.pid("virgad")) as file:
        kib = int([line.split()[1] for line in file if line.startswith("Pss:")][0])
    assert kib < 100 << 10
