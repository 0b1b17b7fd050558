/* SPDX-License-Identifier: Apache-2.0 */
/* One worker on one guest: look at the world, choose a step, take it, look again. */
#include "node-priv.h"

#include "core/process.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#define STEPS_MAX          64 /* of one visit */
#define STOP_GRACE_S       90 /* for a guest to switch itself off */
#define TERMINATE_GRACE_S  10
#define ASK_AGAIN_S        8     /* a guest that was still booting heard nothing */
#define APPOINTMENT_US     10000 /* later than the moment that is waited for */
#define REBOOT_GRACE_S     120
#define RESUME_PAUSE_US    G_USEC_PER_SEC /* from one try to let a stuck guest go on to the next */
#define RETRY_FIRST_MS     500
#define RETRY_LAST_MS      30000
#define START_ATTEMPTS_MAX 4   /* failures of our own or the machine's until a start is given up */
#define START_PATIENCE_S   240 /* while the hypervisor cannot be reached */

static VirgaGuestDisk *
disk_at(const VirgaGuestWish *want, guint i)
{
    return want->disks->pdata[i];
}

static VirgaGuestPort *
port_at(const VirgaGuestWish *want, guint i)
{
    return want->ports->pdata[i];
}

static bool
known(GStrv ids, const char *id)
{
    return g_strv_contains((const char *const *) ids, id);
}

static void
remember(GStrv *ids, const char *id)
{
    g_autoptr(GStrvBuilder) builder = NULL;

    if (known(*ids, id))
        return;
    builder = g_strv_builder_new();
    g_strv_builder_addv(builder, (const char **) *ids);
    g_strv_builder_add(builder, id);
    g_strfreev(*ids);
    *ids = g_strv_builder_end(builder);
}

bool
node_was_made(const Guest *guest, const VirgaGuestDisk *disk)
{
    return disk->made || known(guest->made, disk->id);
}

void
node_note_lost(VirgaNode *node, Guest *guest, const char *volume_id)
{
    g_mutex_lock(&node->lock);
    guest->dirty = guest->dirty || !known(guest->lost, volume_id);
    remember(&guest->lost, volume_id);
    g_mutex_unlock(&node->lock);
}

/* True for a disk whose bytes go with the instance now: not while a snapshot needs them. */
static bool
goes(const Guest *guest, const VirgaGuestDisk *disk)
{
    return disk->delete_on_termination && !disk->leaving && !node_is_remote(disk) &&
           !known(guest->kept, disk->id);
}

/* What a terminated instance leaves behind is told once for all: virgad counts on it. */
static void
note_kept(VirgaNode *node, Guest *guest, const VirgaGuestWish *want)
{
    g_auto(GStrv) needed = node_needed_disks(node, want);

    g_mutex_lock(&node->lock);
    for (char **id = needed; *id; id++)
        if (g_str_equal(want->wish, "terminate"))
            remember(&guest->kept, *id);
    for (guint i = 0; i < want->disks->len; i++) /* another host deletes those */
        if (g_str_equal(want->wish, "terminate") && node_is_remote(disk_at(want, i)))
            remember(&guest->kept, disk_at(want, i)->id);
    g_mutex_unlock(&node->lock);
}

static bool
look_at_disks(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, VirgaGuestFacts *is,
              GError **error)
{
    g_autofree char *console = node_console_path(node, guest->id);
    bool any = false; /* of what goes with the instance */

    is->disks_here = true;
    note_kept(node, guest, want);
    for (guint i = 0; i < want->disks->len; i++) {
        VirgaGuestDisk *disk = disk_at(want, i);
        VirgaVolumeDriver *pool;
        bool exists;

        if (disk->leaving || node_is_remote(disk))
            continue;
        pool = node_pool(node, disk->pool, error);
        if (!pool || !pool->inspect(pool, disk->id, &exists, error))
            return false;
        if (!exists) {
            is->disks_here = false;
            if (node_was_made(guest, disk)) {
                is->disk_lost = true;
                node_note_lost(node, guest, disk->id);
            }
        }
        any = any || (exists && goes(guest, disk));
    }
    any = any || g_file_test(console, G_FILE_TEST_EXISTS);
    is->absent = is->domain == VIRGA_DOMAIN_ABSENT && guest->retired &&
                 !(any && g_str_equal(want->wish, "terminate"));
    return true;
}

