/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions and actions of rules: checked, as hosts need them, and as answers show them. */
#include "common.h"

#include "network/address.h"
#include "network/plan.h"

#define ANY_VPC       "vpc-00000000000000000"
#define VALUES_MAX    5 /* of all conditions of a rule */
#define WILDCARDS_MAX 6
#define GROUPS_MAX    5
#define WEIGHT_MAX    999
#define STICKY_MAX_S  604800

typedef struct {
    const VirgaCall *call;
    VirgaTxn *txn;
    const VirgaListenerRow *listener;
    VirgaBalancerRule *plan;
    Elbv2Rule *shown;
    GPtrArray *group_ids; /* the arena's */
    unsigned values, wildcards;
} Reader;

/* ---- conditions ---- */

static bool
count_values(Reader *reader, char **values, GError **error)
{
    for (char **value = values; *value; value++) {
        reader->values++;
        for (const char *at = *value; *at; at++)
            reader->wildcards += *at == '*' || *at == '?';
    }
    if (reader->values > VALUES_MAX)
        return elb_fail(error, "ValidationError", "A rule can only have '%d' condition values",
                        VALUES_MAX);
    return reader->wildcards <= WILDCARDS_MAX ||
           elb_fail(error, "ValidationError", "A rule can only have '%d' condition wildcards",
                    WILDCARDS_MAX);
}

static bool
take_values(Reader *reader, VirgaBalancerCondition *plan, const Elbv2ListOfString *values,
            GError **error)
{
    const char *const *texts = elb_strings(reader->call, values);

    if (!texts)
        return elb_fail(error, "ValidationError", "A condition value must be specified");
    plan->values = g_strdupv((GStrv) texts);
    return count_values(reader, plan->values, error);
}

static bool
take_query(Reader *reader, VirgaBalancerCondition *plan,
           const Elbv2QueryStringKeyValuePairList *list, GError **error)
{
    g_autoptr(GStrvBuilder) keys = g_strv_builder_new(), values = g_strv_builder_new();

    if (list->count == 0)
        return elb_fail(error, "ValidationError", "A condition value must be specified");
    for (size_t i = 0; i < list->count; i++) {
        if (!list->items[i].value)
            return elb_fail(error, "ValidationError", "A query string condition needs a value");
        g_strv_builder_add(keys, list->items[i].key ? list->items[i].key : "");
        g_strv_builder_add(values, list->items[i].value);
    }
    plan->keys = g_strv_builder_end(keys);
    plan->values = g_strv_builder_end(values);
    return count_values(reader, plan->values, error);
}

/* Path and host may be given in two ways; answers show both. */
static bool
take_either(Reader *reader, VirgaBalancerCondition *plan, Elbv2RuleCondition *shown,
            Elbv2ListOfString *config, GError **error)
{
    if (shown->values.count > 0 && config->count > 0)
        return elb_fail(error, "ValidationError",
                        "You cannot specify both 'Values' and a condition config");
    if (config->count == 0)
        *config = shown->values;
    shown->values = *config;
    return take_values(reader, plan, config, error);
}

static bool
check_sources(const VirgaBalancerCondition *plan, GError **error)
{
    guint32 base;
    unsigned prefix;

    for (char **value = plan->values; *value; value++)
        if (!virga_cidr_parse(*value, &base, &prefix))
            return elb_fail(error, "ValidationError",
                            "Condition value '%.100s' must be an IPv4 CIDR block", *value);
    return true;
}

static VirgaBalancerCondition *
add_condition(Reader *reader, const char *field)
{
    return virga_balancer_rule_add_condition(reader->plan, field);
}

