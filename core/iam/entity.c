/* SPDX-License-Identifier: Apache-2.0 */
/* The life of users, groups, roles, instance profiles and managed policies. */
#include "iam-priv.h"

#include "core/error.h"

#include <string.h>

#define ID_CHARACTERS 17
#define KINDS         5

/* What AWS says of each kind, and its limits. */
static const struct {
    const char *prefix;
    const char *field; /* of a name that is wrong */
    size_t name_chars_max;
    const char *missing, *exists; /* what stands before the name */
    const char *quota;
    gint64 count_max;
} traits[KINDS] = {
    [VIRGA_IAM_USER] = { "AIDA", "userName", 64, "The user with name", "User with name",
                         "UsersPerAccount", 5000 },
    [VIRGA_IAM_GROUP] = { "AGPA", "groupName", 128, "The group with name", "Group with name",
                          "GroupsPerAccount", 300 },
    [VIRGA_IAM_ROLE] = { "AROA", "roleName", 64, "The role with name", "Role with name",
                         "RolesPerAccount", 1000 },
    [VIRGA_IAM_INSTANCE_PROFILE] = { "AIPA", "instanceProfileName", 128, "Instance Profile",
                                     "Instance Profile", "InstanceProfilesPerAccount", 1000 },
    [VIRGA_IAM_POLICY] = { "ANPA", "policyName", 128, "Policy", "A policy called",
                           "PoliciesPerAccount", 1500 },
};

#define ENTITY_SELECT "SELECT " ENTITY_COLUMNS " FROM iam_entity e"

static const char sql_insert[] =
    "INSERT INTO iam_entity (id, account_id, kind, name, path, description, boundary, trust,"
    " session_max_s, default_version, versions_made, trusted) VALUES ($1, $2, $3, $4, $5, $6, $7, "
    "$8,"
    " CASE WHEN $3 = 'role' THEN $9::bigint END, CASE WHEN $3 = 'policy' THEN 1 END,"
    " CASE WHEN $3 = 'policy' THEN 1 END, $10)"
    " ON CONFLICT (account_id, kind, lower(name)) DO NOTHING RETURNING " VIRGA_SQL_TIME("created");
static const char sql_quota[] =
    "SELECT count(*) FROM iam_entity WHERE account_id = $1 AND kind = $2";
static const char sql_find[] =
    ENTITY_SELECT " WHERE e.account_id = $1 AND e.kind = $2 AND lower(e.name) = lower($3)"
                  " AND e.name = $3";
static const char sql_find_id[] = ENTITY_SELECT " WHERE e.id = $1";
static const char sql_lock[] =
    "SELECT id FROM iam_entity WHERE account_id = $1 AND kind = $2 AND lower(name) = lower($3)"
    " FOR UPDATE";
static const char sql_list[] =
    ENTITY_SELECT " WHERE e.account_id = $1 AND e.kind = $2 AND starts_with(e.path, $3)"
                  " AND e.name COLLATE \"C\" > $4 ORDER BY e.name COLLATE \"C\" LIMIT $5";
static const char sql_update[] =
    "UPDATE iam_entity SET name = $2, path = $3, description = $4, boundary = $5, trust = $6,"
    " session_max_s = CASE WHEN kind = 'role' THEN $7::bigint END, updated = now(), trusted = $8"
    " WHERE id = $1"
    " AND NOT EXISTS (SELECT 1 FROM iam_entity o WHERE o.account_id = iam_entity.account_id"
    " AND o.kind = iam_entity.kind AND lower(o.name) = lower($2) AND o.id <> $1)";
static const char sql_delete[] = "DELETE FROM iam_entity WHERE id = $1";
static const char sql_count[] =
    "SELECT kind, count(*) FROM iam_entity WHERE account_id = $1 GROUP BY kind";
/* What stands against a deletion; the first that does is told. */
static const char sql_conflicts[] =
    "SELECT EXISTS (SELECT 1 FROM access_key WHERE owner_id = $1),"
    " EXISTS (SELECT 1 FROM iam_attachment WHERE entity_id = $1),"
    " EXISTS (SELECT 1 FROM iam_inline_policy WHERE entity_id = $1),"
    " EXISTS (SELECT 1 FROM iam_member WHERE user_id = $1),"
    " EXISTS (SELECT 1 FROM iam_member WHERE group_id = $1),"
    " EXISTS (SELECT 1 FROM iam_profile_role WHERE role_id = $1),"
    " EXISTS (SELECT 1 FROM iam_profile_role WHERE profile_id = $1),"
    " (SELECT count(*) > 1 FROM iam_policy_version WHERE policy_id = $1)";
