/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/volume-snapshot.h"

#include "compute/host.h"
#include "core/error.h"

#define WAIT_MS     20000
#define LOOK_MS     50
#define WAITING_MAX 5 /* each holds a worker of virgad */

static const char sql_attached[] =
    "SELECT i.state <> 'stopped', i.wish = 'terminate' AND a.delete_on_termination"
    " FROM volume_attachment a JOIN instance i ON i.id = a.instance_id WHERE a.volume_id = $1";

static int waiting; /* callers; atomic */

/* *ret_written: somebody may be writing to it. */
static bool
look_at_owner(VirgaTxn *txn, const char *volume_id, bool *ret_written, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_attached, "s", volume_id);

    *ret_written = rows && virga_rows_count(rows) && virga_rows_bool(rows, 0, 0);
    if (rows && virga_rows_count(rows) && virga_rows_bool(rows, 0, 1))
        return virga_fail(error, "volume", VIRGA_ERROR_STATE,
                          "Volume '%s' is going with its instance.", volume_id);
    return rows != NULL;
}

bool
virga_volume_snapshot(VirgaTxn *txn, VirgaArena *arena, const VirgaSnapshotSpec *specs,
                      size_t count, bool *ret_wait, GError **error)
{
    gint64 generation;

    *ret_wait = false;
    for (size_t i = 0; i < count; i++) {
        bool written;
        char *host_id;

        if (!virga_snapshot_begin(txn, arena, &specs[i], &host_id, error) ||
            !look_at_owner(txn, specs[i].volume_id, &written, error))
            return false;
        if (!host_id)
            continue;
        if (!virga_host_touch(txn, host_id, &generation, error))
            return false;
        *ret_wait = *ret_wait || written;
    }
    return true;
}

static bool
take_back(VirgaDb *db, VirgaArena *arena, const char *account_id, const char *const *ids,
          GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(db, error);
    const char *const *files;

    if (!txn)
        return false;
    for (; *ids; ids++)
        if (!virga_snapshot_remove(txn, arena, account_id, *ids, &files, error))
            return false;
    return virga_txn_commit(txn, error);
}

static bool
wait_for(VirgaDb *db, const char *const *ids, bool *ret_cut, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + (gint64) WAIT_MS * 1000, uncut;
    bool failed;

    do {
        g_autoptr(VirgaTxn) txn = NULL;

        g_usleep(LOOK_MS * 1000);
        txn = virga_db_read(db, error);
        if (!txn || !virga_snapshot_uncut(txn, ids, &uncut, &failed, error))
            return false;
    } while (uncut > 0 && !failed && g_get_monotonic_time() < deadline);
    *ret_cut = uncut == 0 && !failed;
    return true;
}

bool
virga_snapshot_await(VirgaDb *db, VirgaArena *arena, const char *account_id, const char *const *ids,
                     GError **error)
{
    bool room = g_atomic_int_add(&waiting, 1) < WAITING_MAX;
    bool cut = false, looked = !room || wait_for(db, ids, &cut, error);

    g_atomic_int_add(&waiting, -1);
    if (!looked || cut)
        return cut;
    if (!take_back(db, arena, account_id, ids, error))
        return false;
    return virga_fail(error, "host", VIRGA_ERROR_RETRY,
                      room ? "the host did not make the moment of a snapshot in time"
                           : "too many snapshots wait for their moment");
}

bool
virga_snapshot_remove(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                      const char *const **ret_files, GError **error)
{
    const VirgaSnapshot *snapshot = virga_snapshot_lock(txn, arena, account_id, id, error);
    gint64 generation;
    char *host_id;

    return snapshot && virga_snapshot_delete(txn, arena, snapshot, &host_id, ret_files, error) &&
           (!host_id || virga_host_touch(txn, host_id, &generation, error));
}
