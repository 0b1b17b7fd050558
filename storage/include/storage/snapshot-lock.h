/* SPDX-License-Identifier: Apache-2.0 */
/* Locks: for a time, a snapshot cannot be deleted.  One in governance mode is its owner's to change
 * and to take away; one in compliance mode, after its cooling-off period, only to be made longer.
 * One whose time has passed stays to be seen and holds nothing. */
#pragma once

#include "core/db.h"

typedef struct {
    char *snapshot_id, *account_id, *mode;
    char *state;            /* "compliance", "compliance-cooloff", "governance", "expired" */
    gint64 days;            /* the whole time; 0: it has not begun */
    gint64 cool_off_hours;  /* 0: none */
    gint64 cool_off_until;  /* 0: none */
    gint64 created, starts; /* 'starts' 0: when the snapshot is completed */
    gint64 expires;         /* 0: not known yet */
} VirgaSnapshotLock;

typedef struct {
    const char *mode;
    gint64 days, until; /* one of both; the other is 0 */
    gint64 cool_off_hours;
} VirgaSnapshotLockSpec;

/* Locks a snapshot whose row is locked, or changes its lock.  Noun "snapshot lock": DENIED for what
 * a lock in compliance mode does not allow. */
bool virga_snapshot_lock_set(VirgaTxn *txn, const char *snapshot_id,
                             const VirgaSnapshotLockSpec *spec, GError **error);

/* Takes the lock of a snapshot whose row is locked away.  Noun "snapshot lock": STATE if there is
 * none that holds, DENIED in compliance mode. */
bool virga_snapshot_lock_remove(VirgaTxn *txn, const char *snapshot_id, GError **error);

/* Of the account's snapshots, in order of id, in 'arena'; 'ids' NULL: all. */
bool virga_snapshot_lock_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                              const char *const *ids, VirgaSnapshotLock **ret, size_t *ret_count,
                              GError **error);

/* Noun "snapshot lock": DENIED while a lock holds. */
bool virga_snapshot_lock_check(VirgaTxn *txn, const char *snapshot_id, GError **error);
