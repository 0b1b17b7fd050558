/* SPDX-License-Identifier: Apache-2.0 */
#include "host-priv.h"

#include "core/error.h"
#include "core/process.h"
#include "network/address.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

/* Below the state directory. */
#define FORWARDER "forwarder"
#define RECURSOR  "recursor"

bool
virga_ip_batch(const char *text, GError **error)
{
    const char *argv[] = { "ip", "-batch", "-", NULL };
    return !text || virga_process_run(argv, text, VIRGA_SPAWN_TIMEOUT_MS, NULL, error);
}

static bool
run_nft(const char *text, GError **error)
{
    const char *argv[] = { "nft", "-f", "-", NULL };
    return virga_process_run(argv, text, VIRGA_SPAWN_TIMEOUT_MS, NULL, error);
}

/* Gives 'text' to nft here unless it is what the kernel has. */
static bool
apply_policy(VirgaPolicyState *state, const char *text, GError **error)
{
    g_autofree char *checksum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
    guint32 generation = virga_nft_generation();

    if (generation != 0 && generation == state->generation &&
        g_strcmp0(checksum, state->checksum) == 0)
        return true;
    virga_policy_forget(state);
    if (!run_nft(text, error))
        return false;
    state->checksum = g_steal_pointer(&checksum);
    state->generation = virga_nft_generation();
    return true;
}

bool
virga_policy_apply_ruleset(VirgaPolicyState *state, VirgaRuleset *ruleset, GError **error)
{
    guint32 generation = virga_nft_generation();
    g_autoptr(VirgaRuleset) new = ruleset;
    g_autofree char *text = NULL;

    if (state->ruleset && generation != 0 && generation == state->generation)
        text = virga_ruleset_diff(state->ruleset, new);
    if (!text || *text) {
        bool done = text && run_nft(text, NULL);

        if (!done) {
            g_autofree char *whole = virga_ruleset_text(new);

            virga_policy_forget(state);
            if (!run_nft(whole, error))
                return false;
        }
        state->generation = virga_nft_generation();
    }
    virga_ruleset_free(state->ruleset);
    state->ruleset = g_steal_pointer(&new);
    return true;
}

void
virga_policy_forget(VirgaPolicyState *state)
{
    g_clear_pointer(&state->ruleset, virga_ruleset_free);
    g_clear_pointer(&state->checksum, g_free);
    state->generation = 0;
}

/* Whether the gateway's address is on lo, and whether the host has any address of its own that a
 * guest could answer to. */
static void
look_at_addresses(const char *gateway, bool *ret_has_gateway, bool *ret_has_global)
{
    struct ifaddrs *all = NULL;
    guint32 wanted = 0;

    *ret_has_gateway = *ret_has_global = false;
    virga_ipv4_parse(gateway, &wanted);
    if (getifaddrs(&all) < 0)
        return;
    for (struct ifaddrs *each = all; each; each = each->ifa_next) {
        guint32 address;

        if (!each->ifa_addr || each->ifa_addr->sa_family != AF_INET)
            continue;
        address = ntohl(((struct sockaddr_in *) (void *) each->ifa_addr)->sin_addr.s_addr);
        if (address == wanted)
            *ret_has_gateway = true;
        else if (address >> 24 != 127 && address >> 16 != 0xa9fe)
            *ret_has_global = true;
    }
    freeifaddrs(all);
}

/* With scope "link" the host keeps using its real addresses towards guests.  One that has none
 * (a machine without a network) uses the gateway's. */
static bool
ensure_gateway(const VirgaKernelConfig *config, GError **error)
{
    g_autofree char *text = NULL;
    bool has_gateway, has_global;

    look_at_addresses(config->gateway, &has_gateway, &has_global);
    if (has_gateway)
        return true;
    text = g_strdup_printf("link set dev lo up\naddr replace %s/32 dev lo scope %s\n",
                           config->gateway, has_global ? "link" : "global");
    return virga_ip_batch(text, error);
}

static char *
forwarder_directory(const VirgaKernelConfig *config, const char *name)
{
    return g_build_filename(config->state_directory, name, NULL);
}

