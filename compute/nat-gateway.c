/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/nat-gateway.h"

#include "compute/host.h"
#include "core/error.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/quota.h"
#include "core/tag.h"
#include "network/elastic-ip.h"
#include "network/interface-edit.h"
#include "network/subnet.h"
#include "network/vpc.h"

#define REQUESTER "amazon-nat"
#define PENDING_S 600  /* one that no host could carry for so long has failed */
#define SHOWN_S   3600 /* after it has ended */

#define STRINGIFY_(x) #x
#define STRINGIFY(x)  STRINGIFY_(x)
#define HOST_IS_WELL                                                                               \
    "h.seen > now() - interval '" STRINGIFY(VIRGA_HOST_LOST_S) " seconds' AND h.trouble IS NULL"
#define LIVE "state IN ('pending', 'available', 'deleting')"

static const char sql_gateway[] = "SELECT id FROM internet_gateway WHERE vpc_id = $1";
/* The one with the fewest of them in the zone. */
static const char sql_choose_host[] =
    "SELECT h.id FROM host h WHERE h.zone = $1 AND " HOST_IS_WELL " ORDER BY (SELECT count(*)"
    " FROM nat_gateway g WHERE g.host_id = h.id AND g." LIVE "), h.id LIMIT 1";
static const char sql_insert[] =
    "INSERT INTO nat_gateway (id, account_id, vpc_id, subnet_id, zone, is_public, interface_id,"
    " private_address, allocation_id, association_id, public_address, state, host_id)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8::inet, $9, $10, (SELECT address FROM public_address"
    " WHERE allocation_id = $9), CASE WHEN $6 THEN 'pending' ELSE 'available' END, $11)";
static const char sql_insert_failed[] =
    "INSERT INTO nat_gateway (id, account_id, vpc_id, subnet_id, zone, is_public, allocation_id,"
    " state, failure_code, failure) VALUES ($1, $2, $3, $4, $5, $6, $7, 'failed', $8, $9)";
/* After the VPC was touched, whose row is ours until the end of the transaction. */
static const char sql_generation[] =
    "UPDATE nat_gateway g SET generation = v.generation FROM vpc v WHERE g.id = $1"
    " AND v.id = g.vpc_id";
static const char sql_list[] =
    "SELECT id, account_id, vpc_id, subnet_id, zone, interface_id, host(private_address),"
    " allocation_id, association_id, host(public_address), state, failure_code, failure,"
    " is_public, " VIRGA_SQL_TIME("created") ", " VIRGA_SQL_TIME(
        "since") " FROM nat_gateway"
                 " WHERE account_id = $1 AND ($2::text[] IS NULL OR id = ANY ($2))"
                 " AND (" LIVE
                 " OR since > now() - interval '" STRINGIFY(SHOWN_S) " seconds') ORDER BY id";
static const char sql_lock[] =
    "SELECT state, vpc_id, is_public FROM nat_gateway WHERE id = $1 AND account_id = $2 FOR UPDATE";
static const char sql_deleting[] =
    "UPDATE nat_gateway SET state = 'deleting', since = now() WHERE id = $1";
static const char sql_ended[] =
    "UPDATE nat_gateway SET state = $2, since = now(), host_id = NULL, failure_code = $3,"
    " failure = $4 WHERE id = $1";
#define ENDING "SELECT g.id, g.account_id, g.interface_id, g.vpc_id FROM nat_gateway g "
static const char sql_waits[] = "SELECT EXISTS (SELECT 1 FROM nat_gateway WHERE host_id = $1"
                                " AND state IN ('pending', 'deleting'))";
#define APPLIED "unnest($2::text[], $3::text[]::bigint[]) AS a (vpc_id, generation)"
static const char sql_carried[] =
    "UPDATE nat_gateway g SET state = 'available', since = now() FROM " APPLIED
    " WHERE g.host_id = $1 AND g.state = 'pending' AND a.vpc_id = g.vpc_id"
    " AND a.generation >= g.generation RETURNING g.id";
static const char sql_dropped[] =
    ENDING "WHERE g.host_id = $1 AND g.state = 'deleting' AND NOT EXISTS (SELECT 1 FROM " APPLIED
           " WHERE a.vpc_id = g.vpc_id AND a.generation < g.generation) ORDER BY g.id FOR UPDATE";
static const char sql_lost[] =
    "SELECT g.id, g.zone, g.vpc_id FROM nat_gateway g WHERE g.is_public"
    " AND g.state IN ('pending', 'available') AND (g.host_id IS NULL OR ($1"
    " AND NOT EXISTS (SELECT 1 FROM host h WHERE h.id = g.host_id AND h.seen > now() - interval "
    "'" STRINGIFY(VIRGA_HOST_LOST_S) " seconds')))"
                                     " ORDER BY g.id FOR UPDATE SKIP LOCKED";
