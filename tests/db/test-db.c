/* SPDX-License-Identifier: Apache-2.0 */
/* The pool, transactions, statements, migration and notifications against a real server. */
#include "postgres.h"

#include "core/db.h"
#include "core/error.h"

#include <string.h>

static Postgres *postgres;

typedef struct {
    char *dsn;
    VirgaDb *db;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->dsn = postgres_database(postgres);
    fixture->db = virga_db_new(fixture->dsn, 4);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    virga_db_free(fixture->db);
    g_free(fixture->dsn);
}

static void
run(VirgaTxn *txn, const char *sql)
{
    g_autoptr(GError) error = NULL;

    virga_txn_run(txn, &error, NULL, sql, "");
    g_assert_no_error(error);
}

static VirgaTxn *
begin(VirgaDb *db)
{
    g_autoptr(GError) error = NULL;
    VirgaTxn *txn = virga_db_begin(db, &error);

    g_assert_no_error(error);
    return txn;
}

static void
commit(VirgaTxn *txn)
{
    g_autoptr(GError) error = NULL;

    virga_txn_commit(txn, &error);
    g_assert_no_error(error);
}

static void
run_alone(VirgaDb *db, const char *sql)
{
    g_autoptr(VirgaTxn) txn = begin(db);

    run(txn, sql);
    commit(txn);
}

static gint64
number_of(VirgaDb *db, const char *sql)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaTxn) txn = virga_db_read(db, &error);
    g_autoptr(VirgaRows) rows = NULL;

    g_assert_no_error(error);
    rows = virga_txn_query(txn, &error, sql, "");
    g_assert_no_error(error);
    return virga_rows_int(rows, 0, 0);
}

/* ---- migration ---- */

static void
test_migrate(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    virga_db_migrate(fixture->db, &error);
    g_assert_no_error(error);
    g_assert_cmpint(number_of(fixture->db, "SELECT count(*) FROM instance"), ==, 0);
    run_alone(fixture->db, "INSERT INTO account (id, name) VALUES ('123456789012', 'x')");
    virga_db_migrate(fixture->db, &error);
    g_assert_no_error(error);
    g_assert_cmpint(number_of(fixture->db, "SELECT count(*) FROM account"), ==, 1);
}

static void
test_migrate_newer(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(virga_db_migrate(fixture->db, &error));
    run_alone(fixture->db, "INSERT INTO schema_step (name) VALUES ('9999-future.sql')");
    g_assert_false(virga_db_migrate(fixture->db, &error));
    g_assert_true(virga_error_is(error, "database", VIRGA_ERROR_UNSUPPORTED));
    run_alone(fixture->db, "DELETE FROM schema_step WHERE name LIKE '9999%'");
    g_clear_error(&error);
    g_assert_true(virga_db_migrate(fixture->db, &error));
}

static gpointer
migrate_thread(gpointer dsn)
{
    g_autoptr(VirgaDb) db = virga_db_new(dsn, 1);
    g_autoptr(GError) error = NULL;

    virga_db_migrate(db, &error);
    g_assert_no_error(error);
    return NULL;
}

static void
test_migrate_together(Fixture *fixture, gconstpointer data)
{
    GThread *threads[4];

    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        threads[i] = g_thread_new("migrate", migrate_thread, fixture->dsn);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
        g_thread_join(threads[i]);
    g_assert_cmpint(number_of(fixture->db, "SELECT count(*) FROM schema_step"), >=, 1);
}

/* ---- statements ---- */

