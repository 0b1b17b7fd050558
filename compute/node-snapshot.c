/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots that this host makes: which they are, and their copies into the store.
 *
 * Virgad names all of them each time; what it names no more is not wanted.  A copy goes in pieces:
 * the store tells how much it has, so that after any crash of either side the rest is sent. */
#include "node-priv.h"

#include "core/json.h"
#include "core/process.h"
#include "storage/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS       2
#define AGAIN_FIRST_S 1
#define AGAIN_LAST_S  30
#define FAILURES_MAX  20 /* of our own or the machine's, until a snapshot is given up */
#define PIECE_MS      60000
#define COMPLETE_MS   3600000 /* the store reads all of it once more */

void
node_snapshot_free(gpointer data)
{
    Snapshot *snapshot = data;

    g_free(snapshot->id);
    g_free(snapshot->volume_id);
    g_free(snapshot->pool);
    g_free(snapshot->parent_id);
    g_free(snapshot->parent_file);
    g_free(snapshot);
}

VirgaSnapshotWish
node_snapshot_wish(const Snapshot *snapshot)
{
    return (VirgaSnapshotWish){ .id = snapshot->id,
                                .volume_id = snapshot->volume_id,
                                .parent_id = snapshot->parent_id,
                                .parent_file = snapshot->parent_file };
}

Guest *
node_owner_locked(VirgaNode *node, const char *volume_id)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, node->guests);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        GPtrArray *disks = ((Guest *) value)->wish->record->disks;

        for (guint i = 0; i < disks->len; i++)
            if (g_str_equal(((VirgaGuestDisk *) disks->pdata[i])->id, volume_id))
                return value;
    }
    return NULL;
}

/* ---- the list ---- */

static const VirgaField fields[] = {
    { "id", VIRGA_FIELD_STRING, offsetof(Snapshot, id), true, NULL },
    { "volume_id", VIRGA_FIELD_STRING, offsetof(Snapshot, volume_id), true, NULL },
    { "pool", VIRGA_FIELD_STRING, offsetof(Snapshot, pool), false, NULL },
    { "parent_id", VIRGA_FIELD_STRING, offsetof(Snapshot, parent_id), false, NULL },
    { "parent_file", VIRGA_FIELD_STRING, offsetof(Snapshot, parent_file), false, NULL },
    { "parent_ready", VIRGA_FIELD_BOOL, offsetof(Snapshot, parent_ready), false, NULL },
    { "cut", VIRGA_FIELD_BOOL, offsetof(Snapshot, cut), false, NULL },
    { "halt", VIRGA_FIELD_BOOL, offsetof(Snapshot, halt), false, NULL },
    { "made", VIRGA_FIELD_BOOL_ON, offsetof(Snapshot, made), false, NULL },
    { NULL, 0, 0, false, NULL },
};
const VirgaRecordType node_snapshot_type = { "snapshot", sizeof(Snapshot), fields };

static Snapshot *
find(GPtrArray *snapshots, const char *id)
{
    for (guint i = 0; i < snapshots->len; i++)
        if (g_str_equal(((Snapshot *) snapshots->pdata[i])->id, id))
            return snapshots->pdata[i];
    return NULL;
}

static void
take_one_locked(VirgaNode *node, Snapshot *told)
{
    Snapshot *known = find(node->snapshots, told->id);

    if (!known) {
        g_ptr_array_add(node->snapshots, told);
        return;
    }
    known->forgotten = false;
    known->cut = known->cut || told->cut;
    known->made = told->made;
    if (!known->working) { /* a worker reads it without the lock */
        known->parent_ready = told->parent_ready;
        g_free(known->parent_id);
        g_free(known->parent_file);
        known->parent_id = g_steal_pointer(&told->parent_id);
        known->parent_file = g_steal_pointer(&told->parent_file);
    }
    node_snapshot_free(told);
}

void
node_take_snapshots_locked(VirgaNode *node, JsonArray *snapshots)
{
    if (!snapshots)
        return;
    for (guint i = 0; i < node->snapshots->len; i++)
        ((Snapshot *) node->snapshots->pdata[i])->forgotten = true;
    for (guint i = 0; i < json_array_get_length(snapshots); i++) {
        g_autoptr(GError) error = NULL;
        Snapshot *told = virga_record_from_json(&node_snapshot_type,
                                                json_array_get_element(snapshots, i), &error);

        if (told)
            take_one_locked(node, told);
        else
            virga_warning("host", node->host_id, "a snapshot that is none: %s", error->message);
    }
    for (guint i = 0; i < node->snapshots->len; i++) {
        Snapshot *snapshot = node->snapshots->pdata[i];

        if (snapshot->forgotten)
            snapshot->try_at = 0; /* a worker clears up after it */
    }
    node->store_dirty = node->store_dirty || json_array_get_length(snapshots) > 0;
    node_wake_snapshots_locked(node);
}

