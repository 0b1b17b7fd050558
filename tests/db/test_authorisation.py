# SPDX-License-Identifier: Apache-2.0
"""Who may do what: policies at the edge, for every kind of caller and resource."""
import json

import botocore.exceptions
import pytest

from conftest import KEYS, IMAGE_SNAPSHOT, fails, wait_for

ACCOUNT = "000000000001"
IAM = "arn:aws:iam::%s:" % ACCOUNT
EC2 = "arn:aws:ec2:us-east-1:%s:" % ACCOUNT
DENIED = ("UnauthorizedOperation", "AccessDenied")


def statement(effect, actions, resources="*", **conditions):
    result = {"Effect": effect, "Action": actions, "Resource": resources}
    if conditions:
        result["Condition"] = conditions
    return result


def policy(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def allow(actions, resources="*", condition=None):
    return statement("Allow", actions, resources, **(condition or {}))


def deny(actions, resources="*", condition=None):
    return statement("Deny", actions, resources, **(condition or {}))


class User:
    """A user with clients; may(...) and may_not(...) tell which calls are let through."""

    def __init__(self, cloud, iam, name="alice", **options):
        self.iam, self.name = iam, name
        iam.create_user(UserName=name, **options)
        self.key = iam.create_access_key(UserName=name)["AccessKey"]
        self.ec2, self.own_iam, self.sts = (cloud.client_of(service, self.key)
                                            for service in ("ec2", "iam", "sts"))

    def gets(self, *statements):
        self.iam.put_user_policy(UserName=self.name, PolicyName="p",
                                 PolicyDocument=policy(*statements))


def code_of(call):
    try:
        call()
    except botocore.exceptions.ClientError as error:
        return error.response["Error"]["Code"]
    return None


def refusal(call):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call()
    return caught.value.response["Error"]["Message"]


def may(call):
    wait_for(lambda: code_of(call) not in DENIED, "it is not allowed")


def may_not(call):
    wait_for(lambda: code_of(call) in DENIED, "it is not refused")


@pytest.fixture
def alice(cloud, iam):
    return User(cloud, iam)


def test_nothing_is_allowed_by_default(alice):
    with fails("UnauthorizedOperation", "You are not authorized to perform this operation. User: "
               + IAM + "user/alice is not authorized to perform: ec2:DescribeInstances on resource:"
               " * because no identity-based policy allows the ec2:DescribeInstances action"):
        alice.ec2.describe_instances()
    with fails("UnauthorizedOperation"):
        alice.ec2.describe_vpn_gateways()
    with fails("AccessDenied", "User: " + IAM + "user/alice is not authorized to perform: "
               "iam:ListUsers on resource: " + IAM + "user/ because no identity-based policy"):
        alice.own_iam.list_users()
    assert alice.sts.get_caller_identity()["Arn"] == IAM + "user/alice"


def test_status_of_refusals(alice):
    for client, call in ((alice.ec2, "describe_instances"), (alice.own_iam, "list_users")):
        with pytest.raises(botocore.exceptions.ClientError) as caught:
            getattr(client, call)()
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_policies_of_every_kind(cloud, iam, alice):
    """Inline and managed, of the user and of its groups; what is taken away is gone."""
    call = alice.ec2.describe_instances
    document = policy(allow("ec2:Describe*"))
    may_not(call)
    iam.put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=document)
    may(call)
    iam.delete_user_policy(UserName="alice", PolicyName="p")
    may_not(call)
    arn = iam.create_policy(PolicyName="p", PolicyDocument=document)["Policy"]["Arn"]
    iam.attach_user_policy(UserName="alice", PolicyArn=arn)
    may(call)
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy(allow("s3:*")),
                              SetAsDefault=True)
    may_not(call)
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    may(call)
    iam.detach_user_policy(UserName="alice", PolicyArn=arn)
    may_not(call)
    iam.create_group(GroupName="g")
    iam.attach_group_policy(GroupName="g", PolicyArn=arn)
    iam.add_user_to_group(GroupName="g", UserName="alice")
    may(call)
    iam.put_group_policy(GroupName="g", PolicyName="n", PolicyDocument=policy(deny("ec2:*")))
    may_not(call)
    with fails("UnauthorizedOperation", "with an explicit deny in an identity-based policy"):
        call()
    iam.delete_group_policy(GroupName="g", PolicyName="n")
    may(call)
    iam.remove_user_from_group(GroupName="g", UserName="alice")
    may_not(call)
    iam.attach_user_policy(UserName="alice",
                           PolicyArn="arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess")
    may(call)
    may_not(lambda: alice.ec2.create_key_pair(KeyName="k"))


