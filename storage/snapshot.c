/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/snapshot.h"

#include "core/error.h"
#include "core/quota.h"
#include "core/tag.h"
#include "storage/snapshot-lock.h"
#include "storage/volume.h"
#include "storage/volume-key.h"

/* $1: the account that asks. */
#define SHARED                                                                                     \
    "EXISTS (SELECT 1 FROM snapshot_permission p WHERE p.snapshot_id = s.id"                       \
    " AND p.account_id = $1)"
#define SNAPSHOT_SELECT                                                                            \
    "SELECT s.id, s.account_id, s.volume_id, s.description,"                                       \
    " CASE WHEN s.damaged_by IS NULL THEN s.state ELSE 'error' END, s.sha256,"                     \
    " CASE WHEN s.damaged_by IS NULL THEN s.message ELSE 'Its data is damaged.' END,"              \
    " s.size_gib, s.bytes, s.progress, " VIRGA_SQL_TIME("s.created") ", " VIRGA_SQL_TIME(          \
        "s.completed") ", s.cut, s.is_public, " SHARED                                             \
                       ", s.key_id FROM snapshot s WHERE NOT s.deleted"
#define USABLE " AND ($1::text IS NULL OR s.account_id = $1 OR s.is_public OR " SHARED ")"

/* One statement each: a prepared statement keeps its plan. */
static const char sql_list[] = SNAPSHOT_SELECT USABLE " ORDER BY s.id";
static const char sql_list_ids[] = SNAPSHOT_SELECT " AND s.id = ANY ($2)" USABLE " ORDER BY s.id";
static const char sql_lock[] =
    "SELECT 1 FROM snapshot WHERE id = $1 AND account_id = $2 FOR UPDATE";
static const char sql_insert[] =
    "INSERT INTO snapshot (id, account_id, size_gib, description, state, sha256, bytes, completed)"
    " VALUES ($1, $2, $3, $4, 'completed', $5, $6, now())";

static const char sql_volume[] =
    "SELECT host_id, lost, deleting, size_gib, snapshot_id, tip_id, EXISTS (SELECT 1 FROM"
    " volume_attachment a WHERE a.volume_id = volume.id AND a.export_host_id IS NOT NULL), key_id"
    " FROM volume WHERE id = $1 AND account_id = $2 FOR UPDATE";
enum { HOST_ID, LOST, DELETING, SIZE_GIB, SNAPSHOT_ID, TIP_ID, EXPORTED, KEY_ID };
/* Whoever stands on it keeps it: it must not go before that is written. */
static const char sql_keep[] = "SELECT key_id FROM snapshot WHERE id = $1 AND state <> 'error'"
                               " AND damaged_by IS NULL FOR KEY SHARE";
/* Nobody makes a file of it. */
#define DONE "coalesce($7, $10)::text IS NULL"
static const char sql_begin[] =
    "INSERT INTO snapshot (id, account_id, volume_id, size_gib, description, state, parent_id,"
    " host_id, halt, cut, progress, completed, key_id, source_id) VALUES ($1, $2, $3, $4, $5,"
    " CASE WHEN " DONE " THEN 'completed' ELSE 'pending' END, $6, $7, $8, $7::text IS NULL,"
    " CASE WHEN " DONE " THEN 100 ELSE 0 END, CASE WHEN " DONE " THEN now() END, $9, $10)";
static const char sql_notify[] = "SELECT pg_notify('virga_snapshot', $1)";

static const char sql_images[] =
    "SELECT image_id FROM image_device WHERE snapshot_id = $1 ORDER BY image_id LIMIT 1";
static const char sql_hide[] =
    "UPDATE snapshot SET deleted = true WHERE id = $1 AND NOT deleted RETURNING host_id";