/* The controller must hear of it, and this process's next life must not do it again. */
static void
note_reboot_locked(VirgaNode *node, Guest *guest)
{
    guest->reboots_done = guest->reboot_asked;
    guest->reboot_asked = 0;
    guest->dirty = true;
    node->store_dirty = true;
}

/* A guest that boots anew needs no reboot that was asked for before. */
static void
note_boot(VirgaNode *node, Guest *guest, const VirgaGuestWish *want)
{
    g_mutex_lock(&node->lock);
    guest->asked_generation = 0; /* to switch off for a snapshot: that is over */
    if (want->reboots > MAX(guest->reboots_done, want->reboots_done)) {
        guest->reboot_asked = want->reboots;
        note_reboot_locked(node, guest);
    }
    g_mutex_unlock(&node->lock);
}

/* The guest was asked to switch off; the first time is remembered beyond this process. */
static void
note_asking(VirgaNode *node, Guest *guest, const VirgaGuestWish *want)
{
    g_mutex_lock(&node->lock);
    guest->asked_at = g_get_monotonic_time();
    if (guest->asked_generation != want->generation) {
        guest->asked_first_at = guest->asked_at;
        node->store_dirty = true;
    }
    guest->asked_generation = want->generation;
    g_mutex_unlock(&node->lock);
}

static gint64
grace_us(const VirgaGuestWish *want)
{
    return (g_str_equal(want->wish, "terminate") ? TERMINATE_GRACE_S : STOP_GRACE_S) *
           G_USEC_PER_SEC;
}

/* Reads the world.  What cannot be read cheaply (taps) is what this process did itself: after a
 * restart the idempotent step is simply taken again. */
static bool
look(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, VirgaGuestFacts *is, GError **error)
{
    gint64 now = g_get_monotonic_time();
    bool off;

    memset(is, 0, sizeof *is);
    if (!node->hypervisor->inspect(node->hypervisor, guest->id, &is->domain, &is->reason, error))
        return false;
    off = is->domain == VIRGA_DOMAIN_OFF || is->domain == VIRGA_DOMAIN_ABSENT;
    if (off && guest->plugged) /* nobody is behind those taps any more */
        guest->plugged = guest->taps_ready = false;
    if (off)
        node_forget_devices(guest);
    if (!(off ? look_at_disks(node, guest, want, is, error)
              : node_look_at_devices(node, guest, want, is, error)) ||
        !node_look_at_layers(node, guest, want, is, error))
        return false;
    node_look_at_freeze(node, guest, is);
    is->taps_ready = guest->taps_ready;
    is->plugged = guest->plugged || want->ports->len == 0;
    is->resumed = guest->resumed_at && now - guest->resumed_at < RESUME_PAUSE_US;
    is->former_life = guest->off_generation && guest->off_generation < want->generation;
    if (guest->asked_generation == want->generation) {
        is->shutdown_asked = now - guest->asked_at < ASK_AGAIN_S * G_USEC_PER_SEC;
        is->shutdown_overdue = now - guest->asked_first_at > grace_us(want);
    }
    g_mutex_lock(&node->lock);
    if (guest->rebooted && guest->reboot_asked)
        note_reboot_locked(node, guest);
    guest->rebooted = false;
    if (guest->reboots_done >= guest->reboot_asked)
        guest->reboot_asked = 0;
    g_mutex_unlock(&node->lock);
    is->rebooting = guest->reboot_asked > 0;
    is->reboots_done = guest->reboots_done;
    is->reboot_overdue = is->rebooting && now - guest->reboot_at > REBOOT_GRACE_S * G_USEC_PER_SEC;
    return true;
}

bool
node_make_disk(VirgaNode *node, Guest *guest, const VirgaGuestDisk *disk, GError **error)
{
    VirgaVolumeWish volume = { .id = disk->id,
                               .size_gib = disk->size_gib,
                               .files = (const VirgaSnapshotFile *const *) disk->files->pdata,
                               .file_count = disk->files->len,
                               .encrypted = disk->encrypted };
    VirgaVolumeDriver *pool = node_pool(node, disk->pool, error);

    if (!pool || (!node_is_remote(disk) && !pool->create(pool, &volume, error)))
        return false;
    g_mutex_lock(&node->lock);
    remember(&guest->made, disk->id);
    g_mutex_unlock(&node->lock);
    return true;
}

