/* SPDX-License-Identifier: Apache-2.0 */
#include "common.h"

#include "compute/host-wish.h"
#include "core/tag.h"
#include "network/plan.h"

#define PAGE_SIZE     400
#define NAME_LENGTH   32
#define HEX_DIGITS    16
#define ARN_PARTS_MAX 5

/* ---- actions ---- */

/* What other services call otherwise. */
static bool
in_own_words(const GError *reason, GError **error)
{
    static const struct {
        const char *noun;
        int code;
        const char *aws_code;
    } words[] = {
        { "security group", VIRGA_ERROR_NOT_FOUND, "InvalidSecurityGroup" },
        { "security group", VIRGA_ERROR_QUOTA, "InvalidConfigurationRequest" },
        { "address", VIRGA_ERROR_NOT_FOUND, "AllocationIdNotFound" },
        { "address association", VIRGA_ERROR_EXISTS, "ResourceInUse" },
        { "address association", VIRGA_ERROR_DENIED, "ResourceInUse" },
        { "internet gateway", VIRGA_ERROR_STATE, "InvalidSubnet" },
        { "network interface", VIRGA_ERROR_INVALID, "InvalidConfigurationRequest" },
        { "network interface", VIRGA_ERROR_EXISTS, "ResourceInUse" },
        { "subnet", VIRGA_ERROR_NOT_FOUND, "SubnetNotFound" },
        { "subnet", VIRGA_ERROR_CAPACITY, "InvalidSubnet" },
        { "tag", VIRGA_ERROR_QUOTA, "TooManyTags" },
        { "tag", VIRGA_ERROR_INVALID, "ValidationError" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        if (virga_error_is(reason, words[i].noun, words[i].code))
            return !elb_fail(error, words[i].aws_code, "%s", reason->message);
    return false;
}

bool
elb_transaction(VirgaCall *call, VirgaQueryWork work, const void *request, void *response,
                GError **error)
{
    g_autoptr(GError) reason = NULL;

    if (virga_query_transaction(call, work, request, response, &reason))
        return true;
    if (!in_own_words(reason, error))
        g_propagate_error(error, g_steal_pointer(&reason));
    return false;
}

bool
elb_check_plan(VirgaCall *call, VirgaTxn *txn, const char *vpc_id, GError **error)
{
    g_autofree char *text = virga_host_plan(txn, vpc_id, call->region, error);
    g_autoptr(VirgaVpcPlan) plan = NULL;
    g_autoptr(GError) reason = NULL;

    if (!text)
        return false;
    plan = virga_vpc_plan_from_text(text, &reason);
    return plan || elb_fail(error, "ValidationError", "%s", reason->message);
}

/* ---- ARNs ---- */

static const struct {
    const char *word, *prefix, *code, *what;
    unsigned parts; /* behind the word */
} kinds[] = {
    [ELB_BALANCER] = { "loadbalancer", "elb", "LoadBalancerNotFound", "load balancer", 3 },
    [ELB_TARGET_GROUP] = { "targetgroup", "tg", "TargetGroupNotFound", "target group", 2 },
    [ELB_LISTENER] = { "listener", "lsn", "ListenerNotFound", "listener", 4 },
    [ELB_RULE] = { "listener-rule", "lsr", "RuleNotFound", "rule", 5 },
};

/* "elb-00123456789abcdef" is shown as "0123456789abcdef". */
static const char *
hex_of(const char *id)
{
    return strchr(id, '-') + 2;
}

static const char *
kind_of_balancer(const char *type)
{
    return g_str_equal(type, "network") ? "net" : "app";
}

const char *
elb_balancer_arn(const VirgaCall *call, const char *name, const char *type, const char *id)
{
    return virga_arena_printf(
        call->arena, "arn:aws:elasticloadbalancing:%s:%s:loadbalancer/%s/%s/%s", call->region,
        call->account_id, kind_of_balancer(type), name, hex_of(id));
}

const char *
elb_target_group_arn(const VirgaCall *call, const char *name, const char *id)
{
    return virga_arena_printf(call->arena, "arn:aws:elasticloadbalancing:%s:%s:targetgroup/%s/%s",
                              call->region, call->account_id, name, hex_of(id));
}

const char *
elb_listener_arn(const VirgaCall *call, const char *name, const char *type, const char *balancer_id,
                 const char *id)
{
    return virga_arena_printf(
        call->arena, "arn:aws:elasticloadbalancing:%s:%s:listener/%s/%s/%s/%s", call->region,
        call->account_id, kind_of_balancer(type), name, hex_of(balancer_id), hex_of(id));
}

const char *
elb_rule_arn(const VirgaCall *call, const VirgaRuleRow *rule)
{
    return virga_arena_printf(
        call->arena, "arn:aws:elasticloadbalancing:%s:%s:listener-rule/%s/%s/%s/%s/%s",
        call->region, call->account_id, kind_of_balancer(rule->balancer_type), rule->balancer_name,
        hex_of(rule->balancer_id), hex_of(rule->listener_id), hex_of(rule->id));
}

bool
elb_fail_not_found(ElbKind kind, GError **error)
{
    return elb_fail(error, kinds[kind].code, "One or more %ss not found", kinds[kind].what);
}

bool
elb_id(const VirgaCall *call, ElbKind kind, const char *arn, const char **ret_id, GError **error)
{
    g_auto(GStrv) words = g_strsplit(arn, ":", 6);
    g_auto(GStrv) parts = NULL;
    const char *hex;

    if (g_strv_length(words) == 6)
        parts = g_strsplit(words[5], "/", ARN_PARTS_MAX + 2);
    if (!parts || !g_str_equal(words[0], "arn") || !g_str_equal(words[1], "aws") ||
        !g_str_equal(words[2], "elasticloadbalancing") ||
        g_strv_length(parts) != kinds[kind].parts + 1 || !g_str_equal(parts[0], kinds[kind].word))
        return elb_fail(error, "ValidationError", "'%.300s' is not a valid %s ARN", arn,
                        kinds[kind].what);
    hex = parts[kinds[kind].parts];
    if (!g_str_equal(words[3], call->region) || !g_str_equal(words[4], call->account_id) ||
        strlen(hex) != HEX_DIGITS || strspn(hex, "0123456789abcdef") != HEX_DIGITS)
        return elb_fail_not_found(kind, error);
    *ret_id = virga_arena_printf(call->arena, "%s-0%s", kinds[kind].prefix, hex);
    return true;
}

bool
elb_ids(const VirgaCall *call, ElbKind kind, const void *list, const char *const **ret,
        GError **error)
{
    const VirgaWireList *arns = list;
    const char **ids = elb_array(call, const char *, arns->count + 1);

    *ret = arns->count ? ids : NULL;
    for (size_t i = 0; i < arns->count; i++)
        if (!elb_id(call, kind, ((const char **) arns->items)[i], &ids[i], error))
            return false;
    return true;
}

const char *const *
elb_strings(const VirgaCall *call, const void *list)
{
    const VirgaWireList *texts = list;
    const char **strings = elb_array(call, const char *, texts->count + 1);

    for (size_t i = 0; i < texts->count; i++)
        strings[i] = ((const char **) texts->items)[i];
    return texts->count ? strings : NULL;
}

/* Rights are given by ARN: one whose id is another's than its name says names nothing. */
static bool
is_arn(ElbKind kind, const char *arn, const char *own, GError **error)
{
    return g_str_equal(arn, own) || elb_fail_not_found(kind, error);
}

bool
elb_lock_balancer(const VirgaCall *call, VirgaTxn *txn, const char *arn, VirgaLoadBalancer **ret,
                  GError **error)
{
    const char *id;

    return elb_id(call, ELB_BALANCER, arn, &id, error) &&
           virga_load_balancer_lock(txn, call->arena, call->account_id, id, ret, error) &&
           is_arn(ELB_BALANCER, arn, elb_balancer_arn(call, (*ret)->name, (*ret)->type, id), error);
}

bool
elb_lock_target_group(const VirgaCall *call, VirgaTxn *txn, const char *arn,
                      VirgaTargetGroupRow **ret, GError **error)
{
    const char *id;

    return elb_id(call, ELB_TARGET_GROUP, arn, &id, error) &&
           virga_target_group_lock(txn, call->arena, call->account_id, id, ret, error) &&
           is_arn(ELB_TARGET_GROUP, arn, elb_target_group_arn(call, (*ret)->name, id), error);
}

bool
elb_lock_listener(const VirgaCall *call, VirgaTxn *txn, const char *arn, VirgaListenerRow **ret,
                  GError **error)
{
    const char *id;

    return elb_id(call, ELB_LISTENER, arn, &id, error) &&
           virga_listener_lock(txn, call->arena, call->account_id, id, ret, error) &&
           is_arn(ELB_LISTENER, arn,
                  elb_listener_arn(call, (*ret)->balancer_name, (*ret)->balancer_type,
                                   (*ret)->balancer_id, id),
                  error);
}

bool
elb_lock_rule(const VirgaCall *call, VirgaTxn *txn, const char *arn, VirgaRuleRow **ret,
              GError **error)
{
    const char *id;

    return elb_id(call, ELB_RULE, arn, &id, error) &&
           virga_rule_lock(txn, call->arena, call->account_id, id, ret, error) &&
           is_arn(ELB_RULE, arn, elb_rule_arn(call, *ret), error);
}

bool
elb_check_name(const char *name, const char *what, GError **error)
{
    size_t length = strlen(name);

    if (length < 1 || length > NAME_LENGTH)
        return elb_fail(error, "ValidationError",
                        "%s name '%.100s' cannot be longer than '%d' "
                        "characters",
                        what, name, NAME_LENGTH);
    for (const char *at = name; *at; at++)
        if (!g_ascii_isalnum(*at) && *at != '-')
            return elb_fail(error, "ValidationError",
                            "%s name '%s' can only contain characters that are alphanumeric "
                            "characters and hyphens(-)",
                            what, name);
    if (name[0] == '-' || name[length - 1] == '-')
        return elb_fail(error, "ValidationError",
                        "%s name '%s' cannot begin or end with a hyphen(-)", what, name);
    return true;
}

/* ---- pages ---- */

bool
elb_page(const VirgaCall *call, VirgaWireList *list, size_t size, size_t offset, const char *marker,
         bool has_page_size, gint64 page_size, const char **ret_marker, GError **error)
{
    const VirgaPager *pager = ((const VirgaServices *) call->services)->pager;
    gint64 wanted;
    const char *after;
    size_t from = 0;

    if (!virga_page_size(has_page_size, page_size, 1, PAGE_SIZE, PAGE_SIZE, &wanted, error) ||
        !virga_page_key(pager, call->arena, call->account_id, call->action, marker, &after, error))
        return false;
    /* What has vanished since is no place to go on from: then from the beginning. */
    for (size_t i = 0; after && i < list->count; i++)
        if (g_strcmp0(*(const char **) (void *) ((guint8 *) list->items + i * size + offset),
                      after) == 0)
            from = i + 1;
    list->items = (guint8 *) list->items + from * size;
    list->count -= from;
    if (list->count > (size_t) wanted) {
        list->count = (size_t) wanted;
        *ret_marker = virga_page_token(
            pager, call->arena, call->account_id, call->action,
            *(const char **) (void *) ((guint8 *) list->items + (list->count - 1) * size + offset));
    }
    return true;
}

/* ---- tags ---- */

bool
elb_tags_set(const VirgaCall *call, VirgaTxn *txn, const char *id, const Elbv2TagList *tags,
             GError **error)
{
    VirgaTag *rows = elb_array(call, VirgaTag, tags->count);

    for (size_t i = 0; i < tags->count; i++) {
        rows[i].key = (char *) tags->items[i].key;
        rows[i].value = (char *) (tags->items[i].value ? tags->items[i].value : "");
        for (size_t j = 0; j < i; j++)
            if (g_str_equal(rows[j].key, rows[i].key))
                return elb_fail(error, "DuplicateTagKeys",
                                "The tag key '%s' was specified more than once", rows[i].key);
    }
    return tags->count == 0 || virga_tag_set(txn, call->account_id, id, rows, tags->count, error);
}
