/* SPDX-License-Identifier: Apache-2.0 */
#include "core/quota.h"

#include "core/error.h"

#include <string.h>

#define GROUP "quota"

/* Key of the configuration and name in the database; noun of failures; what is too much. */
static const struct {
    const char *key, *noun, *what;
} resources[] = {
    [VIRGA_QUOTA_INSTANCES] = { "instances", "instance", "instances" },
    [VIRGA_QUOTA_VCPUS] = { "vcpus", "vcpu", "vCPUs" },
    [VIRGA_QUOTA_VOLUMES] = { "volumes", "volume", "volumes" },
    [VIRGA_QUOTA_VOLUME_GIB] = { "volume-gib", "volume size", "GiB of volumes" },
    [VIRGA_QUOTA_SNAPSHOTS] = { "snapshots", "snapshot", "snapshots" },
    [VIRGA_QUOTA_IMAGES] = { "images", "image", "images" },
    [VIRGA_QUOTA_KEY_PAIRS] = { "key-pairs", "key pair", "key pairs" },
    [VIRGA_QUOTA_LAUNCH_TEMPLATES] = { "launch-templates", "launch template", "launch templates" },
    [VIRGA_QUOTA_PLACEMENT_GROUPS] = { "placement-groups", "placement group", "placement groups" },
    [VIRGA_QUOTA_ELASTIC_IPS] = { "elastic-ips", "address", "addresses" },
    [VIRGA_QUOTA_VPCS] = { "vpcs", "vpc", "VPCs" },
    [VIRGA_QUOTA_INTERNET_GATEWAYS] = { "internet-gateways", "internet gateway",
                                        "internet gateways" },
    [VIRGA_QUOTA_DHCP_OPTIONS] = { "dhcp-options", "dhcp options", "sets of DHCP options" },
    [VIRGA_QUOTA_LOAD_BALANCERS] = { "load-balancers", "load balancer", "load balancers" },
    [VIRGA_QUOTA_TARGET_GROUPS] = { "target-groups", "target group", "target groups" },
    [VIRGA_QUOTA_FILE_SYSTEMS] = { "file-systems", "file system", "file systems" },
    [VIRGA_QUOTA_NAT_GATEWAYS] = { "nat-gateways", "nat gateway", "NAT gateways" },
    [VIRGA_QUOTA_GROUPS_PER_VPC] = { "security-groups-per-vpc", "security group", NULL },
    [VIRGA_QUOTA_RULES_PER_GROUP] = { "rules-per-security-group", "security group rule", NULL },
    [VIRGA_QUOTA_VERSIONS_PER_TEMPLATE] = { "versions-per-launch-template",
                                            "launch template version", NULL },
    [VIRGA_QUOTA_BLOCKS_PER_VPC] = { "cidr-blocks-per-vpc", "vpc block", NULL },
    [VIRGA_QUOTA_SUBNETS_PER_VPC] = { "subnets-per-vpc", "subnet", NULL },
    [VIRGA_QUOTA_ROUTE_TABLES_PER_VPC] = { "route-tables-per-vpc", "route table", NULL },
    [VIRGA_QUOTA_ROUTES_PER_TABLE] = { "routes-per-route-table", "route", NULL },
    [VIRGA_QUOTA_ACLS_PER_VPC] = { "network-acls-per-vpc", "network acl", NULL },
    [VIRGA_QUOTA_IMPORT_TASKS] = { "import-tasks", "import task", NULL },
    [VIRGA_QUOTA_RULES_PER_ACL] = { "rules-per-network-acl", "network acl entry", NULL },
};
G_STATIC_ASSERT(G_N_ELEMENTS(resources) == VIRGA_QUOTA_RESOURCES);

static const char sql_forget_limits[] = "DELETE FROM quota_limit";
static const char sql_set_limit[] =
    "INSERT INTO quota_limit (account_id, resource, maximum) VALUES ($1, $2, $3)"
    " ON CONFLICT (account_id, resource) DO UPDATE SET maximum = $3"; /* replicas start together */
#define LIMIT_OF(account, resource)                                                                \
    "coalesce((SELECT l.maximum FROM quota_limit l WHERE l.account_id = " account                  \
    " AND l.resource = " resource                                                                  \
    "), (SELECT l.maximum FROM quota_limit l WHERE l.account_id = '*'"                             \
    " AND l.resource = " resource "), 9223372036854775807)"
static const char sql_limit[] = "SELECT " LIMIT_OF("$1", "$2");
/* In the order of names, so that two transactions never wait for each other's rows. */
static const char sql_change[] =
    "INSERT INTO quota AS q (account_id, resource, used) SELECT $1, w.resource,"
    " greatest(w.amount, 0)" /* a row that is inserted only to be found is checked, too */
    " FROM unnest($2::text[], $3::text[]::bigint[]) AS w (resource, amount) ORDER BY w.resource"
    " ON CONFLICT (account_id, resource) DO UPDATE SET used = q.used + (SELECT w.amount"
    " FROM unnest($2::text[], $3::text[]::bigint[]) AS w (resource, amount)"
    " WHERE w.resource = q.resource)"
    " RETURNING resource, used, " LIMIT_OF("$1", "q.resource");

