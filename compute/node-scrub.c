/* SPDX-License-Identifier: Apache-2.0 */
/* The host's cached base images are looked at now and then (storage/scrub.h).  Of one that is
 * damaged nothing is made any more.  It is dropped when nothing stands on it, and fetched anew when
 * it is needed; as long as guests stand on it the host says so. */
#include "node-priv.h"

#include "storage/scrub.h"

#define LOOK_S  15
#define GRACE_S 30 /* what was being made of it when the damage was found is there by then */
#define MIB     (1ll << 20)

static bool
go_on(gpointer data)
{
    return !node_stopping(data);
}

static void
look(VirgaNode *node, const char *directory)
{
    VirgaScrubPace pace = { .bytes_per_s =
                                virga_config_int(node->config, "storage", "scrub-mib") * MIB,
                            .go_on = go_on,
                            .data = node };
    gint64 age_s = virga_config_int(node->config, "storage", "scrub-days") * 24 * 3600;
    g_autoptr(GError) error = NULL;
    g_autofree char *id = NULL;
    VirgaScrubOutcome outcome;

    if (pace.bytes_per_s == 0)
        return;
    if (!virga_scrub_next(directory, age_s, &pace, &outcome, &id, &error)) {
        if (!node_stopping(node))
            virga_notice("snapshot", NULL, "a base image: %s", error->message);
    } else if (outcome == VIRGA_SCRUB_DAMAGED) {
        virga_notice("snapshot", id, "its base image on this host is damaged");
    }
}

/* Those that can go do; the others are reported.  'since': when each was first seen. */
static void
settle(VirgaNode *node, const char *directory, GHashTable *since)
{
    g_auto(GStrv) damaged = virga_scrub_damaged(directory);
    g_auto(GStrv) idle = *damaged ? node->volumes->bases(node->volumes, false, NULL) : NULL;
    gint64 now = g_get_monotonic_time();

    for (char **id = damaged; *id; id++) {
        gint64 *first = g_hash_table_lookup(since, *id);
        GError *error = NULL;

        if (!first) {
            first = g_new(gint64, 1);
            *first = now;
            g_hash_table_insert(since, g_strdup(*id), first);
        }
        if (!idle || !g_strv_contains((const char *const *) idle, *id) ||
            now - *first < GRACE_S * G_USEC_PER_SEC)
            continue;
        if (node->volumes->drop_base(node->volumes, *id, &error))
            virga_notice("snapshot", *id, "its damaged base image was removed");
        g_clear_error(&error);
        g_hash_table_remove(since, *id);
    }
    g_mutex_lock(&node->lock);
    g_strfreev(node->damaged);
    node->damaged = g_steal_pointer(&damaged);
    g_mutex_unlock(&node->lock);
}

gpointer
node_scrub_main(gpointer data)
{
    VirgaNode *node = data;
    g_autofree char *directory = g_build_filename(node->directory, "images", NULL);
    g_autoptr(GHashTable) since = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    virga_scrub_be_humble();
    while (!node_stopping(node)) {
        gint64 next = g_get_monotonic_time() + LOOK_S * G_USEC_PER_SEC;

        look(node, directory);
        settle(node, directory, since);
        while (!node_stopping(node) && g_get_monotonic_time() < next)
            g_usleep(200 * 1000);
    }
    return NULL;
}
