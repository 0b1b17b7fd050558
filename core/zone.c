/* SPDX-License-Identifier: Apache-2.0 */
#include "core/zone.h"

#include <stdbool.h>
#include <string.h>

/* The short names of regions: "use1", "apse2", "eun1". */
static void
append_short_region(GString *out, const char *region)
{
    static const char *const directions[] = { "north", "south", "east", "west", "central" };
    g_auto(GStrv) parts = g_strsplit(region, "-", -1);

    for (size_t i = 0; parts[i]; i++) {
        const char *part = parts[i];
        bool known = true;

        if (i == 0 || g_ascii_isdigit(*part)) {
            g_string_append_len(out, part, i == 0 ? (gssize) MIN(strlen(part), 2) : -1);
            continue;
        }
        while (known && *part) { /* "southeast" is two directions */
            known = false;
            for (size_t j = 0; j < G_N_ELEMENTS(directions) && !known; j++)
                if (g_str_has_prefix(part, directions[j])) {
                    g_string_append_c(out, directions[j][0]);
                    part += strlen(directions[j]);
                    known = true;
                }
        }
        if (*part)
            g_string_append_c(out, *part);
    }
}

char *
virga_zone_id(const char *region, const char *zone)
{
    GString *id;

    if (!region || !zone || !*zone)
        return NULL;
    id = g_string_new(NULL);
    append_short_region(id, region);
    g_string_append_printf(id, "-az%d", zone[strlen(zone) - 1] - 'a' + 1);
    return g_string_free(id, FALSE);
}
