/* SPDX-License-Identifier: Apache-2.0 */
/* The HAProxy of a VPC: a master and its worker, which go on when virga-node stops.
 *
 * A change is checked, written and then loaded by a signal to the master, which starts a new worker
 * that takes the old one's sockets over; the old one ends when its last connection does.  What was
 * loaded is written down last ("loaded"), so that a crash in between only repeats it. */
#include "kernel-priv.h"

#include "core/error.h"
#include "core/process.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_TIMEOUT_MS 2000
#define ANSWER_MAX        (16 * 1024 * 1024)
#define WORKER_TIMEOUT_MS 5000
#define WORKER_LOOK_MS    5

/* ---- questions ---- */

static int
connect_to(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval timeout = { ANSWER_TIMEOUT_MS / 1000, 0 };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (connect(fd, (struct sockaddr *) &address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

/* The answer to one command, the caller's; NULL if there is none. */
static char *
ask(const VirgaHaproxyRun *run, const char *command)
{
    g_autoptr(GString) answer = g_string_new(NULL);
    int fd = connect_to(run->socket);
    char buffer[16384];
    gssize got = -1;

    if (fd < 0)
        return NULL;
    if (send(fd, command, strlen(command), MSG_NOSIGNAL) == (gssize) strlen(command))
        while ((got = recv(fd, buffer, sizeof buffer, 0)) > 0 && answer->len < ANSWER_MAX)
            g_string_append_len(answer, buffer, got);
    close(fd);
    return got == 0 ? g_string_free(g_steal_pointer(&answer), FALSE) : NULL;
}

/* The process that answers; 0: nobody. */
static guint64
worker_pid(const VirgaHaproxyRun *run)
{
    g_autofree char *answer = ask(run, "show info\n");
    const char *at = answer ? strstr(answer, "\nPid: ") : NULL;

    return at ? g_ascii_strtoull(at + strlen("\nPid: "), NULL, 10) : 0;
}

GPtrArray *
virga_haproxy_health(const VirgaHaproxyRun *run, GError **error)
{
    g_autofree char *answer = ask(run, "show stat -1 4 -1\n");

    if (answer)
        return virga_haproxy_parse_health(answer);
    virga_fail(error, "load balancer", VIRGA_ERROR_STATE, "haproxy does not answer");
    return NULL;
}

/* ---- files ---- */

static bool
is_loaded(const VirgaHaproxyRun *run, const char *config)
{
    g_autofree char *path = g_build_filename(run->directory, "loaded", NULL);
    g_autofree char *text = NULL;

    return g_file_get_contents(path, &text, NULL, NULL) && g_str_equal(text, config);
}

/* Names of contents: a file that is there has them. */
static bool
write_files(const VirgaHaproxyRun *run, const VirgaHaproxy *haproxy, GError **error)
{
    bool changed;

    if (g_mkdir_with_parents(run->directory, 0700) < 0 || chmod(run->directory, 0700) < 0)
        return virga_fail_errno(error, "network", errno, "could not make \"%s\"", run->directory);
    for (guint i = 0; i < haproxy->files->len; i++) {
        const VirgaHaproxyFile *file = haproxy->files->pdata[i];

        if (!virga_file_update(run->directory, file->name, file->text, 0600, &changed, error))
            return false;
    }
    return true;
}

/* All but what 'haproxy' (NULL: nothing) has. */
static void
remove_files(const VirgaHaproxyRun *run, const VirgaHaproxy *haproxy)
{
    static const char *const own[] = { "haproxy.cfg", "haproxy.pid", "loaded", "states", NULL };
    g_autoptr(GDir) directory = g_dir_open(run->directory, 0, NULL);
    const char *name;

    while (directory && (name = g_dir_read_name(directory))) {
        g_autofree char *path = g_build_filename(run->directory, name, NULL);
        bool kept = haproxy && g_strv_contains(own, name);

        for (guint i = 0; haproxy && !kept && i < haproxy->files->len; i++)
            kept = g_str_equal(name, ((VirgaHaproxyFile *) haproxy->files->pdata[i])->name);
        if (!kept)
            unlink(path);
    }
    if (!haproxy)
        rmdir(run->directory);
}

/* A configuration that HAProxy does not take never replaces one that runs. */
static bool
check(const VirgaHaproxyRun *run, const char *config, GError **error)
{
    g_autofree char *path = g_build_filename(run->directory, "wanted.cfg", NULL);
    const char *argv[] = { run->program, "-c", "-f", path, NULL };
    bool changed;

    return virga_file_update(run->directory, "wanted.cfg", config, 0600, &changed, error) &&
           virga_process_run(argv, NULL, VIRGA_SPAWN_TIMEOUT_MS, NULL, error);
}

/* ---- the process ---- */

/* Waits until a worker other than 'old' answers, and the master's pid file is there. */
static bool
wait_for_worker(const VirgaHaproxyRun *run, const VirgaDaemon *daemon, guint64 old, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + WORKER_TIMEOUT_MS * 1000;
    guint64 now;

    do {
        now = worker_pid(run);
        if (now && now != old && virga_daemon_pid(daemon))
            return true;
        poll(NULL, 0, WORKER_LOOK_MS);
    } while (g_get_monotonic_time() < deadline);
    return virga_fail(error, "load balancer", VIRGA_ERROR_INTERNAL,
                      "haproxy did not take its configuration in time");
}

static bool
start(const VirgaHaproxyRun *run, const VirgaDaemon *daemon, GError **error)
{
    g_autofree char *config = g_build_filename(run->directory, "haproxy.cfg", NULL);
    g_autofree char *pid_file = g_build_filename(run->directory, "haproxy.pid", NULL);
    const char *argv[] = { run->program, "-W", "-D", "-q", "-p", pid_file, "-f", config, NULL };

    return virga_daemon_stop(daemon, error) &&
           virga_process_run(argv, NULL, VIRGA_SPAWN_TIMEOUT_MS, NULL, error) &&
           wait_for_worker(run, daemon, 0, error);
}

static bool
reload(const VirgaHaproxyRun *run, const VirgaDaemon *daemon, GError **error)
{
    guint64 old = worker_pid(run);
    pid_t master = virga_daemon_pid(daemon);

    if (!master || kill(master, SIGUSR2) < 0)
        return virga_fail(error, "load balancer", VIRGA_ERROR_INTERNAL, "could not signal haproxy");
    return wait_for_worker(run, daemon, old, error);
}

bool
virga_haproxy_ensure(const VirgaHaproxyRun *run, const VirgaHaproxy *haproxy, GError **error)
{
    const VirgaDaemon daemon = { run->program, run->directory, VIRGA_DAEMON_HAPROXY };
    pid_t master = virga_daemon_pid(&daemon);
    bool running = master && virga_daemon_is_here(master), changed;
    g_autofree char *answer = NULL, *states = NULL;

    if (!haproxy) {
        if (!virga_daemon_stop(&daemon, error))
            return false;
        remove_files(run, NULL);
        unlink(run->socket);
        return true;
    }
    if (running && is_loaded(run, haproxy->config))
        return true;
    if (!write_files(run, haproxy, error) || !check(run, haproxy->config, error))
        return false;
    answer = running ? ask(run, "show servers state\n") : NULL;
    states = virga_haproxy_states(haproxy, answer ? answer : "");
    if (!virga_file_update(run->directory, "states", states, 0600, &changed, error) ||
        !virga_file_update(run->directory, "haproxy.cfg", haproxy->config, 0600, &changed, error) ||
        !(running ? reload(run, &daemon, error) : start(run, &daemon, error)) ||
        !virga_file_update(run->directory, "loaded", haproxy->config, 0600, &changed, error))
        return false;
    remove_files(run, haproxy);
    return true;
}
