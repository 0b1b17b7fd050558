/* SPDX-License-Identifier: Apache-2.0 */
/* Response structs to XML, appended straight into one buffer. */
#include "scalar.h"

#include <string.h>

/* ---- text ---- */

static const char *
replacement(const guchar *text, gsize *ret_length)
{
    *ret_length = 1;
    switch (text[0]) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\r':
        return "&#13;"; /* a bare one would be read as a line feed */
    case '\t':
    case '\n':
        return NULL;
    case 0xEF: /* U+FFFE and U+FFFF */
        if (text[1] == 0xBF && (text[2] == 0xBE || text[2] == 0xBF)) {
            *ret_length = 3;
            return "\xEF\xBF\xBD";
        }
        return NULL;
    default:
        return text[0] < 0x20 ? "\xEF\xBF\xBD" : NULL;
    }
}

static void
append_valid(GString *out, const char *text, gsize length)
{
    gsize start = 0;

    for (gsize i = 0; i < length; i++) {
        const guchar *at = (const guchar *) text + i;
        const char *instead;
        gsize replaced;

        if (*at > '>' && *at != 0xEF)
            continue;
        instead = replacement(at, &replaced);
        if (!instead)
            continue;
        g_string_append_len(out, text + start, (gssize) (i - start));
        g_string_append(out, instead);
        i += replaced - 1;
        start = i + 1;
    }
    g_string_append_len(out, text + start, (gssize) (length - start));
}

/* Appends 'text' as XML character data.  What XML cannot say becomes U+FFFD. */
static void
append_escaped(GString *out, const char *text)
{
    gsize left = strlen(text);

    while (left) {
        const char *end;

        if (g_utf8_validate_len(text, left, &end)) {
            append_valid(out, text, left);
            return;
        }
        append_valid(out, text, (gsize) (end - text));
        g_string_append(out, "\xEF\xBF\xBD");
        left -= (gsize) (end - text) + 1;
        text = end + 1;
    }
}

/* ---- elements: the hot path of large answers ---- */

/* A name of the tables, with its length counted at build time. */
typedef struct {
    const char *text;
    gsize length;
} Name;

#define NAME(literal) ((Name){ "" literal, sizeof(literal) - 1 })

static Name
name_of(const char *text)
{
    return (Name){ text, strlen(text) };
}

/* Room for 'size' more bytes, which the caller writes; there is no NUL behind them. */
static char *
extend(GString *out, gsize size)
{
    gsize start = out->len;

    if (out->allocated_len - start <= size)
        g_string_set_size(out, start + size);
    out->len = start + size;
    return out->str + start;
}

static char *
put(char *at, const char *text, gsize length)
{
    memcpy(at, text, length);
    return at + length;
}

static void
open_element(GString *out, Name name)
{
    char *at = extend(out, name.length + 2);

    *at++ = '<';
    at = put(at, name.text, name.length);
    *at = '>';
}

static void
close_element(GString *out, Name name)
{
    char *at = extend(out, name.length + 3);

    *at++ = '<';
    *at++ = '/';
    at = put(at, name.text, name.length);
    *at = '>';
}

static void
empty_element(GString *out, Name name)
{
    char *at = extend(out, name.length + 3);

    *at++ = '<';
    at = put(at, name.text, name.length);
    *at++ = '/';
    *at = '>';
}

/* True if none of the characters needs another form in XML, nor a look at its encoding.  Without a
 * way out of the loop it runs on many characters at once. */
static bool
is_plain(const char *text, gsize length)
{
    guint8 odd = 0;

    for (gsize i = 0; i < length; i++) {
        guint8 c = (guint8) text[i];

        odd |=
            (guint8) ((c < 0x20) | (c > 0x7e) | (c == '<') | (c == '>') | (c == '&') | (c == '"'));
    }
    return !odd;
}

/* <NAME>TEXT</NAME> at one go: most of an answer is made here. */
static void
plain_element(GString *out, Name name, const char *text, gsize length)
{
    char *at = extend(out, 2 * name.length + length + strlen("<></>"));

    *at++ = '<';
    at = put(at, name.text, name.length);
    *at++ = '>';
    at = put(at, text, length);
    *at++ = '<';
    *at++ = '/';
    at = put(at, name.text, name.length);
    *at = '>';
}

