/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes as files: whole or not there. */
#include "storage/driver.h"

#include "core/error.h"
#include "core/process.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SNAPSHOT "snap-08000000000000001"
#define FIRST    "vol-08000000000000001"
#define SECOND   "vol-08000000000000002"
#define THREADS  6

typedef struct {
    char *folder, *source;
    VirgaVolumeDriver *driver;
    int fetches; /* atomic */
    bool missing, cut;
    VirgaSnapshotFile file;
    const VirgaSnapshotFile *files[1];
} Fixture;

static bool
fetch(const char *snapshot_id, const char *path, gpointer data, GError **error)
{
    Fixture *fixture = data;
    g_autofree char *bytes = NULL;
    gsize size;

    g_atomic_int_inc(&fixture->fetches);
    if (fixture->missing)
        return virga_fail(error, "volume", VIRGA_ERROR_NOT_FOUND, "no \"%s\"", snapshot_id);
    g_usleep(20000); /* others come meanwhile */
    g_assert_true(g_file_get_contents(fixture->source, &bytes, &size, NULL));
    return g_file_set_contents(path, bytes, (gssize) (fixture->cut ? size / 2 : size), error);
}

static void
run(const char *const *argv)
{
    g_autoptr(GError) error = NULL;

    virga_process_run(argv, NULL, 30000, NULL, &error);
    g_assert_no_error(error);
}

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->folder = g_dir_make_tmp("virga-volumes-XXXXXX", NULL);
    fixture->source = g_build_filename(fixture->folder, "source.qcow2", NULL);
    run((const char *const[]){ "qemu-img", "create", "-q", "-f", "qcow2", fixture->source, "1G",
                               NULL });
    fixture->driver = virga_volume_local_new(fixture->folder, 0, fetch, fixture);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    fixture->driver->free(fixture->driver);
    run((const char *const[]){ "rm", "-r", fixture->folder, NULL });
    g_free(fixture->source);
    g_free(fixture->folder);
}

static VirgaVolumeWish
wish_of(Fixture *fixture, const char *id, const char *snapshot_id, gint64 size_gib)
{
    struct stat source;

    g_assert_cmpint(stat(fixture->source, &source), ==, 0);
    fixture->file = (VirgaSnapshotFile){ .id = (char *) SNAPSHOT, .bytes = source.st_size };
    fixture->files[0] = &fixture->file;
    return (VirgaVolumeWish){
        .id = id, .size_gib = size_gib, .files = fixture->files, .file_count = snapshot_id ? 1 : 0
    };
}

static bool
exists(Fixture *fixture, const char *id)
{
    g_autoptr(GError) error = NULL;
    bool there;

    fixture->driver->inspect(fixture->driver, id, &there, &error);
    g_assert_no_error(error);
    return there;
}

static guint
count_files(Fixture *fixture, const char *name)
{
    g_autofree char *path = g_build_filename(fixture->folder, name, NULL);
    g_autoptr(GDir) folder = g_dir_open(path, 0, NULL);
    const char *file;
    guint count = 0;

    while ((file = g_dir_read_name(folder)))
        count += !g_str_has_suffix(file, ".used");
    return count;
}

static guint
count_listed(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) ids = fixture->driver->list(fixture->driver, &error);

    g_assert_no_error(error);
    return g_strv_length(ids);
}

static char *
path_of(VirgaVolumeDriver *driver, const char *id)
{
    g_autoptr(VirgaVolumeSource) source = driver->source(driver, id, NULL);

    g_assert_cmpint(source->kind, ==, VIRGA_SOURCE_FILE);
    return g_strdup(source->name);
}

static char *
describe(Fixture *fixture, const char *id)
{
    g_autofree char *path = path_of(fixture->driver, id);
    const char *argv[] = { "qemu-img", "info", "--output=json", path, NULL };
    char *output = NULL;

    g_assert_true(virga_process_run(argv, NULL, 30000, &output, NULL));
    return output;
}

static void
test_create(Fixture *fixture, gconstpointer data)
{
    VirgaVolumeWish wish = wish_of(fixture, FIRST, SNAPSHOT, 3);
    g_autofree char *path = NULL, *info = NULL;
    g_autoptr(GError) error = NULL;
    struct stat before, after;

    g_assert_false(exists(fixture, FIRST));
    fixture->driver->create(fixture->driver, &wish, &error);
    g_assert_no_error(error);
    g_assert_true(exists(fixture, FIRST));
    path = path_of(fixture->driver, FIRST);
    g_assert_cmpint(stat(path, &before), ==, 0);
    g_assert_cmpint(before.st_mode & 0777, ==, 0600);
    info = describe(fixture, FIRST);
    g_assert_nonnull(strstr(info, "\"virtual-size\": 3221225472"));
    g_assert_nonnull(strstr(info, "/images/" SNAPSHOT ".qcow2\""));

    /* Once made it is never made again. */
    g_assert_true(fixture->driver->create(fixture->driver, &wish, &error));
    g_assert_cmpint(stat(path, &after), ==, 0);
    g_assert_cmpint(before.st_ino, ==, after.st_ino);
    g_assert_cmpint(fixture->fetches, ==, 1);
    g_assert_cmpuint(count_files(fixture, "volumes"), ==, 1);
    g_assert_cmpuint(count_files(fixture, "images"), ==, 1);
}

