/* SPDX-License-Identifier: Apache-2.0 */
/* VPCs and their subnets. */
#pragma once

#include "core/db.h"

typedef struct {
    char *id, *account_id, *cidr;
    bool is_default;
} VirgaVpc;

typedef struct {
    char *id, *account_id, *vpc_id, *zone, *cidr;
    bool map_public, is_default;
    gint64 free_addresses;
} VirgaSubnet;

/* Makes the account's default VPC as AWS does: 172.31.0.0/16, a /20 subnet with public addresses
 * for each of 'zones' (whole names, NULL-terminated), and the group "default".  Already there:
 * success, missing pieces are added. */
bool virga_vpc_create_default(VirgaTxn *txn, const char *account_id, const char *const *zones,
                              GError **error);

/* The account's VPCs in order of id, in 'arena'; 'ids' (NULL: all) restricts them. */
bool virga_vpc_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                    const char *const *ids, VirgaVpc **ret, size_t *ret_count, GError **error);

/* The id of the account's default VPC in 'arena'; fails with NOT_FOUND of noun "vpc". */
char *virga_vpc_default(VirgaTxn *txn, VirgaArena *arena, const char *account_id, GError **error);

/* The VPC in which the account's subnet, group or interface is; NULL if it is none of these. */
bool virga_vpc_of(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *resource_id,
                  char **ret_vpc_id, GError **error);

/* Counts the VPC's plan up and wakes the hosts that have a part of it.  Every change of a port,
 * a group's members or a rule says so in its own transaction. */
bool virga_vpc_touch(VirgaTxn *txn, const char *vpc_id, GError **error);

/* The account's subnets in order of id, in 'arena'. */
bool virga_subnet_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                       const char *const *ids, VirgaSubnet **ret, size_t *ret_count,
                       GError **error);

/* One subnet in 'arena'; fails with NOT_FOUND of noun "subnet". */
VirgaSubnet *virga_subnet_get(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                              const char *id, GError **error);

/* The default subnet in 'zone' (NULL: that with the most free addresses); NOT_FOUND as above. */
VirgaSubnet *virga_subnet_default(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                  const char *zone, GError **error);

/* The subnets that a launch may use, in order of zone, their free addresses not counted: the one
 * named, or the default ones (in 'zone', if it is not NULL).  In two halves (virga_txn_send()). */
bool virga_subnet_candidates_send(VirgaTxn *txn, const char *account_id, const char *id,
                                  const char *zone, GError **error);
bool virga_subnet_candidates_receive(VirgaTxn *txn, VirgaArena *arena, VirgaSubnet **ret,
                                     size_t *ret_count, GError **error);
