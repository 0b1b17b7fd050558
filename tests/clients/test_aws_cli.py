# SPDX-License-Identifier: Apache-2.0
"""A tour with Debian's unmodified aws, which knows nothing but what "virga env" prints."""
import base64
import json
import os
import socket
import stat
import urllib.parse
import urllib.request

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from aws_model import Model
from cloud import ACCOUNT, wait_for
from conftest import run


class Aws:
    """aws("ec2", "describe-vpcs") is the JSON of the answer, or None."""

    def __init__(self, env):
        self.env = env

    def run(self, *arguments, check=True):
        return run(["/usr/bin/aws"] + [str(argument) for argument in arguments], env=self.env,
                   check=check, deadline_s=120)

    def __call__(self, *arguments):
        text = self.run(*arguments, "--output", "json").stdout
        return json.loads(text) if text.strip() else None

    def ec2(self, *arguments):
        return self("ec2", *arguments)

    def query(self, query, *arguments):
        """What --query picks."""
        return self("ec2", *arguments, "--query", query)

    def fails(self, code, *arguments):
        """The call fails with this code of AWS's, said as aws says it; the message."""
        done = self.run("ec2", *arguments, check=False)
        assert done.returncode == 254, (done.returncode, done.stdout, done.stderr)
        assert "An error occurred (%s) when calling the " % code in done.stderr, done.stderr
        return done.stderr

    def newer(self, action, **parameters):
        """The XML of an action that Debian's aws does not know yet."""
        env = self.env
        request = AWSRequest("POST", env["AWS_ENDPOINT_URL"] + "/",
                             {"Content-Type": "application/x-www-form-urlencoded"},
                             urllib.parse.urlencode(dict(parameters, Action=action,
                                                         Version="2016-11-15")))
        SigV4Auth(Credentials(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]), "ec2",
                  env["AWS_DEFAULT_REGION"]).add_auth(request)
        proxy = urllib.request.ProxyHandler({"http": env["http_proxy"]})
        sent = urllib.request.Request(request.url, request.body, dict(request.headers))
        with urllib.request.build_opener(proxy).open(sent, timeout=60) as answer:
            return answer.read().decode()


@pytest.fixture(scope="module")
def plain(fake_cloud, recorder):
    return Aws(recorder.env(fake_cloud.env))


@pytest.fixture
def aws(plain, recorded):
    return plain


@pytest.fixture(scope="module")
def image(fake_cloud):
    return fake_cloud.image_id()


