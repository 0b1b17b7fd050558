/* SPDX-License-Identifier: Apache-2.0 */
/* The edge of the AWS dialect: an HTTP request in, the handler's answer out.
 *
 * Which service is meant is said by the credential's scope.  The edge authenticates, decodes, calls
 * the handler, encodes, and turns failures into the protocol's errors.  It is a VirgaHttpHandler
 * without the HTTP server, so tests call it directly. */
#pragma once

#include "api/server.h"
#include "api/sigv4.h"
#include "api/wire.h"

typedef struct VirgaDb VirgaDb;
typedef struct VirgaEdge VirgaEdge;

typedef struct {
    const char *region;    /* copied */
    bool any_region;       /* scopes may name any region */
    VirgaKeyLookup lookup; /* required */
    gpointer lookup_data;
    VirgaKeyUsed used;               /* may be NULL; with lookup_data */
    struct VirgaRightsCache *rights; /* NULL: none but administrators are let in */
    VirgaDb *db;
    gpointer services;         /* VirgaCall.services */
    gint64 (*now_s)(gpointer); /* NULL: the real clock */
    gpointer now_data;
} VirgaEdgeOptions;

VirgaEdge *virga_edge_new(const VirgaEdgeOptions *options);
void virga_edge_free(VirgaEdge *edge);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaEdge, virga_edge_free)

/* Adds a service: &ec2_service, &sts_service. */
void virga_edge_add(VirgaEdge *edge, const VirgaWireService *service);

/* Answers a request; blocks as long as its handler does. */
VirgaHttpResponse *virga_edge_answer(VirgaEdge *edge, const VirgaHttpRequest *request);

/* The hooks of VirgaHttpOptions; 'user_data' is the edge. */
VirgaHttpOutcome virga_edge_handle(VirgaHttpExchange *exchange, const VirgaHttpRequest *request,
                                   VirgaHttpResponse **ret_response, gpointer edge);
VirgaHttpResponse *virga_edge_reject(const VirgaHttpRequest *request, unsigned status,
                                     gpointer edge);
