/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of the machine and changes nothing: which VPCs and taps are here, who answers, how
 * much has passed. */
#include "kernel-priv.h"

#include "core/error.h"
#include "core/process.h"
#include "network/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DISCARD_PORT 9

/* ---- what is here ---- */

typedef struct {
    VirgaNetworkInventory *inventory;
    const char *prefix, *vpc_id;
} TapSearch;

static bool
find_taps_here(void *data, GError **error)
{
    const TapSearch *search = data;
    struct if_nameindex *links = if_nameindex();

    for (struct if_nameindex *link = links; link && link->if_index; link++)
        if (g_str_has_prefix(link->if_name, search->prefix))
            virga_network_inventory_add_tap(search->inventory, link->if_name, search->vpc_id);
    if_freenameindex(links);
    return true;
}

VirgaNetworkInventory *
virga_kernel_list(const VirgaKernelConfig *config, GError **error)
{
    g_autoptr(VirgaNetworkInventory) inventory = virga_network_inventory_new();
    g_autofree char *prefix = g_strdup_printf("virga-%s-", config->tag);
    g_autofree char *taps = g_strdup_printf("v%s", config->tag);
    g_autofree char *path = virga_netns_path("");
    g_autoptr(GStrvBuilder) ids = g_strv_builder_new();
    g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
    TapSearch here = { inventory, taps, NULL };
    const char *name;

    find_taps_here(&here, NULL);
    while (directory && (name = g_dir_read_name(directory))) {
        TapSearch there = { inventory, taps, name + strlen(prefix) };

        if (!g_str_has_prefix(name, prefix))
            continue;
        g_strv_builder_add(ids, there.vpc_id);
        if (virga_netns_exists(name) && !virga_netns_run(name, find_taps_here, &there, error))
            return NULL;
    }
    g_strfreev(inventory->vpc_ids);
    inventory->vpc_ids = g_strv_builder_end(ids);
    return g_steal_pointer(&inventory);
}

/* ---- who answers ---- */

typedef struct {
    const VirgaKernelConfig *config;
    const VirgaVpcPlan *plan;
    char *table; /* the answer of ip */
} Asking;

/* A datagram makes the kernel resolve the address, or make sure that it still answers. */
static void
poke(int fd, const char *address)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(DISCARD_PORT) };
    guint32 number;

    if (virga_ipv4_parse(address, &number)) {
        to.sin_addr.s_addr = htonl(number);
        sendto(fd, "", 0, MSG_DONTWAIT, (struct sockaddr *) &to, sizeof to);
    }
}

static bool
ask_inside(void *data, GError **error)
{
    static const char *const command[] = { "ip", "-4", "-j", "neigh", "show", NULL };
    Asking *asking = data;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (!virga_process_run(command, NULL, VIRGA_SPAWN_TIMEOUT_MS, &asking->table, error)) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    for (guint i = 0; fd >= 0 && i < asking->plan->ports->len; i++) {
        const VirgaVpcPort *port = asking->plan->ports->pdata[i];

        if (virga_kernel_has_tap(asking->config, port))
            poke(fd, port->address);
    }
    if (fd >= 0)
        close(fd);
    return true;
}

GStrv
virga_kernel_answering(const VirgaKernelConfig *config, const VirgaVpcPlan *plan, GError **error)
{
    Asking asking = { config, plan, NULL };
    g_autofree char *namespace = virga_kernel_namespace(config, plan->id);
    GStrv addresses = NULL;

    if (!virga_netns_exists(namespace)) {
        virga_fail(error, "vpc", VIRGA_ERROR_STATE, "vpc \"%s\" is not on this host", plan->id);
        return NULL;
    }
    if (virga_netns_run(namespace, ask_inside, &asking, error))
        addresses = virga_links_answering(asking.table, error);
    g_free(asking.table);
    return addresses;
}

/* ---- counters ---- */

typedef struct {
    const VirgaKernelConfig *config;
    const VirgaVpcPlan *plan;
    GPtrArray *counters;
} Counting;

static bool
count_inside(void *data, GError **error)
{
    Counting *counting = data;
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/proc/thread-self/net/dev", &text, NULL, error))
        return false;
    virga_counters_read(counting->config, counting->plan, text, counting->counters);
    return true;
}

GPtrArray *
virga_kernel_counters(const VirgaKernelConfig *config, const VirgaVpcPlan *plan, GError **error)
{
    g_autofree char *namespace = virga_kernel_namespace(config, plan->id);
    g_autoptr(GPtrArray) counters = virga_network_counters_new();
    Counting counting = { config, plan, counters };

    if (virga_netns_exists(namespace) &&
        !virga_netns_run(namespace, count_inside, &counting, error))
        return NULL;
    return g_steal_pointer(&counters);
}
