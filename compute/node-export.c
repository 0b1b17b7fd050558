/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes of this host's disk that guests of other hosts use, and those of other hosts that guests
 * here use.
 *
 * Each attachment of that kind has two daemons: a server where the bytes are, which speaks NBD over
 * TLS with a key that is the attachment's own, and a client where the guest is, which offers the
 * guest a Unix socket and, when the server is away, waits for another one.  Nobody else has the
 * key: no host can read what is not attached to its guests.  The server answers a write when it is
 * on the disk: whatever dies, what was answered is there, and what was not is sent again.
 *
 * Daemons outlive this process, as guests do.  What runs is read from the world: each has a folder
 * of its own, whose name says what it was started for.
 *
 *     exports/VOLUME.server.HASH/    keys.psk, pid
 *     exports/VOLUME.client.HASH/    keys.psk, pid, socket */
#include "node-priv.h"

#include "core/process.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_MS     1000
#define START_MS    30000
#define STOP_MS     5000
#define OPEN_S      "5"     /* a client's patience for its server, at first */
#define RECONNECT_S "86400" /* … and later: its guest waits */
#define HASH_CHARS  16
#define AGAIN_S     10 /* after a failure */
/* The pipe that a passphrase comes by must be the daemon's user's to be opened by its name. */
#define PIPE "cat | \"$@\""

typedef enum { SERVER, CLIENT } Side;

/* One daemon that shall run. */
typedef struct {
    Side side;
    char *volume_id, *address, *key;
    gint64 port;
    char *folder;
} Daemon;

static void
daemon_free(gpointer data)
{
    Daemon *daemon = data;

    g_free(daemon->volume_id);
    g_free(daemon->address);
    g_free(daemon->key);
    g_free(daemon->folder);
    g_free(daemon);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Daemon, daemon_free)

static char *
root_of(VirgaNode *node)
{
    return g_build_filename(node->directory, "exports", NULL);
}

static Daemon *
daemon_new(VirgaNode *node, Side side, const char *volume_id, const char *address, gint64 port,
           const char *key)
{
    Daemon *daemon = g_new0(Daemon, 1);
    g_autofree char *all = g_strdup_printf("%s %" G_GINT64_FORMAT " %s", address, port, key);
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, all, -1);

    daemon->side = side;
    daemon->volume_id = g_strdup(volume_id);
    daemon->address = g_strdup(address);
    daemon->port = port;
    daemon->key = g_strdup(key);
    daemon->folder = g_strdup_printf("%s/exports/%s.%s.%.*s", node->directory, volume_id,
                                     side == SERVER ? "server" : "client", HASH_CHARS, hash);
    return daemon;
}

/* ---- the wish ---- */

static const VirgaField fields[] = {
    { "id", VIRGA_FIELD_STRING, offsetof(Export, id), true, NULL },
    { "key", VIRGA_FIELD_STRING, offsetof(Export, key), true, NULL },
    { "port", VIRGA_FIELD_INTEGER, offsetof(Export, port), true, NULL },
    { NULL, 0, 0, false, NULL },
};
const VirgaRecordType node_export_type = { "export", sizeof(Export), fields };

void
node_export_free(gpointer data)
{
    Export *export = data;

    g_free(export->id);
    g_free(export->key);
    g_free(export);
}

void
node_take_exports_locked(VirgaNode *node, JsonArray *exports)
{
    if (!exports)
        return;
    if (node->exports->len > 0 || json_array_get_length(exports) > 0)
        node->store_dirty = true;
    g_ptr_array_set_size(node->exports, 0);
    for (guint i = 0; i < json_array_get_length(exports); i++) {
        g_autoptr(GError) error = NULL;
        Export *told =
            virga_record_from_json(&node_export_type, json_array_get_element(exports, i), &error);

        if (told)
            g_ptr_array_add(node->exports, told);
        else
            virga_warning("host", node->host_id, "an export that is none: %s", error->message);
    }
    node->exports_told = true;
}

static void
add_clients_locked(VirgaNode *node, GPtrArray *daemons)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, node->guests);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        GPtrArray *disks = ((Guest *) value)->wish->record->disks;

        for (guint i = 0; i < disks->len; i++) {
            const VirgaGuestDisk *disk = disks->pdata[i];

            if (node_is_remote(disk))
                g_ptr_array_add(daemons, daemon_new(node, CLIENT, disk->id, disk->remote_address,
                                                    disk->remote_port, disk->remote_key));
        }
    }
}

