/* SPDX-License-Identifier: Apache-2.0 */
/* Layers of volumes as files: what a snapshot holds, what goes to the store, and what comes of it
 * again. */
#include "storage/driver.h"

#include "shell.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define VOLUME      "vol-08000000000000001"
#define OTHER       "vol-08000000000000002"
#define FIRST       "snap-08000000000000001"
#define SECOND      "snap-08000000000000002"
#define THIRD       "snap-08000000000000003"
#define SOURCE      "snap-0800000000000000f"
#define WRITER_BYTE 101

typedef struct {
    char *folder, *store;
    VirgaVolumeDriver *driver, *elsewhere; /* another host's */
    VirgaSnapshotFile files[4];
    const VirgaSnapshotFile *listed[4];
    size_t file_count;
} Fixture;

static bool
fetch(const char *snapshot_id, const char *path, gpointer data, GError **error)
{
    RUN("cp %s/%s %s", ((Fixture *) data)->store, snapshot_id, path);
    return true;
}

static void
set_up(Fixture *fixture, gconstpointer data)
{
    g_autofree char *elsewhere = NULL;

    fixture->folder = g_dir_make_tmp("virga-layers-XXXXXX", NULL);
    fixture->store = g_build_filename(fixture->folder, "store", NULL);
    elsewhere = g_build_filename(fixture->folder, "elsewhere", NULL);
    g_mkdir(fixture->store, 0700);
    fixture->driver = virga_volume_local_new(fixture->folder, 0, fetch, fixture);
    fixture->elsewhere = virga_volume_local_new(elsewhere, 0, fetch, fixture);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    fixture->driver->free(fixture->driver);
    fixture->elsewhere->free(fixture->elsewhere);
    RUN("rm -r %s", fixture->folder);
    g_free(fixture->folder);
    g_free(fixture->store);
}

static void
create(Fixture *fixture, VirgaVolumeDriver *driver, const char *id)
{
    VirgaVolumeWish wish = {
        .id = id, .size_gib = 1, .files = fixture->listed, .file_count = fixture->file_count
    };
    g_autoptr(GError) error = NULL;

    driver->create(driver, &wish, &error);
    g_assert_no_error(error);
}

/* A snapshot's file, as the store lists it above those before. */
static void
list_file(Fixture *fixture, const char *id)
{
    g_autofree char *path = g_build_filename(fixture->store, id, NULL);
    VirgaSnapshotFile *file = &fixture->files[fixture->file_count];
    struct stat status;

    g_assert_cmpint(stat(path, &status), ==, 0);
    *file = (VirgaSnapshotFile){ .id = (char *) id, .bytes = status.st_size };
    fixture->listed[fixture->file_count++] = file;
}

static char *
path_of(VirgaVolumeDriver *driver, const char *id)
{
    g_autoptr(VirgaVolumeSource) source = driver->source(driver, id, NULL);

    g_assert_cmpint(source->kind, ==, VIRGA_SOURCE_FILE);
    return g_strdup(source->name);
}

static void
write_at(Fixture *fixture, int mib, int pattern)
{
    g_autofree char *path = path_of(fixture->driver, VOLUME);

    RUN("qemu-io -f qcow2 -c 'write -P %d %dM 1M' %s", pattern, mib, path);
}

/* What the volume's guest would read. */
static char *
hash(VirgaVolumeDriver *driver, const char *id)
{
    g_autofree char *path = path_of(driver, id);

    return shell("qemu-img convert -O raw %s %s.raw; head -c 8M %s.raw | sha256sum; rm %s.raw",
                 path, path, path, path);
}

static VirgaSnapshotWish
snapshot_of(const char *id, const char *parent_id)
{
    return (VirgaSnapshotWish){
        .id = id, .volume_id = VOLUME, .parent_id = parent_id, .parent_file = parent_id
    };
}

