/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes as images in a pool of Ceph.  A name is always a whole image: it is made under a
 * temporary one and renamed, so that a crash leaves garbage, which the next attempt removes, and
 * never half a disk.  Whoever else has an image open is told by its watchers. */
#include "rbd-priv.h"

#include "core/error.h"
#include "core/id.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#define PART_SUFFIX   ".part"
#define GIB_BITS      30
#define IMAGES_FIRST  64 /* room for the names of a pool's images, at first */
#define PROBED_OBJECT "rbd_directory"
#define ANSWER_US     (10 * G_USEC_PER_SEC)
#define ANSWERED_US   G_USEC_PER_SEC /* for so long an answer is good */
#define FEATURES                                                                                   \
    (RBD_FEATURE_LAYERING | RBD_FEATURE_EXCLUSIVE_LOCK | RBD_FEATURE_OBJECT_MAP |                  \
     RBD_FEATURE_FAST_DIFF)

/* ---- the pool ---- */

bool
pool_fail(GError **error, int result, const char *what, const char *name)
{
    VirgaErrorCode code = VIRGA_ERROR_INTERNAL;

    if (result == -ENOSPC || result == -EDQUOT)
        code = VIRGA_ERROR_CAPACITY;
    else if (result == -ETIMEDOUT || result == -EBUSY || result == -EAGAIN || result == -ENOTCONN ||
             result == -ESHUTDOWN)
        code = VIRGA_ERROR_RETRY;
    return virga_fail(error, "volume", code, "could not %s \"%s\" in Ceph: %s", what, name,
                      g_strerror(-result));
}

/* Nothing waits for ever for monitors that have gone.  There is a limit for OSDs as well
 * (rados_osd_op_timeout), with which the library of Debian 12 ends its process now and then, also
 * where all is well: see answers(). */
static const char *const settings[][2] = {
    { "auth_client_required", "cephx" },
    { "client_mount_timeout", "15" },
    { "rados_mon_op_timeout", "30" },
};

static int
configure(Pool *pool, rados_t cluster)
{
    int result = rados_conf_set(cluster, "mon_host", pool->monitors);

    for (size_t i = 0; result == 0 && i < G_N_ELEMENTS(settings); i++)
        result = rados_conf_set(cluster, settings[i][0], settings[i][1]);
    return result == 0 ? rados_conf_set(cluster, "key", pool->key) : result;
}

typedef struct {
    GMutex lock;
    GCond ended;
    bool has_ended;
    rados_completion_t completion;
    guint64 size;
    time_t changed;
} Probe; /* shared by who asks and who answers, whoever is the last */

static void
clear_probe(gpointer data)
{
    Probe *probe = data;

    rados_aio_release(probe->completion);
    g_mutex_clear(&probe->lock);
    g_cond_clear(&probe->ended);
}

static void
on_answer(rados_completion_t completion, void *data)
{
    Probe *probe = data;

    g_mutex_lock(&probe->lock);
    probe->has_ended = true;
    g_cond_signal(&probe->ended);
    g_mutex_unlock(&probe->lock);
    g_atomic_rc_box_release_full(probe, clear_probe);
}

static bool
ask(Pool *pool)
{
    Probe *probe = g_atomic_rc_box_new0(Probe);
    gint64 until = g_get_monotonic_time() + ANSWER_US;
    bool waits = true, ended;
    int result;

    g_mutex_init(&probe->lock);
    g_cond_init(&probe->ended);
    rados_aio_create_completion2(g_atomic_rc_box_acquire(probe), on_answer, &probe->completion);
    result =
        rados_aio_stat(pool->io, PROBED_OBJECT, probe->completion, &probe->size, &probe->changed);
    if (result < 0)
        on_answer(probe->completion, probe);
    g_mutex_lock(&probe->lock);
    while (!probe->has_ended && waits)
        waits = g_cond_wait_until(&probe->ended, &probe->lock, until);
    ended = probe->has_ended;
    g_mutex_unlock(&probe->lock);
    g_atomic_rc_box_release_full(probe, clear_probe);
    return ended;
}

/* What begins while OSDs are away would wait for their return, and with it the thread that other
 * guests need: so they are asked for a little first, and by one thread at a time once they were
 * silent. */
