/* SPDX-License-Identifier: Apache-2.0 */
/* The host's worker over the fake drivers: whichever call of a driver fails, the next visit
 * finishes the job, another wish can take its place, and a restart of virga-node can come between;
 * what is terminated leaves nothing behind. */
#include "node-priv.h"

#include "network/fake.h"

#include <glib/gstdio.h>
#include <string.h>

#define VPC        "vpc-08000000000000001"
#define SUBNET     "subnet-08000000000000001"
#define GUEST      "i-08000000000000001"
#define HOST       "h-08000000000000001"
#define CALLS_MAX  100
#define VISITS_MAX 16

static const char *const disk_ids[] = { "vol-08000000000000001", "vol-08000000000000002" };
static const char *const port_ids[] = { "eni-08000000000000001", "eni-08000000000000002" };

typedef struct {
    char *directory;
    VirgaConfig *config;
    VirgaHttpClient *virgad;
    VirgaVolumeDriver *volumes;
    VirgaNetworkDriver *network;
    VirgaHypervisor *hypervisor;
    VirgaNode *node;
    gint64 generation, reboots;
    unsigned rebooted; /* events */
    bool hold_events, keep_data;
    bool has_data; /* the disk that stays was made once */
} Host;

/* ---- the host ---- */

static void
do_nothing(gpointer item, gpointer data)
{
}

static void
on_event(const char *id, bool rebooted, gpointer data)
{
    Host *host = data;

    host->rebooted += rebooted;
    if (!host->hold_events)
        virga_node_event(id, rebooted, host->node);
}

/* The test's own thread does the work of the pools. */
static void
start_node(Host *host)
{
    VirgaNodeSettings settings = { .config = host->config,
                                   .host_id = HOST,
                                   .host_name = "host",
                                   .directory = host->directory,
                                   .volumes = host->volumes,
                                   .network = host->network,
                                   .virgad = host->virgad };

    host->node = virga_node_new(&settings);
    virga_node_set_hypervisor(host->node, host->hypervisor);
    host->node->guest_pool = g_thread_pool_new(do_nothing, NULL, 1, FALSE, NULL);
    host->node->vpc_pool = g_thread_pool_new(do_nothing, NULL, 1, FALSE, NULL);
    node_store_load(host->node);
}

static void
restart_node(Host *host)
{
    virga_node_free(host->node);
    start_node(host);
}

static VirgaVpcPlan *
make_plan(void)
{
    VirgaVpcPlan *plan = virga_vpc_plan_new(VPC);
    VirgaVpcSubnet *subnet = virga_vpc_plan_add_subnet(plan, SUBNET);
    g_autoptr(GError) error = NULL;

    plan->generation = 1;
    plan->domain = g_strdup("ec2.internal");
    plan->cidrs = g_strsplit("172.31.0.0/16", ",", 0);
    subnet->zone = g_strdup("us-east-1a");
    subnet->cidr = g_strdup("172.31.0.0/20");
    for (size_t i = 0; i < G_N_ELEMENTS(port_ids); i++) {
        VirgaVpcPort *port = virga_vpc_plan_add_port(plan, port_ids[i]);

        port->instance_id = g_strdup(GUEST);
        port->subnet_id = g_strdup(SUBNET);
        port->mac = g_strdup_printf("02:00:00:00:00:%02x", (unsigned) i);
        port->address = g_strdup_printf("172.31.0.%u", (unsigned) (i + 4));
        port->host_id = g_strdup(HOST);
    }
    virga_vpc_plan_check(plan, &error);
    g_assert_no_error(error);
    return plan;
}

static Host *
host_new(void)
{
    Host *host = g_new0(Host, 1);
    g_autoptr(GError) error = NULL;

    host->directory = g_dir_make_tmp("virga-node-XXXXXX", &error);
    g_assert_no_error(error);
    host->config = virga_config_load("/nonexistent", host->directory, &error);
    g_assert_no_error(error);
    host->virgad = virga_http_client_new("unix:/nonexistent");
    host->volumes = virga_volume_fake_new();
    host->network = virga_network_fake_new("tst", HOST);
    host->hypervisor = virga_hypervisor_fake_new(on_event, host);
    start_node(host);
    return host;
}

static char *
console_of(Host *host)
{
    return g_build_filename(host->directory, "console", GUEST ".log", NULL);
}

