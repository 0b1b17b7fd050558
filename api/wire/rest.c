/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of REST-JSON services: what lies in path, query and body becomes the parameters that a
 * query service would have been sent, so that one decoder checks them all. */
#include "api/wire.h"

#include "api/errors.h"
#include "core/json.h"

#include <string.h>

static bool
add(VirgaArena *arena, VirgaWireParameters *parameters, const char *name, const char *value,
    GError **error)
{
    if (parameters->count >= VIRGA_WIRE_PARAMETERS_MAX)
        return virga_api_fail(error, "RequestLimitExceeded", 400,
                              "The request has more than %d values", VIRGA_WIRE_PARAMETERS_MAX);
    if (parameters->count % 64 == 0) {
        VirgaWireParameter *more =
            virga_arena_new_array(arena, VirgaWireParameter, parameters->count + 64);

        if (parameters->count)
            memcpy(more, parameters->items, parameters->count * sizeof *more);
        parameters->items = more;
    }
    parameters->items[parameters->count++] =
        (VirgaWireParameter){ virga_arena_strdup(arena, name), virga_arena_strdup(arena, value) };
    return true;
}

/* ---- the path ---- */

/* "{FileSystemId}" of a template takes one segment. */
static bool
match(VirgaArena *arena, char **template, char **path, VirgaWireParameters *parameters,
      GError **error)
{
    for (; *template && *path; template ++, path++) {
        size_t length = strlen(*template);
        g_autofree char *name = NULL, *value = NULL;

        if (**template != '{') {
            if (!g_str_equal(*template, *path))
                return false;
            continue;
        }
        if (!**path)
            return false;
        if (!parameters)
            continue;
        name = g_strndup(*template + 1, length - 2);
        value = g_uri_unescape_string(*path, NULL);
        if (!value || !g_utf8_validate(value, -1, NULL))
            return virga_api_fail(error, "MalformedQueryString", 400, "The path cannot be decoded");
        if (!add(arena, parameters, name, value, error))
            return false;
    }
    return !*template && !*path;
}

static char **
split(const char *path)
{
    size_t length = strlen(path);
    g_autofree char *kept =
        g_strndup(path, length && path[length - 1] == '/' ? length - 1 : length);

    return g_strsplit(kept, "/", -1);
}

const VirgaWireAction *
virga_wire_rest_action(VirgaArena *arena, const VirgaWireService *service, const char *method,
                       const char *path, VirgaWireParameters *parameters, GError **error)
{
    g_auto(GStrv) segments = split(path);
    const VirgaWireAction *found = NULL;

    /* A name says more than a place for any: "replication-configurations" is no id. */
    for (gsize i = 0; i < service->action_count; i++) {
        const VirgaWireAction *action = &service->actions[i];
        g_auto(GStrv) template = split(action->uri);

        if (g_str_equal(action->method, method) && match(arena, template, segments, NULL, NULL) &&
            (!found || strchr(found->uri, '{')))
            found = action;
    }
    if (found) {
        g_auto(GStrv) template = split(found->uri);

        return match(arena, template, segments, parameters, error) ? found : NULL;
    }
    virga_api_fail(error, "UnknownOperationException", 404, "There is no %.10s %.200s", method,
                   path);
    return NULL;
}

/* ---- the query: a list is its name again and again ---- */

bool
virga_wire_rest_query(VirgaArena *arena, const VirgaWireShape *input,
                      const VirgaWireParameters *query, VirgaWireParameters *parameters,
                      GError **error)
{
    for (gsize i = 0; i < query->count; i++) {
        const char *name = query->items[i].name;
        g_autofree char *item = NULL;
        gsize position = 1;

        for (guint m = 0; m < input->member_count; m++)
            if (g_str_equal(input->members[m].input, name) &&
                input->members[m].shape->type == VIRGA_WIRE_LIST) {
                for (gsize j = 0; j < i; j++)
                    position += g_str_equal(query->items[j].name, name);
                item = g_strdup_printf("%s.member.%" G_GSIZE_FORMAT, name, position);
            }
        if (!add(arena, parameters, item ? item : name, query->items[i].value, error))
            return false;
    }
    return true;
}

/* ---- the body ---- */

typedef struct {
    VirgaArena *arena;
    VirgaWireParameters *parameters;
    GString *name;
} Walk;

static bool walk(Walk *at, JsonNode *node, GError **error);

static bool
walk_member(Walk *at, const char *name, JsonNode *node, GError **error)
{
    gsize length = at->name->len;
    bool done;

    if (length)
        g_string_append_c(at->name, '.');
    g_string_append(at->name, name);
    done = walk(at, node, error);
    g_string_truncate(at->name, length);
    return done;
}

static bool
walk_object(Walk *at, JsonObject *object, GError **error)
{
    JsonObjectIter iter;
    const char *name;
    JsonNode *node;

    json_object_iter_init(&iter, object);
    while (json_object_iter_next(&iter, &name, &node)) {
        if (!*name || strchr(name, '.'))
            return virga_api_fail(error, "SerializationException", 400,
                                  "The body has a member without a proper name");
        if (!walk_member(at, name, node, error))
            return false;
    }
    return true;
}

static bool
walk_array(Walk *at, JsonArray *array, GError **error)
{
    for (guint i = 0; i < json_array_get_length(array); i++) {
        g_autofree char *name = g_strdup_printf("member.%u", i + 1);

        if (!walk_member(at, name, json_array_get_element(array, i), error))
            return false;
    }
    return true;
}

static bool
walk_value(Walk *at, JsonNode *node, GError **error)
{
    char number[G_ASCII_DTOSTR_BUF_SIZE];

    if (json_node_get_value_type(node) == G_TYPE_STRING)
        return add(at->arena, at->parameters, at->name->str, json_node_get_string(node), error);
    if (json_node_get_value_type(node) == G_TYPE_BOOLEAN)
        return add(at->arena, at->parameters, at->name->str,
                   json_node_get_boolean(node) ? "true" : "false", error);
    if (json_node_get_value_type(node) == G_TYPE_INT64)
        g_snprintf(number, sizeof number, "%" G_GINT64_FORMAT, json_node_get_int(node));
    else
        g_ascii_dtostr(number, sizeof number, json_node_get_double(node));
    return add(at->arena, at->parameters, at->name->str, number, error);
}

static bool
walk(Walk *at, JsonNode *node, GError **error)
{
    switch (json_node_get_node_type(node)) {
    case JSON_NODE_OBJECT:
        return walk_object(at, json_node_get_object(node), error);
    case JSON_NODE_ARRAY:
        return walk_array(at, json_node_get_array(node), error);
    case JSON_NODE_VALUE:
        return walk_value(at, node, error);
    default:
        return true; /* null: it is not given */
    }
}

bool
virga_wire_rest_body(VirgaArena *arena, const char *body, gsize length,
                     VirgaWireParameters *parameters, GError **error)
{
    g_autoptr(GString) name = g_string_new(NULL);
    g_autoptr(JsonNode) root = NULL;
    Walk at = { arena, parameters, name };

    if (length == 0)
        return true;
    root = virga_json_parse(body, (gssize) length, NULL);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root))
        return virga_api_fail(error, "SerializationException", 400,
                              "The body must be an object in JSON");
    return walk_object(&at, json_node_get_object(root), error);
}
