/* SPDX-License-Identifier: Apache-2.0 */
/* What this host's load balancers know of their targets, told to virgad: when it changes, and now
 * and then.  The balancers go on without either. */
#include "node-priv.h"

#include <string.h>

#define LOOK_MS   1000
#define SAY_S     15 /* even if nothing has changed */
#define REPORT_MS 15000

/* What was seen of one VPC, and what was said. */
typedef struct {
    char *seen, *text;
    gint64 said_at;
} Said;

static void
said_free(gpointer data)
{
    Said *said = data;

    g_free(said->seen);
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
note_change(VirgaNode *node, const VirgaVpcPlan *plan, Said *said, const char *text)
{
    Vpc *vpc;

    if (g_strcmp0(said->seen, text) == 0)
        return;
    g_free(said->seen);
    said->seen = g_strdup(text);
    if (!has_udp(plan))
        return;
    g_mutex_lock(&node->lock);
    vpc = g_hash_table_lookup(node->vpcs, plan->id);
    if (vpc)
        node_wake_vpc_locked(node, vpc);
    g_mutex_unlock(&node->lock);
}

static void
tell(VirgaNode *node, const char *vpc_id, gint64 applied, GHashTable *all)
{
    g_autoptr(Plan) plan = node_plan(node, vpc_id);
    g_autofree char *text = NULL, *answer = NULL;
    Said *said = g_hash_table_lookup(all, vpc_id);
    gint64 now = g_get_monotonic_time();

    if (!plan || !applied || !is_carried(node, plan->record)) {
        g_hash_table_remove(all, vpc_id);
        return;
    }
    text = report_of(node, plan->record, applied);
    if (!text)
        return;
    if (!said) {
        said = g_new0(Said, 1);
        g_hash_table_insert(all, g_strdup(vpc_id), said);
    }
    note_change(node, plan->record, said, text);
    if ((g_strcmp0(said->text, text) == 0 && now - said->said_at < SAY_S * G_USEC_PER_SEC) ||
        !virga_http_call(node->virgad, "POST", "/node/v1/balancers", text, REPORT_MS, &answer,
                         NULL))
        return; /* it is told again in a moment */
    g_free(said->text);
    said->text = g_steal_pointer(&text);
    said->said_at = now;
}

gpointer
node_balancer_main(gpointer data)
{
    VirgaNode *node = data;
    g_autoptr(GHashTable) all = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, said_free);

    while (!node_stopping(node)) {
        g_autoptr(GHashTable) applied =
            g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        gint64 next = g_get_monotonic_time() + LOOK_MS * 1000;
        GHashTableIter iter;
        gpointer id, value;

        g_mutex_lock(&node->lock);
        g_hash_table_iter_init(&iter, node->vpcs);
        while (g_hash_table_iter_next(&iter, &id, &value))
            g_hash_table_insert(applied, g_strdup(id),
                                g_memdup2(&((Vpc *) value)->applied, sizeof(gint64)));
        g_mutex_unlock(&node->lock);
        g_hash_table_iter_init(&iter, applied);
        while (g_hash_table_iter_next(&iter, &id, &value))
            tell(node, id, *(gint64 *) value, all);
        while (!node_stopping(node) && g_get_monotonic_time() < next)
            g_usleep(50000);
    }
    return NULL;
}