static bool
is_cut(Fixture *fixture, const char *id)
{
    VirgaSnapshotWish snapshot = snapshot_of(id, NULL);
    g_autoptr(GError) error = NULL;
    bool cut;

    fixture->driver->is_cut(fixture->driver, &snapshot, &cut, &error);
    g_assert_no_error(error);
    return cut;
}

static void
cut(Fixture *fixture, const char *id)
{
    VirgaSnapshotWish snapshot = snapshot_of(id, NULL);
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL, *again = NULL, *top = NULL;

    g_assert_false(is_cut(fixture, id));
    fixture->driver->begin_layer(fixture->driver, &snapshot, &path, &error);
    g_assert_no_error(error);
    g_assert_true(is_cut(fixture, id));
    fixture->driver->begin_layer(fixture->driver, &snapshot, &again, &error);
    g_assert_cmpstr(path, ==, again);
    top = path_of(fixture->driver, VOLUME);
    g_assert_cmpstr(path, ==, top);
}

/* Copies a snapshot to the store, as its only file or above those that are there; how many KiB. */
static gint64
copy(Fixture *fixture, const char *id, const char *parent_id, bool expect_whole, bool expect_made)
{
    VirgaSnapshotWish snapshot = snapshot_of(id, parent_id);
    g_autofree char *path = NULL, *size = NULL;
    g_autoptr(GError) error = NULL;
    bool whole, made;

    fixture->driver->begin_copy(fixture->driver, &snapshot, &path, &whole, &made, &error);
    g_assert_no_error(error);
    g_assert_true(whole == expect_whole && made == expect_made);
    RUN("cp --sparse=always %s %s/%s", path, fixture->store, id);
    size = shell("du -k --apparent-size %s/%s | cut -f1", fixture->store, id);
    fixture->driver->end_copy(fixture->driver, &snapshot);
    if (made)
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    list_file(fixture, id);
    return g_ascii_strtoll(size, NULL, 10);
}

/* Another host makes a volume of the listed files: it has what the snapshot had. */
static void
check_restored(Fixture *fixture, const char *expected)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *restored = NULL;

    create(fixture, fixture->elsewhere, OTHER);
    restored = hash(fixture->elsewhere, OTHER);
    g_assert_cmpstr(restored, ==, expected);
    fixture->elsewhere->delete (fixture->elsewhere, OTHER, &error);
    g_assert_no_error(error);
}

static void
test_chain(Fixture *fixture, gconstpointer data)
{
    g_autofree char *one = NULL, *two = NULL, *now = NULL, *still = NULL;

    create(fixture, fixture->driver, VOLUME);
    write_at(fixture, 1, 0x11);
    write_at(fixture, 2, 0x22);
    one = hash(fixture->driver, VOLUME);
    cut(fixture, FIRST);
    write_at(fixture, 2, 0x33);
    g_assert_cmpint(copy(fixture, FIRST, NULL, false, false), <, 3 * 1024);
    check_restored(fixture, one);
    two = hash(fixture->driver, VOLUME);
    cut(fixture, SECOND);
    write_at(fixture, 3, 0x44);
    g_assert_cmpint(copy(fixture, SECOND, FIRST, false, false), <, 1024 + 512);
    check_restored(fixture, two);
    now = hash(fixture->driver, VOLUME);
    g_assert_cmpstr(now, !=, two);
    still = hash(fixture->driver, VOLUME);
    g_assert_cmpstr(now, ==, still);
}

