/* SPDX-License-Identifier: Apache-2.0 */
#include "golden.h"

#include "compute/metadata-server.h"
#include "core/error.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NOW 1700000000

static const guint8 key[VIRGA_METADATA_KEY_SIZE] = "a key of thirty-two bytes, or so";

static VirgaMetadata *
example(void)
{
    VirgaMetadata *metadata = virga_metadata_new();
    VirgaMetadataInterface *interface = virga_metadata_add_interface(metadata);

    metadata->instance_id = g_strdup("i-08000000000000001");
    metadata->instance_type = g_strdup("t3.micro");
    metadata->image_id = g_strdup("ami-08000000000000001");
    metadata->reservation_id = g_strdup("r-08000000000000001");
    metadata->account_id = g_strdup("123456789012");
    metadata->region = g_strdup("us-east-1");
    metadata->zone = g_strdup("us-east-1a");
    metadata->architecture = g_strdup("x86_64");
    metadata->pending_time = g_strdup("2026-01-02T03:04:05Z");
    metadata->key_name = g_strdup("my key");
    metadata->public_key = g_strdup("ssh-ed25519 AAAA my key");
    metadata->user_data = g_strdup("AAECCg=="); /* 00 01 02 0a */
    metadata->hop_limit = 2;
    interface->mac = g_strdup("02:00:00:00:00:01");
    interface->interface_id = g_strdup("eni-08000000000000001");
    interface->owner_id = g_strdup("123456789012");
    interface->local_hostname = g_strdup("ip-10-1-4-5.ec2.internal");
    interface->public_hostname = g_strdup("ec2-203-0-113-10.compute-1.amazonaws.com");
    interface->local_addresses = g_strsplit("10.1.4.5 10.1.4.6", " ", 0);
    interface->public_address = g_strdup("203.0.113.10");
    interface->group_names = g_strsplit("default web", " ", 0);
    interface->group_ids = g_strsplit("sg-08000000000000001 sg-08000000000000002", " ", 0);
    interface->subnet_id = g_strdup("subnet-08000000000000001");
    interface->subnet_cidr = g_strdup("10.1.4.0/22");
    interface->vpc_id = g_strdup("vpc-08000000000000001");
    interface->vpc_cidrs = g_strsplit("10.1.0.0/16 10.2.0.0/16", " ", 0);
    virga_metadata_add_disk(metadata, "ami", "/dev/sda1");
    virga_metadata_add_disk(metadata, "root", "/dev/sda1");
    virga_metadata_add_tag(metadata, "Name", "first");
    virga_metadata_add_tag(metadata, "a/b", "hidden");
    return metadata;
}

static unsigned
ask(const VirgaMetadata *metadata, VirgaMetadataRequest request, char **ret_body)
{
    g_auto(VirgaMetadataResponse) response = { 0 };
    gsize length;
    const char *bytes;

    virga_metadata_respond(metadata, key, NOW, &request, &response);
    bytes = g_bytes_get_data(response.body, &length);
    if (ret_body)
        *ret_body = g_strndup(bytes, length);
    return response.status;
}

static unsigned
get(const VirgaMetadata *metadata, const char *path, char **ret_body)
{
    return ask(metadata, (VirgaMetadataRequest){ .method = "GET", .path = path }, ret_body);
}

static void
assert_body(const VirgaMetadata *metadata, const char *path, const char *want)
{
    g_autofree char *body = NULL;

    g_assert_cmpuint(get(metadata, path, &body), ==, 200);
    g_assert_cmpstr(body, ==, want);
}

/* Descends as cloud-init does: an entry with a slash is a folder, "0=name" means "0/". */
static void
crawl(const VirgaMetadata *metadata, const char *path, GString *into)
{
    g_autofree char *body = NULL;
    g_auto(GStrv) entries = NULL;

    g_assert_cmpuint(get(metadata, path, &body), ==, 200);
    g_string_append_printf(into, "== %s\n%s\n", path, body);
    if (!g_str_has_suffix(path, "/"))
        return;
    entries = g_strsplit(body, "\n", 0);
    for (char **entry = entries; *entry; entry++) {
        bool is_key = g_str_has_suffix(path, "public-keys/");
        g_autofree char *next = g_strdup_printf("%s%.*s%s", path, is_key ? 1 : (int) strlen(*entry),
                                                *entry, is_key ? "/" : "");
        crawl(metadata, next, into);
    }
}

