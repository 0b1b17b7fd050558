/* SPDX-License-Identifier: Apache-2.0 */
/* The wish on the host's own disk: what the host knows when it starts and virgad is away.
 * It holds secrets of guests (user-data): readable by root only. */
#include "node-priv.h"

#include <glib/gstdio.h>
#include <unistd.h>

static char *
store_path(VirgaNode *node)
{
    return g_build_filename(node->directory, "wish.json", NULL);
}

void
node_store_load(VirgaNode *node)
{
    g_autofree char *path = store_path(node);
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) error = NULL;
    JsonObject *root;

    if (!json_parser_load_from_file(parser, path, &error)) {
        if (!g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
            virga_warning("host", node->host_id, "could not read \"%s\": %s", path, error->message);
        return;
    }
    if (!JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser)))
        return;
    root = json_node_get_object(json_parser_get_root(parser));
    g_mutex_lock(&node->lock);
    node_take_lists_locked(node, root, NULL);
    node_take_snapshots_locked(node, json_object_has_member(root, "snapshots")
                                         ? json_object_get_array_member(root, "snapshots")
                                         : NULL);
    node_take_exports_locked(node, json_object_has_member(root, "exports")
                                       ? json_object_get_array_member(root, "exports")
                                       : NULL);
    node->store_dirty = node->exports_told = false;
    g_mutex_unlock(&node->lock);
}

/* The wish, with the reboots that it may not know of yet: they are not done again.  And when the
 * guest was first asked to switch off: its grace does not begin anew with this process. */
static JsonNode *
guest_json_locked(const Guest *guest)
{
    const VirgaGuestWish *want = guest->wish->record;
    JsonNode *json = virga_record_to_json(&virga_guest_wish_type, want);
    JsonObject *object = json_node_get_object(json);
    gint64 since = g_get_monotonic_time() - guest->asked_first_at;

    json_object_set_int_member(object, "reboots_done",
                               MAX(want->reboots_done, guest->reboots_done));
    if (guest->asked_generation == want->generation)
        json_object_set_int_member(object, "asked_at", g_get_real_time() - since);
    return json;
}

static JsonNode *
store_json_locked(VirgaNode *node)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    GHashTableIter iter;
    gpointer value;

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "guests");
    json_builder_begin_array(builder);
    g_hash_table_iter_init(&iter, node->guests);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (!((Guest *) value)->forgotten)
            json_builder_add_value(builder, guest_json_locked(value));
    json_builder_end_array(builder);
    json_builder_set_member_name(builder, "vpcs");
    json_builder_begin_array(builder);
    g_hash_table_iter_init(&iter, node->vpcs);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (((Vpc *) value)->plan)
            json_builder_add_value(builder, virga_vpc_plan_to_json(((Vpc *) value)->plan->record));
    json_builder_end_array(builder);
    json_builder_set_member_name(builder, "snapshots");
    json_builder_begin_array(builder);
    for (guint i = 0; i < node->snapshots->len; i++)
        json_builder_add_value(
            builder, virga_record_to_json(&node_snapshot_type, node->snapshots->pdata[i]));
    json_builder_end_array(builder);
    json_builder_set_member_name(builder, "exports");
    json_builder_begin_array(builder);
    for (guint i = 0; i < node->exports->len; i++)
        json_builder_add_value(builder,
                               virga_record_to_json(&node_export_type, node->exports->pdata[i]));
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    return json_builder_get_root(builder);
}

bool
node_store_save(VirgaNode *node, GError **error)
{
    g_autofree char *path = store_path(node);
    g_autofree char *text = NULL;
    g_autoptr(JsonNode) json = NULL;

    g_mutex_lock(&node->lock);
    json = store_json_locked(node);
    node->store_dirty = false;
    node->stored_at = g_get_monotonic_time();
    g_mutex_unlock(&node->lock);
    text = json_to_string(json, FALSE);
    return g_file_set_contents_full(
        path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, error);
}
