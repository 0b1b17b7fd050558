/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts as the controller knows them. */
#pragma once

#include "core/db.h"
#include "scheduler/place.h"

typedef struct {
    char *id, *name, *zone, *version, *hypervisor, *trouble;
    char **damaged;       /* snapshots whose base images on it are; NULL: none; not read */
    char *tunnel_address; /* for other hosts; NULL: it has none */
    gint64 vcpus, memory_mib, disk_free_gib;
    gint64 vcpus_claimed, memory_claimed_mib, generation, seen;
    bool up;
} VirgaHost;

/* Records what a host says of itself; a new id joins the cloud.  Claims and generation stay.  All
 * VPCs are planned anew if other hosts reach it elsewhere now. */
bool virga_host_report(VirgaTxn *txn, const VirgaHost *host, GError **error);

/* All hosts in order of id, in 'arena'; 'up' says whether each was heard of lately. */
bool virga_host_list(VirgaTxn *txn, VirgaArena *arena, VirgaHost **ret, size_t *ret_count,
                     GError **error);

/* The two halves of it, so that it may share a round trip with others (virga_txn_send()). */
bool virga_host_list_send(VirgaTxn *txn, GError **error);
bool virga_host_list_receive(VirgaTxn *txn, VirgaArena *arena, VirgaHost **ret, size_t *ret_count,
                             GError **error);

/* The scheduler's view of them, in 'arena'. */
VirgaPlaceHost *virga_host_places(VirgaArena *arena, const VirgaHost *hosts, size_t count);

/* Claims room on a host, counts its wish up and wakes its long poll at the commit, if it still
 * fits.  'ret_generation' is 0 when it does not: no error, choose again. */
bool virga_host_claim(VirgaTxn *txn, const char *host_id, gint64 vcpus, gint64 memory_mib,
                      gint64 *ret_generation, GError **error);
/* The two halves of it (virga_txn_send()). */
bool virga_host_claim_send(VirgaTxn *txn, const char *host_id, gint64 vcpus, gint64 memory_mib,
                           GError **error);
bool virga_host_claim_receive(VirgaTxn *txn, gint64 *ret_generation, GError **error);
bool virga_host_unclaim(VirgaTxn *txn, const char *host_id, gint64 vcpus, gint64 memory_mib,
                        GError **error);

/* Counts a host's wish up and wakes its long poll at the commit. */
bool virga_host_touch(VirgaTxn *txn, const char *host_id, gint64 *ret_generation, GError **error);
bool virga_host_wake(VirgaTxn *txn, const char *host_id, GError **error);
