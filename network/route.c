/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in route tables. */
#include "network/route-table.h"

#include "core/error.h"
#include "core/quota.h"
#include "network/block.h"
#include "network/vpc.h"

#include <string.h>

static const char sql_gateway[] =
    "SELECT vpc_id FROM internet_gateway WHERE id = $1 AND account_id = $2";
static const char sql_nat_gateway[] =
    "SELECT vpc_id FROM nat_gateway WHERE id = $1 AND account_id = $2"
    " AND state NOT IN ('deleted', 'failed')";
static const char sql_interface[] =
    "SELECT vpc_id FROM network_interface WHERE id = $1 AND account_id = $2";
static const char sql_of_instance[] =
    "SELECT id FROM network_interface WHERE instance_id = $1 AND account_id = $2";
/* What the VPC has to do with the destination, and the table with it. */
static const char sql_place[] =
    "SELECT EXISTS (SELECT 1 FROM vpc_block WHERE vpc_id = $1 AND cidr = $2::cidr),"
    " EXISTS (SELECT 1 FROM vpc_block WHERE vpc_id = $1 AND cidr >> $2::cidr),"
    " EXISTS (SELECT 1 FROM subnet WHERE vpc_id = $1 AND cidr = $2::cidr),"
    " EXISTS (SELECT 1 FROM route WHERE route_table_id = $3 AND destination = $2::cidr),"
    " (SELECT count(*) FROM route WHERE route_table_id = $3)";
static const char sql_put[] =
    "INSERT INTO route (route_table_id, destination, target) VALUES ($1, $2::cidr, $3)"
    " ON CONFLICT (route_table_id, destination) DO UPDATE SET target = $3";
static const char sql_delete[] =
    "DELETE FROM route WHERE route_table_id = $1 AND destination = $2::cidr";

/* A route in the making; texts are in 'arena'. */
typedef struct {
    VirgaTxn *txn;
    VirgaArena *arena;
    const char *account_id, *table_id;
    char *vpc_id, *destination;
    bool is_block;  /* the VPC's: by itself "local" */
    bool in_block;  /* a part of one */
    bool is_subnet; /* exactly one */
    bool exists;
    gint64 count; /* of the table's routes besides local ones */
} Route;

static bool
begin(Route *route, const char *destination, GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;
    unsigned prefix;

    if (!virga_block_parse(route->arena, destination, &route->destination, &prefix, error) ||
        !virga_route_table_lock(route->txn, route->arena, route->account_id, route->table_id,
                                &route->vpc_id, error))
        return false;
    rows = virga_txn_query(route->txn, error, sql_place, "sss", route->vpc_id, route->destination,
                           route->table_id);
    if (!rows)
        return false;
    route->is_block = virga_rows_bool(rows, 0, 0);
    route->in_block = virga_rows_bool(rows, 0, 1);
    route->is_subnet = virga_rows_bool(rows, 0, 2);
    route->exists = virga_rows_bool(rows, 0, 3);
    route->count = virga_rows_int(rows, 0, 4);
    return true;
}

/* The target is the account's and of the table's VPC; 'what' and 'noun' are for failures. */
static bool
check_target(Route *route, const char *sql, const char *id, const char *noun, const char *what,
             GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(route->txn, error, sql, "ss", id, route->account_id);

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, noun, VIRGA_ERROR_NOT_FOUND, "The %s ID '%s' does not exist", what,
                          id);
    return g_strcmp0(virga_rows_text(rows, 0, 0), route->vpc_id) == 0 ||
           virga_fail(error, "route", VIRGA_ERROR_INVALID,
                      "route table %s and network %s %s belong to different networks",
                      route->table_id, what, id);
}

static bool
interface_of(Route *route, const char *instance_id, char **ret_id, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(route->txn, error, sql_of_instance, "ss", instance_id, route->account_id);

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, "instance", VIRGA_ERROR_NOT_FOUND,
                          "The instance ID '%s' does not exist", instance_id);
    if (virga_rows_count(rows) > 1)
        return virga_fail(error, "route instance", VIRGA_ERROR_INVALID,
                          "There are multiple interfaces attached to instance '%s'. Please specify "
                          "an interface ID for the operation instead.",
                          instance_id);
    *ret_id = virga_rows_dup(rows, route->arena, 0, 0);
    return true;
}

