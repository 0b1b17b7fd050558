/* SPDX-License-Identifier: Apache-2.0 */
/* Ports that come to a running guest and leave it.
 *
 * A port that comes: its tap is made, the domain gets a device on it, and the guest's next step
 * plugs the tap into its VPC.  One that leaves: the guest is asked to let go of the device, again
 * and again, since one that boots hears nothing; then the tap goes.  By force, it goes whether the
 * guest has let go or not. */
#include "node-priv.h"

#include <string.h>

#define ASK_AGAIN_S   8  /* QEMU takes a question for lost after 5 */
#define FORCE_AFTER_S 10 /* what a guest is given when it is not waited for */

static const VirgaGuestPort *
port_at(const VirgaGuestWish *want, guint i)
{
    return want->ports->pdata[i];
}

static bool
has(GStrv texts, const char *text)
{
    return texts && g_strv_contains((const char *const *) texts, text);
}

bool
node_has_port(const Guest *guest, const VirgaGuestPort *port)
{
    return has(guest->macs, port->mac);
}

static bool
is_dropped(const Guest *guest, const VirgaGuestPort *port)
{
    return has(guest->dropped, port->id);
}

void
node_forget_ports(Guest *guest)
{
    g_clear_pointer(&guest->macs, g_strfreev);
    g_clear_pointer(&guest->dropped, g_strfreev);
    guest->macs_generation = 0;
    guest->drop_first_at = guest->drop_asked_at = 0;
}

void
node_note_ports(Guest *guest, const VirgaGuestWish *want)
{
    g_autoptr(GStrvBuilder) macs = g_strv_builder_new();

    for (guint i = 0; i < want->ports->len; i++)
        if (!port_at(want, i)->leaving)
            g_strv_builder_add(macs, port_at(want, i)->mac);
    node_forget_ports(guest);
    guest->macs = g_strv_builder_end(macs);
    guest->macs_generation = want->generation;
}

/* Only what the present wish still lets go: a port may come back. */
static void
trim_dropped(Guest *guest, const VirgaGuestWish *want)
{
    g_autoptr(GStrvBuilder) kept = g_strv_builder_new();

    for (guint i = 0; i < want->ports->len; i++)
        if (port_at(want, i)->leaving && is_dropped(guest, port_at(want, i)))
            g_strv_builder_add(kept, port_at(want, i)->id);
    g_strfreev(guest->dropped);
    guest->dropped = g_strv_builder_end(kept);
}

static bool
overdue(const Guest *guest, const VirgaGuestPort *port)
{
    return port->forced && guest->drop_first_at &&
           g_get_monotonic_time() - guest->drop_first_at > FORCE_AFTER_S * G_USEC_PER_SEC;
}

bool
node_look_at_ports(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, VirgaGuestFacts *is,
                   GError **error)
{
    bool known = guest->macs_generation == want->generation, waiting = false;

    trim_dropped(guest, want);
    for (guint i = 0; i < want->ports->len; i++)
        if (port_at(want, i)->leaving && !is_dropped(guest, port_at(want, i)))
            is->port_leaving = true;
    if (!known || is->port_leaving) {
        GStrv macs = node->hypervisor->ports(node->hypervisor, guest->id, error);

        if (!macs)
            return false;
        g_strfreev(guest->macs);
        guest->macs = macs;
        guest->macs_generation = want->generation;
    }
    if (!is->port_leaving)
        guest->drop_first_at = guest->drop_asked_at = 0;
    waiting = guest->drop_asked_at &&
              g_get_monotonic_time() - guest->drop_asked_at < ASK_AGAIN_S * G_USEC_PER_SEC;
    for (guint i = 0; i < want->ports->len; i++) {
        const VirgaGuestPort *port = port_at(want, i);

        if (!port->leaving)
            is->port_lacking = is->port_lacking || !node_has_port(guest, port);
        else if (!is_dropped(guest, port) && (!node_has_port(guest, port) || overdue(guest, port)))
            waiting = false; /* there is something to do */
    }
    is->port_asked = waiting;
    return true;
}

bool
node_add_ports(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, GError **error)
{
    for (guint i = 0; i < want->ports->len; i++) {
        const VirgaGuestPort *port = port_at(want, i);
        g_autofree char *tap = virga_network_tap_name(node->network, port->id);
        VirgaDomainPort device = { .mac = port->mac, .tap = tap };
        g_autoptr(Plan) plan = NULL;

        if (port->leaving || node_has_port(guest, port))
            continue;
        plan = node_plan(node, port->vpc_id);
        if (!plan)
            return virga_fail(error, "vpc", VIRGA_ERROR_RETRY, "the plan of \"%s\" is not here yet",
                              port->vpc_id);
        guest->plugged = false;
        guest->macs_generation = 0; /* whatever comes of it: look */
        if (!virga_network_tap_prepare(node->network, plan->record, port->id, node->tap_owner,
                                       error) ||
            !node->hypervisor->attach_port(node->hypervisor, guest->id, &device, error))
            return false;
        virga_info("instance", guest->id, "network interface %s plugged in", port->id);
    }
    return true;
}

static void
note_dropped(Guest *guest, const char *id)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

    g_strv_builder_addv(builder, (const char **) guest->dropped);
    g_strv_builder_add(builder, id);
    g_strfreev(guest->dropped);
    guest->dropped = g_strv_builder_end(builder);
    virga_info("instance", guest->id, "network interface %s unplugged", id);
}

bool
node_drop_ports(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, GError **error)
{
    for (guint i = 0; i < want->ports->len; i++) {
        const VirgaGuestPort *port = port_at(want, i);
        g_autofree char *tap = virga_network_tap_name(node->network, port->id);

        if (!port->leaving || is_dropped(guest, port))
            continue;
        if (node_has_port(guest, port) && !overdue(guest, port)) {
            if (!guest->drop_first_at)
                guest->drop_first_at = g_get_monotonic_time();
            if (!node->hypervisor->detach_port(node->hypervisor, guest->id, port->mac, error))
                return false;
            guest->drop_asked_at = g_get_monotonic_time();
            continue;
        }
        if (!virga_network_tap_remove(node->network, port->vpc_id, tap, error))
            return false;
        note_dropped(guest, port->id);
    }
    return true;
}

gint64
node_drop_again_at(const Guest *guest, const VirgaGuestWish *want)
{
    gint64 again = guest->drop_asked_at + ASK_AGAIN_S * G_USEC_PER_SEC;

    for (guint i = 0; i < want->ports->len; i++)
        if (port_at(want, i)->leaving && port_at(want, i)->forced)
            again = MIN(again, guest->drop_first_at + (FORCE_AFTER_S * 1000 + 10) * 1000);
    return MAX(again, g_get_monotonic_time());
}

GStrv
node_plugged_ports(const Guest *guest, const VirgaGuestWish *want)
{
    g_autoptr(GStrvBuilder) ids = g_strv_builder_new();

    for (guint i = 0; i < want->ports->len; i++) {
        const VirgaGuestPort *port = port_at(want, i);

        if (port->leaving ? !is_dropped(guest, port) : guest->plugged && node_has_port(guest, port))
            g_strv_builder_add(ids, port->id);
    }
    return g_strv_builder_end(ids);
}
