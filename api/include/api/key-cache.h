/* SPDX-License-Identifier: Apache-2.0 */
/* Access keys as virgad has seen them last, so that a signed request costs no look-up.
 *
 * A change of a key is notified by the database and empties the cache on every replica; an entry
 * also ages, so that a replica that lost its notifications is wrong for seconds at most.  Temporary
 * keys are in no table: their token says all (api/session.h).
 *
 * When users' keys were used last is remembered here and written now and then. */
#pragma once

#include "api/session.h"
#include "api/sigv4.h"
#include "core/db.h"

typedef struct VirgaKeyCache VirgaKeyCache;

/* 'sealer' is a loan. */
VirgaKeyCache *virga_key_cache_new(VirgaDb *db, const VirgaSealer *sealer);
void virga_key_cache_free(VirgaKeyCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaKeyCache, virga_key_cache_free)

/* A VirgaKeyLookup; 'cache' is the VirgaKeyCache.  Inactive keys are not found. */
bool virga_key_cache_find(const char *access_key_id, const char *session_token, VirgaArena *arena,
                          VirgaIdentity *ret_identity, gpointer cache, GError **error);

/* A VirgaKeyUsed: notes that a user's key was used. */
void virga_key_cache_used(const char *access_key_id, const char *region, const char *service,
                          gpointer cache);

/* Writes what was noted since the last time. */
bool virga_key_cache_write(VirgaKeyCache *cache, GError **error);

/* Forgets all: keys may have changed. */
void virga_key_cache_flush(VirgaKeyCache *cache);
