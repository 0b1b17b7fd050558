/* SPDX-License-Identifier: Apache-2.0 */
#include "network/security-group.h"

#include "core/error.h"
#include "core/id.h"
#include "core/quota.h"
#include "network/address.h"
#include "network/protocol.h"
#include "network/vpc.h"

#include <string.h>

static const char sql_vpc_exists[] =
    "SELECT 1 FROM vpc WHERE id = $1 AND account_id = $2 FOR NO KEY UPDATE"; /* counts its groups */
static const char sql_count[] = "SELECT count(*) FROM security_group WHERE vpc_id = $1";
static const char sql_insert[] =
    "INSERT INTO security_group (id, account_id, vpc_id, name, description)"
    " VALUES ($1, $2, $3, $4, $5)";
static const char sql_list[] =
    "SELECT id, account_id, vpc_id, name, description FROM security_group"
    " WHERE account_id = $1 AND ($2::text[] IS NULL OR id = ANY ($2))"
    " AND ($3::text[] IS NULL OR name = ANY ($3)) AND ($4::text IS NULL OR vpc_id = $4)"
    " ORDER BY id";
static const char sql_lock[] =
    "SELECT vpc_id FROM security_group WHERE id = $1 AND account_id = $2 FOR UPDATE";
/* The group's own rules may refer to itself: they go with it. */
static const char sql_users[] =
    "SELECT string_agg(id, ', ') FROM (SELECT interface_id AS id FROM network_interface_group"
    " WHERE group_id = $1 UNION SELECT group_id FROM security_group_rule"
    " WHERE peer_group_id = $1 AND group_id <> $1 ORDER BY id LIMIT 10) u";
static const char sql_delete_rules[] =
    "WITH gone AS (DELETE FROM security_group_rule WHERE group_id = $1 RETURNING id)"
    " DELETE FROM tag USING gone WHERE resource_id = gone.id";
static const char sql_delete[] = "DELETE FROM security_group WHERE id = $1";
static const char sql_default[] =
    "SELECT id FROM security_group WHERE vpc_id = $1 AND name = 'default'";
static const char sql_delete_tags[] = "DELETE FROM tag WHERE resource_id = $1";
static const char sql_rules[] =
    "SELECT id, account_id, group_id, is_egress, protocol, from_port, to_port, cidr::text,"
    " peer_group_id, description FROM security_group_rule"
    " WHERE account_id = $1 AND ($2::text[] IS NULL OR group_id = ANY ($2))"
    " ORDER BY group_id, created, id";
static const char sql_rule_count[] =
    "SELECT count(*) FROM security_group_rule WHERE group_id = $1 AND is_egress = $2";
static const char sql_rule_insert[] =
    "INSERT INTO security_group_rule (id, account_id, group_id, is_egress, protocol, from_port,"
    " to_port, cidr, peer_group_id, description)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8::cidr, $9, $10) ON CONFLICT DO NOTHING";
/* A rule takes its tags with it. */
#define RULE_DELETE(condition)                                                                     \
    "WITH gone AS (DELETE FROM security_group_rule WHERE " condition " RETURNING id),"             \
    " untagged AS (DELETE FROM tag USING gone WHERE resource_id = gone.id)"                        \
    " SELECT id FROM gone"
static const char sql_rule_delete_id[] =
    RULE_DELETE("id = $1 AND group_id = $2 AND is_egress = $3");
static const char sql_rule_delete[] =
    RULE_DELETE("group_id = $1 AND is_egress = $2 AND protocol = $3 AND from_port = $4"
                " AND to_port = $5 AND cidr IS NOT DISTINCT FROM $6::cidr"
                " AND peer_group_id IS NOT DISTINCT FROM $7");
static const char sql_rule_update[] =
    "UPDATE security_group_rule SET protocol = $3, from_port = $4, to_port = $5, cidr = $6::cidr,"
    " peer_group_id = $7, description = $8 WHERE id = $1 AND group_id = $2";

