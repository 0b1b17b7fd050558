/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes: what there is, what each may be, and what it is if nobody has set it.
 *
 * One that stands for something that the balancers do not do may have its default only. */
#include "common.h"

#include "core/json.h"

struct ElbAttribute {
    const char *key, *value;  /* its default */
    const char *const *among; /* the values that it may have; NULL: a number or a text */
    gint64 min, max;          /* of a number; both 0: any text of 'text_max' */
    size_t text_max;
};

static const char *const yes_no[] = { "true", "false", NULL };
static const char *const only_true[] = { "true", NULL };
static const char *const only_false[] = { "false", NULL };
static const char *const nothing[] = { "", NULL };
static const char *const off[] = { "off", NULL };
static const char *const zero[] = { "0", NULL };
static const char *const one[] = { "1", NULL };

#define NO_LOGS                                                                                    \
    { "access_logs.s3.enabled", "false", only_false }, { "access_logs.s3.bucket", "", nothing },   \
        { "access_logs.s3.prefix", "", nothing },                                                  \
        { "ipv6.deny_all_igw_traffic", "false", only_false },                                      \
        { "zonal_shift.config.enabled", "false", only_false },                                     \
    {                                                                                              \
        "deletion_protection.enabled", "false", yes_no                                             \
    }

const ElbAttribute *
elb_balancer_attributes(const char *type)
{
    static const char *const modes[] = { "append", "preserve", "remove", NULL };
    static const char *const desync[] = { "defensive", NULL };
    static const char *const routing[] = { "any_availability_zone", NULL };
    static const char *const hour[] = { "3600", NULL };
    static const ElbAttribute application[] = {
        NO_LOGS,
        { "connection_logs.s3.enabled", "false", only_false },
        { "connection_logs.s3.bucket", "", nothing },
        { "connection_logs.s3.prefix", "", nothing },
        { "health_check_logs.s3.enabled", "false", only_false },
        { "health_check_logs.s3.bucket", "", nothing },
        { "health_check_logs.s3.prefix", "", nothing },
        { "idle_timeout.timeout_seconds", "60", NULL, 1, 4000 },
        { "client_keep_alive.seconds", "3600", hour },
        { "load_balancing.cross_zone.enabled", "true", only_true },
        { "routing.http.desync_mitigation_mode", "defensive", desync },
        { "routing.http.drop_invalid_header_fields.enabled", "false", yes_no },
        { "routing.http.preserve_host_header.enabled", "false", yes_no },
        { "routing.http.x_amzn_tls_version_and_cipher_suite.enabled", "false", only_false },
        { "routing.http.xff_client_port.enabled", "false", yes_no },
        { "routing.http.xff_header_processing.mode", "append", modes },
        { "routing.http2.enabled", "true", yes_no },
        { "waf.fail_open.enabled", "false", only_false },
        { NULL, NULL, NULL },
    };
    static const ElbAttribute network[] = {
        NO_LOGS,
        { "load_balancing.cross_zone.enabled", "false", yes_no },
        { "dns_record.client_routing_policy", "any_availability_zone", routing },
        { "secondary_ips.auto_assigned.per_subnet", "0", zero },
        { NULL, NULL, NULL },
    };

    return g_str_equal(type, "network") ? network : application;
}

#define ALL_GROUPS                                                                                 \
    { "deregistration_delay.timeout_seconds", "300", NULL, 0, 3600 },                              \
        { "stickiness.enabled", "false", yes_no },                                                 \
        { "load_balancing.cross_zone.enabled", "use_load_balancer_configuration", cross_zone },    \
        { "target_group_health.dns_failover.minimum_healthy_targets.count", "1", one },            \
        { "target_group_health.dns_failover.minimum_healthy_targets.percentage", "off", off },     \
        { "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "1", one }, \
    {                                                                                              \
        "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "off",   \
            off                                                                                    \
    }

