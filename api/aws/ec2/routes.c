/* SPDX-License-Identifier: Apache-2.0 */
/* Routes. */
#include "common.h"

#include "core/id.h"
#include "network/route-table.h"

typedef struct {
    const char *table_id, *destination;
    VirgaRouteSpec spec;
} Route;

/* Targets and destinations that there are not here. */
static const char *const refused[] = {
    "CarrierGatewayId",
    "CoreNetworkArn",
    "DestinationIpv6CidrBlock",
    "DestinationPrefixListId",
    "EgressOnlyInternetGatewayId",
    "LocalGatewayId",
    "OdbNetworkArn",
    "TransitGatewayId",
    "VpcEndpointId",
    "VpcPeeringConnectionId",
};

/* The requests have members of the same names: a text, or NULL. */
static const char *
text_of(const VirgaWireShape *shape, const void *request, const char *name)
{
    const VirgaWireMember *member = virga_wire_member(shape, name);

    return member
               ? *(const char *const *) (const void *) ((const guint8 *) request + member->offset)
               : NULL;
}

static bool
read_route(const VirgaWireShape *shape, const void *request, Route *ret, GError **error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++)
        if (text_of(shape, request, refused[i]))
            return ec2_unsupported(error, refused[i]);
    *ret = (Route){ .table_id = text_of(shape, request, "RouteTableId"),
                    .destination = text_of(shape, request, "DestinationCidrBlock"),
                    .spec = { .gateway_id = text_of(shape, request, "GatewayId"),
                              .nat_gateway_id = text_of(shape, request, "NatGatewayId"),
                              .interface_id = text_of(shape, request, "NetworkInterfaceId"),
                              .instance_id = text_of(shape, request, "InstanceId") } };
    if (!virga_api_check_id(ret->table_id, "rtb", "InvalidRouteTableId.Malformed", error))
        return false;
    return ret->destination ||
           virga_api_fail(error, "MissingParameter", 400,
                          "The request must contain the parameter destinationCidrBlock or "
                          "destinationIpv6CidrBlock or destinationPrefixListId");
}

static bool
check_target(const Route *route, GError **error)
{
    const VirgaRouteSpec *spec = &route->spec;
    int given = (spec->gateway_id != NULL) + (spec->nat_gateway_id != NULL) +
                (spec->interface_id != NULL) + (spec->instance_id != NULL) + spec->local;

    if (given == 0)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain exactly one of gatewayId, natGatewayId, "
                              "networkInterfaceId, vpcPeeringConnectionId, "
                              "egressOnlyInternetGatewayId, transitGatewayId, localGatewayId, "
                              "carrierGatewayId or instanceId");
    if (given > 1)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "The request must contain exactly one target of the route");
    if (spec->gateway_id && virga_id_is(spec->gateway_id, "vgw"))
        return ec2_unsupported(error, "GatewayId");
    return (!spec->gateway_id ||
            virga_api_check_id(spec->gateway_id, "igw", "InvalidGatewayID.NotFound", error)) &&
           (!spec->nat_gateway_id || virga_api_check_id(spec->nat_gateway_id, "nat",
                                                        "InvalidNatGatewayID.NotFound", error)) &&
           (!spec->interface_id ||
            virga_api_check_id(spec->interface_id, "eni", "InvalidNetworkInterfaceId.Malformed",
                               error)) &&
           (!spec->instance_id ||
            virga_api_check_id(spec->instance_id, "i", "InvalidInstanceID.Malformed", error));
}

static bool
create(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Route *route = data;

    return virga_route_create(txn, call->account_id, route->table_id, route->destination,
                              &route->spec, error);
}

bool
ec2_create_route(VirgaCall *call, const Ec2CreateRouteRequest *request,
                 Ec2CreateRouteResponse *response, GError **error)
{
    Route route;

    if (!read_route(&ec2_create_route_request_shape, request, &route, error) ||
        !check_target(&route, error) || !ec2_transaction(call, create, &route, error))
        return false;
    response->return_ = response->has_return_ = true;
    return true;
}

static bool
replace(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Route *route = data;

    return virga_route_replace(txn, call->account_id, route->table_id, route->destination,
                               &route->spec, error);
}

bool
ec2_replace_route(VirgaCall *call, const Ec2ReplaceRouteRequest *request,
                  Ec2ReplaceRouteResponse *response, GError **error)
{
    Route route;

    if (!read_route(&ec2_replace_route_request_shape, request, &route, error))
        return false;
    route.spec.local = request->local_target;
    return check_target(&route, error) && ec2_transaction(call, replace, &route, error);
}

static bool delete (VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Route *route = data;

    return virga_route_delete(txn, call->account_id, route->table_id, route->destination, error);
}

bool
ec2_delete_route(VirgaCall *call, const Ec2DeleteRouteRequest *request,
                 Ec2DeleteRouteResponse *response, GError **error)
{
    Route route;

    return read_route(&ec2_delete_route_request_shape, request, &route, error) &&
           ec2_transaction(call, delete, &route, error);
}
