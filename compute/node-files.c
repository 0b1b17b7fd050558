/* SPDX-License-Identifier: Apache-2.0 */
/* The file systems that this host keeps for guests to share.  One thread asks virgad what there
 * shall be, mounts it, and has an NFS server for each mount target in the namespace of its VPC,
 * where the packet filter lets in whom the security groups let in.  What virgad said last is kept,
 * so that guests go on while it is away; servers go on without us. */
#include "node-priv.h"

#include "core/error.h"
#include "core/id.h"
#include "core/json.h"
#include "core/log.h"
#include "core/process.h"
#include "core/record.h"
#include "network/address.h"
#include "storage/shared.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ASK_MS    15000
#define LOOK_S    3
#define START_MS  20000
#define STOP_MS   10000
#define WISH_FILE "wish.json"
#define SERVER    "ganesha.nfsd"

typedef struct {
    char *id, *vpc_id, *address;
} Target;

typedef struct {
    char *id;
    gint64 size_gib;
    GPtrArray *targets; /* of Target */
} FileSystem;

typedef struct {
    GPtrArray *file_systems; /* of FileSystem */
    char **gone;
} Files;

static const VirgaField target_fields[] = {
    { "id", VIRGA_FIELD_STRING, offsetof(Target, id), true, NULL },
    { "vpc_id", VIRGA_FIELD_STRING, offsetof(Target, vpc_id), true, NULL },
    { "address", VIRGA_FIELD_STRING, offsetof(Target, address), true, NULL },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType target_type = { "mount target", sizeof(Target), target_fields };
static const VirgaField file_system_fields[] = {
    { "id", VIRGA_FIELD_STRING, offsetof(FileSystem, id), true, NULL },
    { "size_gib", VIRGA_FIELD_INTEGER, offsetof(FileSystem, size_gib), true, NULL },
    { "targets", VIRGA_FIELD_RECORDS, offsetof(FileSystem, targets), false, &target_type },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType file_system_type = { "file system", sizeof(FileSystem),
                                                  file_system_fields };
static const VirgaField files_fields[] = {
    { "file_systems", VIRGA_FIELD_RECORDS, offsetof(Files, file_systems), true, &file_system_type },
    { "gone", VIRGA_FIELD_STRINGS, offsetof(Files, gone), false, NULL },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType files_type = { "file systems", sizeof(Files), files_fields };

static void
files_free(Files *files)
{
    if (files)
        virga_record_free(&files_type, files);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Files, files_free)

typedef struct {
    VirgaNode *node;
    char *directory;
    GHashTable *serving;   /* ids of mount targets whose server runs */
    GHashTable *deleted;   /* ids of file systems that are gone, not told yet */
    GHashTable *pretended; /* ids of file systems, with drivers that only pretend; else NULL */
    char *told;            /* the last failure, so that it is logged once */
} Keeper;

/* ---- the server of a mount target ---- */

static char *
path_of(const Keeper *keeper, const char *id, const char *suffix)
{
    return g_strconcat(keeper->directory, "/", id, suffix, NULL);
}

/* 0: it does not run. */
static pid_t
server_pid(const Keeper *keeper, const char *target_id)
{
    g_autofree char *pid_path = path_of(keeper, target_id, ".pid");
    g_autofree char *config = path_of(keeper, target_id, ".conf");

    return virga_process_of(pid_path, config);
}

static bool
is_in(pid_t pid, const char *namespace)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/ns/net", (int) pid);
    struct stat its, wanted;

    return stat(path, &its) == 0 && stat(namespace, &wanted) == 0 && its.st_ino == wanted.st_ino;
}

static bool
stop_server(const Keeper *keeper, const char *target_id)
{
    pid_t pid = server_pid(keeper, target_id);
    gint64 deadline = g_get_monotonic_time() + STOP_MS * 1000;

    if (pid)
        kill(pid, SIGTERM);
    while (pid && server_pid(keeper, target_id) == pid && g_get_monotonic_time() < deadline)
        g_usleep(100000);
    if (pid && server_pid(keeper, target_id) == pid)
        kill(pid, SIGKILL);
    return !pid || server_pid(keeper, target_id) != pid;
}

/* NFS 4 alone: one port, no portmapper and no locks of another protocol. */
static char *
server_config(const Keeper *keeper, const FileSystem *file_system, const Target *target)
{
    return g_strdup_printf(
        "NFS_CORE_PARAM {\n    Protocols = 4;\n    Bind_addr = %s;\n    NFS_Port = 2049;\n"
        "    Enable_NLM = false;\n    Enable_RQUOTA = false;\n    Enable_UDP = false;\n"
        "    Dbus_Name_Prefix = virga%s;\n}\n"
        "NFSV4 {\n    RecoveryBackend = fs;\n    RecoveryRoot = \"%s/%s/recovery\";\n"
        "    Grace_Period = 15;\n    Lease_Lifetime = 15;\n    Only_Numeric_Owners = true;\n"
        "    Minor_Versions = 0, 1, 2;\n}\n"
        "EXPORT {\n    Export_Id = 1;\n    Path = \"%s/%s/data\";\n    Pseudo = \"/\";\n"
        "    Protocols = 4;\n    Transports = TCP;\n    Access_Type = RW;\n"
        "    Squash = No_Root_Squash;\n    SecType = sys;\n    FSAL {\n        Name = VFS;\n    "
        "}\n}\n"
        "NFS_KRB5 {\n    Active_krb5 = false;\n}\n"
        "LOG {\n    Default_Log_Level = WARN;\n}\n",
        target->address, target->id + strlen("fsmt-"), keeper->directory, file_system->id,
        keeper->directory, file_system->id);
}

static bool
start_server(const Keeper *keeper, const FileSystem *file_system, const Target *target,
             const char *namespace, GError **error)
{
    g_autofree char *config = server_config(keeper, file_system, target);
    g_autofree char *config_path = path_of(keeper, target->id, ".conf");
    g_autofree char *pid_path = path_of(keeper, target->id, ".pid");
    g_autofree char *log_path = path_of(keeper, target->id, ".log");
    g_autofree char *recovery = path_of(keeper, file_system->id, "/recovery");
    g_autofree char *net = g_strconcat("--net=", namespace, NULL);
    const char *argv[] = { "nsenter", net,      SERVER, "-f",     config_path,
                           "-p",      pid_path, "-L",   log_path, NULL };
    gint64 deadline = g_get_monotonic_time() + START_MS * 1000;

    if (g_mkdir_with_parents(recovery, 0700) < 0 ||
        !g_file_set_contents_full(config_path, config, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
                                  error))
        return virga_fail_errno(error, "file system", errno, "could not write \"%s\"", config_path);
    g_unlink(pid_path);
    if (!virga_process_run_ipv4(argv, START_MS, error))
        return false;
    while (!server_pid(keeper, target->id) && g_get_monotonic_time() < deadline)
        g_usleep(50000);
    return server_pid(keeper, target->id) != 0 ||
           virga_fail(error, "file system", VIRGA_ERROR_INTERNAL,
                      "the server of mount target \"%s\" did not start: see %s", target->id,
                      log_path);
}

/* The VPC's plan is applied: its address is there. */
static bool
has_address(Keeper *keeper, const Target *target)
{
    g_autoptr(Plan) plan = node_plan(keeper->node, target->vpc_id);
    VirgaNode *node = keeper->node;
    bool applied = false;
    Vpc *vpc;

    for (guint i = 0; plan && i < plan->record->ports->len; i++) {
        const VirgaVpcPort *port = plan->record->ports->pdata[i];

        applied = applied || (port->front_port && g_strcmp0(port->host_id, node->host_id) == 0 &&
                              g_str_equal(port->address, target->address));
    }
    g_mutex_lock(&node->lock);
    vpc = g_hash_table_lookup(node->vpcs, target->vpc_id);
    applied = applied && vpc && vpc->applied >= plan->record->generation;
    g_mutex_unlock(&node->lock);
    return applied;
}

static bool
ensure_server(Keeper *keeper, const FileSystem *file_system, const Target *target, GError **error)
{
    g_autofree char *namespace = virga_network_namespace(keeper->node->network, target->vpc_id);
    pid_t pid = server_pid(keeper, target->id);

    if (pid && is_in(pid, namespace))
        return true;
    if (!has_address(keeper, target))
        return virga_fail(error, "file system", VIRGA_ERROR_RETRY,
                          "mount target \"%s\" waits for its address", target->id);
    return stop_server(keeper, target->id) &&
           start_server(keeper, file_system, target, namespace, error);
}

/* ---- what there shall be ---- */

static void
tell(Keeper *keeper, const char *id, GError *error)
{
    if (!virga_error_is(error, NULL, VIRGA_ERROR_RETRY) &&
        g_strcmp0(keeper->told, error->message) != 0) {
        virga_notice("file system", id, "%s", error->message);
        g_free(keeper->told);
        keeper->told = g_strdup(error->message);
    }
    g_error_free(error);
}

static void
ensure(Keeper *keeper, const FileSystem *file_system, GHashTable *wanted)
{
    GError *error = NULL;

    if (!virga_shared_ensure(keeper->directory, file_system->id, file_system->size_gib, &error)) {
        tell(keeper, file_system->id, error);
        return;
    }
    for (guint i = 0; i < file_system->targets->len; i++) {
        const Target *target = file_system->targets->pdata[i];

        g_hash_table_add(wanted, target->id);
        error = NULL;
        if (ensure_server(keeper, file_system, target, &error))
            g_hash_table_add(keeper->serving, g_strdup(target->id));
        else
            tell(keeper, target->id, error);
    }
}

/* Servers of mount targets that are no more. */
static void
stop_others(Keeper *keeper, GHashTable *wanted)
{
    g_autoptr(GDir) files = g_dir_open(keeper->directory, 0, NULL);
    static const char *const suffixes[] = { ".conf", ".pid", ".log" };
    const char *name;

    while (files && (name = g_dir_read_name(files))) {
        g_autofree char *id =
            g_str_has_suffix(name, ".conf") ? g_strndup(name, strlen(name) - 5) : NULL;

        if (!id || g_hash_table_contains(wanted, id) || !stop_server(keeper, id))
            continue;
        for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++) {
            g_autofree char *path = path_of(keeper, id, suffixes[i]);

            g_unlink(path);
        }
    }
}

static void
apply(Keeper *keeper, const Files *files)
{
    g_autoptr(GHashTable) wanted = g_hash_table_new(g_str_hash, g_str_equal);

    g_hash_table_remove_all(keeper->serving);
    for (guint i = 0; i < files->file_systems->len; i++)
        ensure(keeper, files->file_systems->pdata[i], wanted);
    stop_others(keeper, wanted);
    for (char **id = files->gone; id && *id; id++) {
        GError *error = NULL;

        if (virga_shared_remove(keeper->directory, *id, &error))
            g_hash_table_add(keeper->deleted, g_strdup(*id));
        else
            tell(keeper, *id, error);
    }
}

/* Guests that only pretend find what pretends to be served. */
static void
pretend(Keeper *keeper, const Files *files)
{
    g_hash_table_remove_all(keeper->serving);
    for (guint i = 0; i < files->file_systems->len; i++) {
        const FileSystem *file_system = files->file_systems->pdata[i];

        for (guint t = 0; t < file_system->targets->len; t++)
            g_hash_table_add(keeper->serving,
                             g_strdup(((Target *) file_system->targets->pdata[t])->id));
        g_hash_table_add(keeper->pretended, g_strdup(file_system->id));
    }
    for (char **id = files->gone; id && *id; id++) {
        g_hash_table_remove(keeper->pretended, *id);
        g_hash_table_add(keeper->deleted, g_strdup(*id));
    }
}

/* ---- virgad ---- */

static void
add_set(JsonObject *object, const char *name, GHashTable *set)
{
    JsonArray *array = json_array_new();
    GHashTableIter iter;
    gpointer id;

    g_hash_table_iter_init(&iter, set);
    while (g_hash_table_iter_next(&iter, &id, NULL))
        json_array_add_string_element(array, id);
    json_object_set_array_member(object, name, array);
}

static void
add_pretended(const Keeper *keeper, JsonArray *names, JsonArray *bytes)
{
    GHashTableIter iter;
    gpointer id;

    if (!keeper->pretended)
        return;
    g_hash_table_iter_init(&iter, keeper->pretended);
    while (g_hash_table_iter_next(&iter, &id, NULL)) {
        json_array_add_string_element(names, id);
        json_array_add_string_element(bytes, "0");
    }
}

static char *
report(const Keeper *keeper)
{
    g_auto(GStrv) ids = virga_shared_list(keeper->directory);
    JsonArray *names = json_array_new(), *bytes = json_array_new();
    JsonObject *object = json_object_new();
    g_autoptr(JsonNode) root = json_node_init_object(json_node_alloc(), object);

    json_object_unref(object);
    for (char **id = ids; *id; id++) {
        gint64 size = virga_shared_bytes(keeper->directory, *id);
        g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, MAX(size, 0));

        json_array_add_string_element(names, *id);
        json_array_add_string_element(bytes, text);
    }
    add_pretended(keeper, names, bytes);
    json_object_set_string_member(object, "host_id", keeper->node->host_id);
    json_object_set_array_member(object, "ids", names);
    json_object_set_array_member(object, "bytes", bytes);
    add_set(object, "serving", keeper->serving);
    add_set(object, "deleted", keeper->deleted);
    return json_to_string(root, FALSE);
}

