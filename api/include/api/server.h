/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server: listeners in, requests out to a pool of workers, answers back.
 *
 * Workers do the network I/O in turns, and each handles the requests that it finds; the handler may
 * block.  A request that waits (long-poll) holds no thread: its handler returns VIRGA_HTTP_LATER
 * and any thread calls virga_http_reply() when there is something to say.  Knows nothing of AWS. */
#pragma once

#include <gio/gio.h>
#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct VirgaHttpServer VirgaHttpServer;
typedef struct VirgaHttpExchange VirgaHttpExchange;
typedef struct VirgaHttpResponse VirgaHttpResponse;

typedef struct {
    const char *name;
    const char *value;
} VirgaHttpHeader;

/* Loans, valid until the exchange is answered. */
typedef struct {
    const char *method;
    const char *path;  /* as sent: still escaped */
    const char *query; /* as sent, without the question mark; "" if there is none */
    const VirgaHttpHeader *headers;
    gsize header_count;
    const guint8 *body; /* NUL-terminated for comfort; empty if it went to a sink */
    gsize body_size;    /* of the body, also of one that went to a sink */
    bool body_in_file;  /* it went to a sink, at 'body_fd', a loan */
    int body_fd;
    const char *peer; /* "192.0.2.1", or "unix" */
    bool is_local;    /* came by a Unix socket; the next three are the kernel's word */
    pid_t peer_pid;
    uid_t peer_uid;
    gid_t peer_gid;
} VirgaHttpRequest;

/* The first header called 'name' in any case, or NULL; a loan. */
const char *virga_http_header(const VirgaHttpRequest *request, const char *name);

/* ---- answers ---- */

/* Takes 'body' (NULL: none).  'content_type' may be NULL. */
VirgaHttpResponse *virga_http_response_new(unsigned status, const char *content_type, GBytes *body);

/* An answer from a file, sent without copying.  Takes 'fd' and closes it. */
VirgaHttpResponse *virga_http_response_new_fd(unsigned status, const char *content_type, int fd,
                                              guint64 offset, guint64 size);

/* A header with CR or LF in it is left out. */
void virga_http_response_add_header(VirgaHttpResponse *response, const char *name,
                                    const char *value);

unsigned virga_http_response_status(const VirgaHttpResponse *response);
/* The body in memory, a loan; NULL if there is none or it is a file. */
GBytes *virga_http_response_body(const VirgaHttpResponse *response);
const char *virga_http_response_header(const VirgaHttpResponse *response, const char *name);

void virga_http_response_free(VirgaHttpResponse *response);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaHttpResponse, virga_http_response_free)

/* ---- hooks ---- */

typedef enum {
    VIRGA_HTTP_NOW,   /* *ret_response is the answer */
    VIRGA_HTTP_LATER, /* virga_http_reply() will be called exactly once, perhaps already */
} VirgaHttpOutcome;

/* Answers a request; runs on a worker thread. */
typedef VirgaHttpOutcome (*VirgaHttpHandler)(VirgaHttpExchange *exchange,
                                             const VirgaHttpRequest *request,
                                             VirgaHttpResponse **ret_response, gpointer user_data);

/* Where a body goes.  Preset with the listener's limit and no file. */
typedef struct {
    guint64 limit; /* bytes */
    int fd;        /* -1: memory; otherwise the server writes there, and closes it afterwards */
} VirgaHttpSink;

/* Sees the headers before the body is read, within a turn, so it must not block.  May change
 * 'sink', or return an answer that refuses the body.  NULL: go on. */
typedef VirgaHttpResponse *(*VirgaHttpOnHeaders)(const VirgaHttpRequest *request,
                                                 VirgaHttpSink *sink, gpointer user_data);

/* The answer when the server itself refuses: 413 (the body is over its limit), 503 (no worker has
 * room, or the server stops), 504 (the deadline passed).  Within a turn: must not block. */
typedef VirgaHttpResponse *(*VirgaHttpReject)(const VirgaHttpRequest *request, unsigned status,
                                              gpointer user_data);

typedef struct {
    VirgaHttpHandler handler; /* required */
    VirgaHttpOnHeaders on_headers;
    VirgaHttpReject reject; /* NULL: an empty answer */
    gpointer user_data;
    unsigned workers;        /* 0: 8 */
    unsigned queue_max;      /* requests waiting for a worker; 0: 4096 */
    unsigned connections;    /* 0: 4096 */
    unsigned idle_timeout_s; /* 0: 60 */
    unsigned deadline_ms;    /* of an exchange; 0: 120000 */
    gsize body_limit;        /* 0: 2 MiB */
} VirgaHttpOptions;

/* ---- exchanges ---- */

/* Answers an exchange whose handler returned, or is about to return, VIRGA_HTTP_LATER.  Any thread,
 * exactly once; takes 'response'.  Harmless if the client has gone or the deadline has passed.  The
 * exchange and its request are no longer the caller's afterwards. */
void virga_http_reply(VirgaHttpExchange *exchange, VirgaHttpResponse *response);

/* Moves the deadline to 'deadline_ms' from now. */
void virga_http_set_deadline(VirgaHttpExchange *exchange, unsigned deadline_ms);

/* ---- servers ---- */

/* Serves a listening TCP socket, which it takes. */
VirgaHttpServer *virga_http_server_new(int listen_fd, const VirgaHttpOptions *options,
                                       GError **error);

/* Listens on "ADDRESS:PORT" ("[::1]:0").  The caller owns the descriptor; -1 on failure. */
int virga_http_listen_tcp(const char *address, GError **error);

/* Listens on a Unix socket, which replaces a stale one.  Fails with IN_USE if someone serves it. */
int virga_http_listen_unix(const char *path, mode_t mode, GError **error);

/* The port of a TCP listener, 0 for others. */
unsigned virga_http_server_port(const VirgaHttpServer *server);

/* Open connections: for tests. */
unsigned virga_http_server_connections(VirgaHttpServer *server);

/* Stops: accepts no more, lets running exchanges end for 'drain_ms', answers the rest with 503,
 * waits for handlers that are at work and frees the server.  Handlers that keep an exchange must
 * still call virga_http_reply(), also after this. */
void virga_http_server_stop(VirgaHttpServer *server, unsigned drain_ms);
