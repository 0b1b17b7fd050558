/* SPDX-License-Identifier: Apache-2.0 */
/* Balancers, listeners and target groups as hosts need them (network/balancer.h). */
#include "common.h"

#include "network/plan.h"

#define ANY_VPC "vpc-00000000000000000" /* the parts alone are kept */

#define NETWORK_IDLE_S 350

static char *
keep(const VirgaCall *call, char *text)
{
    char *copy = virga_arena_printf(call->arena, "%s", text);

    g_free(text);
    return copy;
}

char *
elb_plan_of_balancer(const VirgaCall *call, const char *type, const char *attributes)
{
    const ElbAttribute *known = elb_balancer_attributes(type);
    g_autoptr(VirgaVpcPlan) plan = virga_vpc_plan_new(ANY_VPC);
    VirgaBalancer *balancer = virga_vpc_plan_add_balancer(plan, "");

    balancer->type = g_strdup(type);
    balancer->idle_timeout_s = NETWORK_IDLE_S;
    if (g_str_equal(type, "application")) {
        balancer->idle_timeout_s =
            elb_attribute_number(call, known, attributes, "idle_timeout.timeout_seconds");
        balancer->http2 =
            elb_attribute_is(call, known, attributes, "routing.http2.enabled", "true");
        balancer->drop_invalid = elb_attribute_is(
            call, known, attributes, "routing.http.drop_invalid_header_fields.enabled", "true");
        balancer->client_port = elb_attribute_is(call, known, attributes,
                                                 "routing.http.xff_client_port.enabled", "true");
        balancer->forwarded_for = g_strdup(
            elb_attribute(call, known, attributes, "routing.http.xff_header_processing.mode"));
    }
    return keep(call, virga_balancer_to_text(balancer));
}

/* ---- target groups ---- */

static bool
is_http(const char *protocol)
{
    return g_str_has_prefix(protocol, "HTTP");
}

/* "200", "200,202", "200-299" */
static bool
check_codes(const char *codes, bool application, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(codes, ",", 100);
    guint64 max = application ? 499 : 599;

    for (char **part = parts; *part; part++) {
        g_auto(GStrv) ends = g_strsplit(*part, "-", 3);
        guint64 low = 0, high = 0;
        guint count = g_strv_length(ends);
        bool good = (count == 1 || count == 2) &&
                    g_ascii_string_to_unsigned(ends[0], 10, 200, max, &low, NULL);

        high = low;
        if (good && count == 2)
            good = g_ascii_string_to_unsigned(ends[1], 10, low, max, &high, NULL);
        if (!good)
            return elb_fail(error, "ValidationError",
                            "Health check matcher HTTP code '%.100s' must be "
                            "within '200-%d' inclusive",
                            codes, (int) max);
    }
    return parts[0] != NULL || elb_fail(error, "ValidationError", "The matcher has no HTTP code");
}

static bool
check_health(const VirgaTargetGroupRow *group, const Elbv2TargetGroup *shown, GError **error)
{
    static const char *const kinds[] = { "HTTP", "HTTPS", "TCP", NULL };
    bool application = is_http(group->protocol);
    guint64 port;

    if (!g_strv_contains(kinds, shown->health_check_protocol) ||
        (application && !is_http(shown->health_check_protocol)))
        return elb_fail(error, "ValidationError",
                        "Health check protocol '%s' is not supported for target groups with the "
                        "protocol '%s'",
                        shown->health_check_protocol, group->protocol);
    if (!g_str_equal(shown->health_check_port, "traffic-port") &&
        !g_ascii_string_to_unsigned(shown->health_check_port, 10, 1, 65535, &port, NULL))
        return elb_fail(error, "ValidationError",
                        "Health check port '%.100s' must be in the range of 1-65535 or "
                        "'traffic-port'",
                        shown->health_check_port);
    if (shown->health_check_timeout_seconds >= shown->health_check_interval_seconds &&
        (application || shown->health_check_timeout_seconds > shown->health_check_interval_seconds))
        return elb_fail(error, "ValidationError",
                        "Health check timeout '%d' must be smaller than the interval '%d'",
                        (int) shown->health_check_timeout_seconds,
                        (int) shown->health_check_interval_seconds);
    if (!is_http(shown->health_check_protocol))
        return true;
    if (shown->health_check_path[0] != '/')
        return elb_fail(error, "ValidationError",
                        "Health check path '%.100s' must begin with a '/' "
                        "character",
                        shown->health_check_path);
    return check_codes(shown->matcher->http_code, application, error);
}

/* "-" for a protocol's own way of spreading. */
static const char *
algorithm_of(const VirgaCall *call, const VirgaTargetGroupRow *group)
{
    const char *type = elb_attribute(call, elb_target_group_attributes(group->protocol),
                                     group->attributes, "load_balancing.algorithm.type");

    if (g_str_equal(type, "least_outstanding_requests"))
        return "leastconn";
    return g_str_equal(type, "weighted_random") ? "random" : "roundrobin";
}

