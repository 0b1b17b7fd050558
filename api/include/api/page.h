/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of long answers.
 *
 * A NextToken holds the key of the last item that was shown (the next page begins after it), and a
 * MAC that binds it to the cloud, the account and the action, so it can be neither forged nor
 * carried elsewhere.  The server remembers nothing. */
#pragma once

#include "core/arena.h"

#include <glib.h>
#include <stdbool.h>

#define VIRGA_PAGE_MIN 5
#define VIRGA_PAGE_MAX 1000

typedef struct VirgaPager VirgaPager;

/* 'secret' is the cloud's and the same on every replica. */
VirgaPager *virga_pager_new(const void *secret, gsize size);
void virga_pager_free(VirgaPager *pager);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaPager, virga_pager_free)

/* The token for the page after 'last_key'; the arena's. */
const char *virga_page_token(const VirgaPager *pager, VirgaArena *arena, const char *account_id,
                             const char *action, const char *last_key);

/* The key in 'token' (the arena's); *ret_key is NULL if 'token' is NULL: the first page.  Fails
 * with InvalidNextToken. */
bool virga_page_key(const VirgaPager *pager, VirgaArena *arena, const char *account_id,
                    const char *action, const char *token, const char **ret_key, GError **error);

/* The number of items to show: 'max_results' if given, else 'otherwise' (0: no limit).  Fails with
 * InvalidParameterValue outside min…max. */
bool virga_page_size(bool has_max_results, gint64 max_results, gint64 min, gint64 max,
                     gint64 otherwise, gint64 *ret_size, GError **error);
