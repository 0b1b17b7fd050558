# SPDX-License-Identifier: Apache-2.0
"""IAM's entities: their lives, limits and failures, and that accounts do not see each other's."""
import json
import re

import pytest

from conftest import KEYS, fails, wait_for

ACCOUNT = "000000000001"
ARN = "arn:aws:iam::%s:" % ACCOUNT
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}]}, indent=2)
OTHER_POLICY = POLICY.replace("Describe", "Get")
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}]})


def is_document(got, text):
    return got == json.loads(text)


def test_user(iam):
    made = iam.create_user(UserName="alice", Path="/team/", Tags=[{"Key": "a", "Value": "1"}])["User"]
    assert re.fullmatch("AIDA[A-Z2-7]{17}", made["UserId"])
    assert made["Arn"] == ARN + "user/team/alice" and made["Path"] == "/team/"
    assert made["Tags"] == [{"Key": "a", "Value": "1"}]
    assert iam.get_user(UserName="alice")["User"] == made
    with fails("EntityAlreadyExists"):
        iam.create_user(UserName="ALICE")
    with fails("NoSuchEntity", "The user with name bob cannot be found."):
        iam.get_user(UserName="bob")
    iam.update_user(UserName="alice", NewUserName="bob", NewPath="/")
    seen = iam.get_user(UserName="bob")["User"]
    assert (seen["Arn"], seen["UserId"]) == (ARN + "user/bob", made["UserId"])
    iam.create_user(UserName="carol")
    with fails("EntityAlreadyExists"):
        iam.update_user(UserName="carol", NewUserName="Bob")
    iam.delete_user(UserName="bob")
    with fails("NoSuchEntity"):
        iam.delete_user(UserName="bob")


@pytest.mark.parametrize("name,path", [("a b", "/"), ("a/b", "/"), ("x" * 65, "/"), ("ok", "team"),
                                       ("ok", "/team"), ("ok", "/t eam/")])
def test_names(iam, name, path):
    with pytest.raises(Exception, match="ValidationError|Parameter validation"):
        iam.create_user(UserName=name, Path=path)
    assert iam.list_users()["Users"] == []


def test_root_is_shown(iam):
    assert iam.get_user()["User"]["Arn"] == ARN + "root"
    with fails("ValidationError", "Must specify userName"):
        iam.list_access_keys()


def test_group(iam):
    group = iam.create_group(GroupName="dev", Path="/x/")["Group"]
    assert group["Arn"] == ARN + "group/x/dev" and group["GroupId"].startswith("AGPA")
    for name in ("alice", "bob"):
        iam.create_user(UserName=name)
        iam.add_user_to_group(GroupName="dev", UserName=name)
    iam.add_user_to_group(GroupName="dev", UserName="bob")
    assert [u["UserName"] for u in iam.get_group(GroupName="dev")["Users"]] == ["alice", "bob"]
    assert [g["GroupName"] for g in iam.list_groups_for_user(UserName="bob")["Groups"]] == ["dev"]
    with fails("DeleteConflict", "must remove users from group first"):
        iam.delete_group(GroupName="dev")
    with fails("DeleteConflict"):
        iam.delete_user(UserName="bob")
    for name in ("alice", "bob"):
        iam.remove_user_from_group(GroupName="dev", UserName=name)
    iam.update_group(GroupName="dev", NewGroupName="ops")
    iam.delete_group(GroupName="ops")
    for i in range(11):
        iam.create_group(GroupName="g%d" % i)
        if i < 10:
            iam.add_user_to_group(GroupName="g%d" % i, UserName="bob")
    with fails("LimitExceeded", "GroupsPerUser: 10"):
        iam.add_user_to_group(GroupName="g10", UserName="bob")


