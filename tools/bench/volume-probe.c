/* SPDX-License-Identifier: Apache-2.0 */
/* The local driver of volumes by itself.
 *
 *   volume-probe DIRECTORY make IMAGE COUNT   milliseconds for each of COUNT volumes made of an
 *                                             image that the host has already
 *   volume-probe DIRECTORY list COUNT         milliseconds of CPU to list as many volumes, and to
 *                                             look at each as a host does that begins */
#include "core/process.h"
#include "storage/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define SNAPSHOT "snap-08000000000000001"
#define QEMU_MS  600000

static void
or_die(bool done, GError *error)
{
    if (!done) {
        fprintf(stderr, "volume-probe: %s\n", error ? error->message : "failed");
        exit(1);
    }
}

static bool
fetch(const char *snapshot_id, const char *path, gpointer data, GError **error)
{
    const char *argv[] = { "cp", "--sparse=always", data, path, NULL };

    (void) snapshot_id;
    return virga_process_run(argv, NULL, QEMU_MS, NULL, error);
}

static double
cpu_ms(void)
{
    double total = 0;

    for (int who = RUSAGE_CHILDREN; who <= RUSAGE_SELF; who++) {
        struct rusage used;

        getrusage(who, &used);
        total += (double) (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e3 +
                 (double) (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e3;
    }
    return total;
}

static char *
name_of(int number)
{
    return g_strdup_printf("vol-%017x", number + 1);
}

static void
make(VirgaVolumeDriver *driver, char *image, int count)
{
    g_autoptr(GError) error = NULL;
    VirgaSnapshotFile file = { .id = (char *) SNAPSHOT };
    const VirgaSnapshotFile *files[] = { &file };
    struct stat there;

    or_die(stat(image, &there) == 0, NULL);
    file.bytes = there.st_size;
    for (int i = -1; i < count; i++) { /* the first one brings the image */
        g_autofree char *id = name_of(i);
        VirgaVolumeWish wish = { .id = id, .size_gib = 16, .files = files, .file_count = 1 };
        gint64 start = g_get_monotonic_time();

        or_die(driver->create(driver, &wish, &error), error);
        if (i >= 0)
            printf("%.2f\n", (double) (g_get_monotonic_time() - start) / 1e3);
    }
}

static void
list(VirgaVolumeDriver *driver, const char *directory, int count)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) ids = NULL;
    g_autofree char *first = name_of(0);
    g_autofree char *volumes = g_build_filename(directory, "volumes", NULL);
    VirgaVolumeWish wish = { .id = first, .size_gib = 16 };
    double start;

    or_die(driver->create(driver, &wish, &error), error);
    for (int i = 1; i < count; i++) { /* all the same: their making is not what is measured */
        g_autofree char *id = name_of(i);
        g_autofree char *from = g_strdup_printf("%s/%s.qcow2", volumes, first);
        g_autofree char *to = g_strdup_printf("%s/%s.qcow2", volumes, id);
        g_autofree char *bytes = NULL;
        gsize size;

        or_die(g_file_get_contents(from, &bytes, &size, &error) &&
                   g_file_set_contents_full(to, bytes, (gssize) size, G_FILE_SET_CONTENTS_NONE,
                                            0600, &error),
               error);
    }
    start = cpu_ms();
    ids = driver->list(driver, &error);
    or_die(ids && g_strv_length(ids) == (guint) count, error);
    for (char **id = ids; *id; id++) {
        g_autofree char *path = NULL, *below = NULL;
        bool there;

        or_die(driver->inspect(driver, *id, &there, &error) && there &&
                   driver->surplus(driver, *id, &path, &below, &error),
               error);
    }
    printf("%.2f\n", cpu_ms() - start);
}

int
main(int argc, char **argv)
{
    bool makes = argc == 5 && strcmp(argv[2], "make") == 0;
    VirgaVolumeDriver *driver;
    guint64 count;

    if ((!makes && (argc != 4 || strcmp(argv[2], "list") != 0)) ||
        !g_ascii_string_to_unsigned(argv[argc - 1], 10, 1, 100000, &count, NULL)) {
        fprintf(stderr, "usage: volume-probe DIRECTORY make IMAGE COUNT | list COUNT\n");
        return 2;
    }
    driver = virga_volume_local_new(argv[1], 0, fetch, makes ? argv[3] : NULL);
    if (makes)
        make(driver, argv[3], (int) count);
    else
        list(driver, argv[1], (int) count);
    driver->free(driver);
    return 0;
}
