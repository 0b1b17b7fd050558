/* SPDX-License-Identifier: Apache-2.0 */
/* Works on imports of disk images in the background: fetches, converts, and then makes all of a
 * task's rows in one transaction.  What a crash leaves are files that nobody claims; the task is
 * begun anew by whoever finds it, a few times. */
#pragma once

#include "api/services.h"

typedef struct VirgaImportWorker VirgaImportWorker;

VirgaImportWorker *virga_import_worker_new(VirgaServices *services);
/* Ends what is being done; the tasks remain. */
void virga_import_worker_free(VirgaImportWorker *worker);

/* There may be a new task. */
void virga_import_worker_wake(VirgaImportWorker *worker);
