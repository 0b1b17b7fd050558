/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/file-system.h"

#include "compute/host.h"
#include "core/error.h"
#include "core/limits.h"
#include "core/quota.h"
#include "core/tag.h"
#include "network/interface-edit.h"
#include "network/subnet.h"
#include "network/vpc.h"

#define STRINGIFY_(x) #x
#define STRINGIFY(x)  STRINGIFY_(x)

static const char sql_list[] =
    "SELECT f.id, f.account_id, f.creation_token, f.performance_mode, f.throughput_mode, f.zone,"
    " f.size_gib, f.bytes, " VIRGA_SQL_TIME(
        "f.created") ", (SELECT count(*) FROM mount_target m WHERE m.file_system_id = f.id),"
                     " f.deleting FROM file_system f WHERE f.account_id = $1"
                     " AND ($2::text[] IS NULL OR f.id = ANY ($2))"
                     " AND ($3::text IS NULL OR f.creation_token = $3) ORDER BY f.id";
static const char sql_lock[] =
    "SELECT 1 FROM file_system WHERE id = $1 AND account_id = $2 FOR UPDATE";
static const char sql_insert[] =
    "INSERT INTO file_system (id, account_id, creation_token, performance_mode, throughput_mode,"
    " zone, size_gib) VALUES ($1, $2, $3, $4, $5, $6, $7)"
    " ON CONFLICT (account_id, creation_token) DO NOTHING";
/* Without bytes it goes at once. */
static const char sql_delete[] = "DELETE FROM file_system WHERE id = $1 AND host_id IS NULL";
static const char sql_deleting[] = "UPDATE file_system SET deleting = true WHERE id = $1";
static const char sql_throughput[] = "UPDATE file_system SET throughput_mode = $2 WHERE id = $1";
static const char sql_choose_host[] =
    "UPDATE file_system SET host_id = (SELECT h.id FROM host h WHERE h.seen > now() - interval "
    "'" STRINGIFY(
        VIRGA_HOST_LOST_S) " seconds' ORDER BY h.trouble IS NOT NULL, h.zone <> $2,"
                           " h.disk_free_gib DESC, h.id LIMIT 1) WHERE id = $1 AND host_id IS NULL";
static const char sql_has_host[] = "SELECT host_id IS NOT NULL FROM file_system WHERE id = $1";

static const char sql_targets[] =
    "SELECT m.id, f.account_id, m.file_system_id, m.subnet_id, n.vpc_id, m.zone, m.interface_id,"
    " host(n.address), m.serving FROM mount_target m JOIN file_system f ON f.id = m.file_system_id"
    " JOIN network_interface n ON n.id = m.interface_id WHERE f.account_id = $1"
    " AND ($2::text IS NULL OR m.file_system_id = $2) AND ($3::text IS NULL OR m.id = $3)"
    " ORDER BY m.id";
static const char sql_add_target[] =
    "INSERT INTO mount_target (id, file_system_id, subnet_id, zone, interface_id)"
    " VALUES ($1, $2, $3, $4, $5)";
static const char sql_remove_target[] = "DELETE FROM mount_target WHERE id = $1";
static const char sql_default_group[] =
    "SELECT id FROM security_group WHERE vpc_id = $1 AND name = 'default'";
static const char sql_forget_groups[] =
    "DELETE FROM network_interface_group WHERE interface_id = $1";
static const char sql_set_groups[] =
    "INSERT INTO network_interface_group (interface_id, group_id, position)"
    " SELECT $1, g.id, w.position FROM unnest($2::text[]) WITH ORDINALITY w(id, position)"
    " JOIN security_group g ON g.id = w.id WHERE g.vpc_id = $3 AND g.account_id = $4";
static const char sql_groups[] = "SELECT group_id FROM network_interface_group"
                                 " WHERE interface_id = $1 ORDER BY position";