const ElbAttribute *
elb_target_group_attributes(const char *protocol)
{
    static const char *const cross_zone[] = { "use_load_balancer_configuration", "true", NULL };
    static const char *const algorithms[] = { "round_robin", "least_outstanding_requests",
                                              "weighted_random", NULL };
    static const char *const cookies[] = { "lb_cookie", "app_cookie", NULL };
    static const char *const source[] = { "source_ip", NULL };
    static const ElbAttribute http[] = {
        ALL_GROUPS,
        { "stickiness.type", "lb_cookie", cookies },
        { "stickiness.lb_cookie.duration_seconds", "86400", NULL, 1, 604800 },
        { "stickiness.app_cookie.cookie_name", "", NULL, 0, 0, 128 },
        { "stickiness.app_cookie.duration_seconds", "86400", NULL, 1, 604800 },
        { "slow_start.duration_seconds", "0", NULL, 0, 900 },
        { "load_balancing.algorithm.type", "round_robin", algorithms },
        { "load_balancing.algorithm.anomaly_mitigation", "off", off },
        { NULL, NULL, NULL },
    };
    static const ElbAttribute other[] = {
        ALL_GROUPS,
        { "stickiness.type", "source_ip", source },
        { "deregistration_delay.connection_termination.enabled", "false", only_false },
        { "preserve_client_ip.enabled", "false", only_false },
        { "proxy_protocol_v2.enabled", "false", yes_no },
        { "target_health_state.unhealthy.connection_termination.enabled", "true", only_true },
        { "target_health_state.unhealthy.draining_interval_seconds", "0", zero },
        { NULL, NULL, NULL },
    };

    return g_str_has_prefix(protocol, "HTTP") ? http : other;
}

static const ElbAttribute *
listener_attributes(const char *protocol)
{
    static const char *const idle[] = { "350", NULL };
    static const ElbAttribute http[] = {
        { "routing.http.response.server.enabled", "true", only_true },
        { NULL, NULL, NULL },
    };
    static const ElbAttribute tcp[] = {
        { "tcp.idle_timeout.seconds", "350", idle },
        { NULL, NULL, NULL },
    };
    static const ElbAttribute none[] = { { NULL, NULL, NULL } };

    if (g_str_has_prefix(protocol, "HTTP"))
        return http;
    return g_str_equal(protocol, "TCP") ? tcp : none;
}

/* ---- values ---- */

static JsonObject *
read_set(const char *text, JsonNode **ret_node)
{
    *ret_node = virga_json_parse(text ? text : "{}", -1, NULL);
    return *ret_node && JSON_NODE_HOLDS_OBJECT(*ret_node) ? json_node_get_object(*ret_node) : NULL;
}

const char *
elb_attribute(const VirgaCall *call, const ElbAttribute *known, const char *set, const char *key)
{
    g_autoptr(JsonNode) node = NULL;
    JsonObject *object = read_set(set, &node);

    for (; known->key; known++)
        if (g_str_equal(known->key, key))
            return virga_arena_printf(
                call->arena, "%s",
                object ? json_object_get_string_member_with_default(object, key, known->value)
                       : known->value);
    return "";
}

gint64
elb_attribute_number(const VirgaCall *call, const ElbAttribute *known, const char *set,
                     const char *key)
{
    return g_ascii_strtoll(elb_attribute(call, known, set, key), NULL, 10);
}

bool
elb_attribute_is(const VirgaCall *call, const ElbAttribute *known, const char *set, const char *key,
                 const char *value)
{
    return g_str_equal(elb_attribute(call, known, set, key), value);
}

static bool
check_value(const ElbAttribute *attribute, const char *value, GError **error)
{
    gint64 number;
    bool good;

    if (attribute->among)
        good = g_strv_contains(attribute->among, value);
    else if (attribute->text_max)
        good = strlen(value) <= attribute->text_max &&
               strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") ==
                   strlen(value);
    else
        good = g_ascii_string_to_signed(value, 10, attribute->min, attribute->max, &number, NULL);
    if (good)
        return true;
    if (attribute->among && attribute->among[1] == NULL)
        return elb_fail(error, "UnsupportedOperation",
                        "The attribute '%s' cannot be changed from '%s' in this cloud",
                        attribute->key, attribute->value);
    return elb_fail(error, "ValidationError", "'%.100s' is not a valid value for attribute '%s'",
                    value, attribute->key);
}

/* What a wire's attribute looks like: key and value. */
typedef Elbv2LoadBalancerAttribute Pair;
G_STATIC_ASSERT(sizeof(Pair) == sizeof(Elbv2TargetGroupAttribute));
G_STATIC_ASSERT(sizeof(Pair) == sizeof(Elbv2ListenerAttribute));

/* 'set' with the request's pairs; the arena's. */
static bool
merge(const VirgaCall *call, const ElbAttribute *known, const char *set, const VirgaWireList *pairs,
      char **ret, GError **error)
{
    g_autoptr(JsonNode) node = NULL;
    JsonObject *object = read_set(set, &node);
    g_autofree char *text = NULL;

    for (size_t i = 0; i < pairs->count; i++) {
        const Pair *pair = &((const Pair *) pairs->items)[i];
        const ElbAttribute *attribute = known;

        while (attribute->key && g_strcmp0(attribute->key, pair->key) != 0)
            attribute++;
        if (!attribute->key)
            return elb_fail(error, "ValidationError",
                            "The attribute '%.100s' is not recognized or not supported here",
                            pair->key ? pair->key : "");
        if (!check_value(attribute, pair->value ? pair->value : "", error))
            return false;
        json_object_set_string_member(object, attribute->key, pair->value ? pair->value : "");
    }
    text = json_to_string(node, FALSE);
    *ret = virga_arena_printf(call->arena, "%s", text);
    return true;
}

