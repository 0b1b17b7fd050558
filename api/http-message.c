/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and answers as data: no network here. */
#include "http-message.h"

#include <string.h>
#include <unistd.h>

const char *
virga_http_header(const VirgaHttpRequest *request, const char *name)
{
    for (gsize i = 0; i < request->header_count; i++) {
        if (g_ascii_strcasecmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    }
    return NULL;
}

static void
clear_header(gpointer data)
{
    VirgaHttpHeader *header = data;

    g_free((char *) header->name);
    g_free((char *) header->value);
}

VirgaHttpResponse *
virga_http_response_new(unsigned status, const char *content_type, GBytes *body)
{
    VirgaHttpResponse *response = g_new0(VirgaHttpResponse, 1);

    response->status = status;
    response->headers = g_array_new(FALSE, FALSE, sizeof(VirgaHttpHeader));
    g_array_set_clear_func(response->headers, clear_header);
    response->body = body;
    response->fd = -1;
    if (content_type)
        virga_http_response_add_header(response, "Content-Type", content_type);
    return response;
}

VirgaHttpResponse *
virga_http_response_new_fd(unsigned status, const char *content_type, int fd, guint64 offset,
                           guint64 size)
{
    VirgaHttpResponse *response = virga_http_response_new(status, content_type, NULL);

    response->fd = fd;
    response->offset = offset;
    response->size = size;
    return response;
}

void
virga_http_response_add_header(VirgaHttpResponse *response, const char *name, const char *value)
{
    VirgaHttpHeader header;

    if (strpbrk(name, "\r\n") || strpbrk(value, "\r\n"))
        return;
    header.name = g_strdup(name);
    header.value = g_strdup(value);
    g_array_append_val(response->headers, header);
}

unsigned
virga_http_response_status(const VirgaHttpResponse *response)
{
    return response->status;
}

GBytes *
virga_http_response_body(const VirgaHttpResponse *response)
{
    return response->body;
}

const char *
virga_http_response_header(const VirgaHttpResponse *response, const char *name)
{
    for (guint i = 0; i < response->headers->len; i++) {
        VirgaHttpHeader *header = &g_array_index(response->headers, VirgaHttpHeader, i);

        if (g_ascii_strcasecmp(header->name, name) == 0)
            return header->value;
    }
    return NULL;
}

void
virga_http_response_free(VirgaHttpResponse *response)
{
    if (!response)
        return;
    g_array_unref(response->headers);
    if (response->body)
        g_bytes_unref(response->body);
    if (response->fd >= 0)
        close(response->fd);
    g_free(response);
}
