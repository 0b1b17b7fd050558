/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters to a request struct.
 *
 * The parameters are sorted by their names, component by component, numbers as numbers.  Then
 * whatever belongs to one member or one list element is a contiguous range, in the list's order,
 * and the struct is built by descending into ranges: n log n for any nesting, and an index such as
 * InstanceId.999999 costs no memory. */
#include "scalar.h"
#include "api/errors.h"

#include <stdlib.h>
#include <string.h>

#define INDEX_DIGITS_MAX 7

typedef struct {
    VirgaArena *arena;
    VirgaWireProtocol protocol;
    const VirgaWireParameter *parameters;
    guint depth;
} Decoder;

/* Parameters [from, to) agree in the first 'at' bytes of their names, which end in a dot. */
typedef struct {
    gsize from, to;
    gsize at;
} Range;

static bool decode_value(Decoder *decoder, const VirgaWireShape *shape, bool flat, Range range,
                         void *out, GError **error);

/* ---- order ---- */

static gsize
component_length(const char *text)
{
    return strcspn(text, ".");
}

static bool
is_number(const char *text, gsize length)
{
    return length > 0 && strspn(text, "0123456789") >= length;
}

static int
compare_components(const char *a, gsize a_length, const char *b, gsize b_length)
{
    bool a_number = is_number(a, a_length), b_number = is_number(b, b_length);
    int order;

    if (a_number != b_number)
        return a_number ? -1 : 1;
    /* Indexes have no leading zeros (others are refused), so the longer one is the greater. */
    if (a_number && a_length != b_length)
        return a_length < b_length ? -1 : 1;
    order = memcmp(a, b, MIN(a_length, b_length));
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int
compare_parameters(const void *a, const void *b)
{
    const char *left = ((const VirgaWireParameter *) a)->name;
    const char *right = ((const VirgaWireParameter *) b)->name;

    for (;;) {
        gsize left_length = component_length(left), right_length = component_length(right);
        int order = compare_components(left, left_length, right, right_length);

        if (order)
            return order;
        left += left_length;
        right += right_length;
        if (!*left || !*right)
            return (*left != '\0') - (*right != '\0');
        left++;
        right++;
    }
}

/* ---- ranges ---- */

static const char *
name_at(const Decoder *decoder, Range range)
{
    return decoder->parameters[range.from].name + range.at;
}

static bool
unknown(const Decoder *decoder, Range range, GError **error)
{
    return virga_api_fail(error, "UnknownParameter", 400, "The parameter %.200s is not recognized",
                          decoder->parameters[range.from].name);
}

/* The leading part of 'range' whose names go on with the same component. */
static Range
same_component(const Decoder *decoder, Range range, gsize length)
{
    const char *first = name_at(decoder, range);
    Range same = range;

    for (same.to = range.from + 1; same.to < range.to; same.to++) {
        const char *name = decoder->parameters[same.to].name + range.at;

        if (strncmp(name, first, length) != 0 || (name[length] && name[length] != '.'))
            break;
    }
    return same;
}

/* Steps over the component of 'length' bytes that the whole range shares.  The one name that ends
 * there, if any, sorts first; 'ret_ends' tells of it. */
static Range
descend(const Decoder *decoder, Range range, gsize length, bool *ret_ends)
{
    *ret_ends = name_at(decoder, range)[length] == '\0';
    return (Range){ range.from, range.to, range.at + length + 1 };
}

/* ---- values ---- */

static bool
check_required(const VirgaWireShape *shape, const guint8 *out, const char *prefix,
               gsize prefix_length, GError **error)
{
    for (guint i = 0; i < shape->member_count; i++) {
        const VirgaWireMember *member = &shape->members[i];
        const void *value = out + member->offset;
        bool present;

        if (!member->required)
            continue;
        if (member->has_offset)
            present = *(const bool *) (out + member->has_offset);
        else if (member->shape->type == VIRGA_WIRE_LIST)
            present = ((const VirgaWireList *) value)->count > 0;
        else if (member->shape->type == VIRGA_WIRE_TIMESTAMP)
            present = *(const gint64 *) value != 0;
        else /* pointers, and blobs, which begin with one */
            present = *(void *const *) value != NULL;
        if (!present)
            return virga_api_fail(error, "MissingParameter", 400,
                                  "The request must contain the parameter %.*s%s",
                                  (int) MIN(prefix_length, 200), prefix, member->input);
    }
    return true;
}

static const VirgaWireMember *
find_input(const VirgaWireShape *shape, const char *name, gsize length)
{
    guint low = 0, high = shape->member_count;

    while (low < high) {
        guint middle = low + (high - low) / 2;
        const VirgaWireMember *member = &shape->members[shape->by_input[middle]];
        gsize key_length = strlen(member->input);
        int order = memcmp(name, member->input, MIN(length, key_length));

        if (order == 0)
            order = (length > key_length) - (length < key_length);
        if (order == 0)
            return member;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

static bool
is_aggregate(const VirgaWireShape *shape)
{
    return shape->type == VIRGA_WIRE_STRUCT || shape->type == VIRGA_WIRE_LIST;
}

static bool check_length(const Decoder *decoder, const VirgaWireShape *shape, Range range,
                         gsize count, GError **error);

/* "KeyName=a" without an index: clients of old say a list of one so. */
static bool
decode_only_element(Decoder *decoder, const VirgaWireShape *shape, Range range, VirgaWireList *out,
                    GError **error)
{
    const VirgaWireParameter *only = &decoder->parameters[range.from];

    if (!check_length(decoder, shape, range, 1, error))
        return false;
    out->items = virga_arena_alloc(decoder->arena, 1, shape->element->size);
    out->count = 1;
    return virga_wire_scalar_parse(decoder->arena, shape->element, only->name, only->value,
                                   out->items, error);
}

/* Reads the value whose names share the component of 'length' bytes at the range's position. */
static bool
decode_component(Decoder *decoder, const VirgaWireShape *shape, bool flat, Range range,
                 gsize length, void *out, GError **error)
{
    const VirgaWireParameter *first = &decoder->parameters[range.from];
    bool ends;
    Range inner = descend(decoder, range, length, &ends);

    if (!is_aggregate(shape)) {
        if (!ends)
            return unknown(decoder, range, error);
        inner.from++;
        if (inner.from < inner.to)
            return unknown(decoder, inner, error);
        return virga_wire_scalar_parse(decoder->arena, shape, first->name, first->value, out,
                                       error);
    }
    if (ends) {
        /* "Filter=" is how an empty list is said. */
        if (shape->type == VIRGA_WIRE_LIST && *first->value && !is_aggregate(shape->element) &&
            range.to - range.from == 1)
            return decode_only_element(decoder, shape, range, out, error);
        if (shape->type != VIRGA_WIRE_LIST || *first->value)
            return unknown(decoder, range, error);
        inner.from++;
        if (inner.from == inner.to)
            return true;
    }
    return decode_value(decoder, shape, flat, inner, out, error);
}

static bool
decode_member(Decoder *decoder, const VirgaWireMember *member, Range range, gsize length,
              guint8 *out, GError **error)
{
    void *value = out + member->offset;
    bool flat = member->flat || decoder->protocol == VIRGA_WIRE_EC2;

    if (member->shape->type == VIRGA_WIRE_STRUCT) {
        void *structure = virga_arena_alloc(decoder->arena, 1, member->shape->size);

        *(void **) value = structure;
        value = structure;
    }
    if (!decode_component(decoder, member->shape, flat, range, length, value, error))
        return false;
    if (member->has_offset)
        *(bool *) (out + member->has_offset) = true;
    return true;
}

static bool
decode_struct(Decoder *decoder, const VirgaWireShape *shape, Range range, guint8 *out,
              GError **error)
{
    const char *prefix = range.from < range.to ? decoder->parameters[range.from].name : "";

    while (range.from < range.to) {
        const char *name = name_at(decoder, range);
        gsize length = component_length(name);
        const VirgaWireMember *member = find_input(shape, name, length);
        Range same = same_component(decoder, range, length);

        if (!member)
            return unknown(decoder, range, error);
        if (!decode_member(decoder, member, same, length, out, error))
            return false;
        range.from = same.to;
    }
    return check_required(shape, out, prefix, range.at, error);
}

static bool
check_index(const Decoder *decoder, Range range, gsize length, GError **error)
{
    const char *name = name_at(decoder, range);

    /* Some clients count from 0. */
    if (!is_number(name, length) || (*name == '0' && length > 1) || length > INDEX_DIGITS_MAX)
        return unknown(decoder, range, error);
    return true;
}

static bool
check_length(const Decoder *decoder, const VirgaWireShape *shape, Range range, gsize count,
             GError **error)
{
    if (shape->has_max && (gint64) count > shape->max)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "The list at %.200s has more than %" G_GINT64_FORMAT " elements",
                              decoder->parameters[range.from].name, shape->max);
    if (shape->has_min && (gint64) count < shape->min)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "The list at %.200s has less than %" G_GINT64_FORMAT " elements",
                              decoder->parameters[range.from].name, shape->min);
    return true;
}

static bool
decode_list(Decoder *decoder, const VirgaWireShape *shape, Range range, VirgaWireList *out,
            GError **error)
{
    const VirgaWireShape *element = shape->element;
    bool flat = decoder->protocol == VIRGA_WIRE_EC2;
    Range rest = range;
    gsize count = 0;

    for (; rest.from < rest.to; count++) {
        gsize length = component_length(name_at(decoder, rest));

        if (!check_index(decoder, rest, length, error))
            return false;
        rest.from = same_component(decoder, rest, length).to;
    }
    if (!check_length(decoder, shape, range, count, error))
        return false;
    out->items = virga_arena_alloc(decoder->arena, count, element->size);
    out->count = count;
    for (gsize i = 0; i < count; i++) {
        gsize length = component_length(name_at(decoder, range));
        Range same = same_component(decoder, range, length);

        if (!decode_component(decoder, element, flat, same, length,
                              (guint8 *) out->items + i * element->size, error))
            return false;
        range.from = same.to;
    }
    return true;
}

/* X.member.1: steps over "member", which every name in the range must have. */
static bool
skip_element_name(const Decoder *decoder, const VirgaWireShape *shape, Range *range, GError **error)
{
    gsize length = component_length(name_at(decoder, *range));
    Range same = same_component(decoder, *range, length);
    bool ends;

    if (strlen(shape->element_name) != length ||
        memcmp(shape->element_name, name_at(decoder, *range), length) != 0)
        return unknown(decoder, *range, error);
    if (same.to < range->to) {
        range->from = same.to;
        return unknown(decoder, *range, error);
    }
    *range = descend(decoder, same, length, &ends);
    return !ends || unknown(decoder, same, error);
}

static bool
decode_value(Decoder *decoder, const VirgaWireShape *shape, bool flat, Range range, void *out,
             GError **error)
{
    bool done;

    if (decoder->depth == VIRGA_WIRE_DEPTH_MAX)
        return unknown(decoder, range, error);
    decoder->depth++;
    if (shape->type == VIRGA_WIRE_STRUCT)
        done = decode_struct(decoder, shape, range, out, error);
    else
        done = (flat || skip_element_name(decoder, shape, &range, error)) &&
               decode_list(decoder, shape, range, out, error);
    decoder->depth--;
    return done;
}

/* ---- the whole request ---- */

/* Parameters of the envelope.  A member of that name wins, except over X-Amz-…. */
static bool
is_envelope(const VirgaWireShape *input, const char *name)
{
    static const char *const names[] = { "Action",    "Version",         "AWSAccessKeyId",
                                         "Signature", "SignatureMethod", "SignatureVersion",
                                         "Timestamp", "Expires",         "SecurityToken",
                                         NULL };

    if (g_ascii_strncasecmp(name, "X-Amz-", 6) == 0)
        return true;
    return g_strv_contains(names, name) && !find_input(input, name, strlen(name));
}

static gsize
drop_envelope(const VirgaWireShape *input, VirgaWireParameters *parameters)
{
    gsize kept = 0;

    for (gsize i = 0; i < parameters->count; i++) {
        if (!is_envelope(input, parameters->items[i].name))
            parameters->items[kept++] = parameters->items[i];
    }
    return kept;
}

void *
virga_wire_decode(VirgaArena *arena, VirgaWireProtocol protocol, const VirgaWireShape *input,
                  VirgaWireParameters *parameters, GError **error)
{
    gsize count = drop_envelope(input, parameters);
    Decoder decoder = { arena, protocol, parameters->items, 0 };
    void *out = virga_arena_alloc(arena, 1, input->size);

    parameters->count = count;
    if (count)
        qsort(parameters->items, count, sizeof *parameters->items, compare_parameters);
    for (gsize i = 1; i < count; i++) {
        if (g_str_equal(parameters->items[i - 1].name, parameters->items[i].name)) {
            virga_api_fail(error, "InvalidParameterCombination", 400,
                           "The parameter %.200s is given more than once",
                           parameters->items[i].name);
            return NULL;
        }
    }
    return decode_struct(&decoder, input, (Range){ 0, count, 0 }, out, error) ? out : NULL;
}

static int
compare_action(const void *name, const void *action)
{
    return strcmp(name, ((const VirgaWireAction *) action)->name);
}

const VirgaWireAction *
virga_wire_action(const VirgaWireService *service, const char *name)
{
    return bsearch(name, service->actions, service->action_count, sizeof *service->actions,
                   compare_action);
}
