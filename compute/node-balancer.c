/* SPDX-License-Identifier: Apache-2.0 */
/* What this host's load balancers know of their targets: one thread looks and has the filter
 * follow, another tells virgad, when it changes and now and then.  The balancers go on without
 * either, and the first thread without the second, which may wait for a virgad that does not
 * answer. */
#include "node-priv.h"

#include <string.h>

#define LOOK_MS   1000
#define SAY_S     15 /* even if nothing has changed */
#define REPORT_MS 15000

/* What was last said of a VPC. */
typedef struct {
    char *text;
    gint64 at;
} Said;

/* What is to be said: by VPC, the text of a report. */
typedef struct {
    VirgaNode *node;
    GMutex lock;
    GHashTable *texts;
} Known;

static void
said_free(gpointer data)
{
    Said *said = data;

    g_free(said->text);
    g_free(said);
}

static bool
is_carried(const VirgaNode *node, const VirgaVpcPlan *plan)
{
    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];
        if (port->of_balancer && g_strcmp0(port->host_id, node->host_id) == 0)
            return true;
    }
    return false;
}

static void
add_text(JsonBuilder *builder, const char *name, const char *text)
{
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
add_target(JsonBuilder *builder, const VirgaTargetHealth *health)
{
    json_builder_begin_object(builder);
    add_text(builder, "group", health->target_group_id);
    add_text(builder, "address", health->address);
    add_number(builder, "port", health->port);
    add_text(builder, "state",
             !health->known    ? "initial"
             : health->healthy ? "healthy"
                               : "unhealthy");
    if (health->reason)
        add_text(builder, "reason", health->reason);
    if (health->http_code)
        add_number(builder, "code", health->http_code);
    json_builder_end_object(builder);
}

/* NULL while no HAProxy answers; without one that is wanted there is nothing to ask. */
static char *
report_of(VirgaNode *node, const VirgaVpcPlan *plan, gint64 applied)
{
    g_autoptr(GPtrArray) targets = virga_network_health(node->network, plan, NULL);
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;
    bool listens = false;

    for (guint i = 0; i < plan->balancers->len; i++)
        listens = listens || ((VirgaBalancer *) plan->balancers->pdata[i])->listeners->len > 0;
    if (!targets && listens)
        return NULL;
    json_builder_begin_object(builder);
    add_text(builder, "host_id", node->host_id);
    add_text(builder, "vpc_id", plan->id);
    add_number(builder, "generation", applied);
    json_builder_set_member_name(builder, "targets");
    json_builder_begin_array(builder);
    for (guint i = 0; targets && i < targets->len; i++)
        add_target(builder, targets->pdata[i]);
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    return json_to_string(root, FALSE);
}

static bool
has_udp(const VirgaVpcPlan *plan)
{
    for (guint i = 0; i < plan->balancers->len; i++) {
        const VirgaBalancer *balancer = plan->balancers->pdata[i];

        for (guint l = 0; l < balancer->listeners->len; l++)
            if (strstr(((VirgaBalancerListener *) balancer->listeners->pdata[l])->protocol, "UDP"))
                return true;
    }
    return false;
}

/* The filter sends datagrams to who is healthy: it is looked at again when that has changed. */
static void
follow(VirgaNode *node, const VirgaVpcPlan *plan)
{
    Vpc *vpc;

    if (!has_udp(plan))
        return;
    g_mutex_lock(&node->lock);
    vpc = g_hash_table_lookup(node->vpcs, plan->id);
    if (vpc)
        node_wake_vpc_locked(node, vpc);
    g_mutex_unlock(&node->lock);
}

static void
look(Known *known, const char *vpc_id, gint64 applied)
{
    g_autoptr(Plan) plan = node_plan(known->node, vpc_id);
    bool carried = plan && applied && is_carried(known->node, plan->record);
    char *text = carried ? report_of(known->node, plan->record, applied) : NULL;
    bool changed;

    if (carried && !text)
        return;
    g_mutex_lock(&known->lock);
    changed = g_strcmp0(g_hash_table_lookup(known->texts, vpc_id), text) != 0;
    if (text)
        g_hash_table_insert(known->texts, g_strdup(vpc_id), text);
    else
        g_hash_table_remove(known->texts, vpc_id);
    g_mutex_unlock(&known->lock);
    if (text && changed)
        follow(known->node, plan->record);
}

/* What fails is told again in a moment. */
static void
tell(VirgaNode *node, const char *vpc_id, const char *text, GHashTable *all)
{
    Said *said = g_hash_table_lookup(all, vpc_id);
    gint64 now = g_get_monotonic_time();
    g_autofree char *answer = NULL;

    if (said && g_str_equal(said->text, text) && now - said->at < SAY_S * G_USEC_PER_SEC)
        return;
    if (!virga_http_call(node->virgad, "POST", "/node/v1/balancers", text, REPORT_MS, &answer,
                         NULL))
        return;
    said = g_new(Said, 1);
    *said = (Said){ g_strdup(text), now };
    g_hash_table_insert(all, g_strdup(vpc_id), said);
}

/* Until the next look, or the end. */
static void
pause_from(VirgaNode *node, gint64 start)
{
    while (!node_stopping(node) && g_get_monotonic_time() < start + LOOK_MS * 1000)
        g_usleep(50000);
}

static GHashTable *
copy_texts(Known *known)
{
    GHashTable *copy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GHashTableIter iter;
    gpointer id, text;

    g_mutex_lock(&known->lock);
    g_hash_table_iter_init(&iter, known->texts);
    while (g_hash_table_iter_next(&iter, &id, &text))
        g_hash_table_insert(copy, g_strdup(id), g_strdup(text));
    g_mutex_unlock(&known->lock);
    return copy;
}

static gboolean
is_gone(gpointer vpc_id, gpointer said G_GNUC_UNUSED, gpointer texts)
{
    return !g_hash_table_contains(texts, vpc_id);
}

static gpointer
tell_main(gpointer data)
{
    Known *known = data;
    g_autoptr(GHashTable) all = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, said_free);

    while (!node_stopping(known->node)) {
        g_autoptr(GHashTable) texts = copy_texts(known);
        gint64 start = g_get_monotonic_time();
        GHashTableIter iter;
        gpointer id, text;

        g_hash_table_foreach_remove(all, is_gone, texts);
        g_hash_table_iter_init(&iter, texts);
        while (g_hash_table_iter_next(&iter, &id, &text) && !node_stopping(known->node))
            tell(known->node, id, text, all);
        pause_from(known->node, start);
    }
    return NULL;
}