@pytest.fixture(scope="module")
def snapshot(fake_cloud, image):
    found = fake_cloud.ec2.describe_images(ImageIds=[image])["Images"][0]
    return found["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]


def launch(aws, image, *options):
    return aws.ec2("run-instances", "--image-id", image, "--instance-type", "t3.nano",
                   *options)["Instances"]


def test_who_am_i(aws):
    answer = aws("sts", "get-caller-identity")
    assert answer["Account"] == ACCOUNT
    assert answer["Arn"].startswith("arn:aws:iam::%s:" % ACCOUNT) and answer["UserId"]


def test_place(aws):
    assert aws.query("Regions[].RegionName", "describe-regions") == ["us-east-1"]
    zones = aws.ec2("describe-availability-zones")["AvailabilityZones"]
    assert [(zone["ZoneName"], zone["State"]) for zone in zones] == [("us-east-1a", "available")]
    names = aws.query("AccountAttributes[].AttributeName", "describe-account-attributes")
    assert "default-vpc" in names and "supported-platforms" in names
    aws.fails("InvalidParameterValue", "describe-regions", "--region-names", "nowhere-1")


def test_instance_types(aws):
    nano = aws.ec2("describe-instance-types", "--instance-types", "t3.nano")["InstanceTypes"][0]
    assert nano["VCpuInfo"]["DefaultVCpus"] == 2 and nano["MemoryInfo"]["SizeInMiB"] == 512
    names = aws.query("sort(InstanceTypes[].InstanceType)", "describe-instance-types")
    by_pages = aws.query("sort(InstanceTypes[].InstanceType)", "describe-instance-types",
                         "--page-size", "5")
    assert names == by_pages and len(names) > 5
    first = aws.ec2("describe-instance-types", "--max-items", "3")
    second = aws.ec2("describe-instance-types", "--max-items", "1000", "--starting-token",
                     first["NextToken"])
    got = [item["InstanceType"] for item in first["InstanceTypes"] + second["InstanceTypes"]]
    assert len(first["InstanceTypes"]) == 3 and sorted(got) == names
    offered = aws.query("InstanceTypeOfferings[].[InstanceType,Location]",
                        "describe-instance-type-offerings", "--location-type", "availability-zone",
                        "--filters", "Name=instance-type,Values=t3.*")
    assert ["t3.nano", "us-east-1a"] in offered
    assert all(name.startswith("t3.") for name, _ in offered)
    aws.fails("InvalidInstanceType", "describe-instance-types", "--instance-types", "t3.gigantic")


def test_images(aws, image, snapshot):
    mine = aws.query("Images[].ImageId", "describe-images", "--owners", "self", "--filters",
                     "Name=name,Values=mic*")
    assert mine == [image]
    made = aws.ec2("register-image", "--name", "cli", "--description", "By aws", "--architecture",
                   "x86_64", "--root-device-name", "/dev/xvda", "--virtualization-type", "hvm",
                   "--ena-support", "--block-device-mappings",
                   "DeviceName=/dev/xvda,Ebs={SnapshotId=%s}" % snapshot)["ImageId"]
    aws.ec2("wait", "image-exists", "--image-ids", made)
    aws.ec2("wait", "image-available", "--image-ids", made)
    seen = aws.ec2("describe-images", "--image-ids", made)["Images"][0]
    assert (seen["Name"], seen["Description"], seen["Architecture"], seen["OwnerId"],
            seen["EnaSupport"]) == ("cli", "By aws", "x86_64", ACCOUNT, True)
    aws.ec2("modify-image-attribute", "--image-id", made, "--launch-permission",
            "Add=[{Group=all}]")
    assert aws.query("LaunchPermissions", "describe-image-attribute", "--image-id", made,
                     "--attribute", "launchPermission") == [{"Group": "all"}]
    aws.ec2("reset-image-attribute", "--image-id", made, "--attribute", "launchPermission")
    aws.ec2("enable-image-deprecation", "--image-id", made, "--deprecate-at",
            "2035-01-01T00:00:00Z")
    assert aws.query("Images[].DeprecationTime", "describe-images", "--image-ids",
                     made) == ["2035-01-01T00:00:00.000Z"]
    aws.ec2("disable-image-deprecation", "--image-id", made)
    for action in ("DisableImage", "EnableImage", "EnableImageDeregistrationProtection",
                   "DisableImageDeregistrationProtection"): # newer than this aws
        aws.newer(action, ImageId=made)
    aws.fails("InvalidAMIName.Duplicate", "register-image", "--name", "cli", "--root-device-name",
              "/dev/xvda", "--block-device-mappings",
              "DeviceName=/dev/xvda,Ebs={SnapshotId=%s}" % snapshot)
    assert aws.query("Snapshots[].SnapshotId", "describe-snapshots", "--snapshot-ids",
                     snapshot) == [snapshot]
    aws.ec2("wait", "snapshot-completed", "--snapshot-ids", snapshot)
    aws.ec2("deregister-image", "--image-id", made)
    aws.fails("InvalidAMIID.NotFound", "describe-images", "--image-ids", made)


def test_imports(aws):
    """Of this machine nothing is fetched; of a server elsewhere that never says a word, until it is cancelled."""
    image = aws.ec2("import-image", "--disk-containers", "Url=http://127.0.0.1:1/disk.vmdk,Format=vmdk")["ImportTaskId"]
    disk = aws.ec2("import-snapshot", "--disk-container", "Url=http://127.0.0.1:1/disk.raw")["ImportTaskId"]
    wait_for(lambda: aws.query("ImportImageTasks[].Status", "describe-import-image-tasks", "--import-task-ids",
                               image) == ["deleted"], 30, "the import of an image to fail")
    wait_for(lambda: aws.query("ImportSnapshotTasks[].SnapshotTaskDetail.Status", "describe-import-snapshot-tasks",
                               "--import-task-ids", disk) == ["error"], 30, "the import of a snapshot to fail")
    aws.fails("IncorrectState", "cancel-import-task", "--import-task-id", image)
    run(["ip", "addr", "add", "8.8.8.8/32", "dev", "lo"])  # of this simulated host
    try:
        with socket.create_server(("8.8.8.8", 0)) as silent:
            url = "Url=http://8.8.8.8:%d/disk.raw" % silent.getsockname()[1]
            disk = aws.ec2("import-snapshot", "--disk-container", url)["ImportTaskId"]
            assert aws.ec2("cancel-import-task", "--import-task-id", disk)["ImportTaskId"] == disk
    finally:
        run(["ip", "addr", "del", "8.8.8.8/32", "dev", "lo"])


def test_key_pairs(aws, tmp_path):
    path = tmp_path / "cli.pem"
    text = aws.run("ec2", "create-key-pair", "--key-name", "cli", "--query", "KeyMaterial",
                   "--output", "text").stdout
    path.write_text(text)
    path.chmod(stat.S_IRUSR)
    public = run(["ssh-keygen", "-y", "-f", str(path)]).stdout.split()
    seen = aws.ec2("describe-key-pairs", "--key-names", "cli", "--include-public-key")["KeyPairs"][0]
    assert seen["PublicKey"].split()[:2] == public[:2]

    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "own")])
    imported = aws.ec2("import-key-pair", "--key-name", "cli-own", "--public-key-material",
                       "fileb://%s/own.pub" % tmp_path, "--tag-specifications",
                       "ResourceType=key-pair,Tags=[{Key=team,Value=blue}]")
    aws.ec2("wait", "key-pair-exists", "--key-names", "cli-own")
    assert aws.query("KeyPairs[].KeyName", "describe-key-pairs", "--filters",
                     "Name=tag:team,Values=blue") == ["cli-own"]
    aws.fails("InvalidKeyPair.Duplicate", "create-key-pair", "--key-name", "cli")
    aws.ec2("delete-key-pair", "--key-name", "cli")
    aws.ec2("delete-key-pair", "--key-pair-id", imported["KeyPairId"])
    aws.fails("InvalidKeyPair.NotFound", "describe-key-pairs", "--key-names", "cli")


def test_networks(aws):
    vpc = aws.ec2("describe-vpcs", "--filters", "Name=is-default,Values=true")["Vpcs"][0]
    subnets = aws.ec2("describe-subnets", "--filters", "Name=vpc-id,Values=" + vpc["VpcId"])["Subnets"]
    assert subnets and all(subnet["AvailabilityZone"] == "us-east-1a" for subnet in subnets)
    aws.ec2("wait", "vpc-available", "--vpc-ids", vpc["VpcId"])
    aws.ec2("wait", "subnet-available", "--subnet-ids", subnets[0]["SubnetId"])
    for attribute, value in (("DnsSupport", True), ("DnsHostnames", True),
                             ("NetworkAddressUsageMetrics", False)):
        assert aws.ec2("describe-vpc-attribute", "--vpc-id", vpc["VpcId"], "--attribute",
                       "enable" + attribute)["Enable" + attribute] == {"Value": value}
    aws.fails("InvalidVpcID.NotFound", "describe-vpcs", "--vpc-ids", "vpc-0123456789abcdef0")


