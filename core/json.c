/* SPDX-License-Identifier: Apache-2.0 */
#include "core/json.h"

#include "core/error.h"

#include <string.h>

/* JSON-GLib's scanner knows more than JSON (comments, "var x ="), and so could see brackets where
 * check_shape() sees a text.  What JSON does not use outside of texts is refused. */
static bool
is_json_byte(char byte)
{
    return g_ascii_isdigit(byte) || (byte && strchr(" \t\r\n,:+-.eEtrufalsn", byte));
}

/* The end of a text, after its closing quote; NULL: it has none, or holds control characters. */
static const char *
skip_text(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++) {
        if ((guchar) *at < 0x20)
            return NULL;
        if (*at == '\\')
            at++;
    }
    return at < end ? at + 1 : NULL;
}

static bool
check_shape(const char *at, const char *end, GError **error)
{
    guint depth = 0, values = 1;

    while (at < end) {
        if (*at == '"') {
            at = skip_text(at, end);
            if (!at)
                return virga_fail(error, "request", VIRGA_ERROR_INVALID,
                                  "a text in the JSON has no end");
            continue;
        }
        if (*at == '[' || *at == '{') {
            depth++;
            values++;
        } else if (*at == ']' || *at == '}') {
            depth -= depth > 0;
        } else if (*at == ',') {
            values++;
        } else if (!is_json_byte(*at)) {
            return virga_fail(error, "request", VIRGA_ERROR_INVALID, "the text is not JSON");
        }
        if (depth > VIRGA_JSON_DEPTH_MAX || values > VIRGA_JSON_VALUES_MAX)
            return virga_fail(error, "request", VIRGA_ERROR_INVALID,
                              "the JSON is deeper or longer than any that is meant");
        at++;
    }
    return true;
}

JsonNode *
virga_json_parse(const char *text, gssize size, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) reason = NULL;
    JsonNode *root;

    if (size < 0)
        size = (gssize) strlen(text);
    if (size == 0) {
        virga_fail(error, "request", VIRGA_ERROR_INVALID, "there is no JSON");
        return NULL;
    }
    if (!g_utf8_validate(text, size, NULL)) {
        virga_fail(error, "request", VIRGA_ERROR_INVALID, "the text is not UTF-8");
        return NULL;
    }
    if (!check_shape(text, text + size, error))
        return NULL;
    root = json_parser_load_from_data(parser, text, size, &reason) ? json_parser_steal_root(parser)
                                                                   : NULL;
    if (!root)
        virga_fail(error, "request", VIRGA_ERROR_INVALID, "the text is not JSON: %s",
                   reason ? reason->message : "it is empty");
    return root;
}