#define NEEDED_BY_NOBODY                                                                           \
    "s.deleted AND NOT EXISTS (SELECT 1 FROM snapshot c WHERE c.parent_id = s.id)"                 \
    " AND NOT EXISTS (SELECT 1 FROM snapshot c WHERE c.source_id = s.id)"                          \
    " AND NOT EXISTS (SELECT 1 FROM image_device d WHERE d.snapshot_id = s.id)"                    \
    " AND NOT EXISTS (SELECT 1 FROM volume v WHERE v.snapshot_id = s.id AND NOT v.made)"
static const char sql_collect[] =
    "DELETE FROM snapshot s WHERE s.id = $1 AND " NEEDED_BY_NOBODY " RETURNING parent_id";
static const char sql_needless[] =
    "SELECT s.id FROM snapshot s WHERE " NEEDED_BY_NOBODY " ORDER BY s.id LIMIT 100";

static const char sql_cut[] =
    "WITH cut AS (UPDATE snapshot SET cut = true WHERE id = ANY ($1) AND host_id = $2"
    " AND state = 'pending' AND NOT cut RETURNING id, volume_id)"
    " UPDATE volume SET tip_id = cut.id FROM cut WHERE volume.id = cut.volume_id";
static const char sql_progress[] =
    "UPDATE snapshot SET progress = greatest(progress, least($3, 99)) WHERE id = $1"
    " AND host_id = $2 AND state = 'pending'";
static const char sql_complete[] =
    "UPDATE snapshot SET state = 'completed', host_id = NULL, progress = 100, completed = now(),"
    " bytes = $3, sha256 = $4, source_id = NULL,"
    " parent_id = CASE WHEN $5 THEN NULL ELSE parent_id END,"
    " damaged_by = CASE WHEN $5 THEN NULL ELSE damaged_by END WHERE id = $1 AND host_id = $2"
    " AND state = 'pending' AND ($3 > 0 OR source_id IS NULL) AND ($5 OR parent_id IS NULL"
    " OR (SELECT p.state FROM snapshot p WHERE p.id = snapshot.parent_id) = 'completed')";
/* The volume had no bytes yet: it is what it was to be made of. */
static const char sql_hand_over[] =
    "UPDATE snapshot SET host_id = NULL, cut = true WHERE id = $1 AND host_id = $2"
    " AND state = 'pending' AND source_id IS NOT NULL AND $3 = 0";
static const char sql_state[] =
    "SELECT state, host_id, state = 'pending' AND host_id IS NULL FROM snapshot WHERE id = $1";
static const char sql_fail[] =
    "UPDATE snapshot SET state = 'error', host_id = NULL, message = $3 WHERE id = $1"
    " AND host_id = $2 AND state = 'pending'";
/* Nothing can stand on what failed. */
static const char sql_orphan[] = "UPDATE snapshot SET parent_id = NULL WHERE parent_id = $1";
static const char sql_forget_tip[] = "UPDATE volume SET tip_id = NULL WHERE tip_id = $1";
static const char sql_uncut[] =
    "SELECT count(*) FILTER (WHERE state = 'pending' AND NOT cut),"
    " coalesce(bool_or(state = 'error'), false) FROM snapshot WHERE id = ANY ($1)";

static const char sql_gone_ids[] =
    "SELECT id FROM unnest($1::text[]) AS asked (id) WHERE NOT EXISTS (SELECT 1 FROM snapshot s"
    " WHERE s.id = asked.id) ORDER BY id";

static const char sql_share[] =
    "INSERT INTO snapshot_permission (snapshot_id, account_id) SELECT $1, id FROM account"
    " WHERE id = $2 ON CONFLICT (snapshot_id, account_id) DO UPDATE SET account_id = $2";
static const char sql_unshare[] = "DELETE FROM snapshot_permission WHERE snapshot_id = $1"
                                  " AND ($2::text IS NULL OR account_id = $2)";
static const char sql_set_public[] = "UPDATE snapshot SET is_public = $2 WHERE id = $1";
static const char sql_permissions[] =
    "SELECT p.snapshot_id, p.account_id FROM snapshot_permission p JOIN snapshot s"
    " ON s.id = p.snapshot_id WHERE s.account_id = $1 AND ($2::text IS NULL OR s.id = $2)"
    " ORDER BY p.snapshot_id, p.account_id";

