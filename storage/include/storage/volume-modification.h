/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of volumes: the rows.  Each volume has the last one; it is open until the guest that runs
 * on the volume has felt it. */
#pragma once

#include "core/db.h"

typedef struct {
    const char *type;
    gint64 size_gib, iops, throughput; /* 0: the type has no such figure */
} VirgaVolumeShape;

typedef struct {
    char *volume_id, *state; /* "modifying", "completed" */
    VirgaVolumeShape original, target;
    gint64 started, ended; /* 0: not yet */
} VirgaModification;

/* Records a change of a volume, which is locked, and makes it: from now on it shall be so.
 * 'completed': nobody has to hear of it. */
bool virga_modification_begin(VirgaTxn *txn, const char *volume_id,
                              const VirgaVolumeShape *original, const VirgaVolumeShape *target,
                              bool completed, GError **error);

/* The changes of an instance's volumes have reached its guest. */
bool virga_modification_settle(VirgaTxn *txn, const char *instance_id, GError **error);

/* Of the account's volumes in order of id, in 'arena'; 'ids' NULL: all. */
bool virga_modification_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                             const char *const *ids, VirgaModification **ret, size_t *ret_count,
                             GError **error);
