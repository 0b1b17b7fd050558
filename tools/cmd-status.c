/* SPDX-License-Identifier: Apache-2.0 */
/* virga status: what runs and what is wrong.  Exit 1 if anything is. */
#include "choose.h"
#include "cli.h"
#include "core/error.h"
#include "core/process.h"
#include "layout.h"
#include "supervise.h"

#include <string.h>
#include <unistd.h>

#define CALL_MS    5000
#define VERSION_MS 5000
#define TAIL_LINES 4

typedef struct {
    Cli *cli;
    GPtrArray *troubles;
} Status;

static void G_GNUC_PRINTF(2, 3) add_trouble(Status *status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(status->troubles, g_strdup_vprintf(format, args));
    va_end(args);
}

/* The last word of what "PROGRAM --version" says first. */
static char *
program_version(const char *program)
{
    const char *argv[] = { program, "--version", NULL };
    g_autofree char *text = NULL;
    g_auto(GStrv) words = NULL;

    if (!program || !virga_process_run(argv, NULL, VERSION_MS, &text, NULL))
        return g_strdup("?");
    text[strcspn(text, "\n")] = '\0';
    words = g_strsplit(text, " ", -1);
    for (char **word = words; *word; word++)
        if (g_ascii_isdigit(**word))
            return g_strdup(*word);
    return g_strdup("?");
}

static char *
child_version(const Status *status, ChildKind kind, JsonObject *answer)
{
    g_autofree char *programs = NULL, *server = NULL;

    switch (kind) {
    case CHILD_POSTGRESQL:
        programs = layout_database_programs(status->cli->state, NULL);
        server = programs ? g_build_filename(programs, "postgres", NULL) : NULL;
        return program_version(server);
    case CHILD_LIBVIRTD:
        return program_version("libvirtd");
    case CHILD_VIRGAD:
        return g_strdup(answer ? cli_text(answer, "version") : "?");
    default:
        return g_strdup(answer && cli_length(answer, "hosts")
                            ? cli_text(cli_element(answer, "hosts", 0), "version")
                            : VIRGA_VERSION);
    }
}

static void
show_child(Status *status, ChildKind kind, JsonObject *answer)
{
    ChildInfo info = child_info(status->cli->config, kind);
    g_auto(ChildStatus) child = { 0 };
    g_autofree char *version = NULL, *age = NULL;

    if (!info.wanted)
        return;
    child_status(status->cli->state, info.name, &child);
    if (child.process.pid == 0) {
        g_autofree char *tail = child_log_tail(status->cli->state, info.name, TAIL_LINES);

        g_print("  %-11s %8s  %-9s %-12s\n", info.name, "-", "-", "not running");
        add_trouble(status, "%s does not run%s%s%s%s", info.name, child.last_exit ? "; it " : "",
                    child.last_exit ? child.last_exit : "", *tail ? "; the end of its log:\n" : "",
                    g_strchomp(tail));
        return;
    }
    version = child_version(status, kind, answer);
    age = cli_duration(process_age_ms(&child.process) / 1000);
    g_print("  %-11s %8d  %-9s %-12s", info.name, (int) child.process.pid, version, age);
    if (child.restarts)
        g_print(" restarted %" G_GINT64_FORMAT "×, last: it %s", child.restarts,
                child.last_exit ? child.last_exit : "ended");
    g_print("\n");
    if (!child_ready(status->cli->state, kind))
        add_trouble(status, "%s runs and does not answer", info.name);
}

static void
show_daemons(Status *status, JsonObject *answer)
{
    ProcessId supervisor = supervisor_find(status->cli->state);

    g_print("Daemons          pid  version   up for\n");
    if (supervisor.pid == 0)
        add_trouble(status, "%s: run \"virga up\"",
                    answer ? "nothing watches over the daemons" : "the cloud is down");
    for (int i = 0; i < CHILDREN; i++)
        show_child(status, (ChildKind) i, answer);
}

