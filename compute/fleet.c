/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/fleet.h"

#include "core/error.h"
#include "core/tag.h"

static const char sql_list[] =
    "SELECT f.id, f.account_id, f.request, f.result, f.deleted IS NOT NULL, EXISTS (SELECT 1"
    " FROM tag t JOIN instance i ON i.id = t.resource_id WHERE t.account_id = f.account_id"
    " AND t.key = '" VIRGA_FLEET_TAG "' AND t.value = f.id AND i.state <> 'terminated'),"
    " " VIRGA_SQL_TIME("f.created") " FROM fleet f WHERE f.account_id = $1"
                                    " AND ($2::text[] IS NULL OR f.id = ANY ($2)) ORDER BY f.id";
static const char sql_insert[] = "INSERT INTO fleet (id, account_id, request) VALUES ($1, $2, $3)";
static const char sql_result[] = "UPDATE fleet SET result = $2 WHERE id = $1";
static const char sql_deleted[] =
    "UPDATE fleet SET deleted = coalesce(deleted, now()) WHERE id = $1";
static const char sql_instances[] =
    "SELECT i.id FROM tag t JOIN instance i ON i.id = t.resource_id WHERE t.account_id = $1"
    " AND t.key = '" VIRGA_FLEET_TAG "' AND t.value = $2 AND i.state <> 'terminated'"
    " ORDER BY i.id";
static const char sql_forget[] =
    "WITH gone AS (DELETE FROM fleet f WHERE f.created < now() - interval '2 days'"
    " AND NOT EXISTS (SELECT 1 FROM tag t JOIN instance i ON i.id = t.resource_id"
    " WHERE t.account_id = f.account_id AND t.key = '" VIRGA_FLEET_TAG "' AND t.value = f.id"
    " AND i.state <> 'terminated') RETURNING id)"
    " DELETE FROM tag USING gone WHERE tag.resource_id = gone.id";

bool
virga_fleet_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *const *ids,
                 VirgaFleet **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_list, "sa", account_id, ids);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaFleet, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaFleet){ .id = virga_rows_dup(rows, arena, i, 0),
                                  .account_id = virga_rows_dup(rows, arena, i, 1),
                                  .request = virga_rows_dup(rows, arena, i, 2),
                                  .result = virga_rows_dup(rows, arena, i, 3),
                                  .deleted = virga_rows_bool(rows, i, 4),
                                  .alive = virga_rows_bool(rows, i, 5),
                                  .created = virga_rows_time(rows, i, 6) };
    return true;
}

bool
virga_fleet_create(VirgaTxn *txn, const char *id, const char *account_id, const char *request,
                   GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_insert, "sss", id, account_id, request);
}

bool
virga_fleet_set_result(VirgaTxn *txn, const char *id, const char *result, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_result, "ss", id, result);
}

bool
virga_fleet_set_deleted(VirgaTxn *txn, const char *id, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_deleted, "s", id);
}

bool
virga_fleet_instances(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                      const char ***ret_ids, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_instances, "ss", account_id, id);

    if (!rows)
        return false;
    *ret_ids = virga_arena_new_array(arena, const char *, (size_t) virga_rows_count(rows) + 1);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret_ids)[i] = virga_rows_dup(rows, arena, i, 0);
    return true;
}

bool
virga_fleet_sweep(VirgaTxn *txn, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_forget, "");
}
