/* SPDX-License-Identifier: Apache-2.0 */
#include "core/daemon.h"

#include "core/log.h"

#include <malloc.h>
#include <signal.h>

/* Memory of a large answer serves the next one too: taking it from the system anew costs more than
 * filling it.  What was not needed for a while goes back. */
#define HEAPS       2 /* not one for each thread */
#define KEPT_BYTES  (16 << 20)
#define GIVE_BACK_S 5

static gpointer
give_back(gpointer data)
{
    for (;;) {
        g_usleep(GIVE_BACK_S * G_USEC_PER_SEC);
        malloc_trim(0);
    }
    return NULL;
}

static void
set_up_memory(void)
{
    mallopt(M_ARENA_MAX, HEAPS);
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
    mallopt(M_TRIM_THRESHOLD, 2 * KEPT_BYTES);
    g_thread_unref(g_thread_new("memory", give_back, NULL));
}

VirgaConfig *
virga_daemon_begin(int argc, char **argv, const char *name, const char *purpose, int *ret_status)
{
    g_autofree char *state = NULL, *file = NULL;
    gboolean version = FALSE;
    GOptionEntry entries[] = {
        { "state", 0, 0, G_OPTION_ARG_FILENAME, &state, "State directory", "DIR" },
        { "config", 0, 0, G_OPTION_ARG_FILENAME, &file, "Configuration file", "FILE" },
        { "version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version", NULL },
        { NULL },
    };
    g_autoptr(GOptionContext) context = g_option_context_new(purpose);
    g_autoptr(GError) error = NULL;
    VirgaConfig *config;

    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error) || argc > 1) {
        g_printerr("%s: %s\n", name, error ? error->message : "too many arguments");
        *ret_status = 2;
        return NULL;
    }
    if (version) {
        g_print("%s %s\n", name, VIRGA_VERSION);
        *ret_status = 0;
        return NULL;
    }
    config = virga_config_load(file ? file : VIRGA_CONFIG_PATH, state ? state : VIRGA_STATE_PATH,
                               &error);
    if (!config) {
        g_printerr("%s: %s\n", name, error->message);
        *ret_status = 1;
        return NULL;
    }
    signal(SIGPIPE, SIG_IGN);
    set_up_memory();
    virga_log_init(name, virga_config_bool(config, "api", "debug"));
    return config;
}
