/* SPDX-License-Identifier: Apache-2.0 */
/* What one VPC shall look like: the whole wish, computed by the controller and sent to every host
 * that has a member.  A plan travels as JSON and is kept on the host's disk, so that a host can
 * rebuild its network while the controller is away.  Addresses are IPv4.
 *
 * A plan names the ports of the whole VPC; those with the host's own id are local to it.  Lists
 * are GPtrArrays of the types below.  Strings are owned by the plan. */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

typedef struct {
    char *id; /* "subnet-0…" */
    char *zone;
    char *cidr;
} VirgaVpcSubnet;

typedef struct {
    char *id;          /* "eni-0…" */
    char *instance_id; /* "i-0…" or NULL */
    char *subnet_id;
    char *mac;            /* lower case */
    char *address;        /* primary private address */
    char *public_address; /* or NULL */
    char *hostname;       /* "ip-172-31-1-5"; NULL: made from the address */
    char *host_id;        /* where the guest is; NULL: nowhere now */
    char *host_address;   /* that host's tunnel address, or NULL */
    char **group_ids;     /* "sg-0…"; NULL: none */
    bool source_dest_check;
    gint64 mtu; /* 0: what the host thinks best */
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

typedef struct {
    char *id; /* "vpc-0…" */
    gint64 generation;
    char **cidrs;
    gint64 vni;   /* 24 bits; 0 on a single host */
    char *domain; /* "ec2.internal", "REGION.compute.internal" */
    GPtrArray *subnets;
    GPtrArray *ports;
    GPtrArray *groups;
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

/* The member with this id, a loan, or NULL. */
const VirgaVpcSubnet *virga_vpc_plan_subnet(const VirgaVpcPlan *plan, const char *id);
const VirgaVpcPort *virga_vpc_plan_port(const VirgaVpcPlan *plan, const char *id);

/* True if every member is well formed and every reference within the plan resolves; no text of a
 * plan that passes can mean anything but itself in a program's configuration.  A rule may name a
 * group that the plan does not have: it has no members.  Fails with INVALID. */
bool virga_vpc_plan_check(const VirgaVpcPlan *plan, GError **error);

/* Fails with INVALID; what it returns has passed virga_vpc_plan_check(). */
VirgaVpcPlan *virga_vpc_plan_from_json(JsonNode *json, GError **error);
VirgaVpcPlan *virga_vpc_plan_from_text(const char *text, GError **error);
JsonNode *virga_vpc_plan_to_json(const VirgaVpcPlan *plan);
char *virga_vpc_plan_to_text(const VirgaVpcPlan *plan);
