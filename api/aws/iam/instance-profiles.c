/* SPDX-License-Identifier: Apache-2.0 */
/* Instance profiles: what hands a role to instances. */
#include "common.h"

static bool
show(const VirgaCall *call, VirgaTxn *txn, const VirgaIamEntity *profile, IamInstanceProfile **ret,
     GError **error)
{
    *ret = iam_new(call, IamInstanceProfile);
    return iam_profile(call, txn, profile, *ret, error) &&
           iam_tags_read(call, txn, profile, &(*ret)->tags, error);
}

IAM_ACTION(create_instance_profile, CreateInstanceProfile)
{
    VirgaIamEntity profile = { .kind = VIRGA_IAM_INSTANCE_PROFILE,
                               .account_id = (char *) call->account_id,
                               .name = (char *) request->instance_profile_name,
                               .path = (char *) request->path };

    return virga_iam_create(txn, call->arena, &profile, iam_tags_given(call, &request->tags),
                            request->tags.count, error) &&
           show(call, txn, &profile, &response->instance_profile, error);
}

IAM_ACTION(get_instance_profile, GetInstanceProfile)
{
    VirgaIamEntity *profile;

    return iam_find(call, txn, VIRGA_IAM_INSTANCE_PROFILE, request->instance_profile_name, &profile,
                    error) &&
           show(call, txn, profile, &response->instance_profile, error);
}

IAM_ACTION(delete_instance_profile, DeleteInstanceProfile)
{
    VirgaIamEntity *profile;

    return iam_lock(call, txn, VIRGA_IAM_INSTANCE_PROFILE, request->instance_profile_name, &profile,
                    error) &&
           virga_iam_delete(txn, profile, error);
}

IAM_ACTION(list_instance_profiles, ListInstanceProfiles)
{
    VirgaIamEntity *profiles;
    IamPage page;
    size_t count;

    if (!virga_iam_check_path(request->path_prefix, true, error) ||
        !iam_page_begin(call, request, &page, error) ||
        !virga_iam_list(txn, call->arena, call->account_id, VIRGA_IAM_INSTANCE_PROFILE,
                        request->path_prefix, page.after, iam_page_limit(&page), &profiles, &count,
                        error))
        return false;
    iam_page_end(call, &page, profiles, count, name, response);
    return iam_profiles(call, txn, profiles, count, &response->instance_profiles, error);
}

IAM_ACTION(list_instance_profiles_for_role, ListInstanceProfilesForRole)
{
    VirgaIamEntity *role, *profiles;
    IamPage page;
    size_t count;

    if (!iam_page_begin(call, request, &page, error) ||
        !iam_find(call, txn, VIRGA_IAM_ROLE, request->role_name, &role, error) ||
        !virga_iam_profile_partners(txn, call->arena, role, page.after, iam_page_limit(&page),
                                    &profiles, &count, error))
        return false;
    iam_page_end(call, &page, profiles, count, name, response);
    return iam_profiles(call, txn, profiles, count, &response->instance_profiles, error);
}

/* Whoever puts a role into a profile hands it over to instances. */
IAM_ACTION(add_role_to_instance_profile, AddRoleToInstanceProfile)
{
    static const VirgaCallKey keys[] = { { "iam:PassedToService", "ec2.amazonaws.com" },
                                         { NULL, NULL } };
    VirgaIamEntity *profile, *role;

    return iam_lock(call, txn, VIRGA_IAM_INSTANCE_PROFILE, request->instance_profile_name, &profile,
                    error) &&
           iam_lock(call, txn, VIRGA_IAM_ROLE, request->role_name, &role, error) &&
           virga_call_authorize(call, "iam:PassRole", role->arn, keys, error) &&
           virga_iam_profile_add(txn, profile, role, error);
}

IAM_ACTION(remove_role_from_instance_profile, RemoveRoleFromInstanceProfile)
{
    VirgaIamEntity *profile, *role;

    return iam_lock(call, txn, VIRGA_IAM_INSTANCE_PROFILE, request->instance_profile_name, &profile,
                    error) &&
           iam_lock(call, txn, VIRGA_IAM_ROLE, request->role_name, &role, error) &&
           virga_iam_profile_remove(txn, profile, role, error);
}
