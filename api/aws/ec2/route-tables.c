/* SPDX-License-Identifier: Apache-2.0 */
/* Route tables and whose they are.  Routes: routes.c. */
#include "common.h"

#include "core/id.h"
#include "network/route-table.h"

#include <string.h>

#define PAGE_MIN 5
#define PAGE_MAX 100

static const VirgaFilterField fields[] = {
    { "association.gateway-id", "Associations.GatewayId" },
    { "association.main", "Associations.Main" },
    { "association.route-table-association-id", "Associations.RouteTableAssociationId" },
    { "association.route-table-id", "Associations.RouteTableId" },
    { "association.subnet-id", "Associations.SubnetId" },
    { "owner-id", "OwnerId" },
    { "route-table-id", "RouteTableId" },
    { "route.destination-cidr-block", "Routes.DestinationCidrBlock" },
    { "route.destination-ipv6-cidr-block", "Routes.DestinationIpv6CidrBlock" },
    { "route.destination-prefix-list-id", "Routes.DestinationPrefixListId" },
    { "route.egress-only-internet-gateway-id", "Routes.EgressOnlyInternetGatewayId" },
    { "route.gateway-id", "Routes.GatewayId" },
    { "route.instance-id", "Routes.InstanceId" },
    { "route.nat-gateway-id", "Routes.NatGatewayId" },
    { "route.origin", "Routes.Origin" },
    { "route.state", "Routes.State" },
    { "route.transit-gateway-id", "Routes.TransitGatewayId" },
    { "route.vpc-peering-connection-id", "Routes.VpcPeeringConnectionId" },
    { "vpc-id", "VpcId" },
};

/* ---- showing ---- */

static void
show_route(const VirgaRoute *row, Ec2Route *shown)
{
    *shown = (Ec2Route){ .destination_cidr_block = row->destination,
                         .origin = row->given ? "CreateRoute" : "CreateRouteTable",
                         .state = row->active ? "active" : "blackhole" };
    if (virga_id_is(row->target, "nat")) {
        shown->nat_gateway_id = row->target;
    } else if (virga_id_is(row->target, "eni")) {
        shown->network_interface_id = row->target;
        shown->instance_id = row->instance_id;
        shown->instance_owner_id = row->instance_owner_id;
    } else {
        shown->gateway_id = row->target;
    }
}

static Ec2RouteTableAssociationState *
show_state(const VirgaCall *call)
{
    Ec2RouteTableAssociationState *state = ec2_new(call, Ec2RouteTableAssociationState);

    state->state = "associated";
    return state;
}

static void
show(const VirgaCall *call, const VirgaRouteTable *row, const Ec2Tags *tags, Ec2RouteTable *shown)
{
    *shown = (Ec2RouteTable){ .route_table_id = row->id,
                              .owner_id = row->account_id,
                              .vpc_id = row->vpc_id,
                              .tags = ec2_tags_of(tags, row->id) };
    shown->routes.items = ec2_array(call, Ec2Route, row->route_count);
    for (size_t i = 0; i < row->route_count; i++)
        show_route(&row->routes[i], &shown->routes.items[shown->routes.count++]);
    shown->associations.items = ec2_array(call, Ec2RouteTableAssociation, row->association_count);
    for (size_t i = 0; i < row->association_count; i++)
        shown->associations.items[shown->associations.count++] =
            (Ec2RouteTableAssociation){ .route_table_association_id = row->associations[i].id,
                                        .route_table_id = row->id,
                                        .subnet_id = row->associations[i].subnet_id,
                                        .main = !row->associations[i].subnet_id,
                                        .has_main = true,
                                        .association_state = show_state(call) };
}

static bool
read_all(VirgaCall *call, const char *const *ids, Ec2RouteTableList *list, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    VirgaRouteTable *rows;
    Ec2Tags tags;
    size_t count;

    if (!txn ||
        !virga_route_table_list(txn, call->arena, call->account_id, ids, &rows, &count, error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaRouteTable, id),
                         "InvalidRouteTableID.NotFound", "routeTable ID", error) ||
        !ec2_tags_read(call, txn, ids, "route-table", &tags, error))
        return false;
    list->items = ec2_array(call, Ec2RouteTable, count);
    for (; list->count < count; list->count++)
        show(call, &rows[list->count], &tags, &list->items[list->count]);
    return true;
}

bool
ec2_describe_route_tables(VirgaCall *call, const Ec2DescribeRouteTablesRequest *request,
                          Ec2DescribeRouteTablesResponse *response, GError **error)
{
    const char *const *ids;
    VirgaFilter *filter;
    Ec2Page page;

    if (!ec2_ids(call, &request->route_table_ids, "rtb", "InvalidRouteTableId.Malformed", &ids,
                 error) ||
        !ec2_page_begin(call, request, PAGE_MIN, PAGE_MAX, &page, error))
        return false;
    filter =
        virga_filter_new(call->arena, fields, &ec2_route_table_shape, &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !read_all(call, ids, &response->route_tables, error))
        return false;
    ec2_answer(call, filter, &page, &response->route_tables, &ec2_route_table_shape, Ec2RouteTable,
               route_table_id, &response->next_token);
    return true;
}

