/* SPDX-License-Identifier: Apache-2.0 */
/* The layers of a volume.
 *
 * A layer is an empty overlay until something is written, so that it may be made before its moment:
 * wherever a crash falls, the topmost layer with what it stands on is the whole volume.  Whether
 * the moment has passed is asked of the world: nobody writes to the layer below.
 *
 * A snapshot's file in the store is the layer below its moment as it is, if that layer began at the
 * parent's moment.  Otherwise, and if all is wanted, a file is made of the layers between. */
#include "local-priv.h"

#include "core/error.h"
#include "core/id.h"
#include "core/process.h"
#include "storage/volume-key.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LAYERS_SUFFIX ".layers"
#define JOINED_SUFFIX                                                                              \
    ".joined" /* beside a layer that is, or was, being joined with the one below */

typedef struct {
    guint64 number; /* 0: the lowest */
    char *path;
    char *snapshot_id; /* at whose moment it begins; NULL: the lowest */
} Layer;

static void
layer_free(gpointer data)
{
    Layer *layer = data;

    g_free(layer->path);
    g_free(layer->snapshot_id);
    g_free(layer);
}

static gint
compare_layers(gconstpointer a, gconstpointer b)
{
    guint64 first = (*(Layer *const *) a)->number, second = (*(Layer *const *) b)->number;

    return first < second ? -1 : first > second;
}

/* "3.snap-0123456789abcdef0.qcow2", or NULL */
static Layer *
parse_name(const char *directory, const char *name)
{
    g_auto(GStrv) words = g_strsplit(name, ".", -1);
    Layer *layer;
    guint64 number;

    if (g_strv_length(words) != 3 || !g_str_equal(words[2], "qcow2") ||
        !virga_id_is(words[1], "snap") ||
        !g_ascii_string_to_unsigned(words[0], 10, 1, G_MAXUINT64 - 1, &number, NULL))
        return NULL;
    layer = g_new0(Layer, 1);
    layer->number = number;
    layer->snapshot_id = g_strdup(words[1]);
    layer->path = g_build_filename(directory, name, NULL);
    return layer;
}

/* All of a volume, the lowest first. */
static GPtrArray *
read_layers(Local *local, const char *volume_id)
{
    g_autofree char *directory = local_file(local->volumes, volume_id, LAYERS_SUFFIX);
    g_autoptr(GDir) files = g_dir_open(directory, 0, NULL);
    GPtrArray *layers = g_ptr_array_new_with_free_func(layer_free);
    Layer *lowest = g_new0(Layer, 1);
    const char *name;

    lowest->path = local_file(local->volumes, volume_id, ".qcow2");
    g_ptr_array_add(layers, lowest);
    while (files && (name = g_dir_read_name(files))) {
        Layer *layer = parse_name(directory, name);

        if (layer)
            g_ptr_array_add(layers, layer);
    }
    g_ptr_array_sort(layers, compare_layers);
    return layers;
}

static Layer *
layer_at(GPtrArray *layers, guint i)
{
    return layers->pdata[i];
}

static Layer *
topmost(GPtrArray *layers)
{
    return layer_at(layers, layers->len - 1);
}

static Layer *
layer_of(GPtrArray *layers, const char *snapshot_id)
{
    for (guint i = 1; i < layers->len; i++)
        if (g_str_equal(layer_at(layers, i)->snapshot_id, snapshot_id))
            return layer_at(layers, i);
    return NULL;
}

char *
local_path(Local *local, const char *volume_id)
{
    g_autoptr(GPtrArray) layers = read_layers(local, volume_id);

    return g_strdup(topmost(layers)->path);
}

bool
virga_volume_local_lend(VirgaVolumeDriver *driver, const char *volume_id, uid_t user, gid_t group,
                        GError **error)
{
    g_autoptr(GPtrArray) layers = read_layers((Local *) driver, volume_id);

    for (guint i = 0; i < layers->len; i++)
        if (chown(layer_at(layers, i)->path, user, group) < 0)
            return virga_fail_errno(error, "volume", errno, "could not give \"%s\" away",
                                    layer_at(layers, i)->path);
    return true;
}

