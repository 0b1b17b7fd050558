/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeInstances. */
#include "instance-view.h"

static const VirgaFilterField instance_fields[] = {
    { "affinity", "Placement.Affinity" },
    { "architecture", "Architecture" },
    { "availability-zone", "Placement.AvailabilityZone" },
    { "availability-zone-id", "Placement.AvailabilityZoneId" },
    { "block-device-mapping.attach-time", "BlockDeviceMappings.Ebs.AttachTime" },
    { "block-device-mapping.delete-on-termination", "BlockDeviceMappings.Ebs.DeleteOnTermination" },
    { "block-device-mapping.device-name", "BlockDeviceMappings.DeviceName" },
    { "block-device-mapping.status", "BlockDeviceMappings.Ebs.Status" },
    { "block-device-mapping.volume-id", "BlockDeviceMappings.Ebs.VolumeId" },
    { "boot-mode", "BootMode" },
    { "capacity-reservation-id", "CapacityReservationId" },
    { "capacity-reservation-specification.capacity-reservation-preference",
      "CapacityReservationSpecification.CapacityReservationPreference" },
    { "capacity-reservation-specification.capacity-reservation-target.capacity-reservation-id",
      "CapacityReservationSpecification.CapacityReservationTarget.CapacityReservationId" },
    { "capacity-reservation-specification.capacity-reservation-target.capacity-reservation-"
      "resource-group-arn",
      "CapacityReservationSpecification.CapacityReservationTarget."
      "CapacityReservationResourceGroupArn" },
    { "client-token", "ClientToken" },
    { "current-instance-boot-mode", "CurrentInstanceBootMode" },
    { "dns-name", "PublicDnsName" },
    { "ebs-optimized", "EbsOptimized" },
    { "ena-support", "EnaSupport" },
    { "enclave-options.enabled", "EnclaveOptions.Enabled" },
    { "hibernation-options.configured", "HibernationOptions.Configured" },
    { "host-id", "Placement.HostId" },
    { "hypervisor", "Hypervisor" },
    { "iam-instance-profile.arn", "IamInstanceProfile.Arn" },
    { "iam-instance-profile.id", "IamInstanceProfile.Id" },
    { "image-id", "ImageId" },
    { "instance-id", "InstanceId" },
    { "instance-lifecycle", "InstanceLifecycle" },
    { "instance-state-code", "State.Code" },
    { "instance-state-name", "State.Name" },
    { "instance-type", "InstanceType" },
    { "instance.group-id", "SecurityGroups.GroupId" },
    { "instance.group-name", "SecurityGroups.GroupName" },
    { "ip-address", "PublicIpAddress" },
    { "ipv6-address", "Ipv6Address" },
    { "kernel-id", "KernelId" },
    { "key-name", "KeyName" },
    { "launch-index", "AmiLaunchIndex" },
    { "launch-time", "LaunchTime" },
    { "maintenance-options.auto-recovery", "MaintenanceOptions.AutoRecovery" },
    { "metadata-options.http-endpoint", "MetadataOptions.HttpEndpoint" },
    { "metadata-options.http-protocol-ipv4", NULL },
    { "metadata-options.http-protocol-ipv6", "MetadataOptions.HttpProtocolIpv6" },
    { "metadata-options.http-put-response-hop-limit", "MetadataOptions.HttpPutResponseHopLimit" },
    { "metadata-options.http-tokens", "MetadataOptions.HttpTokens" },
    { "metadata-options.instance-metadata-tags", "MetadataOptions.InstanceMetadataTags" },
    { "metadata-options.state", "MetadataOptions.State" },
    { "monitoring-state", "Monitoring.State" },
    { "network-interface.addresses.association.allocation-id", NULL },
    { "network-interface.addresses.association.association-id", NULL },
    { "network-interface.addresses.association.carrier-ip",
      "NetworkInterfaces.PrivateIpAddresses.Association.CarrierIp" },
    { "network-interface.addresses.association.customer-owned-ip",
      "NetworkInterfaces.PrivateIpAddresses.Association.CustomerOwnedIp" },
    { "network-interface.addresses.association.ip-owner-id",
      "NetworkInterfaces.PrivateIpAddresses.Association.IpOwnerId" },
    { "network-interface.addresses.association.public-dns-name",
      "NetworkInterfaces.PrivateIpAddresses.Association.PublicDnsName" },
    { "network-interface.addresses.association.public-ip",
      "NetworkInterfaces.PrivateIpAddresses.Association.PublicIp" },
    { "network-interface.addresses.primary", "NetworkInterfaces.PrivateIpAddresses.Primary" },
    { "network-interface.addresses.private-dns-name",
      "NetworkInterfaces.PrivateIpAddresses.PrivateDnsName" },
    { "network-interface.addresses.private-ip-address",
      "NetworkInterfaces.PrivateIpAddresses.PrivateIpAddress" },
    { "network-interface.association.allocation-id", NULL },
    { "network-interface.association.association-id", NULL },
    { "network-interface.association.carrier-ip", "NetworkInterfaces.Association.CarrierIp" },
    { "network-interface.association.customer-owned-ip",
      "NetworkInterfaces.Association.CustomerOwnedIp" },
    { "network-interface.association.ip-owner-id", "NetworkInterfaces.Association.IpOwnerId" },
    { "network-interface.association.public-dns-name",
      "NetworkInterfaces.Association.PublicDnsName" },
    { "network-interface.association.public-ip", "NetworkInterfaces.Association.PublicIp" },
    { "network-interface.attachment.attach-time", "NetworkInterfaces.Attachment.AttachTime" },
    { "network-interface.attachment.attachment-id", "NetworkInterfaces.Attachment.AttachmentId" },
    { "network-interface.attachment.delete-on-termination",
      "NetworkInterfaces.Attachment.DeleteOnTermination" },
    { "network-interface.attachment.device-index", "NetworkInterfaces.Attachment.DeviceIndex" },
    { "network-interface.attachment.instance-id", NULL },
    { "network-interface.attachment.instance-owner-id", NULL },
    { "network-interface.attachment.network-card-index",
      "NetworkInterfaces.Attachment.NetworkCardIndex" },
    { "network-interface.attachment.status", "NetworkInterfaces.Attachment.Status" },
    { "network-interface.availability-zone", NULL },
    { "network-interface.deny-all-igw-traffic", NULL },
    { "network-interface.description", "NetworkInterfaces.Description" },
    { "network-interface.group-id", "NetworkInterfaces.Groups.GroupId" },
    { "network-interface.group-name", "NetworkInterfaces.Groups.GroupName" },
    { "network-interface.ipv4-prefixes.ipv4-prefix", "NetworkInterfaces.Ipv4Prefixes.Ipv4Prefix" },
    { "network-interface.ipv6-address", "NetworkInterfaces.Ipv6Addresses.Ipv6Address" },
    { "network-interface.ipv6-addresses.ipv6-address",
      "NetworkInterfaces.Ipv6Addresses.Ipv6Address" },
    { "network-interface.ipv6-addresses.is-primary-ipv6",
      "NetworkInterfaces.Ipv6Addresses.IsPrimaryIpv6" },
    { "network-interface.ipv6-native", NULL },
    { "network-interface.ipv6-prefixes.ipv6-prefix", "NetworkInterfaces.Ipv6Prefixes.Ipv6Prefix" },
    { "network-interface.mac-address", "NetworkInterfaces.MacAddress" },
    { "network-interface.network-interface-id", "NetworkInterfaces.NetworkInterfaceId" },
    { "network-interface.operator.managed", "NetworkInterfaces.Operator.Managed" },
    { "network-interface.operator.principal", "NetworkInterfaces.Operator.Principal" },
    { "network-interface.outpost-arn", NULL },
    { "network-interface.owner-id", "NetworkInterfaces.OwnerId" },
    { "network-interface.private-dns-name", "NetworkInterfaces.PrivateDnsName" },
    { "network-interface.private-ip-address", "NetworkInterfaces.PrivateIpAddress" },
    { "network-interface.public-dns-name", "NetworkInterfaces.Association.PublicDnsName" },
    { "network-interface.requester-id", NULL },
    { "network-interface.requester-managed", NULL },
    { "network-interface.source-dest-check", "NetworkInterfaces.SourceDestCheck" },
    { "network-interface.status", "NetworkInterfaces.Status" },
    { "network-interface.subnet-id", "NetworkInterfaces.SubnetId" },
    { "network-interface.vpc-id", "NetworkInterfaces.VpcId" },
    { "network-performance-options.bandwidth-weighting",
      "NetworkPerformanceOptions.BandwidthWeighting" },
    { "operator.managed", "Operator.Managed" },
    { "operator.principal", "Operator.Principal" },
    { "outpost-arn", "OutpostArn" },
    { "owner-id", NULL },
    { "placement-group-name", "Placement.GroupName" },
    { "placement-partition-number", "Placement.PartitionNumber" },
    { "platform", "Platform" },
    { "platform-details", "PlatformDetails" },
    { "private-dns-name", "PrivateDnsName" },
    { "private-dns-name-options.enable-resource-name-dns-a-record",
      "PrivateDnsNameOptions.EnableResourceNameDnsARecord" },
    { "private-dns-name-options.enable-resource-name-dns-aaaa-record",
      "PrivateDnsNameOptions.EnableResourceNameDnsAAAARecord" },
    { "private-dns-name-options.hostname-type", "PrivateDnsNameOptions.HostnameType" },
    { "private-ip-address", "NetworkInterfaces.PrivateIpAddresses.PrivateIpAddress" },
    { "product-code", "ProductCodes.ProductCodeId" },
    { "product-code.type", "ProductCodes.ProductCodeType" },
    { "ramdisk-id", "RamdiskId" },
    { "reason", "StateTransitionReason" },
    { "requester-id", NULL },
    { "reservation-id", NULL },
    { "root-device-name", "RootDeviceName" },
    { "root-device-type", "RootDeviceType" },
    { "source-dest-check", "SourceDestCheck" },
    { "spot-instance-request-id", "SpotInstanceRequestId" },
    { "state-reason-code", "StateReason.Code" },
    { "state-reason-message", "StateReason.Message" },
    { "subnet-id", "SubnetId" },
    { "tenancy", "Placement.Tenancy" },
    { "tpm-support", "TpmSupport" },
    { "usage-operation", "UsageOperation" },
    { "usage-operation-update-time", "UsageOperationUpdateTime" },
    { "virtualization-type", "VirtualizationType" },
    { "vpc-id", "VpcId" },
};

