/* SPDX-License-Identifier: Apache-2.0 */
/* Fleets: several launches that were asked for as one.  What was asked for and what came of it are
 * texts to this module; the instances have the tag VIRGA_FLEET_TAG with the fleet's id. */
#pragma once

#include "core/db.h"

#define VIRGA_FLEET_TAG "aws:ec2:fleet-id"

typedef struct {
    char *id, *account_id;
    char *request;
    char *result; /* NULL: being launched, or its caller did not live to see one */
    bool deleted;
    bool alive; /* has instances that are not terminated */
    gint64 created;
} VirgaFleet;

/* The account's fleets in order of id, in 'arena'; 'ids' NULL: all. */
bool virga_fleet_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                      const char *const *ids, VirgaFleet **ret, size_t *ret_count, GError **error);

bool virga_fleet_create(VirgaTxn *txn, const char *id, const char *account_id, const char *request,
                        GError **error);
bool virga_fleet_set_result(VirgaTxn *txn, const char *id, const char *result, GError **error);
bool virga_fleet_set_deleted(VirgaTxn *txn, const char *id, GError **error);

/* The ids of its instances, NULL-terminated, in 'arena'. */
bool virga_fleet_instances(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                           const char ***ret_ids, GError **error);

/* Forgets fleets that are days old and have no instances left: called by a timer. */
bool virga_fleet_sweep(VirgaTxn *txn, GError **error);
