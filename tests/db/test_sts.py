# SPDX-License-Identifier: Apache-2.0
"""Temporary credentials: who may have them, what they may do, and when they end."""
import base64

import pytest

from conftest import KEYS, fails, wait_for
from test_authorisation import User, allow, code_of, deny, may, may_not, policy

ACCOUNT, OTHER = "000000000001", "000000000002"
IAM = "arn:aws:iam::%s:" % ACCOUNT
ROLE = IAM + "role/worker"


def trust(principal, action="sts:AssumeRole", **condition):
    statement = {"Effect": "Allow", "Action": action, "Principal": principal}
    if condition:
        statement["Condition"] = condition
    return policy(statement)


def make_role(iam, document, rights=None, name="worker", **options):
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=document, **options)
    iam.put_role_policy(RoleName=name, PolicyName="p",
                        PolicyDocument=policy(*(rights or [allow("ec2:*")])))


def assume(client, **options):
    return client.assume_role(**dict({"RoleArn": ROLE, "RoleSessionName": "me"}, **options))


@pytest.fixture
def alice(cloud, iam):
    return User(cloud, iam)


def test_assumed_role(cloud, iam, alice):
    make_role(iam, trust({"AWS": IAM + "user/alice"}))
    answer = assume(alice.sts)
    credentials = answer["Credentials"]
    assert credentials["AccessKeyId"].startswith("ASIA") and len(credentials["AccessKeyId"]) == 20
    session = "arn:aws:sts::%s:assumed-role/worker/me" % ACCOUNT
    assert answer["AssumedRoleUser"]["Arn"] == session
    caller = cloud.client_of("sts", credentials).get_caller_identity()
    assert caller["Arn"] == session and caller["Account"] == ACCOUNT
    assert caller["UserId"] == answer["AssumedRoleUser"]["AssumedRoleId"]
    assert caller["UserId"].startswith("AROA") and caller["UserId"].endswith(":me")
    cloud.client_of("ec2", credentials).describe_instances()
    with fails("AccessDenied", "User: " + session + " is not authorized to perform: iam:ListUsers"):
        cloud.client_of("iam", credentials).list_users()
    info = cloud.client("sts").get_access_key_info
    assert info(AccessKeyId=credentials["AccessKeyId"])["Account"] == ACCOUNT
    assert info(AccessKeyId=KEYS[1])["Account"] == OTHER


def test_trust(cloud, iam, alice):
    """By name the role's word is enough; to an account as a whole, its policies must agree."""
    make_role(iam, trust({"Service": "ec2.amazonaws.com"}))
    with fails("AccessDenied", "sts:AssumeRole on resource: " + ROLE):
        assume(alice.sts)
    with fails("AccessDenied"):
        assume(alice.sts, RoleArn=IAM + "role/nobody")
    iam.update_assume_role_policy(RoleName="worker", PolicyDocument=trust({"AWS": ACCOUNT}))
    with fails("AccessDenied"):
        assume(alice.sts)
    alice.gets(allow("sts:AssumeRole", ROLE))
    may(lambda: assume(alice.sts))
    iam.update_assume_role_policy(RoleName="worker",
                                  PolicyDocument=trust({"AWS": IAM + "user/alice"}))
    alice.gets(deny("sts:*"))
    may_not(lambda: assume(alice.sts))
    iam.delete_user_policy(UserName="alice", PolicyName="p")
    may(lambda: assume(alice.sts))


def test_across_accounts(cloud, iam):
    bob = User(cloud, cloud.client("iam", KEYS[1]), "bob")
    make_role(iam, trust({"AWS": "arn:aws:iam::%s:user/bob" % OTHER},
                         StringEquals={"sts:ExternalId": "secret"}))
    with fails("AccessDenied"):
        assume(bob.sts, ExternalId="secret")
    bob.gets(allow("sts:AssumeRole", ROLE))
    may(lambda: assume(bob.sts, ExternalId="secret"))
    for options in ({}, {"ExternalId": "wrong"}):
        with fails("AccessDenied"):
            assume(bob.sts, **options)
    credentials = assume(bob.sts, ExternalId="secret")["Credentials"]
    assert cloud.client_of("sts", credentials).get_caller_identity()["Account"] == ACCOUNT
    cloud.client("iam", KEYS[1]).delete_access_key(UserName="bob",
                                                   AccessKeyId=bob.key["AccessKeyId"])


