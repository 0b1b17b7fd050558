/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of IAM: users, groups, roles, instance profiles, managed policies, and what belongs to
 * them.
 *
 * Failures have the noun "identity": INVALID for names and the like, NOT_FOUND, EXISTS, IN_USE for
 * a deletion that something stands against, QUOTA; "identity input", INVALID, for tags that clash
 * and ARNs that are none; and "policy document", INVALID.  Texts say what AWS says.  Whatever a
 * function gives is the arena's. */
#pragma once

#include "core/db.h"
#include "core/tag.h"

typedef enum {
    VIRGA_IAM_USER,
    VIRGA_IAM_GROUP,
    VIRGA_IAM_ROLE,
    VIRGA_IAM_INSTANCE_PROFILE,
    VIRGA_IAM_POLICY,
} VirgaIamKind;

typedef struct {
    VirgaIamKind kind;
    char *id; /* AIDA…, AGPA…, AROA…, AIPA…, ANPA… */
    char *account_id, *name, *path, *arn;
    char *description; /* of roles and policies; or NULL */
    char *boundary;    /* of users and roles: a policy's ARN, or NULL */
    char **trusted; /* of roles: ARN, id, ARN, id, …: who its policy names, when it was written */
    char *trust;    /* of roles: the policy document */
    gint64 session_max_s;    /* of roles */
    gint64 default_version;  /* of policies */
    gint64 attached, bounds; /* of policies: how many have it, how many it bounds */
    gint64 created, updated; /* microseconds since the epoch */
} VirgaIamEntity;

#define VIRGA_IAM_SESSION_MIN_S 3600

/* ---- names ---- */

/* "user", "instance-profile": as in ARNs. */
const char *virga_iam_kind_name(VirgaIamKind kind);

/* The ARN of what is called so, there or not. */
char *virga_iam_arn(VirgaArena *arena, VirgaIamKind kind, const char *account_id, const char *path,
                    const char *name);

/* Takes an ARN apart; false if it is none of this kind.  The path is "/" at least. */
bool virga_iam_arn_split(VirgaArena *arena, const char *arn, VirgaIamKind kind,
                         char **ret_account_id, char **ret_path, char **ret_name);

/* A random id: 'prefix' and 'characters' more of A-Z and 2-7.  The arena's. */
char *virga_iam_id_new(VirgaArena *arena, const char *prefix, unsigned characters);

/* Fails with INVALID if 'path' is none; NULL is one.  A prefix need not end with a slash. */
bool virga_iam_check_path(const char *path, bool prefix, GError **error);

/* ---- entities ---- */

/* Makes what 'entity' says (account, kind, name; path NULL is "/"; the rest as the kind has it),
 * with tags, and sets its id, ARN and times. */
bool virga_iam_create(VirgaTxn *txn, VirgaArena *arena, VirgaIamEntity *entity,
                      const VirgaTag *tags, size_t tag_count, GError **error);

/* 'lock': until the end of the transaction, nobody else changes it or what belongs to it. */
bool virga_iam_find(VirgaTxn *txn, VirgaArena *arena, const char *account_id, VirgaIamKind kind,
                    const char *name, bool lock, VirgaIamEntity **ret, GError **error);

/* By id; of any kind and account. */
bool virga_iam_find_id(VirgaTxn *txn, VirgaArena *arena, const char *id, VirgaIamEntity **ret,
                       GError **error);

/* Those whose path begins with 'path_prefix' (NULL: all), ordered by name, after the one called
 * 'after' (NULL: from the first), at most 'limit'. */
bool virga_iam_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id, VirgaIamKind kind,
                    const char *path_prefix, const char *after, gint64 limit, VirgaIamEntity **ret,
                    size_t *ret_count, GError **error);

/* Writes name, path, description, boundary, trust and session_max_s as they are in 'entity', which
 * was found under lock; its ARN follows. */
bool virga_iam_update(VirgaTxn *txn, VirgaArena *arena, VirgaIamEntity *entity, GError **error);

