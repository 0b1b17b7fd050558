# SPDX-License-Identifier: Apache-2.0
"""Load balancers by the API, with guests as targets: what a developer on this host does."""
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from conftest import run, wait_for


def get(url, timeout_s=5, **headers):
    """Status and body; None if nobody answers."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=timeout_s) as answer:
            return answer.status, answer.read().decode().strip()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode().strip()
    except OSError:
        return None


@pytest.fixture(scope="module")
def elb(cloud):
    return cloud.client("elbv2")


@pytest.fixture(scope="module")
def vpc(cloud):
    return cloud.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]


@pytest.fixture(scope="module")
def targets(cloud):
    made = [cloud.launch(wait=False), cloud.launch(wait=False)]
    cloud.open_port(80)
    for number, guest in enumerate(made):
        cloud.wait_state(guest, "running")
        cloud.wait_ssh(guest)
        cloud.ssh(guest, "mkdir -p /tmp/www/a && echo web%d | tee /tmp/www/index.html > /tmp/www/a/index.html && "
                         "httpd -p 80 -h /tmp/www" % number)
    return made


@pytest.fixture(scope="module")
def group(cloud, elb, vpc, targets):
    made = elb.create_target_group(Name="web", Protocol="HTTP", Port=80, VpcId=vpc, HealthCheckIntervalSeconds=5,
                                   HealthCheckTimeoutSeconds=2, HealthyThresholdCount=2)["TargetGroups"][0]
    elb.register_targets(TargetGroupArn=made["TargetGroupArn"], Targets=[{"Id": i} for i in targets])
    yield made["TargetGroupArn"]
    elb.delete_target_group(TargetGroupArn=made["TargetGroupArn"])


@pytest.fixture(scope="module")
def balancer(cloud, elb, group):
    subnets = [s["SubnetId"] for s in cloud.ec2.describe_subnets()["Subnets"]]
    made = elb.create_load_balancer(Name="front", Subnets=subnets)["LoadBalancers"][0]
    arn = made["LoadBalancerArn"]
    listener = elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=80, DefaultActions=[
        {"Type": "forward", "TargetGroupArn": group}])["Listeners"][0]
    elb.get_waiter("load_balancer_available").wait(LoadBalancerArns=[arn], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    elb.get_waiter("target_in_service").wait(TargetGroupArn=group, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    yield dict(made, ListenerArn=listener["ListenerArn"])
    elb.delete_load_balancer(LoadBalancerArn=arn)


@pytest.fixture(scope="module")
def address(cloud, balancer):
    nodes = cloud.ec2.describe_network_interfaces(Filters=[{"Name": "requester-id", "Values": ["amazon-elb"]}])
    return nodes["NetworkInterfaces"][0]["Association"]["PublicIp"]


def health(elb, group):
    found = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    return {d["Target"]["Id"]: d["TargetHealth"]["State"] for d in found}


def seen(address, count=8):
    return {(get("http://%s/" % address) or (None, None))[1] for _ in range(count)}


def test_requests_reach_targets(cloud, address):
    assert seen(address) == {"web0", "web1"}
    # The operator's own look finds nothing that nobody claims.
    assert cloud.leaks() == []


def test_the_name_leads_there(cloud, targets, balancer):
    """From within the VPC; a target may ask its own balancer.  The guests' wget asks no name server."""
    nodes = cloud.ec2.describe_network_interfaces(Filters=[{"Name": "requester-id", "Values": ["amazon-elb"]}])
    address = nodes["NetworkInterfaces"][0]["PrivateIpAddress"]
    for guest in targets:
        assert address in cloud.ssh(guest, "nslookup " + balancer["DNSName"])
        said = {cloud.ssh(guest, "wget -q -O - http://%s/" % address).strip() for _ in range(6)}
        assert said == {"web0", "web1"}


def test_rules(elb, balancer, group, address):
    rule = elb.create_rule(ListenerArn=balancer["ListenerArn"], Priority=1, Conditions=[
        {"Field": "path-pattern", "Values": ["/hello*"]}], Actions=[{
            "Type": "fixed-response", "FixedResponseConfig": {
                "StatusCode": "200", "ContentType": "text/plain", "MessageBody": "from the balancer"}}])["Rules"][0]
    wait_for(lambda: get("http://%s/hello" % address) == (200, "from the balancer"), 10, "the rule", 0.1)
    assert get("http://%s/a/" % address)[1] in ("web0", "web1")
    elb.delete_rule(RuleArn=rule["RuleArn"])
    wait_for(lambda: get("http://%s/hello" % address)[0] == 404, 10, "the rule's end", 0.1)


