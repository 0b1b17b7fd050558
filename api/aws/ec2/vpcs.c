/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeVpcs and DescribeSubnets. */
#include "common.h"

#include "network/vpc.h"

static const VirgaFilterField vpc_fields[] = {
    { "cidr", "CidrBlock" },
    { "cidr-block", "CidrBlock" },
    { "cidr-block-association.association-id", "CidrBlockAssociationSet.AssociationId" },
    { "cidr-block-association.cidr-block", "CidrBlockAssociationSet.CidrBlock" },
    { "cidr-block-association.state", "CidrBlockAssociationSet.CidrBlockState.State" },
    { "cidrBlock", "CidrBlock" },
    { "dhcp-options-id", "DhcpOptionsId" },
    { "dhcpOptionsId", "DhcpOptionsId" },
    { "ipv6-cidr-block-association.association-id", "Ipv6CidrBlockAssociationSet.AssociationId" },
    { "ipv6-cidr-block-association.ipv6-cidr-block", "Ipv6CidrBlockAssociationSet.Ipv6CidrBlock" },
    { "ipv6-cidr-block-association.ipv6-pool", "Ipv6CidrBlockAssociationSet.Ipv6Pool" },
    { "ipv6-cidr-block-association.state", "Ipv6CidrBlockAssociationSet.Ipv6CidrBlockState.State" },
    { "is-default", "IsDefault" },
    { "isDefault", "IsDefault" },
    { "owner-id", "OwnerId" },
    { "state", "State" },
    { "vpc-id", "VpcId" },
};

static void
show_vpc(const VirgaCall *call, const VirgaVpc *row, const Ec2Tags *tags, Ec2Vpc *shown)
{
    Ec2VpcCidrBlockAssociation *association = ec2_new(call, Ec2VpcCidrBlockAssociation);

    association->association_id = ec2_derived_id(call, "vpc-cidr-assoc", row->id);
    association->cidr_block = row->cidr;
    association->cidr_block_state = ec2_new(call, Ec2VpcCidrBlockState);
    association->cidr_block_state->state = "associated";
    *shown = (Ec2Vpc){ .owner_id = row->account_id,
                       .instance_tenancy = "default",
                       .cidr_block_association_set = { association, 1 },
                       .is_default = row->is_default,
                       .has_is_default = true,
                       .tags = ec2_tags_of(tags, row->id),
                       .vpc_id = row->id,
                       .state = "available",
                       .cidr_block = row->cidr,
                       .dhcp_options_id = "default" };
}

static bool
read_vpcs(VirgaCall *call, const char *const *ids, Ec2VpcList *list, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    Ec2Tags tags;
    VirgaVpc *rows;
    size_t count;

    if (!txn || !virga_vpc_list(txn, call->arena, call->account_id, ids, &rows, &count, error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaVpc, id),
                         "InvalidVpcID.NotFound", "vpc ID", error) ||
        !ec2_tags_read(call, txn, ids, "vpc", &tags, error))
        return false;
    list->items = ec2_array(call, Ec2Vpc, count);
    for (; list->count < count; list->count++)
        show_vpc(call, &rows[list->count], &tags, &list->items[list->count]);
    return true;
}

bool
ec2_describe_vpcs(VirgaCall *call, const Ec2DescribeVpcsRequest *request,
                  Ec2DescribeVpcsResponse *response, GError **error)
{
    const char *const *ids;
    VirgaFilter *filter;
    Ec2Page page;

    if (!ec2_ids(call, &request->vpc_ids, "vpc", "InvalidVpcId.Malformed", &ids, error) ||
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error))
        return false;
    filter = virga_filter_new(call->arena, vpc_fields, &ec2_vpc_shape, &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !read_vpcs(call, ids, &response->vpcs, error))
        return false;
    ec2_answer(call, filter, &page, &response->vpcs, &ec2_vpc_shape, Ec2Vpc, vpc_id,
               &response->next_token);
    return true;
}

/* ---- subnets ---- */

