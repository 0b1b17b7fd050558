/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/volume.h"

#include "core/error.h"
#include "core/id.h"
#include "core/limits.h"
#include "core/quota.h"
#include "storage/pool.h"
#include "storage/volume-key.h"

#include <unistd.h>

#define EXPORT_KEY_BYTES  32
#define EXPORT_PORT_FIRST 10809 /* NBD's; outside of what Linux gives to those who connect */
#define EXPORT_PORT_LAST  14904

static const char sql_insert[] =
    "INSERT INTO volume (id, account_id, zone, host_id, size_gib, type, iops, throughput,"
    " snapshot_id, pool, encrypted, key_id) VALUES ($1, $2, $3, $4, $5, $6,"
    " nullif($7::bigint, 0), nullif($8::bigint, 0), $9, $10, $11::text IS NOT NULL, $11)";
static const char sql_insert_attached[] =
    "WITH made AS (INSERT INTO volume (id, account_id, zone, host_id, size_gib, type, iops,"
    " throughput, snapshot_id, pool, encrypted, key_id) VALUES ($1, $2, $3, $4, $5, $6,"
    " nullif($7::bigint, 0), nullif($8::bigint, 0), $9, $10, $11::text IS NOT NULL, $11))"
    " INSERT INTO volume_attachment (volume_id, account_id, instance_id, device,"
    " delete_on_termination) VALUES ($1, $2, $12, $13, $14)";
#define VOLUME_SELECT                                                                              \
    "SELECT v.id, v.account_id, v.zone, v.host_id, v.type, v.snapshot_id, v.size_gib,"             \
    " coalesce(v.iops, 0), coalesce(v.throughput, 0), " CREATED ","                                \
    " v.encrypted, v.made, v.lost, a.instance_id, a.device,"                                       \
    " coalesce(a.delete_on_termination, false), " ATTACHED                                         \
    ", v.deleting, a.transition, v.pool, a.export_host_id IS NOT NULL FROM "
#define CREATED          VIRGA_SQL_TIME("v.created")
#define ATTACHED         VIRGA_SQL_TIME("a.attached")
#define WITH_ATTACHMENTS "volume v LEFT JOIN volume_attachment a ON a.volume_id = v.id"

/* One statement each: a prepared statement keeps its plan. */
static const char sql_list[] =
    VOLUME_SELECT WITH_ATTACHMENTS " WHERE v.account_id = $1 ORDER BY v.id";
static const char sql_list_ids[] = VOLUME_SELECT WITH_ATTACHMENTS
    " WHERE v.account_id = $1 AND v.id = ANY ($2)"
    " AND ($3::text[] IS NULL OR a.instance_id = ANY ($3)) ORDER BY v.id";
/* By way of the attachments, whatever the planner thinks: a plan that was made while the tables
 * were small would read all of them for one instance. */
#define OF_INSTANCES                                                                               \
    "volume_attachment a, LATERAL (SELECT * FROM volume WHERE id = a.volume_id OFFSET 0) v"        \
    " WHERE a.instance_id = ANY ($2) AND v.account_id = $1"
static const char sql_list_of[] = VOLUME_SELECT OF_INSTANCES " ORDER BY v.id";
#define ATTACHMENT_SELECT(made)                                                                    \
    "SELECT a.volume_id, a.instance_id, a.device, a.delete_on_termination, " made ", " ATTACHED    \
    ", a.transition FROM "
/* Of all the volumes, only those without bytes are looked at: there are few. */
static const char sql_attachments[] =
    ATTACHMENT_SELECT("a.volume_id NOT IN (SELECT id FROM volume WHERE account_id = $1"
                      " AND NOT made)") "volume_attachment a WHERE a.account_id = $1";
static const char sql_attachments_of[] = ATTACHMENT_SELECT("v.made") OF_INSTANCES;
static const char sql_made[] = "UPDATE volume SET made = true WHERE id = $1 AND NOT made";
static const char sql_lost[] = "UPDATE volume SET lost = true WHERE id = $1 AND NOT lost";
static const char sql_delete[] =
    "WITH gone AS (DELETE FROM volume v USING volume_attachment a WHERE a.volume_id = v.id"
    " AND a.instance_id = $1 AND a.delete_on_termination"
    " AND a.transition IS DISTINCT FROM 'detaching' AND v.id <> ALL ($2::text[])"
    " RETURNING v.id, v.size_gib),"
    " kept AS (UPDATE volume v SET deleting = true FROM volume_attachment a"
    " WHERE a.volume_id = v.id AND a.instance_id = $1 AND a.delete_on_termination"
    " AND a.transition IS DISTINCT FROM 'detaching' AND v.id = ANY ($2::text[])),"
    " untagged AS (DELETE FROM tag USING gone WHERE resource_id = gone.id)"
    " SELECT count(*), coalesce(sum(size_gib), 0)::bigint FROM gone";
