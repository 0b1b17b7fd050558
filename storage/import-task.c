/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/import-task.h"

#include "core/error.h"
#include "core/quota.h"
#include "core/tag.h"

#define NOUN "import task"

/* Tasks of one account come one after the other, so that they can be counted. */
static const char sql_lock[] = "SELECT pg_advisory_xact_lock(hashtext('import ' || $1))";
static const char sql_count[] = "SELECT count(*) FROM import_task WHERE account_id = $1"
                                " AND state IN ('active', 'deleting')";
static const char sql_insert[] =
    "INSERT INTO import_task (id, account_id, description, architecture, boot_mode, license,"
    " platform, message) VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending')";
static const char sql_insert_disk[] =
    "INSERT INTO import_disk (task_id, position, url, format, device, description, snapshot_id)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7)";
static const char sql_wake[] = "SELECT pg_notify('virga_import', '')";

#define TASK_SELECT                                                                                \
    "SELECT t.id, t.account_id, t.description, t.architecture, t.boot_mode, t.license,"            \
    " t.platform, t.state, t.message, t.image_id, t.progress, t.attempts, d.url, d.format,"        \
    " d.device, d.description, d.snapshot_id, d.bytes"                                             \
    " FROM import_task t JOIN import_disk d ON d.task_id = t.id WHERE "
#define IN_ORDER " ORDER BY t.id, d.position"
enum { PROGRESS = 10, ATTEMPTS, URL };
static const char sql_list[] =
    TASK_SELECT "t.account_id = $1 AND ($2::text[] IS NULL OR t.id = ANY ($2))"
                " AND (t.architecture IS NOT NULL) = $3" IN_ORDER;
static const char sql_get[] = TASK_SELECT "t.id = $1" IN_ORDER;

static const char sql_state[] =
    "SELECT state, runner IS NOT NULL FROM import_task WHERE id = $1 AND account_id = $2"
    " FOR UPDATE";
static const char sql_cancel[] = "UPDATE import_task SET state = $2, message = $3,"
                                 " ended = CASE WHEN $2 = 'deleted' THEN now() END WHERE id = $1";

static const char sql_claim[] =
    "UPDATE import_task SET runner = $1, heard = now(), attempts = attempts + 1"
    " WHERE id = (SELECT id FROM import_task WHERE state IN ('active', 'deleting')"
    " AND (runner IS NULL OR heard < now() - interval '20 seconds') ORDER BY created LIMIT 1"
    " FOR UPDATE SKIP LOCKED) RETURNING id";
static const char sql_note[] =
    "UPDATE import_task SET heard = now(), progress = greatest(progress, $3), message = $4"
    " WHERE id = $1 AND runner = $2 AND state = 'active'";
static const char sql_note_disk[] = "UPDATE import_disk SET bytes = $3, format = $4,"
                                    " snapshot_id = $5 WHERE task_id = $1 AND position = $2";
static const char sql_end[] =
    "UPDATE import_task SET state = $3, message = $4, image_id = $5, runner = NULL, ended = now(),"
    " progress = CASE WHEN $3 = 'completed' THEN 100 ELSE progress END WHERE id = $1"
    " AND runner = $2 AND (state = 'active' OR (state = 'deleting' AND $3 <> 'completed'))";
/* An attempt that the runner gives up by itself is none. */
static const char sql_release[] =
    "UPDATE import_task SET runner = NULL, attempts = attempts - 1 WHERE id = $1 AND runner = $2";
static const char sql_sweep[] =
    "DELETE FROM import_task WHERE ended < now() - interval '30 days' RETURNING id";

bool
virga_import_task_create(VirgaTxn *txn, const VirgaImportTask *task, GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;
    gint64 limit;

    if (!virga_txn_run(txn, error, NULL, sql_lock, "s", task->account_id) ||
        !virga_quota_limit(txn, task->account_id, VIRGA_QUOTA_IMPORT_TASKS, &limit, error))
        return false;
    rows = virga_txn_query(txn, error, sql_count, "s", task->account_id);
    if (!rows)
        return false;
    if (virga_rows_int(rows, 0, 0) >= limit)
        return virga_fail(error, NOUN, VIRGA_ERROR_QUOTA,
                          "The limit of %" G_GINT64_FORMAT " active import tasks is reached",
                          limit);
    if (!virga_txn_run(txn, error, NULL, sql_insert, "sssssss", task->id, task->account_id,
                       task->description, task->architecture, task->boot_mode, task->license,
                       task->platform))
        return false;
    for (size_t i = 0; i < task->disk_count; i++) {
        const VirgaImportDisk *disk = &task->disks[i];

        if (!virga_txn_run(txn, error, NULL, sql_insert_disk, "sisssss", task->id, (gint64) i,
                           disk->url, disk->format, disk->device, disk->description,
                           disk->snapshot_id))
            return false;
    }
    return virga_txn_run(txn, error, NULL, sql_wake, "");
}

/* ---- reading ---- */