static const VirgaFilterField subnet_fields[] = {
    { "availability-zone", "AvailabilityZone" },
    { "availability-zone-id", "AvailabilityZoneId" },
    { "availabilityZone", "AvailabilityZone" },
    { "availabilityZoneId", "AvailabilityZoneId" },
    { "available-ip-address-count", "AvailableIpAddressCount" },
    { "cidr", "CidrBlock" },
    { "cidr-block", "CidrBlock" },
    { "cidrBlock", "CidrBlock" },
    { "customer-owned-ipv4-pool", "CustomerOwnedIpv4Pool" },
    { "default-for-az", "DefaultForAz" },
    { "defaultForAz", "DefaultForAz" },
    { "enable-dns64", "EnableDns64" },
    { "enable-lni-at-device-index", "EnableLniAtDeviceIndex" },
    { "ipv6-cidr-block-association.association-id", "Ipv6CidrBlockAssociationSet.AssociationId" },
    { "ipv6-cidr-block-association.ipv6-cidr-block", "Ipv6CidrBlockAssociationSet.Ipv6CidrBlock" },
    { "ipv6-cidr-block-association.state", "Ipv6CidrBlockAssociationSet.Ipv6CidrBlockState.State" },
    { "ipv6-native", "Ipv6Native" },
    { "map-customer-owned-ip-on-launch", "MapCustomerOwnedIpOnLaunch" },
    { "map-public-ip-on-launch", "MapPublicIpOnLaunch" },
    { "outpost-arn", "OutpostArn" },
    { "owner-id", "OwnerId" },
    { "private-dns-name-options-on-launch.enable-resource-name-dns-a-record",
      "PrivateDnsNameOptionsOnLaunch.EnableResourceNameDnsARecord" },
    { "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record",
      "PrivateDnsNameOptionsOnLaunch.EnableResourceNameDnsAAAARecord" },
    { "private-dns-name-options-on-launch.hostname-type",
      "PrivateDnsNameOptionsOnLaunch.HostnameType" },
    { "state", "State" },
    { "subnet-arn", "SubnetArn" },
    { "subnet-id", "SubnetId" },
    { "vpc-id", "VpcId" },
};

static void
show_subnet(const VirgaCall *call, const VirgaSubnet *row, const Ec2Tags *tags, Ec2Subnet *shown)
{
    Ec2PrivateDnsNameOptionsOnLaunch *dns = ec2_new(call, Ec2PrivateDnsNameOptionsOnLaunch);

    dns->hostname_type = "ip-name";
    dns->has_enable_resource_name_dns_a_record = true;
    dns->has_enable_resource_name_dns_aaaa_record = true;
    *shown = (Ec2Subnet){ .availability_zone = row->zone,
                          .availability_zone_id = ec2_zone_id(call, row->zone),
                          .available_ip_address_count = row->free_addresses,
                          .has_available_ip_address_count = true,
                          .cidr_block = row->cidr,
                          .default_for_az = row->is_default,
                          .has_default_for_az = true,
                          .has_assign_ipv6_address_on_creation = true,
                          .has_enable_dns64 = true,
                          .has_ipv6_native = true,
                          .has_map_customer_owned_ip_on_launch = true,
                          .map_public_ip_on_launch = row->map_public,
                          .has_map_public_ip_on_launch = true,
                          .owner_id = row->account_id,
                          .private_dns_name_options_on_launch = dns,
                          .state = "available",
                          .subnet_arn = ec2_arn(call, "subnet", row->id),
                          .subnet_id = row->id,
                          .tags = ec2_tags_of(tags, row->id),
                          .vpc_id = row->vpc_id };
}

static bool
read_subnets(VirgaCall *call, const char *const *ids, Ec2SubnetList *list, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    Ec2Tags tags;
    VirgaSubnet *rows;
    size_t count;

    if (!txn || !virga_subnet_list(txn, call->arena, call->account_id, ids, &rows, &count, error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaSubnet, id),
                         "InvalidSubnetID.NotFound", "subnet ID", error) ||
        !ec2_tags_read(call, txn, ids, "subnet", &tags, error))
        return false;
    list->items = ec2_array(call, Ec2Subnet, count);
    for (; list->count < count; list->count++)
        show_subnet(call, &rows[list->count], &tags, &list->items[list->count]);
    return true;
}

bool
ec2_describe_subnets(VirgaCall *call, const Ec2DescribeSubnetsRequest *request,
                     Ec2DescribeSubnetsResponse *response, GError **error)
{
    const char *const *ids;
    VirgaFilter *filter;
    Ec2Page page;

    if (!ec2_ids(call, &request->subnet_ids, "subnet", "InvalidSubnetID.Malformed", &ids, error) ||
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error))
        return false;
    filter =
        virga_filter_new(call->arena, subnet_fields, &ec2_subnet_shape, &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !read_subnets(call, ids, &response->subnets, error))
        return false;
    ec2_answer(call, filter, &page, &response->subnets, &ec2_subnet_shape, Ec2Subnet, subnet_id,
               &response->next_token);
    return true;
}