static const char sql_set_delete[] =
    "UPDATE volume_attachment SET delete_on_termination = $4 WHERE instance_id = $1"
    " AND device = $2 AND ($3::text IS NULL OR volume_id = $3)";
static const char sql_detach[] = "DELETE FROM volume_attachment WHERE instance_id = $1";

static const char sql_lock[] = "SELECT 1 FROM volume WHERE id = $1 AND account_id = $2 FOR UPDATE";
static const char sql_put[] =
    "INSERT INTO volume_attachment (volume_id, account_id, instance_id, device,"
    " delete_on_termination, transition) SELECT id, account_id, $2, $3, false,"
    " CASE WHEN $4 THEN 'attaching' END FROM volume WHERE id = $1";
static const char sql_bind[] = "UPDATE volume SET host_id = $2 WHERE id = $1";
/* The host's row is held: nobody else looks for a port of it. */
static const char sql_export[] =
    "UPDATE volume_attachment SET export_host_id = $2, export_key = $3, export_port = free.port"
    " FROM (SELECT min(p) AS port FROM generate_series($4::integer, $5::integer) p"
    " WHERE NOT EXISTS (SELECT 1 FROM volume_attachment o WHERE o.export_host_id = $2"
    " AND o.export_port = p)) free WHERE volume_id = $1 AND free.port IS NOT NULL";
/* One that is in no instance, and in a pool that another host of its zone can work on as well. */
static const char sql_hand_over[] =
    "UPDATE volume v SET host_id = h.id FROM (SELECT id, zone FROM host WHERE seen > now() -"
    " interval '" G_STRINGIFY(
        VIRGA_HOST_LOST_S) " seconds' ORDER BY id) h WHERE v.id = $1"
                           " AND v.pool <> 'local' AND h.zone = v.zone AND v.host_id IS NOT NULL"
                           " AND NOT EXISTS (SELECT 1 FROM volume_attachment a WHERE a.volume_id = "
                           "v.id)"
                           " AND NOT EXISTS (SELECT 1 FROM host o WHERE o.id = v.host_id AND "
                           "o.seen > now() -"
                           " interval '" G_STRINGIFY(VIRGA_HOST_LOST_S) " seconds')";
static const char sql_take[] =
    "UPDATE volume_attachment SET transition = 'detaching' WHERE volume_id = $1";
static const char sql_take_now[] = "DELETE FROM volume_attachment WHERE volume_id = $1";
static const char sql_arrived[] =
    "UPDATE volume_attachment SET transition = NULL WHERE instance_id = $1"
    " AND transition = 'attaching' AND ($2::text[] IS NULL OR volume_id = ANY ($2))";
static const char sql_left[] =
    "DELETE FROM volume_attachment WHERE instance_id = $1 AND transition = 'detaching'"
    " AND ($2::text[] IS NULL OR volume_id <> ALL ($2))";
static const char sql_doom[] = "UPDATE volume SET deleting = true WHERE id = $1 AND NOT deleting";
/* Whatever has no host never had bytes. */
static const char sql_gone[] =
    "WITH gone AS (DELETE FROM volume WHERE id = ANY ($1) AND host_id IS NOT DISTINCT FROM $2"
    " AND deleting RETURNING id, account_id, size_gib),"
    " untagged AS (DELETE FROM tag USING gone WHERE resource_id = gone.id)"
    " SELECT account_id, count(*), sum(size_gib)::bigint FROM gone GROUP BY account_id";

bool
virga_volume_create(VirgaTxn *txn, VirgaArena *arena, const VirgaVolumeSpec *spec, char **ret_id,
                    GError **error)
{
    g_autofree char *id = spec->id ? g_strdup(spec->id) : virga_id_new("vol");
    const char *key_id = spec->key_id;

    if ((key_id || spec->encrypted) && virga_pool_is_shared(spec->pool))
        return virga_fail(error, "volume type", VIRGA_ERROR_UNSUPPORTED,
                          "Volumes of type '%s' cannot be encrypted in this cloud.", spec->type);
    if (!key_id && spec->encrypted && !virga_volume_key_new(txn, arena, &key_id, error))
        return false;
    if (!(spec->instance_id
              ? virga_txn_post(txn, error, sql_insert_attached, "ssssisiisssssb", id,
                               spec->account_id, spec->zone, spec->host_id, spec->size_gib,
                               spec->type, spec->iops, spec->throughput, spec->snapshot_id,
                               spec->pool, key_id, spec->instance_id, spec->device,
                               spec->delete_on_termination)
              : virga_txn_post(txn, error, sql_insert, "ssssisiisss", id, spec->account_id,
                               spec->zone, spec->host_id, spec->size_gib, spec->type, spec->iops,
                               spec->throughput, spec->snapshot_id, spec->pool, key_id)))
        return false;
    *ret_id = virga_arena_strdup(arena, id);
    return true;
}

