/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of keys: making them, reading foreign ones, fingerprints.  Pure but for randomness. */
#include "compute/key-pair.h"

#include "core/error.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>

#define RSA_BITS      2048
#define RSA_BITS_MIN  1024
#define RSA_BITS_MAX  16384
#define ED25519_BYTES 32
#define MATERIAL_MAX  32768
#define LINE_CHARS    70

G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_x509_privkey_t, gnutls_x509_privkey_deinit, NULL)
G_DEFINE_AUTO_CLEANUP_FREE_FUNC(gnutls_pubkey_t, gnutls_pubkey_deinit, NULL)

/* GnuTLS's bytes, freed and wiped. */
typedef gnutls_datum_t Datum;

static void
datum_clear(Datum *datum)
{
    if (datum->data)
        gnutls_memset(datum->data, 0, datum->size);
    gnutls_free(datum->data);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Datum, datum_clear)

static void
wiped_array_free(GByteArray *bytes)
{
    if (bytes->len)
        gnutls_memset(bytes->data, 0, bytes->len);
    g_byte_array_unref(bytes);
}

static bool
fail_gnutls(GError **error, const char *what, int code)
{
    return virga_fail(error, "key pair", VIRGA_ERROR_INTERNAL, "could not %s: %s", what,
                      gnutls_strerror(code));
}

static bool
fail_format(GError **error)
{
    return virga_fail(error, "key pair", VIRGA_ERROR_INVALID,
                      "Key is not in valid OpenSSH public key format");
}

/* ---- SSH's encoding ---- */

static void
put_u32(GByteArray *out, guint32 value)
{
    guint32 big = GUINT32_TO_BE(value);

    g_byte_array_append(out, (const guint8 *) &big, sizeof big);
}

static void
put_string(GByteArray *out, const void *data, gsize size)
{
    put_u32(out, (guint32) size);
    g_byte_array_append(out, data, (guint) size);
}

/* A positive number: no needless zeros, but one before a set top bit. */
static void
put_number(GByteArray *out, const Datum *number)
{
    static const guint8 zero = 0;
    const guint8 *data = number->data;
    guint size = number->size;
    bool pad;

    while (size > 0 && *data == 0) {
        data++;
        size--;
    }
    pad = size > 0 && (*data & 0x80);
    put_u32(out, size + pad);
    if (pad)
        g_byte_array_append(out, &zero, 1);
    g_byte_array_append(out, data, size);
}

static bool
take_string(const guint8 **at, gsize *left, Datum *ret)
{
    guint32 size;

    if (*left < sizeof size)
        return false;
    memcpy(&size, *at, sizeof size);
    size = GUINT32_FROM_BE(size);
    if (size > *left - sizeof size)
        return false;
    ret->data = (guint8 *) *at + sizeof size;
    ret->size = size;
    *at += sizeof size + size;
    *left -= sizeof size + size;
    return true;
}

static GByteArray *
rsa_blob(const Datum *modulus, const Datum *exponent)
{
    GByteArray *blob = g_byte_array_new();

    put_string(blob, "ssh-rsa", strlen("ssh-rsa"));
    put_number(blob, exponent);
    put_number(blob, modulus);
    return blob;
}

static GByteArray *
ed25519_blob(const Datum *point)
{
    GByteArray *blob = g_byte_array_new();

    put_string(blob, "ssh-ed25519", strlen("ssh-ed25519"));
    put_string(blob, point->data, point->size);
    return blob;
}

/* ---- fingerprints ---- */

static char *
colon_hex(VirgaArena *arena, gnutls_digest_algorithm_t algorithm, const void *data, gsize size)
{
    guint8 digest[64];
    unsigned length = gnutls_hash_get_len(algorithm);
    g_autoptr(GString) text = g_string_new(NULL);

    g_assert(length <= sizeof digest);
    if (gnutls_hash_fast(algorithm, data, size, digest) != 0)
        return NULL;
    for (unsigned i = 0; i < length; i++)
        g_string_append_printf(text, "%s%02x", i ? ":" : "", digest[i]);
    return virga_arena_strdup(arena, text->str);
}

static char *
base64_sha256(VirgaArena *arena, const GByteArray *blob)
{
    guint8 digest[32];
    g_autofree char *text = NULL;

    gnutls_hash_fast(GNUTLS_DIG_SHA256, blob->data, blob->len, digest);
    text = g_base64_encode(digest, sizeof digest);
    return virga_arena_strdup(arena, text);
}

