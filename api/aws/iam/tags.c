/* SPDX-License-Identifier: Apache-2.0 */
/* Tags of users, roles, instance profiles and policies. */
#include "common.h"

/* 'name' is a policy's ARN. */
static bool
find_any(const VirgaCall *call, VirgaTxn *txn, VirgaIamKind kind, const char *name, bool lock,
         VirgaIamEntity **ret, GError **error)
{
    return kind == VIRGA_IAM_POLICY
               ? virga_iam_policy_find(txn, call->arena, call->account_id, name, lock, ret, error)
               : virga_iam_find(txn, call->arena, call->account_id, kind, name, lock, ret, error);
}

static bool
set(const VirgaCall *call, VirgaTxn *txn, VirgaIamKind kind, const char *name,
    const IamTagListType *tags, GError **error)
{
    VirgaIamEntity *entity;

    return find_any(call, txn, kind, name, true, &entity, error) &&
           virga_iam_tags_set(txn, entity, iam_tags_given(call, tags), tags->count, error);
}

static bool
unset(const VirgaCall *call, VirgaTxn *txn, VirgaIamKind kind, const char *name,
      const IamTagKeyListType *keys, GError **error)
{
    const char **list = iam_array(call, const char *, keys->count + 1);
    VirgaIamEntity *entity;

    for (size_t i = 0; i < keys->count; i++)
        list[i] = keys->items[i];
    return find_any(call, txn, kind, name, true, &entity, error) &&
           virga_iam_tags_unset(txn, entity, list, error);
}

static bool
list(const VirgaCall *call, VirgaTxn *txn, VirgaIamKind kind, const char *name, VirgaTag **ret,
     size_t *ret_count, GError **error)
{
    VirgaIamEntity *entity;

    return find_any(call, txn, kind, name, false, &entity, error) &&
           virga_iam_tags(txn, call->arena, entity->id, ret, ret_count, error);
}

#define TAG_ACTIONS(kind, KIND, Kind, name)                                                        \
    IAM_ACTION(tag_##kind, Tag##Kind)                                                              \
    {                                                                                              \
        return set(call, txn, VIRGA_IAM_##KIND, request->name, &request->tags, error);             \
    }                                                                                              \
    IAM_ACTION(untag_##kind, Untag##Kind)                                                          \
    {                                                                                              \
        return unset(call, txn, VIRGA_IAM_##KIND, request->name, &request->tag_keys, error);       \
    }                                                                                              \
    IAM_ACTION(list_##kind##_tags, List##Kind##Tags)                                               \
    {                                                                                              \
        IamPage page;                                                                              \
        VirgaTag *tags;                                                                            \
        size_t count;                                                                              \
                                                                                                   \
        if (!iam_page_begin(call, request, &page, error) ||                                        \
            !list(call, txn, VIRGA_IAM_##KIND, request->name, &tags, &count, error))               \
            return false;                                                                          \
        iam_page_end(call, &page, tags, count, key, response);                                     \
        response->tags = iam_tags_shown(call, tags, count);                                        \
        return true;                                                                               \
    }

TAG_ACTIONS(user, USER, User, user_name)
TAG_ACTIONS(role, ROLE, Role, role_name)
TAG_ACTIONS(instance_profile, INSTANCE_PROFILE, InstanceProfile, instance_profile_name)
TAG_ACTIONS(policy, POLICY, Policy, policy_arn)
