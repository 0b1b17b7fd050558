/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/scrub.h"

#include "core/error.h"
#include "storage/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOUN        "file"
#define BLOCK_BYTES (1u << 20)
#define ALIGNMENT   4096
#define NAP_US      (100 * 1000)
#define IOPRIO_IDLE (3 << 13)
#define IOPRIO_SELF 1
#define FILE_SUFFIX ".qcow2"
#define SUM_SUFFIX  ".sum"
#define DAMAGED     ".damaged"

void
virga_scrub_be_humble(void)
{
    setpriority(PRIO_PROCESS, (id_t) syscall(SYS_gettid), 19); /* of a thread, in Linux */
    syscall(SYS_ioprio_set, IOPRIO_SELF, 0, IOPRIO_IDLE);
}

/* ---- reading ---- */

/* Past the cache, where the filesystem can. */
static int
open_direct(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_DIRECT);

    return fd >= 0 || errno != EINVAL ? fd : open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

/* Sleeps until 'bytes' may have been read since 'begun'. */
static bool
keep_pace(const VirgaScrubPace *pace, gint64 begun, gint64 bytes)
{
    gint64 due = begun + (gint64) ((double) bytes * G_USEC_PER_SEC / (double) pace->bytes_per_s);

    do {
        if (pace->go_on && !pace->go_on(pace->data))
            return false;
        if (g_get_monotonic_time() < due)
            g_usleep((gulong) CLAMP(due - g_get_monotonic_time(), 0, NAP_US));
    } while (g_get_monotonic_time() < due);
    return true;
}

static bool
hash_file(int fd, guint8 *block, const VirgaScrubPace *pace, VirgaHash *hash, GError **error)
{
    gint64 begun = g_get_monotonic_time(), bytes = 0;
    ssize_t got;

    while ((got = read(fd, block, BLOCK_BYTES)) > 0) {
        virga_hash_add(hash, block, (gsize) got);
        bytes += got;
        if (!keep_pace(pace, begun, bytes))
            return virga_fail(error, NOUN, VIRGA_ERROR_STATE, "the look was ended");
    }
    return got == 0 || virga_fail_errno(error, NOUN, errno, "could not be read");
}

bool
virga_scrub_read(const char *path, const VirgaScrubPace *pace, char hex[static 65], GError **error)
{
    g_autofree guint8 *raw = g_malloc(BLOCK_BYTES + ALIGNMENT);
    guint8 *block = (guint8 *) (((guintptr) raw + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    g_autoptr(VirgaHash) hash = virga_hash_new();
    int fd = open_direct(path);
    bool done;

    if (fd < 0 && errno == ENOENT)
        return virga_fail(error, NOUN, VIRGA_ERROR_NOT_FOUND, "there is no \"%s\"", path);
    if (fd < 0)
        return virga_fail_errno(error, NOUN, errno, "could not open \"%s\"", path);
    done = hash_file(fd, block, pace, hash, error);
    if (done)
        virga_hash_end(hash, hex);
    close(fd);
    return done;
}

/* ---- what is known of a file ---- */

typedef struct {
    guint64 inode;
    gint64 changed_ns, size; /* of its content, as it was when it was first looked at */
    gint64 looked;           /* when, in microseconds since the epoch; 0: never */
    char sha256[65];
} Sum;

static char *
beside(const char *directory, const char *id, const char *suffix)
{
    return g_strconcat(directory, "/", id, suffix, NULL);
}

/* The record of this very file; 'looked' is 0 if there is none. */
static bool
read_sum(const char *directory, const char *id, Sum *ret)
{
    g_autofree char *path = beside(directory, id, FILE_SUFFIX);
    g_autofree char *sum_path = beside(directory, id, SUM_SUFFIX);
    g_autofree char *text = NULL;
    struct stat status;
    Sum old;

    if (stat(path, &status) < 0)
        return false;
    *ret =
        (Sum){ .inode = status.st_ino,
               .changed_ns = status.st_mtim.tv_sec * G_USEC_PER_SEC * 1000 + status.st_mtim.tv_nsec,
               .size = status.st_size };
    if (g_file_get_contents(sum_path, &text, NULL, NULL) &&
        sscanf(text,
               "%64[0-9a-f] %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT
               " %" G_GINT64_FORMAT,
               old.sha256, &old.inode, &old.changed_ns, &old.size, &old.looked) == 5 &&
        old.inode == ret->inode && old.changed_ns == ret->changed_ns && old.size == ret->size)
        *ret = old;
    return true;
}

static bool
write_sum(const char *directory, const char *id, const Sum *sum, GError **error)
{
    g_autofree char *path = beside(directory, id, SUM_SUFFIX);
    g_autofree char *text = g_strdup_printf(
        "%s %" G_GUINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT "\n",
        sum->sha256, sum->inode, sum->changed_ns, sum->size, sum->looked);
    g_autoptr(GError) reason = NULL;

    return g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600,
                                    &reason) ||
           virga_fail(error, NOUN, VIRGA_ERROR_INTERNAL, "%s", reason->message);
}

/* The id whose look is the oldest, the caller's, or NULL. */
static char *
choose(const char *directory, gint64 age_s, Sum *ret_sum)
{
    gint64 before = g_get_real_time() - age_s * G_USEC_PER_SEC;
    g_autoptr(GDir) files = g_dir_open(directory, 0, NULL);
    char *chosen = NULL;
    const char *name;

    while (files && (name = g_dir_read_name(files))) {
        g_autofree char *id = g_strndup(name, strcspn(name, "."));
        Sum sum;

        if (!g_str_equal(name + strlen(id), FILE_SUFFIX) || !read_sum(directory, id, &sum) ||
            sum.looked > before || (chosen && sum.looked >= ret_sum->looked))
            continue;
        g_free(chosen);
        chosen = g_steal_pointer(&id);
        *ret_sum = sum;
    }
    return chosen;
}

/* ---- looking ---- */

static bool
mark_damaged(const char *directory, const char *id, GError **error)
{
    g_autofree char *path = beside(directory, id, DAMAGED);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0 || fsync(fd) < 0) {
        virga_fail_errno(error, NOUN, errno, "could not write \"%s\"", path);
        if (fd >= 0)
            close(fd);
        return false;
    }
    close(fd);
    return true;
}

