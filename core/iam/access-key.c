/* SPDX-License-Identifier: Apache-2.0 */
/* Access keys of users, and the account's alias. */
#include "core/iam.h"

#include "core/error.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define ID_CHARACTERS 16
#define SECRET_BYTES  30 /* 40 characters */

static const char sql_count[] = "SELECT count(*) FROM access_key WHERE owner_id = $1";
static const char sql_create[] =
    "INSERT INTO access_key (id, account_id, principal, user_id, secret, owner_id)"
    " VALUES ($1, $2, $3, $4, $5, $4) RETURNING " VIRGA_SQL_TIME("created");

#define KEY_SELECT                                                                                 \
    "SELECT k.id, k.account_id, e.name, k.active, " VIRGA_SQL_TIME(                                \
        "k.created") ", " VIRGA_SQL_TIME("u.used") ", u.region, u.service FROM access_key k"       \
                                                   " LEFT JOIN iam_entity e ON e.id = k.owner_id"  \
                                                   " LEFT JOIN access_key_use u"                   \
                                                   " ON u.key_id = k.id"
static const char sql_list[] = KEY_SELECT " WHERE k.owner_id = $1 ORDER BY k.created, k.id";
static const char sql_find[] = KEY_SELECT " WHERE k.id = $1";
static const char sql_active[] =
    "UPDATE access_key SET active = $3 WHERE id = $1 AND owner_id = $2";
static const char sql_delete[] = "DELETE FROM access_key WHERE id = $1 AND owner_id = $2";
static const char sql_used[] =
    "INSERT INTO access_key_use (key_id, used, region, service)"
    " SELECT id, to_timestamp($2::bigint / 1000000.0), $3, $4 FROM access_key WHERE id = $1"
    " ON CONFLICT (key_id) DO UPDATE SET used = excluded.used, region = excluded.region,"
    " service = excluded.service WHERE access_key_use.used < excluded.used";
static const char sql_alias[] = "SELECT alias FROM iam_alias WHERE account_id = $1";
static const char sql_alias_set[] =
    "INSERT INTO iam_alias (account_id, alias) SELECT $1, $2"
    " WHERE NOT EXISTS (SELECT 1 FROM iam_alias WHERE alias = $2 AND account_id <> $1)"
    " ON CONFLICT (account_id) DO UPDATE SET alias = $2";
static const char sql_alias_unset[] = "DELETE FROM iam_alias WHERE account_id = $1 AND alias = $2";

static char *
new_secret(VirgaArena *arena)
{
    g_autofree char *text = NULL;
    guint8 bytes[SECRET_BYTES];

    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        g_error("no random bytes: %s", g_strerror(errno));
    text = g_base64_encode(bytes, sizeof bytes);
    return virga_arena_strdup(arena, text);
}

bool
virga_iam_key_create(VirgaTxn *txn, VirgaArena *arena, const VirgaIamEntity *user, VirgaIamKey *ret,
                     GError **error)
{
    g_autoptr(VirgaRows) count = virga_txn_query(txn, error, sql_count, "s", user->id);
    g_autoptr(VirgaRows) rows = NULL;

    if (!count)
        return false;
    if (virga_rows_int(count, 0, 0) >= VIRGA_IAM_KEYS_MAX)
        return virga_fail(error, "identity", VIRGA_ERROR_QUOTA,
                          "Cannot exceed quota for AccessKeysPerUser: %d", VIRGA_IAM_KEYS_MAX);
    *ret = (VirgaIamKey){ .id = virga_iam_id_new(arena, "AKIA", ID_CHARACTERS),
                          .secret = new_secret(arena),
                          .account_id = user->account_id,
                          .user_name = user->name,
                          .active = true };
    rows = virga_txn_query(txn, error, sql_create, "sssss", ret->id, user->account_id, user->arn,
                           user->id, ret->secret);
    if (!rows)
        return false;
    ret->created = virga_rows_time(rows, 0, 0);
    return true;
}

