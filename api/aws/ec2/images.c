/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeImages, RegisterImage, DeregisterImage.  What an owner says of an image afterwards is in
 * image-attributes.c.  The operator's public images are what clients look for under the owner
 * "amazon". */
#include "block-devices.h"
#include "images.h"

#include "api/store.h"
#include "compute/volume-snapshot.h"

#include "compute/image.h"

#define CLOUD_ALIAS "amazon"
#define PAGE_MIN    1

static const VirgaFilterField image_fields[] = {
    { "architecture", "Architecture" },
    { "block-device-mapping.delete-on-termination", "BlockDeviceMappings.Ebs.DeleteOnTermination" },
    { "block-device-mapping.device-name", "BlockDeviceMappings.DeviceName" },
    { "block-device-mapping.encrypted", "BlockDeviceMappings.Ebs.Encrypted" },
    { "block-device-mapping.snapshot-id", "BlockDeviceMappings.Ebs.SnapshotId" },
    { "block-device-mapping.volume-size", "BlockDeviceMappings.Ebs.VolumeSize" },
    { "block-device-mapping.volume-type", "BlockDeviceMappings.Ebs.VolumeType" },
    { "boot-mode", "BootMode" },
    { "creation-date", "CreationDate" },
    { "description", "Description" },
    { "ena-support", "EnaSupport" },
    { "free-tier-eligible", "FreeTierEligible" },
    { "hypervisor", "Hypervisor" },
    { "image-allowed", "ImageAllowed" },
    { "image-id", "ImageId" },
    { "image-type", "ImageType" },
    { "is-public", "Public" },
    { "kernel-id", "KernelId" },
    { "manifest-location", "ImageLocation" },
    { "name", "Name" },
    { "owner-alias", "ImageOwnerAlias" },
    { "owner-id", "OwnerId" },
    { "platform", "Platform" },
    { "platform-details", "PlatformDetails" },
    { "product-code", "ProductCodes.ProductCodeId" },
    { "product-code.type", "ProductCodes.ProductCodeType" },
    { "ramdisk-id", "RamdiskId" },
    { "root-device-name", "RootDeviceName" },
    { "root-device-type", "RootDeviceType" },
    { "source-image-id", "SourceImageId" },
    { "source-image-region", "SourceImageRegion" },
    { "source-instance-id", "SourceInstanceId" },
    { "sriov-net-support", "SriovNetSupport" },
    { "state", "State" },
    { "state-reason-code", "StateReason.Code" },
    { "state-reason-message", "StateReason.Message" },
    { "usage-operation", "UsageOperation" },
    { "virtualization-type", "VirtualizationType" },
};

static Ec2BlockDeviceMappingList
show_devices(const VirgaCall *call, const VirgaImage *row)
{
    Ec2BlockDeviceMappingList list = { ec2_array(call, Ec2BlockDeviceMapping, row->device_count),
                                       row->device_count };

    for (size_t i = 0; i < row->device_count; i++) {
        const VirgaImageDevice *device = &row->devices[i];
        Ec2EbsBlockDevice *ebs = ec2_new(call, Ec2EbsBlockDevice);

        *ebs = (Ec2EbsBlockDevice){ .delete_on_termination = device->delete_on_termination,
                                    .has_delete_on_termination = true,
                                    .iops = device->iops,
                                    .has_iops = device->iops != 0,
                                    .throughput = device->throughput,
                                    .has_throughput = device->throughput != 0,
                                    .snapshot_id = device->snapshot_id,
                                    .volume_size = device->size_gib,
                                    .has_volume_size = true,
                                    .volume_type = device->volume_type,
                                    .encrypted = device->encrypted,
                                    .has_encrypted = true };
        list.items[i] = (Ec2BlockDeviceMapping){ .ebs = ebs, .device_name = device->device };
    }
    return list;
}

static const char *
show_time(const VirgaCall *call, gint64 time_us)
{
    g_autoptr(GString) text = g_string_new(NULL);

    virga_wire_append_time(text, time_us);
    return virga_arena_strdup(call->arena, text->str);
}

