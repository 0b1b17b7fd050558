# SPDX-License-Identifier: Apache-2.0
"""What an account may have: claimed with the object, given back with it."""
from concurrent.futures import ThreadPoolExecutor

import botocore.exceptions
import pytest

from conftest import IMAGE_SNAPSHOT, fails

ACCOUNT = "000000000001"


@pytest.fixture
def limit(cloud):
    def go(account=ACCOUNT, **resources):
        for name, maximum in resources.items():
            cloud.sql("INSERT INTO quota_limit VALUES ('%s', '%s', %d) ON CONFLICT (account_id,"
                      " resource) DO UPDATE SET maximum = %d" % (account, name.replace("_", "-"),
                                                                 maximum, maximum))
    return go


def used(cloud, resource):
    rows = cloud.sql("SELECT used FROM quota WHERE account_id = '%s' AND resource = '%s'"
                     % (ACCOUNT, resource))
    return int(rows[0][0]) if rows else 0


def check(cloud):
    """The counts are what there is; the snapshot of the tests was never made by a call."""
    assert cloud.sql("""SELECT coalesce(q.resource, a.resource), q.used, a.used FROM quota q
        FULL JOIN quota_actual a ON a.account_id = q.account_id AND a.resource = q.resource
        WHERE coalesce(q.used, 0) <> coalesce(a.used, 0)
        AND coalesce(q.resource, a.resource) <> 'snapshots'""") == []


def test_life_of_a_claim(cloud, launch):
    ids = [i["InstanceId"] for i in launch(3, BlockDeviceMappings=[
        {"DeviceName": "sdf", "Ebs": {"VolumeSize": 5, "DeleteOnTermination": False}}])]
    assert [used(cloud, r) for r in ("instances", "vcpus", "volumes", "volume-gib")] == \
        [3, 6, 6, 21]
    check(cloud)
    cloud.settle()
    cloud.ec2.stop_instances(InstanceIds=ids[:1])
    cloud.settle()
    assert (used(cloud, "instances"), used(cloud, "vcpus")) == (3, 4)
    cloud.ec2.start_instances(InstanceIds=ids[:1])
    assert used(cloud, "vcpus") == 6
    check(cloud)
    cloud.ec2.terminate_instances(InstanceIds=ids)
    check(cloud)
    cloud.settle()
    assert [used(cloud, r) for r in ("instances", "vcpus", "volumes", "volume-gib")] == \
        [0, 0, 3, 15]
    check(cloud)


@pytest.mark.parametrize("limits, code, text", [
    ({"instances": 2}, "InstanceLimitExceeded", "1 more instances than your current limit of 2"),
    ({"vcpus": 5}, "VcpuLimitExceeded", "vCPUs"),
    ({"volumes": 2}, "VolumeLimitExceeded", "volumes"),
    ({"volume_gib": 5}, "VolumeLimitExceeded", "GiB"),
])
def test_launch(cloud, launch, limit, limits, code, text):
    limit(**limits)
    with fails(code, text):
        launch(3)
    assert cloud.ec2.describe_instances()["Reservations"] == [] and used(cloud, "instances") == 0
    launch(2)
    with fails(code):
        launch()
    check(cloud)


def test_start_and_resize(cloud, launch, limit):
    one = launch()[0]["InstanceId"]
    cloud.settle()
    cloud.ec2.stop_instances(InstanceIds=[one])
    cloud.settle()
    limit(vcpus=3)
    cloud.ec2.modify_instance_attribute(InstanceId=one, InstanceType={"Value": "4c4g"})
    with fails("VcpuLimitExceeded"):
        cloud.ec2.start_instances(InstanceIds=[one])
    cloud.sql("UPDATE instance SET claimed = true; UPDATE host SET vcpus_claimed = 4,"
              " memory_claimed_mib = 4096; UPDATE quota SET used = 4 WHERE resource = 'vcpus'")
    # Less is allowed, though it is still too much.
    limit(vcpus=1)
    cloud.ec2.modify_instance_attribute(InstanceId=one, InstanceType={"Value": "2c2g"})
    assert used(cloud, "vcpus") == 2
    with fails("VcpuLimitExceeded"):
        cloud.ec2.modify_instance_attribute(InstanceId=one, InstanceType={"Value": "4c4g"})
    check(cloud)


def test_accounts_have_their_own(cloud, image, launch, limit):
    limit(instances=1)
    launch()
    cloud.ec2.modify_image_attribute(ImageId=image, LaunchPermission={"Add": [{"Group": "all"}]})
    cloud.other.run_instances(ImageId=image, InstanceType="t3.micro", MinCount=2, MaxCount=2)
    check(cloud)


