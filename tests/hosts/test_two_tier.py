# SPDX-License-Identifier: Apache-2.0
"""A web site as its owner builds it, by boto3 alone: public and private subnets on two hosts, a NAT gateway, an
application balancer with TLS.  Every path that should be open is walked, and every one that should be closed; also
while pieces of it are taken away, daemons are killed, a host is gone, and the controllers are."""
import os
import random
import subprocess
import time

import pytest
from botocore.exceptions import ClientError

from cloud import SSH_OPTIONS
from conftest import run, wait_for
from rack import Pieces

SITE = "#!/bin/sh\nmkdir -p /tmp/www && hostname > /tmp/www/index.html && httpd -p 8080 -h /tmp/www\n"


class Site:
    def __init__(self, cloud, world):
        self.cloud, self.world = cloud, world
        self.ec2, self.elb, self.iam = cloud.ec2, cloud.client("elbv2"), cloud.client("iam")
        self.make_network()
        self.make_groups()
        self.make_instances()
        self.make_balancer()

    def make_network(self):
        ec2, region = self.ec2, self.cloud.env["AWS_DEFAULT_REGION"]
        self.vpc = ec2.create_vpc(CidrBlock="10.50.0.0/16")["Vpc"]["VpcId"]
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=self.vpc)

        def subnet(cidr, zone, public):
            id_ = ec2.create_subnet(VpcId=self.vpc, CidrBlock=cidr, AvailabilityZone=region + zone)["Subnet"]["SubnetId"]
            if public:
                ec2.modify_subnet_attribute(SubnetId=id_, MapPublicIpOnLaunch={"Value": True})
            return id_
        self.public = [subnet("10.50.1.0/24", "a", True), subnet("10.50.2.0/24", "b", True)]
        self.private = [subnet("10.50.11.0/24", "a", False), subnet("10.50.12.0/24", "b", False)]
        self.outside = ec2.allocate_address(Domain="vpc")
        nat = ec2.create_nat_gateway(SubnetId=self.public[0],
                                     AllocationId=self.outside["AllocationId"])["NatGateway"]["NatGatewayId"]
        ec2.get_waiter("nat_gateway_available").wait(NatGatewayIds=[nat], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        for subnets, target in ((self.public, {"GatewayId": gateway}), (self.private, {"NatGatewayId": nat})):
            table = ec2.create_route_table(VpcId=self.vpc)["RouteTable"]["RouteTableId"]
            ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", **target)
            for id_ in subnets:
                ec2.associate_route_table(RouteTableId=table, SubnetId=id_)

    def make_groups(self):
        def group(name, *rules):
            id_ = self.ec2.create_security_group(GroupName=name, Description=name, VpcId=self.vpc)["GroupId"]
            for port, source in rules:
                peer = {"IpRanges": [{"CidrIp": source}]} if "/" in source else \
                    {"UserIdGroupPairs": [{"GroupId": source}]}
                self.ec2.authorize_security_group_ingress(GroupId=id_, IpPermissions=[
                    dict(IpProtocol="tcp", FromPort=port, ToPort=port, **peer)])
            return id_
        self.front = group("front", (80, "0.0.0.0/0"), (443, "0.0.0.0/0"))
        self.bastions = group("bastions", (22, "0.0.0.0/0"))
        self.webs = group("webs", (8080, self.front), (22, self.bastions))

    def make_instances(self):
        def launch(subnet, group, data=""):
            return self.cloud.launch(wait=False, SubnetId=subnet, SecurityGroupIds=[group], UserData=data)
        self.bastion = launch(self.public[1], self.bastions)
        self.web = [launch(subnet, self.webs, SITE) for subnet in self.private]
        for instance in [self.bastion] + self.web:
            self.cloud.wait_state(instance, "running")
        self.cloud.wait_ssh(self.bastion)
        # Kept, since there are times when nobody can be asked.
        self.bastion_address = self.cloud.address(self.bastion)
        shown = [self.cloud.describe(instance) for instance in self.web]
        self.addresses = [instance["PrivateIpAddress"] for instance in shown]
        self.names = [instance["PrivateDnsName"].split(".")[0] for instance in shown]
        for number in (0, 1):
            wait_for(lambda: self.login(number, "true").returncode == 0, 120, "login on web %d" % number, 0.5)

    def make_balancer(self):
        key, certificate = (os.path.join(self.cloud.directory, name) for name in ("site.key", "site.pem"))
        run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=site.example",
             "-addext", "subjectAltName=DNS:site.example", "-keyout", key, "-out", certificate])
        self.certificate = certificate
        arn = self.iam.upload_server_certificate(
            ServerCertificateName="site", CertificateBody=open(certificate).read(),
            PrivateKey=open(key).read())["ServerCertificateMetadata"]["Arn"]
        balancer = self.elb.create_load_balancer(Name="site", Subnets=self.public,
                                                 SecurityGroups=[self.front])["LoadBalancers"][0]
        self.targets = self.elb.create_target_group(
            Name="site", Protocol="HTTP", Port=8080, VpcId=self.vpc, HealthCheckIntervalSeconds=5,
            HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2)["TargetGroups"][0]["TargetGroupArn"]
        self.elb.register_targets(TargetGroupArn=self.targets, Targets=[{"Id": id_} for id_ in self.web])
        self.elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTPS", Port=443,
            Certificates=[{"CertificateArn": arn}],
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.targets}])
        self.elb.create_listener(
            LoadBalancerArn=balancer["LoadBalancerArn"], Protocol="HTTP", Port=80,
            DefaultActions=[{"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443",
                                                                    "StatusCode": "HTTP_301"}}])
        self.elb.get_waiter("target_in_service").wait(TargetGroupArn=self.targets,
                                                      WaiterConfig={"Delay": 1, "MaxAttempts": 90})
        nodes = self.ec2.describe_network_interfaces(Filters=[
            {"Name": "description", "Values": ["ELB app/site/*"]}])["NetworkInterfaces"]
        self.nodes = sorted(node["Association"]["PublicIp"] for node in nodes)

    # ---- ways in and out ----

    def private_address(self, number):
        return self.addresses[number]

    def command(self, number, command):
        """What runs a command on a web server, by way of the bastion."""
        hop = "ssh %s -i %s -W %%h:%%p root@%s" % (" ".join(SSH_OPTIONS), self.cloud.key, self.bastion_address)
        return ["ssh"] + SSH_OPTIONS + ["-o", "ProxyCommand=" + hop, "-i", self.cloud.key,
                                        "root@" + self.private_address(number), command]

    def login(self, number, command):
        return run(self.command(number, command), check=False)

    def start_login(self, number, command):
        return subprocess.Popen(self.command(number, command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def fetch(self, node, *options, host="site.example", port=443):
        """What somebody outside gets from a node, certificate checked."""
        scheme = "https" if port == 443 else "http"
        return self.world.run("curl", "-s", "-m", "5", "--cacert", self.certificate, "--resolve",
                              "%s:%d:%s" % (host, port, node), *options, "%s://%s:%d/" % (scheme, host, port), check=False)

    def name(self, number):
        return self.names[number]

    def wrong(self, numbers=(0, 1)):
        """Into the site by both nodes, out of it by the NAT gateway, a name, a door that is closed: what of it does
        not hold, as far as these servers are concerned."""
        command = ("timeout 3 wget -q -O - http://198.51.100.200:7000/; echo; nslookup %s.ec2.internal; "
                   "timeout 1 wget -q -O - http://%s:8080/ && echo open" % (self.name(0), self.private_address(1)))
        logins = [self.start_login(number, command) for number in numbers]
        names = {self.name(number) for number in numbers}
        wrong = ["node " + node for node in self.nodes if {self.fetch(node).stdout.strip() for _ in range(4)} != names]
        for number, login in zip(numbers, logins):
            said = login.communicate(timeout=60)[0]
            if self.outside["PublicIp"] not in said or self.private_address(0) not in said or \
                    (number == 0 and "open" in said):
                wrong.append("server %d: %s" % (number, said))
        return wrong


@pytest.fixture(scope="module")
def cloud(rack_cloud):
    return rack_cloud


@pytest.fixture(scope="module")
def site(cloud, second, world):
    world.serve(7000)
    yield Site(cloud, world)
    cloud.terminate_all()


def from_bastion(site, command):
    return site.cloud.ssh(site.bastion, command, check=False)


def test_on_both_hosts(site, second):
    assert site.web[1] in second.domains() and site.web[0] not in second.domains()
    assert len(site.nodes) == 2


def test_the_site_is_served_by_both(site):
    """From both nodes, over TLS with the certificate that was uploaded."""
    for node in site.nodes:
        answers = {site.fetch(node).stdout.strip() for _ in range(8)}
        assert answers == {site.name(0), site.name(1)}


def test_plain_http_is_sent_to_tls(site):
    for node in site.nodes:
        shown = site.fetch(node, "-o", os.devnull, "-w", "%{http_code} %{redirect_url}", port=80).stdout
        assert shown == "301 https://site.example:443/" or shown == "301 https://site.example/"


def test_the_certificate_is_checked(site):
    assert site.fetch(site.nodes[0], host="other.example").returncode == 60


def test_private_subnets_go_out_by_the_nat_gateway(site):
    """From either host, under the gateway's address."""
    for number in (0, 1):
        assert site.login(number, "wget -q -O - http://198.51.100.200:7000/").stdout == site.outside["PublicIp"]


def test_the_bastion_goes_out_by_its_own(site):
    assert site.cloud.ssh(site.bastion, "wget -q -O - http://198.51.100.200:7000/") == site.cloud.address(site.bastion)


@pytest.mark.parametrize("number", (0, 1))
def test_closed_to_the_bastion(site, number):
    """It may log in, but the site is the balancer's alone."""
    assert from_bastion(site, "timeout 3 wget -q -O - http://%s:8080/" % site.private_address(number)).returncode != 0


def test_closed_between_servers(site):
    for number in (0, 1):
        assert site.login(number, "timeout 3 wget -q -O - http://%s:8080/" % site.private_address(1 - number)).returncode != 0


def test_closed_from_outside(site):
    """No way to private addresses, to the gateway's, to other ports of the bastion or of the balancer's nodes."""
    site.world.run("ip", "route", "replace", "10.50.0.0/16", "dev", "eth0")
    closed = [(site.private_address(0), 8080), (site.private_address(1), 22), (site.outside["PublicIp"], 22),
              (site.outside["PublicIp"], 8080), (site.cloud.address(site.bastion), 8080), (site.nodes[0], 8080),
              (site.nodes[1], 22)]
    probes = [(where, subprocess.Popen(site.world.command("curl", "-s", "-m", "3", "http://%s:%d/" % where),
                                       stdout=subprocess.PIPE)) for where in closed]
    for where, probe in probes:
        answer = probe.communicate()[0]
        assert probe.returncode in (7, 28) and not answer, "%s:%d is open" % where
    site.world.run("ip", "route", "del", "10.50.0.0/16", "dev", "eth0")


def test_a_server_that_fails_gets_nothing(site):
    """Within seconds, and again when it is well."""
    site.login(0, "killall httpd || kill $(pidof httpd)")
    wait_for(lambda: all(site.fetch(node).stdout.strip() == site.name(1) for node in site.nodes for _ in range(4)),
             30, "one server alone")
    site.login(0, "httpd -p 8080 -h /tmp/www")
    wait_for(lambda: {site.fetch(site.nodes[0]).stdout.strip() for _ in range(6)} == {site.name(0), site.name(1)},
             30, "both servers")


@pytest.fixture(scope="module")
def machines(site, second):
    return [Pieces(lambda *words, **options: run(list(words), **options), site.vpc), Pieces(second.run, site.vpc)]


def all_paths(site):
    end = time.monotonic() + 20
    while True:
        wrong = site.wrong()
        if not wrong:
            return
        assert time.monotonic() < end, wrong


def both_up(cloud):
    wait_for(lambda: len([h for h in cloud.status()["hosts"] if h["up"]]) == 2, 60, "both hosts")


def test_pieces_return(site, machines):
    """Whatever somebody takes away on either host is back within ten seconds."""
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    chance = random.Random(seed)
    assert site.wrong() == []
    before = [machine.state() for machine in machines]
    daemons = sorted(before[0]["daemons"])
    assert len(daemons) == 4 and daemons == sorted(before[1]["daemons"])
    chance.shuffle(daemons)
    for some, link in ((daemons[:2], "up0"), (daemons[2:], "vx0")):
        taken = []
        for machine in machines:
            rule, route = chance.choice(machine.rules()), chance.choice(machine.routes())
            taken.append((rule, route, link, some))
            machine.inside("nft", "delete", "rule", *rule[:3], "handle", rule[3])
            machine.inside("ip", "route", "del", *route.split())
            machine.inside("ip", "link", "del", link)
            machine.run("kill", "-9", *[pid for pid, name in machine.daemons().items() if name in some],
                        check=False)  # one may have ended meanwhile
        end = time.monotonic() + 10
        for machine, former in zip(machines, before):
            try:
                wait_for(lambda: not machine.missing(former), end - time.monotonic(), "pieces")
            except TimeoutError:
                pytest.fail("%s: not as they were: %s" % (taken, machine.missing(former)))
        all_paths(site)


def test_crash_of_virga_node_drops_nothing(site, cloud, second):
    """On both hosts, and while new ones program everything anew: no packet of what goes on is lost."""
    for number in (0, 1):
        site.login(number, "head -c 200000 /dev/zero > /tmp/www/bulk")
    pings = [site.start_login(number, "ping -q -c 90 -i 0.1 198.51.100.200") for number in (0, 1)]
    loads = [subprocess.Popen(site.world.command(
        "curl", "-s", "-k", "--limit-rate", "25k", "-o", os.devnull, "-w", "%{size_download}", "https://%s/bulk" % node),
        stdout=subprocess.PIPE, text=True) for node in site.nodes]
    for _ in range(2):
        time.sleep(1)  # in the middle of it; nothing is waited for
        former = cloud.kill("virga-node")
        second.kill("virga-node")
        second.start_node()
        wait_for(lambda: cloud.pid("virga-node") not in (None, former), 20, "new virga-node")
    assert [load.communicate(timeout=60)[0] for load in loads] == ["200000"] * 2
    for ping in pings:
        said = ping.communicate(timeout=60)[0]
        assert "90 packets transmitted, 90 packets received" in said, said
    both_up(cloud)


def test_host_goes_away(site, cloud, second, machines):
    """The other host carries its node, and its servers are not asked; when it is back they are."""
    second.kill("virga-node")
    run(["ip", "link", "set", "host2", "down"])
    try:
        cloud.sql("UPDATE host SET seen = now() - interval '2 minutes' WHERE name = 'host-2'")
        wait_for(lambda: all(site.fetch(node).stdout.strip() == site.name(0) for node in site.nodes for _ in range(3)),
                 40, "one server behind both nodes")
    finally:
        run(["ip", "link", "set", "host2", "up"])
        second.start_node()
    both_up(cloud)
    all_paths(site)
    wait_for(lambda: "haproxy of the VPC" not in machines[1].daemons().values(), 20, "end of what the other carries now")


def test_goes_on_without_controllers(site, cloud, second, machines):
    """virgad and its database are gone, and virga-node on the first host: the site is as it was.  On the other one
    virga-node starts anew and does all that it did."""
    before = machines[1].state()
    metadata = "wget -q -O - http://169.254.169.254/latest/meta-data/instance-id"
    cloud.down()
    try:
        assert site.wrong() == []
        assert site.login(1, metadata).stdout == site.web[1]
        start = time.monotonic()
        site.login(0, "kill $(pidof httpd)")
        wait_for(lambda: all(site.fetch(node).stdout.strip() == site.name(1) for node in site.nodes for _ in range(3)),
                 8, "one server alone")
        print("out after %.1f s" % (time.monotonic() - start))
        site.login(0, "httpd -p 8080 -h /tmp/www")
        second.kill("virga-node")
        second.start_node()
        machines[1].inside("nft", "flush", "ruleset")
        machines[1].inside("ip", "link", "del", "vx0")
        machines[1].run("kill", "-9", *machines[1].daemons(), check=False)
        wait_for(lambda: not machines[1].missing(before), 10, "pieces")
        all_paths(site)
        assert site.login(1, metadata).stdout == site.web[1]
        assert site.login(1, "udhcpc -n -q -f -i eth0 -s /bin/true").returncode == 0
    finally:
        cloud.up()
    both_up(cloud)
    assert site.wrong() == []


def test_launches_go_on_after_that(site, cloud, second):
    instance = cloud.launch(SubnetId=site.public[1], SecurityGroupIds=[site.bastions])
    assert instance in second.domains()
    cloud.wait_ssh(instance)
    cloud.ec2.terminate_instances(InstanceIds=[instance])
    cloud.wait_state(instance, "terminated")
    wait_for(lambda: instance not in second.domains(), 30, "domain that went")


def test_all_of_it_goes(site, second):
    """In the order in which it can; before, what is still used is refused."""
    ec2, elb = site.ec2, site.elb
    for refused in (lambda: ec2.delete_vpc(VpcId=site.vpc), lambda: ec2.delete_subnet(SubnetId=site.private[0]),
                    lambda: ec2.delete_security_group(GroupId=site.front)):
        with pytest.raises(ClientError) as refusal:
            refused()
        assert refusal.value.response["Error"]["Code"] == "DependencyViolation"
    for balancer in elb.describe_load_balancers(Names=["site"])["LoadBalancers"]:
        elb.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    elb.delete_target_group(TargetGroupArn=site.targets)
    site.iam.delete_server_certificate(ServerCertificateName="site")
    site.cloud.terminate_all()
    of_vpc = [{"Name": "vpc-id", "Values": [site.vpc]}]
    for nat in ec2.describe_nat_gateways(Filters=of_vpc)["NatGateways"]:
        ec2.delete_nat_gateway(NatGatewayId=nat["NatGatewayId"])
        ec2.get_waiter("nat_gateway_deleted").wait(NatGatewayIds=[nat["NatGatewayId"]],
                                                   WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    ec2.release_address(AllocationId=site.outside["AllocationId"])
    for gateway in ec2.describe_internet_gateways(
            Filters=[{"Name": "attachment.vpc-id", "Values": [site.vpc]}])["InternetGateways"]:
        ec2.detach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=site.vpc)
        ec2.delete_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"])
    for subnet in site.public + site.private:
        ec2.delete_subnet(SubnetId=subnet)
    for table in ec2.describe_route_tables(Filters=of_vpc)["RouteTables"]:
        if not any(association["Main"] for association in table["Associations"]):
            ec2.delete_route_table(RouteTableId=table["RouteTableId"])
    for group in (site.webs, site.front, site.bastions):
        ec2.delete_security_group(GroupId=group)
    ec2.delete_vpc(VpcId=site.vpc)
    wait_for(lambda: not second.run("ls", "/run/netns").stdout, 30, "end of the VPC on the second host")
    site.cloud.wait_no_leaks(30)
    assert not second.run("pgrep", "-x", "haproxy|dnsmasq|pdns_recursor", check=False).stdout
