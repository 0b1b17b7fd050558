/* SPDX-License-Identifier: Apache-2.0 */
#include "node-host.h"

#include "network/fake.h"

#include <glib/gstdio.h>

const char *const disk_ids[DISKS] = { "vol-08000000000000001", "vol-08000000000000002" };
const char *const port_ids[PORTS] = { "eni-08000000000000001", "eni-08000000000000002" };

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

void
host_restart_node(Host *host)
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

Host *
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

char *
host_console(Host *host)
{
    return g_build_filename(host->directory, "console", GUEST ".log", NULL);
}

void
host_free(Host *host)
{
    g_autofree char *frozen = g_build_filename(host->directory, "frozen", NULL);
    g_autofree char *wish = g_build_filename(host->directory, "wish.json", NULL);
    g_autofree char *console = host_console(host);
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
    g_rmdir(frozen); /* fails if somebody is left so */
    g_assert_cmpint(g_rmdir(host->directory), ==, 0);
    g_free(host->directory);
    g_free(host);
}

/* ---- the wish ---- */

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

void
host_ask(Host *host, const char *wish)
{
    g_mutex_lock(&host->node->lock);
    if (!g_hash_table_contains(host->node->vpcs, VPC))
        node_take_plan_locked(host->node, make_plan());
    node_take_wish_locked(host->node, make_wish(host, wish));
    g_mutex_unlock(&host->node->lock);
}

Guest *
host_guest(Host *host)
{
    return g_hash_table_lookup(host->node->guests, GUEST);
}

void
host_visit(Host *host)
{
    host_guest(host)->thaw_at = 0; /* as if it were time */
    node_work_on_guest(host_guest(host), host->node);
}

bool
host_has_volume(Host *host, const char *disk_id)
{
    bool there;

    g_assert_true(host->volumes->inspect(host->volumes, disk_id, &there, NULL));
    return there;
}

VirgaDomainState
host_domain_state(Host *host)
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
    g_autofree char *path = host_console(host);

    if (host_domain_state(host) == VIRGA_DOMAIN_RUNNING)
        g_assert_true(g_file_set_contents(path, "login: ", -1, NULL));
}

/* Visits until nobody has asked for another and no appointment is made. */
void
host_finish(Host *host)
{
    for (int i = 0; i < VISITS_MAX; i++) {
        host_visit(host);
        print_console(host);
        host->has_data = host->has_data || host_has_volume(host, disk_ids[1]);
        if (!host_guest(host)->queued && !host_guest(host)->wake_at)
            return;
    }
    g_error("no end after %d visits", VISITS_MAX);
}

/* ---- what must be so ---- */

guint
count_strings(char **strings)
{
    guint count = g_strv_length(strings);

    g_strfreev(strings);
    return count;
}

guint
host_count_volumes(Host *host)
{
    return count_strings(host->volumes->list(host->volumes, NULL));
}

guint
host_count_taps(Host *host)
{
    g_autoptr(VirgaNetworkInventory) inventory = virga_network_list(host->network, NULL);

    return inventory->taps->len;
}

void
host_assert_running(Host *host)
{
    g_assert_cmpint(host_guest(host)->power, ==, VIRGA_POWER_RUNNING);
    g_assert_cmpint(host_guest(host)->acted_generation, ==, host->generation);
    g_assert_cmpint(host_domain_state(host), ==, VIRGA_DOMAIN_RUNNING);
    g_assert_false(virga_hypervisor_fake_frozen(host->hypervisor, host_guest(host)->id));
    g_assert_cmpuint(host_count_volumes(host), ==, G_N_ELEMENTS(disk_ids));
    g_assert_cmpuint(host_count_taps(host), ==, G_N_ELEMENTS(port_ids));
    for (size_t i = 0; i < G_N_ELEMENTS(port_ids); i++)
        g_assert_true(virga_network_fake_plugged(host->network, VPC, port_ids[i]));
    g_assert_cmpuint(g_strv_length(host_guest(host)->plugged_ids[VIRGA_DEVICE_PORT]), ==,
                     G_N_ELEMENTS(port_ids));
}

/* ---- failures ---- */

void
host_fail_at(Host *host, Driver driver, unsigned call)
{
    if (driver == HYPERVISOR)
        virga_hypervisor_fake_fail_at(host->hypervisor, call);
    else if (driver == VOLUMES)
        virga_volume_fake_fail_at(host->volumes, call);
    else
        virga_network_fake_fail_at(host->network, call);
}

bool
host_has_failed(Host *host, Driver driver)
{
    return driver == HYPERVISOR ? virga_hypervisor_fake_failed(host->hypervisor)
           : driver == VOLUMES  ? virga_volume_fake_failed(host->volumes)
                                : virga_network_fake_failed(host->network);
}

GLogWriterOutput
host_write_log(GLogLevelFlags level, const GLogField *fields, gsize count, gpointer data)
{
    if (level & (G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_INFO | G_LOG_LEVEL_DEBUG))
        return G_LOG_WRITER_HANDLED; /* failures are what is tested */
    return g_log_writer_default(level, fields, count, data);
}
