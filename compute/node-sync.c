/* SPDX-License-Identifier: Apache-2.0 */
/* The talk with virgad: the wish by a long poll, facts by posts.  Both go on for ever; what could
 * not be said is said again. */
#include "node-priv.h"

#include "core/id.h"
#include "core/json.h"

#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define REPORT_MS         15000
#define REPORT_MAX        256   /* guests in one report */
#define REPORT_PAUSE_MS   10    /* lets facts that come together go together */
#define SYNC_BYTES_PER_MS 10000 /* large answers are asked for less often */
#define SYNC_PAUSE_MS     20    /* likewise wishes: a VPC's plan names all of its members */
#define UNREACHED_MS      1000

/* {"after": generation, "vpcs": {id: generation}} */
static char *
poll_body(VirgaNode *node, bool complete)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;
    GHashTableIter iter;
    gpointer value;

    g_mutex_lock(&node->lock);
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "host");
    json_builder_add_string_value(builder, node->host_id);
    json_builder_set_member_name(builder, "after");
    json_builder_add_int_value(builder, complete ? 0 : node->generation);
    json_builder_set_member_name(builder, "vpcs");
    json_builder_begin_object(builder);
    g_hash_table_iter_init(&iter, node->vpcs);
    while (!complete && g_hash_table_iter_next(&iter, NULL, &value)) {
        Vpc *vpc = value;

        if (!vpc->plan || !vpc->wanted)
            continue;
        json_builder_set_member_name(builder, vpc->id);
        json_builder_add_int_value(builder, vpc->plan->record->generation);
    }
    json_builder_end_object(builder);
    json_builder_end_object(builder);
    g_mutex_unlock(&node->lock);
    root = json_builder_get_root(builder);
    return json_to_string(root, FALSE);
}