/* *ret_target is a loan. */
static bool
find_target(Route *route, const VirgaRouteSpec *spec, const char **ret_target, GError **error)
{
    char *interface_id = (char *) spec->interface_id;

    if (spec->gateway_id) {
        *ret_target = spec->gateway_id;
        return check_target(route, sql_gateway, spec->gateway_id, "gateway", "gateway", error);
    }
    if (spec->nat_gateway_id) {
        *ret_target = spec->nat_gateway_id;
        return check_target(route, sql_nat_gateway, spec->nat_gateway_id, "route nat gateway",
                            "natGateway", error);
    }
    if (spec->instance_id && !interface_of(route, spec->instance_id, &interface_id, error))
        return false;
    *ret_target = interface_id;
    return check_target(route, sql_interface, interface_id, "network interface", "networkInterface",
                        error);
}

/* Within the VPC only whole subnets can be led elsewhere, and only to a guest that routes. */
static bool
check_place(const Route *route, const VirgaRouteSpec *spec, GError **error)
{
    if (!route->is_block && !route->in_block)
        return true;
    if (spec->gateway_id || spec->nat_gateway_id)
        return virga_fail(error, "route", VIRGA_ERROR_INVALID,
                          "The destination CIDR block %s is equal to or more specific than one of "
                          "this VPC's CIDR blocks. This route can target only an interface or an "
                          "instance.",
                          route->destination);
    return route->is_block || route->is_subnet ||
           virga_fail(error, "route", VIRGA_ERROR_INVALID,
                      "The destination CIDR block %s does not match a subnet of VPC %s",
                      route->destination, route->vpc_id);
}

static bool
put(Route *route, const VirgaRouteSpec *spec, GError **error)
{
    const char *target;

    return check_place(route, spec, error) && find_target(route, spec, &target, error) &&
           virga_txn_run(route->txn, error, NULL, sql_put, "sss", route->table_id,
                         route->destination, target) &&
           virga_vpc_touch(route->txn, route->vpc_id, error);
}

static bool
check_count(const Route *route, GError **error)
{
    gint64 limit;

    if (!virga_quota_limit(route->txn, route->account_id, VIRGA_QUOTA_ROUTES_PER_TABLE, &limit,
                           error))
        return false;
    return route->count < limit ||
           virga_fail(error, "route", VIRGA_ERROR_QUOTA,
                      "The maximum number of routes for route table '%s' has been reached",
                      route->table_id);
}

bool
virga_route_create(VirgaTxn *txn, const char *account_id, const char *table_id,
                   const char *destination, const VirgaRouteSpec *spec, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    Route route = { .txn = txn, .arena = arena, .account_id = account_id, .table_id = table_id };

    if (!begin(&route, destination, error) || !check_place(&route, spec, error))
        return false;
    if (route.exists || route.is_block)
        return virga_fail(error, "route", VIRGA_ERROR_EXISTS,
                          "The route identified by %s already exists.", route.destination);
    return check_count(&route, error) && put(&route, spec, error);
}

bool
virga_route_replace(VirgaTxn *txn, const char *account_id, const char *table_id,
                    const char *destination, const VirgaRouteSpec *spec, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    Route route = { .txn = txn, .arena = arena, .account_id = account_id, .table_id = table_id };

    if (!begin(&route, destination, error))
        return false;
    if (!route.exists && !route.is_block)
        return virga_fail(error, "route", VIRGA_ERROR_INVALID,
                          "There is no route defined for '%s' in the route table. Use CreateRoute "
                          "instead.",
                          route.destination);
    if (!spec->local)
        return put(&route, spec, error);
    if (!route.is_block)
        return virga_fail(error, "route", VIRGA_ERROR_INVALID,
                          "The destination CIDR block %s is not the local route of route table %s",
                          route.destination, table_id);
    return virga_txn_run(txn, error, NULL, sql_delete, "ss", table_id, route.destination) &&
           virga_vpc_touch(txn, route.vpc_id, error);
}

bool
virga_route_delete(VirgaTxn *txn, const char *account_id, const char *table_id,
                   const char *destination, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    Route route = { .txn = txn, .arena = arena, .account_id = account_id, .table_id = table_id };

    if (!begin(&route, destination, error))
        return false;
    if (route.is_block)
        return virga_fail(error, "route", VIRGA_ERROR_INVALID,
                          "cannot remove local route %s in route table %s", route.destination,
                          table_id);
    if (!route.exists)
        return virga_fail(error, "route", VIRGA_ERROR_NOT_FOUND,
                          "no route with destination-cidr-block %s in route table %s",
                          route.destination, table_id);
    return virga_txn_run(txn, error, NULL, sql_delete, "ss", table_id, route.destination) &&
           virga_vpc_touch(txn, route.vpc_id, error);
}
