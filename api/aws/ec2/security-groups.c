/* SPDX-License-Identifier: Apache-2.0 */
/* Security groups.  Their rules: security-group-rules.c. */
#include "security-groups.h"

#include "network/vpc.h"

#define TEXT_CHARS 255

static const VirgaFilterField group_fields[] = {
    { "description", "Description" },
    { "egress.ip-permission.cidr", "IpPermissionsEgress.IpRanges.CidrIp" },
    { "egress.ip-permission.from-port", "IpPermissionsEgress.FromPort" },
    { "egress.ip-permission.group-id", "IpPermissionsEgress.UserIdGroupPairs.GroupId" },
    { "egress.ip-permission.group-name", "IpPermissionsEgress.UserIdGroupPairs.GroupName" },
    { "egress.ip-permission.ipv6-cidr", "IpPermissionsEgress.Ipv6Ranges.CidrIpv6" },
    { "egress.ip-permission.prefix-list-id", "IpPermissionsEgress.PrefixListIds.PrefixListId" },
    { "egress.ip-permission.protocol", "IpPermissionsEgress.IpProtocol" },
    { "egress.ip-permission.to-port", "IpPermissionsEgress.ToPort" },
    { "egress.ip-permission.user-id", "IpPermissionsEgress.UserIdGroupPairs.UserId" },
    { "group-id", "GroupId" },
    { "group-name", "GroupName" },
    { "ip-permission.cidr", "IpPermissions.IpRanges.CidrIp" },
    { "ip-permission.from-port", "IpPermissions.FromPort" },
    { "ip-permission.group-id", "IpPermissions.UserIdGroupPairs.GroupId" },
    { "ip-permission.group-name", "IpPermissions.UserIdGroupPairs.GroupName" },
    { "ip-permission.ipv6-cidr", "IpPermissions.Ipv6Ranges.CidrIpv6" },
    { "ip-permission.prefix-list-id", "IpPermissions.PrefixListIds.PrefixListId" },
    { "ip-permission.protocol", "IpPermissions.IpProtocol" },
    { "ip-permission.to-port", "IpPermissions.ToPort" },
    { "ip-permission.user-id", "IpPermissions.UserIdGroupPairs.UserId" },
    { "owner-id", "OwnerId" },
    { "vpc-id", "VpcId" },
};

/* ---- making ---- */

static bool
check_text(const char *text, const char *what, GError **error)
{
    static const char others[] = " ._-:/()#,@[]+=&;{}!$*";
    gsize length = strlen(text);
    bool valid = length > 0 && length <= TEXT_CHARS;

    for (const char *c = text; *c && valid; c++)
        valid = g_ascii_isalnum(*c) || strchr(others, *c);
    return valid || virga_api_fail(error, "InvalidParameterValue", 400,
                                   "Invalid security group %s. Valid %ss are strings less than 256 "
                                   "characters from the following set:  a-zA-Z0-9. "
                                   "_-:/()#,@[]+=&;{}!$*",
                                   what, what);
}

typedef struct {
    const Ec2CreateSecurityGroupRequest *request;
    Ec2NewTags tags;
    char *id;
} Create;

static bool
create(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Create *asked = data;
    const char *vpc_id = asked->request->vpc_id;

    if (!vpc_id)
        vpc_id = virga_vpc_default(txn, call->arena, call->account_id, error);
    return vpc_id &&
           virga_security_group_create(txn, call->arena, call->account_id, vpc_id,
                                       asked->request->group_name, asked->request->description,
                                       &asked->id, error) &&
           ec2_tags_set(call, txn, asked->id, &asked->tags, error);
}

bool
ec2_create_security_group(VirgaCall *call, const Ec2CreateSecurityGroupRequest *request,
                          Ec2CreateSecurityGroupResponse *response, GError **error)
{
    Create asked = { .request = request };

    if (!check_text(request->group_name, "name", error) ||
        !check_text(request->description, "description", error))
        return false;
    if (g_str_has_prefix(request->group_name, "sg-"))
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Invalid security group name. Group names may not be in the format "
                              "sg-*.");
    if (g_ascii_strcasecmp(request->group_name, "default") == 0)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Cannot use reserved security group name: %s", request->group_name);
    if ((request->vpc_id &&
         !virga_api_check_id(request->vpc_id, "vpc", "InvalidVpcID.Malformed", error)) ||
        !ec2_tags_for(call, &request->tag_specifications, "security-group", &asked.tags, error) ||
        !ec2_transaction(call, create, &asked, error))
        return false;
    response->group_id = asked.id;
    response->tags = ec2_tags_shown(call, &asked.tags);
    response->security_group_arn = ec2_arn(call, "security-group", asked.id);
    return true;
}

