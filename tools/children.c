/* SPDX-License-Identifier: Apache-2.0 */
#include "supervise.h"

#include "core/error.h"
#include "core/kvm.h"
#include "layout.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define NOUN            "daemon"
#define FILES_MAX       65536
#define TAIL_BYTES      8192
#define LIBVIRTD        "/usr/sbin/libvirtd"
#define EMULATOR_USER   "libvirt-qemu"
#define READY_LINE      7 /* of postmaster.pid, counted from 0 */
#define POSTMASTER_PATH "pg/postmaster.pid"

ChildInfo
child_info(const VirgaConfig *config, ChildKind kind)
{
    switch (kind) {
    case CHILD_POSTGRESQL: /* SIGINT: sessions are ended, all is written */
        return (ChildInfo){ "postgresql", layout_has_database(config), SIGINT, 60 };
    case CHILD_LIBVIRTD:
        return (ChildInfo){ "libvirtd", layout_has_libvirt(config), SIGTERM, 15 };
    case CHILD_VIRGAD:
        return (ChildInfo){ "virgad", true, SIGTERM, 20 };
    default:
        return (ChildInfo){ "virga-node", true, SIGTERM, 30 };
    }
}

char *
child_record_path(const char *state, const char *name)
{
    return g_strdup_printf("%s/supervise/%s.pid", state, name ? name : "supervise");
}

/* What the child was started with: for root only, since a database's password may be in it. */
static char *
settings_path(const char *state, const char *name)
{
    return g_strdup_printf("%s/supervise/%s.conf", state, name);
}

static VirgaConfigReader
reader_of(ChildKind kind)
{
    return kind == CHILD_VIRGAD ? VIRGA_CONFIG_VIRGAD : kind == CHILD_NODE ? VIRGA_CONFIG_NODE : 0;
}

static bool
record_settings(const char *state, const VirgaConfig *config, ChildKind kind, GError **error)
{
    g_autofree char *path = settings_path(state, child_info(config, kind).name);
    g_autofree char *text = virga_config_print(config, reader_of(kind));

    return g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, error);
}

void
child_forget(const char *state, const char *name)
{
    g_autofree char *record = child_record_path(state, name);
    g_autofree char *settings = settings_path(state, name);

    unlink(record);
    unlink(settings);
}

char *
child_changes(const char *state, const VirgaConfig *config, ChildKind kind)
{
    ChildInfo info = child_info(config, kind);
    g_autofree char *path = settings_path(state, info.name);
    g_autofree char *record = child_record_path(state, info.name);
    g_autofree char *former = NULL;

    if (reader_of(kind) == 0 && info.wanted != g_file_test(record, G_FILE_TEST_EXISTS))
        return g_strdup(info.wanted ? "it is needed now" : "it is not needed any more");
    if (!g_file_get_contents(path, &former, NULL, NULL))
        return NULL;
    return virga_config_changes(config, reader_of(kind), former);
}

char *
child_log_path(const char *state, const char *name)
{
    return g_strdup_printf("%s/log/%s.log", state, name);
}

/* ---- what is executed ---- */

/* Beside this program as it is installed, in ../sbin, or where the build left it. */
static char *
find_daemon(const char *name, GError **error)
{
    static const char *const patterns[] = { "../sbin", ".", "../api", "../compute" };
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *directory = self ? g_path_get_dirname(self) : NULL;
    char *found;

    for (size_t i = 0; directory && i < G_N_ELEMENTS(patterns); i++) {
        g_autofree char *path = g_build_filename(directory, patterns[i], name, NULL);

        if (g_file_test(path, G_FILE_TEST_IS_EXECUTABLE))
            return g_steal_pointer(&path);
    }
    found = g_find_program_in_path(name);
    if (!found)
        virga_fail(error, NOUN, VIRGA_ERROR_NOT_FOUND, "there is no program \"%s\"", name);
    return found;
}

static void
add(GPtrArray *argv, const char *text)
{
    g_ptr_array_add(argv, g_strdup(text));
}

static void
add_user(GPtrArray *argv)
{
    add(argv, "setpriv");
    add(argv, "--reuid=" LAYOUT_USER);
    add(argv, "--regid=" LAYOUT_USER);
    add(argv, "--init-groups");
    add(argv, "--no-new-privs");
    add(argv, "--bounding-set=-all");
    add(argv, "--inh-caps=-all");
}

static bool
add_daemon(GPtrArray *argv, const char *name, const char *state, const char *config_path,
           GError **error)
{
    g_autofree char *program = find_daemon(name, error);

    if (!program)
        return false;
    add(argv, program);
    add(argv, "--state");
    add(argv, state);
    add(argv, "--config");
    add(argv, config_path);
    return true;
}

static bool
add_postgresql(GPtrArray *argv, const char *state, GError **error)
{
    g_autofree char *programs = layout_database_programs(state, error);
    g_autofree char *program = programs ? g_build_filename(programs, "postgres", NULL) : NULL;
    g_autofree char *settings = g_strdup_printf("config_file=%s/postgresql.conf", state);
    g_autofree char *data = g_build_filename(state, "pg", NULL);

    if (!programs)
        return false;
    add_user(argv);
    add(argv, program);
    add(argv, "-D");
    add(argv, data);
    add(argv, "-c");
    add(argv, settings);
    return true;
}

