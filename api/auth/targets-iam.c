/* SPDX-License-Identifier: Apache-2.0 */
/* Which entity a request to IAM is about: one, whose ARN has its path in it. */
#include "authorize-priv.h"

#include "core/error.h"
#include "iam.h"

#include <string.h>

/* The first of these that a request has names it.  AddUserToGroup is about the group, and
 * AttachUserPolicy about the user. */
static const struct {
    const char *member;
    VirgaIamKind kind;
} members[] = {
    { "InstanceProfileName", VIRGA_IAM_INSTANCE_PROFILE },
    { "GroupName", VIRGA_IAM_GROUP },
    { "RoleName", VIRGA_IAM_ROLE },
    { "UserName", VIRGA_IAM_USER },
};

/* Lists are about all that their path prefix leaves. */
static const struct {
    const char *action;
    VirgaIamKind kind;
} lists[] = {
    { "ListGroups", VIRGA_IAM_GROUP },
    { "ListInstanceProfiles", VIRGA_IAM_INSTANCE_PROFILE },
    { "ListRoles", VIRGA_IAM_ROLE },
    { "ListUsers", VIRGA_IAM_USER },
};

static void
add(GArray *targets, const char *arn, VirgaIamKind kind, const char *id)
{
    Target target = { .arn = arn, .type = virga_iam_kind_name(kind), .id = id };

    g_array_append_val(targets, target);
}

/* What is not there is judged by the name that it would have. */
static bool
add_named(const VirgaCall *call, VirgaIamKind kind, const char *name, GArray *targets,
          GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    g_autoptr(GError) reason = NULL;
    VirgaIamEntity *entity;

    if (!txn)
        return false;
    if (virga_iam_find(txn, call->arena, call->account_id, kind, name, false, &entity, &reason)) {
        add(targets, entity->arn, kind, entity->id);
        return true;
    }
    if (!virga_error_is(reason, "identity", VIRGA_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return false;
    }
    add(targets, virga_iam_arn(call->arena, kind, call->account_id, "/", name), kind, NULL);
    return true;
}

static bool
is_creation(const VirgaCall *call, VirgaIamKind kind)
{
    static const char *const actions[] = { [VIRGA_IAM_USER] = "CreateUser",
                                           [VIRGA_IAM_GROUP] = "CreateGroup",
                                           [VIRGA_IAM_ROLE] = "CreateRole",
                                           [VIRGA_IAM_INSTANCE_PROFILE] = "CreateInstanceProfile",
                                           [VIRGA_IAM_POLICY] = "CreatePolicy" };

    return g_str_equal(actions[kind], call->wire->name);
}

static const char *
path_or_root(const VirgaCall *call, const void *request, const char *member)
{
    const char *path = request_text(call, request, member);

    return path ? path : "/";
}

static bool
find_targets(const VirgaCall *call, const void *request, GArray *targets, GError **error)
{
    const VirgaIamEntity *self = virga_call_entity(call);
    const char *arn = request_text(call, request, "PolicyArn");
    const char *policy = request_text(call, request, "PolicyName");

    for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
        VirgaIamKind kind = members[i].kind;
        const char *name = request_text(call, request, members[i].member);

        if (name && is_creation(call, kind)) {
            add(targets,
                virga_iam_arn(call->arena, kind, call->account_id,
                              path_or_root(call, request, "Path"), name),
                kind, NULL);
            return true;
        }
        if (name)
            return add_named(call, kind, name, targets, error);
    }
    if (policy && is_creation(call, VIRGA_IAM_POLICY)) {
        arn = virga_iam_arn(call->arena, VIRGA_IAM_POLICY, call->account_id,
                            path_or_root(call, request, "Path"), policy);
    } else if (arn && virga_wire_member(call->wire->input, "PolicyArn")->required) {
        ; /* it is about the policy itself */
    } else if (virga_wire_member(call->wire->input, "UserName") && self &&
               self->kind == VIRGA_IAM_USER) {
        add(targets, self->arn, VIRGA_IAM_USER, self->id); /* without a name: the caller */
        return true;
    }
    if (arn) {
        add(targets, arn, VIRGA_IAM_POLICY, NULL);
        return true;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
        if (g_str_equal(lists[i].action, call->wire->name))
            add(targets,
                virga_iam_arn(call->arena, lists[i].kind, call->account_id,
                              path_or_root(call, request, "PathPrefix"), ""),
                lists[i].kind, NULL);
    return true;
}

/* ---- tags ---- */

/* CreateRole needs TagRole, and so on. */
static const char *
tag_right(const VirgaCall *call, const void *request, const GArray *targets, const char *type,
          Target *ret)
{
    const char *action = call->wire->name;

    *ret = g_array_index(targets, Target, 0);
    return g_str_has_prefix(action, "Create")
               ? virga_arena_printf(call->arena, "iam:Tag%s", action + strlen("Create"))
               : NULL;
}

static bool
read_tags(const VirgaCall *call, VirgaTxn *txn, const char *id, VirgaTag **ret, size_t *ret_count,
          GError **error)
{
    return virga_iam_tags(txn, call->arena, id, ret, ret_count, error);
}

const ServiceTargets targets_iam = { "iam", find_targets, request_tags, tag_right, read_tags };
