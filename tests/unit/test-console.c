/* SPDX-License-Identifier: Apache-2.0 */
/* virga-node and the console of one guest, whose hypervisor is the test. */
#include "node-priv.h"

#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>

#define GUEST "i-08000000000000001"
#define MIB   (1 << 20)

typedef struct {
    char *directory, *path;
    VirgaConfig *config;
    VirgaHttpClient *virgad;
    VirgaNode *node;
    Guest *guest;
} Fixture;

static void
do_nothing(gpointer item, gpointer data)
{
}

static void
set_up(Fixture *f, gconstpointer data)
{
    VirgaNodeSettings settings = { .host_id = "h-08000000000000001", .host_name = "host" };

    f->directory = g_dir_make_tmp("virga-console-XXXXXX", NULL);
    f->config = virga_config_load("/nonexistent", f->directory, NULL);
    f->virgad = virga_http_client_new("unix:/nonexistent");
    settings.config = f->config;
    settings.directory = f->directory;
    settings.virgad = f->virgad;
    f->node = virga_node_new(&settings);
    f->node->guest_pool = g_thread_pool_new(do_nothing, NULL, 1, FALSE, NULL);
    f->node->vpc_pool = g_thread_pool_new(do_nothing, NULL, 1, FALSE, NULL);
    f->guest = g_new0(Guest, 1);
    f->guest->id = g_strdup(GUEST);
    g_hash_table_insert(f->node->guests, f->guest->id, f->guest);
    f->path = node_console_path(f->node, GUEST);
}

static void
tear_down(Fixture *f, gconstpointer data)
{
    g_autofree char *wish = g_build_filename(f->directory, "wish.json", NULL);
    g_autofree char *consoles = g_path_get_dirname(f->path);

    g_hash_table_remove_all(f->node->guests);
    virga_node_free(f->node);
    virga_http_client_free(f->virgad);
    virga_config_unref(f->config);
    g_unlink(wish);
    g_unlink(f->path);
    g_rmdir(consoles);
    g_assert_cmpint(g_rmdir(f->directory), ==, 0);
    g_free(f->path);
    g_free(f->directory);
}

static void
print(Fixture *f, const char *text, gsize size)
{
    FILE *file = fopen(f->path, "a");

    g_assert_cmpuint(fwrite(text, 1, size, file), ==, size);
    fclose(file);
}

/* What is reported within the time that a guest may have to wait; it counts as reported. */
static char *
reported(Fixture *f)
{
    char *text;
    gsize size;

    for (int i = 0; i < 200 && !f->guest->console; i++) {
        g_usleep(10000);
        node_probe_consoles(f->node);
    }
    g_assert_nonnull(f->guest->console);
    g_assert_true(f->guest->dirty);
    f->guest->dirty = false;
    text = (char *) g_base64_decode(f->guest->console, &size);
    text = g_realloc(text, size + 1);
    text[size] = '\0';
    g_clear_pointer(&f->guest->console, g_free);
    return text;
}

static void
test_reports(Fixture *f, gconstpointer data)
{
    g_autofree char *first = NULL, *second = NULL, *last = NULL;

    node_probe_consoles(f->node); /* there is no file yet */
    g_assert_null(f->guest->console);
    print(f, "one ", 4);
    node_probe_consoles(f->node);
    first = reported(f);
    g_assert_cmpstr(first, ==, "one ");
    node_probe_consoles(f->node);
    g_assert_null(f->guest->console); /* nothing new */
    print(f, "two ", 4);
    node_probe_consoles(f->node);
    g_assert_null(f->guest->console); /* too soon */
    second = reported(f);
    g_assert_cmpstr(second, ==, "one two ");
    print(f, "three", 5);
    node_read_console(f->node, GUEST, true);
    last = reported(f);
    g_assert_cmpstr(last, ==, "one two three");
    g_hash_table_remove_all(f->node->guests);
    node_probe_consoles(f->node);
    g_assert_cmpuint(g_hash_table_size(f->node->consoles), ==, 0);
}

/* The file takes little room for ever, and its end is what was printed last. */
static void
test_bounded(Fixture *f, gconstpointer data)
{
    g_autofree char *much = g_malloc(MIB);
    GStatBuf status;

    memset(much, 'x', MIB);
    for (int i = 0; i < 4; i++) {
        g_autofree char *end = NULL;

        print(f, much, MIB);
        print(f, "end", 3);
        node_read_console(f->node, GUEST, true);
        end = reported(f);
        g_assert_cmpuint(strlen(end), ==, 65536);
        g_assert_true(g_str_has_suffix(end, "xend"));
        g_assert_cmpint(g_stat(f->path, &status), ==, 0);
        g_assert_cmpint(status.st_blocks * 512, <=, MIB);
        print(f, "after", 5);
        node_read_console(f->node, GUEST, true);
        g_free(end);
        end = reported(f);
        g_assert_true(g_str_has_suffix(end, "xendafter"));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/console/reports", Fixture, NULL, set_up, test_reports, tear_down);
    g_test_add("/console/bounded", Fixture, NULL, set_up, test_bounded, tear_down);
    return g_test_run();
}
