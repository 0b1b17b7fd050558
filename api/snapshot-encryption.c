/* SPDX-License-Identifier: Apache-2.0 */
#include "api/snapshot-encryption.h"

#include "api/store.h"
#include "compute/image.h"
#include "core/error.h"
#include "core/id.h"
#include "core/log.h"
#include "storage/encrypt.h"
#include "storage/hash.h"
#include "storage/snapshot-task.h"
#include "storage/volume-key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_S      15
#define PROLONG_S   20 /* a third of what a task is taken for */
#define PART_SUFFIX ".part"

struct VirgaEncryptor {
    const VirgaServices *services;
    char *worker;
    GThread *thread, *prolonger;
    GMutex lock;
    GCond changed;
    bool woken, stopping;
    char *task_id; /* that is being worked on, or NULL */
};

/* ---- one task ---- */

static char *
open_key(const VirgaServices *services, const char *key_id, GError **error)
{
    g_autoptr(VirgaKeyring) keyring = virga_services_keyring(services, error);
    g_autoptr(VirgaTxn) txn = keyring ? virga_db_begin(services->db, error) : NULL;
    char *passphrase = txn ? virga_volume_key_open(txn, keyring, key_id, error) : NULL;

    if (passphrase && !virga_txn_commit(txn, error))
        g_clear_pointer(&passphrase, virga_passphrase_free);
    return passphrase;
}

/* Of the store's files, the topmost first. */
static char **
paths_of(const VirgaServices *services, char *const *files)
{
    guint count = g_strv_length((char **) files);
    char **paths = g_new0(char *, count + 1);

    for (guint i = 0; i < count; i++)
        paths[i] = virga_store_path(services, files[count - 1 - i], VIRGA_STORE_FILE);
    return paths;
}

/* What is damaged must not come out of this as if it were whole. */
static bool
check_source(const VirgaSnapshotTask *task, char *const *paths, GError **error)
{
    guint count = g_strv_length(task->files);

    for (guint i = 0; i < count; i++) {
        const char *expected = task->sums[count - 1 - i];
        int fd = open(paths[i], O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        char sha256[65];
        bool read;

        if (fd < 0)
            return virga_fail_errno(error, "disk image", errno, "could not open \"%s\"", paths[i]);
        read = virga_file_sha256(fd, sha256, error);
        close(fd);
        if (!read)
            return false;
        if (*expected && !g_str_equal(expected, sha256))
            return virga_fail(error, "disk image", VIRGA_ERROR_INTERNAL,
                              "The data of the source is damaged.");
    }
    return true;
}

typedef struct {
    gint64 bytes;
    char sha256[65];
} Made;

/* Locked, so that no sweep takes it; it may have while the file was made. */
static int
lock_part(const char *part, GError **error)
{
    int fd = open(part, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 && errno == ENOENT)
        virga_fail(error, "disk image", VIRGA_ERROR_RETRY, "\"%s\" was swept away", part);
    else if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
        virga_fail_errno(error, "disk image", errno, "could not open \"%s\"", part);
    else
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static bool
look_at(int fd, Made *made, GError **error)
{
    struct stat status;

    if (fsync(fd) < 0 || fstat(fd, &status) < 0)
        return virga_fail_errno(error, "disk image", errno, "could not keep an encrypted file");
    made->bytes = status.st_size;
    return virga_file_sha256(fd, made->sha256, error);
}

/* Makes 'part' of the source's files; *ret_lock keeps it from being swept. */
static bool
encrypt(const VirgaServices *services, const VirgaSnapshotTask *task, const char *part,
        int *ret_lock, Made *made, GError **error)
{
    g_auto(GStrv) paths = paths_of(services, task->files);
    const char *const *files = (const char *const *) paths;
    char *passphrase = open_key(services, task->key_id, error);
    bool done = passphrase && check_source(task, paths, error) &&
                virga_encrypt_begin(files, part, passphrase, error) &&
                (*ret_lock = lock_part(part, error)) >= 0 &&
                virga_encrypt_fill(files, part, passphrase, error);

    virga_passphrase_free(passphrase);
    return done && look_at(*ret_lock, made, error);
}

/* The file gets its name while nobody else can take the task. */
static bool
settle(const VirgaServices *services, const VirgaEncryptor *encryptor,
       const VirgaSnapshotTask *task, const char *part, const Made *made, GError **error)
{
    g_autofree char *path = virga_store_path(services, task->id, VIRGA_STORE_FILE);
    g_autoptr(VirgaTxn) txn = virga_db_begin(services->db, error);
    bool held;

    if (!txn || !virga_snapshot_task_hold(txn, task->id, encryptor->worker, &held, error))
        return false;
    if (!held)
        return true; /* deleted, or another's */
    if (made->bytes && rename(part, path) < 0)
        return virga_fail_errno(error, "disk image", errno, "could not name \"%s\"", path);
    if (!virga_store_sync(services, error) ||
        !virga_snapshot_task_complete(txn, task->id, encryptor->worker, made->bytes,
                                      made->bytes ? made->sha256 : NULL, &held, error) ||
        !virga_image_settle(txn, task->id, error) || !virga_txn_commit(txn, error))
        return false;
    virga_info("snapshot", task->id, "encrypted");
    return true;
}

/* What is not encrypted now will not be by trying again: its owner sees why, and makes another. */
static void
give_up(const VirgaEncryptor *encryptor, const VirgaSnapshotTask *task, const char *message)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaTxn) txn = virga_db_begin(encryptor->services->db, &error);
    bool held;

    virga_notice("snapshot", task->id, "could not be encrypted: %s", message);
    if (!txn ||
        !virga_snapshot_task_fail(txn, task->id, encryptor->worker, message, &held, &error) ||
        !virga_image_settle(txn, task->id, &error) || !virga_txn_commit(txn, &error))
        virga_notice("snapshot", task->id, "%s", error->message);
}

