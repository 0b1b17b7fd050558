/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of one instance at a time: its console, its user data, and the attributes that can
 * be changed after the launch. */
#include "instance-priv.h"

#include "compute/host.h"
#include "network/interface.h"

static const char sql_console[] = "SELECT console, " VIRGA_SQL_TIME(
    "coalesce(console_at, state_since)") " FROM instance"
                                         " WHERE id = $1 AND account_id = $2";
static const char sql_user_data[] =
    "SELECT user_data FROM instance WHERE id = $1 AND account_id = $2";
static const char sql_set[] =
    "UPDATE instance SET disable_termination = coalesce($2, disable_termination),"
    " disable_stop = coalesce($3, disable_stop), ebs_optimized = coalesce($4, ebs_optimized),"
    " shutdown_behavior = coalesce($5, shutdown_behavior), "
    " user_data = CASE WHEN $6::text IS NULL THEN user_data ELSE nullif($6, '') END"
    " WHERE id = $1";
static const char sql_generation[] = "UPDATE instance SET generation = $2 WHERE id = $1";
static const char sql_shows_tags[] =
    "SELECT host_id FROM instance WHERE id = $1 AND http_tags = 'enabled'"
    " AND host_id IS NOT NULL FOR UPDATE";

static bool
fail_missing(const char *id, GError **error)
{
    return virga_fail(error, "instance", VIRGA_ERROR_NOT_FOUND,
                      "The instance ID '%s' does not exist", id);
}

bool
virga_instance_console(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                       char **ret_console, gint64 *ret_at, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_console, "ss", id, account_id);

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return fail_missing(id, error);
    *ret_console = virga_rows_dup(rows, arena, 0, 0);
    *ret_at = virga_rows_time(rows, 0, 1);
    return true;
}

bool
virga_instance_user_data(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                         char **ret_user_data, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_user_data, "ss", id, account_id);

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return fail_missing(id, error);
    *ret_user_data = virga_rows_dup(rows, arena, 0, 0);
    return true;
}

/* A boolean that may be left as it is, as a parameter. */
static const char *
maybe(int value)
{
    return value < 0 ? NULL : value ? "t" : "f";
}

/* The host learns of it: what it knows of the guest (user data, tags) has changed. */
static bool
renew(VirgaTxn *txn, const char *id, const char *host_id, GError **error)
{
    gint64 generation;

    return virga_host_touch(txn, host_id, &generation, error) &&
           virga_txn_run(txn, error, NULL, sql_generation, "si", id, generation);
}

bool
virga_instance_change(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                      const VirgaInstanceAttributes *attributes, GError **error)
{
    const char *ids[] = { id, NULL };
    VirgaInstance *instance;
    size_t count;

    if (!virga_instance_lock(txn, arena, account_id, ids, &instance, &count, error))
        return false;
    if (attributes->user_data && instance->state != VIRGA_INSTANCE_STOPPED)
        return virga_fail(error, "instance", VIRGA_ERROR_STATE,
                          "The instance '%s' is not in the 'stopped' state.", id);
    if (!virga_txn_run(txn, error, NULL, sql_set, "ssssss", id,
                       maybe(attributes->disable_termination), maybe(attributes->disable_stop),
                       maybe(attributes->ebs_optimized), attributes->shutdown_behavior,
                       attributes->user_data))
        return false;
    if (attributes->user_data && instance->host_id && !renew(txn, id, instance->host_id, error))
        return false;
    return attributes->source_dest_check < 0 ||
           virga_interface_set_check(txn, id, attributes->source_dest_check, error);
}

bool
virga_instance_tags_changed(VirgaTxn *txn, const char *id, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_shows_tags, "s", id);

    if (!rows)
        return false;
    return virga_rows_count(rows) == 0 || renew(txn, id, virga_rows_text(rows, 0, 0), error);
}
