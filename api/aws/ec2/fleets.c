/* SPDX-License-Identifier: Apache-2.0 */
/* Fleets that were launched: describe and delete. */
#include "common.h"

#include "compute/fleet.h"
#include "compute/instance.h"

#define PAGE_MIN 1

static const VirgaFilterField fleet_fields[] = {
    { "activity-status", "ActivityStatus" },
    { "excess-capacity-termination-policy", "ExcessCapacityTerminationPolicy" },
    { "fleet-state", "FleetState" },
    { "replace-unhealthy-instances", "ReplaceUnhealthyInstances" },
    { "type", "Type" },
};

/* ---- describing ---- */

static const char *
state_of(const VirgaFleet *row)
{
    return !row->deleted ? row->result ? "active" : "submitted"
           : row->alive  ? "deleted_terminating"
                         : "deleted";
}

/* Instances times what each counts. */
static double
fulfilled(const Ec2FleetData *shown)
{
    double sum = 0;

    for (size_t i = 0; i < shown->instances.count; i++) {
        const Ec2DescribeFleetsInstances *item = &shown->instances.items[i];
        const Ec2FleetLaunchTemplateOverrides *override =
            item->launch_template_and_overrides ? item->launch_template_and_overrides->overrides
                                                : NULL;

        sum += (double) item->instance_ids.count *
               (override && override->has_weighted_capacity ? override->weighted_capacity : 1);
    }
    return sum;
}

/* What was asked for and what came of it have the members of the same names. */
static bool
show_fleet(const VirgaCall *call, const VirgaFleet *row, const Ec2Tags *tags, Ec2FleetData *shown,
           GError **error)
{
    const VirgaWireShape *shape = &ec2_fleet_data_shape;
    const Ec2FleetData *asked = virga_wire_from_json(call->arena, shape, row->request, error);
    const Ec2FleetData *got =
        asked ? virga_wire_from_json(call->arena, shape, row->result ? row->result : "{}", error)
              : NULL;

    if (!got)
        return false;
    *shown = *asked;
    virga_wire_inherit(shape, shown, got);
    shown->fleet_id = row->id;
    shown->create_time = row->created;
    shown->fleet_state = state_of(row);
    shown->tags = ec2_tags_of(tags, row->id);
    shown->fulfilled_capacity = shown->fulfilled_on_demand_capacity = fulfilled(shown);
    shown->has_fulfilled_capacity = shown->has_fulfilled_on_demand_capacity = true;
    shown->activity_status =
        !row->result ? "pending_fulfillment"
        : shown->fulfilled_capacity >=
                (double) shown->target_capacity_specification->total_target_capacity
            ? "fulfilled"
            : "error";
    return true;
}

static bool
find_fleets(VirgaCall *call, VirgaTxn *txn, const char *const *ids, VirgaFleet **ret,
            size_t *ret_count, GError **error)
{
    return virga_fleet_list(txn, call->arena, call->account_id, ids, ret, ret_count, error) &&
           ec2_check_found(call, ids, *ret, *ret_count, sizeof **ret, offsetof(VirgaFleet, id),
                           "InvalidFleetId.NotFound", "fleet ID", error);
}

static bool
read_fleets(VirgaCall *call, const char *const *ids, Ec2FleetSet *list, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    VirgaFleet *rows;
    Ec2Tags tags;
    size_t count;

    if (!txn || !find_fleets(call, txn, ids, &rows, &count, error) ||
        !ec2_tags_read(call, txn, NULL, "fleet", &tags, error))
        return false;
    list->items = ec2_array(call, Ec2FleetData, count);
    for (; list->count < count; list->count++)
        if (!show_fleet(call, &rows[list->count], &tags, &list->items[list->count], error))
            return false;
    return true;
}

/* As AWS has it, an instant fleet is seen by who names it. */
bool
ec2_describe_fleets(VirgaCall *call, const Ec2DescribeFleetsRequest *request,
                    Ec2DescribeFleetsResponse *response, GError **error)
{
    const char *const *ids;
    VirgaFilter *filter;
    Ec2Page page;

    if (!ec2_ids(call, &request->fleet_ids, "fleet", "InvalidFleetId.Malformed", &ids, error) ||
        !ec2_page_begin(call, request, PAGE_MIN, VIRGA_PAGE_MAX, &page, error))
        return false;
    filter = virga_filter_new(call->arena, fleet_fields, &ec2_fleet_data_shape, &request->filters,
                              error);
    if (!filter || !virga_call_dry_run(call, error))
        return false;
    if (!ids)
        return true;
    if (!read_fleets(call, ids, &response->fleets, error))
        return false;
    ec2_answer(call, filter, &page, &response->fleets, &ec2_fleet_data_shape, Ec2FleetData,
               fleet_id, &response->next_token);
    return true;
}

static const VirgaFilterField instance_fields[] = {
    { "instance-type", "InstanceType" },
};

static const char *
health_of(const VirgaInstance *row)
{
    return g_strcmp0(row->reachable, "impaired") == 0 ? "unhealthy" : "healthy";
}

