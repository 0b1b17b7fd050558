/* SPDX-License-Identifier: Apache-2.0 */
/* Base images: files of the store, each brought to the pool once for all hosts.  One that has only
 * what differs from another is a clone of that one, into which its file is merged. */
#include "rbd-priv.h"

#include "core/error.h"
#include "core/id.h"
#include "core/process.h"
#include "qcow2.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#define DEPTH_MAX   8 /* what stands on more becomes whole: each costs a guest's reads a look */
#define QEMU_IMG_MS 3600000
/* As of our own calls: it must not wait for monitors that have gone. */
#define PATIENCE ":client_mount_timeout=15:rados_mon_op_timeout=30"

/* An image as qemu-img names it; the key stays in its file. */
static char *
qemu_name(Pool *pool, const char *name)
{
    g_auto(GStrv) monitors = g_strsplit(pool->monitors, ":", -1);
    g_autofree char *escaped = g_strjoinv("\\:", monitors);

    return g_strdup_printf("rbd:%s/%s:id=%s:keyfile=%s:mon_host=%s" PATIENCE, pool->name, name,
                           pool->user, pool->key_file, escaped);
}

/* Merges a file into an image that has what it stands on. */
static bool
merge(Pool *pool, const char *path, const char *part, GError **error)
{
    g_autofree char *below = qemu_name(pool, part);
    const char *argv[] = { "qemu-img", "commit", "-q", "-d", "-f", "qcow2", path, NULL };

    return qcow2_set_below(path, below, "raw", error) &&
           virga_process_run(argv, NULL, QEMU_IMG_MS, NULL, error);
}

/* From now on volumes may be made of it. */
static bool
seal(Pool *pool, const char *part, bool whole, GError **error)
{
    g_auto(Image) image = { 0 };
    int result = 0;

    if (!pool_open(pool, part, NULL, true, &image, NULL, error))
        return false;
    if (whole)
        result = rbd_flatten(image.image);
    if (result == 0)
        result = rbd_snap_create(image.image, BASE_SNAP);
    if (result == 0)
        result = rbd_snap_protect(image.image, BASE_SNAP);
    return result == 0 || pool_fail(error, result, "finish", part);
}

/* Another host may have been faster. */
static bool
put_in_place(Pool *pool, const char *part, const char *id, GError **error)
{
    int result = rbd_rename(pool->io, part, id);

    if (result == -EEXIST)
        return pool_remove(pool, part, error);
    return result == 0 || pool_fail(error, result, "keep", id);
}

static bool
make_base(Pool *pool, const VirgaSnapshotFile *file, const char *below, bool whole, GError **error)
{
    g_autofree char *path = pool_scratch(pool, file->id, ".part");
    g_autofree char *part = g_strdup_printf("%s.part.%s", file->id, pool->owner);
    gint64 bytes = 0;
    bool made = pool_remove(pool, part, error) &&
                snapshot_file_fetch(file, path, pool->fetch, pool->data, error) &&
                qcow2_read_header(path, &bytes, NULL, error) &&
                pool_make(pool, part, below, (guint64) bytes, error) &&
                merge(pool, path, part, error) && seal(pool, part, whole, error) &&
                put_in_place(pool, part, file->id, error);

    g_unlink(path);
    if (!made)
        pool_remove(pool, part, NULL);
    return made;
}

/* What was about to be dropped when its host ended is no base any more. */
static bool
is_here(Pool *pool, const char *id, bool *ret_here, GError **error)
{
    g_auto(Image) image = { 0 };
    int is_protected = 0;
    bool there;

    *ret_here = false;
    if (!pool_open(pool, id, NULL, false, &image, &there, error))
        return false;
    if (!there)
        return true;
    rbd_snap_is_protected(image.image, BASE_SNAP, &is_protected);
    *ret_here = is_protected != 0;
    image_close(&image);
    return *ret_here || pool_remove(pool, id, error);
}

/* The base image of the first 'count' files. */
static bool
base_of(Pool *pool, const VirgaSnapshotFile *const *files, size_t count, GError **error)
{
    const VirgaSnapshotFile *file = files[count - 1];
    const char *below = count > 1 ? files[count - 2]->id : NULL;
    bool here, done;

    claims_take(&pool->fetching, file->id); /* one thread fetches, the others wait */
    done = is_here(pool, file->id, &here, error);
    if (done && !here)
        done = (!below || base_of(pool, files, count - 1, error)) &&
               make_base(pool, file, below, count % DEPTH_MAX == 0, error);
    claims_release(&pool->fetching, file->id);
    return done;
}

bool
pool_base(Pool *pool, const VirgaVolumeWish *wish, GError **error)
{
    return base_of(pool, wish->files, wish->file_count, error);
}

/* ---- which are there ---- */

/* *ret_there false: it has just gone, or is none. */
static bool
is_used(Pool *pool, const char *id, bool *ret_there, bool *ret_used, GError **error)
{
    g_auto(Image) image = { 0 };
    rbd_linked_image_spec_t child;
    size_t count = 1;
    int result;

    *ret_used = false;
    if (!pool_open(pool, id, BASE_SNAP, false, &image, ret_there, error))
        return false;
    if (!*ret_there)
        return true;
    result = rbd_list_children3(image.image, &child, &count);
    *ret_used = result == -ERANGE || (result == 0 && count > 0);
    if (result == 0)
        rbd_linked_image_spec_list_cleanup(&child, count);
    return result == 0 || result == -ERANGE ||
           pool_fail(error, result, "look at what stands on", id);
}

char **
pool_bases(VirgaVolumeDriver *driver, bool used, GError **error)
{
    Pool *pool = (Pool *) driver;
    g_auto(GStrv) names = pool_list(pool, error);
    g_autoptr(GStrvBuilder) ids = g_strv_builder_new();

    if (!names)
        return NULL;
    for (char **name = names; *name; name++) {
        bool there, is;

        if (!virga_id_is(*name, "snap"))
            continue;
        if (!is_used(pool, *name, &there, &is, error))
            return NULL;
        if (there && is == used)
            g_strv_builder_add(ids, *name);
    }
    return g_strv_builder_end(ids);
}

bool
pool_drop_base(VirgaVolumeDriver *driver, const char *snapshot_id, GError **error)
{
    Pool *pool = (Pool *) driver;
    bool there, used;

    return is_used(pool, snapshot_id, &there, &used, error) &&
           (used || pool_remove(pool, snapshot_id, error));
}
