/* SPDX-License-Identifier: Apache-2.0 */
/* Network ACLs. */
#include "common.h"

#include "core/id.h"
#include "network/network-acl.h"
#include "network/protocol.h"

#include <string.h>

static const VirgaFilterField fields[] = {
    { "association.association-id", "Associations.NetworkAclAssociationId" },
    { "association.network-acl-id", "Associations.NetworkAclId" },
    { "association.subnet-id", "Associations.SubnetId" },
    { "default", "IsDefault" },
    { "entry.cidr", "Entries.CidrBlock" },
    { "entry.egress", "Entries.Egress" },
    { "entry.icmp.code", "Entries.IcmpTypeCode.Code" },
    { "entry.icmp.type", "Entries.IcmpTypeCode.Type" },
    { "entry.ipv6-cidr", "Entries.Ipv6CidrBlock" },
    { "entry.port-range.from", "Entries.PortRange.From" },
    { "entry.port-range.to", "Entries.PortRange.To" },
    { "entry.protocol", "Entries.Protocol" },
    { "entry.rule-action", "Entries.RuleAction" },
    { "entry.rule-number", "Entries.RuleNumber" },
    { "network-acl-id", "NetworkAclId" },
    { "owner-id", "OwnerId" },
    { "vpc-id", "VpcId" },
};

/* ---- showing ---- */

static void
show_entry(const VirgaCall *call, const VirgaNetworkAclEntry *row, Ec2NetworkAclEntry *shown)
{
    *shown = (Ec2NetworkAclEntry){ .cidr_block = row->cidr,
                                   .egress = row->egress,
                                   .has_egress = true,
                                   .protocol = virga_protocol_number(row->protocol),
                                   .rule_action = row->allow ? "allow" : "deny",
                                   .rule_number = row->number,
                                   .has_rule_number = true };
    if (g_str_equal(row->protocol, "icmp")) {
        shown->icmp_type_code = ec2_new(call, Ec2IcmpTypeCode);
        *shown->icmp_type_code = (Ec2IcmpTypeCode){
            .type = row->from_port, .has_type = true, .code = row->to_port, .has_code = true
        };
    } else if (row->from_port >= 0) {
        shown->port_range = ec2_new(call, Ec2PortRange);
        *shown->port_range = (Ec2PortRange){
            .from = row->from_port, .has_from = true, .to = row->to_port, .has_to = true
        };
    }
}

/* Behind the entries of each direction stands the one that denies the rest. */
static void
show_entries(const VirgaCall *call, const VirgaNetworkAcl *row, Ec2NetworkAclEntryList *list)
{
    list->items = ec2_array(call, Ec2NetworkAclEntry, row->entry_count + 2);
    for (int egress = 1; egress >= 0; egress--) {
        VirgaNetworkAclEntry rest = { .egress = egress,
                                      .number = VIRGA_ACL_NUMBER_MAX + 1,
                                      .protocol = (char *) "-1",
                                      .from_port = -1,
                                      .cidr = (char *) "0.0.0.0/0" };

        for (size_t i = 0; i < row->entry_count; i++)
            if (row->entries[i].egress == egress)
                show_entry(call, &row->entries[i], &list->items[list->count++]);
        show_entry(call, &rest, &list->items[list->count++]);
    }
}

static void
show(const VirgaCall *call, const VirgaNetworkAcl *row, const Ec2Tags *tags, Ec2NetworkAcl *shown)
{
    *shown = (Ec2NetworkAcl){ .network_acl_id = row->id,
                              .is_default = row->is_default,
                              .has_is_default = true,
                              .owner_id = row->account_id,
                              .vpc_id = row->vpc_id,
                              .tags = ec2_tags_of(tags, row->id) };
    show_entries(call, row, &shown->entries);
    shown->associations.items = ec2_array(call, Ec2NetworkAclAssociation, row->association_count);
    for (size_t i = 0; i < row->association_count; i++)
        shown->associations.items[shown->associations.count++] =
            (Ec2NetworkAclAssociation){ .network_acl_association_id = row->associations[i].id,
                                        .network_acl_id = row->id,
                                        .subnet_id = row->associations[i].subnet_id };
}

