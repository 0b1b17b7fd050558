/* SPDX-License-Identifier: Apache-2.0 */
/* virga up: from whatever is there to a cloud that answers.  Every step is skipped when it is right
 * already, so the command may be repeated at any time. */
#include "choose.h"
#include "cli.h"
#include "core/error.h"
#include "core/process.h"
#include "layout.h"
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define POLL_MS      100
#define CALL_MS      10000
#define STOP_S       160
#define SYSTEMCTL_MS 30000
#define FRESH_SEEN_S 15 /* a host reports every 10 s */
#define PATIENCE_S   10 /* until the supervisor has told who it is */
#define TAIL_LINES   8
#define RESTARTS_MAX 5
#define HOST_ID_PATH "node/host-id"

typedef struct {
    Cli *cli;
    bool started; /* by this call */
    gint64 deadline;
    gint64 launched; /* when the supervisor was started; 0: it ran already */
} Up;

static void G_GNUC_PRINTF(1, 2) step(const char *format, ...)
{
    va_list args;

    fputs("  ", stdout);
    va_start(args, format);
    vfprintf(stdout, format, args);
    va_end(args);
    fputc('\n', stdout);
    fflush(stdout);
}

/* ---- before anything is started ---- */

static bool
check_programs(const VirgaConfig *config, GError **error)
{
    static const char *const guests[] = {
        "qemu-system-x86_64", "qemu-img", "dnsmasq", "pdns_recursor", "nft", "ip", NULL
    };
    g_autoptr(GString) missing = g_string_new(NULL);

    for (const char *const *name = guests; *name; name++) {
        g_autofree char *path = g_find_program_in_path(*name);

        if (!path && (layout_has_libvirt(config) || g_str_equal(*name, "qemu-img")))
            g_string_append_printf(missing, " %s", *name);
    }
    if (layout_has_libvirt(config) && access("/usr/sbin/libvirtd", X_OK) != 0)
        g_string_append(missing, " libvirtd");
    if (missing->len)
        return virga_fail(error, "machine", VIRGA_ERROR_NOT_FOUND,
                          "programs are missing:%s; run \"tools/packages install run\"",
                          missing->str);
    return true;
}

