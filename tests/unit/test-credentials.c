/* SPDX-License-Identifier: Apache-2.0 */
/* What a host gets for its guests' instance profiles, from a virgad that this test plays. */
#include "node-priv.h"

#include "api/server.h"

#include <glib/gstdio.h>
#include <string.h>

#define GUEST "i-08000000000000001"
#define HOST  "h-08000000000000001"

typedef struct {
    char *directory, *socket_path;
    VirgaConfig *config;
    VirgaHttpServer *server;
    VirgaHttpClient *virgad;
    VirgaNode *node;
    unsigned calls;
    char *body;         /* of the last call */
    const char *answer; /* NULL: 404 */
} Host;

static VirgaHttpOutcome
handle(VirgaHttpExchange *exchange, const VirgaHttpRequest *request,
       VirgaHttpResponse **ret_response, gpointer data)
{
    Host *host = data;
    const char *text = host->answer ? host->answer : "{}";

    host->calls++;
    g_free(host->body);
    host->body = g_strdup_printf("%s %s", request->path, (const char *) request->body);
    *ret_response = virga_http_response_new(host->answer ? 200 : 404, "application/json",
                                            g_bytes_new(text, strlen(text)));
    return VIRGA_HTTP_NOW;
}

static void
serve(Host *host)
{
    VirgaHttpOptions options = { .handler = handle, .user_data = host, .body_limit = 1 << 20 };
    g_autoptr(GError) error = NULL;
    int fd = virga_http_listen_unix(host->socket_path, 0600, &error);

    g_assert_no_error(error);
    host->server = virga_http_server_new(fd, &options, &error);
    g_assert_no_error(error);
}

static void
stop_serving(Host *host)
{
    virga_http_server_stop(g_steal_pointer(&host->server), 100);
}

static void
do_nothing(gpointer item, gpointer data)
{
}

static void
set_up(Host *host, gconstpointer data)
{
    g_autofree char *address = NULL;
    VirgaNodeSettings settings = { .host_id = HOST, .host_name = "host" };

    host->directory = g_dir_make_tmp("virga-credentials-XXXXXX", NULL);
    host->socket_path = g_build_filename(host->directory, "socket", NULL);
    address = g_strconcat("unix:", host->socket_path, NULL);
    serve(host);
    settings.config = host->config = virga_config_load("/nonexistent", host->directory, NULL);
    settings.virgad = host->virgad = virga_http_client_new(address);
    settings.directory = host->directory;
    host->node = virga_node_new(&settings);
    host->node->guest_pool = g_thread_pool_new(do_nothing, NULL, 1, FALSE, NULL);
    host->node->vpc_pool = g_thread_pool_new(do_nothing, NULL, 1, FALSE, NULL);
}

static void
tear_down(Host *host, gconstpointer data)
{
    g_autofree char *wish = g_build_filename(host->directory, "wish.json", NULL);
    g_autofree char *consoles = g_build_filename(host->directory, "console", NULL);

    virga_node_free(host->node);
    virga_http_client_free(host->virgad);
    if (host->server)
        stop_serving(host);
    virga_config_unref(host->config);
    g_unlink(wish);
    g_unlink(host->socket_path);
    g_rmdir(consoles);
    g_rmdir(host->directory);
    g_free(host->body);
    g_free(host->socket_path);
    g_free(host->directory);
}

/* The guest has this profile (NULL: none) from now on. */
static void
wish(Host *host, const char *profile_id)
{
    static gint64 generation;
    g_autoptr(VirgaMetadata) metadata = virga_metadata_new();
    VirgaGuestWish *record = virga_record_new(&virga_guest_wish_type);

    metadata->instance_id = g_strdup(GUEST);
    metadata->profile_id = g_strdup(profile_id);
    metadata->profile_arn = profile_id ? g_strdup("arn:aws:iam::1:instance-profile/p") : NULL;
    record->id = g_strdup(GUEST);
    record->wish = g_strdup("run");
    record->generation = ++generation;
    record->metadata = virga_metadata_to_text(metadata);
    g_mutex_lock(&host->node->lock);
    node_take_wish_locked(host->node, record);
    g_mutex_unlock(&host->node->lock);
}

/* What the guest with this profile would be told. */
static VirgaMetadata *
told(Host *host, const char *profile_id)
{
    VirgaMetadata *metadata = virga_metadata_new();

    metadata->instance_id = g_strdup(GUEST);
    metadata->profile_id = g_strdup(profile_id);
    g_mutex_lock(&host->node->lock);
    node_credentials_show_locked(host->node, metadata);
    g_mutex_unlock(&host->node->lock);
    return metadata;
}

