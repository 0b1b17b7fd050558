/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens:  VERSION NONCE(12) CIPHERTEXT TAG(16), in base64.  Access key ids hold their account, as
 * AWS's do: ASIA, 8 digits of base 32 for the account's 40 bits, 8 random ones. */
#include "api/session.h"

#include "api/errors.h"
#include "core/account.h"
#include "core/error.h"
#include "core/iam.h"
#include "core/record.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#define VERSION        1
#define KEY_BYTES      32
#define NONCE_BYTES    12
#define TAG_BYTES      16
#define HEAD_BYTES     (1 + NONCE_BYTES)
#define SECRET_BYTES   30 /* 40 characters */
#define PREFIX         "ASIA"
#define ACCOUNT_DIGITS 8
#define RANDOM_DIGITS  8

struct VirgaSealer {
    guint8 seal[KEY_BYTES];   /* of tokens */
    guint8 secret[KEY_BYTES]; /* of which secrets are derived */
};

/* A session as the token has it. */
static const VirgaField fields[] = {
    { "account", VIRGA_FIELD_STRING, offsetof(VirgaSession, account_id), .required = true },
    { "entity", VIRGA_FIELD_STRING, offsetof(VirgaSession, entity_id) },
    { "name", VIRGA_FIELD_STRING, offsetof(VirgaSession, name) },
    { "policy", VIRGA_FIELD_STRING, offsetof(VirgaSession, policy) },
    { "policies", VIRGA_FIELD_STRINGS, offsetof(VirgaSession, policy_arns) },
    { "tags", VIRGA_FIELD_STRINGS, offsetof(VirgaSession, tags) },
    { "source", VIRGA_FIELD_STRING, offsetof(VirgaSession, source) },
    { "issued", VIRGA_FIELD_INTEGER, offsetof(VirgaSession, issued_s), .required = true },
    { "expires", VIRGA_FIELD_INTEGER, offsetof(VirgaSession, expires_s), .required = true },
    { NULL },
};
static const VirgaRecordType type = { "session", sizeof(VirgaSession), fields };

static void
derive(const void *secret, gsize size, const char *purpose, guint8 out[static KEY_BYTES])
{
    gnutls_hmac_fast(GNUTLS_MAC_SHA256, secret, size, purpose, strlen(purpose), out);
}

VirgaSealer *
virga_sealer_new(const void *secret, gsize size)
{
    VirgaSealer *sealer = g_new0(VirgaSealer, 1);

    derive(secret, size, "session token", sealer->seal);
    derive(secret, size, "session secret", sealer->secret);
    return sealer;
}

void
virga_sealer_free(VirgaSealer *sealer)
{
    if (!sealer)
        return;
    gnutls_memset(sealer, 0, sizeof *sealer);
    g_free(sealer);
}

/* ---- ids of temporary keys ---- */

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

static char *
new_key_id(VirgaArena *arena, const char *account_id)
{
    guint64 number = g_ascii_strtoull(account_id, NULL, 10);
    char prefix[] = PREFIX "00000000";

    for (size_t i = ACCOUNT_DIGITS; i-- > 0; number /= 32)
        prefix[strlen(PREFIX) + i] = base32[number % 32];
    return virga_iam_id_new(arena, prefix, RANDOM_DIGITS);
}

char *
virga_session_account(VirgaArena *arena, const char *access_key_id)
{
    guint64 number = 0;
    char *account_id;

    if (!g_str_has_prefix(access_key_id, PREFIX) ||
        strlen(access_key_id) != strlen(PREFIX) + ACCOUNT_DIGITS + RANDOM_DIGITS)
        return NULL;
    for (size_t i = 0; i < ACCOUNT_DIGITS; i++) {
        const char *digit = strchr(base32, access_key_id[strlen(PREFIX) + i]);

        if (!digit)
            return NULL;
        number = number * 32 + (guint64) (digit - base32);
    }
    account_id = virga_arena_printf(arena, "%012" G_GUINT64_FORMAT, number);
    return virga_account_id_is(account_id) ? account_id : NULL;
}

/* ---- sealing ---- */

static char *
derive_secret(const VirgaSealer *sealer, VirgaArena *arena, const guint8 nonce[static NONCE_BYTES])
{
    g_autofree char *text = NULL;
    guint8 digest[KEY_BYTES];

    gnutls_hmac_fast(GNUTLS_MAC_SHA256, sealer->secret, KEY_BYTES, nonce, NONCE_BYTES, digest);
    text = g_base64_encode(digest, SECRET_BYTES);
    return virga_arena_strdup(arena, text);
}

static gnutls_aead_cipher_hd_t
open_cipher(const VirgaSealer *sealer)
{
    gnutls_datum_t key = { (unsigned char *) sealer->seal, KEY_BYTES };
    gnutls_aead_cipher_hd_t cipher;
    int failure = gnutls_aead_cipher_init(&cipher, GNUTLS_CIPHER_AES_256_GCM, &key);

    if (failure)
        g_error("no AES-256-GCM: %s", gnutls_strerror(failure));
    return cipher;
}

