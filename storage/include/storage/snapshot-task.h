/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots that virgad makes itself, of others in the store: encrypted ones of what is not.
 *
 * Such a snapshot is pending and no host's.  A virgad takes it for a while, which it prolongs; when
 * it is gone another takes it over.  What the first may still do then has no effect. */
#pragma once

#include "core/db.h"

typedef struct {
    char *id, *key_id;
    char **files; /* ids of those that the source is made of, the lowest one first */
    char **sums;  /* their SHA-256, "" where it is not known */
} VirgaSnapshotTask;

/* One that nobody works on becomes the worker's; ret->id NULL: there is none.  In 'arena'. */
bool virga_snapshot_task_take(VirgaTxn *txn, VirgaArena *arena, const char *worker,
                              VirgaSnapshotTask *ret, GError **error);
/* The following say by *ret_held whether it is the worker's still. */
bool virga_snapshot_task_prolong(VirgaTxn *txn, const char *id, const char *worker, bool *ret_held,
                                 GError **error);
/* Locks it: nobody else takes it before the transaction ends. */
bool virga_snapshot_task_hold(VirgaTxn *txn, const char *id, const char *worker, bool *ret_held,
                              GError **error);
/* Its file is in the store ('bytes' 0: it needs none). */
bool virga_snapshot_task_complete(VirgaTxn *txn, const char *id, const char *worker, gint64 bytes,
                                  const char *sha256, bool *ret_held, GError **error);
bool virga_snapshot_task_fail(VirgaTxn *txn, const char *id, const char *worker,
                              const char *message, bool *ret_held, GError **error);