static void
test_empty(Fixture *fixture, gconstpointer data)
{
    VirgaVolumeWish wish = wish_of(fixture, FIRST, NULL, 2);
    g_autoptr(GError) error = NULL;
    g_autofree char *info = NULL;

    fixture->driver->create(fixture->driver, &wish, &error);
    g_assert_no_error(error);
    info = describe(fixture, FIRST);
    g_assert_nonnull(strstr(info, "\"virtual-size\": 2147483648"));
    g_assert_null(strstr(info, "backing-filename"));
    g_assert_cmpint(fixture->fetches, ==, 0);
}

static void
test_list_delete(Fixture *fixture, gconstpointer data)
{
    VirgaVolumeWish first = wish_of(fixture, FIRST, NULL, 1);
    VirgaVolumeWish second = wish_of(fixture, SECOND, SNAPSHOT, 1);
    g_autoptr(GError) error = NULL;

    g_assert_cmpuint(count_listed(fixture), ==, 0);
    g_assert_true(fixture->driver->create(fixture->driver, &first, &error));
    g_assert_true(fixture->driver->create(fixture->driver, &second, &error));
    g_assert_cmpuint(count_listed(fixture), ==, 2);
    g_assert_true(fixture->driver->delete (fixture->driver, FIRST, &error));
    g_assert_true(fixture->driver->delete (fixture->driver, FIRST, &error));
    g_assert_cmpuint(count_listed(fixture), ==, 1);
    g_assert_false(exists(fixture, FIRST));
    g_assert_true(exists(fixture, SECOND));
}

static void
assert_refused(Fixture *fixture, const VirgaVolumeWish *wish, VirgaErrorCode code)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(fixture->driver->create(fixture->driver, wish, &error));
    if (!virga_error_is(error, "volume", code))
        g_error("%s %d: %s", virga_error_noun(error), error->code, error->message);
    g_assert_false(exists(fixture, wish->id));
    g_assert_cmpuint(count_files(fixture, "volumes"), ==, 0);
    g_assert_cmpuint(count_files(fixture, "images"), ==, 0);
}

static void
test_missing_snapshot(Fixture *fixture, gconstpointer data)
{
    VirgaVolumeWish wish = wish_of(fixture, FIRST, SNAPSHOT, 1);
    g_autoptr(GError) error = NULL;

    fixture->missing = true;
    assert_refused(fixture, &wish, VIRGA_ERROR_NOT_FOUND);
    fixture->missing = false; /* it has come */
    fixture->driver->create(fixture->driver, &wish, &error);
    g_assert_no_error(error);
}

/* Half a base image would be half of every disk that is made from it, for ever. */
static void
test_cut_snapshot(Fixture *fixture, gconstpointer data)
{
    VirgaVolumeWish wish = wish_of(fixture, FIRST, SNAPSHOT, 1);
    g_autoptr(GError) error = NULL;

    fixture->cut = true;
    assert_refused(fixture, &wish, VIRGA_ERROR_RETRY);
    fixture->cut = false;
    fixture->driver->create(fixture->driver, &wish, &error);
    g_assert_no_error(error);
}

static void
test_reserved(Fixture *fixture, gconstpointer data)
{
    VirgaVolumeWish wish = wish_of(fixture, FIRST, NULL, 1);

    fixture->driver->free(fixture->driver);
    fixture->driver = virga_volume_local_new(fixture->folder, 1 << 30, fetch, fixture);
    assert_refused(fixture, &wish, VIRGA_ERROR_CAPACITY);
    g_assert_cmpint(fixture->fetches, ==, 0);
}

typedef struct {
    Fixture *fixture;
    int number;
} Creator;

static gpointer
create_some(gpointer data)
{
    Creator *creator = data;
    g_autofree char *id = g_strdup_printf("vol-0900000000000000%d", creator->number);
    VirgaVolumeWish wish = wish_of(creator->fixture, id, SNAPSHOT, 1);
    g_autoptr(GError) error = NULL;

    creator->fixture->driver->create(creator->fixture->driver, &wish, &error);
    g_assert_no_error(error);
    return NULL;
}

static void
test_concurrent(Fixture *fixture, gconstpointer data)
{
    GThread *threads[THREADS];
    Creator creators[THREADS];

    for (int i = 0; i < THREADS; i++) {
        creators[i] = (Creator){ fixture, i };
        threads[i] = g_thread_new("create", create_some, &creators[i]);
    }
    for (int i = 0; i < THREADS; i++)
        g_thread_join(threads[i]);
    g_assert_cmpint(fixture->fetches, ==, 1);
    g_assert_cmpuint(count_listed(fixture), ==, THREADS);
    g_assert_cmpuint(count_files(fixture, "images"), ==, 1);
}

