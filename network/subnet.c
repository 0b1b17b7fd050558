/* SPDX-License-Identifier: Apache-2.0 */
#include "network/subnet.h"

#include "core/error.h"
#include "core/id.h"
#include "core/quota.h"
#include "network/address.h"
#include "network/block.h"
#include "network/network-acl.h"
#include "network/route-table.h"
#include "network/vpc.h"

/* Free: the block less its members and the five addresses that AWS reserves. */
#define SUBNET_COLUMNS                                                                             \
    "s.id, s.account_id, s.vpc_id, s.zone, s.cidr::text, s.map_public, s.is_default,"              \
    " s.hostname_type, s.resource_name_a,"
#define SUBNET_SELECT                                                                              \
    "SELECT " SUBNET_COLUMNS " (1::bigint << (32 - masklen(s.cidr))) - 5 -"                        \
    " (SELECT count(*) FROM network_interface n WHERE n.subnet_id = s.id) -"                       \
    " (SELECT count(*) FROM network_interface_address a WHERE a.subnet_id = s.id) AS free"         \
    " FROM subnet s "
enum { ID, ACCOUNT_ID, VPC_ID, ZONE, CIDR, MAP_PUBLIC, IS_DEFAULT, HOSTNAME_TYPE, NAME_A, FREE };
static const char sql_list[] = SUBNET_SELECT
    "WHERE s.account_id = $1 AND ($2::text[] IS NULL OR s.id = ANY ($2)) ORDER BY s.id";
/* Counting the free addresses costs more than all else of a launch: 0 here. */
static const char sql_candidates[] =
    "SELECT " SUBNET_COLUMNS " 0::bigint FROM subnet s"
    " WHERE s.account_id = $1 AND ($2::text IS NULL OR s.id = $2)"
    " AND ($2::text IS NOT NULL OR s.is_default) AND ($3::text IS NULL OR $2::text IS NOT NULL"
    " OR s.zone = $3) ORDER BY s.zone, s.id";
static const char sql_fit[] =
    "SELECT EXISTS (SELECT 1 FROM vpc_block WHERE vpc_id = $1 AND cidr >>= $2::cidr),"
    " (SELECT id FROM subnet WHERE vpc_id = $1 AND cidr && $2::cidr LIMIT 1),"
    " (SELECT count(*) FROM subnet WHERE vpc_id = $1)";
static const char sql_insert[] =
    "INSERT INTO subnet (id, account_id, vpc_id, zone, cidr, map_public, is_default)"
    " VALUES ($1, $2, $3, $4, $5::cidr, $6, $7)";
static const char sql_lock[] =
    "SELECT vpc_id FROM subnet WHERE id = $1 AND account_id = $2 FOR UPDATE";
static const char sql_users[] =
    "SELECT string_agg(id, ', ') FROM"
    " (SELECT id FROM network_interface WHERE subnet_id = $1 ORDER BY id LIMIT 5) n";
static const char sql_delete[] =
    "WITH untagged AS (DELETE FROM tag WHERE resource_id = $1) DELETE FROM subnet WHERE id = $1";
static const char sql_modify[] = "UPDATE subnet SET map_public = coalesce($2, map_public),"
                                 " resource_name_a = coalesce($3, resource_name_a),"
                                 " hostname_type = coalesce($4, hostname_type) WHERE id = $1";

static void
read_subnets(const VirgaRows *rows, VirgaArena *arena, VirgaSubnet **ret, size_t *ret_count)
{
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaSubnet, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaSubnet){ .id = virga_rows_dup(rows, arena, i, ID),
                                   .account_id = virga_rows_dup(rows, arena, i, ACCOUNT_ID),
                                   .vpc_id = virga_rows_dup(rows, arena, i, VPC_ID),
                                   .zone = virga_rows_dup(rows, arena, i, ZONE),
                                   .cidr = virga_rows_dup(rows, arena, i, CIDR),
                                   .map_public = virga_rows_bool(rows, i, MAP_PUBLIC),
                                   .is_default = virga_rows_bool(rows, i, IS_DEFAULT),
                                   .hostname_type = virga_rows_dup(rows, arena, i, HOSTNAME_TYPE),
                                   .resource_name_a = virga_rows_bool(rows, i, NAME_A),
                                   .free_addresses = virga_rows_int(rows, i, FREE) };
}

bool
virga_subnet_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *const *ids,
                  VirgaSubnet **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_list, "sa", account_id, ids);

    if (!rows)
        return false;
    read_subnets(rows, arena, ret, ret_count);
    return true;
}

