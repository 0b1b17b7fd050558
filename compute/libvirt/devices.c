/* SPDX-License-Identifier: Apache-2.0 */
/* Devices of domains: plugged in and out, tuned, and disks cut into layers and joined again. */
#include "libvirt-priv.h"

#include "core/arena.h"
#include "core/error.h"

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

static char **
read_devices(virDomainPtr domain, const char *id, VirgaDeviceKind kind, char ***ret_aliases,
             GError **error)
{
    char *xml = libvirt_read_xml(domain, id, error);
    char **keys = xml ? virga_domain_xml_devices(xml, kind, ret_aliases) : NULL;

    if (xml && !keys)
        virga_fail(error, "domain", VIRGA_ERROR_INTERNAL, "libvirt's XML of %s is none", id);
    free(xml);
    return keys;
}

char **
libvirt_devices(VirgaHypervisor *hypervisor, const char *id, VirgaDeviceKind kind, GError **error)
{
    virDomainPtr domain = libvirt_need_domain(hypervisor, id, error);
    char **keys = domain ? read_devices(domain, id, kind, NULL, error) : NULL;

    if (domain)
        virDomainFree(domain);
    return keys;
}

bool
libvirt_attach_port(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainPort *port,
                    GError **error)
{
    virDomainPtr domain = libvirt_need_domain(hypervisor, id, error);
    g_autofree char *xml = virga_domain_port_xml(port);
    bool done;

    if (!domain)
        return false;
    done = virDomainAttachDeviceFlags(domain, xml, VIR_DOMAIN_AFFECT_LIVE) == 0 ||
           libvirt_fail(error, "plug a network interface into", id);
    virDomainFree(domain);
    return done;
}

bool
libvirt_attach_disk(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainDisk *disk,
                    GError **error)
{
    virDomainPtr domain = libvirt_need_domain(hypervisor, id, error);
    char *is = domain ? libvirt_read_xml(domain, id, error) : NULL;
    g_autofree char *target = is ? virga_domain_xml_free_target(is) : NULL;
    VirgaDomainDisk device = {
        .source = disk->source, .serial = disk->serial, .target = target, .limits = disk->limits
    };
    g_autofree char *xml = target ? virga_domain_disk_xml(&device) : NULL;
    bool done = xml && libvirt_keep_secrets(virDomainGetConnect(domain), disk, 1, error) &&
                (virDomainAttachDeviceFlags(domain, xml, VIR_DOMAIN_AFFECT_LIVE) == 0 ||
                 libvirt_fail(error, "plug a disk into", id));

    if (xml)
        libvirt_drop_secrets(virDomainGetConnect(domain), disk, 1);
    free(is);
    if (domain)
        virDomainFree(domain);
    return done;
}

/* QEMU refuses to ask again while the guest is still thinking about it. */
static bool
is_thinking(void)
{
    virErrorPtr reason = virGetLastError();

    return reason && reason->message && strstr(reason->message, "in the process of unplug");
}

/* A disk whose layers are being joined can be neither unplugged nor cut.  What is left of it is
 * done later. */
static void
stop_joining(virDomainPtr domain, const char *xml, const char *key)
{
    g_auto(GStrv) layers = NULL;
    g_autofree char *target = virga_domain_xml_disk(xml, key, &layers);
    virDomainBlockJobInfo job;

    if (target && virDomainGetBlockJobInfo(domain, target, &job, 0) == 1)
        virDomainBlockJobAbort(domain, target, 0);
}

bool
libvirt_detach(VirgaHypervisor *hypervisor, const char *id, VirgaDeviceKind kind, const char *key,
               GError **error)
{
    virDomainPtr domain = libvirt_need_domain(hypervisor, id, error);
    g_auto(GStrv) aliases = NULL;
    g_auto(GStrv) keys = domain ? read_devices(domain, id, kind, &aliases, error) : NULL;
    bool done = keys != NULL;

    if (done && kind == VIRGA_DEVICE_DISK) {
        char *xml = libvirt_read_xml(domain, id, NULL);

        if (xml)
            stop_joining(domain, xml, key);
        free(xml);
    }
    for (size_t i = 0; done && keys[i]; i++)
        if (g_ascii_strcasecmp(keys[i], key) == 0)
            done = virDomainDetachDeviceAlias(domain, aliases[i], VIR_DOMAIN_AFFECT_LIVE) == 0 ||
                   is_thinking() || libvirt_fail(error, "unplug a device from", id);
    if (domain)
        virDomainFree(domain);
    return done;
}

static const VirgaDomainDisk *
find_disk(const VirgaDomainDisk *disks, size_t count, const char *serial)
{
    for (size_t i = 0; i < count; i++)
        if (g_str_equal(disks[i].serial, serial))
            return &disks[i];
    return NULL;
}

/* The XML of the moment, which names every disk of the domain; NULL: none is to be moved. */
static char *
cut_xml(const char *xml, const VirgaDomainDisk *disks, size_t count)
{
    g_auto(GStrv) serials = virga_domain_xml_devices(xml, VIRGA_DEVICE_DISK, NULL);
    size_t serial_count = serials ? g_strv_length(serials) : 0, moved = 0;
    g_autoptr(VirgaArena) arena = virga_arena_new();
    VirgaDomainDisk *all = virga_arena_new_array(arena, VirgaDomainDisk, serial_count);

    for (size_t i = 0; i < serial_count; i++) {
        const VirgaDomainDisk *disk = find_disk(disks, count, serials[i]);
        g_auto(GStrv) layers = NULL;
        g_autofree char *target = virga_domain_xml_disk(xml, serials[i], &layers);

        all[i].target = virga_arena_strdup(arena, target);
        if (disk && layers && !g_strv_contains((const char *const *) layers, disk->layer)) {
            all[i].layer = disk->layer;
            all[i].source = disk->source;
            moved++;
        }
    }
    return moved ? virga_domain_cut_xml(all, serial_count) : NULL;
}

