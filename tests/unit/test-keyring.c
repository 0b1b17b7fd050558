/* SPDX-License-Identifier: Apache-2.0 */
/* Key-encryption keys: their file, and what they wrap. */
#include "storage/keyring.h"

#include "core/error.h"

#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#define OLD "old AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
#define NEW "new AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"

typedef struct {
    char *folder, *path;
} Fixture;

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->folder = g_dir_make_tmp("virga-keyring-XXXXXX", NULL);
    fixture->path = g_build_filename(fixture->folder, "keys", NULL);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    g_unlink(fixture->path);
    g_assert_cmpint(g_rmdir(fixture->folder), ==, 0); /* nothing else was left */
    g_free(fixture->folder);
    g_free(fixture->path);
}

static void
put(Fixture *fixture, const char *text, int mode)
{
    g_assert_true(g_file_set_contents(fixture->path, text, -1, NULL));
    g_assert_cmpint(g_chmod(fixture->path, (mode_t) mode), ==, 0);
}

static VirgaKeyring *
open_keyring(Fixture *fixture, bool make)
{
    g_autoptr(GError) error = NULL;
    VirgaKeyring *keyring = virga_keyring_open(fixture->path, make, &error);

    g_assert_no_error(error);
    return keyring;
}

static void
assert_fails(Fixture *fixture, bool make, VirgaErrorCode code)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(virga_keyring_open(fixture->path, make, &error));
    g_assert_true(virga_error_is(error, "keyring", code));
}

static void
test_made_once(Fixture *fixture, gconstpointer data)
{
    g_autofree char *before = NULL, *after = NULL, *first = NULL;
    struct stat status;

    assert_fails(fixture, false, VIRGA_ERROR_NOT_FOUND);
    {
        g_autoptr(VirgaKeyring) keyring = open_keyring(fixture, true);

        first = g_strdup(virga_keyring_current(keyring));
    }
    g_assert_cmpint(stat(fixture->path, &status), ==, 0);
    g_assert_cmpint(status.st_mode & 0777, ==, 0600);
    g_assert_true(g_file_get_contents(fixture->path, &before, NULL, NULL));
    {
        g_autoptr(VirgaKeyring) keyring = open_keyring(fixture, true);

        g_assert_cmpstr(virga_keyring_current(keyring), ==, first);
    }
    g_assert_true(g_file_get_contents(fixture->path, &after, NULL, NULL));
    g_assert_cmpstr(before, ==, after);
}

static void
test_file(Fixture *fixture, gconstpointer data)
{
    static const char *const invalid[] = {
        "",
        "# nothing\n",
        "id\n",
        "id short\n",
        "id AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= more\n",
        "a/b AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        "an-id-that-is-longer-than-it-may-ever-be AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
        OLD OLD,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(invalid); i++) {
        put(fixture, invalid[i], 0600);
        assert_fails(fixture, true, VIRGA_ERROR_INVALID);
    }
    for (int mode = 0; mode < 0100; mode += mode < 010 ? 1 : 010) {
        if (mode == 0)
            continue;
        put(fixture, OLD, 0600 | mode);
        assert_fails(fixture, true, VIRGA_ERROR_DENIED);
        g_assert_false(virga_keyring_check(fixture->path, NULL));
    }
    put(fixture, "# comment\n\n" NEW OLD, 0400);
    g_assert_true(virga_keyring_check(fixture->path, NULL));
    virga_keyring_free(open_keyring(fixture, false));
}

static void
test_wrapping(Fixture *fixture, gconstpointer data)
{
    guint8 key[32], opened[32];
    g_autofree char *wrapped = NULL, *again = NULL;
    g_autoptr(VirgaKeyring) keyring = open_keyring(fixture, true);
    const char *kek = virga_keyring_current(keyring);

    memset(key, 7, sizeof key);
    wrapped = virga_keyring_wrap(keyring, "vkey-1", key, sizeof key);
    again = virga_keyring_wrap(keyring, "vkey-1", key, sizeof key);
    g_assert_cmpstr(wrapped, !=, again); /* never by the same nonce */
    g_assert_true(virga_keyring_unwrap(keyring, kek, "vkey-1", wrapped, opened, 32, NULL));
    g_assert_cmpmem(key, 32, opened, 32);
    g_assert_false(virga_keyring_unwrap(keyring, kek, "vkey-2", wrapped, opened, 32, NULL));
    g_assert_false(virga_keyring_unwrap(keyring, kek, "vkey-1", wrapped, opened, 31, NULL));
    g_assert_false(virga_keyring_unwrap(keyring, kek, "vkey-1", "", opened, 32, NULL));
    for (gsize i = 0; i < strlen(wrapped); i++) {
        g_autofree char *damaged = g_strdup(wrapped);
        g_autofree guchar *before = NULL, *after = NULL;
        g_autoptr(GError) error = NULL;
        gsize size, size_after;

        damaged[i] = damaged[i] == 'A' ? 'B' : 'A';
        before = g_base64_decode(wrapped, &size);
        after = g_base64_decode(damaged, &size_after);
        if (size == size_after && memcmp(before, after, size) == 0)
            continue; /* only bits that mean nothing */
        g_assert_false(virga_keyring_unwrap(keyring, kek, "vkey-1", damaged, opened, 32, &error));
        g_assert_true(virga_error_is(error, "keyring", VIRGA_ERROR_INVALID));
    }
}

static void
test_rotation(Fixture *fixture, gconstpointer data)
{
    guint8 key[32] = { 1, 2, 3 }, opened[32];
    g_autofree char *by_old = NULL, *by_new = NULL;
    g_autoptr(GError) error = NULL;

    put(fixture, OLD, 0600);
    {
        g_autoptr(VirgaKeyring) keyring = open_keyring(fixture, true);

        by_old = virga_keyring_wrap(keyring, "vkey-1", key, sizeof key);
    }
    put(fixture, NEW OLD, 0600);
    {
        g_autoptr(VirgaKeyring) keyring = open_keyring(fixture, true);

        g_assert_cmpstr(virga_keyring_current(keyring), ==, "new");
        by_new = virga_keyring_wrap(keyring, "vkey-1", key, sizeof key);
        g_assert_true(virga_keyring_unwrap(keyring, "old", "vkey-1", by_old, opened, 32, NULL));
        g_assert_true(virga_keyring_unwrap(keyring, "new", "vkey-1", by_new, opened, 32, NULL));
        g_assert_false(virga_keyring_unwrap(keyring, "old", "vkey-1", by_new, opened, 32, NULL));
    }
    put(fixture, NEW, 0600);
    {
        g_autoptr(VirgaKeyring) keyring = open_keyring(fixture, true);

        g_assert_false(virga_keyring_unwrap(keyring, "old", "vkey-1", by_old, opened, 32, &error));
        g_assert_true(virga_error_is(error, "keyring", VIRGA_ERROR_NOT_FOUND));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/keyring/made-once", Fixture, NULL, set_up, test_made_once, tear_down);
    g_test_add("/keyring/file", Fixture, NULL, set_up, test_file, tear_down);
    g_test_add("/keyring/wrapping", Fixture, NULL, set_up, test_wrapping, tear_down);
    g_test_add("/keyring/rotation", Fixture, NULL, set_up, test_rotation, tear_down);
    return g_test_run();
}
