/* SPDX-License-Identifier: Apache-2.0 */
/* Route tables and whose they are.  What stands in them: route.c. */
#include "network/route-table.h"

#include "core/error.h"
#include "core/id.h"
#include "core/quota.h"
#include "network/subnet.h"
#include "network/vpc.h"

#define OF_ACCOUNT "t.account_id = $1 AND ($2::text[] IS NULL OR t.id = ANY ($2))"
static const char sql_tables[] = "SELECT t.id, t.account_id, t.vpc_id FROM route_table t"
                                 " WHERE " OF_ACCOUNT " ORDER BY t.id";
static const char sql_routes[] =
    "SELECT t.id, b.cidr::text, 'local', NULL, NULL, true, false, b.cidr FROM route_table t"
    " JOIN vpc_block b ON b.vpc_id = t.vpc_id WHERE " OF_ACCOUNT
    " AND NOT EXISTS (SELECT 1 FROM route r WHERE r.route_table_id = t.id"
    "  AND r.destination = b.cidr)"
    " UNION ALL SELECT s.route_table_id, s.destination::text, s.target, s.instance_id,"
    " s.instance_owner_id, s.active, NOT s.is_local, s.destination FROM route_seen s"
    " WHERE s.account_id = $1 AND ($2::text[] IS NULL OR s.route_table_id = ANY ($2))"
    " ORDER BY 1, 7, 8";
static const char sql_associations[] =
    "SELECT t.id, a.id, a.subnet_id FROM route_table t JOIN route_table_association a"
    " ON a.route_table_id = t.id WHERE " OF_ACCOUNT " ORDER BY t.id, a.subnet_id IS NOT NULL, a.id";
static const char sql_count[] = "SELECT count(*) FROM route_table WHERE vpc_id = $1";
static const char sql_insert[] =
    "INSERT INTO route_table (id, account_id, vpc_id) VALUES ($1, $2, $3)";
static const char sql_find[] = "SELECT vpc_id FROM route_table WHERE id = $1 AND account_id = $2";
static const char sql_users[] = "SELECT string_agg(coalesce(subnet_id, vpc_id), ', ' ORDER BY id)"
                                " FROM route_table_association WHERE route_table_id = $1";
static const char sql_delete[] = "WITH untagged AS (DELETE FROM tag WHERE resource_id = $1)"
                                 " DELETE FROM route_table WHERE id = $1";
static const char sql_main[] =
    "SELECT route_table_id FROM route_table_association WHERE vpc_id = $1 AND subnet_id IS NULL";
static const char sql_delete_main[] =
    "DELETE FROM route_table_association WHERE vpc_id = $1 AND subnet_id IS NULL";
static const char sql_add_internet[] =
    "INSERT INTO route (route_table_id, destination, target) SELECT route_table_id, '0.0.0.0/0', $2"
    " FROM route_table_association WHERE vpc_id = $1 AND subnet_id IS NULL";
static const char sql_associate[] =
    "INSERT INTO route_table_association (id, vpc_id, route_table_id, subnet_id)"
    " VALUES ($1, $2, $3, $4)";
static const char sql_of_subnet[] =
    "SELECT id, route_table_id FROM route_table_association WHERE subnet_id = $1";
static const char sql_association[] =
    "SELECT a.vpc_id, a.subnet_id FROM route_table_association a JOIN vpc v ON v.id = a.vpc_id"
    " WHERE a.id = $1 AND v.account_id = $2";
static const char sql_disassociate[] = "DELETE FROM route_table_association WHERE id = $1";
static const char sql_replace[] =
    "UPDATE route_table_association SET id = $2, route_table_id = $3 WHERE id = $1";
static const char sql_forget_subnet[] = "DELETE FROM route_table_association WHERE subnet_id = $1";

/* ---- reading ---- */

/* Calls 'take' for each row of a table that is known; the table's id is the first column. */
typedef void (*TakeRow)(VirgaRouteTable *table, const VirgaRows *rows, int row, VirgaArena *arena);

static void
each_row(GHashTable *tables, const VirgaRows *rows, VirgaArena *arena, TakeRow take)
{
    for (int i = 0; i < virga_rows_count(rows); i++) {
        VirgaRouteTable *table = g_hash_table_lookup(tables, virga_rows_text(rows, i, 0));

        if (table)
            take(table, rows, i, arena);
    }
}

static void
count_route(VirgaRouteTable *table, const VirgaRows *rows, int row, VirgaArena *arena)
{
    table->route_count++;
}

static void
take_route(VirgaRouteTable *table, const VirgaRows *rows, int row, VirgaArena *arena)
{
    if (!table->routes) {
        table->routes = virga_arena_new_array(arena, VirgaRoute, table->route_count);
        table->route_count = 0;
    }
    table->routes[table->route_count++] =
        (VirgaRoute){ .destination = virga_rows_dup(rows, arena, row, 1),
                      .target = virga_rows_dup(rows, arena, row, 2),
                      .instance_id = virga_rows_dup(rows, arena, row, 3),
                      .instance_owner_id = virga_rows_dup(rows, arena, row, 4),
                      .active = virga_rows_bool(rows, row, 5),
                      .given = virga_rows_bool(rows, row, 6) };
}

