/* SPDX-License-Identifier: Apache-2.0 */
/* Placement groups: how far from each other, or how near, instances are to run.
 *
 * A member keeps its place until it is terminated, also while it is stopped: its volumes are on its
 * host, where it is to start again. */
#pragma once

#include "core/db.h"
#include "scheduler/place.h"

typedef struct {
    char *id, *account_id, *name;
    char *strategy;     /* "cluster", "spread", "partition" */
    char *spread_level; /* "rack", "host"; NULL: another strategy */
    gint64 partitions;  /* 0: another strategy */
    gint64 created;
} VirgaPlacementGroup;

/* The account's groups in order of id, in 'arena'; ids and names may be NULL. */
bool virga_placement_group_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                const char *const *ids, const char *const *names,
                                VirgaPlacementGroup **ret, size_t *ret_count, GError **error);

/* Makes a group with the id and all else of 'made'.  Noun "placement group": EXISTS. */
bool virga_placement_group_create(VirgaTxn *txn, const VirgaPlacementGroup *made, GError **error);

/* Noun "placement group": NOT_FOUND, IN_USE while it has members that are not terminated. */
bool virga_placement_group_delete(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                  const char *name, GError **error);

/* A group while instances are launched into it. */
typedef struct VirgaPlacement VirgaPlacement;

/* Takes the group, by id or (id NULL) by name, for the rest of the transaction, for at most 'more'
 * new members.  'partition' 0: any.  The arena's; NULL on failure.  Noun "placement group":
 * NOT_FOUND, INVALID (partition). */
VirgaPlacement *virga_placement_join(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                     const char *id, const char *name, gint64 partition,
                                     gint64 more, GError **error);

const VirgaPlacementGroup *virga_placement_group(const VirgaPlacement *placement);

/* As virga_place(), among the hosts that the group allows; the others are barred, so that
 * virga_place_explain() tells of them.  'ret_partition' is 0 without partitions. */
const VirgaPlaceHost *virga_placement_choose(const VirgaPlacement *placement,
                                             const VirgaPlaceRequest *request,
                                             VirgaPlaceHost *hosts, size_t count,
                                             gint64 *ret_partition);

/* Counts a new member. */
void virga_placement_add(VirgaPlacement *placement, const char *host_id, gint64 partition);
