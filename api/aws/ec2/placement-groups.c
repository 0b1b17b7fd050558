/* SPDX-License-Identifier: Apache-2.0 */
/* Placement groups. */
#include "common.h"

#include "compute/placement-group.h"
#include "core/id.h"

#define NAME_CHARS         255
#define PARTITIONS_DEFAULT 2
#define PARTITIONS_MAX     7

static const VirgaFilterField group_fields[] = {
    { "group-arn", "GroupArn" }, { "group-name", "GroupName" }, { "spread-level", "SpreadLevel" },
    { "state", "State" },        { "strategy", "Strategy" },
};

static Ec2PlacementGroup
show_group(const VirgaCall *call, const VirgaPlacementGroup *row, Ec2TagList tags)
{
    Ec2OperatorResponse *operator= ec2_new(call, Ec2OperatorResponse);

    operator->has_managed = true;
    return (Ec2PlacementGroup){ .group_id = row->id,
                                .group_name = row->name,
                                .group_arn = ec2_arn(call, "placement-group", row->name),
                                .state = "available",
                                .strategy = row->strategy,
                                .spread_level = row->spread_level,
                                .partition_count = row->partitions,
                                .has_partition_count = row->partitions > 0,
                                .operator= operator,
                                .tags = tags };
}

/* ---- creating ---- */

typedef struct {
    VirgaPlacementGroup group;
    Ec2NewTags tags;
} Create;

static bool
create(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Create *asked = data;
    g_autofree char *id = virga_id_new("pg");

    asked->group.id = virga_arena_strdup(call->arena, id);
    return virga_placement_group_create(txn, &asked->group, error) &&
           ec2_tags_set(call, txn, asked->group.id, &asked->tags, error);
}

static bool
check_name(const char *name, GError **error)
{
    if (!name)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter GroupName");
    return (*name && strlen(name) <= NAME_CHARS && g_str_is_ascii(name)) ||
           virga_api_fail(error, "InvalidParameterValue", 400,
                          "Value (%.300s) for parameter GroupName is invalid. Names have 1 to %d "
                          "ASCII characters.",
                          name, NAME_CHARS);
}

static bool
read_partitions(const Ec2CreatePlacementGroupRequest *request, const char *strategy, gint64 *ret,
                GError **error)
{
    bool partitioned = g_str_equal(strategy, "partition");

    *ret = !partitioned                   ? 0
           : request->has_partition_count ? request->partition_count
                                          : PARTITIONS_DEFAULT;
    if (request->has_partition_count && !partitioned)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "The parameter PartitionCount is valid only for the strategy "
                              "'partition'");
    return !partitioned || (*ret >= 1 && *ret <= PARTITIONS_MAX) ||
           virga_api_fail(error, "InvalidParameterValue", 400,
                          "Value (%" G_GINT64_FORMAT ") for parameter PartitionCount is invalid. "
                          "Expecting 1 to %d.",
                          *ret, PARTITIONS_MAX);
}

bool
ec2_create_placement_group(VirgaCall *call, const Ec2CreatePlacementGroupRequest *request,
                           Ec2CreatePlacementGroupResponse *response, GError **error)
{
    const char *strategy = request->strategy ? request->strategy : "cluster";
    bool spread = g_str_equal(strategy, "spread");
    Create asked = { .group = { .account_id = (char *) call->account_id,
                                .name = (char *) request->group_name,
                                .strategy = (char *) strategy } };

    if (!check_name(request->group_name, error) ||
        !read_partitions(request, strategy, &asked.group.partitions, error) ||
        !ec2_tags_for(call, &request->tag_specifications, "placement-group", &asked.tags, error))
        return false;
    if (request->linked_group_id)
        return ec2_unsupported(error, "LinkedGroupId");
    if (request->operator)
        return ec2_unsupported(error, "Operator");
    if (request->spread_level && !spread)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "The parameter SpreadLevel is valid only for the strategy 'spread'");
    if (g_strcmp0(request->spread_level, "host") == 0) /* of Outposts */
        return ec2_unsupported(error, "SpreadLevel");
    if (spread)
        asked.group.spread_level = (char *) "rack";
    if (!ec2_transaction(call, create, &asked, error))
        return false;
    response->placement_group = ec2_new(call, Ec2PlacementGroup);
    *response->placement_group = show_group(call, &asked.group, ec2_tags_shown(call, &asked.tags));
    return true;
}

/* ---- describing ---- */

static bool
read_groups(VirgaCall *call, const Ec2DescribePlacementGroupsRequest *request,
            const char *const *ids, Ec2PlacementGroupList *list, GError **error)
{
    const char *const *names = ec2_strings(call, &request->group_names);
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    VirgaPlacementGroup *rows;
    Ec2Tags tags;
    size_t count;

    if (!txn ||
        !virga_placement_group_list(txn, call->arena, call->account_id, ids, names, &rows, &count,
                                    error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaPlacementGroup, id),
                         "InvalidPlacementGroup.Unknown", "placement group", error) ||
        !ec2_check_found(call, names, rows, count, sizeof *rows,
                         offsetof(VirgaPlacementGroup, name), "InvalidPlacementGroup.Unknown",
                         "placement group", error) ||
        !ec2_tags_read(call, txn, NULL, "placement-group", &tags, error))
        return false;
    list->items = ec2_array(call, Ec2PlacementGroup, count);
    for (; list->count < count; list->count++)
        list->items[list->count] =
            show_group(call, &rows[list->count], ec2_tags_of(&tags, rows[list->count].id));
    return true;
}

bool
ec2_describe_placement_groups(VirgaCall *call, const Ec2DescribePlacementGroupsRequest *request,
                              Ec2DescribePlacementGroupsResponse *response, GError **error)
{
    const char *const *ids;
    VirgaFilter *filter;

    if (!ec2_ids(call, &request->group_ids, "pg", "InvalidPlacementGroupId.Malformed", &ids, error))
        return false;
    filter = virga_filter_new(call->arena, group_fields, &ec2_placement_group_shape,
                              &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !read_groups(call, request, ids, &response->placement_groups, error))
        return false;
    ec2_filter_list(EC2_LIST(&response->placement_groups), &ec2_placement_group_shape, filter, NULL,
                    NULL);
    return true;
}

/* ---- deleting ---- */

static bool delete (VirgaCall *call, VirgaTxn *txn, gpointer name, GError **error)
{
    return virga_placement_group_delete(txn, call->arena, call->account_id, name, error);
}

bool
ec2_delete_placement_group(VirgaCall *call, const Ec2DeletePlacementGroupRequest *request,
                           Ec2DeletePlacementGroupResponse *response, GError **error)
{
    return ec2_transaction(call, delete, (gpointer) request->group_name, error);
}
