/* SPDX-License-Identifier: Apache-2.0 */
/* Guests whose file systems are held for the moment of a snapshot.
 *
 * A guest that is left frozen is as good as dead.  So there is a mark on the host's disk from
 * before it is frozen until after it is thawed: whoever dies in between, the next process finds
 * it, and thaws.  An agent that does not answer is asked again and again, while all else goes on,
 * and is given up some time later. */
#include "node-priv.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATIENCE_S 30
#define AGAIN_S    2

static char *
mark_path(const VirgaNode *node, const char *id)
{
    return g_strdup_printf("%s/frozen/%s", node->directory, id);
}

static bool
put_mark(VirgaNode *node, Guest *guest, GError **error)
{
    g_autofree char *path = mark_path(node, guest->id);
    g_autofree char *folder = g_path_get_dirname(path);
    int fd;

    g_mkdir(folder, 0700);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return virga_fail_errno(error, "domain", errno, "could not make \"%s\"", path);
    close(fd);
    guest->frozen = true;
    return true;
}

static void
take_mark(VirgaNode *node, Guest *guest)
{
    g_autofree char *path = mark_path(node, guest->id);

    unlink(path);
    guest->frozen = false;
}

void
node_freeze(VirgaNode *node, Guest *guest)
{
    g_autoptr(GError) error = NULL;
    bool asked = false;

    if (!put_mark(node, guest, &error) ||
        !node->hypervisor->freeze(node->hypervisor, guest->id, &asked, &error))
        virga_notice("instance", guest->id, "is not frozen for its snapshot: %s", error->message);
    if (guest->frozen && !asked)
        take_mark(node, guest);
}

/* Old, or gone. */
static bool
is_given_up(const VirgaNode *node, const Guest *guest)
{
    g_autofree char *path = mark_path(node, guest->id);
    struct stat status;

    return stat(path, &status) < 0 ||
           g_get_real_time() / G_USEC_PER_SEC - status.st_mtime > PATIENCE_S;
}

void
node_thaw(VirgaNode *node, Guest *guest)
{
    g_autoptr(GError) error = NULL;

    if (!guest->frozen)
        return;
    if (node->hypervisor->thaw(node->hypervisor, guest->id, &error)) {
        take_mark(node, guest);
        return;
    }
    guest->thaw_at = g_get_monotonic_time() + AGAIN_S * G_USEC_PER_SEC;
    if (!is_given_up(node, guest))
        return;
    virga_notice("instance", guest->id, "may be frozen, but its agent does not answer: %s",
                 error->message);
    take_mark(node, guest);
}

void
node_look_at_freeze(VirgaNode *node, Guest *guest, VirgaGuestFacts *is)
{
    if (!guest->frozen_known) {
        g_autofree char *path = mark_path(node, guest->id);

        guest->frozen = access(path, F_OK) == 0;
        guest->frozen_known = true;
    }
    if (guest->frozen && (is->domain == VIRGA_DOMAIN_OFF || is->domain == VIRGA_DOMAIN_ABSENT))
        take_mark(node, guest);
    is->frozen = guest->frozen && is->domain == VIRGA_DOMAIN_RUNNING &&
                 g_get_monotonic_time() >= guest->thaw_at;
}
