/* SPDX-License-Identifier: Apache-2.0 */
/* What all network drivers share: checks of arguments, names and the order of generations. */
#include "network/driver.h"

#include "core/error.h"
#include "core/id.h"
#include "network/address.h"

#include <string.h>

static void
tap_free(VirgaNetworkTap *tap)
{
    g_free(tap->name);
    g_free(tap->vpc_id);
    g_free(tap);
}

VirgaNetworkInventory *
virga_network_inventory_new(void)
{
    VirgaNetworkInventory *inventory = g_new0(VirgaNetworkInventory, 1);

    inventory->vpc_ids = g_new0(char *, 1);
    inventory->taps = g_ptr_array_new_with_free_func((GDestroyNotify) tap_free);
    return inventory;
}

void
virga_network_inventory_add_tap(VirgaNetworkInventory *inventory, const char *name,
                                const char *vpc_id)
{
    VirgaNetworkTap *tap = g_new0(VirgaNetworkTap, 1);

    tap->name = g_strdup(name);
    tap->vpc_id = g_strdup(vpc_id);
    g_ptr_array_add(inventory->taps, tap);
}

void
virga_network_inventory_free(VirgaNetworkInventory *inventory)
{
    if (!inventory)
        return;
    g_strfreev(inventory->vpc_ids);
    g_ptr_array_unref(inventory->taps);
    g_free(inventory);
}

static void
counter_free(VirgaNetworkCounter *counter)
{
    g_free(counter->port_id);
    g_free(counter);
}

GPtrArray *
virga_network_counters_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify) counter_free);
}

GPtrArray *
virga_network_health_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify) virga_target_health_free);
}

void
virga_network_driver_init(VirgaNetworkDriver *driver, const char *tag, const char *host_id)
{
    g_assert(strlen(tag) == VIRGA_TAG_SIZE - 1);
    g_strlcpy(driver->tag, tag, sizeof driver->tag);
    driver->host_id = g_strdup(host_id);
    g_mutex_init(&driver->lock);
    driver->generations = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
}

void
virga_network_driver_done(VirgaNetworkDriver *driver)
{
    g_free(driver->host_id);
    g_hash_table_unref(driver->generations);
    g_mutex_clear(&driver->lock);
}

void
virga_network_driver_free(VirgaNetworkDriver *driver)
{
    if (driver)
        driver->free(driver);
}

char *
virga_network_namespace(const VirgaNetworkDriver *driver, const char *vpc_id)
{
    return g_strdup_printf("/run/netns/virga-%s-%s", driver->tag, vpc_id);
}

char *
virga_network_tap_name(const VirgaNetworkDriver *driver, const char *port_id)
{
    size_t length = strlen(port_id), digits = VIRGA_TAP_SIZE - 1 - strlen("v") - 3;

    return g_strdup_printf("v%s%s", driver->tag, port_id + (length > digits ? length - digits : 0));
}

/* Generations start anew when virga-node does; the plan on its disk is then the newest. */
static bool
check_generation(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&driver->lock);
    const gint64 *newest = g_hash_table_lookup(driver->generations, plan->id);

    if (newest && *newest > plan->generation)
        return virga_fail(error, "vpc", VIRGA_ERROR_CONFLICT,
                          "vpc \"%s\" is at generation %" G_GINT64_FORMAT
                          ", the plan has %" G_GINT64_FORMAT,
                          plan->id, *newest, plan->generation);
    g_hash_table_replace(driver->generations, g_strdup(plan->id),
                         g_memdup2(&plan->generation, sizeof plan->generation));
    return true;
}

bool
virga_network_apply(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, guint64 *ret_epoch,
                    GError **error)
{
    guint64 epoch = 0;

    if (!virga_vpc_plan_check(plan, error) || !check_generation(driver, plan, error) ||
        !driver->apply(driver, plan, &epoch, error))
        return false;
    if (ret_epoch)
        *ret_epoch = epoch;
    return true;
}

/* The plan's port if it is this host's, or NULL with 'error'. */
static const VirgaVpcPort *
local_port(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, const char *port_id,
           GError **error)
{
    const VirgaVpcPort *port = virga_vpc_plan_port(plan, port_id);

    if (!virga_vpc_plan_check(plan, error))
        return NULL;
    if (!port || g_strcmp0(port->host_id, driver->host_id) != 0) {
        virga_fail(error, "network interface", VIRGA_ERROR_NOT_FOUND,
                   "network interface \"%s\" is not on host \"%s\"", port_id, driver->host_id);
        return NULL;
    }
    return port;
}

bool
virga_network_tap_prepare(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, const char *port_id,
                          uid_t owner, GError **error)
{
    const VirgaVpcPort *port = local_port(driver, plan, port_id, error);
    return port && driver->tap_prepare(driver, plan, port, owner, error);
}

bool
virga_network_tap_plug(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, const char *port_id,
                       GError **error)
{
    const VirgaVpcPort *port = local_port(driver, plan, port_id, error);
    return port && driver->tap_plug(driver, plan, port, error);
}

static bool
check_vpc_id(const char *vpc_id, GError **error)
{
    if (!virga_id_is(vpc_id, "vpc"))
        return virga_fail(error, "vpc", VIRGA_ERROR_INVALID, "\"%s\" is no id of a vpc",
                          vpc_id ? vpc_id : "");
    return true;
}

bool
virga_network_tap_remove(VirgaNetworkDriver *driver, const char *vpc_id, const char *tap,
                         GError **error)
{
    g_autofree char *prefix = g_strdup_printf("v%s", driver->tag);

    if (vpc_id && !check_vpc_id(vpc_id, error))
        return false;
    if (!g_str_has_prefix(tap, prefix) || strlen(tap) >= VIRGA_TAP_SIZE)
        return virga_fail(error, "network interface", VIRGA_ERROR_INVALID,
                          "\"%s\" is no tap of this cloud", tap);
    return driver->tap_remove(driver, vpc_id, tap, error);
}

bool
virga_network_remove(VirgaNetworkDriver *driver, const char *vpc_id, GError **error)
{
    if (!check_vpc_id(vpc_id, error) || !driver->remove(driver, vpc_id, error))
        return false;
    g_mutex_lock(&driver->lock);
    g_hash_table_remove(driver->generations, vpc_id);
    g_mutex_unlock(&driver->lock);
    return true;
}

VirgaNetworkInventory *
virga_network_list(VirgaNetworkDriver *driver, GError **error)
{
    return driver->list(driver, error);
}

bool
virga_network_listen(VirgaNetworkDriver *driver, const char *vpc_id, const char *address,
                     guint16 port, int *ret_fd, GError **error)
{
    guint32 number;

    if (!check_vpc_id(vpc_id, error))
        return false;
    if (!virga_ipv4_parse(address, &number))
        return virga_fail(error, "vpc", VIRGA_ERROR_INVALID, "\"%s\" is no address", address);
    return driver->listen(driver, vpc_id, address, port, ret_fd, error);
}

GStrv
virga_network_answering(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, GError **error)
{
    return driver->answering(driver, plan, error);
}

GPtrArray *
virga_network_counters(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, GError **error)
{
    return driver->counters(driver, plan, error);
}

GPtrArray *
virga_network_health(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, GError **error)
{
    return driver->health(driver, plan, error);
}