bool
virga_volume_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *const *ids,
                  const char *const *instance_ids, VirgaVolume **ret, size_t *ret_count,
                  GError **error)
{
    g_autoptr(VirgaRows) rows =
        ids ? virga_txn_query(txn, error, sql_list_ids, "saa", account_id, ids, instance_ids)
        : instance_ids ? virga_txn_query(txn, error, sql_list_of, "sa", account_id, instance_ids)
                       : virga_txn_query(txn, error, sql_list, "s", account_id);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaVolume, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaVolume){ .id = virga_rows_dup(rows, arena, i, 0),
                                   .account_id = virga_rows_dup(rows, arena, i, 1),
                                   .zone = virga_rows_dup(rows, arena, i, 2),
                                   .host_id = virga_rows_dup(rows, arena, i, 3),
                                   .type = virga_rows_dup(rows, arena, i, 4),
                                   .snapshot_id = virga_rows_dup(rows, arena, i, 5),
                                   .size_gib = virga_rows_int(rows, i, 6),
                                   .iops = virga_rows_int(rows, i, 7),
                                   .throughput = virga_rows_int(rows, i, 8),
                                   .created = virga_rows_time(rows, i, 9),
                                   .encrypted = virga_rows_bool(rows, i, 10),
                                   .made = virga_rows_bool(rows, i, 11),
                                   .lost = virga_rows_bool(rows, i, 12),
                                   .instance_id = virga_rows_dup(rows, arena, i, 13),
                                   .device = virga_rows_dup(rows, arena, i, 14),
                                   .delete_on_termination = virga_rows_bool(rows, i, 15),
                                   .attached = virga_rows_time(rows, i, 16),
                                   .deleting = virga_rows_bool(rows, i, 17),
                                   .transition = virga_rows_dup(rows, arena, i, 18),
                                   .pool = virga_rows_dup(rows, arena, i, 19),
                                   .exported = virga_rows_bool(rows, i, 20) };
    return true;
}

bool
virga_volume_find(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                  VirgaVolume *ret, GError **error)
{
    const char *ids[] = { id, NULL };
    VirgaVolume *rows;
    size_t count;

    if (!virga_volume_list(txn, arena, account_id, ids, NULL, &rows, &count, error))
        return false;
    if (count == 0)
        return virga_fail(error, "volume", VIRGA_ERROR_NOT_FOUND, "The volume '%s' does not exist.",
                          id);
    *ret = rows[0];
    return true;
}

bool
virga_volume_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                  VirgaVolume *ret, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_lock, "ss", id, account_id) &&
           virga_volume_find(txn, arena, account_id, id, ret, error);
}

bool
virga_volume_put(VirgaTxn *txn, const char *id, const char *instance_id, const char *device,
                 const char *host_id, bool in_transit, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_put, "sssb", id, instance_id, device, in_transit) &&
           (!host_id || virga_txn_run(txn, error, NULL, sql_bind, "ss", id, host_id));
}

static char *
new_key(void)
{
    guint8 bytes[EXPORT_KEY_BYTES];
    GString *text = g_string_new(NULL);

    if (getentropy(bytes, sizeof bytes) < 0)
        g_error("no entropy");
    for (size_t i = 0; i < sizeof bytes; i++)
        g_string_append_printf(text, "%02x", bytes[i]);
    return g_string_free(text, FALSE);
}

bool
virga_volume_export(VirgaTxn *txn, const char *id, const char *host_id, GError **error)
{
    g_autofree char *key = new_key();
    gint64 exported;

    return virga_txn_run(txn, error, &exported, sql_export, "sssii", id, host_id, key,
                         (gint64) EXPORT_PORT_FIRST, (gint64) EXPORT_PORT_LAST) &&
           (exported > 0 ||
            virga_fail(error, "volume", VIRGA_ERROR_CAPACITY,
                       "The host of volume '%s' serves as many volumes to others as it can.", id));
}

