/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of virga-node share.  node.c owns the tables, node-guest.c works on guests,
 * node-devices.c on what they get while they run, node-layers.c on the moments of snapshots,
 * node-freeze.c on guests that wait for those, node-snapshot.c copies them into the store,
 * node-export.c brings volumes to other hosts, node-keys.c knows what encrypted ones are opened
 * with, node-vpc.c works on VPCs, node-console.c reads consoles, node-sync.c talks with virgad,
 * node-credentials.c gets what instance profiles give guests, node-balancer.c tells what load
 * balancers know, node-store.c keeps the wish on disk, node-garbage.c removes what nothing
 * claims. */
#pragma once

#include "compute/guest.h"
#include "compute/instance.h"
#include "compute/metadata-server.h"
#include "compute/node.h"
#include "core/error.h"
#include "core/limits.h"
#include "core/log.h"

#define NEVER (G_MININT64 / 2) /* a monotonic time before every other */

/* Immutable and shared by reference: workers keep the one they started with. */
typedef struct {
    VirgaGuestWish *record;
} Wish;

typedef struct {
    VirgaVpcPlan *record;
} Plan;

void wish_release(Wish *wish);
void plan_release(Plan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Wish, wish_release)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Plan, plan_release)

/* Guarded by the node's lock, except the part of the worker that holds 'working'. */
typedef struct {
    char *id;
    Wish *wish;
    bool queued, working, again, forgotten;
    gint64 wake_at; /* monotonic; 0: no appointment */

    /* the worker's own */
    bool taps_ready, plugged;
    GStrv present[VIRGA_DEVICE_KINDS];   /* keys of the devices that its domain has, … */
    gint64 present_generation;           /* … as seen under this wish; 0: not known */
    GStrv dropped;                       /* ids of leaving devices of which nothing is left */
    gint64 drop_first_at, drop_asked_at; /* when it was asked to let go of one */
    char *tuned;                         /* what its disks were told to be; NULL: not known */
    gint64 join_asked_at;                /* when the joining of layers was looked at last; … */
    gint64 join_next_at;                 /* … not again before */
    bool frozen, frozen_known;           /* its file systems are held, as far as is known, … */
    gint64 thaw_at;                      /* … and let go, but not before */
    bool retired;                        /* domain and taps were removed and not made since */
    gint64 asked_generation;             /* wish under which it was asked to switch off */
    gint64 resumed_at;
    gint64 asked_first_at, asked_at;     /* the first and the last time */
    gint64 off_generation;          /* wish under which the guest was seen to be off by itself */
    gint64 reboot_asked, reboot_at; /* number of the reboot that is under way */
    unsigned failures;
    gint64 failing_since;

    /* what will be reported */
    VirgaPower power;
    gint64 acted_generation, reboots_done;
    char *code, *message;
    GStrv made, lost, kept;
    GStrv plugged_ids[VIRGA_DEVICE_KINDS]; /* NULL: it does not run */
    const char *reachable;
    char *console; /* its end, base64; NULL: nothing new */
    bool dirty, reporting;
    bool rebooted; /* an event came */
} Guest;

typedef struct {
    char *id;
    Plan *plan;
    gint64 applied;    /* generation */
    bool had_gateways; /* the plan that was applied last */
    guint64 epoch;
    bool queued, working, again, wanted;
    gint64 checked_at;
    GMutex apply_lock;             /* held while the driver works, before the node's lock */
    VirgaMetadataServer *metadata; /* under apply_lock */
    guint64 metadata_epoch;
} Vpc;

/* A snapshot that this host makes. */
typedef struct {
    char *id, *volume_id, *pool, *parent_id, *parent_file;
    bool parent_ready; /* what it stands on is in the store */
    bool cut;          /* its moment has passed */
    bool halt;         /* its guest is to be off then */
    bool made;         /* the volume's bytes were made once */
    bool nothing;      /* … and were not when the moment passed: it is what it stands on */
    bool lost;         /* … and are gone */
    bool queued, working, forgotten;
    bool afresh;   /* what the store has of it is of no use */
    gint64 try_at; /* monotonic: not before */
    unsigned failures;
} Snapshot;

