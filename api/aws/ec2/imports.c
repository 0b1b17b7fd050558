/* SPDX-License-Identifier: Apache-2.0 */
/* ImportImage, ImportSnapshot, DescribeImportImageTasks, DescribeImportSnapshotTasks,
 * CancelImportTask.  What becomes of a task: api/import-worker.c. */
#include "common.h"

#include "core/id.h"
#include "storage/import-task.h"
#include "storage/snapshot.h"

#define IMAGE_PREFIX      "import-ami"
#define SNAPSHOT_PREFIX   "import-snap"
#define URL_CHARS_MAX     2048
#define DESCRIPTION_CHARS 255
#define DISKS_MAX         20
#define MALFORMED         "InvalidConversionTaskId.Malformed"

/* ---- what is asked for ---- */

/* Where a disk's bytes come from.  The object store of the cloud is none yet: a bucket, and a URL
 * of one, will be read here. */
static bool
check_source(const char *url, const Ec2UserBucket *bucket, GError **error)
{
    g_autoptr(GUri) uri = NULL;
    const char *scheme;

    if (bucket || (url && g_ascii_strncasecmp(url, "s3:", 3) == 0))
        return ec2_unsupported(error, bucket ? "UserBucket" : "Url of an S3 bucket");
    if (!url)
        return virga_api_fail(error, "MissingParameter", 400,
                              "A disk container must have a Url, a UserBucket or a SnapshotId");
    uri = strlen(url) <= URL_CHARS_MAX ? g_uri_parse(url, G_URI_FLAGS_ENCODED, NULL) : NULL;
    scheme = uri ? g_uri_get_scheme(uri) : "";
    return (uri && g_uri_get_host(uri) && *g_uri_get_host(uri) &&
            (g_str_equal(scheme, "http") || g_str_equal(scheme, "https"))) ||
           virga_api_fail(error, "InvalidParameterValue", 400,
                          "The Url of a disk container is not one of http or https");
}

/* *ret_format: as qemu-img calls it; NULL: whatever it is. */
static bool
read_format(const char *format, char **ret_format, GError **error)
{
    static const char *const taken[] = { "raw", "qcow2", "vmdk" };
    static const char *const known[] = { "ova", "vhd", "vhdx" };

    *ret_format = NULL;
    for (size_t i = 0; format && i < G_N_ELEMENTS(taken); i++)
        if (g_ascii_strcasecmp(format, taken[i]) == 0)
            *ret_format = (char *) taken[i];
    for (size_t i = 0; format && i < G_N_ELEMENTS(known); i++)
        if (g_ascii_strcasecmp(format, known[i]) == 0)
            return virga_api_fail(error, "UnsupportedOperation", 400,
                                  "Disk images in the format %s are not imported: convert it to "
                                  "RAW, QCOW2 or VMDK first",
                                  known[i]);
    return !format || *ret_format ||
           virga_api_fail(error, "InvalidParameterValue", 400,
                          "Value (%.100s) for parameter Format is invalid.", format);
}

static bool
check_description(const char *description, GError **error)
{
    return !description || g_utf8_strlen(description, -1) <= DESCRIPTION_CHARS ||
           virga_api_fail(error, "InvalidParameterValue", 400,
                          "A description must have at most %d characters", DESCRIPTION_CHARS);
}

static bool
check_encryption(bool encrypted, const char *key, GError **error)
{
    return (!encrypted && !key) || ec2_unsupported(error, key ? "KmsKeyId" : "Encrypted");
}

typedef struct {
    VirgaImportTask task;
    Ec2Token token;
    Ec2NewTags tags;
    VirgaImportTask *made;
} Import;

static bool
check_snapshots(VirgaCall *call, VirgaTxn *txn, const VirgaImportTask *task, GError **error)
{
    for (size_t i = 0; i < task->disk_count; i++) {
        const char *id = task->disks[i].url ? NULL : task->disks[i].snapshot_id;
        const VirgaSnapshot *snapshot =
            id ? virga_snapshot_get(txn, call->arena, call->account_id, id, error) : NULL;

        if (id && !snapshot)
            return false;
        if (id && !g_str_equal(snapshot->state, "completed"))
            return virga_fail(error, "snapshot", VIRGA_ERROR_STATE,
                              "Snapshot '%s' is not 'completed'.", id);
    }
    return true;
}

