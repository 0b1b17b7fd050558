/* SPDX-License-Identifier: Apache-2.0 */
#include "network/load-balancer.h"

#include "core/error.h"
#include "core/tag.h"
#include "network/elastic-ip.h"
#include "network/interface-edit.h"
#include "network/internet-gateway.h"
#include "network/subnet.h"
#include "network/vpc.h"

#include <string.h>

#define INTERNET_FACING "internet-facing"
/* A host that was not seen for so long carries no node any more. */
#define SILENT "interval '45 seconds'"

static const char sql_list[] =
    "SELECT b.id, b.account_id, b.name, b.type, b.scheme, b.vpc_id, b.dns_name,"
    " b.attributes::text, b.active, " VIRGA_SQL_TIME(
        "b.created") ","
                     " ARRAY(SELECT g.group_id FROM network_interface_group g WHERE g.interface_id"
                     "  = (SELECT min(n.interface_id) FROM load_balancer_node n"
                     "  WHERE n.load_balancer_id = b.id) ORDER BY g.position)"
                     " FROM load_balancer b WHERE b.account_id = $1"
                     " AND ($2::text[] IS NULL OR b.id = ANY ($2))"
                     " AND ($3::text[] IS NULL OR b.name = ANY ($3)) ORDER BY b.name";
enum {
    ID,
    ACCOUNT_ID,
    NAME,
    TYPE,
    SCHEME,
    VPC_ID,
    DNS_NAME,
    ATTRIBUTES,
    ACTIVE,
    CREATED,
    GROUP_IDS
};
static const char sql_nodes[] =
    "SELECT d.load_balancer_id, d.subnet_id, d.zone, d.interface_id, host(i.address),"
    " host(p.address), p.allocation_id FROM load_balancer_node d JOIN network_interface i ON i.id "
    "= d.interface_id"
    " LEFT JOIN public_address p ON p.interface_id = i.id AND p.private_address = i.address"
    " WHERE d.load_balancer_id = ANY ($1) ORDER BY d.load_balancer_id, d.zone, d.subnet_id";
static const char sql_lock[] =
    "SELECT id FROM load_balancer WHERE id = $1 AND account_id = $2 FOR UPDATE";
static const char sql_insert[] =
    "INSERT INTO load_balancer (id, account_id, name, type, scheme, vpc_id, dns_name, plan,"
    " ready_from) SELECT $1, $2, $3, $4, $5, v.id, $7, $8::jsonb, v.generation + 1 FROM vpc v"
    " WHERE v.id = $6";
/* The least laden host of the zone, or of another one; one in trouble if there is no other. */
#define HOST_FOR(zone)                                                                             \
    "(SELECT h.id FROM host h WHERE h.seen > now() - " SILENT                                      \
    " ORDER BY h.trouble IS NOT NULL, h.zone <> " zone                                             \
    ", (SELECT count(*) FROM load_balancer_node o WHERE o.host_id = h.id), h.id LIMIT 1)"
static const char sql_add_node[] =
    "INSERT INTO load_balancer_node (load_balancer_id, subnet_id, zone, interface_id, host_id)"
    " VALUES ($1, $2, $3, $4, " HOST_FOR("$3") ")";
static const char sql_remove_node[] = "DELETE FROM load_balancer_node WHERE interface_id = $1";
static const char sql_forget_groups[] =
    "DELETE FROM network_interface_group WHERE interface_id IN"
    " (SELECT interface_id FROM load_balancer_node WHERE load_balancer_id = $1)";
static const char sql_set_groups[] =
    "INSERT INTO network_interface_group (interface_id, group_id, position)"
    " SELECT d.interface_id, g.id, w.position FROM load_balancer_node d,"
    " unnest($2::text[]) WITH ORDINALITY w(id, position) JOIN security_group g ON g.id = w.id"
    " WHERE d.load_balancer_id = $1 AND g.vpc_id = $3 AND g.account_id = $4";
