/* SPDX-License-Identifier: Apache-2.0 */
#include "network/vpc.h"

#include "core/error.h"
#include "core/id.h"
#include "network/address.h"
#include "network/security-group.h"

#define DEFAULT_BASE   "172.31.0.0/16"
#define DEFAULT_PREFIX 20

static const char sql_vpc_list[] =
    "SELECT id, account_id, cidr::text, is_default FROM vpc"
    " WHERE account_id = $1 AND ($2::text[] IS NULL OR id = ANY ($2)) ORDER BY id";
static const char sql_vpc_default[] = "SELECT id FROM vpc WHERE account_id = $1 AND is_default";
static const char sql_vpc_insert[] =
    "INSERT INTO vpc (id, account_id, cidr, is_default) VALUES ($1, $2, $3::cidr, $4)";
static const char sql_vpc_touch[] =
    "WITH touched AS (UPDATE vpc SET generation = generation + 1 WHERE id = $1 RETURNING id)"
    " SELECT pg_notify('virga_vpc', id) FROM touched";

static const char sql_vpc_of[] =
    "SELECT vpc_id FROM subnet WHERE id = $2 AND account_id = $1"
    " UNION ALL SELECT vpc_id FROM security_group WHERE id = $2 AND account_id = $1"
    " UNION ALL SELECT vpc_id FROM network_interface WHERE id = $2 AND account_id = $1";

/* Free: the block less its members and the five addresses that AWS reserves. */
#define SUBNET_SELECT                                                                              \
    "SELECT s.id, s.account_id, s.vpc_id, s.zone, s.cidr::text, s.map_public, s.is_default,"       \
    " (1::bigint << (32 - masklen(s.cidr))) - 5 -"                                                 \
    " (SELECT count(*) FROM network_interface n WHERE n.subnet_id = s.id) -"                       \
    " (SELECT count(*) FROM network_interface_address a WHERE a.subnet_id = s.id) AS free"         \
    " FROM subnet s "
enum { ID, ACCOUNT_ID, VPC_ID, ZONE, CIDR, MAP_PUBLIC, IS_DEFAULT, FREE };
static const char sql_subnet_list[] = SUBNET_SELECT
    "WHERE s.account_id = $1 AND ($2::text[] IS NULL OR s.id = ANY ($2)) ORDER BY s.id";
static const char sql_subnet_default[] =
    SUBNET_SELECT "WHERE s.account_id = $1 AND s.is_default AND ($2::text IS NULL OR s.zone = $2)"
                  " ORDER BY free DESC, s.zone LIMIT 1";
/* Counting the free addresses costs more than all else of a launch: 0 here. */
static const char sql_subnet_candidates[] =
    "SELECT s.id, s.account_id, s.vpc_id, s.zone, s.cidr::text, s.map_public, s.is_default,"
    " 0::bigint FROM subnet s WHERE s.account_id = $1 AND ($2::text IS NULL OR s.id = $2)"
    " AND ($2::text IS NOT NULL OR s.is_default) AND ($3::text IS NULL OR $2::text IS NOT NULL"
    " OR s.zone = $3) ORDER BY s.zone, s.id";
static const char sql_subnet_insert[] =
    "INSERT INTO subnet (id, account_id, vpc_id, zone, cidr, map_public, is_default)"
    " VALUES ($1, $2, $3, $4, $5::cidr, $6, $7)";

bool
virga_vpc_of(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *resource_id,
             char **ret_vpc_id, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_vpc_of, "ss", account_id, resource_id);

    if (!rows)
        return false;
    *ret_vpc_id = virga_rows_count(rows) ? virga_rows_dup(rows, arena, 0, 0) : NULL;
    return true;
}

bool
virga_vpc_touch(VirgaTxn *txn, const char *vpc_id, GError **error)
{
    return virga_txn_post(txn, error, sql_vpc_touch, "s", vpc_id);
}

bool
virga_vpc_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *const *ids,
               VirgaVpc **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_vpc_list, "sa", account_id, ids);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaVpc, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaVpc){ .id = virga_rows_dup(rows, arena, i, 0),
                                .account_id = virga_rows_dup(rows, arena, i, 1),
                                .cidr = virga_rows_dup(rows, arena, i, 2),
                                .is_default = virga_rows_bool(rows, i, 3) };
    return true;
}

char *
virga_vpc_default(VirgaTxn *txn, VirgaArena *arena, const char *account_id, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_vpc_default, "s", account_id);

    if (!rows)
        return NULL;
    if (virga_rows_count(rows) == 0) {
        virga_fail(error, "vpc", VIRGA_ERROR_NOT_FOUND, "the account has no default VPC");
        return NULL;
    }
    return virga_rows_dup(rows, arena, 0, 0);
}

