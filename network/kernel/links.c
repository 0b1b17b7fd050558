/* SPDX-License-Identifier: Apache-2.0 */
/* Links, addresses, neighbours and routes as lines (see kernel-priv.h). */
#include "kernel-priv.h"

#include "core/error.h"
#include "network/address.h"

#include <string.h>

#define TAP_MAC                                                                                    \
    "fe:ff:ff:ff:ff:01" /* the same on every host: a guest that moves keeps its gateway */

static void add_line(GPtrArray *lines, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void
add_line(GPtrArray *lines, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(lines, g_strdup_vprintf(format, args));
    va_end(args);
}

static gint64
port_mtu(const VirgaKernelConfig *config, const VirgaVpcPort *port)
{
    return port->mtu ? port->mtu : config->mtu;
}

static void
add_port(GPtrArray *lines, const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
         const VirgaVpcPort *port)
{
    const VirgaVpcSubnet *subnet = virga_vpc_plan_subnet(plan, port->subnet_id);
    g_autofree char *tap = virga_kernel_tap(config, port->id);
    g_autofree char *gateway = NULL;
    guint32 base = 0;
    unsigned prefix;

    virga_cidr_parse(subnet->cidr, &base, &prefix);
    gateway = virga_ipv4_text(base + 1);
    add_line(lines, "link %s address " TAP_MAC " mtu %" G_GINT64_FORMAT " up", tap,
             port_mtu(config, port));
    add_line(lines, "addr %s/32 dev %s", gateway, tap);
    add_line(lines, "route %s dev %s", port->address, tap);
    for (guint i = 0; i < port->secondary->len; i++)
        add_line(lines, "route %s dev %s", ((VirgaVpcAddress *) port->secondary->pdata[i])->address,
                 tap);
}

/* A guest on another host: a route by the tunnel, with the other tunnel's address as next hop.
 * Such addresses mean nothing in the VPC; "onlink" keeps them apart from its own. */
static void
add_remote(GPtrArray *lines, const VirgaKernelConfig *config, const VirgaVpcPort *port,
           GHashTable *hops)
{
    if (!config->underlay_address || !port->host_address)
        return;
    if (g_hash_table_add(hops, port->host_address)) {
        g_autofree char *mac = virga_kernel_vxlan_mac(port->host_address);
        add_line(lines, "neigh %s lladdr %s dev " VIRGA_VXLAN " nud permanent", port->host_address,
                 mac);
    }
    add_line(lines, "route %s via %s dev " VIRGA_VXLAN " onlink", port->address,
             port->host_address);
    for (guint i = 0; i < port->secondary->len; i++)
        add_line(lines, "route %s via %s dev " VIRGA_VXLAN " onlink",
                 ((VirgaVpcAddress *) port->secondary->pdata[i])->address, port->host_address);
}

/* The next hops of routes outside stand behind the uplink, those of other hosts in the tunnel. */
static void
add_hops(GPtrArray *lines, const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
         const char *outside)
{
    g_autoptr(GPtrArray) here = virga_routes_targets(config, plan);
    g_autoptr(GPtrArray) remote = virga_routes_remote_targets(config, plan);

    add_line(lines, "neigh " VIRGA_INTERNET_HOP " lladdr %s dev " VIRGA_UPLINK " nud permanent",
             outside);
    for (guint i = 0; i < here->len; i++) {
        const VirgaRouteTarget *target = here->pdata[i];
        if (target->gateway)
            add_line(lines, "neigh %s lladdr %s dev " VIRGA_UPLINK " nud permanent",
                     target->address, outside);
    }
    for (guint i = 0; i < remote->len; i++) {
        const VirgaRouteTarget *target = remote->pdata[i];
        g_autofree char *mac = virga_kernel_target_mac(target->address);

        add_line(lines, "neigh %s lladdr %s dev " VIRGA_VXLAN " nud permanent", target->address,
                 mac);
    }
}

GPtrArray *
virga_links_vpc(const VirgaKernelConfig *config, const VirgaVpcPlan *plan, const char *transit,
                GHashTable *present)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GHashTable) hops = g_hash_table_new(g_str_hash, g_str_equal);
    g_autofree char *inside = virga_kernel_veth_mac(plan->id, true);
    g_autofree char *outside = virga_kernel_veth_mac(plan->id, false);
    g_autofree char *resolver = virga_kernel_resolver(plan);

    add_line(lines, "link lo up");
    add_line(lines, "addr %s/32 dev lo", resolver);
    add_line(lines, "addr " VIRGA_RESOLVER_ADDRESS "/32 dev lo");
    add_line(lines, "addr " VIRGA_METADATA_ADDRESS "/32 dev lo");
    add_line(lines, "link " VIRGA_UPLINK " address %s mtu %" G_GINT64_FORMAT " up", inside,
             MAX(1500, config->mtu));
    add_line(lines, "addr %s/32 dev " VIRGA_UPLINK, transit);
    add_line(lines, "neigh %s lladdr %s dev " VIRGA_UPLINK " nud permanent", config->gateway,
             outside);
    /* For what the namespace itself sends; guests' packets have tables of their own. */
    add_line(lines, "route default via %s dev " VIRGA_UPLINK " onlink", config->gateway);
    add_line(lines, "rule pref 32766 lookup main");
    /* Addresses of the VPC that no guest has: never to the uplink, and no proxy ARP. */
    for (char **cidr = plan->cidrs; *cidr; cidr++)
        add_line(lines, "route unreachable %s", *cidr);
    if (config->underlay_address) {
        g_autofree char *mac = virga_kernel_vxlan_mac(config->underlay_address);
        add_line(lines, "link " VIRGA_VXLAN " address %s mtu %" G_GINT64_FORMAT " up", mac,
                 config->mtu);
    }
    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];
        g_autofree char *tap = virga_kernel_tap(config, port->id);

        if (!virga_kernel_is_local(config, port))
            add_remote(lines, config, port, hops);
        else if (port->of_balancer)
            add_line(lines, "addr %s/32 dev lo", port->address);
        else if (g_hash_table_contains(present, tap))
            add_port(lines, config, plan, port);
    }
    add_hops(lines, config, plan, outside);
    virga_routes_add(lines, config, plan, present, NULL);
    return lines;
}

