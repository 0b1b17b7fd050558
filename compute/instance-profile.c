/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/instance-profile.h"

#include "compute/host.h"
#include "compute/instance.h"
#include "core/error.h"
#include "core/id.h"

#include <string.h>

static const char sql_set[] =
    "UPDATE instance SET profile_id = $2, profile_arn = $3, profile_association_id = $4,"
    " profile_since = CASE WHEN $2::text IS NULL THEN NULL ELSE now() END WHERE id = $1"
    " RETURNING " VIRGA_SQL_TIME("profile_since");
static const char sql_lock[] =
    "SELECT id, host_id, state, profile_association_id, profile_id, profile_arn, " VIRGA_SQL_TIME(
        "profile_since") " FROM instance WHERE account_id = $1"
                         " AND (id = $2 OR profile_association_id = $3)"
                         " AND state <> 'terminated' FOR UPDATE";
static const char sql_generation[] = "UPDATE instance SET generation = $2 WHERE id = $1";
static const char sql_list[] =
    "SELECT profile_association_id, id, profile_id, profile_arn, " VIRGA_SQL_TIME(
        "profile_since") " FROM instance WHERE account_id = $1 AND profile_id IS NOT NULL"
                         " AND state <> 'terminated'"
                         " ORDER BY profile_association_id COLLATE \"C\"";
static const char sql_on_host[] =
    "SELECT account_id, profile_id FROM instance WHERE id = $1 AND host_id = $2"
    " AND state <> 'terminated'";

static bool
fail_missing(GError **error, const char *arn, const char *name)
{
    return virga_fail(error, "instance profile", VIRGA_ERROR_NOT_FOUND,
                      "Value (%s) for parameter iamInstanceProfile.%s is invalid. Invalid IAM "
                      "Instance Profile %s",
                      arn ? arn : name, arn ? "arn" : "name", arn ? "ARN" : "name");
}

bool
virga_instance_profile_find(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            const char *arn, const char *name, VirgaIamEntity **ret_profile,
                            VirgaIamEntity **ret_role, GError **error)
{
    char *owner, *path, *own_name = (char *) name;
    g_autoptr(GError) reason = NULL;
    VirgaIamEntity *roles;
    size_t count;

    if (arn &&
        (!virga_iam_arn_split(arena, arn, VIRGA_IAM_INSTANCE_PROFILE, &owner, &path, &own_name) ||
         !g_str_equal(owner, account_id)))
        return fail_missing(error, arn, name);
    if (!virga_iam_find(txn, arena, account_id, VIRGA_IAM_INSTANCE_PROFILE, own_name, false,
                        ret_profile, &reason)) {
        if (virga_error_is(reason, "identity", VIRGA_ERROR_NOT_FOUND))
            return fail_missing(error, arn, name);
        g_propagate_error(error, g_steal_pointer(&reason));
        return false;
    }
    if (arn && !g_str_equal((*ret_profile)->arn, arn))
        return fail_missing(error, arn, name);
    if (!virga_iam_profile_partners(txn, arena, *ret_profile, NULL, 1, &roles, &count, error))
        return false;
    *ret_role = count ? roles : NULL;
    return true;
}

/* ---- the wish ---- */

/* 'association' says what is written; its profile NULL takes the profile away. */
static bool
write_association(VirgaTxn *txn, VirgaProfileAssociation *association, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_set, "ssss", association->instance_id,
                        association->profile_id, association->profile_arn, association->id);

    if (!rows)
        return false;
    association->since = virga_rows_count(rows) ? virga_rows_time(rows, 0, 0) : 0;
    return true;
}

bool
virga_instance_profile_set(VirgaTxn *txn, const char *instance_id, const char *profile_id,
                           const char *profile_arn, GError **error)
{
    g_autofree char *id = virga_id_new("iip-assoc");

    return virga_txn_post(txn, error, sql_set, "ssss", instance_id, profile_id, profile_arn, id);
}

