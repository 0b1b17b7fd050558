/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a program of the machine (ip, nft, qemu-img) to its end. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Runs argv[0] from PATH with 'input' (NULL: nothing) on its standard input and waits at most
 * 'timeout_ms', after which it is killed.  Success is exit status 0; otherwise fails with INTERNAL
 * and the last line that the program wrote to stderr.  'ret_output' (may be NULL) gets standard
 * output, NUL-terminated, the caller's; more than 64 MiB fails.
 * Safe in any thread; the child gets no descriptor of ours. */
bool virga_process_run(const char *const *argv, const char *input, unsigned timeout_ms,
                       char **ret_output, GError **error);
