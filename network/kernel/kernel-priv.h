/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the kernel driver.  Texts (policy, links, dnsmasq) are pure functions of the plan and
 * the settings, golden-tested; netns.c, daemon.c and kernel.c touch the machine. */
#pragma once

#include "network/driver.h"
#include "network/kernel.h"
#include "network/plan.h"
#include "ruleset.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#define VIRGA_UPLINK              "up0" /* the namespace's end of the veth pair */
#define VIRGA_VXLAN               "vx0"
#define VIRGA_METADATA_ADDRESS    "169.254.169.254"
#define VIRGA_RESOLVER_ADDRESS    "169.254.169.253"
#define VIRGA_INTERNET_HOP        "169.254.169.252" /* next hop of routes to the internet gateway */
#define VIRGA_POLICY_TABLE        "inet virga"
#define VIRGA_POLICY_ARP_TABLE    "arp virga"
#define VIRGA_POLICY_TUNNEL_TABLE "netdev virga"
#define VIRGA_SPAWN_TIMEOUT_MS    10000

/* The driver's settings, checked and copied. */
typedef struct {
    char *tag, *host_id, *state_directory, *resolv_conf;
    char *dnsmasq_path, *recursor_path, *haproxy_path;
    char *haproxy_user; /* NULL: root stays root */
    char *recursor_user, *recursor_group;
    int haproxy_threads;    /* 0: as many as there are processors */
    char *underlay_address; /* or NULL */
    char *public_interface; /* or NULL */
    char **public_cidrs;    /* never NULL */
    bool masquerade;
    gint64 mtu;
    guint32 transit_base, transit_last;
    char *gateway; /* the first address of the transit */
} VirgaKernelConfig;

/* settings.c: false, and nothing to clear, with INVALID. */
bool virga_kernel_config_read(VirgaKernelConfig *config, const VirgaKernelSettings *settings,
                              GError **error);
void virga_kernel_config_clear(VirgaKernelConfig *config);

/* questions.c: the driver's callbacks (network/driver.h) that change nothing. */
VirgaNetworkInventory *virga_kernel_list(const VirgaKernelConfig *config, GError **error);
GStrv virga_kernel_answering(const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
                             GError **error);
GPtrArray *virga_kernel_counters(const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
                                 GError **error);

/* names.c: all names that the host sees.  The caller owns them. */
char *virga_kernel_namespace(const VirgaKernelConfig *config, const char *vpc_id);
char *virga_kernel_veth(const VirgaKernelConfig *config, const char *vpc_id);
char *virga_kernel_vxlan(const VirgaKernelConfig *config, const char *vpc_id); /* until moved */
char *virga_kernel_tap(const VirgaKernelConfig *config, const char *port_id);
char *virga_kernel_veth_mac(const char *vpc_id, bool inside);
char *virga_kernel_vxlan_mac(const char *tunnel_address);
char *virga_kernel_target_mac(const char *private_address); /* of a route's target, in the tunnel */
char *virga_kernel_resolver(const VirgaVpcPlan *plan);      /* its address: VPC+2 */
bool virga_kernel_is_local(const VirgaKernelConfig *config, const VirgaVpcPort *port);
/* Local, and with a tap behind which there is a guest. */
bool virga_kernel_has_tap(const VirgaKernelConfig *config, const VirgaVpcPort *port);
char *virga_kernel_haproxy_socket(const VirgaKernelConfig *config, const char *vpc_id);

/* policy.c: the tables of a VPC's namespace; the caller owns them.  And those of the host's, as
 * input of "nft -f -". */
VirgaRuleset *virga_policy_vpc(const VirgaKernelConfig *config, const VirgaVpcPlan *plan);
char *virga_policy_host(const VirgaKernelConfig *config);

/* groups.c, acl.c: parts of the above. */
void virga_policy_members(VirgaRuleset *ruleset, const VirgaKernelConfig *config,
                          const VirgaVpcPlan *plan);
