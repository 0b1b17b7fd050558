/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd, and the only file that knows it.
 *
 * The daemon runs without threads of its own: with internal epoll threads, exactly 128 ready events
 * make libmicrohttpd sleep for its time-out before serving them.  Instead every worker waits for
 * events itself, takes a turn of MHD_run(), and handles a request that this brought in: a request
 * is read, worked on and answered by one thread, without being handed over.  Turns are taken under
 * a lock that nobody waits for: who finds it held leaves a note, and the holder takes one more.
 * The workers wait in an epoll instance around libmicrohttpd's own, edge-triggered, so that an
 * event wakes one of them.  One more thread, the clock, keeps deadlines, and takes in what comes
 * while all workers are busy.
 *
 * Life of an exchange:
 *     RECEIVING  headers and body are collected in turns
 *     RUNNING    the connection is suspended; a worker or a waiting handler has the exchange
 *     ANSWERED   resumed, or refused by the server itself; the answer is sent in turns
 * It has two owners, the connection and the handler; whoever lets go last frees it.  A suspended
 * connection is never freed by libmicrohttpd, so a client that goes away is noticed only when the
 * answer is sent.  The server outlives its exchanges' handlers in the same way: by reference. */
#include "http-message.h"
#include "core/arena.h"
#include "core/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEFAULT_WORKERS        8
#define DEFAULT_QUEUE_MAX      4096
#define DEFAULT_CONNECTIONS    4096
#define DEFAULT_IDLE_TIMEOUT_S 60
#define DEFAULT_DEADLINE_MS    120000
#define DEFAULT_BODY_LIMIT     ((gsize) 2 << 20)
#define CONNECTION_MEMORY      ((gsize) 32 << 10)   /* half of it for headers */
#define DISCARD_MAX            ((guint64) 64 << 20) /* of a body that is refused already */
#define DEADLINE_CHECK_MS      250
#define IDLE_TURNS_MAX         64 /* in a row, in which no request gets on */
#define RESTLESS_MS            1
#define STOP_FLUSH_MS          2000

typedef enum { RECEIVING, RUNNING, ANSWERED } State;

struct VirgaHttpServer {
    VirgaHttpOptions options;
    int events_fd, wake_fd; /* the workers' epoll; an eventfd in it */
    unsigned port;
    bool is_unix;
    GThread *clock, **workers;
    int stopping;    /* atomic */
    int dismissed;   /* atomic; workers go when nothing is ready */
    int connections; /* atomic */
    int owed;        /* atomic; requests read in full whose answers are not sent in full */
    gint64 last_check_ms;

    GMutex turn;               /* over the daemon and 'progress' */
    struct MHD_Daemon *daemon; /* NULL once it is stopped */
    guint64 progress;          /* calls of ours by libmicrohttpd */
    int wanted;                /* atomic; a turn is */
    int restless;              /* atomic; it wants turns, and nothing comes of them */

    GMutex mutex; /* over the queues and what is marked below */
    GQueue running;
    GQueue ready;   /* those of them that no worker has yet */
    int references; /* atomic */
};

struct VirgaHttpExchange {
    VirgaHttpServer *server;
    struct MHD_Connection *connection;
    int references;  /* atomic */
    State state;     /* server->mutex */
    gint64 deadline; /* server->mutex; monotonic ms */
    GList link;      /* in 'running'; server->mutex */
    VirgaHttpResponse *response;

    bool started, refused, owed;
    unsigned refused_status;
    VirgaArena *arena; /* the texts of 'request': libmicrohttpd's own may go before the handler */
    VirgaHttpRequest request;
    GArray *headers;
    GByteArray *body;
    VirgaHttpSink sink;
    guint64 received;
    char peer[INET6_ADDRSTRLEN];
};

static gint64
now_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

/* ---- lifetimes ---- */

static void
server_unref(VirgaHttpServer *server)
{
    if (!g_atomic_int_dec_and_test(&server->references))
        return;
    if (server->wake_fd >= 0)
        close(server->wake_fd);
    if (server->events_fd >= 0)
        close(server->events_fd);
    g_mutex_clear(&server->mutex);
    g_mutex_clear(&server->turn);
    g_free(server->workers);
    g_free(server);
}

