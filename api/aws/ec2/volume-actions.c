/* SPDX-License-Identifier: Apache-2.0 */
/* CreateVolume, DeleteVolume, AttachVolume, DetachVolume, DescribeVolumeStatus. */
#include "encryption.h"
#include "volumes.h"

#include "compute/host.h"
#include "compute/instance-volume.h"
#include "core/id.h"
#include "core/quota.h"
#include "storage/pool.h"
#include "storage/snapshot.h"

/* ---- making and deleting ---- */

typedef struct {
    VirgaVolumeSpec spec;
    Ec2Token token;
    Ec2NewTags tags;
    VirgaVolume row;
    Ec2TagList shown_tags;
} Create;

/* The snapshot gives the size, or bounds it. */
static bool
settle_size(VirgaCall *call, VirgaTxn *txn, VirgaVolumeSpec *spec, GError **error)
{
    VirgaSnapshot *snapshot;

    if (!spec->snapshot_id)
        return true;
    snapshot = virga_snapshot_get(txn, call->arena, call->account_id, spec->snapshot_id, error);
    if (!snapshot)
        return false;
    if (!g_str_equal(snapshot->state, "completed"))
        return virga_api_fail(error, "IncorrectState", 400, "Snapshot '%s' is not 'completed'.",
                              snapshot->id);
    spec->key_id = snapshot->key_id;
    if (!spec->size_gib)
        spec->size_gib = snapshot->size_gib;
    if (spec->size_gib < snapshot->size_gib)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Volume of %" G_GINT64_FORMAT "GiB is smaller than snapshot '%s'",
                              spec->size_gib, snapshot->id);
    return true;
}

static bool
make(VirgaCall *call, VirgaTxn *txn, const Create *asked, const char *id, GError **error)
{
    VirgaQuotaAmounts amounts = { 0 };
    VirgaVolumeSpec spec = asked->spec;
    char *made;

    spec.id = id;
    spec.pool = virga_pool_of(ec2_services(call)->config, spec.type, spec.zone, error);
    if (!spec.pool || !settle_size(call, txn, &spec, error) ||
        !ec2_settle_encryption(call, txn, spec.encrypted, &spec.encrypted, error))
        return false;
    amounts.of[VIRGA_QUOTA_VOLUMES] = 1;
    amounts.of[VIRGA_QUOTA_VOLUME_GIB] = spec.size_gib;
    return virga_volume_create(txn, call->arena, &spec, &made, error) &&
           ec2_tags_set(call, txn, id, &asked->tags, error) &&
           virga_quota_change(txn, call->account_id, &amounts, error);
}

static bool
create(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Create *asked = data;
    g_autofree char *id = virga_id_new("vol");
    char *earlier;
    const char *ids[] = { id, NULL };
    Ec2Tags tags;

    if (!ec2_token_take(call, txn, &asked->token, id, &earlier, error) ||
        (!earlier && !make(call, txn, asked, id, error)))
        return false;
    ids[0] = earlier ? earlier : id;
    if (!virga_volume_find(txn, call->arena, call->account_id, ids[0], &asked->row, error) ||
        !ec2_tags_read(call, txn, ids, NULL, &tags, error))
        return false;
    asked->shown_tags = ec2_tags_of(&tags, asked->row.id);
    return true;
}

static bool
read_place(const VirgaCall *call, const Ec2CreateVolumeRequest *request, const char **ret_zone,
           GError **error)
{
    const char *zone = request->availability_zone;
    const char *by_id =
        request->availability_zone_id ? ec2_zone_of_id(call, request->availability_zone_id) : NULL;

    if (zone && request->availability_zone_id)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "The parameters AvailabilityZone and AvailabilityZoneId cannot be "
                              "used together");
    if (!zone && !request->availability_zone_id)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter AvailabilityZone");
    if (zone ? !ec2_zone_exists(call, zone) : !by_id)
        return virga_api_fail(error, "InvalidZone.NotFound", 400,
                              "The zone '%.200s' does not exist.",
                              zone ? zone : request->availability_zone_id);
    *ret_zone = zone ? zone : by_id;
    return true;
}

