/* SPDX-License-Identifier: Apache-2.0 */
/* An image of an instance: snapshots of its volumes, all of one moment, and an image that is
 * pending until they are completed. */
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