/* Two "virga up" at the same time would both make the database. */
static int
take_turn(const Cli *cli, GError **error)
{
    g_autofree char *path = cli_path(cli, "supervise/up.lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0 || flock(fd, LOCK_EX) < 0)
        virga_fail_errno(error, "daemon", errno, "could not lock \"%s\"", path);
    return fd;
}

/* ---- starting ---- */

static bool
has_systemd(void)
{
    return g_file_test("/run/systemd/system", G_FILE_TEST_IS_DIR);
}

static bool
run_unit(const Cli *cli, const char *verb, unsigned timeout_ms, GError **error)
{
    g_autofree char *instance = NULL;
    const char *escape[] = { "systemd-escape", "--path", "--template=virga@.service", cli->state,
                             NULL };
    const char *start[] = { "systemctl", verb, "virga.service", NULL };

    if (!g_str_equal(cli->state, VIRGA_STATE_PATH)) {
        if (!virga_process_run(escape, NULL, SYSTEMCTL_MS, &instance, error))
            return false;
        start[2] = g_strstrip(instance);
    }
    return virga_process_run(start, NULL, timeout_ms, NULL, error);
}

/* A daemon of the old kind: its parent ends at once, it has no terminal. */
static bool
start_detached(const Cli *cli, GError **error)
{
    g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *log = child_log_path(cli->state, "supervise");
    char *argv[] = { program,    (char *) "supervise", (char *) "--state",
                     cli->state, (char *) "--config",  cli->config_path,
                     NULL };
    pid_t child = fork();
    int status;

    if (child < 0)
        return virga_fail_errno(error, "daemon", errno, "could not start the supervisor");
    if (child == 0) {
        int in = open("/dev/null", O_RDONLY);
        int out = open(log, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0640);

        setsid();
        if (fork() != 0)
            _exit(0);
        dup2(in, STDIN_FILENO);
        dup2(out, STDOUT_FILENO);
        dup2(out, STDERR_FILENO);
        close_range(STDERR_FILENO + 1, ~0u, 0);
        execv(program, argv);
        _exit(127);
    }
    waitpid(child, &status, 0);
    return true;
}

/* The program that the process runs was replaced since. */
static bool
is_replaced(pid_t pid)
{
    g_autofree char *link = g_strdup_printf("/proc/%d/exe", (int) pid);
    g_autofree char *program = g_file_read_link(link, NULL);

    return program && g_str_has_suffix(program, " (deleted)");
}

static bool
is_outdated(const Cli *cli, ProcessId supervisor)
{
    static const ChildKind ours[] = { CHILD_VIRGAD, CHILD_NODE };

    for (size_t i = 0; i < G_N_ELEMENTS(ours); i++) {
        g_autofree char *record =
            child_record_path(cli->state, child_info(cli->config, ours[i]).name);
        ProcessId process = process_recall(record);

        if (process_alive(&process) && is_replaced(process.pid))
            return true;
    }
    return is_replaced(supervisor.pid);
}

/* What is wrong, and the end of the log that explains it. */
static bool
fail_with_log(const Up *up, const char *name, const char *what, GError **error)
{
    g_auto(ChildStatus) status = { 0 };
    g_autofree char *tail = child_log_tail(up->cli->state, name, TAIL_LINES);
    g_autofree char *log = child_log_path(up->cli->state, name);

    child_status(up->cli->state, name, &status);
    return virga_fail(error, "daemon", VIRGA_ERROR_RETRY, "%s %s%s%s\n  %s ends with:\n%s", name,
                      what, status.last_exit ? "; it " : "",
                      status.last_exit ? status.last_exit : "", log, tail);
}

/* False once the time is over or the supervisor has gone. */
static bool
may_wait(const Up *up)
{
    g_usleep(POLL_MS * 1000);
    return g_get_monotonic_time() < up->deadline;
}

/* Tells the supervisor of a configuration that is not the one with which all that runs was started,
 * and waits until nothing runs with the former one any more. */
static bool
renew(Up *up, ProcessId supervisor, GError **error)
{
    bool changed = false;

    for (int kind = 0; kind < CHILDREN; kind++) {
        g_autofree char *changes = child_changes(up->cli->state, up->cli->config, (ChildKind) kind);

        if (changes)
            step("%s starts again: %s", child_info(up->cli->config, (ChildKind) kind).name,
                 changes);
        changed = changed || changes;
    }
    if (!changed)
        return true;
    up->started = true;
    kill(supervisor.pid, SIGHUP);
    for (int kind = 0; kind < CHILDREN;) {
        g_autofree char *changes = child_changes(up->cli->state, up->cli->config, (ChildKind) kind);

        if (!changes)
            kind++;
        else if (!may_wait(up))
            return fail_with_log(up, "supervise", "did not take the new settings", error);
    }
    return true;
}

static bool
start_supervisor(Up *up, GError **error)
{
    ProcessId running = supervisor_find(up->cli->state);

    if (running.pid && is_outdated(up->cli, running)) {
        step("another version was installed: the daemons start again");
        if (has_systemd())
            run_unit(up->cli, "stop", STOP_S * 1000, NULL);
        else
            process_stop(&running, SIGTERM, STOP_S);
        running = supervisor_find(up->cli->state);
    }
    if (running.pid)
        return renew(up, running, error);
    up->started = true;
    /* What a killed supervisor left must not be taken for what is started now. */
    if (!supervisor_stop_children(up->cli->state, up->cli->config, error))
        return false;
    up->launched = g_get_monotonic_time();
    step("starting the daemons%s", has_systemd() ? " by systemd" : "");
    return has_systemd() ? run_unit(up->cli, "start", SYSTEMCTL_MS, error)
                         : start_detached(up->cli, error);
}

/* ---- waiting ---- */

static bool
supervisor_vanished(const Up *up)
{
    return g_get_monotonic_time() - up->launched > PATIENCE_S * G_USEC_PER_SEC &&
           supervisor_find(up->cli->state).pid == 0;
}

/* Waiting longer would not help. */
static bool
keeps_ending(const Up *up, const char *name)
{
    g_auto(ChildStatus) status = { 0 };

    child_status(up->cli->state, name, &status);
    return up->started && status.restarts >= RESTARTS_MAX && status.process.pid == 0;
}

static bool
await_child(Up *up, ChildKind kind, GError **error)
{
    ChildInfo info = child_info(up->cli->config, kind);
    gint64 begun = g_get_monotonic_time();

    if (!info.wanted)
        return true;
    while (!child_ready(up->cli->state, kind)) {
        if (supervisor_vanished(up))
            return fail_with_log(up, "supervise", "ended", error);
        if (keeps_ending(up, info.name))
            return fail_with_log(up, info.name, "keeps ending", error);
        if (!may_wait(up))
            return fail_with_log(up, info.name, "does not answer", error);
    }
    step("%s answers (%.1f s)", info.name, (double) (g_get_monotonic_time() - begun) / 1e6);
    return true;
}

static JsonNode *
await_status(Up *up, GError **error)
{
    for (;;) {
        g_autoptr(GError) reason = NULL;
        JsonNode *answer = cli_call(up->cli, "GET", "/operator/v1/status", NULL, CALL_MS, &reason);

        if (answer && cli_bool(json_node_get_object(answer), "database_ok"))
            return answer;
        if (answer)
            json_node_unref(answer);
        if (supervisor_vanished(up)) {
            fail_with_log(up, "supervise", "ended", error);
            return NULL;
        }
        if (!may_wait(up)) {
            fail_with_log(up, "virgad", "cannot use its database", error);
            return NULL;
        }
    }
}

/* Heard of since its virga-node was started: what a former one said of the host may be wrong. */
static bool
host_is_here(const Up *up, JsonObject *status, char **ret_trouble)
{
    g_autofree char *path = cli_path(up->cli, HOST_ID_PATH);
    g_autofree char *record =
        child_record_path(up->cli->state, child_info(up->cli->config, CHILD_NODE).name);
    g_autofree char *id = NULL;
    ProcessId process = process_recall(record);
    gint64 fresh_ms = MIN(process_age_ms(&process), FRESH_SEEN_S * 1000);

    if (!process_alive(&process) || !g_file_get_contents(path, &id, NULL, NULL))
        return false;
    g_strstrip(id);
    for (guint i = 0; i < cli_length(status, "hosts"); i++) {
        JsonObject *host = cli_element(status, "hosts", i);

        if (g_str_equal(cli_text(host, "id"), id) && cli_bool(host, "up") &&
            cli_int(host, "seen_ms_ago") < fresh_ms) {
            *ret_trouble = g_strdup(cli_text(host, "trouble"));
            return true;
        }
    }
    return false;
}

static bool
await_host(Up *up, GError **error)
{
    gint64 begun = g_get_monotonic_time();

    for (;;) {
        g_autoptr(JsonNode) status = await_status(up, error);
        g_autofree char *trouble = NULL;

        if (!status)
            return false;
        if (host_is_here(up, json_node_get_object(status), &trouble)) {
            step("virga-node has joined the cloud (%.1f s)",
                 (double) (g_get_monotonic_time() - begun) / 1e6);
            if (*trouble)
                step("note: this host says: %s", trouble);
            return true;
        }
        if (!may_wait(up))
            return fail_with_log(up, "virga-node", "has not joined the cloud", error);
    }
}

/* ---- the account ---- */

static bool
ensure_administrator(Up *up, const Credentials *credentials, GError **error)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    g_autoptr(JsonNode) root = NULL, answer = NULL;
    g_autofree char *body = NULL;
    const char *members[][2] = { { "account", credentials->account },
                                 { "name", "administrator" },
                                 { "access_key", credentials->access_key },
                                 { "secret", credentials->secret } };

    json_builder_begin_object(json);
    for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
        json_builder_set_member_name(json, members[i][0]);
        json_builder_add_string_value(json, members[i][1]);
    }
    json_builder_end_object(json);
    root = json_builder_get_root(json);
    body = json_to_string(root, FALSE);
    answer = cli_call(up->cli, "PUT", "/operator/v1/administrator", body, CALL_MS, error);
    if (answer)
        step("account %s and its key are there", credentials->account);
    return answer != NULL;
}

