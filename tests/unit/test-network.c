/* SPDX-License-Identifier: Apache-2.0 */
/* The plan, the fake driver and the texts of the kernel driver. */
#include "golden.h"
#include "kernel-priv.h"

#include "core/error.h"
#include "network/address.h"
#include "network/fake.h"

#include <stdlib.h>
#include <string.h>

#define VPC "vpc-0800000000000000a"

static VirgaVpcRule *
add_rule(VirgaVpcGroup *group, const char *direction, const char *protocol, int from, int to,
         const char *peer)
{
    VirgaVpcRule *rule = virga_vpc_group_add_rule(group, NULL);

    rule->direction = g_strdup(direction);
    rule->protocol = g_strdup(protocol);
    rule->from_port = from;
    rule->to_port = to;
    if (g_str_has_prefix(peer, "sg-"))
        rule->group_id = g_strdup(peer);
    else
        rule->cidr4 = g_strdup(peer);
    return rule;
}

static VirgaVpcPort *
add_port(VirgaVpcPlan *plan, const char *id, const char *mac, const char *address, const char *host)
{
    VirgaVpcPort *port = virga_vpc_plan_add_port(plan, id);

    port->subnet_id = g_strdup("subnet-08000000000000001");
    port->mac = g_strdup(mac);
    port->address = g_strdup(address);
    port->host_id = g_strdup(host);
    return port;
}

/* Every kind of rule and port once. */
static VirgaVpcPlan *
example(void)
{
    VirgaVpcPlan *plan = virga_vpc_plan_new(VPC);
    VirgaVpcSubnet *subnet = virga_vpc_plan_add_subnet(plan, "subnet-08000000000000001");
    VirgaVpcGroup *web = virga_vpc_plan_add_group(plan, "sg-08000000000000001");
    VirgaVpcGroup *odd = virga_vpc_plan_add_group(plan, "sg-08000000000000002");
    VirgaVpcPort *port;
    const char *cidrs[] = { "10.1.0.0/16", NULL };

    plan->generation = 3;
    plan->vni = 77;
    plan->domain = g_strdup("ec2.internal");
    plan->cidrs = g_strdupv((GStrv) cidrs);
    subnet->zone = g_strdup("us-east-1a");
    subnet->cidr = g_strdup("10.1.4.0/22");

    add_rule(web, "egress", "-1", -1, -1, "0.0.0.0/0");
    add_rule(web, "ingress", "tcp", 22, 22, "192.0.2.0/24");
    add_rule(web, "ingress", "tcp", 22, 22, "192.0.3.7/32");
    add_rule(web, "ingress", "tcp", 22, 22, "192.0.2.128/25"); /* within another */
    add_rule(web, "ingress", "tcp", 22, 22, "192.0.1.0/24");   /* touches another */
    add_rule(web, "ingress", "tcp", 22, 22, "sg-08000000000000002");
    add_rule(web, "ingress", "tcp", 443, 443, "0.0.0.0/0");
    add_rule(web, "ingress", "tcp", 443, 443, "10.0.0.0/8"); /* everybody already */
    add_rule(web, "ingress", "-1", -1, -1, "sg-08000000000000001");
    add_rule(odd, "ingress", "udp", 1000, 2000, "10.0.0.0/8");
    add_rule(odd, "ingress", "17", 0, 65535, "10.2.0.0/16");
    add_rule(odd, "ingress", "icmp", 8, 0, "0.0.0.0/0");
    add_rule(odd, "ingress", "icmp", 3, -1, "0.0.0.0/0");
    add_rule(odd, "ingress", "icmp", -1, -1, "10.0.0.0/8");
    add_rule(odd, "ingress", "50", -1, -1, "10.0.0.0/8");
    add_rule(odd, "ingress", "icmpv6", -1, -1, "10.0.0.0/8");        /* no IPv4 packet is */
    add_rule(odd, "ingress", "tcp", 1, 1, "sg-08000000000000003");   /* has no members */
    add_rule(odd, "ingress", "tcp", 80, 90, "sg-08000000000000003"); /* joins the above */
    add_rule(odd, "egress", "tcp", 443, 443, "sg-08000000000000001");

    port = add_port(plan, "eni-08000000000000001", "02:00:00:00:00:01", "10.1.4.5", "host-1");
    port->public_address = g_strdup("203.0.113.10");
    port->group_ids = g_strsplit("sg-08000000000000001 sg-08000000000000002", " ", 0);
    port = add_port(plan, "eni-08000000000000002", "02:00:00:00:00:02", "10.1.5.6", "host-1");
    port->group_ids = g_strsplit("sg-08000000000000002", " ", 0);
    port->source_dest_check = false;
    port->hostname = g_strdup("router");
    port->mtu = 9000;
    port = add_port(plan, "eni-08000000000000003", "02:00:00:00:00:03", "10.1.5.7", "host-2");
    port->host_address = g_strdup("198.51.100.2");
    port->public_address = g_strdup("203.0.113.11");
    port->group_ids = g_strsplit("sg-08000000000000001", " ", 0);
    return plan;
}

