/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of REST-JSON services. */
#include "scalar.h"

#include "core/json.h"

static void write_value(GString *out, const VirgaWireShape *shape, const void *value);

static void
write_text(GString *out, const char *text)
{
    g_string_append_c(out, '"');
    for (; *text; text++) {
        guchar byte = (guchar) *text;

        if (byte == '"' || byte == '\\')
            g_string_append_printf(out, "\\%c", byte);
        else if (byte < 0x20)
            g_string_append_printf(out, "\\u%04x", byte);
        else
            g_string_append_c(out, (char) byte);
    }
    g_string_append_c(out, '"');
}

static void
write_struct(GString *out, const VirgaWireShape *shape, const void *structure)
{
    const char *comma = "";

    g_string_append_c(out, '{');
    for (guint i = 0; i < shape->member_count; i++) {
        const VirgaWireMember *member = &shape->members[i];
        const guint8 *value = (const guint8 *) structure + member->offset;
        bool list = member->shape->type == VIRGA_WIRE_LIST;

        if (!list && !virga_wire_given(member, structure))
            continue;
        g_string_append(out, comma);
        write_text(out, member->output);
        g_string_append_c(out, ':');
        write_value(out, member->shape,
                    member->shape->type == VIRGA_WIRE_STRUCT
                        ? *(const void *const *) (const void *) value
                        : value);
        comma = ",";
    }
    g_string_append_c(out, '}');
}

static void
write_list(GString *out, const VirgaWireShape *shape, const VirgaWireList *list)
{
    g_string_append_c(out, '[');
    for (gsize i = 0; i < list->count; i++) {
        if (i)
            g_string_append_c(out, ',');
        write_value(out, shape->element, (const guint8 *) list->items + i * shape->element->size);
    }
    g_string_append_c(out, ']');
}

static void
write_value(GString *out, const VirgaWireShape *shape, const void *value)
{
    const VirgaWireBlob *blob = value;
    char buffer[VIRGA_WIRE_TEXT_SIZE];
    g_autofree char *encoded = NULL;

    switch (shape->type) {
    case VIRGA_WIRE_STRUCT:
        write_struct(out, shape, value);
        break;
    case VIRGA_WIRE_LIST:
        write_list(out, shape, value);
        break;
    case VIRGA_WIRE_STRING:
        write_text(out, *(const char *const *) value);
        break;
    case VIRGA_WIRE_BLOB:
        encoded = g_base64_encode(blob->data, blob->length);
        write_text(out, encoded);
        break;
    case VIRGA_WIRE_TIMESTAMP: /* seconds since the epoch */
        g_string_append_printf(out, "%" G_GINT64_FORMAT ".%03d",
                               *(const gint64 *) value / G_USEC_PER_SEC,
                               (int) (*(const gint64 *) value % G_USEC_PER_SEC / 1000));
        break;
    default:
        g_string_append(out, virga_wire_scalar_text(shape->type, value, buffer));
        break;
    }
}

GString *
virga_wire_encode_json(const VirgaWireAction *action, const void *response)
{
    GString *out = g_string_new(NULL);

    if (response && action->output->member_count)
        write_struct(out, action->output, response);
    return out;
}

GString *
virga_wire_encode_json_error(const char *code, const char *message)
{
    GString *out = g_string_new("{\"ErrorCode\":");

    write_text(out, code);
    g_string_append(out, ",\"Message\":");
    write_text(out, message);
    g_string_append(out, ",\"message\":");
    write_text(out, message);
    g_string_append_c(out, '}');
    return out;
}