static const char sql_set_host[] = "UPDATE nat_gateway SET host_id = $2 WHERE id = $1";
static const char sql_abandoned[] =
    ENDING "WHERE g.state = 'deleting' AND NOT EXISTS (SELECT 1 FROM host h WHERE h.id = g.host_id"
           " AND h.seen > now() - interval '" STRINGIFY(
               VIRGA_HOST_LOST_S) " seconds') ORDER BY g.id FOR UPDATE SKIP LOCKED";
static const char sql_overdue[] =
    ENDING "WHERE g.state = 'pending' AND g.since < now() - interval '" STRINGIFY(
        PENDING_S) " seconds' ORDER BY g.id FOR UPDATE SKIP LOCKED";
static const char sql_forget[] =
    "WITH gone AS (DELETE FROM nat_gateway WHERE NOT (" LIVE ")"
    " AND since < now() - interval '" STRINGIFY(
        SHOWN_S) " seconds' RETURNING id)"
                 " DELETE FROM tag USING gone WHERE resource_id = gone.id";

/* ---- making ---- */

typedef struct {
    VirgaTxn *txn;
    VirgaArena *arena;
    const VirgaNatGatewaySpec *spec;
    const VirgaSubnet *subnet;
    const char *failure_code; /* why it cannot be, or NULL */
    const char *failure;
    VirgaInterface interface;
    char *association_id;
} Making;

/* It will be shown as failed; nothing else of it is kept. */
static void
give_up(Making *making, const char *code, const char *message)
{
    making->failure_code = code;
    making->failure = virga_arena_strdup(making->arena, message);
}

/* A public one without an internet gateway, or with an elastic IP that leads elsewhere. */
static bool
check_public(Making *making, GError **error)
{
    const VirgaNatGatewaySpec *spec = making->spec;
    VirgaElasticIp *rows;
    const VirgaElasticIp *wanted = NULL;
    g_autoptr(VirgaRows) gateway = NULL;
    size_t count;

    if (!virga_elastic_ip_list(making->txn, making->arena, spec->account_id, &rows, &count, error))
        return false;
    for (size_t i = 0; i < count; i++)
        if (g_str_equal(rows[i].allocation_id, spec->allocation_id))
            wanted = &rows[i];
    if (!wanted)
        return virga_fail(error, "address", VIRGA_ERROR_NOT_FOUND,
                          "The allocation ID '%s' does not exist", spec->allocation_id);
    gateway = virga_txn_query(making->txn, error, sql_gateway, "s", making->subnet->vpc_id);
    if (!gateway)
        return false;
    if (virga_rows_count(gateway) == 0) {
        g_autofree char *message =
            g_strdup_printf("Network %s has no Internet gateway attached", making->subnet->vpc_id);
        give_up(making, "Gateway.NotAttached", message);
    } else if (wanted->association_id) {
        g_autofree char *message =
            g_strdup_printf("Elastic IP address [%s] is already associated", spec->allocation_id);
        give_up(making, "Resource.AlreadyAssociated", message);
    }
    return true;
}

static bool
make_interface(Making *making, GError **error)
{
    const VirgaNatGatewaySpec *spec = making->spec;
    const VirgaSubnet *subnet = making->subnet;
    const char *const no_groups[] = { NULL };
    VirgaInterfaceSpec wanted = { .account_id = spec->account_id,
                                  .vpc_id = subnet->vpc_id,
                                  .subnet_id = subnet->id,
                                  .zone = subnet->zone,
                                  .cidr = subnet->cidr,
                                  .address = spec->private_address,
                                  .group_ids = no_groups,
                                  .description = virga_arena_printf(
                                      making->arena, "Interface for NAT Gateway %s", spec->id),
                                  .type = "nat_gateway",
                                  .requester_id = REQUESTER };
    const char *ids[] = { NULL, NULL };
    g_autoptr(GError) reason = NULL;
    VirgaInterface *rows;
    size_t count;
    char *id;

    if (!virga_subnet_hold(making->txn, subnet->id, false, error))
        return false;
    if (!virga_interface_create(making->txn, making->arena, &wanted, &id, &reason)) {
        if (!virga_error_is(reason, "subnet", VIRGA_ERROR_CAPACITY)) {
            g_propagate_error(error, g_steal_pointer(&reason));
            return false;
        }
        give_up(making, "InsufficientFreeAddressesInSubnet", reason->message);
        return true;
    }
    ids[0] = id;
    if (!virga_interface_find(making->txn, making->arena, spec->account_id, ids, &rows, &count,
                              error))
        return false;
    making->interface = rows[0];
    return true;
}

