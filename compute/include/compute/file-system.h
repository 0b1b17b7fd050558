/* SPDX-License-Identifier: Apache-2.0 */
/* File systems that guests share: the rows.
 *
 * A file system's bytes are on one host, which is chosen when it gets its first mount target.  A
 * mount target is an interface of the cloud's in a subnet, whose address that host serves by NFS;
 * the security groups of the interface say to whom.  The host asks what it shall have, says what
 * it has, and is the one that says that the bytes of a deleted one are gone. */
#pragma once

#include "core/db.h"

#define VIRGA_FILE_SYSTEM_REQUESTER "amazon-efs"
#define VIRGA_FILE_SYSTEM_PORT      2049

typedef struct {
    char *id, *account_id, *creation_token, *performance_mode, *throughput_mode;
    char *zone; /* NULL: for all */
    gint64 size_gib, bytes, created, target_count;
    bool deleting;
} VirgaFileSystem;

/* The account's, in order of id, in 'arena'; 'ids' NULL: all; 'token' NULL: any. */
bool virga_file_system_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            const char *const *ids, const char *token, VirgaFileSystem **ret,
                            size_t *ret_count, GError **error);

/* One of them, locked.  Noun "file system": NOT_FOUND. */
bool virga_file_system_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            const char *id, VirgaFileSystem **ret, GError **error);

/* Noun "file system": EXISTS when the token was used, QUOTA. */
bool virga_file_system_create(VirgaTxn *txn, const VirgaFileSystem *file_system, GError **error);
/* One that is locked.  Noun "file system": IN_USE while it has mount targets. */
bool virga_file_system_delete(VirgaTxn *txn, const VirgaFileSystem *file_system, GError **error);
bool virga_file_system_set_throughput(VirgaTxn *txn, const char *id, const char *mode,
                                      GError **error);

typedef struct {
    char *id, *account_id, *file_system_id, *subnet_id, *vpc_id, *zone, *interface_id, *address;
    bool serving;
} VirgaMountTarget;

/* The account's, in order of id, in 'arena'; of a file system, with an id, or all (NULL). */
bool virga_mount_target_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                             const char *file_system_id, const char *id, VirgaMountTarget **ret,
                             size_t *ret_count, GError **error);

typedef struct {
    const char *id, *subnet_id;
    const char *address;          /* NULL: any */
    const char *const *group_ids; /* NULL: the VPC's default one */
} VirgaMountTargetSpec;

/* Of a file system that is locked.  Noun "mount target": CONFLICT (a second one in the zone, or in
 * another VPC); "file system": CAPACITY without a host, STATE; those of
 * virga_interface_create_send() and virga_subnet_get(). */
bool virga_mount_target_create(VirgaTxn *txn, VirgaArena *arena, const VirgaFileSystem *file_system,
                               const VirgaMountTargetSpec *spec, GError **error);
bool virga_mount_target_delete(VirgaTxn *txn, const VirgaMountTarget *target, GError **error);
/* Noun "security group": NOT_FOUND. */
bool virga_mount_target_set_groups(VirgaTxn *txn, const VirgaMountTarget *target,
                                   const char *const *group_ids, GError **error);
/* In 'arena', NULL-terminated. */
bool virga_mount_target_groups(VirgaTxn *txn, VirgaArena *arena, const VirgaMountTarget *target,
                               char ***ret, GError **error);

/* ---- the host's side ---- */

/* What the host shall have, as JSON: {"file_systems": [{"id", "size_gib", "targets": [{"id",
 * "vpc_id", "address"}]}], "gone": […]}; "gone" are those of 'ids' whose bytes are wanted no more.
 * The caller's. */
char *virga_file_system_wish(VirgaTxn *txn, const char *host_id, const char *const *ids,
                             GError **error);
/* What it has: the bytes of each of 'ids', as text; the mount targets that it serves; and those
 * whose bytes are not there any more. */
bool virga_file_system_report(VirgaTxn *txn, const char *host_id, const char *const *ids,
                              const char *const *bytes, const char *const *serving,
                              const char *const *deleted, GError **error);