static void
count_association(VirgaRouteTable *table, const VirgaRows *rows, int row, VirgaArena *arena)
{
    table->association_count++;
}

static void
take_association(VirgaRouteTable *table, const VirgaRows *rows, int row, VirgaArena *arena)
{
    if (!table->associations) {
        table->associations =
            virga_arena_new_array(arena, VirgaRouteTableAssociation, table->association_count);
        table->association_count = 0;
    }
    table->associations[table->association_count++] =
        (VirgaRouteTableAssociation){ .id = virga_rows_dup(rows, arena, row, 1),
                                      .table_id = table->id,
                                      .subnet_id = virga_rows_dup(rows, arena, row, 2) };
}

bool
virga_route_table_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                       const char *const *ids, VirgaRouteTable **ret, size_t *ret_count,
                       GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_tables, "sa", account_id, ids);
    g_autoptr(VirgaRows) routes =
        rows ? virga_txn_query(txn, error, sql_routes, "sa", account_id, ids) : NULL;
    g_autoptr(VirgaRows) associations =
        routes ? virga_txn_query(txn, error, sql_associations, "sa", account_id, ids) : NULL;
    g_autoptr(GHashTable) tables = g_hash_table_new(g_str_hash, g_str_equal);

    if (!associations)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaRouteTable, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++) {
        VirgaRouteTable *table = &(*ret)[i];

        *table = (VirgaRouteTable){ .id = virga_rows_dup(rows, arena, i, 0),
                                    .account_id = virga_rows_dup(rows, arena, i, 1),
                                    .vpc_id = virga_rows_dup(rows, arena, i, 2) };
        g_hash_table_insert(tables, table->id, table);
    }
    each_row(tables, routes, arena, count_route);
    each_row(tables, routes, arena, take_route);
    each_row(tables, associations, arena, count_association);
    each_row(tables, associations, arena, take_association);
    return true;
}

/* ---- making and deleting ---- */

static bool
find(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id, char **ret_vpc_id,
     GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_find, "ss", id, account_id);

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, "route table", VIRGA_ERROR_NOT_FOUND,
                          "The routeTable ID '%s' does not exist", id);
    *ret_vpc_id = virga_rows_dup(rows, arena, 0, 0);
    return true;
}

bool
virga_route_table_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                       char **ret_vpc_id, GError **error)
{
    return find(txn, arena, account_id, id, ret_vpc_id, error) &&
           virga_vpc_lock(txn, account_id, *ret_vpc_id, error) &&
           find(txn, arena, account_id, id, ret_vpc_id, error); /* it may have gone meanwhile */
}

bool
virga_route_table_create(VirgaTxn *txn, const char *account_id, const char *vpc_id, const char *id,
                         GError **error)
{
    g_autoptr(VirgaRows) present = NULL;
    gint64 limit;

    if (!virga_vpc_lock(txn, account_id, vpc_id, error))
        return false;
    present = virga_txn_query(txn, error, sql_count, "s", vpc_id);
    if (!present ||
        !virga_quota_limit(txn, account_id, VIRGA_QUOTA_ROUTE_TABLES_PER_VPC, &limit, error))
        return false;
    if (virga_rows_int(present, 0, 0) >= limit)
        return virga_fail(error, "route table", VIRGA_ERROR_QUOTA,
                          "The maximum number of route tables for VPC '%s' has been reached",
                          vpc_id);
    return virga_txn_run(txn, error, NULL, sql_insert, "sss", id, account_id, vpc_id) &&
           virga_vpc_touch(txn, vpc_id, error);
}

bool
virga_route_table_create_main(VirgaTxn *txn, const char *account_id, const char *vpc_id,
                              GError **error)
{
    g_autofree char *id = virga_id_new("rtb");
    g_autofree char *association_id = virga_id_new("rtbassoc");

    return virga_txn_run(txn, error, NULL, sql_insert, "sss", id, account_id, vpc_id) &&
           virga_txn_run(txn, error, NULL, sql_associate, "ssss", association_id, vpc_id, id, NULL);
}

bool
virga_route_table_add_internet(VirgaTxn *txn, const char *vpc_id, const char *gateway_id,
                               GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_add_internet, "ss", vpc_id, gateway_id);
}

bool
virga_route_table_delete_main(VirgaTxn *txn, const char *vpc_id, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_main, "s", vpc_id);

    return rows && virga_txn_run(txn, error, NULL, sql_delete_main, "s", vpc_id) &&
           (virga_rows_count(rows) == 0 ||
            virga_txn_run(txn, error, NULL, sql_delete, "s", virga_rows_text(rows, 0, 0)));
}