static const char *const conflicts[] = {
    "Cannot delete entity, must delete access keys first.",
    "Cannot delete entity, must detach all policies first.",
    "Cannot delete entity, must delete policies first.",
    "Cannot delete entity, must remove users from group first.",
    "Cannot delete entity, must remove users from group first.",
    "Cannot delete entity, must remove roles from instance profile first.",
    "Cannot delete entity, must remove roles from instance profile first.",
    ("This policy has more than one version. Before you delete a policy, you must delete the "
     "policy's versions. The default version is deleted with the policy."),
};

static VirgaIamKind
kind_of(const char *name)
{
    VirgaIamKind kind = 0;

    while (!g_str_equal(virga_iam_kind_name(kind), name))
        kind++; /* the schema knows no others */
    return kind;
}

static char **
read_texts(const VirgaRows *rows, VirgaArena *arena, int row, int column)
{
    g_auto(GStrv) texts =
        virga_rows_is_null(rows, row, column) ? NULL : virga_rows_array(rows, row, column);
    guint count = texts ? g_strv_length(texts) : 0;
    char **copy = texts ? virga_arena_new_array(arena, char *, count + 1) : NULL;

    for (guint i = 0; i < count; i++)
        copy[i] = virga_arena_strdup(arena, texts[i]);
    return copy;
}

bool
iam_read_entities(const VirgaRows *rows, VirgaArena *arena, VirgaIamEntity **ret, size_t *ret_count)
{
    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaIamEntity, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++) {
        VirgaIamEntity *entity = &(*ret)[i];

        *entity = (VirgaIamEntity){ .id = virga_rows_dup(rows, arena, i, 0),
                                    .account_id = virga_rows_dup(rows, arena, i, 1),
                                    .kind = kind_of(virga_rows_text(rows, i, 2)),
                                    .name = virga_rows_dup(rows, arena, i, 3),
                                    .path = virga_rows_dup(rows, arena, i, 4),
                                    .description = virga_rows_dup(rows, arena, i, 5),
                                    .boundary = virga_rows_dup(rows, arena, i, 6),
                                    .trusted = read_texts(rows, arena, i, 14),
                                    .trust = virga_rows_dup(rows, arena, i, 7),
                                    .session_max_s = virga_rows_int(rows, i, 8),
                                    .default_version = virga_rows_int(rows, i, 9),
                                    .created = virga_rows_time(rows, i, 10),
                                    .updated = virga_rows_time(rows, i, 11),
                                    .attached = virga_rows_int(rows, i, 12),
                                    .bounds = virga_rows_int(rows, i, 13) };
        entity->arn =
            virga_iam_arn(arena, entity->kind, entity->account_id, entity->path, entity->name);
    }
    return true;
}

/* ---- checks ---- */

static bool
fail_exists(const VirgaIamEntity *entity, GError **error)
{
    return virga_fail(error, "identity", VIRGA_ERROR_EXISTS, "%s %s already exists.%s",
                      traits[entity->kind].exists, entity->name,
                      entity->kind == VIRGA_IAM_POLICY ? " Duplicate names are not allowed." : "");
}

static bool
check_name(const VirgaIamEntity *entity, GError **error)
{
    size_t length = strlen(entity->name), max = traits[entity->kind].name_chars_max;

    if (length == 0 || length > max)
        return virga_fail(error, "identity", VIRGA_ERROR_INVALID,
                          "1 validation error detected: Value at '%s' failed to satisfy "
                          "constraint: Member must have length less than or equal to %zu",
                          traits[entity->kind].field, max);
    if (strspn(entity->name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "+=,.@_-") != length)
        return virga_fail(error, "identity", VIRGA_ERROR_INVALID,
                          "The specified value for %s is invalid. It must contain only "
                          "alphanumeric characters and/or the following: +=,.@_-",
                          traits[entity->kind].field);
    return true;
}

static bool
check_quota(VirgaTxn *txn, const VirgaIamEntity *entity, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_quota, "ss", entity->account_id,
                                                virga_iam_kind_name(entity->kind));

    if (!rows)
        return false;
    return virga_rows_int(rows, 0, 0) < traits[entity->kind].count_max ||
           virga_fail(error, "identity", VIRGA_ERROR_QUOTA,
                      "Cannot exceed quota for %s: %" G_GINT64_FORMAT, traits[entity->kind].quota,
                      traits[entity->kind].count_max);
}

/* ---- life ---- */

