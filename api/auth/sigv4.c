/* SPDX-License-Identifier: Apache-2.0 */
/* Time, scope, signature.  The signing key of (access key, day, region, service) takes four HMACs
 * to derive, so a bounded number of them is remembered. */
#include "sigv4-priv.h"
#include "api/errors.h"
#include "core/error.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#define CACHE_MAX 4096

struct VirgaSigv4Verifier {
    char *region;
    VirgaKeyLookup lookup;
    gpointer user_data;
    GMutex mutex;
    GHashTable *cache; /* scope text -> CachedKey */
};

typedef struct {
    guint8 key[SHA256_BYTES];
    char *secret; /* that it was derived from: secrets are replaced */
} CachedKey;

static void
cached_key_free(gpointer data)
{
    CachedKey *cached = data;

    gnutls_memset(cached->key, 0, sizeof cached->key);
    gnutls_memset(cached->secret, 0, strlen(cached->secret));
    g_free(cached->secret);
    g_free(cached);
}

VirgaSigv4Verifier *
virga_sigv4_verifier_new(const char *region, VirgaKeyLookup lookup, gpointer user_data)
{
    VirgaSigv4Verifier *verifier = g_new0(VirgaSigv4Verifier, 1);

    verifier->region = g_strdup(region);
    verifier->lookup = lookup;
    verifier->user_data = user_data;
    g_mutex_init(&verifier->mutex);
    verifier->cache = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, cached_key_free);
    return verifier;
}

void
virga_sigv4_verifier_free(VirgaSigv4Verifier *verifier)
{
    if (!verifier)
        return;
    g_hash_table_unref(verifier->cache);
    g_mutex_clear(&verifier->mutex);
    g_free(verifier->region);
    g_free(verifier);
}

bool
sigv4_mismatch(GError **error, const char *why)
{
    return virga_api_fail(error, "SignatureDoesNotMatch", 403, "%s", why);
}

static void
hmac(const void *key, gsize key_size, const char *text, guint8 out[static SHA256_BYTES])
{
    guint8 result[SHA256_BYTES];

    gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, key_size, text, strlen(text), result);
    memcpy(out, result, sizeof result);
}

static void
derive(const char *secret, const VirgaSigv4 *parts, guint8 key[static SHA256_BYTES])
{
    g_autofree char *seed = g_strconcat("AWS4", secret, NULL);

    hmac(seed, strlen(seed), parts->date, key);
    hmac(key, SHA256_BYTES, parts->region, key);
    hmac(key, SHA256_BYTES, parts->service, key);
    hmac(key, SHA256_BYTES, "aws4_request", key);
    gnutls_memset(seed, 0, strlen(seed));
}

static void
signing_key(VirgaSigv4Verifier *verifier, const char *secret, const VirgaSigv4 *parts,
            guint8 key[static SHA256_BYTES])
{
    g_autofree char *scope =
        g_strjoin("/", parts->access_key_id, parts->date, parts->region, parts->service, NULL);
    CachedKey *cached;
    bool found;

    g_mutex_lock(&verifier->mutex);
    cached = g_hash_table_lookup(verifier->cache, scope);
    found = cached && g_str_equal(cached->secret, secret);
    if (found)
        memcpy(key, cached->key, SHA256_BYTES);
    g_mutex_unlock(&verifier->mutex);
    if (found)
        return;
    derive(secret, parts, key);
    cached = g_new0(CachedKey, 1);
    memcpy(cached->key, key, SHA256_BYTES);
    cached->secret = g_strdup(secret);
    g_mutex_lock(&verifier->mutex);
    if (g_hash_table_size(verifier->cache) >= CACHE_MAX)
        g_hash_table_remove_all(verifier->cache);
    g_hash_table_replace(verifier->cache, g_steal_pointer(&scope), cached);
    g_mutex_unlock(&verifier->mutex);
}

/* Services without a region are signed for this one, wherever they are. */
static bool
is_global(const VirgaSigv4 *parts)
{
    return g_str_equal(parts->region, "us-east-1") &&
           (g_str_equal(parts->service, "iam") || g_str_equal(parts->service, "sts"));
}

