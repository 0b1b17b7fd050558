/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/key-pair.h"

#include "core/error.h"
#include "core/id.h"
#include "core/quota.h"
#include "core/tag.h"

static const char sql_insert[] =
    "INSERT INTO key_pair (id, account_id, name, type, fingerprint, public_key)"
    " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account_id, name) DO NOTHING";
static const char sql_list[] =
    "SELECT id, account_id, name, type, fingerprint, public_key, " VIRGA_SQL_TIME(
        "created") " FROM key_pair WHERE account_id = $1 AND ($2::text[] IS NULL OR name = ANY "
                   "($2))"
                   " AND ($3::text[] IS NULL OR id = ANY ($3)) ORDER BY name";
static const char sql_delete[] =
    "DELETE FROM key_pair WHERE account_id = $1 AND ($2::text IS NULL OR name = $2)"
    " AND ($3::text IS NULL OR id = $3) RETURNING id";

bool
virga_key_pair_add(VirgaTxn *txn, VirgaArena *arena, VirgaKeyPair *key, GError **error)
{
    g_autofree char *id = virga_id_new("key");
    gint64 inserted;

    key->id = virga_arena_strdup(arena, id);
    key->public_key = virga_arena_printf(arena, "%s %s", key->public_key, key->name);
    if (!virga_txn_run(txn, error, &inserted, sql_insert, "ssssss", key->id, key->account_id,
                       key->name, key->type, key->fingerprint, key->public_key))
        return false;
    if (inserted == 0)
        return virga_fail(error, "key pair", VIRGA_ERROR_EXISTS, "The keypair '%s' already exists.",
                          key->name);
    return virga_quota_claim(txn, key->account_id, VIRGA_QUOTA_KEY_PAIRS, 1, error);
}

bool
virga_key_pair_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                    const char *const *names, const char *const *ids, VirgaKeyPair **ret,
                    size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_list, "saa", account_id, names, ids);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaKeyPair, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaKeyPair){ .id = virga_rows_dup(rows, arena, i, 0),
                                    .account_id = virga_rows_dup(rows, arena, i, 1),
                                    .name = virga_rows_dup(rows, arena, i, 2),
                                    .type = virga_rows_dup(rows, arena, i, 3),
                                    .fingerprint = virga_rows_dup(rows, arena, i, 4),
                                    .public_key = virga_rows_dup(rows, arena, i, 5),
                                    .created = virga_rows_time(rows, i, 6) };
    return true;
}

bool
virga_key_pair_delete(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *name,
                      const char *id, char **ret_id, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_delete, "sss", account_id, name, id);

    if (!rows)
        return false;
    *ret_id = virga_rows_count(rows) ? virga_rows_dup(rows, arena, 0, 0) : NULL;
    return !*ret_id || (virga_tag_forget(txn, *ret_id, error) &&
                        virga_quota_claim(txn, account_id, VIRGA_QUOTA_KEY_PAIRS, -1, error));
}
