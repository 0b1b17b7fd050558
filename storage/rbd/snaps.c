/* SPDX-License-Identifier: Apache-2.0 */
/* The moments of snapshots: snaps of a volume's image, named by the snapshot.
 *
 * Ceph keeps what a snap holds, whoever has the image open.  One is protected as long as its copy
 * is wanted, so that also another host, which knows nothing of it, leaves it alone.  Besides those
 * there stay the one below each, which tells what has changed since, and the topmost, which will
 * tell it to the next one.
 *
 * A snapshot's file is made of what differs from the parent's snap, or from the base image. */
#include "rbd-priv.h"

#include "core/error.h"
#include "core/log.h"
#include "qcow2-writer.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#define READ_CLUSTERS 64

/* ---- moments ---- */

bool
pool_begin_layer(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot, char **ret_path,
                 GError **error)
{
    g_auto(Image) image = { 0 };
    int result;

    *ret_path = NULL;
    if (!pool_open((Pool *) driver, snapshot->volume_id, NULL, true, &image, NULL, error))
        return false;
    result = rbd_snap_create(image.image, snapshot->id);
    if (result == 0 || result == -EEXIST)
        result = rbd_snap_protect(image.image, snapshot->id);
    return result == 0 || result == -EBUSY /* it is already */ ||
           pool_fail(error, result, "make a snap of", snapshot->volume_id);
}

bool
pool_is_cut(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot, bool *ret_cut,
            GError **error)
{
    g_auto(Image) image = { 0 };

    return pool_open((Pool *) driver, snapshot->volume_id, snapshot->id, false, &image, ret_cut,
                     error);
}

/* ---- snaps that nobody needs ---- */

/* Those of which this says true stay. */
static bool
stays(Image *image, const rbd_snap_info_t *snaps, int count, int i)
{
    int here = 0, above = 0;

    if (i == count - 1)
        return true;
    rbd_snap_is_protected(image->image, snaps[i].name, &here);
    rbd_snap_is_protected(image->image, snaps[i + 1].name, &above);
    return here || above;
}

static gint
compare_snaps(gconstpointer a, gconstpointer b)
{
    guint64 first = ((const rbd_snap_info_t *) a)->id, second = ((const rbd_snap_info_t *) b)->id;

    return first < second ? -1 : first > second;
}

/* A snap at a time: what is above one that has gone may stay for another reason. */
static bool
trim(Image *image, const char *volume_id, GError **error)
{
    g_autofree rbd_snap_info_t *snaps = NULL;
    int capacity = 0, count = rbd_snap_list(image->image, NULL, &capacity), result = 0;

    if (count == -ERANGE) {
        snaps = g_new0(rbd_snap_info_t, capacity);
        count = rbd_snap_list(image->image, snaps, &capacity);
    }
    if (count < 0)
        return pool_fail(error, count, "look at the snaps of", volume_id);
    if (count > 0)
        qsort(snaps, (size_t) count, sizeof *snaps, compare_snaps);
    for (int i = 0; i < count && result == 0; i++)
        if (!stays(image, snaps, count, i))
            result = rbd_snap_remove(image->image, snaps[i].name);
    if (snaps)
        rbd_snap_list_end(snaps);
    return result == 0 || result == -ENOENT ||
           pool_fail(error, result, "delete a snap of", volume_id);
}

bool
pool_surplus(VirgaVolumeDriver *driver, const char *volume_id, char **ret_path, char **ret_below,
             GError **error)
{
    *ret_path = *ret_below = NULL;
    return true;
}

bool
pool_join(VirgaVolumeDriver *driver, const char *volume_id, GError **error)
{
    g_auto(Image) image = { 0 };
    bool there;

    return pool_open((Pool *) driver, volume_id, NULL, true, &image, &there, error) &&
           (!there || trim(&image, volume_id, error));
}

/* ---- copies ---- */

/* Clusters that differ; 'zero': and are known to be zero. */
typedef struct {
    gint64 first, end;
    bool zero;
} Run;

