/* SPDX-License-Identifier: Apache-2.0 */
#include "api/import-worker.h"

#include "api/store.h"
#include "compute/image.h"
#include "core/error.h"
#include "core/http-fetch.h"
#include "core/id.h"
#include "core/log.h"
#include "storage/import-task.h"
#include "storage/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LOOK_S        10 /* hints may be lost */
#define NOTE_US       (2 * G_USEC_PER_SEC)
#define ATTEMPTS_MAX  3
#define FETCH_S       (6 * 3600)
#define WORKERS_MAX   8
#define GIB           (1ll << 30)
#define FETCH_SHARE   50 /* percent of a disk's progress */
#define CONVERT_SHARE 45

struct VirgaImportWorker {
    VirgaServices *services;
    GThread *threads[WORKERS_MAX];
    size_t count;
    GMutex lock;
    GCond wake;
    unsigned hints;
    int stopping; /* atomic: looked at while something is being done */
};

/* One task in one thread. */
typedef struct {
    VirgaImportWorker *worker;
    VirgaArena *arena;
    VirgaImportTask *task;
    const char *runner;
    VirgaStoreImport *files; /* one for each disk; those without a URL have none */
    size_t disk;             /* that is being made */
    const char *stage;
    gint64 noted; /* when, monotonic */
    bool wanted;
} Run;

/* ---- how far it is ---- */

static bool
note(Run *run, gint64 progress, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(run->worker->services->db, error);

    return txn &&
           virga_import_task_note(txn, run->task->id, run->runner, progress, run->stage,
                                  &run->wanted, error) &&
           virga_txn_commit(txn, error);
}

/* While the database is away the work goes on; whether it is wanted is asked at the end. */
static bool
go_on(Run *run, gint64 percent_of_disk)
{
    gint64 count = (gint64) run->task->disk_count, now = g_get_monotonic_time();

    if (g_atomic_int_get(&run->worker->stopping))
        return false;
    if (now - run->noted < NOTE_US)
        return true;
    run->noted = now;
    note(run, ((gint64) run->disk * 100 + percent_of_disk) / count, NULL);
    return run->wanted;
}

static bool
on_fetched(gint64 bytes, gint64 total, gpointer data)
{
    return go_on(data, total > 0 ? bytes * FETCH_SHARE / total : 0);
}

static bool
on_converted(gint64 percent, gpointer data)
{
    return go_on(data, FETCH_SHARE + percent * CONVERT_SHARE / 100);
}

/* ---- a disk ---- */

static VirgaFetchScope
scope_of(const VirgaConfig *config)
{
    const char *scope = virga_config_text(config, "storage", "import-from");

    return g_str_equal(scope, "any")       ? VIRGA_FETCH_ANY
           : g_str_equal(scope, "private") ? VIRGA_FETCH_PRIVATE
                                           : VIRGA_FETCH_PUBLIC;
}

/* A file without a name: whatever happens, nothing of it stays. */
static int
open_unnamed(const char *directory, GError **error)
{
    int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0)
        virga_fail_errno(error, "disk image", errno, "could not make a file in \"%s\"", directory);
    return fd;
}

static bool
make_disk(Run *run, GError **error)
{
    const VirgaServices *services = run->worker->services;
    VirgaImportDisk *disk = &run->task->disks[run->disk];
    gint64 most = virga_config_int(services->config, "storage", "import-max-gib") * GIB, room;
    VirgaFetch fetch = {
        .scope = scope_of(services->config), .timeout_s = FETCH_S, .watch = on_fetched, .data = run
    };
    VirgaImportOptions options = { .format = disk->format, .watch = on_converted, .data = run };
    int fd = open_unnamed(services->store, error);
    bool done;

    run->stage = "downloading";
    done = fd >= 0 && virga_store_room(services, &room, error);
    fetch.bytes_max = done ? MIN(most, room) : 0;
    done = done && virga_http_fetch(disk->url, fd, &fetch, error);
    if (done) {
        disk->bytes = lseek(fd, 0, SEEK_END);
        run->stage = "converting";
        done = virga_store_import(services, fd, options, &run->files[run->disk], error);
    }
    if (fd >= 0)
        close(fd);
    if (done)
        disk->snapshot_id = run->files[run->disk].id;
    return done;
}