static void
show_hosts(JsonObject *answer)
{
    g_print("Hosts\n");
    for (guint i = 0; i < cli_length(answer, "hosts"); i++) {
        JsonObject *host = cli_element(answer, "hosts", i);
        g_autofree char *seen = cli_duration(cli_int(host, "seen_s_ago"));

        g_print("  %s (%s), zone %s, %s: %s, seen %s ago; vCPUs %" G_GINT64_FORMAT
                " of %" G_GINT64_FORMAT ", memory %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
                " MiB, disk %" G_GINT64_FORMAT " GiB free\n",
                cli_text(host, "name"), cli_text(host, "id"), cli_text(host, "zone"),
                g_str_equal(cli_text(host, "hypervisor"), "qemu") ? "emulation (no KVM)"
                                                                  : cli_text(host, "hypervisor"),
                cli_bool(host, "up") ? "up" : "LOST", seen, cli_int(host, "vcpus_claimed"),
                cli_int(host, "vcpus"), cli_int(host, "memory_claimed_mib"),
                cli_int(host, "memory_mib"), cli_int(host, "disk_free_gib"));
    }
}

static void
show_counts(JsonObject *answer)
{
    JsonObject *instances = json_object_get_object_member(answer, "instances");
    g_autoptr(GList) states = json_object_get_members(instances);
    const char *comma = "";

    g_print("Instances  ");
    if (!states)
        g_print("none");
    for (GList *at = states; at; at = at->next, comma = ", ")
        g_print("%s%" G_GINT64_FORMAT " %s", comma, cli_int(instances, at->data),
                (const char *) at->data);
    g_print("\nImages     %" G_GINT64_FORMAT ", volumes %" G_GINT64_FORMAT
            ", public addresses free %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT "\n",
            cli_int(answer, "images"), cli_int(answer, "volumes"),
            cli_int(answer, "public_addresses_free"), cli_int(answer, "public_addresses"));
}

static void
show_cloud(Status *status, JsonObject *answer)
{
    if (!cli_bool(answer, "database_ok")) {
        add_trouble(status, "the database: %s", cli_text(answer, "database_error"));
        return;
    }
    g_print("Database   PostgreSQL %s, ok\n", cli_text(answer, "database_version"));
    show_hosts(answer);
    show_counts(answer);
    for (guint i = 0; i < cli_length(answer, "troubles"); i++) {
        JsonArray *troubles = json_object_get_array_member(answer, "troubles");

        add_trouble(status, "%s", json_array_get_string_element(troubles, i));
    }
}

static int
show_troubles(const Status *status)
{
    if (status->troubles->len == 0) {
        g_print("All is well.\n");
        return 0;
    }
    g_print("What is wrong\n");
    for (guint i = 0; i < status->troubles->len; i++)
        g_print("  %s\n", (const char *) status->troubles->pdata[i]);
    return 1;
}

int
cmd_status(int argc, char **argv)
{
    g_auto(Cli) cli = { 0 };
    g_autoptr(GPtrArray) troubles = g_ptr_array_new_with_free_func(g_free);
    Status status = { &cli, troubles };
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) answer = NULL;
    g_autofree char *endpoint = NULL;
    gboolean json = FALSE;
    GOptionEntry entries[] = {
        { "json", 0, 0, G_OPTION_ARG_NONE, &json, "Print virgad's answer as it is", NULL },
        { NULL },
    };

    cli_parse(&cli, &argc, &argv, NULL,
              "Shows daemons, hosts and counts, and what is wrong.  Exit 1 if something is.",
              entries, 0, 0);
    if (!cli_need_root("status"))
        return 1;
    if (!g_file_test(cli.state, G_FILE_TEST_IS_DIR))
        return cli_fail("there is no cloud in \"%s\": run \"virga up\"", cli.state);
    if (!cli_config(&cli, &error))
        return cli_fail("%s", error->message);
    answer = cli_call(&cli, "GET", "/operator/v1/status", NULL, CALL_MS, &error);
    if (json && !answer)
        return cli_fail("%s", error->message);
    if (json) {
        g_autofree char *text = json_to_string(answer, TRUE);

        g_print("%s\n", text);
        return cli_length(json_node_get_object(answer), "troubles") ? 1 : 0;
    }
    endpoint = cli_endpoint(&cli);
    g_print("Cloud      %s, region %s, in %s\n", endpoint,
            virga_config_text(cli.config, "cloud", "region"), cli.state);
    show_daemons(&status, answer ? json_node_get_object(answer) : NULL);
    if (answer)
        show_cloud(&status, json_node_get_object(answer));
    else if (supervisor_find(cli.state).pid)
        add_trouble(&status, "virgad: %s", error->message);
    return show_troubles(&status);
}
