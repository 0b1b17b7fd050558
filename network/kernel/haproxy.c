/* SPDX-License-Identifier: Apache-2.0 */
/* The balancers of a VPC on this host as HAProxy's files.
 *
 * One HAProxy serves all balancers of a VPC.  A listener is a frontend, a target group a backend
 * that knows which of its targets are healthy, and a second one without checks, "open-…", which is
 * used while none is: then all are tried, as AWS does.  The first rule that matches is noted in a
 * variable, since HAProxy itself looks at redirections before it looks at backends.
 *
 * What tenants have written reaches the configuration as regular expressions of nothing but
 * letters, digits and escapes by number, as texts of URL characters within single quotes (the
 * plan's check knows no others), or in files of its own. */
#include "kernel-priv.h"

#include <string.h>

#define CONNECT_TIMEOUT_S 4
#define CHECK_MS          1500  /* between checks, at most: what fails is soon asked for */
#define CHANGE_MS         1500  /* for all further checks that a change of state takes, at most */
#define DESCRIPTORS_MAX   65536 /* two for each connection */

typedef struct {
    GString *text;
    VirgaHaproxy *haproxy;
    const VirgaVpcPlan *plan;
    const char *directory;
    GHashTable *groups; /* VirgaTargetGroup -> its VirgaBalancer, those that local balancers use */
} Writer;

static void
file_free(VirgaHaproxyFile *file)
{
    g_free(file->name);
    g_free(file->text);
    g_free(file);
}

void
virga_haproxy_free(VirgaHaproxy *haproxy)
{
    if (!haproxy)
        return;
    g_free(haproxy->config);
    g_ptr_array_unref(haproxy->files);
    g_ptr_array_unref(haproxy->servers);
    g_free(haproxy);
}

/* A file named by what is in it: another content is another configuration. */
static const char *
add_file(Writer *writer, const char *text, const char *suffix)
{
    g_autofree char *checksum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);
    VirgaHaproxyFile *file = g_new0(VirgaHaproxyFile, 1);

    file->name = g_strdup_printf("%.32s.%s", checksum, suffix);
    file->text = g_strdup(text);
    for (guint i = 0; i < writer->haproxy->files->len; i++) {
        VirgaHaproxyFile *other = writer->haproxy->files->pdata[i];

        if (g_str_equal(other->name, file->name)) {
            file_free(file);
            return other->name;
        }
    }
    g_ptr_array_add(writer->haproxy->files, file);
    return file->name;
}

/* Local nodes' addresses, loans; their order is the balancer's. */
static GPtrArray *
addresses_of(const VirgaKernelConfig *config, const VirgaVpcPlan *plan,
             const VirgaBalancer *balancer)
{
    GPtrArray *addresses = g_ptr_array_new();

    for (char **id = balancer->port_ids; id && *id; id++) {
        const VirgaVpcPort *port = virga_vpc_plan_port(plan, *id);
        if (port && virga_kernel_is_local(config, port))
            g_ptr_array_add(addresses, port->address);
    }
    return addresses;
}

/* ---- conditions ---- */

/* A pattern with * and ? as a regular expression; 'any' is what a wildcard stands for. */
static void
append_regex(GString *text, const char *pattern, const char *any)
{
    for (const char *at = pattern; *at; at++) {
        if (*at == '*')
            g_string_append_printf(text, "%s*", any);
        else if (*at == '?')
            g_string_append(text, any);
        else if (g_ascii_isalnum(*at) || *at == '/')
            g_string_append_c(text, *at);
        else
            g_string_append_printf(text, "\\x%02x", (guchar) *at);
    }
}

static void
append_query_regex(GString *text, const char *key, const char *value)
{
    g_string_append(text, "(^|&)");
    append_regex(text, *key ? key : "*", *key ? "[^&]" : "[^&=]");
    g_string_append_c(text, '=');
    append_regex(text, value, "[^&]");
    g_string_append(text, "(&|$)");
}

