/* SPDX-License-Identifier: Apache-2.0 */
/* What a valid plan is (see network/plan.h). */
#include "network/plan.h"

#include "core/error.h"
#include "core/id.h"
#include "network/address.h"
#include "plan-priv.h"

#include <string.h>

#define VNI_MAX       0xffffff
#define MTU_MIN       576
#define MTU_MAX       65520
#define LABEL_MAX     63
#define DOMAIN_MAX    200
#define PREFIX_MIN    8 /* of a VPC; EC2 itself says 16 */
#define PREFIX_MAX    29
#define BANDWIDTH_MIN 10000 /* bits/s: less lets no packet pass */
#define BANDWIDTH_MAX G_GINT64_CONSTANT(1000000000000)
#define ENTRY_MAX     32767 /* the highest number of an ACL's entry */

/* What has been seen of the plan; keys are loans. */
typedef struct {
    const VirgaVpcPlan *plan;
    GHashTable *subnets; /* id -> VirgaVpcSubnet */
    GHashTable *groups;
    GHashTable *addresses; /* private and public ones, by number */
    GHashTable *ids;       /* of everything that must be there once */
} Check;

static void
check_done(Check *check)
{
    g_hash_table_unref(check->subnets);
    g_hash_table_unref(check->groups);
    g_hash_table_unref(check->addresses);
    g_hash_table_unref(check->ids);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Check, check_done)

bool
virga_plan_is_name(const char *text, bool dots)
{
    size_t label = 0;

    if (!text || strlen(text) > DOMAIN_MAX)
        return false;
    for (const char *at = text; *at; at++) {
        if (*at == '.' && dots && label > 0 && at[1])
            label = 0;
        else if ((g_ascii_isalnum(*at) || (*at == '-' && label > 0)) && label < LABEL_MAX)
            label++;
        else
            return false;
    }
    return label > 0;
}

bool
virga_vpc_plan_are_domains(const char *text)
{
    g_auto(GStrv) names = g_strsplit(text, " ", -1);

    for (char **name = names; *name; name++)
        if (!virga_plan_is_name(*name, true))
            return false;
    return true;
}

/* Addresses, or the one word that may stand for one. */
static bool
check_servers(char **servers, const char *word)
{
    guint32 address;

    for (char **server = servers; server && *server; server++)
        if (g_strcmp0(*server, word) != 0 && !virga_ipv4_parse(*server, &address))
            return false;
    return true;
}

static bool
check_head(const VirgaVpcPlan *plan, GError **error)
{
    guint32 base;
    unsigned prefix;

    if (!virga_id_is(plan->id, "vpc"))
        return virga_fail(error, "vpc", VIRGA_ERROR_INVALID, "\"%s\" is no id of a vpc", plan->id);
    if (!virga_plan_is_name(plan->domain, true) ||
        (plan->public_domain && !virga_plan_is_name(plan->public_domain, true)) ||
        (plan->dhcp_domain && !virga_vpc_plan_are_domains(plan->dhcp_domain)))
        return virga_fail(error, "vpc", VIRGA_ERROR_INVALID, "\"%s\" is no domain of vpc \"%s\"",
                          plan->domain ? plan->domain : "", plan->id);
    if (plan->vni < 0 || plan->vni > VNI_MAX)
        return virga_fail(error, "vpc", VIRGA_ERROR_INVALID, "vpc \"%s\" has no VNI of 24 bits",
                          plan->id);
    if (!plan->cidrs || !plan->cidrs[0])
        return virga_fail(error, "vpc", VIRGA_ERROR_INVALID, "vpc \"%s\" has no block", plan->id);
    for (char **cidr = plan->cidrs; *cidr; cidr++)
        if (!virga_cidr_parse(*cidr, &base, &prefix) || prefix < PREFIX_MIN || prefix > PREFIX_MAX)
            return virga_fail(error, "vpc", VIRGA_ERROR_INVALID, "\"%s\" is no block of a vpc",
                              *cidr);
    if (!check_servers(plan->dhcp_dns, "AmazonProvidedDNS") ||
        !check_servers(plan->dhcp_ntp, NULL) || !check_servers(plan->dhcp_netbios, NULL) ||
        plan->dhcp_netbios_node < 0 || plan->dhcp_netbios_node > 8)
        return virga_fail(error, "vpc", VIRGA_ERROR_INVALID,
                          "vpc \"%s\" has a malformed DHCP option", plan->id);
    return true;
}

