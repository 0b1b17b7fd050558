/* SPDX-License-Identifier: Apache-2.0 */
#include "network/elastic-ip.h"

#include "core/error.h"
#include "core/id.h"
#include "core/quota.h"
#include "core/tag.h"
#include "network/address.h"
#include "network/internet-gateway.h"

static const char sql_list[] =
    "SELECT p.allocation_id, host(p.address), p.association_id, p.interface_id,"
    " host(p.private_address), i.subnet_id, i.instance_id FROM public_address p"
    " LEFT JOIN network_interface i ON i.id = p.interface_id"
    " WHERE p.account_id = $1 AND p.allocation_id IS NOT NULL ORDER BY p.allocation_id";
static const char sql_allocate[] =
    "UPDATE public_address SET allocation_id = $1, account_id = $2 WHERE address ="
    " (SELECT address FROM public_address WHERE interface_id IS NULL AND allocation_id IS NULL"
    "  AND ($3::inet IS NULL OR address = $3::inet)"
    "  ORDER BY released, address LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING host(address)";
static const char sql_lock[] =
    "SELECT p.association_id, p.interface_id, host(p.private_address), i.requester_id"
    " FROM public_address p LEFT JOIN network_interface i ON i.id = p.interface_id"
    " WHERE p.account_id = $1 AND p.allocation_id = $2 FOR UPDATE OF p";
static const char sql_lock_association[] =
    "SELECT p.allocation_id, p.interface_id, i.requester_id FROM public_address p"
    " JOIN network_interface i ON i.id = p.interface_id"
    " WHERE p.account_id = $1 AND p.association_id = $2 FOR UPDATE OF p";
static const char sql_release[] =
    "UPDATE public_address SET allocation_id = NULL, account_id = NULL, released = now()"
    " WHERE allocation_id = $1";
static const char sql_present[] =
    "SELECT allocation_id, association_id FROM public_address"
    " WHERE interface_id = $1 AND private_address = $2::inet FOR UPDATE";
static const char sql_clear[] =
    "UPDATE public_address SET interface_id = NULL, private_address = NULL, association_id = NULL,"
    " account_id = CASE WHEN allocation_id IS NULL THEN NULL ELSE account_id END, released = now()"
    " WHERE interface_id = $1 AND private_address = $2::inet";
static const char sql_associate[] =
    "UPDATE public_address SET interface_id = $2, private_address = $3::inet, association_id = $4"
    " WHERE allocation_id = $1";
static const char sql_disassociate[] =
    "UPDATE public_address SET interface_id = NULL, private_address = NULL, association_id = NULL"
    " WHERE association_id = $1";

static bool
fail_missing(const char *allocation_id, GError **error)
{
    return virga_fail(error, "address", VIRGA_ERROR_NOT_FOUND,
                      "The allocation ID '%s' does not exist", allocation_id);
}

static bool
fail_managed(GError **error)
{
    return virga_fail(error, "address association", VIRGA_ERROR_DENIED,
                      "You do not have permission to access the specified resource.");
}

static bool
fail_associated(const char *allocation_id, const char *association_id, GError **error)
{
    return virga_fail(error, "address association", VIRGA_ERROR_EXISTS,
                      "resource %s is already associated with associate-id %s", allocation_id,
                      association_id);
}

bool
virga_elastic_ip_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                      VirgaElasticIp **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_list, "s", account_id);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaElasticIp, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaElasticIp){ .allocation_id = virga_rows_dup(rows, arena, i, 0),
                                      .address = virga_rows_dup(rows, arena, i, 1),
                                      .association_id = virga_rows_dup(rows, arena, i, 2),
                                      .interface_id = virga_rows_dup(rows, arena, i, 3),
                                      .private_address = virga_rows_dup(rows, arena, i, 4),
                                      .subnet_id = virga_rows_dup(rows, arena, i, 5),
                                      .instance_id = virga_rows_dup(rows, arena, i, 6) };
    return true;
}

