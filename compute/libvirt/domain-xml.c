/* SPDX-License-Identifier: Apache-2.0 */
/* The domain XML of a guest.  Pure; the whole output is a golden file. */
#include "compute/hypervisor.h"

#include "core/id.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdarg.h>
#include <string.h>

#define AGENT_CHANNEL "org.qemu.guest_agent.0"
#define SPARE_PORTS   12 /* PCIe ports for devices that are plugged in later */

/* Adds an element with attributes, name and value in turn, ended by NULL. */
static xmlNode *add(xmlNode *parent, const char *name, ...) G_GNUC_NULL_TERMINATED;

static xmlNode *
add(xmlNode *parent, const char *name, ...)
{
    xmlNode *node = xmlNewChild(parent, NULL, BAD_CAST name, NULL);
    const char *attribute;
    va_list args;

    va_start(args, name);
    while ((attribute = va_arg(args, const char *)))
        xmlNewProp(node, BAD_CAST attribute, BAD_CAST va_arg(args, const char *));
    va_end(args);
    return node;
}

static xmlNode *
add_text(xmlNode *parent, const char *name, const char *text)
{
    return xmlNewTextChild(parent, NULL, BAD_CAST name, BAD_CAST text);
}

static xmlNode *
add_number(xmlNode *parent, const char *name, gint64 number)
{
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, number);

    return add_text(parent, name, text);
}

/* cloud-init takes a guest for an EC2 instance when UUID and serial are equal and begin "ec2". */
static void
add_sysinfo(xmlNode *domain, const char *uuid)
{
    xmlNode *sysinfo = add(domain, "sysinfo", "type", "smbios", NULL);
    xmlNode *system = add(sysinfo, "system", NULL);
    static const char *const entries[] = { "manufacturer", "product", "serial", "uuid" };
    const char *values[] = { "Virga", "Virga instance", uuid, uuid };

    for (size_t i = 0; i < G_N_ELEMENTS(entries); i++)
        xmlNewProp(add_text(system, "entry", values[i]), BAD_CAST "name", BAD_CAST entries[i]);
}

static void
add_os(xmlNode *domain, const VirgaDomainSpec *spec)
{
    xmlNode *os = spec->uefi ? add(domain, "os", "firmware", "efi", NULL) : add(domain, "os", NULL);

    xmlNewProp(add_text(os, "type", "hvm"), BAD_CAST "arch", BAD_CAST "x86_64");
    xmlNewProp(os->children, BAD_CAST "machine", BAD_CAST "q35");
    if (spec->uefi) {
        xmlNode *firmware = add(os, "firmware", NULL);
        add(firmware, "feature", "enabled", "no", "name", "secure-boot", NULL);
    }
    add(os, "boot", "dev", "hd", NULL);
    add(os, "smbios", "mode", "sysinfo", NULL);
}

static void
add_cpu(xmlNode *domain, const char *type)
{
    xmlNode *cpu;

    if (g_str_equal(type, "kvm")) {
        add(domain, "cpu", "mode", "host-model", NULL);
        return;
    }
    /* Emulation: a plain model; "max" would make libvirt compare hundreds of features. */
    cpu = add(domain, "cpu", "mode", "custom", "match", "exact", "check", "none", NULL);
    xmlNewProp(add_text(cpu, "model", "qemu64"), BAD_CAST "fallback", BAD_CAST "allow");
}

static void
add_limit(xmlNode *tune, const char *name, gint64 number)
{
    if (number)
        add_number(tune, name, number);
}

static void
add_limits(xmlNode *disk, const VirgaVolumeLimits *limits)
{
    xmlNode *tune;

    if (!limits->iops && !limits->bytes)
        return;
    tune = add(disk, "iotune", NULL);
    add_limit(tune, "total_bytes_sec", limits->bytes);
    add_limit(tune, "total_iops_sec", limits->iops);
    add_limit(tune, "total_bytes_sec_max", limits->bytes_burst);
    add_limit(tune, "total_iops_sec_max", limits->iops_burst);
    add_limit(tune, "total_bytes_sec_max_length", limits->bytes_burst_s);
    add_limit(tune, "total_iops_sec_max_length", limits->iops_burst_s);
}

