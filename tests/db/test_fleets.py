# SPDX-License-Identifier: Apache-2.0
"""Instant fleets: several launches asked for as one."""
import pytest

from conftest import fails


@pytest.fixture
def template(cloud, image):
    return cloud.ec2.create_launch_template(
        LaunchTemplateName="web", LaunchTemplateData={
            "ImageId": image, "InstanceType": "t3.micro", "TagSpecifications": [
                {"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "1"}]}]})[
                    "LaunchTemplate"]["LaunchTemplateId"]


def config(*overrides, version="$Latest"):
    return {"LaunchTemplateSpecification": {"LaunchTemplateName": "web", "Version": version},
            **({"Overrides": list(overrides)} if overrides else {})}


def create(client, capacity, *configs, **options):
    options.setdefault("Type", "instant")
    return client.create_fleet(
        LaunchTemplateConfigs=list(configs) or [config()], TargetCapacitySpecification={
            "TotalTargetCapacity": capacity, "DefaultTargetCapacityType": "on-demand"}, **options)


def types(answer):
    return [(i["InstanceType"], len(i["InstanceIds"])) for i in answer["Instances"]]


def test_plain(cloud, template):
    made = create(cloud.ec2, 3, TagSpecifications=[
        {"ResourceType": "fleet", "Tags": [{"Key": "f", "Value": "1"}]},
        {"ResourceType": "instance", "Tags": [{"Key": "b", "Value": "2"}]}])
    assert made["Errors"] == [] and types(made) == [("t3.micro", 3)]
    assert made["Instances"][0]["Lifecycle"] == "on-demand"
    assert made["Instances"][0]["LaunchTemplateAndOverrides"]["LaunchTemplateSpecification"] == {
        "LaunchTemplateName": "web", "Version": "$Latest"}
    fleet = made["FleetId"]
    instance = cloud.ec2.describe_instances(
        InstanceIds=made["Instances"][0]["InstanceIds"][:1])["Reservations"][0]["Instances"][0]
    assert {t["Key"]: t["Value"] for t in instance["Tags"]} == {
        "a": "1", "b": "2", "aws:ec2:fleet-id": fleet, "aws:ec2launchtemplate:id": template,
        "aws:ec2launchtemplate:version": "1"}
    assert cloud.ec2.describe_fleets()["Fleets"] == []  # as in AWS
    seen = cloud.ec2.describe_fleets(FleetIds=[fleet])["Fleets"][0]
    assert (seen["FleetState"], seen["ActivityStatus"], seen["Type"]) == ("active", "fulfilled",
                                                                          "instant")
    assert seen["FulfilledCapacity"] == seen["FulfilledOnDemandCapacity"] == 3
    assert seen["TargetCapacitySpecification"] == {"TotalTargetCapacity": 3,
                                                   "DefaultTargetCapacityType": "on-demand"}
    assert seen["LaunchTemplateConfigs"] == [config()]
    assert seen["Instances"] == made["Instances"] and seen["Tags"] == [{"Key": "f", "Value": "1"}]
    active = cloud.ec2.describe_fleet_instances(FleetId=fleet)
    assert sorted(i["InstanceId"] for i in active["ActiveInstances"]) == sorted(
        made["Instances"][0]["InstanceIds"])


def test_pools(cloud, template):
    cloud.host(10, 1 << 20)
    # The smallest for its weight comes first, and takes what there is room for.
    made = create(cloud.ec2, 6, config({"InstanceType": "4c4g"},
                                       {"InstanceType": "2c2g"}, {"InstanceType": "1c1g"}))
    assert types(made) == [("1c1g", 6)] and made["Errors"] == []
    made = create(cloud.ec2, 4, config({"InstanceType": "2c2g"}, {"InstanceType": "4c4g"}))
    assert types(made) == [("2c2g", 2)]
    assert [(e["ErrorCode"], e["LaunchTemplateAndOverrides"]["Overrides"]["InstanceType"])
            for e in made["Errors"]] == [("InsufficientInstanceCapacity", "4c4g")]
    seen = cloud.ec2.describe_fleets(FleetIds=[made["FleetId"]])["Fleets"][0]
    assert seen["ActivityStatus"] == "error" and seen["Errors"] == made["Errors"]
    assert seen["FulfilledCapacity"] == 2


def test_order_and_weights(cloud, template):
    made = create(cloud.ec2, 5, config({"InstanceType": "1c1g", "Priority": 2},
                                       {"InstanceType": "4c4g", "Priority": 1,
                                        "WeightedCapacity": 2}),
                  OnDemandOptions={"AllocationStrategy": "prioritized"})
    assert types(made) == [("4c4g", 3)]
    # Four vCPUs for four units are as cheap as one for one; the first of equals is taken.
    made = create(cloud.ec2, 4, config({"InstanceType": "4c4g", "WeightedCapacity": 4},
                                       {"InstanceType": "2c4g", "WeightedCapacity": 1}))
    assert types(made) == [("4c4g", 1)]
    cloud.host(100, 1 << 20)
    cloud.sql("UPDATE host SET vcpus_claimed = 98")
    made = create(cloud.ec2, 3, config({"InstanceType": "1c1g"}, {"InstanceType": "t3.micro"}),
                  OnDemandOptions={"SingleInstanceType": True})
    assert types(made) == [("1c1g", 2)]


def test_places(cloud, template):
    subnets = {s["AvailabilityZone"]: s["SubnetId"]
               for s in cloud.ec2.describe_subnets()["Subnets"]}
    made = create(cloud.ec2, 1, config({"SubnetId": subnets["us-east-1a"]}))
    assert types(made) == [("t3.micro", 1)]
    made = create(cloud.ec2, 1, config({"AvailabilityZone": "us-east-1b"},
                                       {"AvailabilityZone": "us-east-1a"}))
    assert types(made) == [("t3.micro", 1)]
    assert [e["ErrorCode"] for e in made["Errors"]] == ["InsufficientInstanceCapacity"]
    # Interfaces of the template take the subnet of the override.
    cloud.ec2.create_launch_template_version(
        LaunchTemplateId=template, SourceVersion="1", LaunchTemplateData={
            "NetworkInterfaces": [{"DeviceIndex": 0, "Description": "of the template"}]})
    made = create(cloud.ec2, 1, config({"SubnetId": subnets["us-east-1a"]}))
    one = cloud.ec2.describe_instances(InstanceIds=made["Instances"][0]["InstanceIds"])
    assert one["Reservations"][0]["Instances"][0]["NetworkInterfaces"][0]["Description"] == \
        "of the template"


def test_repeated(cloud, template):
    first = create(cloud.ec2, 2, ClientToken="t")
    again = create(cloud.ec2, 2, ClientToken="t")
    assert again["FleetId"] == first["FleetId"] and again["Instances"] == first["Instances"]
    with fails("IdempotentParameterMismatch"):
        create(cloud.ec2, 3, ClientToken="t")
    # Its virgad died before the end: what was launched is found, not launched again.
    cloud.sql("UPDATE fleet SET result = NULL")
    again = create(cloud.ec2, 2, ClientToken="t")
    assert again["Instances"] == first["Instances"]
    assert len(cloud.sql("SELECT id FROM instance")) == 2


def test_delete(cloud, template):
    ec2 = cloud.ec2
    made = create(ec2, 2)
    with fails("InvalidParameterValue"):
        ec2.delete_fleets(FleetIds=[made["FleetId"]], TerminateInstances=False)
    with fails("DryRunOperation"):
        ec2.delete_fleets(FleetIds=[made["FleetId"]], TerminateInstances=True, DryRun=True)
    ids = [made["FleetId"], "fleet-0123456789abcdef0", "nonsense"]
    gone = ec2.delete_fleets(FleetIds=ids, TerminateInstances=True)
    assert gone["SuccessfulFleetDeletions"] == [
        {"FleetId": ids[0], "PreviousFleetState": "active",
         "CurrentFleetState": "deleted_terminating"}]
    assert [(e["FleetId"], e["Error"]["Code"]) for e in gone["UnsuccessfulFleetDeletions"]] == [
        (ids[1], "fleetIdDoesNotExist"), (ids[2], "fleetIdMalformed")]

    def state():
        return ec2.describe_fleets(FleetIds=ids[:1])["Fleets"][0]["FleetState"]
    assert state() == "deleted_terminating"
    cloud.settle()
    assert state() == "deleted"
    assert ec2.describe_fleet_instances(FleetId=ids[0])["ActiveInstances"] == []
    protected = create(ec2, 1)
    one = protected["Instances"][0]["InstanceIds"][0]
    ec2.modify_instance_attribute(InstanceId=one, DisableApiTermination={"Value": True})
    gone = ec2.delete_fleets(FleetIds=[protected["FleetId"]], TerminateInstances=True)
    assert "disableApiTermination" in gone["UnsuccessfulFleetDeletions"][0]["Error"]["Message"]


def test_another_account(cloud, template):
    fleet = create(cloud.ec2, 1)["FleetId"]
    with fails("InvalidFleetId.NotFound"):
        cloud.other.describe_fleets(FleetIds=[fleet])
    with fails("InvalidFleetId.NotFound"):
        cloud.other.describe_fleet_instances(FleetId=fleet)
    gone = cloud.other.delete_fleets(FleetIds=[fleet], TerminateInstances=True)
    assert gone["UnsuccessfulFleetDeletions"][0]["Error"]["Code"] == "fleetIdDoesNotExist"
    made = create(cloud.other, 1)
    assert [e["ErrorCode"] for e in made["Errors"]] == ["InvalidLaunchTemplateName."
                                                       "NotFoundException"]
    assert made["Instances"] == []


@pytest.mark.parametrize("changes, code, text", [
    ({"Type": "maintain"}, "UnsupportedOperation", "Type"),
    ({"Type": "request"}, "UnsupportedOperation", "Type"),
    ({"TargetCapacitySpecification": {"TotalTargetCapacity": 1, "SpotTargetCapacity": 1}},
     "UnsupportedOperation", "Spot"),
    ({"TargetCapacitySpecification": {"TotalTargetCapacity": 1,
                                      "DefaultTargetCapacityType": "spot"}},
     "UnsupportedOperation", "DefaultTargetCapacityType"),
    ({"TargetCapacitySpecification": {"TotalTargetCapacity": 1, "TargetCapacityUnitType": "vcpu"}},
     "UnsupportedOperation", "UnitType"),
    ({"TargetCapacitySpecification": {"TotalTargetCapacity": 0}}, "InvalidParameterValue", "Total"),
    ({"TargetCapacitySpecification": {"TotalTargetCapacity": 1, "OnDemandTargetCapacity": 2}},
     "InvalidParameterCombination", "OnDemand"),
    ({"OnDemandOptions": {"MinTargetCapacity": 1}}, "UnsupportedOperation", "MinTarget"),
    ({"OnDemandOptions": {"MaxTotalPrice": "1"}}, "UnsupportedOperation", "Price"),
    ({"LaunchTemplateConfigs": [{}]}, "MissingParameter", ""),
    ({"LaunchTemplateConfigs": [{"LaunchTemplateSpecification": {"Version": "1"}}]},
     "MissingParameter", "template"),
    ({"LaunchTemplateConfigs": [config({"WeightedCapacity": 0.0})]}, "InvalidParameterValue",
     "WeightedCapacity"),
    ({"LaunchTemplateConfigs": [config({"InstanceRequirements": {
        "VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 1}}})]},
     "UnsupportedOperation", "InstanceRequirements"),
    ({"TagSpecifications": [{"ResourceType": "vpc", "Tags": [{"Key": "a", "Value": "b"}]}]},
     "InvalidParameterValue", "vpc"),
    ({"DryRun": True}, "DryRunOperation", ""),
])
def test_refusals(cloud, template, changes, code, text):
    parameters = {"Type": "instant", "LaunchTemplateConfigs": [config()],
                  "TargetCapacitySpecification": {"TotalTargetCapacity": 1}}
    with fails(code, text):
        cloud.ec2.create_fleet(**dict(parameters, **changes))
    assert cloud.sql("SELECT id FROM fleet") == []
    with fails("InvalidFleetId.Malformed"):
        cloud.ec2.describe_fleets(FleetIds=["x"])
