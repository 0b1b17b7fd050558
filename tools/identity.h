/* SPDX-License-Identifier: Apache-2.0 */
/* Which process is meant: a pid alone may be another's by the time that it is used.
 *
 * A process is named by its pid, its start time and the boot it belongs to.  Records are in a
 * directory that only root can write, so nobody else can make us signal a process. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct {
    pid_t pid;       /* 0: none */
    guint64 started; /* in clock ticks since the boot */
} ProcessId;

/* The process 'pid' as it is now; pid 0 in the result if there is none. */
ProcessId process_identify(pid_t pid);

/* True as long as this very process lives (a zombie does not). */
bool process_alive(const ProcessId *process);

/* Time since it was started, as exact as the kernel's clock ticks (10 ms). */
gint64 process_age_ms(const ProcessId *process);

/* Records the process in a file; reads a record back, pid 0 if there is none of this boot. */
bool process_record(const char *path, const ProcessId *process, GError **error);
ProcessId process_recall(const char *path);

/* Sends 'signal', waits up to 'wait_s' for the end, then kills.  False if it lives on. */
bool process_stop(const ProcessId *process, int signal, unsigned wait_s);
