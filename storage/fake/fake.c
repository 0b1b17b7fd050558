/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/driver.h"

#include "core/error.h"

typedef struct {
    gint64 size_gib;
    char *base;        /* id of the snapshot of which it is made, or NULL */
    GPtrArray *layers; /* ids of the snapshots at whose moments they begin, the lowest first */
} Volume;

typedef struct {
    VirgaVolumeDriver base;
    GMutex lock;
    GHashTable *volumes; /* id -> Volume */
    GHashTable *bases;   /* ids of snapshots */
    unsigned calls, fail_at;
    bool failed;
} Fake;

static void
volume_free(gpointer data)
{
    Volume *volume = data;

    g_ptr_array_unref(volume->layers);
    g_free(volume->base);
    g_free(volume);
}

/* Counts a call; false if it is the one that shall fail. */
static bool
enter(Fake *fake, GError **error)
{
    bool fails;

    g_mutex_lock(&fake->lock);
    fails = fake->fail_at && ++fake->calls == fake->fail_at;
    fake->failed = fake->failed || fails;
    if (fails)
        g_mutex_unlock(&fake->lock);
    return !fails || virga_fail(error, "volume", VIRGA_ERROR_INTERNAL, "told to fail");
}

static bool
fake_inspect(VirgaVolumeDriver *driver, const char *volume_id, bool *ret_exists, GError **error)
{
    Fake *fake = (Fake *) driver;

    if (!enter(fake, error))
        return false;
    *ret_exists = g_hash_table_contains(fake->volumes, volume_id);
    g_mutex_unlock(&fake->lock);
    return true;
}

static bool
fake_create(VirgaVolumeDriver *driver, const VirgaVolumeWish *wish, GError **error)
{
    Fake *fake = (Fake *) driver;

    if (!enter(fake, error))
        return false;
    if (!g_hash_table_contains(fake->volumes, wish->id)) {
        Volume *volume = g_new0(Volume, 1);

        volume->size_gib = wish->size_gib;
        volume->layers = g_ptr_array_new_with_free_func(g_free);
        if (wish->file_count) {
            volume->base = g_strdup(wish->files[wish->file_count - 1]->id);
            g_hash_table_add(fake->bases, g_strdup(volume->base));
        }
        g_hash_table_insert(fake->volumes, g_strdup(wish->id), volume);
    }
    g_mutex_unlock(&fake->lock);
    return true;
}

static bool
fake_delete(VirgaVolumeDriver *driver, const char *volume_id, GError **error)
{
    Fake *fake = (Fake *) driver;

    if (!enter(fake, error))
        return false;
    g_hash_table_remove(fake->volumes, volume_id);
    g_mutex_unlock(&fake->lock);
    return true;
}

/* The volume of a call, or unlocked and NULL. */
static Volume *
enter_volume(Fake *fake, const char *volume_id, GError **error)
{
    Volume *volume = enter(fake, error) ? g_hash_table_lookup(fake->volumes, volume_id) : NULL;

    if (volume || (error && *error))
        return volume;
    g_mutex_unlock(&fake->lock);
    virga_fail(error, "volume", VIRGA_ERROR_INTERNAL, "\"%s\" is not there", volume_id);
    return NULL;
}

static bool
fake_grow(VirgaVolumeDriver *driver, const char *volume_id, gint64 size_gib, GError **error)
{
    Volume *volume = enter_volume((Fake *) driver, volume_id, error);

    if (!volume)
        return false;
    volume->size_gib = MAX(volume->size_gib, size_gib);
    g_mutex_unlock(&((Fake *) driver)->lock);
    return true;
}

static VirgaVolumeSource *
fake_source(VirgaVolumeDriver *driver, const char *volume_id, GError **error)
{
    VirgaVolumeSource *source = g_new0(VirgaVolumeSource, 1);

    source->kind = VIRGA_SOURCE_FILE;
    source->name = g_strdup_printf("/nowhere/%s", volume_id);
    return source;
}

static char **
fake_list(VirgaVolumeDriver *driver, GError **error)
{
    Fake *fake = (Fake *) driver;
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    GHashTableIter iter;
    gpointer id;

    if (!enter(fake, error))
        return NULL;
    g_hash_table_iter_init(&iter, fake->volumes);
    while (g_hash_table_iter_next(&iter, &id, NULL))
        g_strv_builder_add(builder, id);
    g_mutex_unlock(&fake->lock);
    return g_strv_builder_end(builder);
}

static bool
has_layer(const Volume *volume, const char *snapshot_id)
{
    return volume &&
           g_ptr_array_find_with_equal_func(volume->layers, snapshot_id, g_str_equal, NULL);
}

static bool
fake_begin_layer(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot, char **ret_path,
                 GError **error)
{
    Volume *volume = enter_volume((Fake *) driver, snapshot->volume_id, error);

    if (!volume)
        return false;
    if (!has_layer(volume, snapshot->id))
        g_ptr_array_add(volume->layers, g_strdup(snapshot->id));
    g_mutex_unlock(&((Fake *) driver)->lock);
    *ret_path = driver->makes_moments
                    ? NULL
                    : g_strdup_printf("/nowhere/%s.%s", snapshot->volume_id, snapshot->id);
    return true;
}

