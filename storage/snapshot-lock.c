/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/snapshot-lock.h"

#include "core/error.h"

static const char sql_list[] =
    "SELECT snapshot_id, account_id, mode, state, coalesce(days,"
    " ceil(date_part('epoch', expires - starts) / 86400)::bigint), "
    "cool_off_hours," VIRGA_SQL_TIME("cool_off_until") "," VIRGA_SQL_TIME(
        "created") "," VIRGA_SQL_TIME("starts") "," VIRGA_SQL_TIME("expires") " FROM "
                                                                              "snapshot_lock_"
                                                                              "state WHERE "
                                                                              "account_id = $1 "
                                                                              "AND ($2::text[] "
                                                                              "IS NULL"
                                                                              " OR snapshot_id "
                                                                              "= ANY ($2)) "
                                                                              "ORDER BY "
                                                                              "snapshot_id";
static const char sql_state[] =
    "SELECT state, mode FROM snapshot_lock_state WHERE snapshot_id = $1";
/* A lock that holds goes on: its time is counted from its start. */
static const char sql_set[] =
    "INSERT INTO snapshot_lock AS l (snapshot_id, mode, days, until, cool_off_hours,"
    " cool_off_until) VALUES ($1, $2, nullif($3::bigint, 0),"
    " to_timestamp(nullif($4::bigint, 0) / 1000000.0), $5::bigint,"
    " CASE WHEN $5::bigint > 0 THEN now() + $5::bigint * interval '1 hour' END)"
    " ON CONFLICT (snapshot_id) DO UPDATE SET mode = excluded.mode, days = excluded.days,"
    " until = excluded.until, cool_off_hours = excluded.cool_off_hours,"
    " cool_off_until = excluded.cool_off_until,"
    " created = CASE WHEN $6 THEN l.created ELSE now() END,"
    " started = CASE WHEN $6 THEN l.started ELSE now() END";
/* In compliance mode: nothing but more time. */
static const char sql_extend[] =
    "UPDATE snapshot_lock l SET days = nullif($2::bigint, 0), until = u.until"
    " FROM snapshot_lock_state v, (SELECT to_timestamp(nullif($3::bigint, 0) / 1000000.0) AS until)"
    " u WHERE l.snapshot_id = $1 AND v.snapshot_id = l.snapshot_id"
    " AND coalesce(u.until, coalesce(v.starts, now()) + $2::bigint * interval '1 day')"
    " >= coalesce(v.expires, now() + v.days * interval '1 day')";
static const char sql_remove[] = "DELETE FROM snapshot_lock WHERE snapshot_id = $1";

bool
virga_snapshot_lock_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                         const char *const *ids, VirgaSnapshotLock **ret, size_t *ret_count,
                         GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_list, "sa", account_id, ids);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaSnapshotLock, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaSnapshotLock){ .snapshot_id = virga_rows_dup(rows, arena, i, 0),
                                         .account_id = virga_rows_dup(rows, arena, i, 1),
                                         .mode = virga_rows_dup(rows, arena, i, 2),
                                         .state = virga_rows_dup(rows, arena, i, 3),
                                         .days = virga_rows_int(rows, i, 4),
                                         .cool_off_hours = virga_rows_int(rows, i, 5),
                                         .cool_off_until = virga_rows_time(rows, i, 6),
                                         .created = virga_rows_time(rows, i, 7),
                                         .starts = virga_rows_time(rows, i, 8),
                                         .expires = virga_rows_time(rows, i, 9) };
    return true;
}

typedef enum { FREE, LOOSE, FAST } Hold; /* FAST: its owner cannot take it away */

static bool
read_hold(VirgaTxn *txn, const char *snapshot_id, Hold *ret, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_state, "s", snapshot_id);
    const char *state = rows && virga_rows_count(rows) ? virga_rows_text(rows, 0, 0) : "expired";

    *ret = g_str_equal(state, "expired") ? FREE : g_str_equal(state, "compliance") ? FAST : LOOSE;
    return rows != NULL;
}

static bool
extend(VirgaTxn *txn, const char *snapshot_id, const VirgaSnapshotLockSpec *spec, GError **error)
{
    gint64 extended = 0;

    if (g_str_equal(spec->mode, "compliance") && !spec->cool_off_hours &&
        !virga_txn_run(txn, error, &extended, sql_extend, "sii", snapshot_id, spec->days,
                       spec->until))
        return false;
    return extended ||
           virga_fail(error, "snapshot lock", VIRGA_ERROR_DENIED,
                      "The lock of snapshot '%s' is in compliance mode: it can only be made longer",
                      snapshot_id);
}

bool
virga_snapshot_lock_set(VirgaTxn *txn, const char *snapshot_id, const VirgaSnapshotLockSpec *spec,
                        GError **error)
{
    Hold hold;

    if (!read_hold(txn, snapshot_id, &hold, error))
        return false;
    if (hold == FAST)
        return extend(txn, snapshot_id, spec, error);
    return virga_txn_run(txn, error, NULL, sql_set, "ssiiib", snapshot_id, spec->mode, spec->days,
                         spec->until, spec->cool_off_hours, hold == LOOSE);
}

bool
virga_snapshot_lock_remove(VirgaTxn *txn, const char *snapshot_id, GError **error)
{
    Hold hold;

    if (!read_hold(txn, snapshot_id, &hold, error))
        return false;
    if (hold == FREE)
        return virga_fail(error, "snapshot lock", VIRGA_ERROR_STATE, "Snapshot '%s' is not locked",
                          snapshot_id);
    if (hold == FAST)
        return virga_fail(
            error, "snapshot lock", VIRGA_ERROR_DENIED,
            "The lock of snapshot '%s' is in compliance mode and cannot be taken away",
            snapshot_id);
    return virga_txn_run(txn, error, NULL, sql_remove, "s", snapshot_id);
}

bool
virga_snapshot_lock_check(VirgaTxn *txn, const char *snapshot_id, GError **error)
{
    Hold hold;

    if (!read_hold(txn, snapshot_id, &hold, error))
        return false;
    return hold == FREE || virga_fail(error, "snapshot lock", VIRGA_ERROR_DENIED,
                                      "Snapshot '%s' is locked and cannot be deleted", snapshot_id);
}
