/* SPDX-License-Identifier: Apache-2.0 */
/* What has passed through taps, as the kernel counts it in the calling thread's namespace. */
#include "kernel-priv.h"

#include <stdio.h>
#include <string.h>

#define NAME_MAX_CHARS 31

/* The tap receives what the guest sends. */
static bool
read_line(const char *line, char name[static NAME_MAX_CHARS + 1], VirgaNetworkCounter *ret)
{
    unsigned long long in_bytes, in_packets, out_bytes, out_packets;

    /* Between: errors, dropped, fifo, frame, compressed and multicast. */
    if (sscanf(line, " %31[^: ]: %llu %llu %*u %*u %*u %*u %*u %*u %llu %llu", name, &in_bytes,
               &in_packets, &out_bytes, &out_packets) != 5)
        return false;
    ret->sent_bytes = in_bytes;
    ret->sent_packets = in_packets;
    ret->received_bytes = out_bytes;
    ret->received_packets = out_packets;
    return true;
}

void
virga_counters_read(const VirgaKernelConfig *config, const VirgaVpcPlan *plan, const char *text,
                    GPtrArray *counters)
{
    g_autoptr(GHashTable) ports = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (guint i = 0; i < plan->ports->len; i++) {
        VirgaVpcPort *port = plan->ports->pdata[i];
        if (virga_kernel_is_local(config, port))
            g_hash_table_insert(ports, virga_kernel_tap(config, port->id), port);
    }
    for (char **line = lines; *line; line++) {
        VirgaNetworkCounter counter = { 0 };
        const VirgaVpcPort *port;
        char name[NAME_MAX_CHARS + 1];

        if (!read_line(*line, name, &counter) || !(port = g_hash_table_lookup(ports, name)))
            continue;
        counter.port_id = g_strdup(port->id);
        g_ptr_array_add(counters, g_memdup2(&counter, sizeof counter));
    }
}
