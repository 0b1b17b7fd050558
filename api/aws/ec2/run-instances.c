/* SPDX-License-Identifier: Apache-2.0 */
/* RunInstances: its many parameters become a VirgaInstanceSpec, or are refused. */
#include "block-devices.h"
#include "instance-profiles.h"
#include "instance-view.h"
#include "launch-network.h"
#include "launch-templates.h"

#include "api/authorize.h"
#include "api/user-data.h"
#include "core/limits.h"

typedef Ec2RunInstancesRequest Request;

static bool
combination(GError **error, const char *message)
{
    return virga_api_fail(error, "InvalidParameterCombination", 400, "%s", message);
}

static bool
invalid(GError **error, const char *parameter, const char *value)
{
    return virga_api_fail(error, "InvalidParameterValue", 400,
                          "Value (%.200s) for parameter %s is invalid.", value ? value : "",
                          parameter);
}

/* ---- what this cloud does not do ---- */

static bool
differs(const char *value, const char *only)
{
    return value && *value && !g_str_equal(value, only);
}

static const char *
unsupported_placement(const Ec2Placement *placement)
{
    if (!placement)
        return NULL;
    return differs(placement->tenancy, "default")                  ? "Placement.Tenancy"
           : placement->host_id && *placement->host_id             ? "Placement.HostId"
           : placement->affinity && *placement->affinity           ? "Placement.Affinity"
           : placement->spread_domain && *placement->spread_domain ? "Placement.SpreadDomain"
           : placement->host_resource_group_arn ? "Placement.HostResourceGroupArn"
                                                : NULL;
}

static const char *
unsupported_options(const Request *request)
{
    const Ec2CapacityReservationSpecification *capacity =
        request->capacity_reservation_specification;
    const Ec2PrivateDnsNameOptionsRequest *dns = request->private_dns_name_options;

    if (capacity &&
        (capacity->capacity_reservation_target ||
         g_strcmp0(capacity->capacity_reservation_preference, "capacity-reservations-only") == 0))
        return "CapacityReservationSpecification";
    if (dns && (differs(dns->hostname_type, "ip-name") || dns->enable_resource_name_dns_a_record ||
                dns->enable_resource_name_dns_aaaa_record))
        return "PrivateDnsNameOptions";
    if (request->hibernation_options && request->hibernation_options->configured)
        return "HibernationOptions.Configured";
    if (request->enclave_options && request->enclave_options->enabled)
        return "EnclaveOptions.Enabled";
    if (request->maintenance_options &&
        differs(request->maintenance_options->auto_recovery, "default"))
        return "MaintenanceOptions.AutoRecovery";
    if (request->network_performance_options &&
        differs(request->network_performance_options->bandwidth_weighting, "default"))
        return "NetworkPerformanceOptions.BandwidthWeighting";
    if (request->metadata_options &&
        differs(request->metadata_options->http_protocol_ipv6, "disabled"))
        return "MetadataOptions.HttpProtocolIpv6";
    return NULL;
}

static bool
check_supported(const Request *request, GError **error)
{
    const struct {
        bool given;
        const char *name;
    } others[] = { { request->instance_market_options, "InstanceMarketOptions" },
                   { request->cpu_options, "CpuOptions" },
                   { request->kernel_id && *request->kernel_id, "KernelId" },
                   { request->ramdisk_id && *request->ramdisk_id, "RamdiskId" },
                   { request->ipv6_address_count > 0, "Ipv6AddressCount" },
                   { request->ipv6_addresses.count, "Ipv6Address" },
                   { request->enable_primary_ipv6, "EnablePrimaryIpv6" },
                   { request->elastic_gpu_specification.count, "ElasticGpuSpecification" },
                   { request->elastic_inference_accelerators.count, "ElasticInferenceAccelerator" },
                   { request->license_specifications.count, "LicenseSpecification" },
                   { request->secondary_interfaces.count, "SecondaryInterface" },
                   {
                       request->operator,
                       "Operator" },
    };
    const char *name = unsupported_placement(request->placement);

    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        if (others[i].given)
            return ec2_unsupported(error, others[i].name);
    name = name ? name : unsupported_options(request);
    return !name || ec2_unsupported(error, name);
}

/* ---- counts, token, zone ---- */

static bool
read_counts(const Request *request, VirgaInstanceSpec *spec, GError **error)
{
    if (request->min_count < 1)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Value (%" G_GINT64_FORMAT ") for parameter minCount is invalid. "
                              "Expecting a positive integer.",
                              request->min_count);
    if (request->max_count < request->min_count)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Value (%" G_GINT64_FORMAT ") for parameter maxCount is invalid. "
                              "It must not be less than minCount.",
                              request->max_count);
    if (request->max_count > VIRGA_INSTANCES_PER_CALL_MAX)
        return virga_api_fail(error, "InstanceLimitExceeded", 400,
                              "A request can launch at most %d instances",
                              VIRGA_INSTANCES_PER_CALL_MAX);
    spec->count_min = request->min_count;
    spec->count_max = request->max_count;
    return true;
}

