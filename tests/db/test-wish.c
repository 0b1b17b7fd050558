/* SPDX-License-Identifier: Apache-2.0 */
/* The wish of a host, as the host itself reads it. */
#include "cloud.h"

#include "compute/guest.h"
#include "compute/host-wish.h"
#include "compute/metadata.h"
#include "core/error.h"
#include "core/id.h"
#include "network/network-acl.h"
#include "network/plan.h"
#include "network/route-table.h"
#include "network/security-group.h"
#include "network/vpc.h"

#include <string.h>

/* NULL: nothing is new. */
static JsonNode *
wish_of(Cloud *cloud, const char *host_id, gint64 after, JsonObject *known)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaTxn) txn = virga_db_read(cloud->db, &error);
    g_autofree char *text = NULL;
    JsonNode *json;

    virga_host_wish(txn, host_id, after, known, "us-east-1", &text, &error);
    g_assert_no_error(error);
    if (!text)
        return NULL;
    json = json_from_string(text, &error);
    g_assert_no_error(error);
    return json;
}

static JsonObject *
root_of(JsonNode *json)
{
    return json_node_get_object(json);
}

static gint64
generation_of(JsonNode *json)
{
    return json_object_get_int_member(root_of(json), "generation");
}

static guint
count_of(JsonNode *json, const char *member)
{
    return json_array_get_length(json_object_get_array_member(root_of(json), member));
}

static JsonNode *
member_of(JsonNode *json, const char *member, guint i)
{
    return json_array_get_element(json_object_get_array_member(root_of(json), member), i);
}

static void
test_empty(Cloud *cloud, gconstpointer data)
{
    g_autoptr(JsonNode) json = wish_of(cloud, HOST, 0, NULL);
    g_autoptr(JsonNode) unknown = wish_of(cloud, "h-08000000000000009", 0, NULL);

    g_assert_true(json_object_get_boolean_member(root_of(json), "complete"));
    g_assert_cmpuint(count_of(json, "guests"), ==, 0);
    g_assert_cmpuint(count_of(json, "vpcs"), ==, 0);
    g_assert_cmpint(generation_of(unknown), ==, 0);
    g_assert_null(wish_of(cloud, HOST, generation_of(json), NULL));
}

