/* SPDX-License-Identifier: Apache-2.0 */
/* What is on this host and nothing claims, or is claimed and not counted.
 *
 * Both sides are looked at twice, some seconds apart, and only what is found both times counts:
 * a guest that was being made or taken away during one look is no leak. */
#include "doctor.h"

#include "core/error.h"
#include "core/json.h"
#include "core/process.h"
#include "network/driver.h"
#include "storage/driver.h"
#include "storage/pool.h"

#include <string.h>
#include <unistd.h>

#define CALL_MS      30000
#define PROGRAM_MS   30000
#define LOOKS        3
#define LOOK_AGAIN_S 4

typedef struct {
    Cli *cli;
    char *host_id;
    const char *tag;
    JsonObject *claims;
    GHashTable *instances, *volumes, *shared, *exports, *snapshots, *bases, *namespaces, *taps,
        *veths;
    GHashTable *rulesets; /* chains, sets and maps of nftables, as "NAMESPACE NAME" */
    GPtrArray *leaks;
} Look;

static void G_GNUC_PRINTF(2, 3) add_leak(Look *look, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(look->leaks, g_strdup_vprintf(format, args));
    va_end(args);
}

/* ---- what the database claims of this host ---- */

static GHashTable *
new_set(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static const char *
last(const char *id, gsize digits)
{
    gsize length = strlen(id);

    return length > digits ? id + length - digits : id;
}

/* "sg-0abc" is "sg_0abc" for nft, and has chains and a set of its members. */
static void
claim_rules(Look *look, const char *vpc, const char *id, const char *const *patterns)
{
    g_autofree char *name = g_strdelimit(g_strdup(id), "-", '_');

    for (; *patterns; patterns++) {
        g_auto(GStrv) parts = g_strsplit(*patterns, "%", 2);

        g_hash_table_add(look->rulesets, g_strdup_printf("virga-%s-%s %s%s%s", look->tag, vpc,
                                                         parts[0], name, parts[1]));
    }
}

static void
read_rule_claims(Look *look)
{
    static const char *const of_groups[] = { "%_in", "%_out", "members_%", NULL };
    static const char *const of_interfaces[] = { "%_in", "%_out", "%_limit", "%_front", NULL };
    const struct {
        const char *list;
        const char *const *patterns;
        bool local;
    } kinds[] = { { "groups", of_groups, false }, { "interfaces", of_interfaces, true } };

    for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++)
        for (guint i = 0; i < cli_length(look->claims, kinds[k].list); i++) {
            JsonObject *item = cli_element(look->claims, kinds[k].list, i);

            if (!kinds[k].local || g_strcmp0(cli_text(item, "host"), look->host_id) == 0)
                claim_rules(look, cli_text(item, "vpc"), cli_text(item, "id"), kinds[k].patterns);
        }
}

/* A VPC that has something on this host. */
static void
claim_vpc(Look *look, const char *vpc)
{
    g_hash_table_add(look->namespaces, g_strdup_printf("virga-%s-%s", look->tag, vpc));
    g_hash_table_add(look->veths,
                     g_strdup_printf("u%s%s", look->tag, last(vpc, VIRGA_TAP_SIZE - 1 - 4)));
}

