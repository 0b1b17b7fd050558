/* SPDX-License-Identifier: Apache-2.0 */
/* A launch's disks: the image's, changed by the call's. */
#include "launch-priv.h"

#include "core/tag.h"
#include "storage/pool.h"
#include "storage/snapshot.h"
#include "storage/volume.h"

#include <string.h>

#define DISKS_MAX      28 /* AWS's limit of attachments */
#define VOLUME_GIB_MAX 16384

static VirgaDiskSpec *
find_disk(VirgaDiskSpec *disks, size_t count, const char *device)
{
    for (size_t i = 0; i < count; i++)
        if (g_str_equal(disks[i].device, device))
            return &disks[i];
    return NULL;
}

static void
overlay_disk(VirgaDiskSpec *disk, const VirgaDiskSpec *over)
{
    if (over->snapshot_id && g_strcmp0(over->snapshot_id, disk->snapshot_id) != 0)
        disk->key_id = NULL;
    disk->snapshot_id = over->snapshot_id ? over->snapshot_id : disk->snapshot_id;
    disk->volume_type = over->volume_type ? over->volume_type : disk->volume_type;
    disk->size_gib = over->size_gib ? over->size_gib : disk->size_gib;
    disk->iops = over->iops ? over->iops : disk->iops;
    disk->throughput = over->throughput ? over->throughput : disk->throughput;
    if (over->delete_on_termination >= 0)
        disk->delete_on_termination = over->delete_on_termination;
    disk->encrypted = disk->encrypted || over->encrypted;
    disk->no_device = over->no_device;
}

/* True if the disk is the image's, and no smaller: its registration has compared it with its
 * snapshot. */
static bool
is_of_image(const Launch *launch, const VirgaDiskSpec *disk)
{
    const VirgaImage *image = launch->image;

    for (size_t i = 0; i < image->device_count; i++)
        if (g_str_equal(image->devices[i].device, disk->device))
            return g_strcmp0(image->devices[i].snapshot_id, disk->snapshot_id) == 0 &&
                   disk->size_gib >= image->devices[i].size_gib;
    return false;
}

/* One that the account may use: an image that it may use brings its own, whosever they are. */
static VirgaSnapshot *
find_snapshot(Launch *launch, const char *id, GError **error)
{
    const VirgaInstanceSpec *spec = launch->spec;
    g_autoptr(GError) reason = NULL;
    VirgaSnapshot *snapshot =
        virga_snapshot_get(launch->txn, launch->arena, spec->account_id, id, &reason);

    if (!snapshot && virga_error_is(reason, "snapshot", VIRGA_ERROR_NOT_FOUND)) {
        snapshot =
            virga_snapshot_get(launch->txn, launch->arena, launch->image->account_id, id, NULL);
        if (snapshot && !g_str_equal(snapshot->account_id, launch->image->account_id))
            snapshot = NULL;
    }
    if (!snapshot) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return NULL;
    }
    if (g_str_equal(snapshot->state, "completed"))
        return snapshot;
    virga_fail(error, "snapshot", VIRGA_ERROR_STATE, "Snapshot '%s' is not 'completed'.", id);
    return NULL;
}

/* Settles a disk's size and checks it against its snapshot. */
static bool
complete_disk(Launch *launch, VirgaDiskSpec *disk, GError **error)
{
    VirgaSnapshot *snapshot = NULL;

    if (disk->snapshot_id && !is_of_image(launch, disk)) {
        snapshot = find_snapshot(launch, disk->snapshot_id, error);
        if (!snapshot)
            return false;
        disk->key_id = snapshot->key_id;
        if (!disk->size_gib)
            disk->size_gib = snapshot->size_gib;
        if (disk->size_gib < snapshot->size_gib)
            return virga_fail(error, "snapshot", VIRGA_ERROR_INVALID,
                              "Volume of size %" G_GINT64_FORMAT "GB is smaller than snapshot "
                              "'%s', expect size >= %" G_GINT64_FORMAT "GB",
                              disk->size_gib, snapshot->id, snapshot->size_gib);
    }
    if (disk->size_gib < 1 || disk->size_gib > VOLUME_GIB_MAX)
        return virga_fail(error, "instance", VIRGA_ERROR_INVALID,
                          "The device '%s' must have a snapshot or a size of 1 to %d GiB",
                          disk->device, VOLUME_GIB_MAX);
    if (!disk->volume_type)
        disk->volume_type = "gp2";
    if (disk->delete_on_termination < 0)
        disk->delete_on_termination = true;
    return true;
}

