/* SPDX-License-Identifier: Apache-2.0 */
/* Ports and disks that come to a running guest and leave it.
 *
 * A port that comes: its tap is made, the domain gets a device on it, and the guest's next step
 * plugs the tap into its VPC.  A disk: its bytes are made unless they ever were.  What leaves: the
 * guest is asked to let go of the device, again and again, since one that boots hears nothing; then
 * a port's tap goes, while a disk's bytes stay.  By force, a port goes whether the guest has let go
 * or not; a disk that is still written to does not. */
#include "node-priv.h"

#include <string.h>

#define ASK_AGAIN_S   8  /* QEMU takes a question for lost after 5 */
#define FORCE_AFTER_S 10 /* what a guest is given when it is not waited for */
#define KEY_SIZE      24

/* One that the wish names. */
typedef struct {
    VirgaDeviceKind kind;
    guint index; /* in the wish's list of its kind */
    const char *id;
    char key[KEY_SIZE]; /* by which the hypervisor knows it: a MAC address, a serial number */
    bool leaving, forced;
} Device;

static const VirgaGuestPort *
port_at(const VirgaGuestWish *want, guint i)
{
    return want->ports->pdata[i];
}

static const VirgaGuestDisk *
disk_at(const VirgaGuestWish *want, guint i)
{
    return want->disks->pdata[i];
}

void
node_disk_serial(const char *id, char serial[static VIRGA_DISK_SERIAL_SIZE])
{
    g_snprintf(serial, VIRGA_DISK_SERIAL_SIZE, "vol%s", id + strlen("vol-"));
}

/* All of a wish, ports first. */
static GArray *
devices_of(const VirgaGuestWish *want)
{
    GArray *devices = g_array_new(FALSE, TRUE, sizeof(Device));

    for (guint i = 0; i < want->ports->len; i++) {
        const VirgaGuestPort *port = port_at(want, i);
        Device device = { .kind = VIRGA_DEVICE_PORT,
                          .index = i,
                          .id = port->id,
                          .leaving = port->leaving,
                          .forced = port->forced };

        g_strlcpy(device.key, port->mac, sizeof device.key);
        g_array_append_val(devices, device);
    }
    for (guint i = 0; i < want->disks->len; i++) {
        const VirgaGuestDisk *disk = disk_at(want, i);
        Device device = {
            .kind = VIRGA_DEVICE_DISK, .index = i, .id = disk->id, .leaving = disk->leaving
        };

        node_disk_serial(disk->id, device.key);
        g_array_append_val(devices, device);
    }
    return devices;
}

#define EACH(devices, device)                                                                      \
    const Device *device = (const Device *) (devices)->data;                                       \
    device < (const Device *) (devices)->data + (devices)->len;                                    \
    device++

static bool
has(GStrv texts, const char *text)
{
    return texts && g_strv_contains((const char *const *) texts, text);
}

static bool
is_present(const Guest *guest, const Device *device)
{
    return has(guest->present[device->kind], device->key);
}

static bool
is_dropped(const Guest *guest, const Device *device)
{
    return has(guest->dropped, device->id);
}

bool
node_has_port(const Guest *guest, const VirgaGuestPort *port)
{
    return has(guest->present[VIRGA_DEVICE_PORT], port->mac);
}

/* ---- size and speed ---- */

void
node_shape_disk(const VirgaGuestDisk *disk, VirgaDomainDisk *device)
{
    device->size_gib = disk->size_gib;
    if (disk->type)
        device->limits =
            virga_volume_limits(disk->type, disk->size_gib, disk->iops, disk->throughput);
}

/* All that tuning is about, in one text. */
static char *
shapes_of(const VirgaGuestWish *want)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < want->disks->len; i++) {
        const VirgaGuestDisk *disk = disk_at(want, i);

        if (!disk->leaving)
            g_string_append_printf(
                text, "%s %s %" G_GINT64_FORMAT " %" G_GINT64_FORMAT " %" G_GINT64_FORMAT "\n",
                disk->id, disk->type ? disk->type : "", disk->size_gib, disk->iops,
                disk->throughput);
    }
    return g_string_free(text, FALSE);
}

static bool
is_tuned(const Guest *guest, const VirgaGuestWish *want)
{
    g_autofree char *shapes = shapes_of(want);

    return g_strcmp0(guest->tuned, shapes) == 0;
}

static void
note_tuned(Guest *guest, const VirgaGuestWish *want)
{
    g_free(guest->tuned);
    guest->tuned = shapes_of(want);
}

