/* SPDX-License-Identifier: Apache-2.0 */
/* From a host's facts to the state that users see.
 *
 *     wish       state          fact                     becomes
 *     run        pending        running                  running
 *     run        pending        failed, first life       shutting-down, wish terminate
 *     run        pending        failed, after a stop     stopped, wish stop
 *     run        running        failed                   stopped, wish stop
 *     run        any            switched off by guest    stopped, or shutting-down, by attribute
 *     stop       any            off                      stopped; its room is free again
 *     terminate  any            absent                   terminated; all it held is given back
 *
 * Every state survives a crash: each is a row, and the host repeats its facts. */
#include "instance-priv.h"

#include "compute/fleet.h"
#include "compute/host.h"
#include "compute/instance-network.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/quota.h"
#include "network/interface.h"
#include "network/vpc.h"
#include "storage/volume-modification.h"
#include "storage/volume.h"

#include <string.h>

#define STUCK_S 600 /* a transient state that lasts longer than this is given up */

#define MOVING                                                                                     \
    "EXISTS (SELECT 1 FROM network_interface n WHERE n.instance_id = i.id AND n.transition IS NOT" \
    " NULL), EXISTS (SELECT 1 FROM volume_attachment a WHERE a.instance_id = i.id"                 \
    " AND a.transition IS NOT NULL), EXISTS (SELECT 1 FROM volume_modification m"                  \
    " JOIN volume_attachment a ON a.volume_id = m.volume_id WHERE m.state = 'modifying'"           \
    " AND a.instance_id = i.id)"
static const char sql_lock[] =
    "SELECT " INSTANCE_COLUMNS ", i.generation, " MOVING " FROM instance i"
    " WHERE i.id = ANY ($1) AND i.host_id = $2 ORDER BY i.id FOR UPDATE";
enum { GENERATION = INSTANCE_COLUMN_COUNT, HAS_MOVING, HAS_MOVING_VOLUMES, HAS_MODIFIED };
static const char sql_update[] =
    "UPDATE instance SET wish = $2, state = $3, claimed = $4, ran = ran OR $5,"
    " reason_code = nullif($6, ''), reason_message = nullif($7, ''), transition_reason = $8,"
    " host_id = CASE WHEN $9 THEN NULL ELSE host_id END, generation = $10,"
    " reboots_done = greatest(reboots_done, $11), reachable = $12,"
    " state_since = CASE WHEN state = $3 THEN state_since ELSE now() END,"
    " reachable_since = CASE WHEN reachable = $12 THEN reachable_since ELSE now() END,"
    " console = coalesce($13, console), metadata_pending = false,"
    " console_at = CASE WHEN $13 IS NULL THEN console_at ELSE now() END"
    " WHERE id = $1";
static const char sql_console[] =
    "UPDATE instance SET console = $2, console_at = now() WHERE id = $1";
/* Only what a host failed to move within the time; a host that reports still does its best. */
static const char sql_stuck[] =
    "SELECT " INSTANCE_COLUMNS ", i.generation, " MOVING " FROM instance i JOIN host h"
    " ON h.id = i.host_id WHERE i.state IN ('pending', 'stopping', 'shutting-down')"
    " AND i.state_since < now() - make_interval(secs => $1)"
    " AND h.seen < now() - make_interval(secs => $1) ORDER BY i.id LIMIT 100"
    " FOR UPDATE OF i SKIP LOCKED";
static const char sql_forget_tokens[] =
    "DELETE FROM client_token WHERE created < now() - interval '1 day'";
/* Only what no host has anything of.  A repeated launch is answered with its instances as long as
 * its token lives. */
static const char sql_forget_terminated[] =
    "WITH gone AS (DELETE FROM instance WHERE id IN (SELECT i.id FROM instance i"
    "  WHERE i.state = 'terminated' AND i.host_id IS NULL"
    "  AND i.state_since < now() - make_interval(secs => $1) AND NOT EXISTS"
    "  (SELECT 1 FROM client_token t WHERE t.resource_id = i.reservation_id)"
    "  ORDER BY i.state_since LIMIT 1000 FOR UPDATE SKIP LOCKED) RETURNING id)"
    " DELETE FROM tag USING gone WHERE tag.resource_id = gone.id";