bool
virga_launch_find_disks(Launch *launch, GError **error)
{
    const VirgaInstanceSpec *spec = launch->spec;
    const VirgaImage *image = launch->image;
    VirgaDiskSpec *disks =
        virga_arena_new_array(launch->arena, VirgaDiskSpec, image->device_count + spec->disk_count);
    size_t count = 0, kept = 0;

    for (size_t i = 0; i < image->device_count; i++)
        disks[count++] =
            (VirgaDiskSpec){ .device = image->devices[i].device,
                             .snapshot_id = image->devices[i].snapshot_id,
                             .volume_type = image->devices[i].volume_type,
                             .size_gib = image->devices[i].size_gib,
                             .iops = image->devices[i].iops,
                             .throughput = image->devices[i].throughput,
                             .encrypted = image->devices[i].encrypted,
                             .key_id = image->devices[i].key_id,
                             .delete_on_termination = image->devices[i].delete_on_termination };
    for (size_t i = 0; i < spec->disk_count; i++) {
        VirgaDiskSpec *known = find_disk(disks, count, spec->disks[i].device);

        if (known)
            overlay_disk(known, &spec->disks[i]);
        else
            disks[count++] = spec->disks[i];
    }
    for (size_t i = 0; i < count; i++) {
        if (disks[i].no_device)
            continue;
        if (!complete_disk(launch, &disks[i], error))
            return false;
        disks[kept++] = disks[i];
    }
    if (kept == 0 || !g_str_equal(disks[0].device, image->root_device_name))
        return virga_fail(error, "instance", VIRGA_ERROR_INVALID,
                          "The root device '%s' cannot be left out", image->root_device_name);
    if (kept > DISKS_MAX)
        return virga_fail(error, "instance", VIRGA_ERROR_INVALID,
                          "An instance can have at most %d volumes", DISKS_MAX);
    launch->disks = disks;
    launch->disk_count = kept;
    return true;
}

bool
virga_launch_add_disks(Launch *launch, const char *id, const char *host_id, GError **error)
{
    const VirgaInstanceSpec *spec = launch->spec;

    for (size_t i = 0; i < launch->disk_count; i++) {
        const VirgaDiskSpec *disk = &launch->disks[i];
        VirgaVolumeSpec volume = { .account_id = spec->account_id,
                                   .zone = launch->subnet->zone,
                                   .host_id = host_id,
                                   .type = disk->volume_type,
                                   .snapshot_id = disk->snapshot_id,
                                   .size_gib = disk->size_gib,
                                   .iops = disk->iops,
                                   .throughput = disk->throughput,
                                   .encrypted = disk->encrypted || launch->encrypts,
                                   .key_id = disk->key_id,
                                   .instance_id = id,
                                   .device = disk->device,
                                   .delete_on_termination = disk->delete_on_termination > 0 };
        char *volume_id;

        volume.pool = virga_pool_of(launch->config, volume.type, volume.zone, error);
        if (!volume.pool ||
            !virga_volume_create(launch->txn, launch->arena, &volume, &volume_id, error) ||
            !virga_tag_set_first(launch->txn, spec->account_id, volume_id, spec->volume_tags,
                                 spec->volume_tag_count, error))
            return false;
        launch->made.attachments[launch->made.attachment_count++] =
            (VirgaAttachment){ .volume_id = volume_id,
                               .instance_id = (char *) id,
                               .device = (char *) disk->device,
                               .delete_on_termination = volume.delete_on_termination };
    }
    return true;
}
