/* SPDX-License-Identifier: Apache-2.0 */
/* What a valid load balancer in a plan is (see network/balancer.h).
 *
 * This is the last gate before a configuration: each text has a list of the characters that it may
 * consist of, and what is in none of the lists never gets further. */
#include "plan-priv.h"

#include "core/error.h"
#include "core/id.h"
#include "network/address.h"

#include <string.h>

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS  "0123456789"
#define URL     LETTERS DIGITS "-._~!$&()*+,;=:@/?%"

#define PATTERN_MAX     128
#define NAME_MAX_LENGTH 128
#define URL_MAX         1024
#define BODY_MAX        1024
#define CIPHERS_MAX     2048
#define SECONDS_MAX     604800
#define PRIORITY_MAX    50000
#define WEIGHT_MAX      999

static bool
fail(GError **error, const char *noun, const char *id, const char *what)
{
    return virga_fail(error, noun, VIRGA_ERROR_INVALID, "%s \"%s\" has a malformed %s", noun, id,
                      what);
}

/* 1 to 'max' characters of 'allowed'. */
static bool
consists_of(const char *text, const char *allowed, size_t max)
{
    size_t length = text ? strlen(text) : 0;
    return length > 0 && length <= max && strspn(text, allowed) == length;
}

static bool
is_one_of(const char *text, const char *const *values)
{
    return text && g_strv_contains(values, text);
}

static bool
is_between(gint64 number, gint64 min, gint64 max)
{
    return number >= min && number <= max;
}

/* Printable ASCII: the configuration has it as a regular expression of letters and numbers. */
static bool
is_pattern(const char *text)
{
    for (const char *at = text; *at; at++)
        if (*at < ' ' || *at > '~')
            return false;
    return *text && strlen(text) <= PATTERN_MAX;
}

static bool
is_value(const char *field, const char *value)
{
    guint32 base;
    unsigned prefix;

    if (g_str_equal(field, "source-ip"))
        return virga_cidr_parse(value, &base, &prefix);
    if (g_str_equal(field, "method"))
        return consists_of(value, LETTERS "-_", NAME_MAX_LENGTH);
    return is_pattern(value);
}

static bool
check_condition(const VirgaBalancerCondition *condition)
{
    static const char *const fields[] = { "path",   "host",      "header", "query",
                                          "method", "source-ip", NULL };
    bool is_header = g_str_equal(condition->field, "header");
    bool is_query = g_str_equal(condition->field, "query");
    guint keys = condition->keys ? g_strv_length(condition->keys) : 0;

    if (!is_one_of(condition->field, fields) || !condition->values || !condition->values[0] ||
        is_header != (condition->name != NULL) ||
        (is_header && !consists_of(condition->name, LETTERS DIGITS "-_", NAME_MAX_LENGTH)) ||
        (is_query ? keys != g_strv_length(condition->values) : keys > 0))
        return false;
    for (char **key = condition->keys; key && *key; key++)
        if (**key && !is_pattern(*key))
            return false;
    for (char **value = condition->values; *value; value++)
        if (!is_value(condition->field, *value))
            return false;
    return true;
}

/* NULL, or URL characters and the placeholders that a redirection may have. */
static bool
is_template(const char *text)
{
    static const char *const names[] = { "#{protocol}", "#{host}", "#{port}", "#{path}",
                                         "#{query}" };
    const char *at = text ? text : "";

    while (*at) {
        size_t plain = strspn(at, URL), name = 0;

        for (size_t i = 0; !plain && i < G_N_ELEMENTS(names); i++)
            if (g_str_has_prefix(at, names[i]))
                name = strlen(names[i]);
        if (!plain && !name)
            return false;
        at += plain + name;
    }
    return !text || strlen(text) <= URL_MAX;
}

static bool
check_action(const VirgaVpcPlan *plan, const VirgaBalancerRule *rule)
{
    static const char *const types[] = { "text/plain",       "text/css",
                                         "text/html",        "application/javascript",
                                         "application/json", NULL };

    if (g_str_equal(rule->action, "redirect"))
        return (rule->status == 301 || rule->status == 302) && is_template(rule->protocol) &&
               is_template(rule->host) && is_template(rule->port) && is_template(rule->path) &&
               is_template(rule->query);
    if (g_str_equal(rule->action, "fixed-response"))
        return is_between(rule->status, 200, 599) &&
               (!rule->content_type || is_one_of(rule->content_type, types)) &&
               (!rule->body || strlen(rule->body) <= BODY_MAX);
    if (!g_str_equal(rule->action, "forward"))
        return false;
    for (guint i = 0; i < rule->forwards->len; i++) {
        const VirgaBalancerForward *forward = rule->forwards->pdata[i];

        if (!virga_vpc_plan_target_group(plan, forward->target_group_id) ||
            !is_between(forward->weight, 0, WEIGHT_MAX))
            return false;
    }
    return is_between(rule->sticky_s, 0, SECONDS_MAX);
}

