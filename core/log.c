/* SPDX-License-Identifier: Apache-2.0 */
#include "core/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *log_program = "virga";
static bool log_debug;
static bool log_to_journal;
static GPrivate log_request = G_PRIVATE_INIT(g_free);

static const char *
level_word(GLogLevelFlags level)
{
    switch (level & G_LOG_LEVEL_MASK) {
    case G_LOG_LEVEL_ERROR:
    case G_LOG_LEVEL_CRITICAL:
        return "critical";
    case G_LOG_LEVEL_WARNING:
        return "warning";
    case G_LOG_LEVEL_MESSAGE:
        return "notice";
    case G_LOG_LEVEL_DEBUG:
        return "debug";
    default:
        return "info";
    }
}

static const char *
field_text(const GLogField *fields, gsize n, const char *key)
{
    for (gsize i = 0; i < n; i++)
        if (g_str_equal(fields[i].key, key))
            return fields[i].value;
    return NULL;
}

/* One line stays one line: whatever a foreign string holds cannot forge another entry. */
static void
append_safe(GString *line, const char *text)
{
    for (; *text; text++) {
        if ((unsigned char) *text < 0x20 || *text == 0x7f)
            g_string_append_printf(line, "\\x%02x", (unsigned char) *text);
        else
            g_string_append_c(line, *text);
    }
}

static GLogWriterOutput
write_line(GLogLevelFlags level, const GLogField *fields, gsize n, gpointer data)
{
    g_autoptr(GDateTime) now = NULL;
    g_autofree char *when = NULL;
    g_autoptr(GString) line = NULL;
    const char *noun = field_text(fields, n, "VIRGA_NOUN");
    const char *id = field_text(fields, n, "VIRGA_ID");
    const char *request = field_text(fields, n, "VIRGA_REQUEST");
    const char *message = field_text(fields, n, "MESSAGE");
    gssize written;

    if ((level & G_LOG_LEVEL_DEBUG) && !log_debug)
        return G_LOG_WRITER_HANDLED;
    if (log_to_journal && g_log_writer_journald(level, fields, n, NULL) == G_LOG_WRITER_HANDLED)
        return G_LOG_WRITER_HANDLED;

    now = g_date_time_new_now_utc();
    when = g_date_time_format(now, "%Y-%m-%dT%H:%M:%S");
    line = g_string_new(when);
    g_string_append_printf(line, ".%03dZ %s %s ", g_date_time_get_microsecond(now) / 1000,
                           level_word(level), log_program);
    if (noun) {
        append_safe(line, noun);
        g_string_append(line, id ? " " : "");
        append_safe(line, id ? id : "");
        g_string_append(line, ": ");
    }
    append_safe(line, message ? message : "");
    if (request) {
        g_string_append(line, " request=");
        append_safe(line, request);
    }
    g_string_append_c(line, '\n');
    written = write(STDERR_FILENO, line->str, line->len); /* one call: lines never interleave */
    return written >= 0 ? G_LOG_WRITER_HANDLED : G_LOG_WRITER_UNHANDLED;
}

void
virga_log_init(const char *program, bool debug)
{
    log_program = program;
    log_debug = debug;
    log_to_journal = g_log_writer_is_journald(STDERR_FILENO);
    g_log_set_writer_func(write_line, NULL, NULL);
}

void
virga_log_set_request(const char *request_id)
{
    g_private_replace(&log_request, g_strdup(request_id));
}

void
virga_log(GLogLevelFlags level, const char *noun, const char *id, const char *format, ...)
{
    const char *request = g_private_get(&log_request);
    g_autofree char *message = NULL;
    GLogField fields[8];
    gsize n = 0;
    va_list args;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);

    fields[n++] = (GLogField){ "MESSAGE", message, -1 };
    fields[n++] = (GLogField){ "GLIB_DOMAIN", "virga", -1 };
    fields[n++] = (GLogField){ "PRIORITY",
                               level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL) ? "3"
                               : level & G_LOG_LEVEL_WARNING                      ? "4"
                               : level & G_LOG_LEVEL_MESSAGE                      ? "5"
                               : level & G_LOG_LEVEL_DEBUG                        ? "7"
                                                                                  : "6",
                               -1 };
    if (noun)
        fields[n++] = (GLogField){ "VIRGA_NOUN", noun, -1 };
    if (id)
        fields[n++] = (GLogField){ "VIRGA_ID", id, -1 };
    if (request)
        fields[n++] = (GLogField){ "VIRGA_REQUEST", request, -1 };
    g_log_structured_array(level, fields, n);
}
