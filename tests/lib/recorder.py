# SPDX-License-Identifier: Apache-2.0
"""An HTTP proxy that keeps what it passes on, and holds every answer against AWS's model.

Clients find it by "http_proxy", so that nothing else of what "virga env" gave them is changed."""
import collections
import http.client
import http.server
import re
import threading
import urllib.parse

from aws_model import Model

Answer = collections.namedtuple("Answer", "service action version status body")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def pass_on(self):
        url = urllib.parse.urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = http.client.HTTPConnection(url.netloc, timeout=60)
        connection.putrequest(self.command, url.path + ("?" + url.query if url.query else ""),
                              skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in ("proxy-connection", "connection"):
                connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        self.server.recorder.keep(self.headers, url.query, body, response.status, content)
        self.send_response_only(response.status)
        for name, value in response.getheaders():
            if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = pass_on

    def log_message(self, *arguments):
        pass


class Recorder:
    def __init__(self):
        self.answers = []
        self.models = {name: Model(name) for name in ("ec2", "iam", "sts")}
        self.models["elasticloadbalancing"] = Model("elbv2")
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.recorder = self
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def env(self, env):
        """The environment of a client that is to be recorded."""
        return dict(env, http_proxy=self.url)

    def keep(self, headers, query, body, status, content):
        form = dict(urllib.parse.parse_qsl(body.decode() or query, keep_blank_values=True))
        scope = re.search(r"/([a-z0-9-]+)/aws4_request", headers.get("Authorization", "")
                          + urllib.parse.unquote(query))
        self.answers.append(Answer(scope.group(1) if scope else None, form.get("Action"),
                                   form.get("Version"), status, content.decode()))

    def actions(self, service="ec2", status=200):
        """The names of a service's actions that were answered so."""
        return {answer.action for answer in self.answers
                if answer.status == status and answer.service == service}

    def complaints(self, first=0):
        """What is wrong with the answers from the first-th on."""
        found = []
        for answer in self.answers[first:]:
            model = self.models.get(answer.service)
            if model:
                found += ["%s: %s" % (answer.action, text) for text in model.check(answer)]
        return sorted(set(found))

    def close(self):
        self.server.shutdown()
        self.server.server_close()
