/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/image-create.h"

#include "compute/image.h"
#include "compute/volume-snapshot.h"
#include "core/error.h"
#include "core/id.h"
#include "core/tag.h"
#include "storage/volume.h"

/* Its volumes neither come nor go meanwhile. */
static const char sql_lock[] =
    "SELECT 1 FROM instance WHERE id = $1 AND account_id = $2 FOR UPDATE";

typedef struct {
    VirgaTxn *txn;
    VirgaArena *arena;
    const VirgaImageCreation *asked;
    const VirgaInstance *instance;
    VirgaImageDevice *devices; /* of the image */
    VirgaSnapshotSpec *specs;  /* of its volumes that it shall have */
    size_t device_count, spec_count;
} Creation;

static bool
read_instance(Creation *creation, GError **error)
{
    const char *ids[] = { creation->asked->instance_id, NULL };
    VirgaInstance *rows;
    size_t count;

    if (!virga_txn_run(creation->txn, error, NULL, sql_lock, "ss", ids[0],
                       creation->asked->account_id) ||
        !virga_instance_list(creation->txn, creation->arena, creation->asked->account_id, ids, NULL,
                             &rows, &count, error))
        return false;
    if (count == 0)
        return virga_fail(error, "instance", VIRGA_ERROR_NOT_FOUND,
                          "The instance ID '%s' does not exist", ids[0]);
    if (rows->state != VIRGA_INSTANCE_RUNNING && rows->state != VIRGA_INSTANCE_STOPPED)
        return virga_fail(error, "instance", VIRGA_ERROR_STATE,
                          "The instance '%s' is not in the 'running' or 'stopped' state.", ids[0]);
    creation->instance = rows;
    return true;
}

static const VirgaDiskSpec *
find_change(const Creation *creation, const char *device)
{
    for (size_t i = 0; i < creation->asked->disk_count; i++)
        if (g_str_equal(creation->asked->disks[i].device, device))
            return &creation->asked->disks[i];
    return NULL;
}

static bool
has_device(const Creation *creation, const char *device)
{
    for (size_t i = 0; i < creation->device_count; i++)
        if (g_str_equal(creation->devices[i].device, device))
            return true;
    return false;
}

static void
change_device(VirgaImageDevice *device, const VirgaDiskSpec *change)
{
    if (change->volume_type) {
        device->volume_type = (char *) change->volume_type;
        device->iops = change->iops;
        device->throughput = change->throughput;
    }
    if (change->size_gib)
        device->size_gib = change->size_gib;
    if (change->delete_on_termination >= 0)
        device->delete_on_termination = change->delete_on_termination;
}

/* A volume of the instance becomes a device with a snapshot. */
static bool
take_volume(Creation *creation, const VirgaVolume *volume, GError **error)
{
    const VirgaDiskSpec *change = find_change(creation, volume->device);
    g_autofree char *id = virga_id_new("snap");
    VirgaImageDevice *device;

    if (change && change->no_device)
        return true;
    if (change && change->has_encrypted)
        return virga_fail(error, "image device", VIRGA_ERROR_INVALID,
                          "Parameter encrypted is invalid. You cannot specify the encrypted flag "
                          "of the existing device '%s'.",
                          volume->device);
    if (change && change->snapshot_id)
        return virga_fail(error, "instance", VIRGA_ERROR_INVALID,
                          "The device '%s' of the instance cannot have another snapshot",
                          volume->device);
    device = &creation->devices[creation->device_count++];
    *device = (VirgaImageDevice){ .device = volume->device,
                                  .snapshot_id = virga_arena_strdup(creation->arena, id),
                                  .volume_type = volume->type,
                                  .size_gib = volume->size_gib,
                                  .iops = volume->iops,
                                  .throughput = volume->throughput,
                                  .delete_on_termination = volume->delete_on_termination };
    if (change)
        change_device(device, change);
    creation->specs[creation->spec_count++] =
        (VirgaSnapshotSpec){ .id = device->snapshot_id,
                             .account_id = creation->asked->account_id,
                             .volume_id = volume->id,
                             .halt = !creation->asked->no_reboot &&
                                     creation->instance->state == VIRGA_INSTANCE_RUNNING };
    return true;
}