static void
read_claims(Look *look)
{
    JsonObject *claims = look->claims;

    for (guint i = 0; i < cli_length(claims, "instances"); i++) {
        JsonObject *instance = cli_element(claims, "instances", i);

        if (g_strcmp0(cli_text(instance, "host"), look->host_id) != 0)
            continue;
        g_hash_table_add(look->instances, g_strdup(cli_text(instance, "id")));
        claim_vpc(look, cli_text(instance, "vpc"));
    }
    for (guint i = 0; i < cli_length(claims, "gateways"); i++) {
        JsonObject *gateway = cli_element(claims, "gateways", i);

        if (g_strcmp0(cli_text(gateway, "host"), look->host_id) == 0)
            claim_vpc(look, cli_text(gateway, "vpc"));
    }
    for (guint i = 0; i < cli_length(claims, "interfaces"); i++) {
        JsonObject *interface = cli_element(claims, "interfaces", i);

        if (g_strcmp0(cli_text(interface, "host"), look->host_id) != 0)
            continue;
        g_hash_table_add(look->taps,
                         g_strdup_printf("v%s%s", look->tag,
                                         last(cli_text(interface, "id"), VIRGA_TAP_SIZE - 1 - 4)));
        claim_vpc(look, cli_text(interface, "vpc")); /* of a load balancer, maybe */
    }
    for (guint i = 0; i < cli_length(claims, "volumes"); i++) {
        JsonObject *volume = cli_element(claims, "volumes", i);

        g_hash_table_add(look->shared, g_strdup(cli_text(volume, "id")));
        if (g_strcmp0(cli_text(volume, "host"), look->host_id) != 0)
            continue;
        g_hash_table_add(look->volumes, g_strdup(cli_text(volume, "id")));
    }
    for (guint i = 0; i < cli_length(claims, "exports"); i++) {
        JsonObject *export = cli_element(claims, "exports", i);
        static const char *const sides[] = { "server", "client" };

        for (size_t j = 0; j < G_N_ELEMENTS(sides); j++)
            if (g_strcmp0(cli_text(export, sides[j]), look->host_id) == 0)
                g_hash_table_add(look->exports,
                                 g_strdup_printf("%s.%s", cli_text(export, "id"), sides[j]));
    }
    for (guint i = 0; i < cli_length(claims, "snapshots"); i++) {
        JsonObject *snapshot = cli_element(claims, "snapshots", i);

        g_hash_table_insert(look->snapshots, g_strdup(cli_text(snapshot, "id")),
                            GINT_TO_POINTER(cli_int(snapshot, "bytes") > 0));
        g_hash_table_add(look->bases, g_strdup(cli_text(snapshot, "id")));
    }
    read_rule_claims(look);
}

/* ---- the world ---- */

/* Files of a directory that are called ID.suffix, and others, which nobody should have left. */
static void
check_files(Look *look, const char *relative, const char *const *suffixes, GHashTable *claimed,
            const char *what)
{
    g_autofree char *directory = cli_path(look->cli, relative);
    g_autoptr(GDir) files = g_dir_open(directory, 0, NULL);
    const char *name;

    while (files && (name = g_dir_read_name(files))) {
        g_autofree char *id = g_strdup(name);

        for (const char *const *suffix = suffixes; *suffix; suffix++)
            if (g_str_has_suffix(name, *suffix))
                id[strlen(name) - strlen(*suffix)] = '\0';
        if (!g_hash_table_contains(claimed, id))
            add_leak(look, "%s \"%s/%s\"", what, directory, name);
    }
}

/* The folders of daemons between hosts: VOLUME.SIDE.HASH. */
static void
check_exports(Look *look)
{
    g_autofree char *directory = cli_path(look->cli, "node/exports");
    g_autoptr(GDir) folders = g_dir_open(directory, 0, NULL);
    const char *name;

    while (folders && (name = g_dir_read_name(folders))) {
        const char *hash = strrchr(name, '.');
        g_autofree char *id = g_strndup(name, hash ? (gsize) (hash - name) : 0);

        if (!g_hash_table_contains(look->exports, id))
            add_leak(look, "daemon of no attachment \"%s/%s\"", directory, name);
    }
}

