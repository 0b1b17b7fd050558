/* SPDX-License-Identifier: Apache-2.0 */
#include "postgres.h"

#include <errno.h>
#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS 30000
#define USER     "virga"

struct Postgres {
    char *folder, *data, *binaries;
    uid_t uid;
    gid_t gid;
    pid_t pid, janitor;
    unsigned databases;
};

/* The newest version of those that the system has. */
static char *
find_binaries(void)
{
    static const char *const folders[] = { "/usr/lib/postgresql/17/bin",
                                           "/usr/lib/postgresql/16/bin",
                                           "/usr/lib/postgresql/15/bin", "/usr/bin" };

    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *program = g_build_filename(folders[i], "initdb", NULL);

        if (access(program, X_OK) == 0)
            return g_strdup(folders[i]);
    }
    return NULL;
}

/* PostgreSQL refuses to run as root. */
static void
choose_user(Postgres *postgres)
{
    struct passwd *user = NULL;

    postgres->uid = geteuid();
    postgres->gid = getegid();
    if (postgres->uid != 0)
        return;
    user = getpwnam("postgres");
    if (!user)
        user = getpwnam("nobody");
    g_assert_nonnull(user);
    postgres->uid = user->pw_uid;
    postgres->gid = user->pw_gid;
}

/* Runs a program of PostgreSQL as its user; it dies with this program. */
static pid_t
spawn(Postgres *postgres, const char *const *argv)
{
    g_autofree char *program = g_build_filename(postgres->binaries, argv[0], NULL);
    g_autofree char *log = g_build_filename(postgres->folder, "log", NULL);
    pid_t parent = getpid(), child = fork();

    if (child != 0) {
        g_assert_cmpint(child, >, 0);
        return child;
    }
    if (!freopen(log, "ae", stdout) || dup2(STDOUT_FILENO, STDERR_FILENO) < 0 ||
        (geteuid() == 0 &&
         (setgroups(0, NULL) < 0 || setgid(postgres->gid) < 0 || setuid(postgres->uid) < 0)) ||
        chdir("/") < 0)
        _exit(126);
    /* After setuid(), which clears it.  An immediate end: nobody is left to wait for. */
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (getppid() != parent)
        _exit(126);
    execv(program, (char *const *) argv);
    _exit(127);
}

static void
print_log(Postgres *postgres)
{
    g_autofree char *log = g_build_filename(postgres->folder, "log", NULL), *text = NULL;

    if (g_file_get_contents(log, &text, NULL, NULL))
        g_printerr("%s\n", text);
}

void
postgres_assert_no_deadlock(Postgres *postgres)
{
    g_autofree char *log = g_build_filename(postgres->folder, "log", NULL), *text = NULL;

    g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
    if (strstr(text, "deadlock detected")) {
        g_printerr("%s\n", text);
        g_error("transactions ran into each other");
    }
}

static void
run(Postgres *postgres, const char *const *argv)
{
    int status;

    g_assert_cmpint(waitpid(spawn(postgres, argv), &status, 0), >, 0);
    if (status != 0) {
        print_log(postgres);
        g_error("%s failed", argv[0]);
    }
}

/* Removes the folder when this program has ended, also if it was killed: the pipe tells. */
static pid_t
watch(Postgres *postgres)
{
    int ends[2];
    pid_t child;
    char byte;

    g_assert_cmpint(pipe(ends), ==, 0);
    child = fork();
    g_assert_cmpint(child, >=, 0);
    if (child > 0) { /* the writing end stays open as long as this program lives */
        close(ends[0]);
        fcntl(ends[1], F_SETFD, FD_CLOEXEC);
        return child;
    }
    setsid();
    for (int fd = 0; fd < 64; fd++)
        if (fd != ends[0])
            close(fd);
    while (read(ends[0], &byte, 1) < 0 && errno == EINTR)
        ;
    for (int i = 0; i < 5; i++) { /* the server may still be writing */
        pid_t rm = fork();

        if (rm == 0)
            execlp("rm", "rm", "-rf", postgres->folder, NULL);
        waitpid(rm, NULL, 0);
        if (access(postgres->folder, F_OK) < 0)
            break;
        sleep(1);
    }
    _exit(0);
}

