/* SPDX-License-Identifier: Apache-2.0 */
#include "network/interface-edit.h"

#include "core/error.h"
#include "core/tag.h"
#include "interface-priv.h"
#include "network/security-group.h"

static const char sql_release_public[] =
    "UPDATE public_address SET interface_id = NULL, private_address = NULL, association_id = NULL,"
    " account_id = CASE WHEN allocation_id IS NULL THEN NULL ELSE account_id END, released = now()"
    " WHERE interface_id = $1 AND ($2::text[] IS NULL OR host(private_address) = ANY ($2))";
static const char sql_delete[] = "DELETE FROM network_interface WHERE id = $1";
static const char sql_change[] =
    "UPDATE network_interface SET description = coalesce($2, description),"
    " source_dest_check = coalesce($3, source_dest_check),"
    " delete_on_termination = coalesce($4, delete_on_termination) WHERE id = $1";
static const char sql_forget_groups[] =
    "DELETE FROM network_interface_group WHERE interface_id = $1";
static const char sql_set_groups[] =
    "INSERT INTO network_interface_group (interface_id, group_id, position)"
    " SELECT $1, g.id, w.position FROM unnest($2::text[]) WITH ORDINALITY w(id, position)"
    " JOIN security_group g ON g.id = w.id WHERE g.vpc_id = $3 AND g.account_id = $4";
/* Who has an address: its interface, and whether it is that one's own. */
static const char sql_holder[] =
    "SELECT id, true FROM network_interface WHERE subnet_id = $1 AND address = $2::inet"
    " UNION ALL SELECT interface_id, false FROM network_interface_address"
    " WHERE subnet_id = $1 AND address = $2::inet";
static const char sql_lock[] = "SELECT id FROM network_interface WHERE id = $1 FOR UPDATE";
static const char sql_take[] =
    "DELETE FROM network_interface_address WHERE interface_id = $1 AND address = $2::inet";
static const char sql_give[] =
    "INSERT INTO network_interface_address (subnet_id, address, interface_id)"
    " VALUES ($1, $2::inet, $3)";
static const char sql_move_public[] =
    "UPDATE public_address SET interface_id = $2 WHERE interface_id = $1"
    " AND private_address = $3::inet";
static const char sql_count[] =
    "UPDATE network_interface SET secondary_count = (SELECT count(*) FROM network_interface_address"
    " WHERE interface_id = $1) WHERE id = $1";

bool
virga_interface_create(VirgaTxn *txn, VirgaArena *arena, const VirgaInterfaceSpec *spec,
                       char **ret_id, GError **error)
{
    VirgaInterfaceDraft draft;

    if (!virga_interface_create_send(txn, arena, spec, &draft, error) ||
        !virga_interface_create_receive(txn, arena, spec, &draft, error) ||
        (!draft.made && !virga_interface_create_again(txn, arena, spec, &draft, error)))
        return false;
    *ret_id = draft.id;
    return true;
}

static bool
delete_row(VirgaTxn *txn, const char *id, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_release_public, "sa", id, NULL) &&
           virga_tag_forget(txn, id, error) && virga_txn_run(txn, error, NULL, sql_delete, "s", id);
}

bool
virga_interface_check_own(const VirgaInterface *interface, GError **error)
{
    return !interface->requester_id ||
           virga_fail(error, "network interface", VIRGA_ERROR_DENIED,
                      "The network interface '%s' is managed by '%s': you do not have permission "
                      "to change it.",
                      interface->id, interface->requester_id);
}

bool
virga_interface_delete(VirgaTxn *txn, const VirgaInterface *interface, GError **error)
{
    if (!virga_interface_check_own(interface, error))
        return false;
    if (interface->instance_id)
        return virga_fail(error, "network interface", VIRGA_ERROR_INVALID,
                          "Network interface '%s' is currently in use.", interface->id);
    return delete_row(txn, interface->id, error);
}

bool
virga_interface_delete_managed(VirgaTxn *txn, const char *id, GError **error)
{
    return delete_row(txn, id, error);
}

static bool
set_groups(VirgaTxn *txn, const VirgaInterface *interface, const char *const *group_ids,
           GError **error)
{
    gint64 count = g_strv_length((char **) group_ids), set;

    if (count > VIRGA_GROUPS_PER_INTERFACE_MAX)
        return virga_fail(error, "security group", VIRGA_ERROR_QUOTA,
                          "The maximum number of security groups per interface is %d",
                          VIRGA_GROUPS_PER_INTERFACE_MAX);
    if (!virga_txn_run(txn, error, NULL, sql_forget_groups, "s", interface->id) ||
        !virga_txn_run(txn, error, &set, sql_set_groups, "sass", interface->id, group_ids,
                       interface->vpc_id, interface->account_id))
        return false;
    if (set != count) {
        g_autofree char *names = g_strjoinv(", ", (char **) group_ids);

        return virga_fail(error, "security group", VIRGA_ERROR_NOT_FOUND,
                          "One of the security groups '%s' does not exist in VPC '%s'", names,
                          interface->vpc_id);
    }
    return true;
}

