/* SPDX-License-Identifier: Apache-2.0 */
/* Managed policies and their versions. */
#include "common.h"

static bool
find(const VirgaCall *call, VirgaTxn *txn, const char *arn, bool lock, VirgaIamEntity **ret,
     GError **error)
{
    g_autoptr(GError) reason = NULL;

    if (virga_iam_policy_find(txn, call->arena, call->account_id, arn, lock, ret, &reason))
        return true;
    if (virga_error_is(reason, "identity", VIRGA_ERROR_DENIED))
        return virga_call_refuse(call, virga_arena_printf(call->arena, "iam:%s", call->wire->name),
                                 arn, NULL, error);
    g_propagate_error(error, g_steal_pointer(&reason));
    return false;
}

IAM_ACTION(create_policy, CreatePolicy)
{
    VirgaIamEntity policy = { .account_id = (char *) call->account_id,
                              .name = (char *) request->policy_name,
                              .path = (char *) request->path,
                              .description = (char *) request->description };
    VirgaTag *tags = iam_tags_given(call, &request->tags);

    if (!virga_iam_policy_create(txn, call->arena, &policy, request->policy_document, tags,
                                 request->tags.count, error))
        return false;
    response->policy = iam_new(call, IamPolicy);
    *response->policy = iam_policy(call, &policy);
    response->policy->tags = iam_tags_shown(call, tags, request->tags.count);
    return true;
}

IAM_ACTION(get_policy, GetPolicy)
{
    VirgaIamEntity *policy;

    if (!find(call, txn, request->policy_arn, false, &policy, error))
        return false;
    response->policy = iam_new(call, IamPolicy);
    *response->policy = iam_policy(call, policy);
    return iam_tags_read(call, txn, policy, &response->policy->tags, error);
}

IAM_ACTION(delete_policy, DeletePolicy)
{
    VirgaIamEntity *policy;

    return find(call, txn, request->policy_arn, true, &policy, error) &&
           virga_iam_delete(txn, policy, error);
}

/* ---- lists ---- */

static bool
passes(const IamListPoliciesRequest *request, const VirgaIamEntity *policy)
{
    bool bounds = g_strcmp0(request->policy_usage_filter, "PermissionsBoundary") == 0;
    bool rights = g_strcmp0(request->policy_usage_filter, "PermissionsPolicy") == 0;

    if (request->path_prefix && !g_str_has_prefix(policy->path, request->path_prefix))
        return false;
    if (request->only_attached && policy->attached + policy->bounds == 0)
        return false;
    return (!bounds || policy->bounds > 0) && (!rights || policy->attached > 0);
}

IAM_ACTION(list_policies, ListPolicies)
{
    const char *scope = request->scope ? request->scope : "All";
    VirgaIamEntity *own = NULL, *aws = NULL, *both;
    size_t own_count = 0, aws_count = 0, count = 0;
    IamPage page;

    if (!virga_iam_check_path(request->path_prefix, true, error) ||
        !iam_page_begin(call, request, &page, error) ||
        (!g_str_equal(scope, "AWS") &&
         !virga_iam_list(txn, call->arena, call->account_id, VIRGA_IAM_POLICY, NULL, NULL, IAM_ALL,
                         &own, &own_count, error)) ||
        (!g_str_equal(scope, "Local") &&
         !virga_iam_aws_policies(txn, call->arena, call->account_id, &aws, &aws_count, error)))
        return false;
    both = iam_array(call, VirgaIamEntity, own_count + aws_count);
    for (size_t i = 0; i < own_count + aws_count; i++) {
        const VirgaIamEntity *policy = i < own_count ? &own[i] : &aws[i - own_count];

        if (passes(request, policy))
            both[count++] = *policy;
    }
    iam_page_end(call, &page, both, count, arn, response);
    response->policies.items = iam_array(call, IamPolicy, count);
    for (; response->policies.count < count; response->policies.count++)
        response->policies.items[response->policies.count] =
            iam_policy(call, &both[response->policies.count]);
    return true;
}

/* ---- who has it ---- */

/* The holders that are of the kind that was asked for. */
static bool
list_holders(const VirgaCall *call, VirgaTxn *txn, const IamListEntitiesForPolicyRequest *request,
             VirgaIamEntity **ret, size_t *ret_count, GError **error)
{
    const char *usage = request->policy_usage_filter;
    const char *prefix = request->path_prefix ? request->path_prefix : "/";
    VirgaIamEntity *found[2] = { NULL, NULL };
    size_t counts[2] = { 0, 0 };

    for (int bounded = 0; bounded < 2; bounded++)
        if ((!usage || g_str_equal(usage, bounded ? "PermissionsBoundary" : "PermissionsPolicy")) &&
            !virga_iam_policy_holders(txn, call->arena, call->account_id, request->policy_arn,
                                      bounded, &found[bounded], &counts[bounded], error))
            return false;
    *ret = iam_array(call, VirgaIamEntity, counts[0] + counts[1]);
    *ret_count = 0;
    for (size_t i = 0; i < counts[0] + counts[1]; i++) {
        const VirgaIamEntity *holder = i < counts[0] ? &found[0][i] : &found[1][i - counts[0]];

        if (g_str_has_prefix(holder->path, prefix) &&
            (!request->entity_filter ||
             g_ascii_strcasecmp(request->entity_filter, virga_iam_kind_name(holder->kind)) == 0))
            (*ret)[(*ret_count)++] = *holder;
    }
    return true;
}