typedef struct {
    const VirgaInstance *row;
    const char *account_id;
} Subject;

/* Of fields that the answer's struct has elsewhere or not at all. */
static const char *
field_value(const char *name, const void *item, gpointer user_data)
{
    const Ec2Instance *shown = item;
    const Subject *subject = user_data;
    const VirgaInstance *row = subject->row;
    bool has_interface = shown->network_interfaces.count > 0;

    if (g_str_equal(name, "reservation-id"))
        return row->reservation_id;
    if (g_str_equal(name, "owner-id"))
        return subject->account_id;
    if (g_str_equal(name, "metadata-options.http-protocol-ipv4"))
        return "enabled";
    if (!has_interface)
        return NULL;
    if (g_str_equal(name, "network-interface.attachment.instance-id"))
        return row->id;
    if (g_str_equal(name, "network-interface.attachment.instance-owner-id"))
        return subject->account_id;
    if (g_str_equal(name, "network-interface.availability-zone"))
        return row->zone;
    if (g_str_equal(name, "network-interface.requester-managed") ||
        g_str_equal(name, "network-interface.deny-all-igw-traffic") ||
        g_str_equal(name, "network-interface.ipv6-native"))
        return "false";
    return NULL;
}

/* A page of filtered instances ends, perhaps early, once so many were looked at. */
#define BATCH_MIN    500
#define EXAMINED_MAX 5000

