/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of security groups: authorize, revoke, change, describe.
 *
 * A rule comes in one of three forms: permissions (a protocol with many sources), the older flat
 * parameters (one source), or, to revoke it, its id.  All become VirgaSecurityGroupRules. */
#include "security-groups.h"

/* The actions for both directions have the same members in different structs. */
typedef struct {
    bool is_egress;
    const char *group_id, *group_name;
    const Ec2IpPermissionList *permissions;
    const Ec2SecurityGroupRuleIdList *rule_ids;        /* revoke */
    const Ec2TagSpecificationList *tag_specifications; /* authorize */
    const char *protocol, *cidr, *source_name, *source_owner;
    bool has_from_port, has_to_port;
    gint64 from_port, to_port;
} Form;

#define FORM(request, egress)                                                                      \
    .is_egress = (egress), .group_id = (request)->group_id,                                        \
    .permissions = &(request)->ip_permissions, .protocol = (request)->ip_protocol,                 \
    .cidr = (request)->cidr_ip, .source_name = (request)->source_security_group_name,              \
    .source_owner = (request)->source_security_group_owner_id,                                     \
    .has_from_port = (request)->has_from_port, .has_to_port = (request)->has_to_port,              \
    .from_port = (request)->from_port, .to_port = (request)->to_port

typedef struct {
    const Form *form;
    Ec2NewTags tags;
    const char *group_id;
    VirgaSecurityGroupRule *rules;
    size_t count, room;
} Change;

static bool
is_flat(const Form *form)
{
    return form->protocol || form->cidr || form->source_name || form->source_owner ||
           form->has_from_port || form->has_to_port;
}

static bool
fail_missing(const Change *change, GError **error)
{
    return virga_api_fail(error, "MissingParameter", 400,
                          change->form->rule_ids
                              ? "Either 'ipPermissions' or 'securityGroupRuleIds' should be "
                                "provided."
                              : "The request must contain the parameter IpPermissions");
}

static VirgaSecurityGroupRule *
add_rule(Change *change, const char *protocol, gint64 from_port, gint64 to_port)
{
    VirgaSecurityGroupRule *rule = &change->rules[change->count++];

    g_assert(change->count <= change->room);
    *rule = (VirgaSecurityGroupRule){ .is_egress = change->form->is_egress,
                                      .protocol = (char *) protocol,
                                      .from_port = from_port,
                                      .to_port = to_port };
    return rule;
}

/* ---- permissions ---- */

static bool
read_peer(VirgaCall *call, VirgaTxn *txn, const Ec2UserIdGroupPair *pair,
          VirgaSecurityGroupRule *rule, GError **error)
{
    VirgaSecurityGroup *group;

    if (pair->user_id && *pair->user_id && !g_str_equal(pair->user_id, call->account_id))
        return virga_api_fail(error, "InvalidGroup.NotFound", 400,
                              "You may not reference security groups of another account");
    if (pair->vpc_peering_connection_id)
        return ec2_unsupported(error, "IpPermissions.Groups.VpcPeeringConnectionId");
    if (!pair->group_id && !pair->group_name)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter groupName or groupId");
    if (pair->group_id &&
        !virga_api_check_id(pair->group_id, "sg", "InvalidGroupId.Malformed", error))
        return false;
    group = ec2_security_group(call, txn, pair->group_id, pair->group_name, error);
    if (!group)
        return false;
    rule->peer_group_id = group->id;
    rule->description = (char *) pair->description;
    return true;
}

static bool
check_kinds(const Change *change, const Ec2IpPermission *permission, GError **error)
{
    bool other = permission->ipv6_ranges.count || permission->prefix_list_ids.count;

    if (other && change->form->rule_ids) /* revoke: there can be no such rule */
        return virga_api_fail(error, "InvalidPermission.NotFound", 400,
                              "The specified rule does not exist in this security group.");
    if (other)
        return ec2_unsupported(error, permission->ipv6_ranges.count
                                          ? "IpPermissions.Ipv6Ranges"
                                          : "IpPermissions.PrefixListIds");
    if (!permission->ip_protocol)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter IpPermissions.IpProtocol");
    return permission->ip_ranges.count || permission->user_id_group_pairs.count ||
           virga_api_fail(error, "MissingParameter", 400,
                          "The permission must contain a source or destination: IpRanges or "
                          "Groups");
}