def test_role(iam):
    made = iam.create_role(RoleName="web", AssumeRolePolicyDocument=TRUST, Description="d",
                           MaxSessionDuration=7200, Path="/s/")["Role"]
    assert made["RoleId"].startswith("AROA") and made["Arn"] == ARN + "role/s/web"
    seen = iam.get_role(RoleName="web")["Role"]
    assert is_document(seen["AssumeRolePolicyDocument"], TRUST)
    assert (seen["MaxSessionDuration"], seen["Description"]) == (7200, "d")
    iam.update_role(RoleName="web", Description="e", MaxSessionDuration=3600)
    iam.update_role_description(RoleName="web", Description="f")
    trust = TRUST.replace("ec2.amazonaws.com", "eks.amazonaws.com")
    iam.update_assume_role_policy(RoleName="web", PolicyDocument=trust)
    seen = iam.list_roles(PathPrefix="/s/")["Roles"][0]
    assert (seen["MaxSessionDuration"], seen["Description"]) == (3600, "f")
    assert is_document(seen["AssumeRolePolicyDocument"], trust)
    for document in (POLICY, "{}", TRUST.replace("AssumeRole", "Assume*").replace("sts", "ec2")):
        with fails("MalformedPolicyDocument"):
            iam.update_assume_role_policy(RoleName="web", PolicyDocument=document)
    with fails("MalformedPolicyDocument", "Invalid principal"):
        iam.create_role(RoleName="x", AssumeRolePolicyDocument=TRUST.replace(
            '"Service": "ec2.amazonaws.com"', '"AWS": "%suser/nobody"' % ARN))
    iam.delete_role(RoleName="web")
    assert iam.list_roles()["Roles"] == []


def test_instance_profile(iam):
    made = iam.create_instance_profile(InstanceProfileName="p")["InstanceProfile"]
    assert made["InstanceProfileId"].startswith("AIPA") and made["Roles"] == []
    for name in ("web", "db"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="web")
    with fails("LimitExceeded"):
        iam.add_role_to_instance_profile(InstanceProfileName="p", RoleName="db")
    seen = iam.get_instance_profile(InstanceProfileName="p")["InstanceProfile"]
    assert [role["RoleName"] for role in seen["Roles"]] == ["web"]
    found = iam.list_instance_profiles_for_role(RoleName="web")["InstanceProfiles"]
    assert [profile["InstanceProfileName"] for profile in found] == ["p"]
    for delete in (lambda: iam.delete_role(RoleName="web"),
                   lambda: iam.delete_instance_profile(InstanceProfileName="p")):
        with fails("DeleteConflict", "must remove roles from instance profile first"):
            delete()
    with fails("NoSuchEntity"):
        iam.remove_role_from_instance_profile(InstanceProfileName="p", RoleName="db")
    iam.remove_role_from_instance_profile(InstanceProfileName="p", RoleName="web")
    iam.delete_instance_profile(InstanceProfileName="p")
    iam.delete_role(RoleName="web")
    assert iam.list_instance_profiles()["InstanceProfiles"] == []


def test_access_keys(cloud, iam):
    iam.create_user(UserName="alice")
    first, second = (iam.create_access_key(UserName="alice")["AccessKey"] for _ in range(2))
    assert re.fullmatch("AKIA[A-Z2-7]{16}", first["AccessKeyId"])
    assert len(first["SecretAccessKey"]) == 40 and first["Status"] == "Active"
    with fails("LimitExceeded", "AccessKeysPerUser: 2"):
        iam.create_access_key(UserName="alice")
    sts = cloud.client_of("sts", first)
    caller = sts.get_caller_identity()
    assert caller["Arn"] == ARN + "user/alice" and caller["UserId"].startswith("AIDA")
    never = iam.get_access_key_last_used(AccessKeyId=second["AccessKeyId"])
    assert never["AccessKeyLastUsed"] == {"ServiceName": "N/A", "Region": "N/A"}
    cloud.control("keys")
    used = iam.get_access_key_last_used(AccessKeyId=first["AccessKeyId"])
    assert used["UserName"] == "alice" and used["AccessKeyLastUsed"]["ServiceName"] == "sts"
    assert used["AccessKeyLastUsed"]["LastUsedDate"] and \
        used["AccessKeyLastUsed"]["Region"] == "us-east-1"
    iam.update_access_key(UserName="alice", AccessKeyId=first["AccessKeyId"], Status="Inactive")
    states = {key["AccessKeyId"]: key["Status"] for key in
              iam.list_access_keys(UserName="alice")["AccessKeyMetadata"]}
    assert states == {first["AccessKeyId"]: "Inactive", second["AccessKeyId"]: "Active"}

    def refused():
        try:
            sts.get_caller_identity()
        except sts.exceptions.ClientError as error:
            return error.response["Error"]["Code"] == "InvalidClientTokenId"
    wait_for(refused, "the key stops working")
    with fails("DeleteConflict", "access keys"):
        iam.delete_user(UserName="alice")
    for key in (first, second):
        iam.delete_access_key(UserName="alice", AccessKeyId=key["AccessKeyId"])
    with fails("NoSuchEntity"):
        iam.delete_access_key(UserName="alice", AccessKeyId=first["AccessKeyId"])
    iam.delete_user(UserName="alice")


