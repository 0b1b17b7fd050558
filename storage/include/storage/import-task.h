/* SPDX-License-Identifier: Apache-2.0 */
/* Imports that are wished for: the rows.  Whoever works on one says so now and then; one whose
 * runner is silent is another's.  Nothing of an import is there before all of it is. */
#pragma once

#include "core/db.h"

typedef struct {
    char *url; /* NULL: the snapshot is there already */
    char *format, *device, *description, *snapshot_id;
    gint64 bytes; /* that were fetched */
} VirgaImportDisk;

typedef struct {
    char *id, *account_id, *description;
    char *architecture, *boot_mode; /* NULL: of a snapshot */
    char *license, *platform;
    char *state; /* "active", "deleting", "deleted", "completed", "error" */
    char *message, *image_id;
    gint64 progress; /* percent */
    gint64 attempts; /* with this one */
    VirgaImportDisk *disks;
    size_t disk_count;
} VirgaImportTask;

/* Records a wish and wakes those who work.  Noun "import task": QUOTA. */
bool virga_import_task_create(VirgaTxn *txn, const VirgaImportTask *task, GError **error);

/* The account's, in order of id, in 'arena'; 'ids' NULL: all.  'images': those of images, else
 * those of snapshots. */
bool virga_import_task_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            const char *const *ids, bool images, VirgaImportTask **ret,
                            size_t *ret_count, GError **error);

/* Ends one.  The states are constants.  Noun "import task": NOT_FOUND, STATE if it has ended. */
bool virga_import_task_cancel(VirgaTxn *txn, const char *account_id, const char *id,
                              const char *reason, const char **ret_previous, const char **ret_state,
                              GError **error);

/* ---- for whoever works on them ---- */

/* The next one that nobody works on becomes the runner's; *ret is in 'arena', or NULL. */
bool virga_import_task_claim(VirgaTxn *txn, VirgaArena *arena, const char *runner,
                             VirgaImportTask **ret, GError **error);
/* Says how far it is.  'ret_wanted': it is still the runner's and to be gone on with. */
bool virga_import_task_note(VirgaTxn *txn, const char *id, const char *runner, gint64 progress,
                            const char *message, bool *ret_wanted, GError **error);
/* What was fetched of a disk, and what was made of it. */
bool virga_import_task_note_disk(VirgaTxn *txn, const char *id, gint64 position,
                                 const VirgaImportDisk *disk, GError **error);
/* It ends in 'state'.  Noun "import task": STATE if it is not the runner's any more, or was to be
 * ended and 'state' is "completed". */
bool virga_import_task_end(VirgaTxn *txn, const char *id, const char *runner, const char *state,
                           const char *message, const char *image_id, GError **error);
/* It is another's to be done. */
bool virga_import_task_release(VirgaTxn *txn, const char *id, const char *runner, GError **error);
/* Those that ended long ago are forgotten. */
bool virga_import_task_sweep(VirgaTxn *txn, GError **error);
