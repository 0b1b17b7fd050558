/* SPDX-License-Identifier: Apache-2.0 */
/* CreateImage. */
#include "block-devices.h"
#include "images.h"

#include "compute/image-create.h"

typedef struct {
    VirgaImageCreation creation;
    Ec2NewTags image_tags, snapshot_tags;
    char *id;
} Create;

static bool
create(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Create *asked = data;
    const char *const *snapshot_ids;

    if (!virga_image_create(txn, call->arena, &asked->creation, &asked->id, &snapshot_ids, error) ||
        !ec2_tags_set(call, txn, asked->id, &asked->image_tags, error))
        return false;
    for (; *snapshot_ids; snapshot_ids++)
        if (!ec2_tags_set(call, txn, *snapshot_ids, &asked->snapshot_tags, error))
            return false;
    return true;
}

bool
ec2_create_image(VirgaCall *call, const Ec2CreateImageRequest *request,
                 Ec2CreateImageResult *response, GError **error)
{
    static const char *const tagged[] = { "image", "snapshot", NULL };
    Create asked = { .creation = { .account_id = call->account_id,
                                   .instance_id = request->instance_id,
                                   .name = request->name,
                                   .description = request->description,
                                   .no_reboot = request->no_reboot } };
    VirgaDiskSpec *disks;

    if (!virga_api_check_id(request->instance_id, "i", "InvalidInstanceID.Malformed", error) ||
        !ec2_check_image_name(request->name, error) ||
        !ec2_block_devices(call, &request->block_device_mappings, &disks,
                           &asked.creation.disk_count, error) ||
        !ec2_check_tag_specifications(&request->tag_specifications, tagged, error))
        return false;
    if (request->snapshot_location && !g_str_equal(request->snapshot_location, "regional"))
        return ec2_unsupported(error, "SnapshotLocation");
    asked.creation.disks = disks;
    asked.image_tags = ec2_new_tags(call, &request->tag_specifications, "image");
    asked.snapshot_tags = ec2_new_tags(call, &request->tag_specifications, "snapshot");
    if (!ec2_transaction(call, create, &asked, error))
        return false;
    response->image_id = asked.id;
    return true;
}
