/* SPDX-License-Identifier: Apache-2.0 */
/* Network ACLs: what may enter and leave subnets, whatever the groups in them say. */
#pragma once

#include "core/db.h"

#define VIRGA_ACL_NUMBER_MAX 32766 /* behind it is the one that denies what none has matched */

typedef struct {
    bool egress, allow;
    gint64 number;             /* the lowest that matches decides */
    char *protocol;            /* as in a VirgaSecurityGroupRule */
    gint64 from_port, to_port; /* likewise */
    char *cidr;                /* of the other side */
} VirgaNetworkAclEntry;

typedef struct {
    char *id, *subnet_id;
} VirgaNetworkAclAssociation;

typedef struct {
    char *id, *account_id, *vpc_id;
    bool is_default;
    VirgaNetworkAclEntry *entries; /* outward ones first, by number */
    size_t entry_count;
    VirgaNetworkAclAssociation *associations;
    size_t association_count;
} VirgaNetworkAcl;

/* Makes one that lets nothing pass, with a new 'id' ("acl").  Nouns: "vpc" NOT_FOUND; "network acl"
 * QUOTA. */
bool virga_network_acl_create(VirgaTxn *txn, const char *account_id, const char *vpc_id,
                              const char *id, GError **error);

/* That of a VPC in the making, which lets everything pass, and its end. */
bool virga_network_acl_create_default(VirgaTxn *txn, const char *account_id, const char *vpc_id,
                                      GError **error);
bool virga_network_acl_delete_default(VirgaTxn *txn, const char *vpc_id, GError **error);

/* Noun "network acl": NOT_FOUND, INVALID (the default one), IN_USE (of subnets). */
bool virga_network_acl_delete(VirgaTxn *txn, const char *account_id, const char *id,
                              GError **error);

/* The account's ACLs with entries and associations, in order of id; 'ids' NULL: all. */
bool virga_network_acl_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            const char *const *ids, VirgaNetworkAcl **ret, size_t *ret_count,
                            GError **error);

/* Adds an entry, or gives one that is there other members.  Nouns: "network acl" NOT_FOUND; "cidr"
 * INVALID; "network acl entry" INVALID (number, protocol, ports), EXISTS, NOT_FOUND, QUOTA. */
bool virga_network_acl_add_entry(VirgaTxn *txn, const char *account_id, const char *id,
                                 const VirgaNetworkAclEntry *entry, GError **error);
bool virga_network_acl_replace_entry(VirgaTxn *txn, const char *account_id, const char *id,
                                     const VirgaNetworkAclEntry *entry, GError **error);

/* Nouns: "network acl", "network acl entry" NOT_FOUND. */
bool virga_network_acl_delete_entry(VirgaTxn *txn, const char *account_id, const char *id,
                                    bool egress, gint64 number, GError **error);

/* A new subnet has the default ACL of its VPC. */
bool virga_network_acl_add_subnet(VirgaTxn *txn, const char *vpc_id, const char *subnet_id,
                                  GError **error);

/* Gives the association's subnet another ACL.  Nouns: "network acl" NOT_FOUND; "network acl
 * association" NOT_FOUND, INVALID (another VPC's). */
bool virga_network_acl_replace_association(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                           const char *association_id, const char *id,
                                           char **ret_association_id, GError **error);
