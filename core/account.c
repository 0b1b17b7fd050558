/* SPDX-License-Identifier: Apache-2.0 */
#include "core/account.h"

#include "core/error.h"

#include <string.h>

#define ACCOUNT_DIGITS   12
#define KEY_ID_CHARS_MIN 4
#define KEY_ID_CHARS_MAX 128
#define SECRET_CHARS_MIN 8
#define SECRET_CHARS_MAX 1024

static const char sql_ensure[] = "INSERT INTO account (id, name) VALUES ($1, $2)"
                                 " ON CONFLICT (id) DO UPDATE SET name = $2";
static const char sql_key_ensure[] =
    "INSERT INTO access_key (id, account_id, principal, user_id, secret)"
    " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE"
    " SET principal = $3, user_id = $4, secret = $5, active = true, owner_id = NULL"
    " WHERE access_key.account_id = $2";
static const char sql_key_find[] =
    "SELECT id, secret, account_id, principal, user_id, active, owner_id FROM access_key"
    " WHERE id = $1";

bool
virga_account_id_is(const char *id)
{
    return strlen(id) == ACCOUNT_DIGITS && strspn(id, "0123456789") == ACCOUNT_DIGITS;
}

bool
virga_account_ensure(VirgaTxn *txn, const char *account_id, const char *name, GError **error)
{
    if (!virga_account_id_is(account_id))
        return virga_fail(error, "account", VIRGA_ERROR_INVALID,
                          "\"%s\" is no account id: it must have 12 digits", account_id);
    return virga_txn_run(txn, error, NULL, sql_ensure, "ss", account_id, name);
}

static bool
is_key_id(const char *id)
{
    size_t chars = strlen(id);

    return chars >= KEY_ID_CHARS_MIN && chars <= KEY_ID_CHARS_MAX &&
           strspn(id, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "_") == chars;
}

static bool
check_key(const VirgaAccessKey *key, GError **error)
{
    size_t secret_chars = strlen(key->secret);

    if (!is_key_id(key->id))
        return virga_fail(error, "access key", VIRGA_ERROR_INVALID,
                          "\"%s\" is no access key id: it must have %d to %d letters, digits "
                          "and underscores",
                          key->id, KEY_ID_CHARS_MIN, KEY_ID_CHARS_MAX);
    if (secret_chars < SECRET_CHARS_MIN || secret_chars > SECRET_CHARS_MAX)
        return virga_fail(error, "access key", VIRGA_ERROR_INVALID,
                          "the secret of access key \"%s\" must have %d to %d characters", key->id,
                          SECRET_CHARS_MIN, SECRET_CHARS_MAX);
    for (const char *c = key->secret; *c; c++)
        if (!g_ascii_isgraph(*c))
            return virga_fail(error, "access key", VIRGA_ERROR_INVALID,
                              "the secret of access key \"%s\" must be printable ASCII without "
                              "spaces",
                              key->id);
    return true;
}

bool
virga_account_key_ensure(VirgaTxn *txn, const VirgaAccessKey *key, GError **error)
{
    gint64 written;

    if (!check_key(key, error) ||
        !virga_txn_run(txn, error, &written, sql_key_ensure, "sssss", key->id, key->account_id,
                       key->principal, key->user_id, key->secret))
        return false;
    if (written == 0)
        return virga_fail(error, "access key", VIRGA_ERROR_EXISTS,
                          "access key \"%s\" belongs to another account", key->id);
    return true;
}

bool
virga_account_key_find(VirgaTxn *txn, VirgaArena *arena, const char *key_id, VirgaAccessKey **ret,
                       GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;

    /* Whoever has no key may say anything here, also what is no text for the database. */
    if (is_key_id(key_id)) {
        rows = virga_txn_query(txn, error, sql_key_find, "s", key_id);
        if (!rows)
            return false;
    }
    if (!rows || virga_rows_count(rows) == 0)
        return virga_fail(error, "access key", VIRGA_ERROR_NOT_FOUND,
                          "there is no access key \"%.128s\"", key_id);
    *ret = virga_arena_new_array(arena, VirgaAccessKey, 1);
    **ret = (VirgaAccessKey){ .id = virga_rows_dup(rows, arena, 0, 0),
                              .secret = virga_rows_dup(rows, arena, 0, 1),
                              .account_id = virga_rows_dup(rows, arena, 0, 2),
                              .principal = virga_rows_dup(rows, arena, 0, 3),
                              .user_id = virga_rows_dup(rows, arena, 0, 4),
                              .active = virga_rows_bool(rows, 0, 5),
                              .owner_id = virga_rows_dup(rows, arena, 0, 6) };
    return true;
}
