/* SPDX-License-Identifier: Apache-2.0 */
#include "core/server-certificate.h"

#include "core/error.h"
#include "core/id.h"

#define ID_PREFIX "ASCA"

static const char sql_list[] =
    "SELECT id, name, path, body, chain, " VIRGA_SQL_TIME("uploaded") ", " VIRGA_SQL_TIME(
        "expires") ","
                   " 'arn:aws:iam::' || account_id || ':server-certificate' || path || name"
                   " FROM server_certificate WHERE account_id = $1"
                   " AND ($2::text IS NULL OR starts_with(path, $2))"
                   " AND ($3::text IS NULL OR lower(name) = lower($3)) ORDER BY name";
static const char sql_insert[] =
    "INSERT INTO server_certificate (id, account_id, name, path, body, chain, private_key, expires)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING " VIRGA_SQL_TIME("uploaded");
static const char sql_rename[] =
    "UPDATE server_certificate SET path = coalesce($3, path), name = coalesce($4, name)"
    " WHERE account_id = $1 AND lower(name) = lower($2)";
static const char sql_delete[] =
    "DELETE FROM server_certificate WHERE account_id = $1 AND lower(name) = lower($2)";

bool
virga_server_certificate_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                              const char *path_prefix, const char *name,
                              VirgaServerCertificate **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_list, "sss", account_id, path_prefix, name);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaServerCertificate, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaServerCertificate){ .id = virga_rows_dup(rows, arena, i, 0),
                                              .account_id = (char *) account_id,
                                              .name = virga_rows_dup(rows, arena, i, 1),
                                              .path = virga_rows_dup(rows, arena, i, 2),
                                              .body = virga_rows_dup(rows, arena, i, 3),
                                              .chain = virga_rows_dup(rows, arena, i, 4),
                                              .uploaded = virga_rows_time(rows, i, 5),
                                              .expires = virga_rows_time(rows, i, 6),
                                              .arn = virga_rows_dup(rows, arena, i, 7) };
    return true;
}

static bool
fail_missing(const char *name, GError **error)
{
    return virga_fail(error, "identity", VIRGA_ERROR_NOT_FOUND,
                      "The Server Certificate with name %s cannot be found.", name);
}

static bool
explain(GError *reason, const char *name, GError **error)
{
    g_autoptr(GError) held = reason;

    if (virga_error_is(reason, "database", VIRGA_ERROR_EXISTS))
        return virga_fail(error, "identity", VIRGA_ERROR_EXISTS,
                          "The Server Certificate with name %s already exists.", name);
    if (virga_error_is(reason, "database", VIRGA_ERROR_IN_USE))
        return virga_fail(error, "identity", VIRGA_ERROR_IN_USE,
                          "Certificate: %s is currently in use by a load balancer.", name);
    g_propagate_error(error, g_steal_pointer(&held));
    return false;
}

bool
virga_server_certificate_create(VirgaTxn *txn, VirgaArena *arena,
                                VirgaServerCertificate *certificate, GError **error)
{
    g_autofree char *random = virga_id_new(ID_PREFIX);
    g_autofree char *id = g_ascii_strup(random, -1);
    g_autoptr(VirgaRows) rows = NULL;
    GError *reason = NULL;

    g_strdelimit(id, "-", 'V'); /* IAM's ids are letters and digits */
    certificate->id = virga_arena_printf(arena, "%s", id);
    certificate->arn =
        virga_arena_printf(arena, "arn:aws:iam::%s:server-certificate%s%s", certificate->account_id,
                           certificate->path, certificate->name);
    rows = virga_txn_query(txn, &reason, sql_insert, "ssssssst", certificate->id,
                           certificate->account_id, certificate->name, certificate->path,
                           certificate->body, certificate->chain, certificate->private_key,
                           certificate->expires);
    if (!rows)
        return explain(reason, certificate->name, error);
    certificate->uploaded = virga_rows_time(rows, 0, 0);
    return true;
}

bool
virga_server_certificate_rename(VirgaTxn *txn, const char *account_id, const char *name,
                                const char *new_path, const char *new_name, GError **error)
{
    GError *reason = NULL;
    gint64 count;

    if (!virga_txn_run(txn, &reason, &count, sql_rename, "ssss", account_id, name, new_path,
                       new_name))
        return explain(reason, new_name ? new_name : name, error);
    return count > 0 || fail_missing(name, error);
}

bool
virga_server_certificate_delete(VirgaTxn *txn, const char *account_id, const char *name,
                                GError **error)
{
    GError *reason = NULL;
    gint64 count;

    if (!virga_txn_run(txn, &reason, &count, sql_delete, "ss", account_id, name))
        return explain(reason, name, error);
    return count > 0 || fail_missing(name, error);
}
