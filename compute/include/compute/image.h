/* SPDX-License-Identifier: Apache-2.0 */
/* Images: what instances are launched from.  The bytes are snapshots (storage/volume.h). */
#pragma once

#include "core/db.h"

typedef struct {
    char *device, *snapshot_id, *volume_type;
    gint64 size_gib, iops, throughput;
    bool delete_on_termination;
} VirgaImageDevice;

typedef struct {
    char *id, *account_id, *name, *description, *architecture, *boot_mode, *root_device_name;
    char *imds_support; /* "v2.0": instances default to HttpTokens=required; else NULL */
    char *state;
    bool is_public, ena_support;
    gint64 created;
    VirgaImageDevice *devices;
    size_t device_count;
} VirgaImage;

/* Images that the account may use (its own and public ones) in order of id, in 'arena'. */
bool virga_image_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                      const char *const *ids, VirgaImage **ret, size_t *ret_count, GError **error);

/* The two halves of it, so that it may share a round trip with others (virga_txn_send()). */
bool virga_image_list_send(VirgaTxn *txn, const char *account_id, const char *const *ids,
                           GError **error);
bool virga_image_list_receive(VirgaTxn *txn, VirgaArena *arena, VirgaImage **ret, size_t *ret_count,
                              GError **error);

/* One usable image; noun "image": NOT_FOUND. */
VirgaImage *virga_image_get(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            const char *id, GError **error);

/* Makes an image of 'image' (its id and created are ignored).  A root device with a snapshot of
 * the account's is required.  Noun "image": EXISTS for a taken name, INVALID; noun "snapshot":
 * NOT_FOUND. */
bool virga_image_register(VirgaTxn *txn, VirgaArena *arena, const VirgaImage *image, char **ret_id,
                          GError **error);

/* Takes the account's image away; instances and snapshots stay.  Noun "image": NOT_FOUND. */
bool virga_image_deregister(VirgaTxn *txn, const char *account_id, const char *id, GError **error);
