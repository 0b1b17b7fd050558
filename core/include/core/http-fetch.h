/* SPDX-License-Identifier: Apache-2.0 */
/* Fetches what a foreign URL names. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/socket.h>

/* Which addresses may be reached.  It is asked of each address that is connected to, so neither a
 * redirect nor a name that changes its meaning leads elsewhere. */
typedef enum {
    VIRGA_FETCH_PUBLIC,  /* of the Internet: nothing that is near this machine */
    VIRGA_FETCH_PRIVATE, /* private networks, too */
    VIRGA_FETCH_ANY,     /* this machine, too */
} VirgaFetchScope;

typedef struct {
    VirgaFetchScope scope;
    gint64 bytes_max;
    unsigned timeout_s;
    /* Is told now and then how much is there, and of how much (0: not known); false ends it; or
     * NULL. */
    bool (*watch)(gint64 bytes, gint64 total, gpointer data);
    gpointer data;
} VirgaFetch;

/* Writes the bytes behind a URL (http, https; a few redirects followed, no proxy) to 'fd' from its
 * position on.  Noun "fetch": INVALID for an answer that is an error, not http or too long, DENIED
 * for an address outside of the scope, STATE when 'watch' ended it, CAPACITY when the disk is full,
 * RETRY when the server could not be reached or stopped half way. */
bool virga_http_fetch(const char *url, int fd, const VirgaFetch *fetch, GError **error);

/* Whether 'scope' has this address. */
bool virga_fetch_scope_has(VirgaFetchScope scope, const struct sockaddr *address);
