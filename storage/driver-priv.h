/* SPDX-License-Identifier: Apache-2.0 */
/* What drivers of volumes share. */
#pragma once

#include "storage/driver.h"

/* Brings a snapshot's file to 'path' and makes sure that it is whole and as it was made.  What
 * failed may leave something there. */
bool snapshot_file_fetch(const VirgaSnapshotFile *file, const char *path, VirgaSnapshotFetch fetch,
                         gpointer data, GError **error);

/* Names of which each is in one thread's hands at a time. */
typedef struct {
    GMutex lock;
    GCond released;
    GHashTable *names;
} Claims;

void claims_init(Claims *claims);
void claims_clear(Claims *claims);
void claims_take(Claims *claims, const char *name); /* waits for whoever has it */
void claims_release(Claims *claims, const char *name);