/* Every VPC here, and which of its plans is applied; 0: none. */
static GHashTable *
applied_plans(VirgaNode *node)
{
    GHashTable *applied = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GHashTableIter iter;
    gpointer id, vpc;

    g_mutex_lock(&node->lock);
    g_hash_table_iter_init(&iter, node->vpcs);
    while (g_hash_table_iter_next(&iter, &id, &vpc))
        g_hash_table_insert(applied, g_strdup(id),
                            g_memdup2(&((Vpc *) vpc)->applied, sizeof(gint64)));
    g_mutex_unlock(&node->lock);
    return applied;
}

gpointer
node_balancer_main(gpointer data)
{
    Known known = { .node = data };
    GThread *teller;

    g_mutex_init(&known.lock);
    known.texts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    teller = g_thread_new("teller", tell_main, &known);
    while (!node_stopping(known.node)) {
        g_autoptr(GHashTable) applied = applied_plans(known.node);
        gint64 start = g_get_monotonic_time();
        GHashTableIter iter;
        gpointer id, generation;

        g_mutex_lock(&known.lock);
        g_hash_table_foreach_remove(known.texts, is_gone, applied);
        g_mutex_unlock(&known.lock);
        g_hash_table_iter_init(&iter, applied);
        while (g_hash_table_iter_next(&iter, &id, &generation))
            look(&known, id, *(gint64 *) generation);
        pause_from(known.node, start);
    }
    g_thread_join(teller);
    g_hash_table_unref(known.texts);
    g_mutex_clear(&known.lock);
    return NULL;
}
