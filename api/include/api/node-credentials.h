/* SPDX-License-Identifier: Apache-2.0 */
/* What the instance profile of a guest gives: credentials of its role, made for its host. */
#pragma once

#include "api/services.h"

/* The answer to POST /node/v1/credentials, the caller's:
 *
 *     {"code": "Success", "updated": TIME, "role": NAME, "document": TEXT, "expires": SECONDS}
 *
 * 'document' is what the metadata service serves for the role.  Without it 'code' says what is
 * wrong: InstanceProfileNotFound, AssumeRoleUnauthorizedAccess.  Noun "instance", NOT_FOUND: the
 * host has no such instance, or the instance has no profile. */
char *virga_node_credentials(const VirgaServices *services, const char *host_id,
                             const char *instance_id, GError **error);
