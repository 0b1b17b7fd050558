/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "core/error.h"
#include "core/http-client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UPLOAD_MS (3600u * 1000)

void
cli_done(Cli *cli)
{
    g_free(cli->state);
    g_free(cli->config_path);
    g_clear_pointer(&cli->config, virga_config_unref);
}

static G_GNUC_NORETURN void
wrong_use(const char *program, const char *reason)
{
    g_printerr("%s: %s\nTry \"%s --help\".\n", program, reason, program);
    exit(CLI_WRONG_USE);
}

void
cli_parse(Cli *cli, int *argc, char ***argv, const char *usage, const char *text,
          const GOptionEntry *entries, int min, int max)
{
    GOptionEntry common[] = {
        { "state", 0, 0, G_OPTION_ARG_FILENAME, &cli->state,
          "State directory of the cloud (" VIRGA_STATE_PATH ")", "DIR" },
        { "config", 0, 0, G_OPTION_ARG_FILENAME, &cli->config_path,
          "Configuration file (" VIRGA_CONFIG_PATH ")", "FILE" },
        { NULL },
    };
    g_autoptr(GOptionContext) context = g_option_context_new(usage);
    g_autoptr(GError) error = NULL;
    g_autofree char *state = NULL;

    g_option_context_set_summary(context, text);
    if (entries)
        g_option_context_add_main_entries(context, entries, NULL);
    g_option_context_add_main_entries(context, common, NULL);
    if (!g_option_context_parse(context, argc, argv, &error))
        wrong_use((*argv)[0], error->message);
    if (*argc > 1 && g_str_equal((*argv)[1], "--")) {
        memmove(*argv + 1, *argv + 2, (size_t) (*argc - 1) * sizeof **argv);
        --*argc;
    }
    if (*argc - 1 < min)
        wrong_use((*argv)[0], "an argument is missing");
    if (*argc - 1 > max)
        wrong_use((*argv)[0], "there are too many arguments");
    state = g_canonicalize_filename(cli->state ? cli->state : VIRGA_STATE_PATH, NULL);
    g_free(cli->state);
    cli->state = g_steal_pointer(&state);
    if (!cli->config_path)
        cli->config_path = g_strdup(VIRGA_CONFIG_PATH);
}

bool
cli_need_root(const char *command)
{
    if (geteuid() == 0)
        return true;
    cli_fail("\"virga %s\" needs root: run \"sudo virga %s\"", command, command);
    return false;
}

bool
cli_config(Cli *cli, GError **error)
{
    g_clear_pointer(&cli->config, virga_config_unref);
    cli->config = virga_config_load(cli->config_path, cli->state, error);
    return cli->config != NULL;
}

char *
cli_path(const Cli *cli, const char *relative)
{
    return g_build_filename(cli->state, relative, NULL);
}

/* ---- virgad ---- */

static VirgaHttpClient *
make_client(const Cli *cli)
{
    g_autofree char *path = cli_path(cli, "run/virgad.sock");
    g_autofree char *address = g_strconcat("unix:", path, NULL);

    return virga_http_client_new(address);
}

/* virgad's own words out of "virgad answered 409: {"error":"…"}". */
static void
unwrap(GError *error)
{
    const char *json = strchr(error->message, '{');
    g_autoptr(JsonNode) node = json ? json_from_string(json, NULL) : NULL;
    const char *text =
        node && JSON_NODE_HOLDS_OBJECT(node)
            ? json_object_get_string_member_with_default(json_node_get_object(node), "error", NULL)
            : NULL;

    if (text) {
        char *message = g_strdup(text);

        g_free(error->message);
        error->message = message;
    }
}

static JsonNode *
read_answer(bool called, const char *body, GError **error)
{
    JsonNode *node;

    if (!called) {
        if (error && *error)
            unwrap(*error);
        return NULL;
    }
    node = json_from_string(body, error);
    if (node && !JSON_NODE_HOLDS_OBJECT(node)) {
        g_clear_pointer(&node, json_node_unref);
        virga_fail(error, "request", VIRGA_ERROR_INTERNAL, "virgad's answer is no object");
    }
    return node;
}

JsonNode *
cli_call(Cli *cli, const char *method, const char *path, const char *body, unsigned timeout_ms,
         GError **error)
{
    g_autoptr(VirgaHttpClient) client = make_client(cli);
    g_autofree char *answer = NULL;
    bool called = virga_http_call(client, method, path, body, timeout_ms, &answer, error);

    return read_answer(called, answer, error);
}

JsonNode *
cli_upload(Cli *cli, const char *path, const char *file, GError **error)
{
    g_autoptr(VirgaHttpClient) client = make_client(cli);
    g_autofree char *answer = NULL;
    bool called = virga_http_upload(client, path, file, UPLOAD_MS, &answer, error);

    return read_answer(called, answer, error);
}

/* ---- words ---- */

int
cli_fail(const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    fflush(stdout);
    g_printerr("virga: %s\n", text);
    return 1;
}

char *
cli_duration(gint64 seconds)
{
    gint64 minutes = seconds / 60, hours = minutes / 60, days = hours / 24;

    if (seconds < 60)
        return g_strdup_printf("%d s", (int) MAX(0, seconds));
    if (minutes < 60)
        return g_strdup_printf("%d min", (int) minutes);
    if (hours < 24)
        return g_strdup_printf("%d h %d min", (int) hours, (int) (minutes % 60));
    return g_strdup_printf("%d d %d h", (int) days, (int) (hours % 24));
}

/* ---- JSON ---- */

const char *
cli_text(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;
    const char *text =
        node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node) : NULL;

    return text ? text : "";
}

gint64
cli_int(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;

    return node && JSON_NODE_HOLDS_VALUE(node) ? json_node_get_int(node) : 0;
}

bool
cli_bool(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;

    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_boolean(node);
}

guint
cli_length(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;

    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_array_get_length(json_node_get_array(node))
                                               : 0;
}

JsonObject *
cli_element(JsonObject *object, const char *name, guint at)
{
    JsonNode *node =
        json_array_get_element(json_node_get_array(json_object_get_member(object, name)), at);

    return JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}
