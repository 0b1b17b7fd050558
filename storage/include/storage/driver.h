/* SPDX-License-Identifier: Apache-2.0 */
/* One way of keeping volumes on a host.  Every callback is required, may block, and must be
 * idempotent: the reconciler repeats a step whenever it does not know whether it succeeded.
 * All fail with noun "volume"; NOT_FOUND when the snapshot's bytes cannot be had. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct VirgaVolumeDriver VirgaVolumeDriver;

typedef struct {
    const char *id; /* "vol-…" */
    gint64 size_gib;
    const char *snapshot_id; /* NULL: made empty */
    gint64 snapshot_bytes;   /* length of the snapshot's file, for a check */
    const char *snapshot_sha256;
} VirgaVolumeWish;

struct VirgaVolumeDriver {
    const char *name;
    /* Says whether the bytes are there.  A missing volume is a fact, not an error. */
    bool (*inspect)(VirgaVolumeDriver *driver, const char *volume_id, bool *ret_exists,
                    GError **error);
    /* Makes the bytes, whole or not at all.  Already there: success. */
    bool (*create)(VirgaVolumeDriver *driver, const VirgaVolumeWish *wish, GError **error);
    /* Takes the bytes away.  Not there: success. */
    bool (*delete)(VirgaVolumeDriver *driver, const char *volume_id, GError **error);
    /* Where the hypervisor finds it; the caller owns the text. */
    char *(*path)(VirgaVolumeDriver *driver, const char *volume_id);
    /* The ids of all volumes that are there, NULL-terminated, the caller's. */
    char **(*list)(VirgaVolumeDriver *driver, GError **error);
    void (*free)(VirgaVolumeDriver *driver);
};

/* Brings a snapshot's file to 'path' on this host; fails with noun "volume", NOT_FOUND when the
 * store does not have it.  May be called by several threads. */
typedef bool (*VirgaSnapshotFetch)(const char *snapshot_id, const char *path, gpointer data,
                                   GError **error);

/* qcow2 overlays in 'directory'/volumes on base images that are fetched once each into
 * 'directory'/images and shared.  A creation that would leave less than 'reserved_gib' free on
 * the disk fails with CAPACITY. */
VirgaVolumeDriver *virga_volume_local_new(const char *directory, gint64 reserved_gib,
                                          VirgaSnapshotFetch fetch, gpointer data);

/* Volumes in memory.  'fail_at' n makes the n-th call from now fail once; 0: none. */
VirgaVolumeDriver *virga_volume_fake_new(void);
void virga_volume_fake_fail_at(VirgaVolumeDriver *driver, unsigned call);
bool virga_volume_fake_failed(VirgaVolumeDriver *driver);
void virga_volume_fake_lose(VirgaVolumeDriver *driver, const char *volume_id);