static bool
insert_rule(VirgaTxn *txn, const VirgaSecurityGroupRule *rule, gint64 *ret_inserted, GError **error)
{
    return virga_txn_run(txn, error, ret_inserted, sql_rule_insert, "sssbsiisss", rule->id,
                         rule->account_id, rule->group_id, rule->is_egress, rule->protocol,
                         rule->from_port, rule->to_port, rule->cidr, rule->peer_group_id,
                         rule->description);
}

static bool
insert_group(VirgaTxn *txn, const char *id, const char *account_id, const char *vpc_id,
             const char *name, const char *description, GError **error)
{
    g_autofree char *rule_id = virga_id_new("sgr");
    VirgaSecurityGroupRule outward = { .id = rule_id,
                                       .account_id = (char *) account_id,
                                       .group_id = (char *) id,
                                       .is_egress = true,
                                       .protocol = (char *) "-1",
                                       .from_port = -1,
                                       .to_port = -1,
                                       .cidr = (char *) "0.0.0.0/0" };

    return virga_txn_run(txn, error, NULL, sql_insert, "sssss", id, account_id, vpc_id, name,
                         description) &&
           insert_rule(txn, &outward, NULL, error);
}

bool
virga_security_group_create_default(VirgaTxn *txn, const char *account_id, const char *vpc_id,
                                    GError **error)
{
    g_autofree char *id = virga_id_new("sg");
    g_autofree char *rule_id = virga_id_new("sgr");
    VirgaSecurityGroupRule among = { .id = rule_id,
                                     .account_id = (char *) account_id,
                                     .group_id = id,
                                     .protocol = (char *) "-1",
                                     .from_port = -1,
                                     .to_port = -1,
                                     .peer_group_id = id };

    return insert_group(txn, id, account_id, vpc_id, "default", "default VPC security group",
                        error) &&
           insert_rule(txn, &among, NULL, error);
}

bool
virga_security_group_create(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            const char *vpc_id, const char *name, const char *description,
                            char **ret_id, GError **error)
{
    g_autofree char *id = virga_id_new("sg");
    g_autoptr(VirgaRows) vpc =
        virga_txn_query(txn, error, sql_vpc_exists, "ss", vpc_id, account_id);
    g_autoptr(VirgaRows) groups = NULL;
    g_autoptr(GError) reason = NULL;
    gint64 limit;

    if (!vpc)
        return false;
    if (virga_rows_count(vpc) == 0)
        return virga_fail(error, "vpc", VIRGA_ERROR_NOT_FOUND, "The vpc ID '%s' does not exist",
                          vpc_id);
    groups = virga_txn_query(txn, error, sql_count, "s", vpc_id);
    if (!groups)
        return false;
    if (!virga_quota_limit(txn, account_id, VIRGA_QUOTA_GROUPS_PER_VPC, &limit, error))
        return false;
    if (virga_rows_int(groups, 0, 0) >= limit)
        return virga_fail(error, "security group", VIRGA_ERROR_QUOTA,
                          "The maximum number of security groups for VPC '%s' has been reached",
                          vpc_id);
    if (!insert_group(txn, id, account_id, vpc_id, name, description, &reason)) {
        if (virga_error_is(reason, "database", VIRGA_ERROR_EXISTS))
            return virga_fail(error, "security group", VIRGA_ERROR_EXISTS,
                              "The security group '%s' already exists for VPC '%s'", name, vpc_id);
        g_propagate_error(error, g_steal_pointer(&reason));
        return false;
    }
    *ret_id = virga_arena_strdup(arena, id);
    return true;
}

/* Locks the group against concurrent changes; its VPC's id is in 'arena'. */
static char *
lock_group(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_lock, "ss", id, account_id);

    if (!rows)
        return NULL;
    if (virga_rows_count(rows) == 0) {
        virga_fail(error, "security group", VIRGA_ERROR_NOT_FOUND,
                   "The security group '%s' does not exist", id);
        return NULL;
    }
    return virga_rows_dup(rows, arena, 0, 0);
}

