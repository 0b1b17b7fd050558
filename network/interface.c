/* SPDX-License-Identifier: Apache-2.0 */
#include "interface-priv.h"

#include "core/error.h"
#include "core/id.h"
#include "network/address.h"
#include "network/security-group.h"
#include "network/vpc.h"

#include <string.h>

/* A subnet's block. */
typedef struct {
    guint32 base;
    unsigned prefix;
} Block;

/* AWS keeps the first four and the last address of a subnet. */
#define RESERVED_FIRST 4
#define GUESSES        8

/* An interface with its groups and its public address, if the private one is free: what came of
 * each says what was missing.  Fewer groups than asked: one is not of the VPC. */
static const char sql_create[] =
    "WITH made AS (INSERT INTO network_interface (id, account_id, vpc_id, subnet_id, zone, mac,"
    " address, description, attachment_id, instance_id, device_index, delete_on_termination,"
    " attached, wants_public, type, requester_id) SELECT $1, $2, $3, $4, $5, $6, $7::inet, $8, $9,"
    " $10, CASE WHEN $10::text IS NULL THEN NULL ELSE $11::integer END, $12::boolean,"
    " CASE WHEN $10::text IS NULL THEN NULL ELSE now() END,"
    " $13::boolean, coalesce($15, 'interface'), $16 WHERE NOT EXISTS (SELECT 1 FROM"
    " network_interface_address a WHERE a.subnet_id = $4 AND a.address = $7::inet)"
    " ON CONFLICT (subnet_id, address) DO NOTHING RETURNING id),"
    " linked AS (INSERT INTO network_interface_group (interface_id, group_id, position)"
    "  SELECT made.id, g.id, w.position FROM made,"
    "  unnest($14::text[]) WITH ORDINALITY w(id, position) JOIN security_group g ON g.id = w.id"
    "  WHERE g.vpc_id = $3 AND g.account_id = $2 ON CONFLICT DO NOTHING RETURNING group_id, "
    "position),"
    " claimed AS (UPDATE public_address SET interface_id = made.id, private_address = $7::inet,"
    "  account_id = $2 FROM made"
    "  WHERE $13 AND address = (SELECT address FROM public_address WHERE interface_id IS NULL"
    "  AND allocation_id IS NULL ORDER BY released, address LIMIT 1 FOR UPDATE SKIP LOCKED)"
    "  RETURNING address)"
    " SELECT (SELECT count(*) FROM made), (SELECT array_agg(g.name ORDER BY l.position)"
    "  FROM linked l JOIN security_group g ON g.id = l.group_id),"
    " (SELECT host(address) FROM claimed), (SELECT dns_hostnames FROM vpc WHERE id = $3)";
static const char sql_hold[] = "SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 1))";
static const char sql_hold_alone[] = "SELECT pg_advisory_xact_lock(hashtextextended($1, 1))";
static const char sql_free_address[] =
    "SELECT host(($2::cidr)::inet + n) FROM generate_series(4, $3::bigint - 2) n"
    " WHERE NOT EXISTS (SELECT 1 FROM network_interface i WHERE i.subnet_id = $1"
    " AND i.address = host(($2::cidr)::inet + n)::inet) AND NOT EXISTS" /* without the mask */
    " (SELECT 1 FROM network_interface_address a WHERE a.subnet_id = $1"
    " AND a.address = host(($2::cidr)::inet + n)::inet) ORDER BY n LIMIT 1";
static const char sql_claim_public[] =
    "UPDATE public_address SET interface_id = $1, private_address = $3::inet, account_id = $2"
    " WHERE address = (SELECT address FROM public_address WHERE interface_id IS NULL"
    " AND allocation_id IS NULL ORDER BY released, address LIMIT 1 FOR UPDATE SKIP LOCKED)";
/* Each further address of the interface i with what leads to it. */
#define SECONDARIES_OF_I                                                                           \
    "CASE WHEN i.secondary_count > 0 THEN ARRAY(SELECT concat_ws(' ', host(a.address),"            \
    " host(q.address), q.allocation_id, q.association_id) FROM network_interface_address a"        \
    " LEFT JOIN public_address q ON q.interface_id = a.interface_id"                               \
    " AND q.private_address = a.address WHERE a.interface_id = i.id ORDER BY a.assigned) END"