static void
text_element(GString *out, Name name, const char *text)
{
    gsize length = strlen(text);

    if (is_plain(text, length)) {
        plain_element(out, name, text, length);
        return;
    }
    open_element(out, name);
    append_escaped(out, text);
    close_element(out, name);
}

/* ---- values ---- */

/* An answer in the making.  Handlers share structures that many items have in common; what such a
 * one looks like is copied from where it was written last. */
#define SHARED_MAX 128

typedef struct {
    const void *structure;
    const VirgaWireMember *member;
    gsize start, length;
} Shared;

typedef struct {
    GString *out;
    bool sparse; /* empty lists are left out, also in what lies deeper */
    gint64 time; /* the last one: what is made together has one time */
    char time_text[VIRGA_WIRE_TEXT_SIZE];
    Shared shared[SHARED_MAX]; /* by address; a newer one drives an older one out */
} Encoder;

static void encode_members(Encoder *encoder, const VirgaWireShape *shape, const guint8 *structure);

static void
encode_blob(GString *out, Name name, const VirgaWireBlob *blob)
{
    g_autofree char *text = NULL;

    if (!blob->data)
        return;
    text = g_base64_encode(blob->data, blob->length);
    open_element(out, name);
    g_string_append(out, text);
    close_element(out, name);
}

static void
encode_time(Encoder *encoder, Name name, gint64 time)
{
    if (time == 0)
        return;
    if (time != encoder->time)
        virga_wire_scalar_text(VIRGA_WIRE_TIMESTAMP, &time, encoder->time_text);
    encoder->time = time;
    plain_element(encoder->out, name, encoder->time_text, strlen(encoder->time_text));
}

static void
encode_scalar(Encoder *encoder, Name name, const VirgaWireShape *shape, const void *value)
{
    GString *out = encoder->out;
    char buffer[VIRGA_WIRE_TEXT_SIZE];
    const char *text;

    if (shape->type == VIRGA_WIRE_BLOB) {
        encode_blob(out, name, value);
        return;
    }
    if (shape->type == VIRGA_WIRE_TIMESTAMP) {
        encode_time(encoder, name, *(const gint64 *) value);
        return;
    }
    text = virga_wire_scalar_text(shape->type, value, buffer);
    if (!text)
        return;
    if (text == buffer || shape->type != VIRGA_WIRE_STRING)
        plain_element(out, name, text, strlen(text));
    else
        text_element(out, name, text);
}

static void
encode_structure(Encoder *encoder, Name name, const VirgaWireShape *shape, const void *structure)
{
    open_element(encoder->out, name);
    encode_members(encoder, shape, structure);
    close_element(encoder->out, name);
}

/* A structure that a member points to. */
static void
encode_inner(Encoder *encoder, const VirgaWireMember *member, const void *structure)
{
    GString *out = encoder->out;
    Shared *shared = &encoder->shared[((guintptr) structure >> 4) % SHARED_MAX];
    gsize start = out->len;

    if (shared->structure == structure && shared->member == member) {
        char *at = extend(out, shared->length);

        memcpy(at, out->str + shared->start, shared->length);
        return;
    }
    encode_structure(encoder, (Name){ member->output, member->output_length }, member->shape,
                     structure);
    *shared = (Shared){ structure, member, start, out->len - start };
}

static void
encode_list(Encoder *encoder, Name name, const VirgaWireShape *shape, bool flat,
            const VirgaWireList *list)
{
    const VirgaWireShape *element = shape->element;
    Name element_name = flat ? name : (Name){ shape->element_name, shape->element_name_length };

    if (!flat && list->count == 0) {
        if (!encoder->sparse || list->items)
            empty_element(encoder->out, name);
        return;
    }
    if (!flat)
        open_element(encoder->out, name);
    for (gsize i = 0; i < list->count; i++) {
        const void *value = (const guint8 *) list->items + i * element->size;

        if (element->type == VIRGA_WIRE_STRUCT)
            encode_structure(encoder, element_name, element, value);
        else if (element->type == VIRGA_WIRE_LIST)
            encode_list(encoder, element_name, element, false, value);
        else
            encode_scalar(encoder, element_name, element, value);
    }
    if (!flat)
        close_element(encoder->out, name);
}

