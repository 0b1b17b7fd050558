/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server on loopback and Unix sockets, against a client of raw bytes. */
#include "api/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS  600
#define ROUNDS   5
#define STUCK_MS 30000

typedef struct {
    VirgaHttpServer *server;
    GMutex mutex;
    GPtrArray *kept; /* exchanges that wait for the test */
    char *folder, *socket_path;
} Fixture;

/* ---- the served side ---- */

static VirgaHttpResponse *
text_response(unsigned status, char *text)
{
    return virga_http_response_new(status, "text/plain", g_bytes_new_take(text, strlen(text)));
}

static VirgaHttpOutcome
handle(VirgaHttpExchange *exchange, const VirgaHttpRequest *request,
       VirgaHttpResponse **ret_response, gpointer user_data)
{
    Fixture *fixture = user_data;

    if (g_str_equal(request->path, "/later")) {
        const char *deadline = virga_http_header(request, "x-deadline");

        if (deadline)
            virga_http_set_deadline(exchange, (unsigned) g_ascii_strtoull(deadline, NULL, 10));
        g_mutex_lock(&fixture->mutex);
        g_ptr_array_add(fixture->kept, exchange);
        g_mutex_unlock(&fixture->mutex);
        return VIRGA_HTTP_LATER;
    }
    if (g_str_equal(request->path, "/file")) {
        int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        *ret_response = virga_http_response_new_fd(200, NULL, fd, 1, 3);
        return VIRGA_HTTP_NOW;
    }
    if (g_str_equal(request->path, "/upload")) {
        g_assert_true(request->body_in_file);
        *ret_response =
            text_response(200, g_strdup_printf("stored %" G_GSIZE_FORMAT, request->body_size));
        return VIRGA_HTTP_NOW;
    }
    *ret_response = text_response(200, g_strdup_printf("%s %s ? %s [%s] local=%d uid=%d",
                                                       request->method, request->path,
                                                       request->query, (const char *) request->body,
                                                       request->is_local, (int) request->peer_uid));
    virga_http_response_add_header(*ret_response, "X-Test", "yes");
    virga_http_response_add_header(*ret_response, "X-Bad", "a\r\nb");
    return VIRGA_HTTP_NOW;
}

static VirgaHttpResponse *
on_headers(const VirgaHttpRequest *request, VirgaHttpSink *sink, gpointer user_data)
{
    if (g_str_equal(request->path, "/refused"))
        return text_response(403, g_strdup("refused at once"));
    if (g_str_equal(request->path, "/upload")) {
        sink->fd = memfd_create("upload", MFD_CLOEXEC);
        sink->limit = 64 << 20;
    }
    return NULL;
}

static VirgaHttpResponse *
reject(const VirgaHttpRequest *request, unsigned status, gpointer user_data)
{
    return text_response(status, g_strdup_printf("rejected %u", status));
}

static void
set_up(Fixture *fixture, gconstpointer data)
{
    bool is_unix = data != NULL;
    VirgaHttpOptions options = { .handler = handle,
                                 .on_headers = on_headers,
                                 .reject = reject,
                                 .user_data = fixture,
                                 .body_limit = 100000,
                                 .workers = 4 };
    g_autoptr(GError) error = NULL;
    int fd;

    g_mutex_init(&fixture->mutex);
    fixture->kept = g_ptr_array_new();
    if (is_unix) {
        fixture->folder = g_dir_make_tmp("virga-test-XXXXXX", NULL);
        fixture->socket_path = g_build_filename(fixture->folder, "s", NULL);
        fd = virga_http_listen_unix(fixture->socket_path, 0660, &error);
    } else {
        fd = virga_http_listen_tcp("127.0.0.1:0", &error);
    }
    g_assert_no_error(error);
    fixture->server = virga_http_server_new(fd, &options, &error);
    g_assert_no_error(error);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    virga_http_server_stop(g_steal_pointer(&fixture->server), 0);
    for (guint i = 0; i < fixture->kept->len; i++)
        virga_http_reply(fixture->kept->pdata[i], text_response(200, g_strdup("too late")));
    g_ptr_array_unref(fixture->kept);
    g_mutex_clear(&fixture->mutex);
    if (fixture->socket_path) {
        g_unlink(fixture->socket_path);
        g_rmdir(fixture->folder);
    }
    g_free(fixture->socket_path);
    g_free(fixture->folder);
}

/* ---- the client ---- */