bool
virga_iam_create(VirgaTxn *txn, VirgaArena *arena, VirgaIamEntity *entity, const VirgaTag *tags,
                 size_t tag_count, GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;

    if (!check_name(entity, error) || !virga_iam_check_path(entity->path, false, error) ||
        !check_quota(txn, entity, error))
        return false;
    if (!entity->path)
        entity->path = virga_arena_strdup(arena, "/");
    if (entity->kind == VIRGA_IAM_POLICY)
        entity->default_version = 1;
    entity->id = virga_iam_id_new(arena, traits[entity->kind].prefix, ID_CHARACTERS);
    rows = virga_txn_query(txn, error, sql_insert, "ssssssssia", entity->id, entity->account_id,
                           virga_iam_kind_name(entity->kind), entity->name, entity->path,
                           entity->description, entity->boundary, entity->trust,
                           entity->session_max_s, (const char *const *) entity->trusted);
    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return fail_exists(entity, error);
    entity->created = entity->updated = virga_rows_time(rows, 0, 0);
    entity->arn =
        virga_iam_arn(arena, entity->kind, entity->account_id, entity->path, entity->name);
    return virga_iam_tags_set(txn, entity, tags, tag_count, error);
}

bool
virga_iam_find(VirgaTxn *txn, VirgaArena *arena, const char *account_id, VirgaIamKind kind,
               const char *name, bool lock, VirgaIamEntity **ret, GError **error)
{
    const char *kind_name = virga_iam_kind_name(kind);
    g_autoptr(VirgaRows) rows = NULL;
    size_t count;

    /* The lock first: what is read after it is what the former holder left. */
    if (lock && !virga_txn_run(txn, error, NULL, sql_lock, "sss", account_id, kind_name, name))
        return false;
    rows = virga_txn_query(txn, error, sql_find, "sss", account_id, kind_name, name);
    if (!iam_read_entities(rows, arena, ret, &count))
        return false;
    return count > 0 || virga_fail(error, "identity", VIRGA_ERROR_NOT_FOUND,
                                   "%s %s cannot be found.", traits[kind].missing, name);
}

bool
virga_iam_find_id(VirgaTxn *txn, VirgaArena *arena, const char *id, VirgaIamEntity **ret,
                  GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_find_id, "s", id);
    size_t count;

    if (!iam_read_entities(rows, arena, ret, &count))
        return false;
    return count > 0 || virga_fail(error, "identity", VIRGA_ERROR_NOT_FOUND,
                                   "The entity with id %s cannot be found.", id);
}

bool
virga_iam_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id, VirgaIamKind kind,
               const char *path_prefix, const char *after, gint64 limit, VirgaIamEntity **ret,
               size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_list, "ssssi", account_id, virga_iam_kind_name(kind),
                        path_prefix ? path_prefix : "/", after ? after : "", limit);

    return iam_read_entities(rows, arena, ret, ret_count);
}

bool
virga_iam_update(VirgaTxn *txn, VirgaArena *arena, VirgaIamEntity *entity, GError **error)
{
    gint64 written;

    if (!check_name(entity, error) || !virga_iam_check_path(entity->path, false, error) ||
        !virga_txn_run(txn, error, &written, sql_update, "ssssssia", entity->id, entity->name,
                       entity->path, entity->description, entity->boundary, entity->trust,
                       entity->session_max_s, (const char *const *) entity->trusted))
        return false;
    if (written == 0)
        return fail_exists(entity, error);
    entity->arn =
        virga_iam_arn(arena, entity->kind, entity->account_id, entity->path, entity->name);
    return true;
}

bool
virga_iam_delete(VirgaTxn *txn, const VirgaIamEntity *entity, GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;

    if (entity->attached + entity->bounds > 0)
        return virga_fail(error, "identity", VIRGA_ERROR_IN_USE,
                          "Cannot delete a policy attached to entities.");
    rows = virga_txn_query(txn, error, sql_conflicts, "s", entity->id);
    if (!rows)
        return false;
    for (int i = 0; i < (int) G_N_ELEMENTS(conflicts); i++)
        if (virga_rows_bool(rows, 0, i))
            return virga_fail(error, "identity", VIRGA_ERROR_IN_USE, "%s", conflicts[i]);
    return virga_txn_run(txn, error, NULL, sql_delete, "s", entity->id);
}

bool
virga_iam_count(VirgaTxn *txn, const char *account_id, gint64 *ret, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_count, "s", account_id);

    if (!rows)
        return false;
    memset(ret, 0, KINDS * sizeof *ret);
    for (int i = 0; i < virga_rows_count(rows); i++)
        ret[kind_of(virga_rows_text(rows, i, 0))] = virga_rows_int(rows, i, 1);
    return true;
}
