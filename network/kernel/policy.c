/* SPDX-License-Identifier: Apache-2.0 */
/* The packet filter of a VPC on this host as nftables text.
 *
 * tunnel       a packet for a gateway or interface of this host gets the mark of its routing table
 * prerouting   a guest's packet must bear the guest's own MAC and addresses (ARP: its own table);
 *              then it gets the mark of its subnet's routing table (routes.c)
 * forward      -> leave (may it go outside by this route?) -> ACLs (acl.c) -> established
 *              -> out_<port> (egress rules of its groups) -> deliver -> in_<port> (ingress rules)
 * input        from guests only DHCP, DNS, metadata and ping; balancers (balancers.c)
 * nat          public <-> private, only across the uplink; a NAT gateway is known by its address
 *              as next hop
 *
 * Dispatch is by verdict map and groups are sets (groups.c).  Later packets of a connection cost
 * the fixed rules only. */
#include "kernel-priv.h"

#include "network/address.h"

#include <string.h>

/* Bytes: some of a guest's largest segments.  nft lets a second's worth pass on top of it. */
#define LIMIT_BURST (256 * 1024)

/* Sets and maps of local ports. */
typedef struct {
    VirgaRulesetPart *arp_bound, *arp_macs, *bound, *macs, *routers, *tables, *translated;
    VirgaRulesetPart *to_private, *to_public, *gateways, *out, *in, *limits;
} Maps;

static VirgaRulesetPart *
add(VirgaRuleset *ruleset, const char *kind, const char *name, const char *head)
{
    return virga_ruleset_add(ruleset, kind, VIRGA_POLICY_TABLE, name, head);
}

static void
add_address(Maps *maps, const char *tap, const char *mac, const char *address,
            const char *public_address)
{
    virga_ruleset_line(maps->arp_bound, "\"%s\" . %s . %s", tap, mac, address);
    virga_ruleset_line(maps->bound, "\"%s\" . %s . %s", tap, mac, address);
    if (!public_address)
        return;
    virga_ruleset_line(maps->translated, "%s", address);
    virga_ruleset_line(maps->to_private, "%s : %s", public_address, address);
    virga_ruleset_line(maps->to_public, "%s : %s", address, public_address);
}

/* What a guest sends beyond its limit is dropped here; what it receives waits (links.c). */
static void
add_limit(VirgaRuleset *ruleset, Maps *maps, const VirgaVpcPort *port, const char *tap)
{
    gint64 bytes = port->bandwidth_bps / 8;
    g_autofree char *id = virga_policy_identifier(port->id);
    g_autofree char *name = g_strconcat(id, "_limit", NULL);

    virga_ruleset_line(maps->limits, "\"%s\" : jump %s", tap, name);
    virga_ruleset_line(add(ruleset, "chain", name, ""),
                       "limit rate over %" G_GINT64_FORMAT " bytes/second burst %d bytes drop",
                       bytes, LIMIT_BURST);
}

static void
add_port(VirgaRuleset *ruleset, Maps *maps, const VirgaKernelConfig *config,
         const VirgaVpcPlan *plan, const VirgaVpcPort *port, GHashTable *numbers)
{
    g_autofree char *tap = virga_kernel_tap(config, port->id);
    g_autofree char *name = virga_policy_identifier(port->id);
    bool public = virga_vpc_plan_has_gateway(plan);

    virga_ruleset_line(maps->arp_macs, "\"%s\" . %s", tap, port->mac);
    virga_ruleset_line(maps->macs, "\"%s\" . %s", tap, port->mac);
    if (!port->source_dest_check)
        virga_ruleset_line(maps->routers, "\"%s\" . %s", tap, port->mac);
    virga_ruleset_line(maps->tables, "\"%s\" : 0x%x", tap,
                       virga_routes_table(plan, numbers, port->subnet_id));
    virga_ruleset_line(maps->out, "\"%s\" : goto %s_out", tap, name);
    virga_ruleset_line(maps->in, "\"%s\" : goto %s_in", tap, name);
    add_address(maps, tap, port->mac, port->address, public ? port->public_address : NULL);
    for (guint i = 0; i < port->secondary->len; i++) {
        const VirgaVpcAddress *each = port->secondary->pdata[i];
        add_address(maps, tap, port->mac, each->address, public ? each->public_address : NULL);
    }
    if (port->bandwidth_bps)
        add_limit(ruleset, maps, port, tap);
}