static bool
answers(Pool *pool, GError **error)
{
    gint64 now = g_get_monotonic_time();
    bool answered;

    g_mutex_lock(&pool->lock);
    if (now < pool->answers_until || (pool->silent && pool->asking > 0)) {
        answered = now < pool->answers_until;
        g_mutex_unlock(&pool->lock);
        return answered || pool_fail(error, -ETIMEDOUT, "use the pool", pool->name);
    }
    pool->asking++;
    g_mutex_unlock(&pool->lock);
    answered = ask(pool);
    g_mutex_lock(&pool->lock);
    pool->asking--;
    pool->silent = !answered;
    pool->answers_until = answered ? g_get_monotonic_time() + ANSWERED_US : 0;
    g_mutex_unlock(&pool->lock);
    return answered || pool_fail(error, -ETIMEDOUT, "use the pool", pool->name);
}

bool
pool_connect(Pool *pool, GError **error)
{
    rados_t cluster = NULL;
    int result = 0;

    g_mutex_lock(&pool->lock);
    if (!pool->cluster) {
        result = rados_create(&cluster, pool->user);
        if (result == 0)
            result = configure(pool, cluster);
        if (result == 0)
            result = rados_connect(cluster);
        if (result == 0)
            result = rados_ioctx_create(cluster, pool->name, &pool->io);
        if (result == 0)
            pool->cluster = cluster;
        else if (cluster)
            rados_shutdown(cluster);
    }
    g_mutex_unlock(&pool->lock);
    return result == 0 ? answers(pool, error)
                       : pool_fail(error, result, "open the pool", pool->name);
}

void
image_close(Image *image)
{
    if (image->image)
        rbd_close(image->image);
    image->image = NULL;
}

bool
pool_open(Pool *pool, const char *name, const char *snap, bool writing, Image *ret, bool *ret_there,
          GError **error)
{
    int result;

    ret->image = NULL;
    if (!pool_connect(pool, error))
        return false;
    result = writing ? rbd_open(pool->io, name, &ret->image, snap)
                     : rbd_open_read_only(pool->io, name, &ret->image, snap);
    if (result < 0)
        ret->image = NULL;
    if (ret_there)
        *ret_there = result == 0;
    if (result == 0 || (result == -ENOENT && ret_there))
        return true;
    return pool_fail(error, result, "open", name);
}

static bool
remove_snaps(Image *image, const char *name, GError **error)
{
    g_autofree rbd_snap_info_t *snaps = NULL;
    int count = 0, result = rbd_snap_list(image->image, NULL, &count);

    if (result == -ERANGE) {
        snaps = g_new0(rbd_snap_info_t, count);
        result = rbd_snap_list(image->image, snaps, &count);
    }
    for (int i = 0; i < result; i++) {
        int done = 0, is_protected = 0;

        rbd_snap_is_protected(image->image, snaps[i].name, &is_protected);
        if (is_protected)
            done = rbd_snap_unprotect(image->image, snaps[i].name);
        if (done == 0)
            done = rbd_snap_remove(image->image, snaps[i].name);
        if (done < 0 && done != -ENOENT) {
            rbd_snap_list_end(snaps);
            return pool_fail(error, done, "delete a snap of", name);
        }
    }
    if (snaps && result >= 0)
        rbd_snap_list_end(snaps);
    return result >= 0 || pool_fail(error, result, "look at the snaps of", name);
}

bool
pool_remove(Pool *pool, const char *name, GError **error)
{
    g_auto(Image) image = { 0 };
    bool there;
    int result;

    if (!pool_open(pool, name, NULL, true, &image, &there, error) ||
        (there && !remove_snaps(&image, name, error)))
        return false;
    image_close(&image);
    result = rbd_remove(pool->io, name); /* also what is only half there */
    return result == 0 || result == -ENOENT || pool_fail(error, result, "delete", name);
}

/* A clone is as large as what it stands on. */
static bool
fit(Pool *pool, const char *name, guint64 bytes, GError **error)
{
    g_auto(Image) image = { 0 };
    guint64 size = 0;
    int result;

    if (!pool_open(pool, name, NULL, true, &image, NULL, error))
        return false;
    result = rbd_get_size(image.image, &size);
    if (result == 0 && size != bytes)
        result = rbd_resize(image.image, bytes);
    return result == 0 || pool_fail(error, result, "enlarge", name);
}