def make(iam, kind):
    if kind == "role":
        iam.create_role(RoleName="x", AssumeRolePolicyDocument=TRUST)
    else:
        getattr(iam, "create_" + kind)(**{kind.title() + "Name": "x"})


@pytest.mark.parametrize("kind,limit", [("user", 2048), ("group", 5120), ("role", 10240)])
def test_inline_policies(iam, kind, limit):
    make(iam, kind)
    who = {kind.title() + "Name": "x"}
    put, get, delete = (getattr(iam, "%s_%s_policy" % (verb, kind))
                        for verb in ("put", "get", "delete"))
    listed = getattr(iam, "list_%s_policies" % kind)
    put(PolicyName="p", PolicyDocument=POLICY, **who)
    put(PolicyName="q", PolicyDocument=POLICY, **who)
    put(PolicyName="p", PolicyDocument=OTHER_POLICY, **who)
    assert is_document(get(PolicyName="p", **who)["PolicyDocument"], OTHER_POLICY)
    assert listed(**who)["PolicyNames"] == ["p", "q"]
    with fails("MalformedPolicyDocument"):
        put(PolicyName="r", PolicyDocument="{}", **who)
    with fails("LimitExceeded", "Maximum policy size of %d bytes exceeded" % limit):
        put(PolicyName="r", PolicyDocument=POLICY.replace("Describe", "D" * limit), **who)
    with fails("NoSuchEntity"):
        get(PolicyName="r", **who)
    with fails("DeleteConflict", "must delete policies first"):
        getattr(iam, "delete_" + kind)(**who)
    for name in ("p", "q"):
        delete(PolicyName=name, **who)
    with fails("NoSuchEntity"):
        delete(PolicyName="p", **who)
    getattr(iam, "delete_" + kind)(**who)


def test_managed_policy(iam):
    made = iam.create_policy(PolicyName="p", PolicyDocument=POLICY, Path="/a/", Description="d",
                             Tags=[{"Key": "k", "Value": "v"}])["Policy"]
    arn = made["Arn"]
    assert arn == ARN + "policy/a/p" and made["PolicyId"].startswith("ANPA")
    assert (made["DefaultVersionId"], made["AttachmentCount"]) == ("v1", 0)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["Tags"] == [{"Key": "k", "Value": "v"}]
    seen = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    assert is_document(seen["Document"], POLICY) and seen["IsDefaultVersion"]
    for n in range(2, 6):
        version = iam.create_policy_version(PolicyArn=arn, PolicyDocument=OTHER_POLICY,
                                            SetAsDefault=n == 3)["PolicyVersion"]
        assert (version["VersionId"], version["IsDefaultVersion"]) == ("v%d" % n, n == 3)
    with fails("LimitExceeded", "up to 5 versions"):
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=POLICY)
    with fails("DeleteConflict", "default version"):
        iam.delete_policy_version(PolicyArn=arn, VersionId="v3")
    with fails("DeleteConflict", "more than one version"):
        iam.delete_policy(PolicyArn=arn)
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    for n in range(2, 6):
        iam.delete_policy_version(PolicyArn=arn, VersionId="v%d" % n)
    with fails("NoSuchEntity"):
        iam.set_default_policy_version(PolicyArn=arn, VersionId="v2")
    assert iam.create_policy_version(PolicyArn=arn, PolicyDocument=POLICY)["PolicyVersion"][
        "VersionId"] == "v6"
    iam.delete_policy_version(PolicyArn=arn, VersionId="v6")
    assert [v["VersionId"] for v in iam.list_policy_versions(PolicyArn=arn)["Versions"]] == ["v1"]
    with fails("LimitExceeded", "PolicySize: 6144"):
        iam.create_policy(PolicyName="q", PolicyDocument=POLICY.replace("Describe", "D" * 6144))
    iam.delete_policy(PolicyArn=arn)
    with fails("NoSuchEntity"):
        iam.get_policy(PolicyArn=arn)


