/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of volumes, as they are asked for.
 *
 * The moment of a snapshot of what a running guest writes to is not later than the answer to the
 * call: whoever has stopped writing may go on then.  So the call waits for the guest's host.  What
 * nobody writes to needs no waiting: its host makes the moment before it lets anybody write. */
#pragma once

#include "storage/snapshot.h"

/* Begins snapshots, all at one moment if their volumes are one instance's.  Volumes are locked in
 * the given order.  *ret_wait: virga_snapshot_await() is to be called after the commit.  Noun
 * "volume": NOT_FOUND, STATE. */
bool virga_volume_snapshot(VirgaTxn *txn, VirgaArena *arena, const VirgaSnapshotSpec *specs,
                           size_t count, bool *ret_wait, GError **error);

/* Waits for the moment of the account's snapshots.  When it does not come in time all of them are
 * taken back: noun "host", RETRY. */
bool virga_snapshot_await(VirgaDb *db, VirgaArena *arena, const char *account_id,
                          const char *const *ids, GError **error);

/* Deletes one and tells its host.  Nouns and files as virga_snapshot_delete(). */
bool virga_snapshot_remove(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                           const char *const **ret_files, GError **error);
