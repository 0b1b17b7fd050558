/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeInstanceAttribute, ModifyInstanceAttribute, ResetInstanceAttribute: one attribute at a
 * time. */
#include "instance-view.h"

#include "api/user-data.h"

static bool
show_attribute(const VirgaCall *call, VirgaTxn *txn, const char *name, const VirgaInstance *row,
               const Ec2Instance *shown, Ec2DescribeInstanceAttributeResponse *response,
               GError **error)
{
    char *user_data;

    if (g_str_equal(name, "instanceType"))
        response->instance_type = ec2_text_shown(call, row->type);
    else if (g_str_equal(name, "rootDeviceName"))
        response->root_device_name = ec2_text_shown(call, row->root_device_name);
    else if (g_str_equal(name, "instanceInitiatedShutdownBehavior"))
        response->instance_initiated_shutdown_behavior =
            ec2_text_shown(call, row->shutdown_behavior);
    else if (g_str_equal(name, "disableApiTermination"))
        response->disable_api_termination = ec2_flag_shown(call, row->disable_termination);
    else if (g_str_equal(name, "disableApiStop"))
        response->disable_api_stop = ec2_flag_shown(call, row->disable_stop);
    else if (g_str_equal(name, "ebsOptimized"))
        response->ebs_optimized = ec2_flag_shown(call, row->ebs_optimized);
    else if (g_str_equal(name, "enaSupport"))
        response->ena_support = ec2_flag_shown(call, true);
    else if (g_str_equal(name, "sourceDestCheck"))
        response->source_dest_check = ec2_flag_shown(call, shown->source_dest_check);
    else if (g_str_equal(name, "blockDeviceMapping"))
        response->block_device_mappings = shown->block_device_mappings;
    else if (g_str_equal(name, "groupSet"))
        response->groups = shown->security_groups;
    else if (g_str_equal(name, "enclaveOptions"))
        response->enclave_options = shown->enclave_options;
    else if (g_str_equal(name, "kernel"))
        response->kernel_id = ec2_text_shown(call, NULL);
    else if (g_str_equal(name, "ramdisk"))
        response->ramdisk_id = ec2_text_shown(call, NULL);
    else if (g_str_equal(name, "sriovNetSupport"))
        response->sriov_net_support = ec2_text_shown(call, NULL);
    else if (g_str_equal(name, "userData")) {
        if (!virga_instance_user_data(txn, call->arena, call->account_id, row->id, &user_data,
                                      error))
            return false;
        response->user_data = ec2_text_shown(call, user_data);
    } else if (g_str_equal(name, "productCodes"))
        response->product_codes.items = ec2_new(call, Ec2ProductCode); /* none, and that is shown */
    return true;
}

bool
ec2_describe_instance_attribute(VirgaCall *call, const Ec2DescribeInstanceAttributeRequest *request,
                                Ec2DescribeInstanceAttributeResponse *response, GError **error)
{
    const char *ids[] = { request->instance_id, NULL };
    g_autoptr(VirgaTxn) txn = NULL;
    Ec2InstanceParts parts;
    VirgaInstance *row;
    size_t count;

    if (!virga_api_check_id(request->instance_id, "i", "InvalidInstanceID.Malformed", error))
        return false;
    txn = virga_db_read(call->db, error);
    if (!txn || !ec2_instances_find(call, txn, ids, &row, &count, error) ||
        !virga_call_dry_run(call, error) || !ec2_instance_parts_read(call, txn, ids, &parts, error))
        return false;
    response->instance_id = row->id;
    return show_attribute(call, txn, request->attribute, row,
                          ec2_instances_show(call, row, 1, &parts), response, error);
}

/* ---- changes ---- */

static bool
parse_flag(const char *value, int *ret, GError **error)
{
    if (g_strcmp0(value, "true") != 0 && g_strcmp0(value, "false") != 0)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Value (%.200s) for parameter value is invalid. Expecting true or "
                              "false.",
                              value ? value : "");
    *ret = g_str_equal(value, "true");
    return true;
}

static bool
set_type(const VirgaCall *call, const char *name, VirgaInstanceAttributes *change, GError **error)
{
    change->type =
        name && *name ? virga_instance_type_find(ec2_services(call)->config, name) : NULL;
    return change->type ||
           virga_api_fail(error, "InvalidInstanceAttributeValue", 400,
                          "Invalid value '%.100s' for InstanceType.", name ? name : "");
}

static bool
set_user_data(const VirgaCall *call, const char *base64, VirgaInstanceAttributes *change,
              GError **error)
{
    if (!virga_user_data_read(call->arena, base64, &change->user_data, error))
        return false;
    if (!change->user_data)
        change->user_data = "";
    return true;
}

