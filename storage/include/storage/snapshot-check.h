/* SPDX-License-Identifier: Apache-2.0 */
/* Whether snapshots' files are what they were: the rows.  Of a snapshot that is damaged, or stands
 * on one that is, nothing is made; it is shown as failed. */
#pragma once

#include "core/db.h"

typedef struct {
    char *id, *sha256;
    gint64 bytes;
    bool damaged; /* it was when it was looked at last */
} VirgaSnapshotCheck;

/* The file that was not read for the longest time, if that is 'age_s' or more; whoever asks reads
 * it.  *ret is in 'arena', NULL: there is none. */
bool virga_snapshot_check_claim(VirgaTxn *txn, VirgaArena *arena, gint64 age_s,
                                VirgaSnapshotCheck **ret, GError **error);
/* It is still being read. */
bool virga_snapshot_check_note(VirgaTxn *txn, const char *id, GError **error);
/* It was read. */
bool virga_snapshot_check_end(VirgaTxn *txn, const char *id, bool damaged, GError **error);
/* It was not read to its end. */
bool virga_snapshot_check_release(VirgaTxn *txn, const char *id, GError **error);

/* Whether the file of this snapshot may be given to hosts.  Noun "snapshot": NOT_FOUND. */
bool virga_snapshot_check_serve(VirgaTxn *txn, const char *id, GError **error);
