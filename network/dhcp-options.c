/* SPDX-License-Identifier: Apache-2.0 */
#include "network/dhcp-options.h"

#include "core/error.h"
#include "core/id.h"
#include "core/quota.h"
#include "network/address.h"
#include "network/plan.h"
#include "network/vpc.h"

#define SERVERS_MAX 4

static const char sql_list[] =
    "SELECT id, account_id, is_default, domain_name, domain_name_servers, ntp_servers,"
    " netbios_name_servers, netbios_node_type FROM dhcp_options"
    " WHERE account_id = $1 AND ($2::text[] IS NULL OR id = ANY ($2)) ORDER BY id";
static const char sql_insert[] =
    "INSERT INTO dhcp_options (id, account_id, is_default, domain_name, domain_name_servers,"
    " ntp_servers, netbios_name_servers, netbios_node_type) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    " ON CONFLICT DO NOTHING";
static const char sql_default[] =
    "SELECT id FROM dhcp_options WHERE account_id = $1 AND is_default FOR KEY SHARE";
static const char sql_lock[] =
    "SELECT 1 FROM dhcp_options WHERE id = $1 AND account_id = $2 FOR UPDATE";
static const char sql_share[] =
    "SELECT 1 FROM dhcp_options WHERE id = $1 AND account_id = $2 FOR KEY SHARE";
static const char sql_users[] =
    "SELECT string_agg(id, ', ' ORDER BY id) FROM vpc WHERE dhcp_options_id = $1";
static const char sql_delete[] = "WITH untagged AS (DELETE FROM tag WHERE resource_id = $1)"
                                 " DELETE FROM dhcp_options WHERE id = $1";
static const char sql_associate[] = "UPDATE vpc SET dhcp_options_id = $2 WHERE id = $1";

static char **
read_values(const VirgaRows *rows, int row, int column, VirgaArena *arena)
{
    char **values;

    if (virga_rows_is_null(rows, row, column))
        return NULL;
    values = virga_rows_array(rows, row, column);
    virga_arena_own(arena, values, (GDestroyNotify) g_strfreev);
    return values;
}

bool
virga_dhcp_options_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                        const char *const *ids, VirgaDhcpOptions **ret, size_t *ret_count,
                        GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_list, "sa", account_id, ids);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaDhcpOptions, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaDhcpOptions){ .id = virga_rows_dup(rows, arena, i, 0),
                                        .account_id = virga_rows_dup(rows, arena, i, 1),
                                        .is_default = virga_rows_bool(rows, i, 2),
                                        .domain_name = read_values(rows, i, 3, arena),
                                        .domain_name_servers = read_values(rows, i, 4, arena),
                                        .ntp_servers = read_values(rows, i, 5, arena),
                                        .netbios_name_servers = read_values(rows, i, 6, arena),
                                        .netbios_node_type = read_values(rows, i, 7, arena) };
    return true;
}

/* ---- making ---- */

static bool
fail_value(GError **error, const char *name, const char *value)
{
    return virga_fail(error, "dhcp options", VIRGA_ERROR_INVALID,
                      "Value (%.200s) for parameter %s is invalid.", value, name);
}

/* IPv4 addresses, or 'word' (NULL: none) instead of one. */
static bool
check_servers(char **servers, const char *name, const char *word, GError **error)
{
    guint32 address;

    if (servers && g_strv_length(servers) > SERVERS_MAX)
        return virga_fail(error, "dhcp options", VIRGA_ERROR_INVALID,
                          "Too many values for %s: at most %d are allowed", name, SERVERS_MAX);
    for (; servers && *servers; servers++)
        if (g_strcmp0(*servers, word) != 0 && !virga_ipv4_parse(*servers, &address))
            return fail_value(error, name, *servers);
    return true;
}

