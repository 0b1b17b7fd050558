/* SPDX-License-Identifier: Apache-2.0 */
/* VPCs by the kernel's own means: one network namespace per VPC, routed taps, nftables, dnsmasq.
 *
 *     host's namespace                     namespace "virga-TAG-vpc-0…"
 *     ------------------                   ---------------------------------------------
 *     uTAG… ============== veth ========== up0   public addresses: 1:1 NAT, NAT gateways
 *     GATEWAY on lo: DNS forwarders        lo    VPC+2, 169.254.169.253, 169.254.169.254
 *     route PUBLIC/32 -> uTAG…             vTAG… one tap per guest: <subnet+1>/32, proxy ARP,
 *     table inet virga_TAG: masquerade           route GUEST/32; a table per route table
 *                                          vx0   VXLAN to the other hosts of the VPC
 *
 * A packet from one public address to another leaves the namespace and comes back, as it would
 * through EC2's internet gateway, so security groups see what they see there.  The names of links
 * follow from ids; the transit address of a VPC is kept nowhere but in the host's route to it.
 * Where the network behind a card of the host has the pool (public_interface), the host answers
 * there for the public addresses that it has, and looks there for all others.
 * A NAT gateway lives where its host_id says, and only there its public address is routed to.
 * A load balancer's node lives likewise where its port's host_id says: its address is on lo, and
 * one HAProxy in the namespace serves all balancers of the VPC.
 * nftables, name servers and HAProxy go on when virga-node stops, and are adopted when it comes
 * back.
 *
 * Needs root (CAP_NET_ADMIN, CAP_SYS_ADMIN) and the programs ip, bridge, tc,
 * nft, dnsmasq, pdns_recursor and, for balancers, haproxy. */
#pragma once

#include "network/driver.h"

typedef struct {
    const char *tag;             /* 3 letters or digits */
    const char *host_id;         /* ports with this host_id are local */
    const char *state_directory; /* of dnsmasq's files; its user must be able to search it */
    const char *transit_cidr;    /* NULL: 169.254.0.0/17; clouds of one machine need their own */
    const char *const *public_cidrs; /* the pool of public addresses; NULL: none */
    bool no_masquerade;              /* public addresses are routed beyond this host */
    const char *public_interface;    /* card behind which others look for public addresses by ARP;
                                      * NULL: the pool is routed to this host */
    const char *underlay_address;    /* of VXLAN; NULL: a single host */
    gint64 mtu;                      /* of guests; 0: 1500, with VXLAN 1450 */
    const char *dnsmasq_path;        /* NULL: from PATH */
    const char *recursor_path;       /* NULL: from PATH */
    const char *haproxy_path;        /* NULL: from PATH */
    const char *resolv_conf;         /* NULL: /etc/resolv.conf */
} VirgaKernelSettings;

/* Touches nothing yet: the first apply prepares the host.  Copies the settings.  Fails with
 * INVALID. */
VirgaNetworkDriver *virga_network_kernel_new(const VirgaKernelSettings *settings, GError **error);
