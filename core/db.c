/* SPDX-License-Identifier: Apache-2.0 */
/* The pool of connections.  Transactions and statements are in db-txn.c, rows in db-rows.c,
 * migration and LISTEN in db-migrate.c and db-listen.c. */
#include "db-priv.h"

#include "core/error.h"
#include "core/limits.h"

#include <poll.h>
#include <string.h>

struct VirgaDb {
    char *dsn;
    GMutex lock;
    GCond returned;
    GPtrArray *idle; /* VirgaDbConnection */
    unsigned busy, connections_max;
};

void
virga_db_connection_free(VirgaDbConnection *connection)
{
    PQfinish(connection->pg);
    g_hash_table_destroy(connection->prepared);
    g_free(connection);
}

VirgaDb *
virga_db_new(const char *dsn, unsigned connections_max)
{
    VirgaDb *db = g_new0(VirgaDb, 1);

    db->dsn = g_strdup(dsn);
    g_mutex_init(&db->lock);
    g_cond_init(&db->returned);
    db->idle = g_ptr_array_new_with_free_func((GDestroyNotify) virga_db_connection_free);
    db->connections_max = connections_max;
    return db;
}

void
virga_db_free(VirgaDb *db)
{
    if (!db)
        return;
    g_assert(db->busy == 0);
    g_ptr_array_unref(db->idle);
    g_mutex_clear(&db->lock);
    g_cond_clear(&db->returned);
    g_free(db->dsn);
    g_free(db);
}

static VirgaErrorCode
code_of_sqlstate(const char *state)
{
    if (!state)
        return VIRGA_ERROR_RETRY; /* the connection broke */
    if (g_str_equal(state, "23505"))
        return VIRGA_ERROR_EXISTS;
    if (g_str_equal(state, "23514"))
        return VIRGA_ERROR_CAPACITY;
    if (g_str_equal(state, "23503"))
        return VIRGA_ERROR_IN_USE;
    /* Serialisation and deadlock, connection trouble, shutdown, out of slots. */
    if (g_str_has_prefix(state, "40") || g_str_has_prefix(state, "08") ||
        g_str_has_prefix(state, "57P") || g_str_has_prefix(state, "53") ||
        g_str_equal(state, "55P03"))
        return VIRGA_ERROR_RETRY;
    return VIRGA_ERROR_INTERNAL;
}

bool
virga_db_fail(PGconn *connection, PGresult *result, const char *sql, GError **error)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *constraint = result ? PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME) : NULL;
    const char *text = result ? PQresultErrorMessage(result) : PQerrorMessage(connection);
    g_autofree char *line = g_strdup(text);

    line[strcspn(line, "\n")] = '\0';
    virga_fail(error, "database", code_of_sqlstate(state), "%s%s%s%s in \"%.60s\"", line,
               constraint ? " [" : "", constraint ? constraint : "", constraint ? "]" : "", sql);
    PQclear(result);
    return false;
}

/* Our statements are prepared once, and each is written for one way of running it: planning them
 * anew for every set of parameters costs more than running them.  The tables that they touch lie in
 * memory.  They were nearly empty when some of the statements were planned, and reading all of one
 * looked cheap then: an index is to be used wherever there is one. */
static const char session_settings[] =
    "SET plan_cache_mode = force_generic_plan; SET jit = off; SET random_page_cost = 1.1;"
    " SET enable_seqscan = off";

static void
ignore_notice(void *data, const PGresult *result)
{
}

void
virga_db_silence(PGconn *connection)
{
    PQsetNoticeReceiver(connection, ignore_notice, NULL);
}

static VirgaDbConnection *
connect_new(VirgaDb *db, GError **error)
{
    VirgaDbConnection *connection = g_new0(VirgaDbConnection, 1);

    connection->prepared = g_hash_table_new(g_direct_hash, g_direct_equal);
    connection->pg = PQconnectdb(db->dsn);
    if (PQstatus(connection->pg) != CONNECTION_OK) {
        virga_db_fail(connection->pg, NULL, "connect", error);
        virga_db_connection_free(connection);
        return NULL;
    }
    PQclear(PQexec(connection->pg, session_settings)); /* without them all works, but slower */
    virga_db_silence(connection->pg);
    return connection;
}

/* Takes a free connection or the right to make one. */
static bool
take_slot(VirgaDb *db, VirgaDbConnection **ret_connection, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + VIRGA_DB_WAIT_MS * 1000;
    bool taken;

    g_mutex_lock(&db->lock);
    while (db->idle->len == 0 && db->busy >= db->connections_max)
        if (!g_cond_wait_until(&db->returned, &db->lock, deadline))
            break;
    taken = db->idle->len > 0 || db->busy < db->connections_max;
    if (taken) {
        *ret_connection =
            db->idle->len ? g_ptr_array_steal_index(db->idle, db->idle->len - 1) : NULL;
        db->busy++;
    }
    g_mutex_unlock(&db->lock);
    return taken || virga_fail(error, "database", VIRGA_ERROR_RETRY,
                               "could not get a connection: all %u are busy", db->connections_max);
}

void
virga_db_give(VirgaDb *db, VirgaDbConnection *connection)
{
    g_mutex_lock(&db->lock);
    db->busy--;
    if (connection)
        g_ptr_array_add(db->idle, connection);
    g_cond_signal(&db->returned);
    g_mutex_unlock(&db->lock);
}

/* The server closes connections when it goes: a socket on which something lies, unasked for, is one
 * of those, or about to be. */
static bool
is_alive(VirgaDbConnection *connection)
{
    struct pollfd fd = { PQsocket(connection->pg), POLLIN, 0 };

    return PQstatus(connection->pg) == CONNECTION_OK && poll(&fd, 1, 0) == 0;
}

VirgaDbConnection *
virga_db_take(VirgaDb *db, GError **error)
{
    VirgaDbConnection *connection = NULL;

    if (!take_slot(db, &connection, error))
        return NULL;
    if (connection && !is_alive(connection)) {
        virga_db_connection_free(connection);
        connection = NULL;
    }
    if (!connection)
        connection = connect_new(db, error);
    if (!connection)
        virga_db_give(db, NULL);
    return connection;
}
