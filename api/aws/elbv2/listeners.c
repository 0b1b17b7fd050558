/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners and their certificates. */
#include "common.h"

#include "core/id.h"
#include "network/vpc.h"

#define LISTENERS_MAX    50 /* of a balancer */
#define CERTIFICATES_MAX 25 /* of a listener, besides the default one */

static bool
is_tls(const char *protocol)
{
    return g_str_equal(protocol, "HTTPS") || g_str_equal(protocol, "TLS");
}

static bool
show(const VirgaCall *call, const VirgaListenerRow *row, Elbv2Listener *ret, GError **error)
{
    Elbv2Rule rule;

    if (!elb_rule_shown(call, row->default_shown, &rule, error))
        return false;
    *ret = (Elbv2Listener){
        .listener_arn = elb_listener_arn(call, row->balancer_name, row->balancer_type,
                                         row->balancer_id, row->id),
        .load_balancer_arn =
            elb_balancer_arn(call, row->balancer_name, row->balancer_type, row->balancer_id),
        .port = row->port,
        .has_port = true,
        .protocol = row->protocol,
        .ssl_policy = row->ssl_policy,
        .default_actions = rule.actions,
    };
    if (row->certificate_arn) {
        ret->certificates.items = elb_new(call, Elbv2Certificate);
        ret->certificates.items[0].certificate_arn = row->certificate_arn;
        ret->certificates.count = 1;
    }
    if (row->alpn_policy) {
        ret->alpn_policy.items = elb_new(call, const char *);
        ret->alpn_policy.items[0] = row->alpn_policy;
        ret->alpn_policy.count = 1;
    }
    if (is_tls(row->protocol) && g_str_equal(row->balancer_type, "application")) {
        ret->mutual_authentication = elb_new(call, Elbv2MutualAuthenticationAttributes);
        ret->mutual_authentication->mode = "off";
    }
    return true;
}

static bool
check_protocol(const VirgaListenerRow *listener, GError **error)
{
    static const char *const application[] = { "HTTP", "HTTPS", NULL };
    static const char *const network[] = { "TCP", "TLS", "UDP", "TCP_UDP", NULL };
    const char *const *good =
        g_str_equal(listener->balancer_type, "network") ? network : application;

    return g_strv_contains(good, listener->protocol) ||
           elb_fail(error, "UnsupportedProtocol",
                    "Listener protocol '%s' is not supported for load balancers of type '%s'",
                    listener->protocol, listener->balancer_type);
}

static bool
check_mutual(const Elbv2MutualAuthenticationAttributes *mutual, GError **error)
{
    return !mutual || !mutual->mode || g_str_equal(mutual->mode, "off") ||
           elb_fail(error, "UnsupportedOperation",
                    "Mutual authentication is not supported by this cloud");
}

/* Policies are for protocols with TLS, and must be for those. */
static bool
set_tls(VirgaListenerRow *listener, const char *ssl_policy, const Elbv2AlpnPolicyName *alpn,
        GError **error)
{
    static const char *const policies[] = { "None",          "HTTP1Only",      "HTTP2Only",
                                            "HTTP2Optional", "HTTP2Preferred", NULL };

    if (!is_tls(listener->protocol)) {
        if (ssl_policy || alpn->count)
            return elb_fail(error, "InvalidConfigurationRequest",
                            "An SSL policy or ALPN policy needs a listener with TLS");
        listener->ssl_policy = listener->alpn_policy = NULL;
        return true;
    }
    if (ssl_policy)
        listener->ssl_policy = (char *) ssl_policy;
    if (!listener->ssl_policy)
        listener->ssl_policy = (char *) ELB_SSL_POLICY_DEFAULT;
    if (!alpn->count)
        return true;
    if (alpn->count != 1 || !g_str_equal(listener->protocol, "TLS") ||
        !g_strv_contains(policies, alpn->items[0]))
        return elb_fail(error, "ALPNPolicyNotFound", "ALPN policy '%.100s' is not supported",
                        alpn->items[0]);
    listener->alpn_policy = (char *) alpn->items[0];
    return true;
}

