/* SPDX-License-Identifier: Apache-2.0 */
#include "network/target-group.h"

#include "core/error.h"
#include "core/tag.h"
#include "network/vpc.h"

static const char sql_list[] =
    "SELECT g.id, g.account_id, g.name, g.target_type, g.protocol, g.version, g.vpc_id, g.port,"
    " g.shown, g.attributes::text, b.id, b.name, b.type FROM target_group g"
    " LEFT JOIN LATERAL (SELECT l.load_balancer_id FROM listener_rule_target_group t"
    "  JOIN listener_rule r ON r.id = t.rule_id JOIN listener l ON l.id = r.listener_id"
    "  WHERE t.target_group_id = g.id LIMIT 1) u ON true"
    " LEFT JOIN load_balancer b ON b.id = u.load_balancer_id WHERE g.account_id = $1"
    " AND ($2::text[] IS NULL OR g.id = ANY ($2)) AND ($3::text[] IS NULL OR g.name = ANY ($3))"
    " AND ($4::text IS NULL OR b.id = $4) ORDER BY g.name";
enum {
    ID,
    ACCOUNT_ID,
    NAME,
    TARGET_TYPE,
    PROTOCOL,
    VERSION,
    VPC_ID,
    PORT,
    SHOWN,
    ATTRIBUTES,
    BALANCER_ID,
    BALANCER_NAME,
    BALANCER_TYPE
};
static const char sql_lock[] =
    "SELECT id FROM target_group WHERE id = $1 AND account_id = $2 FOR UPDATE";
static const char sql_insert[] =
    "INSERT INTO target_group (id, account_id, name, target_type, protocol, version, port, vpc_id,"
    " shown, attributes, plan) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb,"
    " $11::jsonb)";
static const char sql_update[] = "UPDATE target_group SET shown = $2, attributes = $3::jsonb,"
                                 " plan = $4::jsonb WHERE id = $1";
static const char sql_delete[] = "DELETE FROM target_group WHERE id = $1";

static const char sql_targets[] =
    "SELECT t.target_id, t.port, t.zone, t.draining_until IS NOT NULL, i.state, h.state, h.reason,"
    " h.code FROM target t LEFT JOIN instance i ON i.id = t.target_id"
    " LEFT JOIN network_interface n ON n.instance_id = i.id AND n.device_index = 0"
    " LEFT JOIN LATERAL (SELECT h.state, h.reason, h.code FROM target_health h"
    "  WHERE h.target_group_id = t.target_group_id AND h.port = t.port AND host(h.address) ="
    "  coalesce(host(n.address), t.target_id) ORDER BY h.state = 'healthy' DESC,"
    "  h.state = 'unhealthy' DESC, h.host_id LIMIT 1) h ON true WHERE t.target_group_id = $1"
    " AND (t.draining_until IS NULL OR t.draining_until > now())"
    " ORDER BY t.registered, t.target_id, t.port";
static const char sql_register[] =
    "INSERT INTO target (target_group_id, target_id, port, zone) SELECT $1, $2, $3, $4"
    " WHERE $2 NOT LIKE 'i-%' OR EXISTS (SELECT 1 FROM instance i WHERE i.id = $2"
    "  AND i.account_id = $5 AND i.vpc_id = $6 AND i.state IN ('pending', 'running', 'stopping',"
    "  'stopped'))"
    " ON CONFLICT (target_group_id, target_id, port) DO UPDATE SET draining_until = NULL,"
    " zone = excluded.zone";
static const char sql_deregister[] =
    "UPDATE target SET draining_until = now() + make_interval(secs => $4)"
    " WHERE target_group_id = $1 AND target_id = $2 AND ($3::bigint = 0 OR port = $3)"
    " AND draining_until IS NULL";

/* Health of targets that are not there any more goes with the rest. */
static const char sql_forget_health[] =
    "DELETE FROM target_health h USING target_group g WHERE g.id = h.target_group_id"
    " AND g.vpc_id = $2 AND (h.host_id = $1 OR NOT EXISTS (SELECT 1 FROM load_balancer_node d"
    "  JOIN load_balancer b ON b.id = d.load_balancer_id WHERE d.host_id = h.host_id"
    "  AND b.vpc_id = $2))";
static const char sql_note_health[] =
    "INSERT INTO target_health (target_group_id, address, port, host_id, state, reason, code)"
    " SELECT g.id, u.address::inet, u.port::integer, $1, u.state, nullif(u.reason, ''),"
    " nullif(u.code, '')::integer FROM unnest($3::text[], $4::text[], $5::text[], $6::text[],"
    " $7::text[], $8::text[]) u(id, address, port, state, reason, code)"
    " JOIN target_group g ON g.id = u.id AND g.vpc_id = $2 ON CONFLICT DO NOTHING";

