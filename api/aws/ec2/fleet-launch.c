/* SPDX-License-Identifier: Apache-2.0 */
/* CreateFleet of the type "instant": launches from pools, which are launch templates with
 * overrides, until there is as much as was asked for.
 *
 * The fleet's row is there first.  Each launch has a client token made of the fleet's id, so that a
 * repetition of a call whose virgad died finds what was launched and carries on. */
#include "launch-templates.h"

#include "compute/fleet.h"
#include "compute/instance-type.h"
#include "core/id.h"
#include "core/limits.h"

#define TARGET_MAX 10000 /* AWS's limit of instances */

typedef Ec2CreateFleetRequest Request;

/* One template with one of its overrides. */
typedef struct {
    const Ec2FleetLaunchTemplateSpecificationRequest *of;
    const Ec2FleetLaunchTemplateOverridesRequest *override; /* NULL: none */
    double weight, order;
    guint position;
} Pool;

typedef struct {
    VirgaCall *call;
    const Request *request;
    Ec2Token token;
    Ec2NewTags tags;
    Pool *pools;
    size_t pool_count;
    const char *id; /* the fleet's */
    bool single_type;
    const char *type; /* of the instances so far */
    Ec2CreateFleetResponse result;
} Fleet;

/* ---- what is refused ---- */

static const char *
unsupported_options(const Request *request)
{
    const Ec2OnDemandOptionsRequest *options = request->on_demand_options;

    if (!options)
        return NULL;
    return options->capacity_reservation_options ? "OnDemandOptions.CapacityReservationOptions"
           : options->min_target_capacity > 0    ? "OnDemandOptions.MinTargetCapacity"
           : options->max_total_price            ? "OnDemandOptions.MaxTotalPrice"
                                                 : NULL;
}

static bool
check_supported(const Request *request, GError **error)
{
    const Ec2TargetCapacitySpecificationRequest *target = request->target_capacity_specification;
    const char *name = unsupported_options(request);

    if (g_strcmp0(request->type, "instant") != 0)
        return ec2_unsupported(error, "Type");
    if (target->spot_target_capacity > 0)
        return ec2_unsupported(error, "TargetCapacitySpecification.SpotTargetCapacity");
    if (target->default_target_capacity_type &&
        !g_str_equal(target->default_target_capacity_type, "on-demand"))
        return ec2_unsupported(error, "TargetCapacitySpecification.DefaultTargetCapacityType");
    if (target->target_capacity_unit_type &&
        !g_str_equal(target->target_capacity_unit_type, "units"))
        return ec2_unsupported(error, "TargetCapacitySpecification.TargetCapacityUnitType");
    if (request->reserved_capacity_options)
        return ec2_unsupported(error, "ReservedCapacityOptions");
    if (request->context)
        return ec2_unsupported(error, "Context");
    return !name || ec2_unsupported(error, name);
}

static bool
check_target(const Request *request, GError **error)
{
    const Ec2TargetCapacitySpecificationRequest *target = request->target_capacity_specification;

    if (target->total_target_capacity < 1 || target->total_target_capacity > TARGET_MAX)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Value (%" G_GINT64_FORMAT ") for parameter TotalTargetCapacity is "
                              "invalid. Expecting 1 to %d.",
                              target->total_target_capacity, TARGET_MAX);
    return target->on_demand_target_capacity <= target->total_target_capacity ||
           virga_api_fail(error, "InvalidParameterCombination", 400,
                          "OnDemandTargetCapacity must not exceed TotalTargetCapacity");
}

/* ---- pools ---- */

/* AWS takes the lowest price first.  Nothing has a price here: what is smallest for its weight. */
static double
price_of(const VirgaCall *call, const Ec2FleetLaunchTemplateOverridesRequest *override)
{
    const char *name = override ? override->instance_type : NULL;
    const VirgaInstanceType *type =
        name ? virga_instance_type_find(ec2_services(call)->config, name) : NULL;

    return type ? (double) type->vcpus * 2048 + (double) type->memory_mib : 0;
}

