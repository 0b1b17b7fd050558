/* SPDX-License-Identifier: Apache-2.0 */
/* Security groups and their rules: the wish.  The driver enforces it (network/driver.h). */
#pragma once

#include "core/db.h"

typedef struct {
    char *id, *account_id, *vpc_id, *name, *description;
} VirgaSecurityGroup;

typedef struct {
    char *id, *account_id, *group_id;
    bool is_egress;
    char *protocol;            /* "tcp", "udp", "icmp", "-1" (all) or an IP protocol's number */
    gint64 from_port, to_port; /* of ICMP: type and code; -1 is any */
    char *cidr;                /* this or the next */
    char *peer_group_id;
    char *description; /* may be NULL */
} VirgaSecurityGroupRule;

/* Most groups on an interface: AWS's default.  What is configured stands in core/quota.h. */
#define VIRGA_GROUPS_PER_INTERFACE_MAX 5

/* The group "default" of a new VPC: members may talk to each other, and out to everywhere. */
bool virga_security_group_create_default(VirgaTxn *txn, const char *account_id, const char *vpc_id,
                                         GError **error);

/* The end of it, with its VPC. */
bool virga_security_group_delete_default(VirgaTxn *txn, const char *vpc_id, GError **error);

/* Makes a group that lets everything out and nothing in.  'ret_id' is in 'arena'.
 * Noun "security group": EXISTS for a name taken in the VPC, QUOTA; noun "vpc": NOT_FOUND. */
bool virga_security_group_create(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                 const char *vpc_id, const char *name, const char *description,
                                 char **ret_id, GError **error);

/* Deletes a group.  IN_USE while an interface or another group's rule refers to it. */
bool virga_security_group_delete(VirgaTxn *txn, const char *account_id, const char *id,
                                 GError **error);

/* The account's groups in order of id, in 'arena'; ids, names and vpc_id may be NULL. */
bool virga_security_group_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                               const char *const *ids, const char *const *names, const char *vpc_id,
                               VirgaSecurityGroup **ret, size_t *ret_count, GError **error);

/* The two halves of it, so that it may share a round trip with others (virga_txn_send()). */
bool virga_security_group_list_send(VirgaTxn *txn, const char *account_id, const char *const *ids,
                                    const char *const *names, const char *vpc_id, GError **error);
bool virga_security_group_list_receive(VirgaTxn *txn, VirgaArena *arena, VirgaSecurityGroup **ret,
                                       size_t *ret_count, GError **error);

/* One group by id; fails with NOT_FOUND. */
VirgaSecurityGroup *virga_security_group_get(VirgaTxn *txn, VirgaArena *arena,
                                             const char *account_id, const char *id,
                                             GError **error);

/* The rules of 'group_ids' (NULL: of all the account's groups), ordered by group, then age. */
bool virga_security_group_rules(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                const char *const *group_ids, VirgaSecurityGroupRule **ret,
                                size_t *ret_count, GError **error);

/* Adds rules to one group, all or none; fills in their ids and canonical form ('arena').
 * Noun "security group rule": INVALID (ports, protocol, CIDR), EXISTS, QUOTA. */
bool virga_security_group_authorize(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                    const char *group_id, VirgaSecurityGroupRule *rules,
                                    size_t count, GError **error);

/* Takes rules away that match by value ('rules' with id NULL) or by id, all or none.
 * Noun "security group rule": NOT_FOUND. */
bool virga_security_group_revoke(VirgaTxn *txn, const char *account_id, const char *group_id,
                                 bool is_egress, const VirgaSecurityGroupRule *rules, size_t count,
                                 GError **error);

/* Gives rules of one group, known by their ids, other values; their direction stays.  Fills in the
 * canonical form.  Noun "security group rule": INVALID, EXISTS; "security group rule id":
 * NOT_FOUND. */
bool virga_security_group_replace(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                  const char *group_id, VirgaSecurityGroupRule *rules, size_t count,
                                  GError **error);

/* Brings a rule's protocol, ports and CIDR to the one form in which they are stored and compared,
 * or fails with INVALID.  Pure. */
bool virga_security_group_rule_normalise(VirgaSecurityGroupRule *rule, VirgaArena *arena,
                                         GError **error);