static void
encode_members(Encoder *encoder, const VirgaWireShape *shape, const guint8 *structure)
{
    bool sparse = encoder->sparse;

    encoder->sparse = sparse || shape->sparse;
    for (guint i = 0; i < shape->member_count; i++) {
        const VirgaWireMember *member = &shape->members[i];
        Name name = { member->output, member->output_length };
        const void *value = structure + member->offset;

        if (member->shape->type == VIRGA_WIRE_LIST) {
            encode_list(encoder, name, member->shape, member->flat, value);
        } else if (member->shape->type == VIRGA_WIRE_STRUCT) {
            const void *inner = *(const void *const *) value;

            if (inner)
                encode_inner(encoder, member, inner);
        } else if (!member->has_offset || *(const bool *) (structure + member->has_offset)) {
            encode_scalar(encoder, name, member->shape, value);
        }
    }
    encoder->sparse = sparse;
}

/* ---- envelopes ---- */

static void
encode_result(Encoder *encoder, const VirgaWireService *service, const VirgaWireAction *action,
              const void *response)
{
    if (!response) {
        for (const char *const *name = action->empty; name && *name; name++)
            empty_element(encoder->out, name_of(*name));
    } else if (action->output->member_count) {
        encode_members(encoder, action->output, response);
    } else if (service->protocol == VIRGA_WIRE_EC2) {
        g_string_append(encoder->out, "<return>true</return>");
    }
}

static void
open_envelope(GString *out, const VirgaWireService *service, const VirgaWireAction *action,
              const char *version)
{
    g_string_append(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<");
    g_string_append(out, action->name);
    if (service->protocol == VIRGA_WIRE_EC2) {
        /* Clients look elements up in the namespace of the version that they asked for. */
        g_string_append(out, "Response xmlns=\"http://ec2.amazonaws.com/doc/");
        append_escaped(out, version ? version : service->version);
        g_string_append(out, "/\">");
    } else {
        g_string_append_printf(out, "Response xmlns=\"%s\">", service->xml_namespace);
    }
}

GString *
virga_wire_encode(const VirgaWireService *service, const VirgaWireAction *action,
                  const void *response, const char *version, const char *request_id,
                  gsize size_hint)
{
    GString *out = g_string_sized_new(MAX(size_hint, 2048));
    Encoder encoder = { .out = out };

    open_envelope(out, service, action, version);
    if (service->protocol == VIRGA_WIRE_EC2) {
        text_element(out, NAME("requestId"), request_id);
        encode_result(&encoder, service, action, response);
    } else {
        if (action->wrapper)
            open_element(out, name_of(action->wrapper));
        encode_result(&encoder, service, action, response);
        if (action->wrapper)
            close_element(out, name_of(action->wrapper));
        open_element(out, NAME("ResponseMetadata"));
        text_element(out, NAME("RequestId"), request_id);
        close_element(out, NAME("ResponseMetadata"));
    }
    g_string_append_len(out, "</", 2);
    g_string_append(out, action->name);
    g_string_append(out, "Response>\n");
    return out;
}

GString *
virga_wire_encode_error(VirgaWireProtocol protocol, const char *xml_namespace, unsigned status,
                        const char *code, const char *message, const char *request_id)
{
    GString *out = g_string_new("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");

    if (protocol == VIRGA_WIRE_EC2) {
        g_string_append(out, "<Response><Errors><Error>");
        text_element(out, NAME("Code"), code);
        text_element(out, NAME("Message"), message);
        g_string_append(out, "</Error></Errors>");
        text_element(out, NAME("RequestID"), request_id);
        g_string_append(out, "</Response>\n");
        return out;
    }
    g_string_append_printf(out, "<ErrorResponse xmlns=\"%s\"><Error>", xml_namespace);
    text_element(out, NAME("Type"), status < 500 ? "Sender" : "Receiver");
    text_element(out, NAME("Code"), code);
    text_element(out, NAME("Message"), message);
    g_string_append(out, "</Error>");
    text_element(out, NAME("RequestId"), request_id);
    g_string_append(out, "</ErrorResponse>\n");
    return out;
}
