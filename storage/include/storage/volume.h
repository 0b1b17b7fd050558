/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes and the snapshots from which they are made: the rows.  Every disk is a volume. */
#pragma once

#include "core/db.h"

typedef struct {
    char *id, *account_id, *zone, *host_id, *type, *snapshot_id;
    gint64 size_gib, iops, throughput, created; /* iops, throughput 0: of the type */
    bool encrypted, made, lost;
    char *instance_id, *device; /* NULL: not attached */
    bool delete_on_termination;
    gint64 attached;
} VirgaVolume;

typedef struct {
    const char *account_id, *zone, *host_id, *type, *snapshot_id;
    gint64 size_gib, iops, throughput;
    const char *instance_id, *device; /* attached from the start */
    bool delete_on_termination;
} VirgaVolumeSpec;

/* Makes a volume attached to an instance, in the transaction that makes that one; its quota is
 * claimed by the caller. */
bool virga_volume_create(VirgaTxn *txn, VirgaArena *arena, const VirgaVolumeSpec *spec,
                         char **ret_id, GError **error);

/* The account's volumes in order of id, in 'arena'; ids and instance_ids may be NULL. */
bool virga_volume_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                       const char *const *ids, const char *const *instance_ids, VirgaVolume **ret,
                       size_t *ret_count, GError **error);

/* A volume as its instance sees it. */
typedef struct {
    char *volume_id, *instance_id, *device;
    bool delete_on_termination, made;
    gint64 attached;
} VirgaAttachment;

/* The attachments of the account's instances ('instance_ids' NULL: all), in no order and in
 * 'arena'; in two halves, so that they may share a round trip with others (virga_txn_send()). */
bool virga_attachment_list_send(VirgaTxn *txn, const char *account_id,
                                const char *const *instance_ids, GError **error);
bool virga_attachment_list_receive(VirgaTxn *txn, VirgaArena *arena, VirgaAttachment **ret,
                                   size_t *ret_count, GError **error);

/* Records that a volume's bytes exist (from then on they are never made again), or are lost. */
bool virga_volume_set_made(VirgaTxn *txn, const char *id, GError **error);
bool virga_volume_set_lost(VirgaTxn *txn, const char *id, GError **error);

/* Says whether what is plugged into an instance at 'device' goes with it; 'volume_id' (NULL: any)
 * must be what is there. */
bool virga_volume_set_delete(VirgaTxn *txn, const char *instance_id, const char *device,
                             const char *volume_id, bool delete_on_termination, bool *ret_found,
                             GError **error);

/* Drops what an instance that is gone had: volumes that go with it, of which it tells how many they
 * were and how large together, for the caller to give back; the others are detached. */
bool virga_volume_release(VirgaTxn *txn, const char *instance_id, gint64 *ret_count,
                          gint64 *ret_gib, GError **error);

typedef struct {
    char *id, *account_id, *volume_id, *description, *state, *sha256;
    gint64 size_gib, bytes, created;
} VirgaSnapshot;

/* One snapshot in 'arena', of any account when 'account_id' is NULL.
 * Noun "snapshot": NOT_FOUND. */
VirgaSnapshot *virga_snapshot_get(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                  const char *id, GError **error);

/* The account's snapshots in order of id, in 'arena'; 'ids' (NULL: all) restricts them. */
bool virga_snapshot_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                         const char *const *ids, VirgaSnapshot **ret, size_t *ret_count,
                         GError **error);

/* Records a completed snapshot whose file is in place already. */
bool virga_snapshot_create(VirgaTxn *txn, const VirgaSnapshot *snapshot, GError **error);