static VirgaIamKey
read_key(const VirgaRows *rows, VirgaArena *arena, int row)
{
    return (VirgaIamKey){ .id = virga_rows_dup(rows, arena, row, 0),
                          .account_id = virga_rows_dup(rows, arena, row, 1),
                          .user_name = virga_rows_dup(rows, arena, row, 2),
                          .active = virga_rows_bool(rows, row, 3),
                          .created = virga_rows_time(rows, row, 4),
                          .used = virga_rows_time(rows, row, 5),
                          .region = virga_rows_dup(rows, arena, row, 6),
                          .service = virga_rows_dup(rows, arena, row, 7) };
}

bool
virga_iam_keys(VirgaTxn *txn, VirgaArena *arena, const char *user_id, VirgaIamKey **ret,
               size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_list, "s", user_id);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaIamKey, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = read_key(rows, arena, i);
    return true;
}

static bool
fail_missing(const char *key_id, GError **error)
{
    return virga_fail(error, "identity", VIRGA_ERROR_NOT_FOUND,
                      "The Access Key with id %s cannot be found.", key_id);
}

bool
virga_iam_key_find(VirgaTxn *txn, VirgaArena *arena, const char *key_id, VirgaIamKey **ret,
                   GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_find, "s", key_id);

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return fail_missing(key_id, error);
    *ret = virga_arena_new_array(arena, VirgaIamKey, 1);
    **ret = read_key(rows, arena, 0);
    return true;
}

bool
virga_iam_key_set_active(VirgaTxn *txn, const VirgaIamEntity *user, const char *key_id, bool active,
                         GError **error)
{
    gint64 changed;

    return virga_txn_run(txn, error, &changed, sql_active, "ssb", key_id, user->id, active) &&
           (changed > 0 || fail_missing(key_id, error));
}

bool
virga_iam_key_delete(VirgaTxn *txn, const VirgaIamEntity *user, const char *key_id, GError **error)
{
    gint64 deleted;

    return virga_txn_run(txn, error, &deleted, sql_delete, "ss", key_id, user->id) &&
           (deleted > 0 || fail_missing(key_id, error));
}

bool
virga_iam_key_used(VirgaTxn *txn, const char *key_id, gint64 used, const char *region,
                   const char *service, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_used, "siss", key_id, used, region, service);
}

/* ---- the account's alias ---- */

bool
virga_iam_alias(VirgaTxn *txn, VirgaArena *arena, const char *account_id, char **ret,
                GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_alias, "s", account_id);

    if (!rows)
        return false;
    *ret = virga_rows_count(rows) ? virga_rows_dup(rows, arena, 0, 0) : NULL;
    return true;
}

static bool
is_alias(const char *alias)
{
    size_t length = strlen(alias);

    return length >= 3 && length <= 63 &&
           strspn(alias, "abcdefghijklmnopqrstuvwxyz" G_CSET_DIGITS "-") == length &&
           alias[0] != '-' && alias[length - 1] != '-' && !strstr(alias, "--");
}

bool
virga_iam_alias_set(VirgaTxn *txn, const char *account_id, const char *alias, GError **error)
{
    gint64 written;

    if (!is_alias(alias))
        return virga_fail(error, "identity", VIRGA_ERROR_INVALID,
                          "The specified value for accountAlias is invalid. It must contain only "
                          "lowercase alphanumeric characters and/or hyphens, and must not begin "
                          "or end with one.");
    if (!virga_txn_run(txn, error, &written, sql_alias_set, "ss", account_id, alias))
        return false;
    return written > 0 || virga_fail(error, "identity", VIRGA_ERROR_EXISTS,
                                     "The account alias %s already exists.", alias);
}

bool
virga_iam_alias_unset(VirgaTxn *txn, const char *account_id, const char *alias, GError **error)
{
    gint64 deleted;

    if (!virga_txn_run(txn, error, &deleted, sql_alias_unset, "ss", account_id, alias))
        return false;
    return deleted > 0 || virga_fail(error, "identity", VIRGA_ERROR_NOT_FOUND,
                                     "The account alias with name %s cannot be found.", alias);
}