/* Exactly one, the default. */
static bool
set_certificate(const VirgaCall *call, VirgaTxn *txn, VirgaListenerRow *listener,
                const Elbv2CertificateList *certificates, GError **error)
{
    bool wanted = is_tls(listener->protocol);

    if (!wanted && certificates->count > 0)
        return elb_fail(error, "InvalidConfigurationRequest",
                        "A certificate cannot be specified for %s listeners", listener->protocol);
    if (!wanted)
        return virga_listener_clear_certificates(txn, listener->id, error);
    if (certificates->count == 0)
        return listener->certificate_arn != NULL ||
               elb_fail(error, "ValidationError",
                        "A certificate must be specified for %s listeners", listener->protocol);
    if (certificates->count != 1 || !certificates->items[0].certificate_arn)
        return elb_fail(error, "ValidationError", "Only one certificate may be specified");
    listener->certificate_arn = (char *) certificates->items[0].certificate_arn;
    return virga_listener_add_certificate(txn, call->account_id, listener->id,
                                          listener->certificate_arn, true, error);
}

static bool
answer_with(const VirgaCall *call, const VirgaListenerRow *rows, size_t count, Elbv2Listeners *ret,
            GError **error)
{
    ret->items = elb_array(call, Elbv2Listener, count);
    for (ret->count = 0; ret->count < count; ret->count++)
        if (!show(call, &rows[ret->count], &ret->items[ret->count], error))
            return false;
    return true;
}

static bool
finish(VirgaCall *call, VirgaTxn *txn, const VirgaListenerRow *listener, Elbv2Listeners *ret,
       GError **error)
{
    VirgaListenerRow *row;

    return virga_vpc_touch(txn, listener->vpc_id, error) &&
           elb_check_plan(call, txn, listener->vpc_id, error) &&
           virga_listener_lock(txn, call->arena, call->account_id, listener->id, &row, error) &&
           answer_with(call, row, 1, ret, error);
}

ELB_ACTION(create_listener, CreateListener)
{
    static const Elbv2RuleConditionList none = { NULL, 0 };
    g_autofree char *id = virga_id_new("lsn"), *rule_id = virga_id_new("lsr");
    VirgaListenerRow listener = { .id = id,
                                  .protocol = (char *) request->protocol,
                                  .port = request->port,
                                  .attributes = (char *) "{}" },
                     *others;
    VirgaLoadBalancer *balancer;
    ElbRule rule;
    size_t count;
    char *plan;

    if (!elb_lock_balancer(call, txn, request->load_balancer_arn, &balancer, error) ||
        !virga_listener_list(txn, call->arena, call->account_id, NULL, balancer->id, &others,
                             &count, error))
        return false;
    if (!request->protocol || !request->has_port)
        return elb_fail(error, "ValidationError", "A listener needs a protocol and a port");
    if (count >= LISTENERS_MAX)
        return elb_fail(error, "TooManyListeners",
                        "You've reached the limit on the number of listeners per load balancer");
    listener.balancer_id = balancer->id;
    listener.balancer_name = balancer->name;
    listener.balancer_type = balancer->type;
    listener.vpc_id = balancer->vpc_id;
    return check_protocol(&listener, error) &&
           check_mutual(request->mutual_authentication, error) &&
           set_tls(&listener, request->ssl_policy, &request->alpn_policy, error) &&
           elb_plan_of_listener(call, &listener, &plan, error) &&
           elb_rule_read(call, txn, &listener, &none, &request->default_actions, &rule, error) &&
           virga_listener_create(txn, &listener, plan, error) &&
           set_certificate(call, txn, &listener, &request->certificates, error) &&
           virga_rule_create(txn, rule_id, id, 0, rule.shown, rule.plan, rule.target_group_ids,
                             error) &&
           elb_tags_set(call, txn, id, &request->tags, error) &&
           finish(call, txn, &listener, &response->listeners, error);
}

ELB_ACTION(modify_listener, ModifyListener)
{
    static const Elbv2RuleConditionList none = { NULL, 0 };
    VirgaListenerRow *listener;
    ElbRule rule;
    char *plan;

    if (!elb_lock_listener(call, txn, request->listener_arn, &listener, error))
        return false;
    if (request->protocol)
        listener->protocol = (char *) request->protocol;
    if (request->has_port)
        listener->port = request->port;
    if (!check_protocol(listener, error) || !check_mutual(request->mutual_authentication, error) ||
        !set_tls(listener, request->ssl_policy, &request->alpn_policy, error) ||
        !elb_plan_of_listener(call, listener, &plan, error) ||
        !virga_listener_update(txn, listener, plan, error) ||
        !set_certificate(call, txn, listener, &request->certificates, error))
        return false;
    if (request->default_actions.count > 0 &&
        (!elb_rule_read(call, txn, listener, &none, &request->default_actions, &rule, error) ||
         !virga_rule_update(txn, listener->default_rule_id, rule.shown, rule.plan,
                            rule.target_group_ids, error)))
        return false;
    return finish(call, txn, listener, &response->listeners, error);
}