static JsonArray *
array_member(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

/* "" if the element is no text: a name that nothing has. */
static const char *
text_at(JsonArray *array, guint i)
{
    JsonNode *node = json_array_get_element(array, i);

    return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING
               ? json_node_get_string(node)
               : "";
}

static void
take_plans_locked(VirgaNode *node, JsonArray *plans)
{
    for (guint i = 0; plans && i < json_array_get_length(plans); i++) {
        g_autoptr(GError) error = NULL;
        VirgaVpcPlan *plan = virga_vpc_plan_from_json(json_array_get_element(plans, i), &error);

        if (plan)
            node_take_plan_locked(node, plan);
        else
            virga_warning("vpc", NULL, "a plan that is none: %s", error->message);
    }
}

/* Their ids are added to 'seen', which may be NULL. */
static void
take_guests_locked(VirgaNode *node, JsonArray *guests, GHashTable *seen)
{
    for (guint i = 0; guests && i < json_array_get_length(guests); i++) {
        g_autoptr(GError) error = NULL;
        VirgaGuestWish *wish = virga_record_from_json(&virga_guest_wish_type,
                                                      json_array_get_element(guests, i), &error);

        if (!wish) {
            virga_warning("host", node->host_id, "a wish that is none: %s", error->message);
            continue;
        }
        if (seen)
            g_hash_table_add(seen, g_strdup(wish->id));
        node_take_wish_locked(node, wish);
    }
}

void
node_take_lists_locked(VirgaNode *node, JsonObject *root, GHashTable *seen)
{
    take_plans_locked(node, array_member(root, "vpcs")); /* before the guests that need them */
    take_guests_locked(node, array_member(root, "guests"), seen);
}

/* Which VPCs the host should have: the others go when their last guest has. */
static void
mark_wanted_locked(VirgaNode *node, JsonArray *ids)
{
    g_autoptr(GHashTable) wanted = g_hash_table_new(g_str_hash, g_str_equal);
    GHashTableIter iter;
    gpointer value;

    if (!ids)
        return;
    for (guint i = 0; i < json_array_get_length(ids); i++)
        g_hash_table_add(wanted, (gpointer) text_at(ids, i));
    g_hash_table_iter_init(&iter, node->vpcs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Vpc *vpc = value;
        bool now = g_hash_table_contains(wanted, vpc->id);

        if (vpc->wanted && !now)
            node_wake_vpc_locked(node, vpc);
        vpc->wanted = now;
    }
}

/* A complete answer does not name guests of which the controller knows nothing on this host: their
 * share here is over (what is left of them is node-garbage.c's affair). */
static void
drop_unnamed_locked(VirgaNode *node, GHashTable *seen)
{
    g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer id;

    g_hash_table_iter_init(&iter, node->guests);
    while (g_hash_table_iter_next(&iter, &id, NULL))
        if (!g_hash_table_contains(seen, id))
            g_ptr_array_add(gone, g_strdup(id));
    for (guint i = 0; i < gone->len; i++)
        node_drop_guest_locked(node, gone->pdata[i]);
}

/* An id, or {"id", "pool"}; loans. */
static const char *
doomed_at(JsonArray *array, guint i, const char **ret_pool)
{
    JsonNode *node = json_array_get_element(array, i);
    JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;

    *ret_pool = object ? json_object_get_string_member_with_default(object, "pool", NULL) : NULL;
    return object ? json_object_get_string_member_with_default(object, "id", "")
                  : text_at(array, i);
}

/* Volumes that nobody shall have any more.  What could not be deleted is named again with the next
 * whole wish. */
static void
delete_volumes(VirgaNode *node, JsonArray *ids)
{
    for (guint i = 0; ids && i < json_array_get_length(ids); i++) {
        const char *pool_name, *id = doomed_at(ids, i, &pool_name);
        g_autoptr(GError) error = NULL;
        VirgaVolumeDriver *pool;

        const char *const ids_of[] = { id, NULL };
        bool deleted;

        if (!virga_id_is(id, "vol"))
            continue;
        node_claim_volumes(node, ids_of);
        pool = node_pool(node, pool_name, &error);
        deleted = pool && node_unexport(node, id, &error) && pool->delete (pool, id, &error);
        node_release_volumes(node, ids_of);
        if (!deleted) {
            virga_warning("volume", id, "%s", error->message);
            continue;
        }
        virga_info("volume", id, "deleted");
        g_mutex_lock(&node->lock);
        g_ptr_array_add(node->deleted, g_strdup(id));
        g_cond_broadcast(&node->changed);
        g_mutex_unlock(&node->lock);
    }
}

static bool
take_answer(VirgaNode *node, const char *text, GError **error)
{
    g_autoptr(JsonNode) json = virga_json_parse(text, -1, error);
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    JsonObject *root;
    gint64 generation;

    if (!json)
        return false;
    if (!JSON_NODE_HOLDS_OBJECT(json))
        return virga_fail(error, "request", VIRGA_ERROR_INTERNAL, "virgad's answer is no object");
    root = json_node_get_object(json);
    generation = json_object_get_int_member_with_default(root, "generation", 0);
    g_mutex_lock(&node->lock);
    node_take_exports_locked(node, array_member(root, "exports")); /* before the guests */
    node_take_lists_locked(node, root, seen);
    node_take_questions_locked(node, array_member(root, "questions"));
    node_take_snapshots_locked(node, array_member(root, "snapshots"));
    mark_wanted_locked(node, array_member(root, "vpc_ids"));
    if (json_object_get_boolean_member_with_default(root, "complete", false)) {
        drop_unnamed_locked(node, seen);
        node->told_all = true;
    }
    node->generation = generation;
    g_mutex_unlock(&node->lock);
    delete_volumes(node, array_member(root, "doomed"));
    return true;
}

/* Waits, but not past the end of the daemon. */
static void
pause_ms(VirgaNode *node, gint64 ms)
{
    gint64 until = g_get_monotonic_time() + ms * 1000;

    while (!node_stopping(node) && g_get_monotonic_time() < until)
        g_usleep((gulong) MIN(ms, 50) * 1000);
}

/* A controller that was away may have forgotten what the host has: it is told first of all. */
static void
report_host_now(VirgaNode *node)
{
    g_mutex_lock(&node->lock);
    node->heartbeat_at = NEVER;
    g_cond_broadcast(&node->changed);
    g_mutex_unlock(&node->lock);
}

gpointer
node_sync_main(gpointer data)
{
    VirgaNode *node = data;
    bool complete = true, reached = true;
    gint64 resync_at = 0;

    while (!node_stopping(node)) {
        g_autoptr(GError) error = NULL;
        g_autofree char *body = NULL, *answer = NULL;

        complete = complete || g_get_monotonic_time() > resync_at;
        body = poll_body(node, complete);
        if (virga_http_call(node->virgad, "POST", "/node/v1/desired", body, VIRGA_POLL_MS + 10000,
                            &answer, &error) &&
            take_answer(node, answer, &error)) {
            if (complete)
                resync_at = g_get_monotonic_time() + VIRGA_RESYNC_S * G_USEC_PER_SEC;
            if (!reached) {
                virga_notice("host", node->host_id, "virgad answers again");
                report_host_now(node);
            }
            complete = false;
            reached = true;
            pause_ms(node, MAX(SYNC_PAUSE_MS, (gint64) strlen(answer) / SYNC_BYTES_PER_MS));
            continue;
        }
        if (reached && !node_stopping(node))
            virga_notice("host", node->host_id, "%s; the guests go on", error->message);
        reached = false;
        complete = true; /* who knows what was missed */
        pause_ms(node, UNREACHED_MS);
    }
    return NULL;
}

static const char *
power_name(VirgaPower power)
{
    static const char *const names[] = { "preparing", "running", "off",
                                         "off-guest", "absent",  "failed" };

    return names[power];
}

static void
add_text(JsonBuilder *builder, const char *name, const char *text)
{
    if (!text)
        return;
    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, text);
}

