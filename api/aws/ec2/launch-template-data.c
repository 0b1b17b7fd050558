/* SPDX-License-Identifier: Apache-2.0 */
/* From launch templates to launches, and from an instance to a template's data. */
#include "instance-view.h"
#include "launch-templates.h"

#include "network/interface.h"
#include "storage/volume.h"

/* ---- launching ---- */

/* Of the template's devices those that the request does not name, then the request's. */
static Ec2BlockDeviceMappingRequestList
merge_devices(const VirgaCall *call, const Ec2BlockDeviceMappingRequestList *under,
              const Ec2BlockDeviceMappingRequestList *over)
{
    Ec2BlockDeviceMappingRequestList list = {
        ec2_array(call, Ec2BlockDeviceMapping, under->count + over->count), 0
    };

    for (size_t i = 0; i < under->count; i++) {
        bool replaced = false;

        for (size_t j = 0; j < over->count && !replaced; j++)
            replaced = g_strcmp0(under->items[i].device_name, over->items[j].device_name) == 0;
        if (!replaced)
            list.items[list.count++] = under->items[i];
    }
    for (size_t j = 0; j < over->count; j++)
        list.items[list.count++] = over->items[j];
    return list;
}

static Ec2TagList
merge_tags(const VirgaCall *call, const Ec2TagList *under, const Ec2TagList *over)
{
    Ec2TagList list = { ec2_array(call, Ec2Tag, under->count + over->count), 0 };

    for (size_t i = 0; i < under->count; i++) {
        bool replaced = false;

        for (size_t j = 0; j < over->count && !replaced; j++)
            replaced = g_strcmp0(under->items[i].key, over->items[j].key) == 0;
        if (!replaced)
            list.items[list.count++] = under->items[i];
    }
    for (size_t j = 0; j < over->count; j++)
        list.items[list.count++] = over->items[j];
    return list;
}

/* Tags for spot requests and the like concern nothing that a launch here makes. */
static bool
is_made(const char *type)
{
    return !type || g_str_equal(type, "instance") || g_str_equal(type, "volume") ||
           g_str_equal(type, "network-interface");
}

static Ec2TagSpecificationList
merge_specifications(const VirgaCall *call, const Ec2TagSpecificationList *under,
                     const Ec2TagSpecificationList *over)
{
    Ec2TagSpecificationList list = {
        ec2_array(call, Ec2TagSpecification, under->count + over->count), 0
    };

    for (size_t j = 0; j < over->count; j++)
        list.items[list.count++] = over->items[j];
    for (size_t i = 0; i < under->count; i++) {
        const Ec2TagSpecification *specification = &under->items[i];
        size_t j = 0;

        while (j < over->count &&
               g_strcmp0(list.items[j].resource_type, specification->resource_type) != 0)
            j++;
        if (j < over->count)
            list.items[j].tags = merge_tags(call, &specification->tags, &over->items[j].tags);
        else if (is_made(specification->resource_type))
            list.items[list.count++] = *specification;
    }
    return list;
}

/* What a template can hold and RunInstances has no member of the same name for. */
static bool
read_others(const VirgaCall *call, const char *data, Ec2RunInstancesRequest *launch, GError **error)
{
    const Ec2RequestLaunchTemplateData *others =
        virga_wire_from_json(call->arena, &ec2_request_launch_template_data_shape, data, error);

    if (!others)
        return false;
    if (others->instance_requirements)
        return ec2_unsupported(error, "InstanceRequirements");
    if (others->elastic_gpu_specifications.count)
        return ec2_unsupported(error, "ElasticGpuSpecification");
    launch->ramdisk_id = others->ram_disk_id;
    return true;
}

/* Groups are named in two ways: either one replaces both of the template's. */
static Ec2RunInstancesRequest *
merge(const VirgaCall *call, const Ec2RunInstancesRequest *request, Ec2RunInstancesRequest *from)
{
    Ec2RunInstancesRequest *merged = ec2_new(call, Ec2RunInstancesRequest);

    *merged = *request;
    if (request->security_groups.count || request->security_group_ids.count) {
        from->security_groups = (Ec2SecurityGroupStringList){ 0 };
        from->security_group_ids = (Ec2SecurityGroupIdStringList){ 0 };
    }
    merged->block_device_mappings =
        merge_devices(call, &from->block_device_mappings, &request->block_device_mappings);
    merged->tag_specifications =
        merge_specifications(call, &from->tag_specifications, &request->tag_specifications);
    virga_wire_inherit(&ec2_run_instances_request_shape, merged, from);
    return merged;
}