static void
show(const VirgaCall *call, const ElbAttribute *known, const char *set, VirgaWireList *ret)
{
    size_t count = 0;
    Pair *pairs;

    while (known[count].key)
        count++;
    pairs = elb_array(call, Pair, count);
    for (size_t i = 0; i < count; i++)
        pairs[i] = (Pair){ known[i].key, elb_attribute(call, known, set, known[i].key) };
    *ret = (VirgaWireList){ pairs, count };
}

#define PAIRS(list) ((VirgaWireList *) (void *) (list))

/* ---- actions ---- */

ELB_ACTION(describe_load_balancer_attributes, DescribeLoadBalancerAttributes)
{
    VirgaLoadBalancer *balancer;

    if (!elb_lock_balancer(call, txn, request->load_balancer_arn, &balancer, error))
        return false;
    show(call, elb_balancer_attributes(balancer->type), balancer->attributes,
         PAIRS(&response->attributes));
    return true;
}

ELB_ACTION(modify_load_balancer_attributes, ModifyLoadBalancerAttributes)
{
    VirgaLoadBalancer *balancer;
    const ElbAttribute *known;

    if (!elb_lock_balancer(call, txn, request->load_balancer_arn, &balancer, error))
        return false;
    known = elb_balancer_attributes(balancer->type);
    if (!merge(call, known, balancer->attributes, PAIRS(&request->attributes),
               &balancer->attributes, error) ||
        !virga_load_balancer_set_attributes(
            txn, balancer, balancer->attributes,
            elb_plan_of_balancer(call, balancer->type, balancer->attributes), error) ||
        !elb_check_plan(call, txn, balancer->vpc_id, error))
        return false;
    show(call, known, balancer->attributes, PAIRS(&response->attributes));
    return true;
}

ELB_ACTION(describe_target_group_attributes, DescribeTargetGroupAttributes)
{
    VirgaTargetGroupRow *group;

    if (!elb_lock_target_group(call, txn, request->target_group_arn, &group, error))
        return false;
    show(call, elb_target_group_attributes(group->protocol), group->attributes,
         PAIRS(&response->attributes));
    return true;
}

ELB_ACTION(modify_target_group_attributes, ModifyTargetGroupAttributes)
{
    VirgaTargetGroupRow *group;
    Elbv2TargetGroup *shown;
    const ElbAttribute *known;
    char *plan;

    if (!elb_lock_target_group(call, txn, request->target_group_arn, &group, error))
        return false;
    known = elb_target_group_attributes(group->protocol);
    shown = virga_wire_from_json(call->arena, &elbv2_target_group_shape, group->shown, error);
    if (!shown ||
        !merge(call, known, group->attributes, PAIRS(&request->attributes), &group->attributes,
               error) ||
        !elb_plan_of_target_group(call, group, shown, &plan, error) ||
        !virga_target_group_update(txn, group, plan, error) ||
        !elb_check_plan(call, txn, group->vpc_id, error))
        return false;
    show(call, known, group->attributes, PAIRS(&response->attributes));
    return true;
}

ELB_ACTION(describe_listener_attributes, DescribeListenerAttributes)
{
    VirgaListenerRow *listener;

    if (!elb_lock_listener(call, txn, request->listener_arn, &listener, error))
        return false;
    show(call, listener_attributes(listener->protocol), listener->attributes,
         PAIRS(&response->attributes));
    return true;
}

ELB_ACTION(modify_listener_attributes, ModifyListenerAttributes)
{
    VirgaListenerRow *listener;
    const ElbAttribute *known;
    char *plan;

    if (!elb_lock_listener(call, txn, request->listener_arn, &listener, error))
        return false;
    known = listener_attributes(listener->protocol);
    if (!merge(call, known, listener->attributes, PAIRS(&request->attributes),
               &listener->attributes, error) ||
        !elb_plan_of_listener(call, listener, &plan, error) ||
        !virga_listener_update(txn, listener, plan, error))
        return false;
    show(call, known, listener->attributes, PAIRS(&response->attributes));
    return true;
}