bool
virga_interface_change(VirgaTxn *txn, const VirgaInterface *interface,
                       const VirgaInterfaceChange *change, GError **error)
{
    return virga_interface_check_own(interface, error) &&
           (!change->group_ids || set_groups(txn, interface, change->group_ids, error)) &&
           virga_txn_run(txn, error, NULL, sql_change, "ssmm", interface->id, change->description,
                         change->source_dest_check, change->delete_on_termination);
}

/* ---- further addresses ---- */

typedef struct {
    VirgaTxn *txn;
    VirgaArena *arena;
    const VirgaInterface *interface;
    VirgaInterfaceSpec spec; /* of its subnet, for the checks of addresses */
    bool move;
    GPtrArray *addresses, *formers;
} Assign;

static bool
fail_taken(const char *address, GError **error)
{
    return virga_fail(error, "network interface", VIRGA_ERROR_EXISTS, "Address %s is in use.",
                      address);
}

/* Another interface's secondary address becomes this one's, with what leads to it. */
static bool
take_over(Assign *assign, const char *former, const char *address, GError **error)
{
    char *kept = virga_arena_strdup(assign->arena, former);

    g_ptr_array_add(assign->formers, kept);
    return virga_txn_run(assign->txn, error, NULL, sql_lock, "s", kept) &&
           virga_txn_run(assign->txn, error, NULL, sql_take, "ss", kept, address) &&
           virga_txn_run(assign->txn, error, NULL, sql_count, "s", kept) &&
           virga_txn_run(assign->txn, error, NULL, sql_give, "sss", assign->interface->subnet_id,
                         address, assign->interface->id) &&
           virga_txn_run(assign->txn, error, NULL, sql_move_public, "sss", kept,
                         assign->interface->id, address);
}

static bool
assign_named(Assign *assign, const char *address, GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;

    assign->spec.address = address;
    if (!virga_interface_check_address(&assign->spec, error))
        return false;
    rows = virga_txn_query(assign->txn, error, sql_holder, "ss", assign->interface->subnet_id,
                           address);
    if (!rows)
        return false;
    g_ptr_array_add(assign->addresses, virga_arena_strdup(assign->arena, address));
    if (virga_rows_count(rows) == 0)
        return virga_txn_run(assign->txn, error, NULL, sql_give, "sss",
                             assign->interface->subnet_id, address, assign->interface->id);
    if (virga_rows_bool(rows, 0, 1))
        return fail_taken(address, error);
    if (g_str_equal(virga_rows_text(rows, 0, 0), assign->interface->id))
        return true;
    return assign->move ? take_over(assign, virga_rows_text(rows, 0, 0), address, error)
                        : fail_taken(address, error);
}

static bool
assign_free(Assign *assign, GError **error)
{
    char *address;

    if (!virga_interface_free_address(assign->txn, assign->arena, &assign->spec, &address, error))
        return false;
    if (!address)
        return virga_fail(error, "subnet", VIRGA_ERROR_CAPACITY,
                          "Insufficient free addresses in subnet '%s'",
                          assign->interface->subnet_id);
    g_ptr_array_add(assign->addresses, address);
    return virga_txn_run(assign->txn, error, NULL, sql_give, "sss", assign->interface->subnet_id,
                         address, assign->interface->id);
}

static char **
in_arena(VirgaArena *arena, const GPtrArray *texts)
{
    char **copy = virga_arena_new_array(arena, char *, texts->len + 1);

    for (guint i = 0; i < texts->len; i++)
        copy[i] = texts->pdata[i];
    return copy;
}

bool
virga_interface_assign(VirgaTxn *txn, VirgaArena *arena, const VirgaInterface *interface,
                       const char *cidr, const char *const *addresses, gint64 count, bool move,
                       char ***ret_addresses, char ***ret_formers, GError **error)
{
    g_autoptr(GPtrArray) assigned = g_ptr_array_new(), formers = g_ptr_array_new();
    Assign assign = { txn,       arena,
                      interface, { .subnet_id = interface->subnet_id, .cidr = cidr },
                      move,      assigned,
                      formers };

    for (; addresses && *addresses; addresses++)
        if (!assign_named(&assign, *addresses, error))
            return false;
    for (; count > 0; count--)
        if (!assign_free(&assign, error))
            return false;
    *ret_addresses = in_arena(arena, assigned);
    *ret_formers = in_arena(arena, formers);
    return virga_txn_run(txn, error, NULL, sql_count, "s", interface->id);
}

/* What is none of them need not be an address. */
static bool
is_secondary(const VirgaInterface *interface, const char *address)
{
    for (size_t i = 0; i < interface->secondary_count; i++)
        if (g_str_equal(address, interface->secondaries[i].address))
            return true;
    return false;
}

bool
virga_interface_unassign(VirgaTxn *txn, const VirgaInterface *interface,
                         const char *const *addresses, GError **error)
{
    for (const char *const *address = addresses; *address; address++) {
        if (!is_secondary(interface, *address))
            return virga_fail(error, "network interface", VIRGA_ERROR_INVALID,
                              "Some of %.100s are not assigned to interface %s", *address,
                              interface->id);
        if (!virga_txn_run(txn, error, NULL, sql_take, "ss", interface->id, *address))
            return false;
    }
    return virga_txn_run(txn, error, NULL, sql_release_public, "sa", interface->id, addresses) &&
           virga_txn_run(txn, error, NULL, sql_count, "s", interface->id);
}
