/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of listeners. */
#include "common.h"

#include "core/id.h"
#include "network/vpc.h"

#define RULES_MAX    100 /* of a listener, the default not counted */
#define PRIORITY_MAX 50000

static bool
show(const VirgaCall *call, const VirgaRuleRow *row, Elbv2Rule *ret, GError **error)
{
    if (!elb_rule_shown(call, row->shown, ret, error))
        return false;
    ret->rule_arn = elb_rule_arn(call, row);
    ret->priority =
        row->priority ? virga_arena_printf(call->arena, "%d", (int) row->priority) : "default";
    ret->is_default = row->priority == 0;
    ret->has_is_default = true;
    return true;
}

static bool
answer_with(const VirgaCall *call, const VirgaRuleRow *rows, size_t count, Elbv2Rules *ret,
            GError **error)
{
    ret->items = elb_array(call, Elbv2Rule, count);
    for (ret->count = 0; ret->count < count; ret->count++)
        if (!show(call, &rows[ret->count], &ret->items[ret->count], error))
            return false;
    return true;
}

static bool
finish(VirgaCall *call, VirgaTxn *txn, const char *vpc_id, const char *id, Elbv2Rules *ret,
       GError **error)
{
    VirgaRuleRow *row;

    return virga_vpc_touch(txn, vpc_id, error) && elb_check_plan(call, txn, vpc_id, error) &&
           virga_rule_lock(txn, call->arena, call->account_id, id, &row, error) &&
           answer_with(call, row, 1, ret, error);
}

static bool
check_transforms(const Elbv2RuleTransformList *transforms, GError **error)
{
    return transforms->count == 0 ||
           elb_fail(error, "UnsupportedOperation", "Transforms are not supported by this cloud");
}

ELB_ACTION(create_rule, CreateRule)
{
    g_autofree char *id = virga_id_new("lsr");
    VirgaListenerRow *listener;
    VirgaRuleRow *others;
    ElbRule rule;
    size_t count;

    if (!check_transforms(&request->transforms, error) ||
        !elb_lock_listener(call, txn, request->listener_arn, &listener, error) ||
        !virga_rule_list(txn, call->arena, call->account_id, listener->id, NULL, &others, &count,
                         error))
        return false;
    if (g_str_equal(listener->balancer_type, "network"))
        return elb_fail(error, "UnsupportedOperation",
                        "Listeners of network load balancers have no rules but the default");
    if (request->priority < 1 || request->priority > PRIORITY_MAX)
        return elb_fail(error, "ValidationError", "The priority must be between 1 and %d",
                        PRIORITY_MAX);
    if (request->conditions.count == 0)
        return elb_fail(error, "ValidationError", "A rule must have at least one condition");
    if (count > RULES_MAX)
        return elb_fail(error, "TooManyRules",
                        "You've reached the limit on the number of rules per load balancer");
    return elb_rule_read(call, txn, listener, &request->conditions, &request->actions, &rule,
                         error) &&
           virga_rule_create(txn, id, listener->id, request->priority, rule.shown, rule.plan,
                             rule.target_group_ids, error) &&
           elb_tags_set(call, txn, id, &request->tags, error) &&
           finish(call, txn, listener->vpc_id, id, &response->rules, error);
}

ELB_ACTION(modify_rule, ModifyRule)
{
    VirgaListenerRow *listener;
    VirgaRuleRow *row;
    Elbv2Rule now;
    ElbRule rule;

    if (!check_transforms(&request->transforms, error) ||
        !elb_lock_rule(call, txn, request->rule_arn, &row, error))
        return false;
    if (row->priority == 0)
        return elb_fail(error, "OperationNotPermitted", "Default rule '%s' cannot be modified",
                        request->rule_arn);
    if (!virga_listener_lock(txn, call->arena, call->account_id, row->listener_id, &listener,
                             error) ||
        !elb_rule_shown(call, row->shown, &now, error))
        return false;
    for (size_t i = 0; i < now.conditions.count; i++) /* shown in both ways, read in one */
        now.conditions.items[i].values.count = 0;
    if (request->conditions.count > 0)
        now.conditions = request->conditions;
    if (request->actions.count > 0)
        now.actions = request->actions;
    return elb_rule_read(call, txn, listener, &now.conditions, &now.actions, &rule, error) &&
           virga_rule_update(txn, row->id, rule.shown, rule.plan, rule.target_group_ids, error) &&
           finish(call, txn, row->vpc_id, row->id, &response->rules, error);
}

ELB_ACTION(delete_rule, DeleteRule)
{
    VirgaRuleRow *row;

    if (!elb_lock_rule(call, txn, request->rule_arn, &row, error))
        return false;
    if (row->priority == 0)
        return elb_fail(error, "OperationNotPermitted", "Default rule '%s' cannot be deleted",
                        request->rule_arn);
    return virga_rule_delete(txn, row->id, error) && virga_vpc_touch(txn, row->vpc_id, error);
}

ELB_ACTION(describe_rules, DescribeRules)
{
    const char *const *ids;
    VirgaListenerRow *listener;
    const char *listener_id = NULL;
    VirgaRuleRow *rules;
    size_t count;

    if (!request->listener_arn == !request->rule_arns.count)
        return elb_fail(error, "ValidationError",
                        "You must specify either listener ARN or rule ARNs");
    if (request->listener_arn) {
        if (!elb_lock_listener(call, txn, request->listener_arn, &listener, error))
            return false;
        listener_id = listener->id;
    }
    if (!elb_ids(call, ELB_RULE, &request->rule_arns, &ids, error) ||
        !virga_rule_list(txn, call->arena, call->account_id, listener_id, ids, &rules, &count,
                         error))
        return false;
    if (count < request->rule_arns.count)
        return elb_fail_not_found(ELB_RULE, error);
    return answer_with(call, rules, count, &response->rules, error) &&
           ELB_PAGE(call, request, response, rules, Elbv2Rule, rule_arn, error);
}

ELB_ACTION(set_rule_priorities, SetRulePriorities)
{
    const char *vpc_id = NULL;
    Elbv2Rules *rules = &response->rules;

    for (size_t i = 0; i < request->rule_priorities.count; i++) {
        const Elbv2RulePriorityPair *pair = &request->rule_priorities.items[i];
        VirgaRuleRow *row;

        if (!pair->rule_arn || pair->priority < 1 || pair->priority > PRIORITY_MAX)
            return elb_fail(error, "ValidationError",
                            "Each rule needs an ARN and a priority between 1 and %d", PRIORITY_MAX);
        if (!elb_lock_rule(call, txn, pair->rule_arn, &row, error))
            return false;
        if (row->priority == 0)
            return elb_fail(error, "OperationNotPermitted",
                            "The priority of the default rule cannot be modified");
        vpc_id = row->vpc_id;
        if (!virga_rule_set_priority(txn, row->id, pair->priority, error))
            return false;
    }
    if (!vpc_id)
        return elb_fail(error, "ValidationError", "At least one rule must be specified");
    if (!virga_rule_check_priorities(txn, error) || !virga_vpc_touch(txn, vpc_id, error))
        return false;
    rules->items = elb_array(call, Elbv2Rule, request->rule_priorities.count);
    for (size_t i = 0; i < request->rule_priorities.count; i++) {
        VirgaRuleRow *row;

        if (!elb_lock_rule(call, txn, request->rule_priorities.items[i].rule_arn, &row, error) ||
            !show(call, row, &rules->items[rules->count++], error))
            return false;
    }
    return true;
}
