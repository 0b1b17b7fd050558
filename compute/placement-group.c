/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/placement-group.h"

#include "core/error.h"
#include "core/quota.h"
#include "core/tag.h"

#define GROUP_SELECT                                                                               \
    "SELECT id, account_id, name, strategy, spread_level, partitions," VIRGA_SQL_TIME(             \
        "created") " FROM placement_group WHERE account_id = $1"

static const char sql_list[] = GROUP_SELECT " AND ($2::text[] IS NULL OR id = ANY ($2))"
                                            " AND ($3::text[] IS NULL OR name = ANY ($3))"
                                            " ORDER BY id";
static const char sql_lock[] = GROUP_SELECT " AND ($2::text IS NULL OR id = $2)"
                                            " AND ($3::text IS NULL OR name = $3) FOR UPDATE";
static const char sql_insert[] =
    "INSERT INTO placement_group (id, account_id, name, strategy, spread_level, partitions)"
    " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (account_id, name) DO NOTHING";
static const char sql_delete[] = "DELETE FROM placement_group WHERE id = $1";
static const char sql_members[] = "SELECT host_id, partition FROM instance"
                                  " WHERE placement_group_id = $1 AND state <> 'terminated'";

typedef struct {
    const char *host_id; /* NULL: nothing of it is left on a host */
    gint64 partition;
} Member;

struct VirgaPlacement {
    VirgaPlacementGroup group;
    gint64 wanted; /* partition; 0: any */
    Member *members;
    size_t count;
};

static VirgaPlacementGroup
read_group(const VirgaRows *rows, int row, VirgaArena *arena)
{
    return (VirgaPlacementGroup){ .id = virga_rows_dup(rows, arena, row, 0),
                                  .account_id = virga_rows_dup(rows, arena, row, 1),
                                  .name = virga_rows_dup(rows, arena, row, 2),
                                  .strategy = virga_rows_dup(rows, arena, row, 3),
                                  .spread_level = virga_rows_dup(rows, arena, row, 4),
                                  .partitions = virga_rows_int(rows, row, 5),
                                  .created = virga_rows_time(rows, row, 6) };
}

bool
virga_placement_group_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                           const char *const *ids, const char *const *names,
                           VirgaPlacementGroup **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_list, "saa", account_id, ids, names);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaPlacementGroup, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = read_group(rows, i, arena);
    return true;
}

bool
virga_placement_group_create(VirgaTxn *txn, const VirgaPlacementGroup *made, GError **error)
{
    gint64 inserted;

    return virga_txn_run(txn, error, &inserted, sql_insert, "sssssi", made->id, made->account_id,
                         made->name, made->strategy, made->spread_level, made->partitions) &&
           (inserted || virga_fail(error, "placement group", VIRGA_ERROR_EXISTS,
                                   "The placement group '%s' already exists.", made->name)) &&
           virga_quota_claim(txn, made->account_id, VIRGA_QUOTA_PLACEMENT_GROUPS, 1, error);
}

static bool
lock_group(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
           const char *name, VirgaPlacementGroup *ret, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_lock, "sss", account_id, id, id ? NULL : name);

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, "placement group", VIRGA_ERROR_NOT_FOUND,
                          "The placement group '%s' is unknown.", id ? id : name);
    *ret = read_group(rows, 0, arena);
    return true;
}

bool
virga_placement_group_delete(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                             const char *name, GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;
    VirgaPlacementGroup group;

    if (!lock_group(txn, arena, account_id, NULL, name, &group, error))
        return false;
    rows = virga_txn_query(txn, error, sql_members, "s", group.id);
    if (!rows)
        return false;
    if (virga_rows_count(rows) > 0)
        return virga_fail(error, "placement group", VIRGA_ERROR_IN_USE,
                          "The placement group '%s' is in use and may not be deleted.", name);
    return virga_txn_run(txn, error, NULL, sql_delete, "s", group.id) &&
           virga_tag_forget(txn, group.id, error) &&
           virga_quota_claim(txn, account_id, VIRGA_QUOTA_PLACEMENT_GROUPS, -1, error);
}

/* ---- launching ---- */

VirgaPlacement *
virga_placement_join(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                     const char *name, gint64 partition, gint64 more, GError **error)
{
    VirgaPlacement *placement = virga_arena_new_array(arena, VirgaPlacement, 1);
    g_autoptr(VirgaRows) rows = NULL;

    if (!lock_group(txn, arena, account_id, id, name, &placement->group, error))
        return NULL;
    if (partition < 0 || partition > placement->group.partitions) {
        virga_fail(error, "placement group", VIRGA_ERROR_INVALID,
                   "The placement group '%s' has no partition %" G_GINT64_FORMAT,
                   placement->group.name, partition);
        return NULL;
    }
    rows = virga_txn_query(txn, error, sql_members, "s", placement->group.id);
    if (!rows)
        return NULL;
    placement->wanted = partition;
    placement->count = (size_t) virga_rows_count(rows);
    placement->members = virga_arena_new_array(arena, Member, placement->count + (size_t) more);
    for (size_t i = 0; i < placement->count; i++)
        placement->members[i] = (Member){ .host_id = virga_rows_dup(rows, arena, (int) i, 0),
                                          .partition = virga_rows_int(rows, (int) i, 1) };
    return placement;
}

const VirgaPlacementGroup *
virga_placement_group(const VirgaPlacement *placement)
{
    return &placement->group;
}

void
virga_placement_add(VirgaPlacement *placement, const char *host_id, gint64 partition)
{
    placement->members[placement->count++] = (Member){ .host_id = host_id, .partition = partition };
}

/* Why a host is out of the question for a new member, or NULL. */
static const char *
bar(const VirgaPlacement *placement, const char *host_id, gint64 partition)
{
    bool spread = g_str_equal(placement->group.strategy, "spread");

    for (size_t i = 0; i < placement->count; i++) {
        const Member *member = &placement->members[i];

        if (g_strcmp0(member->host_id, host_id) != 0)
            continue;
        if (spread)
            return "holds an instance of the placement group, which is spread";
        if (partition && member->partition != partition)
            return "holds instances of another partition of the placement group";
    }
    return NULL;
}

static const VirgaPlaceHost *
choose(const VirgaPlacement *placement, const VirgaPlaceRequest *request, VirgaPlaceHost *hosts,
       size_t count, gint64 partition)
{
    for (size_t i = 0; i < count; i++)
        hosts[i].barred = bar(placement, hosts[i].id, partition);
    return virga_place(request, hosts, count);
}

static size_t
members_of(const VirgaPlacement *placement, gint64 partition)
{
    size_t count = 0;

    for (size_t i = 0; i < placement->count; i++)
        count += placement->members[i].partition == partition;
    return count;
}

const VirgaPlaceHost *
virga_placement_choose(const VirgaPlacement *placement, const VirgaPlaceRequest *request,
                       VirgaPlaceHost *hosts, size_t count, gint64 *ret_partition)
{
    const VirgaPlaceHost *best = NULL;
    size_t fewest = G_MAXSIZE;

    *ret_partition = placement->wanted;
    if (placement->group.partitions == 0 || placement->wanted)
        return choose(placement, request, hosts, count, placement->wanted);
    /* The emptiest partition for which there is room. */
    for (gint64 partition = 1; partition <= placement->group.partitions; partition++) {
        size_t members = members_of(placement, partition);
        const VirgaPlaceHost *host =
            members < fewest ? choose(placement, request, hosts, count, partition) : NULL;

        if (!host)
            continue;
        best = host;
        fewest = members;
        *ret_partition = partition;
    }
    return best;
}
