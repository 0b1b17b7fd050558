/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel driver: how network/kernel.h comes true.
 *
 * An apply looks first and acts on differences only.  Programs that it runs when nothing changed:
 * ip twice (one look at each end of the uplink), bridge if there is a tunnel, tc if a guest's
 * bandwidth is limited.  A new guest costs one nft more, and one ip if it has a public address;
 * tap_prepare none, tap_plug ip twice. */
#include "network/kernel.h"

#include "core/error.h"
#include "core/process.h"
#include "host-priv.h"
#include "network/address.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTEN_BACKLOG 64

typedef struct {
    GMutex lock; /* one call at a time */
    VirgaPolicyState policy;
    guint64 epoch;
    unsigned tunnel; /* index of the link that the filter's first chain is bound to */
    bool may_be_shaped;
    GHashTable *pairs;    /* translations that were valid last; NULL: unknown */
    VirgaUdpFlows *flows; /* of UDP listeners, as of the last apply; NULL: unknown */
    bool read_again;      /* dnsmasq may not have seen its tables yet */
} Vpc;

typedef struct {
    VirgaNetworkDriver base;
    VirgaKernelConfig config;
    VirgaKernelHost host;
    GRWLock in_use; /* read: a VPC needs the host's share; write: it is taken away.  Taken after
                     * a VPC's lock */
    GMutex lock;    /* of 'vpcs'; its values live as long as the driver */
    GHashTable *vpcs;
} Kernel;

/* One call's view of one VPC. */
typedef struct {
    Kernel *kernel;
    Vpc *vpc;
    const VirgaVpcPlan *plan; /* or NULL */
    char *namespace;
    char *directory;
    char *transit;
    GHashTable *moved; /* public addresses that mean something else now; NULL: none */
    VirgaDaemon dnsmasq;
    char *haproxy_directory, *haproxy_socket;
    VirgaHaproxyRun haproxy;
} Job;

static Vpc *
vpc_of(Kernel *kernel, const char *id)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&kernel->lock);
    Vpc *vpc = g_hash_table_lookup(kernel->vpcs, id);

    if (!vpc) {
        vpc = g_new0(Vpc, 1);
        g_mutex_init(&vpc->lock);
        vpc->read_again = vpc->may_be_shaped = true;
        vpc->epoch = 1;
        g_hash_table_replace(kernel->vpcs, g_strdup(id), vpc);
    }
    return vpc;
}

static void
vpc_free(Vpc *vpc)
{
    virga_policy_forget(&vpc->policy);
    g_clear_pointer(&vpc->pairs, g_hash_table_unref);
    g_clear_pointer(&vpc->flows, virga_udp_flows_free);
    g_mutex_clear(&vpc->lock);
    g_free(vpc);
}

/* Holds the VPC's lock until job_done(). */
static void
job_init(Job *job, Kernel *kernel, const char *vpc_id, const VirgaVpcPlan *plan)
{
    *job = (Job){ .kernel = kernel, .plan = plan, .vpc = vpc_of(kernel, vpc_id) };
    job->namespace = virga_kernel_namespace(&kernel->config, vpc_id);
    job->directory = g_build_filename(kernel->config.state_directory, vpc_id, NULL);
    job->dnsmasq =
        (VirgaDaemon){ kernel->config.dnsmasq_path, job->directory, VIRGA_DAEMON_DNSMASQ };
    job->haproxy_directory = g_build_filename(job->directory, "haproxy", NULL);
    job->haproxy_socket = virga_kernel_haproxy_socket(&kernel->config, vpc_id);
    job->haproxy = (VirgaHaproxyRun){ kernel->config.haproxy_path, job->haproxy_directory,
                                      job->haproxy_socket };
    g_mutex_lock(&job->vpc->lock);
}