static const char sql_forget_events[] = "DELETE FROM event WHERE at < now() - interval '14 days'";

static VirgaInstanceSettled
unchanged(const VirgaInstance *instance)
{
    return (VirgaInstanceSettled){ .wish = instance->wish, .state = instance->state };
}

/* A start that cannot succeed.  The first one ends the instance, as in EC2; a later one leaves it
 * stopped with its disks. */
static VirgaInstanceSettled
settle_failed(const VirgaInstance *instance, const VirgaInstanceFacts *facts)
{
    VirgaInstanceSettled settled = unchanged(instance);

    settled.reason_code = facts->code ? facts->code : "Server.InternalError";
    settled.reason_message = facts->message ? facts->message : "Server.InternalError";
    if (!instance->ran && instance->state == VIRGA_INSTANCE_PENDING) {
        settled.wish = VIRGA_WISH_TERMINATE;
        settled.state = VIRGA_INSTANCE_SHUTTING_DOWN;
    } else {
        settled.wish = VIRGA_WISH_STOP;
        settled.state = VIRGA_INSTANCE_STOPPED;
        settled.unclaim = true;
    }
    return settled;
}

static VirgaInstanceSettled
settle_guest_off(const VirgaInstance *instance)
{
    VirgaInstanceSettled settled = unchanged(instance);

    settled.reason_code = "Client.InstanceInitiatedShutdown";
    settled.reason_message = "Client.InstanceInitiatedShutdown: Instance initiated shutdown";
    if (g_str_equal(instance->shutdown_behavior, "terminate") && !instance->disable_termination) {
        settled.wish = VIRGA_WISH_TERMINATE;
        settled.state = VIRGA_INSTANCE_SHUTTING_DOWN;
    } else {
        settled.wish = VIRGA_WISH_STOP;
        settled.state = VIRGA_INSTANCE_STOPPED;
        settled.unclaim = true;
    }
    return settled;
}

VirgaInstanceSettled
virga_instance_settle(const VirgaInstance *instance, const VirgaInstanceFacts *facts)
{
    VirgaInstanceSettled settled = unchanged(instance);

    if (instance->wish == VIRGA_WISH_TERMINATE) {
        if (facts->power == VIRGA_POWER_ABSENT) {
            settled.state = VIRGA_INSTANCE_TERMINATED;
            settled.unclaim = settled.gone = true;
        }
        return settled;
    }
    if (instance->wish == VIRGA_WISH_STOP) {
        if (facts->power == VIRGA_POWER_OFF || facts->power == VIRGA_POWER_OFF_GUEST ||
            facts->power == VIRGA_POWER_FAILED) {
            settled.state = VIRGA_INSTANCE_STOPPED;
            settled.unclaim = true;
        }
        return settled;
    }
    switch (facts->power) {
    case VIRGA_POWER_RUNNING:
        settled.state = VIRGA_INSTANCE_RUNNING;
        if (instance->state != VIRGA_INSTANCE_RUNNING)
            settled.reason_code = settled.reason_message = "";
        return settled;
    case VIRGA_POWER_FAILED:
        return settle_failed(instance, facts);
    case VIRGA_POWER_OFF_GUEST:
        return settle_guest_off(instance);
    default:
        return settled; /* the host is at it */
    }
}

static bool
record_volumes(VirgaTxn *txn, const VirgaInstanceFacts *facts, GError **error)
{
    for (const char *const *id = facts->made; id && *id; id++)
        if (!virga_volume_set_made(txn, *id, error))
            return false;
    for (const char *const *id = facts->lost; id && *id; id++)
        if (!virga_volume_set_lost(txn, *id, error) ||
            !virga_event_add(txn, error, *id, "its file has vanished from the host"))
            return false;
    return true;
}

