/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/import.h"

#include "core/error.h"
#include "core/process.h"
#include "storage/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define NOUN              "disk image"
#define VIRTUAL_BYTES_MAX (16ll << 40)
#define INFO_MS           30000
#define CONVERT_MS        3600000
#define MEMORY_BYTES      (4ll << 30)
#define CPU_S             3600

/* Of qcow2's header; numbers are big-endian. */
#define QCOW2_BACKING_OFFSET         8
#define QCOW2_CRYPT_METHOD           32
#define QCOW2_INCOMPATIBLE           72
#define QCOW2_HEADER_BYTES           104
#define QCOW2_INCOMPATIBLE_DATA_FILE 4ull

/* Of a sparse VMDK's header; numbers are little-endian. */
#define VMDK_CAPACITY     12
#define VMDK_HEADER_BYTES 79

typedef struct {
    const char *magic;
    gsize length;
    const char *what;
} Foreign;

static const Foreign foreign[] = {
    { "\x1f\x8b", 2, "compressed by gzip: decompress it first" },
    { "\xfd"
      "7zXZ",
      5, "compressed by xz: decompress it first" },
    { "\x28\xb5\x2f\xfd", 4, "compressed by zstd: decompress it first" },
    { "BZh", 3, "compressed by bzip2: decompress it first" },
    { "PK\x03\x04", 4, "a zip archive: unpack it first" },
    { "conectix", 8, "a VHD: convert it by \"qemu-img convert -O qcow2\" first" },
    { "vhdxfile", 8, "a VHDX: convert it by \"qemu-img convert -O qcow2\" first" },
    { "<<< ", 4, "a VirtualBox disk: convert it by \"qemu-img convert -O qcow2\" first" },
    { "# Disk DescriptorFile", 21, "a VMDK that only names other files: convert it to one file" },
    { "QED\0", 4, "a QED image: convert it by \"qemu-img convert -O qcow2\" first" },
    { "LUKS\xba\xbe", 6, "encrypted" },
    { "<!DOCTYPE", 9, "a web page: check the address" },
    { "<html", 5, "a web page: check the address" },
};

static guint64
big_endian(const guint8 *at, int bytes)
{
    guint64 value = 0;

    for (int i = 0; i < bytes; i++)
        value = value << 8 | at[i];
    return value;
}

static const char *
check_qcow2(const guint8 *head, gsize length, GError **error)
{
    guint64 version = length >= 8 ? big_endian(head + 4, 4) : 0;

    if (length < QCOW2_HEADER_BYTES || version < 2 || version > 3)
        virga_fail(error, NOUN, VIRGA_ERROR_INVALID, "the qcow2 image has no valid header");
    else if (big_endian(head + QCOW2_BACKING_OFFSET, 8) != 0)
        virga_fail(error, NOUN, VIRGA_ERROR_INVALID,
                   "the qcow2 image stands on a backing file: merge both by \"qemu-img convert\"");
    else if (big_endian(head + QCOW2_CRYPT_METHOD, 4) != 0)
        virga_fail(error, NOUN, VIRGA_ERROR_UNSUPPORTED, "the qcow2 image is encrypted");
    else if (version == 3 &&
             big_endian(head + QCOW2_INCOMPATIBLE, 8) & QCOW2_INCOMPATIBLE_DATA_FILE)
        virga_fail(error, NOUN, VIRGA_ERROR_INVALID,
                   "the qcow2 image keeps its data in another file");
    else
        return "qcow2";
    return NULL;
}

static const char *
check_vmdk(const guint8 *head, gsize length, GError **error)
{
    /* Without a capacity of its own, it is a list of other files to open. */
    if (length < VMDK_HEADER_BYTES || big_endian(head + VMDK_CAPACITY, 8) == 0) {
        virga_fail(error, NOUN, VIRGA_ERROR_INVALID, "the VMDK holds no disk of its own");
        return NULL;
    }
    return "vmdk";
}

const char *
virga_import_format(const guint8 *head, gsize length, GError **error)
{
    if (length == 0) {
        virga_fail(error, NOUN, VIRGA_ERROR_INVALID, "the disk image is empty");
        return NULL;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(foreign); i++)
        if (length >= foreign[i].length && memcmp(head, foreign[i].magic, foreign[i].length) == 0) {
            virga_fail(error, NOUN, VIRGA_ERROR_UNSUPPORTED, "the disk image is %s",
                       foreign[i].what);
            return NULL;
        }
    if (length >= 4 && memcmp(head, "QFI\xfb", 4) == 0)
        return check_qcow2(head, length, error);
    if (length >= 4 && memcmp(head, "KDMV", 4) == 0)
        return check_vmdk(head, length, error);
    if (length < 512) {
        virga_fail(error, NOUN, VIRGA_ERROR_INVALID, "the disk image is shorter than a sector");
        return NULL;
    }
    return "raw";
}

/* ---- qemu-img ---- */

typedef struct {
    int fd;
    const char *into; /* NULL: nothing is written */
    gint64 bytes_max;
    const VirgaImportOptions *options;
} Job;

/* "    (12.34/100%)", each behind a carriage return */
static gint64
percent_of(const char *output)
{
    const char *last = strrchr(output, '(');

    return last ? CLAMP(g_ascii_strtoll(last + 1, NULL, 10), 0, 100) : 0;
}

static bool
on_output(const char *output, gpointer data)
{
    const VirgaImportOptions *options = data;

    return options->watch(percent_of(output), options->data);
}