bool
virga_volume_take(VirgaTxn *txn, const char *id, bool gone, GError **error)
{
    return virga_txn_run(txn, error, NULL, gone ? sql_take_now : sql_take, "s", id);
}

bool
virga_volume_settle(VirgaTxn *txn, const char *instance_id, const char *const *plugged,
                    bool *ret_changed, GError **error)
{
    gint64 left;

    if (!virga_txn_run(txn, error, NULL, sql_arrived, "sa", instance_id, plugged) ||
        !virga_txn_run(txn, error, &left, sql_left, "sa", instance_id, plugged))
        return false;
    *ret_changed = left > 0;
    return true;
}

bool
virga_volume_hand_over(VirgaTxn *txn, const char *id, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_hand_over, "s", id);
}

bool
virga_volume_delete(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                    char **ret_host_id, GError **error)
{
    const char *ids[] = { id, NULL };
    VirgaVolume volume;

    *ret_host_id = NULL;
    if (!virga_txn_run(txn, error, NULL, sql_lock, "ss", id, account_id) ||
        !virga_volume_hand_over(txn, id, error) ||
        !virga_volume_find(txn, arena, account_id, id, &volume, error))
        return false;
    if (volume.instance_id)
        return virga_fail(error, "volume", VIRGA_ERROR_IN_USE,
                          "Volume %s is currently attached to %s", id, volume.instance_id);
    if (!virga_txn_run(txn, error, NULL, sql_doom, "s", id))
        return false;
    *ret_host_id = volume.host_id;
    return volume.host_id || virga_volume_gone(txn, NULL, ids, error);
}

bool
virga_volume_gone(VirgaTxn *txn, const char *host_id, const char *const *ids, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_gone, "as", ids, host_id);
    g_autoptr(VirgaQuotaBook) quotas = virga_quota_book_new();

    if (!rows)
        return false;
    for (int i = 0; i < virga_rows_count(rows); i++) {
        const char *account_id = virga_rows_text(rows, i, 0);

        virga_quota_book_add(quotas, account_id, VIRGA_QUOTA_VOLUMES, -virga_rows_int(rows, i, 1));
        virga_quota_book_add(quotas, account_id, VIRGA_QUOTA_VOLUME_GIB,
                             -virga_rows_int(rows, i, 2));
    }
    return virga_quota_book_write(txn, quotas, error);
}

bool
virga_attachment_list_send(VirgaTxn *txn, const char *account_id, const char *const *instance_ids,
                           GError **error)
{
    return instance_ids
               ? virga_txn_send(txn, error, sql_attachments_of, "sa", account_id, instance_ids)
               : virga_txn_send(txn, error, sql_attachments, "s", account_id);
}

bool
virga_attachment_list_receive(VirgaTxn *txn, VirgaArena *arena, VirgaAttachment **ret,
                              size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_receive(txn, error);

    if (!rows)
        return false;
    virga_rows_keep(rows, arena);
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaAttachment, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaAttachment){ .volume_id = virga_rows_dup(rows, arena, i, 0),
                                       .instance_id = virga_rows_dup(rows, arena, i, 1),
                                       .device = virga_rows_dup(rows, arena, i, 2),
                                       .delete_on_termination = virga_rows_bool(rows, i, 3),
                                       .made = virga_rows_bool(rows, i, 4),
                                       .attached = virga_rows_time(rows, i, 5),
                                       .transition = virga_rows_dup(rows, arena, i, 6) };
    return true;
}

bool
virga_volume_set_made(VirgaTxn *txn, const char *id, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_made, "s", id);
}

bool
virga_volume_set_lost(VirgaTxn *txn, const char *id, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_lost, "s", id);
}

bool
virga_volume_set_delete(VirgaTxn *txn, const char *instance_id, const char *device,
                        const char *volume_id, bool delete_on_termination, bool *ret_found,
                        GError **error)
{
    gint64 updated;

    if (!virga_txn_run(txn, error, &updated, sql_set_delete, "sssb", instance_id, device, volume_id,
                       delete_on_termination))
        return false;
    *ret_found = updated > 0;
    return true;
}

bool
virga_volume_release(VirgaTxn *txn, const char *instance_id, const char *const *kept,
                     gint64 *ret_count, gint64 *ret_gib, GError **error)
{
    static const char *const none[] = { NULL };
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_delete, "sa", instance_id, kept ? kept : none);

    if (!rows)
        return false;
    *ret_count = virga_rows_int(rows, 0, 0);
    *ret_gib = virga_rows_int(rows, 0, 1);
    return virga_txn_run(txn, error, NULL, sql_detach, "s", instance_id);
}