/* Gives back what a state no longer needs. */
static bool
give_back(VirgaTxn *txn, const VirgaInstance *instance, const VirgaInstanceFacts *facts,
          const VirgaInstanceSettled *settled, VirgaQuotaBook *quotas, GError **error)
{
    const char *account_id = instance->account_id;
    gint64 volumes, gib;

    if (settled->unclaim && instance->claimed) {
        virga_quota_book_add(quotas, account_id, VIRGA_QUOTA_VCPUS, -instance->vcpus);
        if (!virga_host_unclaim(txn, instance->host_id, instance->vcpus, instance->memory_mib,
                                error))
            return false;
    }
    if (settled->gone) {
        gint64 generation;

        if (facts->kept && *facts->kept &&
            !virga_host_touch(txn, instance->host_id, &generation, error))
            return false;
        if (!virga_interface_release(txn, instance->id, error) ||
            !virga_volume_release(txn, instance->id, facts->kept, &volumes, &gib, error))
            return false;
        virga_quota_book_add(quotas, account_id, VIRGA_QUOTA_INSTANCES, -1);
        virga_quota_book_add(quotas, account_id, VIRGA_QUOTA_VOLUMES, -volumes);
        virga_quota_book_add(quotas, account_id, VIRGA_QUOTA_VOLUME_GIB, -gib);
        return true;
    }
    if (settled->state == VIRGA_INSTANCE_STOPPED && instance->state != VIRGA_INSTANCE_STOPPED)
        return virga_interface_release_public(txn, instance->id, error);
    return true;
}

/* A user's request dates its transition reason; one that came from the guest or from us does too,
 * in the state reason. */
static bool
write_settled(VirgaTxn *txn, const VirgaInstance *instance, const VirgaInstanceFacts *facts,
              const VirgaInstanceSettled *settled, gint64 generation, GError **error)
{
    const char *code = settled->reason_code ? settled->reason_code : instance->reason_code;
    const char *message =
        settled->reason_message ? settled->reason_message : instance->reason_message;
    const char *reachable = settled->state != VIRGA_INSTANCE_RUNNING ? "not-applicable"
                            : facts->reachable                       ? facts->reachable
                            : instance->state == settled->state      ? instance->reachable
                                                                     : "initializing";

    if (settled->wish != instance->wish &&
        !virga_host_touch(txn, instance->host_id, &generation, error))
        return false;
    return virga_txn_run(
        txn, error, NULL, sql_update, "sssbbsssbiiss", instance->id, virga_wish_name(settled->wish),
        virga_instance_state_name(settled->state), instance->claimed && !settled->unclaim,
        facts->power == VIRGA_POWER_RUNNING, code, message, instance->transition_reason,
        settled->gone, generation, facts->reboots_done, reachable, facts->console);
}

static bool
log_change(VirgaTxn *txn, const VirgaInstance *instance, const VirgaInstanceSettled *settled,
           GError **error)
{
    if (settled->state == instance->state)
        return true;
    virga_info("instance", instance->id, "%s -> %s", virga_instance_state_name(instance->state),
               virga_instance_state_name(settled->state));
    return virga_event_add(txn, error, instance->id, "%s -> %s%s%s",
                           virga_instance_state_name(instance->state),
                           virga_instance_state_name(settled->state),
                           settled->reason_message && *settled->reason_message ? ": " : "",
                           settled->reason_message ? settled->reason_message : "");
}

/* Interfaces on their way to the instance or from it: a stopped one waits for nothing. */
static bool
settle_interfaces(VirgaTxn *txn, VirgaArena *arena, const VirgaInstance *instance,
                  const VirgaInstanceFacts *facts, const VirgaInstanceSettled *settled,
                  gint64 *generation, GError **error)
{
    bool off = settled->state == VIRGA_INSTANCE_STOPPED;
    char *vpc_id;

    if (settled->gone || (!off && (facts->power != VIRGA_POWER_RUNNING || !facts->ports)))
        return true;
    if (!virga_interface_settle(txn, arena, instance->id, off ? NULL : facts->ports, &vpc_id,
                                error))
        return false;
    return !vpc_id || (virga_host_touch(txn, instance->host_id, generation, error) &&
                       virga_vpc_touch(txn, vpc_id, error));
}

/* The same of volumes. */
static bool
settle_volumes(VirgaTxn *txn, const VirgaInstance *instance, const VirgaInstanceFacts *facts,
               const VirgaInstanceSettled *settled, gint64 *generation, GError **error)
{
    bool off = settled->state == VIRGA_INSTANCE_STOPPED, changed;

    if (settled->gone || (!off && (facts->power != VIRGA_POWER_RUNNING || !facts->disks)))
        return true;
    return virga_volume_settle(txn, instance->id, off ? NULL : facts->disks, &changed, error) &&
           (!changed || virga_host_touch(txn, instance->host_id, generation, error));
}

