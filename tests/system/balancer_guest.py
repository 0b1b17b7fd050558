# SPDX-License-Identifier: Apache-2.0
"""What targets and clients of load balancers do.

    serve NAME PORT             an HTTP server that answers with its name and what it was asked, as JSON;
                                /slow takes a second between two halves; with /run/NAME.sick all fails
    get URL [HEADER: VALUE]…    prints status, header fields and body as JSON
    count URL COUNT             prints how many answers each server gave, as JSON
    echo PORT                   a TCP server that answers lines with the peer's address
    line HOST PORT [tls]        one line to such a server
    sign NAME PORT              a UDP server that answers with its name and the peer's address
    ask HOST PORT COUNT         prints what COUNT datagrams from as many ports are answered with, as JSON
"""
import http.server, json, os, socket, ssl, sys, time, urllib.error, urllib.request


def serve(name, port):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            sick = os.path.exists(f"/run/{name}.sick")
            fields = {key.lower(): self.headers.get_all(key) for key in self.headers}
            body = json.dumps({"name": name, "path": self.path, "peer": self.client_address[0],
                               "fields": {key: value[0] if len(value) == 1 else value
                                          for key, value in fields.items()}}).encode()
            self.send_response(500 if sick else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            half = len(body) // 2 if self.path == "/slow" else 0
            self.wfile.write(body[:half])
            self.wfile.flush()
            time.sleep(1 if half else 0)
            self.wfile.write(body[half:])

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("0.0.0.0", port), Handler)
    server.handle_error = lambda *_: None  # checks do not wait for the body
    server.serve_forever()


class Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def get(url, *headers):
    request = urllib.request.Request(url, headers=dict(h.split(": ", 1) for h in headers))
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    opener = urllib.request.build_opener(Stay, urllib.request.HTTPSHandler(context=trust))
    try:
        answer = opener.open(request, timeout=5)
    except urllib.error.HTTPError as error:
        answer = error
    except OSError:
        sys.exit(1)
    print(json.dumps({"status": answer.status, "fields": {k.lower(): v for k, v in answer.headers.items()},
                      "body": answer.read().decode()}))


def count(url, times):
    names = [json.loads(urllib.request.urlopen(url, timeout=5).read())["name"] for _ in range(times)]
    print(json.dumps({name: names.count(name) for name in names}))


def echo(port):
    server = socket.create_server(("0.0.0.0", port))
    while True:
        client, peer = server.accept()
        with client:
            if client.recv(100):
                client.sendall(peer[0].encode())


def line(host, port, tls=None):
    trust = ssl._create_unverified_context()
    with socket.create_connection((host, port), 3) as plain, trust.wrap_socket(plain) if tls else plain as sock:
        sock.sendall(b"hello\n")
        print(sock.recv(100).decode())


def sign(name, port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("0.0.0.0", port))
    while True:
        _, peer = sock.recvfrom(1024)
        sock.sendto(f"{name} {peer[0]}".encode(), peer)


def ask(host, port, count):
    answers = []
    for _ in range(count):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(1)
        sock.connect((host, port))
        sock.send(b"who")
        try:
            answers.append(sock.recv(100).decode())
        except OSError:
            answers.append(None)
    print(json.dumps(answers))


if __name__ == "__main__":
    args = [int(a) if a.isdigit() else a for a in sys.argv[2:]]
    {"serve": serve, "get": get, "count": count, "echo": echo, "line": line, "sign": sign, "ask": ask}[sys.argv[1]](*args)
