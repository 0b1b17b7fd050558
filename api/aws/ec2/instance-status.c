/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeInstanceStatus: the host's health is the system status, the guest's the instance's. */
#include "instance-view.h"

#include "compute/host.h"

static const VirgaFilterField status_fields[] = {
    { "attached-ebs-status.status", "AttachedEbsStatus.Status" },
    { "availability-zone", "AvailabilityZone" },
    { "availability-zone-id", "AvailabilityZoneId" },
    { "event.code", "Events.Code" },
    { "event.description", "Events.Description" },
    { "event.instance-event-id", "Events.InstanceEventId" },
    { "event.not-after", "Events.NotAfter" },
    { "event.not-before", "Events.NotBefore" },
    { "event.not-before-deadline", "Events.NotBeforeDeadline" },
    { "instance-state-code", "InstanceState.Code" },
    { "instance-state-name", "InstanceState.Name" },
    { "instance-status.reachability", "InstanceStatus.Details.Status" },
    { "instance-status.status", "InstanceStatus.Status" },
    { "operator.managed", "Operator.Managed" },
    { "operator.principal", "Operator.Principal" },
    { "outpost-arn", "OutpostArn" },
    { "system-status.reachability", "SystemStatus.Details.Status" },
    { "system-status.status", "SystemStatus.Status" },
};

static const char *
detail_of(const char *status)
{
    return g_str_equal(status, "ok")         ? "passed"
           : g_str_equal(status, "impaired") ? "failed"
                                             : status;
}

static Ec2InstanceStatusSummary *
show_summary(const VirgaCall *call, const char *status, gint64 since)
{
    Ec2InstanceStatusSummary *summary = ec2_new(call, Ec2InstanceStatusSummary);
    Ec2InstanceStatusDetails *details;

    summary->status = status;
    if (g_str_equal(status, "not-applicable"))
        return summary;
    details = ec2_new(call, Ec2InstanceStatusDetails);
    details->name = "reachability";
    details->status = detail_of(status);
    if (g_str_equal(status, "impaired"))
        details->impaired_since = since;
    summary->details = (Ec2InstanceStatusDetailsList){ details, 1 };
    return summary;
}

/* What disks are is known by the host as a whole. */
static Ec2EbsStatusSummary *
show_disks(const VirgaCall *call, const char *status)
{
    Ec2EbsStatusSummary *summary = ec2_new(call, Ec2EbsStatusSummary);
    Ec2EbsStatusDetails *details = ec2_new(call, Ec2EbsStatusDetails);

    summary->status = status;
    if (g_str_equal(status, "not-applicable"))
        return summary;
    details->name = "reachability";
    details->status = detail_of(status);
    summary->details = (Ec2EbsStatusDetailsList){ details, 1 };
    return summary;
}

static void
show_status(const VirgaCall *call, const VirgaInstance *row, const VirgaHost *host,
            Ec2InstanceStatus *shown)
{
    bool running = row->state == VIRGA_INSTANCE_RUNNING, lost = host && !host->up;
    const char *system = !running ? "not-applicable" : lost ? "impaired" : "ok";
    const char *instance = !running         ? "not-applicable"
                           : lost           ? "insufficient-data"
                           : row->reachable ? row->reachable
                                            : "initializing";

    shown->availability_zone = row->zone;
    shown->availability_zone_id = ec2_zone_id(call, row->zone);
    shown->instance_id = row->id;
    shown->instance_state = ec2_instance_state(call, row->state);
    shown->instance_status = show_summary(call, instance, row->reachable_since);
    shown->system_status = show_summary(call, system, host ? host->seen : 0);
    shown->attached_ebs_status = show_disks(call, system);
    shown->operator= ec2_new(call, Ec2OperatorResponse);
    shown->operator->has_managed = true;
}

static bool
describe(VirgaCall *call, const Ec2DescribeInstanceStatusRequest *request, const char *const *ids,
         Ec2InstanceStatusList *list, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    VirgaInstance *rows;
    VirgaHost *hosts;
    Ec2Index index;
    size_t count, host_count;

    if (!txn || !ec2_instances_find(call, txn, ids, &rows, &count, error) ||
        !virga_host_list(txn, call->arena, &hosts, &host_count, error))
        return false;
    index = ec2_index_new(call->arena, hosts, host_count, sizeof *hosts, offsetof(VirgaHost, id));
    list->items = ec2_array(call, Ec2InstanceStatus, count);
    for (size_t i = 0; i < count; i++) {
        const char *host_id = rows[i].host_id;

        if (rows[i].state == VIRGA_INSTANCE_RUNNING || request->include_all_instances)
            show_status(call, &rows[i], host_id ? ec2_index_next(&index, host_id, NULL) : NULL,
                        &list->items[list->count++]);
    }
    return true;
}

bool
ec2_describe_instance_status(VirgaCall *call, const Ec2DescribeInstanceStatusRequest *request,
                             Ec2DescribeInstanceStatusResponse *response, GError **error)
{
    const char *const *ids;
    VirgaFilter *filter;
    Ec2Page page;

    if (!ec2_ids(call, &request->instance_ids, "i", "InvalidInstanceID.Malformed", &ids, error) ||
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error) ||
        !ec2_check_unpaged(ids, request->has_max_results, "instancesSet", error))
        return false;
    filter = virga_filter_new(call->arena, status_fields, &ec2_instance_status_shape,
                              &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !describe(call, request, ids, &response->instance_statuses, error))
        return false;
    ec2_answer(call, filter, &page, &response->instance_statuses, &ec2_instance_status_shape,
               Ec2InstanceStatus, instance_id, &response->next_token);
    return true;
}
