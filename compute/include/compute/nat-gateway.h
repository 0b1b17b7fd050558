/* SPDX-License-Identifier: Apache-2.0 */
/* NAT gateways: a wish that a host carries out, as it does an instance's.
 *
 *     state        what it means                             ends when
 *     pending      it is in its VPC's plan                   its host has applied that: available
 *     available    … and its host carries it                 it is deleted
 *     deleting     it is in no plan any more                 its host has applied that: deleted
 *     failed       it could not be made; it has nothing      an hour later
 *     deleted      it has nothing any more                   an hour later
 *
 * One whose host is lost is given to another; one that nobody carries waits for a host.  Private
 * ones lead to other networks, of which there are none: no host carries anything for them. */
#pragma once

#include "core/db.h"

typedef struct {
    char *id, *account_id, *vpc_id, *subnet_id, *zone;
    char *interface_id, *private_address;                  /* NULL: it never had one */
    char *allocation_id, *association_id, *public_address; /* NULL: a private one's */
    char *state, *failure_code, *failure;
    bool is_public;
    gint64 created, since;
} VirgaNatGateway;

typedef struct {
    const char *id; /* the new one's */
    const char *account_id, *subnet_id;
    const char *allocation_id;   /* NULL: a private one */
    const char *private_address; /* NULL: any */
} VirgaNatGatewaySpec;

/* Makes one, which holds an interface and the elastic IP.  What EC2 finds out later makes it
 * "failed" at once: no internet gateway, an elastic IP that is associated, a full subnet.
 * Noun "subnet": NOT_FOUND; "address": NOT_FOUND; "network interface": EXISTS and INVALID for the
 * private address; "nat gateway": QUOTA. */
bool virga_nat_gateway_create(VirgaTxn *txn, VirgaArena *arena, const VirgaNatGatewaySpec *spec,
                              GError **error);

/* The account's, in order of id, in 'arena'; 'ids' NULL: all. */
bool virga_nat_gateway_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            const char *const *ids, VirgaNatGateway **ret, size_t *ret_count,
                            GError **error);

/* Deleting one that is deleted, or has failed, changes nothing.  Noun "nat gateway": NOT_FOUND. */
bool virga_nat_gateway_delete(VirgaTxn *txn, const char *account_id, const char *id,
                              GError **error);

/* Takes in which generations of its VPCs a host has applied: 'vpc_ids' and 'generations'
 * (numbers as text) side by side, NULL-terminated. */
bool virga_nat_gateway_report(VirgaDb *db, const char *host_id, const char *const *vpc_ids,
                              const char *const *generations, GError **error);

/* Finds a host for those that have none, or whose host is lost; 'may_move' false: hosts may seem
 * lost that are not, since nobody has listened to them for long enough, and gateways stay.  Gives
 * up what waits for too long, and forgets what has been deleted for an hour: called by a timer. */
bool virga_nat_gateway_sweep(VirgaDb *db, bool may_move, GError **error);
