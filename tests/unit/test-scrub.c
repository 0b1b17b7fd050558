/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/scrub.h"

#include "core/error.h"
#include "storage/hash.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTES (3 * (1 << 20) + 17)
#define DAY_S (24 * 3600)

static const VirgaScrubPace fast = { .bytes_per_s = 1ll << 40 };

typedef struct {
    char *directory;
} Fixture;

static char *
path_of(const Fixture *fixture, const char *name)
{
    return g_build_filename(fixture->directory, name, NULL);
}

static void
put(const Fixture *fixture, const char *name)
{
    g_autofree char *path = path_of(fixture, name);
    g_autofree char *text = g_strnfill(BYTES, 'x');

    g_assert_true(g_file_set_contents(path, text, BYTES, NULL));
}

/* One bit rots: nothing but the content changes. */
static void
flip(const Fixture *fixture, const char *name, off_t at)
{
    g_autofree char *path = path_of(fixture, name);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat status;
    guint8 byte;

    g_assert_cmpint(fstat(fd, &status), ==, 0);
    g_assert_cmpint(pread(fd, &byte, 1, at), ==, 1);
    byte ^= 0x10;
    g_assert_cmpint(pwrite(fd, &byte, 1, at), ==, 1);
    g_assert_cmpint(fsync(fd), ==, 0);
    g_assert_cmpint(futimens(fd, (const struct timespec[]){ status.st_atim, status.st_mtim }), ==,
                    0);
    close(fd);
}

static void
set_up(Fixture *fixture, gconstpointer data)
{
    g_autofree char *pattern = g_build_filename(g_get_tmp_dir(), "virga-scrub-XXXXXX", NULL);

    fixture->directory = g_strdup(g_mkdtemp(pattern));
    put(fixture, "snap-a.qcow2");
    put(fixture, "snap-b.qcow2");
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GDir) files = g_dir_open(fixture->directory, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(files))) {
        g_autofree char *path = path_of(fixture, name);

        g_unlink(path);
    }
    g_rmdir(fixture->directory);
    g_free(fixture->directory);
}

static VirgaScrubOutcome
look(const Fixture *fixture, gint64 age_s, const char *id)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *found = NULL;
    VirgaScrubOutcome outcome;

    g_assert_true(virga_scrub_next(fixture->directory, age_s, &fast, &outcome, &found, &error));
    g_assert_no_error(error);
    if (id)
        g_assert_cmpstr(found, ==, id);
    return outcome;
}

static void
test_read(Fixture *fixture, gconstpointer data)
{
    g_autofree char *path = path_of(fixture, "snap-a.qcow2");
    g_autoptr(GError) error = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char slow[65], quick[65];

    g_assert_true(virga_scrub_read(path, &fast, slow, &error));
    g_assert_true(virga_file_sha256(fd, quick, NULL));
    g_assert_cmpstr(slow, ==, quick);
    close(fd);
    g_unlink(path);
    g_assert_false(virga_scrub_read(path, &fast, slow, &error));
    g_assert_true(virga_error_is(error, "file", VIRGA_ERROR_NOT_FOUND));
}

static bool
count_down(gpointer data)
{
    return --*(int *) data > 0;
}

/* It is slow, and ends when it shall. */
static void
test_pace(Fixture *fixture, gconstpointer data)
{
    g_autofree char *path = path_of(fixture, "snap-a.qcow2");
    VirgaScrubPace pace = { .bytes_per_s = BYTES * 4 };
    gint64 begun = g_get_monotonic_time();
    g_autoptr(GError) error = NULL;
    int times = 3;
    char hex[65];

    g_assert_true(virga_scrub_read(path, &pace, hex, &error));
    g_assert_cmpint(g_get_monotonic_time() - begun, >=, G_USEC_PER_SEC / 4);
    pace = (VirgaScrubPace){ .bytes_per_s = 1, .go_on = count_down, .data = &times };
    g_assert_false(virga_scrub_read(path, &pace, hex, &error));
    g_assert_true(virga_error_is(error, "file", VIRGA_ERROR_STATE));
}

