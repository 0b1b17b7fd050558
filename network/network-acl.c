/* SPDX-License-Identifier: Apache-2.0 */
#include "network/network-acl.h"

#include "core/error.h"
#include "core/id.h"
#include "core/quota.h"
#include "network/block.h"
#include "network/protocol.h"
#include "network/vpc.h"

#include <string.h>

#define DEFAULT_NUMBER 100

#define OF_ACCOUNT "a.account_id = $1 AND ($2::text[] IS NULL OR a.id = ANY ($2))"
static const char sql_acls[] =
    "SELECT a.id, a.account_id, a.vpc_id, a.is_default FROM network_acl a"
    " WHERE " OF_ACCOUNT " ORDER BY a.id";
static const char sql_entries[] =
    "SELECT a.id, e.egress, e.allow, e.number, e.protocol, e.from_port, e.to_port, e.cidr::text"
    " FROM network_acl a JOIN network_acl_entry e ON e.acl_id = a.id WHERE " OF_ACCOUNT
    " ORDER BY a.id, e.egress DESC, e.number";
static const char sql_associations[] =
    "SELECT a.id, x.id, x.subnet_id FROM network_acl a JOIN network_acl_association x"
    " ON x.acl_id = a.id WHERE " OF_ACCOUNT " ORDER BY a.id, x.id";
static const char sql_count[] = "SELECT count(*) FROM network_acl WHERE vpc_id = $1";
static const char sql_insert[] =
    "INSERT INTO network_acl (id, account_id, vpc_id, is_default) VALUES ($1, $2, $3, $4)";
static const char sql_find[] =
    "SELECT vpc_id, is_default FROM network_acl WHERE id = $1 AND account_id = $2";
static const char sql_default[] = "SELECT id FROM network_acl WHERE vpc_id = $1 AND is_default";
static const char sql_users[] =
    "SELECT string_agg(subnet_id, ', ') FROM network_acl_association WHERE acl_id = $1";
static const char sql_delete[] = "WITH untagged AS (DELETE FROM tag WHERE resource_id = $1)"
                                 " DELETE FROM network_acl WHERE id = $1";
static const char sql_entry_count[] =
    "SELECT count(*), coalesce(bool_or(number = $3), false) FROM network_acl_entry"
    " WHERE acl_id = $1 AND egress = $2";
static const char sql_entry_put[] =
    "INSERT INTO network_acl_entry (acl_id, egress, number, allow, protocol, from_port, to_port,"
    " cidr) VALUES ($1, $2, $3, $4, $5, $6, $7, $8::cidr) ON CONFLICT (acl_id, egress, number)"
    " DO UPDATE SET allow = $4, protocol = $5, from_port = $6, to_port = $7, cidr = $8::cidr";
static const char sql_entry_delete[] =
    "DELETE FROM network_acl_entry WHERE acl_id = $1 AND egress = $2 AND number = $3";
static const char sql_associate[] =
    "INSERT INTO network_acl_association (id, acl_id, subnet_id)"
    " SELECT $1, id, $3 FROM network_acl WHERE vpc_id = $2 AND is_default";
static const char sql_association[] =
    "SELECT a.vpc_id FROM network_acl_association x JOIN network_acl a ON a.id = x.acl_id"
    " WHERE x.id = $1 AND a.account_id = $2";
static const char sql_replace[] =
    "UPDATE network_acl_association SET id = $2, acl_id = $3 WHERE id = $1";

/* ---- reading ---- */

static VirgaNetworkAcl *
acl_of(GHashTable *acls, const VirgaRows *rows, int row)
{
    return g_hash_table_lookup(acls, virga_rows_text(rows, row, 0));
}