static bool
import(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Import *asked = data;
    bool images = asked->task.architecture != NULL;
    g_autofree char *id = virga_id_new(images ? IMAGE_PREFIX : SNAPSHOT_PREFIX);
    const char *ids[] = { NULL, NULL };
    char *earlier;
    size_t count;

    asked->task.id = id;
    if (!ec2_token_take(call, txn, &asked->token, id, &earlier, error))
        return false;
    ids[0] = earlier ? earlier : id;
    if (!earlier && (!check_snapshots(call, txn, &asked->task, error) ||
                     !virga_import_task_create(txn, &asked->task, error) ||
                     !ec2_tags_set(call, txn, id, &asked->tags, error)))
        return false;
    if (!virga_import_task_list(txn, call->arena, call->account_id, ids, images, &asked->made,
                                &count, error))
        return false;
    return count || virga_fail(error, "import task", VIRGA_ERROR_NOT_FOUND,
                               "The import task '%s' does not exist", ids[0]);
}

/* ---- showing ---- */

static const char *
percent(const VirgaCall *call, const VirgaImportTask *row)
{
    return g_str_equal(row->state, "active")
               ? virga_arena_printf(call->arena, "%" G_GINT64_FORMAT, row->progress)
               : NULL;
}

static const char *
show_format(const VirgaCall *call, const VirgaImportDisk *disk)
{
    g_autofree char *upper = disk->format ? g_ascii_strup(disk->format, -1) : NULL;

    return virga_arena_strdup(call->arena, upper);
}

static Ec2SnapshotDetailList
show_disks(const VirgaCall *call, const VirgaImportTask *row)
{
    Ec2SnapshotDetailList list = { ec2_array(call, Ec2SnapshotDetail, row->disk_count),
                                   row->disk_count };

    for (size_t i = 0; i < row->disk_count; i++) {
        const VirgaImportDisk *disk = &row->disks[i];

        list.items[i] = (Ec2SnapshotDetail){ .description = disk->description,
                                             .device_name = disk->device,
                                             .disk_image_size = (double) disk->bytes,
                                             .has_disk_image_size = disk->bytes > 0,
                                             .format = show_format(call, disk),
                                             .snapshot_id = disk->snapshot_id,
                                             .status = row->state,
                                             .url = disk->url };
    }
    return list;
}

static Ec2ImportImageTask
show_image_task(const VirgaCall *call, const VirgaImportTask *row, Ec2TagList tags)
{
    return (Ec2ImportImageTask){ .architecture = row->architecture,
                                 .boot_mode = row->boot_mode,
                                 .description = row->description,
                                 .has_encrypted = true,
                                 .hypervisor = "xen", /* as EC2 calls all of them */
                                 .image_id = row->image_id,
                                 .import_task_id = row->id,
                                 .license_type = row->license,
                                 .platform = row->platform,
                                 .progress = percent(call, row),
                                 .snapshot_details = show_disks(call, row),
                                 .status = row->state,
                                 .status_message = row->message,
                                 .tags = tags };
}

static Ec2SnapshotTaskDetail *
show_detail(const VirgaCall *call, const VirgaImportTask *row)
{
    const VirgaImportDisk *disk = row->disks;
    Ec2SnapshotTaskDetail *shown = ec2_new(call, Ec2SnapshotTaskDetail);

    *shown = (Ec2SnapshotTaskDetail){ .description = disk->description,
                                      .disk_image_size = (double) disk->bytes,
                                      .has_disk_image_size = disk->bytes > 0,
                                      .has_encrypted = true,
                                      .format = show_format(call, disk),
                                      .progress = percent(call, row),
                                      .snapshot_id = disk->snapshot_id,
                                      .status = row->state,
                                      .status_message = row->message,
                                      .url = disk->url };
    return shown;
}

/* ---- images ---- */