void
virga_scrub_forget(const char *directory, const char *id)
{
    g_autofree char *sum = beside(directory, id, SUM_SUFFIX);
    g_autofree char *mark = beside(directory, id, DAMAGED);

    g_unlink(sum);
    g_unlink(mark);
}

static void
forget_damage(const char *directory, const char *id)
{
    g_autofree char *path = beside(directory, id, DAMAGED);

    g_unlink(path);
}

/* What differs is read again: memory errs, too. */
static bool
look_at(const char *path, const Sum *sum, const VirgaScrubPace *pace, char found[static 65],
        bool *ret_damaged, GError **error)
{
    *ret_damaged = false;
    for (int i = 0; i < 2; i++) {
        if (!virga_scrub_read(path, pace, found, error))
            return false;
        if (!sum->looked || g_str_equal(found, sum->sha256))
            return true;
    }
    *ret_damaged = true;
    return true;
}

bool
virga_scrub_next(const char *directory, gint64 age_s, const VirgaScrubPace *pace,
                 VirgaScrubOutcome *ret_outcome, char **ret_id, GError **error)
{
    Sum sum = { 0 };
    g_autofree char *id = choose(directory, age_s, &sum);
    g_autofree char *path = id ? beside(directory, id, FILE_SUFFIX) : NULL;
    g_autoptr(GError) reason = NULL;
    char found[65];
    bool damaged;

    *ret_outcome = VIRGA_SCRUB_IDLE;
    *ret_id = NULL;
    if (!id)
        return true;
    if (!look_at(path, &sum, pace, found, &damaged, &reason)) {
        if (virga_error_is(reason, NOUN, VIRGA_ERROR_NOT_FOUND))
            return true; /* it has just gone */
        damaged = virga_error_is(reason, NOUN, VIRGA_ERROR_INTERNAL);
        if (!damaged) {
            g_propagate_error(error, g_steal_pointer(&reason));
            return false;
        }
        memset(found, '0', sizeof found - 1); /* what cannot be read was never this */
        found[sizeof found - 1] = '\0';
    }
    if (!sum.looked)
        g_strlcpy(sum.sha256, found, sizeof sum.sha256);
    sum.looked = g_get_real_time();
    if (damaged && !mark_damaged(directory, id, error))
        return false;
    if (!damaged)
        forget_damage(directory, id);
    if (!write_sum(directory, id, &sum, error))
        return false;
    if (access(path, F_OK) < 0) { /* it went while it was looked at */
        virga_scrub_forget(directory, id);
        return true;
    }
    *ret_outcome = damaged ? VIRGA_SCRUB_DAMAGED : VIRGA_SCRUB_SOUND;
    *ret_id = g_steal_pointer(&id);
    return true;
}

/* ---- what was found ---- */

bool
virga_scrub_is_damaged(const char *directory, const char *id)
{
    g_autofree char *path = beside(directory, id, DAMAGED);

    return access(path, F_OK) == 0;
}

char **
virga_scrub_damaged(const char *directory)
{
    g_autoptr(GDir) files = g_dir_open(directory, 0, NULL);
    g_autoptr(GStrvBuilder) found = g_strv_builder_new();
    const char *name;

    while (files && (name = g_dir_read_name(files))) {
        g_autofree char *id = g_strndup(name, strcspn(name, "."));
        g_autofree char *file = beside(directory, id, FILE_SUFFIX);
        g_autofree char *path = g_build_filename(directory, name, NULL);
        bool mark = g_str_equal(name + strlen(id), DAMAGED);

        if (!mark && !g_str_equal(name + strlen(id), SUM_SUFFIX))
            continue;
        if (access(file, F_OK) < 0)
            g_unlink(path);
        else if (mark)
            g_strv_builder_add(found, id);
    }
    return g_strv_builder_end(found);
}