static void
read_entries(GHashTable *acls, const VirgaRows *rows, VirgaArena *arena)
{
    VirgaNetworkAclEntry *entries =
        virga_arena_new_array(arena, VirgaNetworkAclEntry, (size_t) virga_rows_count(rows));

    for (int i = 0; i < virga_rows_count(rows); i++) { /* those of one ACL stand together */
        VirgaNetworkAcl *acl = acl_of(acls, rows, i);

        entries[i] = (VirgaNetworkAclEntry){ .egress = virga_rows_bool(rows, i, 1),
                                             .allow = virga_rows_bool(rows, i, 2),
                                             .number = virga_rows_int(rows, i, 3),
                                             .protocol = virga_rows_dup(rows, arena, i, 4),
                                             .from_port = virga_rows_int(rows, i, 5),
                                             .to_port = virga_rows_int(rows, i, 6),
                                             .cidr = virga_rows_dup(rows, arena, i, 7) };
        if (acl && acl->entry_count++ == 0)
            acl->entries = &entries[i];
    }
}

static void
read_associations(GHashTable *acls, const VirgaRows *rows, VirgaArena *arena)
{
    VirgaNetworkAclAssociation *associations =
        virga_arena_new_array(arena, VirgaNetworkAclAssociation, (size_t) virga_rows_count(rows));

    for (int i = 0; i < virga_rows_count(rows); i++) {
        VirgaNetworkAcl *acl = acl_of(acls, rows, i);

        associations[i] = (VirgaNetworkAclAssociation){ virga_rows_dup(rows, arena, i, 1),
                                                        virga_rows_dup(rows, arena, i, 2) };
        if (acl && acl->association_count++ == 0)
            acl->associations = &associations[i];
    }
}

bool
virga_network_acl_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                       const char *const *ids, VirgaNetworkAcl **ret, size_t *ret_count,
                       GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_acls, "sa", account_id, ids);
    g_autoptr(VirgaRows) entries =
        rows ? virga_txn_query(txn, error, sql_entries, "sa", account_id, ids) : NULL;
    g_autoptr(VirgaRows) associations =
        entries ? virga_txn_query(txn, error, sql_associations, "sa", account_id, ids) : NULL;
    g_autoptr(GHashTable) acls = g_hash_table_new(g_str_hash, g_str_equal);

    if (!associations)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaNetworkAcl, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++) {
        VirgaNetworkAcl *acl = &(*ret)[i];

        *acl = (VirgaNetworkAcl){ .id = virga_rows_dup(rows, arena, i, 0),
                                  .account_id = virga_rows_dup(rows, arena, i, 1),
                                  .vpc_id = virga_rows_dup(rows, arena, i, 2),
                                  .is_default = virga_rows_bool(rows, i, 3) };
        g_hash_table_insert(acls, acl->id, acl);
    }
    read_entries(acls, entries, arena);
    read_associations(acls, associations, arena);
    return true;
}

/* ---- making and deleting ---- */

/* *ret_vpc_id is in 'arena'. */
static bool
find(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id, char **ret_vpc_id,
     bool *ret_is_default, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_find, "ss", id, account_id);

    *ret_vpc_id = NULL;
    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, "network acl", VIRGA_ERROR_NOT_FOUND,
                          "The networkAcl ID '%s' does not exist", id);
    *ret_vpc_id = virga_rows_dup(rows, arena, 0, 0);
    *ret_is_default = virga_rows_bool(rows, 0, 1);
    return true;
}

/* Holds the ACL's VPC. */
static bool
lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id, char **ret_vpc_id,
     bool *ret_is_default, GError **error)
{
    return find(txn, arena, account_id, id, ret_vpc_id, ret_is_default, error) &&
           virga_vpc_lock(txn, account_id, *ret_vpc_id, error) &&
           find(txn, arena, account_id, id, ret_vpc_id, ret_is_default, error);
}

bool
virga_network_acl_create(VirgaTxn *txn, const char *account_id, const char *vpc_id, const char *id,
                         GError **error)
{
    g_autoptr(VirgaRows) present = NULL;
    gint64 limit;

    if (!virga_vpc_lock(txn, account_id, vpc_id, error))
        return false;
    present = virga_txn_query(txn, error, sql_count, "s", vpc_id);
    if (!present || !virga_quota_limit(txn, account_id, VIRGA_QUOTA_ACLS_PER_VPC, &limit, error))
        return false;
    if (virga_rows_int(present, 0, 0) >= limit)
        return virga_fail(error, "network acl", VIRGA_ERROR_QUOTA,
                          "The maximum number of network ACLs for VPC '%s' has been reached",
                          vpc_id);
    return virga_txn_run(txn, error, NULL, sql_insert, "sssb", id, account_id, vpc_id, false);
}