static bool
read_token(const VirgaCall *call, const Request *request, VirgaInstanceSpec *spec, GError **error)
{
    Ec2Token token;

    if (!ec2_token_read(call, &ec2_run_instances_request_shape, request, request->client_token,
                        &token, error))
        return false;
    spec->client_token = token.token;
    spec->request_digest = token.digest;
    return true;
}

static bool
read_group(const Request *request, VirgaInstanceSpec *spec, GError **error)
{
    const Ec2Placement *placement = request->placement;

    if (!placement)
        return true;
    if (placement->group_id && *placement->group_id)
        spec->placement_group_id = placement->group_id;
    if (placement->group_name && *placement->group_name)
        spec->placement_group = placement->group_name;
    spec->partition = placement->partition_number;
    if (spec->placement_group_id && spec->placement_group)
        return combination(error, "The parameter GroupId cannot be used with the parameter "
                                  "GroupName");
    if (placement->has_partition_number &&
        (spec->partition < 1 || (!spec->placement_group_id && !spec->placement_group)))
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Value (%" G_GINT64_FORMAT ") for parameter PartitionNumber is "
                              "invalid without a placement group that has it",
                              spec->partition);
    return !spec->placement_group_id ||
           virga_api_check_id(spec->placement_group_id, "pg", "InvalidPlacementGroupId.Malformed",
                              error);
}

static bool
read_zone(const VirgaCall *call, const Request *request, VirgaInstanceSpec *spec, GError **error)
{
    const Ec2Placement *placement = request->placement;
    const char *zone = placement ? placement->availability_zone : NULL;

    if (placement && placement->availability_zone_id) {
        const char *named = ec2_zone_of_id(call, placement->availability_zone_id);

        if (!named || (zone && !g_str_equal(zone, named)))
            return invalid(error, "availabilityZoneId", placement->availability_zone_id);
        zone = named;
    }
    if (!zone || !*zone)
        return true;
    if (!ec2_zone_exists(call, zone))
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Invalid availability zone: [%.200s]", zone);
    spec->zone = zone;
    return true;
}

/* ---- metadata options ---- */

static bool
read_metadata_options(const Request *request, VirgaInstanceSpec *spec, GError **error)
{
    const Ec2InstanceMetadataOptionsRequest *options = request->metadata_options;

    if (!options)
        return true;
    spec->http_tokens = options->http_tokens;
    spec->http_endpoint = options->http_endpoint;
    spec->http_tags = options->instance_metadata_tags;
    spec->http_hops = options->http_put_response_hop_limit;
    return ec2_check_hops(options->has_http_put_response_hop_limit, spec->http_hops, error) &&
           (g_strcmp0(spec->http_tags, "enabled") != 0 ||
            ec2_check_metadata_tags(spec->tags, spec->tag_count, error));
}

/* ---- the whole ---- */

static bool
read_tags(const VirgaCall *call, const Request *request, VirgaInstanceSpec *spec, GError **error)
{
    static const char *const types[] = { "instance", "volume", "network-interface", NULL };
    Ec2NewTags tags;

    if (!ec2_check_tag_specifications(&request->tag_specifications, types, error))
        return false;
    tags = ec2_new_tags(call, &request->tag_specifications, "instance");
    spec->tags = tags.tags;
    spec->tag_count = tags.count;
    tags = ec2_new_tags(call, &request->tag_specifications, "volume");
    spec->volume_tags = tags.tags;
    spec->volume_tag_count = tags.count;
    tags = ec2_new_tags(call, &request->tag_specifications, "network-interface");
    spec->interface_tags = tags.tags;
    spec->interface_tag_count = tags.count;
    return true;
}

static bool
read_plain(const Request *request, VirgaInstanceSpec *spec, GError **error)
{
    if (!request->image_id || !*request->image_id)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter ImageId");
    if (!virga_api_check_id(request->image_id, "ami", "InvalidAMIID.Malformed", error))
        return false;
    if (!request->instance_type || !*request->instance_type)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter InstanceType");
    if (request->key_name && !*request->key_name)
        return invalid(error, "keyName", "");
    spec->image_id = request->image_id;
    spec->type = request->instance_type;
    spec->key_name = request->key_name;
    spec->shutdown_behavior = request->instance_initiated_shutdown_behavior;
    spec->disable_termination = request->disable_api_termination;
    spec->disable_stop = request->disable_api_stop;
    spec->ebs_optimized = request->ebs_optimized;
    spec->monitoring = request->monitoring && request->monitoring->enabled;
    if (!request->credit_specification)
        return true;
    spec->cpu_credits = request->credit_specification->cpu_credits;
    if (spec->cpu_credits && !virga_instance_type_credits(spec->type))
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "CPU credits are not supported for the instance type %.100s",
                              spec->type);
    if (spec->cpu_credits && !g_str_equal(spec->cpu_credits, "standard") &&
        !g_str_equal(spec->cpu_credits, "unlimited"))
        return invalid(error, "cpuCredits", spec->cpu_credits);
    return true;
}

