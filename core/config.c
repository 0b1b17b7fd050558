/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config.h"

#include "core/error.h"

#include <math.h>
#include <string.h>

#define TYPE_GROUP      "instance-type " /* [instance-type NAME] */
#define QUOTA_GROUP     "quota "         /* [quota ACCOUNT] */
#define POOL_GROUP      "pool "          /* [pool NAME] */
#define VOLUME_GROUP    "volume-type "   /* [volume-type TYPE] */
#define ACCOUNT_DIGITS  12
#define EXAMPLE_COLUMNS 96

typedef enum { TEXT, INTEGER, REAL, BOOLEAN } Kind;

typedef struct {
    const char *group, *key;
    Kind kind;
    const char *initial;
    const char *meaning;
    VirgaConfigReader readers; /* none: "virga up" */
    const char *const *values; /* of a TEXT; NULL: any */
} Key;

#define VIRGAD VIRGA_CONFIG_VIRGAD
#define NODE   VIRGA_CONFIG_NODE

static const char *const import_scopes[] = { "public", "private", "any", NULL };

static const Key keys[] = {
    { "cloud", "region", TEXT, "us-east-1", "Name of the one region.", VIRGAD },
    { "cloud", "zones", TEXT, "a", "Letters of the availability zones, with commas: `a,b`.",
      VIRGAD },
    { "cloud", "any-region", BOOLEAN, "true",
      "Serve requests that are signed for another region, so that a client with a foreign default "
      "region works.",
      VIRGAD },
    { "cloud", "account", TEXT, "",
      "Twelve digits of the first account; empty: random at the first start.", 0 },
    { "cloud", "access-key", TEXT, "",
      "Access key id of the first account's administrator; empty: made at the first start.", 0 },
    { "cloud", "secret-key-file", TEXT, "",
      "File that holds the administrator's secret key, readable by its owner only.", 0 },
    { "api", "listen", TEXT, "127.0.0.1:8773", "Address and port of the API.", VIRGAD },
    { "api", "connections", INTEGER, "4096", "Most client connections at a time.", VIRGAD },
    { "api", "workers", INTEGER, "8", "Requests that are worked on at the same time.", VIRGAD },
    { "api", "debug", BOOLEAN, "false", "Log every request.", VIRGAD },
    { "database", "dsn", TEXT, "",
      "libpq connection string of a PostgreSQL 15 or newer; empty: the embedded one that `virga "
      "up` runs.",
      VIRGAD },
    { "database", "connections", INTEGER, "10", "Most connections of one virgad.", VIRGAD },
    { "node", "virgad", TEXT, "", "Address of virgad's node API; empty: its Unix socket here.",
      NODE },
    { "node", "zone", TEXT, "a", "Letter of the zone that this host is in.", NODE },
    { "node", "driver", TEXT, "libvirt", "`libvirt`, or `fake` for guests that only pretend.",
      NODE },
    { "node", "hypervisor", TEXT, "auto",
      "`kvm`, `qemu` (emulation, slow) or `auto`: KVM only where it is known to work.", NODE },
    { "node", "libvirt-uri", TEXT, "",
      "libvirt connection; empty: the libvirtd that `virga up` runs for this cloud.", NODE },
    { "node", "vcpu-overcommit", REAL, "8.0", "Guest vCPUs promised for each core.", NODE },
    { "node", "memory-overcommit", REAL, "1.0", "Guest memory promised for each byte.", NODE },
    { "node", "memory-reserved-mib", INTEGER, "1024", "Memory that is never promised to guests.",
      NODE },
    { "node", "disk-reserved-gib", INTEGER, "2",
      "A launch is refused when less than this would stay free on the host's disk.", NODE },
    { "node", "workers", INTEGER, "8", "Guests that the host works on at the same time.", NODE },
    { "network", "public-pool", TEXT, "198.18.0.0/20",
      "Addresses from which instances get their public one.", VIRGAD | NODE },
    { "network", "masquerade", BOOLEAN, "true",
      "Hide the pool behind the host's own address where packets leave it; false where the pool "
      "is routed to the host.",
      NODE },
    { "network", "public-interface", TEXT, "",
      "Network card behind which others find the pool's addresses: the host answers ARP there for "
      "those that its guests have. Empty: the pool is routed to the host.",
      NODE },
    { "network", "tunnel-address", TEXT, "",
      "This host's address for the other hosts of the cloud, by which VPCs span them. Empty: it is "
      "the only one.",
      NODE },
    { "network", "mtu", INTEGER, "0",
      "Largest packet that guests may send; 0: 1500, or 1450 where VPCs span hosts.", NODE },
    { "storage", "disk-reserved-gib", INTEGER, "2",
      "Nothing is imported when less than this would stay free on the disk of the store.", VIRGAD },
    { "storage", "imports", INTEGER, "2", "Imports of disk images that are worked on at a time.",
      VIRGAD },
    { "storage", "import-from", TEXT, "public",
      "Addresses from which ImportImage and ImportSnapshot fetch: `public`, `private` (private "
      "networks, too) or `any` (also this machine). Whoever may import reads with virgad's "
      "network.",
      VIRGAD, import_scopes },
    { "storage", "import-max-gib", INTEGER, "1024", "Most bytes that one import fetches, in GiB.",
      VIRGAD },
    { "storage", "image-cache-gib", INTEGER, "50",
      "Base images that no volume on the host stands on are kept, up to this many GiB: what is "
      "launched of them again need not be fetched. Those that were used least recently go first.",
      NODE },
    { "storage", "key-encryption-keys", TEXT, "",
      "File of the keys that the keys of encrypted volumes are wrapped with, virgad's alone (mode "
      "600): keep a copy of it elsewhere, since nothing that is encrypted can be read without. "
      "Every virgad of a cloud needs the same. Empty: keys/volumes in the state directory, made at "
      "the first start.",
      VIRGAD },
    { "storage", "file-system-gib", INTEGER, "100",
      "GiB that a shared file system may have; one that is there keeps what it was made with.",
      VIRGAD },
    { "storage", "scrub-mib", INTEGER, "16",
      "MiB a second that are read to see whether snapshots, and base images on hosts, are still "
      "what they were; 0: nothing is.",
      VIRGAD | NODE },
    { "storage", "scrub-days", INTEGER, "14", "Days after which a file is read again.",
      VIRGAD | NODE },
    { "quota", "instances", INTEGER, "20000",
      "Instances of an account. What [quota] says holds for accounts without a group of their own: "
      "[quota 123456789012] has the same keys.",
      VIRGAD },
    { "quota", "file-systems", INTEGER, "1000", "File systems of an account.", VIRGAD },
    { "quota", "import-tasks", INTEGER, "20", "Imports of an account that have not ended.",
      VIRGAD },
    { "quota", "vcpus", INTEGER, "100000", "vCPUs of an account's instances that are not stopped.",
      VIRGAD },
    { "quota", "volumes", INTEGER, "50000", "Volumes of an account.", VIRGAD },
    { "quota", "volume-gib", INTEGER, "5000000", "Size of an account's volumes together.", VIRGAD },
    { "quota", "snapshots", INTEGER, "100000", "Snapshots of an account.", VIRGAD },
    { "quota", "images", INTEGER, "50000", "Images of an account.", VIRGAD },
    { "quota", "key-pairs", INTEGER, "5000", "Key pairs of an account.", VIRGAD },
    { "quota", "launch-templates", INTEGER, "5000", "Launch templates of an account.", VIRGAD },
    { "quota", "placement-groups", INTEGER, "500", "Placement groups of an account.", VIRGAD },
    { "quota", "elastic-ips", INTEGER, "500", "Elastic IP addresses of an account.", VIRGAD },
    { "quota", "load-balancers", INTEGER, "100", "Load balancers of an account.", VIRGAD },
    { "quota", "target-groups", INTEGER, "3000", "Target groups of an account.", VIRGAD },
    { "quota", "nat-gateways", INTEGER, "500", "NAT gateways of an account.", VIRGAD },
    { "quota", "versions-per-launch-template", INTEGER, "10000", "Versions of a launch template.",
      VIRGAD },
    { "quota", "security-groups-per-vpc", INTEGER, "2500", "Security groups in one VPC.", VIRGAD },
    { "quota", "rules-per-security-group", INTEGER, "60",
      "Rules of a security group, inbound and outbound each.", VIRGAD },
    { "quota", "vpcs", INTEGER, "500", "VPCs of an account.", VIRGAD },
    { "quota", "internet-gateways", INTEGER, "500", "Internet gateways of an account.", VIRGAD },
    { "quota", "dhcp-options", INTEGER, "500", "Sets of DHCP options of an account.", VIRGAD },
    { "quota", "cidr-blocks-per-vpc", INTEGER, "5", "Blocks of addresses of one VPC.", VIRGAD },
    { "quota", "subnets-per-vpc", INTEGER, "200", "Subnets in one VPC.", VIRGAD },
    { "quota", "route-tables-per-vpc", INTEGER, "200", "Route tables in one VPC.", VIRGAD },
    { "quota", "routes-per-route-table", INTEGER, "50",
      "Routes of a route table, local ones not counted.", VIRGAD },
    { "quota", "network-acls-per-vpc", INTEGER, "200", "Network ACLs in one VPC.", VIRGAD },
    { "quota", "rules-per-network-acl", INTEGER, "20",
      "Rules of a network ACL, inbound and outbound each.", VIRGAD },
};