def test_security_groups(aws):
    group = aws.ec2("create-security-group", "--group-name", "cli", "--description", "Made by aws",
                    "--tag-specifications",
                    "ResourceType=security-group,Tags=[{Key=Name,Value=web}]")["GroupId"]
    aws.ec2("wait", "security-group-exists", "--group-ids", group)
    allowed = aws.ec2("authorize-security-group-ingress", "--group-id", group, "--protocol", "tcp",
                      "--port", "80", "--cidr", "0.0.0.0/0")["SecurityGroupRules"]
    aws.ec2("authorize-security-group-ingress", "--group-id", group, "--ip-permissions",
            "IpProtocol=tcp,FromPort=443,ToPort=444,IpRanges=[{CidrIp=10.0.0.0/8,Description=in}]",
            "IpProtocol=icmp,FromPort=-1,ToPort=-1,IpRanges=[{CidrIp=10.0.0.0/8}]",
            "IpProtocol=-1,UserIdGroupPairs=[{GroupId=%s}]" % group)
    aws.ec2("authorize-security-group-egress", "--group-id", group, "--protocol", "udp", "--port",
            "53-54", "--cidr", "192.0.2.0/24")
    seen = aws.ec2("describe-security-groups", "--group-ids", group)["SecurityGroups"][0]
    assert (seen["GroupName"], seen["Description"], seen["Tags"]) == (
        "cli", "Made by aws", [{"Key": "Name", "Value": "web"}])
    assert len(seen["IpPermissions"]) == 4 and len(seen["IpPermissionsEgress"]) == 2
    rules = aws.ec2("describe-security-group-rules", "--filters",
                    "Name=group-id,Values=" + group)["SecurityGroupRules"]
    assert allowed[0] in rules and len(rules) == 6
    assert {rule.get("Description") for rule in rules} == {None, "in"}
    for direction in ("ingress", "egress"):
        named = next(r["SecurityGroupRuleId"] for r in rules
                     if r["IsEgress"] == (direction == "egress"))
        aws.ec2("update-security-group-rule-descriptions-" + direction, "--group-id", group,
                "--security-group-rule-descriptions",
                "SecurityGroupRuleId=%s,Description=told" % named)
    aws.ec2("modify-security-group-rules", "--group-id", group, "--security-group-rules",
            "SecurityGroupRuleId=%s,SecurityGroupRule={IpProtocol=tcp,FromPort=80,ToPort=80,"
            "CidrIpv4=0.0.0.0/0,Description=again}" % allowed[0]["SecurityGroupRuleId"])
    told = aws.query("SecurityGroupRules[].Description", "describe-security-group-rules",
                     "--filters", "Name=group-id,Values=" + group)
    assert "again" in told and "told" in told
    assert group in aws.newer("GetSecurityGroupsForVpc", VpcId=seen["VpcId"])
    aws.fails("InvalidPermission.Duplicate", "authorize-security-group-ingress", "--group-id", group,
              "--protocol", "tcp", "--port", "80", "--cidr", "0.0.0.0/0")
    aws.ec2("revoke-security-group-ingress", "--group-id", group, "--security-group-rule-ids",
            allowed[0]["SecurityGroupRuleId"])
    aws.ec2("revoke-security-group-egress", "--group-id", group, "--protocol", "udp", "--port",
            "53-54", "--cidr", "192.0.2.0/24")
    aws.fails("InvalidPermission.NotFound", "revoke-security-group-ingress", "--group-id", group,
              "--protocol", "tcp", "--port", "80", "--cidr", "0.0.0.0/0")
    aws.ec2("delete-security-group", "--group-id", group)
    aws.fails("InvalidGroup.NotFound", "describe-security-groups", "--group-ids", group)


def test_life_of_an_instance(fake_cloud, aws, image, tmp_path):
    """aws looks every 15 s: where it needs not wait, it is asked when the state is there."""
    script = "#!/bin/sh\necho \u00e4 > /root/done\n"
    (tmp_path / "user-data").write_text(script)
    made = launch(aws, image, "--user-data", "file://%s/user-data" % tmp_path, "--client-token",
                  "tour", "--tag-specifications",
                  "ResourceType=instance,Tags=[{Key=Name,Value=tour}]",
                  "--metadata-options", "HttpTokens=required,HttpPutResponseHopLimit=3")[0]
    instance = made["InstanceId"]
    assert made["State"] == {"Code": 0, "Name": "pending"}
    again = launch(aws, image, "--user-data", "file://%s/user-data" % tmp_path, "--client-token",
                   "tour", "--tag-specifications",
                   "ResourceType=instance,Tags=[{Key=Name,Value=tour}]",
                   "--metadata-options", "HttpTokens=required,HttpPutResponseHopLimit=3")[0]
    assert again["InstanceId"] == instance
    for state in ("instance-exists", "instance-running", "instance-status-ok", "system-status-ok"):
        aws.ec2("wait", state, "--instance-ids", instance)
    seen = aws.query("Reservations[].Instances[]", "describe-instances", "--filters",
                     "Name=tag:Name,Values=tour", "Name=instance-state-name,Values=running")
    assert [one["InstanceId"] for one in seen] == [instance]
    assert seen[0]["MetadataOptions"]["HttpTokens"] == "required"
    assert seen[0]["MetadataOptions"]["HttpPutResponseHopLimit"] == 3
    status = aws.ec2("describe-instance-status", "--instance-ids", instance)["InstanceStatuses"][0]
    assert status["InstanceState"]["Name"] == "running"
    data = aws.query("UserData.Value", "describe-instance-attribute", "--instance-id", instance,
                     "--attribute", "userData")
    assert base64.b64decode(data).decode() == script

    cards = aws.ec2("describe-network-interfaces", "--filters",
                    "Name=attachment.instance-id,Values=" + instance)["NetworkInterfaces"]
    assert cards[0]["PrivateIpAddress"] == seen[0]["PrivateIpAddress"]
    volumes = aws.ec2("describe-volumes", "--filters",
                      "Name=attachment.instance-id,Values=" + instance)["Volumes"]
    aws.ec2("wait", "volume-in-use", "--volume-ids", volumes[0]["VolumeId"])

    aws.ec2("reboot-instances", "--instance-ids", instance)
    assert aws.ec2("get-password-data", "--instance-id", instance)["PasswordData"] == ""
    assert aws.ec2("get-console-output", "--instance-id", instance, "--latest")["Timestamp"]
    aws.ec2("modify-instance-attribute", "--instance-id", instance, "--disable-api-termination")
    assert aws.query("DisableApiTermination.Value", "describe-instance-attribute", "--instance-id",
                     instance, "--attribute", "disableApiTermination") is True
    aws.fails("OperationNotPermitted", "terminate-instances", "--instance-ids", instance)
    aws.ec2("modify-instance-attribute", "--instance-id", instance, "--no-disable-api-termination")
    change = aws.ec2("stop-instances", "--instance-ids", instance)["StoppingInstances"][0]
    assert change["CurrentState"]["Name"] in ("stopping", "stopped")
    fake_cloud.wait_state(instance, "stopped")
    aws.ec2("wait", "instance-stopped", "--instance-ids", instance)
    aws.ec2("modify-instance-attribute", "--instance-id", instance, "--attribute", "userData",
            "--value", base64.b64encode(b"other").decode())
    assert aws.query("UserData.Value", "describe-instance-attribute", "--instance-id", instance,
                     "--attribute", "userData") == base64.b64encode(b"other").decode()
    aws.ec2("modify-instance-attribute", "--instance-id", instance, "--instance-type", "t3.micro")
    aws.ec2("modify-instance-metadata-options", "--instance-id", instance,
            "--http-put-response-hop-limit", "4")
    wait_for(lambda: aws.query("Reservations[].Instances[].MetadataOptions.State",
                               "describe-instances", "--instance-ids", instance) == ["applied"],
             30, "the options of a stopped instance to be applied")
    aws.ec2("start-instances", "--instance-ids", instance)
    fake_cloud.wait_state(instance, "running")
    aws.ec2("wait", "instance-running", "--instance-ids", instance)
    aws.ec2("terminate-instances", "--instance-ids", instance)
    fake_cloud.wait_state(instance, "terminated")
    aws.ec2("wait", "instance-terminated", "--instance-ids", instance)
    aws.ec2("wait", "volume-deleted", "--volume-ids", volumes[0]["VolumeId"])


