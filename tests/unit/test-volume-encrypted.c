/* SPDX-License-Identifier: Apache-2.0 */
/* Encrypted volumes as files: nothing of them can be read without the passphrase, whatever they are
 * made of and whatever becomes of their layers. */
#include "storage/driver.h"

#include "core/error.h"
#include "storage/encrypt.h"
#include "shell.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#define VOLUME "vol-08000000000000001"
#define OTHER  "vol-08000000000000002"
#define FIRST  "snap-08000000000000001"
#define SECOND "snap-08000000000000002"
#define THIRD  "snap-08000000000000003"
#define PLAIN  "snap-0800000000000000f"
#define KEY    "c2VjcmV0IG9mIHRoZSB0ZXN0cyBvbmx5"

typedef struct {
    char *folder, *store;
    VirgaVolumeDriver *driver, *elsewhere; /* another host's */
    VirgaSnapshotFile files[4];
    const VirgaSnapshotFile *listed[4];
    size_t file_count;
    const char *passphrase; /* NULL: it cannot be had */
} Fixture;

static bool
fetch(const char *snapshot_id, const char *path, gpointer data, GError **error)
{
    RUN("cp %s/%s %s", ((Fixture *) data)->store, snapshot_id, path);
    return true;
}

static char *
passphrase(const char *volume_id, gpointer data, GError **error)
{
    const char *known = ((Fixture *) data)->passphrase;

    if (!known)
        virga_fail(error, "volume", VIRGA_ERROR_RETRY, "no key");
    return g_strdup(known);
}

static VirgaVolumeDriver *
open_driver(Fixture *fixture, const char *folder)
{
    VirgaVolumeDriver *driver = virga_volume_local_new(folder, 0, fetch, fixture);

    virga_volume_local_set_passphrases(driver, passphrase, fixture);
    return driver;
}

static void
set_up(Fixture *fixture, gconstpointer data)
{
    g_autofree char *elsewhere = NULL;

    fixture->folder = g_dir_make_tmp("virga-encrypted-XXXXXX", NULL);
    fixture->store = g_build_filename(fixture->folder, "store", NULL);
    elsewhere = g_build_filename(fixture->folder, "elsewhere", NULL);
    g_mkdir(fixture->store, 0700);
    fixture->driver = open_driver(fixture, fixture->folder);
    fixture->elsewhere = open_driver(fixture, elsewhere);
    fixture->passphrase = KEY;
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
create(Fixture *fixture, VirgaVolumeDriver *driver, const char *id, gint64 size_gib)
{
    VirgaVolumeWish wish = { .id = id,
                             .size_gib = size_gib,
                             .files = fixture->listed,
                             .file_count = fixture->file_count,
                             .encrypted = true };
    g_autoptr(GError) error = NULL;

    driver->create(driver, &wish, &error);
    g_assert_no_error(error);
}

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

/* What QEMU is told of a volume: all of its files, each to be opened with the passphrase. */
static char *
image_of(VirgaVolumeDriver *driver, const char *id)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaVolumeSource) source = driver->source(driver, id, &error);
    GString *json = g_string_new("json:{");
    guint depth = 0;

    g_assert_no_error(error);
    g_assert_cmpstr(source->passphrase, ==, KEY);
    g_assert_cmpstr(source->volume_id, ==, id);
    g_string_append_printf(json,
                           "\"driver\":\"qcow2\",\"encrypt.key-secret\":\"k\",\"file\":"
                           "{\"driver\":\"file\",\"filename\":\"%s\"}",
                           source->name);
    for (char **below = source->below; *below; below++, depth++)
        g_string_append_printf(json,
                               ",\"backing\":{\"driver\":\"qcow2\",\"encrypt.key-secret\":\"k\","
                               "\"file\":{\"driver\":\"file\",\"filename\":\"%s\"}",
                               *below);
    for (; depth > 0; depth--)
        g_string_append_c(json, '}');
    g_string_append_c(json, '}');
    return g_string_free(json, FALSE);
}

static void
guest(VirgaVolumeDriver *driver, const char *id, const char *command)
{
    g_autofree char *image = image_of(driver, id);

    RUN("qemu-io --object secret,id=k,data=" KEY " -c '%s' '%s'", command, image);
}

