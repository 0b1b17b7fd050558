/* SPDX-License-Identifier: Apache-2.0 */
/* What is on the host and belongs to nothing that the controller wishes for: left by a crash
 * between two steps, or by an instance that was given up while the host was away.
 *
 * Only a controller that has told the whole wish in this process's life is believed, and only what
 * stayed unclaimed for the whole grace period goes.  Volumes never go: their bytes may be the only
 * ones ("virga doctor --leaks" names them). */
#include "node-priv.h"

#include "core/id.h"
#include "core/json.h"

#include <glib/gstdio.h>
#include <string.h>

#define GRACE_S  60
#define BASES_MS 15000

/* True if 'name' has been garbage for long enough; remembers when it was first seen. */
static bool
is_due(VirgaNode *node, GHashTable *seen, const char *name)
{
    gint64 now = g_get_monotonic_time();
    gint64 *since = g_hash_table_lookup(node->garbage, name);
    gint64 first = since ? *since : now;

    since = g_new(gint64, 1);
    *since = first;
    g_hash_table_replace(seen, g_strdup(name), since);
    return now - first > GRACE_S * G_USEC_PER_SEC;
}

static void
told(const char *noun, const char *id, bool done, GError *error)
{
    if (done)
        virga_notice(noun, id, "removed: nothing claims it");
    else
        virga_notice(noun, id, "could not be removed: %s", error->message);
    g_clear_error(&error);
}

static bool
has_guest(VirgaNode *node, const char *id)
{
    bool has;

    g_mutex_lock(&node->lock);
    has = node_guest_locked(node, id) != NULL;
    g_mutex_unlock(&node->lock);
    return has;
}

static void
collect_domains(VirgaNode *node, GHashTable *seen)
{
    VirgaHypervisor *hypervisor = node->hypervisor;
    g_auto(GStrv) ids = hypervisor->list(hypervisor, NULL);

    for (char **id = ids; id && *id; id++) {
        GError *error = NULL;

        if (has_guest(node, *id) || !is_due(node, seen, *id))
            continue;
        told("domain", *id,
             hypervisor->power_off(hypervisor, *id, &error) &&
                 hypervisor->remove(hypervisor, *id, &error),
             error);
    }
}

/* The taps that guests claim, by name. */
static GHashTable *
claimed_taps(VirgaNode *node)
{
    GHashTable *taps = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iter;
    gpointer value;

    g_mutex_lock(&node->lock);
    g_hash_table_iter_init(&iter, node->guests);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        GPtrArray *ports = ((Guest *) value)->wish->record->ports;

        for (guint i = 0; i < ports->len; i++)
            g_hash_table_add(taps, virga_network_tap_name(
                                       node->network, ((VirgaGuestPort *) ports->pdata[i])->id));
    }
    g_mutex_unlock(&node->lock);
    return taps;
}

static bool
has_vpc(VirgaNode *node, const char *id)
{
    bool has;

    g_mutex_lock(&node->lock);
    has = g_hash_table_contains(node->vpcs, id);
    g_mutex_unlock(&node->lock);
    return has;
}

static void
collect_network(VirgaNode *node, GHashTable *seen)
{
    g_autoptr(VirgaNetworkInventory) inventory = virga_network_list(node->network, NULL);
    g_autoptr(GHashTable) taps = claimed_taps(node);

    for (guint i = 0; inventory && i < inventory->taps->len; i++) {
        const VirgaNetworkTap *tap = inventory->taps->pdata[i];
        GError *error = NULL;

        if (g_hash_table_contains(taps, tap->name) || !is_due(node, seen, tap->name))
            continue;
        told("tap", tap->name,
             virga_network_tap_remove(node->network, tap->vpc_id, tap->name, &error), error);
    }
    for (char **id = inventory ? inventory->vpc_ids : NULL; id && *id; id++) {
        GError *error = NULL;

        if (!has_vpc(node, *id) && is_due(node, seen, *id))
            told("vpc", *id, virga_network_remove(node->network, *id, &error), error);
    }
}

static void
collect_consoles(VirgaNode *node, GHashTable *seen)
{
    g_autoptr(GDir) directory = g_dir_open(node->console_directory, 0, NULL);
    const char *name;

    while (directory && (name = g_dir_read_name(directory))) {
        g_autofree char *id = g_strndup(name, strcspn(name, "."));
        g_autofree char *path = g_build_filename(node->console_directory, name, NULL);

        if (!has_guest(node, id) && is_due(node, seen, name))
            g_unlink(path);
    }
}

/* {"host_id", "ids"} */
static char *
bases_body(VirgaNode *node, GStrv ids)
{
    JsonArray *array = json_array_new();
    JsonObject *object = json_object_new();
    g_autoptr(JsonNode) root = json_node_init_object(json_node_alloc(), object);

    json_object_unref(object);
    for (char **id = ids; *id; id++)
        json_array_add_string_element(array, *id);
    json_object_set_string_member(object, "host_id", node->host_id);
    json_object_set_array_member(object, "ids", array);
    return json_to_string(root, FALSE);
}

/* Base images on which nothing stands: those of snapshots that are gone go too.  Virgad knows of
 * all volumes that are still to be made, so that nothing will be made of them. */
static void
collect_bases(VirgaNode *node, VirgaVolumeDriver *pool)
{
    g_auto(GStrv) idle = pool->bases(pool, false, NULL);
    g_autofree char *body = idle && *idle ? bases_body(node, idle) : NULL;
    g_autofree char *answer = NULL;
    g_autoptr(JsonNode) json = NULL;
    JsonArray *gone;

    if (!body ||
        !virga_http_call(node->virgad, "POST", "/node/v1/bases", body, BASES_MS, &answer, NULL))
        return;
    json = virga_json_parse(answer, -1, NULL);
    gone = json && JSON_NODE_HOLDS_OBJECT(json) &&
                   json_object_has_member(json_node_get_object(json), "gone")
               ? json_object_get_array_member(json_node_get_object(json), "gone")
               : NULL;
    for (guint i = 0; gone && i < json_array_get_length(gone); i++) {
        const char *id = json_array_get_string_element(gone, i);
        GError *error = NULL;

        if (id && virga_id_is(id, "snap"))
            told("snapshot", id, pool->drop_base(pool, id, &error), error);
    }
}

/* Those of snapshots that are there still may be of use again. */
static void
evict_bases(VirgaNode *node)
{
    gint64 gib = virga_config_int(node->config, "storage", "image-cache-gib");
    g_autoptr(GError) error = NULL;
    guint count;

    if (!g_str_equal(node->volumes->name, "local"))
        return;
    if (!virga_volume_local_evict(node->volumes, MAX(gib, 0) << 30, &count, &error))
        virga_notice("host", node->host_id, "could not bound the cache of base images: %s",
                     error->message);
    else if (count > 0)
        virga_info("host", node->host_id, "took %u base images out of the cache", count);
}

void
node_collect_garbage(VirgaNode *node)
{
    GHashTable *seen;
    GHashTableIter pools;
    gpointer pool;
    bool told_all;

    g_mutex_lock(&node->lock);
    told_all = node->told_all;
    g_mutex_unlock(&node->lock);
    if (!told_all)
        return;
    seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    collect_domains(node, seen);
    collect_network(node, seen);
    collect_consoles(node, seen);
    collect_bases(node, node->volumes);
    evict_bases(node);
    if (node->pools)
        for (g_hash_table_iter_init(&pools, node->pools);
             g_hash_table_iter_next(&pools, NULL, &pool);)
            collect_bases(node, pool);
    g_hash_table_unref(node->garbage); /* what is claimed again starts anew */
    node->garbage = seen;
}
