/* SPDX-License-Identifier: Apache-2.0 */
/* Whole calls, from a signed request to XML.  The test signs as a client does, with the library's
 * own canonical form, which test-sigv4.c compares with botocore's. */
#include "api/edge.h"
#include "api/errors.h"
#include "core/error.h"
#include "ec2.h"
#include "sts.h"

#include <gnutls/crypto.h>
#include <string.h>

#define NOW_S  G_GINT64_CONSTANT(1767323045) /* 2026-01-02T03:04:05Z */
#define TIME   "20260102T030405Z"
#define DATE   "20260102"
#define KEY_ID "AKIAVIRGATEST0000001"
#define SECRET "secret"

static bool
lookup(const char *id, const char *token, VirgaArena *arena, VirgaIdentity *ret_identity,
       gpointer user_data, GError **error)
{
    if (!g_str_equal(id, KEY_ID))
        return virga_fail(error, "access key", VIRGA_ERROR_NOT_FOUND, "no key \"%s\"", id);
    if (g_strcmp0(token, "old") == 0)
        return virga_api_fail(error, "ExpiredToken", 403, "The token is expired");
    *ret_identity = (VirgaIdentity){ .secret = SECRET,
                                     .session_token = token,
                                     .entity_id = token, /* "gone": a user of whom nothing is */
                                     .account_id = "000000000001",
                                     .principal_arn = "arn:aws:iam::000000000001:root",
                                     .user_id = "000000000001" };
    return true;
}

static gint64
now_s(gpointer user_data)
{
    return NOW_S;
}

static void
hmac(const void *key, gsize size, const char *text, guint8 out[static 32])
{
    guint8 result[32];

    gnutls_hmac_fast(GNUTLS_MAC_SHA256, key, size, text, strlen(text), result);
    memcpy(out, result, sizeof result);
}

static char *
hex(const guint8 bytes[static 32])
{
    GString *out = g_string_new(NULL);

    for (int i = 0; i < 32; i++)
        g_string_append_printf(out, "%02x", bytes[i]);
    return g_string_free(out, FALSE);
}

static char *
sign(const VirgaHttpRequest *request, const char *service)
{
    VirgaSigv4 parts = { .service = service, .signed_headers = "host;x-amz-date" };
    g_autoptr(GString) canonical = virga_sigv4_canonical(request, &parts, NULL);
    g_autofree char *hash = NULL, *to_sign = NULL, *signature = NULL;
    guint8 key[32];

    gnutls_hash_fast(GNUTLS_DIG_SHA256, canonical->str, canonical->len, key);
    hash = hex(key);
    to_sign = g_strdup_printf("AWS4-HMAC-SHA256\n" TIME "\n" DATE "/us-east-1/%s/aws4_request\n%s",
                              service, hash);
    hmac("AWS4" SECRET, strlen("AWS4" SECRET), DATE, key);
    hmac(key, sizeof key, "us-east-1", key);
    hmac(key, sizeof key, service, key);
    hmac(key, sizeof key, "aws4_request", key);
    hmac(key, sizeof key, to_sign, key);
    signature = hex(key);
    return g_strdup_printf("AWS4-HMAC-SHA256 Credential=" KEY_ID "/" DATE
                           "/us-east-1/%s/aws4_request, SignedHeaders=host;x-amz-date, "
                           "Signature=%s",
                           service, signature);
}

typedef struct {
    const char *service, *body, *content_type;
    bool spoil;
    const char *token;
} Ask;

static char *
ask(Ask ask, unsigned status)
{
    VirgaEdgeOptions options = { .region = "us-east-1", .lookup = lookup, .now_s = now_s };
    g_autoptr(VirgaEdge) edge = virga_edge_new(&options);
    VirgaHttpHeader headers[] = { { "Host", "cloud.example.test" },
                                  { "X-Amz-Date", TIME },
                                  { "Content-Type", ask.content_type ? ask.content_type : "" },
                                  { "Authorization", "" },
                                  { "X-Amz-Security-Token", ask.token ? ask.token : "" } };
    VirgaHttpRequest request = { .method = "POST",
                                 .path = "/",
                                 .query = "",
                                 .headers = headers,
                                 .header_count = ask.token ? 5 : 4,
                                 .body = (const guint8 *) ask.body,
                                 .body_size = strlen(ask.body),
                                 .peer = "192.0.2.1" };
    g_autofree char *authorization = sign(&request, ask.service);
    g_autoptr(VirgaHttpResponse) response = NULL;
    gsize size;
    const char *body;

    headers[3].value = authorization;
    if (ask.spoil)
        request.body_size--;
    virga_edge_add(edge, &ec2_service);
    virga_edge_add(edge, &sts_service);
    response = virga_edge_answer(edge, &request);
    body = g_bytes_get_data(virga_http_response_body(response), &size);
    if (virga_http_response_status(response) != status)
        g_error("status %u: %.*s", virga_http_response_status(response), (int) size, body);
    g_assert_nonnull(virga_http_response_header(response, "x-amzn-requestid"));
    return g_strndup(body, size);
}