static void
add_entry(VirgaVpcAcl *acl, int number, bool egress, bool allow, const char *protocol, int from,
          int to, const char *cidr4)
{
    VirgaVpcAclEntry *entry = virga_vpc_acl_add_entry(acl, number, egress, allow);

    entry->protocol = g_strdup(protocol);
    entry->from_port = from;
    entry->to_port = to;
    entry->cidr4 = g_strdup(cidr4);
}

static void
add_nat_gateway(VirgaVpcPlan *plan, const char *id, const char *address, const char *public_address,
                const char *host, const char *host_address)
{
    VirgaVpcNatGateway *gateway = virga_vpc_plan_add_nat_gateway(plan, id);

    gateway->subnet_id = g_strdup("subnet-08000000000000001");
    gateway->address = g_strdup(address);
    gateway->public_address = g_strdup(public_address);
    gateway->host_id = g_strdup(host);
    gateway->host_address = g_strdup(host_address);
}

/* A public subnet with gateways, and a private one with everything that a route can lead to. */
static void
add_routes(VirgaVpcPlan *plan)
{
    VirgaVpcRouteTable *table = virga_vpc_plan_add_route_table(plan, "rtb-08000000000000001");

    table->is_main = true;
    virga_vpc_route_table_add(table, "10.1.0.0/16", "local", NULL);
    virga_vpc_route_table_add(table, "0.0.0.0/0", "internet-gateway", NULL);
    virga_vpc_route_table_add(table, "198.51.100.0/24", "blackhole", NULL);
    table = virga_vpc_plan_add_route_table(plan, "rtb-08000000000000002");
    table->subnet_ids = g_strsplit("subnet-08000000000000002", " ", 0);
    virga_vpc_route_table_add(table, "0.0.0.0/0", "nat-gateway", "nat-08000000000000001");
    virga_vpc_route_table_add(table, "192.0.2.0/24", "nat-gateway", "nat-08000000000000002");
    virga_vpc_route_table_add(table, "10.244.1.0/24", "interface", "eni-08000000000000002");
    virga_vpc_route_table_add(table, "10.244.2.0/24", "interface", "eni-08000000000000003");
    virga_vpc_route_table_add(table, "10.244.3.0/24", "interface", "eni-08000000000000009");
    virga_vpc_route_table_add(table, "10.3.0.0/16", "blackhole", NULL);
}

static void
add_acls(VirgaVpcPlan *plan)
{
    VirgaVpcAcl *acl = virga_vpc_plan_add_acl(plan, "acl-08000000000000001");

    acl->is_default = true;
    add_entry(acl, 100, true, true, "-1", -1, -1, "0.0.0.0/0");
    add_entry(acl, 100, false, true, "-1", -1, -1, "0.0.0.0/0");
    add_entry(acl, 200, false, false, "tcp", 22, 22, "0.0.0.0/0"); /* nothing comes so far */
    acl = virga_vpc_plan_add_acl(plan, "acl-08000000000000002");
    acl->subnet_ids = g_strsplit("subnet-08000000000000002", " ", 0);
    add_entry(acl, 200, false, true, "tcp", 1024, 65535, "0.0.0.0/0");
    add_entry(acl, 100, false, false, "6", 3389, 3389, "0.0.0.0/0");
    add_entry(acl, 300, false, true, "icmp", 8, -1, "10.1.0.0/16");
    add_entry(acl, 100, true, true, "-1", -1, -1, "0.0.0.0/0");
}

/* As above, with everything that a plan can say besides. */
static VirgaVpcPlan *
full_example(void)
{
    static const char *const dns[] = { "AmazonProvidedDNS", "10.1.8.53", NULL };
    VirgaVpcPlan *plan = example();
    VirgaVpcSubnet *subnet = virga_vpc_plan_add_subnet(plan, "subnet-08000000000000002");
    VirgaVpcPort *port = plan->ports->pdata[0];

    g_strfreev(plan->cidrs);
    plan->cidrs = g_strsplit("10.1.0.0/16 10.9.0.0/20", " ", 0);
    plan->has_internet_gateway = true;
    plan->public_domain = g_strdup("compute-1.example.org");
    plan->dhcp_domain = g_strdup("corp.example.org");
    plan->dhcp_dns = g_strdupv((GStrv) dns);
    plan->dhcp_own = true;
    plan->dhcp_ntp = g_strsplit("10.1.8.123", " ", 0);
    plan->dhcp_netbios = g_strsplit("10.1.8.137 10.1.8.138", " ", 0);
    plan->dhcp_netbios_node = 2;
    subnet->zone = g_strdup("us-east-1a");
    subnet->cidr = g_strdup("10.9.8.0/24");
    port->bandwidth_bps = 100000000;
    virga_vpc_port_add_address(port, "10.1.4.6")->public_address = g_strdup("203.0.113.12");
    virga_vpc_port_add_address(port, "10.1.4.7");
    port = add_port(plan, "eni-08000000000000004", "02:00:00:00:00:04", "10.9.8.5", "host-1");
    g_free(port->subnet_id);
    port->subnet_id = g_strdup("subnet-08000000000000002");
    port->device_index = 1;
    port->group_ids = g_strsplit("sg-08000000000000001", " ", 0);
    add_nat_gateway(plan, "nat-08000000000000001", "10.1.4.50", "203.0.113.50", "host-1", NULL);
    add_nat_gateway(plan, "nat-08000000000000002", "10.1.4.51", "203.0.113.51", "host-2",
                    "198.51.100.2");
    add_routes(plan);
    add_acls(plan);
    return plan;
}

