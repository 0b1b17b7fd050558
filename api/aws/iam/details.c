/* SPDX-License-Identifier: Apache-2.0 */
/* GetAccountAuthorizationDetails: everything that says who may do what. */
#include "common.h"

/* An entity in the one order in which pages go through all of them. */
typedef struct {
    char *key;
    const VirgaIamEntity *entity;
    bool is_aws;
} Row;

static const struct {
    const char *filter;
    VirgaIamKind kind;
    bool is_aws;
} sources[] = {
    { "Group", VIRGA_IAM_GROUP, false },
    { "Role", VIRGA_IAM_ROLE, false },
    { "User", VIRGA_IAM_USER, false },
    { "LocalManagedPolicy", VIRGA_IAM_POLICY, false },
    { "AWSManagedPolicy", VIRGA_IAM_POLICY, true },
};

typedef IamGetAccountAuthorizationDetailsRequest Request;
typedef IamGetAccountAuthorizationDetailsResponse Response;

static bool
is_wanted(const Request *request, const char *filter)
{
    for (size_t i = 0; i < request->filter.count; i++)
        if (g_str_equal(request->filter.items[i], filter))
            return true;
    return request->filter.count == 0;
}

static bool
collect(const VirgaCall *call, VirgaTxn *txn, const Request *request, GArray *rows, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(sources); i++) {
        VirgaIamEntity *found;
        size_t count;

        if (!is_wanted(request, sources[i].filter))
            continue;
        if (!(sources[i].is_aws
                  ? virga_iam_aws_policies(txn, call->arena, call->account_id, &found, &count,
                                           error)
                  : virga_iam_list(txn, call->arena, call->account_id, sources[i].kind, NULL, NULL,
                                   IAM_ALL, &found, &count, error)))
            return false;
        for (size_t j = 0; j < count; j++) {
            Row row = { virga_arena_printf(call->arena, "%zu%s", i, found[j].name), &found[j],
                        sources[i].is_aws };

            /* Of AWS's, those that are used. */
            if (!row.is_aws || found[j].attached + found[j].bounds > 0)
                g_array_append_val(rows, row);
        }
    }
    return true;
}

/* ---- the parts of a detail ---- */

static bool
read_inline(const VirgaCall *call, VirgaTxn *txn, const VirgaIamEntity *entity,
            IamPolicyDetailListType *ret, GError **error)
{
    VirgaIamInline *policies;
    size_t count;

    if (!virga_iam_inline_list(txn, call->arena, entity, NULL, IAM_ALL, &policies, &count, error))
        return false;
    *ret = (IamPolicyDetailListType){ iam_array(call, IamPolicyDetail, count), count };
    for (size_t i = 0; i < count; i++)
        ret->items[i] =
            (IamPolicyDetail){ policies[i].name, iam_document(call, policies[i].document) };
    return true;
}

static bool
read_attached(const VirgaCall *call, VirgaTxn *txn, const VirgaIamEntity *entity,
              IamAttachedPoliciesListType *ret, GError **error)
{
    VirgaIamAttached *policies;
    size_t count;

    if (!virga_iam_attached(txn, call->arena, entity, &policies, &count, error))
        return false;
    *ret = (IamAttachedPoliciesListType){ iam_array(call, IamAttachedPolicy, count), count };
    for (size_t i = 0; i < count; i++)
        ret->items[i] = (IamAttachedPolicy){ policies[i].name, policies[i].arn };
    return true;
}

static bool
read_groups(const VirgaCall *call, VirgaTxn *txn, const VirgaIamEntity *user,
            IamGroupNameListType *ret, GError **error)
{
    VirgaIamEntity *groups;
    size_t count;

    if (!virga_iam_members(txn, call->arena, user, NULL, IAM_ALL, &groups, &count, error))
        return false;
    *ret = (IamGroupNameListType){ iam_array(call, const char *, count), count };
    for (size_t i = 0; i < count; i++)
        ret->items[i] = groups[i].name;
    return true;
}

static bool
add_user(const VirgaCall *call, VirgaTxn *txn, const VirgaIamEntity *user, Response *response,
         GError **error)
{
    IamUserDetail *detail = &response->user_detail_list.items[response->user_detail_list.count++];

    *detail = (IamUserDetail){ .path = user->path,
                               .user_name = user->name,
                               .user_id = user->id,
                               .arn = user->arn,
                               .create_date = user->created,
                               .permissions_boundary = iam_boundary(call, user) };
    return read_inline(call, txn, user, &detail->user_policy_list, error) &&
           read_groups(call, txn, user, &detail->group_list, error) &&
           read_attached(call, txn, user, &detail->attached_managed_policies, error) &&
           iam_tags_read(call, txn, user, &detail->tags, error);
}

