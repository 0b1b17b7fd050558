/* SPDX-License-Identifier: Apache-2.0 */
#include "core/config.h"

#include "core/error.h"

#include <glib/gstdio.h>
#include <string.h>

typedef struct {
    char *directory, *file, *own;
} Folder;

static void
folder_set_up(Folder *folder, gconstpointer data)
{
    folder->directory = g_dir_make_tmp("virga-config-XXXXXX", NULL);
    folder->file = g_build_filename(folder->directory, "first.conf", NULL);
    folder->own = g_build_filename(folder->directory, "virga.conf", NULL);
}

static void
folder_tear_down(Folder *folder, gconstpointer data)
{
    g_unlink(folder->file);
    g_unlink(folder->own);
    g_assert_cmpint(g_rmdir(folder->directory), ==, 0);
    g_free(folder->directory);
    g_free(folder->file);
    g_free(folder->own);
}

static void
put(const char *path, const char *text)
{
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void
test_defaults(Folder *folder, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaConfig) config = virga_config_load(folder->file, folder->directory, &error);
    g_auto(GStrv) types = NULL;
    g_autofree char *path = NULL;

    g_assert_no_error(error);
    g_assert_cmpstr(virga_config_text(config, "cloud", "region"), ==, "us-east-1");
    g_assert_cmpstr(virga_config_text(config, "database", "dsn"), ==, "");
    g_assert_cmpint(virga_config_int(config, "database", "connections"), ==, 10);
    g_assert_true(virga_config_bool(config, "cloud", "any-region"));
    g_assert_cmpfloat(virga_config_real(config, "node", "vcpu-overcommit"), ==, 8.0);
    types = virga_config_instance_types(config);
    g_assert_cmpuint(g_strv_length(types), ==, 0);
    g_assert_cmpstr(virga_config_state(config), ==, folder->directory);
    path = virga_config_path(config, "run/x");
    g_assert_true(g_str_has_prefix(path, folder->directory));
    g_assert_true(g_str_has_suffix(path, "/run/x"));
}

static void
test_layers(Folder *folder, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaConfig) config = NULL;

    put(folder->file, "[cloud]\nregion=eu-west-3\nzones=a,b\n[api]\nworkers=3\n");
    put(folder->own, "[api]\nworkers=5\nlisten=127.0.0.1:1\n");
    config = virga_config_load(folder->file, folder->directory, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(virga_config_text(config, "cloud", "region"), ==, "eu-west-3");
    g_assert_cmpstr(virga_config_text(config, "cloud", "zones"), ==, "a,b");
    g_assert_cmpint(virga_config_int(config, "api", "workers"), ==, 5);
    g_assert_cmpstr(virga_config_text(config, "api", "listen"), ==, "127.0.0.1:1");
}

static void
test_quotas(Folder *folder, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaConfig) config = NULL;
    g_auto(GStrv) groups = NULL;

    put(folder->file, "[quota]\nvcpus=7\n[quota 123456789012]\nvcpus=8\n");
    config = virga_config_load(folder->file, folder->directory, &error);
    g_assert_no_error(error);
    groups = virga_config_quota_groups(config);
    g_assert_cmpuint(g_strv_length(groups), ==, 1);
    g_assert_cmpstr(groups[0], ==, "quota 123456789012");
    g_assert_cmpint(virga_config_int(config, "quota", "vcpus"), ==, 7);
    g_assert_cmpint(virga_config_int(config, groups[0], "vcpus"), ==, 8);
    g_assert_true(virga_config_has(config, groups[0], "vcpus"));
    g_assert_false(virga_config_has(config, groups[0], "volumes"));
}

/* Text, and what the refusal must name. */
static const char *const refused[][2] = {
    { "[cloud]\nregio=x\n", "\"regio\" in [cloud]" },
    { "[clouds]\nregion=x\n", "[clouds]" },
    { "[clouds]\n", "[clouds]" },
    { "region=x\n", "first.conf" },
    { "[api]\nworkers=many\n", "\"many\"" },
    { "[api]\nworkers=\n", "\"workers\"" },
    { "[api]\nworkers=3x\n", "\"3x\"" },
    { "[api]\nworkers=-1\n", "\"-1\"" },
    { "[api]\nworkers=99999999999999999999\n", "\"99999999999999999999\"" },
    { "[api]\ndebug=yes\n", "\"yes\"" },
    { "[node]\nvcpu-overcommit=0\n", "\"0\"" },
    { "[node]\nvcpu-overcommit=-2\n", "\"-2\"" },
    { "[node]\nvcpu-overcommit=inf\n", "\"inf\"" },
    { "[node]\nvcpu-overcommit=nan\n", "\"nan\"" },
    { "[node]\nvcpu-overcommit=2,5\n", "\"2,5\"" },
    { "[instance-type a.b]\nvcpus=2\n", "\"memory-mib\"" },
    { "[instance-type a.b]\nvcpus=0\nmemory-mib=1\n", "\"vcpus\"" },
    { "[instance-type a.b]\nvcpus=1\nmemory-mib=1\ndisk=3\n", "\"disk\"" },
    { "[instance-type a.b]\nvcpus=1\nmemory-mib=1\nbandwidth-mbit=-1\n", "\"bandwidth-mbit\"" },
    { "[quota 12345]\nvcpus=1\n", "[quota 12345]" },
    { "[quota 123456789012]\nvcpu=1\n", "\"vcpu\"" },
    { "[instance-type ]\nvcpus=1\nmemory-mib=1\n", "[instance-type ]" },
};