/* The moment of a guest's disk is its worker's; all else is for the pool. */
void
node_wake_snapshots_locked(VirgaNode *node)
{
    gint64 now = g_get_monotonic_time();

    for (guint i = 0; i < node->snapshots->len; i++) {
        Snapshot *snapshot = node->snapshots->pdata[i];
        Guest *owner;

        if (snapshot->queued || snapshot->working || snapshot->try_at > now ||
            (snapshot->cut && !snapshot->parent_ready && !snapshot->forgotten) || node->stopping)
            continue;
        owner = snapshot->cut || snapshot->forgotten ? NULL
                                                     : node_owner_locked(node, snapshot->volume_id);
        if (owner) {
            node_wake_guest_locked(node, owner);
        } else if (node->snapshot_pool) {
            snapshot->queued = true;
            g_thread_pool_push(node->snapshot_pool, snapshot, NULL);
        }
    }
}

/* ---- copying ---- */

/* How much the store has, of the answer {"have": n}. */
static bool
send_piece(VirgaNode *node, const Snapshot *snapshot, gint64 offset, gint64 total,
           const void *bytes, gsize size, gint64 *ret_have, GError **error)
{
    g_autofree char *path = g_strdup_printf("/node/v1/snapshots/%s?host=%s&offset=%" G_GINT64_FORMAT
                                            "&total=%" G_GINT64_FORMAT,
                                            snapshot->id, node->host_id, offset, total);
    g_autofree char *answer = NULL;
    g_autoptr(JsonNode) json = NULL;

    if (!virga_http_put(node->virgad, path, bytes, size, PIECE_MS, &answer, error))
        return false;
    json = virga_json_parse(answer, -1, error);
    if (!json)
        return false;
    *ret_have =
        JSON_NODE_HOLDS_OBJECT(json)
            ? json_object_get_int_member_with_default(json_node_get_object(json), "have", -1)
            : -1;
    return *ret_have >= 0 ||
           virga_fail(error, "request", VIRGA_ERROR_RETRY, "virgad does not say how much it has");
}

/* Each byte is read once, and hashed on its way. */
static bool
send_file(VirgaNode *node, const Snapshot *snapshot, int fd, gint64 total, bool afresh,
          char sha256[static VIRGA_SHA256_CHARS], GError **error)
{
    g_autofree char *piece = g_malloc(VIRGA_PIECE_BYTES);
    g_autoptr(VirgaHash) hash = virga_hash_new();
    gint64 have = 0;

    if (!afresh && !send_piece(node, snapshot, 0, total, "", 0, &have, error))
        return false;
    if (!virga_hash_add_file(hash, fd, MIN(have, total), error))
        return false;
    while (have < total) {
        ssize_t got = pread(fd, piece, VIRGA_PIECE_BYTES, have);
        gint64 before = have;

        if (got <= 0)
            return virga_fail_errno(error, "volume", got ? errno : EIO, "could not read \"%s\"",
                                    snapshot->id);
        if (node_stopping(node))
            return virga_fail(error, "request", VIRGA_ERROR_RETRY, "this daemon ends");
        virga_hash_add(hash, piece, (gsize) got);
        if (!send_piece(node, snapshot, have, total, piece, (gsize) got, &have, error))
            return false;
        if (have != before + got)
            return virga_fail(error, "request", VIRGA_ERROR_RETRY, "the store has other bytes");
    }
    virga_hash_end(hash, sha256);
    return true;
}

/* {"host_id", "bytes", "sha256", "whole"} or {"host_id", "failure"} */
static bool
tell(VirgaNode *node, const Snapshot *snapshot, gint64 bytes, const char *sha256, bool whole,
     const char *failure, GError **error)
{
    g_autofree char *path = g_strconcat("/node/v1/snapshots/", snapshot->id, NULL);
    JsonObject *object = json_object_new();
    g_autoptr(JsonNode) root = json_node_init_object(json_node_alloc(), object);
    g_autofree char *body = NULL;

    json_object_unref(object);
    json_object_set_string_member(object, "host_id", node->host_id);
    if (failure) {
        json_object_set_string_member(object, "failure", failure);
    } else {
        json_object_set_int_member(object, "bytes", bytes);
        json_object_set_boolean_member(object, "whole", whole);
        if (bytes > 0)
            json_object_set_string_member(object, "sha256", sha256);
    }
    body = json_to_string(root, FALSE);
    return virga_http_call(node->virgad, "POST", path, body, COMPLETE_MS, NULL, error);
}

