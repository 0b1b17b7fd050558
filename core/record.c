/* SPDX-License-Identifier: Apache-2.0 */
#include "core/record.h"

#include "core/error.h"
#include "core/json.h"

#define MEMBER(record, field, Type) (*(Type *) ((char *) (record) + (field)->offset))
#define DEPTH_MAX                   8 /* of records in records; JSON-GLib bounds nothing itself */

void *
virga_record_new(const VirgaRecordType *type)
{
    void *record = g_malloc0(type->size);

    for (const VirgaField *field = type->fields; field->name; field++)
        if (field->kind == VIRGA_FIELD_RECORDS)
            MEMBER(record, field, GPtrArray *) = g_ptr_array_new();
        else if (field->kind == VIRGA_FIELD_BOOL_ON)
            MEMBER(record, field, bool) = true;
    return record;
}

void *
virga_record_add(GPtrArray *records, const VirgaRecordType *type)
{
    void *record = virga_record_new(type);

    g_ptr_array_add(records, record);
    return record;
}

void
virga_record_free(const VirgaRecordType *type, void *record)
{
    if (!record)
        return;
    for (const VirgaField *field = type->fields; field->name; field++) {
        GPtrArray *records;

        if (field->kind == VIRGA_FIELD_STRING) {
            g_free(MEMBER(record, field, char *));
        } else if (field->kind == VIRGA_FIELD_STRINGS) {
            g_strfreev(MEMBER(record, field, GStrv));
        } else if (field->kind == VIRGA_FIELD_RECORDS) {
            records = MEMBER(record, field, GPtrArray *);
            for (guint i = 0; records && i < records->len; i++)
                virga_record_free(field->of, records->pdata[i]);
            g_clear_pointer(&records, g_ptr_array_unref);
        }
    }
    g_free(record);
}

static void *read_record(const VirgaRecordType *type, JsonNode *json, unsigned depth,
                         GError **error);

static bool
is_string(JsonNode *node)
{
    return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING;
}

static bool
read_strings(GStrv *into, JsonNode *node)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    JsonArray *array;

    if (!JSON_NODE_HOLDS_ARRAY(node))
        return false;
    array = json_node_get_array(node);
    for (guint i = 0; i < json_array_get_length(array); i++) {
        if (!is_string(json_array_get_element(array, i)))
            return false;
        g_strv_builder_add(builder, json_array_get_string_element(array, i));
    }
    g_strfreev(*into);
    *into = g_strv_builder_end(builder);
    return true;
}

/* False with 'error' set if a record inside is at fault, without if 'node' is no list. */
static bool
read_records(GPtrArray *into, const VirgaField *field, JsonNode *node, unsigned depth,
             GError **error)
{
    JsonArray *array;

    if (!JSON_NODE_HOLDS_ARRAY(node))
        return false;
    array = json_node_get_array(node);
    for (guint i = 0; i < json_array_get_length(array); i++) {
        void *record = read_record(field->of, json_array_get_element(array, i), depth, error);
        if (!record)
            return false;
        g_ptr_array_add(into, record);
    }
    return true;
}

static bool
read_field(void *record, const VirgaField *field, JsonNode *node, unsigned depth, GError **error)
{
    switch (field->kind) {
    case VIRGA_FIELD_STRING:
        if (!is_string(node))
            return false;
        g_free(MEMBER(record, field, char *));
        MEMBER(record, field, char *) = g_strdup(json_node_get_string(node));
        return true;
    case VIRGA_FIELD_BOOL:
    case VIRGA_FIELD_BOOL_ON:
        if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_BOOLEAN)
            return false;
        MEMBER(record, field, bool) = json_node_get_boolean(node);
        return true;
    case VIRGA_FIELD_INTEGER:
        if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_INT64)
            return false;
        MEMBER(record, field, gint64) = json_node_get_int(node);
        return true;
    case VIRGA_FIELD_STRINGS:
        return read_strings(&MEMBER(record, field, GStrv), node);
    case VIRGA_FIELD_RECORDS:
        return read_records(MEMBER(record, field, GPtrArray *), field, node, depth, error);
    }
    g_assert_not_reached();
}

