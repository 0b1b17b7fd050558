# SPDX-License-Identifier: Apache-2.0
"""What an owner says of an image, and what other accounts may do with it then."""
import datetime
import re

import pytest

from conftest import IMAGE_SNAPSHOT, fails

OTHER = "000000000002"


def names(client, **options):
    return sorted(i["Name"] for i in client.describe_images(**options)["Images"])


def attribute(cloud, image, name):
    answer = cloud.ec2.describe_image_attribute(ImageId=image, Attribute=name)
    return {k: v for k, v in answer.items() if k not in ("ImageId", "ResponseMetadata")}


def run(client, image):
    return client.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1)


def permit(cloud, image, **options):
    cloud.ec2.modify_image_attribute(ImageId=image, LaunchPermission=options)


def test_shared(cloud, image):
    with fails("InvalidAMIID.NotFound"):
        run(cloud.other, image)
    permit(cloud, image, Add=[{"UserId": OTHER}])
    assert attribute(cloud, image, "launchPermission") == {"LaunchPermissions": [{"UserId": OTHER}]}
    permit(cloud, image, Add=[{"UserId": OTHER}])  # twice is no error
    seen = cloud.other.describe_images()["Images"][0]
    assert seen["ImageId"] == image and not seen["Public"] and "ImageOwnerAlias" not in seen
    assert names(cloud.other, ExecutableUsers=["self"]) == ["base"]
    assert names(cloud.other, ExecutableUsers=[OTHER]) == ["base"]
    assert names(cloud.other, Owners=["self"]) == []
    assert names(cloud.ec2, ExecutableUsers=[OTHER]) == ["base"]
    assert names(cloud.ec2, ExecutableUsers=["self"]) == []
    assert run(cloud.other, image)["OwnerId"] == OTHER
    permit(cloud, image, Remove=[{"UserId": OTHER}])
    assert attribute(cloud, image, "launchPermission") == {"LaunchPermissions": []}
    with fails("InvalidAMIID.NotFound"):
        run(cloud.other, image)


def test_public(cloud, image):
    cloud.ec2.modify_image_attribute(ImageId=image, Attribute="launchPermission",
                                     OperationType="add", UserGroups=["all"], UserIds=[OTHER])
    assert attribute(cloud, image, "launchPermission") == {
        "LaunchPermissions": [{"Group": "all"}, {"UserId": OTHER}]}
    seen = cloud.other.describe_images(ExecutableUsers=["all"])["Images"][0]
    assert seen["Public"] and "ImageOwnerAlias" not in seen and not seen["Tags"]
    assert names(cloud.other, Owners=["amazon"]) == []
    run(cloud.other, image)
    cloud.ec2.reset_image_attribute(ImageId=image, Attribute="launchPermission")
    assert attribute(cloud, image, "launchPermission") == {"LaunchPermissions": []}
    assert names(cloud.other) == []
    permit(cloud, image, Add=[{"Group": "all"}])
    permit(cloud, image, Remove=[{"Group": "all"}])
    assert names(cloud.other) == []


def test_plain_attributes(cloud, image):
    ec2 = cloud.ec2
    ec2.modify_image_attribute(ImageId=image, Description={"Value": "new"})
    assert attribute(cloud, image, "description") == {"Description": {"Value": "new"}}
    ec2.modify_image_attribute(ImageId=image, Attribute="description", Value="newer")
    assert ec2.describe_images()["Images"][0]["Description"] == "newer"
    cloud.raw({"Action": "ModifyImageAttribute", "ImageId": image, "ImdsSupport.Value": "v2.0"})
    assert "<value>v2.0</value>" in cloud.raw({
        "Action": "DescribeImageAttribute", "ImageId": image, "Attribute": "imdsSupport"})
    assert run(ec2, image)["Instances"][0]["MetadataOptions"]["HttpTokens"] == "required"
    assert attribute(cloud, image, "bootMode") == {"BootMode": {"Value": "legacy-bios"}}
    assert attribute(cloud, image, "productCodes") == {"ProductCodes": []}
    assert attribute(cloud, image, "kernel") == {"KernelId": {}}
    mapping = attribute(cloud, image, "blockDeviceMapping")["BlockDeviceMappings"][0]
    assert mapping["Ebs"]["SnapshotId"] == IMAGE_SNAPSHOT
    launched = attribute(cloud, image, "lastLaunchedTime")["LastLaunchedTime"]["Value"]
    assert launched.startswith(str(datetime.datetime.utcnow().year))