bool
virga_target_group_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                        const char *const *ids, const char *const *names, const char *balancer_id,
                        VirgaTargetGroupRow **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_list, "saas", account_id, ids, names, balancer_id);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaTargetGroupRow, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] =
            (VirgaTargetGroupRow){ .id = virga_rows_dup(rows, arena, i, ID),
                                   .account_id = virga_rows_dup(rows, arena, i, ACCOUNT_ID),
                                   .name = virga_rows_dup(rows, arena, i, NAME),
                                   .target_type = virga_rows_dup(rows, arena, i, TARGET_TYPE),
                                   .protocol = virga_rows_dup(rows, arena, i, PROTOCOL),
                                   .version = virga_rows_dup(rows, arena, i, VERSION),
                                   .vpc_id = virga_rows_dup(rows, arena, i, VPC_ID),
                                   .port = virga_rows_int(rows, i, PORT),
                                   .shown = virga_rows_dup(rows, arena, i, SHOWN),
                                   .attributes = virga_rows_dup(rows, arena, i, ATTRIBUTES),
                                   .balancer_id = virga_rows_dup(rows, arena, i, BALANCER_ID),
                                   .balancer_name = virga_rows_dup(rows, arena, i, BALANCER_NAME),
                                   .balancer_type = virga_rows_dup(rows, arena, i, BALANCER_TYPE) };
    return true;
}

bool
virga_target_group_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                        VirgaTargetGroupRow **ret, GError **error)
{
    const char *const ids[] = { id, NULL };
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_lock, "ss", id, account_id);
    size_t count;

    if (!rows ||
        !virga_target_group_list(txn, arena, account_id, ids, NULL, NULL, ret, &count, error))
        return false;
    return count > 0 || virga_fail(error, "target group", VIRGA_ERROR_NOT_FOUND,
                                   "One or more target groups not found");
}

bool
virga_target_group_create(VirgaTxn *txn, const VirgaTargetGroupRow *group, const char *plan,
                          GError **error)
{
    g_autoptr(GError) reason = NULL;

    if (virga_txn_run(txn, &reason, NULL, sql_insert, "ssssssissss", group->id, group->account_id,
                      group->name, group->target_type, group->protocol, group->version, group->port,
                      group->vpc_id, group->shown, group->attributes, plan))
        return true;
    if (virga_error_is(reason, "database", VIRGA_ERROR_EXISTS))
        return virga_fail(error, "target group", VIRGA_ERROR_EXISTS,
                          "A target group with the same name '%s' exists, but with different "
                          "settings",
                          group->name);
    g_propagate_error(error, g_steal_pointer(&reason));
    return false;
}

bool
virga_target_group_update(VirgaTxn *txn, const VirgaTargetGroupRow *group, const char *plan,
                          GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_update, "ssss", group->id, group->shown,
                         group->attributes, plan) &&
           virga_vpc_touch(txn, group->vpc_id, error);
}

bool
virga_target_group_delete(VirgaTxn *txn, const VirgaTargetGroupRow *group, GError **error)
{
    if (group->balancer_id)
        return virga_fail(error, "target group", VIRGA_ERROR_IN_USE,
                          "Target group '%s' is currently in use by a listener or a rule",
                          group->name);
    return virga_txn_run(txn, error, NULL, sql_delete, "s", group->id) &&
           virga_tag_forget(txn, group->id, error);
}

/* ---- targets ---- */

bool
virga_target_list(VirgaTxn *txn, VirgaArena *arena, const VirgaTargetGroupRow *group,
                  VirgaTargetRow **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_targets, "s", group->id);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaTargetRow, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaTargetRow){ .id = virga_rows_dup(rows, arena, i, 0),
                                      .port = virga_rows_int(rows, i, 1),
                                      .zone = virga_rows_dup(rows, arena, i, 2),
                                      .draining = virga_rows_bool(rows, i, 3),
                                      .instance_state = virga_rows_dup(rows, arena, i, 4),
                                      .health = virga_rows_dup(rows, arena, i, 5),
                                      .reason = virga_rows_dup(rows, arena, i, 6),
                                      .code = virga_rows_int(rows, i, 7) };
    return true;
}

bool
virga_target_register(VirgaTxn *txn, const VirgaTargetGroupRow *group, const char *target_id,
                      gint64 port, const char *zone, GError **error)
{
    gint64 added;

    if (!virga_txn_run(txn, error, &added, sql_register, "ssisss", group->id, target_id, port, zone,
                       group->account_id, group->vpc_id))
        return false;
    if (added == 0)
        return virga_fail(error, "target", VIRGA_ERROR_INVALID,
                          "The following targets are not in a running state, or are not in the "
                          "target group VPC '%s': '%s'",
                          group->vpc_id, target_id);
    return virga_vpc_touch(txn, group->vpc_id, error);
}

bool
virga_target_deregister(VirgaTxn *txn, const VirgaTargetGroupRow *group, const char *target_id,
                        gint64 port, gint64 delay_s, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_deregister, "ssii", group->id, target_id, port,
                         delay_s) &&
           virga_vpc_touch(txn, group->vpc_id, error);
}

bool
virga_target_note_health(VirgaTxn *txn, const char *host_id, const char *vpc_id,
                         const VirgaTargetReport *report, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_forget_health, "ss", host_id, vpc_id) &&
           virga_txn_run(txn, error, NULL, sql_note_health, "ssaaaaaa", host_id, vpc_id,
                         report->group_ids, report->addresses, report->ports, report->states,
                         report->reasons, report->codes);
}
