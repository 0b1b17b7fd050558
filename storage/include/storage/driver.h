/* SPDX-License-Identifier: Apache-2.0 */
/* One way of keeping volumes on a host.  Every callback is required, may block, and must be
 * idempotent: the reconciler repeats a step whenever it does not know whether it succeeded.
 * All fail with noun "volume"; NOT_FOUND when the snapshot's bytes cannot be had.
 *
 * A volume's bytes lie in layers.  The moment of a snapshot is that from which on what is written
 * goes to another layer: what lies below is what the snapshot holds, and nothing ever changes it
 * until its copy is in the store.  So the moment outlives whoever made it. */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct VirgaVolumeDriver VirgaVolumeDriver;

/* A file in the store of snapshots. */
typedef struct {
    char *id; /* "snap-…" */
    gint64 bytes;
    char *sha256; /* NULL: not checked */
} VirgaSnapshotFile;

typedef struct {
    const char *id; /* "vol-…" */
    gint64 size_gib;
    /* What it is made of: each has what differs from the one before.  None: made empty. */
    const VirgaSnapshotFile *const *files;
    size_t file_count;
    /* All of its layers are.  What it is made of is so, too, with the same key, or not at all:
     * then it is copied. */
    bool encrypted;
} VirgaVolumeWish;

typedef struct {
    const char *id, *volume_id;
    const char *parent_id; /* the copy needs only what differs from this snapshot; or NULL */
    const char
        *parent_file; /* the last of the files of which that one is made; NULL: it is empty */
} VirgaSnapshotWish;

/* What a hypervisor opens to read and write a volume. */
typedef enum {
    VIRGA_SOURCE_FILE, /* a qcow2 file */
    VIRGA_SOURCE_RBD,  /* an image in a Ceph cluster, raw */
    VIRGA_SOURCE_NBD,  /* an export behind a Unix socket, raw */
} VirgaSourceKind;

#define VIRGA_SOURCE_EXPORT "disk" /* the name of every such export */

typedef struct {
    VirgaSourceKind kind;
    char *name;                  /* the path of the file or the socket; "POOL/IMAGE" */
    char *monitors, *user, *key; /* RBD: "ADDRESS:PORT,…"; who opens it, and the key in base64 */

    /* FILE, if it is encrypted: the files that it stands on, the topmost first; whose it is; and
     * what all of them are opened with. */
    char **below;
    char *volume_id, *passphrase;
} VirgaVolumeSource;

void virga_volume_source_free(VirgaVolumeSource *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaVolumeSource, virga_volume_source_free)

struct VirgaVolumeDriver {
    const char *name;
    bool makes_moments; /* by itself: see begin_layer() */
    /* Says whether the bytes are there.  A missing volume is a fact, not an error. */
    bool (*inspect)(VirgaVolumeDriver *driver, const char *volume_id, bool *ret_exists,
                    GError **error);
    /* Makes the bytes, whole or not at all.  Already there: success. */
    bool (*create)(VirgaVolumeDriver *driver, const VirgaVolumeWish *wish, GError **error);
    /* Makes it as large as that, if it is smaller; nobody has the volume open: else it fails. */
    bool (*grow)(VirgaVolumeDriver *driver, const char *volume_id, gint64 size_gib, GError **error);
    /* Takes the bytes away, of all layers.  Not there: success. */
    bool (*delete)(VirgaVolumeDriver *driver, const char *volume_id, GError **error);
    /* Where the hypervisor finds it: its topmost layer; the caller owns it. */
    VirgaVolumeSource *(*source)(VirgaVolumeDriver *driver, const char *volume_id, GError **error);
    /* The ids of all volumes that are there, NULL-terminated, the caller's. */
    char **(*list)(VirgaVolumeDriver *driver, GError **error);