static VirgaKernelConfig
example_config(void)
{
    static char *pool[] = { (char *) "203.0.113.0/24", (char *) "198.18.0.0/24", NULL };
    VirgaKernelConfig config = { .tag = (char *) "abc",
                                 .host_id = (char *) "host-1",
                                 .state_directory = (char *) "/state",
                                 .resolv_conf = (char *) "/etc/resolv.conf",
                                 .recursor_user = (char *) "pdns",
                                 .recursor_group = (char *) "pdns",
                                 .public_cidrs = pool,
                                 .masquerade = true,
                                 .mtu = 1500,
                                 .gateway = (char *) "169.254.0.1" };

    virga_ipv4_parse("169.254.0.0", &config.transit_base);
    virga_ipv4_parse("169.254.127.255", &config.transit_last);
    return config;
}

static void
test_address(void)
{
    guint32 base;
    unsigned prefix;

    g_assert_true(virga_cidr_parse("10.1.4.0/22", &base, &prefix));
    g_assert_cmphex(base, ==, 0x0a010400);
    g_assert_cmpuint(prefix, ==, 22);
    g_assert_cmphex(virga_cidr_last(base, prefix), ==, 0x0a0107ff);
    g_assert_true(virga_cidr_parse("0.0.0.0/0", &base, &prefix));
    g_assert_cmphex(virga_cidr_last(base, prefix), ==, 0xffffffff);
    g_assert_false(virga_cidr_parse("10.1.4.1/22", &base, &prefix));
    g_assert_false(virga_cidr_parse("10.1.4.0/33", &base, &prefix));
    g_assert_false(virga_cidr_parse("10.1.4.0/", &base, &prefix));
    g_assert_false(virga_cidr_parse("10.1.4.0", &base, &prefix));
    g_assert_false(virga_cidr_parse("10.1.4.0/2 2", &base, &prefix));
    g_assert_true(virga_mac_is("02:00:00:00:00:0f"));
    g_assert_false(virga_mac_is("01:00:00:00:00:0f"));
    g_assert_false(virga_mac_is("02:00:00:00:00:0F"));
    g_assert_false(virga_mac_is("02:00:00:00:00:0f\n"));
}

/* A plan's text reads back as the same text, and is the golden one. */
static void
assert_round_trip(const VirgaVpcPlan *plan, const char *golden)
{
    g_autoptr(VirgaVpcPlan) again = NULL;
    g_autoptr(GError) error = NULL;
    g_autofree char *text = virga_vpc_plan_to_text(plan);
    g_autofree char *second = NULL;

    again = virga_vpc_plan_from_text(text, &error);
    g_assert_no_error(error);
    second = virga_vpc_plan_to_text(again);
    g_assert_cmpstr(text, ==, second);
    golden_assert(golden, text);
}

static void
test_round_trip(void)
{
    g_autoptr(VirgaVpcPlan) plan = example();
    g_autoptr(VirgaVpcPlan) full = full_example();

    assert_round_trip(plan, "network/plan.json");
    assert_round_trip(full, "network/plan-full.json");
}

/* A plan of an older controller means what it always did. */
static void
test_old_plan(void)
{
    static const char text[] = "{\"id\":\"" VPC "\",\"generation\":1,\"cidrs\":[\"10.1.0.0/16\"],"
                               "\"domain\":\"ec2.internal\"}";
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaVpcPlan) plan = virga_vpc_plan_from_text(text, &error);

    g_assert_no_error(error);
    g_assert_true(virga_vpc_plan_has_gateway(plan));
    g_assert_true(plan->dns_support && plan->dns_hostnames);
    g_assert_null(virga_vpc_plan_table_of(plan, "subnet-08000000000000001"));
}

static void
test_find_route(void)
{
    static const struct {
        const char *cidr, *target;
    } cases[] = {
        { "8.8.8.0/24", "nat-08000000000000001" },    { "192.0.2.0/24", "nat-08000000000000002" },
        { "192.0.2.9/32", "nat-08000000000000002" },  { "192.0.0.0/16", "nat-08000000000000001" },
        { "10.244.1.7/32", "eni-08000000000000002" },
    };
    g_autoptr(VirgaVpcPlan) plan = full_example();
    const VirgaVpcRouteTable *table = virga_vpc_plan_table_of(plan, "subnet-08000000000000002");

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        guint32 base;
        unsigned prefix;

        g_assert_true(virga_cidr_parse(cases[i].cidr, &base, &prefix));
        g_assert_cmpstr(virga_vpc_route_table_find(table, base, prefix)->target_id, ==,
                        cases[i].target);
    }
    g_assert_true(virga_vpc_plan_table_of(plan, "subnet-08000000000000001")->is_main);
}