static bool
add_group(const VirgaCall *call, VirgaTxn *txn, const VirgaIamEntity *group, Response *response,
          GError **error)
{
    IamGroupDetail *detail =
        &response->group_detail_list.items[response->group_detail_list.count++];

    *detail = (IamGroupDetail){ .path = group->path,
                                .group_name = group->name,
                                .group_id = group->id,
                                .arn = group->arn,
                                .create_date = group->created };
    return read_inline(call, txn, group, &detail->group_policy_list, error) &&
           read_attached(call, txn, group, &detail->attached_managed_policies, error);
}

static bool
add_role(const VirgaCall *call, VirgaTxn *txn, const VirgaIamEntity *role, Response *response,
         GError **error)
{
    IamRoleDetail *detail = &response->role_detail_list.items[response->role_detail_list.count++];
    VirgaIamEntity *profiles;
    size_t count;

    *detail = (IamRoleDetail){ .path = role->path,
                               .role_name = role->name,
                               .role_id = role->id,
                               .arn = role->arn,
                               .create_date = role->created,
                               .assume_role_policy_document = iam_document(call, role->trust),
                               .permissions_boundary = iam_boundary(call, role) };
    return virga_iam_profile_partners(txn, call->arena, role, NULL, IAM_ALL, &profiles, &count,
                                      error) &&
           iam_profiles(call, txn, profiles, count, &detail->instance_profile_list, error) &&
           read_inline(call, txn, role, &detail->role_policy_list, error) &&
           read_attached(call, txn, role, &detail->attached_managed_policies, error) &&
           iam_tags_read(call, txn, role, &detail->tags, error);
}

static bool
add_policy(const VirgaCall *call, VirgaTxn *txn, const VirgaIamEntity *policy, Response *response,
           GError **error)
{
    IamManagedPolicyDetail *detail = &response->policies.items[response->policies.count++];
    IamPolicy plain = iam_policy(call, policy);
    VirgaIamVersion *versions;
    size_t count;

    if (!virga_iam_versions(txn, call->arena, policy, &versions, &count, error))
        return false;
    *detail = (IamManagedPolicyDetail){
        .policy_name = plain.policy_name,
        .policy_id = plain.policy_id,
        .arn = plain.arn,
        .path = plain.path,
        .default_version_id = plain.default_version_id,
        .attachment_count = plain.attachment_count,
        .has_attachment_count = true,
        .permissions_boundary_usage_count = plain.permissions_boundary_usage_count,
        .has_permissions_boundary_usage_count = true,
        .is_attachable = true,
        .has_is_attachable = true,
        .description = plain.description,
        .create_date = plain.create_date,
        .update_date = plain.update_date,
        .policy_version_list = { iam_array(call, IamPolicyVersion, count), count },
    };
    for (size_t i = 0; i < count; i++)
        detail->policy_version_list.items[i] =
            (IamPolicyVersion){ .document = iam_document(call, versions[i].document),
                                .version_id = iam_version_id(call, versions[i].number),
                                .is_default_version = versions[i].is_default,
                                .has_is_default_version = true,
                                .create_date = versions[i].created };
    return true;
}

IAM_ACTION(get_account_authorization_details, GetAccountAuthorizationDetails)
{
    static bool (*const add[])(const VirgaCall *, VirgaTxn *, const VirgaIamEntity *, Response *,
                               GError **) = { [VIRGA_IAM_USER] = add_user,
                                              [VIRGA_IAM_GROUP] = add_group,
                                              [VIRGA_IAM_ROLE] = add_role,
                                              [VIRGA_IAM_POLICY] = add_policy };
    g_autoptr(GArray) array = g_array_new(FALSE, FALSE, sizeof(Row));
    IamPage page;
    size_t count;
    Row *rows;

    if (!iam_page_begin(call, request, &page, error) || !collect(call, txn, request, array, error))
        return false;
    rows = (Row *) (void *) array->data;
    count = array->len;
    iam_page_end(call, &page, rows, count, key, response);
    response->user_detail_list.items = iam_array(call, IamUserDetail, count);
    response->group_detail_list.items = iam_array(call, IamGroupDetail, count);
    response->role_detail_list.items = iam_array(call, IamRoleDetail, count);
    response->policies.items = iam_array(call, IamManagedPolicyDetail, count);
    for (size_t i = 0; i < count; i++)
        if (!add[rows[i].entity->kind](call, txn, rows[i].entity, response, error))
            return false;
    return true;
}
