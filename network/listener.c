/* SPDX-License-Identifier: Apache-2.0 */
#include "network/listener.h"

#include "core/error.h"
#include "core/tag.h"

/* "arn:aws:iam::111122223333:server-certificate/path/name" */
#define CERTIFICATE_ARN(alias)                                                                     \
    "'arn:aws:iam::' || " alias ".account_id || ':server-certificate' || " alias ".path || " alias \
    ".name"

static const char sql_list[] =
    "SELECT l.id, b.id, b.name, b.type, b.vpc_id, l.protocol, l.port, l.ssl_policy, l.alpn_policy,"
    " l.attributes::text, r.id, r.shown, (SELECT " CERTIFICATE_ARN(
        "s") " FROM listener_certificate c JOIN"
             " server_certificate s ON s.id = c.certificate_id WHERE c.listener_id = l.id"
             " AND c.is_default) FROM listener l JOIN load_balancer b ON b.id = l.load_balancer_id"
             " JOIN listener_rule r ON r.listener_id = l.id AND r.priority = 0"
             " WHERE b.account_id = $1 AND ($2::text[] IS NULL OR l.id = ANY ($2))"
             " AND ($3::text IS NULL OR b.id = $3) ORDER BY b.name, l.port, l.id";
enum {
    ID,
    BALANCER_ID,
    BALANCER_NAME,
    BALANCER_TYPE,
    VPC_ID,
    PROTOCOL,
    PORT,
    SSL_POLICY,
    ALPN_POLICY,
    ATTRIBUTES,
    DEFAULT_RULE_ID,
    DEFAULT_SHOWN,
    CERTIFICATE
};
static const char sql_lock[] =
    "SELECT b.id FROM load_balancer b JOIN listener l ON l.load_balancer_id = b.id"
    " WHERE l.id = $1 AND b.account_id = $2 FOR UPDATE OF b";
static const char sql_insert[] =
    "INSERT INTO listener (id, load_balancer_id, protocol, port, ssl_policy, alpn_policy,"
    " attributes, plan) VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb, $8::jsonb)";
static const char sql_update[] =
    "UPDATE listener SET protocol = $2, port = $3, ssl_policy = $4, alpn_policy = $5,"
    " attributes = $6::jsonb, plan = $7::jsonb WHERE id = $1";
static const char sql_forget_tags[] = "DELETE FROM tag WHERE resource_id = $1 OR resource_id IN"
                                      " (SELECT id FROM listener_rule WHERE listener_id = $1)";
static const char sql_delete[] = "DELETE FROM listener WHERE id = $1";

static const char sql_rules[] =
    "SELECT r.id, l.id, b.id, b.name, b.type, b.vpc_id, r.priority, r.shown FROM listener_rule r"
    " JOIN listener l ON l.id = r.listener_id JOIN load_balancer b ON b.id = l.load_balancer_id"
    " WHERE b.account_id = $1 AND ($2::text IS NULL OR l.id = $2)"
    " AND ($3::text[] IS NULL OR r.id = ANY ($3)) ORDER BY l.id, r.priority = 0, r.priority";
static const char sql_lock_of_rule[] =
    "SELECT b.id FROM load_balancer b JOIN listener l ON l.load_balancer_id = b.id"
    " JOIN listener_rule r ON r.listener_id = l.id WHERE r.id = $1 AND b.account_id = $2"
    " FOR UPDATE OF b";
static const char sql_rule_insert[] =
    "INSERT INTO listener_rule (id, listener_id, priority, shown, plan)"
    " VALUES ($1, $2, $3, $4, $5::jsonb)";
static const char sql_rule_update[] =
    "UPDATE listener_rule SET shown = $2, plan = $3::jsonb WHERE id = $1";
static const char sql_rule_priority[] = "UPDATE listener_rule SET priority = $2 WHERE id = $1";
static const char sql_defer[] = "SET CONSTRAINTS ALL DEFERRED";
static const char sql_look[] = "SET CONSTRAINTS ALL IMMEDIATE";
static const char sql_rule_delete[] = "DELETE FROM listener_rule WHERE id = $1";
static const char sql_forget_uses[] = "DELETE FROM listener_rule_target_group WHERE rule_id = $1";
static const char sql_use[] =
    "INSERT INTO listener_rule_target_group (rule_id, target_group_id) SELECT $1, g.id"
    " FROM target_group g WHERE g.id = ANY ($2)";
/* A group is of one balancer. */
static const char sql_foreign_uses[] =
    "SELECT g.name FROM listener_rule_target_group u JOIN listener_rule r ON r.id = u.rule_id"
    " JOIN listener l ON l.id = r.listener_id JOIN target_group g ON g.id = u.target_group_id"
    " WHERE u.target_group_id = ANY ($2) AND l.load_balancer_id <> (SELECT o.load_balancer_id"
    "  FROM listener o JOIN listener_rule s ON s.listener_id = o.id WHERE s.id = $1) LIMIT 1";

