/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/host.h"

#include "core/error.h"
#include "core/limits.h"

#define STRINGIFY_(x) #x
#define STRINGIFY(x)  STRINGIFY_(x)

static const char sql_report[] =
    "WITH moved AS (UPDATE vpc SET generation = vpc.generation + 1 FROM host h WHERE h.id = $1"
    "  AND h.tunnel_address IS DISTINCT FROM $10::inet"
    "  RETURNING pg_notify('virga_vpc', vpc.id)::text)"
    " INSERT INTO host (id, name, zone, version, hypervisor, trouble, vcpus, memory_mib,"
    " disk_free_gib, tunnel_address, damaged_bases)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::inet, $11)"
    " ON CONFLICT (id) DO UPDATE SET name = $2, zone = $3, version = $4, hypervisor = $5,"
    " trouble = $6, vcpus = $7, memory_mib = $8, disk_free_gib = $9, tunnel_address = $10::inet,"
    " damaged_bases = $11, seen = now()";
static const char sql_list[] =
    "SELECT id, name, zone, version, hypervisor, trouble, vcpus, memory_mib, disk_free_gib,"
    " vcpus_claimed, memory_claimed_mib, generation, " VIRGA_SQL_TIME(
        "seen") ","
                " seen > now() - interval '" STRINGIFY(
                    VIRGA_HOST_LOST_S) " seconds' FROM host ORDER BY id";
static const char sql_claim[] =
    "UPDATE host SET vcpus_claimed = vcpus_claimed + $2,"
    " memory_claimed_mib = memory_claimed_mib + $3, generation = generation + 1"
    " WHERE id = $1 AND vcpus_claimed + $2 <= vcpus AND memory_claimed_mib + $3 <= memory_mib"
    " RETURNING generation, pg_notify('virga_host', id)";
static const char sql_unclaim[] = "UPDATE host SET vcpus_claimed = vcpus_claimed - $2,"
                                  " memory_claimed_mib = memory_claimed_mib - $3 WHERE id = $1";
static const char sql_touch[] =
    "UPDATE host SET generation = generation + 1 WHERE id = $1 RETURNING generation";
static const char sql_wake[] = "SELECT pg_notify('virga_host', $1)";

bool
virga_host_report(VirgaTxn *txn, const VirgaHost *host, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_report, "ssssssiiisa", host->id, host->name,
                         host->zone, host->version, host->hypervisor, host->trouble, host->vcpus,
                         host->memory_mib, host->disk_free_gib, host->tunnel_address,
                         (const char *const *) host->damaged);
}

bool
virga_host_list(VirgaTxn *txn, VirgaArena *arena, VirgaHost **ret, size_t *ret_count,
                GError **error)
{
    return virga_host_list_send(txn, error) &&
           virga_host_list_receive(txn, arena, ret, ret_count, error);
}

bool
virga_host_list_send(VirgaTxn *txn, GError **error)
{
    return virga_txn_send(txn, error, sql_list, "");
}

bool
virga_host_list_receive(VirgaTxn *txn, VirgaArena *arena, VirgaHost **ret, size_t *ret_count,
                        GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_receive(txn, error);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaHost, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaHost){ .id = virga_rows_dup(rows, arena, i, 0),
                                 .name = virga_rows_dup(rows, arena, i, 1),
                                 .zone = virga_rows_dup(rows, arena, i, 2),
                                 .version = virga_rows_dup(rows, arena, i, 3),
                                 .hypervisor = virga_rows_dup(rows, arena, i, 4),
                                 .trouble = virga_rows_dup(rows, arena, i, 5),
                                 .vcpus = virga_rows_int(rows, i, 6),
                                 .memory_mib = virga_rows_int(rows, i, 7),
                                 .disk_free_gib = virga_rows_int(rows, i, 8),
                                 .vcpus_claimed = virga_rows_int(rows, i, 9),
                                 .memory_claimed_mib = virga_rows_int(rows, i, 10),
                                 .generation = virga_rows_int(rows, i, 11),
                                 .seen = virga_rows_time(rows, i, 12),
                                 .up = virga_rows_bool(rows, i, 13) };
    return true;
}

VirgaPlaceHost *
virga_host_places(VirgaArena *arena, const VirgaHost *hosts, size_t count)
{
    VirgaPlaceHost *places = virga_arena_new_array(arena, VirgaPlaceHost, count);

    for (size_t i = 0; i < count; i++)
        places[i] = (VirgaPlaceHost){ .id = hosts[i].id,
                                      .name = hosts[i].name,
                                      .zone = hosts[i].zone,
                                      .up = hosts[i].up,
                                      .trouble = hosts[i].trouble,
                                      .vcpus = hosts[i].vcpus,
                                      .vcpus_claimed = hosts[i].vcpus_claimed,
                                      .memory_mib = hosts[i].memory_mib,
                                      .memory_claimed_mib = hosts[i].memory_claimed_mib,
                                      .disk_free_gib = hosts[i].disk_free_gib };
    return places;
}

bool
virga_host_claim(VirgaTxn *txn, const char *host_id, gint64 vcpus, gint64 memory_mib,
                 gint64 *ret_generation, GError **error)
{
    return virga_host_claim_send(txn, host_id, vcpus, memory_mib, error) &&
           virga_host_claim_receive(txn, ret_generation, error);
}

bool
virga_host_claim_send(VirgaTxn *txn, const char *host_id, gint64 vcpus, gint64 memory_mib,
                      GError **error)
{
    return virga_txn_send(txn, error, sql_claim, "sii", host_id, vcpus, memory_mib);
}

bool
virga_host_claim_receive(VirgaTxn *txn, gint64 *ret_generation, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_receive(txn, error);

    if (!rows)
        return false;
    *ret_generation = virga_rows_count(rows) ? virga_rows_int(rows, 0, 0) : 0;
    return true;
}

bool
virga_host_unclaim(VirgaTxn *txn, const char *host_id, gint64 vcpus, gint64 memory_mib,
                   GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_unclaim, "sii", host_id, vcpus, memory_mib);
}

bool
virga_host_touch(VirgaTxn *txn, const char *host_id, gint64 *ret_generation, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_touch, "s", host_id);

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, "host", VIRGA_ERROR_NOT_FOUND, "there is no host \"%s\"", host_id);
    *ret_generation = virga_rows_int(rows, 0, 0);
    return virga_host_wake(txn, host_id, error);
}

bool
virga_host_wake(VirgaTxn *txn, const char *host_id, GError **error)
{
    return virga_txn_post(txn, error, sql_wake, "s", host_id);
}
