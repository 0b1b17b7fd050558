/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of SigV4. */
#pragma once

#include "api/sigv4.h"

#define SHA256_BYTES 32
#define SHA256_HEX   64

void sigv4_append_sha256(GString *out, const void *data, gsize size);
bool sigv4_mismatch(GError **error, const char *why);
