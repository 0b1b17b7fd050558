/* SPDX-License-Identifier: Apache-2.0 */
/* Route tables as policy routing.
 *
 * The filter marks a packet with the number of its subnet's table, a rule leads from the mark to
 * the kernel's table of that number, and "throw" leads on to the main table for addresses of the
 * VPC: there every guest has a route of its own.
 *
 * A next hop says what a packet goes to.  Outside it is VIRGA_INTERNET_HOP or a NAT gateway's
 * private address, both on the uplink, where the filter tells them apart.  A gateway or interface
 * of another host is reached through the tunnel with its private address as next hop, and so with
 * a MAC of its own; there the MAC becomes a mark (policy.c) and the mark a table that leads to
 * this one target.  So a packet takes the route of the subnet that it came from, whatever source
 * it bears, and the other host need not know it. */
#include "kernel-priv.h"

#include "network/address.h"

#include <string.h>

#define RULE_PREFERENCE 1000
#define NUMBER_MIN      0x10000u /* the kernel's own tables are below */
#define NUMBER_MASK     0x3fffffffu
#define IMPLICIT_TABLE  "" /* of a plan without route tables */

typedef struct {
    GPtrArray *lines;
    const VirgaKernelConfig *config;
    const VirgaVpcPlan *plan;
    GHashTable *present; /* names of links; NULL: all that are local */
    const char *only;    /* id of the one interface whose routes are wanted, or NULL */
} Routes;

static guint32
hash_of(const char *id)
{
    guint32 hash = 2166136261u;

    for (const char *at = id; *at; at++)
        hash = (hash ^ (guchar) *at) * 16777619u;
    return NUMBER_MIN + (hash & NUMBER_MASK);
}

static void
add_number(GHashTable *numbers, GHashTable *taken, const char *id)
{
    guint32 number = hash_of(id);

    if (g_hash_table_contains(numbers, id))
        return;
    while (!g_hash_table_add(taken, GUINT_TO_POINTER(number)))
        number++;
    g_hash_table_insert(numbers, (gpointer) id, GUINT_TO_POINTER(number));
}

GHashTable *
virga_routes_numbers(const VirgaVpcPlan *plan)
{
    GHashTable *numbers = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) taken = g_hash_table_new(NULL, NULL);

    add_number(numbers, taken, IMPLICIT_TABLE);
    for (guint i = 0; i < plan->route_tables->len; i++) {
        const VirgaVpcRouteTable *table = plan->route_tables->pdata[i];
        add_number(numbers, taken, table->id);
    }
    for (guint i = 0; i < plan->route_tables->len; i++) {
        const VirgaVpcRouteTable *table = plan->route_tables->pdata[i];

        for (guint r = 0; r < table->routes->len; r++) {
            const VirgaVpcRoute *route = table->routes->pdata[r];
            if (route->target_id)
                add_number(numbers, taken, route->target_id);
        }
    }
    return numbers;
}

guint32
virga_routes_number(GHashTable *numbers, const char *id)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(numbers, id));
}

guint32
virga_routes_table(const VirgaVpcPlan *plan, GHashTable *numbers, const char *subnet_id)
{
    const VirgaVpcRouteTable *table = virga_vpc_plan_table_of(plan, subnet_id);
    return virga_routes_number(numbers, table ? table->id : IMPLICIT_TABLE);
}

static bool
is_here(const VirgaKernelConfig *config, const char *host_id)
{
    return g_strcmp0(host_id, config->host_id) == 0;
}

/* The targets of routes, each once.  'here': of this host, or of others. */
static GPtrArray *
targets_of(const VirgaKernelConfig *config, const VirgaVpcPlan *plan, bool here)
{
    GPtrArray *targets = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GHashTable) done = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint t = 0; t < plan->route_tables->len; t++) {
        const VirgaVpcRouteTable *table = plan->route_tables->pdata[t];

        for (guint r = 0; r < table->routes->len; r++) {
            const VirgaVpcRoute *route = table->routes->pdata[r];
            VirgaRouteTarget target = { .id = route->target_id };

            if (!target.id || !g_hash_table_add(done, route->target_id))
                continue;
            target.gateway = virga_vpc_plan_nat_gateway(plan, target.id);
            target.port = target.gateway ? NULL : virga_vpc_plan_port(plan, target.id);
            if (!target.gateway && !target.port)
                continue;
            target.address = target.gateway ? target.gateway->address : target.port->address;
            target.host_address =
                target.gateway ? target.gateway->host_address : target.port->host_address;
            if (is_here(config, target.gateway ? target.gateway->host_id : target.port->host_id) ==
                here)
                g_ptr_array_add(targets, g_memdup2(&target, sizeof target));
        }
    }
    return targets;
}

