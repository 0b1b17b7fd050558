/* SPDX-License-Identifier: Apache-2.0 */
/* A whole request from bytes: path, query and headers, one a line. */
#include "api/sigv4.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

static bool
lookup(const char *id, const char *token, VirgaArena *arena, VirgaIdentity *ret_identity,
       gpointer user_data, GError **error)
{
    *ret_identity = (VirgaIdentity){ .secret = "secret", .account_id = "000000000001" };
    return true;
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(VirgaSigv4Verifier) verifier = virga_sigv4_verifier_new(NULL, lookup, NULL);
    g_autofree char *text = g_strndup((const char *) data, size);
    g_auto(GStrv) lines = g_strsplit(text, "\n", 32);
    VirgaHttpHeader headers[32];
    VirgaHttpRequest request = {
        .method = "GET", .path = "/", .query = "", .headers = headers, .body = (const guint8 *) ""
    };
    VirgaSigv4 parts;
    VirgaIdentity identity;

    if (lines[0])
        request.path = lines[0];
    if (lines[0] && lines[1])
        request.query = lines[1];
    for (char **line = g_strv_length(lines) > 2 ? lines + 2 : NULL; line && *line; line++) {
        char *colon = strchr(*line, ':');

        if (colon)
            *colon = '\0';
        headers[request.header_count++] = (VirgaHttpHeader){ *line, colon ? colon + 1 : "" };
    }
    if (virga_sigv4_parse(arena, &request, &parts, NULL))
        virga_sigv4_verify(verifier, arena, &request, &parts, parts.time_s, &identity, NULL);
    return 0;
}