static void
add_maps(VirgaRuleset *ruleset, Maps *maps)
{
    static const char bound[] = "type ifname . ether_addr . ipv4_addr";
    static const char macs[] = "type ifname . ether_addr";
    static const char translation[] = "type ipv4_addr : ipv4_addr";

    maps->arp_bound = virga_ruleset_add(ruleset, "set", VIRGA_POLICY_ARP_TABLE, "bound", bound);
    maps->arp_macs = virga_ruleset_add(ruleset, "set", VIRGA_POLICY_ARP_TABLE, "macs", macs);
    maps->bound = add(ruleset, "set", "bound", bound);
    maps->macs = add(ruleset, "set", "macs", macs);
    maps->routers = add(ruleset, "set", "routers", macs);
    maps->tables = add(ruleset, "map", "tables", "type ifname : mark");
    maps->translated = add(ruleset, "set", "translated", "type ipv4_addr");
    maps->to_private = add(ruleset, "map", "private", translation);
    maps->to_public = add(ruleset, "map", "public", translation);
    maps->gateways = add(ruleset, "map", "gateways", translation);
    maps->limits = add(ruleset, "map", "limits", "type ifname : verdict");
    maps->out = add(ruleset, "map", "outbound", "type ifname : verdict");
    maps->in = add(ruleset, "map", "inbound", "type ifname : verdict");
}

static void
add_arp(VirgaRuleset *ruleset, const VirgaKernelConfig *config)
{
    VirgaRulesetPart *chain =
        virga_ruleset_add(ruleset, "chain", VIRGA_POLICY_ARP_TABLE, "input",
                          "type filter hook input priority filter; policy accept");

    virga_ruleset_line(chain, "iifname != \"v%s*\" accept", config->tag);
    virga_ruleset_line(chain, "iifname . arp saddr ether . arp saddr ip @bound accept");
    /* 0.0.0.0: a guest asks whether its address is taken. */
    virga_ruleset_line(chain, "arp saddr ip 0.0.0.0 iifname . arp saddr ether @macs accept");
    virga_ruleset_line(chain, "drop");
}

/* The kernel would discard what is for another MAC than the tunnel's own. */
static void
add_tunnel(VirgaRuleset *ruleset, const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
           GHashTable *numbers)
{
    VirgaRulesetPart *targets, *chain;
    g_autoptr(GPtrArray) all = virga_routes_targets(config, plan);

    targets = virga_ruleset_add(ruleset, "map", VIRGA_POLICY_TUNNEL_TABLE, "targets",
                                "type ether_addr : mark");
    for (guint i = 0; i < all->len; i++) {
        const VirgaRouteTarget *target = all->pdata[i];
        g_autofree char *mac = virga_kernel_target_mac(target->address);

        virga_ruleset_line(targets, "%s : 0x%x", mac, virga_routes_number(numbers, target->id));
    }
    chain = virga_ruleset_add(ruleset, "chain", VIRGA_POLICY_TUNNEL_TABLE, "tunnel",
                              "type filter hook ingress device \"" VIRGA_VXLAN
                              "\" priority 0; policy accept");
    virga_ruleset_line(chain, "meta mark set ether daddr map @targets meta pkttype set host");
}

static void
add_entrance(VirgaRuleset *ruleset, const VirgaKernelConfig *config)
{
    VirgaRulesetPart *chain =
        add(ruleset, "chain", "source", "type filter hook prerouting priority raw; policy accept");

    virga_ruleset_line(chain, "iifname \"v%s*\" jump guest", config->tag);
    virga_ruleset_line(chain, "meta mark set iifname map @tables");
    virga_ruleset_line(chain, "iifname vmap @limits");
    chain = add(ruleset, "chain", "guest", "");
    virga_ruleset_line(chain, "meta nfproto ipv6 drop");
    virga_ruleset_line(chain, "udp sport 67 drop");
    virga_ruleset_line(chain, "iifname . ether saddr . ip saddr @bound return");
    virga_ruleset_line(chain, "ip saddr 0.0.0.0 udp sport 68 udp dport 67 "
                              "iifname . ether saddr @macs return");
    virga_ruleset_line(chain, "iifname . ether saddr @routers return");
    virga_ruleset_line(chain, "drop");
}