/* Whatever could mean something to nft, ip or dnsmasq is refused. */
static void
test_refusals(void)
{
    static const char *const cases[][2] = {
        { "\"" VPC "\"", "\"vpc-08\\n\"" },
        { "ec2.internal", "ec2 internal" },
        { "ec2.internal", "ec2.internal\\nserver=1.2.3.4" },
        { "10.1.0.0/16", "10.1.0.0/16 via" },
        { "10.1.4.5", "10.1.9.5" }, /* not in the subnet */
        { "02:00:00:00:00:01", "02:00:00:00:00:0g" },
        { "\"router\"", "\"a;b\"" },
        { "\"203.0.113.10\"", "\"203.0.113.10 drop\"" },
        { "eni-08000000000000001", "eni-0800000000000000/" },
        { "\"50\"", "\"50 accept\"" },
        { "\"egress\"", "\"outward\"" },
        { "192.0.3.7/32", "192.0.3.7/24" },
        { "sg-08000000000000003", "sg-x" },
        { "\"mtu\":9000", "\"mtu\":\"9000\"" },
        { "\"mtu\":9000", "\"mtu\":90" },
        { "\"vni\":77", "\"vni\":16777216" },
        { "\"group_ids\":[\"sg-08000000000000002\"]", "\"group_ids\":[\"sg-0800000000000000f\"]" },
        { "\"subnets\":[", "\"subnets\":[3," },
        { "corp.example.org", "corp.example.org,1.2.3.4" },
        { "AmazonProvidedDNS", "OtherDNS" },
        { "10.1.8.123", "ntp" },
        { "10.1.4.7", "10.1.4.6" }, /* taken */
        { "10.1.4.7", "10.9.8.7" }, /* another subnet's */
        { "203.0.113.12", "203.0.113.10" },
        { "100000000", "100" },
        { "nat-08000000000000001", "nat-x" },
        { "10.1.4.50", "10.1.4.5" },
        { "203.0.113.50", "" },
        { "\"is_main\":true", "\"is_main\":false" },
        { "internet-gateway", "egress-gateway" },
        { "10.3.0.0/16", "10.3.0.0/8" },
        { "10.3.0.0/16", "10.244.3.0/24" },
        { "\"target_id\":\"eni-08000000000000009\"", "\"target_id\":\"nat-08000000000000009\"" },
        { "\"subnet_ids\":[\"subnet-08000000000000002\"]", "\"subnet_ids\":[\"subnet-08000009\"]" },
        { "\"number\":300", "\"number\":200" },
        { "\"number\":300", "\"number\":0" },
        { "\"from_port\":3389", "\"from_port\":70000" },
        { "\"protocol\":\"6\"", "\"protocol\":\"6 accept\"" },
    };
    g_autoptr(VirgaVpcPlan) plan = full_example();
    g_autofree char *text = virga_vpc_plan_to_text(plan);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_auto(GStrv) parts = g_strsplit(text, cases[i][0], 2);
        g_autofree char *bad = g_strjoinv(cases[i][1], parts);
        g_autoptr(GError) error = NULL;

        g_assert_cmpint(g_strv_length(parts), ==, 2);
        g_assert_null(virga_vpc_plan_from_text(bad, &error));
        g_assert_true(virga_error_is(error, NULL, VIRGA_ERROR_INVALID));
    }
}

static void
test_policy(void)
{
    g_autoptr(VirgaVpcPlan) plan = example();
    VirgaKernelConfig config = example_config();
    g_autoptr(VirgaRuleset) ruleset = virga_policy_vpc(&config, plan);
    g_autofree char *vpc = virga_ruleset_text(ruleset);
    g_autofree char *host = virga_policy_host(&config);

    golden_assert("network/policy-vpc.nft", vpc);
    golden_assert("network/policy-host.nft", host);
}

static void
test_full_policy(void)
{
    g_autoptr(VirgaVpcPlan) plan = full_example();
    VirgaKernelConfig config = example_config();
    g_autoptr(VirgaRuleset) ruleset = NULL;
    g_autofree char *text = NULL;

    config.underlay_address = (char *) "198.51.100.1";
    ruleset = virga_policy_vpc(&config, plan);
    text = virga_ruleset_text(ruleset);
    golden_assert("network/policy-full.nft", text);
}

/* The ACL that every VPC begins with costs no packet anything. */
static void
test_open_acl(void)
{
    g_autoptr(VirgaVpcPlan) plan = full_example();
    VirgaKernelConfig config = example_config();
    g_autoptr(VirgaRuleset) ruleset = NULL;
    g_autofree char *text = NULL;
    VirgaVpcAcl *strict = plan->acls->pdata[1];

    g_clear_pointer(&strict->subnet_ids, g_strfreev);
    ruleset = virga_policy_vpc(&config, plan);
    text = virga_ruleset_text(ruleset);
    g_assert_null(strstr(text, "leaving"));
    g_assert_null(strstr(text, "acl_"));
}

