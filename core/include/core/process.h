/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a program of the machine (ip, nft, qemu-img) to its end. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

/* Runs argv[0] from PATH with 'input' (NULL: nothing) on its standard input and waits at most
 * 'timeout_ms', after which it is killed.  Success is exit status 0; otherwise fails with INTERNAL
 * and the last line that the program wrote to stderr.  'ret_output' (may be NULL) gets standard
 * output, NUL-terminated, the caller's; more than 64 MiB fails.
 * Safe in any thread; the child gets no descriptor of ours. */
bool virga_process_run(const char *const *argv, const char *input, unsigned timeout_ms,
                       char **ret_output, GError **error);

/* The same of a program that finds no IPv6, nor do its children: some listen on all addresses as
 * soon as there is. */
bool virga_process_run_ipv4(const char *const *argv, unsigned timeout_ms, GError **error);

/* For a program that is fed with foreign bytes: as if whoever made them ran it. */
typedef struct {
    int source;         /* is its descriptor VIRGA_CONFINED_FD, and what it may open for reading */
    const char *output; /* the one file that it may write, which is there already; NULL: none */
    gint64 memory_bytes, file_bytes; /* of its address space; of what it writes */
    unsigned cpu_s;
    /* Is asked now and then, with all that came on standard output (may be NULL); false ends it. */
    bool (*watch)(const char *output, gpointer data);
    gpointer data;
} VirgaConfinement;

#define VIRGA_CONFINED_FD   3
#define VIRGA_CONFINED_PATH "/proc/self/fd/3"

/* As above.  The child sees the system's programs and libraries and what 'confinement' says, and no
 * other file (Landlock); it has no sockets and no way to other processes (seccomp), and limits on
 * all that it takes.  What this kernel does not have of that is left out.  Also fails with noun
 * "process": STATE when 'watch' ended it, CAPACITY when it reached 'file_bytes'. */
bool virga_process_run_confined(const char *const *argv, const VirgaConfinement *confinement,
                                unsigned timeout_ms, char **ret_output, GError **error);

/* Says whether a process runs that was started with this word.  No such process: it is not. */
bool virga_process_has_argument(pid_t pid, const char *argument);
/* The process that the file 'pid_path' names, if it was started with 'argument'; else 0. */
pid_t virga_process_of(const char *pid_path, const char *argument);
