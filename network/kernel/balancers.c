/* SPDX-License-Identifier: Apache-2.0 */
/* The packet filter's share of load balancers.
 *
 * A node's address is the namespace's own, so what clients send ends there, and what targets are
 * sent begins there.  Both pass the security groups of both sides:
 *
 *     input     a new connection to a node: the guest's egress rules, if it comes from one of this
 *               host -> deliver -> <port>_front (is there a listener?) -> the node's ingress rules
 *     output    a new connection of a node: its egress rules -> deliver -> the target's ingress
 *
 * A balancer without groups lets everybody in to its listeners, and itself out. */
#include "kernel-priv.h"

#include <string.h>

static bool
has_protocol(const VirgaBalancerListener *listener, const char *protocol)
{
    bool udp = strstr(listener->protocol, "UDP") != NULL;
    bool tcp = !g_str_equal(listener->protocol, "UDP");

    return g_str_equal(protocol, "udp") ? udp : tcp;
}

static void
add_front(VirgaRuleset *ruleset, const VirgaBalancer *balancer, const char *id)
{
    static const char *const protocols[] = { "tcp", "udp" };
    g_autofree char *name = g_strconcat(id, "_front", NULL);
    VirgaRulesetPart *chain = virga_ruleset_add(ruleset, "chain", VIRGA_POLICY_TABLE, name, "");

    for (size_t p = 0; p < G_N_ELEMENTS(protocols); p++) {
        g_autoptr(GString) ports = g_string_new(NULL);

        for (guint i = 0; i < balancer->listeners->len; i++) {
            const VirgaBalancerListener *listener = balancer->listeners->pdata[i];

            if (has_protocol(listener, protocols[p]))
                g_string_append_printf(ports, "%s%d", ports->len ? ", " : "", (int) listener->port);
        }
        if (ports->len)
            virga_ruleset_line(chain, "%s dport { %s } goto %s_in", protocols[p], ports->str, id);
    }
    virga_ruleset_line(chain, "meta l4proto icmp goto %s_in", id);
    virga_ruleset_line(chain, "drop");
}

/* What is no balancer's serves one port itself. */
static bool
add_services(VirgaRulesetPart *in, VirgaRulesetPart *out, VirgaRuleset *ruleset,
             const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    bool any = false;

    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];
        g_autofree char *id = virga_policy_identifier(port->id);
        g_autofree char *name = g_strconcat(id, "_front", NULL);
        VirgaRulesetPart *chain;

        if (!port->of_balancer || !port->front_port || !virga_kernel_is_local(config, port))
            continue;
        any = true;
        chain = virga_ruleset_add(ruleset, "chain", VIRGA_POLICY_TABLE, name, "");
        virga_ruleset_line(chain, "tcp dport %d goto %s_in", (int) port->front_port, id);
        virga_ruleset_line(chain, "meta l4proto icmp goto %s_in", id);
        virga_ruleset_line(chain, "drop");
        virga_ruleset_line(in, "%s : goto %s_front", port->address, id);
        virga_ruleset_line(out, "%s : goto %s_out", port->address, id);
    }
    return any;
}

bool
virga_policy_balancers(VirgaRuleset *ruleset, const VirgaKernelConfig *config,
                       const VirgaVpcPlan *plan)
{
    static const char verdicts[] = "type ipv4_addr : verdict";
    VirgaRulesetPart *in =
        virga_ruleset_add(ruleset, "map", VIRGA_POLICY_TABLE, "to_balancer", verdicts);
    VirgaRulesetPart *out =
        virga_ruleset_add(ruleset, "map", VIRGA_POLICY_TABLE, "from_balancer", verdicts);
    bool any = false;

    for (guint i = 0; i < plan->balancers->len; i++) {
        const VirgaBalancer *balancer = plan->balancers->pdata[i];

        for (char **port_id = balancer->port_ids; *port_id; port_id++) {
            const VirgaVpcPort *port = virga_vpc_plan_port(plan, *port_id);
            g_autofree char *id = virga_policy_identifier(*port_id);

            if (!virga_kernel_is_local(config, port))
                continue;
            any = true;
            add_front(ruleset, balancer, id);
            virga_ruleset_line(in, "%s : goto %s_front", port->address, id);
            virga_ruleset_line(out, "%s : goto %s_out", port->address, id);
        }
    }
    return add_services(in, out, ruleset, config, plan) || any;
}

void
virga_policy_balancer_hooks(VirgaRuleset *ruleset, VirgaRulesetPart *input, bool acls)
{
    VirgaRulesetPart *chain =
        virga_ruleset_add(ruleset, "chain", VIRGA_POLICY_TABLE, "balancer", "");

    /* Between established and what guests may ask for. */
    virga_ruleset_line(input, "ip daddr @to_balancer goto balancer");
    virga_ruleset_line(chain, "ct state invalid drop");
    virga_ruleset_line(chain, "iifname \"" VIRGA_UPLINK "\" ct status dnat goto deliver");
    virga_ruleset_line(chain, "iifname \"" VIRGA_VXLAN "\" goto deliver");
    virga_ruleset_line(chain, "iifname vmap @outbound");
    virga_ruleset_line(chain, "drop");
    chain = virga_ruleset_add(ruleset, "chain", VIRGA_POLICY_TABLE, "output",
                              "type filter hook output priority filter; policy accept");
    if (acls)
        virga_ruleset_line(chain, "ip saddr @from_balancer jump from_node");
    virga_ruleset_line(chain, "ct state established,related accept");
    virga_ruleset_line(chain, "ip saddr vmap @from_balancer");
}