static bool
take_condition(Reader *reader, Elbv2RuleCondition *shown, GError **error)
{
    const char *field = shown->field ? shown->field : "";
    const VirgaCall *call = reader->call;

    if (shown->regex_values.count > 0)
        return elb_fail(error, "UnsupportedOperation",
                        "RegexValues are not supported by this cloud");
    if (g_str_equal(field, "path-pattern")) {
        if (!shown->path_pattern_config)
            shown->path_pattern_config = elb_new(call, Elbv2PathPatternConditionConfig);
        return take_either(reader, add_condition(reader, "path"), shown,
                           &shown->path_pattern_config->values, error);
    }
    if (g_str_equal(field, "host-header")) {
        if (!shown->host_header_config)
            shown->host_header_config = elb_new(call, Elbv2HostHeaderConditionConfig);
        return take_either(reader, add_condition(reader, "host"), shown,
                           &shown->host_header_config->values, error);
    }
    if (g_str_equal(field, "http-header") && shown->http_header_config &&
        shown->http_header_config->http_header_name) {
        VirgaBalancerCondition *plan = add_condition(reader, "header");

        plan->name = g_strdup(shown->http_header_config->http_header_name);
        return take_values(reader, plan, &shown->http_header_config->values, error);
    }
    if (g_str_equal(field, "query-string") && shown->query_string_config)
        return take_query(reader, add_condition(reader, "query"),
                          &shown->query_string_config->values, error);
    if (g_str_equal(field, "http-request-method") && shown->http_request_method_config)
        return take_values(reader, add_condition(reader, "method"),
                           &shown->http_request_method_config->values, error);
    if (g_str_equal(field, "source-ip") && shown->source_ip_config) {
        VirgaBalancerCondition *plan = add_condition(reader, "source-ip");

        return take_values(reader, plan, &shown->source_ip_config->values, error) &&
               check_sources(plan, error);
    }
    return elb_fail(error, "ValidationError",
                    "Condition field '%.64s' must be one of '[path-pattern, host-header, "
                    "http-header, http-request-method, query-string, source-ip]', with its config",
                    field);
}

static bool
take_conditions(Reader *reader, const Elbv2RuleConditionList *conditions, GError **error)
{
    Elbv2RuleCondition *copies = elb_array(reader->call, Elbv2RuleCondition, conditions->count);

    for (size_t i = 0; i < conditions->count; i++) {
        copies[i] = conditions->items[i];
        if (!take_condition(reader, &copies[i], error))
            return false;
    }
    reader->shown->conditions = (Elbv2RuleConditionList){ copies, conditions->count };
    return true;
}

/* ---- actions ---- */

/* What a target group's protocol may be behind a listener. */
static bool
is_compatible(const char *listener, const char *group)
{
    if (g_str_has_prefix(listener, "HTTP"))
        return g_str_has_prefix(group, "HTTP");
    if (g_str_equal(listener, "TCP"))
        return g_str_equal(group, "TCP") || g_str_equal(group, "TCP_UDP");
    if (g_str_equal(listener, "TLS"))
        return g_str_equal(group, "TCP") || g_str_equal(group, "TLS");
    if (g_str_equal(listener, "UDP"))
        return g_str_equal(group, "UDP") || g_str_equal(group, "TCP_UDP");
    return g_str_equal(listener, group);
}

static bool
take_group(Reader *reader, const char *arn, gint64 weight, GError **error)
{
    const VirgaListenerRow *listener = reader->listener;
    VirgaTargetGroupRow *group;

    if (!arn)
        return elb_fail(error, "ValidationError", "A target group ARN must be specified");
    if (weight < 0 || weight > WEIGHT_MAX)
        return elb_fail(error, "ValidationError",
                        "The weight of a target group must be between 0 "
                        "and %d",
                        WEIGHT_MAX);
    if (!elb_lock_target_group(reader->call, reader->txn, arn, &group, error))
        return false;
    if (!g_str_equal(group->vpc_id, listener->vpc_id))
        return elb_fail(error, "InvalidConfigurationRequest",
                        "The target group '%s' and the load balancer are in different VPCs", arn);
    if (!is_compatible(listener->protocol, group->protocol))
        return elb_fail(error, "IncompatibleProtocols",
                        "Listener protocol '%s' is not supported with a target group of protocol "
                        "'%s'",
                        listener->protocol, group->protocol);
    for (guint i = 0; i < reader->group_ids->len; i++)
        if (g_str_equal(reader->group_ids->pdata[i], group->id))
            return elb_fail(error, "InvalidLoadBalancerAction",
                            "A target group was specified more than once");
    g_ptr_array_add(reader->group_ids, group->id);
    virga_balancer_rule_add_forward(reader->plan, group->id, weight);
    return true;
}