/* One call in the making. */
typedef struct {
    VirgaCall *call;
    const Ec2DescribeInstancesRequest *request;
    const VirgaFilter *filter;
    Ec2Page page;
    const char *const *ids;
    bool by_pages; /* the database cuts them */

    /* the batch at hand */
    VirgaInstance *rows;
    size_t count;
    bool ahead; /* the parts of all rows were asked for already */
} Query;

/* Asks a filter that the database answers by an index for the ids; NULL: there is none. */
static bool
ids_of_filters(Query *query, VirgaTxn *txn, const char *const **ret_ids, GError **error)
{
    const Ec2FilterList *filters = &query->request->filters;
    const char *const *values = virga_filter_literals(query->filter, "instance-id");

    *ret_ids = values;
    for (size_t i = 0; i < filters->count && !*ret_ids; i++) {
        const char *name = filters->items[i].name;
        const char **ids;

        values = g_str_has_prefix(name, "tag:") ? virga_filter_literals(query->filter, name) : NULL;
        if (!values)
            continue;
        if (!virga_tag_find(txn, query->call->arena, query->call->account_id, "instance",
                            name + strlen("tag:"), values, &ids, error))
            return false;
        *ret_ids = ids;
    }
    return true;
}

static bool
read_rows(Query *query, VirgaTxn *txn, GError **error)
{
    const char *const *reservations;

    if (query->ids) { /* all that belongs to them in one round trip */
        query->ahead = true;
        return virga_instance_show_send(txn, query->call->account_id, query->ids, NULL, error) &&
               ec2_instance_parts_send(query->call, txn, query->ids, error) &&
               virga_instance_show_receive(txn, query->call->arena, &query->rows, &query->count,
                                           error) &&
               ec2_instances_check(query->call, query->ids, query->rows, query->count, error);
    }
    if (!ids_of_filters(query, txn, &query->ids, error))
        return false;
    reservations = virga_filter_literals(query->filter, "reservation-id");
    if (reservations && reservations[1])
        reservations = NULL;
    query->by_pages = query->page.size && !query->ids && !reservations;
    return query->by_pages ||
           (virga_instance_show_send(txn, query->call->account_id, query->ids,
                                     reservations ? reservations[0] : NULL, error) &&
            virga_instance_show_receive(txn, query->call->arena, &query->rows, &query->count,
                                        error));
}

