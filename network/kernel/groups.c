/* SPDX-License-Identifier: Apache-2.0 */
/* Security groups as chains: for a group and a direction one chain, for a port one that jumps to
 * those of its groups.  Members are hash sets; ports and CIDRs of a group's rules are joined to
 * interval sets.  A new connection costs as many rules as its groups tell peers apart, however
 * many members and ports there are. */
#include "kernel-priv.h"

#include "network/address.h"

#include <string.h>

typedef struct {
    guint32 first, last;
} Range;

/* The rules of one group that match the same packets but for the address. */
typedef struct {
    char *match; /* "tcp dport 22", "" for everything */
    GArray *ranges;
    GPtrArray *group_ids; /* loans */
} RuleClass;

static void
rule_class_free(RuleClass *class)
{
    g_free(class->match);
    g_array_unref(class->ranges);
    g_ptr_array_unref(class->group_ids);
    g_free(class);
}

char *
virga_policy_identifier(const char *id)
{
    return g_strdelimit(g_strdup(id), "-", '_');
}

static char *
ports_match(const char *protocol, gint64 from, gint64 to)
{
    if (from < 0 || to < 0 || (from == 0 && to == 65535))
        return g_strdup_printf("meta l4proto %s", protocol);
    if (from == to)
        return g_strdup_printf("%s dport %" G_GINT64_FORMAT, protocol, from);
    return g_strdup_printf("%s dport %" G_GINT64_FORMAT "-%" G_GINT64_FORMAT, protocol,
                           MIN(from, to), MAX(from, to));
}

static char *
icmp_match(gint64 type, gint64 code)
{
    if (type < 0 || type > 255)
        return g_strdup("meta l4proto icmp");
    if (code < 0 || code > 255)
        return g_strdup_printf("icmp type %" G_GINT64_FORMAT, type);
    return g_strdup_printf("icmp type %" G_GINT64_FORMAT " icmp code %" G_GINT64_FORMAT, type,
                           code);
}

char *
virga_policy_match(const char *protocol, gint64 from, gint64 to)
{
    if (g_str_equal(protocol, "-1"))
        return g_strdup("");
    if (g_str_equal(protocol, "tcp") || g_str_equal(protocol, "6"))
        return ports_match("tcp", from, to);
    if (g_str_equal(protocol, "udp") || g_str_equal(protocol, "17"))
        return ports_match("udp", from, to);
    if (g_str_equal(protocol, "icmp") || g_str_equal(protocol, "1"))
        return icmp_match(from, to);
    if (g_str_equal(protocol, "icmpv6") || g_str_equal(protocol, "58"))
        return NULL;
    return g_strdup_printf("meta l4proto %s", protocol);
}

/* The ports of one protocol that one peer may use. */
typedef struct {
    const char *protocol, *cidr4, *group_id; /* loans */
    GArray *ports;
} PortClass;

static void
port_class_free(PortClass *class)
{
    g_array_unref(class->ports);
    g_free(class);
}

static RuleClass *
class_of(GPtrArray *classes, char *match)
{
    RuleClass *class;

    for (guint i = 0; i < classes->len; i++) {
        class = classes->pdata[i];
        if (g_str_equal(class->match, match)) {
            g_free(match);
            return class;
        }
    }
    class = g_new0(RuleClass, 1);
    class->match = match;
    class->ranges = g_array_new(FALSE, FALSE, sizeof(Range));
    class->group_ids = g_ptr_array_new();
    g_ptr_array_add(classes, class);
    return class;
}