static void
host_free(Host *host)
{
    g_autofree char *wish = g_build_filename(host->directory, "wish.json", NULL);
    g_autofree char *console = console_of(host);
    g_autofree char *consoles = g_path_get_dirname(console);

    virga_node_free(host->node);
    host->hypervisor->free(host->hypervisor);
    virga_network_driver_free(host->network);
    host->volumes->free(host->volumes);
    virga_http_client_free(host->virgad);
    virga_config_unref(host->config);
    g_unlink(wish);
    g_unlink(console);
    g_rmdir(consoles);
    g_assert_cmpint(g_rmdir(host->directory), ==, 0);
    g_free(host->directory);
    g_free(host);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Host, host_free)

/* ---- the wish ---- */

/* To run with the first port only; to run and let the second one go. */
#define RUN_ONE  "run-one"
#define RUN_DROP "run-drop"

static VirgaGuestWish *
make_wish(Host *host, const char *wish)
{
    VirgaGuestWish *want = virga_record_new(&virga_guest_wish_type);

    want->id = g_strdup(GUEST);
    want->wish = g_strdup(g_str_has_prefix(wish, "run") ? "run" : wish);
    want->boot_mode = g_strdup("legacy-bios");
    want->generation = ++host->generation;
    want->reboots = host->reboots;
    want->vcpus = 1;
    want->memory_mib = 128;
    for (size_t i = 0; i < G_N_ELEMENTS(disk_ids); i++) {
        VirgaGuestDisk *disk = g_new0(VirgaGuestDisk, 1);

        disk->id = g_strdup(disk_ids[i]);
        disk->files = g_ptr_array_new();
        disk->device = g_strdup(i ? "/dev/sdb" : "/dev/sda1");
        disk->size_gib = 1;
        disk->delete_on_termination = i == 0 || !host->keep_data;
        g_ptr_array_add(want->disks, disk);
    }
    for (size_t i = 0; i < (g_str_equal(wish, RUN_ONE) ? 1 : G_N_ELEMENTS(port_ids)); i++) {
        VirgaGuestPort *port = g_new0(VirgaGuestPort, 1);

        port->id = g_strdup(port_ids[i]);
        port->vpc_id = g_strdup(VPC);
        port->mac = g_strdup_printf("02:00:00:00:00:%02x", (unsigned) i);
        port->address = g_strdup_printf("172.31.0.%u", (unsigned) (i + 4));
        port->device_index = (gint64) i;
        port->leaving = i > 0 && g_str_equal(wish, RUN_DROP);
        g_ptr_array_add(want->ports, port);
    }
    return want;
}

static void
ask(Host *host, const char *wish)
{
    g_mutex_lock(&host->node->lock);
    if (!g_hash_table_contains(host->node->vpcs, VPC))
        node_take_plan_locked(host->node, make_plan());
    node_take_wish_locked(host->node, make_wish(host, wish));
    g_mutex_unlock(&host->node->lock);
}

static Guest *
guest_of(Host *host)
{
    return g_hash_table_lookup(host->node->guests, GUEST);
}

static void
visit(Host *host)
{
    node_work_on_guest(guest_of(host), host->node);
}

static bool
exists(Host *host, const char *disk_id)
{
    bool there;

    g_assert_true(host->volumes->inspect(host->volumes, disk_id, &there, NULL));
    return there;
}

static VirgaDomainState
domain_state(Host *host)
{
    g_autoptr(GError) error = NULL;
    VirgaDomainReason reason;
    VirgaDomainState state;

    host->hypervisor->inspect(host->hypervisor, GUEST, &state, &reason, &error);
    g_assert_no_error(error);
    return state;
}

/* What the hypervisor does for a guest that runs. */
static void
print_console(Host *host)
{
    g_autofree char *path = console_of(host);

    if (domain_state(host) == VIRGA_DOMAIN_RUNNING)
        g_assert_true(g_file_set_contents(path, "login: ", -1, NULL));
}

/* Visits until nobody has asked for another and no appointment is made. */
static void
finish(Host *host)
{
    for (int i = 0; i < VISITS_MAX; i++) {
        visit(host);
        print_console(host);
        host->has_data = host->has_data || exists(host, disk_ids[1]);
        if (!guest_of(host)->queued && !guest_of(host)->wake_at)
            return;
    }
    g_error("no end after %d visits", VISITS_MAX);
}

