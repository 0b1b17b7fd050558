/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of storage/driver.h, held by every driver: one table of tests, run on each.
 *
 * What a guest would read and write goes through qemu-io and the driver's source.  A driver that
 * keeps no bytes is asked everything else.  Ceph is asked where VIRGA_TEST_RBD names a cluster:
 * "MONITORS USER KEYFILE POOL". */
#include "storage/driver.h"

#include "core/error.h"
#include "core/id.h"
#include "shell.h"

#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHAIN   10
#define THREADS 4
#define CRASH   "--crash" /* this program again, to die in the middle of something */

typedef struct Fixture Fixture;

typedef struct {
    const char *name;
    VirgaVolumeDriver *(*open)(Fixture *fixture, const char *directory);
    bool keeps_bytes;
} Kind;

struct Fixture {
    const Kind *kind;
    char *folder, *store, *here;
    VirgaVolumeDriver *driver, *elsewhere; /* another host's */
    char *volume_id, *other_id;
    VirgaSnapshotFile files[CHAIN];
    const VirgaSnapshotFile *listed[CHAIN];
    size_t file_count;
    int fetches; /* atomic */
    bool missing, dying;
};

/* ---- the drivers ---- */

static bool
fetch(const char *snapshot_id, const char *path, gpointer data, GError **error)
{
    Fixture *fixture = data;

    g_atomic_int_inc(&fixture->fetches);
    if (fixture->missing)
        return virga_fail(error, "volume", VIRGA_ERROR_NOT_FOUND, "no \"%s\"", snapshot_id);
    RUN("cp %s/%s %s", fixture->store, snapshot_id, path);
    if (fixture->dying)
        _exit(1);
    return true;
}

static VirgaVolumeDriver *
open_local(Fixture *fixture, const char *directory)
{
    return virga_volume_local_new(directory, 0, fetch, fixture);
}

static VirgaVolumeDriver *
open_fake(Fixture *fixture, const char *directory)
{
    return virga_volume_fake_new();
}

static VirgaVolumeDriver *
open_fake_moments(Fixture *fixture, const char *directory)
{
    VirgaVolumeDriver *driver = virga_volume_fake_new();

    virga_volume_fake_make_moments(driver);
    return driver;
}

static char **
ceph(void)
{
    const char *cluster = g_getenv("VIRGA_TEST_RBD");

    return cluster ? g_strsplit(cluster, " ", 4) : NULL;
}

static VirgaVolumeDriver *
open_rbd(Fixture *fixture, const char *directory)
{
    g_auto(GStrv) cluster = ceph();
    g_autofree char *host_id = virga_id_new("h");
    VirgaRbdSettings settings = { .monitors = cluster[0],
                                  .user = cluster[1],
                                  .key_file = cluster[2],
                                  .pool = cluster[3],
                                  .host_id = host_id,
                                  .scratch = directory,
                                  .fetch = fetch,
                                  .data = fixture };
    g_autoptr(GError) error = NULL;
    VirgaVolumeDriver *driver = virga_volume_rbd_load(&settings, &error);

    g_assert_no_error(error);
    return driver;
}

static const Kind kinds[] = {
    { "fake", open_fake, false },
    { "fake-moments", open_fake_moments, false },
    { "local", open_local, true },
    { "rbd", open_rbd, true },
};

/* ---- a volume as its guest sees it ---- */

/* What qemu-img and qemu-io are told, with the format. */
static char *
image_of(VirgaVolumeDriver *driver, const char *id)
{
    g_autoptr(VirgaVolumeSource) source = driver->source(driver, id, NULL);

    if (source->kind == VIRGA_SOURCE_RBD) {
        g_auto(GStrv) monitors = g_strsplit(source->monitors, ":", -1);
        g_autofree char *escaped = g_strjoinv("\\:", monitors);

        return g_strdup_printf("-f raw 'rbd:%s:id=%s:key=%s:mon_host=%s'", source->name,
                               source->user, source->key, escaped);
    }
    g_assert_cmpint(source->kind, ==, VIRGA_SOURCE_FILE);
    return g_strdup_printf("-f qcow2 %s", source->name);
}

