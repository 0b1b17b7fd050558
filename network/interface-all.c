/* SPDX-License-Identifier: Apache-2.0 */
/* The interfaces of all instances of an account, for long lists: each table is read by itself, as
 * it lies, and joined here.  PostgreSQL would probe three tables for each interface, and send what
 * all have in common a thousand times. */
#include "network/interface.h"

#include <string.h>

#define SECONDARIES                                                                                \
    "CASE WHEN i.secondary_count > 0 THEN ARRAY(SELECT host(a.address)"                            \
    " FROM network_interface_address a WHERE a.interface_id = i.id ORDER BY a.assigned) END"
static const char sql_interfaces[] =
    "SELECT i.id, i.vpc_id, i.subnet_id, i.mac, host(i.address), i.description, i.attachment_id,"
    " i.instance_id, i.type, i.transition, i.source_dest_check, i.delete_on_termination,"
    " i.device_index, " VIRGA_SQL_TIME("i.attached") ", " SECONDARIES
                                                     " FROM network_interface i WHERE i.account_id "
                                                     "= $1 AND i.instance_id IS NOT NULL";
enum { ID, VPC_ID, FLAGS = 10, DEVICE_INDEX = 12, ATTACHED, SECONDARY };
static const char sql_public[] =
    "SELECT p.interface_id, host(p.private_address), host(p.address), p.allocation_id,"
    " p.association_id FROM public_address p WHERE p.account_id = $1"
    " AND p.interface_id IS NOT NULL";
/* One row for each group: "INTERFACE POSITION INTERFACE POSITION ...". */
static const char sql_groups[] =
    "SELECT s.id, s.name, string_agg(m.interface_id || ' ' || m.position, ' ')"
    " FROM security_group s JOIN network_interface_group m ON m.group_id = s.id"
    " WHERE s.account_id = $1 GROUP BY s.id";
static const char sql_named[] =
    "SELECT id FROM vpc WHERE account_id = $1 AND dns_hostnames ORDER BY id";

bool
virga_interface_all_send(VirgaTxn *txn, const char *account_id, GError **error)
{
    return virga_txn_send(txn, error, sql_interfaces, "s", account_id) &&
           virga_txn_send(txn, error, sql_public, "s", account_id) &&
           virga_txn_send(txn, error, sql_groups, "s", account_id) &&
           virga_txn_send(txn, error, sql_named, "s", account_id);
}

static void
read_secondaries(const VirgaRows *rows, int row, VirgaArena *arena, VirgaInterface *interface)
{
    g_auto(GStrv) texts = NULL;

    if (virga_rows_is_null(rows, row, SECONDARY))
        return;
    texts = virga_rows_array(rows, row, SECONDARY);
    interface->secondary_count = g_strv_length(texts);
    interface->secondaries =
        virga_arena_new_array(arena, VirgaInterfaceAddress, interface->secondary_count);
    for (size_t i = 0; i < interface->secondary_count; i++)
        interface->secondaries[i].address = virga_arena_strdup(arena, texts[i]);
}

static VirgaInterfaceAddress *
address_of(VirgaInterface *interface, const char *address)
{
    if (g_str_equal(interface->primary.address, address))
        return &interface->primary;
    for (size_t i = 0; i < interface->secondary_count; i++)
        if (g_str_equal(interface->secondaries[i].address, address))
            return &interface->secondaries[i];
    return NULL;
}

static void
add_public(GHashTable *by_id, const VirgaRows *rows, VirgaArena *arena)
{
    for (int i = 0; i < virga_rows_count(rows); i++) {
        VirgaInterface *interface = g_hash_table_lookup(by_id, virga_rows_text(rows, i, 0));
        VirgaInterfaceAddress *address =
            interface ? address_of(interface, virga_rows_text(rows, i, 1)) : NULL;

        if (!address)
            continue;
        address->public_address = virga_rows_dup(rows, arena, i, 2);
        address->allocation_id = virga_rows_dup(rows, arena, i, 3);
        address->association_id = virga_rows_dup(rows, arena, i, 4);
    }
}

/* ---- groups ---- */

/* That an interface is in a group. */
typedef struct {
    VirgaInterface *interface;
    char *id, *name; /* of the group */
    gint64 position;
} Membership;

/* The members of one group, in 'text', which is cut up. */
static void
read_members(GArray *all, GHashTable *by_id, char *id, char *name, char *text)
{
    for (char *rest, *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        Membership one = { g_hash_table_lookup(by_id, word), id, name, 0 };

        one.position = g_ascii_strtoll(strtok_r(NULL, " ", &rest), NULL, 10);
        if (one.interface)
            g_array_append_val(all, one);
    }
}

