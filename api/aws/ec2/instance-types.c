/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeInstanceTypes and DescribeInstanceTypeOfferings. */
#include "common.h"

#include "compute/instance-type.h"

#define TYPES_PAGE_MAX 100
#define ATTACHMENTS    28

static const VirgaFilterField type_fields[] = {
    { "auto-recovery-supported", "AutoRecoverySupported" },
    { "bare-metal", "BareMetal" },
    { "burstable-performance-supported", "BurstablePerformanceSupported" },
    { "current-generation", "CurrentGeneration" },
    { "dedicated-hosts-supported", "DedicatedHostsSupported" },
    { "ebs-info.attachment-limit-type", "EbsInfo.AttachmentLimitType" },
    { "ebs-info.ebs-optimized-info.baseline-bandwidth-in-mbps",
      "EbsInfo.EbsOptimizedInfo.BaselineBandwidthInMbps" },
    { "ebs-info.ebs-optimized-info.baseline-iops", "EbsInfo.EbsOptimizedInfo.BaselineIops" },
    { "ebs-info.ebs-optimized-info.baseline-throughput-in-mbps",
      "EbsInfo.EbsOptimizedInfo.BaselineThroughputInMBps" },
    { "ebs-info.ebs-optimized-info.maximum-bandwidth-in-mbps",
      "EbsInfo.EbsOptimizedInfo.MaximumBandwidthInMbps" },
    { "ebs-info.ebs-optimized-info.maximum-iops", "EbsInfo.EbsOptimizedInfo.MaximumIops" },
    { "ebs-info.ebs-optimized-info.maximum-throughput-in-mbps",
      "EbsInfo.EbsOptimizedInfo.MaximumThroughputInMBps" },
    { "ebs-info.ebs-optimized-support", "EbsInfo.EbsOptimizedSupport" },
    { "ebs-info.encryption-support", "EbsInfo.EncryptionSupport" },
    { "ebs-info.maximum-ebs-attachments", "EbsInfo.MaximumEbsAttachments" },
    { "ebs-info.nvme-support", "EbsInfo.NvmeSupport" },
    { "free-tier-eligible", "FreeTierEligible" },
    { "hibernation-supported", "HibernationSupported" },
    { "hypervisor", "Hypervisor" },
    { "instance-storage-info.disk.count", "InstanceStorageInfo.Disks.Count" },
    { "instance-storage-info.disk.size-in-gb", "InstanceStorageInfo.Disks.SizeInGB" },
    { "instance-storage-info.disk.type", "InstanceStorageInfo.Disks.Type" },
    { "instance-storage-info.encryption-support", "InstanceStorageInfo.EncryptionSupport" },
    { "instance-storage-info.nvme-support", "InstanceStorageInfo.NvmeSupport" },
    { "instance-storage-info.total-size-in-gb", "InstanceStorageInfo.TotalSizeInGB" },
    { "instance-storage-supported", "InstanceStorageSupported" },
    { "instance-type", "InstanceType" },
    { "memory-info.size-in-mib", "MemoryInfo.SizeInMiB" },
    { "network-info.bandwidth-weightings", "NetworkInfo.BandwidthWeightings" },
    { "network-info.efa-info.maximum-efa-interfaces", "NetworkInfo.EfaInfo.MaximumEfaInterfaces" },
    { "network-info.efa-supported", "NetworkInfo.EfaSupported" },
    { "network-info.ena-support", "NetworkInfo.EnaSupport" },
    { "network-info.encryption-in-transit-supported", "NetworkInfo.EncryptionInTransitSupported" },
    { "network-info.flexible-ena-queues-support", "NetworkInfo.FlexibleEnaQueuesSupport" },
    { "network-info.ipv4-addresses-per-interface", "NetworkInfo.Ipv4AddressesPerInterface" },
    { "network-info.ipv6-addresses-per-interface", "NetworkInfo.Ipv6AddressesPerInterface" },
    { "network-info.ipv6-supported", "NetworkInfo.Ipv6Supported" },
    { "network-info.maximum-network-cards", "NetworkInfo.MaximumNetworkCards" },
    { "network-info.maximum-network-interfaces", "NetworkInfo.MaximumNetworkInterfaces" },
    { "network-info.network-performance", "NetworkInfo.NetworkPerformance" },
    { "nitro-enclaves-support", "NitroEnclavesSupport" },
    { "nitro-tpm-info.supported-versions", "NitroTpmInfo.SupportedVersions" },
    { "nitro-tpm-support", "NitroTpmSupport" },
    { "processor-info.manufacturer", "ProcessorInfo.Manufacturer" },
    { "processor-info.supported-architecture", "ProcessorInfo.SupportedArchitectures" },
    { "processor-info.supported-features", "ProcessorInfo.SupportedFeatures" },
    { "processor-info.sustained-clock-speed-in-ghz", "ProcessorInfo.SustainedClockSpeedInGhz" },
    { "reboot-migration-support", "RebootMigrationSupport" },
    { "supported-boot-mode", "SupportedBootModes" },
    { "supported-root-device-type", "SupportedRootDeviceTypes" },
    { "supported-usage-class", "SupportedUsageClasses" },
    { "supported-virtualization-type", "SupportedVirtualizationTypes" },
    { "vcpu-info.default-cores", "VCpuInfo.DefaultCores" },
    { "vcpu-info.default-threads-per-core", "VCpuInfo.DefaultThreadsPerCore" },
    { "vcpu-info.default-vcpus", "VCpuInfo.DefaultVCpus" },
    { "vcpu-info.valid-cores", "VCpuInfo.ValidCores" },
    { "vcpu-info.valid-threads-per-core", "VCpuInfo.ValidThreadsPerCore" },
};