static bool
insert_failed(Making *making, GError **error)
{
    const VirgaNatGatewaySpec *spec = making->spec;

    return virga_txn_run(making->txn, error, NULL, sql_insert_failed, "sssssbsss", spec->id,
                         spec->account_id, making->subnet->vpc_id, making->subnet->id,
                         making->subnet->zone, spec->allocation_id != NULL, spec->allocation_id,
                         making->failure_code, making->failure) &&
           virga_event_add(making->txn, error, spec->id, "failed: %s", making->failure);
}

static bool
touch(VirgaTxn *txn, const char *id, const char *vpc_id, GError **error)
{
    return virga_vpc_touch(txn, vpc_id, error) &&
           virga_txn_post(txn, error, sql_generation, "s", id);
}

/* NULL, without an error, if there is none just now. */
static bool
choose_host(VirgaTxn *txn, VirgaArena *arena, const char *zone, char **ret, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_choose_host, "s", zone);

    if (!rows)
        return false;
    *ret = virga_rows_count(rows) ? virga_rows_dup(rows, arena, 0, 0) : NULL;
    return true;
}

static bool
insert(Making *making, GError **error)
{
    const VirgaNatGatewaySpec *spec = making->spec;
    VirgaTxn *txn = making->txn;
    char *host_id = NULL;

    if (spec->allocation_id &&
        !choose_host(txn, making->arena, making->subnet->zone, &host_id, error))
        return false;
    return virga_txn_run(txn, error, NULL, sql_insert, "sssssbsssss", spec->id, spec->account_id,
                         making->subnet->vpc_id, making->subnet->id, making->subnet->zone,
                         spec->allocation_id != NULL, making->interface.id,
                         making->interface.primary.address, spec->allocation_id,
                         making->association_id, host_id) &&
           virga_event_add(txn, error, spec->id, "asked for on host %s",
                           host_id ? host_id : "none") &&
           touch(txn, spec->id, making->subnet->vpc_id, error) &&
           virga_quota_claim(txn, spec->account_id, VIRGA_QUOTA_NAT_GATEWAYS, 1, error) &&
           (!host_id || virga_host_wake(txn, host_id, error));
}

bool
virga_nat_gateway_create(VirgaTxn *txn, VirgaArena *arena, const VirgaNatGatewaySpec *spec,
                         GError **error)
{
    Making making = { .txn = txn,
                      .arena = arena,
                      .spec = spec,
                      .subnet =
                          virga_subnet_get(txn, arena, spec->account_id, spec->subnet_id, error) };
    char *former;

    if (!making.subnet || (spec->allocation_id && !check_public(&making, error)) ||
        (!making.failure_code && !make_interface(&making, error)))
        return false;
    if (making.failure_code)
        return insert_failed(&making, error);
    return (!spec->allocation_id ||
            virga_elastic_ip_associate(txn, arena, spec->account_id, spec->allocation_id,
                                       &making.interface, NULL, false, &making.association_id,
                                       &former, error)) &&
           insert(&making, error);
}

/* ---- reading ---- */

bool
virga_nat_gateway_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                       const char *const *ids, VirgaNatGateway **ret, size_t *ret_count,
                       GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_list, "sa", account_id, ids);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaNatGateway, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaNatGateway){ .id = virga_rows_dup(rows, arena, i, 0),
                                       .account_id = virga_rows_dup(rows, arena, i, 1),
                                       .vpc_id = virga_rows_dup(rows, arena, i, 2),
                                       .subnet_id = virga_rows_dup(rows, arena, i, 3),
                                       .zone = virga_rows_dup(rows, arena, i, 4),
                                       .interface_id = virga_rows_dup(rows, arena, i, 5),
                                       .private_address = virga_rows_dup(rows, arena, i, 6),
                                       .allocation_id = virga_rows_dup(rows, arena, i, 7),
                                       .association_id = virga_rows_dup(rows, arena, i, 8),
                                       .public_address = virga_rows_dup(rows, arena, i, 9),
                                       .state = virga_rows_dup(rows, arena, i, 10),
                                       .failure_code = virga_rows_dup(rows, arena, i, 11),
                                       .failure = virga_rows_dup(rows, arena, i, 12),
                                       .is_public = virga_rows_bool(rows, i, 13),
                                       .created = virga_rows_time(rows, i, 14),
                                       .since = virga_rows_time(rows, i, 15) };
    return true;
}

/* ---- the end ---- */

