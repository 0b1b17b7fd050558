/* SPDX-License-Identifier: Apache-2.0 */
#include "network/address.h"

#include <arpa/inet.h>
#include <string.h>

bool
virga_ipv4_parse(const char *text, guint32 *ret_address)
{
    struct in_addr address;

    if (!text || inet_pton(AF_INET, text, &address) != 1)
        return false;
    *ret_address = ntohl(address.s_addr);
    return true;
}

static guint32
netmask(unsigned prefix)
{
    return prefix == 0 ? 0 : 0xffffffffu << (32 - prefix);
}

bool
virga_cidr_parse_loose(const char *text, guint32 *ret_base, unsigned *ret_prefix)
{
    const char *slash = text ? strchr(text, '/') : NULL;
    char base[VIRGA_IPV4_SIZE];
    guint64 prefix;
    guint32 address;

    if (!slash || (size_t) (slash - text) >= sizeof base)
        return false;
    memcpy(base, text, (size_t) (slash - text));
    base[slash - text] = '\0';
    if (!virga_ipv4_parse(base, &address) ||
        !g_ascii_string_to_unsigned(slash + 1, 10, 0, 32, &prefix, NULL))
        return false;
    *ret_base = address & netmask((unsigned) prefix);
    *ret_prefix = (unsigned) prefix;
    return true;
}

bool
virga_cidr_parse(const char *text, guint32 *ret_base, unsigned *ret_prefix)
{
    guint32 base, address;
    unsigned prefix;
    g_autofree char *whole = text ? g_strndup(text, strcspn(text, "/")) : NULL;

    if (!virga_cidr_parse_loose(text, &base, &prefix) || !virga_ipv4_parse(whole, &address) ||
        address != base)
        return false;
    *ret_base = base;
    *ret_prefix = prefix;
    return true;
}

char *
virga_cidr_text(guint32 base, unsigned prefix)
{
    g_autofree char *text = virga_ipv4_text(base);

    return g_strdup_printf("%s/%u", text, prefix);
}

guint64
virga_cidr_size(unsigned prefix)
{
    return (guint64) 1 << (32 - prefix);
}

guint32
virga_cidr_last(guint32 base, unsigned prefix)
{
    return base | ~netmask(prefix);
}

bool
virga_cidr_has(guint32 base, unsigned prefix, guint32 address)
{
    return (address & netmask(prefix)) == base;
}

char *
virga_ipv4_text(guint32 address)
{
    return g_strdup_printf("%u.%u.%u.%u", address >> 24, (address >> 16) & 255,
                           (address >> 8) & 255, address & 255);
}

char *
virga_netmask_text(unsigned prefix)
{
    return virga_ipv4_text(netmask(prefix));
}

bool
virga_mac_is(const char *text)
{
    if (!text || strlen(text) != 17)
        return false;
    for (unsigned i = 0; i < 17; i++)
        if (i % 3 == 2 ? text[i] != ':' : !g_ascii_isxdigit(text[i]) || g_ascii_isupper(text[i]))
            return false;
    return (g_ascii_xdigit_value(text[1]) & 1) == 0;
}