#define ATTACHED VIRGA_SQL_TIME("i.attached")
/* One row for each group of an interface; the interface's own columns repeat.  In the order of the
 * index by which interfaces are joined, so that nothing is sorted. */
#define INTERFACE_SELECT(starting)                                                                 \
    "SELECT i.id, i.account_id, i.vpc_id, i.subnet_id, i.zone, i.mac, host(i.address),"            \
    " i.description, host(p.address), p.allocation_id, p.association_id, i.source_dest_check,"     \
    " i.delete_on_termination, i.attachment_id, i.instance_id, i.device_index, " ATTACHED ","      \
    " i.type, i.requester_id, i.transition, " starting                                             \
    ", i.former_attachment_id, " SECONDARIES_OF_I ","                                              \
    " n.dns_hostnames, m.group_id, s.name, m.position FROM network_interface i"                    \
    " LEFT JOIN vpc n ON n.id = i.vpc_id"                                                          \
    " LEFT JOIN public_address p ON p.interface_id = i.id AND p.private_address = i.address"       \
    " LEFT JOIN network_interface_group m ON m.interface_id = i.id"                                \
    " LEFT JOIN security_group s ON s.id = m.group_id WHERE i.account_id = $1"
enum { ID = 0, SECONDARIES = 22, PUBLIC_NAMES, GROUP_ID, GROUP_NAME, GROUP_POSITION };
#define BY_ID " ORDER BY i.id"
/* Who lists instances knows which of them are starting. */
#define LISTED INTERFACE_SELECT("false")
#define FOUND                                                                                      \
    INTERFACE_SELECT("i.instance_id IS NOT NULL AND EXISTS (SELECT 1 FROM instance v"              \
                     " WHERE v.id = i.instance_id AND v.state = 'pending')")
static const char sql_list_of[] = LISTED " AND i.instance_id = ANY ($2)" BY_ID;
static const char sql_find[] = FOUND BY_ID;
static const char sql_find_ids[] = FOUND " AND i.id = ANY ($2)" BY_ID;
static const char sql_release_public[] =
    "UPDATE public_address SET interface_id = NULL, private_address = NULL, association_id = NULL,"
    " account_id = CASE WHEN allocation_id IS NULL THEN NULL ELSE account_id END, released = now()"
    " WHERE interface_id IN (SELECT id FROM network_interface WHERE instance_id = $1)"
    " AND ($2 OR allocation_id IS NULL)";
static const char sql_vpcs_of[] =
    "SELECT DISTINCT vpc_id FROM network_interface WHERE instance_id = $1 ORDER BY vpc_id";
static const char sql_delete[] =
    "WITH gone AS (DELETE FROM network_interface WHERE instance_id = $1"
    " AND delete_on_termination RETURNING id)"
    " DELETE FROM tag USING gone WHERE resource_id = gone.id";
static const char sql_detach[] =
    "UPDATE network_interface SET instance_id = NULL, attachment_id = NULL, device_index = NULL,"
    " former_attachment_id = attachment_id,"
    " attached = NULL, transition = NULL, force_detach = false, wants_public = false"
    " WHERE instance_id = $1";
static const char sql_set_check[] =
    "UPDATE network_interface SET source_dest_check = $2 WHERE instance_id = $1"
    " AND device_index = 0";
static const char sql_forget_groups[] =
    "DELETE FROM network_interface_group USING network_interface i WHERE interface_id = i.id"
    " AND i.instance_id = $1 AND i.device_index = 0";
static const char sql_set_groups[] =
    "INSERT INTO network_interface_group (interface_id, group_id, position)"
    " SELECT i.id, g.id, w.position FROM network_interface i,"
    " unnest($2::text[]) WITH ORDINALITY w(id, position) JOIN security_group g ON g.id = w.id"
    " WHERE i.instance_id = $1 AND i.device_index = 0 AND g.vpc_id = i.vpc_id"
    " AND g.account_id = i.account_id";
