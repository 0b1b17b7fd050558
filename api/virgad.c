/* SPDX-License-Identifier: Apache-2.0 */
/* virgad: the controller.  Serves the AWS dialect on TCP, hosts and operators on a Unix socket.
 * Any number may run on one database; each is as good as another. */
#include "api/edge.h"
#include "api/import-worker.h"
#include "api/key-cache.h"
#include "api/node-api.h"
#include "api/node-keys.h"
#include "api/operator.h"
#include "api/rights.h"
#include "api/scrubber.h"
#include "api/services.h"
#include "api/snapshot-encryption.h"
#include "api/store.h"

#include "compute/nat-gateway.h"
#include "compute/instance.h"
#include "core/daemon.h"
#include "core/error.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/quota.h"
#include "network/interface.h"
#include "network/load-balancer.h"

#include "ec2.h"
#include "efs.h"
#include "elbv2.h"
#include "iam.h"
#include "sts.h"

#include <glib-unix.h>
#include <gnutls/crypto.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define SWEEP_S           15
#define DRAIN_MS          3000
#define DATABASE_PATIENCE 60 /* seconds until a database that does not answer ends the start */
#define PAGE_SECRET       "pages"
#define SESSION_SECRET    "sessions"
#define UPLOAD_PREFIX     "/operator/v1/"

static const char sql_secret_add[] =
    "INSERT INTO secret (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
static const char sql_secret[] = "SELECT value FROM secret WHERE name = $1";

typedef struct {
    VirgaServices services;
    VirgaEdge *edge;
    VirgaKeyCache *keys;
    VirgaRightsCache *rights;
    VirgaNodeApi *node_api;
    VirgaImportWorker *importer;
    VirgaScrubber *scrubber;
    VirgaEncryptor *encryptor;
    VirgaHttpServer *tcp, *local;
    VirgaDbListener *listener;
    GMainLoop *loop;
    GThread *sweeper;
    GMutex lock;
    GCond stop;
    bool stopping;
} Virgad;

static char *
make_dsn(const VirgaConfig *config)
{
    const char *dsn = virga_config_text(config, "database", "dsn");
    g_autofree char *run = virga_config_path(config, "run");

    /* A lost answer must not hold a worker for ever. */
    return g_strdup_printf("%s%s%s connect_timeout=5 application_name=virgad",
                           *dsn ? dsn : "host=", *dsn ? "" : run,
                           *dsn ? "" : " dbname=virga user=virga");
}

static char **
make_zones(const VirgaConfig *config, const char *region)
{
    g_auto(GStrv) letters = g_strsplit(virga_config_text(config, "cloud", "zones"), ",", -1);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    for (char **letter = letters; *letter; letter++) {
        g_autofree char *zone = g_strconcat(region, g_strstrip(*letter), NULL);

        g_strv_builder_add(builder, zone);
    }
    return g_strv_builder_end(builder);
}

/* ---- the database ---- */

static bool
prepare_database(Virgad *virgad, GError **error)
{
    VirgaServices *services = &virgad->services;
    g_autoptr(VirgaTxn) txn = NULL;

    if (!virga_db_migrate(services->db, error))
        return false;
    txn = virga_db_begin(services->db, error);
    return txn &&
           virga_public_pool_set(txn, virga_config_text(services->config, "network", "public-pool"),
                                 error) &&
           virga_quota_configure(txn, services->config, error) && virga_txn_commit(txn, error);
}

/* At the machine's start the database may come up after us. */
static bool
await_database(Virgad *virgad, GError **error)
{
    gint64 deadline = g_get_monotonic_time() + DATABASE_PATIENCE * G_USEC_PER_SEC;

    for (;;) {
        g_autoptr(GError) reason = NULL;

        if (prepare_database(virgad, &reason))
            return true;
        if (!virga_error_is(reason, NULL, VIRGA_ERROR_RETRY) || g_get_monotonic_time() > deadline) {
            g_propagate_error(error, g_steal_pointer(&reason));
            return false;
        }
        g_usleep(VIRGA_RECONNECT_MS * 1000);
    }
}