def test_boundary(iam, alice):
    arn = iam.create_policy(PolicyName="b", PolicyDocument=policy(allow("ec2:Describe*")))[
        "Policy"]["Arn"]
    alice.gets(allow("*"))
    may(alice.own_iam.list_users)
    iam.put_user_permissions_boundary(UserName="alice", PermissionsBoundary=arn)
    may_not(alice.own_iam.list_users)
    with fails("AccessDenied", "because no permissions boundary allows the iam:ListUsers action"):
        alice.own_iam.list_users()
    may(alice.ec2.describe_instances)
    iam.delete_user_permissions_boundary(UserName="alice")
    may(alice.own_iam.list_users)


def test_instances_by_id_and_tag(cloud, launch, alice):
    one, two = (launch()[0]["InstanceId"] for _ in range(2))
    alice.gets(allow("ec2:StopInstances", EC2 + "instance/" + one),
               allow("ec2:TerminateInstances", EC2 + "instance/*",
                     {"StringEquals": {"ec2:ResourceTag/owner": "${aws:username}"}}))
    may(lambda: alice.ec2.stop_instances(InstanceIds=[one]))
    may_not(lambda: alice.ec2.stop_instances(InstanceIds=[two]))
    with fails("UnauthorizedOperation", EC2 + "instance/" + two):
        alice.ec2.stop_instances(InstanceIds=[one, two])
    with fails("UnauthorizedOperation"):
        alice.ec2.terminate_instances(InstanceIds=[one])
    cloud.ec2.create_tags(Resources=[one], Tags=[{"Key": "owner", "Value": "bob"}])
    with fails("UnauthorizedOperation"):
        alice.ec2.terminate_instances(InstanceIds=[one])
    cloud.ec2.create_tags(Resources=[one], Tags=[{"Key": "owner", "Value": "alice"}])
    may(lambda: alice.ec2.terminate_instances(InstanceIds=[one]))
    cloud.ec2.terminate_instances(InstanceIds=[two])
    cloud.settle()


def test_dry_run(launch, image, alice):
    def run():
        return alice.ec2.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1,
                                       MaxCount=1, DryRun=True)
    with fails("UnauthorizedOperation"):
        run()
    alice.gets(allow("ec2:RunInstances"))
    may(run)
    with fails("DryRunOperation"):
        run()


def run_instances(alice, image, **options):
    return lambda: alice.ec2.run_instances(**dict({
        "ImageId": image, "InstanceType": "t3.micro", "MinCount": 1, "MaxCount": 1,
        "DryRun": True}, **options))


def test_launch_needs_all_of_it(cloud, image, alice):
    everything = ["instance", "volume", "network-interface", "subnet", "security-group", "key-pair"]
    arns = [EC2 + kind + "/*" for kind in everything] + ["arn:aws:ec2:us-east-1::image/*"]
    cloud.ec2.create_key_pair(KeyName="k", KeyType="ed25519")
    for missing in [None] + arns:
        alice.gets(allow("ec2:RunInstances", [arn for arn in arns if arn != missing]))
        (may_not if missing else may)(run_instances(alice, image, KeyName="k"))
    alice.gets(allow("ec2:RunInstances", [arn for arn in arns if "key-pair" not in arn]))
    may(run_instances(alice, image))


