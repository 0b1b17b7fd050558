/* SPDX-License-Identifier: Apache-2.0 */
/* CreateTags, DeleteTags, DescribeTags: tags of any kind of resource. */
#include "common.h"

#include "compute/instance.h"
#include "core/id.h"
#include "core/limits.h"

/* What EC2 says of each kind that is not there. */
static const struct {
    const char *type, *code, *what;
} kinds[] = {
    { "instance", "InvalidInstanceID.NotFound", "instance ID" },
    { "image", "InvalidAMIID.NotFound", "image id" },
    { "volume", "InvalidVolume.NotFound", "volume" },
    { "snapshot", "InvalidSnapshot.NotFound", "snapshot" },
    { "key-pair", "InvalidKeyPair.NotFound", "key pair" },
    { "security-group", "InvalidGroup.NotFound", "security group" },
    { "security-group-rule", "InvalidSecurityGroupRuleId.NotFound", "security group rule ID" },
    { "vpc", "InvalidVpcID.NotFound", "vpc ID" },
    { "subnet", "InvalidSubnetID.NotFound", "subnet ID" },
    { "internet-gateway", "InvalidInternetGatewayID.NotFound", "internetGateway ID" },
    { "route-table", "InvalidRouteTableID.NotFound", "routeTable ID" },
    { "network-acl", "InvalidNetworkAclID.NotFound", "networkAcl ID" },
    { "dhcp-options", "InvalidDhcpOptionID.NotFound", "dhcpOption ID" },
    { "launch-template", "InvalidLaunchTemplateId.NotFound", "launch template ID" },
    { "fleet", "InvalidFleetId.NotFound", "fleet ID" },
    { "placement-group", "InvalidPlacementGroup.Unknown", "placement group" },
    { "elastic-ip", "InvalidAllocationID.NotFound", "elasticIp ID" },
    { "natgateway", "NatGatewayNotFound", "NAT gateway ID" },
    { "network-interface", "InvalidNetworkInterfaceID.NotFound", "networkInterface ID" },
};

static bool
fail_missing(const char *id, GError **error)
{
    const char *type = virga_id_resource_type(id);

    for (size_t i = 0; type && i < G_N_ELEMENTS(kinds); i++)
        if (g_str_equal(kinds[i].type, type))
            return virga_api_fail(error, kinds[i].code, 400, "The %s '%s' does not exist",
                                  kinds[i].what, id);
    return virga_api_fail(error, "InvalidID", 400, "The ID '%.200s' is not valid", id);
}

typedef struct {
    const char *const *ids;
    VirgaTag *tags;
    size_t count;
    bool remove;
} Change;

/* Tags that an instance shows in its metadata become paths there. */
static bool
check_shown(VirgaCall *call, VirgaTxn *txn, const Change *change, const char *id, GError **error)
{
    const char *ids[] = { id, NULL };
    VirgaInstance *row;
    size_t count;

    if (change->remove || !virga_id_is(id, "i"))
        return true;
    return virga_instance_list(txn, call->arena, call->account_id, ids, NULL, &row, &count,
                               error) &&
           (count == 0 || !g_str_equal(row->http_tags, "enabled") ||
            ec2_check_metadata_tags(change->tags, change->count, error));
}

static bool
change_one(VirgaCall *call, VirgaTxn *txn, const Change *change, const char *id, GError **error)
{
    bool owns = false;

    if (virga_id_resource_type(id) && !virga_tag_owns(txn, call->account_id, id, &owns, error))
        return false;
    if (!owns)
        return fail_missing(id, error);
    if (!check_shown(call, txn, change, id, error))
        return false;
    if (!(change->remove
              ? virga_tag_unset(txn, call->account_id, id, change->tags, change->count, error)
              : virga_tag_set(txn, call->account_id, id, change->tags, change->count, error)))
        return false;
    return !virga_id_is(id, "i") || virga_instance_tags_changed(txn, id, error);
}

static bool
change_all(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Change *change = data;

    for (const char *const *id = change->ids; *id; id++)
        if (!change_one(call, txn, change, *id, error))
            return false;
    return true;
}

