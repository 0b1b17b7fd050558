/* SPDX-License-Identifier: Apache-2.0 */
/* Many threads launch, stop, start and end instances on three small hosts.  At every moment that
 * somebody looks, claims are what the claimed instances need, and never more than there is. */
#include "cloud.h"

#include "core/error.h"

#define THREADS 8
#define ROUNDS  25

static const char *const hosts[] = { "h-0a000000000000001", "h-0a000000000000002",
                                     "h-0a000000000000003" };

typedef struct {
    Cloud *cloud;
    guint32 seed;
    unsigned launched, refused, lost_races;
} Worker;

/* Loses a race at times: then the caller asks again, as every client does. */
static bool
again(Worker *worker, GError **error)
{
    if (!virga_error_is(*error, "database", VIRGA_ERROR_RETRY))
        return false;
    worker->lost_races++;
    g_clear_error(error);
    return true;
}

static char *
launch(Worker *worker, VirgaArena *arena, gint64 count)
{
    VirgaInstanceSpec spec = cloud_spec(worker->cloud);
    g_autoptr(GError) error = NULL;
    VirgaReservation made;

    spec.count_max = count;
    spec.public_address = 0;
    while (!virga_instance_create(worker->cloud->db, worker->cloud->config, arena, &spec, &made,
                                  NULL, &error)) {
        if (again(worker, &error))
            continue;
        if (!virga_error_is(error, "instance", VIRGA_ERROR_CAPACITY))
            g_error("launch: %s", error->message);
        worker->refused++;
        return NULL;
    }
    worker->launched++;
    return made.id;
}

static void
report(Worker *worker, VirgaArena *arena, const VirgaInstance *instance, VirgaPower power)
{
    VirgaInstanceFacts facts = { .id = instance->id, .generation = 1 << 30, .power = power };
    g_autoptr(GError) error = NULL;
    char **forget;

    while (!virga_instance_report(worker->cloud->db, arena, instance->host_id, &facts, 1, &forget,
                                  &error))
        if (!again(worker, &error))
            g_error("report: %s", error->message);
}

typedef bool (*Verb)(VirgaDb *db, VirgaArena *arena, const char *account_id, const char *const *ids,
                     bool dry_run, VirgaInstanceChange **ret, GError **error);

static bool
stop(VirgaDb *db, VirgaArena *arena, const char *account_id, const char *const *ids, bool dry_run,
     VirgaInstanceChange **ret, GError **error)
{
    return virga_instance_stop(db, arena, account_id, ids, false, dry_run, ret, error);
}

static bool
wish(Worker *worker, VirgaArena *arena, const VirgaInstance *instances, size_t count, Verb verb)
{
    const char **ids = virga_arena_new_array(arena, const char *, count + 1);
    g_autoptr(GError) error = NULL;
    VirgaInstanceChange *changes;

    for (size_t i = 0; i < count; i++)
        ids[i] = instances[i].id;
    while (!verb(worker->cloud->db, arena, ACCOUNT, ids, false, &changes, &error)) {
        if (again(worker, &error))
            continue;
        if (!virga_error_is(error, "instance", VIRGA_ERROR_CAPACITY))
            g_error("wish: %s", error->message);
        return false;
    }
    return true;
}

static void
report_all(Worker *worker, VirgaArena *arena, const VirgaInstance *instances, size_t count,
           VirgaPower power)
{
    for (size_t i = 0; i < count; i++)
        report(worker, arena, &instances[i], power);
}

static void
live(Worker *worker, VirgaArena *arena, const char *reservation_id, bool with_stop)
{
    g_autoptr(GError) error = NULL;
    VirgaTxn *txn = virga_db_read(worker->cloud->db, &error);
    VirgaInstance *instances;
    size_t count;

    virga_instance_list(txn, arena, ACCOUNT, NULL, reservation_id, &instances, &count, &error);
    virga_txn_free(txn);
    g_assert_no_error(error);
    g_assert_cmpuint(count, >, 0);
    report_all(worker, arena, instances, count, VIRGA_POWER_RUNNING);
    if (with_stop) {
        wish(worker, arena, instances, count, stop);
        report_all(worker, arena, instances, count, VIRGA_POWER_OFF);
        if (wish(worker, arena, instances, count, virga_instance_start))
            report_all(worker, arena, instances, count, VIRGA_POWER_RUNNING);
    }
    wish(worker, arena, instances, count, virga_instance_terminate);
    report_all(worker, arena, instances, count, VIRGA_POWER_ABSENT);
}

static gpointer
work(gpointer data)
{
    Worker *worker = data;
    g_autoptr(GRand) rand = g_rand_new_with_seed(worker->seed);

    for (int i = 0; i < ROUNDS; i++) {
        g_autoptr(VirgaArena) arena = virga_arena_new();
        char *reservation_id = launch(worker, arena, g_rand_int_range(rand, 1, 4));

        if (reservation_id)
            live(worker, arena, reservation_id, g_rand_boolean(rand));
    }
    return NULL;
}

/* Looks at one moment of the database, while the others work. */
static gpointer
look(gpointer data)
{
    Worker *worker = data;
    Cloud mine = *worker->cloud;

    mine.arena = virga_arena_new();
    while (!g_atomic_int_get(&worker->seed)) {
        cloud_assert_claims(&mine);
        g_assert_cmpint(cloud_number(&mine, "SELECT count(*) - count(DISTINCT (subnet_id, address))"
                                            " FROM network_interface"),
                        ==, 0);
        g_usleep(2000);
    }
    virga_arena_free(mine.arena);
    return NULL;
}

static void
test_crowd(Cloud *cloud, gconstpointer data)
{
    GThread *threads[THREADS], *looker;
    Worker workers[THREADS], watch = { .cloud = cloud };
    unsigned launched = 0, refused = 0, lost_races = 0;

    cloud_run(cloud, "UPDATE host SET trouble = 'not of this test'");
    for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++)
        cloud_host(cloud, hosts[i], "us-east-1a", 3);
    looker = g_thread_new("look", look, &watch);
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (Worker){ .cloud = cloud, .seed = i + 1 };
        threads[i] = g_thread_new("work", work, &workers[i]);
    }
    for (int i = 0; i < THREADS; i++) {
        g_thread_join(threads[i]);
        launched += workers[i].launched;
        refused += workers[i].refused;
        lost_races += workers[i].lost_races;
    }
    g_atomic_int_set(&watch.seed, 1);
    g_thread_join(looker);
    g_test_message("%u launched, %u refused, %u races lost", launched, refused, lost_races);
    g_assert_cmpuint(launched, >, THREADS);
    cloud_assert_empty(cloud);
    g_assert_cmpint(
        cloud_number(cloud, "SELECT count(*) FROM instance WHERE state <> 'terminated'"), ==, 0);
}

int
main(int argc, char **argv)
{
    int outcome;

    g_test_init(&argc, &argv, NULL);
    if (!cloud_init())
        return 77;
    g_test_add("/crowd", Cloud, NULL, cloud_set_up, test_crowd, cloud_tear_down);
    outcome = g_test_run();
    cloud_end();
    return outcome;
}
