/* SPDX-License-Identifier: Apache-2.0 */
/* Block device mappings of requests, and what EC2 promises of each type of volume. */
#pragma once

#include "common.h"
#include "compute/instance.h"

/* Checks the mappings of RunInstances or RegisterImage and turns them into disks. */
bool ec2_block_devices(const VirgaCall *call, const Ec2BlockDeviceMappingRequestList *mappings,
                       VirgaDiskSpec **ret, size_t *ret_count, GError **error);

/* Fails if a mapping of what has its bytes, and so its encryption, says something of that. */
bool ec2_check_no_flag(const VirgaDiskSpec *disk, GError **error);

/* "attaching", "attached" or "detaching", of a volume whose bytes are made or not. */
const char *ec2_attachment_state(const char *transition, bool made);

/* Checks what is asked of a volume by itself (AvailabilityZone and Encrypted are the caller's);
 * *ret_type is its type. */
bool ec2_check_volume(const Ec2CreateVolumeRequest *request, const char **ret_type, GError **error);