static bool
add_pool(Fleet *fleet, const Ec2FleetLaunchTemplateSpecificationRequest *of,
         const Ec2FleetLaunchTemplateOverridesRequest *override, GError **error)
{
    const Ec2OnDemandOptionsRequest *options = fleet->request->on_demand_options;
    bool prioritized = options && g_strcmp0(options->allocation_strategy, "prioritized") == 0;
    Pool *pool = &fleet->pools[fleet->pool_count];

    if (override && override->instance_requirements)
        return ec2_unsupported(error, "Overrides.InstanceRequirements");
    *pool =
        (Pool){ .of = of,
                .override = override,
                .weight =
                    override && override->has_weighted_capacity ? override->weighted_capacity : 1,
                .position = (guint) fleet->pool_count++ };
    if (!(pool->weight > 0 && pool->weight <= 999))
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "A WeightedCapacity must be more than 0 and at most 999");
    if (prioritized) /* those without a priority come last */
        pool->order = override && override->has_priority ? override->priority : G_MAXDOUBLE;
    else
        pool->order = price_of(fleet->call, override) / pool->weight;
    return true;
}

static gint
compare_pools(gconstpointer a, gconstpointer b)
{
    const Pool *left = a, *right = b;
    int order = (left->order > right->order) - (left->order < right->order);

    return order ? order : (left->position > right->position) - (left->position < right->position);
}

static bool
add_config(Fleet *fleet, const Ec2FleetLaunchTemplateConfigRequest *config, GError **error)
{
    const Ec2FleetLaunchTemplateSpecificationRequest *of = config->launch_template_specification;

    if (!of)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter LaunchTemplateSpecification");
    if (!ec2_launch_template_check(of->launch_template_id, of->launch_template_name, error))
        return false;
    if (config->overrides.count == 0)
        return add_pool(fleet, of, NULL, error);
    for (size_t i = 0; i < config->overrides.count; i++)
        if (!add_pool(fleet, of, &config->overrides.items[i], error))
            return false;
    return true;
}

static bool
read_pools(Fleet *fleet, GError **error)
{
    const Ec2FleetLaunchTemplateConfigListRequest *configs =
        &fleet->request->launch_template_configs;
    size_t count = 0;

    for (size_t i = 0; i < configs->count; i++)
        count += MAX(configs->items[i].overrides.count, 1);
    fleet->pools = ec2_array(fleet->call, Pool, count);
    for (size_t i = 0; i < configs->count; i++)
        if (!add_config(fleet, &configs->items[i], error))
            return false;
    qsort(fleet->pools, fleet->pool_count, sizeof *fleet->pools, compare_pools);
    return true;
}

static bool
read_tags(Fleet *fleet, GError **error)
{
    static const char *const types[] = { "fleet", "instance", "volume", "network-interface", NULL };

    if (!ec2_check_tag_specifications(&fleet->request->tag_specifications, types, error))
        return false;
    fleet->tags = ec2_new_tags(fleet->call, &fleet->request->tag_specifications, "fleet");
    return true;
}

/* ---- launching ---- */

/* The fleet's tags that are for what it launches. */
static Ec2TagSpecificationList
launch_tags(const Fleet *fleet)
{
    const Ec2TagSpecificationList *all = &fleet->request->tag_specifications;
    Ec2TagSpecificationList list = { ec2_array(fleet->call, Ec2TagSpecification, all->count), 0 };

    for (size_t i = 0; i < all->count; i++)
        if (!g_str_equal(all->items[i].resource_type, "fleet"))
            list.items[list.count++] = all->items[i];
    return list;
}

static Ec2RunInstancesRequest *
request_of(const Fleet *fleet, const Pool *pool, GError **error)
{
    const Ec2FleetLaunchTemplateOverridesRequest *override = pool->override;
    const char *text =
        override ? virga_wire_to_json(fleet->call->arena,
                                      &ec2_fleet_launch_template_overrides_request_shape, override)
                 : "{}";
    Ec2RunInstancesRequest *request =
        virga_wire_from_json(fleet->call->arena, &ec2_run_instances_request_shape, text, error);

    if (!request)
        return NULL;
    if (override && (override->availability_zone || override->availability_zone_id)) {
        if (!request->placement)
            request->placement = ec2_new(fleet->call, Ec2Placement);
        request->placement->availability_zone = override->availability_zone;
        request->placement->availability_zone_id = override->availability_zone_id;
    }
    request->launch_template = ec2_new(fleet->call, Ec2LaunchTemplateSpecification);
    request->launch_template->launch_template_id = pool->of->launch_template_id;
    request->launch_template->launch_template_name = pool->of->launch_template_name;
    request->launch_template->version = pool->of->version;
    request->tag_specifications = launch_tags(fleet);
    return request;
}

