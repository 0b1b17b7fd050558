/* SPDX-License-Identifier: Apache-2.0 */
/* Subnets of VPCs. */
#pragma once

#include "core/db.h"

typedef struct {
    char *id, *account_id, *vpc_id, *zone, *cidr, *hostname_type;
    bool map_public, is_default, resource_name_a;
    gint64 free_addresses;
} VirgaSubnet;

typedef struct {
    const char *account_id, *vpc_id, *zone, *cidr;
    bool map_public, is_default;
} VirgaSubnetSpec;

/* Makes a subnet, with the VPC's default ACL; its canonical block is read by virga_subnet_get().
 * Nouns: "vpc" NOT_FOUND; "cidr" INVALID; "subnet block" INVALID (size, not within the VPC);
 * "subnet" CONFLICT (overlaps another), QUOTA. */
bool virga_subnet_create(VirgaTxn *txn, VirgaArena *arena, const VirgaSubnetSpec *spec,
                         char **ret_id, GError **error);

/* Noun "subnet": NOT_FOUND, IN_USE (naming the interfaces in it). */
bool virga_subnet_delete(VirgaTxn *txn, const char *account_id, const char *id, GError **error);

/* What launches into the subnet take from it; negative or NULL: as it is. */
typedef struct {
    int map_public, resource_name_a;
    const char *hostname_type;
} VirgaSubnetChange;
bool virga_subnet_modify(VirgaTxn *txn, const char *account_id, const char *id,
                         const VirgaSubnetChange *change, GError **error);

/* Holds a subnet until the end of the transaction, to be taken before its VPC; that one's id is in
 * 'arena'.  Noun "subnet": NOT_FOUND. */
bool virga_subnet_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                       char **ret_vpc_id, GError **error);

/* The account's subnets in order of id, in 'arena'. */
bool virga_subnet_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                       const char *const *ids, VirgaSubnet **ret, size_t *ret_count,
                       GError **error);

/* One subnet in 'arena'; fails with NOT_FOUND of noun "subnet". */
VirgaSubnet *virga_subnet_get(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                              const char *id, GError **error);

/* The subnets that a launch may use, in order of zone, their free addresses not counted: the one
 * named, or the default ones (in 'zone', if it is not NULL).  In two halves (virga_txn_send()). */
bool virga_subnet_candidates_send(VirgaTxn *txn, const char *account_id, const char *id,
                                  const char *zone, GError **error);
bool virga_subnet_candidates_receive(VirgaTxn *txn, VirgaArena *arena, VirgaSubnet **ret,
                                     size_t *ret_count, GError **error);
