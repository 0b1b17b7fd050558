/* SPDX-License-Identifier: Apache-2.0 */
#include "core/id.h"

#include <string.h>
#include <uuid.h>

#define UUID_HEAD "ec200000-0000-400"

/* EC2's resource types by the prefix of their ids (API reference, ResourceType). */
static const struct {
    const char *prefix, *type;
} resource_types[] = {
    { "i", "instance" },
    { "r", "reservation" },
    { "ami", "image" },
    { "vol", "volume" },
    { "snap", "snapshot" },
    { "key", "key-pair" },
    { "sg", "security-group" },
    { "sgr", "security-group-rule" },
    { "vpc", "vpc" },
    { "subnet", "subnet" },
    { "eni", "network-interface" },
    { "eipalloc", "elastic-ip" },
    { "igw", "internet-gateway" },
    { "nat", "natgateway" },
    { "rtb", "route-table" },
    { "acl", "network-acl" },
    { "dopt", "dhcp-options" },
    { "lt", "launch-template" },
    { "pg", "placement-group" },
    { "fleet", "fleet" },
    { "import-ami", "import-image-task" },
    { "import-snap", "import-snapshot-task" },
    { "fs", "elasticfilesystem:file-system" },
    { "elb", "elasticloadbalancing:loadbalancer" },
    { "tg", "elasticloadbalancing:targetgroup" },
    { "lsn", "elasticloadbalancing:listener" },
    { "lsr", "elasticloadbalancing:listener-rule" },
};

char *
virga_uuid_new(void)
{
    return g_uuid_string_random();
}

char *
virga_id_new(const char *prefix)
{
    g_autofree char *uuid = virga_uuid_new();

    /* The variant group and the node of a random UUID are the last 16 digits. */
    return g_strdup_printf("%s-0%.4s%s", prefix, uuid + 19, uuid + 24);
}

static bool
is_hex(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!g_ascii_isdigit(text[i]) && !(text[i] >= 'a' && text[i] <= 'f'))
            return false;
    return true;
}

bool
virga_id_is(const char *id, const char *prefix)
{
    size_t length = strlen(prefix), digits;

    if (!id || strncmp(id, prefix, length) != 0 || id[length] != '-')
        return false;
    digits = strlen(id + length + 1);
    return (digits == VIRGA_ID_DIGITS || digits == 8) && is_hex(id + length + 1, digits);
}

bool
virga_id_to_uuid(const char *id, char uuid[static VIRGA_UUID_SIZE])
{
    const char *digits = strrchr(id, '-');

    if (!digits || strlen(digits + 1) != VIRGA_ID_DIGITS || !is_hex(digits + 1, VIRGA_ID_DIGITS))
        return false;
    digits++;
    g_snprintf(uuid, VIRGA_UUID_SIZE, UUID_HEAD "%.1s-%.4s-%s", digits, digits + 1, digits + 5);
    return true;
}

char *
virga_id_from_uuid(const char *prefix, const char *uuid)
{
    uuid_t parsed;

    if (uuid_parse(uuid, parsed) != 0 || !g_str_has_prefix(uuid, UUID_HEAD))
        return NULL;
    return g_strdup_printf("%s-%.1s%.4s%s", prefix, uuid + 17, uuid + 19, uuid + 24);
}

const char *
virga_id_resource_type(const char *id)
{
    for (size_t i = 0; i < G_N_ELEMENTS(resource_types); i++)
        if (virga_id_is(id, resource_types[i].prefix))
            return resource_types[i].type;
    return NULL;
}