void virga_policy_groups(VirgaRuleset *ruleset, const VirgaKernelConfig *config,
                         const VirgaVpcPlan *plan);
/* False if no ACL may deny anything here: then nothing is added, and no packet need ask. */
bool virga_policy_acls(VirgaRuleset *ruleset, const VirgaKernelConfig *config,
                       const VirgaVpcPlan *plan);
/* Whether the chains "to_node" and "from_node" are there: what ends or begins at a balancer's node
 * is asked about by them. */
bool virga_policy_acls_of_nodes(const VirgaKernelConfig *config, const VirgaVpcPlan *plan);
/* balancers.c: maps and chains of this host's nodes; false if there is none.  Then what leads to
 * them, called while 'input' has what it has for established connections and no more. */
bool virga_policy_balancers(VirgaRuleset *ruleset, const VirgaKernelConfig *config,
                            const VirgaVpcPlan *plan);
void virga_policy_balancer_hooks(VirgaRuleset *ruleset, VirgaRulesetPart *input, bool acls);
/* "tcp dport 22"; "" matches everything, NULL no IPv4 packet.  The caller owns it. */
char *virga_policy_match(const char *protocol, gint64 from, gint64 to);
/* "sg-0abc" as an identifier of nft; the caller owns it. */
char *virga_policy_identifier(const char *id);

/* routes.c.  A table's number is its mark, too; all are loans of the plan. */
typedef struct {
    const char *id, *address;
    const char *host_address;          /* or NULL */
    const VirgaVpcNatGateway *gateway; /* this or the next */
    const VirgaVpcPort *port;
} VirgaRouteTarget;

/* Ids of route tables and targets -> numbers; follows from the plan. */
GHashTable *virga_routes_numbers(const VirgaVpcPlan *plan);
guint32 virga_routes_number(GHashTable *numbers, const char *id);
guint32 virga_routes_table(const VirgaVpcPlan *plan, GHashTable *numbers, const char *subnet_id);
/* Targets of routes on this host, and those that the tunnel leads to (of VirgaRouteTarget). */
GPtrArray *virga_routes_targets(const VirgaKernelConfig *config, const VirgaVpcPlan *plan);
GPtrArray *virga_routes_remote_targets(const VirgaKernelConfig *config, const VirgaVpcPlan *plan);
/* Appends the routes and rules of all tables that this host needs, as lines (see below); with
 * 'only' the routes that lead to that one interface. */
void virga_routes_add(GPtrArray *lines, const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
                      GHashTable *present, const char *only);

/* links.c: the state of one namespace as lines, each the arguments of an ip command without its
 * verb: "addr 10.0.1.1/32 dev vabc…", "route 10.0.1.5 dev vabc…".  What is wanted and what is
 * there are the same text, so that the difference is a list of commands. */
GPtrArray *virga_links_vpc(const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
                           const char *transit, GHashTable *present);
GPtrArray *virga_links_port(const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
                            const VirgaVpcPort *port);
GPtrArray *virga_links_host(const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
                            const char *transit);
/* Lines of what "ip -j -batch" answered to addr, route, rule and neigh show.  'device' is the one
 * that the answer is limited to, or NULL.  'ret_present' (may be NULL) gets the names of links. */
GPtrArray *virga_links_parse(const char *output, const char *device, GHashTable *ret_present,
                             GError **error);
/* The addresses in what "ip -j neigh show" answered that have told their MAC and were not found
 * silent since.  NULL-terminated, the caller's. */
GStrv virga_links_answering(const char *output, GError **error);
/* Input of "ip -batch" that turns 'is' into 'want', or NULL if nothing is to be done. */
char *virga_links_diff(GPtrArray *is, GPtrArray *want);
/* Input of "bridge -batch" for the VXLAN device's static table, or NULL. */
char *virga_links_fdb(const VirgaKernelConfig *config, const VirgaVpcPlan *plan);

