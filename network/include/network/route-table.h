/* SPDX-License-Identifier: Apache-2.0 */
/* Route tables, which subnets have them, and their routes. */
#pragma once

#include "core/db.h"

typedef struct {
    char *destination;
    char *target;      /* "local", "igw-0…", "nat-0…", "eni-0…" */
    char *instance_id; /* to which the interface is attached, and whose it is; or NULL */
    char *instance_owner_id;
    bool active; /* false: a black hole */
    bool given;  /* false: it came with the table */
} VirgaRoute;

typedef struct {
    char *id, *table_id;
    char *subnet_id; /* NULL: it makes the table the main one */
} VirgaRouteTableAssociation;

typedef struct {
    char *id, *account_id, *vpc_id;
    VirgaRoute *routes;
    size_t route_count;
    VirgaRouteTableAssociation *associations;
    size_t association_count;
} VirgaRouteTable;

/* Makes a table with the local route and a new 'id' ("rtb").  Nouns: "vpc" NOT_FOUND; "route table"
 * QUOTA. */
bool virga_route_table_create(VirgaTxn *txn, const char *account_id, const char *vpc_id,
                              const char *id, GError **error);

/* The main table of a VPC that is being made, its way to an internet gateway, and its end. */
bool virga_route_table_create_main(VirgaTxn *txn, const char *account_id, const char *vpc_id,
                                   GError **error);
bool virga_route_table_add_internet(VirgaTxn *txn, const char *vpc_id, const char *gateway_id,
                                    GError **error);
bool virga_route_table_delete_main(VirgaTxn *txn, const char *vpc_id, GError **error);

/* Noun "route table": NOT_FOUND, IN_USE (main, or of a subnet). */
bool virga_route_table_delete(VirgaTxn *txn, const char *account_id, const char *id,
                              GError **error);

/* Holds the table's VPC, whose id is in 'arena'.  Noun "route table": NOT_FOUND. */
bool virga_route_table_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            const char *id, char **ret_vpc_id, GError **error);

/* The account's tables with their routes and associations, in order of id; 'ids' NULL: all. */
bool virga_route_table_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            const char *const *ids, VirgaRouteTable **ret, size_t *ret_count,
                            GError **error);

/* Gives a subnet a table.  Nouns: "route table", "subnet" NOT_FOUND; "route table association"
 * EXISTS (it has another), INVALID (another VPC's).  The same again: the same association. */
bool virga_route_table_associate(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                 const char *id, const char *subnet_id, char **ret_association_id,
                                 GError **error);

/* Noun "route table association": NOT_FOUND, INVALID (the main one). */
bool virga_route_table_disassociate(VirgaTxn *txn, const char *account_id,
                                    const char *association_id, GError **error);

/* Gives the association's subnet, or the whole VPC, another table.  As above. */
bool virga_route_table_replace_association(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                           const char *association_id, const char *id,
                                           char **ret_association_id, GError **error);

/* The association of a subnet that is going. */
bool virga_route_table_forget_subnet(VirgaTxn *txn, const char *subnet_id, GError **error);

/* Where a route leads: exactly one is given. */
typedef struct {
    const char *gateway_id, *nat_gateway_id, *interface_id, *instance_id;
    bool local; /* only of a replacement */
} VirgaRouteSpec;

/* Adds a route, or gives one that is there another target.  Nouns: "route table", and that of the
 * target, NOT_FOUND ("gateway", "route nat gateway", "network interface", "instance"); "cidr" and
 * "route" INVALID; "route" EXISTS, NOT_FOUND, QUOTA; "route instance" INVALID (not one interface).
 * A block of the VPC itself or of a subnet can only lead to an interface. */
bool virga_route_create(VirgaTxn *txn, const char *account_id, const char *table_id,
                        const char *destination, const VirgaRouteSpec *target, GError **error);
bool virga_route_replace(VirgaTxn *txn, const char *account_id, const char *table_id,
                         const char *destination, const VirgaRouteSpec *target, GError **error);

/* Nouns: "route table" NOT_FOUND; "cidr" INVALID; "route" NOT_FOUND, INVALID (the local one). */
bool virga_route_delete(VirgaTxn *txn, const char *account_id, const char *table_id,
                        const char *destination, GError **error);
