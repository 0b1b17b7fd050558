/* SPDX-License-Identifier: Apache-2.0 */
#include "api/node-snapshots.h"

#include "api/store.h"
#include "compute/host.h"
#include "compute/image.h"
#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "core/record.h"
#include "storage/hash.h"
#include "storage/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define END_MS    3600000 /* all of a file is read */
#define BYTES_MAX ((gint64) 1 << 46)

/* ---- base images ---- */

typedef struct {
    char *host_id;
    char **ids;
} Bases;

static const VirgaField bases_fields[] = {
    { "host_id", VIRGA_FIELD_STRING, offsetof(Bases, host_id), true, NULL },
    { "ids", VIRGA_FIELD_STRINGS, offsetof(Bases, ids), true, NULL },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType bases_type = { "request", sizeof(Bases), bases_fields };

static void
bases_free(Bases *bases)
{
    virga_record_free(&bases_type, bases);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Bases, bases_free)

static char *
gone_json(const char *const *ids)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "gone");
    json_builder_begin_array(builder);
    for (; *ids; ids++)
        json_builder_add_string_value(builder, *ids);
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    return json_to_string(root, FALSE);
}

char *
virga_node_snapshot_bases(const VirgaServices *services, const void *body, gsize size,
                          GError **error)
{
    g_autoptr(JsonNode) root = virga_json_parse(body, (gssize) size, error);
    g_autoptr(Bases) bases = root ? virga_record_from_json(&bases_type, root, error) : NULL;
    g_autoptr(VirgaTxn) txn = bases ? virga_db_read(services->db, error) : NULL;
    g_autoptr(VirgaArena) arena = virga_arena_new();
    const char *const *gone;

    if (!txn || !virga_snapshot_gone(txn, arena, (const char *const *) bases->ids, &gone, error))
        return NULL;
    return gone_json(gone);
}

/* ---- pieces ---- */

typedef struct {
    const char *host_id;
    gint64 offset, total;
} Piece;

static bool
read_number(GHashTable *query, const char *name, gint64 *ret)
{
    const char *text = g_hash_table_lookup(query, name);

    return text && g_ascii_string_to_signed(text, 10, 0, BYTES_MAX, ret, NULL);
}

static bool
read_piece(GHashTable *query, gsize size, Piece *piece, GError **error)
{
    piece->host_id = query ? g_hash_table_lookup(query, "host") : NULL;
    if (piece->host_id && read_number(query, "offset", &piece->offset) &&
        read_number(query, "total", &piece->total) && piece->offset + (gint64) size <= piece->total)
        return true;
    return virga_fail(error, "request", VIRGA_ERROR_INVALID, "host, offset or total is malformed");
}

static bool
note_progress(const VirgaServices *services, const char *id, const Piece *piece, GError **error)
{
    gint64 percent = piece->total ? piece->offset * 100 / piece->total : 0;
    g_autoptr(VirgaTxn) txn = virga_db_begin(services->db, error);
    bool wanted;

    if (!txn || !virga_snapshot_note_progress(txn, piece->host_id, id, percent, &wanted, error) ||
        !virga_txn_commit(txn, error))
        return false;
    return wanted || virga_fail(error, "snapshot", VIRGA_ERROR_NOT_FOUND,
                                "snapshot \"%s\" is not wanted", id);
}

static bool
write_all(int fd, const guint8 *bytes, gsize size, gint64 offset)
{
    while (size > 0) {
        ssize_t done = pwrite(fd, bytes, size, offset);

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        bytes += done;
        offset += done;
        size -= (gsize) done;
    }
    return true;
}

/* Adds to an upload; what was written of a piece that failed is no part of it. */
static bool
append(const char *path, const Piece *piece, const void *bytes, gsize size, gint64 *ret_have,
       GError **error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct stat status = { 0 };
    bool done = fd >= 0 && fstat(fd, &status) == 0;

    *ret_have = status.st_size;
    if (done && size > 0 && piece->offset == 0 && *ret_have > 0) {
        done = ftruncate(fd, 0) == 0;
        *ret_have = 0;
    }
    if (done && piece->offset == *ret_have && size > 0) {
        done = write_all(fd, bytes, size, piece->offset);
        if (done)
            *ret_have += (gint64) size;
    }
    if (!done) {
        virga_fail_errno(error, "snapshot", errno, "could not write \"%s\"", path);
        if (fd >= 0 && ftruncate(fd, *ret_have) < 0)
            unlink(path);
    }
    if (fd >= 0)
        close(fd);
    return done;
}