/* Gives back what it held; its row stays to be shown.  'rows' are of ENDING. */
static bool
end_one(VirgaTxn *txn, const VirgaRows *rows, int row, const char *state, const char *code,
        const char *failure, GError **error)
{
    const char *id = virga_rows_text(rows, row, 0);

    virga_info("nat gateway", id, "%s", state);
    return virga_txn_run(txn, error, NULL, sql_ended, "ssss", id, state, code, failure) &&
           virga_interface_delete_managed(txn, virga_rows_text(rows, row, 2), error) &&
           virga_event_add(txn, error, id, "%s%s%s", state, failure ? ": " : "",
                           failure ? failure : "") &&
           virga_vpc_touch(txn, virga_rows_text(rows, row, 3), error) &&
           virga_quota_claim(txn, virga_rows_text(rows, row, 1), VIRGA_QUOTA_NAT_GATEWAYS, -1,
                             error);
}

static bool
end_all(VirgaTxn *txn, const VirgaRows *rows, const char *state, const char *code,
        const char *failure, GError **error)
{
    if (!rows)
        return false;
    for (int i = 0; i < virga_rows_count(rows); i++)
        if (!end_one(txn, rows, i, state, code, failure, error))
            return false;
    return true;
}

bool
virga_nat_gateway_delete(VirgaTxn *txn, const char *account_id, const char *id, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_lock, "ss", id, account_id);
    const char *state;

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, "nat gateway", VIRGA_ERROR_NOT_FOUND,
                          "The Nat Gateway %s was not found", id);
    state = virga_rows_text(rows, 0, 0);
    if (!g_str_equal(state, "pending") && !g_str_equal(state, "available"))
        return true;
    return virga_txn_run(txn, error, NULL, sql_deleting, "s", id) &&
           virga_event_add(txn, error, id, "asked to be deleted") &&
           touch(txn, id, virga_rows_text(rows, 0, 1), error);
}

/* ---- facts ---- */

static bool
has_waiting(VirgaDb *db, const char *host_id, bool *ret, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(db, error);
    g_autoptr(VirgaRows) rows = txn ? virga_txn_query(txn, error, sql_waits, "s", host_id) : NULL;

    if (!rows)
        return false;
    *ret = virga_rows_bool(rows, 0, 0);
    return true;
}

static bool
note_carried(VirgaTxn *txn, const VirgaRows *rows, GError **error)
{
    for (int i = 0; i < virga_rows_count(rows); i++) {
        virga_info("nat gateway", virga_rows_text(rows, i, 0), "pending -> available");
        if (!virga_event_add(txn, error, virga_rows_text(rows, i, 0), "pending -> available"))
            return false;
    }
    return true;
}

bool
virga_nat_gateway_report(VirgaDb *db, const char *host_id, const char *const *vpc_ids,
                         const char *const *generations, GError **error)
{
    g_autoptr(VirgaTxn) txn = NULL;
    g_autoptr(VirgaRows) carried = NULL, dropped = NULL;
    bool waiting;

    if (!has_waiting(db, host_id, &waiting, error))
        return false;
    if (!waiting)
        return true;
    txn = virga_db_begin(db, error);
    carried =
        txn ? virga_txn_query(txn, error, sql_carried, "saa", host_id, vpc_ids, generations) : NULL;
    if (!carried || !note_carried(txn, carried, error))
        return false;
    dropped = virga_txn_query(txn, error, sql_dropped, "saa", host_id, vpc_ids, generations);
    return end_all(txn, dropped, "deleted", NULL, NULL, error) && virga_txn_commit(txn, error);
}

static bool
find_hosts(VirgaTxn *txn, VirgaArena *arena, bool may_move, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_lost, "b", may_move);

    if (!rows)
        return false;
    for (int i = 0; i < virga_rows_count(rows); i++) {
        const char *id = virga_rows_text(rows, i, 0);
        char *host_id;

        if (!choose_host(txn, arena, virga_rows_text(rows, i, 1), &host_id, error))
            return false;
        if (!host_id)
            continue;
        virga_notice("nat gateway", id, "carried by host %s from now on", host_id);
        if (!virga_txn_run(txn, error, NULL, sql_set_host, "ss", id, host_id) ||
            !virga_event_add(txn, error, id, "carried by host %s from now on", host_id) ||
            !touch(txn, id, virga_rows_text(rows, i, 2), error) ||
            !virga_host_wake(txn, host_id, error))
            return false;
    }
    return true;
}

bool
virga_nat_gateway_sweep(VirgaDb *db, bool may_move, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(db, error);
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(VirgaRows) abandoned = NULL, overdue = NULL;

    if (!txn || !find_hosts(txn, arena, may_move, error))
        return false;
    abandoned = virga_txn_query(txn, error, sql_abandoned, "");
    if (!end_all(txn, abandoned, "deleted", NULL, NULL, error))
        return false;
    overdue = virga_txn_query(txn, error, sql_overdue, "");
    return end_all(txn, overdue, "failed", "InternalError",
                   "No host of the zone could carry the gateway", error) &&
           virga_txn_run(txn, error, NULL, sql_forget, "") && virga_txn_commit(txn, error);
}