static bool
read_permission(VirgaCall *call, VirgaTxn *txn, Change *change, const Ec2IpPermission *permission,
                GError **error)
{
    gint64 from = permission->has_from_port ? permission->from_port : -1;
    gint64 to = permission->has_to_port ? permission->to_port : -1;

    if (!check_kinds(change, permission, error))
        return false;
    for (size_t i = 0; i < permission->ip_ranges.count; i++) {
        VirgaSecurityGroupRule *rule = add_rule(change, permission->ip_protocol, from, to);

        rule->cidr = (char *) permission->ip_ranges.items[i].cidr_ip;
        rule->description = (char *) permission->ip_ranges.items[i].description;
    }
    for (size_t i = 0; i < permission->user_id_group_pairs.count; i++) {
        VirgaSecurityGroupRule *rule = add_rule(change, permission->ip_protocol, from, to);

        if (!read_peer(call, txn, &permission->user_id_group_pairs.items[i], rule, error))
            return false;
    }
    return true;
}

/* ---- flat parameters ---- */

/* A source group alone stands for all of TCP, UDP and ICMP, as it did before permissions. */
static bool
read_source_group(VirgaCall *call, VirgaTxn *txn, Change *change, GError **error)
{
    const Form *form = change->form;
    Ec2UserIdGroupPair pair = { .group_name = form->source_name, .user_id = form->source_owner };

    if (form->cidr || form->protocol || form->has_from_port || form->has_to_port)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "The parameter sourceSecurityGroupName cannot be used with cidrIp, "
                              "ipProtocol, fromPort or toPort");
    return read_peer(call, txn, &pair, add_rule(change, "tcp", 0, 65535), error) &&
           read_peer(call, txn, &pair, add_rule(change, "udp", 0, 65535), error) &&
           read_peer(call, txn, &pair, add_rule(change, "icmp", -1, -1), error);
}

static bool
read_flat(VirgaCall *call, VirgaTxn *txn, Change *change, GError **error)
{
    const Form *form = change->form;

    if (form->source_name || form->source_owner) {
        if (!form->source_name)
            return virga_api_fail(error, "MissingParameter", 400,
                                  "The request must contain the parameter "
                                  "sourceSecurityGroupName");
        return read_source_group(call, txn, change, error);
    }
    if (!form->protocol || !form->cidr)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter %s",
                              form->protocol ? "CidrIp" : "IpProtocol");
    add_rule(change, form->protocol, form->has_from_port ? form->from_port : -1,
             form->has_to_port ? form->to_port : -1)
        ->cidr = (char *) form->cidr;
    return true;
}

/* ---- either form ---- */

static bool
read_rules(VirgaCall *call, VirgaTxn *txn, Change *change, GError **error)
{
    const Ec2IpPermissionList *permissions = change->form->permissions;

    change->count = 0;
    change->room = 3;
    for (size_t i = 0; i < permissions->count; i++)
        change->room +=
            permissions->items[i].ip_ranges.count + permissions->items[i].user_id_group_pairs.count;
    change->rules = ec2_array(call, VirgaSecurityGroupRule, change->room);
    for (size_t i = 0; i < permissions->count; i++)
        if (!read_permission(call, txn, change, &permissions->items[i], error))
            return false;
    return !is_flat(change->form) || read_flat(call, txn, change, error);
}

static bool
check_form(const Change *change, GError **error)
{
    const Form *form = change->form;
    size_t forms = (form->permissions->count > 0) + is_flat(form) +
                   (form->rule_ids && form->rule_ids->count > 0);

    if (!ec2_check_group(form->group_id, form->group_name, error))
        return false;
    if (form->is_egress && is_flat(form))
        return ec2_unsupported(error, form->cidr          ? "CidrIp"
                                      : form->source_name ? "SourceSecurityGroupName"
                                                          : "IpProtocol");
    if (forms == 0)
        return fail_missing(change, error);
    return forms == 1 || virga_api_fail(error, "InvalidParameterCombination", 400,
                                        "Rules can be given in one form only: ipPermissions, "
                                        "securityGroupRuleIds or single parameters");
}

/* ---- authorize ---- */

