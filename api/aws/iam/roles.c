/* SPDX-License-Identifier: Apache-2.0 */
/* Roles and who may assume them. */
#include "common.h"

#define TRUST_CHARACTERS_MAX 2048

static IamRole *
shown(const VirgaCall *call, const VirgaIamEntity *entity)
{
    IamRole *role = iam_new(call, IamRole);

    *role = iam_role(call, entity);
    return role;
}

/* ---- trust ---- */

static void
note_principal(const char *arn, gpointer arns)
{
    g_ptr_array_add(arns, (gpointer) arn);
}

/* The user or role that a trust policy names; it must be there. */
static bool
find_principal(const VirgaCall *call, VirgaTxn *txn, const char *arn, VirgaIamEntity **ret,
               GError **error)
{
    static const VirgaIamKind kinds[] = { VIRGA_IAM_USER, VIRGA_IAM_ROLE };

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        char *account_id, *path, *name;
        g_autoptr(GError) reason = NULL;

        if (!virga_iam_arn_split(call->arena, arn, kinds[i], &account_id, &path, &name))
            continue;
        if (virga_iam_find(txn, call->arena, account_id, kinds[i], name, false, ret, &reason) &&
            g_str_equal((*ret)->path, path))
            return true;
        if (reason && !virga_error_is(reason, "identity", VIRGA_ERROR_NOT_FOUND)) {
            g_propagate_error(error, g_steal_pointer(&reason));
            return false;
        }
    }
    return virga_fail(error, "policy document", VIRGA_ERROR_INVALID,
                      "Invalid principal in policy: \"AWS\":\"%.200s\"", arn);
}

/* Checks the role's trust policy, and notes whom it names: a name may be another's one day. */
static bool
check_trust(const VirgaCall *call, VirgaTxn *txn, VirgaIamEntity *role, GError **error)
{
    g_autoptr(GPtrArray) arns = g_ptr_array_new();
    VirgaIamEntity *principal;
    VirgaPolicy *policy;

    if (virga_policy_length(role->trust) > TRUST_CHARACTERS_MAX)
        return iam_fail(error, "LimitExceeded", 409, "Cannot exceed quota for ACLSizePerRole: %d",
                        TRUST_CHARACTERS_MAX);
    policy = virga_policy_parse(call->arena, VIRGA_POLICY_TRUST, role->trust, error);
    if (!policy)
        return false;
    virga_policy_principals(policy, note_principal, arns);
    role->trusted = iam_array(call, char *, 2 * arns->len + 1);
    for (guint i = 0; i < arns->len; i++) {
        if (!find_principal(call, txn, arns->pdata[i], &principal, error))
            return false;
        role->trusted[2 * i] = arns->pdata[i];
        role->trusted[2 * i + 1] = principal->id;
    }
    return true;
}

/* ---- actions ---- */

IAM_ACTION(create_role, CreateRole)
{
    VirgaIamEntity role = { .kind = VIRGA_IAM_ROLE,
                            .account_id = (char *) call->account_id,
                            .name = (char *) request->role_name,
                            .path = (char *) request->path,
                            .description = (char *) request->description,
                            .boundary = (char *) request->permissions_boundary,
                            .trust = (char *) request->assume_role_policy_document,
                            .session_max_s = request->has_max_session_duration
                                                 ? request->max_session_duration
                                                 : VIRGA_IAM_SESSION_MIN_S };
    VirgaTag *tags = iam_tags_given(call, &request->tags);

    if (!check_trust(call, txn, &role, error) ||
        !iam_check_boundary(call, txn, role.boundary, error) ||
        !virga_iam_create(txn, call->arena, &role, tags, request->tags.count, error))
        return false;
    response->role = shown(call, &role);
    response->role->tags = iam_tags_shown(call, tags, request->tags.count);
    return true;
}

IAM_ACTION(get_role, GetRole)
{
    VirgaIamEntity *role;

    if (!iam_find(call, txn, VIRGA_IAM_ROLE, request->role_name, &role, error))
        return false;
    response->role = shown(call, role);
    return iam_tags_read(call, txn, role, &response->role->tags, error);
}

IAM_ACTION(update_role, UpdateRole)
{
    VirgaIamEntity *role;

    if (!iam_lock(call, txn, VIRGA_IAM_ROLE, request->role_name, &role, error))
        return false;
    if (request->description)
        role->description = (char *) request->description;
    if (request->has_max_session_duration)
        role->session_max_s = request->max_session_duration;
    return virga_iam_update(txn, call->arena, role, error);
}

IAM_ACTION(update_role_description, UpdateRoleDescription)
{
    VirgaIamEntity *role;

    if (!iam_lock(call, txn, VIRGA_IAM_ROLE, request->role_name, &role, error))
        return false;
    role->description = (char *) request->description;
    if (!virga_iam_update(txn, call->arena, role, error))
        return false;
    response->role = shown(call, role);
    return true;
}

IAM_ACTION(update_assume_role_policy, UpdateAssumeRolePolicy)
{
    VirgaIamEntity *role;

    if (!iam_lock(call, txn, VIRGA_IAM_ROLE, request->role_name, &role, error))
        return false;
    role->trust = (char *) request->policy_document;
    return check_trust(call, txn, role, error) && virga_iam_update(txn, call->arena, role, error);
}

IAM_ACTION(delete_role, DeleteRole)
{
    VirgaIamEntity *role;

    return iam_lock(call, txn, VIRGA_IAM_ROLE, request->role_name, &role, error) &&
           virga_iam_delete(txn, role, error);
}

IAM_ACTION(list_roles, ListRoles)
{
    VirgaIamEntity *roles;
    IamPage page;
    size_t count;

    if (!virga_iam_check_path(request->path_prefix, true, error) ||
        !iam_page_begin(call, request, &page, error) ||
        !virga_iam_list(txn, call->arena, call->account_id, VIRGA_IAM_ROLE, request->path_prefix,
                        page.after, iam_page_limit(&page), &roles, &count, error))
        return false;
    iam_page_end(call, &page, roles, count, name, response);
    response->roles.items = iam_array(call, IamRole, count);
    for (; response->roles.count < count; response->roles.count++)
        response->roles.items[response->roles.count] =
            iam_role(call, &roles[response->roles.count]);
    return true;
}