static bool
check_subnet(Check *check, VirgaVpcSubnet *subnet, GError **error)
{
    guint32 base;
    unsigned prefix;

    if (!virga_id_is(subnet->id, "subnet"))
        return virga_fail(error, "subnet", VIRGA_ERROR_INVALID, "\"%s\" is no id of a subnet",
                          subnet->id);
    if (!virga_cidr_parse(subnet->cidr, &base, &prefix) || prefix < PREFIX_MIN ||
        prefix > PREFIX_MAX)
        return virga_fail(error, "subnet", VIRGA_ERROR_INVALID, "subnet \"%s\" has no block",
                          subnet->id);
    if (!g_hash_table_insert(check->subnets, subnet->id, subnet))
        return virga_fail(error, "subnet", VIRGA_ERROR_INVALID, "subnet \"%s\" comes twice",
                          subnet->id);
    return true;
}

/* A private address of the subnet and, maybe, a public one, both nobody else's. */
static bool
check_addresses(Check *check, const VirgaVpcSubnet *subnet, const char *address,
                const char *public_address)
{
    guint32 number, base;
    unsigned prefix;

    if (!virga_ipv4_parse(address, &number) || !virga_cidr_parse(subnet->cidr, &base, &prefix) ||
        !virga_cidr_has(base, prefix, number) ||
        !g_hash_table_add(check->addresses, GUINT_TO_POINTER(number)))
        return false;
    return !public_address || (virga_ipv4_parse(public_address, &number) &&
                               g_hash_table_add(check->addresses, GUINT_TO_POINTER(number)));
}

static bool
check_port_members(Check *check, VirgaVpcPort *port)
{
    const VirgaVpcSubnet *subnet = g_hash_table_lookup(check->subnets, port->subnet_id);
    guint32 other;

    if (!virga_id_is(port->id, "eni") || !g_hash_table_add(check->ids, port->id) || !subnet ||
        !virga_mac_is(port->mac) ||
        !check_addresses(check, subnet, port->address, port->public_address) ||
        (port->host_address && !virga_ipv4_parse(port->host_address, &other)) ||
        (port->hostname && !virga_plan_is_name(port->hostname, false)) || port->device_index < 0 ||
        (port->mtu != 0 && (port->mtu < MTU_MIN || port->mtu > MTU_MAX)) ||
        (port->bandwidth_bps != 0 &&
         (port->bandwidth_bps < BANDWIDTH_MIN || port->bandwidth_bps > BANDWIDTH_MAX)))
        return false;
    for (guint i = 0; i < port->secondary->len; i++) {
        const VirgaVpcAddress *secondary = port->secondary->pdata[i];

        if (!check_addresses(check, subnet, secondary->address, secondary->public_address))
            return false;
    }
    return true;
}

static bool
check_port(Check *check, VirgaVpcPort *port, GError **error)
{
    if (!check_port_members(check, port))
        return virga_fail(error, "network interface", VIRGA_ERROR_INVALID,
                          "network interface \"%s\" has a malformed member", port->id);
    for (char **group = port->group_ids; group && *group; group++)
        if (!g_hash_table_contains(check->groups, *group))
            return virga_fail(error, "network interface", VIRGA_ERROR_INVALID,
                              "network interface \"%s\" is in unknown security group \"%s\"",
                              port->id, *group);
    return true;
}

