/* SPDX-License-Identifier: Apache-2.0 */
/* Availability zones and what is true of the account. */
#include "common.h"

#include "core/limits.h"
#include "core/quota.h"
#include "network/security-group.h"
#include "network/vpc.h"

static const VirgaFilterField zone_fields[] = {
    { "group-long-name", "GroupLongName" },
    { "group-name", "GroupName" },
    { "message", "Messages.Message" },
    { "opt-in-status", "OptInStatus" },
    { "parent-zone-id", "ParentZoneId" },
    { "parent-zone-name", "ParentZoneName" },
    { "parentZoneName", "ParentZoneName" },
    { "region-name", "RegionName" },
    { "state", "State" },
    { "zone-id", "ZoneId" },
    { "zone-name", "ZoneName" },
    { "zone-type", "ZoneType" },
};

static bool
check_zones(const VirgaCall *call, const char *const *names, const char *const *ids, GError **error)
{
    for (; names && *names; names++)
        if (!ec2_zone_exists(call, *names))
            return virga_api_fail(error, "InvalidParameterValue", 400,
                                  "Invalid availability zone: [%.200s]", *names);
    for (; ids && *ids; ids++)
        if (!ec2_zone_of_id(call, *ids))
            return virga_api_fail(error, "InvalidParameterValue", 400,
                                  "Invalid availability zone-id: [%.200s]", *ids);
    return true;
}

static void
show_zone(const VirgaCall *call, const char *name, Ec2AvailabilityZone *shown)
{
    shown->zone_name = name;
    shown->zone_id = ec2_zone_id(call, name);
    shown->region_name = call->region;
    shown->group_name = virga_arena_printf(call->arena, "%s-zg-1", call->region);
    shown->network_border_group = call->region;
    shown->opt_in_status = "opt-in-not-required";
    shown->state = "available";
    shown->zone_type = "availability-zone";
}

bool
ec2_describe_availability_zones(VirgaCall *call, const Ec2DescribeAvailabilityZonesRequest *request,
                                Ec2DescribeAvailabilityZonesResponse *response, GError **error)
{
    char **zones = ec2_services(call)->zones;
    const char *const *names = ec2_strings(call, &request->zone_names);
    const char *const *ids = ec2_strings(call, &request->zone_ids);
    Ec2AvailabilityZoneList *list = &response->availability_zones;
    VirgaFilter *filter;

    if (!check_zones(call, names, ids, error))
        return false;
    filter = virga_filter_new(call->arena, zone_fields, &ec2_availability_zone_shape,
                              &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error))
        return false;
    list->items = ec2_array(call, Ec2AvailabilityZone, g_strv_length(zones));
    for (char **zone = zones; *zone; zone++) {
        if ((names || ids) && !(names && g_strv_contains(names, *zone)) &&
            !(ids && g_strv_contains(ids, ec2_zone_id(call, *zone))))
            continue;
        show_zone(call, *zone, &list->items[list->count++]);
    }
    ec2_filter_list(EC2_LIST(list), &ec2_availability_zone_shape, filter, NULL, NULL);
    return true;
}

/* ---- account ---- */

static void
add_attribute(const VirgaCall *call, Ec2AccountAttributeList *list, const char *const *wanted,
              const char *name, const char *value)
{
    Ec2AccountAttributeValue *shown = ec2_new(call, Ec2AccountAttributeValue);

    if (wanted && !g_strv_contains(wanted, name))
        return;
    shown->attribute_value = value;
    list->items[list->count++] =
        (Ec2AccountAttribute){ .attribute_name = name, .attribute_values = { shown, 1 } };
}

static bool
read_limit(VirgaCall *call, VirgaTxn *txn, VirgaQuotaResource resource, const char **ret,
           GError **error)
{
    gint64 limit;

    if (!virga_quota_limit(txn, call->account_id, resource, &limit, error))
        return false;
    *ret = virga_arena_printf(call->arena, "%" G_GINT64_FORMAT, limit);
    return true;
}

/* What differs between accounts: the default VPC's id, or "none", and quotas. */
static bool
read_own(VirgaCall *call, const char **ret_vpc, const char **ret_instances,
         const char **ret_addresses, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    g_autoptr(GError) reason = NULL;

    if (!txn || !read_limit(call, txn, VIRGA_QUOTA_INSTANCES, ret_instances, error) ||
        !read_limit(call, txn, VIRGA_QUOTA_ELASTIC_IPS, ret_addresses, error))
        return false;
    *ret_vpc = virga_vpc_default(txn, call->arena, call->account_id, &reason);
    if (*ret_vpc)
        return true;
    *ret_vpc = "none";
    if (virga_error_is(reason, "default vpc", VIRGA_ERROR_NOT_FOUND))
        return true;
    g_propagate_error(error, g_steal_pointer(&reason));
    return false;
}

bool
ec2_describe_account_attributes(VirgaCall *call, const Ec2DescribeAccountAttributesRequest *request,
                                Ec2DescribeAccountAttributesResponse *response, GError **error)
{
    static const struct {
        const char *name, *value;
    } fixed[] = {
        { "supported-platforms", "VPC" },
        { "vpc-max-security-groups-per-interface", G_STRINGIFY(VIRGA_GROUPS_PER_INTERFACE_MAX) },
    };
    const char *const *wanted = ec2_strings(call, &request->attribute_names);
    Ec2AccountAttributeList *list = &response->account_attributes;
    const char *vpc_id, *instances, *addresses;

    if (!read_own(call, &vpc_id, &instances, &addresses, error) || !virga_call_dry_run(call, error))
        return false;
    list->items = ec2_array(call, Ec2AccountAttribute, G_N_ELEMENTS(fixed) + 4);
    for (size_t i = 0; i < G_N_ELEMENTS(fixed); i++)
        add_attribute(call, list, wanted, fixed[i].name, fixed[i].value);
    add_attribute(call, list, wanted, "max-elastic-ips", addresses);
    add_attribute(call, list, wanted, "vpc-max-elastic-ips", addresses);
    add_attribute(call, list, wanted, "max-instances", instances);
    add_attribute(call, list, wanted, "default-vpc", vpc_id);
    return true;
}
