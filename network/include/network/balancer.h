/* SPDX-License-Identifier: Apache-2.0 */
/* Load balancers as members of a VPC's plan (network/plan.h), and what a host says of their
 * targets.
 *
 * A balancer is there where its nodes are: ports of the plan with 'of_balancer' set.  The host that
 * such a port names has the port's address itself, and runs HAProxy on it inside the VPC.  Strings
 * are owned by the plan; every text has been checked against a list of the characters that it may
 * have before it reaches a configuration (virga_vpc_plan_check()). */
#pragma once

#include <glib.h>
#include <stdbool.h>

/* Holds if one of 'values' does. */
typedef struct {
    char *field;   /* "path", "host", "header", "query", "method", "source-ip" */
    char *name;    /* of "header" */
    char **keys;   /* of "query": as many as values, "" for any */
    char **values; /* with * and ? as wildcards; of "method" without, of "source-ip" blocks */
} VirgaBalancerCondition;

typedef struct {
    char *target_group_id;
    gint64 weight; /* 0 to 999 */
} VirgaBalancerForward;

typedef struct {
    gint64 priority;       /* the lowest that matches decides; 0: the default, the last */
    GPtrArray *conditions; /* of VirgaBalancerCondition; all must hold */
    char *action;          /* "forward", "redirect", "fixed-response" */
    GPtrArray *forwards;   /* of VirgaBalancerForward; none: answered with 503 */
    gint64 sticky_s;       /* how long a client keeps its target group; 0: not */
    gint64 status;         /* of a redirection or fixed response */
    char *protocol, *host, *port, *path, *query; /* of a redirection, with #{…} */
    char *content_type, *body;                   /* of a fixed response; NULL: none */
} VirgaBalancerRule;

typedef struct {
    char *id;  /* a name for its file: letters, digits and dashes */
    char *pem; /* certificate, chain and private key */
} VirgaBalancerCertificate;

typedef struct {
    char *id;       /* "lsn-0…" */
    char *protocol; /* "HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP" */
    gint64 port;
    char *tls_min;           /* of HTTPS and TLS: "TLSv1.0" to "TLSv1.3" */
    char *tls_max;           /* likewise; NULL: the newest */
    char *tls_ciphers;       /* OpenSSL's names, up to TLS 1.2; NULL: OpenSSL's choice */
    char **alpn;             /* of TLS: "h2", "http/1.1"; NULL: none */
    GPtrArray *certificates; /* the first is the default */
    GPtrArray *rules;        /* of VirgaBalancerRule; exactly one is the default */
} VirgaBalancerListener;

typedef struct {
    char *id;        /* "elb-0…" */
    char *type;      /* "application", "network" */
    char *dns_name;  /* of all nodes; NULL: none */
    char **port_ids; /* its nodes */
    gint64 idle_timeout_s;
    bool http2;          /* towards clients */
    bool drop_invalid;   /* header fields with other characters than letters, digits and dashes */
    char *forwarded_for; /* "append", "preserve", "remove" */
    bool client_port;    /* in X-Forwarded-For, too */
    GPtrArray *listeners;
} VirgaBalancer;

typedef struct {
    char *address;
    gint64 port;
} VirgaBalancerTarget;

typedef struct {
    char *id;        /* "tg-0…" */
    char *protocol;  /* "HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP" */
    bool http2;      /* towards targets */
    char *algorithm; /* "roundrobin", "leastconn", "random", "source" */
    char *sticky;    /* "lb_cookie", "app_cookie", "source_ip" or NULL */
    char *cookie;    /* of "app_cookie" */
    gint64 sticky_s; /* of "lb_cookie" */
    gint64 slow_start_s;
    bool proxy_protocol; /* version 2, towards targets */
    bool health_enabled;
    char *health_protocol; /* "HTTP", "HTTPS", "TCP" */
    gint64 health_port;    /* 0: the target's own */
    char *health_path;     /* of HTTP and HTTPS */
    char *health_codes;    /* "200", "200-299,301" */
    gint64 health_interval_s, health_timeout_s;
    gint64 healthy_threshold, unhealthy_threshold;
    GPtrArray *targets; /* of VirgaBalancerTarget */
} VirgaTargetGroup;

/* What this host knows of a target. */
typedef struct {
    char *target_group_id, *address;
    guint16 port;
    bool healthy;
    bool known;       /* false: it was not asked often enough yet */
    char *reason;     /* NULL, or "timeout", "code", "refused", "failed" */
    gint64 http_code; /* of "code" */
} VirgaTargetHealth;

void virga_target_health_free(VirgaTargetHealth *health);

/* Parts of a plan as JSON, for rows that keep them; the caller's. */
char *virga_balancer_to_text(const VirgaBalancer *balancer);
char *virga_balancer_listener_to_text(const VirgaBalancerListener *listener);
char *virga_balancer_rule_to_text(const VirgaBalancerRule *rule);
char *virga_target_group_to_text(const VirgaTargetGroup *group);
