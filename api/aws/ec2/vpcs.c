/* SPDX-License-Identifier: Apache-2.0 */
/* VPCs. */
#include "vpcs.h"

static const VirgaFilterField vpc_fields[] = {
    { "cidr", "CidrBlock" },
    { "cidr-block", "CidrBlock" },
    { "cidr-block-association.association-id", "CidrBlockAssociationSet.AssociationId" },
    { "cidr-block-association.cidr-block", "CidrBlockAssociationSet.CidrBlock" },
    { "cidr-block-association.state", "CidrBlockAssociationSet.CidrBlockState.State" },
    { "cidrBlock", "CidrBlock" },
    { "dhcp-options-id", "DhcpOptionsId" },
    { "dhcpOptionsId", "DhcpOptionsId" },
    { "ipv6-cidr-block-association.association-id", "Ipv6CidrBlockAssociationSet.AssociationId" },
    { "ipv6-cidr-block-association.ipv6-cidr-block", "Ipv6CidrBlockAssociationSet.Ipv6CidrBlock" },
    { "ipv6-cidr-block-association.ipv6-pool", "Ipv6CidrBlockAssociationSet.Ipv6Pool" },
    { "ipv6-cidr-block-association.state", "Ipv6CidrBlockAssociationSet.Ipv6CidrBlockState.State" },
    { "is-default", "IsDefault" },
    { "isDefault", "IsDefault" },
    { "owner-id", "OwnerId" },
    { "state", "State" },
    { "vpc-id", "VpcId" },
};

static void
show_vpc(const VirgaCall *call, const VirgaVpc *row, const Ec2Tags *tags, Ec2Vpc *shown)
{
    Ec2VpcCidrBlockAssociationSet *set = &shown->cidr_block_association_set;

    *shown = (Ec2Vpc){ .owner_id = row->account_id,
                       .instance_tenancy = row->tenancy,
                       .is_default = row->is_default,
                       .has_is_default = true,
                       .tags = ec2_tags_of(tags, row->id),
                       .vpc_id = row->id,
                       .state = "available",
                       .cidr_block = row->cidr,
                       .dhcp_options_id = row->dhcp_options_id ? row->dhcp_options_id : "default" };
    set->items = ec2_array(call, Ec2VpcCidrBlockAssociation, row->block_count);
    for (; set->count < row->block_count; set->count++)
        set->items[set->count] = *ec2_vpc_block(call, &row->blocks[set->count], "associated");
}

static bool
read_vpcs(VirgaCall *call, const char *const *ids, Ec2VpcList *list, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    Ec2Tags tags;
    VirgaVpc *rows;
    size_t count;

    if (!txn || !virga_vpc_list(txn, call->arena, call->account_id, ids, &rows, &count, error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaVpc, id),
                         "InvalidVpcID.NotFound", "vpc ID", error) ||
        !ec2_tags_read(call, txn, ids, "vpc", &tags, error))
        return false;
    list->items = ec2_array(call, Ec2Vpc, count);
    for (; list->count < count; list->count++)
        show_vpc(call, &rows[list->count], &tags, &list->items[list->count]);
    return true;
}

bool
ec2_describe_vpcs(VirgaCall *call, const Ec2DescribeVpcsRequest *request,
                  Ec2DescribeVpcsResponse *response, GError **error)
{
    const char *const *ids;
    VirgaFilter *filter;
    Ec2Page page;

    if (!ec2_ids(call, &request->vpc_ids, "vpc", "InvalidVpcId.Malformed", &ids, error) ||
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error))
        return false;
    filter = virga_filter_new(call->arena, vpc_fields, &ec2_vpc_shape, &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !read_vpcs(call, ids, &response->vpcs, error))
        return false;
    ec2_answer(call, filter, &page, &response->vpcs, &ec2_vpc_shape, Ec2Vpc, vpc_id,
               &response->next_token);
    return true;
}

/* ---- making and deleting ---- */

typedef struct {
    const Ec2CreateVpcRequest *request;
    Ec2NewTags tags;
    VirgaVpc *row;
} Create;

static bool
create(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Create *asked = data;
    VirgaVpcSpec spec = { .account_id = call->account_id,
                          .cidr = asked->request->cidr_block,
                          .tenancy = asked->request->instance_tenancy };
    char *id;

    if (!virga_vpc_create(txn, call->arena, &spec, &id, error) ||
        !ec2_tags_set(call, txn, id, &asked->tags, error))
        return false;
    asked->row = virga_vpc_get(txn, call->arena, call->account_id, id, error);
    return asked->row != NULL;
}

/* A VPC without tags of which anybody knows. */
static Ec2Vpc *
show_new(const VirgaCall *call, const VirgaVpc *row)
{
    Ec2Tags none = ec2_tags_make(call, NULL, 0);
    Ec2Vpc *shown = ec2_new(call, Ec2Vpc);

    show_vpc(call, row, &none, shown);
    return shown;
}

bool
ec2_create_vpc(VirgaCall *call, const Ec2CreateVpcRequest *request, Ec2CreateVpcResponse *response,
               GError **error)
{
    const char *block = ec2_unsupported_block(request);
    const char *refused = block                             ? block
                          : request->vpc_encryption_control ? "VpcEncryptionControl"
                          : g_strcmp0(request->instance_tenancy, "host") == 0 ||
                                  g_strcmp0(request->instance_tenancy, "dedicated") == 0
                              ? "InstanceTenancy"
                              : NULL;
    Create asked = { .request = request };

    if (refused)
        return ec2_unsupported(error, refused);
    if (!request->cidr_block)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter cidrBlock");
    if (!ec2_tags_for(call, &request->tag_specifications, "vpc", &asked.tags, error) ||
        !ec2_transaction(call, create, &asked, error))
        return false;
    response->vpc = show_new(call, asked.row);
    response->vpc->state = "pending"; /* as AWS says: it may be used at once */
    response->vpc->tags = ec2_tags_shown(call, &asked.tags);
    return true;
}

static bool delete (VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    return virga_vpc_delete(txn, call->account_id, data, error);
}

bool
ec2_delete_vpc(VirgaCall *call, const Ec2DeleteVpcRequest *request, Ec2DeleteVpcResponse *response,
               GError **error)
{
    return virga_api_check_id(request->vpc_id, "vpc", "InvalidVpcID.Malformed", error) &&
           ec2_transaction(call, delete, (gpointer) request->vpc_id, error);
}

/* ---- the default one ---- */

static bool
restore(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    VirgaVpc **row = data;
    char *id;

    if (!virga_vpc_restore_default(txn, call->arena, call->account_id,
                                   (const char *const *) ec2_services(call)->zones, &id, error))
        return false;
    *row = virga_vpc_get(txn, call->arena, call->account_id, id, error);
    return *row != NULL;
}

bool
ec2_create_default_vpc(VirgaCall *call, const Ec2CreateDefaultVpcRequest *request,
                       Ec2CreateDefaultVpcResponse *response, GError **error)
{
    VirgaVpc *row = NULL;

    if (!ec2_transaction(call, restore, &row, error))
        return false;
    response->vpc = show_new(call, row);
    response->vpc->state = "pending";
    return true;
}