static int
compare_ranges(const void *a, const void *b)
{
    const Range *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* Sorts, and joins what overlaps or touches: nft refuses overlapping intervals. */
static void
merge_ranges(GArray *ranges)
{
    guint kept = 0;

    g_array_sort(ranges, compare_ranges);
    for (guint i = 1; i < ranges->len; i++) {
        Range *last = &g_array_index(ranges, Range, kept);
        Range *next = &g_array_index(ranges, Range, i);

        if (last->last == G_MAXUINT32 || next->first <= last->last + 1)
            last->last = MAX(last->last, next->last);
        else
            g_array_index(ranges, Range, ++kept) = *next;
    }
    if (ranges->len > 0)
        g_array_set_size(ranges, kept + 1);
}

static void
add_peer(RuleClass *class, const char *cidr4, const char *group_id)
{
    guint32 base;
    unsigned prefix;

    if (group_id) {
        g_ptr_array_add(class->group_ids, (gpointer) group_id);
    } else if (virga_cidr_parse(cidr4, &base, &prefix)) {
        Range range = { base, virga_cidr_last(base, prefix) };
        g_array_append_val(class->ranges, range);
    }
}

/* "tcp" or "udp" if the rule is about some of its ports only, or NULL. */
static const char *
protocol_with_ports(const VirgaVpcRule *rule)
{
    bool all = rule->from_port < 0 || rule->to_port < 0 ||
               (rule->from_port == 0 && rule->to_port == 65535);

    if (all)
        return NULL;
    if (g_str_equal(rule->protocol, "tcp") || g_str_equal(rule->protocol, "6"))
        return "tcp";
    return g_str_equal(rule->protocol, "udp") || g_str_equal(rule->protocol, "17") ? "udp" : NULL;
}

static void
add_ports(GPtrArray *port_classes, GHashTable *by_peer, const char *protocol,
          const VirgaVpcRule *rule)
{
    Range range = { (guint32) MIN(rule->from_port, rule->to_port),
                    (guint32) MAX(rule->from_port, rule->to_port) };
    const char *peer = rule->group_id ? rule->group_id : rule->cidr4;
    g_autofree char *key = g_strdup_printf("%s %s", protocol, peer);
    PortClass *class = g_hash_table_lookup(by_peer, key);

    if (!class) {
        class = g_new0(PortClass, 1);
        *class = (PortClass){ protocol, rule->cidr4, rule->group_id,
                              g_array_new(FALSE, FALSE, sizeof(Range)) };
        g_ptr_array_add(port_classes, class);
        g_hash_table_insert(by_peer, g_steal_pointer(&key), class);
    }
    g_array_append_val(class->ports, range);
}

/* "tcp dport 22", "tcp dport { 22, 80-90 }" */
static char *
match_of(const PortClass *class)
{
    g_autoptr(GString) text = g_string_new(class->protocol);

    merge_ranges(class->ports);
    g_string_append(text, class->ports->len > 1 ? " dport { " : " dport ");
    for (guint i = 0; i < class->ports->len; i++) {
        const Range *range = &g_array_index(class->ports, Range, i);

        g_string_append_printf(text, "%s%u", i ? ", " : "", range->first);
        if (range->last != range->first)
            g_string_append_printf(text, "-%u", range->last);
    }
    if (class->ports->len > 1)
        g_string_append(text, " }");
    return g_string_free(g_steal_pointer(&text), FALSE);
}

/* First the ports of each peer are joined, then the peers that have the same: sixty rules for as
 * many ports of one group become one, and so do sixty for as many blocks at one port. */
static GPtrArray *
classify(const VirgaVpcGroup *group, const char *direction)
{
    GPtrArray *classes = g_ptr_array_new_with_free_func((GDestroyNotify) rule_class_free);
    g_autoptr(GPtrArray) port_classes =
        g_ptr_array_new_with_free_func((GDestroyNotify) port_class_free);
    g_autoptr(GHashTable) by_peer = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < group->rules->len; i++) {
        const VirgaVpcRule *rule = group->rules->pdata[i];
        const char *protocol = protocol_with_ports(rule);
        char *match;

        if (!g_str_equal(rule->direction, direction))
            continue;
        if (protocol) {
            add_ports(port_classes, by_peer, protocol, rule);
            continue;
        }
        match = virga_policy_match(rule->protocol, rule->from_port, rule->to_port);
        if (match)
            add_peer(class_of(classes, match), rule->cidr4, rule->group_id);
    }
    for (guint i = 0; i < port_classes->len; i++) {
        const PortClass *class = port_classes->pdata[i];
        add_peer(class_of(classes, match_of(class)), class->cidr4, class->group_id);
    }
    return classes;
}

static void
append_range(GString *text, const Range *range)
{
    g_autofree char *first = virga_ipv4_text(range->first);
    g_autofree char *last = virga_ipv4_text(range->last);

    if (range->first == range->last)
        g_string_append(text, first);
    else
        g_string_append_printf(text, "%s-%s", first, last);
}

static void
add_rule(VirgaRulesetPart *chain, const char *match, const char *address, const char *verdict)
{
    virga_ruleset_line(chain, "%s%s%s%s%s", match, *match ? " " : "", address, *address ? " " : "",
                       verdict);
}

static void
add_class(VirgaRulesetPart *chain, RuleClass *class, bool ingress)
{
    const char *side = ingress ? "ip saddr" : "ip daddr";
    const char *verdict = ingress ? "accept" : "goto deliver";
    g_autoptr(GString) address = g_string_new(NULL);
    Range *ranges;

    merge_ranges(class->ranges);
    ranges = (Range *) (void *) class->ranges->data;
    if (class->ranges->len == 1 && ranges->first == 0 && ranges->last == G_MAXUINT32) {
        add_rule(chain, class->match, "", verdict);
        return; /* everybody: no reference to a group can add to it */
    }
    if (class->ranges->len > 0) {
        g_string_printf(address, "%s { ", side);
        for (guint i = 0; i < class->ranges->len; i++) {
            g_string_append(address, i ? ", " : "");
            append_range(address, &ranges[i]);
        }
        g_string_append(address, " }");
        add_rule(chain, class->match, address->str, verdict);
    }
    for (guint i = 0; i < class->group_ids->len; i++) {
        g_autofree char *name = virga_policy_identifier(class->group_ids->pdata[i]);

        g_string_printf(address, "%s @members_%s", side, name);
        add_rule(chain, class->match, address->str, verdict);
    }
}

