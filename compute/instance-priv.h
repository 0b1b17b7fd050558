/* SPDX-License-Identifier: Apache-2.0 */
/* What compute/instance*.c share. */
#pragma once

#include "compute/instance.h"
#include "core/error.h"

#include <string.h>

/* What callers are shown, and the whole. */
#define INSTANCE_SHOWN                                                                             \
    "i.id, i.reservation_id, i.client_token, i.image_id, i.type, i.architecture, i.boot_mode,"     \
    " i.root_device_name, i.zone, i.vpc_id, i.subnet_id, i.key_name, i.http_tokens,"               \
    " i.http_endpoint, i.http_tags, i.placement_group_id, i.placement_group, i.reason_code,"       \
    " i.reason_message, i.transition_reason,"                                                      \
    " i.profile_id, i.profile_arn, i.launch_index, i.vcpus, i.http_hops, i.partition, "            \
    "i.ebs_optimized,"                                                                             \
    " i.monitoring, i.metadata_pending, i.state, " VIRGA_SQL_TIME("i.launched")
#define INSTANCE_COLUMNS                                                                           \
    INSTANCE_SHOWN ", i.account_id, i.shutdown_behavior, i.reachable, i.host_id, i.memory_mib,"    \
                   " i.ran, i.disable_termination, i.disable_stop, i.claimed, i.wish,"             \
                   " " VIRGA_SQL_TIME("i.state_since") ", " VIRGA_SQL_TIME("i.reachable_since")
#define INSTANCE_COLUMN_COUNT 43

/* Reads a row of INSTANCE_COLUMNS into 'arena'. */
void virga_instance_read(const VirgaRows *rows, int row, VirgaArena *arena,
                         VirgaInstance *instance);

const char *virga_wish_name(VirgaWish wish);

/* The account's instances named by ids, locked, in the order of 'ids'; NOT_FOUND names the
 * missing ones. */
bool virga_instance_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                         const char *const *ids, VirgaInstance **ret, size_t *ret_count,
                         GError **error);

/* Takes the rows of the instances' hosts, and of their VPCs if 'with_vpcs', in the order in which
 * all do (compute/instance-network.h); the instances are locked.  Nothing is waited for now. */
bool virga_instance_hold(VirgaTxn *txn, VirgaArena *arena, const VirgaInstance *instances,
                         size_t count, bool with_vpcs, GError **error);
