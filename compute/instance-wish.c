/* SPDX-License-Identifier: Apache-2.0 */
/* Start, stop, terminate and reboot: each writes the wish and answers. */
#include "instance-priv.h"

#include "compute/host.h"
#include "core/quota.h"
#include "network/interface.h"

#include <string.h>

#define ATTEMPTS_MAX 4

static const char sql_update[] =
    "UPDATE instance SET wish = $3, force = $4, state = $5, generation = $6, claimed = claimed OR "
    "$7,"
    " reason_code = $8, reason_message = $9, transition_reason = $10,"
    " state_since = CASE WHEN state = $5 THEN state_since ELSE now() END,"
    " launched = CASE WHEN $11 THEN now() ELSE launched END"
    " WHERE id = $1 AND state = $2";
static const char sql_root[] =
    "SELECT 1 FROM instance i JOIN volume_attachment a ON a.instance_id = i.id"
    " AND a.device = i.root_device_name WHERE i.id = $1";
static const char sql_reboot[] =
    "UPDATE instance SET reboots = reboots + 1, generation = $2 WHERE id = $1";

/* One change of an instance's wish. */
typedef struct {
    VirgaWish wish;
    bool force;
    VirgaInstanceState state; /* as the caller will see it */
    bool claims;              /* it has been given room */
    const char *code, *message;
    bool launched; /* a new life: the launch time moves */
} Change;

static bool
write_change(VirgaTxn *txn, const VirgaInstance *instance, const Change *change, gint64 generation,
             GError **error)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *when = g_date_time_format(now, "%Y-%m-%d %H:%M:%S GMT");
    g_autofree char *transition = change->wish == VIRGA_WISH_RUN
                                      ? g_strdup("")
                                      : g_strdup_printf("User initiated (%s)", when);
    gint64 updated;

    if (!virga_txn_run(txn, error, &updated, sql_update, "sssbsibsssb", instance->id,
                       virga_instance_state_name(instance->state), virga_wish_name(change->wish),
                       change->force, virga_instance_state_name(change->state), generation,
                       change->claims, change->code, change->message, transition, change->launched))
        return false;
    g_assert(updated == 1); /* the row is locked */
    return virga_event_add(
        txn, error, instance->id, "asked to %s: %s -> %s", virga_wish_name(change->wish),
        virga_instance_state_name(instance->state), virga_instance_state_name(change->state));
}

static bool
change_one(VirgaTxn *txn, const VirgaInstance *instance, const Change *change, GError **error)
{
    gint64 generation = 0;

    if (instance->host_id && !virga_host_touch(txn, instance->host_id, &generation, error))
        return false;
    return write_change(txn, instance, change, generation, error);
}

/* Room on the instance's own host, where its volumes are.  'ret_generation' is 0 without. */
static bool
claim_again(VirgaTxn *txn, const VirgaInstance *instance, const VirgaPlaceRequest *request,
            const VirgaPlaceHost *hosts, size_t count, gint64 *ret_generation, GError **error)
{
    *ret_generation = 0;
    if (!virga_place(request, hosts, count))
        return true;
    return virga_host_claim(txn, instance->host_id, request->vcpus, request->memory_mib,
                            ret_generation, error);
}

/* Its root volume may have been detached while it was stopped. */
static bool
check_root(VirgaTxn *txn, const VirgaInstance *instance, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_root, "s", instance->id);

    if (!rows)
        return false;
    return virga_rows_count(rows) > 0 ||
           virga_fail(error, "instance", VIRGA_ERROR_STATE,
                      "Invalid value '%s' for instanceId. Instance does not have a volume attached "
                      "at root (%s)",
                      instance->id, instance->root_device_name);
}

/* Starting claims the room that stopping gave back; the volumes bind it to its host.  An instance
 * that was called stopped while its host was silent still has its room. */
