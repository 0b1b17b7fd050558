/* SPDX-License-Identifier: Apache-2.0 */
/* What a host says of its load balancers. */
#pragma once

#include "api/services.h"
#include "core/arena.h"

#include <json-glib/json-glib.h>

/* Takes {"host_id", "vpc_id", "generation" (of the plan that it has applied), "targets": [{"group",
 * "address", "port", "state", "reason", "code"}]}: all that the host knows of the VPC's targets.
 * Fails with INVALID (noun "request"). */
bool virga_node_balancers(VirgaServices *services, VirgaArena *arena, JsonObject *object,
                          GError **error);