/* All that shall run; *ret_sure: it is known what shall not. */
static GPtrArray *
wanted_daemons(VirgaNode *node, bool *ret_sure)
{
    const char *address = virga_config_text(node->config, "network", "tunnel-address");
    GPtrArray *daemons = g_ptr_array_new_with_free_func(daemon_free);

    g_mutex_lock(&node->lock);
    for (guint i = 0; i < node->exports->len; i++) {
        const Export *export = node->exports->pdata[i];

        g_ptr_array_add(daemons,
                        daemon_new(node, SERVER, export->id, address, export->port, export->key));
    }
    add_clients_locked(node, daemons);
    *ret_sure = node->exports_told;
    g_mutex_unlock(&node->lock);
    return daemons;
}

bool
node_is_remote(const VirgaGuestDisk *disk)
{
    return disk->remote_address && disk->remote_key;
}

/* ---- daemons ---- */

/* The process of a folder's daemon; 0: it does not run. */
static pid_t
pid_of(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "pid", NULL);

    return virga_process_of(path, path); /* it was told where to write it */
}

/* Of a process that is killed the image is free when it is gone. */
static bool
stop_daemon(const char *folder, GError **error)
{
    static const char *const files[] = { "keys.psk", "socket", "pid" };
    gint64 until = g_get_monotonic_time() + STOP_MS * 1000;
    pid_t pid = pid_of(folder);

    if (pid)
        kill(pid, SIGTERM);
    while (pid && pid_of(folder) == pid) {
        if (g_get_monotonic_time() > until)
            kill(pid, SIGKILL);
        if (g_get_monotonic_time() > until + STOP_MS * 1000)
            return virga_fail(error, "volume", VIRGA_ERROR_RETRY, "the daemon of \"%s\" goes on",
                              folder);
        g_usleep(10000);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = g_build_filename(folder, files[i], NULL);

        g_unlink(path);
    }
    g_rmdir(folder);
    return true;
}

/* The user that guests run as opens their disks, here too. */
static gid_t
group_of(VirgaNode *node)
{
    struct passwd *user = getpwuid(node->tap_owner);

    return user ? user->pw_gid : 0;
}

static bool
make_folder(VirgaNode *node, const Daemon *daemon, GError **error)
{
    g_autofree char *keys = g_build_filename(daemon->folder, "keys.psk", NULL);
    g_autofree char *line = g_strdup_printf("qemu:%s\n", daemon->key);
    g_autofree char *socket = g_build_filename(daemon->folder, "socket", NULL);
    g_autofree char *root = root_of(node);
    gid_t group = group_of(node);

    if (g_mkdir_with_parents(root, 0711) < 0 ||
        (g_mkdir(daemon->folder, 0700) < 0 && errno != EEXIST))
        return virga_fail_errno(error, "volume", errno, "could not make \"%s\"", daemon->folder);
    g_unlink(socket);
    return g_file_set_contents_full(keys, line, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, error) &&
           ((chown(keys, node->tap_owner, group) == 0 &&
             chown(daemon->folder, node->tap_owner, group) == 0) ||
            virga_fail_errno(error, "volume", errno, "could not give \"%s\" away", daemon->folder));
}

static void
add(GPtrArray *argv, char *word)
{
    g_ptr_array_add(argv, word);
}

static void
add_file(GPtrArray *argv, const char *node_name, const char *path)
{
    add(argv, g_strdup("--blockdev"));
    add(argv,
        g_strdup_printf("driver=file,node-name=%s,filename=%s,cache.direct=on", node_name, path));
}

/* All files are opened with the passphrase, the lowest first: none tells how to open another. */
static void
add_encrypted(GPtrArray *argv, const VirgaVolumeSource *source)
{
    guint count = g_strv_length(source->below);
    g_autofree char *backing = g_strdup("");

    add(argv, g_strdup("--object"));
    add(argv, g_strdup("secret,id=key,file=/dev/stdin"));
    for (guint i = count + 1; i-- > 0;) {
        g_autofree char *file = g_strdup_printf("file%u", i);
        g_autofree char *node_name = i ? g_strdup_printf("below%u", i) : g_strdup("disk");

        add_file(argv, file, i ? source->below[i - 1] : source->name);
        add(argv, g_strdup("--blockdev"));
        add(argv, g_strdup_printf("driver=qcow2,node-name=%s,file=%s,discard=unmap,cache.direct=on,"
                                  "encrypt.format=luks,encrypt.key-secret=key%s%s",
                                  node_name, file, i ? ",read-only=on" : "", backing));
        g_free(backing);
        backing = g_strdup_printf(",backing=%s", node_name);
    }
}

