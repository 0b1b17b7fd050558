/* SPDX-License-Identifier: Apache-2.0 */
/* From rows to EC2's many-membered instances.  What is the same for all is made once and shared. */
#include "instance-view.h"

#include "block-devices.h"

#include "network/interface.h"
#include "storage/volume.h"

/* Members that no instance of this cloud has differently. */
typedef struct {
    Ec2CapacityReservationSpecificationResponse reservation;
    Ec2HibernationOptions hibernation;
    Ec2EnclaveOptions enclave;
    Ec2InstanceMaintenanceOptions maintenance;
    Ec2PrivateDnsNameOptionsResponse dns;
    Ec2InstanceNetworkPerformanceOptions performance;
    Ec2OperatorResponse operator;
    Ec2Monitoring monitored, unmonitored;
} Constants;

static Constants *
constants_new(const VirgaCall *call)
{
    Constants *constants = ec2_new(call, Constants);

    constants->reservation.capacity_reservation_preference = "open";
    constants->hibernation.has_configured = true;
    constants->enclave.has_enabled = true;
    constants->maintenance.auto_recovery = "default";
    constants->maintenance.reboot_migration = "default";
    constants->dns.hostname_type = "ip-name";
    constants->dns.has_enable_resource_name_dns_a_record = true;
    constants->dns.has_enable_resource_name_dns_aaaa_record = true;
    constants->performance.bandwidth_weighting = "default";
    constants->operator.has_managed = true;
    constants->monitored.state = "enabled";
    constants->unmonitored.state = "disabled";
    return constants;
}

bool
ec2_instance_parts_send(const VirgaCall *call, VirgaTxn *txn, const char *const *ids,
                        GError **error)
{
    return (ids ? virga_interface_list_send(txn, call->account_id, ids, error)
                : virga_interface_all_send(txn, call->account_id, error)) &&
           virga_attachment_list_send(txn, call->account_id, ids, error) &&
           ec2_tags_send(call, txn, ids, "instance", error);
}

static Ec2InstanceParts
make_parts(const VirgaCall *call, const VirgaInterface *interfaces, size_t interface_count,
           const VirgaAttachment *attachments, size_t attachment_count, Ec2Tags tags)
{
    return (Ec2InstanceParts){
        .interfaces = ec2_index_new(call->arena, interfaces, interface_count, sizeof *interfaces,
                                    offsetof(VirgaInterface, instance_id)),
        .attachments = ec2_index_new(call->arena, attachments, attachment_count,
                                     sizeof *attachments, offsetof(VirgaAttachment, instance_id)),
        .tags = tags,
    };
}

bool
ec2_instance_parts_receive(const VirgaCall *call, VirgaTxn *txn, const char *const *ids,
                           Ec2InstanceParts *ret, GError **error)
{
    VirgaInterface *interfaces;
    VirgaAttachment *attachments;
    size_t interface_count, attachment_count;
    Ec2Tags tags;

    if (!(ids ? virga_interface_list_receive(txn, call->arena, &interfaces, &interface_count, error)
              : virga_interface_all_receive(txn, call->arena, call->account_id, &interfaces,
                                            &interface_count, error)) ||
        !virga_attachment_list_receive(txn, call->arena, &attachments, &attachment_count, error) ||
        !ec2_tags_receive(call, txn, &tags, error))
        return false;
    *ret = make_parts(call, interfaces, interface_count, attachments, attachment_count, tags);
    return true;
}

bool
ec2_instance_parts_read(const VirgaCall *call, VirgaTxn *txn, const char *const *ids,
                        Ec2InstanceParts *ret, GError **error)
{
    return ec2_instance_parts_send(call, txn, ids, error) &&
           ec2_instance_parts_receive(call, txn, ids, ret, error);
}

static int
compare_keys(gconstpointer a, gconstpointer b)
{
    return strcmp(((const VirgaTag *) a)->key, ((const VirgaTag *) b)->key);
}