static bool
fail_missing(const char *id, GError **error)
{
    return virga_fail(error, "snapshot", VIRGA_ERROR_NOT_FOUND, "The snapshot '%s' does not exist.",
                      id);
}

/* ---- reading ---- */

bool
virga_snapshot_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                    const char *const *ids, VirgaSnapshot **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows =
        ids ? virga_txn_query(txn, error, sql_list_ids, "sa", account_id, ids)
            : virga_txn_query(txn, error, sql_list, "s", account_id);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaSnapshot, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaSnapshot){ .id = virga_rows_dup(rows, arena, i, 0),
                                     .account_id = virga_rows_dup(rows, arena, i, 1),
                                     .volume_id = virga_rows_dup(rows, arena, i, 2),
                                     .description = virga_rows_dup(rows, arena, i, 3),
                                     .state = virga_rows_dup(rows, arena, i, 4),
                                     .sha256 = virga_rows_dup(rows, arena, i, 5),
                                     .message = virga_rows_dup(rows, arena, i, 6),
                                     .size_gib = virga_rows_int(rows, i, 7),
                                     .bytes = virga_rows_int(rows, i, 8),
                                     .progress = virga_rows_int(rows, i, 9),
                                     .created = virga_rows_time(rows, i, 10),
                                     .completed = virga_rows_time(rows, i, 11),
                                     .cut = virga_rows_bool(rows, i, 12),
                                     .is_public = virga_rows_bool(rows, i, 13),
                                     .shared = virga_rows_bool(rows, i, 14),
                                     .key_id = virga_rows_dup(rows, arena, i, 15) };
    return true;
}

VirgaSnapshot *
virga_snapshot_get(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                   GError **error)
{
    const char *ids[] = { id, NULL };
    VirgaSnapshot *rows;
    size_t count;

    if (!virga_snapshot_list(txn, arena, account_id, ids, &rows, &count, error))
        return NULL;
    if (count == 0)
        fail_missing(id, error);
    return count ? rows : NULL;
}

VirgaSnapshot *
virga_snapshot_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                    GError **error)
{
    VirgaSnapshot *snapshot;

    if (!virga_txn_run(txn, error, NULL, sql_lock, "ss", id, account_id))
        return NULL;
    snapshot = virga_snapshot_get(txn, arena, account_id, id, error);
    if (snapshot && !g_str_equal(snapshot->account_id, account_id)) {
        virga_fail(error, "snapshot", VIRGA_ERROR_DENIED, "Not authorized for snapshot:%s", id);
        return NULL;
    }
    return snapshot;
}

/* ---- making ---- */

bool
virga_snapshot_create(VirgaTxn *txn, const VirgaSnapshot *snapshot, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_insert, "ssissi", snapshot->id, snapshot->account_id,
                         snapshot->size_gib, snapshot->description ? snapshot->description : "",
                         snapshot->sha256, snapshot->bytes) &&
           virga_quota_claim(txn, snapshot->account_id, VIRGA_QUOTA_SNAPSHOTS, 1, error);
}

/* *ret_kept: it is there, and stays until this transaction ends; *ret_encrypted, too. */
static bool
keep(VirgaTxn *txn, const char *id, bool *ret_kept, bool *ret_encrypted, GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;

    *ret_kept = *ret_encrypted = false;
    if (!id)
        return true;
    rows = virga_txn_query(txn, error, sql_keep, "s", id);
    *ret_kept = rows && virga_rows_count(rows) > 0;
    *ret_encrypted = *ret_kept && !virga_rows_is_null(rows, 0, 0);
    return rows != NULL;
}

/* What its row says beside what was asked. */
typedef struct {
    const char *volume_id, *parent_id, *source_id, *host_id, *key_id;
    gint64 size_gib;
} Draft;

