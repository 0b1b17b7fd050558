/* SPDX-License-Identifier: Apache-2.0 */
/* Which resources a request to Elastic Load Balancing is about: those whose ARNs it has at its top.
 * What it makes by name has an ARN that ends in "*".  Describe actions are about everything. */
#include "authorize-priv.h"

#include "core/tag.h"
#include "elbv2.h"

#include <string.h>

#define HEX_DIGITS 16

/* "loadbalancer/app/web/0123…" -> type and id */
static void
add(const VirgaCall *call, GArray *targets, const char *arn)
{
    static const struct {
        const char *word, *type, *prefix;
    } kinds[] = {
        { ":loadbalancer/", "loadbalancer", "elb" },
        { ":targetgroup/", "targetgroup", "tg" },
        { ":listener/", "listener", "lsn" },
        { ":listener-rule/", "listener-rule", "lsr" },
    };
    const char *hex = strrchr(arn, '/');
    Target target = { .arn = arn };

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (strstr(arn, kinds[i].word)) {
            target.type = kinds[i].type;
            if (hex && strlen(hex + 1) == HEX_DIGITS)
                target.id = virga_arena_printf(call->arena, "%s-0%s", kinds[i].prefix, hex + 1);
        }
    g_array_append_val(targets, target);
}

static void
add_made(const VirgaCall *call, GArray *targets, const char *type, const char *path,
         const char *name)
{
    Target target = { .arn = virga_arena_printf(call->arena,
                                                "arn:aws:elasticloadbalancing:%s:%s:%s/%s%s/*",
                                                call->region, call->account_id, type, path, name),
                      .type = type,
                      .created = true };

    g_array_append_val(targets, target);
}

static bool
find_targets(const VirgaCall *call, const void *request, GArray *targets, GError **error)
{
    const VirgaWireShape *input = call->wire->input;
    const char *name = request_text(call, request, "Name");

    if (g_str_has_prefix(call->wire->name, "Describe"))
        return true;
    if (g_str_equal(call->wire->name, "CreateTargetGroup")) {
        add_made(call, targets, "targetgroup", "", name);
        return true;
    }
    if (g_str_equal(call->wire->name, "CreateLoadBalancer")) {
        bool network = g_strcmp0(request_text(call, request, "Type"), "network") == 0;

        add_made(call, targets, "loadbalancer", network ? "net/" : "app/", name);
        return true;
    }
    for (guint i = 0; i < input->member_count; i++) {
        const VirgaWireMember *member = &input->members[i];
        const void *value = (const guint8 *) request + member->offset;
        const VirgaWireList *list = value;

        if (g_str_has_suffix(member->name, "Arn") && member->shape->type == VIRGA_WIRE_STRING &&
            *(const char *const *) value)
            add(call, targets, *(const char *const *) value);
        for (size_t n = 0; g_str_equal(member->name, "ResourceArns") && n < list->count; n++)
            add(call, targets, ((const char *const *) list->items)[n]);
    }
    if (g_str_equal(call->wire->name, "SetRulePriorities")) {
        const Elbv2SetRulePrioritiesRequest *pairs = request;

        for (size_t i = 0; i < pairs->rule_priorities.count; i++)
            if (pairs->rule_priorities.items[i].rule_arn)
                add(call, targets, pairs->rule_priorities.items[i].rule_arn);
    }
    return true;
}

/* Listeners and rules are made below what the request names. */
static const char *
tag_right(const VirgaCall *call, const void *request, const GArray *targets, const char *type,
          Target *ret)
{
    static const struct {
        const char *action, *parent, *parent_type, *type;
    } children[] = {
        { "CreateListener", "LoadBalancerArn", ":loadbalancer/", "listener" },
        { "CreateRule", "ListenerArn", ":listener/", "listener-rule" },
    };

    if (!g_str_has_prefix(call->wire->name, "Create"))
        return NULL;
    *ret = g_array_index(targets, Target, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(children); i++)
        if (g_str_equal(children[i].action, call->wire->name)) {
            const char *parent = request_text(call, request, children[i].parent);
            const char *rest = strstr(parent, children[i].parent_type);

            if (rest)
                ret->arn =
                    virga_arena_printf(call->arena, "%.*s:%s/%s/*", (int) (rest - parent), parent,
                                       children[i].type, rest + strlen(children[i].parent_type));
            *ret = (Target){ .arn = ret->arn, .type = children[i].type, .created = true };
        }
    return "elasticloadbalancing:AddTags";
}

const ServiceTargets targets_elbv2 = { "elasticloadbalancing", find_targets, request_tags,
                                       tag_right, resource_tags };
