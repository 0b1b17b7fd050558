# SPDX-License-Identifier: Apache-2.0
"""Security groups and their rules."""
import pytest

from conftest import fails


@pytest.fixture
def group(cloud):
    return cloud.ec2.create_security_group(GroupName="web", Description="d")["GroupId"]


def permission(protocol="tcp", first=80, last=80, *cidrs, **more):
    result = {"IpProtocol": protocol, "IpRanges": [{"CidrIp": c} for c in cidrs]}
    if first is not None:
        result.update(FromPort=first, ToPort=last)
    result.update(more)
    return result


def shown(cloud, group, key="IpPermissions"):
    return cloud.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0][key]


def test_create(cloud):
    ec2 = cloud.ec2
    made = ec2.create_security_group(GroupName="a b", Description="d", TagSpecifications=[
        {"ResourceType": "security-group", "Tags": [{"Key": "k", "Value": "v"}]}])
    assert made["Tags"] == [{"Key": "k", "Value": "v"}]
    group = ec2.describe_security_groups(GroupNames=["a b"])["SecurityGroups"][0]
    assert group["GroupId"] == made["GroupId"] and group["OwnerId"] == "000000000001"
    assert group["IpPermissions"] == []
    assert group["IpPermissionsEgress"] == [{
        "IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}], "Ipv6Ranges": [],
        "PrefixListIds": [], "UserIdGroupPairs": []}]
    with fails("InvalidGroup.Duplicate"):
        ec2.create_security_group(GroupName="a b", Description="d")
    with fails("InvalidParameterValue", "reserved"):
        ec2.create_security_group(GroupName="default", Description="d")
    with fails("InvalidParameterValue", "sg-"):
        ec2.create_security_group(GroupName="sg-x", Description="d")
    with fails("InvalidParameterValue", "description"):
        ec2.create_security_group(GroupName="x", Description="<d>")
    with fails("InvalidVpcID.NotFound"):
        ec2.create_security_group(GroupName="x", Description="d", VpcId="vpc-00000000000000001")
    with fails("InvalidParameterValue", "instance"):
        ec2.create_security_group(GroupName="x", Description="d", TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "k", "Value": "v"}]}])
    with fails("DryRunOperation"):
        ec2.create_security_group(GroupName="x", Description="d", DryRun=True)
    assert len(ec2.describe_security_groups()["SecurityGroups"]) == 2


def test_delete(cloud, group, launch):
    ec2 = cloud.ec2
    launch(SecurityGroupIds=[group])
    with fails("DependencyViolation", group):
        ec2.delete_security_group(GroupId=group)
    user = ec2.create_security_group(GroupName="user", Description="d")["GroupId"]
    used = ec2.create_security_group(GroupName="used", Description="d")["GroupId"]
    ec2.authorize_security_group_ingress(GroupId=user, IpPermissions=[
        permission(UserIdGroupPairs=[{"GroupId": used}])])
    with fails("DependencyViolation"):
        ec2.delete_security_group(GroupId=used)
    ec2.delete_security_group(GroupName="user")
    ec2.delete_security_group(GroupId=used)
    with fails("InvalidGroup.NotFound"):
        ec2.delete_security_group(GroupId=used)
    with fails("InvalidGroup.NotFound"):
        cloud.other.delete_security_group(GroupId=group)
    with fails("CannotDelete"):
        ec2.delete_security_group(GroupName="default")
    with fails("InvalidGroupId.Malformed"):
        ec2.delete_security_group(GroupId="x")
    with fails("MissingParameter"):
        ec2.delete_security_group()