GPtrArray *
virga_links_port(const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
                 const VirgaVpcPort *port)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);

    add_port(lines, config, plan, port);
    virga_routes_add(lines, config, plan, NULL, port->id);
    return lines;
}

static void
add_public(GPtrArray *lines, const char *public_address, const char *transit, const char *veth)
{
    if (public_address)
        add_line(lines, "route %s via %s dev %s onlink", public_address, transit, veth);
}

GPtrArray *
virga_links_host(const VirgaKernelConfig *config, const VirgaVpcPlan *plan, const char *transit)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *veth = virga_kernel_veth(config, plan->id);
    g_autofree char *inside = virga_kernel_veth_mac(plan->id, true);
    g_autofree char *outside = virga_kernel_veth_mac(plan->id, false);

    add_line(lines, "link %s address %s mtu %" G_GINT64_FORMAT " up", veth, outside,
             MAX(1500, config->mtu));
    add_line(lines, "neigh %s lladdr %s dev %s nud permanent", transit, inside, veth);
    add_line(lines, "route %s dev %s", transit, veth);
    for (guint i = 0; i < plan->ports->len && virga_vpc_plan_has_gateway(plan); i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];

        if (!virga_kernel_is_local(config, port))
            continue;
        add_public(lines, port->public_address, transit, veth);
        for (guint a = 0; a < port->secondary->len; a++)
            add_public(lines, ((VirgaVpcAddress *) port->secondary->pdata[a])->public_address,
                       transit, veth);
    }
    for (guint i = 0; i < plan->nat_gateways->len && virga_vpc_plan_has_gateway(plan); i++) {
        const VirgaVpcNatGateway *gateway = plan->nat_gateways->pdata[i];
        if (g_strcmp0(gateway->host_id, config->host_id) == 0)
            add_public(lines, gateway->public_address, transit, veth);
    }
    return lines;
}

char *
virga_links_fdb(const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    g_autoptr(GHashTable) done = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) targets = virga_routes_remote_targets(config, plan);
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < targets->len; i++) {
        const VirgaRouteTarget *target = targets->pdata[i];
        g_autofree char *mac = virga_kernel_target_mac(target->address);

        g_string_append_printf(text, "fdb replace %s dev " VIRGA_VXLAN " dst %s self permanent\n",
                               mac, target->host_address);
    }
    for (guint i = 0; config->underlay_address && i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];
        g_autofree char *mac = NULL;

        if (virga_kernel_is_local(config, port) || !port->host_address ||
            !g_hash_table_add(done, port->host_address))
            continue;
        mac = virga_kernel_vxlan_mac(port->host_address);
        g_string_append_printf(text, "fdb replace %s dev " VIRGA_VXLAN " dst %s self permanent\n",
                               mac, port->host_address);
    }
    return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

