/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical form of a request. */
#include "sigv4-priv.h"
#include "api/errors.h"
#include "api/wire.h"

#include <gnutls/crypto.h>
#include <string.h>

static const char hex_upper[] = "0123456789ABCDEF";
static const char hex_lower[] = "0123456789abcdef";

void
sigv4_append_sha256(GString *out, const void *data, gsize size)
{
    guint8 digest[SHA256_BYTES];

    gnutls_hash_fast(GNUTLS_DIG_SHA256, data, size, digest);
    for (int i = 0; i < SHA256_BYTES; i++) {
        g_string_append_c(out, hex_lower[digest[i] >> 4]);
        g_string_append_c(out, hex_lower[digest[i] & 15]);
    }
}

static void
append_encoded(GString *out, const char *text, gsize length, bool keep_slash)
{
    for (gsize i = 0; i < length; i++) {
        guchar byte = (guchar) text[i];

        if (g_ascii_isalnum(byte) || strchr("-._~", byte ? byte : 1) ||
            (keep_slash && byte == '/')) {
            g_string_append_c(out, (char) byte);
        } else {
            g_string_append_c(out, '%');
            g_string_append_c(out, hex_upper[byte >> 4]);
            g_string_append_c(out, hex_upper[byte & 15]);
        }
    }
}

/* Without dot segments and doubled slashes: what signers of all services but S3 do. */
static char *
normalize_path(const char *path)
{
    g_auto(GStrv) segments = g_strsplit(path, "/", -1);
    g_autoptr(GPtrArray) kept = g_ptr_array_new();
    GString *out = g_string_new(NULL);
    gsize length = strlen(path);

    for (char **segment = segments; *segment; segment++) {
        if (g_str_equal(*segment, ".."))
            g_ptr_array_set_size(kept, kept->len ? (int) kept->len - 1 : 0);
        else if (**segment && !g_str_equal(*segment, "."))
            g_ptr_array_add(kept, *segment);
    }
    for (guint i = 0; i < kept->len; i++)
        g_string_append_printf(out, "/%s", (char *) kept->pdata[i]);
    if (!kept->len || (length && path[length - 1] == '/'))
        g_string_append_c(out, '/');
    return g_string_free(out, FALSE);
}

/* S3 signs the path escaped once, all others the escaped path escaped again. */
static void
append_path(GString *out, const VirgaHttpRequest *request, bool is_s3)
{
    g_autofree char *path = NULL;

    if (is_s3) {
        path = g_uri_unescape_string(request->path, NULL);
        if (!path)
            path = g_strdup(request->path);
    } else {
        path = normalize_path(request->path);
    }
    append_encoded(out, path, strlen(path), true);
}

static int
compare_pairs(gconstpointer a, gconstpointer b)
{
    const VirgaWireParameter *left = a, *right = b;
    int order = strcmp(left->name, right->name);

    return order ? order : strcmp(left->value, right->value);
}

static const char *
encoded(VirgaArena *arena, const char *text)
{
    g_autoptr(GString) out = g_string_new(NULL);

    append_encoded(out, text, strlen(text), false);
    return virga_arena_strndup(arena, out->str, out->len);
}

static bool
append_query(GString *out, const VirgaHttpRequest *request, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    VirgaWireParameters query = { 0 };
    bool first = true;

    if (!virga_wire_parse_form(arena, request->query, strlen(request->query), &query, error))
        return false;
    for (gsize i = 0; i < query.count; i++) {
        query.items[i].name = encoded(arena, query.items[i].name);
        query.items[i].value = encoded(arena, query.items[i].value);
    }
    if (query.count)
        qsort(query.items, query.count, sizeof *query.items, compare_pairs);
    for (gsize i = 0; i < query.count; i++) {
        if (g_str_equal(query.items[i].name, "X-Amz-Signature"))
            continue;
        g_string_append_printf(out, "%s%s=%s", first ? "" : "&", query.items[i].name,
                               query.items[i].value);
        first = false;
    }
    return true;
}

/* Without blanks at the ends; runs of them become one. */
static void
append_folded(GString *out, const char *value)
{
    bool blank = false, begun = false;

    for (; *value; value++) {
        if (*value == ' ' || *value == '\t') {
            blank = begun;
            continue;
        }
        if (blank)
            g_string_append_c(out, ' ');
        g_string_append_c(out, *value);
        blank = false;
        begun = true;
    }
}

static void
append_header(GString *out, const VirgaHttpRequest *request, const char *name)
{
    bool first = true;

    g_string_append(out, name);
    g_string_append_c(out, ':');
    for (gsize i = 0; i < request->header_count; i++) {
        if (g_ascii_strcasecmp(request->headers[i].name, name) != 0)
            continue;
        if (!first)
            g_string_append_c(out, ',');
        append_folded(out, request->headers[i].value);
        first = false;
    }
    g_string_append_c(out, '\n');
}

static bool
append_payload_hash(GString *out, const VirgaHttpRequest *request, const VirgaSigv4 *parts,
                    GError **error)
{
    const char *claimed = virga_http_header(request, "x-amz-content-sha256");
    bool is_s3 = g_str_equal(parts->service, "s3");
    gsize start = out->len;

    if (parts->presigned && is_s3 && !claimed)
        claimed = "UNSIGNED-PAYLOAD";
    /* Only S3's streaming bodies are checked elsewhere. */
    if (claimed && (g_str_equal(claimed, "UNSIGNED-PAYLOAD") ||
                    (is_s3 && g_str_has_prefix(claimed, "STREAMING-")))) {
        g_string_append(out, claimed);
        return true;
    }
    /* A body that went to a file is compared with its hash by whoever reads it. */
    if (claimed && request->body_in_file) {
        g_string_append(out, claimed);
        return true;
    }
    sigv4_append_sha256(out, request->body, request->body_size);
    if (claimed && g_ascii_strcasecmp(claimed, out->str + start) != 0)
        return sigv4_mismatch(error, "The provided 'x-amz-content-sha256' header does not match "
                                     "what was computed.");
    return true;
}

GString *
virga_sigv4_canonical(const VirgaHttpRequest *request, const VirgaSigv4 *parts, GError **error)
{
    g_autoptr(GString) out = g_string_sized_new(1024);
    g_auto(GStrv) names = g_strsplit(parts->signed_headers, ";", -1);

    g_string_append_printf(out, "%s\n", request->method);
    append_path(out, request, g_str_equal(parts->service, "s3"));
    g_string_append_c(out, '\n');
    if (!append_query(out, request, error))
        return NULL;
    g_string_append_c(out, '\n');
    for (char **name = names; *name; name++)
        append_header(out, request, *name);
    g_string_append_printf(out, "\n%s\n", parts->signed_headers);
    if (!append_payload_hash(out, request, parts, error))
        return NULL;
    return g_steal_pointer(&out);
}
