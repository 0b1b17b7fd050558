/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes: the rows.  Every disk is a volume. */
#pragma once

#include "core/db.h"

typedef struct {
    char *id, *account_id, *zone, *host_id, *type, *snapshot_id, *pool;
    gint64 size_gib, iops, throughput, created; /* iops, throughput 0: of the type */
    bool encrypted, made, lost, deleting;
    bool exported;              /* to an instance on another host than the one that has its bytes */
    char *instance_id, *device; /* NULL: not attached */
    bool delete_on_termination;
    gint64 attached;
    const char *transition; /* of the attachment: "attaching", "detaching", or NULL */
} VirgaVolume;

typedef struct {
    const char *id; /* NULL: a new one */
    const char *account_id, *zone, *host_id, *type, *snapshot_id, *pool;
    gint64 size_gib, iops, throughput;
    bool encrypted;                   /* by a key of its own, … */
    const char *key_id;               /* … or by that of its snapshot; NULL: that has none */
    const char *instance_id, *device; /* attached from the start; NULL: by itself */
    bool delete_on_termination;
} VirgaVolumeSpec;

/* Makes a volume, attached to an instance in the transaction that makes that one, or by itself;
 * its quota is claimed by the caller.  Its bytes are made where and when they are needed first. */
bool virga_volume_create(VirgaTxn *txn, VirgaArena *arena, const VirgaVolumeSpec *spec,
                         char **ret_id, GError **error);

/* The account's volumes in order of id, in 'arena'; ids and instance_ids may be NULL. */
bool virga_volume_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                       const char *const *ids, const char *const *instance_ids, VirgaVolume **ret,
                       size_t *ret_count, GError **error);

/* One volume, in 'arena'; the second one locks it for the transaction.  Noun "volume": NOT_FOUND.
 */
bool virga_volume_find(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                       VirgaVolume *ret, GError **error);
bool virga_volume_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                       VirgaVolume *ret, GError **error);

/* Records that a volume, which is locked, is an instance's ('in_transit': as soon as its guest has
 * it), and from now on kept on its host ('host_id' NULL: where it is). */
bool virga_volume_put(VirgaTxn *txn, const char *id, const char *instance_id, const char *device,
                      const char *host_id, bool in_transit, GError **error);
/* Records that its host, whose row is held, serves it to another one, until it leaves the instance
 * that it is put to.  Noun "volume": CAPACITY when the host has no port for it. */
bool virga_volume_export(VirgaTxn *txn, const char *id, const char *host_id, GError **error);
/* A volume that is locked, in a shared pool and in no instance, and whose host is lost, becomes
 * another one's of its zone, if there is one: there is something to be done to it. */
bool virga_volume_hand_over(VirgaTxn *txn, const char *id, GError **error);
/* Records that it shall leave its instance, or ('gone') has left it. */
bool virga_volume_take(VirgaTxn *txn, const char *id, bool gone, GError **error);

/* The attachments in transition of an instance, of whose disks the running guest has those with the
 * ids 'plugged' (NULL: it is off and waits for nothing): what has come is there, what has left is
 * gone.  *ret_changed: the host is to hear of it. */
bool virga_volume_settle(VirgaTxn *txn, const char *instance_id, const char *const *plugged,
                         bool *ret_changed, GError **error);

/* Deletes a volume.  Its row goes at once if it never had bytes (*ret_gone), otherwise when its
 * host has told that they are gone; *ret_host_id (in 'arena', or NULL) is to hear of it.
 * Noun "volume": NOT_FOUND, IN_USE. */
bool virga_volume_delete(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                         char **ret_host_id, GError **error);
/* A host has deleted the bytes of these: their rows, tags and claims go. */
bool virga_volume_gone(VirgaTxn *txn, const char *host_id, const char *const *ids, GError **error);

/* A volume as its instance sees it. */
typedef struct {
    char *volume_id, *instance_id, *device;
    bool delete_on_termination, made;
    gint64 attached;
    char *transition; /* as above */
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
 * were and how large together, for the caller to give back; the others are detached.  Of those in
 * 'kept' (may be NULL) the host has the bytes still: they are deleted later. */
bool virga_volume_release(VirgaTxn *txn, const char *instance_id, const char *const *kept,
                          gint64 *ret_count, gint64 *ret_gib, GError **error);