static bool
is_protocol(const char *protocol)
{
    return g_str_equal(protocol, "-1") || g_str_equal(protocol, "tcp") ||
           g_str_equal(protocol, "udp") || g_str_equal(protocol, "icmp") ||
           g_str_equal(protocol, "icmpv6") ||
           g_ascii_string_to_unsigned(protocol, 10, 0, 255, NULL, NULL);
}

static bool
is_port(gint64 port)
{
    return port >= -1 && port <= 65535;
}

static bool
check_rule(const VirgaVpcGroup *group, const VirgaVpcRule *rule, GError **error)
{
    bool ingress = g_str_equal(rule->direction, "ingress");
    guint32 base;
    unsigned prefix;

    if ((!ingress && !g_str_equal(rule->direction, "egress")) || !is_protocol(rule->protocol) ||
        !is_port(rule->from_port) || !is_port(rule->to_port) ||
        (rule->cidr4 == NULL) == (rule->group_id == NULL) ||
        (rule->cidr4 && !virga_cidr_parse(rule->cidr4, &base, &prefix)) ||
        (rule->group_id && !virga_id_is(rule->group_id, "sg")))
        return virga_fail(error, "security group rule", VIRGA_ERROR_INVALID,
                          "security group \"%s\" has a malformed rule \"%s\"", group->id,
                          rule->id ? rule->id : "");
    return true;
}

static bool
check_group(Check *check, VirgaVpcGroup *group, GError **error)
{
    if (!virga_id_is(group->id, "sg") || !g_hash_table_add(check->groups, group->id))
        return virga_fail(error, "security group", VIRGA_ERROR_INVALID,
                          "\"%s\" is no id of a security group or comes twice", group->id);
    for (guint i = 0; i < group->rules->len; i++)
        if (!check_rule(group, group->rules->pdata[i], error))
            return false;
    return true;
}

static bool
check_route(const VirgaVpcRoute *route)
{
    const char *target = route->target;
    guint32 base;
    unsigned prefix;

    if (!virga_cidr_parse(route->cidr4, &base, &prefix))
        return false;
    if (g_str_equal(target, "nat-gateway"))
        return virga_id_is(route->target_id, "nat");
    if (g_str_equal(target, "interface"))
        return virga_id_is(route->target_id, "eni");
    return g_str_equal(target, "local") || g_str_equal(target, "internet-gateway") ||
           g_str_equal(target, "blackhole");
}

/* Every subnet is named once by the tables, and once by the ACLs ('named'). */
static bool
check_subnet_ids(Check *check, char **subnet_ids, GHashTable *named)
{
    for (char **id = subnet_ids; id && *id; id++)
        if (!g_hash_table_contains(check->subnets, *id) || !g_hash_table_add(named, *id))
            return false;
    return true;
}

static bool
check_route_tables(Check *check, GError **error)
{
    const GPtrArray *tables = check->plan->route_tables;
    g_autoptr(GHashTable) named = g_hash_table_new(g_str_hash, g_str_equal);
    unsigned mains = 0;

    for (guint i = 0; i < tables->len; i++) {
        VirgaVpcRouteTable *table = tables->pdata[i];
        g_autoptr(GHashTable) blocks = g_hash_table_new(g_str_hash, g_str_equal);

        mains += table->is_main;
        if (!virga_id_is(table->id, "rtb") || !g_hash_table_add(check->ids, table->id) ||
            !check_subnet_ids(check, table->subnet_ids, named))
            return virga_fail(error, "route table", VIRGA_ERROR_INVALID,
                              "route table \"%s\" has a malformed member", table->id);
        for (guint r = 0; r < table->routes->len; r++) {
            VirgaVpcRoute *route = table->routes->pdata[r];

            if (!check_route(route) || !g_hash_table_add(blocks, route->cidr4))
                return virga_fail(error, "route table", VIRGA_ERROR_INVALID,
                                  "route table \"%s\" has a malformed route to \"%s\"", table->id,
                                  route->cidr4);
        }
    }
    if (tables->len > 0 && mains != 1)
        return virga_fail(error, "route table", VIRGA_ERROR_INVALID,
                          "vpc \"%s\" has %u main route tables", check->plan->id, mains);
    return true;
}

