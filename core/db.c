/* SPDX-License-Identifier: Apache-2.0 */
/* The pool, transactions and statements.  Migration and LISTEN are in db-migrate.c, db-listen.c. */
#include "db-priv.h"

#include "core/error.h"
#include "core/limits.h"

#include <stdlib.h>
#include <string.h>

#define PARAMETERS_MAX 48

typedef struct {
    PGconn *pg;
    GHashTable *prepared; /* statement's address -> itself */
} Connection;

struct VirgaDb {
    char *dsn;
    GMutex lock;
    GCond returned;
    GPtrArray *idle; /* Connection */
    unsigned busy, connections_max;
};

struct VirgaTxn {
    VirgaDb *db;
    Connection *connection;
    bool open; /* BEGIN was said, no COMMIT yet */
};

struct VirgaRows {
    PGresult *result;
};

static void
connection_free(Connection *connection)
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
    db->idle = g_ptr_array_new_with_free_func((GDestroyNotify) connection_free);
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
 * memory. */
static const char session_settings[] =
    "SET plan_cache_mode = force_generic_plan; SET jit = off; SET random_page_cost = 1.1";

static void
ignore_notice(void *data, const PGresult *result)
{
}

void
virga_db_silence(PGconn *connection)
{
    PQsetNoticeReceiver(connection, ignore_notice, NULL);
}

static Connection *
connect_new(VirgaDb *db, GError **error)
{
    Connection *connection = g_new0(Connection, 1);

    connection->prepared = g_hash_table_new(g_direct_hash, g_direct_equal);
    connection->pg = PQconnectdb(db->dsn);
    if (PQstatus(connection->pg) != CONNECTION_OK) {
        virga_db_fail(connection->pg, NULL, "connect", error);
        connection_free(connection);
        return NULL;
    }
    PQclear(PQexec(connection->pg, session_settings)); /* without them all works, but slower */
    virga_db_silence(connection->pg);
    return connection;
}

/* Takes a free connection or the right to make one. */
static bool
take_slot(VirgaDb *db, Connection **ret_connection, GError **error)
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

static void
give_back(VirgaDb *db, Connection *connection)
{
    g_mutex_lock(&db->lock);
    db->busy--;
    if (connection)
        g_ptr_array_add(db->idle, connection);
    g_cond_signal(&db->returned);
    g_mutex_unlock(&db->lock);
}

static bool
begin(Connection *connection, GError **error)
{
    PGresult *result = PQexec(connection->pg, "BEGIN");

    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        return virga_db_fail(connection->pg, result, "BEGIN", error);
    PQclear(result);
    return true;
}

/* A pooled connection may have died with the server since: then one fresh attempt is made. */
static VirgaTxn *
check_out(VirgaDb *db, bool transaction, GError **error)
{
    Connection *connection = NULL;
    VirgaTxn *txn;

    if (!take_slot(db, &connection, error))
        return NULL;
    if (connection && transaction && !begin(connection, NULL)) {
        connection_free(connection);
        connection = NULL;
    } else if (connection) {
        transaction = false; /* said already, or not wanted */
    }
    if (!connection) {
        connection = connect_new(db, error);
        if (!connection || (transaction && !begin(connection, error))) {
            if (connection)
                connection_free(connection);
            give_back(db, NULL);
            return NULL;
        }
    }
    txn = g_new0(VirgaTxn, 1);
    txn->db = db;
    txn->connection = connection;
    return txn;
}

VirgaTxn *
virga_db_begin(VirgaDb *db, GError **error)
{
    VirgaTxn *txn = check_out(db, true, error);

    if (txn)
        txn->open = true;
    return txn;
}

VirgaTxn *
virga_db_read(VirgaDb *db, GError **error)
{
    return check_out(db, false, error);
}

void
virga_txn_free(VirgaTxn *txn)
{
    if (!txn)
        return;
    if (txn->open && PQstatus(txn->connection->pg) == CONNECTION_OK)
        PQclear(PQexec(txn->connection->pg, "ROLLBACK"));
    if (PQstatus(txn->connection->pg) != CONNECTION_OK ||
        PQtransactionStatus(txn->connection->pg) != PQTRANS_IDLE) {
        connection_free(txn->connection);
        txn->connection = NULL;
    }
    give_back(txn->db, txn->connection);
    g_free(txn);
}

