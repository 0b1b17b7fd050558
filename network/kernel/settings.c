/* SPDX-License-Identifier: Apache-2.0 */
/* The driver's settings, checked and completed. */
#include "kernel-priv.h"

#include "core/error.h"
#include "network/address.h"
#include "network/kernel.h"

#include <net/if.h>
#include <pwd.h>
#include <string.h>

#define TRANSIT_CIDR        "169.254.0.0/17"
#define HAPROXY_THREADS_MAX 8 /* of one VPC */

static bool
check_settings(const VirgaKernelSettings *settings, GError **error)
{
    guint32 address;
    unsigned prefix;

    if (!settings->tag || strlen(settings->tag) != VIRGA_TAG_SIZE - 1 ||
        strspn(settings->tag, "abcdefghijklmnopqrstuvwxyz0123456789") != VIRGA_TAG_SIZE - 1)
        return virga_fail(error, "network", VIRGA_ERROR_INVALID,
                          "a cloud's tag is 3 letters or digits, not \"%s\"",
                          settings->tag ? settings->tag : "");
    if (!settings->host_id || !settings->state_directory || settings->state_directory[0] != '/' ||
        strpbrk(settings->state_directory, " \t\n,#"))
        return virga_fail(error, "network", VIRGA_ERROR_INVALID,
                          "the network needs a host id and an absolute state directory");
    if (settings->underlay_address && !virga_ipv4_parse(settings->underlay_address, &address))
        return virga_fail(error, "network", VIRGA_ERROR_INVALID, "\"%s\" is no address",
                          settings->underlay_address);
    if (settings->public_interface &&
        (!*settings->public_interface || strlen(settings->public_interface) >= IFNAMSIZ ||
         strpbrk(settings->public_interface, "/ \t\n")))
        return virga_fail(error, "network", VIRGA_ERROR_INVALID, "\"%s\" is no network card",
                          settings->public_interface);
    if (settings->transit_cidr &&
        (!virga_cidr_parse(settings->transit_cidr, &address, &prefix) || prefix < 8 || prefix > 28))
        return virga_fail(error, "network", VIRGA_ERROR_INVALID, "\"%s\" is no transit block",
                          settings->transit_cidr);
    for (const char *const *cidr = settings->public_cidrs; cidr && *cidr; cidr++)
        if (!virga_cidr_parse(*cidr, &address, &prefix))
            return virga_fail(error, "network", VIRGA_ERROR_INVALID,
                              "\"%s\" is no block of public addresses", *cidr);
    return true;
}

bool
virga_kernel_config_read(VirgaKernelConfig *config, const VirgaKernelSettings *settings,
                         GError **error)
{
    const char *transit = settings->transit_cidr ? settings->transit_cidr : TRANSIT_CIDR;
    const char *dnsmasq = settings->dnsmasq_path ? settings->dnsmasq_path : "dnsmasq";
    const char *recursor = settings->recursor_path ? settings->recursor_path : "pdns_recursor";
    const char *haproxy = settings->haproxy_path ? settings->haproxy_path : "haproxy";
    bool has_user = getpwnam("pdns") != NULL;
    const char *resolv = settings->resolv_conf ? settings->resolv_conf : "/etc/resolv.conf";
    unsigned prefix = 32;

    if (!check_settings(settings, error))
        return false;
    config->tag = g_strdup(settings->tag);
    config->host_id = g_strdup(settings->host_id);
    config->state_directory = g_strdup(settings->state_directory);
    config->dnsmasq_path = g_strdup(dnsmasq);
    config->recursor_path = g_strdup(recursor);
    config->recursor_user = g_strdup(has_user ? "pdns" : "nobody");
    config->recursor_group = g_strdup(has_user ? "pdns" : "nogroup");
    config->haproxy_path = g_strdup(haproxy);
    config->haproxy_user = getpwnam("haproxy") ? g_strdup("haproxy") : g_strdup("nobody");
    config->haproxy_threads = (int) MIN(g_get_num_processors(), HAPROXY_THREADS_MAX);
    config->resolv_conf = g_strdup(resolv);
    config->underlay_address = g_strdup(settings->underlay_address);
    config->public_interface = g_strdup(settings->public_interface);
    config->public_cidrs =
        settings->public_cidrs ? g_strdupv((GStrv) settings->public_cidrs) : g_new0(char *, 1);
    config->masquerade = !settings->no_masquerade;
    config->mtu = settings->mtu ? settings->mtu : settings->underlay_address ? 1450 : 1500;
    virga_cidr_parse(transit, &config->transit_base, &prefix);
    config->transit_last = virga_cidr_last(config->transit_base, prefix);
    config->gateway = virga_ipv4_text(config->transit_base + 1);
    return true;
}

void
virga_kernel_config_clear(VirgaKernelConfig *config)
{
    g_free(config->tag);
    g_free(config->host_id);
    g_free(config->state_directory);
    g_free(config->dnsmasq_path);
    g_free(config->recursor_path);
    g_free(config->recursor_user);
    g_free(config->recursor_group);
    g_free(config->haproxy_path);
    g_free(config->haproxy_user);
    g_free(config->resolv_conf);
    g_free(config->underlay_address);
    g_free(config->public_interface);
    g_free(config->gateway);
    g_strfreev(config->public_cidrs);
}