static void
check_guest(JsonNode *json, const char *id)
{
    g_autoptr(GError) error = NULL;
    VirgaGuestWish *want = virga_record_from_json(&virga_guest_wish_type, json, &error);
    g_autoptr(VirgaMetadata) metadata = NULL;
    VirgaMetadataInterface *interface;
    VirgaGuestDisk *disk;
    VirgaGuestPort *port;

    g_assert_no_error(error);
    g_assert_cmpstr(want->id, ==, id);
    g_assert_cmpstr(want->wish, ==, "run");
    g_assert_cmpint(want->vcpus, ==, VCPUS);
    g_assert_cmpint(want->memory_mib, ==, MEMORY);
    g_assert_cmpuint(want->disks->len, ==, 2);
    disk = want->disks->pdata[0]; /* the root first, whatever its name */
    g_assert_cmpstr(disk->device, ==, "/dev/sda1");
    g_assert_cmpuint(disk->files->len, ==, 1);
    g_assert_cmpstr(((VirgaSnapshotFile *) disk->files->pdata[0])->id, ==, SNAPSHOT);
    g_assert_cmpint(((VirgaSnapshotFile *) disk->files->pdata[0])->bytes, ==, 196616);
    g_assert_cmpint(disk->size_gib, ==, 2);
    g_assert_true(disk->delete_on_termination && !disk->made);
    disk = want->disks->pdata[1];
    g_assert_cmpuint(disk->files->len, ==, 0);
    g_assert_false(disk->delete_on_termination);
    g_assert_cmpuint(want->ports->len, ==, 1);
    port = want->ports->pdata[0];

    metadata = virga_metadata_from_text(want->metadata, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(metadata->instance_id, ==, id);
    g_assert_cmpstr(metadata->public_key, ==, "ssh-ed25519 AAAA key");
    g_assert_cmpstr(metadata->user_data, ==, "aGVsbG8=");
    g_assert_true(metadata->tokens_required);
    g_assert_cmpint(metadata->hop_limit, ==, 2);
    g_assert_true(metadata->instance_tags);
    g_assert_cmpuint(metadata->tags->len, ==, 1);
    g_assert_cmpstr(((VirgaMetadataTag *) metadata->tags->pdata[0])->value, ==, "it's \"x\"\n\\");
    g_assert_cmpuint(metadata->disks->len, ==, 3);
    g_assert_cmpuint(metadata->interfaces->len, ==, 1);
    interface = metadata->interfaces->pdata[0];
    g_assert_cmpstr(interface->mac, ==, port->mac);
    g_assert_cmpstr(interface->local_addresses[0], ==, port->address);
    g_assert_nonnull(interface->public_address);
    g_assert_cmpstr(interface->group_names[0], ==, "default");
    g_assert_cmpstr(interface->subnet_cidr, ==, "172.31.0.0/20");
    virga_record_free(&virga_guest_wish_type, want);
}

static VirgaVpcPlan *
plan_of(JsonNode *json)
{
    g_autoptr(GError) error = NULL;
    VirgaVpcPlan *plan = virga_vpc_plan_from_json(json, &error);

    g_assert_no_error(error);
    virga_vpc_plan_check(plan, &error);
    g_assert_no_error(error);
    return plan;
}

static const char *
launch_full(Cloud *cloud)
{
    VirgaInstanceSpec spec = cloud_spec(cloud);
    VirgaTag tag = { .key = (char *) "Name", .value = (char *) "it's \"x\"\n\\" };

    spec.key_name = "key";
    spec.user_data = "aGVsbG8=";
    spec.http_tokens = "required";
    spec.http_tags = "enabled";
    spec.http_hops = 2;
    spec.tags = &tag;
    spec.tag_count = 1;
    return cloud_launch(cloud, &spec, 1)[0];
}

static void
test_guest(Cloud *cloud, gconstpointer data)
{
    const char *id = launch_full(cloud);
    g_autoptr(JsonNode) json = wish_of(cloud, HOST, 0, NULL);
    g_autoptr(VirgaVpcPlan) plan = NULL;
    const VirgaVpcPort *port;

    g_assert_cmpuint(count_of(json, "guests"), ==, 1);
    check_guest(member_of(json, "guests", 0), id);
    g_assert_cmpuint(count_of(json, "vpcs"), ==, 1);
    plan = plan_of(member_of(json, "vpcs", 0));
    g_assert_cmpstr(plan->id, ==, cloud->vpc_id);
    g_assert_cmpstr(plan->cidrs[0], ==, "172.31.0.0/16");
    g_assert_cmpstr(plan->domain, ==, "ec2.internal");
    g_assert_cmpuint(plan->subnets->len, ==, 2);
    g_assert_cmpuint(plan->ports->len, ==, 1);
    port = plan->ports->pdata[0];
    g_assert_cmpstr(port->host_id, ==, HOST);
    g_assert_cmpstr(port->instance_id, ==, id);
    g_assert_true(port->source_dest_check);
    g_assert_cmpstr(port->group_ids[0], ==, cloud->group_id);
    g_assert_cmpstr(json_node_get_string(member_of(json, "vpc_ids", 0)), ==, cloud->vpc_id);
}

/* Rules of every kind make a plan that passes its own check. */
static void
test_rules(Cloud *cloud, gconstpointer data)
{
    VirgaSecurityGroupRule rules[] = {
        { .protocol = (char *) "tcp",
          .from_port = 22,
          .to_port = 22,
          .cidr = (char *) "1.2.3.4/8" },
        { .protocol = (char *) "17",
          .from_port = 0,
          .to_port = 65535,
          .cidr = (char *) "0.0.0.0/0" },
        { .protocol = (char *) "icmp",
          .from_port = 8,
          .to_port = -1,
          .cidr = (char *) "9.9.9.9/32" },
        { .protocol = (char *) "icmp",
          .from_port = -1,
          .to_port = -1,
          .peer_group_id = cloud->group_id },
        { .protocol = (char *) "47", .cidr = (char *) "10.0.0.0/8" },
        { .protocol = (char *) "-1", .cidr = (char *) "10.0.0.0/8" },
    };
    VirgaTxn *txn = cloud_begin(cloud);
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) json = NULL;
    g_autoptr(VirgaVpcPlan) plan = NULL;
    char *other;

    g_assert_true(virga_security_group_create(txn, cloud->arena, ACCOUNT, cloud->vpc_id, "web",
                                              "web", &other, &error));
    virga_security_group_authorize(txn, cloud->arena, ACCOUNT, other, rules, G_N_ELEMENTS(rules),
                                   &error);
    g_assert_no_error(error);
    cloud_commit(txn);
    launch_full(cloud);
    json = wish_of(cloud, HOST, 0, NULL);
    plan = plan_of(member_of(json, "vpcs", 0));
    g_assert_cmpuint(plan->groups->len, ==, 2);
}

