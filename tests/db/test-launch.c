/* SPDX-License-Identifier: Apache-2.0 */
/* Launching: every row and claim, or none; and what is refused. */
#include "cloud.h"

#include "compute/image.h"
#include "core/error.h"
#include "network/interface.h"
#include "network/security-group.h"
#include "network/subnet.h"
#include "network/vpc.h"
#include "storage/volume.h"

#include <string.h>

/* How many rows each table has, and what hosts and VPCs count: a dry run must not move it. */
static char *
whole_database(Cloud *cloud)
{
    return cloud_text(
        cloud, "SELECT string_agg(t.table_name || '=' || (xpath('/row/c/text()', query_to_xml("
               "'SELECT count(*) AS c FROM ' || quote_ident(t.table_name), true, true, '')))[1],"
               " ' ' ORDER BY t.table_name) || (SELECT string_agg(vcpus_claimed || '/' ||"
               " generation, ' ') FROM host) || (SELECT string_agg(generation::text, ' ')"
               " FROM vpc) FROM information_schema.tables t WHERE t.table_schema = 'public'");
}

static void
test_one(Cloud *cloud, gconstpointer data)
{
    VirgaInstanceSpec spec = cloud_spec(cloud);
    VirgaTag tags[] = { { .key = (char *) "Name", .value = (char *) "x" } };
    VirgaInstance *instance;
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaTxn) txn = NULL;
    VirgaInterface *interface;
    VirgaVolume *volumes;
    const char *ids[2] = { NULL };
    size_t count;

    spec.key_name = "key";
    spec.tags = spec.volume_tags = spec.interface_tags = tags;
    spec.tag_count = spec.volume_tag_count = spec.interface_tag_count = 1;
    ids[0] = cloud_launch(cloud, &spec, 1)[0];
    instance = cloud_instance(cloud, ids[0]);
    g_assert_cmpint(instance->state, ==, VIRGA_INSTANCE_PENDING);
    g_assert_cmpint(instance->wish, ==, VIRGA_WISH_RUN);
    g_assert_cmpstr(instance->host_id, ==, HOST);
    g_assert_cmpstr(instance->key_name, ==, "key");
    g_assert_cmpstr(instance->zone, ==, "us-east-1a");
    g_assert_cmpstr(instance->shutdown_behavior, ==, "stop");
    g_assert_cmpstr(instance->http_tokens, ==, "optional");
    g_assert_cmpint(instance->http_hops, ==, 1);

    txn = virga_db_read(cloud->db, &error);
    virga_interface_list(txn, cloud->arena, ACCOUNT, ids, &interface, &count, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(count, ==, 1);
    g_assert_true(g_str_has_prefix(interface->primary.address, "172.31."));
    g_assert_true(g_str_has_prefix(interface->primary.public_address, "198.18.0."));
    g_assert_cmpstr(interface->group_names[0], ==, "default");
    g_assert_true(interface->delete_on_termination);
    virga_volume_list(txn, cloud->arena, ACCOUNT, NULL, ids, &volumes, &count, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(count, ==, 2);
    for (size_t i = 0; i < count; i++) {
        bool root = g_str_equal(volumes[i].device, "/dev/sda1");

        g_assert_cmpint(volumes[i].size_gib, ==, root ? 2 : 5);
        g_assert_cmpstr(volumes[i].snapshot_id, ==, root ? SNAPSHOT : NULL);
        g_assert_cmpint(volumes[i].delete_on_termination, ==, root);
        g_assert_cmpstr(volumes[i].host_id, ==, HOST);
        g_assert_cmpstr(volumes[i].type, ==, root ? "gp2" : "gp3");
    }
    g_assert_cmpint(cloud_number(cloud, "SELECT count(*) FROM tag"), ==, 4);
    g_assert_cmpint(cloud_number(cloud, "SELECT vcpus_claimed FROM host"), ==, VCPUS);
    g_assert_cmpint(cloud_number(cloud, "SELECT memory_claimed_mib FROM host"), ==, MEMORY);
    cloud_assert_claims(cloud);
}

static void
assert_refused(Cloud *cloud, const VirgaInstanceSpec *spec, const char *noun, VirgaErrorCode code)
{
    const char *before = whole_database(cloud);
    g_autoptr(GError) error = NULL;
    VirgaReservation made;

    g_assert_false(
        virga_instance_create(cloud->db, cloud->config, cloud->arena, spec, &made, NULL, &error));
    if (!virga_error_is(error, noun, code))
        g_error("%s %d instead of %s %d: %s", virga_error_noun(error), error->code, noun, code,
                error->message);
    g_assert_cmpstr(whole_database(cloud), ==, before);
}

static void
test_refusals(Cloud *cloud, gconstpointer data)
{
    static const char *const no_groups[] = { "sg-08000000000000009", NULL };
    static const char *const no_names[] = { "default", "nobody", NULL };
    VirgaTag reserved = { .key = (char *) "aws:x", .value = (char *) "" };
    VirgaDiskSpec disk = { .device = "/dev/sda1", .delete_on_termination = -1 };
    VirgaInstanceSpec good = cloud_spec(cloud), spec;

#define REFUSED(member, value, noun, code)                                                         \
    spec = good;                                                                                   \
    spec.member = value;                                                                           \
    assert_refused(cloud, &spec, noun, VIRGA_ERROR_##code)
    REFUSED(type, "t3.huge", "instance type", INVALID);
    REFUSED(image_id, "ami-08000000000000009", "image", NOT_FOUND);
    REFUSED(account_id, STRANGER, "image", NOT_FOUND); /* it is not public */
    REFUSED(key_name, "nobody", "key pair", NOT_FOUND);
    REFUSED(zone, "us-east-1z", "launch subnet", NOT_FOUND);
    REFUSED(subnet_id, "subnet-08000000000000009", "subnet", NOT_FOUND);
    REFUSED(group_ids, no_groups, "security group", NOT_FOUND);
    REFUSED(group_names, no_names, "security group", NOT_FOUND);
    REFUSED(address, "10.0.0.5", "network interface", INVALID);
    REFUSED(address, "172.31.0.3", "network interface", INVALID);
    REFUSED(address, "172.31.15.255", "network interface", INVALID);
    REFUSED(address, "nonsense", "network interface", INVALID);
    REFUSED(type, "m5.24xlarge", "instance", CAPACITY);
    REFUSED(count_min, 5; spec.count_max = 9, "instance", CAPACITY);

    spec = good;
    spec.tags = &reserved;
    spec.tag_count = 1;
    assert_refused(cloud, &spec, "tag", VIRGA_ERROR_INVALID);
    spec = good;
    spec.disks = &disk;
    spec.disk_count = 1;
    disk.size_gib = 1;
    assert_refused(cloud, &spec, "snapshot", VIRGA_ERROR_INVALID); /* smaller than it */
    disk.size_gib = 20000;
    assert_refused(cloud, &spec, "instance", VIRGA_ERROR_INVALID);
    disk.size_gib = 0;
    disk.snapshot_id = "snap-08000000000000009";
    assert_refused(cloud, &spec, "snapshot", VIRGA_ERROR_NOT_FOUND);
    disk.snapshot_id = FOREIGN;
    assert_refused(cloud, &spec, "snapshot", VIRGA_ERROR_NOT_FOUND);
    disk.snapshot_id = NULL;
    disk.no_device = true;
    assert_refused(cloud, &spec, "instance", VIRGA_ERROR_INVALID); /* without a root */
    disk.no_device = false;
    disk.device = "/dev/sdq";
    assert_refused(cloud, &spec, "instance", VIRGA_ERROR_INVALID); /* of no size */

    cloud_run(cloud, "UPDATE host SET seen = now() - interval '1 hour'");
    assert_refused(cloud, &good, "instance", VIRGA_ERROR_CAPACITY);
    cloud_run(cloud, "UPDATE host SET seen = now(), trouble = 'tired'");
    assert_refused(cloud, &good, "instance", VIRGA_ERROR_CAPACITY);
    cloud_run(cloud, "UPDATE host SET trouble = NULL, disk_free_gib = 0");
    assert_refused(cloud, &good, "instance", VIRGA_ERROR_CAPACITY);
    cloud_run(cloud, "UPDATE host SET disk_free_gib = 9; ");
    cloud_run(cloud, "DELETE FROM public_address");
    assert_refused(cloud, &good, "address", VIRGA_ERROR_CAPACITY);
    good.public_address = 0;
    cloud_launch(cloud, &good, 1);
}

static void
test_address(Cloud *cloud, gconstpointer data)
{
    VirgaInstanceSpec spec = cloud_spec(cloud);

    spec.address = "172.31.0.4";
    cloud_launch(cloud, &spec, 1);
    assert_refused(cloud, &spec, "network interface", VIRGA_ERROR_EXISTS);
    g_assert_cmpstr(cloud_text(cloud, "SELECT host(address) FROM network_interface"), ==,
                    "172.31.0.4");
}

/* Named twice, by id and by name: one membership. */
static void
test_groups(Cloud *cloud, gconstpointer data)
{
    const char *const ids[] = { cloud->group_id, cloud->group_id, NULL };
    const char *const names[] = { "default", "default", NULL };
    VirgaInstanceSpec spec = cloud_spec(cloud);

    spec.group_ids = ids;
    spec.group_names = names;
    cloud_launch(cloud, &spec, 1);
    g_assert_cmpint(cloud_number(cloud, "SELECT count(*) FROM network_interface_group"), ==, 1);
}

static void
test_disks(Cloud *cloud, gconstpointer data)
{
    VirgaDiskSpec disks[] = {
        { .device = "/dev/sda1", .size_gib = 9, .volume_type = "gp3", .delete_on_termination = 0 },
        { .device = "/dev/sdb", .no_device = true, .delete_on_termination = -1 },
        { .device = "/dev/sdc", .size_gib = 1, .delete_on_termination = -1 },
    };
    VirgaInstanceSpec spec = cloud_spec(cloud);

    spec.disks = disks;
    spec.disk_count = G_N_ELEMENTS(disks);
    cloud_launch(cloud, &spec, 1);
    g_assert_cmpstr(cloud_text(cloud, "SELECT string_agg(a.device || ' ' || v.size_gib || ' ' ||"
                                      " v.type || ' ' || a.delete_on_termination || ' ' ||"
                                      " coalesce(v.snapshot_id, ''), ', ' ORDER BY a.device)"
                                      " FROM volume v JOIN volume_attachment a"
                                      " ON a.volume_id = v.id"),
                    ==, "/dev/sda1 9 gp3 false " SNAPSHOT ", /dev/sdc 1 gp2 true ");
}

static void
test_partial(Cloud *cloud, gconstpointer data)
{
    VirgaInstanceSpec spec = cloud_spec(cloud);
    g_autoptr(GError) error = NULL;
    VirgaReservation made;

    spec.count_min = 2;
    spec.count_max = 9; /* there is room for four */
    virga_instance_create(cloud->db, cloud->config, cloud->arena, &spec, &made, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(cloud_number(cloud, "SELECT count(*) FROM instance"), ==, 4);
    g_assert_cmpint(cloud_number(cloud, "SELECT count(DISTINCT launch_index) FROM instance"), ==,
                    4);
    g_assert_cmpint(cloud_number(cloud, "SELECT count(DISTINCT address) FROM network_interface"),
                    ==, 4);
    g_assert_cmpint(cloud_number(cloud, "SELECT max(launch_index) FROM instance"), ==, 3);
    cloud_assert_claims(cloud);
    spec.count_min = spec.count_max = 1;
    spec.request_id = "req-1";
    g_assert_false(
        virga_instance_create(cloud->db, cloud->config, cloud->arena, &spec, &made, NULL, &error));
    g_assert_true(virga_error_is(error, "instance", VIRGA_ERROR_CAPACITY));
    g_assert_nonnull(strstr(error->message, "0 of 8 vCPUs are free, 2 are needed"));
    g_assert_nonnull(strstr(cloud_text(cloud, "SELECT message FROM event WHERE subject = 'req-1'"),
                            "0 of 8 vCPUs"));
}

static void
test_token(Cloud *cloud, gconstpointer data)
{
    VirgaInstanceSpec spec = cloud_spec(cloud);
    g_autoptr(GError) error = NULL;
    VirgaReservation first, second, third;

    spec.client_token = "token";
    spec.request_digest = "digest";
    g_assert_true(
        virga_instance_create(cloud->db, cloud->config, cloud->arena, &spec, &first, NULL, &error));
    g_assert_true(virga_instance_create(cloud->db, cloud->config, cloud->arena, &spec, &second,
                                        NULL, &error));
    g_assert_cmpstr(first.id, ==, second.id);
    g_assert_cmpint((gint64) first.count, ==, 1);
    g_assert_cmpint((gint64) second.count, ==, 0); /* nothing was made */
    g_assert_cmpint(cloud_number(cloud, "SELECT count(*) FROM instance"), ==, 1);
    spec.request_digest = "other";
    assert_refused(cloud, &spec, "client token", VIRGA_ERROR_CONFLICT);

    /* A refused launch does not take its token. */
    spec.client_token = "next";
    spec.type = "t3.huge";
    assert_refused(cloud, &spec, "instance type", VIRGA_ERROR_INVALID);
    spec.type = TYPE;
    g_assert_true(
        virga_instance_create(cloud->db, cloud->config, cloud->arena, &spec, &third, NULL, &error));
    g_assert_cmpstr(first.id, !=, third.id);
}

static void
test_dry_run(Cloud *cloud, gconstpointer data)
{
    VirgaInstanceSpec spec = cloud_spec(cloud);
    const char *before = whole_database(cloud);
    g_autoptr(GError) error = NULL;
    VirgaReservation made = { .id = (char *) "x" };

    spec.dry_run = true;
    spec.client_token = spec.request_digest = "token";
    spec.count_max = 3;
    virga_instance_create(cloud->db, cloud->config, cloud->arena, &spec, &made, NULL, &error);
    g_assert_no_error(error);
    g_assert_null(made.id);
    g_assert_cmpstr(whole_database(cloud), ==, before);
}

/* ---- images and the default VPC, which launches stand on ---- */

static void
test_image(Cloud *cloud, gconstpointer data)
{
    g_autoptr(VirgaTxn) txn = cloud_begin(cloud);
    VirgaImageDevice device = { .device = (char *) "/dev/sda1", .snapshot_id = (char *) SNAPSHOT };
    VirgaImage image = { .account_id = (char *) ACCOUNT,
                         .name = (char *) "image",
                         .architecture = (char *) "x86_64",
                         .boot_mode = (char *) "uefi",
                         .root_device_name = (char *) "/dev/sda1",
                         .devices = &device,
                         .device_count = 1 };
    g_autoptr(GError) error = NULL;
    char *id;

#define IMAGE_REFUSED(noun, code)                                                                  \
    g_assert_false(virga_image_register(txn, cloud->arena, &image, &id, &error));                  \
    g_assert_true(virga_error_is(error, noun, VIRGA_ERROR_##code));                                \
    g_clear_error(&error)
    IMAGE_REFUSED("image", EXISTS);
    image.name = (char *) "second";
    device.snapshot_id = NULL;
    IMAGE_REFUSED("image", INVALID);
    device.snapshot_id = (char *) FOREIGN;
    IMAGE_REFUSED("snapshot", NOT_FOUND);
    device.snapshot_id = (char *) SNAPSHOT;
    image.root_device_name = (char *) "/dev/xvda";
    IMAGE_REFUSED("image", INVALID);
    image.root_device_name = (char *) "/dev/sda1";
    image.name = (char *) "third"; /* what a refusal left goes with the transaction */
    device.size_gib = 1;
    IMAGE_REFUSED("image", INVALID);
    virga_txn_free(g_steal_pointer(&txn)); /* parts of the refused ones may be in it */
    txn = cloud_begin(cloud);
    device.size_gib = 0;
    image.is_public = true;
    g_assert_true(virga_image_register(txn, cloud->arena, &image, &id, &error));
    g_assert_no_error(error);
    g_assert_cmpint(virga_image_get(txn, cloud->arena, STRANGER, id, &error)->devices[0].size_gib,
                    ==, 2);
    g_assert_false(virga_image_deregister(txn, STRANGER, id, &error));
    g_assert_true(virga_error_is(error, "image", VIRGA_ERROR_DENIED));
    g_clear_error(&error);
    g_assert_true(virga_image_deregister(txn, ACCOUNT, id, &error));
    g_assert_null(virga_image_get(txn, cloud->arena, ACCOUNT, id, &error));
    g_assert_true(virga_error_is(error, "image", VIRGA_ERROR_NOT_FOUND));
}

static void
test_vpc(Cloud *cloud, gconstpointer data)
{
    static const char *const more[] = { "us-east-1a", "us-east-1b", "us-east-1c", NULL };
    g_autoptr(VirgaTxn) txn = cloud_begin(cloud);
    g_autoptr(GError) error = NULL;
    VirgaSubnet *subnets;
    VirgaVpc *vpc;
    size_t count;

    g_assert_true(virga_vpc_create_default(txn, ACCOUNT, more, &error));
    g_assert_true(virga_vpc_create_default(txn, ACCOUNT, more, &error));
    g_assert_true(virga_vpc_list(txn, cloud->arena, ACCOUNT, NULL, &vpc, &count, &error));
    g_assert_cmpuint(count, ==, 1);
    g_assert_cmpstr(vpc->cidr, ==, "172.31.0.0/16");
    g_assert_true(virga_subnet_list(txn, cloud->arena, ACCOUNT, NULL, &subnets, &count, &error));
    g_assert_cmpuint(count, ==, 3);
    for (size_t i = 0; i < count; i++) {
        g_assert_cmpint(subnets[i].free_addresses, ==, 4091);
        g_assert_true(subnets[i].map_public && subnets[i].is_default);
        g_assert_cmpstr(subnets[i].cidr, ==,
                        g_str_has_suffix(subnets[i].zone, "a")   ? "172.31.0.0/20"
                        : g_str_has_suffix(subnets[i].zone, "b") ? "172.31.16.0/20"
                                                                 : "172.31.32.0/20");
    }
    g_assert_null(virga_subnet_get(txn, cloud->arena, STRANGER, subnets[0].id, &error));
    g_assert_true(virga_error_is(error, "subnet", VIRGA_ERROR_NOT_FOUND));
}

int
main(int argc, char **argv)
{
    int outcome;

    g_test_init(&argc, &argv, NULL);
    if (!cloud_init())
        return 77;
#define ADD(name, function)                                                                        \
    g_test_add("/launch/" name, Cloud, NULL, cloud_set_up, function, cloud_tear_down)
    ADD("one", test_one);
    ADD("refusals", test_refusals);
    ADD("address", test_address);
    ADD("groups", test_groups);
    ADD("disks", test_disks);
    ADD("partial", test_partial);
    ADD("token", test_token);
    ADD("dry-run", test_dry_run);
    ADD("image", test_image);
    ADD("vpc", test_vpc);
    outcome = g_test_run();
    cloud_end();
    return outcome;
}