/* Drops rows of other states before anything else is read for them. */
static void
keep_states(Query *query)
{
    const char *const *states = virga_filter_literals(query->filter, "instance-state-name");
    size_t kept = 0;

    if (!states)
        return;
    for (size_t i = 0; i < query->count; i++)
        if (g_strv_contains(states, virga_instance_state_name(query->rows[i].state)))
            query->rows[kept++] = query->rows[i];
    query->count = kept;
}

static const char *
page_key(const Query *query, const VirgaInstance *row)
{
    return virga_arena_printf(query->call->arena, "%s/%06" G_GINT64_FORMAT, row->reservation_id,
                              row->launch_index);
}

/* The rows are in order; drops those of former pages. */
static void
skip_former(Query *query)
{
    size_t from = 0;

    while (query->page.after && from < query->count &&
           strcmp(page_key(query, &query->rows[from]), query->page.after) <= 0)
        from++;
    query->rows += from;
    query->count -= from;
}

static const char *
token_after(const Query *query, const VirgaInstance *row)
{
    return virga_page_token(ec2_services(query->call)->pager, query->call->arena,
                            query->call->account_id, query->call->action, page_key(query, row));
}

static void
cut(Query *query, const char **ret_next_token)
{
    if (!query->page.size || query->count <= (size_t) query->page.size)
        return;
    query->count = (size_t) query->page.size;
    *ret_next_token = token_after(query, &query->rows[query->count - 1]);
}

/* What belongs to the rows: by their ids if they are some, at once if they may be all. */
static bool
read_parts(const Query *query, VirgaTxn *txn, bool all, Ec2InstanceParts *ret, GError **error)
{
    const char **ids = NULL;

    if (query->ahead)
        return ec2_instance_parts_receive(query->call, txn, query->ids, ret, error);
    if (!all) {
        ids = ec2_array(query->call, const char *, query->count + 1);
        for (size_t i = 0; i < query->count; i++)
            ids[i] = query->rows[i].id;
    }
    return ec2_instance_parts_read(query->call, txn, ids, ret, error);
}

/* Drops what the filters refuse from the batch and from 'shown'. */
static void
apply_filters(Query *query, Ec2Instance *shown)
{
    size_t kept = 0;

    if (query->request->filters.count == 0)
        return;
    for (size_t i = 0; i < query->count; i++) {
        Subject subject = { &query->rows[i], query->call->account_id };

        if (!virga_filter_match(query->filter, &shown[i], field_value, &subject))
            continue;
        query->rows[kept] = query->rows[i];
        shown[kept++] = shown[i];
    }
    query->count = kept;
}

/* The batch as the answer shows it, without what the filters refuse. */
static bool
show_batch(Query *query, VirgaTxn *txn, bool all, Ec2Instance **ret, GError **error)
{
    Ec2InstanceParts parts;

    if (!read_parts(query, txn, all, &parts, error))
        return false;
    *ret = ec2_instances_show(query->call, query->rows, query->count, &parts);
    apply_filters(query, *ret);
    return true;
}