static const VirgaVpcRouteTable *
table_with(const VirgaVpcPlan *plan, bool is_main)
{
    const VirgaVpcRouteTable *found = NULL;

    for (guint i = 0; i < plan->route_tables->len; i++) {
        const VirgaVpcRouteTable *table = plan->route_tables->pdata[i];

        if (table->is_main == is_main) {
            g_assert_null(found);
            found = table;
        }
    }
    g_assert_nonnull(found);
    return found;
}

/* A second block, a table and an ACL of the launch's subnet, and public names. */
static void
change_vpc(Cloud *cloud, const char *interface_id, const char **ret_subnet_id)
{
    VirgaRouteSpec target = { .interface_id = interface_id };
    VirgaNetworkAclEntry entry = { .number = 7,
                                   .protocol = (char *) "6",
                                   .from_port = 22,
                                   .to_port = 23,
                                   .cidr = (char *) "10.9.8.7/8" };
    VirgaVpcFlags flags = { -1, 0, -1 };
    g_autofree char *table_id = virga_id_new("rtb"), *acl_id = virga_id_new("acl");
    g_autoptr(GError) error = NULL;
    VirgaTxn *txn = cloud_begin(cloud);
    VirgaNetworkAcl *acls;
    VirgaVpcBlock block;
    size_t count;
    char *id;

    virga_vpc_add_block(txn, cloud->arena, ACCOUNT, cloud->vpc_id, "10.5.0.0/16", &block, &error);
    g_assert_no_error(error);
    g_assert_true(virga_network_acl_list(txn, cloud->arena, ACCOUNT, NULL, &acls, &count, &error));
    g_assert_cmpuint(count, ==, 1);
    *ret_subnet_id = acls[0].associations[0].subnet_id;
    g_assert_true(virga_route_table_create(txn, ACCOUNT, cloud->vpc_id, table_id, &error));
    virga_route_table_associate(txn, cloud->arena, ACCOUNT, table_id, *ret_subnet_id, &id, &error);
    g_assert_no_error(error);
    virga_route_create(txn, ACCOUNT, table_id, "9.0.0.0/8", &target, &error);
    g_assert_no_error(error);
    g_assert_true(virga_network_acl_create(txn, ACCOUNT, cloud->vpc_id, acl_id, &error));
    virga_network_acl_add_entry(txn, ACCOUNT, acl_id, &entry, &error);
    g_assert_no_error(error);
    virga_network_acl_replace_association(txn, cloud->arena, ACCOUNT, acls[0].associations[0].id,
                                          acl_id, &id, &error);
    g_assert_no_error(error);
    g_assert_true(virga_vpc_set_flags(txn, cloud->vpc_id, &flags, &error));
    cloud_commit(txn);
}