static bool
check_supported(const Ec2CreateVolumeRequest *request, GError **error)
{
    if (request->outpost_arn)
        return ec2_unsupported(error, "OutpostArn");
    if (request->multi_attach_enabled)
        return ec2_unsupported(error, "MultiAttachEnabled");
    if (request->has_volume_initialization_rate)
        return ec2_unsupported(error, "VolumeInitializationRate");
    if (request->operator)
        return ec2_unsupported(error, "Operator");
    return true;
}

bool
ec2_create_volume(VirgaCall *call, const Ec2CreateVolumeRequest *request, Ec2Volume *response,
                  GError **error)
{
    Create asked = { .spec = { .account_id = call->account_id,
                               .snapshot_id = request->snapshot_id,
                               .size_gib = request->size,
                               .encrypted = request->encrypted,
                               .iops = request->iops,
                               .throughput = request->throughput } };

    if (!check_supported(request, error) ||
        !ec2_check_kms_key(call, request->encrypted, request->kms_key_id, error) ||
        !read_place(call, request, &asked.spec.zone, error) ||
        !ec2_check_volume(request, &asked.spec.type, error) ||
        !ec2_token_read(call, &ec2_create_volume_request_shape, request, request->client_token,
                        &asked.token, error) ||
        !ec2_tags_for(call, &request->tag_specifications, "volume", &asked.tags, error))
        return false;
    if (!request->has_size && !request->snapshot_id)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter size/snapshot");
    if (!ec2_transaction(call, create, &asked, error))
        return false;
    ec2_show_volume(call, &asked.row, asked.shown_tags, response);
    if (!asked.row.made && !asked.row.instance_id && !asked.row.deleting)
        response->state = "creating"; /* as EC2's answer says; it is there at once */
    return true;
}

static bool delete (VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    gint64 generation;
    char *host_id;

    return virga_volume_delete(txn, call->arena, call->account_id, data, &host_id, error) &&
           (!host_id || virga_host_touch(txn, host_id, &generation, error));
}

static bool
check_id(const char *id, GError **error)
{
    return virga_api_check_id(id, "vol", "InvalidParameterValue", error);
}

bool
ec2_delete_volume(VirgaCall *call, const Ec2DeleteVolumeRequest *request,
                  Ec2DeleteVolumeResponse *response, GError **error)
{
    return check_id(request->volume_id, error) &&
           ec2_transaction(call, delete, (gpointer) request->volume_id, error);
}

/* ---- attaching and detaching ---- */

typedef struct {
    const char *volume_id, *instance_id, *device;
    VirgaVolume row;
} Move;

/* "/dev/sdf", "xvdba", "/dev/sdf1" */
static bool
check_device(const char *device, GError **error)
{
    static const char pattern[] = "^(/dev/)?(sd|xvd|hd|vd)[a-z]{1,2}([1-9]|1[0-5])?$";

    if (g_regex_match_simple(pattern, device, 0, 0))
        return true;
    return virga_api_fail(error, "InvalidParameterValue", 400,
                          "Value (%.200s) for parameter device is invalid. %.200s is not a valid "
                          "EBS device name.",
                          device, device);
}

static bool
attach(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Move *asked = data;

    return virga_volume_attach(txn, call->arena, call->account_id, asked->volume_id,
                               asked->instance_id, asked->device, &asked->row, error);
}

static bool
detach(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Move *asked = data;

    return virga_volume_detach(txn, call->arena, call->account_id, asked->volume_id,
                               asked->instance_id, asked->device, &asked->row, error);
}

bool
ec2_attach_volume(VirgaCall *call, const Ec2AttachVolumeRequest *request,
                  Ec2VolumeAttachment *response, GError **error)
{
    Move asked = { request->volume_id, request->instance_id, request->device, { 0 } };

    if (!check_id(request->volume_id, error) ||
        !virga_api_check_id(request->instance_id, "i", "InvalidInstanceID.Malformed", error) ||
        !check_device(request->device, error))
        return false;
    if (request->ebs_card_index)
        return ec2_unsupported(error, "EbsCardIndex");
    if (!ec2_transaction(call, attach, &asked, error))
        return false;
    *response = ec2_show_attachment(&asked.row);
    return true;
}