/* A change costs what has changed; another head costs everything. */
static void
test_ruleset_diff(void)
{
    g_autoptr(VirgaVpcPlan) plan = full_example();
    VirgaKernelConfig config = example_config();
    g_autoptr(VirgaRuleset) old = virga_policy_vpc(&config, plan);
    g_autoptr(VirgaRuleset) same = virga_policy_vpc(&config, plan);
    g_autoptr(VirgaRuleset) new = NULL, other = NULL;
    g_autofree char *nothing = virga_ruleset_diff(old, same);
    g_autofree char *forward = NULL, *back = NULL;
    VirgaVpcPort *port;

    g_assert_cmpstr(nothing, ==, "");
    port = add_port(plan, "eni-08000000000000005", "02:00:00:00:00:05", "10.1.4.9", "host-1");
    port->group_ids = g_strsplit("sg-08000000000000001", " ", 0);
    add_rule(plan->groups->pdata[1], "ingress", "tcp", 8080, 8080, "0.0.0.0/0");
    port = plan->ports->pdata[0];
    g_free(port->public_address);
    port->public_address = g_strdup("203.0.113.99");
    new = virga_policy_vpc(&config, plan);
    forward = virga_ruleset_diff(old, new);
    back = virga_ruleset_diff(new, old);
    golden_assert("network/policy-forward.nft", forward);
    golden_assert("network/policy-back.nft", back);
    config.underlay_address = (char *) "198.51.100.1";
    other = virga_policy_vpc(&config, plan);
    g_assert_null(virga_ruleset_diff(new, other));
}

static void
test_dns(void)
{
    g_autoptr(VirgaVpcPlan) plan = example();
    VirgaKernelConfig config = example_config();
    g_autofree char *dnsmasq = virga_dns_config(&config, plan, "/state/" VPC);
    g_autofree char *hosts = virga_dns_hosts(plan);
    g_autofree char *dhcp = virga_dns_dhcp_hosts(&config, plan);
    g_autofree char *forwarder = virga_dns_forwarder(&config, "/state/forwarder");
    g_autofree char *recursor = virga_dns_recursor(&config, "/state/recursor");

    golden_assert("network/dnsmasq.conf", dnsmasq);
    golden_assert("network/hosts", hosts);
    golden_assert("network/dhcp-hosts", dhcp);
    golden_assert("network/forwarder.conf", forwarder);
    golden_assert("network/recursor.conf", recursor);
}

static void
test_full_dns(void)
{
    g_autoptr(VirgaVpcPlan) plan = full_example();
    VirgaKernelConfig config = example_config();
    g_autofree char *dnsmasq = virga_dns_config(&config, plan, "/state/" VPC);
    g_autofree char *hosts = virga_dns_hosts(plan);
    g_autofree char *servers = virga_dns_servers(plan);
    g_autofree char *off = NULL, *all = NULL, *nothing = NULL;

    plan->dns_support = false;
    off = virga_dns_config(&config, plan, "/state/" VPC);
    all = g_strconcat(dnsmasq, "-- without DNS\n", off, "-- hosts\n", hosts, "-- servers\n",
                      servers, NULL);
    golden_assert("network/dns-full", all);
    g_clear_pointer(&plan->dhcp_domain, g_free);
    g_clear_pointer(&plan->dhcp_dns, g_strfreev);
    nothing = virga_dns_config(&config, plan, "/state/" VPC);
    g_assert_nonnull(strstr(nothing, "\ndhcp-option=option:dns-server\n"));
    g_assert_nonnull(strstr(nothing, "\ndhcp-option=option:domain-name\n"));
    g_assert_null(strstr(nothing, "domain-search"));
}

static void
test_links(void)
{
    g_autoptr(VirgaVpcPlan) plan = example();
    VirgaKernelConfig config = example_config();
    g_autoptr(GHashTable) present = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    g_autoptr(GPtrArray) vpc = NULL, host = NULL;
    g_autofree char *inside = NULL, *outside = NULL, *nothing = NULL, *fdb = NULL;

    config.underlay_address = (char *) "198.51.100.1";
    config.mtu = 1450;
    g_hash_table_add(present, (char *) "vabc00000000001"); /* the other tap is not plugged yet */
    vpc = virga_links_vpc(&config, plan, "169.254.0.9", present);
    host = virga_links_host(&config, plan, "169.254.0.9");
    inside = virga_links_diff(none, vpc);
    outside = virga_links_diff(none, host);
    nothing = virga_links_diff(vpc, vpc);
    fdb = virga_links_fdb(&config, plan);
    golden_assert("network/links-vpc.ip", inside);
    golden_assert("network/links-host.ip", outside);
    golden_assert("network/links-vxlan.bridge", fdb);
    g_assert_null(nothing);
}