bool
virga_quota_configure(VirgaTxn *txn, const VirgaConfig *config, GError **error)
{
    g_auto(GStrv) groups = virga_config_quota_groups(config);

    if (!virga_txn_run(txn, error, NULL, sql_forget_limits, ""))
        return false;
    for (size_t i = 0; i < G_N_ELEMENTS(resources); i++)
        if (!virga_txn_post(txn, error, sql_set_limit, "ssi", "*", resources[i].key,
                            virga_config_int(config, GROUP, resources[i].key)))
            return false;
    for (char **group = groups; *group; group++)
        for (size_t i = 0; i < G_N_ELEMENTS(resources); i++)
            if (virga_config_has(config, *group, resources[i].key) &&
                !virga_txn_post(txn, error, sql_set_limit, "ssi", *group + strlen(GROUP " "),
                                resources[i].key,
                                virga_config_int(config, *group, resources[i].key)))
                return false;
    return true;
}

bool
virga_quota_limit(VirgaTxn *txn, const char *account_id, VirgaQuotaResource resource,
                  gint64 *ret_limit, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_limit, "ss", account_id, resources[resource].key);

    if (!rows)
        return false;
    *ret_limit = virga_rows_int(rows, 0, 0);
    return true;
}

static VirgaQuotaResource
resource_of_key(const char *key)
{
    for (size_t i = 0; i < VIRGA_QUOTA_COUNTED; i++)
        if (g_str_equal(resources[i].key, key))
            return (VirgaQuotaResource) i;
    g_assert_not_reached();
}

/* What was claimed must fit; what is given back may leave too much of it. */
static bool
check_rows(const VirgaRows *rows, const VirgaQuotaAmounts *amounts, GError **error)
{
    for (int i = 0; i < virga_rows_count(rows); i++) {
        VirgaQuotaResource resource = resource_of_key(virga_rows_text(rows, i, 0));
        gint64 used = virga_rows_int(rows, i, 1), limit = virga_rows_int(rows, i, 2);

        if (amounts->of[resource] > 0 && used > limit)
            return virga_fail(error, resources[resource].noun, VIRGA_ERROR_QUOTA,
                              "You have requested %" G_GINT64_FORMAT " more %s than your current "
                              "limit of %" G_GINT64_FORMAT " allows.",
                              used - limit, resources[resource].what, limit);
    }
    return true;
}

static bool
is_nothing(const VirgaQuotaAmounts *amounts)
{
    for (size_t i = 0; i < VIRGA_QUOTA_COUNTED; i++)
        if (amounts->of[i])
            return false;
    return true;
}

bool
virga_quota_change_send(VirgaTxn *txn, const char *account_id, const VirgaQuotaAmounts *amounts,
                        GError **error)
{
    const char *keys[VIRGA_QUOTA_COUNTED + 1] = { 0 }, *texts[VIRGA_QUOTA_COUNTED + 1] = { 0 };
    char buffers[VIRGA_QUOTA_COUNTED][24];
    size_t count = 0;

    if (is_nothing(amounts))
        return true;
    for (size_t i = 0; i < VIRGA_QUOTA_COUNTED; i++) {
        if (amounts->of[i] == 0)
            continue;
        g_snprintf(buffers[count], sizeof buffers[count], "%" G_GINT64_FORMAT, amounts->of[i]);
        keys[count] = resources[i].key;
        texts[count] = buffers[count];
        count++;
    }
    return virga_txn_send(txn, error, sql_change, "saa", account_id, keys, texts);
}

bool
virga_quota_change_receive(VirgaTxn *txn, const VirgaQuotaAmounts *amounts, GError **error)
{
    g_autoptr(VirgaRows) rows = is_nothing(amounts) ? NULL : virga_txn_receive(txn, error);

    return is_nothing(amounts) || (rows && check_rows(rows, amounts, error));
}

bool
virga_quota_change(VirgaTxn *txn, const char *account_id, const VirgaQuotaAmounts *amounts,
                   GError **error)
{
    return virga_quota_change_send(txn, account_id, amounts, error) &&
           virga_quota_change_receive(txn, amounts, error);
}

bool
virga_quota_claim(VirgaTxn *txn, const char *account_id, VirgaQuotaResource resource, gint64 amount,
                  GError **error)
{
    VirgaQuotaAmounts amounts = { 0 };

    amounts.of[resource] = amount;
    return virga_quota_change(txn, account_id, &amounts, error);
}

/* ---- several accounts ---- */

struct VirgaQuotaBook {
    GTree *accounts; /* id -> VirgaQuotaAmounts, in order */
};

static int
compare_ids(gconstpointer a, gconstpointer b, gpointer data)
{
    return strcmp(a, b);
}

VirgaQuotaBook *
virga_quota_book_new(void)
{
    VirgaQuotaBook *book = g_new0(VirgaQuotaBook, 1);

    book->accounts = g_tree_new_full(compare_ids, NULL, g_free, g_free);
    return book;
}

void
virga_quota_book_free(VirgaQuotaBook *book)
{
    if (!book)
        return;
    g_tree_unref(book->accounts);
    g_free(book);
}

void
virga_quota_book_add(VirgaQuotaBook *book, const char *account_id, VirgaQuotaResource resource,
                     gint64 amount)
{
    VirgaQuotaAmounts *amounts = g_tree_lookup(book->accounts, account_id);

    if (!amounts) {
        amounts = g_new0(VirgaQuotaAmounts, 1);
        g_tree_insert(book->accounts, g_strdup(account_id), amounts);
    }
    amounts->of[resource] += amount;
}

bool
virga_quota_book_write(VirgaTxn *txn, const VirgaQuotaBook *book, GError **error)
{
    for (GTreeNode *node = g_tree_node_first(book->accounts); node; node = g_tree_node_next(node))
        if (!virga_quota_change(txn, g_tree_node_key(node), g_tree_node_value(node), error))
            return false;
    return true;
}
