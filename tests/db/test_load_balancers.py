# SPDX-License-Identifier: Apache-2.0
"""Elastic Load Balancing: load balancers, target groups, listeners, rules and what hosts are sent of them."""
import json

import pytest

from conftest import KEYS, fails
from test_quotas import check, limit  # noqa: F401


@pytest.fixture
def elb(cloud):
    return cloud.client("elbv2")


@pytest.fixture(autouse=True)
def clean(cloud):
    yield
    cloud.sql("""
        DELETE FROM load_balancer_node; DELETE FROM load_balancer; DELETE FROM target_group;
        DELETE FROM server_certificate;
        DELETE FROM quota WHERE resource IN ('load-balancers', 'target-groups')""")


def subnets(cloud):
    found = cloud.ec2.describe_subnets()["Subnets"]
    return [s["SubnetId"] for s in sorted(found, key=lambda s: s["AvailabilityZone"])]


def vpc(cloud):
    return cloud.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]


def balancer(cloud, elb, name="web", **options):
    return elb.create_load_balancer(Name=name, Subnets=subnets(cloud), **options)["LoadBalancers"][0]


def group(cloud, elb, name="blue", protocol="HTTP", port=80, **options):
    return elb.create_target_group(Name=name, Protocol=protocol, Port=port, VpcId=vpc(cloud),
                                   **options)["TargetGroups"][0]


def forward(it):
    return [{"Type": "forward", "TargetGroupArn": it["TargetGroupArn"]}]


def listener(elb, lb, tg, port=80, protocol="HTTP", **options):
    return elb.create_listener(LoadBalancerArn=lb["LoadBalancerArn"], Protocol=protocol, Port=port,
                               DefaultActions=forward(tg), **options)["Listeners"][0]


def plan(cloud):
    return json.loads(cloud.control("plan", vpc(cloud)))


def test_load_balancer(cloud, elb):
    made = balancer(cloud, elb, Tags=[{"Key": "a", "Value": "b"}])
    arn = made["LoadBalancerArn"]
    assert arn.startswith("arn:aws:elasticloadbalancing:us-east-1:000000000001:loadbalancer/app/web/")
    assert made["Type"] == "application" and made["Scheme"] == "internet-facing"
    assert made["State"] == {"Code": "provisioning"} and made["IpAddressType"] == "ipv4"
    assert [z["SubnetId"] for z in made["AvailabilityZones"]] == subnets(cloud)
    assert made["DNSName"].startswith("web-") and made["DNSName"].endswith(".us-east-1.elb.amazonaws.com")
    default = cloud.ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]
    assert made["SecurityGroups"] == [default["GroupId"]]
    assert elb.describe_load_balancers()["LoadBalancers"] == [made]
    assert elb.describe_load_balancers(Names=["web"])["LoadBalancers"] == [made]
    assert elb.describe_tags(ResourceArns=[arn])["TagDescriptions"] == [
        {"ResourceArn": arn, "Tags": [{"Key": "a", "Value": "b"}]}]
    assert cloud.ec2.describe_tags()["Tags"] == []
    nodes = cloud.ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert len(nodes) == 2
    for node in nodes:
        assert node["Description"] == "ELB app/web/" + arn.split("/")[-1]
        assert node["RequesterId"] == "amazon-elb" and node["RequesterManaged"]
        assert node["Association"]["PublicIp"]
    assert balancer(cloud, elb) == made  # asked for again
    with fails("DuplicateLoadBalancerName"):
        balancer(cloud, elb, Scheme="internal")
    check(cloud)
    elb.delete_load_balancer(LoadBalancerArn=arn)
    elb.delete_load_balancer(LoadBalancerArn=arn)
    with fails("LoadBalancerNotFound"):
        elb.describe_load_balancers(LoadBalancerArns=[arn])
    with fails("LoadBalancerNotFound"):
        elb.describe_load_balancers(Names=["web"])
    assert cloud.ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    check(cloud)