def test_duration(iam, alice):
    make_role(iam, trust({"AWS": IAM + "user/alice"}), MaxSessionDuration=7200)
    assume(alice.sts, DurationSeconds=7200)
    with fails("ValidationError", "MaxSessionDuration"):
        assume(alice.sts, DurationSeconds=7201)
    with fails("ValidationError"):
        assume(alice.sts, RoleSessionName="a b")


def test_session_policies(cloud, iam, alice):
    make_role(iam, trust({"AWS": IAM + "user/alice"}), [allow(["ec2:*", "iam:*"])])
    narrow = assume(alice.sts, Policy=policy(allow(["iam:*", "s3:*"])))["Credentials"]
    cloud.client_of("iam", narrow).list_users()
    with fails("UnauthorizedOperation", "because no session policy allows the"):
        cloud.client_of("ec2", narrow).describe_instances()
    managed = assume(alice.sts, PolicyArns=[
        {"arn": "arn:aws:iam::aws:policy/AmazonEC2ReadOnlyAccess"}])["Credentials"]
    cloud.client_of("ec2", managed).describe_instances()
    with fails("AccessDenied"):
        cloud.client_of("iam", managed).list_users()
    with fails("MalformedPolicyDocument"):
        assume(alice.sts, Policy="{}")
    with fails("MalformedPolicyDocument"):
        assume(alice.sts, PolicyArns=[{"arn": "arn:aws:iam::aws:policy/Nonsense"}])
    assert assume(alice.sts, Policy=policy(allow("*")))["PackedPolicySize"] >= 1


def test_largest_session(cloud, iam, alice):
    """A token with all that a session can have fits into a request."""
    make_role(iam, trust({"AWS": IAM + "user/alice"}, ["sts:AssumeRole", "sts:TagSession"]))
    arns = [iam.create_policy(PolicyName="p" * 100 + str(i), PolicyDocument=policy(allow("*")))[
        "Policy"]["Arn"] for i in range(10)]
    long = policy(allow(["ec2:*"] + ["s3:%0100d" % i for i in range(16)]))
    largest = assume(alice.sts, Policy=long, PolicyArns=[{"arn": arn} for arn in arns], Tags=[
        {"Key": "k%d" % i, "Value": "v" * 20} for i in range(20)])["Credentials"]
    assert len(largest["SessionToken"]) > 4096
    cloud.client_of("ec2", largest).describe_instances()
    with fails("PackedPolicyTooLarge"):
        assume(alice.sts, Tags=[{"Key": "k%d" % i, "Value": "v" * 200} for i in range(50)])


def test_session_tags(cloud, iam, alice):
    tags = [{"Key": "team", "Value": "red"}]
    make_role(iam, trust({"AWS": IAM + "user/alice"}),
              [allow("ec2:*", "*", {"StringEquals": {"aws:PrincipalTag/team": "red"}})],
              Tags=[{"Key": "team", "Value": "blue"}])
    with fails("AccessDenied", "sts:TagSession"):
        assume(alice.sts, Tags=tags)
    plain = assume(alice.sts)["Credentials"]
    iam.update_assume_role_policy(RoleName="worker", PolicyDocument=trust(
        {"AWS": IAM + "user/alice"}, ["sts:AssumeRole", "sts:TagSession"]))
    may(lambda: assume(alice.sts, Tags=tags))
    tagged = assume(alice.sts, Tags=tags)["Credentials"]
    cloud.client_of("ec2", tagged).describe_instances()
    with fails("UnauthorizedOperation"):
        cloud.client_of("ec2", plain).describe_instances()


def test_chain(cloud, iam, alice):
    make_role(iam, trust({"AWS": IAM + "user/alice"}), [allow("sts:*")], MaxSessionDuration=7200)
    make_role(iam, trust({"AWS": ROLE}), name="next", MaxSessionDuration=7200)
    first = cloud.client_of("sts", assume(alice.sts)["Credentials"])
    second = assume(first, RoleArn=IAM + "role/next")["Credentials"]
    assert "assumed-role/next/me" in cloud.client_of("sts", second).get_caller_identity()["Arn"]
    with fails("ValidationError", "role chaining"):
        assume(first, RoleArn=IAM + "role/next", DurationSeconds=3601)
    # A session that is bounded does not leave its bounds through a role that trusts its role.
    bounded = assume(alice.sts, Policy=policy(allow("ec2:*")))["Credentials"]
    with fails("AccessDenied"):
        assume(cloud.client_of("sts", bounded), RoleArn=IAM + "role/next")


