/* SPDX-License-Identifier: Apache-2.0 */
/* From a key's holder to a principal with rights. */
#include "authorize-priv.h"

#include "api/errors.h"
#include "core/error.h"

#include <string.h>

static bool
fail_gone(GError **error)
{
    return virga_api_fail(error, "InvalidClientTokenId", 403,
                          "The security token included in the request is invalid.");
}

static bool
find_rights(VirgaCaller *caller, VirgaRightsCache *cache, GError **error)
{
    g_autoptr(GError) reason = NULL;

    if (!cache)
        return fail_gone(error);
    caller->rights = virga_rights_get(cache, caller->identity.entity_id, &reason);
    if (caller->rights)
        return true;
    if (virga_error_is(reason, "identity", VIRGA_ERROR_NOT_FOUND))
        return fail_gone(error);
    g_propagate_error(error, g_steal_pointer(&reason));
    return false;
}

/* A user is known by its own ARN, the session of a role by one of its own. */
static void
name_caller(VirgaCaller *caller, VirgaArena *arena)
{
    VirgaIdentity *identity = &caller->identity;
    const VirgaIamEntity *entity = caller->rights->of->entity;

    caller->arn = virga_arena_strdup(arena, entity->arn);
    if (entity->kind == VIRGA_IAM_ROLE) {
        const char *name =
            identity->session && identity->session->name ? identity->session->name : "session";

        identity->principal_arn = virga_arena_printf(arena, "arn:aws:sts::%s:assumed-role/%s/%s",
                                                     entity->account_id, entity->name, name);
        identity->user_id = virga_arena_printf(arena, "%s:%s", entity->id, name);
        caller->principal.role_arn = caller->arn;
    } else {
        identity->principal_arn = caller->arn;
        identity->user_id = virga_arena_strdup(arena, entity->id);
    }
}

static bool
read_session_policies(VirgaCaller *caller, VirgaArena *arena, VirgaRightsCache *cache,
                      GError **error)
{
    const VirgaSession *session = caller->identity.session;

    if (session->policy) {
        const VirgaPolicy *policy =
            virga_policy_parse(arena, VIRGA_POLICY_IDENTITY, session->policy, error);

        if (!policy)
            return false;
        caller->session_policies[caller->session_policy_count++] = policy;
    }
    for (char **arn = session->policy_arns; arn && *arn; arn++) {
        VirgaRights *held;

        if (caller->session_policy_count == SESSION_POLICIES_MAX)
            return fail_gone(error);
        held = virga_rights_get_policy(cache, session->account_id, *arn, error);
        if (!held)
            return false;
        caller->held[caller->held_count++] = held;
        caller->session_policies[caller->session_policy_count++] = held->policy;
    }
    return true;
}

VirgaCaller *
virga_caller_new(VirgaArena *arena, VirgaRightsCache *cache, VirgaIdentity *identity,
                 const VirgaHttpRequest *request, GError **error)
{
    g_autoptr(VirgaCaller) caller = g_new0(VirgaCaller, 1);

    caller->identity = *identity;
    caller->request = request;
    caller->arn = identity->principal_arn;
    if (identity->entity_id) {
        if (!find_rights(caller, cache, error))
            return NULL;
        name_caller(caller, arena);
        if (identity->session && !read_session_policies(caller, arena, cache, error))
            return NULL;
        *identity = caller->identity;
    }
    caller->principal.account_id = identity->account_id;
    caller->principal.arn = identity->principal_arn;
    return g_steal_pointer(&caller);
}

void
virga_caller_free(VirgaCaller *caller)
{
    if (!caller)
        return;
    for (size_t i = 0; i < caller->held_count; i++)
        virga_rights_unref(caller->held[i]);
    virga_rights_unref(caller->rights);
    g_free(caller);
}

const VirgaIamEntity *
virga_call_entity(const VirgaCall *call)
{
    return call->caller->rights ? call->caller->rights->of->entity : NULL;
}

const VirgaSession *
virga_call_session(const VirgaCall *call)
{
    return call->caller->identity.session;
}