static bool
take_stickiness(Reader *reader, const Elbv2ForwardActionConfig *config, GError **error)
{
    const Elbv2TargetGroupStickinessConfig *sticky = config->target_group_stickiness_config;

    if (!sticky || !sticky->enabled)
        return true;
    if (!sticky->has_duration_seconds || sticky->duration_seconds < 1 ||
        sticky->duration_seconds > STICKY_MAX_S)
        return elb_fail(error, "ValidationError",
                        "Target group stickiness duration must be between 1 and %d seconds",
                        STICKY_MAX_S);
    reader->plan->sticky_s = sticky->duration_seconds;
    return true;
}

static bool
take_forward(Reader *reader, Elbv2Action *shown, GError **error)
{
    const VirgaCall *call = reader->call;
    bool network = g_str_equal(reader->listener->balancer_type, "network");
    Elbv2ForwardActionConfig *config = elb_new(call, Elbv2ForwardActionConfig);
    Elbv2TargetGroupTuple *tuples;

    if (shown->forward_config)
        *config = *shown->forward_config;
    if (config->target_groups.count == 0) {
        tuples = elb_new(call, Elbv2TargetGroupTuple);
        tuples->target_group_arn = shown->target_group_arn;
        config->target_groups = (Elbv2TargetGroupList){ tuples, 1 };
    } else {
        tuples = elb_array(call, Elbv2TargetGroupTuple, config->target_groups.count);
        memcpy(tuples, config->target_groups.items, config->target_groups.count * sizeof *tuples);
        config->target_groups.items = tuples;
        if (shown->target_group_arn &&
            (config->target_groups.count != 1 ||
             g_strcmp0(shown->target_group_arn, tuples[0].target_group_arn) != 0))
            return elb_fail(error, "InvalidLoadBalancerAction",
                            "You cannot specify both a target group ARN and a different forward "
                            "config");
    }
    if (config->target_groups.count > (network ? 1 : GROUPS_MAX))
        return elb_fail(error, "TooManyTargetGroups",
                        "A forward action can only have '%d' target "
                        "groups",
                        network ? 1 : GROUPS_MAX);
    for (size_t i = 0; i < config->target_groups.count; i++) {
        if (!tuples[i].has_weight)
            tuples[i].weight = 1;
        tuples[i].has_weight = true;
        if (!take_group(reader, tuples[i].target_group_arn, tuples[i].weight, error))
            return false;
    }
    if (!config->target_group_stickiness_config) {
        config->target_group_stickiness_config = elb_new(call, Elbv2TargetGroupStickinessConfig);
        config->target_group_stickiness_config->has_enabled = true;
    }
    shown->forward_config = config;
    shown->target_group_arn = config->target_groups.count == 1 ? tuples[0].target_group_arn : NULL;
    return take_stickiness(reader, config, error);
}

static bool
take_redirect(Reader *reader, Elbv2Action *shown, GError **error)
{
    static const char *const protocols[] = { "HTTP", "HTTPS", "#{protocol}", NULL };
    Elbv2RedirectActionConfig *config = elb_new(reader->call, Elbv2RedirectActionConfig);
    VirgaBalancerRule *plan = reader->plan;
    guint64 port;

    if (!shown->redirect_config)
        return elb_fail(error, "ValidationError", "A redirect action needs a redirect config");
    *config = *shown->redirect_config;
    config->protocol = config->protocol ? config->protocol : "#{protocol}";
    config->host = config->host ? config->host : "#{host}";
    config->port = config->port ? config->port : "#{port}";
    config->path = config->path ? config->path : "/#{path}";
    config->query = config->query ? config->query : "#{query}";
    shown->redirect_config = config;
    if (!g_strv_contains(protocols, config->protocol))
        return elb_fail(error, "ValidationError", "'%.100s' is no protocol of a redirection",
                        config->protocol);
    if (!g_str_equal(config->port, "#{port}") &&
        !g_ascii_string_to_unsigned(config->port, 10, 1, 65535, &port, NULL))
        return elb_fail(error, "ValidationError", "'%.100s' is no port of a redirection",
                        config->port);
    if (config->path[0] != '/')
        return elb_fail(error, "ValidationError", "The path of a redirection must begin with '/'");
    if (g_str_equal(config->protocol, "#{protocol}") && g_str_equal(config->host, "#{host}") &&
        g_str_equal(config->port, "#{port}") && g_str_equal(config->path, "/#{path}"))
        return elb_fail(error, "InvalidLoadBalancerAction",
                        "The redirect configuration is not valid because it creates a loop");
    plan->status = g_str_equal(config->status_code, "HTTP_301") ? 301 : 302;
    plan->protocol = g_strdup(config->protocol);
    plan->host = g_strdup(config->host);
    plan->port = g_strdup(config->port);
    plan->path = g_strdup(config->path);
    plan->query = g_strdup(config->query);
    return true;
}