static bool
ensure_forwarders(const VirgaKernelConfig *config, GError **error)
{
    g_autofree char *directory = forwarder_directory(config, FORWARDER);
    g_autofree char *recursors = forwarder_directory(config, RECURSOR);
    g_autofree char *text = virga_dns_forwarder(config, directory);
    g_autofree char *recursor = virga_dns_recursor(config, recursors);
    VirgaDaemon first = { config->dnsmasq_path, directory, VIRGA_DAEMON_DNSMASQ };
    VirgaDaemon second = { config->recursor_path, recursors, VIRGA_DAEMON_RECURSOR };

    g_mkdir_with_parents(directory, 0755);
    g_mkdir_with_parents(recursors, 0755);
    return virga_daemon_ensure(&first, text, false, error) &&
           virga_daemon_ensure(&second, recursor, false, error);
}

bool
virga_host_ensure(VirgaKernelHost *host, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&host->lock);
    g_autofree char *policy = virga_policy_host(host->config);

    return virga_sysctl_set("ipv4/ip_forward", "1", error) &&
           apply_policy(&host->policy, policy, error) && ensure_gateway(host->config, error) &&
           ensure_forwarders(host->config, error);
}

bool
virga_host_clear(VirgaKernelHost *host, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&host->lock);
    const VirgaKernelConfig *config = host->config;
    g_autofree char *directory = forwarder_directory(config, FORWARDER);
    g_autofree char *recursors = forwarder_directory(config, RECURSOR);
    g_autofree char *address = g_strdup_printf("addr del %s/32 dev lo\n", config->gateway);
    g_autofree char *table = g_strdup_printf("add table inet virga_%s\n"
                                             "delete table inet virga_%s\n",
                                             config->tag, config->tag);
    VirgaDaemon first = { config->dnsmasq_path, directory, VIRGA_DAEMON_DNSMASQ };
    VirgaDaemon second = { config->recursor_path, recursors, VIRGA_DAEMON_RECURSOR };
    bool has_gateway, has_global;

    virga_policy_forget(&host->policy);
    look_at_addresses(config->gateway, &has_gateway, &has_global);
    return virga_daemon_remove(&second, error) && virga_daemon_remove(&first, error) &&
           virga_neighbours_converge(config, true, error) && run_nft(table, error) &&
           (!has_gateway || virga_ip_batch(address, error));
}

/* A namespace that lost its name lives on while its dnsmasq does: it gets its name back. */
static char *
naming_command(const char *namespace, const VirgaDaemon *dnsmasq, bool *ret_new)
{
    g_autofree char *path = virga_netns_path(namespace);
    pid_t pid = virga_daemon_pid(dnsmasq);

    unlink(path); /* a name without a namespace, after a reboot or a crash */
    *ret_new = pid == 0;
    if (pid)
        return g_strdup_printf("netns attach %s %d\n", namespace, (int) pid);
    return g_strdup_printf("netns add %s\n", namespace);
}

static bool
has_uplink(void *data, GError **error)
{
    *(bool *) data = if_nametoindex(VIRGA_UPLINK) != 0;
    return true;
}

static bool
has_vxlan(void *data, GError **error)
{
    *(bool *) data = if_nametoindex(VIRGA_VXLAN) != 0;
    return true;
}

/* Made in the host's namespace, so that it sends from there, and moved. */
static bool
ensure_vxlan(const VirgaKernelConfig *config, const VirgaVpcPlan *plan, const char *namespace,
             GError **error)
{
    g_autofree char *name = virga_kernel_vxlan(config, plan->id);
    g_autoptr(GString) text = g_string_new(NULL);
    bool there = false;

    if (!config->underlay_address)
        return true;
    if (!virga_netns_run(namespace, has_vxlan, &there, error))
        return false;
    if (there)
        return true;
    if (if_nametoindex(name) == 0)
        g_string_append_printf(text,
                               "link add %s type vxlan id %" G_GINT64_FORMAT
                               " local %s dstport 4789 nolearning\n",
                               name, plan->vni, config->underlay_address);
    g_string_append_printf(text, "link set dev %s netns %s name " VIRGA_VXLAN "\n", name,
                           namespace);
    return virga_ip_batch(text->str, error);
}

static bool
ensure_uplink(const char *veth, const char *namespace, GError **error)
{
    g_autofree char *sysctl = g_strdup_printf("ipv6/conf/%s/disable_ipv6", veth);
    g_autoptr(GString) text = g_string_new(NULL);
    bool inside = false;

    if (!virga_netns_run(namespace, has_uplink, &inside, error))
        return false;
    if (if_nametoindex(veth) != 0) {
        if (inside)
            return true;
        g_string_append_printf(text, "link del %s\n", veth); /* to a namespace that is gone */
    }
    g_string_append_printf(text, "link add %s type veth peer name " VIRGA_UPLINK " netns %s\n",
                           veth, namespace);
    if (!virga_ip_batch(text->str, error))
        return false;
    return access("/proc/sys/net/ipv6", F_OK) != 0 || virga_sysctl_set(sysctl, "1", error);
}

