/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/snapshot-task.h"

#include "core/tag.h"

#define FILES(what)                                                                                \
    "(SELECT array_agg(coalesce(f ->> '" what "', '') ORDER BY n) FROM"                            \
    " json_array_elements(coalesce(snapshot_files(source_id), '[]'::json)) WITH ORDINALITY"        \
    " AS t (f, n))"
#define HELD "id = $1 AND worker = $2 AND state = 'pending' AND host_id IS NULL"

static const char sql_take[] =
    "UPDATE snapshot SET worker = $1, worker_until = now() + interval '1 minute' WHERE id ="
    " (SELECT id FROM snapshot WHERE source_id IS NOT NULL AND state = 'pending'"
    " AND host_id IS NULL AND coalesce(worker_until < now(), true)"
    " ORDER BY created, id LIMIT 1 FOR UPDATE SKIP LOCKED)"
    " RETURNING id, key_id, " FILES("id") ", " FILES("sha256");
static const char sql_prolong[] =
    "UPDATE snapshot SET worker_until = now() + interval '1 minute' WHERE " HELD;
static const char sql_hold[] = "SELECT 1 FROM snapshot WHERE " HELD " FOR UPDATE";
static const char sql_complete[] =
    "UPDATE snapshot SET state = 'completed', progress = 100, completed = now(), bytes = $3,"
    " sha256 = $4, source_id = NULL, worker = NULL, worker_until = NULL WHERE " HELD;
static const char sql_fail[] =
    "UPDATE snapshot SET state = 'error', message = $3, source_id = NULL, worker = NULL,"
    " worker_until = NULL WHERE " HELD;

static char **
copy_array(const VirgaRows *rows, VirgaArena *arena, int column)
{
    g_auto(GStrv) texts = virga_rows_array(rows, 0, column);
    size_t count = texts ? g_strv_length(texts) : 0;
    char **copy = virga_arena_new_array(arena, char *, count + 1);

    for (size_t i = 0; i < count; i++)
        copy[i] = virga_arena_strdup(arena, texts[i]);
    return copy;
}

bool
virga_snapshot_task_take(VirgaTxn *txn, VirgaArena *arena, const char *worker,
                         VirgaSnapshotTask *ret, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_take, "s", worker);

    *ret = (VirgaSnapshotTask){ 0 };
    if (rows && virga_rows_count(rows) > 0)
        *ret = (VirgaSnapshotTask){ .id = virga_rows_dup(rows, arena, 0, 0),
                                    .key_id = virga_rows_dup(rows, arena, 0, 1),
                                    .files = copy_array(rows, arena, 2),
                                    .sums = copy_array(rows, arena, 3) };
    return rows != NULL;
}

bool
virga_snapshot_task_prolong(VirgaTxn *txn, const char *id, const char *worker, bool *ret_held,
                            GError **error)
{
    gint64 updated = 0;
    bool done = virga_txn_run(txn, error, &updated, sql_prolong, "ss", id, worker);

    *ret_held = updated > 0;
    return done;
}

bool
virga_snapshot_task_hold(VirgaTxn *txn, const char *id, const char *worker, bool *ret_held,
                         GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_hold, "ss", id, worker);

    *ret_held = rows && virga_rows_count(rows) > 0;
    return rows != NULL;
}

bool
virga_snapshot_task_complete(VirgaTxn *txn, const char *id, const char *worker, gint64 bytes,
                             const char *sha256, bool *ret_held, GError **error)
{
    gint64 updated = 0;
    bool done =
        virga_txn_run(txn, error, &updated, sql_complete, "ssis", id, worker, bytes, sha256);

    *ret_held = updated > 0;
    return done;
}

bool
virga_snapshot_task_fail(VirgaTxn *txn, const char *id, const char *worker, const char *message,
                         bool *ret_held, GError **error)
{
    gint64 updated = 0;
    bool done = virga_txn_run(txn, error, &updated, sql_fail, "sss", id, worker, message);

    *ret_held = updated > 0;
    return done &&
           (updated == 0 || virga_event_add(txn, error, id, "could not be encrypted: %s", message));
}
