/* SPDX-License-Identifier: Apache-2.0 */
/* The host's worker over the fake drivers: whichever call of a driver fails, the next visit
 * finishes the job, another wish can take its place, and a restart of virga-node can come between;
 * what is terminated leaves nothing behind. */
#include "node-host.h"

#include <string.h>

/* The second port has gone, or was never there: the controller hears of it. */
static void
assert_running_one(Host *host)
{
    g_assert_cmpint(host_guest(host)->power, ==, VIRGA_POWER_RUNNING);
    g_assert_cmpint(host_guest(host)->acted_generation, ==, host->generation);
    g_assert_cmpuint(host_count_taps(host), ==, 1);
    g_assert_cmpuint(g_strv_length(host_guest(host)->plugged_ids[VIRGA_DEVICE_PORT]), ==, 1);
    g_assert_cmpstr(host_guest(host)->plugged_ids[VIRGA_DEVICE_PORT][0], ==, port_ids[0]);
    g_assert_cmpuint(
        count_strings(host->hypervisor->devices(host->hypervisor, GUEST, VIRGA_DEVICE_PORT, NULL)),
        ==, 1);
}

static void
assert_stopped(Host *host)
{
    g_assert_cmpint(host_guest(host)->power, ==, VIRGA_POWER_OFF);
    g_assert_cmpint(host_guest(host)->acted_generation, ==, host->generation);
    g_assert_cmpint(host_domain_state(host), ==, VIRGA_DOMAIN_ABSENT);
    g_assert_cmpuint(host_count_volumes(host), ==, G_N_ELEMENTS(disk_ids));
    g_assert_cmpuint(host_count_taps(host), ==, 0);
}

static void
assert_rebooted(Host *host)
{
    host_assert_running(host);
    g_assert_cmpint(host_guest(host)->reboots_done, ==, host->reboots);
}

/* Nothing of the guest is left, nor of its VPC once the controller no longer sends it. */
static void
assert_terminated(Host *host)
{
    g_autoptr(VirgaNetworkInventory) inventory = NULL;
    g_autofree char *console = host_console(host);
    Vpc *vpc = g_hash_table_lookup(host->node->vpcs, VPC);

    g_assert_cmpint(host_guest(host)->power, ==, VIRGA_POWER_ABSENT);
    g_assert_cmpint(host_guest(host)->acted_generation, ==, host->generation);
    g_assert_cmpuint(count_strings(host->hypervisor->list(host->hypervisor, NULL)), ==, 0);
    g_assert_cmpuint(host_count_volumes(host), ==, host->keep_data && host->has_data);
    if (host->keep_data)
        g_assert_cmpint(host_has_volume(host, disk_ids[1]), ==, host->has_data);
    g_assert_false(g_file_test(console, G_FILE_TEST_EXISTS));
    g_assert_cmpuint(host_count_taps(host), ==, 0);

    g_mutex_lock(&host->node->lock);
    host_guest(host)->queued = false;
    node_drop_guest_locked(host->node, GUEST);
    vpc->wanted = false;
    g_mutex_unlock(&host->node->lock);
    g_assert_null(host_guest(host));
    node_work_on_vpc(vpc, host->node);
    g_assert_cmpuint(g_hash_table_size(host->node->vpcs), ==, 0);
    inventory = virga_network_list(host->network, NULL);
    g_assert_cmpuint(g_strv_length(inventory->vpc_ids), ==, 0);
}

static void
end(Host *host)
{
    host_ask(host, "terminate");
    host_finish(host);
    assert_terminated(host);
}

/* ---- one call fails ---- */

typedef struct {
    const char *name;
    const char *before[3]; /* wishes that are fulfilled first */
    const char *wish;
    gint64 reboots;
    void (*check)(Host *host);
} Phase;

