/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a qcow2 file from its beginning to its end, of clusters that come in order: what a
 * snapshot's file is made of where the bytes are not in qcow2 files.  What is not added is not in
 * the file, so that whatever it is put upon shows through.  Noun "volume". */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define QCOW2_CLUSTER_BYTES 65536

typedef struct Qcow2Writer Qcow2Writer;

/* For a disk of 'size' bytes; what is at 'path' is replaced. */
Qcow2Writer *qcow2_writer_new(const char *path, gint64 size, GError **error);
/* Adds a cluster behind all that were added before; 'bytes' NULL: one of zeros. */
bool qcow2_writer_add(Qcow2Writer *writer, gint64 cluster, const guint8 *bytes, GError **error);
/* The file is whole and durable after this. */
bool qcow2_writer_finish(Qcow2Writer *writer, GError **error);
void qcow2_writer_free(Qcow2Writer *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Qcow2Writer, qcow2_writer_free)