/* Keys of an [instance-type NAME] group, NAME like EC2's or like 4c8g. */
static const Key type_keys[] = {
    { "instance-type NAME", "vcpus", INTEGER, "", "Number of virtual CPUs.", VIRGAD },
    { "instance-type NAME", "memory-mib", INTEGER, "", "Memory in MiB.", VIRGAD },
    { "instance-type NAME", "bandwidth-mbit", INTEGER, "0",
      "Mbit/s that each network interface may send, and receive, at most; 0: no limit. What an "
      "instance has it keeps until it is resized.",
      VIRGAD },
};

/* Keys of a [pool NAME] group: volumes in Ceph. */
static const Key pool_keys[] = {
    { "pool NAME", "driver", TEXT, "rbd",
      "Who keeps the pool's volumes: `rbd`, images in Ceph that all hosts share. The pool `local`, "
      "each host's own disk, is always there.",
      VIRGAD | NODE },
    { "pool NAME", "zones", TEXT, "",
      "Letters of the zones that have it, with commas; empty: all of them.", VIRGAD | NODE },
    { "pool NAME", "monitors", TEXT, "", "Ceph's monitors: `10.0.0.1:3300,10.0.0.2:3300`.", NODE },
    { "pool NAME", "user", TEXT, "virga",
      "Name of a user that has Ceph's profile rbd for the pool.", NODE },
    { "pool NAME", "key-file", TEXT, "",
      "File that holds the user's key, readable by its owner only.", NODE },
    { "pool NAME", "ceph-pool", TEXT, "virga", "Ceph's name of the pool.", NODE },
};

