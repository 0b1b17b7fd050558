# SPDX-License-Identifier: Apache-2.0
"""A metadata service of one instance, to test guest images without a cloud."""
import http.server
import json
import threading

TOKEN = "a-token=="


class MetadataServer:
    """Serves on address:port until stop().  'v2' refuses requests without a token, as an instance
    with HttpTokens=required does; 'v1' knows no tokens.  'requests' lists (method, path, status)."""

    def __init__(self, public_key, instance_id="i-0123456789abcdef0", hostname="ip-10-0-0-5",
                 user_data=None, version="v2", address="127.0.0.1", port=80):
        self.instance_id = instance_id
        self.user_data = user_data
        self.version = version
        self.requests = []
        self.tree = {
            "ami-id": "ami-0123456789abcdef0",
            "ami-launch-index": "0",
            "hostname": hostname + ".ec2.internal",
            "instance-id": instance_id,
            "instance-type": "t3.micro",
            "local-hostname": hostname + ".ec2.internal",
            "local-ipv4": "169.254.1.10",
            "placement": {"availability-zone": "us-east-1a", "region": "us-east-1"},
            "public-keys": {"0": {"openssh-key": public_key}},
            "security-groups": "default",
        }
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_PUT(self):
                if service.version == "v1" or self.path != "/latest/api/token":
                    self.answer(404)
                elif "X-aws-ec2-metadata-token-ttl-seconds" not in self.headers:
                    self.answer(400)
                else:
                    self.answer(200, TOKEN)

            def do_GET(self):
                token = self.headers.get("X-aws-ec2-metadata-token")
                if service.version == "v2" and token != TOKEN:
                    self.answer(401)
                else:
                    body = service.lookup(self.path)
                    self.answer(404 if body is None else 200, body or "")

            def answer(self, status, body=""):
                service.requests.append((self.command, self.path, status))
                data = body if isinstance(body, bytes) else body.encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = http.server.ThreadingHTTPServer((address, port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def lookup(self, path):
        """The body for a path below any version of the service; None if there is none."""
        words = [word for word in path.split("/") if word]
        if not words:
            return "2021-03-23\nlatest"
        words = words[1:]
        if not words:
            return "dynamic\nmeta-data\nuser-data"
        if words == ["user-data"]:
            return self.user_data
        if words[0] == "dynamic":
            return {1: "instance-identity/", 2: "document"}.get(len(words), json.dumps({
                "instanceId": self.instance_id, "region": "us-east-1",
                "availabilityZone": "us-east-1a", "architecture": "x86_64"}))
        if words[0] != "meta-data":
            return None
        node = self.tree
        for word in words[1:]:
            if not isinstance(node, dict) or word not in node:
                return None
            node = node[word]
        if node is self.tree["public-keys"]:
            return "0=test"
        if isinstance(node, dict):
            return "\n".join(name + ("/" if isinstance(value, dict) else "")
                             for name, value in node.items())
        return node

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
