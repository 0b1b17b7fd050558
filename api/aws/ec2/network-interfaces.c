/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeNetworkInterfaces.  What changes them: network-interface-actions.c. */
#include "network-interfaces.h"

static const VirgaFilterField interface_fields[] = {
    { "addresses.association.allocation-id", "PrivateIpAddresses.Association.AllocationId" },
    { "addresses.association.association-id", "PrivateIpAddresses.Association.AssociationId" },
    { "addresses.association.owner-id", "PrivateIpAddresses.Association.IpOwnerId" },
    { "addresses.association.public-dns-name", "PrivateIpAddresses.Association.PublicDnsName" },
    { "addresses.association.public-ip", "PrivateIpAddresses.Association.PublicIp" },
    { "addresses.primary", "PrivateIpAddresses.Primary" },
    { "addresses.private-dns-name", "PrivateIpAddresses.PrivateDnsName" },
    { "addresses.private-ip-address", "PrivateIpAddresses.PrivateIpAddress" },
    { "association.allocation-id", "Association.AllocationId" },
    { "association.association-id", "Association.AssociationId" },
    { "association.ip-owner-id", "Association.IpOwnerId" },
    { "association.public-dns-name", "Association.PublicDnsName" },
    { "association.public-ip", "Association.PublicIp" },
    { "attachment.attach-time", "Attachment.AttachTime" },
    { "attachment.attachment-id", "Attachment.AttachmentId" },
    { "attachment.delete-on-termination", "Attachment.DeleteOnTermination" },
    { "attachment.device-index", "Attachment.DeviceIndex" },
    { "attachment.instance-id", "Attachment.InstanceId" },
    { "attachment.instance-owner-id", "Attachment.InstanceOwnerId" },
    { "attachment.network-card-index", "Attachment.NetworkCardIndex" },
    { "attachment.status", "Attachment.Status" },
    { "availability-zone", "AvailabilityZone" },
    { "availability-zone-id", "AvailabilityZoneId" },
    { "description", "Description" },
    { "group-id", "Groups.GroupId" },
    { "group-name", "Groups.GroupName" },
    { "interface-type", "InterfaceType" },
    { "ipv6-addresses.ipv6-address", "Ipv6Addresses.Ipv6Address" },
    { "mac-address", "MacAddress" },
    { "network-interface-id", "NetworkInterfaceId" },
    { "operator.managed", "Operator.Managed" },
    { "operator.principal", "Operator.Principal" },
    { "owner-id", "OwnerId" },
    { "private-dns-name", "PrivateDnsName" },
    { "private-ip-address", "PrivateIpAddress" },
    { "requester-id", "RequesterId" },
    { "requester-managed", "RequesterManaged" },
    { "source-dest-check", "SourceDestCheck" },
    { "status", "Status" },
    { "subnet-id", "SubnetId" },
    { "vpc-id", "VpcId" },
};

static Ec2NetworkInterfaceAssociation *
show_association(const VirgaCall *call, const VirgaInterface *row,
                 const VirgaInterfaceAddress *address)
{
    Ec2NetworkInterfaceAssociation *association;

    if (!address->public_address)
        return NULL;
    association = ec2_new(call, Ec2NetworkInterfaceAssociation);
    *association = (Ec2NetworkInterfaceAssociation){
        .public_ip = address->public_address,
        .public_dns_name =
            row->public_names ? ec2_public_dns_name(call, address->public_address) : "",
        .ip_owner_id = address->allocation_id ? call->account_id : "amazon",
        .allocation_id = address->allocation_id,
        .association_id = address->association_id
    };
    return association;
}

static Ec2NetworkInterfacePrivateIpAddressList
show_addresses(const VirgaCall *call, const VirgaInterface *row)
{
    Ec2NetworkInterfacePrivateIpAddressList list = {
        ec2_array(call, Ec2NetworkInterfacePrivateIpAddress, row->secondary_count + 1),
        row->secondary_count + 1
    };

    for (size_t i = 0; i < list.count; i++) {
        const VirgaInterfaceAddress *address = i ? &row->secondaries[i - 1] : &row->primary;

        list.items[i] = (Ec2NetworkInterfacePrivateIpAddress){
            .association = show_association(call, row, address),
            .primary = i == 0,
            .has_primary = true,
            .private_dns_name = ec2_private_dns_name(call, address->address),
            .private_ip_address = address->address
        };
    }
    return list;
}