/* On a base image the first copy has only what differs from it, wherever the second one begins. */
static void
test_on_base(Fixture *fixture, gconstpointer data)
{
    g_autofree char *one = NULL, *two = NULL;

    RUN("qemu-img create -q -f qcow2 %s/" SOURCE " 1G; qemu-io -f qcow2 -c 'write -P 9 0 4M' "
        "%s/" SOURCE,
        fixture->store, fixture->store);
    list_file(fixture, SOURCE);
    create(fixture, fixture->driver, VOLUME);
    write_at(fixture, 1, 0x11);
    cut(fixture, FIRST);
    one = hash(fixture->driver, VOLUME);
    write_at(fixture, 5, 0x22);
    cut(fixture, SECOND);
    two = hash(fixture->driver, VOLUME);
    /* The first one was given up: the second one is all since the base. */
    g_assert_cmpint(copy(fixture, SECOND, SOURCE, false, true), <, 3 * 1024);
    check_restored(fixture, two);
    fixture->file_count = 1;
    g_assert_cmpint(copy(fixture, FIRST, SOURCE, false, false), <, 2 * 1024);
    RUN("rm %s/elsewhere/images/" SECOND ".qcow2", fixture->folder);
    check_restored(fixture, one);
    /* Without a parent it has all. */
    fixture->file_count = 0;
    g_assert_cmpint(copy(fixture, SECOND, NULL, false, true), >, 4 * 1024);
    check_restored(fixture, two);
}

static guint
count_layers(Fixture *fixture)
{
    g_autofree char *count = shell("ls %s/volumes/" VOLUME ".layers | wc -l", fixture->folder);

    return (guint) g_ascii_strtoull(count, NULL, 10);
}

static void
test_join(Fixture *fixture, gconstpointer data)
{
    static const char *const ids[] = { FIRST, SECOND, THIRD };
    g_autofree char *before = NULL, *after = NULL, *layer = NULL, *below = NULL;
    g_autoptr(GError) error = NULL;
    bool there;

    create(fixture, fixture->driver, VOLUME);
    for (int i = 0; i < 3; i++) {
        write_at(fixture, i, 0x11 + i);
        cut(fixture, ids[i]);
    }
    write_at(fixture, 1, 0x55);
    before = hash(fixture->driver, VOLUME);
    g_assert_cmpuint(count_layers(fixture), ==, 3);
    for (int i = 0; i < 4; i++) {
        fixture->driver->join(fixture->driver, VOLUME, &error);
        g_assert_no_error(error);
    }
    g_assert_cmpuint(count_layers(fixture), ==, 1);
    after = hash(fixture->driver, VOLUME);
    g_assert_cmpstr(before, ==, after);
    fixture->driver->surplus(fixture->driver, VOLUME, &layer, &below, &error);
    g_assert_no_error(error);
    g_assert_null(layer);
    /* The last moment is known still, the others are not. */
    g_assert_true(is_cut(fixture, THIRD));
    g_assert_false(is_cut(fixture, FIRST));
    cut(fixture, "snap-08000000000000004");
    copy(fixture, "snap-08000000000000004", FIRST, true, true);
    check_restored(fixture, before);
    fixture->driver->delete (fixture->driver, VOLUME, &error);
    g_assert_no_error(error);
    fixture->driver->inspect(fixture->driver, VOLUME, &there, &error);
    g_assert_false(there);
    g_free(shell("rmdir %s/volumes", fixture->folder)); /* nothing is left in it */
}

/* A hypervisor has joined the lowest two: their file goes when nothing stands on it. */
static void
test_joined_elsewhere(Fixture *fixture, gconstpointer data)
{
    g_autofree char *before = NULL, *after = NULL, *layer = NULL, *below = NULL, *rest = NULL;
    g_autoptr(GError) error = NULL;

    create(fixture, fixture->driver, VOLUME);
    write_at(fixture, 1, 0x11);
    cut(fixture, FIRST);
    write_at(fixture, 2, 0x22);
    cut(fixture, SECOND);
    before = hash(fixture->driver, VOLUME);
    fixture->driver->surplus(fixture->driver, VOLUME, &layer, &below, &error);
    g_assert_no_error(error);
    g_assert_nonnull(strstr(layer, FIRST));
    /* From now on nobody knows what was there at the first moment: it may be half joined. */
    copy(fixture, SECOND, FIRST, true, true);
    check_restored(fixture, before);
    RUN("qemu-img commit -q -d -f qcow2 -b %s %s; "
        "qemu-img rebase -u -f qcow2 -F qcow2 -b %s %s/volumes/" VOLUME ".layers/2." SECOND
        ".qcow2",
        below, layer, below, fixture->folder);
    fixture->driver->surplus(fixture->driver, VOLUME, &rest, &rest, &error);
    g_assert_no_error(error);
    g_assert_null(rest);
    g_assert_false(g_file_test(layer, G_FILE_TEST_EXISTS));
    after = hash(fixture->driver, VOLUME);
    g_assert_cmpstr(before, ==, after);
}