/* ---- finding and deleting ---- */

VirgaSecurityGroup *
ec2_security_group(VirgaCall *call, VirgaTxn *txn, const char *id, const char *name, GError **error)
{
    const char *names[] = { name, NULL };
    VirgaSecurityGroup *group;
    const char *vpc_id;
    size_t count;

    if (id)
        return virga_security_group_get(txn, call->arena, call->account_id, id, error);
    vpc_id = virga_vpc_default(txn, call->arena, call->account_id, error);
    if (!vpc_id || !virga_security_group_list(txn, call->arena, call->account_id, NULL, names,
                                              vpc_id, &group, &count, error))
        return NULL;
    if (count == 0) {
        virga_fail(error, "security group", VIRGA_ERROR_NOT_FOUND,
                   "The security group '%s' does not exist in default VPC '%s'", name, vpc_id);
        return NULL;
    }
    return group;
}

bool
ec2_check_group(const char *id, const char *name, GError **error)
{
    if (!id && (!name || !*name))
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter groupName or groupId");
    if (id && name)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "The parameters groupId and groupName cannot be used together");
    return !id || virga_api_check_id(id, "sg", "InvalidGroupId.Malformed", error);
}

typedef struct {
    const Ec2DeleteSecurityGroupRequest *request;
    const char *id;
} Delete;

static bool
delete_group(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Delete *asked = data;
    VirgaSecurityGroup *group =
        ec2_security_group(call, txn, asked->request->group_id, asked->request->group_name, error);

    if (!group)
        return false;
    if (g_str_equal(group->name, "default"))
        return virga_api_fail(error, "CannotDelete", 400,
                              "the specified group: \"%s\" name: \"default\" cannot be deleted by "
                              "a user",
                              group->id);
    asked->id = group->id;
    return virga_security_group_delete(txn, call->account_id, group->id, error);
}

bool
ec2_delete_security_group(VirgaCall *call, const Ec2DeleteSecurityGroupRequest *request,
                          Ec2DeleteSecurityGroupResponse *response, GError **error)
{
    Delete asked = { .request = request };

    if (!ec2_check_group(request->group_id, request->group_name, error) ||
        !ec2_transaction(call, delete_group, &asked, error))
        return false;
    response->return_ = response->has_return_ = true;
    response->group_id = asked.id;
    return true;
}

/* ---- describing ---- */

static bool
same_permission(const Ec2IpPermission *permission, const VirgaSecurityGroupRule *rule)
{
    return g_str_equal(permission->ip_protocol, rule->protocol) &&
           (!permission->has_from_port ||
            (permission->from_port == rule->from_port && permission->to_port == rule->to_port));
}

/* Rules of one protocol and range of ports are one permission; of ICMP, ports are type and code. */
static Ec2IpPermission *
permission_of(const VirgaCall *call, Ec2IpPermissionList *list, const VirgaSecurityGroupRule *rule,
              size_t rules)
{
    Ec2IpPermission *permission;
    bool has_ports = g_str_equal(rule->protocol, "tcp") || g_str_equal(rule->protocol, "udp") ||
                     g_str_equal(rule->protocol, "icmp");

    for (size_t i = 0; i < list->count; i++)
        if (same_permission(&list->items[i], rule))
            return &list->items[i];
    permission = &list->items[list->count++];
    *permission = (Ec2IpPermission){ .ip_protocol = rule->protocol,
                                     .from_port = rule->from_port,
                                     .has_from_port = has_ports,
                                     .to_port = rule->to_port,
                                     .has_to_port = has_ports };
    permission->ip_ranges.items = ec2_array(call, Ec2IpRange, rules);
    permission->user_id_group_pairs.items = ec2_array(call, Ec2UserIdGroupPair, rules);
    return permission;
}

static void
show_rule(const VirgaCall *call, const VirgaSecurityGroupRule *rule, size_t rules,
          Ec2IpPermissionList *list)
{
    Ec2IpPermission *permission = permission_of(call, list, rule, rules);

    if (rule->cidr)
        permission->ip_ranges.items[permission->ip_ranges.count++] =
            (Ec2IpRange){ .cidr_ip = rule->cidr, .description = rule->description };
    else
        permission->user_id_group_pairs.items[permission->user_id_group_pairs.count++] =
            (Ec2UserIdGroupPair){ .group_id = rule->peer_group_id,
                                  .user_id = rule->account_id,
                                  .description = rule->description };
}