/* Names become paths, addresses a server's configuration. */
static bool
is_sound(const Files *files)
{
    guint32 address;
    bool sound = true;

    for (guint i = 0; i < files->file_systems->len; i++) {
        const FileSystem *file_system = files->file_systems->pdata[i];

        sound = sound && virga_id_is(file_system->id, "fs") && file_system->size_gib > 0;
        for (guint t = 0; t < file_system->targets->len; t++) {
            const Target *target = file_system->targets->pdata[t];

            sound = sound && virga_id_is(target->id, "fsmt") &&
                    virga_id_is(target->vpc_id, "vpc") &&
                    virga_ipv4_parse(target->address, &address);
        }
    }
    for (char **id = files->gone; id && *id; id++)
        sound = sound && virga_id_is(*id, "fs");
    return sound;
}

static Files *
read_files(const char *text, GError **error)
{
    g_autoptr(JsonNode) json = virga_json_parse(text, -1, error);
    g_autoptr(Files) files = json ? virga_record_from_json(&files_type, json, error) : NULL;

    if (files && !is_sound(files)) {
        virga_fail(error, "file system", VIRGA_ERROR_INVALID, "the wish is malformed");
        return NULL;
    }
    return g_steal_pointer(&files);
}

/* NULL: virgad is away, or says nonsense. */
static Files *
ask(Keeper *keeper)
{
    g_autofree char *body = report(keeper);
    g_autofree char *answer = NULL, *path = path_of(keeper, WISH_FILE, "");
    g_autofree char *former = NULL;
    Files *files;

    if (!virga_http_call(keeper->node->virgad, "POST", "/node/v1/file-systems", body, ASK_MS,
                         &answer, NULL))
        return NULL;
    g_hash_table_remove_all(keeper->deleted);
    files = read_files(answer, NULL);
    if (files && (files->file_systems->len || access(path, F_OK) == 0) &&
        g_mkdir_with_parents(keeper->directory, 0711) == 0 &&
        (!g_file_get_contents(path, &former, NULL, NULL) || !g_str_equal(former, answer)))
        g_file_set_contents_full(path, answer, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL);
    return files;
}