/* What only virgad can make is made soon. */
static bool
insert(VirgaTxn *txn, const VirgaSnapshotSpec *spec, const Draft *draft, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_begin, "sssisssbss", spec->id, spec->account_id,
                         draft->volume_id, draft->size_gib,
                         spec->description ? spec->description : "", draft->parent_id,
                         draft->host_id, spec->halt, draft->key_id, draft->source_id) &&
           (!draft->source_id || virga_txn_run(txn, error, NULL, sql_notify, "s", spec->id)) &&
           virga_quota_claim(txn, spec->account_id, VIRGA_QUOTA_SNAPSHOTS, 1, error);
}

static bool
check_volume(const VirgaRows *rows, const char *id, GError **error)
{
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, "volume", VIRGA_ERROR_NOT_FOUND, "The volume '%s' does not exist.",
                          id);
    if (virga_rows_bool(rows, 0, LOST))
        return virga_fail(error, "volume", VIRGA_ERROR_STATE,
                          "Volume '%s' is in the 'error' state.", id);
    if (virga_rows_bool(rows, 0, DELETING))
        return virga_fail(error, "volume", VIRGA_ERROR_STATE,
                          "Volume '%s' is in the 'deleting' state.", id);
    if (virga_rows_bool(rows, 0, EXPORTED))
        return virga_fail(error, "volume", VIRGA_ERROR_STATE,
                          "Volume '%s' is attached to an instance on another host than its own: "
                          "detach it before a snapshot is made.",
                          id);
    return true;
}

/* With a host that can do what is asked, if there is one. */
static VirgaRows *
lock_volume(VirgaTxn *txn, const VirgaSnapshotSpec *spec, GError **error)
{
    g_autoptr(VirgaRows) locked =
        virga_txn_query(txn, error, sql_volume, "ss", spec->volume_id, spec->account_id);

    return locked && virga_volume_hand_over(txn, spec->volume_id, error)
               ? virga_txn_query(txn, error, sql_volume, "ss", spec->volume_id, spec->account_id)
               : NULL;
}

bool
virga_snapshot_begin(VirgaTxn *txn, VirgaArena *arena, const VirgaSnapshotSpec *spec,
                     char **ret_host_id, GError **error)
{
    g_autoptr(VirgaRows) rows = lock_volume(txn, spec, error);
    const char *source, *tip;
    bool has_tip = false, has_source, encrypted;
    Draft draft = { .volume_id = spec->volume_id };

    if (!rows || !check_volume(rows, spec->volume_id, error))
        return false;
    source = virga_rows_text(rows, 0, SNAPSHOT_ID);
    tip = virga_rows_text(rows, 0, TIP_ID);
    *ret_host_id = virga_rows_dup(rows, arena, 0, HOST_ID);
    draft.host_id = *ret_host_id;
    draft.key_id = virga_rows_text(rows, 0, KEY_ID);
    draft.size_gib = virga_rows_int(rows, 0, SIZE_GIB);
    if ((*ret_host_id && !keep(txn, tip, &has_tip, &encrypted, error)) ||
        !keep(txn, source, &has_source, &encrypted, error))
        return false;
    /* Nothing that is encrypted stands on what is not. */
    if (has_tip)
        draft.parent_id = tip;
    else if (has_source && draft.key_id && !encrypted)
        draft.source_id = source;
    else if (has_source)
        draft.parent_id = source;
    return insert(txn, spec, &draft, error) &&
           virga_event_add(txn, error, spec->id, "begun of %s", spec->volume_id);
}