bool
virga_route_table_delete(VirgaTxn *txn, const char *account_id, const char *id, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(VirgaRows) users = NULL;
    char *vpc_id;

    if (!virga_route_table_lock(txn, arena, account_id, id, &vpc_id, error))
        return false;
    users = virga_txn_query(txn, error, sql_users, "s", id);
    if (!users)
        return false;
    if (!virga_rows_is_null(users, 0, 0))
        return virga_fail(error, "route table", VIRGA_ERROR_IN_USE,
                          "The routeTable '%s' has dependencies and cannot be deleted (%s)", id,
                          virga_rows_text(users, 0, 0));
    return virga_txn_run(txn, error, NULL, sql_delete, "s", id) &&
           virga_vpc_touch(txn, vpc_id, error);
}

/* ---- associations ---- */

/* The table must be of the VPC that is to have it, or whose subnet is. */
static bool
check_network(const char *table_id, const char *its_vpc_id, const char *other, const char *vpc_id,
              GError **error)
{
    return g_str_equal(its_vpc_id, vpc_id) ||
           virga_fail(error, "route table association", VIRGA_ERROR_INVALID,
                      "Route table %s and %s belong to different networks", table_id, other);
}

bool
virga_route_table_associate(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            const char *id, const char *subnet_id, char **ret_association_id,
                            GError **error)
{
    g_autofree char *association_id = virga_id_new("rtbassoc");
    g_autoptr(VirgaRows) present = NULL;
    char *vpc_id, *subnet_vpc_id;

    if (!virga_subnet_lock(txn, arena, account_id, subnet_id, &subnet_vpc_id, error) ||
        !virga_route_table_lock(txn, arena, account_id, id, &vpc_id, error) ||
        !check_network(id, vpc_id, subnet_id, subnet_vpc_id, error))
        return false;
    present = virga_txn_query(txn, error, sql_of_subnet, "s", subnet_id);
    if (!present)
        return false;
    if (virga_rows_count(present)) {
        *ret_association_id = virga_rows_dup(present, arena, 0, 0);
        return g_str_equal(virga_rows_text(present, 0, 1), id) ||
               virga_fail(error, "route table association", VIRGA_ERROR_EXISTS,
                          "the specified association for route table %s conflicts with an "
                          "existing association",
                          id);
    }
    *ret_association_id = virga_arena_strdup(arena, association_id);
    return virga_txn_run(txn, error, NULL, sql_associate, "ssss", association_id, vpc_id, id,
                         subnet_id) &&
           virga_vpc_touch(txn, vpc_id, error);
}

/* Both in 'arena'; no subnet for a main association. */
static bool
find_association(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                 char **ret_vpc_id, char **ret_subnet_id, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_association, "ss", id, account_id);

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, "route table association", VIRGA_ERROR_NOT_FOUND,
                          "The association ID '%.200s' does not exist", id);
    *ret_vpc_id = virga_rows_dup(rows, arena, 0, 0);
    *ret_subnet_id = virga_rows_dup(rows, arena, 0, 1);
    return true;
}

static bool
lock_association(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                 char **ret_vpc_id, char **ret_subnet_id, GError **error)
{
    return find_association(txn, arena, account_id, id, ret_vpc_id, ret_subnet_id, error) &&
           virga_vpc_lock(txn, account_id, *ret_vpc_id, error) &&
           find_association(txn, arena, account_id, id, ret_vpc_id, ret_subnet_id, error);
}

bool
virga_route_table_disassociate(VirgaTxn *txn, const char *account_id, const char *association_id,
                               GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    char *vpc_id = NULL, *subnet_id = NULL;

    if (!lock_association(txn, arena, account_id, association_id, &vpc_id, &subnet_id, error))
        return false;
    if (!subnet_id)
        return virga_fail(error, "route table association", VIRGA_ERROR_INVALID,
                          "cannot disassociate the main route table association %s",
                          association_id);
    return virga_txn_run(txn, error, NULL, sql_disassociate, "s", association_id) &&
           virga_vpc_touch(txn, vpc_id, error);
}

bool
virga_route_table_replace_association(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                      const char *association_id, const char *id,
                                      char **ret_association_id, GError **error)
{
    g_autofree char *new_id = virga_id_new("rtbassoc");
    char *vpc_id = NULL, *subnet_id = NULL, *table_vpc_id = NULL;

    *ret_association_id = virga_arena_strdup(arena, new_id);
    return lock_association(txn, arena, account_id, association_id, &vpc_id, &subnet_id, error) &&
           find(txn, arena, account_id, id, &table_vpc_id, error) &&
           check_network(id, table_vpc_id, subnet_id ? subnet_id : vpc_id, vpc_id, error) &&
           virga_txn_run(txn, error, NULL, sql_replace, "sss", association_id, new_id, id) &&
           virga_vpc_touch(txn, vpc_id, error);
}

bool
virga_route_table_forget_subnet(VirgaTxn *txn, const char *subnet_id, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_forget_subnet, "s", subnet_id);
}
