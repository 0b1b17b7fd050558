/* SPDX-License-Identifier: Apache-2.0 */
/* CreateSnapshot, CreateSnapshots, CopySnapshot, DeleteSnapshot. */
#include "encryption.h"
#include "snapshots.h"

#include "api/store.h"
#include "compute/instance.h"
#include "compute/volume-snapshot.h"
#include "core/id.h"
#include "storage/volume.h"

static bool
check_place(const char *location, const char *outpost_arn, GError **error)
{
    if (location && !g_str_equal(location, "regional"))
        return ec2_unsupported(error, "Location");
    return !outpost_arn || ec2_unsupported(error, "OutpostArn");
}

static const char *
new_id(const VirgaCall *call)
{
    g_autofree char *id = virga_id_new("snap");

    return virga_arena_strdup(call->arena, id);
}

/* ---- one ---- */

typedef struct {
    VirgaSnapshotSpec spec;
    const char *source_id; /* of a copy, … */
    bool encrypted;        /* … which is to be */
    Ec2NewTags tags;
    VirgaSnapshot *row;
    bool wait;
} Create;

static bool
create(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Create *asked = data;

    asked->spec.id = new_id(call);
    if (asked->source_id &&
        !ec2_settle_encryption(call, txn, asked->encrypted, &asked->spec.encrypted, error))
        return false;
    if (!(asked->source_id
              ? virga_snapshot_copy(txn, call->arena, &asked->spec, asked->source_id, error)
              : virga_volume_snapshot(txn, call->arena, &asked->spec, 1, &asked->wait, error)) ||
        !ec2_tags_set(call, txn, asked->spec.id, &asked->tags, error))
        return false;
    asked->row = virga_snapshot_get(txn, call->arena, call->account_id, asked->spec.id, error);
    return asked->row != NULL;
}

bool
ec2_create_snapshot(VirgaCall *call, const Ec2CreateSnapshotRequest *request, Ec2Snapshot *response,
                    GError **error)
{
    Create asked = { .spec = { .account_id = call->account_id,
                               .volume_id = request->volume_id,
                               .description = request->description } };

    if (!virga_api_check_id(request->volume_id, "vol", "InvalidParameterValue", error) ||
        !check_place(request->location, request->outpost_arn, error) ||
        !ec2_tags_for(call, &request->tag_specifications, "snapshot", &asked.tags, error) ||
        !ec2_transaction(call, create, &asked, error))
        return false;
    if (asked.wait) {
        const char *const ids[] = { asked.spec.id, NULL };

        if (!virga_snapshot_await(call->db, call->arena, call->account_id, ids, error))
            return false;
    }
    ec2_show_snapshot(call, asked.row, ec2_tags_shown(call, &asked.tags), response);
    return true;
}