/* ---- all of it ---- */

static bool
add_snapshot(Run *run, VirgaTxn *txn, size_t i, GError **error)
{
    const VirgaImportTask *task = run->task;
    const VirgaImportDisk *disk = &task->disks[i];
    const VirgaStoreImport *file = &run->files[i];
    VirgaSnapshot snapshot = { .id = file->id,
                               .account_id = task->account_id,
                               .description =
                                   virga_arena_printf(run->arena, "Imported by %s", task->id),
                               .sha256 = (char *) file->disk.sha256,
                               .size_gib = (file->disk.virtual_bytes + GIB - 1) / GIB,
                               .bytes = file->disk.file_bytes };

    return virga_snapshot_create(txn, &snapshot, error) &&
           virga_import_task_note_disk(txn, task->id, (gint64) i, disk, error);
}

static bool
add_image(Run *run, VirgaTxn *txn, char **ret_id, GError **error)
{
    const VirgaImportTask *task = run->task;
    VirgaImage image = { .account_id = task->account_id,
                         .name = task->id,
                         .description = task->description,
                         .architecture = task->architecture,
                         .boot_mode = task->boot_mode,
                         .root_device_name = task->disks[0].device,
                         .ena_support = true,
                         .devices =
                             virga_arena_new_array(run->arena, VirgaImageDevice, task->disk_count),
                         .device_count = task->disk_count };

    for (size_t i = 0; i < task->disk_count; i++)
        image.devices[i] = (VirgaImageDevice){ .device = task->disks[i].device,
                                               .snapshot_id = task->disks[i].snapshot_id,
                                               .volume_type = (char *) "gp2",
                                               .delete_on_termination = true };
    return virga_image_register(txn, run->arena, &image, ret_id, error);
}

static bool
add_rows(Run *run, VirgaTxn *txn, GError **error)
{
    char *image_id = NULL;

    for (size_t i = 0; i < run->task->disk_count; i++)
        if (run->files[i].id && !add_snapshot(run, txn, i, error))
            return false;
    return (!run->task->architecture || add_image(run, txn, &image_id, error)) &&
           virga_import_task_end(txn, run->task->id, run->runner, "completed", NULL, image_id,
                                 error);
}

/* The rows come with the files or not at all: the names are there before the commit. */
static bool
finish(Run *run, GError **error)
{
    const VirgaServices *services = run->worker->services;
    g_autoptr(VirgaTxn) txn = virga_db_begin(services->db, error);

    if (!txn || !add_rows(run, txn, error))
        return false;
    for (size_t i = 0; i < run->task->disk_count; i++)
        if (run->files[i].id && !virga_store_import_name(&run->files[i], error))
            return false;
    if (!virga_store_sync(services, error))
        return false;
    /* Once the rows may be there the files stay: an answer to a commit may be lost. */
    for (size_t i = 0; i < run->task->disk_count; i++)
        run->files[i].kept = true;
    return virga_txn_commit(txn, error);
}

static bool
make(Run *run, GError **error)
{
    if (run->task->attempts > ATTEMPTS_MAX)
        return virga_fail(error, "disk image", VIRGA_ERROR_INTERNAL,
                          "the import was interrupted %d times", ATTEMPTS_MAX);
    for (run->disk = 0; run->disk < run->task->disk_count; run->disk++)
        if (run->task->disks[run->disk].url && !make_disk(run, error))
            return false;
    run->stage = "preparing";
    return finish(run, error);
}

/* What the caller can mend is told as EC2 tells it; what is broken here is in the log. */
static const char *
explain(Run *run, const GError *reason)
{
    if (reason->code == VIRGA_ERROR_INTERNAL || !virga_error_is_ours(reason))
        return "ServerError: an internal error has occurred during conversion.";
    return virga_arena_printf(run->arena, "ClientError: %s", reason->message);
}

static void
fail(Run *run, const GError *reason)
{
    bool is_image = run->task->architecture != NULL;
    bool canceled = !run->wanted || g_str_equal(run->task->state, "deleting");
    const char *state = canceled || is_image ? "deleted" : "error";
    const char *message = canceled ? "canceled" : explain(run, reason);
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaTxn) txn = virga_db_begin(run->worker->services->db, &error);

    if (!canceled)
        virga_notice("import", run->task->id, "failed: %s", reason->message);
    if (!txn ||
        !virga_import_task_end(txn, run->task->id, run->runner, state, message, NULL, &error) ||
        !virga_txn_commit(txn, &error))
        virga_notice("import", run->task->id, "could not be ended: %s", error->message);
}

