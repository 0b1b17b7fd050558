/* SPDX-License-Identifier: Apache-2.0 */
/* Policies that lie in users, groups and roles: four actions for each of the three. */
#include "common.h"

static bool
put(const VirgaCall *call, VirgaTxn *txn, VirgaIamKind kind, const char *holder, const char *name,
    const char *document, GError **error)
{
    VirgaIamEntity *entity;

    return iam_lock(call, txn, kind, holder, &entity, error) &&
           virga_iam_inline_put(txn, entity, name, document, error);
}

static bool
get(const VirgaCall *call, VirgaTxn *txn, VirgaIamKind kind, const char *holder, const char *name,
    const char **ret_document, GError **error)
{
    VirgaIamEntity *entity;
    char *document;

    if (!iam_find(call, txn, kind, holder, &entity, error) ||
        !virga_iam_inline_get(txn, call->arena, entity, name, &document, error))
        return false;
    *ret_document = iam_document(call, document);
    return true;
}

static bool delete (const VirgaCall *call, VirgaTxn *txn, VirgaIamKind kind, const char *holder,
                    const char *name, GError **error)
{
    VirgaIamEntity *entity;

    return iam_lock(call, txn, kind, holder, &entity, error) &&
           virga_iam_inline_delete(txn, entity, name, error);
}

static bool
list(const VirgaCall *call, VirgaTxn *txn, VirgaIamKind kind, const char *holder,
     const IamPage *page, VirgaIamInline **ret, size_t *ret_count, GError **error)
{
    VirgaIamEntity *entity;

    return iam_find(call, txn, kind, holder, &entity, error) &&
           virga_iam_inline_list(txn, call->arena, entity, page->after, iam_page_limit(page), ret,
                                 ret_count, error);
}

static IamPolicyNameListType
names(const VirgaCall *call, const VirgaIamInline *policies, size_t count)
{
    IamPolicyNameListType names = { iam_array(call, const char *, count), count };

    for (size_t i = 0; i < count; i++)
        names.items[i] = policies[i].name;
    return names;
}

#define INLINE_ACTIONS(kind, KIND, Kind)                                                           \
    IAM_ACTION(put_##kind##_policy, Put##Kind##Policy)                                             \
    {                                                                                              \
        return put(call, txn, VIRGA_IAM_##KIND, request->kind##_name, request->policy_name,        \
                   request->policy_document, error);                                               \
    }                                                                                              \
    IAM_ACTION(get_##kind##_policy, Get##Kind##Policy)                                             \
    {                                                                                              \
        response->kind##_name = request->kind##_name;                                              \
        response->policy_name = request->policy_name;                                              \
        return get(call, txn, VIRGA_IAM_##KIND, request->kind##_name, request->policy_name,        \
                   &response->policy_document, error);                                             \
    }                                                                                              \
    IAM_ACTION(delete_##kind##_policy, Delete##Kind##Policy)                                       \
    {                                                                                              \
        return delete (call, txn, VIRGA_IAM_##KIND, request->kind##_name, request->policy_name,    \
                       error);                                                                     \
    }                                                                                              \
    IAM_ACTION(list_##kind##_policies, List##Kind##Policies)                                       \
    {                                                                                              \
        VirgaIamInline *policies;                                                                  \
        IamPage page;                                                                              \
        size_t count;                                                                              \
                                                                                                   \
        if (!iam_page_begin(call, request, &page, error) ||                                        \
            !list(call, txn, VIRGA_IAM_##KIND, request->kind##_name, &page, &policies, &count,     \
                  error))                                                                          \
            return false;                                                                          \
        iam_page_end(call, &page, policies, count, name, response);                                \
        response->policy_names = names(call, policies, count);                                     \
        return true;                                                                               \
    }

INLINE_ACTIONS(user, USER, User)
INLINE_ACTIONS(group, GROUP, Group)
INLINE_ACTIONS(role, ROLE, Role)