/* While somebody writes below it, the moment has not passed, whatever files there are. */
static void
test_written(Fixture *fixture, gconstpointer data)
{
    struct flock lock = {
        .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = WRITER_BYTE, .l_len = 1
    };
    VirgaSnapshotWish snapshot = snapshot_of(FIRST, NULL);
    g_autofree char *path = NULL, *layer = NULL;
    g_autoptr(GError) error = NULL;
    int fd;

    create(fixture, fixture->driver, VOLUME);
    path = path_of(fixture->driver, VOLUME);
    fd = open(path, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(fcntl(fd, F_OFD_SETLK, &lock), ==, 0);
    fixture->driver->begin_layer(fixture->driver, &snapshot, &layer, &error);
    g_assert_no_error(error);
    g_assert_false(is_cut(fixture, FIRST));
    close(fd);
    g_assert_true(is_cut(fixture, FIRST));
}

/* Long chains become short ones on the host that makes a volume of them. */
static void
test_long_chain(Fixture *fixture, gconstpointer data)
{
    VirgaSnapshotFile files[10] = { 0 };
    const VirgaSnapshotFile *listed[10];
    VirgaVolumeWish wish = { .id = OTHER, .size_gib = 1, .files = listed, .file_count = 10 };
    g_autofree char *depth = NULL, *bytes = NULL;
    g_autoptr(GError) error = NULL;

    for (int i = 0; i < 10; i++) {
        struct stat status;
        g_autofree char *path = NULL, *below = NULL;

        files[i].id = g_strdup_printf("snap-0800000000000001%d", i);
        path = g_build_filename(fixture->store, files[i].id, NULL);
        below = g_strdup_printf("-F qcow2 -b %s/%s", fixture->store, i ? files[i - 1].id : "");
        RUN("qemu-img create -q -f qcow2 %s %s 1G; qemu-io -f qcow2 -c 'write -P %d %dM 1M' %s",
            i ? below : "", path, i + 1, i, path);
        g_assert_cmpint(stat(path, &status), ==, 0);
        files[i].bytes = status.st_size;
        listed[i] = &files[i];
    }
    fixture->driver->create(fixture->driver, &wish, &error);
    g_assert_no_error(error);
    depth = shell("qemu-img info --backing-chain %s/volumes/" OTHER ".qcow2 | grep -c ^image:",
                  fixture->folder);
    g_assert_cmpstr(depth, ==, "4"); /* the volume, two, and eight that are one */
    bytes = shell("qemu-img convert -O raw %s/volumes/" OTHER ".qcow2 %s/raw; for i in 0 7 9; do "
                  "od -An -tu1 -j$((i << 20)) -N1 %s/raw; done | tr -d '\\n '",
                  fixture->folder, fixture->folder, fixture->folder);
    g_assert_cmpstr(bytes, ==, "1810");
    for (int i = 0; i < 10; i++)
        g_free(files[i].id);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function)                                                                        \
    g_test_add("/volume-layers/" name, Fixture, NULL, set_up, function, tear_down)
    ADD("chain", test_chain);
    ADD("on-base", test_on_base);
    ADD("join", test_join);
    ADD("joined-elsewhere", test_joined_elsewhere);
    ADD("written", test_written);
    ADD("long-chain", test_long_chain);
    return g_test_run();
}
