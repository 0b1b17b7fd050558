/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions and statements.
 *
 * Every statement goes through libpq's pipeline: it is sent with whatever must precede it (BEGIN,
 * its preparation, statements that were posted before) and the answers are taken together.  A round
 * trip costs more than most of our statements do, so those whose answer decides nothing are posted,
 * and those that do not depend on each other are sent together. */
#include "db-priv.h"

#include "core/error.h"

#include <string.h>

#define PARAMETERS_MAX 48

static const char sql_begin[] = "BEGIN";
static const char sql_commit[] = "COMMIT";

typedef enum {
    SENT_FIRST,  /* BEGIN, a preparation: must succeed */
    SENT_POSTED, /* must succeed; the answer is dropped */
    SENT_WANTED, /* virga_txn_receive() gives the answer */
} SentKind;

typedef struct {
    SentKind kind;
    const char *sql;
} Sent;

struct VirgaTxn {
    VirgaDb *db;
    VirgaDbConnection *connection;
    bool transaction; /* else each statement is one */
    bool begun;       /* BEGIN was sent, COMMIT not yet */
    bool synced;      /* nothing more is sent until all is answered */
    GArray *sent;     /* Sent, in order, not answered yet */
    GQueue answers;   /* PGresult of wanted ones, in order */
    GError *failure;  /* the first; nothing more can be done in a transaction then */
};

static VirgaTxn *
txn_new(VirgaDb *db, bool transaction, GError **error)
{
    VirgaDbConnection *connection = virga_db_take(db, error);
    VirgaTxn *txn;

    if (!connection)
        return NULL;
    txn = g_new0(VirgaTxn, 1);
    txn->db = db;
    txn->connection = connection;
    txn->transaction = transaction;
    txn->sent = g_array_new(FALSE, FALSE, sizeof(Sent));
    g_queue_init(&txn->answers);
    return txn;
}

VirgaTxn *
virga_db_begin(VirgaDb *db, GError **error)
{
    return txn_new(db, true, error);
}