bool
virga_security_group_delete(VirgaTxn *txn, const char *account_id, const char *id, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(VirgaRows) users = NULL;
    VirgaSecurityGroup *group = virga_security_group_get(txn, arena, account_id, id, error);

    if (!group || !lock_group(txn, arena, account_id, id, error))
        return false;
    if (g_str_equal(group->name, "default"))
        return virga_fail(error, "security group", VIRGA_ERROR_DENIED,
                          "the specified group: \"%s\" name: \"default\" cannot be deleted by a "
                          "user",
                          id);
    users = virga_txn_query(txn, error, sql_users, "s", id);
    if (!users)
        return false;
    if (!virga_rows_is_null(users, 0, 0))
        return virga_fail(error, "security group", VIRGA_ERROR_IN_USE,
                          "resource %s has a dependent object (%s)", id,
                          virga_rows_text(users, 0, 0));
    return virga_txn_run(txn, error, NULL, sql_delete_rules, "s", id) &&
           virga_txn_run(txn, error, NULL, sql_delete_tags, "s", id) &&
           virga_txn_run(txn, error, NULL, sql_delete, "s", id) &&
           virga_vpc_touch(txn, group->vpc_id, error); /* hosts have chains of it */
}

bool
virga_security_group_delete_default(VirgaTxn *txn, const char *vpc_id, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_default, "s", vpc_id);
    const char *id = rows && virga_rows_count(rows) ? virga_rows_text(rows, 0, 0) : NULL;

    return rows && (!id || (virga_txn_run(txn, error, NULL, sql_delete_rules, "s", id) &&
                            virga_txn_run(txn, error, NULL, sql_delete_tags, "s", id) &&
                            virga_txn_run(txn, error, NULL, sql_delete, "s", id)));
}

bool
virga_security_group_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                          const char *const *ids, const char *const *names, const char *vpc_id,
                          VirgaSecurityGroup **ret, size_t *ret_count, GError **error)
{
    return virga_security_group_list_send(txn, account_id, ids, names, vpc_id, error) &&
           virga_security_group_list_receive(txn, arena, ret, ret_count, error);
}

bool
virga_security_group_list_send(VirgaTxn *txn, const char *account_id, const char *const *ids,
                               const char *const *names, const char *vpc_id, GError **error)
{
    return virga_txn_send(txn, error, sql_list, "saas", account_id, ids, names, vpc_id);
}

bool
virga_security_group_list_receive(VirgaTxn *txn, VirgaArena *arena, VirgaSecurityGroup **ret,
                                  size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_receive(txn, error);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaSecurityGroup, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaSecurityGroup){ .id = virga_rows_dup(rows, arena, i, 0),
                                          .account_id = virga_rows_dup(rows, arena, i, 1),
                                          .vpc_id = virga_rows_dup(rows, arena, i, 2),
                                          .name = virga_rows_dup(rows, arena, i, 3),
                                          .description = virga_rows_dup(rows, arena, i, 4) };
    return true;
}

VirgaSecurityGroup *
virga_security_group_get(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                         GError **error)
{
    const char *ids[] = { id, NULL };
    VirgaSecurityGroup *group;
    size_t count;

    if (!virga_security_group_list(txn, arena, account_id, ids, NULL, NULL, &group, &count, error))
        return NULL;
    if (count == 0) {
        virga_fail(error, "security group", VIRGA_ERROR_NOT_FOUND,
                   "The security group '%s' does not exist", id);
        return NULL;
    }
    return group;
}

bool
virga_security_group_rules(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                           const char *const *group_ids, VirgaSecurityGroupRule **ret,
                           size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_rules, "sa", account_id, group_ids);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaSecurityGroupRule, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaSecurityGroupRule){ .id = virga_rows_dup(rows, arena, i, 0),
                                              .account_id = virga_rows_dup(rows, arena, i, 1),
                                              .group_id = virga_rows_dup(rows, arena, i, 2),
                                              .is_egress = virga_rows_bool(rows, i, 3),
                                              .protocol = virga_rows_dup(rows, arena, i, 4),
                                              .from_port = virga_rows_int(rows, i, 5),
                                              .to_port = virga_rows_int(rows, i, 6),
                                              .cidr = virga_rows_dup(rows, arena, i, 7),
                                              .peer_group_id = virga_rows_dup(rows, arena, i, 8),
                                              .description = virga_rows_dup(rows, arena, i, 9) };
    return true;
}

