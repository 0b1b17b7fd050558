/* SPDX-License-Identifier: Apache-2.0 */
/* Elastic IP addresses. */
#include "common.h"

#include "compute/instance-network.h"
#include "network/elastic-ip.h"

#define POOL "amazon" /* the one pool there is */

/* ---- allocating and releasing ---- */

static bool
check_border_group(const VirgaCall *call, const char *group, GError **error)
{
    return !group || g_str_equal(group, call->region) ||
           virga_api_fail(error, "InvalidParameterValue", 400,
                          "The network border group '%s' does not exist", group);
}

static bool
check_allocation(const VirgaCall *call, const Ec2AllocateAddressRequest *request, GError **error)
{
    if (request->domain && !g_str_equal(request->domain, "vpc"))
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Invalid value '%s' for domain. Expecting 'vpc'", request->domain);
    if (request->customer_owned_ipv4_pool)
        return ec2_unsupported(error, "CustomerOwnedIpv4Pool");
    if (request->ipam_pool_id)
        return ec2_unsupported(error, "IpamPoolId");
    if (request->public_ipv4_pool && !g_str_equal(request->public_ipv4_pool, POOL))
        return virga_api_fail(error, "InvalidPublicIpv4PoolID.NotFound", 400,
                              "The public IPv4 pool ID '%s' does not exist",
                              request->public_ipv4_pool);
    return check_border_group(call, request->network_border_group, error);
}

typedef struct {
    const char *wanted;
    Ec2NewTags tags;
    VirgaElasticIp made;
} Allocate;

static bool
allocate(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Allocate *asked = data;

    return virga_elastic_ip_allocate(txn, call->arena, call->account_id, asked->wanted,
                                     &asked->made, error) &&
           ec2_tags_set(call, txn, asked->made.allocation_id, &asked->tags, error);
}

bool
ec2_allocate_address(VirgaCall *call, const Ec2AllocateAddressRequest *request,
                     Ec2AllocateAddressResponse *response, GError **error)
{
    Allocate asked = { .wanted = request->address };

    if (!check_allocation(call, request, error) ||
        !ec2_tags_for(call, &request->tag_specifications, "elastic-ip", &asked.tags, error) ||
        !ec2_transaction(call, allocate, &asked, error))
        return false;
    response->allocation_id = asked.made.allocation_id;
    response->public_ip = asked.made.address;
    response->public_ipv4_pool = POOL;
    response->network_border_group = call->region;
    response->domain = "vpc";
    return true;
}

static bool
release(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    return virga_elastic_ip_release(txn, call->account_id, data, error);
}

bool
ec2_release_address(VirgaCall *call, const Ec2ReleaseAddressRequest *request,
                    Ec2ReleaseAddressResponse *response, GError **error)
{
    if (request->allocation_id && request->public_ip)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "You may specify public IP or allocation id, but not both in the "
                              "same call");
    if (request->public_ip)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "You must specify an allocation id when releasing a VPC elastic IP "
                              "address");
    if (!request->allocation_id)
        return virga_api_fail(error, "MissingParameter", 400,
                              "Either public IP or allocation id must be specified");
    return check_border_group(call, request->network_border_group, error) &&
           ec2_transaction(call, release, (gpointer) request->allocation_id, error);
}

/* ---- associating ---- */

typedef struct {
    const Ec2AssociateAddressRequest *request;
    char *association_id;
} Associate;

static bool
associate(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Associate *asked = data;
    const Ec2AssociateAddressRequest *request = asked->request;
    const char *changed[3] = { 0 };
    VirgaInterface interface;
    char *former;

    if (!(request->instance_id
              ? virga_interface_lock_only(txn, call->arena, call->account_id, request->instance_id,
                                          &interface, error)
              : virga_interface_lock(txn, call->arena, call->account_id,
                                     request->network_interface_id, &interface, error)) ||
        !virga_elastic_ip_associate(txn, call->arena, call->account_id, request->allocation_id,
                                    &interface, request->private_ip_address,
                                    !request->has_allow_reassociation ||
                                        request->allow_reassociation,
                                    &asked->association_id, &former, error))
        return false;
    changed[0] = interface.id;
    changed[1] = former;
    return virga_interface_changed(txn, changed, error);
}

bool
ec2_associate_address(VirgaCall *call, const Ec2AssociateAddressRequest *request,
                      Ec2AssociateAddressResponse *response, GError **error)
{
    Associate asked = { .request = request };

    if (request->public_ip)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "You must specify an allocation id when mapping an address to a VPC "
                              "instance");
    if (!request->allocation_id)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter AllocationId");
    if (!request->instance_id && !request->network_interface_id)
        return virga_api_fail(error, "MissingParameter", 400,
                              "Either instance ID or network interface ID must be specified");
    if (request->instance_id && request->network_interface_id)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "You may specify instance ID or network interface ID, but not both "
                              "in the same call");
    if ((request->instance_id &&
         !virga_api_check_id(request->instance_id, "i", "InvalidInstanceID.Malformed", error)) ||
        (request->network_interface_id &&
         !virga_api_check_id(request->network_interface_id, "eni",
                             "InvalidNetworkInterfaceId.Malformed", error)) ||
        !ec2_transaction(call, associate, &asked, error))
        return false;
    response->association_id = asked.association_id;
    return true;
}

static bool
disassociate(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const char *changed[2] = { 0 };
    char *interface_id;

    if (!virga_elastic_ip_disassociate(txn, call->arena, call->account_id, data, &interface_id,
                                       error))
        return false;
    changed[0] = interface_id;
    return virga_interface_changed(txn, changed, error);
}