def test_rules(cloud, group):
    ec2 = cloud.ec2
    answer = ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[permission("tcp", 80, 81, "10.0.0.0/8", "192.0.2.1/32"),
                       permission("icmp", -1, -1, "0.0.0.0/0"),
                       permission("-1", None, None, UserIdGroupPairs=[{"GroupId": group}])],
        TagSpecifications=[{"ResourceType": "security-group-rule",
                            "Tags": [{"Key": "k", "Value": "v"}]}])
    rules = answer["SecurityGroupRules"]
    assert len(rules) == 4 and all(r["Tags"] == [{"Key": "k", "Value": "v"}] for r in rules)
    assert {r["CidrIpv4"] for r in rules if "CidrIpv4" in r} == \
        {"10.0.0.0/8", "192.0.2.1/32", "0.0.0.0/0"}
    permissions = {p["IpProtocol"]: p for p in shown(cloud, group)}
    assert len(permissions["tcp"]["IpRanges"]) == 2 and permissions["tcp"]["ToPort"] == 81
    assert "FromPort" not in permissions["-1"] and permissions["icmp"]["FromPort"] == -1
    assert permissions["-1"]["UserIdGroupPairs"] == [{"GroupId": group, "UserId": "000000000001"}]
    with fails("InvalidPermission.Duplicate"):
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
            permission("tcp", 80, 81, "10.0.0.0/8")])
    described = ec2.describe_security_group_rules(Filters=[{"Name": "group-id",
                                                            "Values": [group]}])
    assert len(described["SecurityGroupRules"]) == 5
    by_tag = ec2.describe_security_group_rules(Filters=[{"Name": "tag:k", "Values": ["v"]}])
    assert len(by_tag["SecurityGroupRules"]) == 4
    one = [r for r in rules if r.get("CidrIpv4") == "10.0.0.0/8"][0]["SecurityGroupRuleId"]
    with fails("InvalidSecurityGroupRuleId.NotFound"):
        ec2.revoke_security_group_egress(GroupId=group, SecurityGroupRuleIds=[one])
    ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[one])
    assert cloud.sql("SELECT count(*) FROM tag WHERE resource_id = '%s'" % one) == [["0"]]
    with fails("InvalidSecurityGroupRuleId.NotFound"):
        ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[one])
    with fails("InvalidSecurityGroupRuleId.NotFound"):
        ec2.describe_security_group_rules(SecurityGroupRuleIds=[one])
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[
        permission("tcp", 80, 81, "192.0.2.1/32")])
    with fails("InvalidPermission.NotFound"):
        ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[
            permission("tcp", 80, 81, "192.0.2.1/32")])


def test_what_terraform_does_to_a_new_group(cloud, group):
    """It takes the rule that lets all out away, also the one for IPv6, which may be missing."""
    cloud.ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[
        permission("-1", 0, 0, "0.0.0.0/0")])
    assert shown(cloud, group, "IpPermissionsEgress") == []
    with fails("InvalidPermission.NotFound"):
        cloud.ec2.revoke_security_group_egress(GroupId=group, IpPermissions=[
            {"IpProtocol": "-1", "FromPort": 0, "ToPort": 0,
             "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}])
    cloud.ec2.authorize_security_group_egress(GroupId=group, IpPermissions=[
        permission("-1", 0, 0, "0.0.0.0/0")])


def test_flat(cloud, group):
    ec2 = cloud.ec2
    flat = {"GroupName": "web", "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22,
            "CidrIp": "10.1.2.3/8"}
    ec2.authorize_security_group_ingress(**flat)
    assert shown(cloud, group)[0]["IpRanges"] == [{"CidrIp": "10.0.0.0/8"}]
    ec2.revoke_security_group_ingress(**flat)
    assert shown(cloud, group) == []
    ec2.authorize_security_group_ingress(GroupId=group, SourceSecurityGroupName="default")
    assert sorted(p["IpProtocol"] for p in shown(cloud, group)) == ["icmp", "tcp", "udp"]
    ec2.revoke_security_group_ingress(GroupId=group, SourceSecurityGroupName="default")
    assert shown(cloud, group) == []


@pytest.mark.parametrize("options, code, text", [
    ({"IpPermissions": [permission("tcp", 81, 80, "0.0.0.0/0")]}, "InvalidParameterValue", "port"),
    ({"IpPermissions": [permission("tcp", 0, 65536, "0.0.0.0/0")]}, "InvalidParameterValue", ""),
    ({"IpPermissions": [permission("bogus", 1, 1, "0.0.0.0/0")]}, "InvalidParameterValue", ""),
    ({"IpPermissions": [permission("tcp", 1, 1, "300.0.0.0/8")]}, "InvalidParameterValue", "CIDR"),
    ({"IpPermissions": [permission("tcp", 1, 1)]}, "MissingParameter", ""),
    ({"IpPermissions": [permission("tcp", 1, 1, Ipv6Ranges=[{"CidrIpv6": "::/0"}])]},
     "UnsupportedOperation", "Ipv6Ranges"),
    ({"IpPermissions": [permission("tcp", 1, 1, PrefixListIds=[{"PrefixListId": "pl-1"}])]},
     "UnsupportedOperation", "PrefixListIds"),
    ({"IpPermissions": [permission(UserIdGroupPairs=[{"GroupId": "sg-00000000000000001"}])]},
     "InvalidGroup.NotFound", ""),
    ({"IpPermissions": [permission("tcp", 1, 1, "0.0.0.0/0")], "IpProtocol": "tcp",
      "CidrIp": "0.0.0.0/0"}, "InvalidParameterCombination", ""),
    ({}, "MissingParameter", ""),
])
def test_refusals(cloud, group, options, code, text):
    with fails(code, text):
        cloud.ec2.authorize_security_group_ingress(GroupId=group, **options)
    assert shown(cloud, group) == []


def test_limits(cloud, group):
    cloud.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        permission("tcp", 1, 1, *("10.0.0.%d/32" % n for n in range(60)))])
    with fails("RulesPerSecurityGroupLimitExceeded"):
        cloud.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
            permission("tcp", 1, 1, "10.0.1.0/32")])


