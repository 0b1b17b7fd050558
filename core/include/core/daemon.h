/* SPDX-License-Identifier: Apache-2.0 */
/* How our daemons begin: --state, --config, --version; configuration, logs, signals. */
#pragma once

#include "core/config.h"

/* Reads the command line of 'name' ("virgad"), whose purpose is told by --help, and the
 * configuration; prepares the log and ignores SIGPIPE.  NULL: there is nothing more to do, and
 * 'ret_status' is the exit status. */
VirgaConfig *virga_daemon_begin(int argc, char **argv, const char *name, const char *purpose,
                                int *ret_status);
