/* SPDX-License-Identifier: Apache-2.0 */
/* Compares a whole text with a file under tests/golden/; VIRGA_TEST_REGENERATE=1 rewrites it.
 * The build defines GOLDEN_DIRECTORY. */
#pragma once

#include <glib.h>
#include <string.h>

static inline void
golden_assert(const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(GOLDEN_DIRECTORY, name, NULL);
    g_autofree char *want = NULL;
    g_autoptr(GError) error = NULL;

    if (g_getenv("VIRGA_TEST_REGENERATE")) {
        g_file_set_contents(path, text, -1, &error);
        g_assert_no_error(error);
        return;
    }
    g_file_get_contents(path, &want, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(text, ==, want);
}
