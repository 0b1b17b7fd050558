# SPDX-License-Identifier: Apache-2.0
"""Tags of all kinds of resources."""
import pytest

from conftest import fails


def tags(cloud, **filters):
    return {(t["ResourceId"], t["Key"], t["Value"]) for t in cloud.ec2.describe_tags(
        Filters=[{"Name": k.replace("_", "-"), "Values": v} for k, v in filters.items()])["Tags"]}


def test_life(cloud, launch):
    ec2, one = cloud.ec2, launch()[0]
    volume = one["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    one = one["InstanceId"]
    ec2.create_tags(Resources=[one, volume, one], Tags=[{"Key": "a", "Value": "1"},
                                                        {"Key": "b", "Value": ""}])
    assert tags(cloud) == {(one, "a", "1"), (one, "b", ""), (volume, "a", "1"), (volume, "b", "")}
    ec2.create_tags(Resources=[one], Tags=[{"Key": "a", "Value": "2"}])
    assert tags(cloud, resource_id=[one]) == {(one, "a", "2"), (one, "b", "")}
    assert tags(cloud, resource_type=["volume"], key=["a"]) == {(volume, "a", "1")}
    assert tags(cloud, value=["?"]) == {(one, "a", "2"), (volume, "a", "1")}
    assert {t[0] for t in tags(cloud, **{"tag:a": ["2"]})} == {one}
    ec2.delete_tags(Resources=[one], Tags=[{"Key": "a", "Value": "wrong"}])
    assert (one, "a", "2") in tags(cloud)
    ec2.delete_tags(Resources=[one], Tags=[{"Key": "a"}])
    assert (one, "a", "2") not in tags(cloud)
    ec2.delete_tags(Resources=[volume])
    assert tags(cloud) == {(one, "b", "")}
    ec2.terminate_instances(InstanceIds=[one])
    cloud.settle()


def test_every_kind(cloud, launch, image):
    ec2, one = cloud.ec2, launch()[0]
    group = ec2.create_security_group(GroupName="g", Description="d")["GroupId"]
    rule = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])[
        "SecurityGroupRules"][0]["SecurityGroupRuleId"]
    key = ec2.create_key_pair(KeyName="k", KeyType="ed25519")["KeyPairId"]
    ids = [one["InstanceId"], one["BlockDeviceMappings"][0]["Ebs"]["VolumeId"], image, group, rule,
           key, one["VpcId"], one["SubnetId"], one["NetworkInterfaces"][0]["NetworkInterfaceId"],
           "snap-00a0000000000000a"]
    tag = [{"Key": "k", "Value": "v"}]
    ec2.create_tags(Resources=ids, Tags=tag)
    assert {t["ResourceId"] for t in ec2.describe_tags()["Tags"]} == set(ids)
    by_tag = {"Filters": [{"Name": "tag:k", "Values": ["v"]}]}
    assert ec2.describe_vpcs(**by_tag)["Vpcs"][0]["Tags"] == tag
    assert ec2.describe_subnets(**by_tag)["Subnets"][0]["Tags"] == tag
    assert ec2.describe_volumes(**by_tag)["Volumes"][0]["Tags"] == tag
    assert ec2.describe_images(**by_tag)["Images"][0]["Tags"] == tag
    assert ec2.describe_key_pairs(**by_tag)["KeyPairs"][0]["Tags"] == tag
    assert ec2.describe_snapshots(**by_tag)["Snapshots"][0]["Tags"] == tag
    assert ec2.describe_security_groups(**by_tag)["SecurityGroups"][0]["Tags"] == tag
    assert ec2.describe_network_interfaces(**by_tag)["NetworkInterfaces"][0]["TagSet"] == tag
    for resource in ids:
        with pytest.raises(Exception, match="NotFound"):
            cloud.other.create_tags(Resources=[resource], Tags=tag)
    assert cloud.other.describe_tags()["Tags"] == []


def test_refusals(cloud, launch):
    ec2, one = cloud.ec2, launch()[0]["InstanceId"]
    tag = [{"Key": "k", "Value": "v"}]
    with fails("InvalidID", "nonsense"):
        ec2.create_tags(Resources=["nonsense"], Tags=tag)
    with fails("InvalidInstanceID.NotFound"):
        ec2.create_tags(Resources=[one, "i-00000000000000001"], Tags=tag)
    assert tags(cloud) == set()
    with fails("InvalidParameterValue", "aws:"):
        ec2.create_tags(Resources=[one], Tags=[{"Key": "aws:k", "Value": "v"}])
    with fails("InvalidParameterValue", "128"):
        ec2.create_tags(Resources=[one], Tags=[{"Key": "k" * 129, "Value": "v"}])
    with fails("InvalidParameterValue", "256"):
        ec2.create_tags(Resources=[one], Tags=[{"Key": "k", "Value": "v" * 257}])
    with fails("TagLimitExceeded"):
        ec2.create_tags(Resources=[one], Tags=[{"Key": "k%d" % n, "Value": ""} for n in range(51)])
    with fails("DryRunOperation"):
        ec2.create_tags(Resources=[one], Tags=tag, DryRun=True)
    assert tags(cloud) == set()
    ec2.create_tags(Resources=[one], Tags=[{"Key": "k%d" % n, "Value": ""} for n in range(12)])
    pages = list(ec2.get_paginator("describe_tags").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(p["Tags"]) for p in pages] == [5, 5, 2]


def test_metadata_hears_of_it(cloud, launch):
    quiet = launch()[0]["InstanceId"]
    loud = launch(MetadataOptions={"InstanceMetadataTags": "enabled"})[0]["InstanceId"]

    def generation(one):
        return int(cloud.sql("SELECT generation FROM instance WHERE id = '%s'" % one)[0][0])
    before = generation(quiet), generation(loud)
    cloud.ec2.create_tags(Resources=[quiet, loud], Tags=[{"Key": "k", "Value": "v"}])
    assert generation(quiet) == before[0] and generation(loud) > before[1]