def test_load_balancer_refusals(cloud, elb, limit):  # noqa: F811
    for code, options in (
            ("ValidationError", {"Name": "-x"}), ("ValidationError", {"Name": "x" * 33}),
            ("ValidationError", {"Name": "internal-x"}), ("ValidationError", {"Name": "a_b"}),
            ("ValidationError", {"Subnets": []}), ("SubnetNotFound", {"Subnets": ["subnet-0123456789abcdef0"]}),
            ("ValidationError", {"Subnets": subnets(cloud)[:1]}),
            ("UnsupportedOperation", {"Type": "gateway"}), ("UnsupportedOperation", {"IpAddressType": "dualstack"}),
            ("InvalidSecurityGroup", {"SecurityGroups": ["sg-0123456789abcdef0"]})):
        with fails(code):
            elb.create_load_balancer(**dict({"Name": "web", "Subnets": subnets(cloud)}, **options))
    with fails("ValidationError"):
        elb.describe_load_balancers(LoadBalancerArns=["x"])
    with fails("LoadBalancerNotFound"):
        elb.describe_listeners(LoadBalancerArn="arn:aws:elasticloadbalancing:us-east-1:000000000002:"
                                               "loadbalancer/app/web/0123456789abcdef")
    made = balancer(cloud, elb)["LoadBalancerArn"]
    other = cloud.client("elbv2", KEYS[1])
    assert other.describe_load_balancers()["LoadBalancers"] == []
    for call in (other.delete_load_balancer, other.describe_load_balancer_attributes):
        with fails("LoadBalancerNotFound"):
            call(LoadBalancerArn=made)
    limit(load_balancers=1)
    with fails("TooManyLoadBalancers"):
        balancer(cloud, elb, "second")


def test_attributes(cloud, elb):
    arn = balancer(cloud, elb)["LoadBalancerArn"]

    def attributes():
        return {a["Key"]: a["Value"] for a in elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]}

    def modify(key, value):
        return elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[{"Key": key, "Value": value}])
    assert attributes()["idle_timeout.timeout_seconds"] == "60" and attributes()["routing.http2.enabled"] == "true"
    modify("idle_timeout.timeout_seconds", "120")
    modify("routing.http.drop_invalid_header_fields.enabled", "true")
    assert attributes()["idle_timeout.timeout_seconds"] == "120"
    its = plan(cloud)["balancers"][0]
    assert its["idle_timeout_s"] == 120 and its["drop_invalid"] and its["http2"]
    for key, value, code in (("idle_timeout.timeout_seconds", "0", "ValidationError"), ("x", "y", "ValidationError"),
                             ("routing.http2.enabled", "maybe", "ValidationError"),
                             ("access_logs.s3.enabled", "true", "UnsupportedOperation")):
        with fails(code):
            modify(key, value)
    modify("deletion_protection.enabled", "true")
    with fails("OperationNotPermitted"):
        elb.delete_load_balancer(LoadBalancerArn=arn)
    modify("deletion_protection.enabled", "false")
    tg = group(cloud, elb)["TargetGroupArn"]

    def set_group(**attributes):
        return elb.modify_target_group_attributes(TargetGroupArn=tg, Attributes=[
            {"Key": k.replace("__", "."), "Value": v} for k, v in attributes.items()])
    set_group(stickiness__enabled="true", stickiness__lb_cookie__duration_seconds="600",
              deregistration_delay__timeout_seconds="5", load_balancing__algorithm__type="least_outstanding_requests")
    its = plan(cloud)["target_groups"][0]
    assert (its["sticky"], its["sticky_s"], its["algorithm"]) == ("lb_cookie", 600, "leastconn")
    with fails("ValidationError"):
        set_group(stickiness__type="app_cookie")
    with fails("ValidationError"):
        set_group(slow_start__duration_seconds="7")
    set_group(stickiness__type="app_cookie", stickiness__app_cookie__cookie_name="session")
    assert plan(cloud)["target_groups"][0]["cookie"] == "session"


