/* SPDX-License-Identifier: Apache-2.0 */
/* Network interfaces made, changed, attached and deleted. */
#include "network-interfaces.h"

#include "compute/instance-network.h"
#include "core/id.h"
#include "network/interface-edit.h"
#include "network/security-group.h"
#include "network/subnet.h"

#define DESCRIPTION_BYTES 255

static bool
check_id(const char *id, GError **error)
{
    return virga_api_check_id(id, "eni", "InvalidNetworkInterfaceId.Malformed", error);
}

/* The interface as it is now, to be shown. */
static bool
read_shown(VirgaCall *call, VirgaTxn *txn, const char *id, Ec2NetworkInterface *ret, GError **error)
{
    const char *ids[] = { id, NULL };
    VirgaInterface *rows;
    Ec2Tags tags;
    size_t count;

    if (!virga_interface_find(txn, call->arena, call->account_id, ids, &rows, &count, error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaInterface, id),
                         "InvalidNetworkInterfaceID.NotFound", "networkInterface ID", error) ||
        !ec2_tags_read(call, txn, ids, "network-interface", &tags, error))
        return false;
    ec2_network_interface_show(call, rows, &tags, ret);
    return true;
}

/* ---- making ---- */

typedef struct {
    const Ec2CreateNetworkInterfaceRequest *request;
    const char *const *group_ids;
    const char *primary;            /* NULL: any */
    const char *const *secondaries; /* NULL: none that are named */
    Ec2NewTags tags;
    Ec2Token token;
    Ec2NetworkInterface made;
} Create;

static const char *
unsupported(const Ec2CreateNetworkInterfaceRequest *request)
{
    return request->interface_type                                        ? "InterfaceType"
           : request->ipv4_prefixes.count || request->ipv4_prefix_count   ? "Ipv4Prefix"
           : request->ipv6_prefixes.count || request->ipv6_prefix_count   ? "Ipv6Prefix"
           : request->ipv6_addresses.count || request->ipv6_address_count ? "Ipv6Address"
           : request->enable_primary_ipv6                                 ? "EnablePrimaryIpv6"
           : request->connection_tracking_specification ? "ConnectionTrackingSpecification"
           : request->operator                          ? "Operator"
                                                        : NULL;
}

/* PrivateIpAddresses may name the primary one among others. */
static bool
read_addresses(const VirgaCall *call, Create *asked, GError **error)
{
    const Ec2CreateNetworkInterfaceRequest *request = asked->request;
    const Ec2PrivateIpAddressSpecificationList *list = &request->private_ip_addresses;
    const char **others = ec2_array(call, const char *, list->count + 1);
    size_t count = 0;

    asked->primary = request->private_ip_address;
    for (size_t i = 0; i < list->count; i++) {
        const char *address = list->items[i].private_ip_address;

        if (!address)
            return virga_api_fail(error, "MissingParameter", 400,
                                  "The request must contain the parameter privateIpAddress");
        if (!list->items[i].primary)
            others[count++] = address;
        else if (asked->primary && !g_str_equal(asked->primary, address))
            return virga_api_fail(error, "InvalidParameterCombination", 400,
                                  "A network interface can have one primary private IP address "
                                  "only");
        else
            asked->primary = address;
    }
    if (count && request->secondary_private_ip_address_count)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "Secondary addresses can be specified by PrivateIpAddresses or by "
                              "SecondaryPrivateIpAddressCount, not by both");
    if (request->secondary_private_ip_address_count < 0)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "SecondaryPrivateIpAddressCount must not be negative");
    asked->secondaries = count ? others : NULL;
    return true;
}

/* The groups that were asked for, or the VPC's default one. */
static bool
choose_groups(const VirgaCall *call, VirgaTxn *txn, const char *vpc_id, const char *const *given,
              const char *const **ret, GError **error)
{
    const char *const names[] = { "default", NULL };
    VirgaSecurityGroup *groups;
    const char **ids;
    size_t count;

    *ret = given;
    if (given)
        return true;
    if (!virga_security_group_list(txn, call->arena, call->account_id, NULL, names, vpc_id, &groups,
                                   &count, error))
        return false;
    ids = ec2_array(call, const char *, 2);
    ids[0] = count ? groups[0].id : NULL;
    *ret = ids;
    return true;
}