bool
virga_elastic_ip_allocate(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                          const char *wanted, VirgaElasticIp *ret, GError **error)
{
    g_autofree char *id = virga_id_new("eipalloc");
    g_autoptr(VirgaRows) rows = NULL;
    guint32 number;

    if (wanted && !virga_ipv4_parse(wanted, &number))
        return virga_fail(error, "address", VIRGA_ERROR_INVALID, "Invalid IP address: '%s'",
                          wanted);
    rows = virga_txn_query(txn, error, sql_allocate, "sss", id, account_id, wanted);
    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0 && wanted)
        return virga_fail(error, "public address", VIRGA_ERROR_NOT_FOUND, "Address '%s' not found.",
                          wanted);
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, "address", VIRGA_ERROR_CAPACITY,
                          "There are not enough free public addresses in the pool");
    *ret = (VirgaElasticIp){ .allocation_id = virga_arena_strdup(arena, id),
                             .address = virga_rows_dup(rows, arena, 0, 0) };
    return virga_quota_claim(txn, account_id, VIRGA_QUOTA_ELASTIC_IPS, 1, error);
}

bool
virga_elastic_ip_release(VirgaTxn *txn, const char *account_id, const char *allocation_id,
                         GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_lock, "ss", account_id, allocation_id);

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return fail_missing(allocation_id, error);
    if (!virga_rows_is_null(rows, 0, 1))
        return virga_fail(error, "address", VIRGA_ERROR_IN_USE, "Address %s is in use.",
                          allocation_id);
    return virga_txn_run(txn, error, NULL, sql_release, "s", allocation_id) &&
           virga_tag_forget(txn, allocation_id, error) &&
           virga_quota_claim(txn, account_id, VIRGA_QUOTA_ELASTIC_IPS, -1, error);
}

/* The text of the interface's address that is meant. */
static const char *
find_address(const VirgaInterface *interface, const char *wanted, GError **error)
{
    if (!wanted || g_str_equal(wanted, interface->primary.address))
        return interface->primary.address;
    for (size_t i = 0; i < interface->secondary_count; i++)
        if (g_str_equal(wanted, interface->secondaries[i].address))
            return interface->secondaries[i].address;
    virga_fail(error, "network interface", VIRGA_ERROR_INVALID,
               "The private IP address %s is not assigned to the network interface '%s'", wanted,
               interface->id);
    return NULL;
}

/* Makes room at the private address. */
static bool
clear(VirgaTxn *txn, const char *interface_id, const char *address, bool move, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_present, "ss", interface_id, address);

    if (!rows || virga_rows_count(rows) == 0)
        return rows != NULL;
    if (!move && !virga_rows_is_null(rows, 0, 0))
        return fail_associated(virga_rows_text(rows, 0, 0), virga_rows_text(rows, 0, 1), error);
    return virga_txn_run(txn, error, NULL, sql_clear, "ss", interface_id, address);
}

bool
virga_elastic_ip_associate(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                           const char *allocation_id, const VirgaInterface *interface,
                           const char *private_address, bool move, char **ret_association_id,
                           char **ret_former, GError **error)
{
    const char *address = find_address(interface, private_address, error);
    g_autoptr(VirgaRows) rows = NULL;
    g_autofree char *id = virga_id_new("eipassoc");
    const char *former;

    *ret_former = NULL;
    rows = address ? virga_txn_query(txn, error, sql_lock, "ss", account_id, allocation_id) : NULL;
    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return fail_missing(allocation_id, error);
    former = virga_rows_text(rows, 0, 1);
    if (former && g_str_equal(former, interface->id) &&
        g_strcmp0(virga_rows_text(rows, 0, 2), address) == 0) {
        *ret_association_id = virga_rows_dup(rows, arena, 0, 0);
        return true;
    }
    if (former && !virga_rows_is_null(rows, 0, 3))
        return fail_managed(error);
    if (former && !move)
        return fail_associated(allocation_id, virga_rows_text(rows, 0, 0), error);
    if (!virga_internet_gateway_require(txn, interface->vpc_id, error))
        return false;
    *ret_former = virga_rows_dup(rows, arena, 0, 1);
    *ret_association_id = virga_arena_strdup(arena, id);
    return clear(txn, interface->id, address, move, error) &&
           virga_txn_run(txn, error, NULL, sql_associate, "ssss", allocation_id, interface->id,
                         address, id);
}

bool
virga_elastic_ip_disassociate(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                              const char *association_id, char **ret_interface, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_lock_association, "ss", account_id, association_id);

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, "address association", VIRGA_ERROR_NOT_FOUND,
                          "The association ID '%s' does not exist", association_id);
    if (!virga_rows_is_null(rows, 0, 2))
        return fail_managed(error);
    *ret_interface = virga_rows_dup(rows, arena, 0, 1);
    return virga_txn_run(txn, error, NULL, sql_disassociate, "s", association_id);
}