static bool
refuse_others(const Ec2ImportImageRequest *request, GError **error)
{
    const struct {
        bool given;
        const char *name;
    } others[] = {
        { request->architecture && !g_str_equal(request->architecture, "x86_64"), "Architecture" },
        { request->platform && g_ascii_strcasecmp(request->platform, "linux") != 0, "Platform" },
        { request->license_specifications.count, "LicenseSpecifications" },
        { request->usage_operation && !g_str_equal(request->usage_operation, "RunInstances"),
          "UsageOperation" },
        { request->hypervisor && !g_str_equal(request->hypervisor, "xen"), "Hypervisor" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        if (others[i].given)
            return ec2_unsupported(error, others[i].name);
    return check_encryption(request->encrypted, request->kms_key_id, error);
}

static bool
read_disk(const VirgaCall *call, const Ec2ImageDiskContainer *container, size_t position,
          VirgaImportDisk *disk, GError **error)
{
    const char *device = container->device_name;

    *disk = (VirgaImportDisk){ .description = (char *) container->description };
    if (!device)
        device = position ? virga_arena_printf(call->arena, "/dev/sd%c", (char) ('a' + position))
                          : "/dev/sda1";
    disk->device = (char *) device;
    if (strlen(device) > 128 || !g_str_is_ascii(device))
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Value (%.100s) for parameter DeviceName is invalid.", device);
    if (container->snapshot_id && !container->url && !container->user_bucket) {
        disk->snapshot_id = (char *) container->snapshot_id;
        return virga_api_check_id(container->snapshot_id, "snap", "InvalidSnapshotID.Malformed",
                                  error);
    }
    if (container->snapshot_id)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "A disk container cannot have a SnapshotId and a Url");
    disk->url = (char *) container->url;
    return check_source(container->url, container->user_bucket, error) &&
           read_format(container->format, &disk->format, error) &&
           check_description(container->description, error);
}

static bool
read_disks(const VirgaCall *call, const Ec2ImageDiskContainerList *containers,
           VirgaImportTask *task, GError **error)
{
    if (containers->count == 0 || containers->count > DISKS_MAX)
        return virga_api_fail(error,
                              containers->count ? "InvalidParameterValue" : "MissingParameter", 400,
                              "The request must have between 1 and %d disk containers", DISKS_MAX);
    task->disks = ec2_array(call, VirgaImportDisk, containers->count);
    for (size_t i = 0; i < containers->count; i++) {
        if (!read_disk(call, &containers->items[i], i, &task->disks[i], error))
            return false;
        for (size_t j = 0; j < i; j++)
            if (g_str_equal(task->disks[i].device, task->disks[j].device))
                return virga_api_fail(error, "InvalidParameterValue", 400,
                                      "The device '%s' is used more than once",
                                      task->disks[i].device);
    }
    task->disk_count = containers->count;
    return true;
}

bool
ec2_import_image(VirgaCall *call, const Ec2ImportImageRequest *request,
                 Ec2ImportImageResult *response, GError **error)
{
    Import asked = { .task = { .account_id = (char *) call->account_id,
                               .description = (char *) request->description,
                               .architecture = (char *) "x86_64",
                               .boot_mode = (char *) (request->boot_mode ? request->boot_mode
                                                                         : "legacy-bios"),
                               .license = (char *) request->license_type,
                               .platform = (char *) "Linux" } };
    Ec2ImportImageTask shown;

    if (!refuse_others(request, error) || !check_description(request->description, error) ||
        !read_disks(call, &request->disk_containers, &asked.task, error) ||
        !ec2_tags_for(call, &request->tag_specifications, "import-image-task", &asked.tags,
                      error) ||
        !ec2_token_read(call, &ec2_import_image_request_shape, request, request->client_token,
                        &asked.token, error) ||
        !ec2_transaction(call, import, &asked, error))
        return false;
    shown = show_image_task(call, asked.made, ec2_tags_shown(call, &asked.tags));
    *response = (Ec2ImportImageResult){ .architecture = shown.architecture,
                                        .description = shown.description,
                                        .has_encrypted = true,
                                        .hypervisor = shown.hypervisor,
                                        .image_id = shown.image_id,
                                        .import_task_id = shown.import_task_id,
                                        .license_type = shown.license_type,
                                        .platform = shown.platform,
                                        .progress = shown.progress,
                                        .snapshot_details = shown.snapshot_details,
                                        .status = shown.status,
                                        .status_message = shown.status_message,
                                        .tags = shown.tags };
    return true;
}

/* ---- snapshots ---- */

bool
ec2_import_snapshot(VirgaCall *call, const Ec2ImportSnapshotRequest *request,
                    Ec2ImportSnapshotResult *response, GError **error)
{
    const Ec2SnapshotDiskContainer *container = request->disk_container;
    VirgaImportDisk *disk = ec2_new(call, VirgaImportDisk);
    Import asked = { .task = { .account_id = (char *) call->account_id,
                               .description = (char *) request->description,
                               .disks = disk,
                               .disk_count = 1 } };

    if (!container)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter DiskContainer");
    disk->url = (char *) container->url;
    disk->description =
        (char *) (container->description ? container->description : request->description);
    if (!check_encryption(request->encrypted, request->kms_key_id, error) ||
        !check_source(container->url, container->user_bucket, error) ||
        !read_format(container->format, &disk->format, error) ||
        !check_description(disk->description, error) ||
        !check_description(request->description, error) ||
        !ec2_tags_for(call, &request->tag_specifications, "import-snapshot-task", &asked.tags,
                      error) ||
        !ec2_token_read(call, &ec2_import_snapshot_request_shape, request, request->client_token,
                        &asked.token, error) ||
        !ec2_transaction(call, import, &asked, error))
        return false;
    response->description = asked.made->description;
    response->import_task_id = asked.made->id;
    response->snapshot_task_detail = show_detail(call, asked.made);
    response->tags = ec2_tags_shown(call, &asked.tags);
    return true;
}

/* ---- describing ---- */

typedef struct {
    VirgaImportTask *rows;
    size_t count;
    Ec2Tags tags;
} Tasks;

static bool
read_tasks(VirgaCall *call, const char *const *ids, bool images, Tasks *tasks, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);

    return txn &&
           virga_import_task_list(txn, call->arena, call->account_id, ids, images, &tasks->rows,
                                  &tasks->count, error) &&
           ec2_check_found(call, ids, tasks->rows, tasks->count, sizeof *tasks->rows,
                           offsetof(VirgaImportTask, id), "InvalidConversionTaskId", "import task",
                           error) &&
           ec2_tags_read(call, txn, ids, images ? "import-image-task" : "import-snapshot-task",
                         &tasks->tags, error);
}

