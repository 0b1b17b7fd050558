/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of one instance at a time: its console, its user data, and the attributes that can
 * be changed after the launch. */
#include "instance-priv.h"

#include "compute/host.h"
#include "core/quota.h"
#include "network/interface.h"
#include "network/vpc.h"
#include "storage/volume.h"

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
static const char sql_resize[] =
    "UPDATE instance SET type = $2, vcpus = $3, memory_mib = $4, bandwidth_mbit = $5 WHERE id = $1";
static const char sql_fits[] = "SELECT 1 FROM host WHERE id = $1 AND vcpus >= $2"
                               " AND memory_mib >= $3";
static const char sql_metadata[] =
    "UPDATE instance SET http_tokens = coalesce($2, http_tokens),"
    " http_endpoint = coalesce($3, http_endpoint), http_tags = coalesce($4, http_tags),"
    " http_hops = CASE WHEN $5 = 0 THEN http_hops ELSE $5 END,"
    " metadata_pending = host_id IS NOT NULL WHERE id = $1";
static const char sql_monitoring[] = "UPDATE instance SET monitoring = $2 WHERE id = ANY ($1)";
static const char sql_credits[] =
    "SELECT id, cpu_credits FROM instance WHERE account_id = $1 AND id = ANY ($2)";
static const char sql_set_credits[] =
    "UPDATE instance SET cpu_credits = $3 WHERE account_id = $1 AND id = $2";
static const char sql_generation[] = "UPDATE instance SET generation = $2 WHERE id = $1";
static const char sql_shows_tags[] =
    "SELECT host_id FROM instance WHERE id = $1 AND http_tags = 'enabled'"
    " AND host_id IS NOT NULL FOR UPDATE";
static const char sql_in_vpc[] =
    "SELECT id, host_id FROM instance WHERE vpc_id = $2 AND account_id = $1"
    " AND host_id IS NOT NULL ORDER BY id FOR UPDATE";

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

/* The host learns of it: what it knows of the guest (user data, tags) has changed. */
static bool
renew(VirgaTxn *txn, const char *id, const char *host_id, GError **error)
{
    gint64 generation;

    return virga_host_touch(txn, host_id, &generation, error) &&
           virga_txn_run(txn, error, NULL, sql_generation, "si", id, generation);
}

static bool
lock_one(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
         VirgaInstance **ret, GError **error)
{
    const char *ids[] = { id, NULL };
    size_t count;

    if (!virga_instance_lock(txn, arena, account_id, ids, ret, &count, error))
        return false;
    if ((*ret)->state == VIRGA_INSTANCE_TERMINATED || (*ret)->wish == VIRGA_WISH_TERMINATE)
        return virga_fail(error, "instance", VIRGA_ERROR_STATE,
                          "This instance '%s' is not in a valid state for the requested operation.",
                          id);
    return true;
}

static bool
check_stopped(const VirgaInstance *instance, const VirgaInstanceAttributes *attributes,
              GError **error)
{
    bool needed = attributes->user_data || attributes->type || attributes->ebs_optimized >= 0 ||
                  attributes->stopped_only;

    return !needed || instance->state == VIRGA_INSTANCE_STOPPED ||
           virga_fail(error, "instance", VIRGA_ERROR_STATE,
                      "The instance '%s' is not in the 'stopped' state.", instance->id);
}

/* A stopped instance has no room; starting claims what its type needs then.  One that was called
 * stopped while its host was silent still has it, so that it is exchanged here. */
static bool
exchange_room(VirgaTxn *txn, const VirgaInstance *instance, const VirgaInstanceType *type,
              bool *ret_fits, GError **error)
{
    gint64 generation;

    if (!virga_host_unclaim(txn, instance->host_id, instance->vcpus, instance->memory_mib, error) ||
        !virga_host_claim(txn, instance->host_id, type->vcpus, type->memory_mib, &generation,
                          error))
        return false;
    *ret_fits = generation != 0;
    return true;
}

static bool
resize(VirgaTxn *txn, const VirgaInstance *instance, const VirgaInstanceType *type, GError **error)
{
    bool fits;

    if (instance->claimed) {
        if (!exchange_room(txn, instance, type, &fits, error))
            return false;
    } else {
        g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_fits, "sii", instance->host_id,
                                                    type->vcpus, type->memory_mib);

        if (!rows)
            return false;
        fits = virga_rows_count(rows) > 0;
    }
    if (fits && instance->claimed &&
        !virga_quota_claim(txn, instance->account_id, VIRGA_QUOTA_VCPUS,
                           type->vcpus - instance->vcpus, error))
        return false;
    if (!fits)
        return virga_fail(error, "instance", VIRGA_ERROR_CAPACITY,
                          "There is not enough capacity for the type %s on the host that holds the "
                          "volumes of '%s'",
                          type->name, instance->id);
    return virga_txn_run(txn, error, NULL, sql_resize, "ssiii", instance->id, type->name,
                         type->vcpus, type->memory_mib, type->bandwidth_mbit) &&
           virga_vpc_touch(txn, instance->vpc_id, error) &&
           virga_event_add(txn, error, instance->id, "changed from %s to %s", instance->type,
                           type->name);
}