def test_instance_options(fake_cloud, aws, image):
    instance = launch(aws, image)[0]["InstanceId"]
    options = aws.ec2("modify-instance-metadata-options", "--instance-id", instance,
                      "--http-tokens", "required")["InstanceMetadataOptions"]
    assert options["HttpTokens"] == "required"
    fake_cloud.wait_state(instance, "running")
    seen = "Reservations[].Instances[].[MetadataOptions.State,Monitoring.State]"
    wait_for(lambda: aws.query(seen, "describe-instances", "--instance-ids", instance) ==
             [["applied", "disabled"]], 30, "the metadata options to be applied")
    aws.ec2("monitor-instances", "--instance-ids", instance)
    assert aws.query(seen, "describe-instances", "--instance-ids",
                     instance) == [["applied", "enabled"]]
    aws.ec2("unmonitor-instances", "--instance-ids", instance)
    credits = ("InstanceCreditSpecifications[].CpuCredits",
               "describe-instance-credit-specifications", "--instance-ids", instance)
    assert aws.query(*credits) == ["unlimited"]
    aws.ec2("modify-instance-credit-specification", "--instance-credit-specifications",
            "InstanceId=%s,CpuCredits=standard" % instance)
    assert aws.query(*credits) == ["standard"]
    picture = aws.ec2("get-console-screenshot", "--instance-id", instance)["ImageData"]
    assert base64.b64decode(picture).startswith(b"\xff\xd8\xff")
    aws.ec2("send-diagnostic-interrupt", "--instance-id", instance)
    aws.ec2("modify-instance-attribute", "--instance-id", instance, "--no-source-dest-check")
    aws.ec2("reset-instance-attribute", "--instance-id", instance, "--attribute",
            "sourceDestCheck")
    assert aws.query("SourceDestCheck.Value", "describe-instance-attribute", "--instance-id",
                     instance, "--attribute", "sourceDestCheck") is True
    aws.ec2("terminate-instances", "--instance-ids", instance)


def test_placement_groups(aws, image):
    aws.ec2("create-placement-group", "--group-name", "cli", "--strategy", "spread")
    made = launch(aws, image, "--placement", "GroupName=cli")[0]
    assert made["Placement"]["GroupName"] == "cli"
    aws.fails("InsufficientInstanceCapacity", "run-instances", "--image-id", image,
              "--instance-type", "t3.nano", "--placement", "GroupName=cli")
    assert aws.query("PlacementGroups[].Strategy", "describe-placement-groups", "--group-names",
                     "cli") == ["spread"]
    aws.fails("InvalidPlacementGroup.InUse", "delete-placement-group", "--group-name", "cli")
    aws.ec2("terminate-instances", "--instance-ids", made["InstanceId"])
    aws.ec2("wait", "instance-terminated", "--instance-ids", made["InstanceId"])
    aws.ec2("delete-placement-group", "--group-name", "cli")


def test_addresses(fake_cloud, aws, image):
    instance = launch(aws, image)[0]["InstanceId"]
    made = aws.ec2("allocate-address", "--domain", "vpc", "--tag-specifications",
                   "ResourceType=elastic-ip,Tags=[{Key=of,Value=cli}]")
    fake_cloud.wait_state(instance, "running")
    association = aws.ec2("associate-address", "--allocation-id", made["AllocationId"],
                          "--instance-id", instance)["AssociationId"]
    assert aws.query("Addresses[].[InstanceId,AssociationId]", "describe-addresses", "--filters",
                     "Name=tag:of,Values=cli") == [[instance, association]]
    assert aws.query("Reservations[].Instances[].PublicIpAddress", "describe-instances",
                     "--instance-ids", instance) == [made["PublicIp"]]
    aws.fails("InvalidIPAddress.InUse", "release-address", "--allocation-id", made["AllocationId"])
    aws.ec2("disassociate-address", "--association-id", association)
    aws.ec2("release-address", "--allocation-id", made["AllocationId"])
    assert aws.ec2("describe-addresses-attribute", "--attribute", "domain-name") == {"Addresses": []}
    assert aws.ec2("describe-public-ipv4-pools") == {"PublicIpv4Pools": []}
    aws.ec2("terminate-instances", "--instance-ids", instance)


