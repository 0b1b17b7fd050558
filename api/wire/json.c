/* SPDX-License-Identifier: Apache-2.0 */
/* Structs to and from JSON by the model's names: how what a caller said is kept in the database.
 *
 * The same text can be read as another shape that has members of the same names: what a launch
 * template was given is shown as one shape and launched as a second. */
#include "scalar.h"

#include "core/error.h"
#include "core/json.h"

#include <string.h>

/* Bytes that a member takes in its structure. */
static size_t
member_size(const VirgaWireMember *member)
{
    switch (member->shape->type) {
    case VIRGA_WIRE_STRING:
    case VIRGA_WIRE_STRUCT:
        return sizeof(void *);
    case VIRGA_WIRE_INTEGER:
    case VIRGA_WIRE_LONG:
    case VIRGA_WIRE_TIMESTAMP:
        return sizeof(gint64);
    case VIRGA_WIRE_DOUBLE:
        return sizeof(double);
    case VIRGA_WIRE_BOOLEAN:
        return sizeof(bool);
    case VIRGA_WIRE_BLOB:
        return sizeof(VirgaWireBlob);
    case VIRGA_WIRE_LIST:
        return sizeof(VirgaWireList);
    }
    g_assert_not_reached();
}

void
virga_wire_inherit(const VirgaWireShape *shape, void *structure, const void *from)
{
    guint8 *to = structure;

    for (guint i = 0; i < shape->member_count; i++) {
        const VirgaWireMember *member = &shape->members[i];

        if (virga_wire_given(member, structure) || !virga_wire_given(member, from))
            continue;
        memcpy(to + member->offset, (const guint8 *) from + member->offset, member_size(member));
        if (member->has_offset)
            *(bool *) (to + member->has_offset) = true;
    }
}

/* ---- writing ---- */

static JsonNode *write_struct(const VirgaWireShape *shape, const void *structure);

static JsonNode *
write_value(const VirgaWireShape *shape, const void *value)
{
    JsonNode *node = json_node_new(JSON_NODE_VALUE);
    const VirgaWireBlob *blob = value;
    g_autofree char *text = NULL;

    switch (shape->type) {
    case VIRGA_WIRE_STRING:
        json_node_set_string(node, *(const char *const *) value);
        break;
    case VIRGA_WIRE_INTEGER:
    case VIRGA_WIRE_LONG:
    case VIRGA_WIRE_TIMESTAMP:
        json_node_set_int(node, *(const gint64 *) value);
        break;
    case VIRGA_WIRE_DOUBLE:
        json_node_set_double(node, *(const double *) value);
        break;
    case VIRGA_WIRE_BOOLEAN:
        json_node_set_boolean(node, *(const bool *) value);
        break;
    case VIRGA_WIRE_BLOB:
        text = g_base64_encode(blob->data, blob->length);
        json_node_set_string(node, text);
        break;
    case VIRGA_WIRE_STRUCT:
    case VIRGA_WIRE_LIST:
        g_assert_not_reached();
    }
    return node;
}

static JsonNode *
write_list(const VirgaWireShape *shape, const VirgaWireList *list)
{
    JsonNode *node = json_node_new(JSON_NODE_ARRAY);
    JsonArray *array = json_array_new();

    for (gsize i = 0; i < list->count; i++) {
        const guint8 *item = (const guint8 *) list->items + i * shape->element->size;

        json_array_add_element(array, shape->element->type == VIRGA_WIRE_STRUCT
                                          ? write_struct(shape->element, item)
                                      : shape->element->type == VIRGA_WIRE_LIST
                                          ? write_list(shape->element, (const void *) item)
                                          : write_value(shape->element, item));
    }
    json_node_take_array(node, array);
    return node;
}

static JsonNode *
write_struct(const VirgaWireShape *shape, const void *structure)
{
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);
    JsonObject *object = json_object_new();

    for (guint i = 0; i < shape->member_count; i++) {
        const VirgaWireMember *member = &shape->members[i];
        const void *value = (const guint8 *) structure + member->offset;

        if (!virga_wire_given(member, structure))
            continue;
        json_object_set_member(object, member->name,
                               member->shape->type == VIRGA_WIRE_STRUCT
                                   ? write_struct(member->shape, *(void *const *) value)
                               : member->shape->type == VIRGA_WIRE_LIST
                                   ? write_list(member->shape, value)
                                   : write_value(member->shape, value));
    }
    json_node_take_object(node, object);
    return node;
}

char *
virga_wire_to_json(VirgaArena *arena, const VirgaWireShape *shape, const void *structure)
{
    g_autoptr(JsonNode) node = write_struct(shape, structure);
    g_autofree char *text = json_to_string(node, FALSE);

    return virga_arena_strdup(arena, text);
}