static int
connect_to(const Fixture *fixture)
{
    struct sockaddr_in tcp = { .sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                               .sin_port =
                                   htons((guint16) virga_http_server_port(fixture->server)) };
    struct sockaddr_un local = { .sun_family = AF_UNIX };
    int fd = socket(fixture->socket_path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(fd, >=, 0);
    if (fixture->socket_path) {
        g_strlcpy(local.sun_path, fixture->socket_path, sizeof local.sun_path);
        g_assert_cmpint(connect(fd, (struct sockaddr *) &local, sizeof local), ==, 0);
    } else {
        g_assert_cmpint(connect(fd, (struct sockaddr *) &tcp, sizeof tcp), ==, 0);
    }
    return fd;
}

static void
send_text(int fd, const char *text)
{
    g_assert_cmpint(send(fd, text, strlen(text), MSG_NOSIGNAL), ==, strlen(text));
}

/* Length of the first whole answer in 'text', or 0. */
static gsize
answer_length(const char *text)
{
    const char *end = strstr(text, "\r\n\r\n");
    const char *length = strstr(text, "Content-Length: ");
    gsize total;

    if (!end)
        return 0;
    total = (gsize) (end + 4 - text);
    if (length && length < end)
        total += g_ascii_strtoull(length + 16, NULL, 10);
    return strlen(text) >= total ? total : 0;
}

/* Reads one answer, or what comes before the end of the connection. */
static char *
receive(int fd)
{
    GString *text = g_string_new(NULL);
    char buffer[4096];

    while (!answer_length(text->str)) {
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        gssize size;

        g_assert_cmpint(poll(&ready, 1, STUCK_MS), >, 0);
        size = recv(fd, buffer, sizeof buffer, 0);
        if (size <= 0)
            break;
        g_string_append_len(text, buffer, size);
    }
    return g_string_free(text, FALSE);
}

static void
assert_answer(int fd, const char *status, const char *part)
{
    g_autofree char *text = receive(fd);

    if (!g_str_has_prefix(text, status) || !strstr(text, part))
        g_error("wanted %s with %s, got: %s", status, part, text);
}

/* ---- tests ---- */

static void
test_basics(Fixture *fixture, gconstpointer data)
{
    int fd = connect_to(fixture);

    send_text(fd, "GET /a%20b/?x=1&y=%20 HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_answer(fd, "HTTP/1.1 200", "GET /a%20b/ ? x=1&y=%20 []");
    send_text(fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    assert_answer(fd, "HTTP/1.1 200", "POST / ?  [hello]");
    send_text(fd, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    assert_answer(fd, "HTTP/1.1 200", "[abcde]");
    send_text(fd, "GET http://other/abs?q HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_answer(fd, "HTTP/1.1 200", "GET /abs ? q []");
    send_text(fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n"
                  "Expect: 100-continue\r\n\r\n");
    assert_answer(fd, "HTTP/1.1 100", "");
    send_text(fd, "ok");
    assert_answer(fd, "HTTP/1.1 200", "[ok]");
    send_text(fd, "GET /file HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_answer(fd, "HTTP/1.1 200", "\r\n\r\nELF");
    close(fd);
}

static void
test_unix(Fixture *fixture, gconstpointer data)
{
    g_autofree char *wanted = g_strdup_printf("local=1 uid=%d", (int) getuid());
    g_autoptr(GError) error = NULL;
    int fd = connect_to(fixture);

    send_text(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_answer(fd, "HTTP/1.1 200", wanted);
    g_assert_cmpint(virga_http_listen_unix(fixture->socket_path, 0600, &error), ==, -1);
    g_assert_nonnull(error); /* it is served */
    close(fd);
}

static void
test_limits(Fixture *fixture, gconstpointer data)
{
    g_autofree char *chunk = g_strnfill(0x10000, 'x');
    int fd = connect_to(fixture);

    send_text(fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100001\r\n\r\n");
    assert_answer(fd, "HTTP/1.1 413", "rejected 413");
    close(fd);
    fd = connect_to(fixture);
    send_text(fd, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n");
    send_text(fd, chunk);
    send_text(fd, "\r\n10000\r\n");
    send_text(fd, chunk);
    send_text(fd, "\r\n0\r\n\r\n");
    assert_answer(fd, "HTTP/1.1 413", "rejected 413");
    close(fd);
    fd = connect_to(fixture);
    send_text(fd, "POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 131072\r\n\r\n");
    send_text(fd, chunk);
    send_text(fd, chunk);
    assert_answer(fd, "HTTP/1.1 200", "stored 131072");
    send_text(fd, "GET /refused HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_answer(fd, "HTTP/1.1 403", "refused at once");
    close(fd);
}

static void
test_malformed(Fixture *fixture, gconstpointer data)
{
    static const char *const texts[] = {
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\x01\x02\x03\xff\r\n\r\n",
        "GET / HTTP/1.1\r\nbroken\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET /half HTTP/1.1\r\nHost",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nshort",
    };
    int fd;

    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
        fd = connect_to(fixture);
        send_text(fd, texts[i]);
        close(fd);
    }
    fd = connect_to(fixture);
    send_text(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_answer(fd, "HTTP/1.1 200", "GET /");
    close(fd);
}

static VirgaHttpExchange *
wait_for_kept(Fixture *fixture)
{
    VirgaHttpExchange *exchange = NULL;

    while (!exchange) {
        g_mutex_lock(&fixture->mutex);
        if (fixture->kept->len)
            exchange = g_ptr_array_steal_index(fixture->kept, 0);
        g_mutex_unlock(&fixture->mutex);
        g_thread_yield();
    }
    return exchange;
}

static void
test_later(Fixture *fixture, gconstpointer data)
{
    VirgaHttpExchange *exchange;
    int fd = connect_to(fixture);

    send_text(fd, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    exchange = wait_for_kept(fixture);
    virga_http_reply(exchange, text_response(200, g_strdup("at last")));
    assert_answer(fd, "HTTP/1.1 200", "at last");
    /* The deadline passes; the late reply is dropped. */
    send_text(fd, "GET /later HTTP/1.1\r\nHost: h\r\nX-Deadline: 1\r\n\r\n");
    exchange = wait_for_kept(fixture);
    assert_answer(fd, "HTTP/1.1 504", "rejected 504");
    virga_http_reply(exchange, text_response(200, g_strdup("too late")));
    /* The client goes away. */
    send_text(fd, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    exchange = wait_for_kept(fixture);
    close(fd);
    virga_http_reply(exchange, text_response(200, g_strdup("nobody listens")));
    while (virga_http_server_connections(fixture->server))
        g_thread_yield();
}

/* What still waits when the server stops is told so. */
static void
test_stop(Fixture *fixture, gconstpointer data)
{
    VirgaHttpExchange *exchange;
    int fd = connect_to(fixture);

    send_text(fd, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
    exchange = wait_for_kept(fixture);
    virga_http_server_stop(g_steal_pointer(&fixture->server), 0);
    assert_answer(fd, "HTTP/1.1 503", "rejected 503");
    virga_http_reply(exchange, text_response(200, g_strdup("too late")));
    close(fd);
}

typedef struct {
    int fd;
    int left;
    GString *text;
} Client;

static void
client_read(Client *client, unsigned *done)
{
    char buffer[4096];
    gssize size = recv(client->fd, buffer, sizeof buffer, 0);
    gsize length;

    g_assert_cmpint(size, >, 0);
    g_string_append_len(client->text, buffer, size);
    while ((length = answer_length(client->text->str))) {
        g_assert_true(g_str_has_prefix(client->text->str, "HTTP/1.1 200"));
        g_string_erase(client->text, 0, (gssize) length);
        ++*done;
        if (--client->left)
            send_text(client->fd, "GET /many HTTP/1.1\r\nHost: h\r\n\r\n");
    }
}

/* Some 600 at once, so that every number of ready events around 128 comes up. */
static void
test_many(Fixture *fixture, gconstpointer data)
{
    g_autofree Client *clients = g_new0(Client, CLIENTS);
    g_autofree struct pollfd *fds = g_new0(struct pollfd, CLIENTS);
    unsigned done = 0;

    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (Client){ connect_to(fixture), ROUNDS, g_string_new(NULL) };
        fds[i] = (struct pollfd){ clients[i].fd, POLLIN, 0 };
    }
    for (int i = 0; i < CLIENTS; i++)
        send_text(clients[i].fd, "GET /many HTTP/1.1\r\nHost: h\r\n\r\n");
    while (done < CLIENTS * ROUNDS) {
        g_assert_cmpint(poll(fds, CLIENTS, STUCK_MS), >, 0);
        for (int i = 0; i < CLIENTS; i++) {
            if (fds[i].revents)
                client_read(&clients[i], &done);
        }
    }
    g_assert_cmpuint(virga_http_server_connections(fixture->server), ==, CLIENTS);
    for (int i = 0; i < CLIENTS; i++) {
        close(clients[i].fd);
        g_string_free(clients[i].text, TRUE);
    }
}

int
main(int argc, char **argv)
{
    struct rlimit files;
    static const char on_unix[] = "unix";

    g_test_init(&argc, &argv, NULL);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = MIN(files.rlim_max, 8192);
    setrlimit(RLIMIT_NOFILE, &files);
    g_test_add("/server/basics", Fixture, NULL, set_up, test_basics, tear_down);
    g_test_add("/server/unix", Fixture, on_unix, set_up, test_unix, tear_down);
    g_test_add("/server/limits", Fixture, NULL, set_up, test_limits, tear_down);
    g_test_add("/server/malformed", Fixture, NULL, set_up, test_malformed, tear_down);
    g_test_add("/server/later", Fixture, NULL, set_up, test_later, tear_down);
    g_test_add("/server/stop", Fixture, NULL, set_up, test_stop, tear_down);
    g_test_add("/server/many", Fixture, NULL, set_up, test_many, tear_down);
    g_test_add("/server/many-unix", Fixture, on_unix, set_up, test_many, tear_down);
    return g_test_run();
}
