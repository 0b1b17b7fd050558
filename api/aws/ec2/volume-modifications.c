/* SPDX-License-Identifier: Apache-2.0 */
/* ModifyVolume, DescribeVolumesModifications. */
#include "volumes.h"

#include "compute/instance-volume.h"
#include "core/error.h"
#include "storage/pool.h"
#include "storage/volume-limits.h"

typedef struct {
    const Ec2ModifyVolumeRequest *request;
    VirgaModification done;
} Modify;

/* As DescribeVolumes shows it. */
static VirgaVolumeShape
shape_of(const VirgaVolume *volume)
{
    return (VirgaVolumeShape){
        .type = volume->type,
        .size_gib = volume->size_gib,
        .iops = volume->iops ? volume->iops : virga_volume_iops(volume->type, volume->size_gib),
        .throughput =
            volume->throughput ? volume->throughput : virga_volume_throughput(volume->type),
    };
}

static bool
takes_iops(const char *type)
{
    return g_str_equal(type, "gp3") || g_str_equal(type, "io1") || g_str_equal(type, "io2");
}

/* What is not asked for stays, if the new type can have it. */
static bool
choose_target(const Ec2ModifyVolumeRequest *request, const VirgaVolume *volume,
              VirgaVolumeShape *target, GError **error)
{
    const char *type = request->volume_type ? request->volume_type : volume->type;
    bool same = g_str_equal(type, volume->type);
    Ec2CreateVolumeRequest whole = {
        .volume_type = type,
        .size = request->has_size ? request->size : volume->size_gib,
        .has_size = true,
        .iops = request->has_iops ? request->iops : volume->iops,
        .has_iops = request->has_iops || (volume->iops && takes_iops(type)),
        .throughput = request->has_throughput ? request->throughput
                      : same                  ? volume->throughput
                                              : 0,
        .has_throughput = request->has_throughput || (same && volume->throughput),
    };

    if (whole.size < volume->size_gib)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "New size cannot be smaller than existing size");
    if (!ec2_check_volume(&whole, &type, error))
        return false;
    *target = (VirgaVolumeShape){ .type = type,
                                  .size_gib = whole.size,
                                  .iops = whole.has_iops ? whole.iops : 0,
                                  .throughput = whole.has_throughput ? whole.throughput : 0 };
    return true;
}

/* Bytes stay where they are. */
static bool
check_pool(const VirgaCall *call, const VirgaVolume *volume, const char *type, GError **error)
{
    const char *pool = volume->pool;

    if (!g_str_equal(type, volume->type))
        pool = virga_pool_of(ec2_services(call)->config, type, volume->zone, error);
    return pool && (g_str_equal(pool, volume->pool) ||
                    virga_fail(error, "volume type", VIRGA_ERROR_UNSUPPORTED,
                               "Volumes of the type '%s' are kept elsewhere than '%s' is: make a "
                               "snapshot of it, and a volume of that",
                               type, volume->id));
}

static bool
modify(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Modify *asked = data;
    const char *ids[] = { asked->request->volume_id, NULL };
    VirgaVolumeShape original, target;
    VirgaModification *rows;
    VirgaVolume volume;
    size_t count;

    if (!virga_volume_lock_for_change(txn, call->arena, call->account_id, ids[0], &volume, error) ||
        !choose_target(asked->request, &volume, &target, error))
        return false;
    original = shape_of(&volume);
    if (!check_pool(call, &volume, target.type, error))
        return false;
    if (!virga_volume_modify(txn, &volume, &original, &target, error) ||
        !virga_modification_list(txn, call->arena, call->account_id, ids, &rows, &count, error))
        return false;
    g_assert(count == 1);
    asked->done = rows[0];
    return true;
}

