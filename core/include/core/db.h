/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL, the only truth.
 *
 * VirgaDb is a bounded pool of connections; VirgaTxn is one of them while it is checked out.
 * Statements are constants: each is prepared once per connection, keyed by its address, and every
 * value is a parameter.  Parameters are given by a format, one letter each:
 *
 *     s  const char *            text, NULL is SQL's NULL
 *     i  gint64                  integer
 *     b  int (bool)              boolean
 *     m  int                     boolean, maybe: negative is NULL
 *     t  gint64                  time in microseconds since the epoch, 0 is NULL
 *     a  const char *const *     text[], NULL-terminated; NULL is SQL's NULL
 *
 * Every function fails with noun "database": RETRY when the connection or a race was lost and the
 * whole transaction may be run again, EXISTS for a unique violation, CAPACITY for a violated CHECK
 * (claims are CHECKs), IN_USE for a foreign key, INTERNAL otherwise.  After a failed statement the
 * transaction can only be rolled back.  BEGIN travels with the first statement. */
#pragma once

#include "core/arena.h"

#include <glib.h>
#include <stdbool.h>

typedef struct VirgaDb VirgaDb;
typedef struct VirgaTxn VirgaTxn;
typedef struct VirgaRows VirgaRows;

/* A pool for 'dsn' (libpq's connection string) with at most 'connections_max' connections, made
 * when first needed and made anew after a failure.  Never fails: the first use does. */
VirgaDb *virga_db_new(const char *dsn, unsigned connections_max);
void virga_db_free(VirgaDb *db);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaDb, virga_db_free)

/* Brings the schema to this program's version: applies each numbered step that is not recorded
 * yet, each in a transaction, under a lock so that replicas may start together.  Fails with
 * UNSUPPORTED when the database is newer than the program. */
bool virga_db_migrate(VirgaDb *db, GError **error);

/* Begins a transaction; waits for a free connection at most some seconds, then RETRY.
 * The caller ends it with virga_txn_commit() or by freeing it, which rolls back. */
VirgaTxn *virga_db_begin(VirgaDb *db, GError **error);

/* A connection for reads, each statement its own transaction. */
VirgaTxn *virga_db_read(VirgaDb *db, GError **error);

/* Makes the transaction durable; a statement that failed before fails this, too.  'txn' remains to
 * be freed. */
bool virga_txn_commit(VirgaTxn *txn, GError **error);

/* The two halves of it: what the caller does between them, the disk need not wait for.  Nothing
 * else is done with 'txn' from the first on; if that fails, the second is not called. */
bool virga_txn_commit_send(VirgaTxn *txn, GError **error);
bool virga_txn_commit_receive(VirgaTxn *txn, GError **error);

void virga_txn_free(VirgaTxn *txn);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaTxn, virga_txn_free)

/* Runs a statement and returns its rows, the caller's.  'sql' must be a constant. */
VirgaRows *virga_txn_query(VirgaTxn *txn, GError **error, const char *sql, const char *format, ...);

/* Runs a statement; 'ret_affected' (may be NULL) gets the number of rows that it touched. */
bool virga_txn_run(VirgaTxn *txn, GError **error, gint64 *ret_affected, const char *sql,
                   const char *format, ...);

/* Sends a statement whose rows virga_txn_receive() gives; several that do not depend on each other
 * cost one round trip.  Rows come in the order of sending, and all must be received (or the
 * transaction freed) before anything else is asked.  When one fails, so do those behind it. */
bool virga_txn_send(VirgaTxn *txn, GError **error, const char *sql, const char *format, ...);
VirgaRows *virga_txn_receive(VirgaTxn *txn, GError **error);

/* Runs a statement whose outcome need not be known now: it travels with the next one, and its
 * failure is that one's, or the commit's. */
bool virga_txn_post(VirgaTxn *txn, GError **error, const char *sql, const char *format, ...);

/* Lets the server begin with what was sent and posted while more of it is being written. */
void virga_txn_push(VirgaTxn *txn);

void virga_rows_free(VirgaRows *rows);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaRows, virga_rows_free)
int virga_rows_count(const VirgaRows *rows);

/* Values of a row.  Text is a loan until the rows are freed; NULL stays NULL, 0 or false. */
bool virga_rows_is_null(const VirgaRows *rows, int row, int column);
const char *virga_rows_text(const VirgaRows *rows, int row, int column);
gint64 virga_rows_int(const VirgaRows *rows, int row, int column);
bool virga_rows_bool(const VirgaRows *rows, int row, int column);
gint64 virga_rows_time(const VirgaRows *rows, int row, int column); /* of EPOCH_US() columns */
char *virga_rows_dup(const VirgaRows *rows, VirgaArena *arena, int row, int column);
char **virga_rows_array(const VirgaRows *rows, int row, int column); /* text[]; caller frees */

/* Keeps the values until 'arena' goes: virga_rows_dup() into it then copies nothing.  For long
 * lists of which most is read. */
void virga_rows_keep(VirgaRows *rows, VirgaArena *arena);

/* What a column of times looks like in a SELECT, for virga_rows_time(). */
#define VIRGA_SQL_TIME(column) "(date_part('epoch', " column ") * 1000000)::bigint"

/* Calls 'notify' (in a thread of the listener) for every NOTIFY on 'channels', and with a NULL
 * payload whenever notifications may have been missed: at the start and after a reconnection. */
typedef struct VirgaDbListener VirgaDbListener;
typedef void (*VirgaDbNotify)(const char *channel, const char *payload, gpointer data);
VirgaDbListener *virga_db_listen(const char *dsn, const char *const *channels, VirgaDbNotify notify,
                                 gpointer data);
void virga_db_listener_free(VirgaDbListener *listener);
