/* SPDX-License-Identifier: Apache-2.0 */
#include "process-priv.h"

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
#define WATCH_MS         500

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

/* With 'standard' as its standard streams. */
static bool
spawn_free(const char *const *argv, const int standard[static 3], pid_t *ret_pid, GError **error)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    int failure;

    posix_spawn_file_actions_init(&actions);
    for (int i = 0; i < 3; i++)
        posix_spawn_file_actions_adddup2(&actions, standard[i], i);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE); /* daemons ignore it, programs expect it */
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    failure = posix_spawnp(ret_pid, argv[0], &actions, &attributes, (char *const *) argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failure == 0 ||
           virga_fail_errno(error, "process", failure, "could not run \"%s\"", argv[0]);
}

static bool
spawn_confined(const char *const *argv, const VirgaConfinement *confinement,
               const int standard[static 3], pid_t *ret_pid, GError **error)
{
    g_autofree char *path = g_find_program_in_path(argv[0]);

    if (!path)
        return virga_fail_errno(error, "process", ENOENT, "could not run \"%s\"", argv[0]);
    return virga_confined_spawn(path, argv, confinement, standard, ret_pid, error);
}

static bool
spawn_ipv4(const char *const *argv, const int standard[static 3], pid_t *ret_pid, GError **error)
{
    g_autofree char *path = g_find_program_in_path(argv[0]);

    if (!path)
        return virga_fail_errno(error, "process", ENOENT, "could not run \"%s\"", argv[0]);
    return virga_ipv4_spawn(path, argv, standard, ret_pid, error);
}

typedef enum { FREE, IPV4, CONFINED } Kind;

static bool
spawn_child(Kind kind, const char *const *argv, const VirgaConfinement *confinement, Pipes *pipes,
            pid_t *ret_pid, GError **error)
{
    int in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 };
    bool done = false;

    if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0) {
        virga_fail_errno(error, "process", errno, "could not run \"%s\"", argv[0]);
    } else {
        const int standard[] = { in[0], out[1], err[1] };

        done = kind == CONFINED ? spawn_confined(argv, confinement, standard, ret_pid, error)
               : kind == IPV4   ? spawn_ipv4(argv, standard, ret_pid, error)
                                : spawn_free(argv, standard, ret_pid, error);
    }
    close_fd(&in[0]);
    close_fd(&out[1]);
    close_fd(&err[1]);
    *pipes = (Pipes){ in[1], out[0], err[0] };
    if (done) {
        fcntl(pipes->in, F_SETFL, O_NONBLOCK);
        return true;
    }
    close_fd(&pipes->in);
    close_fd(&pipes->out);
    close_fd(&pipes->err);
    return false;
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

typedef enum { ENDED, OVERRUN, STOPPED } Outcome; /* OVERRUN: time or output ran out */

/* Feeds and reads the child until it closes its outputs. */
static Outcome
converse(Pipes *pipes, const char *input, const VirgaConfinement *confinement, gint64 deadline,
         GString *out, GString *err)
{
    bool watched = confinement && confinement->watch;
    gsize left = input ? strlen(input) : 0;

    if (left == 0)
        close_fd(&pipes->in);
    while (pipes->out >= 0 || pipes->err >= 0) {
        struct pollfd fds[] = { { pipes->in, POLLOUT, 0 },
                                { pipes->out, POLLIN, 0 },
                                { pipes->err, POLLIN, 0 } };
        gint64 wait_ms = (deadline - g_get_monotonic_time()) / 1000;

        if (wait_ms <= 0)
            return OVERRUN;
        if (watched && !confinement->watch(out->str, confinement->data))
            return STOPPED;
        if (poll(fds, G_N_ELEMENTS(fds), (int) MIN(wait_ms, watched ? WATCH_MS : G_MAXINT)) < 0 &&
            errno != EINTR)
            return OVERRUN;
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
            return OVERRUN;
        if (fds[2].revents) {
            drain(&pipes->err, err, STDERR_BYTES_MAX);
            if (err->len > STDERR_BYTES_MAX)
                g_string_erase(err, 0, (gssize) (err->len - STDERR_BYTES_MAX / 2));
        }
    }
    return ENDED;
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

static bool
run(Kind kind, const char *const *argv, const char *input, const VirgaConfinement *confinement,
    unsigned timeout_ms, char **ret_output, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + (gint64) timeout_ms * 1000;
    g_autoptr(GString) out = g_string_new(NULL);
    g_autoptr(GString) err = g_string_new(NULL);
    Pipes pipes;
    pid_t pid;
    int status = 0;
    Outcome outcome;

    if (!spawn_child(kind, argv, confinement, &pipes, &pid, error))
        return false;
    outcome = converse(&pipes, input, confinement, deadline, out, err);
    close_fd(&pipes.in);
    close_fd(&pipes.out);
    close_fd(&pipes.err);
    if (outcome != ENDED)
        kill(pid, SIGKILL);
    if (!wait_child(pid, deadline, &status) && outcome == ENDED)
        outcome = OVERRUN;
    if (outcome == STOPPED)
        return virga_fail(error, "process", VIRGA_ERROR_STATE, "\"%s\" was ended", argv[0]);
    if (outcome == OVERRUN)
        return virga_fail(error, "process", VIRGA_ERROR_INTERNAL,
                          "\"%s\" did not finish within %u ms", argv[0], timeout_ms);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return virga_fail(error, "process",
                          confinement && strstr(err->str, g_strerror(EFBIG)) ? VIRGA_ERROR_CAPACITY
                                                                             : VIRGA_ERROR_INTERNAL,
                          "\"%s\" failed: %s", argv[0], last_line(err));
    if (ret_output)
        *ret_output = g_string_free(g_steal_pointer(&out), FALSE);
    return true;
}

bool
virga_process_run(const char *const *argv, const char *input, unsigned timeout_ms,
                  char **ret_output, GError **error)
{
    return run(FREE, argv, input, NULL, timeout_ms, ret_output, error);
}

bool
virga_process_run_confined(const char *const *argv, const VirgaConfinement *confinement,
                           unsigned timeout_ms, char **ret_output, GError **error)
{
    return run(CONFINED, argv, NULL, confinement, timeout_ms, ret_output, error);
}

bool
virga_process_run_ipv4(const char *const *argv, unsigned timeout_ms, GError **error)
{
    return run(IPV4, argv, NULL, NULL, timeout_ms, NULL, error);
}

bool
virga_process_has_argument(pid_t pid, const char *argument)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int) pid);
    g_autofree char *command = NULL;
    gsize length;

    if (!g_file_get_contents(path, &command, &length, NULL))
        return false;
    for (const char *at = command; at < command + length; at += strlen(at) + 1)
        if (g_str_equal(at, argument))
            return true;
    return false;
}

pid_t
virga_process_of(const char *pid_path, const char *argument)
{
    g_autofree char *text = NULL;
    guint64 pid;

    return g_file_get_contents(pid_path, &text, NULL, NULL) &&
                   g_ascii_string_to_unsigned(g_strstrip(text), 10, 2, G_MAXINT, &pid, NULL) &&
                   virga_process_has_argument((pid_t) pid, argument)
               ? (pid_t) pid
               : 0;
}