bool
local_delete_layers(Local *local, const char *volume_id, GError **error)
{
    g_autofree char *directory = local_file(local->volumes, volume_id, LAYERS_SUFFIX);
    g_autoptr(GDir) files = g_dir_open(directory, 0, NULL);
    const char *name;

    while (files && (name = g_dir_read_name(files))) {
        g_autofree char *path = g_build_filename(directory, name, NULL);

        if (g_unlink(path) < 0 && errno != ENOENT)
            return virga_fail_errno(error, "volume", errno, "could not delete \"%s\"", path);
    }
    if (g_rmdir(directory) < 0 && errno != ENOENT)
        return virga_fail_errno(error, "volume", errno, "could not delete \"%s\"", directory);
    return true;
}

/* ---- beginning ---- */

char *
local_layers_directory(Local *local, const char *volume_id)
{
    return local_file(local->volumes, volume_id, LAYERS_SUFFIX);
}

bool
local_make_layers_directory(Local *local, const char *directory, GError **error)
{
    if (g_mkdir(directory, 0711) == 0)
        return local_sync_file(local->volumes, error);
    return errno == EEXIST ||
           virga_fail_errno(error, "volume", errno, "could not make \"%s\"", directory);
}

static bool
make_plain_overlay(const char *below, gint64 bytes, const char *path, GError **error)
{
    g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, bytes);
    const char *argv[] = { "qemu-img", "create", "-q",  "-u", "-f", "qcow2", "-F",
                           "qcow2",    "-b",     below, path, size, NULL };

    return virga_process_run(argv, NULL, QEMU_IMG_MS, NULL, error);
}

static bool
make_encrypted_overlay(Local *local, const char *volume_id, const char *below, gint64 bytes,
                       const char *path, GError **error)
{
    char *passphrase = local_passphrase(local, volume_id, error);
    bool made =
        passphrase && local_make_encrypted(local, volume_id, bytes, below, passphrase, path, error);

    virga_passphrase_free(passphrase);
    return made;
}

/* An overlay of the same size.  What it stands on is not opened: a guest may have it. */
static bool
make_overlay(Local *local, const char *volume_id, const char *below, const char *path,
             GError **error)
{
    g_autofree char *directory = local_layers_directory(local, volume_id);
    g_autofree char *temporary = g_strconcat(path, ".part", NULL);
    bool encrypted, made;
    gint64 bytes;

    if (!qcow2_read_header(below, &bytes, NULL, error) ||
        !luks_is_encrypted(below, &encrypted, error))
        return false;
    made = encrypted ? make_encrypted_overlay(local, volume_id, below, bytes, temporary, error)
                     : make_plain_overlay(below, bytes, temporary, error);
    if (made && chmod(temporary, 0600) < 0)
        made = virga_fail_errno(error, "volume", errno, "could not make \"%s\"", path);
    made = made && local_put_in_place(directory, temporary, path, error);
    if (!made)
        g_unlink(temporary);
    return made;
}

bool
local_begin_layer(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot, char **ret_path,
                  GError **error)
{
    Local *local = (Local *) driver;
    g_autofree char *directory = local_file(local->volumes, snapshot->volume_id, LAYERS_SUFFIX);
    g_autoptr(GPtrArray) layers = read_layers(local, snapshot->volume_id);
    const Layer *layer = layer_of(layers, snapshot->id);
    g_autofree char *path = NULL;

    if (layer) {
        *ret_path = g_strdup(layer->path);
        return true;
    }
    path = g_strdup_printf("%s/%" G_GUINT64_FORMAT ".%s.qcow2", directory,
                           topmost(layers)->number + 1, snapshot->id);
    if (!local_make_layers_directory(local, directory, error) ||
        !make_overlay(local, snapshot->volume_id, topmost(layers)->path, path, error))
        return false;
    *ret_path = g_steal_pointer(&path);
    return true;
}

