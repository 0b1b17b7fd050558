/* SPDX-License-Identifier: Apache-2.0 */
/* Key-encryption keys: what the keys of volumes are wrapped with.
 *
 * They lie in one file of virgad's, which nobody else can read, and nowhere else: the database, its
 * backups and the hosts' disks are of no use without.  Each line of it is
 *
 *     ID KEY        an id of 1 to 32 letters, digits and dashes; 32 bytes in base64
 *
 * The first one wraps new keys, all of them unwrap.  So a new one is put before the others, and an
 * old one can go when no key is wrapped by it any more.  Noun "keyring". */
#pragma once

#include "core/config.h"

typedef struct VirgaKeyring VirgaKeyring;

/* Where the file of a cloud is; the caller's. */
char *virga_keyring_path(const VirgaConfig *config);

/* Reads the file; 'make': if there is none it is made, with one new key.  NOT_FOUND, DENIED when
 * others than its owner may read or write it, INVALID. */
VirgaKeyring *virga_keyring_open(const char *path, bool make, GError **error);
void virga_keyring_free(VirgaKeyring *keyring);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaKeyring, virga_keyring_free)

/* DENIED as above, NOT_FOUND: what a doctor asks of the file. */
bool virga_keyring_check(const char *path, GError **error);

/* The id of the key that wraps; a loan. */
const char *virga_keyring_current(const VirgaKeyring *keyring);

/* Wraps 'bytes' for the object 'id', without which they cannot be unwrapped; base64, the
 * caller's. */
char *virga_keyring_wrap(const VirgaKeyring *keyring, const char *id, const guint8 *bytes,
                         gsize size);

/* The way back: 'size' bytes.  NOT_FOUND when the keyring does not have the key 'kek_id', INVALID
 * when they were wrapped for another object, by another key, or are damaged. */
bool virga_keyring_unwrap(const VirgaKeyring *keyring, const char *kek_id, const char *id,
                          const char *wrapped, guint8 *bytes, gsize size, GError **error);
