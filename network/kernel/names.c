/* SPDX-License-Identifier: Apache-2.0 */
/* Names on the host are functions of ids, so that after any crash the world can be matched with
 * the wish. */
#include "kernel-priv.h"

#include "network/address.h"
#include "network/driver.h"

#include <string.h>

static const char *
last_digits(const char *id, size_t digits)
{
    size_t length = strlen(id);
    return length > digits ? id + length - digits : id;
}

char *
virga_kernel_namespace(const VirgaKernelConfig *config, const char *vpc_id)
{
    return g_strdup_printf("virga-%s-%s", config->tag, vpc_id);
}

char *
virga_kernel_veth(const VirgaKernelConfig *config, const char *vpc_id)
{
    return g_strdup_printf("u%s%s", config->tag, last_digits(vpc_id, VIRGA_TAP_SIZE - 1 - 4));
}

char *
virga_kernel_vxlan(const VirgaKernelConfig *config, const char *vpc_id)
{
    return g_strdup_printf("x%s%s", config->tag, last_digits(vpc_id, VIRGA_TAP_SIZE - 1 - 4));
}

/* The same as virga_network_tap_name(). */
char *
virga_kernel_tap(const VirgaKernelConfig *config, const char *port_id)
{
    return g_strdup_printf("v%s%s", config->tag, last_digits(port_id, VIRGA_TAP_SIZE - 1 - 4));
}

char *
virga_kernel_veth_mac(const char *vpc_id, bool inside)
{
    const char *d = last_digits(vpc_id, 8);
    return g_strdup_printf("fe:%s:%.2s:%.2s:%.2s:%.2s", inside ? "76" : "77", d, d + 2, d + 4,
                           d + 6);
}

char *
virga_kernel_vxlan_mac(const char *tunnel_address)
{
    guint32 a = 0;

    virga_ipv4_parse(tunnel_address, &a);
    return g_strdup_printf("fe:78:%02x:%02x:%02x:%02x", a >> 24, (a >> 16) & 255, (a >> 8) & 255,
                           a & 255);
}

char *
virga_kernel_target_mac(const char *private_address)
{
    guint32 a = 0;

    virga_ipv4_parse(private_address, &a);
    return g_strdup_printf("fe:79:%02x:%02x:%02x:%02x", a >> 24, (a >> 16) & 255, (a >> 8) & 255,
                           a & 255);
}

char *
virga_kernel_resolver(const VirgaVpcPlan *plan)
{
    guint32 base = 0;
    unsigned prefix;

    virga_cidr_parse(plan->cidrs[0], &base, &prefix);
    return virga_ipv4_text(base + 2);
}

bool
virga_kernel_is_local(const VirgaKernelConfig *config, const VirgaVpcPort *port)
{
    return g_strcmp0(port->host_id, config->host_id) == 0;
}

bool
virga_kernel_has_tap(const VirgaKernelConfig *config, const VirgaVpcPort *port)
{
    return virga_kernel_is_local(config, port) && !port->of_balancer;
}

/* In /run, since the path of a socket must be short. */
char *
virga_kernel_haproxy_socket(const VirgaKernelConfig *config, const char *vpc_id)
{
    return g_strdup_printf("/run/virga-%s-%s.haproxy", config->tag, vpc_id);
}
