/* SPDX-License-Identifier: Apache-2.0 */
/* dnsmasq's files.  The configuration changes only with the VPC's subnets; guests are in
 * tables that dnsmasq reads again on SIGHUP, so a launch never restarts it. */
#include "kernel-priv.h"

#include "network/address.h"

#include <string.h>

#define LEASE_SECONDS 3600 /* EC2's */
#define AMAZON_DNS    "AmazonProvidedDNS"

static void
append_subnet(GString *text, const VirgaVpcSubnet *subnet)
{
    g_autofree char *network = NULL, *gateway = NULL, *netmask = NULL;
    guint32 base = 0;
    unsigned prefix = 32;

    virga_cidr_parse(subnet->cidr, &base, &prefix);
    network = virga_ipv4_text(base);
    gateway = virga_ipv4_text(base + 1);
    netmask = virga_netmask_text(prefix);
    g_string_append_printf(text,
                           "dhcp-range=set:%s,%s,static,%s,%d\n"
                           "dhcp-option=tag:%s,option:router,%s\n",
                           subnet->id, network, netmask, LEASE_SECONDS, subnet->id, gateway);
}

/* MTUs that differ from the usual one come by tag. */
static void
append_mtus(GString *text, const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    g_autoptr(GHashTable) done = g_hash_table_new(NULL, NULL);

    g_string_append_printf(text, "dhcp-option=option:mtu,%" G_GINT64_FORMAT "\n", config->mtu);
    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];

        if (port->mtu && port->mtu != config->mtu && virga_kernel_has_tap(config, port) &&
            g_hash_table_add(done, GINT_TO_POINTER((int) port->mtu)))
            g_string_append_printf(text, "dhcp-option=tag:mtu%d,option:mtu,%d\n", (int) port->mtu,
                                   (int) port->mtu);
    }
}

static void
append_addresses(GString *text, const char *option, char **addresses)
{
    g_autofree char *list = addresses && addresses[0] ? g_strjoinv(",", addresses) : NULL;

    if (list)
        g_string_append_printf(text, "dhcp-option=option:%s,%s\n", option, list);
}

/* An option without a value is kept back; of one that is not named, dnsmasq would name itself. */
static void
append_servers(GString *text, const VirgaVpcPlan *plan, const char *resolver)
{
    static char *ours[] = { (char *) AMAZON_DNS, NULL };
    bool named = plan->dhcp_own || (plan->dhcp_dns && plan->dhcp_dns[0]);

    g_string_append(text, "dhcp-option=option:dns-server");
    for (char **server = named ? plan->dhcp_dns : ours; server && *server; server++) {
        if (!g_str_equal(*server, AMAZON_DNS))
            g_string_append_printf(text, ",%s", *server);
        else if (plan->dns_support)
            g_string_append_printf(text, ",%s", resolver);
    }
    g_string_append_c(text, '\n');
    append_addresses(text, "ntp-server", plan->dhcp_ntp);
    append_addresses(text, "netbios-ns", plan->dhcp_netbios);
    if (plan->dhcp_netbios_node)
        g_string_append_printf(text, "dhcp-option=option:netbios-nodetype,%" G_GINT64_FORMAT "\n",
                               plan->dhcp_netbios_node);
}

/* Several names are searched one after the other. */
static void
append_domain(GString *text, const VirgaVpcPlan *plan)
{
    const char *names = plan->dhcp_domain || plan->dhcp_own ? plan->dhcp_domain : plan->domain;
    g_autofree char *search = names ? g_strdelimit(g_strdup(names), " ", ',') : NULL;

    if (plan->dhcp_domain || plan->dhcp_own)
        g_string_append_printf(text, "dhcp-option=option:domain-name%s%s\n", names ? "," : "",
                               names ? names : "");
    if (search)
        g_string_append_printf(text, "dhcp-option=option:domain-search,%s\n", search);
}