static const char sql_wants_public[] =
    "SELECT i.id, i.account_id, host(i.address) FROM network_interface i WHERE i.instance_id = $1"
    " AND i.wants_public AND NOT EXISTS (SELECT 1 FROM public_address p WHERE p.interface_id = i.id"
    " AND p.private_address = i.address)";
static const char sql_regain_public[] =
    "UPDATE public_address SET interface_id = i.id, private_address = i.address,"
    " account_id = i.account_id FROM network_interface i WHERE i.id = $1 AND"
    " public_address.address = (SELECT address FROM public_address WHERE interface_id IS NULL"
    " AND allocation_id IS NULL ORDER BY released, address LIMIT 1 FOR UPDATE SKIP LOCKED)";
static const char sql_pool_fill[] =
    "INSERT INTO public_address (address) SELECT ($1::cidr)::inet + n"
    " FROM generate_series(1, $2::bigint - 2) n ON CONFLICT DO NOTHING";
static const char sql_pool_trim[] =
    "DELETE FROM public_address WHERE interface_id IS NULL AND allocation_id IS NULL"
    " AND NOT address << $1::cidr";

/* The interface's MAC is made of its id: locally administered, unicast. */
static char *
mac_of(const char *id)
{
    const char *digits = id + strlen(id) - 10;

    return g_strdup_printf("02:%.2s:%.2s:%.2s:%.2s:%.2s", digits, digits + 2, digits + 4,
                           digits + 6, digits + 8);
}

static bool
fail_groups(const VirgaInterfaceSpec *spec, GError **error)
{
    g_autofree char *names = g_strjoinv(", ", (char **) spec->group_ids);

    return virga_fail(error, "security group", VIRGA_ERROR_NOT_FOUND,
                      "One of the security groups '%s' does not exist in VPC '%s'", names,
                      spec->vpc_id);
}

static bool
fail_pool(GError **error)
{
    return virga_fail(error, "address", VIRGA_ERROR_CAPACITY,
                      "There are not enough free public addresses in the pool");
}

static bool
read_subnet(const VirgaInterfaceSpec *spec, Block *ret, GError **error)
{
    return virga_cidr_parse(spec->cidr, &ret->base, &ret->prefix) ||
           virga_fail(error, "subnet", VIRGA_ERROR_INTERNAL, "\"%s\" has no valid block",
                      spec->subnet_id);
}

static bool
check_wanted(const VirgaInterfaceSpec *spec, Block subnet, GError **error)
{
    guint32 address;

    if (!virga_ipv4_parse(spec->address, &address) ||
        !virga_cidr_has(subnet.base, subnet.prefix, address))
        return virga_fail(error, "network interface", VIRGA_ERROR_INVALID,
                          "Address %s does not fall within the subnet's address range",
                          spec->address);
    if (address - subnet.base < RESERVED_FIRST ||
        address - subnet.base == virga_cidr_size(subnet.prefix) - 1)
        return virga_fail(error, "network interface", VIRGA_ERROR_INVALID,
                          "Address %s is in subnet's reserved address range", spec->address);
    return true;
}

bool
virga_interface_check_address(const VirgaInterfaceSpec *spec, GError **error)
{
    Block subnet;

    return read_subnet(spec, &subnet, error) && check_wanted(spec, subnet, error);
}

/* Launches in the same subnet that guess need not wait for each other. */
static char *
guess(VirgaArena *arena, Block subnet)
{
    guint32 usable = (guint32) virga_cidr_size(subnet.prefix) - RESERVED_FIRST - 1;
    guint32 offset = RESERVED_FIRST + (guint32) g_random_int_range(0, (gint32) usable);
    g_autofree char *address = virga_ipv4_text(subnet.base + offset);

    return virga_arena_strdup(arena, address);
}

