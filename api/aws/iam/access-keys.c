/* SPDX-License-Identifier: Apache-2.0 */
/* Access keys of users. */
#include "common.h"

static const char *
status(const VirgaIamKey *key)
{
    return key->active ? "Active" : "Inactive";
}

IAM_ACTION(create_access_key, CreateAccessKey)
{
    VirgaIamEntity *user;
    VirgaIamKey key;

    if (!iam_find_user(call, txn, request->user_name, true, &user, error) ||
        !virga_iam_key_create(txn, call->arena, user, &key, error))
        return false;
    response->access_key = iam_new(call, IamAccessKey);
    *response->access_key = (IamAccessKey){ .user_name = key.user_name,
                                            .access_key_id = key.id,
                                            .status = status(&key),
                                            .secret_access_key = key.secret,
                                            .create_date = key.created };
    return true;
}

IAM_ACTION(update_access_key, UpdateAccessKey)
{
    VirgaIamEntity *user;

    if (!g_str_equal(request->status, "Active") && !g_str_equal(request->status, "Inactive"))
        return iam_fail(error, "ValidationError", 400, "The status of a key is Active or Inactive");
    return iam_find_user(call, txn, request->user_name, true, &user, error) &&
           virga_iam_key_set_active(txn, user, request->access_key_id,
                                    g_str_equal(request->status, "Active"), error);
}

IAM_ACTION(delete_access_key, DeleteAccessKey)
{
    VirgaIamEntity *user;

    return iam_find_user(call, txn, request->user_name, true, &user, error) &&
           virga_iam_key_delete(txn, user, request->access_key_id, error);
}

IAM_ACTION(list_access_keys, ListAccessKeys)
{
    VirgaIamEntity *user;
    VirgaIamKey *keys;
    IamPage page;
    size_t count;

    if (!iam_page_begin(call, request, &page, error) ||
        !iam_find_user(call, txn, request->user_name, false, &user, error) ||
        !virga_iam_keys(txn, call->arena, user->id, &keys, &count, error))
        return false;
    iam_page_end(call, &page, keys, count, id, response);
    response->access_key_metadata.items = iam_array(call, IamAccessKeyMetadata, count);
    response->access_key_metadata.count = count;
    for (size_t i = 0; i < count; i++)
        response->access_key_metadata.items[i] =
            (IamAccessKeyMetadata){ .user_name = user->name,
                                    .access_key_id = keys[i].id,
                                    .status = status(&keys[i]),
                                    .create_date = keys[i].created };
    return true;
}

IAM_ACTION(get_access_key_last_used, GetAccessKeyLastUsed)
{
    VirgaIamKey *key;

    if (!virga_iam_key_find(txn, call->arena, request->access_key_id, &key, error))
        return false;
    if (!g_str_equal(key->account_id, call->account_id))
        return iam_fail(error, "AccessDenied", 403,
                        "The Access Key with id %s is not of this account.", key->id);
    response->user_name = key->user_name;
    response->access_key_last_used = iam_new(call, IamAccessKeyLastUsed);
    *response->access_key_last_used =
        (IamAccessKeyLastUsed){ .last_used_date = key->used,
                                .service_name = key->used ? key->service : "N/A",
                                .region = key->used ? key->region : "N/A" };
    return true;
}
