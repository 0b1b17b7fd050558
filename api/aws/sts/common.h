/* SPDX-License-Identifier: Apache-2.0 */
/* Between STS's handlers. */
#pragma once

#include "api/call.h"
#include "api/session.h"
#include "sts.h"

/* Seals 'session', which lasts 'duration_s' from now, for the answer.  Fails with
 * PackedPolicyTooLarge if its token would not be taken back. */
bool sts_begin_session(const VirgaCall *call, VirgaSession *session, gint64 duration_s,
                       StsCredentials **ret, GError **error);
