/* SPDX-License-Identifier: Apache-2.0 */
/* virga-node: one per host.  Chooses the drivers, then follows virgad's wish. */
#include "compute/node.h"

#include "core/daemon.h"
#include "core/error.h"
#include "core/id.h"
#include "core/kvm.h"
#include "core/log.h"
#include "network/address.h"
#include "network/fake.h"
#include "network/kernel.h"
#include "storage/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <glib/gstdio.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define EMULATOR_USER "libvirt-qemu"

typedef struct {
    VirgaConfig *config;
    char *directory, *host_id, *host_name, *virgad_address;
    guint8 metadata_key[VIRGA_METADATA_KEY_SIZE];
    uid_t tap_owner;
    VirgaHttpClient *virgad;
    VirgaVolumeDriver *volumes;
    GHashTable *pools; /* name -> VirgaVolumeDriver */
    VirgaNetworkDriver *network;
    VirgaHypervisor *hypervisor;
    VirgaNode *node;
    int lock_fd;
} Daemon;

/* ---- who this host is ---- */

static char *
new_host_id(void)
{
    return virga_id_new("h");
}

/* The text of a file that is made once and stays, readable by root only. */
static char *
lasting_text(const char *path, char *(*make)(void), GError **error)
{
    g_autoptr(GError) reason = NULL;
    g_autofree char *text = NULL;

    if (g_file_get_contents(path, &text, NULL, &reason))
        return g_strstrip(g_steal_pointer(&text));
    if (!g_error_matches(reason, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return NULL;
    }
    text = make();
    if (!g_file_set_contents_full(path, text, -1,
                                  G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE,
                                  0600, error))
        return NULL;
    return g_steal_pointer(&text);
}

static char *
new_key(void)
{
    guint8 bytes[VIRGA_METADATA_KEY_SIZE];

    if (getentropy(bytes, sizeof bytes) < 0)
        g_error("no entropy: %s", g_strerror(errno));
    return g_base64_encode(bytes, sizeof bytes);
}

static bool
load_key(Daemon *daemon, GError **error)
{
    g_autofree char *path = g_build_filename(daemon->directory, "metadata-key", NULL);
    g_autofree char *text = lasting_text(path, new_key, error);
    g_autofree guchar *bytes = NULL;
    gsize size;

    if (!text)
        return false;
    bytes = g_base64_decode(text, &size);
    if (size != sizeof daemon->metadata_key)
        return virga_fail(error, "host", VIRGA_ERROR_INVALID, "\"%s\" holds no key", path);
    memcpy(daemon->metadata_key, bytes, size);
    return true;
}

/* Two daemons on one state would each undo what the other does. */
static bool
lock_state(Daemon *daemon, GError **error)
{
    g_autofree char *path = g_build_filename(daemon->directory, "lock", NULL);

    daemon->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (daemon->lock_fd < 0 || flock(daemon->lock_fd, LOCK_EX | LOCK_NB) < 0)
        return virga_fail(error, "host", VIRGA_ERROR_IN_USE,
                          "another virga-node works on \"%s\" (%s)", daemon->directory,
                          g_strerror(errno));
    return true;
}

/* ---- drivers ---- */

static const char *
choose_type(Daemon *daemon)
{
    const char *wanted = virga_config_text(daemon->config, "node", "hypervisor");
    g_autofree char *reason = NULL;

    if (g_str_equal(wanted, "kvm") || g_str_equal(wanted, "qemu"))
        return wanted;
    if (virga_kvm_usable(daemon->tap_owner, &reason))
        return "kvm";
    virga_notice("host", daemon->host_id, "guests are emulated and slow: %s", reason);
    return "qemu";
}

static bool
make_network(Daemon *daemon, GError **error)
{
    const char *pool = virga_config_text(daemon->config, "network", "public-pool");
    const char *const pools[] = { pool, NULL };
    g_autofree char *state = g_build_filename(daemon->directory, "network", NULL);
    g_autofree char *base = NULL, *transit = NULL;
    const char *tunnel = virga_config_text(daemon->config, "network", "tunnel-address");
    const char *card = virga_config_text(daemon->config, "network", "public-interface");
    guint32 pool_base;
    unsigned prefix;
    VirgaKernelSettings settings = {
        .tag = virga_config_tag(daemon->config),
        .host_id = daemon->host_id,
        .state_directory = state,
        .public_cidrs = pools,
        .no_masquerade = !virga_config_bool(daemon->config, "network", "masquerade"),
        .public_interface = *card ? card : NULL,
        .underlay_address = *tunnel ? tunnel : NULL,
        .mtu = virga_config_int(daemon->config, "network", "mtu"),
    };

    if (!virga_cidr_parse(pool, &pool_base, &prefix))
        return virga_fail(error, "configuration", VIRGA_ERROR_INVALID,
                          "\"%s\" is no pool of public addresses", pool);
    /* Clouds on one machine have pools of their own, and so links of their own. */
    base = virga_ipv4_text(0xa9fe0000u + ((pool_base >> 12) & 31) * 1024);
    transit = g_strconcat(base, "/22", NULL);
    settings.transit_cidr = transit;
    g_mkdir_with_parents(state, 0755);
    daemon->network = virga_network_kernel_new(&settings, error);
    return daemon->network != NULL;
}

static char *
libvirt_uri(const VirgaConfig *config)
{
    const char *uri = virga_config_text(config, "node", "libvirt-uri");
    g_autofree char *socket = virga_config_path(config, "libvirt/run/libvirt-sock");

    return *uri ? g_strdup(uri) : g_strdup_printf("qemu+unix:///system?socket=%s", socket);
}

static void
free_pool(gpointer pool)
{
    VirgaVolumeDriver *driver = pool;

    driver->free(driver);
}

static VirgaVolumeDriver *
make_pool(Daemon *daemon, const char *group, const char *name, GError **error)
{
    VirgaConfig *config = daemon->config;
    g_autofree char *scratch = g_build_filename(daemon->directory, "pools", name, NULL);
    VirgaRbdSettings settings = { .monitors = virga_config_text(config, group, "monitors"),
                                  .user = virga_config_text(config, group, "user"),
                                  .key_file = virga_config_text(config, group, "key-file"),
                                  .pool = virga_config_text(config, group, "ceph-pool"),
                                  .host_id = daemon->host_id,
                                  .scratch = scratch,
                                  .fetch = virga_node_fetch_snapshot,
                                  .data = daemon->virgad };

    return g_str_equal(virga_config_text(config, "node", "driver"), "fake")
               ? virga_volume_fake_new()
               : virga_volume_rbd_load(&settings, error);
}

/* Those of this host's zone. */
static bool
make_pools(Daemon *daemon, GError **error)
{
    g_auto(GStrv) groups = virga_config_pools(daemon->config);
    const char *zone = virga_config_text(daemon->config, "node", "zone");

    daemon->pools = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_pool);
    for (char **group = groups; *group; group++) {
        const char *name = strchr(*group, ' ') + 1;
        VirgaVolumeDriver *pool;

        if (!virga_pool_in_zone(daemon->config, *group, zone))
            continue;
        pool = make_pool(daemon, *group, name, error);
        if (!pool)
            return false;
        g_hash_table_insert(daemon->pools, g_strdup(name), pool);
    }
    return true;
}