/* Keys of a [volume-type TYPE] group, TYPE one of EC2's. */
static const Key volume_keys[] = {
    { "volume-type TYPE", "pool", TEXT, "local",
      "Pool in which new volumes of the type are kept: `local`, or a [pool NAME].", VIRGAD },
};

/* Groups of which there may be several, each with a name of its own. */
static const struct {
    const char *prefix;
    const Key *keys;
    size_t count;
} families[] = {
    { TYPE_GROUP, type_keys, G_N_ELEMENTS(type_keys) },
    { POOL_GROUP, pool_keys, G_N_ELEMENTS(pool_keys) },
    { VOLUME_GROUP, volume_keys, G_N_ELEMENTS(volume_keys) },
};

struct VirgaConfig {
    gatomicrefcount references;
    GKeyFile *file;
    char *state;
    char tag[4];
};

static const Key *
find_key(const char *group, const char *key)
{
    for (size_t i = 0; i < G_N_ELEMENTS(families); i++)
        for (size_t j = 0; g_str_has_prefix(group, families[i].prefix); j++) {
            if (j == families[i].count)
                return NULL;
            if (g_str_equal(families[i].keys[j].key, key))
                return &families[i].keys[j];
        }
    if (g_str_has_prefix(group, QUOTA_GROUP))
        group = "quota";
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        if (g_str_equal(keys[i].group, group) && g_str_equal(keys[i].key, key))
            return &keys[i];
    return NULL;
}

static bool
is_group(const char *group)
{
    for (size_t i = 0; i < G_N_ELEMENTS(families); i++)
        if (g_str_has_prefix(group, families[i].prefix))
            return group[strlen(families[i].prefix)] != '\0';
    if (g_str_has_prefix(group, QUOTA_GROUP))
        return strlen(group + strlen(QUOTA_GROUP)) == ACCOUNT_DIGITS &&
               strspn(group + strlen(QUOTA_GROUP), "0123456789") == ACCOUNT_DIGITS;
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        if (g_str_equal(keys[i].group, group))
            return true;
    return false;
}