def ended(client):
    return lambda: code_of(client.get_caller_identity) == "InvalidClientTokenId"


def test_end_with_their_role(cloud, iam, alice):
    make_role(iam, trust({"AWS": IAM + "user/alice"}))
    session = cloud.client_of("sts", assume(alice.sts)["Credentials"])
    session.get_caller_identity()
    iam.delete_role_policy(RoleName="worker", PolicyName="p")
    iam.delete_role(RoleName="worker")
    wait_for(ended(session), "the session ends")
    make_role(iam, trust({"AWS": IAM + "user/alice"}))
    assert ended(session)()  # another role of that name is another role


def test_trust_is_in_persons(cloud, iam, alice):
    """Another user of the same name is not trusted, until the policy is written anew."""
    make_role(iam, trust({"AWS": IAM + "user/alice"}))
    assume(alice.sts)
    iam.delete_access_key(UserName="alice", AccessKeyId=alice.key["AccessKeyId"])
    iam.delete_user(UserName="alice")
    other = User(cloud, iam)
    with fails("AccessDenied"):
        assume(other.sts)
    iam.update_assume_role_policy(RoleName="worker",
                                  PolicyDocument=trust({"AWS": IAM + "user/alice"}))
    assume(other.sts)


def test_session_token(cloud, iam, alice):
    alice.gets(allow("ec2:*"))
    credentials = alice.sts.get_session_token(DurationSeconds=900)["Credentials"]
    session = cloud.client_of("sts", credentials)
    assert session.get_caller_identity()["Arn"] == IAM + "user/alice"
    may(cloud.client_of("ec2", credentials).describe_instances)
    with fails("AccessDenied"):
        session.get_session_token()
    with fails("UnsupportedOperation"):
        alice.sts.get_session_token(SerialNumber="arn:aws:iam::1:mfa/x", TokenCode="123456")
    iam.delete_user_policy(UserName="alice", PolicyName="p")
    may_not(cloud.client_of("ec2", credentials).describe_instances)
    iam.delete_access_key(UserName="alice", AccessKeyId=alice.key["AccessKeyId"])
    iam.delete_user(UserName="alice")
    wait_for(ended(session), "the session ends with its user")
    root = cloud.client("sts").get_session_token()["Credentials"]
    assert cloud.client_of("sts", root).get_caller_identity()["Arn"] == IAM + "root"
    cloud.client_of("iam", root).list_users()


def test_tokens_are_sealed(cloud, iam, alice):
    good = alice.sts.get_session_token()["Credentials"]
    other = alice.sts.get_session_token()["Credentials"]
    spoilt = bytearray(base64.b64decode(good["SessionToken"]))
    spoilt[20] ^= 1
    for change in ({"SessionToken": base64.b64encode(bytes(spoilt)).decode()},
                   {"SessionToken": other["SessionToken"]}, {"SessionToken": "nonsense"},
                   {"AccessKeyId": other["AccessKeyId"]}, {"SessionToken": None},
                   {"AccessKeyId": alice.key["AccessKeyId"],
                    "SecretAccessKey": alice.key["SecretAccessKey"]}):
        with fails("InvalidClientTokenId"):
            cloud.client_of("sts", dict(good, **change)).get_caller_identity()
    with fails("SignatureDoesNotMatch"):
        cloud.client_of("sts", dict(good, SecretAccessKey="x" * 40)).get_caller_identity()
    with fails("AuthFailure"):
        cloud.client_of("ec2", dict(good, SessionToken="x")).describe_instances()


def test_what_is_refused(cloud, iam, alice):
    make_role(iam, trust({"AWS": IAM + "user/alice"}))
    for options in ({"SerialNumber": "arn:aws:iam::1:mfa/x", "TokenCode": "123456"},
                    {"SourceIdentity": "me"}, {"TransitiveTagKeys": ["a"]}):
        with fails("UnsupportedOperation"):
            assume(alice.sts, **options)
    with fails("UnsupportedOperation"):
        alice.sts.get_federation_token(Name="someone")