Ec2InstanceParts
ec2_instance_parts_make(const VirgaCall *call, const VirgaReservation *made, const VirgaTag *tags,
                        size_t tag_count)
{
    VirgaTag *rows = ec2_array(call, VirgaTag, made->count * tag_count), *row = rows;

    for (size_t i = 0; i < made->count; i++) {
        for (size_t j = 0; j < tag_count; j++) {
            row[j] = tags[j];
            row[j].resource_id = made->instances[i].id;
        }
        if (tag_count)
            qsort(row, tag_count, sizeof *row, compare_keys);
        row += tag_count;
    }
    return make_parts(call, made->interfaces, made->interface_count, made->attachments,
                      made->attachment_count, ec2_tags_make(call, rows, made->count * tag_count));
}

bool
ec2_instances_check(const VirgaCall *call, const char *const *ids, const VirgaInstance *rows,
                    size_t count, GError **error)
{
    return ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaInstance, id),
                           "InvalidInstanceID.NotFound", "instance ID", error);
}

bool
ec2_instances_find(const VirgaCall *call, VirgaTxn *txn, const char *const *ids,
                   VirgaInstance **ret, size_t *ret_count, GError **error)
{
    return virga_instance_list(txn, call->arena, call->account_id, ids, NULL, ret, ret_count,
                               error) &&
           ec2_instances_check(call, ids, *ret, *ret_count, error);
}

Ec2InstanceState *
ec2_instance_state(const VirgaCall *call, VirgaInstanceState state)
{
    Ec2InstanceState *shown = ec2_new(call, Ec2InstanceState);

    *shown = (Ec2InstanceState){ .code = state,
                                 .has_code = true,
                                 .name = virga_instance_state_name(state) };
    return shown;
}

/* ---- disks ---- */

static size_t
count_rows(const Ec2Index *index, const char *key)
{
    size_t count = 0;

    for (const void *row = NULL; (row = ec2_index_next(index, key, row));)
        count++;
    return count;
}

static gint
compare_devices(gconstpointer a, gconstpointer b)
{
    return strcmp(((const Ec2InstanceBlockDeviceMapping *) a)->device_name,
                  ((const Ec2InstanceBlockDeviceMapping *) b)->device_name);
}

static void
show_disks(const VirgaCall *call, const VirgaInstance *row, const Ec2Index *attachments,
           Ec2Instance *shown)
{
    Ec2InstanceBlockDeviceMappingList *list = &shown->block_device_mappings;
    const VirgaAttachment *attachment = NULL;
    Ec2EbsInstanceBlockDevice *disks;
    size_t count = count_rows(attachments, row->id);

    list->items = ec2_array(call, Ec2InstanceBlockDeviceMapping, count);
    disks = ec2_array(call, Ec2EbsInstanceBlockDevice, count);
    while ((attachment = ec2_index_next(attachments, row->id, attachment))) {
        Ec2EbsInstanceBlockDevice *disk = &disks[list->count];

        *disk =
            (Ec2EbsInstanceBlockDevice){ .attach_time = attachment->attached,
                                         .delete_on_termination = attachment->delete_on_termination,
                                         .has_delete_on_termination = true,
                                         .status = ec2_attachment_state(attachment->transition,
                                                                        attachment->made),
                                         .volume_id = attachment->volume_id };
        list->items[list->count++] =
            (Ec2InstanceBlockDeviceMapping){ .device_name = attachment->device, .ebs = disk };
    }
    if (list->count > 1)
        qsort(list->items, list->count, sizeof *list->items, compare_devices);
}

/* ---- interfaces ---- */

static Ec2InstanceNetworkInterfaceAssociation *
show_association(const VirgaCall *call, const VirgaInterface *interface,
                 const VirgaInterfaceAddress *address)
{
    Ec2InstanceNetworkInterfaceAssociation *association;

    if (!address->public_address)
        return NULL;
    association = ec2_new(call, Ec2InstanceNetworkInterfaceAssociation);
    association->ip_owner_id = address->allocation_id ? call->account_id : "amazon";
    association->public_dns_name =
        interface->public_names ? ec2_public_dns_name(call, address->public_address) : "";
    association->public_ip = address->public_address;
    return association;
}

