/* SPDX-License-Identifier: Apache-2.0 */
/* The AWS dialect over a database, without daemons: what tests/db talks to.
 *
 *     api-server DSN STATE-DIRECTORY
 *
 * Prints its port.  Two accounts whose administrators have fixed keys.  POST /control/keys writes
 * their last use, POST /control/credentials tells what a host gets for an instance (body: "HOST
 * INSTANCE").  One host that is made by POST /control/host
 * (body: "ID VCPUS MEMORY-MIB") and does what it is told by POST /control/settle; the body of POST
 * /control/answer is what it answers to questions.  The moments of snapshots pass by themselves
 * unless POST /control/hold (body: "1") says that they shall not.  Imports are worked on, and the
 * store, STATE-DIRECTORY/store, is scrubbed.  Ends with its standard input. */
#include "api/edge.h"
#include "api/import-worker.h"
#include "api/key-cache.h"
#include "api/node-credentials.h"
#include "api/rights.h"
#include "api/scrubber.h"
#include "api/services.h"
#include "compute/host-wish.h"
#include "compute/host.h"
#include "compute/image.h"
#include "compute/instance.h"
#include "compute/nat-gateway.h"
#include "compute/question.h"
#include "core/error.h"
#include "core/quota.h"
#include "ec2.h"
#include "efs.h"
#include "elbv2.h"
#include "iam.h"
#include "network/load-balancer.h"
#include "network/target-group.h"
#include "network/interface.h"
#include "network/vpc.h"
#include "storage/snapshot.h"
#include "storage/volume.h"
#include "sts.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
    const char *key_id, *account_id;
} Account;

static const Account accounts[] = {
    { "AKIAVIRGATEST0000001", "000000000001" },
    { "AKIAVIRGATEST0000002", "000000000002" },
};
#define SECRET "secret"

static const char sql_account[] =
    "INSERT INTO account (id, name) VALUES ($1, $1) ON CONFLICT DO NOTHING";
static const char sql_key[] =
    "INSERT INTO access_key (id, account_id, principal, user_id, secret)"
    " VALUES ($1, $2, 'arn:aws:iam::' || $2 || ':root', $2, $3) ON CONFLICT DO NOTHING";
static const char sql_guests[] =
    "SELECT i.id, i.host_id, i.generation, i.wish, i.reboots,"
    " (SELECT array_agg(a.volume_id) FROM volume_attachment a WHERE a.instance_id = i.id),"
    " (SELECT array_agg(n.id) FROM network_interface n WHERE n.instance_id = i.id"
    "  AND n.transition IS DISTINCT FROM 'detaching'),"
    " (SELECT coalesce(array_agg(a.volume_id), '{}') FROM volume_attachment a"
    "  WHERE a.instance_id = i.id AND a.transition IS DISTINCT FROM 'detaching')"
    " FROM instance i WHERE i.host_id IS NOT NULL ORDER BY i.id";

static const char sql_plans[] =
    "SELECT h.id, array_agg(v.id ORDER BY v.id), array_agg(v.generation ORDER BY v.id)"
    " FROM host h, vpc v GROUP BY h.id";
static const char sql_doomed[] =
    "SELECT array_agg(id), host_id FROM volume v WHERE deleting AND host_id IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM snapshot s WHERE s.volume_id = v.id AND s.state = 'pending')"
    " GROUP BY host_id ORDER BY host_id";
static const char sql_uncut[] =
    "SELECT id, host_id FROM snapshot WHERE state = 'pending' AND NOT cut";
static const char sql_pending[] =
    "SELECT id, host_id FROM snapshot WHERE state = 'pending' ORDER BY created, id";
static const char sql_questions[] = "SELECT id, host_id FROM host_question WHERE answered IS NULL";

static VirgaServices services;
static VirgaKeyCache *keys;
static VirgaRightsCache *rights;
static VirgaImportWorker *importer;
static VirgaScrubber *scrubber;

/* Accounts as they begin: each with its default VPC, which it gets once. */
static bool
make_accounts(GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(services.db, error);

    for (size_t i = 0; txn && i < G_N_ELEMENTS(accounts); i++)
        if (!virga_txn_run(txn, error, NULL, sql_account, "s", accounts[i].account_id) ||
            !virga_vpc_create_default(txn, accounts[i].account_id,
                                      (const char *const *) services.zones, error) ||
            !virga_txn_run(txn, error, NULL, sql_key, "sss", accounts[i].key_id,
                           accounts[i].account_id, SECRET))
            return false;
    return txn && virga_txn_commit(txn, error);
}

