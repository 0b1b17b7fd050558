/* SPDX-License-Identifier: Apache-2.0 */
/* Drivers whose libraries are too heavy for everybody are modules. */
#include "storage/driver.h"

#include "core/error.h"

#include <dlfcn.h>
#include <glib/gstdio.h>

#define RBD_MODULE "virga-rbd.so"

typedef VirgaVolumeDriver *(*NewRbd)(const VirgaRbdSettings *settings, GError **error);

/* In the folder that a program was built in, if it was not installed. */
static char *
module_path(const char *name)
{
    static const char *const folders[] = { "../storage", "../../storage" };
    g_autofree char *program = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *here = program ? g_path_get_dirname(program) : g_strdup("/");

    for (size_t i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *path = g_build_filename(here, folders[i], name, NULL);

        if (g_access(path, R_OK) == 0)
            return g_steal_pointer(&path);
    }
    return g_build_filename(VIRGA_MODULE_DIR, name, NULL);
}

VirgaVolumeDriver *
virga_volume_rbd_load(const VirgaRbdSettings *settings, GError **error)
{
    g_autofree char *path = module_path(RBD_MODULE);
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* and stays */
    NewRbd make = module ? (NewRbd) dlsym(module, "virga_volume_rbd_new") : NULL;

    if (make)
        return make(settings, error);
    virga_fail(error, "volume", VIRGA_ERROR_UNSUPPORTED,
               "volumes in Ceph cannot be used here (pool \"%s\"): %s", settings->pool, dlerror());
    return NULL;
}
