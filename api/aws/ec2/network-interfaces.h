/* SPDX-License-Identifier: Apache-2.0 */
/* Network interfaces as answers show them. */
#pragma once

#include "common.h"

#include "network/interface.h"

void ec2_network_interface_show(const VirgaCall *call, const VirgaInterface *row,
                                const Ec2Tags *tags, Ec2NetworkInterface *shown);