static bool
set_groups(const VirgaCall *call, const void *list, VirgaInstanceAttributes *change, GError **error)
{
    return ec2_ids(call, list, "sg", "InvalidGroupId.Malformed", &change->group_ids, error);
}

/* Every guest has a driver that knows of no other interfaces than ENA's stand-in. */
static bool
set_ena(int wanted, VirgaInstanceAttributes *change, GError **error)
{
    change->stopped_only = true;
    return wanted != 0 || ec2_unsupported(error, "EnaSupport");
}

/* The older form: Attribute and Value. */
static bool
read_pair(const VirgaCall *call, const char *attribute, const char *value,
          VirgaInstanceAttributes *change, GError **error)
{
    Ec2GroupIdStringList groups = { .items = &value, .count = 1 };
    int flag = 0;

    if (!value)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter Value");
    if (g_str_equal(attribute, "disableApiTermination"))
        return parse_flag(value, &change->disable_termination, error);
    if (g_str_equal(attribute, "disableApiStop"))
        return parse_flag(value, &change->disable_stop, error);
    if (g_str_equal(attribute, "ebsOptimized"))
        return parse_flag(value, &change->ebs_optimized, error);
    if (g_str_equal(attribute, "sourceDestCheck"))
        return parse_flag(value, &change->source_dest_check, error);
    if (g_str_equal(attribute, "enaSupport"))
        return parse_flag(value, &flag, error) && set_ena(flag, change, error);
    if (g_str_equal(attribute, "instanceType"))
        return set_type(call, value, change, error);
    if (g_str_equal(attribute, "groupSet"))
        return set_groups(call, &groups, change, error);
    if (g_str_equal(attribute, "userData"))
        return set_user_data(call, value, change, error);
    if (g_str_equal(attribute, "instanceInitiatedShutdownBehavior")) {
        change->shutdown_behavior = value;
        return true;
    }
    return ec2_unsupported(error, attribute);
}

/* AWS changes one attribute a call. */
static bool
check_single(const Ec2ModifyInstanceAttributeRequest *request, GError **error)
{
    const struct {
        bool given;
        const char *name;
    } attributes[] = {
        { request->attribute, "attribute" },
        { request->instance_type, "instanceType" },
        { request->kernel, "kernel" },
        { request->ramdisk, "ramdisk" },
        { request->groups.count, "groupSet" },
        { request->block_device_mappings.count, "blockDeviceMapping" },
        { request->sriov_net_support, "sriovNetSupport" },
        { request->ena_support, "enaSupport" },
        { request->ebs_optimized, "ebsOptimized" },
        { request->source_dest_check, "sourceDestCheck" },
        { request->disable_api_stop, "disableApiStop" },
        { request->disable_api_termination, "disableApiTermination" },
        { request->instance_initiated_shutdown_behavior, "instanceInitiatedShutdownBehavior" },
        { request->user_data, "userData" },
    };
    const char *first = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(attributes); i++) {
        if (!attributes[i].given)
            continue;
        /* The older form may name what the newer one says: blockDeviceMapping. */
        if (first && !(request->attribute && g_str_equal(request->attribute, attributes[i].name)))
            return virga_api_fail(error, "InvalidParameterCombination", 400,
                                  "Fields for multiple attribute types specified: %s, %s", first,
                                  attributes[i].name);
        first = attributes[i].name;
    }
    return first || virga_api_fail(error, "MissingParameter", 400, "No attributes specified.");
}

static bool
refuse_others(const Ec2ModifyInstanceAttributeRequest *request, GError **error)
{
    const char *name = request->kernel              ? "Kernel"
                       : request->ramdisk           ? "Ramdisk"
                       : request->sriov_net_support ? "SriovNetSupport"
                                                    : NULL;

    return !name || ec2_unsupported(error, name);
}

