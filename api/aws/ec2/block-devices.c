/* SPDX-License-Identifier: Apache-2.0 */
#include "block-devices.h"

#include "encryption.h"

/* EC2's limits of a type; 0: the figure cannot be chosen. */
typedef struct {
    const char *type;
    gint64 size_min, size_max;
    gint64 iops_min, iops_max;
    bool iops_required;
    gint64 throughput_min, throughput_max;
} VolumeType;

static const VolumeType types[] = {
    { "gp2", 1, 16384, 0, 0, false, 0, 0 },      { "gp3", 1, 65536, 3000, 80000, false, 125, 2000 },
    { "io1", 4, 16384, 100, 64000, true, 0, 0 }, { "io2", 4, 65536, 100, 256000, true, 0, 0 },
    { "st1", 125, 16384, 0, 0, false, 0, 0 },    { "sc1", 125, 16384, 0, 0, false, 0, 0 },
    { "standard", 1, 1024, 0, 0, false, 0, 0 },
};

static const VolumeType *
find_type(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
        if (g_str_equal(types[i].type, name))
            return &types[i];
    return NULL;
}

const char *
ec2_attachment_state(const char *transition, bool made)
{
    return transition ? transition : made ? "attached" : "attaching";
}

static bool
check_figure(bool given, gint64 value, gint64 min, gint64 max, const char *name, const char *type,
             GError **error)
{
    if (!given)
        return true;
    if (max == 0)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "The parameter %s is not supported for %s volumes.", name, type);
    if (value < min || value > max)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Volume %s of %" G_GINT64_FORMAT " is out of range for %s volumes; "
                              "expecting %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT ".",
                              name, value, type, min, max);
    return true;
}

static bool
check_ebs(const Ec2EbsBlockDevice *ebs, GError **error)
{
    const char *name = ebs->volume_type ? ebs->volume_type : "gp2";
    const VolumeType *type = find_type(name);

    if (!type)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Invalid value '%.200s' for VolumeType.", name);
    if (ebs->outpost_arn)
        return ec2_unsupported(error, "BlockDeviceMapping.Ebs.OutpostArn");
    if (ebs->availability_zone || ebs->availability_zone_id)
        return ec2_unsupported(error, "BlockDeviceMapping.Ebs.AvailabilityZone");
    if (ebs->has_volume_initialization_rate)
        return ec2_unsupported(error, "BlockDeviceMapping.Ebs.VolumeInitializationRate");
    if (ebs->ebs_card_index)
        return ec2_unsupported(error, "BlockDeviceMapping.Ebs.EbsCardIndex");
    if (ebs->snapshot_id &&
        !virga_api_check_id(ebs->snapshot_id, "snap", "InvalidSnapshotID.Malformed", error))
        return false;
    if (type->iops_required && !ebs->has_iops)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The parameter iops must be specified for %s volumes.", name);
    /* The type of an image's device may be another one, which the request leaves as it is. */
    if (!ebs->volume_type && (ebs->has_iops || ebs->has_throughput))
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "The parameter %s requires the parameter volumeType.",
                              ebs->has_iops ? "iops" : "throughput");
    return check_figure(ebs->has_volume_size, ebs->volume_size, type->size_min, type->size_max,
                        "size", name, error) &&
           check_figure(ebs->has_iops, ebs->iops, type->iops_min, type->iops_max, "iops", name,
                        error) &&
           check_figure(ebs->has_throughput, ebs->throughput, type->throughput_min,
                        type->throughput_max, "throughput", name, error);
}

bool
ec2_check_volume(const Ec2CreateVolumeRequest *request, const char **ret_type, GError **error)
{
    const Ec2EbsBlockDevice ebs = { .volume_type =
                                        request->volume_type ? request->volume_type : "gp2",
                                    .snapshot_id = request->snapshot_id,
                                    .volume_size = request->size,
                                    .has_volume_size = request->has_size,
                                    .iops = request->iops,
                                    .has_iops = request->has_iops,
                                    .throughput = request->throughput,
                                    .has_throughput = request->has_throughput };

    *ret_type = ebs.volume_type;
    return check_ebs(&ebs, error);
}

static bool
read_mapping(const VirgaCall *call, const Ec2BlockDeviceMapping *mapping, VirgaDiskSpec *disk,
             GError **error)
{
    const Ec2EbsBlockDevice *ebs = mapping->ebs;

    if (!mapping->device_name || !*mapping->device_name)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter deviceName");
    *disk = (VirgaDiskSpec){ .device = mapping->device_name, .delete_on_termination = -1 };
    if (mapping->no_device) { /* its value is of no matter */
        disk->no_device = true;
        return true;
    }
    if (mapping->virtual_name)
        return ec2_unsupported(error, "BlockDeviceMapping.VirtualName");
    if (!ebs)
        return virga_api_fail(error, "InvalidBlockDeviceMapping", 400,
                              "The mapping of device '%.200s' has neither Ebs nor NoDevice",
                              mapping->device_name);
    if (!check_ebs(ebs, error) || !ec2_check_kms_key(call, ebs->encrypted, ebs->kms_key_id, error))
        return false;
    disk->encrypted = ebs->encrypted;
    disk->has_encrypted = ebs->has_encrypted;
    disk->snapshot_id = ebs->snapshot_id;
    disk->volume_type = ebs->volume_type;
    disk->size_gib = ebs->volume_size;
    disk->iops = ebs->iops;
    disk->throughput = ebs->throughput;
    if (ebs->has_delete_on_termination)
        disk->delete_on_termination = ebs->delete_on_termination;
    return true;
}

/* /dev/sda1, /dev/xvdb, sdf …: what the guest and the host can make a name of. */
static bool
check_device_name(const char *name, GError **error)
{
    const char *rest = g_str_has_prefix(name, "/dev/") ? name + strlen("/dev/") : name;

    if (strlen(rest) >= 3 && strlen(rest) <= 16 &&
        strspn(rest, "abcdefghijklmnopqrstuvwxyz0123456789") == strlen(rest) &&
        g_ascii_isalpha(*rest))
        return true;
    return virga_api_fail(error, "InvalidBlockDeviceMapping", 400, "Invalid device name '%.200s'",
                          name);
}

bool
ec2_check_no_flag(const VirgaDiskSpec *disk, GError **error)
{
    return !disk->has_encrypted ||
           virga_api_fail(
               error, "InvalidParameter", 400,
               "Parameter encrypted is invalid. You cannot specify the encrypted flag if "
               "specifying a snapshot id in a block device mapping.");
}

bool
ec2_block_devices(const VirgaCall *call, const Ec2BlockDeviceMappingRequestList *mappings,
                  VirgaDiskSpec **ret, size_t *ret_count, GError **error)
{
    VirgaDiskSpec *disks = ec2_array(call, VirgaDiskSpec, mappings->count);

    for (size_t i = 0; i < mappings->count; i++) {
        if (!read_mapping(call, &mappings->items[i], &disks[i], error) ||
            !check_device_name(disks[i].device, error))
            return false;
        for (size_t j = 0; j < i; j++)
            if (g_str_equal(disks[j].device, disks[i].device))
                return virga_api_fail(error, "InvalidBlockDeviceMapping", 400,
                                      "The device '%s' is used in more than one block-device "
                                      "mapping",
                                      disks[i].device);
    }
    *ret = disks;
    *ret_count = mappings->count;
    return true;
}