bool
virga_host_ensure_namespace(VirgaKernelHost *host, const VirgaVpcPlan *plan,
                            const VirgaDaemon *dnsmasq, bool *ret_new, GError **error)
{
    g_autofree char *namespace = virga_kernel_namespace(host->config, plan->id);
    g_autofree char *veth = virga_kernel_veth(host->config, plan->id);

    *ret_new = false;
    if (!virga_netns_exists(namespace)) {
        g_autofree char *command = naming_command(namespace, dnsmasq, ret_new);
        if (!virga_ip_batch(command, error))
            return false;
    }
    return ensure_uplink(veth, namespace, error) &&
           ensure_vxlan(host->config, plan, namespace, error);
}

static GPtrArray *
inspect_uplink(const char *veth, GError **error)
{
    const char *argv[] = { "ip", "-j", "-batch", "-", NULL };
    g_autofree char *ask = g_strdup_printf("addr show dev %s\nroute show dev %s\n"
                                           "neigh show dev %s nud permanent\n",
                                           veth, veth, veth);
    g_autofree char *answer = NULL;

    if (!virga_process_run(argv, ask, VIRGA_SPAWN_TIMEOUT_MS, &answer, error))
        return NULL;
    return virga_links_parse(answer, veth, NULL, error);
}

/* "route ADDRESS dev VETH" with an address of the transit is where the choice is kept. */
static char *
transit_of(const VirgaKernelConfig *config, GPtrArray *lines)
{
    for (guint i = 0; i < lines->len; i++) {
        g_auto(GStrv) words = g_strsplit(lines->pdata[i], " ", 0);
        guint32 address;

        if (g_strv_length(words) == 4 && g_str_equal(words[0], "route") &&
            virga_ipv4_parse(words[1], &address) && address > config->transit_base &&
            address <= config->transit_last)
            return g_strdup(words[1]);
    }
    return NULL;
}

/* The first address of the transit that the host has no route to. */
static char *
choose_transit(const VirgaKernelConfig *config, GError **error)
{
    const char *argv[] = { "ip", "-j", "-batch", "-", NULL };
    g_autoptr(GHashTable) taken = g_hash_table_new(NULL, NULL);
    g_autoptr(GPtrArray) lines = NULL;
    g_autofree char *answer = NULL;

    if (!virga_process_run(argv, "route show\n", VIRGA_SPAWN_TIMEOUT_MS, &answer, error))
        return NULL;
    lines = virga_links_parse(answer, NULL, NULL, error);
    for (guint i = 0; lines && i < lines->len; i++) {
        g_auto(GStrv) words = g_strsplit(lines->pdata[i], " ", 3);
        guint32 address;

        if (words[0] && words[1] && virga_ipv4_parse(words[1], &address))
            g_hash_table_add(taken, GUINT_TO_POINTER(address));
    }
    for (guint32 a = config->transit_base + 2; lines && a < config->transit_last; a++)
        if (!g_hash_table_contains(taken, GUINT_TO_POINTER(a)))
            return virga_ipv4_text(a);
    if (lines)
        virga_fail(error, "vpc", VIRGA_ERROR_CAPACITY, "the host has no free transit address");
    return NULL;
}

bool
virga_host_converge(VirgaKernelHost *host, const VirgaVpcPlan *plan, char **ret_transit,
                    GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = NULL; /* of what VPCs have in common */
    g_autofree char *veth = virga_kernel_veth(host->config, plan->id);
    g_autoptr(GPtrArray) is = inspect_uplink(veth, error);
    g_autoptr(GPtrArray) want = NULL;
    g_autofree char *transit = NULL, *batch = NULL;

    if (!is)
        return false;
    transit = transit_of(host->config, is);
    if (!transit) {
        locker = g_mutex_locker_new(&host->lock);
        transit = choose_transit(host->config, error);
        if (!transit)
            return false;
    }
    want = virga_links_host(host->config, plan, transit);
    batch = virga_links_diff(is, want);
    if (!virga_ip_batch(batch, error))
        return false;
    if (host->config->public_interface && !locker)
        locker = g_mutex_locker_new(&host->lock);
    if (!virga_neighbours_converge(host->config, false, error))
        return false;
    *ret_transit = g_steal_pointer(&transit);
    return true;
}