static bool
add_secondaries(VirgaCall *call, VirgaTxn *txn, const Create *asked, const VirgaSubnet *subnet,
                const char *id, GError **error)
{
    gint64 count = asked->request->secondary_private_ip_address_count;
    VirgaInterface interface;
    char **addresses, **formers;

    if (!asked->secondaries && count == 0)
        return true;
    return virga_interface_lock(txn, call->arena, call->account_id, id, &interface, error) &&
           virga_interface_check_addresses(txn, ec2_services(call)->config, &interface,
                                           1 + count + g_strv_length((char **) asked->secondaries),
                                           error) &&
           virga_interface_assign(txn, call->arena, &interface, subnet->cidr, asked->secondaries,
                                  count, false, &addresses, &formers, error);
}

static bool
make(VirgaCall *call, VirgaTxn *txn, const Create *asked, const char *id, GError **error)
{
    const Ec2CreateNetworkInterfaceRequest *request = asked->request;
    const char *changed[] = { id, NULL };
    VirgaSubnet *subnet =
        virga_subnet_get(txn, call->arena, call->account_id, request->subnet_id, error);
    bool more = asked->secondaries || request->secondary_private_ip_address_count;
    VirgaInterfaceSpec spec = { .id = id, .account_id = call->account_id };
    char *made;

    if (!subnet)
        return false;
    spec.vpc_id = subnet->vpc_id;
    spec.subnet_id = subnet->id;
    spec.zone = subnet->zone;
    spec.cidr = subnet->cidr;
    spec.address = asked->primary;
    spec.description = request->description;
    return choose_groups(call, txn, subnet->vpc_id, asked->group_ids, &spec.group_ids, error) &&
           virga_subnet_hold(txn, subnet->id, more, error) &&
           virga_interface_create(txn, call->arena, &spec, &made, error) &&
           add_secondaries(call, txn, asked, subnet, id, error) &&
           ec2_tags_set(call, txn, id, &asked->tags, error) &&
           virga_interface_changed(txn, changed, error);
}

static bool
create(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Create *asked = data;
    g_autofree char *id = virga_id_new("eni");
    char *earlier;

    return ec2_token_take(call, txn, &asked->token, id, &earlier, error) &&
           (earlier || make(call, txn, asked, id, error)) &&
           read_shown(call, txn, earlier ? earlier : id, &asked->made, error);
}

static bool
check_description(const char *description, GError **error)
{
    return !description || strlen(description) <= DESCRIPTION_BYTES ||
           virga_api_fail(error, "InvalidParameterValue", 400,
                          "The description must have at most %d characters", DESCRIPTION_BYTES);
}

bool
ec2_create_network_interface(VirgaCall *call, const Ec2CreateNetworkInterfaceRequest *request,
                             Ec2CreateNetworkInterfaceResponse *response, GError **error)
{
    Create asked = { .request = request };
    const char *refused = unsupported(request);

    if (refused)
        return ec2_unsupported(error, refused);
    if (!virga_api_check_id(request->subnet_id, "subnet", "InvalidSubnetID.Malformed", error) ||
        !check_description(request->description, error) ||
        !ec2_ids(call, &request->groups, "sg", "InvalidGroupId.Malformed", &asked.group_ids,
                 error) ||
        !read_addresses(call, &asked, error) ||
        !ec2_tags_for(call, &request->tag_specifications, "network-interface", &asked.tags,
                      error) ||
        !ec2_token_read(call, call->wire->input, request, request->client_token, &asked.token,
                        error) ||
        !ec2_transaction(call, create, &asked, error))
        return false;
    response->network_interface = ec2_new(call, Ec2NetworkInterface);
    *response->network_interface = asked.made;
    response->client_token = request->client_token;
    return true;
}

static bool delete (VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const char *changed[] = { data, NULL };
    VirgaInterface interface;

    /* Its VPC is found by its row: it hears of the change before that goes. */
    return virga_interface_lock(txn, call->arena, call->account_id, data, &interface, error) &&
           virga_interface_changed(txn, changed, error) &&
           virga_interface_delete(txn, &interface, error);
}