bool
virga_subnet_candidates_send(VirgaTxn *txn, const char *account_id, const char *id,
                             const char *zone, GError **error)
{
    return virga_txn_send(txn, error, sql_candidates, "sss", account_id, id, zone);
}

bool
virga_subnet_candidates_receive(VirgaTxn *txn, VirgaArena *arena, VirgaSubnet **ret,
                                size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_receive(txn, error);

    if (!rows)
        return false;
    read_subnets(rows, arena, ret, ret_count);
    return true;
}

static bool
fail_missing(const char *id, GError **error)
{
    return virga_fail(error, "subnet", VIRGA_ERROR_NOT_FOUND, "The subnet ID '%s' does not exist",
                      id);
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
        fail_missing(id, error);
        return NULL;
    }
    return subnet;
}

/* ---- making and deleting ---- */

static bool
check_fit(VirgaTxn *txn, const VirgaSubnetSpec *spec, const char *cidr, unsigned prefix,
          GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_fit, "ss", spec->vpc_id, cidr);
    gint64 limit;

    if (!rows ||
        !virga_quota_limit(txn, spec->account_id, VIRGA_QUOTA_SUBNETS_PER_VPC, &limit, error))
        return false;
    if (prefix < VIRGA_BLOCK_PREFIX_MIN || prefix > VIRGA_BLOCK_PREFIX_MAX ||
        !virga_rows_bool(rows, 0, 0))
        return virga_fail(error, "subnet block", VIRGA_ERROR_INVALID, "The CIDR '%s' is invalid.",
                          cidr);
    if (!virga_rows_is_null(rows, 0, 1))
        return virga_fail(error, "subnet", VIRGA_ERROR_CONFLICT,
                          "The CIDR '%s' conflicts with another subnet (%s)", cidr,
                          virga_rows_text(rows, 0, 1));
    return virga_rows_int(rows, 0, 2) < limit ||
           virga_fail(error, "subnet", VIRGA_ERROR_QUOTA,
                      "The maximum number of subnets for VPC '%s' has been reached", spec->vpc_id);
}

bool
virga_subnet_create(VirgaTxn *txn, VirgaArena *arena, const VirgaSubnetSpec *spec, char **ret_id,
                    GError **error)
{
    g_autofree char *id = virga_id_new("subnet");
    char *cidr;
    unsigned prefix;

    if (!virga_block_parse(arena, spec->cidr, &cidr, &prefix, error) ||
        !virga_vpc_lock(txn, spec->account_id, spec->vpc_id, error) ||
        !check_fit(txn, spec, cidr, prefix, error) ||
        !virga_txn_run(txn, error, NULL, sql_insert, "sssssbb", id, spec->account_id, spec->vpc_id,
                       spec->zone, cidr, spec->map_public, spec->is_default) ||
        !virga_network_acl_add_subnet(txn, spec->vpc_id, id, error) ||
        !virga_vpc_touch(txn, spec->vpc_id, error))
        return false;
    *ret_id = virga_arena_strdup(arena, id);
    return true;
}

bool
virga_subnet_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                  char **ret_vpc_id, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_lock, "ss", id, account_id);

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return fail_missing(id, error);
    *ret_vpc_id = virga_rows_dup(rows, arena, 0, 0);
    return true;
}

bool
virga_subnet_delete(VirgaTxn *txn, const char *account_id, const char *id, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(VirgaRows) users = NULL;
    char *vpc_id;

    if (!virga_subnet_lock(txn, arena, account_id, id, &vpc_id, error) ||
        !virga_vpc_lock(txn, account_id, vpc_id, error))
        return false;
    users = virga_txn_query(txn, error, sql_users, "s", id);
    if (!users)
        return false;
    if (!virga_rows_is_null(users, 0, 0))
        return virga_fail(error, "subnet", VIRGA_ERROR_IN_USE,
                          "The subnet '%s' has dependencies and cannot be deleted (%s)", id,
                          virga_rows_text(users, 0, 0));
    return virga_route_table_forget_subnet(txn, id, error) &&
           virga_txn_run(txn, error, NULL, sql_delete, "s", id) &&
           virga_vpc_touch(txn, vpc_id, error);
}

bool
virga_subnet_modify(VirgaTxn *txn, const char *account_id, const char *id,
                    const VirgaSubnetChange *change, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    char *vpc_id;

    return virga_subnet_lock(txn, arena, account_id, id, &vpc_id, error) &&
           virga_txn_run(txn, error, NULL, sql_modify, "smms", id, change->map_public,
                         change->resource_name_a, change->hostname_type);
}