def test_health(cloud, elb, group, targets, address):
    cloud.ssh(targets[0], "mv /tmp/www/index.html /tmp/www/gone.html")
    wait_for(lambda: health(elb, group)[targets[0]] == "unhealthy", 10, "the target to be out", 0.2)
    assert seen(address) == {"web1"}
    cloud.ssh(targets[0], "mv /tmp/www/gone.html /tmp/www/index.html")
    wait_for(lambda: health(elb, group)[targets[0]] == "healthy", 10, "the target to be in", 0.2)
    wait_for(lambda: seen(address) == {"web0", "web1"}, 5, "both to answer", 0.2)


def test_deregistration(cloud, elb, group, targets, address):
    elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[
        {"Key": "deregistration_delay.timeout_seconds", "Value": "1"}])
    elb.deregister_targets(TargetGroupArn=group, Targets=[{"Id": targets[1]}])
    wait_for(lambda: seen(address) == {"web0"}, 10, "the target to be gone", 0.2)
    wait_for(lambda: targets[1] not in health(elb, group), 10, "its drain to end", 0.2)
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": targets[1]}])
    wait_for(lambda: seen(address) == {"web0", "web1"}, 20, "the target to be back", 0.2)


def test_network_balancer_with_an_elastic_ip(cloud, elb, vpc, targets):
    """Its address is the account's before, and afterwards; to addresses as targets."""
    address = cloud.ec2.allocate_address()
    subnet = cloud.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    made = elb.create_target_group(Name="raw", Protocol="TCP", Port=80, VpcId=vpc, TargetType="ip")["TargetGroups"][0]["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=made, Targets=[{"Id": cloud.describe(i)["PrivateIpAddress"]} for i in targets])
    arn = elb.create_load_balancer(Name="raw", Type="network", SubnetMappings=[
        {"SubnetId": subnet, "AllocationId": address["AllocationId"]}])["LoadBalancers"][0]["LoadBalancerArn"]
    elb.create_listener(LoadBalancerArn=arn, Protocol="TCP", Port=8080, DefaultActions=[
        {"Type": "forward", "TargetGroupArn": made}])
    there = address["PublicIp"] + ":8080"
    wait_for(lambda: seen(there) == {"web0", "web1"}, 20, "answers of both", 0.2)
    elb.delete_load_balancer(LoadBalancerArn=arn)
    wait_for(lambda: get("http://%s/" % there, 1) is None, 10, "its end", 0.2)
    elb.delete_target_group(TargetGroupArn=made)
    cloud.ec2.release_address(AllocationId=address["AllocationId"])


def haproxy_pids():
    return run(["pgrep", "-x", "haproxy"], check=False).stdout.split()


@pytest.mark.parametrize("daemon", ["virgad", "virga-node", "postgresql"])
def test_daemon_is_killed(cloud, address, daemon):
    """Requests that run meanwhile all succeed."""
    stop = time.monotonic() + 4
    former, pids, count = cloud.kill(daemon), haproxy_pids(), 0
    while time.monotonic() < stop:
        assert get("http://%s/" % address)[0] == 200
        count += 1
    assert count > 20
    wait_for(lambda: cloud.pid(daemon) not in (None, former), 20, "new " + daemon)
    wait_for(lambda: "All is well." in cloud.virga("status", check=False).stdout, 60, "health", 0.3)
    assert haproxy_pids() == pids and seen(address) == {"web0", "web1"}


def test_pieces_return(cloud, vpc, address):
    for pid in haproxy_pids():
        subprocess.run(["kill", "-9", pid], check=False)
    wait_for(lambda: seen(address) == {"web0", "web1"}, 10, "HAProxy to be back", 0.2)
    run(["ip", "netns", "exec", "virga-vga-" + vpc, "nft", "flush", "ruleset"])
    wait_for(lambda: seen(address) == {"web0", "web1"}, 10, "the filter to be back", 0.2)


def test_end(cloud, elb, balancer, address):
    """The last guest goes, the balancer stays; then it goes, and nothing is left."""
    arn = balancer["LoadBalancerArn"]
    cloud.terminate_all()
    wait_for(lambda: (get("http://%s/" % address, 30) or (0,))[0] in (502, 503), 60, "an error without targets", 0.5)
    elb.delete_load_balancer(LoadBalancerArn=arn)
    wait_for(lambda: haproxy_pids() == [], 30, "HAProxy to end", 0.2)
    cloud.settle()
    assert cloud.leaks() == []