static void
show_image(const VirgaCall *call, const VirgaImage *row, const Ec2Tags *tags, Ec2Image *shown)
{
    *shown = (Ec2Image){ .architecture = row->architecture,
                         .block_device_mappings = show_devices(call, row),
                         .boot_mode = row->boot_mode,
                         .creation_date = show_time(call, row->created),
                         .description = row->description,
                         .ena_support = row->ena_support,
                         .has_ena_support = true,
                         .hypervisor = "xen", /* EC2 knows this and "ovm" */
                         .image_id = row->id,
                         .image_location =
                             virga_arena_printf(call->arena, "%s/%s", row->account_id, row->name),
                         .image_owner_alias = row->of_cloud ? CLOUD_ALIAS : NULL,
                         .image_type = "machine",
                         .imds_support = row->imds_support,
                         .name = row->name,
                         .owner_id = row->account_id,
                         .platform_details = "Linux/UNIX",
                         .public = row->is_public,
                         .has_public = true,
                         .root_device_name = row->root_device_name,
                         .root_device_type = "ebs",
                         .state = row->state,
                         .usage_operation = "RunInstances",
                         .virtualization_type = "hvm" };
    if (row->state_reason) {
        shown->state_reason = ec2_new(call, Ec2StateReason);
        *shown->state_reason =
            (Ec2StateReason){ .code = "Server.InternalError", .message = row->state_reason };
    }
    if (row->deprecated)
        shown->deprecation_time = show_time(call, row->deprecated);
    if (!g_str_equal(row->account_id, call->account_id)) /* the rest is its owner's */
        return;
    shown->tags = ec2_tags_of(tags, row->id);
    shown->deregistration_protection = row->protection;
    shown->source_instance_id = row->source_instance_id;
    shown->source_image_id = row->source_image_id;
    shown->source_image_region = row->source_image_id ? call->region : NULL;
    if (row->last_launched)
        shown->last_launched_time = show_time(call, row->last_launched);
}

static bool
has_owner(const VirgaCall *call, const char *const *owners, const VirgaImage *row)
{
    bool own = g_str_equal(row->account_id, call->account_id);

    return !owners || g_strv_contains(owners, row->account_id) ||
           (own && g_strv_contains(owners, "self")) ||
           (row->of_cloud && g_strv_contains(owners, CLOUD_ALIAS));
}

typedef struct {
    const char *const *users; /* NULL: whoever may use it */
    const VirgaImagePermission *permissions;
    size_t count;
} Users;

/* Whom an image was given to explicitly: everyone, the caller, or, for its owner to see, others. */
static bool
has_user(const VirgaCall *call, const Users *users, const VirgaImage *row)
{
    if (!users->users || (row->is_public && g_strv_contains(users->users, "all")) ||
        (row->shared && (g_strv_contains(users->users, "self") ||
                         g_strv_contains(users->users, call->account_id))))
        return true;
    for (size_t i = 0; i < users->count; i++)
        if (g_str_equal(users->permissions[i].image_id, row->id) &&
            g_strv_contains(users->users, users->permissions[i].account_id))
            return true;
    return false;
}

/* What is outdated or out of use is shown to who asks for it, by its id too. */
static bool
is_current(const VirgaCall *call, const Ec2DescribeImagesRequest *request, const VirgaImage *row)
{
    bool own = g_str_equal(row->account_id, call->account_id);

    if (request->image_ids.count)
        return true;
    if (!request->include_disabled && g_str_equal(row->state, "disabled"))
        return false;
    return request->include_deprecated || own || !row->deprecated ||
           row->deprecated > g_get_real_time();
}

static bool
read_images(VirgaCall *call, const Ec2DescribeImagesRequest *request, const char *const *ids,
            Ec2ImageList *list, GError **error)
{
    const char *const *owners = ec2_strings(call, &request->owners);
    Users users = { .users = ec2_strings(call, &request->executable_users) };
    VirgaImagePermission *permissions = NULL;
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    Ec2Tags tags;
    VirgaImage *rows;
    size_t count;

    if (!txn || !virga_image_list(txn, call->arena, call->account_id, ids, &rows, &count, error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaImage, id),
                         "InvalidAMIID.NotFound", "image id", error) ||
        !ec2_tags_read(call, txn, ids, "image", &tags, error) ||
        (users.users && !virga_image_permissions(txn, call->arena, call->account_id, NULL,
                                                 &permissions, &users.count, error)))
        return false;
    users.permissions = permissions;
    list->items = ec2_array(call, Ec2Image, count);
    for (size_t i = 0; i < count; i++)
        if (has_owner(call, owners, &rows[i]) && has_user(call, &users, &rows[i]) &&
            is_current(call, request, &rows[i]))
            show_image(call, &rows[i], &tags, &list->items[list->count++]);
    return true;
}