VirgaVolumeSource *
node_open_disk(VirgaNode *node, const VirgaGuestDisk *disk, GError **error)
{
    VirgaVolumeDriver *pool = node_pool(node, disk->pool, error);

    if (node_is_remote(disk))
        return node_import_disk(node, disk, error);
    return pool && node_unexport(node, disk->id, error) &&
                   pool->grow(pool, disk->id, disk->size_gib, error)
               ? pool->source(pool, disk->id, error)
               : NULL;
}

static bool
make_disks(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, GError **error)
{
    for (guint i = 0; i < want->disks->len; i++)
        if (!disk_at(want, i)->leaving && !node_make_disk(node, guest, disk_at(want, i), error))
            return false;
    return true;
}

static bool
prepare_taps(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, GError **error)
{
    guest->retired = false; /* from the first tap on, also if the second fails */
    for (guint i = 0; i < want->ports->len; i++) {
        VirgaGuestPort *port = port_at(want, i);
        g_autoptr(Plan) plan = node_plan(node, port->vpc_id);

        if (port->leaving)
            continue;
        if (!plan)
            return virga_fail(error, "vpc", VIRGA_ERROR_RETRY, "the plan of \"%s\" is not here yet",
                              port->vpc_id);
        if (!virga_network_tap_prepare(node->network, plan->record, port->id, node->tap_owner,
                                       error))
            return false;
    }
    guest->taps_ready = true;
    return true;
}

/* The ids of disks, NULL-terminated; loans of the wish. */
static const char **
disk_ids(const VirgaGuestWish *want)
{
    const char **ids = g_new0(const char *, want->disks->len + 1);

    for (guint i = 0; i < want->disks->len; i++)
        ids[i] = disk_at(want, i)->id;
    return ids;
}

static bool
start_domain(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(GPtrArray) sources =
        g_ptr_array_new_with_free_func((GDestroyNotify) virga_volume_source_free);
    g_autofree char *console = node_console_path(node, guest->id);
    VirgaDomainDisk *disks = virga_arena_new_array(arena, VirgaDomainDisk, want->disks->len);
    VirgaDomainPort *ports = virga_arena_new_array(arena, VirgaDomainPort, want->ports->len);
    VirgaDomainSpec spec = { .id = guest->id,
                             .vcpus = want->vcpus,
                             .memory_mib = want->memory_mib,
                             .uefi = g_str_has_prefix(want->boot_mode, "uefi"),
                             .disks = disks,
                             .ports = ports,
                             .console_path = console };

    for (guint i = 0; i < want->disks->len; i++) {
        const VirgaGuestDisk *disk = disk_at(want, i);
        VirgaVolumeSource *source;
        char serial[VIRGA_DISK_SERIAL_SIZE];

        if (disk->leaving)
            continue;
        source = node_open_disk(node, disk, error);
        if (!source)
            return false;
        g_ptr_array_add(sources, source);
        node_disk_serial(disk->id, serial);
        disks[spec.disk_count] = (VirgaDomainDisk){
            .source = source,
            .serial = virga_arena_strdup(arena, serial),
            .target = virga_arena_printf(arena, "vd%c", (int) ('a' + spec.disk_count % 26)),
        };
        node_shape_disk(disk, &disks[spec.disk_count]);
        spec.disk_count++;
    }
    for (guint i = 0; i < want->ports->len; i++) {
        g_autofree char *tap = virga_network_tap_name(node->network, port_at(want, i)->id);

        if (!port_at(want, i)->leaving)
            ports[spec.port_count++] = (VirgaDomainPort){ .mac = port_at(want, i)->mac,
                                                          .tap = virga_arena_strdup(arena, tap) };
    }
    if (!node->hypervisor->start(node->hypervisor, &spec, error))
        return false;
    node_note_devices(guest, want);
    return true;
}

static bool
start(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, GError **error)
{
    g_autofree const char **ids = disk_ids(want);
    bool started;

    node_claim_volumes(node, ids);
    started = start_domain(node, guest, want, error);
    node_release_volumes(node, ids);
    return started;
}

static bool
plug(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, GError **error)
{
    for (guint i = 0; i < want->ports->len; i++) {
        VirgaGuestPort *port = port_at(want, i);
        g_autoptr(Plan) plan = NULL;

        if (port->leaving || !node_has_port(guest, port))
            continue;
        if (!node_ensure_vpc(node, port->vpc_id, error))
            return false;
        plan = node_plan(node, port->vpc_id);
        if (!plan || !virga_network_tap_plug(node->network, plan->record, port->id, error))
            return *error ? false : virga_fail(error, "vpc", VIRGA_ERROR_RETRY, "no plan");
    }
    guest->plugged = true;
    return true;
}

