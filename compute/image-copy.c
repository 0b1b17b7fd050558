/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/image-create.h"

#include "compute/image.h"
#include "core/error.h"
#include "core/id.h"
#include "storage/snapshot.h"

/* A device of the copy; adds its snapshot to 'ids'. */
static bool
copy_device(VirgaTxn *txn, VirgaArena *arena, const VirgaImageCopy *copy, const VirgaImage *source,
            VirgaImageDevice *device, const char **ids, size_t *count, GError **error)
{
    g_autofree char *id = virga_id_new("snap");
    g_autoptr(GError) reason = NULL;
    VirgaSnapshotSpec spec = { .id = virga_arena_strdup(arena, id),
                               .account_id = copy->account_id,
                               .encrypted = copy->encrypted,
                               .any_source = source->of_cloud };

    if (!device->snapshot_id) {
        device->encrypted = device->encrypted || copy->encrypted;
        return true;
    }
    spec.description = virga_arena_printf(arena, "Copied for image %s from image %s, snapshot %s",
                                          copy->name, source->id, device->snapshot_id);
    if (!virga_snapshot_copy(txn, arena, &spec, device->snapshot_id, &reason)) {
        if (virga_error_is(reason, "snapshot", VIRGA_ERROR_NOT_FOUND))
            return virga_fail(error, "image storage", VIRGA_ERROR_DENIED,
                              "You do not have permission to access the storage of this ami");
        g_propagate_error(error, g_steal_pointer(&reason));
        return false;
    }
    device->snapshot_id = (char *) spec.id;
    ids[(*count)++] = spec.id;
    return true;
}

bool
virga_image_copy(VirgaTxn *txn, VirgaArena *arena, const VirgaImageCopy *copy,
                 const char *const **ret_snapshot_ids, GError **error)
{
    VirgaImage *source = virga_image_get(txn, arena, copy->account_id, copy->source_id, error);
    VirgaImage image;
    const char **ids;
    size_t count = 0;
    char *id;

    if (!source)
        return false;
    if (!g_str_equal(source->state, "available"))
        return virga_fail(error, "image", VIRGA_ERROR_STATE, "The image '%s' is not available",
                          source->id);
    image = (VirgaImage){ .id = (char *) copy->id,
                          .account_id = (char *) copy->account_id,
                          .name = (char *) copy->name,
                          .description =
                              copy->description ? (char *) copy->description : source->description,
                          .architecture = source->architecture,
                          .boot_mode = source->boot_mode,
                          .root_device_name = source->root_device_name,
                          .imds_support = source->imds_support,
                          .ena_support = source->ena_support,
                          .source_image_id = source->id,
                          .state = (char *) "pending",
                          .devices = source->devices,
                          .device_count = source->device_count };
    ids = virga_arena_new_array(arena, const char *, image.device_count + 1);
    for (size_t i = 0; i < image.device_count; i++)
        if (!copy_device(txn, arena, copy, source, &image.devices[i], ids, &count, error))
            return false;
    *ret_snapshot_ids = ids;
    return virga_image_register(txn, arena, &image, &id, error) &&
           virga_image_settle(txn, ids[0], error);
}
