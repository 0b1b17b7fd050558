/* SPDX-License-Identifier: Apache-2.0 */
/* Options of instances that have actions of their own: metadata, monitoring, CPU credits. */
#include "instance-view.h"

#define CREDIT_PAGE_MIN 5

/* ---- metadata ---- */

typedef struct {
    const char *id;
    VirgaMetadataOptions options;
    VirgaInstance *changed;
} Metadata;

static bool
check_tags(VirgaCall *call, VirgaTxn *txn, const char *id, GError **error)
{
    const char *ids[] = { id, NULL };
    VirgaTag *tags;
    size_t count;

    return virga_tag_list(txn, call->arena, call->account_id, ids, &tags, &count, error) &&
           ec2_check_metadata_tags(tags, count, error);
}

static bool
modify_metadata(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Metadata *asked = data;

    return virga_instance_set_metadata(txn, call->arena, call->account_id, asked->id,
                                       &asked->options, &asked->changed, error) &&
           (!g_str_equal(asked->changed->http_tags, "enabled") ||
            check_tags(call, txn, asked->id, error));
}

bool
ec2_modify_instance_metadata_options(VirgaCall *call,
                                     const Ec2ModifyInstanceMetadataOptionsRequest *request,
                                     Ec2ModifyInstanceMetadataOptionsResponse *response,
                                     GError **error)
{
    Metadata asked = { .id = request->instance_id,
                       .options = { .http_tokens = request->http_tokens,
                                    .http_endpoint = request->http_endpoint,
                                    .http_tags = request->instance_metadata_tags,
                                    .http_hops = request->http_put_response_hop_limit } };

    if (!virga_api_check_id(request->instance_id, "i", "InvalidInstanceID.Malformed", error) ||
        !ec2_check_hops(request->has_http_put_response_hop_limit,
                        request->http_put_response_hop_limit, error))
        return false;
    if (g_strcmp0(request->http_protocol_ipv6, "enabled") == 0)
        return ec2_unsupported(error, "HttpProtocolIpv6");
    if (!ec2_transaction(call, modify_metadata, &asked, error))
        return false;
    response->instance_id = asked.changed->id;
    response->instance_metadata_options = ec2_instance_metadata_options(call, asked.changed);
    return true;
}

/* ---- monitoring ---- */

typedef struct {
    const char *const *ids;
    bool monitoring;
} Monitor;

static bool
set_monitoring(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Monitor *asked = data;

    return virga_instance_set_monitoring(txn, call->arena, call->account_id, asked->ids,
                                         asked->monitoring, error);
}

static bool
monitor(VirgaCall *call, const Ec2InstanceIdStringList *ids, bool monitoring,
        Ec2InstanceMonitoringList *list, GError **error)
{
    Monitor asked = { .monitoring = monitoring };
    Ec2Monitoring *shown = ec2_new(call, Ec2Monitoring);

    if (!ec2_instance_ids(call, ids, &asked.ids, error) ||
        !ec2_transaction(call, set_monitoring, &asked, error))
        return false;
    shown->state = monitoring ? "enabled" : "disabled";
    list->items = ec2_array(call, Ec2InstanceMonitoring, g_strv_length((char **) asked.ids));
    for (; asked.ids[list->count]; list->count++)
        list->items[list->count] =
            (Ec2InstanceMonitoring){ .instance_id = asked.ids[list->count], .monitoring = shown };
    return true;
}

bool
ec2_monitor_instances(VirgaCall *call, const Ec2MonitorInstancesRequest *request,
                      Ec2MonitorInstancesResponse *response, GError **error)
{
    return monitor(call, &request->instance_ids, true, &response->instance_monitorings, error);
}

bool
ec2_unmonitor_instances(VirgaCall *call, const Ec2UnmonitorInstancesRequest *request,
                        Ec2UnmonitorInstancesResponse *response, GError **error)
{
    return monitor(call, &request->instance_ids, false, &response->instance_monitorings, error);
}

/* ---- CPU credits ---- */

static const VirgaFilterField credit_fields[] = {
    { "instance-id", "InstanceId" },
};

static bool
read_credits(VirgaCall *call, VirgaTxn *txn, const char *const *ids, const VirgaInstance *rows,
             size_t count, Ec2InstanceCreditSpecificationList *list, GError **error)
{
    const char **all = ec2_array(call, const char *, count + 1);
    char **credits;

    for (size_t i = 0; i < count; i++)
        all[i] = rows[i].id;
    if (!virga_instance_credits(txn, call->arena, call->account_id, all, &credits, error))
        return false;
    list->items = ec2_array(call, Ec2InstanceCreditSpecification, count);
    for (size_t i = 0; i < count; i++) {
        const char *otherwise = virga_instance_type_credits(rows[i].type);

        if (otherwise)
            list->items[list->count++] = (Ec2InstanceCreditSpecification){
                .instance_id = rows[i].id, .cpu_credits = credits[i] ? credits[i] : otherwise
            };
        else if (ids)
            return virga_api_fail(error, "InstanceCreditSpecification.NotSupported", 400,
                                  "The CPU credits of %s are not supported for its type %s",
                                  rows[i].id, rows[i].type);
    }
    return true;
}