/* A disk that is full while the base image is fetched: nothing stays of it. */
static void
fill_disk(Fixture *fixture)
{
    VirgaVolumeWish wish = wish_of(fixture, FIRST, SNAPSHOT, 1);
    g_autofree char *images = g_build_filename(fixture->folder, "images", NULL);
    g_autoptr(GError) error = NULL;

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", images, "tmpfs", 0, "size=64k") < 0)
        _exit(77);
    g_assert_false(fixture->driver->create(fixture->driver, &wish, &error));
    g_assert_nonnull(error);
    g_assert_false(exists(fixture, FIRST));
    g_assert_cmpuint(count_files(fixture, "images"), ==, 0);
    g_assert_cmpuint(count_files(fixture, "volumes"), ==, 0);
    _exit(0);
}

static void
test_full(Fixture *fixture, gconstpointer data)
{
    pid_t child = fork();
    int status;

    if (child == 0)
        fill_disk(fixture);
    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        g_test_skip("needs root");
    else
        g_assert_cmpint(status, ==, 0);
}

/* A base image, and when it was of use last. */
static void
make_base(Fixture *fixture, const char *id, const char *below, gint64 used_s)
{
    g_autofree char *path = g_strdup_printf("%s/images/%s.qcow2", fixture->folder, id);
    g_autofree char *under =
        below ? g_strdup_printf("%s/images/%s.qcow2", fixture->folder, below) : NULL;
    g_autofree char *used = g_strdup_printf("%s/images/%s.used", fixture->folder, id);
    const struct timespec times[] = { { used_s, 0 }, { used_s, 0 } };
    const char *plain[] = { "qemu-img", "create", "-q", "-f", "qcow2", path, "1G", NULL };
    const char *above[] = { "qemu-img", "create", "-q",  "-f", "qcow2", "-F",
                            "qcow2",    "-b",     under, path, NULL };

    run(below ? above : plain);
    run((const char *const[]){ "qemu-io", "-f", "qcow2", "-c", "write -q 0 1M", path, NULL });
    g_assert_true(g_file_set_contents(used, "", 0, NULL));
    g_assert_cmpint(utimensat(AT_FDCWD, used, times, 0), ==, 0);
}

static bool
has_base(Fixture *fixture, const char *id)
{
    g_autofree char *path = g_strdup_printf("%s/images/%s.qcow2", fixture->folder, id);

    return g_file_test(path, G_FILE_TEST_EXISTS);
}

static guint
evict(Fixture *fixture, gint64 mib)
{
    g_autoptr(GError) error = NULL;
    guint count;

    virga_volume_local_evict(fixture->driver, mib << 20, &count, &error);
    g_assert_no_error(error);
    return count;
}

#define OLD   "snap-08000000000000011"
#define UPPER "snap-08000000000000012"
#define LOWER "snap-08000000000000013"
#define FRESH "snap-08000000000000014"

/* Least recently used first, from the top of a chain, and never one that a volume stands on. */
static void
test_evict(Fixture *fixture, gconstpointer data)
{
    VirgaVolumeWish wish = wish_of(fixture, FIRST, SNAPSHOT, 1);
    g_autoptr(GError) error = NULL;

    fixture->driver->create(fixture->driver, &wish, &error);
    g_assert_no_error(error);
    make_base(fixture, LOWER, NULL, 1000);
    make_base(fixture, UPPER, LOWER, 3000);
    make_base(fixture, OLD, NULL, 2000);
    make_base(fixture, FRESH, NULL, 4000);
    g_assert_cmpuint(evict(fixture, 100), ==, 0);
    g_assert_cmpuint(evict(fixture, 5), ==, 1);
    g_assert_true(!has_base(fixture, OLD) && has_base(fixture, LOWER)); /* older, but carries */
    g_assert_cmpuint(evict(fixture, 3), ==, 1);
    g_assert_true(!has_base(fixture, UPPER) && has_base(fixture, LOWER));
    g_assert_cmpuint(evict(fixture, 0), ==, 2);
    g_assert_true(!has_base(fixture, LOWER) && !has_base(fixture, FRESH));
    g_assert_true(has_base(fixture, SNAPSHOT));
    fixture->driver->delete (fixture->driver, FIRST, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(evict(fixture, 100), ==, 0);
    g_assert_cmpuint(evict(fixture, 0), ==, 1);
    g_assert_false(has_base(fixture, SNAPSHOT));
    /* What has gone is fetched again. */
    fixture->driver->create(fixture->driver, &wish, &error);
    g_assert_no_error(error);
    g_assert_cmpint(fixture->fetches, ==, 2);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, function)                                                                        \
    g_test_add("/volume-local/" name, Fixture, NULL, set_up, function, tear_down)
    ADD("create", test_create);
    ADD("empty", test_empty);
    ADD("list-delete", test_list_delete);
    ADD("missing-snapshot", test_missing_snapshot);
    ADD("cut-snapshot", test_cut_snapshot);
    ADD("reserved", test_reserved);
    ADD("concurrent", test_concurrent);
    ADD("full", test_full);
    g_test_add("/volume-local/evict", Fixture, NULL, set_up, test_evict, tear_down);
    return g_test_run();
}