static bool
take_volumes(Creation *creation, GError **error)
{
    const char *ids[] = { creation->asked->instance_id, NULL };
    VirgaVolume *volumes;
    size_t count;

    if (!virga_volume_list(creation->txn, creation->arena, creation->asked->account_id, NULL, ids,
                           &volumes, &count, error))
        return false;
    creation->devices = virga_arena_new_array(creation->arena, VirgaImageDevice,
                                              count + creation->asked->disk_count);
    creation->specs = virga_arena_new_array(creation->arena, VirgaSnapshotSpec, count);
    for (size_t i = 0; i < count; i++)
        if (g_strcmp0(volumes[i].transition, "detaching") != 0 &&
            !take_volume(creation, &volumes[i], error))
            return false;
    return true;
}

/* Devices that the instance does not have. */
static bool
add_devices(Creation *creation, GError **error)
{
    for (size_t i = 0; i < creation->asked->disk_count; i++) {
        const VirgaDiskSpec *disk = &creation->asked->disks[i];

        if (disk->no_device || has_device(creation, disk->device))
            continue;
        if (!disk->snapshot_id && !disk->size_gib)
            return virga_fail(error, "instance", VIRGA_ERROR_INVALID,
                              "The mapping of device '%s' needs a snapshot or a size",
                              disk->device);
        if (disk->snapshot_id && disk->has_encrypted)
            return virga_fail(error, "image device", VIRGA_ERROR_INVALID,
                              "Parameter encrypted is invalid. You cannot specify the encrypted "
                              "flag if specifying a snapshot id in a block device mapping.");
        creation->devices[creation->device_count++] =
            (VirgaImageDevice){ .device = (char *) disk->device,
                                .encrypted = disk->encrypted,
                                .snapshot_id = (char *) disk->snapshot_id,
                                .volume_type = (char *) disk->volume_type,
                                .size_gib = disk->size_gib,
                                .iops = disk->iops,
                                .throughput = disk->throughput,
                                .delete_on_termination = disk->delete_on_termination != 0 };
    }
    return true;
}

static bool
begin(Creation *creation, char **ret_image_id, GError **error)
{
    const VirgaInstance *instance = creation->instance;
    VirgaImage image = { .account_id = (char *) creation->asked->account_id,
                         .name = (char *) creation->asked->name,
                         .description = (char *) creation->asked->description,
                         .architecture = instance->architecture,
                         .boot_mode = instance->boot_mode,
                         .root_device_name = instance->root_device_name,
                         .ena_support = true,
                         .state = (char *) "pending",
                         .source_instance_id = instance->id,
                         .devices = creation->devices,
                         .device_count = creation->device_count };
    const char *description = virga_arena_printf(
        creation->arena, "Created by CreateImage(%s) for %s", instance->id, image.name);
    bool wait;

    for (size_t i = 0; i < creation->spec_count; i++)
        creation->specs[i].description = description;
    return virga_volume_snapshot(creation->txn, creation->arena, creation->specs,
                                 creation->spec_count, &wait, error) &&
           virga_image_register(creation->txn, creation->arena, &image, ret_image_id, error) &&
           (creation->spec_count == 0 ||
            virga_image_settle(creation->txn, creation->specs[0].id, error)) &&
           virga_event_add(creation->txn, error, instance->id, "image %s is made of it",
                           *ret_image_id);
}

bool
virga_image_create(VirgaTxn *txn, VirgaArena *arena, const VirgaImageCreation *asked,
                   char **ret_image_id, const char *const **ret_snapshot_ids, GError **error)
{
    Creation creation = { .txn = txn, .arena = arena, .asked = asked };
    const char **ids;

    if (!read_instance(&creation, error) || !take_volumes(&creation, error) ||
        !add_devices(&creation, error) || !begin(&creation, ret_image_id, error))
        return false;
    ids = virga_arena_new_array(arena, const char *, creation.spec_count + 1);
    for (size_t i = 0; i < creation.spec_count; i++)
        ids[i] = creation.specs[i].id;
    *ret_snapshot_ids = ids;
    return true;
}
