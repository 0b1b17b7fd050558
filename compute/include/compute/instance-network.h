/* SPDX-License-Identifier: Apache-2.0 */
/* Where instances and network interfaces meet.
 *
 * Transactions take rows in this order, so that none waits for one that waits for it: instances,
 * interfaces, addresses, hosts, quotas, VPCs. */
#pragma once

#include "core/db.h"
#include "network/interface.h"

/* An interface of the account, locked together with its instance; 'ret' is in 'arena'.
 * Noun "network interface": NOT_FOUND. */
bool virga_interface_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                          VirgaInterface *ret, GError **error);

/* The interface of an instance that has only one, both locked.  Noun "instance": NOT_FOUND;
 * "instance interface": CONFLICT when it has several, STATE when it neither runs nor is stopped. */
bool virga_interface_lock_only(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                               const char *instance_id, VirgaInterface *ret, GError **error);

/* Says that something of these interfaces has changed, last of all in a transaction: the hosts of
 * their instances and of their VPCs will hear of it.  One that has lost its elastic IP gets an
 * address of the pool again, if its launch asked for one and the pool has one. */
bool virga_interface_changed(VirgaTxn *txn, const char *const *ids, GError **error);
