/* SPDX-License-Identifier: Apache-2.0 */
/* What the volumes of a host are encrypted with. */
#pragma once

#include "api/services.h"

/* The answer to POST /node/v1/keys, {"passphrase": TEXT}, the caller's, who wipes it.  Noun "volume
 * key": NOT_FOUND when the host does not serve that volume now, STATE when it cannot be opened. */
char *virga_node_key(const VirgaServices *services, const char *host_id, const char *volume_id,
                     GError **error);

/* Makes the key-encryption keys at the first start.  Never when something is wrapped already: then
 * they are lost, or on another machine. */
bool virga_node_keys_prepare(const VirgaServices *services, GError **error);
