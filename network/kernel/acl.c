/* SPDX-License-Identifier: Apache-2.0 */
/* Network ACLs as chains.
 *
 * An ACL is asked about every packet, before the state of connections is: it denies answers too.
 * It is asked only about packets that enter or leave a subnet, which taps tell for guests of this
 * host, and addresses for what comes through or goes into the tunnel.  ACLs that let everything
 * pass, as a VPC's first one does, leave no trace.
 *
 *     <acl>_in, <acl>_out         the entries in order: return (pass) or drop
 *     <subnet>_in, <subnet>_out   what crosses the boundary -> the ACL's chain
 *     <nat>_in, <nat>_out         a NAT gateway stands in a subnet of its own: both ways
 *     <subnet>_node_in, _out      the same boundary for what ends or begins at a balancer's node,
 *                                 which no two taps tell: neighbours are those of its block */
#include "kernel-priv.h"

#include "network/address.h"

#include <string.h>

static int
compare_entries(gconstpointer a, gconstpointer b)
{
    const VirgaVpcAclEntry *x = *(VirgaVpcAclEntry *const *) a, *y = *(VirgaVpcAclEntry *const *) b;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* The entries of one direction, lowest number first; loans. */
static GPtrArray *
entries_of(const VirgaVpcAcl *acl, bool egress)
{
    GPtrArray *entries = g_ptr_array_new();

    for (guint i = 0; i < acl->entries->len; i++)
        if (((VirgaVpcAclEntry *) acl->entries->pdata[i])->egress == egress)
            g_ptr_array_add(entries, acl->entries->pdata[i]);
    g_ptr_array_sort(entries, compare_entries);
    return entries;
}

static bool
is_everything(const VirgaVpcAclEntry *entry)
{
    return g_str_equal(entry->protocol, "-1") && g_str_equal(entry->cidr4, "0.0.0.0/0");
}

/* True if the ACL (NULL: none) lets everything pass in one direction. */
static bool
is_open(const VirgaVpcAcl *acl, bool egress)
{
    g_autoptr(GPtrArray) entries = acl ? entries_of(acl, egress) : NULL;

    return !acl || (entries->len > 0 && is_everything(entries->pdata[0]) &&
                    ((VirgaVpcAclEntry *) entries->pdata[0])->allow);
}

static char *
chain_name(const char *id, bool egress)
{
    g_autofree char *name = virga_policy_identifier(id);
    return g_strconcat(name, egress ? "_out" : "_in", NULL);
}

static void
add_entries(VirgaRuleset *ruleset, const VirgaVpcAcl *acl, bool egress)
{
    g_autoptr(GPtrArray) entries = entries_of(acl, egress);
    g_autofree char *name = chain_name(acl->id, egress);
    VirgaRulesetPart *chain = virga_ruleset_add(ruleset, "chain", VIRGA_POLICY_TABLE, name, "");

    for (guint i = 0; i < entries->len; i++) {
        const VirgaVpcAclEntry *entry = entries->pdata[i];
        g_autofree char *match =
            virga_policy_match(entry->protocol, entry->from_port, entry->to_port);
        bool anyone = g_str_equal(entry->cidr4, "0.0.0.0/0");

        if (match)
            virga_ruleset_line(chain, "%s%s%s%s%s%s", match, *match ? " " : "",
                               anyone   ? ""
                               : egress ? "ip daddr "
                                        : "ip saddr ",
                               anyone ? "" : entry->cidr4, anyone ? "" : " ",
                               entry->allow ? "return" : "drop");
    }
    virga_ruleset_line(chain, "drop");
}

/* The set of a subnet's taps is named as its chains are. */
static void
add_taps(VirgaRuleset *ruleset, const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
         const VirgaVpcSubnet *subnet)
{
    g_autofree char *id = virga_policy_identifier(subnet->id);
    g_autofree char *name = g_strconcat(id, "_taps", NULL);
    VirgaRulesetPart *set =
        virga_ruleset_add(ruleset, "set", VIRGA_POLICY_TABLE, name, "type ifname");

    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];
        g_autofree char *tap = virga_kernel_tap(config, port->id);

        if (virga_kernel_has_tap(config, port) && g_str_equal(port->subnet_id, subnet->id))
            virga_ruleset_line(set, "\"%s\"", tap);
    }
}

/* Neighbours in the subnet return, the rest is asked about.  A packet that is routed to an
 * interface elsewhere has that interface's address as next hop. */
static void
add_boundary(VirgaRuleset *ruleset, const VirgaVpcSubnet *subnet, const VirgaVpcAcl *acl,
             bool egress)
{
    g_autofree char *id = virga_policy_identifier(subnet->id);
    g_autofree char *name = chain_name(subnet->id, egress);
    g_autofree char *entries = chain_name(acl->id, egress);
    VirgaRulesetPart *chain = virga_ruleset_add(ruleset, "chain", VIRGA_POLICY_TABLE, name, "");

    virga_ruleset_line(chain, "%s @%s_taps return", egress ? "oifname" : "iifname", id);
    virga_ruleset_line(chain, "%s \"" VIRGA_VXLAN "\" %s %s return", egress ? "oifname" : "iifname",
                       egress ? "ip daddr" : "ip saddr", subnet->cidr);
    if (egress)
        virga_ruleset_line(chain, "oifname \"" VIRGA_VXLAN "\" rt ip nexthop %s return",
                           subnet->cidr);
    virga_ruleset_line(chain, "goto %s", entries);
}