static void
exchange_unref(VirgaHttpExchange *exchange)
{
    if (!g_atomic_int_dec_and_test(&exchange->references))
        return;
    virga_http_response_free(exchange->response);
    if (exchange->headers)
        g_array_unref(exchange->headers);
    if (exchange->body)
        g_byte_array_unref(exchange->body);
    if (exchange->sink.fd >= 0)
        close(exchange->sink.fd);
    server_unref(exchange->server);
    virga_arena_free(exchange->arena);
    g_free(exchange);
}

/* ---- receiving ---- */

/* Cuts "scheme://authority" off, which clients of proxies send, and splits at the query. */
static void
set_target(VirgaHttpExchange *exchange, const char *uri)
{
    const char *scheme = strstr(uri, "://");
    char *path, *query;

    if (*uri != '/' && scheme) {
        const char *slash = strchr(scheme + 3, '/');
        uri = slash ? slash : "/";
    }
    path = virga_arena_strdup(exchange->arena, uri);
    query = strchr(path, '?');
    if (query)
        *query++ = '\0';
    exchange->request.path = path;
    exchange->request.query = query ? query : "";
}

/* libmicrohttpd calls this once per request, as soon as the request line is read. */
static void *
on_uri(void *user_data, const char *uri, struct MHD_Connection *connection)
{
    VirgaHttpServer *server = user_data;
    VirgaHttpExchange *exchange = g_new0(VirgaHttpExchange, 1);

    server->progress++;
    exchange->server = server;
    exchange->arena = virga_arena_new();
    g_atomic_int_inc(&server->references);
    exchange->connection = connection;
    exchange->references = 1;
    exchange->link.data = exchange;
    exchange->sink = (VirgaHttpSink){ server->options.body_limit, -1 };
    set_target(exchange, uri);
    return exchange;
}

static enum MHD_Result
add_header(void *user_data, enum MHD_ValueKind kind, const char *name, const char *value)
{
    VirgaHttpExchange *exchange = user_data;
    VirgaHttpHeader header = { virga_arena_strdup(exchange->arena, name),
                               virga_arena_strdup(exchange->arena, value ? value : "") };

    g_array_append_val(exchange->headers, header);
    return MHD_YES;
}

static void
set_peer(VirgaHttpExchange *exchange)
{
    VirgaHttpRequest *request = &exchange->request;
    const union MHD_ConnectionInfo *info;
    struct ucred peer;
    socklen_t size = sizeof peer;

    request->is_local = exchange->server->is_unix;
    request->peer_uid = (uid_t) -1;
    request->peer_gid = (gid_t) -1;
    request->peer = request->is_local ? "unix" : exchange->peer;
    if (request->is_local) {
        info = MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        if (info && getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0) {
            request->peer_pid = peer.pid;
            request->peer_uid = peer.uid;
            request->peer_gid = peer.gid;
        }
        return;
    }
    info = MHD_get_connection_info(exchange->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!info || !info->client_addr)
        return;
    if (info->client_addr->sa_family == AF_INET)
        inet_ntop(AF_INET, &((struct sockaddr_in *) info->client_addr)->sin_addr, exchange->peer,
                  sizeof exchange->peer);
    else if (info->client_addr->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *) info->client_addr)->sin6_addr, exchange->peer,
                  sizeof exchange->peer);
}

static enum MHD_Result
send_response(VirgaHttpExchange *exchange)
{
    VirgaHttpResponse *response = exchange->response;
    struct MHD_Response *out;
    enum MHD_Result result;
    gsize size = 0;
    const void *data = response->body ? g_bytes_get_data(response->body, &size) : NULL;

    if (response->fd >= 0) {
        out =
            MHD_create_response_from_fd_at_offset64(response->size, response->fd, response->offset);
        response->fd = -1; /* libmicrohttpd's now */
    } else {
        /* Persistent: the exchange, and with it the body, lives until the answer is sent. */
        out = MHD_create_response_from_buffer(size, (void *) data, MHD_RESPMEM_PERSISTENT);
    }
    if (!out)
        return MHD_NO;
    for (guint i = 0; i < response->headers->len; i++) {
        VirgaHttpHeader *header = &g_array_index(response->headers, VirgaHttpHeader, i);
        MHD_add_response_header(out, header->name, header->value);
    }
    result = MHD_queue_response(exchange->connection, response->status, out);
    MHD_destroy_response(out);
    return result;
}

