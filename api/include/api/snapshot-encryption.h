/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that makes encrypted snapshots of others in the store (storage/snapshot-task.h). */
#pragma once

#include "api/services.h"

typedef struct VirgaEncryptor VirgaEncryptor;

VirgaEncryptor *virga_encryptor_new(const VirgaServices *services);
/* There may be something to do. */
void virga_encryptor_wake(VirgaEncryptor *encryptor);
/* What it is at is left, and done by another or anew. */
void virga_encryptor_free(VirgaEncryptor *encryptor);