def test_groups_and_subnets(cloud, elb):
    lb = balancer(cloud, elb, Scheme="internal")
    arn = lb["LoadBalancerArn"]
    assert lb["DNSName"].startswith("internal-web-")
    sg = cloud.ec2.create_security_group(GroupName="front", Description="x", VpcId=vpc(cloud))["GroupId"]
    assert elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=[sg])["SecurityGroupIds"] == [sg]
    assert elb.describe_load_balancers()["LoadBalancers"][0]["SecurityGroups"] == [sg]
    with fails("DependencyViolation"):
        cloud.ec2.delete_security_group(GroupId=sg)
    with fails("InvalidSecurityGroup"):
        elb.set_security_groups(LoadBalancerArn=arn, SecurityGroups=["sg-0123456789abcdef0"])
    with fails("ValidationError"):
        elb.set_subnets(LoadBalancerArn=arn, Subnets=subnets(cloud)[:1])
    assert elb.set_ip_address_type(LoadBalancerArn=arn, IpAddressType="ipv4")["IpAddressType"] == "ipv4"
    net = elb.create_load_balancer(Name="raw", Type="network", Subnets=subnets(cloud)[:1])["LoadBalancers"][0]
    assert net["LoadBalancerArn"].split("/")[1] == "net" and not net.get("SecurityGroups")
    assert net["AvailabilityZones"][0]["LoadBalancerAddresses"][0]["IpAddress"].startswith("198.18.")
    zones = elb.set_subnets(LoadBalancerArn=net["LoadBalancerArn"], Subnets=subnets(cloud)[1:])["AvailabilityZones"]
    assert [z["SubnetId"] for z in zones] == subnets(cloud)[1:]
    assert len(cloud.ec2.describe_network_interfaces()["NetworkInterfaces"]) == 3


def test_own_addresses(cloud, elb):
    """A network balancer gets the elastic IPs and the private addresses that its owner wants."""
    one, two = subnets(cloud)
    first, second = cloud.ec2.allocate_address(), cloud.ec2.allocate_address()

    def make(*mappings, name="raw", **options):
        made = elb.create_load_balancer(**dict({"Name": name, "Type": "network", "SubnetMappings": list(mappings)},
                                               **options))
        return made["LoadBalancers"][0]

    def own(subnet, allocation):
        return {"SubnetId": subnet, "AllocationId": allocation["AllocationId"]}

    def there(allocation):
        return cloud.ec2.describe_addresses(AllocationIds=[allocation["AllocationId"]])["Addresses"][0]
    made = make(own(one, first), {"SubnetId": two})
    by_zone = {z["SubnetId"]: z["LoadBalancerAddresses"][0] for z in made["AvailabilityZones"]}
    assert by_zone[one] == {"IpAddress": first["PublicIp"], "AllocationId": first["AllocationId"]}
    assert list(by_zone[two]) == ["IpAddress"]  # of the pool
    assert elb.describe_load_balancers()["LoadBalancers"] == [made]
    assert make(own(one, first), {"SubnetId": two}) == made
    with fails("DuplicateLoadBalancerName"):
        make(own(one, second), {"SubnetId": two})
    node = next(p for p in plan(cloud)["ports"] if p.get("public_address") == first["PublicIp"])
    assert node["of_balancer"] and there(first)["NetworkInterfaceId"] == node["id"]
    check(cloud)

    # What is the balancer's is nobody else's as long as it is.
    for code, call in (("AuthFailure", lambda: cloud.ec2.disassociate_address(AssociationId=there(first)["AssociationId"])),
                       ("InvalidIPAddress.InUse", lambda: cloud.ec2.release_address(AllocationId=first["AllocationId"])),
                       ("ResourceInUse", lambda: make(own(one, first), name="other"))):
        with fails(code):
            call()
    arn = made["LoadBalancerArn"]
    with fails("InvalidConfigurationRequest"):
        elb.set_subnets(LoadBalancerArn=arn, SubnetMappings=[own(one, second)])
    zones = elb.set_subnets(LoadBalancerArn=arn, Subnets=[one])["AvailabilityZones"]
    assert [z["SubnetId"] for z in zones] == [one]
    zones = elb.set_subnets(LoadBalancerArn=arn, SubnetMappings=[{"SubnetId": one}, own(two, second)])["AvailabilityZones"]
    assert [z["LoadBalancerAddresses"][0]["AllocationId"] for z in zones] == [a["AllocationId"] for a in (first, second)]
    elb.set_subnets(LoadBalancerArn=arn, Subnets=[two])
    assert "AssociationId" not in there(first)
    elb.delete_load_balancer(LoadBalancerArn=arn)
    assert "AssociationId" not in there(second)
    check(cloud)

    for code, call in (("AllocationIdNotFound", lambda: make(own(one, {"AllocationId": "eipalloc-0123456789abcdef0"}))),
                       ("ValidationError", lambda: make(own(one, first), Scheme="internal")),
                       ("ValidationError", lambda: make(own(one, first), own(two, second), Type="application")),
                       ("ValidationError", lambda: make({"SubnetId": one, "PrivateIPv4Address": "172.31.0.20"})),
                       ("ResourceInUse", lambda: make(own(one, first), own(two, first))),
                       ("UnsupportedOperation", lambda: make({"SubnetId": one, "IPv6Address": "2001:db8::1"}))):
        with fails(code):
            call()
    other = cloud.client("ec2", KEYS[1]).allocate_address()
    with fails("AllocationIdNotFound"):
        make(own(one, other))
    cloud.client("ec2", KEYS[1]).release_address(AllocationId=other["AllocationId"])
    assert "AssociationId" not in there(first)  # of what failed nothing is left

    cidr = cloud.ec2.describe_subnets(SubnetIds=[one])["Subnets"][0]["CidrBlock"]
    wanted = cidr.rsplit(".", 1)[0] + ".77"
    made = make({"SubnetId": one, "PrivateIPv4Address": wanted}, Scheme="internal")
    assert made["AvailabilityZones"][0]["LoadBalancerAddresses"] == [{"PrivateIPv4Address": wanted}]
    with fails("ResourceInUse"):
        make({"SubnetId": one, "PrivateIPv4Address": wanted}, Scheme="internal", name="other")
    for address in ("10.9.8.7", cidr.rsplit(".", 1)[0] + ".1", "x"):
        with fails("InvalidConfigurationRequest"):
            make({"SubnetId": one, "PrivateIPv4Address": address}, Scheme="internal", name="other")
    elb.delete_load_balancer(LoadBalancerArn=made["LoadBalancerArn"])
    for address in (first, second):
        cloud.ec2.release_address(AllocationId=address["AllocationId"])


