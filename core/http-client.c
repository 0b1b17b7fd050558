/* SPDX-License-Identifier: Apache-2.0 */
#include "core/http-client.h"

#include "core/error.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ANSWER_BYTES_MAX (64u << 20)
#define CONNECT_MS       5000L

struct VirgaHttpClient {
    char *base, *socket_path;
    GMutex lock;
    GPtrArray *idle; /* CURL handles with their open connections */
    int stopped;
};

VirgaHttpClient *
virga_http_client_new(const char *address)
{
    VirgaHttpClient *client = g_new0(VirgaHttpClient, 1);

    curl_global_init(CURL_GLOBAL_DEFAULT);
    if (g_str_has_prefix(address, "unix:"))
        client->socket_path = g_strdup(address + strlen("unix:"));
    client->base = g_strdup(client->socket_path ? "http://virgad" : address);
    g_mutex_init(&client->lock);
    client->idle = g_ptr_array_new_with_free_func(curl_easy_cleanup);
    return client;
}

void
virga_http_client_free(VirgaHttpClient *client)
{
    if (!client)
        return;
    g_ptr_array_unref(client->idle);
    g_mutex_clear(&client->lock);
    g_free(client->base);
    g_free(client->socket_path);
    g_free(client);
}

void
virga_http_client_stop(VirgaHttpClient *client)
{
    g_atomic_int_set(&client->stopped, 1);
}

static int
on_progress(void *data, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    VirgaHttpClient *client = data;

    return g_atomic_int_get(&client->stopped);
}

static size_t
on_text(char *bytes, size_t size, size_t count, void *data)
{
    GString *text = data;

    if (text->len + size * count > ANSWER_BYTES_MAX)
        return 0;
    g_string_append_len(text, bytes, (gssize) (size * count));
    return size * count;
}

static CURL *
take_handle(VirgaHttpClient *client)
{
    CURL *curl = NULL;

    g_mutex_lock(&client->lock);
    if (client->idle->len)
        curl = g_ptr_array_steal_index(client->idle, client->idle->len - 1);
    g_mutex_unlock(&client->lock);
    if (!curl)
        curl = curl_easy_init();
    curl_easy_reset(curl); /* keeps the connections */
    return curl;
}

static void
give_handle(VirgaHttpClient *client, CURL *curl)
{
    g_mutex_lock(&client->lock);
    g_ptr_array_add(client->idle, curl);
    g_mutex_unlock(&client->lock);
}

static bool
fail_status(long status, const char *text, GError **error)
{
    VirgaErrorCode code = status >= 500                    ? VIRGA_ERROR_RETRY
                          : status == 404                  ? VIRGA_ERROR_NOT_FOUND
                          : status == 401 || status == 403 ? VIRGA_ERROR_DENIED
                                                           : VIRGA_ERROR_INVALID;

    return virga_fail(error, "request", code, "virgad answered %ld: %s", status, text);
}

/* What differs between the kinds of request. */
typedef struct {
    const char *method, *path, *body;
    const void *bytes; /* instead of 'body', … */
    gsize byte_count;  /* … and as many */
    unsigned timeout_ms;
    FILE *upload, *download;
    gint64 upload_bytes;
} Request;

static struct curl_slist *
set_options(VirgaHttpClient *client, CURL *curl, const Request *request, const char *url,
            GString *text)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");

    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long) request->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, client);
    if (client->socket_path)
        curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket_path);
    if (request->upload) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_READDATA, request->upload);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t) request->upload_bytes);
    } else if (request->bytes) {
        headers = curl_slist_append(headers, "Content-Type: application/octet-stream");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->bytes);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->byte_count);
    } else if (request->body) {
        headers = curl_slist_append(headers, "Content-Type: application/json");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) strlen(request->body));
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (request->download) {
        curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, request->download);
    } else {
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_text);
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, text);
    }
    return headers;
}

static bool
perform(VirgaHttpClient *client, const Request *request, char **ret_body, GError **error)
{
    g_autofree char *url = g_strconcat(client->base, request->path, NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    CURL *curl = take_handle(client);
    struct curl_slist *headers = set_options(client, curl, request, url, text);
    CURLcode outcome = curl_easy_perform(curl);
    int failure = errno; /* of the file that is written, if that is what failed */
    long status = 0;

    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    give_handle(client, curl);
    if (outcome == CURLE_WRITE_ERROR)
        return virga_fail(error, "request", VIRGA_ERROR_INTERNAL, "could not keep the answer: %s",
                          request->download ? g_strerror(failure) : "it is too long");
    if (outcome != CURLE_OK && outcome != CURLE_HTTP_RETURNED_ERROR)
        return virga_fail(error, "request", VIRGA_ERROR_RETRY, "could not reach virgad: %s",
                          curl_easy_strerror(outcome));
    if (status < 200 || status >= 300)
        return fail_status(status, text->str, error);
    if (ret_body)
        *ret_body = g_string_free(g_steal_pointer(&text), FALSE);
    return true;
}

bool
virga_http_call(VirgaHttpClient *client, const char *method, const char *path, const char *body,
                unsigned timeout_ms, char **ret_body, GError **error)
{
    Request request = { .method = method, .path = path, .body = body, .timeout_ms = timeout_ms };

    return perform(client, &request, ret_body, error);
}

bool
virga_http_download(VirgaHttpClient *client, const char *path, const char *file,
                    unsigned timeout_ms, GError **error)
{
    Request request = {
        .method = "GET", .path = path, .timeout_ms = timeout_ms, .download = fopen(file, "wbe")
    };
    bool done;

    if (!request.download)
        return virga_fail_errno(error, "request", errno, "could not write \"%s\"", file);
    done = perform(client, &request, NULL, error);
    if (fclose(request.download) != 0 && done)
        return virga_fail_errno(error, "request", errno, "could not write \"%s\"", file);
    return done;
}

bool
virga_http_put(VirgaHttpClient *client, const char *path, const void *bytes, gsize size,
               unsigned timeout_ms, char **ret_body, GError **error)
{
    Request request = {
        .method = "PUT", .path = path, .bytes = bytes, .byte_count = size, .timeout_ms = timeout_ms
    };

    return perform(client, &request, ret_body, error);
}

bool
virga_http_upload(VirgaHttpClient *client, const char *path, const char *file, unsigned timeout_ms,
                  char **ret_body, GError **error)
{
    Request request = {
        .method = "PUT", .path = path, .timeout_ms = timeout_ms, .upload = fopen(file, "rbe")
    };
    struct stat status;
    bool done;

    if (!request.upload || fstat(fileno(request.upload), &status) < 0) {
        int failure = errno;
        if (request.upload)
            fclose(request.upload);
        return virga_fail_errno(error, "request", failure, "could not read \"%s\"", file);
    }
    request.upload_bytes = status.st_size;
    done = perform(client, &request, ret_body, error);
    fclose(request.upload);
    return done;
}