static bool
put_entry(VirgaTxn *txn, const char *id, const VirgaNetworkAclEntry *entry, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_entry_put, "sbibsiis", id, entry->egress,
                         entry->number, entry->allow, entry->protocol, entry->from_port,
                         entry->to_port, entry->cidr);
}

bool
virga_network_acl_create_default(VirgaTxn *txn, const char *account_id, const char *vpc_id,
                                 GError **error)
{
    g_autofree char *id = virga_id_new("acl");
    VirgaNetworkAclEntry inward = { .allow = true,
                                    .number = DEFAULT_NUMBER,
                                    .protocol = (char *) "-1",
                                    .from_port = -1,
                                    .to_port = -1,
                                    .cidr = (char *) "0.0.0.0/0" };
    VirgaNetworkAclEntry outward = inward;

    outward.egress = true;
    return virga_txn_run(txn, error, NULL, sql_insert, "sssb", id, account_id, vpc_id, true) &&
           put_entry(txn, id, &inward, error) && put_entry(txn, id, &outward, error);
}

bool
virga_network_acl_delete_default(VirgaTxn *txn, const char *vpc_id, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_default, "s", vpc_id);

    return rows && (virga_rows_count(rows) == 0 ||
                    virga_txn_run(txn, error, NULL, sql_delete, "s", virga_rows_text(rows, 0, 0)));
}

bool
virga_network_acl_delete(VirgaTxn *txn, const char *account_id, const char *id, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(VirgaRows) users = NULL;
    bool is_default;
    char *vpc_id;

    if (!lock(txn, arena, account_id, id, &vpc_id, &is_default, error))
        return false;
    if (is_default)
        return virga_fail(error, "network acl", VIRGA_ERROR_INVALID,
                          "cannot delete default network ACL %s", id);
    users = virga_txn_query(txn, error, sql_users, "s", id);
    if (!users)
        return false;
    if (!virga_rows_is_null(users, 0, 0))
        return virga_fail(error, "network acl", VIRGA_ERROR_IN_USE,
                          "The networkAcl '%s' has dependencies and cannot be deleted (%s)", id,
                          virga_rows_text(users, 0, 0));
    return virga_txn_run(txn, error, NULL, sql_delete, "s", id);
}

/* ---- entries ---- */

static bool
fail_value(GError **error, const char *name, gint64 value)
{
    return virga_fail(error, "network acl entry", VIRGA_ERROR_INVALID,
                      "Value (%" G_GINT64_FORMAT ") for parameter %s is invalid.", value, name);
}

static bool
normalise_ports(VirgaNetworkAclEntry *entry, GError **error)
{
    gint64 from = entry->from_port, to = entry->to_port;

    if (g_str_equal(entry->protocol, "icmp")) {
        if (from < -1 || from > 255)
            return fail_value(error, "icmpType", from);
        return (to >= -1 && to <= 255 && (from != -1 || to == -1)) ||
               fail_value(error, "icmpCode", to);
    }
    if (!g_str_equal(entry->protocol, "tcp") && !g_str_equal(entry->protocol, "udp")) {
        entry->from_port = entry->to_port = -1;
        return true;
    }
    if (from < 0 || from > 65535)
        return fail_value(error, "portRange.from", from);
    return (to >= from && to <= 65535) || fail_value(error, "portRange.to", to);
}

static bool
normalise(VirgaNetworkAclEntry *entry, VirgaArena *arena, GError **error)
{
    const char *protocol = entry->protocol;
    unsigned prefix;

    if (entry->number < 1 || entry->number > VIRGA_ACL_NUMBER_MAX)
        return fail_value(error, "ruleNumber", entry->number);
    entry->protocol = virga_protocol_normalise(arena, protocol);
    if (!entry->protocol)
        return virga_fail(error, "network acl entry", VIRGA_ERROR_INVALID,
                          "Invalid value '%.100s' for IP protocol. Unknown protocol.", protocol);
    return normalise_ports(entry, error) &&
           virga_block_parse(arena, entry->cidr, &entry->cidr, &prefix, error);
}