bool
virga_snapshot_copy(VirgaTxn *txn, VirgaArena *arena, const VirgaSnapshotSpec *spec,
                    const char *source_id, GError **error)
{
    const VirgaSnapshot *source = virga_snapshot_get(
        txn, arena, spec->any_source ? NULL : spec->account_id, source_id, error);
    bool kept, encrypted;
    Draft draft = { 0 };

    if (!source)
        return false;
    if (!g_str_equal(source->state, "completed"))
        return virga_fail(error, "snapshot", VIRGA_ERROR_STATE, "Snapshot '%s' is not 'completed'.",
                          source_id);
    if (!keep(txn, source_id, &kept, &encrypted, error))
        return false;
    if (!kept)
        return fail_missing(source_id, error);
    draft = (Draft){ .key_id = source->key_id, .size_gib = source->size_gib };
    if (!spec->encrypted || encrypted)
        draft.parent_id = source_id;
    else if (virga_volume_key_new(txn, arena, &draft.key_id, error))
        draft.source_id = source_id;
    else
        return false;
    return insert(txn, spec, &draft, error);
}

/* ---- deleting ---- */

/* Takes a row away that nobody needs, and then perhaps what it stood on.  Adds to 'files'. */
static bool
collect(VirgaTxn *txn, VirgaArena *arena, const char *id, GPtrArray *files, GError **error)
{
    while (id) {
        g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_collect, "s", id);

        if (!rows)
            return false;
        if (virga_rows_count(rows) == 0)
            return true;
        g_ptr_array_add(files, virga_arena_strdup(arena, id));
        id = virga_rows_dup(rows, arena, 0, 0);
    }
    return true;
}

static const char *const *
list_of(VirgaArena *arena, const GPtrArray *files)
{
    const char **list = virga_arena_new_array(arena, const char *, files->len + 1);

    for (guint i = 0; i < files->len; i++)
        list[i] = files->pdata[i];
    return list;
}

bool
virga_snapshot_delete(VirgaTxn *txn, VirgaArena *arena, const VirgaSnapshot *snapshot,
                      char **ret_host_id, const char *const **ret_files, GError **error)
{
    g_autoptr(VirgaRows) images = virga_txn_query(txn, error, sql_images, "s", snapshot->id);
    g_autoptr(GPtrArray) files = g_ptr_array_new();
    g_autoptr(VirgaRows) rows = NULL;

    if (!images || !virga_snapshot_lock_check(txn, snapshot->id, error))
        return false;
    if (virga_rows_count(images) > 0)
        return virga_fail(error, "snapshot", VIRGA_ERROR_IN_USE,
                          "The snapshot %s is currently in use by %s", snapshot->id,
                          virga_rows_text(images, 0, 0));
    rows = virga_txn_query(txn, error, sql_hide, "s", snapshot->id);
    if (!rows)
        return false;
    *ret_host_id = virga_rows_count(rows) ? virga_rows_dup(rows, arena, 0, 0) : NULL;
    if (!virga_snapshot_unshare(txn, snapshot->id, error) ||
        !virga_tag_forget(txn, snapshot->id, error) ||
        !collect(txn, arena, snapshot->id, files, error) ||
        !virga_quota_claim(txn, snapshot->account_id, VIRGA_QUOTA_SNAPSHOTS, -1, error))
        return false;
    *ret_files = list_of(arena, files);
    return true;
}

bool
virga_snapshot_sweep(VirgaTxn *txn, VirgaArena *arena, const char *const **ret_files,
                     GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_needless, "");
    g_autoptr(GPtrArray) files = g_ptr_array_new();

    for (int i = 0; rows && i < virga_rows_count(rows); i++)
        if (!collect(txn, arena, virga_rows_text(rows, i, 0), files, error))
            return false;
    *ret_files = list_of(arena, files);
    return rows != NULL;
}

/* ---- what its host tells ---- */

bool
virga_snapshot_note_cut(VirgaTxn *txn, const char *host_id, const char *const *ids, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_cut, "as", ids, host_id);
}

bool
virga_snapshot_note_progress(VirgaTxn *txn, const char *host_id, const char *id, gint64 progress,
                             bool *ret_wanted, GError **error)
{
    gint64 updated;

    if (!virga_txn_run(txn, error, &updated, sql_progress, "ssi", id, host_id, progress))
        return false;
    *ret_wanted = updated > 0;
    return true;
}

