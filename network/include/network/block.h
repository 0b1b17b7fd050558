/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of addresses as callers write them. */
#pragma once

#include "core/arena.h"

#include <glib.h>
#include <stdbool.h>

/* Lengths of the prefixes of VPCs and subnets. */
#define VIRGA_BLOCK_PREFIX_MIN 16
#define VIRGA_BLOCK_PREFIX_MAX 28

/* A block in its one form, in 'arena': bits of the host part are cleared, as EC2 does.
 * Noun "cidr": INVALID. */
bool virga_block_parse(VirgaArena *arena, const char *text, char **ret_cidr, unsigned *ret_prefix,
                       GError **error);

/* The same for a block that a VPC may have; noun "vpc block": INVALID. */
bool virga_block_of_vpc(VirgaArena *arena, const char *text, char **ret_cidr, GError **error);