static void
add_number(JsonBuilder *builder, const char *name, gint64 number)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, number);
}

static void
add_texts(JsonBuilder *builder, const char *name, GStrv texts)
{
    json_builder_set_member_name(builder, name);
    json_builder_begin_array(builder);
    for (char **text = texts; text && *text; text++)
        json_builder_add_string_value(builder, *text);
    json_builder_end_array(builder);
}

static void
add_array(JsonBuilder *builder, const char *name, GPtrArray *texts)
{
    json_builder_set_member_name(builder, name);
    json_builder_begin_array(builder);
    for (guint i = 0; i < texts->len && i < REPORT_MAX; i++)
        json_builder_add_string_value(builder, texts->pdata[i]);
    json_builder_end_array(builder);
}

static void
add_guest_locked(JsonBuilder *builder, Guest *guest)
{
    json_builder_begin_object(builder);
    add_text(builder, "id", guest->id);
    add_number(builder, "generation", guest->acted_generation);
    add_text(builder, "power", power_name(guest->power));
    add_number(builder, "reboots_done", guest->reboots_done);
    add_text(builder, "reachable", guest->reachable);
    add_text(builder, "code", guest->code);
    add_text(builder, "message", guest->message);
    add_texts(builder, "made", guest->made);
    add_texts(builder, "lost", guest->lost);
    add_texts(builder, "kept", guest->kept);
    if (guest->plugged_ids[VIRGA_DEVICE_PORT])
        add_texts(builder, "ports", guest->plugged_ids[VIRGA_DEVICE_PORT]);
    if (guest->plugged_ids[VIRGA_DEVICE_DISK])
        add_texts(builder, "disks", guest->plugged_ids[VIRGA_DEVICE_DISK]);
    add_text(builder, "console", guest->console);
    json_builder_end_object(builder);
    guest->dirty = false;
    guest->reporting = true;
}