static void
test_rounds(Fixture *fixture, gconstpointer data)
{
    g_assert_cmpint(look(fixture, DAY_S, NULL), ==, VIRGA_SCRUB_SOUND);
    g_assert_cmpint(look(fixture, DAY_S, NULL), ==, VIRGA_SCRUB_SOUND);
    g_assert_cmpint(look(fixture, DAY_S, NULL), ==, VIRGA_SCRUB_IDLE); /* it remembers */
    g_assert_cmpint(look(fixture, 0, NULL), ==, VIRGA_SCRUB_SOUND);
}

static void
test_damage(Fixture *fixture, gconstpointer data)
{
    g_auto(GStrv) damaged = NULL, gone = NULL;
    g_autofree char *path = path_of(fixture, "snap-a.qcow2");
    g_autofree char *sum = path_of(fixture, "snap-a.sum");
    int found = 0;

    look(fixture, DAY_S, NULL);
    look(fixture, DAY_S, NULL);
    flip(fixture, "snap-a.qcow2", BYTES - 3);
    for (int i = 0; i < 2; i++)
        found += look(fixture, 0, NULL) == VIRGA_SCRUB_DAMAGED;
    g_assert_cmpint(found, ==, 1);
    g_assert_true(virga_scrub_is_damaged(fixture->directory, "snap-a"));
    g_assert_false(virga_scrub_is_damaged(fixture->directory, "snap-b"));
    damaged = virga_scrub_damaged(fixture->directory);
    g_assert_cmpuint(g_strv_length(damaged), ==, 1);
    g_assert_cmpstr(damaged[0], ==, "snap-a");
    g_unlink(path);
    gone = virga_scrub_damaged(fixture->directory);
    g_assert_cmpuint(g_strv_length(gone), ==, 0);
    g_assert_false(g_file_test(sum, G_FILE_TEST_EXISTS));
}

/* One that was made anew is another file. */
static void
test_anew(Fixture *fixture, gconstpointer data)
{
    g_autofree char *path = path_of(fixture, "snap-a.qcow2");
    g_autofree char *other = path_of(fixture, "new");

    look(fixture, DAY_S, NULL);
    look(fixture, DAY_S, NULL);
    g_assert_true(g_file_set_contents(other, "other content", -1, NULL));
    g_assert_cmpint(rename(other, path), ==, 0);
    g_assert_cmpint(look(fixture, DAY_S, "snap-a"), ==, VIRGA_SCRUB_SOUND);
    g_assert_cmpint(look(fixture, DAY_S, NULL), ==, VIRGA_SCRUB_IDLE);
}

/* A record that is no record is none. */
static void
test_record(Fixture *fixture, gconstpointer data)
{
    static const char *const texts[] = { "", "x", "zz 1 2 3 4", "\xff\xfe\n" };
    g_autofree char *sum = path_of(fixture, "snap-a.sum");

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_assert_true(g_file_set_contents(sum, texts[i], -1, NULL));
        look(fixture, DAY_S, NULL);
    }
    g_assert_false(virga_scrub_is_damaged(fixture->directory, "snap-a"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/scrub/read", Fixture, NULL, set_up, test_read, tear_down);
    g_test_add("/scrub/pace", Fixture, NULL, set_up, test_pace, tear_down);
    g_test_add("/scrub/rounds", Fixture, NULL, set_up, test_rounds, tear_down);
    g_test_add("/scrub/damage", Fixture, NULL, set_up, test_damage, tear_down);
    g_test_add("/scrub/anew", Fixture, NULL, set_up, test_anew, tear_down);
    g_test_add("/scrub/record", Fixture, NULL, set_up, test_record, tear_down);
    return g_test_run();
}