static void
append_condition(GString *text, const char *name, const VirgaBalancerCondition *condition)
{
    for (guint i = 0; condition->values[i]; i++) {
        const char *field = condition->field, *value = condition->values[i];

        g_string_append_printf(text, "    acl %s ", name);
        if (g_str_equal(field, "source-ip")) {
            g_string_append_printf(text, "src %s\n", value);
            continue;
        }
        if (g_str_equal(field, "method")) {
            g_string_append_printf(text, "method -m str %s\n", value);
            continue;
        }
        if (g_str_equal(field, "path"))
            g_string_append(text, "path -m reg '^");
        else if (g_str_equal(field, "host"))
            g_string_append(text, "req.hdr(host),field(1,:) -i -m reg '^");
        else if (g_str_equal(field, "header"))
            g_string_append_printf(text, "req.fhdr(%s) -i -m reg '^", condition->name);
        else
            g_string_append(text, "query -i -m reg '");
        if (g_str_equal(field, "query"))
            append_query_regex(text, condition->keys[i], value);
        else
            append_regex(text, value, ".");
        g_string_append(text, g_str_equal(field, "query") ? "'\n" : "$'\n");
    }
}

static int
compare_rules(gconstpointer a, gconstpointer b)
{
    const VirgaBalancerRule *x = *(VirgaBalancerRule *const *) a;
    const VirgaBalancerRule *y = *(VirgaBalancerRule *const *) b;

    if (x->priority == 0 || y->priority == 0) /* the default comes last */
        return (x->priority == 0) - (y->priority == 0);
    return x->priority < y->priority ? -1 : x->priority > y->priority;
}

/* Notes the first rule that matches; nothing if there is but one. */
static void
append_choice(GString *text, const GPtrArray *rules)
{
    for (guint i = 0; i < rules->len && rules->len > 1; i++) {
        const VirgaBalancerRule *rule = rules->pdata[i];
        g_autoptr(GString) names = g_string_new(NULL);

        for (guint c = 0; c < rule->conditions->len; c++) {
            g_autofree char *name = g_strdup_printf("r%d_%u", (int) rule->priority, c);

            append_condition(text, name, rule->conditions->pdata[c]);
            g_string_append_printf(names, " %s", name);
        }
        g_string_append_printf(text, "    http-request set-var(txn.rule) int(%d) if%s%s\n",
                               (int) rule->priority, i ? " !{ var(txn.rule) -m found }" : "",
                               names->str);
    }
}

/* " if { var(txn.rule) -m int 10 }", or "" if there is no choice.  The caller owns it. */
static char *
chosen(const GPtrArray *rules, const VirgaBalancerRule *rule)
{
    return rules->len > 1 ? g_strdup_printf("{ var(txn.rule) -m int %d }", (int) rule->priority)
                          : g_strdup("TRUE");
}

/* ---- actions ---- */

static void
append_template(GString *text, const char *template)
{
    static const char *const names[][2] = {
        { "#{protocol}", "%[var(txn.protocol)]" },
        { "#{host}", "%[req.hdr(host),field(1,:)]" },
        { "#{port}", "%[dst_port]" },
        { "#{path}", "%[path,regsub(^/,)]" },
        { "#{query}", "%[query]" },
    };

    for (const char *at = template; *at;) {
        size_t length = 0;

        for (size_t i = 0; *at == '#' && !length && i < G_N_ELEMENTS(names); i++)
            if (g_str_has_prefix(at, names[i][0])) {
                g_string_append(text, names[i][1]);
                length = strlen(names[i][0]);
            }
        if (!length) {
            g_string_append(text, *at == '%' ? "%%" : "");
            if (*at != '%')
                g_string_append_c(text, *at);
            length = 1;
        }
        at += length;
    }
}

static bool
is_given(const char *text)
{
    return text && *text;
}

static void
append_redirect(GString *text, const VirgaBalancerListener *listener, const VirgaBalancerRule *rule,
                const char *condition)
{
    const char *protocol = is_given(rule->protocol) ? rule->protocol : "#{protocol}";
    const char *scheme = g_str_equal(listener->protocol, "HTTPS") ? "https" : "http";
    bool keeps_query = !rule->query || g_str_equal(rule->query, "#{query}");

    if (g_str_equal(protocol, "HTTP"))
        scheme = "http";
    else if (g_str_equal(protocol, "HTTPS"))
        scheme = "https";
    /* A query that is kept must not leave a lone question mark: two lines, one of which fits. */
    for (int with_query = 1; with_query >= 0; with_query--) {
        if (!with_query && !keeps_query)
            continue;
        g_string_append_printf(text, "    http-request redirect location '%s://", scheme);
        append_template(text, is_given(rule->host) ? rule->host : "#{host}");
        g_string_append_c(text, ':');
        append_template(text, is_given(rule->port) ? rule->port : "#{port}");
        append_template(text, is_given(rule->path) ? rule->path : "/#{path}");
        if (with_query && (keeps_query || *rule->query)) {
            g_string_append_c(text, '?');
            append_template(text, keeps_query ? "#{query}" : rule->query);
        }
        g_string_append_printf(text, "' code %d if %s%s\n", (int) rule->status, condition,
                               keeps_query && with_query ? " { query -m len gt 0 }" : "");
    }
}