static const char sql_set_attributes[] =
    "UPDATE load_balancer SET attributes = $2::jsonb, plan = $3::jsonb WHERE id = $1";
static const char sql_forget_tags[] =
    "DELETE FROM tag WHERE resource_id = $1 OR resource_id IN"
    " (SELECT id FROM listener WHERE load_balancer_id = $1 UNION ALL SELECT r.id FROM listener l"
    "  JOIN listener_rule r ON r.listener_id = l.id WHERE l.load_balancer_id = $1)";
static const char sql_delete[] = "DELETE FROM load_balancer WHERE id = $1";
static const char sql_move_nodes[] =
    "WITH lost AS (SELECT d.interface_id, d.zone, d.load_balancer_id FROM load_balancer_node d"
    "  LEFT JOIN host h ON h.id = d.host_id WHERE h.id IS NULL"
    "  OR ($1 AND h.seen <= now() - " SILENT ")"
    "  FOR UPDATE OF d SKIP LOCKED),"
    " moved AS (UPDATE load_balancer_node d SET host_id = h.id FROM lost,"
    "  LATERAL " HOST_FOR("lost.zone") " h WHERE d.interface_id = lost.interface_id"
                                       "  RETURNING lost.load_balancer_id)"
                                       " SELECT DISTINCT b.vpc_id FROM moved m"
                                       " JOIN load_balancer b ON b.id = m.load_balancer_id";
static const char sql_end_targets[] =
    "DELETE FROM target WHERE draining_until < now() OR (target_id LIKE 'i-%' AND NOT EXISTS"
    " (SELECT 1 FROM instance i WHERE i.id = target_id AND i.state <> 'terminated'))";
static const char sql_applied[] =
    "UPDATE load_balancer SET active = true WHERE NOT active AND vpc_id = $2 AND ready_from <= $3"
    " AND id IN (SELECT load_balancer_id FROM load_balancer_node WHERE host_id = $1)";

static bool
read_nodes(VirgaTxn *txn, VirgaArena *arena, VirgaLoadBalancer *balancers, size_t count,
           GError **error)
{
    const char **ids = virga_arena_new_array(arena, const char *, count + 1);
    g_autoptr(VirgaRows) rows = NULL;

    for (size_t i = 0; i < count; i++)
        ids[i] = balancers[i].id;
    rows = virga_txn_query(txn, error, sql_nodes, "a", ids);
    if (!rows)
        return false;
    for (size_t i = 0; i < count; i++) {
        VirgaLoadBalancer *balancer = &balancers[i];

        balancer->nodes =
            virga_arena_new_array(arena, VirgaLoadBalancerNode, (size_t) virga_rows_count(rows));
        for (int r = 0; r < virga_rows_count(rows); r++)
            if (g_str_equal(virga_rows_text(rows, r, 0), balancer->id))
                balancer->nodes[balancer->node_count++] =
                    (VirgaLoadBalancerNode){ .subnet_id = virga_rows_dup(rows, arena, r, 1),
                                             .zone = virga_rows_dup(rows, arena, r, 2),
                                             .interface_id = virga_rows_dup(rows, arena, r, 3),
                                             .address = virga_rows_dup(rows, arena, r, 4),
                                             .public_address = virga_rows_dup(rows, arena, r, 5),
                                             .allocation_id = virga_rows_dup(rows, arena, r, 6) };
    }
    return true;
}

static char **
strings_of(const VirgaRows *rows, int row, int column, VirgaArena *arena)
{
    g_auto(GStrv) texts = virga_rows_array(rows, row, column);
    guint count = texts ? g_strv_length(texts) : 0;
    char **copies = virga_arena_new_array(arena, char *, count + 1);

    for (guint i = 0; i < count; i++)
        copies[i] = virga_arena_printf(arena, "%s", texts[i]);
    return copies;
}