static void
test_full_links(void)
{
    g_autoptr(VirgaVpcPlan) plan = full_example();
    VirgaKernelConfig config = example_config();
    g_autoptr(GHashTable) present = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GPtrArray) none = g_ptr_array_new();
    g_autoptr(GPtrArray) vpc = NULL, port = NULL, host = NULL;
    g_autofree char *inside = NULL, *plug = NULL, *outside = NULL, *fdb = NULL, *both = NULL;

    config.underlay_address = (char *) "198.51.100.1";
    g_hash_table_add(present, (char *) "vabc00000000001");
    vpc = virga_links_vpc(&config, plan, "169.254.0.9", present);
    port = virga_links_port(&config, plan, plan->ports->pdata[1]); /* a router */
    host = virga_links_host(&config, plan, "169.254.0.9");
    inside = virga_links_diff(none, vpc);
    plug = virga_links_diff(none, port);
    outside = virga_links_diff(none, host);
    fdb = virga_links_fdb(&config, plan);
    both = g_strconcat(inside, "-- plug\n", plug, "-- host\n", outside, "-- bridge\n", fdb, NULL);
    golden_assert("network/links-full.ip", both);
}

/* A route gives way to another to the same place without a gap. */
static void
test_links_replace(void)
{
    g_autoptr(GPtrArray) is = g_ptr_array_new();
    g_autoptr(GPtrArray) want = g_ptr_array_new();
    g_autofree char *batch = NULL;

    g_ptr_array_add(is, (char *) "route blackhole default table 5");
    g_ptr_array_add(is, (char *) "route 10.0.0.1 dev vabc1");
    g_ptr_array_add(is, (char *) "route 10.0.0.2 dev vabc1");
    g_ptr_array_add(is, (char *) "rule pref 1000 fwmark 0x5 lookup 5");
    g_ptr_array_add(want, (char *) "route default via 10.0.0.9 dev up0 onlink table 5");
    g_ptr_array_add(want, (char *) "route default via 10.0.0.9 dev up0 onlink");
    g_ptr_array_add(want, (char *) "route 10.0.0.1 via 1.2.3.4 dev vx0 onlink");
    g_ptr_array_add(want, (char *) "rule pref 1000 fwmark 0x6 lookup 6");
    batch = virga_links_diff(is, want);
    g_assert_cmpstr(batch, ==,
                    "route del 10.0.0.2 dev vabc1\n"
                    "rule del pref 1000 fwmark 0x5 lookup 5\n"
                    "route replace default via 10.0.0.9 dev up0 onlink table 5\n"
                    "route replace default via 10.0.0.9 dev up0 onlink\n"
                    "route replace 10.0.0.1 via 1.2.3.4 dev vx0 onlink\n"
                    "rule add pref 1000 fwmark 0x6 lookup 6\n");
}

/* What ip answers becomes the lines that were wanted. */
static void
test_links_parse(void)
{
    static const char answer[] =
        "[{\"ifname\":\"lo\",\"flags\":[\"LOOPBACK\",\"UP\"],\"mtu\":65536,\"addr_info\":["
        "{\"family\":\"inet\",\"local\":\"127.0.0.1\",\"prefixlen\":8},"
        "{\"family\":\"inet\",\"local\":\"10.1.0.2\",\"prefixlen\":32}]},"
        "{\"ifname\":\"up0\",\"flags\":[\"BROADCAST\"],\"mtu\":1500,"
        "\"address\":\"fe:76:00:00:00:0a\",\"addr_info\":[]}]\n"
        "[{\"dst\":\"default\",\"gateway\":\"169.254.0.1\",\"dev\":\"up0\",\"flags\":[\"onlink\"]},"
        "{\"dst\":\"10.1.4.5\",\"dev\":\"vabc1\",\"scope\":\"link\",\"flags\":[\"linkdown\"]},"
        "{\"type\":\"unreachable\",\"dst\":\"10.1.0.0/16\",\"dev\":\"lo\",\"flags\":[]},"
        "{\"type\":\"throw\",\"dst\":\"10.1.0.0/16\",\"table\":\"77777\",\"flags\":[]},"
        "{\"type\":\"local\",\"dst\":\"10.1.0.2\",\"dev\":\"lo\",\"table\":\"local\",\"flags\":[]},"
        "{\"dst\":\"fe80::/64\",\"dev\":\"up0\",\"flags\":[]}]\n"
        "[{\"priority\":0,\"src\":\"all\",\"table\":\"local\"},"
        "{\"priority\":1000,\"src\":\"all\",\"fwmark\":\"0x12fd1\",\"table\":\"77777\"},"
        "{\"priority\":32766,\"src\":\"all\",\"table\":\"main\"}]\n"
        "[{\"dst\":\"169.254.0.1\",\"dev\":\"up0\",\"lladdr\":\"fe:77:00:00:00:0a\","
        "\"state\":[\"PERMANENT\"]},{\"dst\":\"10.1.4.5\",\"dev\":\"vabc1\",\"state\":[\"FAILED\"]}"
        "]\n";
    static const char *const want[] = {
        "link lo up",
        "addr 10.1.0.2/32 dev lo",
        "link up0 address fe:76:00:00:00:0a mtu 1500",
        "route default via 169.254.0.1 dev up0 onlink",
        "route 10.1.4.5 dev vabc1",
        "route unreachable 10.1.0.0/16",
        "route throw 10.1.0.0/16 table 77777",
        "rule pref 1000 fwmark 0x12fd1 lookup 77777",
        "rule pref 32766 lookup main",
        "neigh 169.254.0.1 lladdr fe:77:00:00:00:0a dev up0 nud permanent",
    };
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) lines = virga_links_parse(answer, NULL, NULL, &error);

    g_assert_no_error(error);
    g_assert_cmpint(lines->len, ==, G_N_ELEMENTS(want));
    for (guint i = 0; i < lines->len; i++)
        g_assert_cmpstr(lines->pdata[i], ==, want[i]);
    g_assert_null(virga_links_parse("Error: nonsense\n", NULL, NULL, &error));
}

