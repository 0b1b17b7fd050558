/* SPDX-License-Identifier: Apache-2.0 */
/* Questions of virgad to this host (compute/question.h), each answered by a worker of its own pool:
 * a guest that is slow to answer holds up no other work. */
#include "node-priv.h"

#include "screen.h"

#define WORKERS   2
#define OPEN_MAX  16
#define ANSWER_MS 10000

typedef struct {
    char *id, *kind, *instance_id;
} Question;

static void
question_free(Question *question)
{
    g_free(question->id);
    g_free(question->kind);
    g_free(question->instance_id);
    g_free(question);
}

/* The answer's text, the caller's, or NULL. */
static char *
find_answer(VirgaNode *node, const Question *question, GError **error)
{
    VirgaHypervisor *hypervisor = node->hypervisor;
    g_autoptr(GBytes) picture = NULL, jpeg = NULL;

    if (g_str_equal(question->kind, "nmi"))
        return hypervisor->interrupt(hypervisor, question->instance_id, error) ? g_strdup("")
                                                                               : NULL;
    if (g_str_equal(question->kind, "console"))
        return node_console_end(node, question->instance_id);
    if (!g_str_equal(question->kind, "screenshot")) {
        virga_fail(error, "request", VIRGA_ERROR_UNSUPPORTED, "this host knows no \"%s\"",
                   question->kind);
        return NULL;
    }
    picture = hypervisor->screenshot(hypervisor, question->instance_id, error);
    jpeg = picture ? virga_screen_to_jpeg(picture, error) : NULL;
    return jpeg ? g_base64_encode(g_bytes_get_data(jpeg, NULL), g_bytes_get_size(jpeg)) : NULL;
}

static char *
answer_json(const VirgaNode *node, const Question *question, const char *text, const char *failure)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "host_id");
    json_builder_add_string_value(builder, node->host_id);
    json_builder_set_member_name(builder, "question");
    json_builder_add_string_value(builder, question->id);
    json_builder_set_member_name(builder, failure ? "failure" : "answer");
    json_builder_add_string_value(builder, failure ? failure : text);
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    return json_to_string(root, FALSE);
}

static void
work(gpointer data, gpointer user_data)
{
    Question *question = data;
    VirgaNode *node = user_data;
    g_autoptr(GError) error = NULL, lost = NULL;
    g_autofree char *text = find_answer(node, question, &error);
    g_autofree char *body = answer_json(node, question, text, text ? NULL : error->message);
    g_autofree char *reply = NULL;

    if (!text)
        virga_notice("instance", question->instance_id, "%s: %s", question->kind, error->message);
    if (!virga_http_call(node->virgad, "POST", "/node/v1/answers", body, ANSWER_MS, &reply, &lost))
        virga_notice("instance", question->instance_id, "%s: %s", question->kind, lost->message);
    g_mutex_lock(&node->lock);
    g_hash_table_remove(node->questions, question->id); /* told again, it is asked again */
    g_mutex_unlock(&node->lock);
    question_free(question);
}

void
node_take_questions_locked(VirgaNode *node, JsonArray *questions)
{
    guint count = questions ? json_array_get_length(questions) : 0;

    for (guint i = 0; i < count && g_hash_table_size(node->questions) < OPEN_MAX; i++) {
        JsonNode *element = json_array_get_element(questions, i);
        JsonObject *object = JSON_NODE_HOLDS_OBJECT(element) ? json_node_get_object(element) : NULL;
        const char *id =
            object ? json_object_get_string_member_with_default(object, "id", NULL) : NULL;
        const char *kind =
            object ? json_object_get_string_member_with_default(object, "kind", NULL) : NULL;
        const char *instance_id =
            object ? json_object_get_string_member_with_default(object, "instance_id", NULL) : NULL;
        Question *question;

        if (!id || !kind || !instance_id || !g_hash_table_contains(node->guests, instance_id) ||
            !g_hash_table_add(node->questions, g_strdup(id)))
            continue;
        question = g_new0(Question, 1);
        question->id = g_strdup(id);
        question->kind = g_strdup(kind);
        question->instance_id = g_strdup(instance_id);
        g_thread_pool_push(node->question_pool, question, NULL);
    }
}

void
node_questions_start(VirgaNode *node)
{
    node->question_pool = g_thread_pool_new(work, node, WORKERS, FALSE, NULL);
}