    /* Makes the layer that begins at a snapshot's moment, empty, above the topmost one.  For a
     * volume that nobody has open the moment is now.  A guest that has it open is to be moved to
     * the file *ret_path (the caller's), unless the driver makes moments by itself: then the
     * moment is now for that one, too, and *ret_path is NULL.  Already there: success. */
    bool (*begin_layer)(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot,
                        char **ret_path, GError **error);
    /* Says whether the moment has passed: the layer is there, and nobody writes below it. */
    bool (*is_cut)(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot, bool *ret_cut,
                   GError **error);
    /* The file to be copied to the store, the caller's path; the moment has passed.  *ret_whole:
     * what differs from the parent is not known any more, and the file has all.  *ret_made: it was
     * made for this, and may be another one the next time. */
    bool (*begin_copy)(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot,
                       char **ret_path, bool *ret_whole, bool *ret_made, GError **error);
    /* The copy is in the store, or is not wanted any more. */
    void (*end_copy)(VirgaVolumeDriver *driver, const VirgaSnapshotWish *snapshot);

    /* A layer that can be joined with the one below it, since no snapshot is being copied: the
     * lowest of several.  *ret_path is its path and *ret_below that of the other one, both the
     * caller's; NULL: there is none that a hypervisor is to join.  What was joined before is
     * forgotten. */
    bool (*surplus)(VirgaVolumeDriver *driver, const char *volume_id, char **ret_path,
                    char **ret_below, GError **error);
    /* Joins it; nobody has the volume open.  Nothing to be joined: success.  The last moment stays
     * known. */
    bool (*join)(VirgaVolumeDriver *driver, const char *volume_id, GError **error);

    /* The ids of snapshots of which there are base images that volumes stand on ('used'), or that
     * nothing does; NULL-terminated, the caller's. */
    char **(*bases)(VirgaVolumeDriver *driver, bool used, GError **error);
    /* Takes away a base image of which nothing will be made any more, unless something stands on
     * it. */
    bool (*drop_base)(VirgaVolumeDriver *driver, const char *snapshot_id, GError **error);
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

/* Takes away base images that no volume of a local driver stands on, those first that were used
 * least recently, until they take no more than that on the disk; *ret_count is how many.  Not now,
 * if a volume is just being made of one. */
bool virga_volume_local_evict(VirgaVolumeDriver *driver, gint64 bytes_max, guint *ret_count,
                              GError **error);

/* Gives the files of all layers of a local driver's volume to a user, who is to open it. */
bool virga_volume_local_lend(VirgaVolumeDriver *driver, const char *volume_id, uid_t user,
                             gid_t group, GError **error);

typedef struct {
    const char *monitors;       /* "ADDRESS:PORT,…" */
    const char *user;           /* "virga" of "client.virga" */
    const char *key_file;       /* holds its key, and nothing else */
    const char *pool, *host_id; /* Ceph's pool; who works on it here */
    const char *scratch;        /* a folder of its own for files that come and go; NULL: none do */
    VirgaSnapshotFetch fetch;
    gpointer data;
} VirgaRbdSettings;

/* Images in a pool of Ceph, shared by all hosts; base images are fetched once for all of them.  The
 * cluster is asked when it is needed first.  Fails with INVALID when the key cannot be read,
 * or by others, too. */
VirgaVolumeDriver *virga_volume_rbd_new(const VirgaRbdSettings *settings, GError **error);

/* The same, of the module that has it; fails with UNSUPPORTED where that or Ceph's libraries are
 * not. */
VirgaVolumeDriver *virga_volume_rbd_load(const VirgaRbdSettings *settings, GError **error);

/* What an encrypted volume is opened with, the caller's, who wipes it (virga_passphrase_free());
 * fails with noun "volume", RETRY when it cannot be had now.  May be called by several threads. */
typedef char *(*VirgaVolumePassphrase)(const char *volume_id, gpointer data, GError **error);
void virga_volume_local_set_passphrases(VirgaVolumeDriver *driver, VirgaVolumePassphrase get,
                                        gpointer data);

/* Volumes in memory, whose copies are empty files: what they are made of is not looked at.
 * 'fail_at' n makes the n-th call from now fail once; 0: none. */
VirgaVolumeDriver *virga_volume_fake_new(void);
gint64 virga_volume_fake_size_gib(VirgaVolumeDriver *driver, const char *volume_id);
void virga_volume_fake_fail_at(VirgaVolumeDriver *driver, unsigned call);
bool virga_volume_fake_failed(VirgaVolumeDriver *driver);
void virga_volume_fake_make_moments(VirgaVolumeDriver *driver); /* from now on, by itself */
void virga_volume_fake_lose(VirgaVolumeDriver *driver, const char *volume_id);
