/* SPDX-License-Identifier: Apache-2.0 */
/* virga-node: brings one host to the wish that virgad has for it, and tells what it found.
 *
 * Threads: one asks virgad for changes of the wish (a long poll), one reports facts, a pool works
 * on guests (never two threads on one guest), one pool keeps the VPCs, the main loop ticks.  All
 * shared state is in the node, under its lock; no lock is held while a driver works. */
#pragma once

#include "compute/hypervisor.h"
#include "compute/metadata.h"
#include "core/config.h"
#include "core/http-client.h"
#include "network/driver.h"
#include "storage/driver.h"

typedef struct VirgaNode VirgaNode;

typedef struct {
    VirgaConfig *config;
    const char *host_id, *host_name;
    const char *directory;      /* of the host's state: wish, volumes, images, console logs */
    VirgaVolumeDriver *volumes; /* the drivers stay the caller's */
    GHashTable *pools;          /* name -> VirgaVolumeDriver of those that are shared; or NULL */
    VirgaNetworkDriver *network;
    VirgaHttpClient *virgad;
    uid_t tap_owner;                              /* the user that guests run as */
    guint8 metadata_key[VIRGA_METADATA_KEY_SIZE]; /* signs metadata tokens; kept by the caller */
} VirgaNodeSettings;

VirgaNode *virga_node_new(const VirgaNodeSettings *settings);

/* The hypervisor reports its events to virga_node_event(), so it is made after the node. */
void virga_node_event(const char *id, bool rebooted, gpointer node);
void virga_node_set_hypervisor(VirgaNode *node, VirgaHypervisor *hypervisor);

/* Starts from what the host last knew, then follows virgad.  Returns at once. */
void virga_node_start(VirgaNode *node);

/* Stops working, not the guests. */
void virga_node_free(VirgaNode *node);

/* The VirgaVolumePassphrase of this node's volume driver; 'data' is the node. */
char *virga_node_passphrase(const char *volume_id, gpointer data, GError **error);

/* The SnapshotFetch of this node's volume driver; 'data' is the VirgaHttpClient. */
bool virga_node_fetch_snapshot(const char *snapshot_id, const char *path, gpointer data,
                               GError **error);
