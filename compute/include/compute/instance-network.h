/* SPDX-License-Identifier: Apache-2.0 */
/* Where instances and network interfaces meet.
 *
 * Transactions take rows in this order, each kind in order of its ids, so that none waits for one
 * that waits for it: instances, interfaces, addresses, hosts, VPCs, quotas. */
#pragma once

#include "core/config.h"
#include "core/db.h"
#include "network/interface.h"

/* Takes the rows of hosts and VPCs that changes of several instances will come to in the order of
 * the instances; nothing is waited for now.  Ids may repeat. */
bool virga_rows_hold(VirgaTxn *txn, const char *const *host_ids, const char *const *vpc_ids,
                     GError **error);

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

/* The most private addresses that an interface may have: by the type of its instance.  Fails with
 * QUOTA ("private address") when 'count' is more. */
bool virga_interface_check_addresses(VirgaTxn *txn, const VirgaConfig *config,
                                     const VirgaInterface *interface, gint64 count, GError **error);

/* Attaches an interface to an instance of its zone and VPC.  To a running one it is attached when
 * the host has plugged it in.  Noun "network interface": NOT_FOUND, IN_USE, DENIED, CONFLICT (zone
 * or VPC), INVALID (device index); "instance": NOT_FOUND, STATE; "network attachment": QUOTA;
 * "private address": QUOTA. */
bool virga_interface_attach(VirgaTxn *txn, VirgaArena *arena, const VirgaConfig *config,
                            const char *account_id, const char *interface_id,
                            const char *instance_id, gint64 device_index, char **ret_attachment_id,
                            GError **error);

/* Ends an attachment: at once if the instance does not run, else when its host has unplugged the
 * device, for which the guest must let go of it unless 'force'.
 * Noun "network attachment": NOT_FOUND, DENIED (the first interface); "instance": STATE. */
bool virga_interface_detach(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                            const char *attachment_id, bool force, GError **error);

/* Takes in which interfaces a host has plugged into a running instance, or that it does not run
 * ('plugged' NULL).  If one is detached now, '*ret_vpc_id' (in 'arena') has changed, and its host
 * has something to forget; otherwise it is NULL. */
bool virga_interface_settle(VirgaTxn *txn, VirgaArena *arena, const char *instance_id,
                            const char *const *plugged, char **ret_vpc_id, GError **error);
