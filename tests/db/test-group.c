/* SPDX-License-Identifier: Apache-2.0 */
/* Security groups and their rules as rows. */
#include "cloud.h"

#include "core/error.h"
#include "network/security-group.h"

#include <string.h>

#define RULES_MAX 60 /* the default of [quota] */

static VirgaSecurityGroupRule
tcp(gint64 from, gint64 to, const char *cidr)
{
    return (VirgaSecurityGroupRule){
        .protocol = (char *) "tcp", .from_port = from, .to_port = to, .cidr = (char *) cidr
    };
}

static char *
make_group(Cloud *cloud, const char *name)
{
    VirgaTxn *txn = cloud_begin(cloud);
    g_autoptr(GError) error = NULL;
    char *id;

    virga_security_group_create(txn, cloud->arena, ACCOUNT, cloud->vpc_id, name, "d", &id, &error);
    g_assert_no_error(error);
    cloud_commit(txn);
    return id;
}

/* In a transaction of its own, committed if it succeeds. */
static bool
authorize(Cloud *cloud, const char *group_id, VirgaSecurityGroupRule *rules, size_t count,
          GError **error)
{
    g_autoptr(VirgaTxn) txn = cloud_begin(cloud);

    return virga_security_group_authorize(txn, cloud->arena, ACCOUNT, group_id, rules, count,
                                          error) &&
           virga_txn_commit(txn, error);
}

static bool
take_away(Cloud *cloud, const char *group_id, bool is_egress, const VirgaSecurityGroupRule *rule,
          GError **error)
{
    g_autoptr(VirgaTxn) txn = cloud_begin(cloud);

    return virga_security_group_revoke(txn, ACCOUNT, group_id, is_egress, rule, 1, error) &&
           virga_txn_commit(txn, error);
}

static bool
delete_group(Cloud *cloud, const char *account_id, const char *group_id, GError **error)
{
    g_autoptr(VirgaTxn) txn = cloud_begin(cloud);

    return virga_security_group_delete(txn, account_id, group_id, error) &&
           virga_txn_commit(txn, error);
}

static void
assert_error(GError **error, const char *noun, VirgaErrorCode code)
{
    if (!virga_error_is(*error, noun, code))
        g_error("%s", *error ? (*error)->message : "no error");
    g_clear_error(error);
}

#define RULES(cloud) cloud_number(cloud, "SELECT count(*) FROM security_group_rule")
#define GENERATION(cloud)                                                                          \
    cloud_number(cloud, "SELECT generation FROM vpc WHERE account_id = '" ACCOUNT "'")

static void
test_rules(Cloud *cloud, gconstpointer data)
{
    char *id = make_group(cloud, "web");
    gint64 rules = RULES(cloud), generation = GENERATION(cloud);
    VirgaSecurityGroupRule two[] = { tcp(22, 22, "10.1.2.3/8"), tcp(80, 443, "0.0.0.0/0") };
    VirgaSecurityGroupRule same = tcp(22, 22, "10.0.0.0/8"), by_id = { NULL };
    g_autoptr(GError) error = NULL;

    g_assert_true(authorize(cloud, id, two, 2, &error));
    g_assert_cmpstr(two[0].cidr, ==, "10.0.0.0/8");
    g_assert_true(g_str_has_prefix(two[0].id, "sgr-"));
    g_assert_cmpint(RULES(cloud), ==, rules + 2);
    g_assert_cmpint(GENERATION(cloud), >, generation);
    g_assert_false(authorize(cloud, id, &same, 1, &error));
    assert_error(&error, "security group rule", VIRGA_ERROR_EXISTS);
    two[0] = tcp(1, 1, "0.0.0.0/0"); /* all or none */
    two[1] = tcp(80, 443, "0.0.0.0/0");
    g_assert_false(authorize(cloud, id, two, 2, &error));
    assert_error(&error, "security group rule", VIRGA_ERROR_EXISTS);
    g_assert_cmpint(RULES(cloud), ==, rules + 2);

    generation = GENERATION(cloud);
    g_assert_false(take_away(cloud, id, true, &same, &error)); /* it is no egress rule */
    assert_error(&error, "security group rule", VIRGA_ERROR_NOT_FOUND);
    same = tcp(22, 22, "10.9.9.9/8");
    g_assert_true(take_away(cloud, id, false, &same, &error));
    g_assert_cmpint(GENERATION(cloud), >, generation);
    g_assert_false(take_away(cloud, id, false, &same, &error));
    assert_error(&error, "security group rule", VIRGA_ERROR_NOT_FOUND);
    by_id.id = cloud_text(cloud, "SELECT id FROM security_group_rule WHERE to_port = 443");
    g_assert_true(take_away(cloud, id, false, &by_id, &error));
    g_assert_cmpint(RULES(cloud), ==, rules);
}