static bool
check(const VirgaDhcpOptions *options, GError **error)
{
    static const char *const node_types[] = { "1", "2", "4", "8", NULL };
    char **domain = options->domain_name, **node = options->netbios_node_type;

    if (domain && (!domain[0] || domain[1] || !virga_vpc_plan_are_domains(domain[0])))
        return fail_value(error, "domain-name", domain[0] ? domain[0] : "");
    if (node && (!node[0] || node[1] || !g_strv_contains(node_types, node[0])))
        return fail_value(error, "netbios-node-type", node[0] ? node[0] : "");
    return check_servers(options->domain_name_servers, "domain-name-servers", VIRGA_DHCP_AMAZON_DNS,
                         error) &&
           check_servers(options->ntp_servers, "ntp-servers", NULL, error) &&
           check_servers(options->netbios_name_servers, "netbios-name-servers", NULL, error);
}

/* Nothing is inserted if it is to be the default one, and there is one. */
static bool
insert(VirgaTxn *txn, VirgaArena *arena, VirgaDhcpOptions *options, GError **error)
{
    g_autofree char *id = virga_id_new("dopt");
    gint64 inserted;

    options->id = virga_arena_strdup(arena, id);
    return virga_txn_run(txn, error, &inserted, sql_insert, "ssbaaaaa", id, options->account_id,
                         options->is_default, options->domain_name, options->domain_name_servers,
                         options->ntp_servers, options->netbios_name_servers,
                         options->netbios_node_type) &&
           (inserted == 0 ||
            virga_quota_claim(txn, options->account_id, VIRGA_QUOTA_DHCP_OPTIONS, 1, error));
}

bool
virga_dhcp_options_create(VirgaTxn *txn, VirgaArena *arena, VirgaDhcpOptions *options,
                          GError **error)
{
    return check(options, error) && insert(txn, arena, options, error);
}

bool
virga_dhcp_options_default(VirgaTxn *txn, VirgaArena *arena, const char *account_id, char **ret_id,
                           GError **error)
{
    static char *amazon[] = { (char *) VIRGA_DHCP_AMAZON_DNS, NULL };
    VirgaDhcpOptions options = { .account_id = (char *) account_id,
                                 .is_default = true,
                                 .domain_name_servers = amazon };
    g_autoptr(VirgaRows) present = virga_txn_query(txn, error, sql_default, "s", account_id);
    g_autoptr(VirgaRows) made = NULL;

    if (!present)
        return false;
    if (virga_rows_count(present)) {
        *ret_id = virga_rows_dup(present, arena, 0, 0);
        return true;
    }
    if (!insert(txn, arena, &options, error))
        return false;
    made = virga_txn_query(txn, error, sql_default, "s", account_id);
    if (!made)
        return false;
    *ret_id = virga_rows_dup(made, arena, 0, 0); /* ours, or that of who was faster */
    return true;
}

/* ---- use ---- */

static bool
hold(VirgaTxn *txn, const char *sql, const char *account_id, const char *id, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql, "ss", id, account_id);

    return rows &&
           (virga_rows_count(rows) > 0 || virga_fail(error, "dhcp options", VIRGA_ERROR_NOT_FOUND,
                                                     "The dhcpOption ID '%s' does not exist", id));
}

bool
virga_dhcp_options_delete(VirgaTxn *txn, const char *account_id, const char *id, GError **error)
{
    g_autoptr(VirgaRows) users = NULL;

    if (!hold(txn, sql_lock, account_id, id, error))
        return false;
    users = virga_txn_query(txn, error, sql_users, "s", id);
    if (!users)
        return false;
    if (!virga_rows_is_null(users, 0, 0))
        return virga_fail(error, "dhcp options", VIRGA_ERROR_IN_USE,
                          "The dhcpOptions '%s' has dependencies and cannot be deleted (%s)", id,
                          virga_rows_text(users, 0, 0));
    return virga_txn_run(txn, error, NULL, sql_delete, "s", id) &&
           virga_quota_claim(txn, account_id, VIRGA_QUOTA_DHCP_OPTIONS, -1, error);
}

bool
virga_dhcp_options_associate(VirgaTxn *txn, const char *account_id, const char *vpc_id,
                             const char *id, GError **error)
{
    return (!id || hold(txn, sql_share, account_id, id, error)) &&
           virga_vpc_lock(txn, account_id, vpc_id, error) &&
           virga_txn_run(txn, error, NULL, sql_associate, "ss", vpc_id, id) &&
           virga_vpc_touch(txn, vpc_id, error);
}
