/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the local driver share: local.c makes volumes, bases.c fetches what they stand
 * on, layers.c cuts them into layers.
 *
 *     images/SNAPSHOT.qcow2            base images, each above its parent's
 *     volumes/VOLUME.qcow2             the lowest layer of a volume
 *     volumes/VOLUME.layers/N.SNAPSHOT.qcow2
 *                                      the layer that began at the snapshot's moment; the one with
 *                                      the highest number is the topmost
 *     volumes/VOLUME.layers/SNAPSHOT.copy
 *                                      made for the store */
#pragma once

#include "driver-priv.h"
#include "qcow2.h"

#define QEMU_IMG_MS      60000
#define QEMU_IMG_COPY_MS 3600000 /* for what reads or writes data */

typedef struct {
    VirgaVolumeDriver base;
    char *images, *volumes;
    gint64 reserved_gib;
    VirgaSnapshotFetch fetch;
    gpointer data;
    Claims fetching; /* ids of snapshots */
} Local;

/* local.c.  A path in a directory, the caller's. */
char *local_file(const char *directory, const char *id, const char *suffix);
/* Makes a finished temporary file durable under its name. */
bool local_put_in_place(const char *directory, const char *temporary, const char *path,
                        GError **error);
bool local_sync_file(const char *path, GError **error); /* or directory */

/* bases.c.  The path of the base image that the last file makes, the caller's; what is not here is
 * fetched. */
char *local_base(Local *local, const VirgaVolumeWish *wish, GError **error);

/* … and the driver's callbacks */
char **local_bases(VirgaVolumeDriver *driver, bool used, GError **error);
bool local_drop_base(VirgaVolumeDriver *driver, const char *snapshot_id, GError **error);

/* layers.c.  The path of the topmost layer, the caller's. */
char *local_path(Local *local, const char *volume_id);
/* … and the driver's callbacks */
bool local_delete_layers(Local *local, const char *volume_id, GError **error);
bool local_begin_layer(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot,
                       char **ret_path, GError **error);
bool local_is_cut(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot, bool *ret_cut,
                  GError **error);
bool local_begin_copy(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot, char **ret_path,
                      bool *ret_whole, bool *ret_made, GError **error);
void local_end_copy(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot);
bool local_surplus(VirgaVolumeDriver *driver, const char *volume_id, char **ret_path,
                   char **ret_below, GError **error);
bool local_join(VirgaVolumeDriver *driver, const char *volume_id, GError **error);