static bool
start_one(VirgaTxn *txn, VirgaArena *arena, const VirgaInstance *instance, GError **error)
{
    Change change = {
        .wish = VIRGA_WISH_RUN, .state = VIRGA_INSTANCE_PENDING, .claims = true, .launched = true
    };
    VirgaPlaceRequest request = { .host_id = instance->host_id,
                                  .vcpus = instance->claimed ? 0 : instance->vcpus,
                                  .memory_mib = instance->claimed ? 0 : instance->memory_mib };
    gint64 generation;
    VirgaHost *hosts;
    VirgaPlaceHost *places;
    size_t count;

    if (!check_root(txn, instance, error) || !virga_host_list(txn, arena, &hosts, &count, error))
        return false;
    places = virga_host_places(arena, hosts, count);
    if (!claim_again(txn, instance, &request, places, count, &generation, error))
        return false;
    if (generation == 0) {
        g_autofree char *why = virga_place_explain(&request, places, count);
        return virga_fail(error, "instance", VIRGA_ERROR_CAPACITY,
                          "There is not enough capacity to start '%s'. %s", instance->id, why);
    }
    return write_change(txn, instance, &change, generation, error) &&
           virga_interface_claim_public(txn, instance->id, error) &&
           virga_quota_claim(txn, instance->account_id, VIRGA_QUOTA_VCPUS, request.vcpus, error);
}

static bool
fail_state(const VirgaInstance *instance, const char *verb, GError **error)
{
    return virga_fail(error, "instance", VIRGA_ERROR_STATE,
                      "The instance '%s' is not in a state from which it can be %s.", instance->id,
                      verb);
}

typedef struct {
    const char *account_id;
    const char *const *ids;
    bool force, dry_run;
} Call;

typedef bool (*Step)(VirgaTxn *txn, VirgaArena *arena, const Call *call,
                     const VirgaInstance *instance, VirgaInstanceState *ret_after, GError **error);

static bool
step_start(VirgaTxn *txn, VirgaArena *arena, const Call *call, const VirgaInstance *instance,
           VirgaInstanceState *ret_after, GError **error)
{
    *ret_after = instance->state;
    if (instance->state == VIRGA_INSTANCE_RUNNING || instance->state == VIRGA_INSTANCE_PENDING)
        return true;
    if (instance->state != VIRGA_INSTANCE_STOPPED)
        return fail_state(instance, "started", error);
    *ret_after = VIRGA_INSTANCE_PENDING;
    return start_one(txn, arena, instance, error);
}

static bool
step_stop(VirgaTxn *txn, VirgaArena *arena, const Call *call, const VirgaInstance *instance,
          VirgaInstanceState *ret_after, GError **error)
{
    Change change = { .wish = VIRGA_WISH_STOP,
                      .force = call->force,
                      .state = VIRGA_INSTANCE_STOPPING,
                      .code = "Client.UserInitiatedShutdown",
                      .message = "Client.UserInitiatedShutdown: User initiated shutdown" };

    *ret_after = instance->state;
    if (instance->state == VIRGA_INSTANCE_STOPPED ||
        (instance->state == VIRGA_INSTANCE_STOPPING && !call->force))
        return true;
    if (instance->state != VIRGA_INSTANCE_RUNNING && instance->state != VIRGA_INSTANCE_PENDING &&
        instance->state != VIRGA_INSTANCE_STOPPING)
        return fail_state(instance, "stopped", error);
    if (instance->disable_stop)
        return virga_fail(error, "instance", VIRGA_ERROR_DENIED,
                          "The instance '%s' may not be stopped. Modify its 'disableApiStop' "
                          "instance attribute and try again.",
                          instance->id);
    *ret_after = VIRGA_INSTANCE_STOPPING;
    return change_one(txn, instance, &change, error);
}

static bool
step_terminate(VirgaTxn *txn, VirgaArena *arena, const Call *call, const VirgaInstance *instance,
               VirgaInstanceState *ret_after, GError **error)
{
    Change change = { .wish = VIRGA_WISH_TERMINATE,
                      .state = VIRGA_INSTANCE_SHUTTING_DOWN,
                      .code = "Client.UserInitiatedShutdown",
                      .message = "Client.UserInitiatedShutdown: User initiated shutdown" };

    *ret_after = instance->state;
    if (instance->wish == VIRGA_WISH_TERMINATE)
        return true;
    if (instance->disable_termination)
        return virga_fail(error, "instance", VIRGA_ERROR_DENIED,
                          "The instance '%s' may not be terminated. Modify its "
                          "'disableApiTermination' instance attribute and try again.",
                          instance->id);
    *ret_after = VIRGA_INSTANCE_SHUTTING_DOWN;
    return change_one(txn, instance, &change, error);
}