static bool
check_accounts(const char *const *accounts, size_t count, const char *const *aliases,
               GError **error)
{
    for (size_t i = 0; i < count; i++) {
        const char *account = accounts[i];

        if (!g_strv_contains(aliases, account) &&
            (strlen(account) != 12 || strspn(account, "0123456789") != 12))
            return virga_api_fail(error, "InvalidUserID.Malformed", 400,
                                  "Invalid user id: \"%.200s\"", account);
    }
    return true;
}

bool
ec2_describe_images(VirgaCall *call, const Ec2DescribeImagesRequest *request,
                    Ec2DescribeImagesResponse *response, GError **error)
{
    static const char *const owners[] = { "self", "amazon", "aws-marketplace", "aws-backup-vault",
                                          NULL };
    static const char *const users[] = { "self", "all", NULL };
    const char *const *ids;
    VirgaFilter *filter;
    Ec2Page page;

    if (!ec2_ids(call, &request->image_ids, "ami", "InvalidAMIID.Malformed", &ids, error) ||
        !check_accounts(request->owners.items, request->owners.count, owners, error) ||
        !check_accounts(request->executable_users.items, request->executable_users.count, users,
                        error) ||
        !ec2_page_begin(call, request, PAGE_MIN, VIRGA_PAGE_MAX, &page, error) ||
        !ec2_check_unpaged(ids, request->has_max_results, "imageIdsSet", error))
        return false;
    filter =
        virga_filter_new(call->arena, image_fields, &ec2_image_shape, &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !read_images(call, request, ids, &response->images, error))
        return false;
    ec2_answer(call, filter, &page, &response->images, &ec2_image_shape, Ec2Image, image_id,
               &response->next_token);
    return true;
}

/* ---- registering ---- */