def test_objects(cloud, image, limit):
    ec2 = cloud.ec2
    limit(key_pairs=1, launch_templates=1, images=2, placement_groups=1,
          versions_per_launch_template=2)
    ec2.create_placement_group(GroupName="a")
    with fails("ResourceLimitExceeded", "placement groups"):
        ec2.create_placement_group(GroupName="b")
    ec2.delete_placement_group(GroupName="a")
    ec2.create_placement_group(GroupName="b")
    ec2.create_key_pair(KeyName="a", KeyType="ed25519")
    with fails("ResourceLimitExceeded", "key pairs"):
        ec2.create_key_pair(KeyName="b", KeyType="ed25519")
    ec2.delete_key_pair(KeyName="a")
    ec2.delete_key_pair(KeyName="a")
    ec2.create_key_pair(KeyName="b", KeyType="ed25519")

    def template(name):
        return ec2.create_launch_template(LaunchTemplateName=name, ClientToken=name,
                                          LaunchTemplateData={"KeyName": "k"})
    template("one")
    template("one")  # the same call
    with fails("ResourceLimitExceeded", "launch templates"):
        template("two")
    for number in (2, 3):
        version = dict(LaunchTemplateName="one", LaunchTemplateData={"KeyName": "k"})
        if number == 3:
            with fails("ResourceLimitExceeded", "versions"):
                ec2.create_launch_template_version(**version)
        else:
            ec2.create_launch_template_version(**version)
    ec2.delete_launch_template(LaunchTemplateName="one")
    template("two")

    def register(name):
        return ec2.register_image(Name=name, RootDeviceName="/dev/xvda", BlockDeviceMappings=[
            {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": IMAGE_SNAPSHOT}}])
    register("second")
    with fails("ResourceLimitExceeded", "images"):
        register("third")
    ec2.deregister_image(ImageId=image)
    register("third")
    check(cloud)


def test_groups_and_rules(cloud, limit):
    ec2 = cloud.ec2
    limit(security_groups_per_vpc=2, rules_per_security_group=3)
    group = ec2.create_security_group(GroupName="a", Description="d")["GroupId"]
    with fails("SecurityGroupLimitExceeded"):
        ec2.create_security_group(GroupName="b", Description="d")

    def allow(port):
        ec2.authorize_security_group_ingress(GroupId=group, IpProtocol="tcp", FromPort=port,
                                             ToPort=port, CidrIp="0.0.0.0/0")
    for port in (1, 2, 3):
        allow(port)
    with fails("RulesPerSecurityGroupLimitExceeded"):
        allow(4)


def test_many_at_once(cloud, launch, limit):
    """However they meet, the limit holds and what was refused left nothing."""
    limit(instances=7)

    def one(_):
        try:
            return len(launch(2))
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "InstanceLimitExceeded"
            return 0
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one, range(8))) == 6
    check(cloud)


def test_networks(cloud, limit):
    ec2 = cloud.ec2
    limit(vpcs=2, internet_gateways=2, dhcp_options=2, subnets_per_vpc=1, route_tables_per_vpc=2,
          routes_per_route_table=1, cidr_blocks_per_vpc=2, network_acls_per_vpc=2,
          rules_per_network_acl=1)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    with fails("VpcLimitExceeded"):
        ec2.create_vpc(CidrBlock="10.0.0.0/16")
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    with fails("InternetGatewayLimitExceeded"):
        ec2.create_internet_gateway()
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
    with fails("SubnetLimitExceeded"):
        ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.2.0/24")
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    with fails("RouteTableLimitExceeded"):
        ec2.create_route_table(VpcId=vpc)
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    with fails("RouteLimitExceeded"):
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="1.0.0.0/8", GatewayId=gateway)
    ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="10.1.0.0/16")
    with fails("CidrLimitExceeded"):
        ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="10.2.0.0/16")
    acl = ec2.create_network_acl(VpcId=vpc)["NetworkAcl"]["NetworkAclId"]
    with fails("NetworkAclLimitExceeded"):
        ec2.create_network_acl(VpcId=vpc)
    entry = dict(NetworkAclId=acl, RuleAction="deny", Protocol="-1", CidrBlock="0.0.0.0/0")
    ec2.create_network_acl_entry(RuleNumber=1, Egress=True, **entry)
    ec2.create_network_acl_entry(RuleNumber=1, Egress=False, **entry)
    with fails("NetworkAclEntryLimitExceeded"):
        ec2.create_network_acl_entry(RuleNumber=2, Egress=False, **entry)
    options = [{"Key": "ntp-servers", "Values": ["10.0.0.1"]}]
    made = ec2.create_dhcp_options(DhcpConfigurations=options)["DhcpOptions"]["DhcpOptionsId"]
    with fails("DhcpOptionsLimitExceeded"):
        ec2.create_dhcp_options(DhcpConfigurations=options)
    assert (used(cloud, "vpcs"), used(cloud, "internet-gateways")) == (2, 2)
    check(cloud)
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_route_table(RouteTableId=table)
    ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    ec2.delete_internet_gateway(InternetGatewayId=gateway)
    ec2.delete_network_acl(NetworkAclId=acl)
    ec2.delete_dhcp_options(DhcpOptionsId=made)
    ec2.delete_vpc(VpcId=vpc)
    assert used(cloud, "dhcp-options") == 1
    assert (used(cloud, "vpcs"), used(cloud, "internet-gateways")) == (1, 1)
    check(cloud)
