/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include "core/error.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KILLED_WAIT_MS 5000

/* State and start time out of /proc/PID/stat; the name in it may hold anything. */
static bool
read_stat(pid_t pid, char *ret_state, guint64 *ret_started)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int) pid);
    g_autofree char *text = NULL;
    g_auto(GStrv) fields = NULL;
    const char *end;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return false;
    end = strrchr(text, ')');
    if (!end)
        return false;
    fields = g_strsplit(end + 2, " ", -1);
    if (g_strv_length(fields) < 20)
        return false;
    *ret_state = fields[0][0];
    *ret_started = g_ascii_strtoull(fields[19], NULL, 10);
    return true;
}

ProcessId
process_identify(pid_t pid)
{
    ProcessId process = { pid, 0 };
    char state;

    if (pid <= 0 || !read_stat(pid, &state, &process.started))
        return (ProcessId){ 0 };
    return process;
}

bool
process_alive(const ProcessId *process)
{
    guint64 started;
    char state;

    return process->pid > 0 && read_stat(process->pid, &state, &started) &&
           started == process->started && state != 'Z' && state != 'X';
}

gint64
process_age_ms(const ProcessId *process)
{
    gint64 ticks = sysconf(_SC_CLK_TCK);
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return MAX(0, (gint64) now.tv_sec * 1000 + now.tv_nsec / 1000000 -
                      (gint64) process->started * 1000 / MAX(1, ticks));
}

static char *
boot_id(void)
{
    char *text = NULL;

    if (!g_file_get_contents("/proc/sys/kernel/random/boot_id", &text, NULL, NULL))
        return g_strdup("-");
    return g_strstrip(text);
}

bool
process_record(const char *path, const ProcessId *process, GError **error)
{
    g_autofree char *boot = boot_id();
    g_autofree char *text = g_strdup_printf("%d %" G_GUINT64_FORMAT " %s\n", (int) process->pid,
                                            process->started, boot);

    return g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, error);
}

ProcessId
process_recall(const char *path)
{
    g_autofree char *boot = boot_id();
    g_autofree char *text = NULL;
    g_auto(GStrv) fields = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return (ProcessId){ 0 };
    fields = g_strsplit(g_strstrip(text), " ", -1);
    if (g_strv_length(fields) != 3 || !g_str_equal(fields[2], boot))
        return (ProcessId){ 0 };
    return (ProcessId){ (pid_t) g_ascii_strtoll(fields[0], NULL, 10),
                        g_ascii_strtoull(fields[1], NULL, 10) };
}

/* True if the process behind the pidfd ended in time. */
static bool
await(int pidfd, unsigned wait_ms)
{
    struct pollfd fd = { pidfd, POLLIN, 0 };

    return poll(&fd, 1, (int) wait_ms) > 0;
}

bool
process_stop(const ProcessId *process, int signal, unsigned wait_s)
{
    int pidfd = (int) syscall(SYS_pidfd_open, process->pid, 0);
    bool ended = true;

    /* The descriptor holds the process; now make sure that it is the right one. */
    if (pidfd < 0)
        return true;
    if (process_alive(process)) {
        syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0);
        ended = await(pidfd, wait_s * 1000);
        if (!ended) {
            syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
            ended = await(pidfd, KILLED_WAIT_MS);
        }
    }
    close(pidfd);
    return ended;
}