static bool
fail_entry(GError **error, VirgaErrorCode code, gint64 number)
{
    return virga_fail(error, "network acl entry", code,
                      "The network acl entry identified by %" G_GINT64_FORMAT " %s", number,
                      code == VIRGA_ERROR_EXISTS ? "already exists." : "does not exist");
}

static bool
change_entry(VirgaTxn *txn, const char *account_id, const char *id,
             const VirgaNetworkAclEntry *wanted, bool add, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    VirgaNetworkAclEntry entry = *wanted;
    g_autoptr(VirgaRows) present = NULL;
    gint64 limit;
    bool is_default;
    char *vpc_id;

    if (!normalise(&entry, arena, error) ||
        !lock(txn, arena, account_id, id, &vpc_id, &is_default, error))
        return false;
    present = virga_txn_query(txn, error, sql_entry_count, "sbi", id, entry.egress, entry.number);
    if (!present || !virga_quota_limit(txn, account_id, VIRGA_QUOTA_RULES_PER_ACL, &limit, error))
        return false;
    if (virga_rows_bool(present, 0, 1) == add)
        return fail_entry(error, add ? VIRGA_ERROR_EXISTS : VIRGA_ERROR_NOT_FOUND, entry.number);
    if (add && virga_rows_int(present, 0, 0) >= limit)
        return virga_fail(error, "network acl entry", VIRGA_ERROR_QUOTA,
                          "The maximum number of entries for network ACL '%s' has been reached",
                          id);
    return put_entry(txn, id, &entry, error) && virga_vpc_touch(txn, vpc_id, error);
}

bool
virga_network_acl_add_entry(VirgaTxn *txn, const char *account_id, const char *id,
                            const VirgaNetworkAclEntry *entry, GError **error)
{
    return change_entry(txn, account_id, id, entry, true, error);
}

bool
virga_network_acl_replace_entry(VirgaTxn *txn, const char *account_id, const char *id,
                                const VirgaNetworkAclEntry *entry, GError **error)
{
    return change_entry(txn, account_id, id, entry, false, error);
}

bool
virga_network_acl_delete_entry(VirgaTxn *txn, const char *account_id, const char *id, bool egress,
                               gint64 number, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    gint64 deleted;
    bool is_default;
    char *vpc_id;

    if (!lock(txn, arena, account_id, id, &vpc_id, &is_default, error) ||
        !virga_txn_run(txn, error, &deleted, sql_entry_delete, "sbi", id, egress, number))
        return false;
    return deleted ? virga_vpc_touch(txn, vpc_id, error)
                   : fail_entry(error, VIRGA_ERROR_NOT_FOUND, number);
}

/* ---- associations ---- */

bool
virga_network_acl_add_subnet(VirgaTxn *txn, const char *vpc_id, const char *subnet_id,
                             GError **error)
{
    g_autofree char *id = virga_id_new("aclassoc");

    return virga_txn_run(txn, error, NULL, sql_associate, "sss", id, vpc_id, subnet_id);
}

bool
virga_network_acl_replace_association(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                      const char *association_id, const char *id,
                                      char **ret_association_id, GError **error)
{
    g_autofree char *new_id = virga_id_new("aclassoc");
    g_autoptr(VirgaRows) rows = NULL;
    bool is_default;
    char *vpc_id;

    if (!lock(txn, arena, account_id, id, &vpc_id, &is_default, error))
        return false;
    rows = virga_txn_query(txn, error, sql_association, "ss", association_id, account_id);
    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, "network acl association", VIRGA_ERROR_NOT_FOUND,
                          "The association ID '%.200s' does not exist", association_id);
    if (!g_str_equal(virga_rows_text(rows, 0, 0), vpc_id))
        return virga_fail(error, "network acl association", VIRGA_ERROR_INVALID,
                          "Network ACL %s and the subnet of association %s belong to different "
                          "networks",
                          id, association_id);
    *ret_association_id = virga_arena_strdup(arena, new_id);
    return virga_txn_run(txn, error, NULL, sql_replace, "sss", association_id, new_id, id) &&
           virga_vpc_touch(txn, vpc_id, error);
}
