/* SPDX-License-Identifier: Apache-2.0 */
#include "libvirt-priv.h"

#include <string.h>

static bool
set_secret(virSecretPtr secret, const VirgaVolumeSource *source)
{
    g_autofree guchar *bytes = NULL;
    gsize size;
    bool done;

    if (source->passphrase)
        return virSecretSetValue(secret, (const unsigned char *) source->passphrase,
                                 strlen(source->passphrase), 0) == 0;
    bytes = g_base64_decode(source->key, &size);
    done = virSecretSetValue(secret, bytes, size, 0) == 0;
    explicit_bzero(bytes, size);
    return done;
}

static bool
keep_secret(virConnectPtr connection, const VirgaVolumeSource *source, GError **error)
{
    bool any = source && (source->key || source->passphrase);
    g_autofree char *xml = any ? virga_domain_secret_xml(source) : NULL;
    virSecretPtr secret;
    bool done;

    if (!any)
        return true;
    secret = virSecretDefineXML(connection, xml, 0);
    if (!secret)
        return libvirt_fail(error, "define the secret for", source->name);
    done = set_secret(secret, source) || libvirt_fail(error, "keep the secret for", source->name);
    virSecretFree(secret);
    return done;
}

static void
drop_secret(virConnectPtr connection, const VirgaVolumeSource *source)
{
    char uuid[VIRGA_UUID_SIZE];
    virSecretPtr secret;

    if (!source || !source->passphrase)
        return;
    virga_domain_secret_uuid(source, uuid);
    secret = virSecretLookupByUUIDString(connection, uuid);
    if (secret) {
        virSecretUndefine(secret);
        virSecretFree(secret);
    }
}

bool
libvirt_keep_secrets(virConnectPtr connection, const VirgaDomainDisk *disks, size_t count,
                     GError **error)
{
    for (size_t i = 0; i < count; i++)
        if (!keep_secret(connection, disks[i].source, error))
            return false;
    return true;
}

void
libvirt_drop_secrets(virConnectPtr connection, const VirgaDomainDisk *disks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        drop_secret(connection, disks[i].source);
}
