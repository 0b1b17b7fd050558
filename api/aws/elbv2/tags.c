/* SPDX-License-Identifier: Apache-2.0 */
/* Tags of everything that has an ARN here. */
#include "common.h"

#include "core/tag.h"

#define RESOURCES_MAX 20

/* The id of any of the caller's resources, which is looked for. */
static bool
find(const VirgaCall *call, VirgaTxn *txn, const char *arn, const char **ret_id, GError **error)
{
    static const struct {
        const char *word;
        ElbKind kind;
    } words[] = {
        { ":loadbalancer/", ELB_BALANCER },
        { ":targetgroup/", ELB_TARGET_GROUP },
        { ":listener/", ELB_LISTENER },
        { ":listener-rule/", ELB_RULE },
    };
    VirgaTargetGroupRow *group;
    VirgaLoadBalancer *balancer;
    VirgaListenerRow *listener;
    VirgaRuleRow *rule;

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (!strstr(arn, words[i].word))
            continue;
        if (!elb_id(call, words[i].kind, arn, ret_id, error))
            return false;
        switch (words[i].kind) {
        case ELB_BALANCER:
            return elb_lock_balancer(call, txn, arn, &balancer, error);
        case ELB_TARGET_GROUP:
            return elb_lock_target_group(call, txn, arn, &group, error);
        case ELB_LISTENER:
            return elb_lock_listener(call, txn, arn, &listener, error);
        case ELB_RULE:
            return elb_lock_rule(call, txn, arn, &rule, error);
        }
    }
    return elb_fail(error, "ValidationError", "'%.300s' is not a valid ARN", arn);
}

static bool
check_count(size_t count, GError **error)
{
    return (count > 0 && count <= RESOURCES_MAX) ||
           elb_fail(error, "ValidationError", "Between 1 and %d resources must be specified",
                    RESOURCES_MAX);
}

ELB_ACTION(add_tags, AddTags)
{
    if (!check_count(request->resource_arns.count, error))
        return false;
    for (size_t i = 0; i < request->resource_arns.count; i++) {
        const char *id;

        if (!find(call, txn, request->resource_arns.items[i], &id, error) ||
            !elb_tags_set(call, txn, id, &request->tags, error))
            return false;
    }
    return true;
}

ELB_ACTION(remove_tags, RemoveTags)
{
    VirgaTag *tags = elb_array(call, VirgaTag, request->tag_keys.count);

    for (size_t i = 0; i < request->tag_keys.count; i++)
        tags[i].key = (char *) request->tag_keys.items[i];
    if (!check_count(request->resource_arns.count, error))
        return false;
    for (size_t i = 0; i < request->resource_arns.count; i++) {
        const char *id;

        if (!find(call, txn, request->resource_arns.items[i], &id, error) ||
            (request->tag_keys.count > 0 &&
             !virga_tag_unset(txn, call->account_id, id, tags, request->tag_keys.count, error)))
            return false;
    }
    return true;
}

static bool
describe(const VirgaCall *call, VirgaTxn *txn, const char *arn, Elbv2TagDescription *ret,
         GError **error)
{
    const char *ids[2] = { NULL };
    VirgaTag *tags;
    size_t count;

    if (!find(call, txn, arn, &ids[0], error) ||
        !virga_tag_list(txn, call->arena, call->account_id, ids, &tags, &count, error))
        return false;
    *ret = (Elbv2TagDescription){ arn, { elb_array(call, Elbv2Tag, count), count } };
    for (size_t i = 0; i < count; i++)
        ret->tags.items[i] = (Elbv2Tag){ tags[i].key, tags[i].value };
    return true;
}

ELB_ACTION(describe_tags, DescribeTags)
{
    Elbv2TagDescriptions *list = &response->tag_descriptions;

    if (!check_count(request->resource_arns.count, error))
        return false;
    list->items = elb_array(call, Elbv2TagDescription, request->resource_arns.count);
    for (; list->count < request->resource_arns.count; list->count++)
        if (!describe(call, txn, request->resource_arns.items[list->count],
                      &list->items[list->count], error))
            return false;
    return true;
}
