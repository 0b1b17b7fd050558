/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a signature, from the header or the query. */
#include "sigv4-priv.h"
#include "api/errors.h"
#include "api/wire.h"

#include <string.h>

#define ALGORITHM "AWS4-HMAC-SHA256"

static bool
incomplete(GError **error, const char *why)
{
    return virga_api_fail(error, "IncompleteSignature", 400, "%s", why);
}

static bool
is_made_of(const char *text, gsize length, const char *bytes)
{
    return strlen(text) == length && strspn(text, bytes) == length;
}

/* "20260102T030405Z" */
static bool
parse_time(const char *text, gint64 *ret_time_s)
{
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) time = NULL;

    if (strlen(text) != 16 || text[8] != 'T' || text[15] != 'Z')
        return false;
    time = g_date_time_new_from_iso8601(text, utc);
    if (!time)
        return false;
    *ret_time_s = g_date_time_to_unix(time);
    return true;
}

/* KEY/DATE/REGION/SERVICE/aws4_request, from the right, since nothing forbids slashes in a key. */
static bool
parse_credential(VirgaArena *arena, const char *credential, VirgaSigv4 *parts, GError **error)
{
    char *copy = virga_arena_strdup(arena, credential);
    char *fields[5];

    for (int i = 4; i > 0; i--) {
        char *slash = strrchr(copy, '/');

        if (!slash)
            return incomplete(error, "Credential must have exactly 5 slash-delimited elements, "
                                     "e.g. keyid/date/region/service/term");
        *slash = '\0';
        fields[i] = slash + 1;
    }
    fields[0] = copy;
    if (!g_str_equal(fields[4], "aws4_request"))
        return incomplete(error, "Credential should be scoped with a valid terminator: "
                                 "'aws4_request'");
    if (!*fields[0] || !*fields[2] || !*fields[3] || !is_made_of(fields[1], 8, "0123456789"))
        return incomplete(error, "Credential is malformed");
    parts->access_key_id = fields[0];
    parts->date = fields[1];
    parts->region = fields[2];
    parts->service = fields[3];
    return true;
}

/* "Credential=…, SignedHeaders=…, Signature=…" */
static bool
parse_authorization(VirgaArena *arena, const char *text, VirgaSigv4 *parts,
                    const char **ret_credential, GError **error)
{
    while (*text) {
        gsize length;
        const char *equals, *value;
        const char **place = NULL;

        text += strspn(text, " ,");
        length = strcspn(text, " ,");
        if (length == 0)
            break;
        equals = memchr(text, '=', length);
        if (!equals)
            return incomplete(error, "Authorization header is malformed");
        if (g_str_has_prefix(text, "Credential="))
            place = ret_credential;
        else if (g_str_has_prefix(text, "SignedHeaders="))
            place = &parts->signed_headers;
        else if (g_str_has_prefix(text, "Signature="))
            place = &parts->signature;
        value = virga_arena_strndup(arena, equals + 1, (gsize) (text + length - equals - 1));
        if (place && *place)
            return incomplete(error, "Authorization header is malformed");
        if (place)
            *place = value;
        text += length;
    }
    return true;
}

static bool
check_parts(const VirgaSigv4 *parts, GError **error)
{
    if (!parts->signature)
        return incomplete(error, "Authorization header requires 'Signature' parameter.");
    if (!parts->signed_headers)
        return incomplete(error, "Authorization header requires 'SignedHeaders' parameter.");
    if (!parts->time)
        return incomplete(error, "Authorization header requires existence of either a "
                                 "'X-Amz-Date' or a 'Date' header.");
    return true;
}

static bool
from_header(VirgaArena *arena, const VirgaHttpRequest *request, const char *authorization,
            VirgaSigv4 *parts, const char **ret_credential, GError **error)
{
    if (!g_str_has_prefix(authorization, ALGORITHM) || authorization[strlen(ALGORITHM)] != ' ')
        return incomplete(error, "Unsupported AWS signing algorithm: it must be " ALGORITHM);
    parts->time = virga_arena_strdup(arena, virga_http_header(request, "X-Amz-Date"));
    parts->session_token =
        virga_arena_strdup(arena, virga_http_header(request, "X-Amz-Security-Token"));
    return parse_authorization(arena, authorization + strlen(ALGORITHM), parts, ret_credential,
                               error);
}