static void
append_fixed_response(Writer *writer, const VirgaBalancerRule *rule, const char *condition)
{
    GString *text = writer->text;

    g_string_append_printf(text, "    http-request return status %d", (int) rule->status);
    if (is_given(rule->body))
        g_string_append_printf(text, " content-type %s file %s/%s",
                               rule->content_type ? rule->content_type : "text/plain",
                               writer->directory, add_file(writer, rule->body, "body"));
    g_string_append_printf(text, " if %s\n", condition);
}

/* What clients see of a target or its group. */
static char *
opaque(const char *id)
{
    g_autofree char *checksum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, id, -1);
    return g_strndup(checksum, 16);
}

/* Draws one of several target groups, and lets the client keep it if it is to. */
static void
append_draw(GString *text, const VirgaBalancerRule *rule, const char *condition)
{
    gint64 total = 0, below = 0;
    g_autoptr(GString) known = g_string_new(NULL);

    for (guint i = 0; i < rule->forwards->len; i++) {
        const VirgaBalancerForward *forward = rule->forwards->pdata[i];
        g_autofree char *name = opaque(forward->target_group_id);

        total += forward->weight;
        if (forward->weight)
            g_string_append_printf(known, " %s", name);
    }
    if (rule->sticky_s && known->len)
        g_string_append_printf(text,
                               "    http-request set-var(txn.group) req.cook(AWSALBTG) if %s"
                               " { req.cook(AWSALBTG) -m str%s }\n",
                               condition, known->str);
    g_string_append_printf(text, "    http-request set-var(txn.dice) rand(%d) if %s\n", (int) total,
                           condition);
    for (guint i = 0; i < rule->forwards->len; i++) {
        const VirgaBalancerForward *forward = rule->forwards->pdata[i];
        g_autofree char *name = opaque(forward->target_group_id);

        below += forward->weight;
        if (forward->weight)
            g_string_append_printf(text,
                                   "    http-request set-var(txn.group) str(%s) if %s"
                                   " !{ var(txn.group) -m found } { var(txn.dice) -m int lt %d }\n",
                                   name, condition, (int) below);
    }
    if (rule->sticky_s)
        g_string_append_printf(text,
                               "    http-response add-header Set-Cookie "
                               "'AWSALBTG=%%[var(txn.group)]; Max-Age=%d; Path=/' if %s\n",
                               (int) rule->sticky_s, condition);
}

static gint64
total_weight(const VirgaBalancerRule *rule)
{
    gint64 total = 0;

    for (guint i = 0; i < rule->forwards->len; i++)
        total += ((VirgaBalancerForward *) rule->forwards->pdata[i])->weight;
    return total;
}

/* What happens before a backend is chosen. */
static void
append_action(Writer *writer, const VirgaBalancerListener *listener, const VirgaBalancerRule *rule,
              const char *condition)
{
    if (g_str_equal(rule->action, "redirect"))
        append_redirect(writer->text, listener, rule, condition);
    else if (g_str_equal(rule->action, "fixed-response"))
        append_fixed_response(writer, rule, condition);
    else if (total_weight(rule) == 0)
        g_string_append_printf(writer->text, "    http-request return status 503 if %s\n",
                               condition);
    else if (rule->forwards->len > 1)
        append_draw(writer->text, rule, condition);
}

static void
append_backends(GString *text, const VirgaBalancerRule *rule, const char *condition)
{
    for (guint i = 0; i < rule->forwards->len; i++) {
        const VirgaBalancerForward *forward = rule->forwards->pdata[i];
        g_autofree char *name = opaque(forward->target_group_id);
        g_autofree char *drawn = rule->forwards->len > 1
                                     ? g_strdup_printf(" { var(txn.group) -m str %s }", name)
                                     : g_strdup("");

        if (!forward->weight)
            continue;
        g_string_append_printf(text, "    use_backend %s if %s%s { nbsrv(%s) gt 0 }\n",
                               forward->target_group_id, condition, drawn,
                               forward->target_group_id);
        g_string_append_printf(text, "    use_backend open-%s if %s%s\n", forward->target_group_id,
                               condition, drawn);
    }
}

