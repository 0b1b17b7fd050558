/* SPDX-License-Identifier: Apache-2.0 */
/* Who may make volumes of a snapshot, besides its owner. */
#include "snapshots.h"

typedef bool (*Work)(VirgaCall *call, VirgaTxn *txn, const VirgaSnapshot *snapshot,
                     gconstpointer data, GError **error);

/* One change of one snapshot of the caller's. */
typedef struct {
    const char *id;
    Work work;
    gconstpointer data;
} Change;

static bool
change_snapshot(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Change *change = data;
    const VirgaSnapshot *snapshot =
        virga_snapshot_lock(txn, call->arena, call->account_id, change->id, error);

    return snapshot && change->work(call, txn, snapshot, change->data, error);
}

static bool
run(VirgaCall *call, const char *id, Work work, gconstpointer data, GError **error)
{
    Change change = { .id = id, .work = work, .data = data };

    return ec2_check_snapshot_id(id, error) &&
           ec2_transaction(call, change_snapshot, &change, error);
}

/* ---- describing ---- */

static bool
show_permissions(const VirgaCall *call, VirgaTxn *txn, const VirgaSnapshot *snapshot,
                 Ec2CreateVolumePermissionList *list, GError **error)
{
    VirgaSnapshotPermission *rows;
    size_t count;

    if (!virga_snapshot_permissions(txn, call->arena, call->account_id, snapshot->id, &rows, &count,
                                    error))
        return false;
    list->items = ec2_array(call, Ec2CreateVolumePermission, count + 1); /* shown even if empty */
    if (snapshot->is_public)
        list->items[list->count++].group = "all";
    for (size_t i = 0; i < count; i++)
        list->items[list->count++].user_id = rows[i].account_id;
    return true;
}

bool
ec2_describe_snapshot_attribute(VirgaCall *call, const Ec2DescribeSnapshotAttributeRequest *request,
                                Ec2DescribeSnapshotAttributeResult *response, GError **error)
{
    g_autoptr(VirgaTxn) txn = NULL;
    const VirgaSnapshot *snapshot;

    if (!ec2_check_snapshot_id(request->snapshot_id, error))
        return false;
    txn = virga_db_read(call->db, error);
    snapshot =
        txn ? virga_snapshot_get(txn, call->arena, call->account_id, request->snapshot_id, error)
            : NULL;
    if (!snapshot || !virga_call_dry_run(call, error))
        return false;
    if (!g_str_equal(snapshot->account_id, call->account_id))
        return virga_api_fail(error, "AuthFailure", 403, "Not authorized for snapshot:%s",
                              snapshot->id);
    response->snapshot_id = snapshot->id;
    if (g_str_equal(request->attribute, "createVolumePermission"))
        return show_permissions(call, txn, snapshot, &response->create_volume_permissions, error);
    response->product_codes.items = ec2_new(call, Ec2ProductCode); /* none, and that is shown */
    return true;
}

/* ---- modifying ---- */

typedef struct {
    const Ec2CreateVolumePermissionList *add, *remove;
} Modification;

static bool
share(VirgaTxn *txn, const VirgaSnapshot *snapshot, const Ec2CreateVolumePermissionList *list,
      bool add, GError **error)
{
    for (size_t i = 0; list && i < list->count; i++) {
        const Ec2CreateVolumePermission *permission = &list->items[i];

        if (permission->group && !virga_snapshot_set_public(txn, snapshot->id, add, error))
            return false;
        if (permission->user_id &&
            !virga_snapshot_share(txn, snapshot->id, permission->user_id, add, error))
            return false;
    }
    return true;
}

static bool
modify(VirgaCall *call, VirgaTxn *txn, const VirgaSnapshot *snapshot, gconstpointer data,
       GError **error)
{
    const Modification *asked = data;

    /* Whoever may use it would need its key, too; EC2 shares none of the account's own. */
    if (snapshot->key_id && asked->add && asked->add->count)
        return virga_api_fail(error, "OperationNotPermitted", 400,
                              "Encrypted snapshots with EBS default key cannot be shared");
    return share(txn, snapshot, asked->add, true, error) &&
           share(txn, snapshot, asked->remove, false, error);
}

static bool
check_permissions(const Ec2CreateVolumePermissionList *list, GError **error)
{
    for (size_t i = 0; list && i < list->count; i++) {
        const char *user = list->items[i].user_id, *group = list->items[i].group;

        if (!user && !group)
            return virga_api_fail(error, "MissingParameter", 400,
                                  "A permission must have a UserId or a Group");
        if (group && !g_str_equal(group, "all"))
            return virga_api_fail(
                error, "InvalidParameterValue", 400,
                "Invalid attribute item value \"%.100s\" for userGroup item type.", group);
        if (user && (strlen(user) != 12 || strspn(user, "0123456789") != 12))
            return virga_api_fail(error, "InvalidUserID.Malformed", 400,
                                  "Invalid user id: \"%.100s\"", user);
    }
    return true;
}

/* The other form of the same: OperationType with UserIds and GroupNames. */
static bool
read_operation(const VirgaCall *call, const Ec2ModifySnapshotAttributeRequest *request,
               Modification *change, GError **error)
{
    Ec2CreateVolumePermissionList *list = ec2_new(call, Ec2CreateVolumePermissionList);

    if (request->user_ids.count + request->group_names.count == 0)
        return true;
    if (!request->operation_type)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter operationType");
    list->items = ec2_array(call, Ec2CreateVolumePermission,
                            request->user_ids.count + request->group_names.count);
    for (size_t i = 0; i < request->user_ids.count; i++)
        list->items[list->count++].user_id = request->user_ids.items[i];
    for (size_t i = 0; i < request->group_names.count; i++)
        list->items[list->count++].group = request->group_names.items[i];
    *(g_str_equal(request->operation_type, "add") ? &change->add : &change->remove) = list;
    return true;
}

bool
ec2_modify_snapshot_attribute(VirgaCall *call, const Ec2ModifySnapshotAttributeRequest *request,
                              Ec2ModifySnapshotAttributeResponse *response, GError **error)
{
    Modification change = { 0 };

    if (request->attribute && !g_str_equal(request->attribute, "createVolumePermission"))
        return ec2_unsupported(error, "Attribute");
    if (request->create_volume_permission) {
        change.add = &request->create_volume_permission->add;
        change.remove = &request->create_volume_permission->remove;
    } else if (!read_operation(call, request, &change, error)) {
        return false;
    }
    if (!check_permissions(change.add, error) || !check_permissions(change.remove, error))
        return false;
    if (!change.add && !change.remove)
        return virga_api_fail(error, "MissingParameter", 400, "No attributes specified.");
    return run(call, request->snapshot_id, modify, &change, error);
}

static bool
reset(VirgaCall *call, VirgaTxn *txn, const VirgaSnapshot *snapshot, gconstpointer data,
      GError **error)
{
    return virga_snapshot_unshare(txn, snapshot->id, error);
}

bool
ec2_reset_snapshot_attribute(VirgaCall *call, const Ec2ResetSnapshotAttributeRequest *request,
                             Ec2ResetSnapshotAttributeResponse *response, GError **error)
{
    if (!g_str_equal(request->attribute, "createVolumePermission"))
        return ec2_unsupported(error, "Attribute");
    return run(call, request->snapshot_id, reset, NULL, error);
}