bool
node_tune_disks(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, GError **error)
{
    g_autofree VirgaDomainDisk *disks = g_new0(VirgaDomainDisk, want->disks->len);
    g_autofree char *serials = g_malloc0((gsize) want->disks->len * VIRGA_DISK_SERIAL_SIZE);
    size_t count = 0;

    for (guint i = 0; i < want->disks->len; i++) {
        char *serial = serials + (gsize) i * VIRGA_DISK_SERIAL_SIZE;

        if (disk_at(want, i)->leaving)
            continue;
        node_disk_serial(disk_at(want, i)->id, serial);
        disks[count].serial = serial;
        node_shape_disk(disk_at(want, i), &disks[count++]);
    }
    if (!node->hypervisor->tune(node->hypervisor, guest->id, disks, count, error))
        return false;
    note_tuned(guest, want);
    return true;
}

/* ---- */

void
node_forget_devices(Guest *guest)
{
    g_clear_pointer(&guest->tuned, g_free);
    for (int kind = 0; kind < VIRGA_DEVICE_KINDS; kind++)
        g_clear_pointer(&guest->present[kind], g_strfreev);
    g_clear_pointer(&guest->dropped, g_strfreev);
    guest->present_generation = 0;
    guest->drop_first_at = guest->drop_asked_at = 0;
}

void
node_note_devices(Guest *guest, const VirgaGuestWish *want)
{
    g_autoptr(GArray) devices = devices_of(want);

    node_forget_devices(guest);
    for (int kind = 0; kind < VIRGA_DEVICE_KINDS; kind++) {
        g_autoptr(GStrvBuilder) keys = g_strv_builder_new();

        for (EACH(devices, device))
            if ((int) device->kind == kind && !device->leaving)
                g_strv_builder_add(keys, device->key);
        guest->present[kind] = g_strv_builder_end(keys);
    }
    guest->present_generation = want->generation;
    note_tuned(guest, want);
}

/* Only what the present wish still lets go: a device may come back. */
static void
trim_dropped(Guest *guest, GArray *devices)
{
    g_autoptr(GStrvBuilder) kept = g_strv_builder_new();

    for (EACH(devices, device))
        if (device->leaving && is_dropped(guest, device))
            g_strv_builder_add(kept, device->id);
    g_strfreev(guest->dropped);
    guest->dropped = g_strv_builder_end(kept);
}

static bool
overdue(const Guest *guest, const Device *device)
{
    return device->forced && guest->drop_first_at &&
           g_get_monotonic_time() - guest->drop_first_at > FORCE_AFTER_S * G_USEC_PER_SEC;
}

static bool
read_present(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, GError **error)
{
    for (int kind = 0; kind < VIRGA_DEVICE_KINDS; kind++) {
        GStrv keys =
            node->hypervisor->devices(node->hypervisor, guest->id, (VirgaDeviceKind) kind, error);

        if (!keys)
            return false;
        g_strfreev(guest->present[kind]);
        guest->present[kind] = keys;
    }
    guest->present_generation = want->generation;
    return true;
}

/* True if it can be given to the guest.  A disk that was made once and is not there is lost. */
static bool
can_come(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, const Device *device,
         bool *ret_can, GError **error)
{
    VirgaVolumeDriver *pool;
    bool exists = true;

    *ret_can = true;
    if (device->kind != VIRGA_DEVICE_DISK || node_is_remote(disk_at(want, device->index)))
        return true;
    pool = node_pool(node, disk_at(want, device->index)->pool, error);
    if (!pool || !pool->inspect(pool, device->id, &exists, error))
        return false;
    if (!exists && node_was_made(guest, disk_at(want, device->index))) {
        node_note_lost(node, guest, device->id);
        *ret_can = false;
    }
    return true;
}

bool
node_look_at_devices(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, VirgaGuestFacts *is,
                     GError **error)
{
    g_autoptr(GArray) devices = devices_of(want);
    bool waiting;

    trim_dropped(guest, devices);
    for (EACH(devices, device))
        if (device->leaving && !is_dropped(guest, device))
            is->device_leaving = true;
    if ((guest->present_generation != want->generation || is->device_leaving) &&
        !read_present(node, guest, want, error))
        return false;
    if (!is->device_leaving)
        guest->drop_first_at = guest->drop_asked_at = 0;
    waiting = guest->drop_asked_at &&
              g_get_monotonic_time() - guest->drop_asked_at < ASK_AGAIN_S * G_USEC_PER_SEC;
    for (EACH(devices, device)) {
        bool can;

        if (device->leaving) {
            if (!is_dropped(guest, device) &&
                (!is_present(guest, device) || overdue(guest, device)))
                waiting = false; /* there is something to do */
        } else if (!is_present(guest, device)) {
            if (!can_come(node, guest, want, device, &can, error))
                return false;
            is->device_lacking = is->device_lacking || can;
        }
    }
    is->device_asked = waiting;
    is->tune_asked = is->domain == VIRGA_DOMAIN_RUNNING && !is_tuned(guest, want);
    return true;
}