/* ---- what must be so ---- */

static guint
count_strings(char **strings)
{
    guint count = g_strv_length(strings);

    g_strfreev(strings);
    return count;
}

static guint
count_volumes(Host *host)
{
    return count_strings(host->volumes->list(host->volumes, NULL));
}

static guint
count_taps(Host *host)
{
    g_autoptr(VirgaNetworkInventory) inventory = virga_network_list(host->network, NULL);

    return inventory->taps->len;
}

static void
assert_running(Host *host)
{
    g_assert_cmpint(guest_of(host)->power, ==, VIRGA_POWER_RUNNING);
    g_assert_cmpint(guest_of(host)->acted_generation, ==, host->generation);
    g_assert_cmpint(domain_state(host), ==, VIRGA_DOMAIN_RUNNING);
    g_assert_cmpuint(count_volumes(host), ==, G_N_ELEMENTS(disk_ids));
    g_assert_cmpuint(count_taps(host), ==, G_N_ELEMENTS(port_ids));
    for (size_t i = 0; i < G_N_ELEMENTS(port_ids); i++)
        g_assert_true(virga_network_fake_plugged(host->network, VPC, port_ids[i]));
    g_assert_cmpuint(g_strv_length(guest_of(host)->plugged_ids[VIRGA_DEVICE_PORT]), ==,
                     G_N_ELEMENTS(port_ids));
}

/* The second port has gone, or was never there: the controller hears of it. */
static void
assert_running_one(Host *host)
{
    g_assert_cmpint(guest_of(host)->power, ==, VIRGA_POWER_RUNNING);
    g_assert_cmpint(guest_of(host)->acted_generation, ==, host->generation);
    g_assert_cmpuint(count_taps(host), ==, 1);
    g_assert_cmpuint(g_strv_length(guest_of(host)->plugged_ids[VIRGA_DEVICE_PORT]), ==, 1);
    g_assert_cmpstr(guest_of(host)->plugged_ids[VIRGA_DEVICE_PORT][0], ==, port_ids[0]);
    g_assert_cmpuint(
        count_strings(host->hypervisor->devices(host->hypervisor, GUEST, VIRGA_DEVICE_PORT, NULL)),
        ==, 1);
}

static void
assert_stopped(Host *host)
{
    g_assert_cmpint(guest_of(host)->power, ==, VIRGA_POWER_OFF);
    g_assert_cmpint(guest_of(host)->acted_generation, ==, host->generation);
    g_assert_cmpint(domain_state(host), ==, VIRGA_DOMAIN_ABSENT);
    g_assert_cmpuint(count_volumes(host), ==, G_N_ELEMENTS(disk_ids));
    g_assert_cmpuint(count_taps(host), ==, 0);
}

static void
assert_rebooted(Host *host)
{
    assert_running(host);
    g_assert_cmpint(guest_of(host)->reboots_done, ==, host->reboots);
}

/* Nothing of the guest is left, nor of its VPC once the controller no longer sends it. */
static void
assert_terminated(Host *host)
{
    g_autoptr(VirgaNetworkInventory) inventory = NULL;
    g_autofree char *console = console_of(host);
    Vpc *vpc = g_hash_table_lookup(host->node->vpcs, VPC);

    g_assert_cmpint(guest_of(host)->power, ==, VIRGA_POWER_ABSENT);
    g_assert_cmpint(guest_of(host)->acted_generation, ==, host->generation);
    g_assert_cmpuint(count_strings(host->hypervisor->list(host->hypervisor, NULL)), ==, 0);
    g_assert_cmpuint(count_volumes(host), ==, host->keep_data && host->has_data);
    if (host->keep_data)
        g_assert_cmpint(exists(host, disk_ids[1]), ==, host->has_data);
    g_assert_false(g_file_test(console, G_FILE_TEST_EXISTS));
    g_assert_cmpuint(count_taps(host), ==, 0);

    g_mutex_lock(&host->node->lock);
    guest_of(host)->queued = false;
    node_drop_guest_locked(host->node, GUEST);
    vpc->wanted = false;
    g_mutex_unlock(&host->node->lock);
    g_assert_null(guest_of(host));
    node_work_on_vpc(vpc, host->node);
    g_assert_cmpuint(g_hash_table_size(host->node->vpcs), ==, 0);
    inventory = virga_network_list(host->network, NULL);
    g_assert_cmpuint(g_strv_length(inventory->vpc_ids), ==, 0);
}