static VirgaHttpResponse *
rejection(VirgaHttpExchange *exchange, unsigned status)
{
    const VirgaHttpOptions *options = &exchange->server->options;
    VirgaHttpResponse *response = NULL;

    if (options->reject)
        response = options->reject(&exchange->request, status, options->user_data);
    return response ? response : virga_http_response_new(status, NULL, NULL);
}

/* The server's own answer, within a turn, while the connection is not suspended. */
static enum MHD_Result
refuse(VirgaHttpExchange *exchange, VirgaHttpResponse *response)
{
    exchange->state = ANSWERED;
    exchange->response = response;
    return send_response(exchange);
}

static enum MHD_Result
begin(VirgaHttpExchange *exchange, const char *method)
{
    const VirgaHttpOptions *options = &exchange->server->options;
    VirgaHttpRequest *request = &exchange->request;
    VirgaHttpResponse *response = NULL;
    const char *length;

    exchange->started = true;
    exchange->headers = g_array_new(FALSE, FALSE, sizeof(VirgaHttpHeader));
    MHD_get_connection_values(exchange->connection, MHD_HEADER_KIND, add_header, exchange);
    request->method = virga_arena_strdup(exchange->arena, method);
    request->headers = (VirgaHttpHeader *) (void *) exchange->headers->data;
    request->header_count = exchange->headers->len;
    request->body = (const guint8 *) "";
    set_peer(exchange);
    if (options->on_headers)
        response = options->on_headers(request, &exchange->sink, options->user_data);
    if (response)
        return refuse(exchange, response);
    length = virga_http_header(request, "Content-Length");
    if (length && g_ascii_strtoull(length, NULL, 10) > exchange->sink.limit)
        return refuse(exchange, rejection(exchange, 413));
    return MHD_YES;
}

