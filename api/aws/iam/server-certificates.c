/* SPDX-License-Identifier: Apache-2.0 */
/* Server certificates, which load balancers serve. */
#include "common.h"

#include "core/server-certificate.h"

#include <gnutls/x509.h>

#define CHAIN_MAX 16

static IamServerCertificateMetadata
shown(const VirgaServerCertificate *certificate)
{
    return (IamServerCertificateMetadata){ .path = certificate->path,
                                           .server_certificate_name = certificate->name,
                                           .server_certificate_id = certificate->id,
                                           .arn = certificate->arn,
                                           .upload_date = certificate->uploaded,
                                           .expiration = certificate->expires };
}

/* ---- what is uploaded ---- */

static gnutls_datum_t
datum_of(const char *text)
{
    return (gnutls_datum_t){ (unsigned char *) text, (unsigned) strlen(text) };
}

static bool
fail_malformed(GError **error, const char *what)
{
    return iam_fail(error, "MalformedCertificate", 400,
                    "Unable to parse %s. Please make sure it is "
                    "in PEM format.",
                    what);
}

/* Only letters that PEM has: the text becomes a file of whoever serves it. */
static bool
is_pem(const char *text)
{
    for (const char *at = text; *at; at++)
        if ((*at < ' ' || *at > '~') && *at != '\n' && *at != '\r')
            return false;
    return true;
}

static bool
check_chain(const char *chain, GError **error)
{
    gnutls_x509_crt_t certificates[CHAIN_MAX];
    gnutls_datum_t text = datum_of(chain);
    unsigned count = CHAIN_MAX;

    if (!is_pem(chain) ||
        gnutls_x509_crt_list_import(certificates, &count, &text, GNUTLS_X509_FMT_PEM,
                                    GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED) < 0)
        return fail_malformed(error, "certificate chain");
    for (unsigned i = 0; i < count; i++)
        gnutls_x509_crt_deinit(certificates[i]);
    return true;
}

/* True if both have the same public key. */
static bool
belong_together(gnutls_x509_crt_t certificate, gnutls_x509_privkey_t key)
{
    unsigned char a[64], b[64];
    size_t a_size = sizeof a, b_size = sizeof b;

    return gnutls_x509_crt_get_key_id(certificate, 0, a, &a_size) == 0 &&
           gnutls_x509_privkey_get_key_id(key, 0, b, &b_size) == 0 && a_size == b_size &&
           memcmp(a, b, a_size) == 0;
}

static bool
check_pair(const char *body, const char *private_key, gint64 *ret_expires, GError **error)
{
    gnutls_datum_t body_text = datum_of(body), key_text = datum_of(private_key);
    gnutls_x509_crt_t certificate;
    gnutls_x509_privkey_t key;
    bool has_certificate, has_key, same;

    gnutls_x509_crt_init(&certificate);
    gnutls_x509_privkey_init(&key);
    has_certificate =
        is_pem(body) && gnutls_x509_crt_import(certificate, &body_text, GNUTLS_X509_FMT_PEM) == 0;
    has_key =
        is_pem(private_key) && gnutls_x509_privkey_import(key, &key_text, GNUTLS_X509_FMT_PEM) == 0;
    same = has_certificate && has_key && belong_together(certificate, key);
    if (has_certificate)
        *ret_expires = (gint64) gnutls_x509_crt_get_expiration_time(certificate) * G_USEC_PER_SEC;
    gnutls_x509_crt_deinit(certificate);
    gnutls_x509_privkey_deinit(key);
    if (!has_certificate)
        return fail_malformed(error, "certificate");
    if (!has_key)
        return fail_malformed(error, "private key");
    return same || iam_fail(error, "KeyPairMismatch", 400,
                            "Public key certificate and private key doesn't match.");
}

static bool
check_name(const char *name, GError **error)
{
    return (*name && strlen(name) <= 128 &&
            strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+=,.@_-") ==
                strlen(name)) ||
           iam_fail(
               error, "ValidationError", 400,
               "The specified value for serverCertificateName is invalid. It must contain only "
               "alphanumeric characters and/or the following: +=,.@_-");
}