static bool
check_nat_gateway(Check *check, VirgaVpcNatGateway *gateway, GError **error)
{
    const VirgaVpcSubnet *subnet = g_hash_table_lookup(check->subnets, gateway->subnet_id);
    guint32 other;

    if (!virga_id_is(gateway->id, "nat") || !g_hash_table_add(check->ids, gateway->id) || !subnet ||
        !check_addresses(check, subnet, gateway->address, gateway->public_address) ||
        (gateway->host_address && !virga_ipv4_parse(gateway->host_address, &other)))
        return virga_fail(error, "NAT gateway", VIRGA_ERROR_INVALID,
                          "NAT gateway \"%s\" has a malformed member", gateway->id);
    return true;
}

static bool
check_acl_entry(const VirgaVpcAclEntry *entry)
{
    guint32 base;
    unsigned prefix;

    return entry->number >= 1 && entry->number <= ENTRY_MAX && is_protocol(entry->protocol) &&
           is_port(entry->from_port) && is_port(entry->to_port) &&
           virga_cidr_parse(entry->cidr4, &base, &prefix);
}

static bool
check_acls(Check *check, GError **error)
{
    const GPtrArray *acls = check->plan->acls;
    g_autoptr(GHashTable) named = g_hash_table_new(g_str_hash, g_str_equal);
    unsigned defaults = 0;

    for (guint i = 0; i < acls->len; i++) {
        VirgaVpcAcl *acl = acls->pdata[i];
        g_autoptr(GHashTable) numbers = g_hash_table_new(NULL, NULL);

        defaults += acl->is_default;
        if (!virga_id_is(acl->id, "acl") || !g_hash_table_add(check->ids, acl->id) ||
            defaults > 1 || !check_subnet_ids(check, acl->subnet_ids, named))
            return virga_fail(error, "network ACL", VIRGA_ERROR_INVALID,
                              "network ACL \"%s\" has a malformed member", acl->id);
        for (guint e = 0; e < acl->entries->len; e++) {
            const VirgaVpcAclEntry *entry = acl->entries->pdata[e];

            if (!check_acl_entry(entry) ||
                !g_hash_table_add(numbers, GINT_TO_POINTER(entry->number * 2 + entry->egress)))
                return virga_fail(error, "network ACL", VIRGA_ERROR_INVALID,
                                  "network ACL \"%s\" has a malformed entry %" G_GINT64_FORMAT,
                                  acl->id, entry->number);
        }
    }
    return true;
}

static void
check_init(Check *check, const VirgaVpcPlan *plan)
{
    check->plan = plan;
    check->subnets = g_hash_table_new(g_str_hash, g_str_equal);
    check->groups = g_hash_table_new(g_str_hash, g_str_equal);
    check->addresses = g_hash_table_new(NULL, NULL);
    check->ids = g_hash_table_new(g_str_hash, g_str_equal);
}

bool
virga_vpc_plan_check(const VirgaVpcPlan *plan, GError **error)
{
    g_auto(Check) check;

    check_init(&check, plan);
    if (!check_head(plan, error))
        return false;
    for (guint i = 0; i < plan->subnets->len; i++)
        if (!check_subnet(&check, plan->subnets->pdata[i], error))
            return false;
    for (guint i = 0; i < plan->groups->len; i++)
        if (!check_group(&check, plan->groups->pdata[i], error))
            return false;
    for (guint i = 0; i < plan->ports->len; i++)
        if (!check_port(&check, plan->ports->pdata[i], error))
            return false;
    for (guint i = 0; i < plan->nat_gateways->len; i++)
        if (!check_nat_gateway(&check, plan->nat_gateways->pdata[i], error))
            return false;
    return check_route_tables(&check, error) && check_acls(&check, error) &&
           virga_vpc_plan_check_balancers(plan, error);
}