char *
virga_dns_config(const VirgaKernelConfig *config, const VirgaVpcPlan *plan, const char *directory)
{
    GString *text = g_string_new("# Written by virga-node; changes here are lost.\n");
    g_autofree char *resolver = virga_kernel_resolver(plan);

    g_string_append_printf(text,
                           "pid-file=%s/dnsmasq.pid\n"
                           "except-interface=" VIRGA_UPLINK "\n"
                           "except-interface=" VIRGA_VXLAN "\n"
                           "no-resolv\nno-hosts\n"
                           "server=%s\n"
                           "domain=%s\nlocal=/%s/\n"
                           "domain-needed\nbogus-priv\nlocal-ttl=60\ncache-size=2000\n"
                           "addn-hosts=%s/hosts\nservers-file=%s/servers\n",
                           directory, config->gateway, plan->domain, plan->domain, directory,
                           directory);
    g_string_append_printf(text,
                           "dhcp-hostsfile=%s/dhcp-hosts\n"
                           "dhcp-authoritative\ndhcp-ignore-names\nno-ping\nleasefile-ro\n"
                           "dhcp-lease-max=65536\nquiet-dhcp\n%s",
                           directory, plan->dns_support ? "" : "port=0\n");
    append_servers(text, plan, resolver);
    append_domain(text, plan);
    append_mtus(text, config, plan);
    for (guint i = 0; i < plan->subnets->len; i++)
        append_subnet(text, plan->subnets->pdata[i]);
    return g_string_free(text, FALSE);
}

/* "ip-10-0-0-1", "ec2-192-0-2-1": an address as a name. */
static char *
name_of(const char *prefix, const char *address)
{
    g_autofree char *name = g_strconcat(prefix, "-", address, NULL);
    return g_strdelimit(g_steal_pointer(&name), ".", '-');
}

/* Caller owns it; NULL if the address has no public name. */
static char *
public_name_of(const VirgaVpcPlan *plan, const char *public_address)
{
    g_autofree char *name = NULL;

    if (!public_address || !plan->public_domain || !plan->dns_hostnames)
        return NULL;
    name = name_of("ec2", public_address);
    return g_strconcat(name, ".", plan->public_domain, NULL);
}

static void
append_public_server(GString *text, const VirgaVpcPlan *plan, const char *public_address)
{
    g_autofree char *name = public_name_of(plan, public_address);

    if (name)
        g_string_append_printf(text, "server=/%s/\n", name);
}

/* The first name of a line is the one that a reverse query answers.  Within a VPC a public name
 * leads to the private address. */
static void
append_host(GString *text, const VirgaVpcPlan *plan, const char *address, const char *hostname,
            const char *public_address)
{
    g_autofree char *name = name_of("ip", address);
    g_autofree char *public_name = public_name_of(plan, public_address);

    g_string_append_printf(text, "%s %s.%s %s", address, name, plan->domain, name);
    if (hostname && !g_str_equal(hostname, name))
        g_string_append_printf(text, " %s.%s %s", hostname, plan->domain, hostname);
    if (public_name)
        g_string_append_printf(text, " %s", public_name);
    g_string_append_c(text, '\n');
}

/* A balancer's name leads to all of its nodes, within the VPC by their private addresses. */
static void
append_balancers(GString *text, const VirgaVpcPlan *plan)
{
    for (guint i = 0; i < plan->balancers->len; i++) {
        const VirgaBalancer *balancer = plan->balancers->pdata[i];

        for (char **id = balancer->port_ids; balancer->dns_name && *id; id++)
            g_string_append_printf(text, "%s %s\n", virga_vpc_plan_port(plan, *id)->address,
                                   balancer->dns_name);
    }
    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];

        if (port->service_name)
            g_string_append_printf(text, "%s %s\n", port->address, port->service_name);
    }
}

char *
virga_dns_hosts(const VirgaVpcPlan *plan)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];

        append_host(text, plan, port->address, port->hostname, port->public_address);
        for (guint a = 0; a < port->secondary->len; a++) {
            const VirgaVpcAddress *secondary = port->secondary->pdata[a];
            append_host(text, plan, secondary->address, NULL, secondary->public_address);
        }
    }
    append_balancers(text, plan);
    return g_string_free(text, FALSE);
}

