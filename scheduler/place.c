/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/place.h"

VirgaPlaceVerdict
virga_place_judge(const VirgaPlaceRequest *request, const VirgaPlaceHost *host)
{
    if (request->host_id && !g_str_equal(request->host_id, host->id))
        return VIRGA_PLACE_OTHER_HOST;
    if (request->zone && !g_str_equal(request->zone, host->zone))
        return VIRGA_PLACE_OTHER_ZONE;
    if (!host->up)
        return VIRGA_PLACE_DOWN;
    if (host->trouble)
        return VIRGA_PLACE_TROUBLE;
    if (host->barred)
        return VIRGA_PLACE_BARRED;
    if (host->vcpus - host->vcpus_claimed < request->vcpus)
        return VIRGA_PLACE_NO_VCPUS;
    if (host->memory_mib - host->memory_claimed_mib < request->memory_mib)
        return VIRGA_PLACE_NO_MEMORY;
    if (request->disk_gib > 0 && host->disk_free_gib < request->disk_gib)
        return VIRGA_PLACE_NO_DISK;
    return VIRGA_PLACE_FITS;
}

static bool
is_better(const VirgaPlaceHost *host, const VirgaPlaceHost *best)
{
    gint64 memory = host->memory_mib - host->memory_claimed_mib;
    gint64 best_memory = best->memory_mib - best->memory_claimed_mib;
    gint64 vcpus = host->vcpus - host->vcpus_claimed;
    gint64 best_vcpus = best->vcpus - best->vcpus_claimed;

    if (memory != best_memory)
        return memory < best_memory;
    if (vcpus != best_vcpus)
        return vcpus < best_vcpus;
    return g_strcmp0(host->id, best->id) < 0;
}

const VirgaPlaceHost *
virga_place(const VirgaPlaceRequest *request, const VirgaPlaceHost *hosts, size_t count)
{
    const VirgaPlaceHost *best = NULL;

    for (size_t i = 0; i < count; i++)
        if (virga_place_judge(request, &hosts[i]) == VIRGA_PLACE_FITS &&
            (!best || is_better(&hosts[i], best)))
            best = &hosts[i];
    return best;
}

static void
explain_host(GString *text, const VirgaPlaceRequest *request, const VirgaPlaceHost *host)
{
    g_string_append_printf(text, "%s%s: ", text->len ? "\n" : "", host->name);
    switch (virga_place_judge(request, host)) {
    case VIRGA_PLACE_FITS:
        g_string_append(text, "fits");
        break;
    case VIRGA_PLACE_OTHER_ZONE:
        g_string_append_printf(text, "is in zone %s", host->zone);
        break;
    case VIRGA_PLACE_OTHER_HOST:
        g_string_append(text, "does not hold the instance's volumes");
        break;
    case VIRGA_PLACE_DOWN:
        g_string_append(text, "has not been heard of lately");
        break;
    case VIRGA_PLACE_TROUBLE:
        g_string_append_printf(text, "has trouble: %s", host->trouble);
        break;
    case VIRGA_PLACE_BARRED:
        g_string_append(text, host->barred);
        break;
    case VIRGA_PLACE_NO_VCPUS:
        g_string_append_printf(text,
                               "%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
                               " vCPUs are free, %" G_GINT64_FORMAT " are needed",
                               host->vcpus - host->vcpus_claimed, host->vcpus, request->vcpus);
        break;
    case VIRGA_PLACE_NO_MEMORY:
        g_string_append_printf(text,
                               "%" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
                               " MiB of memory are free, %" G_GINT64_FORMAT " are needed",
                               host->memory_mib - host->memory_claimed_mib, host->memory_mib,
                               request->memory_mib);
        break;
    case VIRGA_PLACE_NO_DISK:
        g_string_append_printf(
            text, "%" G_GINT64_FORMAT " GiB of disk are free, %" G_GINT64_FORMAT " are needed",
            host->disk_free_gib, request->disk_gib);
        break;
    }
}

char *
virga_place_explain(const VirgaPlaceRequest *request, const VirgaPlaceHost *hosts, size_t count)
{
    GString *text = g_string_new(NULL);

    for (size_t i = 0; i < count; i++)
        explain_host(text, request, &hosts[i]);
    if (count == 0)
        g_string_append(text, "no host has joined the cloud");
    return g_string_free(text, FALSE);
}