void
virga_session_seal(const VirgaSealer *sealer, VirgaArena *arena, const VirgaSession *session,
                   VirgaCredentials *ret)
{
    g_autofree char *text = virga_record_to_text(&type, session);
    gsize length = strlen(text), sealed = length + TAG_BYTES;
    g_autofree guint8 *bytes = g_malloc(HEAD_BYTES + sealed);
    gnutls_aead_cipher_hd_t cipher = open_cipher(sealer);
    g_autofree char *token = NULL;
    int failure;

    *ret = (VirgaCredentials){ .access_key_id = new_key_id(arena, session->account_id),
                               .expires_s = session->expires_s };
    bytes[0] = VERSION;
    gnutls_rnd(GNUTLS_RND_RANDOM, bytes + 1, NONCE_BYTES);
    failure = gnutls_aead_cipher_encrypt(cipher, bytes + 1, NONCE_BYTES, ret->access_key_id,
                                         strlen(ret->access_key_id), TAG_BYTES, text, length,
                                         bytes + HEAD_BYTES, &sealed);
    gnutls_aead_cipher_deinit(cipher);
    if (failure)
        g_error("cannot seal a session: %s", gnutls_strerror(failure));
    token = g_base64_encode(bytes, HEAD_BYTES + sealed);
    ret->token = virga_arena_strdup(arena, token);
    ret->secret = derive_secret(sealer, arena, bytes + 1);
}

static bool
unknown(GError **error)
{
    return virga_fail(error, "access key", VIRGA_ERROR_NOT_FOUND, "the token is not of this cloud");
}

static char **
copy_strings(VirgaArena *arena, char *const *strings)
{
    guint count = strings ? g_strv_length((char **) strings) : 0;
    char **copy = count ? virga_arena_new_array(arena, char *, count + 1) : NULL;

    for (guint i = 0; i < count; i++)
        copy[i] = virga_arena_strdup(arena, strings[i]);
    return copy;
}

static VirgaSession *
read_session(VirgaArena *arena, const char *text)
{
    VirgaSession *read = virga_record_from_text(&type, text, NULL);
    VirgaSession *session;

    if (!read)
        return NULL;
    session = virga_arena_new_array(arena, VirgaSession, 1);
    *session = (VirgaSession){ .account_id = virga_arena_strdup(arena, read->account_id),
                               .entity_id = virga_arena_strdup(arena, read->entity_id),
                               .name = virga_arena_strdup(arena, read->name),
                               .policy = virga_arena_strdup(arena, read->policy),
                               .policy_arns = copy_strings(arena, read->policy_arns),
                               .tags = copy_strings(arena, read->tags),
                               .source = virga_arena_strdup(arena, read->source),
                               .issued_s = read->issued_s,
                               .expires_s = read->expires_s };
    virga_record_free(&type, read);
    return session;
}

/* The text that 'bytes' hold for this key id, the caller's; NULL: they are not ours. */
static char *
unseal(const VirgaSealer *sealer, const char *access_key_id, const guint8 *bytes, gsize size)
{
    gnutls_aead_cipher_hd_t cipher;
    g_autofree char *text = NULL;
    gsize length;
    int failure;

    if (size < HEAD_BYTES + TAG_BYTES || bytes[0] != VERSION)
        return NULL;
    length = size - HEAD_BYTES - TAG_BYTES;
    text = g_malloc0(length + 1);
    cipher = open_cipher(sealer);
    failure = gnutls_aead_cipher_decrypt(cipher, bytes + 1, NONCE_BYTES, access_key_id,
                                         strlen(access_key_id), TAG_BYTES, bytes + HEAD_BYTES,
                                         size - HEAD_BYTES, text, &length);
    gnutls_aead_cipher_deinit(cipher);
    return failure ? NULL : g_steal_pointer(&text);
}

bool
virga_session_open(const VirgaSealer *sealer, VirgaArena *arena, const char *access_key_id,
                   const char *token, gint64 now_s, VirgaSession **ret_session, char **ret_secret,
                   GError **error)
{
    g_autofree guint8 *bytes = NULL;
    g_autofree char *text = NULL;
    VirgaSession *session;
    gsize size;

    if (!*token || strlen(token) > VIRGA_SESSION_TOKEN_MAX)
        return unknown(error);
    bytes = g_base64_decode(token, &size);
    text = unseal(sealer, access_key_id, bytes, size);
    session = text ? read_session(arena, text) : NULL;
    if (!session)
        return unknown(error);
    if (session->expires_s <= now_s)
        return virga_api_fail(error, "ExpiredToken", 403,
                              "The security token included in the request is expired");
    *ret_session = session;
    *ret_secret = derive_secret(sealer, arena, bytes + 1);
    return true;
}
