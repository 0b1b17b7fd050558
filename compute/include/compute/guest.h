/* SPDX-License-Identifier: Apache-2.0 */
/* A guest: the share of an instance that a host carries out.  Its wish comes from the controller
 * as JSON, is kept on the host's disk and is never changed here; its facts are read from the world
 * each time. */
#pragma once

#include "compute/hypervisor.h"
#include "core/record.h"
#include "network/driver.h"
#include "storage/driver.h"

typedef struct {
    char *id, *device;
    char *type;                        /* NULL: without limits */
    char *pool;                        /* NULL: this host's own */
    gint64 size_gib, iops, throughput; /* iops, throughput 0: of the type */
    GPtrArray *files; /* VirgaSnapshotFile: of what it is made, if it was not yet */
    bool made, delete_on_termination;
    bool encrypted; /* the key is asked for when it is needed, and never written down */
    bool leaving;   /* to be unplugged; only while the guest runs */
    char *remote_address, *remote_key; /* of the host that has the bytes and serves them; or NULL */
    gint64 remote_port;
} VirgaGuestDisk;

typedef struct {
    char *id, *vpc_id, *mac, *address;
    char **secondaries; /* further addresses, or NULL */
    gint64 device_index;
    bool leaving; /* to be unplugged; only while the guest runs */
    bool forced;  /* even if the guest does not let go of it */
} VirgaGuestPort;

typedef struct {
    char *id, *wish; /* "run", "stop", "terminate" */
    char *boot_mode;
    gint64 generation, reboots, reboots_done;
    gint64 asked_at; /* to switch off: wall clock, µs; only the host's own record has it */
    gint64 vcpus, memory_mib;
    bool force;
    GPtrArray *disks; /* VirgaGuestDisk, the root first */
    GPtrArray *ports; /* VirgaGuestPort by device index */
    char *metadata;   /* JSON text for the metadata service */
} VirgaGuestWish;

extern const VirgaRecordType virga_guest_wish_type;

/* What the world looks like, as far as the next step depends on it. */
typedef struct {
    bool disks_here;     /* all of them */
    bool disk_lost;      /* one that was made is not there */
    bool former_life;    /* the domain is off since an earlier wish */
    bool absent;         /* nothing but disks that stay is left of it */
    bool taps_ready;     /* every port has a tap, plugged or not */
    bool plugged;        /* every port's tap is in its VPC */
    bool device_lacking; /* the running guest is without a port or disk that it shall have */
    bool device_leaving; /* of one that it shall not have, there is still something */
    bool device_asked;   /* … and the guest was asked just now to let go of it */
    bool resumed;        /* it was just now, and may soon stand still again */
    bool tune_asked;     /* its disks are to be larger or faster or slower than they are */
    bool frozen;         /* its file systems are, or may be, held for the moment of a snapshot */
    bool cut_asked;      /* the moment of a snapshot of a disk is to be made */
    bool halt_asked;     /* … when the domain is gone, which is to be started again then */
    bool layer_surplus;  /* layers of a disk that the running guest has can be joined */
    bool join_asked;     /* … and that goes on */
    VirgaDomainState domain;
    VirgaDomainReason reason;
    bool shutdown_asked;   /* just now, by this process, for the present wish */
    bool shutdown_overdue; /* … and the guest has had its time */
    bool rebooting;        /* asked, not seen yet */
    bool reboot_overdue;
    gint64 reboots_done; /* seen by this process; the wish may not know of them yet */
} VirgaGuestFacts;

typedef enum {
    VIRGA_GUEST_SETTLED,
    VIRGA_GUEST_WAIT, /* for the guest itself */
    VIRGA_GUEST_MAKE_DISKS,
    VIRGA_GUEST_PREPARE_TAPS,
    VIRGA_GUEST_START, /* paused */
    VIRGA_GUEST_PLUG,
    VIRGA_GUEST_RESUME,
    VIRGA_GUEST_ADD_DEVICES,  /* to the running guest */
    VIRGA_GUEST_DROP_DEVICES, /* from it */
    VIRGA_GUEST_TUNE,         /* size and speed of its disks */
    VIRGA_GUEST_THAW,         /* what was frozen for one */
    VIRGA_GUEST_CUT,          /* make the moment of snapshots */
    VIRGA_GUEST_JOIN,         /* layers of its disks */
    VIRGA_GUEST_ASK_SHUTDOWN,
    VIRGA_GUEST_POWER_OFF,
    VIRGA_GUEST_REBOOT,
    VIRGA_GUEST_RESET,
    VIRGA_GUEST_RETIRE, /* domain and taps: it is stopped */
    VIRGA_GUEST_REMOVE, /* also the disks that go with it and the log */
    VIRGA_GUEST_LOST,   /* a disk has vanished: say so, make nothing */
    VIRGA_GUEST_OFF_BY_GUEST,
} VirgaGuestStep;

const char *virga_guest_step_name(VirgaGuestStep step);

/* Chooses the one next step.  Pure: no clock, no driver. */
VirgaGuestStep virga_guest_next_step(const VirgaGuestWish *want, const VirgaGuestFacts *is);