def test_network_interfaces(fake_cloud, aws, image):
    instance = launch(aws, image)[0]
    made = aws.ec2("create-network-interface", "--subnet-id", instance["SubnetId"],
                   "--description", "cli")["NetworkInterface"]
    id_ = made["NetworkInterfaceId"]
    aws.ec2("wait", "network-interface-available", "--network-interface-ids", id_)
    address = aws.ec2("assign-private-ip-addresses", "--network-interface-id", id_,
                      "--secondary-private-ip-address-count",
                      "1")["AssignedPrivateIpAddresses"][0]["PrivateIpAddress"]
    aws.ec2("unassign-private-ip-addresses", "--network-interface-id", id_,
            "--private-ip-addresses", address)
    aws.ec2("modify-network-interface-attribute", "--network-interface-id", id_,
            "--no-source-dest-check")
    aws.ec2("reset-network-interface-attribute", "--network-interface-id", id_,
            "--source-dest-check", "true")
    assert aws.query("SourceDestCheck.Value", "describe-network-interface-attribute",
                     "--network-interface-id", id_, "--attribute", "sourceDestCheck") is True
    fake_cloud.wait_state(instance["InstanceId"], "running")
    attachment = aws.ec2("attach-network-interface", "--network-interface-id", id_,
                         "--instance-id", instance["InstanceId"], "--device-index",
                         "1")["AttachmentId"]

    def status():
        return aws.query("NetworkInterfaces[].Attachment.Status", "describe-network-interfaces",
                         "--network-interface-ids", id_)
    wait_for(lambda: status() == ["attached"], 30, "the interface to be attached")
    aws.ec2("detach-network-interface", "--attachment-id", attachment)
    wait_for(lambda: status() == [], 30, "the interface to be detached")
    aws.ec2("delete-network-interface", "--network-interface-id", id_)
    aws.ec2("terminate-instances", "--instance-ids", instance["InstanceId"])


def test_nat_gateways(aws, image):
    instance = launch(aws, image)[0]  # its host has the VPC's plan
    eip = aws.query("AllocationId", "allocate-address")
    made = aws.query("NatGateway.NatGatewayId", "create-nat-gateway", "--subnet-id",
                     instance["SubnetId"], "--allocation-id", eip)
    aws.ec2("wait", "nat-gateway-available", "--nat-gateway-ids", made)
    aws.ec2("delete-nat-gateway", "--nat-gateway-id", made)
    aws.ec2("wait", "nat-gateway-deleted", "--nat-gateway-ids", made)
    assert aws.query("NatGateways[].State", "describe-nat-gateways", "--nat-gateway-ids",
                     made) == ["deleted"]
    aws.ec2("release-address", "--allocation-id", eip)


def snapshots(fake_cloud, aws, instance, volume):
    def completed(*ids):  # sooner than the client looks again
        wait_for(lambda: {s["State"] for s in fake_cloud.ec2.describe_snapshots(SnapshotIds=ids)["Snapshots"]} ==
                 {"completed"}, 30, "the snapshots to be completed")
        aws.ec2("wait", "snapshot-completed", "--snapshot-ids", *ids)
    one = aws.ec2("create-snapshot", "--volume-id", volume, "--description", "by cli", "--tag-specifications",
                  "ResourceType=snapshot,Tags=[{Key=of,Value=cli}]")["SnapshotId"]
    completed(one)
    both = aws.query("Snapshots[].SnapshotId", "create-snapshots", "--instance-specification",
                     "InstanceId=" + instance["InstanceId"], "--copy-tags-from-source", "volume")
    assert len(both) == 2
    completed(*both)
    copied = aws.ec2("copy-snapshot", "--source-region", "us-east-1", "--source-snapshot-id", one)["SnapshotId"]
    assert aws.query("EbsEncryptionByDefault", "enable-ebs-encryption-by-default") is True
    assert aws.query("EbsEncryptionByDefault", "get-ebs-encryption-by-default") is True
    assert aws.query("EbsEncryptionByDefault", "disable-ebs-encryption-by-default") is False
    key = aws.query("KmsKeyId", "get-ebs-default-kms-key-id")
    assert aws.query("KmsKeyId", "modify-ebs-default-kms-key-id", "--kms-key-id", key) == \
        aws.query("KmsKeyId", "reset-ebs-default-kms-key-id")
    encrypted = aws.query("VolumeId", "create-volume", "--availability-zone", instance["Placement"]["AvailabilityZone"],
                          "--size", "1", "--encrypted", "--kms-key-id", key)
    aws.ec2("delete-volume", "--volume-id", encrypted)
    aws.ec2("modify-snapshot-attribute", "--snapshot-id", one, "--attribute", "createVolumePermission",
            "--operation-type", "add", "--group-names", "all")
    assert aws.query("CreateVolumePermissions[].Group", "describe-snapshot-attribute", "--snapshot-id", one,
                     "--attribute", "createVolumePermission") == ["all"]
    aws.ec2("reset-snapshot-attribute", "--snapshot-id", one, "--attribute", "createVolumePermission")
    mine = aws.query("Snapshots[].SnapshotId", "describe-snapshots", "--filters", "Name=volume-id,Values=" + volume)
    assert one in mine and len(mine) == 2
    image = aws.ec2("create-image", "--instance-id", instance["InstanceId"], "--name", "by cli")["ImageId"]
    wait_for(lambda: fake_cloud.ec2.describe_images(ImageIds=[image])["Images"][0]["State"] == "available", 30,
             "the image to be available")
    aws.ec2("wait", "image-available", "--image-ids", image)
    both += aws.query("Images[].BlockDeviceMappings[].Ebs.SnapshotId", "describe-images", "--image-ids", image)
    assert len(both) == 4
    twin = aws.ec2("copy-image", "--source-region", "us-east-1", "--source-image-id", image, "--name", "twin")["ImageId"]
    both += aws.query("Images[].BlockDeviceMappings[].Ebs.SnapshotId", "describe-images", "--image-ids", twin)
    assert len(both) == 6
    for gone in image, twin:
        aws.ec2("deregister-image", "--image-id", gone)
    aws.newer("LockSnapshot", SnapshotId=one, LockMode="governance", LockDuration="1")
    assert one in aws.newer("DescribeLockedSnapshots")
    aws.fails("OperationNotPermitted", "delete-snapshot", "--snapshot-id", one)
    aws.newer("UnlockSnapshot", SnapshotId=one)
    for snapshot in both + [one, copied]:
        aws.ec2("delete-snapshot", "--snapshot-id", snapshot)
    aws.fails("InvalidSnapshot.NotFound", "delete-snapshot", "--snapshot-id", one)