static const Phase phases[] = {
    { "launch", { NULL }, "run", 0, host_assert_running },
    { "stop", { "run", NULL }, "stop", 0, assert_stopped },
    { "start", { "run", "stop", NULL }, "run", 0, host_assert_running },
    { "reboot", { "run", NULL }, "run", 1, assert_rebooted },
    { "attach", { RUN_ONE, NULL }, "run", 0, host_assert_running },
    { "detach", { "run", NULL }, RUN_DROP, 0, assert_running_one },
    { "attach-again", { "run", RUN_DROP, NULL }, "run", 0, host_assert_running },
    { "stop-detaching", { "run", RUN_DROP, NULL }, "stop", 0, assert_stopped },
    { "terminate", { "run", NULL }, "terminate", 0, assert_terminated },
    { "terminate-stopped", { "run", "stop", NULL }, "terminate", 0, assert_terminated },
};

/* Brings a host to where 'phase' begins and takes its first visit with one call failing; false:
 * there are fewer calls. */
static bool
begin(Host *host, const Phase *phase, Driver driver, unsigned call)
{
    bool failed;

    for (const char *const *wish = phase->before; *wish; wish++) {
        host_ask(host, *wish);
        host_finish(host);
    }
    host->reboots = phase->reboots;
    host_ask(host, phase->wish);
    host_fail_at(host, driver, call);
    host_visit(host);
    failed = host_has_failed(host, driver);
    host_fail_at(host, driver, 0);
    host->has_data = host->has_data || host_has_volume(host, disk_ids[1]);
    g_assert_cmpint(failed, ==, host_guest(host)->wake_at != 0);
    return failed;
}

/* 'test' is given a host on which one call has failed, for every call of every phase. */
static void
for_every_call(void (*test)(Host *host, const Phase *phase))
{
    for (size_t p = 0; p < G_N_ELEMENTS(phases); p++) {
        unsigned calls = 0;

        for (int driver = 0; driver < DRIVERS; driver++)
            for (unsigned call = 1, failed = true; failed; call++) {
                g_autoptr(Host) host = host_new();

                host->keep_data = call % 2;
                failed = begin(host, &phases[p], (Driver) driver, call);
                g_assert_cmpuint(call, <, CALLS_MAX);
                calls += failed;
                test(host, &phases[p]);
            }
        g_test_message("%s: %u calls", phases[p].name, calls);
        g_assert_cmpuint(calls, >, 2);
    }
}

static void
go_on(Host *host, const Phase *phase)
{
    host_finish(host);
    phase->check(host);
    if (phase->check != assert_terminated)
        end(host);
}

static void
test_next_visit(void)
{
    for_every_call(go_on);
}

static void
terminate_now(Host *host, const Phase *phase)
{
    end(host);
}

static void
test_terminated_meanwhile(void)
{
    for_every_call(terminate_now);
}

static void
stop_now(Host *host, const Phase *phase)
{
    if (phase->check == assert_terminated)
        return;
    host_ask(host, "stop");
    host_finish(host);
    g_assert_cmpint(host_guest(host)->power, ==, VIRGA_POWER_OFF);
    g_assert_cmpint(host_domain_state(host), ==, VIRGA_DOMAIN_ABSENT);
    g_assert_cmpuint(host_count_taps(host), ==, 0);
    host_ask(host, "run");
    host_finish(host);
    host_assert_running(host);
}

static void
test_stopped_meanwhile(void)
{
    for_every_call(stop_now);
}

static void
restart_now(Host *host, const Phase *phase)
{
    host_restart_node(host);
    g_assert_nonnull(host_guest(host));
    host_finish(host);
    phase->check(host);
}

static void
test_restarted_meanwhile(void)
{
    for_every_call(restart_now);
}

/* ---- lives ---- */

static void
test_settled(void)
{
    g_autoptr(Host) host = host_new();

    host_ask(host, "run");
    host_finish(host);
    host_assert_running(host);
    g_assert_true(host_guest(host)->dirty);
    host_guest(host)->dirty = false;
    host_visit(host); /* nothing new: nothing to say */
    g_assert_false(host_guest(host)->dirty);
    host_assert_running(host);
    host_restart_node(host);
    host_finish(host);
    host_assert_running(host);
    g_assert_cmpuint(host->rebooted, ==, 0);
    end(host);
}

