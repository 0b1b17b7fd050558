# SPDX-License-Identifier: Apache-2.0
"""What a guest does, in the few lines that the tests of the network need.

    dhcp            prints the lease as JSON (a client on raw packets over eth0)
    dns HOST NAME   prints the address, or fails with the code; "ptr:ADDRESS" asks backwards, "tcp:NAME" by TCP,
                    "aaaa:NAME" for IPv6
    dns-server PORT answers every question but those for names that begin with "silent"
    get HOST PORT   prints what the server says
    serve PORT      answers every connection with the peer's address
    hold PORT       one connection; echoes lines
    udp SOURCE DEST PORT [SOURCE-PORT]   one datagram with a made-up source address
    mirror PORT     answers every datagram with the peer's address
    ask HOST PORT SOURCE-PORT   prints what a mirror says, or fails
    send HOST PORT BYTES   prints the seconds that it takes until the other side has them all
    sink PORT       takes what "send" sends
"""
import json, os, socket, struct, sys, time


def mac_of(name):
    return bytes.fromhex(open(f"/sys/class/net/{name}/address").read().strip().replace(":", ""))


def dhcp_packet(mac, kind, extra=b""):
    bootp = struct.pack("!BBBBIHH4s4s4s4s16s64s128s", 1, 1, 6, 0, 0x1234, 0, 0x8000, b"", b"", b"",
                        b"", mac, b"", b"")
    options = b"\x63\x82\x53\x63" + bytes([53, 1, kind, 55, 6, 1, 3, 6, 12, 15, 26]) + extra + b"\xff"
    udp_length = 8 + len(bootp) + len(options)
    udp = struct.pack("!HHHH", 68, 67, udp_length, 0)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + udp_length, 1, 0, 64, 17, 0, b"\0" * 4, b"\xff" * 4)
    total = sum(struct.unpack("!10H", ip))
    total = (total & 0xffff) + (total >> 16)
    ip = ip[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + ip[12:]
    return b"\xff" * 6 + mac + b"\x08\x00" + ip + udp + bootp + options


def dhcp_parse(frame):
    if len(frame) < 282 or frame[12:14] != b"\x08\x00" or frame[23] != 17 or frame[36:38] != b"\0\x44":
        return None
    bootp, options = frame[42:], {}
    at = 240
    while at < len(bootp) and bootp[at] != 255:
        options[bootp[at]] = bootp[at + 2:at + 2 + bootp[at + 1]]
        at += 2 + bootp[at + 1]
    return socket.inet_ntoa(bootp[16:20]), options


def dhcp():
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    link.bind(("eth0", 0x0800))
    link.settimeout(3)
    mac = mac_of("eth0")

    def ask(kind, extra=b""):
        link.send(dhcp_packet(mac, kind, extra))
        while True:
            answer = dhcp_parse(link.recv(2048))
            if answer:
                return answer
    address, options = ask(1)
    address, options = ask(3, bytes([50, 4]) + socket.inet_aton(address) + bytes([54, 4]) + options[54])
    ip = lambda n: socket.inet_ntoa(options[n][:4]) if n in options else None
    print(json.dumps({"kind": options[53][0], "address": address, "netmask": ip(1), "router": ip(3),
                      "dns": ip(6), "hostname": options.get(12, b"").decode(),
                      "domain": options.get(15, b"").decode(),
                      "mtu": struct.unpack("!H", options[26])[0] if 26 in options else None}))


def dns_read_name(message, at):
    labels, jumped = [], None
    while message[at]:
        if message[at] & 0xc0:
            jumped = jumped or at + 2
            at = struct.unpack("!H", message[at:at + 2])[0] & 0x3fff
            continue
        labels.append(message[at + 1:at + 1 + message[at]].decode())
        at += 1 + message[at]
    return ".".join(labels), jumped or at + 1


def dns(server, name):
    kind, by_tcp = 1, name.startswith("tcp:")
    name = name.removeprefix("tcp:")
    if name.startswith("aaaa:"):
        kind, name = 28, name[5:]
    if name.startswith("ptr:"):
        kind, name = 12, ".".join(reversed(name[4:].split("."))) + ".in-addr.arpa"
    question = b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\0"
    question = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + question + struct.pack("!HH", kind, 1)
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM if by_tcp else socket.SOCK_DGRAM)
    sock.settimeout(1 if server.startswith("169.254.0.") else 8)  # the host's, which guests cannot reach
    sock.connect((server, 53))
    sock.send(struct.pack("!H", len(question)) * by_tcp + question)
    answer = sock.recv(2 if by_tcp else 1024)
    if by_tcp and answer:
        answer = sock.recv(1024)
    if not answer:
        sys.exit("no answer")
    if answer[3] & 15 or not struct.unpack("!H", answer[6:8])[0]:
        sys.exit(f"rcode {answer[3] & 15}")
    _, at = dns_read_name(answer, 12)
    _, at = dns_read_name(answer, at + 4)
    at += 10
    print(dns_read_name(answer, at)[0] if kind == 12 else socket.inet_ntoa(answer[at:at + 4]))


def dns_server(port):
    """The answer is 198.51.100.53."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("0.0.0.0", port))
    while True:
        message, peer = sock.recvfrom(1024)
        name, at = dns_read_name(message, 12)
        if name.startswith("silent"):
            continue
        sock.sendto(message[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + message[12:at + 4] +
                    b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton("198.51.100.53"), peer)


def get(host, port):
    with socket.create_connection((host, port), 1.5) as sock:
        text = b""
        while True:
            got = sock.recv(4096)
            if not got:
                break
            text += got
    print(text.decode().split("\r\n\r\n")[-1])


def serve(port):
    server = socket.create_server(("0.0.0.0", port))
    while True:
        client, peer = server.accept()
        client.sendall(peer[0].encode())
        client.close()


def hold(port):
    client, _ = socket.create_server(("0.0.0.0", port)).accept()
    while True:
        got = client.recv(4096)
        if not got:
            break
        client.sendall(got)


def udp(source, dest, port, source_port=0):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_IP, 15, 1)  # IP_FREEBIND
    sock.bind((source, source_port))
    sock.sendto(b"spoof", (dest, port))


def mirror(port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("0.0.0.0", port))
    while True:
        _, peer = sock.recvfrom(1024)
        sock.sendto(peer[0].encode(), peer)


def ask(host, port, source_port):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("0.0.0.0", source_port))
    sock.settimeout(1)
    sock.sendto(b"who am I", (host, port))
    print(sock.recv(1024).decode())


def sink(port):
    server = socket.create_server(("0.0.0.0", port))
    while True:
        client, _ = server.accept()
        while client.recv(1 << 16):
            pass
        client.close()


def send(host, port, count):
    start = time.monotonic()
    with socket.create_connection((host, port), 2) as sock:
        sock.settimeout(30)
        sock.sendall(bytes(count))
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1)
    print(time.monotonic() - start)


if __name__ == "__main__":
    args = [int(a) if a.isdigit() else a for a in sys.argv[2:]]
    {"dhcp": dhcp, "dns": dns, "dns-server": dns_server, "get": get, "serve": serve, "hold": hold,
     "udp": udp, "mirror": mirror, "ask": ask, "send": send, "sink": sink}[sys.argv[1]](*args)