static void
job_done(Job *job)
{
    g_mutex_unlock(&job->vpc->lock);
    g_free(job->namespace);
    g_free(job->directory);
    g_free(job->haproxy_directory);
    g_free(job->haproxy_socket);
    g_free(job->transit);
    g_clear_pointer(&job->moved, g_hash_table_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Job, job_done)

static bool
set_tap_sysctls(const char *tap, GError **error)
{
    g_autofree char *proxy = g_strdup_printf("ipv4/conf/%s/proxy_arp", tap);
    g_autofree char *filter = g_strdup_printf("ipv4/conf/%s/rp_filter", tap);
    g_autofree char *delay = g_strdup_printf("ipv4/neigh/%s/proxy_delay", tap);

    return virga_sysctl_set(proxy, "1", error) && virga_sysctl_set(filter, "0", error) &&
           virga_sysctl_set(delay, "0", error);
}

/* The filter binds sources to taps, so the kernel's own guess is switched off. */
static bool
set_namespace_sysctls(GError **error)
{
    static const char *const settings[][2] = {
        { "ipv4/ip_forward", "1" },
        { "ipv4/conf/all/rp_filter", "0" },
        { "ipv4/conf/default/rp_filter", "0" },
        { "ipv4/conf/" VIRGA_UPLINK "/rp_filter", "0" },
        { "ipv4/conf/all/send_redirects", "0" },
        { "ipv4/conf/default/send_redirects", "0" },
        { "ipv4/conf/all/accept_redirects", "0" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(settings); i++)
        if (!virga_sysctl_set(settings[i][0], settings[i][1], error))
            return false;
    return access("/proc/sys/net/ipv6", F_OK) != 0 ||
           (virga_sysctl_set("ipv6/conf/all/disable_ipv6", "1", error) &&
            virga_sysctl_set("ipv6/conf/default/disable_ipv6", "1", error));
}

static bool
apply_links(Job *job, GError **error)
{
    const char *argv[] = { "ip", "-j", "-batch", "-", NULL };
    const VirgaKernelConfig *config = &job->kernel->config;
    g_autoptr(GHashTable) present = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) is = NULL, want = NULL;
    g_autofree char *answer = NULL, *batch = NULL;

    if (!virga_process_run(argv,
                           "addr show\nroute show table all\nrule show\n"
                           "neigh show nud permanent\n",
                           VIRGA_SPAWN_TIMEOUT_MS, &answer, error))
        return false;
    is = virga_links_parse(answer, NULL, present, error);
    if (!is || !set_namespace_sysctls(error))
        return false;
    want = virga_links_vpc(config, job->plan, job->transit, present);
    batch = virga_links_diff(is, want);
    if (!virga_ip_batch(batch, error))
        return false;
    for (guint i = 0; i < job->plan->ports->len; i++) {
        const VirgaVpcPort *port = job->plan->ports->pdata[i];
        g_autofree char *tap = virga_kernel_tap(config, port->id);

        if (virga_kernel_is_local(config, port) && g_hash_table_contains(present, tap) &&
            !set_tap_sysctls(tap, error))
            return false;
    }
    return true;
}

static bool
apply_fdb(Job *job, GError **error)
{
    const char *argv[] = { "bridge", "-batch", "-", NULL };
    g_autofree char *text = virga_links_fdb(&job->kernel->config, job->plan);

    return !text || virga_process_run(argv, text, VIRGA_SPAWN_TIMEOUT_MS, NULL, error);
}

static bool
apply_dns(Job *job, GError **error)
{
    g_autofree char *config = virga_dns_config(&job->kernel->config, job->plan, job->directory);
    g_autofree char *hosts = virga_dns_hosts(job->plan);
    g_autofree char *servers = virga_dns_servers(job->plan);
    g_autofree char *dhcp = virga_dns_dhcp_hosts(&job->kernel->config, job->plan);

    g_mkdir_with_parents(job->directory, 0755);
    if (!virga_file_update(job->directory, "hosts", hosts, 0644, &job->vpc->read_again, error) ||
        !virga_file_update(job->directory, "servers", servers, 0644, &job->vpc->read_again,
                           error) ||
        !virga_file_update(job->directory, "dhcp-hosts", dhcp, 0644, &job->vpc->read_again,
                           error) ||
        !virga_daemon_ensure(&job->dnsmasq, config, job->vpc->read_again, error))
        return false;
    job->vpc->read_again = false;
    return true;
}

static bool
apply_balancers(Job *job, GError **error)
{
    g_autoptr(VirgaHaproxy) haproxy = virga_haproxy_new(
        &job->kernel->config, job->plan, job->haproxy_directory, job->haproxy_socket);

    return virga_haproxy_ensure(&job->haproxy, haproxy, error);
}

static bool
apply_shape(Job *job, GError **error)
{
    const char *look[] = { "tc", "-j", "qdisc", "show", NULL };
    const char *change[] = { "tc", "-batch", "-", NULL };
    const VirgaKernelConfig *config = &job->kernel->config;
    g_autofree char *answer = NULL, *batch = NULL;
    bool wanted = virga_shape_wanted(config, job->plan);

    if (!wanted && !job->vpc->may_be_shaped)
        return true;
    if (!virga_process_run(look, NULL, VIRGA_SPAWN_TIMEOUT_MS, &answer, error) ||
        !virga_shape_diff(config, job->plan, answer, &batch, error) ||
        (batch && !virga_process_run(change, batch, VIRGA_SPAWN_TIMEOUT_MS, NULL, error)))
        return false;
    job->vpc->may_be_shaped = wanted;
    return true;
}

/* After a start nothing is known, and all that is stale is looked for. */
static bool
apply_translation(Job *job, GError **error)
{
    g_autoptr(GHashTable) pairs = virga_translation_pairs(&job->kernel->config, job->plan);

    if (virga_translation_same(job->vpc->pairs, pairs))
        return true;
    if (!virga_conntrack_forget(virga_translation_is_stale, pairs, error))
        return false;
    job->moved = virga_translation_moved(job->vpc->pairs, pairs);
    g_clear_pointer(&job->vpc->pairs, g_hash_table_unref);
    job->vpc->pairs = g_steal_pointer(&pairs);
    return true;
}

/* Flows of a target that gets no more of them go to another one. */
static bool
apply_udp(Job *job, const GPtrArray *health, GError **error)
{
    VirgaUdpFlows *flows = virga_udp_flows_new(&job->kernel->config, job->plan, health);
    bool done = virga_udp_flows_stay(job->vpc->flows, flows) ||
                g_hash_table_size(flows->nodes) == 0 ||
                virga_conntrack_forget(virga_udp_is_stale, flows, error);

    virga_udp_flows_free(job->vpc->flows);
    job->vpc->flows = done ? flows : NULL;
    if (!done)
        virga_udp_flows_free(flows);
    return done;
}

/* Policy comes first: nothing is ever reachable that it does not allow. */
static bool
apply_inside(void *data, GError **error)
{
    Job *job = data;
    unsigned tunnel = if_nametoindex(VIRGA_VXLAN);
    VirgaRuleset *policy = virga_policy_vpc(&job->kernel->config, job->plan);
    g_autoptr(GPtrArray) health = virga_udp_wanted(&job->kernel->config, job->plan)
                                      ? virga_haproxy_health(&job->haproxy, NULL)
                                      : NULL;

    virga_policy_udp(policy, &job->kernel->config, job->plan, health);
    if (tunnel != job->vpc->tunnel) /* a chain went with the old one */
        virga_policy_forget(&job->vpc->policy);
    job->vpc->tunnel = tunnel;
    return virga_policy_apply_ruleset(&job->vpc->policy, policy, error) &&
           apply_translation(job, error) && apply_udp(job, health, error) &&
           apply_links(job, error) && apply_fdb(job, error) && apply_shape(job, error) &&
           apply_dns(job, error) && apply_balancers(job, error);
}

/* The host's own conntrack may have masqueraded them. */
static bool
forget_moved(Job *job, GError **error)
{
    return !job->moved || g_hash_table_size(job->moved) == 0 ||
           virga_conntrack_forget(virga_translation_is_moved, job->moved, error);
}

static bool
kernel_apply(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, guint64 *ret_epoch,
             GError **error)
{
    Kernel *kernel = (Kernel *) driver;
    g_auto(Job) job;
    g_autoptr(GRWLockReaderLocker) locker G_GNUC_UNUSED = NULL;
    bool is_new;

    job_init(&job, kernel, plan->id, plan);
    locker = g_rw_lock_reader_locker_new(&kernel->in_use);
    if (!virga_host_ensure(&kernel->host, error) ||
        !virga_host_ensure_namespace(&kernel->host, plan, &job.dnsmasq, &is_new, error))
        return false;
    if (is_new) {
        virga_policy_forget(&job.vpc->policy);
        job.vpc->epoch++;
    }
    *ret_epoch = job.vpc->epoch;
    return virga_host_converge(&kernel->host, plan, &job.transit, error) &&
           virga_netns_run(job.namespace, apply_inside, &job, error) && forget_moved(&job, error);
}

typedef struct {
    const char *tap;
    bool there, running;
} TapLook;

static bool
look_at_tap(void *data, GError **error)
{
    TapLook *look = data;

    look->there = if_nametoindex(look->tap) != 0;
    look->running = look->there && virga_tap_has_carrier(look->tap);
    return true;
}

static bool
delete_link_here(void *data, GError **error)
{
    const char *name = data;
    g_autofree char *text = g_strdup_printf("link del %s\n", name);

    return if_nametoindex(name) == 0 || virga_ip_batch(text, error);
}

static bool
kernel_tap_prepare(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, const VirgaVpcPort *port,
                   uid_t owner, GError **error)
{
    Kernel *kernel = (Kernel *) driver;
    g_autofree char *tap = virga_kernel_tap(&kernel->config, port->id);
    TapLook look = { tap, false, false };
    g_auto(Job) job;

    job_init(&job, kernel, plan->id, plan);
    if (virga_netns_exists(job.namespace) &&
        !virga_netns_run(job.namespace, look_at_tap, &look, error))
        return false;
    if (look.running)
        return true;
    if (look.there && !virga_netns_run(job.namespace, delete_link_here, tap, error))
        return false;
    return virga_tap_create(tap, owner, error);
}

typedef struct {
    Job *job;
    const VirgaVpcPort *port;
    const char *tap;
} Plug;

static bool
plug_inside(void *data, GError **error)
{
    const Plug *plug = data;
    g_autoptr(GPtrArray) want =
        virga_links_port(&plug->job->kernel->config, plug->job->plan, plug->port);
    g_autoptr(GPtrArray) is = g_ptr_array_new();
    g_autofree char *batch = virga_links_diff(is, want);

    return set_tap_sysctls(plug->tap, error) && virga_ip_batch(batch, error) &&
           (plug->port->bandwidth_bps == 0 || apply_shape(plug->job, error));
}

static bool
kernel_tap_plug(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, const VirgaVpcPort *port,
                GError **error)
{
    Kernel *kernel = (Kernel *) driver;
    g_autofree char *tap = virga_kernel_tap(&kernel->config, port->id);
    g_autofree char *move = NULL;
    TapLook look = { tap, false, false };
    g_auto(Job) job;
    Plug plug = { &job, port, tap };

    job_init(&job, kernel, plan->id, plan);
    if (!virga_netns_exists(job.namespace))
        return virga_fail(error, "vpc", VIRGA_ERROR_STATE, "vpc \"%s\" is not on this host",
                          plan->id);
    if (!virga_netns_run(job.namespace, look_at_tap, &look, error))
        return false;
    if (!look.there) {
        if (if_nametoindex(tap) == 0)
            return virga_fail(error, "network interface", VIRGA_ERROR_STATE,
                              "network interface \"%s\" has no tap on this host", port->id);
        move = g_strdup_printf("link set dev %s netns %s\n", tap, job.namespace);
    }
    return virga_ip_batch(move, error) && virga_netns_run(job.namespace, plug_inside, &plug, error);
}

static bool
kernel_tap_remove(VirgaNetworkDriver *driver, const char *vpc_id, const char *tap, GError **error)
{
    Kernel *kernel = (Kernel *) driver;
    g_autofree char *name = g_strdup(tap);

    if (vpc_id) {
        g_auto(Job) job;
        job_init(&job, kernel, vpc_id, NULL);
        if (virga_netns_exists(job.namespace) &&
            !virga_netns_run(job.namespace, delete_link_here, name, error))
            return false;
    }
    return delete_link_here(name, error);
}

/* All links but lo: a namespace that somebody's socket keeps alive shall hold nothing. */
static bool
delete_links_inside(void *data, GError **error)
{
    struct if_nameindex *links = if_nameindex();
    g_autoptr(GString) text = g_string_new(NULL);

    for (struct if_nameindex *link = links; link && link->if_index; link++)
        if (!g_str_equal(link->if_name, "lo"))
            g_string_append_printf(text, "link del %s\n", link->if_name);
    if_freenameindex(links);
    return virga_ip_batch(text->len ? text->str : NULL, error);
}

static bool
remove_namespace(Job *job, const char *vpc_id, GError **error)
{
    g_autofree char *veth = virga_kernel_veth(&job->kernel->config, vpc_id);
    g_autofree char *path = virga_netns_path(job->namespace);
    g_autofree char *text = g_strdup_printf("netns del %s\n", job->namespace);
    g_autofree char *vxlan = virga_kernel_vxlan(&job->kernel->config, vpc_id);
    bool there = virga_netns_exists(job->namespace);

    if (!virga_haproxy_ensure(&job->haproxy, NULL, error) ||
        !virga_daemon_remove(&job->dnsmasq, error) ||
        (there && !virga_netns_run(job->namespace, delete_links_inside, NULL, error)) ||
        !delete_link_here(veth, error) || !delete_link_here(vxlan, error) ||
        (there && !virga_ip_batch(text, error)))
        return false;
    unlink(path);
    virga_policy_forget(&job->vpc->policy);
    g_clear_pointer(&job->vpc->pairs, g_hash_table_unref);
    g_clear_pointer(&job->vpc->flows, virga_udp_flows_free);
    return true;
}

static bool
kernel_remove(VirgaNetworkDriver *driver, const char *vpc_id, GError **error)
{
    Kernel *kernel = (Kernel *) driver;
    g_autoptr(VirgaNetworkInventory) left = NULL;
    g_auto(Job) job;
    g_autoptr(GRWLockWriterLocker) locker G_GNUC_UNUSED = NULL;

    job_init(&job, kernel, vpc_id, NULL);
    if (!remove_namespace(&job, vpc_id, error))
        return false;
    job.vpc->read_again = true;
    locker = g_rw_lock_writer_locker_new(&kernel->in_use);
    left = virga_kernel_list(&kernel->config, error);
    if (!left)
        return false;
    return left->vpc_ids[0] || virga_host_clear(&kernel->host, error);
}

typedef struct {
    struct sockaddr_in address;
    int fd;
} Listen;

static bool
listen_inside(void *data, GError **error)
{
    Listen *want = data;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on) == 0 &&
        bind(fd, (struct sockaddr *) &want->address, sizeof want->address) == 0 &&
        listen(fd, LISTEN_BACKLOG) == 0) {
        want->fd = fd;
        return true;
    }
    virga_fail_errno(error, "vpc", errno, "could not listen on port %d",
                     ntohs(want->address.sin_port));
    if (fd >= 0)
        close(fd);
    return false;
}