def test_attachments(iam):
    arn = iam.create_policy(PolicyName="p", PolicyDocument=POLICY)["Policy"]["Arn"]
    admin = "arn:aws:iam::aws:policy/AdministratorAccess"
    for kind in ("user", "group", "role"):
        make(iam, kind)
        who = {kind.title() + "Name": "x"}
        attach, detach, listed = (getattr(iam, name % kind) for name in (
            "attach_%s_policy", "detach_%s_policy", "list_attached_%s_policies"))
        for policy in (arn, admin, arn):
            attach(PolicyArn=policy, **who)
        assert listed(**who)["AttachedPolicies"] == [
            {"PolicyName": "p", "PolicyArn": arn},
            {"PolicyName": "AdministratorAccess", "PolicyArn": admin}]
        with fails("NoSuchEntity"):
            attach(PolicyArn=arn + "x", **who)
        with fails("DeleteConflict", "must detach all policies first"):
            getattr(iam, "delete_" + kind)(**who)
        detach(PolicyArn=admin, **who)
        with fails("NoSuchEntity"):
            detach(PolicyArn=admin, **who)
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 3
    holders = iam.list_entities_for_policy(PolicyArn=arn)
    assert [len(holders[name]) for name in ("PolicyUsers", "PolicyGroups", "PolicyRoles")] == [1] * 3
    only = iam.list_entities_for_policy(PolicyArn=arn, EntityFilter="Role")
    assert only["PolicyRoles"][0]["RoleName"] == "x" and not only["PolicyUsers"]
    with fails("DeleteConflict", "attached to entities"):
        iam.delete_policy(PolicyArn=arn)
    names = [p["PolicyName"] for p in iam.list_policies(Scope="Local")["Policies"]]
    assert names == ["p"]
    names = {p["PolicyName"] for p in iam.list_policies(Scope="AWS")["Policies"]}
    assert {"AdministratorAccess", "PowerUserAccess", "AmazonEC2FullAccess"} < names
    assert [p["PolicyName"] for p in iam.list_policies(OnlyAttached=True)["Policies"]] == ["p"]
    for i in range(9):
        one = iam.create_policy(PolicyName="p%d" % i, PolicyDocument=POLICY)["Policy"]["Arn"]
        iam.attach_user_policy(UserName="x", PolicyArn=one)
    with fails("LimitExceeded", "PoliciesPerUser: 10"):
        iam.attach_user_policy(UserName="x", PolicyArn=admin)
    with fails("AccessDenied"):
        iam.delete_policy(PolicyArn=admin)
    with fails("InvalidInput"):
        iam.attach_user_policy(UserName="x", PolicyArn="arn:aws:s3:::not-a-policy")