static bool
fake_is_cut(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot, bool *ret_cut,
            GError **error)
{
    Fake *fake = (Fake *) driver;

    if (!enter(fake, error))
        return false;
    *ret_cut = has_layer(g_hash_table_lookup(fake->volumes, snapshot->volume_id), snapshot->id);
    g_mutex_unlock(&fake->lock);
    return true;
}

static bool
fake_begin_copy(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot, char **ret_path,
                bool *ret_whole, bool *ret_made, GError **error)
{
    Fake *fake = (Fake *) driver;

    if (!enter(fake, error))
        return false;
    g_mutex_unlock(&fake->lock);
    *ret_path = g_strdup("/dev/null");
    *ret_whole = *ret_made = false;
    return true;
}

static void
fake_end_copy(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot)
{
}

static bool
fake_surplus(VirgaVolumeDriver *driver, const char *volume_id, char **ret_path, char **ret_below,
             GError **error)
{
    *ret_path = *ret_below = NULL;
    return true;
}

static bool
fake_join(VirgaVolumeDriver *driver, const char *volume_id, GError **error)
{
    Fake *fake = (Fake *) driver;
    Volume *volume;

    if (!enter(fake, error))
        return false;
    volume = g_hash_table_lookup(fake->volumes, volume_id);
    if (volume && volume->layers->len > 1)
        g_ptr_array_remove_index(volume->layers, 0);
    g_mutex_unlock(&fake->lock);
    return true;
}

static bool
is_used(Fake *fake, const char *snapshot_id)
{
    GHashTableIter iter;
    gpointer volume;

    g_hash_table_iter_init(&iter, fake->volumes);
    while (g_hash_table_iter_next(&iter, NULL, &volume))
        if (g_strcmp0(((Volume *) volume)->base, snapshot_id) == 0)
            return true;
    return false;
}

static char **
fake_bases(VirgaVolumeDriver *driver, bool used, GError **error)
{
    Fake *fake = (Fake *) driver;
    g_autoptr(GStrvBuilder) ids = g_strv_builder_new();
    GHashTableIter iter;
    gpointer id;

    if (!enter(fake, error))
        return NULL;
    g_hash_table_iter_init(&iter, fake->bases);
    while (g_hash_table_iter_next(&iter, &id, NULL))
        if (is_used(fake, id) == used)
            g_strv_builder_add(ids, id);
    g_mutex_unlock(&fake->lock);
    return g_strv_builder_end(ids);
}

static bool
fake_drop_base(VirgaVolumeDriver *driver, const char *snapshot_id, GError **error)
{
    Fake *fake = (Fake *) driver;

    if (!enter(fake, error))
        return false;
    if (!is_used(fake, snapshot_id))
        g_hash_table_remove(fake->bases, snapshot_id);
    g_mutex_unlock(&fake->lock);
    return true;
}

static void
fake_free(VirgaVolumeDriver *driver)
{
    Fake *fake = (Fake *) driver;

    g_hash_table_destroy(fake->volumes);
    g_hash_table_destroy(fake->bases);
    g_mutex_clear(&fake->lock);
    g_free(fake);
}

VirgaVolumeDriver *
virga_volume_fake_new(void)
{
    Fake *fake = g_new0(Fake, 1);

    fake->base = (VirgaVolumeDriver){ .name = "fake",
                                      .inspect = fake_inspect,
                                      .create = fake_create,
                                      .grow = fake_grow,
                                      .delete = fake_delete,
                                      .source = fake_source,
                                      .list = fake_list,
                                      .begin_layer = fake_begin_layer,
                                      .is_cut = fake_is_cut,
                                      .begin_copy = fake_begin_copy,
                                      .end_copy = fake_end_copy,
                                      .surplus = fake_surplus,
                                      .join = fake_join,
                                      .bases = fake_bases,
                                      .drop_base = fake_drop_base,
                                      .free = fake_free };
    g_mutex_init(&fake->lock);
    fake->volumes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, volume_free);
    fake->bases = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return &fake->base;
}

void
virga_volume_fake_fail_at(VirgaVolumeDriver *driver, unsigned call)
{
    Fake *fake = (Fake *) driver;

    fake->calls = 0;
    fake->fail_at = call;
    fake->failed = false;
}

bool
virga_volume_fake_failed(VirgaVolumeDriver *driver)
{
    return ((Fake *) driver)->failed;
}

void
virga_volume_fake_lose(VirgaVolumeDriver *driver, const char *volume_id)
{
    g_hash_table_remove(((Fake *) driver)->volumes, volume_id);
}

gint64
virga_volume_fake_size_gib(VirgaVolumeDriver *driver, const char *volume_id)
{
    const Volume *volume = g_hash_table_lookup(((Fake *) driver)->volumes, volume_id);

    return volume ? volume->size_gib : 0;
}

void
virga_volume_fake_make_moments(VirgaVolumeDriver *driver)
{
    driver->makes_moments = true;
}