static Ec2InstancePrivateIpAddressList
show_addresses(const VirgaCall *call, const VirgaInterface *interface)
{
    Ec2InstancePrivateIpAddressList list = { ec2_array(call, Ec2InstancePrivateIpAddress,
                                                       interface->secondary_count + 1),
                                             interface->secondary_count + 1 };

    for (size_t i = 0; i < list.count; i++) {
        const VirgaInterfaceAddress *address =
            i ? &interface->secondaries[i - 1] : &interface->primary;

        list.items[i] = (Ec2InstancePrivateIpAddress){
            .association = show_association(call, interface, address),
            .primary = i == 0,
            .has_primary = true,
            .private_dns_name = ec2_private_dns_name(call, address->address),
            .private_ip_address = address->address
        };
    }
    return list;
}

static void
show_interface(const VirgaCall *call, const VirgaInstance *row, const VirgaInterface *interface,
               Ec2InstanceNetworkInterface *shown)
{
    Ec2InstanceNetworkInterfaceAttachment *attachment =
        ec2_new(call, Ec2InstanceNetworkInterfaceAttachment);

    *attachment = (Ec2InstanceNetworkInterfaceAttachment){
        .attach_time = interface->attached,
        .attachment_id = interface->attachment_id,
        .delete_on_termination = interface->delete_on_termination,
        .has_delete_on_termination = true,
        .device_index = interface->device_index,
        .has_device_index = true,
        .status = interface->transition                  ? interface->transition
                  : row->state == VIRGA_INSTANCE_PENDING ? "attaching"
                                                         : "attached",
        .has_network_card_index = true,
    };
    shown->private_ip_addresses = show_addresses(call, interface);
    shown->association = shown->private_ip_addresses.items[0].association;
    shown->attachment = attachment;
    shown->description = interface->description;
    shown->groups = ec2_groups(call, interface->group_ids, interface->group_names);
    shown->mac_address = interface->mac;
    shown->network_interface_id = interface->id;
    shown->owner_id = interface->account_id;
    shown->private_dns_name = shown->private_ip_addresses.items[0].private_dns_name;
    shown->private_ip_address = interface->primary.address;
    shown->source_dest_check = interface->source_dest_check;
    shown->has_source_dest_check = true;
    shown->status = "in-use";
    shown->subnet_id = interface->subnet_id;
    shown->vpc_id = interface->vpc_id;
    shown->interface_type = interface->type;
}

static gint
compare_interfaces(gconstpointer a, gconstpointer b)
{
    gint64 left = ((const Ec2InstanceNetworkInterface *) a)->attachment->device_index;
    gint64 right = ((const Ec2InstanceNetworkInterface *) b)->attachment->device_index;

    return (left > right) - (left < right);
}

/* The first interface speaks for the instance. */
static void
show_interfaces(const VirgaCall *call, const VirgaInstance *row, const Ec2Index *interfaces,
                Ec2Instance *shown)
{
    Ec2InstanceNetworkInterfaceList *list = &shown->network_interfaces;
    const VirgaInterface *interface = NULL;
    const Ec2InstanceNetworkInterface *first;

    list->items = ec2_array(call, Ec2InstanceNetworkInterface, count_rows(interfaces, row->id));
    while ((interface = ec2_index_next(interfaces, row->id, interface)))
        show_interface(call, row, interface, &list->items[list->count++]);
    shown->private_dns_name = "";
    if (list->count == 0)
        return;
    if (list->count > 1)
        qsort(list->items, list->count, sizeof *list->items, compare_interfaces);
    first = &list->items[0];
    shown->private_dns_name = first->private_dns_name;
    shown->private_ip_address = first->private_ip_address;
    if (first->association) {
        shown->public_ip_address = first->association->public_ip;
        shown->public_dns_name = first->association->public_dns_name;
    }
    shown->security_groups = first->groups;
    shown->source_dest_check = first->source_dest_check;
    shown->has_source_dest_check = true;
}