/* What the cloud has made itself is attached to something of its own. */
static Ec2NetworkInterfaceAttachment *
show_attachment(const VirgaCall *call, const VirgaInterface *row)
{
    Ec2NetworkInterfaceAttachment *attachment;

    if (!row->instance_id && !row->requester_id)
        return NULL;
    attachment = ec2_new(call, Ec2NetworkInterfaceAttachment);
    *attachment = (Ec2NetworkInterfaceAttachment){
        .attach_time = row->attached,
        .attachment_id = row->attachment_id,
        .delete_on_termination = row->instance_id && row->delete_on_termination,
        .has_delete_on_termination = true,
        .device_index = row->instance_id ? row->device_index : 1,
        .has_device_index = true,
        .has_network_card_index = true,
        .instance_id = row->instance_id,
        .instance_owner_id = row->instance_id ? row->account_id : row->requester_id,
        .status = row->transition ? row->transition
                  : row->starting ? "attaching"
                                  : "attached"
    };
    if (!row->instance_id)
        attachment->attachment_id = ec2_derived_id(call, "ela-attach", row->id);
    return attachment;
}

void
ec2_network_interface_show(const VirgaCall *call, const VirgaInterface *row, const Ec2Tags *tags,
                           Ec2NetworkInterface *shown)
{
    Ec2NetworkInterfacePrivateIpAddressList addresses = show_addresses(call, row);

    *shown = (Ec2NetworkInterface){ .association = addresses.items[0].association,
                                    .attachment = show_attachment(call, row),
                                    .availability_zone = row->zone,
                                    .availability_zone_id = ec2_zone_id(call, row->zone),
                                    .description = row->description,
                                    .groups = ec2_groups(call, row->group_ids, row->group_names),
                                    .interface_type = row->type,
                                    .mac_address = row->mac,
                                    .network_interface_id = row->id,
                                    .owner_id = row->account_id,
                                    .private_dns_name = addresses.items[0].private_dns_name,
                                    .private_ip_address = row->primary.address,
                                    .private_ip_addresses = addresses,
                                    .requester_id = row->requester_id,
                                    .requester_managed = row->requester_id != NULL,
                                    .has_requester_managed = true,
                                    .source_dest_check = row->source_dest_check,
                                    .has_source_dest_check = true,
                                    .status = row->instance_id || row->requester_id ? "in-use"
                                                                                    : "available",
                                    .subnet_id = row->subnet_id,
                                    .tag_set = ec2_tags_of(tags, row->id),
                                    .vpc_id = row->vpc_id };
    shown->operator= ec2_new(call, Ec2OperatorResponse);
    shown->operator->has_managed = true;
}

/* Whoever asks for an attachment by its id is told that it has ended. */
static void
show_ended(const VirgaCall *call, const VirgaInterface *row, const char *const *attachments,
           Ec2NetworkInterface *shown)
{
    if (shown->attachment || !row->former_attachment_id || !attachments ||
        !g_strv_contains(attachments, row->former_attachment_id))
        return;
    shown->attachment = ec2_new(call, Ec2NetworkInterfaceAttachment);
    shown->attachment->attachment_id = row->former_attachment_id;
    shown->attachment->status = "detached";
}

static bool
read_interfaces(VirgaCall *call, const char *const *ids, const VirgaFilter *filter,
                Ec2NetworkInterfaceList *list, GError **error)
{
    const char *const *instance_ids = virga_filter_literals(filter, "attachment.instance-id");
    const char *const *attachments = virga_filter_literals(filter, "attachment.attachment-id");
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    Ec2Tags tags;
    VirgaInterface *rows;
    size_t count;

    if (!txn ||
        !(!ids && instance_ids ? virga_interface_list(txn, call->arena, call->account_id,
                                                      instance_ids, &rows, &count, error)
                               : virga_interface_find(txn, call->arena, call->account_id, ids,
                                                      &rows, &count, error)) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaInterface, id),
                         "InvalidNetworkInterfaceID.NotFound", "networkInterface ID", error) ||
        !ec2_tags_read(call, txn, ids, "network-interface", &tags, error))
        return false;
    list->items = ec2_array(call, Ec2NetworkInterface, count);
    for (; list->count < count; list->count++) {
        ec2_network_interface_show(call, &rows[list->count], &tags, &list->items[list->count]);
        show_ended(call, &rows[list->count], attachments, &list->items[list->count]);
    }
    return true;
}

bool
ec2_describe_network_interfaces(VirgaCall *call, const Ec2DescribeNetworkInterfacesRequest *request,
                                Ec2DescribeNetworkInterfacesResponse *response, GError **error)
{
    const char *const *ids;
    VirgaFilter *filter;
    Ec2Page page;

    if (!ec2_ids(call, &request->network_interface_ids, "eni",
                 "InvalidNetworkInterfaceId.Malformed", &ids, error) ||
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error) ||
        !ec2_check_unpaged(ids, request->has_max_results, "networkInterfaceIdSet", error))
        return false;
    filter = virga_filter_new(call->arena, interface_fields, &ec2_network_interface_shape,
                              &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !read_interfaces(call, ids, filter, &response->network_interfaces, error))
        return false;
    ec2_answer(call, filter, &page, &response->network_interfaces, &ec2_network_interface_shape,
               Ec2NetworkInterface, network_interface_id, &response->next_token);
    return true;
}
