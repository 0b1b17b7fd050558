/* SPDX-License-Identifier: Apache-2.0 */
/* NAT gateways. */
#include "common.h"

#include "compute/nat-gateway.h"
#include "core/id.h"

static const VirgaFilterField gateway_fields[] = {
    { "nat-gateway-id", "NatGatewayId" },
    { "state", "State" },
    { "subnet-id", "SubnetId" },
    { "vpc-id", "VpcId" },
};

static Ec2NatGatewayAddress *
show_address(const VirgaCall *call, const VirgaNatGateway *row)
{
    Ec2NatGatewayAddress *address = ec2_new(call, Ec2NatGatewayAddress);

    *address = (Ec2NatGatewayAddress){ .allocation_id = row->allocation_id,
                                       .association_id = row->association_id,
                                       .network_interface_id = row->interface_id,
                                       .private_ip = row->private_address,
                                       .public_ip = row->public_address,
                                       .is_primary = true,
                                       .has_is_primary = true,
                                       .status = g_str_equal(row->state, "failed") ? "failed"
                                                                                   : "succeeded" };
    return address;
}

static void
show_gateway(const VirgaCall *call, const VirgaNatGateway *row, const Ec2Tags *tags,
             Ec2NatGateway *shown)
{
    *shown = (Ec2NatGateway){ .create_time = row->created,
                              .delete_time = g_str_equal(row->state, "deleted") ||
                                                     g_str_equal(row->state, "failed")
                                                 ? row->since
                                                 : 0,
                              .failure_code = row->failure_code,
                              .failure_message = row->failure,
                              .nat_gateway_addresses = { show_address(call, row), 1 },
                              .nat_gateway_id = row->id,
                              .state = row->state,
                              .subnet_id = row->subnet_id,
                              .vpc_id = row->vpc_id,
                              .tags = ec2_tags_of(tags, row->id),
                              .connectivity_type = row->is_public ? "public" : "private",
                              .availability_mode = "zonal" };
}

static bool
read_gateways(VirgaCall *call, VirgaTxn *txn, const char *const *ids, Ec2NatGatewayList *list,
              GError **error)
{
    VirgaNatGateway *rows;
    Ec2Tags tags;
    size_t count;

    if (!virga_nat_gateway_list(txn, call->arena, call->account_id, ids, &rows, &count, error))
        return false;
    for (const char *const *id = ids; id && *id; id++) {
        bool found = false;

        for (size_t i = 0; i < count && !found; i++)
            found = g_str_equal(rows[i].id, *id);
        if (!found)
            return virga_api_fail(error, "NatGatewayNotFound", 400,
                                  "The Nat Gateway %s was not found", *id);
    }
    if (!ec2_tags_read(call, txn, ids, "natgateway", &tags, error))
        return false;
    list->items = ec2_array(call, Ec2NatGateway, count);
    for (list->count = 0; list->count < count; list->count++)
        show_gateway(call, &rows[list->count], &tags, &list->items[list->count]);
    return true;
}

/* ---- making ---- */

typedef struct {
    VirgaNatGatewaySpec spec;
    Ec2NewTags tags;
    Ec2Token token;
    Ec2NatGatewayList made;
} Create;

static bool
create(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Create *asked = data;
    g_autofree char *id = virga_id_new("nat");
    const char *ids[] = { NULL, NULL };
    char *earlier;

    asked->spec.id = id;
    if (!ec2_token_take(call, txn, &asked->token, id, &earlier, error))
        return false;
    if (!earlier && (!virga_nat_gateway_create(txn, call->arena, &asked->spec, error) ||
                     !ec2_tags_set(call, txn, id, &asked->tags, error)))
        return false;
    ids[0] = earlier ? earlier : id;
    return read_gateways(call, txn, ids, &asked->made, error);
}

static const char *
unsupported(const Ec2CreateNatGatewayRequest *request)
{
    return request->secondary_allocation_ids.count           ? "SecondaryAllocationIds"
           : request->secondary_private_ip_addresses.count   ? "SecondaryPrivateIpAddresses"
           : request->has_secondary_private_ip_address_count ? "SecondaryPrivateIpAddressCount"
           : request->availability_zone_addresses.count      ? "AvailabilityZoneAddresses"
           : g_strcmp0(request->availability_mode, "regional") == 0 ? "AvailabilityMode"
                                                                    : NULL;
}

static bool
check_connectivity(const Ec2CreateNatGatewayRequest *request, GError **error)
{
    bool private = g_strcmp0(request->connectivity_type, "private") == 0;

    if (!request->subnet_id)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter SubnetId");
    if (private && request->allocation_id)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "AllocationId must not be specified for a private NAT gateway");
    return private || request->allocation_id ||
           virga_api_fail(error, "MissingParameter", 400,
                          "The request must contain the parameter AllocationId");
}

bool
ec2_create_nat_gateway(VirgaCall *call, const Ec2CreateNatGatewayRequest *request,
                       Ec2CreateNatGatewayResponse *response, GError **error)
{
    Create asked = { .spec = { .account_id = call->account_id,
                               .subnet_id = request->subnet_id,
                               .allocation_id = request->allocation_id,
                               .private_address = request->private_ip_address } };
    const char *refused = unsupported(request);

    if (refused)
        return ec2_unsupported(error, refused);
    if (!check_connectivity(request, error) ||
        !virga_api_check_id(request->subnet_id, "subnet", "InvalidSubnetID.Malformed", error) ||
        !ec2_tags_for(call, &request->tag_specifications, "natgateway", &asked.tags, error) ||
        !ec2_token_read(call, call->wire->input, request, request->client_token, &asked.token,
                        error) ||
        !ec2_transaction(call, create, &asked, error))
        return false;
    response->client_token = request->client_token;
    response->nat_gateway = asked.made.items;
    return true;
}

static bool delete (VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    return virga_nat_gateway_delete(txn, call->account_id, data, error);
}

bool
ec2_delete_nat_gateway(VirgaCall *call, const Ec2DeleteNatGatewayRequest *request,
                       Ec2DeleteNatGatewayResponse *response, GError **error)
{
    response->nat_gateway_id = request->nat_gateway_id;
    return virga_api_check_id(request->nat_gateway_id, "nat", "NatGatewayMalformed", error) &&
           ec2_transaction(call, delete, (gpointer) request->nat_gateway_id, error);
}

/* ---- describing ---- */

bool
ec2_describe_nat_gateways(VirgaCall *call, const Ec2DescribeNatGatewaysRequest *request,
                          Ec2DescribeNatGatewaysResponse *response, GError **error)
{
    g_autoptr(VirgaTxn) txn = NULL;
    const char *const *ids;
    VirgaFilter *filter;
    Ec2Page page;

    if (!ec2_ids(call, &request->nat_gateway_ids, "nat", "NatGatewayMalformed", &ids, error) ||
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error))
        return false;
    filter = virga_filter_new(call->arena, gateway_fields, &ec2_nat_gateway_shape, &request->filter,
                              error);
    if (!filter || !virga_call_dry_run(call, error))
        return false;
    txn = virga_db_read(call->db, error);
    if (!txn || !read_gateways(call, txn, ids, &response->nat_gateways, error))
        return false;
    ec2_answer(call, filter, &page, &response->nat_gateways, &ec2_nat_gateway_shape, Ec2NatGateway,
               nat_gateway_id, &response->next_token);
    return true;
}