static void
end(Host *host)
{
    ask(host, "terminate");
    finish(host);
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
    { "launch", { NULL }, "run", 0, assert_running },
    { "stop", { "run", NULL }, "stop", 0, assert_stopped },
    { "start", { "run", "stop", NULL }, "run", 0, assert_running },
    { "reboot", { "run", NULL }, "run", 1, assert_rebooted },
    { "attach", { RUN_ONE, NULL }, "run", 0, assert_running },
    { "detach", { "run", NULL }, RUN_DROP, 0, assert_running_one },
    { "attach-again", { "run", RUN_DROP, NULL }, "run", 0, assert_running },
    { "stop-detaching", { "run", RUN_DROP, NULL }, "stop", 0, assert_stopped },
    { "terminate", { "run", NULL }, "terminate", 0, assert_terminated },
    { "terminate-stopped", { "run", "stop", NULL }, "terminate", 0, assert_terminated },
};

typedef enum { HYPERVISOR, VOLUMES, NETWORK, DRIVERS } Driver;

static void
fail_at(Host *host, Driver driver, unsigned call)
{
    if (driver == HYPERVISOR)
        virga_hypervisor_fake_fail_at(host->hypervisor, call);
    else if (driver == VOLUMES)
        virga_volume_fake_fail_at(host->volumes, call);
    else
        virga_network_fake_fail_at(host->network, call);
}

static bool
has_failed(Host *host, Driver driver)
{
    return driver == HYPERVISOR ? virga_hypervisor_fake_failed(host->hypervisor)
           : driver == VOLUMES  ? virga_volume_fake_failed(host->volumes)
                                : virga_network_fake_failed(host->network);
}

/* Brings a host to where 'phase' begins and takes its first visit with one call failing; false:
 * there are fewer calls. */
static bool
begin(Host *host, const Phase *phase, Driver driver, unsigned call)
{
    bool failed;

    for (const char *const *wish = phase->before; *wish; wish++) {
        ask(host, *wish);
        finish(host);
    }
    host->reboots = phase->reboots;
    ask(host, phase->wish);
    fail_at(host, driver, call);
    visit(host);
    failed = has_failed(host, driver);
    fail_at(host, driver, 0);
    host->has_data = host->has_data || exists(host, disk_ids[1]);
    g_assert_cmpint(failed, ==, guest_of(host)->wake_at != 0);
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
    finish(host);
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
    ask(host, "stop");
    finish(host);
    g_assert_cmpint(guest_of(host)->power, ==, VIRGA_POWER_OFF);
    g_assert_cmpint(domain_state(host), ==, VIRGA_DOMAIN_ABSENT);
    g_assert_cmpuint(count_taps(host), ==, 0);
    ask(host, "run");
    finish(host);
    assert_running(host);
}

static void
test_stopped_meanwhile(void)
{
    for_every_call(stop_now);
}

static void
restart_now(Host *host, const Phase *phase)
{
    restart_node(host);
    g_assert_nonnull(guest_of(host));
    finish(host);
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

    ask(host, "run");
    finish(host);
    assert_running(host);
    g_assert_true(guest_of(host)->dirty);
    guest_of(host)->dirty = false;
    visit(host); /* nothing new: nothing to say */
    g_assert_false(guest_of(host)->dirty);
    assert_running(host);
    restart_node(host);
    finish(host);
    assert_running(host);
    g_assert_cmpuint(host->rebooted, ==, 0);
    end(host);
}

static void
test_off_by_guest(void)
{
    g_autoptr(Host) host = host_new();

    ask(host, "run");
    finish(host);
    virga_hypervisor_fake_guest_off(host->hypervisor, GUEST);
    finish(host);
    g_assert_cmpint(guest_of(host)->power, ==, VIRGA_POWER_OFF_GUEST);
    visit(host); /* it is not started behind the owner's back */
    g_assert_cmpint(domain_state(host), ==, VIRGA_DOMAIN_OFF);
    ask(host, "run"); /* the owner has seen "stopped" and starts it */
    finish(host);
    assert_running(host);
    virga_hypervisor_fake_guest_off(host->hypervisor, GUEST);
    finish(host);
    g_assert_cmpint(guest_of(host)->power, ==, VIRGA_POWER_OFF_GUEST);
    ask(host, "stop");
    finish(host);
    assert_stopped(host);
    end(host);
}

