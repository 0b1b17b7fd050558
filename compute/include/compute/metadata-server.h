/* SPDX-License-Identifier: Apache-2.0 */
/* The web server of the metadata service: one per VPC, on a socket that the network driver opened
 * inside it.  A guest is known by its source address, which the VPC's filter has checked. */
#pragma once

#include "compute/metadata.h"

typedef struct VirgaMetadataServer VirgaMetadataServer;

/* The document of the guest with this address in the VPC, the server's to free, or NULL.  Called
 * in the server's own thread; must not block for long. */
typedef VirgaMetadata *(*VirgaMetadataLookup)(void *data, const char *vpc_id, const char *address);

/* Serves on 'fd', which is the server's from now on (also if this fails). */
VirgaMetadataServer *virga_metadata_server_new(int fd, const char *vpc_id,
                                               const guint8 key[static VIRGA_METADATA_KEY_SIZE],
                                               VirgaMetadataLookup lookup, void *data,
                                               GError **error);

/* Ends requests and closes the socket. */
void virga_metadata_server_free(VirgaMetadataServer *server);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaMetadataServer, virga_metadata_server_free)