static const char sql_wish[] =
    "SELECT json_build_object('file_systems', (SELECT coalesce(json_agg(json_build_object("
    " 'id', f.id, 'size_gib', f.size_gib, 'targets', (SELECT coalesce(json_agg(json_build_object("
    "  'id', m.id, 'vpc_id', n.vpc_id, 'address', host(n.address)) ORDER BY m.id), '[]'::json)"
    "  FROM mount_target m JOIN network_interface n ON n.id = m.interface_id"
    "  WHERE m.file_system_id = f.id)) ORDER BY f.id), '[]'::json) FROM file_system f"
    "  WHERE f.host_id = $1 AND NOT f.deleting),"
    " 'gone', (SELECT coalesce(json_agg(a.id), '[]'::json) FROM unnest($2::text[]) AS a (id)"
    "  WHERE EXISTS (SELECT 1 FROM file_system g WHERE g.id = a.id AND g.host_id = $1"
    "  AND g.deleting)))::text";
static const char sql_note_bytes[] =
    "UPDATE file_system f SET bytes = a.bytes::bigint"
    " FROM unnest($2::text[], $3::text[]) AS a (id, bytes) WHERE f.id = a.id AND f.host_id = $1"
    " AND f.bytes <> a.bytes::bigint";
static const char sql_note_serving[] =
    "UPDATE mount_target m SET serving = m.id = ANY ($2) FROM file_system f"
    " WHERE f.id = m.file_system_id AND f.host_id = $1 AND m.serving <> (m.id = ANY ($2))";
static const char sql_deleted[] =
    "DELETE FROM file_system WHERE id = ANY ($2) AND host_id = $1 AND deleting"
    " RETURNING account_id, id";

bool
virga_file_system_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                       const char *const *ids, const char *token, VirgaFileSystem **ret,
                       size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_list, "sas", account_id, ids, token);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaFileSystem, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaFileSystem){ .id = virga_rows_dup(rows, arena, i, 0),
                                       .account_id = virga_rows_dup(rows, arena, i, 1),
                                       .creation_token = virga_rows_dup(rows, arena, i, 2),
                                       .performance_mode = virga_rows_dup(rows, arena, i, 3),
                                       .throughput_mode = virga_rows_dup(rows, arena, i, 4),
                                       .zone = virga_rows_dup(rows, arena, i, 5),
                                       .size_gib = virga_rows_int(rows, i, 6),
                                       .bytes = virga_rows_int(rows, i, 7),
                                       .created = virga_rows_time(rows, i, 8),
                                       .target_count = virga_rows_int(rows, i, 9),
                                       .deleting = virga_rows_bool(rows, i, 10) };
    return true;
}

bool
virga_file_system_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                       VirgaFileSystem **ret, GError **error)
{
    const char *const ids[] = { id, NULL };
    size_t count;

    if (!virga_txn_run(txn, error, NULL, sql_lock, "ss", id, account_id) ||
        !virga_file_system_list(txn, arena, account_id, ids, NULL, ret, &count, error))
        return false;
    return count > 0 || virga_fail(error, "file system", VIRGA_ERROR_NOT_FOUND,
                                   "File system '%s' does not exist.", id);
}

bool
virga_file_system_create(VirgaTxn *txn, const VirgaFileSystem *file_system, GError **error)
{
    gint64 inserted;

    if (!virga_txn_run(txn, error, &inserted, sql_insert, "ssssssi", file_system->id,
                       file_system->account_id, file_system->creation_token,
                       file_system->performance_mode, file_system->throughput_mode,
                       file_system->zone, file_system->size_gib))
        return false;
    if (!inserted)
        return virga_fail(error, "file system", VIRGA_ERROR_EXISTS,
                          "A file system with the creation token '%s' already exists.",
                          file_system->creation_token);
    return virga_quota_claim(txn, file_system->account_id, VIRGA_QUOTA_FILE_SYSTEMS, 1, error);
}

static bool
forget(VirgaTxn *txn, const char *account_id, const char *id, GError **error)
{
    return virga_tag_forget(txn, id, error) &&
           virga_quota_claim(txn, account_id, VIRGA_QUOTA_FILE_SYSTEMS, -1, error);
}