/* A row of sql_lock or sql_stuck, and what its facts mean. */
static bool
apply(VirgaTxn *txn, VirgaArena *arena, const VirgaRows *rows, int row,
      const VirgaInstance *instance, const VirgaInstanceFacts *facts,
      const VirgaInstanceSettled *settled, VirgaQuotaBook *quotas, GError **error)
{
    gint64 generation = virga_rows_int(rows, row, GENERATION);

    return record_volumes(txn, facts, error) &&
           give_back(txn, instance, facts, settled, quotas, error) &&
           (!virga_rows_bool(rows, row, HAS_MOVING) ||
            settle_interfaces(txn, arena, instance, facts, settled, &generation, error)) &&
           (!virga_rows_bool(rows, row, HAS_MOVING_VOLUMES) ||
            settle_volumes(txn, instance, facts, settled, &generation, error)) &&
           (!virga_rows_bool(rows, row, HAS_MODIFIED) || settled->state == VIRGA_INSTANCE_PENDING ||
            virga_modification_settle(txn, instance->id, error)) &&
           write_settled(txn, instance, facts, settled, generation, error) &&
           log_change(txn, instance, settled, error);
}

/* True if more than the instance's own row will change. */
static bool
reaches_out(const VirgaRows *rows, int row, const VirgaInstance *instance,
            const VirgaInstanceSettled *settled)
{
    return settled->unclaim || settled->gone || settled->wish != instance->wish ||
           virga_rows_bool(rows, row, HAS_MOVING) ||
           virga_rows_bool(rows, row, HAS_MOVING_VOLUMES) ||
           virga_rows_bool(rows, row, HAS_MODIFIED);
}

/* A report being taken in: what was said, and the rows that it is about. */
typedef struct {
    VirgaTxn *txn;
    VirgaArena *arena;
    const char *host_id;
    const VirgaInstanceFacts *facts;
    size_t count;
    VirgaRows *rows;
    int *row_of; /* each fact's, or -1 */
    VirgaInstance *instances;
    VirgaInstanceSettled *settled; /* each fact's, where it has a row */
} Report;

static bool
is_old(const Report *report, size_t i)
{
    return report->facts[i].generation <
           virga_rows_int(report->rows, report->row_of[i], GENERATION);
}

/* Locks all that the report is about. */
static bool
lock_all(Report *report, GError **error)
{
    g_autoptr(GHashTable) rows = g_hash_table_new(g_str_hash, g_str_equal);
    const char **ids = virga_arena_new_array(report->arena, const char *, report->count + 1);

    for (size_t i = 0; i < report->count; i++)
        ids[i] = report->facts[i].id;
    report->rows = virga_txn_query(report->txn, error, sql_lock, "as", ids, report->host_id);
    if (!report->rows)
        return false;
    for (int i = 0; i < virga_rows_count(report->rows); i++)
        g_hash_table_insert(rows, (gpointer) virga_rows_text(report->rows, i, 0),
                            GINT_TO_POINTER(i + 1));
    report->row_of = virga_arena_new_array(report->arena, int, report->count);
    report->instances = virga_arena_new_array(report->arena, VirgaInstance, report->count);
    report->settled = virga_arena_new_array(report->arena, VirgaInstanceSettled, report->count);
    for (size_t i = 0; i < report->count; i++) {
        report->row_of[i] = GPOINTER_TO_INT(g_hash_table_lookup(rows, ids[i])) - 1;
        if (report->row_of[i] < 0)
            continue;
        virga_instance_read(report->rows, report->row_of[i], report->arena, &report->instances[i]);
        report->settled[i] = virga_instance_settle(&report->instances[i], &report->facts[i]);
    }
    return true;
}

/* Then the host and the VPCs, if changes of the instances come to them. */
static bool
hold(const Report *report, GError **error)
{
    VirgaInstance *reaching = virga_arena_new_array(report->arena, VirgaInstance, report->count);
    size_t found = 0;

    for (size_t i = 0; i < report->count; i++)
        if (report->row_of[i] >= 0 && !is_old(report, i) &&
            reaches_out(report->rows, report->row_of[i], &report->instances[i],
                        &report->settled[i]))
            reaching[found++] = report->instances[i];
    return virga_instance_hold(report->txn, report->arena, reaching, found, true, error);
}

