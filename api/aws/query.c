/* SPDX-License-Identifier: Apache-2.0 */
#include "api/query.h"

#include "core/db.h"
#include "core/error.h"

#include <string.h>

#define ATTEMPTS_MAX 4

static bool
attempt(VirgaCall *call, VirgaQueryWork work, const void *request, void *response, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(call->db, error);

    return txn && work(call, txn, request, response, error) && virga_txn_commit(txn, error);
}

bool
virga_query_transaction(VirgaCall *call, VirgaQueryWork work, const void *request, void *response,
                        GError **error)
{
    for (int i = 1;; i++) {
        g_autoptr(GError) reason = NULL;

        memset(response, 0, call->wire->output->size);
        if (attempt(call, work, request, response, &reason))
            return true;
        if (i < ATTEMPTS_MAX && virga_error_is(reason, "database", VIRGA_ERROR_RETRY))
            continue;
        g_propagate_error(error, g_steal_pointer(&reason));
        return false;
    }
}