static int
compare_positions(gconstpointer a, gconstpointer b)
{
    const Membership *one = a, *other = b;

    if (one->interface != other->interface)
        return one->interface < other->interface ? -1 : 1;
    return (one->position > other->position) - (one->position < other->position);
}

static void
set_groups(const Membership *members, guint count, VirgaArena *arena)
{
    VirgaInterface *interface = members->interface;

    interface->group_ids = virga_arena_new_array(arena, char *, count + 1);
    interface->group_names = virga_arena_new_array(arena, char *, count + 1);
    for (guint i = 0; i < count; i++) {
        interface->group_ids[i] = members[i].id;
        interface->group_names[i] = members[i].name;
    }
}

static void
add_groups(GHashTable *by_id, const VirgaRows *rows, VirgaArena *arena)
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(Membership));
    const Membership *members;

    for (int i = 0; i < virga_rows_count(rows); i++) {
        g_autofree char *text = g_strdup(virga_rows_text(rows, i, 2));

        read_members(all, by_id, virga_rows_dup(rows, arena, i, 0),
                     virga_rows_dup(rows, arena, i, 1), text);
    }
    g_array_sort(all, compare_positions);
    members = (const Membership *) (gpointer) all->data;
    for (guint from = 0, to; from < all->len; from = to) {
        for (to = from + 1; to < all->len; to++)
            if (members[to].interface != members[from].interface)
                break;
        set_groups(&members[from], to - from, arena);
    }
}

/* ---- interfaces ---- */

static void
read_interface(const VirgaRows *rows, int row, VirgaArena *arena, VirgaInterface *interface)
{
    char **texts[] = { &interface->id,
                       &interface->vpc_id,
                       &interface->subnet_id,
                       &interface->mac,
                       &interface->primary.address,
                       &interface->description,
                       &interface->attachment_id,
                       &interface->instance_id,
                       &interface->type,
                       &interface->transition };

    for (int i = 0; i < FLAGS; i++)
        *texts[i] = virga_rows_dup(rows, arena, row, i);
    interface->source_dest_check = virga_rows_bool(rows, row, FLAGS);
    interface->delete_on_termination = virga_rows_bool(rows, row, FLAGS + 1);
    interface->device_index = virga_rows_int(rows, row, DEVICE_INDEX);
    interface->attached = virga_rows_time(rows, row, ATTACHED);
    read_secondaries(rows, row, arena, interface);
}

static bool
has_public_names(const VirgaRows *named, const char *vpc_id)
{
    for (int i = 0; i < virga_rows_count(named); i++)
        if (g_str_equal(virga_rows_text(named, i, 0), vpc_id))
            return true;
    return false;
}

/* Neighbours are mostly of one VPC. */
static bool
public_names(const VirgaInterface *interface, const VirgaInterface *former, const VirgaRows *named)
{
    return former && g_str_equal(former->vpc_id, interface->vpc_id)
               ? former->public_names
               : has_public_names(named, interface->vpc_id);
}

bool
virga_interface_all_receive(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            VirgaInterface **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_receive(txn, error);
    g_autoptr(VirgaRows) public_rows = rows ? virga_txn_receive(txn, error) : NULL;
    g_autoptr(VirgaRows) group_rows = public_rows ? virga_txn_receive(txn, error) : NULL;
    g_autoptr(VirgaRows) named = group_rows ? virga_txn_receive(txn, error) : NULL;
    g_autoptr(GHashTable) by_id = g_hash_table_new(g_str_hash, g_str_equal);
    static char *no_groups[] = { NULL };
    char *owner = virga_arena_strdup(arena, account_id);

    if (!named)
        return false;
    virga_rows_keep(rows, arena);
    virga_rows_keep(public_rows, arena);
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaInterface, *ret_count);
    for (size_t i = 0; i < *ret_count; i++) {
        VirgaInterface *interface = &(*ret)[i];

        interface->account_id = owner;
        read_interface(rows, (int) i, arena, interface);
        interface->public_names = public_names(interface, i ? interface - 1 : NULL, named);
        interface->group_ids = interface->group_names = no_groups;
        g_hash_table_insert(by_id, interface->id, interface);
    }
    add_public(by_id, public_rows, arena);
    add_groups(by_id, group_rows, arena);
    return true;
}
