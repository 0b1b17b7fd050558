/* SPDX-License-Identifier: Apache-2.0 */
/* What can be changed of a VPC: switches, blocks, tenancy. */
#include "vpcs.h"

#include "compute/instance.h"

/* ---- switches ---- */

bool
ec2_describe_vpc_attribute(VirgaCall *call, const Ec2DescribeVpcAttributeRequest *request,
                           Ec2DescribeVpcAttributeResponse *response, GError **error)
{
    g_autoptr(VirgaTxn) txn = NULL;
    VirgaVpc *row;

    if (!virga_api_check_id(request->vpc_id, "vpc", "InvalidVpcID.Malformed", error))
        return false;
    txn = virga_db_read(call->db, error);
    row = txn ? virga_vpc_get(txn, call->arena, call->account_id, request->vpc_id, error) : NULL;
    if (!row || !virga_call_dry_run(call, error))
        return false;
    response->vpc_id = row->id;
    if (g_str_equal(request->attribute, "enableDnsSupport"))
        response->enable_dns_support = ec2_flag_shown(call, row->dns_support);
    else if (g_str_equal(request->attribute, "enableDnsHostnames"))
        response->enable_dns_hostnames = ec2_flag_shown(call, row->dns_hostnames);
    else
        response->enable_network_address_usage_metrics = ec2_flag_shown(call, row->usage_metrics);
    return true;
}

typedef struct {
    const char *id;
    VirgaVpcFlags flags;
} Modify;

/* Public names need the resolver that knows them. */
static bool
modify(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Modify *asked = data;
    VirgaVpc *row;

    if (!virga_instance_vpc_changed(txn, call->account_id, asked->id, error) ||
        !virga_vpc_lock(txn, call->account_id, asked->id, error))
        return false;
    row = virga_vpc_get(txn, call->arena, call->account_id, asked->id, error);
    if (!row)
        return false;
    if (asked->flags.dns_hostnames > 0 && !row->dns_support)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "enableDnsHostnames requires enableDnsSupport");
    return virga_vpc_set_flags(txn, asked->id, &asked->flags, error);
}

bool
ec2_modify_vpc_attribute(VirgaCall *call, const Ec2ModifyVpcAttributeRequest *request,
                         Ec2ModifyVpcAttributeResponse *response, GError **error)
{
    Modify asked = { .id = request->vpc_id };
    int given = (request->enable_dns_support != NULL) + (request->enable_dns_hostnames != NULL) +
                (request->enable_network_address_usage_metrics != NULL);

    if (!virga_api_check_id(request->vpc_id, "vpc", "InvalidVpcID.Malformed", error))
        return false;
    if (given != 1)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              given ? "Fields for multiple attribute types specified"
                                    : "No attributes specified.");
    asked.flags = (VirgaVpcFlags){
        .dns_support = ec2_flag_given(request->enable_dns_support),
        .dns_hostnames = ec2_flag_given(request->enable_dns_hostnames),
        .usage_metrics = ec2_flag_given(request->enable_network_address_usage_metrics),
    };
    return ec2_transaction(call, modify, &asked, error);
}

/* ---- tenancy ---- */

static bool
set_tenancy(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    return virga_vpc_lock(txn, call->account_id, data, error) &&
           virga_vpc_set_tenancy(txn, data, "default", error);
}

bool
ec2_modify_vpc_tenancy(VirgaCall *call, const Ec2ModifyVpcTenancyRequest *request,
                       Ec2ModifyVpcTenancyResponse *response, GError **error)
{
    if (!virga_api_check_id(request->vpc_id, "vpc", "InvalidVpcID.Malformed", error) ||
        !ec2_transaction(call, set_tenancy, (gpointer) request->vpc_id, error))
        return false;
    response->return_value = response->has_return_value = true;
    return true;
}

/* ---- blocks ---- */

Ec2VpcCidrBlockAssociation *
ec2_vpc_block(const VirgaCall *call, const VirgaVpcBlock *block, const char *state)
{
    Ec2VpcCidrBlockAssociation *shown = ec2_new(call, Ec2VpcCidrBlockAssociation);

    shown->association_id = block->association_id;
    shown->cidr_block = block->cidr;
    shown->cidr_block_state = ec2_new(call, Ec2VpcCidrBlockState);
    shown->cidr_block_state->state = state;
    return shown;
}

typedef struct {
    const char *vpc_id, *cidr, *association_id;
    char *found_vpc_id;
    VirgaVpcBlock block;
} Block;

static bool
associate(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Block *asked = data;

    return virga_vpc_add_block(txn, call->arena, call->account_id, asked->vpc_id, asked->cidr,
                               &asked->block, error) &&
           virga_instance_vpc_changed(txn, call->account_id, asked->vpc_id, error);
}

bool
ec2_associate_vpc_cidr_block(VirgaCall *call, const Ec2AssociateVpcCidrBlockRequest *request,
                             Ec2AssociateVpcCidrBlockResponse *response, GError **error)
{
    const char *refused = ec2_unsupported_block(request);
    Block asked = { .vpc_id = request->vpc_id, .cidr = request->cidr_block };

    if (!virga_api_check_id(request->vpc_id, "vpc", "InvalidVpcID.Malformed", error))
        return false;
    if (refused)
        return ec2_unsupported(error, refused);
    if (!request->cidr_block)
        return virga_api_fail(error, "MissingParameter", 400,
                              "Either 'cidrBlock' or 'amazonProvidedIpv6CidrBlock' should be "
                              "provided");
    if (!ec2_transaction(call, associate, &asked, error))
        return false;
    response->vpc_id = request->vpc_id;
    response->cidr_block_association = ec2_vpc_block(call, &asked.block, "associating");
    return true;
}

static bool
disassociate(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Block *asked = data;

    return virga_vpc_remove_block(txn, call->arena, call->account_id, asked->association_id,
                                  &asked->found_vpc_id, &asked->block, error) &&
           virga_instance_vpc_changed(txn, call->account_id, asked->found_vpc_id, error);
}

bool
ec2_disassociate_vpc_cidr_block(VirgaCall *call, const Ec2DisassociateVpcCidrBlockRequest *request,
                                Ec2DisassociateVpcCidrBlockResponse *response, GError **error)
{
    Block asked = { .association_id = request->association_id };

    if (!ec2_transaction(call, disassociate, &asked, error))
        return false;
    response->vpc_id = asked.found_vpc_id;
    response->cidr_block_association = ec2_vpc_block(call, &asked.block, "disassociating");
    return true;
}
