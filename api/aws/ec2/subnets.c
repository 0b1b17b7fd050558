/* SPDX-License-Identifier: Apache-2.0 */
/* Subnets. */
#include "common.h"

#include "network/subnet.h"
#include "network/vpc.h"

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

    dns->hostname_type = row->hostname_type;
    dns->enable_resource_name_dns_a_record = row->resource_name_a;
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

/* ---- making, changing, deleting ---- */

typedef struct {
    const Ec2CreateSubnetRequest *request;
    const char *zone;
    Ec2NewTags tags;
    VirgaSubnet *row;
} Create;

static bool
create(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Create *asked = data;
    VirgaSubnetSpec spec = { .account_id = call->account_id,
                             .vpc_id = asked->request->vpc_id,
                             .zone = asked->zone,
                             .cidr = asked->request->cidr_block };
    char *id;

    if (!virga_subnet_create(txn, call->arena, &spec, &id, error) ||
        !ec2_tags_set(call, txn, id, &asked->tags, error))
        return false;
    asked->row = virga_subnet_get(txn, call->arena, call->account_id, id, error);
    return asked->row != NULL;
}

static Ec2Subnet *
show_new(const VirgaCall *call, const VirgaSubnet *row)
{
    Ec2Tags none = ec2_tags_make(call, NULL, 0);
    Ec2Subnet *shown = ec2_new(call, Ec2Subnet);

    show_subnet(call, row, &none, shown);
    return shown;
}

/* Neither given: the first. */
static bool
find_zone(const VirgaCall *call, const char *zone, const char *zone_id, const char **ret,
          GError **error)
{
    g_autofree char *zones = g_strjoinv(", ", ec2_services(call)->zones);

    if (zone && zone_id)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "You can specify AvailabilityZone or AvailabilityZoneId, but not "
                              "both.");
    *ret = zone_id ? ec2_zone_of_id(call, zone_id) : zone ? zone : ec2_services(call)->zones[0];
    if (*ret && ec2_zone_exists(call, *ret))
        return true;
    return virga_api_fail(error, "InvalidParameterValue", 400,
                          "Value (%.200s) for parameter %s is invalid. Subnets can currently only "
                          "be created in the following availability zones: %s.",
                          zone_id ? zone_id : zone,
                          zone_id ? "availabilityZoneId" : "availabilityZone", zones);
}

bool
ec2_create_subnet(VirgaCall *call, const Ec2CreateSubnetRequest *request,
                  Ec2CreateSubnetResponse *response, GError **error)
{
    const char *refused = request->ipv6_cidr_block           ? "Ipv6CidrBlock"
                          : request->ipv6_native             ? "Ipv6Native"
                          : request->outpost_arn             ? "OutpostArn"
                          : request->ipv4_ipam_pool_id       ? "Ipv4IpamPoolId"
                          : request->has_ipv4_netmask_length ? "Ipv4NetmaskLength"
                          : request->ipv6_ipam_pool_id       ? "Ipv6IpamPoolId"
                          : request->has_ipv6_netmask_length ? "Ipv6NetmaskLength"
                                                             : NULL;
    Create asked = { .request = request };

    if (!virga_api_check_id(request->vpc_id, "vpc", "InvalidVpcID.Malformed", error))
        return false;
    if (refused)
        return ec2_unsupported(error, refused);
    if (!request->cidr_block)
        return virga_api_fail(error, "MissingParameter", 400,
                              "Either 'cidrBlock' or 'ipv6CidrBlock' should be provided.");
    if (!find_zone(call, request->availability_zone, request->availability_zone_id, &asked.zone,
                   error) ||
        !ec2_tags_for(call, &request->tag_specifications, "subnet", &asked.tags, error) ||
        !ec2_transaction(call, create, &asked, error))
        return false;
    response->subnet = show_new(call, asked.row);
    response->subnet->tags = ec2_tags_shown(call, &asked.tags);
    return true;
}

static bool delete (VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    return virga_subnet_delete(txn, call->account_id, data, error);
}

