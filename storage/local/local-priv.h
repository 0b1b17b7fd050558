/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the local driver share: local.c makes volumes, bases.c fetches what they stand
 * on, layers.c cuts them into layers, cache.c bounds what nothing stands on, encrypted.c knows what
 * is different if they are encrypted.
 *
 *     images/SNAPSHOT.qcow2            base images, each above its parent's
 *     images/SNAPSHOT.used             when it was of use last
 *     volumes/VOLUME.qcow2             the lowest layer of a volume
 *     volumes/VOLUME.layers/N.SNAPSHOT.qcow2
 *                                      the layer that began at the snapshot's moment; the one with
 *                                      the highest number is the topmost
 *     volumes/VOLUME.layers/SNAPSHOT.copy
 *                                      made for the store
 *     volumes/VOLUME.layers/empty.luks
 *                                      an empty disk: what a layer of an encrypted volume begins
 *                                      as */
#pragma once

#include "driver-priv.h"
#include "luks.h"
#include "qcow2.h"

#define QEMU_IMG_MS      60000
#define QEMU_IMG_COPY_MS 3600000 /* for what reads or writes data */

typedef struct {
    VirgaVolumeDriver base;
    char *images, *volumes;
    gint64 reserved_gib;
    VirgaSnapshotFetch fetch;
    gpointer data;
    VirgaVolumePassphrase passphrase;
    gpointer passphrase_data;
    Claims fetching; /* ids of snapshots */
    GRWLock making;  /* held while a volume is made of a base image, which must not go then */
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

/* cache.c.  A base image is of use now. */
#define USED_SUFFIX ".used"
void local_note_use(Local *local, const char *id);

/* encrypted.c.  What a volume is opened with, the caller's (virga_passphrase_free()). */
char *local_passphrase(Local *local, const char *volume_id, GError **error);
bool local_create_encrypted(Local *local, const VirgaVolumeWish *wish, const char *base,
                            const char *path, GError **error);
/* Makes an empty file of an encrypted volume, on 'below' (NULL: on nothing). */
bool local_make_encrypted(Local *local, const char *volume_id, gint64 bytes, const char *below,
                          const char *passphrase, const char *path, GError **error);
/* Makes a file of all that one of a volume, or of its base images, holds with what it stands on. */
bool local_flatten(Local *local, const char *volume_id, const char *from, const char *path,
                   GError **error);
bool local_resize_encrypted(const char *path, gint64 bytes, const char *passphrase, GError **error);
bool local_join_encrypted(Local *local, const char *volume_id, const char *path, GError **error);
/* Writes into the header of a volume's file, or of one of its base images, what it stands on. */
bool local_set_below(Local *local, const char *volume_id, const char *path, const char *below,
                     GError **error);

/* layers.c.  Where the layers of a volume lie, but for the lowest; the caller's. */
char *local_layers_directory(Local *local, const char *volume_id);
bool local_make_layers_directory(Local *local, const char *directory, GError **error);
/* The path of the topmost layer, the caller's. */
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
