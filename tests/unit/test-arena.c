/* SPDX-License-Identifier: Apache-2.0 */
/* Memory with one lifetime, and the errors that every function fails with. */
#include "core/arena.h"

#include "core/error.h"

#include <errno.h>
#include <string.h>

static void
test_alloc(void)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    guint8 *pieces[300];

    g_assert_cmpuint(virga_arena_size(arena), ==, 0);
    g_assert_null(virga_arena_alloc(arena, 0, 8));
    for (size_t i = 0; i < G_N_ELEMENTS(pieces); i++) {
        pieces[i] = virga_arena_alloc(arena, i + 1, 7);
        g_assert_cmpuint((guintptr) pieces[i] % 16, ==, 0);
        for (size_t byte = 0; byte < (i + 1) * 7; byte++)
            g_assert_cmpuint(pieces[i][byte], ==, 0);
        memset(pieces[i], (int) (i % 251) + 1, (i + 1) * 7);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(pieces); i++) /* none lies in another */
        for (size_t byte = 0; byte < (i + 1) * 7; byte++)
            g_assert_cmpuint(pieces[i][byte], ==, (i % 251) + 1);
    g_assert_cmpuint(virga_arena_size(arena), >=, 300 * 301 / 2 * 7);
}

/* One that is larger than any block, then small ones. */
static void
test_large(void)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    char *large = virga_arena_alloc(arena, 3, 1 << 20);
    gsize size = virga_arena_size(arena);

    memset(large, 'x', 3 << 20);
    g_assert_cmpuint(size, <, (3 << 20) + 4096);
    g_assert_cmpstr(virga_arena_strdup(arena, "text"), ==, "text");
    g_assert_cmpint(large[(3 << 20) - 1], ==, 'x');
}

static void
test_overflow(void)
{
    if (g_test_subprocess()) {
        g_autoptr(VirgaArena) arena = virga_arena_new();
        virga_arena_alloc(arena, G_MAXSIZE / 4, 8);
        return;
    }
    g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*bytes asked*");
}

static void
test_text(void)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();

    g_assert_null(virga_arena_strdup(arena, NULL));
    g_assert_null(virga_arena_strndup(arena, NULL, 3));
    g_assert_cmpstr(virga_arena_strdup(arena, ""), ==, "");
    g_assert_cmpstr(virga_arena_strndup(arena, "abcdef", 3), ==, "abc");
    g_assert_cmpstr(virga_arena_printf(arena, "%s-%d", "a", 7), ==, "a-7");
    virga_arena_free(NULL);
}

static void
test_error(void)
{
    g_autoptr(GError) error = NULL, errnum = NULL, foreign = NULL;

    g_assert_false(virga_fail(NULL, "volume", VIRGA_ERROR_STATE, "unheard"));
    g_assert_false(virga_fail(&error, "volume", VIRGA_ERROR_IN_USE, "volume \"%s\"", "vol-1"));
    g_assert_cmpstr(error->message, ==, "volume \"vol-1\"");
    g_assert_cmpstr(virga_error_noun(error), ==, "volume");
    g_assert_true(virga_error_is(error, "volume", VIRGA_ERROR_IN_USE));
    g_assert_true(virga_error_is(error, NULL, VIRGA_ERROR_IN_USE));
    g_assert_false(virga_error_is(error, "instance", VIRGA_ERROR_IN_USE));
    g_assert_false(virga_error_is(error, "volume", VIRGA_ERROR_STATE));
    g_assert_false(virga_error_is(NULL, NULL, VIRGA_ERROR_STATE));

    g_assert_false(virga_fail_errno(&errnum, "host", ENOENT, "could not open \"%s\"", "x"));
    g_assert_true(virga_error_is(errnum, "host", VIRGA_ERROR_INTERNAL));
    g_assert_cmpstr(errnum->message, ==, "could not open \"x\": No such file or directory");

    /* A foreign error is none of ours, whatever its number is. */
    g_set_error(&foreign, G_FILE_ERROR, (int) VIRGA_ERROR_IN_USE, "foreign");
    g_assert_false(virga_error_is_ours(foreign));
    g_assert_false(virga_error_is(foreign, NULL, VIRGA_ERROR_IN_USE));
    g_assert_cmpstr(virga_error_noun(foreign), ==, "g-file-error-quark");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/arena/alloc", test_alloc);
    g_test_add_func("/arena/large", test_large);
    g_test_add_func("/arena/overflow", test_overflow);
    g_test_add_func("/arena/text", test_text);
    g_test_add_func("/error", test_error);
    return g_test_run();
}
