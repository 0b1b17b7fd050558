/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of pages: base64url(MAC, key). */
#include "api/page.h"
#include "api/errors.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#define MAC_BYTES   16 /* of HMAC-SHA256: nobody can try 2^128 */
#define TOKEN_CHARS 2048

struct VirgaPager {
    gsize size;
    guint8 secret[];
};

VirgaPager *
virga_pager_new(const void *secret, gsize size)
{
    VirgaPager *pager = g_malloc(sizeof *pager + size);

    pager->size = size;
    memcpy(pager->secret, secret, size);
    return pager;
}

void
virga_pager_free(VirgaPager *pager)
{
    if (!pager)
        return;
    gnutls_memset(pager->secret, 0, pager->size);
    g_free(pager);
}

static void
authenticate(const VirgaPager *pager, const char *account_id, const char *action, const char *key,
             guint8 mac[static MAC_BYTES])
{
    g_autofree char *text = g_strdup_printf("page\n%s\n%s\n%s", account_id, action, key);
    guint8 digest[32];

    gnutls_hmac_fast(GNUTLS_MAC_SHA256, pager->secret, pager->size, text, strlen(text), digest);
    memcpy(mac, digest, MAC_BYTES);
}

const char *
virga_page_token(const VirgaPager *pager, VirgaArena *arena, const char *account_id,
                 const char *action, const char *last_key)
{
    gsize length = strlen(last_key);
    g_autofree guint8 *bytes = g_malloc(MAC_BYTES + length);
    g_autofree char *text = NULL;

    authenticate(pager, account_id, action, last_key, bytes);
    memcpy(bytes + MAC_BYTES, last_key, length);
    text = g_base64_encode(bytes, MAC_BYTES + length);
    g_strdelimit(text, "+", '-');
    g_strdelimit(text, "/", '_');
    text[strcspn(text, "=")] = '\0';
    return virga_arena_strdup(arena, text);
}

static bool
invalid(GError **error)
{
    return virga_api_fail(error, "InvalidNextToken", 400, "The token is invalid");
}

bool
virga_page_key(const VirgaPager *pager, VirgaArena *arena, const char *account_id,
               const char *action, const char *token, const char **ret_key, GError **error)
{
    g_autoptr(GString) text = NULL;
    g_autofree guint8 *bytes = NULL;
    guint8 mac[MAC_BYTES];
    const char *key;
    gsize size;

    if (!token) {
        *ret_key = NULL;
        return true;
    }
    if (!*token || strlen(token) > TOKEN_CHARS || strpbrk(token, "+/="))
        return invalid(error);
    text = g_string_new(token);
    g_strdelimit(text->str, "-", '+');
    g_strdelimit(text->str, "_", '/');
    while (text->len % 4)
        g_string_append_c(text, '=');
    bytes = g_base64_decode(text->str, &size);
    if (size <= MAC_BYTES || memchr(bytes + MAC_BYTES, 0, size - MAC_BYTES))
        return invalid(error);
    key = virga_arena_strndup(arena, (char *) bytes + MAC_BYTES, size - MAC_BYTES);
    authenticate(pager, account_id, action, key, mac);
    if (gnutls_memcmp(mac, bytes, MAC_BYTES) != 0)
        return invalid(error);
    *ret_key = key;
    return true;
}

bool
virga_page_size(bool has_max_results, gint64 max_results, gint64 min, gint64 max, gint64 otherwise,
                gint64 *ret_size, GError **error)
{
    if (has_max_results && (max_results < min || max_results > max))
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Value ( %" G_GINT64_FORMAT
                              " ) for parameter maxResults is invalid. Expecting a value between "
                              "%" G_GINT64_FORMAT " and %" G_GINT64_FORMAT ".",
                              max_results, min, max);
    *ret_size = has_max_results ? max_results : otherwise;
    return true;
}
