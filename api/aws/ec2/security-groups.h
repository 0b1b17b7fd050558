/* SPDX-License-Identifier: Apache-2.0 */
/* What the actions on groups and those on their rules share. */
#pragma once

#include "common.h"
#include "network/security-group.h"

/* Exactly one of id and name is given, and an id is well-formed. */
bool ec2_check_group(const char *id, const char *name, GError **error);

/* The group by id, or by name in the default VPC. */
VirgaSecurityGroup *ec2_security_group(VirgaCall *call, VirgaTxn *txn, const char *id,
                                       const char *name, GError **error);
