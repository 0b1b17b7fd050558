/* SPDX-License-Identifier: Apache-2.0 */
/* The daemons of an embedded cloud: what they are, who is running, how they are stopped.
 *
 *     virga supervise --state DIR
 *      ├─ postgresql     as user virga
 *      ├─ libvirtd       as root, in a mount namespace with directories of its own
 *      ├─ virgad         as user virga
 *      └─ virga-node     as root
 *
 * Guests are nobody's children here and outlive all of them.  The supervisor may be killed at any
 * time: the next one finds what runs by the records in STATE/supervise and stops it first. */
#pragma once

#include "core/config.h"
#include "identity.h"

typedef enum { CHILD_POSTGRESQL, CHILD_LIBVIRTD, CHILD_VIRGAD, CHILD_NODE, CHILDREN } ChildKind;

typedef struct {
    const char *name;
    bool wanted; /* by this configuration */
    int stop_signal;
    unsigned stop_s;
} ChildInfo;

ChildInfo child_info(const VirgaConfig *config, ChildKind kind);

/* Why what runs does not fit this configuration: the keys that have changed since the child was
 * started ("[node] zone"), or that it is (not) needed any more.  NULL if it fits, or if nothing is
 * known of it.  The caller's. */
char *child_changes(const char *state, const VirgaConfig *config, ChildKind kind);

/* Makes the child's log standard output and error of the calling process. */
bool child_open_log(const char *state, const char *name, GError **error);

/* Becomes the child: the calling process, a fresh one, records itself and executes it.  Returns
 * only upon failure. */
bool child_exec(const char *state, const char *config_path, const VirgaConfig *config,
                ChildKind kind, GError **error);

/* "STATE/supervise/NAME.pid", the caller's; NULL as name: the supervisor's own. */
char *child_record_path(const char *state, const char *name);
/* Removes what is recorded of a child that does not run. */
void child_forget(const char *state, const char *name);
char *child_log_path(const char *state, const char *name);

/* True when the daemon can be used: it answers on its socket. */
bool child_ready(const char *state, ChildKind kind);

/* The supervisor of this state, pid 0 if there is none. */
ProcessId supervisor_find(const char *state);

/* Stops what a supervisor that is gone left running, in the right order.  Noun "daemon": IN_USE
 * when something cannot be stopped. */
bool supervisor_stop_children(const char *state, const VirgaConfig *config, GError **error);

/* What the supervisor says of a child. */
typedef struct {
    ProcessId process; /* pid 0: not running */
    gint64 restarts;
    bool waiting;    /* to be started again */
    char *last_exit; /* NULL: it never ended */
} ChildStatus;

void child_status(const char *state, const char *name, ChildStatus *ret);
void child_status_done(ChildStatus *status);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ChildStatus, child_status_done)

/* The last lines of a log, each indented, the caller's; "" if there is none. */
char *child_log_tail(const char *state, const char *name, unsigned lines);

/* Keeps the end of a file that is being appended to, when it has grown beyond 'bytes_max'. */
void log_trim(const char *path, gint64 bytes_max, gint64 bytes_keep);
