/* SPDX-License-Identifier: Apache-2.0 */
/* The network interfaces that RunInstances asks for. */
#pragma once

#include "common.h"

#include "compute/instance.h"

/* Fills in what 'spec' says of interfaces, subnet, addresses and groups. */
bool ec2_launch_network(const VirgaCall *call, const Ec2RunInstancesRequest *request,
                        VirgaInstanceSpec *spec, GError **error);
