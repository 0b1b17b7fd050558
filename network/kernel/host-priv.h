/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel driver's share of the host's own namespace: what all VPCs of the cloud have in
 * common, and the veth pair of each. */
#pragma once

#include "kernel-priv.h"

/* What was last given to nft in one namespace; the kernel's own count of changes tells whether
 * somebody touched it since. */
typedef struct {
    char *checksum;        /* of a text */
    VirgaRuleset *ruleset; /* or this */
    guint32 generation;
} VirgaPolicyState;

/* Gives the ruleset to nft here: only what differs if the kernel still has what it was given last.
 * Takes 'ruleset'. */
bool virga_policy_apply_ruleset(VirgaPolicyState *state, VirgaRuleset *ruleset, GError **error);
void virga_policy_forget(VirgaPolicyState *state);

/* Runs "ip -batch" here; NULL text does nothing. */
bool virga_ip_batch(const char *text, GError **error);

typedef struct {
    const VirgaKernelConfig *config;
    GMutex lock; /* of what follows and of the choice of transit addresses */
    VirgaPolicyState policy;
} VirgaKernelHost;

/* Forwarding, the table, the gateway's address and the DNS forwarders. */
bool virga_host_ensure(VirgaKernelHost *host, GError **error);
/* Takes them away again, with the last VPC. */
bool virga_host_clear(VirgaKernelHost *host, GError **error);

/* neighbours.c: answers on the network behind the host's card (config->public_interface) for the
 * public addresses that the host has routes to, or for none and without its own routes there
 * ('clear').  Under the host's lock. */
bool virga_neighbours_converge(const VirgaKernelConfig *config, bool clear, GError **error);

/* Makes the VPC's namespace and uplink as needed.  'ret_new' is set if the namespace was made. */
bool virga_host_ensure_namespace(VirgaKernelHost *host, const VirgaVpcPlan *plan,
                                 const VirgaDaemon *dnsmasq, bool *ret_new, GError **error);
/* Brings the host's end of the uplink and the public routes to the plan.  The caller owns
 * 'ret_transit', the namespace's address on the uplink. */
bool virga_host_converge(VirgaKernelHost *host, const VirgaVpcPlan *plan, char **ret_transit,
                         GError **error);
