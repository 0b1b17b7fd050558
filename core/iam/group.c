/* SPDX-License-Identifier: Apache-2.0 */
/* Which users are in a group, and which role an instance profile hands out. */
#include "iam-priv.h"

#include "core/error.h"

#define GROUPS_PER_USER_MAX 10

static const char sql_member_add[] =
    "INSERT INTO iam_member (group_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
static const char sql_member_count[] = "SELECT count(*) FROM iam_member WHERE user_id = $1";
static const char sql_member_remove[] =
    "DELETE FROM iam_member WHERE group_id = $1 AND user_id = $2";

#define PARTNERS(table, mine, other)                                                               \
    "SELECT " ENTITY_COLUMNS " FROM " table " l JOIN iam_entity e ON e.id = l." other              \
    " WHERE l." mine " = $1 AND e.name COLLATE \"C\" > $2 ORDER BY e.name COLLATE \"C\" LIMIT $3"
static const char sql_members_of_group[] = PARTNERS("iam_member", "group_id", "user_id");
static const char sql_groups_of_user[] = PARTNERS("iam_member", "user_id", "group_id");
static const char sql_role_of_profile[] = PARTNERS("iam_profile_role", "profile_id", "role_id");
static const char sql_profiles_of_role[] = PARTNERS("iam_profile_role", "role_id", "profile_id");

static const char sql_profile_add[] =
    "INSERT INTO iam_profile_role (profile_id, role_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
static const char sql_profile_remove[] =
    "DELETE FROM iam_profile_role WHERE profile_id = $1 AND role_id = $2";

bool
virga_iam_member_add(VirgaTxn *txn, const VirgaIamEntity *group, const VirgaIamEntity *user,
                     GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;

    if (!virga_txn_run(txn, error, NULL, sql_member_add, "ss", group->id, user->id))
        return false;
    rows = virga_txn_query(txn, error, sql_member_count, "s", user->id);
    if (!rows)
        return false;
    return virga_rows_int(rows, 0, 0) <= GROUPS_PER_USER_MAX ||
           virga_fail(error, "identity", VIRGA_ERROR_QUOTA,
                      "Cannot exceed quota for GroupsPerUser: %d", GROUPS_PER_USER_MAX);
}

bool
virga_iam_member_remove(VirgaTxn *txn, const VirgaIamEntity *group, const VirgaIamEntity *user,
                        GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_member_remove, "ss", group->id, user->id);
}

bool
virga_iam_members(VirgaTxn *txn, VirgaArena *arena, const VirgaIamEntity *group_or_user,
                  const char *after, gint64 limit, VirgaIamEntity **ret, size_t *ret_count,
                  GError **error)
{
    const char *sql =
        group_or_user->kind == VIRGA_IAM_GROUP ? sql_members_of_group : sql_groups_of_user;
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql, "ssi", group_or_user->id, after ? after : "", limit);

    return iam_read_entities(rows, arena, ret, ret_count);
}

bool
virga_iam_profile_add(VirgaTxn *txn, const VirgaIamEntity *profile, const VirgaIamEntity *role,
                      GError **error)
{
    gint64 added;

    if (!virga_txn_run(txn, error, &added, sql_profile_add, "ss", profile->id, role->id))
        return false;
    return added > 0 || virga_fail(error, "identity", VIRGA_ERROR_QUOTA,
                                   "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1");
}

bool
virga_iam_profile_remove(VirgaTxn *txn, const VirgaIamEntity *profile, const VirgaIamEntity *role,
                         GError **error)
{
    gint64 removed;

    if (!virga_txn_run(txn, error, &removed, sql_profile_remove, "ss", profile->id, role->id))
        return false;
    return removed > 0 ||
           virga_fail(error, "identity", VIRGA_ERROR_NOT_FOUND,
                      "Role %s in Instance Profile %s cannot be found.", role->name, profile->name);
}

bool
virga_iam_profile_partners(VirgaTxn *txn, VirgaArena *arena, const VirgaIamEntity *entity,
                           const char *after, gint64 limit, VirgaIamEntity **ret, size_t *ret_count,
                           GError **error)
{
    const char *sql = entity->kind == VIRGA_IAM_ROLE ? sql_profiles_of_role : sql_role_of_profile;
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql, "ssi", entity->id, after ? after : "", limit);

    return iam_read_entities(rows, arena, ret, ret_count);
}