static bool
read_instances(VirgaCall *call, const char *fleet_id, Ec2ActiveInstanceSet *list, GError **error)
{
    const char *ids[] = { fleet_id, NULL };
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    const char **members;
    VirgaInstance *rows;
    VirgaFleet *fleet;
    size_t count;

    if (!txn || !find_fleets(call, txn, ids, &fleet, &count, error) ||
        !virga_fleet_instances(txn, call->arena, call->account_id, fleet_id, &members, error) ||
        !virga_instance_list(txn, call->arena, call->account_id, members, NULL, &rows, &count,
                             error))
        return false;
    list->items = ec2_array(call, Ec2ActiveInstance, count);
    for (size_t i = 0; i < count; i++)
        if (rows[i].state == VIRGA_INSTANCE_PENDING || rows[i].state == VIRGA_INSTANCE_RUNNING)
            list->items[list->count++] =
                (Ec2ActiveInstance){ .instance_id = rows[i].id,
                                     .instance_type = rows[i].type,
                                     .instance_health = health_of(&rows[i]) };
    return true;
}

bool
ec2_describe_fleet_instances(VirgaCall *call, const Ec2DescribeFleetInstancesRequest *request,
                             Ec2DescribeFleetInstancesResponse *response, GError **error)
{
    VirgaFilter *filter;
    Ec2Page page;

    if (!virga_api_check_id(request->fleet_id, "fleet", "InvalidFleetId.Malformed", error) ||
        !ec2_page_begin(call, request, PAGE_MIN, VIRGA_PAGE_MAX, &page, error))
        return false;
    filter = virga_filter_new(call->arena, instance_fields, &ec2_active_instance_shape,
                              &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !read_instances(call, request->fleet_id, &response->active_instances, error))
        return false;
    response->fleet_id = request->fleet_id;
    ec2_answer(call, filter, &page, &response->active_instances, &ec2_active_instance_shape,
               Ec2ActiveInstance, instance_id, &response->next_token);
    return true;
}

/* ---- deleting ---- */

typedef struct {
    const char *id;
    const VirgaFleet *row; /* as it was; NULL: there is none */
    const char **members;
} Delete;

static bool
mark_deleted(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Delete *asked = data;
    const char *ids[] = { asked->id, NULL };
    VirgaFleet *row;
    size_t count;

    if (!virga_fleet_list(txn, call->arena, call->account_id, ids, &row, &count, error))
        return false;
    asked->row = count ? row : NULL;
    return !asked->row || (virga_fleet_instances(txn, call->arena, call->account_id, asked->id,
                                                 &asked->members, error) &&
                           virga_fleet_set_deleted(txn, asked->id, error));
}

static void
refuse(VirgaCall *call, Ec2DeleteFleetErrorSet *list, const char *id, const char *code,
       const char *message)
{
    Ec2DeleteFleetError *reason = ec2_new(call, Ec2DeleteFleetError);

    reason->code = code;
    reason->message = virga_arena_strdup(call->arena, message);
    list->items[list->count++] = (Ec2DeleteFleetErrorItem){ .fleet_id = id, .error = reason };
}

/* Its instances are asked to end first: were the rest lost, the call can be repeated. */
static bool
terminate_members(VirgaCall *call, const char *id, const char ***ret_members, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    VirgaInstanceChange *changes;

    return txn &&
           virga_fleet_instances(txn, call->arena, call->account_id, id, ret_members, error) &&
           (!**ret_members || virga_instance_terminate(call->db, call->arena, call->account_id,
                                                       *ret_members, false, &changes, error));
}

static bool
delete_one(VirgaCall *call, const char *id, Ec2DeleteFleetsResponse *response, GError **error)
{
    Ec2DeleteFleetErrorSet *failures = &response->unsuccessful_fleet_deletions;
    Ec2DeleteFleetSuccessSet *done = &response->successful_fleet_deletions;
    g_autoptr(GError) reason = NULL;
    Delete asked = { .id = id };
    const char **members;

    if (!virga_api_check_id(id, "fleet", "", NULL)) {
        refuse(call, failures, id, "fleetIdMalformed", "The fleet ID is malformed.");
        return true;
    }
    if (!terminate_members(call, id, &members, &reason)) {
        refuse(call, failures, id, "unexpectedError", virga_api_error(reason).message);
        return true;
    }
    if (!ec2_transaction(call, mark_deleted, &asked, error))
        return false;
    if (!asked.row) {
        refuse(call, failures, id, "fleetIdDoesNotExist", "The fleet ID does not exist.");
        return true;
    }
    done->items[done->count++] =
        (Ec2DeleteFleetSuccessItem){ .fleet_id = id,
                                     .previous_fleet_state = state_of(asked.row),
                                     .current_fleet_state =
                                         *asked.members ? "deleted_terminating" : "deleted" };
    return true;
}

bool
ec2_delete_fleets(VirgaCall *call, const Ec2DeleteFleetsRequest *request,
                  Ec2DeleteFleetsResponse *response, GError **error)
{
    const char *const *ids = ec2_strings(call, &request->fleet_ids);
    size_t count = request->fleet_ids.count;

    if (!request->terminate_instances)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Fleets of the type 'instant' are deleted with their instances: "
                              "TerminateInstances must be true");
    if (!virga_call_dry_run(call, error))
        return false;
    response->successful_fleet_deletions.items = ec2_array(call, Ec2DeleteFleetSuccessItem, count);
    response->unsuccessful_fleet_deletions.items = ec2_array(call, Ec2DeleteFleetErrorItem, count);
    for (; ids && *ids; ids++)
        if (!delete_one(call, *ids, response, error))
            return false;
    return true;
}
