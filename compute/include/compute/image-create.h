/* SPDX-License-Identifier: Apache-2.0 */
/* Images of what is there: of an instance (snapshots of its volumes, all of one moment, and an
 * image that is pending until they are completed), or of another image. */
#pragma once

#include "compute/instance.h"

typedef struct {
    const char *account_id, *instance_id, *name, *description;
    bool no_reboot;             /* a running guest is not switched off for the moment */
    const VirgaDiskSpec *disks; /* change the instance's devices of these names, or add some */
    size_t disk_count;
} VirgaImageCreation;

/* Begins it; *ret_snapshot_ids is NULL-terminated and in 'arena'.  Nouns: "instance" NOT_FOUND,
 * STATE, INVALID; those of virga_image_register() and virga_volume_snapshot(). */
bool virga_image_create(VirgaTxn *txn, VirgaArena *arena, const VirgaImageCreation *creation,
                        char **ret_image_id, const char *const **ret_snapshot_ids, GError **error);

typedef struct {
    const char *id; /* of the copy */
    const char *account_id, *source_id, *name;
    const char *description; /* NULL: the source's */
    bool encrypted;          /* also where the source is not */
} VirgaImageCopy;

/* An image of the account's own with snapshots of its own; no bytes are copied, but for those that
 * are to be encrypted.  Of an image that
 * was only shared with it, the account needs its snapshots, too, unless the cloud's operator
 * brought it.  Nouns: "image" NOT_FOUND, STATE if it is not available; "image storage" DENIED;
 * those of virga_image_register() and virga_snapshot_copy(). */
bool virga_image_copy(VirgaTxn *txn, VirgaArena *arena, const VirgaImageCopy *copy,
                      const char *const **ret_snapshot_ids, GError **error);
