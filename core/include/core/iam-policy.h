/* SPDX-License-Identifier: Apache-2.0 */
/* Policies as rows: inline ones, managed ones with their versions, attachments, and all that says
 * what a user or role may do.  Failures as in core/iam.h. */
#pragma once

#include "core/iam.h"
#include "core/policy.h"

#define VIRGA_IAM_VERSIONS_MAX 5

/* ---- inline policies ---- */

/* Sets the policy of a user, group or role that was found under lock.  The limits count what all
 * of its inline policies have together. */
bool virga_iam_inline_put(VirgaTxn *txn, const VirgaIamEntity *entity, const char *name,
                          const char *document, GError **error);
bool virga_iam_inline_get(VirgaTxn *txn, VirgaArena *arena, const VirgaIamEntity *entity,
                          const char *name, char **ret_document, GError **error);
bool virga_iam_inline_delete(VirgaTxn *txn, const VirgaIamEntity *entity, const char *name,
                             GError **error);

typedef struct {
    char *name, *document;
} VirgaIamInline;

/* Ordered by name; pages as in virga_iam_list(). */
bool virga_iam_inline_list(VirgaTxn *txn, VirgaArena *arena, const VirgaIamEntity *entity,
                           const char *after, gint64 limit, VirgaIamInline **ret, size_t *ret_count,
                           GError **error);

/* ---- managed policies ---- */

typedef struct {
    gint64 number;
    char *document;
    bool is_default;
    gint64 created;
} VirgaIamVersion;

/* As virga_iam_create(), with the first version. */
bool virga_iam_policy_create(VirgaTxn *txn, VirgaArena *arena, VirgaIamEntity *policy,
                             const char *document, const VirgaTag *tags, size_t tag_count,
                             GError **error);

/* The account's own or one of AWS's ("arn:aws:iam::aws:policy/…").  AWS's cannot be locked: with
 * 'lock' they fail with DENIED. */
bool virga_iam_policy_find(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                           const char *arn, bool lock, VirgaIamEntity **ret, GError **error);

/* AWS's managed policies, ordered by name; counts are the account's. */
bool virga_iam_aws_policies(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            VirgaIamEntity **ret, size_t *ret_count, GError **error);

/* The newest first. */
bool virga_iam_versions(VirgaTxn *txn, VirgaArena *arena, const VirgaIamEntity *policy,
                        VirgaIamVersion **ret, size_t *ret_count, GError **error);
bool virga_iam_version_find(VirgaTxn *txn, VirgaArena *arena, const VirgaIamEntity *policy,
                            gint64 number, VirgaIamVersion **ret, GError **error);
/* The policy of these three was found under lock. */
bool virga_iam_version_create(VirgaTxn *txn, VirgaArena *arena, VirgaIamEntity *policy,
                              const char *document, bool set_default, VirgaIamVersion *ret,
                              GError **error);
bool virga_iam_version_delete(VirgaTxn *txn, const VirgaIamEntity *policy, gint64 number,
                              GError **error);
bool virga_iam_version_set_default(VirgaTxn *txn, VirgaIamEntity *policy, gint64 number,
                                   GError **error);

/* ---- attachments ---- */

/* 'entity' was found under lock.  Having it already is no error; not having it is. */
bool virga_iam_attach(VirgaTxn *txn, VirgaArena *arena, const VirgaIamEntity *entity,
                      const char *policy_arn, GError **error);
bool virga_iam_detach(VirgaTxn *txn, const VirgaIamEntity *entity, const char *policy_arn,
                      GError **error);

typedef struct {
    char *name, *arn;
} VirgaIamAttached;

/* The managed policies of an entity, ordered by ARN. */
bool virga_iam_attached(VirgaTxn *txn, VirgaArena *arena, const VirgaIamEntity *entity,
                        VirgaIamAttached **ret, size_t *ret_count, GError **error);

/* The account's users, groups and roles that have the policy, or are bounded by it. */
bool virga_iam_policy_holders(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                              const char *policy_arn, bool bounded, VirgaIamEntity **ret,
                              size_t *ret_count, GError **error);

/* ---- rights ---- */

/* Who a caller is and what its policies say; nothing of it changes once it is read. */
typedef struct {
    VirgaIamEntity *entity;       /* a user or role */
    const VirgaPolicy **policies; /* of its own and of its groups */
    size_t policy_count;
    const VirgaPolicy *boundary; /* NULL: none */
    VirgaTag *tags;
    size_t tag_count;
} VirgaIamRights;

/* All that counts for the user or role 'id'; NOT_FOUND if it is gone. */
bool virga_iam_rights_read(VirgaTxn *txn, VirgaArena *arena, const char *id, VirgaIamRights **ret,
                           GError **error);

/* The default version of a managed policy, parsed. */
bool virga_iam_policy_read(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                           const char *arn, const VirgaPolicy **ret, GError **error);
