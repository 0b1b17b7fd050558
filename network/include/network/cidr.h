/* SPDX-License-Identifier: Apache-2.0 */
/* IPv4 blocks in text ("172.31.0.0/16"). */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
    guint32 base; /* host byte order, host bits zero */
    unsigned prefix;
} VirgaCidr;

/* Reads ADDRESS/PREFIX strictly; with 'canonical' false, host bits are cleared (as EC2 does with
 * the CIDR of a security group rule), otherwise they are refused. */
bool virga_cidr_parse(const char *text, bool canonical, VirgaCidr *ret);

/* Reads a dotted address. */
bool virga_address_parse(const char *text, guint32 *ret);

/* Texts; the caller owns them. */
char *virga_cidr_format(VirgaCidr cidr);
char *virga_address_format(guint32 address);

guint64 virga_cidr_size(VirgaCidr cidr); /* number of addresses */
bool virga_cidr_contains(VirgaCidr cidr, guint32 address);
bool virga_cidr_within(VirgaCidr outer, VirgaCidr inner);
