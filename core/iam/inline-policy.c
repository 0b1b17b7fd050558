/* SPDX-License-Identifier: Apache-2.0 */
/* Policies that lie in a user, group or role and go with it. */
#include "core/error.h"
#include "core/iam-policy.h"

#include <string.h>

#define NAME_CHARS_MAX 128

/* Of all inline policies together. */
static const gint64 characters_max[] = {
    [VIRGA_IAM_USER] = 2048, [VIRGA_IAM_GROUP] = 5120, [VIRGA_IAM_ROLE] = 10240
};

static const char sql_put[] =
    "INSERT INTO iam_inline_policy (entity_id, name, document) VALUES ($1, $2, $3)"
    " ON CONFLICT (entity_id, name) DO UPDATE SET document = $3";
static const char sql_size[] =
    "SELECT coalesce(sum(length(regexp_replace(document, '\\s', '', 'g'))), 0)::bigint"
    " FROM iam_inline_policy WHERE entity_id = $1";
static const char sql_get[] =
    "SELECT document FROM iam_inline_policy WHERE entity_id = $1 AND name = $2";
static const char sql_delete[] = "DELETE FROM iam_inline_policy WHERE entity_id = $1 AND name = $2";
static const char sql_list[] =
    "SELECT name, document FROM iam_inline_policy WHERE entity_id = $1 AND name COLLATE \"C\" > $2"
    " ORDER BY name COLLATE \"C\" LIMIT $3";

static bool
check_name(const char *name, GError **error)
{
    size_t length = strlen(name);

    return (length >= 1 && length <= NAME_CHARS_MAX &&
            strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "+=,.@_-") == length) ||
           virga_fail(error, "identity", VIRGA_ERROR_INVALID,
                      "The specified value for policyName is invalid. It must contain only "
                      "alphanumeric characters and/or the following: +=,.@_-");
}

bool
virga_iam_inline_put(VirgaTxn *txn, const VirgaIamEntity *entity, const char *name,
                     const char *document, GError **error)
{
    g_autoptr(VirgaArena) scratch = virga_arena_new();
    gint64 max = characters_max[entity->kind];
    g_autoptr(VirgaRows) rows = NULL;

    if (!check_name(name, error) ||
        !virga_policy_parse(scratch, VIRGA_POLICY_IDENTITY, document, error) ||
        !virga_txn_run(txn, error, NULL, sql_put, "sss", entity->id, name, document))
        return false;
    rows = virga_txn_query(txn, error, sql_size, "s", entity->id);
    if (!rows)
        return false;
    return virga_rows_int(rows, 0, 0) <= max ||
           virga_fail(error, "identity", VIRGA_ERROR_QUOTA,
                      "Maximum policy size of %" G_GINT64_FORMAT " bytes exceeded for %s %s", max,
                      virga_iam_kind_name(entity->kind), entity->name);
}

static bool
fail_missing(const VirgaIamEntity *entity, const char *name, GError **error)
{
    return virga_fail(error, "identity", VIRGA_ERROR_NOT_FOUND,
                      "The %s policy with name %s cannot be found.",
                      virga_iam_kind_name(entity->kind), name);
}

bool
virga_iam_inline_get(VirgaTxn *txn, VirgaArena *arena, const VirgaIamEntity *entity,
                     const char *name, char **ret_document, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_get, "ss", entity->id, name);

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return fail_missing(entity, name, error);
    *ret_document = virga_rows_dup(rows, arena, 0, 0);
    return true;
}

bool
virga_iam_inline_delete(VirgaTxn *txn, const VirgaIamEntity *entity, const char *name,
                        GError **error)
{
    gint64 deleted;

    return virga_txn_run(txn, error, &deleted, sql_delete, "ss", entity->id, name) &&
           (deleted > 0 || fail_missing(entity, name, error));
}

bool
virga_iam_inline_list(VirgaTxn *txn, VirgaArena *arena, const VirgaIamEntity *entity,
                      const char *after, gint64 limit, VirgaIamInline **ret, size_t *ret_count,
                      GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_list, "ssi", entity->id, after ? after : "", limit);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaIamInline, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaIamInline){ virga_rows_dup(rows, arena, i, 0),
                                      virga_rows_dup(rows, arena, i, 1) };
    return true;
}
