/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: the rows.
 *
 * A snapshot is pending while a host makes it: first its moment passes (it is "cut"), then its file
 * comes to the store.  The file has what differs from the parent's; without a file a snapshot is
 * the same as its parent, or empty.  One that is deleted stays, shown to nobody, as long as others
 * stand on it: so they may go in any order. */
#pragma once

#include "core/db.h"

typedef struct {
    char *id, *account_id, *volume_id, *description, *state, *sha256;
    char *message;               /* why it failed, or NULL */
    char *key_id;                /* NULL: not encrypted */
    gint64 size_gib, bytes;      /* of the disk, of the file */
    gint64 progress;             /* percent */
    gint64 created, completed;   /* 0: not yet */
    bool cut, is_public, shared; /* with the account that asks */
} VirgaSnapshot;

/* Snapshots that the account may use (its own, shared and public ones) in order of id, in 'arena';
 * 'ids' (NULL: all) restricts them. */
bool virga_snapshot_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                         const char *const *ids, VirgaSnapshot **ret, size_t *ret_count,
                         GError **error);

/* One of them.  'account_id' NULL: anybody's.  Noun "snapshot": NOT_FOUND. */
VirgaSnapshot *virga_snapshot_get(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                  const char *id, GError **error);

/* The account's own, locked.  Noun "snapshot": NOT_FOUND, DENIED if it may only be used. */
VirgaSnapshot *virga_snapshot_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                   const char *id, GError **error);

/* Records a completed snapshot whose file is in place already. */
bool virga_snapshot_create(VirgaTxn *txn, const VirgaSnapshot *snapshot, GError **error);

typedef struct {
    const char *id, *account_id, *description;
    const char *volume_id; /* a volume, which is locked */
    bool halt;             /* a guest that has it is switched off for the moment */
    bool any_source;       /* of a copy: another's that the account may not use, too */
    bool encrypted;        /* of a copy: it is, also if the source is not */
} VirgaSnapshotSpec;

/* Begins a snapshot of a volume.  It is completed at once if no host ever had the volume, so that
 * it has no bytes of its own; else *ret_host_id (in 'arena') is to hear of it.  Claims the quota.
 * Noun "volume": NOT_FOUND, STATE when its bytes are lost or it goes. */
bool virga_snapshot_begin(VirgaTxn *txn, VirgaArena *arena, const VirgaSnapshotSpec *spec,
                          char **ret_host_id, GError **error);

/* The same bytes again, of another account's snapshot maybe.  Nothing is copied: both stand on the
 * same file, unless the copy is to be encrypted and the source is not (storage/snapshot-task.h).
 * Noun "snapshot": NOT_FOUND, STATE when it is not completed. */
bool virga_snapshot_copy(VirgaTxn *txn, VirgaArena *arena, const VirgaSnapshotSpec *spec,
                         const char *source_id, GError **error);

/* Deletes a snapshot that is locked.  Noun "snapshot": IN_USE when an image has it;
 * noun "snapshot lock": DENIED while it is locked.  The files
 * 'ret_files' (ids, in 'arena') are nobody's any more once this is committed; *ret_host_id (or
 * NULL) makes it still, and is to hear of it. */
bool virga_snapshot_delete(VirgaTxn *txn, VirgaArena *arena, const VirgaSnapshot *snapshot,
                           char **ret_host_id, const char *const **ret_files, GError **error);
/* What was deleted and has nothing standing on it any more goes; files as above. */
bool virga_snapshot_sweep(VirgaTxn *txn, VirgaArena *arena, const char *const **ret_files,
                          GError **error);

/* ---- what its host tells ---- */

/* The moments of these have passed. */
bool virga_snapshot_note_cut(VirgaTxn *txn, const char *host_id, const char *const *ids,
                             GError **error);
/* The share that is in the store, in percent; 'ret_wanted': it is the host's to be made. */
bool virga_snapshot_note_progress(VirgaTxn *txn, const char *host_id, const char *id,
                                  gint64 progress, bool *ret_wanted, GError **error);
/* Its file is in the store ('bytes' 0: there is none).  'whole': it stands on no parent.  Told
 * again: success.  Noun "snapshot": NOT_FOUND when it is not wanted any more, STATE while its
 * parent is not completed. */
bool virga_snapshot_complete(VirgaTxn *txn, const char *host_id, const char *id, gint64 bytes,
                             const char *sha256, bool whole, GError **error);
/* It cannot be made. */
bool virga_snapshot_fail(VirgaTxn *txn, const char *host_id, const char *id, const char *message,
                         GError **error);

/* Those of 'ids' of which there is no row, not even of one that was deleted; in 'arena'. */
bool virga_snapshot_gone(VirgaTxn *txn, VirgaArena *arena, const char *const *ids,
                         const char *const **ret, GError **error);

/* How many of these are not cut yet and may still be; 'failed': one of them failed. */
bool virga_snapshot_uncut(VirgaTxn *txn, const char *const *ids, gint64 *ret_count,
                          bool *ret_failed, GError **error);

/* ---- sharing: of a snapshot that is locked ---- */

/* Noun "snapshot permission": NOT_FOUND for an account that this cloud does not have. */
bool virga_snapshot_share(VirgaTxn *txn, const char *id, const char *account_id, bool share,
                          GError **error);
bool virga_snapshot_set_public(VirgaTxn *txn, const char *id, bool is_public, GError **error);
bool virga_snapshot_unshare(VirgaTxn *txn, const char *id, GError **error);

typedef struct {
    char *snapshot_id, *account_id;
} VirgaSnapshotPermission;

/* Whom the account's snapshots are shared with, in 'arena'; 'snapshot_id' NULL: all of them. */
bool virga_snapshot_permissions(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                const char *snapshot_id, VirgaSnapshotPermission **ret,
                                size_t *ret_count, GError **error);
