# SPDX-License-Identifier: Apache-2.0
"""Security groups filter, and addresses are what they seem: three guests, the host, and a machine
outside that stands for the internet.

    inner, peer   members of the default group; "peer" has no public address
    other         of a group of its own, with a public address

Guests are told what to do by way of the VPC's namespace (vpc.inside), where nothing filters."""
import socket
import subprocess
import sys

import pytest

import vpc
from cloud import SSH_OPTIONS, running_cloud
from conftest import run, wait_for

OUTSIDE = "192.0.2.2"  # the internet, on a link whose other end is the host's 192.0.2.1
SOON_S = 5             # for a rule to reach the host's filter; mostly some milliseconds

# Answers each connection with the address that it came from.
MIRROR = """
import socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", 80))
s.listen()
print("ready", flush=True)
while True:
    peer, address = s.accept()
    peer.settimeout(5)
    try:
        peer.recv(4096)
        peer.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + address[0].encode())
    except OSError:
        pass
    peer.close()
"""


@pytest.fixture(scope="module")
def outside():
    """A namespace behind the host, with a server that tells callers who they are."""
    run("ip netns add outside && ip link add out0 type veth peer name eth0 netns outside && "
        "ip addr add 192.0.2.1/24 dev out0 && ip link set out0 up && "
        "ip -n outside addr add 192.0.2.2/24 dev eth0 && ip -n outside link set eth0 up && "
        "ip -n outside link set lo up && ip route add default via 192.0.2.2", shell=True)
    server = subprocess.Popen(["ip", "netns", "exec", "outside", sys.executable, "-c", MIRROR],
                              stdout=subprocess.PIPE, text=True)
    assert server.stdout.readline() == "ready\n"
    yield OUTSIDE
    server.kill()
    server.wait()
    run("ip link delete out0; ip netns delete outside", shell=True)


class Guests:
    def __init__(self, cloud):
        self.cloud = cloud
        subnet = cloud.ec2.describe_subnets()["Subnets"][0]
        self.group = cloud.ec2.create_security_group(
            GroupName="other", Description="other", VpcId=subnet["VpcId"])["GroupId"]
        self.default = cloud.ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]["GroupId"]
        self.inner = cloud.launch(wait=False)
        self.peer = cloud.launch(wait=False, NetworkInterfaces=[
            {"DeviceIndex": 0, "SubnetId": subnet["SubnetId"], "AssociatePublicIpAddress": False}])
        self.other = cloud.launch(wait=False, SecurityGroupIds=[self.group])
        self.said = {}
        for instance in (self.inner, self.peer, self.other):
            cloud.wait_state(instance, "running")
            self.said[instance] = cloud.describe(instance)
        for instance in (self.inner, self.peer, self.other):
            vpc.wait_inside(cloud, instance)
            self.run(instance, "echo %s >/tmp/index.html; for port in 8000 8001 8005; do "
                     "httpd -p $port -h /tmp; done" % instance)

    def private(self, instance):
        return self.said[instance]["PrivateIpAddress"]

    def public(self, instance):
        return self.said[instance].get("PublicIpAddress")

    def run(self, instance, command, check=True):
        return vpc.inside(self.cloud, instance, command, check)

    def reaches(self, source, target, port):
        """True if the guest gets the other's page; a filtered packet just gets no answer."""
        address = target if "." in target else self.private(target)
        done = self.run(source, "timeout 3 wget -q -O - http://%s:%d/" % (address, port), check=False)
        return done.returncode == 0 and (target in done.stdout or "." in target)

    def pings(self, source, target, options=""):
        address = target if "." in target else self.private(target)
        return "1 packets received" in self.run(
            source, "ping -c 1 -W 2 %s %s" % (options, address), check=False).stdout

    def allow(self, group, **permission):
        self.change("authorize", group, permission)

    def revoke(self, group, **permission):
        self.change("revoke", group, permission)

    def change(self, verb, group, permission):
        call = getattr(self.cloud.ec2, verb + "_security_group_ingress")
        call(GroupId=group, IpPermissions=[permission])