static bool
step_reboot(VirgaTxn *txn, VirgaArena *arena, const Call *call, const VirgaInstance *instance,
            VirgaInstanceState *ret_after, GError **error)
{
    gint64 generation;

    *ret_after = instance->state;
    if (instance->state != VIRGA_INSTANCE_RUNNING && instance->state != VIRGA_INSTANCE_PENDING)
        return fail_state(instance, "rebooted", error);
    return virga_host_touch(txn, instance->host_id, &generation, error) &&
           virga_txn_run(txn, error, NULL, sql_reboot, "si", instance->id, generation) &&
           virga_event_add(txn, error, instance->id, "asked to reboot");
}

static bool
attempt(VirgaDb *db, VirgaArena *arena, const Call *call, Step step, VirgaInstanceChange **ret,
        GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(db, error);
    VirgaInstance *instances;
    VirgaInstanceChange *changes;
    size_t count;

    if (!txn ||
        !virga_instance_lock(txn, arena, call->account_id, call->ids, &instances, &count, error) ||
        /* A start gives addresses back to interfaces, of which their VPCs hear. */
        (count > 1 &&
         !virga_instance_hold(txn, arena, instances, count, step == step_start, error)))
        return false;
    changes = virga_arena_new_array(arena, VirgaInstanceChange, count);
    for (size_t i = 0; i < count; i++) {
        bool again = false; /* the same id twice in one call: its first mention did it */

        for (size_t j = 0; j < i && !again; j++)
            if (g_str_equal(instances[j].id, instances[i].id)) {
                changes[i] = changes[j];
                again = true;
            }
        if (again)
            continue;
        changes[i].id = instances[i].id;
        changes[i].before = instances[i].state;
        if (!step(txn, arena, call, &instances[i], &changes[i].after, error))
            return false;
    }
    *ret = changes;
    return call->dry_run || virga_txn_commit(txn, error);
}

static bool
run(VirgaDb *db, VirgaArena *arena, const Call *call, Step step, VirgaInstanceChange **ret,
    GError **error)
{
    g_autoptr(GError) reason = NULL;

    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        g_clear_error(&reason);
        if (attempt(db, arena, call, step, ret, &reason))
            return true;
        if (!virga_error_is(reason, "database", VIRGA_ERROR_RETRY))
            break;
    }
    g_propagate_error(error, g_steal_pointer(&reason));
    return false;
}

bool
virga_instance_start(VirgaDb *db, VirgaArena *arena, const char *account_id, const char *const *ids,
                     bool dry_run, VirgaInstanceChange **ret, GError **error)
{
    Call call = { .account_id = account_id, .ids = ids, .dry_run = dry_run };

    return run(db, arena, &call, step_start, ret, error);
}

bool
virga_instance_stop(VirgaDb *db, VirgaArena *arena, const char *account_id, const char *const *ids,
                    bool force, bool dry_run, VirgaInstanceChange **ret, GError **error)
{
    Call call = { .account_id = account_id, .ids = ids, .force = force, .dry_run = dry_run };

    return run(db, arena, &call, step_stop, ret, error);
}

bool
virga_instance_terminate(VirgaDb *db, VirgaArena *arena, const char *account_id,
                         const char *const *ids, bool dry_run, VirgaInstanceChange **ret,
                         GError **error)
{
    Call call = { .account_id = account_id, .ids = ids, .dry_run = dry_run };

    return run(db, arena, &call, step_terminate, ret, error);
}

bool
virga_instance_reboot(VirgaDb *db, const char *account_id, const char *const *ids, bool dry_run,
                      GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    Call call = { .account_id = account_id, .ids = ids, .dry_run = dry_run };
    VirgaInstanceChange *changes;

    return run(db, arena, &call, step_reboot, &changes, error);
}
