/* SPDX-License-Identifier: Apache-2.0 */
/* Who am I? */
#include "api/call.h"
#include "sts.h"

bool
sts_get_caller_identity(VirgaCall *call, const StsGetCallerIdentityRequest *request,
                        StsGetCallerIdentityResponse *response, GError **error)
{
    response->user_id = call->user_id;
    response->account = call->account_id;
    response->arn = call->principal_arn;
    return true;
}
