/* SPDX-License-Identifier: Apache-2.0 */
/* What one VPC shall look like: the whole wish, computed by the controller and sent to every host
 * that has a member.  A plan travels as JSON and is kept on the host's disk, so that a host can
 * rebuild its network while the controller is away.  Addresses are IPv4.
 *
 * A plan names the ports of the whole VPC; those with the host's own id are local to it.  Lists
 * are GPtrArrays of the types below.  Strings are owned by the plan. */
#pragma once

#include "network/balancer.h"

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

typedef struct {
    char *id; /* "subnet-0…" */
    char *zone;
    char *cidr;
} VirgaVpcSubnet;

/* A private address that a port has besides its primary one. */
typedef struct {
    char *address;        /* in the port's subnet */
    char *public_address; /* or NULL */
} VirgaVpcAddress;

/* A network interface.  An instance may have several, each with a tap of its own. */
typedef struct {
    char *id;            /* "eni-0…" */
    char *instance_id;   /* "i-0…" or NULL */
    gint64 device_index; /* within its instance */
    char *subnet_id;
    char *mac;            /* lower case */
    char *address;        /* primary private address */
    char *public_address; /* or NULL */
    char *hostname;       /* "ip-172-31-1-5"; NULL: made from the address */
    char *host_id;        /* where the guest is; NULL: nowhere now */
    char *host_address;   /* that host's tunnel address, or NULL */
    char **group_ids;     /* "sg-0…"; NULL: none */
    bool source_dest_check;
    bool of_balancer;     /* no guest's: the address is the host's own inside the VPC */
    gint64 front_port;    /* of such a one that is no balancer's: the TCP port that it serves */
    char *service_name;   /* that leads to its address within the VPC; or NULL */
    gint64 mtu;           /* 0: what the host thinks best */
    gint64 bandwidth_bps; /* bits/s that pass at most, each way; 0: no limit */
    GPtrArray *secondary; /* of VirgaVpcAddress */
} VirgaVpcPort;

typedef struct {
    char *id;         /* "sgr-0…", or NULL */
    char *direction;  /* "ingress", "egress" */
    char *protocol;   /* "-1", "tcp", "udp", "icmp" or a number */
    gint64 from_port; /* of icmp: the type; -1: all */
    gint64 to_port;   /* of icmp: the code; -1: all */
    char *cidr4;      /* exactly one of these two */
    char *group_id;
} VirgaVpcRule;

typedef struct {
    char *id; /* "sg-0…" */
    GPtrArray *rules;
} VirgaVpcGroup;

/* Where packets to a block go.  "local" is understood for the blocks of the VPC, named or not. */
typedef struct {
    char *cidr4;     /* destination; the longest prefix wins */
    char *target;    /* "local", "internet-gateway", "nat-gateway", "interface", "blackhole" */
    char *target_id; /* of "nat-gateway" and "interface": a member of this plan; one that it does
                      * not have, or that has no host, makes the route a black hole */
} VirgaVpcRoute;

typedef struct {
    char *id;          /* "rtb-0…" */
    bool is_main;      /* of the subnets that no table names; exactly one is */
    char **subnet_ids; /* NULL: none */
    GPtrArray *routes; /* of VirgaVpcRoute */
} VirgaVpcRouteTable;

/* Lets subnets without public addresses out under its own.  It works on one host; others send to
 * it through the tunnel.  It needs a route to the internet gateway from its own subnet. */
typedef struct {
    char *id; /* "nat-0…" */
    char *subnet_id;
    char *address; /* private, no port's */
    char *public_address;
    char *host_id;      /* NULL: nowhere now */
    char *host_address; /* that host's tunnel address, or NULL */
} VirgaVpcNatGateway;

typedef struct {
    gint64 number; /* the lowest that matches decides; none matches: denied */
    bool egress;
    bool allow;
    char *protocol; /* as in a VirgaVpcRule */
    gint64 from_port, to_port;
    char *cidr4; /* of the other side */
} VirgaVpcAclEntry;

/* A network ACL: stateless, and only for packets that enter or leave a subnet. */
typedef struct {
    char *id;          /* "acl-0…" */
    bool is_default;   /* of the subnets that no ACL names; at most one is */
    char **subnet_ids; /* NULL: none */
    GPtrArray *entries;
} VirgaVpcAcl;

/* A plan without route tables has one that is understood: everything may go to the internet
 * gateway.  A plan without ACLs lets everything pass. */
typedef struct {
    char *id; /* "vpc-0…" */
    gint64 generation;
    char **cidrs;              /* the first one's third address is the resolver's */
    gint64 vni;                /* 24 bits; 0 on a single host */
    char *domain;              /* "ec2.internal", "REGION.compute.internal" */
    bool has_internet_gateway; /* of a plan with route tables */
    bool dns_support;          /* there is a resolver; true when left out */
    bool dns_hostnames;        /* public names lead to private addresses; true when left out */
    char *public_domain; /* of public names, "compute-1.amazonaws.com"; NULL: there are none */
    bool dhcp_own;       /* DHCP says only what is named here; false: what is not named is ours */
    char *dhcp_domain;   /* several with spaces; ours is 'domain' */
    char **dhcp_dns;     /* addresses, "AmazonProvidedDNS" is ours */
    char **dhcp_ntp;     /* addresses; there is none of ours */
    char **dhcp_netbios; /* likewise */
    gint64 dhcp_netbios_node; /* 1, 2, 4 or 8; 0: none */
    GPtrArray *subnets;
    GPtrArray *ports;
    GPtrArray *groups;
    GPtrArray *route_tables;
    GPtrArray *nat_gateways;
    GPtrArray *acls;
    GPtrArray *balancers;
    GPtrArray *target_groups;
} VirgaVpcPlan;

