/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/instance-network.h"

#include "compute/host.h"
#include "core/error.h"
#include "network/vpc.h"

static const char sql_lock_instance[] =
    "SELECT id FROM instance WHERE id ="
    " (SELECT instance_id FROM network_interface WHERE id = $1 AND account_id = $2) FOR UPDATE";
static const char sql_lock[] =
    "SELECT id FROM network_interface WHERE id = $1 AND account_id = $2 FOR UPDATE";
static const char sql_lock_named[] =
    "SELECT state FROM instance WHERE id = $1 AND account_id = $2 FOR UPDATE";
static const char sql_lock_of[] =
    "SELECT id FROM network_interface WHERE instance_id = $1 AND account_id = $2 ORDER BY id"
    " FOR UPDATE";
static const char sql_instances[] =
    "SELECT i.id, i.host_id FROM instance i WHERE i.host_id IS NOT NULL AND i.id IN"
    " (SELECT instance_id FROM network_interface WHERE id = ANY ($1)) ORDER BY i.id FOR UPDATE";
static const char sql_lost_public[] =
    "SELECT n.id FROM network_interface n JOIN instance i ON i.id = n.instance_id"
    " WHERE n.id = ANY ($1) AND n.wants_public AND i.wish = 'run' AND NOT EXISTS"
    " (SELECT 1 FROM public_address p WHERE p.interface_id = n.id"
    " AND p.private_address = n.address) ORDER BY n.id";
static const char sql_hold_hosts[] =
    "SELECT 1 FROM host WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE";
static const char sql_hold_vpcs[] =
    "SELECT 1 FROM vpc WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE";
static const char sql_generation[] = "UPDATE instance SET generation = $2 WHERE id = $1";
static const char sql_vpcs[] =
    "SELECT DISTINCT vpc_id FROM network_interface WHERE id = ANY ($1) ORDER BY vpc_id";

bool
virga_rows_hold(VirgaTxn *txn, const char *const *host_ids, const char *const *vpc_ids,
                GError **error)
{
    return (!*host_ids || virga_txn_post(txn, error, sql_hold_hosts, "a", host_ids)) &&
           (!*vpc_ids || virga_txn_post(txn, error, sql_hold_vpcs, "a", vpc_ids));
}

static bool
read_one(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
         VirgaInterface *ret, GError **error)
{
    const char *ids[] = { id, NULL };
    VirgaInterface *rows;
    size_t count;

    if (!virga_interface_find(txn, arena, account_id, ids, &rows, &count, error))
        return false;
    if (count == 0)
        return virga_fail(error, "network interface", VIRGA_ERROR_NOT_FOUND,
                          "The networkInterface ID '%s' does not exist", id);
    *ret = rows[0];
    return true;
}

bool
virga_interface_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                     VirgaInterface *ret, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_lock_instance, "ss", id, account_id) &&
           virga_txn_run(txn, error, NULL, sql_lock, "ss", id, account_id) &&
           read_one(txn, arena, account_id, id, ret, error);
}

static bool
is_settled(const char *state)
{
    return g_str_equal(state, "running") || g_str_equal(state, "stopping") ||
           g_str_equal(state, "stopped");
}

bool
virga_interface_lock_only(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                          const char *instance_id, VirgaInterface *ret, GError **error)
{
    g_autoptr(VirgaRows) instance =
        virga_txn_query(txn, error, sql_lock_named, "ss", instance_id, account_id);
    g_autoptr(VirgaRows) rows =
        instance ? virga_txn_query(txn, error, sql_lock_of, "ss", instance_id, account_id) : NULL;
    const char *state;

    if (!rows)
        return false;
    if (virga_rows_count(instance) == 0)
        return virga_fail(error, "instance", VIRGA_ERROR_NOT_FOUND,
                          "The instance ID '%s' does not exist", instance_id);
    state = virga_rows_text(instance, 0, 0);
    if (virga_rows_count(rows) == 0 || !is_settled(state))
        return virga_fail(error, "instance interface", VIRGA_ERROR_STATE,
                          "The %s instance '%s' is not in a valid state for this operation.", state,
                          instance_id);
    if (virga_rows_count(rows) > 1)
        return virga_fail(error, "instance interface", VIRGA_ERROR_CONFLICT,
                          "There are multiple interfaces attached to instance '%s'. Please specify "
                          "an interface ID for the operation instead.",
                          instance_id);
    return read_one(txn, arena, account_id, virga_rows_text(rows, 0, 0), ret, error);
}

static bool
tell_hosts(VirgaTxn *txn, const char *const *ids, GError **error)
{
    static const char *const none[] = { NULL };
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_instances, "a", ids);
    g_autofree const char **hosts = rows ? g_new0(const char *, virga_rows_count(rows) + 1) : NULL;

    if (!rows)
        return false;
    for (int i = 0; i < virga_rows_count(rows); i++)
        hosts[i] = virga_rows_text(rows, i, 1);
    if (!virga_rows_hold(txn, hosts, none, error))
        return false;
    for (int i = 0; i < virga_rows_count(rows); i++) {
        gint64 generation;

        if (!virga_host_touch(txn, virga_rows_text(rows, i, 1), &generation, error) ||
            !virga_txn_run(txn, error, NULL, sql_generation, "si", virga_rows_text(rows, i, 0),
                           generation))
            return false;
    }
    return true;
}

static bool
regain_public(VirgaTxn *txn, const char *const *ids, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_lost_public, "a", ids);

    if (!rows)
        return false;
    for (int i = 0; i < virga_rows_count(rows); i++)
        if (!virga_interface_regain_public(txn, virga_rows_text(rows, i, 0), error))
            return false;
    return true;
}

static bool
tell_vpcs(VirgaTxn *txn, const char *const *ids, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_vpcs, "a", ids);

    if (!rows)
        return false;
    for (int i = 0; i < virga_rows_count(rows); i++)
        if (!virga_vpc_touch(txn, virga_rows_text(rows, i, 0), error))
            return false;
    return true;
}

bool
virga_interface_changed(VirgaTxn *txn, const char *const *ids, GError **error)
{
    return regain_public(txn, ids, error) && tell_hosts(txn, ids, error) &&
           tell_vpcs(txn, ids, error);
}