static void
set_public(VirgaArena *arena, VirgaKeyPair *key, const char *type, const char *ssh_type,
           const GByteArray *blob)
{
    g_autofree char *text = g_base64_encode(blob->data, blob->len);

    key->type = virga_arena_strdup(arena, type);
    key->public_key = virga_arena_printf(arena, "%s %s", ssh_type, text);
}

/* ---- making ---- */

static bool
generate_rsa(VirgaArena *arena, VirgaKeyPair *ret, char **ret_private_key, GError **error)
{
    g_auto(gnutls_x509_privkey_t) key = NULL;
    g_auto(Datum) modulus = { 0 };
    g_auto(Datum) exponent = { 0 };
    g_auto(Datum) pem = { 0 };
    g_autoptr(GByteArray) blob = NULL;
    GByteArray *pkcs8;
    size_t size = 0;
    int code;

    gnutls_x509_privkey_init(&key);
    code = gnutls_x509_privkey_generate(key, GNUTLS_PK_RSA, RSA_BITS, 0);
    if (code >= 0)
        code = gnutls_x509_privkey_export_rsa_raw(key, &modulus, &exponent, NULL, NULL, NULL, NULL);
    if (code >= 0)
        code = gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem);
    if (code < 0)
        return fail_gnutls(error, "make an RSA key", code);
    gnutls_x509_privkey_export_pkcs8(key, GNUTLS_X509_FMT_DER, NULL, GNUTLS_PKCS_PLAIN, NULL,
                                     &size);
    pkcs8 = g_byte_array_new();
    g_byte_array_set_size(pkcs8, (guint) size);
    code = gnutls_x509_privkey_export_pkcs8(key, GNUTLS_X509_FMT_DER, NULL, GNUTLS_PKCS_PLAIN,
                                            pkcs8->data, &size);
    if (code >= 0)
        ret->fingerprint = colon_hex(arena, GNUTLS_DIG_SHA1, pkcs8->data, size);
    wiped_array_free(pkcs8);
    if (code < 0 || !ret->fingerprint)
        return fail_gnutls(error, "export an RSA key", code);
    blob = rsa_blob(&modulus, &exponent);
    set_public(arena, ret, "rsa", "ssh-rsa", blob);
    while (pem.size > 0 && (pem.data[pem.size - 1] == '\n' || pem.data[pem.size - 1] == '\0'))
        pem.size--;
    *ret_private_key = virga_arena_strndup(arena, (const char *) pem.data, pem.size);
    return true;
}

/* OpenSSH's own format for private keys, without a passphrase. */
static char *
openssh_private(VirgaArena *arena, const GByteArray *blob, const Datum *seed, const Datum *point)
{
    static const char magic[] = "openssh-key-v1"; /* its NUL is part of it */
    GByteArray *secret = g_byte_array_new(), *whole = g_byte_array_new();
    guint32 check = g_random_int();
    guint8 pair[2 * ED25519_BYTES];
    g_autofree char *text = NULL;
    GString *lines = g_string_new("-----BEGIN OPENSSH PRIVATE KEY-----\n");
    char *copy;

    memcpy(pair, seed->data, ED25519_BYTES);
    memcpy(pair + ED25519_BYTES, point->data, ED25519_BYTES);
    put_u32(secret, check);
    put_u32(secret, check);
    g_byte_array_append(secret, blob->data, blob->len);
    put_string(secret, pair, sizeof pair);
    put_string(secret, "", 0); /* comment */
    for (guint8 i = 1; secret->len % 8; i++)
        g_byte_array_append(secret, &i, 1);
    g_byte_array_append(whole, (const guint8 *) magic, sizeof magic);
    put_string(whole, "none", strlen("none")); /* cipher */
    put_string(whole, "none", strlen("none")); /* of the passphrase */
    put_string(whole, "", 0);
    put_u32(whole, 1);
    put_string(whole, blob->data, blob->len);
    put_string(whole, secret->data, secret->len);
    text = g_base64_encode(whole->data, whole->len);
    for (const char *at = text; *at; at += MIN(LINE_CHARS, strlen(at)))
        g_string_append_printf(lines, "%.*s\n", LINE_CHARS, at);
    g_string_append(lines, "-----END OPENSSH PRIVATE KEY-----\n");
    copy = virga_arena_strdup(arena, lines->str);
    gnutls_memset(pair, 0, sizeof pair);
    gnutls_memset(text, 0, strlen(text));
    gnutls_memset(lines->str, 0, lines->len);
    g_string_free(lines, TRUE);
    wiped_array_free(secret);
    wiped_array_free(whole);
    return copy;
}