static bool
read_disks(const VirgaCall *call, const Ec2InstanceBlockDeviceMappingSpecificationList *list,
           VirgaInstanceAttributes *change, GError **error)
{
    VirgaDiskChange *disks = ec2_array(call, VirgaDiskChange, list->count);

    for (size_t i = 0; i < list->count; i++) {
        const Ec2InstanceBlockDeviceMappingSpecification *mapping = &list->items[i];

        if (!mapping->device_name || !*mapping->device_name)
            return virga_api_fail(error, "MissingParameter", 400,
                                  "The request must contain the parameter deviceName");
        if (mapping->virtual_name || mapping->no_device)
            return ec2_unsupported(error, mapping->no_device ? "BlockDeviceMapping.NoDevice"
                                                             : "BlockDeviceMapping.VirtualName");
        if (!mapping->ebs || !mapping->ebs->has_delete_on_termination)
            return virga_api_fail(error, "MissingParameter", 400,
                                  "The request must contain the parameter "
                                  "Ebs.DeleteOnTermination");
        if (mapping->ebs->volume_id &&
            !virga_api_check_id(mapping->ebs->volume_id, "vol", "InvalidVolumeID.Malformed", error))
            return false;
        disks[i] =
            (VirgaDiskChange){ .device = mapping->device_name,
                               .volume_id = mapping->ebs->volume_id,
                               .delete_on_termination = mapping->ebs->delete_on_termination };
    }
    change->disks = disks;
    change->disk_count = list->count;
    return true;
}

static bool
read_values(const VirgaCall *call, const Ec2ModifyInstanceAttributeRequest *request,
            VirgaInstanceAttributes *change, GError **error)
{
    if (request->instance_initiated_shutdown_behavior)
        change->shutdown_behavior = request->instance_initiated_shutdown_behavior->value;
    if (request->user_data) {
        const VirgaWireBlob *blob = &request->user_data->value;
        g_autofree char *text = g_base64_encode(blob->data, blob->length);

        if (!set_user_data(call, text, change, error))
            return false;
    }
    if (request->instance_type && !set_type(call, request->instance_type->value, change, error))
        return false;
    if (request->ena_support && !set_ena(ec2_flag_given(request->ena_support), change, error))
        return false;
    return (request->groups.count == 0 || set_groups(call, &request->groups, change, error)) &&
           read_disks(call, &request->block_device_mappings, change, error);
}

static bool
read_change(const VirgaCall *call, const Ec2ModifyInstanceAttributeRequest *request,
            VirgaInstanceAttributes *change, GError **error)
{
    *change = (VirgaInstanceAttributes){ .disable_termination =
                                             ec2_flag_given(request->disable_api_termination),
                                         .disable_stop = ec2_flag_given(request->disable_api_stop),
                                         .ebs_optimized = ec2_flag_given(request->ebs_optimized),
                                         .source_dest_check =
                                             ec2_flag_given(request->source_dest_check) };
    if (!check_single(request, error) || !refuse_others(request, error) ||
        !read_values(call, request, change, error) ||
        (request->attribute && !request->block_device_mappings.count &&
         !read_pair(call, request->attribute, request->value, change, error)))
        return false;
    if (change->shutdown_behavior && !g_str_equal(change->shutdown_behavior, "stop") &&
        !g_str_equal(change->shutdown_behavior, "terminate"))
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Value (%.200s) for parameter instanceInitiatedShutdownBehavior is "
                              "invalid. Expecting 'stop' or 'terminate'.",
                              change->shutdown_behavior);
    return true;
}

typedef struct {
    const char *id;
    VirgaInstanceAttributes change;
} Modify;

static bool
modify(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Modify *asked = data;

    return virga_instance_change(txn, call->arena, call->account_id, asked->id, &asked->change,
                                 error);
}

bool
ec2_modify_instance_attribute(VirgaCall *call, const Ec2ModifyInstanceAttributeRequest *request,
                              Ec2ModifyInstanceAttributeResponse *response, GError **error)
{
    Modify asked = { .id = request->instance_id };

    return virga_api_check_id(request->instance_id, "i", "InvalidInstanceID.Malformed", error) &&
           read_change(call, request, &asked.change, error) &&
           ec2_transaction(call, modify, &asked, error);
}

bool
ec2_reset_instance_attribute(VirgaCall *call, const Ec2ResetInstanceAttributeRequest *request,
                             Ec2ResetInstanceAttributeResponse *response, GError **error)
{
    Modify asked = { .id = request->instance_id,
                     .change = { .disable_termination = -1,
                                 .disable_stop = -1,
                                 .ebs_optimized = -1,
                                 .source_dest_check = -1 } };

    if (!virga_api_check_id(request->instance_id, "i", "InvalidInstanceID.Malformed", error))
        return false;
    if (g_str_equal(request->attribute, "sourceDestCheck"))
        asked.change.source_dest_check = true;
    else if (g_str_equal(request->attribute, "kernel") ||
             g_str_equal(request->attribute, "ramdisk"))
        asked.change.stopped_only = true; /* there is none but the image's */
    else
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "The attribute '%s' cannot be reset", request->attribute);
    return ec2_transaction(call, modify, &asked, error);
}