/* Since when what differs is wanted: a snap, the making of the clone ('include_parent' false), or
 * ever. */
typedef struct {
    const char *snap;
    bool include_parent;
} Since;

typedef struct {
    const char *volume_id;
    Image image;  /* at the snap */
    Image before; /* as it was; only where the volume stands on a base image */
    guint64 size, object_bytes;
    Since since;
    GArray *runs;      /* Run */
    GByteArray *fresh; /* of each object above the base image: it has come since then */
    Qcow2Writer *writer;
    gint64 next; /* cluster that was not looked at yet */
} Copy;

static void
copy_clear(Copy *copy)
{
    image_close(&copy->image);
    image_close(&copy->before);
    g_clear_pointer(&copy->runs, g_array_unref);
    g_clear_pointer(&copy->fresh, g_byte_array_unref);
    g_clear_pointer(&copy->writer, qcow2_writer_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Copy, copy_clear)

static void
add_run(GArray *runs, gint64 first, gint64 end, bool zero)
{
    Run run = { first, end, zero };

    if (first < end)
        g_array_append_val(runs, run);
}

/* Of a cluster that is zero only in part, the whole is read. */
static int
on_difference(uint64_t offset, size_t length, int exists, void *data)
{
    gint64 from = (gint64) offset, to = from + (gint64) length;
    gint64 first = from / QCOW2_CLUSTER_BYTES;
    gint64 end = (to + QCOW2_CLUSTER_BYTES - 1) / QCOW2_CLUSTER_BYTES;
    gint64 inner = (from + QCOW2_CLUSTER_BYTES - 1) / QCOW2_CLUSTER_BYTES;
    gint64 inner_end = MAX(to / QCOW2_CLUSTER_BYTES, inner);

    if (exists) {
        add_run(data, first, end, false);
    } else {
        add_run(data, first, MIN(inner, end), false);
        add_run(data, inner, inner_end, true);
        add_run(data, inner_end, end, false);
    }
    return 0;
}

static gint
compare_runs(gconstpointer a, gconstpointer b)
{
    const Run *first = a, *second = b;

    return first->first < second->first ? -1 : first->first > second->first;
}

/* ---- objects that have come ----
 *
 * An object of a clone comes with its first write, as a whole, or empty when its part of the base
 * image is discarded.  The difference of bytes knows nothing of the latter, and takes all of the
 * former for changed.  So what has come above the base image is compared with what was there. */

typedef struct {
    Copy *copy;
    guint8 mark;
} Marking;

static int
on_object(uint64_t offset, size_t length, int exists, void *data)
{
    Marking *marking = data;
    Copy *copy = marking->copy;
    guint64 end = (offset + length + copy->object_bytes - 1) / copy->object_bytes;

    for (guint64 i = offset / copy->object_bytes; i < MIN(end, copy->fresh->len); i++)
        copy->fresh->data[i] = marking->mark;
    return 0;
}

static int
mark_objects(Copy *copy, Image *image, const char *since, guint8 mark)
{
    Marking marking = { copy, mark };
    guint64 size;
    int result = rbd_get_size(image->image, &size);

    return result < 0
               ? result
               : rbd_diff_iterate2(image->image, since, 0, size, false, true, on_object, &marking);
}

static bool
find_fresh(Pool *pool, Copy *copy, const char *base, GError **error)
{
    const char *since = copy->since.snap;
    gint64 clusters = (gint64) copy->object_bytes / QCOW2_CLUSTER_BYTES;
    guint64 overlap = 0;
    int result = rbd_get_overlap(copy->image.image, &overlap);

    if (result < 0)
        return pool_fail(error, result, "look at", copy->volume_id);
    g_byte_array_set_size(copy->fresh,
                          (guint) ((overlap + copy->object_bytes - 1) / copy->object_bytes));
    memset(copy->fresh->data, 0, copy->fresh->len);
    if (!pool_open(pool, since ? copy->volume_id : base, since ? since : BASE_SNAP, false,
                   &copy->before, NULL, error))
        return false;
    result = mark_objects(copy, &copy->image, since, 1);
    if (result == 0 && since) /* those that were there then */
        result = mark_objects(copy, &copy->before, NULL, 0);
    for (gint64 i = 0; i < (gint64) copy->fresh->len; i++)
        if (copy->fresh->data[i])
            add_run(copy->runs, i * clusters, (i + 1) * clusters, false);
    return result == 0 || pool_fail(error, result, "compare the objects of", copy->volume_id);
}

/* ---- writing ---- */

static bool
is_zero(const guint8 *bytes)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, QCOW2_CLUSTER_BYTES - 1) == 0;
}

