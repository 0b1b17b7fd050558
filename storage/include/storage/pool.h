/* SPDX-License-Identifier: Apache-2.0 */
/* Pools: where the bytes of volumes are kept.  Each type of volume has one. */
#pragma once

#include "core/config.h"

#define VIRGA_POOL_LOCAL "local" /* each host's own disk; all others are shared by the hosts */

/* The pool for new volumes of a type in a zone ("us-east-1a"), a loan.  NULL: it is not to be had
 * there; noun "volume type", UNSUPPORTED. */
const char *virga_pool_of(const VirgaConfig *config, const char *type, const char *zone,
                          GError **error);

/* Whether a zone (its name, or its letter alone) has a pool, given by its group "pool NAME". */
bool virga_pool_in_zone(const VirgaConfig *config, const char *group, const char *zone);

bool virga_pool_is_shared(const char *pool);