/* ---- frontends ---- */

static void
append_binds(Writer *writer, const VirgaBalancerListener *listener, const GPtrArray *addresses)
{
    GString *text = writer->text;
    g_autoptr(GString) list = g_string_new(NULL);
    g_autoptr(GString) options = g_string_new(NULL);

    for (guint i = 0; i < listener->certificates->len; i++) {
        const VirgaBalancerCertificate *certificate = listener->certificates->pdata[i];

        g_string_append_printf(list, "%s/%s\n", writer->directory,
                               add_file(writer, certificate->pem, "pem"));
    }
    if (list->len) {
        g_string_append_printf(options, " ssl crt-list %s/%s ssl-min-ver %s", writer->directory,
                               add_file(writer, list->str, "list"), listener->tls_min);
        if (listener->tls_max)
            g_string_append_printf(options, " ssl-max-ver %s", listener->tls_max);
        if (listener->tls_ciphers)
            g_string_append_printf(options, " ciphers %s", listener->tls_ciphers);
        if (listener->alpn && listener->alpn[0]) {
            g_autofree char *alpn = g_strjoinv(",", listener->alpn);
            g_string_append_printf(options, " alpn %s", alpn);
        }
    }
    for (guint i = 0; i < addresses->len; i++)
        g_string_append_printf(text, "    bind %s:%d%s\n", (char *) addresses->pdata[i],
                               (int) listener->port, options->str);
}

static void
append_headers(GString *text, const VirgaBalancer *balancer, const VirgaBalancerListener *listener)
{
    const char *scheme = g_str_equal(listener->protocol, "HTTPS") ? "https" : "http";
    const char *mode = balancer->forwarded_for ? balancer->forwarded_for : "append";
    const char *client = balancer->client_port ? "%[src]:%[src_port]" : "%[src]";

    if (balancer->drop_invalid)
        g_string_append(text, "    http-request del-header '[^A-Za-z0-9-]' -m reg\n");
    if (g_str_equal(mode, "append"))
        g_string_append_printf(text,
                               "    http-request set-header X-Forwarded-For "
                               "'%%[req.fhdr(x-forwarded-for)], %s' if "
                               "{ req.fhdr(x-forwarded-for) -m found }\n"
                               "    http-request set-header X-Forwarded-For '%s' if "
                               "!{ req.fhdr(x-forwarded-for) -m found }\n",
                               client, client);
    else if (g_str_equal(mode, "remove"))
        g_string_append(text, "    http-request del-header X-Forwarded-For\n");
    g_string_append_printf(text,
                           "    http-request set-header X-Forwarded-Proto %s\n"
                           "    http-request set-header X-Forwarded-Port %d\n"
                           "    http-request set-header X-Amzn-Trace-Id "
                           "'Root=1-%%{+X}Ts-%%[uuid,regsub(-,,g),bytes(0,24)]' if "
                           "!{ req.hdr(x-amzn-trace-id) -m found }\n"
                           "    http-request set-var(txn.protocol) str(%s)\n",
                           scheme, (int) listener->port, scheme);
}

static void
append_http_frontend(Writer *writer, const VirgaBalancer *balancer,
                     const VirgaBalancerListener *listener)
{
    GString *text = writer->text;
    g_autoptr(GPtrArray) rules = g_ptr_array_new();

    for (guint i = 0; i < listener->rules->len; i++)
        g_ptr_array_add(rules, listener->rules->pdata[i]);
    g_ptr_array_sort(rules, compare_rules);
    append_headers(text, balancer, listener);
    append_choice(text, rules);
    for (guint i = 0; i < rules->len; i++) {
        g_autofree char *condition = chosen(rules, rules->pdata[i]);
        append_action(writer, listener, rules->pdata[i], condition);
    }
    for (guint i = 0; i < rules->len; i++) {
        g_autofree char *condition = chosen(rules, rules->pdata[i]);
        append_backends(text, rules->pdata[i], condition);
    }
}

static void
append_frontend(Writer *writer, const VirgaBalancer *balancer,
                const VirgaBalancerListener *listener, const GPtrArray *addresses)
{
    bool http = g_str_equal(balancer->type, "application");

    if (g_str_equal(listener->protocol, "UDP"))
        return;
    g_string_append_printf(writer->text,
                           "\nfrontend %s\n    mode %s\n    timeout client %" G_GINT64_FORMAT "s\n",
                           listener->id, http ? "http" : "tcp", balancer->idle_timeout_s);
    append_binds(writer, listener, addresses);
    if (http)
        append_http_frontend(writer, balancer, listener);
    else
        append_backends(writer->text, listener->rules->pdata[0], "TRUE");
}

