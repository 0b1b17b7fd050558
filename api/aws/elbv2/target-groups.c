/* SPDX-License-Identifier: Apache-2.0 */
/* Target groups. */
#include "common.h"

#include "core/id.h"
#include "core/quota.h"
#include "network/vpc.h"

static bool
is_http(const char *protocol)
{
    return g_str_has_prefix(protocol, "HTTP");
}

/* Clients say of some things that they say nothing. */
static bool
is_given(const char *text)
{
    return text && *text;
}

static bool
show(const VirgaCall *call, const VirgaTargetGroupRow *row, Elbv2TargetGroup *ret, GError **error)
{
    const Elbv2TargetGroup *kept =
        virga_wire_from_json(call->arena, &elbv2_target_group_shape, row->shown, error);

    if (!kept)
        return false;
    *ret = *kept;
    ret->target_group_arn = elb_target_group_arn(call, row->name, row->id);
    ret->target_group_name = row->name;
    ret->protocol = row->protocol;
    ret->protocol_version = row->version;
    ret->port = row->port;
    ret->has_port = true;
    ret->vpc_id = row->vpc_id;
    ret->target_type = row->target_type;
    ret->ip_address_type = "ipv4";
    if (row->balancer_id) {
        ret->load_balancer_arns.items = elb_new(call, const char *);
        ret->load_balancer_arns.items[0] =
            elb_balancer_arn(call, row->balancer_name, row->balancer_type, row->balancer_id);
        ret->load_balancer_arns.count = 1;
    }
    return true;
}

static bool
answer_with(const VirgaCall *call, const VirgaTargetGroupRow *rows, size_t count,
            Elbv2TargetGroups *ret, GError **error)
{
    ret->items = elb_array(call, Elbv2TargetGroup, count);
    for (ret->count = 0; ret->count < count; ret->count++)
        if (!show(call, &rows[ret->count], &ret->items[ret->count], error))
            return false;
    return true;
}

#define HEALTH_GIVEN(shown, request, member, otherwise)                                            \
    do {                                                                                           \
        (shown)->member = (request)->has_##member ? (request)->member : (otherwise);               \
        (shown)->has_##member = true;                                                              \
    } while (0)

/* Health checks of which nothing is said are AWS's. */
static void
fill_health(const VirgaCall *call, const Elbv2CreateTargetGroupRequest *request,
            Elbv2TargetGroup *shown)
{
    bool application = is_http(request->protocol), http;

    shown->health_check_protocol = request->health_check_protocol ? request->health_check_protocol
                                   : application                  ? "HTTP"
                                                                  : "TCP";
    http = is_http(shown->health_check_protocol);
    shown->health_check_port =
        request->health_check_port ? request->health_check_port : "traffic-port";
    shown->health_check_enabled = shown->has_health_check_enabled = true;
    HEALTH_GIVEN(shown, request, health_check_interval_seconds, 30);
    HEALTH_GIVEN(shown, request, health_check_timeout_seconds, application ? 5 : http ? 6 : 10);
    HEALTH_GIVEN(shown, request, healthy_threshold_count, 5);
    HEALTH_GIVEN(shown, request, unhealthy_threshold_count, 2);
    if (!http)
        return;
    shown->health_check_path = request->health_check_path ? request->health_check_path : "/";
    shown->matcher = elb_new(call, Elbv2Matcher);
    shown->matcher->http_code = request->matcher && request->matcher->http_code
                                    ? request->matcher->http_code
                                : application ? "200"
                                              : "200-399";
}

