/* SPDX-License-Identifier: Apache-2.0 */
/* qcow2 files whose data is encrypted: LUKS inside qcow2, each with a header of its own.
 *
 * A passphrase reaches qemu-img by its standard input, never by its arguments or a file.  All of a
 * chain is encrypted with one passphrase, or nothing of it.  Noun "volume". */
#pragma once

#include <glib.h>
#include <stdbool.h>

bool luks_is_encrypted(const char *path, bool *ret_encrypted, GError **error);

/* Makes an empty encrypted disk.  Takes seconds, since the strength of the passphrase is measured
 * on this machine: another of the same passphrase is better made as a copy. */
bool luks_make(const char *path, gint64 bytes, const char *passphrase, GError **error);

/* The files of a chain from the one at 'path' on, by their headers; NULL-terminated, the
 * caller's. */
char **luks_files(const char *path, GError **error);

/* What qemu-img is to open for a chain of files, the topmost first; the caller's.  What their
 * headers say that they stand on is of no matter. */
char *luks_chain(const char *const *files, bool encrypted);

/* Runs qemu-img with the passphrase as its secret "key" (NULL: it gets none): argv[0] is the
 * command ("resize"), what follows stands behind its options. */
bool luks_run(const char *const *argv, const char *passphrase, unsigned timeout_ms, GError **error);

/* Copies the data of a chain into the empty encrypted disk 'into', which is as large. */
bool luks_fill(const char *chain, const char *into, const char *passphrase, GError **error);
