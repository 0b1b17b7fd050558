/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeVolumes. */
#include "encryption.h"
#include "volumes.h"

#include "storage/volume-limits.h"

static const VirgaFilterField volume_fields[] = {
    { "attachment.attach-time", "Attachments.AttachTime" },
    { "attachment.delete-on-termination", "Attachments.DeleteOnTermination" },
    { "attachment.device", "Attachments.Device" },
    { "attachment.instance-id", "Attachments.InstanceId" },
    { "attachment.status", "Attachments.State" },
    { "availability-zone", "AvailabilityZone" },
    { "availability-zone-id", "AvailabilityZoneId" },
    { "create-time", "CreateTime" },
    { "encrypted", "Encrypted" },
    { "fast-restored", "FastRestored" },
    { "multi-attach-enabled", "MultiAttachEnabled" },
    { "operator.managed", "Operator.Managed" },
    { "operator.principal", "Operator.Principal" },
    { "size", "Size" },
    { "snapshot-id", "SnapshotId" },
    { "source-volume-id", "SourceVolumeId" },
    { "status", "State" },
    { "volume-id", "VolumeId" },
    { "volume-type", "VolumeType" },
};

Ec2VolumeAttachment
ec2_show_attachment(const VirgaVolume *row)
{
    return (Ec2VolumeAttachment){ .delete_on_termination = row->delete_on_termination,
                                  .has_delete_on_termination = true,
                                  .volume_id = row->id,
                                  .instance_id = row->instance_id,
                                  .device = row->device,
                                  .state = ec2_attachment_state(row->transition, row->made),
                                  .attach_time = row->attached };
}

void
ec2_show_volume(const VirgaCall *call, const VirgaVolume *row, Ec2TagList tags, Ec2Volume *shown)
{
    gint64 iops = row->iops ? row->iops : virga_volume_iops(row->type, row->size_gib);
    gint64 throughput = row->throughput ? row->throughput : virga_volume_throughput(row->type);

    *shown = (Ec2Volume){ .volume_id = row->id,
                          .size = row->size_gib,
                          .has_size = true,
                          .snapshot_id = row->snapshot_id ? row->snapshot_id : "",
                          .availability_zone = row->zone,
                          .availability_zone_id = ec2_zone_id(call, row->zone),
                          .state = row->deleting      ? "deleting"
                                   : row->lost        ? "error"
                                   : row->instance_id ? "in-use"
                                                      : "available",
                          .create_time = row->created,
                          .encrypted = row->encrypted,
                          .has_encrypted = true,
                          .kms_key_id = row->encrypted ? ec2_kms_key(call) : NULL,
                          .has_multi_attach_enabled = true,
                          .volume_type = row->type,
                          .iops = iops,
                          .has_iops = iops != 0,
                          .throughput = throughput,
                          .has_throughput = throughput != 0,
                          .tags = tags };
    shown->operator= ec2_new(call, Ec2OperatorResponse);
    shown->operator->has_managed = true;
    if (row->instance_id) {
        Ec2VolumeAttachment *attachment = ec2_new(call, Ec2VolumeAttachment);

        *attachment = ec2_show_attachment(row);
        shown->attachments = (Ec2VolumeAttachmentList){ attachment, 1 };
    }
}

static bool
read_volumes(VirgaCall *call, const char *const *ids, const char *const *instance_ids,
             Ec2VolumeList *list, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    Ec2Tags tags;
    VirgaVolume *rows;
    size_t count;

    if (!txn ||
        !virga_volume_list(txn, call->arena, call->account_id, ids, ids ? NULL : instance_ids,
                           &rows, &count, error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaVolume, id),
                         "InvalidVolume.NotFound", "volume", error) ||
        !ec2_tags_read(call, txn, ids, "volume", &tags, error))
        return false;
    list->items = ec2_array(call, Ec2Volume, count);
    for (; list->count < count; list->count++)
        ec2_show_volume(call, &rows[list->count], ec2_tags_of(&tags, rows[list->count].id),
                        &list->items[list->count]);
    return true;
}

bool
ec2_describe_volumes(VirgaCall *call, const Ec2DescribeVolumesRequest *request,
                     Ec2DescribeVolumesResponse *response, GError **error)
{
    const char *const *ids;
    VirgaFilter *filter;
    Ec2Page page;

    if (!ec2_ids(call, &request->volume_ids, "vol", "InvalidParameterValue", &ids, error) ||
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error) ||
        !ec2_check_unpaged(ids, request->has_max_results, "volumeSet", error))
        return false;
    filter =
        virga_filter_new(call->arena, volume_fields, &ec2_volume_shape, &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !read_volumes(call, ids, virga_filter_literals(filter, "attachment.instance-id"),
                      &response->volumes, error))
        return false;
    ec2_answer(call, filter, &page, &response->volumes, &ec2_volume_shape, Ec2Volume, volume_id,
               &response->next_token);
    return true;
}
