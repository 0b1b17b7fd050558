/* SPDX-License-Identifier: Apache-2.0 */
/* Load balancers themselves. */
#include "common.h"

#include "core/id.h"
#include "core/quota.h"
#include "network/interface.h"
#include "network/security-group.h"
#include "network/subnet.h"

#define SUBNETS_MIN_APPLICATION 2
#define HOSTED_ZONE             "Z35SXDOTRQ7X7K" /* of no DNS that one can ask */

static Elbv2AvailabilityZones
zones_of(const VirgaCall *call, const VirgaLoadBalancer *balancer)
{
    Elbv2AvailabilityZones zones = { elb_array(call, Elbv2AvailabilityZone, balancer->node_count),
                                     balancer->node_count };

    for (size_t i = 0; i < balancer->node_count; i++) {
        const VirgaLoadBalancerNode *node = &balancer->nodes[i];
        Elbv2AvailabilityZone *zone = &zones.items[i];
        Elbv2LoadBalancerAddress *address;

        zone->zone_name = node->zone;
        zone->subnet_id = node->subnet_id;
        if (!g_str_equal(balancer->type, "network"))
            continue;
        address = elb_new(call, Elbv2LoadBalancerAddress);
        address->ip_address = node->public_address;
        address->allocation_id = node->allocation_id;
        address->private_i_pv4_address = node->public_address ? NULL : node->address;
        zone->load_balancer_addresses = (Elbv2LoadBalancerAddresses){ address, 1 };
    }
    return zones;
}

static Elbv2SecurityGroups
groups_of(char **group_ids)
{
    return (Elbv2SecurityGroups){ (const char **) group_ids,
                                  group_ids ? g_strv_length(group_ids) : 0 };
}

static Elbv2LoadBalancer
shown(const VirgaCall *call, const VirgaLoadBalancer *balancer)
{
    Elbv2LoadBalancerState *state = elb_new(call, Elbv2LoadBalancerState);

    state->code = balancer->active ? "active" : "provisioning";
    return (Elbv2LoadBalancer){
        .load_balancer_arn = elb_balancer_arn(call, balancer->name, balancer->type, balancer->id),
        .dns_name = balancer->dns_name,
        .canonical_hosted_zone_id = HOSTED_ZONE,
        .created_time = balancer->created,
        .load_balancer_name = balancer->name,
        .scheme = balancer->scheme,
        .vpc_id = balancer->vpc_id,
        .state = state,
        .type = balancer->type,
        .availability_zones = zones_of(call, balancer),
        .security_groups = groups_of(balancer->group_ids),
        .ip_address_type = "ipv4",
    };
}

/* What a network balancer alone may ask for: an elastic IP for each zone if it faces the internet,
 * a private address of each zone if it does not. */
static bool
check_place(const VirgaLoadBalancer *balancer, const VirgaLoadBalancerPlace *place, GError **error)
{
    bool is_network = g_str_equal(balancer->type, "network");
    bool is_public = g_str_equal(balancer->scheme, "internet-facing");

    if (place->allocation_id && !is_network)
        return elb_fail(error, "ValidationError",
                        "You cannot specify an allocation ID for a load balancer of type '%s'",
                        balancer->type);
    if (place->allocation_id && !is_public)
        return elb_fail(error, "ValidationError",
                        "You cannot specify an allocation ID for an internal load balancer");
    if (place->address && (!is_network || is_public))
        return elb_fail(error, "ValidationError",
                        "A private IPv4 address can be specified for internal network load "
                        "balancers only");
    return true;
}

/* The subnets of a request, by either of its members, without repetitions: their ids, and what
 * 'ret_places' (without an id behind the last one) says of each. */