static void *
read_record(const VirgaRecordType *type, JsonNode *json, unsigned depth, GError **error)
{
    JsonObject *object;
    void *record;

    if (!json || !JSON_NODE_HOLDS_OBJECT(json) || depth == 0) {
        virga_fail(error, type->noun, VIRGA_ERROR_INVALID, "a %s must be a JSON object",
                   type->noun);
        return NULL;
    }
    object = json_node_get_object(json);
    record = virga_record_new(type);
    for (const VirgaField *field = type->fields; field->name; field++) {
        JsonNode *node = json_object_get_member(object, field->name);
        GError *inner = NULL;

        if ((!node || JSON_NODE_HOLDS_NULL(node)) && !field->required)
            continue;
        if (node && read_field(record, field, node, depth - 1, &inner))
            continue;
        if (inner)
            g_propagate_error(error, inner);
        else
            virga_fail(error, type->noun, VIRGA_ERROR_INVALID,
                       "member \"%s\" of a %s is missing or of the wrong type", field->name,
                       type->noun);
        virga_record_free(type, record);
        return NULL;
    }
    return record;
}

void *
virga_record_from_json(const VirgaRecordType *type, JsonNode *json, GError **error)
{
    return read_record(type, json, DEPTH_MAX, error);
}

void *
virga_record_from_text(const VirgaRecordType *type, const char *text, GError **error)
{
    g_autoptr(GError) syntax = NULL;
    g_autoptr(JsonNode) json = virga_json_parse(text, -1, &syntax);

    if (!json) {
        virga_fail(error, type->noun, VIRGA_ERROR_INVALID, "cannot read a %s: %s", type->noun,
                   syntax->message);
        return NULL;
    }
    return virga_record_from_json(type, json, error);
}

static JsonNode *
field_to_json(const void *record, const VirgaField *field)
{
    GPtrArray *records;
    JsonArray *array;
    JsonNode *node;

    switch (field->kind) {
    case VIRGA_FIELD_STRING:
        return MEMBER(record, field, char *)
                   ? json_node_init_string(json_node_alloc(), MEMBER(record, field, char *))
                   : NULL;
    case VIRGA_FIELD_BOOL:
    case VIRGA_FIELD_BOOL_ON:
        return json_node_init_boolean(json_node_alloc(), MEMBER(record, field, bool));
    case VIRGA_FIELD_INTEGER:
        return json_node_init_int(json_node_alloc(), MEMBER(record, field, gint64));
    case VIRGA_FIELD_STRINGS:
        array = json_array_new();
        for (char **text = MEMBER(record, field, GStrv); text && *text; text++)
            json_array_add_string_element(array, *text);
        break;
    case VIRGA_FIELD_RECORDS:
        array = json_array_new();
        records = MEMBER(record, field, GPtrArray *);
        for (guint i = 0; records && i < records->len; i++)
            json_array_add_element(array, virga_record_to_json(field->of, records->pdata[i]));
        break;
    default:
        g_assert_not_reached();
    }
    node = json_node_new(JSON_NODE_ARRAY);
    json_node_take_array(node, array);
    return node;
}

JsonNode *
virga_record_to_json(const VirgaRecordType *type, const void *record)
{
    JsonObject *object = json_object_new();
    JsonNode *node;

    for (const VirgaField *field = type->fields; field->name; field++) {
        node = field_to_json(record, field);
        if (node)
            json_object_set_member(object, field->name, node);
    }
    node = json_node_init_object(json_node_alloc(), object);
    json_object_unref(object);
    return node;
}

char *
virga_record_to_text(const VirgaRecordType *type, const void *record)
{
    g_autoptr(JsonNode) json = virga_record_to_json(type, record);
    return json_to_string(json, FALSE);
}