bool
libvirt_cut(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainDisk *disks, size_t count,
            GError **error)
{
    const unsigned flags =
        VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT |
        VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA | VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC;
    virDomainPtr domain = libvirt_need_domain(hypervisor, id, error);
    char *is = domain ? libvirt_read_xml(domain, id, error) : NULL;
    g_autofree char *xml = is ? cut_xml(is, disks, count) : NULL;
    virDomainSnapshotPtr cut = NULL;
    bool done;

    for (size_t i = 0; xml && i < count; i++)
        stop_joining(domain, is, disks[i].serial);
    done = is && (!xml || libvirt_keep_secrets(virDomainGetConnect(domain), disks, count, error));
    if (done && xml) {
        cut = virDomainSnapshotCreateXML(domain, xml, flags);
        done = cut || libvirt_fail(error, "cut the disks of", id);
    }
    if (xml)
        libvirt_drop_secrets(virDomainGetConnect(domain), disks, count);
    if (cut)
        virDomainSnapshotFree(cut);
    free(is);
    if (domain)
        virDomainFree(domain);
    return done;
}

/* Whatever is not limited is said to be so: it may have been. */
static bool
set_limits(virDomainPtr domain, const char *id, const char *target, const VirgaVolumeLimits *limits,
           GError **error)
{
    const struct {
        const char *name;
        gint64 value;
    } all[] = {
        { VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC, limits->bytes },
        { VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_IOPS_SEC, limits->iops },
        { VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC_MAX, limits->bytes_burst },
        { VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_IOPS_SEC_MAX, limits->iops_burst },
        { VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC_MAX_LENGTH, limits->bytes_burst_s },
        { VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_IOPS_SEC_MAX_LENGTH, limits->iops_burst_s },
    };
    virTypedParameterPtr parameters = NULL;
    int count = 0, capacity = 0;
    bool done = true;

    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        if (virTypedParamsAddULLong(&parameters, &count, &capacity, all[i].name,
                                    (unsigned long long) all[i].value) < 0)
            done = libvirt_fail(error, "limit a disk of", id);
    done = done && (virDomainSetBlockIoTune(domain, target, parameters, count,
                                            VIR_DOMAIN_AFFECT_LIVE) == 0 ||
                    libvirt_fail(error, "limit a disk of", id));
    virTypedParamsFree(parameters, count);
    return done;
}

static bool
grow(virDomainPtr domain, const char *id, const char *target, gint64 size_gib, GError **error)
{
    unsigned long long bytes = (unsigned long long) size_gib << 30;
    virDomainBlockInfo info;

    if (virDomainGetBlockInfo(domain, target, &info, 0) < 0)
        return libvirt_fail(error, "look at a disk of", id);
    return info.capacity >= bytes ||
           virDomainBlockResize(domain, target, bytes, VIR_DOMAIN_BLOCK_RESIZE_BYTES) == 0 ||
           libvirt_fail(error, "enlarge a disk of", id);
}

bool
libvirt_tune(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainDisk *disks,
             size_t count, GError **error)
{
    virDomainPtr domain = libvirt_need_domain(hypervisor, id, error);
    char *xml = domain ? libvirt_read_xml(domain, id, error) : NULL;
    bool done = xml != NULL;

    for (size_t i = 0; done && i < count; i++) {
        g_auto(GStrv) layers = NULL;
        g_autofree char *target = virga_domain_xml_disk(xml, disks[i].serial, &layers);

        done = !target || (grow(domain, id, target, disks[i].size_gib, error) &&
                           set_limits(domain, id, target, &disks[i].limits, error));
    }
    free(xml);
    if (domain)
        virDomainFree(domain);
    return done;
}

/* A job that has ended is gone, and its layer with it. */
static bool
join_layers(virDomainPtr domain, const char *id, const char *target, const char *layer,
            const char *below, GError **error)
{
    virDomainBlockJobInfo job;
    int running = virDomainGetBlockJobInfo(domain, target, &job, 0);

    return running == 1 ||
           (running == 0 && virDomainBlockCommit(domain, target, below, layer, 0, 0) == 0) ||
           libvirt_fail(error, "join layers of", id);
}

bool
libvirt_join(VirgaHypervisor *hypervisor, const char *id, const char *key, const char *layer,
             const char *below, bool *ret_done, GError **error)
{
    virDomainPtr domain = libvirt_need_domain(hypervisor, id, error);
    char *xml = domain ? libvirt_read_xml(domain, id, error) : NULL;
    g_auto(GStrv) layers = NULL;
    g_autofree char *target = xml ? virga_domain_xml_disk(xml, key, &layers) : NULL;
    bool done = xml != NULL;

    *ret_done = done && !(layers && g_strv_contains((const char *const *) layers, layer));
    if (done && !*ret_done)
        done = join_layers(domain, id, target, layer, below, error);
    free(xml);
    if (domain)
        virDomainFree(domain);
    return done;
}
