/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/instance-volume.h"

#include "compute/host.h"
#include "core/error.h"
#include "core/quota.h"
#include "core/tag.h"
#include "storage/pool.h"

static const char sql_lock_instance[] =
    "SELECT state, host_id, zone, root_device_name, (SELECT count(*) FROM volume_attachment a"
    " WHERE a.instance_id = i.id), EXISTS (SELECT 1 FROM volume_attachment a"
    " WHERE a.instance_id = i.id AND a.device = $3) FROM instance i"
    " WHERE id = $1 AND account_id = $2 AND state <> 'terminated' FOR UPDATE";
enum { STATE, HOST_ID, ZONE, ROOT_DEVICE, ATTACHMENTS, DEVICE_TAKEN };
/* A snapshot's moment that was not made yet would be that of a later time. */
static const char sql_exportable[] =
    "SELECT count(*) = 2, EXISTS (SELECT 1 FROM snapshot WHERE volume_id = $1"
    " AND state = 'pending' AND NOT cut) FROM host WHERE id IN ($2, $3)"
    " AND tunnel_address IS NOT NULL";
static const char sql_hold_hosts[] =
    "SELECT 1 FROM host WHERE id IN ($1, $2) ORDER BY id FOR UPDATE";
static const char sql_generation[] = "UPDATE instance SET generation = $2 WHERE id = $1";

typedef struct {
    VirgaRows *rows;
    const char *id;
    bool runs, stopped;
} Instance;

static void
instance_clear(Instance *instance)
{
    g_clear_pointer(&instance->rows, virga_rows_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Instance, instance_clear)

static const char *
text(const Instance *instance, int column)
{
    return virga_rows_text(instance->rows, 0, column);
}

static bool
lock_instance(VirgaTxn *txn, const char *account_id, const char *id, const char *device,
              Instance *ret, GError **error)
{
    ret->id = id;
    ret->rows = virga_txn_query(txn, error, sql_lock_instance, "sss", id, account_id, device);
    if (!ret->rows)
        return false;
    if (virga_rows_count(ret->rows) == 0)
        return virga_fail(error, "instance", VIRGA_ERROR_NOT_FOUND,
                          "The instance ID '%s' does not exist", id);
    ret->runs = g_str_equal(text(ret, STATE), "running");
    ret->stopped = g_str_equal(text(ret, STATE), "stopped");
    return true;
}

static bool
check_instance(const Instance *instance, GError **error)
{
    if (instance->runs || instance->stopped)
        return true;
    return virga_fail(error, "volume instance", VIRGA_ERROR_STATE,
                      "Instance '%s' is not 'running' or 'stopped': it is '%s'.", instance->id,
                      text(instance, STATE));
}

static bool
check_fit(const Instance *instance, const VirgaVolume *volume, const char *device, GError **error)
{
    if (volume->instance_id)
        return virga_fail(error, "volume", VIRGA_ERROR_IN_USE,
                          "%s is already attached to an instance", volume->id);
    if (volume->deleting || volume->lost)
        return virga_fail(error, "volume", VIRGA_ERROR_STATE, "Volume '%s' is not 'available'.",
                          volume->id);
    if (!g_str_equal(volume->zone, text(instance, ZONE)))
        return virga_fail(error, "volume zone", VIRGA_ERROR_INVALID,
                          "The volume '%s' is not in the same availability zone as instance '%s'",
                          volume->id, instance->id);
    if (virga_rows_bool(instance->rows, 0, DEVICE_TAKEN))
        return virga_fail(error, "volume device", VIRGA_ERROR_INVALID,
                          "Invalid value '%s' for unixDevice. Attachment point %s is already in "
                          "use",
                          device, device);
    if (virga_rows_int(instance->rows, 0, ATTACHMENTS) >= VIRGA_ATTACHMENTS_MAX)
        return virga_fail(error, "volume device", VIRGA_ERROR_QUOTA,
                          "Volume attachment limit exceeded: an instance can have %d volumes",
                          VIRGA_ATTACHMENTS_MAX);
    return true;
}

/* Its bytes are on another host's disk. */
static bool
is_elsewhere(const Instance *instance, const VirgaVolume *volume)
{
    return volume->host_id && !virga_pool_is_shared(volume->pool) &&
           g_strcmp0(volume->host_id, text(instance, HOST_ID)) != 0;
}

/* Both hosts must be able to reach each other, and what is served must not change its shape. */
static bool
check_export(VirgaTxn *txn, const Instance *instance, const VirgaVolume *volume, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_exportable, "sss", volume->id,
                                                volume->host_id, text(instance, HOST_ID));

    if (!rows)
        return false;
    if (!volume->made || !virga_rows_bool(rows, 0, 0))
        return virga_fail(error, "volume", VIRGA_ERROR_UNSUPPORTED,
                          "The data of volume '%s' is kept on another host than the one of "
                          "instance '%s'",
                          volume->id, instance->id);
    return !virga_rows_bool(rows, 0, 1) ||
           virga_fail(error, "volume", VIRGA_ERROR_STATE,
                      "A snapshot of volume '%s' has just begun on another host than the one of "
                      "instance '%s'",
                      volume->id, instance->id);
}

