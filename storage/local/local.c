/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes as qcow2 files.  A name in volumes/ or images/ is always a whole file: it is made under
 * a temporary name, synced and renamed, so that a crash leaves garbage and never half a disk. */
#include "storage/driver.h"

#include "core/error.h"
#include "core/id.h"
#include "core/process.h"
#include "storage/import.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define QEMU_IMG_MS 60000

typedef struct {
    VirgaVolumeDriver base;
    char *images, *volumes;
    gint64 reserved_gib;
    VirgaSnapshotFetch fetch;
    gpointer data;
    GMutex lock;
    GCond fetched;
    GHashTable *fetching; /* snapshot ids that some thread fetches now */
} Local;

static char *
file_of(const char *directory, const char *id, const char *suffix)
{
    return g_strdup_printf("%s/%s%s", directory, id, suffix);
}

static char *
local_path(VirgaVolumeDriver *driver, const char *volume_id)
{
    return file_of(((Local *) driver)->volumes, volume_id, ".qcow2");
}

static bool
local_inspect(VirgaVolumeDriver *driver, const char *volume_id, bool *ret_exists, GError **error)
{
    g_autofree char *path = local_path(driver, volume_id);

    *ret_exists = access(path, F_OK) == 0;
    if (!*ret_exists && errno != ENOENT)
        return virga_fail_errno(error, "volume", errno, "could not look at \"%s\"", path);
    return true;
}

static bool
sync_directory(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failure = fd < 0 || fsync(fd) < 0 ? errno : 0;

    if (fd >= 0)
        close(fd);
    return failure == 0 ||
           virga_fail_errno(error, "volume", failure, "could not sync \"%s\"", path);
}

/* Makes a finished temporary file durable under its name. */
static bool
put_in_place(const char *directory, const char *temporary, const char *path, GError **error)
{
    int fd = open(temporary, O_RDONLY | O_CLOEXEC);
    int failure = fd < 0 || fsync(fd) < 0 ? errno : 0;

    if (fd >= 0)
        close(fd);
    if (failure == 0 && rename(temporary, path) < 0)
        failure = errno;
    if (failure)
        return virga_fail_errno(error, "volume", failure, "could not keep \"%s\"", path);
    return sync_directory(directory, error);
}

/* A transfer that ended early must not become the base of disks. */
static bool
check_size(const char *path, const VirgaVolumeWish *wish, GError **error)
{
    struct stat file;

    if (stat(path, &file) < 0)
        return virga_fail_errno(error, "volume", errno, "could not look at \"%s\"", path);
    if (wish->snapshot_bytes > 0 && file.st_size != wish->snapshot_bytes)
        return virga_fail(error, "volume", VIRGA_ERROR_RETRY,
                          "snapshot \"%s\" came with %" G_GINT64_FORMAT
                          " bytes instead of %" G_GINT64_FORMAT,
                          wish->snapshot_id, (gint64) file.st_size, wish->snapshot_bytes);
    return true;
}

/* Nor must one that was damaged in the store or on its way. */
static bool
check_content(const char *path, const VirgaVolumeWish *wish, GError **error)
{
    char sha256[65];
    bool hashed;
    int fd;

    if (!wish->snapshot_sha256)
        return true;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return virga_fail_errno(error, "volume", errno, "could not open \"%s\"", path);
    hashed = virga_file_sha256(fd, sha256, error);
    close(fd);
    if (hashed && !g_str_equal(sha256, wish->snapshot_sha256))
        return virga_fail(error, "volume", VIRGA_ERROR_INTERNAL,
                          "the data of snapshot \"%s\" is damaged", wish->snapshot_id);
    return hashed;
}

/* What cannot be finished is removed: the disk may be full of it. */
static bool
fetch_now(Local *local, const VirgaVolumeWish *wish, const char *path, GError **error)
{
    g_autofree char *temporary = file_of(local->images, wish->snapshot_id, ".part");
    bool fetched = local->fetch(wish->snapshot_id, temporary, local->data, error) &&
                   check_size(temporary, wish, error) && check_content(temporary, wish, error);

    if (fetched && chmod(temporary, 0444) < 0)
        fetched = virga_fail_errno(error, "volume", errno, "could not keep \"%s\"", path);
    fetched = fetched && put_in_place(local->images, temporary, path, error);
    if (!fetched)
        g_unlink(temporary);
    return fetched;
}

/* The base image's path, fetched if it is not here yet; one thread fetches, the others wait. */
static char *
base_image(Local *local, const VirgaVolumeWish *wish, GError **error)
{
    const char *snapshot_id = wish->snapshot_id;
    g_autofree char *path = file_of(local->images, snapshot_id, ".qcow2");
    bool here;

    g_mutex_lock(&local->lock);
    while (g_hash_table_contains(local->fetching, snapshot_id))
        g_cond_wait(&local->fetched, &local->lock);
    here = access(path, F_OK) == 0;
    if (!here)
        g_hash_table_add(local->fetching, g_strdup(snapshot_id));
    g_mutex_unlock(&local->lock);
    if (!here) {
        here = fetch_now(local, wish, path, error);
        g_mutex_lock(&local->lock);
        g_hash_table_remove(local->fetching, snapshot_id);
        g_cond_broadcast(&local->fetched);
        g_mutex_unlock(&local->lock);
    }
    return here ? g_steal_pointer(&path) : NULL;
}

