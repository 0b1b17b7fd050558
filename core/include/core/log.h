/* SPDX-License-Identifier: Apache-2.0 */
/* Structured logs of the daemons.
 *
 * Only reconcilers, the edge of the API and main() log: one line per change of state.  A line has
 * the noun and id that it is about and the request that caused it, as fields in the journal and in
 * the text:  2026-01-02T03:04:05.678Z info virgad instance i-0123: running  request=…
 * G_LOG_LEVEL_WARNING and above mean a bug of ours or a broken machine and fail tests. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Routes GLib's structured log of this process to stderr, or to the journal when stderr is one.
 * 'program' is named in every line; 'debug' lets debug lines through. */
void virga_log_init(const char *program, bool debug);

/* The request id that lines of this thread carry until it is set to NULL.  Copied. */
void virga_log_set_request(const char *request_id);

void virga_log(GLogLevelFlags level, const char *noun, const char *id, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

#define virga_info(noun, id, ...)    virga_log(G_LOG_LEVEL_INFO, (noun), (id), __VA_ARGS__)
#define virga_notice(noun, id, ...)  virga_log(G_LOG_LEVEL_MESSAGE, (noun), (id), __VA_ARGS__)
#define virga_warning(noun, id, ...) virga_log(G_LOG_LEVEL_WARNING, (noun), (id), __VA_ARGS__)
#define virga_debug(noun, id, ...)   virga_log(G_LOG_LEVEL_DEBUG, (noun), (id), __VA_ARGS__)