/* Images in a pool, whichever host made them. */
static bool
check_pool(Look *look, const char *group, GError **error)
{
    const VirgaConfig *config = look->cli->config;
    VirgaRbdSettings settings = { .monitors = virga_config_text(config, group, "monitors"),
                                  .user = virga_config_text(config, group, "user"),
                                  .key_file = virga_config_text(config, group, "key-file"),
                                  .pool = virga_config_text(config, group, "ceph-pool"),
                                  .host_id = look->host_id };
    VirgaVolumeDriver *driver = virga_volume_rbd_load(&settings, error);
    g_auto(GStrv) ids = driver ? driver->list(driver, error) : NULL;

    for (char **id = ids; id && *id; id++)
        if (!g_hash_table_contains(look->shared, *id))
            add_leak(look, "image of no volume \"%s\" in [%s]", *id, group);
    if (driver)
        driver->free(driver);
    return ids != NULL;
}

static bool
check_pools(Look *look, GError **error)
{
    g_auto(GStrv) groups = virga_config_pools(look->cli->config);
    const char *zone = virga_config_text(look->cli->config, "node", "zone");
    bool fake = g_str_equal(virga_config_text(look->cli->config, "node", "driver"), "fake");

    for (char **group = groups; *group && !fake; group++)
        if (virga_pool_in_zone(look->cli->config, *group, zone) && !check_pool(look, *group, error))
            return false;
    return true;
}

/* Base images whose snapshots are gone stay as long as something stands on them. */
static void
check_bases(Look *look)
{
    static const char *const suffixes[] = { ".qcow2", ".sum", ".damaged", ".used", NULL };
    g_autofree char *directory = cli_path(look->cli, "node");
    g_autofree char *images = cli_path(look->cli, "node/images");
    g_auto(GStrv) used = NULL;
    VirgaVolumeDriver *driver;

    if (!g_file_test(images, G_FILE_TEST_IS_DIR))
        return;
    driver = virga_volume_local_new(directory, 0, NULL, NULL);
    used = driver->bases(driver, true, NULL);
    for (char **id = used; id && *id; id++)
        g_hash_table_add(look->bases, g_strdup(*id));
    driver->free(driver);
    check_files(look, "node/images", suffixes, look->bases, "base image of no snapshot");
}

static void
check_store(Look *look)
{
    static const char *const suffixes[] = { ".qcow2", ".upload", NULL };
    GHashTableIter at;
    gpointer id, has_file;

    check_files(look, "store", suffixes, look->snapshots, "file of no snapshot");
    g_hash_table_iter_init(&at, look->snapshots);
    while (g_hash_table_iter_next(&at, &id, &has_file)) {
        g_autofree char *path = g_strdup_printf("%s/store/%s.qcow2", look->cli->state, (char *) id);

        if (has_file && access(path, F_OK) != 0)
            add_leak(look, "snapshot %s has lost its file \"%s\"", (char *) id, path);
    }
}

static void
check_lines(Look *look, const char *text, const char *prefix, GHashTable *claimed, const char *what)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++) {
        g_strstrip(*line);
        (*line)[strcspn(*line, " @:")] = '\0';
        if (g_str_has_prefix(*line, prefix) && **line && !g_hash_table_contains(claimed, *line))
            add_leak(look, "%s %s", what, *line);
    }
}

static bool
check_domains(Look *look, GError **error)
{
    const char *own = virga_config_text(look->cli->config, "node", "libvirt-uri");
    g_autofree char *uri =
        *own ? g_strdup(own)
             : g_strdup_printf("qemu+unix:///system?socket=%s/libvirt/run/libvirt-sock",
                               look->cli->state);
    const char *argv[] = { "virsh", "-q", "-c", uri, "list", "--all", "--name", NULL };
    g_autofree char *text = NULL;

    if (!g_str_equal(virga_config_text(look->cli->config, "node", "driver"), "libvirt"))
        return true;
    if (!virga_process_run(argv, NULL, PROGRAM_MS, &text, error))
        return false;
    check_lines(look, text, "i-", look->instances, "domain");
    return true;
}

