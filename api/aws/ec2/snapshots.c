/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeSnapshots.  Those that images of the operator stand on are nobody else's: they come with
 * the image. */
#include "encryption.h"
#include "snapshots.h"

#define NO_VOLUME "vol-ffffffff" /* EC2's id of the volume of what was never made of one */

static const VirgaFilterField snapshot_fields[] = {
    { "description", "Description" },  { "encrypted", "Encrypted" },
    { "owner-alias", "OwnerAlias" },   { "owner-id", "OwnerId" },
    { "progress", "Progress" },        { "snapshot-id", "SnapshotId" },
    { "start-time", "StartTime" },     { "status", "State" },
    { "storage-tier", "StorageTier" }, { "transfer-type", "TransferType" },
    { "volume-id", "VolumeId" },       { "volume-size", "VolumeSize" },
};

bool
ec2_check_snapshot_id(const char *id, GError **error)
{
    return virga_api_check_id(id, "snap", "InvalidSnapshotID.Malformed", error);
}

void
ec2_show_snapshot(const VirgaCall *call, const VirgaSnapshot *row, Ec2TagList tags,
                  Ec2Snapshot *shown)
{
    bool done = g_str_equal(row->state, "completed");

    *shown = (Ec2Snapshot){
        .snapshot_id = row->id,
        .owner_id = row->account_id,
        .volume_id = row->volume_id ? row->volume_id : NO_VOLUME,
        .volume_size = row->size_gib,
        .has_volume_size = true,
        .description = row->description,
        .state = row->state,
        .state_message = row->message,
        .progress = virga_arena_printf(call->arena, "%" G_GINT64_FORMAT "%%", row->progress),
        .start_time = row->created,
        .encrypted = row->key_id != NULL,
        .has_encrypted = true,
        .kms_key_id = row->key_id ? ec2_kms_key(call) : NULL,
        .storage_tier = "standard",
        .tags = tags,
    };
    if (done) {
        shown->completion_time = row->completed;
        shown->full_snapshot_size_in_bytes = row->bytes;
        shown->has_full_snapshot_size_in_bytes = true;
    }
}

/* ---- which of them ---- */

typedef struct {
    const char *const *owners, *const *users; /* NULL: all */
    const VirgaSnapshotPermission *permissions;
    size_t permission_count;
} Choice;

static bool
is_own(const VirgaCall *call, const VirgaSnapshot *row)
{
    return g_str_equal(row->account_id, call->account_id);
}

static bool
has_owner(const VirgaCall *call, const Choice *choice, const VirgaSnapshot *row)
{
    return !choice->owners || g_strv_contains(choice->owners, row->account_id) ||
           (is_own(call, row) && g_strv_contains(choice->owners, "self"));
}

/* Who can make volumes of it: everyone, the caller, or, for its owner to see, others. */
static bool
has_user(const VirgaCall *call, const Choice *choice, const VirgaSnapshot *row)
{
    const char *const *users = choice->users;

    if (!users || (row->is_public && g_strv_contains(users, "all")) ||
        ((row->shared || is_own(call, row)) &&
         (g_strv_contains(users, "self") || g_strv_contains(users, call->account_id))))
        return true;
    for (size_t i = 0; i < choice->permission_count; i++)
        if (g_str_equal(choice->permissions[i].snapshot_id, row->id) &&
            g_strv_contains(users, choice->permissions[i].account_id))
            return true;
    return false;
}

static bool
read_snapshots(VirgaCall *call, const char *const *ids, Choice *choice, Ec2SnapshotList *list,
               GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    VirgaSnapshotPermission *permissions = NULL;
    VirgaSnapshot *rows;
    Ec2Tags tags;
    size_t count;

    if (!txn ||
        !virga_snapshot_list(txn, call->arena, call->account_id, ids, &rows, &count, error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaSnapshot, id),
                         "InvalidSnapshot.NotFound", "snapshot", error) ||
        !ec2_tags_read(call, txn, ids, "snapshot", &tags, error) ||
        (choice->users &&
         !virga_snapshot_permissions(txn, call->arena, call->account_id, NULL, &permissions,
                                     &choice->permission_count, error)))
        return false;
    choice->permissions = permissions;
    list->items = ec2_array(call, Ec2Snapshot, count);
    for (size_t i = 0; i < count; i++)
        if (has_owner(call, choice, &rows[i]) && has_user(call, choice, &rows[i]))
            ec2_show_snapshot(call, &rows[i], ec2_tags_of(&tags, rows[i].id),
                              &list->items[list->count++]);
    return true;
}

bool
ec2_describe_snapshots(VirgaCall *call, const Ec2DescribeSnapshotsRequest *request,
                       Ec2DescribeSnapshotsResponse *response, GError **error)
{
    Choice choice = { .owners = ec2_strings(call, &request->owner_ids),
                      .users = ec2_strings(call, &request->restorable_by_user_ids) };
    const char *const *ids;
    VirgaFilter *filter;
    Ec2Page page;

    if (!ec2_ids(call, &request->snapshot_ids, "snap", "InvalidSnapshotID.Malformed", &ids,
                 error) ||
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error) ||
        !ec2_check_unpaged(ids, request->has_max_results, "snapshotSet", error))
        return false;
    filter = virga_filter_new(call->arena, snapshot_fields, &ec2_snapshot_shape, &request->filters,
                              error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !read_snapshots(call, ids, &choice, &response->snapshots, error))
        return false;
    ec2_answer(call, filter, &page, &response->snapshots, &ec2_snapshot_shape, Ec2Snapshot,
               snapshot_id, &response->next_token);
    return true;
}