/* Unlike RunInstances, a fleet's override is the subnet of a template's interfaces, too. */
static void
move_subnet(const VirgaCall *call, Ec2RunInstancesRequest *request)
{
    Ec2InstanceNetworkInterfaceSpecificationList *list = &request->network_interfaces;
    Ec2InstanceNetworkInterfaceSpecification *items;

    if (list->count == 0 || !request->subnet_id)
        return;
    items = ec2_array(call, Ec2InstanceNetworkInterfaceSpecification, list->count);
    memcpy(items, list->items, list->count * sizeof *items);
    items[0].subnet_id = request->subnet_id;
    list->items = items;
    request->subnet_id = NULL;
}

/* Launches up to 'count' instances from a pool. */
static bool
launch(Fleet *fleet, const Pool *pool, gint64 count, guint turn, Ec2RunInstancesResponse *response,
       GError **error)
{
    VirgaCall *call = fleet->call;
    VirgaTag *tag = ec2_new(call, VirgaTag);
    VirgaInstanceSpec spec = { .client_token = virga_arena_printf(call->arena, "%s/%u/%u",
                                                                  fleet->id, pool->position, turn),
                               .request_digest = fleet->id,
                               .reserved_tags = tag,
                               .reserved_tag_count = 1 };
    Ec2RunInstancesRequest *own = request_of(fleet, pool, error), merged;
    const Ec2RunInstancesRequest *request = own;

    if (!own)
        return false;
    *tag = (VirgaTag){ .key = (char *) VIRGA_FLEET_TAG, .value = (char *) fleet->id };
    own->min_count = 1;
    own->max_count = count;
    own->has_min_count = own->has_max_count = true;
    if (!ec2_launch_template_apply(call, &request, &spec, error))
        return false;
    merged = *request;
    merged.launch_template = NULL; /* done */
    move_subnet(call, &merged);
    return ec2_launch(call, &merged, &spec, response, error) && virga_call_commit(call, error);
}

static Ec2LaunchTemplateAndOverridesResponse *
show_pool(const Fleet *fleet, const Pool *pool)
{
    VirgaCall *call = fleet->call;
    Ec2LaunchTemplateAndOverridesResponse *shown =
        ec2_new(call, Ec2LaunchTemplateAndOverridesResponse);

    shown->launch_template_specification = ec2_new(call, Ec2FleetLaunchTemplateSpecification);
    *shown->launch_template_specification =
        (Ec2FleetLaunchTemplateSpecification){ .launch_template_id = pool->of->launch_template_id,
                                               .launch_template_name =
                                                   pool->of->launch_template_name,
                                               .version = pool->of->version };
    if (pool->override)
        shown->overrides = virga_wire_from_json(
            call->arena, &ec2_fleet_launch_template_overrides_shape,
            virga_wire_to_json(call->arena, &ec2_fleet_launch_template_overrides_request_shape,
                               pool->override),
            NULL);
    return shown;
}

static void
note_error(Fleet *fleet, const Pool *pool, const GError *reason)
{
    VirgaApiError shown = virga_api_error(reason);

    fleet->result.errors.items[fleet->result.errors.count++] =
        (Ec2CreateFleetError){ .launch_template_and_overrides = show_pool(fleet, pool),
                               .lifecycle = "on-demand",
                               .error_code = shown.code,
                               .error_message =
                                   virga_arena_strdup(fleet->call->arena, shown.message) };
}

static void
note_instances(Fleet *fleet, const Pool *pool, const char **ids, size_t count, const char *type)
{
    fleet->result.instances.items[fleet->result.instances.count++] =
        (Ec2CreateFleetInstance){ .launch_template_and_overrides = show_pool(fleet, pool),
                                  .lifecycle = "on-demand",
                                  .instance_ids = { ids, count },
                                  .instance_type = type };
}