/* Of all rows at once. */
static bool
describe_listed(Query *query, VirgaTxn *txn, Ec2DescribeInstancesResponse *response, GError **error)
{
    bool filtered = query->request->filters.count > 0;
    size_t listed = query->count;
    Ec2Instance *shown;

    keep_states(query);
    ec2_instances_sort(query->rows, query->count);
    skip_former(query);
    if (!filtered)
        cut(query, &response->next_token);
    if (query->count == 0)
        return true;
    if (!show_batch(query, txn, !query->ids && query->count > listed / 2, &shown, error))
        return false;
    if (filtered)
        cut(query, &response->next_token);
    response->reservations = ec2_instances_group(query->call, query->rows, shown, query->count);
    return true;
}

/* Where the page before ended: "RESERVATION/INDEX", as page_key() made it. */
static void
read_cursor(const Query *query, const char **ret_reservation_id, gint64 *ret_index)
{
    const char *slash = query->page.after ? strchr(query->page.after, '/') : NULL;

    *ret_reservation_id = "";
    *ret_index = 0;
    if (!slash)
        return;
    *ret_reservation_id = virga_arena_strndup(query->call->arena, query->page.after,
                                              (gsize) (slash - query->page.after));
    *ret_index = g_ascii_strtoll(slash + 1, NULL, 10);
}

/* Page by page from the database, batch by batch until one of ours is full. */
static bool
describe_page(Query *query, VirgaTxn *txn, Ec2DescribeInstancesResponse *response, GError **error)
{
    VirgaCall *call = query->call;
    size_t size = (size_t) query->page.size, kept = 0, examined = 0;
    gint64 batch =
        query->request->filters.count ? MAX(query->page.size + 1, BATCH_MIN) : query->page.size + 1;
    VirgaInstance *rows = virga_arena_new_array(call->arena, VirgaInstance, size);
    Ec2Instance *shown = ec2_array(call, Ec2Instance, size);
    const VirgaInstance *last = NULL; /* looked at; NULL: all were */
    const char *reservation_id;
    gint64 index;

    read_cursor(query, &reservation_id, &index);
    do {
        Ec2Instance *batch_shown;
        VirgaInstance *read;
        size_t read_count;

        if (!virga_instance_show_page_send(txn, call->account_id, reservation_id, index, batch,
                                           error) ||
            !virga_instance_show_receive(txn, call->arena, &read, &read_count, error))
            return false;
        last = (gint64) read_count == batch ? &read[read_count - 1] : NULL;
        query->count = read_count;
        query->rows = virga_arena_new_array(call->arena, VirgaInstance, read_count);
        for (size_t i = 0; i < read_count; i++)
            query->rows[i] = read[i];
        keep_states(query);
        if (query->count && !show_batch(query, txn, false, &batch_shown, error))
            return false;
        for (size_t i = 0; i < query->count; i++) {
            if (kept == size) {
                last = &rows[size - 1];
                break;
            }
            rows[kept] = query->rows[i];
            shown[kept++] = batch_shown[i];
        }
        examined += read_count;
        if (last) {
            reservation_id = last->reservation_id;
            index = last->launch_index;
        }
    } while (last && kept < size && examined < EXAMINED_MAX);
    if (last)
        response->next_token = token_after(query, last);
    response->reservations = ec2_instances_group(call, rows, shown, kept);
    return true;
}

static bool
describe(Query *query, Ec2DescribeInstancesResponse *response, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(query->call->db, error);

    if (!txn || !read_rows(query, txn, error))
        return false;
    return query->by_pages ? describe_page(query, txn, response, error)
                           : describe_listed(query, txn, response, error);
}

bool
ec2_describe_instances(VirgaCall *call, const Ec2DescribeInstancesRequest *request,
                       Ec2DescribeInstancesResponse *response, GError **error)
{
    Query query = { .call = call, .request = request };

    if (!ec2_ids(call, &request->instance_ids, "i", "InvalidInstanceID.Malformed", &query.ids,
                 error) ||
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &query.page, error) ||
        !ec2_check_unpaged(query.ids, request->has_max_results, "instancesSet", error))
        return false;
    query.filter = virga_filter_new(call->arena, instance_fields, &ec2_instance_shape,
                                    &request->filters, error);
    return query.filter && virga_call_dry_run(call, error) && describe(&query, response, error);
}