bool
virga_snapshot_complete(VirgaTxn *txn, const char *host_id, const char *id, gint64 bytes,
                        const char *sha256, bool whole, GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;
    gint64 updated;

    if (!virga_txn_run(txn, error, &updated, sql_complete, "ssisb", id, host_id, bytes, sha256,
                       whole))
        return false;
    if (updated)
        return true;
    if (!virga_txn_run(txn, error, &updated, sql_hand_over, "ssi", id, host_id, bytes))
        return false;
    if (updated)
        return virga_txn_run(txn, error, NULL, sql_notify, "s", id);
    rows = virga_txn_query(txn, error, sql_state, "s", id);
    if (!rows)
        return false;
    if (virga_rows_count(rows) &&
        (g_str_equal(virga_rows_text(rows, 0, 0), "completed") || virga_rows_bool(rows, 0, 2)))
        return true;
    if (virga_rows_count(rows) && g_strcmp0(virga_rows_text(rows, 0, 1), host_id) == 0)
        return virga_fail(error, "snapshot", VIRGA_ERROR_STATE,
                          "what snapshot \"%s\" stands on is not completed", id);
    return fail_missing(id, error);
}

bool
virga_snapshot_fail(VirgaTxn *txn, const char *host_id, const char *id, const char *message,
                    GError **error)
{
    gint64 updated;

    if (!virga_txn_run(txn, error, &updated, sql_fail, "sss", id, host_id, message))
        return false;
    return updated == 0 || (virga_txn_run(txn, error, NULL, sql_orphan, "s", id) &&
                            virga_txn_run(txn, error, NULL, sql_forget_tip, "s", id) &&
                            virga_event_add(txn, error, id, "could not be made: %s", message));
}

bool
virga_snapshot_gone(VirgaTxn *txn, VirgaArena *arena, const char *const *ids,
                    const char *const **ret, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_gone_ids, "a", ids);
    const char **gone;

    if (!rows)
        return false;
    gone = virga_arena_new_array(arena, const char *, (size_t) virga_rows_count(rows) + 1);
    for (int i = 0; i < virga_rows_count(rows); i++)
        gone[i] = virga_rows_dup(rows, arena, i, 0);
    *ret = gone;
    return true;
}

bool
virga_snapshot_uncut(VirgaTxn *txn, const char *const *ids, gint64 *ret_count, bool *ret_failed,
                     GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_uncut, "a", ids);

    if (!rows)
        return false;
    *ret_count = virga_rows_int(rows, 0, 0);
    *ret_failed = virga_rows_bool(rows, 0, 1);
    return true;
}

/* ---- sharing ---- */

bool
virga_snapshot_share(VirgaTxn *txn, const char *id, const char *account_id, bool share,
                     GError **error)
{
    gint64 shared;

    if (!share)
        return virga_txn_run(txn, error, NULL, sql_unshare, "ss", id, account_id);
    return virga_txn_run(txn, error, &shared, sql_share, "ss", id, account_id) &&
           (shared ||
            virga_fail(error, "snapshot permission", VIRGA_ERROR_NOT_FOUND,
                       "Invalid attribute item value \"%s\" for userId item type.", account_id));
}

bool
virga_snapshot_set_public(VirgaTxn *txn, const char *id, bool is_public, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_set_public, "sb", id, is_public);
}

bool
virga_snapshot_unshare(VirgaTxn *txn, const char *id, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_unshare, "ss", id, NULL) &&
           virga_snapshot_set_public(txn, id, false, error);
}

bool
virga_snapshot_permissions(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                           const char *snapshot_id, VirgaSnapshotPermission **ret,
                           size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_permissions, "ss", account_id, snapshot_id);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaSnapshotPermission, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaSnapshotPermission){ .snapshot_id = virga_rows_dup(rows, arena, i, 0),
                                               .account_id = virga_rows_dup(rows, arena, i, 1) };
    return true;
}
