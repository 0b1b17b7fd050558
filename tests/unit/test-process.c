/* SPDX-License-Identifier: Apache-2.0 */
#include "core/process.h"

#include "core/error.h"

#include <string.h>

static void
test_output(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *output = NULL;
    const char *argv[] = { "cat", NULL };

    g_assert_true(virga_process_run(argv, "a line\n", 10000, &output, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(output, ==, "a line\n");
}

/* More than a pipe holds, both ways at once: neither side may block the other for ever. */
static void
test_large(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *input = g_strnfill(1 << 20, 'x');
    g_autofree char *output = NULL;
    const char *argv[] = { "cat", NULL };

    g_assert_true(virga_process_run(argv, input, 20000, &output, &error));
    g_assert_cmpuint(strlen(output), ==, 1 << 20);
}

static void
test_failure(void)
{
    g_autoptr(GError) error = NULL;
    const char *argv[] = { "sh", "-c", "echo first >&2; echo the reason >&2; exit 3", NULL };

    g_assert_false(virga_process_run(argv, NULL, 10000, NULL, &error));
    g_assert_true(virga_error_is(error, "process", VIRGA_ERROR_INTERNAL));
    g_assert_nonnull(strstr(error->message, "the reason"));
}

static void
test_deadline(void)
{
    g_autoptr(GError) error = NULL;
    const char *argv[] = { "sleep", "600", NULL };

    g_assert_false(virga_process_run(argv, NULL, 50, NULL, &error));
    g_assert_nonnull(strstr(error->message, "did not finish"));
}

static void
test_missing(void)
{
    g_autoptr(GError) error = NULL;
    const char *argv[] = { "virga-no-such-program", NULL };

    g_assert_false(virga_process_run(argv, NULL, 10000, NULL, &error));
    g_assert_nonnull(strstr(error->message, "virga-no-such-program"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/process/output", test_output);
    g_test_add_func("/process/large", test_large);
    g_test_add_func("/process/failure", test_failure);
    g_test_add_func("/process/deadline", test_deadline);
    g_test_add_func("/process/missing", test_missing);
    return g_test_run();
}