@pytest.fixture(scope="module")
def guests(cloud, outside):
    return Guests(cloud)


@pytest.fixture(scope="module")
def cloud(outside, build_dir, image_micro):
    """As the usual one, but its host had its route to the world first."""
    with running_cloud(build_dir, image_micro) as cloud:
        yield cloud


def answers(address, port, timeout_s=2):
    try:
        socket.create_connection((address, port), timeout_s).close()
        return True
    except OSError:
        return False


def anyone(protocol, first, last):
    return {"IpProtocol": protocol, "FromPort": first, "ToPort": last, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}


def soon(condition, what):
    wait_for(condition, SOON_S, what, 0.2)


def test_members_of_the_default_group_talk(guests):
    assert guests.reaches(guests.inner, guests.peer, 8000)
    assert guests.reaches(guests.peer, guests.inner, 8001)
    assert guests.pings(guests.inner, guests.peer)


def test_others_do_not(guests):
    assert not guests.reaches(guests.other, guests.inner, 8000)
    assert not guests.reaches(guests.inner, guests.other, 8000)
    assert not guests.pings(guests.other, guests.peer)


def test_reference_to_a_group(guests):
    """Members of the named group may, others may not, and only at that port."""
    rule = {"IpProtocol": "tcp", "FromPort": 8000, "ToPort": 8000,
            "UserIdGroupPairs": [{"GroupId": guests.default}]}
    guests.allow(guests.group, **rule)
    soon(lambda: guests.reaches(guests.inner, guests.other, 8000), "way for a member")
    assert guests.reaches(guests.peer, guests.other, 8000)
    assert not guests.reaches(guests.inner, guests.other, 8001)
    assert not guests.reaches(guests.other, guests.inner, 8000)
    assert not answers(guests.public(guests.other), 8000)
    guests.revoke(guests.group, **rule)
    soon(lambda: not guests.reaches(guests.inner, guests.other, 8000), "end of the way")


def test_icmp(guests):
    assert not guests.pings(guests.inner, guests.other)
    rule = anyone("icmp", 8, -1)
    guests.allow(guests.group, **rule)
    soon(lambda: guests.pings(guests.inner, guests.other), "answer to a ping")
    assert run(["ping", "-c", "1", "-W", "2", guests.public(guests.other)], check=False).returncode == 0
    assert not guests.reaches(guests.inner, guests.other, 8000)
    guests.revoke(guests.group, **rule)
    soon(lambda: not guests.pings(guests.inner, guests.other), "silence")


def test_range_of_ports(guests):
    rule = anyone("tcp", 8001, 8004)
    guests.allow(guests.group, **rule)
    soon(lambda: answers(guests.public(guests.other), 8001), "answer within the range")
    assert not answers(guests.public(guests.other), 8000)
    assert not answers(guests.public(guests.other), 8005)
    guests.revoke(guests.group, **rule)


def test_public_address_needs_a_rule(guests):
    address = guests.public(guests.other)
    assert not answers(address, 22)
    rule = anyone("tcp", 22, 22)
    guests.allow(guests.group, **rule)
    soon(lambda: answers(address, 22), "answer at the public address")
    elsewhere = dict(rule, IpRanges=[{"CidrIp": "203.0.113.0/24"}])
    guests.allow(guests.group, **elsewhere)
    guests.revoke(guests.group, **rule)
    soon(lambda: not answers(address, 22), "end of the answers")
    guests.revoke(guests.group, **elsewhere)