/* shape.c: whether anything is limited, and input of "tc -batch" that turns what "tc -j qdisc
 * show" answered into the plan (NULL: nothing is to be done). */
bool virga_shape_wanted(const VirgaKernelConfig *config, const VirgaVpcPlan *plan);
bool virga_shape_diff(const VirgaKernelConfig *config, const VirgaVpcPlan *plan, const char *answer,
                      char **ret_batch, GError **error);

/* counters.c: appends the counters of local ports (VirgaNetworkCounter) that the text of
 * /proc/net/dev has. */
void virga_counters_read(const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
                         const char *text, GPtrArray *counters);

/* conntrack.c: what conntrack knows of a connection, in the calling thread's namespace. */
typedef struct {
    guint32 source, destination;             /* as it began */
    guint32 reply_source, reply_destination; /* as it is answered */
    bool source_translated, destination_translated;
} VirgaConnection;
typedef bool (*VirgaConntrackFunc)(const VirgaConnection *connection, void *data);
/* Forgets the IPv4 connections that 'is_stale' names. */
bool virga_conntrack_forget(VirgaConntrackFunc is_stale, void *data, GError **error);

/* translation.c: public address -> private address (0: a NAT gateway's), as numbers. */
#define VIRGA_ANY_ADDRESS "0.0.0.0"
GHashTable *virga_translation_pairs(const VirgaKernelConfig *config, const VirgaVpcPlan *plan);
bool virga_translation_same(GHashTable *a, GHashTable *b);
/* A VirgaConntrackFunc with such pairs. */
bool virga_translation_is_stale(const VirgaConnection *connection, void *pairs);
/* Public addresses that were somebody's and now are another's, or nobody's; 'old' may be NULL.  The
 * next function is one with such a set. */
GHashTable *virga_translation_moved(GHashTable *old, GHashTable *new);
bool virga_translation_is_moved(const VirgaConnection *connection, void *moved);

/* dns.c: files of dnsmasq. */
char *virga_dns_config(const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
                       const char *directory);
char *virga_dns_hosts(const VirgaVpcPlan *plan);
char *virga_dns_servers(const VirgaVpcPlan *plan);
char *virga_dns_dhcp_hosts(const VirgaKernelConfig *config, const VirgaVpcPlan *plan);
/* The host's two forwarders.  The first waits for the resolvers of resolv.conf, the second one,
 * which guests are sent to, waits for the first and answers SERVFAIL when that took too long. */
char *virga_dns_forwarder(const VirgaKernelConfig *config, const char *directory);
char *virga_dns_recursor(const VirgaKernelConfig *config, const char *directory);

/* netns.c.  Functions that say "here" act on the calling thread's namespace. */
typedef bool (*VirgaNetnsFunc)(void *data, GError **error);
/* Runs 'func' in a thread of its own that has entered the namespace; no other thread moves, and
 * programs that 'func' runs are in the namespace too. */
bool virga_netns_run(const char *name, VirgaNetnsFunc func, void *data, GError **error);
bool virga_netns_exists(const char *name);
char *virga_netns_path(const char *name);
/* Writes /proc/sys/net/'path' here unless it has the value. */
bool virga_sysctl_set(const char *path, const char *value, GError **error);
/* The number of the last change to nftables here; 0 if it cannot be read. */
guint32 virga_nft_generation(void);
bool virga_tap_create(const char *name, uid_t owner, GError **error);
/* True if a process has the tap open (or the veth's peer is up). */
bool virga_tap_has_carrier(const char *name);

/* udp-balancers.c: UDP listeners of this host's nodes; 'health' is of VirgaTargetHealth, NULL while
 * nobody has said. */