/* 'before': what was there, if that is to be compared.  Zeros in nothing need not be told. */
static bool
copy_cluster(Copy *copy, gint64 cluster, const guint8 *bytes, const guint8 *before, GError **error)
{
    const guint8 *kept = bytes && !is_zero(bytes) ? bytes : NULL;
    bool from_nothing = !copy->since.snap && copy->since.include_parent;

    if (bytes && before && memcmp(bytes, before, QCOW2_CLUSTER_BYTES) == 0)
        return true;
    return (!kept && from_nothing) || qcow2_writer_add(copy->writer, cluster, kept, error);
}

/* Zeros beyond the image's end. */
static bool
read_clusters(Copy *copy, Image *image, gint64 first, gint64 count, guint8 *into, GError **error)
{
    guint64 offset = (guint64) first * QCOW2_CLUSTER_BYTES, size = 0;
    gsize wanted = (gsize) count * QCOW2_CLUSTER_BYTES;
    int result = rbd_get_size(image->image, &size);
    ssize_t got;

    memset(into, 0, wanted);
    if (result < 0)
        return pool_fail(error, result, "look at", copy->volume_id);
    if (offset >= size)
        return true;
    got = rbd_read(image->image, offset, MIN(wanted, size - offset), (char *) into);
    return got >= 0 || pool_fail(error, (int) got, "read", copy->volume_id);
}

/* A piece lies in one object. */
static bool
copy_piece(Copy *copy, gint64 first, gint64 count, guint8 *buffer, GError **error)
{
    guint64 object = (guint64) first * QCOW2_CLUSTER_BYTES / copy->object_bytes;
    guint8 *before = buffer + READ_CLUSTERS * QCOW2_CLUSTER_BYTES;
    bool fresh = object < copy->fresh->len && copy->fresh->data[object];

    if (!read_clusters(copy, &copy->image, first, count, buffer, error) ||
        (fresh && !read_clusters(copy, &copy->before, first, count, before, error)))
        return false;
    for (gint64 i = 0; i < count; i++)
        if (!copy_cluster(copy, first + i, buffer + i * QCOW2_CLUSTER_BYTES,
                          fresh ? before + i * QCOW2_CLUSTER_BYTES : NULL, error))
            return false;
    return true;
}

static bool
copy_run(Copy *copy, const Run *run, guint8 *buffer, GError **error)
{
    gint64 last = (gint64) ((copy->size + QCOW2_CLUSTER_BYTES - 1) / QCOW2_CLUSTER_BYTES);
    gint64 first = MAX(run->first, copy->next), end = MIN(run->end, last);

    copy->next = MAX(copy->next, end);
    for (gint64 at = first; run->zero && at < end; at++)
        if (!copy_cluster(copy, at, NULL, NULL, error))
            return false;
    while (!run->zero && first < end) {
        gint64 count = MIN(end - first, READ_CLUSTERS - first % READ_CLUSTERS);

        if (!copy_piece(copy, first, count, buffer, error))
            return false;
        first += count;
    }
    return true;
}

static bool
write_copy(Copy *copy, const char *path, GError **error)
{
    g_autofree guint8 *buffer = g_malloc(2ul * READ_CLUSTERS * QCOW2_CLUSTER_BYTES);

    copy->writer = qcow2_writer_new(path, (gint64) copy->size, error);
    if (!copy->writer)
        return false;
    g_array_sort(copy->runs, compare_runs);
    for (guint i = 0; i < copy->runs->len; i++)
        if (!copy_run(copy, &g_array_index(copy->runs, Run, i), buffer, error))
            return false;
    return qcow2_writer_finish(copy->writer, error);
}

