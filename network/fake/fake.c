/* SPDX-License-Identifier: Apache-2.0 */
/* The fake driver keeps two sets: VPCs that are here, and taps with the VPC that they are in. */
#include "network/fake.h"

#include "core/error.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    VirgaNetworkDriver base;
    GMutex mutex;
    GHashTable *vpcs; /* ids */
    GHashTable *taps; /* name -> vpc id, "" in the host's own namespace */
    unsigned fail_at;
    bool failed;
} Fake;

static bool
enter(Fake *fake, const char *what, GError **error)
{
    g_mutex_lock(&fake->mutex);
    if (fake->fail_at == 0 || --fake->fail_at > 0)
        return true;
    fake->failed = true;
    g_mutex_unlock(&fake->mutex);
    return virga_fail(error, "network", VIRGA_ERROR_RETRY, "could not %s: told to fail", what);
}

static bool
leave(Fake *fake)
{
    g_mutex_unlock(&fake->mutex);
    return true;
}

static bool
fake_apply(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, guint64 *ret_epoch, GError **error)
{
    Fake *fake = (Fake *) driver;

    if (!enter(fake, "apply", error))
        return false;
    g_hash_table_add(fake->vpcs, g_strdup(plan->id));
    *ret_epoch = 1;
    return leave(fake);
}

static bool
fake_tap_prepare(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, const VirgaVpcPort *port,
                 uid_t owner, GError **error)
{
    Fake *fake = (Fake *) driver;
    g_autofree char *tap = virga_network_tap_name(driver, port->id);

    if (!enter(fake, "prepare a tap", error))
        return false;
    if (!g_hash_table_contains(fake->taps, tap))
        g_hash_table_replace(fake->taps, g_steal_pointer(&tap), g_strdup(""));
    return leave(fake);
}

static bool
fake_tap_plug(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, const VirgaVpcPort *port,
              GError **error)
{
    Fake *fake = (Fake *) driver;
    g_autofree char *tap = virga_network_tap_name(driver, port->id);
    bool ready;

    if (!enter(fake, "plug a tap", error))
        return false;
    ready = g_hash_table_contains(fake->vpcs, plan->id) && g_hash_table_contains(fake->taps, tap);
    if (ready)
        g_hash_table_replace(fake->taps, g_strdup(tap), g_strdup(plan->id));
    leave(fake);
    return ready ? true
                 : virga_fail(error, "network interface", VIRGA_ERROR_STATE,
                              "no tap \"%s\" or no vpc \"%s\" is here", tap, plan->id);
}

static bool
fake_tap_remove(VirgaNetworkDriver *driver, const char *vpc_id, const char *tap, GError **error)
{
    Fake *fake = (Fake *) driver;

    if (!enter(fake, "remove a tap", error))
        return false;
    g_hash_table_remove(fake->taps, tap);
    return leave(fake);
}

static gboolean
is_in(gpointer tap, gpointer vpc_id, gpointer wanted)
{
    return g_str_equal(vpc_id, wanted);
}

static bool
fake_remove(VirgaNetworkDriver *driver, const char *vpc_id, GError **error)
{
    Fake *fake = (Fake *) driver;

    if (!enter(fake, "remove a vpc", error))
        return false;
    g_hash_table_remove(fake->vpcs, vpc_id);
    g_hash_table_foreach_remove(fake->taps, is_in, (gpointer) vpc_id);
    return leave(fake);
}

static VirgaNetworkInventory *
fake_list(VirgaNetworkDriver *driver, GError **error)
{
    Fake *fake = (Fake *) driver;
    g_autoptr(GStrvBuilder) ids = g_strv_builder_new();
    VirgaNetworkInventory *inventory;
    GHashTableIter iter;
    gpointer key, value;

    if (!enter(fake, "list", error))
        return NULL;
    inventory = virga_network_inventory_new();
    g_hash_table_iter_init(&iter, fake->vpcs);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        g_strv_builder_add(ids, key);
    g_strfreev(inventory->vpc_ids);
    inventory->vpc_ids = g_strv_builder_end(ids);
    g_hash_table_iter_init(&iter, fake->taps);
    while (g_hash_table_iter_next(&iter, &key, &value))
        virga_network_inventory_add_tap(inventory, key, *(char *) value ? value : NULL);
    leave(fake);
    return inventory;
}