/* Empty but for its id; lists are made. */
VirgaVpcPlan *virga_vpc_plan_new(const char *id);
void virga_vpc_plan_free(VirgaVpcPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaVpcPlan, virga_vpc_plan_free)

/* Add an empty member and return it, a loan. */
VirgaVpcSubnet *virga_vpc_plan_add_subnet(VirgaVpcPlan *plan, const char *id);
VirgaVpcPort *virga_vpc_plan_add_port(VirgaVpcPlan *plan, const char *id);
VirgaVpcGroup *virga_vpc_plan_add_group(VirgaVpcPlan *plan, const char *id);
VirgaVpcRule *virga_vpc_group_add_rule(VirgaVpcGroup *group, const char *id);
VirgaVpcAddress *virga_vpc_port_add_address(VirgaVpcPort *port, const char *address);
VirgaVpcRouteTable *virga_vpc_plan_add_route_table(VirgaVpcPlan *plan, const char *id);
VirgaVpcRoute *virga_vpc_route_table_add(VirgaVpcRouteTable *table, const char *cidr4,
                                         const char *target, const char *target_id);
VirgaVpcNatGateway *virga_vpc_plan_add_nat_gateway(VirgaVpcPlan *plan, const char *id);
VirgaVpcAcl *virga_vpc_plan_add_acl(VirgaVpcPlan *plan, const char *id);
VirgaVpcAclEntry *virga_vpc_acl_add_entry(VirgaVpcAcl *acl, gint64 number, bool egress, bool allow);

VirgaBalancer *virga_vpc_plan_add_balancer(VirgaVpcPlan *plan, const char *id);
VirgaBalancerListener *virga_balancer_add_listener(VirgaBalancer *balancer, const char *id);
VirgaBalancerRule *virga_balancer_listener_add_rule(VirgaBalancerListener *listener,
                                                    gint64 priority, const char *action);
VirgaBalancerCondition *virga_balancer_rule_add_condition(VirgaBalancerRule *rule,
                                                          const char *field);
void virga_balancer_rule_add_forward(VirgaBalancerRule *rule, const char *target_group_id,
                                     gint64 weight);
VirgaTargetGroup *virga_vpc_plan_add_target_group(VirgaVpcPlan *plan, const char *id);
void virga_target_group_add(VirgaTargetGroup *group, const char *address, gint64 port);

/* The member with this id, a loan, or NULL. */
const VirgaVpcSubnet *virga_vpc_plan_subnet(const VirgaVpcPlan *plan, const char *id);
const VirgaVpcPort *virga_vpc_plan_port(const VirgaVpcPlan *plan, const char *id);
const VirgaVpcNatGateway *virga_vpc_plan_nat_gateway(const VirgaVpcPlan *plan, const char *id);
const VirgaTargetGroup *virga_vpc_plan_target_group(const VirgaVpcPlan *plan, const char *id);

/* The table or ACL that is valid for a subnet, a loan; NULL: the plan has none. */
const VirgaVpcRouteTable *virga_vpc_plan_table_of(const VirgaVpcPlan *plan, const char *subnet_id);
const VirgaVpcAcl *virga_vpc_plan_acl_of(const VirgaVpcPlan *plan, const char *subnet_id);

/* The most specific route of a table to a whole block, a loan, or NULL; "local" is not looked
 * for. */
const VirgaVpcRoute *virga_vpc_route_table_find(const VirgaVpcRouteTable *table, guint32 base,
                                                unsigned prefix);

/* Whether public addresses mean anything. */
bool virga_vpc_plan_has_gateway(const VirgaVpcPlan *plan);

/* True if every member is well formed and every reference within the plan resolves; no text of a
 * plan that passes can mean anything but itself in a program's configuration.  A rule may name a
 * group that the plan does not have: it has no members.  Fails with INVALID. */
bool virga_vpc_plan_check(const VirgaVpcPlan *plan, GError **error);

/* True for names with one space between, as 'dhcp_domain' has them. */
bool virga_vpc_plan_are_domains(const char *text);

/* Fails with INVALID; what it returns has passed virga_vpc_plan_check(). */
VirgaVpcPlan *virga_vpc_plan_from_json(JsonNode *json, GError **error);
VirgaVpcPlan *virga_vpc_plan_from_text(const char *text, GError **error);
JsonNode *virga_vpc_plan_to_json(const VirgaVpcPlan *plan);
char *virga_vpc_plan_to_text(const VirgaVpcPlan *plan);
