/* SPDX-License-Identifier: Apache-2.0 */
/* UDP listeners, which HAProxy does not serve: nftables sends their datagrams on.
 *
 *     udp_entry    prerouting, before translation: a new flow to a listener is marked and passes
 *                  the guest's egress rules and the node's ingress rules (udp_front)
 *     udp_targets  its destination becomes one of the healthy targets, by a hash of its source;
 *                  while none is healthy, one of all
 *     forward      what is marked passes (policy.c)
 *     udp_source   its source becomes the node's address, so that answers come back through here
 *                  from whatever host, and a target may ask its own balancer
 *     udp_deliver  postrouting, after translation: the target's ingress rules
 *
 * Who is healthy is HAProxy's word; the kernel keeps a flow with its target until the target is out
 * (virga_udp_is_stale()). */
#include "kernel-priv.h"

#include "network/address.h"

#include <string.h>

static bool
is_udp(const VirgaBalancerListener *listener)
{
    return strstr(listener->protocol, "UDP") != NULL;
}

/* Calls 'func' for each UDP listener of each node that is here. */
typedef void (*UdpFunc)(const VirgaVpcPort *node, const VirgaBalancerListener *listener,
                        const VirgaTargetGroup *group, void *data);

static void
for_each(const VirgaKernelConfig *config, const VirgaVpcPlan *plan, UdpFunc func, void *data)
{
    for (guint i = 0; i < plan->balancers->len; i++) {
        const VirgaBalancer *balancer = plan->balancers->pdata[i];

        for (guint l = 0; l < balancer->listeners->len; l++) {
            const VirgaBalancerListener *listener = balancer->listeners->pdata[l];
            const VirgaBalancerRule *rule = listener->rules->pdata[0];
            const VirgaBalancerForward *forward =
                rule->forwards->len ? rule->forwards->pdata[0] : NULL;
            const VirgaTargetGroup *group =
                forward ? virga_vpc_plan_target_group(plan, forward->target_group_id) : NULL;

            for (char **id = balancer->port_ids; is_udp(listener) && group && *id; id++) {
                const VirgaVpcPort *node = virga_vpc_plan_port(plan, *id);

                if (virga_kernel_is_local(config, node))
                    func(node, listener, group, data);
            }
        }
    }
}

static void
note(const VirgaVpcPort *node, const VirgaBalancerListener *listener, const VirgaTargetGroup *group,
     void *data)
{
    *(bool *) data = true;
}

bool
virga_udp_wanted(const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    bool any = false;

    for_each(config, plan, note, &any);
    return any;
}

/* ---- who gets datagrams ---- */

static bool
is_out(const GPtrArray *health, const VirgaTargetGroup *group, const VirgaBalancerTarget *target)
{
    for (guint i = 0; health && i < health->len; i++) {
        const VirgaTargetHealth *each = health->pdata[i];

        if (!each->healthy && each->port == target->port &&
            g_str_equal(each->address, target->address) &&
            g_str_equal(each->target_group_id, group->id))
            return true;
    }
    return false;
}

/* Loans; those that are healthy, or all. */
static GPtrArray *
choose(const GPtrArray *health, const VirgaTargetGroup *group)
{
    GPtrArray *chosen = g_ptr_array_new();

    for (int all = 0; all < 2 && chosen->len == 0; all++)
        for (guint i = 0; i < group->targets->len; i++)
            if (all || !is_out(health, group, group->targets->pdata[i]))
                g_ptr_array_add(chosen, group->targets->pdata[i]);
    return chosen;
}

/* ---- the rules ---- */

typedef struct {
    const GPtrArray *health;
    bool public;
    GHashTable *sources; /* addresses that have their line */
    VirgaRulesetPart *listeners, *in, *source, *targets;
} Parts;

static void
add_address(Parts *parts, const char *address, const VirgaVpcPort *node,
            const VirgaBalancerListener *listener, const GPtrArray *chosen)
{
    g_autofree char *id = virga_policy_identifier(node->id);
    g_autoptr(GString) map = g_string_new(NULL);

    virga_ruleset_line(parts->listeners, "%s . %d", address, (int) listener->port);
    virga_ruleset_line(parts->in, "%s . %d : goto %s_in", address, (int) listener->port, id);
    if (g_hash_table_add(parts->sources, (gpointer) address))
        virga_ruleset_line(parts->source, "%s : %s", address, node->address);
    for (guint i = 0; i < chosen->len; i++) {
        const VirgaBalancerTarget *target = chosen->pdata[i];
        g_string_append_printf(map, "%s%u : %s . %d", i ? ", " : "", i, target->address,
                               (int) target->port);
    }
    if (chosen->len > 0)
        virga_ruleset_line(parts->targets,
                           "ip daddr %s udp dport %d dnat ip addr . port to jhash ip saddr . udp "
                           "sport mod %u seed 0x76697267 map { %s }",
                           address, (int) listener->port, chosen->len, map->str);
}

static void
add_listener(const VirgaVpcPort *node, const VirgaBalancerListener *listener,
             const VirgaTargetGroup *group, void *data)
{
    Parts *parts = data;
    g_autoptr(GPtrArray) chosen = choose(parts->health, group);

    add_address(parts, node->address, node, listener, chosen);
    if (node->public_address && parts->public)
        add_address(parts, node->public_address, node, listener, chosen);
}

