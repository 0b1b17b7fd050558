/* SPDX-License-Identifier: Apache-2.0 */
/* The node API: what virga-node asks and tells.  Version 1:
 *
 *     POST /node/v1/desired         {"host", "after", "vpcs": {id: generation}}
 *                                   the host's wish, as in compute/host-wish.h; waits until there
 *                                   is something new, half a minute at most
 *     POST /node/v1/facts           {"host_id", "guests": […], "host": {…} now and then}
 *                                   {"forget": [ids]}
 *     POST /node/v1/balancers       what load balancers know of targets (api/node-balancers.h); {}
 *     POST /node/v1/credentials     {"host_id", "instance_id"}
 *                                   what the instance's profile gives (api/node-credentials.h)
 *     POST /node/v1/bases           {"host_id", "ids"}; {"gone": [ids]} (api/node-snapshots.h)
 *     GET  /node/v1/snapshots/ID    the bytes
 *     PUT  /node/v1/snapshots/ID?host=&offset=&total=
 *                                   a piece of them (api/node-snapshots.h); {"have": bytes}
 *     POST /node/v1/snapshots/ID    they are all there; {}
 *
 * Members that a version does not know are ignored by both sides. */
#pragma once

#include "api/server.h"
#include "api/services.h"

typedef struct VirgaNodeApi VirgaNodeApi;

VirgaNodeApi *virga_node_api_new(VirgaServices *services);

/* Answers what waits, and stops. */
void virga_node_api_free(VirgaNodeApi *api);

/* Answers a request whose path begins with /node/v1/. */
VirgaHttpOutcome virga_node_api_handle(VirgaNodeApi *api, VirgaHttpExchange *exchange,
                                       const VirgaHttpRequest *request,
                                       VirgaHttpResponse **ret_response);

/* Something changed for 'host_id' (NULL: for any host): looks again at what waits. */
void virga_node_api_wake(VirgaNodeApi *api, const char *host_id);
