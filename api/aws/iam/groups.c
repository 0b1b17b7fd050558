/* SPDX-License-Identifier: Apache-2.0 */
/* Groups and their members. */
#include "common.h"

static IamGroupListType
shown(const VirgaCall *call, const VirgaIamEntity *groups, size_t count)
{
    IamGroupListType list = { iam_array(call, IamGroup, count), count };

    for (size_t i = 0; i < count; i++)
        list.items[i] = iam_group(&groups[i]);
    return list;
}

IAM_ACTION(create_group, CreateGroup)
{
    VirgaIamEntity group = { .kind = VIRGA_IAM_GROUP,
                             .account_id = (char *) call->account_id,
                             .name = (char *) request->group_name,
                             .path = (char *) request->path };

    if (!virga_iam_create(txn, call->arena, &group, NULL, 0, error))
        return false;
    response->group = iam_new(call, IamGroup);
    *response->group = iam_group(&group);
    return true;
}

IAM_ACTION(get_group, GetGroup)
{
    VirgaIamEntity *group, *users;
    IamPage page;
    size_t count;

    if (!iam_page_begin(call, request, &page, error) ||
        !iam_find(call, txn, VIRGA_IAM_GROUP, request->group_name, &group, error) ||
        !virga_iam_members(txn, call->arena, group, page.after, iam_page_limit(&page), &users,
                           &count, error))
        return false;
    iam_page_end(call, &page, users, count, name, response);
    response->group = iam_new(call, IamGroup);
    *response->group = iam_group(group);
    response->users.items = iam_array(call, IamUser, count);
    for (; response->users.count < count; response->users.count++)
        response->users.items[response->users.count] =
            iam_user(call, &users[response->users.count]);
    return true;
}

IAM_ACTION(update_group, UpdateGroup)
{
    VirgaIamEntity *group;

    if (!iam_lock(call, txn, VIRGA_IAM_GROUP, request->group_name, &group, error))
        return false;
    if (request->new_path)
        group->path = (char *) request->new_path;
    if (request->new_group_name)
        group->name = (char *) request->new_group_name;
    return virga_iam_update(txn, call->arena, group, error);
}

IAM_ACTION(delete_group, DeleteGroup)
{
    VirgaIamEntity *group;

    return iam_lock(call, txn, VIRGA_IAM_GROUP, request->group_name, &group, error) &&
           virga_iam_delete(txn, group, error);
}

IAM_ACTION(list_groups, ListGroups)
{
    VirgaIamEntity *groups;
    IamPage page;
    size_t count;

    if (!virga_iam_check_path(request->path_prefix, true, error) ||
        !iam_page_begin(call, request, &page, error) ||
        !virga_iam_list(txn, call->arena, call->account_id, VIRGA_IAM_GROUP, request->path_prefix,
                        page.after, iam_page_limit(&page), &groups, &count, error))
        return false;
    iam_page_end(call, &page, groups, count, name, response);
    response->groups = shown(call, groups, count);
    return true;
}

IAM_ACTION(list_groups_for_user, ListGroupsForUser)
{
    VirgaIamEntity *user, *groups;
    IamPage page;
    size_t count;

    if (!iam_page_begin(call, request, &page, error) ||
        !iam_find(call, txn, VIRGA_IAM_USER, request->user_name, &user, error) ||
        !virga_iam_members(txn, call->arena, user, page.after, iam_page_limit(&page), &groups,
                           &count, error))
        return false;
    iam_page_end(call, &page, groups, count, name, response);
    response->groups = shown(call, groups, count);
    return true;
}

IAM_ACTION(add_user_to_group, AddUserToGroup)
{
    VirgaIamEntity *group, *user;

    return iam_lock(call, txn, VIRGA_IAM_GROUP, request->group_name, &group, error) &&
           iam_lock(call, txn, VIRGA_IAM_USER, request->user_name, &user, error) &&
           virga_iam_member_add(txn, group, user, error);
}

IAM_ACTION(remove_user_from_group, RemoveUserFromGroup)
{
    VirgaIamEntity *group, *user;

    return iam_lock(call, txn, VIRGA_IAM_GROUP, request->group_name, &group, error) &&
           iam_lock(call, txn, VIRGA_IAM_USER, request->user_name, &user, error) &&
           virga_iam_member_remove(txn, group, user, error);
}