static bool
rule_invalid(GError **error, const char *format, const char *value)
{
    return virga_fail(error, "security group rule", VIRGA_ERROR_INVALID,
                      "Invalid value '%s' for %s", value, format);
}

/* 58 (ICMPv6) has no meaning here yet. */
static bool
normalise_protocol(VirgaSecurityGroupRule *rule, VirgaArena *arena, GError **error)
{
    char *protocol;

    if (!rule->protocol)
        return virga_fail(error, "security group rule", VIRGA_ERROR_INVALID,
                          "Invalid value 'null' for protocol. VPC security group rules must "
                          "specify protocols explicitly.");
    protocol = virga_protocol_normalise(arena, rule->protocol);
    if (!protocol || g_str_equal(protocol, "58"))
        return rule_invalid(error, "IP protocol. Unknown protocol.", rule->protocol);
    rule->protocol = protocol;
    return true;
}

static bool
normalise_ports(VirgaSecurityGroupRule *rule, GError **error)
{
    gint64 from = rule->from_port, to = rule->to_port;
    bool tcp_udp = g_str_equal(rule->protocol, "tcp") || g_str_equal(rule->protocol, "udp");

    if (g_str_equal(rule->protocol, "icmp")) {
        if (from < -1 || from > 255 || to < -1 || to > 255 || (from == -1 && to != -1))
            return virga_fail(error, "security group rule", VIRGA_ERROR_INVALID,
                              "ICMP type (%" G_GINT64_FORMAT ") or code (%" G_GINT64_FORMAT
                              ") out of range",
                              from, to);
        return true;
    }
    if (!tcp_udp) { /* every port, whatever was said, as in AWS */
        rule->from_port = rule->to_port = -1;
        return true;
    }
    if (from == -1 && to == -1)
        return virga_fail(error, "security group rule", VIRGA_ERROR_INVALID,
                          "Must specify both from and to ports with TCP/UDP.");
    if (from < 0 || to > 65535 || from > to)
        return virga_fail(error, "security group rule", VIRGA_ERROR_INVALID,
                          "Invalid TCP/UDP port range (%" G_GINT64_FORMAT ":%" G_GINT64_FORMAT ")",
                          from, to);
    return true;
}

bool
virga_security_group_rule_normalise(VirgaSecurityGroupRule *rule, VirgaArena *arena, GError **error)
{
    guint32 base;
    unsigned prefix;
    g_autofree char *canonical = NULL;

    if (!normalise_protocol(rule, arena, error) || !normalise_ports(rule, error))
        return false;
    if (rule->description && strlen(rule->description) > 255)
        return rule_invalid(error, "rule description: longer than 255 characters", "…");
    if (rule->peer_group_id)
        return true;
    if (!virga_cidr_parse_loose(rule->cidr, &base, &prefix))
        return virga_fail(error, "security group rule", VIRGA_ERROR_INVALID,
                          "CIDR block %s is malformed", rule->cidr ? rule->cidr : "");
    canonical = virga_cidr_text(base, prefix);
    rule->cidr = virga_arena_strdup(arena, canonical);
    return true;
}

static bool
check_room(VirgaTxn *txn, const char *account_id, const char *group_id, bool is_egress,
           GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_rule_count, "sb", group_id, is_egress);
    gint64 limit;

    if (!rows || !virga_quota_limit(txn, account_id, VIRGA_QUOTA_RULES_PER_GROUP, &limit, error))
        return false;
    if (virga_rows_int(rows, 0, 0) > limit)
        return virga_fail(error, "security group rule", VIRGA_ERROR_QUOTA,
                          "The maximum number of rules per security group has been reached");
    return true;
}