/* A secret that the replicas share: made by whoever starts first.  The caller's. */
static char *
load_secret(VirgaDb *db, const char *name, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(db, error);
    g_autoptr(VirgaRows) rows = NULL;
    g_autofree char *fresh = NULL;
    guint8 bytes[32];

    if (!txn)
        return NULL;
    gnutls_rnd(GNUTLS_RND_KEY, bytes, sizeof bytes);
    fresh = g_base64_encode(bytes, sizeof bytes);
    if (!virga_txn_run(txn, error, NULL, sql_secret_add, "ss", name, fresh))
        return NULL;
    rows = virga_txn_query(txn, error, sql_secret, "s", name);
    if (!rows || !virga_txn_commit(txn, error))
        return NULL;
    return g_strdup(virga_rows_text(rows, 0, 0));
}

/* What signs pagination tokens, and what seals sessions. */
static bool
load_secrets(VirgaServices *services, GError **error)
{
    g_autofree char *pages = load_secret(services->db, PAGE_SECRET, error);
    g_autofree char *sessions = pages ? load_secret(services->db, SESSION_SECRET, error) : NULL;

    if (!sessions)
        return false;
    services->pager = virga_pager_new(pages, strlen(pages));
    services->sealer = virga_sealer_new(sessions, strlen(sessions));
    return true;
}

/* Without it the cloud works, but for what is encrypted. */
static void
prepare_keyring(const VirgaServices *services)
{
    g_autoptr(GError) error = NULL;

    if (!virga_node_keys_prepare(services, &error))
        virga_log(G_LOG_LEVEL_CRITICAL, "virgad", NULL,
                  "the key-encryption keys cannot be had, so that encrypted volumes cannot be "
                  "opened: %s",
                  error->message);
}

/* ---- hints and the regular look ---- */

static void
on_notification(const char *channel, const char *payload, gpointer data)
{
    Virgad *virgad = data;

    if (!channel || g_str_equal(channel, "virga_key")) {
        virga_key_cache_flush(virgad->keys);
        virga_rights_cache_flush(virgad->rights);
    }
    if (!channel || g_str_equal(channel, "virga_import"))
        virga_import_worker_wake(virgad->importer);
    if (!channel || g_str_equal(channel, "virga_snapshot"))
        virga_encryptor_wake(virgad->encryptor);
    if (channel && !g_str_equal(channel, "virga_host") && !g_str_equal(channel, "virga_vpc"))
        return;
    /* A VPC's hosts are known to the database alone: all that wait look. */
    virga_node_api_wake(virgad->node_api, g_strcmp0(channel, "virga_host") == 0 ? payload : NULL);
}

static bool
sweep_balancers(Virgad *virgad, bool may_move, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(virgad->services.db, error);

    return txn && virga_load_balancer_sweep(txn, may_move, error) && virga_txn_commit(txn, error);
}

/* After we were away or stood still, or the database was gone, all hosts seem to have been silent:
 * what they carry is not moved before they had the time to tell that they are there. */