VirgaTxn *
virga_db_read(VirgaDb *db, GError **error)
{
    return txn_new(db, false, error);
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
        int flag;

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
        case 'm':
            flag = va_arg(*args, int);
            parameters->values[n] = flag < 0 ? NULL : flag ? "t" : "f";
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

/* ---- the pipeline ---- */

static void
note_sent(VirgaTxn *txn, SentKind kind, const char *sql)
{
    Sent sent = { kind, sql };

    g_array_append_val(txn->sent, sent);
}

static bool
note_failure(VirgaTxn *txn, PGresult *result, const char *sql)
{
    if (txn->failure)
        PQclear(result);
    else
        virga_db_fail(txn->connection->pg, result, sql, &txn->failure);
    return false;
}

static bool send_prepared(VirgaTxn *txn, SentKind kind, const char *sql,
                          const Parameters *parameters);

/* What has to go before a statement. */
static bool
send_first(VirgaTxn *txn, const char *sql, const char *name)
{
    PGconn *pg = txn->connection->pg;

    if (PQpipelineStatus(pg) == PQ_PIPELINE_OFF && !PQenterPipelineMode(pg))
        return note_failure(txn, NULL, sql);
    if (txn->transaction && !txn->begun && sql != sql_begin) {
        if (!send_prepared(txn, SENT_FIRST, sql_begin, &(Parameters){ 0 }))
            return false;
        txn->begun = true;
    }
    if (!g_hash_table_contains(txn->connection->prepared, sql)) {
        if (!PQsendPrepare(pg, name, sql, 0, NULL))
            return note_failure(txn, NULL, sql);
        note_sent(txn, SENT_FIRST, sql);
        g_hash_table_add(txn->connection->prepared, (gpointer) sql);
    }
    return true;
}

static bool
send_prepared(VirgaTxn *txn, SentKind kind, const char *sql, const Parameters *parameters)
{
    char name[24];

    g_snprintf(name, sizeof name, "s%p", (const void *) sql);
    if (!send_first(txn, sql, name))
        return false;
    if (!PQsendQueryPrepared(txn->connection->pg, name, parameters->count, parameters->values, NULL,
                             NULL, 0))
        return note_failure(txn, NULL, sql);
    note_sent(txn, kind, sql);
    return true;
}

static bool
send_statement(VirgaTxn *txn, SentKind kind, const char *sql, const Parameters *parameters)
{
    g_assert(!txn->synced);
    return !txn->failure && send_prepared(txn, kind, sql, parameters);
}

/* The answer to one statement; NULL when it failed, which is noted. */
static PGresult *
take_answer(VirgaTxn *txn, const Sent *sent)
{
    PGconn *pg = txn->connection->pg;
    PGresult *result = PQgetResult(pg);
    ExecStatusType status = PQresultStatus(result); /* of NULL: a fatal error */

    if (result)
        PQclear(PQgetResult(pg)); /* the NULL between two statements */
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return result;
    if (sent->kind == SENT_FIRST)
        g_hash_table_remove(txn->connection->prepared, sent->sql);
    if (status == PGRES_PIPELINE_ABORTED) {
        /* Its preparation did not happen either, if it was to be. */
        g_assert(txn->failure);
        PQclear(result);
    } else {
        note_failure(txn, result, sent->sql);
    }
    return NULL;
}

/* What was sent is all that is to be answered now. */
static void
synchronise(VirgaTxn *txn)
{
    if (!txn->synced && !PQpipelineSync(txn->connection->pg))
        note_failure(txn, NULL, "sync");
    txn->synced = true;
}

/* Takes the answers to all that was sent. */
static void
drain(VirgaTxn *txn)
{
    PGconn *pg = txn->connection->pg;

    if (PQpipelineStatus(pg) == PQ_PIPELINE_OFF)
        return;
    synchronise(txn);
    for (guint i = 0; i < txn->sent->len; i++) {
        const Sent *sent = &g_array_index(txn->sent, Sent, i);
        PGresult *result = take_answer(txn, sent);

        if (sent->kind == SENT_WANTED)
            g_queue_push_tail(&txn->answers, result);
        else
            PQclear(result);
    }
    g_array_set_size(txn->sent, 0);
    PQclear(PQgetResult(pg)); /* the synchronisation itself */
    txn->synced = false;
    if (!PQexitPipelineMode(pg) && !txn->failure)
        note_failure(txn, NULL, "sync");
}

static bool
tell_failure(VirgaTxn *txn, GError **error)
{
    if (error)
        *error = g_error_copy(txn->failure);
    if (!txn->transaction) /* the next statement is another transaction */
        g_clear_error(&txn->failure);
    return false;
}

static PGresult *
receive(VirgaTxn *txn, GError **error)
{
    PGresult *result;

    if (g_queue_is_empty(&txn->answers))
        drain(txn);
    result = g_queue_pop_head(&txn->answers);
    if (!result)
        tell_failure(txn, error);
    return result;
}

/* ---- statements ---- */

bool
virga_txn_send(VirgaTxn *txn, GError **error, const char *sql, const char *format, ...)
{
    g_auto(Parameters) parameters;
    va_list args;

    va_start(args, format);
    parameters_read(&parameters, format, &args);
    va_end(args);
    return send_statement(txn, SENT_WANTED, sql, &parameters) || tell_failure(txn, error);
}

bool
virga_txn_post(VirgaTxn *txn, GError **error, const char *sql, const char *format, ...)
{
    g_auto(Parameters) parameters;
    va_list args;

    va_start(args, format);
    parameters_read(&parameters, format, &args);
    va_end(args);
    return send_statement(txn, SENT_POSTED, sql, &parameters) || tell_failure(txn, error);
}

VirgaRows *
virga_txn_receive(VirgaTxn *txn, GError **error)
{
    return virga_rows_new(receive(txn, error));
}

VirgaRows *
virga_txn_query(VirgaTxn *txn, GError **error, const char *sql, const char *format, ...)
{
    g_auto(Parameters) parameters;
    va_list args;

    va_start(args, format);
    parameters_read(&parameters, format, &args);
    va_end(args);
    if (!send_statement(txn, SENT_WANTED, sql, &parameters)) {
        tell_failure(txn, error);
        return NULL;
    }
    return virga_txn_receive(txn, error);
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
    if (!send_statement(txn, SENT_WANTED, sql, &parameters))
        return tell_failure(txn, error);
    result = receive(txn, error);
    if (!result)
        return false;
    if (ret_affected)
        *ret_affected = g_ascii_strtoll(PQcmdTuples(result), NULL, 10);
    PQclear(result);
    return true;
}

void
virga_txn_push(VirgaTxn *txn)
{
    PQflush(txn->connection->pg); /* a failure shows in the answers */
}

bool
virga_txn_commit_send(VirgaTxn *txn, GError **error)
{
    if (!txn->failure && !txn->begun)
        return true; /* nothing was asked */
    if (!send_statement(txn, SENT_WANTED, sql_commit, &(Parameters){ 0 }))
        return tell_failure(txn, error);
    synchronise(txn);
    return true;
}

bool
virga_txn_commit_receive(VirgaTxn *txn, GError **error)
{
    PGresult *result;
    bool done;

    if (!txn->failure && !txn->begun)
        return true;
    result = receive(txn, error);
    if (!result)
        return false;
    txn->begun = false;
    done = g_str_equal(PQcmdStatus(result), "COMMIT"); /* else a failed one was overlooked */
    PQclear(result);
    return done || virga_fail(error, "database", VIRGA_ERROR_INTERNAL,
                              "a transaction was rolled back instead of committed");
}

bool
virga_txn_commit(VirgaTxn *txn, GError **error)
{
    return virga_txn_commit_send(txn, error) && virga_txn_commit_receive(txn, error);
}

bool
virga_txn_script(VirgaTxn *txn, const char *script, GError **error)
{
    PGresult *result;
    ExecStatusType status;

    g_assert(!txn->transaction || txn->begun);
    result = PQexec(txn->connection->pg, script);
    status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        return virga_db_fail(txn->connection->pg, result, script, error);
    PQclear(result);
    return true;
}

void
virga_txn_free(VirgaTxn *txn)
{
    PGconn *pg;
    PGresult *left;

    if (!txn)
        return;
    pg = txn->connection->pg;
    drain(txn);
    while ((left = g_queue_pop_head(&txn->answers)))
        PQclear(left);
    g_queue_clear(&txn->answers); /* those that failed */
    if (PQtransactionStatus(pg) == PQTRANS_INTRANS || PQtransactionStatus(pg) == PQTRANS_INERROR)
        PQclear(PQexec(pg, "ROLLBACK"));
    if (PQstatus(pg) != CONNECTION_OK || PQtransactionStatus(pg) != PQTRANS_IDLE) {
        virga_db_connection_free(txn->connection);
        txn->connection = NULL;
    }
    virga_db_give(txn->db, txn->connection);
    g_array_unref(txn->sent);
    g_clear_error(&txn->failure);
    g_free(txn);
}
