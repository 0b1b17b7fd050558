/* SPDX-License-Identifier: Apache-2.0 */
#include "core/process.h"

#include "core/error.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

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

/* ---- confined ---- */

static int
open_source(const char *text, char **ret_path)
{
    int fd = g_file_open_tmp("virga-confined-XXXXXX", ret_path, NULL);

    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(write(fd, text, strlen(text)), ==, (gssize) strlen(text));
    return fd;
}

/* What a shell line says when it is run confined, and whether it succeeds. */
static bool
run_confined(const char *line, const char *output, gint64 file_bytes, char **ret_said,
             GError **error)
{
    const char *argv[] = { "sh", "-c", line, NULL };
    g_autofree char *path = NULL;
    int fd = open_source("the source", &path);
    VirgaConfinement confinement = { .source = fd,
                                     .output = output,
                                     .memory_bytes = 1ll << 40, /* ASan's shadow is large */
                                     .file_bytes = file_bytes,
                                     .cpu_s = 60 };
    bool done = virga_process_run_confined(argv, &confinement, 20000, ret_said, error);

    unlink(path);
    close(fd);
    return done;
}

static void
test_confined_source(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *said = NULL;

    g_assert_true(run_confined("cat " VIRGA_CONFINED_PATH, NULL, 0, &said, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(said, ==, "the source");
}

static void
test_confined_output(void)
{
    g_autofree char *path = NULL, *written = NULL;
    g_autofree char *line = NULL, *beside = NULL;
    g_autoptr(GError) error = NULL;
    int fd = open_source("older and longer", &path);

    close(fd);
    line = g_strdup_printf("echo new > %s", path);
    g_assert_true(run_confined(line, path, 4096, NULL, &error));
    g_assert_no_error(error);
    g_assert_true(g_file_get_contents(path, &written, NULL, NULL));
    g_assert_cmpstr(written, ==, "new\n");
    beside = g_strdup_printf("echo new > %s.beside", path);
    g_assert_false(run_confined(beside, path, 4096, NULL, NULL));
    g_clear_error(&error);
    g_free(line);
    line = g_strdup_printf("head -c 9000 /dev/urandom > %s", path);
    g_assert_false(run_confined(line, path, 4096, NULL, &error));
    g_assert_true(virga_error_is(error, "process", VIRGA_ERROR_CAPACITY));
    unlink(path);
}

static void
test_confined_refuses(void)
{
    static const char *const lines[] = { "cat /etc/passwd", "ls /", "echo x > " VIRGA_CONFINED_PATH,
                                         "kill -0 $PPID", "unshare -U true" };
    long landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);

    if (landlock < 1) {
        g_test_skip("no Landlock in this kernel");
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++)
        if (run_confined(lines[i], NULL, 4096, NULL, NULL))
            g_error("\"%s\" was possible", lines[i]);
}

static bool
on_watch(const char *output, gpointer data)
{
    return ++*(int *) data < 3;
}

static void
test_confined_watch(void)
{
    const char *argv[] = { "sleep", "600", NULL };
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    int fd = open_source("x", &path), times = 0;
    VirgaConfinement confinement = {
        .source = fd, .memory_bytes = 1ll << 40, .cpu_s = 60, .watch = on_watch, .data = &times
    };

    g_assert_false(virga_process_run_confined(argv, &confinement, 20000, NULL, &error));
    g_assert_true(virga_error_is(error, "process", VIRGA_ERROR_STATE));
    unlink(path);
    close(fd);
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
    g_test_add_func("/process/confined/source", test_confined_source);
    g_test_add_func("/process/confined/output", test_confined_output);
    g_test_add_func("/process/confined/refuses", test_confined_refuses);
    g_test_add_func("/process/confined/watch", test_confined_watch);
    return g_test_run();
}