static bool
take_fixed_response(Reader *reader, const Elbv2Action *shown, GError **error)
{
    const Elbv2FixedResponseActionConfig *config = shown->fixed_response_config;
    guint64 status;

    if (!config)
        return elb_fail(error, "ValidationError",
                        "A fixed-response action needs a fixed response config");
    if (strlen(config->status_code) != 3 || !strchr("245", config->status_code[0]) ||
        !g_ascii_string_to_unsigned(config->status_code, 10, 200, 599, &status, NULL))
        return elb_fail(error, "ValidationError", "'%.100s' is no status code of a fixed response",
                        config->status_code);
    reader->plan->status = (gint64) status;
    reader->plan->body = g_strdup(config->message_body);
    reader->plan->content_type =
        g_strdup(config->content_type && *config->content_type ? config->content_type : NULL);
    return true;
}

static bool
take_action(Reader *reader, const Elbv2Actions *actions, GError **error)
{
    bool network = g_str_equal(reader->listener->balancer_type, "network");
    Elbv2Action *shown = elb_new(reader->call, Elbv2Action);

    for (size_t i = 0; i < actions->count; i++)
        if (g_str_has_prefix(actions->items[i].type, "authenticate-") ||
            g_str_equal(actions->items[i].type, "jwt-validation"))
            return elb_fail(error, "UnsupportedOperation",
                            "Actions of type '%s' are not supported by this cloud",
                            actions->items[i].type);
    if (actions->count != 1)
        return elb_fail(error, "TooManyActions",
                        "Exactly one action of type forward, redirect or fixed-response must be "
                        "specified");
    *shown = actions->items[0];
    if (network && !g_str_equal(shown->type, "forward"))
        return elb_fail(error, "InvalidLoadBalancerAction",
                        "The action type '%s' is not valid for network load balancers",
                        shown->type);
    reader->plan->action = g_strdup(shown->type);
    reader->shown->actions = (Elbv2Actions){ shown, 1 };
    if (g_str_equal(shown->type, "forward"))
        return take_forward(reader, shown, error);
    return g_str_equal(shown->type, "redirect") ? take_redirect(reader, shown, error)
                                                : take_fixed_response(reader, shown, error);
}

bool
elb_rule_read(const VirgaCall *call, VirgaTxn *txn, const VirgaListenerRow *listener,
              const Elbv2RuleConditionList *conditions, const Elbv2Actions *actions, ElbRule *ret,
              GError **error)
{
    g_autoptr(VirgaVpcPlan) plan = virga_vpc_plan_new(ANY_VPC);
    g_autoptr(GPtrArray) group_ids = g_ptr_array_new();
    g_autofree char *text = NULL;
    VirgaBalancerListener *its =
        virga_balancer_add_listener(virga_vpc_plan_add_balancer(plan, ""), "");
    Reader reader = { .call = call,
                      .txn = txn,
                      .listener = listener,
                      .plan = virga_balancer_listener_add_rule(its, 0, NULL),
                      .shown = elb_new(call, Elbv2Rule),
                      .group_ids = group_ids };

    if (!take_conditions(&reader, conditions, error) || !take_action(&reader, actions, error))
        return false;
    text = virga_balancer_rule_to_text(reader.plan);
    ret->plan = virga_arena_printf(call->arena, "%s", text);
    ret->shown = virga_wire_to_json(call->arena, &elbv2_rule_shape, reader.shown);
    ret->target_group_ids = elb_array(call, const char *, group_ids->len + 1);
    for (guint i = 0; i < group_ids->len; i++)
        ret->target_group_ids[i] = group_ids->pdata[i];
    return true;
}

bool
elb_rule_shown(const VirgaCall *call, const char *shown, Elbv2Rule *ret, GError **error)
{
    const Elbv2Rule *rule = virga_wire_from_json(call->arena, &elbv2_rule_shape, shown, error);

    if (!rule)
        return false;
    *ret = *rule;
    return true;
}
