/* SPDX-License-Identifier: Apache-2.0 */
#include "network/cidr.h"

#include <arpa/inet.h>
#include <string.h>

static guint32
mask(unsigned prefix)
{
    return prefix == 0 ? 0 : ~(guint32) 0 << (32 - prefix);
}

bool
virga_address_parse(const char *text, guint32 *ret)
{
    struct in_addr address;

    if (!text || inet_pton(AF_INET, text, &address) != 1)
        return false;
    *ret = ntohl(address.s_addr);
    return true;
}

bool
virga_cidr_parse(const char *text, bool canonical, VirgaCidr *ret)
{
    g_auto(GStrv) parts = text ? g_strsplit(text, "/", 2) : NULL;
    guint64 prefix;
    VirgaCidr cidr;

    if (!parts || g_strv_length(parts) != 2 || !virga_address_parse(parts[0], &cidr.base) ||
        !g_ascii_string_to_unsigned(parts[1], 10, 0, 32, &prefix, NULL))
        return false;
    cidr.prefix = (unsigned) prefix;
    if (canonical && (cidr.base & ~mask(cidr.prefix)))
        return false;
    cidr.base &= mask(cidr.prefix);
    *ret = cidr;
    return true;
}

char *
virga_address_format(guint32 address)
{
    return g_strdup_printf("%u.%u.%u.%u", address >> 24, (address >> 16) & 255,
                           (address >> 8) & 255, address & 255);
}

char *
virga_cidr_format(VirgaCidr cidr)
{
    g_autofree char *base = virga_address_format(cidr.base);

    return g_strdup_printf("%s/%u", base, cidr.prefix);
}

guint64
virga_cidr_size(VirgaCidr cidr)
{
    return (guint64) 1 << (32 - cidr.prefix);
}

bool
virga_cidr_contains(VirgaCidr cidr, guint32 address)
{
    return (address & mask(cidr.prefix)) == cidr.base;
}

bool
virga_cidr_within(VirgaCidr outer, VirgaCidr inner)
{
    return inner.prefix >= outer.prefix && virga_cidr_contains(outer, inner.base);
}
