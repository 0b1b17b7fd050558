/* SPDX-License-Identifier: Apache-2.0 */
#include "launch-network.h"

typedef Ec2InstanceNetworkInterfaceSpecification Wanted;

static bool
combination(GError **error, const char *message)
{
    return virga_api_fail(error, "InvalidParameterCombination", 400, "%s", message);
}

static const char *
unsupported(const Wanted *wanted)
{
    return wanted->network_card_index != 0        ? "NetworkInterface.NetworkCardIndex"
           : wanted->ipv6_address_count > 0       ? "NetworkInterface.Ipv6AddressCount"
           : wanted->ipv6_addresses.count         ? "NetworkInterface.Ipv6Addresses"
           : wanted->primary_ipv6                 ? "NetworkInterface.PrimaryIpv6"
           : wanted->associate_carrier_ip_address ? "NetworkInterface.AssociateCarrierIpAddress"
           : wanted->interface_type && !g_str_equal(wanted->interface_type, "interface")
               ? "NetworkInterface.InterfaceType"
           : wanted->ipv4_prefixes.count || wanted->ipv4_prefix_count > 0
               ? "NetworkInterface.Ipv4Prefix"
           : wanted->ipv6_prefixes.count || wanted->ipv6_prefix_count > 0
               ? "NetworkInterface.Ipv6Prefix"
           : wanted->ena_srd_specification ? "NetworkInterface.EnaSrdSpecification"
           : wanted->connection_tracking_specification
               ? "NetworkInterface.ConnectionTrackingSpecification"
           : wanted->has_ena_queue_count ? "NetworkInterface.EnaQueueCount"
                                         : NULL;
}

/* An existing interface brings all of its own. */
static bool
check_existing(const Wanted *wanted, const VirgaInstanceSpec *spec, GError **error)
{
    if (!wanted->network_interface_id)
        return true;
    if (wanted->subnet_id || wanted->private_ip_address || wanted->private_ip_addresses.count ||
        wanted->secondary_private_ip_address_count || wanted->groups.count || wanted->description ||
        wanted->has_associate_public_ip_address)
        return combination(error, "A network interface may not specify both a network interface "
                                  "ID and other properties than its device index");
    if (spec->count_max > 1)
        return combination(error, "A network interface cannot be attached to several instances");
    return virga_api_check_id(wanted->network_interface_id, "eni",
                              "InvalidNetworkInterfaceID.Malformed", error);
}

static bool
check_wanted(const Ec2RunInstancesRequest *request, const Wanted *wanted,
             const VirgaInstanceSpec *spec, GError **error)
{
    const char *refused = unsupported(wanted);

    if (refused)
        return ec2_unsupported(error, refused);
    if (!wanted->has_device_index)
        return virga_api_fail(error, "MissingParameter", 400,
                              "Each network interface requires a device index.");
    if (wanted->device_index < 0)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Invalid value '%" G_GINT64_FORMAT "' for deviceIndex",
                              wanted->device_index);
    for (const Wanted *other = request->network_interfaces.items; other < wanted; other++) {
        if (other->device_index == wanted->device_index)
            return virga_api_fail(error, "InvalidParameterValue", 400,
                                  "Each network interface requires a unique device index.");
        if (wanted->network_interface_id &&
            g_strcmp0(other->network_interface_id, wanted->network_interface_id) == 0)
            return virga_api_fail(error, "InvalidParameterValue", 400,
                                  "The network interface '%.100s' is named twice",
                                  wanted->network_interface_id);
    }
    if (wanted->subnet_id &&
        !virga_api_check_id(wanted->subnet_id, "subnet", "InvalidSubnetID.Malformed", error))
        return false;
    return check_existing(wanted, spec, error);
}

/* PrivateIpAddresses may name the primary one among others.  What is in the template's or caller's
 * request outlives the launch. */
static bool
read_addresses(const VirgaCall *call, const Wanted *wanted, const char **ret_primary,
               const char *const **ret_secondaries, gint64 *ret_count, GError **error)
{
    const Ec2PrivateIpAddressSpecificationList *list = &wanted->private_ip_addresses;
    const char **others = ec2_array(call, const char *, list->count + 1);
    size_t count = 0;

    *ret_primary = wanted->private_ip_address;
    *ret_count = wanted->secondary_private_ip_address_count;
    for (size_t i = 0; i < list->count; i++) {
        const char *address = list->items[i].private_ip_address;

        if (!address)
            return virga_api_fail(error, "MissingParameter", 400,
                                  "The request must contain the parameter privateIpAddress");
        if (!list->items[i].primary)
            others[count++] = address;
        else if (*ret_primary && !g_str_equal(*ret_primary, address))
            return combination(error, "A network interface can have one primary address only");
        else
            *ret_primary = address;
    }
    *ret_secondaries = count ? others : NULL;
    if (*ret_count < 0)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "SecondaryPrivateIpAddressCount must not be negative");
    return count == 0 || *ret_count == 0 ||
           combination(error, "Secondary addresses can be specified by PrivateIpAddresses or by "
                              "SecondaryPrivateIpAddressCount, not by both");
}