static char **
make_argv(const char *state, const char *config_path, ChildKind kind, GError **error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    bool made = true;

    switch (kind) {
    case CHILD_POSTGRESQL:
        made = add_postgresql(argv, state, error);
        break;
    case CHILD_LIBVIRTD:
        add(argv, LIBVIRTD);
        add(argv, "--pid-file");
        add(argv, "/run/libvirt/libvirtd.pid"); /* the default is the machine's own */
        break;
    case CHILD_VIRGAD:
        add_user(argv);
        made = add_daemon(argv, "virgad", state, config_path, error);
        break;
    default:
        made = add_daemon(argv, "virga-node", state, config_path, error);
    }
    if (!made)
        return NULL;
    g_ptr_array_add(argv, NULL);
    return (char **) g_ptr_array_steal(argv, NULL);
}

/* ---- libvirtd's own view of the machine ---- */

static bool
bind_mount(const char *source, const char *target, GError **error)
{
    if (mount(source, target, NULL, MS_BIND | MS_REC, NULL) == 0)
        return true;
    return virga_fail_errno(error, NOUN, errno, "could not mount \"%s\" on \"%s\"", source, target);
}

/* A network namespace that is mounted here would live on as long as libvirtd or a guest does, since
 * each has a copy of the mounts. */
static void
unmount_namespaces(void)
{
    g_autofree char *mounts = NULL;
    g_auto(GStrv) lines = NULL;

    if (!g_file_get_contents("/proc/self/mountinfo", &mounts, NULL, NULL))
        return;
    lines = g_strsplit(mounts, "\n", -1);
    for (guint i = g_strv_length(lines); i-- > 0;) {
        g_auto(GStrv) fields = g_strsplit(lines[i], " ", 6);

        if (g_strv_length(fields) >= 5 && g_str_has_prefix(fields[4], "/run/netns"))
            umount2(fields[4], MNT_DETACH);
    }
}

/* libvirt would find a /dev/kvm that does not work and offer it. */
static bool
hide_kvm(const char *state, GError **error)
{
    struct passwd *emulator = getpwnam(EMULATOR_USER);
    g_autofree char *cover = g_build_filename(state, "libvirt/no-kvm", NULL);
    int fd;

    if (access("/dev/kvm", F_OK) != 0 || virga_kvm_usable(emulator ? emulator->pw_uid : 0, NULL))
        return true;
    fd = open(cover, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return virga_fail_errno(error, NOUN, errno, "could not make \"%s\"", cover);
    close(fd);
    return bind_mount(cover, "/dev/kvm", error);
}

/* The directories below STATE/libvirt stand where libvirtd looks for its own, so that two clouds
 * and the machine's libvirt do not know of each other.  Mounts of the machine still arrive (and go)
 * here; ours do not get out. */
static bool
separate(const char *state, GError **error)
{
    static const char *const names[][2] = { { "etc", "/etc/libvirt" },
                                            { "run", "/run/libvirt" },
                                            { "lib", "/var/lib/libvirt" },
                                            { "cache", "/var/cache/libvirt" },
                                            { "log", "/var/log/libvirt" } };

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return virga_fail_errno(error, NOUN, errno, "could not make a mount namespace");
    unmount_namespaces();
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *own = g_build_filename(state, "libvirt", names[i][0], NULL);

        if (mkdir(names[i][1], 0755) < 0 && errno != EEXIST)
            return virga_fail_errno(error, NOUN, errno, "could not make \"%s\"", names[i][1]);
        if (!bind_mount(own, names[i][1], error))
            return false;
    }
    return hide_kvm(state, error);
}

/* ---- becoming the child ---- */