static void
test_tree(void)
{
    g_autoptr(VirgaMetadata) metadata = example();
    g_autoptr(GString) text = g_string_new(NULL);

    metadata->instance_tags = true;
    crawl(metadata, "/2021-03-23/meta-data/", text);
    crawl(metadata, "/latest/dynamic/", text);
    golden_assert("compute/metadata.txt", text->str);
}

static void
test_paths(void)
{
    g_autoptr(VirgaMetadata) metadata = example();
    g_autofree char *versions = NULL;

    g_assert_cmpuint(get(metadata, "/", &versions), ==, 200);
    g_assert_true(g_str_has_prefix(versions, "1.0\n2007-01-19\n"));
    g_assert_true(g_str_has_suffix(versions, "\nlatest"));
    assert_body(metadata, "/latest", "dynamic\nmeta-data\nuser-data");
    assert_body(metadata, "/latest/", "dynamic\nmeta-data\nuser-data");
    assert_body(metadata, "/2009-04-04/meta-data/instance-id", "i-08000000000000001");
    assert_body(metadata, "/latest//meta-data/instance-id/?x=1", "i-08000000000000001");
    assert_body(metadata, "/latest/meta-data/public-keys", "0=my key");
    assert_body(metadata, "/latest/meta-data/public-keys/0/", "openssh-key");
    assert_body(metadata, "/latest/dynamic/instance-identity", "document");
    g_assert_cmpuint(get(metadata, "/1999-01-01/meta-data/", NULL), ==, 404);
    g_assert_cmpuint(get(metadata, "/latest/meta-data/outpost-arn", NULL), ==, 404);
    g_assert_cmpuint(get(metadata, "/latest/meta-data/events", NULL), ==, 404);
    g_assert_cmpuint(get(metadata, "/latest/meta-data/spot/termination-time", NULL), ==, 404);
    /* Nobody here could sign the document as AWS does. */
    g_assert_cmpuint(get(metadata, "/latest/dynamic/instance-identity/signature", NULL), ==, 404);
    g_assert_cmpuint(get(metadata, "/latest/dynamic/instance-identity/pkcs7", NULL), ==, 404);
    g_assert_cmpuint(get(metadata, "/latest/dynamic/instance-identity/rsa2048", NULL), ==, 404);
    g_assert_cmpuint(get(metadata, "/latest/meta-data/placement/group-name", NULL), ==, 404);
    g_assert_cmpuint(get(metadata, "/latest/meta-data/placement/partition-number", NULL), ==, 404);
    metadata->placement_group = g_strdup("parts");
    metadata->placement_partition = 2;
    assert_body(metadata, "/latest/meta-data/placement/group-name", "parts");
    assert_body(metadata, "/latest/meta-data/placement/partition-number", "2");
    g_assert_cmpuint(get(metadata, "/latest/meta-data/instance", NULL), ==, 404);
    g_assert_cmpuint(get(metadata, "/latest/meta-data/tags/instance/", NULL), ==, 404);
    g_assert_cmpuint(get(metadata, "/latest/meta-data/iam/security-credentials/", NULL), ==, 404);
}

static void
test_user_data(void)
{
    g_autoptr(VirgaMetadata) metadata = example();
    g_auto(VirgaMetadataResponse) response = { 0 };
    VirgaMetadataRequest request = { .method = "GET", .path = "/latest/user-data" };

    virga_metadata_respond(metadata, key, NOW, &request, &response);
    g_assert_cmpmem(g_bytes_get_data(response.body, NULL), g_bytes_get_size(response.body),
                    "\0\1\2\n", 4);
    g_clear_pointer(&metadata->user_data, g_free);
    g_assert_cmpuint(get(metadata, "/latest/user-data", NULL), ==, 404);
    assert_body(metadata, "/latest/", "dynamic\nmeta-data");
}