static bool
send_draft(VirgaTxn *txn, const VirgaInterfaceSpec *spec, const VirgaInterfaceDraft *draft,
           GError **error)
{
    return virga_txn_send(txn, error, sql_create, "ssssssssssibbass", draft->id, spec->account_id,
                          spec->vpc_id, spec->subnet_id, spec->zone, draft->mac, draft->address,
                          spec->description ? spec->description : "", draft->attachment_id,
                          spec->instance_id, spec->device_index, spec->delete_on_termination,
                          spec->public_address, spec->group_ids, spec->type, spec->requester_id);
}

bool
virga_subnet_hold(VirgaTxn *txn, const char *subnet_id, bool alone, GError **error)
{
    return virga_txn_post(txn, error, alone ? sql_hold_alone : sql_hold, "s", subnet_id);
}

bool
virga_interface_create_send(VirgaTxn *txn, VirgaArena *arena, const VirgaInterfaceSpec *spec,
                            VirgaInterfaceDraft *ret, GError **error)
{
    g_autofree char *id = spec->id ? g_strdup(spec->id) : virga_id_new("eni");
    g_autofree char *mac = mac_of(id);
    g_autofree char *attachment_id = spec->instance_id ? virga_id_new("eni-attach") : NULL;
    Block subnet;

    if (!read_subnet(spec, &subnet, error) || (spec->address && !check_wanted(spec, subnet, error)))
        return false;
    *ret = (VirgaInterfaceDraft){
        .id = virga_arena_strdup(arena, id),
        .mac = virga_arena_strdup(arena, mac),
        .attachment_id = virga_arena_strdup(arena, attachment_id),
        .address = spec->address ? virga_arena_strdup(arena, spec->address) : guess(arena, subnet),
    };
    return send_draft(txn, spec, ret, error);
}

bool
virga_interface_create_receive(VirgaTxn *txn, VirgaArena *arena, const VirgaInterfaceSpec *spec,
                               VirgaInterfaceDraft *draft, GError **error)
{
    g_autoptr(GError) reason = NULL;
    g_autoptr(VirgaRows) rows = virga_txn_receive(txn, &reason);
    g_auto(GStrv) group_names = NULL;

    /* The subnet or a group has gone since it was looked at: whoever looks again is told so. */
    if (virga_error_is(reason, "database", VIRGA_ERROR_IN_USE))
        return virga_fail(error, "database", VIRGA_ERROR_RETRY, "%s", reason->message);
    if (!rows) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return false;
    }
    draft->made = virga_rows_int(rows, 0, 0) > 0;
    if (!draft->made)
        return !spec->address || virga_fail(error, "network interface", VIRGA_ERROR_EXISTS,
                                            "Address %s is in use.", spec->address);
    group_names = virga_rows_array(rows, 0, 1);
    if (g_strv_length(group_names) != g_strv_length((char **) spec->group_ids))
        return fail_groups(spec, error);
    draft->group_names = virga_arena_new_array(arena, char *, g_strv_length(group_names) + 1);
    for (size_t i = 0; group_names[i]; i++)
        draft->group_names[i] = virga_arena_strdup(arena, group_names[i]);
    draft->public_address = virga_rows_dup(rows, arena, 0, 2);
    draft->public_names = virga_rows_bool(rows, 0, 3);
    return !spec->public_address || draft->public_address || fail_pool(error);
}

VirgaInterface
virga_interface_drafted(const VirgaInterfaceSpec *spec, const VirgaInterfaceDraft *draft,
                        gint64 attached)
{
    return (VirgaInterface){
        .id = draft->id,
        .account_id = (char *) spec->account_id,
        .vpc_id = (char *) spec->vpc_id,
        .subnet_id = (char *) spec->subnet_id,
        .zone = (char *) spec->zone,
        .mac = draft->mac,
        .primary = { .address = draft->address, .public_address = draft->public_address },
        .description = (char *) (spec->description ? spec->description : ""),
        .source_dest_check = true,
        .public_names = draft->public_names,
        .delete_on_termination = spec->delete_on_termination,
        .attachment_id = draft->attachment_id,
        .instance_id = (char *) spec->instance_id,
        .device_index = spec->device_index,
        .attached = attached,
        .type = (char *) (spec->type ? spec->type : "interface"),
        .requester_id = (char *) spec->requester_id,
        .group_ids = (char **) spec->group_ids,
        .group_names = draft->group_names,
    };
}

