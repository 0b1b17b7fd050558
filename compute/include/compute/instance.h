/* SPDX-License-Identifier: Apache-2.0 */
/* Instances: the wish that callers write and the facts that hosts report.
 *
 * A call writes the wish and claims what it needs in one transaction, then answers.  The state
 * that users see follows from wish and facts by virga_instance_settle() and by nothing else. */
#pragma once

#include "compute/instance-type.h"
#include "core/config.h"
#include "core/db.h"
#include "core/tag.h"
#include "network/interface.h"
#include "storage/volume.h"

typedef enum { VIRGA_WISH_RUN, VIRGA_WISH_STOP, VIRGA_WISH_TERMINATE } VirgaWish;

/* EC2's states; the numbers are its codes. */
typedef enum {
    VIRGA_INSTANCE_PENDING = 0,
    VIRGA_INSTANCE_RUNNING = 16,
    VIRGA_INSTANCE_SHUTTING_DOWN = 32,
    VIRGA_INSTANCE_TERMINATED = 48,
    VIRGA_INSTANCE_STOPPING = 64,
    VIRGA_INSTANCE_STOPPED = 80,
} VirgaInstanceState;

const char *virga_instance_state_name(VirgaInstanceState state);

typedef struct {
    char *id, *reservation_id, *client_token, *image_id, *type, *architecture, *boot_mode;
    char *root_device_name, *zone, *vpc_id, *subnet_id, *key_name;
    char *http_tokens, *http_endpoint, *http_tags;
    char *placement_group_id, *placement_group; /* NULL: none */
    char *reason_code, *reason_message, *transition_reason;
    char *profile_id, *profile_arn; /* its instance profile, or NULL */
    gint64 launch_index, vcpus, http_hops, partition;
    bool ebs_optimized, monitoring;
    bool metadata_pending; /* its host has not confirmed the newest metadata options */
    VirgaInstanceState state;
    gint64 launched; /* times are microseconds since the epoch */

    /* Not read by virga_instance_show_receive(). */
    char *account_id, *shutdown_behavior, *host_id;
    char *reachable; /* instance status check: "ok", "initializing", "impaired", … */
    gint64 memory_mib;
    bool ran;     /* was seen running once */
    bool claimed; /* its host keeps room for it */
    bool disable_termination, disable_stop;
    VirgaWish wish;
    gint64 state_since, reachable_since;
} VirgaInstance;

/* A disk as RunInstances names it: changes the image's device of that name or adds one. */
typedef struct {
    const char *device, *snapshot_id, *volume_type;
    gint64 size_gib, iops, throughput; /* 0: the image's or the default */
    int delete_on_termination;         /* -1: the image's or true */
    bool no_device;                    /* leave the image's device out */
    bool encrypted, has_encrypted;     /* has_encrypted: the call says so, or not */
    const char *key_id;                /* of the snapshot; only while it is launched */
} VirgaDiskSpec;

/* A network interface of a launch besides the first: an existing one, or one that is made. */
typedef struct {
    gint64 device_index;             /* > 0 */
    const char *interface_id;        /* NULL: made, with what follows */
    const char *subnet_id, *address; /* NULL: the first one's subnet; any address */
    const char *const *group_ids;    /* NULL: the group "default" */
    const char *const *secondaries;  /* further addresses, or NULL */
    gint64 secondary_count;          /* and so many free ones */
    const char *description;         /* NULL: none */
    bool delete_on_termination;
} VirgaNicSpec;

typedef struct {
    const char *account_id, *image_id, *type;
    gint64 count_min, count_max;
    const char *key_name, *zone, *subnet_id, *address;
    const char *const *group_ids, *const *group_names;   /* NULL: the group "default" */
    int public_address;                                  /* -1: as the subnet says */
    const char *user_data;                               /* base64 or NULL */
    const char *placement_group_id, *placement_group;    /* one of them, or NULL */
    gint64 partition;                                    /* 0: any */
    const char *client_token, *request_digest;           /* both or none */
    const char *shutdown_behavior;                       /* NULL: "stop" */
    const char *http_tokens, *http_endpoint, *http_tags; /* NULL: optional, enabled, disabled */
    gint64 http_hops;                                    /* 0: 1 */
    bool disable_termination, disable_stop, ebs_optimized, monitoring;
    const char *cpu_credits;             /* of a burstable type; NULL: the family's default */
    int interface_delete_on_termination; /* -1: true */
    const char *interface_description;
    const char *interface_id; /* the first interface is this one, of one instance, in its subnet */
    const char *const *secondaries; /* further addresses of the first interface, or NULL */
    gint64 secondary_count;         /* and so many free ones */
    const VirgaNicSpec *nics;       /* further interfaces */
    size_t nic_count;
    const char *profile_id, *profile_arn; /* NULL: no instance profile */
    const VirgaDiskSpec *disks;
    size_t disk_count;
    const VirgaTag *tags, *volume_tags, *interface_tags;
    size_t tag_count, volume_tag_count, interface_tag_count;
    const VirgaTag *reserved_tags; /* of the cloud's own, for instances */
    size_t reserved_tag_count;
    bool dry_run; /* check everything, change nothing */
    const char *request_id;
} VirgaInstanceSpec;