bool
local_is_cut(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot, bool *ret_cut,
             GError **error)
{
    g_autoptr(GPtrArray) layers = read_layers((Local *) driver, snapshot->volume_id);
    const Layer *layer = layer_of(layers, snapshot->id);
    g_autofree char *below = NULL;
    bool written;

    *ret_cut = false;
    if (!layer)
        return true;
    if (!qcow2_read_header(layer->path, NULL, &below, error) ||
        !qcow2_is_written(below, &written, error))
        return false;
    *ret_cut = !written;
    return true;
}

/* ---- copies ---- */

static char *
copy_path(Local *local, const VirgaSnapshotWish *snapshot)
{
    return g_strdup_printf("%s/%s" LAYERS_SUFFIX "/%s.copy", local->volumes, snapshot->volume_id,
                           snapshot->id);
}

/* False once the layer below may have got some of what is in this one: it is not any more what it
 * was at the moment between them. */
static bool
keeps_moment(const Layer *layer)
{
    g_autofree char *mark = g_strconcat(layer->path, JOINED_SUFFIX, NULL);

    return access(mark, F_OK) != 0;
}

/* What the parent holds, as a file here: *ret_known is false if that is not known any more.  From
 * no parent, and from an empty one, all differs (*ret_file NULL). */
static bool
find_parent(Local *local, GPtrArray *layers, const VirgaSnapshotWish *snapshot, char **ret_file,
            bool *ret_known, GError **error)
{
    const Layer *layer = snapshot->parent_id ? layer_of(layers, snapshot->parent_id) : NULL;
    g_autofree char *image = NULL, *base = NULL;

    *ret_file = NULL;
    *ret_known = true;
    if (!snapshot->parent_id)
        return true;
    *ret_known = !layer || keeps_moment(layer);
    if (!*ret_known)
        return true;
    if (layer)
        return qcow2_read_header(layer->path, NULL, ret_file, error);
    if (!qcow2_read_header(layer_at(layers, 0)->path, NULL, &base, error))
        return false;
    if (snapshot->parent_file)
        image = local_file(local->images, snapshot->parent_file, ".qcow2");
    *ret_known = g_strcmp0(image, base) == 0;
    if (*ret_known)
        *ret_file = g_steal_pointer(&base);
    return true;
}

/* A file of what 'frozen' has and 'parent' (NULL: nothing) has not. */
static bool
make_copy(Local *local, const char *volume_id, const char *frozen, const char *parent,
          const char *copy, GError **error)
{
    const char *rebase[] = { "qemu-img", "rebase", "-q",   "-f", "qcow2", "-F",
                             "qcow2",    "-b",     parent, copy, NULL };

    g_unlink(copy);
    return parent ? make_overlay(local, volume_id, frozen, copy, error) &&
                        virga_process_run(rebase, NULL, QEMU_IMG_COPY_MS, NULL, error)
                  : local_flatten(local, volume_id, frozen, copy, error);
}

bool
local_begin_copy(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot, char **ret_path,
                 bool *ret_whole, bool *ret_made, GError **error)
{
    Local *local = (Local *) driver;
    g_autoptr(GPtrArray) layers = read_layers(local, snapshot->volume_id);
    const Layer *layer = layer_of(layers, snapshot->id);
    g_autofree char *frozen = NULL, *below = NULL, *parent = NULL, *copy = NULL;
    bool known, encrypted;

    if (!layer)
        return virga_fail(error, "volume", VIRGA_ERROR_NOT_FOUND, "\"%s\" has no layer of \"%s\"",
                          snapshot->volume_id, snapshot->id);
    if (!qcow2_read_header(layer->path, NULL, &frozen, error) ||
        !qcow2_read_header(frozen, NULL, &below, error) ||
        !luks_is_encrypted(frozen, &encrypted, error) ||
        !find_parent(local, layers, snapshot, &parent, &known, error))
        return false;
    *ret_made = !known || g_strcmp0(below, parent) != 0;
    /* qemu-img compares an encrypted disk with no other than the one that it stands on. */
    if (*ret_made && encrypted && parent) {
        known = false;
        g_clear_pointer(&parent, g_free);
    }
    *ret_whole = !known;
    if (!*ret_made) {
        *ret_path = g_steal_pointer(&frozen);
        return true;
    }
    copy = copy_path(local, snapshot);
    if (!make_copy(local, snapshot->volume_id, frozen, parent, copy, error)) {
        g_unlink(copy);
        return false;
    }
    *ret_path = g_steal_pointer(&copy);
    return true;
}

