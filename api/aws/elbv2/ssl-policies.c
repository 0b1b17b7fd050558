/* SPDX-License-Identifier: Apache-2.0 */
/* What TLS policies mean, and what an account may have. */
#include "common.h"

#include "core/quota.h"

#define FORWARD                                                                                    \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
#define FORWARD_CBC                                                                                \
    FORWARD ":ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384:"        \
            "ECDHE-RSA-AES256-SHA384"
#define WIDE                                                                                       \
    FORWARD_CBC ":ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA:"               \
                "ECDHE-ECDSA-AES256-SHA:AES128-GCM-SHA256:AES128-SHA256:AES128-SHA:"               \
                "AES256-GCM-SHA384:AES256-SHA256:AES256-SHA"
#define TLS13 "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:"

static const ElbSslPolicy policies[] = {
    { "ELBSecurityPolicy-2016-08", "TLSv1.0", "TLSv1.2", WIDE },
    { "ELBSecurityPolicy-TLS13-1-2-2021-06", "TLSv1.2", NULL, FORWARD_CBC },
    { "ELBSecurityPolicy-TLS13-1-2-Res-2021-06", "TLSv1.2", NULL, FORWARD },
    { "ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06", "TLSv1.2", NULL, WIDE },
    { "ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06", "TLSv1.2", NULL, WIDE },
    { "ELBSecurityPolicy-TLS13-1-1-2021-06", "TLSv1.1", NULL, WIDE },
    { "ELBSecurityPolicy-TLS13-1-0-2021-06", "TLSv1.0", NULL, WIDE },
    { "ELBSecurityPolicy-TLS13-1-3-2021-06", "TLSv1.3", NULL, NULL },
    { "ELBSecurityPolicy-TLS-1-2-2017-01", "TLSv1.2", "TLSv1.2", FORWARD_CBC },
    { "ELBSecurityPolicy-TLS-1-2-Ext-2018-06", "TLSv1.2", "TLSv1.2", WIDE },
    { "ELBSecurityPolicy-TLS-1-1-2017-01", "TLSv1.1", "TLSv1.2", WIDE },
    { "ELBSecurityPolicy-FS-2018-06", "TLSv1.0", "TLSv1.2", FORWARD_CBC },
    { "ELBSecurityPolicy-FS-1-2-2019-08", "TLSv1.2", "TLSv1.2", FORWARD_CBC },
    { "ELBSecurityPolicy-FS-1-2-Res-2020-10", "TLSv1.2", "TLSv1.2", FORWARD },
};

const ElbSslPolicy *
elb_ssl_policy(const char *name)
{
    for (size_t i = 0; i < G_N_ELEMENTS(policies); i++)
        if (g_str_equal(policies[i].name, name))
            return &policies[i];
    return NULL;
}

/* "TLSv1.0" is called "TLSv1" in answers. */
static Elbv2SslProtocols
protocols_of(const VirgaCall *call, const ElbSslPolicy *policy)
{
    static const char *const versions[] = { "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3" };
    Elbv2SslProtocols list = { elb_array(call, const char *, G_N_ELEMENTS(versions)), 0 };

    for (size_t i = G_N_ELEMENTS(versions); i > 0; i--) {
        const char *version = versions[i - 1];

        if (strcmp(version, policy->min) >= 0 &&
            (!policy->max || strcmp(version, policy->max) <= 0))
            list.items[list.count++] = i == 1 ? "TLSv1" : version;
    }
    return list;
}

static Elbv2Ciphers
ciphers_of(const VirgaCall *call, const ElbSslPolicy *policy)
{
    g_autofree char *all =
        g_strconcat(policy->max ? "" : TLS13, policy->ciphers ? policy->ciphers : "", NULL);
    g_auto(GStrv) names = g_strsplit(all, ":", -1);
    Elbv2Ciphers list = { elb_array(call, Elbv2Cipher, g_strv_length(names)), 0 };

    for (char **name = names; *name; name++)
        if (**name) {
            list.items[list.count] = (Elbv2Cipher){ virga_arena_printf(call->arena, "%s", *name),
                                                    (gint64) list.count + 1, true };
            list.count++;
        }
    return list;
}

static Elbv2SslPolicy
show(const VirgaCall *call, const ElbSslPolicy *policy)
{
    static const char *types[] = { "application", "network" };

    return (Elbv2SslPolicy){ .ssl_protocols = protocols_of(call, policy),
                             .ciphers = ciphers_of(call, policy),
                             .name = policy->name,
                             .supported_load_balancer_types = { types, G_N_ELEMENTS(types) } };
}

bool
elbv2_describe_ssl_policies(VirgaCall *call, const Elbv2DescribeSSLPoliciesRequest *request,
                            Elbv2DescribeSSLPoliciesResponse *response, GError **error)
{
    Elbv2SslPolicies *list = &response->ssl_policies;

    list->items = elb_array(call, Elbv2SslPolicy, G_N_ELEMENTS(policies) + request->names.count);
    for (size_t i = 0; i < G_N_ELEMENTS(policies) && request->names.count == 0; i++)
        list->items[list->count++] = show(call, &policies[i]);
    for (size_t i = 0; i < request->names.count; i++) {
        const ElbSslPolicy *policy = elb_ssl_policy(request->names.items[i]);

        if (!policy)
            return elb_fail(error, "SSLPolicyNotFound", "SSL policy '%.100s' not found",
                            request->names.items[i]);
        list->items[list->count++] = show(call, policy);
    }
    return ELB_PAGE(call, request, response, ssl_policies, Elbv2SslPolicy, name, error);
}

/* ---- limits ---- */

static bool
add_limit(VirgaCall *call, VirgaTxn *txn, Elbv2Limits *list, const char *name,
          VirgaQuotaResource resource, GError **error)
{
    gint64 limit;

    if (!virga_quota_limit(txn, call->account_id, resource, &limit, error))
        return false;
    list->items[list->count++] =
        (Elbv2Limit){ name, virga_arena_printf(call->arena, "%" G_GINT64_FORMAT, limit) };
    return true;
}

ELB_ACTION(describe_account_limits, DescribeAccountLimits)
{
    static const Elbv2Limit fixed[] = {
        { "targets-per-target-group", "1000" },
        { "listeners-per-application-load-balancer", "50" },
        { "listeners-per-network-load-balancer", "50" },
        { "rules-per-application-load-balancer", "100" },
        { "target-groups-per-action-on-application-load-balancer", "5" },
        { "target-groups-per-action-on-network-load-balancer", "1" },
        { "certificates-per-application-load-balancer", "25" },
        { "certificates-per-network-load-balancer", "25" },
        { "condition-values-per-alb-rule", "5" },
        { "condition-wildcards-per-alb-rule", "6" },
    };
    Elbv2Limits *list = &response->limits;

    list->items = elb_array(call, Elbv2Limit, G_N_ELEMENTS(fixed) + 3);
    memcpy(list->items, fixed, sizeof fixed);
    list->count = G_N_ELEMENTS(fixed);
    return add_limit(call, txn, list, "application-load-balancers", VIRGA_QUOTA_LOAD_BALANCERS,
                     error) &&
           add_limit(call, txn, list, "network-load-balancers", VIRGA_QUOTA_LOAD_BALANCERS,
                     error) &&
           add_limit(call, txn, list, "target-groups", VIRGA_QUOTA_TARGET_GROUPS, error) &&
           ELB_PAGE(call, request, response, limits, Elbv2Limit, name, error);
}
