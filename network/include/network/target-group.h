/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of target groups, their targets, and what hosts say of those. */
#pragma once

#include "core/db.h"

typedef struct {
    char *id, *account_id, *name, *target_type, *protocol, *version, *vpc_id;
    gint64 port;
    char *shown;                                       /* its health check, as the caller set it */
    char *attributes;                                  /* a JSON object of texts */
    char *balancer_id, *balancer_name, *balancer_type; /* that forwards to it; NULL: none */
} VirgaTargetGroupRow;

/* The account's, by name; 'ids', 'names' and 'balancer_id' (NULL: all) restrict them. */
bool virga_target_group_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                             const char *const *ids, const char *const *names,
                             const char *balancer_id, VirgaTargetGroupRow **ret, size_t *ret_count,
                             GError **error);

/* One, its row locked.  Noun "target group": NOT_FOUND. */
bool virga_target_group_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                             const char *id, VirgaTargetGroupRow **ret, GError **error);

/* All members but the balancer's are read.  Noun "target group": EXISTS. */
bool virga_target_group_create(VirgaTxn *txn, const VirgaTargetGroupRow *group, const char *plan,
                               GError **error);
/* Puts 'shown' and 'attributes'. */
bool virga_target_group_update(VirgaTxn *txn, const VirgaTargetGroupRow *group, const char *plan,
                               GError **error);
/* IN_USE while a rule names it. */
bool virga_target_group_delete(VirgaTxn *txn, const VirgaTargetGroupRow *group, GError **error);

typedef struct {
    char *id; /* an instance or an address */
    gint64 port;
    char *zone; /* as the caller said; NULL: nothing */
    bool draining;
    char *instance_state; /* NULL: it is an address, or gone */
    char *health;         /* "initial", "healthy", "unhealthy"; NULL: no host has said */
    char *reason;
    gint64 code;
} VirgaTargetRow;

bool virga_target_list(VirgaTxn *txn, VirgaArena *arena, const VirgaTargetGroupRow *group,
                       VirgaTargetRow **ret, size_t *ret_count, GError **error);

/* Adds a target, or takes one back that was to go.  Noun "target": INVALID for an instance that is
 * not in the VPC, or not there. */
bool virga_target_register(VirgaTxn *txn, const VirgaTargetGroupRow *group, const char *target_id,
                           gint64 port, const char *zone, GError **error);

/* Lets a target ('port' 0: at all ports) go: new connections do not reach it, those that are there
 * have 'delay_s' left.  An unknown one is no error. */
bool virga_target_deregister(VirgaTxn *txn, const VirgaTargetGroupRow *group, const char *target_id,
                             gint64 port, gint64 delay_s, GError **error);

/* Replaces what a host has said of the targets of a VPC.  The arrays are of one length; states are
 * those of VirgaTargetRow.  What it says of groups that are none of the VPC's is passed over. */
typedef struct {
    const char **group_ids, **addresses, **ports, **states, **reasons, **codes;
} VirgaTargetReport;
bool virga_target_note_health(VirgaTxn *txn, const char *host_id, const char *vpc_id,
                              const VirgaTargetReport *report, GError **error);