def test_volumes(fake_cloud, aws, image):
    instance = launch(aws, image)[0]
    id_ = aws.ec2("create-volume", "--availability-zone", instance["Placement"]["AvailabilityZone"], "--size", "2",
                  "--volume-type", "gp3", "--tag-specifications",
                  "ResourceType=volume,Tags=[{Key=of,Value=cli}]")["VolumeId"]
    aws.ec2("wait", "volume-available", "--volume-ids", id_)
    assert aws.query("VolumeStatuses[].VolumeStatus.Status", "describe-volume-status", "--volume-ids", id_) == ["ok"]
    fake_cloud.wait_state(instance["InstanceId"], "running")
    aws.ec2("attach-volume", "--volume-id", id_, "--instance-id", instance["InstanceId"], "--device", "/dev/sdf")
    aws.ec2("wait", "volume-in-use", "--volume-ids", id_)

    def states():
        return aws.query("Volumes[].Attachments[].State", "describe-volumes", "--volume-ids", id_)
    wait_for(lambda: states() == ["attached"], 30, "the volume to be attached")
    aws.fails("VolumeInUse", "delete-volume", "--volume-id", id_)
    aws.ec2("modify-volume", "--volume-id", id_, "--size", "4")
    wait_for(lambda: aws.query("VolumesModifications[].ModificationState", "describe-volumes-modifications",
                               "--volume-ids", id_) == ["completed"], 30, "the volume to be modified")
    snapshots(fake_cloud, aws, instance, id_)
    aws.ec2("detach-volume", "--volume-id", id_)
    aws.ec2("wait", "volume-available", "--volume-ids", id_)
    aws.ec2("delete-volume", "--volume-id", id_)
    aws.ec2("wait", "volume-deleted", "--volume-ids", id_)
    aws.ec2("terminate-instances", "--instance-ids", instance["InstanceId"])


def test_launch_templates(aws, image):
    data = json.dumps({"ImageId": image, "InstanceType": "t3.nano", "TagSpecifications": [
        {"ResourceType": "instance", "Tags": [{"Key": "from", "Value": "template"}]}]})
    made = aws.ec2("create-launch-template", "--launch-template-name", "cli",
                   "--launch-template-data", data)["LaunchTemplate"]["LaunchTemplateId"]
    aws.ec2("create-launch-template-version", "--launch-template-id", made, "--source-version", "1",
            "--launch-template-data", json.dumps({"InstanceType": "t3.micro"}))
    aws.ec2("modify-launch-template", "--launch-template-id", made, "--default-version", "2")
    assert aws.query("LaunchTemplates[].[DefaultVersionNumber,LatestVersionNumber]",
                     "describe-launch-templates", "--launch-template-names", "cli") == [[2, 2]]
    seen = aws.query("LaunchTemplateVersions[].LaunchTemplateData",
                     "describe-launch-template-versions", "--launch-template-id", made,
                     "--versions", "1")
    assert seen == [json.loads(data)]
    instance = aws.ec2("run-instances", "--launch-template",
                       "LaunchTemplateId=%s" % made)["Instances"][0]
    assert instance["InstanceType"] == "t3.micro"
    assert {"Key": "from", "Value": "template"} in instance["Tags"]
    assert aws.query("LaunchTemplateData.ImageId", "get-launch-template-data", "--instance-id",
                     instance["InstanceId"]) == image
    aws.ec2("terminate-instances", "--instance-ids", instance["InstanceId"])
    fleet = aws.ec2("create-fleet", "--type", "instant", "--target-capacity-specification",
                    "TotalTargetCapacity=2,DefaultTargetCapacityType=on-demand",
                    "--launch-template-configs",
                    "LaunchTemplateSpecification={LaunchTemplateId=%s,Version=2},"
                    "Overrides=[{InstanceType=t3.nano}]" % made)
    assert len(fleet["Instances"][0]["InstanceIds"]) == 2
    assert aws.query("Fleets[].FleetState", "describe-fleets", "--fleet-ids",
                     fleet["FleetId"]) == ["active"]
    assert len(aws.ec2("describe-fleet-instances", "--fleet-id",
                       fleet["FleetId"])["ActiveInstances"]) == 2
    aws.ec2("delete-fleets", "--fleet-ids", fleet["FleetId"], "--terminate-instances")
    gone = aws.ec2("delete-launch-template-versions", "--launch-template-id", made, "--versions",
                   "1")
    assert gone["SuccessfullyDeletedLaunchTemplateVersions"][0]["VersionNumber"] == 1
    aws.ec2("delete-launch-template", "--launch-template-id", made)
    aws.fails("InvalidLaunchTemplateId.NotFound", "describe-launch-templates",
              "--launch-template-ids", made)


def test_tags(aws, image):
    aws.ec2("create-tags", "--resources", image, "--tags", "Key=cost,Value=12 & <b>\u00e4",
            "Key=empty,Value=")
    seen = aws.ec2("describe-tags", "--filters", "Name=resource-id,Values=" + image)["Tags"]
    assert {(tag["Key"], tag["Value"], tag["ResourceType"]) for tag in seen} == {
        ("cost", "12 & <b>\u00e4", "image"), ("empty", "", "image")}
    aws.ec2("delete-tags", "--resources", image, "--tags", "Key=cost", "Key=empty")
    assert aws.ec2("describe-tags", "--filters", "Name=resource-id,Values=" + image)["Tags"] == []


