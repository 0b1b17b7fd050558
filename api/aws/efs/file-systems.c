/* SPDX-License-Identifier: Apache-2.0 */
/* File systems, and their tags. */
#include "common.h"

#include "api/services.h"
#include "core/config.h"
#include "core/id.h"

#include <string.h>

/* ---- showing ---- */

static const char *
name_of(const EfsTags *tags)
{
    for (size_t i = 0; i < tags->count; i++)
        if (g_str_equal(tags->items[i].key, "Name"))
            return tags->items[i].value;
    return NULL;
}

static bool
show(const VirgaCall *call, VirgaTxn *txn, const VirgaFileSystem *row,
     EfsFileSystemDescription *shown, GError **error)
{
    EfsFileSystemSize *size = efs_array(call, EfsFileSystemSize, 1);
    EfsTags tags;

    if (!efs_tags_read(call, txn, row->id, &tags, error))
        return false;
    *size = (EfsFileSystemSize){ .value = row->bytes,
                                 .has_value = true,
                                 .timestamp = g_get_real_time(),
                                 .value_in_standard = row->bytes,
                                 .has_value_in_standard = true,
                                 .has_value_in_ia = true,
                                 .has_value_in_archive = true };
    *shown = (EfsFileSystemDescription){
        .owner_id = row->account_id,
        .creation_token = row->creation_token,
        .file_system_id = row->id,
        .file_system_arn =
            virga_arena_printf(call->arena, "arn:aws:elasticfilesystem:%s:%s:file-system/%s",
                               call->region, row->account_id, row->id),
        .creation_time = row->created,
        .life_cycle_state = row->deleting ? "deleting" : "available",
        .name = name_of(&tags),
        .number_of_mount_targets = row->target_count,
        .has_number_of_mount_targets = true,
        .size_in_bytes = size,
        .performance_mode = row->performance_mode,
        .has_encrypted = true,
        .throughput_mode = row->throughput_mode,
        .availability_zone_name = row->zone,
        .tags = tags,
    };
    return true;
}

static bool
show_one(const VirgaCall *call, VirgaTxn *txn, const char *id, EfsFileSystemDescription *shown,
         GError **error)
{
    VirgaFileSystem *row;

    return virga_file_system_lock(txn, call->arena, call->account_id, id, &row, error) &&
           show(call, txn, row, shown, error);
}

/* ---- making ---- */

static bool
has_zone(const VirgaCall *call, const char *zone)
{
    const VirgaServices *services = call->services;

    return g_strv_contains((const char *const *) services->zones, zone);
}

static bool
check(const VirgaCall *call, const EfsCreateFileSystemRequest *request, GError **error)
{
    if (request->encrypted || request->kms_key_id)
        return efs_unsupported(error, "Encrypted");
    if (request->backup)
        return efs_unsupported(error, "Backup");
    if (g_strcmp0(request->throughput_mode, "provisioned") == 0 ||
        request->has_provisioned_throughput_in_mibps)
        return efs_unsupported(error, "ProvisionedThroughputInMibps");
    if (request->availability_zone_name && !has_zone(call, request->availability_zone_name))
        return virga_api_fail(error, "BadRequest", 400, "There is no zone '%.100s'",
                              request->availability_zone_name);
    return true;
}

EFS_ACTION(create_file_system, CreateFileSystem)
{
    const VirgaServices *services = call->services;
    g_autofree char *id = virga_id_new("fs");
    VirgaFileSystem row = {
        .id = id,
        .account_id = (char *) call->account_id,
        .creation_token = (char *) request->creation_token,
        .performance_mode =
            (char *) (request->performance_mode ? request->performance_mode : "generalPurpose"),
        .throughput_mode =
            (char *) (request->throughput_mode ? request->throughput_mode : "bursting"),
        .zone = (char *) request->availability_zone_name,
        .size_gib = MAX(1, virga_config_int(services->config, "storage", "file-system-gib")),
    };

    return check(call, request, error) && virga_file_system_create(txn, &row, error) &&
           efs_tags_set(call, txn, id, &request->tags, error) &&
           virga_event_add(txn, error, id, "made") && show_one(call, txn, id, response, error);
}

EFS_ACTION(update_file_system, UpdateFileSystem)
{
    const char *id = efs_file_system_id(call, request->file_system_id, error);
    VirgaFileSystem *row;

    if (!id || !virga_file_system_lock(txn, call->arena, call->account_id, id, &row, error))
        return false;
    if (g_strcmp0(request->throughput_mode, "provisioned") == 0 ||
        request->has_provisioned_throughput_in_mibps)
        return efs_unsupported(error, "ProvisionedThroughputInMibps");
    return (!request->throughput_mode ||
            virga_file_system_set_throughput(txn, id, request->throughput_mode, error)) &&
           show_one(call, txn, id, response, error);
}