static void
add_reserved(const VirgaCall *call, VirgaInstanceSpec *spec, const VirgaLaunchTemplate *of,
             gint64 version)
{
    VirgaTag *tags = ec2_array(call, VirgaTag, spec->reserved_tag_count + 2);

    for (size_t i = 0; i < spec->reserved_tag_count; i++)
        tags[i + 2] = spec->reserved_tags[i];
    tags[0] = (VirgaTag){ .key = (char *) "aws:ec2launchtemplate:id", .value = of->id };
    tags[1] = (VirgaTag){ .key = (char *) "aws:ec2launchtemplate:version",
                          .value = virga_arena_printf(call->arena, "%" G_GINT64_FORMAT, version) };
    spec->reserved_tags = tags;
    spec->reserved_tag_count += 2;
}

bool
ec2_launch_template_apply(VirgaCall *call, const Ec2RunInstancesRequest **request,
                          VirgaInstanceSpec *spec, GError **error)
{
    const Ec2LaunchTemplateSpecification *named = (*request)->launch_template;
    g_autoptr(VirgaTxn) txn = NULL;
    const VirgaLaunchTemplate *of;
    const VirgaLaunchTemplateVersion *version;
    Ec2RunInstancesRequest *from;
    gint64 number;

    if (!named)
        return true;
    txn = virga_db_read(call->db, error);
    of = txn ? ec2_launch_template_find(call, txn, named->launch_template_id,
                                        named->launch_template_name, false, error)
             : NULL;
    if (!of ||
        !ec2_launch_template_number(
            of, named->version && *named->version ? named->version : "$Default", &number, error))
        return false;
    version = virga_launch_template_version_get(txn, call->arena, of, number, error);
    from = version ? virga_wire_from_json(call->arena, &ec2_run_instances_request_shape,
                                          version->data, error)
                   : NULL;
    if (!from || !read_others(call, version->data, from, error))
        return false;
    *request = merge(call, *request, from);
    add_reserved(call, spec, of, number);
    return true;
}

/* ---- the way back ---- */

static Ec2LaunchTemplateBlockDeviceMappingList
data_of_disks(const VirgaCall *call, const VirgaVolume *volumes, size_t count)
{
    Ec2LaunchTemplateBlockDeviceMappingList list = {
        ec2_array(call, Ec2LaunchTemplateBlockDeviceMapping, count), count
    };

    for (size_t i = 0; i < count; i++) {
        const VirgaVolume *volume = &volumes[i];
        Ec2LaunchTemplateEbsBlockDevice *ebs = ec2_new(call, Ec2LaunchTemplateEbsBlockDevice);

        *ebs = (Ec2LaunchTemplateEbsBlockDevice){ .delete_on_termination =
                                                      volume->delete_on_termination,
                                                  .has_delete_on_termination = true,
                                                  .encrypted = volume->encrypted,
                                                  .has_encrypted = true,
                                                  .iops = volume->iops,
                                                  .has_iops = volume->iops != 0,
                                                  .throughput = volume->throughput,
                                                  .has_throughput = volume->throughput != 0,
                                                  .snapshot_id = volume->snapshot_id,
                                                  .volume_size = volume->size_gib,
                                                  .has_volume_size = true,
                                                  .volume_type = volume->type };
        list.items[i] =
            (Ec2LaunchTemplateBlockDeviceMapping){ .device_name = volume->device, .ebs = ebs };
    }
    return list;
}

static Ec2LaunchTemplateInstanceNetworkInterfaceSpecificationList
data_of_interfaces(const VirgaCall *call, const Ec2Instance *shown)
{
    size_t count = shown->network_interfaces.count;
    Ec2LaunchTemplateInstanceNetworkInterfaceSpecificationList list = {
        ec2_array(call, Ec2LaunchTemplateInstanceNetworkInterfaceSpecification, count), count
    };

    for (size_t i = 0; i < count; i++) {
        const Ec2InstanceNetworkInterface *from = &shown->network_interfaces.items[i];
        Ec2LaunchTemplateInstanceNetworkInterfaceSpecification *to = &list.items[i];

        to->associate_public_ip_address = from->association != NULL;
        to->delete_on_termination = from->attachment->delete_on_termination;
        to->has_associate_public_ip_address = to->has_delete_on_termination = true;
        to->description = from->description;
        to->device_index = from->attachment->device_index;
        to->has_device_index = true;
        to->groups.items = ec2_array(call, const char *, from->groups.count);
        for (; to->groups.count < from->groups.count; to->groups.count++)
            to->groups.items[to->groups.count] = from->groups.items[to->groups.count].group_id;
        to->interface_type = "interface";
        to->subnet_id = from->subnet_id;
    }
    return list;
}