bool
ec2_delete_subnet(VirgaCall *call, const Ec2DeleteSubnetRequest *request,
                  Ec2DeleteSubnetResponse *response, GError **error)
{
    return virga_api_check_id(request->subnet_id, "subnet", "InvalidSubnetID.Malformed", error) &&
           ec2_transaction(call, delete, (gpointer) request->subnet_id, error);
}

typedef struct {
    const char *id;
    VirgaSubnetChange change;
} Modify;

static bool
modify(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Modify *asked = data;

    return virga_subnet_modify(txn, call->account_id, asked->id, &asked->change, error);
}

/* True if a switch is given and on; off is what everything is already. */
static bool
is_on(const Ec2AttributeBooleanValue *value)
{
    return value && value->value;
}

bool
ec2_modify_subnet_attribute(VirgaCall *call, const Ec2ModifySubnetAttributeRequest *request,
                            Ec2ModifySubnetAttributeResponse *response, GError **error)
{
    const char *refused =
        is_on(request->assign_ipv6_address_on_creation)   ? "AssignIpv6AddressOnCreation"
        : is_on(request->map_customer_owned_ip_on_launch) ? "MapCustomerOwnedIpOnLaunch"
        : request->customer_owned_ipv4_pool               ? "CustomerOwnedIpv4Pool"
        : is_on(request->enable_dns64)                    ? "EnableDns64"
        : is_on(request->enable_resource_name_dns_aaaa_record_on_launch)
            ? "EnableResourceNameDnsAAAARecordOnLaunch"
        : request->has_enable_lni_at_device_index ? "EnableLniAtDeviceIndex"
                                                  : NULL;
    bool names = g_strcmp0(request->private_dns_hostname_type_on_launch, "resource-name") == 0 ||
                 is_on(request->enable_resource_name_dns_a_record_on_launch);
    int given = (request->assign_ipv6_address_on_creation != NULL) +
                (request->map_public_ip_on_launch != NULL) +
                (request->map_customer_owned_ip_on_launch != NULL) +
                (request->enable_dns64 != NULL) + request->has_enable_lni_at_device_index +
                (request->disable_lni_at_device_index != NULL) +
                (request->private_dns_hostname_type_on_launch ||
                 request->enable_resource_name_dns_a_record_on_launch ||
                 request->enable_resource_name_dns_aaaa_record_on_launch);
    Modify asked = { .id = request->subnet_id };

    if (!virga_api_check_id(request->subnet_id, "subnet", "InvalidSubnetID.Malformed", error))
        return false;
    if (given != 1)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              given ? "Fields for multiple attribute types specified"
                                    : "No attributes specified.");
    if (refused)
        return ec2_unsupported(error, refused);
    if (names)
        return ec2_unsupported(error, "PrivateDnsHostnameTypeOnLaunch");
    asked.change.map_public = ec2_flag_given(request->map_public_ip_on_launch);
    asked.change.resource_name_a = -1;
    return ec2_transaction(call, modify, &asked, error);
}

/* ---- a default one ---- */

typedef struct {
    const char *zone;
    VirgaSubnet *row;
} Restore;

static bool
restore(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Restore *asked = data;
    char *id;

    if (!virga_vpc_restore_default_subnet(txn, call->arena, call->account_id, asked->zone, &id,
                                          error))
        return false;
    asked->row = virga_subnet_get(txn, call->arena, call->account_id, id, error);
    return asked->row != NULL;
}

bool
ec2_create_default_subnet(VirgaCall *call, const Ec2CreateDefaultSubnetRequest *request,
                          Ec2CreateDefaultSubnetResponse *response, GError **error)
{
    Restore asked = { 0 };

    if (request->ipv6_native)
        return ec2_unsupported(error, "Ipv6Native");
    if (!request->availability_zone && !request->availability_zone_id)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter AvailabilityZone or "
                              "AvailabilityZoneId");
    if (!find_zone(call, request->availability_zone, request->availability_zone_id, &asked.zone,
                   error) ||
        !ec2_transaction(call, restore, &asked, error))
        return false;
    response->subnet = show_new(call, asked.row);
    return true;
}
