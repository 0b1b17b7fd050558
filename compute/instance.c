/* SPDX-License-Identifier: Apache-2.0 */
/* Reading instances.  instance-create.c launches, instance-wish.c changes the wish,
 * instance-facts.c takes in what hosts report. */
#include "instance-priv.h"

#include "compute/instance-network.h"
#include "core/limits.h"

#define STRINGIFY_(x) #x
#define STRINGIFY(x)  STRINGIFY_(x)

/* A terminated instance is shown for a while. */
#define VISIBLE                                                                                    \
    "(i.state <> 'terminated' OR i.state_since > now() - interval '" STRINGIFY(                    \
        VIRGA_TERMINATED_VISIBLE_S) " seconds')"

/* One statement each, not one with "$2 IS NULL OR": a prepared statement keeps its plan.  Those
 * that are given ids hide the account from the planner: while the table was small, all of an
 * account's instances looked as cheap as one. */
#define OF_ACCOUNT " FROM instance i WHERE i.account_id = $1 AND " VISIBLE
#define OF_IDS                                                                                     \
    " FROM instance i WHERE i.id = ANY ($2) AND i.account_id || '' = $1 AND " VISIBLE              \
    " AND ($3::text IS NULL OR i.reservation_id = $3)"
#define OF_RESERVATION                                                                             \
    " FROM instance i WHERE i.account_id = $1 AND i.reservation_id = $2 AND " VISIBLE
static const char sql_list[] = "SELECT " INSTANCE_COLUMNS OF_ACCOUNT " ORDER BY i.id";
static const char sql_list_ids[] = "SELECT " INSTANCE_COLUMNS OF_IDS " ORDER BY i.id";
static const char sql_list_reservation[] =
    "SELECT " INSTANCE_COLUMNS OF_RESERVATION " ORDER BY i.id";
static const char sql_show[] = "SELECT " INSTANCE_SHOWN OF_ACCOUNT;
static const char sql_show_ids[] = "SELECT " INSTANCE_SHOWN OF_IDS;
static const char sql_show_page[] =
    "SELECT " INSTANCE_SHOWN OF_ACCOUNT " AND (i.reservation_id, i.launch_index) > ($2, $3::bigint)"
    " ORDER BY i.reservation_id, i.launch_index LIMIT $4";
static const char sql_show_reservation[] = "SELECT " INSTANCE_SHOWN OF_RESERVATION;
static const char sql_lock[] =
    "SELECT " INSTANCE_COLUMNS " FROM instance i WHERE i.id = ANY ($2)"
    " AND i.account_id || '' = $1 AND " VISIBLE " ORDER BY i.id FOR UPDATE";

static const struct {
    VirgaInstanceState state;
    const char *name;
} states[] = {
    { VIRGA_INSTANCE_PENDING, "pending" },       { VIRGA_INSTANCE_RUNNING, "running" },
    { VIRGA_INSTANCE_STOPPING, "stopping" },     { VIRGA_INSTANCE_STOPPED, "stopped" },
    { VIRGA_INSTANCE_TERMINATED, "terminated" }, { VIRGA_INSTANCE_SHUTTING_DOWN, "shutting-down" },
};

const char *
virga_instance_state_name(VirgaInstanceState state)
{
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++)
        if (states[i].state == state)
            return states[i].name;
    g_assert_not_reached();
}

static VirgaInstanceState
state_of_name(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(states); i++)
        if (g_str_equal(states[i].name, name))
            return states[i].state;
    g_assert_not_reached(); /* a CHECK in the schema */
}

const char *
virga_wish_name(VirgaWish wish)
{
    static const char *const names[] = { "run", "stop", "terminate" };

    return names[wish];
}

static VirgaWish
wish_of_name(const char *name)
{
    return name[0] == 'r'   ? VIRGA_WISH_RUN
           : name[0] == 's' ? VIRGA_WISH_STOP
                            : VIRGA_WISH_TERMINATE;
}

/* Reads INSTANCE_SHOWN and returns the column behind it. */
static int
read_shown(const VirgaRows *rows, int row, VirgaArena *arena, VirgaInstance *instance)
{
    char **texts[] = { &instance->id,
                       &instance->reservation_id,
                       &instance->client_token,
                       &instance->image_id,
                       &instance->type,
                       &instance->architecture,
                       &instance->boot_mode,
                       &instance->root_device_name,
                       &instance->zone,
                       &instance->vpc_id,
                       &instance->subnet_id,
                       &instance->key_name,
                       &instance->http_tokens,
                       &instance->http_endpoint,
                       &instance->http_tags,
                       &instance->placement_group_id,
                       &instance->placement_group,
                       &instance->reason_code,
                       &instance->reason_message,
                       &instance->transition_reason,
                       &instance->profile_id,
                       &instance->profile_arn };
    int column = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        *texts[i] = virga_rows_dup(rows, arena, row, column++);
    instance->launch_index = virga_rows_int(rows, row, column++);
    instance->vcpus = virga_rows_int(rows, row, column++);
    instance->http_hops = virga_rows_int(rows, row, column++);
    instance->partition = virga_rows_int(rows, row, column++);
    instance->ebs_optimized = virga_rows_bool(rows, row, column++);
    instance->monitoring = virga_rows_bool(rows, row, column++);
    instance->metadata_pending = virga_rows_bool(rows, row, column++);
    instance->state = state_of_name(virga_rows_text(rows, row, column++));
    instance->launched = virga_rows_time(rows, row, column++);
    return column;
}

