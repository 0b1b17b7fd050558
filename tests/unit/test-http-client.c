/* SPDX-License-Identifier: Apache-2.0 */
/* The client of virgad's APIs against the server of virgad's APIs, over a Unix socket. */
#include "core/http-client.h"

#include "api/server.h"
#include "core/error.h"

#include <glib/gstdio.h>
#include <string.h>

#define THREADS 8
#define CALLS   50

typedef struct {
    char *folder, *socket_path, *file;
    VirgaHttpServer *server;
    VirgaHttpClient *client;
    GMutex lock;
    GPtrArray *kept; /* exchanges that wait */
} Fixture;

static VirgaHttpResponse *
respond(unsigned status, char *text)
{
    return virga_http_response_new(status, "text/plain", g_bytes_new_take(text, strlen(text)));
}

static VirgaHttpOutcome
handle(VirgaHttpExchange *exchange, const VirgaHttpRequest *request,
       VirgaHttpResponse **ret_response, gpointer user_data)
{
    Fixture *fixture = user_data;
    unsigned status = 200;

    if (g_str_has_prefix(request->path, "/status/"))
        status = (unsigned) g_ascii_strtoull(request->path + strlen("/status/"), NULL, 10);
    if (g_str_equal(request->path, "/later")) {
        g_mutex_lock(&fixture->lock);
        g_ptr_array_add(fixture->kept, exchange);
        g_mutex_unlock(&fixture->lock);
        return VIRGA_HTTP_LATER;
    }
    *ret_response = respond(status, g_strdup_printf("%s %s?%s [%s]", request->method, request->path,
                                                    request->query, (const char *) request->body));
    return VIRGA_HTTP_NOW;
}

static void
serve(Fixture *fixture)
{
    VirgaHttpOptions options = { .handler = handle, .user_data = fixture, .body_limit = 1 << 20 };
    g_autoptr(GError) error = NULL;
    int fd = virga_http_listen_unix(fixture->socket_path, 0600, &error);

    g_assert_no_error(error);
    fixture->server = virga_http_server_new(fd, &options, &error);
    g_assert_no_error(error);
}

static void
set_up(Fixture *fixture, gconstpointer data)
{
    g_autofree char *address = NULL;

    fixture->folder = g_dir_make_tmp("virga-client-XXXXXX", NULL);
    fixture->socket_path = g_build_filename(fixture->folder, "socket", NULL);
    fixture->file = g_build_filename(fixture->folder, "file", NULL);
    g_mutex_init(&fixture->lock);
    fixture->kept = g_ptr_array_new();
    serve(fixture);
    address = g_strconcat("unix:", fixture->socket_path, NULL);
    fixture->client = virga_http_client_new(address);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    virga_http_client_free(fixture->client);
    for (guint i = 0; i < fixture->kept->len; i++)
        virga_http_reply(fixture->kept->pdata[i], respond(200, g_strdup("late")));
    virga_http_server_stop(fixture->server, 0);
    g_ptr_array_unref(fixture->kept);
    g_mutex_clear(&fixture->lock);
    g_unlink(fixture->socket_path);
    g_unlink(fixture->file);
    g_assert_cmpint(g_rmdir(fixture->folder), ==, 0);
    g_free(fixture->socket_path);
    g_free(fixture->file);
    g_free(fixture->folder);
}