bool
virga_interface_free_address(VirgaTxn *txn, VirgaArena *arena, const VirgaInterfaceSpec *spec,
                             char **ret, GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;
    Block subnet;

    if (!read_subnet(spec, &subnet, error))
        return false;
    rows = virga_txn_query(txn, error, sql_free_address, "ssi", spec->subnet_id, spec->cidr,
                           (gint64) virga_cidr_size(subnet.prefix));
    if (!rows)
        return false;
    *ret = virga_rows_count(rows) ? virga_rows_dup(rows, arena, 0, 0) : NULL;
    return true;
}

/* Guesses first; a subnet that is nearly full is searched. */
bool
virga_interface_create_again(VirgaTxn *txn, VirgaArena *arena, const VirgaInterfaceSpec *spec,
                             VirgaInterfaceDraft *draft, GError **error)
{
    Block subnet;

    if (!read_subnet(spec, &subnet, error))
        return false;
    for (int i = 0; i < 2 * GUESSES && !draft->made; i++) {
        if (i < GUESSES)
            draft->address = guess(arena, subnet);
        else if (!virga_interface_free_address(txn, arena, spec, &draft->address, error))
            return false;
        if (!draft->address)
            break;
        if (!send_draft(txn, spec, draft, error) ||
            !virga_interface_create_receive(txn, arena, spec, draft, error))
            return false;
    }
    return draft->made || virga_fail(error, "subnet", VIRGA_ERROR_CAPACITY,
                                     "Insufficient free addresses in subnet '%s'", spec->subnet_id);
}

static bool
claim_public(VirgaTxn *txn, const char *interface_id, const char *account_id, const char *address,
             GError **error)
{
    gint64 claimed;

    if (!virga_txn_run(txn, error, &claimed, sql_claim_public, "sss", interface_id, account_id,
                       address))
        return false;
    return claimed > 0 || fail_pool(error);
}

/* The groups of the interface in rows [from, to), by position. */
static void
read_groups(const VirgaRows *rows, int from, int to, VirgaArena *arena, VirgaInterface *interface)
{
    size_t count = (size_t) (to - from);
    gint64 *positions = virga_arena_new_array(arena, gint64, count);

    interface->group_ids = virga_arena_new_array(arena, char *, count + 1);
    interface->group_names = virga_arena_new_array(arena, char *, count + 1);
    for (int i = from; i < to && !virga_rows_is_null(rows, i, GROUP_ID); i++) {
        gint64 position = virga_rows_int(rows, i, GROUP_POSITION);
        int at = i - from;

        for (; at > 0 && positions[at - 1] > position; at--) { /* there are five at most */
            positions[at] = positions[at - 1];
            interface->group_ids[at] = interface->group_ids[at - 1];
            interface->group_names[at] = interface->group_names[at - 1];
        }
        positions[at] = position;
        interface->group_ids[at] = virga_rows_dup(rows, arena, i, GROUP_ID);
        interface->group_names[at] = virga_rows_dup(rows, arena, i, GROUP_NAME);
    }
}

static bool
touch_vpcs(VirgaTxn *txn, const VirgaRows *vpcs, GError **error)
{
    for (int i = 0; i < virga_rows_count(vpcs); i++)
        if (!virga_vpc_touch(txn, virga_rows_text(vpcs, i, 0), error))
            return false;
    return true;
}

static bool
touch_vpcs_of(VirgaTxn *txn, const char *instance_id, GError **error)
{
    g_autoptr(VirgaRows) vpcs = virga_txn_query(txn, error, sql_vpcs_of, "s", instance_id);

    return vpcs && touch_vpcs(txn, vpcs, error);
}

