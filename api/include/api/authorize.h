/* SPDX-License-Identifier: Apache-2.0 */
/* May the caller do this?
 *
 * The edge asks before each handler, by tables that say which members of a request name which
 * resources (auth/targets-ec2.c, auth/targets-iam.c).  A handler asks for what a request does
 * beside its own action, such as handing over a role.
 *
 * The administrator of an account is asked nothing.  For others all of these must allow it, and
 * none deny it: the policies of the user or role, its permissions boundary, the session's. */
#pragma once

#include "api/call.h"
#include "api/rights.h"
#include "api/sigv4.h"
#include "api/wire.h"

/* A condition key that only the handler knows: "iam:PassedToService". */
typedef struct {
    const char *name, *value;
} VirgaCallKey;

/* Checks 'action' ("iam:PassRole") on 'resource' (an ARN, or "*").  'keys' end with a NULL name;
 * may be NULL.  Fails with UnauthorizedOperation (EC2) or AccessDenied, in AWS's words. */
bool virga_call_authorize(const VirgaCall *call, const char *action, const char *resource,
                          const VirgaCallKey *keys, GError **error);

/* Checks the call's own action on what 'request', a struct of its input, names: the edge does it.
 * A handler does it again for a request that it has completed from elsewhere. */
bool virga_call_authorize_request(const VirgaCall *call, const void *request, GError **error);

/* What the caller's own policies say, without failing: for actions that a resource's policy may
 * allow, too. */
VirgaPolicyDecision virga_call_decide(const VirgaCall *call, const char *action,
                                      const char *resource, const VirgaCallKey *keys,
                                      GError **error);

/* What 'policy', a resource's or a role's own, says to the caller.  'stranger': by its own name it
 * is not meant, as somebody else had the name when the policy was written.  Fails if a condition
 * key could not be looked up. */
bool virga_call_ask(const VirgaCall *call, const VirgaPolicy *policy, bool stranger,
                    const char *action, const char *resource, const VirgaCallKey *keys,
                    VirgaPolicyDecision *ret, GError **error);

/* The failure with which an action on a resource is refused; returns false.  'why' completes
 * "because no … policy allows the … action": "identity-based"; NULL: nothing is said. */
bool virga_call_refuse(const VirgaCall *call, const char *action, const char *resource,
                       const char *why, GError **error);

/* ---- for the edge ---- */

typedef struct VirgaCaller VirgaCaller;

/* Who the holder of a key is: completes 'identity', and finds what limits the caller.  The result
 * is freed by virga_caller_free(); texts are the arena's.  NULL with InvalidClientTokenId if the
 * user or role is gone. */
VirgaCaller *virga_caller_new(VirgaArena *arena, VirgaRightsCache *cache, VirgaIdentity *identity,
                              const VirgaHttpRequest *request, GError **error);
void virga_caller_free(VirgaCaller *caller);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaCaller, virga_caller_free)

/* The user or role that calls, or NULL for the account's administrator; a loan. */
const VirgaIamEntity *virga_call_entity(const VirgaCall *call);

/* The session with which it calls, or NULL; a loan. */
const VirgaSession *virga_call_session(const VirgaCall *call);