/* ---- the rest ---- */

static Ec2Placement *
show_placement(const VirgaCall *call, const VirgaInstance *row)
{
    Ec2Placement *placement = ec2_new(call, Ec2Placement);

    placement->availability_zone = row->zone;
    placement->availability_zone_id = ec2_zone_id(call, row->zone);
    placement->group_name = row->placement_group ? row->placement_group : "";
    placement->group_id = row->placement_group_id;
    placement->partition_number = row->partition;
    placement->has_partition_number = row->partition > 0;
    placement->tenancy = "default";
    return placement;
}

Ec2InstanceMetadataOptionsResponse *
ec2_instance_metadata_options(const VirgaCall *call, const VirgaInstance *row)
{
    Ec2InstanceMetadataOptionsResponse *options = ec2_new(call, Ec2InstanceMetadataOptionsResponse);

    *options = (Ec2InstanceMetadataOptionsResponse){ .state = row->metadata_pending ? "pending"
                                                                                    : "applied",
                                                     .http_tokens = row->http_tokens,
                                                     .http_put_response_hop_limit = row->http_hops,
                                                     .has_http_put_response_hop_limit = true,
                                                     .http_endpoint = row->http_endpoint,
                                                     .http_protocol_ipv6 = "disabled",
                                                     .instance_metadata_tags = row->http_tags };
    return options;
}

static void
show_state(const VirgaCall *call, const VirgaInstance *row, Ec2Instance *shown)
{
    if (!shown->state)
        shown->state = ec2_instance_state(call, row->state);
    shown->state_transition_reason = row->transition_reason;
    if (row->reason_code && *row->reason_code) {
        shown->state_reason = ec2_new(call, Ec2StateReason);
        shown->state_reason->code = row->reason_code;
        shown->state_reason->message = row->reason_message;
    }
}

static void
show_profile(const VirgaCall *call, const VirgaInstance *row, Ec2Instance *shown)
{
    if (!row->profile_id)
        return;
    shown->iam_instance_profile = ec2_new(call, Ec2IamInstanceProfile);
    shown->iam_instance_profile->arn = row->profile_arn;
    shown->iam_instance_profile->id = row->profile_id;
}

static void
show_hardware(const VirgaCall *call, const VirgaInstance *row, Ec2Instance *shown)
{
    if (!shown->cpu_options) {
        shown->cpu_options = ec2_new(call, Ec2CpuOptions);
        *shown->cpu_options = (Ec2CpuOptions){ .core_count = row->vcpus,
                                               .has_core_count = true,
                                               .threads_per_core = 1,
                                               .has_threads_per_core = true };
    }
    shown->architecture = row->architecture;
    shown->boot_mode = row->boot_mode;
    shown->current_instance_boot_mode =
        g_str_equal(row->boot_mode, "legacy-bios") ? "legacy-bios" : "uefi";
    shown->ebs_optimized = row->ebs_optimized;
    shown->ena_support = true;
    shown->has_ebs_optimized = shown->has_ena_support = true;
    shown->hypervisor = "xen"; /* EC2 knows this and "ovm" */
    shown->virtualization_type = "hvm";
    shown->root_device_name = row->root_device_name;
    shown->root_device_type = "ebs";
}

/* Takes over from the instance before what is the same for both: neighbours are mostly alike, and
 * what items share is written once. */
