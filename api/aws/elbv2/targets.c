/* SPDX-License-Identifier: Apache-2.0 */
/* Targets and their health. */
#include "common.h"

#include "core/id.h"
#include "core/quota.h"
#include "network/address.h"
#include "network/vpc.h"

#define TARGETS_MAX 1000 /* of a group */

static bool
check_address(const VirgaCall *call, VirgaTxn *txn, const VirgaTargetGroupRow *group,
              const char *address, GError **error)
{
    const char *const vpc_ids[] = { group->vpc_id, NULL };
    guint32 number, base = 0;
    unsigned prefix = 32;
    VirgaVpc *vpcs;
    size_t count;

    if (!virga_ipv4_parse(address, &number))
        return elb_fail(error, "ValidationError",
                        "The IP address '%.100s' is not a valid IPv4 "
                        "address",
                        address);
    if (!virga_vpc_list(txn, call->arena, call->account_id, vpc_ids, &vpcs, &count, error))
        return false;
    for (size_t i = 0; count > 0 && i < vpcs[0].block_count; i++)
        if (virga_cidr_parse(vpcs[0].blocks[i].cidr, &base, &prefix) &&
            virga_cidr_has(base, prefix, number))
            return true;
    return elb_fail(error, "InvalidTarget",
                    "The IP address '%s' is not within a CIDR block of the VPC '%s'", address,
                    group->vpc_id);
}

static bool
check_target(const VirgaCall *call, VirgaTxn *txn, const VirgaTargetGroupRow *group,
             const Elbv2TargetDescription *target, GError **error)
{
    bool of_instances = g_str_equal(group->target_type, "instance");

    if (target->quic_server_id)
        return elb_fail(error, "UnsupportedOperation", "QUIC is not supported by this cloud");
    if (!of_instances)
        return check_address(call, txn, group, target->id, error);
    if (target->availability_zone)
        return elb_fail(error, "ValidationError",
                        "You cannot specify an Availability Zone for a target of type 'instance'");
    return virga_id_is(target->id, "i") ||
           elb_fail(error, "ValidationError", "Instance ID '%.100s' is not valid", target->id);
}

ELB_ACTION(register_targets, RegisterTargets)
{
    VirgaTargetGroupRow *group;
    VirgaTargetRow *targets;
    size_t count;

    if (!elb_lock_target_group(call, txn, request->target_group_arn, &group, error))
        return false;
    if (request->targets.count == 0)
        return elb_fail(error, "ValidationError", "A target must be specified");
    for (size_t i = 0; i < request->targets.count; i++) {
        const Elbv2TargetDescription *target = &request->targets.items[i];

        if (!check_target(call, txn, group, target, error) ||
            !virga_target_register(txn, group, target->id,
                                   target->has_port ? target->port : group->port,
                                   target->availability_zone, error))
            return false;
    }
    if (!virga_target_list(txn, call->arena, group, &targets, &count, error))
        return false;
    if (count > TARGETS_MAX)
        return elb_fail(error, "TooManyTargets",
                        "You've reached the limit on the number of targets of a target group");
    return elb_check_plan(call, txn, group->vpc_id, error);
}

ELB_ACTION(deregister_targets, DeregisterTargets)
{
    VirgaTargetGroupRow *group;
    gint64 delay_s;

    if (!elb_lock_target_group(call, txn, request->target_group_arn, &group, error))
        return false;
    if (request->targets.count == 0)
        return elb_fail(error, "ValidationError", "A target must be specified");
    delay_s = elb_attribute_number(call, elb_target_group_attributes(group->protocol),
                                   group->attributes, "deregistration_delay.timeout_seconds");
    for (size_t i = 0; i < request->targets.count; i++) {
        const Elbv2TargetDescription *target = &request->targets.items[i];

        /* One that nobody forwards to has nothing to drain. */
        if (!virga_target_deregister(txn, group, target->id, target->has_port ? target->port : 0,
                                     group->balancer_id ? delay_s : 0, error))
            return false;
    }
    return true;
}

/* ---- health ---- */

static Elbv2TargetHealth
health(const char *state, const char *reason, const char *description)
{
    return (Elbv2TargetHealth){ state, reason, description };
}

