/* SPDX-License-Identifier: Apache-2.0 */
/* What the owner of an image says of it: who may launch it, its description, whether it is
 * outdated, out of use or protected. */
#include "common.h"

#include "compute/image.h"

#define DEPRECATION_YEARS_MAX 10

typedef bool (*Work)(VirgaCall *call, VirgaTxn *txn, const VirgaImage *image, gconstpointer data,
                     GError **error);

/* One change of one image of the caller's. */
typedef struct {
    const char *id;
    Work work;
    gconstpointer data;
} Change;

static bool
change_image(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Change *change = data;
    const VirgaImage *image =
        virga_image_lock(txn, call->arena, call->account_id, change->id, error);

    return image && change->work(call, txn, image, change->data, error);
}

static bool
run(VirgaCall *call, const char *id, Work work, gconstpointer data, GError **error)
{
    Change change = { .id = id, .work = work, .data = data };

    return virga_api_check_id(id, "ami", "InvalidAMIID.Malformed", error) &&
           ec2_transaction(call, change_image, &change, error);
}

/* ---- describing ---- */

static bool
show_permissions(const VirgaCall *call, VirgaTxn *txn, const VirgaImage *image,
                 Ec2LaunchPermissionList *list, GError **error)
{
    VirgaImagePermission *rows;
    size_t count;

    if (!virga_image_permissions(txn, call->arena, call->account_id, image->id, &rows, &count,
                                 error))
        return false;
    list->items = ec2_array(call, Ec2LaunchPermission, count + 1); /* shown even if empty */
    if (image->is_public)
        list->items[list->count++].group = "all";
    for (size_t i = 0; i < count; i++)
        list->items[list->count++].user_id = rows[i].account_id;
    return true;
}

static void
show_devices(const VirgaCall *call, const VirgaImage *image, Ec2BlockDeviceMappingList *list)
{
    list->items = ec2_array(call, Ec2BlockDeviceMapping, image->device_count + 1);
    for (; list->count < image->device_count; list->count++) {
        const VirgaImageDevice *device = &image->devices[list->count];
        Ec2EbsBlockDevice *ebs = ec2_new(call, Ec2EbsBlockDevice);

        ebs->delete_on_termination = device->delete_on_termination;
        ebs->volume_size = device->size_gib;
        ebs->has_delete_on_termination = ebs->has_volume_size = ebs->has_encrypted = true;
        ebs->snapshot_id = device->snapshot_id;
        ebs->volume_type = device->volume_type;
        list->items[list->count] =
            (Ec2BlockDeviceMapping){ .device_name = device->device, .ebs = ebs };
    }
}

static const char *
show_time(const VirgaCall *call, gint64 time_us)
{
    g_autoptr(GString) text = g_string_new(NULL);

    virga_wire_append_time(text, time_us);
    return virga_arena_strdup(call->arena, text->str);
}

static bool
show_attribute(const VirgaCall *call, VirgaTxn *txn, const char *name, const VirgaImage *image,
               Ec2DescribeImageAttributeResponse *response, GError **error)
{
    if (g_str_equal(name, "launchPermission"))
        return show_permissions(call, txn, image, &response->launch_permissions, error);
    if (g_str_equal(name, "description"))
        response->description = ec2_text_shown(call, image->description ? image->description : "");
    else if (g_str_equal(name, "bootMode"))
        response->boot_mode = ec2_text_shown(call, image->boot_mode);
    else if (g_str_equal(name, "imdsSupport"))
        response->imds_support = ec2_text_shown(call, image->imds_support);
    else if (g_str_equal(name, "deregistrationProtection"))
        response->deregistration_protection = ec2_text_shown(call, image->protection);
    else if (g_str_equal(name, "lastLaunchedTime"))
        response->last_launched_time = ec2_text_shown(
            call, image->last_launched ? show_time(call, image->last_launched) : NULL);
    else if (g_str_equal(name, "blockDeviceMapping"))
        show_devices(call, image, &response->block_device_mappings);
    else if (g_str_equal(name, "productCodes"))
        response->product_codes.items = ec2_new(call, Ec2ProductCode); /* none, and that is shown */
    else if (g_str_equal(name, "kernel"))
        response->kernel_id = ec2_text_shown(call, NULL);
    else if (g_str_equal(name, "ramdisk"))
        response->ramdisk_id = ec2_text_shown(call, NULL);
    else if (g_str_equal(name, "sriovNetSupport"))
        response->sriov_net_support = ec2_text_shown(call, NULL);
    else if (g_str_equal(name, "tpmSupport"))
        response->tpm_support = ec2_text_shown(call, NULL);
    else if (g_str_equal(name, "uefiData"))
        response->uefi_data = ec2_text_shown(call, NULL);
    return true;
}