/* Each as the words that there are, in the order of the struct. */
static void
read_secondaries(const VirgaRows *rows, int row, VirgaArena *arena, VirgaInterface *interface)
{
    g_auto(GStrv) texts = NULL;
    size_t count;

    if (virga_rows_is_null(rows, row, SECONDARIES))
        return;
    texts = virga_rows_array(rows, row, SECONDARIES);
    count = g_strv_length(texts);
    interface->secondaries = virga_arena_new_array(arena, VirgaInterfaceAddress, count);
    interface->secondary_count = count;
    for (size_t i = 0; i < count; i++) {
        g_auto(GStrv) words = g_strsplit(texts[i], " ", 4);
        guint known = g_strv_length(words);

        interface->secondaries[i] = (VirgaInterfaceAddress){
            .address = virga_arena_strdup(arena, words[0]),
            .public_address = known > 1 ? virga_arena_strdup(arena, words[1]) : NULL,
            .allocation_id = known > 2 ? virga_arena_strdup(arena, words[2]) : NULL,
            .association_id = known > 3 ? virga_arena_strdup(arena, words[3]) : NULL,
        };
    }
}

static void
read_interface(const VirgaRows *rows, int row, VirgaArena *arena, VirgaInterface *interface)
{
    *interface = (VirgaInterface){
        .id = virga_rows_dup(rows, arena, row, ID),
        .account_id = virga_rows_dup(rows, arena, row, 1),
        .vpc_id = virga_rows_dup(rows, arena, row, 2),
        .subnet_id = virga_rows_dup(rows, arena, row, 3),
        .zone = virga_rows_dup(rows, arena, row, 4),
        .mac = virga_rows_dup(rows, arena, row, 5),
        .primary = { .address = virga_rows_dup(rows, arena, row, 6),
                     .public_address = virga_rows_dup(rows, arena, row, 8),
                     .allocation_id = virga_rows_dup(rows, arena, row, 9),
                     .association_id = virga_rows_dup(rows, arena, row, 10) },
        .description = virga_rows_dup(rows, arena, row, 7),
        .source_dest_check = virga_rows_bool(rows, row, 11),
        .public_names = virga_rows_bool(rows, row, PUBLIC_NAMES),
        .delete_on_termination = virga_rows_bool(rows, row, 12),
        .attachment_id = virga_rows_dup(rows, arena, row, 13),
        .instance_id = virga_rows_dup(rows, arena, row, 14),
        .device_index = virga_rows_int(rows, row, 15),
        .attached = virga_rows_time(rows, row, 16),
        .type = virga_rows_dup(rows, arena, row, 17),
        .requester_id = virga_rows_dup(rows, arena, row, 18),
        .transition = virga_rows_dup(rows, arena, row, 19),
        .starting = virga_rows_bool(rows, row, 20),
        .former_attachment_id = virga_rows_dup(rows, arena, row, 21),
    };
    read_secondaries(rows, row, arena, interface);
}

static void
read_interfaces(const VirgaRows *rows, VirgaArena *arena, VirgaInterface **ret, size_t *ret_count)
{
    int count = virga_rows_count(rows);
    int to;

    *ret = virga_arena_new_array(arena, VirgaInterface, (size_t) count);
    *ret_count = 0;
    for (int from = 0; from < count; from = to) {
        VirgaInterface *interface = &(*ret)[(*ret_count)++];

        read_interface(rows, from, arena, interface);
        for (to = from + 1; to < count; to++)
            if (!g_str_equal(virga_rows_text(rows, to, ID), interface->id))
                break;
        read_groups(rows, from, to, arena, interface);
    }
}

bool
virga_interface_list_send(VirgaTxn *txn, const char *account_id, const char *const *instance_ids,
                          GError **error)
{
    return virga_txn_send(txn, error, sql_list_of, "sa", account_id, instance_ids);
}

bool
virga_interface_list_receive(VirgaTxn *txn, VirgaArena *arena, VirgaInterface **ret,
                             size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_receive(txn, error);

    if (!rows)
        return false;
    virga_rows_keep(rows, arena);
    read_interfaces(rows, arena, ret, ret_count);
    return true;
}