static bool
read_subnets(const VirgaCall *call, const VirgaLoadBalancer *balancer, const Elbv2Subnets *subnets,
             const Elbv2SubnetMappings *mappings, const char *const **ret,
             VirgaLoadBalancerPlace **ret_places, GError **error)
{
    size_t count = 0, room = subnets->count + mappings->count + 1;
    const char **ids = elb_array(call, const char *, room);
    VirgaLoadBalancerPlace *places = elb_array(call, VirgaLoadBalancerPlace, room);

    if (subnets->count && mappings->count)
        return elb_fail(error, "ValidationError",
                        "You cannot specify both 'Subnets' and 'SubnetMappings'");
    for (size_t i = 0; i < subnets->count; i++)
        places[count++].subnet_id = subnets->items[i];
    for (size_t i = 0; i < mappings->count; i++) {
        const Elbv2SubnetMapping *mapping = &mappings->items[i];

        if (mapping->i_pv6_address || mapping->source_nat_ipv6_prefix)
            return elb_fail(error, "UnsupportedOperation",
                            "Load balancers have IPv4 addresses only");
        if (!mapping->subnet_id)
            return elb_fail(error, "ValidationError", "A subnet mapping needs a subnet ID");
        places[count++] =
            (VirgaLoadBalancerPlace){ mapping->subnet_id, mapping->private_i_pv4_address,
                                      mapping->allocation_id };
    }
    if (count == 0)
        return elb_fail(error, "ValidationError", "At least one subnet must be specified");
    for (size_t i = 0; i < count; i++) {
        ids[i] = places[i].subnet_id;
        for (size_t j = 0; j < i; j++)
            if (g_str_equal(ids[i], ids[j]))
                return elb_fail(error, "InvalidSubnet",
                                "A load balancer cannot be attached to a subnet twice");
        if (!check_place(balancer, &places[i], error))
            return false;
    }
    *ret = ids;
    *ret_places = places;
    return true;
}

/* All of one VPC, no two of one zone. */
static bool
check_subnets(const VirgaCall *call, VirgaTxn *txn, const char *const *ids, const char *type,
              VirgaSubnet **ret, size_t *ret_count, GError **error)
{
    VirgaSubnet *subnets;
    size_t count;

    if (!virga_subnet_list(txn, call->arena, call->account_id, ids, &subnets, &count, error))
        return false;
    if (count != g_strv_length((char **) ids))
        return elb_fail(error, "SubnetNotFound", "One or more subnets not found");
    for (size_t i = 0; i < count; i++) /* before the VPC, as launches do */
        if (!virga_subnet_hold(txn, subnets[i].id, false, error))
            return false;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++) {
            if (!g_str_equal(subnets[i].vpc_id, subnets[j].vpc_id))
                return elb_fail(error, "InvalidConfigurationRequest",
                                "All subnets must belong to the same VPC");
            if (g_str_equal(subnets[i].zone, subnets[j].zone))
                return elb_fail(error, "InvalidConfigurationRequest",
                                "A load balancer cannot be attached to multiple subnets in the "
                                "same Availability Zone");
        }
    if (g_str_equal(type, "application") && count < SUBNETS_MIN_APPLICATION &&
        g_strv_length(((const VirgaServices *) call->services)->zones) > 1)
        return elb_fail(error, "ValidationError",
                        "At least two subnets in two different Availability Zones must be "
                        "specified");
    *ret = subnets;
    *ret_count = count;
    return true;
}

/* An application balancer without groups gets the VPC's default one. */
static bool
read_groups(const VirgaCall *call, VirgaTxn *txn, const Elbv2SecurityGroups *given,
            const char *type, const char *vpc_id, const char *const **ret, GError **error)
{
    static const char *const names[] = { "default", NULL };
    const char **ids = elb_array(call, const char *, 2);
    VirgaSecurityGroup *groups;
    size_t count;

    *ret = elb_strings(call, given);
    if (*ret || g_str_equal(type, "network"))
        return true;
    if (!virga_security_group_list(txn, call->arena, call->account_id, NULL, names, vpc_id, &groups,
                                   &count, error))
        return false;
    ids[0] = count ? groups[0].id : NULL;
    *ret = ids;
    return count > 0 || elb_fail(error, "InvalidConfigurationRequest",
                                 "The VPC '%s' has no default security group", vpc_id);
}