def test_revoked_but_established(cloud, guests):
    """A rule is about new connections: what was allowed when it began goes on."""
    address = guests.public(guests.other)
    rule = anyone("tcp", 22, 22)
    guests.allow(guests.group, **rule)
    soon(lambda: answers(address, 22), "answer")
    talk = subprocess.Popen(["ssh"] + SSH_OPTIONS + ["-i", cloud.key, "root@" + address, "cat"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        def echo(text):
            talk.stdin.write(text + "\n")
            talk.stdin.flush()
            return talk.stdout.readline().strip() == text
        assert echo("before")
        guests.revoke(guests.group, **rule)
        soon(lambda: not answers(address, 22), "end of new connections")
        assert echo("after")
    finally:
        talk.kill()
        talk.wait()


def test_the_way_out(guests):
    """Masqueraded: outside sees the host.  Between guests, the public address is seen."""
    for instance in (guests.inner, guests.other):
        seen = guests.run(instance, "timeout 5 wget -q -O - http://%s/" % OUTSIDE)
        assert seen == "192.0.2.1"


def test_no_way_out_without_a_public_address(guests):
    assert not guests.reaches(guests.peer, OUTSIDE, 80)
    assert not guests.pings(guests.peer, OUTSIDE)
    assert guests.run(guests.peer, "wget -q -O - http://169.254.169.254/latest/meta-data/instance-id") == guests.peer
    name = guests.said[guests.inner]["PrivateDnsName"]
    assert guests.private(guests.inner) in guests.run(guests.peer, "nslookup %s" % name)
    done = guests.run(guests.peer, "wget -q -O - http://169.254.169.254/latest/meta-data/public-ipv4", check=False)
    assert done.returncode != 0


def test_egress(guests):
    """Without the rule that every group has at first nothing leaves; answers still do."""
    everything = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2 = guests.cloud.ec2
    web = anyone("tcp", 8000, 8000)
    guests.allow(guests.group, **web)
    ec2.revoke_security_group_egress(GroupId=guests.group, IpPermissions=[everything])
    soon(lambda: not guests.reaches(guests.other, OUTSIDE, 80), "end of the way out")
    assert guests.reaches(guests.inner, guests.other, 8000)
    ec2.authorize_security_group_egress(GroupId=guests.group, IpPermissions=[everything])
    soon(lambda: guests.reaches(guests.other, OUTSIDE, 80), "way out again")
    guests.revoke(guests.group, **web)


def test_source_cannot_be_forged(guests):
    """Neither a free address of the subnet nor another guest's leaves the tap's other end."""
    forged = guests.private(guests.other).rsplit(".", 1)[0] + ".250"
    with vpc.Sniffer(vpc.namespace(), vpc.tap(guests.cloud, guests.inner)) as sniffer:
        for address in (forged, guests.private(guests.other)):
            guests.run(guests.peer, "ip addr add %s/32 dev eth0; ping -c 2 -W 1 -I %s %s; "
                       "ip addr del %s/32 dev eth0" % (address, address, guests.private(guests.inner), address),
                       check=False)
        assert guests.pings(guests.peer, guests.inner)
        pings = [packet for packet in sniffer.packets() if packet.protocol == 1]
    assert {packet.source for packet in pings} == {guests.private(guests.peer), guests.private(guests.inner)}


def test_guests_cannot_reach_the_host(guests):
    """Nor what else lives in the link-local block."""
    for address in ("169.254.0.1", "192.0.2.1"):
        assert not guests.reaches(guests.peer, address, 22)
    assert guests.run(guests.inner, "timeout 2 nc 169.254.169.254 8773 </dev/null", check=False).returncode != 0


def test_groups_in_use(guests):
    from botocore.exceptions import ClientError
    with pytest.raises(ClientError) as refused:
        guests.cloud.ec2.delete_security_group(GroupId=guests.group)
    assert refused.value.response["Error"]["Code"] == "DependencyViolation"


def test_nothing_is_left(cloud, guests):
    everything = [guests.inner, guests.peer, guests.other]
    cloud.ec2.terminate_instances(InstanceIds=everything)
    for instance in everything:
        cloud.wait_state(instance, "terminated")
    cloud.ec2.delete_security_group(GroupId=guests.group)
    cloud.wait_no_leaks()