static bool
make_drivers(Daemon *daemon, GError **error)
{
    VirgaConfig *config = daemon->config;
    struct passwd *emulator = getpwnam(EMULATOR_USER);
    const char *driver = virga_config_text(config, "node", "driver");

    daemon->tap_owner = emulator ? emulator->pw_uid : 0;
    if (g_str_equal(driver, "fake")) {
        daemon->volumes = virga_volume_fake_new();
        daemon->network = virga_network_fake_new(virga_config_tag(config), daemon->host_id);
        return true;
    }
    if (!g_str_equal(driver, "libvirt"))
        return virga_fail(error, "configuration", VIRGA_ERROR_INVALID,
                          "\"%s\" is no driver: libvirt or fake", driver);
    daemon->volumes = virga_volume_local_new(daemon->directory,
                                             virga_config_int(config, "node", "disk-reserved-gib"),
                                             virga_node_fetch_snapshot, daemon->virgad);
    return make_network(daemon, error);
}

/* The hypervisor tells the node of events, so it is made last. */
static void
make_hypervisor(Daemon *daemon)
{
    if (g_str_equal(virga_config_text(daemon->config, "node", "driver"), "fake")) {
        daemon->hypervisor = virga_hypervisor_fake_new(virga_node_event, daemon->node);
    } else {
        g_autofree char *uri = libvirt_uri(daemon->config);
        VirgaLibvirtSettings settings = { .uri = uri, .type = choose_type(daemon) };

        daemon->hypervisor =
            virga_hypervisor_libvirt_new(&settings, virga_node_event, daemon->node);
    }
    virga_node_set_hypervisor(daemon->node, daemon->hypervisor);
}

