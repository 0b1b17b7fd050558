/* SPDX-License-Identifier: Apache-2.0 */
/* dnsmasq, the recursor and HAProxy go on when virga-node stops.  The one that a pid file names is
 * ours if its command line has our configuration's path and it lives in the calling thread's
 * namespace; a pid that was reused by something else is nobody's.  Without a pid file it is looked
 * for. */
#include "kernel-priv.h"

#include "core/error.h"
#include "core/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STOP_TIMEOUT_MS 3000

static const struct {
    const char *config, *pid;
    const char *before, *after; /* the directory, on the command line */
} kinds[] = {
    [VIRGA_DAEMON_DNSMASQ] = { "dnsmasq.conf", "dnsmasq.pid", "--conf-file=", "/dnsmasq.conf" },
    [VIRGA_DAEMON_RECURSOR] = { "recursor.conf", "pdns_recursor.pid", "--config-dir=", "" },
    [VIRGA_DAEMON_HAPROXY] = { "haproxy.cfg", "haproxy.pid", "", "/haproxy.cfg" },
};

static char *
pid_file_of(const VirgaDaemon *daemon)
{
    return g_build_filename(daemon->directory, kinds[daemon->kind].pid, NULL);
}

static char *
config_argument(const VirgaDaemon *daemon)
{
    return g_strconcat(kinds[daemon->kind].before, daemon->directory, kinds[daemon->kind].after,
                       NULL);
}

bool
virga_daemon_is_here(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/ns/net", (int) pid);
    struct stat its, ours;

    return stat(path, &its) == 0 && stat("/proc/thread-self/ns/net", &ours) == 0 &&
           its.st_ino == ours.st_ino && its.st_dev == ours.st_dev;
}

/* One whose pid file went with the rest of a state directory still holds its addresses. */
static pid_t
find_here(const char *argument)
{
    g_autoptr(GDir) processes = g_dir_open("/proc", 0, NULL);
    const char *name;
    guint64 pid;

    while (processes && (name = g_dir_read_name(processes)))
        if (g_ascii_string_to_unsigned(name, 10, 2, G_MAXINT, &pid, NULL) &&
            virga_process_has_argument((pid_t) pid, argument) && virga_daemon_is_here((pid_t) pid))
            return (pid_t) pid;
    return 0;
}

pid_t
virga_daemon_pid(const VirgaDaemon *daemon)
{
    g_autofree char *pid_file = pid_file_of(daemon);
    g_autofree char *argument = config_argument(daemon);

    if (!g_file_test(pid_file, G_FILE_TEST_EXISTS))
        return daemon->kind == VIRGA_DAEMON_HAPROXY ? 0 : find_here(argument);
    return virga_process_of(pid_file, argument);
}

bool
virga_file_update(const char *directory, const char *name, const char *text, int mode,
                  bool *ret_changed, GError **error)
{
    g_autofree char *path = g_build_filename(directory, name, NULL);
    g_autofree char *now = NULL;

    if (g_file_get_contents(path, &now, NULL, NULL) && g_str_equal(now, text))
        return true;
    *ret_changed = true;
    return g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, mode, error);
}

bool
virga_daemon_stop(const VirgaDaemon *daemon, GError **error)
{
    g_autofree char *pid_file = pid_file_of(daemon);
    pid_t pid = virga_daemon_pid(daemon);
    int pidfd = pid ? (int) syscall(SYS_pidfd_open, pid, 0) : -1;
    struct pollfd fd = { pidfd, POLLIN, 0 };
    bool ended = true;

    /* The descriptor pins the process; asking again makes sure that it is still the one. */
    if (pidfd >= 0 && virga_daemon_pid(daemon) == pid) {
        syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0);
        ended = poll(&fd, 1, STOP_TIMEOUT_MS) > 0;
        if (!ended)
            ended = syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0 &&
                    poll(&fd, 1, STOP_TIMEOUT_MS) > 0;
    }
    if (pidfd >= 0)
        close(pidfd);
    if (!ended)
        return virga_fail(error, "network", VIRGA_ERROR_INTERNAL, "could not stop %s %d",
                          daemon->program, (int) pid);
    unlink(pid_file);
    return true;
}

bool
virga_daemon_ensure(const VirgaDaemon *daemon, const char *config, bool reload, GError **error)
{
    g_autofree char *argument = config_argument(daemon);
    const char *argv[] = { daemon->program, argument, NULL };
    const char *name = kinds[daemon->kind].config;
    g_autofree char *path = g_build_filename(daemon->directory, name, NULL);
    g_autofree char *now = NULL;
    pid_t pid = virga_daemon_pid(daemon);
    bool changed = !g_file_get_contents(path, &now, NULL, NULL) || !g_str_equal(now, config);

    if (pid && !changed && virga_daemon_is_here(pid))
        return !reload || kill(pid, SIGHUP) == 0 ||
               virga_fail_errno(error, "network", errno, "could not signal %s %d", daemon->program,
                                (int) pid);
    /* Stopped before its file is replaced: after a crash in between the two still agree.  It
     * detaches itself into a session of its own, and returns when it is ready. */
    return virga_daemon_stop(daemon, error) &&
           virga_file_update(daemon->directory, name, config, 0644, &changed, error) &&
           virga_process_run(argv, NULL, VIRGA_SPAWN_TIMEOUT_MS, NULL, error);
}

bool
virga_daemon_remove(const VirgaDaemon *daemon, GError **error)
{
    g_autoptr(GDir) files = NULL;
    const char *name;

    if (!virga_daemon_stop(daemon, error))
        return false;
    files = g_dir_open(daemon->directory, 0, NULL);
    while (files && (name = g_dir_read_name(files))) {
        g_autofree char *path = g_build_filename(daemon->directory, name, NULL);
        unlink(path);
    }
    rmdir(daemon->directory);
    return true;
}