/* A launch, and what it has made as it can be shown: nobody needs to look for it. */
typedef struct {
    char *id; /* NULL: a dry run */
    VirgaInstance *instances;
    VirgaInterface *interfaces;   /* as virga_interface_list() */
    VirgaAttachment *attachments; /* of the instances' volumes */
    size_t count, interface_count, attachment_count;
} VirgaReservation;

/* Launches between count_min and count_max instances, all rows and claims or none.  'ret' is in
 * 'arena' and shares texts with 'spec'.  A repeated client token gives the first call's
 * reservation without instances ('count' 0).  'ret_committing' (NULL: waits for the commit) gets
 * the transaction whose commit was sent (virga_txn_commit_receive()), or NULL if nothing was made.
 * Fails with the nouns of what is missing (image, snapshot, key pair, subnet, security group,
 * placement group), "image" STATE, "instance type" INVALID, "instance" INVALID or CAPACITY (the
 * message and "virga why REQUEST-ID" say what each host lacks), "address" and "subnet" CAPACITY,
 * "client token" CONFLICT, and those of virga_interface_attach(). */
bool virga_instance_create(VirgaDb *db, const VirgaConfig *config, VirgaArena *arena,
                           const VirgaInstanceSpec *spec, VirgaReservation *ret,
                           VirgaTxn **ret_committing, GError **error);

/* The account's instances in order of id, in 'arena'; ids and reservation_id may be NULL.
 * Those that terminated more than an hour ago are left out. */
bool virga_instance_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                         const char *const *ids, const char *reservation_id, VirgaInstance **ret,
                         size_t *ret_count, GError **error);

/* The same ones, in no order and only what their users are shown, in two halves: it may share a
 * round trip with others (virga_txn_send()). */
bool virga_instance_show_send(VirgaTxn *txn, const char *account_id, const char *const *ids,
                              const char *reservation_id, GError **error);
bool virga_instance_show_receive(VirgaTxn *txn, VirgaArena *arena, VirgaInstance **ret,
                                 size_t *ret_count, GError **error);

/* The account's instances in order of reservation and launch index, after those of the page
 * before, at most 'limit'; the other half is virga_instance_show_receive(). */
bool virga_instance_show_page_send(VirgaTxn *txn, const char *account_id,
                                   const char *after_reservation_id, gint64 after_index,
                                   gint64 limit, GError **error);

/* The tail of the serial console, base64 (NULL: none yet), and its time. */
bool virga_instance_console(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            const char *id, char **ret_console, gint64 *ret_at, GError **error);

/* The user data, base64, or NULL. */
bool virga_instance_user_data(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                              const char *id, char **ret_user_data, GError **error);

/* A disk of an instance, and whether it goes with it. */
typedef struct {
    const char *device, *volume_id; /* volume_id NULL: whatever is there */
    bool delete_on_termination;
} VirgaDiskChange;

/* What can be changed after the launch; -1 and NULL: as it is. */
typedef struct {
    int disable_termination, disable_stop, source_dest_check;
    const char *shutdown_behavior;
    const char *const *group_ids; /* of the first interface */
    const VirgaDiskChange *disks;
    size_t disk_count;
    /* of a stopped instance only */
    int ebs_optimized;
    const char *user_data; /* base64 */
    const VirgaInstanceType *type;
    bool stopped_only; /* a change without effect that needs a stopped instance all the same */
} VirgaInstanceAttributes;

/* Noun "instance": NOT_FOUND, STATE, CAPACITY (its host is smaller than the type); "instance
 * device": NOT_FOUND; "security group": NOT_FOUND, QUOTA. */
bool virga_instance_change(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                           const VirgaInstanceAttributes *attributes, GError **error);

/* Options of the metadata service; NULL and 0: as they are. */
typedef struct {
    const char *http_tokens, *http_endpoint, *http_tags;
    gint64 http_hops;
} VirgaMetadataOptions;