static bool
check_network(Look *look, GError **error)
{
    g_autofree char *namespace_prefix = g_strdup_printf("virga-%s-", look->tag);
    g_autofree char *tap_prefix = g_strdup_printf("v%s", look->tag);
    g_autofree char *veth_prefix = g_strdup_printf("u%s", look->tag);
    g_autoptr(GDir) namespaces = g_dir_open("/run/netns", 0, NULL);
    const char *links[] = { "ip", "-o", "link", "show", NULL };
    g_autofree char *link_text = NULL;
    g_auto(GStrv) words = NULL;
    const char *name;

    while (namespaces && (name = g_dir_read_name(namespaces))) {
        const char *inside[] = { "ip", "-n", name, "-o", "link", "show", NULL };
        g_autofree char *text = NULL;

        if (!g_str_has_prefix(name, namespace_prefix))
            continue;
        if (!g_hash_table_contains(look->namespaces, name))
            add_leak(look, "network namespace %s", name);
        else if (virga_process_run(inside, NULL, PROGRAM_MS, &text, NULL)) {
            g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

            for (char **line = lines; *line; line++) {
                const char *colon = strchr(*line, ':');

                if (colon)
                    check_lines(look, colon + 1, tap_prefix, look->taps, "tap");
            }
        }
    }
    if (!virga_process_run(links, NULL, PROGRAM_MS, &link_text, error))
        return false;
    words = g_strsplit(link_text, "\n", -1);
    for (char **line = words; *line; line++) {
        const char *colon = strchr(*line, ':');

        if (!colon)
            continue;
        check_lines(look, colon + 1, tap_prefix, look->taps, "tap");
        check_lines(look, colon + 1, veth_prefix, look->veths, "link");
    }
    return true;
}

/* ---- nftables ---- */

/* What every ruleset of ours has, whoever is in the VPC. */
static const char *const vpc_rules[] = {
    "bound",       "macs",     "routers",       "translated",    "private",    "public",
    "outbound",    "inbound",  "input",         "guest",         "to_private", "to_public",
    "forward",     "deliver",  "source",        "leave",         "tunnel",     "targets",
    "tables",      "gateways", "limits",        "entering",      "leaving",    "nat_entering",
    "nat_leaving", "balancer", "to_balancer",   "from_balancer", "output",     "udp_entry",
    "udp_front",   "udp_in",   "udp_listeners", "udp_sources",   "udp_source", "udp_targets",
    "udp_deliver", NULL
};
static const char *const host_rules[] = { "forward", "postrouting", NULL };

/* Names of taps anywhere below 'node' that nobody claims, each once. */
static void
find_taps(Look *look, JsonNode *node, const char *prefix, GHashTable *found)
{
    if (JSON_NODE_HOLDS_ARRAY(node)) {
        JsonArray *array = json_node_get_array(node);

        for (guint i = 0; i < json_array_get_length(array); i++)
            find_taps(look, json_array_get_element(array, i), prefix, found);
    } else if (JSON_NODE_HOLDS_OBJECT(node)) {
        g_autoptr(GList) values = json_object_get_values(json_node_get_object(node));

        for (GList *value = values; value; value = value->next)
            find_taps(look, value->data, prefix, found);
    } else if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING) {
        const char *text = json_node_get_string(node);

        if (g_str_has_prefix(text, prefix) && !g_hash_table_contains(look->taps, text))
            g_hash_table_add(found, g_strdup(text));
    }
}