static bool
check_request(const Elbv2CreateLoadBalancerRequest *request, GError **error)
{
    if (!elb_check_name(request->name, "Load balancer", error))
        return false;
    if (g_str_has_prefix(request->name, "internal-"))
        return elb_fail(error, "ValidationError",
                        "Load balancer name '%s' cannot begin with 'internal-'", request->name);
    if (g_strcmp0(request->type, "gateway") == 0)
        return elb_fail(error, "UnsupportedOperation",
                        "Gateway load balancers are not supported by this cloud");
    if ((request->ip_address_type && !g_str_equal(request->ip_address_type, "ipv4")) ||
        request->customer_owned_ipv4_pool || request->ipam_pools ||
        g_strcmp0(request->enable_prefix_for_ipv6_source_nat, "on") == 0)
        return elb_fail(error, "UnsupportedOperation",
                        "Load balancers have IPv4 addresses of the cloud only");
    return true;
}

/* Names are AWS's: "internal-" says what the address is. */
static char *
dns_name(const VirgaCall *call, const VirgaLoadBalancer *balancer)
{
    const char *hex = strchr(balancer->id, '-') + 2;
    g_autofree char *name = g_ascii_strdown(balancer->name, -1);

    if (g_str_equal(balancer->type, "network"))
        return virga_arena_printf(call->arena, "%s-%s.elb.%s.amazonaws.com", name, hex,
                                  call->region);
    return virga_arena_printf(call->arena, "%s%s-%s.%s.elb.amazonaws.com",
                              g_str_equal(balancer->scheme, "internal") ? "internal-" : "", name,
                              hex, call->region);
}

/* The balancer's node at this place; NULL if there is none.  '*ret_same': its addresses are those
 * that are wanted, as far as any are. */
static const VirgaLoadBalancerNode *
node_at(const VirgaLoadBalancer *balancer, const VirgaLoadBalancerPlace *place, bool *ret_same)
{
    for (size_t i = 0; i < balancer->node_count; i++) {
        const VirgaLoadBalancerNode *node = &balancer->nodes[i];

        if (!g_str_equal(node->subnet_id, place->subnet_id))
            continue;
        *ret_same =
            (!place->address || g_str_equal(place->address, node->address)) &&
            (!place->allocation_id || g_strcmp0(place->allocation_id, node->allocation_id) == 0);
        return node;
    }
    return NULL;
}

/* The same balancer asked for once more is the same. */
static bool
find_same(VirgaCall *call, VirgaTxn *txn, const VirgaLoadBalancer *wanted,
          const VirgaLoadBalancerPlace *places, const VirgaLoadBalancer **ret, GError **error)
{
    const char *const names[] = { wanted->name, NULL };
    VirgaLoadBalancer *there;
    size_t count, wanted_count = 0;
    bool same = true;

    *ret = NULL;
    if (!virga_load_balancer_list(txn, call->arena, call->account_id, NULL, names, &there, &count,
                                  error))
        return false;
    if (count == 0)
        return true;
    while (same && places[wanted_count].subnet_id)
        same = node_at(there, &places[wanted_count++], &same) && same;
    if (!same || there->node_count != wanted_count || !g_str_equal(there->type, wanted->type) ||
        !g_str_equal(there->scheme, wanted->scheme))
        return elb_fail(error, "DuplicateLoadBalancerName",
                        "A load balancer with the same name '%s' exists, but with different "
                        "settings",
                        wanted->name);
    *ret = there;
    return true;
}

static bool
answer_with(VirgaCall *call, VirgaTxn *txn, const char *id, Elbv2LoadBalancers *ret, GError **error)
{
    VirgaLoadBalancer *balancer;

    if (!virga_load_balancer_lock(txn, call->arena, call->account_id, id, &balancer, error))
        return false;
    ret->items = elb_new(call, Elbv2LoadBalancer);
    ret->items[0] = shown(call, balancer);
    ret->count = 1;
    return true;
}