static bool
read_all(VirgaCall *call, VirgaTxn *txn, const char *const *ids, Ec2NetworkAclList *list,
         GError **error)
{
    VirgaNetworkAcl *rows;
    Ec2Tags tags;
    size_t count;

    if (!virga_network_acl_list(txn, call->arena, call->account_id, ids, &rows, &count, error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaNetworkAcl, id),
                         "InvalidNetworkAclID.NotFound", "networkAcl ID", error) ||
        !ec2_tags_read(call, txn, ids, "network-acl", &tags, error))
        return false;
    list->count = 0;
    list->items = ec2_array(call, Ec2NetworkAcl, count);
    for (; list->count < count; list->count++)
        show(call, &rows[list->count], &tags, &list->items[list->count]);
    return true;
}

static bool
check_id(const char *id, GError **error)
{
    return virga_api_check_id(id, "acl", "InvalidNetworkAclId.Malformed", error);
}

bool
ec2_describe_network_acls(VirgaCall *call, const Ec2DescribeNetworkAclsRequest *request,
                          Ec2DescribeNetworkAclsResponse *response, GError **error)
{
    g_autoptr(VirgaTxn) txn = NULL;
    const char *const *ids;
    VirgaFilter *filter;
    Ec2Page page;

    if (!ec2_ids(call, &request->network_acl_ids, "acl", "InvalidNetworkAclId.Malformed", &ids,
                 error) ||
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error))
        return false;
    filter =
        virga_filter_new(call->arena, fields, &ec2_network_acl_shape, &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error))
        return false;
    txn = virga_db_read(call->db, error);
    if (!txn || !read_all(call, txn, ids, &response->network_acls, error))
        return false;
    ec2_answer(call, filter, &page, &response->network_acls, &ec2_network_acl_shape, Ec2NetworkAcl,
               network_acl_id, &response->next_token);
    return true;
}

/* ---- making and deleting ---- */

typedef struct {
    const char *vpc_id;
    Ec2Token token;
    Ec2NewTags tags;
    Ec2NetworkAclList shown;
} Create;

/* The answer is the same when the ACL was made before. */
static bool
create(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Create *asked = data;
    g_autofree char *id = virga_id_new("acl");
    const char *ids[] = { id, NULL };
    char *earlier;

    if (!ec2_token_take(call, txn, &asked->token, id, &earlier, error))
        return false;
    if (earlier)
        ids[0] = earlier;
    else if (!virga_network_acl_create(txn, call->account_id, asked->vpc_id, id, error) ||
             !ec2_tags_set(call, txn, id, &asked->tags, error))
        return false;
    return read_all(call, txn, ids, &asked->shown, error);
}

bool
ec2_create_network_acl(VirgaCall *call, const Ec2CreateNetworkAclRequest *request,
                       Ec2CreateNetworkAclResponse *response, GError **error)
{
    Create asked = { .vpc_id = request->vpc_id };

    if (!virga_api_check_id(request->vpc_id, "vpc", "InvalidVpcID.Malformed", error) ||
        !ec2_tags_for(call, &request->tag_specifications, "network-acl", &asked.tags, error) ||
        !ec2_token_read(call, &ec2_create_network_acl_request_shape, request, request->client_token,
                        &asked.token, error) ||
        !ec2_transaction(call, create, &asked, error))
        return false;
    response->network_acl = asked.shown.items;
    response->client_token = request->client_token;
    return true;
}

static bool delete (VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    return virga_network_acl_delete(txn, call->account_id, data, error);
}

bool
ec2_delete_network_acl(VirgaCall *call, const Ec2DeleteNetworkAclRequest *request,
                       Ec2DeleteNetworkAclResponse *response, GError **error)
{
    return check_id(request->network_acl_id, error) &&
           ec2_transaction(call, delete, (gpointer) request->network_acl_id, error);
}

/* ---- entries ---- */

typedef struct {
    const char *id;
    VirgaNetworkAclEntry entry;
} Change;

/* Requests to create and to replace an entry have the same members; ports are given for TCP and
 * UDP, type and code for ICMP. */