static void
add_rbd(xmlNode *disk, const VirgaVolumeSource *source)
{
    g_auto(GStrv) monitors = g_strsplit(source->monitors, ",", -1);
    char uuid[VIRGA_UUID_SIZE];
    xmlNode *node = add(disk, "source", "protocol", "rbd", "name", source->name, NULL);

    for (char **monitor = monitors; *monitor; monitor++) {
        const char *colon = strrchr(*monitor, ':');
        g_autofree char *name =
            g_strndup(*monitor, colon ? (gsize) (colon - *monitor) : strlen(*monitor));

        if (colon)
            add(node, "host", "name", name, "port", colon + 1, NULL);
        else
            add(node, "host", "name", name, NULL);
    }
    virga_domain_secret_uuid(source, uuid);
    node = add(node, "auth", "username", source->user, NULL);
    add(node, "secret", "type", "ceph", "uuid", uuid, NULL);
}

static void
add_nbd(xmlNode *disk, const VirgaVolumeSource *source)
{
    xmlNode *node = add(disk, "source", "protocol", "nbd", "name", VIRGA_SOURCE_EXPORT, NULL);

    add(node, "host", "transport", "unix", "socket", source->name, NULL);
}

/* A file, and what it is opened with if it is encrypted. */
static void
add_file(xmlNode *store, const char *path, const VirgaVolumeSource *source)
{
    xmlNode *node = add(store, "source", "file", path, NULL);
    char uuid[VIRGA_UUID_SIZE];

    if (!source || !source->passphrase)
        return;
    virga_domain_secret_uuid(source, uuid);
    node = add(node, "encryption", "format", "luks", "engine", "qemu", NULL);
    add(node, "secret", "type", "passphrase", "uuid", uuid, NULL);
}

/* What an encrypted file stands on libvirt does not find out by itself. */
static void
add_files(xmlNode *disk, const VirgaVolumeSource *source)
{
    xmlNode *store = disk;

    add_file(disk, source->name, source);
    for (char **below = source->below; below && *below; below++) {
        store = add(store, "backingStore", "type", "file", NULL);
        add(store, "format", "type", "qcow2", NULL);
        add_file(store, *below, source);
    }
    if (source->below)
        add(store, "backingStore", NULL);
}

static void
add_disk(xmlNode *devices, const VirgaDomainDisk *disk)
{
    bool file = disk->source->kind == VIRGA_SOURCE_FILE;
    bool nbd = disk->source->kind == VIRGA_SOURCE_NBD;
    xmlNode *node = add(devices, "disk", "type", file ? "file" : "network", "device", "disk", NULL);

    /* A guest whose export's daemon has ended stands still until there is another one. */
    add(node, "driver", "name", "qemu", "type", file ? "qcow2" : "raw", "cache", "none", "discard",
        "unmap", "error_policy", nbd ? "stop" : "enospace", NULL);
    if (file)
        add_files(node, disk->source);
    else if (disk->source->kind == VIRGA_SOURCE_RBD)
        add_rbd(node, disk->source);
    else
        add_nbd(node, disk->source);
    add(node, "target", "dev", disk->target, "bus", "virtio", NULL);
    add_limits(node, &disk->limits);
    add_text(node, "serial", disk->serial);
}

/* The tap is made and moved by the network driver: libvirt only opens it. */
static void
add_port(xmlNode *devices, const VirgaDomainPort *port)
{
    xmlNode *node = add(devices, "interface", "type", "ethernet", NULL);

    add(node, "mac", "address", port->mac, NULL);
    add(node, "target", "dev", port->tap, "managed", "no", NULL);
    add(node, "model", "type", "virtio", NULL);
    add(node, "rom", "enabled", "no", NULL);
}