bool
virga_load_balancer_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                         const char *const *ids, const char *const *names, VirgaLoadBalancer **ret,
                         size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_list, "saa", account_id, ids, names);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaLoadBalancer, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaLoadBalancer){ .id = virga_rows_dup(rows, arena, i, ID),
                                         .account_id = virga_rows_dup(rows, arena, i, ACCOUNT_ID),
                                         .name = virga_rows_dup(rows, arena, i, NAME),
                                         .type = virga_rows_dup(rows, arena, i, TYPE),
                                         .scheme = virga_rows_dup(rows, arena, i, SCHEME),
                                         .vpc_id = virga_rows_dup(rows, arena, i, VPC_ID),
                                         .dns_name = virga_rows_dup(rows, arena, i, DNS_NAME),
                                         .attributes = virga_rows_dup(rows, arena, i, ATTRIBUTES),
                                         .active = virga_rows_bool(rows, i, ACTIVE),
                                         .created = virga_rows_time(rows, i, CREATED),
                                         .group_ids = strings_of(rows, i, GROUP_IDS, arena) };
    return read_nodes(txn, arena, *ret, *ret_count, error);
}

bool
virga_load_balancer_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                         VirgaLoadBalancer **ret, GError **error)
{
    const char *const ids[] = { id, NULL };
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_lock, "ss", id, account_id);
    size_t count;

    if (!rows || !virga_load_balancer_list(txn, arena, account_id, ids, NULL, ret, &count, error))
        return false;
    return count > 0 || virga_fail(error, "load balancer", VIRGA_ERROR_NOT_FOUND,
                                   "Load balancer '%s' not found", id);
}

bool
virga_load_balancer_create(VirgaTxn *txn, const VirgaLoadBalancer *balancer, const char *plan,
                           GError **error)
{
    g_autoptr(GError) reason = NULL;

    if (g_str_equal(balancer->scheme, INTERNET_FACING) &&
        !virga_internet_gateway_require(txn, balancer->vpc_id, error))
        return false;
    if (virga_txn_run(txn, &reason, NULL, sql_insert, "ssssssss", balancer->id,
                      balancer->account_id, balancer->name, balancer->type, balancer->scheme,
                      balancer->vpc_id, balancer->dns_name, plan))
        return virga_vpc_touch(txn, balancer->vpc_id, error);
    if (virga_error_is(reason, "database", VIRGA_ERROR_EXISTS))
        return virga_fail(error, "load balancer", VIRGA_ERROR_EXISTS,
                          "A load balancer with the same name '%s' exists, but with different "
                          "settings",
                          balancer->name);
    g_propagate_error(error, g_steal_pointer(&reason));
    return false;
}

/* The elastic IP is the node's until it ends; then it leads nowhere, and is the account's still. */
static bool
give_elastic_ip(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *interface_id,
                const char *allocation_id, GError **error)
{
    const char *const ids[] = { interface_id, NULL };
    char *association_id, *former;
    VirgaInterface *interface;
    size_t count;

    return virga_interface_find(txn, arena, account_id, ids, &interface, &count, error) &&
           virga_elastic_ip_associate(txn, arena, account_id, allocation_id, interface, NULL, false,
                                      &association_id, &former, error);
}

