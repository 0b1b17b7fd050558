/* SPDX-License-Identifier: Apache-2.0 */
/* How VPCs begin and end, default ones among them. */
#include "network/vpc.h"

#include "core/error.h"
#include "core/id.h"
#include "core/quota.h"
#include "network/block.h"
#include "network/dhcp-options.h"
#include "network/internet-gateway.h"
#include "network/network-acl.h"
#include "network/route-table.h"
#include "network/security-group.h"
#include "network/subnet.h"

#define DEFAULT_BLOCK "172.31.0.0/16"

static const char sql_insert[] =
    "INSERT INTO vpc (id, account_id, cidr, is_default, tenancy, dns_hostnames, dhcp_options_id)"
    " VALUES ($1, $2, $3::cidr, $4, $5, $4, $6)";
static const char sql_lock[] = "SELECT 1 FROM vpc WHERE id = $1 AND account_id = $2 FOR UPDATE";
/* A NAT gateway that is gone is shown for a while, but holds nothing. */
static const char sql_dependants[] =
    "SELECT string_agg(id, ', ') FROM ("
    " SELECT id FROM subnet WHERE vpc_id = $1"
    " UNION ALL SELECT id FROM internet_gateway WHERE vpc_id = $1"
    " UNION ALL SELECT name FROM target_group WHERE vpc_id = $1"
    " UNION ALL SELECT id FROM nat_gateway WHERE vpc_id = $1 AND state NOT IN ('deleted', 'failed')"
    " UNION ALL SELECT id FROM security_group WHERE vpc_id = $1 AND name <> 'default'"
    " UNION ALL SELECT id FROM network_acl WHERE vpc_id = $1 AND NOT is_default"
    " UNION ALL SELECT t.id FROM route_table t WHERE t.vpc_id = $1 AND NOT EXISTS"
    "  (SELECT 1 FROM route_table_association a WHERE a.route_table_id = t.id"
    "  AND a.subnet_id IS NULL) LIMIT 10) d";
static const char sql_delete[] =
    "WITH untagged AS (DELETE FROM tag WHERE resource_id = $1),"
    " gateways AS (DELETE FROM nat_gateway WHERE vpc_id = $1) DELETE FROM vpc WHERE id = $1";
/* Whoever makes default things holds the account's row. */
static const char sql_zones[] = "SELECT default_zones FROM account WHERE id = $1 FOR NO KEY UPDATE";
static const char sql_set_zones[] = "UPDATE account SET default_zones = $2 WHERE id = $1";
static const char sql_has_subnet[] =
    "SELECT id FROM subnet WHERE vpc_id = $1 AND zone = $2 AND is_default";
/* The n-th zone gets the n-th /20, so that a zone added later finds its block free. */
static const char sql_free_block[] =
    "SELECT b.cidr::text FROM vpc v, generate_series(0, 15) n,"
    " LATERAL (SELECT set_masklen(v.cidr::inet + n * 4096, 20)::cidr AS cidr) b"
    " WHERE v.id = $1 AND NOT EXISTS (SELECT 1 FROM subnet s WHERE s.vpc_id = v.id"
    " AND s.cidr && b.cidr) ORDER BY n <> $2::bigint, n LIMIT 1";

/* ---- any ---- */

bool
virga_vpc_create(VirgaTxn *txn, VirgaArena *arena, const VirgaVpcSpec *spec, char **ret_id,
                 GError **error)
{
    g_autofree char *id = virga_id_new("vpc");
    char *cidr, *options_id;

    if (!virga_block_of_vpc(arena, spec->cidr, &cidr, error) ||
        !virga_dhcp_options_default(txn, arena, spec->account_id, &options_id, error) ||
        !virga_txn_run(txn, error, NULL, sql_insert, "sssbss", id, spec->account_id, cidr,
                       spec->is_default, spec->tenancy ? spec->tenancy : "default", options_id) ||
        !virga_route_table_create_main(txn, spec->account_id, id, error) ||
        !virga_network_acl_create_default(txn, spec->account_id, id, error) ||
        !virga_security_group_create_default(txn, spec->account_id, id, error) ||
        !virga_quota_claim(txn, spec->account_id, VIRGA_QUOTA_VPCS, 1, error))
        return false;
    *ret_id = virga_arena_strdup(arena, id);
    return true;
}

bool
virga_vpc_delete(VirgaTxn *txn, const char *account_id, const char *id, GError **error)
{
    g_autoptr(VirgaRows) found = virga_txn_query(txn, error, sql_lock, "ss", id, account_id);
    g_autoptr(VirgaRows) dependants = NULL;

    if (!found)
        return false;
    if (virga_rows_count(found) == 0)
        return virga_fail(error, "vpc", VIRGA_ERROR_NOT_FOUND, "The vpc ID '%s' does not exist",
                          id);
    dependants = virga_txn_query(txn, error, sql_dependants, "s", id);
    if (!dependants)
        return false;
    if (!virga_rows_is_null(dependants, 0, 0))
        return virga_fail(error, "vpc", VIRGA_ERROR_IN_USE,
                          "The vpc '%s' has dependencies and cannot be deleted (%s)", id,
                          virga_rows_text(dependants, 0, 0));
    return virga_security_group_delete_default(txn, id, error) &&
           virga_network_acl_delete_default(txn, id, error) &&
           virga_route_table_delete_main(txn, id, error) &&
           virga_txn_run(txn, error, NULL, sql_delete, "s", id) &&
           virga_quota_claim(txn, account_id, VIRGA_QUOTA_VPCS, -1, error);
}

/* ---- default ones ---- */