static void
release(const Run *run)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(run->worker->services->db, NULL);

    if (txn && virga_import_task_release(txn, run->task->id, run->runner, NULL))
        virga_txn_commit(txn, NULL); /* or its silence tells */
}

static void
work_on(VirgaImportWorker *worker, VirgaArena *arena, VirgaImportTask *task, const char *runner)
{
    Run run = { .worker = worker,
                .arena = arena,
                .task = task,
                .runner = runner,
                .files = virga_arena_new_array(arena, VirgaStoreImport, task->disk_count),
                .wanted = true };
    g_autoptr(GError) reason = NULL;
    bool done;

    if (g_str_equal(task->state, "deleting"))
        done = virga_fail(&reason, "import task", VIRGA_ERROR_STATE, "it was canceled");
    else
        done = make(&run, &reason);
    if (done)
        virga_notice("import", task->id, "completed");
    else if (!g_atomic_int_get(&worker->stopping) || g_str_equal(task->state, "deleting"))
        fail(&run, reason);
    else
        release(&run);
    for (size_t i = 0; i < task->disk_count; i++)
        virga_store_import_clear(&run.files[i]);
}

/* ---- threads ---- */

/* *ret_found: there may be more. */
static bool
take_one(VirgaImportWorker *worker, const char *runner, bool *ret_found, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(VirgaTxn) txn = virga_db_begin(worker->services->db, error);
    VirgaImportTask *task;

    *ret_found = false;
    if (!txn || !virga_import_task_sweep(txn, error) ||
        !virga_import_task_claim(txn, arena, runner, &task, error) || !virga_txn_commit(txn, error))
        return false;
    g_clear_pointer(&txn, virga_txn_free); /* the work takes long */
    *ret_found = task != NULL;
    if (task) {
        virga_store_sweep(worker->services);
        work_on(worker, arena, task, runner);
    }
    return true;
}

static gpointer
worker_main(gpointer data)
{
    VirgaImportWorker *worker = data;
    g_autofree char *runner = virga_uuid_new();
    unsigned seen = 0;

    while (!g_atomic_int_get(&worker->stopping)) {
        gint64 next = g_get_monotonic_time() + LOOK_S * G_USEC_PER_SEC;
        g_autoptr(GError) error = NULL;
        bool found;

        if (!take_one(worker, runner, &found, &error))
            virga_notice("import", NULL, "could not look for tasks: %s", error->message);
        g_mutex_lock(&worker->lock);
        while (!found && seen == worker->hints && !g_atomic_int_get(&worker->stopping))
            if (!g_cond_wait_until(&worker->wake, &worker->lock, next))
                break;
        seen = worker->hints;
        g_mutex_unlock(&worker->lock);
    }
    return NULL;
}

VirgaImportWorker *
virga_import_worker_new(VirgaServices *services)
{
    VirgaImportWorker *worker = g_new0(VirgaImportWorker, 1);

    worker->services = services;
    g_mutex_init(&worker->lock);
    g_cond_init(&worker->wake);
    worker->count =
        (size_t) CLAMP(virga_config_int(services->config, "storage", "imports"), 0, WORKERS_MAX);
    for (size_t i = 0; i < worker->count; i++)
        worker->threads[i] = g_thread_new("import", worker_main, worker);
    return worker;
}

void
virga_import_worker_wake(VirgaImportWorker *worker)
{
    g_mutex_lock(&worker->lock);
    worker->hints++;
    g_cond_broadcast(&worker->wake);
    g_mutex_unlock(&worker->lock);
}

void
virga_import_worker_free(VirgaImportWorker *worker)
{
    if (!worker)
        return;
    g_atomic_int_set(&worker->stopping, 1);
    virga_import_worker_wake(worker);
    for (size_t i = 0; i < worker->count; i++)
        g_thread_join(worker->threads[i]);
    g_cond_clear(&worker->wake);
    g_mutex_clear(&worker->lock);
    g_free(worker);
}