static void
test_scalars(Fixture *fixture, gconstpointer data)
{
    static const char sql[] = "SELECT $1::text, $2::bigint, $3::boolean, " VIRGA_SQL_TIME(
        "$4::timestamptz") ","
                           " $1 IS NULL, $4::timestamptz IS NULL, $2::bigint + 1";
    const gint64 when = G_GINT64_CONSTANT(1700000000123456);
    g_autoptr(VirgaTxn) txn = begin(fixture->db);
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, NULL, sql, "sibt", "it's $1; \"\\\n\u00e9", G_MININT64, true, when);
    g_autoptr(VirgaRows) empty =
        virga_txn_query(txn, NULL, sql, "sibt", NULL, (gint64) 0, false, (gint64) 0);

    g_assert_cmpint(virga_rows_count(rows), ==, 1);
    g_assert_cmpstr(virga_rows_text(rows, 0, 0), ==, "it's $1; \"\\\n\u00e9");
    g_assert_cmpstr(virga_rows_dup(rows, arena, 0, 0), ==, "it's $1; \"\\\n\u00e9");
    g_assert_cmpint(virga_rows_int(rows, 0, 1), ==, G_MININT64);
    g_assert_true(virga_rows_bool(rows, 0, 2));
    g_assert_cmpint(virga_rows_time(rows, 0, 3), ==, when);
    g_assert_false(virga_rows_is_null(rows, 0, 0));
    g_assert_cmpint(virga_rows_int(rows, 0, 6), ==, G_MININT64 + 1);

    g_assert_null(virga_rows_text(empty, 0, 0));
    g_assert_null(virga_rows_dup(empty, arena, 0, 0));
    g_assert_true(virga_rows_is_null(empty, 0, 3));
    g_assert_cmpint(virga_rows_time(empty, 0, 3), ==, 0);
    g_assert_false(virga_rows_bool(empty, 0, 2));
    g_assert_true(virga_rows_bool(empty, 0, 4));
    g_assert_true(virga_rows_bool(empty, 0, 5));
}

/* A boolean that may be left as it is. */
static void
test_maybe(Fixture *fixture, gconstpointer data)
{
    static const char sql[] = "SELECT $1::boolean, $2::boolean, $3::boolean";
    g_autoptr(VirgaTxn) txn = begin(fixture->db);
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, NULL, sql, "mmm", -1, 0, 1);

    g_assert_true(virga_rows_is_null(rows, 0, 0));
    g_assert_cmpstr(virga_rows_text(rows, 0, 1), ==, "f");
    g_assert_cmpstr(virga_rows_text(rows, 0, 2), ==, "t");
}

static void
test_arrays(Fixture *fixture, gconstpointer data)
{
    static const char sql[] = "SELECT $1::text[], coalesce(array_length($1::text[], 1), 0),"
                              " $1::text[] IS NULL, ($1::text[])[4]";
    const char *const items[] = { "plain", "", "NULL", "a \"b\", \\c\\ {d}\n'e'", "\u00e9,", NULL };
    const char *const none[] = { NULL };
    g_autoptr(VirgaTxn) txn = begin(fixture->db);
    g_autoptr(VirgaRows) full = virga_txn_query(txn, NULL, sql, "a", items);
    g_autoptr(VirgaRows) empty = virga_txn_query(txn, NULL, sql, "a", none);
    g_autoptr(VirgaRows) null = virga_txn_query(txn, NULL, sql, "a", NULL);
    g_auto(GStrv) back = virga_rows_array(full, 0, 0), nothing = virga_rows_array(empty, 0, 0),
                  never = virga_rows_array(null, 0, 0);

    g_assert_true(g_strv_equal((const char *const *) back, items));
    g_assert_cmpint(virga_rows_int(full, 0, 1), ==, 5);
    g_assert_cmpstr(virga_rows_text(full, 0, 3), ==, items[3]);
    g_assert_cmpuint(g_strv_length(nothing), ==, 0);
    g_assert_false(virga_rows_bool(empty, 0, 2));
    g_assert_cmpuint(g_strv_length(never), ==, 0);
    g_assert_true(virga_rows_bool(null, 0, 2));
}

static void
make_tables(VirgaDb *db)
{
    g_autoptr(VirgaTxn) txn = begin(db);

    run(txn, "CREATE TABLE thing (id bigint PRIMARY KEY, room bigint CHECK (room >= 0))");
    run(txn, "CREATE TABLE part (id bigint, thing bigint REFERENCES thing)");
    run(txn, "INSERT INTO thing VALUES (1, 5), (2, 5)");
    run(txn, "INSERT INTO part VALUES (1, 1)");
    commit(txn);
}

