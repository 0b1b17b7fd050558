/* SPDX-License-Identifier: Apache-2.0 */
#include "api/rights.h"

#define ENTRIES_MAX 1024
#define AGE_S       10

typedef struct {
    VirgaRights *rights;
    gint64 until;
} Entry;

struct VirgaRightsCache {
    VirgaDb *db;
    GMutex lock;
    GHashTable *entries; /* id, or account and ARN -> Entry */
    guint64 flushes;     /* tells a reader that what it read may be old already */
};

static void
rights_done(gpointer rights)
{
    virga_arena_free(((VirgaRights *) rights)->arena);
}

void
virga_rights_unref(VirgaRights *rights)
{
    if (rights)
        g_atomic_rc_box_release_full(rights, rights_done);
}

static void
entry_free(gpointer data)
{
    Entry *entry = data;

    virga_rights_unref(entry->rights);
    g_free(entry);
}

VirgaRightsCache *
virga_rights_cache_new(VirgaDb *db)
{
    VirgaRightsCache *cache = g_new0(VirgaRightsCache, 1);

    cache->db = db;
    g_mutex_init(&cache->lock);
    cache->entries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, entry_free);
    return cache;
}

void
virga_rights_cache_free(VirgaRightsCache *cache)
{
    if (!cache)
        return;
    g_hash_table_unref(cache->entries);
    g_mutex_clear(&cache->lock);
    g_free(cache);
}

void
virga_rights_cache_flush(VirgaRightsCache *cache)
{
    g_mutex_lock(&cache->lock);
    g_hash_table_remove_all(cache->entries);
    cache->flushes++;
    g_mutex_unlock(&cache->lock);
}

static VirgaRights *
find(VirgaRightsCache *cache, const char *key, guint64 *ret_flushes)
{
    VirgaRights *rights = NULL;
    const Entry *entry;

    g_mutex_lock(&cache->lock);
    entry = g_hash_table_lookup(cache->entries, key);
    if (entry && entry->until > g_get_monotonic_time())
        rights = g_atomic_rc_box_acquire(entry->rights);
    *ret_flushes = cache->flushes;
    g_mutex_unlock(&cache->lock);
    return rights;
}

static void
keep(VirgaRightsCache *cache, const char *key, VirgaRights *rights, guint64 flushes)
{
    Entry *entry = g_new0(Entry, 1);

    entry->rights = g_atomic_rc_box_acquire(rights);
    entry->until = g_get_monotonic_time() + AGE_S * G_USEC_PER_SEC;
    g_mutex_lock(&cache->lock);
    if (g_hash_table_size(cache->entries) >= ENTRIES_MAX)
        g_hash_table_remove_all(cache->entries);
    if (cache->flushes == flushes)
        g_hash_table_replace(cache->entries, g_strdup(key), entry);
    else
        entry_free(entry);
    g_mutex_unlock(&cache->lock);
}

/* One of both: the rights of 'entity_id', or the account's policy 'arn'. */
static VirgaRights *
get(VirgaRightsCache *cache, const char *key, const char *entity_id, const char *account_id,
    const char *arn, GError **error)
{
    guint64 flushes;
    VirgaRights *found = find(cache, key, &flushes);
    g_autoptr(VirgaRights) made = NULL;
    g_autoptr(VirgaTxn) txn = NULL;

    if (found)
        return found;
    made = g_atomic_rc_box_new0(VirgaRights);
    made->arena = virga_arena_new();
    txn = virga_db_read(cache->db, error);
    if (!txn)
        return NULL;
    if (!(entity_id
              ? virga_iam_rights_read(txn, made->arena, entity_id, &made->of, error)
              : virga_iam_policy_read(txn, made->arena, account_id, arn, &made->policy, error)))
        return NULL;
    keep(cache, key, made, flushes);
    return g_steal_pointer(&made);
}

VirgaRights *
virga_rights_get(VirgaRightsCache *cache, const char *entity_id, GError **error)
{
    return get(cache, entity_id, entity_id, NULL, NULL, error);
}

VirgaRights *
virga_rights_get_policy(VirgaRightsCache *cache, const char *account_id, const char *arn,
                        GError **error)
{
    g_autofree char *key = g_strconcat(account_id, " ", arn, NULL);

    return get(cache, key, NULL, account_id, arn, error);
}
