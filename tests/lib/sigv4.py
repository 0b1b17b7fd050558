# SPDX-License-Identifier: Apache-2.0
"""Requests that are signed by hand, rightly or wrongly: every part of a signature can be chosen.

    call = Caller(cloud.env)
    status, body = call({"Action": "DescribeRegions"})
"""
import datetime
import hashlib
import hmac
import http.client
import re
import urllib.parse

FORM = "application/x-www-form-urlencoded; charset=utf-8"


def encode(pairs):
    """Parameters as AWS's canonical query wants them, in order."""
    quoted = [(urllib.parse.quote(str(key), safe="-_.~"), urllib.parse.quote(str(value), safe="-_.~"))
              for key, value in pairs]
    return "&".join("%s=%s" % pair for pair in sorted(quoted))


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Caller:
    """Signs and sends.  Whatever is given to sign() or to a call replaces what is right."""

    def __init__(self, env, service="ec2", version=None):
        url = urllib.parse.urlsplit(env["AWS_ENDPOINT_URL"])
        self.address = url.netloc
        self.key, self.secret = env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]
        self.region, self.service = env["AWS_DEFAULT_REGION"], service
        self.version = version or ("2011-06-15" if service == "sts" else "2016-11-15")
        self.connection = None

    def signature(self, method, query, headers, payload_hash, now, key, secret, region, service):
        """(scope, names of signed headers, signature)"""
        names = sorted(headers)
        canonical = "\n".join(
            [method, "/", query] + ["%s:%s" % (name, " ".join(headers[name].split())) for name in names]
            + ["", ";".join(names), payload_hash])
        day, scope = now[:8], "%s/%s/%s/aws4_request" % (now[:8], region, service)
        text = "\n".join(["AWS4-HMAC-SHA256", now, scope,
                          hashlib.sha256(canonical.encode()).hexdigest()])
        signing = ("AWS4" + secret).encode()
        for part in (day, region, service, "aws4_request"):
            signing = mac(signing, part)
        return scope, ";".join(names), mac(signing, text).hex()

    def stamp(self, shift_s=0):
        now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=shift_s)
        return now.strftime("%Y%m%dT%H%M%SZ")

    def headers(self, method="POST", query="", body="", shift_s=0, key=None, secret=None, region=None,
                service=None, token=None, extra=None):
        """The headers of a signed request."""
        now = self.stamp(shift_s)
        headers = {"host": self.address, "x-amz-date": now}
        if method == "POST":
            headers["content-type"] = FORM
        if token:
            headers["x-amz-security-token"] = token
        headers.update(extra or {})
        key = key or self.key
        scope, names, signature = self.signature(
            method, query, headers, hashlib.sha256(body.encode()).hexdigest(), now, key,
            secret or self.secret, region or self.region, service or self.service)
        headers["authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
            key, scope, names, signature)
        return headers

    def presigned(self, parameters, expires_s=60, shift_s=0, **wrong):
        """A query that needs no headers."""
        now = self.stamp(shift_s)
        key = wrong.get("key") or self.key
        region, service = wrong.get("region") or self.region, wrong.get("service") or self.service
        pairs = list(self.complete(parameters).items()) + [
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-Date", now),
            ("X-Amz-Credential", "%s/%s/%s/%s/aws4_request" % (key, now[:8], region, service)),
            ("X-Amz-Expires", expires_s), ("X-Amz-SignedHeaders", "host")]
        query = encode(pairs)
        signature = self.signature("GET", query, {"host": self.address},
                                   hashlib.sha256(b"").hexdigest(), now, key,
                                   wrong.get("secret") or self.secret, region, service)[2]
        return query + "&X-Amz-Signature=" + signature

    def complete(self, parameters):
        return dict({"Version": self.version}, **parameters)

    def send(self, method, query="", body="", headers=None, deadline_s=20):
        """(status, text); the connection is kept."""
        for attempt in (1, 2):
            if not self.connection:
                self.connection = http.client.HTTPConnection(self.address, timeout=deadline_s)
            try:
                try:
                    self.connection.request(method, "/" + ("?" + query if query else ""),
                                            body or None, dict(headers or {}))
                except BrokenPipeError:
                    pass  # refused before its end; why is there to be read
                response = self.connection.getresponse()
                return response.status, response.read().decode()
            except (http.client.RemoteDisconnected, ConnectionError):
                self.connection = None  # it was idle for too long
                if attempt == 2:
                    raise

    def __call__(self, parameters, method="POST", **wrong):
        text = encode(self.complete(parameters).items())
        if method == "POST":
            return self.send("POST", "", text, self.headers("POST", "", text, **wrong))
        return self.send("GET", text, "", self.headers("GET", text, "", **wrong))


def error_code(body):
    found = re.search("<Code>([^<]*)</Code>", body)
    return found.group(1) if found else None