static void
test_tokens(void)
{
    g_autoptr(VirgaMetadata) metadata = example();
    g_autoptr(VirgaMetadata) other = example();
    g_auto(VirgaMetadataResponse) late = { 0 };
    g_autofree char *token = NULL, *forged = NULL;
    VirgaMetadataRequest put = { .method = "PUT", .path = "/latest/api/token", .token_ttl = "60" };
    VirgaMetadataRequest use = { .method = "GET", .path = "/latest/meta-data/instance-id" };

    metadata->tokens_required = true;
    g_assert_cmpuint(ask(metadata, use, NULL), ==, 401);
    g_assert_cmpuint(ask(metadata, put, &token), ==, 200);
    g_assert_cmpuint(strlen(token), ==, 56);
    use.token = token;
    g_assert_cmpuint(ask(metadata, use, NULL), ==, 200);
    use.method = "HEAD";
    g_assert_cmpuint(ask(metadata, use, NULL), ==, 200);
    virga_metadata_respond(metadata, key, NOW + 60, &use, &late);
    g_assert_cmpuint(late.status, ==, 401);

    /* A wrong token is refused even where none is needed. */
    g_free(other->instance_id);
    other->instance_id = g_strdup("i-08000000000000002");
    g_assert_cmpuint(ask(other, use, NULL), ==, 401);
    forged = g_strdup(token);
    forged[5] = forged[5] == 'A' ? 'B' : 'A';
    use.token = forged;
    g_assert_cmpuint(ask(metadata, use, NULL), ==, 401);
    use.token = "";
    g_assert_cmpuint(ask(metadata, use, NULL), ==, 401);
}

static void
test_token_refusals(void)
{
    static const char *const ttls[] = { NULL, "", "0", "21601", "-1", "x", "60 " };
    g_autoptr(VirgaMetadata) metadata = example();
    VirgaMetadataRequest request = { .method = "PUT", .path = "/latest/api/token" };

    for (size_t i = 0; i < G_N_ELEMENTS(ttls); i++) {
        request.token_ttl = ttls[i];
        g_assert_cmpuint(ask(metadata, request, NULL), ==, 400);
    }
    request.token_ttl = "21600";
    g_assert_cmpuint(ask(metadata, request, NULL), ==, 200);
    request.forwarded_for = "192.0.2.1";
    g_assert_cmpuint(ask(metadata, request, NULL), ==, 403);
    request.method = "GET";
    g_assert_cmpuint(ask(metadata, request, NULL), ==, 405);
    request.path = "/latest/meta-data/";
    request.method = "POST";
    g_assert_cmpuint(ask(metadata, request, NULL), ==, 405);
    metadata->disabled = true;
    request.method = "GET";
    g_assert_cmpuint(ask(metadata, request, NULL), ==, 403);
}

static void
test_round_trip(void)
{
    g_autoptr(VirgaMetadata) metadata = example();
    g_autoptr(VirgaMetadata) again = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = virga_metadata_to_text(metadata);
    g_autofree char *second = NULL;

    again = virga_metadata_from_text(text, &error);
    g_assert_no_error(error);
    second = virga_metadata_to_text(again);
    g_assert_cmpstr(text, ==, second);
    g_assert_null(virga_metadata_from_text("{}", &error));
    g_assert_true(virga_error_is(error, "instance metadata", VIRGA_ERROR_INVALID));
}

static VirgaMetadata *
look_up(void *data, const char *vpc_id, const char *address)
{
    g_assert_cmpstr(vpc_id, ==, "vpc-08000000000000001");
    return g_str_equal(address, "127.0.0.1") ? example() : NULL;
}

static char *
exchange(const struct sockaddr_in *to, const char *request)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    GString *text = g_string_new(NULL);
    char buffer[4096];
    gssize got;

    g_assert_cmpint(connect(fd, (const struct sockaddr *) to, sizeof *to), ==, 0);
    g_assert_cmpint(write(fd, request, strlen(request)), ==, (gssize) strlen(request));
    while ((got = read(fd, buffer, sizeof buffer)) > 0)
        g_string_append_len(text, buffer, got);
    close(fd);
    return g_string_free(text, FALSE);
}

