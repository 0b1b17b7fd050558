/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots by the host's worker over the fake drivers: whichever call fails, the moments pass, and
 * what is terminated keeps its bytes for the copies. */
#include "node-host.h"

/* The controller wants one of each disk; 'halt': the guest is to be off for it. */
static void
ask_snapshots(Host *host, bool halt)
{
    g_autofree char *text =
        g_strdup_printf("[{\"id\":\"snap-08000000000000001\",\"volume_id\":\"%s\",\"halt\":%s},"
                        "{\"id\":\"snap-08000000000000002\",\"volume_id\":\"%s\",\"halt\":%s}]",
                        disk_ids[0], halt ? "true" : "false", disk_ids[1], halt ? "true" : "false");
    g_autoptr(JsonNode) json = json_from_string(text, NULL);

    g_mutex_lock(&host->node->lock);
    node_take_snapshots_locked(host->node, json_node_get_array(json));
    g_mutex_unlock(&host->node->lock);
}

static guint
count_cut(Host *host)
{
    guint count = 0;

    for (guint i = 0; i < host->node->snapshots->len; i++)
        count += ((Snapshot *) host->node->snapshots->pdata[i])->cut;
    return count;
}

/* Visits until the moments have passed, without waiting until they are tried again. */
static void
finish_cuts(Host *host)
{
    for (int i = 0; i < VISITS_MAX && count_cut(host) < G_N_ELEMENTS(disk_ids); i++) {
        for (guint j = 0; j < host->node->snapshots->len; j++)
            ((Snapshot *) host->node->snapshots->pdata[j])->try_at = 0;
        host_visit(host);
    }
    host_finish(host);
    g_assert_cmpuint(count_cut(host), ==, G_N_ELEMENTS(disk_ids));
    g_assert_cmpuint(host->node->cut->len, ==, G_N_ELEMENTS(disk_ids));
}

/* Whichever call fails, the moments pass and the guest runs, also if it was held for them; what is
 * terminated keeps the bytes until the copies are made. */
static bool
take_snapshots(bool halt, bool restart, bool moments, Driver driver, unsigned call)
{
    g_autoptr(Host) host = host_new();
    bool failed;

    if (moments)
        virga_volume_fake_make_moments(host->volumes);

    host_ask(host, "run");
    host_finish(host);
    ask_snapshots(host, halt);
    host_fail_at(host, driver, call);
    host_visit(host);
    failed = host_has_failed(host, driver);
    host_fail_at(host, driver, 0);
    if (restart && count_cut(host) == 0)
        host_restart_node(host);
    finish_cuts(host);
    host_assert_running(host);
    host_ask(host, "terminate");
    host_finish(host);
    g_assert_cmpint(host_guest(host)->power, ==, VIRGA_POWER_ABSENT);
    g_assert_cmpuint(host_count_volumes(host), ==, G_N_ELEMENTS(disk_ids));
    g_assert_cmpuint(g_strv_length(host_guest(host)->kept), ==, G_N_ELEMENTS(disk_ids));
    return failed;
}

static void
test_snapshots(void)
{
    for (int variant = 0; variant < 8; variant++) {
        unsigned calls = 0;

        for (int driver = 0; driver < DRIVERS; driver++)
            for (unsigned call = 1, failed = true; failed; call++) {
                failed =
                    take_snapshots(variant & 1, variant & 2, variant & 4, (Driver) driver, call);
                g_assert_cmpuint(call, <, CALLS_MAX);
                calls += failed;
            }
        g_test_message("variant %d: %u calls", variant, calls);
        g_assert_cmpuint(calls, >, 4);
    }
}

/* Of a disk whose bytes were never made it is nothing; of one whose bytes are gone, a failure. */
static void
test_snapshot_of_nothing(void)
{
    g_autoptr(Host) host = host_new();
    Snapshot *snapshot;

    host_ask(host, "run");
    host_finish(host);
    host_ask(host, "stop");
    host_finish(host);
    virga_volume_fake_lose(host->volumes, disk_ids[0]);
    virga_volume_fake_lose(host->volumes, disk_ids[1]);
    ask_snapshots(host, false);
    ((Snapshot *) host->node->snapshots->pdata[1])->made = false;
    host_visit(host);
    snapshot = host->node->snapshots->pdata[0];
    g_assert_true(snapshot->cut && snapshot->lost && !snapshot->nothing);
    snapshot = host->node->snapshots->pdata[1];
    g_assert_true(snapshot->cut && snapshot->nothing && !snapshot->lost);
    g_assert_cmpuint(host->node->cut->len, ==, 0);
}

/* Whoever dies while the guest is frozen, the next process thaws it; and one that cannot be thawed
 * is given up. */
static void
test_left_frozen(void)
{
    g_autoptr(Host) host = host_new();
    g_autofree char *mark = NULL;
    g_autoptr(GError) error = NULL;
    const char *id;
    bool asked;

    host_ask(host, "run");
    host_finish(host);
    id = host_guest(host)->id;
    mark = g_build_filename(host->node->directory, "frozen", id, NULL);
    node_freeze(host->node, host_guest(host));
    g_assert_true(virga_hypervisor_fake_frozen(host->hypervisor, id));
    g_assert_true(g_file_test(mark, G_FILE_TEST_EXISTS));
    host_restart_node(host);
    host_finish(host);
    host_assert_running(host);
    g_assert_false(g_file_test(mark, G_FILE_TEST_EXISTS));

    /* Nobody has frozen it: nothing is thawed, and nothing is kept. */
    host_guest(host)->frozen = true;
    host->hypervisor->freeze(host->hypervisor, host_guest(host)->id, &asked, &error);
    g_assert_no_error(error);
    virga_hypervisor_fake_fail_at(host->hypervisor, 1);
    node_thaw(host->node, host_guest(host)); /* its mark is gone, as if it were old */
    g_assert_false(host_guest(host)->frozen);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_writer_func(host_write_log, NULL, NULL);
    g_test_add_func("/node/snapshots", test_snapshots);
    g_test_add_func("/node/left-frozen", test_left_frozen);
    g_test_add_func("/node/snapshot-of-nothing", test_snapshot_of_nothing);
    return g_test_run();
}
