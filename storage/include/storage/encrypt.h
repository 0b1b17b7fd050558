/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots' files that are encrypted by virgad, in the store. */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Makes an empty encrypted disk at 'into', as large as the one that a chain of files holds, the
 * topmost first; what their headers say that they stand on is of no matter.  Noun "volume". */
bool virga_encrypt_begin(const char *const *files, const char *into, const char *passphrase,
                         GError **error);
/* Copies what is in the one to the other. */
bool virga_encrypt_fill(const char *const *files, const char *into, const char *passphrase,
                        GError **error);