/* One table, chain, set or map.  'table' is what ours is called, 'rules' what is always in it. */
static void
check_rule(Look *look, const char *kind, JsonObject *object, const char *where, const char *table,
           const char *const *rules)
{
    static const char *const families[] = { "inet", "arp", "netdev", NULL };
    const char *family = cli_text(object, "family");
    bool is_table = g_str_equal(kind, "table");
    const char *name = cli_text(object, "name");
    const char *of = is_table ? name : cli_text(object, "table");
    g_autofree char *claim = g_strdup_printf("%s %s", where, name);
    g_autofree char *prefix = g_strdup_printf("v%s", look->tag);
    g_autoptr(GHashTable) taps = new_set();
    GHashTableIter at;
    gpointer tap;

    if (g_strcmp0(of, table) != 0 || (is_table && !g_strv_contains(families, family))) {
        if (is_table)
            add_leak(look, "table %s %s of nftables in %s", family, of, where);
        return; /* with all that is in it */
    }
    if (!is_table && !g_strv_contains(rules, name) && !g_hash_table_contains(look->rulesets, claim))
        add_leak(look, "%s %s of nftables in %s", kind, name, where);
    if (!json_object_has_member(object, "elem"))
        return;
    find_taps(look, json_object_get_member(object, "elem"), prefix, taps);
    g_hash_table_iter_init(&at, taps);
    while (g_hash_table_iter_next(&at, &tap, NULL))
        add_leak(look, "tap %s in %s %s of nftables in %s", (char *) tap, kind, name, where);
}

/* The host's own ruleset is shared with others: there, only tables with our name are looked at. */
static void
check_ruleset(Look *look, const char *text, const char *where, const char *table, bool is_host)
{
    static const char *const kinds[] = { "table", "chain", "set", "map" };
    g_autoptr(JsonNode) root = virga_json_parse(text, -1, NULL);
    JsonObject *all = root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;

    for (guint i = 0; all && i < cli_length(all, "nftables"); i++) {
        JsonObject *item = cli_element(all, "nftables", i);

        for (size_t k = 0; k < G_N_ELEMENTS(kinds); k++) {
            JsonNode *member = json_object_get_member(item, kinds[k]);
            JsonObject *object =
                member && JSON_NODE_HOLDS_OBJECT(member) ? json_node_get_object(member) : NULL;
            bool ours = object &&
                        (!is_host || g_strcmp0(cli_text(object, k ? "table" : "name"), table) == 0);

            if (ours && is_host && g_hash_table_size(look->namespaces) == 0)
                add_leak(look, "%s %s of nftables", kinds[k], cli_text(object, "name"));
            else if (ours)
                check_rule(look, kinds[k], object, where, table, is_host ? host_rules : vpc_rules);
        }
    }
}

static bool
check_nftables(Look *look, GError **error)
{
    g_autofree char *table = g_strdup_printf("virga_%s", look->tag);
    const char *host[] = { "nft", "-j", "list", "ruleset", NULL };
    g_autofree char *text = NULL;
    GHashTableIter at;
    gpointer name;

    if (!g_str_equal(virga_config_text(look->cli->config, "node", "driver"), "libvirt"))
        return true;
    if (!virga_process_run(host, NULL, PROGRAM_MS, &text, error))
        return false;
    check_ruleset(look, text, "the host", table, true);
    g_hash_table_iter_init(&at, look->namespaces);
    while (g_hash_table_iter_next(&at, &name, NULL)) {
        const char *inside[] = {
            "ip", "netns", "exec", name, "nft", "-j", "list", "ruleset", NULL
        };
        g_autofree char *rules = NULL;

        /* One that is not there is about to be made. */
        if (virga_process_run(inside, NULL, PROGRAM_MS, &rules, NULL))
            check_ruleset(look, rules, name, "virga", false);
    }
    return true;
}

/* ---- the database against itself ---- */

static void
check_counts(Look *look)
{
    JsonObject *claims = look->claims;

    for (guint i = 0; i < cli_length(claims, "hosts"); i++) {
        JsonObject *host = cli_element(claims, "hosts", i);

        if (cli_int(host, "vcpus_claimed") != cli_int(host, "vcpus_sum") ||
            cli_int(host, "memory_claimed_mib") != cli_int(host, "memory_sum_mib"))
            add_leak(look,
                     "host %s: %" G_GINT64_FORMAT " vCPUs and %" G_GINT64_FORMAT
                     " MiB are claimed, its instances have %" G_GINT64_FORMAT
                     " and %" G_GINT64_FORMAT,
                     cli_text(host, "name"), cli_int(host, "vcpus_claimed"),
                     cli_int(host, "memory_claimed_mib"), cli_int(host, "vcpus_sum"),
                     cli_int(host, "memory_sum_mib"));
    }
    for (guint i = 0; i < cli_length(claims, "broken"); i++)
        add_leak(look, "%s",
                 json_array_get_string_element(json_object_get_array_member(claims, "broken"), i));
}

