/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of VPCs.  How they begin and end: vpc-life.c; their blocks: vpc-block.c. */
#include "network/vpc.h"

#include "core/error.h"

static const char sql_vpc_list[] =
    "SELECT v.id, v.account_id, v.cidr::text, v.dhcp_options_id, v.tenancy, v.is_default,"
    " v.dns_support, v.dns_hostnames, v.usage_metrics,"
    " ARRAY(SELECT b.association_id FROM vpc_block b WHERE b.vpc_id = v.id"
    "  ORDER BY NOT b.is_first, b.created, b.cidr),"
    " ARRAY(SELECT b.cidr::text FROM vpc_block b WHERE b.vpc_id = v.id"
    "  ORDER BY NOT b.is_first, b.created, b.cidr)"
    " FROM vpc v WHERE v.account_id = $1 AND ($2::text[] IS NULL OR v.id = ANY ($2)) ORDER BY v.id";
enum { ID, ACCOUNT_ID, CIDR, DHCP, TENANCY, IS_DEFAULT, SUPPORT, HOSTNAMES, METRICS, IDS, CIDRS };
static const char sql_vpc_default[] = "SELECT id FROM vpc WHERE account_id = $1 AND is_default";
static const char sql_vpc_touch[] =
    "UPDATE vpc SET generation = generation + 1 WHERE id = $1 RETURNING pg_notify('virga_vpc', id)";
static const char sql_vpc_lock[] =
    "SELECT 1 FROM vpc WHERE id = $1 AND account_id = $2 FOR NO KEY UPDATE";
static const char sql_vpc_set_flags[] =
    "UPDATE vpc SET dns_support = coalesce($2, dns_support),"
    " dns_hostnames = coalesce($3, dns_hostnames),"
    " usage_metrics = coalesce($4, usage_metrics) WHERE id = $1";
static const char sql_vpc_set_tenancy[] = "UPDATE vpc SET tenancy = $2 WHERE id = $1";

static const char sql_vpc_of[] =
    "SELECT vpc_id FROM subnet WHERE id = $2 AND account_id = $1"
    " UNION ALL SELECT vpc_id FROM security_group WHERE id = $2 AND account_id = $1"
    " UNION ALL SELECT vpc_id FROM network_interface WHERE id = $2 AND account_id = $1"
    " UNION ALL SELECT vpc_id FROM route_table WHERE id = $2 AND account_id = $1"
    " UNION ALL SELECT vpc_id FROM network_acl WHERE id = $2 AND account_id = $1"
    " UNION ALL SELECT vpc_id FROM internet_gateway WHERE id = $2 AND account_id = $1"
    " AND vpc_id IS NOT NULL";
static const char sql_associated[] =
    "SELECT unnest(ARRAY[t.id, a.subnet_id]) AS id FROM route_table_association a"
    " JOIN route_table t ON t.id = a.route_table_id WHERE a.id = $2 AND t.account_id = $1"
    " UNION ALL SELECT unnest(ARRAY[n.id, x.subnet_id]) FROM network_acl_association x"
    " JOIN network_acl n ON n.id = x.acl_id WHERE x.id = $2 AND n.account_id = $1"
    " UNION ALL SELECT v.id FROM vpc_block b JOIN vpc v ON v.id = b.vpc_id"
    " WHERE b.association_id = $2 AND v.account_id = $1";

bool
virga_vpc_of(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *resource_id,
             char **ret_vpc_id, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_vpc_of, "ss", account_id, resource_id);

    if (!rows)
        return false;
    *ret_vpc_id = virga_rows_count(rows) ? virga_rows_dup(rows, arena, 0, 0) : NULL;
    return true;
}

bool
virga_vpc_associated(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                     const char *association_id, const char *const **ret_ids, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_associated, "ss", account_id, association_id);
    const char **ids;
    size_t count = 0;

    if (!rows)
        return false;
    ids = virga_arena_new_array(arena, const char *, (size_t) virga_rows_count(rows) + 1);
    for (int i = 0; i < virga_rows_count(rows); i++)
        if (!virga_rows_is_null(rows, i, 0))
            ids[count++] = virga_rows_dup(rows, arena, i, 0);
    *ret_ids = ids;
    return true;
}