static bool
write_all(int fd, const char *data, gsize size)
{
    while (size) {
        gssize written = write(fd, data, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        data += written;
        size -= (gsize) written;
    }
    return true;
}

/* An answer cannot be sent while the body still comes, so a refused body is read and dropped, up to
 * a point. */
static enum MHD_Result
receive(VirgaHttpExchange *exchange, const char *data, gsize size)
{
    exchange->received += size;
    if (exchange->refused)
        return exchange->received > exchange->sink.limit + DISCARD_MAX ? MHD_NO : MHD_YES;
    if (exchange->received > exchange->sink.limit) {
        exchange->refused = true;
        exchange->refused_status = 413;
        g_clear_pointer(&exchange->body, g_byte_array_unref);
        return MHD_YES;
    }
    if (exchange->sink.fd >= 0) {
        if (!write_all(exchange->sink.fd, data, size)) {
            exchange->refused = true;
            exchange->refused_status = 503;
        }
        return MHD_YES;
    }
    if (!exchange->body)
        exchange->body = g_byte_array_new();
    g_byte_array_append(exchange->body, (const guint8 *) data, (guint) size);
    return MHD_YES;
}

/* ---- running ---- */

/* Wakes a worker. */
static void
wake(VirgaHttpServer *server)
{
    guint64 one = 1;

    if (write(server->wake_fd, &one, sizeof one) < 0)
        g_debug("the workers have wakes enough");
}

/* Answers an exchange that is not answered yet.  The answer goes out with the next turn. */
static void
answer(VirgaHttpExchange *exchange, VirgaHttpResponse *response)
{
    VirgaHttpServer *server = exchange->server;

    g_mutex_lock(&server->mutex);
    if (exchange->state == RUNNING) {
        exchange->state = ANSWERED;
        exchange->response = g_steal_pointer(&response);
        g_queue_unlink(&server->running, &exchange->link);
        MHD_resume_connection(exchange->connection);
    }
    g_mutex_unlock(&server->mutex);
    virga_http_response_free(response);
}

void
virga_http_reply(VirgaHttpExchange *exchange, VirgaHttpResponse *response)
{
    answer(exchange, response);
    wake(exchange->server); /* the caller may hold locks that must not be held in a turn */
    exchange_unref(exchange);
}

void
virga_http_set_deadline(VirgaHttpExchange *exchange, unsigned deadline_ms)
{
    g_mutex_lock(&exchange->server->mutex);
    exchange->deadline = now_ms() + deadline_ms;
    g_mutex_unlock(&exchange->server->mutex);
}

static void
work(VirgaHttpExchange *exchange)
{
    const VirgaHttpOptions *options = &exchange->server->options;
    VirgaHttpResponse *response = NULL;

    if (options->handler(exchange, &exchange->request, &response, options->user_data) ==
        VIRGA_HTTP_LATER)
        return;
    g_assert(response);
    answer(exchange, response);
    exchange_unref(exchange);
}

static bool
has_room(VirgaHttpServer *server)
{
    bool room;

    g_mutex_lock(&server->mutex);
    room = g_queue_get_length(&server->ready) < server->options.queue_max;
    g_mutex_unlock(&server->mutex);
    return room;
}

static enum MHD_Result
dispatch(VirgaHttpExchange *exchange)
{
    VirgaHttpServer *server = exchange->server;
    VirgaHttpRequest *request = &exchange->request;

    exchange->owed = true;
    g_atomic_int_inc(&server->owed);
    if (exchange->refused)
        return refuse(exchange, rejection(exchange, exchange->refused_status));
    if (!has_room(server) || g_atomic_int_get(&server->stopping))
        return refuse(exchange, rejection(exchange, 503));
    request->body_size = (gsize) exchange->received;
    request->body_fd = exchange->sink.fd;
    request->body_in_file = exchange->sink.fd >= 0;
    if (exchange->body) {
        g_byte_array_append(exchange->body, (const guint8 *) "", 1);
        request->body = exchange->body->data;
    }
    MHD_suspend_connection(exchange->connection);
    g_mutex_lock(&server->mutex);
    exchange->state = RUNNING;
    exchange->deadline = now_ms() + server->options.deadline_ms;
    g_queue_push_tail_link(&server->running, &exchange->link);
    g_atomic_int_inc(&exchange->references);
    g_queue_push_tail(&server->ready, exchange);
    g_mutex_unlock(&server->mutex);
    return MHD_YES;
}

static enum MHD_Result
on_access(void *user_data, struct MHD_Connection *connection, const char *url, const char *method,
          const char *version, const char *data, size_t *size, void **context)
{
    VirgaHttpServer *server = user_data;
    VirgaHttpExchange *exchange = *context;

    server->progress++;
    if (!exchange)
        return MHD_NO;
    if (!exchange->started)
        return begin(exchange, method);
    if (exchange->state == ANSWERED)
        return send_response(exchange);
    if (*size) {
        enum MHD_Result result = receive(exchange, data, *size);
        *size = 0;
        return result;
    }
    return dispatch(exchange);
}

static void
on_completed(void *user_data, struct MHD_Connection *connection, void **context,
             enum MHD_RequestTerminationCode reason)
{
    VirgaHttpServer *server = user_data;
    VirgaHttpExchange *exchange = *context;

    server->progress++;
    *context = NULL;
    if (!exchange)
        return;
    if (exchange->owed)
        g_atomic_int_add(&server->owed, -1);
    exchange_unref(exchange);
}

static void
on_connection(void *user_data, struct MHD_Connection *connection, void **context,
              enum MHD_ConnectionNotificationCode code)
{
    VirgaHttpServer *server = user_data;

    server->progress++;
    g_atomic_int_add(&server->connections, code == MHD_CONNECTION_NOTIFY_STARTED ? 1 : -1);
}

/* ---- turns ---- */

/* Answers for handlers that are late; 'all' for every one. */
static void
expire(VirgaHttpServer *server, bool all)
{
    gint64 now = now_ms();

    g_mutex_lock(&server->mutex);
    for (GList *link = server->running.head, *next; link; link = next) {
        VirgaHttpExchange *exchange = link->data;

        next = link->next;
        if (!all && exchange->deadline > now)
            continue;
        exchange->state = ANSWERED;
        exchange->response = rejection(exchange, all ? 503 : 504);
        g_queue_unlink(&server->running, link);
        MHD_resume_connection(exchange->connection);
    }
    g_mutex_unlock(&server->mutex);
}

/* Takes turns until libmicrohttpd has nothing more to do, or nothing comes of it: some malformed
 * requests make it ask for turns without end. */
static void
take_turns(VirgaHttpServer *server)
{
    unsigned idle = 0, idle_max = g_atomic_int_get(&server->restless) ? 1 : IDLE_TURNS_MAX;

    while (g_atomic_int_compare_and_exchange(&server->wanted, 1, 0)) {
        guint64 progress = server->progress;
        MHD_UNSIGNED_LONG_LONG timeout;
        bool more;

        if (!server->daemon)
            continue;
        MHD_run(server->daemon);
        more = MHD_get_timeout(server->daemon, &timeout) == MHD_YES && timeout == 0;
        idle = server->progress == progress ? idle + 1 : 0;
        g_atomic_int_set(&server->restless, more && idle >= idle_max);
        if (more && idle < idle_max)
            g_atomic_int_set(&server->wanted, 1);
    }
}

/* Sees to it that a turn is taken from now on, by whoever is at it. */
static void
turn(VirgaHttpServer *server)
{
    g_atomic_int_set(&server->wanted, 1);
    while (g_atomic_int_get(&server->wanted) && g_mutex_trylock(&server->turn)) {
        take_turns(server);
        g_mutex_unlock(&server->turn);
    }
}

static void
wait_for_events(VirgaHttpServer *server, int timeout_ms)
{
    struct epoll_event event;

    if (g_atomic_int_get(&server->restless))
        timeout_ms = RESTLESS_MS;
    epoll_wait(server->events_fd, &event, 1, timeout_ms);
}

/* The next request to work on, or NULL.  If there are more, another worker is woken. */
static VirgaHttpExchange *
take_ready(VirgaHttpServer *server)
{
    VirgaHttpExchange *exchange;
    bool more;

    g_mutex_lock(&server->mutex);
    exchange = g_queue_pop_head(&server->ready);
    more = !g_queue_is_empty(&server->ready);
    g_mutex_unlock(&server->mutex);
    if (more)
        wake(server);
    return exchange;
}

static gpointer
worker_main(gpointer data)
{
    VirgaHttpServer *server = data;

    for (;;) {
        VirgaHttpExchange *exchange = take_ready(server);

        if (exchange)
            work(exchange);
        else if (g_atomic_int_get(&server->dismissed))
            break;
        else
            wait_for_events(server, -1);
        turn(server);
    }
    wake(server); /* an edge wakes one: each tells the next */
    return NULL;
}

/* The clock's own turn: it works on no request. */
static void
tick(VirgaHttpServer *server, int timeout_ms)
{
    bool ready;

    wait_for_events(server, timeout_ms);
    if (now_ms() - server->last_check_ms >= DEADLINE_CHECK_MS) {
        server->last_check_ms = now_ms();
        expire(server, false);
    }
    turn(server);
    g_mutex_lock(&server->mutex);
    ready = !g_queue_is_empty(&server->ready);
    g_mutex_unlock(&server->mutex);
    if (ready)
        wake(server);
}

static void
stop_daemon(VirgaHttpServer *server)
{
    g_mutex_lock(&server->turn);
    MHD_stop_daemon(server->daemon);
    server->daemon = NULL;
    g_mutex_unlock(&server->turn);
}

/* Exchanges that handlers are at or keep. */
static unsigned
count_running(VirgaHttpServer *server)
{
    unsigned count;

    g_mutex_lock(&server->mutex);
    count = g_queue_get_length(&server->running);
    g_mutex_unlock(&server->mutex);
    return count;
}

static gpointer
clock_main(gpointer data)
{
    VirgaHttpServer *server = data;
    int listen_fd;
    gint64 end, drained;

    while (!g_atomic_int_get(&server->stopping))
        tick(server, DEADLINE_CHECK_MS);
    g_mutex_lock(&server->turn);
    listen_fd = MHD_quiesce_daemon(server->daemon);
    g_mutex_unlock(&server->turn);
    if (listen_fd >= 0)
        close(listen_fd);
    /* 'stopping' is 1 + the milliseconds to drain. */
    drained = now_ms() + g_atomic_int_get(&server->stopping) - 1;
    while (count_running(server) && now_ms() < drained)
        tick(server, 10);
    expire(server, true);
    /* Resumed connections are taken up by the first turn; then answers go out. */
    end = now_ms() + STOP_FLUSH_MS;
    do
        tick(server, 10);
    while (now_ms() < end && g_atomic_int_get(&server->owed));
    stop_daemon(server);
    return NULL;
}

/* ---- servers ---- */

static void
set_defaults(VirgaHttpOptions *options)
{
    options->workers = options->workers ? options->workers : DEFAULT_WORKERS;
    options->queue_max = options->queue_max ? options->queue_max : DEFAULT_QUEUE_MAX;
    options->connections = options->connections ? options->connections : DEFAULT_CONNECTIONS;
    options->idle_timeout_s =
        options->idle_timeout_s ? options->idle_timeout_s : DEFAULT_IDLE_TIMEOUT_S;
    options->deadline_ms = options->deadline_ms ? options->deadline_ms : DEFAULT_DEADLINE_MS;
    options->body_limit = options->body_limit ? options->body_limit : DEFAULT_BODY_LIMIT;
}

static void G_GNUC_PRINTF(2, 0) log_mhd(void *user_data, const char *format, va_list args)
{
    g_autofree char *text = g_strdup_vprintf(format, args);
    g_debug("%s", g_strchomp(text));
}

static struct MHD_Daemon *
start_daemon(VirgaHttpServer *server, int listen_fd)
{
    const VirgaHttpOptions *options = &server->options;

    return MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_access,
        server, MHD_OPTION_EXTERNAL_LOGGER, log_mhd, NULL, MHD_OPTION_LISTEN_SOCKET, listen_fd,
        MHD_OPTION_URI_LOG_CALLBACK, on_uri, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_CONNECTION_LIMIT,
        options->connections, MHD_OPTION_CONNECTION_TIMEOUT, options->idle_timeout_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, MHD_OPTION_END);
}