static bool
check_request(const Elbv2CreateTargetGroupRequest *request, GError **error)
{
    static const char *const protocols[] = {
        "HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP", NULL
    };

    if (!elb_check_name(request->name, "Target group", error))
        return false;
    if (request->target_type &&
        (g_str_equal(request->target_type, "lambda") || g_str_equal(request->target_type, "alb")))
        return elb_fail(error, "UnsupportedOperation",
                        "Targets of type '%s' are not supported by this cloud",
                        request->target_type);
    if (request->ip_address_type && !g_str_equal(request->ip_address_type, "ipv4"))
        return elb_fail(error, "UnsupportedOperation", "Targets have IPv4 addresses only");
    if (!request->protocol)
        return elb_fail(error, "ValidationError", "A protocol must be specified");
    if (!g_strv_contains(protocols, request->protocol) || request->has_target_control_port)
        return elb_fail(error, "UnsupportedOperation",
                        "The protocol '%s' is not supported by this cloud", request->protocol);
    if (!request->has_port)
        return elb_fail(error, "ValidationError", "A port must be specified");
    if (!request->vpc_id)
        return elb_fail(error, "ValidationError", "A VPC ID must be specified");
    if (request->has_health_check_enabled && !request->health_check_enabled)
        return elb_fail(error, "ValidationError",
                        "Health check enabled must be true for target groups with target type "
                        "'instance' or 'ip'");
    if (is_given(request->protocol_version) && !is_http(request->protocol))
        return elb_fail(error, "ValidationError",
                        "A protocol version is for HTTP and HTTPS target groups only");
    if (is_given(request->protocol_version) && g_str_equal(request->protocol_version, "GRPC"))
        return elb_fail(error, "UnsupportedOperation", "gRPC is not supported by this cloud");
    if (is_given(request->protocol_version) && !g_str_equal(request->protocol_version, "HTTP1") &&
        !g_str_equal(request->protocol_version, "HTTP2"))
        return elb_fail(error, "ValidationError", "'%.100s' is no protocol version",
                        request->protocol_version);
    return !request->matcher || !request->matcher->grpc_code ||
           elb_fail(error, "ValidationError", "A gRPC code needs the protocol version GRPC");
}

/* The same group asked for once more is the same. */
static bool
find_same(const VirgaCall *call, VirgaTxn *txn, const VirgaTargetGroupRow *wanted,
          VirgaTargetGroupRow **ret, GError **error)
{
    const char *const names[] = { wanted->name, NULL };
    VirgaTargetGroupRow *there;
    size_t count;

    *ret = NULL;
    if (!virga_target_group_list(txn, call->arena, call->account_id, NULL, names, NULL, &there,
                                 &count, error))
        return false;
    if (count == 0)
        return true;
    if (!g_str_equal(there->shown, wanted->shown) ||
        !g_str_equal(there->protocol, wanted->protocol) || there->port != wanted->port ||
        !g_str_equal(there->vpc_id, wanted->vpc_id) ||
        !g_str_equal(there->target_type, wanted->target_type) ||
        g_strcmp0(there->version, wanted->version) != 0)
        return elb_fail(
            error, "DuplicateTargetGroupName",
            "A target group with the same name '%s' exists, but with different settings",
            wanted->name);
    *ret = there;
    return true;
}

ELB_ACTION(create_target_group, CreateTargetGroup)
{
    g_autofree char *id = virga_id_new("tg");
    Elbv2TargetGroup *shown = elb_new(call, Elbv2TargetGroup);
    VirgaTargetGroupRow row = {
        .id = id,
        .account_id = (char *) call->account_id,
        .name = (char *) request->name,
        .target_type = (char *) (request->target_type ? request->target_type : "instance"),
        .protocol = (char *) request->protocol,
        .port = request->port,
        .vpc_id = (char *) request->vpc_id,
        .attributes = (char *) "{}",
    }, *same;
    const char *const vpc_ids[] = { request->vpc_id, NULL };
    VirgaVpc *vpcs;
    size_t count;
    char *plan;

    if (!check_request(request, error) ||
        !virga_vpc_list(txn, call->arena, call->account_id, vpc_ids, &vpcs, &count, error))
        return false;
    if (count == 0)
        return elb_fail(error, "ValidationError", "The VPC ID '%.100s' is not found",
                        request->vpc_id);
    if (is_http(row.protocol))
        row.version =
            (char *) (is_given(request->protocol_version) ? request->protocol_version : "HTTP1");
    fill_health(call, request, shown);
    row.shown = virga_wire_to_json(call->arena, &elbv2_target_group_shape, shown);
    if (!elb_plan_of_target_group(call, &row, shown, &plan, error) ||
        !find_same(call, txn, &row, &same, error))
        return false;
    if (same)
        return answer_with(call, same, 1, &response->target_groups, error);
    return virga_target_group_create(txn, &row, plan, error) &&
           elb_tags_set(call, txn, id, &request->tags, error) &&
           virga_quota_claim(txn, call->account_id, VIRGA_QUOTA_TARGET_GROUPS, 1, error) &&
           elb_check_plan(call, txn, row.vpc_id, error) &&
           answer_with(call, &row, 1, &response->target_groups, error) &&
           (response->target_groups.items[0].target_group_arn =
                elb_target_group_arn(call, row.name, id)) != NULL;
}

