/* SPDX-License-Identifier: Apache-2.0 */
/* What a request says, as one number: two that decode to the same have the same. */
#include "scalar.h"

#include <string.h>

static void
add_text(GChecksum *sum, const char *text)
{
    g_checksum_update(sum, (const guchar *) text, (gssize) strlen(text) + 1); /* its NUL ends it */
}

static void add_struct(GChecksum *sum, const VirgaWireShape *shape, const guint8 *structure,
                       const char *const *except);

static void
add_value(GChecksum *sum, const VirgaWireShape *shape, const guint8 *value)
{
    char buffer[VIRGA_WIRE_TEXT_SIZE];

    if (shape->type == VIRGA_WIRE_STRUCT) {
        add_struct(sum, shape, value, NULL);
    } else if (shape->type == VIRGA_WIRE_LIST) {
        const VirgaWireList *list = (const void *) value;

        for (gsize i = 0; i < list->count; i++) {
            add_text(sum, "[");
            add_value(sum, shape->element, (const guint8 *) list->items + i * shape->element->size);
        }
        add_text(sum, "]");
    } else if (shape->type == VIRGA_WIRE_BLOB) {
        const VirgaWireBlob *blob = (const void *) value;

        g_snprintf(buffer, sizeof buffer, "%" G_GSIZE_FORMAT, blob->length);
        add_text(sum, buffer);
        g_checksum_update(sum, blob->data, (gssize) blob->length);
    } else {
        const char *text = virga_wire_scalar_text(shape->type, value, buffer);

        add_text(sum, text ? text : "");
    }
}

static void
add_struct(GChecksum *sum, const VirgaWireShape *shape, const guint8 *structure,
           const char *const *except)
{
    for (guint i = 0; i < shape->member_count; i++) {
        const VirgaWireMember *member = &shape->members[i];
        const guint8 *value = structure + member->offset;

        if ((except && g_strv_contains(except, member->name)) ||
            !virga_wire_given(member, structure))
            continue;
        add_text(sum, member->name);
        if (member->shape->type == VIRGA_WIRE_STRUCT)
            value = *(const guint8 *const *) value;
        add_value(sum, member->shape, value);
    }
    add_text(sum, "}");
}

char *
virga_wire_digest(VirgaArena *arena, const VirgaWireShape *shape, const void *structure,
                  const char *const *except)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);

    add_struct(sum, shape, structure, except);
    return virga_arena_strdup(arena, g_checksum_get_string(sum));
}