static void
look_at_socket(VirgaHttpServer *server, int listen_fd)
{
    struct sockaddr_storage address = { 0 };
    socklen_t size = sizeof address;

    if (getsockname(listen_fd, (struct sockaddr *) &address, &size) < 0)
        return;
    server->is_unix = address.ss_family == AF_UNIX;
    if (address.ss_family == AF_INET)
        server->port = ntohs(((struct sockaddr_in *) &address)->sin_port);
    else if (address.ss_family == AF_INET6)
        server->port = ntohs(((struct sockaddr_in6 *) &address)->sin6_port);
}

/* libmicrohttpd's events and our own wake one of those who wait. */
static bool
watch(VirgaHttpServer *server)
{
    int inner = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->listen_fd;
    struct epoll_event event = { .events = EPOLLIN | EPOLLET };

    return epoll_ctl(server->events_fd, EPOLL_CTL_ADD, inner, &event) == 0 &&
           epoll_ctl(server->events_fd, EPOLL_CTL_ADD, server->wake_fd, &event) == 0;
}

static bool
start(VirgaHttpServer *server, int listen_fd)
{
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    server->events_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server->wake_fd >= 0 && server->events_fd >= 0)
        server->daemon = start_daemon(server, listen_fd);
    if (!server->daemon)
        return false;
    if (watch(server))
        return true;
    MHD_quiesce_daemon(server->daemon); /* the listener is the caller's still */
    MHD_stop_daemon(server->daemon);
    server->daemon = NULL;
    return false;
}

