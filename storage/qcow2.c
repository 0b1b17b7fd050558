/* SPDX-License-Identifier: Apache-2.0 */
#include "qcow2.h"

#include "core/error.h"
#include "core/process.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MAGIC          0x514649fbu
#define PATH_BYTES_MAX 1023 /* the format's limit */
/* QEMU marks each permission that it has on a file by a lock on a byte of its own. */
#define WRITER_BYTE 101
#define SET_MS      60000

typedef struct {
    guint32 magic, version;
    guint64 backing_offset;
    guint32 backing_size, cluster_bits;
    guint64 size;
} Header;

static bool
read_header(int fd, Header *header)
{
    if (pread(fd, header, sizeof *header, 0) != sizeof *header ||
        GUINT32_FROM_BE(header->magic) != MAGIC)
        return false;
    header->backing_offset = GUINT64_FROM_BE(header->backing_offset);
    header->backing_size = GUINT32_FROM_BE(header->backing_size);
    header->size = GUINT64_FROM_BE(header->size);
    return header->backing_size <= PATH_BYTES_MAX;
}

bool
qcow2_read_header(const char *path, gint64 *ret_size, char **ret_below, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    g_autofree char *below = NULL;
    Header header = { 0 };
    bool valid;

    if (fd < 0)
        return virga_fail_errno(error, "volume", errno, "could not open \"%s\"", path);
    valid = read_header(fd, &header);
    if (valid && header.backing_offset) {
        below = g_malloc0(header.backing_size + 1);
        valid = pread(fd, below, header.backing_size, (off_t) header.backing_offset) ==
                (ssize_t) header.backing_size;
    }
    close(fd);
    /* QEMU would open whatever such a text says, and whoever follows the chain would lose it. */
    valid = valid && !(below && g_str_has_prefix(below, "json:"));
    if (!valid)
        return virga_fail(error, "volume", VIRGA_ERROR_INTERNAL, "\"%s\" is no qcow2 file", path);
    if (ret_size)
        *ret_size = (gint64) header.size;
    if (ret_below)
        *ret_below = g_steal_pointer(&below);
    return true;
}

bool
qcow2_is_written(const char *path, bool *ret_written, GError **error)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = WRITER_BYTE, .l_len = 1
    };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int failure = fd < 0 || fcntl(fd, F_OFD_GETLK, &lock) < 0 ? errno : 0;

    if (fd >= 0)
        close(fd);
    if (failure)
        return virga_fail_errno(error, "volume", failure, "could not look at \"%s\"", path);
    *ret_written = lock.l_type != F_UNLCK;
    return true;
}

bool
qcow2_set_below(const char *path, const char *below, const char *format, GError **error)
{
    const char *on[] = { "qemu-img", "rebase", "-q", "-u",  "-f", "qcow2",
                         "-F",       format,   "-b", below, path, NULL };
    const char *off[] = { "qemu-img", "rebase", "-q", "-u", "-f", "qcow2", "-b", "", path, NULL };

    return virga_process_run(below ? on : off, NULL, SET_MS, NULL, error);
}
