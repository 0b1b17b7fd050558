/* SPDX-License-Identifier: Apache-2.0 */
/* What guests print on their serial console: the hypervisor appends it to a file, whose end goes to
 * virgad soon after it has grown, and once more when the guest's life is over.
 *
 * The file's older part is given back to the filesystem as a hole.  Nothing moves, so that neither
 * the guest nor a reader loses a byte of what is kept, whatever happens in between. */
#include "node-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    gint64 size, time; /* of the file when it was read last */
    gint64 next;       /* not before this (monotonic) */
    unsigned reports;  /* without a rest */
} Console;

#define SHOWN_BYTES 65536
#define FILE_BYTES  (1ll << 20) /* on disk; beyond it, all but the end goes */
#define KEPT_BYTES  (256ll << 10)
#define PROBE_MS    500
#define PAUSE_MS    1000 /* from one report of a guest's console to the next */
#define CHATTER     120  /* reports without a rest between them: then one every … */
#define CHATTER_MS  10000

char *
node_console_path(VirgaNode *node, const char *id)
{
    g_autofree char *name = g_strconcat(id, ".log", NULL);

    return g_build_filename(node->console_directory, name, NULL);
}

static void
trim(const char *path, int fd, const struct stat *status)
{
    gint64 end = status->st_size - KEPT_BYTES;

    if (status->st_blocks * 512 <= FILE_BYTES || end <= 0)
        return;
    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, end) < 0) {
        /* A filesystem without holes: what was shown is at virgad, and the file begins anew. */
        if (ftruncate(fd, 0) < 0)
            virga_warning("domain", NULL, "could not shorten \"%s\": %s", path, g_strerror(errno));
    }
}

/* The end of the file, base64; the file is trimmed. */
static char *
read_end(const char *path, struct stat *ret_status)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    g_autofree guchar *bytes = NULL;
    ssize_t got = -1;

    if (fd < 0)
        return NULL;
    if (fstat(fd, ret_status) == 0 && S_ISREG(ret_status->st_mode)) {
        gint64 size = MIN(ret_status->st_size, SHOWN_BYTES);

        bytes = g_malloc((gsize) size + 1);
        got = pread(fd, bytes, (gsize) size, ret_status->st_size - size);
        trim(path, fd, ret_status);
    }
    close(fd);
    return got > 0 ? g_base64_encode(bytes, (gsize) got) : NULL;
}

char *
node_console_end(VirgaNode *node, const char *id)
{
    g_autofree char *path = node_console_path(node, id);
    struct stat status;
    char *text;

    g_mutex_lock(&node->console_lock);
    text = read_end(path, &status);
    g_mutex_unlock(&node->console_lock);
    return text ? text : g_strdup("");
}

static gint64
time_of(const struct stat *status)
{
    return (gint64) status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

/* True if the console is to be read now. */
static bool
is_due(Console *console, const char *path, bool last)
{
    gint64 now = g_get_monotonic_time();
    struct stat status;

    if (stat(path, &status) < 0)
        return false;
    if (status.st_size == console->size && time_of(&status) == console->time) {
        if (now > console->next + CHATTER_MS * 1000)
            console->reports = 0; /* it has rested */
        return false;
    }
    return last || now >= console->next;
}

/* What is remembered of a guest's console; the console lock is held. */
static Console *
console_of(VirgaNode *node, const char *id)
{
    Console *console = g_hash_table_lookup(node->consoles, id);

    if (!console) {
        console = g_new0(Console, 1);
        g_hash_table_insert(node->consoles, g_strdup(id), console);
    }
    return console;
}

static void
report(VirgaNode *node, const char *id, char *text)
{
    Guest *guest;

    g_mutex_lock(&node->lock);
    guest = node_guest_locked(node, id);
    if (guest) {
        g_free(guest->console);
        guest->console = text;
        guest->dirty = true;
        g_cond_broadcast(&node->changed);
    } else {
        g_free(text);
    }
    g_mutex_unlock(&node->lock);
}

void
node_read_console(VirgaNode *node, const char *id, bool last)
{
    g_autofree char *path = node_console_path(node, id);
    struct stat status;
    Console *console;
    char *text;

    g_mutex_lock(&node->console_lock);
    console = console_of(node, id);
    if (is_due(console, path, last) && (text = read_end(path, &status))) {
        gint64 pause_ms = console->reports++ < CHATTER ? PAUSE_MS : CHATTER_MS;

        console->size = status.st_size;
        console->time = time_of(&status);
        console->next = g_get_monotonic_time() + pause_ms * 1000;
        report(node, id, text);
    }
    g_mutex_unlock(&node->console_lock);
}

/* Forgets the consoles of guests that are no more. */
static gboolean
is_gone(gpointer id, gpointer console, gpointer present)
{
    return !g_hash_table_contains(present, id);
}

void
node_probe_consoles(VirgaNode *node)
{
    g_autoptr(GHashTable) present = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iter;
    gpointer id;

    g_mutex_lock(&node->lock);
    g_hash_table_iter_init(&iter, node->guests);
    while (g_hash_table_iter_next(&iter, &id, NULL))
        g_hash_table_add(present, g_strdup(id));
    g_mutex_unlock(&node->lock);
    g_mutex_lock(&node->console_lock);
    g_hash_table_foreach_remove(node->consoles, is_gone, present);
    g_mutex_unlock(&node->console_lock);
    g_hash_table_iter_init(&iter, present);
    while (g_hash_table_iter_next(&iter, &id, NULL))
        node_read_console(node, id, false);
}

gpointer
node_console_main(gpointer data)
{
    VirgaNode *node = data;

    while (!node_stopping(node)) {
        node_probe_consoles(node);
        g_usleep(PROBE_MS * 1000);
    }
    return NULL;
}
