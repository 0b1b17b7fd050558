/* SPDX-License-Identifier: Apache-2.0 */
/* virga down: the daemons end, guests go on; with --stop-instances these are stopped before. */
#include "cli.h"
#include "core/error.h"
#include "core/process.h"
#include "supervise.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define CALL_MS      30000
#define POLL_MS      500
#define STOP_S       150 /* all daemons' own time-outs */
#define SYSTEMCTL_MS 160000
#define UNITS        "/run/systemd/system"

static gint64
count_running(JsonObject *status)
{
    static const char *const states[] = { "pending", "running", "stopping", "shutting-down" };
    JsonObject *instances = json_object_has_member(status, "instances")
                                ? json_object_get_object_member(status, "instances")
                                : NULL;
    gint64 count = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(states); i++)
        count += cli_int(instances, states[i]);
    return count;
}

static bool
stop_instances(Cli *cli, int timeout_s, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + (gint64) timeout_s * G_USEC_PER_SEC;
    gint64 left = -1;
    g_autoptr(JsonNode) asked =
        cli_call(cli, "POST", "/operator/v1/stop-instances", "{}", CALL_MS, error);
    JsonObject *answer = asked ? json_node_get_object(asked) : NULL;

    if (!answer)
        return false;
    for (guint i = 0; i < cli_length(answer, "refused"); i++) {
        JsonObject *refused = cli_element(answer, "refused", i);

        g_print("  %s is not stopped: %s\n", cli_text(refused, "id"), cli_text(refused, "error"));
    }
    while (left != 0) {
        g_autoptr(JsonNode) status =
            cli_call(cli, "GET", "/operator/v1/status", NULL, CALL_MS, error);
        gint64 count;

        if (!status)
            return false;
        count =
            count_running(json_node_get_object(status)) - (gint64) cli_length(answer, "refused");
        if (count > 0 && count != left)
            g_print("  waiting for %" G_GINT64_FORMAT " instances to stop\n", count);
        left = MAX(0, count);
        if (left == 0)
            break;
        if (g_get_monotonic_time() > deadline)
            return virga_fail(error, "instance", VIRGA_ERROR_RETRY,
                              "%" G_GINT64_FORMAT
                              " instances still run after %d s; the cloud stays "
                              "up (\"virga status\" shows them)",
                              left, timeout_s);
        g_usleep(POLL_MS * 1000);
    }
    return true;
}

static bool
stop_supervisor(Cli *cli, GError **error)
{
    ProcessId supervisor = supervisor_find(cli->state);
    const char *escape[] = { "systemd-escape", "--path", "--template=virga@.service", cli->state,
                             NULL };
    const char *argv[] = { "systemctl", "stop", "virga.service", NULL };
    g_autofree char *instance = NULL;

    /* So that systemd does not start it again. */
    if (supervisor.pid && g_file_test(UNITS, G_FILE_TEST_IS_DIR)) {
        if (!g_str_equal(cli->state, VIRGA_STATE_PATH) &&
            virga_process_run(escape, NULL, CALL_MS, &instance, NULL))
            argv[2] = g_strstrip(instance);
        virga_process_run(argv, NULL, SYSTEMCTL_MS, NULL, NULL);
        supervisor = supervisor_find(cli->state);
    }
    if (supervisor.pid && !process_stop(&supervisor, SIGTERM, STOP_S))
        return virga_fail(error, "daemon", VIRGA_ERROR_IN_USE,
                          "the supervisor (process %d) cannot be stopped", (int) supervisor.pid);
    /* Whatever a killed supervisor left. */
    return supervisor_stop_children(cli->state, cli->config, error);
}

int
cmd_down(int argc, char **argv)
{
    g_auto(Cli) cli = { 0 };
    gboolean stop = FALSE;
    int timeout_s = 180;
    GOptionEntry entries[] = {
        { "stop-instances", 0, 0, G_OPTION_ARG_NONE, &stop,
          "Stop all instances first; otherwise they keep running", NULL },
        { "timeout", 0, 0, G_OPTION_ARG_INT, &timeout_s,
          "How long instances may take to stop (180)", "SECONDS" },
        { NULL },
    };
    g_autoptr(GError) error = NULL;

    cli_parse(
        &cli, &argc, &argv, NULL,
        "Stops the cloud's daemons.  Guests keep running and are found again by \"virga up\".",
        entries, 0, 0);
    if (!cli_need_root("down"))
        return 1;
    if (!g_file_test(cli.state, G_FILE_TEST_IS_DIR)) {
        g_print("There is no cloud in %s.\n", cli.state);
        return 0;
    }
    if (!cli_config(&cli, &error) || (stop && !stop_instances(&cli, timeout_s, &error)) ||
        !stop_supervisor(&cli, &error))
        return cli_fail("%s", error->message);
    g_print("The cloud in %s is down.\n", cli.state);
    return 0;
}