static void
test_off_by_guest(void)
{
    g_autoptr(Host) host = host_new();

    host_ask(host, "run");
    host_finish(host);
    virga_hypervisor_fake_guest_off(host->hypervisor, GUEST);
    host_finish(host);
    g_assert_cmpint(host_guest(host)->power, ==, VIRGA_POWER_OFF_GUEST);
    host_visit(host); /* it is not started behind the owner's back */
    g_assert_cmpint(host_domain_state(host), ==, VIRGA_DOMAIN_OFF);
    host_ask(host, "run"); /* the owner has seen "stopped" and starts it */
    host_finish(host);
    host_assert_running(host);
    virga_hypervisor_fake_guest_off(host->hypervisor, GUEST);
    host_finish(host);
    g_assert_cmpint(host_guest(host)->power, ==, VIRGA_POWER_OFF_GUEST);
    host_ask(host, "stop");
    host_finish(host);
    assert_stopped(host);
    end(host);
}

static void
test_lost_disk(void)
{
    g_autoptr(Host) host = host_new();

    host_ask(host, "run");
    host_finish(host);
    host_ask(host, "stop");
    host_finish(host);
    virga_volume_fake_lose(host->volumes, disk_ids[0]);
    virga_volume_fake_lose(host->volumes, disk_ids[1]);
    host_ask(host, "run");
    host_finish(host);
    g_assert_cmpint(host_guest(host)->power, ==, VIRGA_POWER_FAILED);
    g_assert_cmpstr(host_guest(host)->code, ==, "Server.VolumeLost");
    g_assert_true(g_strv_contains((const char *const *) host_guest(host)->lost, disk_ids[1]));
    g_assert_cmpuint(host_count_volumes(host), ==, 0); /* nothing was made in their place */
    g_assert_cmpint(host_domain_state(host), ==, VIRGA_DOMAIN_ABSENT);
    end(host);
}

/* A reboot is told to the controller when the guest has done it, and done once. */
static void
test_reboot(void)
{
    g_autoptr(Host) host = host_new();

    host_ask(host, "run");
    host_finish(host);
    host->reboots = 1;
    host->hold_events = true;
    host_ask(host, "run");
    host_visit(host);
    g_assert_cmpuint(host->rebooted, ==, 1);
    g_assert_cmpint(host_guest(host)->reboots_done, ==, 0);
    g_assert_cmpint(host_guest(host)->wake_at, >, 0);
    host_visit(host); /* it is given time */
    g_assert_cmpuint(host->rebooted, ==, 1);
    host_guest(host)->dirty = false;
    host->hold_events = false;
    virga_node_event(GUEST, true, host->node);
    host_finish(host);
    assert_rebooted(host);
    g_assert_true(host_guest(host)->dirty);
    host_finish(host);
    g_assert_cmpuint(host->rebooted, ==, 1);
    host_restart_node(host); /* before the controller has said that it knows */
    host_finish(host);
    g_assert_cmpuint(host->rebooted, ==, 1);
    end(host);
}

/* A guest that boots anew has been rebooted, however that came about: it is not reset later. */
static void
test_reboot_overtaken(void)
{
    g_autoptr(Host) host = host_new();

    host_ask(host, "run");
    host_finish(host);
    host->reboots = 1;
    host->hold_events = true;
    host_ask(host, "run");
    host_visit(host); /* asked, and it does not do it */
    g_assert_cmpint(host_guest(host)->reboots_done, ==, 0);
    host->reboots = 2; /* never even asked */
    host_ask(host, "stop");
    host_finish(host);
    assert_stopped(host);
    host_ask(host, "run");
    host_finish(host);
    assert_rebooted(host);
    g_assert_cmpuint(host->rebooted, ==, 1);
    end(host);
}

