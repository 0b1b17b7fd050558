/* SPDX-License-Identifier: Apache-2.0 */
/* Managed policies of users, groups and roles, and the boundaries of users and roles. */
#include "common.h"

static bool
attach(const VirgaCall *call, VirgaTxn *txn, VirgaIamKind kind, const char *name, const char *arn,
       GError **error)
{
    VirgaIamEntity *entity;

    return iam_lock(call, txn, kind, name, &entity, error) &&
           virga_iam_attach(txn, call->arena, entity, arn, error);
}

static bool
detach(const VirgaCall *call, VirgaTxn *txn, VirgaIamKind kind, const char *name, const char *arn,
       GError **error)
{
    VirgaIamEntity *entity;

    return iam_lock(call, txn, kind, name, &entity, error) &&
           virga_iam_detach(txn, entity, arn, error);
}

/* Those below 'path_prefix'; the path stands in the ARN. */
static bool
list(const VirgaCall *call, VirgaTxn *txn, VirgaIamKind kind, const char *name,
     const char *path_prefix, VirgaIamAttached **ret, size_t *ret_count, GError **error)
{
    VirgaIamAttached *all;
    VirgaIamEntity *entity;
    size_t count;

    if (!virga_iam_check_path(path_prefix, true, error) ||
        !iam_find(call, txn, kind, name, &entity, error) ||
        !virga_iam_attached(txn, call->arena, entity, &all, &count, error))
        return false;
    *ret = all;
    *ret_count = 0;
    for (size_t i = 0; i < count; i++)
        if (!path_prefix || g_str_has_prefix(strchr(all[i].arn, '/'), path_prefix))
            all[(*ret_count)++] = all[i];
    return true;
}

static IamAttachedPoliciesListType
shown(const VirgaCall *call, const VirgaIamAttached *policies, size_t count)
{
    IamAttachedPoliciesListType list = { iam_array(call, IamAttachedPolicy, count), count };

    for (size_t i = 0; i < count; i++)
        list.items[i] = (IamAttachedPolicy){ policies[i].name, policies[i].arn };
    return list;
}

#define ATTACHMENT_ACTIONS(kind, KIND, Kind)                                                       \
    IAM_ACTION(attach_##kind##_policy, Attach##Kind##Policy)                                       \
    {                                                                                              \
        return attach(call, txn, VIRGA_IAM_##KIND, request->kind##_name, request->policy_arn,      \
                      error);                                                                      \
    }                                                                                              \
    IAM_ACTION(detach_##kind##_policy, Detach##Kind##Policy)                                       \
    {                                                                                              \
        return detach(call, txn, VIRGA_IAM_##KIND, request->kind##_name, request->policy_arn,      \
                      error);                                                                      \
    }                                                                                              \
    IAM_ACTION(list_attached_##kind##_policies, ListAttached##Kind##Policies)                      \
    {                                                                                              \
        VirgaIamAttached *policies;                                                                \
        IamPage page;                                                                              \
        size_t count;                                                                              \
                                                                                                   \
        if (!iam_page_begin(call, request, &page, error) ||                                        \
            !list(call, txn, VIRGA_IAM_##KIND, request->kind##_name, request->path_prefix,         \
                  &policies, &count, error))                                                       \
            return false;                                                                          \
        iam_page_end(call, &page, policies, count, arn, response);                                 \
        response->attached_policies = shown(call, policies, count);                                \
        return true;                                                                               \
    }

ATTACHMENT_ACTIONS(user, USER, User)
ATTACHMENT_ACTIONS(group, GROUP, Group)
ATTACHMENT_ACTIONS(role, ROLE, Role)

/* ---- boundaries ---- */

static bool
bound(const VirgaCall *call, VirgaTxn *txn, VirgaIamKind kind, const char *name, const char *arn,
      GError **error)
{
    VirgaIamEntity *entity;

    if (!iam_lock(call, txn, kind, name, &entity, error) ||
        !iam_check_boundary(call, txn, arn, error))
        return false;
    if (!arn && !entity->boundary)
        return iam_fail(error, "NoSuchEntity", 404, "%s does not have a permissions boundary.",
                        name);
    entity->boundary = (char *) arn;
    return virga_iam_update(txn, call->arena, entity, error);
}

#define BOUNDARY_ACTIONS(kind, KIND, Kind)                                                         \
    IAM_ACTION(put_##kind##_permissions_boundary, Put##Kind##PermissionsBoundary)                  \
    {                                                                                              \
        return bound(call, txn, VIRGA_IAM_##KIND, request->kind##_name,                            \
                     request->permissions_boundary, error);                                        \
    }                                                                                              \
    IAM_ACTION(delete_##kind##_permissions_boundary, Delete##Kind##PermissionsBoundary)            \
    {                                                                                              \
        return bound(call, txn, VIRGA_IAM_##KIND, request->kind##_name, NULL, error);              \
    }

BOUNDARY_ACTIONS(user, USER, User)
BOUNDARY_ACTIONS(role, ROLE, Role)