#define SUCCESS(expires)                                                                           \
    "{\"code\":\"Success\",\"updated\":\"2026-01-02T03:04:05Z\",\"role\":\"web\","                 \
    "\"document\":\"{}\",\"expires\":" expires "}"

static void
test_success(Host *host, gconstpointer data)
{
    g_autoptr(VirgaMetadata) before = NULL, after = NULL, other = NULL;

    wish(host, "AIPA1");
    before = told(host, "AIPA1");
    g_assert_null(before->profile_code);
    host->answer = SUCCESS("99999999999");
    node_credentials_renew(host->node);
    g_assert_cmpstr(host->body, ==,
                    "/node/v1/credentials {\"host_id\":\"" HOST "\",\"instance_id\":\"" GUEST
                    "\"}");
    after = told(host, "AIPA1");
    g_assert_cmpstr(after->profile_code, ==, "Success");
    g_assert_cmpstr(after->role_name, ==, "web");
    g_assert_cmpstr(after->credentials, ==, "{}");
    other = told(host, "AIPA2"); /* what belongs to a former profile is not told of another */
    g_assert_null(other->profile_code);
    node_credentials_renew(host->node); /* they are new */
    g_assert_cmpuint(host->calls, ==, 1);
}

static void
test_another_profile(Host *host, gconstpointer data)
{
    g_autoptr(VirgaMetadata) now = NULL, then = NULL;

    host->answer = SUCCESS("99999999999");
    wish(host, "AIPA1");
    node_credentials_renew(host->node);
    wish(host, "AIPA2");
    node_credentials_renew(host->node);
    g_assert_cmpuint(host->calls, ==, 2);
    now = told(host, "AIPA2");
    g_assert_cmpstr(now->role_name, ==, "web");
    wish(host, NULL);
    node_credentials_renew(host->node);
    g_assert_cmpuint(host->calls, ==, 2);
    then = told(host, "AIPA2");
    g_assert_null(then->profile_code);
}

static void
test_refusal(Host *host, gconstpointer data)
{
    g_autoptr(VirgaMetadata) metadata = NULL;

    host->answer = "{\"code\":\"InstanceProfileNotFound\",\"updated\":\"2026-01-02T03:04:05Z\"}";
    wish(host, "AIPA1");
    node_credentials_renew(host->node);
    metadata = told(host, "AIPA1");
    g_assert_cmpstr(metadata->profile_code, ==, "InstanceProfileNotFound");
    g_assert_null(metadata->role_name);
}

/* Makes the next round ask again. */
static void
let_time_pass(Host *host)
{
    g_mutex_lock(&host->node->lock);
    ((Credentials *) g_hash_table_lookup(host->node->credentials, GUEST))->ask_at = 0;
    g_mutex_unlock(&host->node->lock);
}

static void
test_virgad_is_away(Host *host, gconstpointer data)
{
    g_autoptr(VirgaMetadata) kept = NULL, again = NULL;

    host->answer = SUCCESS("99999999999");
    wish(host, "AIPA1");
    node_credentials_renew(host->node);
    stop_serving(host);
    let_time_pass(host);
    node_credentials_renew(host->node);
    kept = told(host, "AIPA1");
    g_assert_cmpstr(kept->role_name, ==, "web");
    serve(host);
    host->answer = SUCCESS("1"); /* past their time */
    let_time_pass(host);
    node_credentials_renew(host->node);
    again = told(host, "AIPA1");
    g_assert_cmpstr(again->profile_code, ==, "Success");
    g_assert_null(again->credentials);
}

static void
test_guest_is_gone(Host *host, gconstpointer data)
{
    g_autoptr(VirgaMetadata) metadata = NULL;

    host->answer = SUCCESS("99999999999");
    wish(host, "AIPA1");
    node_credentials_renew(host->node);
    g_mutex_lock(&host->node->lock);
    g_hash_table_remove(host->node->guests, GUEST);
    g_mutex_unlock(&host->node->lock);
    node_credentials_renew(host->node);
    metadata = told(host, "AIPA1");
    g_assert_null(metadata->profile_code);
}

#define ADD(name, function)                                                                        \
    g_test_add("/credentials/" name, Host, NULL, set_up, function, tear_down)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("success", test_success);
    ADD("another-profile", test_another_profile);
    ADD("refusal", test_refusal);
    ADD("virgad-is-away", test_virgad_is_away);
    ADD("guest-is-gone", test_guest_is_gone);
    return g_test_run();
}
