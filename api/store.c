/* SPDX-License-Identifier: Apache-2.0 */
#include "api/store.h"

#include "core/error.h"
#include "core/id.h"
#include "core/log.h"
#include "operator-priv.h"
#include "storage/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PART_SUFFIX  ".part"
#define PART_AGE_S   60
#define ORPHAN_AGE_S 3600 /* a younger file may belong to a transaction that is not committed yet */

char *
virga_store_path(const VirgaServices *services, const char *id, const char *suffix)
{
    return g_strconcat(services->store, "/", id, suffix, NULL);
}

void
virga_store_forget(const VirgaServices *services, const char *const *ids)
{
    for (; *ids; ids++) {
        g_autofree char *file = virga_store_path(services, *ids, VIRGA_STORE_FILE);
        g_autofree char *upload = virga_store_path(services, *ids, VIRGA_STORE_UPLOAD);

        unlink(file);
        unlink(upload);
    }
}

bool
virga_store_collect(const VirgaServices *services, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(services->db, error);
    g_autoptr(VirgaArena) arena = virga_arena_new();
    const char *const *files;

    if (!txn || !virga_snapshot_sweep(txn, arena, &files, error) || !virga_txn_commit(txn, error))
        return false;
    virga_store_forget(services, files);
    return true;
}

/* A file that nobody works on: a crash left it.  One that was just made may not be locked yet. */
static bool
is_abandoned(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat status;
    bool abandoned;

    if (fd < 0)
        return false;
    abandoned = fstat(fd, &status) == 0 &&
                status.st_mtime < g_get_real_time() / G_USEC_PER_SEC - PART_AGE_S &&
                flock(fd, LOCK_EX | LOCK_NB) == 0;
    close(fd);
    return abandoned;
}

/* One that no row claims.  A snapshot's row is there before its upload, but not before its
 * import. */
static bool
is_orphan(VirgaTxn *txn, const char *path, const char *name)
{
    g_autofree char *id = g_strndup(name, strcspn(name, "."));
    bool upload = g_str_has_suffix(name, VIRGA_STORE_UPLOAD);
    struct stat status;
    bool known = true;

    return stat(path, &status) == 0 &&
           (upload || status.st_mtime < g_get_real_time() / G_USEC_PER_SEC - ORPHAN_AGE_S) &&
           virga_id_is(id, "snap") && virga_operator_db_has_snapshot(txn, id, &known, NULL) &&
           !known;
}

void
virga_store_sweep(VirgaServices *services)
{
    g_autoptr(GDir) directory = g_dir_open(services->store, 0, NULL);
    g_autoptr(VirgaTxn) txn = virga_db_read(services->db, NULL);
    const char *name;

    while (directory && txn && (name = g_dir_read_name(directory))) {
        g_autofree char *path = g_build_filename(services->store, name, NULL);

        if ((g_str_has_suffix(name, PART_SUFFIX) && is_abandoned(path)) ||
            ((g_str_has_suffix(name, VIRGA_STORE_FILE) ||
              g_str_has_suffix(name, VIRGA_STORE_UPLOAD)) &&
             is_orphan(txn, path, name))) {
            virga_notice("snapshot", NULL, "removes \"%s\", which nothing claims", name);
            unlink(path);
        }
    }
}

bool
virga_store_sync(const VirgaServices *services, GError **error)
{
    int fd = open(services->store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = fd >= 0 && fsync(fd) == 0;

    if (!done)
        virga_fail_errno(error, "disk image", errno, "could not sync \"%s\"", services->store);
    if (fd >= 0)
        close(fd);
    return done;
}

/* ---- imports ---- */

#define GIB (1ll << 30)

/* A file of this name, locked as long as the descriptor is open, so that no sweep takes it. */
static int
lock_part(const char *path, GError **error)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd < 0 || flock(fd, LOCK_EX) < 0)
        virga_fail_errno(error, "disk image", errno, "could not write \"%s\"", path);
    return fd;
}

static gint64
reserve_of(const VirgaServices *services)
{
    return virga_config_int(services->config, "storage", "disk-reserved-gib") * GIB;
}

bool
virga_store_room(const VirgaServices *services, gint64 *ret_bytes, GError **error)
{
    return virga_import_room(services->store, reserve_of(services), ret_bytes, error);
}

bool
virga_store_import(const VirgaServices *services, int fd, VirgaImportOptions options,
                   VirgaStoreImport *ret, GError **error)
{
    *ret = (VirgaStoreImport){ .id = virga_id_new("snap") };
    ret->path = virga_store_path(services, ret->id, VIRGA_STORE_FILE);
    ret->part = g_strconcat(ret->path, PART_SUFFIX, NULL);
    ret->lock = lock_part(ret->part, error);
    options.reserve_bytes = reserve_of(services);
    return ret->lock >= 0 && virga_import_convert(fd, ret->part, &options, &ret->disk, error);
}

bool
virga_store_import_name(VirgaStoreImport *import, GError **error)
{
    return rename(import->part, import->path) == 0 ||
           virga_fail_errno(error, "disk image", errno, "could not name \"%s\"", import->path);
}

void
virga_store_import_clear(VirgaStoreImport *import)
{
    if (import->part && !import->kept) {
        unlink(import->part);
        unlink(import->path);
    }
    if (import->part && import->lock >= 0)
        close(import->lock);
    g_free(import->id);
    g_free(import->path);
    g_free(import->part);
    *import = (VirgaStoreImport){ .lock = -1 };
}