static const char sql_certificates[] =
    "SELECT " CERTIFICATE_ARN("s") ", c.is_default FROM listener_certificate c"
                                   " JOIN server_certificate s ON s.id = c.certificate_id"
                                   " WHERE c.listener_id = $1 ORDER BY c.is_default DESC, c.added";
static const char sql_clear_certificates[] =
    "DELETE FROM listener_certificate WHERE listener_id = $1";
static const char sql_former_default[] =
    "DELETE FROM listener_certificate WHERE listener_id = $1 AND is_default";
static const char sql_add_certificate[] =
    "INSERT INTO listener_certificate (listener_id, certificate_id, is_default)"
    " SELECT $1, s.id, $4 FROM server_certificate s WHERE s.account_id = $2 AND " CERTIFICATE_ARN(
        "s") " = $3 ON CONFLICT (listener_id, certificate_id)"
             " DO UPDATE SET is_default = listener_certificate.is_default OR excluded.is_default";
static const char sql_remove_certificate[] =
    "DELETE FROM listener_certificate c USING server_certificate s WHERE s.id = c.certificate_id"
    " AND c.listener_id = $1 AND s.account_id = $2 AND NOT c.is_default AND " CERTIFICATE_ARN(
        "s") " = $3";

bool
virga_listener_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                    const char *const *ids, const char *balancer_id, VirgaListenerRow **ret,
                    size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_list, "sas", account_id, ids, balancer_id);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaListenerRow, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] =
            (VirgaListenerRow){ .id = virga_rows_dup(rows, arena, i, ID),
                                .balancer_id = virga_rows_dup(rows, arena, i, BALANCER_ID),
                                .balancer_name = virga_rows_dup(rows, arena, i, BALANCER_NAME),
                                .balancer_type = virga_rows_dup(rows, arena, i, BALANCER_TYPE),
                                .vpc_id = virga_rows_dup(rows, arena, i, VPC_ID),
                                .protocol = virga_rows_dup(rows, arena, i, PROTOCOL),
                                .port = virga_rows_int(rows, i, PORT),
                                .ssl_policy = virga_rows_dup(rows, arena, i, SSL_POLICY),
                                .alpn_policy = virga_rows_dup(rows, arena, i, ALPN_POLICY),
                                .attributes = virga_rows_dup(rows, arena, i, ATTRIBUTES),
                                .default_rule_id = virga_rows_dup(rows, arena, i, DEFAULT_RULE_ID),
                                .default_shown = virga_rows_dup(rows, arena, i, DEFAULT_SHOWN),
                                .certificate_arn = virga_rows_dup(rows, arena, i, CERTIFICATE) };
    return true;
}

bool
virga_listener_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                    VirgaListenerRow **ret, GError **error)
{
    const char *const ids[] = { id, NULL };
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_lock, "ss", id, account_id);
    size_t count;

    if (!rows || !virga_listener_list(txn, arena, account_id, ids, NULL, ret, &count, error))
        return false;
    return count > 0 ||
           virga_fail(error, "listener", VIRGA_ERROR_NOT_FOUND, "One or more listeners not found");
}

/* A violated UNIQUE in our own words. */
static bool
explain_port(GError *reason, GError **error)
{
    g_autoptr(GError) held = reason;

    if (virga_error_is(reason, "database", VIRGA_ERROR_EXISTS))
        return virga_fail(error, "listener", VIRGA_ERROR_EXISTS,
                          "A listener already exists on this port for this load balancer");
    g_propagate_error(error, g_steal_pointer(&held));
    return false;
}

static bool
explain_priority(GError *reason, GError **error)
{
    g_autoptr(GError) held = reason;

    if (virga_error_is(reason, "database", VIRGA_ERROR_EXISTS))
        return virga_fail(error, "listener rule", VIRGA_ERROR_EXISTS,
                          "Priority is currently in use");
    g_propagate_error(error, g_steal_pointer(&held));
    return false;
}

bool
virga_listener_create(VirgaTxn *txn, const VirgaListenerRow *listener, const char *plan,
                      GError **error)
{
    GError *reason = NULL;

    return virga_txn_run(txn, &reason, NULL, sql_insert, "sssissss", listener->id,
                         listener->balancer_id, listener->protocol, listener->port,
                         listener->ssl_policy, listener->alpn_policy, listener->attributes, plan) ||
           explain_port(reason, error);
}

bool
virga_listener_update(VirgaTxn *txn, const VirgaListenerRow *listener, const char *plan,
                      GError **error)
{
    GError *reason = NULL;

    return virga_txn_run(txn, &reason, NULL, sql_update, "ssissss", listener->id,
                         listener->protocol, listener->port, listener->ssl_policy,
                         listener->alpn_policy, listener->attributes, plan) ||
           explain_port(reason, error);
}