static void
test_shape(void)
{
    static const struct {
        const char *answer, *want;
    } cases[] = {
        { "[{\"kind\":\"noqueue\",\"dev\":\"vabc00000000001\",\"root\":true,\"options\":{}}]",
          "qdisc replace dev vabc00000000001 root tbf rate 100000000bit burst 250000 latency "
          "50ms\n" },
        { "[{\"kind\":\"tbf\",\"dev\":\"vabc00000000001\",\"root\":true,"
          "\"options\":{\"rate\":12500000,\"burst\":250000,\"lat\":50000}}]",
          NULL },
        { "[{\"kind\":\"tbf\",\"dev\":\"vabc00000000001\",\"root\":true,\"options\":{\"rate\":5}}]",
          "qdisc replace dev vabc00000000001 root tbf rate 100000000bit burst 250000 latency "
          "50ms\n" },
        { "[{\"kind\":\"tbf\",\"dev\":\"vabc00000000002\",\"root\":true,\"options\":{\"rate\":5}}]",
          "qdisc del dev vabc00000000002 root\n" },
        { "[{\"kind\":\"tbf\",\"dev\":\"eth0\",\"root\":true,\"options\":{\"rate\":5}}]", NULL },
        { "[]", NULL },
    };
    g_autoptr(VirgaVpcPlan) plan = full_example();
    VirgaKernelConfig config = example_config();
    g_autoptr(GError) error = NULL;
    g_autofree char *none = NULL;

    g_assert_true(virga_shape_wanted(&config, plan));
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *batch = NULL;

        g_assert_true(virga_shape_diff(&config, plan, cases[i].answer, &batch, &error));
        g_assert_cmpstr(batch, ==, cases[i].want);
    }
    g_assert_false(virga_shape_diff(&config, plan, "Error: nonsense", &none, &error));
}

static void
test_counters(void)
{
    static const char text[] =
        "Inter-|   Receive                                                |  Transmit\n"
        " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs "
        "drop fifo colls carrier compressed\n"
        "    lo:     100       2    0    0    0     0          0         0      100       2    0   "
        " "
        "0    0     0       0          0\n"
        "vabc00000000001: 18446744073709551615 7 0 1 0 0 0 0 4242 9 0 0 0 0 0 0\n";
    g_autoptr(VirgaVpcPlan) plan = example();
    VirgaKernelConfig config = example_config();
    g_autoptr(GPtrArray) counters = virga_network_counters_new();
    const VirgaNetworkCounter *counter;

    virga_counters_read(&config, plan, text, counters);
    g_assert_cmpuint(counters->len, ==, 1);
    counter = counters->pdata[0];
    g_assert_cmpstr(counter->port_id, ==, "eni-08000000000000001");
    g_assert_cmpuint(counter->sent_bytes, ==, G_MAXUINT64);
    g_assert_cmpuint(counter->sent_packets, ==, 7);
    g_assert_cmpuint(counter->received_bytes, ==, 4242);
    g_assert_cmpuint(counter->received_packets, ==, 9);
}

static guint32
number(const char *address)
{
    guint32 value = 0;

    g_assert_true(virga_ipv4_parse(address, &value));
    return value;
}