static bool
remove_taps(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, GError **error)
{
    for (guint i = 0; i < want->ports->len; i++) {
        g_autofree char *tap = virga_network_tap_name(node->network, port_at(want, i)->id);

        if (!virga_network_tap_remove(node->network, port_at(want, i)->vpc_id, tap, error))
            return false;
    }
    guest->taps_ready = guest->plugged = false;
    return true;
}

/* A stopped instance keeps its disks and its console; a terminated one only disks that stay. */
static bool
retire(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, bool for_good, GError **error)
{
    g_autofree char *console = node_console_path(node, guest->id);

    if (!node->hypervisor->remove(node->hypervisor, guest->id, error) ||
        !remove_taps(node, guest, want, error))
        return false;
    node_read_console(node, guest->id, true);
    for (guint i = 0; for_good && i < want->disks->len; i++) {
        VirgaVolumeDriver *pool = node_pool(node, disk_at(want, i)->pool, error);

        if (!pool ||
            (goes(guest, disk_at(want, i)) && !pool->delete (pool, disk_at(want, i)->id, error)))
            return false;
    }
    guest->retired = true;
    if (for_good && g_unlink(console) < 0 && errno != ENOENT)
        return virga_fail_errno(error, "domain", errno, "could not delete \"%s\"", console);
    return true;
}

/* What a guest is switched off for is on the host's disk before: else the next life of this process
 * might take it for the guest's own doing. */
static bool
ask_shutdown(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, const VirgaGuestFacts *is,
             GError **error)
{
    if ((is->halt_asked && !node_store_save(node, error)) ||
        !node->hypervisor->shutdown(node->hypervisor, guest->id, error))
        return false;
    note_asking(node, guest, want);
    return true;
}

static bool
take_step(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, const VirgaGuestFacts *is,
          VirgaGuestStep step, GError **error)
{
    VirgaHypervisor *hypervisor = node->hypervisor;

    switch (step) {
    case VIRGA_GUEST_MAKE_DISKS:
        return make_disks(node, guest, want, error);
    case VIRGA_GUEST_PREPARE_TAPS:
        return prepare_taps(node, guest, want, error);
    case VIRGA_GUEST_START:
        if (!start(node, guest, want, error))
            return false;
        note_boot(node, guest, want);
        return true;
    case VIRGA_GUEST_PLUG:
        return plug(node, guest, want, error);
    case VIRGA_GUEST_ADD_DEVICES:
        return node_add_devices(node, guest, want, error);
    case VIRGA_GUEST_DROP_DEVICES:
        return node_drop_devices(node, guest, want, error);
    case VIRGA_GUEST_TUNE:
        return node_tune_disks(node, guest, want, error);
    case VIRGA_GUEST_THAW:
        node_thaw(node, guest);
        return true;
    case VIRGA_GUEST_CUT:
        node_cut_disks(node, guest, want, is->domain);
        return true;
    case VIRGA_GUEST_JOIN:
        node_join_layers(node, guest, want);
        return true;
    case VIRGA_GUEST_RESUME: /* it may stand still because a disk of another host was away */
        if (!node_import_disks(node, want, error) ||
            !hypervisor->resume(hypervisor, guest->id, error))
            return false;
        guest->resumed_at = g_get_monotonic_time();
        return true;
    case VIRGA_GUEST_ASK_SHUTDOWN:
        return ask_shutdown(node, guest, want, is, error);
    case VIRGA_GUEST_POWER_OFF:
        return hypervisor->power_off(hypervisor, guest->id, error);
    case VIRGA_GUEST_REBOOT:
        if (!hypervisor->reboot(hypervisor, guest->id, error))
            return false;
        guest->reboot_asked = want->reboots;
        guest->reboot_at = g_get_monotonic_time();
        return true;
    case VIRGA_GUEST_RESET:
        if (!hypervisor->reset(hypervisor, guest->id, error))
            return false;
        g_mutex_lock(&node->lock);
        note_reboot_locked(node, guest);
        g_mutex_unlock(&node->lock);
        return true;
    case VIRGA_GUEST_RETIRE:
        guest->off_generation = 0;
        return retire(node, guest, want, false, error);
    case VIRGA_GUEST_REMOVE:
        return retire(node, guest, want, true, error);
    default:
        g_assert_not_reached();
    }
}

/* What is reported when there is nothing more to do just now. */
typedef struct {
    VirgaPower power;
    const char *code;
    char *message;
} Verdict;