static bool
from_query(const VirgaWireParameters *query, VirgaSigv4 *parts, const char **ret_credential,
           GError **error)
{
    const char *algorithm = virga_wire_parameter(query, "X-Amz-Algorithm");
    const char *expires = virga_wire_parameter(query, "X-Amz-Expires");

    if (g_strcmp0(algorithm, ALGORITHM) != 0)
        return incomplete(error, "Unsupported AWS signing algorithm: it must be " ALGORITHM);
    parts->presigned = true;
    *ret_credential = virga_wire_parameter(query, "X-Amz-Credential");
    parts->signature = virga_wire_parameter(query, "X-Amz-Signature");
    parts->signed_headers = virga_wire_parameter(query, "X-Amz-SignedHeaders");
    parts->time = virga_wire_parameter(query, "X-Amz-Date");
    parts->session_token = virga_wire_parameter(query, "X-Amz-Security-Token");
    if (!expires || !g_ascii_string_to_signed(expires, 10, 1, VIRGA_SIGV4_EXPIRES_MAX_S,
                                              &parts->expires_s, NULL))
        return incomplete(error, "X-Amz-Expires must be a number of seconds between 1 and 604800");
    return true;
}

static bool
check_signed_headers(const char *names, GError **error)
{
    g_auto(GStrv) list = g_strsplit(names, ";", -1);

    if (g_strv_length(list) > VIRGA_SIGV4_HEADERS_MAX)
        return incomplete(error, "SignedHeaders names too many headers");
    for (char **name = list; *name; name++) {
        if (!**name)
            return incomplete(error, "SignedHeaders is malformed");
        for (const char *byte = *name; *byte; byte++) {
            if (g_ascii_isupper(*byte) || !g_ascii_isgraph(*byte))
                return incomplete(error, "SignedHeaders must be names in lower case");
        }
    }
    if (!g_strv_contains((const char *const *) list, "host"))
        return sigv4_mismatch(error, "'Host' or ':authority' must be a 'SignedHeader' in the AWS "
                                     "Authorization.");
    return true;
}

bool
virga_sigv4_parse(VirgaArena *arena, const VirgaHttpRequest *request, VirgaSigv4 *ret_parts,
                  GError **error)
{
    const char *authorization = virga_http_header(request, "Authorization");
    const char *credential = NULL;
    VirgaWireParameters query = { 0 };
    VirgaSigv4 parts = { 0 };

    *ret_parts = parts;
    if (authorization) {
        if (!from_header(arena, request, authorization, &parts, &credential, error))
            return false;
    } else {
        if (!virga_wire_parse_form(arena, request->query, strlen(request->query), &query, error))
            return false;
        if (!virga_wire_parameter(&query, "X-Amz-Signature"))
            return virga_api_fail(error, "MissingAuthenticationToken", 403,
                                  "Request is missing Authentication Token");
        if (!from_query(&query, &parts, &credential, error))
            return false;
    }
    if (!credential)
        return incomplete(error, "Authorization header requires 'Credential' parameter.");
    if (!parse_credential(arena, credential, &parts, error))
        return false;
    ret_parts->service = parts.service;
    if (!check_parts(&parts, error))
        return false;
    if (!is_made_of(parts.signature, SHA256_HEX, "0123456789abcdef"))
        return sigv4_mismatch(error, "The signature must be 64 hex digits in lower case.");
    if (!parse_time(parts.time, &parts.time_s))
        return incomplete(error, "Date must be in ISO-8601 'basic format', such as "
                                 "20260102T030405Z");
    if (strncmp(parts.time, parts.date, 8) != 0)
        return sigv4_mismatch(error, "Date in Credential scope does not match YYYYMMDD from "
                                     "ISO-8601 version of date from HTTP");
    if (!check_signed_headers(parts.signed_headers, error))
        return false;
    *ret_parts = parts;
    return true;
}
