/* SPDX-License-Identifier: Apache-2.0 */
#include "core/client-token.h"

#include "core/error.h"

static const char sql_take[] =
    "INSERT INTO client_token (account_id, action, token, digest, resource_id)"
    " VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
static const char sql_get[] = "SELECT digest, resource_id FROM client_token"
                              " WHERE account_id = $1 AND action = $2 AND token = $3";

bool
virga_client_token_take(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                        const char *action, const char *token, const char *digest,
                        const char *resource_id, char **ret_earlier, GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;
    gint64 taken;

    *ret_earlier = NULL;
    if (!virga_txn_run(txn, error, &taken, sql_take, "sssss", account_id, action, token, digest,
                       resource_id))
        return false;
    if (taken)
        return true;
    rows = virga_txn_query(txn, error, sql_get, "sss", account_id, action, token);
    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, "database", VIRGA_ERROR_RETRY, "the client token has just gone");
    if (!g_str_equal(virga_rows_text(rows, 0, 0), digest))
        return virga_fail(error, "client token", VIRGA_ERROR_CONFLICT,
                          "Arguments on this idempotent request are inconsistent with arguments "
                          "used in previous request(s).");
    *ret_earlier = virga_rows_dup(rows, arena, 0, 1);
    return true;
}
