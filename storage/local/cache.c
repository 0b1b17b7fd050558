/* SPDX-License-Identifier: Apache-2.0 */
/* Base images that no volume stands on are a cache: what is launched next may be of one of them.
 * It is bounded; what was used least recently goes first.  When one was seen to be of use last is
 * told by the time of a file beside it, ID.used: its own times are others' to set and to read. */
#include "local-priv.h"

#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_BYTES 512 /* of st_blocks */

typedef struct {
    char *id, *path, *below;
    gint64 used_at, bytes;
    bool needed; /* some volume stands on it */
} Base;

static void
base_free(gpointer data)
{
    Base *base = data;

    g_free(base->id);
    g_free(base->path);
    g_free(base->below);
    g_free(base);
}

void
local_note_use(Local *local, const char *id)
{
    g_autofree char *path = local_file(local->images, id, USED_SUFFIX);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return; /* it may go too early, no more */
    futimens(fd, NULL);
    close(fd);
}

static gint64
time_ns(const struct stat *status)
{
    return (gint64) status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

static gint64
last_use(Local *local, const char *id, const struct stat *made)
{
    g_autofree char *path = local_file(local->images, id, USED_SUFFIX);
    struct stat status;

    return time_ns(stat(path, &status) == 0 ? &status : made);
}

static Base *
read_base(Local *local, const char *name)
{
    g_autofree char *path = g_build_filename(local->images, name, NULL);
    struct stat status;
    char *below;
    Base *base;

    if (!g_str_has_suffix(name, ".qcow2") || stat(path, &status) < 0 ||
        !qcow2_read_header(path, NULL, &below, NULL))
        return NULL;
    base = g_new0(Base, 1);
    base->id = g_strndup(name, strcspn(name, "."));
    base->path = g_steal_pointer(&path);
    base->below = below;
    base->used_at = last_use(local, base->id, &status);
    base->bytes = (gint64) status.st_blocks * BLOCK_BYTES;
    return base;
}

static Base *
find_base(GPtrArray *bases, const char *path)
{
    for (guint i = 0; path && i < bases->len; i++)
        if (g_str_equal(((Base *) bases->pdata[i])->path, path))
            return bases->pdata[i];
    return NULL;
}

static GPtrArray *
read_bases(Local *local, GError **error)
{
    g_autoptr(GPtrArray) bases = g_ptr_array_new_with_free_func(base_free);
    g_autoptr(GDir) files = g_dir_open(local->images, 0, error);
    const char *name;

    while (files && (name = g_dir_read_name(files))) {
        Base *base = read_base(local, name);

        if (base)
            g_ptr_array_add(bases, base);
    }
    return files ? g_steal_pointer(&bases) : NULL;
}

/* All that volumes stand on, directly or not. */
static bool
mark_needed(Local *local, GPtrArray *bases, GError **error)
{
    g_autoptr(GDir) files = g_dir_open(local->volumes, 0, error);
    const char *name;

    while (files && (name = g_dir_read_name(files))) {
        g_autofree char *path = g_build_filename(local->volumes, name, NULL);
        g_autofree char *below = NULL;

        if (!g_str_has_suffix(name, ".qcow2") || !qcow2_read_header(path, NULL, &below, NULL))
            continue;
        for (Base *base = find_base(bases, below); base && !base->needed;
             base = find_base(bases, base->below)) {
            base->needed = true;
            local_note_use(local, base->id);
        }
    }
    return files != NULL;
}

/* The one that is to go next, on which no other stands. */
static Base *
least_recent(GPtrArray *bases)
{
    Base *found = NULL;

    for (guint i = 0; i < bases->len; i++) {
        Base *base = bases->pdata[i];
        bool carries = false;

        for (guint j = 0; j < bases->len && !carries; j++)
            carries = g_strcmp0(((Base *) bases->pdata[j])->below, base->path) == 0;
        if (!base->needed && !carries && (!found || base->used_at < found->used_at))
            found = base;
    }
    return found;
}

static bool
evict(Local *local, gint64 bytes_max, guint *ret_count, GError **error)
{
    g_autoptr(GPtrArray) bases = read_bases(local, error);
    gint64 bytes = 0;
    Base *base;

    if (!bases || !mark_needed(local, bases, error))
        return false;
    for (guint i = 0; i < bases->len; i++) {
        base = bases->pdata[i];
        bytes += base->needed ? 0 : base->bytes;
    }
    while (bytes > bytes_max && (base = least_recent(bases))) {
        if (!local_drop_base(&local->base, base->id, error))
            return false;
        bytes -= base->bytes;
        (*ret_count)++;
        g_ptr_array_remove(bases, base);
    }
    return true;
}

bool
virga_volume_local_evict(VirgaVolumeDriver *driver, gint64 bytes_max, guint *ret_count,
                         GError **error)
{
    Local *local = (Local *) driver;
    bool done;

    *ret_count = 0;
    if (!g_rw_lock_writer_trylock(&local->making))
        return true;
    done = evict(local, bytes_max, ret_count, error);
    g_rw_lock_writer_unlock(&local->making);
    return done;
}
