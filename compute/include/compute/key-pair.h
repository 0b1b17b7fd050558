/* SPDX-License-Identifier: Apache-2.0 */
/* Key pairs: the public halves, by name.  A private key is made, handed out once and forgotten. */
#pragma once

#include "core/db.h"

typedef struct {
    char *id, *account_id, *name;
    char *type;        /* "rsa", "ed25519" */
    char *fingerprint; /* as EC2 computes it: by type, and by who made the key */
    char *public_key;  /* one line of OpenSSH */
    gint64 created;
} VirgaKeyPair;

/* Makes a new key of 'type'; sets type, fingerprint and public key of 'ret' and the private key in
 * the form that ssh reads, all in 'arena'.  Takes up to a second of CPU: not inside a transaction.
 * Noun "key pair". */
bool virga_key_pair_generate(VirgaArena *arena, const char *type, VirgaKeyPair *ret,
                             char **ret_private_key, GError **error);

/* Reads a foreign public key: a line of OpenSSH, RFC 4716, or X.509's form in PEM, base64 or DER.
 * Sets type, fingerprint and public key.  Noun "key pair": INVALID. */
bool virga_key_pair_parse(VirgaArena *arena, const void *material, size_t size, VirgaKeyPair *ret,
                          GError **error);

/* Records the account's key pair 'key' of which account_id and name and the above are set; sets its
 * id, and 'name' as the comment of the public key.  Noun "key pair": EXISTS. */
bool virga_key_pair_add(VirgaTxn *txn, VirgaArena *arena, VirgaKeyPair *key, GError **error);

/* The account's key pairs in order of name, in 'arena'; names and ids may be NULL. */
bool virga_key_pair_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                         const char *const *names, const char *const *ids, VirgaKeyPair **ret,
                         size_t *ret_count, GError **error);

/* Deletes by name or by id; the other is NULL.  'ret_id' (in 'arena') is NULL if there was none,
 * which is no failure.  Instances keep the key. */
bool virga_key_pair_delete(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                           const char *name, const char *id, char **ret_id, GError **error);