bool
virga_interface_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                     const char *const *instance_ids, VirgaInterface **ret, size_t *ret_count,
                     GError **error)
{
    return virga_interface_list_send(txn, account_id, instance_ids, error) &&
           virga_interface_list_receive(txn, arena, ret, ret_count, error);
}

bool
virga_interface_find(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                     const char *const *ids, VirgaInterface **ret, size_t *ret_count,
                     GError **error)
{
    g_autoptr(VirgaRows) rows =
        ids ? virga_txn_query(txn, error, sql_find_ids, "sa", account_id, ids)
            : virga_txn_query(txn, error, sql_find, "s", account_id);

    if (!rows)
        return false;
    read_interfaces(rows, arena, ret, ret_count);
    return true;
}

bool
virga_interface_set_check(VirgaTxn *txn, const char *instance_id, bool source_dest_check,
                          GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_set_check, "sb", instance_id, source_dest_check) &&
           touch_vpcs_of(txn, instance_id, error);
}

bool
virga_interface_set_groups(VirgaTxn *txn, const char *instance_id, const char *const *group_ids,
                           GError **error)
{
    gint64 count = g_strv_length((char **) group_ids), set;

    if (count > VIRGA_GROUPS_PER_INTERFACE_MAX)
        return virga_fail(error, "security group", VIRGA_ERROR_QUOTA,
                          "The maximum number of security groups per interface is %d",
                          VIRGA_GROUPS_PER_INTERFACE_MAX);
    if (!virga_txn_run(txn, error, NULL, sql_forget_groups, "s", instance_id) ||
        !virga_txn_run(txn, error, &set, sql_set_groups, "sa", instance_id, group_ids))
        return false;
    if (set != count) {
        g_autofree char *names = g_strjoinv(", ", (char **) group_ids);

        return virga_fail(error, "security group", VIRGA_ERROR_NOT_FOUND,
                          "One of the security groups '%s' does not exist in the instance's VPC",
                          names);
    }
    return touch_vpcs_of(txn, instance_id, error);
}

bool
virga_interface_release(VirgaTxn *txn, const char *instance_id, GError **error)
{
    g_autoptr(VirgaRows) vpcs = virga_txn_query(txn, error, sql_vpcs_of, "s", instance_id);

    /* The VPC last: its row is what others wait for, some of them with an address in hand. */
    return vpcs && virga_txn_run(txn, error, NULL, sql_release_public, "sb", instance_id, true) &&
           virga_txn_run(txn, error, NULL, sql_delete, "s", instance_id) &&
           virga_txn_run(txn, error, NULL, sql_detach, "s", instance_id) &&
           touch_vpcs(txn, vpcs, error);
}

bool
virga_interface_release_public(VirgaTxn *txn, const char *instance_id, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_release_public, "sb", instance_id, false) &&
           touch_vpcs_of(txn, instance_id, error);
}

bool
virga_interface_claim_public(VirgaTxn *txn, const char *instance_id, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_wants_public, "s", instance_id);

    if (!rows)
        return false;
    for (int i = 0; i < virga_rows_count(rows); i++)
        if (!claim_public(txn, virga_rows_text(rows, i, 0), virga_rows_text(rows, i, 1),
                          virga_rows_text(rows, i, 2), error))
            return false;
    return touch_vpcs_of(txn, instance_id, error);
}

bool
virga_interface_regain_public(VirgaTxn *txn, const char *interface_id, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_regain_public, "s", interface_id);
}

bool
virga_public_pool_set(VirgaTxn *txn, const char *cidr, GError **error)
{
    Block block;

    if (!virga_cidr_parse(cidr, &block.base, &block.prefix) || block.prefix < 12)
        return virga_fail(error, "configuration", VIRGA_ERROR_INVALID,
                          "\"%s\" is no pool of public addresses (a block of /12 or smaller)",
                          cidr);
    return virga_txn_run(txn, error, NULL, sql_pool_trim, "s", cidr) &&
           virga_txn_run(txn, error, NULL, sql_pool_fill, "si", cidr,
                         (gint64) virga_cidr_size(block.prefix));
}