VirgaHttpServer *
virga_http_server_new(int listen_fd, const VirgaHttpOptions *options, GError **error)
{
    VirgaHttpServer *server = g_new0(VirgaHttpServer, 1);

    g_assert(options->handler);
    server->references = 1;
    server->options = *options;
    set_defaults(&server->options);
    g_mutex_init(&server->mutex);
    g_mutex_init(&server->turn);
    look_at_socket(server, listen_fd);
    if (!start(server, listen_fd)) {
        virga_fail(error, "listener", VIRGA_ERROR_INTERNAL, "could not start the HTTP server");
        close(listen_fd);
        server_unref(server);
        return NULL;
    }
    server->workers = g_new(GThread *, server->options.workers);
    for (unsigned i = 0; i < server->options.workers; i++)
        server->workers[i] = g_thread_new("worker", worker_main, server);
    server->clock = g_thread_new("http", clock_main, server);
    return server;
}

unsigned
virga_http_server_port(const VirgaHttpServer *server)
{
    return server->port;
}

unsigned
virga_http_server_connections(VirgaHttpServer *server)
{
    return (unsigned) g_atomic_int_get(&server->connections);
}

void
virga_http_server_stop(VirgaHttpServer *server, unsigned drain_ms)
{
    if (!server)
        return;
    g_atomic_int_set(&server->stopping, 1 + (int) MIN(drain_ms, G_MAXINT - 1));
    g_thread_join(server->clock);
    g_atomic_int_set(&server->dismissed, 1);
    wake(server);
    for (unsigned i = 0; i < server->options.workers; i++)
        g_thread_join(server->workers[i]);
    server_unref(server);
}