static bool
authorize(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Change *change = data;
    VirgaSecurityGroup *group =
        ec2_security_group(call, txn, change->form->group_id, change->form->group_name, error);

    if (!group || !read_rules(call, txn, change, error) ||
        !virga_security_group_authorize(txn, call->arena, call->account_id, group->id,
                                        change->rules, change->count, error))
        return false;
    for (size_t i = 0; i < change->count; i++)
        if (!ec2_tags_set(call, txn, change->rules[i].id, &change->tags, error))
            return false;
    return true;
}

static void
show_rule(const VirgaCall *call, const VirgaSecurityGroupRule *rule, Ec2TagList tags,
          Ec2SecurityGroupRule *shown)
{
    *shown = (Ec2SecurityGroupRule){ .security_group_rule_id = rule->id,
                                     .group_id = rule->group_id,
                                     .group_owner_id = rule->account_id,
                                     .is_egress = rule->is_egress,
                                     .has_is_egress = true,
                                     .ip_protocol = rule->protocol,
                                     .from_port = rule->from_port,
                                     .has_from_port = true,
                                     .to_port = rule->to_port,
                                     .has_to_port = true,
                                     .cidr_ipv4 = rule->cidr,
                                     .description = rule->description,
                                     .tags = tags,
                                     .security_group_rule_arn =
                                         ec2_arn(call, "security-group-rule", rule->id) };
    if (rule->peer_group_id) {
        shown->referenced_group_info = ec2_new(call, Ec2ReferencedSecurityGroup);
        shown->referenced_group_info->group_id = rule->peer_group_id;
        shown->referenced_group_info->user_id = rule->account_id;
    }
}

static bool
run_authorize(VirgaCall *call, const Form *form, Ec2SecurityGroupRuleList *list, GError **error)
{
    Change change = { .form = form };

    if (!check_form(&change, error) ||
        !ec2_tags_for(call, form->tag_specifications, "security-group-rule", &change.tags, error) ||
        !ec2_transaction(call, authorize, &change, error))
        return false;
    list->items = ec2_array(call, Ec2SecurityGroupRule, change.count);
    for (; list->count < change.count; list->count++)
        show_rule(call, &change.rules[list->count], ec2_tags_shown(call, &change.tags),
                  &list->items[list->count]);
    return true;
}

bool
ec2_authorize_security_group_ingress(VirgaCall *call,
                                     const Ec2AuthorizeSecurityGroupIngressRequest *request,
                                     Ec2AuthorizeSecurityGroupIngressResponse *response,
                                     GError **error)
{
    Form form = { FORM(request, false), .group_name = request->group_name,
                  .tag_specifications = &request->tag_specifications };

    response->return_ = response->has_return_ = true;
    return run_authorize(call, &form, &response->security_group_rules, error);
}

bool
ec2_authorize_security_group_egress(VirgaCall *call,
                                    const Ec2AuthorizeSecurityGroupEgressRequest *request,
                                    Ec2AuthorizeSecurityGroupEgressResponse *response,
                                    GError **error)
{
    Form form = { FORM(request, true), .tag_specifications = &request->tag_specifications };

    response->return_ = response->has_return_ = true;
    return run_authorize(call, &form, &response->security_group_rules, error);
}

/* ---- revoke ---- */

static bool
same_rule(const VirgaSecurityGroupRule *a, const VirgaSecurityGroupRule *b)
{
    return a->is_egress == b->is_egress && g_str_equal(a->protocol, b->protocol) &&
           a->from_port == b->from_port && a->to_port == b->to_port &&
           g_strcmp0(a->cidr, b->cidr) == 0 && g_strcmp0(a->peer_group_id, b->peer_group_id) == 0;
}

/* Replaces the rules asked for by the group's own, which have ids. */
static bool
match_rules(VirgaCall *call, Change *change, const VirgaSecurityGroupRule *present, size_t count,
            GError **error)
{
    for (size_t i = 0; i < change->count; i++) {
        size_t at = 0;

        if (!virga_security_group_rule_normalise(&change->rules[i], call->arena, error))
            return false;
        while (at < count && !same_rule(&present[at], &change->rules[i]))
            at++;
        if (at == count)
            return virga_api_fail(error, "InvalidPermission.NotFound", 400,
                                  "The specified rule does not exist in this security group.");
        change->rules[i] = present[at];
    }
    return true;
}

