/* SPDX-License-Identifier: Apache-2.0 */
/* What core/db*.c share. */
#pragma once

#include "core/db.h"

#include <libpq-fe.h>

typedef struct {
    PGconn *pg;
    GHashTable *prepared; /* statement's address -> itself */
} VirgaDbConnection;

/* A connection that was alive just now, the caller's until it is given back; NULL is given back for
 * one that was freed. */
VirgaDbConnection *virga_db_take(VirgaDb *db, GError **error);
void virga_db_give(VirgaDb *db, VirgaDbConnection *connection);
void virga_db_connection_free(VirgaDbConnection *connection);

/* Rows of a result, which they take; NULL for NULL. */
VirgaRows *virga_rows_new(PGresult *result);

/* Sets 'error' from a failed result or connection, translated as core/db.h says. */
bool virga_db_fail(PGconn *connection, PGresult *result, const char *sql, GError **error);

/* Keeps the server's notices out of our standard error. */
void virga_db_silence(PGconn *connection);

/* Runs SQL text of several statements without parameters (schema steps). */
bool virga_txn_script(VirgaTxn *txn, const char *script, GError **error);