static void
add_server(GPtrArray *argv, const Daemon *daemon, const VirgaVolumeSource *source)
{
    if (source && source->passphrase) {
        add_encrypted(argv, source);
    } else {
        add_file(argv, "file", source ? source->name : "");
        add(argv, g_strdup("--blockdev"));
        add(argv, g_strdup("driver=qcow2,node-name=disk,file=file,discard=unmap,cache.direct=on"));
    }
    add(argv, g_strdup("--nbd-server"));
    add(argv,
        g_strdup_printf("addr.type=inet,addr.host=%s,addr.port=%" G_GINT64_FORMAT ",tls-creds=tls",
                        daemon->address, daemon->port));
    add(argv, g_strdup("--export"));
    add(argv, g_strdup("type=nbd,id=disk,node-name=disk,name=" VIRGA_SOURCE_EXPORT
                       ",writable=on,writethrough=on"));
}

static void
add_client(GPtrArray *argv, const Daemon *daemon)
{
    add(argv, g_strdup("--blockdev"));
    add(argv,
        g_strdup_printf("driver=nbd,node-name=disk,server.type=inet,server.host=%s,"
                        "server.port=%" G_GINT64_FORMAT
                        ",server.keep-alive=on,export=" VIRGA_SOURCE_EXPORT ",tls-creds=tls,"
                        "reconnect-delay=" RECONNECT_S ",open-timeout=" OPEN_S ",discard=unmap",
                        daemon->address, daemon->port));
    add(argv, g_strdup("--nbd-server"));
    add(argv, g_strdup_printf("addr.type=unix,addr.path=%s/socket", daemon->folder));
    add(argv, g_strdup("--export"));
    add(argv, g_strdup("type=nbd,id=disk,node-name=disk,name=" VIRGA_SOURCE_EXPORT ",writable=on"));
}

/* "--daemonize" comes back when the daemon listens. */
static GPtrArray *
command_of(VirgaNode *node, const Daemon *daemon, const VirgaVolumeSource *source)
{
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);

    if (node->tap_owner != 0) {
        add(argv, g_strdup("setpriv"));
        add(argv, g_strdup_printf("--reuid=%u", (unsigned) node->tap_owner));
        add(argv, g_strdup_printf("--regid=%u", (unsigned) group_of(node)));
        add(argv, g_strdup("--clear-groups"));
        add(argv, g_strdup("--no-new-privs"));
    }
    if (source && source->passphrase) {
        add(argv, g_strdup("sh"));
        add(argv, g_strdup("-c"));
        add(argv, g_strdup(PIPE));
        add(argv, g_strdup("sh"));
    }
    add(argv, g_strdup("qemu-storage-daemon"));
    add(argv, g_strdup("--daemonize"));
    add(argv, g_strdup("--pidfile"));
    add(argv, g_strdup_printf("%s/pid", daemon->folder));
    add(argv, g_strdup("--object"));
    add(argv, g_strdup_printf("tls-creds-psk,id=tls,dir=%s,endpoint=%s", daemon->folder,
                              daemon->side == SERVER ? "server" : "client"));
    if (daemon->side == SERVER)
        add_server(argv, daemon, source);
    else
        add_client(argv, daemon);
    add(argv, NULL);
    return argv;
}

/* One that was started by a process which died over it may have lost its socket to the next. */
static bool
runs(const Daemon *daemon)
{
    g_autofree char *socket = g_build_filename(daemon->folder, "socket", NULL);

    return pid_of(daemon->folder) && (daemon->side == SERVER || access(socket, F_OK) == 0);
}

/* The volume is claimed. */
static bool
start_daemon(VirgaNode *node, const Daemon *daemon, GError **error)
{
    g_autoptr(VirgaVolumeSource) source =
        daemon->side == SERVER ? node->volumes->source(node->volumes, daemon->volume_id, error)
                               : NULL;
    g_autoptr(GPtrArray) argv = command_of(node, daemon, source);

    if (runs(daemon) || !g_str_equal(node->volumes->name, "local")) /* guests that only pretend */
        return true;
    if ((daemon->side == SERVER && !source) || !stop_daemon(daemon->folder, error) ||
        !make_folder(node, daemon, error) ||
        (source && !virga_volume_local_lend(node->volumes, daemon->volume_id, node->tap_owner,
                                            group_of(node), error)) ||
        !virga_process_run((const char *const *) argv->pdata, source ? source->passphrase : NULL,
                           START_MS, NULL, error))
        return false;
    virga_info("volume", daemon->volume_id, "%s %s, port %" G_GINT64_FORMAT,
               daemon->side == SERVER ? "is served at" : "is used from", daemon->address,
               daemon->port);
    return true;
}

/* ---- what guests' workers ask for ---- */