/* ---- finding what differs ---- */

/* The id of the snapshot whose base image the volume stands on, the caller's, or NULL. */
static char *
base_of(Image *image)
{
    rbd_linked_image_spec_t parent;
    rbd_snap_spec_t snap;
    char *id;

    if (rbd_get_parent(image->image, &parent, &snap) < 0)
        return NULL;
    id = g_strdup(parent.image_name);
    rbd_linked_image_spec_cleanup(&parent);
    rbd_snap_spec_cleanup(&snap);
    return id;
}

/* *ret_known false: what the parent holds is not known any more. */
static bool
find_since(Copy *copy, const VirgaSnapshotWish *snapshot, const char *base, bool *ret_known,
           GError **error)
{
    const char *parent_id = snapshot->parent_id;
    bool there = false;
    int result = parent_id ? rbd_snap_exists(copy->image.image, parent_id, &there) : 0;

    copy->since = (Since){ .include_parent = true };
    *ret_known = true;
    if (there)
        copy->since.snap = parent_id;
    else if (parent_id && g_strcmp0(base, snapshot->parent_file) == 0)
        copy->since.include_parent = false;
    else
        *ret_known = parent_id == NULL;
    return result == 0 || pool_fail(error, result, "look at the snaps of", copy->volume_id);
}

static bool
find_runs(Pool *pool, Copy *copy, const char *base, GError **error)
{
    rbd_image_info_t info;
    int result = rbd_stat(copy->image.image, &info, sizeof info);
    bool compared = base && (copy->since.snap || !copy->since.include_parent);

    if (result == 0) {
        copy->size = info.size;
        copy->object_bytes = info.obj_size;
        result = rbd_diff_iterate2(copy->image.image, copy->since.snap, 0, copy->size,
                                   copy->since.include_parent, false, on_difference, copy->runs);
    }
    if (result < 0)
        return pool_fail(error, result, "compare snaps of", copy->volume_id);
    return !compared || find_fresh(pool, copy, base, error);
}

bool
pool_begin_copy(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot, char **ret_path,
                bool *ret_whole, bool *ret_made, GError **error)
{
    Pool *pool = (Pool *) driver;
    g_autofree char *path = pool_scratch(pool, snapshot->id, ".copy"), *base = NULL;
    g_auto(Copy) copy = { .volume_id = snapshot->volume_id };
    bool known, there;

    if (!pool_open(pool, snapshot->volume_id, snapshot->id, false, &copy.image, &there, error))
        return false;
    if (!there)
        return virga_fail(error, "volume", VIRGA_ERROR_NOT_FOUND, "\"%s\" has no snap of \"%s\"",
                          snapshot->volume_id, snapshot->id);
    copy.runs = g_array_new(FALSE, FALSE, sizeof(Run));
    copy.fresh = g_byte_array_new();
    base = base_of(&copy.image);
    if (!find_since(&copy, snapshot, base, &known, error) || !find_runs(pool, &copy, base, error) ||
        !write_copy(&copy, path, error)) {
        g_unlink(path);
        return false;
    }
    *ret_whole = !known;
    *ret_made = true;
    *ret_path = g_steal_pointer(&path);
    return true;
}

void
pool_end_copy(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot)
{
    g_autofree char *path = pool_scratch((Pool *) driver, snapshot->id, ".copy");
    g_auto(Image) image = { 0 };
    g_autoptr(GError) error = NULL;
    bool there = false;

    g_unlink(path);
    if (pool_open((Pool *) driver, snapshot->volume_id, NULL, true, &image, &there, &error) &&
        there) {
        rbd_snap_unprotect(image.image, snapshot->id);
        trim(&image, snapshot->volume_id, &error);
    }
    if (error)
        virga_notice("volume", snapshot->volume_id, "a snap stays: %s", error->message);
}