static bool
set_up(const char *pool, GError **error)
{
    g_autoptr(VirgaTxn) txn = NULL;

    if (!virga_db_migrate(services.db, error))
        return false;
    txn = virga_db_begin(services.db, error);
    if (!txn || !virga_public_pool_set(txn, pool, error) ||
        !virga_quota_configure(txn, services.config, error))
        return false;
    return virga_txn_commit(txn, error) && make_accounts(error);
}

/* ---- the simulated host ---- */

static bool
report_host(const char *text, GError **error)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    g_autoptr(VirgaTxn) txn = virga_db_begin(services.db, error);
    VirgaHost host = { .version = (char *) "test",
                       .hypervisor = (char *) "fake",
                       .zone = services.zones[0],
                       .disk_free_gib = 1000 };

    if (!txn)
        return false;
    g_assert(g_strv_length(words) == 3);
    host.id = host.name = words[0];
    host.vcpus = g_ascii_strtoll(words[1], NULL, 10);
    host.memory_mib = g_ascii_strtoll(words[2], NULL, 10);
    return virga_host_report(txn, &host, error) && virga_txn_commit(txn, error);
}

static VirgaPower
power_of(const char *wish)
{
    return g_str_equal(wish, "run")    ? VIRGA_POWER_RUNNING
           : g_str_equal(wish, "stop") ? VIRGA_POWER_OFF
                                       : VIRGA_POWER_ABSENT;
}

/* The bytes of those that shall go are gone. */
static bool
delete_volumes(GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(services.db, error);
    g_autoptr(VirgaRows) rows = txn ? virga_txn_query(txn, error, sql_doomed, "") : NULL;

    for (int i = 0; rows && i < virga_rows_count(rows); i++) {
        g_auto(GStrv) ids = virga_rows_array(rows, i, 0);

        if (!virga_volume_gone(txn, virga_rows_text(rows, i, 1), (const char *const *) ids, error))
            return false;
    }
    return rows && virga_txn_commit(txn, error);
}

#define SNAPSHOT_BYTES 4096

/* Copies of all snapshots are in the store. */
static bool
copy_snapshots(GError **error)
{
    g_autoptr(VirgaTxn) read = virga_db_read(services.db, error);
    g_autoptr(VirgaRows) rows = read ? virga_txn_query(read, error, sql_pending, "") : NULL;

    for (int i = 0; rows && i < virga_rows_count(rows); i++) {
        g_autoptr(VirgaTxn) txn = virga_db_begin(services.db, error);

        if (!txn ||
            !virga_snapshot_complete(txn, virga_rows_text(rows, i, 1), virga_rows_text(rows, i, 0),
                                     SNAPSHOT_BYTES, "x", false, error) ||
            !virga_image_settle(txn, virga_rows_text(rows, i, 0), error) ||
            !virga_txn_commit(txn, error))
            return false;
    }
    return rows != NULL;
}

static int held, ended; /* atomic */

static bool
cut_snapshots(GError **error)
{
    g_autoptr(VirgaTxn) read = virga_db_read(services.db, error);
    g_autoptr(VirgaRows) rows = read ? virga_txn_query(read, error, sql_uncut, "") : NULL;

    for (int i = 0; rows && i < virga_rows_count(rows); i++) {
        g_autoptr(VirgaTxn) txn = virga_db_begin(services.db, error);
        const char *ids[] = { virga_rows_text(rows, i, 0), NULL };

        if (!txn || !virga_snapshot_note_cut(txn, virga_rows_text(rows, i, 1), ids, error) ||
            !virga_txn_commit(txn, error))
            return false;
    }
    return rows != NULL;
}

static gpointer
cut_main(gpointer data)
{
    while (!g_atomic_int_get(&ended)) {
        g_autoptr(GError) error = NULL;

        if (!g_atomic_int_get(&held) && !cut_snapshots(&error))
            g_warning("%s", error->message);
        g_usleep(20000);
    }
    return NULL;
}

