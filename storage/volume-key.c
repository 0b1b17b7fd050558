/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/volume-key.h"

#include "core/error.h"
#include "core/id.h"

#include <gnutls/crypto.h>
#include <string.h>

#define NOUN      "volume key"
#define KEY_BYTES 32

static const char sql_new[] = "INSERT INTO volume_key (id) VALUES ($1)";
static const char sql_lock[] = "SELECT kek_id, wrapped FROM volume_key WHERE id = $1 FOR UPDATE";
static const char sql_fill[] = "UPDATE volume_key SET kek_id = $2, wrapped = $3 WHERE id = $1";
static const char sql_of_volume[] =
    "SELECT v.key_id FROM volume v WHERE v.id = $1 AND v.host_id = $2 AND v.key_id IS NOT NULL"
    " AND (EXISTS (SELECT 1 FROM volume_attachment a WHERE a.volume_id = v.id)"
    " OR EXISTS (SELECT 1 FROM snapshot s WHERE s.volume_id = v.id AND s.state = 'pending'))";
static const char sql_any[] = "SELECT EXISTS (SELECT 1 FROM volume_key WHERE wrapped IS NOT NULL)";
static const char sql_default[] = "SELECT encrypts FROM account WHERE id = $1";
static const char sql_set_default[] = "UPDATE account SET encrypts = $2 WHERE id = $1";

bool
virga_volume_key_new(VirgaTxn *txn, VirgaArena *arena, const char **ret_id, GError **error)
{
    g_autofree char *id = virga_id_new("vkey");

    *ret_id = virga_arena_strdup(arena, id);
    return virga_txn_post(txn, error, sql_new, "s", id);
}

/* As text, since QEMU takes nothing else. */
static char *
passphrase_of(guint8 bytes[static KEY_BYTES])
{
    char *text = g_base64_encode(bytes, KEY_BYTES);

    explicit_bzero(bytes, KEY_BYTES);
    return text;
}

static char *
fill(VirgaTxn *txn, const VirgaKeyring *keyring, const char *key_id, GError **error)
{
    guint8 bytes[KEY_BYTES];
    g_autofree char *wrapped = NULL;

    gnutls_rnd(GNUTLS_RND_KEY, bytes, sizeof bytes);
    wrapped = virga_keyring_wrap(keyring, key_id, bytes, sizeof bytes);
    if (virga_txn_run(txn, error, NULL, sql_fill, "sss", key_id, virga_keyring_current(keyring),
                      wrapped))
        return passphrase_of(bytes);
    explicit_bzero(bytes, sizeof bytes);
    return NULL;
}

static char *
unwrap(const VirgaKeyring *keyring, const char *key_id, const char *kek_id, const char *wrapped,
       GError **error)
{
    g_autoptr(GError) reason = NULL;
    guint8 bytes[KEY_BYTES];

    if (virga_keyring_unwrap(keyring, kek_id, key_id, wrapped, bytes, sizeof bytes, &reason))
        return passphrase_of(bytes);
    virga_fail(error, NOUN, VIRGA_ERROR_STATE, "%s", reason->message);
    return NULL;
}

char *
virga_volume_key_open(VirgaTxn *txn, const VirgaKeyring *keyring, const char *key_id,
                      GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_lock, "s", key_id);

    if (!rows)
        return NULL;
    if (virga_rows_count(rows) == 0) {
        virga_fail(error, NOUN, VIRGA_ERROR_NOT_FOUND, "there is no key \"%s\"", key_id);
        return NULL;
    }
    if (!keyring) {
        virga_fail(error, NOUN, VIRGA_ERROR_STATE,
                   "the cloud's key-encryption keys cannot be had: what is encrypted cannot be "
                   "opened until they are back");
        return NULL;
    }
    return virga_rows_is_null(rows, 0, 1) ? fill(txn, keyring, key_id, error)
                                          : unwrap(keyring, key_id, virga_rows_text(rows, 0, 0),
                                                   virga_rows_text(rows, 0, 1), error);
}

char *
virga_volume_key_for_host(VirgaTxn *txn, const VirgaKeyring *keyring, const char *volume_id,
                          const char *host_id, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_of_volume, "ss", volume_id, host_id);

    if (!rows)
        return NULL;
    if (virga_rows_count(rows) == 0) {
        virga_fail(error, NOUN, VIRGA_ERROR_NOT_FOUND,
                   "host \"%s\" serves no encrypted volume \"%s\"", host_id, volume_id);
        return NULL;
    }
    return virga_volume_key_open(txn, keyring, virga_rows_text(rows, 0, 0), error);
}

void
virga_passphrase_free(char *passphrase)
{
    if (passphrase)
        explicit_bzero(passphrase, strlen(passphrase));
    g_free(passphrase);
}

static bool
ask(const VirgaRows *rows, bool *ret)
{
    *ret = rows && virga_rows_count(rows) > 0 && virga_rows_bool(rows, 0, 0);
    return rows != NULL;
}

bool
virga_volume_key_any(VirgaTxn *txn, bool *ret_any, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_any, "");

    return ask(rows, ret_any);
}

bool
virga_encryption_default(VirgaTxn *txn, const char *account_id, bool *ret_on, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_default, "s", account_id);

    return ask(rows, ret_on);
}

bool
virga_encryption_set_default(VirgaTxn *txn, const char *account_id, bool on, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_set_default, "sb", account_id, on);
}
