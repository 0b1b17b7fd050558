/* SPDX-License-Identifier: Apache-2.0 */
/* The operator's API, by which the command "virga" asks and orders: JSON over virgad's Unix socket,
 * for root and virgad's own user only.
 *
 *     GET  /operator/v1/status           version, database, hosts, counts, what is wrong
 *     PUT  /operator/v1/administrator    {"account", "name", "access_key", "secret"}
 *     GET  /operator/v1/why?id=ID        the story of a resource, host or request
 *     GET  /operator/v1/images
 *     PUT  /operator/v1/snapshots?name=  a disk image becomes a snapshot and an image
 *     GET  /operator/v1/claims           what the database claims of the world, for leak checks
 *     POST /operator/v1/stop-instances   the wish "stop" for all that are to run
 *
 * A failure is {"error": "…"} with 400, 403, 404, 409, 500, 503 or 507. */
#pragma once

#include "api/server.h"
#include "api/services.h"

/* A VirgaHttpHandler; 'services' is the VirgaServices. */
VirgaHttpOutcome virga_operator_handle(VirgaHttpExchange *exchange, const VirgaHttpRequest *request,
                                       VirgaHttpResponse **ret_response, gpointer services);

/* For the server's on_headers: sends the body of an upload into the store, as a file without a
 * name, which is gone whatever happens. */
VirgaHttpResponse *virga_operator_sink(const VirgaHttpRequest *request, VirgaHttpSink *sink,
                                       VirgaServices *services);