/* A volume of this host that it serves to another one. */
typedef struct {
    char *id, *key;
    gint64 port;
} Export;

/* What is known of one guest's profile. */
typedef struct {
    char *profile_id; /* of which this is */
    char *code, *updated, *role_name, *document;
    gint64 ask_at;    /* monotonic */
    gint64 expires_s; /* since 1970; 0: there are no credentials */
} Credentials;

struct VirgaNode {
    VirgaConfig *config;
    char *host_id, *host_name, *directory, *console_directory;
    VirgaHypervisor *hypervisor;
    VirgaVolumeDriver *volumes;
    GHashTable *pools; /* name -> VirgaVolumeDriver; or NULL */
    VirgaNetworkDriver *network;
    VirgaHttpClient *virgad;
    uid_t tap_owner;
    guint8 metadata_key[VIRGA_METADATA_KEY_SIZE];

    GMutex lock;
    GCond changed;      /* facts to report, or the end */
    GHashTable *guests; /* id -> Guest */
    GHashTable *vpcs;   /* id -> Vpc */
    gint64 generation;
    bool stopping, store_dirty;
    bool vpcs_dirty;      /* the controller waits to hear of what has been applied */
    char **damaged;       /* snapshots whose base images here are; NULL: not known yet */
    char *trouble;        /* what the host reports as wrong with it */
    GPtrArray *deleted;   /* ids of volumes whose bytes are gone, not reported yet */
    guint deleted_said;   /* the first of them are on the way */
    GPtrArray *snapshots; /* Snapshot: all that virgad wants of this host, the oldest first */
    GPtrArray *cut;       /* ids of those whose moment has passed, as 'deleted' */
    guint cut_said;
    GPtrArray *exports;     /* Export: all that virgad wants of this host */
    bool exports_told;      /* in this process's life */
    gint64 exports_next_at; /* the tending thread's: not before, after a failure */
    GHashTable *busy;       /* ids of volumes that some thread works on */
    GCond idle;             /* one of them is not busy any more */
    gint64 heartbeat_at, stored_at, resync_at;

    GThreadPool *guest_pool, *vpc_pool, *question_pool, *snapshot_pool;
    GHashTable *questions;   /* ids of those that are being answered */
    bool told_all;           /* virgad has told the whole wish in this process's life */
    GHashTable *garbage;     /* the look thread's: name -> when it was first seen unclaimed */
    GMutex console_lock;     /* before the node's lock */
    GHashTable *consoles;    /* node-console.c's: by id of the guest */
    GHashTable *credentials; /* id of the guest -> Credentials */
    GHashTable *keys;        /* id of the volume -> its passphrase */
    GThread *sync_thread, *report_thread, *balancer_thread, *tick_thread, *look_thread,
        *console_thread;
    GThread *credentials_thread, *scrub_thread, *export_thread, *files_thread;
};

/* node.c; the lock is held by the caller where the name says so */
Guest *node_guest_locked(VirgaNode *node, const char *id);
void node_wake_guest_locked(VirgaNode *node, Guest *guest);
void node_wake_vpc_locked(VirgaNode *node, Vpc *vpc);
void node_take_wish_locked(VirgaNode *node, VirgaGuestWish *record);
void node_take_plan_locked(VirgaNode *node, VirgaVpcPlan *record);
void node_drop_guest_locked(VirgaNode *node, const char *id);
bool node_stopping(VirgaNode *node);
Plan *node_plan(VirgaNode *node, const char *vpc_id); /* a reference, or NULL */
/* Who keeps the volumes of a pool (NULL: this host); NULL with an error when this host has none of
 * that name. */