ELB_ACTION(delete_listener, DeleteListener)
{
    VirgaListenerRow *listener;

    return elb_lock_listener(call, txn, request->listener_arn, &listener, error) &&
           virga_listener_delete(txn, listener, error) &&
           virga_vpc_touch(txn, listener->vpc_id, error);
}

ELB_ACTION(describe_listeners, DescribeListeners)
{
    const char *const *ids;
    const char *balancer_id = NULL;
    VirgaListenerRow *listeners;
    VirgaLoadBalancer *balancer;
    size_t count;

    if (!request->load_balancer_arn == !request->listener_arns.count)
        return elb_fail(error, "ValidationError",
                        "You must specify either listener ARNs or a load balancer ARN");
    if (request->load_balancer_arn) {
        if (!elb_lock_balancer(call, txn, request->load_balancer_arn, &balancer, error))
            return false;
        balancer_id = balancer->id;
    }
    if (!elb_ids(call, ELB_LISTENER, &request->listener_arns, &ids, error) ||
        !virga_listener_list(txn, call->arena, call->account_id, ids, balancer_id, &listeners,
                             &count, error))
        return false;
    if (count < request->listener_arns.count)
        return elb_fail_not_found(ELB_LISTENER, error);
    return answer_with(call, listeners, count, &response->listeners, error) &&
           ELB_PAGE(call, request, response, listeners, Elbv2Listener, listener_arn, error);
}

/* ---- certificates ---- */

static bool
list_certificates(const VirgaCall *call, VirgaTxn *txn, const char *listener_id,
                  Elbv2CertificateList *ret, GError **error)
{
    VirgaListenerCertificate *certificates;
    size_t count;

    if (!virga_listener_certificates(txn, call->arena, listener_id, &certificates, &count, error))
        return false;
    ret->items = elb_array(call, Elbv2Certificate, count);
    for (size_t i = 0; i < count; i++)
        ret->items[i] = (Elbv2Certificate){ .certificate_arn = certificates[i].arn,
                                            .is_default = certificates[i].is_default,
                                            .has_is_default = true };
    ret->count = count;
    return true;
}

ELB_ACTION(add_listener_certificates, AddListenerCertificates)
{
    VirgaListenerRow *listener;

    if (!elb_lock_listener(call, txn, request->listener_arn, &listener, error))
        return false;
    if (!is_tls(listener->protocol))
        return elb_fail(error, "UnsupportedProtocol",
                        "Certificates cannot be added to a listener of protocol '%s'",
                        listener->protocol);
    for (size_t i = 0; i < request->certificates.count; i++) {
        const Elbv2Certificate *certificate = &request->certificates.items[i];

        if (!certificate->certificate_arn || certificate->is_default)
            return elb_fail(error, "ValidationError",
                            "Certificates to add have an ARN and are not the default one");
        if (!virga_listener_add_certificate(txn, call->account_id, listener->id,
                                            certificate->certificate_arn, false, error))
            return false;
    }
    if (!list_certificates(call, txn, listener->id, &response->certificates, error))
        return false;
    if (response->certificates.count > CERTIFICATES_MAX + 1)
        return elb_fail(error, "TooManyCertificates",
                        "You've reached the limit on the number of certificates per listener");
    return virga_vpc_touch(txn, listener->vpc_id, error) &&
           elb_check_plan(call, txn, listener->vpc_id, error);
}

ELB_ACTION(remove_listener_certificates, RemoveListenerCertificates)
{
    VirgaListenerRow *listener;

    if (!elb_lock_listener(call, txn, request->listener_arn, &listener, error))
        return false;
    for (size_t i = 0; i < request->certificates.count; i++) {
        const char *arn = request->certificates.items[i].certificate_arn;

        if (g_strcmp0(arn, listener->certificate_arn) == 0)
            return elb_fail(error, "OperationNotPermitted",
                            "The default certificate cannot be removed");
        if (arn &&
            !virga_listener_remove_certificate(txn, call->account_id, listener->id, arn, error))
            return false;
    }
    return virga_vpc_touch(txn, listener->vpc_id, error);
}

ELB_ACTION(describe_listener_certificates, DescribeListenerCertificates)
{
    VirgaListenerRow *listener;

    return elb_lock_listener(call, txn, request->listener_arn, &listener, error) &&
           list_certificates(call, txn, listener->id, &response->certificates, error) &&
           ELB_PAGE(call, request, response, certificates, Elbv2Certificate, certificate_arn,
                    error);
}
