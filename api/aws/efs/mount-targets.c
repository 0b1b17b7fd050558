/* SPDX-License-Identifier: Apache-2.0 */
/* Mount targets: the addresses at which guests find a file system. */
#include "common.h"

#include "core/id.h"

#include <string.h>

#define GROUPS_MAX 5

static const char *
zone_id(const VirgaCall *call, const char *zone)
{
    return virga_arena_printf(call->arena, "use1-az%d", zone[strlen(zone) - 1] - 'a' + 1);
}

static EfsMountTargetDescription
show(const VirgaCall *call, const VirgaMountTarget *row)
{
    return (EfsMountTargetDescription){ .owner_id = row->account_id,
                                        .mount_target_id = row->id,
                                        .file_system_id = row->file_system_id,
                                        .subnet_id = row->subnet_id,
                                        .life_cycle_state = row->serving ? "available" : "creating",
                                        .ip_address = row->address,
                                        .network_interface_id = row->interface_id,
                                        .availability_zone_id = zone_id(call, row->zone),
                                        .availability_zone_name = row->zone,
                                        .vpc_id = row->vpc_id };
}

static bool
find(const VirgaCall *call, VirgaTxn *txn, const char *id, VirgaMountTarget **ret, GError **error)
{
    size_t count;

    if (!virga_id_is(id, "fsmt"))
        return efs_bad_request(error, "The mount target's id is malformed");
    return virga_mount_target_list(txn, call->arena, call->account_id, NULL, id, ret, &count,
                                   error) &&
           (count > 0 || virga_fail(error, "mount target", VIRGA_ERROR_NOT_FOUND,
                                    "Mount target '%s' does not exist.", id));
}

/* NULL: none are given, which is the default one. */
static bool
read_groups(const VirgaCall *call, const EfsSecurityGroups *groups, const char *const **ret,
            GError **error)
{
    const char **ids = efs_array(call, const char *, groups->count + 1);

    if (groups->count > GROUPS_MAX)
        return virga_api_fail(error, "SecurityGroupLimitExceeded", 400,
                              "A mount target has at most %d security groups", GROUPS_MAX);
    for (size_t i = 0; i < groups->count; i++) {
        ids[i] = groups->items[i];
        for (size_t j = 0; j < i; j++)
            if (g_str_equal(ids[i], ids[j]))
                return efs_bad_request(error, "A security group is named twice");
    }
    *ret = groups->count ? ids : NULL;
    return true;
}

/* What the VPC refuses has names of its own here. */
static bool
translate(GError *reason, GError **error)
{
    static const struct {
        const char *noun;
        VirgaErrorCode code;
        const char *word;
        unsigned status;
    } words[] = {
        { "subnet", VIRGA_ERROR_NOT_FOUND, "SubnetNotFound", 400 },
        { "subnet", VIRGA_ERROR_CAPACITY, "NoFreeAddressesInSubnet", 409 },
        { "security group", VIRGA_ERROR_NOT_FOUND, "SecurityGroupNotFound", 400 },
        { "network interface", VIRGA_ERROR_EXISTS, "IpAddressInUse", 409 },
        { "network interface", VIRGA_ERROR_INVALID, "BadRequest", 400 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
        if (virga_error_is(reason, words[i].noun, words[i].code)) {
            virga_api_fail(error, words[i].word, words[i].status, "%s", reason->message);
            g_error_free(reason);
            return false;
        }
    g_propagate_error(error, reason);
    return false;
}

EFS_ACTION(create_mount_target, CreateMountTarget)
{
    g_autofree char *id = virga_id_new("fsmt");
    const char *fs = efs_file_system_id(call, request->file_system_id, error);
    VirgaMountTargetSpec spec = { .id = id,
                                  .subnet_id = request->subnet_id,
                                  .address = request->ip_address };
    GError *reason = NULL;
    VirgaFileSystem *row;
    VirgaMountTarget *made;

    if (request->ipv6_address ||
        (request->ip_address_type && !g_str_equal(request->ip_address_type, "IPV4_ONLY")))
        return efs_unsupported(error, "IpAddressType");
    if (!fs || !virga_file_system_lock(txn, call->arena, call->account_id, fs, &row, error) ||
        !read_groups(call, &request->security_groups, &spec.group_ids, error))
        return false;
    if (!virga_mount_target_create(txn, call->arena, row, &spec, &reason))
        return translate(reason, error);
    if (!find(call, txn, id, &made, error))
        return false;
    *response = show(call, made);
    return true;
}

EFS_ACTION(delete_mount_target, DeleteMountTarget)
{
    VirgaMountTarget *row;

    return find(call, txn, request->mount_target_id, &row, error) &&
           virga_mount_target_delete(txn, row, error);
}

EFS_ACTION(describe_mount_targets, DescribeMountTargets)
{
    EfsMountTargetDescriptions *list = &response->mount_targets;
    const char *fs = NULL;
    VirgaMountTarget *rows;
    VirgaFileSystem *row;
    size_t count, first = 0, end;

    if (request->access_point_id)
        return virga_api_fail(error, "AccessPointNotFound", 404, "There are no access points");
    if (!request->file_system_id == !request->mount_target_id)
        return efs_bad_request(error, "Either FileSystemId or MountTargetId must be given");
    if (request->mount_target_id && !find(call, txn, request->mount_target_id, &rows, error))
        return false;
    if (request->file_system_id &&
        (!(fs = efs_file_system_id(call, request->file_system_id, error)) ||
         !virga_file_system_lock(txn, call->arena, call->account_id, fs, &row, error)))
        return false;
    if (!virga_mount_target_list(txn, call->arena, call->account_id, fs, request->mount_target_id,
                                 &rows, &count, error))
        return false;
    while (request->marker && first < count && strcmp(rows[first].id, request->marker) <= 0)
        first++;
    efs_page(request->has_max_items, request->max_items, count, &first, &end);
    list->items = efs_array(call, EfsMountTargetDescription, end - first);
    for (size_t i = first; i < end; i++)
        list->items[list->count++] = show(call, &rows[i]);
    response->marker = request->marker;
    response->next_marker = end < count ? rows[end - 1].id : NULL;
    return true;
}

EFS_ACTION(describe_mount_target_security_groups, DescribeMountTargetSecurityGroups)
{
    VirgaMountTarget *row;
    char **ids;

    if (!find(call, txn, request->mount_target_id, &row, error) ||
        !virga_mount_target_groups(txn, call->arena, row, &ids, error))
        return false;
    response->security_groups = (EfsSecurityGroups){ (const char **) ids, g_strv_length(ids) };
    return true;
}

EFS_ACTION(modify_mount_target_security_groups, ModifyMountTargetSecurityGroups)
{
    const char *const *ids;
    VirgaMountTarget *row;
    GError *reason = NULL;

    if (!find(call, txn, request->mount_target_id, &row, error) ||
        !read_groups(call, &request->security_groups, &ids, error))
        return false;
    if (!ids)
        return efs_bad_request(error, "At least one security group must be given");
    return virga_mount_target_set_groups(txn, row, ids, &reason) || translate(reason, error);
}