static void
show_group(const VirgaCall *call, const VirgaSecurityGroup *row, const Ec2Index *rules,
           const Ec2Tags *tags, Ec2SecurityGroup *shown)
{
    const VirgaSecurityGroupRule *rule = NULL;
    size_t inward = 0, outward = 0;

    *shown = (Ec2SecurityGroup){ .group_id = row->id,
                                 .tags = ec2_tags_of(tags, row->id),
                                 .vpc_id = row->vpc_id,
                                 .security_group_arn = ec2_arn(call, "security-group", row->id),
                                 .owner_id = row->account_id,
                                 .group_name = row->name,
                                 .description = row->description };
    while ((rule = ec2_index_next(rules, row->id, rule)))
        *(rule->is_egress ? &outward : &inward) += 1;
    shown->ip_permissions.items = ec2_array(call, Ec2IpPermission, inward);
    shown->ip_permissions_egress.items = ec2_array(call, Ec2IpPermission, outward);
    while ((rule = ec2_index_next(rules, row->id, rule)))
        show_rule(call, rule, rule->is_egress ? outward : inward,
                  rule->is_egress ? &shown->ip_permissions_egress : &shown->ip_permissions);
}

/* Gives each peer the name of its group (NULL: takes it away).  EC2 filters by these names but does
 * not show them. */
static void
name_peers(Ec2IpPermissionList *list, const Ec2Index *groups)
{
    for (size_t i = 0; i < list->count; i++)
        for (size_t j = 0; j < list->items[i].user_id_group_pairs.count; j++) {
            Ec2UserIdGroupPair *pair = &list->items[i].user_id_group_pairs.items[j];
            const VirgaSecurityGroup *peer =
                groups ? ec2_index_next(groups, pair->group_id, NULL) : NULL;

            pair->group_name = peer ? peer->name : NULL;
        }
}

static void
name_all_peers(Ec2SecurityGroupList *list, const Ec2Index *groups)
{
    for (size_t i = 0; i < list->count; i++) {
        name_peers(&list->items[i].ip_permissions, groups);
        name_peers(&list->items[i].ip_permissions_egress, groups);
    }
}

static bool
asks_for_peers(const Ec2FilterList *filters)
{
    for (size_t i = 0; i < filters->count; i++)
        if (g_str_has_suffix(filters->items[i].name, "ip-permission.group-name"))
            return true;
    return false;
}

/* One call in the making. */
typedef struct {
    VirgaCall *call;
    const Ec2DescribeSecurityGroupsRequest *request;
    const VirgaFilter *filter;
    const char *const *ids, *const *names;
    VirgaSecurityGroup *rows;
    size_t count;
} Query;

/* Names mean groups of the default VPC. */
static bool
read_rows(Query *query, VirgaTxn *txn, GError **error)
{
    VirgaCall *call = query->call;
    const char *const *vpcs = query->ids ? NULL : virga_filter_literals(query->filter, "vpc-id");
    const char *vpc_id = vpcs && !vpcs[1] ? vpcs[0] : NULL;

    if (query->names) {
        vpc_id = virga_vpc_default(txn, call->arena, call->account_id, error);
        if (!vpc_id)
            return false;
    }
    return virga_security_group_list(txn, call->arena, call->account_id, query->ids, query->names,
                                     vpc_id, &query->rows, &query->count, error) &&
           ec2_check_found(call, query->ids, query->rows, query->count, sizeof *query->rows,
                           offsetof(VirgaSecurityGroup, id), "InvalidGroup.NotFound",
                           "security group", error) &&
           ec2_check_found(call, query->names, query->rows, query->count, sizeof *query->rows,
                           offsetof(VirgaSecurityGroup, name), "InvalidGroup.NotFound",
                           "security group", error);
}

static bool
read_groups(Query *query, VirgaTxn *txn, Ec2SecurityGroupList *list, GError **error)
{
    VirgaCall *call = query->call;
    const char **ids = NULL;
    VirgaSecurityGroupRule *rules;
    Ec2Tags tags;
    Ec2Index index;
    size_t count;

    if (query->ids || query->names) {
        ids = ec2_array(call, const char *, query->count + 1);
        for (size_t i = 0; i < query->count; i++)
            ids[i] = query->rows[i].id;
    }
    if (!virga_security_group_rules(txn, call->arena, call->account_id, ids, &rules, &count,
                                    error) ||
        !ec2_tags_read(call, txn, ids, "security-group", &tags, error))
        return false;
    index = ec2_index_new(call->arena, rules, count, sizeof *rules,
                          offsetof(VirgaSecurityGroupRule, group_id));
    list->items = ec2_array(call, Ec2SecurityGroup, query->count);
    for (; list->count < query->count; list->count++)
        show_group(call, &query->rows[list->count], &index, &tags, &list->items[list->count]);
    return true;
}

