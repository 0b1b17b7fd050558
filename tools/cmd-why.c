/* SPDX-License-Identifier: Apache-2.0 */
/* virga why: the story of a resource. */
#include "cli.h"

#include <string.h>

#define CALL_MS 10000

static void
show_row(JsonObject *row)
{
    g_autoptr(GList) names = json_object_get_members(row);

    for (GList *at = names; at; at = at->next) {
        JsonNode *value = json_object_get_member(row, at->data);
        g_autofree char *text = json_node_get_value_type(value) == G_TYPE_STRING
                                    ? g_strdup(json_node_get_string(value))
                                    : json_to_string(value, FALSE);
        g_autofree char *name = g_strdup(at->data);

        if (*text)
            g_print("  %-20s %s\n", g_strdelimit(name, "_", ' '), text);
    }
}

static void
show(JsonObject *answer)
{
    guint events = cli_length(answer, "events");

    if (json_object_has_member(answer, "row")) {
        g_print("%s %s\n", cli_text(answer, "kind"), cli_text(answer, "id"));
        show_row(json_object_get_object_member(answer, "row"));
    }
    g_print(events ? "What happened\n" : "Nothing was recorded about it.\n");
    for (guint i = 0; i < events; i++) {
        JsonObject *event = cli_element(answer, "events", i);

        g_print("  %s  %s\n", cli_text(event, "at"), cli_text(event, "message"));
    }
}

int
cmd_why(int argc, char **argv)
{
    g_auto(Cli) cli = { 0 };
    g_autoptr(JsonNode) answer = NULL;
    g_autofree char *escaped = NULL, *path = NULL;
    g_autoptr(GError) error = NULL;

    cli_parse(
        &cli, &argc, &argv, "ID",
        "Tells what is known of an instance, a volume, a host or a request (the request id of "
        "a\nrefusal), and what happened to it.",
        NULL, 1, 1);
    if (!cli_need_root("why"))
        return 1;
    escaped = g_uri_escape_string(argv[1], NULL, FALSE);
    path = g_strconcat("/operator/v1/why?id=", escaped, NULL);
    answer = cli_call(&cli, "GET", path, NULL, CALL_MS, &error);
    if (!answer)
        return cli_fail("%s", error->message);
    show(json_node_get_object(answer));
    return 0;
}