static void
test_lost_disk(void)
{
    g_autoptr(Host) host = host_new();

    ask(host, "run");
    finish(host);
    ask(host, "stop");
    finish(host);
    virga_volume_fake_lose(host->volumes, disk_ids[0]);
    virga_volume_fake_lose(host->volumes, disk_ids[1]);
    ask(host, "run");
    finish(host);
    g_assert_cmpint(guest_of(host)->power, ==, VIRGA_POWER_FAILED);
    g_assert_cmpstr(guest_of(host)->code, ==, "Server.VolumeLost");
    g_assert_true(g_strv_contains((const char *const *) guest_of(host)->lost, disk_ids[1]));
    g_assert_cmpuint(count_volumes(host), ==, 0); /* nothing was made in their place */
    g_assert_cmpint(domain_state(host), ==, VIRGA_DOMAIN_ABSENT);
    end(host);
}

/* A reboot is told to the controller when the guest has done it, and done once. */
static void
test_reboot(void)
{
    g_autoptr(Host) host = host_new();

    ask(host, "run");
    finish(host);
    host->reboots = 1;
    host->hold_events = true;
    ask(host, "run");
    visit(host);
    g_assert_cmpuint(host->rebooted, ==, 1);
    g_assert_cmpint(guest_of(host)->reboots_done, ==, 0);
    g_assert_cmpint(guest_of(host)->wake_at, >, 0);
    visit(host); /* it is given time */
    g_assert_cmpuint(host->rebooted, ==, 1);
    guest_of(host)->dirty = false;
    host->hold_events = false;
    virga_node_event(GUEST, true, host->node);
    finish(host);
    assert_rebooted(host);
    g_assert_true(guest_of(host)->dirty);
    finish(host);
    g_assert_cmpuint(host->rebooted, ==, 1);
    restart_node(host); /* before the controller has said that it knows */
    finish(host);
    g_assert_cmpuint(host->rebooted, ==, 1);
    end(host);
}

/* A guest that boots anew has been rebooted, however that came about: it is not reset later. */
static void
test_reboot_overtaken(void)
{
    g_autoptr(Host) host = host_new();

    ask(host, "run");
    finish(host);
    host->reboots = 1;
    host->hold_events = true;
    ask(host, "run");
    visit(host); /* asked, and it does not do it */
    g_assert_cmpint(guest_of(host)->reboots_done, ==, 0);
    host->reboots = 2; /* never even asked */
    ask(host, "stop");
    finish(host);
    assert_stopped(host);
    ask(host, "run");
    finish(host);
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

        ask(host, "run");
        finish(host);
        virga_hypervisor_fake_set_deaf(host->hypervisor, true);
        ask(host, verbs[i]);
        visit(host);
        g_assert_true(host->node->store_dirty); /* a kill may come soon */
        restart_node(host);
        visit(host); /* asked again, in vain, and waited for */
        g_assert_cmpint(domain_state(host), ==, VIRGA_DOMAIN_RUNNING);
        g_assert_cmpint(guest_of(host)->wake_at, >, g_get_monotonic_time());
        guest_of(host)->asked_first_at -= (gint64) 3600 * G_USEC_PER_SEC; /* an hour passes */
        restart_node(host);
        visit(host);
        g_assert_cmpint(domain_state(host), ==, VIRGA_DOMAIN_ABSENT);
        finish(host);
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

    ask(host, "run");
    finish(host);
    g_assert_true(host->hypervisor->power_off(host->hypervisor, GUEST, NULL));
    finish(host);
    assert_running(host);
    end(host);
}

/* An older wish never overwrites a newer one. */
static void
test_generations(void)
{
    g_autoptr(Host) host = host_new();
    gint64 newest;

    ask(host, "run");
    ask(host, "stop");
    newest = host->generation;
    host->generation = 0;
    ask(host, "run");
    host->generation = newest;
    finish(host);
    g_assert_cmpint(guest_of(host)->power, ==, VIRGA_POWER_OFF);
    g_assert_cmpuint(count_volumes(host), ==, 0);
    end(host);
}

