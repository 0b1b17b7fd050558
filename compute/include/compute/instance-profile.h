/* SPDX-License-Identifier: Apache-2.0 */
/* Which instance profile an instance has: its host gets credentials of the profile's role for it.
 * Profiles themselves are IAM's (core/iam.h). */
#pragma once

#include "core/iam.h"

typedef struct {
    char *id; /* of the association: iip-assoc-… */
    char *instance_id, *profile_id, *profile_arn;
    gint64 since;
} VirgaProfileAssociation;

/* The profile that the account's caller means by an ARN or a name, one of which is NULL, and its
 * role (NULL: it has none).  Noun "instance profile": NOT_FOUND. */
bool virga_instance_profile_find(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                 const char *arn, const char *name, VirgaIamEntity **ret_profile,
                                 VirgaIamEntity **ret_role, GError **error);

/* Gives a new instance its profile, in the transaction that makes the instance. */
bool virga_instance_profile_set(VirgaTxn *txn, const char *instance_id, const char *profile_id,
                                const char *profile_arn, GError **error);

/* Gives the account's instance a profile.  Noun "instance": NOT_FOUND, STATE; noun "instance
 * profile association": EXISTS if it has one. */
bool virga_instance_profile_associate(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                      const char *instance_id, const VirgaIamEntity *profile,
                                      VirgaProfileAssociation *ret, GError **error);

/* Puts 'profile' in the place of the one that the association is about (the association gets a new
 * id), or takes the profile away (NULL).  'ret' is the new one, or the former one.  Noun "instance
 * profile association": NOT_FOUND. */
bool virga_instance_profile_replace(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                    const char *association_id, const VirgaIamEntity *profile,
                                    VirgaProfileAssociation *ret, GError **error);

/* The account's associations, ordered by id. */
bool virga_instance_profile_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                 VirgaProfileAssociation **ret, size_t *ret_count, GError **error);

/* The profile of an instance that is on this host; 'ret_profile_id' is NULL if it has none.  Noun
 * "instance": NOT_FOUND if the host has no such instance. */
bool virga_instance_profile_on_host(VirgaTxn *txn, VirgaArena *arena, const char *host_id,
                                    const char *instance_id, char **ret_account_id,
                                    char **ret_profile_id, GError **error);
