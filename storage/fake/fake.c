/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/driver.h"

#include "core/error.h"

typedef struct {
    VirgaVolumeDriver base;
    GMutex lock;
    GHashTable *volumes; /* ids */
    GHashTable *cuts;    /* ids of snapshots */
    unsigned calls, fail_at;
    bool failed;
} Fake;

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
    g_hash_table_add(fake->volumes, g_strdup(wish->id));
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

static bool
fake_grow(VirgaVolumeDriver *driver, const char *volume_id, gint64 size_gib, GError **error)
{
    return true;
}

static char *
fake_path(VirgaVolumeDriver *driver, const char *volume_id)
{
    return g_strdup_printf("/nowhere/%s", volume_id);
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
fake_begin_layer(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot, char **ret_path,
                 GError **error)
{
    Fake *fake = (Fake *) driver;

    if (!enter(fake, error))
        return false;
    g_hash_table_add(fake->cuts, g_strdup(snapshot->id));
    g_mutex_unlock(&fake->lock);
    *ret_path = g_strdup_printf("/nowhere/%s.%s", snapshot->volume_id, snapshot->id);
    return true;
}

static bool
fake_is_cut(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot, bool *ret_cut,
            GError **error)
{
    Fake *fake = (Fake *) driver;

    if (!enter(fake, error))
        return false;
    *ret_cut = g_hash_table_contains(fake->cuts, snapshot->id);
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
    Fake *fake = (Fake *) driver;

    g_mutex_lock(&fake->lock);
    g_hash_table_remove(fake->cuts, snapshot->id);
    g_mutex_unlock(&fake->lock);
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
    return true;
}

static char **
fake_bases(VirgaVolumeDriver *driver, bool used, GError **error)
{
    return g_new0(char *, 1);
}

static bool
fake_drop_base(VirgaVolumeDriver *driver, const char *snapshot_id, GError **error)
{
    return true;
}

static void
fake_free(VirgaVolumeDriver *driver)
{
    Fake *fake = (Fake *) driver;

    g_hash_table_destroy(fake->volumes);
    g_hash_table_destroy(fake->cuts);
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
                                      .path = fake_path,
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
    fake->volumes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    fake->cuts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
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
