/* SPDX-License-Identifier: Apache-2.0 */
#include "network/internet-gateway.h"

#include "core/error.h"
#include "core/id.h"
#include "core/quota.h"
#include "network/vpc.h"

static const char sql_list[] =
    "SELECT id, account_id, vpc_id FROM internet_gateway"
    " WHERE account_id = $1 AND ($2::text[] IS NULL OR id = ANY ($2)) ORDER BY id";
static const char sql_insert[] = "INSERT INTO internet_gateway (id, account_id) VALUES ($1, $2)";
static const char sql_lock[] =
    "SELECT vpc_id FROM internet_gateway WHERE id = $1 AND account_id = $2 FOR UPDATE";
static const char sql_of_vpc[] = "SELECT id FROM internet_gateway WHERE vpc_id = $1";
static const char sql_set_vpc[] = "UPDATE internet_gateway SET vpc_id = $2 WHERE id = $1";
static const char sql_mapped[] =
    "SELECT host(p.address) FROM public_address p JOIN network_interface n ON n.id = p.interface_id"
    " WHERE n.vpc_id = $1 ORDER BY p.address LIMIT 1";
static const char sql_delete[] = "WITH untagged AS (DELETE FROM tag WHERE resource_id = $1)"
                                 " DELETE FROM internet_gateway WHERE id = $1";

bool
virga_internet_gateway_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            const char *const *ids, VirgaInternetGateway **ret, size_t *ret_count,
                            GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_list, "sa", account_id, ids);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaInternetGateway, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaInternetGateway){ .id = virga_rows_dup(rows, arena, i, 0),
                                            .account_id = virga_rows_dup(rows, arena, i, 1),
                                            .vpc_id = virga_rows_dup(rows, arena, i, 2) };
    return true;
}

bool
virga_internet_gateway_create(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                              char **ret_id, GError **error)
{
    g_autofree char *id = virga_id_new("igw");

    *ret_id = virga_arena_strdup(arena, id);
    return virga_txn_run(txn, error, NULL, sql_insert, "ss", id, account_id) &&
           virga_quota_claim(txn, account_id, VIRGA_QUOTA_INTERNET_GATEWAYS, 1, error);
}

/* *ret_vpc_id is in 'arena', NULL if it is not attached. */
static bool
lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id, char **ret_vpc_id,
     GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_lock, "ss", id, account_id);

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, "internet gateway", VIRGA_ERROR_NOT_FOUND,
                          "The internetGateway ID '%s' does not exist", id);
    *ret_vpc_id = virga_rows_dup(rows, arena, 0, 0);
    return true;
}

bool
virga_internet_gateway_delete(VirgaTxn *txn, const char *account_id, const char *id, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    char *vpc_id = NULL;

    if (!lock(txn, arena, account_id, id, &vpc_id, error))
        return false;
    if (vpc_id)
        return virga_fail(error, "internet gateway", VIRGA_ERROR_IN_USE,
                          "The internetGateway '%s' has dependencies and cannot be deleted (%s)",
                          id, vpc_id);
    return virga_txn_run(txn, error, NULL, sql_delete, "s", id) &&
           virga_quota_claim(txn, account_id, VIRGA_QUOTA_INTERNET_GATEWAYS, -1, error);
}

bool
virga_internet_gateway_attach(VirgaTxn *txn, const char *account_id, const char *id,
                              const char *vpc_id, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(VirgaRows) other = NULL;
    char *present = NULL;

    if (!lock(txn, arena, account_id, id, &present, error) ||
        !virga_vpc_lock(txn, account_id, vpc_id, error))
        return false;
    if (present)
        return virga_fail(error, "internet gateway", VIRGA_ERROR_EXISTS,
                          "resource %s is already attached to network %s", id, present);
    other = virga_txn_query(txn, error, sql_of_vpc, "s", vpc_id);
    if (!other)
        return false;
    if (virga_rows_count(other))
        return virga_fail(error, "internet gateway", VIRGA_ERROR_INVALID,
                          "Network %s already has an internet gateway attached", vpc_id);
    return virga_txn_run(txn, error, NULL, sql_set_vpc, "ss", id, vpc_id) &&
           virga_vpc_touch(txn, vpc_id, error);
}

bool
virga_internet_gateway_detach(VirgaTxn *txn, const char *account_id, const char *id,
                              const char *vpc_id, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(VirgaRows) mapped = NULL;
    char *present = NULL;

    if (!lock(txn, arena, account_id, id, &present, error))
        return false;
    if (g_strcmp0(present, vpc_id) != 0)
        return virga_fail(error, "internet gateway", VIRGA_ERROR_STATE,
                          "resource %s is not attached to network %s", id, vpc_id);
    if (!virga_vpc_lock(txn, account_id, vpc_id, error))
        return false;
    mapped = virga_txn_query(txn, error, sql_mapped, "s", vpc_id);
    if (!mapped)
        return false;
    if (virga_rows_count(mapped))
        return virga_fail(error, "internet gateway", VIRGA_ERROR_IN_USE,
                          "Network %s has some mapped public address(es). Please unmap those "
                          "public address(es) before detaching the gateway. (%s)",
                          vpc_id, virga_rows_text(mapped, 0, 0));
    return virga_txn_run(txn, error, NULL, sql_set_vpc, "ss", id, NULL) &&
           virga_vpc_touch(txn, vpc_id, error);
}

bool
virga_internet_gateway_require(VirgaTxn *txn, const char *vpc_id, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_of_vpc, "s", vpc_id);

    if (!rows)
        return false;
    return virga_rows_count(rows) > 0 ||
           virga_fail(error, "internet gateway", VIRGA_ERROR_STATE,
                      "Network %s is not attached to any internet gateway", vpc_id);
}
