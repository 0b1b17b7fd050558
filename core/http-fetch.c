/* SPDX-License-Identifier: Apache-2.0 */
#include "core/http-fetch.h"

#include "core/error.h"

#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_MS    30000L
#define REDIRECTS_MAX 5L
#define STALLED_S     60L

/* ---- where to ---- */

typedef enum { PUBLIC, PRIVATE, NEAR } Reach;

typedef struct {
    guint32 network;
    int bits;
    Reach reach;
} Block4;

static const Block4 blocks4[] = {
    { 0x00000000, 8, NEAR },     /* this network */
    { 0x7f000000, 8, NEAR },     /* loopback */
    { 0xa9fe0000, 16, NEAR },    /* link-local: the metadata of the clouds */
    { 0xe0000000, 3, NEAR },     /* multicast, reserved, broadcast */
    { 0x0a000000, 8, PRIVATE },  /* private */
    { 0xac100000, 12, PRIVATE }, /* private */
    { 0xc0a80000, 16, PRIVATE }, /* private */
    { 0x64400000, 10, PRIVATE }, /* shared by a provider's customers */
    { 0xc6120000, 15, PRIVATE }, /* benchmarks: the usual public addresses of guests */
    { 0xc0000000, 24, PRIVATE }, /* protocol assignments */
};

static Reach
reach_of4(guint32 address)
{
    for (size_t i = 0; i < G_N_ELEMENTS(blocks4); i++)
        if ((address ^ blocks4[i].network) >> (32 - blocks4[i].bits) == 0)
            return blocks4[i].reach;
    return PUBLIC;
}

static guint32
tail_of(const guint8 bytes[static 16], int at)
{
    return (guint32) bytes[at] << 24 | (guint32) bytes[at + 1] << 16 |
           (guint32) bytes[at + 2] << 8 | bytes[at + 3];
}

static Reach
reach_of6(const struct in6_addr *address)
{
    static const guint8 translated[12] = { 0x00, 0x64, 0xff, 0x9b };
    const guint8 *bytes = address->s6_addr;

    if (IN6_IS_ADDR_V4MAPPED(address) || memcmp(bytes, translated, sizeof translated) == 0)
        return reach_of4(tail_of(bytes, 12));
    if (bytes[0] == 0x20 && bytes[1] == 0x02) /* 6to4 */
        return reach_of4(tail_of(bytes, 2));
    if ((bytes[0] & 0xe0) == 0x20) /* the one block of global addresses */
        return PUBLIC;
    return (bytes[0] & 0xfe) == 0xfc ? PRIVATE : NEAR; /* unique local; all else */
}

bool
virga_fetch_scope_has(VirgaFetchScope scope, const struct sockaddr *address)
{
    Reach reach = NEAR;

    if (scope == VIRGA_FETCH_ANY)
        return true;
    if (address->sa_family == AF_INET)
        reach = reach_of4(
            ntohl(((const struct sockaddr_in *) (const void *) address)->sin_addr.s_addr));
    else if (address->sa_family == AF_INET6)
        reach = reach_of6(&((const struct sockaddr_in6 *) (const void *) address)->sin6_addr);
    return reach == PUBLIC || (reach == PRIVATE && scope == VIRGA_FETCH_PRIVATE);
}

/* ---- the transfer ---- */

typedef struct {
    const VirgaFetch *fetch;
    int fd, failure; /* errno of a write */
    gint64 bytes;
    bool refused, too_long, stopped;
} Transfer;

static curl_socket_t
on_socket(void *data, curlsocktype purpose, struct curl_sockaddr *address)
{
    Transfer *transfer = data;

    if (!virga_fetch_scope_has(transfer->fetch->scope, &address->addr)) {
        transfer->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t
on_bytes(char *bytes, size_t size, size_t count, void *data)
{
    Transfer *transfer = data;
    size_t length = size * count;

    transfer->too_long = transfer->bytes + (gint64) length > transfer->fetch->bytes_max;
    if (transfer->too_long)
        return 0;
    for (size_t at = 0; at < length;) {
        ssize_t written = write(transfer->fd, bytes + at, length - at);

        if (written < 0 && errno != EINTR) {
            transfer->failure = errno;
            return 0;
        }
        at += written > 0 ? (size_t) written : 0;
    }
    transfer->bytes += (gint64) length;
    return length;
}

static int
on_progress(void *data, curl_off_t total, curl_off_t bytes, curl_off_t a, curl_off_t b)
{
    Transfer *transfer = data;

    transfer->stopped = transfer->fetch->watch &&
                        !transfer->fetch->watch(transfer->bytes, total, transfer->fetch->data);
    return transfer->stopped;
}

static void
set_options(CURL *curl, const char *url, Transfer *transfer)
{
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long) transfer->fetch->timeout_s);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, STALLED_S);
    curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t) transfer->fetch->bytes_max);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
}

static bool
fail(const Transfer *transfer, CURLcode outcome, long status, GError **error)
{
    if (transfer->stopped)
        return virga_fail(error, "fetch", VIRGA_ERROR_STATE, "the transfer was ended");
    if (transfer->failure)
        return virga_fail(error, "fetch",
                          transfer->failure == ENOSPC ? VIRGA_ERROR_CAPACITY : VIRGA_ERROR_INTERNAL,
                          "could not keep what was fetched: %s", g_strerror(transfer->failure));
    if (transfer->too_long || outcome == CURLE_FILESIZE_EXCEEDED)
        return virga_fail(error, "fetch", VIRGA_ERROR_INVALID,
                          "the file is longer than %" G_GINT64_FORMAT " bytes",
                          transfer->fetch->bytes_max);
    if (outcome == CURLE_HTTP_RETURNED_ERROR)
        return virga_fail(error, "fetch", status >= 500 ? VIRGA_ERROR_RETRY : VIRGA_ERROR_INVALID,
                          "the server answered %ld", status);
    if (outcome == CURLE_UNSUPPORTED_PROTOCOL || outcome == CURLE_URL_MALFORMAT ||
        outcome == CURLE_TOO_MANY_REDIRECTS)
        return virga_fail(error, "fetch", VIRGA_ERROR_INVALID, "the address cannot be fetched: %s",
                          curl_easy_strerror(outcome));
    if (transfer->refused)
        return virga_fail(error, "fetch", VIRGA_ERROR_DENIED,
                          "the address is not one that may be fetched from");
    return virga_fail(error, "fetch", VIRGA_ERROR_RETRY, "could not fetch it: %s",
                      curl_easy_strerror(outcome));
}

bool
virga_http_fetch(const char *url, int fd, const VirgaFetch *fetch, GError **error)
{
    Transfer transfer = { .fetch = fetch, .fd = fd };
    CURL *curl = curl_easy_init();
    CURLcode outcome;
    long status = 0;

    set_options(curl, url, &transfer);
    outcome = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    return outcome == CURLE_OK || fail(&transfer, outcome, status, error);
}