static void
add_devices(xmlNode *domain, const VirgaDomainSpec *spec)
{
    xmlNode *devices = add(domain, "devices", NULL);
    xmlNode *node;

    add_text(devices, "emulator", "/usr/bin/qemu-system-x86_64");
    add(devices, "controller", "type", "usb", "model", "none", NULL);
    add(devices, "controller", "type", "pci", "index", "0", "model", "pcie-root", NULL);
    for (int i = 0; i < SPARE_PORTS; i++)
        add(devices, "controller", "type", "pci", "model", "pcie-root-port", NULL);
    for (size_t i = 0; i < spec->disk_count; i++)
        add_disk(devices, &spec->disks[i]);
    for (size_t i = 0; i < spec->port_count; i++)
        add_port(devices, &spec->ports[i]);
    node = add(devices, "serial", "type", "file", NULL);
    add(node, "source", "path", spec->console_path, "append", "on", NULL);
    add(node, "target", "type", "isa-serial", "port", "0", NULL);
    node = add(devices, "channel", "type", "unix", NULL);
    add(node, "target", "type", "virtio", "name", AGENT_CHANNEL, NULL);
    node = add(devices, "graphics", "type", "vnc", NULL);
    add(node, "listen", "type", "socket", NULL);
    node = add(devices, "video", NULL);
    add(node, "model", "type", "vga", NULL);
    node = add(devices, "rng", "model", "virtio", NULL);
    add(node, "backend", "model", "builtin",
        NULL); /* QEMU's own: no device of the host is opened */
    add(devices, "memballoon", "model", "virtio", NULL);
}

static void
fill_domain(xmlNode *domain, const VirgaDomainSpec *spec, const char *type)
{
    char uuid[VIRGA_UUID_SIZE] = "";
    xmlNode *node;

    virga_id_to_uuid(spec->id, uuid);
    xmlNewProp(domain, BAD_CAST "type", BAD_CAST type);
    add_text(domain, "name", spec->id);
    add_text(domain, "uuid", uuid);
    xmlNewProp(add_number(domain, "memory", spec->memory_mib), BAD_CAST "unit", BAD_CAST "MiB");
    add_number(domain, "vcpu", spec->vcpus);
    add_os(domain, spec);
    add_sysinfo(domain, uuid);
    node = add(domain, "features", NULL);
    add(node, "acpi", NULL);
    add(node, "apic", NULL);
    add_cpu(domain, type);
    add(domain, "clock", "offset", "utc", NULL);
    add_text(domain, "on_poweroff", "destroy");
    add_text(domain, "on_reboot", "restart");
    add_text(domain, "on_crash", "destroy");
    add_devices(domain, spec);
}

static char *
text_of(xmlDoc *document, xmlNode *node)
{
    xmlBuffer *buffer = xmlBufferCreate();
    char *text;

    xmlNodeDump(buffer, document, node, 0, 1);
    text = g_strdup((const char *) xmlBufferContent(buffer));
    xmlBufferFree(buffer);
    return text;
}

char *
virga_domain_xml(const VirgaDomainSpec *spec, const char *type)
{
    xmlDoc *document = xmlNewDoc(BAD_CAST "1.0");
    xmlNode *domain = xmlNewDocNode(document, NULL, BAD_CAST "domain", NULL);
    char *text;

    xmlDocSetRootElement(document, domain);
    fill_domain(domain, spec, type);
    text = text_of(document, domain);
    xmlFreeDoc(document);
    return text;
}

char *
virga_domain_cut_xml(const VirgaDomainDisk *disks, size_t count)
{
    xmlDoc *document = xmlNewDoc(BAD_CAST "1.0");
    xmlNode *cut = xmlNewDocNode(document, NULL, BAD_CAST "domainsnapshot", NULL);
    xmlNode *list;
    char *text;

    xmlDocSetRootElement(document, cut);
    list = add(cut, "disks", NULL);
    for (size_t i = 0; i < count; i++) {
        xmlNode *disk = add(list, "disk", "name", disks[i].target, "snapshot",
                            disks[i].layer ? "external" : "no", NULL);

        if (!disks[i].layer)
            continue;
        xmlNewProp(disk, BAD_CAST "type", BAD_CAST "file");
        add(disk, "driver", "type", "qcow2", NULL);
        add_file(disk, disks[i].layer, disks[i].source);
    }
    text = text_of(document, cut);
    xmlFreeDoc(document);
    return text;
}