static bool
refuse_others(const Ec2RegisterImageRequest *request, GError **error)
{
    const struct {
        bool given;
        const char *name;
    } others[] = {
        { request->image_location, "ImageLocation" },
        { request->billing_products.count, "BillingProduct" },
        { request->tpm_support, "TpmSupport" },
        { request->uefi_data, "UefiData" },
        { request->kernel_id, "KernelId" },
        { request->ramdisk_id, "RamdiskId" },
        { request->sriov_net_support, "SriovNetSupport" },
        { request->virtualization_type && !g_str_equal(request->virtualization_type, "hvm"),
          "VirtualizationType" },
        { request->architecture && !g_str_equal(request->architecture, "x86_64"), "Architecture" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        if (others[i].given)
            return ec2_unsupported(error, others[i].name);
    return true;
}

bool
ec2_check_image_name(const char *name, GError **error)
{
    gsize length = name ? strlen(name) : 0;

    if (!name)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter name");
    if (length >= 3 && length <= 128 &&
        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                     "()[] ./-'@_") == length)
        return true;
    return virga_api_fail(error, "InvalidAMIName.Malformed", 400,
                          "AMI names must be between 3 and 128 characters long, and may contain "
                          "letters, numbers, '(', ')', '[', ']', ' ', '.', '/', '-', ''', '@' and "
                          "'_'");
}

typedef struct {
    VirgaImage image;
    Ec2NewTags tags;
    char *id;
} Register;

static bool
register_image(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Register *asked = data;

    return virga_image_register(txn, call->arena, &asked->image, &asked->id, error) &&
           ec2_tags_set(call, txn, asked->id, &asked->tags, error);
}

static bool
read_devices(const VirgaCall *call, const Ec2RegisterImageRequest *request, VirgaImage *image,
             GError **error)
{
    VirgaDiskSpec *disks;
    size_t count;

    if (!ec2_block_devices(call, &request->block_device_mappings, &disks, &count, error))
        return false;
    image->devices = ec2_array(call, VirgaImageDevice, count);
    for (size_t i = 0; i < count; i++) {
        if (disks[i].no_device)
            continue;
        if (!disks[i].snapshot_id && !disks[i].size_gib)
            return virga_api_fail(error, "InvalidBlockDeviceMapping", 400,
                                  "The mapping of device '%s' needs a snapshot or a size",
                                  disks[i].device);
        if (disks[i].snapshot_id && !ec2_check_no_flag(&disks[i], error))
            return false;
        image->devices[image->device_count++] =
            (VirgaImageDevice){ .device = (char *) disks[i].device,
                                .encrypted = disks[i].encrypted,
                                .snapshot_id = (char *) disks[i].snapshot_id,
                                .volume_type = (char *) disks[i].volume_type,
                                .size_gib = disks[i].size_gib,
                                .iops = disks[i].iops,
                                .throughput = disks[i].throughput,
                                .delete_on_termination = disks[i].delete_on_termination != 0 };
    }
    return true;
}

bool
ec2_register_image(VirgaCall *call, const Ec2RegisterImageRequest *request,
                   Ec2RegisterImageResponse *response, GError **error)
{
    Register asked = {
        .image = { .account_id = (char *) call->account_id,
                   .name = (char *) request->name,
                   .description = (char *) request->description,
                   .architecture = (char *) "x86_64",
                   .boot_mode = (char *) (request->boot_mode ? request->boot_mode : "legacy-bios"),
                   .root_device_name =
                       (char *) (request->root_device_name ? request->root_device_name
                                                           : "/dev/sda1"),
                   .imds_support = (char *) request->imds_support,
                   .ena_support = !request->has_ena_support || request->ena_support }
    };

    if (!refuse_others(request, error) || !ec2_check_image_name(request->name, error) ||
        !ec2_tags_for(call, &request->tag_specifications, "image", &asked.tags, error) ||
        !read_devices(call, request, &asked.image, error) ||
        !ec2_transaction(call, register_image, &asked, error))
        return false;
    response->image_id = asked.id;
    return true;
}

typedef struct {
    const Ec2DeregisterImageRequest *request;
    Ec2DeleteSnapshotReturnCode *results;
    const char *const **files; /* of each snapshot that went */
    size_t count;
} Deregister;

/* A snapshot that another image has stays, and so does one of another account. */
static bool
delete_snapshot(VirgaCall *call, VirgaTxn *txn, Deregister *asked, const char *id, GError **error)
{
    g_autoptr(GError) reason = NULL;
    const char *code = "success";

    if (!virga_snapshot_remove(txn, call->arena, call->account_id, id, &asked->files[asked->count],
                               &reason)) {
        if (!virga_error_is(reason, "snapshot", VIRGA_ERROR_IN_USE) &&
            !virga_error_is(reason, "snapshot", VIRGA_ERROR_DENIED) &&
            !virga_error_is(reason, "snapshot lock", VIRGA_ERROR_DENIED) &&
            !virga_error_is(reason, "snapshot", VIRGA_ERROR_NOT_FOUND)) {
            g_propagate_error(error, g_steal_pointer(&reason));
            return false;
        }
        code = virga_error_is(reason, "snapshot", VIRGA_ERROR_DENIED) ? "missing-permissions"
                                                                      : "skipped";
        asked->files[asked->count] = NULL;
    }
    asked->results[asked->count++] =
        (Ec2DeleteSnapshotReturnCode){ .snapshot_id = id, .return_code = code };
    return true;
}

static bool
deregister(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Deregister *asked = data;
    const VirgaImage *image =
        virga_image_lock(txn, call->arena, call->account_id, asked->request->image_id, error);

    if (!image || !virga_image_deregister(txn, call->account_id, image->id, error))
        return false;
    asked->count = 0;
    asked->results = ec2_array(call, Ec2DeleteSnapshotReturnCode, image->device_count);
    asked->files = ec2_array(call, const char *const *, image->device_count);
    for (size_t i = 0; asked->request->delete_associated_snapshots && i < image->device_count; i++)
        if (image->devices[i].snapshot_id &&
            !delete_snapshot(call, txn, asked, image->devices[i].snapshot_id, error))
            return false;
    return true;
}

bool
ec2_deregister_image(VirgaCall *call, const Ec2DeregisterImageRequest *request,
                     Ec2DeregisterImageResponse *response, GError **error)
{
    Deregister asked = { .request = request };

    if (!virga_api_check_id(request->image_id, "ami", "InvalidAMIID.Malformed", error) ||
        !ec2_transaction(call, deregister, &asked, error))
        return false;
    for (size_t i = 0; i < asked.count; i++)
        if (asked.files[i])
            virga_store_forget(ec2_services(call), asked.files[i]);
    response->delete_snapshot_results.items = asked.results;
    response->delete_snapshot_results.count = asked.count;
    response->return_ = response->has_return_ = true;
    return true;
}