void
virga_instance_read(const VirgaRows *rows, int row, VirgaArena *arena, VirgaInstance *instance)
{
    char **texts[] = { &instance->account_id, &instance->shutdown_behavior, &instance->reachable,
                       &instance->host_id };
    bool *flags[] = { &instance->ran, &instance->disable_termination, &instance->disable_stop,
                      &instance->claimed };
    int column = read_shown(rows, row, arena, instance);

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
        *texts[i] = virga_rows_dup(rows, arena, row, column++);
    instance->memory_mib = virga_rows_int(rows, row, column++);
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++)
        *flags[i] = virga_rows_bool(rows, row, column++);
    instance->wish = wish_of_name(virga_rows_text(rows, row, column++));
    instance->state_since = virga_rows_time(rows, row, column++);
    instance->reachable_since = virga_rows_time(rows, row, column++);
    g_assert(column == INSTANCE_COLUMN_COUNT);
}

static void
read_all(const VirgaRows *rows, VirgaArena *arena, VirgaInstance **ret, size_t *ret_count)
{
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaInstance, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        virga_instance_read(rows, i, arena, &(*ret)[i]);
}

bool
virga_instance_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                    const char *const *ids, const char *reservation_id, VirgaInstance **ret,
                    size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows =
        ids ? virga_txn_query(txn, error, sql_list_ids, "sas", account_id, ids, reservation_id)
        : reservation_id
            ? virga_txn_query(txn, error, sql_list_reservation, "ss", account_id, reservation_id)
            : virga_txn_query(txn, error, sql_list, "s", account_id);

    if (!rows)
        return false;
    read_all(rows, arena, ret, ret_count);
    return true;
}

bool
virga_instance_show_send(VirgaTxn *txn, const char *account_id, const char *const *ids,
                         const char *reservation_id, GError **error)
{
    return ids ? virga_txn_send(txn, error, sql_show_ids, "sas", account_id, ids, reservation_id)
           : reservation_id
               ? virga_txn_send(txn, error, sql_show_reservation, "ss", account_id, reservation_id)
               : virga_txn_send(txn, error, sql_show, "s", account_id);
}

bool
virga_instance_show_page_send(VirgaTxn *txn, const char *account_id,
                              const char *after_reservation_id, gint64 after_index, gint64 limit,
                              GError **error)
{
    return virga_txn_send(txn, error, sql_show_page, "ssii", account_id, after_reservation_id,
                          after_index, limit);
}

bool
virga_instance_show_receive(VirgaTxn *txn, VirgaArena *arena, VirgaInstance **ret,
                            size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_receive(txn, error);

    if (!rows)
        return false;
    virga_rows_keep(rows, arena);
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaInstance, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        read_shown(rows, i, arena, &(*ret)[i]);
    return true;
}

/* The caller's order; the same id twice is the same instance twice. */
static bool
put_in_order(VirgaArena *arena, const char *const *ids, const VirgaInstance *found, size_t count,
             VirgaInstance **ret, size_t *ret_count, GError **error)
{
    g_autoptr(GHashTable) by_id = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GString) missing = g_string_new(NULL);
    size_t wanted = g_strv_length((char **) ids);
    VirgaInstance *list = virga_arena_new_array(arena, VirgaInstance, wanted);

    for (size_t i = 0; i < count; i++)
        g_hash_table_insert(by_id, found[i].id, (gpointer) &found[i]);
    for (size_t i = 0; i < wanted; i++) {
        const VirgaInstance *instance = g_hash_table_lookup(by_id, ids[i]);

        if (instance)
            list[i] = *instance;
        else
            g_string_append_printf(missing, "%s%s", missing->len ? ", " : "", ids[i]);
    }
    if (missing->len)
        return virga_fail(error, "instance", VIRGA_ERROR_NOT_FOUND,
                          strchr(missing->str, ',') ? "The instance IDs '%s' do not exist"
                                                    : "The instance ID '%s' does not exist",
                          missing->str);
    *ret = list;
    *ret_count = wanted;
    return true;
}

bool
virga_instance_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                    const char *const *ids, VirgaInstance **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_lock, "sa", account_id, ids);
    VirgaInstance *found;
    size_t count;

    if (!rows)
        return false;
    read_all(rows, arena, &found, &count);
    return put_in_order(arena, ids, found, count, ret, ret_count, error);
}

bool
virga_instance_hold(VirgaTxn *txn, VirgaArena *arena, const VirgaInstance *instances, size_t count,
                    bool with_vpcs, GError **error)
{
    const char **hosts = virga_arena_new_array(arena, const char *, count + 1);
    const char **vpcs = virga_arena_new_array(arena, const char *, count + 1);
    size_t placed = 0;

    for (size_t i = 0; i < count; i++) {
        if (instances[i].host_id)
            hosts[placed++] = instances[i].host_id;
        vpcs[i] = with_vpcs ? instances[i].vpc_id : NULL;
    }
    return virga_rows_hold(txn, hosts, vpcs, error);
}