static void
expect(Ask asked, unsigned status, const char *part)
{
    g_autofree char *xml = ask(asked, status);

    if (!strstr(xml, part))
        g_error("no %s in %s", part, xml);
}

static void
test_identity(void)
{
    expect((Ask){ "sts", "Action=GetCallerIdentity&Version=2011-06-15" }, 200,
           "<GetCallerIdentityResult><UserId>000000000001</UserId><Account>000000000001</Account>"
           "<Arn>arn:aws:iam::000000000001:root</Arn></GetCallerIdentityResult>"
           "<ResponseMetadata><RequestId>");
    expect((Ask){ "sts", "Action=GetCallerIdentity&Version=2011-06-15", .spoil = true }, 403,
           "<Code>SignatureDoesNotMatch</Code>");
    expect((Ask){ "sts", "Action=AssumeRoleWithSAML" }, 400, "<Code>UnsupportedOperation</Code>");
}

static void
test_regions(void)
{
    expect((Ask){ "ec2", "Action=DescribeRegions&Version=2016-11-15" }, 200,
           "<regionInfo><item><optInStatus>opt-in-not-required</optInStatus>");
    expect((Ask){ "ec2", "Action=DescribeRegions&Filter.1.Name=region-name&Filter.1.Value.1=x" },
           200, "<regionInfo/>");
    expect((Ask){ "ec2", "Action=DescribeRegions&DryRun=true" }, 412,
           "<Code>DryRunOperation</Code>");
    expect((Ask){ "ec2", "Action=DescribeRegions&RegionName.1=mars" }, 400,
           "<Code>InvalidParameterValue</Code>");
    expect((Ask){ "ec2", "Action=DescribeRegions&Nonsense=1" }, 400,
           "<Code>UnknownParameter</Code>");
}

static void
test_refusals(void)
{
    expect((Ask){ "ec2", "Action=DescribeVpnGateways" }, 200, "<vpnGatewaySet/>");
    expect((Ask){ "ec2", "Action=CreateVpnGateway" }, 400, "<Code>UnsupportedOperation</Code>");
    expect((Ask){ "ec2", "Action=Explode" }, 400, "<Code>InvalidAction</Code>");
    expect((Ask){ "ec2", "Version=2016-11-15" }, 400, "<Code>MissingAction</Code>");
    expect((Ask){ "ec2", "Action=DescribeRegions&Version=%3Cx%3E" }, 400,
           "<Code>InvalidParameterValue</Code>");
    expect((Ask){ "ec2", "Action=DescribeRegions", .spoil = true }, 401,
           "<Response><Errors><Error><Code>AuthFailure</Code>");
    expect((Ask){ "ec2", "Action=DescribeRegions", "text/plain" }, 415, "InvalidRequest");
    expect((Ask){ "sqs", "Action=ListQueues" }, 401, "AuthFailure");
}

/* Temporary keys: past their time, and of a user who is gone. */
static void
test_tokens(void)
{
    expect((Ask){ "sts", "Action=GetCallerIdentity", .token = "old" }, 403,
           "<Code>ExpiredToken</Code>");
    expect((Ask){ "ec2", "Action=DescribeRegions", .token = "old" }, 400,
           "<Code>RequestExpired</Code>");
    expect((Ask){ "sts", "Action=GetCallerIdentity", .token = "gone" }, 403,
           "<Code>InvalidClientTokenId</Code>");
    expect((Ask){ "ec2", "Action=DescribeRegions", .token = "gone" }, 401,
           "<Code>AuthFailure</Code>");
}

/* Query services have one word for what is wrong with parameters. */
static void
test_validation(void)
{
    expect((Ask){ "sts", "Action=AssumeRole&RoleArn=x" }, 400, "<Code>ValidationError</Code>");
    expect((Ask){ "sts", "Action=GetSessionToken&DurationSeconds=1" }, 400,
           "<Code>ValidationError</Code>");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/edge/identity", test_identity);
    g_test_add_func("/edge/regions", test_regions);
    g_test_add_func("/edge/refusals", test_refusals);
    g_test_add_func("/edge/tokens", test_tokens);
    g_test_add_func("/edge/validation", test_validation);
    return g_test_run();
}