static gpointer
sweep_main(gpointer data)
{
    Virgad *virgad = data;
    gint64 calm_since = g_get_monotonic_time(), former = calm_since;

    g_mutex_lock(&virgad->lock);
    while (!virgad->stopping) {
        g_autoptr(GError) error = NULL;
        gint64 now = g_get_monotonic_time();
        bool may_move;

        if (now - former > 2 * SWEEP_S * G_USEC_PER_SEC)
            calm_since = now;
        former = now;
        may_move = now - calm_since > VIRGA_HOST_LOST_S * G_USEC_PER_SEC;
        g_mutex_unlock(&virgad->lock);
        if (!virga_instance_sweep(virgad->services.db, &error)) {
            virga_notice("database", NULL, "could not sweep: %s", error->message);
            calm_since = now;
            may_move = false;
        }
        g_clear_error(&error);
        if (!sweep_balancers(virgad, may_move, &error))
            virga_notice("database", NULL, "could not sweep: %s", error->message);
        g_clear_error(&error);
        if (!virga_nat_gateway_sweep(virgad->services.db, may_move, &error))
            virga_notice("database", NULL, "could not sweep NAT gateways: %s", error->message);
        g_clear_error(&error);
        if (!virga_store_collect(&virgad->services, &error))
            virga_notice("database", NULL, "could not sweep snapshots: %s", error->message);
        g_clear_error(&error);
        if (!virga_key_cache_write(virgad->keys, &error))
            virga_notice("database", NULL, "could not note the use of keys: %s", error->message);
        g_mutex_lock(&virgad->lock);
        if (!virgad->stopping)
            g_cond_wait_until(&virgad->stop, &virgad->lock,
                              g_get_monotonic_time() + SWEEP_S * G_USEC_PER_SEC);
    }
    g_mutex_unlock(&virgad->lock);
    return NULL;
}

/* ---- listeners ---- */

static VirgaHttpOutcome
handle_local(VirgaHttpExchange *exchange, const VirgaHttpRequest *request,
             VirgaHttpResponse **ret_response, gpointer data)
{
    Virgad *virgad = data;

    if (g_str_has_prefix(request->path, "/node/v1/"))
        return virga_node_api_handle(virgad->node_api, exchange, request, ret_response);
    return virga_operator_handle(exchange, request, ret_response, &virgad->services);
}

static VirgaHttpResponse *
on_local_headers(const VirgaHttpRequest *request, VirgaHttpSink *sink, gpointer data)
{
    Virgad *virgad = data;

    if (g_str_has_prefix(request->path, UPLOAD_PREFIX))
        return virga_operator_sink(request, sink, &virgad->services);
    return NULL;
}

static bool
serve_tcp(Virgad *virgad, GError **error)
{
    const VirgaConfig *config = virgad->services.config;
    VirgaHttpOptions options = {
        .handler = virga_edge_handle,
        .reject = virga_edge_reject,
        .user_data = virgad->edge,
        .workers = (unsigned) virga_config_int(config, "api", "workers"),
        .connections = (unsigned) virga_config_int(config, "api", "connections"),
        .body_limit = VIRGA_BODY_BYTES_MAX,
    };
    const char *address = virga_config_text(config, "api", "listen");
    int fd = virga_http_listen_tcp(address, error);

    if (fd < 0)
        return false;
    virgad->tcp = virga_http_server_new(fd, &options, error);
    if (virgad->tcp)
        virga_notice("api", NULL, "listens on %s", address);
    return virgad->tcp != NULL;
}

static bool
serve_local(Virgad *virgad, GError **error)
{
    g_autofree char *path = virga_config_path(virgad->services.config, "run/virgad.sock");
    VirgaHttpOptions options = { .handler = handle_local,
                                 .on_headers = on_local_headers,
                                 .user_data = virgad,
                                 .body_limit = VIRGA_NODE_BODY_BYTES_MAX };
    int fd = virga_http_listen_unix(path, 0600, error);

    if (fd < 0)
        return false;
    virgad->local = virga_http_server_new(fd, &options, error);
    return virgad->local != NULL;
}

