/* SPDX-License-Identifier: Apache-2.0 */
/* Prints docs/configuration.md, or the example of the configuration file. */
#include "core/config.h"

#include <string.h>

int
main(int argc, char **argv)
{
    g_autofree char *text = NULL;

    if (argc != 2 || (!g_str_equal(argv[1], "page") && !g_str_equal(argv[1], "example"))) {
        g_printerr("Usage: describe page|example\n");
        return 2;
    }
    text = g_str_equal(argv[1], "page") ? virga_config_describe() : virga_config_example();
    g_print("%s", text);
    return 0;
}