static bool
kernel_listen(VirgaNetworkDriver *driver, const char *vpc_id, const char *address, guint16 port,
              int *ret_fd, GError **error)
{
    Listen want = { { .sin_family = AF_INET, .sin_port = htons(port) }, -1 };
    guint32 number = 0;
    g_auto(Job) job;

    job_init(&job, (Kernel *) driver, vpc_id, NULL);
    if (!virga_netns_exists(job.namespace))
        return virga_fail(error, "vpc", VIRGA_ERROR_STATE, "vpc \"%s\" is not on this host",
                          vpc_id);
    virga_ipv4_parse(address, &number);
    want.address.sin_addr.s_addr = htonl(number);
    if (!virga_netns_run(job.namespace, listen_inside, &want, error))
        return false;
    *ret_fd = want.fd;
    return true;
}

/* ---- questions ---- */

static VirgaNetworkInventory *
kernel_list(VirgaNetworkDriver *driver, GError **error)
{
    return virga_kernel_list(&((Kernel *) driver)->config, error);
}

static GStrv
kernel_answering(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, GError **error)
{
    return virga_kernel_answering(&((Kernel *) driver)->config, plan, error);
}

static GPtrArray *
kernel_counters(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, GError **error)
{
    return virga_kernel_counters(&((Kernel *) driver)->config, plan, error);
}

