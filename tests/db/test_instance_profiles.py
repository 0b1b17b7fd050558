# SPDX-License-Identifier: Apache-2.0
"""Instance profiles: what instances have of IAM, and the credentials that their host gets."""
import datetime
import json

import pytest

from conftest import KEYS, fails
from test_authorisation import IAM, EC2, User, allow, may, may_not, policy
from test_sts import trust

SERVICE = {"Service": "ec2.amazonaws.com"}
ARN = IAM + "instance-profile/web"


@pytest.fixture
def profile(iam):
    iam.create_role(RoleName="worker", AssumeRolePolicyDocument=trust(SERVICE))
    iam.put_role_policy(RoleName="worker", PolicyName="p",
                        PolicyDocument=policy(allow("ec2:Describe*")))
    made = iam.create_instance_profile(InstanceProfileName="web")["InstanceProfile"]
    iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="worker")
    return {"Arn": made["Arn"], "Id": made["InstanceProfileId"]}


def associations(cloud, **options):
    return cloud.ec2.describe_iam_instance_profile_associations(**options)[
        "IamInstanceProfileAssociations"]


def test_launch(cloud, profile, launch):
    for given in ({"Name": "web"}, {"Arn": ARN}):
        one = launch(IamInstanceProfile=given)[0]
        assert one["IamInstanceProfile"] == profile
        seen = cloud.ec2.describe_instances(Filters=[
            {"Name": "iam-instance-profile.arn", "Values": [ARN]},
            {"Name": "instance-id", "Values": [one["InstanceId"]]}])
        assert seen["Reservations"][0]["Instances"][0]["IamInstanceProfile"] == profile
        found = associations(cloud, Filters=[{"Name": "instance-id", "Values": [one["InstanceId"]]}])
        assert (found[0]["State"], found[0]["IamInstanceProfile"]) == ("associated", profile)
        cloud.ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
        cloud.settle()
    assert associations(cloud) == []
    for given in ({"Name": "nothing"}, {"Arn": ARN + "x"},
                  {"Arn": ARN.replace("000000000001", "000000000002")}):
        with fails("InvalidParameterValue", "Invalid IAM Instance Profile"):
            launch(IamInstanceProfile=given)
    with fails("InvalidParameterCombination"):
        launch(IamInstanceProfile={"Name": "web", "Arn": ARN})


def test_association(cloud, iam, profile, launch):
    one = launch()[0]["InstanceId"]
    made = cloud.ec2.associate_iam_instance_profile(
        InstanceId=one, IamInstanceProfile={"Name": "web"})["IamInstanceProfileAssociation"]
    assert made["AssociationId"].startswith("iip-assoc-") and made["State"] == "associating"
    with fails("IncorrectState", "existing association"):
        cloud.ec2.associate_iam_instance_profile(InstanceId=one,
                                                 IamInstanceProfile={"Name": "web"})
    other = iam.create_instance_profile(InstanceProfileName="other")["InstanceProfile"]
    new = cloud.ec2.replace_iam_instance_profile_association(
        AssociationId=made["AssociationId"], IamInstanceProfile={"Name": "other"})[
            "IamInstanceProfileAssociation"]
    assert new["AssociationId"] != made["AssociationId"]
    assert new["IamInstanceProfile"]["Id"] == other["InstanceProfileId"]
    with fails("InvalidAssociationID.NotFound"):
        cloud.ec2.disassociate_iam_instance_profile(AssociationId=made["AssociationId"])
    with fails("InvalidAssociationID.NotFound"):
        associations(cloud, AssociationIds=[made["AssociationId"]])
    with fails("InvalidAssociationID.NotFound"):
        cloud.other.disassociate_iam_instance_profile(AssociationId=new["AssociationId"])
    assert len(associations(cloud, AssociationIds=[new["AssociationId"]])) == 1
    gone = cloud.ec2.disassociate_iam_instance_profile(AssociationId=new["AssociationId"])
    assert gone["IamInstanceProfileAssociation"]["State"] == "disassociating"
    assert associations(cloud) == []
    cloud.client("iam", KEYS[1]).create_instance_profile(InstanceProfileName="web")
    with fails("InvalidInstanceID.NotFound"):
        cloud.other.associate_iam_instance_profile(InstanceId=one,
                                                   IamInstanceProfile={"Name": "web"})
    cloud.ec2.terminate_instances(InstanceIds=[one])
    cloud.settle()