static bool
check_value(const Key *key, const char *value)
{
    char *end = NULL;
    double real;

    switch (key->kind) {
    case INTEGER: /* amounts, all of them */
        return g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT64, NULL, NULL);
    case REAL:
        real = g_ascii_strtod(value, &end);
        return real > 0 && isfinite(real) && *end == '\0';
    case BOOLEAN:
        return g_str_equal(value, "true") || g_str_equal(value, "false");
    default:
        return !key->values || g_strv_contains(key->values, value);
    }
}

/* Copies the declared keys of 'from' and refuses all others. */
static bool
lay_over(GKeyFile *into, GKeyFile *from, const char *path, GError **error)
{
    g_auto(GStrv) groups = g_key_file_get_groups(from, NULL);

    for (char **group = groups; *group; group++) {
        g_auto(GStrv) names = g_key_file_get_keys(from, *group, NULL, NULL);

        if (!is_group(*group))
            return virga_fail(error, "configuration", VIRGA_ERROR_INVALID,
                              "%s: there is no group [%s]", path, *group);
        for (char **name = names; names && *name; name++) {
            const Key *key = find_key(*group, *name);
            g_autofree char *value = g_key_file_get_string(from, *group, *name, NULL);

            if (!key)
                return virga_fail(error, "configuration", VIRGA_ERROR_INVALID,
                                  "%s: there is no key \"%s\" in [%s]", path, *name, *group);
            if (!value || !check_value(key, value))
                return virga_fail(error, "configuration", VIRGA_ERROR_INVALID,
                                  "%s: \"%s\" is no value for \"%s\" in [%s]", path,
                                  value ? value : "", *name, *group);
            g_key_file_set_string(into, *group, *name, value);
        }
    }
    return true;
}

static bool
load_file(VirgaConfig *config, const char *path, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) reason = NULL;

    if (g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &reason))
        return lay_over(config->file, file, path, error);
    if (g_error_matches(reason, G_FILE_ERROR, G_FILE_ERROR_NOENT))
        return true;
    return virga_fail(error, "configuration", VIRGA_ERROR_INVALID, "%s: %s", path, reason->message);
}

static char **
groups_like(const VirgaConfig *config, const char *prefix)
{
    g_auto(GStrv) groups = g_key_file_get_groups(config->file, NULL);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    for (char **group = groups; *group; group++)
        if (g_str_has_prefix(*group, prefix))
            g_strv_builder_add(builder, *group);
    return g_strv_builder_end(builder);
}

/* Every instance type must be whole: what has no default must be there. */
static bool
check_types(const VirgaConfig *config, GError **error)
{
    g_auto(GStrv) groups = virga_config_instance_types(config);

    for (char **group = groups; *group; group++)
        for (size_t i = 0; i < G_N_ELEMENTS(type_keys); i++) {
            gint64 least = *type_keys[i].initial ? 0 : 1;

            if (virga_config_int(config, *group, type_keys[i].key) < least)
                return virga_fail(error, "configuration", VIRGA_ERROR_INVALID,
                                  "[%s] must have \"%s\" of %d or more", *group, type_keys[i].key,
                                  (int) least);
        }
    return true;
}

/* Every pool must be whole, and every type's one must be there. */
static bool
check_pools(const VirgaConfig *config, GError **error)
{
    g_auto(GStrv) pools = virga_config_pools(config);
    g_auto(GStrv) types = groups_like(config, VOLUME_GROUP);

    for (char **pool = pools; *pool; pool++)
        if (g_str_equal(*pool, POOL_GROUP "local") ||
            !g_str_equal(virga_config_text(config, *pool, "driver"), "rbd") ||
            !*virga_config_text(config, *pool, "monitors") ||
            !*virga_config_text(config, *pool, "key-file"))
            return virga_fail(error, "configuration", VIRGA_ERROR_INVALID,
                              "[%s] must have another name than \"local\", the driver \"rbd\", "
                              "\"monitors\" and a \"key-file\"",
                              *pool);
    for (char **type = types; *type; type++) {
        const char *name = virga_config_text(config, *type, "pool");
        g_autofree char *group = g_strconcat(POOL_GROUP, name, NULL);

        if (!g_str_equal(name, "local") && !g_strv_contains((const char *const *) pools, group))
            return virga_fail(error, "configuration", VIRGA_ERROR_INVALID,
                              "[%s] names the pool \"%s\", of which there is no [%s]", *type, name,
                              group);
    }
    return true;
}

static void
make_tag(const char *state, char tag[static 4])
{
    guint hash = g_str_hash(state);

    if (g_str_equal(state, VIRGA_STATE_PATH)) {
        memcpy(tag, "vga", 4);
        return;
    }
    for (int i = 0; i < 3; i++, hash /= 26)
        tag[i] = (char) ('a' + hash % 26);
    tag[3] = '\0';
}