static bool
read_groups(const VirgaCall *call, const void *ids, const char *const **ret, GError **error)
{
    return ec2_ids(call, ids, "sg", "InvalidGroupId.Malformed", ret, error);
}

static bool
read_first(const VirgaCall *call, const Wanted *wanted, VirgaInstanceSpec *spec, GError **error)
{
    spec->interface_id = wanted->network_interface_id;
    spec->subnet_id = wanted->subnet_id;
    spec->interface_description = wanted->description;
    if (wanted->has_associate_public_ip_address)
        spec->public_address = wanted->associate_public_ip_address;
    if (wanted->has_delete_on_termination)
        spec->interface_delete_on_termination = wanted->delete_on_termination;
    if (wanted->network_interface_id)
        spec->public_address = false;
    return read_groups(call, &wanted->groups, &spec->group_ids, error) &&
           read_addresses(call, wanted, &spec->address, &spec->secondaries, &spec->secondary_count,
                          error);
}

static bool
read_nic(const VirgaCall *call, const Wanted *wanted, VirgaNicSpec *nic, GError **error)
{
    *nic = (VirgaNicSpec){ .device_index = wanted->device_index,
                           .interface_id = wanted->network_interface_id,
                           .subnet_id = wanted->subnet_id,
                           .description = wanted->description,
                           .delete_on_termination = wanted->has_delete_on_termination
                                                        ? wanted->delete_on_termination
                                                        : !wanted->network_interface_id };
    return read_groups(call, &wanted->groups, &nic->group_ids, error) &&
           read_addresses(call, wanted, &nic->address, &nic->secondaries, &nic->secondary_count,
                          error);
}

static bool
read_interfaces(const VirgaCall *call, const Ec2RunInstancesRequest *request,
                VirgaInstanceSpec *spec, GError **error)
{
    size_t count = request->network_interfaces.count;
    VirgaNicSpec *nics = ec2_array(call, VirgaNicSpec, count);
    bool has_first = false, named = false;

    for (size_t i = 0; i < count; i++) {
        const Wanted *wanted = &request->network_interfaces.items[i];

        if (!check_wanted(request, wanted, spec, error))
            return false;
        if (count > 1 && wanted->associate_public_ip_address)
            return combination(error, "The associatePublicIPAddress parameter cannot be specified "
                                      "when launching with multiple network interfaces.");
        if (!(wanted->device_index == 0 ? read_first(call, wanted, spec, error)
                                        : read_nic(call, wanted, &nics[spec->nic_count++], error)))
            return false;
        has_first = has_first || wanted->device_index == 0;
        named = named || wanted->private_ip_address || wanted->private_ip_addresses.count;
    }
    spec->nics = nics;
    if (!has_first)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "One of the network interfaces must have the device index 0");
    return !named || spec->count_max == 1 ||
           combination(error, "A private address cannot be given to several instances");
}

static bool
check_alone(const Ec2RunInstancesRequest *request, GError **error)
{
    if (request->subnet_id)
        return combination(error, "Network interfaces and an instance-level subnet ID may not be "
                                  "specified on the same request");
    if (request->security_group_ids.count || request->security_groups.count)
        return combination(error, "Network interfaces and an instance-level security groups may "
                                  "not be specified on the same request");
    return !request->private_ip_address ||
           combination(error, "Network interfaces and an instance-level private address may not be "
                              "specified on the same request");
}

bool
ec2_launch_network(const VirgaCall *call, const Ec2RunInstancesRequest *request,
                   VirgaInstanceSpec *spec, GError **error)
{
    spec->public_address = spec->interface_delete_on_termination = -1;
    spec->nic_count = 0;
    if (request->network_interfaces.count)
        return check_alone(request, error) && read_interfaces(call, request, spec, error);
    spec->subnet_id = request->subnet_id;
    spec->address = request->private_ip_address;
    spec->group_names = ec2_strings(call, &request->security_groups);
    if (!read_groups(call, &request->security_group_ids, &spec->group_ids, error))
        return false;
    if (spec->group_names && spec->subnet_id)
        return combination(error, "The parameter groupName cannot be used with the parameter "
                                  "subnet");
    if (spec->address && spec->count_max > 1)
        return combination(error, "A private address cannot be given to several instances");
    return !spec->subnet_id ||
           virga_api_check_id(spec->subnet_id, "subnet", "InvalidSubnetID.Malformed", error);
}