static void
add_translation(VirgaRuleset *ruleset)
{
    VirgaRulesetPart *chain = add(ruleset, "chain", "to_private",
                                  "type nat hook prerouting priority dstnat; policy accept");

    virga_ruleset_line(chain, "iifname \"" VIRGA_UPLINK "\" dnat ip to ip daddr map @private");
    chain = add(ruleset, "chain", "to_public",
                "type nat hook postrouting priority srcnat; policy accept");
    virga_ruleset_line(chain,
                       "oifname \"" VIRGA_UPLINK "\" snat ip to rt ip nexthop map @gateways");
    virga_ruleset_line(chain, "oifname \"" VIRGA_UPLINK "\" snat ip to ip saddr map @public");
}

/* The check of the uplink stands before "established": a guest that has lost its public address
 * loses its connections too, as in EC2.  So does one whose subnet has lost the route.  The next
 * hop tells by which route a packet goes, whatever the routing tables have become. */
static void
add_forward(VirgaRuleset *ruleset, bool acls, bool balancers, bool udp)
{
    static const char *const rules[] = {
        "ct state established,related accept",
        "ct state invalid drop",
        "ip daddr 169.254.0.0/16 drop",
        "iifname \"" VIRGA_UPLINK "\" ct status dnat goto deliver",
        "iifname \"" VIRGA_VXLAN "\" goto deliver",
        "iifname vmap @outbound",
    };
    VirgaRulesetPart *chain = add(ruleset, "chain", "leave", "");

    if (udp)
        virga_ruleset_line(chain, "ct mark " VIRGA_UDP_MARK " return");
    virga_ruleset_line(chain, "rt ip nexthop " VIRGA_INTERNET_HOP " ip saddr @translated return");
    virga_ruleset_line(chain, "ct status dnat drop"); /* came in by an address of its own */
    virga_ruleset_line(chain, "rt ip nexthop @gateways return");
    virga_ruleset_line(chain, "reject with icmp type net-unreachable");
    chain =
        add(ruleset, "chain", "forward", "type filter hook forward priority filter; policy drop");
    virga_ruleset_line(chain, "meta nfproto ipv6 drop");
    virga_ruleset_line(chain, "icmp type redirect drop");
    virga_ruleset_line(chain, "oifname \"" VIRGA_UPLINK "\" jump leave");
    if (acls) {
        virga_ruleset_line(chain, "iifname vmap @leaving");
        virga_ruleset_line(chain, "oifname \"" VIRGA_UPLINK "\" rt ip nexthop vmap @nat_leaving");
        virga_ruleset_line(chain,
                           "iifname \"" VIRGA_UPLINK "\" ct reply ip daddr vmap @nat_entering");
        virga_ruleset_line(chain, "oifname vmap @entering");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
        virga_ruleset_line(chain, "%s", rules[i]);
        if (i == 1 && udp) /* it has been asked about: udp-balancers.c */
            virga_ruleset_line(chain, "ct mark " VIRGA_UDP_MARK " accept");
    }
    chain = add(ruleset, "chain", "deliver", "");
    virga_ruleset_line(chain, "oifname { \"" VIRGA_UPLINK "\", \"" VIRGA_VXLAN "\" } accept");
    virga_ruleset_line(chain, "oifname vmap @inbound");
    if (balancers)
        virga_ruleset_line(chain, "ip daddr vmap @to_balancer");
    virga_ruleset_line(chain, "drop");
}

