/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of snapshots that come from hosts. */
#pragma once

#include "api/server.h"
#include "api/services.h"

/* {"host_id", "ids"}: snapshots of which a host has base images that it does not use.  The answer,
 * {"gone": [ids]}, names those that are not there any more, so that nothing will be made of
 * them. */
char *virga_node_snapshot_bases(const VirgaServices *services, const void *body, gsize size,
                                GError **error);

/* Takes a piece of a snapshot's file; 'query' has "host", "offset" and "total" (bytes of the whole
 * file).  A piece that does not begin where the store's bytes end is not taken, but for one at
 * offset 0, with which they begin anew.  The answer is {"have": bytes}.  Noun "snapshot": NOT_FOUND
 * when it is not wanted of this host. */
char *virga_node_snapshot_piece(const VirgaServices *services, const char *id, const char *query,
                                const void *bytes, gsize size, GError **error);

/* {"host_id", "bytes", "sha256", "whole"}: the file is all there ("bytes" 0: there is none), and
 * the snapshot is completed; "whole": it stands on no parent.  {"host_id", "failure"}: it cannot be
 * made.  Fails with INVALID when the store has other bytes: they are to be sent again. */
char *virga_node_snapshot_end(const VirgaServices *services, VirgaHttpExchange *exchange,
                              const char *id, const void *body, gsize size, GError **error);