static bool
run(VirgaCall *call, const Ec2ResourceIdList *resources, const Ec2TagList *tags, bool remove,
    GError **error)
{
    Change change = { .ids = ec2_strings(call, resources), .remove = remove };

    if (resources->count > VIRGA_INSTANCES_PER_CALL_MAX)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "A request can name at most %d resources",
                              VIRGA_INSTANCES_PER_CALL_MAX);
    if (!ec2_check_tags(tags, error))
        return false;
    change.count = tags->count;
    change.tags = ec2_array(call, VirgaTag, tags->count);
    for (size_t i = 0; i < tags->count; i++) {
        const char *value = tags->items[i].value;

        if (g_ascii_strncasecmp(tags->items[i].key, "aws:", strlen("aws:")) == 0)
            return virga_api_fail(error, "InvalidParameterValue", 400,
                                  "Tag keys starting with 'aws:' are reserved for internal use");
        /* To remove a tag whatever its value, no value is given; an empty one is a value. */
        change.tags[i] = (VirgaTag){ .key = (char *) tags->items[i].key,
                                     .value = (char *) (value || remove ? value : "") };
    }
    return ec2_transaction(call, change_all, &change, error);
}

bool
ec2_create_tags(VirgaCall *call, const Ec2CreateTagsRequest *request,
                Ec2CreateTagsResponse *response, GError **error)
{
    return run(call, &request->resources, &request->tags, false, error);
}

bool
ec2_delete_tags(VirgaCall *call, const Ec2DeleteTagsRequest *request,
                Ec2DeleteTagsResponse *response, GError **error)
{
    return run(call, &request->resources, &request->tags, true, error);
}

/* ---- describing ---- */

static const VirgaFilterField tag_fields[] = {
    { "key", "Key" },
    { "resource-id", "ResourceId" },
    { "resource-type", "ResourceType" },
    { "value", "Value" },
};

/* "tag:KEY" is short for "key" and "value". */
static Ec2FilterList
spell_out(const VirgaCall *call, const Ec2FilterList *filters)
{
    Ec2FilterList list = { ec2_array(call, Ec2Filter, filters->count * 2), 0 };

    for (size_t i = 0; i < filters->count; i++) {
        Ec2Filter filter = filters->items[i];

        if (filter.name && g_str_has_prefix(filter.name, "tag:")) {
            const char **key = ec2_array(call, const char *, 1);

            *key = filter.name + strlen("tag:");
            list.items[list.count++] = (Ec2Filter){ .name = "key", .values = { key, 1 } };
            filter.name = "value";
        }
        list.items[list.count++] = filter;
    }
    return list;
}

/* A tag as the answer has it, with the key of pages. */
typedef struct {
    Ec2TagDescription shown;
    const char *key;
} Row;

static bool
read_tags(VirgaCall *call, const char *const *ids, VirgaTag **ret, size_t *ret_count,
          GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);

    return txn && virga_tag_list(txn, call->arena, call->account_id, ids, ret, ret_count, error);
}

bool
ec2_describe_tags(VirgaCall *call, const Ec2DescribeTagsRequest *request,
                  Ec2DescribeTagsResponse *response, GError **error)
{
    const VirgaWireShape shape = { .size = sizeof(Row) };
    Ec2FilterList filters = spell_out(call, &request->filters);
    VirgaWireList list = { 0 };
    VirgaFilter *filter;
    VirgaTag *tags;
    Ec2Page page;
    size_t count;
    Row *rows;

    if (!ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error))
        return false;
    filter = virga_filter_new(call->arena, tag_fields, &ec2_tag_description_shape, &filters, error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !read_tags(call, virga_filter_literals(filter, "resource-id"), &tags, &count, error))
        return false;
    rows = ec2_array(call, Row, count);
    for (size_t i = 0; i < count; i++) {
        Row *row = &rows[list.count];

        row->shown = (Ec2TagDescription){ .key = tags[i].key,
                                          .resource_id = tags[i].resource_id,
                                          .resource_type = tags[i].resource_type,
                                          .value = tags[i].value };
        row->key = page.size || page.after
                       ? virga_arena_printf(call->arena, "%s/%s", tags[i].resource_id, tags[i].key)
                       : NULL;
        list.count += virga_filter_match(filter, &row->shown, NULL, NULL);
    }
    list.items = rows;
    ec2_page_cut(call, &page, &list, &shape, offsetof(Row, key), &response->next_token);
    response->tags.items = ec2_array(call, Ec2TagDescription, list.count);
    for (; response->tags.count < list.count; response->tags.count++)
        response->tags.items[response->tags.count] =
            ((const Row *) list.items)[response->tags.count].shown;
    return true;
}
