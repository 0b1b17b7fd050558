/* SPDX-License-Identifier: Apache-2.0 */
/* application/x-www-form-urlencoded text to parameters: the only place that sees raw bytes. */
#include "api/errors.h"
#include "api/wire.h"

#include <string.h>

static bool
malformed(const char *why, GError **error)
{
    return virga_api_fail(error, "MalformedQueryString", 400, "The query string is malformed: %s",
                          why);
}

/* Decodes into 'out', which holds at least 'length' bytes; returns the length or -1. */
static gssize
unescape(const char *text, gsize length, char *out)
{
    gsize used = 0;

    for (gsize i = 0; i < length; i++) {
        if (text[i] == '+') {
            out[used++] = ' ';
        } else if (text[i] == '%') {
            int high, low;

            if (length - i < 3)
                return -1;
            high = g_ascii_xdigit_value(text[i + 1]);
            low = g_ascii_xdigit_value(text[i + 2]);
            if (high < 0 || low < 0)
                return -1;
            out[used++] = (char) (high << 4 | low);
            i += 2;
        } else {
            out[used++] = text[i];
        }
    }
    return (gssize) used;
}

static const char *
decode(VirgaArena *arena, const char *text, gsize length, GError **error)
{
    char *out = virga_arena_alloc(arena, length + 1, 1);
    gssize used = unescape(text, length, out);

    if (used < 0) {
        malformed("a percent sign must be followed by two hex digits", error);
        return NULL;
    }
    /* Refuses NUL too, so that the text is whole as a C string. */
    if (!g_utf8_validate_len(out, (gsize) used, NULL)) {
        malformed("it is not UTF-8", error);
        return NULL;
    }
    return out;
}

static gsize
count_pairs(const char *text, gsize length)
{
    gsize count = 0;

    for (gsize i = 0; i < length; i++)
        count += text[i] == '&';
    return count + 1;
}

static bool
add_pair(VirgaArena *arena, const char *text, gsize length, VirgaWireParameters *parameters,
         GError **error)
{
    const char *equals = memchr(text, '=', length);
    gsize name_length = equals ? (gsize) (equals - text) : length;
    VirgaWireParameter *parameter = &parameters->items[parameters->count];

    parameter->name = decode(arena, text, name_length, error);
    if (!parameter->name)
        return false;
    if (!*parameter->name)
        return malformed("a parameter has no name", error);
    parameter->value = equals ? decode(arena, equals + 1, length - name_length - 1, error) : "";
    if (!parameter->value)
        return false;
    parameters->count++;
    return true;
}

bool
virga_wire_parse_form(VirgaArena *arena, const char *text, gsize length,
                      VirgaWireParameters *parameters, GError **error)
{
    gsize room = parameters->count + count_pairs(text, length);
    VirgaWireParameter *items;

    if (room > VIRGA_WIRE_PARAMETERS_MAX)
        return virga_api_fail(error, "RequestLimitExceeded", 400,
                              "The request has more than %d parameters", VIRGA_WIRE_PARAMETERS_MAX);
    items = virga_arena_new_array(arena, VirgaWireParameter, room);
    if (parameters->count)
        memcpy(items, parameters->items, parameters->count * sizeof *items);
    parameters->items = items;
    for (gsize start = 0; start < length;) {
        const char *end = memchr(text + start, '&', length - start);
        gsize stop = end ? (gsize) (end - text) : length;

        if (stop > start && !add_pair(arena, text + start, stop - start, parameters, error))
            return false;
        start = stop + 1;
    }
    return true;
}

const char *
virga_wire_parameter(const VirgaWireParameters *parameters, const char *name)
{
    for (gsize i = 0; i < parameters->count; i++) {
        if (g_str_equal(parameters->items[i].name, name))
            return parameters->items[i].value;
    }
    return NULL;
}
