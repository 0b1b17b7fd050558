/* SPDX-License-Identifier: Apache-2.0 */
#include "network/protocol.h"

/* EC2 names three protocols and numbers the rest. */
static const struct {
    const char *name, *number;
} named[] = { { "icmp", "1" }, { "tcp", "6" }, { "udp", "17" } };

char *
virga_protocol_normalise(VirgaArena *arena, const char *text)
{
    g_autofree char *lower = g_ascii_strdown(text, -1);
    guint64 number;

    if (g_str_equal(lower, "-1") || g_str_equal(lower, "all"))
        return virga_arena_strdup(arena, "-1");
    for (size_t i = 0; i < G_N_ELEMENTS(named); i++)
        if (g_str_equal(lower, named[i].name) || g_str_equal(lower, named[i].number))
            return virga_arena_strdup(arena, named[i].name);
    if (!g_ascii_string_to_unsigned(lower, 10, 0, 255, &number, NULL))
        return NULL;
    return virga_arena_printf(arena, "%" G_GUINT64_FORMAT, number);
}

const char *
virga_protocol_number(const char *protocol)
{
    for (size_t i = 0; i < G_N_ELEMENTS(named); i++)
        if (g_str_equal(protocol, named[i].name))
            return named[i].number;
    return protocol;
}