/* Without white space around it: so AWS shows it, and clients compare it. */
static char *
trimmed(const VirgaCall *call, const char *text)
{
    return text ? g_strstrip(virga_arena_printf(call->arena, "%s", text)) : NULL;
}

IAM_ACTION(upload_server_certificate, UploadServerCertificate)
{
    VirgaServerCertificate certificate = {
        .account_id = (char *) call->account_id,
        .name = (char *) request->server_certificate_name,
        .path = (char *) (request->path ? request->path : "/"),
        .body = trimmed(call, request->certificate_body),
        .chain = trimmed(call, request->certificate_chain),
        .private_key = trimmed(call, request->private_key),
    };

    if (request->tags.count > 0)
        return iam_fail(error, "UnsupportedOperation", 400,
                        "Tags of server certificates are not supported by this cloud");
    if (!check_name(certificate.name, error) ||
        !virga_iam_check_path(certificate.path, false, error) ||
        !check_pair(certificate.body, certificate.private_key, &certificate.expires, error) ||
        (certificate.chain && !check_chain(certificate.chain, error)) ||
        !virga_server_certificate_create(txn, call->arena, &certificate, error))
        return false;
    response->server_certificate_metadata = iam_new(call, IamServerCertificateMetadata);
    *response->server_certificate_metadata = shown(&certificate);
    return true;
}

IAM_ACTION(get_server_certificate, GetServerCertificate)
{
    VirgaServerCertificate *certificates;
    IamServerCertificate *its = iam_new(call, IamServerCertificate);
    size_t count;

    if (!virga_server_certificate_list(txn, call->arena, call->account_id, NULL,
                                       request->server_certificate_name, &certificates, &count,
                                       error))
        return false;
    if (count == 0)
        return iam_fail(error, "NoSuchEntity", 404,
                        "The Server Certificate with name %s cannot be found.",
                        request->server_certificate_name);
    its->server_certificate_metadata = iam_new(call, IamServerCertificateMetadata);
    *its->server_certificate_metadata = shown(&certificates[0]);
    its->certificate_body = certificates[0].body;
    its->certificate_chain = certificates[0].chain;
    response->server_certificate = its;
    return true;
}

IAM_ACTION(list_server_certificates, ListServerCertificates)
{
    VirgaServerCertificate *certificates;
    IamServerCertificateMetadata *items;
    IamPage page;
    size_t count;

    if (!virga_iam_check_path(request->path_prefix, true, error) ||
        !iam_page_begin(call, request, &page, error) ||
        !virga_server_certificate_list(txn, call->arena, call->account_id, request->path_prefix,
                                       NULL, &certificates, &count, error))
        return false;
    iam_page_end(call, &page, certificates, count, name, response);
    items = iam_array(call, IamServerCertificateMetadata, count);
    for (size_t i = 0; i < count; i++)
        items[i] = shown(&certificates[i]);
    response->server_certificate_metadata_list =
        (IamServerCertificateMetadataListType){ items, count };
    return true;
}

IAM_ACTION(update_server_certificate, UpdateServerCertificate)
{
    return (!request->new_server_certificate_name ||
            check_name(request->new_server_certificate_name, error)) &&
           (!request->new_path || virga_iam_check_path(request->new_path, false, error)) &&
           virga_server_certificate_rename(txn, call->account_id, request->server_certificate_name,
                                           request->new_path, request->new_server_certificate_name,
                                           error);
}

IAM_ACTION(delete_server_certificate, DeleteServerCertificate)
{
    return virga_server_certificate_delete(txn, call->account_id, request->server_certificate_name,
                                           error);
}

/* Nobody has any: see UploadServerCertificate. */
IAM_ACTION(list_server_certificate_tags, ListServerCertificateTags)
{
    VirgaServerCertificate *certificates;
    size_t count;

    if (!virga_server_certificate_list(txn, call->arena, call->account_id, NULL,
                                       request->server_certificate_name, &certificates, &count,
                                       error))
        return false;
    response->has_is_truncated = true;
    return count > 0 || iam_fail(error, "NoSuchEntity", 404,
                                 "The Server Certificate with name %s cannot be found.",
                                 request->server_certificate_name);
}