static const char *architectures[] = { "x86_64" };
static const char *boot_modes[] = { "legacy-bios", "uefi" };
static const char *root_devices[] = { "ebs" };
static const char *usage_classes[] = { "on-demand" };
static const char *virtualization_types[] = { "hvm" };

/* What all types have in common. */
typedef struct {
    Ec2ProcessorInfo processor;
    Ec2EbsInfo ebs;
    Ec2NetworkCardInfo card;
    Ec2NetworkInfo network;
    Ec2PlacementGroupInfo placement;
} Common;

static Common *
common_new(const VirgaCall *call)
{
    Common *common = ec2_new(call, Common);

    common->processor.supported_architectures = (Ec2ArchitectureTypeList){ architectures, 1 };
    common->ebs = (Ec2EbsInfo){ .ebs_optimized_support = "supported",
                                .encryption_support = "unsupported",
                                .nvme_support = "unsupported",
                                .maximum_ebs_attachments = ATTACHMENTS,
                                .has_maximum_ebs_attachments = true,
                                .attachment_limit_type = "dedicated" };
    common->card = (Ec2NetworkCardInfo){ .has_network_card_index = true,
                                         .network_performance = "Up to 10 Gigabit",
                                         .has_maximum_network_interfaces = true };
    common->network = (Ec2NetworkInfo){ .network_performance = "Up to 10 Gigabit",
                                        .has_maximum_network_interfaces = true,
                                        .maximum_network_cards = 1,
                                        .has_maximum_network_cards = true,
                                        .has_default_network_card_index = true,
                                        .network_cards = { NULL, 1 },
                                        .has_ipv4_addresses_per_interface = true,
                                        .has_ipv6_addresses_per_interface = true,
                                        .has_ipv6_supported = true,
                                        .ena_support = "supported",
                                        .has_efa_supported = true,
                                        .has_encryption_in_transit_supported = true };
    return common;
}

static void
show_type(const VirgaCall *call, const VirgaInstanceType *type, Common *common,
          Ec2InstanceTypeInfo *shown)
{
    Ec2VCpuInfo *vcpus = ec2_new(call, Ec2VCpuInfo);
    Ec2MemoryInfo *memory = ec2_new(call, Ec2MemoryInfo);
    Ec2NetworkCardInfo *card = ec2_new(call, Ec2NetworkCardInfo);
    Ec2NetworkInfo *network = ec2_new(call, Ec2NetworkInfo);

    *card = common->card;
    card->maximum_network_interfaces = type->interfaces_max;
    *network = common->network;
    if (type->bandwidth_mbit)
        card->network_performance = network->network_performance =
            virga_arena_printf(call->arena, "%" G_GINT64_FORMAT " Megabit", type->bandwidth_mbit);
    network->network_cards.items = card;
    network->maximum_network_interfaces = type->interfaces_max;
    network->ipv4_addresses_per_interface = type->addresses_max;
    vcpus->default_v_cpus = vcpus->default_cores = type->vcpus;
    vcpus->default_threads_per_core = 1;
    vcpus->has_default_v_cpus = vcpus->has_default_cores = vcpus->has_default_threads_per_core =
        true;
    memory->size_in_mi_b = type->memory_mib;
    memory->has_size_in_mi_b = true;
    *shown = (Ec2InstanceTypeInfo){
        .instance_type = type->name,
        .current_generation = true,
        .has_current_generation = true,
        .has_free_tier_eligible = true,
        .supported_usage_classes = { usage_classes, 1 },
        .supported_root_device_types = { root_devices, 1 },
        .supported_virtualization_types = { virtualization_types, 1 },
        .has_bare_metal = true,
        .hypervisor = "nitro",
        .processor_info = &common->processor,
        .v_cpu_info = vcpus,
        .memory_info = memory,
        .has_instance_storage_supported = true,
        .ebs_info = &common->ebs,
        .network_info = network,
        .placement_group_info = &common->placement,
        .has_hibernation_supported = true,
        .burstable_performance_supported = virga_instance_type_credits(type->name) != NULL,
        .has_burstable_performance_supported = true,
        .has_dedicated_hosts_supported = true,
        .has_auto_recovery_supported = true,
        .supported_boot_modes = { boot_modes, G_N_ELEMENTS(boot_modes) },
        .nitro_enclaves_support = "unsupported",
        .nitro_tpm_support = "unsupported",
        .phc_support = "unsupported",
    };
}

