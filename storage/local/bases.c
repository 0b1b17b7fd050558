/* SPDX-License-Identifier: Apache-2.0 */
/* Base images: files of the store, each fetched once and shared by all volumes that are made of
 * it.  One that has only what differs from another stands on that one here, too. */
#include "local-priv.h"

#include "core/error.h"
#include "core/process.h"
#include "storage/scrub.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 8 /* what stands on more becomes one file: each costs a guest's reads a look */

/* In the store it still stands on what it stood on where it was made. */
static bool
stand_on(Local *local, const char *volume_id, const char *path, const char *below, GError **error)
{
    g_autofree char *former = NULL;

    return qcow2_read_header(path, NULL, &former, error) &&
           (g_strcmp0(former, below) == 0 || local_set_below(local, volume_id, path, below, error));
}

/* What cannot be finished is removed: the disk may be full of it. */
static bool
finish(Local *local, bool made, const char *temporary, const char *path, GError **error)
{
    if (made && chmod(temporary, 0444) < 0)
        made = virga_fail_errno(error, "volume", errno, "could not keep \"%s\"", path);
    made = made && local_put_in_place(local->images, temporary, path, error);
    if (!made)
        g_unlink(temporary);
    return made;
}

static bool
fetch_now(Local *local, const char *volume_id, const VirgaSnapshotFile *file, const char *below,
          const char *path, GError **error)
{
    g_autofree char *temporary = local_file(local->images, file->id, ".part");
    bool fetched = snapshot_file_fetch(file, temporary, local->fetch, local->data, error) &&
                   stand_on(local, volume_id, temporary, below, error);

    return finish(local, fetched, temporary, path, error);
}

/* All that it stands on becomes part of it. */
static bool
flatten(Local *local, const char *volume_id, const char *id, const char *path, GError **error)
{
    g_autofree char *temporary = local_file(local->images, id, ".part");

    return finish(local, local_flatten(local, volume_id, path, temporary, error), temporary, path,
                  error);
}

/* The base image of the first 'count' files that a volume is made of. */
static char *
base_of(Local *local, const VirgaVolumeWish *wish, size_t count, GError **error)
{
    const VirgaSnapshotFile *file = wish->files[count - 1];
    g_autofree char *path = local_file(local->images, file->id, ".qcow2");
    g_autofree char *below = NULL;
    bool here;

    if (virga_scrub_is_damaged(local->images, file->id)) {
        virga_fail(error, "volume", VIRGA_ERROR_RETRY,
                   "the base image of snapshot \"%s\" on this host is damaged", file->id);
        return NULL;
    }
    claims_take(&local->fetching, file->id); /* one thread fetches, the others wait */
    here = access(path, F_OK) == 0;
    if (!here) {
        here = count == 1 || (below = base_of(local, wish, count - 1, error)) != NULL;
        here = here && fetch_now(local, wish->id, file, below, path, error) &&
               (count % DEPTH_MAX != 0 || flatten(local, wish->id, file->id, path, error));
    }
    claims_release(&local->fetching, file->id);
    if (here)
        local_note_use(local, file->id);
    return here ? g_steal_pointer(&path) : NULL;
}

char *
local_base(Local *local, const VirgaVolumeWish *wish, GError **error)
{
    return base_of(local, wish, wish->file_count, error);
}

/* ---- which are there ---- */

/* Adds what the files of a directory stand on. */
static bool
add_below(const char *directory, GHashTable *below, GError **error)
{
    g_autoptr(GDir) files = g_dir_open(directory, 0, error);
    const char *name;

    while (files && (name = g_dir_read_name(files))) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        char *base = NULL;

        if (g_str_has_suffix(name, ".qcow2") && !qcow2_read_header(path, NULL, &base, NULL))
            continue; /* it has just gone */
        if (base)
            g_hash_table_add(below, base);
    }
    return files != NULL;
}

char **
local_bases(VirgaVolumeDriver *driver, bool used, GError **error)
{
    Local *local = (Local *) driver;
    g_autoptr(GHashTable) below = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GStrvBuilder) ids = g_strv_builder_new();
    g_autoptr(GDir) files = NULL;
    const char *name;

    if (!add_below(local->volumes, below, error) || !add_below(local->images, below, error))
        return NULL;
    files = g_dir_open(local->images, 0, error);
    if (!files)
        return NULL;
    while ((name = g_dir_read_name(files))) {
        g_autofree char *path = g_build_filename(local->images, name, NULL);
        g_autofree char *id = g_strndup(name, strcspn(name, "."));

        if (g_str_has_suffix(name, ".qcow2") && g_hash_table_contains(below, path) == used)
            g_strv_builder_add(ids, id);
    }
    return g_strv_builder_end(ids);
}

bool
local_drop_base(VirgaVolumeDriver *driver, const char *snapshot_id, GError **error)
{
    Local *local = (Local *) driver;
    g_autofree char *path = local_file(local->images, snapshot_id, ".qcow2");
    g_autofree char *mark = local_file(local->images, snapshot_id, USED_SUFFIX);
    g_auto(GStrv) used = local_bases(driver, true, error);

    if (!used)
        return false;
    if (g_strv_contains((const char *const *) used, snapshot_id))
        return true;
    if (g_unlink(path) < 0 && errno != ENOENT)
        return virga_fail_errno(error, "volume", errno, "could not delete \"%s\"", path);
    virga_scrub_forget(local->images, snapshot_id);
    g_unlink(mark);
    return true;
}