static void
add_input(VirgaRuleset *ruleset, const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
          bool balancers)
{
    bool acls = balancers && virga_policy_acls_of_nodes(config, plan);
    VirgaRulesetPart *chain =
        add(ruleset, "chain", "input", "type filter hook input priority filter; policy drop");
    g_autofree char *resolver = virga_kernel_resolver(plan);

    virga_ruleset_line(chain, "iifname \"lo\" accept");
    if (acls)
        virga_ruleset_line(chain, "ip daddr @to_balancer jump to_node");
    virga_ruleset_line(chain, "ct state established,related accept");
    if (balancers)
        virga_policy_balancer_hooks(ruleset, chain, acls);
    virga_ruleset_line(chain, "iifname != \"v%s*\" drop", config->tag);
    virga_ruleset_line(chain, "udp dport 67 accept");
    virga_ruleset_line(chain,
                       "ip daddr { %s, " VIRGA_RESOLVER_ADDRESS
                       " } meta l4proto { tcp, udp } th dport 53 %s",
                       resolver, plan->dns_support ? "accept" : "reject");
    virga_ruleset_line(chain, "ip daddr " VIRGA_METADATA_ADDRESS " tcp dport 80 accept");
    virga_ruleset_line(chain, "icmp type echo-request accept");
}

/* What ends in the namespace itself: balancers, and what else serves a port there. */
static bool
has_fronts(const VirgaVpcPlan *plan)
{
    bool any = plan->balancers->len > 0;

    for (guint i = 0; i < plan->ports->len && !any; i++)
        any = ((const VirgaVpcPort *) plan->ports->pdata[i])->front_port != 0;
    return any;
}

VirgaRuleset *
virga_policy_vpc(const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    VirgaRuleset *ruleset = virga_ruleset_new();
    g_autoptr(GHashTable) numbers = virga_routes_numbers(plan);
    bool balancers;
    Maps maps;

    add_maps(ruleset, &maps);
    add_arp(ruleset, config);
    if (config->underlay_address)
        add_tunnel(ruleset, config, plan, numbers);
    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];

        if (virga_kernel_is_local(config, port) && port->of_balancer && port->public_address &&
            virga_vpc_plan_has_gateway(plan))
            virga_ruleset_line(maps.to_private, "%s : %s", port->public_address, port->address);
        if (virga_kernel_has_tap(config, port))
            add_port(ruleset, &maps, config, plan, port, numbers);
    }
    for (guint i = 0; i < plan->nat_gateways->len && virga_vpc_plan_has_gateway(plan); i++) {
        const VirgaVpcNatGateway *gateway = plan->nat_gateways->pdata[i];

        if (g_strcmp0(gateway->host_id, config->host_id) == 0)
            virga_ruleset_line(maps.gateways, "%s : %s", gateway->address, gateway->public_address);
    }
    virga_policy_members(ruleset, config, plan);
    add_entrance(ruleset, config);
    add_translation(ruleset);
    virga_policy_groups(ruleset, config, plan);
    balancers = has_fronts(plan) && virga_policy_balancers(ruleset, config, plan);
    add_forward(ruleset, virga_policy_acls(ruleset, config, plan), balancers,
                virga_udp_wanted(config, plan));
    add_input(ruleset, config, plan, balancers);
    return ruleset;
}

char *
virga_policy_host(const VirgaKernelConfig *config)
{
    g_autofree char *pool = g_strjoinv(", ", config->public_cidrs);
    GString *text = g_string_new(NULL);
    const char *tag = config->tag;

    g_string_append_printf(text,
                           "add table inet virga_%s\ndelete table inet virga_%s\n"
                           "table inet virga_%s {\n",
                           tag, tag, tag);
    g_string_append_printf(text, "\tchain forward {\n"
                                 "\t\ttype filter hook forward priority filter; policy accept;\n");
    if (*pool)
        g_string_append_printf(text,
                               "\t\tiifname \"u%s*\" ip saddr != { %s } drop\n"
                               "\t\toifname \"u%s*\" ip daddr != { %s } drop\n",
                               tag, pool, tag, pool);
    else
        g_string_append_printf(text, "\t\tiifname \"u%s*\" drop\n\t\toifname \"u%s*\" drop\n", tag,
                               tag);
    g_string_append(text, "\t}\n");
    if (*pool && config->masquerade)
        g_string_append_printf(text,
                               "\tchain postrouting {\n"
                               "\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
                               "\t\tip saddr { %s } ip daddr != { %s } oifname != \"u%s*\" "
                               "masquerade\n"
                               "\t}\n",
                               pool, pool, tag);
    g_string_append(text, "}\n");
    return g_string_free(text, FALSE);
}