static gint64
size_gib(Fixture *fixture, const char *id)
{
    g_autofree char *image = NULL, *size = NULL;

    if (!fixture->kind->keeps_bytes)
        return virga_volume_fake_size_gib(fixture->driver, id);
    image = image_of(fixture->driver, id);
    size = shell("qemu-img info --output=json %s | sed -n 's/^    \"virtual-size\": //p' | tr -d ,",
                 image);
    return g_ascii_strtoll(size, NULL, 10) >> 30;
}

/* One of qemu-io's commands. */
static void G_GNUC_PRINTF(2, 3) guest(Fixture *fixture, const char *format, ...)
{
    g_autofree char *command = NULL, *image = NULL;
    va_list args;

    if (!fixture->kind->keeps_bytes)
        return;
    va_start(args, format);
    command = g_strdup_vprintf(format, args);
    va_end(args);
    image = image_of(fixture->driver, fixture->volume_id);
    RUN("qemu-io -d unmap -c '%s' %s", command, image);
}

/* Of what the guest would read. */
static char *
hash(Fixture *fixture, VirgaVolumeDriver *driver, const char *id)
{
    g_autofree char *image = NULL;

    if (!fixture->kind->keeps_bytes)
        return g_strdup("");
    image = image_of(driver, id);
    return shell("qemu-img convert -O raw %s %s/raw; head -c 64M %s/raw | sha256sum; rm %s/raw",
                 image, fixture->folder, fixture->folder, fixture->folder);
}

static bool
exists(VirgaVolumeDriver *driver, const char *id)
{
    g_autoptr(GError) error = NULL;
    bool there;

    driver->inspect(driver, id, &there, &error);
    g_assert_no_error(error);
    return there;
}

static bool
is_listed(VirgaVolumeDriver *driver, const char *id)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) ids = driver->list(driver, &error);

    g_assert_no_error(error);
    return g_strv_contains((const char *const *) ids, id);
}

static bool
is_base(VirgaVolumeDriver *driver, bool used, const char *id)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) ids = driver->bases(driver, used, &error);

    g_assert_no_error(error);
    return g_strv_contains((const char *const *) ids, id);
}

/* ---- what is asked of a driver ---- */

static VirgaVolumeWish
wish_of(Fixture *fixture, const char *id, gint64 gib)
{
    return (VirgaVolumeWish){
        .id = id, .size_gib = gib, .files = fixture->listed, .file_count = fixture->file_count
    };
}

static void
create(Fixture *fixture, VirgaVolumeDriver *driver, const char *id, gint64 gib)
{
    VirgaVolumeWish wish = wish_of(fixture, id, gib);
    g_autoptr(GError) error = NULL;

    driver->create(driver, &wish, &error);
    g_assert_no_error(error);
    g_assert_true(exists(driver, id));
}

static void delete (VirgaVolumeDriver *driver, const char *id)
{
    g_autoptr(GError) error = NULL;

    driver->delete (driver, id, &error);
    g_assert_no_error(error);
    g_assert_false(exists(driver, id));
}

static void
join(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;

    fixture->driver->join(fixture->driver, fixture->volume_id, &error);
    g_assert_no_error(error);
}

static VirgaSnapshotWish
snapshot_of(Fixture *fixture, const char *id, const char *parent_id)
{
    return (VirgaSnapshotWish){
        .id = id, .volume_id = fixture->volume_id, .parent_id = parent_id, .parent_file = parent_id
    };
}

static bool
is_cut(Fixture *fixture, const char *id)
{
    VirgaSnapshotWish snapshot = snapshot_of(fixture, id, NULL);
    g_autoptr(GError) error = NULL;
    bool cut;

    fixture->driver->is_cut(fixture->driver, &snapshot, &cut, &error);
    g_assert_no_error(error);
    return cut;
}

