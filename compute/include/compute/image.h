/* SPDX-License-Identifier: Apache-2.0 */
/* Images: what instances are launched from.  The bytes are snapshots (storage/volume.h). */
#pragma once

#include "core/db.h"

typedef struct {
    char *device, *snapshot_id, *volume_type;
    gint64 size_gib, iops, throughput;
    bool delete_on_termination;
    bool encrypted; /* by the snapshot's key, if there is a snapshot */
    char *key_id;   /* that one, or NULL; found out when the image is read */
} VirgaImageDevice;

typedef struct {
    char *id, *account_id, *name, *description, *architecture, *boot_mode, *root_device_name;
    char *imds_support;       /* "v2.0": instances default to HttpTokens=required; else NULL */
    char *state;              /* "available", "disabled", "pending", "failed" */
    char *state_reason;       /* of one that failed */
    char *source_instance_id; /* of which it was made, or NULL */
    char *source_image_id;    /* of which it is a copy, or NULL */
    char *protection;         /* "disabled", "enabled-with-cooldown", "enabled-without-cooldown" */
    bool is_public, ena_support;
    bool of_cloud; /* brought by the operator */
    bool shared;   /* the account that asked is one of those that it is shared with */
    bool cooling;  /* protected still, though the protection was taken away */
    bool encrypts; /* of launchable ones: the account that asks, all of its new volumes */
    gint64 created, last_launched;
    gint64 deprecated; /* from when on; 0: never */
    VirgaImageDevice *devices;
    size_t device_count;
} VirgaImage;

/* Images that the account may use (its own, shared and public ones, but no disabled ones of others)
 * in order of id, in 'arena'. */
bool virga_image_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                      const char *const *ids, VirgaImage **ret, size_t *ret_count, GError **error);

/* One usable image as a launch needs it, in two halves (virga_txn_send()): not known are its name,
 * description, protection, permissions and times, but for the last launch.  'ret' is NULL if there
 * is none. */
bool virga_image_launchable_send(VirgaTxn *txn, const char *account_id, const char *id,
                                 GError **error);
bool virga_image_launchable_receive(VirgaTxn *txn, VirgaArena *arena, VirgaImage **ret,
                                    GError **error);

/* One usable image; noun "image": NOT_FOUND. */
VirgaImage *virga_image_get(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            const char *id, GError **error);

/* Makes an image of 'image' (id NULL: a new one; state NULL: "available").  A root
 * device with a snapshot that the account may use is required.  Noun "image": EXISTS for a taken
 * name, INVALID; noun "snapshot": NOT_FOUND, STATE if it is not completed and the image is to be
 * available. */
bool virga_image_register(VirgaTxn *txn, VirgaArena *arena, const VirgaImage *image, char **ret_id,
                          GError **error);

/* Takes the account's image away; instances and snapshots stay.  Noun "image": NOT_FOUND, DENIED
 * while it is protected. */
bool virga_image_deregister(VirgaTxn *txn, const char *account_id, const char *id, GError **error);

/* Notes that an instance was launched, if that was not noted within the hour. */
bool virga_image_launched(VirgaTxn *txn, const VirgaImage *image, GError **error);

/* The account's own image, locked.  Noun "image": NOT_FOUND, DENIED if it may only be used. */
VirgaImage *virga_image_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                             const char *id, GError **error);

/* The account ids that images are shared with, ordered by image. */
typedef struct {
    char *image_id, *account_id;
} VirgaImagePermission;

/* Of the account's images; 'image_id' NULL: of all. */
bool virga_image_permissions(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                             const char *image_id, VirgaImagePermission **ret, size_t *ret_count,
                             GError **error);

/* The following change an image that is locked. */

/* Shares it, or shares it no more.  Noun "image permission": NOT_FOUND for an account that this
 * cloud does not have. */
bool virga_image_share(VirgaTxn *txn, const char *id, const char *account_id, bool share,
                       GError **error);
bool virga_image_set_public(VirgaTxn *txn, const char *id, bool is_public, GError **error);
bool virga_image_unshare(VirgaTxn *txn, const char *id, GError **error);

/* NULL: as it is.  Noun "image": INVALID for a description that is too long. */
bool virga_image_describe(VirgaTxn *txn, const char *id, const char *description,
                          const char *imds_support, GError **error);
bool virga_image_deprecate(VirgaTxn *txn, const char *id, gint64 at, GError **error); /* 0: not */
/* Images that have waited for this snapshot are available, or have failed. */
bool virga_image_settle(VirgaTxn *txn, const char *snapshot_id, GError **error);

/* Images of snapshots that are damaged (storage/snapshot-check.h) have failed, and those whose
 * snapshots are sound again have not. */
bool virga_image_note_damage(VirgaTxn *txn, GError **error);

/* A disabled image cannot be launched, and is shared no more.  Noun "image": STATE. */
bool virga_image_disable(VirgaTxn *txn, const char *id, bool disable, GError **error);
/* Taking a protection with a cooldown away leaves the image protected for a day. */
bool virga_image_protect(VirgaTxn *txn, const char *id, const char *protection, GError **error);
