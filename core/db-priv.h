/* SPDX-License-Identifier: Apache-2.0 */
/* What core/db*.c share. */
#pragma once

#include "core/db.h"

#include <libpq-fe.h>

/* Sets 'error' from a failed result or connection, translated as core/db.h says. */
bool virga_db_fail(PGconn *connection, PGresult *result, const char *sql, GError **error);

/* Keeps the server's notices out of our standard error. */
void virga_db_silence(PGconn *connection);

/* Runs SQL text of several statements without parameters (schema steps). */
bool virga_txn_script(VirgaTxn *txn, const char *script, GError **error);