bool
ec2_delete_network_interface(VirgaCall *call, const Ec2DeleteNetworkInterfaceRequest *request,
                             Ec2DeleteNetworkInterfaceResponse *response, GError **error)
{
    return check_id(request->network_interface_id, error) &&
           ec2_transaction(call, delete, (gpointer) request->network_interface_id, error);
}

/* ---- attaching ---- */

typedef struct {
    const Ec2AttachNetworkInterfaceRequest *request;
    char *attachment_id;
} Attach;

static bool
attach(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Attach *asked = data;

    return virga_interface_attach(txn, call->arena, ec2_services(call)->config, call->account_id,
                                  asked->request->network_interface_id, asked->request->instance_id,
                                  asked->request->device_index, &asked->attachment_id, error);
}

bool
ec2_attach_network_interface(VirgaCall *call, const Ec2AttachNetworkInterfaceRequest *request,
                             Ec2AttachNetworkInterfaceResponse *response, GError **error)
{
    Attach asked = { .request = request };

    if (request->ena_srd_specification)
        return ec2_unsupported(error, "EnaSrdSpecification");
    if (request->has_ena_queue_count)
        return ec2_unsupported(error, "EnaQueueCount");
    if (request->network_card_index != 0)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Network card index %" G_GINT64_FORMAT " exceeds the limit of the "
                              "instance type",
                              request->network_card_index);
    if (request->device_index < 0)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Invalid value '%" G_GINT64_FORMAT "' for deviceIndex",
                              request->device_index);
    if (!check_id(request->network_interface_id, error) ||
        !virga_api_check_id(request->instance_id, "i", "InvalidInstanceID.Malformed", error) ||
        !ec2_transaction(call, attach, &asked, error))
        return false;
    response->attachment_id = asked.attachment_id;
    response->has_network_card_index = true;
    return true;
}

static bool
detach(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Ec2DetachNetworkInterfaceRequest *request = data;

    return virga_interface_detach(txn, call->arena, call->account_id, request->attachment_id,
                                  request->force, error);
}

bool
ec2_detach_network_interface(VirgaCall *call, const Ec2DetachNetworkInterfaceRequest *request,
                             Ec2DetachNetworkInterfaceResponse *response, GError **error)
{
    if (virga_id_is(request->attachment_id, "ela-attach")) /* the cloud's own */
        return virga_api_fail(error, "OperationNotPermitted", 400,
                              "You are not allowed to manage 'ela-attach' attachments.");
    return virga_api_check_id(request->attachment_id, "eni-attach", "InvalidAttachmentID.NotFound",
                              error) &&
           ec2_transaction(call, detach, (gpointer) request, error);
}

/* ---- attributes ---- */

typedef struct {
    const char *id;
    const char *attachment_id; /* that must be its own; NULL: none was named */
    VirgaInterfaceChange change;
} Modify;

static bool
modify(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Modify *asked = data;
    const char *changed[] = { asked->id, NULL };
    VirgaInterface interface;

    if (!virga_interface_lock(txn, call->arena, call->account_id, asked->id, &interface, error))
        return false;
    if (asked->attachment_id && g_strcmp0(asked->attachment_id, interface.attachment_id) != 0)
        return virga_api_fail(error, "InvalidAttachmentID.NotFound", 400,
                              "The interface attachment '%.100s' does not exist",
                              asked->attachment_id);
    return virga_interface_change(txn, &interface, &asked->change, error) &&
           virga_interface_changed(txn, changed, error);
}

/* Exactly one attribute may be changed at a time. */
static bool
read_change(const VirgaCall *call, const Ec2ModifyNetworkInterfaceAttributeRequest *request,
            Modify *asked, GError **error)
{
    int given = (request->description != NULL) + (request->source_dest_check != NULL) +
                (request->groups.count > 0) + (request->attachment != NULL);

    if (given != 1)
        return virga_api_fail(error, given ? "InvalidParameterCombination" : "MissingParameter",
                              400, "Exactly one attribute must be specified");
    if (request->description)
        asked->change.description = request->description->value ? request->description->value : "";
    if (request->source_dest_check)
        asked->change.source_dest_check = request->source_dest_check->value;
    if (request->attachment) {
        if (request->attachment->has_ena_queue_count ||
            request->attachment->default_ena_queue_count)
            return ec2_unsupported(error, "Attachment.EnaQueueCount");
        if (!request->attachment->attachment_id)
            return virga_api_fail(error, "MissingParameter", 400,
                                  "The request must contain the parameter AttachmentId");
        asked->attachment_id = request->attachment->attachment_id;
        if (request->attachment->has_delete_on_termination)
            asked->change.delete_on_termination = request->attachment->delete_on_termination;
    }
    return check_description(asked->change.description, error) &&
           ec2_ids(call, &request->groups, "sg", "InvalidGroupId.Malformed",
                   &asked->change.group_ids, error);
}

