/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/question.h"

#include "compute/host.h"
#include "core/error.h"
#include "core/id.h"

#define WAIT_MS  10000 /* as long as VIRGA_QUESTIONS_SQL() tells of a question */
#define LOOK_MS  50
#define OPEN_MAX 4 /* each holds a worker of virgad */

static const char sql_ask[] =
    "INSERT INTO host_question (id, host_id, instance_id, kind) SELECT $1, $2, $3, $4"
    " WHERE (SELECT count(*) FROM host_question WHERE answered IS NULL"
    " AND asked > now() - interval '10 seconds') < $5";
static const char sql_look[] = "SELECT answer, failure FROM host_question"
                               " WHERE id = $1 AND answered IS NOT NULL";
/* Also those whose callers did not live to hear the answer. */
static const char sql_forget[] =
    "DELETE FROM host_question WHERE id = $1 OR asked < now() - interval '5 minutes'";
static const char sql_answer[] =
    "UPDATE host_question SET answer = $3, failure = $4, answered = now()"
    " WHERE id = $1 AND host_id = $2 AND answered IS NULL";

static const char *
kind_name(VirgaQuestionKind kind)
{
    static const char *const names[] = { "screenshot", "nmi", "console" };

    return names[kind];
}

static bool
ask(VirgaDb *db, const char *id, const char *host_id, const char *instance_id,
    VirgaQuestionKind kind, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(db, error);
    gint64 asked;

    if (!txn || !virga_txn_run(txn, error, &asked, sql_ask, "ssssi", id, host_id, instance_id,
                               kind_name(kind), (gint64) OPEN_MAX))
        return false;
    if (asked == 0)
        return virga_fail(error, "host", VIRGA_ERROR_RETRY, "too many questions are open");
    return virga_host_wake(txn, host_id, error) && virga_txn_commit(txn, error);
}

/* 'ret_rows' is NULL while there is no answer. */
static bool
look(VirgaDb *db, const char *id, VirgaRows **ret_rows, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(db, error);
    g_autoptr(VirgaRows) rows = txn ? virga_txn_query(txn, error, sql_look, "s", id) : NULL;

    if (!rows)
        return false;
    *ret_rows = virga_rows_count(rows) ? g_steal_pointer(&rows) : NULL;
    return true;
}

static void
forget(VirgaDb *db, const char *id)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(db, NULL);

    if (txn && virga_txn_run(txn, NULL, NULL, sql_forget, "s", id))
        virga_txn_commit(txn, NULL);
}

bool
virga_question_ask(VirgaDb *db, VirgaArena *arena, const char *host_id, const char *instance_id,
                   VirgaQuestionKind kind, char **ret_answer, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + (gint64) WAIT_MS * 1000;
    g_autofree char *id = virga_id_new("q");
    g_autoptr(VirgaRows) rows = NULL;
    bool looked;

    if (!ask(db, id, host_id, instance_id, kind, error))
        return false;
    do {
        g_usleep(LOOK_MS * 1000);
        looked = look(db, id, &rows, error);
    } while (looked && !rows && g_get_monotonic_time() < deadline);
    forget(db, id);
    if (!looked)
        return false;
    if (!rows)
        return virga_fail(error, "host", VIRGA_ERROR_RETRY, "host \"%s\" did not answer", host_id);
    if (!virga_rows_is_null(rows, 0, 1))
        return virga_fail(error, "instance", VIRGA_ERROR_STATE,
                          "The host of the instance '%s' could not do it: %s", instance_id,
                          virga_rows_text(rows, 0, 1));
    *ret_answer = virga_rows_dup(rows, arena, 0, 0);
    return true;
}

bool
virga_question_answer(VirgaTxn *txn, const char *host_id, const char *id, const char *answer,
                      const char *failure, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_answer, "ssss", id, host_id, answer ? answer : "",
                         failure);
}