static void
check_vpc(const VirgaVpcPlan *plan, const char *subnet_id, const char *interface_id)
{
    const VirgaVpcRouteTable *table = table_with(plan, false);
    const VirgaVpcRoute *route = table->routes->pdata[0];
    const VirgaVpcAclEntry *entry;
    const VirgaVpcAcl *acl;

    g_assert_cmpuint(g_strv_length(plan->cidrs), ==, 2);
    g_assert_cmpstr(plan->cidrs[1], ==, "10.5.0.0/16");
    g_assert_cmpstr(table->subnet_ids[0], ==, subnet_id);
    g_assert_null(table->subnet_ids[1]);
    g_assert_cmpuint(table->routes->len, ==, 1);
    g_assert_cmpstr(route->target, ==, "interface");
    g_assert_cmpstr(route->target_id, ==, interface_id);
    g_assert_cmpuint(plan->acls->len, ==, 1);
    acl = plan->acls->pdata[0];
    g_assert_cmpstr(acl->subnet_ids[0], ==, subnet_id);
    g_assert_cmpuint(acl->entries->len, ==, 1);
    entry = acl->entries->pdata[0];
    g_assert_cmpstr(entry->protocol, ==, "tcp");
    g_assert_cmpstr(entry->cidr4, ==, "10.0.0.0/8");
    g_assert_cmpint(entry->to_port, ==, 23);
    g_assert_false(entry->allow);
    g_assert_null(plan->public_domain);
}

static void
test_vpc(Cloud *cloud, gconstpointer data)
{
    g_autoptr(JsonNode) before = NULL, after = NULL;
    g_autoptr(VirgaVpcPlan) plan = NULL, changed = NULL;
    const VirgaVpcRoute *route;
    const char *subnet_id, *interface_id;

    launch_full(cloud);
    before = wish_of(cloud, HOST, 0, NULL);
    plan = plan_of(member_of(before, "vpcs", 0));
    g_assert_true(plan->has_internet_gateway && plan->dns_support && plan->dns_hostnames);
    g_assert_cmpstr(plan->public_domain, ==, "compute-1.amazonaws.com");
    g_assert_cmpuint(plan->route_tables->len, ==, 1);
    route = table_with(plan, true)->routes->pdata[0];
    g_assert_cmpstr(route->cidr4, ==, "0.0.0.0/0");
    g_assert_cmpstr(route->target, ==, "internet-gateway");
    g_assert_cmpuint(plan->acls->len, ==, 0); /* the default one lets everything pass */
    interface_id = ((VirgaVpcPort *) plan->ports->pdata[0])->id;
    change_vpc(cloud, interface_id, &subnet_id);
    after = wish_of(cloud, HOST, 0, NULL);
    changed = plan_of(member_of(after, "vpcs", 0));
    check_vpc(changed, subnet_id, interface_id);
}

/* Only what is new, and generations that never go back. */
static void
test_generations(Cloud *cloud, gconstpointer data)
{
    const char *id = launch_full(cloud), *ids[] = { id, NULL };
    g_autoptr(JsonObject) known = json_object_new();
    g_autoptr(JsonNode) first = wish_of(cloud, HOST, 0, NULL), second = NULL, third = NULL,
                        fourth = NULL, last = NULL;
    g_autoptr(GError) error = NULL;
    VirgaInstanceChange *change;
    const char *other;
    VirgaTxn *txn;

    json_object_set_int_member(
        known, cloud->vpc_id,
        json_object_get_int_member(json_node_get_object(member_of(first, "vpcs", 0)),
                                   "generation"));
    g_assert_null(wish_of(cloud, HOST, generation_of(first), known));
    cloud_report(cloud, id, VIRGA_POWER_RUNNING); /* a fact is no wish */
    g_assert_null(wish_of(cloud, HOST, generation_of(first), known));

    other = launch_full(cloud);
    second = wish_of(cloud, HOST, generation_of(first), known);
    g_assert_false(json_object_get_boolean_member(root_of(second), "complete"));
    g_assert_cmpint(generation_of(second), >, generation_of(first));
    g_assert_cmpuint(count_of(second, "guests"), ==, 1);
    check_guest(member_of(second, "guests", 0), other);
    g_assert_cmpuint(count_of(second, "vpcs"), ==, 1);
    json_object_set_int_member(
        known, cloud->vpc_id,
        json_object_get_int_member(json_node_get_object(member_of(second, "vpcs", 0)),
                                   "generation"));

    g_assert_true(
        virga_instance_stop(cloud->db, cloud->arena, ACCOUNT, ids, true, false, &change, &error));
    third = wish_of(cloud, HOST, generation_of(second), known);
    g_assert_cmpint(generation_of(third), >, generation_of(second));
    g_assert_cmpuint(count_of(third, "guests"), ==, 1);
    g_assert_cmpuint(count_of(third, "vpcs"), ==, 0); /* the plan is as it was */
    g_assert_cmpuint(count_of(third, "vpc_ids"), ==, 1);

    txn = cloud_begin(cloud);
    g_assert_true(virga_vpc_touch(txn, cloud->vpc_id, &error));
    cloud_commit(txn);
    fourth = wish_of(cloud, HOST, generation_of(third), known);
    g_assert_cmpint(generation_of(fourth), ==, generation_of(third));
    g_assert_cmpuint(count_of(fourth, "guests"), ==, 0);
    g_assert_cmpuint(count_of(fourth, "vpcs"), ==, 1);

    for (int i = 0; i < 2; i++) {
        ids[0] = i ? other : id;
        g_assert_true(virga_instance_terminate(cloud->db, cloud->arena, ACCOUNT, ids, false,
                                               &change, &error));
        cloud_report(cloud, ids[0], VIRGA_POWER_ABSENT);
    }
    last = wish_of(cloud, HOST, 0, NULL);
    g_assert_cmpuint(count_of(last, "guests"), ==, 0);
    g_assert_cmpuint(count_of(last, "vpc_ids"), ==, 0);
    g_assert_cmpint(generation_of(last), >, generation_of(fourth));
    cloud_assert_empty(cloud);
}