bool
ec2_modify_network_interface_attribute(VirgaCall *call,
                                       const Ec2ModifyNetworkInterfaceAttributeRequest *request,
                                       Ec2ModifyNetworkInterfaceAttributeResponse *response,
                                       GError **error)
{
    Modify asked = { .id = request->network_interface_id, .change = { NULL, NULL, -1, -1 } };

    if (request->ena_srd_specification)
        return ec2_unsupported(error, "EnaSrdSpecification");
    if (request->enable_primary_ipv6)
        return ec2_unsupported(error, "EnablePrimaryIpv6");
    if (request->connection_tracking_specification)
        return ec2_unsupported(error, "ConnectionTrackingSpecification");
    if (request->has_associate_public_ip_address)
        return ec2_unsupported(error, "AssociatePublicIpAddress");
    if (request->associated_subnet_ids.count)
        return ec2_unsupported(error, "AssociatedSubnetIds");
    return check_id(request->network_interface_id, error) &&
           read_change(call, request, &asked, error) &&
           ec2_transaction(call, modify, &asked, error);
}

bool
ec2_reset_network_interface_attribute(VirgaCall *call,
                                      const Ec2ResetNetworkInterfaceAttributeRequest *request,
                                      Ec2ResetNetworkInterfaceAttributeResponse *response,
                                      GError **error)
{
    Modify asked = { .id = request->network_interface_id, .change = { NULL, NULL, true, -1 } };

    if (!request->source_dest_check)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter SourceDestCheck");
    return check_id(request->network_interface_id, error) &&
           ec2_transaction(call, modify, &asked, error);
}

bool
ec2_describe_network_interface_attribute(VirgaCall *call,
                                         const Ec2DescribeNetworkInterfaceAttributeRequest *request,
                                         Ec2DescribeNetworkInterfaceAttributeResponse *response,
                                         GError **error)
{
    const char *attribute = request->attribute ? request->attribute : "";
    g_autoptr(VirgaTxn) txn = NULL;
    Ec2NetworkInterface shown;

    if (!check_id(request->network_interface_id, error))
        return false;
    if (!*attribute)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter Attribute");
    txn = virga_call_dry_run(call, error) ? virga_db_read(call->db, error) : NULL;
    if (!txn || !read_shown(call, txn, request->network_interface_id, &shown, error))
        return false;
    response->network_interface_id = shown.network_interface_id;
    if (g_str_equal(attribute, "attachment")) {
        response->attachment = shown.attachment;
    } else if (g_str_equal(attribute, "groupSet")) {
        response->groups = shown.groups;
    } else if (g_str_equal(attribute, "description")) {
        response->description = ec2_new(call, Ec2AttributeValue);
        response->description->value = shown.description;
    } else if (g_str_equal(attribute, "sourceDestCheck")) {
        response->source_dest_check = ec2_new(call, Ec2AttributeBooleanValue);
        response->source_dest_check->value = shown.source_dest_check;
        response->source_dest_check->has_value = true;
    } else {
        response->associate_public_ip_address =
            shown.association && !shown.association->allocation_id;
        response->has_associate_public_ip_address = true;
    }
    return true;
}

/* ---- further addresses ---- */

typedef struct {
    const Ec2AssignPrivateIpAddressesRequest *request;
    const char *const *wanted;
    char **addresses;
} Assign;