static bool
add_port(VirgaNode *node, Guest *guest, const VirgaGuestPort *port, GError **error)
{
    g_autofree char *tap = virga_network_tap_name(node->network, port->id);
    VirgaDomainPort device = { .mac = port->mac, .tap = tap };
    g_autoptr(Plan) plan = node_plan(node, port->vpc_id);

    if (!plan)
        return virga_fail(error, "vpc", VIRGA_ERROR_RETRY, "the plan of \"%s\" is not here yet",
                          port->vpc_id);
    guest->plugged = false;
    return virga_network_tap_prepare(node->network, plan->record, port->id, node->tap_owner,
                                     error) &&
           node->hypervisor->attach_port(node->hypervisor, guest->id, &device, error);
}

static bool
add_disk(VirgaNode *node, Guest *guest, const VirgaGuestDisk *disk, const char *serial,
         GError **error)
{
    g_autoptr(VirgaVolumeSource) source = NULL;
    VirgaDomainDisk device = { .serial = serial };
    const char *const ids[] = { disk->id, NULL };
    bool added;

    if (!node_make_disk(node, guest, disk, error))
        return false;
    node_claim_volumes(node, ids);
    device.source = source = node_open_disk(node, disk, error);
    node_shape_disk(disk, &device);
    added = source && node->hypervisor->attach_disk(node->hypervisor, guest->id, &device, error);
    node_release_volumes(node, ids);
    return added;
}

bool
node_add_devices(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, GError **error)
{
    g_autoptr(GArray) devices = devices_of(want);

    for (EACH(devices, device)) {
        bool can;

        if (device->leaving || is_present(guest, device))
            continue;
        if (!can_come(node, guest, want, device, &can, error))
            return false;
        if (!can)
            continue;
        guest->present_generation = 0; /* whatever comes of it: look */
        if (!(device->kind == VIRGA_DEVICE_PORT
                  ? add_port(node, guest, port_at(want, device->index), error)
                  : add_disk(node, guest, disk_at(want, device->index), device->key, error)))
            return false;
        virga_info("instance", guest->id, "%s plugged in", device->id);
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
    virga_info("instance", guest->id, "%s unplugged", id);
}

static bool
remove_tap(VirgaNode *node, const VirgaGuestPort *port, GError **error)
{
    g_autofree char *tap = virga_network_tap_name(node->network, port->id);

    return virga_network_tap_remove(node->network, port->vpc_id, tap, error);
}

bool
node_drop_devices(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, GError **error)
{
    g_autoptr(GArray) devices = devices_of(want);

    for (EACH(devices, device)) {
        if (!device->leaving || is_dropped(guest, device))
            continue;
        if (is_present(guest, device) && !overdue(guest, device)) {
            if (!guest->drop_first_at)
                guest->drop_first_at = g_get_monotonic_time();
            if (!node->hypervisor->detach(node->hypervisor, guest->id, device->kind, device->key,
                                          error))
                return false;
            guest->drop_asked_at = g_get_monotonic_time();
            continue;
        }
        if (device->kind == VIRGA_DEVICE_PORT &&
            !remove_tap(node, port_at(want, device->index), error))
            return false;
        note_dropped(guest, device->id);
    }
    return true;
}

gint64
node_drop_again_at(const Guest *guest, const VirgaGuestWish *want)
{
    gint64 again = guest->drop_asked_at + ASK_AGAIN_S * G_USEC_PER_SEC;
    g_autoptr(GArray) devices = devices_of(want);

    for (EACH(devices, device))
        if (device->leaving && device->forced)
            again = MIN(again, guest->drop_first_at + (FORCE_AFTER_S * 1000 + 10) * 1000);
    return MAX(again, g_get_monotonic_time());
}

GStrv
node_plugged(const Guest *guest, const VirgaGuestWish *want, VirgaDeviceKind kind)
{
    bool taps = kind != VIRGA_DEVICE_PORT || guest->plugged;
    g_autoptr(GStrvBuilder) ids = g_strv_builder_new();
    g_autoptr(GArray) devices = devices_of(want);

    for (EACH(devices, device))
        if (device->kind == kind &&
            (device->leaving ? !is_dropped(guest, device) : taps && is_present(guest, device)))
            g_strv_builder_add(ids, device->id);
    return g_strv_builder_end(ids);
}