static void
test_call(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *got = NULL, *posted = NULL, *empty = NULL;

    virga_http_call(fixture->client, "GET", "/a/b?x=1", NULL, 5000, &got, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(got, ==, "GET /a/b?x=1 []");
    virga_http_call(fixture->client, "POST", "/a", "{\"b\":1}", 5000, &posted, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(posted, ==, "POST /a? [{\"b\":1}]");
    virga_http_call(fixture->client, "DELETE", "/a", NULL, 5000, &empty, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(empty, ==, "DELETE /a? []");
    g_assert_true(virga_http_call(fixture->client, "GET", "/a", NULL, 5000, NULL, &error));
}

static void
test_refusals(Fixture *fixture, gconstpointer data)
{
    static const struct {
        unsigned status;
        VirgaErrorCode code;
    } table[] = { { 400, VIRGA_ERROR_INVALID }, { 401, VIRGA_ERROR_DENIED },
                  { 403, VIRGA_ERROR_DENIED },  { 404, VIRGA_ERROR_NOT_FOUND },
                  { 409, VIRGA_ERROR_INVALID }, { 500, VIRGA_ERROR_RETRY },
                  { 503, VIRGA_ERROR_RETRY } };

    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *path = g_strdup_printf("/status/%u", table[i].status), *body = NULL;
        g_autoptr(GError) error = NULL;

        g_assert_false(virga_http_call(fixture->client, "GET", path, NULL, 5000, &body, &error));
        g_assert_true(virga_error_is(error, "request", table[i].code));
        g_assert_nonnull(strstr(error->message, path)); /* the answer's text */
        g_assert_null(body);
    }
}

static void
test_download(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL, missing = NULL, nowhere = NULL;
    g_autofree char *text = NULL;

    virga_http_download(fixture->client, "/file", fixture->file, 5000, &error);
    g_assert_no_error(error);
    g_assert_true(g_file_get_contents(fixture->file, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "GET /file? []");
    g_assert_false(
        virga_http_download(fixture->client, "/status/404", fixture->file, 5000, &missing));
    g_assert_true(virga_error_is(missing, "request", VIRGA_ERROR_NOT_FOUND));
    g_assert_false(
        virga_http_download(fixture->client, "/file", "/nonexistent/file", 5000, &nowhere));
    g_assert_true(virga_error_is(nowhere, "request", VIRGA_ERROR_INTERNAL));
}

static void
test_upload(Fixture *fixture, gconstpointer data)
{
    g_autofree char *large = g_strnfill(2 << 20, 'x'), *body = NULL;
    g_autoptr(GError) error = NULL, too_large = NULL, missing = NULL;

    g_assert_true(g_file_set_contents(fixture->file, "some bytes", -1, NULL));
    virga_http_upload(fixture->client, "/put", fixture->file, 5000, &body, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(body, ==, "PUT /put? [some bytes]");
    g_assert_true(g_file_set_contents(fixture->file, large, -1, NULL));
    g_assert_false(
        virga_http_upload(fixture->client, "/put", fixture->file, 5000, NULL, &too_large));
    g_assert_nonnull(too_large);
    g_assert_false(
        virga_http_upload(fixture->client, "/put", "/nonexistent", 5000, NULL, &missing));
    g_assert_true(virga_error_is(missing, "request", VIRGA_ERROR_INTERNAL));
}

/* A server that is away is a reason to try again, and then it works. */
static void
test_away(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(virga_http_call(fixture->client, "GET", "/a", NULL, 5000, NULL, &error));
    virga_http_server_stop(fixture->server, 0);
    g_assert_false(virga_http_call(fixture->client, "GET", "/a", NULL, 5000, NULL, &error));
    g_assert_true(virga_error_is(error, "request", VIRGA_ERROR_RETRY));
    g_clear_error(&error);
    serve(fixture);
    g_assert_true(virga_http_call(fixture->client, "GET", "/a", NULL, 5000, NULL, &error));
    g_assert_no_error(error);
}

static void
test_time_out(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(virga_http_call(fixture->client, "GET", "/later", NULL, 50, NULL, &error));
    g_assert_true(virga_error_is(error, "request", VIRGA_ERROR_RETRY));
}

static gpointer
wait_long(gpointer data)
{
    g_autoptr(GError) error = NULL;

    virga_http_call(((Fixture *) data)->client, "GET", "/later", NULL, 60000, NULL, &error);
    return GINT_TO_POINTER(virga_error_is(error, "request", VIRGA_ERROR_RETRY));
}

/* The end of a daemon does not wait for a long poll. */
static void
test_stop(Fixture *fixture, gconstpointer data)
{
    GThread *thread = g_thread_new("wait", wait_long, fixture);
    gint64 begun = g_get_monotonic_time();
    bool waits = false;

    while (!waits) {
        g_mutex_lock(&fixture->lock);
        waits = fixture->kept->len > 0;
        g_mutex_unlock(&fixture->lock);
        g_usleep(1000);
    }
    virga_http_client_stop(fixture->client);
    g_assert_true(GPOINTER_TO_INT(g_thread_join(thread)));
    g_assert_cmpint(g_get_monotonic_time() - begun, <, 5 * G_USEC_PER_SEC);
}

static gpointer
call_often(gpointer data)
{
    for (int i = 0; i < CALLS; i++) {
        g_autofree char *path = g_strdup_printf("/%p/%d", (void *) g_thread_self(), i);
        g_autofree char *want = g_strdup_printf("GET %s? []", path), *got = NULL;
        g_autoptr(GError) error = NULL;

        virga_http_call(((Fixture *) data)->client, "GET", path, NULL, 20000, &got, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(got, ==, want);
    }
    return NULL;
}

static void
test_threads(Fixture *fixture, gconstpointer data)
{
    GThread *threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        threads[i] = g_thread_new("call", call_often, fixture);
    for (int i = 0; i < THREADS; i++)
        g_thread_join(threads[i]);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function)                                                                        \
    g_test_add("/http-client/" name, Fixture, NULL, set_up, function, tear_down)
    ADD("call", test_call);
    ADD("refusals", test_refusals);
    ADD("download", test_download);
    ADD("upload", test_upload);
    ADD("away", test_away);
    ADD("time-out", test_time_out);
    ADD("stop", test_stop);
    ADD("threads", test_threads);
    return g_test_run();
}
