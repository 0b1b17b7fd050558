/* SPDX-License-Identifier: Apache-2.0 */
/* Which managed policies users, groups and roles have. */
#include "aws-policies.h"
#include "iam-priv.h"

#include "core/error.h"
#include "core/iam-policy.h"

#include <string.h>

#define ATTACHED_MAX 10

static const char sql_attach[] =
    "INSERT INTO iam_attachment (entity_id, policy_arn, policy_id) VALUES ($1, $2, $3)"
    " ON CONFLICT DO NOTHING";
static const char sql_count[] = "SELECT count(*) FROM iam_attachment WHERE entity_id = $1";
static const char sql_detach[] =
    "DELETE FROM iam_attachment WHERE entity_id = $1 AND policy_arn = $2";
static const char sql_attached[] =
    "SELECT policy_arn FROM iam_attachment WHERE entity_id = $1 ORDER BY policy_arn COLLATE \"C\"";
static const char sql_holders[] =
    "SELECT " ENTITY_COLUMNS " FROM iam_attachment a JOIN iam_entity e ON e.id = a.entity_id"
    " WHERE a.policy_arn = $2 AND e.account_id = $1 ORDER BY e.name COLLATE \"C\"";
static const char sql_bounded[] =
    "SELECT " ENTITY_COLUMNS " FROM iam_entity e WHERE e.boundary = $2 AND e.account_id = $1"
    " ORDER BY e.name COLLATE \"C\"";

bool
virga_iam_attach(VirgaTxn *txn, VirgaArena *arena, const VirgaIamEntity *entity,
                 const char *policy_arn, GError **error)
{
    VirgaIamEntity *policy;
    g_autoptr(VirgaRows) rows = NULL;
    bool is_aws = iam_aws_policy_find(policy_arn) != NULL;

    if (!virga_iam_policy_find(txn, arena, entity->account_id, policy_arn, false, &policy, error) ||
        !virga_txn_run(txn, error, NULL, sql_attach, "sss", entity->id, policy->arn,
                       is_aws ? NULL : policy->id))
        return false;
    rows = virga_txn_query(txn, error, sql_count, "s", entity->id);
    if (!rows)
        return false;
    return virga_rows_int(rows, 0, 0) <= ATTACHED_MAX ||
           virga_fail(error, "identity", VIRGA_ERROR_QUOTA,
                      "Cannot exceed quota for PoliciesPer%s: %d",
                      entity->kind == VIRGA_IAM_USER    ? "User"
                      : entity->kind == VIRGA_IAM_GROUP ? "Group"
                                                        : "Role",
                      ATTACHED_MAX);
}

bool
virga_iam_detach(VirgaTxn *txn, const VirgaIamEntity *entity, const char *policy_arn,
                 GError **error)
{
    gint64 deleted;

    return virga_txn_run(txn, error, &deleted, sql_detach, "ss", entity->id, policy_arn) &&
           (deleted > 0 || virga_fail(error, "identity", VIRGA_ERROR_NOT_FOUND,
                                      "Policy %s was not found.", policy_arn));
}

bool
virga_iam_attached(VirgaTxn *txn, VirgaArena *arena, const VirgaIamEntity *entity,
                   VirgaIamAttached **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_attached, "s", entity->id);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaIamAttached, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++) {
        char *arn = virga_rows_dup(rows, arena, i, 0);

        (*ret)[i] = (VirgaIamAttached){ strrchr(arn, '/') + 1, arn };
    }
    return true;
}

bool
virga_iam_policy_holders(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                         const char *policy_arn, bool bounded, VirgaIamEntity **ret,
                         size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, bounded ? sql_bounded : sql_holders,
                                                "ss", account_id, policy_arn);

    return iam_read_entities(rows, arena, ret, ret_count);
}