static void
share(const VirgaInstance *row, const VirgaInstance *before, const Ec2Instance *shown_before,
      Ec2Instance *shown)
{
    if (row->state == before->state)
        shown->state = shown_before->state;
    if (row->vcpus == before->vcpus)
        shown->cpu_options = shown_before->cpu_options;
    if (g_str_equal(row->zone, before->zone) && row->partition == before->partition &&
        g_strcmp0(row->placement_group_id, before->placement_group_id) == 0)
        shown->placement = shown_before->placement;
    if (g_str_equal(row->http_tokens, before->http_tokens) &&
        g_str_equal(row->http_endpoint, before->http_endpoint) &&
        g_str_equal(row->http_tags, before->http_tags) && row->http_hops == before->http_hops &&
        row->metadata_pending == before->metadata_pending)
        shown->metadata_options = shown_before->metadata_options;
}

static void
show_instance(const VirgaCall *call, const VirgaInstance *row, const Ec2InstanceParts *parts,
              Constants *constants, Ec2Instance *shown)
{
    shown->instance_id = row->id;
    shown->image_id = row->image_id;
    shown->instance_type = row->type;
    shown->ami_launch_index = row->launch_index;
    shown->has_ami_launch_index = true;
    shown->client_token = row->client_token;
    shown->key_name = row->key_name;
    shown->launch_time = shown->usage_operation_update_time = row->launched;
    shown->platform_details = "Linux/UNIX";
    shown->usage_operation = "RunInstances";
    shown->public_dns_name = "";
    if (!shown->placement)
        shown->placement = show_placement(call, row);
    if (!shown->metadata_options)
        shown->metadata_options = ec2_instance_metadata_options(call, row);
    shown->monitoring = row->monitoring ? &constants->monitored : &constants->unmonitored;
    shown->capacity_reservation_specification = &constants->reservation;
    shown->hibernation_options = &constants->hibernation;
    shown->enclave_options = &constants->enclave;
    shown->maintenance_options = &constants->maintenance;
    shown->private_dns_name_options = &constants->dns;
    shown->network_performance_options = &constants->performance;
    shown->operator= & constants->operator;
    shown->tags = ec2_tags_of(&parts->tags, row->id);
    show_state(call, row, shown);
    show_profile(call, row, shown);
    show_hardware(call, row, shown);
    show_interfaces(call, row, &parts->interfaces, shown);
    show_disks(call, row, &parts->attachments, shown);
    if (row->state != VIRGA_INSTANCE_TERMINATED) {
        shown->subnet_id = row->subnet_id;
        shown->vpc_id = row->vpc_id;
    }
}

Ec2Instance *
ec2_instances_show(const VirgaCall *call, const VirgaInstance *rows, size_t count,
                   const Ec2InstanceParts *parts)
{
    Ec2Instance *shown = ec2_array(call, Ec2Instance, count);
    Constants *constants = constants_new(call);

    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            share(&rows[i], &rows[i - 1], &shown[i - 1], &shown[i]);
        show_instance(call, &rows[i], parts, constants, &shown[i]);
    }
    return shown;
}

static gint
compare_instances(gconstpointer a, gconstpointer b)
{
    const VirgaInstance *left = a, *right = b;
    int order = strcmp(left->reservation_id, right->reservation_id);

    if (order == 0)
        order =
            (left->launch_index > right->launch_index) - (left->launch_index < right->launch_index);
    return order;
}

void
ec2_instances_sort(VirgaInstance *rows, size_t count)
{
    if (count > 1)
        qsort(rows, count, sizeof *rows, compare_instances);
}

Ec2ReservationList
ec2_instances_group(const VirgaCall *call, const VirgaInstance *rows, Ec2Instance *shown,
                    size_t count)
{
    Ec2ReservationList list = { ec2_array(call, Ec2Reservation, count), 0 };

    for (size_t i = 0; i < count; i++) {
        Ec2Reservation *reservation = list.count ? &list.items[list.count - 1] : NULL;

        if (!reservation || !g_str_equal(reservation->reservation_id, rows[i].reservation_id)) {
            reservation = &list.items[list.count++];
            reservation->reservation_id = rows[i].reservation_id;
            reservation->owner_id = call->account_id;
            reservation->instances.items = &shown[i];
        }
        reservation->instances.count++;
    }
    return list;
}