static void
assert_fails(VirgaDb *db, const char *sql, VirgaErrorCode code)
{
    g_autoptr(VirgaTxn) txn = begin(db);
    g_autoptr(GError) error = NULL, later = NULL;

    g_assert_false(virga_txn_run(txn, &error, NULL, sql, ""));
    if (!virga_error_is(error, "database", code))
        g_error("%s: %d %s", sql, error->code, error->message);
    g_assert_null(strchr(error->message, '\n'));
    /* What failed cannot be committed, and says so. */
    g_assert_false(virga_txn_commit(txn, &later));
    g_assert_true(virga_error_is(later, "database", code));
}

static void
test_codes(Fixture *fixture, gconstpointer data)
{
    make_tables(fixture->db);
    assert_fails(fixture->db, "INSERT INTO thing VALUES (1, 1)", VIRGA_ERROR_EXISTS);
    assert_fails(fixture->db, "UPDATE thing SET room = room - 6", VIRGA_ERROR_CAPACITY);
    assert_fails(fixture->db, "DELETE FROM thing WHERE id = 1", VIRGA_ERROR_IN_USE);
    assert_fails(fixture->db, "INSERT INTO part VALUES (2, 9)", VIRGA_ERROR_IN_USE);
    assert_fails(fixture->db, "SELECT nonsense", VIRGA_ERROR_INTERNAL);
    assert_fails(fixture->db, "SELECT 1 / 0", VIRGA_ERROR_INTERNAL);
    g_assert_cmpint(number_of(fixture->db, "SELECT sum(room) FROM thing"), ==, 10);
}

static void
test_affected(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VirgaTxn) txn = NULL;
    gint64 affected;

    make_tables(fixture->db);
    txn = begin(fixture->db);
    g_assert_true(virga_txn_run(txn, NULL, &affected, "UPDATE thing SET room = 1", ""));
    g_assert_cmpint(affected, ==, 2);
    g_assert_true(virga_txn_run(txn, NULL, &affected, "DELETE FROM thing WHERE id = 7", ""));
    g_assert_cmpint(affected, ==, 0);
}

static void
test_rollback(Fixture *fixture, gconstpointer data)
{
    VirgaTxn *txn;

    make_tables(fixture->db);
    txn = begin(fixture->db);
    run(txn, "UPDATE thing SET room = 0");
    virga_txn_free(txn);
    g_assert_cmpint(number_of(fixture->db, "SELECT sum(room) FROM thing"), ==, 10);
    txn = begin(fixture->db);
    run(txn, "UPDATE thing SET room = 0");
    commit(txn);
    virga_txn_free(txn);
    g_assert_cmpint(number_of(fixture->db, "SELECT sum(room) FROM thing"), ==, 0);
}

/* ---- several statements in one round trip ---- */

static void
test_sent(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VirgaTxn) txn = NULL;

    make_tables(fixture->db);
    txn = virga_db_read(fixture->db, NULL);
    for (int round = 0; round < 3; round++) { /* prepared by then */
        for (gint64 id = 1; id <= 3; id++)
            g_assert_true(
                virga_txn_send(txn, NULL, "SELECT room + $1 FROM thing WHERE id = $1", "i", id));
        for (gint64 id = 1; id <= 3; id++) {
            g_autoptr(VirgaRows) rows = virga_txn_receive(txn, NULL);

            g_assert_nonnull(rows);
            g_assert_cmpint(virga_rows_count(rows), ==, id == 3 ? 0 : 1);
            if (id < 3)
                g_assert_cmpint(virga_rows_int(rows, 0, 0), ==, 5 + id);
        }
    }
}