VirgaVolumeDriver *node_pool(VirgaNode *node, const char *name, GError **error);

gpointer node_scrub_main(gpointer node); /* node-scrub.c */
gpointer node_files_main(gpointer node); /* node-files.c */

/* node-guest.c, node-vpc.c: bodies of the pools */
void node_work_on_guest(gpointer guest, gpointer node);
void node_work_on_vpc(gpointer vpc, gpointer node);
/* Applies a VPC's plan if this generation was not yet; the launch path. */
bool node_ensure_vpc(VirgaNode *node, const char *vpc_id, GError **error);
/* node-guest.c, for node-devices.c.  A disk's bytes, unless they are there; whether they ever were;
 * and that they are gone. */
bool node_make_disk(VirgaNode *node, Guest *guest, const VirgaGuestDisk *disk, GError **error);
/* Where the hypervisor finds a disk, which is claimed and as large as it shall be; the caller's. */
VirgaVolumeSource *node_open_disk(VirgaNode *node, const VirgaGuestDisk *disk, GError **error);
bool node_was_made(const Guest *guest, const VirgaGuestDisk *disk);
void node_note_lost(VirgaNode *node, Guest *guest, const char *volume_id);

/* node-devices.c: ports and disks that come and go while the guest runs */
#define VIRGA_DISK_SERIAL_SIZE 21
/* "vol" and the 17 digits of its id: by this serial number guests find a volume's device. */
void node_disk_serial(const char *id, char serial[static VIRGA_DISK_SERIAL_SIZE]);
bool node_look_at_devices(VirgaNode *node, Guest *guest, const VirgaGuestWish *want,
                          VirgaGuestFacts *is, GError **error);
void node_forget_devices(Guest *guest); /* it is off */
/* The guest was started with all of the wish that does not leave. */
void node_note_devices(Guest *guest, const VirgaGuestWish *want);
bool node_has_port(const Guest *guest, const VirgaGuestPort *port);
/* How large and fast a disk shall be, to be given to the hypervisor. */
void node_shape_disk(const VirgaGuestDisk *disk, VirgaDomainDisk *device);
bool node_tune_disks(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, GError **error);
bool node_add_devices(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, GError **error);
bool node_drop_devices(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, GError **error);
gint64 node_drop_again_at(const Guest *guest, const VirgaGuestWish *want);
/* The ids of those that are plugged in, or not out yet. */
GStrv node_plugged(const Guest *guest, const VirgaGuestWish *want, VirgaDeviceKind kind);

/* node-freeze.c.  For the moment of a snapshot, if the guest has an agent; a failure is told, and
 * the snapshot has what was written out before. */
void node_freeze(VirgaNode *node, Guest *guest);
void node_thaw(VirgaNode *node, Guest *guest); /* tries it, and later again */
void node_look_at_freeze(VirgaNode *node, Guest *guest, VirgaGuestFacts *is);

/* node-keys.c */
void node_keys_init(VirgaNode *node);
void node_forget_keys_locked(VirgaNode *node); /* of volumes that nothing names any more */

/* node-layers.c.  While a volume is claimed, nobody else opens it or puts a layer on it. */
void node_claim_volumes(VirgaNode *node, const char *const *ids);
void node_release_volumes(VirgaNode *node, const char *const *ids);
/* What is to be cut or joined of the guest's disks; the domain's state is known. */
bool node_look_at_layers(VirgaNode *node, Guest *guest, const VirgaGuestWish *want,
                         VirgaGuestFacts *is, GError **error);
/* Makes the moment of all snapshots that wait for it.  What fails is tried again later: the guest
 * does not wait for it. */
void node_cut_disks(VirgaNode *node, Guest *guest, const VirgaGuestWish *want,
                    VirgaDomainState domain);