def test_launch_from_a_template(cloud, image, alice):
    """What only the template names is asked for as well, also when a fleet launches from it."""
    cloud.ec2.create_launch_template(LaunchTemplateName="held-back", LaunchTemplateData={
        "ImageId": image, "InstanceType": "t3.micro"})
    template = {"LaunchTemplateName": "held-back", "Version": "$Latest"}

    def launch():
        alice.ec2.run_instances(LaunchTemplate=template, MinCount=1, MaxCount=1)

    def fleet():
        answer = alice.ec2.create_fleet(
            Type="instant", LaunchTemplateConfigs=[{"LaunchTemplateSpecification": template}],
            TargetCapacitySpecification={"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "on-demand"})
        for error in answer["Errors"]:
            raise botocore.exceptions.ClientError({"Error": {"Code": error["ErrorCode"]}}, "CreateFleet")

    alice.gets(allow("ec2:*"))
    may(launch)
    may(fleet)
    alice.gets(allow("ec2:*"), deny("ec2:RunInstances", EC2.replace(ACCOUNT, "*") + "image/" + image))
    may_not(launch)
    may_not(fleet)
    alice.gets(allow("ec2:*"), deny("ec2:RunInstances"))
    may_not(fleet)


def test_launch_conditions(cloud, image, alice):
    subnet = cloud.ec2.describe_subnets()["Subnets"][0]
    other = next(s["SubnetId"] for s in cloud.ec2.describe_subnets()["Subnets"]
                 if s["SubnetId"] != subnet["SubnetId"])
    vpc = EC2 + "vpc/" + subnet["VpcId"]
    alice.gets(allow("ec2:RunInstances"),
               deny("ec2:RunInstances", EC2 + "instance/*",
                    {"StringNotEquals": {"ec2:InstanceType": ["t3.micro", "t3.nano"]}}),
               deny("ec2:RunInstances", EC2 + "subnet/" + other))
    may(run_instances(alice, image))
    may_not(run_instances(alice, image, InstanceType="t3.small"))
    may(run_instances(alice, image, SubnetId=subnet["SubnetId"]))
    may_not(run_instances(alice, image, SubnetId=other))
    may_not(run_instances(alice, image, NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": other}]))
    alice.gets(allow("ec2:RunInstances"), deny("ec2:RunInstances", EC2 + "subnet/*",
                                               {"ArnNotEquals": {"ec2:Vpc": vpc + "x"}}))
    may_not(run_instances(alice, image, SubnetId=subnet["SubnetId"]))
    alice.gets(allow("ec2:RunInstances"), deny("ec2:RunInstances", EC2 + "subnet/*",
                                               {"ArnNotEquals": {"ec2:Vpc": vpc}}))
    may(run_instances(alice, image, SubnetId=subnet["SubnetId"]))


def test_tag_on_create(image, alice):
    tagged = run_instances(alice, image, TagSpecifications=[
        {"ResourceType": "instance", "Tags": [{"Key": "team", "Value": "red"}]}])
    alice.gets(allow("ec2:RunInstances"))
    may(run_instances(alice, image))
    with fails("UnauthorizedOperation", "ec2:CreateTags on resource: " + EC2 + "instance/*"):
        tagged()
    alice.gets(allow("ec2:RunInstances"),
               allow("ec2:CreateTags", EC2 + "*/*",
                     {"StringEquals": {"ec2:CreateAction": "RunInstances"}}))
    may(tagged)
    alice.gets(allow("ec2:*"), deny("ec2:RunInstances", EC2 + "instance/*",
                                    {"StringNotEquals": {"aws:RequestTag/team": "red"}}))
    may(tagged)
    may_not(run_instances(alice, image))
    alice.gets(allow("ec2:*"), deny("ec2:RunInstances", EC2 + "instance/*",
                                    {"ForAnyValue:StringEquals": {"aws:TagKeys": ["team"]}}))
    may_not(tagged)
    may(run_instances(alice, image))


def test_tags_of_a_rule(cloud, alice):
    group = cloud.ec2.create_security_group(GroupName="g", Description="d")["GroupId"]

    def authorize(port):
        return lambda: alice.ec2.authorize_security_group_ingress(
            GroupId=group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": port, "ToPort": port,
                                           "IpRanges": [{"CidrIp": "192.0.2.0/24"}]}],
            TagSpecifications=[{"ResourceType": "security-group-rule",
                                "Tags": [{"Key": "a", "Value": "b"}]}])
    alice.gets(allow("ec2:AuthorizeSecurityGroupIngress", EC2 + "security-group/" + group))
    may_not(authorize(1))
    with fails("UnauthorizedOperation", "ec2:CreateTags on resource: " + EC2
               + "security-group-rule/*"):
        authorize(1)()
    alice.gets(allow("ec2:AuthorizeSecurityGroupIngress", EC2 + "security-group/" + group),
               allow("ec2:CreateTags", EC2 + "security-group-rule/*"))
    may(authorize(2))


def test_networks(cloud, alice):
    """Associations stand for what they join; what is in a VPC is known by it."""
    vpc = cloud.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnet = cloud.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    table = cloud.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    association = cloud.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)[
        "AssociationId"]

    def disassociate():
        alice.ec2.disassociate_route_table(AssociationId=association, DryRun=True)

    def create():
        alice.ec2.create_subnet(VpcId=vpc, CidrBlock="172.31.240.0/24", DryRun=True)

    alice.gets(allow("ec2:*", EC2 + "route-table/" + table))
    may_not(disassociate)
    alice.gets(allow("ec2:*", [EC2 + "route-table/" + table, EC2 + "subnet/" + subnet]))
    may(disassociate)
    alice.gets(allow("ec2:CreateSubnet", EC2 + "subnet/*"))
    may_not(create)
    alice.gets(allow("ec2:CreateSubnet", [EC2 + "subnet/*", EC2 + "vpc/" + vpc]))
    may(create)
    in_vpc = {"StringEquals": {"ec2:Vpc": EC2 + "vpc/" + vpc}}
    alice.gets(allow("ec2:DeleteRouteTable", "*", in_vpc))
    may(lambda: alice.ec2.delete_route_table(RouteTableId=table, DryRun=True))


def test_groups_and_keys_by_name(cloud, alice):
    """What is named otherwise than by its ARN is denied all the same."""
    group = cloud.ec2.create_security_group(GroupName="g", Description="d")["GroupId"]
    key = cloud.ec2.create_key_pair(KeyName="k", KeyType="ed25519")["KeyPairId"]
    alice.gets(allow("ec2:*"), deny("ec2:*", [EC2 + "security-group/" + group,
                                              EC2 + "key-pair/k"]))
    may(alice.ec2.describe_key_pairs)
    for refused in (lambda: alice.ec2.delete_security_group(GroupName="g"),
                    lambda: alice.ec2.delete_security_group(GroupId=group),
                    lambda: alice.ec2.authorize_security_group_ingress(
                        GroupName="g", IpProtocol="tcp", FromPort=1, ToPort=1, CidrIp="0.0.0.0/0"),
                    lambda: alice.ec2.create_tags(Resources=[group], Tags=[{"Key": "a",
                                                                            "Value": ""}]),
                    lambda: alice.ec2.delete_key_pair(KeyName="k"),
                    lambda: alice.ec2.delete_key_pair(KeyPairId=key)):
        assert code_of(refused) == "UnauthorizedOperation"


@pytest.mark.parametrize("condition,holds", [
    ({"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, True),
    ({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}, False),
    ({"NotIpAddress": {"aws:SourceIp": "127.0.0.0/8"}}, False),
    ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, True),
    ({"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, False),
    ({"NumericGreaterThan": {"aws:EpochTime": "1000"}}, True),
    ({"Bool": {"aws:SecureTransport": "true"}}, False),
    ({"StringLike": {"aws:UserAgent": "Boto3/*"}}, True),
    ({"StringEquals": {"aws:RequestedRegion": "us-east-1"}}, True),
    ({"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}, False),
    ({"StringEquals": {"ec2:Region": "us-east-1"}}, True),
    ({"ArnEquals": {"aws:PrincipalArn": IAM + "user/alice"}}, True),
    ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}}, False),
    ({"StringEquals": {"aws:PrincipalAccount": ACCOUNT}}, True),
    ({"StringEquals": {"aws:PrincipalType": "User"}}, True),
    ({"StringEquals": {"aws:username": "alice"}}, True),
    ({"StringLike": {"aws:userid": "AIDA*"}}, True),
    ({"StringEquals": {"aws:PrincipalTag/team": "red"}}, True),
    ({"StringEquals": {"aws:PrincipalTag/team": "blue"}}, False),
    ({"Null": {"aws:MultiFactorAuthPresent": "true"}}, True),
    ({"Null": {"aws:TokenIssueTime": "false"}}, False),
])
def test_condition_keys(cloud, iam, condition, holds):
    alice = User(cloud, iam, Tags=[{"Key": "team", "Value": "red"}])
    alice.gets(allow("ec2:DescribeInstances", "*", condition))
    (may if holds else may_not)(alice.ec2.describe_instances)


def test_iam_resources(cloud, iam, alice):
    iam.create_user(UserName="bob", Path="/team/", Tags=[{"Key": "kind", "Value": "robot"}])
    alice.gets(allow("iam:*", IAM + "user/team/*"), allow("iam:*AccessKey*", IAM + "user/${aws:username}"),
               allow("iam:CreatePolicy", IAM + "policy/team/*"))
    may(lambda: alice.own_iam.get_user(UserName="bob"))
    may(lambda: alice.own_iam.list_users(PathPrefix="/team/"))
    may(lambda: alice.own_iam.create_user(UserName="carol", Path="/team/"))
    may(alice.own_iam.list_access_keys)
    may(lambda: alice.own_iam.create_policy(PolicyName="p", Path="/team/",
                                            PolicyDocument=policy(allow("*"))))
    for refused in (alice.own_iam.get_user, alice.own_iam.list_users,
                    lambda: alice.own_iam.create_user(UserName="dave"),
                    lambda: alice.own_iam.list_access_keys(UserName="nobody"),
                    lambda: alice.own_iam.create_policy(PolicyName="p",
                                                        PolicyDocument=policy(allow("*"))),
                    lambda: alice.own_iam.create_group(GroupName="g", Path="/team/")):
        assert code_of(refused) == "AccessDenied"
    alice.gets(allow("iam:DeleteUser", "*", {"StringEquals": {"iam:ResourceTag/kind": "robot"}}),
               allow("iam:AttachUserPolicy", "*", {"ArnEquals": {
                   "iam:PolicyARN": "arn:aws:iam::aws:policy/ReadOnlyAccess"}}),
               allow("iam:CreateUser", "*", {"StringEquals": {"aws:RequestTag/kind": "robot"}}),
               allow("iam:TagUser"))
    may(lambda: alice.own_iam.attach_user_policy(
        UserName="carol", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess"))
    may_not(lambda: alice.own_iam.attach_user_policy(
        UserName="alice", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess"))
    may_not(lambda: alice.own_iam.delete_user(UserName="carol"))
    may(lambda: alice.own_iam.delete_user(UserName="bob"))
    may_not(lambda: alice.own_iam.create_user(UserName="eve"))
    may(lambda: alice.own_iam.create_user(UserName="eve", Tags=[{"Key": "kind",
                                                                 "Value": "robot"}]))


TRUST = policy({"Effect": "Allow", "Action": "sts:AssumeRole",
                "Principal": {"Service": "ec2.amazonaws.com"}})


def test_pass_role(iam, alice):
    for name in ("web", "admin"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    iam.create_instance_profile(InstanceProfileName="p")
    alice.gets(allow("iam:AddRoleToInstanceProfile"),
               allow("iam:PassRole", IAM + "role/web",
                     {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}))

    def add(name):
        return lambda: alice.own_iam.add_role_to_instance_profile(InstanceProfileName="p",
                                                                  RoleName=name)
    may(add("web"))
    iam.remove_role_from_instance_profile(InstanceProfileName="p", RoleName="web")
    with fails("AccessDenied", "iam:PassRole on resource: " + IAM + "role/admin"):
        add("admin")()


def test_accounts_are_apart(cloud, launch, alice):
    """Rights over all of EC2 are rights over one's own account."""
    mine = launch()[0]["InstanceId"]
    other_iam = cloud.client("iam", KEYS[1])
    bob = User(cloud, other_iam, "bob")
    bob.gets(allow("*"))
    may(bob.ec2.describe_instances)
    assert bob.ec2.describe_instances()["Reservations"] == []
    with fails("InvalidInstanceID.NotFound"):
        bob.ec2.terminate_instances(InstanceIds=[mine])
    with fails("NoSuchEntity"):
        bob.own_iam.delete_user(UserName="alice")
    cloud.ec2.terminate_instances(InstanceIds=[mine])
    cloud.settle()


def test_registering_an_image(cloud, alice):
    def register():
        return alice.ec2.register_image(
            Name="one", RootDeviceName="/dev/xvda", Architecture="x86_64", BlockDeviceMappings=[
                {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": IMAGE_SNAPSHOT}}], DryRun=True)
    image, snapshot = ("arn:aws:ec2:us-east-1::%s/*" % kind for kind in ("image", "snapshot"))
    alice.gets(allow("ec2:RegisterImage", image))
    may_not(register)
    alice.gets(allow("ec2:RegisterImage", [image, snapshot]))
    may(register)


@pytest.fixture
def elb(cloud):
    yield cloud.client("elbv2")
    cloud.sql("DELETE FROM load_balancer_node; DELETE FROM load_balancer; DELETE FROM target_group")


def balancers(cloud, elb, *names):
    subnets = [s["SubnetId"] for s in cloud.ec2.describe_subnets()["Subnets"]]
    return [elb.create_load_balancer(Name=name, Subnets=subnets)["LoadBalancers"][0]["LoadBalancerArn"]
            for name in names]


def test_load_balancers_by_arn(cloud, elb, alice):
    one, two = balancers(cloud, elb, "one", "two")
    own = cloud.client_of("elbv2", alice.key)
    subnets = [s["SubnetId"] for s in cloud.ec2.describe_subnets()["Subnets"]]

    def touch(arn):
        return own.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=[
            {"Key": "idle_timeout.timeout_seconds", "Value": "61"}])

    def create(name):
        return own.create_load_balancer(Name=name, Subnets=subnets)

    def refused(arn, action="ModifyLoadBalancerAttributes"):
        return fails("AccessDenied", "User: " + IAM + "user/alice is not authorized to perform: "
                     "elasticloadbalancing:" + action + " on resource: " + arn)

    with refused(one):
        touch(one)
    alice.gets(allow("elasticloadbalancing:ModifyLoadBalancerAttributes", one),
               allow("elasticloadbalancing:CreateLoadBalancer", one.split("/app/")[0] + "/app/my-*"))
    may(lambda: touch(one))
    with refused(two):
        touch(two)
    with refused("*", "DescribeLoadBalancers"):  # which is about all of them
        own.describe_load_balancers(LoadBalancerArns=[one])
    with refused(one.split("/app/")[0] + "/app/your-web/*", "CreateLoadBalancer"):
        create("your-web")
    create("my-web")
    alice.gets(allow("elasticloadbalancing:*"), deny("elasticloadbalancing:*", two))
    may(own.describe_load_balancers)
    with refused(two + " with an explicit deny in an identity-based policy"):
        touch(two)
    with refused(two, "AddTags"):
        own.add_tags(ResourceArns=[one, two], Tags=[{"Key": "a", "Value": "b"}])
    with refused(two, "DeleteLoadBalancer"):
        own.delete_load_balancer(LoadBalancerArn=two)
    assert len(own.describe_load_balancers()["LoadBalancers"]) == 3
    own.delete_load_balancer(LoadBalancerArn=one)


def test_load_balancers_by_tag(cloud, elb, alice):
    one, two = balancers(cloud, elb, "one", "two")
    own = cloud.client_of("elbv2", alice.key)
    elb.add_tags(ResourceArns=[one], Tags=[{"Key": "team", "Value": "red"}])
    for key in ("aws", "elasticloadbalancing"):
        alice.gets(allow("elasticloadbalancing:DescribeLoadBalancers"))
        may_not(lambda: own.set_ip_address_type(LoadBalancerArn=one, IpAddressType="ipv4"))
        alice.gets(allow("elasticloadbalancing:SetIpAddressType", "*",
                         {"StringEquals": {key + ":ResourceTag/team": "red"}}))
        may(lambda: own.set_ip_address_type(LoadBalancerArn=one, IpAddressType="ipv4"))
        may_not(lambda: own.set_ip_address_type(LoadBalancerArn=two, IpAddressType="ipv4"))


def test_tags_of_new_load_balancers(cloud, elb, alice):
    """Who may make something may not tag it on the way."""
    subnets = [s["SubnetId"] for s in cloud.ec2.describe_subnets()["Subnets"]]
    tags = {"Tags": [{"Key": "team", "Value": "red"}]}
    own = cloud.client_of("elbv2", alice.key)
    arn = balancers(cloud, elb, "one")[0]
    actions = [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}]
    listener = elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=80,
                                   DefaultActions=actions)["Listeners"][0]["ListenerArn"]
    condition = [{"Field": "path-pattern", "Values": ["/a"]}]
    calls = {
        "loadbalancer/app/two/*": lambda **more: own.create_load_balancer(Name="two", Subnets=subnets, **more),
        "targetgroup/two/*": lambda **more: own.create_target_group(
            Name="two", Protocol="HTTP", Port=80, VpcId=cloud.ec2.describe_vpcs()["Vpcs"][0]["VpcId"], **more),
        arn.split(":")[5].replace("loadbalancer/", "listener/") + "/*": lambda **more: own.create_listener(
            LoadBalancerArn=arn, Protocol="HTTP", Port=81, DefaultActions=actions, **more),
        listener.split(":")[5].replace("listener/", "listener-rule/") + "/*": lambda **more: own.create_rule(
            ListenerArn=listener, Priority=1, Conditions=condition, Actions=actions, **more),
    }
    for resource, call in calls.items():
        resource = "arn:aws:elasticloadbalancing:us-east-1:000000000001:" + resource
        made = "elasticloadbalancing:Create*"
        alice.gets(allow(made))
        wait_for(lambda: "elasticloadbalancing:AddTags on resource: " + resource in refusal(
            lambda: call(**tags)), "it is not refused for its tags")
        alice.gets(allow(made), allow("elasticloadbalancing:AddTags", resource, {
            "StringEquals": {"elasticloadbalancing:CreateAction": "CreateNothing"}}))
        may_not(lambda: call(**tags))
        alice.gets(allow(made), allow("elasticloadbalancing:AddTags", resource, {
            "StringLike": {"elasticloadbalancing:CreateAction": "Create*"},
            "StringEquals": {"aws:RequestTag/team": "red"}}))
        may(lambda: call(**tags))
    assert len(elb.describe_load_balancers()["LoadBalancers"]) == 2


def test_tags_of_new_roles(iam, alice):
    tags = {"Tags": [{"Key": "team", "Value": "red"}]}
    alice.gets(allow("iam:CreateUser"))
    may(lambda: alice.own_iam.create_user(UserName="plain"))
    with fails("AccessDenied", "iam:TagUser on resource: " + IAM + "user/bob"):
        alice.own_iam.create_user(UserName="bob", **tags)
    alice.gets(allow("iam:CreateUser"), allow("iam:TagUser", IAM + "user/b*"))
    may(lambda: alice.own_iam.create_user(UserName="bob", **tags))
    assert iam.list_user_tags(UserName="bob")["Tags"] == tags["Tags"]


def test_load_balancers_under_another_name(cloud, elb, alice):
    """An ARN with the id of what is denied, or with a name that is allowed, opens nothing."""
    one, two = balancers(cloud, elb, "one", "two")
    vpc = cloud.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    group = elb.create_target_group(Name="blue", Protocol="HTTP", Port=80, VpcId=vpc)[
        "TargetGroups"][0]["TargetGroupArn"]
    action = [{"Type": "forward", "TargetGroupArn": group}]
    listener = elb.create_listener(LoadBalancerArn=two, Protocol="HTTP", Port=80, DefaultActions=action)[
        "Listeners"][0]["ListenerArn"]
    rule = elb.create_rule(ListenerArn=listener, Priority=1, Actions=action, Conditions=[
        {"Field": "path-pattern", "Values": ["/x"]}])["Rules"][0]["RuleArn"]
    own = cloud.client_of("elbv2", alice.key)
    alice.gets(allow("elasticloadbalancing:*"),
               deny("elasticloadbalancing:*", [two, group, listener, rule, two.replace(":loadbalancer/", ":listener*/")
                                               + "/*"]))
    may(own.describe_load_balancers)
    tags = [{"Key": "a", "Value": "b"}]
    for code, arn, forged, call in (
            ("LoadBalancerNotFound", two, two.replace("/two/", "/one/"),
             lambda arn: own.delete_load_balancer(LoadBalancerArn=arn)),
            ("LoadBalancerNotFound", two, two.replace("/app/", "/net/"),
             lambda arn: own.set_ip_address_type(LoadBalancerArn=arn, IpAddressType="ipv4")),
            ("TargetGroupNotFound", group, group.replace("/blue/", "/red/"),
             lambda arn: own.delete_target_group(TargetGroupArn=arn)),
            ("ListenerNotFound", listener, listener.replace("/two/", "/one/"),
             lambda arn: own.delete_listener(ListenerArn=arn)),
            ("RuleNotFound", rule, rule.replace("/two/", "/one/"), lambda arn: own.delete_rule(RuleArn=arn)),
            ("RuleNotFound", rule, rule.replace("/two/", "/one/"), lambda arn: own.set_rule_priorities(
                RulePriorities=[{"RuleArn": arn, "Priority": 2}])),
            ("RuleNotFound", rule, rule.replace("/two/", "/one/"),
             lambda arn: own.add_tags(ResourceArns=[arn], Tags=tags))):
        with fails("AccessDenied", " on resource: " + arn):
            call(arn)
        with fails(code):
            call(forged)
    assert len(elb.describe_rules(ListenerArn=listener)["Rules"]) == 2
