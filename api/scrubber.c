/* SPDX-License-Identifier: Apache-2.0 */
#include "api/scrubber.h"

#include "api/store.h"
#include "compute/image.h"
#include "core/error.h"
#include "core/log.h"
#include "storage/scrub.h"
#include "storage/snapshot-check.h"

#include <string.h>
#include <sys/stat.h>

#define PAUSE_S 1  /* between two files */
#define IDLE_S  10 /* when none is due */
#define NOTE_US (60 * G_USEC_PER_SEC)
#define MIB     (1ll << 20)

struct VirgaScrubber {
    VirgaServices *services;
    GThread *thread;
    GMutex lock;
    GCond stop;
    int stopping; /* atomic: looked at while a file is read */
};

/* A file that is being read. */
typedef struct {
    VirgaScrubber *scrubber;
    const VirgaSnapshotCheck *check;
    gint64 noted;
} Look;

static bool
go_on(gpointer data)
{
    Look *look = data;
    gint64 now = g_get_monotonic_time();

    if (now - look->noted > NOTE_US) {
        g_autoptr(VirgaTxn) txn = virga_db_begin(look->scrubber->services->db, NULL);

        look->noted = now;
        if (txn && virga_snapshot_check_note(txn, look->check->id, NULL))
            virga_txn_commit(txn, NULL); /* or another one reads it, too */
    }
    return !g_atomic_int_get(&look->scrubber->stopping);
}

/* What differs is read again: memory errs, too.  False: it was not read to its end. */
static bool
read_file(Look *look, const char *path, bool *ret_damaged, GError **error)
{
    const VirgaConfig *config = look->scrubber->services->config;
    VirgaScrubPace pace = { .bytes_per_s = virga_config_int(config, "storage", "scrub-mib") * MIB,
                            .go_on = go_on,
                            .data = look };
    char sha256[65] = "";

    *ret_damaged = true;
    for (int i = 0; i < 2 && *ret_damaged; i++) {
        g_autoptr(GError) reason = NULL;

        if (virga_scrub_read(path, &pace, sha256, &reason)) {
            *ret_damaged = !g_str_equal(sha256, look->check->sha256);
        } else if (virga_error_is(reason, NULL, VIRGA_ERROR_STATE)) {
            g_propagate_error(error, g_steal_pointer(&reason));
            return false;
        } else {
            virga_notice("snapshot", look->check->id, "%s", reason->message);
        }
    }
    return true;
}

static bool
end(Look *look, bool damaged, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(look->scrubber->services->db, error);

    return txn && virga_snapshot_check_end(txn, look->check->id, damaged, error) &&
           (damaged == look->check->damaged || virga_image_note_damage(txn, error)) &&
           virga_txn_commit(txn, error);
}

static void
release(const Look *look)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(look->scrubber->services->db, NULL);

    if (txn && virga_snapshot_check_release(txn, look->check->id, NULL))
        virga_txn_commit(txn, NULL); /* or it waits a little */
}

static bool
check_file(VirgaScrubber *scrubber, const VirgaSnapshotCheck *check, GError **error)
{
    g_autofree char *path = virga_store_path(scrubber->services, check->id, VIRGA_STORE_FILE);
    Look look = { .scrubber = scrubber, .check = check, .noted = g_get_monotonic_time() };
    bool damaged;

    if (!read_file(&look, path, &damaged, error)) {
        release(&look);
        return false;
    }
    if (damaged != check->damaged)
        virga_notice("snapshot", check->id, "its file is %s", damaged ? "DAMAGED" : "sound again");
    return end(&look, damaged, error);
}

/* *ret_found: there may be more. */
static bool
check_next(VirgaScrubber *scrubber, bool *ret_found, GError **error)
{
    const VirgaConfig *config = scrubber->services->config;
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(VirgaTxn) txn = NULL;
    VirgaSnapshotCheck *check;

    *ret_found = false;
    if (virga_config_int(config, "storage", "scrub-mib") == 0)
        return true;
    txn = virga_db_begin(scrubber->services->db, error);
    if (!txn ||
        !virga_snapshot_check_claim(txn, arena,
                                    virga_config_int(config, "storage", "scrub-days") * 24 * 3600,
                                    &check, error) ||
        !virga_txn_commit(txn, error))
        return false;
    g_clear_pointer(&txn, virga_txn_free); /* reading takes long */
    *ret_found = check != NULL;
    return !check || check_file(scrubber, check, error);
}

static gpointer
scrub_main(gpointer data)
{
    VirgaScrubber *scrubber = data;

    virga_scrub_be_humble();
    while (!g_atomic_int_get(&scrubber->stopping)) {
        g_autoptr(GError) error = NULL;
        gint64 next;
        bool found;

        if (!check_next(scrubber, &found, &error) && !g_atomic_int_get(&scrubber->stopping))
            virga_notice("snapshot", NULL, "could not check the store: %s", error->message);
        next = g_get_monotonic_time() + (found ? PAUSE_S : IDLE_S) * G_USEC_PER_SEC;
        g_mutex_lock(&scrubber->lock);
        while (!g_atomic_int_get(&scrubber->stopping))
            if (!g_cond_wait_until(&scrubber->stop, &scrubber->lock, next))
                break;
        g_mutex_unlock(&scrubber->lock);
    }
    return NULL;
}

VirgaScrubber *
virga_scrubber_new(VirgaServices *services)
{
    VirgaScrubber *scrubber = g_new0(VirgaScrubber, 1);

    scrubber->services = services;
    g_mutex_init(&scrubber->lock);
    g_cond_init(&scrubber->stop);
    scrubber->thread = g_thread_new("scrub", scrub_main, scrubber);
    return scrubber;
}

void
virga_scrubber_free(VirgaScrubber *scrubber)
{
    if (!scrubber)
        return;
    g_mutex_lock(&scrubber->lock);
    g_atomic_int_set(&scrubber->stopping, 1);
    g_cond_broadcast(&scrubber->stop);
    g_mutex_unlock(&scrubber->lock);
    g_thread_join(scrubber->thread);
    g_cond_clear(&scrubber->stop);
    g_mutex_clear(&scrubber->lock);
    g_free(scrubber);
}