bool
virga_listener_delete(VirgaTxn *txn, const VirgaListenerRow *listener, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_forget_tags, "s", listener->id) &&
           virga_txn_run(txn, error, NULL, sql_delete, "s", listener->id);
}

/* ---- rules ---- */

bool
virga_rule_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *listener_id,
                const char *const *ids, VirgaRuleRow **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_rules, "ssa", account_id, listener_id, ids);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaRuleRow, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaRuleRow){ .id = virga_rows_dup(rows, arena, i, 0),
                                    .listener_id = virga_rows_dup(rows, arena, i, 1),
                                    .balancer_id = virga_rows_dup(rows, arena, i, 2),
                                    .balancer_name = virga_rows_dup(rows, arena, i, 3),
                                    .balancer_type = virga_rows_dup(rows, arena, i, 4),
                                    .vpc_id = virga_rows_dup(rows, arena, i, 5),
                                    .priority = virga_rows_int(rows, i, 6),
                                    .shown = virga_rows_dup(rows, arena, i, 7) };
    return true;
}

bool
virga_rule_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                VirgaRuleRow **ret, GError **error)
{
    const char *const ids[] = { id, NULL };
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_lock_of_rule, "ss", id, account_id);
    size_t count;

    if (!rows || !virga_rule_list(txn, arena, account_id, NULL, ids, ret, &count, error))
        return false;
    return count > 0 ||
           virga_fail(error, "listener rule", VIRGA_ERROR_NOT_FOUND, "One or more rules not found");
}

static bool
use_groups(VirgaTxn *txn, const char *id, const char *const *target_group_ids, GError **error)
{
    g_autoptr(VirgaRows) foreign = NULL;

    if (!virga_txn_run(txn, error, NULL, sql_forget_uses, "s", id))
        return false;
    if (!target_group_ids || !target_group_ids[0])
        return true;
    foreign = virga_txn_query(txn, error, sql_foreign_uses, "sa", id, target_group_ids);
    if (!foreign)
        return false;
    if (virga_rows_count(foreign) > 0)
        return virga_fail(error, "target group association", VIRGA_ERROR_QUOTA,
                          "The target group '%s' is associated with another load balancer",
                          virga_rows_text(foreign, 0, 0));
    return virga_txn_run(txn, error, NULL, sql_use, "sa", id, target_group_ids);
}

bool
virga_rule_create(VirgaTxn *txn, const char *id, const char *listener_id, gint64 priority,
                  const char *shown, const char *plan, const char *const *target_group_ids,
                  GError **error)
{
    GError *reason = NULL;

    if (!virga_txn_run(txn, &reason, NULL, sql_rule_insert, "ssiss", id, listener_id, priority,
                       shown, plan))
        return explain_priority(reason, error);
    return use_groups(txn, id, target_group_ids, error);
}

bool
virga_rule_update(VirgaTxn *txn, const char *id, const char *shown, const char *plan,
                  const char *const *target_group_ids, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_rule_update, "sss", id, shown, plan) &&
           use_groups(txn, id, target_group_ids, error);
}

bool
virga_rule_set_priority(VirgaTxn *txn, const char *id, gint64 priority, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_defer, "") &&
           virga_txn_run(txn, error, NULL, sql_rule_priority, "si", id, priority);
}

bool
virga_rule_check_priorities(VirgaTxn *txn, GError **error)
{
    GError *reason = NULL;

    return virga_txn_run(txn, &reason, NULL, sql_look, "") || explain_priority(reason, error);
}

bool
virga_rule_delete(VirgaTxn *txn, const char *id, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_rule_delete, "s", id) &&
           virga_tag_forget(txn, id, error);
}

/* ---- certificates ---- */

bool
virga_listener_certificates(VirgaTxn *txn, VirgaArena *arena, const char *listener_id,
                            VirgaListenerCertificate **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_certificates, "s", listener_id);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaListenerCertificate, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaListenerCertificate){ .arn = virga_rows_dup(rows, arena, i, 0),
                                                .is_default = virga_rows_bool(rows, i, 1) };
    return true;
}

bool
virga_listener_add_certificate(VirgaTxn *txn, const char *account_id, const char *listener_id,
                               const char *arn, bool is_default, GError **error)
{
    gint64 added;

    if ((is_default && !virga_txn_run(txn, error, NULL, sql_former_default, "s", listener_id)) ||
        !virga_txn_run(txn, error, &added, sql_add_certificate, "sssb", listener_id, account_id,
                       arn, is_default))
        return false;
    return added > 0 || virga_fail(error, "server certificate", VIRGA_ERROR_NOT_FOUND,
                                   "Certificate '%s' not found", arn);
}

bool
virga_listener_remove_certificate(VirgaTxn *txn, const char *account_id, const char *listener_id,
                                  const char *arn, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_remove_certificate, "sss", listener_id, account_id,
                         arn);
}

bool
virga_listener_clear_certificates(VirgaTxn *txn, const char *listener_id, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_clear_certificates, "s", listener_id);
}