static VirgaImportTask
read_task(const VirgaRows *rows, int row, VirgaArena *arena)
{
    return (VirgaImportTask){ .id = virga_rows_dup(rows, arena, row, 0),
                              .account_id = virga_rows_dup(rows, arena, row, 1),
                              .description = virga_rows_dup(rows, arena, row, 2),
                              .architecture = virga_rows_dup(rows, arena, row, 3),
                              .boot_mode = virga_rows_dup(rows, arena, row, 4),
                              .license = virga_rows_dup(rows, arena, row, 5),
                              .platform = virga_rows_dup(rows, arena, row, 6),
                              .state = virga_rows_dup(rows, arena, row, 7),
                              .message = virga_rows_dup(rows, arena, row, 8),
                              .image_id = virga_rows_dup(rows, arena, row, 9),
                              .progress = virga_rows_int(rows, row, PROGRESS),
                              .attempts = virga_rows_int(rows, row, ATTEMPTS) };
}

static VirgaImportDisk
read_disk(const VirgaRows *rows, int row, VirgaArena *arena)
{
    return (VirgaImportDisk){ .url = virga_rows_dup(rows, arena, row, URL),
                              .format = virga_rows_dup(rows, arena, row, URL + 1),
                              .device = virga_rows_dup(rows, arena, row, URL + 2),
                              .description = virga_rows_dup(rows, arena, row, URL + 3),
                              .snapshot_id = virga_rows_dup(rows, arena, row, URL + 4),
                              .bytes = virga_rows_int(rows, row, URL + 5) };
}

/* One row for each disk; the task's own columns repeat. */
static VirgaImportTask *
read_tasks(const VirgaRows *rows, VirgaArena *arena, size_t *ret_count)
{
    size_t count = (size_t) virga_rows_count(rows);
    VirgaImportTask *tasks = virga_arena_new_array(arena, VirgaImportTask, count), *task = NULL;
    VirgaImportDisk *disks = virga_arena_new_array(arena, VirgaImportDisk, count);

    *ret_count = 0;
    for (int i = 0; i < (int) count; i++) {
        if (!task || !g_str_equal(task->id, virga_rows_text(rows, i, 0))) {
            task = &tasks[(*ret_count)++];
            *task = read_task(rows, i, arena);
            task->disks = &disks[i];
        }
        disks[i] = read_disk(rows, i, arena);
        task->disk_count++;
    }
    return tasks;
}

bool
virga_import_task_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                       const char *const *ids, bool images, VirgaImportTask **ret,
                       size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_list, "sab", account_id, ids, images);

    if (rows)
        *ret = read_tasks(rows, arena, ret_count);
    return rows != NULL;
}

/* ---- ending ---- */

bool
virga_import_task_cancel(VirgaTxn *txn, const char *account_id, const char *id, const char *reason,
                         const char **ret_previous, const char **ret_state, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_state, "ss", id, account_id);
    const char *state;

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, NOUN, VIRGA_ERROR_NOT_FOUND, "The import task '%s' does not exist",
                          id);
    state = virga_rows_text(rows, 0, 0);
    if (!g_str_equal(state, "active") && !g_str_equal(state, "deleting"))
        return virga_fail(error, NOUN, VIRGA_ERROR_STATE,
                          "The import task '%s' has ended: it is '%s'", id, state);
    *ret_previous = g_intern_string(state);
    *ret_state = virga_rows_bool(rows, 0, 1) ? "deleting" : "deleted";
    return virga_txn_run(txn, error, NULL, sql_cancel, "sss", id, *ret_state,
                         reason ? reason : "canceled");
}

/* ---- working ---- */

bool
virga_import_task_claim(VirgaTxn *txn, VirgaArena *arena, const char *runner, VirgaImportTask **ret,
                        GError **error)
{
    g_autoptr(VirgaRows) claimed = virga_txn_query(txn, error, sql_claim, "s", runner);
    g_autoptr(VirgaRows) rows = NULL;
    size_t count;

    *ret = NULL;
    if (!claimed || virga_rows_count(claimed) == 0)
        return claimed != NULL;
    rows = virga_txn_query(txn, error, sql_get, "s", virga_rows_text(claimed, 0, 0));
    if (rows)
        *ret = read_tasks(rows, arena, &count);
    return rows != NULL;
}

bool
virga_import_task_note(VirgaTxn *txn, const char *id, const char *runner, gint64 progress,
                       const char *message, bool *ret_wanted, GError **error)
{
    gint64 updated;

    if (!virga_txn_run(txn, error, &updated, sql_note, "ssis", id, runner, progress, message))
        return false;
    *ret_wanted = updated > 0;
    return true;
}

bool
virga_import_task_note_disk(VirgaTxn *txn, const char *id, gint64 position,
                            const VirgaImportDisk *disk, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_note_disk, "siiss", id, position, disk->bytes,
                         disk->format, disk->snapshot_id);
}

bool
virga_import_task_end(VirgaTxn *txn, const char *id, const char *runner, const char *state,
                      const char *message, const char *image_id, GError **error)
{
    gint64 updated;

    if (!virga_txn_run(txn, error, &updated, sql_end, "sssss", id, runner, state, message,
                       image_id))
        return false;
    if (!updated)
        return virga_fail(error, NOUN, VIRGA_ERROR_STATE, "import task \"%s\" is not wanted", id);
    return virga_event_add(txn, error, id, "%s%s%s", state, message ? ": " : "",
                           message ? message : "");
}

bool
virga_import_task_release(VirgaTxn *txn, const char *id, const char *runner, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_release, "ss", id, runner);
}

bool
virga_import_task_sweep(VirgaTxn *txn, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_sweep, "");

    for (int i = 0; rows && i < virga_rows_count(rows); i++)
        if (!virga_tag_forget(txn, virga_rows_text(rows, i, 0), error))
            return false;
    return rows != NULL;
}
