/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata document: memory and wire format. */
#include "compute/metadata.h"

#include "core/record.h"

#define STRING(Type, name, required)                                                               \
    {                                                                                              \
#name, VIRGA_FIELD_STRING, offsetof(Type, name), required, NULL                            \
    }
#define STRINGS(Type, name)                                                                        \
    {                                                                                              \
#name, VIRGA_FIELD_STRINGS, offsetof(Type, name), false, NULL                              \
    }
#define BOOLEAN(Type, name)                                                                        \
    {                                                                                              \
#name, VIRGA_FIELD_BOOL, offsetof(Type, name), false, NULL                                 \
    }
#define INTEGER(Type, name)                                                                        \
    {                                                                                              \
#name, VIRGA_FIELD_INTEGER, offsetof(Type, name), false, NULL                              \
    }
#define RECORDS(Type, name, type)                                                                  \
    {                                                                                              \
#name, VIRGA_FIELD_RECORDS, offsetof(Type, name), false, type                              \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, 0, 0, false, NULL                                                                    \
    }

static const VirgaField tag_fields[] = {
    STRING(VirgaMetadataTag, key, true),
    STRING(VirgaMetadataTag, value, true),
    END,
};
static const VirgaRecordType tag_type = { "tag", sizeof(VirgaMetadataTag), tag_fields };

static const VirgaField disk_fields[] = {
    STRING(VirgaMetadataDisk, name, true),
    STRING(VirgaMetadataDisk, device, true),
    END,
};
static const VirgaRecordType disk_type = { "block device", sizeof(VirgaMetadataDisk), disk_fields };

static const VirgaField interface_fields[] = {
    STRING(VirgaMetadataInterface, mac, true),
    STRING(VirgaMetadataInterface, interface_id, true),
    INTEGER(VirgaMetadataInterface, device_number),
    STRING(VirgaMetadataInterface, owner_id, false),
    STRING(VirgaMetadataInterface, local_hostname, false),
    STRING(VirgaMetadataInterface, public_hostname, false),
    STRINGS(VirgaMetadataInterface, local_addresses),
    STRING(VirgaMetadataInterface, public_address, false),
    STRINGS(VirgaMetadataInterface, public_addresses),
    STRINGS(VirgaMetadataInterface, group_names),
    STRINGS(VirgaMetadataInterface, group_ids),
    STRING(VirgaMetadataInterface, subnet_id, false),
    STRING(VirgaMetadataInterface, subnet_cidr, false),
    STRING(VirgaMetadataInterface, vpc_id, false),
    STRINGS(VirgaMetadataInterface, vpc_cidrs),
    END,
};
static const VirgaRecordType interface_type = { "network interface", sizeof(VirgaMetadataInterface),
                                                interface_fields };

static const VirgaField metadata_fields[] = {
    STRING(VirgaMetadata, instance_id, true),
    STRING(VirgaMetadata, instance_type, false),
    STRING(VirgaMetadata, image_id, false),
    STRING(VirgaMetadata, reservation_id, false),
    STRING(VirgaMetadata, account_id, false),
    STRING(VirgaMetadata, region, false),
    STRING(VirgaMetadata, zone, false),
    STRING(VirgaMetadata, architecture, false),
    STRING(VirgaMetadata, pending_time, false),
    STRING(VirgaMetadata, lifecycle, false),
    STRING(VirgaMetadata, partition, false),
    STRING(VirgaMetadata, services_domain, false),
    INTEGER(VirgaMetadata, launch_index),
    STRING(VirgaMetadata, placement_group, false),
    INTEGER(VirgaMetadata, placement_partition),
    STRING(VirgaMetadata, key_name, false),
    STRING(VirgaMetadata, public_key, false),
    STRING(VirgaMetadata, user_data, false),
    STRING(VirgaMetadata, profile_id, false),
    STRING(VirgaMetadata, profile_arn, false),
    STRING(VirgaMetadata, profile_code, false),
    STRING(VirgaMetadata, credentials_updated, false),
    STRING(VirgaMetadata, role_name, false),
    STRING(VirgaMetadata, credentials, false),
    RECORDS(VirgaMetadata, interfaces, &interface_type),
    RECORDS(VirgaMetadata, disks, &disk_type),
    RECORDS(VirgaMetadata, tags, &tag_type),
    BOOLEAN(VirgaMetadata, instance_tags),
    BOOLEAN(VirgaMetadata, disabled),
    BOOLEAN(VirgaMetadata, tokens_required),
    INTEGER(VirgaMetadata, hop_limit),
    END,
};
static const VirgaRecordType metadata_type = { "instance metadata", sizeof(VirgaMetadata),
                                               metadata_fields };

VirgaMetadata *
virga_metadata_new(void)
{
    return virga_record_new(&metadata_type);
}

void
virga_metadata_free(VirgaMetadata *metadata)
{
    virga_record_free(&metadata_type, metadata);
}

VirgaMetadataInterface *
virga_metadata_add_interface(VirgaMetadata *metadata)
{
    return virga_record_add(metadata->interfaces, &interface_type);
}

VirgaMetadataDisk *
virga_metadata_add_disk(VirgaMetadata *metadata, const char *name, const char *device)
{
    VirgaMetadataDisk *disk = virga_record_add(metadata->disks, &disk_type);

    disk->name = g_strdup(name);
    disk->device = g_strdup(device);
    return disk;
}

VirgaMetadataTag *
virga_metadata_add_tag(VirgaMetadata *metadata, const char *key, const char *value)
{
    VirgaMetadataTag *tag = virga_record_add(metadata->tags, &tag_type);

    tag->key = g_strdup(key);
    tag->value = g_strdup(value);
    return tag;
}

VirgaMetadata *
virga_metadata_from_text(const char *text, GError **error)
{
    return virga_record_from_text(&metadata_type, text, error);
}

char *
virga_metadata_to_text(const VirgaMetadata *metadata)
{
    return virga_record_to_text(&metadata_type, metadata);
}