static bool
match_ids(VirgaCall *call, Change *change, const VirgaSecurityGroupRule *present, size_t count,
          GError **error)
{
    const char *const *ids;

    if (!ec2_ids(call, change->form->rule_ids, "sgr", "InvalidSecurityGroupRuleId.Malformed", &ids,
                 error))
        return false;
    change->count = 0;
    change->rules = ec2_array(call, VirgaSecurityGroupRule, g_strv_length((char **) ids));
    for (; *ids; ids++) {
        size_t at = 0;

        while (at < count && (!g_str_equal(present[at].id, *ids) ||
                              present[at].is_egress != change->form->is_egress))
            at++;
        if (at == count)
            return virga_api_fail(error, "InvalidSecurityGroupRuleId.NotFound", 400,
                                  "The security group rule ID '%s' does not exist", *ids);
        change->rules[change->count++] = present[at];
    }
    return true;
}

static bool
revoke_rules(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Change *change = data;
    VirgaSecurityGroup *group =
        ec2_security_group(call, txn, change->form->group_id, change->form->group_name, error);
    const char *group_ids[] = { group ? group->id : NULL, NULL };
    VirgaSecurityGroupRule *present;
    size_t count;

    if (!group || !virga_security_group_rules(txn, call->arena, call->account_id, group_ids,
                                              &present, &count, error))
        return false;
    if (change->form->rule_ids->count > 0) {
        if (!match_ids(call, change, present, count, error))
            return false;
    } else if (!read_rules(call, txn, change, error) ||
               !match_rules(call, change, present, count, error)) {
        return false;
    }
    return virga_security_group_revoke(txn, call->account_id, group->id, change->form->is_egress,
                                       change->rules, change->count, error);
}

static bool
run_revoke(VirgaCall *call, const Form *form, Ec2RevokedSecurityGroupRuleList *list, GError **error)
{
    Change change = { .form = form };

    if (!check_form(&change, error) || !ec2_transaction(call, revoke_rules, &change, error))
        return false;
    list->items = ec2_array(call, Ec2RevokedSecurityGroupRule, change.count);
    for (; list->count < change.count; list->count++) {
        const VirgaSecurityGroupRule *rule = &change.rules[list->count];

        list->items[list->count] =
            (Ec2RevokedSecurityGroupRule){ .security_group_rule_id = rule->id,
                                           .group_id = rule->group_id,
                                           .is_egress = rule->is_egress,
                                           .has_is_egress = true,
                                           .ip_protocol = rule->protocol,
                                           .from_port = rule->from_port,
                                           .has_from_port = true,
                                           .to_port = rule->to_port,
                                           .has_to_port = true,
                                           .cidr_ipv4 = rule->cidr,
                                           .referenced_group_id = rule->peer_group_id,
                                           .description = rule->description };
    }
    return true;
}

bool
ec2_revoke_security_group_ingress(VirgaCall *call,
                                  const Ec2RevokeSecurityGroupIngressRequest *request,
                                  Ec2RevokeSecurityGroupIngressResponse *response, GError **error)
{
    Form form = { FORM(request, false), .group_name = request->group_name,
                  .rule_ids = &request->security_group_rule_ids };

    response->return_ = response->has_return_ = true;
    return run_revoke(call, &form, &response->revoked_security_group_rules, error);
}

bool
ec2_revoke_security_group_egress(VirgaCall *call,
                                 const Ec2RevokeSecurityGroupEgressRequest *request,
                                 Ec2RevokeSecurityGroupEgressResponse *response, GError **error)
{
    Form form = { FORM(request, true), .rule_ids = &request->security_group_rule_ids };

    response->return_ = response->has_return_ = true;
    return run_revoke(call, &form, &response->revoked_security_group_rules, error);
}

/* ---- change ---- */

/* New descriptions: of rules that permissions match, or that are named by their ids. */
typedef struct {
    Change rules;
    const Ec2SecurityGroupRuleDescriptionList *by_id;
} Describe;