VirgaConfig *
virga_config_load(const char *path, const char *state, GError **error)
{
    g_autoptr(VirgaConfig) config = g_new0(VirgaConfig, 1);
    g_autofree char *own = NULL;

    g_atomic_ref_count_init(&config->references);
    config->file = g_key_file_new();
    config->state = g_canonicalize_filename(state, NULL);
    make_tag(config->state, config->tag);
    own = virga_config_path(config, "virga.conf");
    if (!load_file(config, path, error) || !load_file(config, own, error) ||
        !check_types(config, error) || !check_pools(config, error))
        return NULL;
    return g_steal_pointer(&config);
}

VirgaConfig *
virga_config_ref(VirgaConfig *config)
{
    g_atomic_ref_count_inc(&config->references);
    return config;
}

void
virga_config_unref(VirgaConfig *config)
{
    if (!config || !g_atomic_ref_count_dec(&config->references))
        return;
    g_key_file_unref(config->file);
    g_free(config->state);
    g_free(config);
}

static char *
get_value(const VirgaConfig *config, const char *group, const char *name, Kind kind)
{
    const Key *key = find_key(group, name);
    char *value;

    g_assert(key && key->kind == kind);
    value = g_key_file_get_string(config->file, group, name, NULL);
    return value ? value : g_strdup(key->initial);
}

const char *
virga_config_text(const VirgaConfig *config, const char *group, const char *key)
{
    g_autofree char *value = get_value(config, group, key, TEXT);

    return g_intern_string(value); /* few and long-lived: a loan without bookkeeping */
}

gint64
virga_config_int(const VirgaConfig *config, const char *group, const char *key)
{
    g_autofree char *value = get_value(config, group, key, INTEGER);

    return g_ascii_strtoll(value, NULL, 10);
}

bool
virga_config_bool(const VirgaConfig *config, const char *group, const char *key)
{
    g_autofree char *value = get_value(config, group, key, BOOLEAN);

    return g_str_equal(value, "true");
}

double
virga_config_real(const VirgaConfig *config, const char *group, const char *key)
{
    g_autofree char *value = get_value(config, group, key, REAL);

    return g_ascii_strtod(value, NULL);
}

bool
virga_config_has(const VirgaConfig *config, const char *group, const char *key)
{
    return g_key_file_has_key(config->file, group, key, NULL);
}

char **
virga_config_instance_types(const VirgaConfig *config)
{
    return groups_like(config, TYPE_GROUP);
}

char **
virga_config_pools(const VirgaConfig *config)
{
    return groups_like(config, POOL_GROUP);
}

char **
virga_config_quota_groups(const VirgaConfig *config)
{
    return groups_like(config, QUOTA_GROUP);
}

const char *
virga_config_state(const VirgaConfig *config)
{
    return config->state;
}

const char *
virga_config_tag(const VirgaConfig *config)
{
    return config->tag;
}

char *
virga_config_path(const VirgaConfig *config, const char *relative)
{
    return g_build_filename(config->state, relative, NULL);
}

static void
print_keys(const VirgaConfig *config, VirgaConfigReader reader, const char *group, const Key *of,
           gsize count, GKeyFile *into)
{
    for (gsize i = 0; i < count; i++) {
        g_autofree char *value = NULL;

        if (!(of[i].readers & reader))
            continue;
        value = get_value(config, group ? group : of[i].group, of[i].key, of[i].kind);
        g_key_file_set_string(into, group ? group : of[i].group, of[i].key, value);
    }
}

/* What accounts have of their own. */
static void
print_quotas(const VirgaConfig *config, GKeyFile *into)
{
    g_auto(GStrv) groups = virga_config_quota_groups(config);

    for (char **group = groups; *group; group++) {
        g_auto(GStrv) names = g_key_file_get_keys(config->file, *group, NULL, NULL);

        for (char **name = names; name && *name; name++) {
            g_autofree char *value = g_key_file_get_string(config->file, *group, *name, NULL);

            g_key_file_set_string(into, *group, *name, value);
        }
    }
}

static GKeyFile *
values_of(const VirgaConfig *config, VirgaConfigReader reader)
{
    GKeyFile *file = g_key_file_new();

    print_keys(config, reader, NULL, keys, G_N_ELEMENTS(keys), file);
    for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
        g_auto(GStrv) groups = groups_like(config, families[i].prefix);

        for (char **group = groups; *group; group++)
            print_keys(config, reader, *group, families[i].keys, families[i].count, file);
    }
    if (reader & VIRGAD)
        print_quotas(config, file);
    return file;
}

