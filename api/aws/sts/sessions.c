/* SPDX-License-Identifier: Apache-2.0 */
/* GetSessionToken, and whom a key id belongs to. */
#include "api/authorize.h"
#include "api/errors.h"
#include "api/services.h"
#include "common.h"
#include "core/account.h"
#include "core/error.h"

#include <string.h>

#define DURATION_S          43200
#define DURATION_ROOT_MAX_S 3600
#define TOKEN_CHARACTERS    8192 /* headers have room for it */

bool
sts_begin_session(const VirgaCall *call, VirgaSession *session, gint64 duration_s,
                  StsCredentials **ret, GError **error)
{
    const VirgaServices *services = call->services;
    VirgaCredentials made;

    session->issued_s = g_get_real_time() / G_USEC_PER_SEC;
    session->expires_s = session->issued_s + duration_s;
    virga_session_seal(services->sealer, call->arena, session, &made);
    if (strlen(made.token) > TOKEN_CHARACTERS)
        return virga_api_fail(error, "PackedPolicyTooLarge", 400,
                              "The session's policies and tags are too large");
    *ret = virga_arena_new_array(call->arena, StsCredentials, 1);
    **ret = (StsCredentials){ .access_key_id = made.access_key_id,
                              .secret_access_key = made.secret,
                              .session_token = made.token,
                              .expiration = made.expires_s * G_USEC_PER_SEC };
    return true;
}

bool
sts_get_session_token(VirgaCall *call, const StsGetSessionTokenRequest *request,
                      StsGetSessionTokenResponse *response, GError **error)
{
    const VirgaIamEntity *caller = virga_call_entity(call);
    VirgaSession session = { .account_id = (char *) call->account_id,
                             .entity_id = caller ? caller->id : NULL };
    gint64 duration_s = request->has_duration_seconds ? request->duration_seconds : DURATION_S;

    if (request->serial_number || request->token_code)
        return virga_api_fail(error, "UnsupportedOperation", 400,
                              "Second factors are not supported by this cloud");
    if (virga_call_session(call))
        return virga_api_fail(error, "AccessDenied", 403,
                              "Cannot call GetSessionToken with session credentials");
    if (!caller)
        duration_s = MIN(duration_s, DURATION_ROOT_MAX_S);
    return sts_begin_session(call, &session, duration_s, &response->credentials, error);
}

bool
sts_get_access_key_info(VirgaCall *call, const StsGetAccessKeyInfoRequest *request,
                        StsGetAccessKeyInfoResponse *response, GError **error)
{
    g_autoptr(VirgaTxn) txn = NULL;
    g_autoptr(GError) reason = NULL;
    VirgaAccessKey *key;

    response->account = virga_session_account(call->arena, request->access_key_id);
    if (response->account)
        return true;
    txn = virga_db_read(call->db, error);
    if (!txn)
        return false;
    if (!virga_account_key_find(txn, call->arena, request->access_key_id, &key, &reason)) {
        if (virga_error_is(reason, "access key", VIRGA_ERROR_NOT_FOUND))
            return virga_api_fail(error, "ValidationError", 400,
                                  "The access key id %.128s is not valid", request->access_key_id);
        g_propagate_error(error, g_steal_pointer(&reason));
        return false;
    }
    response->account = key->account_id;
    return true;
}