static char *
virgad_address(const VirgaConfig *config)
{
    const char *address = virga_config_text(config, "node", "virgad");
    g_autofree char *socket = virga_config_path(config, "run/virgad.sock");

    return *address ? g_strdup(address) : g_strconcat("unix:", socket, NULL);
}

static bool
start(Daemon *daemon, GError **error)
{
    g_autofree char *id_path = g_build_filename(daemon->directory, "host-id", NULL);
    VirgaNodeSettings settings;

    if (g_mkdir_with_parents(daemon->directory, 0711) < 0)
        return virga_fail_errno(error, "host", errno, "could not make \"%s\"", daemon->directory);
    if (!lock_state(daemon, error) || !load_key(daemon, error))
        return false;
    daemon->host_id = lasting_text(id_path, new_host_id, error);
    if (!daemon->host_id)
        return false;
    daemon->host_name = g_strdup(g_get_host_name());
    daemon->virgad_address = virgad_address(daemon->config);
    daemon->virgad = virga_http_client_new(daemon->virgad_address);
    if (!make_drivers(daemon, error) || !make_pools(daemon, error))
        return false;
    settings = (VirgaNodeSettings){ .config = daemon->config,
                                    .host_id = daemon->host_id,
                                    .host_name = daemon->host_name,
                                    .directory = daemon->directory,
                                    .volumes = daemon->volumes,
                                    .pools = daemon->pools,
                                    .network = daemon->network,
                                    .virgad = daemon->virgad,
                                    .tap_owner = daemon->tap_owner };
    memcpy(settings.metadata_key, daemon->metadata_key, sizeof settings.metadata_key);
    daemon->node = virga_node_new(&settings);
    if (g_str_equal(daemon->volumes->name, "local"))
        virga_volume_local_set_passphrases(daemon->volumes, virga_node_passphrase, daemon->node);
    make_hypervisor(daemon);
    virga_node_start(daemon->node);
    virga_notice("host", daemon->host_id, "works, by %s", daemon->hypervisor->name);
    return true;
}

static void
stop(Daemon *daemon)
{
    g_clear_pointer(&daemon->node, virga_node_free);
    if (daemon->hypervisor)
        daemon->hypervisor->free(daemon->hypervisor);
    if (daemon->network)
        virga_network_driver_free(daemon->network);
    if (daemon->volumes)
        daemon->volumes->free(daemon->volumes);
    g_clear_pointer(&daemon->pools, g_hash_table_unref);
    virga_http_client_free(daemon->virgad);
    g_free(daemon->virgad_address);
    g_free(daemon->host_name);
    g_free(daemon->host_id);
    g_free(daemon->directory);
}

static gboolean
on_signal(gpointer loop)
{
    g_main_loop_quit(loop);
    return G_SOURCE_CONTINUE;
}

static int
run(VirgaConfig *config)
{
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    g_autoptr(GError) error = NULL;
    Daemon daemon = { .config = config, .directory = virga_config_path(config, "node") };
    bool started;

    g_unix_signal_add(SIGTERM, on_signal, loop);
    g_unix_signal_add(SIGINT, on_signal, loop);
    started = start(&daemon, &error);
    if (started)
        g_main_loop_run(loop);
    else
        virga_log(G_LOG_LEVEL_CRITICAL, "virga-node", NULL, "%s", error->message);
    stop(&daemon);
    return started ? 0 : 1;
}

int
main(int argc, char **argv)
{
    int status = 0;
    g_autoptr(VirgaConfig) config =
        virga_daemon_begin(argc, argv, "virga-node", "- the host's part of Virga", &status);

    if (!config)
        return status;
    umask(0022);
    return run(config);
}