/* The host learns of it, if the instance is on one. */
static bool
renew(VirgaTxn *txn, const char *instance_id, const char *host_id, GError **error)
{
    gint64 generation;

    return !host_id ||
           (virga_host_touch(txn, host_id, &generation, error) &&
            virga_txn_run(txn, error, NULL, sql_generation, "si", instance_id, generation));
}

static void
fill(VirgaArena *arena, const char *instance_id, const VirgaIamEntity *profile,
     VirgaProfileAssociation *ret)
{
    g_autofree char *id = virga_id_new("iip-assoc");

    *ret = (VirgaProfileAssociation){ .id = virga_arena_strdup(arena, id),
                                      .instance_id = virga_arena_strdup(arena, instance_id),
                                      .profile_id = profile->id,
                                      .profile_arn = profile->arn };
}

bool
virga_instance_profile_associate(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                 const char *instance_id, const VirgaIamEntity *profile,
                                 VirgaProfileAssociation *ret, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_lock, "sss", account_id, instance_id, NULL);
    const char *state;

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, "instance", VIRGA_ERROR_NOT_FOUND,
                          "The instance ID '%s' does not exist", instance_id);
    state = virga_rows_text(rows, 0, 2);
    if (!g_str_equal(state, "running") && !g_str_equal(state, "stopped") &&
        !g_str_equal(state, "pending") && !g_str_equal(state, "stopping"))
        return virga_fail(error, "instance", VIRGA_ERROR_STATE,
                          "The instance '%s' is not in the 'running' or 'stopped' states.",
                          instance_id);
    if (!virga_rows_is_null(rows, 0, 3))
        return virga_fail(error, "instance profile association", VIRGA_ERROR_EXISTS,
                          "There is an existing association for instance %s", instance_id);
    fill(arena, instance_id, profile, ret);
    return write_association(txn, ret, error) &&
           renew(txn, instance_id, virga_rows_text(rows, 0, 1), error);
}

bool
virga_instance_profile_replace(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                               const char *association_id, const VirgaIamEntity *profile,
                               VirgaProfileAssociation *ret, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_lock, "sss", account_id, NULL, association_id);
    VirgaProfileAssociation none = { 0 };
    const char *instance_id;

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, "instance profile association", VIRGA_ERROR_NOT_FOUND,
                          "An invalid association-id of '%s' was given", association_id);
    instance_id = virga_rows_text(rows, 0, 0);
    if (profile) {
        fill(arena, instance_id, profile, ret);
    } else {
        *ret = (VirgaProfileAssociation){ .id = virga_rows_dup(rows, arena, 0, 3),
                                          .instance_id = virga_arena_strdup(arena, instance_id),
                                          .profile_id = virga_rows_dup(rows, arena, 0, 4),
                                          .profile_arn = virga_rows_dup(rows, arena, 0, 5),
                                          .since = virga_rows_time(rows, 0, 6) };
        none.instance_id = ret->instance_id;
    }
    return write_association(txn, profile ? ret : &none, error) &&
           renew(txn, instance_id, virga_rows_text(rows, 0, 1), error);
}

/* ---- reading ---- */

bool
virga_instance_profile_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            VirgaProfileAssociation **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_list, "s", account_id);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaProfileAssociation, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaProfileAssociation){ .id = virga_rows_dup(rows, arena, i, 0),
                                               .instance_id = virga_rows_dup(rows, arena, i, 1),
                                               .profile_id = virga_rows_dup(rows, arena, i, 2),
                                               .profile_arn = virga_rows_dup(rows, arena, i, 3),
                                               .since = virga_rows_time(rows, i, 4) };
    return true;
}

bool
virga_instance_profile_on_host(VirgaTxn *txn, VirgaArena *arena, const char *host_id,
                               const char *instance_id, char **ret_account_id,
                               char **ret_profile_id, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_on_host, "ss", instance_id, host_id);

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, "instance", VIRGA_ERROR_NOT_FOUND,
                          "the host has no instance \"%s\"", instance_id);
    *ret_account_id = virga_rows_dup(rows, arena, 0, 0);
    *ret_profile_id = virga_rows_dup(rows, arena, 0, 1);
    return true;
}