/* Every guest becomes what it is wished to be. */
static bool
settle(GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(VirgaTxn) txn = virga_db_read(services.db, error);
    g_autoptr(VirgaRows) rows = txn ? virga_txn_query(txn, error, sql_guests, "") : NULL;
    g_autoptr(GPtrArray) made = g_ptr_array_new_with_free_func((GDestroyNotify) g_strfreev);
    g_autofree char *console = g_base64_encode((const guchar *) "login: ", 7);

    for (int i = 0; rows && i < virga_rows_count(rows); i++) {
        VirgaInstanceFacts facts = { .id = virga_rows_text(rows, i, 0),
                                     .generation = virga_rows_int(rows, i, 2),
                                     .power = power_of(virga_rows_text(rows, i, 3)),
                                     .reboots_done = virga_rows_int(rows, i, 4),
                                     .reachable = "ok",
                                     .console = console };
        char **forget;

        g_ptr_array_add(made, virga_rows_array(rows, i, 5));
        facts.made = made->pdata[made->len - 1];
        g_ptr_array_add(made, virga_rows_array(rows, i, 6));
        facts.ports = made->pdata[made->len - 1];
        g_ptr_array_add(made, virga_rows_array(rows, i, 7));
        facts.disks = made->pdata[made->len - 1];
        if (!virga_instance_report(services.db, arena, virga_rows_text(rows, i, 1), &facts, 1,
                                   &forget, error))
            return false;
    }
    return rows != NULL && copy_snapshots(error) && delete_volumes(error);
}

/* All hosts have applied the plans of all VPCs. */
static bool
settle_plans(GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(services.db, error);
    g_autoptr(VirgaRows) rows = txn ? virga_txn_query(txn, error, sql_plans, "") : NULL;

    for (int i = 0; rows && i < virga_rows_count(rows); i++) {
        g_auto(GStrv) ids = virga_rows_array(rows, i, 1);
        g_auto(GStrv) generations = virga_rows_array(rows, i, 2);

        if (!virga_nat_gateway_report(services.db, virga_rows_text(rows, i, 0),
                                      (const char *const *) ids, (const char *const *) generations,
                                      error))
            return false;
    }
    return rows != NULL;
}

static bool
ask_credentials(const char *text, char **ret, GError **error)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);

    g_assert(g_strv_length(words) == 2);
    *ret = virga_node_credentials(&services, words[0], words[1], error);
    return *ret != NULL;
}

/* All open questions are answered: by 'text', or as failures if it begins with "!". */
static bool
answer_questions(const char *text, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(services.db, error);
    g_autoptr(VirgaRows) rows = txn ? virga_txn_query(txn, error, sql_questions, "") : NULL;
    bool fails = text[0] == '!';

    for (int i = 0; rows && i < virga_rows_count(rows); i++)
        if (!virga_question_answer(txn, virga_rows_text(rows, i, 1), virga_rows_text(rows, i, 0),
                                   fails ? NULL : text, fails ? text + 1 : NULL, error))
            return false;
    return rows && virga_txn_commit(txn, error);
}

/* The plan of a VPC as hosts are sent it. */
static bool
tell_plan(const char *vpc_id, char **ret, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(services.db, error);

    *ret = txn ? virga_host_plan(txn, vpc_id, services.region, error) : NULL;
    return *ret != NULL;
}

/* "HOST VPC GROUP ADDRESS PORT STATE [REASON [CODE]]": all that the host knows of the VPC, whose
 * newest plan it has applied. */
static bool
report_health(const char *text, GError **error)
{
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    guint count = g_strv_length(words);
    const char *lists[6][2] = { { NULL } };
    VirgaTargetReport report = { lists[0], lists[1], lists[2], lists[3], lists[4], lists[5] };
    g_autoptr(VirgaTxn) txn = virga_db_begin(services.db, error);

    g_assert(count >= 6);
    for (guint i = 0; i < 6; i++)
        lists[i][0] = i + 2 < count ? words[i + 2] : "";
    return txn && virga_target_note_health(txn, words[0], words[1], &report, error) &&
           virga_load_balancer_note_applied(txn, words[0], words[1], G_MAXINT64, error) &&
           virga_txn_commit(txn, error);
}

/* "early": as after a long absence. */
static bool
sweep(const char *when, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(services.db, error);
    bool may_move = !g_str_equal(when, "early");

    return txn && virga_load_balancer_sweep(txn, may_move, error) && virga_txn_commit(txn, error) &&
           virga_nat_gateway_sweep(services.db, may_move, error);
}