/* A guest that does not listen is given its time once, however often virga-node starts anew. */
static void
test_grace_survives(void)
{
    static const char *const verbs[] = { "stop", "terminate" };

    for (size_t i = 0; i < G_N_ELEMENTS(verbs); i++) {
        g_autoptr(Host) host = host_new();

        host_ask(host, "run");
        host_finish(host);
        virga_hypervisor_fake_set_deaf(host->hypervisor, true);
        host_ask(host, verbs[i]);
        host_visit(host);
        g_assert_true(host->node->store_dirty); /* a kill may come soon */
        host_restart_node(host);
        host_visit(host); /* asked again, in vain, and waited for */
        g_assert_cmpint(host_domain_state(host), ==, VIRGA_DOMAIN_RUNNING);
        g_assert_cmpint(host_guest(host)->wake_at, >, g_get_monotonic_time());
        host_guest(host)->asked_first_at -= (gint64) 3600 * G_USEC_PER_SEC; /* an hour passes */
        host_restart_node(host);
        host_visit(host);
        g_assert_cmpint(host_domain_state(host), ==, VIRGA_DOMAIN_ABSENT);
        host_finish(host);
        if (i == 0)
            assert_stopped(host);
        end(host);
    }
}

/* What somebody else switched off is started again. */
static void
test_killed(void)
{
    g_autoptr(Host) host = host_new();

    host_ask(host, "run");
    host_finish(host);
    g_assert_true(host->hypervisor->power_off(host->hypervisor, GUEST, NULL));
    host_finish(host);
    host_assert_running(host);
    end(host);
}

/* An older wish never overwrites a newer one. */
static void
test_generations(void)
{
    g_autoptr(Host) host = host_new();
    gint64 newest;

    host_ask(host, "run");
    host_ask(host, "stop");
    newest = host->generation;
    host->generation = 0;
    host_ask(host, "run");
    host->generation = newest;
    host_finish(host);
    g_assert_cmpint(host_guest(host)->power, ==, VIRGA_POWER_OFF);
    g_assert_cmpuint(host_count_volumes(host), ==, 0);
    end(host);
}

/* What can never succeed is given up at once and said; the same wish does not try again. */
static void
test_refused_snapshot(void)
{
    g_autoptr(Host) host = host_new();

    for (unsigned attempt = 0; attempt < 4; attempt++) {
        if (attempt == 0)
            host_ask(host, "run");
        virga_volume_fake_fail_at(host->volumes, 1);
        host_visit(host);
    }
    g_assert_cmpint(host_guest(host)->power, ==, VIRGA_POWER_FAILED);
    g_assert_cmpstr(host_guest(host)->code, ==, "Server.InternalError");
    g_assert_nonnull(strstr(host_guest(host)->message, "told to fail"));
    host_visit(host);
    g_assert_cmpuint(host_count_volumes(host), ==, 0);
    end(host);
}

/* What a guest says in the end is not lost with it. */
static void
test_last_words(void)
{
    g_autoptr(Host) host = host_new();
    g_autofree char *path = host_console(host);
    g_autofree char *last = NULL;

    host_ask(host, "run");
    host_finish(host);
    node_probe_consoles(host->node);
    g_assert_true(g_file_set_contents(path, "login: bye", -1, NULL));
    host_ask(host, "terminate");
    host_visit(host);
    last = g_base64_encode((const guchar *) "login: bye", 10);
    g_assert_cmpstr(host_guest(host)->console, ==, last);
    host_finish(host);
    assert_terminated(host);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_writer_func(host_write_log, NULL, NULL);
    g_test_add_func("/node/settled", test_settled);
    g_test_add_func("/node/off-by-guest", test_off_by_guest);
    g_test_add_func("/node/lost-disk", test_lost_disk);
    g_test_add_func("/node/reboot", test_reboot);
    g_test_add_func("/node/reboot-overtaken", test_reboot_overtaken);
    g_test_add_func("/node/grace-survives", test_grace_survives);
    g_test_add_func("/node/killed", test_killed);
    g_test_add_func("/node/generations", test_generations);
    g_test_add_func("/node/given-up", test_refused_snapshot);
    g_test_add_func("/node/last-words", test_last_words);
    g_test_add_func("/node/next-visit", test_next_visit);
    g_test_add_func("/node/terminated-meanwhile", test_terminated_meanwhile);
    g_test_add_func("/node/stopped-meanwhile", test_stopped_meanwhile);
    g_test_add_func("/node/restarted-meanwhile", test_restarted_meanwhile);
    return g_test_run();
}
