/* SPDX-License-Identifier: Apache-2.0 */
#include "layout.h"

#include "core/error.h"
#include "core/id.h"
#include "core/process.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOUN             "state directory"
#define STATE_CHARS_MAX  78 /* STATE/libvirt/run/libvirt-admin-sock must fit into 107 */
#define DATABASE_MS      180000
#define USERADD_MS       30000
#define POSTGRES_ROOT    "/usr/lib/postgresql"
#define POSTGRES_MINIMUM 15

static const char postgresql_conf[] = "# Written anew by Virga at every start.\n"
                                      "listen_addresses = ''\n"
                                      "unix_socket_directories = '%s/run'\n"
                                      "unix_socket_permissions = 0700\n"
                                      "hba_file = '%s/postgresql.hba.conf'\n"
                                      "ident_file = '%s/postgresql.ident.conf'\n"
                                      "cluster_name = 'virga'\n"
                                      "max_connections = 50\n"
                                      "shared_buffers = 64MB\n"
                                      "work_mem = 4MB\n"
                                      "maintenance_work_mem = 32MB\n"
                                      "min_wal_size = 32MB\n"
                                      "max_wal_size = 256MB\n"
                                      "max_parallel_workers_per_gather = 0\n"
                                      "jit = off\n"
                                      "fsync = on\n"
                                      "synchronous_commit = on\n"
                                      "timezone = 'UTC'\n"
                                      "log_timezone = 'UTC'\n"
                                      "log_destination = 'stderr'\n"
                                      "log_line_prefix = '%%m [%%p] '\n"
                                      "log_checkpoints = off\n";

/* No TCP, and a local user is only ever himself. */
static const char postgresql_hba_conf[] = "# Written anew by Virga at every start.\n"
                                          "local all all peer\n";

static const char libvirtd_conf[] = "# Written anew by Virga at every start.\n"
                                    "host_uuid = \"%s\"\n"
                                    "unix_sock_group = \"root\"\n"
                                    "unix_sock_ro_perms = \"0700\"\n"
                                    "unix_sock_rw_perms = \"0700\"\n"
                                    "unix_sock_admin_perms = \"0700\"\n"
                                    "auth_unix_ro = \"none\"\n"
                                    "auth_unix_rw = \"none\"\n"
                                    "max_clients = 64\n"
                                    "log_outputs = \"3:stderr\"\n";

/* stdio_handler: QEMU writes its logs itself, so that no other daemon has to live as long as the
 * guests do.  remember_owner: base images are shared. */
static const char qemu_conf[] = "# Written anew by Virga at every start.\n"
                                "user = \"libvirt-qemu\"\n"
                                "group = \"libvirt-qemu\"\n"
                                "dynamic_ownership = 1\n"
                                "remember_owner = 0\n"
                                "seccomp_sandbox = 1\n"
                                "stdio_handler = \"file\"\n"
                                "%s%s";

static bool
check_path(const char *state, GError **error)
{
    if (strlen(state) > STATE_CHARS_MAX)
        return virga_fail(error, NOUN, VIRGA_ERROR_INVALID,
                          "the path \"%s\" is longer than %d characters: sockets below it would "
                          "have no place",
                          state, STATE_CHARS_MAX);
    if (state[0] != '/' || strlen(state) < 3 ||
        strspn(state, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "/._-") != strlen(state))
        return virga_fail(error, NOUN, VIRGA_ERROR_INVALID,
                          "the path \"%s\" cannot be used: letters, digits, \"/._-\" can", state);
    return true;
}

static bool
find_user(LayoutUser *ret)
{
    struct passwd *entry = getpwnam(LAYOUT_USER);

    if (entry)
        *ret = (LayoutUser){ entry->pw_uid, entry->pw_gid };
    return entry != NULL;
}

static bool
ensure_user(LayoutUser *ret, GError **error)
{
    const char *argv[] = { "useradd",    "--system",     "--user-group", "--no-create-home",
                           "--home-dir", "/nonexistent", "--shell",      "/usr/sbin/nologin",
                           "--comment",  "Virga",        LAYOUT_USER,    NULL };

    if (find_user(ret))
        return true;
    if (!virga_process_run(argv, NULL, USERADD_MS, NULL, error))
        return false;
    return find_user(ret) || virga_fail(error, NOUN, VIRGA_ERROR_INTERNAL,
                                        "the user \"" LAYOUT_USER "\" was made and is not there");
}