bool
ec2_detach_volume(VirgaCall *call, const Ec2DetachVolumeRequest *request,
                  Ec2VolumeAttachment *response, GError **error)
{
    Move asked = { request->volume_id, request->instance_id, request->device, { 0 } };

    if (!check_id(request->volume_id, error) ||
        (request->instance_id &&
         !virga_api_check_id(request->instance_id, "i", "InvalidInstanceID.Malformed", error)))
        return false;
    if (!ec2_transaction(call, detach, &asked, error))
        return false;
    *response = ec2_show_attachment(&asked.row);
    return true;
}

/* ---- status ---- */

static const VirgaFilterField status_fields[] = {
    { "action.code", "Actions.Code" },
    { "action.description", "Actions.Description" },
    { "action.event-id", "Actions.EventId" },
    { "availability-zone", "AvailabilityZone" },
    { "availability-zone-id", "AvailabilityZoneId" },
    { "event.description", "Events.Description" },
    { "event.event-id", "Events.EventId" },
    { "event.event-type", "Events.EventType" },
    { "event.not-after", "Events.NotAfter" },
    { "event.not-before", "Events.NotBefore" },
    { "volume-status.details-name", "VolumeStatus.Details.Name" },
    { "volume-status.details-status", "VolumeStatus.Details.Status" },
    { "volume-status.status", "VolumeStatus.Status" },
};

static void
show_status(const VirgaCall *call, const VirgaVolume *row, Ec2VolumeStatusItem *shown)
{
    Ec2VolumeStatusInfo *info = ec2_new(call, Ec2VolumeStatusInfo);
    Ec2VolumeStatusDetails *details = ec2_array(call, Ec2VolumeStatusDetails, 2);

    details[0] =
        (Ec2VolumeStatusDetails){ .name = "io-enabled", .status = row->lost ? "failed" : "passed" };
    details[1] = (Ec2VolumeStatusDetails){ .name = "io-performance", .status = "not-applicable" };
    *info =
        (Ec2VolumeStatusInfo){ .status = row->lost ? "impaired" : "ok", .details = { details, 2 } };
    *shown = (Ec2VolumeStatusItem){ .volume_id = row->id,
                                    .availability_zone = row->zone,
                                    .availability_zone_id = ec2_zone_id(call, row->zone),
                                    .volume_status = info };
}

bool
ec2_describe_volume_status(VirgaCall *call, const Ec2DescribeVolumeStatusRequest *request,
                           Ec2DescribeVolumeStatusResponse *response, GError **error)
{
    Ec2VolumeStatusList *list = &response->volume_statuses;
    g_autoptr(VirgaTxn) txn = NULL;
    const char *const *ids;
    VirgaFilter *filter;
    VirgaVolume *rows;
    Ec2Page page;
    size_t count;

    if (!ec2_ids(call, &request->volume_ids, "vol", "InvalidParameterValue", &ids, error) ||
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error) ||
        !ec2_check_unpaged(ids, request->has_max_results, "volumeSet", error))
        return false;
    filter = virga_filter_new(call->arena, status_fields, &ec2_volume_status_item_shape,
                              &request->filters, error);
    txn = filter && virga_call_dry_run(call, error) ? virga_db_read(call->db, error) : NULL;
    if (!txn ||
        !virga_volume_list(txn, call->arena, call->account_id, ids, NULL, &rows, &count, error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaVolume, id),
                         "InvalidVolume.NotFound", "volume", error))
        return false;
    list->items = ec2_array(call, Ec2VolumeStatusItem, count);
    for (size_t i = 0; i < count; i++)
        show_status(call, &rows[i], &list->items[list->count++]);
    ec2_answer(call, filter, &page, list, &ec2_volume_status_item_shape, Ec2VolumeStatusItem,
               volume_id, &response->next_token);
    return true;
}