static bool
check_rules(const VirgaVpcPlan *plan, const VirgaBalancerListener *listener)
{
    g_autoptr(GHashTable) priorities = g_hash_table_new(NULL, NULL);

    for (guint i = 0; i < listener->rules->len; i++) {
        const VirgaBalancerRule *rule = listener->rules->pdata[i];

        if (!is_between(rule->priority, 0, PRIORITY_MAX) ||
            !g_hash_table_add(priorities, GINT_TO_POINTER((int) rule->priority)) ||
            (rule->priority == 0) != (rule->conditions->len == 0) || !check_action(plan, rule))
            return false;
        for (guint c = 0; c < rule->conditions->len; c++)
            if (!check_condition(rule->conditions->pdata[c]))
                return false;
    }
    return g_hash_table_contains(priorities, GINT_TO_POINTER(0));
}

static bool
check_tls(const VirgaBalancerListener *listener)
{
    static const char *const versions[] = { "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3", NULL };
    static const char *const alpn[] = { "h2", "http/1.1", NULL };
    bool wanted =
        g_str_equal(listener->protocol, "HTTPS") || g_str_equal(listener->protocol, "TLS");

    if (wanted != (listener->certificates->len > 0))
        return false;
    if (wanted && (!is_one_of(listener->tls_min, versions) ||
                   (listener->tls_max && !is_one_of(listener->tls_max, versions)) ||
                   (listener->tls_ciphers &&
                    !consists_of(listener->tls_ciphers, LETTERS DIGITS "-:_+!@=", CIPHERS_MAX))))
        return false;
    for (char **each = listener->alpn; each && *each; each++)
        if (!is_one_of(*each, alpn))
            return false;
    for (guint i = 0; i < listener->certificates->len; i++) {
        const VirgaBalancerCertificate *certificate = listener->certificates->pdata[i];

        if (!consists_of(certificate->id, LETTERS DIGITS "-", NAME_MAX_LENGTH))
            return false;
    }
    return true;
}

static const char *const protocols[] = { "HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP", NULL };

static bool
is_http(const char *protocol)
{
    return g_str_has_prefix(protocol, "HTTP");
}

static bool
check_listener(const VirgaVpcPlan *plan, const VirgaBalancer *balancer,
               const VirgaBalancerListener *listener, GError **error)
{
    bool application = g_str_equal(balancer->type, "application");

    if (!virga_id_is(listener->id, "lsn") || !is_one_of(listener->protocol, protocols) ||
        is_http(listener->protocol) != application || !is_between(listener->port, 1, 65535) ||
        !check_tls(listener))
        return fail(error, "listener", listener->id, "member");
    if (!check_rules(plan, listener) || (!application && listener->rules->len != 1))
        return fail(error, "listener", listener->id, "rule");
    return true;
}

static bool
check_balancer(const VirgaVpcPlan *plan, const VirgaBalancer *balancer, GError **error)
{
    static const char *const types[] = { "application", "network", NULL };
    static const char *const modes[] = { "append", "preserve", "remove", NULL };
    g_autoptr(GHashTable) ports = g_hash_table_new(NULL, NULL);

    if (!virga_id_is(balancer->id, "elb") || !is_one_of(balancer->type, types) ||
        (balancer->dns_name && !virga_plan_is_name(balancer->dns_name, true)) ||
        !is_between(balancer->idle_timeout_s, 1, SECONDS_MAX) ||
        (balancer->forwarded_for && !is_one_of(balancer->forwarded_for, modes)))
        return fail(error, "load balancer", balancer->id, "member");
    for (char **id = balancer->port_ids; id && *id; id++) {
        const VirgaVpcPort *port = virga_vpc_plan_port(plan, *id);

        if (!port || !port->of_balancer)
            return fail(error, "load balancer", balancer->id, "node");
    }
    for (guint i = 0; i < balancer->listeners->len; i++) {
        const VirgaBalancerListener *listener = balancer->listeners->pdata[i];

        /* TCP and UDP may share a port. */
        if (!check_listener(plan, balancer, listener, error))
            return false;
        for (int udp = 0; udp < 2; udp++) {
            const char *name = udp ? "UDP" : "TCP";
            bool has = udp ? strstr(listener->protocol, name) != NULL
                           : !g_str_equal(listener->protocol, "UDP");

            if (has && !g_hash_table_add(ports, GINT_TO_POINTER((int) listener->port * 2 + udp)))
                return fail(error, "listener", listener->id, "port");
        }
    }
    return true;
}