static void
do_task(VirgaEncryptor *encryptor, const VirgaSnapshotTask *task)
{
    const VirgaServices *services = encryptor->services;
    g_autofree char *suffix = g_strconcat(".", encryptor->worker, PART_SUFFIX, NULL);
    g_autofree char *part = virga_store_path(services, task->id, suffix);
    g_autoptr(GError) error = NULL;
    Made made = { 0 };
    int fd = -1;
    bool done = (!*task->files || encrypt(services, task, part, &fd, &made, &error)) &&
                settle(services, encryptor, task, part, &made, &error);

    if (!done && !virga_error_is(error, NULL, VIRGA_ERROR_RETRY))
        give_up(encryptor, task, error->message);
    unlink(part);
    if (fd >= 0)
        close(fd);
}

static bool
take(VirgaEncryptor *encryptor, VirgaArena *arena, VirgaSnapshotTask *ret)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaTxn) txn = virga_db_begin(encryptor->services->db, &error);

    if (txn && virga_snapshot_task_take(txn, arena, encryptor->worker, ret, &error) &&
        (!ret->id || virga_txn_commit(txn, &error)))
        return ret->id != NULL;
    virga_notice("database", NULL, "could not look for snapshots to encrypt: %s", error->message);
    return false;
}

/* ---- the threads ---- */

static void
set_task(VirgaEncryptor *encryptor, const char *id)
{
    g_mutex_lock(&encryptor->lock);
    g_free(encryptor->task_id);
    encryptor->task_id = g_strdup(id);
    g_mutex_unlock(&encryptor->lock);
}

static bool
work(VirgaEncryptor *encryptor)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    VirgaSnapshotTask task;

    if (!take(encryptor, arena, &task))
        return false;
    set_task(encryptor, task.id);
    do_task(encryptor, &task);
    set_task(encryptor, NULL);
    return true;
}

static gpointer
work_main(gpointer data)
{
    VirgaEncryptor *encryptor = data;

    g_mutex_lock(&encryptor->lock);
    while (!encryptor->stopping) {
        gint64 until = g_get_monotonic_time() + LOOK_S * G_USEC_PER_SEC;

        encryptor->woken = false;
        g_mutex_unlock(&encryptor->lock);
        while (!encryptor->stopping && work(encryptor))
            ;
        g_mutex_lock(&encryptor->lock);
        while (!encryptor->stopping && !encryptor->woken &&
               g_cond_wait_until(&encryptor->changed, &encryptor->lock, until))
            ;
    }
    g_mutex_unlock(&encryptor->lock);
    return NULL;
}

static void
prolong(const VirgaEncryptor *encryptor, const char *id)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaTxn) txn = virga_db_begin(encryptor->services->db, &error);
    bool held;

    if (!txn || !virga_snapshot_task_prolong(txn, id, encryptor->worker, &held, &error) ||
        !virga_txn_commit(txn, &error))
        virga_notice("snapshot", id, "could not be kept for encryption: %s", error->message);
}

static gpointer
prolong_main(gpointer data)
{
    VirgaEncryptor *encryptor = data;

    g_mutex_lock(&encryptor->lock);
    while (!encryptor->stopping) {
        g_autofree char *id = g_strdup(encryptor->task_id);
        gint64 until = g_get_monotonic_time() + PROLONG_S * G_USEC_PER_SEC;

        g_mutex_unlock(&encryptor->lock);
        if (id)
            prolong(encryptor, id);
        g_mutex_lock(&encryptor->lock);
        while (!encryptor->stopping &&
               g_cond_wait_until(&encryptor->changed, &encryptor->lock, until))
            ;
    }
    g_mutex_unlock(&encryptor->lock);
    return NULL;
}

VirgaEncryptor *
virga_encryptor_new(const VirgaServices *services)
{
    VirgaEncryptor *encryptor = g_new0(VirgaEncryptor, 1);

    encryptor->services = services;
    encryptor->worker = virga_uuid_new();
    g_mutex_init(&encryptor->lock);
    g_cond_init(&encryptor->changed);
    encryptor->thread = g_thread_new("encrypt", work_main, encryptor);
    encryptor->prolonger = g_thread_new("prolong", prolong_main, encryptor);
    return encryptor;
}

void
virga_encryptor_wake(VirgaEncryptor *encryptor)
{
    g_mutex_lock(&encryptor->lock);
    encryptor->woken = true;
    g_cond_broadcast(&encryptor->changed);
    g_mutex_unlock(&encryptor->lock);
}

void
virga_encryptor_free(VirgaEncryptor *encryptor)
{
    g_mutex_lock(&encryptor->lock);
    encryptor->stopping = true;
    g_cond_broadcast(&encryptor->changed);
    g_mutex_unlock(&encryptor->lock);
    g_thread_join(encryptor->thread);
    g_thread_join(encryptor->prolonger);
    g_mutex_clear(&encryptor->lock);
    g_cond_clear(&encryptor->changed);
    g_free(encryptor->task_id);
    g_free(encryptor->worker);
    g_free(encryptor);
}