static Verdict
verdict_of(const VirgaGuestWish *want, const VirgaGuestFacts *is, VirgaGuestStep step)
{
    if (step == VIRGA_GUEST_LOST)
        return (Verdict){ VIRGA_POWER_FAILED, "Server.VolumeLost",
                          g_strdup("Server.VolumeLost: the data of a volume has vanished from its "
                                   "host; nothing was made in its place") };
    if (step == VIRGA_GUEST_OFF_BY_GUEST)
        return (Verdict){ VIRGA_POWER_OFF_GUEST, NULL, NULL };
    if (is->domain == VIRGA_DOMAIN_RUNNING || is->domain == VIRGA_DOMAIN_STUCK)
        return (Verdict){ VIRGA_POWER_RUNNING, NULL, NULL };
    if (g_str_equal(want->wish, "terminate") && is->absent)
        return (Verdict){ VIRGA_POWER_ABSENT, NULL, NULL };
    if (g_str_equal(want->wish, "run"))
        return (Verdict){ VIRGA_POWER_PREPARING, NULL, NULL };
    return (Verdict){ VIRGA_POWER_OFF, NULL, NULL };
}

/* The state reason that EC2 gives for a launch that failed. */
static const char *
reason_code(const GError *error)
{
    if (virga_error_is(error, "volume", VIRGA_ERROR_NOT_FOUND))
        return "Client.InvalidSnapshot.NotFound";
    if (virga_error_is(error, NULL, VIRGA_ERROR_CAPACITY))
        return "Server.InsufficientInstanceCapacity";
    return "Server.InternalError";
}

static bool
hopeless(const Guest *guest, const VirgaGuestWish *want, const GError *error)
{
    gint64 failing = g_get_monotonic_time() - guest->failing_since;

    if (!g_str_equal(want->wish, "run") || guest->power == VIRGA_POWER_RUNNING)
        return false; /* stopping and repairing go on for ever */
    if (virga_error_is(error, NULL, VIRGA_ERROR_NOT_FOUND) ||
        virga_error_is(error, NULL, VIRGA_ERROR_CAPACITY) ||
        virga_error_is(error, NULL, VIRGA_ERROR_INVALID))
        return true;
    if (virga_error_is(error, NULL, VIRGA_ERROR_RETRY))
        return failing > START_PATIENCE_S * G_USEC_PER_SEC;
    return guest->failures >= START_ATTEMPTS_MAX;
}

/* Sets the facts to be reported; they are reported again only if they changed. */
static void
set_facts(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, const Verdict *verdict)
{
    g_mutex_lock(&node->lock);
    for (int kind = 0; kind < VIRGA_DEVICE_KINDS; kind++) {
        bool runs = verdict->power == VIRGA_POWER_RUNNING;
        GStrv ids = runs ? node_plugged(guest, want, (VirgaDeviceKind) kind) : NULL;
        GStrv before = guest->plugged_ids[kind];

        if (ids &&
            (!before || !g_strv_equal((const char *const *) ids, (const char *const *) before)))
            guest->dirty = true;
        g_strfreev(before);
        guest->plugged_ids[kind] = ids;
    }
    if (guest->power != verdict->power || guest->acted_generation != want->generation ||
        g_strcmp0(guest->message, verdict->message) != 0) {
        guest->dirty = true;
        if (verdict->power == VIRGA_POWER_RUNNING && guest->power != VIRGA_POWER_RUNNING)
            guest->reachable = "initializing";
    }
    guest->power = verdict->power;
    guest->acted_generation = want->generation;
    guest->reboots_done = MAX(guest->reboots_done, want->reboots_done);
    g_free(guest->code);
    g_free(guest->message);
    guest->code = g_strdup(verdict->code);
    guest->message = g_strdup(verdict->message);
    if (guest->dirty)
        g_cond_broadcast(&node->changed);
    g_mutex_unlock(&node->lock);
}

static void
note_failure(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, VirgaGuestStep step,
             const GError *error)
{
    gint64 delay_ms = RETRY_FIRST_MS << MIN(guest->failures, 6);

    if (guest->failures++ == 0)
        guest->failing_since = g_get_monotonic_time();
    virga_notice("instance", guest->id, "could not %s: %s", virga_guest_step_name(step),
                 error->message);
    if (hopeless(guest, want, error)) {
        const char *code = reason_code(error);
        g_autofree char *message = g_strdup_printf("%s: %s", code, error->message);
        Verdict verdict = { VIRGA_POWER_FAILED, code, message };

        set_facts(node, guest, want, &verdict);
        guest->wake_at = 0;
        return;
    }
    guest->wake_at = g_get_monotonic_time() + MIN(delay_ms, RETRY_LAST_MS) * 1000;
}