static bool
check_health(const VirgaTargetGroup *group)
{
    static const char *const kinds[] = { "HTTP", "HTTPS", "TCP", NULL };

    return is_one_of(group->health_protocol, kinds) && is_between(group->health_port, 0, 65535) &&
           is_between(group->health_interval_s, 1, 300) &&
           is_between(group->health_timeout_s, 1, 300) &&
           is_between(group->healthy_threshold, 1, 10) &&
           is_between(group->unhealthy_threshold, 1, 10) &&
           (!is_http(group->health_protocol) ||
            (consists_of(group->health_path, URL, URL_MAX) && *group->health_path == '/' &&
             consists_of(group->health_codes, DIGITS ",-", NAME_MAX_LENGTH)));
}

static bool
check_target_group(const VirgaTargetGroup *group, GError **error)
{
    static const char *const algorithms[] = { "roundrobin", "leastconn", "random", "source", NULL };
    static const char *const kinds[] = { "lb_cookie", "app_cookie", "source_ip", NULL };
    g_autoptr(GHashTable) targets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    guint32 address;

    if (!virga_id_is(group->id, "tg") || !is_one_of(group->protocol, protocols) ||
        !is_one_of(group->algorithm, algorithms) ||
        (group->sticky && !is_one_of(group->sticky, kinds)) ||
        (g_strcmp0(group->sticky, "app_cookie") == 0 &&
         !consists_of(group->cookie, LETTERS DIGITS "-_.", NAME_MAX_LENGTH)) ||
        !is_between(group->sticky_s, 0, SECONDS_MAX) || !is_between(group->slow_start_s, 0, 900) ||
        !check_health(group))
        return fail(error, "target group", group->id, "member");
    for (guint i = 0; i < group->targets->len; i++) {
        const VirgaBalancerTarget *target = group->targets->pdata[i];

        if (!virga_ipv4_parse(target->address, &address) || !is_between(target->port, 1, 65535) ||
            !g_hash_table_add(
                targets, g_strdup_printf("%s:%" G_GINT64_FORMAT, target->address, target->port)))
            return fail(error, "target group", group->id, "target");
    }
    return true;
}

/* Every id is there once. */
static bool
check_ids(const VirgaVpcPlan *plan, GError **error)
{
    g_autoptr(GHashTable) ids = g_hash_table_new(g_str_hash, g_str_equal);

    for (guint i = 0; i < plan->target_groups->len; i++)
        if (!g_hash_table_add(ids, ((VirgaTargetGroup *) plan->target_groups->pdata[i])->id))
            return fail(error, "vpc", plan->id, "target group");
    for (guint i = 0; i < plan->balancers->len; i++) {
        const VirgaBalancer *balancer = plan->balancers->pdata[i];

        if (!g_hash_table_add(ids, balancer->id))
            return fail(error, "vpc", plan->id, "load balancer");
        for (guint l = 0; l < balancer->listeners->len; l++)
            if (!g_hash_table_add(ids,
                                  ((VirgaBalancerListener *) balancer->listeners->pdata[l])->id))
                return fail(error, "load balancer", balancer->id, "listener");
        for (char **port = balancer->port_ids; port && *port; port++)
            if (!g_hash_table_add(ids, *port))
                return fail(error, "load balancer", balancer->id, "node");
    }
    return true;
}

bool
virga_vpc_plan_check_balancers(const VirgaVpcPlan *plan, GError **error)
{
    for (guint i = 0; i < plan->target_groups->len; i++)
        if (!check_target_group(plan->target_groups->pdata[i], error))
            return false;
    for (guint i = 0; i < plan->balancers->len; i++)
        if (!check_balancer(plan, plan->balancers->pdata[i], error))
            return false;
    return check_ids(plan, error);
}
