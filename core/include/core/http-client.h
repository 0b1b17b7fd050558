/* SPDX-License-Identifier: Apache-2.0 */
/* A client of virgad's own APIs, over its Unix socket or over TLS.  May be used by many threads
 * at a time. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct VirgaHttpClient VirgaHttpClient;

/* 'address' is "unix:/path" or "http(s)://host:port".  Never fails: the first call does. */
VirgaHttpClient *virga_http_client_new(const char *address);
void virga_http_client_free(VirgaHttpClient *client);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaHttpClient, virga_http_client_free)

/* One request.  'body' NULL: none.  'ret_body' (may be NULL) gets the answer, NUL-terminated, the
 * caller's, at most 64 MiB.  Noun "request": RETRY when virgad cannot be reached or asks for it
 * (5xx), NOT_FOUND for 404, DENIED for 401 and 403, INVALID for other refusals, with the answer's
 * text. */
bool virga_http_call(VirgaHttpClient *client, const char *method, const char *path,
                     const char *body, unsigned timeout_ms, char **ret_body, GError **error);

/* As GET above, into a file, which is made or emptied first. */
bool virga_http_download(VirgaHttpClient *client, const char *path, const char *file,
                         unsigned timeout_ms, GError **error);

/* Sends bytes by PUT; 'ret_body' as above. */
bool virga_http_put(VirgaHttpClient *client, const char *path, const void *bytes, gsize size,
                    unsigned timeout_ms, char **ret_body, GError **error);

/* Sends a file's bytes by PUT; 'ret_body' as above. */
bool virga_http_upload(VirgaHttpClient *client, const char *path, const char *file,
                       unsigned timeout_ms, char **ret_body, GError **error);

/* Makes calls that wait return soon with RETRY; for the end of a daemon. */
void virga_http_client_stop(VirgaHttpClient *client);