/* ---- making and deleting ---- */

typedef struct {
    const char *vpc_id;
    Ec2Token token;
    Ec2NewTags tags;
    Ec2RouteTable *shown;
} Create;

/* The answer is the same when the table was made before. */
static bool
create(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Create *asked = data;
    g_autofree char *id = virga_id_new("rtb");
    const char *ids[] = { id, NULL };
    VirgaRouteTable *row;
    Ec2Tags tags;
    char *earlier;
    size_t count;

    if (!ec2_token_take(call, txn, &asked->token, id, &earlier, error))
        return false;
    if (earlier)
        ids[0] = earlier;
    else if (!virga_route_table_create(txn, call->account_id, asked->vpc_id, id, error) ||
             !ec2_tags_set(call, txn, id, &asked->tags, error))
        return false;
    if (!virga_route_table_list(txn, call->arena, call->account_id, ids, &row, &count, error) ||
        !ec2_check_found(call, ids, row, count, sizeof *row, offsetof(VirgaRouteTable, id),
                         "InvalidRouteTableID.NotFound", "routeTable ID", error) ||
        !ec2_tags_read(call, txn, ids, "route-table", &tags, error))
        return false;
    asked->shown = ec2_new(call, Ec2RouteTable);
    show(call, row, &tags, asked->shown);
    return true;
}

bool
ec2_create_route_table(VirgaCall *call, const Ec2CreateRouteTableRequest *request,
                       Ec2CreateRouteTableResponse *response, GError **error)
{
    Create asked = { .vpc_id = request->vpc_id };

    if (!virga_api_check_id(request->vpc_id, "vpc", "InvalidVpcID.Malformed", error) ||
        !ec2_tags_for(call, &request->tag_specifications, "route-table", &asked.tags, error) ||
        !ec2_token_read(call, &ec2_create_route_table_request_shape, request, request->client_token,
                        &asked.token, error) ||
        !ec2_transaction(call, create, &asked, error))
        return false;
    response->route_table = asked.shown;
    response->client_token = request->client_token;
    return true;
}

static bool
check_id(const char *id, GError **error)
{
    return virga_api_check_id(id, "rtb", "InvalidRouteTableId.Malformed", error);
}

static bool delete (VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    return virga_route_table_delete(txn, call->account_id, data, error);
}

bool
ec2_delete_route_table(VirgaCall *call, const Ec2DeleteRouteTableRequest *request,
                       Ec2DeleteRouteTableResponse *response, GError **error)
{
    return check_id(request->route_table_id, error) &&
           ec2_transaction(call, delete, (gpointer) request->route_table_id, error);
}

/* ---- associations ---- */

typedef struct {
    const char *id, *subnet_id, *association_id;
    char *new_id;
} Association;

static bool
associate(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Association *asked = data;

    return virga_route_table_associate(txn, call->arena, call->account_id, asked->id,
                                       asked->subnet_id, &asked->new_id, error);
}

bool
ec2_associate_route_table(VirgaCall *call, const Ec2AssociateRouteTableRequest *request,
                          Ec2AssociateRouteTableResponse *response, GError **error)
{
    Association asked = { .id = request->route_table_id, .subnet_id = request->subnet_id };

    if (!check_id(request->route_table_id, error))
        return false;
    if (request->gateway_id)
        return ec2_unsupported(error, "GatewayId");
    if (request->public_ipv4_pool)
        return ec2_unsupported(error, "PublicIpv4Pool");
    if (!request->subnet_id)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter subnetId");
    if (!virga_api_check_id(request->subnet_id, "subnet", "InvalidSubnetID.Malformed", error) ||
        !ec2_transaction(call, associate, &asked, error))
        return false;
    response->association_id = asked.new_id;
    response->association_state = show_state(call);
    return true;
}

static bool
disassociate(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    return virga_route_table_disassociate(txn, call->account_id, data, error);
}

bool
ec2_disassociate_route_table(VirgaCall *call, const Ec2DisassociateRouteTableRequest *request,
                             Ec2DisassociateRouteTableResponse *response, GError **error)
{
    return ec2_transaction(call, disassociate, (gpointer) request->association_id, error);
}

static bool
replace(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Association *asked = data;

    return virga_route_table_replace_association(txn, call->arena, call->account_id,
                                                 asked->association_id, asked->id, &asked->new_id,
                                                 error);
}

bool
ec2_replace_route_table_association(VirgaCall *call,
                                    const Ec2ReplaceRouteTableAssociationRequest *request,
                                    Ec2ReplaceRouteTableAssociationResponse *response,
                                    GError **error)
{
    Association asked = { .id = request->route_table_id,
                          .association_id = request->association_id };

    if (!check_id(request->route_table_id, error) || !ec2_transaction(call, replace, &asked, error))
        return false;
    response->new_association_id = asked.new_id;
    response->association_state = show_state(call);
    return true;
}