def test_boundary(iam):
    arn = iam.create_policy(PolicyName="b", PolicyDocument=POLICY)["Policy"]["Arn"]
    iam.create_user(UserName="u", PermissionsBoundary=arn)
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
    iam.put_role_permissions_boundary(RoleName="r", PermissionsBoundary=arn)
    assert iam.get_user(UserName="u")["User"]["PermissionsBoundary"] == {
        "PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}
    assert iam.get_policy(PolicyArn=arn)["Policy"]["PermissionsBoundaryUsageCount"] == 2
    found = iam.list_entities_for_policy(PolicyArn=arn, PolicyUsageFilter="PermissionsBoundary")
    assert len(found["PolicyUsers"]) == len(found["PolicyRoles"]) == 1
    with fails("DeleteConflict"):
        iam.delete_policy(PolicyArn=arn)
    with fails("NoSuchEntity"):
        iam.put_user_permissions_boundary(UserName="u", PermissionsBoundary=arn + "x")
    iam.delete_user_permissions_boundary(UserName="u")
    iam.delete_role_permissions_boundary(RoleName="r")
    with fails("NoSuchEntity"):
        iam.delete_user_permissions_boundary(UserName="u")
    assert "PermissionsBoundary" not in iam.get_role(RoleName="r")["Role"]


def test_tags(iam):
    iam.create_user(UserName="x")
    iam.create_role(RoleName="x", AssumeRolePolicyDocument=TRUST)
    iam.create_instance_profile(InstanceProfileName="x")
    arn = iam.create_policy(PolicyName="x", PolicyDocument=POLICY)["Policy"]["Arn"]
    for kind, who in (("user", {"UserName": "x"}), ("role", {"RoleName": "x"}),
                      ("instance_profile", {"InstanceProfileName": "x"}),
                      ("policy", {"PolicyArn": arn})):
        tag, untag, listed = (getattr(iam, name % kind) for name in (
            "tag_%s", "untag_%s", "list_%s_tags"))
        tag(Tags=[{"Key": "b", "Value": "2"}, {"Key": "a", "Value": ""}], **who)
        tag(Tags=[{"Key": "b", "Value": "3"}], **who)
        assert listed(**who)["Tags"] == [{"Key": "a", "Value": ""}, {"Key": "b", "Value": "3"}]
        untag(TagKeys=["a", "zzz"], **who)
        assert listed(**who)["Tags"] == [{"Key": "b", "Value": "3"}]
        with fails("InvalidInput", "reserved"):
            tag(Tags=[{"Key": "aws:x", "Value": ""}], **who)
        with fails("InvalidInput", "Duplicate"):
            tag(Tags=[{"Key": "c", "Value": ""}, {"Key": "C", "Value": ""}], **who)
    with fails("LimitExceeded"):
        iam.tag_user(UserName="x", Tags=[{"Key": str(i), "Value": ""} for i in range(50)])


def test_pages(iam):
    names = ["u%02d" % i for i in range(7)]
    for name in reversed(names):
        iam.create_user(UserName=name, Path="/a/" if name < "u04" else "/b/")
    pages = list(iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 3}))
    assert [len(page["Users"]) for page in pages] == [3, 3, 1]
    assert [user["UserName"] for page in pages for user in page["Users"]] == names
    assert [page["IsTruncated"] for page in pages] == [True, True, False]
    assert len(iam.list_users(PathPrefix="/a/")["Users"]) == 4
    with fails("ValidationError"):
        iam.list_users(Marker="nonsense")
    pages = iam.get_paginator("list_policies").paginate(PaginationConfig={"PageSize": 2})
    seen = [policy["Arn"] for page in pages for policy in page["Policies"]]
    assert len(seen) == len(set(seen)) > 5


def test_account(cloud, iam):
    iam.create_account_alias(AccountAlias="our-cloud")
    with fails("EntityAlreadyExists"):
        cloud.client("iam", KEYS[1]).create_account_alias(AccountAlias="our-cloud")
    assert iam.list_account_aliases()["AccountAliases"] == ["our-cloud"]
    with fails("ValidationError"):
        iam.create_account_alias(AccountAlias="Our_Cloud")
    iam.delete_account_alias(AccountAlias="our-cloud")
    with fails("NoSuchEntity"):
        iam.delete_account_alias(AccountAlias="our-cloud")
    iam.create_user(UserName="x")
    summary = iam.get_account_summary()["SummaryMap"]
    assert (summary["Users"], summary["Groups"], summary["UsersQuota"]) == (1, 0, 5000)