static VirgaRulesetPart *
add(VirgaRuleset *ruleset, const char *kind, const char *name, const char *head)
{
    return virga_ruleset_add(ruleset, kind, VIRGA_POLICY_TABLE, name, head);
}

void
virga_policy_udp(VirgaRuleset *ruleset, const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
                 const GPtrArray *health)
{
    g_autoptr(GHashTable) sources = g_hash_table_new(g_str_hash, g_str_equal);
    Parts parts = { .health = health,
                    .public = virga_vpc_plan_has_gateway(plan),
                    .sources = sources };
    VirgaRulesetPart *chain;

    if (!virga_udp_wanted(config, plan))
        return;
    parts.listeners = add(ruleset, "set", "udp_listeners", "type ipv4_addr . inet_service");
    parts.in = add(ruleset, "map", "udp_in", "type ipv4_addr . inet_service : verdict");
    parts.source = add(ruleset, "map", "udp_sources", "type ipv4_addr : ipv4_addr");
    chain = add(ruleset, "chain", "udp_front", "");
    if (virga_policy_acls_of_nodes(config, plan))
        virga_ruleset_line(chain, "jump to_node");
    virga_ruleset_line(chain, "ct state established,related accept");
    virga_ruleset_line(chain, "ct mark set " VIRGA_UDP_MARK);
    virga_ruleset_line(chain, "iifname { \"" VIRGA_UPLINK "\", \"" VIRGA_VXLAN
                              "\" } ip daddr . udp dport vmap @udp_in");
    virga_ruleset_line(chain, "iifname vmap @outbound");
    virga_ruleset_line(chain, "drop");
    chain = add(ruleset, "chain", "udp_entry",
                "type filter hook prerouting priority mangle; policy accept");
    /* Answers leave by the balancer's way, whatever the target's subnet has for one. */
    virga_ruleset_line(chain, "ct mark " VIRGA_UDP_MARK " meta mark set 0");
    virga_ruleset_line(chain, "ip daddr . udp dport @udp_listeners goto udp_front");
    parts.targets = add(ruleset, "chain", "udp_targets",
                        "type nat hook prerouting priority dstnat - 1; policy accept");
    chain = add(ruleset, "chain", "udp_source",
                "type nat hook postrouting priority srcnat - 1; policy accept");
    virga_ruleset_line(chain, "ct mark " VIRGA_UDP_MARK
                              " snat ip to ct original ip daddr map @udp_sources");
    chain = add(ruleset, "chain", "udp_deliver",
                "type filter hook postrouting priority srcnat + 1; policy accept");
    virga_ruleset_line(chain,
                       "ct mark " VIRGA_UDP_MARK " ct direction original ct state new oifname "
                       "vmap @inbound");
    for_each(config, plan, add_listener, &parts);
}

/* ---- flows whose target is out ---- */

typedef struct {
    const GPtrArray *health;
    VirgaUdpFlows *flows;
} Collect;

static void
add_number(GHashTable *set, const char *address)
{
    guint32 number;

    if (address && virga_ipv4_parse(address, &number))
        g_hash_table_add(set, GUINT_TO_POINTER(number));
}

static void
collect(const VirgaVpcPort *node, const VirgaBalancerListener *listener,
        const VirgaTargetGroup *group, void *data)
{
    Collect *all = data;
    g_autoptr(GPtrArray) chosen = choose(all->health, group);

    add_number(all->flows->nodes, node->address);
    add_number(all->flows->nodes, node->public_address);
    for (guint i = 0; i < chosen->len; i++)
        add_number(all->flows->targets, ((VirgaBalancerTarget *) chosen->pdata[i])->address);
}

VirgaUdpFlows *
virga_udp_flows_new(const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
                    const GPtrArray *health)
{
    VirgaUdpFlows *flows = g_new0(VirgaUdpFlows, 1);
    Collect all = { health, flows };

    flows->nodes = g_hash_table_new(NULL, NULL);
    flows->targets = g_hash_table_new(NULL, NULL);
    for_each(config, plan, collect, &all);
    return flows;
}

void
virga_udp_flows_free(VirgaUdpFlows *flows)
{
    if (!flows)
        return;
    g_hash_table_unref(flows->nodes);
    g_hash_table_unref(flows->targets);
    g_free(flows);
}

static bool
is_within(GHashTable *a, GHashTable *b)
{
    GHashTableIter iter;
    gpointer key;

    g_hash_table_iter_init(&iter, a);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        if (!g_hash_table_contains(b, key))
            return false;
    return true;
}

bool
virga_udp_flows_stay(const VirgaUdpFlows *old, const VirgaUdpFlows *new)
{
    return old && is_within(old->targets, new->targets);
}

bool
virga_udp_is_stale(const VirgaConnection *connection, void *data)
{
    const VirgaUdpFlows *flows = data;

    return connection->destination_translated && connection->source_translated &&
           g_hash_table_contains(flows->nodes, GUINT_TO_POINTER(connection->destination)) &&
           !g_hash_table_contains(flows->targets, GUINT_TO_POINTER(connection->reply_source));
}