/* ---- all of it ---- */

static bool
prepare(Up *up, const ChooseOptions *options, Credentials *credentials, GError **error)
{
    g_autofree char *data = cli_path(up->cli, "pg");
    LayoutUser user;

    if (!cli_config(up->cli, error) || !check_programs(up->cli->config, error) ||
        !choose_settings(up->cli, options, error) ||
        !choose_credentials(up->cli, options, credentials, error) ||
        !endpoints_write(up->cli, error))
        return false;
    if (layout_has_database(up->cli->config) && !g_file_test(data, G_FILE_TEST_IS_DIR)) {
        step("making the database (some seconds)");
        return layout_ground(up->cli->state, &user, error) &&
               layout_database(up->cli->state, &user, error);
    }
    return true;
}

static bool
bring_up(Up *up, const ChooseOptions *options, GError **error)
{
    g_auto(Credentials) credentials = { 0 };
    LayoutUser user;
    bool done;
    int turn;

    if (!layout_ground(up->cli->state, &user, error))
        return false;
    turn = take_turn(up->cli, error);
    done = turn >= 0 && prepare(up, options, &credentials, error) && start_supervisor(up, error) &&
           await_child(up, CHILD_POSTGRESQL, error) && await_child(up, CHILD_VIRGAD, error);
    if (done) {
        g_autoptr(JsonNode) status = await_status(up, error);

        done = status && ensure_administrator(up, &credentials, error) &&
               await_child(up, CHILD_LIBVIRTD, error) && await_host(up, error);
    }
    if (turn >= 0)
        close(turn);
    return done;
}

