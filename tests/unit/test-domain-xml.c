/* SPDX-License-Identifier: Apache-2.0 */
/* Domain XML: golden files, libvirt's own schema where its tool is here, and odd characters. */
#include "golden.h"

#include "compute/hypervisor.h"
#include "core/id.h"
#include "core/process.h"

#include <glib/gstdio.h>
#include <libxml/parser.h>
#include <libxml/tree.h>

#define GUEST "i-0b234567890abcdef"

static const VirgaVolumeSource sources[] = {
    { .name = (char *) "/var/lib/virga/volumes/vol-08000000000000001.qcow2" },
    { .name = (char *) "/var/lib/virga/volumes/vol-08000000000000002.qcow2" },
    { .name = (char *) "/var/lib/virga/volumes/vol-08000000000000003.qcow2" },
    { .kind = VIRGA_SOURCE_RBD,
      .name = (char *) "virga/vol-08000000000000004",
      .monitors = (char *) "10.0.0.1:3300,10.0.0.2:3300",
      .user = (char *) "virga",
      .key = (char *) "c2VjcmV0" },
    { .kind = VIRGA_SOURCE_NBD, .name = (char *) "/run/virga/nbd/vol-08000000000000005" },
    { .name = (char *) "/var/lib/virga/volumes/vol-08000000000000006.layers/1.snap.qcow2",
      .below = (char *[]){ (char *) "/var/lib/virga/volumes/vol-08000000000000006.qcow2",
                           (char *) "/var/lib/virga/images/snap.qcow2", NULL },
      .volume_id = (char *) "vol-08000000000000006",
      .passphrase = (char *) "never to be seen" },
};
static const VirgaDomainDisk disks[] = {
    { .source = &sources[0], .serial = "vol08000000000000001", .target = "vda" },
    { .source = &sources[1],
      .serial = "vol08000000000000002",
      .target = "vdb",
      .limits = { .iops = 100, .iops_burst = 3000, .iops_burst_s = 1862, .bytes = 134217728 } },
    { .source = &sources[2], .serial = "vol08000000000000003", .target = "vdc" },
    { .source = &sources[3], .serial = "vol08000000000000004", .target = "vdd" },
    { .source = &sources[4], .serial = "vol08000000000000005", .target = "vde" },
    { .source = &sources[5], .serial = "vol08000000000000006", .target = "vdf" },
};
static const VirgaDomainPort ports[] = { { "02:00:00:00:00:01", "vvga00000001" },
                                         { "02:00:00:00:00:02", "vvga00000002" } };

static VirgaDomainSpec
bios(void)
{
    return (VirgaDomainSpec){ .id = GUEST,
                              .vcpus = 1,
                              .memory_mib = 128,
                              .disks = disks,
                              .disk_count = 1,
                              .ports = ports,
                              .port_count = 1,
                              .console_path = "/var/lib/virga/console/" GUEST ".log" };
}

static VirgaDomainSpec
uefi(void)
{
    VirgaDomainSpec spec = bios();

    spec.vcpus = 4;
    spec.memory_mib = 16384;
    spec.uefi = true;
    spec.disk_count = G_N_ELEMENTS(disks);
    spec.port_count = G_N_ELEMENTS(ports);
    return spec;
}

static void
validate(const char *xml)
{
    g_autofree char *tool = g_find_program_in_path("virt-xml-validate");
    g_autofree char *path = NULL;
    g_autoptr(GError) error = NULL;
    int fd = tool ? g_file_open_tmp("virga-domain-XXXXXX", &path, NULL) : -1;
    const char *argv[] = { tool, path, "domain", NULL };
    bool valid;

    if (!tool) {
        g_test_message("virt-xml-validate is not here");
        return;
    }
    g_assert_true(g_file_set_contents(path, xml, -1, NULL));
    valid = virga_process_run(argv, NULL, 30000, NULL, &error);
    g_unlink(path);
    g_close(fd, NULL);
    g_assert_no_error(error);
    g_assert_true(valid);
}

static void
test_bios_qemu(void)
{
    VirgaDomainSpec spec = bios();
    g_autofree char *xml = virga_domain_xml(&spec, "qemu");

    golden_assert("compute/domain-bios-qemu.xml", xml);
    validate(xml);
}

static void
test_uefi_kvm(void)
{
    VirgaDomainSpec spec = uefi();
    g_autofree char *xml = virga_domain_xml(&spec, "kvm");

    golden_assert("compute/domain-uefi-kvm.xml", xml);
    validate(xml);
}

/* No disk, no port: nothing stands for what is not there. */
static void
test_bare(void)
{
    VirgaDomainSpec spec = bios();
    g_autofree char *xml = NULL;

    spec.disk_count = spec.port_count = 0;
    xml = virga_domain_xml(&spec, "kvm");
    g_assert_null(strstr(xml, "<disk"));
    g_assert_null(strstr(xml, "<interface"));
    validate(xml);
}

/* cloud-init takes a guest for EC2's by these. */
static void
test_identity(void)
{
    VirgaDomainSpec spec = bios();
    g_autofree char *xml = virga_domain_xml(&spec, "qemu");
    char uuid[VIRGA_UUID_SIZE];
    g_autofree char *serial = NULL, *entry = NULL, *top = NULL;

    g_assert_true(virga_id_to_uuid(GUEST, uuid));
    g_assert_true(g_str_has_prefix(uuid, "ec2"));
    serial = g_strdup_printf("<entry name=\"serial\">%s</entry>", uuid);
    entry = g_strdup_printf("<entry name=\"uuid\">%s</entry>", uuid);
    top = g_strdup_printf("<uuid>%s</uuid>", uuid);
    g_assert_nonnull(strstr(xml, serial));
    g_assert_nonnull(strstr(xml, entry));
    g_assert_nonnull(strstr(xml, top));
}

