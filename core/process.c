/* SPDX-License-Identifier: Apache-2.0 */
#include "core/process.h"

#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_BYTES_MAX (64u << 20)
#define STDERR_BYTES_MAX (64u << 10)

extern char **environ;

/* The parent's ends of the child's three standard streams. */
typedef struct {
    int in, out, err;
} Pipes;

static void
close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static bool
spawn_child(const char *const *argv, Pipes *pipes, pid_t *ret_pid, GError **error)
{
    int in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    int failure;

    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0) {
        failure = errno;
    } else {
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
        posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
        posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
        posix_spawnattr_init(&attributes);
        sigemptyset(&none);
        posix_spawnattr_setsigmask(&attributes, &none);
        sigemptyset(&defaults);
        sigaddset(&defaults, SIGPIPE); /* daemons ignore it, programs expect it */
        posix_spawnattr_setsigdefault(&attributes, &defaults);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        failure =
            posix_spawnp(ret_pid, argv[0], &actions, &attributes, (char *const *) argv, environ);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
    }
    close_fd(&in[0]);
    close_fd(&out[1]);
    close_fd(&err[1]);
    *pipes = (Pipes){ in[1], out[0], err[0] };
    if (failure == 0) {
        fcntl(pipes->in, F_SETFL, O_NONBLOCK);
        return true;
    }
    close_fd(&pipes->in);
    close_fd(&pipes->out);
    close_fd(&pipes->err);
    return virga_fail_errno(error, "process", failure, "could not run \"%s\"", argv[0]);
}

/* Appends what is there; closes the descriptor at its end or past the limit. */
static bool
drain(int *fd, GString *into, gsize limit)
{
    char buffer[16384];
    gssize got = read(*fd, buffer, sizeof buffer);

    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (got <= 0) {
        close_fd(fd);
        return true;
    }
    g_string_append_len(into, buffer, got);
    return into->len <= limit;
}

/* Feeds and reads the child until it closes its outputs.  False: time or output ran out. */
static bool
converse(Pipes *pipes, const char *input, gint64 deadline, GString *out, GString *err)
{
    gsize left = input ? strlen(input) : 0;

    if (left == 0)
        close_fd(&pipes->in);
    while (pipes->out >= 0 || pipes->err >= 0) {
        struct pollfd fds[] = { { pipes->in, POLLOUT, 0 },
                                { pipes->out, POLLIN, 0 },
                                { pipes->err, POLLIN, 0 } };
        gint64 wait_ms = (deadline - g_get_monotonic_time()) / 1000;

        if (wait_ms <= 0)
            return false;
        if (poll(fds, G_N_ELEMENTS(fds), (int) MIN(wait_ms, G_MAXINT)) < 0 && errno != EINTR)
            return false;
        if (fds[0].revents) {
            gssize sent = write(pipes->in, input, left);
            if (sent > 0) {
                input += sent;
                left -= (gsize) sent;
            }
            if (left == 0 || (sent < 0 && errno != EAGAIN && errno != EINTR))
                close_fd(&pipes->in);
        }
        if (fds[1].revents && !drain(&pipes->out, out, OUTPUT_BYTES_MAX))
            return false;
        if (fds[2].revents) {
            drain(&pipes->err, err, STDERR_BYTES_MAX);
            if (err->len > STDERR_BYTES_MAX)
                g_string_erase(err, 0, (gssize) (err->len - STDERR_BYTES_MAX / 2));
        }
    }
    return true;
}

/* Waits for the child's end until the deadline.  The pidfd makes the wait bounded without
 * touching the process's signal handling. */
static bool
wait_child(pid_t pid, gint64 deadline, int *ret_status)
{
    int pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
    struct pollfd fd = { pidfd, POLLIN, 0 };
    gint64 wait_ms = MAX(0, (deadline - g_get_monotonic_time()) / 1000);
    bool ended = pidfd >= 0 && poll(&fd, 1, (int) MIN(wait_ms, G_MAXINT)) > 0;

    if (pidfd >= 0)
        close(pidfd);
    if (!ended)
        kill(pid, SIGKILL);
    while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
        ;
    return ended;
}

static const char *
last_line(GString *text)
{
    const char *newline;

    g_strchomp(text->str);
    newline = strrchr(text->str, '\n');
    return newline ? newline + 1 : text->str;
}

bool
virga_process_run(const char *const *argv, const char *input, unsigned timeout_ms,
                  char **ret_output, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + (gint64) timeout_ms * 1000;
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GString) err = g_string_new(NULL);
    Pipes pipes;
    pid_t pid;
    int status = 0;
    bool in_time;

    if (!spawn_child(argv, &pipes, &pid, error))
        return false;
    in_time = converse(&pipes, input, deadline, out, err);
    close_fd(&pipes.in);
    close_fd(&pipes.out);
    close_fd(&pipes.err);
    if (!in_time)
        kill(pid, SIGKILL);
    in_time = wait_child(pid, deadline, &status) && in_time;
    if (!in_time)
        return virga_fail(error, "process", VIRGA_ERROR_INTERNAL,
                          "\"%s\" did not finish within %u ms", argv[0], timeout_ms);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return virga_fail(error, "process", VIRGA_ERROR_INTERNAL, "\"%s\" failed: %s", argv[0],
                          last_line(err));
    if (ret_output)
        *ret_output = g_string_free(g_steal_pointer(&out), FALSE);
    return true;
}