#define VIRGA_UDP_MARK "0x75" /* of conntrack: a flow of a UDP listener */
bool virga_udp_wanted(const VirgaKernelConfig *config, const VirgaVpcPlan *plan);
void virga_policy_udp(VirgaRuleset *ruleset, const VirgaKernelConfig *config,
                      const VirgaVpcPlan *plan, const GPtrArray *health);
/* Addresses of nodes and of the targets that get datagrams, as numbers. */
typedef struct {
    GHashTable *nodes, *targets;
} VirgaUdpFlows;
VirgaUdpFlows *virga_udp_flows_new(const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
                                   const GPtrArray *health);
void virga_udp_flows_free(VirgaUdpFlows *flows);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaUdpFlows, virga_udp_flows_free)
/* True if no target of 'old' (NULL: unknown) has lost its part. */
bool virga_udp_flows_stay(const VirgaUdpFlows *old, const VirgaUdpFlows *new);
/* A VirgaConntrackFunc with a VirgaUdpFlows. */
bool virga_udp_is_stale(const VirgaConnection *connection, void *flows);

/* haproxy.c: its files; the caller owns the result.  NULL: no balancer is here. */
typedef struct {
    char *name, *text;
} VirgaHaproxyFile;
typedef struct {
    char *config;
    GPtrArray *files;   /* of VirgaHaproxyFile: certificates, bodies */
    GPtrArray *servers; /* "BACKEND SERVER" of those whose health is checked */
} VirgaHaproxy;
VirgaHaproxy *virga_haproxy_new(const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
                                const char *directory, const char *socket);
void virga_haproxy_free(VirgaHaproxy *haproxy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaHaproxy, virga_haproxy_free)
/* What a server's health is, from the answer to "show stat"; of VirgaTargetHealth. */
GPtrArray *virga_haproxy_parse_health(const char *answer);
/* The states with which a new HAProxy begins: as the running one says ("show servers state", ""
 * if there is none), and down for servers that it does not know.  The caller owns it. */
char *virga_haproxy_states(const VirgaHaproxy *haproxy, const char *answer);

/* haproxy-run.c: the HAProxy of a VPC; the functions act on the calling thread's namespace. */
typedef struct {
    const char *program;
    const char *directory; /* its own; readable by nobody else: certificates lie there */
    const char *socket;    /* of its statistics */
} VirgaHaproxyRun;
/* Runs it with these files (NULL: runs none).  A change is a reload that drops no connection. */
bool virga_haproxy_ensure(const VirgaHaproxyRun *run, const VirgaHaproxy *haproxy, GError **error);
/* Of VirgaTargetHealth, the caller's; NULL if it does not answer. */
GPtrArray *virga_haproxy_health(const VirgaHaproxyRun *run, GError **error);

/* daemon.c: a daemon that outlives us, known by its pid file and its configuration's path. */
typedef enum { VIRGA_DAEMON_DNSMASQ, VIRGA_DAEMON_RECURSOR, VIRGA_DAEMON_HAPROXY } VirgaDaemonKind;
typedef struct {
    const char *program;
    const char *directory; /* holds its configuration and its pid file */
    VirgaDaemonKind kind;
} VirgaDaemon;
/* 0: not running. */
pid_t virga_daemon_pid(const VirgaDaemon *daemon);
/* Whether it is in the calling thread's namespace. */
bool virga_daemon_is_here(pid_t pid);
/* Runs it here with this configuration; a running one with the same is kept, and a dnsmasq told to
 * read its other files again if 'reload'.  Not for HAProxy. */
bool virga_daemon_ensure(const VirgaDaemon *daemon, const char *config, bool reload,
                         GError **error);
bool virga_daemon_stop(const VirgaDaemon *daemon, GError **error);
/* Stops it and removes its directory with what it and we have written there. */
bool virga_daemon_remove(const VirgaDaemon *daemon, GError **error);
/* Replaces a file if its text differs. */
bool virga_file_update(const char *directory, const char *name, const char *text, int mode,
                       bool *ret_changed, GError **error);
