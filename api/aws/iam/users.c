/* SPDX-License-Identifier: Apache-2.0 */
/* Users. */
#include "common.h"

static IamUser *
shown(const VirgaCall *call, const VirgaIamEntity *entity)
{
    IamUser *user = iam_new(call, IamUser);

    *user = iam_user(call, entity);
    return user;
}

IAM_ACTION(create_user, CreateUser)
{
    VirgaIamEntity user = { .kind = VIRGA_IAM_USER,
                            .account_id = (char *) call->account_id,
                            .name = (char *) request->user_name,
                            .path = (char *) request->path,
                            .boundary = (char *) request->permissions_boundary };
    VirgaTag *tags = iam_tags_given(call, &request->tags);

    if (!iam_check_boundary(call, txn, request->permissions_boundary, error) ||
        !virga_iam_create(txn, call->arena, &user, tags, request->tags.count, error))
        return false;
    response->user = shown(call, &user);
    response->user->tags = iam_tags_shown(call, tags, request->tags.count);
    return true;
}

/* The administrator is no user, but is shown as one. */
static IamUser *
show_root(const VirgaCall *call)
{
    IamUser *user = iam_new(call, IamUser);

    *user = (IamUser){ .path = "/",
                       .user_name = "root",
                       .user_id = call->account_id,
                       .arn = call->principal_arn,
                       .create_date = G_USEC_PER_SEC };
    return user;
}

IAM_ACTION(get_user, GetUser)
{
    VirgaIamEntity *user;

    if (!request->user_name && !virga_call_entity(call)) {
        response->user = show_root(call);
        return true;
    }
    if (!iam_find_user(call, txn, request->user_name, false, &user, error))
        return false;
    response->user = shown(call, user);
    return iam_tags_read(call, txn, user, &response->user->tags, error);
}

IAM_ACTION(update_user, UpdateUser)
{
    VirgaIamEntity *user;

    if (!iam_lock(call, txn, VIRGA_IAM_USER, request->user_name, &user, error))
        return false;
    if (request->new_path)
        user->path = (char *) request->new_path;
    if (request->new_user_name)
        user->name = (char *) request->new_user_name;
    return virga_iam_update(txn, call->arena, user, error);
}

IAM_ACTION(delete_user, DeleteUser)
{
    VirgaIamEntity *user;

    return iam_lock(call, txn, VIRGA_IAM_USER, request->user_name, &user, error) &&
           virga_iam_delete(txn, user, error);
}

IAM_ACTION(list_users, ListUsers)
{
    VirgaIamEntity *users;
    IamPage page;
    size_t count;

    if (!virga_iam_check_path(request->path_prefix, true, error) ||
        !iam_page_begin(call, request, &page, error) ||
        !virga_iam_list(txn, call->arena, call->account_id, VIRGA_IAM_USER, request->path_prefix,
                        page.after, iam_page_limit(&page), &users, &count, error))
        return false;
    iam_page_end(call, &page, users, count, name, response);
    response->users.items = iam_array(call, IamUser, count);
    for (; response->users.count < count; response->users.count++)
        response->users.items[response->users.count] =
            iam_user(call, &users[response->users.count]);
    return true;
}
