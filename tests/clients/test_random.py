# SPDX-License-Identifier: Apache-2.0
"""Random requests to every service: see tests/lib/random_requests.py."""
import json
import os

import pytest

from cloud import ACCOUNT, Cloud, running_cloud
from conftest import run
from random_requests import Things, play

POLICY = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}]})
TRUST = json.dumps({"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACCOUNT}}]})

# Without these a request is refused before it gets anywhere.
EC2_WANTED = {
    "RunInstances": ("ImageId", "InstanceType"), "RegisterImage": ("BlockDeviceMappings",),
    "AuthorizeSecurityGroupIngress": ("GroupId",), "AuthorizeSecurityGroupEgress": ("GroupId",),
    "RevokeSecurityGroupIngress": ("GroupId",), "RevokeSecurityGroupEgress": ("GroupId",),
    "AllocateAddress": ("Domain",), "AssociateAddress": ("AllocationId", "NetworkInterfaceId"),
    "DisassociateAddress": ("AssociationId",), "ReleaseAddress": ("AllocationId",),
    "CreateRoute": ("DestinationCidrBlock", "GatewayId"), "ReplaceRoute": ("DestinationCidrBlock", "GatewayId"),
    "DeleteRoute": ("DestinationCidrBlock",), "CreateVpc": ("CidrBlock",), "CreateSubnet": ("CidrBlock",),
    "CreateNetworkAclEntry": ("CidrBlock",), "ReplaceNetworkAclEntry": ("CidrBlock",),
    "AssociateRouteTable": ("SubnetId",), "AssociateVpcCidrBlock": ("CidrBlock",),
    "UnassignPrivateIpAddresses": ("PrivateIpAddresses",), "CreateNatGateway": ("AllocationId",),
    "CreatePlacementGroup": ("GroupName", "Strategy"), "CreateLaunchTemplateVersion": ("LaunchTemplateId",),
    "CreateVolume": ("AvailabilityZone", "Size"), "DescribeLaunchTemplateVersions": ("LaunchTemplateId",),
    "DescribeNetworkInterfaceAttribute": ("Attribute",), "CreateDhcpOptions": ("DhcpConfigurations",),
}
RULE = {"GroupId": "$groupid", "IpPermissions.1.IpProtocol": "tcp", "IpPermissions.1.FromPort": "#",
        "IpPermissions.1.ToPort": "99", "IpPermissions.1.IpRanges.1.CidrIp": "10.0.0.0/8"}
ENTRY = {"NetworkAclId": "$networkaclid", "RuleNumber": "#", "Protocol": "6", "RuleAction": "allow",
         "Egress": "false", "CidrBlock": "10.0.0.0/8", "PortRange.From": "#", "PortRange.To": "99"}
TEMPLATE = {"LaunchTemplateData.ImageId": "$imageid", "LaunchTemplateData.InstanceType": "t3.nano",
            "LaunchTemplateData.BlockDeviceMapping.1.DeviceName": "/dev/sdf",
            "LaunchTemplateData.BlockDeviceMapping.1.Ebs.VolumeSize": "#"}
EC2_EXAMPLES = {
    "AssignPrivateIpAddresses": [
        {"NetworkInterfaceId": "$networkinterfaceid", "SecondaryPrivateIpAddressCount": "2"},
        {"NetworkInterfaceId": "$networkinterfaceid", "PrivateIpAddress.1": "172.31.0.77"}],
    "UnassignPrivateIpAddresses": [
        {"NetworkInterfaceId": "$networkinterfaceid", "PrivateIpAddress.1": "$secondary"}],
    "AuthorizeSecurityGroupIngress": [RULE], "RevokeSecurityGroupIngress": [RULE],
    "AuthorizeSecurityGroupEgress": [RULE], "RevokeSecurityGroupEgress": [RULE],
    "UpdateSecurityGroupRuleDescriptionsIngress": [RULE],
    "ModifySecurityGroupRules": [
        {"GroupId": "$groupid", "SecurityGroupRule.1.SecurityGroupRuleId": "$ruleid",
         "SecurityGroupRule.1.SecurityGroupRule.IpProtocol": "tcp",
         "SecurityGroupRule.1.SecurityGroupRule.FromPort": "#",
         "SecurityGroupRule.1.SecurityGroupRule.ToPort": "99",
         "SecurityGroupRule.1.SecurityGroupRule.CidrIpv4": "10.0.0.0/8"}],
    "CreateNetworkAclEntry": [ENTRY], "ReplaceNetworkAclEntry": [dict(ENTRY, RuleNumber="100")],
    "DeleteNetworkAclEntry": [{"NetworkAclId": "$networkaclid", "RuleNumber": "#", "Egress": "false"}],
    "CreateRoute": [{"RouteTableId": "$routetableid", "DestinationCidrBlock": "10.#.0.0/16",
                     "NetworkInterfaceId": "$networkinterfaceid"},
                    {"RouteTableId": "$routetableid", "DestinationCidrBlock": "0.0.0.0/0",
                     "GatewayId": "$internetgatewayid"}],
    "ReplaceRoute": [{"RouteTableId": "$routetableid", "DestinationCidrBlock": "$cidrblock",
                      "NetworkInterfaceId": "$networkinterfaceid"}],
    "CreateSubnet": [{"VpcId": "$vpcid", "CidrBlock": "$cidrblock", "AvailabilityZone": "us-east-1a"}],
    "CreateVolume": [{"AvailabilityZone": "us-east-1a", "Size": "#", "VolumeType": "gp3", "Iops": "3000",
                      "ClientToken": "#", "TagSpecification.1.ResourceType": "volume",
                      "TagSpecification.1.Tag.1.Key": "a", "TagSpecification.1.Tag.1.Value": "b"}],
    "AttachVolume": [{"VolumeId": "$volumeid", "InstanceId": "$instanceid", "Device": "/dev/sdf"}],
    "AttachNetworkInterface": [{"NetworkInterfaceId": "$networkinterfaceid", "InstanceId": "$instanceid",
                                "DeviceIndex": "#"}],
    "CreateNetworkInterface": [{"SubnetId": "$subnetid", "PrivateIpAddress": "172.31.0.99",
                                "SecondaryPrivateIpAddressCount": "2", "Description": "x",
                                "SecurityGroupId.1": "$groupid"}],
    "CreateNatGateway": [{"SubnetId": "$subnetid", "ConnectivityType": "private",
                          "PrivateIpAddress": "172.31.0.88"},
                         {"SubnetId": "$subnetid", "AllocationId": "$allocationid"}],
    "AssociateAddress": [{"AllocationId": "$allocationid", "NetworkInterfaceId": "$networkinterfaceid",
                          "PrivateIpAddress": "$privateipaddress", "AllowReassociation": "true"}],
    "DisassociateAddress": [{"AssociationId": "$addressassociation"}],
    "ReplaceRouteTableAssociation": [{"AssociationId": "$tableassociation",
                                      "RouteTableId": "$routetableid"}],
    "DisassociateRouteTable": [{"AssociationId": "$tableassociation"}],
    "ReplaceNetworkAclAssociation": [{"AssociationId": "$aclassociation",
                                      "NetworkAclId": "$networkaclid"}],
    "AssociateIamInstanceProfile": [{"IamInstanceProfile.Name": "random", "InstanceId": "$instanceid"}],
    "DisassociateIamInstanceProfile": [{"AssociationId": "$profileassociation"}],
    "ReplaceIamInstanceProfileAssociation": [{"AssociationId": "$profileassociation",
                                              "IamInstanceProfile.Name": "random"}],
    "AllocateAddress": [{"Domain": "vpc", "Address": "198.18.0.9"}],
    "CreateDhcpOptions": [{"DhcpConfiguration.1.Key": "domain-name-servers",
                           "DhcpConfiguration.1.Value.1": "10.0.0.5",
                           "DhcpConfiguration.2.Key": "netbios-node-type",
                           "DhcpConfiguration.2.Value.1": "2"}],
    "RegisterImage": [{"Name": "random-#", "RootDeviceName": "/dev/xvda", "VirtualizationType": "hvm",
                       "BlockDeviceMapping.1.DeviceName": "/dev/xvda",
                       "BlockDeviceMapping.1.Ebs.SnapshotId": "$snapshotid",
                       "BlockDeviceMapping.1.Ebs.VolumeSize": "#"}],
    "ModifyImageAttribute": [{"ImageId": "$imageid", "LaunchPermission.Add.1.UserId": "123456789012"},
                             {"ImageId": "$imageid", "Description.Value": "x"}],
    "EnableImageDeprecation": [{"ImageId": "$imageid", "DeprecateAt": "2030-01-01T00:00:00Z"}],
    "CreateFleet": [{"LaunchTemplateConfigs.1.LaunchTemplateSpecification.LaunchTemplateId":
                     "$launchtemplateid",
                     "LaunchTemplateConfigs.1.LaunchTemplateSpecification.Version": "1", "Type": "instant",
                     "TargetCapacitySpecification.TotalTargetCapacity": "1",
                     "TargetCapacitySpecification.DefaultTargetCapacityType": "on-demand"}],
    "CreateLaunchTemplate": [dict(TEMPLATE, LaunchTemplateName="random-#")],
    "CreateLaunchTemplateVersion": [dict(TEMPLATE, LaunchTemplateId="$launchtemplateid",
                                         SourceVersion="1")],
    "RunInstances": [
        {"LaunchTemplate.LaunchTemplateId": "$launchtemplateid", "MinCount": "1", "MaxCount": "1"},
        {"ImageId": "$imageid", "InstanceType": "t3.nano", "MinCount": "1", "MaxCount": "1",
         "NetworkInterface.1.DeviceIndex": "0", "NetworkInterface.1.SubnetId": "$subnetid",
         "NetworkInterface.1.PrivateIpAddress": "172.31.0.66",
         "NetworkInterface.1.SecondaryPrivateIpAddressCount": "1",
         "BlockDeviceMapping.1.DeviceName": "/dev/sdf", "BlockDeviceMapping.1.Ebs.VolumeSize": "1",
         "ClientToken": "random-#"}],
    "CreateTags": [{"ResourceId.1": "$resource", "Tag.1.Key": "a", "Tag.1.Value": "b"}],
    "CreatePlacementGroup": [{"GroupName": "random-#", "Strategy": "partition", "PartitionCount": "3"}],
    "CreateSecurityGroup": [{"GroupName": "random-#", "GroupDescription": "x", "VpcId": "$vpcid"}],
    "CreateVpc": [{"CidrBlock": "10.0.0.0/16"}],
}
TARGETS = {"TargetGroupArn": "$targetgrouparn", "Targets.member.1.Id": "$id", "Targets.member.1.Port": "#"}
FORWARD = {"Actions.member.1.Type": "forward", "Actions.member.1.TargetGroupArn": "$targetgrouparn"}
CONDITION = {"Conditions.member.1.Field": "path-pattern", "Conditions.member.1.Values.member.1": "/a*"}
SOURCE = {"Conditions.member.1.Field": "source-ip",
          "Conditions.member.1.SourceIpConfig.Values.member.1": "10.0.0.0/8"}
ELBV2_EXAMPLES = {
    "CreateLoadBalancer": [
        {"Name": "random-#", "Type": "network", "SubnetMappings.member.1.SubnetId": "$subnetid",
         "SubnetMappings.member.1.PrivateIPv4Address": "172.31.0.55", "Scheme": "internal"},
        {"Name": "random-#", "Subnets.member.1": "$subnetid", "SecurityGroups.member.1": "$securitygroup"}],
    "CreateTargetGroup": [{"Name": "random-#", "Protocol": "HTTP", "Port": "80", "VpcId": "$vpcid",
                           "TargetType": "ip", "HealthCheckPath": "/x", "Matcher.HttpCode": "200-299"},
                          {"Name": "random-#", "Protocol": "TCP", "Port": "80", "VpcId": "$vpcid"}],
    "RegisterTargets": [TARGETS], "DeregisterTargets": [TARGETS], "DescribeTargetHealth": [TARGETS],
    "AddListenerCertificates": [{"ListenerArn": "$listenerarn",
                                 "Certificates.member.1.CertificateArn": "$certificatearn"}],
    "CreateListener": [dict({"Default" + key: value for key, value in FORWARD.items()}, Protocol=protocol,
                            Port="#", LoadBalancerArn="$loadbalancerarn", **more)
                       for protocol, more in (("HTTP", {}), ("TCP", {}), (
                           "HTTPS", {"Certificates.member.1.CertificateArn": "$certificatearn"}))],
    "CreateRule": [dict(FORWARD, ListenerArn="$listenerarn", Priority="#", **condition)
                   for condition in (CONDITION, SOURCE)],
    "ModifyRule": [dict(FORWARD, RuleArn="$rulearn", **CONDITION)],
    "SetRulePriorities": [{"RulePriorities.member.1.RuleArn": "$rulearn",
                           "RulePriorities.member.1.Priority": "#"}],
    "SetSubnets": [{"LoadBalancerArn": "$loadbalancerarn", "Subnets.member.1": "$subnetid"}],
    "ModifyTargetGroupAttributes": [
        {"TargetGroupArn": "$targetgrouparn", "Attributes.member.1.Value": "#",
         "Attributes.member.1.Key": "deregistration_delay.timeout_seconds"}],
    "ModifyLoadBalancerAttributes": [
        {"LoadBalancerArn": "$loadbalancerarn", "Attributes.member.1.Value": "#",
         "Attributes.member.1.Key": "idle_timeout.timeout_seconds"}],
    "ModifyListenerAttributes": [
        {"ListenerArn": "$listenerarn", "Attributes.member.1.Value": "#",
         "Attributes.member.1.Key": "tcp.idle_timeout.seconds"}],
}
ELBV2_WANTED = {
    "CreateLoadBalancer": ("Subnets",), "CreateTargetGroup": ("Protocol", "Port", "VpcId"),
    "CreateListener": ("Protocol", "Port"), "SetSubnets": ("Subnets",),
    "DescribeListeners": ("LoadBalancerArn",), "DescribeRules": ("ListenerArn",),
}


@pytest.fixture(scope="module")
def random_cloud(build_dir):
    """A cloud of its own: nobody can say what will be left of it."""
    with running_cloud(build_dir, state=os.environ["TMPDIR"] + "/random", settings=Cloud.FAKE) as cloud:
        cloud.import_image(cloud.empty_image())
        yield cloud
        for reservation in cloud.ec2.describe_instances()["Reservations"]:
            for instance in reservation["Instances"]:
                if instance["State"]["Name"] != "terminated":
                    cloud.ec2.modify_instance_attribute(InstanceId=instance["InstanceId"],
                                                        DisableApiTermination={"Value": False})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate and its key, as UploadServerCertificate takes them."""
    folder = tmp_path_factory.mktemp("certificate")
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-subj", "/CN=random", "-keyout", str(folder / "key"), "-out", str(folder / "certificate")])
    return {"CertificateBody": (folder / "certificate").read_text(),
            "PrivateKey": (folder / "key").read_text()}


def lister(call, items, key, **options):
    """A function that lists a member of what a call of a client answers."""
    return lambda: [one[key] for one in call(**options)[items] if key in one]


def nested(call, items, inner, key):
    return lambda: [part[key] for one in call()[items] for part in one[inner] if key in part]


def ec2_things(cloud):
    ec2, iam, image, things = cloud.ec2, cloud.client("iam"), cloud.image_id(), Things()
    subnets = lister(ec2.describe_subnets, "Subnets", "SubnetId")
    vpcs = lister(ec2.describe_vpcs, "Vpcs", "VpcId")

    def live_instances():
        return [one["InstanceId"] for reservation in ec2.describe_instances()["Reservations"]
                for one in reservation["Instances"] if one["State"]["Name"] != "terminated"]

    def network_addresses():
        return [part["PrivateIpAddress"] for one in ec2.describe_network_interfaces()["NetworkInterfaces"]
                for part in one["PrivateIpAddresses"]]

    def secondary_addresses():
        return [part["PrivateIpAddress"] for one in ec2.describe_network_interfaces()["NetworkInterfaces"]
                for part in one["PrivateIpAddresses"] if not part["Primary"]]

    def groups():
        return ec2.describe_security_groups()["SecurityGroups"]

    things.constants = {
        "imageid": [image], "instancetype": ["t3.nano", "t3.micro"], "keyname": ["random"],
        "name": ["name", "tag:x", "state", "instance-id", "random"],
        "availabilityzone": ["us-east-1a"], "device": ["/dev/sdf", "/dev/sdg"],
        "devicename": ["/dev/xvda", "/dev/sdf"], "protocol": ["tcp", "udp", "icmp", "-1", "6"],
        "cidrip": ["10.0.0.0/8", "0.0.0.0/0"], "version": ["1", "$Latest", "$Default", "7"],
        "cidrblock": ["0.0.0.0/0", "172.31.0.0/16", "10.1.0.0/16", "10.1.2.0/24", "172.31.128.0/24"],
        "key": ["domain-name", "ntp-servers", "Name"],
    }
    things.add(("vpcid",), vpcs, ec2.create_default_vpc)
    things.add(("subnetid",), subnets)
    things.add(("instanceid", "resource"), live_instances,
               lambda: ec2.run_instances(ImageId=image, InstanceType="t3.nano", MinCount=3, MaxCount=3))
    things.add(("volumeid",), lister(ec2.describe_volumes, "Volumes", "VolumeId"),
               lambda: ec2.create_volume(AvailabilityZone="us-east-1a", Size=1))
    things.add(("snapshotid",), lister(ec2.describe_snapshots, "Snapshots", "SnapshotId", OwnerIds=["self"]),
               lambda: ec2.create_snapshot(VolumeId=ec2.describe_volumes()["Volumes"][0]["VolumeId"]))
    things.add(("groupid", "securitygroup"), lambda: [one["GroupId"] for one in groups()])
    things.add(("groupname",), lambda: [one["GroupName"] for one in groups()])
    things.add(("ruleid",), lister(ec2.describe_security_group_rules, "SecurityGroupRules",
                                   "SecurityGroupRuleId"))
    things.add(("networkinterfaceid",), lister(ec2.describe_network_interfaces, "NetworkInterfaces",
                                               "NetworkInterfaceId"),
               lambda: ec2.create_network_interface(SubnetId=subnets()[0]))
    things.add(("attachmentid",), lambda: [
        one["Attachment"]["AttachmentId"]
        for one in ec2.describe_network_interfaces()["NetworkInterfaces"] if "Attachment" in one])
    things.add(("privateipaddress", "ipaddress"), network_addresses)
    things.add(("secondary",), secondary_addresses)
    things.add(("allocationid",), lister(ec2.describe_addresses, "Addresses", "AllocationId"),
               lambda: ec2.allocate_address(Domain="vpc"))
    things.add(("publicip",), lister(ec2.describe_addresses, "Addresses", "PublicIp"))
    things.add(("associationid", "addressassociation"),
               lister(ec2.describe_addresses, "Addresses", "AssociationId"))
    things.add(("associationid", "tableassociation"),
               nested(ec2.describe_route_tables, "RouteTables", "Associations", "RouteTableAssociationId"))
    things.add(("associationid", "aclassociation"),
               nested(ec2.describe_network_acls, "NetworkAcls", "Associations", "NetworkAclAssociationId"))
    things.add(("associationid",), nested(ec2.describe_vpcs, "Vpcs", "CidrBlockAssociationSet",
                                          "AssociationId"))
    things.add(("associationid", "profileassociation"),
               lister(ec2.describe_iam_instance_profile_associations, "IamInstanceProfileAssociations",
                      "AssociationId"),
               lambda: iam.create_instance_profile(InstanceProfileName="random"))
    things.add(("routetableid",), lister(ec2.describe_route_tables, "RouteTables", "RouteTableId"),
               lambda: ec2.create_route_table(VpcId=vpcs()[0]))
    things.add(("gatewayid", "internetgatewayid"),
               lister(ec2.describe_internet_gateways, "InternetGateways", "InternetGatewayId"),
               ec2.create_internet_gateway)
    things.add(("natgatewayid",), lister(ec2.describe_nat_gateways, "NatGateways", "NatGatewayId"),
               lambda: ec2.create_nat_gateway(SubnetId=subnets()[0], ConnectivityType="private"))
    things.add(("networkaclid",), lister(ec2.describe_network_acls, "NetworkAcls", "NetworkAclId"),
               lambda: ec2.create_network_acl(VpcId=vpcs()[0]))
    things.add(("dhcpoptionsid",), lister(ec2.describe_dhcp_options, "DhcpOptions", "DhcpOptionsId"),
               lambda: ec2.create_dhcp_options(DhcpConfigurations=[{"Key": "domain-name", "Values": ["x"]}]))
    things.add(("launchtemplateid",), lister(ec2.describe_launch_templates, "LaunchTemplates",
                                             "LaunchTemplateId"),
               lambda: ec2.create_launch_template(LaunchTemplateName="random", LaunchTemplateData={
                   "ImageId": image, "InstanceType": "t3.nano"}))
    things.add(("launchtemplatename",), lister(ec2.describe_launch_templates, "LaunchTemplates",
                                               "LaunchTemplateName"))
    things.add(("groupname",), lister(ec2.describe_placement_groups, "PlacementGroups", "GroupName"),
               lambda: ec2.create_placement_group(GroupName="random-spread", Strategy="spread"))
    things.add(("fleetid",), lister(ec2.describe_fleets, "Fleets", "FleetId"))
    things.add(("keypairid",), lister(ec2.describe_key_pairs, "KeyPairs", "KeyPairId"),
               lambda: ec2.create_key_pair(KeyName="random", KeyType="ed25519"))
    return things


def tame_launches(parameters):
    """An enormous launch is valid, too, but nobody waits for it."""
    for key, value in parameters.items():
        if key.endswith(("MaxCount", "MinCount", "TargetCapacity", "AddressCount")):
            parameters[key] = min(int(value), 5) if str(value).lstrip("-").isdigit() else value


def test_random_requests(random_cloud):
    # Without the image there would be nothing to launch.
    play(random_cloud, "ec2", ec2_things(random_cloud), wanted=EC2_WANTED, examples=EC2_EXAMPLES,
         tame=tame_launches, without=("DeregisterImage", "DisableImage"),
         more=["RunInstances", "ModifyInstanceAttribute"] * 3
         + ["AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress", "RegisterImage"])


def elbv2_things(cloud, certificate):
    ec2, elbv2, iam, things = cloud.ec2, cloud.client("elbv2"), cloud.client("iam"), Things()
    vpcs = lister(ec2.describe_vpcs, "Vpcs", "VpcId",
                  Filters=[{"Name": "is-default", "Values": ["true"]}])
    balancers = lister(elbv2.describe_load_balancers, "LoadBalancers", "LoadBalancerArn")
    groups = lister(elbv2.describe_target_groups, "TargetGroups", "TargetGroupArn")

    def of_vpc():
        """Of one VPC alone: what is of two is refused."""
        return [{"Name": "vpc-id", "Values": vpcs()}]

    def subnets():
        return [one["SubnetId"] for one in ec2.describe_subnets(Filters=of_vpc())["Subnets"]]

    def listeners():
        return [one["ListenerArn"] for balancer in balancers()
                for one in elbv2.describe_listeners(LoadBalancerArn=balancer)["Listeners"]]

    def rules():
        return [one["RuleArn"] for listener in listeners()
                for one in elbv2.describe_rules(ListenerArn=listener)["Rules"]]

    things.constants = {
        "type": ["forward", "fixed-response", "redirect"], "names": ["random"], "field": ["path-pattern"],
        "key": ["deregistration_delay.timeout_seconds", "stickiness.enabled", "Name",
                "idle_timeout.timeout_seconds", "load_balancing.cross_zone.enabled"],
        "port": ["80", "traffic-port"], "statuscode": ["200", "HTTP_301"],
    }
    things.add(("vpcid",), vpcs, ec2.create_default_vpc)
    things.add(("subnet", "subnetid"), subnets)
    things.add(("securitygroup",), lambda: [
        one["GroupId"] for one in ec2.describe_security_groups(Filters=of_vpc())["SecurityGroups"]])
    things.add(("allocationid",), lister(ec2.describe_addresses, "Addresses", "AllocationId"),
               lambda: ec2.allocate_address(Domain="vpc"))
    things.add(("id",), lambda: [
        one["InstanceId"] for reservation in ec2.describe_instances(Filters=of_vpc())["Reservations"]
        for one in reservation["Instances"]] + ["172.31.0.9", "172.31.0.10"])
    things.add(("loadbalancerarn", "resourcearn"), balancers,
               lambda: elbv2.create_load_balancer(Name="random", Subnets=subnets()[:1], Type="network"))
    things.add(("loadbalancerarn",), balancers,
               lambda: elbv2.create_load_balancer(Name="random-web", Subnets=subnets()[:2]))
    things.add(("targetgrouparn", "resourcearn"), groups,
               lambda: elbv2.create_target_group(Name="random", Protocol="HTTP", Port=80, VpcId=vpcs()[0]))
    things.add(("listenerarn", "resourcearn"), listeners,
               lambda: elbv2.create_listener(LoadBalancerArn=balancers()[0], Protocol="HTTP", Port=80,
                                             DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {
                                                 "StatusCode": "200"}}]))
    things.add(("rulearn", "resourcearn"), rules)
    things.add(("certificatearn",), lister(iam.list_server_certificates, "ServerCertificateMetadataList",
                                           "Arn"),
               lambda: iam.upload_server_certificate(ServerCertificateName="random", **certificate))
    return things


def test_random_balancing_requests(random_cloud, certificate):
    play(random_cloud, "elbv2", elbv2_things(random_cloud, certificate), wanted=ELBV2_WANTED, examples=ELBV2_EXAMPLES,
         more=["CreateListener", "CreateRule", "CreateTargetGroup", "ModifyListener", "ModifyRule"])


def iam_things(cloud, certificate):
    iam, things = cloud.client("iam"), Things()
    users, roles = lister(iam.list_users, "Users", "UserName"), lister(iam.list_roles, "Roles", "RoleName")
    policies = lister(iam.list_policies, "Policies", "Arn", Scope="Local")

    def inline_policies():
        return [name for user in users() for name in iam.list_user_policies(UserName=user)["PolicyNames"]]

    things.constants = {
        "policydocument": [POLICY, POLICY, TRUST, POLICY.replace("Describe", "\\u0000"), "{}"],
        "assumerolepolicydocument": [TRUST, TRUST, POLICY], "policy": [POLICY, POLICY, "{}"],
        "path": ["/", "/x/", "/x/\u00e4/"], "versionid": ["v1", "v2", "v99999999999999999999"],
        "policyname": ["random"], "rolesessionname": ["random", "x@y"],
        "certificatebody": [certificate["CertificateBody"]], "privatekey": [certificate["PrivateKey"]],
    }
    things.add(("servercertificatename",), lister(
        iam.list_server_certificates, "ServerCertificateMetadataList", "ServerCertificateName"))
    things.add(("username",), users, lambda: iam.create_user(UserName="random"))
    things.add(("rolename",), roles,
               lambda: iam.create_role(RoleName="random", AssumeRolePolicyDocument=TRUST))
    things.add(("rolearn",), lister(iam.list_roles, "Roles", "Arn"))
    things.add(("groupname",), lister(iam.list_groups, "Groups", "GroupName"),
               lambda: iam.create_group(GroupName="random"))
    things.add(("policyarn", "permissionsboundary", "arn"), policies,
               lambda: iam.create_policy(PolicyName="random", PolicyDocument=POLICY))
    things.add(("instanceprofilename",), lister(iam.list_instance_profiles, "InstanceProfiles",
                                                "InstanceProfileName"),
               lambda: iam.create_instance_profile(InstanceProfileName="random"))
    things.add(("accesskeyid",), lambda: [
        one["AccessKeyId"] for user in users()
        for one in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]])
    things.add(("policyname",), inline_policies)
    return things


@pytest.mark.parametrize("service", ["iam", "sts"])
def test_random_identity_requests(random_cloud, certificate, service):
    play(random_cloud, service, iam_things(random_cloud, certificate))