static void
test_refused(Folder *folder, gconstpointer data)
{
    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        const char *path = i % 2 ? folder->own : folder->file; /* both are checked */
        g_autoptr(GError) error = NULL;

        if (i == 3)
            path = folder->file;
        put(path, refused[i][0]);
        g_assert_null(virga_config_load(folder->file, folder->directory, &error));
        g_assert_true(virga_error_is(error, "configuration", VIRGA_ERROR_INVALID));
        if (!strstr(error->message, refused[i][1]))
            g_error("\"%s\" does not say %s", error->message, refused[i][1]);
        g_unlink(path);
    }
}

static void
test_types(Folder *folder, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaConfig) config = NULL;
    g_auto(GStrv) types = NULL;

    put(folder->file, "[instance-type x1.big]\nvcpus=64\nmemory-mib=1048576\n");
    config = virga_config_load(folder->file, folder->directory, &error);
    g_assert_no_error(error);
    types = virga_config_instance_types(config);
    g_assert_cmpuint(g_strv_length(types), ==, 1);
    g_assert_cmpstr(types[0], ==, "instance-type x1.big");
    g_assert_cmpint(virga_config_int(config, types[0], "memory-mib"), ==, 1048576);
}

/* Names of devices are made of it: it must never change. */
static void
test_tag(Folder *folder, gconstpointer data)
{
    static const char *const tags[][2] = { { "/var/lib/virga", "vga" },
                                           { "/var/lib/virga/", "vga" },
                                           { "/srv/../var/lib/virga", "vga" },
                                           { "/tmp/a", "lbi" },
                                           { "/tmp/b", "mbi" } };

    for (size_t i = 0; i < G_N_ELEMENTS(tags); i++) {
        g_autoptr(VirgaConfig) config = virga_config_load("/nonexistent", tags[i][0], NULL);

        g_assert_cmpstr(virga_config_tag(config), ==, tags[i][1]);
    }
}

/* The printed page is the manual of the file: every key, and it agrees with the parser. */
static void
test_describe(Folder *folder, gconstpointer data)
{
    g_autofree char *page = virga_config_describe();

    g_assert_nonnull(strstr(page, "\n## [cloud]\n"));
    g_assert_nonnull(strstr(page, "\n## [instance-type NAME]\n"));
    g_assert_nonnull(strstr(page, "| `region` | `us-east-1` |"));
    g_assert_nonnull(strstr(page, "| `dsn` |  |"));
}

/* Each daemon's own keys, by their values: a default that is written down changes nothing. */
static void
test_changes(Folder *folder, gconstpointer data)
{
    static const struct {
        const char *text, *virgad, *node;
    } rows[] = {
        { "[node]\nzone = a\n[cloud]\naccount = 123456789012\n", NULL, NULL },
        { "[node]\nzone = b\nworkers = 9\n", NULL, "[node] zone, [node] workers" },
        { "[api]\ndebug = true\n", "[api] debug", NULL },
        { "[network]\npublic-pool = 10.1.0.0/24\nmtu = 1400\n", "[network] public-pool",
          "[network] public-pool, [network] mtu" },
        { "[instance-type x]\nvcpus = 1\nmemory-mib = 9\n",
          "[instance-type x] vcpus, [instance-type x] memory-mib, [instance-type x] bandwidth-mbit",
          NULL },
    };
    g_autoptr(VirgaConfig) defaults = virga_config_load(folder->file, folder->directory, NULL);
    const VirgaConfigReader readers[] = { VIRGA_CONFIG_VIRGAD, VIRGA_CONFIG_NODE };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++)
        for (size_t r = 0; r < G_N_ELEMENTS(readers); r++) {
            g_autoptr(VirgaConfig) config = NULL;
            g_autofree char *former = virga_config_print(defaults, readers[r]);
            g_autofree char *changes = NULL, *back = NULL, *then = NULL;

            put(folder->file, rows[i].text);
            config = virga_config_load(folder->file, folder->directory, NULL);
            changes = virga_config_changes(config, readers[r], former);
            g_assert_cmpstr(changes, ==, r ? rows[i].node : rows[i].virgad);
            then = virga_config_print(config, readers[r]);
            back = virga_config_changes(defaults, readers[r], then);
            g_assert_cmpstr(back, ==, changes);
        }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function)                                                                        \
    g_test_add("/config/" name, Folder, NULL, folder_set_up, function, folder_tear_down)
    ADD("defaults", test_defaults);
    ADD("layers", test_layers);
    ADD("quotas", test_quotas);
    ADD("refused", test_refused);
    ADD("changes", test_changes);
    ADD("types", test_types);
    ADD("tag", test_tag);
    ADD("describe", test_describe);
    return g_test_run();
}