static bool
read_profile(const VirgaCall *call, const Request *request, VirgaInstanceSpec *spec, GError **error)
{
    g_autoptr(VirgaTxn) txn = NULL;
    VirgaIamEntity *profile;

    if (!request->iam_instance_profile)
        return true;
    txn = virga_db_read(call->db, error);
    if (!txn || !ec2_instance_profile(call, txn, request->iam_instance_profile, &profile, error))
        return false;
    spec->profile_id = profile->id;
    spec->profile_arn = profile->arn;
    return true;
}

static bool
read_request(const VirgaCall *call, const Request *request, VirgaInstanceSpec *spec, GError **error)
{
    VirgaDiskSpec *disks;

    spec->account_id = call->account_id;
    spec->dry_run = call->dry_run;
    spec->request_id = call->request_id;
    if (!check_supported(request, error) || !read_plain(request, spec, error) ||
        !read_counts(request, spec, error) || !read_zone(call, request, spec, error) ||
        !read_group(request, spec, error) || !read_tags(call, request, spec, error) ||
        !virga_user_data_read(call->arena, request->user_data, &spec->user_data, error) ||
        !read_metadata_options(request, spec, error) ||
        !ec2_launch_network(call, request, spec, error) ||
        !ec2_block_devices(call, &request->block_device_mappings, &disks, &spec->disk_count,
                           error) ||
        !read_profile(call, request, spec, error))
        return false;
    spec->disks = disks;
    return true;
}

/* What there is to see of a launch: it says so itself, or it was made before, by the call that took
 * the client token, and is read. */
static bool
look(VirgaCall *call, const VirgaInstanceSpec *spec, VirgaReservation *made, Ec2InstanceParts *ret,
     GError **error)
{
    g_autoptr(VirgaTxn) txn = NULL;
    VirgaTag *tags;
    const char **ids;

    if (made->count) {
        tags = ec2_array(call, VirgaTag, spec->tag_count + spec->reserved_tag_count);
        for (size_t i = 0; i < spec->tag_count; i++)
            tags[i] = spec->tags[i];
        for (size_t i = 0; i < spec->reserved_tag_count; i++)
            tags[spec->tag_count + i] = spec->reserved_tags[i];
        *ret =
            ec2_instance_parts_make(call, made, tags, spec->tag_count + spec->reserved_tag_count);
        return true;
    }
    txn = virga_db_read(call->db, error);
    if (!txn || !virga_instance_show_send(txn, call->account_id, NULL, made->id, error) ||
        !virga_instance_show_receive(txn, call->arena, &made->instances, &made->count, error))
        return false;
    ids = ec2_array(call, const char *, made->count + 1);
    for (size_t i = 0; i < made->count; i++)
        ids[i] = made->instances[i].id;
    return ec2_instance_parts_read(call, txn, ids, ret, error);
}

/* A launch without a subnet wants a default one. */
static bool
explain(GError *reason, const VirgaInstanceSpec *spec, GError **error)
{
    if (!spec->subnet_id && spec->nic_count == 0 &&
        virga_error_is(reason, "subnet", VIRGA_ERROR_NOT_FOUND)) {
        g_error_free(reason);
        return virga_api_fail(error, "MissingInput", 400,
                              "No subnets found for the default VPC. Please specify a subnet.");
    }
    g_propagate_error(error, reason);
    return false;
}

/* The edge has seen what the caller said; a template, or a fleet, says more. */
static bool
authorize_whole(const VirgaCall *call, const Request *request, GError **error)
{
    VirgaCall launch = *call;

    launch.wire = virga_wire_action(call->service, "RunInstances");
    return virga_call_authorize_request(&launch, request, error);
}

bool
ec2_launch(VirgaCall *call, const Request *request, VirgaInstanceSpec *spec,
           Ec2RunInstancesResponse *response, GError **error)
{
    const Request *given = request;
    Ec2InstanceParts parts;
    VirgaReservation made;
    GError *reason = NULL;

    if (!ec2_launch_template_apply(call, &request, spec, error) ||
        ((request != given || !g_str_equal(call->wire->name, "RunInstances")) &&
         !authorize_whole(call, request, error)) ||
        !read_request(call, request, spec, error))
        return false;
    if (!virga_instance_create(call->db, ec2_services(call)->config, call->arena, spec, &made,
                               &call->committing, &reason))
        return explain(reason, spec, error);
    if (!virga_call_dry_run(call, error) || !look(call, spec, &made, &parts, error))
        return false;
    ec2_instances_sort(made.instances, made.count);
    response->reservation_id = made.id;
    response->owner_id = call->account_id;
    response->instances =
        (Ec2InstanceList){ ec2_instances_show(call, made.instances, made.count, &parts),
                           made.count };
    return true;
}

bool
ec2_run_instances(VirgaCall *call, const Request *request, Ec2RunInstancesResponse *response,
                  GError **error)
{
    VirgaInstanceSpec spec = { 0 };

    /* The token stands for what the caller said, not for what the template says at the time. */
    return read_token(call, request, &spec, error) &&
           ec2_launch(call, request, &spec, response, error);
}