def test_pages(aws, image):
    made = {one["InstanceId"] for one in launch(aws, image, "--count", "7")}
    # aws pages by reservations, of which this is one; tags and volumes are counted singly.
    aws.ec2("create-tags", "--resources", *sorted(made), "--tags", "Key=pages,Value=yes")
    tags = aws.query("Tags[].ResourceId", "describe-tags", "--page-size", "5", "--filters",
                     "Name=key,Values=pages")
    assert sorted(tags) == sorted(made)
    first = aws.ec2("describe-tags", "--filters", "Name=key,Values=pages", "--max-items", "2")
    assert len(first["Tags"]) == 2
    rest = aws.ec2("describe-tags", "--filters", "Name=key,Values=pages", "--starting-token",
                   first["NextToken"])
    assert {tag["ResourceId"] for tag in first["Tags"] + rest["Tags"]} == made
    found = aws.query("Reservations[].Instances[].InstanceId", "describe-instances", "--page-size",
                      "5", "--filters", "Name=tag:pages,Values=yes")
    assert set(found) == made and len(found) == 7
    text = aws.run("ec2", "describe-instances", "--filters", "Name=tag-key,Values=pages", "--query",
                   "length(Reservations[].Instances[])", "--output", "text").stdout
    assert text.strip() == "7"
    assert "INSTANCES" in aws.run("ec2", "describe-instances", "--output", "text").stdout
    assert "DescribeInstances" in aws.run("ec2", "describe-instances", "--output", "table").stdout
    aws.ec2("terminate-instances", "--instance-ids", *sorted(made))


def test_instance_profiles(aws, image):
    aws("iam", "create-instance-profile", "--instance-profile-name", "tour")
    one = launch(aws, image)[0]["InstanceId"]
    made = aws.query("IamInstanceProfileAssociation.AssociationId",
                     "associate-iam-instance-profile", "--instance-id", one,
                     "--iam-instance-profile", "Name=tour")
    made = aws.query("IamInstanceProfileAssociation.AssociationId",
                     "replace-iam-instance-profile-association", "--association-id", made,
                     "--iam-instance-profile", "Name=tour")
    assert aws.query("IamInstanceProfileAssociations[].AssociationId",
                     "describe-iam-instance-profile-associations") == [made]
    aws.ec2("disassociate-iam-instance-profile", "--association-id", made)
    aws.ec2("terminate-instances", "--instance-ids", one)
    aws("iam", "delete-instance-profile", "--instance-profile-name", "tour")


@pytest.fixture
def vpc(aws):
    made = aws.query("Vpc.VpcId", "create-vpc", "--cidr-block", "10.0.0.0/16",
                     "--tag-specifications", "ResourceType=vpc,Tags=[{Key=Name,Value=tour}]")
    aws.ec2("wait", "vpc-available", "--vpc-ids", made)
    yield made
    aws.ec2("delete-vpc", "--vpc-id", made)


def test_vpc(aws, vpc):
    aws.ec2("modify-vpc-attribute", "--vpc-id", vpc, "--enable-dns-hostnames")
    assert aws.query("EnableDnsHostnames.Value", "describe-vpc-attribute", "--vpc-id", vpc,
                     "--attribute", "enableDnsHostnames")
    aws.ec2("modify-vpc-tenancy", "--vpc-id", vpc, "--instance-tenancy", "default")
    block = aws.query("CidrBlockAssociation.AssociationId", "associate-vpc-cidr-block", "--vpc-id",
                      vpc, "--cidr-block", "10.1.0.0/16")
    subnet = aws.query("Subnet.SubnetId", "create-subnet", "--vpc-id", vpc, "--cidr-block",
                       "10.1.0.0/24")
    aws.ec2("wait", "subnet-available", "--subnet-ids", subnet)
    aws.ec2("modify-subnet-attribute", "--subnet-id", subnet, "--map-public-ip-on-launch")
    assert aws.query("Subnets[].MapPublicIpOnLaunch", "describe-subnets", "--filters",
                     "Name=vpc-id,Values=" + vpc) == [True]
    aws.fails("DependencyViolation", "delete-vpc", "--vpc-id", vpc)
    aws.ec2("delete-subnet", "--subnet-id", subnet)
    aws.ec2("disassociate-vpc-cidr-block", "--association-id", block)


def test_ways_out_of_a_vpc(aws, vpc):
    subnet = aws.query("Subnet.SubnetId", "create-subnet", "--vpc-id", vpc, "--cidr-block",
                       "10.0.1.0/24")
    gateway = aws.query("InternetGateway.InternetGatewayId", "create-internet-gateway")
    aws.ec2("attach-internet-gateway", "--internet-gateway-id", gateway, "--vpc-id", vpc)
    assert aws.query("InternetGateways[].Attachments[].VpcId", "describe-internet-gateways",
                     "--internet-gateway-ids", gateway) == [vpc]
    tables = [aws.query("RouteTable.RouteTableId", "create-route-table", "--vpc-id", vpc)
              for _ in range(2)]
    route = ["--route-table-id", tables[0], "--destination-cidr-block", "0.0.0.0/0"]
    aws.ec2("create-route", *route, "--gateway-id", gateway)
    aws.ec2("replace-route", *route, "--gateway-id", gateway)
    association = aws.query("AssociationId", "associate-route-table", "--route-table-id", tables[0],
                            "--subnet-id", subnet)
    assert aws.query("RouteTables[].Routes[].[DestinationCidrBlock,State]", "describe-route-tables",
                     "--filters", "Name=association.subnet-id,Values=" + subnet) == [
                         ["10.0.0.0/16", "active"], ["0.0.0.0/0", "active"]]
    association = aws.query("NewAssociationId", "replace-route-table-association",
                            "--association-id", association, "--route-table-id", tables[1])
    aws.ec2("disassociate-route-table", "--association-id", association)
    aws.ec2("delete-route", *route)
    for table in tables:
        aws.ec2("delete-route-table", "--route-table-id", table)
    aws.ec2("detach-internet-gateway", "--internet-gateway-id", gateway, "--vpc-id", vpc)
    aws.ec2("delete-internet-gateway", "--internet-gateway-id", gateway)
    aws.ec2("delete-subnet", "--subnet-id", subnet)