ELB_ACTION(create_load_balancer, CreateLoadBalancer)
{
    g_autofree char *id = virga_id_new("elb");
    VirgaLoadBalancer balancer = {
        .id = id,
        .account_id = (char *) call->account_id,
        .name = (char *) request->name,
        .type = (char *) (request->type ? request->type : "application"),
        .scheme = (char *) (request->scheme ? request->scheme : "internet-facing"),
    };
    const VirgaLoadBalancer *same;
    const char *const *subnet_ids, *const *group_ids;
    VirgaLoadBalancerPlace *places;
    VirgaSubnet *subnets;
    size_t count;

    if (!check_request(request, error) ||
        !read_subnets(call, &balancer, &request->subnets, &request->subnet_mappings, &subnet_ids,
                      &places, error) ||
        !check_subnets(call, txn, subnet_ids, balancer.type, &subnets, &count, error) ||
        !find_same(call, txn, &balancer, places, &same, error))
        return false;
    if (same)
        return answer_with(call, txn, same->id, &response->load_balancers, error);
    balancer.vpc_id = subnets[0].vpc_id;
    balancer.dns_name = dns_name(call, &balancer);
    if (!read_groups(call, txn, &request->security_groups, balancer.type, balancer.vpc_id,
                     &group_ids, error) ||
        !virga_load_balancer_create(txn, &balancer, elb_plan_of_balancer(call, balancer.type, "{}"),
                                    error))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!virga_load_balancer_add_node(txn, call->arena, &balancer, &places[i], group_ids,
                                          error))
            return false;
    return elb_tags_set(call, txn, id, &request->tags, error) &&
           virga_quota_claim(txn, call->account_id, VIRGA_QUOTA_LOAD_BALANCERS, 1, error) &&
           elb_check_plan(call, txn, balancer.vpc_id, error) &&
           answer_with(call, txn, id, &response->load_balancers, error);
}

ELB_ACTION(delete_load_balancer, DeleteLoadBalancer)
{
    g_autoptr(GError) reason = NULL;
    VirgaLoadBalancer *balancer;

    if (!elb_lock_balancer(call, txn, request->load_balancer_arn, &balancer, &reason)) {
        if (virga_error_is(reason, "load balancer", VIRGA_ERROR_NOT_FOUND))
            return true; /* as AWS answers */
        g_propagate_error(error, g_steal_pointer(&reason));
        return false;
    }
    if (elb_attribute_is(call, elb_balancer_attributes(balancer->type), balancer->attributes,
                         "deletion_protection.enabled", "true"))
        return elb_fail(error, "OperationNotPermitted",
                        "Load balancer '%s' cannot be deleted because deletion protection is "
                        "enabled",
                        request->load_balancer_arn);
    return virga_load_balancer_delete(txn, balancer, error) &&
           virga_quota_claim(txn, call->account_id, VIRGA_QUOTA_LOAD_BALANCERS, -1, error);
}

ELB_ACTION(describe_load_balancers, DescribeLoadBalancers)
{
    const char *const *ids, *const *names = elb_strings(call, &request->names);
    VirgaLoadBalancer *balancers;
    size_t count, wanted = request->load_balancer_arns.count + request->names.count;

    if (request->load_balancer_arns.count && request->names.count)
        return elb_fail(error, "ValidationError",
                        "Load balancer names and load balancer ARNs cannot be specified at the "
                        "same time");
    if (!elb_ids(call, ELB_BALANCER, &request->load_balancer_arns, &ids, error) ||
        !virga_load_balancer_list(txn, call->arena, call->account_id, ids, names, &balancers,
                                  &count, error))
        return false;
    if (count < wanted)
        return elb_fail_not_found(ELB_BALANCER, error);
    response->load_balancers.items = elb_array(call, Elbv2LoadBalancer, count);
    for (size_t i = 0; i < count; i++)
        response->load_balancers.items[i] = shown(call, &balancers[i]);
    response->load_balancers.count = count;
    return ELB_PAGE(call, request, response, load_balancers, Elbv2LoadBalancer, load_balancer_arn,
                    error);
}