bool
ec2_describe_image_attribute(VirgaCall *call, const Ec2DescribeImageAttributeRequest *request,
                             Ec2DescribeImageAttributeResponse *response, GError **error)
{
    g_autoptr(VirgaTxn) txn = NULL;
    const VirgaImage *image;

    if (!virga_api_check_id(request->image_id, "ami", "InvalidAMIID.Malformed", error))
        return false;
    txn = virga_db_read(call->db, error);
    image =
        txn ? virga_image_get(txn, call->arena, call->account_id, request->image_id, error) : NULL;
    if (!image || !virga_call_dry_run(call, error))
        return false;
    if (!g_str_equal(image->account_id, call->account_id))
        return virga_api_fail(error, "AuthFailure", 403, "Not authorized for image:%s", image->id);
    response->image_id = image->id;
    return show_attribute(call, txn, request->attribute, image, response, error);
}

/* ---- modifying ---- */

typedef struct {
    const char *description, *imds_support;
    const Ec2LaunchPermissionList *add, *remove;
} Modification;

static bool
share(VirgaTxn *txn, const VirgaImage *image, const Ec2LaunchPermissionList *list, bool add,
      GError **error)
{
    for (size_t i = 0; list && i < list->count; i++) {
        const Ec2LaunchPermission *permission = &list->items[i];

        if (permission->group && !virga_image_set_public(txn, image->id, add, error))
            return false;
        if (permission->user_id &&
            !virga_image_share(txn, image->id, permission->user_id, add, error))
            return false;
    }
    return true;
}

/* The keys of its snapshots are the account's own. */
static bool
check_encryption(const VirgaImage *image, GError **error)
{
    for (size_t i = 0; i < image->device_count; i++)
        if (image->devices[i].key_id)
            return virga_api_fail(error, "InvalidParameter", 400,
                                  "Snapshots encrypted with the AWS Managed CMK can't be shared. "
                                  "Specify another snapshot.");
    return true;
}

static bool
modify(VirgaCall *call, VirgaTxn *txn, const VirgaImage *image, gconstpointer data, GError **error)
{
    const Modification *asked = data;

    if (asked->add && asked->add->count && g_str_equal(image->state, "disabled"))
        return virga_fail(error, "image", VIRGA_ERROR_STATE,
                          "The image '%s' is disabled and cannot be shared", image->id);
    if (asked->add && asked->add->count && !check_encryption(image, error))
        return false;
    return share(txn, image, asked->add, true, error) &&
           share(txn, image, asked->remove, false, error) &&
           virga_image_describe(txn, image->id, asked->description, asked->imds_support, error);
}

static bool
check_permissions(const Ec2LaunchPermissionList *list, GError **error)
{
    for (size_t i = 0; list && i < list->count; i++) {
        const Ec2LaunchPermission *permission = &list->items[i];
        const char *user = permission->user_id;

        if (permission->organization_arn || permission->organizational_unit_arn)
            return ec2_unsupported(error, permission->organization_arn
                                              ? "LaunchPermission.OrganizationArn"
                                              : "LaunchPermission.OrganizationalUnitArn");
        if (!user && !permission->group)
            return virga_api_fail(error, "MissingParameter", 400,
                                  "A launch permission must have a UserId or a Group");
        if (permission->group && !g_str_equal(permission->group, "all"))
            return virga_api_fail(
                error, "InvalidAMIAttributeItemValue", 400,
                "Invalid attribute item value \"%.100s\" for userGroup item type.",
                permission->group);
        if (user && (strlen(user) != 12 || strspn(user, "0123456789") != 12))
            return virga_api_fail(error, "InvalidAMIAttributeItemValue", 400,
                                  "Invalid attribute item value \"%.100s\" for userId item type.",
                                  user);
    }
    return true;
}

/* The older form: OperationType with UserIds and UserGroups. */
static bool
read_operation(const VirgaCall *call, const Ec2ModifyImageAttributeRequest *request,
               Modification *change, GError **error)
{
    Ec2LaunchPermissionList *list = ec2_new(call, Ec2LaunchPermissionList);

    if (!request->operation_type)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter operationType");
    list->items =
        ec2_array(call, Ec2LaunchPermission, request->user_ids.count + request->user_groups.count);
    for (size_t i = 0; i < request->user_ids.count; i++)
        list->items[list->count++].user_id = request->user_ids.items[i];
    for (size_t i = 0; i < request->user_groups.count; i++)
        list->items[list->count++].group = request->user_groups.items[i];
    *(g_str_equal(request->operation_type, "add") ? &change->add : &change->remove) = list;
    return true;
}

static bool
read_pair(const Ec2ModifyImageAttributeRequest *request, Modification *change, GError **error)
{
    const char *name = request->attribute;

    if (!name || g_str_equal(name, "launchPermission"))
        return true;
    if (!g_str_equal(name, "description") && !g_str_equal(name, "imdsSupport"))
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Value (%.100s) for parameter attribute is invalid.", name);
    if (!request->value)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter Value");
    *(g_str_equal(name, "description") ? &change->description : &change->imds_support) =
        request->value;
    return true;
}