/* Tags of the cloud's own stay with the instance. */
static Ec2LaunchTemplateTagSpecificationList
data_of_tags(const VirgaCall *call, const Ec2Instance *shown)
{
    Ec2LaunchTemplateTagSpecification *one = ec2_new(call, Ec2LaunchTemplateTagSpecification);

    one->resource_type = "instance";
    one->tags.items = ec2_array(call, Ec2Tag, shown->tags.count);
    for (size_t i = 0; i < shown->tags.count; i++)
        if (!g_str_has_prefix(shown->tags.items[i].key, "aws:"))
            one->tags.items[one->tags.count++] = shown->tags.items[i];
    return (Ec2LaunchTemplateTagSpecificationList){ one, one->tags.count > 0 };
}

static Ec2LaunchTemplateInstanceMetadataOptions *
data_of_metadata(const VirgaCall *call, const VirgaInstance *row)
{
    Ec2LaunchTemplateInstanceMetadataOptions *options =
        ec2_new(call, Ec2LaunchTemplateInstanceMetadataOptions);

    options->http_tokens = row->http_tokens;
    options->http_endpoint = row->http_endpoint;
    options->http_put_response_hop_limit = row->http_hops;
    options->has_http_put_response_hop_limit = true;
    options->http_protocol_ipv6 = "disabled";
    options->instance_metadata_tags = row->http_tags;
    return options;
}

static Ec2ResponseLaunchTemplateData *
data_of(const VirgaCall *call, const VirgaInstance *row, const Ec2Instance *shown,
        const char *user_data)
{
    Ec2ResponseLaunchTemplateData *data = ec2_new(call, Ec2ResponseLaunchTemplateData);

    *data = (Ec2ResponseLaunchTemplateData){
        .image_id = row->image_id,
        .instance_type = row->type,
        .key_name = row->key_name,
        .user_data = user_data,
        .ebs_optimized = row->ebs_optimized,
        .has_ebs_optimized = true,
        .disable_api_termination = row->disable_termination,
        .has_disable_api_termination = true,
        .disable_api_stop = row->disable_stop,
        .has_disable_api_stop = true,
        .instance_initiated_shutdown_behavior = row->shutdown_behavior,
        .monitoring = ec2_new(call, Ec2LaunchTemplatesMonitoring),
        .placement = ec2_new(call, Ec2LaunchTemplatePlacement),
        .metadata_options = data_of_metadata(call, row),
        .network_interfaces = data_of_interfaces(call, shown),
        .tag_specifications = data_of_tags(call, shown),
    };
    if (row->profile_arn) {
        data->iam_instance_profile =
            ec2_new(call, Ec2LaunchTemplateIamInstanceProfileSpecification);
        data->iam_instance_profile->arn = row->profile_arn;
    }
    data->monitoring->enabled = row->monitoring;
    data->monitoring->has_enabled = true;
    data->placement->availability_zone = row->zone;
    data->placement->tenancy = "default";
    data->placement->group_name = row->placement_group;
    return data;
}

bool
ec2_get_launch_template_data(VirgaCall *call, const Ec2GetLaunchTemplateDataRequest *request,
                             Ec2GetLaunchTemplateDataResponse *response, GError **error)
{
    const char *ids[] = { request->instance_id, NULL };
    g_autoptr(VirgaTxn) txn = NULL;
    Ec2InstanceParts parts;
    VirgaInstance *row;
    VirgaVolume *volumes;
    char *user_data;
    size_t count, volume_count;

    if (!virga_api_check_id(request->instance_id, "i", "InvalidInstanceID.Malformed", error))
        return false;
    txn = virga_db_read(call->db, error);
    if (!txn || !ec2_instances_find(call, txn, ids, &row, &count, error) ||
        !virga_call_dry_run(call, error) ||
        !ec2_instance_parts_read(call, txn, ids, &parts, error) ||
        !virga_instance_user_data(txn, call->arena, call->account_id, row->id, &user_data, error) ||
        !virga_volume_list(txn, call->arena, call->account_id, NULL, ids, &volumes, &volume_count,
                           error))
        return false;
    response->launch_template_data =
        data_of(call, row, ec2_instances_show(call, row, 1, &parts), user_data);
    response->launch_template_data->block_device_mappings =
        data_of_disks(call, volumes, volume_count);
    return true;
}