static bool
check_room(Local *local, GError **error)
{
    struct statvfs disk;
    gint64 free_gib;

    if (statvfs(local->volumes, &disk) < 0)
        return virga_fail_errno(error, "volume", errno, "could not look at \"%s\"", local->volumes);
    free_gib = (gint64) (disk.f_bavail * disk.f_frsize >> 30);
    if (free_gib < local->reserved_gib)
        return virga_fail(error, "volume", VIRGA_ERROR_CAPACITY,
                          "the host's disk is full: %" G_GINT64_FORMAT
                          " GiB are free, %" G_GINT64_FORMAT " are reserved",
                          free_gib, local->reserved_gib);
    return true;
}

static bool
create_file(const VirgaVolumeWish *wish, const char *base, const char *temporary, GError **error)
{
    g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT "G", wish->size_gib);
    const char *overlay[] = { "qemu-img", "create", "-q", "-f",      "qcow2", "-F",
                              "qcow2",    "-b",     base, temporary, size,    NULL };
    const char *empty[] = { "qemu-img", "create", "-q", "-f", "qcow2", temporary, size, NULL };

    return virga_process_run(base ? overlay : empty, NULL, QEMU_IMG_MS, NULL, error);
}

static bool
local_create(VirgaVolumeDriver *driver, const VirgaVolumeWish *wish, GError **error)
{
    Local *local = (Local *) driver;
    g_autofree char *path = local_path(driver, wish->id);
    g_autofree char *temporary = file_of(local->volumes, wish->id, ".part");
    g_autofree char *base = NULL;
    bool made;

    if (access(path, F_OK) == 0)
        return true;
    if (!check_room(local, error))
        return false;
    if (wish->snapshot_id && !(base = base_image(local, wish, error)))
        return false;
    made = create_file(wish, base, temporary, error);
    if (made && chmod(temporary, 0600) < 0)
        made = virga_fail_errno(error, "volume", errno, "could not make \"%s\"", path);
    made = made && put_in_place(local->volumes, temporary, path, error);
    if (!made)
        g_unlink(temporary);
    return made;
}

static bool
local_delete(VirgaVolumeDriver *driver, const char *volume_id, GError **error)
{
    Local *local = (Local *) driver;
    g_autofree char *path = local_path(driver, volume_id);
    g_autofree char *temporary = file_of(local->volumes, volume_id, ".part");

    g_unlink(temporary);
    if (g_unlink(path) < 0 && errno != ENOENT)
        return virga_fail_errno(error, "volume", errno, "could not delete \"%s\"", path);
    return true;
}

static char **
local_list(VirgaVolumeDriver *driver, GError **error)
{
    Local *local = (Local *) driver;
    g_autoptr(GDir) directory = g_dir_open(local->volumes, 0, error);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    const char *name;

    if (!directory)
        return NULL;
    while ((name = g_dir_read_name(directory))) {
        g_autofree char *id = g_strndup(name, strcspn(name, "."));

        if (virga_id_is(id, "vol"))
            g_strv_builder_add(builder, id);
    }
    return g_strv_builder_end(builder);
}

static void
local_free(VirgaVolumeDriver *driver)
{
    Local *local = (Local *) driver;

    g_hash_table_destroy(local->fetching);
    g_mutex_clear(&local->lock);
    g_cond_clear(&local->fetched);
    g_free(local->images);
    g_free(local->volumes);
    g_free(local);
}

VirgaVolumeDriver *
virga_volume_local_new(const char *directory, gint64 reserved_gib, VirgaSnapshotFetch fetch,
                       gpointer data)
{
    Local *local = g_new0(Local, 1);

    local->base = (VirgaVolumeDriver){ .name = "local",
                                       .inspect = local_inspect,
                                       .create = local_create,
                                       .delete = local_delete,
                                       .path = local_path,
                                       .list = local_list,
                                       .free = local_free };
    local->images = g_build_filename(directory, "images", NULL);
    local->volumes = g_build_filename(directory, "volumes", NULL);
    /* Passable, not readable: the hypervisor's user opens the files that it is given. */
    g_mkdir_with_parents(local->images, 0711);
    g_mkdir_with_parents(local->volumes, 0711);
    local->reserved_gib = reserved_gib;
    local->fetch = fetch;
    local->data = data;
    g_mutex_init(&local->lock);
    g_cond_init(&local->fetched);
    local->fetching = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return &local->base;
}