bool
virga_file_system_delete(VirgaTxn *txn, const VirgaFileSystem *file_system, GError **error)
{
    gint64 gone;

    if (file_system->target_count > 0)
        return virga_fail(error, "file system", VIRGA_ERROR_IN_USE,
                          "File system '%s' is in use: it has mount targets.", file_system->id);
    if (!virga_txn_run(txn, error, &gone, sql_delete, "s", file_system->id))
        return false;
    if (gone)
        return forget(txn, file_system->account_id, file_system->id, error);
    return virga_txn_run(txn, error, NULL, sql_deleting, "s", file_system->id) &&
           virga_event_add(txn, error, file_system->id, "asked to be deleted");
}

bool
virga_file_system_set_throughput(VirgaTxn *txn, const char *id, const char *mode, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_throughput, "ss", id, mode);
}

/* ---- mount targets ---- */

bool
virga_mount_target_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                        const char *file_system_id, const char *id, VirgaMountTarget **ret,
                        size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_targets, "sss", account_id, file_system_id, id);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaMountTarget, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaMountTarget){ .id = virga_rows_dup(rows, arena, i, 0),
                                        .account_id = virga_rows_dup(rows, arena, i, 1),
                                        .file_system_id = virga_rows_dup(rows, arena, i, 2),
                                        .subnet_id = virga_rows_dup(rows, arena, i, 3),
                                        .vpc_id = virga_rows_dup(rows, arena, i, 4),
                                        .zone = virga_rows_dup(rows, arena, i, 5),
                                        .interface_id = virga_rows_dup(rows, arena, i, 6),
                                        .address = virga_rows_dup(rows, arena, i, 7),
                                        .serving = virga_rows_bool(rows, i, 8) };
    return true;
}

static bool
check_place(VirgaTxn *txn, VirgaArena *arena, const VirgaFileSystem *file_system,
            const VirgaSubnet *subnet, GError **error)
{
    VirgaMountTarget *others;
    size_t count;

    if (file_system->deleting)
        return virga_fail(error, "file system", VIRGA_ERROR_STATE,
                          "File system '%s' is being deleted.", file_system->id);
    if (file_system->zone && !g_str_equal(file_system->zone, subnet->zone))
        return virga_fail(error, "mount target", VIRGA_ERROR_INVALID,
                          "The file system is for the zone %s alone.", file_system->zone);
    if (!virga_mount_target_list(txn, arena, file_system->account_id, file_system->id, NULL,
                                 &others, &count, error))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!g_str_equal(others[i].vpc_id, subnet->vpc_id))
            return virga_fail(error, "mount target", VIRGA_ERROR_CONFLICT,
                              "requested subnet for new mount target is not in the same VPC as "
                              "existing mount targets");
        if (g_str_equal(others[i].zone, subnet->zone))
            return virga_fail(error, "mount target", VIRGA_ERROR_CONFLICT,
                              "mount target already exists in this AZ");
    }
    return true;
}

static bool
choose_host(VirgaTxn *txn, const VirgaFileSystem *file_system, const char *zone, GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;

    if (!virga_txn_run(txn, error, NULL, sql_choose_host, "ss", file_system->id, zone))
        return false;
    rows = virga_txn_query(txn, error, sql_has_host, "s", file_system->id);
    return rows && (virga_rows_bool(rows, 0, 0) ||
                    virga_fail(error, "file system", VIRGA_ERROR_CAPACITY,
                               "There is no host that could keep the file system."));
}

static const char *const *
groups_of(VirgaTxn *txn, VirgaArena *arena, const VirgaMountTargetSpec *spec, const char *vpc_id,
          GError **error)
{
    const char **ids = virga_arena_new_array(arena, const char *, 2);
    g_autoptr(VirgaRows) rows = NULL;

    if (spec->group_ids)
        return spec->group_ids;
    rows = virga_txn_query(txn, error, sql_default_group, "s", vpc_id);
    if (!rows)
        return NULL;
    ids[0] = virga_rows_count(rows) ? virga_rows_dup(rows, arena, 0, 0) : NULL;
    return ids;
}