static void
add_host(VirgaNode *node, JsonBuilder *builder)
{
    VirgaConfig *config = node->config;
    gint64 memory_mib = (gint64) sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) >> 20;
    double vcpus = (double) sysconf(_SC_NPROCESSORS_ONLN);
    struct statvfs disk = { 0 };

    statvfs(node->directory, &disk);
    memory_mib -= virga_config_int(config, "node", "memory-reserved-mib");
    vcpus *= virga_config_real(config, "node", "vcpu-overcommit");
    json_builder_set_member_name(builder, "host");
    json_builder_begin_object(builder);
    add_text(builder, "id", node->host_id);
    add_text(builder, "name", node->host_name);
    add_text(builder, "zone", virga_config_text(config, "node", "zone"));
    add_text(builder, "version", VIRGA_VERSION);
    add_text(builder, "hypervisor", node->hypervisor->name);
    add_number(builder, "vcpus", (gint64) vcpus);
    add_number(builder, "memory_mib",
               (gint64) ((double) MAX(memory_mib, 0) *
                         virga_config_real(config, "node", "memory-overcommit")));
    add_number(builder, "disk_free_gib",
               MAX(0, (gint64) (disk.f_bavail * disk.f_frsize >> 30) -
                          virga_config_int(config, "node", "disk-reserved-gib")));
    add_text(builder, "trouble", node->trouble);
    json_builder_set_member_name(builder, "damaged");
    json_builder_begin_array(builder);
    for (char **id = node->damaged; id && *id; id++)
        json_builder_add_string_value(builder, *id);
    json_builder_end_array(builder);
    if (*virga_config_text(config, "network", "tunnel-address"))
        add_text(builder, "tunnel_address", virga_config_text(config, "network", "tunnel-address"));
    json_builder_end_object(builder);
}

/* The generations of plans that have been applied. */
static void
add_vpcs_locked(VirgaNode *node, JsonBuilder *builder)
{
    GHashTableIter iter;
    gpointer value;

    json_builder_set_member_name(builder, "vpcs");
    json_builder_begin_object(builder);
    g_hash_table_iter_init(&iter, node->vpcs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Vpc *vpc = value;

        json_builder_set_member_name(builder, vpc->id);
        json_builder_add_int_value(builder, vpc->applied);
    }
    json_builder_end_object(builder);
    node->vpcs_dirty = false;
}

/* The facts that are new, marked as being on the way; NULL: nothing to say. */
static char *
report_body_locked(VirgaNode *node, bool heartbeat)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;
    GHashTableIter iter;
    gpointer value;
    guint count = 0;
    bool vpcs = node->vpcs_dirty;

    json_builder_begin_object(builder);
    if (node->deleted->len > 0)
        add_array(builder, "deleted", node->deleted);
    node->deleted_said = MIN(node->deleted->len, REPORT_MAX);
    if (node->cut->len > 0)
        add_array(builder, "cut", node->cut);
    node->cut_said = MIN(node->cut->len, REPORT_MAX);
    json_builder_set_member_name(builder, "guests");
    json_builder_begin_array(builder);
    g_hash_table_iter_init(&iter, node->guests);
    while (count < REPORT_MAX && g_hash_table_iter_next(&iter, NULL, &value)) {
        Guest *guest = value;

        if (!guest->dirty || guest->acted_generation == 0)
            continue;
        add_guest_locked(builder, guest);
        count++;
    }
    json_builder_end_array(builder);
    add_text(builder, "host_id", node->host_id);
    if (heartbeat)
        add_host(node, builder);
    if (heartbeat || vpcs)
        add_vpcs_locked(node, builder);
    json_builder_end_object(builder);
    if (count == 0 && !heartbeat && !vpcs && node->deleted->len == 0 && node->cut->len == 0)
        return NULL;
    root = json_builder_get_root(builder);
    return json_to_string(root, FALSE);
}

