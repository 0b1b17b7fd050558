/* SPDX-License-Identifier: Apache-2.0 */
/* VPCs: their blocks, attributes, and what a new one gets by itself.
 *
 * Whoever changes what a VPC consists of calls virga_vpc_lock() first, so that counts and
 * comparisons within it hold until the end of the transaction.  Only a subnet's or a group's row
 * is locked before its VPC's, since a launch takes them in this order. */
#pragma once

#include "core/db.h"

typedef struct {
    char *association_id, *cidr;
} VirgaVpcBlock;

typedef struct {
    char *id, *account_id, *cidr;
    char *dhcp_options_id; /* NULL: none, which EC2 calls "default" */
    char *tenancy;
    bool is_default, dns_support, dns_hostnames, usage_metrics;
    VirgaVpcBlock *blocks; /* 'cidr' is the first's */
    size_t block_count;
} VirgaVpc;

typedef struct {
    const char *account_id, *cidr, *tenancy;
    bool is_default;
} VirgaVpcSpec;

/* Makes a VPC with its main route table, its default ACL and group, and the account's default DHCP
 * options.  Nouns: "cidr" INVALID; "vpc block" INVALID (size, reserved); "vpc" QUOTA. */
bool virga_vpc_create(VirgaTxn *txn, VirgaArena *arena, const VirgaVpcSpec *spec, char **ret_id,
                      GError **error);

/* Deletes a VPC with what it got by itself.  Noun "vpc": NOT_FOUND, IN_USE (naming by what). */
bool virga_vpc_delete(VirgaTxn *txn, const char *account_id, const char *id, GError **error);

/* Makes the account's default VPC as AWS does: 172.31.0.0/16, a way out to the internet, and a /20
 * subnet with public addresses for each of 'zones' (whole names, NULL-terminated).  An account gets
 * each of them once: what it has deleted since stays deleted. */
bool virga_vpc_create_default(VirgaTxn *txn, const char *account_id, const char *const *zones,
                              GError **error);

/* The same on the account's own wish.  Noun "default vpc": EXISTS. */
bool virga_vpc_restore_default(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                               const char *const *zones, char **ret_id, GError **error);

/* Makes the default subnet of one zone.  Noun "default subnet": NOT_FOUND (there is no default
 * VPC), EXISTS, CAPACITY (no free block). */
bool virga_vpc_restore_default_subnet(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                      const char *zone, char **ret_id, GError **error);

/* The account's VPCs in order of id, in 'arena'; 'ids' (NULL: all) restricts them. */
bool virga_vpc_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                    const char *const *ids, VirgaVpc **ret, size_t *ret_count, GError **error);

/* One VPC in 'arena'; fails with NOT_FOUND of noun "vpc". */
VirgaVpc *virga_vpc_get(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                        GError **error);

/* The id of the account's default VPC in 'arena'; fails with NOT_FOUND of noun "default vpc". */
char *virga_vpc_default(VirgaTxn *txn, VirgaArena *arena, const char *account_id, GError **error);

/* The VPC in which the account's subnet, group, interface, route table, ACL or internet gateway is;
 * NULL if it is none of these. */
bool virga_vpc_of(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *resource_id,
                  char **ret_vpc_id, GError **error);

/* What an association of the account joins: a table or ACL and a subnet, or a VPC and its block.
 * Their ids are in 'arena', NULL-terminated; none if there is no such association. */
bool virga_vpc_associated(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                          const char *association_id, const char *const **ret_ids, GError **error);

/* Holds the VPC until the end of the transaction; fails with NOT_FOUND of noun "vpc". */
bool virga_vpc_lock(VirgaTxn *txn, const char *account_id, const char *id, GError **error);

/* Counts the VPC's plan up and wakes the hosts that have a part of it.  Every change of a port,
 * a group's members or a rule says so in its own transaction. */
bool virga_vpc_touch(VirgaTxn *txn, const char *vpc_id, GError **error);

/* Sets what is not negative.  The VPC must be locked. */
typedef struct {
    int dns_support, dns_hostnames, usage_metrics;
} VirgaVpcFlags;
bool virga_vpc_set_flags(VirgaTxn *txn, const char *id, const VirgaVpcFlags *flags, GError **error);

/* "default" is the one tenancy that a VPC can be given.  It must be locked. */
bool virga_vpc_set_tenancy(VirgaTxn *txn, const char *id, const char *tenancy, GError **error);

/* Adds a block and returns its association.  Nouns: "vpc" NOT_FOUND; "cidr" INVALID; "vpc block"
 * INVALID (size, reserved), CONFLICT (overlaps a block or hides a route), QUOTA. */
bool virga_vpc_add_block(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                         const char *cidr, VirgaVpcBlock *ret, GError **error);

/* Takes a block away.  Nouns: "vpc block" NOT_FOUND, DENIED (the first one), IN_USE (subnets). */
bool virga_vpc_remove_block(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            const char *association_id, char **ret_vpc_id, VirgaVpcBlock *ret,
                            GError **error);