static bool
check_types(const VirgaCall *call, const char *const *names, GError **error)
{
    g_autoptr(GString) missing = g_string_new(NULL);

    for (; names && *names; names++)
        if (!virga_instance_type_find(ec2_services(call)->config, *names))
            g_string_append_printf(missing, "%s%.100s", missing->len ? ", " : "", *names);
    return missing->len == 0 ||
           virga_api_fail(error, "InvalidInstanceType", 400,
                          "The following supplied instance types do not exist: [%s]", missing->str);
}

bool
ec2_describe_instance_types(VirgaCall *call, const Ec2DescribeInstanceTypesRequest *request,
                            Ec2DescribeInstanceTypesResponse *response, GError **error)
{
    const char *const *names = ec2_strings(call, &request->instance_types);
    g_autoptr(GPtrArray) types = virga_instance_type_list(ec2_services(call)->config);
    Ec2InstanceTypeInfoList *list = &response->instance_types;
    Common *common = common_new(call);
    VirgaFilter *filter;
    Ec2Page page;

    if (!check_types(call, names, error) ||
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, TYPES_PAGE_MAX, &page, error))
        return false;
    if (names && request->has_max_results)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "The parameter InstanceTypes cannot be used with the parameter "
                              "MaxResults");
    filter = virga_filter_new(call->arena, type_fields, &ec2_instance_type_info_shape,
                              &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error))
        return false;
    list->items = ec2_array(call, Ec2InstanceTypeInfo, types->len);
    for (guint i = 0; i < types->len; i++) {
        const VirgaInstanceType *type = types->pdata[i];

        if (!names || g_strv_contains(names, type->name))
            show_type(call, type, common, &list->items[list->count++]);
    }
    ec2_answer(call, filter, &page, list, &ec2_instance_type_info_shape, Ec2InstanceTypeInfo,
               instance_type, &response->next_token);
    return true;
}

/* ---- offerings ---- */

static const VirgaFilterField offering_fields[] = {
    { "instance-type", "InstanceType" },
    { "location", "Location" },
};

/* Where every type can be had, in the words of 'location_type'; NULL-terminated. */
static const char **
locations(const VirgaCall *call, const char *location_type)
{
    char **zones = ec2_services(call)->zones;
    size_t count = g_strv_length(zones);
    const char **names = ec2_array(call, const char *, count + 1);

    if (g_str_equal(location_type, "region"))
        names[0] = call->region;
    for (size_t i = 0; i < count; i++) {
        if (g_str_equal(location_type, "availability-zone"))
            names[i] = zones[i];
        else if (g_str_equal(location_type, "availability-zone-id"))
            names[i] = ec2_zone_id(call, zones[i]);
    }
    return names; /* none in an outpost */
}

/* Types in many zones: the page's key has both. */
typedef struct {
    Ec2InstanceTypeOffering shown;
    const char *key;
} Offering;

static void
cut_offerings(const VirgaCall *call, const Ec2Page *page, Offering *offerings, size_t count,
              Ec2DescribeInstanceTypeOfferingsResponse *response)
{
    const VirgaWireShape shape = { .size = sizeof(Offering) };
    VirgaWireList list = { offerings, count };
    Ec2InstanceTypeOfferingsList *out = &response->instance_type_offerings;

    ec2_page_cut(call, page, &list, &shape, offsetof(Offering, key), &response->next_token);
    out->count = list.count;
    out->items = ec2_array(call, Ec2InstanceTypeOffering, list.count);
    for (size_t i = 0; i < list.count; i++)
        out->items[i] = ((const Offering *) list.items)[i].shown;
}

bool
ec2_describe_instance_type_offerings(VirgaCall *call,
                                     const Ec2DescribeInstanceTypeOfferingsRequest *request,
                                     Ec2DescribeInstanceTypeOfferingsResponse *response,
                                     GError **error)
{
    const char *location_type = request->location_type ? request->location_type : "region";
    const char **places = locations(call, location_type);
    g_autoptr(GPtrArray) types = virga_instance_type_list(ec2_services(call)->config);
    size_t count = 0;
    Offering *offerings;
    VirgaFilter *filter;
    Ec2Page page;

    if (!ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error))
        return false;
    filter = virga_filter_new(call->arena, offering_fields, &ec2_instance_type_offering_shape,
                              &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error))
        return false;
    offerings = ec2_array(call, Offering, types->len * g_strv_length((char **) places));
    for (guint i = 0; i < types->len; i++)
        for (const char **place = places; *place; place++) {
            const VirgaInstanceType *type = types->pdata[i];
            Offering *offering = &offerings[count];

            offering->shown = (Ec2InstanceTypeOffering){ .instance_type = type->name,
                                                         .location_type = location_type,
                                                         .location = *place };
            offering->key = virga_arena_printf(call->arena, "%s/%s", type->name, *place);
            count += virga_filter_match(filter, &offering->shown, NULL, NULL);
        }
    cut_offerings(call, &page, offerings, count, response);
    return true;
}
