/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/volume-modification.h"

static const char sql_begin[] =
    "INSERT INTO volume_modification (volume_id, original_type, original_size_gib, original_iops,"
    " original_throughput, target_type, target_size_gib, target_iops, target_throughput, state,"
    " ended) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
    " CASE WHEN $10 THEN 'completed' ELSE 'modifying' END, CASE WHEN $10 THEN now() END)"
    " ON CONFLICT (volume_id) DO UPDATE SET original_type = $2, original_size_gib = $3,"
    " original_iops = $4, original_throughput = $5, target_type = $6, target_size_gib = $7,"
    " target_iops = $8, target_throughput = $9, started = now(), state = excluded.state,"
    " ended = excluded.ended";
static const char sql_shape[] =
    "UPDATE volume SET type = $2, size_gib = $3, iops = nullif($4::bigint, 0),"
    " throughput = nullif($5::bigint, 0) WHERE id = $1";
static const char sql_settle[] =
    "UPDATE volume_modification m SET state = 'completed', ended = now()"
    " FROM volume_attachment a WHERE a.volume_id = m.volume_id AND a.instance_id = $1"
    " AND m.state = 'modifying'";
static const char sql_list[] =
    "SELECT m.volume_id, m.state, m.original_type, m.original_size_gib, m.original_iops,"
    " m.original_throughput, m.target_type, m.target_size_gib, m.target_iops,"
    " m.target_throughput, " VIRGA_SQL_TIME("m.started") ", " VIRGA_SQL_TIME(
        "m.ended") " FROM volume_modification m JOIN volume v ON v.id = m.volume_id"
                   " WHERE v.account_id = $1 AND ($2::text[] IS NULL OR v.id = ANY ($2))"
                   " ORDER BY v.id";

bool
virga_modification_begin(VirgaTxn *txn, const char *volume_id, const VirgaVolumeShape *original,
                         const VirgaVolumeShape *target, bool completed, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_begin, "ssiiisiiib", volume_id, original->type,
                         original->size_gib, original->iops, original->throughput, target->type,
                         target->size_gib, target->iops, target->throughput, completed) &&
           virga_txn_run(txn, error, NULL, sql_shape, "ssiii", volume_id, target->type,
                         target->size_gib, target->iops, target->throughput);
}

bool
virga_modification_settle(VirgaTxn *txn, const char *instance_id, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_settle, "s", instance_id);
}

static VirgaVolumeShape
read_shape(const VirgaRows *rows, int row, int column, VirgaArena *arena)
{
    return (VirgaVolumeShape){ .type = virga_rows_dup(rows, arena, row, column),
                               .size_gib = virga_rows_int(rows, row, column + 1),
                               .iops = virga_rows_int(rows, row, column + 2),
                               .throughput = virga_rows_int(rows, row, column + 3) };
}

bool
virga_modification_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                        const char *const *ids, VirgaModification **ret, size_t *ret_count,
                        GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_list, "sa", account_id, ids);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaModification, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaModification){ .volume_id = virga_rows_dup(rows, arena, i, 0),
                                         .state = virga_rows_dup(rows, arena, i, 1),
                                         .original = read_shape(rows, i, 2, arena),
                                         .target = read_shape(rows, i, 6, arena),
                                         .started = virga_rows_time(rows, i, 10),
                                         .ended = virga_rows_time(rows, i, 11) };
    return true;
}