static bool
copy_file(VirgaNode *node, Snapshot *snapshot, const char *path, bool afresh, bool whole,
          GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char sha256[VIRGA_SHA256_CHARS];
    struct stat status;
    bool done;

    if (fd < 0 || fstat(fd, &status) < 0) {
        virga_fail_errno(error, "volume", errno, "could not open \"%s\"", path);
        done = false;
    } else {
        done = send_file(node, snapshot, fd, status.st_size, afresh, sha256, error) &&
               tell(node, snapshot, status.st_size, sha256, whole, NULL, error);
    }
    if (fd >= 0)
        close(fd);
    return done;
}

static bool
copy(VirgaNode *node, Snapshot *snapshot, GError **error)
{
    VirgaSnapshotWish wish = node_snapshot_wish(snapshot);
    VirgaVolumeDriver *pool = node_pool(node, snapshot->pool, error);
    g_autofree char *path = NULL;
    bool whole, made;

    if (!pool)
        return false;
    if (snapshot->lost)
        return virga_fail(error, "volume", VIRGA_ERROR_NOT_FOUND,
                          "the data of the volume has vanished from its host");
    if (snapshot->nothing)
        return tell(node, snapshot, 0, NULL, false, NULL, error);
    if (!pool->begin_copy(pool, &wish, &path, &whole, &made, error) ||
        !copy_file(node, snapshot, path, made || snapshot->afresh, whole, error))
        return false;
    virga_info("snapshot", snapshot->id, "is in the store");
    return true;
}

/* Something that will never be better. */
static bool
is_hopeless(const Snapshot *snapshot, const GError *error)
{
    return virga_error_is(error, "volume", VIRGA_ERROR_NOT_FOUND) ||
           (snapshot->failures >= FAILURES_MAX && !virga_error_is(error, NULL, VIRGA_ERROR_RETRY));
}

static void
note_failure(VirgaNode *node, Snapshot *snapshot, GError *failure)
{
    gint64 delay_s = MIN(AGAIN_FIRST_S << MIN(snapshot->failures, 6), AGAIN_LAST_S);
    g_autoptr(GError) error = NULL;

    virga_notice("snapshot", snapshot->id, "could not be %s: %s", snapshot->cut ? "copied" : "cut",
                 failure->message);
    snapshot->failures++;
    snapshot->afresh = virga_error_is(failure, "request", VIRGA_ERROR_INVALID);
    if (is_hopeless(snapshot, failure) &&
        !tell(node, snapshot, 0, NULL, false, failure->message, &error))
        virga_notice("snapshot", snapshot->id, "%s", error->message);
    snapshot->try_at = g_get_monotonic_time() + delay_s * G_USEC_PER_SEC;
}

/* Cuts it or copies it; true when there is nothing more to do. */
static bool
work(VirgaNode *node, Snapshot *snapshot)
{
    g_autoptr(GError) error = NULL;
    bool was_cut = snapshot->cut;

    if (was_cut ? copy(node, snapshot, &error) : node_cut_volume(node, snapshot, &error))
        return was_cut;
    if (error && !virga_error_is(error, "request", VIRGA_ERROR_NOT_FOUND))
        note_failure(node, snapshot, error);
    else /* it is a guest's now, or will not be named any more */
        snapshot->try_at = g_get_monotonic_time() + AGAIN_FIRST_S * G_USEC_PER_SEC;
    return false;
}

static void
work_on_snapshot(gpointer data, gpointer user_data)
{
    Snapshot *snapshot = data;
    VirgaNode *node = user_data;
    VirgaSnapshotWish wish = node_snapshot_wish(snapshot);
    VirgaVolumeDriver *driver = node_pool(node, snapshot->pool, NULL);
    g_autofree char *volume_id = g_strdup(snapshot->volume_id);
    g_autofree char *pool = g_strdup(snapshot->pool);
    bool ends;

    g_mutex_lock(&node->lock);
    snapshot->queued = false;
    snapshot->working = true;
    ends = snapshot->forgotten;
    g_mutex_unlock(&node->lock);
    ends = ends || (!node_stopping(node) && work(node, snapshot));
    if (ends && driver)
        driver->end_copy(driver, &wish);
    g_mutex_lock(&node->lock);
    snapshot->working = false;
    if (ends) {
        g_ptr_array_remove(node->snapshots, snapshot);
        node->store_dirty = true;
    }
    node_wake_snapshots_locked(node);
    g_mutex_unlock(&node->lock);
    if (ends)
        node_join_volume(node, pool, volume_id);
}

void
node_snapshots_start(VirgaNode *node)
{
    node->snapshot_pool = g_thread_pool_new(work_on_snapshot, node, WORKERS, FALSE, NULL);
}
