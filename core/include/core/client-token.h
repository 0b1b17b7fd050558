/* SPDX-License-Identifier: Apache-2.0 */
/* Client tokens: a request that is repeated with the same token does its work once. */
#pragma once

#include "core/db.h"

/* Takes the account's token for 'resource_id', which this transaction makes.  If an earlier call
 * of the same action had it, *ret_earlier is what that one made, in 'arena', and nothing is to be
 * made; otherwise it is NULL.  'digest' is of the request's other parameters.  Waits for a call
 * that has the token and is not committed yet.  Noun "client token": CONFLICT when the earlier
 * request was a different one. */
bool virga_client_token_take(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                             const char *action, const char *token, const char *digest,
                             const char *resource_id, char **ret_earlier, GError **error);
