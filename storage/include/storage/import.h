/* SPDX-License-Identifier: Apache-2.0 */
/* Disk images of others become snapshots of ours.
 *
 * The bytes are hostile.  Their format is told by our own look at the first bytes, never by
 * probing; what would make qemu-img open another file (a backing file, a data file, an extent) is
 * refused before it runs, and it runs confined (core/process.h): it sees the image, the file that
 * it makes and the system's libraries. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define VIRGA_IMPORT_HEAD_BYTES 1024 /* are enough for virga_import_format() */

/* The name that qemu-img has for an image which begins with 'head': "raw", "qcow2" or "vmdk".
 * Pure; any bytes may come.  Noun "disk image": INVALID for what is no disk image or refers to
 * other files, UNSUPPORTED for formats and features that are not taken.  NULL with an error. */
const char *virga_import_format(const guint8 *head, gsize length, GError **error);

typedef struct {
    gint64 virtual_bytes, file_bytes; /* of the disk, of the snapshot's file */
    char source_sha256[65], sha256[65];
} VirgaImport;

typedef struct {
    const char *format;                           /* that it must have; NULL: any */
    gint64 reserve_bytes;                         /* stay free where the file is made */
    bool (*watch)(gint64 percent, gpointer data); /* false ends it; or NULL */
    gpointer data;
} VirgaImportOptions;

/* Makes the qcow2 file 'into', which is there and empty, of the image that 'fd' is open for,
 * durable when this returns; the caller renames it, or takes it away on failure.  Noun "disk
 * image": INVALID, UNSUPPORTED as above, CAPACITY when there is no room, STATE when 'watch' ended
 * it, INTERNAL. */
bool virga_import_convert(int fd, const char *into, const VirgaImportOptions *options,
                          VirgaImport *ret, GError **error);

/* How many bytes there is room for in the filesystem of 'path' if so many are to stay free.  Noun
 * "disk image": CAPACITY if there is none. */
bool virga_import_room(const char *path, gint64 reserve_bytes, gint64 *ret_bytes, GError **error);