/* EC2 says "completed" and means it when it is asked for the state. */
static const VirgaFilterField image_fields[] = { { "task-state", "Status" } };
static const VirgaFilterField snapshot_fields[] = { { "task-state", "SnapshotTaskDetail.Status" } };

bool
ec2_describe_import_image_tasks(VirgaCall *call, const Ec2DescribeImportImageTasksRequest *request,
                                Ec2DescribeImportImageTasksResult *response, GError **error)
{
    Ec2ImportImageTaskList *list = &response->import_image_tasks;
    const char *const *ids;
    VirgaFilter *filter;
    Tasks tasks;
    Ec2Page page;

    if (!ec2_ids(call, &request->import_task_ids, IMAGE_PREFIX, MALFORMED, &ids, error) ||
        !ec2_page_begin(call, request, 1, VIRGA_PAGE_MAX, &page, error))
        return false;
    filter = virga_filter_new(call->arena, image_fields, &ec2_import_image_task_shape,
                              &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error) || !read_tasks(call, ids, true, &tasks, error))
        return false;
    list->items = ec2_array(call, Ec2ImportImageTask, tasks.count);
    for (size_t i = 0; i < tasks.count; i++)
        list->items[list->count++] =
            show_image_task(call, &tasks.rows[i], ec2_tags_of(&tasks.tags, tasks.rows[i].id));
    ec2_answer(call, filter, &page, list, &ec2_import_image_task_shape, Ec2ImportImageTask,
               import_task_id, &response->next_token);
    return true;
}

bool
ec2_describe_import_snapshot_tasks(VirgaCall *call,
                                   const Ec2DescribeImportSnapshotTasksRequest *request,
                                   Ec2DescribeImportSnapshotTasksResult *response, GError **error)
{
    Ec2ImportSnapshotTaskList *list = &response->import_snapshot_tasks;
    const char *const *ids;
    VirgaFilter *filter;
    Tasks tasks;
    Ec2Page page;

    if (!ec2_ids(call, &request->import_task_ids, SNAPSHOT_PREFIX, MALFORMED, &ids, error) ||
        !ec2_page_begin(call, request, 1, VIRGA_PAGE_MAX, &page, error))
        return false;
    filter = virga_filter_new(call->arena, snapshot_fields, &ec2_import_snapshot_task_shape,
                              &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error) || !read_tasks(call, ids, false, &tasks, error))
        return false;
    list->items = ec2_array(call, Ec2ImportSnapshotTask, tasks.count);
    for (size_t i = 0; i < tasks.count; i++)
        list->items[list->count++] =
            (Ec2ImportSnapshotTask){ .description = tasks.rows[i].description,
                                     .import_task_id = tasks.rows[i].id,
                                     .snapshot_task_detail = show_detail(call, &tasks.rows[i]),
                                     .tags = ec2_tags_of(&tasks.tags, tasks.rows[i].id) };
    ec2_answer(call, filter, &page, list, &ec2_import_snapshot_task_shape, Ec2ImportSnapshotTask,
               import_task_id, &response->next_token);
    return true;
}

/* ---- canceling ---- */

typedef struct {
    const char *id, *reason, *previous, *state;
} Cancel;

static bool
cancel(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Cancel *asked = data;

    return virga_import_task_cancel(txn, call->account_id, asked->id, asked->reason,
                                    &asked->previous, &asked->state, error);
}

bool
ec2_cancel_import_task(VirgaCall *call, const Ec2CancelImportTaskRequest *request,
                       Ec2CancelImportTaskResult *response, GError **error)
{
    Cancel asked = { .id = request->import_task_id, .reason = request->cancel_reason };

    if (!asked.id)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter ImportTaskId");
    if (!virga_id_is(asked.id, IMAGE_PREFIX) &&
        !virga_api_check_id(asked.id, SNAPSHOT_PREFIX, MALFORMED, error))
        return false;
    if (!check_description(asked.reason, error) || !ec2_transaction(call, cancel, &asked, error))
        return false;
    response->import_task_id = asked.id;
    response->previous_state = asked.previous;
    response->state = asked.state;
    return true;
}