/* Deletes what was found under lock.  IN_USE if it still has something. */
bool virga_iam_delete(VirgaTxn *txn, const VirgaIamEntity *entity, GError **error);

/* How many of each kind the account has; 'ret' has an element for each kind. */
bool virga_iam_count(VirgaTxn *txn, const char *account_id, gint64 *ret, GError **error);

/* ---- tags ---- */

/* Ordered by key.  Of the VirgaTags only key and value count. */
bool virga_iam_tags(VirgaTxn *txn, VirgaArena *arena, const char *entity_id, VirgaTag **ret,
                    size_t *ret_count, GError **error);
bool virga_iam_tags_set(VirgaTxn *txn, const VirgaIamEntity *entity, const VirgaTag *tags,
                        size_t count, GError **error);
bool virga_iam_tags_unset(VirgaTxn *txn, const VirgaIamEntity *entity, const char *const *keys,
                          GError **error);

/* ---- groups and instance profiles ---- */

/* Being in it already, or not, is no error. */
bool virga_iam_member_add(VirgaTxn *txn, const VirgaIamEntity *group, const VirgaIamEntity *user,
                          GError **error);
bool virga_iam_member_remove(VirgaTxn *txn, const VirgaIamEntity *group, const VirgaIamEntity *user,
                             GError **error);
/* The users of a group, or the groups of a user; pages as in virga_iam_list(). */
bool virga_iam_members(VirgaTxn *txn, VirgaArena *arena, const VirgaIamEntity *group_or_user,
                       const char *after, gint64 limit, VirgaIamEntity **ret, size_t *ret_count,
                       GError **error);

bool virga_iam_profile_add(VirgaTxn *txn, const VirgaIamEntity *profile, const VirgaIamEntity *role,
                           GError **error);
bool virga_iam_profile_remove(VirgaTxn *txn, const VirgaIamEntity *profile,
                              const VirgaIamEntity *role, GError **error);
/* The role of a profile, or the profiles of a role; pages as in virga_iam_list(). */
bool virga_iam_profile_partners(VirgaTxn *txn, VirgaArena *arena, const VirgaIamEntity *entity,
                                const char *after, gint64 limit, VirgaIamEntity **ret,
                                size_t *ret_count, GError **error);

/* ---- access keys of users ---- */

#define VIRGA_IAM_KEYS_MAX 2

typedef struct {
    char *id, *secret; /* the secret only when it is new */
    char *account_id, *user_name;
    bool active;
    gint64 created;
    gint64 used; /* 0: never */
    char *region, *service;
} VirgaIamKey;

/* 'user' was found under lock. */
bool virga_iam_key_create(VirgaTxn *txn, VirgaArena *arena, const VirgaIamEntity *user,
                          VirgaIamKey *ret, GError **error);
bool virga_iam_keys(VirgaTxn *txn, VirgaArena *arena, const char *user_id, VirgaIamKey **ret,
                    size_t *ret_count, GError **error);
bool virga_iam_key_find(VirgaTxn *txn, VirgaArena *arena, const char *key_id, VirgaIamKey **ret,
                        GError **error);
bool virga_iam_key_set_active(VirgaTxn *txn, const VirgaIamEntity *user, const char *key_id,
                              bool active, GError **error);
bool virga_iam_key_delete(VirgaTxn *txn, const VirgaIamEntity *user, const char *key_id,
                          GError **error);
/* Notes that a key was used; of a key that is gone, nothing. */
bool virga_iam_key_used(VirgaTxn *txn, const char *key_id, gint64 used, const char *region,
                        const char *service, GError **error);

/* ---- the account ---- */

/* NULL: it has none. */
bool virga_iam_alias(VirgaTxn *txn, VirgaArena *arena, const char *account_id, char **ret,
                     GError **error);
bool virga_iam_alias_set(VirgaTxn *txn, const char *account_id, const char *alias, GError **error);
bool virga_iam_alias_unset(VirgaTxn *txn, const char *account_id, const char *alias,
                           GError **error);
