/* SPDX-License-Identifier: Apache-2.0 */
/* The wish of a host as the node API sends it. */
#pragma once

#include "core/db.h"

#include <json-glib/json-glib.h>

/* What changed for 'host_id' since its generation 'after' (0: everything), and the plans of its
 * VPCs that are newer than 'known' ({vpc id: generation}) says:
 *
 *     {"generation": n, "complete": bool, "guests": [VirgaGuestWish], "vpcs": [VirgaVpcPlan],
 *      "vpc_ids": [those in which the host has guests or balancers],
 *      "questions": [{"id", "kind", "instance_id"}: compute/question.h],
 *      "doomed": [ids of volumes whose bytes are to go],
 *      "snapshots": [all that the host makes: {"id", "volume_id", "parent_id", "parent_file",
 *                    "parent_ready", "cut", "halt", "made"}]}
 *
 * 'ret_json' is NULL when there is nothing new; the caller owns it.  A host that has not joined
 * yet has an empty wish. */
bool virga_host_wish(VirgaTxn *txn, const char *host_id, gint64 after, JsonObject *known,
                     const char *region, char **ret_json, GError **error);

/* The plan of a VPC as hosts are sent it, the caller's. */
char *virga_host_plan(VirgaTxn *txn, const char *vpc_id, const char *region, GError **error);
