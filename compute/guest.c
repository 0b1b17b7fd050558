/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/guest.h"

#include <string.h>

#define FIELD(type, kind, name)                                                                    \
    {                                                                                              \
#name, VIRGA_FIELD_##kind, offsetof(type, name), false, NULL                               \
    }
#define REQUIRED(type, kind, name)                                                                 \
    {                                                                                              \
#name, VIRGA_FIELD_##kind, offsetof(type, name), true, NULL                                \
    }

static const VirgaField file_fields[] = {
    REQUIRED(VirgaSnapshotFile, STRING, id),
    FIELD(VirgaSnapshotFile, INTEGER, bytes),
    FIELD(VirgaSnapshotFile, STRING, sha256),
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType file_type = { "snapshot", sizeof(VirgaSnapshotFile), file_fields };

static const VirgaField disk_fields[] = {
    REQUIRED(VirgaGuestDisk, STRING, id),
    REQUIRED(VirgaGuestDisk, STRING, device),
    FIELD(VirgaGuestDisk, STRING, type),
    FIELD(VirgaGuestDisk, STRING, pool),
    REQUIRED(VirgaGuestDisk, INTEGER, size_gib),
    FIELD(VirgaGuestDisk, INTEGER, iops),
    FIELD(VirgaGuestDisk, INTEGER, throughput),
    { "files", VIRGA_FIELD_RECORDS, offsetof(VirgaGuestDisk, files), false, &file_type },
    FIELD(VirgaGuestDisk, BOOL, encrypted),
    FIELD(VirgaGuestDisk, BOOL, made),
    FIELD(VirgaGuestDisk, BOOL, delete_on_termination),
    FIELD(VirgaGuestDisk, BOOL, leaving),
    FIELD(VirgaGuestDisk, STRING, remote_address),
    FIELD(VirgaGuestDisk, STRING, remote_key),
    FIELD(VirgaGuestDisk, INTEGER, remote_port),
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType disk_type = { "disk", sizeof(VirgaGuestDisk), disk_fields };

static const VirgaField port_fields[] = {
    REQUIRED(VirgaGuestPort, STRING, id),
    REQUIRED(VirgaGuestPort, STRING, vpc_id),
    REQUIRED(VirgaGuestPort, STRING, mac),
    REQUIRED(VirgaGuestPort, STRING, address),
    FIELD(VirgaGuestPort, STRINGS, secondaries),
    FIELD(VirgaGuestPort, INTEGER, device_index),
    FIELD(VirgaGuestPort, BOOL, leaving),
    FIELD(VirgaGuestPort, BOOL, forced),
    { NULL, 0, 0, false, NULL },
};
static const VirgaRecordType port_type = { "port", sizeof(VirgaGuestPort), port_fields };

static const VirgaField wish_fields[] = {
    REQUIRED(VirgaGuestWish, STRING, id),
    REQUIRED(VirgaGuestWish, STRING, wish),
    REQUIRED(VirgaGuestWish, STRING, boot_mode),
    REQUIRED(VirgaGuestWish, INTEGER, generation),
    FIELD(VirgaGuestWish, INTEGER, reboots),
    FIELD(VirgaGuestWish, INTEGER, reboots_done),
    FIELD(VirgaGuestWish, INTEGER, asked_at),
    REQUIRED(VirgaGuestWish, INTEGER, vcpus),
    REQUIRED(VirgaGuestWish, INTEGER, memory_mib),
    FIELD(VirgaGuestWish, BOOL, force),
    { "disks", VIRGA_FIELD_RECORDS, offsetof(VirgaGuestWish, disks), true, &disk_type },
    { "ports", VIRGA_FIELD_RECORDS, offsetof(VirgaGuestWish, ports), true, &port_type },
    FIELD(VirgaGuestWish, STRING, metadata),
    { NULL, 0, 0, false, NULL },
};
const VirgaRecordType virga_guest_wish_type = { "guest", sizeof(VirgaGuestWish), wish_fields };

const char *
virga_guest_step_name(VirgaGuestStep step)
{
    static const char *const names[] = {
        "settled",     "wait",      "make disks",      "prepare taps",     "start",
        "plug",        "resume",    "plug devices in", "unplug devices",   "tune disks",
        "thaw",        "cut disks", "join layers",     "ask to shut down", "power off",
        "reboot",      "reset",     "retire",          "remove",           "lost",
        "off by guest"
    };

    return names[step];
}

/* Asks a guest that may still listen, then pulls the plug. */
static VirgaGuestStep
step_to_halt(const VirgaGuestWish *want, const VirgaGuestFacts *is)
{
    if (is->domain != VIRGA_DOMAIN_RUNNING || want->force || is->shutdown_overdue)
        return VIRGA_GUEST_POWER_OFF;
    return is->shutdown_asked ? VIRGA_GUEST_WAIT : VIRGA_GUEST_ASK_SHUTDOWN;
}

static VirgaGuestStep
step_to_run(const VirgaGuestWish *want, const VirgaGuestFacts *is)
{
    /* A domain that is off by our doing must not be taken for one that is by its guest's: it goes
     * before the moment of the snapshot does. */
    if (is->halt_asked && is->domain == VIRGA_DOMAIN_RUNNING)
        return step_to_halt(want, is);
    if (is->halt_asked && is->domain == VIRGA_DOMAIN_OFF)
        return VIRGA_GUEST_RETIRE;
    if (is->domain == VIRGA_DOMAIN_RUNNING) {
        if (!is->plugged)
            return VIRGA_GUEST_PLUG;
        if (is->device_leaving && !is->device_asked)
            return VIRGA_GUEST_DROP_DEVICES;
        if (is->device_lacking)
            return VIRGA_GUEST_ADD_DEVICES;
        if (is->tune_asked)
            return VIRGA_GUEST_TUNE;
        if (is->rebooting)
            return is->reboot_overdue ? VIRGA_GUEST_RESET : VIRGA_GUEST_WAIT;
        if (want->reboots > MAX(want->reboots_done, is->reboots_done))
            return VIRGA_GUEST_REBOOT;
        if (is->device_leaving)
            return VIRGA_GUEST_WAIT;
        if (is->layer_surplus)
            return is->join_asked ? VIRGA_GUEST_WAIT : VIRGA_GUEST_JOIN;
        return VIRGA_GUEST_SETTLED;
    }
    if (is->domain == VIRGA_DOMAIN_PAUSED)
        return is->plugged ? VIRGA_GUEST_RESUME : VIRGA_GUEST_PLUG;
    if (is->domain == VIRGA_DOMAIN_STUCK) /* there may be room again */
        return is->resumed ? VIRGA_GUEST_WAIT : VIRGA_GUEST_RESUME;
    if (is->disk_lost)
        return VIRGA_GUEST_LOST;
    if (is->domain == VIRGA_DOMAIN_OFF && is->reason == VIRGA_DOMAIN_REASON_GUEST)
        return is->former_life ? VIRGA_GUEST_RETIRE : VIRGA_GUEST_OFF_BY_GUEST;
    if (!is->disks_here)
        return VIRGA_GUEST_MAKE_DISKS;
    if (!is->taps_ready)
        return VIRGA_GUEST_PREPARE_TAPS;
    return VIRGA_GUEST_START;
}

VirgaGuestStep
virga_guest_next_step(const VirgaGuestWish *want, const VirgaGuestFacts *is)
{
    bool on = is->domain == VIRGA_DOMAIN_RUNNING || is->domain == VIRGA_DOMAIN_PAUSED ||
              is->domain == VIRGA_DOMAIN_STUCK;

    if (is->frozen) /* it hears nothing else */
        return VIRGA_GUEST_THAW;
    if (is->cut_asked) /* before all else: what comes is not to be in it */
        return VIRGA_GUEST_CUT;
    if (g_str_equal(want->wish, "run"))
        return step_to_run(want, is);
    if (on)
        return step_to_halt(want, is);
    if (g_str_equal(want->wish, "terminate"))
        return is->absent ? VIRGA_GUEST_SETTLED : VIRGA_GUEST_REMOVE;
    /* Stopped: nothing is left to confuse the next life with this one. */
    return is->absent ? VIRGA_GUEST_SETTLED : VIRGA_GUEST_RETIRE;
}
