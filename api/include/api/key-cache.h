/* SPDX-License-Identifier: Apache-2.0 */
/* Access keys as virgad has seen them last, so that a signed request costs no look-up.
 *
 * A change of a key is notified by the database and empties the cache on every replica; an entry
 * also ages, so that a replica that lost its notifications is wrong for seconds at most. */
#pragma once

#include "api/sigv4.h"
#include "core/db.h"

typedef struct VirgaKeyCache VirgaKeyCache;

VirgaKeyCache *virga_key_cache_new(VirgaDb *db);
void virga_key_cache_free(VirgaKeyCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaKeyCache, virga_key_cache_free)

/* A VirgaKeyLookup; 'cache' is the VirgaKeyCache.  Inactive keys are not found. */
bool virga_key_cache_find(const char *access_key_id, VirgaArena *arena, VirgaIdentity *ret_identity,
                          gpointer cache, GError **error);

/* Forgets all: keys may have changed. */
void virga_key_cache_flush(VirgaKeyCache *cache);