bool
virga_load_balancer_add_node(VirgaTxn *txn, VirgaArena *arena, const VirgaLoadBalancer *balancer,
                             const VirgaLoadBalancerPlace *place, const char *const *group_ids,
                             GError **error)
{
    static const char *const none[] = { NULL };
    VirgaSubnet *subnet =
        virga_subnet_get(txn, arena, balancer->account_id, place->subnet_id, error);
    bool network = g_str_equal(balancer->type, "network");
    VirgaInterfaceSpec spec = { .account_id = balancer->account_id,
                                .subnet_id = place->subnet_id,
                                .address = place->address,
                                .group_ids = group_ids ? group_ids : none,
                                .type = network ? "network_load_balancer" : "interface",
                                .requester_id = VIRGA_LOAD_BALANCER_REQUESTER };
    char *interface_id;

    if (!subnet)
        return false;
    spec.vpc_id = subnet->vpc_id;
    spec.zone = subnet->zone;
    spec.cidr = subnet->cidr;
    spec.public_address = g_str_equal(balancer->scheme, INTERNET_FACING) && !place->allocation_id;
    spec.description = virga_arena_printf(arena, "ELB %s/%s/%s", network ? "net" : "app",
                                          balancer->name, strchr(balancer->id, '-') + 2);
    return virga_subnet_hold(txn, subnet->id, false, error) &&
           virga_interface_create(txn, arena, &spec, &interface_id, error) &&
           (!place->allocation_id || give_elastic_ip(txn, arena, balancer->account_id, interface_id,
                                                     place->allocation_id, error)) &&
           virga_txn_run(txn, error, NULL, sql_add_node, "ssss", balancer->id, subnet->id,
                         subnet->zone, interface_id) &&
           virga_vpc_touch(txn, balancer->vpc_id, error);
}

bool
virga_load_balancer_remove_node(VirgaTxn *txn, const VirgaLoadBalancer *balancer,
                                const VirgaLoadBalancerNode *node, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_remove_node, "s", node->interface_id) &&
           virga_interface_delete_managed(txn, node->interface_id, error) &&
           virga_vpc_touch(txn, balancer->vpc_id, error);
}

bool
virga_load_balancer_set_groups(VirgaTxn *txn, const VirgaLoadBalancer *balancer,
                               const char *const *group_ids, GError **error)
{
    gint64 set, wanted = (gint64) (g_strv_length((char **) group_ids) * balancer->node_count);

    if (!virga_txn_run(txn, error, NULL, sql_forget_groups, "s", balancer->id) ||
        !virga_txn_run(txn, error, &set, sql_set_groups, "sass", balancer->id, group_ids,
                       balancer->vpc_id, balancer->account_id))
        return false;
    if (set != wanted)
        return virga_fail(error, "security group", VIRGA_ERROR_NOT_FOUND,
                          "One or more security groups are invalid");
    return virga_vpc_touch(txn, balancer->vpc_id, error);
}

bool
virga_load_balancer_set_attributes(VirgaTxn *txn, const VirgaLoadBalancer *balancer,
                                   const char *attributes, const char *plan, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_set_attributes, "sss", balancer->id, attributes,
                         plan) &&
           virga_vpc_touch(txn, balancer->vpc_id, error);
}

bool
virga_load_balancer_delete(VirgaTxn *txn, const VirgaLoadBalancer *balancer, GError **error)
{
    if (!virga_txn_run(txn, error, NULL, sql_forget_tags, "s", balancer->id))
        return false;
    for (size_t i = 0; i < balancer->node_count; i++)
        if (!virga_load_balancer_remove_node(txn, balancer, &balancer->nodes[i], error))
            return false;
    return virga_txn_run(txn, error, NULL, sql_delete, "s", balancer->id) &&
           virga_vpc_touch(txn, balancer->vpc_id, error);
}

bool
virga_load_balancer_sweep(VirgaTxn *txn, bool may_move, GError **error)
{
    g_autoptr(VirgaRows) vpcs = virga_txn_query(txn, error, sql_move_nodes, "b", may_move);

    if (!vpcs)
        return false;
    for (int i = 0; i < virga_rows_count(vpcs); i++)
        if (!virga_vpc_touch(txn, virga_rows_text(vpcs, i, 0), error))
            return false;
    return virga_txn_run(txn, error, NULL, sql_end_targets, "");
}

bool
virga_load_balancer_note_applied(VirgaTxn *txn, const char *host_id, const char *vpc_id,
                                 gint64 generation, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_applied, "ssi", host_id, vpc_id, generation);
}
