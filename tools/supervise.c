/* SPDX-License-Identifier: Apache-2.0 */
/* virga supervise: starts the daemons, starts them again when they end, stops them in order. */
#include "cli.h"
#include "core/error.h"
#include "core/log.h"
#include "layout.h"
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEADY_S       10 /* a daemon that ran this long is started again at once */
#define TRIM_S         60
#define LOG_BYTES_MAX  (16ll << 20)
#define LOG_BYTES_KEEP (4ll << 20)

/* Seconds before each further attempt; the last one is repeated. */
static const unsigned delays_ms[] = { 100, 500, 1000, 2000, 5000 };

typedef struct Supervisor Supervisor;

typedef struct {
    Supervisor *supervisor;
    ChildKind kind;
    ChildInfo info;
    GPid pid;       /* 0: not running */
    gint64 started; /* monotonic */
    guint watch, timer;
    guint failures; /* one after the other */
    gint64 restarts;
    char *last_exit;
} Child;

struct Supervisor {
    Cli *cli;
    char *program;
    GMainLoop *loop;
    Child children[CHILDREN];
};

static void start_child(Child *child);

/* ---- what "virga status" reads ---- */

static void
write_status(Supervisor *supervisor)
{
    g_autofree char *path = cli_path(supervisor->cli, "supervise/status");
    g_autoptr(GKeyFile) file = g_key_file_new();

    for (int i = 0; i < CHILDREN; i++) {
        Child *child = &supervisor->children[i];

        if (!child->info.wanted)
            continue;
        g_key_file_set_int64(file, child->info.name, "restarts", child->restarts);
        g_key_file_set_boolean(file, child->info.name, "waiting", child->timer != 0);
        if (child->last_exit)
            g_key_file_set_string(file, child->info.name, "last-exit", child->last_exit);
    }
    g_key_file_save_to_file(file, path, NULL);
}

static char *
describe_exit(int status)
{
    if (WIFSIGNALED(status))
        return g_strdup_printf("was killed by signal %d (%s)", WTERMSIG(status),
                               strsignal(WTERMSIG(status)));
    return g_strdup_printf("ended with exit status %d", WEXITSTATUS(status));
}

/* ---- children ---- */

static gboolean
on_timer(gpointer data)
{
    Child *child = data;

    child->timer = 0;
    start_child(child);
    return G_SOURCE_REMOVE;
}

static void
start_later(Child *child)
{
    unsigned delay = delays_ms[MIN(child->failures, G_N_ELEMENTS(delays_ms) - 1)];

    child->timer = g_timeout_add(delay, on_timer, child);
    child->failures++;
    child->restarts++;
}

static void
on_child_exit(GPid pid, int status, gpointer data)
{
    Child *child = data;

    g_spawn_close_pid(pid);
    child->pid = 0;
    child->watch = 0;
    g_free(child->last_exit);
    child->last_exit = describe_exit(status);
    if (g_get_monotonic_time() - child->started > STEADY_S * G_USEC_PER_SEC)
        child->failures = 0;
    virga_notice("daemon", child->info.name, "%s; starts again", child->last_exit);
    start_later(child);
    write_status(child->supervisor);
}

static void
start_child(Child *child)
{
    Supervisor *supervisor = child->supervisor;
    g_autofree char *parent = g_strdup_printf("%d", (int) getpid());
    char *argv[] = { supervisor->program,
                     (char *) "supervise",
                     (char *) "--state",
                     supervisor->cli->state,
                     (char *) "--config",
                     supervisor->cli->config_path,
                     (char *) "--child",
                     (char *) child->info.name,
                     (char *) "--parent",
                     parent,
                     NULL };
    g_autoptr(GError) error = NULL;

    child->started = g_get_monotonic_time();
    if (g_spawn_async("/", argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &child->pid,
                      &error)) {
        virga_notice("daemon", child->info.name, "starts as process %d", (int) child->pid);
        child->watch = g_child_watch_add(child->pid, on_child_exit, child);
    } else {
        child->pid = 0;
        g_free(child->last_exit);
        child->last_exit = g_strdup(error->message);
        virga_notice("daemon", child->info.name, "could not start: %s", error->message);
        start_later(child);
    }
    write_status(supervisor);
}

static void
stop_child(Child *child)
{
    ProcessId process = process_identify(child->pid);

    if (child->timer)
        g_source_remove(child->timer);
    if (child->watch)
        g_source_remove(child->watch);
    child->timer = child->watch = 0;
    if (child->pid == 0)
        return;
    virga_notice("daemon", child->info.name, "stops");
    if (!process_stop(&process, child->info.stop_signal, child->info.stop_s))
        virga_notice("daemon", child->info.name, "process %d cannot be stopped", (int) child->pid);
    else
        waitpid(child->pid, NULL, 0);
    child->pid = 0;
}

static const ChildKind stop_order[] = { CHILD_NODE, CHILD_VIRGAD, CHILD_LIBVIRTD,
                                        CHILD_POSTGRESQL };

static void
stop_all(Supervisor *supervisor)
{
    for (size_t i = 0; i < G_N_ELEMENTS(stop_order); i++) {
        Child *child = &supervisor->children[stop_order[i]];

        stop_child(child);
        child_forget(supervisor->cli->state, child->info.name);
    }
}

/* ---- the supervisor ---- */

static gboolean
on_signal(gpointer data)
{
    g_main_loop_quit(((Supervisor *) data)->loop);
    return G_SOURCE_CONTINUE;
}