/* 'ret' (in 'arena') is the instance with its new options.  Noun "instance": NOT_FOUND, STATE. */
bool virga_instance_set_metadata(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                 const char *id, const VirgaMetadataOptions *options,
                                 VirgaInstance **ret, GError **error);

/* Detailed monitoring.  Noun "instance": NOT_FOUND. */
bool virga_instance_set_monitoring(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                   const char *const *ids, bool monitoring, GError **error);

/* The CPU credits that were asked for, in the order of 'ids', NULL where none were. */
bool virga_instance_credits(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            const char *const *ids, char ***ret, GError **error);
bool virga_instance_set_credits(VirgaTxn *txn, const char *account_id, const char *id,
                                const char *credits, GError **error);

/* Says that an instance's tags have changed: its host shows them in the metadata, if asked to. */
bool virga_instance_tags_changed(VirgaTxn *txn, const char *id, GError **error);

/* Says that blocks or names of the account's VPC have changed, for the metadata of guests in it.
 * Best called before the VPC is locked: a launch takes its instance first. */
bool virga_instance_vpc_changed(VirgaTxn *txn, const char *account_id, const char *vpc_id,
                                GError **error);

/* What a call changed, in the order of its ids. */
typedef struct {
    const char *id;
    VirgaInstanceState before, after;
} VirgaInstanceChange;

/* Write the wish for instances of the account, all or none.  'ret' holds one entry an id, in
 * 'arena'.  Asking for what is wished already is not an error.  Noun "instance": NOT_FOUND, STATE,
 * DENIED (termination protection), CAPACITY (start). */
bool virga_instance_start(VirgaDb *db, VirgaArena *arena, const char *account_id,
                          const char *const *ids, bool dry_run, VirgaInstanceChange **ret,
                          GError **error);
bool virga_instance_stop(VirgaDb *db, VirgaArena *arena, const char *account_id,
                         const char *const *ids, bool force, bool dry_run,
                         VirgaInstanceChange **ret, GError **error);
bool virga_instance_terminate(VirgaDb *db, VirgaArena *arena, const char *account_id,
                              const char *const *ids, bool dry_run, VirgaInstanceChange **ret,
                              GError **error);
bool virga_instance_reboot(VirgaDb *db, const char *account_id, const char *const *ids,
                           bool dry_run, GError **error);

/* What a host found. */
typedef enum {
    VIRGA_POWER_PREPARING, /* not running yet; on the way */
    VIRGA_POWER_RUNNING,
    VIRGA_POWER_OFF,       /* switched off as wished, or never started */
    VIRGA_POWER_OFF_GUEST, /* the guest switched itself off */
    VIRGA_POWER_ABSENT,    /* nothing of it is left on the host */
    VIRGA_POWER_FAILED,    /* cannot be started; 'code' and 'message' say why */
} VirgaPower;

typedef struct {
    const char *id;
    gint64 generation; /* of the wish that the host acted on */
    VirgaPower power;
    gint64 reboots_done;
    const char *reachable;      /* "ok", "initializing", "impaired" or NULL: unknown */
    const char *code, *message; /* of a failure, as in StateReason */
    const char *const *made;    /* volumes whose bytes exist; NULL-terminated or NULL */
    const char *const *lost;    /* volumes whose bytes have vanished */
    const char *const *kept;    /* that go with it, and whose bytes a snapshot still needs */
    const char *const *ports;   /* interfaces that are plugged in; NULL: not looked */
    const char *const *disks;   /* volumes, likewise */
    const char *console;        /* tail of the serial console, base64; NULL: unchanged */
} VirgaInstanceFacts;

typedef struct {
    VirgaWish wish;
    VirgaInstanceState state;
    const char *reason_code, *reason_message; /* NULL: unchanged; "": none */
    bool unclaim;                             /* the host's room is free again */
    bool gone;                                /* the host holds nothing of it any more */
} VirgaInstanceSettled;

/* The state that follows from a wish and the host's facts.  Pure. */
VirgaInstanceSettled virga_instance_settle(const VirgaInstance *instance,
                                           const VirgaInstanceFacts *facts);

/* Takes in what 'host_id' found, in one transaction; facts about instances that are not on that
 * host are ignored.  'ret_forget' (NULL-terminated, in 'arena') names those that the host need
 * not remember. */
bool virga_instance_report(VirgaDb *db, VirgaArena *arena, const char *host_id,
                           const VirgaInstanceFacts *facts, size_t count, char ***ret_forget,
                           GError **error);

/* Finds what has been in a transient state for too long and moves it on, and forgets what nobody
 * can ask for any more: called by a timer. */
bool virga_instance_sweep(VirgaDb *db, GError **error);