static bool
read_entry(const VirgaCall *call, const Ec2CreateNetworkAclEntryRequest *request, Change *ret,
           GError **error)
{
    const Ec2PortRange *ports = request->port_range;
    const Ec2IcmpTypeCode *icmp = request->icmp_type_code;
    const char *protocol = virga_protocol_normalise(call->arena, request->protocol);
    bool is_icmp = g_strcmp0(protocol, "icmp") == 0;
    bool has_ports = g_strcmp0(protocol, "tcp") == 0 || g_strcmp0(protocol, "udp") == 0;

    if (!check_id(request->network_acl_id, error))
        return false;
    if (request->ipv6_cidr_block)
        return ec2_unsupported(error, "Ipv6CidrBlock");
    if (!request->cidr_block)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter cidrBlock or ipv6CidrBlock");
    if (has_ports && (!ports || !ports->has_from || !ports->has_to))
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter portRange");
    if (is_icmp && (!icmp || !icmp->has_type || !icmp->has_code))
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter icmpTypeCode");
    ret->id = request->network_acl_id;
    ret->entry = (VirgaNetworkAclEntry){ .egress = request->egress,
                                         .allow = g_str_equal(request->rule_action, "allow"),
                                         .number = request->rule_number,
                                         .protocol = (char *) request->protocol,
                                         .from_port = is_icmp     ? icmp->type
                                                      : has_ports ? ports->from
                                                                  : -1,
                                         .to_port = is_icmp     ? icmp->code
                                                    : has_ports ? ports->to
                                                                : -1,
                                         .cidr = (char *) request->cidr_block };
    return true;
}

static bool
add_entry(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Change *change = data;

    return virga_network_acl_add_entry(txn, call->account_id, change->id, &change->entry, error);
}

bool
ec2_create_network_acl_entry(VirgaCall *call, const Ec2CreateNetworkAclEntryRequest *request,
                             Ec2CreateNetworkAclEntryResponse *response, GError **error)
{
    Change change;

    return read_entry(call, request, &change, error) &&
           ec2_transaction(call, add_entry, &change, error);
}

static bool
replace_entry(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Change *change = data;

    return virga_network_acl_replace_entry(txn, call->account_id, change->id, &change->entry,
                                           error);
}

bool
ec2_replace_network_acl_entry(VirgaCall *call, const Ec2ReplaceNetworkAclEntryRequest *request,
                              Ec2ReplaceNetworkAclEntryResponse *response, GError **error)
{
    Ec2CreateNetworkAclEntryRequest same = { .network_acl_id = request->network_acl_id,
                                             .rule_number = request->rule_number,
                                             .protocol = request->protocol,
                                             .rule_action = request->rule_action,
                                             .egress = request->egress,
                                             .cidr_block = request->cidr_block,
                                             .ipv6_cidr_block = request->ipv6_cidr_block,
                                             .icmp_type_code = request->icmp_type_code,
                                             .port_range = request->port_range };
    Change change;

    return read_entry(call, &same, &change, error) &&
           ec2_transaction(call, replace_entry, &change, error);
}

static bool
delete_entry(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Ec2DeleteNetworkAclEntryRequest *request = data;

    return virga_network_acl_delete_entry(txn, call->account_id, request->network_acl_id,
                                          request->egress, request->rule_number, error);
}

bool
ec2_delete_network_acl_entry(VirgaCall *call, const Ec2DeleteNetworkAclEntryRequest *request,
                             Ec2DeleteNetworkAclEntryResponse *response, GError **error)
{
    return check_id(request->network_acl_id, error) &&
           ec2_transaction(call, delete_entry, (gpointer) request, error);
}

/* ---- associations ---- */

typedef struct {
    const Ec2ReplaceNetworkAclAssociationRequest *request;
    char *new_id;
} Replace;

static bool
replace(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Replace *asked = data;

    return virga_network_acl_replace_association(
        txn, call->arena, call->account_id, asked->request->association_id,
        asked->request->network_acl_id, &asked->new_id, error);
}

bool
ec2_replace_network_acl_association(VirgaCall *call,
                                    const Ec2ReplaceNetworkAclAssociationRequest *request,
                                    Ec2ReplaceNetworkAclAssociationResponse *response,
                                    GError **error)
{
    Replace asked = { .request = request };

    if (!check_id(request->network_acl_id, error) || !ec2_transaction(call, replace, &asked, error))
        return false;
    response->new_association_id = asked.new_id;
    return true;
}