/* What it said last.  What was to go may have come again: nothing goes. */
static Files *
recall(Keeper *keeper)
{
    g_autofree char *path = path_of(keeper, WISH_FILE, "");
    g_autofree char *text = NULL;
    Files *files = g_file_get_contents(path, &text, NULL, NULL) ? read_files(text, NULL) : NULL;

    if (files)
        g_clear_pointer(&files->gone, g_strfreev);
    return files;
}

gpointer
node_files_main(gpointer data)
{
    VirgaNode *node = data;
    Keeper keeper = { .node = node,
                      .directory = g_build_filename(node->directory, "files", NULL),
                      .serving = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
                      .deleted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL) };

    if (g_str_equal(node->network->name, "fake"))
        keeper.pretended = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    while (!node_stopping(node)) {
        gint64 next = g_get_monotonic_time() + LOOK_S * G_USEC_PER_SEC;
        g_autoptr(Files) files = ask(&keeper);

        if (!files)
            files = recall(&keeper);
        if (files && keeper.pretended)
            pretend(&keeper, files);
        else if (files)
            apply(&keeper, files);
        while (!node_stopping(node) && g_get_monotonic_time() < next)
            g_usleep(200 * 1000);
    }
    g_hash_table_unref(keeper.serving);
    g_hash_table_unref(keeper.deleted);
    g_clear_pointer(&keeper.pretended, g_hash_table_unref);
    g_free(keeper.directory);
    g_free(keeper.told);
    return NULL;
}
