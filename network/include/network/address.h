/* SPDX-License-Identifier: Apache-2.0 */
/* IPv4 addresses and blocks as numbers in host order. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define VIRGA_IPV4_SIZE 16 /* bytes of the longest text and its NUL */

/* "a.b.c.d", nothing before or after. */
bool virga_ipv4_parse(const char *text, guint32 *ret_address);

/* "a.b.c.d/n"; bits of the host part must be 0. */
bool virga_cidr_parse(const char *text, guint32 *ret_base, unsigned *ret_prefix);

/* As above, but bits of the host part are cleared, as EC2 does with the block of a rule. */
bool virga_cidr_parse_loose(const char *text, guint32 *ret_base, unsigned *ret_prefix);

/* The block as text; the caller owns it.  And how many addresses it has. */
char *virga_cidr_text(guint32 base, unsigned prefix);
guint64 virga_cidr_size(unsigned prefix);

/* The last address of a block, and whether an address is in it. */
guint32 virga_cidr_last(guint32 base, unsigned prefix);
bool virga_cidr_has(guint32 base, unsigned prefix, guint32 address);

/* The address as text; the caller owns it. */
char *virga_ipv4_text(guint32 address);

/* The netmask of a prefix length as text; the caller owns it. */
char *virga_netmask_text(unsigned prefix);

/* "xx:xx:xx:xx:xx:xx", lower case, unicast. */
bool virga_mac_is(const char *text);