EFS_ACTION(delete_file_system, DeleteFileSystem)
{
    const char *id = efs_file_system_id(call, request->file_system_id, error);
    VirgaFileSystem *row;

    return id && virga_file_system_lock(txn, call->arena, call->account_id, id, &row, error) &&
           virga_file_system_delete(txn, row, error);
}

/* ---- describing ---- */

EFS_ACTION(describe_file_systems, DescribeFileSystems)
{
    const char *const ids[] = { request->file_system_id, NULL };
    VirgaFileSystem *rows;
    size_t count, first = 0, end;

    if (request->file_system_id) {
        if (!virga_file_system_list(txn, call->arena, call->account_id, ids, NULL, &rows, &count,
                                    error))
            return false;
        if (count == 0)
            return virga_fail(error, "file system", VIRGA_ERROR_NOT_FOUND,
                              "File system '%s' does not exist.", request->file_system_id);
    } else if (!virga_file_system_list(txn, call->arena, call->account_id, NULL,
                                       request->creation_token, &rows, &count, error)) {
        return false;
    }
    while (request->marker && first < count && strcmp(rows[first].id, request->marker) <= 0)
        first++;
    efs_page(request->has_max_items, request->max_items, count, &first, &end);
    response->file_systems.items = efs_array(call, EfsFileSystemDescription, end - first);
    for (size_t i = first; i < end; i++)
        if (!show(call, txn, &rows[i],
                  &response->file_systems.items[response->file_systems.count++], error))
            return false;
    response->marker = request->marker;
    response->next_marker = end < count ? rows[end - 1].id : NULL;
    return true;
}

/* Nothing is moved anywhere by itself. */
EFS_ACTION(describe_lifecycle_configuration, DescribeLifecycleConfiguration)
{
    const char *id = efs_file_system_id(call, request->file_system_id, error);
    VirgaFileSystem *row;

    return id && virga_file_system_lock(txn, call->arena, call->account_id, id, &row, error);
}

/* ---- tags ---- */

static bool
set_tags(VirgaCall *call, VirgaTxn *txn, const char *resource, const EfsTags *tags, GError **error)
{
    const char *id = efs_file_system_id(call, resource, error);
    VirgaFileSystem *row;

    return id && virga_file_system_lock(txn, call->arena, call->account_id, id, &row, error) &&
           efs_tags_set(call, txn, id, tags, error);
}

static bool
unset_tags(VirgaCall *call, VirgaTxn *txn, const char *resource, const EfsTagKeys *keys,
           GError **error)
{
    const char *id = efs_file_system_id(call, resource, error);
    VirgaTag *tags = efs_array(call, VirgaTag, keys->count);
    VirgaFileSystem *row;

    for (size_t i = 0; i < keys->count; i++)
        tags[i].key = (char *) keys->items[i];
    return id && virga_file_system_lock(txn, call->arena, call->account_id, id, &row, error) &&
           (keys->count == 0 ||
            virga_tag_unset(txn, call->account_id, id, tags, keys->count, error));
}

static bool
list_tags(VirgaCall *call, VirgaTxn *txn, const char *resource, EfsTags *ret, GError **error)
{
    const char *id = efs_file_system_id(call, resource, error);
    VirgaFileSystem *row;

    return id && virga_file_system_lock(txn, call->arena, call->account_id, id, &row, error) &&
           efs_tags_read(call, txn, id, ret, error);
}

EFS_ACTION(tag_resource, TagResource)
{
    return set_tags(call, txn, request->resource_id, &request->tags, error);
}

EFS_ACTION(untag_resource, UntagResource)
{
    return unset_tags(call, txn, request->resource_id, &request->tag_keys, error);
}

EFS_ACTION(list_tags_for_resource, ListTagsForResource)
{
    return list_tags(call, txn, request->resource_id, &response->tags, error);
}

EFS_ACTION(create_tags, CreateTags)
{
    return set_tags(call, txn, request->file_system_id, &request->tags, error);
}

EFS_ACTION(delete_tags, DeleteTags)
{
    return unset_tags(call, txn, request->file_system_id, &request->tag_keys, error);
}

EFS_ACTION(describe_tags, DescribeTags)
{
    response->marker = request->marker;
    return list_tags(call, txn, request->file_system_id, &response->tags, error);
}