static xmlNode *
find(xmlNode *node, const char *name)
{
    for (; node; node = node->next) {
        xmlNode *below;

        if (xmlStrEqual(node->name, BAD_CAST name))
            return node;
        below = find(node->children, name);
        if (below)
            return below;
    }
    return NULL;
}

/* The attribute of the element's source. */
static void
assert_attribute(xmlNode *element, const char *name, const char *want)
{
    xmlChar *value = xmlGetProp(find(element->children, "source"), BAD_CAST name);

    g_assert_cmpstr((const char *) value, ==, want);
    xmlFree(value);
}

/* A path may hold anything: it comes out of the XML as it went in. */
static void
test_odd_characters(void)
{
    static const char odd[] = "/srv/a&b <c> \"d\" 'e' \u00fc/x";
    VirgaVolumeSource source = { .name = (char *) odd };
    VirgaDomainDisk disk = { .source = &source, .serial = "vol<&>", .target = "vda" };
    VirgaDomainSpec spec = bios();
    g_autofree char *xml = NULL;
    xmlDoc *document;
    xmlNode *device;
    xmlChar *serial;

    spec.disks = &disk;
    spec.console_path = odd;
    xml = virga_domain_xml(&spec, "qemu");
    document = xmlReadMemory(xml, (int) strlen(xml), "domain", NULL, XML_PARSE_NONET);
    g_assert_nonnull(document);
    assert_attribute(find(xmlDocGetRootElement(document), "disk"), "file", odd);
    for (device = find(xmlDocGetRootElement(document), "interface"); device; device = device->next)
        if (xmlStrEqual(device->name, BAD_CAST "serial"))
            break;
    assert_attribute(device, "path", odd);
    serial = xmlNodeGetContent(find(find(xmlDocGetRootElement(document), "disk"), "serial"));
    g_assert_cmpstr((const char *) serial, ==, "vol<&>");
    xmlFree(serial);
    xmlFreeDoc(document);
}

static void
test_layers(void)
{
    static const char xml[] =
        "<domain><devices><disk><source file='/a.2'/><backingStore type='file'><source "
        "file='/a.1'/>"
        "<backingStore><source file='/a'/><backingStore/></backingStore></backingStore>"
        "<target dev='vdb'/><serial>vol1</serial></disk>"
        "<disk><source file='/b'/><target dev='vdc'/><serial>vol2</serial></disk></devices>"
        "</domain>";
    g_auto(GStrv) first = NULL, second = NULL, none = NULL;
    g_autofree char *target = virga_domain_xml_disk(xml, "vol1", &first);
    g_autofree char *other = virga_domain_xml_disk(xml, "vol2", &second);
    g_autofree char *missing = virga_domain_xml_disk(xml, "vol3", &none);
    g_autofree char *all = g_strjoinv(" ", first);

    g_assert_cmpstr(target, ==, "vdb");
    g_assert_cmpstr(all, ==, "/a.2 /a.1 /a");
    g_assert_cmpstr(other, ==, "vdc");
    g_assert_cmpuint(g_strv_length(second), ==, 1);
    g_assert_true(!missing && !none);
    g_assert_null(virga_domain_xml_disk("<domain", "vol1", &none));
}

static void
test_cut(void)
{
    static const VirgaDomainDisk cut[] = {
        { .layer = "/x&y.qcow2", .target = "vda" },
        { .target = "vdb" },
        { .layer = "/z.qcow2", .target = "vdc", .source = &sources[5] }
    };
    g_autofree char *xml = virga_domain_cut_xml(cut, G_N_ELEMENTS(cut));
    g_autoptr(GRegex) space = g_regex_new(">\\s+<", 0, 0, NULL);
    g_autofree char *dense = g_regex_replace_literal(space, xml, -1, 0, "><", 0, NULL);

    g_assert_cmpstr(dense, ==,
                    "<domainsnapshot><disks>"
                    "<disk name=\"vda\" snapshot=\"external\" type=\"file\">"
                    "<driver type=\"qcow2\"/><source file=\"/x&amp;y.qcow2\"/></disk>"
                    "<disk name=\"vdb\" snapshot=\"no\"/>"
                    "<disk name=\"vdc\" snapshot=\"external\" type=\"file\">"
                    "<driver type=\"qcow2\"/><source file=\"/z.qcow2\">"
                    "<encryption format=\"luks\" engine=\"qemu\"><secret type=\"passphrase\" "
                    "uuid=\"ec200000-0000-4000-8000-000000000006\"/></encryption></source></disk>"
                    "</disks></domainsnapshot>");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/domain-xml/bios-qemu", test_bios_qemu);
    g_test_add_func("/domain-xml/uefi-kvm", test_uefi_kvm);
    g_test_add_func("/domain-xml/bare", test_bare);
    g_test_add_func("/domain-xml/identity", test_identity);
    g_test_add_func("/domain-xml/odd-characters", test_odd_characters);
    g_test_add_func("/domain-xml/layers", test_layers);
    g_test_add_func("/domain-xml/cut", test_cut);
    return g_test_run();
}
