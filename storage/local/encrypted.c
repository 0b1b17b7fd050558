/* SPDX-License-Identifier: Apache-2.0 */
/* Encrypted volumes: all of their layers, and the base images that they stand on, are encrypted
 * with one passphrase.  A layer begins as a copy of an empty disk that the volume has for this,
 * since to make one takes seconds. */
#include "local-priv.h"

#include "core/error.h"
#include "core/process.h"
#include "storage/volume-key.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#define EMPTY "empty.luks" /* among the layers of a volume */

char *
local_passphrase(Local *local, const char *volume_id, GError **error)
{
    if (local->passphrase)
        return local->passphrase(volume_id, local->passphrase_data, error);
    virga_fail(error, "volume", VIRGA_ERROR_INTERNAL, "the key of \"%s\" cannot be asked for",
               volume_id);
    return NULL;
}

/* The file alone, whatever it stands on. */
static char *
one_file(const char *path)
{
    const char *files[] = { path, NULL };

    return luks_chain(files, true);
}

bool
local_resize_encrypted(const char *path, gint64 bytes, const char *passphrase, GError **error)
{
    g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, bytes);
    g_autofree char *file = one_file(path);
    const char *argv[] = { "resize", "-q", file, size, NULL };

    return luks_run(argv, passphrase, QEMU_IMG_MS, error);
}

static bool
set_below(const char *path, const char *below, const char *passphrase, GError **error)
{
    g_autofree char *file = one_file(path);
    const char *argv[] = { "rebase", "-q", "-u", "-F", "qcow2", "-b", below, file, NULL };

    return luks_run(argv, passphrase, QEMU_IMG_MS, error);
}

bool
local_set_below(Local *local, const char *volume_id, const char *path, const char *below,
                GError **error)
{
    g_autofree char *passphrase = NULL;
    bool encrypted, done;

    if (!luks_is_encrypted(path, &encrypted, error))
        return false;
    if (!encrypted)
        return qcow2_set_below(path, below, "qcow2", error);
    if (!below)
        return virga_fail(error, "volume", VIRGA_ERROR_INTERNAL,
                          "\"%s\" is not all that is encrypted", path);
    passphrase = local_passphrase(local, volume_id, error);
    done = passphrase && set_below(path, below, passphrase, error);
    virga_passphrase_free(g_steal_pointer(&passphrase));
    return done;
}

/* The volume's empty disk, the caller's path. */
static char *
empty_disk(Local *local, const char *volume_id, gint64 bytes, const char *passphrase,
           GError **error)
{
    g_autofree char *directory = local_layers_directory(local, volume_id);
    g_autofree char *path = g_build_filename(directory, EMPTY, NULL);
    g_autofree char *temporary = g_strconcat(path, ".part", NULL);
    bool made;

    if (g_file_test(path, G_FILE_TEST_EXISTS))
        return g_steal_pointer(&path);
    made = local_make_layers_directory(local, directory, error) &&
           luks_make(temporary, bytes, passphrase, error) &&
           local_put_in_place(directory, temporary, path, error);
    if (!made)
        g_unlink(temporary);
    return made ? g_steal_pointer(&path) : NULL;
}

static bool
copy_file(const char *from, const char *to, GError **error)
{
    const char *argv[] = { "cp", "--sparse=always", from, to, NULL };

    return virga_process_run(argv, NULL, QEMU_IMG_MS, NULL, error);
}

bool
local_make_encrypted(Local *local, const char *volume_id, gint64 bytes, const char *below,
                     const char *passphrase, const char *path, GError **error)
{
    g_autofree char *empty = empty_disk(local, volume_id, bytes, passphrase, error);

    return empty && copy_file(empty, path, error) && chmod(path, 0600) == 0 &&
           local_resize_encrypted(path, bytes, passphrase, error) &&
           (!below || set_below(path, below, passphrase, error));
}

/* Makes an encrypted file of all that another one holds with what it stands on. */
static bool
flatten(Local *local, const char *volume_id, const char *from, const char *passphrase,
        const char *path, GError **error)
{
    g_auto(GStrv) files = luks_files(from, error);
    g_autofree char *chain = NULL;
    bool encrypted;
    gint64 bytes;

    if (!files || !luks_is_encrypted(from, &encrypted, error) ||
        !qcow2_read_header(from, &bytes, NULL, error))
        return false;
    chain = luks_chain((const char *const *) files, encrypted);
    return local_make_encrypted(local, volume_id, bytes, NULL, passphrase, path, error) &&
           luks_fill(chain, path, passphrase, error);
}

bool
local_flatten(Local *local, const char *volume_id, const char *from, const char *path,
              GError **error)
{
    const char *argv[] = { "qemu-img", "convert", "-q", "-f", "qcow2",
                           "-O",       "qcow2",   from, path, NULL };
    char *passphrase;
    bool encrypted, done;

    if (!luks_is_encrypted(from, &encrypted, error))
        return false;
    if (!encrypted)
        return virga_process_run(argv, NULL, QEMU_IMG_COPY_MS, NULL, error);
    passphrase = local_passphrase(local, volume_id, error);
    done = passphrase && flatten(local, volume_id, from, passphrase, path, error);
    virga_passphrase_free(passphrase);
    return done;
}

/* On a base image that is encrypted, too; else a copy of it, or empty. */
static bool
create(Local *local, const VirgaVolumeWish *wish, const char *base, const char *passphrase,
       const char *path, GError **error)
{
    gint64 bytes = wish->size_gib << 30;
    bool encrypted = false;

    if (base && !luks_is_encrypted(base, &encrypted, error))
        return false;
    if (!base || encrypted)
        return local_make_encrypted(local, wish->id, bytes, base, passphrase, path, error);
    return flatten(local, wish->id, base, passphrase, path, error) &&
           local_resize_encrypted(path, bytes, passphrase, error);
}

bool
local_create_encrypted(Local *local, const VirgaVolumeWish *wish, const char *base,
                       const char *path, GError **error)
{
    char *passphrase = local_passphrase(local, wish->id, error);
    bool made = passphrase && create(local, wish, base, passphrase, path, error);

    virga_passphrase_free(passphrase);
    return made;
}

bool
local_join_encrypted(Local *local, const char *volume_id, const char *path, GError **error)
{
    g_auto(GStrv) files = luks_files(path, error);
    g_autofree char *chain = files ? luks_chain((const char *const *) files, true) : NULL;
    char *passphrase = chain ? local_passphrase(local, volume_id, error) : NULL;
    const char *argv[] = { "commit", "-q", "-d", chain, NULL };
    bool done = passphrase && luks_run(argv, passphrase, QEMU_IMG_COPY_MS, error);

    virga_passphrase_free(passphrase);
    return done;
}

void
virga_volume_local_set_passphrases(VirgaVolumeDriver *driver, VirgaVolumePassphrase get,
                                   gpointer data)
{
    Local *local = (Local *) driver;

    local->passphrase = get;
    local->passphrase_data = data;
}