static char *
dsn_of(Postgres *postgres, const char *database)
{
    return g_strdup_printf("host=%s port=5432 user=" USER " dbname=%s", postgres->folder, database);
}

static void
execute(Postgres *postgres, const char *sql)
{
    g_autofree char *dsn = dsn_of(postgres, "postgres");
    PGconn *pg = PQconnectdb(dsn);
    PGresult *result = PQexec(pg, sql);

    if (PQresultStatus(result) != PGRES_COMMAND_OK)
        g_error("%s: %s", sql, PQerrorMessage(pg));
    PQclear(result);
    PQfinish(pg);
}

static void
wait_until_ready(Postgres *postgres)
{
    g_autofree char *dsn = dsn_of(postgres, "postgres");
    gint64 deadline = g_get_monotonic_time() + START_MS * 1000;

    while (PQping(dsn) != PQPING_OK) {
        if (waitpid(postgres->pid, NULL, WNOHANG) != 0 || g_get_monotonic_time() > deadline) {
            print_log(postgres);
            g_error("PostgreSQL does not start");
        }
        g_usleep(10000);
    }
}

void
postgres_start(Postgres *postgres)
{
    const char *argv[] = { "postgres",
                           "-D",
                           postgres->data,
                           "-k",
                           postgres->folder,
                           "-h",
                           "",
                           "-c",
                           "fsync=off",
                           "-c",
                           "synchronous_commit=off",
                           "-c",
                           "full_page_writes=off",
                           "-c",
                           "deadlock_timeout=100ms",
                           "-c",
                           "max_connections=60",
                           "-c",
                           "shared_buffers=32MB",
                           NULL };

    postgres->pid = spawn(postgres, argv);
    wait_until_ready(postgres);
}

void
postgres_stop(Postgres *postgres)
{
    kill(postgres->pid, SIGINT); /* fast: connections are ended */
    waitpid(postgres->pid, NULL, 0);
    postgres->pid = 0;
}

void
postgres_restart(Postgres *postgres)
{
    postgres_stop(postgres);
    postgres_start(postgres);
}

Postgres *
postgres_new(void)
{
    char *binaries = find_binaries();
    Postgres *postgres;

    if (!binaries)
        return NULL;
    postgres = g_new0(Postgres, 1);
    postgres->binaries = binaries;
    choose_user(postgres);
    /* Short: a Unix socket's path has 107 bytes. */
    postgres->folder = g_strdup("/tmp/virga-db-XXXXXX");
    g_assert_nonnull(g_mkdtemp(postgres->folder));
    g_assert_cmpint(chown(postgres->folder, postgres->uid, postgres->gid), ==, 0);
    postgres->data = g_build_filename(postgres->folder, "data", NULL);
    postgres->janitor = watch(postgres);
    run(postgres, (const char *const[]){ "initdb", "-D", postgres->data, "-A", "trust", "-U", USER,
                                         "-E", "UTF8", "--no-locale", "--no-sync", NULL });
    postgres_start(postgres);
    return postgres;
}

char *
postgres_database(Postgres *postgres)
{
    g_autofree char *name = g_strdup_printf("test%u", postgres->databases++);
    g_autofree char *sql = g_strdup_printf("CREATE DATABASE %s", name);

    execute(postgres, sql);
    return dsn_of(postgres, name);
}

void
postgres_free(Postgres *postgres)
{
    if (!postgres)
        return;
    if (postgres->pid)
        postgres_stop(postgres);
    g_free(postgres->folder);
    g_free(postgres->data);
    g_free(postgres->binaries);
    g_free(postgres);
}