char *
virga_node_snapshot_piece(const VirgaServices *services, const char *id, const char *query,
                          const void *bytes, gsize size, GError **error)
{
    g_autoptr(GHashTable) parameters = g_uri_parse_params(query, -1, "&", G_URI_PARAMS_NONE, NULL);
    g_autofree char *path = virga_store_path(services, id, VIRGA_STORE_UPLOAD);
    Piece piece;
    gint64 have;

    if (!read_piece(parameters, size, &piece, error) ||
        !note_progress(services, id, &piece, error) ||
        !append(path, &piece, bytes, size, &have, error))
        return NULL;
    return g_strdup_printf("{\"have\":%" G_GINT64_FORMAT "}", have);
}

/* ---- the end ---- */

typedef struct {
    char *host_id, *sha256, *failure;
    gint64 bytes;
    bool whole;
} End;

static const VirgaField end_fields[] = {
    { "host_id", VIRGA_FIELD_STRING, offsetof(End, host_id), true, NULL },
    { "sha256", VIRGA_FIELD_STRING, offsetof(End, sha256), false, NULL },
    { "failure", VIRGA_FIELD_STRING, offsetof(End, failure), false, NULL },
    { "bytes", VIRGA_FIELD_INTEGER, offsetof(End, bytes), false, NULL },
    { "whole", VIRGA_FIELD_BOOL, offsetof(End, whole), false, NULL },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType end_type = { "request", sizeof(End), end_fields };

static void
end_free(End *end)
{
    virga_record_free(&end_type, end);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(End, end_free)

static End *
read_end(const void *body, gsize size, GError **error)
{
    g_autoptr(JsonNode) root = virga_json_parse(body, (gssize) size, error);
    g_autoptr(End) end = root ? virga_record_from_json(&end_type, root, error) : NULL;

    if (end && (end->bytes < 0 || (end->bytes > 0 && !end->sha256))) {
        virga_fail(error, "request", VIRGA_ERROR_INVALID, "bytes or sha256 is malformed");
        return NULL;
    }
    return g_steal_pointer(&end);
}

static bool
check_content(int fd, const End *end, GError **error)
{
    struct stat status;
    char sha256[65];

    if (fd < 0 || fstat(fd, &status) < 0)
        return virga_fail(error, "request", VIRGA_ERROR_INVALID, "the store has no bytes of it");
    if (status.st_size != end->bytes)
        return virga_fail(error, "request", VIRGA_ERROR_INVALID,
                          "the store has %" G_GINT64_FORMAT " bytes of %" G_GINT64_FORMAT,
                          (gint64) status.st_size, end->bytes);
    if (fsync(fd) < 0)
        return virga_fail_errno(error, "snapshot", errno, "could not sync the store");
    if (!virga_file_sha256(fd, sha256, error))
        return false;
    return g_str_equal(sha256, end->sha256) ||
           virga_fail(error, "request", VIRGA_ERROR_INVALID, "the store has other bytes");
}

/* The upload becomes the snapshot's file, unless it did before. */
static bool
keep_file(const VirgaServices *services, const char *id, const End *end, GError **error)
{
    g_autofree char *upload = virga_store_path(services, id, VIRGA_STORE_UPLOAD);
    g_autofree char *path = virga_store_path(services, id, VIRGA_STORE_FILE);
    int fd = open(upload, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool uploaded = fd >= 0, done;

    if (!uploaded)
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    done = check_content(fd, end, error);
    if (done && uploaded && rename(upload, path) < 0)
        done = virga_fail_errno(error, "snapshot", errno, "could not name \"%s\"", path);
    if (fd >= 0)
        close(fd);
    return done && virga_store_sync(services, error);
}

/* Its host hears that it is not wanted of it any more, and what else has waited for that. */
static bool
settle(VirgaTxn *txn, const char *id, const End *end, GError **error)
{
    gint64 generation;

    return (end->failure ? virga_snapshot_fail(txn, end->host_id, id, end->failure, error)
                         : virga_snapshot_complete(txn, end->host_id, id, end->bytes, end->sha256,
                                                   end->whole, error)) &&
           virga_image_settle(txn, id, error) &&
           virga_host_touch(txn, end->host_id, &generation, error);
}

char *
virga_node_snapshot_end(const VirgaServices *services, VirgaHttpExchange *exchange, const char *id,
                        const void *body, gsize size, GError **error)
{
    g_autoptr(End) end = read_end(body, size, error);
    g_autoptr(VirgaTxn) txn = NULL;

    if (!end)
        return NULL;
    if (end->bytes > 0 && !end->failure) {
        virga_http_set_deadline(exchange, END_MS);
        if (!keep_file(services, id, end, error))
            return NULL;
    }
    txn = virga_db_begin(services->db, error);
    if (!txn || !settle(txn, id, end, error) || !virga_txn_commit(txn, error))
        return NULL;
    virga_info("snapshot", id, "%s", end->failure ? "failed" : "completed");
    return g_strdup("{}");
}
