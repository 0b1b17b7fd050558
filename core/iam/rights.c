/* SPDX-License-Identifier: Apache-2.0 */
/* All that says what a user or role may do. */
#include "aws-policies.h"

#include "core/error.h"
#include "core/iam-policy.h"

/* Documents, or the ARNs of policies that the program itself has. */
static const char sql_documents[] =
    "WITH who (id) AS (SELECT $1::text UNION ALL SELECT group_id FROM iam_member"
    " WHERE user_id = $1)"
    " SELECT document, NULL FROM iam_inline_policy WHERE entity_id IN (SELECT id FROM who)"
    " UNION ALL SELECT v.document, a.policy_arn FROM iam_attachment a"
    " LEFT JOIN iam_entity p ON p.id = a.policy_id"
    " LEFT JOIN iam_policy_version v ON v.policy_id = p.id AND v.version = p.default_version"
    " WHERE a.entity_id IN (SELECT id FROM who)";

/* What was a policy when it was written and is none now must not be passed over: it may deny. */
static const VirgaPolicy *
parse_stored(VirgaArena *arena, const char *document, GError **error)
{
    g_autoptr(GError) reason = NULL;
    const VirgaPolicy *policy =
        document ? virga_policy_parse(arena, VIRGA_POLICY_IDENTITY, document, &reason) : NULL;

    if (!policy)
        virga_fail(error, "identity", VIRGA_ERROR_INTERNAL, "a stored policy cannot be read: %s",
                   reason ? reason->message : "it is gone");
    return policy;
}

bool
virga_iam_policy_read(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *arn,
                      const VirgaPolicy **ret, GError **error)
{
    VirgaIamEntity *policy;
    VirgaIamVersion *version;

    if (!virga_iam_policy_find(txn, arena, account_id, arn, false, &policy, error) ||
        !virga_iam_version_find(txn, arena, policy, policy->default_version, &version, error))
        return false;
    *ret = parse_stored(arena, version->document, error);
    return *ret != NULL;
}

static bool
read_policies(VirgaTxn *txn, VirgaArena *arena, VirgaIamRights *rights, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_documents, "s", rights->entity->id);

    if (!rows)
        return false;
    rights->policies =
        virga_arena_new_array(arena, const VirgaPolicy *, (size_t) virga_rows_count(rows));
    for (int i = 0; i < virga_rows_count(rows); i++) {
        const char *document = virga_rows_text(rows, i, 0);
        const char *arn = virga_rows_text(rows, i, 1);
        const IamAwsPolicy *aws = !document && arn ? iam_aws_policy_find(arn) : NULL;
        const VirgaPolicy *policy = parse_stored(arena, aws ? aws->document : document, error);

        if (!policy)
            return false;
        rights->policies[rights->policy_count++] = policy;
    }
    return true;
}

bool
virga_iam_rights_read(VirgaTxn *txn, VirgaArena *arena, const char *id, VirgaIamRights **ret,
                      GError **error)
{
    VirgaIamRights *rights = virga_arena_new_array(arena, VirgaIamRights, 1);
    const char *boundary;

    if (!virga_iam_find_id(txn, arena, id, &rights->entity, error) ||
        !read_policies(txn, arena, rights, error) ||
        !virga_iam_tags(txn, arena, id, &rights->tags, &rights->tag_count, error))
        return false;
    boundary = rights->entity->boundary;
    if (boundary && !virga_iam_policy_read(txn, arena, rights->entity->account_id, boundary,
                                           &rights->boundary, error))
        return false;
    *ret = rights;
    return true;
}