static bool
filter_groups(const Query *query, VirgaTxn *txn, Ec2SecurityGroupList *list, GError **error)
{
    VirgaCall *call = query->call;
    bool by_peers = asks_for_peers(&query->request->filters);
    VirgaSecurityGroup *all;
    size_t count;

    if (by_peers) {
        Ec2Index index;

        if (!virga_security_group_list(txn, call->arena, call->account_id, NULL, NULL, NULL, &all,
                                       &count, error))
            return false;
        index =
            ec2_index_new(call->arena, all, count, sizeof *all, offsetof(VirgaSecurityGroup, id));
        name_all_peers(list, &index);
    }
    ec2_filter_list(EC2_LIST(list), &ec2_security_group_shape, query->filter, NULL, NULL);
    if (by_peers)
        name_all_peers(list, NULL);
    return true;
}

static bool
describe(Query *query, Ec2SecurityGroupList *list, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(query->call->db, error);

    return txn && read_rows(query, txn, error) && read_groups(query, txn, list, error) &&
           filter_groups(query, txn, list, error);
}

bool
ec2_describe_security_groups(VirgaCall *call, const Ec2DescribeSecurityGroupsRequest *request,
                             Ec2DescribeSecurityGroupsResponse *response, GError **error)
{
    Query query = { .call = call, .request = request };
    Ec2Page page;

    if (!ec2_ids(call, &request->group_ids, "sg", "InvalidGroupId.Malformed", &query.ids, error) ||
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error))
        return false;
    query.names = ec2_strings(call, &request->group_names);
    query.filter = virga_filter_new(call->arena, group_fields, &ec2_security_group_shape,
                                    &request->filters, error);
    if (!query.filter || !virga_call_dry_run(call, error) ||
        !describe(&query, &response->security_groups, error))
        return false;
    ec2_page_cut(call, &page, EC2_LIST(&response->security_groups), &ec2_security_group_shape,
                 offsetof(Ec2SecurityGroup, group_id), &response->next_token);
    return true;
}

/* ---- of a VPC, for choosing from ---- */

static const VirgaFilterField choice_fields[] = {
    { "description", "Description" },     { "group-id", "GroupId" },
    { "group-name", "GroupName" },        { "owner-id", "OwnerId" },
    { "primary-vpc-id", "PrimaryVpcId" },
};

static bool
read_choices(VirgaCall *call, const char *vpc_id, Ec2SecurityGroupForVpcList *list, GError **error)
{
    const char *ids[] = { vpc_id, NULL };
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    VirgaSecurityGroup *rows;
    VirgaVpc *vpcs;
    Ec2Tags tags;
    size_t count, vpc_count;

    if (!txn ||
        !virga_vpc_list(txn, call->arena, call->account_id, ids, &vpcs, &vpc_count, error) ||
        !ec2_check_found(call, ids, vpcs, vpc_count, sizeof *vpcs, offsetof(VirgaVpc, id),
                         "InvalidVpcID.NotFound", "vpc ID", error) ||
        !virga_security_group_list(txn, call->arena, call->account_id, NULL, NULL, vpc_id, &rows,
                                   &count, error) ||
        !ec2_tags_read(call, txn, NULL, "security-group", &tags, error))
        return false;
    list->items = ec2_array(call, Ec2SecurityGroupForVpc, count);
    for (; list->count < count; list->count++) {
        const VirgaSecurityGroup *row = &rows[list->count];

        list->items[list->count] = (Ec2SecurityGroupForVpc){ .group_id = row->id,
                                                             .group_name = row->name,
                                                             .description = row->description,
                                                             .owner_id = row->account_id,
                                                             .primary_vpc_id = row->vpc_id,
                                                             .tags = ec2_tags_of(&tags, row->id) };
    }
    return true;
}

bool
ec2_get_security_groups_for_vpc(VirgaCall *call, const Ec2GetSecurityGroupsForVpcRequest *request,
                                Ec2GetSecurityGroupsForVpcResponse *response, GError **error)
{
    VirgaFilter *filter;
    Ec2Page page;

    if (!virga_api_check_id(request->vpc_id, "vpc", "InvalidVpcID.Malformed", error) ||
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error))
        return false;
    filter = virga_filter_new(call->arena, choice_fields, &ec2_security_group_for_vpc_shape,
                              &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !read_choices(call, request->vpc_id, &response->security_group_for_vpcs, error))
        return false;
    ec2_answer(call, filter, &page, &response->security_group_for_vpcs,
               &ec2_security_group_for_vpc_shape, Ec2SecurityGroupForVpc, group_id,
               &response->next_token);
    return true;
}
