/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a VPC: memory and wire format. */
#include "network/plan.h"

#include "core/record.h"
#include "network/address.h"
#include "plan-priv.h"

#include <string.h>

static const VirgaField subnet_fields[] = {
    { "id", VIRGA_FIELD_STRING, offsetof(VirgaVpcSubnet, id), true, NULL },
    { "zone", VIRGA_FIELD_STRING, offsetof(VirgaVpcSubnet, zone), false, NULL },
    { "cidr", VIRGA_FIELD_STRING, offsetof(VirgaVpcSubnet, cidr), true, NULL },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType subnet_type = { "subnet", sizeof(VirgaVpcSubnet), subnet_fields };

static const VirgaField address_fields[] = {
    { "address", VIRGA_FIELD_STRING, offsetof(VirgaVpcAddress, address), true, NULL },
    { "public_address", VIRGA_FIELD_STRING, offsetof(VirgaVpcAddress, public_address), false,
      NULL },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType address_type = { "private address", sizeof(VirgaVpcAddress),
                                              address_fields };

static const VirgaField port_fields[] = {
    { "id", VIRGA_FIELD_STRING, offsetof(VirgaVpcPort, id), true, NULL },
    { "instance_id", VIRGA_FIELD_STRING, offsetof(VirgaVpcPort, instance_id), false, NULL },
    { "device_index", VIRGA_FIELD_INTEGER, offsetof(VirgaVpcPort, device_index), false, NULL },
    { "subnet_id", VIRGA_FIELD_STRING, offsetof(VirgaVpcPort, subnet_id), true, NULL },
    { "mac", VIRGA_FIELD_STRING, offsetof(VirgaVpcPort, mac), true, NULL },
    { "address", VIRGA_FIELD_STRING, offsetof(VirgaVpcPort, address), true, NULL },
    { "public_address", VIRGA_FIELD_STRING, offsetof(VirgaVpcPort, public_address), false, NULL },
    { "hostname", VIRGA_FIELD_STRING, offsetof(VirgaVpcPort, hostname), false, NULL },
    { "host_id", VIRGA_FIELD_STRING, offsetof(VirgaVpcPort, host_id), false, NULL },
    { "host_address", VIRGA_FIELD_STRING, offsetof(VirgaVpcPort, host_address), false, NULL },
    { "group_ids", VIRGA_FIELD_STRINGS, offsetof(VirgaVpcPort, group_ids), false, NULL },
    { "source_dest_check", VIRGA_FIELD_BOOL, offsetof(VirgaVpcPort, source_dest_check), true,
      NULL },
    { "front_port", VIRGA_FIELD_INTEGER, offsetof(VirgaVpcPort, front_port), false, NULL },
    { "service_name", VIRGA_FIELD_STRING, offsetof(VirgaVpcPort, service_name), false, NULL },
    { "of_balancer", VIRGA_FIELD_BOOL, offsetof(VirgaVpcPort, of_balancer), false, NULL },
    { "mtu", VIRGA_FIELD_INTEGER, offsetof(VirgaVpcPort, mtu), false, NULL },
    { "bandwidth_bps", VIRGA_FIELD_INTEGER, offsetof(VirgaVpcPort, bandwidth_bps), false, NULL },
    { "secondary", VIRGA_FIELD_RECORDS, offsetof(VirgaVpcPort, secondary), false, &address_type },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType port_type = { "network interface", sizeof(VirgaVpcPort), port_fields };

static const VirgaField rule_fields[] = {
    { "id", VIRGA_FIELD_STRING, offsetof(VirgaVpcRule, id), false, NULL },
    { "direction", VIRGA_FIELD_STRING, offsetof(VirgaVpcRule, direction), true, NULL },
    { "protocol", VIRGA_FIELD_STRING, offsetof(VirgaVpcRule, protocol), true, NULL },
    { "from_port", VIRGA_FIELD_INTEGER, offsetof(VirgaVpcRule, from_port), true, NULL },
    { "to_port", VIRGA_FIELD_INTEGER, offsetof(VirgaVpcRule, to_port), true, NULL },
    { "cidr4", VIRGA_FIELD_STRING, offsetof(VirgaVpcRule, cidr4), false, NULL },
    { "group_id", VIRGA_FIELD_STRING, offsetof(VirgaVpcRule, group_id), false, NULL },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType rule_type = { "security group rule", sizeof(VirgaVpcRule),
                                           rule_fields };

static const VirgaField group_fields[] = {
    { "id", VIRGA_FIELD_STRING, offsetof(VirgaVpcGroup, id), true, NULL },
    { "rules", VIRGA_FIELD_RECORDS, offsetof(VirgaVpcGroup, rules), false, &rule_type },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType group_type = { "security group", sizeof(VirgaVpcGroup), group_fields };

static const VirgaField route_fields[] = {
    { "cidr4", VIRGA_FIELD_STRING, offsetof(VirgaVpcRoute, cidr4), true, NULL },
    { "target", VIRGA_FIELD_STRING, offsetof(VirgaVpcRoute, target), true, NULL },
    { "target_id", VIRGA_FIELD_STRING, offsetof(VirgaVpcRoute, target_id), false, NULL },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType route_type = { "route", sizeof(VirgaVpcRoute), route_fields };

static const VirgaField route_table_fields[] = {
    { "id", VIRGA_FIELD_STRING, offsetof(VirgaVpcRouteTable, id), true, NULL },
    { "is_main", VIRGA_FIELD_BOOL, offsetof(VirgaVpcRouteTable, is_main), false, NULL },
    { "subnet_ids", VIRGA_FIELD_STRINGS, offsetof(VirgaVpcRouteTable, subnet_ids), false, NULL },
    { "routes", VIRGA_FIELD_RECORDS, offsetof(VirgaVpcRouteTable, routes), false, &route_type },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType route_table_type = { "route table", sizeof(VirgaVpcRouteTable),
                                                  route_table_fields };

static const VirgaField nat_gateway_fields[] = {
    { "id", VIRGA_FIELD_STRING, offsetof(VirgaVpcNatGateway, id), true, NULL },
    { "subnet_id", VIRGA_FIELD_STRING, offsetof(VirgaVpcNatGateway, subnet_id), true, NULL },
    { "address", VIRGA_FIELD_STRING, offsetof(VirgaVpcNatGateway, address), true, NULL },
    { "public_address", VIRGA_FIELD_STRING, offsetof(VirgaVpcNatGateway, public_address), true,
      NULL },
    { "host_id", VIRGA_FIELD_STRING, offsetof(VirgaVpcNatGateway, host_id), false, NULL },
    { "host_address", VIRGA_FIELD_STRING, offsetof(VirgaVpcNatGateway, host_address), false, NULL },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType nat_gateway_type = { "NAT gateway", sizeof(VirgaVpcNatGateway),
                                                  nat_gateway_fields };

static const VirgaField acl_entry_fields[] = {
    { "number", VIRGA_FIELD_INTEGER, offsetof(VirgaVpcAclEntry, number), true, NULL },
    { "egress", VIRGA_FIELD_BOOL, offsetof(VirgaVpcAclEntry, egress), true, NULL },
    { "allow", VIRGA_FIELD_BOOL, offsetof(VirgaVpcAclEntry, allow), true, NULL },
    { "protocol", VIRGA_FIELD_STRING, offsetof(VirgaVpcAclEntry, protocol), true, NULL },
    { "from_port", VIRGA_FIELD_INTEGER, offsetof(VirgaVpcAclEntry, from_port), true, NULL },
    { "to_port", VIRGA_FIELD_INTEGER, offsetof(VirgaVpcAclEntry, to_port), true, NULL },
    { "cidr4", VIRGA_FIELD_STRING, offsetof(VirgaVpcAclEntry, cidr4), true, NULL },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType acl_entry_type = { "network ACL entry", sizeof(VirgaVpcAclEntry),
                                                acl_entry_fields };

static const VirgaField acl_fields[] = {
    { "id", VIRGA_FIELD_STRING, offsetof(VirgaVpcAcl, id), true, NULL },
    { "is_default", VIRGA_FIELD_BOOL, offsetof(VirgaVpcAcl, is_default), false, NULL },
    { "subnet_ids", VIRGA_FIELD_STRINGS, offsetof(VirgaVpcAcl, subnet_ids), false, NULL },
    { "entries", VIRGA_FIELD_RECORDS, offsetof(VirgaVpcAcl, entries), false, &acl_entry_type },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType acl_type = { "network ACL", sizeof(VirgaVpcAcl), acl_fields };

static const VirgaField plan_fields[] = {
    { "id", VIRGA_FIELD_STRING, offsetof(VirgaVpcPlan, id), true, NULL },
    { "generation", VIRGA_FIELD_INTEGER, offsetof(VirgaVpcPlan, generation), true, NULL },
    { "cidrs", VIRGA_FIELD_STRINGS, offsetof(VirgaVpcPlan, cidrs), true, NULL },
    { "vni", VIRGA_FIELD_INTEGER, offsetof(VirgaVpcPlan, vni), false, NULL },
    { "domain", VIRGA_FIELD_STRING, offsetof(VirgaVpcPlan, domain), true, NULL },
    { "has_internet_gateway", VIRGA_FIELD_BOOL, offsetof(VirgaVpcPlan, has_internet_gateway), false,
      NULL },
    { "dns_support", VIRGA_FIELD_BOOL_ON, offsetof(VirgaVpcPlan, dns_support), false, NULL },
    { "dns_hostnames", VIRGA_FIELD_BOOL_ON, offsetof(VirgaVpcPlan, dns_hostnames), false, NULL },
    { "public_domain", VIRGA_FIELD_STRING, offsetof(VirgaVpcPlan, public_domain), false, NULL },
    { "dhcp_own", VIRGA_FIELD_BOOL, offsetof(VirgaVpcPlan, dhcp_own), false, NULL },
    { "dhcp_domain", VIRGA_FIELD_STRING, offsetof(VirgaVpcPlan, dhcp_domain), false, NULL },
    { "dhcp_dns", VIRGA_FIELD_STRINGS, offsetof(VirgaVpcPlan, dhcp_dns), false, NULL },
    { "dhcp_ntp", VIRGA_FIELD_STRINGS, offsetof(VirgaVpcPlan, dhcp_ntp), false, NULL },
    { "dhcp_netbios", VIRGA_FIELD_STRINGS, offsetof(VirgaVpcPlan, dhcp_netbios), false, NULL },
    { "dhcp_netbios_node", VIRGA_FIELD_INTEGER, offsetof(VirgaVpcPlan, dhcp_netbios_node), false,
      NULL },
    { "subnets", VIRGA_FIELD_RECORDS, offsetof(VirgaVpcPlan, subnets), false, &subnet_type },
    { "ports", VIRGA_FIELD_RECORDS, offsetof(VirgaVpcPlan, ports), false, &port_type },
    { "groups", VIRGA_FIELD_RECORDS, offsetof(VirgaVpcPlan, groups), false, &group_type },
    { "route_tables", VIRGA_FIELD_RECORDS, offsetof(VirgaVpcPlan, route_tables), false,
      &route_table_type },
    { "nat_gateways", VIRGA_FIELD_RECORDS, offsetof(VirgaVpcPlan, nat_gateways), false,
      &nat_gateway_type },
    { "acls", VIRGA_FIELD_RECORDS, offsetof(VirgaVpcPlan, acls), false, &acl_type },
    { "balancers", VIRGA_FIELD_RECORDS, offsetof(VirgaVpcPlan, balancers), false,
      &virga_balancer_type },
    { "target_groups", VIRGA_FIELD_RECORDS, offsetof(VirgaVpcPlan, target_groups), false,
      &virga_target_group_type },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType plan_type = { "vpc", sizeof(VirgaVpcPlan), plan_fields };

VirgaVpcPlan *
virga_vpc_plan_new(const char *id)
{
    VirgaVpcPlan *plan = virga_record_new(&plan_type);
    plan->id = g_strdup(id);
    return plan;
}

void
virga_vpc_plan_free(VirgaVpcPlan *plan)
{
    virga_record_free(&plan_type, plan);
}

VirgaVpcSubnet *
virga_vpc_plan_add_subnet(VirgaVpcPlan *plan, const char *id)
{
    VirgaVpcSubnet *subnet = virga_record_add(plan->subnets, &subnet_type);

    subnet->id = g_strdup(id);
    return subnet;
}

VirgaVpcPort *
virga_vpc_plan_add_port(VirgaVpcPlan *plan, const char *id)
{
    VirgaVpcPort *port = virga_record_add(plan->ports, &port_type);

    port->id = g_strdup(id);
    port->source_dest_check = true;
    return port;
}

VirgaVpcGroup *
virga_vpc_plan_add_group(VirgaVpcPlan *plan, const char *id)
{
    VirgaVpcGroup *group = virga_record_add(plan->groups, &group_type);

    group->id = g_strdup(id);
    return group;
}

VirgaVpcRule *
virga_vpc_group_add_rule(VirgaVpcGroup *group, const char *id)
{
    VirgaVpcRule *rule = virga_record_add(group->rules, &rule_type);

    rule->id = g_strdup(id);
    rule->from_port = rule->to_port = -1;
    return rule;
}

VirgaVpcAddress *
virga_vpc_port_add_address(VirgaVpcPort *port, const char *address)
{
    VirgaVpcAddress *secondary = virga_record_add(port->secondary, &address_type);

    secondary->address = g_strdup(address);
    return secondary;
}

VirgaVpcRouteTable *
virga_vpc_plan_add_route_table(VirgaVpcPlan *plan, const char *id)
{
    VirgaVpcRouteTable *table = virga_record_add(plan->route_tables, &route_table_type);

    table->id = g_strdup(id);
    return table;
}

VirgaVpcRoute *
virga_vpc_route_table_add(VirgaVpcRouteTable *table, const char *cidr4, const char *target,
                          const char *target_id)
{
    VirgaVpcRoute *route = virga_record_add(table->routes, &route_type);

    route->cidr4 = g_strdup(cidr4);
    route->target = g_strdup(target);
    route->target_id = g_strdup(target_id);
    return route;
}

VirgaVpcNatGateway *
virga_vpc_plan_add_nat_gateway(VirgaVpcPlan *plan, const char *id)
{
    VirgaVpcNatGateway *gateway = virga_record_add(plan->nat_gateways, &nat_gateway_type);

    gateway->id = g_strdup(id);
    return gateway;
}

VirgaVpcAcl *
virga_vpc_plan_add_acl(VirgaVpcPlan *plan, const char *id)
{
    VirgaVpcAcl *acl = virga_record_add(plan->acls, &acl_type);

    acl->id = g_strdup(id);
    return acl;
}

VirgaVpcAclEntry *
virga_vpc_acl_add_entry(VirgaVpcAcl *acl, gint64 number, bool egress, bool allow)
{
    VirgaVpcAclEntry *entry = virga_record_add(acl->entries, &acl_entry_type);

    entry->number = number;
    entry->egress = egress;
    entry->allow = allow;
    entry->from_port = entry->to_port = -1;
    return entry;
}

const VirgaVpcSubnet *
virga_vpc_plan_subnet(const VirgaVpcPlan *plan, const char *id)
{
    for (guint i = 0; i < plan->subnets->len; i++) {
        const VirgaVpcSubnet *subnet = plan->subnets->pdata[i];
        if (g_str_equal(subnet->id, id))
            return subnet;
    }
    return NULL;
}

const VirgaVpcPort *
virga_vpc_plan_port(const VirgaVpcPlan *plan, const char *id)
{
    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];
        if (g_str_equal(port->id, id))
            return port;
    }
    return NULL;
}

const VirgaVpcNatGateway *
virga_vpc_plan_nat_gateway(const VirgaVpcPlan *plan, const char *id)
{
    for (guint i = 0; i < plan->nat_gateways->len; i++) {
        const VirgaVpcNatGateway *gateway = plan->nat_gateways->pdata[i];
        if (g_str_equal(gateway->id, id))
            return gateway;
    }
    return NULL;
}

static bool
names(char **subnet_ids, const char *id)
{
    return subnet_ids && g_strv_contains((const char *const *) subnet_ids, id);
}

const VirgaVpcRouteTable *
virga_vpc_plan_table_of(const VirgaVpcPlan *plan, const char *subnet_id)
{
    const VirgaVpcRouteTable *main_table = NULL;

    for (guint i = 0; i < plan->route_tables->len; i++) {
        const VirgaVpcRouteTable *table = plan->route_tables->pdata[i];

        if (names(table->subnet_ids, subnet_id))
            return table;
        if (table->is_main)
            main_table = table;
    }
    return main_table;
}

const VirgaVpcAcl *
virga_vpc_plan_acl_of(const VirgaVpcPlan *plan, const char *subnet_id)
{
    const VirgaVpcAcl *fallback = NULL;

    for (guint i = 0; i < plan->acls->len; i++) {
        const VirgaVpcAcl *acl = plan->acls->pdata[i];

        if (names(acl->subnet_ids, subnet_id))
            return acl;
        if (acl->is_default)
            fallback = acl;
    }
    return fallback;
}

const VirgaVpcRoute *
virga_vpc_route_table_find(const VirgaVpcRouteTable *table, guint32 base, unsigned prefix)
{
    const VirgaVpcRoute *found = NULL;
    unsigned longest = 0;

    for (guint i = 0; i < table->routes->len; i++) {
        const VirgaVpcRoute *route = table->routes->pdata[i];
        guint32 its_base;
        unsigned its_prefix;

        if (virga_cidr_parse(route->cidr4, &its_base, &its_prefix) && its_prefix <= prefix &&
            virga_cidr_has(its_base, its_prefix, base) && !g_str_equal(route->target, "local") &&
            (!found || its_prefix > longest)) {
            found = route;
            longest = its_prefix;
        }
    }
    return found;
}

bool
virga_vpc_plan_has_gateway(const VirgaVpcPlan *plan)
{
    return plan->route_tables->len == 0 || plan->has_internet_gateway;
}

VirgaVpcPlan *
virga_vpc_plan_from_json(JsonNode *json, GError **error)
{
    g_autoptr(VirgaVpcPlan) plan = virga_record_from_json(&plan_type, json, error);

    if (!plan || !virga_vpc_plan_check(plan, error))
        return NULL;
    return g_steal_pointer(&plan);
}

VirgaVpcPlan *
virga_vpc_plan_from_text(const char *text, GError **error)
{
    g_autoptr(VirgaVpcPlan) plan = virga_record_from_text(&plan_type, text, error);

    if (!plan || !virga_vpc_plan_check(plan, error))
        return NULL;
    return g_steal_pointer(&plan);
}

JsonNode *
virga_vpc_plan_to_json(const VirgaVpcPlan *plan)
{
    return virga_record_to_json(&plan_type, plan);
}

char *
virga_vpc_plan_to_text(const VirgaVpcPlan *plan)
{
    return virga_record_to_text(&plan_type, plan);
}