def test_network_acls(aws, vpc):
    subnet = aws.query("Subnet.SubnetId", "create-subnet", "--vpc-id", vpc, "--cidr-block",
                       "10.0.1.0/24")
    acl = aws.query("NetworkAcl.NetworkAclId", "create-network-acl", "--vpc-id", vpc)
    entry = ["--network-acl-id", acl, "--rule-number", 10, "--ingress"]
    aws.ec2("create-network-acl-entry", *entry, "--protocol", "tcp", "--port-range",
            "From=22,To=23", "--cidr-block", "10.0.0.0/8", "--rule-action", "allow")
    aws.ec2("replace-network-acl-entry", *entry, "--protocol", "icmp", "--icmp-type-code",
            "Type=8,Code=-1", "--cidr-block", "10.0.0.0/8", "--rule-action", "deny")
    assert aws.query("NetworkAcls[].Entries[?!Egress][].[RuleNumber,RuleAction]",
                     "describe-network-acls", "--network-acl-ids", acl) == [
                         [10, "deny"], [32767, "deny"]]
    aws.ec2("delete-network-acl-entry", *entry)
    association = aws.query("NetworkAcls[].Associations[].NetworkAclAssociationId",
                            "describe-network-acls", "--filters",
                            "Name=association.subnet-id,Values=" + subnet)[0]
    aws.ec2("replace-network-acl-association", "--association-id", association, "--network-acl-id",
            acl)
    aws.ec2("delete-subnet", "--subnet-id", subnet)
    aws.ec2("delete-network-acl", "--network-acl-id", acl)


def test_dhcp_options(aws, vpc):
    made = aws.query("DhcpOptions.DhcpOptionsId", "create-dhcp-options", "--dhcp-configurations",
                     "Key=domain-name,Values=example.org",
                     "Key=domain-name-servers,Values=10.0.0.53,AmazonProvidedDNS")
    aws.ec2("associate-dhcp-options", "--vpc-id", vpc, "--dhcp-options-id", made)
    assert aws.query("DhcpOptions[].DhcpConfigurations[].Values[].Value", "describe-dhcp-options",
                     "--dhcp-options-ids", made) == ["example.org", "10.0.0.53",
                                                     "AmazonProvidedDNS"]
    aws.ec2("associate-dhcp-options", "--vpc-id", vpc, "--dhcp-options-id", "default")
    aws.ec2("delete-dhcp-options", "--dhcp-options-id", made)


def test_default_vpc(fake_cloud, aws):
    fake_cloud.terminate_all()
    subnet = aws.query("Subnets[0].SubnetId", "describe-subnets")
    aws.ec2("delete-subnet", "--subnet-id", subnet)
    assert aws.query("Subnet.DefaultForAz", "create-default-subnet", "--availability-zone",
                     "us-east-1a")
    aws.fails("DefaultVpcAlreadyExists", "create-default-vpc")
    vpc = aws.query("Vpcs[].VpcId", "describe-vpcs", "--filters", "Name=is-default,Values=true")[0]
    gateway = aws.query("InternetGateways[].InternetGatewayId", "describe-internet-gateways",
                        "--filters", "Name=attachment.vpc-id,Values=" + vpc)[0]
    for subnet in aws.query("Subnets[].SubnetId", "describe-subnets"):
        aws.ec2("delete-subnet", "--subnet-id", subnet)
    aws.ec2("detach-internet-gateway", "--internet-gateway-id", gateway, "--vpc-id", vpc)
    aws.ec2("delete-internet-gateway", "--internet-gateway-id", gateway)
    aws.ec2("delete-vpc", "--vpc-id", vpc)
    assert aws.query("Vpc.IsDefault", "create-default-vpc")


def test_dry_run(aws, image):
    assert "would have succeeded" in aws.fails("DryRunOperation", "run-instances", "--image-id",
                                               image, "--instance-type", "t3.nano", "--dry-run")
    aws.fails("DryRunOperation", "describe-instances", "--dry-run")
    aws.fails("DryRunOperation", "create-security-group", "--group-name", "dry", "--description",
              "d", "--dry-run")
    aws.fails("InvalidGroup.NotFound", "describe-security-groups", "--group-names", "dry")


@pytest.mark.parametrize("code,arguments", [
    ("InvalidAMIID.NotFound", "run-instances --instance-type t3.nano --image-id ami-0123456789abcdef0"),
    ("InvalidAMIID.Malformed", "run-instances --instance-type t3.nano --image-id nonsense"),
    ("MissingParameter", "run-instances"),
    ("InvalidInstanceID.NotFound", "describe-instances --instance-ids i-0123456789abcdef0"),
    ("InvalidInstanceID.Malformed", "terminate-instances --instance-ids nonsense"),
    ("InvalidParameterValue", "describe-instances --filters Name=nonsense,Values=1"),
    ("InvalidVolume.NotFound", "describe-volumes --volume-ids vol-0123456789abcdef0"),
    ("UnsupportedOperation", "create-vpc --cidr-block 10.0.0.0/16 --instance-tenancy dedicated"),
    ("InvalidID", "create-tags --resources nonsense --tags Key=a,Value=b"),
])
def test_errors(aws, code, arguments):
    aws.fails(code, *arguments.split())


def test_empty_sets(aws):
    assert aws.ec2("describe-fleets") == {"Fleets": []}


def test_whole_list_was_called(recorder):
    """The last test of this file: an action that nobody calls is missing in the tour."""
    missing = set(Model("ec2").handled()) - recorder.actions()
    assert not missing, "not in the tour: " + ", ".join(sorted(missing))
