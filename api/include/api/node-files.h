/* SPDX-License-Identifier: Apache-2.0 */
/* Shared file systems of hosts. */
#pragma once

#include "api/services.h"

/* {"host_id", "ids", "bytes", "serving", "deleted"}: what the host has (compute/file-system.h).
 * The answer says what it shall have. */
char *virga_node_file_systems(const VirgaServices *services, const void *body, gsize size,
                              GError **error);