/* A request enters the gateway's subnet and leaves it for the internet; answers come back. */
static void
add_nat_gateway(VirgaRuleset *ruleset, const VirgaVpcPlan *plan, const VirgaVpcNatGateway *gateway,
                const VirgaVpcAcl *acl, bool egress)
{
    const VirgaVpcSubnet *subnet = virga_vpc_plan_subnet(plan, gateway->subnet_id);
    g_autofree char *name = chain_name(gateway->id, egress);
    g_autofree char *inward = chain_name(acl->id, false);
    g_autofree char *outward = chain_name(acl->id, true);
    VirgaRulesetPart *chain = virga_ruleset_add(ruleset, "chain", VIRGA_POLICY_TABLE, name, "");

    if (!is_open(acl, false) && egress)
        virga_ruleset_line(chain, "ip saddr != %s jump %s", subnet->cidr, inward);
    else if (!is_open(acl, false))
        virga_ruleset_line(chain, "jump %s", inward);
    if (!is_open(acl, true) && egress)
        virga_ruleset_line(chain, "jump %s", outward);
    else if (!is_open(acl, true))
        virga_ruleset_line(chain, "ip daddr != %s jump %s", subnet->cidr, outward);
}

static void
add_subnets(VirgaRuleset *ruleset, const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    for (guint i = 0; i < plan->subnets->len; i++) {
        const VirgaVpcSubnet *subnet = plan->subnets->pdata[i];
        const VirgaVpcAcl *acl = virga_vpc_plan_acl_of(plan, subnet->id);

        if (is_open(acl, false) && is_open(acl, true))
            continue;
        add_taps(ruleset, config, plan, subnet);
        for (int egress = 0; egress < 2; egress++)
            if (!is_open(acl, egress))
                add_boundary(ruleset, subnet, acl, egress);
    }
}

static void
add_dispatch(VirgaRuleset *ruleset, const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    VirgaRulesetPart *leaving =
        virga_ruleset_add(ruleset, "map", VIRGA_POLICY_TABLE, "leaving", "type ifname : verdict");
    VirgaRulesetPart *entering =
        virga_ruleset_add(ruleset, "map", VIRGA_POLICY_TABLE, "entering", "type ifname : verdict");

    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];
        const VirgaVpcAcl *acl = virga_vpc_plan_acl_of(plan, port->subnet_id);
        g_autofree char *tap = virga_kernel_tap(config, port->id);
        g_autofree char *in = chain_name(port->subnet_id, false);
        g_autofree char *out = chain_name(port->subnet_id, true);

        if (!virga_kernel_has_tap(config, port))
            continue;
        if (!is_open(acl, true))
            virga_ruleset_line(leaving, "\"%s\" : jump %s", tap, out);
        if (!is_open(acl, false))
            virga_ruleset_line(entering, "\"%s\" : jump %s", tap, in);
    }
}

static void
add_nat_gateways(VirgaRuleset *ruleset, const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    VirgaRulesetPart *out = virga_ruleset_add(ruleset, "map", VIRGA_POLICY_TABLE, "nat_leaving",
                                              "type ipv4_addr : verdict");
    VirgaRulesetPart *in = virga_ruleset_add(ruleset, "map", VIRGA_POLICY_TABLE, "nat_entering",
                                             "type ipv4_addr : verdict");

    for (guint i = 0; i < plan->nat_gateways->len; i++) {
        const VirgaVpcNatGateway *gateway = plan->nat_gateways->pdata[i];
        const VirgaVpcAcl *acl = virga_vpc_plan_acl_of(plan, gateway->subnet_id);
        g_autofree char *name = virga_policy_identifier(gateway->id);

        if (g_strcmp0(gateway->host_id, config->host_id) != 0 ||
            (is_open(acl, false) && is_open(acl, true)))
            continue;
        add_nat_gateway(ruleset, plan, gateway, acl, true);
        add_nat_gateway(ruleset, plan, gateway, acl, false);
        virga_ruleset_line(out, "%s : jump %s_out", gateway->address, name);
        virga_ruleset_line(in, "%s : jump %s_in", gateway->public_address, name);
    }
}

/* Only the uplink could bring a neighbour's address from elsewhere. */
static void
add_node_boundary(VirgaRuleset *ruleset, const VirgaVpcSubnet *subnet, const VirgaVpcAcl *acl,
                  bool egress)
{
    g_autofree char *id = virga_policy_identifier(subnet->id);
    g_autofree char *name = g_strconcat(id, egress ? "_node_out" : "_node_in", NULL);
    g_autofree char *entries = chain_name(acl->id, egress);
    VirgaRulesetPart *chain = virga_ruleset_add(ruleset, "chain", VIRGA_POLICY_TABLE, name, "");

    if (!egress)
        virga_ruleset_line(chain, "iifname \"" VIRGA_UPLINK "\" goto %s", entries);
    virga_ruleset_line(chain, "ip %s %s return", egress ? "daddr" : "saddr", subnet->cidr);
    virga_ruleset_line(chain, "goto %s", entries);
}