void
local_end_copy(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot)
{
    g_autofree char *copy = copy_path((Local *) driver, snapshot);
    g_autofree char *part = g_strconcat(copy, ".part", NULL);

    g_unlink(copy);
    g_unlink(part);
}

/* ---- joining ---- */

/* Takes away files that nothing stands on any more: a hypervisor has joined them.  First, what says
 * so must be on the disk. */
static bool
forget_joined(GPtrArray *layers, GError **error)
{
    g_autofree char *wanted = g_strdup(topmost(layers)->path);

    for (guint i = layers->len; i-- > 0;) {
        const Layer *layer = layer_at(layers, i);
        g_autofree char *below = NULL, *mark = NULL;

        if (g_strcmp0(layer->path, wanted) == 0) {
            if (!qcow2_read_header(layer->path, NULL, &below, error))
                return false;
            g_free(wanted);
            wanted = g_steal_pointer(&below);
            continue;
        }
        for (guint j = 0; j < layers->len; j++)
            if (!local_sync_file(layer_at(layers, j)->path, error))
                return false;
        if (g_unlink(layer->path) < 0)
            return virga_fail_errno(error, "volume", errno, "could not delete \"%s\"", layer->path);
        mark = g_strconcat(layer->path, JOINED_SUFFIX, NULL);
        g_unlink(mark);
        g_ptr_array_remove_index(layers, i);
    }
    return true;
}

/* The moment at which a layer begins is forgotten, for good: it is going to be joined. */
static bool
forget_moment(const Layer *layer, GError **error)
{
    g_autofree char *mark = g_strconcat(layer->path, JOINED_SUFFIX, NULL);
    g_autofree char *directory = g_path_get_dirname(layer->path);
    int fd;

    if (!keeps_moment(layer))
        return true;
    fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return virga_fail_errno(error, "volume", errno, "could not write \"%s\"", mark);
    close(fd);
    return local_sync_file(directory, error);
}

bool
local_surplus(VirgaVolumeDriver *driver, const char *volume_id, char **ret_path, char **ret_below,
              GError **error)
{
    g_autoptr(GPtrArray) layers = read_layers((Local *) driver, volume_id);

    *ret_path = *ret_below = NULL;
    if (layers->len <= 2)
        return true;
    if (!forget_joined(layers, error))
        return false;
    if (layers->len > 2) {
        if (!forget_moment(layer_at(layers, 1), error))
            return false;
        *ret_path = g_strdup(layer_at(layers, 1)->path);
        *ret_below = g_strdup(layer_at(layers, 0)->path);
    }
    return true;
}

static bool
join_files(Local *local, const char *volume_id, const char *below, const char *path, GError **error)
{
    const char *argv[] = {
        "qemu-img", "commit", "-q", "-d", "-f", "qcow2", "-b", below, path, NULL
    };
    bool encrypted;

    if (!luks_is_encrypted(path, &encrypted, error))
        return false;
    return encrypted ? local_join_encrypted(local, volume_id, path, error)
                     : virga_process_run(argv, NULL, QEMU_IMG_COPY_MS, NULL, error);
}

bool
local_join(VirgaVolumeDriver *driver, const char *volume_id, GError **error)
{
    Local *local = (Local *) driver;
    g_autoptr(GPtrArray) layers = read_layers(local, volume_id);
    const char *below = layer_at(layers, 0)->path, *path, *above;

    if (!forget_joined(layers, error))
        return false;
    if (layers->len <= 2)
        return true;
    if (!forget_moment(layer_at(layers, 1), error))
        return false;
    path = layer_at(layers, 1)->path;
    above = layer_at(layers, 2)->path;
    /* Done twice after a crash, it writes the same again. */
    return join_files(local, volume_id, below, path, error) &&
           local_set_below(local, volume_id, above, below, error) && forget_joined(layers, error);
}