static bool
start(Virgad *virgad, GError **error)
{
    static const char *const channels[] = { "virga_host",   "virga_vpc",      "virga_key",
                                            "virga_import", "virga_snapshot", NULL };
    VirgaServices *services = &virgad->services;
    g_autofree char *dsn = make_dsn(services->config);
    VirgaEdgeOptions options = {
        .region = services->region,
        .any_region = virga_config_bool(services->config, "cloud", "any-region"),
        .lookup = virga_key_cache_find,
        .used = virga_key_cache_used,
        .services = services,
    };

    services->db =
        virga_db_new(dsn, (unsigned) virga_config_int(services->config, "database", "connections"));
    if (!await_database(virgad, error) || !load_secrets(services, error))
        return false;
    prepare_keyring(services);
    virgad->keys = virga_key_cache_new(services->db, services->sealer);
    virgad->rights = virga_rights_cache_new(services->db);
    options.lookup_data = virgad->keys;
    options.rights = virgad->rights;
    options.db = services->db;
    virgad->edge = virga_edge_new(&options);
    virga_edge_add(virgad->edge, &ec2_service);
    virga_edge_add(virgad->edge, &efs_service);
    virga_edge_add(virgad->edge, &elbv2_service);
    virga_edge_add(virgad->edge, &iam_service);
    virga_edge_add(virgad->edge, &sts_service);
    virgad->node_api = virga_node_api_new(services);
    virgad->importer = virga_import_worker_new(services);
    virgad->scrubber = virga_scrubber_new(services);
    virgad->encryptor = virga_encryptor_new(services);
    virgad->listener = virga_db_listen(dsn, channels, on_notification, virgad);
    virgad->sweeper = g_thread_new("sweep", sweep_main, virgad);
    return serve_local(virgad, error) && serve_tcp(virgad, error);
}

static void
stop(Virgad *virgad)
{
    g_mutex_lock(&virgad->lock);
    virgad->stopping = true;
    g_cond_broadcast(&virgad->stop);
    g_mutex_unlock(&virgad->lock);
    g_clear_pointer(&virgad->listener, virga_db_listener_free);
    if (virgad->sweeper)
        g_thread_join(virgad->sweeper);
    g_clear_pointer(&virgad->encryptor, virga_encryptor_free);
    /* First the polls, so that the server need not wait for them. */
    g_clear_pointer(&virgad->node_api, virga_node_api_free);
    g_clear_pointer(&virgad->importer, virga_import_worker_free);
    g_clear_pointer(&virgad->scrubber, virga_scrubber_free);
    if (virgad->tcp)
        virga_http_server_stop(virgad->tcp, DRAIN_MS);
    if (virgad->local)
        virga_http_server_stop(virgad->local, DRAIN_MS);
    g_clear_pointer(&virgad->edge, virga_edge_free);
    g_clear_pointer(&virgad->keys, virga_key_cache_free);
    g_clear_pointer(&virgad->rights, virga_rights_cache_free);
    g_clear_pointer(&virgad->services.sealer, virga_sealer_free);
    g_clear_pointer(&virgad->services.pager, virga_pager_free);
    g_clear_pointer(&virgad->services.db, virga_db_free);
}

static gboolean
on_signal(gpointer data)
{
    g_main_loop_quit(((Virgad *) data)->loop);
    return G_SOURCE_CONTINUE;
}

static int
run(VirgaConfig *config)
{
    Virgad virgad = { .services = { .config = config } };
    g_autoptr(GError) error = NULL;
    bool started;

    virgad.services.region = g_strdup(virga_config_text(config, "cloud", "region"));
    virgad.services.zones = make_zones(config, virgad.services.region);
    virgad.services.store = virga_config_path(config, "store");
    virgad.loop = g_main_loop_new(NULL, FALSE);
    g_unix_signal_add(SIGTERM, on_signal, &virgad);
    g_unix_signal_add(SIGINT, on_signal, &virgad);
    started = start(&virgad, &error);
    if (started)
        g_main_loop_run(virgad.loop);
    else
        virga_log(G_LOG_LEVEL_CRITICAL, "virgad", NULL, "%s", error->message);
    stop(&virgad);
    g_main_loop_unref(virgad.loop);
    g_strfreev(virgad.services.zones);
    g_free(virgad.services.region);
    g_free(virgad.services.store);
    return started ? 0 : 1;
}

int
main(int argc, char **argv)
{
    int status = 0;
    g_autoptr(VirgaConfig) config =
        virga_daemon_begin(argc, argv, "virgad", "- the controller of a Virga cloud", &status);

    if (!config)
        return status;
    umask(0077);
    return run(config);
}