/* ---- one look ---- */

static void
look_done(Look *look)
{
    GHashTable *sets[] = { look->instances, look->volumes, look->shared,     look->exports,
                           look->snapshots, look->bases,   look->namespaces, look->taps,
                           look->veths,     look->rulesets };

    for (size_t i = 0; i < G_N_ELEMENTS(sets); i++)
        g_hash_table_unref(sets[i]);
    g_free(look->host_id);
}

/* The leaks that are seen now, the caller's. */
static GPtrArray *
look_once(Cli *cli, GError **error)
{
    g_autofree char *id_path = cli_path(cli, "node/host-id");
    g_autoptr(JsonNode) answer = cli_call(cli, "GET", "/operator/v1/claims", NULL, CALL_MS, error);
    g_autoptr(GPtrArray) leaks = g_ptr_array_new_with_free_func(g_free);
    Look look = { .cli = cli, .tag = virga_config_tag(cli->config), .leaks = leaks };
    static const char *const volume_files[] = { ".qcow2", ".layers", NULL };
    static const char *const console_files[] = { ".log", NULL };
    static const char *const nvram_files[] = { "_VARS.fd", NULL };
    bool done;

    if (!answer)
        return NULL;
    look.claims = json_node_get_object(answer);
    look.instances = new_set();
    look.volumes = new_set();
    look.exports = new_set();
    look.shared = new_set();
    look.snapshots = new_set();
    look.bases = new_set();
    look.namespaces = new_set();
    look.taps = new_set();
    look.veths = new_set();
    look.rulesets = new_set();
    if (g_file_get_contents(id_path, &look.host_id, NULL, NULL))
        g_strstrip(look.host_id);
    read_claims(&look);
    done = check_domains(&look, error) && check_network(&look, error) &&
           check_nftables(&look, error) && check_pools(&look, error);
    check_files(&look, "node/volumes", volume_files, look.volumes, "file of no volume");
    check_files(&look, "node/console", console_files, look.instances, "console of no instance");
    check_files(&look, "libvirt/lib/qemu/nvram", nvram_files, look.instances,
                "firmware variables of no instance");
    check_exports(&look);
    check_bases(&look);
    check_store(&look);
    check_counts(&look);
    look_done(&look);
    return done ? g_steal_pointer(&leaks) : NULL;
}

static GPtrArray *
in_both(const GPtrArray *before, const GPtrArray *now)
{
    GPtrArray *both = g_ptr_array_new_with_free_func(g_free);

    for (guint i = 0; i < now->len; i++)
        if (g_ptr_array_find_with_equal_func((GPtrArray *) before, now->pdata[i], g_str_equal,
                                             NULL))
            g_ptr_array_add(both, g_strdup(now->pdata[i]));
    return both;
}

int
doctor_leaks(Cli *cli, GError **error)
{
    g_autoptr(GPtrArray) leaks = look_once(cli, error);

    for (int i = 1; leaks && leaks->len && i < LOOKS; i++) {
        g_autoptr(GPtrArray) before = g_steal_pointer(&leaks), now = NULL;

        g_usleep(LOOK_AGAIN_S * G_USEC_PER_SEC);
        now = look_once(cli, error);
        leaks = now ? in_both(before, now) : NULL;
    }
    for (guint i = 0; leaks && i < leaks->len; i++)
        g_print("leak: %s\n", (char *) leaks->pdata[i]);
    return leaks ? (int) leaks->len : -1;
}