def test_no_way_to_the_internet(cloud, elb):
    it = cloud.ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    subnet = cloud.ec2.create_subnet(VpcId=it, CidrBlock="10.77.1.0/24")["Subnet"]["SubnetId"]
    with fails("InvalidSubnet", "internet gateway"):
        elb.create_load_balancer(Name="raw", Type="network", Subnets=[subnet])
    made = elb.create_load_balancer(Name="raw", Type="network", Subnets=[subnet], Scheme="internal")["LoadBalancers"][0]
    with fails("DependencyViolation"):
        cloud.ec2.delete_subnet(SubnetId=subnet)
    elb.delete_load_balancer(LoadBalancerArn=made["LoadBalancerArn"])
    cloud.ec2.delete_subnet(SubnetId=subnet)
    cloud.ec2.delete_vpc(VpcId=it)


def test_target_groups(cloud, elb, limit):  # noqa: F811
    made = group(cloud, elb, HealthCheckPath="/up", Matcher={"HttpCode": "200-204,301"}, Tags=[{"Key": "k", "Value": "v"}])
    arn = made["TargetGroupArn"]
    assert made == {
        "TargetGroupArn": arn, "TargetGroupName": "blue", "Protocol": "HTTP", "ProtocolVersion": "HTTP1", "Port": 80,
        "VpcId": vpc(cloud), "HealthCheckProtocol": "HTTP", "HealthCheckPort": "traffic-port", "HealthCheckEnabled": True,
        "HealthCheckIntervalSeconds": 30, "HealthCheckTimeoutSeconds": 5, "HealthyThresholdCount": 5,
        "UnhealthyThresholdCount": 2, "HealthCheckPath": "/up", "Matcher": {"HttpCode": "200-204,301"},
        "TargetType": "instance", "IpAddressType": "ipv4", "LoadBalancerArns": []}
    assert elb.describe_target_groups(Names=["blue"])["TargetGroups"] == [made]
    changed = elb.modify_target_group(TargetGroupArn=arn, HealthCheckIntervalSeconds=10, HealthyThresholdCount=2,
                                      HealthCheckPort="8080")["TargetGroups"][0]
    assert (changed["HealthCheckIntervalSeconds"], changed["HealthCheckPort"]) == (10, "8080")
    its = plan(cloud)["target_groups"][0]
    assert (its["health_interval_s"], its["health_port"], its["health_path"]) == (10, 8080, "/up")
    with fails("DuplicateTargetGroupName"):
        group(cloud, elb, port=81)
    for code, options in (("ValidationError", {"HealthCheckPath": "up"}), ("ValidationError", {"HealthCheckPath": "/a b"}),
                          ("ValidationError", {"Matcher": {"HttpCode": "200,x"}}),
                          ("ValidationError", {"HealthCheckTimeoutSeconds": 30}),
                          ("ValidationError", {"HealthCheckPort": "0"}), ("UnsupportedOperation", {"TargetType": "lambda"}),
                          ("UnsupportedOperation", {"ProtocolVersion": "GRPC"}),
                          ("ValidationError", {"HealthCheckProtocol": "TCP"}), ("ValidationError", {"name": "a/b"})):
        with fails(code):
            group(cloud, elb, **dict({"name": "bad"}, **options))
    assert group(cloud, elb, "raw", "TCP", 7)["HealthCheckProtocol"] == "TCP"
    limit(target_groups=2)
    with fails("TooManyTargetGroups"):
        group(cloud, elb, "third")
    pages = [page["TargetGroups"][0]["TargetGroupName"] for page in
             elb.get_paginator("describe_target_groups").paginate(PaginationConfig={"PageSize": 1})]
    assert pages == ["blue", "raw"]
    check(cloud)
    elb.delete_target_group(TargetGroupArn=arn)
    with fails("TargetGroupNotFound"):
        elb.describe_target_groups(TargetGroupArns=[arn])
    check(cloud)