static bool
plan_stickiness(const VirgaCall *call, const VirgaTargetGroupRow *group, VirgaTargetGroup *plan,
                GError **error)
{
    const ElbAttribute *known = elb_target_group_attributes(group->protocol);
    const char *set = group->attributes;
    gint64 slow_start_s = elb_attribute_number(call, known, set, "slow_start.duration_seconds");

    if (slow_start_s > 0 && slow_start_s < 30)
        return elb_fail(error, "ValidationError",
                        "'slow_start.duration_seconds' must be 0 or between 30 and 900");
    plan->slow_start_s = slow_start_s;
    plan->proxy_protocol = elb_attribute_is(call, known, set, "proxy_protocol_v2.enabled", "true");
    if (!elb_attribute_is(call, known, set, "stickiness.enabled", "true"))
        return true;
    plan->sticky = g_strdup(elb_attribute(call, known, set, "stickiness.type"));
    plan->sticky_s =
        elb_attribute_number(call, known, set, "stickiness.lb_cookie.duration_seconds");
    plan->cookie = g_strdup(elb_attribute(call, known, set, "stickiness.app_cookie.cookie_name"));
    if (g_str_equal(plan->sticky, "app_cookie") &&
        (!*plan->cookie || g_str_has_prefix(plan->cookie, "AWSALB")))
        return elb_fail(
            error, "ValidationError",
            "'stickiness.app_cookie.cookie_name' must name a cookie of the application");
    return true;
}

bool
elb_plan_of_target_group(const VirgaCall *call, const VirgaTargetGroupRow *group,
                         const Elbv2TargetGroup *shown, char **ret_plan, GError **error)
{
    g_autoptr(VirgaVpcPlan) plan = virga_vpc_plan_new(ANY_VPC);
    VirgaTargetGroup *its = virga_vpc_plan_add_target_group(plan, "");
    bool http = is_http(shown->health_check_protocol);

    if (!check_health(group, shown, error) || !plan_stickiness(call, group, its, error))
        return false;
    its->protocol = g_strdup(group->protocol);
    its->http2 = g_strcmp0(group->version, "HTTP2") == 0;
    its->algorithm = g_strdup(algorithm_of(call, group));
    its->health_enabled = true;
    its->health_protocol = g_strdup(shown->health_check_protocol);
    its->health_port = g_ascii_strtoll(shown->health_check_port, NULL, 10); /* "traffic-port": 0 */
    its->health_path = http ? g_strdup(shown->health_check_path) : NULL;
    its->health_codes = http ? g_strdup(shown->matcher->http_code) : NULL;
    its->health_interval_s = shown->health_check_interval_seconds;
    its->health_timeout_s = shown->health_check_timeout_seconds;
    its->healthy_threshold = shown->healthy_threshold_count;
    its->unhealthy_threshold = shown->unhealthy_threshold_count;
    *ret_plan = keep(call, virga_target_group_to_text(its));
    return true;
}

/* ---- listeners ---- */

static char **
alpn_of(const VirgaListenerRow *listener)
{
    static const struct {
        const char *policy;
        const char *names;
    } policies[] = {
        { "HTTP1Only", "http/1.1" },
        { "HTTP2Only", "h2" },
        { "HTTP2Optional", "http/1.1 h2" },
        { "HTTP2Preferred", "h2 http/1.1" },
    };

    if (g_str_equal(listener->protocol, "HTTPS"))
        return g_strsplit("h2 http/1.1", " ", 0);
    for (size_t i = 0; i < G_N_ELEMENTS(policies); i++)
        if (g_strcmp0(listener->alpn_policy, policies[i].policy) == 0)
            return g_strsplit(policies[i].names, " ", 0);
    return NULL;
}

bool
elb_plan_of_listener(const VirgaCall *call, const VirgaListenerRow *listener, char **ret_plan,
                     GError **error)
{
    g_autoptr(VirgaVpcPlan) plan = virga_vpc_plan_new(ANY_VPC);
    VirgaBalancerListener *its =
        virga_balancer_add_listener(virga_vpc_plan_add_balancer(plan, ""), "");
    const ElbSslPolicy *policy = listener->ssl_policy ? elb_ssl_policy(listener->ssl_policy) : NULL;

    if (listener->ssl_policy && !policy)
        return elb_fail(error, "SSLPolicyNotFound", "SSL policy '%.100s' not found",
                        listener->ssl_policy);
    if (policy) {
        its->tls_min = g_strdup(policy->min);
        its->tls_max = g_strdup(policy->max);
        its->tls_ciphers = g_strdup(policy->ciphers);
        its->alpn = alpn_of(listener);
    }
    its->protocol = g_strdup(listener->protocol);
    its->port = listener->port;
    *ret_plan = keep(call, virga_balancer_listener_to_text(its));
    return true;
}