/* *ret_id is NULL if no block is free. */
static bool
add_subnet(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *vpc_id,
           const char *zone, gint64 position, char **ret_id, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_free_block, "si", vpc_id, position);
    VirgaSubnetSpec spec = { .account_id = account_id,
                             .vpc_id = vpc_id,
                             .zone = zone,
                             .map_public = true,
                             .is_default = true };

    *ret_id = NULL;
    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return true;
    spec.cidr = virga_rows_text(rows, 0, 0);
    return virga_subnet_create(txn, arena, &spec, ret_id, error);
}

/* A default subnet for each zone that is not among 'had'. */
static bool
add_subnets(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *vpc_id,
            const char *const *zones, const char *const *had, GError **error)
{
    char *id;

    for (gint64 i = 0; zones[i]; i++)
        if (!g_strv_contains(had, zones[i]) &&
            !add_subnet(txn, arena, account_id, vpc_id, zones[i], i, &id, error))
            return false;
    return true;
}

static bool
create_default(VirgaTxn *txn, VirgaArena *arena, const char *account_id, char **ret_id,
               GError **error)
{
    VirgaVpcSpec spec = { .account_id = account_id, .cidr = DEFAULT_BLOCK, .is_default = true };
    char *gateway_id;

    return virga_vpc_create(txn, arena, &spec, ret_id, error) &&
           virga_internet_gateway_create(txn, arena, account_id, &gateway_id, error) &&
           virga_internet_gateway_attach(txn, account_id, gateway_id, *ret_id, error) &&
           virga_route_table_add_internet(txn, *ret_id, gateway_id, error);
}

/* The zones in which the account has had a default subnet; the caller's. */
static char **
lock_zones(VirgaTxn *txn, const char *account_id, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_zones, "s", account_id);

    if (!rows)
        return NULL;
    if (virga_rows_count(rows) == 0) {
        virga_fail(error, "account", VIRGA_ERROR_NOT_FOUND, "there is no account \"%s\"",
                   account_id);
        return NULL;
    }
    return virga_rows_array(rows, 0, 0);
}

static bool
remember_zones(VirgaTxn *txn, const char *account_id, const char *const *zones,
               const char *const *had, GError **error)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_auto(GStrv) all = NULL;

    for (const char *const *zone = had; *zone; zone++)
        g_strv_builder_add(builder, *zone);
    for (; *zones; zones++)
        if (!g_strv_contains(had, *zones))
            g_strv_builder_add(builder, *zones);
    all = g_strv_builder_end(builder);
    return virga_txn_run(txn, error, NULL, sql_set_zones, "sa", account_id, all);
}

/* *ret_id is NULL if there is none. */
static bool
find_default(VirgaTxn *txn, VirgaArena *arena, const char *account_id, char **ret_id,
             GError **error)
{
    g_autoptr(GError) reason = NULL;

    *ret_id = virga_vpc_default(txn, arena, account_id, &reason);
    if (*ret_id || virga_error_is(reason, "default vpc", VIRGA_ERROR_NOT_FOUND))
        return true;
    g_propagate_error(error, g_steal_pointer(&reason));
    return false;
}

bool
virga_vpc_create_default(VirgaTxn *txn, const char *account_id, const char *const *zones,
                         GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_auto(GStrv) had = lock_zones(txn, account_id, error);
    char *vpc_id;

    if (!had || !find_default(txn, arena, account_id, &vpc_id, error))
        return false;
    if (!vpc_id && had[0])
        return true; /* it was deleted */
    return (vpc_id || create_default(txn, arena, account_id, &vpc_id, error)) &&
           add_subnets(txn, arena, account_id, vpc_id, zones, (const char *const *) had, error) &&
           remember_zones(txn, account_id, zones, (const char *const *) had, error);
}

bool
virga_vpc_restore_default(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                          const char *const *zones, char **ret_id, GError **error)
{
    static const char *const none[] = { NULL };
    g_auto(GStrv) had = lock_zones(txn, account_id, error);

    if (!had || !find_default(txn, arena, account_id, ret_id, error))
        return false;
    if (*ret_id)
        return virga_fail(error, "default vpc", VIRGA_ERROR_EXISTS,
                          "A Default VPC already exists for this account in this region.");
    return create_default(txn, arena, account_id, ret_id, error) &&
           add_subnets(txn, arena, account_id, *ret_id, zones, none, error) &&
           remember_zones(txn, account_id, zones, (const char *const *) had, error);
}

bool
virga_vpc_restore_default_subnet(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                 const char *zone, char **ret_id, GError **error)
{
    const char *one[] = { zone, NULL };
    g_auto(GStrv) had = lock_zones(txn, account_id, error);
    g_autoptr(VirgaRows) present = NULL;
    char *vpc_id;

    if (!had || !find_default(txn, arena, account_id, &vpc_id, error))
        return false;
    if (!vpc_id)
        return virga_fail(error, "default subnet", VIRGA_ERROR_NOT_FOUND,
                          "There is no default VPC in this account");
    present = virga_txn_query(txn, error, sql_has_subnet, "ss", vpc_id, zone);
    if (!present)
        return false;
    if (virga_rows_count(present))
        return virga_fail(error, "default subnet", VIRGA_ERROR_EXISTS,
                          "'%s' is already the default subnet in %s.",
                          virga_rows_text(present, 0, 0), zone);
    if (!add_subnet(txn, arena, account_id, vpc_id, zone, 0, ret_id, error) ||
        !remember_zones(txn, account_id, one, (const char *const *) had, error))
        return false;
    return *ret_id || virga_fail(error, "default subnet", VIRGA_ERROR_CAPACITY,
                                 "The default VPC '%s' has no free /20 CIDR block", vpc_id);
}