static GPtrArray *
kernel_health(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, GError **error)
{
    Kernel *kernel = (Kernel *) driver;
    g_autofree char *socket = virga_kernel_haproxy_socket(&kernel->config, plan->id);
    VirgaHaproxyRun run = { kernel->config.haproxy_path, NULL, socket };

    return virga_haproxy_health(&run, error);
}

static void
kernel_free(VirgaNetworkDriver *driver)
{
    Kernel *kernel = (Kernel *) driver;

    virga_kernel_config_clear(&kernel->config);
    virga_policy_forget(&kernel->host.policy);
    g_mutex_clear(&kernel->host.lock);
    g_hash_table_unref(kernel->vpcs);
    g_mutex_clear(&kernel->lock);
    g_rw_lock_clear(&kernel->in_use);
    virga_network_driver_done(driver);
    g_free(kernel);
}

VirgaNetworkDriver *
virga_network_kernel_new(const VirgaKernelSettings *settings, GError **error)
{
    Kernel *kernel = g_new0(Kernel, 1);

    if (!virga_kernel_config_read(&kernel->config, settings, error)) {
        g_free(kernel);
        return NULL;
    }
    virga_network_driver_init(&kernel->base, settings->tag, settings->host_id);
    kernel->base.name = "kernel";
    kernel->base.apply = kernel_apply;
    kernel->base.tap_prepare = kernel_tap_prepare;
    kernel->base.tap_plug = kernel_tap_plug;
    kernel->base.tap_remove = kernel_tap_remove;
    kernel->base.remove = kernel_remove;
    kernel->base.list = kernel_list;
    kernel->base.listen = kernel_listen;
    kernel->base.answering = kernel_answering;
    kernel->base.counters = kernel_counters;
    kernel->base.health = kernel_health;
    kernel->base.free = kernel_free;
    kernel->host.config = &kernel->config;
    g_mutex_init(&kernel->host.lock);
    g_mutex_init(&kernel->lock);
    g_rw_lock_init(&kernel->in_use);
    kernel->vpcs =
        g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify) vpc_free);
    return &kernel->base;
}
