/* SPDX-License-Identifier: Apache-2.0 */
/* Accounts and the access keys by which their users are known. */
#pragma once

#include "core/db.h"

/* What an access key stands for; texts are the arena's of the look-up. */
typedef struct {
    char *id, *secret, *account_id, *principal, *user_id;
    char *owner_id; /* the user whose key it is (core/iam.h); NULL: the account's administrator */
    bool active;
} VirgaAccessKey;

/* Makes the account, or renames the one that is there.  Noun "account": INVALID for an id that is
 * not twelve digits. */
bool virga_account_ensure(VirgaTxn *txn, const char *account_id, const char *name, GError **error);

/* Makes the key, or gives the one that is there this secret and makes it active.  Noun
 * "access key": INVALID for an id or a secret that clients could not sign with, EXISTS when another
 * account has the id. */
bool virga_account_key_ensure(VirgaTxn *txn, const VirgaAccessKey *key, GError **error);

/* The key called 'key_id', in 'arena', active or not.  Noun "access key": NOT_FOUND. */
bool virga_account_key_find(VirgaTxn *txn, VirgaArena *arena, const char *key_id,
                            VirgaAccessKey **ret, GError **error);

/* True if 'id' is an account's: twelve digits. */
bool virga_account_id_is(const char *id);