static void
show(const VirgaModification *row, Ec2VolumeModification *shown)
{
    const VirgaVolumeShape *target = &row->target, *original = &row->original;
    bool done = g_str_equal(row->state, "completed");
    gint64 iops = target->iops ? target->iops : virga_volume_iops(target->type, target->size_gib);
    gint64 throughput =
        target->throughput ? target->throughput : virga_volume_throughput(target->type);

    *shown = (Ec2VolumeModification){ .volume_id = row->volume_id,
                                      .modification_state = row->state,
                                      .target_size = target->size_gib,
                                      .has_target_size = true,
                                      .target_iops = iops,
                                      .has_target_iops = iops != 0,
                                      .target_volume_type = target->type,
                                      .target_throughput = throughput,
                                      .has_target_throughput = throughput != 0,
                                      .has_target_multi_attach_enabled = true,
                                      .original_size = original->size_gib,
                                      .has_original_size = true,
                                      .original_iops = original->iops,
                                      .has_original_iops = original->iops != 0,
                                      .original_volume_type = original->type,
                                      .original_throughput = original->throughput,
                                      .has_original_throughput = original->throughput != 0,
                                      .has_original_multi_attach_enabled = true,
                                      .progress = done ? 100 : 0,
                                      .has_progress = true,
                                      .start_time = row->started,
                                      .end_time = row->ended };
}

bool
ec2_modify_volume(VirgaCall *call, const Ec2ModifyVolumeRequest *request,
                  Ec2ModifyVolumeResult *response, GError **error)
{
    Modify asked = { .request = request };

    if (!virga_api_check_id(request->volume_id, "vol", "InvalidParameterValue", error))
        return false;
    if (request->multi_attach_enabled)
        return ec2_unsupported(error, "MultiAttachEnabled");
    if (!request->has_size && !request->volume_type && !request->has_iops &&
        !request->has_throughput)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter size, volumeType, iops or "
                              "throughput");
    if (!ec2_transaction(call, modify, &asked, error))
        return false;
    response->volume_modification = ec2_new(call, Ec2VolumeModification);
    show(&asked.done, response->volume_modification);
    return true;
}

static const VirgaFilterField fields[] = {
    { "modification-state", "ModificationState" },
    { "original-iops", "OriginalIops" },
    { "original-size", "OriginalSize" },
    { "original-volume-type", "OriginalVolumeType" },
    { "originalMultiAttachEnabled", "OriginalMultiAttachEnabled" },
    { "start-time", "StartTime" },
    { "target-iops", "TargetIops" },
    { "target-size", "TargetSize" },
    { "target-volume-type", "TargetVolumeType" },
    { "targetMultiAttachEnabled", "TargetMultiAttachEnabled" },
    { "volume-id", "VolumeId" },
};

bool
ec2_describe_volumes_modifications(VirgaCall *call,
                                   const Ec2DescribeVolumesModificationsRequest *request,
                                   Ec2DescribeVolumesModificationsResult *response, GError **error)
{
    Ec2VolumeModificationList *list = &response->volumes_modifications;
    g_autoptr(VirgaTxn) txn = NULL;
    const char *const *ids;
    VirgaModification *rows;
    VirgaFilter *filter;
    Ec2Page page;
    size_t count;

    if (!ec2_ids(call, &request->volume_ids, "vol", "InvalidParameterValue", &ids, error) ||
        !ec2_page_begin(call, request, 1, VIRGA_PAGE_MAX, &page, error))
        return false;
    if (ids && request->has_max_results)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "The parameter volumeSet cannot be used with the parameter "
                              "maxResults");
    filter = virga_filter_new(call->arena, fields, &ec2_volume_modification_shape,
                              &request->filters, error);
    txn = filter && virga_call_dry_run(call, error) ? virga_db_read(call->db, error) : NULL;
    if (!txn ||
        !virga_modification_list(txn, call->arena, call->account_id, ids, &rows, &count, error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows,
                         offsetof(VirgaModification, volume_id),
                         "InvalidVolumeModification.NotFound", "modification for volume", error))
        return false;
    list->items = ec2_array(call, Ec2VolumeModification, count);
    for (size_t i = 0; i < count; i++)
        show(&rows[i], &list->items[list->count++]);
    ec2_answer(call, filter, &page, list, &ec2_volume_modification_shape, Ec2VolumeModification,
               volume_id, &response->next_token);
    return true;
}
