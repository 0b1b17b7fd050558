/* SPDX-License-Identifier: Apache-2.0 */
/* Passphrases of encrypted volumes: asked for when they are needed, kept in memory while a guest or
 * a snapshot of this host names the volume, never written to its disk.  So guests are started again
 * while virgad is away, but not after this process was, too. */
#include "node-priv.h"

#include "core/json.h"
#include "storage/volume-key.h"

#include <string.h>

#define ASK_MS 15000

void
node_keys_init(VirgaNode *node)
{
    node->keys = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                       (GDestroyNotify) virga_passphrase_free);
}

static char *
make_body(const VirgaNode *node, const char *volume_id)
{
    JsonObject *object = json_object_new();
    g_autoptr(JsonNode) root = json_node_init_object(json_node_alloc(), object);

    json_object_unref(object);
    json_object_set_string_member(object, "host_id", node->host_id);
    json_object_set_string_member(object, "volume_id", volume_id);
    return json_to_string(root, FALSE);
}

static char *
read_answer(const char *text, GError **error)
{
    g_autoptr(JsonNode) root = virga_json_parse(text, -1, error);
    const char *passphrase = NULL;

    if (!root)
        return NULL;
    if (JSON_NODE_HOLDS_OBJECT(root))
        passphrase = json_object_get_string_member_with_default(json_node_get_object(root),
                                                                "passphrase", NULL);
    if (!passphrase)
        virga_fail(error, "volume", VIRGA_ERROR_INTERNAL, "virgad's answer holds no key");
    return g_strdup(passphrase);
}

/* That the host is not to have it may be past in a moment: its wish and virgad's are not read at
 * the same time. */
static char *
ask(VirgaNode *node, const char *volume_id, GError **error)
{
    g_autofree char *body = make_body(node, volume_id);
    g_autoptr(GError) reason = NULL;
    char *answer = NULL, *passphrase = NULL;

    if (virga_http_call(node->virgad, "POST", "/node/v1/keys", body, ASK_MS, &answer, &reason))
        passphrase = read_answer(answer, &reason);
    virga_passphrase_free(answer);
    if (!passphrase)
        virga_fail(error, "volume",
                   virga_error_is(reason, NULL, VIRGA_ERROR_RETRY) ||
                           virga_error_is(reason, NULL, VIRGA_ERROR_NOT_FOUND)
                       ? VIRGA_ERROR_RETRY
                       : VIRGA_ERROR_INTERNAL,
                   "the key of \"%s\" cannot be had: %s", volume_id, reason->message);
    return passphrase;
}

char *
virga_node_passphrase(const char *volume_id, gpointer data, GError **error)
{
    VirgaNode *node = data;
    char *passphrase;

    g_mutex_lock(&node->lock);
    passphrase = g_strdup(g_hash_table_lookup(node->keys, volume_id));
    g_mutex_unlock(&node->lock);
    if (passphrase)
        return passphrase;
    passphrase = ask(node, volume_id, error);
    if (!passphrase)
        return NULL;
    g_mutex_lock(&node->lock);
    g_hash_table_insert(node->keys, g_strdup(volume_id), g_strdup(passphrase));
    g_mutex_unlock(&node->lock);
    return passphrase;
}

static bool
is_named_locked(VirgaNode *node, const char *volume_id)
{
    if (node_owner_locked(node, volume_id))
        return true;
    for (guint i = 0; i < node->snapshots->len; i++)
        if (g_str_equal(((Snapshot *) node->snapshots->pdata[i])->volume_id, volume_id))
            return true;
    return false;
}

void
node_forget_keys_locked(VirgaNode *node)
{
    GHashTableIter iter;
    gpointer id;

    g_hash_table_iter_init(&iter, node->keys);
    while (g_hash_table_iter_next(&iter, &id, NULL))
        if (!is_named_locked(node, id))
            g_hash_table_iter_remove(&iter);
}
