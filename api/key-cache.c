/* SPDX-License-Identifier: Apache-2.0 */
#include "api/key-cache.h"

#include "core/account.h"
#include "core/error.h"

#define KEYS_MAX 4096
#define AGE_S    10

typedef struct {
    VirgaArena *arena; /* of the texts */
    VirgaIdentity identity;
    gint64 until;
} Entry;

struct VirgaKeyCache {
    VirgaDb *db;
    GMutex lock;
    GHashTable *entries; /* key id -> Entry */
    guint64 flushes;     /* tells a look-up that what it read may be old already */
};

static void
entry_free(gpointer data)
{
    Entry *entry = data;

    virga_arena_free(entry->arena);
    g_free(entry);
}

VirgaKeyCache *
virga_key_cache_new(VirgaDb *db)
{
    VirgaKeyCache *cache = g_new0(VirgaKeyCache, 1);

    cache->db = db;
    g_mutex_init(&cache->lock);
    cache->entries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, entry_free);
    return cache;
}

void
virga_key_cache_free(VirgaKeyCache *cache)
{
    if (!cache)
        return;
    g_hash_table_unref(cache->entries);
    g_mutex_clear(&cache->lock);
    g_free(cache);
}

void
virga_key_cache_flush(VirgaKeyCache *cache)
{
    g_mutex_lock(&cache->lock);
    g_hash_table_remove_all(cache->entries);
    cache->flushes++;
    g_mutex_unlock(&cache->lock);
}

static VirgaIdentity
copy_identity(VirgaArena *arena, const VirgaIdentity *from)
{
    return (VirgaIdentity){ .secret = virga_arena_strdup(arena, from->secret),
                            .session_token = virga_arena_strdup(arena, from->session_token),
                            .account_id = virga_arena_strdup(arena, from->account_id),
                            .principal_arn = virga_arena_strdup(arena, from->principal_arn),
                            .user_id = virga_arena_strdup(arena, from->user_id) };
}

static bool
read_key(VirgaKeyCache *cache, const char *id, VirgaArena *arena, VirgaIdentity *ret,
         GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(cache->db, error);
    VirgaAccessKey *key;

    if (!txn || !virga_account_key_find(txn, arena, id, &key, error))
        return false;
    if (!key->active)
        return virga_fail(error, "access key", VIRGA_ERROR_NOT_FOUND,
                          "access key \"%s\" is not active", id);
    *ret = (VirgaIdentity){ .secret = key->secret,
                            .account_id = key->account_id,
                            .principal_arn = key->principal,
                            .user_id = key->user_id };
    return true;
}

static void
keep(VirgaKeyCache *cache, const char *id, const VirgaIdentity *identity, guint64 flushes)
{
    Entry *entry = g_new0(Entry, 1);

    entry->arena = virga_arena_new();
    entry->identity = copy_identity(entry->arena, identity);
    entry->until = g_get_monotonic_time() + AGE_S * G_USEC_PER_SEC;
    g_mutex_lock(&cache->lock);
    if (g_hash_table_size(cache->entries) >= KEYS_MAX)
        g_hash_table_remove_all(cache->entries);
    if (cache->flushes == flushes)
        g_hash_table_replace(cache->entries, g_strdup(id), entry);
    else
        entry_free(entry);
    g_mutex_unlock(&cache->lock);
}

bool
virga_key_cache_find(const char *access_key_id, VirgaArena *arena, VirgaIdentity *ret_identity,
                     gpointer data, GError **error)
{
    VirgaKeyCache *cache = data;
    const Entry *entry;
    guint64 flushes;
    bool found;

    g_mutex_lock(&cache->lock);
    entry = g_hash_table_lookup(cache->entries, access_key_id);
    found = entry && entry->until > g_get_monotonic_time();
    if (found)
        *ret_identity = copy_identity(arena, &entry->identity);
    flushes = cache->flushes;
    g_mutex_unlock(&cache->lock);
    if (found)
        return true;
    if (!read_key(cache, access_key_id, arena, ret_identity, error))
        return false;
    keep(cache, access_key_id, ret_identity, flushes);
    return true;
}