/* One that fails takes those behind it along; outside a transaction the next one is new. */
static void
test_sent_fails(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(fixture->db, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaRows) first = NULL, last = NULL;

    g_assert_true(virga_txn_send(txn, NULL, "SELECT 1", ""));
    g_assert_true(virga_txn_send(txn, NULL, "SELECT 1 / 0", ""));
    g_assert_true(virga_txn_send(txn, NULL, "SELECT 3", ""));
    first = virga_txn_receive(txn, NULL);
    g_assert_nonnull(first);
    g_assert_null(virga_txn_receive(txn, &error));
    g_assert_true(virga_error_is(error, "database", VIRGA_ERROR_INTERNAL));
    g_assert_null(virga_txn_receive(txn, NULL));
    last = virga_txn_query(txn, NULL, "SELECT 3", "");
    g_assert_nonnull(last);
    g_assert_cmpint(virga_rows_int(last, 0, 0), ==, 3);
}

/* Left unreceived, then the connection serves others. */
static void
test_sent_left(Fixture *fixture, gconstpointer data)
{
    VirgaTxn *txn = virga_db_begin(fixture->db, NULL);

    g_assert_true(virga_txn_send(txn, NULL, "SELECT 1", ""));
    g_assert_true(virga_txn_send(txn, NULL, "SELECT 2", ""));
    virga_txn_free(txn);
    g_assert_cmpint(number_of(fixture->db, "SELECT 7"), ==, 7);
}

static void
test_posted(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VirgaTxn) good = NULL, bad = NULL, worse = NULL;
    g_autoptr(GError) error = NULL, at_commit = NULL;

    make_tables(fixture->db);
    good = begin(fixture->db);
    g_assert_true(virga_txn_post(good, NULL, "UPDATE thing SET room = 1", ""));
    commit(good);
    g_assert_cmpint(number_of(fixture->db, "SELECT sum(room) FROM thing"), ==, 2);
    /* The failure is that of the next one … */
    bad = begin(fixture->db);
    g_assert_true(virga_txn_post(bad, NULL, "INSERT INTO thing VALUES (1, 1)", ""));
    g_assert_null(virga_txn_query(bad, &error, "SELECT 1", ""));
    g_assert_true(virga_error_is(error, "database", VIRGA_ERROR_EXISTS));
    /* … or the commit's. */
    worse = begin(fixture->db);
    g_assert_true(virga_txn_post(worse, NULL, "INSERT INTO thing VALUES (1, 1)", ""));
    g_assert_false(virga_txn_commit(worse, &at_commit));
    g_assert_true(virga_error_is(at_commit, "database", VIRGA_ERROR_EXISTS));
}

/* ---- trouble ---- */

#define OTHERS                                                                                     \
    " FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"        \
    " AND backend_type = 'client backend'"
static const char sql_others[] = "SELECT count(*)" OTHERS;
static const char sql_kill[] = "SELECT count(pg_terminate_backend(pid))" OTHERS;

/* Servers of connections that were closed take a moment to go. */
static void
wait_for_others(VirgaDb *db, gint64 want)
{
    gint64 deadline = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;

    while (number_of(db, sql_others) != want) {
        g_assert_cmpint(g_get_monotonic_time(), <, deadline);
        g_usleep(1000);
    }
}

static void
kill_connections(Fixture *fixture, gint64 want)
{
    g_autoptr(VirgaDb) other = virga_db_new(fixture->dsn, 1);

    wait_for_others(other, want);
    g_assert_cmpint(number_of(other, sql_kill), ==, want);
    wait_for_others(other, 0);
}

static void
test_killed(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL, at_commit = NULL;
    VirgaTxn *txn = begin(fixture->db);

    run(txn, "CREATE TABLE never (id bigint)");
    kill_connections(fixture, 1);
    g_assert_false(virga_txn_run(txn, &error, NULL, "SELECT 1", ""));
    g_assert_true(virga_error_is(error, "database", VIRGA_ERROR_RETRY));
    virga_txn_free(txn);

    txn = begin(fixture->db); /* the pool has recovered */
    run(txn, "SELECT 1");
    kill_connections(fixture, 1);
    g_assert_false(virga_txn_commit(txn, &at_commit));
    g_assert_true(virga_error_is(at_commit, "database", VIRGA_ERROR_RETRY));
    virga_txn_free(txn);
    g_assert_cmpint(number_of(fixture->db, "SELECT count(*) FROM pg_tables"
                                           " WHERE tablename = 'never'"),
                    ==, 0);
}