static bool
check_time(const VirgaSigv4 *parts, gint64 now_s, GError **error)
{
    gint64 age = now_s - parts->time_s;
    gint64 old = parts->presigned ? parts->expires_s : VIRGA_SIGV4_SKEW_S;

    if (age > old)
        return virga_api_fail(error, "RequestExpired", 400,
                              "Signature expired: %s is more than %" G_GINT64_FORMAT " seconds ago",
                              parts->time, old);
    if (age < -VIRGA_SIGV4_SKEW_S)
        return virga_api_fail(error, "RequestExpired", 400,
                              "Signature not yet current: %s is more than %d seconds ahead",
                              parts->time, VIRGA_SIGV4_SKEW_S);
    return true;
}

static bool
find_identity(VirgaSigv4Verifier *verifier, VirgaArena *arena, const VirgaSigv4 *parts,
              VirgaIdentity *ret_identity, GError **error)
{
    g_autoptr(GError) local = NULL;

    if (!verifier->lookup(parts->access_key_id, parts->session_token, arena, ret_identity,
                          verifier->user_data, &local)) {
        if (!virga_error_is(local, NULL, VIRGA_ERROR_NOT_FOUND)) {
            g_propagate_error(error, g_steal_pointer(&local));
            return false;
        }
        return virga_api_fail(error, "InvalidClientTokenId", 403,
                              "The security token included in the request is invalid.");
    }
    if (g_strcmp0(parts->session_token, ret_identity->session_token) != 0)
        return virga_api_fail(error, "InvalidClientTokenId", 403,
                              "The security token included in the request is invalid.");
    return true;
}

static GString *
string_to_sign(const GString *canonical, const VirgaSigv4 *parts)
{
    GString *out = g_string_sized_new(256);

    g_string_append_printf(out, "AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n", parts->time,
                           parts->date, parts->region, parts->service);
    sigv4_append_sha256(out, canonical->str, canonical->len);
    return out;
}

static bool
check_signature(VirgaSigv4Verifier *verifier, const char *secret, const GString *canonical,
                const VirgaSigv4 *parts, GError **error)
{
    g_autoptr(GString) to_sign = string_to_sign(canonical, parts);
    guint8 key[SHA256_BYTES], digest[SHA256_BYTES];
    char hex[SHA256_HEX + 1];

    signing_key(verifier, secret, parts, key);
    hmac(key, sizeof key, to_sign->str, digest);
    gnutls_memset(key, 0, sizeof key);
    for (int i = 0; i < SHA256_BYTES; i++)
        g_snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    if (strlen(parts->signature) == SHA256_HEX &&
        gnutls_memcmp(hex, parts->signature, SHA256_HEX) == 0)
        return true;
    return virga_api_fail(
        error, "SignatureDoesNotMatch", 403,
        "The request signature we calculated does not match the signature you provided. Check "
        "your AWS Secret Access Key and signing method. Consult the service documentation for "
        "details.\n\nThe Canonical String for this request should have been\n'%.4000s'\n\n"
        "The String-to-Sign should have been\n'%s'\n",
        canonical->str, to_sign->str);
}

bool
virga_sigv4_verify(VirgaSigv4Verifier *verifier, VirgaArena *arena, const VirgaHttpRequest *request,
                   const VirgaSigv4 *parts, gint64 now_s, VirgaIdentity *ret_identity,
                   GError **error)
{
    g_autoptr(GString) canonical = NULL;
    VirgaIdentity identity = { 0 };

    if (verifier->region && !g_str_equal(verifier->region, parts->region) && !is_global(parts))
        return sigv4_mismatch(error, "Credential should be scoped to a valid region.");
    if (!check_time(parts, now_s, error) ||
        !find_identity(verifier, arena, parts, &identity, error))
        return false;
    canonical = virga_sigv4_canonical(request, parts, error);
    if (!canonical || !check_signature(verifier, identity.secret, canonical, parts, error))
        return false;
    *ret_identity = identity;
    return true;
}
