/* SPDX-License-Identifier: Apache-2.0 */
/* AssumeRole: the role's trust policy and the caller's own policies must both agree. */
#include "api/authorize.h"
#include "api/call.h"
#include "api/errors.h"
#include "api/services.h"
#include "api/session.h"
#include "common.h"
#include "core/error.h"
#include "core/iam-policy.h"
#include "sts.h"

#include <string.h>

#define ACTION                "sts:AssumeRole"
#define DURATION_S            3600 /* also the most for a session that begins another */
#define POLICY_CHARACTERS_MAX 2048
#define POLICY_ARNS_MAX       10
#define TAGS_MAX              50

typedef StsAssumeRoleRequest Request;

static bool
check_request(const Request *request, GError **error)
{
    const char *name = request->role_session_name;

    if (request->serial_number || request->token_code || request->source_identity ||
        request->transitive_tag_keys.count || request->provided_contexts.count)
        return virga_api_fail(error, "UnsupportedOperation", 400,
                              "Second factors, source identities, transitive tags and provided "
                              "contexts are not supported by this cloud");
    if (strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_+=,.@-") != strlen(name))
        return virga_api_fail(error, "ValidationError", 400,
                              "1 validation error detected: Value '%.64s' at 'roleSessionName' "
                              "failed to satisfy constraint: Member must satisfy regular "
                              "expression pattern: [\\w+=,.@-]*",
                              name);
    if (request->policy && virga_policy_length(request->policy) > POLICY_CHARACTERS_MAX)
        return virga_api_fail(error, "PackedPolicyTooLarge", 400,
                              "The session policy has more than %d characters",
                              POLICY_CHARACTERS_MAX);
    if (request->policy_arns.count > POLICY_ARNS_MAX || request->tags.count > TAGS_MAX)
        return virga_api_fail(error, "ValidationError", 400,
                              "A session has at most %d policies and %d tags", POLICY_ARNS_MAX,
                              TAGS_MAX);
    return true;
}

/* Whether there is no such role or it does not trust the caller is not told. */
static bool
find_role(const VirgaCall *call, VirgaTxn *txn, const char *arn, VirgaIamEntity **ret,
          GError **error)
{
    char *account_id, *path, *name;
    g_autoptr(GError) reason = NULL;

    if (!virga_iam_arn_split(call->arena, arn, VIRGA_IAM_ROLE, &account_id, &path, &name))
        return virga_api_fail(error, "ValidationError", 400, "%.200s is invalid", arn);
    if (virga_iam_find(txn, call->arena, account_id, VIRGA_IAM_ROLE, name, false, ret, &reason))
        return g_str_equal((*ret)->path, path) || virga_call_refuse(call, ACTION, arn, NULL, error);
    if (virga_error_is(reason, "identity", VIRGA_ERROR_NOT_FOUND))
        return virga_call_refuse(call, ACTION, arn, NULL, error);
    g_propagate_error(error, g_steal_pointer(&reason));
    return false;
}

/* ---- may the caller? ---- */

static VirgaCallKey *
make_keys(const VirgaCall *call, const Request *request)
{
    VirgaCallKey *keys = virga_arena_new_array(call->arena, VirgaCallKey, request->tags.count + 3);
    size_t count = 0;

    keys[count++] = (VirgaCallKey){ "sts:RoleSessionName", request->role_session_name };
    if (request->external_id)
        keys[count++] = (VirgaCallKey){ "sts:ExternalId", request->external_id };
    for (size_t i = 0; i < request->tags.count; i++)
        keys[count++] = (VirgaCallKey){ virga_arena_printf(call->arena, "aws:RequestTag/%s",
                                                           request->tags.items[i].key),
                                        request->tags.items[i].value };
    return keys;
}

/* A role that trusts the caller by name in its own account needs no second word, unless something
 * bounds the caller; one that trusts an account leaves it to the account's policies. */
static bool
needs_own_policy(const VirgaCall *call, const VirgaIamEntity *role, VirgaPolicyDecision trust)
{
    const VirgaIamEntity *caller = virga_call_entity(call);
    const VirgaSession *session = virga_call_session(call);

    return trust != VIRGA_POLICY_ALLOW || !g_str_equal(role->account_id, call->account_id) ||
           (caller && caller->boundary) || (session && (session->policy || session->policy_arns));
}

/* True if the role's policy names the caller's ARN and meant another who had it. */
static bool
is_stranger(const VirgaCall *call, const VirgaIamEntity *role)
{
    const VirgaIamEntity *caller = virga_call_entity(call);

    for (char **pair = role->trusted; caller && pair && pair[0] && pair[1]; pair += 2)
        if (g_str_equal(pair[0], caller->arn))
            return !g_str_equal(pair[1], caller->id);
    return false;
}

static bool
check_action(const VirgaCall *call, const VirgaIamEntity *role, const VirgaPolicy *policy,
             const char *action, const VirgaCallKey *keys, GError **error)
{
    VirgaPolicyDecision trust, own;
    g_autoptr(GError) reason = NULL;

    if (!virga_call_ask(call, policy, is_stranger(call, role), action, role->arn, keys, &trust,
                        error))
        return false;
    own = virga_call_decide(call, action, role->arn, keys, &reason);
    if (reason) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return false;
    }
    if (trust == VIRGA_POLICY_DENY || trust == VIRGA_POLICY_SILENT || own == VIRGA_POLICY_DENY)
        return virga_call_refuse(call, action, role->arn, NULL, error);
    return own == VIRGA_POLICY_ALLOW || !needs_own_policy(call, role, trust) ||
           virga_call_refuse(call, action, role->arn, "identity-based", error);
}