bool
pool_make(Pool *pool, const char *name, const char *below, guint64 bytes, GError **error)
{
    rbd_image_options_t options;
    int result;

    rbd_image_options_create(&options);
    rbd_image_options_set_uint64(options, RBD_IMAGE_OPTION_FEATURES, FEATURES);
    result = below ? rbd_clone3(pool->io, below, BASE_SNAP, pool->io, name, options)
                   : rbd_create4(pool->io, name, bytes, options);
    rbd_image_options_destroy(options);
    if (result < 0)
        return pool_fail(error, result, "make", name);
    return !below || fit(pool, name, bytes, error);
}

char **
pool_list(Pool *pool, GError **error)
{
    g_autofree rbd_image_spec_t *images = NULL;
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    size_t capacity = IMAGES_FIRST, count;
    int result;

    if (!pool_connect(pool, error))
        return NULL;
    do { /* others make images meanwhile */
        images = g_renew(rbd_image_spec_t, images, count = capacity);
        result = rbd_list2(pool->io, images, &count);
        capacity = count + IMAGES_FIRST;
    } while (result == -ERANGE);
    if (result < 0) {
        pool_fail(error, result, "list the images of", pool->name);
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        g_strv_builder_add(builder, images[i].name);
    rbd_image_spec_list_cleanup(images, count);
    return g_strv_builder_end(builder);
}

char *
pool_scratch(Pool *pool, const char *id, const char *suffix)
{
    return g_strdup_printf("%s/%s%s", pool->scratch, id, suffix);
}

/* ---- volumes ---- */

static bool
pool_inspect(VirgaVolumeDriver *driver, const char *volume_id, bool *ret_exists, GError **error)
{
    g_auto(Image) image = { 0 };

    return pool_open((Pool *) driver, volume_id, NULL, false, &image, ret_exists, error);
}

static bool
pool_create(VirgaVolumeDriver *driver, const VirgaVolumeWish *wish, GError **error)
{
    Pool *pool = (Pool *) driver;
    const char *below = wish->file_count ? wish->files[wish->file_count - 1]->id : NULL;
    g_autofree char *part = g_strconcat(wish->id, PART_SUFFIX, NULL);
    bool exists;
    int result;

    if (!pool_inspect(driver, wish->id, &exists, error))
        return false;
    if (exists)
        return true;
    if (!pool_remove(pool, part, error) || (below && !pool_base(pool, wish, error)))
        return false;
    if (!pool_make(pool, part, below, (guint64) wish->size_gib << GIB_BITS, error)) {
        pool_remove(pool, part, NULL);
        return false;
    }
    result = rbd_rename(pool->io, part, wish->id);
    return result == 0 || pool_fail(error, result, "keep", wish->id);
}

/* Writers make themselves known by watching, and are forgotten half a minute after their end when
 * they could not say good-bye. */
static bool
check_unwatched(Image *image, const char *volume_id, GError **error)
{
    rbd_image_watcher_t watcher;
    size_t count = 1;
    int result = rbd_watchers_list(image->image, &watcher, &count);
    bool watched = result == -ERANGE || (result == 0 && count > 0);

    if (result == 0)
        rbd_watchers_list_cleanup(&watcher, count);
    if (watched)
        return virga_fail(error, "volume", VIRGA_ERROR_RETRY, "\"%s\" is still open somewhere",
                          volume_id);
    return result == 0 || pool_fail(error, result, "look at the watchers of", volume_id);
}

static bool
pool_grow(VirgaVolumeDriver *driver, const char *volume_id, gint64 size_gib, GError **error)
{
    Pool *pool = (Pool *) driver;
    guint64 bytes = (guint64) size_gib << GIB_BITS, size = 0;
    g_auto(Image) image = { 0 };
    int result;

    if (!pool_open(pool, volume_id, NULL, false, &image, NULL, error) ||
        !check_unwatched(&image, volume_id, error))
        return false;
    result = rbd_get_size(image.image, &size);
    if (result < 0)
        return pool_fail(error, result, "look at", volume_id);
    image_close(&image);
    return size >= bytes || fit(pool, volume_id, bytes, error);
}

static bool
pool_delete(VirgaVolumeDriver *driver, const char *volume_id, GError **error)
{
    Pool *pool = (Pool *) driver;
    g_autofree char *part = g_strconcat(volume_id, PART_SUFFIX, NULL);

    return pool_remove(pool, part, error) && pool_remove(pool, volume_id, error);
}

static VirgaVolumeSource *
pool_source(VirgaVolumeDriver *driver, const char *volume_id, GError **error)
{
    Pool *pool = (Pool *) driver;
    VirgaVolumeSource *source = g_new0(VirgaVolumeSource, 1);

    source->kind = VIRGA_SOURCE_RBD;
    source->name = g_strdup_printf("%s/%s", pool->name, volume_id);
    source->monitors = g_strdup(pool->monitors);
    source->user = g_strdup(pool->user);
    source->key = g_strdup(pool->key);
    return source;
}

static char **
list_volumes(VirgaVolumeDriver *driver, GError **error)
{
    g_auto(GStrv) names = pool_list((Pool *) driver, error);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    if (!names)
        return NULL;
    for (char **name = names; *name; name++)
        if (virga_id_is(*name, "vol"))
            g_strv_builder_add(builder, *name);
    return g_strv_builder_end(builder);
}

static void
pool_free(VirgaVolumeDriver *driver)
{
    Pool *pool = (Pool *) driver;

    if (pool->cluster) {
        rados_ioctx_destroy(pool->io);
        rados_shutdown(pool->cluster);
    }
    claims_clear(&pool->fetching);
    g_mutex_clear(&pool->lock);
    explicit_bzero(pool->key, strlen(pool->key));
    g_free(pool->key);
    g_free(pool->monitors);
    g_free(pool->user);
    g_free(pool->key_file);
    g_free(pool->name);
    g_free(pool->owner);
    g_free(pool->scratch);
    g_free(pool);
}

/* Nothing in it outlives a driver. */
static void
clear_scratch(const char *scratch)
{
    g_autoptr(GDir) files = NULL;
    const char *name;

    if (!scratch)
        return;
    g_mkdir_with_parents(scratch, 0700);
    files = g_dir_open(scratch, 0, NULL);
    while (files && (name = g_dir_read_name(files))) {
        g_autofree char *path = g_build_filename(scratch, name, NULL);

        g_unlink(path);
    }
}

static VirgaVolumeDriver callbacks(void);

VirgaVolumeDriver *
virga_volume_rbd_new(const VirgaRbdSettings *wanted, GError **error)
{
    g_autofree char *key = NULL;
    struct stat status;
    Pool *pool;

    if (stat(wanted->key_file, &status) == 0 && (status.st_mode & 077) != 0) {
        virga_fail(error, "volume", VIRGA_ERROR_INVALID,
                   "the key of Ceph's user \"%s\" in \"%s\" must be its owner's alone: chmod 600",
                   wanted->user, wanted->key_file);
        return NULL;
    }
    if (!g_file_get_contents(wanted->key_file, &key, NULL, NULL)) {
        virga_fail(error, "volume", VIRGA_ERROR_INVALID,
                   "could not read the key of Ceph's user \"%s\" in \"%s\"", wanted->user,
                   wanted->key_file);
        return NULL;
    }
    pool = g_new0(Pool, 1);
    pool->base = callbacks();
    pool->key = g_steal_pointer(&key);
    g_strstrip(pool->key);
    pool->monitors = g_strdup(wanted->monitors);
    pool->user = g_strdup(wanted->user);
    pool->key_file = g_canonicalize_filename(wanted->key_file, NULL);
    pool->name = g_strdup(wanted->pool);
    pool->owner = g_strdup(wanted->host_id);
    pool->scratch = g_strdup(wanted->scratch);
    pool->fetch = wanted->fetch;
    pool->data = wanted->data;
    clear_scratch(pool->scratch);
    g_mutex_init(&pool->lock);
    claims_init(&pool->fetching);
    return &pool->base;
}

static VirgaVolumeDriver
callbacks(void)
{
    return (VirgaVolumeDriver){ .name = "rbd",
                                .makes_moments = true,
                                .inspect = pool_inspect,
                                .create = pool_create,
                                .grow = pool_grow,
                                .delete = pool_delete,
                                .source = pool_source,
                                .list = list_volumes,
                                .begin_layer = pool_begin_layer,
                                .is_cut = pool_is_cut,
                                .begin_copy = pool_begin_copy,
                                .end_copy = pool_end_copy,
                                .surplus = pool_surplus,
                                .join = pool_join,
                                .bases = pool_bases,
                                .drop_base = pool_drop_base,
                                .free = pool_free };
}