/* There is no VPC to listen in: any free port of the loopback stands for it. */
static bool
fake_listen(VirgaNetworkDriver *driver, const char *vpc_id, const char *address, guint16 port,
            int *ret_fd, GError **error)
{
    Fake *fake = (Fake *) driver;
    struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd;

    if (!enter(fake, "listen", error))
        return false;
    leave(fake);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *) &any, sizeof any) < 0 || listen(fd, 16) < 0) {
        virga_fail_errno(error, "vpc", errno, "could not listen in vpc \"%s\"", vpc_id);
        if (fd >= 0)
            close(fd);
        return false;
    }
    *ret_fd = fd;
    return true;
}

/* Whoever is plugged answers. */
static GStrv
fake_answering(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, GError **error)
{
    g_autoptr(GStrvBuilder) addresses = g_strv_builder_new();

    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];

        if (virga_network_fake_plugged(driver, plan->id, port->id))
            g_strv_builder_add(addresses, port->address);
    }
    return g_strv_builder_end(addresses);
}

/* Nothing ever passes. */
static GPtrArray *
fake_counters(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, GError **error)
{
    GPtrArray *counters = virga_network_counters_new();

    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];
        VirgaNetworkCounter *counter;

        if (!virga_network_fake_plugged(driver, plan->id, port->id))
            continue;
        counter = g_new0(VirgaNetworkCounter, 1);
        counter->port_id = g_strdup(port->id);
        g_ptr_array_add(counters, counter);
    }
    return counters;
}

/* Every target of a balancer that is here is well. */
static GPtrArray *
fake_health(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, GError **error)
{
    GPtrArray *targets = virga_network_health_new();

    for (guint i = 0; i < plan->target_groups->len; i++) {
        const VirgaTargetGroup *group = plan->target_groups->pdata[i];

        for (guint t = 0; t < group->targets->len; t++) {
            const VirgaBalancerTarget *target = group->targets->pdata[t];
            VirgaTargetHealth *health = g_new0(VirgaTargetHealth, 1);

            health->target_group_id = g_strdup(group->id);
            health->address = g_strdup(target->address);
            health->port = (guint16) target->port;
            health->healthy = health->known = true;
            g_ptr_array_add(targets, health);
        }
    }
    return targets;
}

static void
fake_free(VirgaNetworkDriver *driver)
{
    Fake *fake = (Fake *) driver;

    g_hash_table_unref(fake->vpcs);
    g_hash_table_unref(fake->taps);
    g_mutex_clear(&fake->mutex);
    virga_network_driver_done(driver);
    g_free(fake);
}

VirgaNetworkDriver *
virga_network_fake_new(const char *tag, const char *host_id)
{
    Fake *fake = g_new0(Fake, 1);

    virga_network_driver_init(&fake->base, tag, host_id);
    fake->base.name = "fake";
    fake->base.apply = fake_apply;
    fake->base.tap_prepare = fake_tap_prepare;
    fake->base.tap_plug = fake_tap_plug;
    fake->base.tap_remove = fake_tap_remove;
    fake->base.remove = fake_remove;
    fake->base.list = fake_list;
    fake->base.listen = fake_listen;
    fake->base.answering = fake_answering;
    fake->base.counters = fake_counters;
    fake->base.health = fake_health;
    fake->base.free = fake_free;
    g_mutex_init(&fake->mutex);
    fake->vpcs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    fake->taps = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return &fake->base;
}

void
virga_network_fake_fail_at(VirgaNetworkDriver *driver, unsigned call)
{
    Fake *fake = (Fake *) driver;

    g_mutex_lock(&fake->mutex);
    fake->fail_at = call;
    fake->failed = false;
    g_mutex_unlock(&fake->mutex);
}

bool
virga_network_fake_failed(VirgaNetworkDriver *driver)
{
    Fake *fake = (Fake *) driver;
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&fake->mutex);
    return fake->failed;
}

bool
virga_network_fake_plugged(VirgaNetworkDriver *driver, const char *vpc_id, const char *port_id)
{
    Fake *fake = (Fake *) driver;
    g_autofree char *tap = virga_network_tap_name(driver, port_id);
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&fake->mutex);

    return g_hash_table_contains(fake->vpcs, vpc_id) &&
           g_strcmp0(g_hash_table_lookup(fake->taps, tap), vpc_id) == 0;
}
