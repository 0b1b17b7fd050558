/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud.h"

#include "compute/image.h"
#include "core/account.h"
#include "core/error.h"
#include "core/quota.h"
#include "network/interface.h"
#include "network/security-group.h"
#include "network/vpc.h"
#include "storage/snapshot.h"
#include "storage/volume.h"

static Postgres *postgres;

bool
cloud_init(void)
{
    postgres = postgres_new();
    return postgres != NULL;
}

void
cloud_end(void)
{
    postgres_assert_no_deadlock(postgres);
    postgres_free(postgres);
}

VirgaTxn *
cloud_begin(Cloud *cloud)
{
    g_autoptr(GError) error = NULL;
    VirgaTxn *txn = virga_db_begin(cloud->db, &error);

    g_assert_no_error(error);
    return txn;
}

void
cloud_commit(VirgaTxn *txn)
{
    g_autoptr(GError) error = NULL;

    virga_txn_commit(txn, &error);
    g_assert_no_error(error);
    virga_txn_free(txn);
}

void
cloud_run(Cloud *cloud, const char *sql)
{
    VirgaTxn *txn = cloud_begin(cloud);
    g_autoptr(GError) error = NULL;

    virga_txn_run(txn, &error, NULL, sql, "");
    g_assert_no_error(error);
    cloud_commit(txn);
}

char *
cloud_text(Cloud *cloud, const char *sql)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaTxn) txn = virga_db_read(cloud->db, &error);
    g_autoptr(VirgaRows) rows = NULL;

    g_assert_no_error(error);
    rows = virga_txn_query(txn, &error, sql, "");
    g_assert_no_error(error);
    g_assert_cmpint(virga_rows_count(rows), >, 0);
    return virga_rows_dup(rows, cloud->arena, 0, 0);
}

gint64
cloud_number(Cloud *cloud, const char *sql)
{
    return g_ascii_strtoll(cloud_text(cloud, sql), NULL, 10);
}

void
cloud_host(Cloud *cloud, const char *id, const char *zone, gint64 instances)
{
    VirgaTxn *txn = cloud_begin(cloud);
    g_autoptr(GError) error = NULL;
    VirgaHost host = { .id = (char *) id,
                       .name = (char *) id,
                       .zone = (char *) zone,
                       .version = (char *) "0",
                       .hypervisor = (char *) "fake",
                       .vcpus = VCPUS * instances,
                       .memory_mib = MEMORY * instances,
                       .disk_free_gib = 100 };

    virga_host_report(txn, &host, &error);
    g_assert_no_error(error);
    cloud_commit(txn);
}

static void
make_image(Cloud *cloud, VirgaTxn *txn)
{
    g_autoptr(GError) error = NULL;
    VirgaSnapshot snapshot = { .id = (char *) SNAPSHOT,
                               .account_id = (char *) ACCOUNT,
                               .size_gib = 2,
                               .sha256 = (char *) "00",
                               .bytes = 196616 };
    VirgaImageDevice devices[] = { { .device = (char *) "/dev/sda1",
                                     .snapshot_id = (char *) SNAPSHOT,
                                     .delete_on_termination = true },
                                   { .device = (char *) "/dev/sdb",
                                     .size_gib = 5,
                                     .volume_type = (char *) "gp3",
                                     .iops = 3000,
                                     .throughput = 125 } };
    VirgaImage image = { .account_id = (char *) ACCOUNT,
                         .name = (char *) "image",
                         .architecture = (char *) "x86_64",
                         .boot_mode = (char *) "legacy-bios",
                         .root_device_name = (char *) "/dev/sda1",
                         .ena_support = true,
                         .devices = devices,
                         .device_count = G_N_ELEMENTS(devices) };

    virga_snapshot_create(txn, &snapshot, &error);
    g_assert_no_error(error);
    snapshot.id = (char *) FOREIGN;
    snapshot.account_id = (char *) STRANGER;
    virga_snapshot_create(txn, &snapshot, &error);
    g_assert_no_error(error);
    virga_image_register(txn, cloud->arena, &image, &cloud->image_id, &error);
    g_assert_no_error(error);
}

static void
make_account(VirgaTxn *txn, const char *account_id)
{
    static const char *const zones[] = { "us-east-1a", "us-east-1b", NULL };
    g_autoptr(GError) error = NULL;

    virga_account_ensure(txn, account_id, "name", &error);
    g_assert_no_error(error);
    virga_vpc_create_default(txn, account_id, zones, &error);
    g_assert_no_error(error);
}