static bool
generate_ed25519(VirgaArena *arena, VirgaKeyPair *ret, char **ret_private_key, GError **error)
{
    g_auto(gnutls_x509_privkey_t) key = NULL;
    g_auto(Datum) point = { 0 };
    g_auto(Datum) unused = { 0 };
    g_auto(Datum) seed = { 0 };
    g_autoptr(GByteArray) blob = NULL;
    gnutls_ecc_curve_t curve;
    int code;

    gnutls_x509_privkey_init(&key);
    code = gnutls_x509_privkey_generate(key, GNUTLS_PK_EDDSA_ED25519, 256, 0);
    if (code >= 0)
        code = gnutls_x509_privkey_export_ecc_raw(key, &curve, &point, &unused, &seed);
    if (code < 0 || point.size != ED25519_BYTES || seed.size != ED25519_BYTES)
        return fail_gnutls(error, "make an ed25519 key", code);
    blob = ed25519_blob(&point);
    set_public(arena, ret, "ed25519", "ssh-ed25519", blob);
    ret->fingerprint = base64_sha256(arena, blob);
    *ret_private_key = openssh_private(arena, blob, &seed, &point);
    return true;
}

bool
virga_key_pair_generate(VirgaArena *arena, const char *type, VirgaKeyPair *ret,
                        char **ret_private_key, GError **error)
{
    return g_str_equal(type, "ed25519") ? generate_ed25519(arena, ret, ret_private_key, error)
                                        : generate_rsa(arena, ret, ret_private_key, error);
}

/* ---- reading ---- */

/* MD5 of X.509's form, as EC2 has it for imported RSA keys. */
static bool
accept_rsa(VirgaArena *arena, const Datum *modulus, const Datum *exponent, VirgaKeyPair *ret,
           GError **error)
{
    g_auto(gnutls_pubkey_t) key = NULL;
    g_auto(Datum) der = { 0 };
    g_autoptr(GByteArray) blob = rsa_blob(modulus, exponent);
    unsigned bits = 0;
    int code;

    gnutls_pubkey_init(&key);
    code = gnutls_pubkey_import_rsa_raw(key, modulus, exponent);
    if (code >= 0)
        code = gnutls_pubkey_get_pk_algorithm(key, &bits);
    if (code >= 0)
        code = gnutls_pubkey_export2(key, GNUTLS_X509_FMT_DER, &der);
    if (code < 0)
        return fail_format(error);
    if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
        return virga_fail(error, "key pair", VIRGA_ERROR_INVALID,
                          "Key length of %u bits is not supported", bits);
    ret->fingerprint = colon_hex(arena, GNUTLS_DIG_MD5, der.data, der.size);
    if (!ret->fingerprint)
        return fail_gnutls(error, "compute a fingerprint", GNUTLS_E_UNIMPLEMENTED_FEATURE);
    set_public(arena, ret, "rsa", "ssh-rsa", blob);
    return true;
}

static bool
accept_ed25519(VirgaArena *arena, const Datum *point, VirgaKeyPair *ret, GError **error)
{
    g_autoptr(GByteArray) blob = NULL;

    if (point->size != ED25519_BYTES)
        return fail_format(error);
    blob = ed25519_blob(point);
    set_public(arena, ret, "ed25519", "ssh-ed25519", blob);
    ret->fingerprint = base64_sha256(arena, blob);
    return true;
}

/* SSH's blob; 'wanted' is the type that the line names, or NULL. */
static bool
read_blob(VirgaArena *arena, const guint8 *data, gsize size, const char *wanted, VirgaKeyPair *ret,
          GError **error)
{
    const guint8 *at = data;
    Datum type, first, second;

    if (!take_string(&at, &size, &type) ||
        (wanted && (strlen(wanted) != type.size || memcmp(wanted, type.data, type.size) != 0)))
        return fail_format(error);
    if (type.size == strlen("ssh-rsa") && memcmp(type.data, "ssh-rsa", type.size) == 0) {
        if (!take_string(&at, &size, &first) || !take_string(&at, &size, &second) || size != 0 ||
            first.size == 0 || second.size == 0 || (first.data[0] & 0x80) ||
            (second.data[0] & 0x80))
            return fail_format(error);
        return accept_rsa(arena, &second, &first, ret, error);
    }
    if (type.size == strlen("ssh-ed25519") && memcmp(type.data, "ssh-ed25519", type.size) == 0) {
        if (!take_string(&at, &size, &first) || size != 0)
            return fail_format(error);
        return accept_ed25519(arena, &first, ret, error);
    }
    return fail_format(error);
}

