/* SPDX-License-Identifier: Apache-2.0 */
/* The blocks of a VPC. */
#include "network/vpc.h"

#include "core/error.h"
#include "core/id.h"
#include "core/quota.h"
#include "network/address.h"
#include "network/block.h"

static const char sql_conflict[] =
    "SELECT cidr::text FROM vpc_block WHERE vpc_id = $1 AND cidr && $2::cidr"
    " UNION ALL SELECT r.destination::text FROM route r JOIN route_table t"
    " ON t.id = r.route_table_id WHERE t.vpc_id = $1 AND r.destination <<= $2::cidr LIMIT 1";
static const char sql_count[] = "SELECT count(*) FROM vpc_block WHERE vpc_id = $1";
static const char sql_insert[] =
    "INSERT INTO vpc_cidr (id, vpc_id, cidr) VALUES ($1, $2, $3::cidr)";
static const char sql_find[] =
    "SELECT b.vpc_id, b.cidr::text, b.is_first FROM vpc_block b JOIN vpc v ON v.id = b.vpc_id"
    " WHERE b.association_id = $1 AND v.account_id = $2";
static const char sql_users[] =
    "SELECT id FROM subnet WHERE vpc_id = $1 AND cidr <<= $2::cidr ORDER BY id LIMIT 1";
/* A route to exactly this block replaced its "local"; those to its subnets went with these. */
static const char sql_delete[] =
    "WITH routes AS (DELETE FROM route r USING route_table t WHERE t.id = r.route_table_id"
    " AND t.vpc_id = $2 AND r.destination <<= $3::cidr)"
    " DELETE FROM vpc_cidr WHERE id = $1";

bool
virga_block_parse(VirgaArena *arena, const char *text, char **ret_cidr, unsigned *ret_prefix,
                  GError **error)
{
    g_autofree char *cidr = NULL;
    guint32 base;

    if (!virga_cidr_parse_loose(text, &base, ret_prefix))
        return virga_fail(error, "cidr", VIRGA_ERROR_INVALID,
                          "Value (%.100s) for parameter cidrBlock is invalid. This is not a valid "
                          "CIDR block.",
                          text ? text : "");
    cidr = virga_cidr_text(base, *ret_prefix);
    *ret_cidr = virga_arena_strdup(arena, cidr);
    return true;
}

/* Nobody can be reached under these. */
static bool
is_reserved(guint32 base, unsigned prefix)
{
    static const char *const reserved[] = { "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16",
                                            "224.0.0.0/3" };

    for (size_t i = 0; i < G_N_ELEMENTS(reserved); i++) {
        guint32 other = 0;
        unsigned length = 0;

        virga_cidr_parse(reserved[i], &other, &length);
        if (virga_cidr_has(other, length, base) || virga_cidr_has(base, prefix, other))
            return true;
    }
    return false;
}

bool
virga_block_of_vpc(VirgaArena *arena, const char *text, char **ret_cidr, GError **error)
{
    guint32 base = 0;
    unsigned prefix;

    if (!virga_block_parse(arena, text, ret_cidr, &prefix, error))
        return false;
    virga_cidr_parse(*ret_cidr, &base, &prefix);
    return (prefix >= VIRGA_BLOCK_PREFIX_MIN && prefix <= VIRGA_BLOCK_PREFIX_MAX &&
            !is_reserved(base, prefix)) ||
           virga_fail(error, "vpc block", VIRGA_ERROR_INVALID, "The CIDR '%s' is invalid.",
                      *ret_cidr);
}

static bool
check_count(VirgaTxn *txn, const char *account_id, const char *vpc_id, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_count, "s", vpc_id);
    gint64 limit;

    if (!rows || !virga_quota_limit(txn, account_id, VIRGA_QUOTA_BLOCKS_PER_VPC, &limit, error))
        return false;
    return virga_rows_int(rows, 0, 0) < limit ||
           virga_fail(error, "vpc block", VIRGA_ERROR_QUOTA,
                      "This network '%s' has met its maximum number of allowed CIDRs: "
                      "%" G_GINT64_FORMAT,
                      vpc_id, limit);
}

bool
virga_vpc_add_block(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                    const char *cidr, VirgaVpcBlock *ret, GError **error)
{
    g_autofree char *association_id = virga_id_new("vpc-cidr-assoc");
    g_autoptr(VirgaRows) conflict = NULL;

    if (!virga_vpc_lock(txn, account_id, id, error) ||
        !virga_block_of_vpc(arena, cidr, &ret->cidr, error) ||
        !check_count(txn, account_id, id, error))
        return false;
    conflict = virga_txn_query(txn, error, sql_conflict, "ss", id, ret->cidr);
    if (!conflict)
        return false;
    if (virga_rows_count(conflict))
        return virga_fail(error, "vpc block", VIRGA_ERROR_CONFLICT,
                          "The CIDR '%s' conflicts with '%s', a CIDR or a route's destination of "
                          "the VPC.",
                          ret->cidr, virga_rows_text(conflict, 0, 0));
    ret->association_id = virga_arena_strdup(arena, association_id);
    return virga_txn_run(txn, error, NULL, sql_insert, "sss", association_id, id, ret->cidr) &&
           virga_vpc_touch(txn, id, error);
}

bool
virga_vpc_remove_block(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                       const char *association_id, char **ret_vpc_id, VirgaVpcBlock *ret,
                       GError **error)
{
    g_autoptr(VirgaRows) found =
        virga_txn_query(txn, error, sql_find, "ss", association_id, account_id);
    g_autoptr(VirgaRows) users = NULL;

    if (!found)
        return false;
    if (virga_rows_count(found) == 0)
        return virga_fail(error, "vpc block", VIRGA_ERROR_NOT_FOUND,
                          "The vpc CIDR block association ID '%.200s' does not exist",
                          association_id);
    if (virga_rows_bool(found, 0, 2))
        return virga_fail(error, "vpc block", VIRGA_ERROR_DENIED,
                          "The vpc CIDR block with association ID %s may not be disassociated. It "
                          "is the primary IPv4 CIDR block of the VPC",
                          association_id);
    *ret_vpc_id = virga_rows_dup(found, arena, 0, 0);
    *ret = (VirgaVpcBlock){ virga_arena_strdup(arena, association_id),
                            virga_rows_dup(found, arena, 0, 1) };
    if (!virga_vpc_lock(txn, account_id, *ret_vpc_id, error))
        return false;
    users = virga_txn_query(txn, error, sql_users, "ss", *ret_vpc_id, ret->cidr);
    if (!users)
        return false;
    if (virga_rows_count(users))
        return virga_fail(error, "vpc block", VIRGA_ERROR_IN_USE,
                          "The vpc %s currently has a subnet within CIDR block %s (%s)",
                          *ret_vpc_id, ret->cidr, virga_rows_text(users, 0, 0));
    return virga_txn_run(txn, error, NULL, sql_delete, "sss", association_id, *ret_vpc_id,
                         ret->cidr) &&
           virga_vpc_touch(txn, *ret_vpc_id, error);
}