void
virga_domain_secret_uuid(const VirgaVolumeSource *source, char uuid[static VIRGA_UUID_SIZE])
{
    g_autofree char *text = NULL, *hash = NULL;

    if (source->passphrase) {
        virga_id_to_uuid(source->volume_id, uuid);
        return;
    }
    text = g_strjoin(" ", "cephx", source->user, source->monitors, NULL);
    hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
    /* Digits 13 and 17 say which kind of UUID it is: one whose maker decides on the rest. */
    g_snprintf(uuid, VIRGA_UUID_SIZE, "%.8s-%.4s-8%.3s-8%.3s-%.12s", hash, hash + 8, hash + 12,
               hash + 15, hash + 18);
}

char *
virga_domain_secret_xml(const VirgaVolumeSource *source)
{
    xmlDoc *document = xmlNewDoc(BAD_CAST "1.0");
    xmlNode *secret = xmlNewDocNode(document, NULL, BAD_CAST "secret", NULL);
    char uuid[VIRGA_UUID_SIZE];
    g_autofree char *usage = NULL;
    char *text;

    virga_domain_secret_uuid(source, uuid);
    xmlDocSetRootElement(document, secret);
    xmlNewProp(secret, BAD_CAST "ephemeral", BAD_CAST "yes");
    xmlNewProp(secret, BAD_CAST "private", BAD_CAST "yes");
    add_text(secret, "uuid", uuid);
    if (source->passphrase) {
        add_text(add(secret, "usage", "type", "volume", NULL), "volume", source->volume_id);
    } else {
        usage = g_strdup_printf("virga %s %s", source->user, uuid);
        add_text(add(secret, "usage", "type", "ceph", NULL), "name", usage);
    }
    text = text_of(document, secret);
    xmlFreeDoc(document);
    return text;
}

/* One device's text, made by a function that adds it to others. */
static char *
device_xml(void (*add_device)(xmlNode *devices, const void *device), const void *device)
{
    xmlDoc *document = xmlNewDoc(BAD_CAST "1.0");
    xmlNode *devices = xmlNewDocNode(document, NULL, BAD_CAST "devices", NULL);
    char *text;

    xmlDocSetRootElement(document, devices);
    add_device(devices, device);
    text = text_of(document, devices->children);
    xmlFreeDoc(document);
    return text;
}

static void
add_any_port(xmlNode *devices, const void *port)
{
    add_port(devices, port);
}

static void
add_any_disk(xmlNode *devices, const void *disk)
{
    add_disk(devices, disk);
}

char *
virga_domain_port_xml(const VirgaDomainPort *port)
{
    return device_xml(add_any_port, port);
}

char *
virga_domain_disk_xml(const VirgaDomainDisk *disk)
{
    return device_xml(add_any_disk, disk);
}

static const xmlNode *
child(const xmlNode *parent, const char *name)
{
    for (const xmlNode *node = parent ? parent->children : NULL; node; node = node->next)
        if (node->type == XML_ELEMENT_NODE && g_str_equal((const char *) node->name, name))
            return node;
    return NULL;
}

/* Adds an attribute of an element to a list; "" without. */
static void
take_attribute(GPtrArray *list, const xmlNode *node, const char *name)
{
    xmlChar *value = node ? xmlGetProp((xmlNode *) node, BAD_CAST name) : NULL;

    g_ptr_array_add(list, g_strdup(value ? (const char *) value : ""));
    xmlFree(value);
}

static void
take_text(GPtrArray *list, const xmlNode *node)
{
    xmlChar *value = node ? xmlNodeGetContent((xmlNode *) node) : NULL;

    g_ptr_array_add(list, g_strdup(value ? (const char *) value : ""));
    xmlFree(value);
}

