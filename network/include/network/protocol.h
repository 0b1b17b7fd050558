/* SPDX-License-Identifier: Apache-2.0 */
/* IP protocols as callers write them. */
#pragma once

#include "core/arena.h"

#include <stdbool.h>

/* The one form of a protocol, in 'arena': "tcp", "udp", "icmp", "-1" (all) or a number; NULL if
 * 'text' is none. */
char *virga_protocol_normalise(VirgaArena *arena, const char *text);

/* The same as a number in text, as EC2 shows that of a network ACL.  A loan. */
const char *virga_protocol_number(const char *protocol);
