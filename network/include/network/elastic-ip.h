/* SPDX-License-Identifier: Apache-2.0 */
/* Elastic IPs: public addresses that an account keeps, and moves between private addresses.
 *
 * Their rows are the pool's.  A private address has at most one public one: an elastic IP takes the
 * place of one that came from the pool with the launch. */
#pragma once

#include "network/interface.h"

typedef struct {
    char *allocation_id, *address;
    char *association_id; /* NULL, as all below: it leads nowhere */
    char *interface_id, *private_address, *subnet_id;
    char *instance_id; /* NULL: the interface is not attached */
} VirgaElasticIp;

/* The account's elastic IPs in order of allocation id, in 'arena'. */
bool virga_elastic_ip_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                           VirgaElasticIp **ret, size_t *ret_count, GError **error);

/* Allocates 'wanted', or any address of the pool if it is NULL.  Noun "address": CAPACITY when
 * none is free, QUOTA; "public address": NOT_FOUND when the wanted one is not to be had. */
bool virga_elastic_ip_allocate(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                               const char *wanted, VirgaElasticIp *ret, GError **error);

/* Returns it to the pool.  Noun "address": NOT_FOUND, IN_USE. */
bool virga_elastic_ip_release(VirgaTxn *txn, const char *account_id, const char *allocation_id,
                              GError **error);

/* Lets an address lead to a private address of an interface that the caller has locked (NULL: the
 * primary one).  'move': even if it leads elsewhere now, or another one leads there.  Doing it
 * again changes nothing and gives the same association.  '*ret_former' is the interface that lost
 * it, or NULL.  The caller says that both have changed (compute/instance-network.h).
 * Noun "address": NOT_FOUND; "address association": EXISTS without 'move', DENIED when a service
 * of the cloud holds it; "network interface": INVALID when it has no such address; "internet
 * gateway": STATE without one in the VPC. */
bool virga_elastic_ip_associate(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                const char *allocation_id, const VirgaInterface *interface,
                                const char *private_address, bool move, char **ret_association_id,
                                char **ret_former, GError **error);

/* Ends an association; '*ret_interface' has lost the address.  Noun "address association":
 * NOT_FOUND, DENIED. */
bool virga_elastic_ip_disassociate(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                   const char *association_id, char **ret_interface,
                                   GError **error);
