/* SPDX-License-Identifier: Apache-2.0 */
/* Commands that a test needs to look at its world. */
#pragma once

#include "core/process.h"

#include <glib.h>
#include <stdarg.h>

#define SHELL_MS 60000

/* What a command line writes, without the last newline; the caller's.  It must succeed. */
static inline char *G_GNUC_PRINTF(1, 2) shell(const char *format, ...)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *line = NULL;
    char *output = NULL;
    va_list args;

    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    virga_process_run((const char *const[]){ "sh", "-ec", line, NULL }, NULL, SHELL_MS, &output,
                      &error);
    g_assert_no_error(error);
    return g_strchomp(output);
}

#define RUN(...) g_free(shell(__VA_ARGS__))
