/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a VPC: memory, wire format and validity. */
#include "network/plan.h"

#include "core/error.h"
#include "core/id.h"
#include "network/address.h"
#include "core/record.h"

#include <string.h>

#define VNI_MAX    0xffffff
#define MTU_MIN    576
#define MTU_MAX    65520
#define LABEL_MAX  63
#define DOMAIN_MAX 200
#define PREFIX_MIN 8 /* of a VPC; EC2 itself says 16 */
#define PREFIX_MAX 29

static const VirgaField subnet_fields[] = {
    { "id", VIRGA_FIELD_STRING, offsetof(VirgaVpcSubnet, id), true, NULL },
    { "zone", VIRGA_FIELD_STRING, offsetof(VirgaVpcSubnet, zone), false, NULL },
    { "cidr", VIRGA_FIELD_STRING, offsetof(VirgaVpcSubnet, cidr), true, NULL },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType subnet_type = { "subnet", sizeof(VirgaVpcSubnet), subnet_fields };

static const VirgaField port_fields[] = {
    { "id", VIRGA_FIELD_STRING, offsetof(VirgaVpcPort, id), true, NULL },
    { "instance_id", VIRGA_FIELD_STRING, offsetof(VirgaVpcPort, instance_id), false, NULL },
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
    { "mtu", VIRGA_FIELD_INTEGER, offsetof(VirgaVpcPort, mtu), false, NULL },
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

static const VirgaField plan_fields[] = {
    { "id", VIRGA_FIELD_STRING, offsetof(VirgaVpcPlan, id), true, NULL },
    { "generation", VIRGA_FIELD_INTEGER, offsetof(VirgaVpcPlan, generation), true, NULL },
    { "cidrs", VIRGA_FIELD_STRINGS, offsetof(VirgaVpcPlan, cidrs), true, NULL },
    { "vni", VIRGA_FIELD_INTEGER, offsetof(VirgaVpcPlan, vni), false, NULL },
    { "domain", VIRGA_FIELD_STRING, offsetof(VirgaVpcPlan, domain), true, NULL },
    { "subnets", VIRGA_FIELD_RECORDS, offsetof(VirgaVpcPlan, subnets), false, &subnet_type },
    { "ports", VIRGA_FIELD_RECORDS, offsetof(VirgaVpcPlan, ports), false, &port_type },
    { "groups", VIRGA_FIELD_RECORDS, offsetof(VirgaVpcPlan, groups), false, &group_type },
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
    VirgaVpcSubnet *subnet = virga_record_new(&subnet_type);

    subnet->id = g_strdup(id);
    g_ptr_array_add(plan->subnets, subnet);
    return subnet;
}

VirgaVpcPort *
virga_vpc_plan_add_port(VirgaVpcPlan *plan, const char *id)
{
    VirgaVpcPort *port = virga_record_new(&port_type);

    port->id = g_strdup(id);
    port->source_dest_check = true;
    g_ptr_array_add(plan->ports, port);
    return port;
}

VirgaVpcGroup *
virga_vpc_plan_add_group(VirgaVpcPlan *plan, const char *id)
{
    VirgaVpcGroup *group = virga_record_new(&group_type);

    group->id = g_strdup(id);
    g_ptr_array_add(plan->groups, group);
    return group;
}

VirgaVpcRule *
virga_vpc_group_add_rule(VirgaVpcGroup *group, const char *id)
{
    VirgaVpcRule *rule = virga_record_new(&rule_type);

    rule->id = g_strdup(id);
    rule->from_port = rule->to_port = -1;
    g_ptr_array_add(group->rules, rule);
    return rule;
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

/* One label, or several with dots between if 'dots'. */
static bool
is_name(const char *text, bool dots)
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

static bool
check_head(const VirgaVpcPlan *plan, GError **error)
{
    guint32 base;
    unsigned prefix;

    if (!virga_id_is(plan->id, "vpc"))
        return virga_fail(error, "vpc", VIRGA_ERROR_INVALID, "\"%s\" is no id of a vpc", plan->id);
    if (!is_name(plan->domain, true))
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
    return true;
}

static bool
check_subnet(const VirgaVpcSubnet *subnet, GError **error)
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
    return true;
}

static bool
check_port_members(const VirgaVpcPlan *plan, const VirgaVpcPort *port)
{
    const VirgaVpcSubnet *subnet = virga_vpc_plan_subnet(plan, port->subnet_id);
    guint32 address, base, other;
    unsigned prefix;

    return virga_id_is(port->id, "eni") && subnet && virga_mac_is(port->mac) &&
           virga_ipv4_parse(port->address, &address) &&
           virga_cidr_parse(subnet->cidr, &base, &prefix) &&
           virga_cidr_has(base, prefix, address) &&
           (!port->public_address || virga_ipv4_parse(port->public_address, &other)) &&
           (!port->host_address || virga_ipv4_parse(port->host_address, &other)) &&
           (!port->hostname || is_name(port->hostname, false)) &&
           (port->mtu == 0 || (port->mtu >= MTU_MIN && port->mtu <= MTU_MAX));
}

static bool
check_port(const VirgaVpcPlan *plan, const VirgaVpcPort *port, GHashTable *groups, GError **error)
{
    if (!check_port_members(plan, port))
        return virga_fail(error, "network interface", VIRGA_ERROR_INVALID,
                          "network interface \"%s\" has a malformed member", port->id);
    for (char **group = port->group_ids; group && *group; group++)
        if (!g_hash_table_contains(groups, *group))
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
check_rule(const VirgaVpcGroup *group, const VirgaVpcRule *rule, GError **error)
{
    bool ingress = g_str_equal(rule->direction, "ingress");
    guint32 base;
    unsigned prefix;

    if ((!ingress && !g_str_equal(rule->direction, "egress")) || !is_protocol(rule->protocol) ||
        rule->from_port < -1 || rule->from_port > 65535 || rule->to_port < -1 ||
        rule->to_port > 65535 || (rule->cidr4 == NULL) == (rule->group_id == NULL) ||
        (rule->cidr4 && !virga_cidr_parse(rule->cidr4, &base, &prefix)) ||
        (rule->group_id && !virga_id_is(rule->group_id, "sg")))
        return virga_fail(error, "security group rule", VIRGA_ERROR_INVALID,
                          "security group \"%s\" has a malformed rule \"%s\"", group->id,
                          rule->id ? rule->id : "");
    return true;
}

bool
virga_vpc_plan_check(const VirgaVpcPlan *plan, GError **error)
{
    g_autoptr(GHashTable) groups = g_hash_table_new(g_str_hash, g_str_equal);

    if (!check_head(plan, error))
        return false;
    for (guint i = 0; i < plan->subnets->len; i++)
        if (!check_subnet(plan->subnets->pdata[i], error))
            return false;
    for (guint i = 0; i < plan->groups->len; i++) {
        VirgaVpcGroup *group = plan->groups->pdata[i];

        if (!virga_id_is(group->id, "sg") || !g_hash_table_add(groups, group->id))
            return virga_fail(error, "security group", VIRGA_ERROR_INVALID,
                              "\"%s\" is no id of a security group or comes twice", group->id);
        for (guint r = 0; r < group->rules->len; r++)
            if (!check_rule(group, group->rules->pdata[r], error))
                return false;
    }
    for (guint i = 0; i < plan->ports->len; i++)
        if (!check_port(plan, plan->ports->pdata[i], groups, error))
            return false;
    return true;
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