int
cmd_up(int argc, char **argv)
{
    Up up = { 0 };
    ChooseOptions options = { 0 };
    g_autofree char *account = NULL, *access_key = NULL, *secret_file = NULL, *region = NULL,
                    *listen = NULL, *endpoint = NULL;
    int timeout_s = 180;
    GOptionEntry entries[] = {
        { "account", 0, 0, G_OPTION_ARG_STRING, &account, "Id of the first account (random)",
          "12DIGITS" },
        { "access-key", 0, 0, G_OPTION_ARG_STRING, &access_key,
          "Its administrator's access key id (random)", "ID" },
        { "secret-key-file", 0, 0, G_OPTION_ARG_FILENAME, &secret_file,
          "File that holds the secret key (random)", "FILE" },
        { "region", 0, 0, G_OPTION_ARG_STRING, &region, "Name of the region (us-east-1)", "NAME" },
        { "listen", 0, 0, G_OPTION_ARG_STRING, &listen,
          "Where the API listens (127.0.0.1:8773, or the next free port)", "ADDRESS:PORT" },
        { "timeout", 0, 0, G_OPTION_ARG_INT, &timeout_s, "Give up after that long (180)",
          "SECONDS" },
        { NULL },
    };
    g_auto(Cli) cli = { 0 };
    g_autoptr(GError) error = NULL;

    cli_parse(&cli, &argc, &argv, NULL,
              "Starts the cloud on this machine and waits until it can be used.  May be repeated.",
              entries, 0, 0);
    if (!cli_need_root("up"))
        return 1;
    up.cli = &cli;
    up.deadline = g_get_monotonic_time() + (gint64) timeout_s * G_USEC_PER_SEC;
    options = (ChooseOptions){ account, access_key, secret_file, region, listen };
    g_print("Virga %s in %s\n", VIRGA_VERSION, cli.state);
    if (!bring_up(&up, &options, &error))
        return cli_fail("the cloud is not up: %s", error->message);
    endpoint = cli_endpoint(&cli);
    g_print("The cloud is up: %s (region %s)\n", endpoint,
            virga_config_text(cli.config, "cloud", "region"));
    return 0;
}