static bool
match_descriptions(VirgaCall *call, Describe *asked, const VirgaSecurityGroupRule *present,
                   size_t count, GError **error)
{
    Change *change = &asked->rules;
    const char **descriptions;

    if (asked->by_id->count) {
        const Ec2SecurityGroupRuleDescriptionList *list = asked->by_id;
        const char **ids = ec2_array(call, const char *, list->count);
        Ec2SecurityGroupRuleIdList named = { ids, list->count };
        Form form = *change->form;

        for (size_t i = 0; i < list->count; i++)
            ids[i] =
                list->items[i].security_group_rule_id ? list->items[i].security_group_rule_id : "";
        form.rule_ids = &named;
        change->form = &form;
        if (!match_ids(call, change, present, count, error))
            return false;
        for (size_t i = 0; i < change->count; i++)
            for (size_t j = 0; j < list->count; j++)
                if (g_str_equal(ids[j], change->rules[i].id))
                    change->rules[i].description = (char *) list->items[j].description;
        return true;
    }
    descriptions = ec2_array(call, const char *, change->count);
    for (size_t i = 0; i < change->count; i++)
        descriptions[i] = change->rules[i].description;
    if (!match_rules(call, change, present, count, error))
        return false;
    for (size_t i = 0; i < change->count; i++)
        change->rules[i].description = (char *) descriptions[i];
    return true;
}

static bool
describe_rules(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Describe *asked = data;
    const Form *form = asked->rules.form;
    VirgaSecurityGroup *group =
        ec2_security_group(call, txn, form->group_id, form->group_name, error);
    const char *group_ids[] = { group ? group->id : NULL, NULL };
    VirgaSecurityGroupRule *present;
    size_t count;
    bool matched;

    if (!group ||
        !virga_security_group_rules(txn, call->arena, call->account_id, group_ids, &present, &count,
                                    error) ||
        !read_rules(call, txn, &asked->rules, error))
        return false;
    matched = match_descriptions(call, asked, present, count, error);
    asked->rules.form = form;
    return matched && virga_security_group_replace(txn, call->arena, call->account_id, group->id,
                                                   asked->rules.rules, asked->rules.count, error);
}

static bool
update_descriptions(VirgaCall *call, const Form *form,
                    const Ec2SecurityGroupRuleDescriptionList *by_id, GError **error)
{
    Describe asked = { .rules = { .form = form }, .by_id = by_id };

    if (!ec2_check_group(form->group_id, form->group_name, error))
        return false;
    if (form->permissions->count == 0 && by_id->count == 0)
        return virga_api_fail(error, "MissingParameter", 400,
                              "Either 'ipPermissions' or 'securityGroupRuleDescriptions' should be "
                              "provided.");
    if (form->permissions->count && by_id->count)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "The parameter ipPermissions cannot be used with the parameter "
                              "securityGroupRuleDescriptions");
    return ec2_transaction(call, describe_rules, &asked, error);
}

bool
ec2_update_security_group_rule_descriptions_ingress(
    VirgaCall *call, const Ec2UpdateSecurityGroupRuleDescriptionsIngressRequest *request,
    Ec2UpdateSecurityGroupRuleDescriptionsIngressResponse *response, GError **error)
{
    Form form = { .group_id = request->group_id,
                  .group_name = request->group_name,
                  .permissions = &request->ip_permissions };

    response->return_ = response->has_return_ = true;
    return update_descriptions(call, &form, &request->security_group_rule_descriptions, error);
}

bool
ec2_update_security_group_rule_descriptions_egress(
    VirgaCall *call, const Ec2UpdateSecurityGroupRuleDescriptionsEgressRequest *request,
    Ec2UpdateSecurityGroupRuleDescriptionsEgressResponse *response, GError **error)
{
    Form form = { .is_egress = true,
                  .group_id = request->group_id,
                  .group_name = request->group_name,
                  .permissions = &request->ip_permissions };

    response->return_ = response->has_return_ = true;
    return update_descriptions(call, &form, &request->security_group_rule_descriptions, error);
}

static bool
check_replacement(const Ec2SecurityGroupRuleUpdate *update, GError **error)
{
    const Ec2SecurityGroupRuleRequest *rule = update->security_group_rule;

    if (!virga_api_check_id(update->security_group_rule_id, "sgr",
                            "InvalidSecurityGroupRuleId.Malformed", error))
        return false;
    if (!rule || !rule->ip_protocol)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter "
                              "SecurityGroupRule.IpProtocol");
    if (rule->cidr_ipv6 || rule->prefix_list_id)
        return ec2_unsupported(error, rule->cidr_ipv6 ? "SecurityGroupRule.CidrIpv6"
                                                      : "SecurityGroupRule.PrefixListId");
    if ((rule->cidr_ipv4 != NULL) == (rule->referenced_group_id != NULL))
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "A security group rule must have exactly one of CidrIpv4, CidrIpv6, "
                              "PrefixListId and ReferencedGroupId");
    return !rule->referenced_group_id ||
           virga_api_check_id(rule->referenced_group_id, "sg", "InvalidGroupId.Malformed", error);
}