static void
add_group(VirgaRuleset *ruleset, const VirgaVpcGroup *group, bool ingress)
{
    g_autoptr(GPtrArray) classes = classify(group, ingress ? "ingress" : "egress");
    g_autofree char *id = virga_policy_identifier(group->id);
    g_autofree char *name = g_strconcat(id, ingress ? "_in" : "_out", NULL);
    VirgaRulesetPart *chain = virga_ruleset_add(ruleset, "chain", VIRGA_POLICY_TABLE, name, "");

    for (guint i = 0; i < classes->len; i++)
        add_class(chain, classes->pdata[i], ingress);
}

/* The chain of a port's groups in one direction. */
static void
add_port(VirgaRuleset *ruleset, const VirgaVpcPort *port, bool ingress)
{
    const char *suffix = ingress ? "in" : "out";
    g_autofree char *id = virga_policy_identifier(port->id);
    g_autofree char *name = g_strconcat(id, "_", suffix, NULL);
    VirgaRulesetPart *chain = virga_ruleset_add(ruleset, "chain", VIRGA_POLICY_TABLE, name, "");

    if (port->of_balancer && (!port->group_ids || !port->group_ids[0])) {
        virga_ruleset_line(chain, ingress ? "accept" : "goto deliver");
        return;
    }
    for (char **group = port->group_ids; group && *group; group++) {
        g_autofree char *group_name = virga_policy_identifier(*group);
        virga_ruleset_line(chain, "jump %s_%s", group_name, suffix);
    }
    virga_ruleset_line(chain, "drop");
}

/* The groups that local ports are in: no others are asked here. */
static GHashTable *
used_groups(const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    GHashTable *used = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];

        for (char **id = port->group_ids; id && *id && virga_kernel_is_local(config, port); id++)
            g_hash_table_add(used, *id);
    }
    return used;
}

/* A set of addresses for every group that a rule of a used group refers to: id -> part. */
static GHashTable *
add_member_sets(VirgaRuleset *ruleset, const VirgaVpcPlan *plan, GHashTable *used)
{
    GHashTable *sets = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint g = 0; g < plan->groups->len; g++) {
        const VirgaVpcGroup *group = plan->groups->pdata[g];

        for (guint r = 0; g_hash_table_contains(used, group->id) && r < group->rules->len; r++) {
            const VirgaVpcRule *rule = group->rules->pdata[r];
            g_autofree char *id = NULL, *name = NULL;

            if (!rule->group_id || g_hash_table_contains(sets, rule->group_id))
                continue;
            id = virga_policy_identifier(rule->group_id);
            name = g_strconcat("members_", id, NULL);
            g_hash_table_insert(
                sets, rule->group_id,
                virga_ruleset_add(ruleset, "set", VIRGA_POLICY_TABLE, name, "type ipv4_addr"));
        }
    }
    return sets;
}

void
virga_policy_members(VirgaRuleset *ruleset, const VirgaKernelConfig *config,
                     const VirgaVpcPlan *plan)
{
    g_autoptr(GHashTable) used = used_groups(config, plan);
    g_autoptr(GHashTable) sets = add_member_sets(ruleset, plan, used);

    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];

        for (char **id = port->group_ids; id && *id; id++) {
            VirgaRulesetPart *set = g_hash_table_lookup(sets, *id);

            if (!set)
                continue;
            virga_ruleset_line(set, "%s", port->address);
            for (guint a = 0; a < port->secondary->len; a++)
                virga_ruleset_line(set, "%s",
                                   ((VirgaVpcAddress *) port->secondary->pdata[a])->address);
        }
    }
}

void
virga_policy_groups(VirgaRuleset *ruleset, const VirgaKernelConfig *config,
                    const VirgaVpcPlan *plan)
{
    g_autoptr(GHashTable) used = used_groups(config, plan);

    for (guint i = 0; i < plan->groups->len; i++) {
        const VirgaVpcGroup *group = plan->groups->pdata[i];

        if (g_hash_table_contains(used, group->id)) {
            add_group(ruleset, group, true);
            add_group(ruleset, group, false);
        }
    }
    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];

        if (virga_kernel_is_local(config, port)) {
            add_port(ruleset, port, true);
            add_port(ruleset, port, false);
        }
    }
}