static Elbv2TargetHealth
unhealthy(const VirgaCall *call, const VirgaTargetRow *target)
{
    if (g_strcmp0(target->reason, "timeout") == 0)
        return health("unhealthy", "Target.Timeout", "Request timed out");
    if (g_strcmp0(target->reason, "code") == 0)
        return health("unhealthy", "Target.ResponseCodeMismatch",
                      virga_arena_printf(call->arena, "Health checks failed with these codes: [%d]",
                                         (int) target->code));
    return health("unhealthy", "Target.FailedHealthChecks", "Health checks failed");
}

static Elbv2TargetHealth
health_of(const VirgaCall *call, const VirgaTargetGroupRow *group, const VirgaTargetRow *target)
{
    bool of_instances = g_str_equal(group->target_type, "instance");

    if (target->draining)
        return health("draining", "Target.DeregistrationInProgress",
                      "Target deregistration is in progress");
    if (!group->balancer_id)
        return health("unused", "Target.NotInUse",
                      "Target group is not configured to receive traffic from the load balancer");
    if (of_instances && g_strcmp0(target->instance_state, "running") != 0 &&
        g_strcmp0(target->instance_state, "pending") != 0)
        return health(
            "unused", "Target.InvalidState",
            virga_arena_printf(call->arena, "Target is in the %s state",
                               target->instance_state ? target->instance_state : "terminated"));
    if (!target->health)
        return health("initial", "Elb.RegistrationInProgress",
                      "Target registration is in progress");
    if (g_str_equal(target->health, "initial"))
        return health("initial", "Elb.InitialHealthChecking", "Initial health checks in progress");
    return g_str_equal(target->health, "healthy") ? health("healthy", NULL, NULL)
                                                  : unhealthy(call, target);
}

static Elbv2TargetHealthDescription
describe(const VirgaCall *call, const VirgaTargetGroupRow *group, const VirgaTargetRow *target,
         const char *check_port, Elbv2TargetHealth state)
{
    Elbv2TargetHealthDescription shown = { .target = elb_new(call, Elbv2TargetDescription),
                                           .target_health = elb_new(call, Elbv2TargetHealth) };

    *shown.target = (Elbv2TargetDescription){
        .id = target->id, .port = target->port, .has_port = true, .availability_zone = target->zone
    };
    *shown.target_health = state;
    shown.health_check_port = g_str_equal(check_port, "traffic-port")
                                  ? virga_arena_printf(call->arena, "%d", (int) target->port)
                                  : check_port;
    return shown;
}

static const VirgaTargetRow *
find(const VirgaTargetRow *targets, size_t count, const char *id, gint64 port)
{
    for (size_t i = 0; i < count; i++)
        if (g_str_equal(targets[i].id, id) && targets[i].port == port)
            return &targets[i];
    return NULL;
}

ELB_ACTION(describe_target_health, DescribeTargetHealth)
{
    Elbv2TargetHealthDescriptions *list = &response->target_health_descriptions;
    const Elbv2TargetGroup *shown;
    VirgaTargetGroupRow *group;
    VirgaTargetRow *targets;
    size_t count;

    if (!elb_lock_target_group(call, txn, request->target_group_arn, &group, error) ||
        !virga_target_list(txn, call->arena, group, &targets, &count, error))
        return false;
    shown = virga_wire_from_json(call->arena, &elbv2_target_group_shape, group->shown, error);
    if (!shown)
        return false;
    list->items = elb_array(call, Elbv2TargetHealthDescription, count + request->targets.count);
    for (size_t i = 0; i < count && request->targets.count == 0; i++)
        list->items[list->count++] = describe(call, group, &targets[i], shown->health_check_port,
                                              health_of(call, group, &targets[i]));
    for (size_t i = 0; i < request->targets.count; i++) {
        const Elbv2TargetDescription *wanted = &request->targets.items[i];
        VirgaTargetRow unknown = { .id = (char *) wanted->id,
                                   .port = wanted->has_port ? wanted->port : group->port };
        const VirgaTargetRow *target = find(targets, count, unknown.id, unknown.port);

        list->items[list->count++] =
            describe(call, group, target ? target : &unknown, shown->health_check_port,
                     target ? health_of(call, group, target)
                            : health("unused", "Target.NotRegistered",
                                     "Target is not registered to the target group"));
    }
    return true;
}