ELB_ACTION(delete_target_group, DeleteTargetGroup)
{
    g_autoptr(GError) reason = NULL;
    VirgaTargetGroupRow *group;

    if (!elb_lock_target_group(call, txn, request->target_group_arn, &group, &reason)) {
        if (virga_error_is(reason, "target group", VIRGA_ERROR_NOT_FOUND))
            return true; /* as AWS answers */
        g_propagate_error(error, g_steal_pointer(&reason));
        return false;
    }
    return virga_target_group_delete(txn, group, error) &&
           virga_quota_claim(txn, call->account_id, VIRGA_QUOTA_TARGET_GROUPS, -1, error);
}

#define HEALTH_CHANGED(shown, request, member)                                                     \
    do {                                                                                           \
        if ((request)->has_##member)                                                               \
            (shown)->member = (request)->member;                                                   \
    } while (0)

static void
change_health(const VirgaCall *call, const Elbv2ModifyTargetGroupRequest *request,
              Elbv2TargetGroup *shown)
{
    if (request->health_check_protocol)
        shown->health_check_protocol = request->health_check_protocol;
    if (request->health_check_port)
        shown->health_check_port = request->health_check_port;
    HEALTH_CHANGED(shown, request, health_check_interval_seconds);
    HEALTH_CHANGED(shown, request, health_check_timeout_seconds);
    HEALTH_CHANGED(shown, request, healthy_threshold_count);
    HEALTH_CHANGED(shown, request, unhealthy_threshold_count);
    if (!is_http(shown->health_check_protocol)) {
        shown->health_check_path = NULL;
        shown->matcher = NULL;
        return;
    }
    if (request->health_check_path || !shown->health_check_path)
        shown->health_check_path = request->health_check_path ? request->health_check_path : "/";
    if (request->matcher && request->matcher->http_code) {
        shown->matcher = request->matcher;
    } else if (!shown->matcher) {
        shown->matcher = elb_new(call, Elbv2Matcher);
        shown->matcher->http_code = "200-399";
    }
}

ELB_ACTION(modify_target_group, ModifyTargetGroup)
{
    VirgaTargetGroupRow *group;
    Elbv2TargetGroup *shown;
    char *plan;

    if (!elb_lock_target_group(call, txn, request->target_group_arn, &group, error))
        return false;
    if (request->has_health_check_enabled && !request->health_check_enabled)
        return elb_fail(error, "ValidationError", "Health checks cannot be disabled");
    shown = virga_wire_from_json(call->arena, &elbv2_target_group_shape, group->shown, error);
    if (!shown)
        return false;
    change_health(call, request, shown);
    group->shown = virga_wire_to_json(call->arena, &elbv2_target_group_shape, shown);
    return elb_plan_of_target_group(call, group, shown, &plan, error) &&
           virga_target_group_update(txn, group, plan, error) &&
           elb_check_plan(call, txn, group->vpc_id, error) &&
           answer_with(call, group, 1, &response->target_groups, error);
}

ELB_ACTION(describe_target_groups, DescribeTargetGroups)
{
    const char *const *ids, *const *names = elb_strings(call, &request->names);
    const char *balancer_id = NULL;
    VirgaTargetGroupRow *groups;
    VirgaLoadBalancer *balancer;
    size_t count, wanted = request->target_group_arns.count + request->names.count;

    if ((request->target_group_arns.count > 0) + (request->names.count > 0) +
            (request->load_balancer_arn != NULL) >
        1)
        return elb_fail(error, "ValidationError",
                        "Target group names, target group ARNs, and a load balancer ARN cannot be "
                        "specified at the same time");
    if (request->load_balancer_arn) {
        if (!elb_lock_balancer(call, txn, request->load_balancer_arn, &balancer, error))
            return false;
        balancer_id = balancer->id;
    }
    if (!elb_ids(call, ELB_TARGET_GROUP, &request->target_group_arns, &ids, error) ||
        !virga_target_group_list(txn, call->arena, call->account_id, ids, names, balancer_id,
                                 &groups, &count, error))
        return false;
    if (count < wanted)
        return elb_fail_not_found(ELB_TARGET_GROUP, error);
    return answer_with(call, groups, count, &response->target_groups, error) &&
           ELB_PAGE(call, request, response, target_groups, Elbv2TargetGroup, target_group_arn,
                    error);
}