/* What dies while nobody uses it is replaced without a word. */
static void
test_killed_idle(Fixture *fixture, gconstpointer data)
{
    g_assert_cmpint(number_of(fixture->db, "SELECT 7"), ==, 7);
    kill_connections(fixture, 1);
    g_assert_cmpint(number_of(fixture->db, "SELECT 7"), ==, 7);
    kill_connections(fixture, 1);
    run_alone(fixture->db, "SELECT 7");
}

static void
test_server_restart(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL, read_error = NULL;

    make_tables(fixture->db);
    g_assert_cmpint(number_of(fixture->db, "SELECT count(*) FROM thing"), ==, 2);
    postgres_stop(postgres);
    g_assert_null(virga_db_begin(fixture->db, &error));
    g_assert_true(virga_error_is(error, "database", VIRGA_ERROR_RETRY));
    g_assert_null(virga_db_read(fixture->db, &read_error));
    postgres_start(postgres);
    g_assert_cmpint(number_of(fixture->db, "SELECT count(*) FROM thing"), ==, 2);
    run_alone(fixture->db, "UPDATE thing SET room = 1");
}

static gpointer
free_later(gpointer txn)
{
    g_usleep(100000);
    virga_txn_free(txn);
    return NULL;
}

static void
test_exhausted(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VirgaDb) db = virga_db_new(fixture->dsn, 1);
    g_autoptr(GError) error = NULL;
    VirgaTxn *txn = begin(db);
    GThread *thread;

    g_assert_null(virga_db_begin(db, &error)); /* after some seconds */
    g_assert_true(virga_error_is(error, "database", VIRGA_ERROR_RETRY));
    thread = g_thread_new("free", free_later, txn);
    txn = begin(db); /* waits until the other is free */
    g_thread_join(thread);
    virga_txn_free(txn);
}

typedef struct {
    VirgaDb *db;
    gint64 first, second;
    GMutex *step; /* held until both have their first row */
    int *arrived;
    VirgaErrorCode outcome;
    bool failed;
} Locker;

static gpointer
lock_both(gpointer data)
{
    static const char sql[] = "UPDATE thing SET room = room + 1 WHERE id = $1";
    Locker *locker = data;
    g_autoptr(VirgaTxn) txn = begin(locker->db);
    g_autoptr(GError) error = NULL;

    g_assert_true(virga_txn_run(txn, NULL, NULL, sql, "i", locker->first));
    g_atomic_int_inc(locker->arrived);
    while (g_atomic_int_get(locker->arrived) < 2)
        g_usleep(1000);
    locker->failed = !virga_txn_run(txn, &error, NULL, sql, "i", locker->second);
    if (locker->failed)
        locker->outcome = (VirgaErrorCode) error->code;
    else
        commit(txn);
    return NULL;
}

static void
test_deadlock(Fixture *fixture, gconstpointer data)
{
    int arrived = 0;
    Locker a = { fixture->db, 1, 2, NULL, &arrived, 0, false };
    Locker b = { fixture->db, 2, 1, NULL, &arrived, 0, false };
    GThread *thread;

    make_tables(fixture->db);
    thread = g_thread_new("lock", lock_both, &a);
    lock_both(&b);
    g_thread_join(thread);
    g_assert_cmpint(a.failed + b.failed, ==, 1);
    g_assert_cmpint(a.failed ? a.outcome : b.outcome, ==, VIRGA_ERROR_RETRY);
}

/* ---- notifications ---- */

typedef struct {
    GMutex lock;
    GCond changed;
    int missed;
    GString *heard;
} Ear;