static bool
replace_rules(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Ec2ModifySecurityGroupRulesRequest *request = data;
    const Ec2SecurityGroupRuleUpdateList *list = &request->security_group_rules;
    VirgaSecurityGroup *group = ec2_security_group(call, txn, request->group_id, NULL, error);
    VirgaSecurityGroupRule *rules = ec2_array(call, VirgaSecurityGroupRule, list->count);

    if (!group)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        const Ec2SecurityGroupRuleRequest *asked = list->items[i].security_group_rule;

        rules[i] =
            (VirgaSecurityGroupRule){ .id = (char *) list->items[i].security_group_rule_id,
                                      .protocol = (char *) asked->ip_protocol,
                                      .from_port = asked->has_from_port ? asked->from_port : -1,
                                      .to_port = asked->has_to_port ? asked->to_port : -1,
                                      .cidr = (char *) asked->cidr_ipv4,
                                      .peer_group_id = (char *) asked->referenced_group_id,
                                      .description = (char *) asked->description };
        if (rules[i].peer_group_id &&
            !ec2_security_group(call, txn, rules[i].peer_group_id, NULL, error))
            return false;
    }
    return virga_security_group_replace(txn, call->arena, call->account_id, group->id, rules,
                                        list->count, error);
}

bool
ec2_modify_security_group_rules(VirgaCall *call, const Ec2ModifySecurityGroupRulesRequest *request,
                                Ec2ModifySecurityGroupRulesResponse *response, GError **error)
{
    if (!ec2_check_group(request->group_id, NULL, error))
        return false;
    for (size_t i = 0; i < request->security_group_rules.count; i++)
        if (!check_replacement(&request->security_group_rules.items[i], error))
            return false;
    response->return_ = response->has_return_ = true;
    return ec2_transaction(call, replace_rules, (gpointer) request, error);
}

/* ---- describe ---- */

static const VirgaFilterField rule_fields[] = {
    { "group-id", "GroupId" },
    { "security-group-rule-id", "SecurityGroupRuleId" },
};

static bool
read_described(VirgaCall *call, const char *const *ids, const char *const *group_ids,
               Ec2SecurityGroupRuleList *list, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    VirgaSecurityGroupRule *rows;
    Ec2Tags tags;
    size_t count;

    if (!txn ||
        !virga_security_group_rules(txn, call->arena, call->account_id, group_ids, &rows, &count,
                                    error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaSecurityGroupRule, id),
                         "InvalidSecurityGroupRuleId.NotFound", "security group rule ID", error) ||
        !ec2_tags_read(call, txn, NULL, "security-group-rule", &tags, error))
        return false;
    list->items = ec2_array(call, Ec2SecurityGroupRule, count);
    for (size_t i = 0; i < count; i++)
        if (!ids || g_strv_contains(ids, rows[i].id))
            show_rule(call, &rows[i], ec2_tags_of(&tags, rows[i].id), &list->items[list->count++]);
    return true;
}

bool
ec2_describe_security_group_rules(VirgaCall *call,
                                  const Ec2DescribeSecurityGroupRulesRequest *request,
                                  Ec2DescribeSecurityGroupRulesResponse *response, GError **error)
{
    const char *const *ids;
    VirgaFilter *filter;
    Ec2Page page;

    if (!ec2_ids(call, &request->security_group_rule_ids, "sgr",
                 "InvalidSecurityGroupRuleId.Malformed", &ids, error) ||
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error))
        return false;
    filter = virga_filter_new(call->arena, rule_fields, &ec2_security_group_rule_shape,
                              &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !read_described(call, ids, ids ? NULL : virga_filter_literals(filter, "group-id"),
                        &response->security_group_rules, error))
        return false;
    ec2_answer(call, filter, &page, &response->security_group_rules, &ec2_security_group_rule_shape,
               Ec2SecurityGroupRule, security_group_rule_id, &response->next_token);
    return true;
}