static const char *
text_of(JsonObject *object, const char *name, const char *otherwise)
{
    return json_object_get_string_member_with_default(object, name, otherwise);
}

static bool
has_flag(JsonObject *object, const char *list, const char *flag)
{
    JsonArray *flags =
        json_object_has_member(object, list) ? json_object_get_array_member(object, list) : NULL;

    for (guint i = 0; flags && i < json_array_get_length(flags); i++)
        if (g_strcmp0(json_array_get_string_element(flags, i), flag) == 0)
            return true;
    return false;
}

static void
parse_link(GPtrArray *lines, JsonObject *link, GHashTable *ret_present)
{
    const char *name = text_of(link, "ifname", "");
    const char *up = has_flag(link, "flags", "UP") ? " up" : "";
    JsonArray *addresses = json_object_has_member(link, "addr_info")
                               ? json_object_get_array_member(link, "addr_info")
                               : NULL;

    if (ret_present)
        g_hash_table_add(ret_present, g_strdup(name));
    if (g_str_equal(name, "lo"))
        add_line(lines, "link lo%s", up);
    else
        add_line(lines, "link %s address %s mtu %" G_GINT64_FORMAT "%s", name,
                 text_of(link, "address", ""),
                 json_object_get_int_member_with_default(link, "mtu", 0), up);
    for (guint i = 0; addresses && i < json_array_get_length(addresses); i++) {
        JsonObject *address = json_array_get_object_element(addresses, i);
        const char *local = text_of(address, "local", "");

        if (g_str_equal(text_of(address, "family", ""), "inet") && !g_str_equal(local, "127.0.0.1"))
            add_line(lines, "addr %s/%" G_GINT64_FORMAT " dev %s", local,
                     json_object_get_int_member_with_default(address, "prefixlen", 32), name);
    }
}

static void
parse_route(GPtrArray *lines, JsonObject *route, const char *device)
{
    const char *type = text_of(route, "type", NULL);
    const char *via = text_of(route, "gateway", NULL);
    const char *dev = text_of(route, "dev", device);
    const char *table = text_of(route, "table", NULL);
    g_autoptr(GString) line = g_string_new("route ");

    if (g_strcmp0(table, "local") == 0 || strchr(text_of(route, "dst", ""), ':'))
        return; /* the kernel's own; IPv6 */
    if (type && !g_str_equal(type, "unicast")) {
        g_string_append_printf(line, "%s ", type);
        dev = NULL; /* the kernel says "lo" for some */
    }
    g_string_append(line, text_of(route, "dst", ""));
    if (via)
        g_string_append_printf(line, " via %s", via);
    if (dev)
        g_string_append_printf(line, " dev %s", dev);
    if (has_flag(route, "flags", "onlink"))
        g_string_append(line, " onlink");
    if (table)
        g_string_append_printf(line, " table %s", table);
    g_ptr_array_add(lines, g_strdup(line->str));
}

static void
parse_rule(GPtrArray *lines, JsonObject *rule)
{
    const char *mark = text_of(rule, "fwmark", NULL);
    const char *table = text_of(rule, "table", "");

    if (!g_str_equal(table, "local") && !g_str_equal(table, "default"))
        add_line(lines, "rule pref %" G_GINT64_FORMAT "%s%s lookup %s",
                 json_object_get_int_member_with_default(rule, "priority", 0),
                 mark ? " fwmark " : "", mark ? mark : "", table);
}

/* The answers differ in their members. */
static void
parse_object(GPtrArray *lines, JsonObject *object, const char *device, GHashTable *ret_present)
{
    if (json_object_has_member(object, "ifname"))
        parse_link(lines, object, ret_present);
    else if (json_object_has_member(object, "priority"))
        parse_rule(lines, object);
    else if (json_object_has_member(object, "lladdr") && has_flag(object, "state", "PERMANENT"))
        add_line(lines, "neigh %s lladdr %s dev %s nud permanent", text_of(object, "dst", ""),
                 text_of(object, "lladdr", ""), text_of(object, "dev", device ? device : ""));
    else if (!json_object_has_member(object, "lladdr") &&
             !json_object_has_member(object, "state") && json_object_has_member(object, "dst"))
        parse_route(lines, object, device);
}