/* Nobody has the volume open: the moment is now, and asked for again it is the same one. */
static char *
cut(Fixture *fixture)
{
    char *id = virga_id_new("snap");
    VirgaSnapshotWish snapshot = snapshot_of(fixture, id, NULL);
    VirgaVolumeDriver *driver = fixture->driver;
    g_autofree char *path = NULL, *again = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_false(is_cut(fixture, id));
    driver->begin_layer(driver, &snapshot, &path, &error);
    g_assert_no_error(error);
    g_assert_true((path == NULL) == driver->makes_moments);
    g_assert_true(is_cut(fixture, id));
    driver->begin_layer(driver, &snapshot, &again, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(path, ==, again);
    if (fixture->kind->keeps_bytes && path) {
        g_autoptr(VirgaVolumeSource) source = driver->source(driver, fixture->volume_id, NULL);

        g_assert_cmpstr(path, ==, source->name);
    }
    return id;
}

/* ---- the store of snapshots ---- */

/* The next file that a volume is made of. */
static void
list_file(Fixture *fixture, const char *id)
{
    g_autofree char *path = g_build_filename(fixture->store, id, NULL);
    VirgaSnapshotFile *file = &fixture->files[fixture->file_count];
    struct stat status;

    g_assert_cmpint(stat(path, &status), ==, 0);
    g_free(file->id);
    *file = (VirgaSnapshotFile){ .id = g_strdup(id), .bytes = status.st_size };
    fixture->listed[fixture->file_count++] = file;
}

/* One that is 1 GiB large and holds what qemu-io's command writes. */
static const char *
make_file(Fixture *fixture, const char *command)
{
    g_autofree char *id = virga_id_new("snap");

    RUN("qemu-img create -q -f qcow2 %s/%s 1G; qemu-io -f qcow2 -c '%s' %s/%s", fixture->store, id,
        command, fixture->store, id);
    list_file(fixture, id);
    return fixture->files[fixture->file_count - 1].id;
}

/* Copies a snapshot to the store, as its only file or above those that are there; how many KiB. */
static gint64
copy(Fixture *fixture, const char *id, const char *parent_id, bool expect_whole)
{
    VirgaSnapshotWish snapshot = snapshot_of(fixture, id, parent_id);
    VirgaVolumeDriver *driver = fixture->driver;
    g_autofree char *path = NULL, *size = NULL;
    g_autoptr(GError) error = NULL;
    bool whole, made;

    for (int i = 0; i < 2; i++) { /* the first one is broken off */
        g_clear_pointer(&path, g_free);
        driver->begin_copy(driver, &snapshot, &path, &whole, &made, &error);
        g_assert_no_error(error);
        if (fixture->kind->keeps_bytes)
            g_assert_true(whole == expect_whole);
    }
    if (fixture->kind->keeps_bytes)
        RUN("qemu-img rebase -q -u -f qcow2 -b '' %s 2>/dev/null || :; qemu-img check -q %s",
            made ? path : "/dev/null", path);
    RUN("cp --sparse=always %s %s/%s", path, fixture->store, id);
    size = shell("du -k --apparent-size %s/%s | cut -f1", fixture->store, id);
    driver->end_copy(driver, &snapshot);
    driver->end_copy(driver, &snapshot);
    if (made)
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
    list_file(fixture, id);
    return g_ascii_strtoll(size, NULL, 10);
}

/* Another host makes a volume of the listed files: it has what the snapshot had. */
static void
check_restored(Fixture *fixture, const char *expected)
{
    g_autofree char *restored = NULL;

    create(fixture, fixture->elsewhere, fixture->other_id, 1);
    restored = hash(fixture, fixture->elsewhere, fixture->other_id);
    g_assert_cmpstr(restored, ==, expected);
    delete (fixture->elsewhere, fixture->other_id);
}

/* ---- making ---- */

static void
test_empty(Fixture *fixture)
{
    g_autofree char *before = NULL, *after = NULL;

    g_assert_false(exists(fixture->driver, fixture->volume_id));
    g_assert_false(is_listed(fixture->driver, fixture->volume_id));
    create(fixture, fixture->driver, fixture->volume_id, 2);
    g_assert_true(is_listed(fixture->driver, fixture->volume_id));
    g_assert_cmpint(size_gib(fixture, fixture->volume_id), ==, 2);
    guest(fixture, "read -P 0 0 64M");
    guest(fixture, "write -P 0x11 1M 1M");
    before = hash(fixture, fixture->driver, fixture->volume_id);
    /* Once made it is never made again. */
    create(fixture, fixture->driver, fixture->volume_id, 2);
    after = hash(fixture, fixture->driver, fixture->volume_id);
    g_assert_cmpstr(before, ==, after);
    delete (fixture->driver, fixture->volume_id);
    delete (fixture->driver, fixture->volume_id);
    g_assert_false(is_listed(fixture->driver, fixture->volume_id));
    g_assert_cmpint(fixture->fetches, ==, 0);
}

static void
test_grow(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;

    create(fixture, fixture->driver, fixture->volume_id, 1);
    guest(fixture, "write -P 0x11 1023M 1M");
    for (gint64 gib = 3; gib > 0; gib--) { /* never smaller */
        fixture->driver->grow(fixture->driver, fixture->volume_id, gib, &error);
        g_assert_no_error(error);
        g_assert_cmpint(size_gib(fixture, fixture->volume_id), ==, 3);
    }
    guest(fixture, "read -P 0x11 1023M 1M");
    guest(fixture, "read -P 0 1G 8M");
    guest(fixture, "write -P 0x22 3071M 1M");
}

/* Somebody has the volume open: it is not changed under him. */
static void
test_open(Fixture *fixture)
{
    g_autofree char *image = NULL, *line = NULL;
    g_autoptr(GError) error = NULL;
    char told[64] = "";
    int in, out;
    GPid pid;

    create(fixture, fixture->driver, fixture->volume_id, 1);
    image = image_of(fixture->driver, fixture->volume_id);
    line = g_strdup_printf("exec qemu-io %s", image);
    g_spawn_async_with_pipes(NULL, (char *[]){ (char *) "sh", (char *) "-c", line, NULL }, NULL,
                             G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, &in,
                             &out, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(write(in, "write 0 64k\n", 12), ==, 12);
    while (!strstr(told, "wrote")) { /* it may begin with a prompt */
        gssize got = read(out, told, sizeof told - 1);

        g_assert_cmpint(got, >, 0);
        told[got] = '\0';
    }
    g_assert_false(fixture->driver->grow(fixture->driver, fixture->volume_id, 2, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    close(in);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    close(out);
    g_assert_cmpint(size_gib(fixture, fixture->volume_id), ==, 1);
    fixture->driver->grow(fixture->driver, fixture->volume_id, 2, &error);
    g_assert_no_error(error);
    g_assert_cmpint(size_gib(fixture, fixture->volume_id), ==, 2);
}

/* A volume on a base image: each is fetched once, and goes when it is idle and not before. */
static void
test_on_base(Fixture *fixture)
{
    const char *base = make_file(fixture, "write -P 9 0 4M");
    VirgaVolumeDriver *driver = fixture->driver;
    g_autoptr(GError) error = NULL;

    create(fixture, driver, fixture->volume_id, 3);
    create(fixture, driver, fixture->other_id, 1);
    g_assert_cmpint(size_gib(fixture, fixture->volume_id), ==, 3);
    guest(fixture, "read -P 9 0 4M");
    guest(fixture, "read -P 0 4M 60M");
    guest(fixture, "read -P 0 2G 1M");
    guest(fixture, "write -P 8 1M 1M"); /* its own */
    g_assert_cmpint(fixture->fetches, ==, fixture->kind->keeps_bytes ? 1 : 0);
    delete (driver, fixture->volume_id);
    g_assert_true(is_base(driver, true, base) && !is_base(driver, false, base));
    driver->drop_base(driver, base, &error);
    g_assert_no_error(error);
    g_assert_true(is_base(driver, true, base));
    delete (driver, fixture->other_id);
    g_assert_true(!is_base(driver, true, base) && is_base(driver, false, base));
    create(fixture, driver, fixture->volume_id, 1); /* it was not touched by the other's writes */
    guest(fixture, "read -P 9 0 4M");
    g_assert_cmpint(fixture->fetches, ==, fixture->kind->keeps_bytes ? 1 : 0);
    delete (driver, fixture->volume_id);
    for (int i = 0; i < 2; i++) {
        driver->drop_base(driver, base, &error);
        g_assert_no_error(error);
        g_assert_false(is_base(driver, true, base) || is_base(driver, false, base));
    }
}

/* Each file has what differs from the one below, zeros too, however many there are. */
static void
test_long_chain(Fixture *fixture)
{
    for (int i = 0; i < CHAIN; i++) {
        g_autofree char *command =
            i == CHAIN - 1 ? g_strdup("write -z 2M 1M")
                           : g_strdup_printf("write -P %d %dM %dM", i + 1, i, CHAIN - i);

        make_file(fixture, command);
    }
    create(fixture, fixture->driver, fixture->volume_id, 1);
    guest(fixture, "read -P 1 0 1M");
    guest(fixture, "read -P 2 1M 1M");
    guest(fixture, "read -P 0 2M 1M");
    guest(fixture, "read -P 4 3M 1M");
    guest(fixture, "read -P 9 8M 2M");
    guest(fixture, "read -P 0 10M 10M");
    /* And one that stands on a part of them. */
    fixture->file_count = 3;
    create(fixture, fixture->driver, fixture->other_id, 1);
}

static void
assert_refused(Fixture *fixture, VirgaErrorCode code)
{
    VirgaVolumeWish wish = wish_of(fixture, fixture->volume_id, 1);
    g_autoptr(GError) error = NULL;

    g_assert_false(fixture->driver->create(fixture->driver, &wish, &error));
    if (!virga_error_is(error, "volume", code))
        g_error("%s %d: %s", virga_error_noun(error), error->code, error->message);
    g_assert_false(exists(fixture->driver, fixture->volume_id));
    g_assert_false(is_base(fixture->driver, true, fixture->files[0].id));
    g_assert_false(is_base(fixture->driver, false, fixture->files[0].id));
}

/* Half a base image would be half of every disk that is made of it, for ever. */
static void
test_bad_base(Fixture *fixture)
{
    const char *id = make_file(fixture, "write -P 9 0 4M");
    VirgaSnapshotFile *file = &fixture->files[0];
    gint64 bytes = file->bytes;

    fixture->missing = true;
    assert_refused(fixture, VIRGA_ERROR_NOT_FOUND);
    fixture->missing = false;
    file->bytes = bytes + 1;
    assert_refused(fixture, VIRGA_ERROR_RETRY);
    file->bytes = bytes;
    file->sha256 = g_strnfill(64, '0');
    assert_refused(fixture, VIRGA_ERROR_INTERNAL);
    g_free(file->sha256);
    file->sha256 = shell("sha256sum <%s/%s | cut -c-64", fixture->store, id);
    create(fixture, fixture->driver, fixture->volume_id, 1);
    guest(fixture, "read -P 9 0 4M");
    g_free(file->sha256);
}

typedef struct {
    Fixture *fixture;
    char *id;
} Creator;

static gpointer
create_one(gpointer data)
{
    Creator *creator = data;

    create(creator->fixture, creator->fixture->driver, creator->id, 1);
    return NULL;
}

static void
test_concurrent(Fixture *fixture)
{
    GThread *threads[THREADS];
    Creator creators[THREADS];

    make_file(fixture, "write -P 9 0 4M");
    for (int i = 0; i < THREADS; i++) {
        creators[i] = (Creator){ fixture, virga_id_new("vol") };
        threads[i] = g_thread_new("create", create_one, &creators[i]);
    }
    for (int i = 0; i < THREADS; i++)
        g_thread_join(threads[i]);
    g_assert_cmpint(fixture->fetches, ==, fixture->kind->keeps_bytes ? 1 : 0);
    for (int i = 0; i < THREADS; i++) {
        delete (fixture->driver, creators[i].id);
        g_free(creators[i].id);
    }
}

/* Its maker dies with a half of the base image here: the next one makes the whole. */
static void
test_crash(Fixture *fixture)
{
    const char *id = make_file(fixture, "write -P 9 0 4M");
    const char *argv[] = {
        "/proc/self/exe", CRASH, fixture->kind->name, fixture->folder, fixture->volume_id, id, NULL
    };
    g_autoptr(GError) error = NULL;
    int status;

    g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status,
                 &error);
    g_assert_no_error(error);
    g_assert_cmpint(WEXITSTATUS(status), ==, 1);
    g_assert_false(exists(fixture->driver, fixture->volume_id));
    g_assert_false(is_base(fixture->driver, false, id));
    create(fixture, fixture->driver, fixture->volume_id, 1);
    guest(fixture, "read -P 9 0 4M");
    guest(fixture, "read -P 0 4M 60M");
}

/* ---- moments ---- */

/* Each snapshot has its moment's bytes, and its file only what has changed since the one before. */
static void
test_moments(Fixture *fixture)
{
    g_autofree char *first = NULL, *second = NULL, *one = NULL, *two = NULL, *now = NULL;

    create(fixture, fixture->driver, fixture->volume_id, 1);
    guest(fixture, "write -P 0x11 1M 1M");
    guest(fixture, "write -P 0x22 20M 2M");
    one = hash(fixture, fixture->driver, fixture->volume_id);
    first = cut(fixture);
    guest(fixture, "write -P 0x33 2M 1M");
    guest(fixture, "write -z 20M 1M");
    g_assert_cmpint(copy(fixture, first, NULL, false), <, 4 * 1024);
    check_restored(fixture, one);
    two = hash(fixture, fixture->driver, fixture->volume_id);
    second = cut(fixture);
    guest(fixture, "write -P 0x44 3M 1M");
    g_assert_cmpint(copy(fixture, second, first, false), <, 1024 + 512);
    check_restored(fixture, two);
    now = hash(fixture, fixture->driver, fixture->volume_id);
    if (fixture->kind->keeps_bytes)
        g_assert_cmpstr(now, !=, two);
}

/* What stands on a base image differs from that one: what was written, and what was discarded. */
static void
test_moments_on_base(Fixture *fixture)
{
    const char *base = make_file(fixture, "write -P 9 0 32M");
    g_autofree char *first = NULL, *second = NULL, *third = NULL;
    g_autofree char *one = NULL, *two = NULL, *three = NULL;

    create(fixture, fixture->driver, fixture->volume_id, 1);
    guest(fixture, "write -P 0x11 1M 1M");
    guest(fixture, "discard 8M 8M");
    guest(fixture, "write -z 17M 1M");
    first = cut(fixture);
    one = hash(fixture, fixture->driver, fixture->volume_id);
    guest(fixture, "write -P 0x22 40M 1M");
    guest(fixture, "discard 24M 4M");
    second = cut(fixture);
    two = hash(fixture, fixture->driver, fixture->volume_id);
    /* The first one was given up: the second one is all since the base.  Zeros may be stored. */
    g_assert_cmpint(copy(fixture, second, base, false), <, 20 * 1024);
    check_restored(fixture, two);
    fixture->file_count = 1;
    g_assert_cmpint(copy(fixture, first, base, false), <, 3 * 1024);
    check_restored(fixture, one);
    /* Since the second one: a little of what was the base's alone until then. */
    fixture->file_count = 1;
    list_file(fixture, second);
    guest(fixture, "write -P 0x55 5M 64k");
    guest(fixture, "discard 28M 4M");
    third = cut(fixture);
    three = hash(fixture, fixture->driver, fixture->volume_id);
    g_assert_cmpint(copy(fixture, third, second, false), <, 1024);
    check_restored(fixture, three);
}

/* Without what the parent holds, or without one, the file has all. */
static void
test_whole(Fixture *fixture)
{
    g_autofree char *other = g_strdup(make_file(fixture, "write -P 8 0 2M"));
    g_autofree char *first = NULL, *second = NULL, *one = NULL;

    fixture->file_count = 0;
    make_file(fixture, "write -P 9 0 4M");
    create(fixture, fixture->driver, fixture->volume_id, 1);
    guest(fixture, "write -P 0x11 8M 1M");
    one = hash(fixture, fixture->driver, fixture->volume_id);
    first = cut(fixture);
    second = cut(fixture);
    fixture->file_count = 0;
    copy(fixture, first, NULL, false);
    check_restored(fixture, one);
    fixture->file_count = 0;
    copy(fixture, second, other, true);
    check_restored(fixture, one);
}

/* A disk that has grown: what is beyond the parent's end is nothing, or what was written there. */
static void
test_moments_of_grown(Fixture *fixture)
{
    g_autofree char *first = NULL, *second = NULL;
    g_autoptr(GError) error = NULL;

    create(fixture, fixture->driver, fixture->volume_id, 1);
    guest(fixture, "write -P 0x11 1023M 1M");
    first = cut(fixture);
    copy(fixture, first, NULL, false);
    fixture->driver->grow(fixture->driver, fixture->volume_id, 2, &error);
    g_assert_no_error(error);
    guest(fixture, "write -P 0x22 1500M 1M");
    second = cut(fixture);
    g_assert_cmpint(copy(fixture, second, first, false), <, 1024 + 512);
    delete (fixture->driver, fixture->volume_id);
    create(fixture, fixture->driver, fixture->volume_id, 2);
    guest(fixture, "read -P 0x11 1023M 1M");
    guest(fixture, "read -P 0 1G 64M");
    guest(fixture, "read -P 0x22 1500M 1M");
}

/* Layers that no copy needs are joined; the last moment stays known, and the bytes the same. */
static void
test_join(Fixture *fixture)
{
    g_autofree char *ids[3] = { NULL }, *before = NULL, *after = NULL, *last = NULL, *next = NULL;
    g_autofree char *layer = NULL, *below = NULL;
    g_autoptr(GError) error = NULL;

    create(fixture, fixture->driver, fixture->volume_id, 1);
    for (int i = 0; i < 3; i++) {
        VirgaSnapshotWish snapshot;

        guest(fixture, "write -P %d %dM 1M", i + 1, i);
        ids[i] = cut(fixture);
        snapshot = snapshot_of(fixture, ids[i], NULL);
        fixture->driver->end_copy(fixture->driver, &snapshot);
    }
    guest(fixture, "write -P 0x55 1M 1M");
    before = hash(fixture, fixture->driver, fixture->volume_id);
    for (int i = 0; i < 4; i++)
        join(fixture);
    after = hash(fixture, fixture->driver, fixture->volume_id);
    g_assert_cmpstr(before, ==, after);
    fixture->driver->surplus(fixture->driver, fixture->volume_id, &layer, &below, &error);
    g_assert_no_error(error);
    g_assert_null(layer);
    g_assert_true(is_cut(fixture, ids[2]));
    g_assert_false(is_cut(fixture, ids[1]));
    g_assert_false(is_cut(fixture, ids[0]));
    last = cut(fixture);
    copy(fixture, last, ids[0], true);
    check_restored(fixture, before);
    join(fixture);
    guest(fixture, "write -P 0x66 5M 1M");
    next = cut(fixture); /* what the last one held is known */
    g_assert_cmpint(copy(fixture, next, last, false), <, 1024 + 512);
}

/* What is deleted leaves nothing of any layer, whatever is going on. */
static void
test_delete_amid(Fixture *fixture)
{
    const char *base = make_file(fixture, "write -P 9 0 4M");
    g_autofree char *first = NULL, *path = NULL;
    g_autoptr(GError) error = NULL;
    VirgaSnapshotWish snapshot;
    bool whole, made;

    create(fixture, fixture->driver, fixture->volume_id, 1);
    first = cut(fixture);
    snapshot = snapshot_of(fixture, first, NULL);
    fixture->driver->begin_copy(fixture->driver, &snapshot, &path, &whole, &made, &error);
    g_assert_no_error(error);
    delete (fixture->driver, fixture->volume_id);
    g_assert_false(is_cut(fixture, first));
    fixture->driver->end_copy(fixture->driver, &snapshot);
    fixture->driver->drop_base(fixture->driver, base, &error);
    g_assert_no_error(error);
    g_assert_false(is_base(fixture->driver, false, base));
    if (fixture->kind->keeps_bytes) {
        g_autofree char *rest = shell("find %s -type f", fixture->here);

        g_assert_cmpstr(rest, ==, "");
    }
}

/* ---- */

typedef struct {
    const char *name;
    void (*function)(Fixture *fixture);
    bool bytes; /* says nothing of a driver that keeps none */
} Test;

static const Test tests[] = {
    { "empty", test_empty, false },
    { "grow", test_grow, false },
    { "open", test_open, true },
    { "on-base", test_on_base, false },
    { "long-chain", test_long_chain, true },
    { "bad-base", test_bad_base, true },
    { "concurrent", test_concurrent, false },
    { "crash", test_crash, true },
    { "moments", test_moments, false },
    { "moments-on-base", test_moments_on_base, false },
    { "whole", test_whole, true },
    { "moments-of-grown", test_moments_of_grown, true },
    { "join", test_join, false },
    { "delete-amid", test_delete_amid, false },
};

typedef struct {
    const Kind *kind;
    const Test *test;
} Case;

static void
set_up(Fixture *fixture, const Kind *kind, const char *folder)
{
    g_autofree char *elsewhere = g_build_filename(folder, "elsewhere", NULL);

    fixture->kind = kind;
    fixture->folder = g_strdup(folder);
    fixture->store = g_build_filename(folder, "store", NULL);
    fixture->here = g_build_filename(folder, "here", NULL);
    g_mkdir(fixture->store, 0700);
    fixture->driver = kind->open(fixture, fixture->here);
    fixture->elsewhere = kind->open(fixture, elsewhere);
    fixture->volume_id = virga_id_new("vol");
    fixture->other_id = virga_id_new("vol");
}

static void
tear_down(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;

    fixture->driver->delete (fixture->driver, fixture->volume_id, &error);
    g_assert_no_error(error);
    fixture->driver->delete (fixture->driver, fixture->other_id, &error);
    g_assert_no_error(error);
    fixture->driver->free(fixture->driver);
    fixture->elsewhere->free(fixture->elsewhere);
    RUN("rm -r %s", fixture->folder);
    for (int i = 0; i < CHAIN; i++)
        g_free(fixture->files[i].id);
    g_free(fixture->folder);
    g_free(fixture->store);
    g_free(fixture->here);
    g_free(fixture->volume_id);
    g_free(fixture->other_id);
}

static void
run(gconstpointer data)
{
    const Case *item = data;
    g_autofree char *folder = g_dir_make_tmp("virga-contract-XXXXXX", NULL);
    Fixture fixture = { 0 };

    set_up(&fixture, item->kind, folder);
    item->test->function(&fixture);
    tear_down(&fixture);
}

/* KIND FOLDER VOLUME SNAPSHOT: dies while it makes the volume. */
static int
crash(char **argv)
{
    Fixture fixture = { .dying = true };

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (g_str_equal(kinds[i].name, argv[0]))
            set_up(&fixture, &kinds[i], argv[1]);
    list_file(&fixture, argv[3]);
    create(&fixture, fixture.driver, argv[2], 1);
    return 2;
}

int
main(int argc, char **argv)
{
    if (argc == 6 && g_str_equal(argv[1], CRASH))
        return crash(argv + 2);
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
        for (size_t j = 0; j < G_N_ELEMENTS(tests); j++) {
            bool asked = kinds[i].open != open_rbd || g_getenv("VIRGA_TEST_RBD");
            g_autofree char *path = g_strdup_printf("/volume/%s/%s", kinds[i].name, tests[j].name);
            Case *item = g_new(Case, 1);

            *item = (Case){ &kinds[i], &tests[j] };
            if (asked && (kinds[i].keeps_bytes || !tests[j].bytes))
                g_test_add_data_func_full(path, item, run, g_free);
            else
                g_free(item);
        }
    return g_test_run();
}