static bool
read_modification(const VirgaCall *call, const Ec2ModifyImageAttributeRequest *request,
                  Modification *change, GError **error)
{
    if (request->product_codes.count)
        return ec2_unsupported(error, "ProductCode");
    if (request->organization_arns.count || request->organizational_unit_arns.count)
        return ec2_unsupported(error, "OrganizationArn");
    if (request->launch_permission) {
        change->add = &request->launch_permission->add;
        change->remove = &request->launch_permission->remove;
    } else if ((request->user_ids.count || request->user_groups.count) &&
               !read_operation(call, request, change, error)) {
        return false;
    }
    if (request->description)
        change->description = request->description->value ? request->description->value : "";
    if (request->imds_support)
        change->imds_support = request->imds_support->value;
    if (!read_pair(request, change, error) || !check_permissions(change->add, error) ||
        !check_permissions(change->remove, error))
        return false;
    if (change->imds_support && !g_str_equal(change->imds_support, "v2.0"))
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Value (%.100s) for parameter imdsSupport is invalid. Expecting "
                              "'v2.0'.",
                              change->imds_support);
    return change->add || change->remove || change->description || change->imds_support ||
           virga_api_fail(error, "MissingParameter", 400, "No attributes specified.");
}

bool
ec2_modify_image_attribute(VirgaCall *call, const Ec2ModifyImageAttributeRequest *request,
                           Ec2ModifyImageAttributeResponse *response, GError **error)
{
    Modification change = { 0 };

    return read_modification(call, request, &change, error) &&
           run(call, request->image_id, modify, &change, error);
}

static bool
reset(VirgaCall *call, VirgaTxn *txn, const VirgaImage *image, gconstpointer data, GError **error)
{
    return virga_image_unshare(txn, image->id, error);
}

bool
ec2_reset_image_attribute(VirgaCall *call, const Ec2ResetImageAttributeRequest *request,
                          Ec2ResetImageAttributeResponse *response, GError **error)
{
    return run(call, request->image_id, reset, NULL, error);
}

/* ---- deprecation, use, protection ---- */

static bool
deprecate(VirgaCall *call, VirgaTxn *txn, const VirgaImage *image, gconstpointer at, GError **error)
{
    return virga_image_deprecate(txn, image->id, *(const gint64 *) at, error);
}

bool
ec2_enable_image_deprecation(VirgaCall *call, const Ec2EnableImageDeprecationRequest *request,
                             Ec2EnableImageDeprecationResponse *response, GError **error)
{
    gint64 now = g_get_real_time(), minute = G_TIME_SPAN_MINUTE;
    gint64 at = (request->deprecate_at + minute / 2) / minute * minute; /* as AWS rounds */

    if (request->deprecate_at <= now ||
        request->deprecate_at > now + DEPRECATION_YEARS_MAX * 366 * G_TIME_SPAN_DAY)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "DeprecateAt must be a time in the future, and at most %d years from "
                              "now.",
                              DEPRECATION_YEARS_MAX);
    response->return_ = response->has_return_ = true;
    return run(call, request->image_id, deprecate, &at, error);
}

bool
ec2_disable_image_deprecation(VirgaCall *call, const Ec2DisableImageDeprecationRequest *request,
                              Ec2DisableImageDeprecationResponse *response, GError **error)
{
    static const gint64 never = 0;

    response->return_ = response->has_return_ = true;
    return run(call, request->image_id, deprecate, &never, error);
}

static bool
disable(VirgaCall *call, VirgaTxn *txn, const VirgaImage *image, gconstpointer disabled,
        GError **error)
{
    return virga_image_disable(txn, image->id, *(const bool *) disabled, error);
}

bool
ec2_disable_image(VirgaCall *call, const Ec2DisableImageRequest *request,
                  Ec2DisableImageResponse *response, GError **error)
{
    static const bool disabled = true;

    response->return_ = response->has_return_ = true;
    return run(call, request->image_id, disable, &disabled, error);
}

bool
ec2_enable_image(VirgaCall *call, const Ec2EnableImageRequest *request,
                 Ec2EnableImageResponse *response, GError **error)
{
    static const bool disabled = false;

    response->return_ = response->has_return_ = true;
    return run(call, request->image_id, disable, &disabled, error);
}

static bool
protect(VirgaCall *call, VirgaTxn *txn, const VirgaImage *image, gconstpointer protection,
        GError **error)
{
    return virga_image_protect(txn, image->id, protection, error);
}

bool
ec2_enable_image_deregistration_protection(
    VirgaCall *call, const Ec2EnableImageDeregistrationProtectionRequest *request,
    Ec2EnableImageDeregistrationProtectionResponse *response, GError **error)
{
    const char *protection =
        request->with_cooldown ? "enabled-with-cooldown" : "enabled-without-cooldown";

    response->return_ = protection;
    return run(call, request->image_id, protect, protection, error);
}

bool
ec2_disable_image_deregistration_protection(
    VirgaCall *call, const Ec2DisableImageDeregistrationProtectionRequest *request,
    Ec2DisableImageDeregistrationProtectionResponse *response, GError **error)
{
    response->return_ = "disabled";
    return run(call, request->image_id, protect, "disabled", error);
}
