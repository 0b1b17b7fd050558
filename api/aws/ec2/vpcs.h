/* SPDX-License-Identifier: Apache-2.0 */
/* What the actions on VPCs share. */
#pragma once

#include "common.h"
#include "network/vpc.h"

/* A block of a VPC as an answer shows it. */
Ec2VpcCidrBlockAssociation *ec2_vpc_block(const VirgaCall *call, const VirgaVpcBlock *block,
                                          const char *state);

/* What a request that makes a block of a VPC has that only IPv6 or address managers know: the
 * parameter's name, or NULL. */
#define ec2_unsupported_block(request)                                                             \
    ((request)->amazon_provided_ipv6_cidr_block        ? "AmazonProvidedIpv6CidrBlock"             \
     : (request)->ipv6_cidr_block                      ? "Ipv6CidrBlock"                           \
     : (request)->ipv6_pool                            ? "Ipv6Pool"                                \
     : (request)->ipv6_cidr_block_network_border_group ? "Ipv6CidrBlockNetworkBorderGroup"         \
     : (request)->ipv6_ipam_pool_id                    ? "Ipv6IpamPoolId"                          \
     : (request)->has_ipv6_netmask_length              ? "Ipv6NetmaskLength"                       \
     : (request)->ipv4_ipam_pool_id                    ? "Ipv4IpamPoolId"                          \
     : (request)->has_ipv4_netmask_length              ? "Ipv4NetmaskLength"                       \
                                                       : NULL)