bool
virga_txn_commit(VirgaTxn *txn, GError **error)
{
    PGresult *result = PQexec(txn->connection->pg, "COMMIT");

    txn->open = false;
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        return virga_db_fail(txn->connection->pg, result, "COMMIT", error);
    if (!g_str_equal(PQcmdStatus(result), "COMMIT")) { /* a failed statement was overlooked */
        PQclear(result);
        return virga_fail(error, "database", VIRGA_ERROR_INTERNAL,
                          "a transaction was rolled back instead of committed");
    }
    PQclear(result);
    return true;
}

bool
virga_txn_script(VirgaTxn *txn, const char *script, GError **error)
{
    PGresult *result = PQexec(txn->connection->pg, script);
    ExecStatusType status = PQresultStatus(result);

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        return virga_db_fail(txn->connection->pg, result, script, error);
    PQclear(result);
    return true;
}

static char *
format_array(const char *const *items)
{
    GString *text = g_string_new("{");

    for (; *items; items++) {
        g_string_append_c(text, '"');
        for (const char *c = *items; *c; c++) {
            if (*c == '"' || *c == '\\')
                g_string_append_c(text, '\\');
            g_string_append_c(text, *c);
        }
        g_string_append(text, items[1] ? "\"," : "\"");
    }
    g_string_append_c(text, '}');
    return g_string_free(text, FALSE);
}

/* Parameters as libpq wants them; 'owned' are those that were formatted. */
typedef struct {
    const char *values[PARAMETERS_MAX];
    char *owned[PARAMETERS_MAX];
    int count;
} Parameters;

static void
parameters_clear(Parameters *parameters)
{
    for (int i = 0; i < parameters->count; i++)
        g_free(parameters->owned[i]);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Parameters, parameters_clear)

static void
parameters_read(Parameters *parameters, const char *format, va_list *args)
{
    parameters->count = 0;
    for (; *format; format++) {
        int n = parameters->count++;
        const char *const *items;
        gint64 number;

        g_assert(n < PARAMETERS_MAX);
        parameters->owned[n] = NULL;
        parameters->values[n] = NULL;
        switch (*format) {
        case 's':
            parameters->values[n] = va_arg(*args, const char *);
            continue;
        case 'i':
            parameters->owned[n] = g_strdup_printf("%" G_GINT64_FORMAT, va_arg(*args, gint64));
            break;
        case 'b':
            parameters->values[n] = va_arg(*args, int) ? "t" : "f";
            continue;
        case 't':
            number = va_arg(*args, gint64);
            if (number) {
                g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(number / G_USEC_PER_SEC);
                g_autofree char *text = g_date_time_format(time, "%Y-%m-%d %H:%M:%S");
                parameters->owned[n] =
                    g_strdup_printf("%s.%06d+00", text, (int) (number % G_USEC_PER_SEC));
            }
            break;
        case 'a':
            items = va_arg(*args, const char *const *);
            parameters->owned[n] = items ? format_array(items) : NULL;
            break;
        default:
            g_assert_not_reached();
        }
        parameters->values[n] = parameters->owned[n];
    }
}

static bool
prepare(Connection *connection, const char *sql, const char *name, GError **error)
{
    PGresult *result;

    if (g_hash_table_contains(connection->prepared, sql))
        return true;
    result = PQprepare(connection->pg, name, sql, 0, NULL);
    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        return virga_db_fail(connection->pg, result, sql, error);
    PQclear(result);
    g_hash_table_add(connection->prepared, (gpointer) sql);
    return true;
}

/* Outside a transaction a connection that died while it lay idle is replaced once. */
static bool
revive(VirgaTxn *txn)
{
    Connection *fresh;

    if (txn->open || PQstatus(txn->connection->pg) == CONNECTION_OK)
        return false;
    fresh = connect_new(txn->db, NULL);
    if (!fresh)
        return false;
    connection_free(txn->connection);
    txn->connection = fresh;
    return true;
}