static bool
run_qemu_img(const char *const *argv, const Job *job, unsigned timeout_ms, char **ret_output,
             GError **error)
{
    bool watched = job->into && job->options->watch;
    VirgaConfinement confinement = { .source = job->fd,
                                     .output = job->into,
                                     .memory_bytes = MEMORY_BYTES,
                                     .file_bytes = job->bytes_max,
                                     .cpu_s = CPU_S,
                                     .watch = watched ? on_output : NULL,
                                     .data = (gpointer) job->options };

    return virga_process_run_confined(argv, &confinement, timeout_ms, ret_output, error);
}

/* What qemu-img makes of it: our look at the header was right, and the size is sane. */
static bool
inspect(const Job *job, const char *format, VirgaImport *import, GError **error)
{
    const char *argv[] = { "qemu-img", "info",          "--output=json",     "-f",
                           format,     "--force-share", VIRGA_CONFINED_PATH, NULL };
    Job look = { .fd = job->fd };
    g_autoptr(GError) reason = NULL;
    g_autofree char *text = NULL;
    g_autoptr(JsonNode) node = NULL;
    JsonObject *info;

    if (!run_qemu_img(argv, &look, INFO_MS, &text, &reason))
        return virga_fail(error, NOUN, VIRGA_ERROR_INVALID, "the disk image cannot be read: %s",
                          reason->message);
    node = json_from_string(text, NULL);
    if (!node || !JSON_NODE_HOLDS_OBJECT(node))
        return virga_fail(error, NOUN, VIRGA_ERROR_INTERNAL, "qemu-img gave no answer");
    info = json_node_get_object(node);
    if (json_object_has_member(info, "backing-filename") ||
        json_object_get_boolean_member_with_default(info, "encrypted", FALSE))
        return virga_fail(error, NOUN, VIRGA_ERROR_INVALID,
                          "the disk image refers to another file or is encrypted");
    import->virtual_bytes = json_object_get_int_member_with_default(info, "virtual-size", 0);
    if (import->virtual_bytes <= 0 || import->virtual_bytes > VIRTUAL_BYTES_MAX)
        return virga_fail(error, NOUN, VIRGA_ERROR_INVALID,
                          "the disk image claims to be a disk of %" G_GINT64_FORMAT
                          " bytes; at most 16 TiB are taken",
                          import->virtual_bytes);
    return true;
}

static bool
finish(const char *into, VirgaImport *import, GError **error)
{
    int fd = open(into, O_RDONLY | O_CLOEXEC);
    struct stat status;
    bool done;

    if (fd < 0 || fstat(fd, &status) < 0 || fsync(fd) < 0) {
        virga_fail_errno(error, NOUN, errno, "could not keep the converted image");
        done = false;
    } else {
        import->file_bytes = status.st_size;
        done = virga_file_sha256(fd, import->sha256, error);
    }
    if (fd >= 0)
        close(fd);
    return done;
}

bool
virga_import_room(const char *path, gint64 reserve_bytes, gint64 *ret_bytes, GError **error)
{
    struct statvfs room;

    if (statvfs(path, &room) < 0)
        return virga_fail_errno(error, NOUN, errno, "could not look at \"%s\"", path);
    *ret_bytes = (gint64) (room.f_bavail * room.f_frsize) - reserve_bytes;
    return *ret_bytes > 0 ||
           virga_fail(error, NOUN, VIRGA_ERROR_CAPACITY, "there is no room for another disk image");
}

static bool
convert(const Job *job, const char *format, GError **error)
{
    const char *argv[] = { "qemu-img", "convert",           "-p",      "-f", format, "-O",
                           "qcow2",    VIRGA_CONFINED_PATH, job->into, NULL };
    g_autoptr(GError) reason = NULL;

    if (run_qemu_img(argv, job, CONVERT_MS, NULL, &reason))
        return true;
    if (reason->code == VIRGA_ERROR_STATE)
        return virga_fail(error, NOUN, VIRGA_ERROR_STATE, "the conversion was ended");
    if (reason->code == VIRGA_ERROR_CAPACITY || strstr(reason->message, g_strerror(ENOSPC)))
        return virga_fail(error, NOUN, VIRGA_ERROR_CAPACITY, "there is no room for the disk image");
    return virga_fail(error, NOUN, VIRGA_ERROR_INVALID, "the disk image cannot be converted: %s",
                      reason->message);
}

bool
virga_import_convert(int fd, const char *into, const VirgaImportOptions *options, VirgaImport *ret,
                     GError **error)
{
    Job job = { .fd = fd, .into = into, .options = options };
    guint8 head[VIRGA_IMPORT_HEAD_BYTES];
    ssize_t got = pread(fd, head, sizeof head, 0);
    const char *format;

    *ret = (VirgaImport){ 0 };
    if (got < 0)
        return virga_fail_errno(error, NOUN, errno, "could not read the disk image");
    format = virga_import_format(head, (gsize) got, error);
    if (format && options->format && !g_str_equal(format, options->format))
        return virga_fail(error, NOUN, VIRGA_ERROR_INVALID, "the disk image is %s, not %s", format,
                          options->format);
    return format && virga_import_room(into, options->reserve_bytes, &job.bytes_max, error) &&
           virga_file_sha256(fd, ret->source_sha256, error) && inspect(&job, format, ret, error) &&
           convert(&job, format, error) && finish(into, ret, error);
}