/* The configuration may have changed: who was started with another one starts again. */
static gboolean
on_hangup(gpointer data)
{
    Supervisor *supervisor = data;
    const Cli *cli = supervisor->cli;
    g_autoptr(GError) error = NULL;

    if (!cli_config(supervisor->cli, &error) || !layout_prepare(cli->state, cli->config, &error)) {
        virga_notice("daemon", NULL, "keeps the former configuration: %s", error->message);
        return G_SOURCE_CONTINUE;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(stop_order); i++) {
        Child *child = &supervisor->children[stop_order[i]];
        g_autofree char *changes = child_changes(cli->state, cli->config, child->kind);

        child->info = child_info(cli->config, child->kind);
        if (!changes)
            continue;
        virga_notice("daemon", child->info.name, "has other settings: %s", changes);
        stop_child(child);
        child_forget(cli->state, child->info.name);
        child->failures = 0;
    }
    for (int i = 0; i < CHILDREN; i++) {
        Child *child = &supervisor->children[i];

        if (child->info.wanted && child->pid == 0 && child->timer == 0)
            start_child(child);
    }
    return G_SOURCE_CONTINUE;
}

static void
trim_directory(const Cli *cli, const char *relative)
{
    g_autofree char *directory = cli_path(cli, relative);
    g_autoptr(GDir) files = g_dir_open(directory, 0, NULL);
    const char *name;

    while (files && (name = g_dir_read_name(files))) {
        g_autofree char *path = g_build_filename(directory, name, NULL);

        if (g_str_has_suffix(name, ".log"))
            log_trim(path, LOG_BYTES_MAX, LOG_BYTES_KEEP);
    }
}

/* No log may fill the disk.  Guests' consoles are virga-node's. */
static gboolean
on_trim(gpointer data)
{
    Supervisor *supervisor = data;

    trim_directory(supervisor->cli, "log");
    trim_directory(supervisor->cli, "libvirt/log/qemu");
    return G_SOURCE_CONTINUE;
}

/* One supervisor for each state: the lock ends with the process. */
static bool
take_lock(const Cli *cli, GError **error)
{
    g_autofree char *path = cli_path(cli, "supervise/lock");
    g_autofree char *record = child_record_path(cli->state, NULL);
    ProcessId self = process_identify(getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return virga_fail_errno(error, "daemon", errno, "could not open \"%s\"", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        close(fd);
        return virga_fail(error, "daemon", VIRGA_ERROR_IN_USE, "the cloud in \"%s\" runs already",
                          cli->state);
    }
    return process_record(record, &self, error); /* the descriptor stays open */
}

static void
run(Supervisor *supervisor)
{
    g_unix_signal_add(SIGTERM, on_signal, supervisor);
    g_unix_signal_add(SIGINT, on_signal, supervisor);
    g_unix_signal_add(SIGHUP, on_hangup, supervisor);
    g_timeout_add_seconds(TRIM_S, on_trim, supervisor);
    supervisor->loop = g_main_loop_new(NULL, FALSE);
    for (int i = 0; i < CHILDREN; i++) {
        Child *child = &supervisor->children[i];

        child->supervisor = supervisor;
        child->kind = (ChildKind) i;
        child->info = child_info(supervisor->cli->config, child->kind);
        if (child->info.wanted)
            start_child(child);
    }
    g_main_loop_run(supervisor->loop);
    stop_all(supervisor);
    g_main_loop_unref(supervisor->loop);
}

static int
supervise(Cli *cli)
{
    Supervisor supervisor = { .cli = cli };
    LayoutUser user;
    g_autofree char *record = child_record_path(cli->state, NULL);
    g_autofree char *status = cli_path(cli, "supervise/status");
    g_autoptr(GError) error = NULL;

    supervisor.program = g_file_read_link("/proc/self/exe", NULL);
    virga_log_init("virga-supervise", false);
    if (!layout_ground(cli->state, &user, &error) || !take_lock(cli, &error) ||
        !layout_prepare(cli->state, cli->config, &error) ||
        !supervisor_stop_children(cli->state, cli->config, &error))
        return cli_fail("%s", error->message);
    run(&supervisor);
    unlink(record);
    unlink(status);
    for (int i = 0; i < CHILDREN; i++)
        g_free(supervisor.children[i].last_exit);
    g_free(supervisor.program);
    return 0;
}

static int
become_child(Cli *cli, const char *name, int parent)
{
    g_autoptr(GError) error = NULL;

    if (parent != getppid())
        return cli_fail("the supervisor is gone");
    for (int i = 0; i < CHILDREN; i++)
        if (g_str_equal(child_info(cli->config, (ChildKind) i).name, name)) {
            child_exec(cli->state, cli->config_path, cli->config, (ChildKind) i, &error);
            return cli_fail("%s: %s", name, error->message);
        }
    return cli_fail("there is no daemon \"%s\"", name);
}

int
cmd_supervise(int argc, char **argv)
{
    g_auto(Cli) cli = { 0 };
    g_autofree char *child = NULL;
    int parent = 0;
    GOptionEntry entries[] = {
        { "child", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_STRING, &child, NULL, NULL },
        { "parent", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_INT, &parent, NULL, NULL },
        { NULL },
    };
    g_autoptr(GError) error = NULL;

    cli_parse(
        &cli, &argc, &argv, NULL,
        "Runs the daemons of the cloud in the foreground and starts them again when they "
        "end,\nuntil SIGTERM.  SIGHUP makes those start again whose configuration has changed.",
        entries, 0, 0);
    if (!cli_need_root("supervise"))
        return 1;
    if (child && !child_open_log(cli.state, child, &error))
        return cli_fail("%s", error->message);
    if (!cli_config(&cli, &error))
        return cli_fail("%s", error->message);
    return child ? become_child(&cli, child, parent) : supervise(&cli);
}
