/* SPDX-License-Identifier: Apache-2.0 */
/* Managed policies: up to five versions, one of which counts.  AWS's own come from the program. */
#include "aws-policies.h"
#include "iam-priv.h"

#include "core/error.h"
#include "core/iam-policy.h"

#include <string.h>

#define CHARACTERS_MAX 6144
#define AWS_CREATED    (G_GINT64_CONSTANT(1767225600) * G_USEC_PER_SEC) /* 2026-01-01 */

static const char sql_version_add[] =
    "INSERT INTO iam_policy_version (policy_id, version, document) VALUES ($1, $2, $3)"
    " RETURNING " VIRGA_SQL_TIME("created");
static const char sql_next[] =
    "UPDATE iam_entity SET versions_made = versions_made + 1, updated = now(),"
    " default_version = CASE WHEN $2 THEN versions_made + 1 ELSE default_version END"
    " WHERE id = $1 RETURNING versions_made,"
    " (SELECT count(*) FROM iam_policy_version WHERE policy_id = $1)";
static const char sql_default[] =
    "UPDATE iam_entity SET default_version = $2, updated = now() WHERE id = $1"
    " AND EXISTS (SELECT 1 FROM iam_policy_version WHERE policy_id = $1 AND version = $2)";
static const char sql_version_delete[] =
    "DELETE FROM iam_policy_version WHERE policy_id = $1 AND version = $2";
#define VERSION_SELECT                                                                             \
    "SELECT version, document, " VIRGA_SQL_TIME("created") " FROM iam_policy_version"              \
                                                           " WHERE policy_id = $1"
static const char sql_versions[] = VERSION_SELECT " ORDER BY version DESC";
static const char sql_version[] = VERSION_SELECT " AND version = $2";
/* How many of the account's entities have one of AWS's policies, or are bounded by it. */
static const char sql_aws_counts[] =
    "SELECT (SELECT count(*) FROM iam_attachment a JOIN iam_entity e ON e.id = a.entity_id"
    " WHERE a.policy_arn = $2 AND e.account_id = $1),"
    " (SELECT count(*) FROM iam_entity WHERE account_id = $1 AND boundary = $2)";

static bool
check_document(const char *document, GError **error)
{
    g_autoptr(VirgaArena) scratch = virga_arena_new();

    if (virga_policy_length(document) > CHARACTERS_MAX)
        return virga_fail(error, "identity", VIRGA_ERROR_QUOTA,
                          "Cannot exceed quota for PolicySize: %d", CHARACTERS_MAX);
    return virga_policy_parse(scratch, VIRGA_POLICY_IDENTITY, document, error) != NULL;
}

bool
virga_iam_policy_create(VirgaTxn *txn, VirgaArena *arena, VirgaIamEntity *policy,
                        const char *document, const VirgaTag *tags, size_t tag_count,
                        GError **error)
{
    policy->kind = VIRGA_IAM_POLICY;
    return check_document(document, error) &&
           virga_iam_create(txn, arena, policy, tags, tag_count, error) &&
           virga_txn_run(txn, error, NULL, sql_version_add, "sis", policy->id, (gint64) 1,
                         document);
}

/* ---- finding ---- */

static bool
fail_missing(const char *arn, GError **error)
{
    return virga_fail(error, "identity", VIRGA_ERROR_NOT_FOUND, "Policy %s was not found.", arn);
}

static bool
show_aws_policy(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                const IamAwsPolicy *policy, VirgaIamEntity *ret, GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;

    *ret = (VirgaIamEntity){
        .kind = VIRGA_IAM_POLICY,
        .id = (char *) policy->id,
        .account_id = (char *) "aws",
        .name = (char *) policy->name,
        .path = (char *) policy->path,
        .arn = virga_iam_arn(arena, VIRGA_IAM_POLICY, "aws", policy->path, policy->name),
        .description = (char *) policy->description,
        .default_version = 1,
        .created = AWS_CREATED,
        .updated = AWS_CREATED,
    };
    rows = virga_txn_query(txn, error, sql_aws_counts, "ss", account_id, ret->arn);
    if (!rows)
        return false;
    ret->attached = virga_rows_int(rows, 0, 0);
    ret->bounds = virga_rows_int(rows, 0, 1);
    return true;
}

bool
virga_iam_policy_find(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *arn,
                      bool lock, VirgaIamEntity **ret, GError **error)
{
    const IamAwsPolicy *aws = iam_aws_policy_find(arn);
    char *owner, *path, *name;
    GError *reason = NULL;

    if (aws && lock)
        return virga_fail(error, "identity", VIRGA_ERROR_DENIED, "Policy %s is AWS's.", arn);
    if (aws) {
        *ret = virga_arena_new_array(arena, VirgaIamEntity, 1);
        return show_aws_policy(txn, arena, account_id, aws, *ret, error);
    }
    if (!virga_iam_arn_split(arena, arn, VIRGA_IAM_POLICY, &owner, &path, &name))
        return virga_fail(error, "identity input", VIRGA_ERROR_INVALID, "ARN %.200s is not valid.",
                          arn);
    if (!g_str_equal(owner, account_id))
        return fail_missing(arn, error);
    if (!virga_iam_find(txn, arena, account_id, VIRGA_IAM_POLICY, name, lock, ret, &reason)) {
        if (!virga_error_is(reason, "identity", VIRGA_ERROR_NOT_FOUND)) {
            g_propagate_error(error, reason);
            return false;
        }
        g_error_free(reason);
        return fail_missing(arn, error);
    }
    return g_str_equal((*ret)->path, path) || fail_missing(arn, error);
}

