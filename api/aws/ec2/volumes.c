/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeVolumes and DescribeSnapshots. */
#include "volumes.h"

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
    gint64 iops = row->iops ? row->iops : ec2_volume_iops(row->type, row->size_gib);
    gint64 throughput = row->throughput ? row->throughput : ec2_volume_throughput(row->type);

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
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error))
        return false;
    if (ids && request->has_max_results)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "The parameter volumeSet cannot be used with the parameter "
                              "maxResults");
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

/* ---- snapshots ---- */

static const VirgaFilterField snapshot_fields[] = {
    { "description", "Description" },  { "encrypted", "Encrypted" },
    { "owner-alias", "OwnerAlias" },   { "owner-id", "OwnerId" },
    { "progress", "Progress" },        { "snapshot-id", "SnapshotId" },
    { "start-time", "StartTime" },     { "status", "State" },
    { "storage-tier", "StorageTier" }, { "transfer-type", "TransferType" },
    { "volume-id", "VolumeId" },       { "volume-size", "VolumeSize" },
};

static void
show_snapshot(const VirgaSnapshot *row, const Ec2Tags *tags, Ec2Snapshot *shown)
{
    bool done = g_str_equal(row->state, "completed");

    *shown = (Ec2Snapshot){ .snapshot_id = row->id,
                            .owner_id = row->account_id,
                            .volume_id = row->volume_id ? row->volume_id : "vol-ffffffff",
                            .volume_size = row->size_gib,
                            .has_volume_size = true,
                            .description = row->description,
                            .state = row->state,
                            .progress = done ? "100%" : "0%",
                            .start_time = row->created,
                            .has_encrypted = true,
                            .storage_tier = "standard",
                            .tags = ec2_tags_of(tags, row->id) };
    if (done) {
        shown->completion_time = row->created;
        shown->full_snapshot_size_in_bytes = row->bytes;
        shown->has_full_snapshot_size_in_bytes = true;
    }
}

static bool
read_snapshots(VirgaCall *call, const char *const *ids, Ec2SnapshotList *list, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    Ec2Tags tags;
    VirgaSnapshot *rows;
    size_t count;

    if (!txn ||
        !virga_snapshot_list(txn, call->arena, call->account_id, ids, &rows, &count, error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaSnapshot, id),
                         "InvalidSnapshot.NotFound", "snapshot", error) ||
        !ec2_tags_read(call, txn, ids, "snapshot", &tags, error))
        return false;
    list->items = ec2_array(call, Ec2Snapshot, count);
    for (; list->count < count; list->count++)
        show_snapshot(&rows[list->count], &tags, &list->items[list->count]);
    return true;
}

/* Snapshots are their owner's alone: the lists of owners and users let them pass or do not. */
static bool
lets_pass(const VirgaCall *call, const char *const *names)
{
    return !names || g_strv_contains(names, "self") || g_strv_contains(names, call->account_id);
}

bool
ec2_describe_snapshots(VirgaCall *call, const Ec2DescribeSnapshotsRequest *request,
                       Ec2DescribeSnapshotsResponse *response, GError **error)
{
    const char *const *ids;
    VirgaFilter *filter;
    Ec2Page page;

    if (!ec2_ids(call, &request->snapshot_ids, "snap", "InvalidSnapshotID.Malformed", &ids,
                 error) ||
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error))
        return false;
    if (ids && request->has_max_results)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "The parameter snapshotSet cannot be used with the parameter "
                              "maxResults");
    filter = virga_filter_new(call->arena, snapshot_fields, &ec2_snapshot_shape, &request->filters,
                              error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !read_snapshots(call, ids, &response->snapshots, error))
        return false;
    if (!lets_pass(call, ec2_strings(call, &request->owner_ids)) ||
        !lets_pass(call, ec2_strings(call, &request->restorable_by_user_ids)))
        response->snapshots.count = 0;
    ec2_answer(call, filter, &page, &response->snapshots, &ec2_snapshot_shape, Ec2Snapshot,
               snapshot_id, &response->next_token);
    return true;
}