char *
virga_config_print(const VirgaConfig *config, VirgaConfigReader reader)
{
    g_autoptr(GKeyFile) file = values_of(config, reader);

    return g_key_file_to_data(file, NULL, NULL);
}

/* Appends the keys of 'file' that 'other' has not, or not so. */
static void
append_changes(GString *out, GKeyFile *file, GKeyFile *other, bool missing_only)
{
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);

    for (char **group = groups; *group; group++) {
        g_auto(GStrv) names = g_key_file_get_keys(file, *group, NULL, NULL);

        for (char **name = names; *name; name++) {
            g_autofree char *value = g_key_file_get_string(file, *group, *name, NULL);
            g_autofree char *former = g_key_file_get_string(other, *group, *name, NULL);

            if (missing_only ? former != NULL : g_strcmp0(value, former) == 0)
                continue;
            g_string_append_printf(out, "%s[%s] %s", out->len ? ", " : "", *group, *name);
        }
    }
}

char *
virga_config_changes(const VirgaConfig *config, VirgaConfigReader reader, const char *former)
{
    g_autoptr(GKeyFile) now = values_of(config, reader), then = g_key_file_new();
    GString *names = g_string_new(NULL);

    g_key_file_load_from_data(then, former, (gsize) -1, G_KEY_FILE_NONE, NULL);
    append_changes(names, now, then, false);
    append_changes(names, then, now, true);
    return g_string_free(names, names->len == 0);
}

static void
describe_key(GString *page, const Key *key, const char **group)
{
    if (g_strcmp0(*group, key->group) != 0) {
        *group = key->group;
        g_string_append_printf(page, "\n## [%s]\n\n| key | default | meaning |\n|---|---|---|\n",
                               key->group);
    }
    g_string_append_printf(page, "| `%s` | %s%s%s | %s |\n", key->key, *key->initial ? "`" : "",
                           key->initial, *key->initial ? "`" : "", key->meaning);
}

char *
virga_config_describe(void)
{
    GString *page = g_string_new(
        "# Configuration\n\n"
        "`" VIRGA_CONFIG_PATH "` (GKeyFile), over it `virga.conf` in the state directory, where "
        "`virga up` keeps what it chose at the first start. Unknown groups and keys are "
        "refused.\n\n"
        "After an edit, `sudo virga up` starts those daemons again that read what has changed; "
        "guests are not touched.\n");
    const char *group = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        describe_key(page, &keys[i], &group);
    for (size_t i = 0; i < G_N_ELEMENTS(families); i++)
        for (size_t j = 0; j < families[i].count; j++)
            describe_key(page, &families[i].keys[j], &group);
    return g_string_free(page, FALSE);
}

/* Markdown's marks for code mean nothing in a file. */
static void
example_key(GString *file, const Key *key, const char **group)
{
    g_autofree char *meaning = g_strdup(key->meaning);
    g_auto(GStrv) words = NULL;
    gsize column = 1;

    if (g_strcmp0(*group, key->group) != 0) {
        *group = key->group;
        g_string_append_printf(file, "\n%s[%s]\n", strchr(key->group, ' ') ? "#" : "", key->group);
    }
    words = g_strsplit(g_strdelimit(meaning, "`", '"'), " ", -1);
    g_string_append(file, "\n#");
    for (char **word = words; *word; word++) {
        if (column + 1 + strlen(*word) > EXAMPLE_COLUMNS) {
            g_string_append(file, "\n#");
            column = 1;
        }
        g_string_append_printf(file, " %s", *word);
        column += 1 + strlen(*word);
    }
    g_string_append_printf(file, "\n#%s = %s\n", key->key, key->initial);
}

char *
virga_config_example(void)
{
    GString *file = g_string_new("# Virga's configuration.  Every key is here at its default; "
                                 "unknown ones are refused.\n"
                                 "# \"virga up\" keeps what it chose for a cloud in virga.conf of "
                                 "its state directory.\n");
    const char *group = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        example_key(file, &keys[i], &group);
    for (size_t i = 0; i < G_N_ELEMENTS(families); i++)
        for (size_t j = 0; j < families[i].count; j++)
            example_key(file, &families[i].keys[j], &group);
    return g_string_free(file, FALSE);
}