static void
read_subnet(const VirgaRows *rows, int row, VirgaArena *arena, VirgaSubnet *subnet)
{
    subnet->id = virga_rows_dup(rows, arena, row, ID);
    subnet->account_id = virga_rows_dup(rows, arena, row, ACCOUNT_ID);
    subnet->vpc_id = virga_rows_dup(rows, arena, row, VPC_ID);
    subnet->zone = virga_rows_dup(rows, arena, row, ZONE);
    subnet->cidr = virga_rows_dup(rows, arena, row, CIDR);
    subnet->map_public = virga_rows_bool(rows, row, MAP_PUBLIC);
    subnet->is_default = virga_rows_bool(rows, row, IS_DEFAULT);
    subnet->free_addresses = virga_rows_int(rows, row, FREE);
}

bool
virga_subnet_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *const *ids,
                  VirgaSubnet **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_subnet_list, "sa", account_id, ids);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaSubnet, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        read_subnet(rows, i, arena, &(*ret)[i]);
    return true;
}

bool
virga_subnet_candidates_send(VirgaTxn *txn, const char *account_id, const char *id,
                             const char *zone, GError **error)
{
    return virga_txn_send(txn, error, sql_subnet_candidates, "sss", account_id, id, zone);
}

bool
virga_subnet_candidates_receive(VirgaTxn *txn, VirgaArena *arena, VirgaSubnet **ret,
                                size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_receive(txn, error);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaSubnet, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        read_subnet(rows, i, arena, &(*ret)[i]);
    return true;
}

VirgaSubnet *
virga_subnet_get(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                 GError **error)
{
    const char *ids[] = { id, NULL };
    VirgaSubnet *subnet;
    size_t count;

    if (!virga_subnet_list(txn, arena, account_id, ids, &subnet, &count, error))
        return NULL;
    if (count == 0) {
        virga_fail(error, "subnet", VIRGA_ERROR_NOT_FOUND, "The subnet ID '%s' does not exist", id);
        return NULL;
    }
    return subnet;
}

VirgaSubnet *
virga_subnet_default(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *zone,
                     GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_subnet_default, "ss", account_id, zone);
    VirgaSubnet *subnet;

    if (!rows)
        return NULL;
    if (virga_rows_count(rows) == 0) {
        virga_fail(error, "subnet", VIRGA_ERROR_NOT_FOUND, "No default subnet in zone '%s'",
                   zone ? zone : "any");
        return NULL;
    }
    subnet = virga_arena_new_array(arena, VirgaSubnet, 1);
    read_subnet(rows, 0, arena, subnet);
    return subnet;
}

static bool
has_subnet(const VirgaSubnet *subnets, size_t count, const char *vpc_id, const char *zone)
{
    for (size_t i = 0; i < count; i++)
        if (g_str_equal(subnets[i].vpc_id, vpc_id) && g_str_equal(subnets[i].zone, zone))
            return true;
    return false;
}

/* The n-th zone gets the n-th /20, so that a zone added later finds its block free. */
static bool
add_subnets(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *vpc_id,
            const char *const *zones, GError **error)
{
    VirgaSubnet *present;
    size_t count;
    guint32 base;
    unsigned prefix;

    virga_cidr_parse(DEFAULT_BASE, &base, &prefix);
    if (!virga_subnet_list(txn, arena, account_id, NULL, &present, &count, error))
        return false;
    for (; *zones; zones++, base += (guint32) virga_cidr_size(DEFAULT_PREFIX)) {
        g_autofree char *id = virga_id_new("subnet");
        g_autofree char *cidr = virga_cidr_text(base, DEFAULT_PREFIX);

        if (has_subnet(present, count, vpc_id, *zones))
            continue;
        if (!virga_txn_run(txn, error, NULL, sql_subnet_insert, "sssssbb", id, account_id, vpc_id,
                           *zones, cidr, true, true))
            return false;
    }
    return true;
}

bool
virga_vpc_create_default(VirgaTxn *txn, const char *account_id, const char *const *zones,
                         GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(GError) missing = NULL;
    const char *vpc_id = virga_vpc_default(txn, arena, account_id, &missing);

    if (!vpc_id && !virga_error_is(missing, "vpc", VIRGA_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&missing));
        return false;
    }
    if (!vpc_id) {
        g_autofree char *id = virga_id_new("vpc");

        vpc_id = virga_arena_strdup(arena, id);
        if (!virga_txn_run(txn, error, NULL, sql_vpc_insert, "sssb", vpc_id, account_id,
                           DEFAULT_BASE, true) ||
            !virga_security_group_create_default(txn, account_id, vpc_id, error))
            return false;
    }
    return add_subnets(txn, arena, account_id, vpc_id, zones, error);
}