static PGresult *
execute(VirgaTxn *txn, const char *sql, const Parameters *parameters, GError **error)
{
    char name[24];
    g_autoptr(GError) first = NULL;
    PGresult *result;
    ExecStatusType status;

    g_snprintf(name, sizeof name, "s%p", (const void *) sql);
    for (bool again = false;; again = true) {
        g_clear_error(&first);
        if (prepare(txn->connection, sql, name, &first)) {
            result = PQexecPrepared(txn->connection->pg, name, parameters->count,
                                    parameters->values, NULL, NULL, 0);
            status = PQresultStatus(result);
            if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
                return result;
            virga_db_fail(txn->connection->pg, result, sql, &first);
        }
        if (again || !revive(txn))
            break;
    }
    g_propagate_error(error, g_steal_pointer(&first));
    return NULL;
}

VirgaRows *
virga_txn_query(VirgaTxn *txn, GError **error, const char *sql, const char *format, ...)
{
    g_auto(Parameters) parameters;
    VirgaRows *rows;
    PGresult *result;
    va_list args;

    va_start(args, format);
    parameters_read(&parameters, format, &args);
    va_end(args);
    result = execute(txn, sql, &parameters, error);
    if (!result)
        return NULL;
    rows = g_new0(VirgaRows, 1);
    rows->result = result;
    return rows;
}

bool
virga_txn_run(VirgaTxn *txn, GError **error, gint64 *ret_affected, const char *sql,
              const char *format, ...)
{
    g_auto(Parameters) parameters;
    PGresult *result;
    va_list args;

    va_start(args, format);
    parameters_read(&parameters, format, &args);
    va_end(args);
    result = execute(txn, sql, &parameters, error);
    if (!result)
        return false;
    if (ret_affected)
        *ret_affected = g_ascii_strtoll(PQcmdTuples(result), NULL, 10);
    PQclear(result);
    return true;
}

void
virga_rows_free(VirgaRows *rows)
{
    if (!rows)
        return;
    PQclear(rows->result);
    g_free(rows);
}

int
virga_rows_count(const VirgaRows *rows)
{
    return PQntuples(rows->result);
}

bool
virga_rows_is_null(const VirgaRows *rows, int row, int column)
{
    return PQgetisnull(rows->result, row, column);
}

const char *
virga_rows_text(const VirgaRows *rows, int row, int column)
{
    return PQgetisnull(rows->result, row, column) ? NULL : PQgetvalue(rows->result, row, column);
}

char *
virga_rows_dup(const VirgaRows *rows, VirgaArena *arena, int row, int column)
{
    if (PQgetisnull(rows->result, row, column))
        return NULL;
    return virga_arena_strndup(arena, PQgetvalue(rows->result, row, column),
                               (gsize) PQgetlength(rows->result, row, column));
}

gint64
virga_rows_int(const VirgaRows *rows, int row, int column)
{
    return g_ascii_strtoll(PQgetvalue(rows->result, row, column), NULL, 10);
}

bool
virga_rows_bool(const VirgaRows *rows, int row, int column)
{
    return PQgetvalue(rows->result, row, column)[0] == 't';
}

gint64
virga_rows_time(const VirgaRows *rows, int row, int column)
{
    return virga_rows_int(rows, row, column);
}

/* PostgreSQL's text form of a one-dimensional text[]: {a,"b \"c\"",NULL}. */
char **
virga_rows_array(const VirgaRows *rows, int row, int column)
{
    const char *text = virga_rows_text(rows, row, column);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_autoptr(GString) item = g_string_new(NULL);
    bool quoted = false, any = false;

    for (text = text && *text == '{' ? text + 1 : ""; *text; text++) {
        if (*text == '\\' && text[1]) {
            g_string_append_c(item, *++text);
        } else if (*text == '"') {
            quoted = !quoted;
            any = true;
        } else if (!quoted && (*text == ',' || *text == '}')) {
            if (any || item->len)
                g_strv_builder_add(builder, item->str);
            g_string_truncate(item, 0);
            any = false;
        } else {
            g_string_append_c(item, *text);
        }
    }
    return g_strv_builder_end(builder);
}