/* By descriptor, so that nothing below a directory of another user is followed. */
static bool
make_directory(const char *path, mode_t mode, uid_t uid, gid_t gid, GError **error)
{
    struct stat status;
    int fd;
    bool done;

    if (mkdir(path, mode) < 0 && errno != EEXIST)
        return virga_fail_errno(error, NOUN, errno, "could not make \"%s\"", path);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    done = fd >= 0 && fstat(fd, &status) == 0;
    if (done && (status.st_uid != uid || status.st_gid != gid))
        done = fchown(fd, uid, gid) == 0;
    if (done && (status.st_mode & 07777) != mode)
        done = fchmod(fd, mode) == 0;
    if (!done)
        virga_fail_errno(error, NOUN, errno, "could not prepare \"%s\"", path);
    if (fd >= 0)
        close(fd);
    return done;
}

static bool
make_directories(const char *state, const LayoutUser *user, GError **error)
{
    static const struct {
        const char *path;
        mode_t mode;
        bool virga;
    } directories[] = {
        { "", 0711, false },
        { "log", 0711, false },
        { "supervise", 0711, false },
        { "endpoints", 0755, false },
        { "node", 0711, false },
        { "libvirt", 0711, false },
        { "libvirt/etc", 0755, false },
        { "libvirt/run", 0755, false },
        { "libvirt/lib", 0755, false },
        { "libvirt/cache", 0711, false },
        { "libvirt/log", 0711, false },
        { "run", 0711, true },
        { "store", 0700, true },
        { "keys", 0700, true },
    };
    g_autofree char *parent = g_path_get_dirname(state);

    if (g_mkdir_with_parents(parent, 0755) < 0)
        return virga_fail_errno(error, NOUN, errno, "could not make \"%s\"", parent);
    for (size_t i = 0; i < G_N_ELEMENTS(directories); i++) {
        g_autofree char *path = *directories[i].path
                                    ? g_build_filename(state, directories[i].path, NULL)
                                    : g_strdup(state);

        if (!make_directory(path, directories[i].mode, directories[i].virga ? user->uid : 0,
                            directories[i].virga ? user->gid : 0, error))
            return false;
    }
    return true;
}

static bool
write_file(const char *state, const char *name, const char *text, int mode, GError **error)
{
    g_autofree char *path = g_build_filename(state, name, NULL);
    g_autofree char *before = NULL;
    g_autoptr(GError) reason = NULL;

    if (g_file_get_contents(path, &before, NULL, NULL) && g_str_equal(before, text))
        return true;
    if (g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, mode, &reason))
        return true;
    return virga_fail(error, NOUN, VIRGA_ERROR_INTERNAL, "%s", reason->message);
}

/* ---- PostgreSQL ---- */

bool
layout_has_database(const VirgaConfig *config)
{
    return *virga_config_text(config, "database", "dsn") == '\0';
}

/* The version that made the cluster, or the newest that is installed. */
static gint64
choose_version(const char *state)
{
    g_autofree char *path = g_build_filename(state, "pg/PG_VERSION", NULL);
    g_autofree char *text = NULL;
    g_autoptr(GDir) versions = NULL;
    const char *name;
    gint64 newest = 0;

    if (g_file_get_contents(path, &text, NULL, NULL))
        return g_ascii_strtoll(text, NULL, 10);
    versions = g_dir_open(POSTGRES_ROOT, 0, NULL);
    while (versions && (name = g_dir_read_name(versions))) {
        g_autofree char *server = g_build_filename(POSTGRES_ROOT, name, "bin/postgres", NULL);

        if (g_file_test(server, G_FILE_TEST_IS_EXECUTABLE))
            newest = MAX(newest, g_ascii_strtoll(name, NULL, 10));
    }
    return newest;
}

char *
layout_database_programs(const char *state, GError **error)
{
    gint64 version = choose_version(state);
    g_autofree char *directory =
        g_strdup_printf(POSTGRES_ROOT "/%" G_GINT64_FORMAT "/bin", version);
    g_autofree char *server = g_build_filename(directory, "postgres", NULL);

    if (version >= POSTGRES_MINIMUM && g_file_test(server, G_FILE_TEST_IS_EXECUTABLE))
        return g_steal_pointer(&directory);
    virga_fail(error, "database", VIRGA_ERROR_UNSUPPORTED,
               "there is no PostgreSQL %d or newer in " POSTGRES_ROOT
               ": install postgresql-15, or set \"dsn\" in [database]",
               POSTGRES_MINIMUM);
    return NULL;
}

static bool
run_as_user(const char *const *argv, const char *input, GError **error)
{
    static const char *const user[] = {
        "setpriv", "--reuid=" LAYOUT_USER, "--regid=" LAYOUT_USER, "--init-groups", "env", "-C",
        "/",       "LC_ALL=C.UTF-8"
    };
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    for (size_t i = 0; i < G_N_ELEMENTS(user); i++)
        g_ptr_array_add(all, (gpointer) user[i]);
    for (; *argv; argv++)
        g_ptr_array_add(all, (gpointer) *argv);
    g_ptr_array_add(all, NULL);
    return virga_process_run((const char *const *) all->pdata, input, DATABASE_MS, NULL, error);
}