bool
ec2_disassociate_address(VirgaCall *call, const Ec2DisassociateAddressRequest *request,
                         Ec2DisassociateAddressResponse *response, GError **error)
{
    if (request->association_id && request->public_ip)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "You may specify public IP or association id, but not both in the "
                              "same call");
    if (request->public_ip)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "You must specify an association id when unmapping an address from "
                              "a VPC instance");
    if (!request->association_id)
        return virga_api_fail(error, "MissingParameter", 400,
                              "Either public IP or association id must be specified");
    return ec2_transaction(call, disassociate, (gpointer) request->association_id, error);
}

/* ---- describing ---- */

static const VirgaFilterField address_fields[] = {
    { "allocation-id", "AllocationId" },
    { "association-id", "AssociationId" },
    { "domain", "Domain" },
    { "instance-id", "InstanceId" },
    { "network-border-group", "NetworkBorderGroup" },
    { "network-interface-id", "NetworkInterfaceId" },
    { "network-interface-owner-id", "NetworkInterfaceOwnerId" },
    { "private-ip-address", "PrivateIpAddress" },
    { "public-ip", "PublicIp" },
};

static void
show_address(const VirgaCall *call, const VirgaElasticIp *row, const Ec2Tags *tags,
             Ec2Address *shown)
{
    *shown =
        (Ec2Address){ .allocation_id = row->allocation_id,
                      .association_id = row->association_id,
                      .domain = "vpc",
                      .instance_id = row->instance_id,
                      .network_border_group = call->region,
                      .network_interface_id = row->interface_id,
                      .network_interface_owner_id = row->interface_id ? call->account_id : NULL,
                      .private_ip_address = row->private_address,
                      .public_ip = row->address,
                      .public_ipv4_pool = POOL,
                      .tags = ec2_tags_of(tags, row->allocation_id) };
}

static bool
is_wanted(const VirgaElasticIp *row, const char *const *ids, const char *const *addresses)
{
    return (!ids && !addresses) || (ids && g_strv_contains(ids, row->allocation_id)) ||
           (addresses && g_strv_contains(addresses, row->address));
}

static bool
check_addresses(const char *const *addresses, const VirgaElasticIp *rows, size_t count,
                GError **error)
{
    for (; addresses && *addresses; addresses++) {
        bool found = false;

        for (size_t i = 0; i < count && !found; i++)
            found = g_str_equal(rows[i].address, *addresses);
        if (!found)
            return virga_api_fail(error, "InvalidAddress.NotFound", 400,
                                  "Address '%.200s' not found.", *addresses);
    }
    return true;
}

static bool
read_addresses(VirgaCall *call, const char *const *ids, const char *const *addresses,
               Ec2AddressList *list, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    VirgaElasticIp *rows;
    Ec2Tags tags;
    size_t count;

    if (!txn || !virga_elastic_ip_list(txn, call->arena, call->account_id, &rows, &count, error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows,
                         offsetof(VirgaElasticIp, allocation_id), "InvalidAllocationID.NotFound",
                         "allocation ID", error) ||
        !check_addresses(addresses, rows, count, error) ||
        !ec2_tags_read(call, txn, NULL, "elastic-ip", &tags, error))
        return false;
    list->items = ec2_array(call, Ec2Address, count);
    for (size_t i = 0; i < count; i++)
        if (is_wanted(&rows[i], ids, addresses))
            show_address(call, &rows[i], &tags, &list->items[list->count++]);
    return true;
}

bool
ec2_describe_addresses(VirgaCall *call, const Ec2DescribeAddressesRequest *request,
                       Ec2DescribeAddressesResponse *response, GError **error)
{
    VirgaFilter *filter =
        virga_filter_new(call->arena, address_fields, &ec2_address_shape, &request->filters, error);

    if (!filter || !virga_call_dry_run(call, error) ||
        !read_addresses(call, ec2_strings(call, &request->allocation_ids),
                        ec2_strings(call, &request->public_ips), &response->addresses, error))
        return false;
    ec2_filter_list(EC2_LIST(&response->addresses), &ec2_address_shape, filter, NULL, NULL);
    return true;
}

/* The attributes are names of addresses that somebody's DNS would have to lead to: there are
 * none. */
bool
ec2_describe_addresses_attribute(VirgaCall *call,
                                 const Ec2DescribeAddressesAttributeRequest *request,
                                 Ec2DescribeAddressesAttributeResponse *response, GError **error)
{
    Ec2AddressList unused = { 0 };
    Ec2Page page;

    return ec2_page_begin(call, request, 1, 1000, &page, error) &&
           virga_call_dry_run(call, error) &&
           read_addresses(call, ec2_strings(call, &request->allocation_ids), NULL, &unused, error);
}

static const VirgaFilterField pool_fields[] = {
    { "pool-id", "PoolId" },
};

/* Pools are what accounts have brought with them. */
bool
ec2_describe_public_ipv4_pools(VirgaCall *call, const Ec2DescribePublicIpv4PoolsRequest *request,
                               Ec2DescribePublicIpv4PoolsResponse *response, GError **error)
{
    const char *const *ids = ec2_strings(call, &request->pool_ids);
    Ec2Page page;

    if (!virga_filter_new(call->arena, pool_fields, &ec2_public_ipv4_pool_shape, &request->filters,
                          error) ||
        !ec2_page_begin(call, request, 1, 10, &page, error))
        return false;
    return !ids || virga_api_fail(error, "InvalidPublicIpv4PoolID.NotFound", 400,
                                  "The public IPv4 pool ID '%.200s' does not exist", *ids);
}
