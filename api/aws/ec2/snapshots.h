/* SPDX-License-Identifier: Apache-2.0 */
/* How snapshots look in answers. */
#pragma once

#include "common.h"
#include "storage/snapshot.h"

void ec2_show_snapshot(const VirgaCall *call, const VirgaSnapshot *row, Ec2TagList tags,
                       Ec2Snapshot *shown);
bool ec2_check_snapshot_id(const char *id, GError **error);