def test_details(iam):
    arn = iam.create_policy(PolicyName="p", PolicyDocument=POLICY)["Policy"]["Arn"]
    iam.create_group(GroupName="g")
    iam.put_group_policy(GroupName="g", PolicyName="i", PolicyDocument=POLICY)
    iam.create_user(UserName="u", Tags=[{"Key": "a", "Value": "b"}])
    iam.add_user_to_group(GroupName="g", UserName="u")
    iam.attach_user_policy(UserName="u", PolicyArn=arn)
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
    iam.attach_role_policy(RoleName="r", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    iam.create_instance_profile(InstanceProfileName="ip")
    iam.add_role_to_instance_profile(InstanceProfileName="ip", RoleName="r")
    all_of_it = iam.get_account_authorization_details()
    user, group, role = (all_of_it[kind + "DetailList"][0] for kind in ("User", "Group", "Role"))
    assert user["GroupList"] == ["g"] and user["Tags"] == [{"Key": "a", "Value": "b"}]
    assert user["AttachedManagedPolicies"] == [{"PolicyName": "p", "PolicyArn": arn}]
    assert is_document(group["GroupPolicyList"][0]["PolicyDocument"], POLICY)
    assert role["InstanceProfileList"][0]["InstanceProfileName"] == "ip"
    assert {policy["PolicyName"] for policy in all_of_it["Policies"]} == {"p", "ReadOnlyAccess"}
    pages = iam.get_paginator("get_account_authorization_details").paginate(
        Filter=["User", "Group", "LocalManagedPolicy"], PaginationConfig={"PageSize": 1})
    counts = [len(page[name]) for page in pages
              for name in ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")]
    assert sum(counts) == 3 and len(counts) == 12


def test_what_nobody_has(iam):
    iam.create_user(UserName="x")
    with fails("NoSuchEntity", "Login Profile for User x"):
        iam.get_login_profile(UserName="x")
    with fails("NoSuchEntity"):
        iam.delete_login_profile(UserName="x")
    with fails("NoSuchEntity"):
        iam.get_account_password_policy()
    assert iam.list_mfa_devices(UserName="x")["MFADevices"] == []
    assert iam.list_virtual_mfa_devices()["VirtualMFADevices"] == []
    assert iam.list_ssh_public_keys(UserName="x")["SSHPublicKeys"] == []
    assert iam.list_signing_certificates(UserName="x")["Certificates"] == []
    assert iam.list_service_specific_credentials(UserName="x")["ServiceSpecificCredentials"] == []
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == []
    assert iam.list_saml_providers()["SAMLProviderList"] == []
    with fails("NoSuchEntity"):
        iam.list_mfa_devices(UserName="nobody")
    with fails("UnsupportedOperation"):
        iam.create_login_profile(UserName="x", Password="secret")


def test_accounts_are_apart(cloud, iam):
    other = cloud.client("iam", KEYS[1])
    iam.create_user(UserName="x")
    iam.create_role(RoleName="x", AssumeRolePolicyDocument=TRUST)
    arn = iam.create_policy(PolicyName="x", PolicyDocument=POLICY)["Policy"]["Arn"]
    key = iam.create_access_key(UserName="x")["AccessKey"]["AccessKeyId"]
    assert other.list_users()["Users"] == other.list_roles()["Roles"] == []
    assert other.list_policies(Scope="Local")["Policies"] == []
    for action in (lambda: other.get_user(UserName="x"), lambda: other.delete_role(RoleName="x"),
                   lambda: other.get_policy(PolicyArn=arn),
                   lambda: other.delete_policy(PolicyArn=arn),
                   lambda: other.get_policy_version(PolicyArn=arn, VersionId="v1")):
        with fails("NoSuchEntity"):
            action()
    other.create_user(UserName="x")
    with fails("NoSuchEntity"):
        other.attach_user_policy(UserName="x", PolicyArn=arn)
    with fails("NoSuchEntity"):
        other.update_access_key(UserName="x", AccessKeyId=key, Status="Inactive")
    with fails("AccessDenied"):
        other.get_access_key_last_used(AccessKeyId=key)
    assert iam.get_user(UserName="x")["User"]["Arn"].startswith("arn:aws:iam::" + ACCOUNT)