/* The wish as it is now, and the claim to be the only worker. */
static Wish *
begin_work(VirgaNode *node, Guest *guest)
{
    Wish *wish;

    g_mutex_lock(&node->lock);
    guest->queued = false;
    guest->working = true;
    guest->again = false;
    guest->wake_at = 0;
    wish = g_atomic_rc_box_acquire(guest->wish);
    g_mutex_unlock(&node->lock);
    return wish;
}

static void
end_work(VirgaNode *node, Guest *guest)
{
    g_mutex_lock(&node->lock);
    guest->working = false;
    if (guest->forgotten)
        g_hash_table_remove(node->guests, guest->id);
    else if (guest->again)
        node_wake_guest_locked(node, guest);
    g_mutex_unlock(&node->lock);
}

/* A step that only the guest can end: come back when it is time to say more. */
static void
make_appointment(Guest *guest, const VirgaGuestWish *want, const VirgaGuestFacts *is)
{
    bool rebooting = guest->reboot_asked && guest->reboot_at > guest->asked_at;

    if (is->domain == VIRGA_DOMAIN_STUCK && g_str_equal(want->wish, "run")) {
        guest->wake_at = guest->resumed_at + RESUME_PAUSE_US;
        return;
    }
    if (is->device_leaving && g_str_equal(want->wish, "run") && !rebooting) {
        guest->wake_at = node_drop_again_at(guest, want);
        return;
    }
    if (is->join_asked && g_str_equal(want->wish, "run") && !rebooting) {
        guest->wake_at = node_join_again_at(guest);
        return;
    }
    guest->wake_at = rebooting ? guest->reboot_at + (REBOOT_GRACE_S + 1) * G_USEC_PER_SEC
                               : MIN(guest->asked_at + ASK_AGAIN_S * G_USEC_PER_SEC,
                                     guest->asked_first_at + grace_us(want) + APPOINTMENT_US);
}

static bool
is_final(VirgaGuestStep step)
{
    return step == VIRGA_GUEST_SETTLED || step == VIRGA_GUEST_WAIT || step == VIRGA_GUEST_LOST ||
           step == VIRGA_GUEST_OFF_BY_GUEST;
}

static void
work(VirgaNode *node, Guest *guest, const VirgaGuestWish *want)
{
    for (int i = 0; i < STEPS_MAX && !node_stopping(node); i++) {
        g_autoptr(GError) error = NULL;
        VirgaGuestFacts is;
        VirgaGuestStep step = VIRGA_GUEST_WAIT;

        if (!look(node, guest, want, &is, &error)) {
            note_failure(node, guest, want, step, error);
            return;
        }
        step = virga_guest_next_step(want, &is);
        if (is_final(step)) {
            Verdict verdict = verdict_of(want, &is, step);

            if (step == VIRGA_GUEST_OFF_BY_GUEST && !guest->off_generation)
                guest->off_generation = want->generation;
            if (step == VIRGA_GUEST_WAIT)
                make_appointment(guest, want, &is);
            if (guest->frozen)
                guest->wake_at =
                    guest->wake_at ? MIN(guest->wake_at, guest->thaw_at) : guest->thaw_at;
            guest->failures = 0;
            set_facts(node, guest, want, &verdict);
            g_free(verdict.message);
            return;
        }
        virga_debug("instance", guest->id, "%s", virga_guest_step_name(step));
        if (!take_step(node, guest, want, &is, step, &error)) {
            note_failure(node, guest, want, step, error);
            return;
        }
    }
    virga_warning("instance", guest->id, "no end after %d steps", STEPS_MAX);
    guest->wake_at = g_get_monotonic_time() + RETRY_LAST_MS * 1000;
}

void
node_work_on_guest(gpointer data, gpointer user_data)
{
    VirgaNode *node = user_data;
    Guest *guest = data;
    g_autoptr(Wish) wish = begin_work(node, guest);

    /* Given up under this very wish: only a new one, or the same by a restart, tries again. */
    if (!(guest->power == VIRGA_POWER_FAILED &&
          guest->acted_generation == wish->record->generation))
        work(node, guest, wish->record);
    end_work(node, guest);
}
