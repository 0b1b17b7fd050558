/* SPDX-License-Identifier: Apache-2.0 */
/* Load balancers in a plan: memory and wire format. */
#include "plan-priv.h"

static const VirgaField condition_fields[] = {
    { "field", VIRGA_FIELD_STRING, offsetof(VirgaBalancerCondition, field), true, NULL },
    { "name", VIRGA_FIELD_STRING, offsetof(VirgaBalancerCondition, name), false, NULL },
    { "keys", VIRGA_FIELD_STRINGS, offsetof(VirgaBalancerCondition, keys), false, NULL },
    { "values", VIRGA_FIELD_STRINGS, offsetof(VirgaBalancerCondition, values), true, NULL },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType condition_type = { "rule condition", sizeof(VirgaBalancerCondition),
                                                condition_fields };

static const VirgaField forward_fields[] = {
    { "target_group_id", VIRGA_FIELD_STRING, offsetof(VirgaBalancerForward, target_group_id), true,
      NULL },
    { "weight", VIRGA_FIELD_INTEGER, offsetof(VirgaBalancerForward, weight), true, NULL },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType forward_type = { "forward action", sizeof(VirgaBalancerForward),
                                              forward_fields };

static const VirgaField rule_fields[] = {
    { "priority", VIRGA_FIELD_INTEGER, offsetof(VirgaBalancerRule, priority), true, NULL },
    { "conditions", VIRGA_FIELD_RECORDS, offsetof(VirgaBalancerRule, conditions), false,
      &condition_type },
    { "action", VIRGA_FIELD_STRING, offsetof(VirgaBalancerRule, action), true, NULL },
    { "forwards", VIRGA_FIELD_RECORDS, offsetof(VirgaBalancerRule, forwards), false,
      &forward_type },
    { "sticky_s", VIRGA_FIELD_INTEGER, offsetof(VirgaBalancerRule, sticky_s), false, NULL },
    { "status", VIRGA_FIELD_INTEGER, offsetof(VirgaBalancerRule, status), false, NULL },
    { "protocol", VIRGA_FIELD_STRING, offsetof(VirgaBalancerRule, protocol), false, NULL },
    { "host", VIRGA_FIELD_STRING, offsetof(VirgaBalancerRule, host), false, NULL },
    { "port", VIRGA_FIELD_STRING, offsetof(VirgaBalancerRule, port), false, NULL },
    { "path", VIRGA_FIELD_STRING, offsetof(VirgaBalancerRule, path), false, NULL },
    { "query", VIRGA_FIELD_STRING, offsetof(VirgaBalancerRule, query), false, NULL },
    { "content_type", VIRGA_FIELD_STRING, offsetof(VirgaBalancerRule, content_type), false, NULL },
    { "body", VIRGA_FIELD_STRING, offsetof(VirgaBalancerRule, body), false, NULL },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType rule_type = { "listener rule", sizeof(VirgaBalancerRule),
                                           rule_fields };

static const VirgaField certificate_fields[] = {
    { "id", VIRGA_FIELD_STRING, offsetof(VirgaBalancerCertificate, id), true, NULL },
    { "pem", VIRGA_FIELD_STRING, offsetof(VirgaBalancerCertificate, pem), true, NULL },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType certificate_type = { "certificate", sizeof(VirgaBalancerCertificate),
                                                  certificate_fields };

static const VirgaField listener_fields[] = {
    { "id", VIRGA_FIELD_STRING, offsetof(VirgaBalancerListener, id), true, NULL },
    { "protocol", VIRGA_FIELD_STRING, offsetof(VirgaBalancerListener, protocol), true, NULL },
    { "port", VIRGA_FIELD_INTEGER, offsetof(VirgaBalancerListener, port), true, NULL },
    { "tls_min", VIRGA_FIELD_STRING, offsetof(VirgaBalancerListener, tls_min), false, NULL },
    { "tls_max", VIRGA_FIELD_STRING, offsetof(VirgaBalancerListener, tls_max), false, NULL },
    { "tls_ciphers", VIRGA_FIELD_STRING, offsetof(VirgaBalancerListener, tls_ciphers), false,
      NULL },
    { "alpn", VIRGA_FIELD_STRINGS, offsetof(VirgaBalancerListener, alpn), false, NULL },
    { "certificates", VIRGA_FIELD_RECORDS, offsetof(VirgaBalancerListener, certificates), false,
      &certificate_type },
    { "rules", VIRGA_FIELD_RECORDS, offsetof(VirgaBalancerListener, rules), true, &rule_type },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType listener_type = { "listener", sizeof(VirgaBalancerListener),
                                               listener_fields };

static const VirgaField balancer_fields[] = {
    { "id", VIRGA_FIELD_STRING, offsetof(VirgaBalancer, id), true, NULL },
    { "type", VIRGA_FIELD_STRING, offsetof(VirgaBalancer, type), true, NULL },
    { "dns_name", VIRGA_FIELD_STRING, offsetof(VirgaBalancer, dns_name), false, NULL },
    { "port_ids", VIRGA_FIELD_STRINGS, offsetof(VirgaBalancer, port_ids), true, NULL },
    { "idle_timeout_s", VIRGA_FIELD_INTEGER, offsetof(VirgaBalancer, idle_timeout_s), true, NULL },
    { "http2", VIRGA_FIELD_BOOL, offsetof(VirgaBalancer, http2), false, NULL },
    { "drop_invalid", VIRGA_FIELD_BOOL, offsetof(VirgaBalancer, drop_invalid), false, NULL },
    { "forwarded_for", VIRGA_FIELD_STRING, offsetof(VirgaBalancer, forwarded_for), false, NULL },
    { "client_port", VIRGA_FIELD_BOOL, offsetof(VirgaBalancer, client_port), false, NULL },
    { "listeners", VIRGA_FIELD_RECORDS, offsetof(VirgaBalancer, listeners), false, &listener_type },
    { NULL, 0, 0, false, NULL },
};
const VirgaRecordType virga_balancer_type = { "load balancer", sizeof(VirgaBalancer),
                                              balancer_fields };

static const VirgaField target_fields[] = {
    { "address", VIRGA_FIELD_STRING, offsetof(VirgaBalancerTarget, address), true, NULL },
    { "port", VIRGA_FIELD_INTEGER, offsetof(VirgaBalancerTarget, port), true, NULL },
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType target_type = { "target", sizeof(VirgaBalancerTarget), target_fields };

static const VirgaField target_group_fields[] = {
    { "id", VIRGA_FIELD_STRING, offsetof(VirgaTargetGroup, id), true, NULL },
    { "protocol", VIRGA_FIELD_STRING, offsetof(VirgaTargetGroup, protocol), true, NULL },
    { "http2", VIRGA_FIELD_BOOL, offsetof(VirgaTargetGroup, http2), false, NULL },
    { "algorithm", VIRGA_FIELD_STRING, offsetof(VirgaTargetGroup, algorithm), true, NULL },
    { "sticky", VIRGA_FIELD_STRING, offsetof(VirgaTargetGroup, sticky), false, NULL },
    { "cookie", VIRGA_FIELD_STRING, offsetof(VirgaTargetGroup, cookie), false, NULL },
    { "sticky_s", VIRGA_FIELD_INTEGER, offsetof(VirgaTargetGroup, sticky_s), false, NULL },
    { "slow_start_s", VIRGA_FIELD_INTEGER, offsetof(VirgaTargetGroup, slow_start_s), false, NULL },
    { "proxy_protocol", VIRGA_FIELD_BOOL, offsetof(VirgaTargetGroup, proxy_protocol), false, NULL },
    { "health_enabled", VIRGA_FIELD_BOOL, offsetof(VirgaTargetGroup, health_enabled), true, NULL },
    { "health_protocol", VIRGA_FIELD_STRING, offsetof(VirgaTargetGroup, health_protocol), true,
      NULL },
    { "health_port", VIRGA_FIELD_INTEGER, offsetof(VirgaTargetGroup, health_port), false, NULL },
    { "health_path", VIRGA_FIELD_STRING, offsetof(VirgaTargetGroup, health_path), false, NULL },
    { "health_codes", VIRGA_FIELD_STRING, offsetof(VirgaTargetGroup, health_codes), false, NULL },
    { "health_interval_s", VIRGA_FIELD_INTEGER, offsetof(VirgaTargetGroup, health_interval_s), true,
      NULL },
    { "health_timeout_s", VIRGA_FIELD_INTEGER, offsetof(VirgaTargetGroup, health_timeout_s), true,
      NULL },
    { "healthy_threshold", VIRGA_FIELD_INTEGER, offsetof(VirgaTargetGroup, healthy_threshold), true,
      NULL },
    { "unhealthy_threshold", VIRGA_FIELD_INTEGER, offsetof(VirgaTargetGroup, unhealthy_threshold),
      true, NULL },
    { "targets", VIRGA_FIELD_RECORDS, offsetof(VirgaTargetGroup, targets), false, &target_type },
    { NULL, 0, 0, false, NULL },
};
const VirgaRecordType virga_target_group_type = { "target group", sizeof(VirgaTargetGroup),
                                                  target_group_fields };

VirgaBalancer *
virga_vpc_plan_add_balancer(VirgaVpcPlan *plan, const char *id)
{
    VirgaBalancer *balancer = virga_record_add(plan->balancers, &virga_balancer_type);

    balancer->id = g_strdup(id);
    balancer->idle_timeout_s = 60;
    return balancer;
}

VirgaBalancerListener *
virga_balancer_add_listener(VirgaBalancer *balancer, const char *id)
{
    VirgaBalancerListener *listener = virga_record_add(balancer->listeners, &listener_type);

    listener->id = g_strdup(id);
    return listener;
}

VirgaBalancerRule *
virga_balancer_listener_add_rule(VirgaBalancerListener *listener, gint64 priority,
                                 const char *action)
{
    VirgaBalancerRule *rule = virga_record_add(listener->rules, &rule_type);

    rule->priority = priority;
    rule->action = g_strdup(action);
    return rule;
}

VirgaBalancerCondition *
virga_balancer_rule_add_condition(VirgaBalancerRule *rule, const char *field)
{
    VirgaBalancerCondition *condition = virga_record_add(rule->conditions, &condition_type);

    condition->field = g_strdup(field);
    return condition;
}

void
virga_balancer_rule_add_forward(VirgaBalancerRule *rule, const char *target_group_id, gint64 weight)
{
    VirgaBalancerForward *forward = virga_record_add(rule->forwards, &forward_type);

    forward->target_group_id = g_strdup(target_group_id);
    forward->weight = weight;
}

VirgaTargetGroup *
virga_vpc_plan_add_target_group(VirgaVpcPlan *plan, const char *id)
{
    VirgaTargetGroup *group = virga_record_add(plan->target_groups, &virga_target_group_type);

    group->id = g_strdup(id);
    return group;
}

void
virga_target_group_add(VirgaTargetGroup *group, const char *address, gint64 port)
{
    VirgaBalancerTarget *target = virga_record_add(group->targets, &target_type);

    target->address = g_strdup(address);
    target->port = port;
}

const VirgaTargetGroup *
virga_vpc_plan_target_group(const VirgaVpcPlan *plan, const char *id)
{
    for (guint i = 0; i < plan->target_groups->len; i++) {
        const VirgaTargetGroup *group = plan->target_groups->pdata[i];
        if (g_str_equal(group->id, id))
            return group;
    }
    return NULL;
}

void
virga_target_health_free(VirgaTargetHealth *health)
{
    if (!health)
        return;
    g_free(health->target_group_id);
    g_free(health->address);
    g_free(health->reason);
    g_free(health);
}

char *
virga_balancer_to_text(const VirgaBalancer *balancer)
{
    return virga_record_to_text(&virga_balancer_type, balancer);
}

char *
virga_balancer_listener_to_text(const VirgaBalancerListener *listener)
{
    return virga_record_to_text(&listener_type, listener);
}

char *
virga_balancer_rule_to_text(const VirgaBalancerRule *rule)
{
    return virga_record_to_text(&rule_type, rule);
}

char *
virga_target_group_to_text(const VirgaTargetGroup *group)
{
    return virga_record_to_text(&virga_target_group_type, group);
}
