/* SPDX-License-Identifier: Apache-2.0 */
/* The decision, and how a refusal is worded. */
#include "authorize-priv.h"

#include "api/errors.h"
#include "core/error.h"

#include <string.h>

/* Asked of nobody: the first two tell callers of themselves, the third decides for itself. */
static const char *const free_actions[] = { "sts:GetCallerIdentity", "sts:GetSessionToken",
                                            "sts:AssumeRole", NULL };

static const ServiceTargets *const services[] = { &targets_ec2, &targets_efs, &targets_elbv2,
                                                  &targets_iam };

static const ServiceTargets *
find_service(const VirgaCall *call)
{
    for (size_t i = 0; i < G_N_ELEMENTS(services); i++)
        if (g_str_equal(services[i]->name, call->service->name))
            return services[i];
    return NULL;
}

const char *
request_text(const VirgaCall *call, const void *request, const char *name)
{
    const VirgaWireMember *member = virga_wire_member(call->wire->input, name);

    return member && member->shape->type == VIRGA_WIRE_STRING
               ? *(const char *const *) (const void *) ((const guint8 *) request + member->offset)
               : NULL;
}

void
request_tags(const VirgaCall *call, const void *request, GArray *tags)
{
    const VirgaWireMember *member = virga_wire_member(call->wire->input, "Tags"), *key, *value;
    const VirgaWireShape *element;
    const VirgaWireList *list;

    if (!member || member->shape->type != VIRGA_WIRE_LIST ||
        member->shape->element->type != VIRGA_WIRE_STRUCT)
        return;
    element = member->shape->element;
    key = virga_wire_member(element, "Key");
    value = virga_wire_member(element, "Value");
    if (!key || !value)
        return;
    list = (const void *) ((const guint8 *) request + member->offset);
    for (size_t i = 0; i < list->count; i++) {
        const guint8 *item = (const guint8 *) list->items + i * element->size;
        RequestTag tag = { NULL, *(const char *const *) (item + key->offset),
                           *(const char *const *) (item + value->offset) };

        if (tag.key)
            g_array_append_val(tags, tag);
    }
}

bool
resource_tags(const VirgaCall *call, VirgaTxn *txn, const char *id, VirgaTag **ret,
              size_t *ret_count, GError **error)
{
    const char *const ids[] = { id, NULL };

    return virga_tag_list(txn, call->arena, call->account_id, ids, ret, ret_count, error);
}

/* ---- refusals ---- */

static bool
refuse(const VirgaCall *call, const char *action, const char *resource, const char *because,
       GError **error)
{
    g_autofree char *text =
        g_strdup_printf("User: %s is not authorized to perform: %s on resource: %s%s",
                        call->principal_arn, action, resource, because);

    if (call->service->protocol == VIRGA_WIRE_EC2)
        return virga_api_fail(error, "UnauthorizedOperation", 403,
                              "You are not authorized to perform this operation. %s", text);
    return virga_api_fail(error, "AccessDenied", 403, "%s", text);
}

bool
virga_call_refuse(const VirgaCall *call, const char *action, const char *resource, const char *why,
                  GError **error)
{
    g_autofree char *because =
        why ? g_strdup_printf(" because no %s policy allows the %s action", why, action)
            : g_strdup("");

    return refuse(call, action, resource, because, error);
}

/* ---- the decision ---- */

/* What stands against it: "identity-based", "session"; NULL: nothing does. */
typedef struct {
    const char *why;
    bool denied; /* by a statement, not by the lack of one */
} Verdict;

static VirgaPolicyDecision
ask_all(const VirgaPolicy *const *policies, size_t count, const VirgaPolicyRequest *request)
{
    VirgaPolicyDecision result = VIRGA_POLICY_SILENT;

    for (size_t i = 0; i < count; i++) {
        VirgaPolicyDecision one = virga_policy_decide(policies[i], request);

        if (one == VIRGA_POLICY_DENY)
            return one;
        if (one == VIRGA_POLICY_ALLOW)
            result = one;
    }
    return result;
}

static Verdict
judge(const VirgaCaller *caller, const VirgaPolicyRequest *request)
{
    const VirgaIamRights *rights = caller->rights->of;
    const struct {
        const VirgaPolicy *const *policies;
        size_t count;
        bool asked;
        const char *why;
    } layers[] = {
        { rights->policies, rights->policy_count, true, "identity-based" },
        { &rights->boundary, 1, rights->boundary != NULL, "permissions boundary" },
        { caller->session_policies, caller->session_policy_count, caller->session_policy_count > 0,
          "session" },
    };
    Verdict verdict = { 0 };

    for (size_t i = 0; i < G_N_ELEMENTS(layers); i++) {
        VirgaPolicyDecision decision;

        if (!layers[i].asked)
            continue;
        decision = ask_all(layers[i].policies, layers[i].count, request);
        if (decision == VIRGA_POLICY_DENY)
            return (Verdict){ layers[i].why, true };
        if (decision != VIRGA_POLICY_ALLOW && !verdict.why)
            verdict.why = layers[i].why;
    }
    return verdict;
}