static void
test_invalid(Cloud *cloud, gconstpointer data)
{
    VirgaSecurityGroupRule rules[] = {
        tcp(-1, -1, "0.0.0.0/0"),
        tcp(5, 4, "0.0.0.0/0"),
        tcp(0, 65536, "0.0.0.0/0"),
        tcp(1, 1, "0.0.0.0/33"),
        tcp(1, 1, "nonsense"),
        tcp(1, 1, NULL),
        { .cidr = (char *) "0.0.0.0/0" },
        { .protocol = (char *) "tcpp", .cidr = (char *) "0.0.0.0/0" },
        { .protocol = (char *) "256", .cidr = (char *) "0.0.0.0/0" },
        { .protocol = (char *) "icmp", .from_port = 256, .cidr = (char *) "0.0.0.0/0" },
        { .protocol = (char *) "icmp",
          .from_port = -1,
          .to_port = 3,
          .cidr = (char *) "0.0.0.0/0" },
    };
    gint64 before = RULES(cloud);

    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(authorize(cloud, cloud->group_id, &rules[i], 1, &error));
        assert_error(&error, "security group rule", VIRGA_ERROR_INVALID);
    }
    g_assert_cmpint(RULES(cloud), ==, before);
}

static void
test_peers(Cloud *cloud, gconstpointer data)
{
    char *web = make_group(cloud, "web"), *base = make_group(cloud, "base");
    char *foreign = cloud_text(cloud, "SELECT id FROM security_group"
                                      " WHERE account_id = '" STRANGER "'");
    VirgaSecurityGroupRule rule = { .protocol = (char *) "-1", .peer_group_id = base };
    g_autoptr(GError) error = NULL;

    g_assert_true(authorize(cloud, web, &rule, 1, &error));
    g_assert_false(delete_group(cloud, ACCOUNT, base, &error));
    assert_error(&error, "security group", VIRGA_ERROR_IN_USE);
    g_assert_true(delete_group(cloud, ACCOUNT, web, &error));
    g_assert_true(delete_group(cloud, ACCOUNT, base, &error));
    rule = (VirgaSecurityGroupRule){ .protocol = (char *) "-1", .peer_group_id = foreign };
    g_assert_false(authorize(cloud, cloud->group_id, &rule, 1, &error));
    assert_error(&error, "security group", VIRGA_ERROR_NOT_FOUND);
    g_assert_false(authorize(cloud, foreign, &rule, 1, &error));
    assert_error(&error, "security group", VIRGA_ERROR_NOT_FOUND);
}

static void
test_delete(Cloud *cloud, gconstpointer data)
{
    char *id = make_group(cloud, "web");
    const char *groups[] = { id, NULL }, *ids[2] = { NULL };
    VirgaInstanceSpec spec = cloud_spec(cloud);
    VirgaSecurityGroupRule self = { .protocol = (char *) "-1", .peer_group_id = id };
    g_autoptr(GError) error = NULL;
    VirgaInstanceChange *change;

    g_assert_true(authorize(cloud, id, &self, 1, &error));
    g_assert_false(delete_group(cloud, ACCOUNT, cloud->group_id, &error));
    assert_error(&error, "security group", VIRGA_ERROR_DENIED);
    g_assert_false(delete_group(cloud, STRANGER, id, &error));
    assert_error(&error, "security group", VIRGA_ERROR_NOT_FOUND);
    spec.group_ids = groups;
    ids[0] = cloud_launch(cloud, &spec, 1)[0];
    g_assert_false(delete_group(cloud, ACCOUNT, id, &error));
    assert_error(&error, "security group", VIRGA_ERROR_IN_USE);
    g_assert_true(
        virga_instance_terminate(cloud->db, cloud->arena, ACCOUNT, ids, false, &change, &error));
    cloud_report(cloud, ids[0], VIRGA_POWER_ABSENT);
    g_assert_true(delete_group(cloud, ACCOUNT, id, &error));
    g_assert_false(delete_group(cloud, ACCOUNT, id, &error));
    assert_error(&error, "security group", VIRGA_ERROR_NOT_FOUND);
}

static void
test_limits(Cloud *cloud, gconstpointer data)
{
    VirgaSecurityGroupRule *rules =
        virga_arena_new_array(cloud->arena, VirgaSecurityGroupRule, RULES_MAX + 1);
    char *id = make_group(cloud, "web"), *again;
    g_autoptr(VirgaTxn) txn = NULL;
    g_autoptr(GError) error = NULL;

    for (int i = 0; i <= RULES_MAX; i++)
        rules[i] = tcp(i, i, "0.0.0.0/0");
    g_assert_false(authorize(cloud, id, rules, RULES_MAX + 1, &error));
    assert_error(&error, "security group rule", VIRGA_ERROR_QUOTA);
    g_assert_true(authorize(cloud, id, rules, RULES_MAX, &error));
    txn = cloud_begin(cloud);
    g_assert_false(virga_security_group_create(txn, cloud->arena, ACCOUNT, cloud->vpc_id, "web", "",
                                               &again, &error));
    assert_error(&error, "security group", VIRGA_ERROR_EXISTS);
    g_clear_pointer(&txn, virga_txn_free);
    txn = cloud_begin(cloud);
    g_assert_false(virga_security_group_create(txn, cloud->arena, STRANGER, cloud->vpc_id, "x", "",
                                               &again, &error));
    assert_error(&error, "vpc", VIRGA_ERROR_NOT_FOUND);
}

int
main(int argc, char **argv)
{
    int outcome;

    g_test_init(&argc, &argv, NULL);
    if (!cloud_init())
        return 77;
#define ADD(name, function)                                                                        \
    g_test_add("/group/" name, Cloud, NULL, cloud_set_up, function, cloud_tear_down)
    ADD("rules", test_rules);
    ADD("invalid", test_invalid);
    ADD("peers", test_peers);
    ADD("delete", test_delete);
    ADD("limits", test_limits);
    outcome = g_test_run();
    cloud_end();
    return outcome;
}