/* Both hosts are to hear of it; their rows are taken in order of id. */
static bool
export_volume(VirgaTxn *txn, const Instance *instance, const VirgaVolume *volume, GError **error)
{
    gint64 generation;

    return virga_txn_run(txn, error, NULL, sql_hold_hosts, "ss", volume->host_id,
                         text(instance, HOST_ID)) &&
           virga_host_touch(txn, volume->host_id, &generation, error) &&
           virga_volume_export(txn, volume->id, volume->host_id, error);
}

static bool
tell_host(VirgaTxn *txn, const Instance *instance, GError **error)
{
    const char *host_id = text(instance, HOST_ID);
    gint64 generation;

    return !host_id ||
           (virga_host_touch(txn, host_id, &generation, error) &&
            virga_txn_run(txn, error, NULL, sql_generation, "si", instance->id, generation));
}

bool
virga_volume_attach(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *volume_id,
                    const char *instance_id, const char *device, VirgaVolume *ret, GError **error)
{
    g_auto(Instance) instance = { 0 };
    bool elsewhere;

    if (!lock_instance(txn, account_id, instance_id, device, &instance, error) ||
        !virga_volume_lock(txn, arena, account_id, volume_id, ret, error) ||
        !check_instance(&instance, error) || !check_fit(&instance, ret, device, error))
        return false;
    elsewhere = is_elsewhere(&instance, ret);
    return (!elsewhere || check_export(txn, &instance, ret, error)) &&
           virga_volume_put(txn, volume_id, instance_id, device,
                            elsewhere ? NULL : text(&instance, HOST_ID), instance.runs, error) &&
           (!elsewhere || export_volume(txn, &instance, ret, error)) &&
           tell_host(txn, &instance, error) &&
           virga_event_add(txn, error, volume_id, "attached to %s as %s", instance_id, device) &&
           virga_volume_lock(txn, arena, account_id, volume_id, ret, error);
}

/* The instance is locked before its volumes: which one it is is looked up first. */
static bool
lock_attached(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *volume_id,
              Instance *instance, VirgaVolume *ret, GError **error)
{
    const char *before;

    if (!virga_volume_find(txn, arena, account_id, volume_id, ret, error))
        return false;
    before = ret->instance_id;
    if (before && !lock_instance(txn, account_id, before, NULL, instance, error))
        return false;
    if (!virga_volume_lock(txn, arena, account_id, volume_id, ret, error))
        return false;
    if (g_strcmp0(before, ret->instance_id) != 0)
        return virga_fail(error, "database", VIRGA_ERROR_RETRY, "volume \"%s\" has just moved",
                          volume_id);
    if (!ret->instance_id)
        return virga_fail(error, "volume", VIRGA_ERROR_STATE,
                          "Volume '%s' is in the 'available' state.", volume_id);
    return true;
}