def test_filters_and_pages(cloud, group):
    ec2 = cloud.ec2
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        permission("tcp", 443, 443, "192.0.2.0/24"),
        permission("udp", 53, 53, UserIdGroupPairs=[{"GroupName": "default"}])])

    def only(name, *values):
        return [g["GroupName"] for g in ec2.describe_security_groups(
            Filters=[{"Name": name, "Values": list(values)}])["SecurityGroups"]]
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    assert only("group-name", "w*") == ["web"]
    assert only("ip-permission.from-port", "443") == ["web"]
    assert only("ip-permission.cidr", "192.0.2.0/24") == ["web"]
    assert sorted(only("egress.ip-permission.cidr", "0.0.0.0/0")) == ["default", "web"]
    assert sorted(only("ip-permission.group-name", "default")) == ["default", "web"]
    assert sorted(only("vpc-id", vpc)) == ["default", "web"]
    assert only("vpc-id", "vpc-00000000000000001") == []
    pairs = [pair for g in ec2.describe_security_groups(Filters=[
        {"Name": "ip-permission.group-name", "Values": ["default"]}])["SecurityGroups"]
        for shown in g["IpPermissions"] for pair in shown["UserIdGroupPairs"]]
    assert len(pairs) == 2 and all("GroupName" not in pair for pair in pairs)
    with fails("InvalidGroup.NotFound", "absent"):
        ec2.describe_security_groups(GroupNames=["absent"])
    with fails("InvalidGroup.NotFound"):
        cloud.other.describe_security_groups(GroupIds=[group])
    for n in range(10):
        ec2.create_security_group(GroupName="g%d" % n, Description="d")
    pages = list(ec2.get_paginator("describe_security_groups").paginate(
        PaginationConfig={"PageSize": 5}))
    assert [len(p["SecurityGroups"]) for p in pages] == [5, 5, 2]
    assert len({g["GroupId"] for p in pages for g in p["SecurityGroups"]}) == 12


# ---- changes of rules ----

