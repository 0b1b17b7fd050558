/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/shared.h"

#include "core/error.h"
#include "core/process.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define NOUN     "file system"
#define SUFFIX   ".img"
#define MKFS_MS  120000
#define MOUNT_MS 60000
#define GIB      (1ll << 30)

static char *
image_of(const char *directory, const char *id, const char *suffix)
{
    return g_strconcat(directory, "/", id, suffix, NULL);
}

/* Another filesystem than the directory that it is in. */
static bool
is_mounted(const char *directory, const char *id)
{
    g_autofree char *point = image_of(directory, id, "");
    struct stat inside, outside;

    return stat(point, &inside) == 0 && stat(directory, &outside) == 0 &&
           inside.st_dev != outside.st_dev;
}

static bool
make_image(const char *directory, const char *path, gint64 size_gib, GError **error)
{
    g_autofree char *part = g_strconcat(path, ".part", NULL);
    const char *argv[] = { "mkfs.ext4",          "-q", "-F",      "-m", "0", "-E",
                           "lazy_itable_init=1", "-J", "size=64", part, NULL };
    int fd = open(part, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), folder;
    bool done = fd >= 0 && ftruncate(fd, size_gib * GIB) == 0;

    if (!done)
        virga_fail_errno(error, NOUN, errno, "could not make \"%s\"", part);
    done = done && virga_process_run(argv, NULL, MKFS_MS, NULL, error);
    if (done && (fsync(fd) < 0 || rename(part, path) < 0))
        done = virga_fail_errno(error, NOUN, errno, "could not make \"%s\"", path);
    if (fd >= 0)
        close(fd);
    folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
        done = done && fsync(folder) == 0;
        close(folder);
    }
    return done;
}

bool
virga_shared_ensure(const char *directory, const char *id, gint64 size_gib, GError **error)
{
    g_autofree char *path = image_of(directory, id, SUFFIX);
    g_autofree char *point = image_of(directory, id, "");
    g_autofree char *data = image_of(directory, id, "/data");
    const char *argv[] = { "mount", "-t",  "ext4", "-o", "loop,nosuid,nodev,noexec",
                           path,    point, NULL };

    if (is_mounted(directory, id))
        return true;
    if (g_mkdir_with_parents(point, 0711) < 0)
        return virga_fail_errno(error, NOUN, errno, "could not make \"%s\"", point);
    if (access(path, F_OK) < 0 && !make_image(directory, path, size_gib, error))
        return false;
    if (!virga_process_run(argv, NULL, MOUNT_MS, NULL, error))
        return false;
    return g_mkdir(data, 0755) == 0 || errno == EEXIST ||
           virga_fail_errno(error, NOUN, errno, "could not make \"%s\"", data);
}

bool
virga_shared_remove(const char *directory, const char *id, GError **error)
{
    g_autofree char *path = image_of(directory, id, SUFFIX);
    g_autofree char *point = image_of(directory, id, "");

    if (is_mounted(directory, id) && umount2(point, UMOUNT_NOFOLLOW) < 0)
        return virga_fail(error, NOUN, errno == EBUSY ? VIRGA_ERROR_IN_USE : VIRGA_ERROR_INTERNAL,
                          "could not unmount \"%s\": %s", point, g_strerror(errno));
    if (g_unlink(path) < 0 && errno != ENOENT)
        return virga_fail_errno(error, NOUN, errno, "could not remove \"%s\"", path);
    g_rmdir(point);
    return true;
}

char **
virga_shared_list(const char *directory)
{
    g_autoptr(GDir) files = g_dir_open(directory, 0, NULL);
    g_autoptr(GStrvBuilder) ids = g_strv_builder_new();
    const char *name;

    while (files && (name = g_dir_read_name(files))) {
        g_autofree char *id =
            g_str_has_suffix(name, SUFFIX) ? g_strndup(name, strlen(name) - strlen(SUFFIX)) : NULL;

        if (id)
            g_strv_builder_add(ids, id);
    }
    return g_strv_builder_end(ids);
}

gint64
virga_shared_bytes(const char *directory, const char *id)
{
    g_autofree char *point = image_of(directory, id, "");
    struct statvfs room;

    if (!is_mounted(directory, id) || statvfs(point, &room) < 0)
        return -1;
    return (gint64) ((room.f_blocks - room.f_bfree) * room.f_frsize);
}