void node_join_layers(VirgaNode *node, Guest *guest, const VirgaGuestWish *want);
/* When to look again how far it has come. */
gint64 node_join_again_at(const Guest *guest);
/* The same for a snapshot of a volume that no guest has; false: not now. */
bool node_cut_volume(VirgaNode *node, Snapshot *snapshot, GError **error);
void node_join_volume(VirgaNode *node, const char *pool, const char *volume_id);
/* The ids of those of a guest's disks whose bytes some snapshot still needs. */
GStrv node_needed_disks(VirgaNode *node, const VirgaGuestWish *want);

/* node-snapshot.c */
extern const VirgaRecordType node_snapshot_type; /* Snapshot */
void node_snapshots_start(VirgaNode *node);
void node_snapshot_free(gpointer snapshot);
void node_take_snapshots_locked(VirgaNode *node, JsonArray *snapshots); /* NULL: not told */
void node_wake_snapshots_locked(VirgaNode *node); /* those whose time has come */
VirgaSnapshotWish node_snapshot_wish(const Snapshot *snapshot);
/* The guest whose disk a volume is, or NULL. */
Guest *node_owner_locked(VirgaNode *node, const char *volume_id);

/* node-export.c: volumes that are used on another host than the one that has their bytes */
extern const VirgaRecordType node_export_type; /* Export */
void node_export_free(gpointer export);
void node_take_exports_locked(VirgaNode *node, JsonArray *exports); /* NULL: not told */
bool node_is_remote(const VirgaGuestDisk *disk);                    /* another host has its bytes */
bool node_is_exported(VirgaNode *node, const char *volume_id);      /* another one uses them */
/* Where the hypervisor finds a remote disk, which is claimed; the caller's. */
VirgaVolumeSource *node_import_disk(VirgaNode *node, const VirgaGuestDisk *disk, GError **error);
/* A guest's remote disks can be read and written again, if one could not. */
bool node_import_disks(VirgaNode *node, const VirgaGuestWish *want, GError **error);
/* Nobody else has the volume open, which is claimed and will be opened here; RETRY: somebody
 * shall. */
bool node_unexport(VirgaNode *node, const char *volume_id, GError **error);
void node_tend_exports(VirgaNode *node);
gpointer node_export_main(gpointer node); /* the body of a thread */

/* Looks which guests answer on the network. */
void node_probe_network(VirgaNode *node);

/* node-console.c */
char *node_console_path(VirgaNode *node, const char *id);
char *node_console_end(VirgaNode *node, const char *id); /* as it is now, base64; never NULL */
/* Reads what the guest has printed since the last time, to be reported, and bounds the file.  Too
 * soon after the last time, nothing is done, unless this is the last of its life. */
void node_read_console(VirgaNode *node, const char *id, bool last);
void node_probe_consoles(VirgaNode *node);
gpointer node_console_main(gpointer node); /* body of a thread */

/* node-question.c */
void node_questions_start(VirgaNode *node);
void node_take_questions_locked(VirgaNode *node, JsonArray *questions); /* may be NULL */

/* node-garbage.c */
void node_collect_garbage(VirgaNode *node);

/* node-sync.c: bodies of the threads */
gpointer node_sync_main(gpointer node);
gpointer node_report_main(gpointer node);

/* node-balancer.c: the thread that tells what load balancers know. */
gpointer node_balancer_main(gpointer node);

/* Takes the "vpcs" and "guests" of an answer, or of what was kept on disk; the ids of guests are
 * added to 'seen' (may be NULL). */
void node_take_lists_locked(VirgaNode *node, JsonObject *root, GHashTable *seen);

/* node-credentials.c: the body of its thread, one round of it, and its table */
gpointer node_credentials_main(gpointer node);
void node_credentials_renew(VirgaNode *node);
GHashTable *node_credentials_new(void);

/* Adds to a guest's document what its instance profile gives. */
void node_credentials_show_locked(VirgaNode *node, VirgaMetadata *metadata);

/* node-store.c */
void node_store_load(VirgaNode *node);
bool node_store_save(VirgaNode *node, GError **error);