@pytest.fixture
def ruled(cloud):
    """A group with two rules inward: its id, and the rules by port."""
    group = cloud.ec2.create_security_group(GroupName="ruled", Description="d")["GroupId"]
    made = cloud.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[
        {"IpProtocol": "tcp", "FromPort": port, "ToPort": port,
         "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "old"}]} for port in (22, 80)])
    return group, {r["FromPort"]: r["SecurityGroupRuleId"] for r in made["SecurityGroupRules"]}


def rule(cloud, id_):
    return cloud.ec2.describe_security_group_rules(SecurityGroupRuleIds=[id_])[
        "SecurityGroupRules"][0]


def test_descriptions(cloud, ruled):
    group, ids = ruled
    update = cloud.ec2.update_security_group_rule_descriptions_ingress
    update(GroupId=group, SecurityGroupRuleDescriptions=[
        {"SecurityGroupRuleId": ids[22], "Description": "new"}])
    assert rule(cloud, ids[22])["Description"] == "new"
    assert rule(cloud, ids[80])["Description"] == "old"
    update(GroupName="ruled", IpPermissions=[
        {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80,
         "IpRanges": [{"CidrIp": "10.0.0.0/8", "Description": "web"}]}])
    assert rule(cloud, ids[80])["Description"] == "web"
    update(GroupId=group, SecurityGroupRuleDescriptions=[{"SecurityGroupRuleId": ids[80]}])
    assert "Description" not in rule(cloud, ids[80])
    cloud.ec2.update_security_group_rule_descriptions_egress(GroupId=group, IpPermissions=[
        {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0", "Description": "out"}]}])
    out = cloud.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    assert out["IpPermissionsEgress"][0]["IpRanges"] == [{"CidrIp": "0.0.0.0/0",
                                                         "Description": "out"}]
    with fails("InvalidSecurityGroupRuleId.NotFound"):  # of the other direction
        cloud.ec2.update_security_group_rule_descriptions_egress(
            GroupId=group, SecurityGroupRuleDescriptions=[
                {"SecurityGroupRuleId": ids[22], "Description": "x"}])
    with fails("InvalidPermission.NotFound"):
        update(GroupId=group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1,
                                              "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}])
    with fails("MissingParameter"):
        update(GroupId=group)
    with fails("InvalidGroup.NotFound"):
        cloud.other.update_security_group_rule_descriptions_ingress(
            GroupId=group, SecurityGroupRuleDescriptions=[
                {"SecurityGroupRuleId": ids[22], "Description": "mine"}])


def test_modify_rules(cloud, ruled):
    group, ids = ruled

    def modify(id_, client=cloud.ec2, **values):
        return client.modify_security_group_rules(GroupId=group, SecurityGroupRules=[
            {"SecurityGroupRuleId": id_, "SecurityGroupRule": values}])
    before = cloud.sql("SELECT generation FROM vpc WHERE account_id = '000000000001'")
    assert modify(ids[22], IpProtocol="udp", FromPort=53, ToPort=54, CidrIpv4="192.0.2.7/24",
                  Description="dns")["Return"]
    seen = rule(cloud, ids[22])
    assert (seen["IpProtocol"], seen["FromPort"], seen["ToPort"], seen["CidrIpv4"],
            seen["Description"], seen["IsEgress"]) == ("udp", 53, 54, "192.0.2.0/24", "dns", False)
    assert cloud.sql("SELECT generation FROM vpc WHERE account_id = '000000000001'") != before
    modify(ids[80], IpProtocol="tcp", FromPort=80, ToPort=80, ReferencedGroupId=group)
    seen = rule(cloud, ids[80])
    assert seen["ReferencedGroupInfo"]["GroupId"] == group and "CidrIpv4" not in seen
    assert "Description" not in seen
    same = {"IpProtocol": "udp", "FromPort": 53, "ToPort": 54, "CidrIpv4": "192.0.2.0/24"}
    with fails("InvalidPermission.Duplicate"):
        modify(ids[80], **same)
    for values, code in (
            ({"CidrIpv4": "10.0.0.0/8"}, "MissingParameter"),
            ({"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1}, "InvalidParameterCombination"),
            ({"IpProtocol": "tcp", "CidrIpv4": "10.0.0.0/8"}, "InvalidParameterValue"),
            ({"IpProtocol": "-1", "CidrIpv4": "10/8"}, "InvalidParameterValue"),
            ({"IpProtocol": "-1", "CidrIpv6": "::/0"}, "UnsupportedOperation"),
            ({"IpProtocol": "-1", "ReferencedGroupId": "sg-0123456789abcdef0"},
             "InvalidGroup.NotFound")):
        with fails(code):
            modify(ids[80], **values)
    with fails("InvalidSecurityGroupRuleId.NotFound"):
        modify("sgr-0123456789abcdef0", **same)
    with fails("InvalidSecurityGroupRuleId.Malformed"):
        modify("x", **same)
    with fails("InvalidGroup.NotFound"):
        modify(ids[22], cloud.other, **same)


def test_groups_for_vpc(cloud, ruled):
    vpc = cloud.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]

    def ask(**options):
        return cloud.raw(dict({"Action": "GetSecurityGroupsForVpc", "VpcId": vpc}, **options))
    text = ask()
    assert ruled[0] in text and text.count("<groupId>") == 2
    assert "<primaryVpcId>%s</primaryVpcId>" % vpc in text
    text = ask(**{"Filter.1.Name": "group-name", "Filter.1.Value.1": "rul*"})
    assert text.count("<groupId>") == 1
    assert "InvalidVpcID.NotFound" in ask(VpcId="vpc-0123456789abcdef0")
    assert "InvalidVpcID.Malformed" in ask(VpcId="x")
    assert "DryRunOperation" in ask(DryRun="true")


def test_hosts_hear_of_a_deleted_group(cloud):
    def generation():
        return cloud.sql("SELECT generation FROM vpc WHERE account_id = '000000000001'")[0][0]
    group = cloud.ec2.create_security_group(GroupName="gone", Description="d")["GroupId"]
    before = generation()
    cloud.ec2.delete_security_group(GroupId=group)
    assert int(generation()) > int(before)
