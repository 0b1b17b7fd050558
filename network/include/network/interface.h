/* SPDX-License-Identifier: Apache-2.0 */
/* Network interfaces and the addresses that they claim. */
#pragma once

#include "core/db.h"

#define VIRGA_INTERFACE_ADDRESSES_MAX 50 /* of one that has no instance */

/* A private address of an interface and the public one that leads to it. */
typedef struct {
    char *address;
    char *public_address; /* NULL: none */
    char *allocation_id;  /* of an elastic IP; NULL: of the pool, for as long as it is needed */
    char *association_id; /* likewise */
} VirgaInterfaceAddress;

typedef struct {
    char *id, *account_id, *vpc_id, *subnet_id, *zone, *mac;
    char *description;
    char *type;                    /* "interface", or what the cloud has made it for */
    char *requester_id;            /* NULL: the account's own */
    VirgaInterfaceAddress primary; /* the address that it keeps for life */
    VirgaInterfaceAddress *secondaries;
    size_t secondary_count;
    bool source_dest_check, delete_on_termination;
    bool public_names; /* the VPC gives names to public addresses */
    char *attachment_id, *instance_id;
    char *former_attachment_id; /* of the attachment that ended last, or NULL */
    char *transition;           /* "attaching", "detaching": its host is at it; or NULL */
    bool starting;              /* its instance is pending; not known to virga_interface_list() */
    gint64 device_index, attached;
    char **group_ids, **group_names; /* NULL-terminated, by position */
} VirgaInterface;

typedef struct {
    const char *id;                                            /* NULL: a new one */
    const char *account_id, *vpc_id, *subnet_id, *zone, *cidr; /* of the subnet */
    const char *address;                                       /* NULL: any free one */
    const char *const *group_ids;                              /* of the same VPC: checked */
    bool public_address;                                       /* claim one of the pool, too */
    const char *instance_id;                                   /* NULL: not attached */
    gint64 device_index;
    bool delete_on_termination;
    const char *description;  /* NULL: none */
    const char *type;         /* NULL: "interface" */
    const char *requester_id; /* NULL: the account */
} VirgaInterfaceSpec;

/* An interface in the making. */
typedef struct {
    char *id, *mac, *address;
    char *attachment_id;  /* NULL: not attached */
    bool made;            /* false: the address is another's; what follows is not known */
    char *public_address; /* NULL: none */
    char **group_names;
    bool public_names;
} VirgaInterfaceDraft;

/* Addresses that interfaces keep for life and addresses that are added to them later lie in two
 * tables, so that a launch writes one row.  Whoever makes interfaces in a subnet holds it first,
 * with others; who adds addresses holds it alone.  Then neither can take what the other is just
 * taking.  Lasts until the end of the transaction; nothing is waited for now. */
bool virga_subnet_hold(VirgaTxn *txn, const char *subnet_id, bool alone, GError **error);

/* Makes an interface and claims its addresses in the caller's transaction, which holds the subnet,
 * in two halves (virga_txn_send()): an address is guessed, unless one is wanted.  If the guess was
 * taken, virga_interface_create_again() finds a free one.  All texts are in 'arena'.
 * Noun "subnet": CAPACITY when it is full; "network interface": EXISTS when the wanted address is
 * taken, INVALID when it is not in the subnet or reserved; "address": CAPACITY when the pool is
 * empty; "security group": NOT_FOUND for a group of another VPC or account. */
bool virga_interface_create_send(VirgaTxn *txn, VirgaArena *arena, const VirgaInterfaceSpec *spec,
                                 VirgaInterfaceDraft *ret, GError **error);
bool virga_interface_create_receive(VirgaTxn *txn, VirgaArena *arena,
                                    const VirgaInterfaceSpec *spec, VirgaInterfaceDraft *draft,
                                    GError **error);
bool virga_interface_create_again(VirgaTxn *txn, VirgaArena *arena, const VirgaInterfaceSpec *spec,
                                  VirgaInterfaceDraft *draft, GError **error);

/* A made draft as virga_interface_list() would read it, in the texts of both.  'attached': the time
 * of the transaction. */
VirgaInterface virga_interface_drafted(const VirgaInterfaceSpec *spec,
                                       const VirgaInterfaceDraft *draft, gint64 attached);

/* The interfaces of these instances in order of id, in 'arena'. */
bool virga_interface_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                          const char *const *instance_ids, VirgaInterface **ret, size_t *ret_count,
                          GError **error);

/* The two halves of it, so that it may share a round trip with others (virga_txn_send()). */
bool virga_interface_list_send(VirgaTxn *txn, const char *account_id,
                               const char *const *instance_ids, GError **error);
bool virga_interface_list_receive(VirgaTxn *txn, VirgaArena *arena, VirgaInterface **ret,
                                  size_t *ret_count, GError **error);

/* The same of all the account's instances, for long lists (interface-all.c); not known are zone,
 * requester and former attachments. */
bool virga_interface_all_send(VirgaTxn *txn, const char *account_id, GError **error);
bool virga_interface_all_receive(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                 VirgaInterface **ret, size_t *ret_count, GError **error);

/* The account's interfaces in order of id, attached or not; 'ids' NULL: all. */
bool virga_interface_find(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                          const char *const *ids, VirgaInterface **ret, size_t *ret_count,
                          GError **error);

/* Says whether an instance's first interface passes only packets from and to its own addresses. */
bool virga_interface_set_check(VirgaTxn *txn, const char *instance_id, bool source_dest_check,
                               GError **error);

/* Puts the groups of an instance's first interface.  Noun "security group": NOT_FOUND for a group
 * of another VPC or account, QUOTA. */
bool virga_interface_set_groups(VirgaTxn *txn, const char *instance_id,
                                const char *const *group_ids, GError **error);

/* Gives back what an instance that is gone held: interfaces that go with it and their addresses;
 * others are detached. */
bool virga_interface_release(VirgaTxn *txn, const char *instance_id, GError **error);

/* Public addresses of the pool that belong to a stopped instance return to the pool; a started
 * one gets a new one (EC2's rule for addresses that are not elastic). */
bool virga_interface_release_public(VirgaTxn *txn, const char *instance_id, GError **error);
bool virga_interface_claim_public(VirgaTxn *txn, const char *instance_id, GError **error);

/* Gives a running instance's interface a public address of the pool, if there is one. */
bool virga_interface_regain_public(VirgaTxn *txn, const char *interface_id, GError **error);

/* Fills the pool's table from its block; addresses in use stay, whatever the block says. */
bool virga_public_pool_set(VirgaTxn *txn, const char *cidr, GError **error);
