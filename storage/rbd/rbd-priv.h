/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the driver for Ceph share: rbd.c opens the pool and makes volumes, bases.c
 * fetches what they stand on, snaps.c makes the moments of snapshots and their copies.
 *
 *     snap-…@base      base images, each a clone of its parent's
 *     vol-…            volumes, clones of base images
 *     vol-…@snap-…     the moment of a snapshot; protected while its copy is wanted
 *     ….part…          what is being made: a name without it is always whole */
#pragma once

#include "driver-priv.h"

#include <rados/librados.h>
#include <rbd/librbd.h>

#define BASE_SNAP "base"

typedef struct {
    VirgaVolumeDriver base;
    char *monitors, *user, *key_file, *key, *name;
    char *owner;   /* of what is being made by this host */
    char *scratch; /* folder of files that come and go */
    VirgaSnapshotFetch fetch;
    gpointer data;
    GMutex lock;
    rados_t cluster; /* NULL: not connected yet; under the lock */
    rados_ioctx_t io;
    gint64 answers_until; /* monotonic; so long the last answer is good.  Under the lock */
    bool silent;          /* the last question had no answer; likewise */
    unsigned asking;      /* how many are; likewise */
    Claims fetching;      /* ids of snapshots */
} Pool;

/* An image that is open. */
typedef struct {
    rbd_image_t image;
} Image;

void image_close(Image *image);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Image, image_close)

/* rbd.c.  Says what librbd could not do; 'result' is its negative errno. */
bool pool_fail(GError **error, int result, const char *what, const char *name);
bool pool_connect(Pool *pool, GError **error); /* before anything else is done with it */
/* Opens an image, at a snap (or NULL).  *ret_there false: it, or its snap, is not there; NULL: it
 * must be. */
bool pool_open(Pool *pool, const char *name, const char *snap, bool writing, Image *ret,
               bool *ret_there, GError **error);
/* Takes an image with all its snaps away; not there: success. */
bool pool_remove(Pool *pool, const char *name, GError **error);
/* Makes an empty image, or a clone of a base image ('below' is its snapshot's id). */
bool pool_make(Pool *pool, const char *name, const char *below, guint64 bytes, GError **error);
/* The names of all images, NULL-terminated, the caller's. */
char **pool_list(Pool *pool, GError **error);
/* A file in the scratch folder, the caller's path. */
char *pool_scratch(Pool *pool, const char *id, const char *suffix);

/* bases.c.  Brings the base image that all the files make to the pool. */
bool pool_base(Pool *pool, const VirgaVolumeWish *wish, GError **error);
/* … and the driver's callbacks */
char **pool_bases(VirgaVolumeDriver *driver, bool used, GError **error);
bool pool_drop_base(VirgaVolumeDriver *driver, const char *snapshot_id, GError **error);

/* snaps.c: callbacks, too */
bool pool_begin_layer(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot, char **ret_path,
                      GError **error);
bool pool_is_cut(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot, bool *ret_cut,
                 GError **error);
bool pool_begin_copy(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot, char **ret_path,
                     bool *ret_whole, bool *ret_made, GError **error);
void pool_end_copy(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot);
bool pool_surplus(VirgaVolumeDriver *driver, const char *volume_id, char **ret_path,
                  char **ret_below, GError **error);
bool pool_join(VirgaVolumeDriver *driver, const char *volume_id, GError **error);