/* ---- backends ---- */

static bool
is_http(const VirgaTargetGroup *group)
{
    return g_str_has_prefix(group->protocol, "HTTP");
}

/* Thresholds are the caller's; the pace is such that a target is in or out within five seconds of
 * the answer that says so, as far as it answers at once. */
static void
append_checks(GString *text, const VirgaTargetGroup *group)
{
    gint64 inter_ms = MIN(group->health_interval_s * 1000, CHECK_MS);
    gint64 further = MAX(group->healthy_threshold, group->unhealthy_threshold) - 1;
    gint64 fast_ms = MIN(inter_ms, CHANGE_MS / MAX(further, 1));

    if (!group->health_enabled)
        return;
    if (g_str_has_prefix(group->health_protocol, "HTTP"))
        g_string_append_printf(text,
                               "    option httpchk\n"
                               "    http-check send meth GET uri '%s' ver HTTP/1.1 hdr Host "
                               "%%[srv_name] hdr User-Agent ELB-HealthChecker/2.0 "
                               "hdr Connection close\n"
                               "    http-check expect status %s\n",
                               group->health_path, group->health_codes);
    g_string_append_printf(text,
                           "    timeout check %" G_GINT64_FORMAT "s\n"
                           "    default-server inter %" G_GINT64_FORMAT
                           "ms fastinter %" G_GINT64_FORMAT "ms rise %" G_GINT64_FORMAT
                           " fall %" G_GINT64_FORMAT,
                           group->health_timeout_s, inter_ms, fast_ms, group->healthy_threshold,
                           group->unhealthy_threshold);
    if (group->health_port)
        g_string_append_printf(text, " port %d", (int) group->health_port);
    g_string_append_c(text, '\n');
}

static void
append_server(Writer *writer, const VirgaTargetGroup *group, const VirgaBalancerTarget *target,
              bool checked)
{
    GString *text = writer->text;
    g_autofree char *name = g_strdup_printf("%s:%d", target->address, (int) target->port);
    bool tls = g_str_equal(group->protocol, "HTTPS") || g_str_equal(group->protocol, "TLS");
    bool check_tls = g_str_equal(group->health_protocol, "HTTPS");

    g_string_append_printf(text, "    server %s %s", name, name);
    if (g_strcmp0(group->sticky, "lb_cookie") == 0 || g_strcmp0(group->sticky, "app_cookie") == 0) {
        g_autofree char *value = opaque(name);
        g_string_append_printf(text, " cookie %s", value);
    }
    if (tls)
        g_string_append(text, " ssl verify none");
    if (group->http2)
        g_string_append(text, tls ? " alpn h2" : " proto h2");
    if (group->proxy_protocol)
        g_string_append(text, " send-proxy-v2");
    if (checked && group->slow_start_s)
        g_string_append_printf(text, " slowstart %ds", (int) group->slow_start_s);
    if (checked && group->health_enabled) {
        g_string_append(text, " check");
        if (tls != check_tls)
            g_string_append(text, check_tls ? " check-ssl verify none" : " no-check-ssl");
        if (group->http2 && g_str_has_prefix(group->health_protocol, "HTTP"))
            g_string_append(text, check_tls ? " check-alpn h2" : " check-proto h2");
        if (group->proxy_protocol)
            g_string_append(text, " check-send-proxy");
        g_ptr_array_add(writer->haproxy->servers, g_strdup_printf("%s %s", group->id, name));
    }
    g_string_append_c(text, '\n');
}