/* Strict: alphabet and padding, no blanks. */
static guint8 *
decode_base64(const char *text, gsize *ret_size)
{
    gsize length = strlen(text);
    gsize digits = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");

    if (length == 0 || length % 4 || length - digits > 2 ||
        strspn(text + digits, "=") + digits != length)
        return NULL;
    return g_base64_decode(text, ret_size);
}

static bool
read_openssh(VirgaArena *arena, const char *line, VirgaKeyPair *ret, GError **error)
{
    g_auto(GStrv) words = g_strsplit_set(line, " \t", 3);
    g_autofree guint8 *blob = NULL;
    gsize size;

    if (g_strv_length(words) < 2 || strpbrk(line, "\r\n"))
        return fail_format(error);
    blob = decode_base64(words[1], &size);
    return blob ? read_blob(arena, blob, size, words[0], ret, error) : fail_format(error);
}

/* RFC 4716: headers may be continued by a backslash at the line's end. */
static bool
read_rfc4716(VirgaArena *arena, const char *text, VirgaKeyPair *ret, GError **error)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GString) base64 = g_string_new(NULL);
    g_autofree guint8 *blob = NULL;
    bool header = false, ended = false;
    gsize size;

    for (char **line = lines + 1; *line && !ended; line++) {
        bool was_header = header;

        g_strchomp(*line);
        ended = g_str_equal(*line, "---- END SSH2 PUBLIC KEY ----");
        header = (was_header || strchr(*line, ':')) && g_str_has_suffix(*line, "\\");
        if (!ended && !was_header && !strchr(*line, ':'))
            g_string_append(base64, *line);
    }
    blob = ended ? decode_base64(base64->str, &size) : NULL;
    return blob ? read_blob(arena, blob, size, NULL, ret, error) : fail_format(error);
}

static bool
read_x509(VirgaArena *arena, const void *data, gsize size, gnutls_x509_crt_fmt_t form,
          VirgaKeyPair *ret, GError **error)
{
    g_auto(gnutls_pubkey_t) key = NULL;
    g_auto(Datum) first = { 0 };
    g_auto(Datum) second = { 0 };
    Datum bytes = { (guint8 *) data, (unsigned) size };
    gnutls_ecc_curve_t curve;

    gnutls_pubkey_init(&key);
    if (gnutls_pubkey_import(key, &bytes, form) < 0)
        return fail_format(error);
    switch (gnutls_pubkey_get_pk_algorithm(key, NULL)) {
    case GNUTLS_PK_RSA:
        return gnutls_pubkey_export_rsa_raw(key, &first, &second) < 0
                   ? fail_format(error)
                   : accept_rsa(arena, &first, &second, ret, error);
    case GNUTLS_PK_EDDSA_ED25519:
        return gnutls_pubkey_export_ecc_raw(key, &curve, &first, &second) < 0
                   ? fail_format(error)
                   : accept_ed25519(arena, &first, ret, error);
    default:
        return fail_format(error);
    }
}

static char *
without_blanks(const char *text)
{
    g_autoptr(GString) out = g_string_new(NULL);

    for (; *text; text++)
        if (!g_ascii_isspace(*text))
            g_string_append_c(out, *text);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

bool
virga_key_pair_parse(VirgaArena *arena, const void *material, size_t size, VirgaKeyPair *ret,
                     GError **error)
{
    g_autofree char *text = NULL, *packed = NULL;
    g_autofree guint8 *der = NULL;
    gsize der_size;

    if (size == 0 || size > MATERIAL_MAX)
        return fail_format(error);
    if (*(const guint8 *) material == 0x30) /* a sequence, which no text begins with */
        return read_x509(arena, material, size, GNUTLS_X509_FMT_DER, ret, error);
    if (memchr(material, '\0', size))
        return fail_format(error);
    text = g_strstrip(g_strndup(material, size));
    if (g_str_has_prefix(text, "ssh-"))
        return read_openssh(arena, text, ret, error);
    if (g_str_has_prefix(text, "---- BEGIN SSH2 PUBLIC KEY ----"))
        return read_rfc4716(arena, text, ret, error);
    if (g_str_has_prefix(text, "-----BEGIN "))
        return read_x509(arena, text, strlen(text), GNUTLS_X509_FMT_PEM, ret, error);
    packed = without_blanks(text);
    der = decode_base64(packed, &der_size);
    return der ? read_x509(arena, der, der_size, GNUTLS_X509_FMT_DER, ret, error)
               : fail_format(error);
}