/* After a report: what was said need not be said again; after a failed one, all of it must. */
static void
end_report_locked(VirgaNode *node, bool said)
{
    GHashTableIter iter;
    gpointer value;

    if (said && node->deleted_said > 0)
        g_ptr_array_remove_range(node->deleted, 0, node->deleted_said);
    if (said && node->cut_said > 0)
        g_ptr_array_remove_range(node->cut, 0, node->cut_said);
    g_hash_table_iter_init(&iter, node->guests);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Guest *guest = value;

        if (!guest->reporting)
            continue;
        guest->reporting = false;
        if (!said)
            guest->dirty = true;
        else if (!guest->dirty)
            g_clear_pointer(&guest->console, g_free);
    }
}

static void
forget_locked(VirgaNode *node, const char *answer)
{
    g_autoptr(JsonNode) root = virga_json_parse(answer, -1, NULL);
    JsonArray *ids;

    ids = root && JSON_NODE_HOLDS_OBJECT(root) ? array_member(json_node_get_object(root), "forget")
                                               : NULL;
    for (guint i = 0; ids && i < json_array_get_length(ids); i++)
        node_drop_guest_locked(node, text_at(ids, i));
}

/* Waits for something to say; true if it is time for a heartbeat. */
static bool
wait_for_news_locked(VirgaNode *node)
{
    while (!node->stopping) {
        gint64 heartbeat_at = node->heartbeat_at + VIRGA_HEARTBEAT_S * G_USEC_PER_SEC;
        GHashTableIter iter;
        gpointer value;

        if (node->vpcs_dirty || node->deleted->len > 0 || node->cut->len > 0)
            return g_get_monotonic_time() >= heartbeat_at;
        g_hash_table_iter_init(&iter, node->guests);
        while (g_hash_table_iter_next(&iter, NULL, &value))
            if (((Guest *) value)->dirty && ((Guest *) value)->acted_generation)
                return g_get_monotonic_time() >= heartbeat_at;
        if (!g_cond_wait_until(&node->changed, &node->lock, heartbeat_at))
            return true;
    }
    return false;
}

gpointer
node_report_main(gpointer data)
{
    VirgaNode *node = data;

    while (!node_stopping(node)) {
        g_autoptr(GError) error = NULL;
        g_autofree char *body = NULL, *answer = NULL;
        bool heartbeat, said;

        g_mutex_lock(&node->lock);
        heartbeat = wait_for_news_locked(node);
        body = node->stopping ? NULL : report_body_locked(node, heartbeat);
        g_mutex_unlock(&node->lock);
        if (!body)
            continue;
        said = virga_http_call(node->virgad, "POST", "/node/v1/facts", body, REPORT_MS, &answer,
                               &error);
        g_mutex_lock(&node->lock);
        end_report_locked(node, said);
        node->vpcs_dirty = node->vpcs_dirty || !said; /* who knows what was lost */
        if (said)
            forget_locked(node, answer);
        if (said && heartbeat)
            node->heartbeat_at = g_get_monotonic_time();
        g_mutex_unlock(&node->lock);
        pause_ms(node, said ? REPORT_PAUSE_MS : UNREACHED_MS);
    }
    return NULL;
}

bool
virga_node_fetch_snapshot(const char *snapshot_id, const char *path, gpointer data, GError **error)
{
    g_autofree char *url = g_strconcat("/node/v1/snapshots/", snapshot_id, NULL);
    g_autoptr(GError) reason = NULL;

    if (virga_http_download(data, url, path, 600000, &reason))
        return true;
    if (virga_error_is(reason, NULL, VIRGA_ERROR_NOT_FOUND))
        return virga_fail(error, "volume", VIRGA_ERROR_NOT_FOUND,
                          "the data of snapshot \"%s\" is not in the store", snapshot_id);
    g_propagate_error(error, g_steal_pointer(&reason));
    return false;
}
