/* SPDX-License-Identifier: Apache-2.0 */
/* What HAProxy says of its servers, and what it is told about them when it starts.  Pure. */
#include "kernel-priv.h"

#include "network/driver.h"

#include <string.h>

/* Columns of "show servers state", version 1. */
enum { BACKEND = 1, SERVER = 3, STATE_COLUMNS = 25 };

#define STATE_VERSION "1\n"
#define STATE_HEAD                                                                                 \
    "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight "           \
    "srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health "   \
    "srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord "  \
    "srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n"

/* A target is down until it has answered a check. */
static void
append_new_state(GString *text, const char *backend, const char *server)
{
    const char *colon = strchr(server, ':');

    g_string_append_printf(text, "1 %s 1 %s %.*s 0 0 1 1 0 1 0 0 6 0 0 0 - %s - 0 0 - - 0\n",
                           backend, server, (int) (colon - server), server, colon + 1);
}

char *
virga_haproxy_states(const VirgaHaproxy *haproxy, const char *answer)
{
    g_autoptr(GHashTable) known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(GStrv) lines = g_strsplit(answer, "\n", -1);
    GString *text = g_string_new(STATE_VERSION STATE_HEAD);

    for (char **line = lines; *line; line++) {
        g_auto(GStrv) words = g_strsplit(*line, " ", -1);

        if (**line != '#' && g_strv_length(words) >= STATE_COLUMNS)
            g_hash_table_insert(known, g_strdup_printf("%s %s", words[BACKEND], words[SERVER]),
                                *line);
    }
    for (guint i = 0; i < haproxy->servers->len; i++) {
        const char *name = haproxy->servers->pdata[i];
        const char *line = g_hash_table_lookup(known, name);
        g_auto(GStrv) words = g_strsplit(name, " ", 2);

        if (line)
            g_string_append_printf(text, "%s\n", line);
        else
            append_new_state(text, words[0], words[1]);
    }
    return g_string_free(text, FALSE);
}

/* ---- health ---- */

typedef struct {
    int name, server, status, check, code;
} Columns;

static bool
find_columns(const char *head, Columns *ret)
{
    g_auto(GStrv) names = g_strsplit(head, ",", -1);

    *ret = (Columns){ -1, -1, -1, -1, -1 };
    for (int i = 0; names[i]; i++) {
        if (g_str_equal(names[i], "# pxname"))
            ret->name = i;
        else if (g_str_equal(names[i], "svname"))
            ret->server = i;
        else if (g_str_equal(names[i], "status"))
            ret->status = i;
        else if (g_str_equal(names[i], "check_status"))
            ret->check = i;
        else if (g_str_equal(names[i], "check_code"))
            ret->code = i;
    }
    return ret->name >= 0 && ret->server >= 0 && ret->status >= 0 && ret->check >= 0 &&
           ret->code >= 0;
}

static const char *
reason_of(const char *check)
{
    if (g_str_has_suffix(check, "TOUT"))
        return "timeout";
    if (g_str_equal(check, "L7STS"))
        return "code";
    return g_str_equal(check, "L4CON") ? "refused" : "failed";
}

static VirgaTargetHealth *
parse_line(char **words, const Columns *columns)
{
    const char *check = words[columns->check];
    const char *colon = strchr(words[columns->server], ':');
    VirgaTargetHealth *health;
    guint64 port, code = 0;

    if (!colon || !g_ascii_string_to_unsigned(colon + 1, 10, 1, 65535, &port, NULL))
        return NULL;                   /* a sum of others */
    if (g_str_has_prefix(check, "* ")) /* another check is under way */
        check += 2;
    health = g_new0(VirgaTargetHealth, 1);
    health->target_group_id = g_strdup(words[columns->name]);
    health->address = g_strndup(words[columns->server], (gsize) (colon - words[columns->server]));
    health->port = (guint16) port;
    health->healthy = !g_str_has_prefix(words[columns->status], "DOWN");
    health->known = health->healthy || (*check && !g_str_equal(check, "INI"));
    /* It has answered well, but not often enough. */
    if (!health->healthy && g_str_has_suffix(check, "OK"))
        health->known = false;
    if (!health->healthy && health->known) {
        health->reason = g_strdup(reason_of(check));
        g_ascii_string_to_unsigned(words[columns->code], 10, 0, 999, &code, NULL);
        health->http_code = (gint64) code;
    }
    return health;
}

GPtrArray *
virga_haproxy_parse_health(const char *answer)
{
    GPtrArray *targets = virga_network_health_new();
    g_auto(GStrv) lines = g_strsplit(answer, "\n", -1);
    Columns columns;

    if (!lines[0] || !find_columns(lines[0], &columns))
        return targets;
    for (char **line = lines + 1; *line; line++) {
        g_auto(GStrv) words = g_strsplit(*line, ",", -1);
        VirgaTargetHealth *health;
        int last = MAX(MAX(columns.check, columns.code), columns.status);

        if ((int) g_strv_length(words) <= last || !g_str_has_prefix(words[columns.name], "tg-"))
            continue;
        health = parse_line(words, &columns);
        if (health)
            g_ptr_array_add(targets, health);
    }
    return targets;
}