GPtrArray *
virga_links_parse(const char *output, const char *device, GHashTable *ret_present, GError **error)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) answers = g_strsplit(output, "\n", -1);

    for (char **answer = answers; *answer; answer++) {
        g_autoptr(JsonNode) json = **answer ? json_from_string(*answer, NULL) : NULL;
        JsonArray *array;

        if (!**answer)
            continue;
        if (!json || !JSON_NODE_HOLDS_ARRAY(json)) {
            virga_fail(error, "network", VIRGA_ERROR_INTERNAL, "cannot read the answer of \"ip\"");
            return NULL;
        }
        array = json_node_get_array(json);
        for (guint i = 0; i < json_array_get_length(array); i++) {
            JsonNode *element = json_array_get_element(array, i);
            if (JSON_NODE_HOLDS_OBJECT(element))
                parse_object(lines, json_node_get_object(element), device, ret_present);
        }
    }
    return g_steal_pointer(&lines);
}

/* "link vabc address …" is a wish; the command is "link set dev vabc address …". */
static void
append_set_command(GString *text, const char *line)
{
    const char *rest = strchr(line, ' ') + 1;

    if (g_str_has_prefix(line, "link "))
        g_string_append_printf(text, "link set dev %s\n", rest);
    else if (g_str_has_prefix(line, "rule "))
        g_string_append_printf(text, "rule add %s\n", rest); /* there is no "replace" */
    else
        g_string_append_printf(text, "%.*s replace %s\n", (int) (rest - line - 1), line, rest);
}

static void
append_delete_command(GString *text, const char *line)
{
    const char *rest = strchr(line, ' ') + 1;

    g_string_append_printf(text, "%.*s del %s\n", (int) (rest - line - 1), line, rest);
}

static GHashTable *
set_of(GPtrArray *lines)
{
    GHashTable *set = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < lines->len; i++)
        g_hash_table_add(set, lines->pdata[i]);
    return set;
}

/* What a route is to and in which table: "route replace" puts another in its place without a
 * gap.  NULL for other lines. */
static char *
route_key(const char *line)
{
    static const char *const types[] = { "unreachable ", "blackhole ", "throw ", "prohibit " };
    const char *table = strstr(line, " table ");
    const char *to = line + strlen("route ");

    if (!g_str_has_prefix(line, "route "))
        return NULL;
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
        if (g_str_has_prefix(to, types[i]))
            to += strlen(types[i]);
    return g_strdup_printf("%.*s%s", (int) strcspn(to, " "), to, table ? table : "");
}

static GHashTable *
route_keys(GPtrArray *lines)
{
    GHashTable *keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < lines->len; i++) {
        char *key = route_key(lines->pdata[i]);
        if (key)
            g_hash_table_add(keys, key);
    }
    return keys;
}

static bool
is_replaced(GHashTable *keys, const char *line)
{
    g_autofree char *key = route_key(line);
    return key && g_hash_table_contains(keys, key);
}

char *
virga_links_diff(GPtrArray *is, GPtrArray *want)
{
    g_autoptr(GHashTable) wanted = set_of(want);
    g_autoptr(GHashTable) there = set_of(is);
    g_autoptr(GHashTable) keys = route_keys(want);
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; i < is->len; i++)
        if (!g_hash_table_contains(wanted, is->pdata[i]) &&
            !g_str_has_prefix(is->pdata[i], "link ") && !is_replaced(keys, is->pdata[i]))
            append_delete_command(text, is->pdata[i]);
    for (guint i = 0; i < want->len; i++)
        if (!g_hash_table_contains(there, want->pdata[i]))
            append_set_command(text, want->pdata[i]);
    return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

GStrv
virga_links_answering(const char *output, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GStrvBuilder) addresses = g_strv_builder_new();
    JsonArray *entries;

    if (!json_parser_load_from_data(parser, output, -1, error))
        return NULL;
    if (!json_parser_get_root(parser) || !JSON_NODE_HOLDS_ARRAY(json_parser_get_root(parser))) {
        virga_fail(error, "vpc", VIRGA_ERROR_INTERNAL, "ip's answer is no list");
        return NULL;
    }
    entries = json_node_get_array(json_parser_get_root(parser));
    for (guint i = 0; i < json_array_get_length(entries); i++) {
        JsonObject *entry = json_array_get_object_element(entries, i);

        if (!has_flag(entry, "state", "FAILED") && !has_flag(entry, "state", "INCOMPLETE") &&
            *text_of(entry, "lladdr", ""))
            g_strv_builder_add(addresses, text_of(entry, "dst", ""));
    }
    return g_strv_builder_end(addresses);
}
