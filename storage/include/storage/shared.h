/* SPDX-License-Identifier: Apache-2.0 */
/* File systems that guests share, on the host that keeps them: a sparse file with ext4 in it, which
 * is no larger than the file system may be, and is mounted.  ext4's journal is what survives a
 * crash.  'directory' has ID.img, and the directory ID where it is mounted; the guests' files are
 * in ID/data, which is there only while it is mounted.  Noun "file system". */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Makes it if it is not there, and mounts it.  Fails with CAPACITY, INTERNAL. */
bool virga_shared_ensure(const char *directory, const char *id, gint64 size_gib, GError **error);

/* Takes it away.  Not there: success.  Fails with IN_USE while somebody has files open in it. */
bool virga_shared_remove(const char *directory, const char *id, GError **error);

/* The ids of all that are there, NULL-terminated, the caller's. */
char **virga_shared_list(const char *directory);

/* What is in it; -1: it is not mounted. */
gint64 virga_shared_bytes(const char *directory, const char *id);