/* Who waits is woken by every change, when it is committed. */
static void
hear(const char *channel, const char *payload, gpointer data)
{
    g_async_queue_push(data, g_strdup_printf("%s %s", channel ? channel : "", payload));
}

static void
wait_for(GAsyncQueue *heard, const char *text)
{
    for (;;) {
        g_autofree char *one = g_async_queue_timeout_pop(heard, 20 * G_USEC_PER_SEC);

        g_assert_nonnull(one);
        if (g_str_equal(one, text))
            return;
    }
}

static void
test_notify(Cloud *cloud, gconstpointer data)
{
    const char *const channels[] = { "virga_host", "virga_vpc", NULL };
    g_autoptr(GAsyncQueue) heard = g_async_queue_new_full(g_free);
    VirgaDbListener *listener = virga_db_listen(cloud->dsn, channels, hear, heard);
    g_autofree char *vpc = g_strdup_printf("virga_vpc %s", cloud->vpc_id);
    g_autoptr(GError) error = NULL;
    VirgaInstanceChange *change;
    const char *ids[2] = { NULL };

    wait_for(heard, " (null)");
    ids[0] = launch_full(cloud);
    wait_for(heard, "virga_host " HOST);
    wait_for(heard, vpc);
    g_assert_true(virga_instance_reboot(cloud->db, ACCOUNT, ids, false, &error));
    wait_for(heard, "virga_host " HOST);
    g_assert_true(
        virga_instance_stop(cloud->db, cloud->arena, ACCOUNT, ids, false, false, &change, &error));
    wait_for(heard, "virga_host " HOST);
    cloud_report(cloud, ids[0], VIRGA_POWER_OFF);
    wait_for(heard, vpc);
    g_assert_true(
        virga_instance_start(cloud->db, cloud->arena, ACCOUNT, ids, false, &change, &error));
    wait_for(heard, "virga_host " HOST);
    cloud_report(cloud, ids[0], VIRGA_POWER_OFF_GUEST);
    wait_for(heard, "virga_host " HOST); /* its wish has become "stop" */
    virga_db_listener_free(listener);
}

int
main(int argc, char **argv)
{
    int outcome;

    g_test_init(&argc, &argv, NULL);
    if (!cloud_init())
        return 77;
#define ADD(name, function)                                                                        \
    g_test_add("/wish/" name, Cloud, NULL, cloud_set_up, function, cloud_tear_down)
    ADD("empty", test_empty);
    ADD("guest", test_guest);
    ADD("rules", test_rules);
    ADD("vpc", test_vpc);
    ADD("generations", test_generations);
    ADD("notify", test_notify);
    outcome = g_test_run();
    cloud_end();
    return outcome;
}