/* No file of it has the pattern, and none can be opened without. */
static void
assert_closed(const char *folder, char pattern)
{
    RUN("! grep -rlaE '%c{64}' %s", pattern, folder);
    RUN("find %s -type f ! -name '*.used' | while read file; do"
        " ! qemu-img convert -U -O raw \"$file\" /dev/null 2>%s.log || exit 1;"
        " grep -q key-secret %s.log || exit 1; done; rm -f %s.log",
        folder, folder, folder, folder);
}

static char *
begin(Fixture *fixture, const char *snapshot_id)
{
    VirgaSnapshotWish wish = { .id = snapshot_id, .volume_id = VOLUME };
    g_autoptr(GError) error = NULL;
    char *path;

    fixture->driver->begin_layer(fixture->driver, &wish, &path, &error);
    g_assert_no_error(error);
    return path;
}

/* Copies a snapshot to the store. */
static void
copy(Fixture *fixture, const char *id, const char *parent_id, bool expect_whole)
{
    VirgaSnapshotWish wish = {
        .id = id, .volume_id = VOLUME, .parent_id = parent_id, .parent_file = parent_id
    };
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    bool whole, made;

    fixture->driver->begin_copy(fixture->driver, &wish, &path, &whole, &made, &error);
    g_assert_no_error(error);
    g_assert_true(whole == expect_whole);
    RUN("cp %s %s/%s", path, fixture->store, id);
    fixture->driver->end_copy(fixture->driver, &wish);
    if (whole)
        fixture->file_count = 0;
    list_file(fixture, id);
}

static void
test_empty(Fixture *fixture, gconstpointer data)
{
    g_autofree char *volumes = g_build_filename(fixture->folder, "volumes", NULL);
    g_autoptr(GError) error = NULL;

    create(fixture, fixture->driver, VOLUME, 1);
    guest(fixture->driver, VOLUME, "write -P 0x41 3M 64k");
    guest(fixture->driver, VOLUME, "read -P 0x41 3M 64k");
    assert_closed(volumes, 'A');
    fixture->driver->grow(fixture->driver, VOLUME, 2, &error);
    g_assert_no_error(error);
    guest(fixture->driver, VOLUME, "write -P 0x41 1500M 64k");
    assert_closed(volumes, 'A');
    fixture->driver->delete (fixture->driver, VOLUME, &error);
    g_assert_no_error(error);
    RUN("test -z \"$(ls -A %s)\"", volumes);
}

static void
test_layers(Fixture *fixture, gconstpointer data)
{
    g_autofree char *volumes = g_build_filename(fixture->folder, "volumes", NULL);
    g_autofree char *images = g_build_filename(fixture->folder, "elsewhere", NULL);
    g_autofree char *first = NULL, *second = NULL, *third = NULL;
    g_autoptr(GError) error = NULL;

    create(fixture, fixture->driver, VOLUME, 1);
    guest(fixture->driver, VOLUME, "write -P 0x41 3M 64k");
    first = begin(fixture, FIRST);
    guest(fixture->driver, VOLUME, "write -P 0x42 5M 64k");
    second = begin(fixture, SECOND);
    guest(fixture->driver, VOLUME, "write -P 0x43 7M 64k");
    copy(fixture, FIRST, NULL, false);
    copy(fixture, SECOND, FIRST, false); /* only what differs */
    assert_closed(volumes, 'A');
    assert_closed(fixture->store, 'B');
    for (int i = 0; i < 2; i++) {
        fixture->driver->join(fixture->driver, VOLUME, &error);
        g_assert_no_error(error);
    }
    guest(fixture->driver, VOLUME, "read -P 0x41 3M 64k");
    guest(fixture->driver, VOLUME, "read -P 0x42 5M 64k");
    guest(fixture->driver, VOLUME, "read -P 0x43 7M 64k");
    create(fixture, fixture->elsewhere, OTHER, 1);
    guest(fixture->elsewhere, OTHER, "read -P 0x41 3M 64k");
    guest(fixture->elsewhere, OTHER, "read -P 0x42 5M 64k");
    guest(fixture->elsewhere, OTHER, "read -P 0 7M 64k");
    guest(fixture->elsewhere, OTHER, "write -P 0x44 7M 64k");
    assert_closed(images, 'D');
    /* The moment before is not known here any more: all of it goes to the store. */
    third = begin(fixture, THIRD);
    copy(fixture, THIRD, FIRST, true);
    fixture->elsewhere->delete (fixture->elsewhere, OTHER, &error);
    g_assert_no_error(error);
    create(fixture, fixture->elsewhere, OTHER, 1);
    guest(fixture->elsewhere, OTHER, "read -P 0x43 7M 64k");
    guest(fixture->elsewhere, OTHER, "read -P 0x41 3M 64k");
}

