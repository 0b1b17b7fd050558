/* SPDX-License-Identifier: Apache-2.0 */
#include "api/user-data.h"

#include "api/errors.h"
#include "core/limits.h"

#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool
virga_user_data_read(VirgaArena *arena, const char *text, const char **ret, GError **error)
{
    g_autoptr(GString) packed = NULL;
    gsize used, bytes;

    *ret = NULL;
    if (!text || !*text)
        return true;
    packed = g_string_sized_new(strlen(text));
    for (; *text; text++)
        if (!g_ascii_isspace(*text))
            g_string_append_c(packed, *text);
    used = strspn(packed->str, digits);
    if (packed->len % 4 || packed->len - used > 2 ||
        strspn(packed->str + used, "=") + used != packed->len)
        return virga_api_fail(error, "InvalidUserData.Malformed", 400,
                              "Invalid BASE64 encoding of user data.");
    bytes = packed->len / 4 * 3 - (packed->len - used);
    if (bytes > VIRGA_USER_DATA_BYTES_MAX)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "User data is limited to %d bytes", VIRGA_USER_DATA_BYTES_MAX);
    *ret = packed->len ? virga_arena_strdup(arena, packed->str) : NULL;
    return true;
}
