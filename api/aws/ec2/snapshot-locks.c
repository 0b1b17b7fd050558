/* SPDX-License-Identifier: Apache-2.0 */
/* LockSnapshot, UnlockSnapshot, DescribeLockedSnapshots. */
#include "snapshots.h"

#include "storage/snapshot-lock.h"

#define COOL_OFF_HOURS_MAX 72
#define DAYS_MAX           36500

typedef struct {
    const char *id;
    VirgaSnapshotLockSpec spec;
    const VirgaSnapshotLock *row;
} Lock;

static const VirgaSnapshotLock *
read_lock(const VirgaCall *call, VirgaTxn *txn, const char *id, GError **error)
{
    const char *ids[] = { id, NULL };
    VirgaSnapshotLock *rows;
    size_t count;

    if (!virga_snapshot_lock_list(txn, call->arena, call->account_id, ids, &rows, &count, error))
        return NULL;
    g_assert(count == 1);
    return rows;
}

static bool
lock(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Lock *asked = data;
    const VirgaSnapshot *snapshot =
        virga_snapshot_lock(txn, call->arena, call->account_id, asked->id, error);

    if (!snapshot)
        return false;
    if (g_str_equal(snapshot->state, "error"))
        return virga_fail(error, "snapshot", VIRGA_ERROR_STATE,
                          "Snapshot '%s' is in the 'error' state.", asked->id);
    if (!virga_snapshot_lock_set(txn, asked->id, &asked->spec, error))
        return false;
    asked->row = read_lock(call, txn, asked->id, error);
    return asked->row != NULL;
}

static bool
check_time(const Ec2LockSnapshotRequest *request, GError **error)
{
    gint64 now = g_get_real_time();

    if (request->has_lock_duration == (request->expiration_date != 0))
        return virga_api_fail(
            error, request->has_lock_duration ? "InvalidParameterCombination" : "MissingParameter",
            400, "Either LockDuration or ExpirationDate must be given");
    if (request->has_lock_duration &&
        (request->lock_duration < 1 || request->lock_duration > DAYS_MAX))
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "LockDuration must be between 1 and %d days", DAYS_MAX);
    if (request->expiration_date && (request->expiration_date < now + G_TIME_SPAN_DAY ||
                                     request->expiration_date > now + DAYS_MAX * G_TIME_SPAN_DAY))
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "ExpirationDate must be between 1 and %d days from now", DAYS_MAX);
    return true;
}

static bool
check_cool_off(const Ec2LockSnapshotRequest *request, GError **error)
{
    if (!request->has_cool_off_period)
        return true;
    if (!g_str_equal(request->lock_mode, "compliance"))
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "CoolOffPeriod can only be given for a lock in compliance mode");
    return (request->cool_off_period >= 1 && request->cool_off_period <= COOL_OFF_HOURS_MAX) ||
           virga_api_fail(error, "InvalidParameterValue", 400,
                          "CoolOffPeriod must be between 1 and %d hours", COOL_OFF_HOURS_MAX);
}

static Ec2LockedSnapshotsInfo
show(const VirgaSnapshotLock *row)
{
    bool cools = g_str_equal(row->mode, "compliance") && row->cool_off_hours;

    return (Ec2LockedSnapshotsInfo){ .owner_id = row->account_id,
                                     .snapshot_id = row->snapshot_id,
                                     .lock_state = row->state,
                                     .lock_duration = row->days,
                                     .has_lock_duration = row->days != 0,
                                     .cool_off_period = row->cool_off_hours,
                                     .has_cool_off_period = cools,
                                     .cool_off_period_expires_on = cools ? row->cool_off_until : 0,
                                     .lock_created_on = row->created,
                                     .lock_duration_start_time = row->starts,
                                     .lock_expires_on = row->expires };
}

bool
ec2_lock_snapshot(VirgaCall *call, const Ec2LockSnapshotRequest *request,
                  Ec2LockSnapshotResult *response, GError **error)
{
    Lock asked = { .id = request->snapshot_id,
                   .spec = { .mode = request->lock_mode,
                             .days = request->lock_duration,
                             .until = request->expiration_date,
                             .cool_off_hours = request->cool_off_period } };
    Ec2LockedSnapshotsInfo shown;

    if (!ec2_check_snapshot_id(request->snapshot_id, error) || !check_time(request, error) ||
        !check_cool_off(request, error) || !ec2_transaction(call, lock, &asked, error))
        return false;
    shown = show(asked.row);
    *response =
        (Ec2LockSnapshotResult){ .snapshot_id = shown.snapshot_id,
                                 .lock_state = shown.lock_state,
                                 .lock_duration = shown.lock_duration,
                                 .has_lock_duration = shown.has_lock_duration,
                                 .cool_off_period = shown.cool_off_period,
                                 .has_cool_off_period = shown.has_cool_off_period,
                                 .cool_off_period_expires_on = shown.cool_off_period_expires_on,
                                 .lock_created_on = shown.lock_created_on,
                                 .lock_expires_on = shown.lock_expires_on,
                                 .lock_duration_start_time = shown.lock_duration_start_time };
    return true;
}

static bool
unlock(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Lock *asked = data;

    return virga_snapshot_lock(txn, call->arena, call->account_id, asked->id, error) &&
           virga_snapshot_lock_remove(txn, asked->id, error);
}

bool
ec2_unlock_snapshot(VirgaCall *call, const Ec2UnlockSnapshotRequest *request,
                    Ec2UnlockSnapshotResult *response, GError **error)
{
    Lock asked = { .id = request->snapshot_id };

    response->snapshot_id = request->snapshot_id;
    return ec2_check_snapshot_id(request->snapshot_id, error) &&
           ec2_transaction(call, unlock, &asked, error);
}

static const VirgaFilterField fields[] = {
    { "lock-state", "LockState" },
};

bool
ec2_describe_locked_snapshots(VirgaCall *call, const Ec2DescribeLockedSnapshotsRequest *request,
                              Ec2DescribeLockedSnapshotsResult *response, GError **error)
{
    Ec2LockedSnapshotsInfoList *list = &response->snapshots;
    g_autoptr(VirgaTxn) txn = NULL;
    VirgaSnapshotLock *rows;
    const char *const *ids;
    VirgaFilter *filter;
    Ec2Page page;
    size_t count;

    if (!ec2_ids(call, &request->snapshot_ids, "snap", "InvalidSnapshotID.Malformed", &ids,
                 error) ||
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error) ||
        !ec2_check_unpaged(ids, request->has_max_results, "snapshotSet", error))
        return false;
    filter = virga_filter_new(call->arena, fields, &ec2_locked_snapshots_info_shape,
                              &request->filters, error);
    txn = filter && virga_call_dry_run(call, error) ? virga_db_read(call->db, error) : NULL;
    if (!txn ||
        !virga_snapshot_lock_list(txn, call->arena, call->account_id, ids, &rows, &count, error))
        return false;
    list->items = ec2_array(call, Ec2LockedSnapshotsInfo, count);
    for (size_t i = 0; i < count; i++)
        list->items[list->count++] = show(&rows[i]);
    ec2_answer(call, filter, &page, list, &ec2_locked_snapshots_info_shape, Ec2LockedSnapshotsInfo,
               snapshot_id, &response->next_token);
    return true;
}