/* Takes from a pool as much as is missing, and returns how much there was. */
static double
drain_pool(Fleet *fleet, const Pool *pool, double missing)
{
    gint64 wanted = (gint64) (missing / pool->weight);
    const char **ids, *type = NULL;
    size_t made = 0;
    bool more = true;

    if ((double) wanted * pool->weight < missing)
        wanted++;
    ids = ec2_array(fleet->call, const char *, (size_t) wanted);
    for (guint turn = 0; more && (gint64) made < wanted; turn++) {
        gint64 count = MIN(wanted - (gint64) made, VIRGA_INSTANCES_PER_CALL_MAX);
        Ec2RunInstancesResponse response = { 0 };
        g_autoptr(GError) reason = NULL;

        if (!launch(fleet, pool, count, turn, &response, &reason)) {
            note_error(fleet, pool, reason);
            break;
        }
        for (size_t i = 0; i < response.instances.count && made < (size_t) wanted; i++) {
            ids[made++] = response.instances.items[i].instance_id;
            type = response.instances.items[i].instance_type;
        }
        more = (gint64) response.instances.count == count;
    }
    if (made) {
        note_instances(fleet, pool, ids, made, type);
        fleet->type = fleet->type ? fleet->type : type;
    }
    return (double) made * pool->weight;
}

static bool
is_other_type(const Fleet *fleet, const Pool *pool)
{
    const char *type = pool->override ? pool->override->instance_type : NULL;

    return fleet->single_type && fleet->type && g_strcmp0(type, fleet->type) != 0;
}

static void
launch_all(Fleet *fleet)
{
    double missing = (double) fleet->request->target_capacity_specification->total_target_capacity;

    fleet->result.fleet_id = fleet->id;
    fleet->result.errors.items = ec2_array(fleet->call, Ec2CreateFleetError, fleet->pool_count);
    fleet->result.instances.items =
        ec2_array(fleet->call, Ec2CreateFleetInstance, fleet->pool_count);
    for (size_t i = 0; i < fleet->pool_count && missing > 0; i++)
        if (!is_other_type(fleet, &fleet->pools[i]))
            missing -= drain_pool(fleet, &fleet->pools[i], missing);
}

/* ---- the whole ---- */

/* The fleet's row, or the one that an earlier call with the token has made. */
static bool
begin(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Fleet *fleet = data;
    g_autofree char *id = virga_id_new("fleet");
    const char *ids[] = { NULL, NULL };
    VirgaFleet *row;
    char *earlier;
    size_t count;

    fleet->id = virga_arena_strdup(call->arena, id);
    fleet->result = (Ec2CreateFleetResponse){ 0 };
    if (!ec2_token_take(call, txn, &fleet->token, id, &earlier, error))
        return false;
    if (!earlier)
        return virga_fleet_create(
                   txn, id, call->account_id,
                   virga_wire_to_json(call->arena, &ec2_create_fleet_request_shape, fleet->request),
                   error) &&
               ec2_tags_set(call, txn, id, &fleet->tags, error);
    fleet->id = ids[0] = earlier;
    if (!virga_fleet_list(txn, call->arena, call->account_id, ids, &row, &count, error))
        return false;
    if (count && row->result) {
        const Ec2CreateFleetResponse *result =
            virga_wire_from_json(call->arena, &ec2_create_fleet_result_shape, row->result, error);

        if (!result)
            return false;
        fleet->result = *result;
    }
    return true;
}

static bool
end(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Fleet *fleet = data;

    return virga_fleet_set_result(
        txn, fleet->id,
        virga_wire_to_json(call->arena, &ec2_create_fleet_result_shape, &fleet->result), error);
}

bool
ec2_create_fleet(VirgaCall *call, const Request *request, Ec2CreateFleetResponse *response,
                 GError **error)
{
    Fleet fleet = { .call = call,
                    .request = request,
                    .single_type = request->on_demand_options &&
                                   request->on_demand_options->single_instance_type };

    if (!check_supported(request, error) || !check_target(request, error) ||
        !read_pools(&fleet, error) || !read_tags(&fleet, error) ||
        !ec2_token_read(call, &ec2_create_fleet_request_shape, request, request->client_token,
                        &fleet.token, error) ||
        !ec2_transaction(call, begin, &fleet, error))
        return false;
    if (!fleet.result.fleet_id) {
        launch_all(&fleet);
        if (!ec2_transaction(call, end, &fleet, error))
            return false;
    }
    *response = fleet.result;
    return true;
}