bool
virga_volume_detach(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *volume_id,
                    const char *instance_id, const char *device, VirgaVolume *ret, GError **error)
{
    g_auto(Instance) instance = { 0 };

    if (!lock_attached(txn, arena, account_id, volume_id, &instance, ret, error))
        return false;
    if ((instance_id && !g_str_equal(instance_id, ret->instance_id)) ||
        (device && !g_str_equal(device, ret->device)))
        return virga_fail(error, "volume attachment", VIRGA_ERROR_NOT_FOUND,
                          "Volume '%s' is not attached to instance '%s' as device %s", volume_id,
                          instance_id ? instance_id : ret->instance_id,
                          device ? device : ret->device);
    if (!instance.stopped && g_str_equal(ret->device, text(&instance, ROOT_DEVICE)))
        return virga_fail(error, "root volume", VIRGA_ERROR_STATE,
                          "Unable to detach root volume '%s' from instance '%s'", volume_id,
                          ret->instance_id);
    if (!check_instance(&instance, error))
        return false;
    ret->transition = "detaching";
    return virga_volume_take(txn, volume_id, instance.stopped, error) &&
           tell_host(txn, &instance, error) &&
           virga_event_add(txn, error, volume_id, "%s from %s",
                           instance.stopped ? "detached" : "asked to be detached",
                           ret->instance_id);
}

/* ---- changes ---- */

static bool
check_change(VirgaTxn *txn, VirgaArena *arena, const VirgaVolume *volume, GError **error)
{
    const char *ids[] = { volume->id, NULL };
    VirgaModification *modification;
    size_t count;

    if (volume->deleting || volume->lost)
        return virga_fail(error, "volume", VIRGA_ERROR_STATE, "Volume '%s' is in the '%s' state.",
                          volume->id, volume->lost ? "error" : "deleting");
    if (!virga_modification_list(txn, arena, volume->account_id, ids, &modification, &count, error))
        return false;
    return count == 0 || !g_str_equal(modification->state, "modifying") ||
           virga_fail(error, "volume modification", VIRGA_ERROR_STATE,
                      "The volume '%s' is already being modified.", volume->id);
}

bool
virga_volume_lock_for_change(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                             const char *volume_id, VirgaVolume *ret, GError **error)
{
    g_auto(Instance) instance = { 0 };
    const char *before;

    if (!virga_volume_find(txn, arena, account_id, volume_id, ret, error))
        return false;
    before = ret->instance_id;
    if (before && !lock_instance(txn, account_id, before, NULL, &instance, error))
        return false;
    if (!virga_volume_lock(txn, arena, account_id, volume_id, ret, error))
        return false;
    if (g_strcmp0(before, ret->instance_id) != 0)
        return virga_fail(error, "database", VIRGA_ERROR_RETRY, "volume \"%s\" has just moved",
                          volume_id);
    return check_change(txn, arena, ret, error);
}

bool
virga_volume_modify(VirgaTxn *txn, const VirgaVolume *volume, const VirgaVolumeShape *original,
                    const VirgaVolumeShape *target, GError **error)
{
    g_auto(Instance) instance = { 0 };

    if (volume->instance_id &&
        !lock_instance(txn, volume->account_id, volume->instance_id, NULL, &instance, error))
        return false;
    if (volume->exported && target->size_gib != original->size_gib)
        return virga_fail(error, "volume", VIRGA_ERROR_STATE,
                          "Volume '%s' is attached to an instance on another host than its own: "
                          "detach it before it is enlarged.",
                          volume->id);
    return virga_modification_begin(txn, volume->id, original, target,
                                    !volume->instance_id || instance.stopped, error) &&
           (!volume->instance_id || tell_host(txn, &instance, error)) &&
           virga_event_add(txn, error, volume->id,
                           "changed from %s, %" G_GINT64_FORMAT " GiB to %s, %" G_GINT64_FORMAT
                           " GiB",
                           original->type, original->size_gib, target->type, target->size_gib) &&
           (target->size_gib == original->size_gib ||
            virga_quota_claim(txn, volume->account_id, VIRGA_QUOTA_VOLUME_GIB,
                              target->size_gib - original->size_gib, error));
}