VirgaVolumeSource *
node_import_disk(VirgaNode *node, const VirgaGuestDisk *disk, GError **error)
{
    g_autoptr(Daemon) daemon = daemon_new(node, CLIENT, disk->id, disk->remote_address,
                                          disk->remote_port, disk->remote_key);
    VirgaVolumeSource *source;

    if (!start_daemon(node, daemon, error))
        return NULL;
    source = g_new0(VirgaVolumeSource, 1);
    source->kind = VIRGA_SOURCE_NBD;
    source->name = g_build_filename(daemon->folder, "socket", NULL);
    return source;
}

bool
node_import_disks(VirgaNode *node, const VirgaGuestWish *want, GError **error)
{
    for (guint i = 0; i < want->disks->len; i++) {
        const VirgaGuestDisk *disk = want->disks->pdata[i];
        const char *const ids[] = { disk->id, NULL };
        g_autoptr(VirgaVolumeSource) source = NULL;

        if (!node_is_remote(disk))
            continue;
        node_claim_volumes(node, ids);
        source = node_import_disk(node, disk, error);
        node_release_volumes(node, ids);
        if (!source)
            return false;
    }
    return true;
}

bool
node_is_exported(VirgaNode *node, const char *volume_id)
{
    bool is = false;

    g_mutex_lock(&node->lock);
    for (guint i = 0; i < node->exports->len; i++)
        is = is || g_str_equal(((Export *) node->exports->pdata[i])->id, volume_id);
    g_mutex_unlock(&node->lock);
    return is;
}

/* True for the folder of a daemon that none of these is. */
static bool
is_stray(const GPtrArray *daemons, const char *folder)
{
    for (guint i = 0; i < daemons->len; i++)
        if (g_str_equal(((Daemon *) daemons->pdata[i])->folder, folder))
            return false;
    return true;
}

bool
node_unexport(VirgaNode *node, const char *volume_id, GError **error)
{
    g_autofree char *root = root_of(node), *prefix = g_strconcat(volume_id, ".server.", NULL);
    g_autoptr(GDir) folders = g_dir_open(root, 0, NULL);
    const char *name;

    if (node_is_exported(node, volume_id))
        return virga_fail(error, "volume", VIRGA_ERROR_RETRY, "\"%s\" is used on another host",
                          volume_id);
    while (folders && (name = g_dir_read_name(folders))) {
        g_autofree char *folder = g_build_filename(root, name, NULL);

        if (g_str_has_prefix(name, prefix) && !stop_daemon(folder, error))
            return false;
    }
    return true;
}

/* ---- tending ---- */

static void
stop_strays(VirgaNode *node, const GPtrArray *daemons)
{
    g_autofree char *root = root_of(node);
    g_autoptr(GDir) folders = g_dir_open(root, 0, NULL);
    const char *name;

    while (folders && (name = g_dir_read_name(folders))) {
        g_autofree char *folder = g_build_filename(root, name, NULL);
        g_autofree char *volume_id = g_strndup(name, strcspn(name, "."));
        const char *const ids[] = { volume_id, NULL };
        g_autoptr(GError) error = NULL;

        if (!is_stray(daemons, folder))
            continue;
        node_claim_volumes(node, ids);
        if (stop_daemon(folder, &error))
            virga_info("volume", volume_id, "is not used between hosts any more");
        else
            virga_notice("volume", volume_id, "%s", error->message);
        node_release_volumes(node, ids);
    }
}

static void
start_one(VirgaNode *node, const Daemon *daemon)
{
    const char *const ids[] = { daemon->volume_id, NULL };
    g_autoptr(GError) error = NULL;

    node_claim_volumes(node, ids);
    if (!start_daemon(node, daemon, &error)) {
        virga_notice("volume", daemon->volume_id, "could not be %s: %s",
                     daemon->side == SERVER ? "served" : "used from its host", error->message);
        node->exports_next_at = g_get_monotonic_time() + AGAIN_S * G_USEC_PER_SEC;
    }
    node_release_volumes(node, ids);
}

void
node_tend_exports(VirgaNode *node)
{
    bool sure;
    g_autoptr(GPtrArray) daemons = wanted_daemons(node, &sure);

    if (sure)
        stop_strays(node, daemons);
    if (g_get_monotonic_time() < node->exports_next_at)
        return;
    for (guint i = 0; i < daemons->len && !node_stopping(node); i++)
        if (!runs(daemons->pdata[i]))
            start_one(node, daemons->pdata[i]);
}

gpointer
node_export_main(gpointer data)
{
    VirgaNode *node = data;

    while (!node_stopping(node)) {
        gint64 next = g_get_monotonic_time() + LOOK_MS * 1000;

        node_tend_exports(node);
        while (!node_stopping(node) && g_get_monotonic_time() < next)
            g_usleep(50000);
    }
    return NULL;
}
