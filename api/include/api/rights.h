/* SPDX-License-Identifier: Apache-2.0 */
/* What users and roles may do, read once and kept for a while: parsed policies, ready to be asked.
 *
 * As with keys (api/key-cache.h), the database tells of changes, and an entry ages. */
#pragma once

#include "core/iam-policy.h"

/* Shared by threads: each reader holds a reference. */
typedef struct {
    VirgaArena *arena;
    VirgaIamRights *of;        /* of a user or role */
    const VirgaPolicy *policy; /* of a managed policy */
} VirgaRights;

void virga_rights_unref(VirgaRights *rights);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaRights, virga_rights_unref)

typedef struct VirgaRightsCache VirgaRightsCache;

VirgaRightsCache *virga_rights_cache_new(VirgaDb *db);
void virga_rights_cache_free(VirgaRightsCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaRightsCache, virga_rights_cache_free)

/* The rights of a user or role, the caller's reference.  NULL with ("identity", NOT_FOUND) if it is
 * gone. */
VirgaRights *virga_rights_get(VirgaRightsCache *cache, const char *entity_id, GError **error);

/* A managed policy, for sessions that are bounded by one. */
VirgaRights *virga_rights_get_policy(VirgaRightsCache *cache, const char *account_id,
                                     const char *arn, GError **error);

/* Forgets all. */
void virga_rights_cache_flush(VirgaRightsCache *cache);
