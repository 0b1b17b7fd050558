/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/pool.h"

#include "core/error.h"

#include <string.h>

bool
virga_pool_in_zone(const VirgaConfig *config, const char *group, const char *zone)
{
    g_auto(GStrv) letters = g_strsplit(virga_config_text(config, group, "zones"), ",", -1);
    const char *letter = zone + strlen(zone) - 1;

    return !*letters || g_strv_contains((const char *const *) letters, letter);
}

const char *
virga_pool_of(const VirgaConfig *config, const char *type, const char *zone, GError **error)
{
    g_autofree char *of_type = g_strconcat("volume-type ", type, NULL);
    const char *pool = virga_config_text(config, of_type, "pool");
    g_autofree char *group = g_strconcat("pool ", pool, NULL);

    if (!virga_pool_is_shared(pool) || virga_pool_in_zone(config, group, zone))
        return pool;
    virga_fail(error, "volume type", VIRGA_ERROR_UNSUPPORTED,
               "The volume type '%s' is not available in the zone '%s'.", type, zone);
    return NULL;
}

bool
virga_pool_is_shared(const char *pool)
{
    return !g_str_equal(pool, VIRGA_POOL_LOCAL);
}