/* Connections whose public address is another's now, or nobody's, are stale; others are not. */
static void
test_translation(void)
{
    static const struct {
        const char *source, *destination, *reply_source, *reply_destination;
        bool source_translated, destination_translated, stale;
    } cases[] = {
        { "10.1.4.5", "8.8.8.8", "8.8.8.8", "203.0.113.10", true, false, false },
        { "10.1.4.6", "8.8.8.8", "8.8.8.8", "203.0.113.12", true, false, false },
        { "10.1.4.6", "8.8.8.8", "8.8.8.8", "203.0.113.10", true, false, true },
        { "10.9.8.5", "8.8.8.8", "8.8.8.8", "203.0.113.50", true, false, false }, /* a gateway's */
        { "10.9.8.5", "8.8.8.8", "8.8.8.8", "203.0.113.51", true, false, true },  /* elsewhere */
        { "8.8.8.8", "203.0.113.10", "10.1.4.5", "8.8.8.8", false, true, false },
        { "8.8.8.8", "203.0.113.10", "10.1.4.9", "8.8.8.8", false, true, true },
        { "8.8.8.8", "203.0.113.50", "10.1.4.9", "8.8.8.8", false, true, true },
        { "8.8.8.8", "203.0.113.99", "10.1.4.5", "8.8.8.8", false, true, true },
        { "10.1.4.5", "10.9.8.5", "10.9.8.5", "10.1.4.5", false, false, false },
    };
    g_autoptr(VirgaVpcPlan) plan = full_example();
    VirgaKernelConfig config = example_config();
    g_autoptr(GHashTable) pairs = virga_translation_pairs(&config, plan);
    g_autoptr(GHashTable) none = NULL, moved = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        VirgaConnection connection = {
            number(cases[i].source),       number(cases[i].destination),
            number(cases[i].reply_source), number(cases[i].reply_destination),
            cases[i].source_translated,    cases[i].destination_translated,
        };
        g_assert_true(virga_translation_is_stale(&connection, pairs) == cases[i].stale);
    }
    plan->has_internet_gateway = false;
    none = virga_translation_pairs(&config, plan);
    g_assert_cmpuint(g_hash_table_size(none), ==, 0);
    g_assert_false(virga_translation_same(pairs, none));
    g_assert_true(virga_translation_same(none, none));
    moved = virga_translation_moved(pairs, none);
    g_assert_cmpuint(g_hash_table_size(moved), ==, 3);
}

static bool
launch(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, GError **error)
{
    const char *port = "eni-08000000000000001";

    return virga_network_apply(driver, plan, NULL, error) &&
           virga_network_tap_prepare(driver, plan, port, 0, error) &&
           virga_network_tap_plug(driver, plan, port, error);
}

/* Whichever call fails, the next pass finishes the job. */
static void
test_fake(void)
{
    g_autoptr(VirgaVpcPlan) plan = example();
    bool failed = true;

    for (unsigned call = 1; failed; call++) {
        g_autoptr(VirgaNetworkDriver) driver = virga_network_fake_new("abc", "host-1");
        g_autoptr(VirgaNetworkInventory) left = NULL;
        g_autoptr(GError) error = NULL;

        virga_network_fake_fail_at(driver, call);
        launch(driver, plan, NULL);
        failed = virga_network_fake_failed(driver);
        virga_network_fake_fail_at(driver, 0);
        g_assert_true(launch(driver, plan, &error));
        g_assert_no_error(error);
        g_assert_true(virga_network_fake_plugged(driver, VPC, "eni-08000000000000001"));
        g_assert_true(virga_network_remove(driver, VPC, &error));
        left = virga_network_list(driver, &error);
        g_assert_cmpint(left->taps->len, ==, 0);
        g_assert_null(left->vpc_ids[0]);
    }
}

static void
test_generic_checks(void)
{
    g_autoptr(VirgaVpcPlan) plan = example();
    g_autoptr(VirgaNetworkDriver) driver = virga_network_fake_new("abc", "host-1");
    g_autoptr(GError) error = NULL;

    g_assert_true(virga_network_apply(driver, plan, NULL, &error));
    plan->generation--;
    g_assert_false(virga_network_apply(driver, plan, NULL, &error));
    g_assert_true(virga_error_is(error, "vpc", VIRGA_ERROR_CONFLICT));
    g_clear_error(&error);
    g_assert_false(virga_network_tap_plug(driver, plan, "eni-08000000000000003", &error));
    g_assert_true(virga_error_is(error, "network interface", VIRGA_ERROR_NOT_FOUND));
    g_clear_error(&error);
    g_assert_false(virga_network_tap_remove(driver, VPC, "eth0", &error));
    g_assert_true(virga_error_is(error, "network interface", VIRGA_ERROR_INVALID));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/network/address", test_address);
    g_test_add_func("/network/plan/round-trip", test_round_trip);
    g_test_add_func("/network/plan/old", test_old_plan);
    g_test_add_func("/network/plan/find-route", test_find_route);
    g_test_add_func("/network/plan/refusals", test_refusals);
    g_test_add_func("/network/kernel/policy", test_policy);
    g_test_add_func("/network/kernel/full-policy", test_full_policy);
    g_test_add_func("/network/kernel/open-acl", test_open_acl);
    g_test_add_func("/network/kernel/ruleset-diff", test_ruleset_diff);
    g_test_add_func("/network/kernel/full-links", test_full_links);
    g_test_add_func("/network/kernel/links-replace", test_links_replace);
    g_test_add_func("/network/kernel/dns", test_dns);
    g_test_add_func("/network/kernel/full-dns", test_full_dns);
    g_test_add_func("/network/kernel/links", test_links);
    g_test_add_func("/network/kernel/links-parse", test_links_parse);
    g_test_add_func("/network/kernel/shape", test_shape);
    g_test_add_func("/network/kernel/counters", test_counters);
    g_test_add_func("/network/kernel/translation", test_translation);
    g_test_add_func("/network/fake", test_fake);
    g_test_add_func("/network/generic-checks", test_generic_checks);
    return g_test_run();
}