static void
hear(const char *channel, const char *payload, gpointer data)
{
    Ear *ear = data;

    g_mutex_lock(&ear->lock);
    if (payload)
        g_string_append_printf(ear->heard, "%s=%s;", channel, payload);
    else
        ear->missed++;
    g_cond_broadcast(&ear->changed);
    g_mutex_unlock(&ear->lock);
}

static void
wait_missed(Ear *ear, int count)
{
    gint64 deadline = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;

    g_mutex_lock(&ear->lock);
    while (ear->missed < count)
        g_assert_true(g_cond_wait_until(&ear->changed, &ear->lock, deadline));
    g_mutex_unlock(&ear->lock);
}

static void
wait_heard(Ear *ear, const char *text)
{
    gint64 deadline = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;

    g_mutex_lock(&ear->lock);
    while (!strstr(ear->heard->str, text))
        g_assert_true(g_cond_wait_until(&ear->changed, &ear->lock, deadline));
    g_mutex_unlock(&ear->lock);
}

static void
test_listen(Fixture *fixture, gconstpointer data)
{
    const char *const channels[] = { "virga_host", "Odd \"name", NULL };
    Ear ear = { .heard = g_string_new(NULL) };
    VirgaDbListener *listener = virga_db_listen(fixture->dsn, channels, hear, &ear);

    wait_missed(&ear, 1);
    run_alone(fixture->db, "SELECT pg_notify('virga_host', 'h-1')");
    run_alone(fixture->db, "SELECT pg_notify('Odd \"name', '')");
    run_alone(fixture->db, "SELECT pg_notify('other', 'unheard')");
    wait_heard(&ear, "virga_host=h-1;");
    wait_heard(&ear, "Odd \"name=;");
    kill_connections(fixture, 2); /* the listener's and the pool's */
    wait_missed(&ear, 2);
    run_alone(fixture->db, "SELECT pg_notify('virga_host', 'h-2')");
    wait_heard(&ear, "virga_host=h-2;");
    g_assert_null(strstr(ear.heard->str, "unheard"));
    virga_db_listener_free(listener);
    virga_db_listener_free(NULL);
    g_string_free(ear.heard, TRUE);
}

/* It can be stopped while there is no server. */
static void
test_listen_away(Fixture *fixture, gconstpointer data)
{
    const char *const channels[] = { "virga_host", NULL };
    Ear ear = { .heard = g_string_new(NULL) };
    VirgaDbListener *listener = virga_db_listen("host=/nonexistent dbname=x", channels, hear, &ear);

    g_usleep(20000);
    virga_db_listener_free(listener);
    g_assert_cmpint(ear.missed, ==, 0);
    g_string_free(ear.heard, TRUE);
}

int
main(int argc, char **argv)
{
    int outcome;

    g_test_init(&argc, &argv, NULL);
    postgres = postgres_new();
    if (!postgres)
        return 77;
#define ADD(name, function) g_test_add("/db/" name, Fixture, NULL, set_up, function, tear_down)
    ADD("migrate", test_migrate);
    ADD("migrate-newer", test_migrate_newer);
    ADD("migrate-together", test_migrate_together);
    ADD("scalars", test_scalars);
    ADD("maybe", test_maybe);
    ADD("arrays", test_arrays);
    ADD("codes", test_codes);
    ADD("affected", test_affected);
    ADD("rollback", test_rollback);
    ADD("sent", test_sent);
    ADD("sent-fails", test_sent_fails);
    ADD("sent-left", test_sent_left);
    ADD("posted", test_posted);
    ADD("killed", test_killed);
    ADD("killed-idle", test_killed_idle);
    ADD("server-restart", test_server_restart);
    ADD("exhausted", test_exhausted);
    ADD("deadlock", test_deadlock);
    ADD("listen", test_listen);
    ADD("listen-away", test_listen_away);
    outcome = g_test_run();
    postgres_free(postgres);
    return outcome;
}