static bool
make_cluster(const char *programs, const char *directory, GError **error)
{
    g_autofree char *initdb = g_build_filename(programs, "initdb", NULL);
    g_autofree char *server = g_build_filename(programs, "postgres", NULL);
    const char *make[] = { initdb,
                           "--pgdata",
                           directory,
                           "--username",
                           LAYOUT_USER,
                           "--auth-local=peer",
                           "--auth-host=reject",
                           "--encoding=UTF8",
                           "--locale=C.UTF-8",
                           "--lc-collate=C", /* ids are compared as bytes, which is far faster */
                           "--data-checksums",
                           "--no-instructions",
                           NULL };
    const char *add[] = { server, "--single", "-D", directory, "postgres", NULL };

    return run_as_user(make, NULL, error) && run_as_user(add, "CREATE DATABASE virga;\n", error);
}

static bool
write_settings(const char *state, GError **error)
{
    g_autofree char *settings = g_strdup_printf(postgresql_conf, state, state, state);

    return write_file(state, "postgresql.conf", settings, 0644, error) &&
           write_file(state, "postgresql.hba.conf", postgresql_hba_conf, 0644, error) &&
           write_file(state, "postgresql.ident.conf", "", 0644, error);
}

bool
layout_database(const char *state, const LayoutUser *user, GError **error)
{
    g_autofree char *data = g_build_filename(state, "pg", NULL);
    g_autofree char *fresh = g_build_filename(state, "pg.new", NULL);
    g_autofree char *programs = layout_database_programs(state, error);
    const char *discard[] = { "rm", "-rf", "--", fresh, NULL };

    if (!programs || !write_settings(state, error))
        return false;
    if (g_file_test(data, G_FILE_TEST_IS_DIR))
        return true;
    if (!virga_process_run(discard, NULL, DATABASE_MS, NULL, error) ||
        !make_directory(fresh, 0700, user->uid, user->gid, error) ||
        !make_cluster(programs, fresh, error))
        return false;
    if (rename(fresh, data) < 0)
        return virga_fail_errno(error, "database", errno, "could not make \"%s\"", data);
    return true;
}

/* ---- libvirt ---- */

bool
layout_has_libvirt(const VirgaConfig *config)
{
    return *virga_config_text(config, "node", "libvirt-uri") == '\0' &&
           g_str_equal(virga_config_text(config, "node", "driver"), "libvirt");
}

/* libvirt takes a hierarchy that it cannot use for an error at every start of a guest. */
static bool
cgroups_usable(void)
{
    static const char *const probes[] = { "/sys/fs/cgroup/virga-probe",
                                          "/sys/fs/cgroup/devices/virga-probe" };

    if (g_file_test("/sys/fs/cgroup/cgroup.controllers", G_FILE_TEST_EXISTS))
        return mkdir(probes[0], 0755) == 0 && rmdir(probes[0]) == 0;
    return mkdir(probes[1], 0755) == 0 && rmdir(probes[1]) == 0;
}

static char *
lasting_uuid(const char *state, GError **error)
{
    g_autofree char *path = g_build_filename(state, "libvirt/host-uuid", NULL);
    g_autofree char *text = NULL;

    if (g_file_get_contents(path, &text, NULL, NULL))
        return g_strstrip(g_steal_pointer(&text));
    text = virga_uuid_new();
    return write_file(state, "libvirt/host-uuid", text, 0644, error) ? g_steal_pointer(&text)
                                                                     : NULL;
}

static bool
write_libvirt(const char *state, GError **error)
{
    bool confined = g_file_test("/sys/kernel/security/apparmor", G_FILE_TEST_IS_DIR);
    g_autofree char *uuid = lasting_uuid(state, error);
    g_autofree char *daemon = g_strdup_printf(libvirtd_conf, uuid ? uuid : "");
    g_autofree char *qemu =
        g_strdup_printf(qemu_conf, confined ? "" : "security_driver = \"none\"\n",
                        cgroups_usable() ? "" : "cgroup_controllers = []\n");

    return uuid && write_file(state, "libvirt/etc/libvirtd.conf", daemon, 0600, error) &&
           write_file(state, "libvirt/etc/qemu.conf", qemu, 0600, error);
}

bool
layout_ground(const char *state, LayoutUser *ret, GError **error)
{
    return check_path(state, error) && ensure_user(ret, error) &&
           make_directories(state, ret, error);
}

bool
layout_prepare(const char *state, const VirgaConfig *config, GError **error)
{
    LayoutUser user;

    return layout_ground(state, &user, error) &&
           (!layout_has_database(config) || layout_database(state, &user, error)) &&
           (!layout_has_libvirt(config) || write_libvirt(state, error));
}