static bool
take_in(const Report *report, size_t i, VirgaQuotaBook *quotas, GError **error)
{
    const VirgaInstanceFacts *facts = &report->facts[i];

    /* Facts about an older wish say nothing about this one, but for what cannot be undone. */
    if (is_old(report, i))
        return record_volumes(report->txn, facts, error) &&
               (!facts->console || virga_txn_run(report->txn, error, NULL, sql_console, "ss",
                                                 facts->id, facts->console));
    return apply(report->txn, report->arena, report->rows, report->row_of[i], &report->instances[i],
                 facts, &report->settled[i], quotas, error);
}

static bool
take_all_in(Report *report, VirgaQuotaBook *quotas, char ***ret_forget, GError **error)
{
    char **forget = virga_arena_new_array(report->arena, char *, report->count + 1);
    size_t forgotten = 0;

    if (!lock_all(report, error) || !hold(report, error))
        return false;
    for (size_t i = 0; i < report->count; i++) {
        bool known = report->row_of[i] >= 0;

        if (known && !take_in(report, i, quotas, error))
            return false;
        if (!known || (!is_old(report, i) && report->settled[i].gone))
            forget[forgotten++] = virga_arena_strdup(report->arena, report->facts[i].id);
    }
    *ret_forget = forget;
    return true;
}

bool
virga_instance_report(VirgaDb *db, VirgaArena *arena, const char *host_id,
                      const VirgaInstanceFacts *facts, size_t count, char ***ret_forget,
                      GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(db, error);
    g_autoptr(VirgaQuotaBook) quotas = virga_quota_book_new();
    Report report = {
        .txn = txn, .arena = arena, .host_id = host_id, .facts = facts, .count = count
    };
    bool done = txn && take_all_in(&report, quotas, ret_forget, error) &&
                virga_quota_book_write(txn, quotas, error) && virga_txn_commit(txn, error);

    virga_rows_free(report.rows);
    return done;
}

/* A host that has been silent for as long as the transition: users get an answer, the claims stay
 * until the host returns and reports. */
static bool
give_up(VirgaTxn *txn, VirgaArena *arena, const VirgaRows *rows, int row,
        const VirgaInstance *instance, VirgaQuotaBook *quotas, GError **error)
{
    VirgaInstanceFacts facts = { .id = instance->id };
    VirgaInstanceSettled settled = unchanged(instance);

    settled.reason_code = "Server.InternalError";
    settled.reason_message = "Server.InternalError: the host of the instance does not answer";
    if (instance->wish == VIRGA_WISH_STOP) {
        settled.state = VIRGA_INSTANCE_STOPPED;
    } else {
        settled.wish = VIRGA_WISH_TERMINATE;
        settled.state = VIRGA_INSTANCE_TERMINATED;
    }
    return apply(txn, arena, rows, row, instance, &facts, &settled, quotas, error);
}

bool
virga_instance_sweep(VirgaDb *db, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(db, error);
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(VirgaQuotaBook) quotas = virga_quota_book_new();
    g_autoptr(VirgaRows) rows = NULL;
    VirgaInstance *stuck;

    if (!txn)
        return false;
    rows = virga_txn_query(txn, error, sql_stuck, "i", (gint64) STUCK_S);
    if (!rows)
        return false;
    stuck = virga_arena_new_array(arena, VirgaInstance, (size_t) virga_rows_count(rows));
    for (int i = 0; i < virga_rows_count(rows); i++)
        virga_instance_read(rows, i, arena, &stuck[i]);
    if (!virga_instance_hold(txn, arena, stuck, (size_t) virga_rows_count(rows), true, error))
        return false;
    for (int i = 0; i < virga_rows_count(rows); i++)
        if (!give_up(txn, arena, rows, i, &stuck[i], quotas, error))
            return false;
    return virga_txn_run(txn, error, NULL, sql_forget_tokens, "") &&
           virga_txn_run(txn, error, NULL, sql_forget_terminated, "i",
                         (gint64) VIRGA_TERMINATED_KEPT_S) &&
           virga_txn_run(txn, error, NULL, sql_forget_events, "") &&
           virga_fleet_sweep(txn, error) && virga_quota_book_write(txn, quotas, error) &&
           virga_txn_commit(txn, error);
}
