/* SPDX-License-Identifier: Apache-2.0 */
#include "api/sigv4.h"
#include "api/errors.h"
#include "core/error.h"
#include "sigv4-vectors.h"

#include <string.h>

#define NOW_S G_GINT64_CONSTANT(1767323045) /* 2026-01-02T03:04:05Z */

static bool
lookup(const char *id, const char *token, VirgaArena *arena, VirgaIdentity *ret_identity,
       gpointer user_data, GError **error)
{
    bool temporary = g_str_equal(id, "ASIAVIRGATEST0000001");

    if (!temporary && !g_str_equal(id, "AKIAVIRGATEST0000001"))
        return virga_fail(error, "access key", VIRGA_ERROR_NOT_FOUND, "no key \"%s\"", id);
    *ret_identity = (VirgaIdentity){
        .secret = temporary ? "virga/temporary" : "virga/secret+key",
        .session_token = temporary ? "session+token/==" : NULL,
        .account_id = "000000000001",
        .principal_arn = "arn:aws:iam::000000000001:root",
        .user_id = "000000000001",
    };
    return true;
}

static VirgaHttpRequest
request_of(const Vector *vector)
{
    VirgaHttpRequest request = {
        .method = vector->method,
        .path = vector->path,
        .query = vector->query,
        .headers = vector->headers,
        .body = (const guint8 *) vector->body,
        .body_size = strlen(vector->body),
        .peer = "192.0.2.1",
    };

    while (request.header_count < G_N_ELEMENTS(vector->headers) &&
           vector->headers[request.header_count].name)
        request.header_count++;
    return request;
}

static bool
check(const VirgaHttpRequest *request, const char *region, gint64 now_s, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(VirgaSigv4Verifier) verifier = virga_sigv4_verifier_new(region, lookup, NULL);
    VirgaSigv4 parts;
    VirgaIdentity identity;

    if (!virga_sigv4_parse(arena, request, &parts, error))
        return false;
    /* Twice: the second time with the remembered key. */
    return virga_sigv4_verify(verifier, arena, request, &parts, now_s, &identity, error) &&
           virga_sigv4_verify(verifier, arena, request, &parts, now_s, &identity, error);
}

static void
assert_refused(const VirgaHttpRequest *request, const char *region, gint64 now_s, const char *code)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(check(request, region, now_s, &error));
    if (!virga_api_error_is(error, code))
        g_error("wanted %s, got %s: %s", code, g_quark_to_string(error->domain), error->message);
}

static void
test_vectors(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(vectors); i++) {
        VirgaHttpRequest request = request_of(&vectors[i]);
        g_autoptr(GError) error = NULL;

        g_test_message("%s", vectors[i].name);
        check(&request, "us-east-1", NOW_S, &error);
        g_assert_no_error(error);
        check(&request, NULL, NOW_S + 50, &error);
        g_assert_no_error(error);
    }
}

static void
test_tampered(void)
{
    VirgaHttpRequest request = request_of(&vectors[0]);

    request.body = (const guint8 *) "Action=TerminateInstances";
    request.body_size = strlen((const char *) request.body);
    assert_refused(&request, NULL, NOW_S, "SignatureDoesNotMatch");
    request = request_of(&vectors[0]);
    request.query = "Action=Other";
    assert_refused(&request, NULL, NOW_S, "SignatureDoesNotMatch");
    request = request_of(&vectors[0]);
    request.method = "PUT";
    assert_refused(&request, NULL, NOW_S, "SignatureDoesNotMatch");
    request = request_of(&vectors[0]);
    request.path = "/x";
    assert_refused(&request, NULL, NOW_S, "SignatureDoesNotMatch");
}

static void
test_time_and_scope(void)
{
    VirgaHttpRequest request = request_of(&vectors[0]);
    VirgaHttpRequest presigned = request_of(&vectors[5]); /* for 60 seconds */

    assert_refused(&request, NULL, NOW_S + 901, "RequestExpired");
    assert_refused(&request, NULL, NOW_S - 901, "RequestExpired");
    assert_refused(&request, "eu-west-1", NOW_S, "SignatureDoesNotMatch");
    assert_refused(&presigned, NULL, NOW_S + 61, "RequestExpired");
}

/* The same request with another Authorization header. */
static void
assert_header_refused(const char *authorization, const char *code)
{
    VirgaHttpHeader headers[] = { { "Host", "cloud.example.test" },
                                  { "x-amz-date", "20260102T030405Z" },
                                  { "authorization", authorization } };
    VirgaHttpRequest request = { .method = "GET",
                                 .path = "/",
                                 .query = "",
                                 .headers = headers,
                                 .header_count = authorization ? 3 : 2,
                                 .body = (const guint8 *) "" };

    assert_refused(&request, NULL, NOW_S, code);
}

#define SCOPE  "/20260102/us-east-1/ec2/aws4_request"
#define ZEROES "0000000000000000000000000000000000000000000000000000000000000000"

static void
test_malformed(void)
{
    assert_header_refused(NULL, "MissingAuthenticationToken");
    assert_header_refused("", "IncompleteSignature");
    assert_header_refused("AWS4-HMAC-SHA256", "IncompleteSignature");
    assert_header_refused("AWS4-HMAC-SHA256 ", "IncompleteSignature");
    assert_header_refused("AWS4-HMAC-SHA256 ,,= ,", "IncompleteSignature");
    assert_header_refused("AWS x:y", "IncompleteSignature");
    assert_header_refused("AWS4-HMAC-SHA256 Credential=A" SCOPE ", SignedHeaders=host",
                          "IncompleteSignature");
    assert_header_refused("AWS4-HMAC-SHA256 Credential=A/b, SignedHeaders=host, Signature=" ZEROES,
                          "IncompleteSignature");
    assert_header_refused("AWS4-HMAC-SHA256 Credential=A" SCOPE
                          ", SignedHeaders=x-amz-date, Signature=" ZEROES,
                          "SignatureDoesNotMatch");
    assert_header_refused("AWS4-HMAC-SHA256 Credential=NOBODY" SCOPE
                          ", SignedHeaders=host;x-amz-date, Signature=" ZEROES,
                          "InvalidClientTokenId");
    assert_header_refused("AWS4-HMAC-SHA256 Credential=AKIAVIRGATEST0000001" SCOPE
                          ",SignedHeaders=host;x-amz-date,Signature=" ZEROES,
                          "SignatureDoesNotMatch");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/sigv4/vectors", test_vectors);
    g_test_add_func("/sigv4/tampered", test_tampered);
    g_test_add_func("/sigv4/time-and-scope", test_time_and_scope);
    g_test_add_func("/sigv4/malformed", test_malformed);
    return g_test_run();
}