static void
test_server(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    g_autoptr(VirgaMetadataServer) server = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *put = NULL, *read_back = NULL, *head = NULL;

    g_assert_cmpint(bind(fd, (struct sockaddr *) &address, sizeof address), ==, 0);
    g_assert_cmpint(listen(fd, 8), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *) &address, &length), ==, 0);
    server = virga_metadata_server_new(fd, "vpc-08000000000000001", key, look_up, NULL, &error);
    g_assert_no_error(error);
    put = exchange(&address, "PUT /latest/api/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                             "X-aws-ec2-metadata-token-ttl-seconds: 60\r\nContent-Length: 3\r\n"
                             "\r\nabc");
    g_assert_true(g_str_has_prefix(put, "HTTP/1.1 200 "));
    g_assert_nonnull(strstr(put, "X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 60\r\n"));
    read_back = exchange(&address, "GET /latest/meta-data/instance-type HTTP/1.1\r\nHost: x\r\n"
                                   "Connection: close\r\n\r\n");
    g_assert_true(g_str_has_suffix(read_back, "\r\n\r\nt3.micro"));
    head = exchange(&address, "HEAD /latest/meta-data/instance-type HTTP/1.1\r\nHost: x\r\n"
                              "Connection: close\r\n\r\n");
    g_assert_true(g_str_has_suffix(head, "\r\n\r\n"));
    g_assert_nonnull(strstr(head, "Content-Length: 8\r\n"));
}

static void
test_profile(void)
{
    g_autoptr(VirgaMetadata) metadata = example();
    VirgaMetadataRequest info = { .method = "GET", .path = "/latest/meta-data/iam/info" };
    VirgaMetadataRequest list = { .method = "GET",
                                  .path = "/latest/meta-data/iam/security-credentials/" };
    VirgaMetadataRequest role = { .method = "GET",
                                  .path = "/latest/meta-data/iam/security-credentials/web" };
    g_autofree char *text = NULL, *name = NULL, *document = NULL, *wire = NULL;
    g_autoptr(VirgaMetadata) copy = NULL;

    g_assert_cmpuint(ask(metadata, info, NULL), ==, 404);
    metadata->profile_id = g_strdup("AIPAAAAAAAAAAAAAAAAAA");
    metadata->profile_arn = g_strdup("arn:aws:iam::123456789012:instance-profile/web");
    g_assert_cmpuint(ask(metadata, info, NULL), ==, 404); /* nothing is known of it yet */
    metadata->profile_code = g_strdup("InstanceProfileNotFound");
    g_assert_cmpuint(ask(metadata, list, NULL), ==, 404);
    g_free(metadata->profile_code);
    metadata->profile_code = g_strdup("Success");
    metadata->credentials_updated = g_strdup("2026-01-02T03:04:05Z");
    metadata->role_name = g_strdup("web");
    metadata->credentials = g_strdup("{\"Code\":\"Success\"}");
    g_assert_cmpuint(ask(metadata, info, &text), ==, 200);
    g_assert_nonnull(strstr(text, "\"InstanceProfileArn\" : \"arn:aws:iam::123456789012:"));
    g_assert_nonnull(strstr(text, "\"LastUpdated\" : \"2026-01-02T03:04:05Z\""));
    g_assert_cmpuint(ask(metadata, list, &name), ==, 200);
    g_assert_cmpstr(name, ==, "web");
    g_assert_cmpuint(ask(metadata, role, &document), ==, 200);
    g_assert_cmpstr(document, ==, metadata->credentials);
    wire = virga_metadata_to_text(metadata);
    copy = virga_metadata_from_text(wire, NULL);
    g_assert_cmpstr(copy->profile_arn, ==, metadata->profile_arn);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/metadata/tree", test_tree);
    g_test_add_func("/metadata/paths", test_paths);
    g_test_add_func("/metadata/user-data", test_user_data);
    g_test_add_func("/metadata/tokens", test_tokens);
    g_test_add_func("/metadata/token-refusals", test_token_refusals);
    g_test_add_func("/metadata/round-trip", test_round_trip);
    g_test_add_func("/metadata/server", test_server);
    g_test_add_func("/metadata/profile", test_profile);
    return g_test_run();
}