void
cloud_set_up(Cloud *cloud, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    VirgaSecurityGroup *group;
    VirgaTxn *txn;
    size_t count;

    cloud->dsn = postgres_database(postgres);
    cloud->db = virga_db_new(cloud->dsn, 20);
    cloud->arena = virga_arena_new();
    cloud->config = virga_config_load("/nonexistent", "/nonexistent", &error);
    g_assert_no_error(error);
    virga_db_migrate(cloud->db, &error);
    g_assert_no_error(error);
    txn = cloud_begin(cloud);
    make_account(txn, ACCOUNT);
    make_account(txn, STRANGER);
    make_image(cloud, txn);
    virga_public_pool_set(txn, "198.18.0.0/28", &error);
    g_assert_no_error(error);
    virga_quota_configure(txn, cloud->config, &error);
    g_assert_no_error(error);
    cloud->vpc_id = virga_vpc_default(txn, cloud->arena, ACCOUNT, &error);
    virga_security_group_list(txn, cloud->arena, ACCOUNT, NULL, NULL, NULL, &group, &count, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(count, ==, 1);
    cloud->group_id = group->id;
    cloud_commit(txn);
    cloud_host(cloud, HOST, "us-east-1a", 4);
    cloud_run(cloud, "INSERT INTO key_pair (id, account_id, name, type, fingerprint, public_key)"
                     " VALUES ('key-08000000000000001', '" ACCOUNT "', 'key', 'ed25519', 'f',"
                     " 'ssh-ed25519 AAAA key')");
}

void
cloud_tear_down(Cloud *cloud, gconstpointer data)
{
    virga_db_free(cloud->db);
    virga_config_unref(cloud->config);
    virga_arena_free(cloud->arena);
    g_free(cloud->dsn);
}

VirgaInstanceSpec
cloud_spec(Cloud *cloud)
{
    return (VirgaInstanceSpec){ .account_id = ACCOUNT,
                                .image_id = cloud->image_id,
                                .type = TYPE,
                                .count_min = 1,
                                .count_max = 1,
                                .zone = "us-east-1a",
                                .public_address = -1,
                                .interface_delete_on_termination = -1 };
}

char **
cloud_launch(Cloud *cloud, const VirgaInstanceSpec *spec, gint64 count)
{
    VirgaInstanceSpec all = *spec;
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaTxn) txn = NULL;
    VirgaInstance *instances;
    VirgaReservation made;
    char **ids;
    size_t found;

    all.count_min = all.count_max = count;
    virga_instance_create(cloud->db, cloud->config, cloud->arena, &all, &made, NULL, &error);
    g_assert_no_error(error);
    txn = virga_db_read(cloud->db, &error);
    virga_instance_list(txn, cloud->arena, ACCOUNT, NULL, made.id, &instances, &found, &error);
    g_assert_no_error(error);
    g_assert_cmpint((gint64) found, ==, count);
    ids = virga_arena_new_array(cloud->arena, char *, found + 1);
    for (size_t i = 0; i < found; i++)
        ids[i] = instances[i].id;
    return ids;
}

VirgaInstance *
cloud_instance(Cloud *cloud, const char *id)
{
    const char *ids[] = { id, NULL };
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaTxn) txn = virga_db_read(cloud->db, &error);
    VirgaInstance *instance;
    size_t count;

    virga_instance_list(txn, cloud->arena, ACCOUNT, ids, NULL, &instance, &count, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(count, ==, 1);
    return instance;
}

void
cloud_report(Cloud *cloud, const char *id, VirgaPower power)
{
    static const char sql[] = "SELECT generation FROM instance WHERE id = $1";
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaTxn) txn = virga_db_read(cloud->db, &error);
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, &error, sql, "s", id);
    VirgaInstanceFacts facts = { .id = id,
                                 .generation = virga_rows_int(rows, 0, 0),
                                 .power = power };
    char **forget;

    virga_instance_report(cloud->db, cloud->arena, HOST, &facts, 1, &forget, &error);
    g_assert_no_error(error);
}

void
cloud_assert_claims(Cloud *cloud)
{
    g_assert_cmpint(cloud_number(cloud,
                                 "SELECT count(*) FROM host h WHERE vcpus_claimed <>"
                                 " (SELECT coalesce(sum(i.vcpus), 0) FROM instance i"
                                 "  WHERE i.host_id = h.id AND i.claimed) OR memory_claimed_mib <>"
                                 " (SELECT coalesce(sum(i.memory_mib), 0) FROM instance i"
                                 "  WHERE i.host_id = h.id AND i.claimed)"
                                 " OR vcpus_claimed > vcpus OR memory_claimed_mib > memory_mib"),
                    ==, 0);
    g_assert_cmpint(cloud_number(cloud,
                                 "SELECT count(*) FROM quota q FULL JOIN quota_actual a"
                                 " ON a.account_id = q.account_id AND a.resource = q.resource"
                                 " WHERE coalesce(q.used, 0) <> coalesce(a.used, 0)"
                                 " AND coalesce(q.resource, a.resource) IN"
                                 " ('instances', 'vcpus', 'volumes', 'volume-gib')"),
                    ==, 0);
}

void
cloud_assert_empty(Cloud *cloud)
{
    cloud_assert_claims(cloud);
    g_assert_cmpint(cloud_number(cloud, "SELECT sum(vcpus_claimed) FROM host"), ==, 0);
    g_assert_cmpint(cloud_number(cloud, "SELECT count(*) FROM network_interface"), ==, 0);
    g_assert_cmpint(cloud_number(cloud,
                                 "SELECT count(*) FROM public_address"
                                 " WHERE interface_id IS NOT NULL OR account_id IS NOT NULL"),
                    ==, 0);
    g_assert_cmpint(cloud_number(cloud, "SELECT count(*) FROM volume_attachment"), ==, 0);
    g_assert_cmpint(cloud_number(cloud, "SELECT count(*) FROM tag WHERE resource_type IN"
                                        " ('volume', 'network-interface') AND resource_id NOT IN"
                                        " (SELECT id FROM volume)"),
                    ==, 0);
}
