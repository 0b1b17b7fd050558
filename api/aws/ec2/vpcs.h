/* SPDX-License-Identifier: Apache-2.0 */
/* What the actions on VPCs share. */
#pragma once

#include "common.h"
#include "network/vpc.h"

/* A block of a VPC as an answer shows it. */
Ec2VpcCidrBlockAssociation *ec2_vpc_block(const VirgaCall *call, const VirgaVpcBlock *block,
                                          const char *state);
