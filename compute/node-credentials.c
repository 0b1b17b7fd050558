/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials of guests that have an instance profile: virgad makes them, the host asks for new
 * ones long before the old ones end, so that virgad may be away for hours.  They are in memory
 * only; a virga-node that starts asks again.  What seals them never comes here. */
#include "node-priv.h"

#include "core/json.h"

#include <string.h>

#define PATH       "/node/v1/credentials"
#define CALL_MS    5000
#define RENEW_S    1800 /* then a change of the profile's role has come through, too */
#define RETRY_S    10
#define LOOK_MS    1000
#define GUESTS_MAX 64 /* asked for in one round */

/* virgad's answer. */
typedef struct {
    char *code, *updated, *role, *document;
    gint64 expires;
} Answer;

static const VirgaField answer_fields[] = {
    { "code", VIRGA_FIELD_STRING, offsetof(Answer, code), true, NULL },
    { "updated", VIRGA_FIELD_STRING, offsetof(Answer, updated), true, NULL },
    { "role", VIRGA_FIELD_STRING, offsetof(Answer, role), false, NULL },
    { "document", VIRGA_FIELD_STRING, offsetof(Answer, document), false, NULL },
    { "expires", VIRGA_FIELD_INTEGER, offsetof(Answer, expires), false, NULL },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType answer_type = { "credentials", sizeof(Answer), answer_fields };

static void
credentials_free(gpointer data)
{
    Credentials *credentials = data;

    g_free(credentials->profile_id);
    g_free(credentials->code);
    g_free(credentials->updated);
    g_free(credentials->role_name);
    g_free(credentials->document);
    g_free(credentials);
}

GHashTable *
node_credentials_new(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, credentials_free);
}

void
node_credentials_show_locked(VirgaNode *node, VirgaMetadata *metadata)
{
    const Credentials *known = g_hash_table_lookup(node->credentials, metadata->instance_id);

    if (!known || !known->code || g_strcmp0(known->profile_id, metadata->profile_id) != 0)
        return;
    metadata->profile_code = g_strdup(known->code);
    metadata->credentials_updated = g_strdup(known->updated);
    if (known->expires_s > g_get_real_time() / G_USEC_PER_SEC) {
        metadata->role_name = g_strdup(known->role_name);
        metadata->credentials = g_strdup(known->document);
    }
}

/* ---- asking ---- */

/* The profile of a wish, the caller's, or NULL. */
static char *
profile_of(const VirgaGuestWish *want)
{
    /* The text is virgad's own; most have no profile, and to find that out need not cost more. */
    g_autoptr(VirgaMetadata) metadata = want->metadata && strstr(want->metadata, "\"profile_id\"")
                                            ? virga_metadata_from_text(want->metadata, NULL)
                                            : NULL;

    return metadata ? g_strdup(metadata->profile_id) : NULL;
}

/* The guests whose credentials are missing or old: id -> profile.  Forgets those of guests that are
 * gone or have another profile. */
static GHashTable *
find_due(VirgaNode *node)
{
    GHashTable *due = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    gint64 now = g_get_monotonic_time();
    GHashTableIter iter;
    gpointer id, value;

    g_mutex_lock(&node->lock);
    g_hash_table_iter_init(&iter, node->credentials);
    while (g_hash_table_iter_next(&iter, &id, NULL))
        if (!g_hash_table_contains(node->guests, id))
            g_hash_table_iter_remove(&iter);
    g_hash_table_iter_init(&iter, node->guests);
    while (g_hash_table_size(due) < GUESTS_MAX && g_hash_table_iter_next(&iter, &id, &value)) {
        const Guest *guest = value;
        const Credentials *known = g_hash_table_lookup(node->credentials, id);
        char *profile_id = guest->wish ? profile_of(guest->wish->record) : NULL;

        if (profile_id &&
            (!known || known->ask_at <= now || g_strcmp0(known->profile_id, profile_id) != 0))
            g_hash_table_insert(due, g_strdup(id), g_steal_pointer(&profile_id));
        else if (!profile_id && known)
            g_hash_table_remove(node->credentials, id);
        g_free(profile_id);
    }
    g_mutex_unlock(&node->lock);
    return due;
}

static char *
make_body(const VirgaNode *node, const char *instance_id)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "host_id");
    json_builder_add_string_value(builder, node->host_id);
    json_builder_set_member_name(builder, "instance_id");
    json_builder_add_string_value(builder, instance_id);
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    return json_to_string(root, FALSE);
}

static Answer *
call_virgad(VirgaNode *node, const char *instance_id, GError **error)
{
    g_autofree char *body = make_body(node, instance_id), *text = NULL;

    return virga_http_call(node->virgad, "POST", PATH, body, CALL_MS, &text, error)
               ? virga_record_from_text(&answer_type, text, error)
               : NULL;
}

/* Takes an answer in; NULL: there was none, and what is known goes on until it ends. */
static void
take_locked(VirgaNode *node, const char *instance_id, const char *profile_id, const Answer *answer)
{
    Credentials *known = g_hash_table_lookup(node->credentials, instance_id);
    gint64 wait_s = answer && answer->document ? RENEW_S : RETRY_S;

    if (!known || g_strcmp0(known->profile_id, profile_id) != 0 || answer) {
        known = g_new0(Credentials, 1);
        known->profile_id = g_strdup(profile_id);
        if (answer) {
            known->code = g_strdup(answer->code);
            known->updated = g_strdup(answer->updated);
            known->role_name = g_strdup(answer->role);
            known->document = g_strdup(answer->document);
            known->expires_s = answer->document ? answer->expires : 0;
        }
        g_hash_table_replace(node->credentials, g_strdup(instance_id), known);
    }
    known->ask_at = g_get_monotonic_time() + wait_s * G_USEC_PER_SEC;
}

void
node_credentials_renew(VirgaNode *node)
{
    g_autoptr(GHashTable) due = find_due(node);
    GHashTableIter iter;
    gpointer id, profile_id;

    g_hash_table_iter_init(&iter, due);
    while (!node_stopping(node) && g_hash_table_iter_next(&iter, &id, &profile_id)) {
        g_autoptr(GError) error = NULL;
        Answer *answer = call_virgad(node, id, &error);

        if (!answer)
            virga_debug("instance", id, "no credentials: %s", error->message);
        g_mutex_lock(&node->lock);
        take_locked(node, id, profile_id, answer);
        g_mutex_unlock(&node->lock);
        if (answer)
            virga_record_free(&answer_type, answer);
    }
}

gpointer
node_credentials_main(gpointer data)
{
    VirgaNode *node = data;

    while (!node_stopping(node)) {
        node_credentials_renew(node);
        g_usleep(LOOK_MS * 1000);
    }
    return NULL;
}
