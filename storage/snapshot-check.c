/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/snapshot-check.h"

#include "core/error.h"
#include "core/tag.h"

static const char sql_claim[] =
    "UPDATE snapshot SET checking = now() WHERE id = (SELECT id FROM snapshot WHERE bytes > 0"
    " AND state = 'completed' AND sha256 IS NOT NULL"
    " AND coalesce(checked, completed, created) <= now() - $1 * interval '1 second'"
    " AND (checking IS NULL OR checking < now() - interval '10 minutes')"
    " ORDER BY coalesce(checked, completed, created) LIMIT 1 FOR UPDATE SKIP LOCKED)"
    " RETURNING id, sha256, bytes, damaged";
static const char sql_note[] = "UPDATE snapshot SET checking = now() WHERE id = $1";
static const char sql_release[] = "UPDATE snapshot SET checking = NULL WHERE id = $1";
static const char sql_end[] =
    "WITH old AS (SELECT id, damaged FROM snapshot WHERE id = $1 FOR UPDATE)"
    " UPDATE snapshot s SET checked = now(), checking = NULL, damaged = $2 FROM old"
    " WHERE s.id = old.id RETURNING old.damaged";
/* What stands on it is as it is. */
static const char sql_spread[] =
    "WITH RECURSIVE tree AS (SELECT s.id, coalesce(CASE WHEN s.damaged THEN s.id END,"
    " p.damaged_by) AS by FROM snapshot s LEFT JOIN snapshot p ON p.id = s.parent_id"
    " WHERE s.id = $1 UNION ALL SELECT c.id, coalesce(CASE WHEN c.damaged THEN c.id END, t.by)"
    " FROM tree t JOIN snapshot c ON c.parent_id = t.id)"
    " UPDATE snapshot s SET damaged_by = t.by FROM tree t WHERE s.id = t.id"
    " AND s.damaged_by IS DISTINCT FROM t.by";
static const char sql_serve[] = "SELECT damaged FROM snapshot WHERE id = $1";

bool
virga_snapshot_check_claim(VirgaTxn *txn, VirgaArena *arena, gint64 age_s, VirgaSnapshotCheck **ret,
                           GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_claim, "i", age_s);

    *ret = NULL;
    if (!rows || virga_rows_count(rows) == 0)
        return rows != NULL;
    *ret = virga_arena_new_array(arena, VirgaSnapshotCheck, 1);
    **ret = (VirgaSnapshotCheck){ .id = virga_rows_dup(rows, arena, 0, 0),
                                  .sha256 = virga_rows_dup(rows, arena, 0, 1),
                                  .bytes = virga_rows_int(rows, 0, 2),
                                  .damaged = virga_rows_bool(rows, 0, 3) };
    return true;
}

bool
virga_snapshot_check_note(VirgaTxn *txn, const char *id, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_note, "s", id);
}

bool
virga_snapshot_check_release(VirgaTxn *txn, const char *id, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_release, "s", id);
}

bool
virga_snapshot_check_end(VirgaTxn *txn, const char *id, bool damaged, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_end, "sb", id, damaged);

    if (!rows || virga_rows_count(rows) == 0 || virga_rows_bool(rows, 0, 0) == damaged)
        return rows != NULL;
    return virga_txn_run(txn, error, NULL, sql_spread, "s", id) &&
           virga_event_add(txn, error, id, "its file is %s",
                           damaged ? "damaged" : "what it was again");
}

bool
virga_snapshot_check_serve(VirgaTxn *txn, const char *id, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_serve, "s", id);

    if (!rows)
        return false;
    if (virga_rows_count(rows) && virga_rows_bool(rows, 0, 0))
        return virga_fail(error, "snapshot", VIRGA_ERROR_NOT_FOUND,
                          "the data of snapshot \"%s\" is damaged", id);
    return true;
}