/* Judges one action on one resource; false if a key could not be looked up. */
static bool
judge_target(Context *context, Verdict *ret, GError **error)
{
    const VirgaPolicyRequest request = { context->action, context->target->arn,
                                         &context->call->caller->principal, context_key, context };

    *ret = judge(context->call->caller, &request);
    if (!context->failure)
        return true;
    g_propagate_error(error, context->failure);
    return false;
}

static bool
check_target(Context *context, GError **error)
{
    const char *article, *noun;
    g_autofree char *because = NULL;
    Verdict verdict;

    if (!judge_target(context, &verdict, error))
        return false;
    if (!verdict.why)
        return true;
    noun = g_str_equal(verdict.why, "permissions boundary") ? "" : " policy";
    article = *verdict.why == 'i' ? "an" : "a";
    because = verdict.denied
                  ? g_strdup_printf(" with an explicit deny in %s %s%s", article, verdict.why, noun)
                  : g_strdup_printf(" because no %s%s allows the %s action", verdict.why, noun,
                                    context->action);
    return refuse(context->call, context->action, context->target->arn, because, error);
}

/* ---- what is asked for ---- */

bool
virga_call_authorize(const VirgaCall *call, const char *action, const char *resource,
                     const VirgaCallKey *keys, GError **error)
{
    const Target target = { .arn = resource };
    Context context = { .call = call, .action = action, .target = &target, .keys = keys };

    return !call->caller->rights || check_target(&context, error);
}

VirgaPolicyDecision
virga_call_decide(const VirgaCall *call, const char *action, const char *resource,
                  const VirgaCallKey *keys, GError **error)
{
    const Target target = { .arn = resource };
    Context context = { .call = call, .action = action, .target = &target, .keys = keys };
    Verdict verdict;

    if (!call->caller->rights)
        return VIRGA_POLICY_ALLOW;
    if (!judge_target(&context, &verdict, error))
        return VIRGA_POLICY_DENY;
    return verdict.denied ? VIRGA_POLICY_DENY
           : verdict.why  ? VIRGA_POLICY_SILENT
                          : VIRGA_POLICY_ALLOW;
}

bool
virga_call_ask(const VirgaCall *call, const VirgaPolicy *policy, bool stranger, const char *action,
               const char *resource, const VirgaCallKey *keys, VirgaPolicyDecision *ret,
               GError **error)
{
    const VirgaPolicyPrincipal nameless = { .account_id = call->account_id, .arn = "" };
    const Target target = { .arn = resource };
    Context context = { .call = call, .action = action, .target = &target, .keys = keys };
    const VirgaPolicyRequest request = { action, resource,
                                         stranger ? &nameless : &call->caller->principal,
                                         context_key, &context };

    *ret = virga_policy_decide(policy, &request);
    if (!context.failure)
        return true;
    g_propagate_error(error, context.failure);
    return false;
}

/* Tags that are set while something is made need a right of their own. */
static bool
check_tag_on_create(const VirgaCall *call, Context context, const GArray *targets, GError **error)
{
    const char *name = virga_arena_printf(call->arena, "%s:CreateAction", call->service->name);
    const VirgaCallKey keys[] = { { name, call->wire->name }, { NULL, NULL } };

    context.keys = keys;
    for (guint i = 0; i < context.tags->len; i++) { /* those of one type stand together */
        const RequestTag *tag = &g_array_index(context.tags, RequestTag, i);
        Context own = context;
        Target target;

        if (i > 0 && g_strcmp0(tag[0].type, tag[-1].type) == 0)
            continue;
        own.action = context.service->tag_right(call, context.request, targets, tag->type, &target);
        own.target = &target;
        if (own.action && !check_target(&own, error))
            return false;
    }
    return true;
}

bool
virga_call_authorize_request(const VirgaCall *call, const void *request, GError **error)
{
    const ServiceTargets *service;
    g_autoptr(GArray) targets = NULL, tags = NULL;
    const Target everything = { .arn = "*" };
    Context context = { .call = call, .request = request };

    if (!call->caller->rights)
        return true;
    context.action =
        virga_arena_printf(call->arena, "%s:%s", call->service->name, call->wire->name);
    if (g_strv_contains(free_actions, context.action))
        return true;
    context.service = service = find_service(call);
    targets = g_array_new(FALSE, TRUE, sizeof(Target));
    context.tags = tags = g_array_new(FALSE, TRUE, sizeof(RequestTag));
    if (service && !service->targets(call, request, targets, error))
        return false;
    if (service)
        service->request_tags(call, request, tags);
    if (targets->len == 0)
        g_array_append_val(targets, everything);
    for (guint i = 0; i < targets->len; i++) {
        Context own = context;

        own.target = &g_array_index(targets, Target, i);
        if (!check_target(&own, error))
            return false;
    }
    return check_tag_on_create(call, context, targets, error);
}