bool
child_open_log(const char *state, const char *name, GError **error)
{
    g_autofree char *path = child_log_path(state, name);
    int log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (log < 0 || null < 0)
        return virga_fail_errno(error, NOUN, errno, "could not open \"%s\"", path);
    dup2(null, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    close(null);
    close(log);
    return true;
}

bool
child_exec(const char *state, const char *config_path, const VirgaConfig *config, ChildKind kind,
           GError **error)
{
    ChildInfo info = child_info(config, kind);
    g_autofree char *record = child_record_path(state, info.name);
    g_auto(GStrv) argv = make_argv(state, config_path, kind, error);
    ProcessId self = process_identify(getpid());
    struct rlimit files;

    if (!argv)
        return false;
    /* Should the supervisor die before the record is written, nobody would know of us. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!process_record(record, &self, error) || !record_settings(state, config, kind, error))
        return false;
    prctl(PR_SET_PDEATHSIG, 0);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    umask(0022);
    if (chdir("/") < 0)
        return virga_fail_errno(error, NOUN, errno, "could not enter \"/\"");
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = MIN(files.rlim_max, FILES_MAX);
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (kind == CHILD_LIBVIRTD && !separate(state, error))
        return false;
    for (const char *const *name =
             (const char *const[]){ "NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "PGDATA", NULL };
         *name; name++)
        g_unsetenv(*name);
    execvp(argv[0], argv);
    return virga_fail_errno(error, NOUN, errno, "could not run \"%s\"", argv[0]);
}

/* ---- looking at them ---- */

static bool
answers(const char *state, const char *relative)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool there;

    g_snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", state, relative);
    there = fd >= 0 && connect(fd, (struct sockaddr *) &address, sizeof address) == 0;
    if (fd >= 0)
        close(fd);
    return there;
}

/* The file is the database user's: read little, follow nothing. */
static bool
database_ready(const char *state)
{
    g_autofree char *path = g_build_filename(state, POSTMASTER_PATH, NULL);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    char text[1024];
    ssize_t got = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
    g_auto(GStrv) lines = NULL;

    if (fd >= 0)
        close(fd);
    if (got <= 0)
        return false;
    text[got] = '\0';
    lines = g_strsplit(text, "\n", -1);
    return g_strv_length(lines) > READY_LINE && g_str_has_prefix(lines[READY_LINE], "ready");
}

bool
child_ready(const char *state, ChildKind kind)
{
    switch (kind) {
    case CHILD_POSTGRESQL:
        return database_ready(state) && answers(state, "run/.s.PGSQL.5432");
    case CHILD_LIBVIRTD:
        return answers(state, "libvirt/run/libvirt-sock");
    case CHILD_VIRGAD:
        return answers(state, "run/virgad.sock");
    default:
        return true;
    }
}

ProcessId
supervisor_find(const char *state)
{
    g_autofree char *record = child_record_path(state, NULL);
    ProcessId process = process_recall(record);

    return process_alive(&process) ? process : (ProcessId){ 0 };
}

bool
supervisor_stop_children(const char *state, const VirgaConfig *config, GError **error)
{
    static const ChildKind order[] = { CHILD_NODE, CHILD_VIRGAD, CHILD_LIBVIRTD, CHILD_POSTGRESQL };
    g_autofree char *status = g_build_filename(state, "supervise/status", NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(order); i++) {
        ChildInfo info = child_info(config, order[i]);
        g_autofree char *record = child_record_path(state, info.name);
        ProcessId process = process_recall(record);

        if (process_alive(&process) && !process_stop(&process, info.stop_signal, info.stop_s))
            return virga_fail(error, NOUN, VIRGA_ERROR_IN_USE,
                              "%s (process %d) could not be stopped", info.name, (int) process.pid);
        child_forget(state, info.name);
    }
    unlink(status); /* a killed supervisor's tells of restarts that are none of the next one's */
    return true;
}

void
child_status(const char *state, const char *name, ChildStatus *ret)
{
    g_autofree char *path = g_build_filename(state, "supervise/status", NULL);
    g_autofree char *record = child_record_path(state, name);
    g_autoptr(GKeyFile) file = g_key_file_new();

    *ret = (ChildStatus){ .process = process_recall(record) };
    if (!process_alive(&ret->process))
        ret->process = (ProcessId){ 0 };
    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL))
        return;
    ret->restarts = g_key_file_get_int64(file, name, "restarts", NULL);
    ret->waiting = g_key_file_get_boolean(file, name, "waiting", NULL);
    ret->last_exit = g_key_file_get_string(file, name, "last-exit", NULL);
}

void
child_status_done(ChildStatus *status)
{
    g_clear_pointer(&status->last_exit, g_free);
}

/* ---- logs ---- */

char *
child_log_tail(const char *state, const char *name, unsigned lines)
{
    g_autofree char *path = child_log_path(state, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[TAIL_BYTES + 1];
    struct stat status;
    ssize_t got = -1;
    g_auto(GStrv) all = NULL;
    GString *tail = g_string_new(NULL);
    guint count;

    if (fd >= 0 && fstat(fd, &status) == 0)
        got = pread(fd, text, TAIL_BYTES, MAX(0, status.st_size - TAIL_BYTES));
    if (fd >= 0)
        close(fd);
    text[MAX(0, got)] = '\0';
    all = g_strsplit(g_strchomp(text), "\n", -1);
    count = g_strv_length(all);
    for (guint i = count > lines ? count - lines : 0; i < count; i++)
        g_string_append_printf(tail, "    %s\n", all[i]);
    return g_string_free(tail, FALSE);
}

void
log_trim(const char *path, gint64 bytes_max, gint64 bytes_keep)
{
    int fd = open(path, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
    g_autofree char *kept = NULL;
    struct stat status;
    ssize_t got;

    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > bytes_max) {
        kept = g_malloc((gsize) bytes_keep);
        got = pread(fd, kept, (gsize) bytes_keep, status.st_size - bytes_keep);
        /* The writer appends and so goes on at the new end. */
        if (got > 0 && ftruncate(fd, 0) == 0 && write(fd, kept, (gsize) got) < 0)
            g_printerr("virga: could not shorten \"%s\": %s\n", path, g_strerror(errno));
    }
    close(fd);
}