static bool
check_caller(const VirgaCall *call, const Request *request, const VirgaIamEntity *role,
             GError **error)
{
    const VirgaCallKey *keys = make_keys(call, request);
    VirgaPolicy *policy = virga_policy_parse(call->arena, VIRGA_POLICY_TRUST, role->trust, error);

    return policy && check_action(call, role, policy, ACTION, keys, error) &&
           (request->tags.count == 0 ||
            check_action(call, role, policy, "sts:TagSession", keys, error));
}

/* ---- the session ---- */

static bool
read_duration(const VirgaCall *call, const Request *request, const VirgaIamEntity *role,
              gint64 *ret, GError **error)
{
    *ret = request->has_duration_seconds ? request->duration_seconds : DURATION_S;
    if (virga_call_session(call) && *ret > DURATION_S)
        return virga_api_fail(error, "ValidationError", 400,
                              "The requested DurationSeconds exceeds the 1 hour session limit for "
                              "roles assumed by role chaining");
    return *ret <= role->session_max_s ||
           virga_api_fail(error, "ValidationError", 400,
                          "The requested DurationSeconds exceeds the MaxSessionDuration set for "
                          "this role.");
}

static bool
read_policies(const VirgaCall *call, VirgaTxn *txn, const Request *request,
              const VirgaIamEntity *role, VirgaSession *session, GError **error)
{
    size_t count = request->policy_arns.count;

    session->policy = (char *) request->policy;
    if (request->policy &&
        !virga_policy_parse(call->arena, VIRGA_POLICY_IDENTITY, request->policy, error))
        return false;
    session->policy_arns = count ? virga_arena_new_array(call->arena, char *, count + 1) : NULL;
    for (size_t i = 0; i < count; i++) {
        const char *arn = request->policy_arns.items[i].arn;
        const VirgaPolicy *policy;

        if (!arn || !virga_iam_policy_read(txn, call->arena, role->account_id, arn, &policy, NULL))
            return virga_api_fail(error, "MalformedPolicyDocument", 400,
                                  "PolicyArn %.200s cannot be found", arn ? arn : "");
        session->policy_arns[i] = (char *) arn;
    }
    return true;
}

static void
read_tags(const VirgaCall *call, const Request *request, VirgaSession *session)
{
    size_t count = request->tags.count;

    session->tags = count ? virga_arena_new_array(call->arena, char *, 2 * count + 1) : NULL;
    for (size_t i = 0; i < count; i++) {
        session->tags[2 * i] = (char *) request->tags.items[i].key;
        session->tags[2 * i + 1] = (char *) request->tags.items[i].value;
    }
}

bool
sts_assume_role(VirgaCall *call, const Request *request, StsAssumeRoleResponse *response,
                GError **error)
{
    g_autoptr(VirgaTxn) txn = NULL;
    VirgaSession session = { .name = (char *) request->role_session_name };
    VirgaIamEntity *role;
    gint64 duration_s;

    if (!check_request(request, error))
        return false;
    txn = virga_db_read(call->db, error);
    if (!txn || !find_role(call, txn, request->role_arn, &role, error) ||
        !check_caller(call, request, role, error) ||
        !read_duration(call, request, role, &duration_s, error) ||
        !read_policies(call, txn, request, role, &session, error))
        return false;
    read_tags(call, request, &session);
    session.account_id = role->account_id;
    session.entity_id = role->id;
    if (!sts_begin_session(call, &session, duration_s, &response->credentials, error))
        return false;
    response->assumed_role_user = virga_arena_new_array(call->arena, StsAssumedRoleUser, 1);
    response->assumed_role_user->assumed_role_id =
        virga_arena_printf(call->arena, "%s:%s", role->id, session.name);
    response->assumed_role_user->arn =
        virga_arena_printf(call->arena, "arn:aws:sts::%s:assumed-role/%s/%s", role->account_id,
                           role->name, session.name);
    if (request->policy) {
        response->packed_policy_size =
            (gint64) (virga_policy_length(request->policy) * 100 / POLICY_CHARACTERS_MAX);
        response->has_packed_policy_size = true;
    }
    return true;
}
