/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of encrypted volumes: the rows.
 *
 * Each volume has a random key of its own, which its snapshots and the volumes that are made of
 * them carry on.  A key's bytes are made when a file is to be encrypted with it first, and lie in
 * the database wrapped by a key-encryption key (storage/keyring.h).  A key goes with the last
 * volume or snapshot that has it. */
#pragma once

#include "core/db.h"
#include "storage/keyring.h"

/* Makes a key; *ret_id is in 'arena'.  Sent, not waited for. */
bool virga_volume_key_new(VirgaTxn *txn, VirgaArena *arena, const char **ret_id, GError **error);

/* The passphrase of the files that are encrypted with a key, the caller's, who wipes it.  Noun
 * "volume key": NOT_FOUND; STATE when it cannot be unwrapped, since the keyring ('keyring' NULL:
 * there is none) does not have what it was wrapped by.  Nothing is made anew then. */
char *virga_volume_key_open(VirgaTxn *txn, const VirgaKeyring *keyring, const char *key_id,
                            GError **error);
/* The same of a volume, which 'host_id' keeps and now serves a guest with, or makes a snapshot of;
 * NOT_FOUND otherwise. */
char *virga_volume_key_for_host(VirgaTxn *txn, const VirgaKeyring *keyring, const char *volume_id,
                                const char *host_id, GError **error);
void virga_passphrase_free(char *passphrase); /* wipes it */

/* True if some key is wrapped: by a keyring that must not be made anew. */
bool virga_volume_key_any(VirgaTxn *txn, bool *ret_any, GError **error);

/* Whether all new volumes of an account are encrypted, also where that is not asked for. */
bool virga_encryption_default(VirgaTxn *txn, const char *account_id, bool *ret_on, GError **error);
bool virga_encryption_set_default(VirgaTxn *txn, const char *account_id, bool on, GError **error);
