/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeInstanceAttribute and ModifyInstanceAttribute: one attribute at a time. */
#include "instance-view.h"

#include "core/limits.h"

static Ec2AttributeBooleanValue *
show_flag(const VirgaCall *call, bool value)
{
    Ec2AttributeBooleanValue *shown = ec2_new(call, Ec2AttributeBooleanValue);

    shown->value = value;
    shown->has_value = true;
    return shown;
}

static Ec2AttributeValue *
show_text(const VirgaCall *call, const char *value)
{
    Ec2AttributeValue *shown = ec2_new(call, Ec2AttributeValue);

    shown->value = value;
    return shown;
}

static bool
show_attribute(const VirgaCall *call, VirgaTxn *txn, const char *name, const VirgaInstance *row,
               const Ec2Instance *shown, Ec2DescribeInstanceAttributeResponse *response,
               GError **error)
{
    char *user_data;

    if (g_str_equal(name, "instanceType"))
        response->instance_type = show_text(call, row->type);
    else if (g_str_equal(name, "rootDeviceName"))
        response->root_device_name = show_text(call, row->root_device_name);
    else if (g_str_equal(name, "instanceInitiatedShutdownBehavior"))
        response->instance_initiated_shutdown_behavior = show_text(call, row->shutdown_behavior);
    else if (g_str_equal(name, "disableApiTermination"))
        response->disable_api_termination = show_flag(call, row->disable_termination);
    else if (g_str_equal(name, "disableApiStop"))
        response->disable_api_stop = show_flag(call, row->disable_stop);
    else if (g_str_equal(name, "ebsOptimized"))
        response->ebs_optimized = show_flag(call, row->ebs_optimized);
    else if (g_str_equal(name, "enaSupport"))
        response->ena_support = show_flag(call, true);
    else if (g_str_equal(name, "sourceDestCheck"))
        response->source_dest_check = show_flag(call, shown->source_dest_check);
    else if (g_str_equal(name, "blockDeviceMapping"))
        response->block_device_mappings = shown->block_device_mappings;
    else if (g_str_equal(name, "groupSet"))
        response->groups = shown->security_groups;
    else if (g_str_equal(name, "enclaveOptions"))
        response->enclave_options = shown->enclave_options;
    else if (g_str_equal(name, "kernel"))
        response->kernel_id = show_text(call, NULL);
    else if (g_str_equal(name, "ramdisk"))
        response->ramdisk_id = show_text(call, NULL);
    else if (g_str_equal(name, "sriovNetSupport"))
        response->sriov_net_support = show_text(call, NULL);
    else if (g_str_equal(name, "userData")) {
        if (!virga_instance_user_data(txn, call->arena, call->account_id, row->id, &user_data,
                                      error))
            return false;
        response->user_data = show_text(call, user_data);
    }
    return true; /* productCodes: an empty list, which is shown anyway */
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

static int
flag_of(const Ec2AttributeBooleanValue *value)
{
    return !value || !value->has_value ? -1 : value->value;
}

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

/* The older form: Attribute and Value. */
static bool
read_pair(const char *attribute, const char *value, VirgaInstanceAttributes *change, GError **error)
{
    if (g_str_equal(attribute, "disableApiTermination"))
        return parse_flag(value, &change->disable_termination, error);
    if (g_str_equal(attribute, "disableApiStop"))
        return parse_flag(value, &change->disable_stop, error);
    if (g_str_equal(attribute, "ebsOptimized"))
        return parse_flag(value, &change->ebs_optimized, error);
    if (g_str_equal(attribute, "sourceDestCheck"))
        return parse_flag(value, &change->source_dest_check, error);
    if (g_str_equal(attribute, "instanceInitiatedShutdownBehavior")) {
        change->shutdown_behavior = value ? value : "";
        return true;
    }
    if (g_str_equal(attribute, "userData")) {
        change->user_data = value ? value : "";
        return true;
    }
    return ec2_unsupported(error, attribute);
}

static bool
refuse_others(const Ec2ModifyInstanceAttributeRequest *request, GError **error)
{
    const struct {
        bool given;
        const char *name;
    } others[] = {
        { request->instance_type, "InstanceType" },
        { request->kernel, "Kernel" },
        { request->ramdisk, "Ramdisk" },
        { request->groups.count, "GroupId" },
        { request->block_device_mappings.count, "BlockDeviceMapping" },
        { request->sriov_net_support, "SriovNetSupport" },
        { flag_of(request->ena_support) == 0, "EnaSupport" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        if (others[i].given)
            return ec2_unsupported(error, others[i].name);
    return true;
}

static bool
check_user_data(const VirgaInstanceAttributes *change, GError **error)
{
    g_autofree guint8 *bytes = NULL;
    gsize size;

    if (!change->user_data)
        return true;
    bytes = g_base64_decode(change->user_data, &size);
    return size <= VIRGA_USER_DATA_BYTES_MAX ||
           virga_api_fail(error, "InvalidParameterValue", 400, "User data is limited to %d bytes",
                          VIRGA_USER_DATA_BYTES_MAX);
}

static bool
read_change(const VirgaCall *call, const Ec2ModifyInstanceAttributeRequest *request,
            VirgaInstanceAttributes *change, GError **error)
{
    *change =
        (VirgaInstanceAttributes){ .disable_termination = flag_of(request->disable_api_termination),
                                   .disable_stop = flag_of(request->disable_api_stop),
                                   .ebs_optimized = flag_of(request->ebs_optimized),
                                   .source_dest_check = flag_of(request->source_dest_check) };
    if (request->instance_initiated_shutdown_behavior)
        change->shutdown_behavior = request->instance_initiated_shutdown_behavior->value;
    if (request->user_data && request->user_data->value.data) {
        g_autofree char *text =
            g_base64_encode(request->user_data->value.data, request->user_data->value.length);
        change->user_data = virga_arena_strdup(call->arena, text);
    }
    if (!refuse_others(request, error) ||
        (request->attribute && !read_pair(request->attribute, request->value, change, error)))
        return false;
    if (change->shutdown_behavior && !g_str_equal(change->shutdown_behavior, "stop") &&
        !g_str_equal(change->shutdown_behavior, "terminate"))
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Value (%.200s) for parameter instanceInitiatedShutdownBehavior is "
                              "invalid. Expecting 'stop' or 'terminate'.",
                              change->shutdown_behavior);
    return check_user_data(change, error);
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