static bool
check_copy(const VirgaCall *call, const Ec2CopySnapshotRequest *request, GError **error)
{
    const struct {
        bool given;
        const char *name;
    } others[] = {
        { request->destination_outpost_arn, "DestinationOutpostArn" },
        { request->destination_availability_zone, "DestinationAvailabilityZone" },
        { request->destination_region && !g_str_equal(request->destination_region, call->region),
          "DestinationRegion" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        if (others[i].given)
            return ec2_unsupported(error, others[i].name);
    if (!g_str_equal(request->source_region, call->region))
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Value (%.100s) for parameter sourceRegion is invalid.",
                              request->source_region);
    return ec2_check_kms_key(call, request->encrypted, request->kms_key_id, error) &&
           ec2_check_snapshot_id(request->source_snapshot_id, error);
}

bool
ec2_copy_snapshot(VirgaCall *call, const Ec2CopySnapshotRequest *request,
                  Ec2CopySnapshotResult *response, GError **error)
{
    Create asked = { .spec = { .account_id = call->account_id,
                               .description = request->description },
                     .source_id = request->source_snapshot_id,
                     .encrypted = request->encrypted };

    if (!check_copy(call, request, error) ||
        !ec2_tags_for(call, &request->tag_specifications, "snapshot", &asked.tags, error) ||
        !ec2_transaction(call, create, &asked, error))
        return false;
    response->snapshot_id = asked.spec.id;
    response->tags = ec2_tags_shown(call, &asked.tags);
    return true;
}

/* ---- all of an instance ---- */

typedef struct {
    const Ec2CreateSnapshotsRequest *request;
    Ec2NewTags tags;
    VirgaSnapshotSpec *specs;
    VirgaSnapshot **rows;
    Ec2TagList *shown_tags;
    size_t count;
    bool wait;
} CreateAll;

static const char *
root_device(VirgaCall *call, VirgaTxn *txn, const char *instance_id, GError **error)
{
    const char *ids[] = { instance_id, NULL };
    VirgaInstance *rows;
    size_t count;

    if (!virga_instance_list(txn, call->arena, call->account_id, ids, NULL, &rows, &count, error))
        return NULL;
    if (count == 0 || rows->state == VIRGA_INSTANCE_TERMINATED) {
        virga_fail(error, "instance", VIRGA_ERROR_NOT_FOUND, "The instance ID '%s' does not exist",
                   instance_id);
        return NULL;
    }
    return rows->root_device_name;
}

static bool
is_excluded(const Ec2InstanceSpecification *wanted, const VirgaVolume *volume, const char *root)
{
    if (g_str_equal(volume->device, root))
        return wanted->exclude_boot_volume;
    for (size_t i = 0; i < wanted->exclude_data_volume_ids.count; i++)
        if (g_str_equal(wanted->exclude_data_volume_ids.items[i], volume->id))
            return true;
    return false;
}

/* What is excluded must be a data volume of the instance. */
static bool
check_excluded(const Ec2InstanceSpecification *wanted, const VirgaVolume *volumes, size_t count,
               const char *root, GError **error)
{
    for (size_t i = 0; i < wanted->exclude_data_volume_ids.count; i++) {
        const char *id = wanted->exclude_data_volume_ids.items[i];
        bool found = false;

        for (size_t j = 0; j < count; j++)
            found =
                found || (g_str_equal(volumes[j].id, id) && !g_str_equal(volumes[j].device, root));
        if (!found)
            return virga_api_fail(error, "InvalidParameterValue", 400,
                                  "Volume %.100s is not a data volume attached to instance %s", id,
                                  wanted->instance_id);
    }
    return true;
}

static bool
choose_volumes(VirgaCall *call, VirgaTxn *txn, CreateAll *all, GError **error)
{
    const Ec2InstanceSpecification *wanted = all->request->instance_specification;
    const char *ids[] = { wanted->instance_id, NULL };
    const char *root = root_device(call, txn, wanted->instance_id, error);
    VirgaVolume *volumes;
    size_t count;

    if (!root ||
        !virga_volume_list(txn, call->arena, call->account_id, NULL, ids, &volumes, &count,
                           error) ||
        !check_excluded(wanted, volumes, count, root, error))
        return false;
    all->specs = ec2_array(call, VirgaSnapshotSpec, count);
    all->count = 0;
    for (size_t i = 0; i < count; i++)
        if (!is_excluded(wanted, &volumes[i], root))
            all->specs[all->count++] =
                (VirgaSnapshotSpec){ .id = new_id(call),
                                     .account_id = call->account_id,
                                     .volume_id = volumes[i].id,
                                     .description = all->request->description };
    return all->count > 0 ||
           virga_api_fail(error, "InvalidParameterValue", 400,
                          "Instance %s has no volumes that are not excluded", wanted->instance_id);
}

/* The request's tags over those of the volume, if they are to be copied. */
static bool
set_tags(VirgaCall *call, VirgaTxn *txn, CreateAll *all, size_t i, GError **error)
{
    const VirgaSnapshotSpec *spec = &all->specs[i];
    const char *ids[] = { spec->volume_id, NULL };
    VirgaTag *tags, *copied;
    size_t count = 0, kept = 0;
    Ec2Tags shown;

    if (all->request->copy_tags_from_source) {
        if (!virga_tag_list(txn, call->arena, call->account_id, ids, &tags, &count, error))
            return false;
        copied = ec2_array(call, VirgaTag, count);
        for (size_t j = 0; j < count; j++)
            if (!g_str_has_prefix(tags[j].key, "aws:"))
                copied[kept++] = tags[j];
        if (!virga_tag_set(txn, call->account_id, spec->id, copied, kept, error))
            return false;
    }
    ids[0] = spec->id;
    if (!ec2_tags_set(call, txn, spec->id, &all->tags, error) ||
        !ec2_tags_read(call, txn, ids, NULL, &shown, error))
        return false;
    all->shown_tags[i] = ec2_tags_of(&shown, spec->id);
    return true;
}

static bool
create_all(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    CreateAll *all = data;

    if (!choose_volumes(call, txn, all, error) ||
        !virga_volume_snapshot(txn, call->arena, all->specs, all->count, &all->wait, error))
        return false;
    all->rows = ec2_array(call, VirgaSnapshot *, all->count);
    all->shown_tags = ec2_array(call, Ec2TagList, all->count);
    for (size_t i = 0; i < all->count; i++) {
        all->rows[i] =
            virga_snapshot_get(txn, call->arena, call->account_id, all->specs[i].id, error);
        if (!all->rows[i] || !set_tags(call, txn, all, i, error))
            return false;
    }
    return true;
}

static bool
await_all(VirgaCall *call, const CreateAll *all, GError **error)
{
    const char **ids = ec2_array(call, const char *, all->count + 1);

    for (size_t i = 0; i < all->count; i++)
        ids[i] = all->specs[i].id;
    return virga_snapshot_await(call->db, call->arena, call->account_id, ids, error);
}

bool
ec2_create_snapshots(VirgaCall *call, const Ec2CreateSnapshotsRequest *request,
                     Ec2CreateSnapshotsResult *response, GError **error)
{
    const Ec2InstanceSpecification *wanted = request->instance_specification;
    CreateAll all = { .request = request };

    if (!wanted->instance_id)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter InstanceId");
    if (!virga_api_check_id(wanted->instance_id, "i", "InvalidInstanceID.Malformed", error) ||
        !check_place(request->location, request->outpost_arn, error) ||
        !ec2_tags_for(call, &request->tag_specifications, "snapshot", &all.tags, error) ||
        !ec2_transaction(call, create_all, &all, error) ||
        (all.wait && !await_all(call, &all, error)))
        return false;
    response->snapshots.items = ec2_array(call, Ec2SnapshotInfo, all.count);
    for (size_t i = 0; i < all.count; i++) {
        Ec2Snapshot shown;

        ec2_show_snapshot(call, all.rows[i], all.shown_tags[i], &shown);
        response->snapshots.items[response->snapshots.count++] =
            (Ec2SnapshotInfo){ .description = shown.description,
                               .tags = shown.tags,
                               .encrypted = shown.encrypted,
                               .has_encrypted = true,
                               .volume_id = shown.volume_id,
                               .state = shown.state,
                               .volume_size = shown.volume_size,
                               .has_volume_size = true,
                               .start_time = shown.start_time,
                               .progress = shown.progress,
                               .owner_id = shown.owner_id,
                               .snapshot_id = shown.snapshot_id };
    }
    return true;
}

/* ---- deleting ---- */

typedef struct {
    const char *id;
    const char *const *files;
} Delete;

static bool delete (VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Delete *asked = data;

    return virga_snapshot_remove(txn, call->arena, call->account_id, asked->id, &asked->files,
                                 error);
}

bool
ec2_delete_snapshot(VirgaCall *call, const Ec2DeleteSnapshotRequest *request,
                    Ec2DeleteSnapshotResponse *response, GError **error)
{
    Delete asked = { .id = request->snapshot_id };

    if (!ec2_check_snapshot_id(request->snapshot_id, error) ||
        !ec2_transaction(call, delete, &asked, error))
        return false;
    virga_store_forget(ec2_services(call), asked.files);
    return true;
}