ELB_ACTION(set_security_groups, SetSecurityGroups)
{
    VirgaLoadBalancer *balancer;

    if (!elb_lock_balancer(call, txn, request->load_balancer_arn, &balancer, error))
        return false;
    if (g_str_equal(balancer->type, "network") && !balancer->group_ids[0])
        return elb_fail(error, "InvalidConfigurationRequest",
                        "A network load balancer that was created without security groups cannot "
                        "get any");
    if (request->security_groups.count == 0)
        return elb_fail(error, "ValidationError", "At least one security group must be specified");
    if (!virga_load_balancer_set_groups(txn, balancer, elb_strings(call, &request->security_groups),
                                        error))
        return false;
    response->security_group_ids = request->security_groups;
    return elb_check_plan(call, txn, balancer->vpc_id, error);
}

ELB_ACTION(set_subnets, SetSubnets)
{
    const char *const *ids, *const *groups;
    VirgaLoadBalancerPlace *places;
    VirgaLoadBalancer *balancer;
    VirgaSubnet *subnets;
    size_t count;

    if (!elb_lock_balancer(call, txn, request->load_balancer_arn, &balancer, error) ||
        !read_subnets(call, balancer, &request->subnets, &request->subnet_mappings, &ids, &places,
                      error) ||
        !check_subnets(call, txn, ids, balancer->type, &subnets, &count, error))
        return false;
    if (request->ip_address_type && !g_str_equal(request->ip_address_type, "ipv4"))
        return elb_fail(error, "UnsupportedOperation", "Load balancers have IPv4 addresses only");
    if (!g_str_equal(subnets[0].vpc_id, balancer->vpc_id))
        return elb_fail(error, "InvalidConfigurationRequest",
                        "All subnets must belong to the VPC of the load balancer");
    groups = (const char *const *) balancer->group_ids;
    for (size_t i = 0; i < balancer->node_count; i++)
        if (!g_strv_contains(ids, balancer->nodes[i].subnet_id) &&
            !virga_load_balancer_remove_node(txn, balancer, &balancer->nodes[i], error))
            return false;
    for (size_t i = 0; i < count; i++) {
        bool same = true;
        const VirgaLoadBalancerNode *node = node_at(balancer, &places[i], &same);

        if (!same)
            return elb_fail(error, "InvalidConfigurationRequest",
                            "The addresses of subnet '%s' cannot be modified", places[i].subnet_id);
        if (!node &&
            !virga_load_balancer_add_node(txn, call->arena, balancer, &places[i], groups, error))
            return false;
    }
    if (!virga_load_balancer_lock(txn, call->arena, call->account_id, balancer->id, &balancer,
                                  error))
        return false;
    response->availability_zones = zones_of(call, balancer);
    response->ip_address_type = "ipv4";
    return elb_check_plan(call, txn, balancer->vpc_id, error);
}

ELB_ACTION(set_ip_address_type, SetIpAddressType)
{
    VirgaLoadBalancer *balancer;

    if (!elb_lock_balancer(call, txn, request->load_balancer_arn, &balancer, error))
        return false;
    if (!g_str_equal(request->ip_address_type, "ipv4"))
        return elb_fail(error, "UnsupportedOperation", "Load balancers have IPv4 addresses only");
    response->ip_address_type = "ipv4";
    return true;
}

/* Nobody has reserved any. */
ELB_ACTION(describe_capacity_reservation, DescribeCapacityReservation)
{
    VirgaLoadBalancer *balancer;

    return elb_lock_balancer(call, txn, request->load_balancer_arn, &balancer, error);
}