/* What it will have: an address that it has already is not counted twice. */
static gint64
count_addresses(const VirgaInterface *interface, const Assign *asked)
{
    gint64 count = 1 + (gint64) interface->secondary_count +
                   asked->request->secondary_private_ip_address_count;

    for (const char *const *wanted = asked->wanted; wanted && *wanted; wanted++) {
        bool known = false;

        for (size_t i = 0; i < interface->secondary_count && !known; i++)
            known = g_str_equal(interface->secondaries[i].address, *wanted);
        count += !known;
    }
    return count;
}

/* This interface, and those that lost an address to it. */
static const char *const *
all_changed(const VirgaCall *call, const char *id, char **formers)
{
    guint count = g_strv_length(formers);
    const char **changed = ec2_array(call, const char *, count + 2);

    changed[0] = id;
    for (guint i = 0; i < count; i++)
        changed[i + 1] = formers[i];
    return changed;
}

static bool
assign(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Assign *asked = data;
    const Ec2AssignPrivateIpAddressesRequest *request = asked->request;
    VirgaInterface interface;
    VirgaSubnet *subnet;
    char **formers;

    if (!virga_interface_lock(txn, call->arena, call->account_id, request->network_interface_id,
                              &interface, error) ||
        !virga_interface_check_own(&interface, error) ||
        !virga_interface_check_addresses(txn, ec2_services(call)->config, &interface,
                                         count_addresses(&interface, asked), error))
        return false;
    subnet = virga_subnet_get(txn, call->arena, call->account_id, interface.subnet_id, error);
    return subnet && virga_subnet_hold(txn, subnet->id, true, error) &&
           virga_interface_assign(txn, call->arena, &interface, subnet->cidr, asked->wanted,
                                  request->secondary_private_ip_address_count,
                                  request->allow_reassignment, &asked->addresses, &formers,
                                  error) &&
           virga_interface_changed(txn, all_changed(call, interface.id, formers), error);
}

bool
ec2_assign_private_ip_addresses(VirgaCall *call, const Ec2AssignPrivateIpAddressesRequest *request,
                                Ec2AssignPrivateIpAddressesResponse *response, GError **error)
{
    Assign asked = { .request = request,
                     .wanted = ec2_strings(call, &request->private_ip_addresses) };
    Ec2AssignedPrivateIpAddressList *list = &response->assigned_private_ip_addresses;

    if (request->ipv4_prefixes.count || request->ipv4_prefix_count)
        return ec2_unsupported(error, "Ipv4Prefix");
    if (asked.wanted && request->has_secondary_private_ip_address_count)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "The parameters privateIpAddress and secondaryPrivateIpAddressCount "
                              "may not be used together");
    if (!asked.wanted && request->secondary_private_ip_address_count < 1)
        return virga_api_fail(error, "MissingParameter", 400,
                              "Either private IP addresses or a positive count of them must be "
                              "specified");
    if (!check_id(request->network_interface_id, error) ||
        !ec2_transaction(call, assign, &asked, error))
        return false;
    response->network_interface_id = request->network_interface_id;
    list->items = ec2_array(call, Ec2AssignedPrivateIpAddress, g_strv_length(asked.addresses));
    for (char **address = asked.addresses; *address; address++)
        list->items[list->count++].private_ip_address = *address;
    return true;
}

typedef struct {
    const char *id;
    const char *const *addresses;
} Unassign;

static bool
unassign(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Unassign *asked = data;
    const char *changed[] = { asked->id, NULL };
    VirgaInterface interface;

    return virga_interface_lock(txn, call->arena, call->account_id, asked->id, &interface, error) &&
           virga_interface_check_own(&interface, error) &&
           virga_interface_unassign(txn, &interface, asked->addresses, error) &&
           virga_interface_changed(txn, changed, error);
}

bool
ec2_unassign_private_ip_addresses(VirgaCall *call,
                                  const Ec2UnassignPrivateIpAddressesRequest *request,
                                  Ec2UnassignPrivateIpAddressesResponse *response, GError **error)
{
    Unassign asked = { request->network_interface_id,
                       ec2_strings(call, &request->private_ip_addresses) };

    if (request->ipv4_prefixes.count)
        return ec2_unsupported(error, "Ipv4Prefix");
    if (!asked.addresses)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter privateIpAddress");
    return check_id(request->network_interface_id, error) &&
           ec2_transaction(call, unassign, &asked, error);
}