static xmlDoc *
parse(const char *xml)
{
    return xmlReadMemory(xml, (int) strlen(xml), NULL, NULL,
                         XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
}

char **
virga_domain_xml_devices(const char *xml, VirgaDeviceKind kind, char ***ret_aliases)
{
    const char *element = kind == VIRGA_DEVICE_PORT ? "interface" : "disk";
    xmlDoc *document = parse(xml);
    const xmlNode *devices = document ? child(xmlDocGetRootElement(document), "devices") : NULL;
    g_autoptr(GPtrArray) keys = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) aliases = g_ptr_array_new_with_free_func(g_free);

    for (const xmlNode *node = devices ? devices->children : NULL; node; node = node->next) {
        if (node->type != XML_ELEMENT_NODE || !g_str_equal((const char *) node->name, element))
            continue;
        if (kind == VIRGA_DEVICE_PORT)
            take_attribute(keys, child(node, "mac"), "address");
        else
            take_text(keys, child(node, "serial"));
        take_attribute(aliases, child(node, "alias"), "name");
    }
    if (document)
        xmlFreeDoc(document);
    if (!devices)
        return NULL;
    g_ptr_array_add(keys, NULL);
    g_ptr_array_add(aliases, NULL);
    if (ret_aliases)
        *ret_aliases = (char **) g_ptr_array_free(g_steal_pointer(&aliases), FALSE);
    return (char **) g_ptr_array_free(g_steal_pointer(&keys), FALSE);
}

/* The files of a disk and of what it stands on. */
static char **
layers_of(const xmlNode *disk)
{
    g_autoptr(GPtrArray) layers = g_ptr_array_new_with_free_func(g_free);

    for (const xmlNode *store = disk; child(store, "source"); store = child(store, "backingStore"))
        take_attribute(layers, child(store, "source"), "file");
    g_ptr_array_add(layers, NULL);
    return (char **) g_ptr_array_free(g_steal_pointer(&layers), FALSE);
}

char *
virga_domain_xml_disk(const char *xml, const char *serial, char ***ret_layers)
{
    xmlDoc *document = parse(xml);
    const xmlNode *devices = document ? child(xmlDocGetRootElement(document), "devices") : NULL;
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func(g_free);
    char *target = NULL;

    for (const xmlNode *node = devices ? devices->children : NULL; node && !target;
         node = node->next) {
        if (node->type != XML_ELEMENT_NODE || !g_str_equal((const char *) node->name, "disk"))
            continue;
        g_ptr_array_set_size(found, 0);
        take_text(found, child(node, "serial"));
        take_attribute(found, child(node, "target"), "dev");
        if (!g_str_equal(found->pdata[0], serial))
            continue;
        target = g_strdup(found->pdata[1]);
        *ret_layers = layers_of(node);
    }
    if (document)
        xmlFreeDoc(document);
    return target;
}

bool
virga_domain_xml_has_agent(const char *xml)
{
    xmlDoc *document = parse(xml);
    const xmlNode *devices = document ? child(xmlDocGetRootElement(document), "devices") : NULL;
    bool found = false;

    for (const xmlNode *node = devices ? devices->children : NULL; node && !found;
         node = node->next) {
        g_autoptr(GPtrArray) values = g_ptr_array_new_with_free_func(g_free);

        if (node->type != XML_ELEMENT_NODE || !g_str_equal((const char *) node->name, "channel"))
            continue;
        take_attribute(values, child(node, "target"), "name");
        take_attribute(values, child(node, "target"), "state");
        found = g_str_equal(values->pdata[0], AGENT_CHANNEL) &&
                g_str_equal(values->pdata[1], "connected");
    }
    if (document)
        xmlFreeDoc(document);
    return found;
}

char *
virga_domain_xml_free_target(const char *xml)
{
    xmlDoc *document = parse(xml);
    const xmlNode *devices = document ? child(xmlDocGetRootElement(document), "devices") : NULL;
    g_autoptr(GPtrArray) targets = g_ptr_array_new_with_free_func(g_free);
    char target[] = "vda";

    for (const xmlNode *node = devices ? devices->children : NULL; node; node = node->next)
        if (node->type == XML_ELEMENT_NODE && g_str_equal((const char *) node->name, "disk"))
            take_attribute(targets, child(node, "target"), "dev");
    if (document)
        xmlFreeDoc(document);
    while (target[2] < 'z' && g_ptr_array_find_with_equal_func(targets, target, g_str_equal, NULL))
        target[2]++;
    return g_strdup(target);
}
