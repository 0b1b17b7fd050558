/* SPDX-License-Identifier: Apache-2.0 */
/* What all drivers of volumes have in common. */
#include "driver-priv.h"

#include "core/error.h"
#include "storage/hash.h"
#include "storage/volume-key.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void
virga_volume_source_free(VirgaVolumeSource *source)
{
    if (!source)
        return;
    g_free(source->name);
    g_free(source->monitors);
    g_free(source->user);
    if (source->key)
        explicit_bzero(source->key, strlen(source->key));
    g_free(source->key);
    g_strfreev(source->below);
    g_free(source->volume_id);
    virga_passphrase_free(source->passphrase);
    g_free(source);
}

/* A transfer that ended early must not become the base of disks. */
static bool
check_size(const char *path, const VirgaSnapshotFile *file, GError **error)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return virga_fail_errno(error, "volume", errno, "could not look at \"%s\"", path);
    if (file->bytes > 0 && status.st_size != file->bytes)
        return virga_fail(error, "volume", VIRGA_ERROR_RETRY,
                          "snapshot \"%s\" came with %" G_GINT64_FORMAT
                          " bytes instead of %" G_GINT64_FORMAT,
                          file->id, (gint64) status.st_size, file->bytes);
    return true;
}

/* Nor must one that was damaged in the store or on its way. */
static bool
check_content(const char *path, const VirgaSnapshotFile *file, GError **error)
{
    char sha256[65];
    bool hashed;
    int fd;

    if (!file->sha256)
        return true;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return virga_fail_errno(error, "volume", errno, "could not open \"%s\"", path);
    hashed = virga_file_sha256(fd, sha256, error);
    close(fd);
    if (hashed && !g_str_equal(sha256, file->sha256))
        return virga_fail(error, "volume", VIRGA_ERROR_INTERNAL,
                          "the data of snapshot \"%s\" is damaged", file->id);
    return hashed;
}

bool
snapshot_file_fetch(const VirgaSnapshotFile *file, const char *path, VirgaSnapshotFetch fetch,
                    gpointer data, GError **error)
{
    return fetch(file->id, path, data, error) && check_size(path, file, error) &&
           check_content(path, file, error);
}

/* ---- claims ---- */

void
claims_init(Claims *claims)
{
    g_mutex_init(&claims->lock);
    g_cond_init(&claims->released);
    claims->names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

void
claims_clear(Claims *claims)
{
    g_hash_table_destroy(claims->names);
    g_mutex_clear(&claims->lock);
    g_cond_clear(&claims->released);
}

void
claims_take(Claims *claims, const char *name)
{
    g_mutex_lock(&claims->lock);
    while (g_hash_table_contains(claims->names, name))
        g_cond_wait(&claims->released, &claims->lock);
    g_hash_table_add(claims->names, g_strdup(name));
    g_mutex_unlock(&claims->lock);
}

void
claims_release(Claims *claims, const char *name)
{
    g_mutex_lock(&claims->lock);
    g_hash_table_remove(claims->names, name);
    g_cond_broadcast(&claims->released);
    g_mutex_unlock(&claims->lock);
}