bool
virga_mount_target_create(VirgaTxn *txn, VirgaArena *arena, const VirgaFileSystem *file_system,
                          const VirgaMountTargetSpec *spec, GError **error)
{
    VirgaSubnet *subnet =
        virga_subnet_get(txn, arena, file_system->account_id, spec->subnet_id, error);
    VirgaInterfaceSpec wanted = { .account_id = file_system->account_id,
                                  .subnet_id = spec->subnet_id,
                                  .address = spec->address,
                                  .type = "efs",
                                  .requester_id = VIRGA_FILE_SYSTEM_REQUESTER };
    char *interface_id;

    if (!subnet || !check_place(txn, arena, file_system, subnet, error) ||
        !choose_host(txn, file_system, subnet->zone, error))
        return false;
    wanted.vpc_id = subnet->vpc_id;
    wanted.zone = subnet->zone;
    wanted.cidr = subnet->cidr;
    wanted.group_ids = groups_of(txn, arena, spec, subnet->vpc_id, error);
    wanted.description =
        virga_arena_printf(arena, "EFS mount target for %s (%s)", file_system->id, spec->id);
    return wanted.group_ids && virga_subnet_hold(txn, subnet->id, false, error) &&
           virga_interface_create(txn, arena, &wanted, &interface_id, error) &&
           virga_txn_run(txn, error, NULL, sql_add_target, "sssss", spec->id, file_system->id,
                         subnet->id, subnet->zone, interface_id) &&
           virga_vpc_touch(txn, subnet->vpc_id, error);
}

bool
virga_mount_target_delete(VirgaTxn *txn, const VirgaMountTarget *target, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_remove_target, "s", target->id) &&
           virga_interface_delete_managed(txn, target->interface_id, error) &&
           virga_vpc_touch(txn, target->vpc_id, error);
}

bool
virga_mount_target_set_groups(VirgaTxn *txn, const VirgaMountTarget *target,
                              const char *const *group_ids, GError **error)
{
    gint64 set;

    if (!virga_txn_run(txn, error, NULL, sql_forget_groups, "s", target->interface_id) ||
        !virga_txn_run(txn, error, &set, sql_set_groups, "sass", target->interface_id, group_ids,
                       target->vpc_id, target->account_id))
        return false;
    if (set != (gint64) g_strv_length((char **) group_ids))
        return virga_fail(error, "security group", VIRGA_ERROR_NOT_FOUND,
                          "One or more security groups do not exist in the VPC");
    return virga_vpc_touch(txn, target->vpc_id, error);
}

bool
virga_mount_target_groups(VirgaTxn *txn, VirgaArena *arena, const VirgaMountTarget *target,
                          char ***ret, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_groups, "s", target->interface_id);

    if (!rows)
        return false;
    *ret = virga_arena_new_array(arena, char *, (size_t) virga_rows_count(rows) + 1);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = virga_rows_dup(rows, arena, i, 0);
    return true;
}

/* ---- the host's side ---- */

char *
virga_file_system_wish(VirgaTxn *txn, const char *host_id, const char *const *ids, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_wish, "sa", host_id, ids);

    return rows ? g_strdup(virga_rows_text(rows, 0, 0)) : NULL;
}

bool
virga_file_system_report(VirgaTxn *txn, const char *host_id, const char *const *ids,
                         const char *const *bytes, const char *const *serving,
                         const char *const *deleted, GError **error)
{
    g_autoptr(VirgaRows) gone = NULL;

    if (!virga_txn_run(txn, error, NULL, sql_note_bytes, "saa", host_id, ids, bytes) ||
        !virga_txn_run(txn, error, NULL, sql_note_serving, "sa", host_id, serving))
        return false;
    gone = virga_txn_query(txn, error, sql_deleted, "sa", host_id, deleted);
    for (int i = 0; gone && i < virga_rows_count(gone); i++)
        if (!forget(txn, virga_rows_text(gone, i, 0), virga_rows_text(gone, i, 1), error))
            return false;
    return gone != NULL;
}
