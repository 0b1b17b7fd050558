/* SPDX-License-Identifier: Apache-2.0 */
/* Values of a struct by the model's names of its members: what filters stand on. */
#include "scalar.h"

#include <string.h>

bool
virga_wire_given(const VirgaWireMember *member, const void *structure)
{
    const guint8 *bytes = structure;
    const void *value = bytes + member->offset;

    if (member->has_offset)
        return *(const bool *) (bytes + member->has_offset);
    if (member->shape->type == VIRGA_WIRE_LIST)
        return ((const VirgaWireList *) value)->count > 0;
    if (member->shape->type == VIRGA_WIRE_TIMESTAMP)
        return *(const gint64 *) value != 0;
    return *(void *const *) value != NULL; /* pointers, and blobs, which begin with one */
}

const VirgaWireMember *
virga_wire_member(const VirgaWireShape *shape, const char *name)
{
    for (guint i = 0; i < shape->member_count; i++) {
        if (g_str_equal(shape->members[i].name, name))
            return &shape->members[i];
    }
    return NULL;
}

static const VirgaWireShape *
without_lists(const VirgaWireShape *shape)
{
    while (shape->type == VIRGA_WIRE_LIST)
        shape = shape->element;
    return shape;
}

bool
virga_wire_path(const VirgaWireShape *shape, const char *path, VirgaWirePath *ret_path)
{
    g_auto(GStrv) names = g_strsplit(path, ".", -1);
    VirgaWirePath found = { .length = 0 };

    for (char **name = names; *name; name++) {
        const VirgaWireMember *member;

        if (shape->type != VIRGA_WIRE_STRUCT || found.length == VIRGA_WIRE_PATH_MAX)
            return false;
        member = virga_wire_member(shape, *name);
        if (!member)
            return false;
        found.steps[found.length++] = member;
        shape = without_lists(member->shape);
    }
    if (found.length == 0 || shape->type == VIRGA_WIRE_STRUCT || shape->type == VIRGA_WIRE_BLOB)
        return false;
    *ret_path = found;
    return true;
}

typedef struct {
    const VirgaWirePath *path;
    VirgaWireVisit visit;
    gpointer user_data;
} Walk;

static bool walk_structure(const Walk *walk, guint step, const guint8 *structure);

static bool
walk_value(const Walk *walk, guint step, const VirgaWireShape *shape, const void *value)
{
    char buffer[VIRGA_WIRE_TEXT_SIZE];
    const VirgaWireList *list = value;
    const char *text;

    if (shape->type == VIRGA_WIRE_STRUCT)
        return walk_structure(walk, step, value);
    if (shape->type != VIRGA_WIRE_LIST) {
        text = virga_wire_scalar_text(shape->type, value, buffer);
        return !text || walk->visit(text, walk->user_data);
    }
    for (gsize i = 0; i < list->count; i++) {
        if (!walk_value(walk, step, shape->element,
                        (const guint8 *) list->items + i * shape->element->size))
            return false;
    }
    return true;
}

static bool
walk_structure(const Walk *walk, guint step, const guint8 *structure)
{
    const VirgaWireMember *member = walk->path->steps[step];
    const void *value = structure + member->offset;

    if (member->shape->type == VIRGA_WIRE_STRUCT) {
        const void *inner = *(const void *const *) value;
        return !inner || walk_structure(walk, step + 1, inner);
    }
    if (member->has_offset && !*(const bool *) (structure + member->has_offset))
        return true;
    return walk_value(walk, step + 1, member->shape, value);
}

bool
virga_wire_values(const VirgaWirePath *path, const void *structure, VirgaWireVisit visit,
                  gpointer user_data)
{
    Walk walk = { path, visit, user_data };
    return walk_structure(&walk, 0, structure);
}
