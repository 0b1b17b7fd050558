/* SPDX-License-Identifier: Apache-2.0 */
/* The packet filter of a VPC on this host as nftables text.
 *
 * prerouting   a guest's packet must bear the guest's own MAC and address (ARP: its own table)
 * forward      -> out_<port> (egress rules of its groups) -> deliver -> in_<port> (ingress rules)
 * input        from guests only DHCP, DNS, metadata and ping
 * nat          public <-> private, only across the uplink
 *
 * Dispatch is by verdict map, members of groups are hash sets and the CIDRs of a group's rules
 * with the same protocol and ports are one interval set: a new connection costs as many rules as
 * its groups have distinct (protocol, ports), however many guests there are.  Later packets of a
 * connection cost one rule. */
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

/* "sg-0abc" as an identifier of nft. */
static char *
identifier(const char *id)
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

/* NULL: matches no IPv4 packet. */
static char *
rule_match(const VirgaVpcRule *rule)
{
    const char *protocol = rule->protocol;

    if (g_str_equal(protocol, "-1"))
        return g_strdup("");
    if (g_str_equal(protocol, "tcp") || g_str_equal(protocol, "6"))
        return ports_match("tcp", rule->from_port, rule->to_port);
    if (g_str_equal(protocol, "udp") || g_str_equal(protocol, "17"))
        return ports_match("udp", rule->from_port, rule->to_port);
    if (g_str_equal(protocol, "icmp") || g_str_equal(protocol, "1"))
        return icmp_match(rule->from_port, rule->to_port);
    if (g_str_equal(protocol, "icmpv6") || g_str_equal(protocol, "58"))
        return NULL;
    return g_strdup_printf("meta l4proto %s", protocol);
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

static GPtrArray *
classify(const VirgaVpcGroup *group, const char *direction)
{
    GPtrArray *classes = g_ptr_array_new_with_free_func((GDestroyNotify) rule_class_free);

    for (guint i = 0; i < group->rules->len; i++) {
        const VirgaVpcRule *rule = group->rules->pdata[i];
        char *match = g_str_equal(rule->direction, direction) ? rule_match(rule) : NULL;
        RuleClass *class;
        guint32 base;
        unsigned prefix;

        if (!match)
            continue;
        class = class_of(classes, match);
        if (rule->group_id) {
            g_ptr_array_add(class->group_ids, rule->group_id);
        } else if (virga_cidr_parse(rule->cidr4, &base, &prefix)) {
            Range range = { base, virga_cidr_last(base, prefix) };
            g_array_append_val(class->ranges, range);
        }
    }
    return classes;
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
append_rule(GString *text, const char *match, const char *address, const char *verdict)
{
    g_string_append_printf(text, "\t\t%s%s%s%s%s\n", match, *match ? " " : "", address,
                           *address ? " " : "", verdict);
}

static void
append_class(GString *text, RuleClass *class, bool ingress)
{
    const char *side = ingress ? "ip saddr" : "ip daddr";
    const char *verdict = ingress ? "accept" : "goto deliver";
    g_autoptr(GString) address = g_string_new(NULL);
    Range *ranges;

    merge_ranges(class->ranges);
    ranges = (Range *) (void *) class->ranges->data;
    if (class->ranges->len == 1 && ranges->first == 0 && ranges->last == G_MAXUINT32) {
        append_rule(text, class->match, "", verdict);
        return; /* everybody: no reference to a group can add to it */
    }
    if (class->ranges->len > 0) {
        g_string_printf(address, "%s { ", side);
        for (guint i = 0; i < class->ranges->len; i++) {
            g_string_append(address, i ? ", " : "");
            append_range(address, &ranges[i]);
        }
        g_string_append(address, " }");
        append_rule(text, class->match, address->str, verdict);
    }
    for (guint i = 0; i < class->group_ids->len; i++) {
        g_autofree char *name = identifier(class->group_ids->pdata[i]);

        g_string_printf(address, "%s @members_%s", side, name);
        append_rule(text, class->match, address->str, verdict);
    }
}

static void
append_group(GString *text, const VirgaVpcGroup *group, bool ingress)
{
    g_autoptr(GPtrArray) classes = classify(group, ingress ? "ingress" : "egress");
    g_autofree char *name = identifier(group->id);

    g_string_append_printf(text, "\tchain %s_%s {\n", name, ingress ? "in" : "out");
    for (guint i = 0; i < classes->len; i++)
        append_class(text, classes->pdata[i], ingress);
    g_string_append(text, "\t}\n");
}

/* A set or map; without elements nft wants no "elements" at all. */
static void
append_set(GString *text, const char *kind, const char *name, const char *type, GPtrArray *elements)
{
    g_string_append_printf(text, "\t%s %s {\n\t\ttype %s\n", kind, name, type);
    for (guint i = 0; i < elements->len; i++)
        g_string_append_printf(text, "%s%s%s", i ? ",\n\t\t\t" : "\t\telements = {\n\t\t\t",
                               (char *) elements->pdata[i],
                               i + 1 == elements->len ? "\n\t\t}\n" : "");
    g_string_append(text, "\t}\n");
}

static bool
is_member(const VirgaVpcPort *port, const char *group_id)
{
    return port->group_ids && g_strv_contains((const char *const *) port->group_ids, group_id);
}

/* Sets of the addresses of every group that some rule refers to. */
static void
append_members(GString *text, const VirgaVpcPlan *plan)
{
    g_autoptr(GHashTable) done = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint g = 0; g < plan->groups->len; g++) {
        const VirgaVpcGroup *group = plan->groups->pdata[g];

        for (guint r = 0; r < group->rules->len; r++) {
            const VirgaVpcRule *rule = group->rules->pdata[r];
            g_autoptr(GPtrArray) members = g_ptr_array_new();
            g_autofree char *name = NULL, *set = NULL;

            if (!rule->group_id || !g_hash_table_add(done, rule->group_id))
                continue;
            for (guint p = 0; p < plan->ports->len; p++) {
                const VirgaVpcPort *port = plan->ports->pdata[p];
                if (is_member(port, rule->group_id))
                    g_ptr_array_add(members, port->address);
            }
            name = identifier(rule->group_id);
            set = g_strdup_printf("members_%s", name);
            append_set(text, "set", set, "ipv4_addr", members);
        }
    }
}

/* The chain of a port's groups in one direction. */
static void
append_port(GString *text, const VirgaVpcPort *port, bool ingress)
{
    g_autofree char *name = identifier(port->id);
    const char *suffix = ingress ? "in" : "out";

    g_string_append_printf(text, "\tchain %s_%s {\n", name, suffix);
    for (char **group = port->group_ids; group && *group; group++) {
        g_autofree char *group_name = identifier(*group);
        g_string_append_printf(text, "\t\tjump %s_%s\n", group_name, suffix);
    }
    g_string_append(text, "\t\tdrop\n\t}\n");
}

/* What is known of local ports, as elements of sets and maps. */
typedef struct {
    GPtrArray *bound, *macs, *routers, *out, *in, *translated, *to_private, *to_public;
} Elements;

static void
elements_done(Elements *elements)
{
    GPtrArray **array = (GPtrArray **) elements;
    for (size_t i = 0; i < sizeof *elements / sizeof *array; i++)
        g_ptr_array_unref(array[i]);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Elements, elements_done)

static void
elements_init(Elements *elements)
{
    GPtrArray **array = (GPtrArray **) elements;
    for (size_t i = 0; i < sizeof *elements / sizeof *array; i++)
        array[i] = g_ptr_array_new_with_free_func(g_free);
}

static void
elements_add(Elements *elements, const VirgaKernelConfig *config, const VirgaVpcPort *port)
{
    g_autofree char *tap = virga_kernel_tap(config, port->id);
    g_autofree char *name = identifier(port->id);

    g_ptr_array_add(elements->bound,
                    g_strdup_printf("\"%s\" . %s . %s", tap, port->mac, port->address));
    g_ptr_array_add(elements->macs, g_strdup_printf("\"%s\" . %s", tap, port->mac));
    if (!port->source_dest_check)
        g_ptr_array_add(elements->routers, g_strdup_printf("\"%s\" . %s", tap, port->mac));
    g_ptr_array_add(elements->out, g_strdup_printf("\"%s\" : goto %s_out", tap, name));
    g_ptr_array_add(elements->in, g_strdup_printf("\"%s\" : goto %s_in", tap, name));
    if (!port->public_address)
        return;
    g_ptr_array_add(elements->translated, g_strdup(port->address));
    g_ptr_array_add(elements->to_private,
                    g_strdup_printf("%s : %s", port->public_address, port->address));
    g_ptr_array_add(elements->to_public,
                    g_strdup_printf("%s : %s", port->address, port->public_address));
}

static void
append_arp(GString *text, const VirgaKernelConfig *config, const Elements *elements)
{
    g_string_append(text, "table arp virga {\n");
    append_set(text, "set", "bound", "ifname . ether_addr . ipv4_addr", elements->bound);
    append_set(text, "set", "macs", "ifname . ether_addr", elements->macs);
    /* 0.0.0.0: a guest asks whether its address is taken. */
    g_string_append_printf(text,
                           "\tchain input {\n"
                           "\t\ttype filter hook input priority filter; policy accept;\n"
                           "\t\tiifname != \"v%s*\" accept\n"
                           "\t\tiifname . arp saddr ether . arp saddr ip @bound accept\n"
                           "\t\tarp saddr ip 0.0.0.0 iifname . arp saddr ether @macs accept\n"
                           "\t\tdrop\n"
                           "\t}\n"
                           "}\n",
                           config->tag);
}

static void
append_fixed_chains(GString *text, const VirgaKernelConfig *config, const char *resolver)
{
    g_string_append_printf(
        text,
        "\tchain source {\n"
        "\t\ttype filter hook prerouting priority raw; policy accept;\n"
        "\t\tiifname \"v%s*\" jump guest\n"
        "\t}\n"
        "\tchain guest {\n"
        "\t\tmeta nfproto ipv6 drop\n"
        "\t\tudp sport 67 drop\n"
        "\t\tiifname . ether saddr . ip saddr @bound return\n"
        "\t\tip saddr 0.0.0.0 udp sport 68 udp dport 67 iifname . ether saddr @macs return\n"
        "\t\tiifname . ether saddr @routers return\n"
        "\t\tdrop\n"
        "\t}\n"
        "\tchain to_private {\n"
        "\t\ttype nat hook prerouting priority dstnat; policy accept;\n"
        "\t\tiifname \"" VIRGA_UPLINK "\" dnat ip to ip daddr map @private\n"
        "\t}\n"
        "\tchain to_public {\n"
        "\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
        "\t\toifname \"" VIRGA_UPLINK "\" snat ip to ip saddr map @public\n"
        "\t}\n",
        config->tag);
    /* The check of the uplink stands before "established": a guest that has lost its public
     * address loses its connections too, as in EC2. */
    g_string_append(text,
                    "\tchain forward {\n"
                    "\t\ttype filter hook forward priority filter; policy drop;\n"
                    "\t\tmeta nfproto ipv6 drop\n"
                    "\t\ticmp type redirect drop\n"
                    "\t\toifname \"" VIRGA_UPLINK "\" ip saddr != @translated reject with icmp "
                    "type net-unreachable\n"
                    "\t\tct state established,related accept\n"
                    "\t\tct state invalid drop\n"
                    "\t\tip daddr 169.254.0.0/16 drop\n"
                    "\t\tiifname \"" VIRGA_UPLINK "\" ct status dnat goto deliver\n"
                    "\t\tiifname \"" VIRGA_VXLAN "\" goto deliver\n"
                    "\t\tiifname vmap @outbound\n"
                    "\t}\n"
                    "\tchain deliver {\n"
                    "\t\toifname { \"" VIRGA_UPLINK "\", \"" VIRGA_VXLAN "\" } accept\n"
                    "\t\toifname vmap @inbound\n"
                    "\t\tdrop\n"
                    "\t}\n");
    g_string_append_printf(text,
                           "\tchain input {\n"
                           "\t\ttype filter hook input priority filter; policy drop;\n"
                           "\t\tiifname \"lo\" accept\n"
                           "\t\tct state established,related accept\n"
                           "\t\tiifname != \"v%s*\" drop\n"
                           "\t\tudp dport 67 accept\n"
                           "\t\tip daddr { %s, " VIRGA_RESOLVER_ADDRESS
                           " } meta l4proto { tcp, udp } th dport 53 "
                           "accept\n"
                           "\t\tip daddr " VIRGA_METADATA_ADDRESS " tcp dport 80 accept\n"
                           "\t\ticmp type echo-request accept\n"
                           "\t}\n",
                           config->tag, resolver);
}

char *
virga_policy_vpc(const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    GString *text = g_string_new("add table arp virga\ndelete table arp virga\n"
                                 "add table inet virga\ndelete table inet virga\n");
    g_autofree char *resolver = NULL;
    g_auto(Elements) elements;
    guint32 base = 0;
    unsigned prefix;

    elements_init(&elements);
    virga_cidr_parse(plan->cidrs[0], &base, &prefix);
    resolver = virga_ipv4_text(base + 2);
    for (guint i = 0; i < plan->ports->len; i++)
        if (virga_kernel_is_local(config, plan->ports->pdata[i]))
            elements_add(&elements, config, plan->ports->pdata[i]);
    append_arp(text, config, &elements);
    g_string_append(text, "table inet virga {\n");
    append_set(text, "set", "bound", "ifname . ether_addr . ipv4_addr", elements.bound);
    append_set(text, "set", "macs", "ifname . ether_addr", elements.macs);
    append_set(text, "set", "routers", "ifname . ether_addr", elements.routers);
    append_set(text, "set", "translated", "ipv4_addr", elements.translated);
    append_set(text, "map", "private", "ipv4_addr : ipv4_addr", elements.to_private);
    append_set(text, "map", "public", "ipv4_addr : ipv4_addr", elements.to_public);
    append_members(text, plan);
    append_set(text, "map", "outbound", "ifname : verdict", elements.out);
    append_set(text, "map", "inbound", "ifname : verdict", elements.in);
    append_fixed_chains(text, config, resolver);
    for (guint i = 0; i < plan->groups->len; i++) {
        append_group(text, plan->groups->pdata[i], true);
        append_group(text, plan->groups->pdata[i], false);
    }
    for (guint i = 0; i < plan->ports->len; i++) {
        if (!virga_kernel_is_local(config, plan->ports->pdata[i]))
            continue;
        append_port(text, plan->ports->pdata[i], true);
        append_port(text, plan->ports->pdata[i], false);
    }
    g_string_append(text, "}\n");
    return g_string_free(text, FALSE);
}

char *
virga_policy_host(const VirgaKernelConfig *config)
{
    g_autofree char *pool = g_strjoinv(", ", config->public_cidrs);
    GString *text = g_string_new(NULL);
    const char *tag = config->tag;

    g_string_append_printf(text,
                           "add table inet virga_%s\ndelete table inet virga_%s\n"
                           "table inet virga_%s {\n",
                           tag, tag, tag);
    g_string_append_printf(text, "\tchain forward {\n"
                                 "\t\ttype filter hook forward priority filter; policy accept;\n");
    if (*pool)
        g_string_append_printf(text,
                               "\t\tiifname \"u%s*\" ip saddr != { %s } drop\n"
                               "\t\toifname \"u%s*\" ip daddr != { %s } drop\n",
                               tag, pool, tag, pool);
    else
        g_string_append_printf(text, "\t\tiifname \"u%s*\" drop\n\t\toifname \"u%s*\" drop\n", tag,
                               tag);
    g_string_append(text, "\t}\n");
    if (*pool && config->masquerade)
        g_string_append_printf(text,
                               "\tchain postrouting {\n"
                               "\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
                               "\t\tip saddr { %s } oifname != \"u%s*\" masquerade\n"
                               "\t}\n",
                               pool, tag);
    g_string_append(text, "}\n");
    return g_string_free(text, FALSE);
}