bool
virga_security_group_authorize(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                               const char *group_id, VirgaSecurityGroupRule *rules, size_t count,
                               GError **error)
{
    const char *vpc_id = lock_group(txn, arena, account_id, group_id, error);

    if (!vpc_id)
        return false;
    for (size_t i = 0; i < count; i++) {
        VirgaSecurityGroupRule *rule = &rules[i];
        g_autofree char *id = virga_id_new("sgr");
        gint64 inserted;

        if (!virga_security_group_rule_normalise(rule, arena, error))
            return false;
        if (rule->peer_group_id) {
            VirgaSecurityGroup *peer =
                virga_security_group_get(txn, arena, account_id, rule->peer_group_id, error);
            if (!peer)
                return false;
            if (!g_str_equal(peer->vpc_id, vpc_id))
                return virga_fail(error, "security group", VIRGA_ERROR_NOT_FOUND,
                                  "You have specified two resources that belong to different "
                                  "networks.");
        }
        rule->id = virga_arena_strdup(arena, id);
        rule->account_id = virga_arena_strdup(arena, account_id);
        rule->group_id = virga_arena_strdup(arena, group_id);
        if (!insert_rule(txn, rule, &inserted, error))
            return false;
        if (inserted == 0)
            return virga_fail(error, "security group rule", VIRGA_ERROR_EXISTS,
                              "the specified rule \"peer: %s, %s, from port: %" G_GINT64_FORMAT
                              ", to port: %" G_GINT64_FORMAT ", ALLOW\" already exists",
                              rule->cidr ? rule->cidr : rule->peer_group_id, rule->protocol,
                              rule->from_port, rule->to_port);
    }
    return (count == 0 || check_room(txn, account_id, group_id, rules[0].is_egress, error)) &&
           virga_vpc_touch(txn, vpc_id, error);
}

bool
virga_security_group_revoke(VirgaTxn *txn, const char *account_id, const char *group_id,
                            bool is_egress, const VirgaSecurityGroupRule *rules, size_t count,
                            GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    const char *vpc_id = lock_group(txn, arena, account_id, group_id, error);

    if (!vpc_id)
        return false;
    for (size_t i = 0; i < count; i++) {
        VirgaSecurityGroupRule rule = rules[i];
        gint64 deleted;
        bool done;

        if (!rule.id && !virga_security_group_rule_normalise(&rule, arena, error))
            return false;
        if (rule.id)
            done = virga_txn_run(txn, error, &deleted, sql_rule_delete_id, "ssb", rule.id, group_id,
                                 is_egress);
        else
            done = virga_txn_run(txn, error, &deleted, sql_rule_delete, "sbsiiss", group_id,
                                 is_egress, rule.protocol, rule.from_port, rule.to_port, rule.cidr,
                                 rule.peer_group_id);
        if (!done)
            return false;
        if (deleted == 0)
            return virga_fail(error, "security group rule", VIRGA_ERROR_NOT_FOUND,
                              rule.id ? "The security group rule ID '%s' does not exist"
                                      : "The specified rule does not exist in security group '%s'",
                              rule.id ? rule.id : group_id);
    }
    return virga_vpc_touch(txn, vpc_id, error);
}

static bool
replace_rule(VirgaTxn *txn, const char *group_id, const VirgaSecurityGroupRule *rule,
             GError **error)
{
    g_autoptr(GError) reason = NULL;
    gint64 updated;

    if (!virga_txn_run(txn, &reason, &updated, sql_rule_update, "sssiisss", rule->id, group_id,
                       rule->protocol, rule->from_port, rule->to_port, rule->cidr,
                       rule->peer_group_id, rule->description)) {
        if (virga_error_is(reason, "database", VIRGA_ERROR_EXISTS))
            return virga_fail(error, "security group rule", VIRGA_ERROR_EXISTS,
                              "the specified rule of '%s' already exists in the group", rule->id);
        g_propagate_error(error, g_steal_pointer(&reason));
        return false;
    }
    return updated > 0 || virga_fail(error, "security group rule id", VIRGA_ERROR_NOT_FOUND,
                                     "The security group rule ID '%s' does not exist", rule->id);
}

bool
virga_security_group_replace(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                             const char *group_id, VirgaSecurityGroupRule *rules, size_t count,
                             GError **error)
{
    const char *vpc_id = lock_group(txn, arena, account_id, group_id, error);

    if (!vpc_id)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!virga_security_group_rule_normalise(&rules[i], arena, error) ||
            !replace_rule(txn, group_id, &rules[i], error))
            return false;
    return virga_vpc_touch(txn, vpc_id, error);
}