static bool
fail_missing(const char *id, GError **error)
{
    return virga_fail(error, "vpc", VIRGA_ERROR_NOT_FOUND, "The vpc ID '%s' does not exist", id);
}

bool
virga_vpc_lock(VirgaTxn *txn, const char *account_id, const char *id, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_vpc_lock, "ss", id, account_id);

    return rows && (virga_rows_count(rows) > 0 || fail_missing(id, error));
}

bool
virga_vpc_touch(VirgaTxn *txn, const char *vpc_id, GError **error)
{
    return virga_txn_post(txn, error, sql_vpc_touch, "s", vpc_id);
}

static void
read_blocks(const VirgaRows *rows, int row, VirgaArena *arena, VirgaVpc *vpc)
{
    g_auto(GStrv) ids = virga_rows_array(rows, row, IDS);
    g_auto(GStrv) cidrs = virga_rows_array(rows, row, CIDRS);

    vpc->block_count = g_strv_length(ids);
    vpc->blocks = virga_arena_new_array(arena, VirgaVpcBlock, vpc->block_count);
    for (size_t i = 0; i < vpc->block_count && cidrs[i]; i++)
        vpc->blocks[i] = (VirgaVpcBlock){ virga_arena_strdup(arena, ids[i]),
                                          virga_arena_strdup(arena, cidrs[i]) };
}

static void
read_vpc(const VirgaRows *rows, int row, VirgaArena *arena, VirgaVpc *vpc)
{
    *vpc = (VirgaVpc){ .id = virga_rows_dup(rows, arena, row, ID),
                       .account_id = virga_rows_dup(rows, arena, row, ACCOUNT_ID),
                       .cidr = virga_rows_dup(rows, arena, row, CIDR),
                       .dhcp_options_id = virga_rows_dup(rows, arena, row, DHCP),
                       .tenancy = virga_rows_dup(rows, arena, row, TENANCY),
                       .is_default = virga_rows_bool(rows, row, IS_DEFAULT),
                       .dns_support = virga_rows_bool(rows, row, SUPPORT),
                       .dns_hostnames = virga_rows_bool(rows, row, HOSTNAMES),
                       .usage_metrics = virga_rows_bool(rows, row, METRICS) };
    read_blocks(rows, row, arena, vpc);
}

bool
virga_vpc_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *const *ids,
               VirgaVpc **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_vpc_list, "sa", account_id, ids);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaVpc, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        read_vpc(rows, i, arena, &(*ret)[i]);
    return true;
}

VirgaVpc *
virga_vpc_get(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
              GError **error)
{
    const char *ids[] = { id, NULL };
    VirgaVpc *vpc;
    size_t count;

    if (!virga_vpc_list(txn, arena, account_id, ids, &vpc, &count, error))
        return NULL;
    if (count == 0) {
        fail_missing(id, error);
        return NULL;
    }
    return vpc;
}

char *
virga_vpc_default(VirgaTxn *txn, VirgaArena *arena, const char *account_id, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_vpc_default, "s", account_id);

    if (!rows)
        return NULL;
    if (virga_rows_count(rows) == 0) {
        virga_fail(error, "default vpc", VIRGA_ERROR_NOT_FOUND, "No default VPC for this user");
        return NULL;
    }
    return virga_rows_dup(rows, arena, 0, 0);
}

bool
virga_vpc_set_flags(VirgaTxn *txn, const char *id, const VirgaVpcFlags *flags, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_vpc_set_flags, "smmm", id, flags->dns_support,
                         flags->dns_hostnames, flags->usage_metrics) &&
           virga_vpc_touch(txn, id, error);
}

bool
virga_vpc_set_tenancy(VirgaTxn *txn, const char *id, const char *tenancy, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_vpc_set_tenancy, "ss", id, tenancy);
}