bool
virga_iam_aws_policies(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                       VirgaIamEntity **ret, size_t *ret_count, GError **error)
{
    *ret = virga_arena_new_array(arena, VirgaIamEntity, iam_aws_policy_count);
    for (*ret_count = 0; *ret_count < iam_aws_policy_count; (*ret_count)++)
        if (!show_aws_policy(txn, arena, account_id, &iam_aws_policies[*ret_count],
                             &(*ret)[*ret_count], error))
            return false;
    return true;
}

/* ---- versions ---- */

static bool
aws_version(VirgaArena *arena, const VirgaIamEntity *policy, VirgaIamVersion **ret)
{
    const IamAwsPolicy *aws = iam_aws_policy_find(policy->arn);

    if (!aws)
        return false;
    *ret = virga_arena_new_array(arena, VirgaIamVersion, 1);
    **ret = (VirgaIamVersion){ 1, (char *) aws->document, true, AWS_CREATED };
    return true;
}

static bool
read_versions(const VirgaRows *rows, VirgaArena *arena, const VirgaIamEntity *policy,
              VirgaIamVersion **ret, size_t *ret_count)
{
    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaIamVersion, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] =
            (VirgaIamVersion){ .number = virga_rows_int(rows, i, 0),
                               .document = virga_rows_dup(rows, arena, i, 1),
                               .is_default = virga_rows_int(rows, i, 0) == policy->default_version,
                               .created = virga_rows_time(rows, i, 2) };
    return true;
}

bool
virga_iam_versions(VirgaTxn *txn, VirgaArena *arena, const VirgaIamEntity *policy,
                   VirgaIamVersion **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;

    if (aws_version(arena, policy, ret)) {
        *ret_count = 1;
        return true;
    }
    rows = virga_txn_query(txn, error, sql_versions, "s", policy->id);
    return read_versions(rows, arena, policy, ret, ret_count);
}

static bool
fail_version(const VirgaIamEntity *policy, gint64 number, GError **error)
{
    return virga_fail(error, "identity", VIRGA_ERROR_NOT_FOUND,
                      "Policy %s version v%" G_GINT64_FORMAT
                      " does not exist or is not attachable.",
                      policy->arn, number);
}

bool
virga_iam_version_find(VirgaTxn *txn, VirgaArena *arena, const VirgaIamEntity *policy,
                       gint64 number, VirgaIamVersion **ret, GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;
    size_t count;

    if (aws_version(arena, policy, ret))
        return number == 1 || fail_version(policy, number, error);
    rows = virga_txn_query(txn, error, sql_version, "si", policy->id, number);
    if (!read_versions(rows, arena, policy, ret, &count))
        return false;
    return count > 0 || fail_version(policy, number, error);
}

bool
virga_iam_version_create(VirgaTxn *txn, VirgaArena *arena, VirgaIamEntity *policy,
                         const char *document, bool set_default, VirgaIamVersion *ret,
                         GError **error)
{
    g_autoptr(VirgaRows) next = NULL, made = NULL;

    if (!check_document(document, error))
        return false;
    next = virga_txn_query(txn, error, sql_next, "sb", policy->id, set_default);
    if (!next)
        return false;
    if (virga_rows_int(next, 0, 1) >= VIRGA_IAM_VERSIONS_MAX)
        return virga_fail(error, "identity", VIRGA_ERROR_QUOTA,
                          "A managed policy can have up to %d versions. Before you create a new "
                          "version, you must delete an existing version.",
                          VIRGA_IAM_VERSIONS_MAX);
    *ret = (VirgaIamVersion){ .number = virga_rows_int(next, 0, 0),
                              .document = virga_arena_strdup(arena, document),
                              .is_default = set_default };
    made = virga_txn_query(txn, error, sql_version_add, "sis", policy->id, ret->number, document);
    if (!made)
        return false;
    ret->created = virga_rows_time(made, 0, 0);
    return true;
}

bool
virga_iam_version_delete(VirgaTxn *txn, const VirgaIamEntity *policy, gint64 number, GError **error)
{
    gint64 deleted;

    if (number == policy->default_version)
        return virga_fail(error, "identity", VIRGA_ERROR_IN_USE,
                          "Cannot delete the default version of a policy.");
    return virga_txn_run(txn, error, &deleted, sql_version_delete, "si", policy->id, number) &&
           (deleted > 0 || fail_version(policy, number, error));
}

bool
virga_iam_version_set_default(VirgaTxn *txn, VirgaIamEntity *policy, gint64 number, GError **error)
{
    gint64 changed;

    return virga_txn_run(txn, error, &changed, sql_default, "si", policy->id, number) &&
           (changed > 0 || fail_version(policy, number, error));
}
