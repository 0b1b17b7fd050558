/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes as qcow2 files.  A name in volumes/ or images/ is always a whole file: it is made under
 * a temporary name, synced and renamed, so that a crash leaves garbage and never half a disk. */
#include "local-priv.h"

#include "core/error.h"
#include "core/id.h"
#include "core/process.h"
#include "storage/volume-key.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

char *
local_file(const char *directory, const char *id, const char *suffix)
{
    return g_strdup_printf("%s/%s%s", directory, id, suffix);
}

static bool
local_inspect(VirgaVolumeDriver *driver, const char *volume_id, bool *ret_exists, GError **error)
{
    g_autofree char *path = local_file(((Local *) driver)->volumes, volume_id, ".qcow2");

    *ret_exists = access(path, F_OK) == 0;
    if (!*ret_exists && errno != ENOENT)
        return virga_fail_errno(error, "volume", errno, "could not look at \"%s\"", path);
    return true;
}

bool
local_sync_file(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int failure = fd < 0 || fsync(fd) < 0 ? errno : 0;

    if (fd >= 0)
        close(fd);
    return failure == 0 ||
           virga_fail_errno(error, "volume", failure, "could not sync \"%s\"", path);
}

bool
local_put_in_place(const char *directory, const char *temporary, const char *path, GError **error)
{
    if (!local_sync_file(temporary, error))
        return false;
    if (rename(temporary, path) < 0)
        return virga_fail_errno(error, "volume", errno, "could not keep \"%s\"", path);
    return local_sync_file(directory, error);
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
create(Local *local, const VirgaVolumeWish *wish, const char *path, GError **error)
{
    g_autofree char *temporary = local_file(local->volumes, wish->id, ".part");
    g_autofree char *base = NULL;
    bool made;

    if (wish->file_count && !(base = local_base(local, wish, error)))
        return false;
    made = wish->encrypted ? local_create_encrypted(local, wish, base, temporary, error)
                           : create_file(wish, base, temporary, error);
    if (made && chmod(temporary, 0600) < 0)
        made = virga_fail_errno(error, "volume", errno, "could not make \"%s\"", path);
    made = made && local_put_in_place(local->volumes, temporary, path, error);
    if (!made)
        g_unlink(temporary);
    return made;
}

static bool
local_create(VirgaVolumeDriver *driver, const VirgaVolumeWish *wish, GError **error)
{
    Local *local = (Local *) driver;
    g_autofree char *path = local_file(local->volumes, wish->id, ".qcow2");
    bool made;

    if (access(path, F_OK) == 0)
        return true;
    if (!check_room(local, error))
        return false;
    g_rw_lock_reader_lock(&local->making);
    made = create(local, wish, path, error);
    g_rw_lock_reader_unlock(&local->making);
    return made;
}

static VirgaVolumeSource *
local_source(VirgaVolumeDriver *driver, const char *volume_id, GError **error)
{
    g_autoptr(VirgaVolumeSource) source = g_new0(VirgaVolumeSource, 1);
    Local *local = (Local *) driver;
    g_autofree char *below = NULL;
    bool encrypted;

    source->kind = VIRGA_SOURCE_FILE;
    source->name = local_path(local, volume_id);
    if (!luks_is_encrypted(source->name, &encrypted, error))
        return NULL;
    if (!encrypted)
        return g_steal_pointer(&source);
    if (!qcow2_read_header(source->name, NULL, &below, error))
        return NULL;
    source->below = below ? luks_files(below, error) : g_new0(char *, 1);
    source->volume_id = g_strdup(volume_id);
    source->passphrase = source->below ? local_passphrase(local, volume_id, error) : NULL;
    return source->passphrase ? g_steal_pointer(&source) : NULL;
}

static bool
grow_encrypted(Local *local, const char *volume_id, const char *path, gint64 bytes, GError **error)
{
    char *passphrase = local_passphrase(local, volume_id, error);
    bool done = passphrase && local_resize_encrypted(path, bytes, passphrase, error) &&
                local_sync_file(path, error);

    virga_passphrase_free(passphrase);
    return done;
}

static bool
local_grow(VirgaVolumeDriver *driver, const char *volume_id, gint64 size_gib, GError **error)
{
    g_autofree char *path = local_path((Local *) driver, volume_id);
    g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT "G", size_gib);
    const char *argv[] = { "qemu-img", "resize", "-q", "-f", "qcow2", path, size, NULL };
    bool encrypted;
    gint64 bytes;

    if (!qcow2_read_header(path, &bytes, NULL, error) ||
        !luks_is_encrypted(path, &encrypted, error))
        return false;
    if (encrypted && bytes < size_gib << 30)
        return grow_encrypted((Local *) driver, volume_id, path, size_gib << 30, error);
    return (bytes >= size_gib << 30 || (virga_process_run(argv, NULL, QEMU_IMG_MS, NULL, error) &&
                                        local_sync_file(path, error)));
}

static bool
local_delete(VirgaVolumeDriver *driver, const char *volume_id, GError **error)
{
    Local *local = (Local *) driver;
    g_autofree char *path = local_file(local->volumes, volume_id, ".qcow2");
    g_autofree char *temporary = local_file(local->volumes, volume_id, ".part");

    g_unlink(temporary);
    if (!local_delete_layers(local, volume_id, error))
        return false;
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

        if (virga_id_is(id, "vol") && !g_str_has_suffix(name, ".layers"))
            g_strv_builder_add(builder, id);
    }
    return g_strv_builder_end(builder);
}

static void
local_free(VirgaVolumeDriver *driver)
{
    Local *local = (Local *) driver;

    claims_clear(&local->fetching);
    g_rw_lock_clear(&local->making);
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
                                       .grow = local_grow,
                                       .delete = local_delete,
                                       .source = local_source,
                                       .list = local_list,
                                       .begin_layer = local_begin_layer,
                                       .is_cut = local_is_cut,
                                       .begin_copy = local_begin_copy,
                                       .end_copy = local_end_copy,
                                       .surplus = local_surplus,
                                       .join = local_join,
                                       .bases = local_bases,
                                       .drop_base = local_drop_base,
                                       .free = local_free };
    local->images = g_build_filename(directory, "images", NULL);
    local->volumes = g_build_filename(directory, "volumes", NULL);
    /* Passable, not readable: the hypervisor's user opens the files that it is given. */
    g_mkdir_with_parents(local->images, 0711);
    g_mkdir_with_parents(local->volumes, 0711);
    local->reserved_gib = reserved_gib;
    local->fetch = fetch;
    local->data = data;
    claims_init(&local->fetching);
    g_rw_lock_init(&local->making);
    return &local->base;
}
