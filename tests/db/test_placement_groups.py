# SPDX-License-Identifier: Apache-2.0
"""Placement groups, and where their members may go."""
import pytest

from conftest import fails


@pytest.fixture
def run(cloud, image):
    def go(count=1, least=None, **placement):
        found = cloud.ec2.run_instances(ImageId=image, InstanceType="t3.micro",
                                        MinCount=least or count, MaxCount=count,
                                        Placement=placement)["Instances"]
        return found
    return go


def hosts(cloud):
    """Host of each instance that is not terminated, by partition."""
    rows = cloud.sql("SELECT partition, host_id FROM instance WHERE state <> 'terminated'"
                     " ORDER BY partition, host_id")
    return [(int(partition), host) for partition, host in rows]


def test_groups(cloud):
    ec2 = cloud.ec2
    made = ec2.create_placement_group(
        GroupName="near", Strategy="cluster", TagSpecifications=[
            {"ResourceType": "placement-group", "Tags": [{"Key": "a", "Value": "b"}]}])
    near = made["PlacementGroup"]
    assert near["GroupId"].startswith("pg-") and near["Tags"] == [{"Key": "a", "Value": "b"}]
    assert near["GroupArn"] == "arn:aws:ec2:us-east-1:000000000001:placement-group/near"
    assert (near["State"], near["Strategy"]) == ("available", "cluster")
    ec2.create_placement_group(GroupName="far", Strategy="spread")
    ec2.create_placement_group(GroupName="parts", Strategy="partition", PartitionCount=3)
    seen = {g["GroupName"]: g for g in ec2.describe_placement_groups()["PlacementGroups"]}
    assert {n: (g["Strategy"], g.get("PartitionCount"), g.get("SpreadLevel"))
            for n, g in seen.items()} == {"near": ("cluster", None, None),
                                          "far": ("spread", None, "rack"),
                                          "parts": ("partition", 3, None)}
    assert seen["near"] == near

    def names(**options):
        found = ec2.describe_placement_groups(**options)["PlacementGroups"]
        return sorted(g["GroupName"] for g in found)
    assert names(GroupNames=["far", "near"]) == ["far", "near"]
    assert names(GroupIds=[near["GroupId"]]) == ["near"]
    assert names(Filters=[{"Name": "strategy", "Values": ["s*"]}]) == ["far"]
    assert names(Filters=[{"Name": "tag:a", "Values": ["b"]}]) == ["near"]
    ec2.create_tags(Resources=[near["GroupId"]], Tags=[{"Key": "c", "Value": "d"}])
    assert cloud.other.describe_placement_groups()["PlacementGroups"] == []
    with fails("InvalidPlacementGroup.Unknown"):
        cloud.other.delete_placement_group(GroupName="near")
    ec2.delete_placement_group(GroupName="near")
    assert names() == ["far", "parts"]


@pytest.mark.parametrize("parameters, code", [
    ({"Strategy": "cluster"}, "MissingParameter"),
    ({"GroupName": "x" * 256}, "InvalidParameterValue"),
    ({"GroupName": "there"}, "InvalidPlacementGroup.Duplicate"),
    ({"GroupName": "g", "Strategy": "heap"}, "InvalidParameterValue"),
    ({"GroupName": "g", "PartitionCount": 2}, "InvalidParameterCombination"),
    ({"GroupName": "g", "Strategy": "partition", "PartitionCount": 8}, "InvalidParameterValue"),
    ({"GroupName": "g", "SpreadLevel": "rack"}, "InvalidParameterCombination"),
    ({"GroupName": "g", "Strategy": "spread", "SpreadLevel": "host"}, "UnsupportedOperation"),
    ({"GroupName": "g", "DryRun": True}, "DryRunOperation"),
])
def test_refusals(cloud, parameters, code):
    cloud.ec2.create_placement_group(GroupName="there")
    with fails(code):
        cloud.ec2.create_placement_group(**parameters)
    with fails("InvalidPlacementGroup.Unknown", "absent"):
        cloud.ec2.describe_placement_groups(GroupNames=["absent"])
    with fails("InvalidPlacementGroupId.Malformed"):
        cloud.ec2.describe_placement_groups(GroupIds=["x"])
    with fails("InvalidPlacementGroup.Unknown", "absent"):
        cloud.ec2.delete_placement_group(GroupName="absent")


def test_members(cloud, run):
    ec2 = cloud.ec2
    group = ec2.create_placement_group(GroupName="near")["PlacementGroup"]
    one, two = run(2, GroupName="near")
    assert one["Placement"]["GroupName"] == "near"
    assert one["Placement"]["GroupId"] == group["GroupId"]
    assert "PartitionNumber" not in one["Placement"]
    run(GroupId=group["GroupId"])
    found = ec2.describe_instances(Filters=[{"Name": "placement-group-name", "Values": ["near"]}])
    assert sum(len(r["Instances"]) for r in found["Reservations"]) == 3
    with fails("InvalidPlacementGroup.InUse"):
        ec2.delete_placement_group(GroupName="near")
    found = [i["InstanceId"] for r in found["Reservations"] for i in r["Instances"]]
    ec2.terminate_instances(InstanceIds=found)
    with fails("InvalidPlacementGroup.InUse"):
        ec2.delete_placement_group(GroupName="near")
    cloud.settle()
    ec2.delete_placement_group(GroupName="near")


def test_spread(cloud, run):
    cloud.ec2.create_placement_group(GroupName="far", Strategy="spread")
    with fails("InsufficientInstanceCapacity", "spread"):
        run(2, GroupName="far")
    assert hosts(cloud) == []
    cloud.host(name="host-2")
    assert len(run(3, least=1, GroupName="far")) == 2
    assert hosts(cloud) == [(0, "host-1"), (0, "host-2")]
    with fails("InsufficientInstanceCapacity", "holds an instance of the placement group"):
        run(GroupName="far")
    run(4)  # others go anywhere
    # A stopped member keeps its place, a terminated one does not.
    cloud.settle()
    member = cloud.ec2.describe_instances(Filters=[
        {"Name": "placement-group-name", "Values": ["far"]}])["Reservations"][0]["Instances"][0]
    cloud.ec2.stop_instances(InstanceIds=[member["InstanceId"]])
    cloud.settle()
    with fails("InsufficientInstanceCapacity"):
        run(GroupName="far")
    cloud.ec2.terminate_instances(InstanceIds=[member["InstanceId"]])
    cloud.settle()
    run(GroupName="far")


def test_partitions(cloud, run):
    cloud.ec2.create_placement_group(GroupName="parts", Strategy="partition", PartitionCount=2)
    for name in ("host-2", "host-3"):
        cloud.host(name=name)
    made = run(4, GroupName="parts")
    assert sorted(i["Placement"]["PartitionNumber"] for i in made) == [1, 1, 2, 2]
    used = {1: set(), 2: set()}
    for partition, host in hosts(cloud):
        used[partition].add(host)
    assert used[1] and used[2] and not used[1] & used[2]
    third = run(GroupName="parts", PartitionNumber=2)[0]
    assert third["Placement"]["PartitionNumber"] == 2
    with fails("InvalidParameterValue", "partition 3"):
        run(GroupName="parts", PartitionNumber=3)


def test_partitions_of_one_host(cloud, run):
    cloud.ec2.create_placement_group(GroupName="parts", Strategy="partition")
    made = run(3, GroupName="parts")
    assert [i["Placement"]["PartitionNumber"] for i in made] == [1, 1, 1]
    with fails("InsufficientInstanceCapacity", "another partition"):
        run(GroupName="parts", PartitionNumber=2)