static bool
change_disks(VirgaTxn *txn, const char *id, const VirgaInstanceAttributes *attributes,
             GError **error)
{
    for (size_t i = 0; i < attributes->disk_count; i++) {
        const VirgaDiskChange *disk = &attributes->disks[i];
        bool found;

        if (!virga_volume_set_delete(txn, id, disk->device, disk->volume_id,
                                     disk->delete_on_termination, &found, error))
            return false;
        if (!found)
            return virga_fail(error, "instance device", VIRGA_ERROR_NOT_FOUND,
                              "No device is currently mapped at %s", disk->device);
    }
    return true;
}

bool
virga_instance_change(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                      const VirgaInstanceAttributes *attributes, GError **error)
{
    bool tells_host = attributes->user_data || attributes->type || attributes->group_ids ||
                      attributes->disk_count;
    VirgaInstance *instance;

    if (!lock_one(txn, arena, account_id, id, &instance, error) ||
        !check_stopped(instance, attributes, error) ||
        !virga_txn_run(txn, error, NULL, sql_set, "smmmss", id, attributes->disable_termination,
                       attributes->disable_stop, attributes->ebs_optimized,
                       attributes->shutdown_behavior, attributes->user_data) ||
        (attributes->type && !resize(txn, instance, attributes->type, error)) ||
        !change_disks(txn, id, attributes, error))
        return false;
    if (tells_host && instance->host_id && !renew(txn, id, instance->host_id, error))
        return false;
    /* The VPC last: its row is what others wait for. */
    if (attributes->group_ids && !virga_interface_set_groups(txn, id, attributes->group_ids, error))
        return false;
    return attributes->source_dest_check < 0 ||
           virga_interface_set_check(txn, id, attributes->source_dest_check, error);
}

bool
virga_instance_set_metadata(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            const char *id, const VirgaMetadataOptions *options,
                            VirgaInstance **ret, GError **error)
{
    return lock_one(txn, arena, account_id, id, ret, error) &&
           virga_txn_run(txn, error, NULL, sql_metadata, "ssssi", id, options->http_tokens,
                         options->http_endpoint, options->http_tags, options->http_hops) &&
           (!(*ret)->host_id || renew(txn, id, (*ret)->host_id, error)) &&
           lock_one(txn, arena, account_id, id, ret, error);
}

bool
virga_instance_set_monitoring(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                              const char *const *ids, bool monitoring, GError **error)
{
    VirgaInstance *instances;
    size_t count;

    return virga_instance_lock(txn, arena, account_id, ids, &instances, &count, error) &&
           virga_txn_run(txn, error, NULL, sql_monitoring, "ab", ids, monitoring);
}

bool
virga_instance_credits(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                       const char *const *ids, char ***ret, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_credits, "sa", account_id, ids);
    g_autoptr(GHashTable) by_id = g_hash_table_new(g_str_hash, g_str_equal);

    if (!rows)
        return false;
    for (int i = 0; i < virga_rows_count(rows); i++)
        g_hash_table_insert(by_id, (gpointer) virga_rows_text(rows, i, 0),
                            virga_rows_dup(rows, arena, i, 1));
    *ret = virga_arena_new_array(arena, char *, g_strv_length((char **) ids));
    for (size_t i = 0; ids[i]; i++)
        (*ret)[i] = g_hash_table_lookup(by_id, ids[i]);
    return true;
}

bool
virga_instance_set_credits(VirgaTxn *txn, const char *account_id, const char *id,
                           const char *credits, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_set_credits, "sss", account_id, id, credits);
}

bool
virga_instance_tags_changed(VirgaTxn *txn, const char *id, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_shows_tags, "s", id);

    if (!rows)
        return false;
    return virga_rows_count(rows) == 0 || renew(txn, id, virga_rows_text(rows, 0, 0), error);
}

bool
virga_instance_vpc_changed(VirgaTxn *txn, const char *account_id, const char *vpc_id,
                           GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_in_vpc, "ss", account_id, vpc_id);

    if (!rows)
        return false;
    for (int i = 0; i < virga_rows_count(rows); i++)
        if (!renew(txn, virga_rows_text(rows, i, 0), virga_rows_text(rows, i, 1), error))
            return false;
    return true;
}
