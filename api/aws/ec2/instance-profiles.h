/* SPDX-License-Identifier: Apache-2.0 */
/* Instance profiles as requests name them. */
#pragma once

#include "common.h"
#include "compute/instance-profile.h"

/* Finds the profile of a request (by ARN or name, not both) and checks that the caller may hand its
 * role over.  'specification' NULL gives NULL. */
bool ec2_instance_profile(const VirgaCall *call, VirgaTxn *txn,
                          const Ec2IamInstanceProfileSpecification *specification,
                          VirgaIamEntity **ret, GError **error);
