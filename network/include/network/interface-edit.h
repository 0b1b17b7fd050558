/* SPDX-License-Identifier: Apache-2.0 */
/* Network interfaces as things of their own: made, changed and deleted apart from instances.
 *
 * Everything here is done to an interface that the caller has locked (compute/instance-network.h),
 * in the caller's transaction, and the caller says at its end that it has changed.
 *
 * A service of the cloud that needs an interface in an account's subnet (a NAT gateway, a load
 * balancer) makes it by virga_interface_create() with a type and a requester: the account sees it
 * as "in-use" and managed by the requester, cannot change or delete it, and the plan of its VPC
 * has no port for it.  The service deletes it by virga_interface_delete_managed(). */
#pragma once

#include "network/interface.h"

/* Makes an interface; the subnet is held and looked up by the caller.  Fails as
 * virga_interface_create_send() does. */
bool virga_interface_create(VirgaTxn *txn, VirgaArena *arena, const VirgaInterfaceSpec *spec,
                            char **ret_id, GError **error);

/* Deletes an interface of the account's own and gives its addresses back; elastic IPs stay the
 * account's.  Noun "network interface": INVALID (as EC2 has it) when it is attached, DENIED when
 * the cloud made it. */
bool virga_interface_delete(VirgaTxn *txn, const VirgaInterface *interface, GError **error);

/* The same for one that the cloud itself made; a missing one is no error. */
bool virga_interface_delete_managed(VirgaTxn *txn, const char *id, GError **error);

/* Fails with DENIED if the cloud made it. */
bool virga_interface_check_own(const VirgaInterface *interface, GError **error);

/* What may be changed; NULL and -1: as it is. */
typedef struct {
    const char *description;
    const char *const *group_ids;
    int source_dest_check, delete_on_termination;
} VirgaInterfaceChange;

/* Noun "security group": NOT_FOUND for a group of another VPC or account, QUOTA. */
bool virga_interface_change(VirgaTxn *txn, const VirgaInterface *interface,
                            const VirgaInterfaceChange *change, GError **error);

/* Further private addresses: those named, or 'count' free ones.  'cidr' is the subnet's, which the
 * caller holds alone.  'move': also such as are another interface's secondary ones now; their
 * elastic IPs come with them, and '*ret_formers' (NULL-terminated, in 'arena') are the interfaces
 * that lost them.  '*ret_addresses' are all that were asked for.  One that it has already is no
 * error.  Noun "network interface": EXISTS for an address in use, INVALID for one that cannot be;
 * "subnet": CAPACITY. */
bool virga_interface_assign(VirgaTxn *txn, VirgaArena *arena, const VirgaInterface *interface,
                            const char *cidr, const char *const *addresses, gint64 count, bool move,
                            char ***ret_addresses, char ***ret_formers, GError **error);

/* Takes secondary addresses away; what led to them leads nowhere.  Noun "network interface":
 * INVALID for one that it does not have. */
bool virga_interface_unassign(VirgaTxn *txn, const VirgaInterface *interface,
                              const char *const *addresses, GError **error);
