/* SPDX-License-Identifier: Apache-2.0 */
#include "api/key-cache.h"

#include "core/account.h"
#include "core/error.h"
#include "core/iam.h"

#define KEYS_MAX 4096
#define AGE_S    10

typedef struct {
    VirgaArena *arena; /* of the texts */
    VirgaIdentity identity;
    gint64 until;
} Entry;

/* When and where a key was used last. */
typedef struct {
    gint64 at;
    char *region, *service;
} Use;

struct VirgaKeyCache {
    VirgaDb *db;
    const VirgaSealer *sealer;
    GMutex lock;
    GHashTable *entries; /* key id -> Entry */
    guint64 flushes;     /* tells a look-up that what it read may be old already */
    GHashTable *uses;    /* key id -> Use, not written yet */
};

static void
entry_free(gpointer data)
{
    Entry *entry = data;

    virga_arena_free(entry->arena);
    g_free(entry);
}

static void
use_free(gpointer data)
{
    Use *use = data;

    g_free(use->region);
    g_free(use->service);
    g_free(use);
}

static GHashTable *
new_uses(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, use_free);
}

VirgaKeyCache *
virga_key_cache_new(VirgaDb *db, const VirgaSealer *sealer)
{
    VirgaKeyCache *cache = g_new0(VirgaKeyCache, 1);

    cache->db = db;
    cache->sealer = sealer;
    g_mutex_init(&cache->lock);
    cache->entries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, entry_free);
    cache->uses = new_uses();
    return cache;
}

void
virga_key_cache_free(VirgaKeyCache *cache)
{
    if (!cache)
        return;
    g_hash_table_unref(cache->entries);
    g_hash_table_unref(cache->uses);
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
                            .user_id = virga_arena_strdup(arena, from->user_id),
                            .entity_id = virga_arena_strdup(arena, from->entity_id) };
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
                            .user_id = key->user_id,
                            .entity_id = key->owner_id };
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

/* Whose session a token is; names that may have changed meanwhile are its rights' affair. */
static bool
find_session(const VirgaKeyCache *cache, const char *access_key_id, const char *token,
             VirgaArena *arena, VirgaIdentity *ret, GError **error)
{
    VirgaSession *session;
    char *secret;

    if (!virga_session_open(cache->sealer, arena, access_key_id, token,
                            g_get_real_time() / G_USEC_PER_SEC, &session, &secret, error))
        return false;
    *ret = (VirgaIdentity){
        .secret = secret,
        .session_token = token,
        .account_id = session->account_id,
        .principal_arn = virga_arena_printf(arena, "arn:aws:iam::%s:root", session->account_id),
        .user_id = session->account_id,
        .entity_id = session->entity_id,
        .session = session,
    };
    return true;
}

bool
virga_key_cache_find(const char *access_key_id, const char *session_token, VirgaArena *arena,
                     VirgaIdentity *ret_identity, gpointer data, GError **error)
{
    VirgaKeyCache *cache = data;
    const Entry *entry;
    guint64 flushes;
    bool found;

    if (session_token)
        return find_session(cache, access_key_id, session_token, arena, ret_identity, error);
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

/* ---- the last use ---- */

void
virga_key_cache_used(const char *access_key_id, const char *region, const char *service,
                     gpointer data)
{
    VirgaKeyCache *cache = data;
    Use *use;

    g_mutex_lock(&cache->lock);
    use = g_hash_table_lookup(cache->uses, access_key_id);
    if (!use) {
        use = g_new0(Use, 1);
        g_hash_table_insert(cache->uses, g_strdup(access_key_id), use);
    }
    use->at = g_get_real_time();
    if (g_strcmp0(use->region, region) != 0 || g_strcmp0(use->service, service) != 0) {
        g_free(use->region);
        g_free(use->service);
        use->region = g_strdup(region);
        use->service = g_strdup(service);
    }
    g_mutex_unlock(&cache->lock);
}

static bool
write_uses(VirgaKeyCache *cache, GHashTable *uses, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(cache->db, error);
    GHashTableIter iter;
    gpointer id, value;

    if (!txn)
        return false;
    g_hash_table_iter_init(&iter, uses);
    while (g_hash_table_iter_next(&iter, &id, &value)) {
        const Use *use = value;

        if (!virga_iam_key_used(txn, id, use->at, use->region, use->service, error))
            return false;
    }
    return virga_txn_commit(txn, error);
}

bool
virga_key_cache_write(VirgaKeyCache *cache, GError **error)
{
    g_autoptr(GHashTable) uses = NULL;

    g_mutex_lock(&cache->lock);
    if (g_hash_table_size(cache->uses) > 0) {
        uses = cache->uses;
        cache->uses = new_uses();
    }
    g_mutex_unlock(&cache->lock);
    /* What could not be written is lost: the next use says more. */
    return !uses || write_uses(cache, uses, error);
}
