/* SPDX-License-Identifier: Apache-2.0 */
/* User data of any bytes: what is taken stands for bytes, not too many, and for the same ones as
 * what was sent. */
#include "api/user-data.h"
#include "core/limits.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autofree char *text = g_strndup((const char *) data, size);
    g_autofree guint8 *sent = NULL, *taken = NULL;
    gsize sent_size = 0, taken_size = 0;
    const char *packed;

    if (!virga_user_data_read(arena, text, &packed, NULL) || !packed)
        return 0;
    sent = g_base64_decode(text, &sent_size);
    taken = g_base64_decode(packed, &taken_size);
    if (taken_size == 0 || taken_size > VIRGA_USER_DATA_BYTES_MAX || taken_size != sent_size ||
        memcmp(sent, taken, taken_size) != 0 || strpbrk(packed, " \t\r\n"))
        g_error("user data became something else");
    return 0;
}