/* Of names in domains that are not the VPC's nobody else is asked either: not for other kinds of
 * addresses, for which the answer is that there are none. */
char *
virga_dns_servers(const VirgaVpcPlan *plan)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < plan->balancers->len; i++) {
        const VirgaBalancer *balancer = plan->balancers->pdata[i];

        if (balancer->dns_name)
            g_string_append_printf(text, "server=/%s/\n", balancer->dns_name);
    }
    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];

        if (port->service_name)
            g_string_append_printf(text, "server=/%s/\n", port->service_name);
    }
    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];

        append_public_server(text, plan, port->public_address);
        for (guint a = 0; a < port->secondary->len; a++)
            append_public_server(
                text, plan, ((const VirgaVpcAddress *) port->secondary->pdata[a])->public_address);
    }
    return g_string_free(text, FALSE);
}

char *
virga_dns_dhcp_hosts(const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];
        g_autofree char *name = name_of("ip", port->address);

        if (!virga_kernel_has_tap(config, port))
            continue;
        g_string_append(text, port->mac);
        if (port->mtu && port->mtu != config->mtu)
            g_string_append_printf(text, ",set:mtu%d", (int) port->mtu);
        g_string_append_printf(text, ",%s,%s,%d\n", port->address,
                               port->hostname ? port->hostname : name, LEASE_SECONDS);
    }
    return g_string_free(text, FALSE);
}

#define FORWARDER_PORT   5300
#define QUESTIONS_MAX    8192 /* of all VPCs at once; dnsmasq lets one have 150 */
#define RETRY_MS         1000
#define ANSWER_WITHIN_MS 4000 /* glibc asks again after 5 s */

/* It follows resolv.conf, also while virga-node is down, and asks the next resolver when one does
 * not answer; but when none does it says nothing at all. */
char *
virga_dns_forwarder(const VirgaKernelConfig *config, const char *directory)
{
    return g_strdup_printf("# Written by virga-node; changes here are lost.\n"
                           "pid-file=%s/dnsmasq.pid\n"
                           "listen-address=%s\nport=%d\nbind-interfaces\n"
                           "no-hosts\nresolv-file=%s\ncache-size=10000\n"
                           "dns-forward-max=%d\nfast-dns-retry=%d,%d\n",
                           directory, config->gateway, FORWARDER_PORT, config->resolv_conf,
                           QUESTIONS_MAX, RETRY_MS, ANSWER_WITHIN_MS);
}

/* It never forgets a question.  The forwarder is not punished for names that nobody answers for: no
 * guest can make another's questions fail.  Nothing is asked of anybody else. */
char *
virga_dns_recursor(const VirgaKernelConfig *config, const char *directory)
{
    g_autofree char *transit = virga_ipv4_text(config->transit_base);
    GString *text = g_string_new("# Written by virga-node; changes here are lost.\n");
    unsigned prefix = 32 - (unsigned) g_bit_storage(config->transit_last - config->transit_base);

    g_string_append_printf(text,
                           "daemon=yes\nsocket-dir=%s\nsetuid=%s\nsetgid=%s\n"
                           "local-address=%s\nallow-from=%s/%u\n"
                           "forward-zones-recurse=.=%s:%d\n"
                           "dont-query=\nhint-file=no\nsecurity-poll-suffix=\n",
                           directory, config->recursor_user, config->recursor_group,
                           config->gateway, transit, prefix, config->gateway, FORWARDER_PORT);
    g_string_append_printf(text,
                           "network-timeout=%d\nmax-total-msec=%d\nmax-mthreads=%d\n"
                           "server-down-max-fails=0\ndont-throttle-netmasks=%s/32\n"
                           "packetcache-servfail-ttl=1\n",
                           ANSWER_WITHIN_MS, ANSWER_WITHIN_MS + RETRY_MS, QUESTIONS_MAX,
                           config->gateway);
    g_string_append(text, "serve-rfc1918=no\nexport-etc-hosts=no\ndnssec=off\n"
                          "qname-minimization=no\nthreads=1\nquiet=yes\nloglevel=3\n");
    return g_string_free(text, FALSE);
}