def test_listeners_and_rules(cloud, elb):
    lb, blue, green = balancer(cloud, elb), group(cloud, elb), group(cloud, elb, "green")
    made = listener(elb, lb, blue)
    assert made["DefaultActions"] == [{
        "Type": "forward", "TargetGroupArn": blue["TargetGroupArn"], "ForwardConfig": {
            "TargetGroups": [{"TargetGroupArn": blue["TargetGroupArn"], "Weight": 1}],
            "TargetGroupStickinessConfig": {"Enabled": False}}}]
    with fails("DuplicateListener"):
        listener(elb, lb, blue)
    with fails("ResourceInUse"):
        elb.delete_target_group(TargetGroupArn=blue["TargetGroupArn"])
    with fails("TargetGroupAssociationLimit"):
        listener(elb, balancer(cloud, elb, "other"), blue)
    raw = group(cloud, elb, "raw", "TCP", 7)
    with fails("IncompatibleProtocols"):
        listener(elb, lb, raw, 81)
    with fails("UnsupportedProtocol"):
        listener(elb, lb, raw, 81, "TCP")
    assert elb.describe_listeners(LoadBalancerArn=lb["LoadBalancerArn"])["Listeners"] == [made]
    assert elb.describe_target_groups(Names=["blue"])["TargetGroups"][0]["LoadBalancerArns"] == [lb["LoadBalancerArn"]]

    def rule(priority, conditions, actions):
        return elb.create_rule(ListenerArn=made["ListenerArn"], Priority=priority, Conditions=conditions,
                               Actions=actions)["Rules"][0]
    path = [{"Field": "path-pattern", "Values": ["/img/*"]}]
    first = rule(10, path, forward(green))
    assert first["Priority"] == "10" and not first["IsDefault"]
    assert first["Conditions"] == [{"Field": "path-pattern", "Values": ["/img/*"],
                                    "PathPatternConfig": {"Values": ["/img/*"]}}]
    with fails("PriorityInUse"):
        rule(10, path, forward(green))
    second = rule(20, [{"Field": "query-string", "QueryStringConfig": {"Values": [{"Key": "v", "Value": "2"}, {"Value": "x"}]}},
                       {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0/8"]}}],
                  [{"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "StatusCode": "HTTP_301"}}])
    assert second["Actions"][0]["RedirectConfig"] == {
        "Protocol": "HTTPS", "Port": "#{port}", "Host": "#{host}", "Path": "/#{path}", "Query": "#{query}",
        "StatusCode": "HTTP_301"}
    third = rule(30, [{"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "X-A", "Values": ["b*"]}}],
                 [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "MessageBody": "no",
                                                                    "ContentType": "text/plain"}}])
    fourth = rule(40, [{"Field": "host-header", "HostHeaderConfig": {"Values": ["*.example.org"]}}],
                  [{"Type": "forward", "ForwardConfig": {"TargetGroups": [
                      {"TargetGroupArn": blue["TargetGroupArn"], "Weight": 3}, {"TargetGroupArn": green["TargetGroupArn"]}],
                      "TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 60}}}])
    rules = elb.describe_rules(ListenerArn=made["ListenerArn"])["Rules"]
    assert [r["Priority"] for r in rules] == ["10", "20", "30", "40", "default"] and rules[:4] == [first, second, third, fourth]
    its = {r["priority"]: r for b in plan(cloud)["balancers"] for l in b["listeners"] for r in l["rules"]}
    assert its[20]["conditions"][0]["keys"] == ["v", ""] and its[20]["status"] == 301
    assert its[30]["body"] == "no" and its[40]["sticky_s"] == 60
    assert [f["weight"] for f in its[40]["forwards"]] == [3, 1]
    changed = elb.modify_rule(RuleArn=first["RuleArn"], Actions=forward(blue))["Rules"][0]
    assert changed["Conditions"] == first["Conditions"]
    assert changed["Actions"][0]["TargetGroupArn"] == blue["TargetGroupArn"]
    swapped = elb.set_rule_priorities(RulePriorities=[{"RuleArn": first["RuleArn"], "Priority": 20},
                                                      {"RuleArn": second["RuleArn"], "Priority": 10}])["Rules"]
    assert [r["Priority"] for r in swapped] == ["20", "10"]
    with fails("PriorityInUse"):
        elb.set_rule_priorities(RulePriorities=[{"RuleArn": first["RuleArn"], "Priority": 30}])
    for code, conditions, actions in (
            ("ValidationError", [{"Field": "path-pattern", "Values": ["/a\nb"]}], forward(blue)),
            ("ValidationError", [{"Field": "nonsense", "Values": ["x"]}], forward(blue)),
            ("ValidationError", [{"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.0"]}}], forward(blue)),
            ("ValidationError", [{"Field": "path-pattern", "Values": ["/%d" % i for i in range(6)]}], forward(blue)),
            ("ValidationError", path, [{"Type": "redirect", "RedirectConfig": {"Path": "/a'b", "StatusCode": "HTTP_301"}}]),
            ("InvalidLoadBalancerAction", path, [{"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301"}}]),
            ("ValidationError", path, [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "302"}}]),
            ("UnsupportedOperation", path, [{"Type": "authenticate-cognito", "AuthenticateCognitoConfig": {
                "UserPoolArn": "a", "UserPoolClientId": "b", "UserPoolDomain": "c"}}] + forward(blue)),
            ("TargetGroupNotFound", path, [{"Type": "forward", "TargetGroupArn": blue["TargetGroupArn"][:-1] + "x"}])):
        with fails(code):
            rule(99, conditions, actions)
    with fails("OperationNotPermitted"):
        elb.delete_rule(RuleArn=rules[4]["RuleArn"])
    elb.delete_rule(RuleArn=third["RuleArn"])
    with fails("RuleNotFound"):
        elb.describe_rules(RuleArns=[third["RuleArn"]])
    moved = elb.modify_listener(ListenerArn=made["ListenerArn"], Port=8080, DefaultActions=forward(green))["Listeners"][0]
    assert moved["Port"] == 8080 and moved["DefaultActions"][0]["TargetGroupArn"] == green["TargetGroupArn"]
    elb.add_tags(ResourceArns=[first["RuleArn"], made["ListenerArn"]], Tags=[{"Key": "a", "Value": "b"}])
    elb.remove_tags(ResourceArns=[first["RuleArn"]], TagKeys=["a"])
    tags = elb.describe_tags(ResourceArns=[first["RuleArn"], made["ListenerArn"]])["TagDescriptions"]
    assert [t["Tags"] for t in tags] == [[], [{"Key": "a", "Value": "b"}]]
    elb.delete_listener(ListenerArn=made["ListenerArn"])
    with fails("ListenerNotFound"):
        elb.describe_rules(ListenerArn=made["ListenerArn"])
    elb.delete_target_group(TargetGroupArn=blue["TargetGroupArn"])


def test_targets(cloud, elb, launch):
    lb, blue = balancer(cloud, elb), group(cloud, elb)
    arn, made = blue["TargetGroupArn"], launch(2)
    ids = [i["InstanceId"] for i in made]
    cloud.settle()

    def health(**options):
        return {d["Target"]["Id"]: (d["TargetHealth"]["State"], d["TargetHealth"].get("Reason"))
                for d in elb.describe_target_health(TargetGroupArn=arn, **options)["TargetHealthDescriptions"]}
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": ids[0]}, {"Id": ids[1], "Port": 8080}])
    assert health() == {i: ("unused", "Target.NotInUse") for i in ids}
    listener(elb, lb, blue)
    assert health() == {i: ("initial", "Elb.RegistrationInProgress") for i in ids}
    its = plan(cloud)["target_groups"][0]["targets"]
    assert {(t["address"], t["port"]) for t in its} == {(made[0]["PrivateIpAddress"], 80), (made[1]["PrivateIpAddress"], 8080)}
    cloud.control("health", "host-1 %s %s %s 80 healthy" % (vpc(cloud), "tg-0" + arn.split("/")[-1],
                                                          made[0]["PrivateIpAddress"]))
    assert health()[ids[0]] == ("healthy", None)
    assert elb.describe_load_balancers()["LoadBalancers"][0]["State"]["Code"] == "active"
    cloud.control("health", "host-1 %s %s %s 80 unhealthy code 404" % (vpc(cloud), "tg-0" + arn.split("/")[-1],
                                                                     made[0]["PrivateIpAddress"]))
    shown = elb.describe_target_health(TargetGroupArn=arn, Targets=[{"Id": ids[0]}])["TargetHealthDescriptions"]
    assert shown == [{"Target": {"Id": ids[0], "Port": 80}, "HealthCheckPort": "80", "TargetHealth": {
        "State": "unhealthy", "Reason": "Target.ResponseCodeMismatch",
        "Description": "Health checks failed with these codes: [404]"}}]
    assert health(Targets=[{"Id": "i-0123456789abcdef0"}]) == {"i-0123456789abcdef0": ("unused", "Target.NotRegistered")}
    elb.deregister_targets(TargetGroupArn=arn, Targets=[{"Id": ids[1]}])
    assert health()[ids[1]] == ("draining", "Target.DeregistrationInProgress")
    assert len(plan(cloud)["target_groups"][0]["targets"]) == 1
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": ids[1], "Port": 8080}])
    assert health()[ids[1]][0] == "initial"
    cloud.ec2.stop_instances(InstanceIds=[ids[0]])
    cloud.settle()
    assert health()[ids[0]] == ("unused", "Target.InvalidState")
    for targets in ([{"Id": "i-0123456789abcdef0"}],):
        with fails("InvalidTarget"):
            elb.register_targets(TargetGroupArn=arn, Targets=targets)
    with fails("ValidationError"):
        elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": "10.0.0.1"}])
    by_address = group(cloud, elb, "addresses", TargetType="ip")["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=by_address, Targets=[{"Id": "172.31.7.7"}])
    with fails("InvalidTarget"):
        elb.register_targets(TargetGroupArn=by_address, Targets=[{"Id": "8.8.8.8"}])
    cloud.ec2.terminate_instances(InstanceIds=ids)
    cloud.settle()
    cloud.control("sweep")
    assert health() == {}


def test_nodes_move(cloud, elb):
    balancer(cloud, elb)
    carried = "SELECT DISTINCT host_id FROM load_balancer_node"
    assert cloud.sql(carried) == [["host-1"]]
    before = plan(cloud)
    assert all(p["host_id"] == "host-1" and p["of_balancer"] for p in before["ports"])
    cloud.host(name="host-2")
    cloud.sql("UPDATE host SET seen = now() - interval '2 minutes' WHERE id = 'host-1'")
    cloud.control("sweep", "early")  # virgad has just come back: all hosts seem to have been silent
    assert cloud.sql(carried) == [["host-1"]]
    cloud.control("sweep")
    assert cloud.sql(carried) == [["host-2"]] and plan(cloud)["generation"] > before["generation"]


def test_limits_and_policies(elb):
    limits = {l["Name"]: l["Max"] for l in elb.describe_account_limits()["Limits"]}
    assert limits["target-groups"] == "3000" and limits["targets-per-target-group"] == "1000"
    policies = elb.describe_ssl_policies()["SslPolicies"]
    assert {"ELBSecurityPolicy-2016-08", "ELBSecurityPolicy-TLS13-1-2-2021-06"} <= {p["Name"] for p in policies}
    one = elb.describe_ssl_policies(Names=["ELBSecurityPolicy-TLS13-1-2-2021-06"])["SslPolicies"][0]
    assert one["SslProtocols"] == ["TLSv1.3", "TLSv1.2"]
    with fails("SSLPolicyNotFound"):
        elb.describe_ssl_policies(Names=["x"])


def test_classic_is_refused(cloud):
    with fails("InvalidAction", "2012-06-01"):
        cloud.client("elb").describe_load_balancers()