IAM_ACTION(list_entities_for_policy, ListEntitiesForPolicy)
{
    VirgaIamEntity *policy, *holders;
    IamPage page;
    size_t count;

    if (!iam_page_begin(call, request, &page, error) ||
        !find(call, txn, request->policy_arn, false, &policy, error) ||
        !list_holders(call, txn, request, &holders, &count, error))
        return false;
    iam_page_end(call, &page, holders, count, arn, response);
    response->policy_users.items = iam_array(call, IamPolicyUser, count);
    response->policy_groups.items = iam_array(call, IamPolicyGroup, count);
    response->policy_roles.items = iam_array(call, IamPolicyRole, count);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && g_str_equal(holders[i - 1].id, holders[i].id))
            continue; /* it has the policy and is bounded by it */
        if (holders[i].kind == VIRGA_IAM_USER)
            response->policy_users.items[response->policy_users.count++] =
                (IamPolicyUser){ holders[i].name, holders[i].id };
        else if (holders[i].kind == VIRGA_IAM_GROUP)
            response->policy_groups.items[response->policy_groups.count++] =
                (IamPolicyGroup){ holders[i].name, holders[i].id };
        else
            response->policy_roles.items[response->policy_roles.count++] =
                (IamPolicyRole){ holders[i].name, holders[i].id };
    }
    return true;
}

/* ---- versions ---- */

static IamPolicyVersion
version(const VirgaCall *call, const VirgaIamVersion *row, bool with_document)
{
    return (IamPolicyVersion){ .document = with_document ? iam_document(call, row->document) : NULL,
                               .version_id = iam_version_id(call, row->number),
                               .is_default_version = row->is_default,
                               .has_is_default_version = true,
                               .create_date = row->created };
}

IAM_ACTION(create_policy_version, CreatePolicyVersion)
{
    VirgaIamEntity *policy;
    VirgaIamVersion made;

    if (!find(call, txn, request->policy_arn, true, &policy, error) ||
        !virga_iam_version_create(txn, call->arena, policy, request->policy_document,
                                  request->set_as_default, &made, error))
        return false;
    response->policy_version = iam_new(call, IamPolicyVersion);
    *response->policy_version = version(call, &made, false);
    return true;
}

IAM_ACTION(get_policy_version, GetPolicyVersion)
{
    VirgaIamEntity *policy;
    VirgaIamVersion *found;
    gint64 number;

    if (!iam_version_number(request->version_id, &number, error) ||
        !find(call, txn, request->policy_arn, false, &policy, error) ||
        !virga_iam_version_find(txn, call->arena, policy, number, &found, error))
        return false;
    response->policy_version = iam_new(call, IamPolicyVersion);
    *response->policy_version = version(call, found, true);
    return true;
}

IAM_ACTION(list_policy_versions, ListPolicyVersions)
{
    VirgaIamEntity *policy;
    VirgaIamVersion *versions;
    size_t count;

    /* There are five at most: one page. */
    if (!find(call, txn, request->policy_arn, false, &policy, error) ||
        !virga_iam_versions(txn, call->arena, policy, &versions, &count, error))
        return false;
    response->versions.items = iam_array(call, IamPolicyVersion, count);
    for (; response->versions.count < count; response->versions.count++)
        response->versions.items[response->versions.count] =
            version(call, &versions[response->versions.count], false);
    response->is_truncated = false;
    response->has_is_truncated = true;
    return true;
}

IAM_ACTION(delete_policy_version, DeletePolicyVersion)
{
    VirgaIamEntity *policy;
    gint64 number;

    return iam_version_number(request->version_id, &number, error) &&
           find(call, txn, request->policy_arn, true, &policy, error) &&
           virga_iam_version_delete(txn, policy, number, error);
}

IAM_ACTION(set_default_policy_version, SetDefaultPolicyVersion)
{
    VirgaIamEntity *policy;
    gint64 number;

    return iam_version_number(request->version_id, &number, error) &&
           find(call, txn, request->policy_arn, true, &policy, error) &&
           virga_iam_version_set_default(txn, policy, number, error);
}