bool
ec2_describe_instance_credit_specifications(
    VirgaCall *call, const Ec2DescribeInstanceCreditSpecificationsRequest *request,
    Ec2DescribeInstanceCreditSpecificationsResponse *response, GError **error)
{
    g_autoptr(VirgaTxn) txn = NULL;
    const char *const *ids;
    VirgaInstance *rows;
    VirgaFilter *filter;
    Ec2Page page;
    size_t count;

    if (!ec2_ids(call, &request->instance_ids, "i", "InvalidInstanceID.Malformed", &ids, error) ||
        !ec2_page_begin(call, request, CREDIT_PAGE_MIN, VIRGA_PAGE_MAX, &page, error) ||
        !ec2_check_unpaged(ids, request->has_max_results, "instancesSet", error))
        return false;
    filter = virga_filter_new(call->arena, credit_fields, &ec2_instance_credit_specification_shape,
                              &request->filters, error);
    txn = filter ? virga_db_read(call->db, error) : NULL;
    if (!txn || !ec2_instances_find(call, txn, ids, &rows, &count, error) ||
        !virga_call_dry_run(call, error) ||
        !read_credits(call, txn, ids, rows, count, &response->instance_credit_specifications,
                      error))
        return false;
    ec2_answer(call, filter, &page, &response->instance_credit_specifications,
               &ec2_instance_credit_specification_shape, Ec2InstanceCreditSpecification,
               instance_id, &response->next_token);
    return true;
}

typedef struct {
    const Ec2ModifyInstanceCreditSpecificationRequest *request;
    Ec2ModifyInstanceCreditSpecificationResponse answer;
} Credits;

static void
refuse_credits(VirgaCall *call, Credits *asked, const char *id, const char *code,
               const char *message)
{
    Ec2UnsuccessfulInstanceCreditSpecificationSet *list =
        &asked->answer.unsuccessful_instance_credit_specifications;
    Ec2UnsuccessfulInstanceCreditSpecificationItem *item = &list->items[list->count++];

    item->instance_id = id;
    item->error = ec2_new(call, Ec2UnsuccessfulInstanceCreditSpecificationItemError);
    item->error->code = code;
    item->error->message = message;
}

static bool
set_credits(VirgaCall *call, VirgaTxn *txn, Credits *asked, const char *id, const char *credits,
            GError **error)
{
    Ec2SuccessfulInstanceCreditSpecificationSet *list =
        &asked->answer.successful_instance_credit_specifications;
    const char *ids[] = { id, NULL };
    VirgaInstance *row;
    size_t count;

    if (!virga_api_check_id(id, "i", "", NULL)) {
        refuse_credits(call, asked, id, "InvalidInstanceID.Malformed", "Invalid instance ID");
        return true;
    }
    if (!virga_instance_list(txn, call->arena, call->account_id, ids, NULL, &row, &count, error))
        return false;
    if (count == 0) {
        refuse_credits(call, asked, id, "InvalidInstanceID.NotFound",
                       "The instance ID does not exist");
        return true;
    }
    if (row->state != VIRGA_INSTANCE_RUNNING && row->state != VIRGA_INSTANCE_STOPPED) {
        refuse_credits(call, asked, id, "IncorrectInstanceState",
                       "The instance must be running or stopped");
        return true;
    }
    if (!virga_instance_type_credits(row->type)) {
        refuse_credits(call, asked, id, "InstanceCreditSpecification.NotSupported",
                       "CPU credits are not supported for the type of the instance");
        return true;
    }
    list->items[list->count++].instance_id = id;
    return virga_instance_set_credits(txn, call->account_id, id, credits, error);
}

static bool
modify_credits(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Credits *asked = data;
    const Ec2InstanceCreditSpecificationListRequest *list =
        &asked->request->instance_credit_specifications;

    asked->answer.successful_instance_credit_specifications =
        (Ec2SuccessfulInstanceCreditSpecificationSet){
            ec2_array(call, Ec2SuccessfulInstanceCreditSpecificationItem, list->count), 0
        };
    asked->answer.unsuccessful_instance_credit_specifications =
        (Ec2UnsuccessfulInstanceCreditSpecificationSet){
            ec2_array(call, Ec2UnsuccessfulInstanceCreditSpecificationItem, list->count), 0
        };
    for (size_t i = 0; i < list->count; i++)
        if (!set_credits(call, txn, asked, list->items[i].instance_id, list->items[i].cpu_credits,
                         error))
            return false;
    return true;
}

bool
ec2_modify_instance_credit_specification(VirgaCall *call,
                                         const Ec2ModifyInstanceCreditSpecificationRequest *request,
                                         Ec2ModifyInstanceCreditSpecificationResponse *response,
                                         GError **error)
{
    Credits asked = { .request = request };

    for (size_t i = 0; i < request->instance_credit_specifications.count; i++) {
        const Ec2InstanceCreditSpecificationRequest *item =
            &request->instance_credit_specifications.items[i];

        if (g_strcmp0(item->cpu_credits, "standard") != 0 &&
            g_strcmp0(item->cpu_credits, "unlimited") != 0)
            return virga_api_fail(error, "InvalidParameterValue", 400,
                                  "Value (%.100s) for parameter cpuCredits is invalid. Expecting "
                                  "'standard' or 'unlimited'.",
                                  item->cpu_credits ? item->cpu_credits : "");
    }
    if (!ec2_transaction(call, modify_credits, &asked, error))
        return false;
    *response = asked.answer;
    return true;
}