static void
append_backend(Writer *writer, const VirgaTargetGroup *group, const VirgaBalancer *balancer,
               const char *source, bool checked)
{
    GString *text = writer->text;

    g_string_append_printf(text, "\nbackend %s%s\n    mode %s\n    balance %s\n",
                           checked ? "" : "open-", group->id, is_http(group) ? "http" : "tcp",
                           g_strcmp0(group->sticky, "source_ip") == 0 ? "source"
                                                                      : group->algorithm);
    if (g_strcmp0(group->sticky, "source_ip") == 0 || g_str_equal(group->algorithm, "source"))
        g_string_append(text, "    hash-type consistent\n");
    if (g_strcmp0(group->sticky, "lb_cookie") == 0)
        g_string_append_printf(
            text, "    cookie AWSALB insert indirect nocache maxlife %" G_GINT64_FORMAT "s\n",
            group->sticky_s);
    else if (g_strcmp0(group->sticky, "app_cookie") == 0)
        g_string_append_printf(text, "    cookie %s prefix nocache\n", group->cookie);
    g_string_append_printf(text,
                           "    source %s\n    timeout server %" G_GINT64_FORMAT
                           "s\n    timeout tunnel %" G_GINT64_FORMAT "s\n",
                           source, balancer->idle_timeout_s, balancer->idle_timeout_s);
    if (checked)
        append_checks(text, group);
    for (guint i = 0; i < group->targets->len; i++)
        append_server(writer, group, group->targets->pdata[i], checked);
}

static void
append_head(GString *text, const VirgaKernelConfig *config, const char *directory,
            const char *socket)
{
    g_string_append_printf(text,
                           "# Written by virga-node; changes here are lost.\n"
                           "global\n"
                           "    stats socket %s mode 600 level admin expose-fd "
                           "listeners\n"
                           "    server-state-file %s/states\n"
                           "    fd-hard-limit %d\n    mworker-max-reloads 50\n"
                           "    tune.ssl.default-dh-param 2048\n",
                           socket, directory, DESCRIPTORS_MAX);
    if (config->haproxy_user)
        g_string_append_printf(text, "    user %s\n", config->haproxy_user);
    if (config->haproxy_threads)
        g_string_append_printf(text, "    nbthread %d\n", config->haproxy_threads);
    g_string_append_printf(text,
                           "defaults\n"
                           "    load-server-state-from-file global\n"
                           "    option redispatch\n    retries 2\n"
                           "    timeout connect %ds\n",
                           CONNECT_TIMEOUT_S);
}

/* The groups that a balancer's rules name, each once. */
static void
note_groups(Writer *writer, const VirgaBalancer *balancer, GPtrArray *ret_groups)
{
    for (guint l = 0; l < balancer->listeners->len; l++) {
        const VirgaBalancerListener *listener = balancer->listeners->pdata[l];

        for (guint r = 0; r < listener->rules->len; r++) {
            const VirgaBalancerRule *rule = listener->rules->pdata[r];

            for (guint f = 0; f < rule->forwards->len; f++) {
                const VirgaBalancerForward *forward = rule->forwards->pdata[f];
                gpointer group =
                    (gpointer) virga_vpc_plan_target_group(writer->plan, forward->target_group_id);

                if (g_hash_table_add(writer->groups, group))
                    g_ptr_array_add(ret_groups, group);
            }
        }
    }
}

VirgaHaproxy *
virga_haproxy_new(const VirgaKernelConfig *config, const VirgaVpcPlan *plan, const char *directory,
                  const char *socket)
{
    g_autoptr(GHashTable) groups = g_hash_table_new(NULL, NULL);
    Writer writer = { g_string_new(NULL), g_new0(VirgaHaproxy, 1), plan, directory, groups };
    bool any = false;

    writer.haproxy->files = g_ptr_array_new_with_free_func((GDestroyNotify) file_free);
    writer.haproxy->servers = g_ptr_array_new_with_free_func(g_free);
    append_head(writer.text, config, directory, socket);
    for (guint i = 0; i < plan->balancers->len; i++) {
        const VirgaBalancer *balancer = plan->balancers->pdata[i];
        g_autoptr(GPtrArray) addresses = addresses_of(config, plan, balancer);
        g_autoptr(GPtrArray) its = g_ptr_array_new();

        if (addresses->len == 0 || balancer->listeners->len == 0)
            continue;
        any = true;
        for (guint l = 0; l < balancer->listeners->len; l++)
            append_frontend(&writer, balancer, balancer->listeners->pdata[l], addresses);
        note_groups(&writer, balancer, its);
        for (guint g = 0; g < its->len; g++) {
            append_backend(&writer, its->pdata[g], balancer, addresses->pdata[0], true);
            append_backend(&writer, its->pdata[g], balancer, addresses->pdata[0], false);
        }
    }
    writer.haproxy->config = g_string_free(writer.text, FALSE);
    if (!any)
        g_clear_pointer(&writer.haproxy, virga_haproxy_free);
    return writer.haproxy;
}
