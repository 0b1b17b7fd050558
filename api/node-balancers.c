/* SPDX-License-Identifier: Apache-2.0 */
#include "api/node-balancers.h"

#include "core/error.h"
#include "core/id.h"
#include "network/address.h"
#include "network/load-balancer.h"
#include "network/target-group.h"

#include <string.h>

#define TARGETS_MAX 100000 /* in one report */

static const char *
text_of(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING
               ? json_node_get_string(node)
               : "";
}

static gint64
number_of(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64
               ? json_node_get_int(node)
               : 0;
}

/* Adds a target to the columns of 'report'; false for one that is none. */
static bool
read_target(VirgaArena *arena, JsonNode *node, const VirgaTargetReport *report, size_t at)
{
    static const char *const states[] = { "initial", "healthy", "unhealthy", NULL };
    static const char *const reasons[] = { "", "timeout", "code", "refused", "failed", NULL };
    JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    gint64 port = object ? number_of(object, "port") : 0;
    gint64 code = object ? number_of(object, "code") : 0;
    guint32 address;

    if (!object || port < 1 || port > 65535 || code < 0 || code > 999 ||
        !virga_id_is(text_of(object, "group"), "tg") ||
        !virga_ipv4_parse(text_of(object, "address"), &address) ||
        !g_strv_contains(states, text_of(object, "state")) ||
        !g_strv_contains(reasons, text_of(object, "reason")))
        return false;
    report->group_ids[at] = text_of(object, "group");
    report->addresses[at] = text_of(object, "address");
    report->ports[at] = virga_arena_printf(arena, "%d", (int) port);
    report->states[at] = text_of(object, "state");
    report->reasons[at] = text_of(object, "reason");
    report->codes[at] = code ? virga_arena_printf(arena, "%d", (int) code) : "";
    return true;
}

static const char **
new_column(VirgaArena *arena, size_t count)
{
    return virga_arena_new_array(arena, const char *, count + 1);
}

bool
virga_node_balancers(VirgaServices *services, VirgaArena *arena, JsonObject *object, GError **error)
{
    JsonNode *node = json_object_get_member(object, "targets");
    JsonArray *targets = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    const char *host_id = text_of(object, "host_id"), *vpc_id = text_of(object, "vpc_id");
    g_autoptr(VirgaTxn) txn = NULL;
    VirgaTargetReport report;
    size_t count = targets ? json_array_get_length(targets) : 0;

    if (!targets || count > TARGETS_MAX || !*host_id || !virga_id_is(vpc_id, "vpc"))
        return virga_fail(error, "request", VIRGA_ERROR_INVALID,
                          "a report of load balancers is malformed");
    report = (VirgaTargetReport){ new_column(arena, count), new_column(arena, count),
                                  new_column(arena, count), new_column(arena, count),
                                  new_column(arena, count), new_column(arena, count) };
    for (guint i = 0; i < count; i++)
        if (!read_target(arena, json_array_get_element(targets, i), &report, i))
            return virga_fail(error, "request", VIRGA_ERROR_INVALID,
                              "a report of load balancers has a malformed target");
    txn = virga_db_begin(services->db, error);
    return txn && virga_target_note_health(txn, host_id, vpc_id, &report, error) &&
           virga_load_balancer_note_applied(txn, host_id, vpc_id, number_of(object, "generation"),
                                            error) &&
           virga_txn_commit(txn, error);
}