GPtrArray *
virga_routes_targets(const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    return targets_of(config, plan, true);
}

GPtrArray *
virga_routes_remote_targets(const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    GPtrArray *targets = targets_of(config, plan, false);

    for (guint i = targets->len; i > 0; i--)
        if (!config->underlay_address ||
            !((VirgaRouteTarget *) targets->pdata[i - 1])->host_address)
            g_ptr_array_remove_index(targets, i - 1);
    return targets;
}

/* ---- lines ---- */

static void add_line(const Routes *routes, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void
add_line(const Routes *routes, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(routes->lines, g_strdup_vprintf(format, args));
    va_end(args);
}

/* A block as ip shows it. */
static char *
destination(const char *cidr4)
{
    if (g_str_equal(cidr4, "0.0.0.0/0"))
        return g_strdup("default");
    return g_str_has_suffix(cidr4, "/32") ? g_strndup(cidr4, strlen(cidr4) - strlen("/32"))
                                          : g_strdup(cidr4);
}

/* 'hop' and 'device' NULL: a black hole. */
static void
add_route(const Routes *routes, guint32 table, const char *cidr4, const char *hop,
          const char *device)
{
    g_autofree char *to = destination(cidr4);

    if (hop)
        add_line(routes, "route %s via %s dev %s onlink table %u", to, hop, device, table);
    else if (!routes->only)
        add_line(routes, "route blackhole %s table %u", to, table);
}

/* A NAT gateway sends on what it gets by the table of its own subnet, and only outside. */
static void
add_own_route(const Routes *routes, guint32 table, const char *cidr4,
              const VirgaVpcNatGateway *gateway, const VirgaVpcRoute *own)
{
    bool outside = own && g_str_equal(own->target, "internet-gateway") &&
                   virga_vpc_plan_has_gateway(routes->plan);

    add_route(routes, table, cidr4, outside ? gateway->address : NULL, VIRGA_UPLINK);
}

/* The way of 'cidr4' through a gateway of this host: as its subnet's table says for all of the
 * block, and for parts of it where that table is more precise and 'from' (NULL: nothing) is not. */
static void
add_gateway_routes(const Routes *routes, guint32 table, const char *cidr4,
                   const VirgaVpcNatGateway *gateway, const VirgaVpcRouteTable *from)
{
    const VirgaVpcRouteTable *its = virga_vpc_plan_table_of(routes->plan, gateway->subnet_id);
    guint32 base = 0, own_base;
    unsigned prefix = 0, own_prefix;

    virga_cidr_parse(cidr4, &base, &prefix);
    add_own_route(routes, table, cidr4, gateway, virga_vpc_route_table_find(its, base, prefix));
    for (guint i = 0; i < its->routes->len; i++) {
        const VirgaVpcRoute *own = its->routes->pdata[i];
        const VirgaVpcRoute *first;

        if (g_str_equal(own->target, "local") ||
            !virga_cidr_parse(own->cidr4, &own_base, &own_prefix) || own_prefix <= prefix ||
            !virga_cidr_has(base, prefix, own_base))
            continue;
        first = from ? virga_vpc_route_table_find(from, own_base, own_prefix) : NULL;
        if (!from || (first && g_str_equal(first->cidr4, cidr4)))
            add_own_route(routes, table, own->cidr4, gateway, own);
    }
}

static bool
is_present(const Routes *routes, const char *tap)
{
    return !routes->present || g_hash_table_contains(routes->present, tap);
}

static void
add_interface_route(const Routes *routes, guint32 table, const char *cidr4, const char *id)
{
    const VirgaVpcPort *port = virga_vpc_plan_port(routes->plan, id);
    g_autofree char *tap = virga_kernel_tap(routes->config, id);
    bool here = port && virga_kernel_is_local(routes->config, port);

    if (here && is_present(routes, tap))
        add_route(routes, table, cidr4, port->address, tap);
    else if (port && !here && routes->config->underlay_address && port->host_address)
        add_route(routes, table, cidr4, port->address, VIRGA_VXLAN);
    else
        add_route(routes, table, cidr4, NULL, NULL);
}

static void
add_target_route(const Routes *routes, guint32 number, const VirgaVpcRouteTable *table,
                 const VirgaVpcRoute *route)
{
    const VirgaVpcNatGateway *gateway;

    if (routes->only && g_strcmp0(route->target_id, routes->only) != 0)
        return;
    if (g_str_equal(route->target, "interface")) {
        add_interface_route(routes, number, route->cidr4, route->target_id);
    } else if (g_str_equal(route->target, "nat-gateway")) {
        gateway = virga_vpc_plan_nat_gateway(routes->plan, route->target_id);
        if (gateway && is_here(routes->config, gateway->host_id))
            add_gateway_routes(routes, number, route->cidr4, gateway, table);
        else
            add_route(routes, number, route->cidr4,
                      gateway && gateway->host_address && routes->config->underlay_address
                          ? gateway->address
                          : NULL,
                      VIRGA_VXLAN);
    } else if (!g_str_equal(route->target, "local")) {
        bool outside = g_str_equal(route->target, "internet-gateway") &&
                       virga_vpc_plan_has_gateway(routes->plan);
        add_route(routes, number, route->cidr4, outside ? VIRGA_INTERNET_HOP : NULL, VIRGA_UPLINK);
    }
}

/* True if the table has a route to exactly this block that is not "local". */
static bool
has_route(const VirgaVpcRouteTable *table, const char *cidr4)
{
    for (guint i = 0; table && i < table->routes->len; i++) {
        const VirgaVpcRoute *route = table->routes->pdata[i];
        if (g_str_equal(route->cidr4, cidr4) && !g_str_equal(route->target, "local"))
            return true;
    }
    return false;
}

static void
add_rule(const Routes *routes, guint32 number)
{
    add_line(routes, "rule pref %d fwmark 0x%x lookup %u", RULE_PREFERENCE, number, number);
}

/* 'table' NULL: everything goes to the internet gateway. */
static void
add_table(const Routes *routes, GHashTable *numbers, const VirgaVpcRouteTable *table)
{
    guint32 number = virga_routes_number(numbers, table ? table->id : IMPLICIT_TABLE);

    for (char **cidr = routes->plan->cidrs; !routes->only && *cidr; cidr++)
        if (!has_route(table, *cidr))
            add_line(routes, "route throw %s table %u", *cidr, number);
    for (guint i = 0; table && i < table->routes->len; i++)
        add_target_route(routes, number, table, table->routes->pdata[i]);
    if (routes->only)
        return;
    if (!table)
        add_route(routes, number, "0.0.0.0/0", VIRGA_INTERNET_HOP, VIRGA_UPLINK);
    else if (!has_route(table, "0.0.0.0/0"))
        add_line(routes, "route unreachable default table %u", number);
    add_rule(routes, number);
}

/* Tables of this host's targets, for what comes through the tunnel. */
static void
add_targets(const Routes *routes, GHashTable *numbers)
{
    g_autoptr(GPtrArray) targets = targets_of(routes->config, routes->plan, true);

    for (guint i = 0; routes->config->underlay_address && i < targets->len; i++) {
        const VirgaRouteTarget *target = targets->pdata[i];
        guint32 number = virga_routes_number(numbers, target->id);

        if (routes->only && !g_str_equal(routes->only, target->id))
            continue;
        if (target->gateway)
            add_gateway_routes(routes, number, "0.0.0.0/0", target->gateway, NULL);
        else
            add_interface_route(routes, number, "0.0.0.0/0", target->id);
        if (!routes->only)
            add_rule(routes, number);
    }
}

static void
add_used_tables(const Routes *routes, GHashTable *numbers)
{
    g_autoptr(GHashTable) done = g_hash_table_new(NULL, NULL);

    for (guint i = 0; i < routes->plan->ports->len; i++) {
        const VirgaVpcPort *port = routes->plan->ports->pdata[i];
        const VirgaVpcRouteTable *table;

        if (!virga_kernel_is_local(routes->config, port))
            continue;
        table = virga_vpc_plan_table_of(routes->plan, port->subnet_id);
        if (g_hash_table_add(done, (gpointer) table))
            add_table(routes, numbers, table);
    }
}

void
virga_routes_add(GPtrArray *lines, const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
                 GHashTable *present, const char *only)
{
    Routes routes = { lines, config, plan, present, only };
    g_autoptr(GHashTable) numbers = virga_routes_numbers(plan);

    add_used_tables(&routes, numbers);
    add_targets(&routes, numbers);
}