def test_rights(cloud, iam, profile, launch):
    """Whoever gives an instance a role must be allowed to hand it over."""
    alice = User(cloud, iam)
    one = launch()[0]["InstanceId"]
    alice.gets(allow("ec2:*"))

    def associate():
        return alice.ec2.associate_iam_instance_profile(InstanceId=one,
                                                        IamInstanceProfile={"Name": "web"})
    may(alice.ec2.describe_instances)
    with fails("UnauthorizedOperation", "iam:PassRole on resource: " + IAM + "role/worker"):
        associate()
    with fails("UnauthorizedOperation", "iam:PassRole"):
        alice.ec2.run_instances(ImageId="ami-0123456789abcdef0", InstanceType="t3.micro",
                                MinCount=1, MaxCount=1, IamInstanceProfile={"Name": "web"})
    alice.gets(allow("ec2:*", EC2 + "instance/" + one), allow("iam:PassRole", IAM + "role/worker"))
    may(associate)
    association = associations(cloud)[0]["AssociationId"]
    alice.gets(allow("ec2:*", EC2 + "instance/i-0123456789abcdef0"))
    may_not(lambda: alice.ec2.start_instances(InstanceIds=[one], DryRun=True))
    with fails("UnauthorizedOperation", EC2 + "instance/" + one):
        alice.ec2.disassociate_iam_instance_profile(AssociationId=association)
    alice.gets(allow("ec2:*", EC2 + "instance/" + one))
    may(lambda: alice.ec2.disassociate_iam_instance_profile(AssociationId=association))
    cloud.ec2.terminate_instances(InstanceIds=[one])
    cloud.settle()


def credentials_of(cloud, instance, host="host-1"):
    return json.loads(cloud.control("credentials", "%s %s" % (host, instance)))


def test_credentials(cloud, iam, profile, launch):
    one = launch(IamInstanceProfile={"Name": "web"})[0]["InstanceId"]
    plain = launch()[0]["InstanceId"]
    answer = credentials_of(cloud, one)
    assert (answer["code"], answer["role"]) == ("Success", "worker")
    document = json.loads(answer["document"])
    assert (document["Code"], document["Type"]) == ("Success", "AWS-HMAC")
    ends = datetime.datetime.strptime(document["Expiration"], "%Y-%m-%dT%H:%M:%SZ")
    assert ends.replace(tzinfo=datetime.timezone.utc).timestamp() == answer["expires"]
    keys = {"AccessKeyId": document["AccessKeyId"],
            "SecretAccessKey": document["SecretAccessKey"], "SessionToken": document["Token"]}
    session = cloud.client_of("sts", keys).get_caller_identity()["Arn"]
    assert session == "arn:aws:sts::000000000001:assumed-role/worker/" + one
    cloud.client_of("ec2", keys).describe_instances()
    with fails("UnauthorizedOperation"):
        cloud.client_of("ec2", keys).terminate_instances(InstanceIds=[one])
    iam.put_role_policy(RoleName="worker", PolicyName="p", PolicyDocument=policy(
        allow("ec2:StopInstances", "*", {"ArnEquals": {"ec2:SourceInstanceARN":
                                                       EC2 + "instance/" + one}})))
    may(lambda: cloud.client_of("ec2", keys).stop_instances(InstanceIds=[one]))
    for instance, host in ((plain, "host-1"), (one, "host-2"), ("i-0123456789abcdef0", "host-1")):
        with pytest.raises(AssertionError, match="credentials: "):
            credentials_of(cloud, instance, host)
    iam.update_assume_role_policy(RoleName="worker", PolicyDocument=trust({"AWS": "000000000001"}))
    assert credentials_of(cloud, one)["code"] == "AssumeRoleUnauthorizedAccess"
    iam.remove_role_from_instance_profile(InstanceProfileName="web", RoleName="worker")
    assert credentials_of(cloud, one)["code"] == "InstanceProfileNotFound"
    iam.delete_instance_profile(InstanceProfileName="web")
    assert credentials_of(cloud, one)["code"] == "InstanceProfileNotFound"
    cloud.ec2.terminate_instances(InstanceIds=[one, plain])
    cloud.settle()

