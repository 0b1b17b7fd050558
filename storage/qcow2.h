/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be known of a qcow2 file without opening it as a disk.  Noun "volume". */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* What the header of a qcow2 file says: the size of the disk, and the file that it stands on, or
 * NULL, the caller's; either may be not wanted. */
bool qcow2_read_header(const char *path, gint64 *ret_size, char **ret_below, GError **error);
/* True if some process has the file open as a disk that is written to. */
bool qcow2_is_written(const char *path, bool *ret_written, GError **error);
/* Writes into a file's header what it stands on ('below' NULL: nothing; of that format), and
 * nothing else. */
bool qcow2_set_below(const char *path, const char *below, const char *format, GError **error);
