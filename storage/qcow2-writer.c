/* SPDX-License-Identifier: Apache-2.0 */
/* The file, in clusters: the header, the first-level table, then data with the second-level tables
 * between, each behind the data that it tells of, and at the end the reference counts, which are 1
 * for every cluster.  Nothing is known of the file but the table that is being filled, so that a
 * disk of any size takes as much memory as a small one. */
#include "qcow2-writer.h"

#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CLUSTER        QCOW2_CLUSTER_BYTES
#define CLUSTER_BITS   16
#define TABLE_ENTRIES  (CLUSTER / 8)
#define COUNTS         (CLUSTER / 2) /* in one block, 16 bits each */
#define MAGIC          0x514649fbu
#define VERSION        3
#define COUNT_ORDER    4
#define HEADER_BYTES   104
#define ENTRY_OWN      (1ull << 63) /* its count is 1 */
#define ENTRY_ZERO     1ull
#define CLUSTERS_OF(n) (((n) + CLUSTER - 1) / CLUSTER)

struct Qcow2Writer {
    char *path;
    int fd;
    gint64 size;
    guint64 *first; /* the first-level table */
    gint64 first_entries;
    guint64 *table; /* the second-level table that is being filled, */
    gint64 filled;  /* its number; -1: none yet */
    gint64 next;    /* the first cluster of the file that is free */
};

static bool
write_at(Qcow2Writer *writer, gint64 cluster, const void *bytes, gsize size, GError **error)
{
    const guint8 *from = bytes;
    off_t at = (off_t) cluster * CLUSTER;

    while (size > 0) {
        ssize_t written = pwrite(writer->fd, from, size, at);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return virga_fail_errno(error, "volume", errno, "could not write \"%s\"", writer->path);
        from += written;
        at += written;
        size -= (gsize) written;
    }
    return true;
}

Qcow2Writer *
qcow2_writer_new(const char *path, gint64 size, GError **error)
{
    g_autoptr(Qcow2Writer) writer = g_new0(Qcow2Writer, 1);
    gint64 clusters = CLUSTERS_OF(size);

    writer->path = g_strdup(path);
    writer->size = size;
    writer->first_entries = (clusters + TABLE_ENTRIES - 1) / TABLE_ENTRIES;
    writer->first = g_new0(guint64, writer->first_entries);
    writer->table = g_new0(guint64, TABLE_ENTRIES);
    writer->filled = -1;
    writer->next = 1 + CLUSTERS_OF(writer->first_entries * 8);
    unlink(path);
    writer->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (writer->fd < 0) {
        virga_fail_errno(error, "volume", errno, "could not make \"%s\"", path);
        return NULL;
    }
    return g_steal_pointer(&writer);
}

/* Writes the table that is being filled, and begins another one. */
static bool
turn_to(Qcow2Writer *writer, gint64 table, GError **error)
{
    if (writer->filled >= 0) {
        if (!write_at(writer, writer->next, writer->table, CLUSTER, error))
            return false;
        writer->first[writer->filled] =
            GUINT64_TO_BE((guint64) writer->next++ * CLUSTER | ENTRY_OWN);
    }
    memset(writer->table, 0, CLUSTER);
    writer->filled = table;
    return true;
}

bool
qcow2_writer_add(Qcow2Writer *writer, gint64 cluster, const guint8 *bytes, GError **error)
{
    gint64 table = cluster / TABLE_ENTRIES;
    guint64 entry = ENTRY_ZERO;

    g_assert(table >= writer->filled && table < writer->first_entries);
    if (table != writer->filled && !turn_to(writer, table, error))
        return false;
    if (bytes) {
        if (!write_at(writer, writer->next, bytes, CLUSTER, error))
            return false;
        entry = (guint64) writer->next++ * CLUSTER | ENTRY_OWN;
    }
    writer->table[cluster % TABLE_ENTRIES] = GUINT64_TO_BE(entry);
    return true;
}

/* The counts of all clusters, those that hold counts among them; returns where their table is. */
static bool
write_counts(Qcow2Writer *writer, gint64 *ret_at, gint64 *ret_clusters, GError **error)
{
    gint64 blocks = 0, table = 0, total = writer->next, before;
    g_autofree guint16 *counts = g_new0(guint16, COUNTS);
    g_autofree guint64 *entries = NULL;

    do {
        before = total;
        blocks = (total + COUNTS - 1) / COUNTS;
        table = CLUSTERS_OF(blocks * 8);
        total = writer->next + blocks + table;
    } while (total != before);
    entries = g_malloc0((gsize) table * CLUSTER);
    for (gint64 i = 0; i < blocks; i++) {
        for (gint64 j = 0; j < COUNTS; j++)
            counts[j] = GUINT16_TO_BE(i * COUNTS + j < total ? 1 : 0);
        if (!write_at(writer, writer->next + i, counts, CLUSTER, error))
            return false;
        entries[i] = GUINT64_TO_BE((guint64) (writer->next + i) * CLUSTER);
    }
    *ret_at = writer->next + blocks;
    *ret_clusters = table;
    return write_at(writer, *ret_at, entries, (gsize) table * CLUSTER, error);
}

static void
put32(guint8 *at, guint32 value)
{
    value = GUINT32_TO_BE(value);
    memcpy(at, &value, sizeof value);
}

static void
put64(guint8 *at, guint64 value)
{
    value = GUINT64_TO_BE(value);
    memcpy(at, &value, sizeof value);
}

/* Last of all: without it the file is none. */
static bool
write_header(Qcow2Writer *writer, gint64 counts_at, gint64 counts_clusters, GError **error)
{
    g_autofree guint8 *header = g_malloc0(CLUSTER);

    put32(header, MAGIC);
    put32(header + 4, VERSION);
    put32(header + 20, CLUSTER_BITS);
    put64(header + 24, (guint64) writer->size);
    put32(header + 36, (guint32) writer->first_entries);
    put64(header + 40, CLUSTER);
    put64(header + 48, (guint64) counts_at * CLUSTER);
    put32(header + 56, (guint32) counts_clusters);
    put32(header + 96, COUNT_ORDER);
    put32(header + 100, HEADER_BYTES);
    return write_at(writer, 0, header, CLUSTER, error);
}

bool
qcow2_writer_finish(Qcow2Writer *writer, GError **error)
{
    gint64 at, clusters;

    if (!turn_to(writer, 0, error) ||
        !write_at(writer, 1, writer->first, (gsize) writer->first_entries * 8, error) ||
        !write_counts(writer, &at, &clusters, error) || !write_header(writer, at, clusters, error))
        return false;
    return fsync(writer->fd) == 0 ||
           virga_fail_errno(error, "volume", errno, "could not sync \"%s\"", writer->path);
}

void
qcow2_writer_free(Qcow2Writer *writer)
{
    if (!writer)
        return;
    if (writer->fd >= 0)
        close(writer->fd);
    g_free(writer->first);
    g_free(writer->table);
    g_free(writer->path);
    g_free(writer);
}