/* ---- reading ---- */

static bool read_struct(VirgaArena *arena, const VirgaWireShape *shape, JsonNode *node, void *out,
                        GError **error);

static bool
fail_kind(const VirgaWireShape *shape, GError **error)
{
    return virga_fail(error, "stored request", VIRGA_ERROR_INTERNAL,
                      "a stored value is not of the kind %s", shape->name);
}

static bool
read_text(VirgaArena *arena, const VirgaWireShape *shape, JsonNode *node, void *out, GError **error)
{
    const char *text = json_node_get_string(node);

    if (!text)
        return fail_kind(shape, error);
    if (shape->type == VIRGA_WIRE_STRING) {
        *(const char **) out = virga_arena_strdup(arena, text);
    } else {
        VirgaWireBlob *blob = out;
        g_autofree guint8 *bytes = g_base64_decode(text, &blob->length);

        blob->data = memcpy(virga_arena_alloc(arena, blob->length + 1, 1), bytes, blob->length);
    }
    return true;
}

static bool
read_scalar(VirgaArena *arena, const VirgaWireShape *shape, JsonNode *node, void *out,
            GError **error)
{
    GType type = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_INVALID;

    switch (shape->type) {
    case VIRGA_WIRE_STRING:
    case VIRGA_WIRE_BLOB:
        return read_text(arena, shape, node, out, error);
    case VIRGA_WIRE_INTEGER:
    case VIRGA_WIRE_LONG:
    case VIRGA_WIRE_TIMESTAMP:
        *(gint64 *) out = json_node_get_int(node);
        return type == G_TYPE_INT64 || fail_kind(shape, error);
    case VIRGA_WIRE_DOUBLE: /* a whole one is written like an integer */
        *(double *) out = json_node_get_double(node);
        return type == G_TYPE_DOUBLE || type == G_TYPE_INT64 || fail_kind(shape, error);
    case VIRGA_WIRE_BOOLEAN:
        *(bool *) out = json_node_get_boolean(node);
        return type == G_TYPE_BOOLEAN || fail_kind(shape, error);
    case VIRGA_WIRE_STRUCT:
    case VIRGA_WIRE_LIST:
        break;
    }
    g_assert_not_reached();
}

static bool
read_list(VirgaArena *arena, const VirgaWireShape *shape, JsonNode *node, VirgaWireList *out,
          GError **error)
{
    JsonArray *array = JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    const VirgaWireShape *element = shape->element;

    if (!array)
        return fail_kind(shape, error);
    out->count = json_array_get_length(array);
    out->items = virga_arena_alloc(arena, out->count, element->size);
    for (gsize i = 0; i < out->count; i++) {
        JsonNode *item = json_array_get_element(array, (guint) i);
        guint8 *at = (guint8 *) out->items + i * element->size;

        if (!(element->type == VIRGA_WIRE_STRUCT ? read_struct(arena, element, item, at, error)
              : element->type == VIRGA_WIRE_LIST
                  ? read_list(arena, element, item, (VirgaWireList *) (void *) at, error)
                  : read_scalar(arena, element, item, at, error)))
            return false;
    }
    return true;
}

static bool
read_member(VirgaArena *arena, const VirgaWireMember *member, JsonNode *node, guint8 *structure,
            GError **error)
{
    void *out = structure + member->offset;

    if (member->has_offset)
        *(bool *) (structure + member->has_offset) = true;
    if (member->shape->type == VIRGA_WIRE_LIST)
        return read_list(arena, member->shape, node, out, error);
    if (member->shape->type != VIRGA_WIRE_STRUCT)
        return read_scalar(arena, member->shape, node, out, error);
    *(void **) out = virga_arena_alloc(arena, 1, member->shape->size);
    return read_struct(arena, member->shape, node, *(void **) out, error);
}

static bool
read_struct(VirgaArena *arena, const VirgaWireShape *shape, JsonNode *node, void *out,
            GError **error)
{
    JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;

    if (!object)
        return fail_kind(shape, error);
    for (guint i = 0; i < shape->member_count; i++) {
        JsonNode *value = json_object_get_member(object, shape->members[i].name);

        if (value && !read_member(arena, &shape->members[i], value, out, error))
            return false;
    }
    return true;
}

void *
virga_wire_from_json(VirgaArena *arena, const VirgaWireShape *shape, const char *text,
                     GError **error)
{
    g_autoptr(JsonNode) node = virga_json_parse(text, -1, error);
    void *structure = node ? virga_arena_alloc(arena, 1, shape->size) : NULL;

    return structure && read_struct(arena, shape, node, structure, error) ? structure : NULL;
}