/* What can never succeed is given up at once and said; the same wish does not try again. */
static void
test_refused_snapshot(void)
{
    g_autoptr(Host) host = host_new();

    for (unsigned attempt = 0; attempt < 4; attempt++) {
        if (attempt == 0)
            ask(host, "run");
        virga_volume_fake_fail_at(host->volumes, 1);
        visit(host);
    }
    g_assert_cmpint(guest_of(host)->power, ==, VIRGA_POWER_FAILED);
    g_assert_cmpstr(guest_of(host)->code, ==, "Server.InternalError");
    g_assert_nonnull(strstr(guest_of(host)->message, "told to fail"));
    visit(host);
    g_assert_cmpuint(count_volumes(host), ==, 0);
    end(host);
}

/* What a guest says in the end is not lost with it. */
static void
test_last_words(void)
{
    g_autoptr(Host) host = host_new();
    g_autofree char *path = console_of(host);
    g_autofree char *last = NULL;

    ask(host, "run");
    finish(host);
    node_probe_consoles(host->node);
    g_assert_true(g_file_set_contents(path, "login: bye", -1, NULL));
    ask(host, "terminate");
    visit(host);
    last = g_base64_encode((const guchar *) "login: bye", 10);
    g_assert_cmpstr(guest_of(host)->console, ==, last);
    finish(host);
    assert_terminated(host);
}

static GLogWriterOutput
write_log(GLogLevelFlags level, const GLogField *fields, gsize count, gpointer data)
{
    if (level & (G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_INFO | G_LOG_LEVEL_DEBUG))
        return G_LOG_WRITER_HANDLED; /* failures are what is tested */
    return g_log_writer_default(level, fields, count, data);
}

/* ---- snapshots ---- */

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
        visit(host);
    }
    finish(host);
    g_assert_cmpuint(count_cut(host), ==, G_N_ELEMENTS(disk_ids));
    g_assert_cmpuint(host->node->cut->len, ==, G_N_ELEMENTS(disk_ids));
}

/* Whichever call fails, the moments pass and the guest runs; what is terminated keeps the bytes
 * until the copies are made. */
static bool
take_snapshots(bool halt, bool restart, Driver driver, unsigned call)
{
    g_autoptr(Host) host = host_new();
    bool failed;

    ask(host, "run");
    finish(host);
    ask_snapshots(host, halt);
    fail_at(host, driver, call);
    visit(host);
    failed = has_failed(host, driver);
    fail_at(host, driver, 0);
    if (restart && count_cut(host) == 0)
        restart_node(host);
    finish_cuts(host);
    assert_running(host);
    ask(host, "terminate");
    finish(host);
    g_assert_cmpint(guest_of(host)->power, ==, VIRGA_POWER_ABSENT);
    g_assert_cmpuint(count_volumes(host), ==, G_N_ELEMENTS(disk_ids));
    g_assert_cmpuint(g_strv_length(guest_of(host)->kept), ==, G_N_ELEMENTS(disk_ids));
    return failed;
}

static void
test_snapshots(void)
{
    for (int variant = 0; variant < 4; variant++) {
        unsigned calls = 0;

        for (int driver = 0; driver < DRIVERS; driver++)
            for (unsigned call = 1, failed = true; failed; call++) {
                failed = take_snapshots(variant & 1, variant & 2, (Driver) driver, call);
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

    ask(host, "run");
    finish(host);
    ask(host, "stop");
    finish(host);
    virga_volume_fake_lose(host->volumes, disk_ids[0]);
    virga_volume_fake_lose(host->volumes, disk_ids[1]);
    ask_snapshots(host, false);
    ((Snapshot *) host->node->snapshots->pdata[1])->made = false;
    visit(host);
    snapshot = host->node->snapshots->pdata[0];
    g_assert_true(snapshot->cut && snapshot->lost && !snapshot->nothing);
    snapshot = host->node->snapshots->pdata[1];
    g_assert_true(snapshot->cut && snapshot->nothing && !snapshot->lost);
    g_assert_cmpuint(host->node->cut->len, ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_log_set_writer_func(write_log, NULL, NULL);
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
    g_test_add_func("/node/snapshots", test_snapshots);
    g_test_add_func("/node/snapshot-of-nothing", test_snapshot_of_nothing);
    return g_test_run();
}
