/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of load balancers and of the nodes that carry them, one in each subnet.
 *
 * A node's interface is made for it; a host that is well carries it, another one when that falls
 * silent.  Each change counts the VPC's plan up.  What a host needs of a row is its 'plan': JSON
 * with members of network/balancer.h.  Functions fail with noun "load balancer". */
#pragma once

#include "core/db.h"

/* Who manages the interfaces of nodes. */
#define VIRGA_LOAD_BALANCER_REQUESTER "amazon-elb"

/* The members of a VPC's plan: its balancers and target groups. */
#define VIRGA_LOAD_BALANCERS_SQL(vpc_id)                                                           \
    " 'balancers', (SELECT coalesce(jsonb_agg(b.plan || jsonb_build_object('id', b.id,"            \
    "   'type', b.type, 'dns_name', b.dns_name, 'port_ids', (SELECT coalesce(jsonb_agg("           \
    "     d.interface_id ORDER BY d.interface_id), '[]') FROM load_balancer_node d"                \
    "     WHERE d.load_balancer_id = b.id),"                                                       \
    "   'listeners', (SELECT coalesce(jsonb_agg(l.plan || jsonb_build_object('id', l.id,"          \
    "     'protocol', l.protocol, 'port', l.port,"                                                 \
    "     'certificates', (SELECT coalesce(jsonb_agg(jsonb_build_object('id', s.id, 'pem',"        \
    "       s.body || E'\n' || coalesce(s.chain || E'\n', '') || s.private_key || E'\n')"          \
    "       ORDER BY c.is_default DESC, c.added), '[]') FROM listener_certificate c"               \
    "       JOIN server_certificate s ON s.id = c.certificate_id WHERE c.listener_id = l.id),"     \
    "     'rules', (SELECT jsonb_agg(r.plan || jsonb_build_object('priority', r.priority)"         \
    "       ORDER BY r.priority) FROM listener_rule r WHERE r.listener_id = l.id))"                \
    "     ORDER BY l.port, l.id), '[]') FROM listener l WHERE l.load_balancer_id = b.id))"         \
    "   ORDER BY b.id), '[]') FROM load_balancer b WHERE b.vpc_id = " vpc_id "),"                  \
    " 'target_groups', (SELECT coalesce(jsonb_agg(g.plan || jsonb_build_object('id', g.id,"        \
    "   'targets', (SELECT coalesce(jsonb_agg(jsonb_build_object('address',"                       \
    "     coalesce(host(a.address), t.target_id), 'port', t.port) ORDER BY t.target_id, t.port),"  \
    "     '[]') FROM target t LEFT JOIN network_interface a ON a.instance_id = t.target_id"        \
    "     AND a.device_index = 0 WHERE t.target_group_id = g.id AND t.draining_until IS NULL"      \
    "     AND (t.target_id NOT LIKE 'i-%' OR a.address IS NOT NULL))) ORDER BY g.id), '[]')"       \
    "   FROM target_group g WHERE g.vpc_id = " vpc_id ")"

typedef struct {
    char *subnet_id, *zone, *interface_id, *address;
    char *public_address; /* NULL: none */
    char *allocation_id;  /* of an elastic IP; NULL: of the pool */
} VirgaLoadBalancerNode;

/* Where a node shall be. */
typedef struct {
    const char *subnet_id;
    const char *address;       /* NULL: any of the subnet */
    const char *allocation_id; /* NULL: of the pool if the balancer faces the internet */
} VirgaLoadBalancerPlace;

typedef struct {
    char *id, *account_id, *name, *type, *scheme, *vpc_id, *dns_name;
    char *attributes; /* a JSON object of texts */
    bool active;      /* a host serves it */
    gint64 created;
    char **group_ids; /* of its nodes; NULL-terminated */
    VirgaLoadBalancerNode *nodes;
    size_t node_count;
} VirgaLoadBalancer;

/* The account's, by name; 'ids' and 'names' (NULL: all) restrict them. */
bool virga_load_balancer_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                              const char *const *ids, const char *const *names,
                              VirgaLoadBalancer **ret, size_t *ret_count, GError **error);

/* One, its row locked until the end of the transaction.  NOT_FOUND. */
bool virga_load_balancer_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                              const char *id, VirgaLoadBalancer **ret, GError **error);

/* Makes the row; nodes are added apart.  'id', 'account_id', 'name', 'type', 'scheme', 'vpc_id' and
 * 'dns_name' are read.  EXISTS; "internet gateway": STATE if it would face the internet without. */
bool virga_load_balancer_create(VirgaTxn *txn, const VirgaLoadBalancer *balancer, const char *plan,
                                GError **error);

/* Makes a node with its interface ("subnet": NOT_FOUND, CAPACITY; "network interface": INVALID,
 * EXISTS; "address": CAPACITY, NOT_FOUND; "address association": EXISTS, DENIED; "security group":
 * NOT_FOUND), or takes it away. */
bool virga_load_balancer_add_node(VirgaTxn *txn, VirgaArena *arena,
                                  const VirgaLoadBalancer *balancer,
                                  const VirgaLoadBalancerPlace *place, const char *const *group_ids,
                                  GError **error);
bool virga_load_balancer_remove_node(VirgaTxn *txn, const VirgaLoadBalancer *balancer,
                                     const VirgaLoadBalancerNode *node, GError **error);

/* Puts the groups of all nodes.  "security group": NOT_FOUND for one of another VPC. */
bool virga_load_balancer_set_groups(VirgaTxn *txn, const VirgaLoadBalancer *balancer,
                                    const char *const *group_ids, GError **error);

bool virga_load_balancer_set_attributes(VirgaTxn *txn, const VirgaLoadBalancer *balancer,
                                        const char *attributes, const char *plan, GError **error);

/* With its listeners, rules, nodes, tags. */
bool virga_load_balancer_delete(VirgaTxn *txn, const VirgaLoadBalancer *balancer, GError **error);

/* Gives nodes that have no host, or a silent one, to one that is well.  'may_move' false: hosts may
 * seem silent that are not, since nobody has listened to them for long enough; nodes stay where
 * they are.  Ends the drain of targets whose time is over, and forgets those whose instance is
 * gone. */
bool virga_load_balancer_sweep(VirgaTxn *txn, bool may_move, GError **error);

/* A host has applied the VPC's plan of this generation: its nodes are there. */
bool virga_load_balancer_note_applied(VirgaTxn *txn, const char *host_id, const char *vpc_id,
                                      gint64 generation, GError **error);