/* What is not encrypted is copied: the volume stands on nothing that can be read. */
static void
test_of_what_is_not(Fixture *fixture, gconstpointer data)
{
    g_autofree char *volumes = g_build_filename(fixture->folder, "volumes", NULL);
    g_autofree char *path = g_build_filename(fixture->store, PLAIN, NULL);
    g_autofree char *made = g_build_filename(fixture->store, FIRST, NULL);
    const char *files[] = { path, NULL };
    g_autoptr(GError) error = NULL;

    RUN("qemu-img create -q -f qcow2 %s 1G; qemu-io -f qcow2 -c 'write -P 0x45 3M 64k' %s", path,
        path);
    list_file(fixture, PLAIN);
    create(fixture, fixture->driver, VOLUME, 2);
    guest(fixture->driver, VOLUME, "read -P 0x45 3M 64k");
    assert_closed(volumes, 'E');
    fixture->driver->drop_base(fixture->driver, PLAIN, &error);
    g_assert_no_error(error);
    guest(fixture->driver, VOLUME, "read -P 0x45 3M 64k");
    /* … and so it is in the store */
    virga_encrypt_begin(files, made, KEY, &error);
    g_assert_no_error(error);
    virga_encrypt_fill(files, made, KEY, &error);
    g_assert_no_error(error);
    g_unlink(path);
    assert_closed(fixture->store, 'E');
    fixture->file_count = 0;
    list_file(fixture, FIRST);
    create(fixture, fixture->elsewhere, OTHER, 1);
    guest(fixture->elsewhere, OTHER, "read -P 0x45 3M 64k");
}

static void
test_without_the_key(Fixture *fixture, gconstpointer data)
{
    VirgaVolumeWish wish = { .id = OTHER, .size_gib = 1, .encrypted = true };
    VirgaSnapshotWish snapshot = { .id = FIRST, .volume_id = VOLUME };
    g_autofree char *path = NULL;
    g_autoptr(GError) error = NULL;
    bool exists;

    create(fixture, fixture->driver, VOLUME, 1);
    guest(fixture->driver, VOLUME, "write -P 0x41 3M 64k");
    fixture->passphrase = NULL;
    g_assert_null(fixture->driver->source(fixture->driver, VOLUME, NULL));
    g_assert_false(fixture->driver->grow(fixture->driver, VOLUME, 2, NULL));
    g_assert_false(fixture->driver->begin_layer(fixture->driver, &snapshot, &path, NULL));
    g_assert_false(fixture->driver->create(fixture->driver, &wish, &error));
    g_assert_true(virga_error_is(error, "volume", VIRGA_ERROR_RETRY));
    g_clear_error(&error);
    fixture->driver->inspect(fixture->driver, OTHER, &exists, &error);
    g_assert_no_error(error);
    g_assert_false(exists);
    fixture->passphrase = "another";
    g_assert_false(fixture->driver->grow(fixture->driver, VOLUME, 2, NULL));
    fixture->passphrase = KEY;
    fixture->driver->grow(fixture->driver, VOLUME, 2, &error);
    g_assert_no_error(error);
    guest(fixture->driver, VOLUME, "read -P 0x41 3M 64k");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/volume-encrypted/empty", Fixture, NULL, set_up, test_empty, tear_down);
    g_test_add("/volume-encrypted/layers", Fixture, NULL, set_up, test_layers, tear_down);
    g_test_add("/volume-encrypted/of-what-is-not", Fixture, NULL, set_up, test_of_what_is_not,
               tear_down);
    g_test_add("/volume-encrypted/without-the-key", Fixture, NULL, set_up, test_without_the_key,
               tear_down);
    return g_test_run();
}