/* Nodes by address, guests of this host by tap: whose subnet has an ACL that may deny something in
 * this direction. */
static void
add_node_dispatch(VirgaRuleset *ruleset, const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
                  bool egress)
{
    VirgaRulesetPart *nodes =
        virga_ruleset_add(ruleset, "map", VIRGA_POLICY_TABLE,
                          egress ? "node_leaving" : "node_entering", "type ipv4_addr : verdict");
    VirgaRulesetPart *taps = virga_ruleset_add(ruleset, "map", VIRGA_POLICY_TABLE,
                                               egress ? "leaving_to_node" : "entering_from_node",
                                               "type ifname : verdict");

    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];
        g_autofree char *id = virga_policy_identifier(port->subnet_id);
        g_autofree char *tap = virga_kernel_tap(config, port->id);
        const char *way = egress ? "out" : "in";

        if (is_open(virga_vpc_plan_acl_of(plan, port->subnet_id), egress))
            continue;
        if (virga_kernel_has_tap(config, port))
            virga_ruleset_line(taps, "\"%s\" : jump %s_node_%s", tap, id, way);
        else if (virga_kernel_is_local(config, port) && port->of_balancer)
            virga_ruleset_line(nodes, "%s : jump %s_node_%s", port->address, id, way);
    }
}

/* Chains for both ends of what ends at a node (input, prerouting) and begins at one (output). */
static void
add_nodes(VirgaRuleset *ruleset, const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    VirgaRulesetPart *chain;

    for (guint i = 0; i < plan->subnets->len; i++) {
        const VirgaVpcSubnet *subnet = plan->subnets->pdata[i];
        const VirgaVpcAcl *acl = virga_vpc_plan_acl_of(plan, subnet->id);

        for (int egress = 0; egress < 2; egress++)
            if (!is_open(acl, egress))
                add_node_boundary(ruleset, subnet, acl, egress);
    }
    add_node_dispatch(ruleset, config, plan, true);
    add_node_dispatch(ruleset, config, plan, false);
    chain = virga_ruleset_add(ruleset, "chain", VIRGA_POLICY_TABLE, "to_node", "");
    virga_ruleset_line(chain, "iifname vmap @leaving_to_node");
    virga_ruleset_line(chain, "ip daddr vmap @node_entering");
    chain = virga_ruleset_add(ruleset, "chain", VIRGA_POLICY_TABLE, "from_node", "");
    virga_ruleset_line(chain, "ip saddr vmap @node_leaving");
    virga_ruleset_line(chain, "oifname vmap @entering_from_node");
}

static bool
is_watched(const VirgaVpcPlan *plan, const char *subnet_id)
{
    const VirgaVpcAcl *acl = virga_vpc_plan_acl_of(plan, subnet_id);
    return !is_open(acl, false) || !is_open(acl, true);
}

/* True if some port or gateway of this host is in a subnet whose ACL may deny something. */
static bool
is_needed(const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    for (guint i = 0; i < plan->subnets->len; i++) {
        const VirgaVpcSubnet *subnet = plan->subnets->pdata[i];

        if (!is_watched(plan, subnet->id))
            continue;
        for (guint p = 0; p < plan->ports->len; p++) {
            const VirgaVpcPort *port = plan->ports->pdata[p];
            if (virga_kernel_is_local(config, port) && g_str_equal(port->subnet_id, subnet->id))
                return true;
        }
        for (guint g = 0; g < plan->nat_gateways->len; g++) {
            const VirgaVpcNatGateway *gateway = plan->nat_gateways->pdata[g];
            if (g_strcmp0(gateway->host_id, config->host_id) == 0 &&
                g_str_equal(gateway->subnet_id, subnet->id))
                return true;
        }
    }
    return false;
}

static bool
has_node(const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];

        if (virga_kernel_is_local(config, port) && port->of_balancer)
            return true;
    }
    return false;
}

bool
virga_policy_acls_of_nodes(const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    return is_needed(config, plan) && has_node(config, plan);
}

bool
virga_policy_acls(VirgaRuleset *ruleset, const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    if (!is_needed(config, plan))
        return false;
    for (guint i = 0; i < plan->acls->len; i++)
        for (int egress = 0; egress < 2; egress++)
            if (!is_open(plan->acls->pdata[i], egress))
                add_entries(ruleset, plan->acls->pdata[i], egress);
    add_subnets(ruleset, config, plan);
    add_dispatch(ruleset, config, plan);
    add_nat_gateways(ruleset, config, plan);
    if (has_node(config, plan))
        add_nodes(ruleset, config, plan);
    return true;
}