def test_deprecated(cloud, image):
    ec2 = cloud.ec2
    permit(cloud, image, Add=[{"UserId": OTHER}])
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=2)
    assert ec2.enable_image_deprecation(ImageId=image, DeprecateAt=soon)["Return"]
    shown = ec2.describe_images()["Images"][0]["DeprecationTime"]
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:00.000Z$", shown)
    assert names(cloud.other) == ["base"]
    cloud.sql("UPDATE image SET deprecated = now() - interval '1 day'")
    assert names(cloud.other) == [] and names(ec2) == ["base"]
    assert names(cloud.other, IncludeDeprecated=True) == ["base"]
    assert names(cloud.other, ImageIds=[image]) == ["base"]
    run(cloud.other, image)
    ec2.disable_image_deprecation(ImageId=image)
    assert names(cloud.other) == ["base"]
    with fails("InvalidParameterValue"):
        ec2.enable_image_deprecation(ImageId=image, DeprecateAt=datetime.datetime(2001, 1, 1))


def test_disabled(cloud, image):
    permit(cloud, image, Add=[{"UserId": OTHER}, {"Group": "all"}])
    assert "<return>true</return>" in cloud.raw({"Action": "DisableImage", "ImageId": image})
    assert names(cloud.ec2) == [] and names(cloud.other) == []
    seen = cloud.raw({"Action": "DescribeImages", "IncludeDisabled": "true"})
    assert "<imageState>disabled</imageState>" in seen
    assert attribute(cloud, image, "launchPermission") == {"LaunchPermissions": []}
    with fails("InvalidAMIID.Unavailable"):
        run(cloud.ec2, image)
    with fails("InvalidAMIID.Unavailable"):
        permit(cloud, image, Add=[{"Group": "all"}])
    assert "<return>true</return>" in cloud.raw({"Action": "EnableImage", "ImageId": image})
    run(cloud.ec2, image)
    assert names(cloud.other) == []


def test_protected(cloud, image):
    def act(action, **options):
        return cloud.raw(dict({"Action": action + "ImageDeregistrationProtection",
                               "ImageId": image}, **options))

    def protection():
        text = cloud.raw({"Action": "DescribeImageAttribute", "ImageId": image,
                          "Attribute": "deregistrationProtection"})
        return re.search("<value>(.*)</value>", text).group(1)
    act("Enable")
    assert protection() == "enabled-without-cooldown"
    with fails("OperationNotPermitted", "protected"):
        cloud.ec2.deregister_image(ImageId=image)
    act("Enable", WithCooldown="true")
    assert protection() == "enabled-with-cooldown"
    act("Disable")
    assert protection() == "disabled"
    with fails("OperationNotPermitted", "cooldown"):
        cloud.ec2.deregister_image(ImageId=image)
    cloud.sql("UPDATE image SET protected_until = now()")
    cloud.ec2.deregister_image(ImageId=image)
    with fails("InvalidAMIID.NotFound"):
        attribute(cloud, image, "description")


@pytest.mark.parametrize("parameters, code", [
    ({}, "MissingParameter"),
    ({"Attribute": "launchPermission", "UserIds": [OTHER]}, "MissingParameter"),
    ({"Attribute": "description"}, "MissingParameter"),
    ({"Attribute": "kernel", "Value": "aki-1"}, "InvalidParameterValue"),
    ({"LaunchPermission": {"Add": [{"UserId": "me"}]}}, "InvalidAMIAttributeItemValue"),
    ({"LaunchPermission": {"Add": [{"UserId": "999999999999"}]}}, "InvalidAMIAttributeItemValue"),
    ({"OperationType": "add", "UserGroups": ["some"]}, "InvalidAMIAttributeItemValue"),
    ({"LaunchPermission": {"Add": [{"OrganizationArn": "arn:x"}]}}, "UnsupportedOperation"),
    ({"ProductCodes": ["x"]}, "UnsupportedOperation"),
    ({"ImageId": "x", "Description": {"Value": "d"}}, "InvalidAMIID.Malformed"),
    ({"ImageId": "ami-0123456789abcdef0", "Description": {"Value": "d"}}, "InvalidAMIID.NotFound"),
    ({"Description": {"Value": "d"}, "DryRun": True}, "DryRunOperation"),
])
def test_refusals(cloud, image, parameters, code):
    with fails(code):
        cloud.ec2.modify_image_attribute(**dict({"ImageId": image}, **parameters))


def test_only_the_owner_may(cloud, image):
    def calls():
        yield cloud.other.modify_image_attribute, {"Description": {"Value": "mine"}}
        yield cloud.other.reset_image_attribute, {"Attribute": "launchPermission"}
        yield cloud.other.describe_image_attribute, {"Attribute": "description"}
        yield cloud.other.disable_image_deprecation, {}
        yield cloud.other.deregister_image, {}
    for call, options in calls():
        with fails("InvalidAMIID.NotFound"):
            call(ImageId=image, **options)
    permit(cloud, image, Add=[{"UserId": OTHER}])
    for call, options in calls():
        with fails("AuthFailure", image):
            call(ImageId=image, **options)