static VirgaHttpOutcome
handle(VirgaHttpExchange *exchange, const VirgaHttpRequest *request,
       VirgaHttpResponse **ret_response, gpointer edge)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *said = NULL;
    bool done;

    if (!g_str_has_prefix(request->path, "/control/"))
        return virga_edge_handle(exchange, request, ret_response, edge);
    if (g_str_equal(request->path, "/control/host"))
        done = report_host((const char *) request->body, &error);
    else if (g_str_equal(request->path, "/control/keys"))
        done = virga_key_cache_write(keys, &error);
    else if (g_str_equal(request->path, "/control/credentials"))
        done = ask_credentials((const char *) request->body, &said, &error);
    else if (g_str_equal(request->path, "/control/plan"))
        done = tell_plan((const char *) request->body, &said, &error);
    else if (g_str_equal(request->path, "/control/health"))
        done = report_health((const char *) request->body, &error);
    else if (g_str_equal(request->path, "/control/sweep"))
        done = sweep((const char *) request->body, &error);
    else if (g_str_equal(request->path, "/control/answer"))
        done = answer_questions((const char *) request->body, &error);
    else if (g_str_equal(request->path, "/control/hold")) {
        g_atomic_int_set(&held, request->body_size > 0);
        done = true;
    } else if (g_str_equal(request->path, "/control/accounts"))
        done = make_accounts(&error);
    else
        done = settle(&error) && settle_plans(&error);
    *ret_response = virga_http_response_new(
        done ? 200 : 500, "text/plain",
        g_bytes_new(done ? said : error->message, !done  ? strlen(error->message)
                                                  : said ? strlen(said)
                                                         : 0));
    return VIRGA_HTTP_NOW;
}

static void
on_change(const char *channel, const char *payload, gpointer data)
{
    virga_key_cache_flush(keys);
    virga_rights_cache_flush(rights);
    virga_import_worker_wake(importer);
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    char *zones[] = { (char *) "us-east-1a", (char *) "us-east-1b", NULL };
    VirgaEdgeOptions edge_options = { .region = "us-east-1",
                                      .lookup = virga_key_cache_find,
                                      .used = virga_key_cache_used,
                                      .services = &services };
    VirgaHttpOptions http_options = { .handler = handle };
    const char *const channels[] = { "virga_key", "virga_import", NULL };
    VirgaDbListener *listener;
    g_autoptr(VirgaEdge) edge = NULL;
    VirgaHttpServer *server;
    GThread *cutter;
    char byte;
    int fd;

    g_assert(argc == 3);
    services = (VirgaServices){ .config = virga_config_load("/nonexistent", argv[2], &error),
                                .db = virga_db_new(argv[1], 10),
                                .pager = virga_pager_new("test", 4),
                                .sealer = virga_sealer_new("test", 4),
                                .region = (char *) "us-east-1",
                                .zones = zones };
    if (!services.config || !set_up("198.18.0.0/20", &error))
        g_error("%s", error->message);
    keys = virga_key_cache_new(services.db, services.sealer);
    rights = virga_rights_cache_new(services.db);
    services.store = virga_config_path(services.config, "store");
    importer = virga_import_worker_new(&services);
    scrubber = virga_scrubber_new(&services);
    listener = virga_db_listen(argv[1], channels, on_change, NULL);
    edge_options.db = services.db;
    edge_options.lookup_data = keys;
    edge_options.rights = rights;
    edge = virga_edge_new(&edge_options);
    virga_edge_add(edge, &ec2_service);
    virga_edge_add(edge, &efs_service);
    virga_edge_add(edge, &elbv2_service);
    virga_edge_add(edge, &iam_service);
    virga_edge_add(edge, &sts_service);
    http_options.user_data = edge;
    fd = virga_http_listen_tcp("127.0.0.1:0", &error);
    server = fd < 0 ? NULL : virga_http_server_new(fd, &http_options, &error);
    if (!server)
        g_error("%s", error->message);
    cutter = g_thread_new("cut", cut_main, NULL);
    printf("%u\n", virga_http_server_port(server));
    fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
    virga_http_server_stop(server, 1000);
    g_atomic_int_set(&ended, 1);
    g_thread_join(cutter);
    virga_db_listener_free(listener);
    virga_import_worker_free(importer);
    virga_scrubber_free(scrubber);
    g_free(services.store);
    virga_key_cache_free(keys);
    virga_rights_cache_free(rights);
    virga_pager_free(services.pager);
    virga_sealer_free(services.sealer);
    virga_db_free(services.db);
    virga_config_unref(services.config);
    return 0;
}
