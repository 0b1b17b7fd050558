/* SPDX-License-Identifier: Apache-2.0 */
/* Load balancers: the plan's check, HAProxy's configuration and what HAProxy answers. */
#include "golden.h"
#include "kernel-priv.h"

#include "core/error.h"

#include <string.h>

#define DIRECTORY "/state/haproxy"
#define SOCKET    "/run/haproxy.socket"

static char *
example_text(void)
{
    char *text = NULL;
    g_autoptr(GError) error = NULL;

    g_file_get_contents(DATA_DIRECTORY "/balancer-plan.json", &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

static VirgaKernelConfig
example_config(void)
{
    return (VirgaKernelConfig){ .tag = (char *) "abc",
                                .host_id = (char *) "host-1",
                                .haproxy_user = (char *) "haproxy",
                                .haproxy_threads = 2,
                                .mtu = 1500 };
}

static VirgaHaproxy *
generate(const char *text, GError **error)
{
    g_autoptr(VirgaVpcPlan) plan = virga_vpc_plan_from_text(text, error);
    const VirgaKernelConfig config = example_config();

    return plan ? virga_haproxy_new(&config, plan, DIRECTORY, SOCKET) : NULL;
}

static void
test_round_trip(void)
{
    g_autofree char *text = example_text();
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaVpcPlan) plan = virga_vpc_plan_from_text(text, &error);
    g_autoptr(VirgaVpcPlan) again = NULL;
    g_autofree char *first = NULL, *second = NULL;

    g_assert_no_error(error);
    first = virga_vpc_plan_to_text(plan);
    again = virga_vpc_plan_from_text(first, &error);
    g_assert_no_error(error);
    second = virga_vpc_plan_to_text(again);
    g_assert_cmpstr(first, ==, second);
}

static void
test_config(void)
{
    g_autofree char *text = example_text();
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaHaproxy) haproxy = generate(text, &error);
    g_autoptr(GString) all = NULL;

    g_assert_no_error(error);
    all = g_string_new(haproxy->config);
    for (guint i = 0; i < haproxy->files->len; i++) {
        const VirgaHaproxyFile *file = haproxy->files->pdata[i];
        g_string_append_printf(all, "\n-- %s\n%s", file->name, file->text);
    }
    golden_assert("network/haproxy", all->str);
}

static void
test_policy(void)
{
    g_autofree char *text = example_text();
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaVpcPlan) plan = virga_vpc_plan_from_text(text, &error);
    const VirgaKernelConfig config = example_config();
    g_autoptr(VirgaRuleset) ruleset = NULL;
    g_autofree char *policy = NULL;

    g_assert_no_error(error);
    ruleset = virga_policy_vpc(&config, plan);
    virga_policy_udp(ruleset, &config, plan, NULL);
    policy = virga_ruleset_text(ruleset);
    golden_assert("network/policy-balancer.nft", policy);
}

static void
add_entry(VirgaVpcAcl *acl, int number, bool egress, bool allow, const char *cidr)
{
    VirgaVpcAclEntry *entry = virga_vpc_acl_add_entry(acl, number, egress, allow);

    entry->protocol = g_strdup("-1");
    entry->from_port = entry->to_port = -1;
    entry->cidr4 = g_strdup(cidr);
}

/* An ACL of the nodes' subnet is asked about both of their sides. */
static void
test_acls(void)
{
    g_autofree char *text = example_text();
    g_autoptr(VirgaVpcPlan) plan = virga_vpc_plan_from_text(text, NULL);
    const VirgaKernelConfig config = example_config();
    VirgaVpcAcl *acl = virga_vpc_plan_add_acl(plan, "acl-08000000000000001");
    g_autoptr(VirgaRuleset) open = NULL, ruleset = NULL;
    g_autofree char *policy = NULL;

    open = virga_policy_vpc(&config, plan);
    virga_policy_udp(open, &config, plan, NULL);
    acl->is_default = true;
    add_entry(acl, 100, false, false, "192.0.2.0/24");
    add_entry(acl, 200, false, true, "0.0.0.0/0");
    add_entry(acl, 100, true, false, "198.51.100.0/24");
    add_entry(acl, 200, true, true, "0.0.0.0/0");
    ruleset = virga_policy_vpc(&config, plan);
    virga_policy_udp(ruleset, &config, plan, NULL);
    policy = virga_ruleset_diff(open, ruleset);
    golden_assert("network/policy-balancer-acl.nft", policy);
}

/* A flow whose target has no part in it any more is forgotten, and no other one. */
static void
test_udp_flows(void)
{
    g_autofree char *text = example_text();
    g_autoptr(VirgaVpcPlan) plan = virga_vpc_plan_from_text(text, NULL);
    const VirgaKernelConfig config = example_config();
    VirgaTargetGroup *group = plan->target_groups->pdata[3];
    VirgaTargetHealth out = { group->id, (char *) "172.31.1.11", 53, false, true, NULL, 0 };
    g_autoptr(GPtrArray) health = g_ptr_array_new();
    g_autoptr(VirgaUdpFlows) all = NULL, one = NULL, none = NULL;
    /* 10.0.0.9 to the node, sent on to 172.31.1.11 */
    VirgaConnection connection = { 0x0a000009, 0xac1f0165, 0xac1f010b, 0xac1f0165, true, true };

    virga_target_group_add(group, "172.31.1.12", 53);
    all = virga_udp_flows_new(&config, plan, NULL);
    g_ptr_array_add(health, &out);
    one = virga_udp_flows_new(&config, plan, health);
    g_assert_cmpuint(g_hash_table_size(all->targets), ==, 2);
    g_assert_cmpuint(g_hash_table_size(one->targets), ==, 1);
    g_assert_false(virga_udp_flows_stay(NULL, all));
    g_assert_false(virga_udp_flows_stay(all, one));
    g_assert_true(virga_udp_flows_stay(one, all));
    g_assert_false(virga_udp_is_stale(&connection, all));
    g_assert_true(virga_udp_is_stale(&connection, one));
    connection.destination = 0x0a000001; /* to somebody else */
    g_assert_false(virga_udp_is_stale(&connection, one));
    g_ptr_array_set_size(group->targets, 1);
    none = virga_udp_flows_new(&config, plan, health);
    g_assert_cmpuint(g_hash_table_size(none->targets), ==, 1); /* nobody is well: all are tried */
}

static void
test_nowhere(void)
{
    g_autofree char *text = example_text();
    g_autoptr(VirgaVpcPlan) plan = virga_vpc_plan_from_text(text, NULL);
    VirgaKernelConfig config = example_config();

    config.host_id = (char *) "host-3";
    g_assert_null(virga_haproxy_new(&config, plan, DIRECTORY, SOCKET));
}

/* The plan with one text in place of another; the first place only. */
static char *
replaced(const char *text, const char *old, const char *new)
{
    GString *result = g_string_new(text);

    g_assert_cmpuint(g_string_replace(result, old, new, 1), ==, 1);
    return g_string_free(result, FALSE);
}

static void
test_refusals(void)
{
    static const char *const cases[][2] = {
        { "\"/old/*\"", "\"/old\\n\"" },
        { "\"/old/*\"", "\"\"" },
        { "\"/old/*\"", "\"/\\u00e9\"" },
        { "[\"/old/*\", \"/a?\"]", "[]" },
        { "\"X-Kind\"", "\"X-Kind) -m found }\"" },
        { "\"name\": \"X-Kind\", ", "" },
        { "[\"version\", \"\"]", "[\"version\"]" },
        { "\"GET\"", "\"GET }\"" },
        { "10.0.0.0/8", "10.0.0.0/8 10.1.0.0/16" },
        { "www.#{host}", "www.#{host}'" },
        { "www.#{host}", "www.%[env(HOME)]" },
        { "www.#{host}", "www.#{home}" },
        { "/%41/#{path}", "/a b" },
        { "/%41/#{path}", "/a\\\\" },
        { "\"status\": 301", "\"status\": 307" },
        { "\"status\": 404", "\"status\": 100" },
        { "text/html", "text/html file" },
        { "\"priority\": 20", "\"priority\": 10" },
        { "\"priority\": 0", "\"priority\": 60" },
        { "tg-08000000000000001\", \"weight\": 1", "tg-0800000000000000f\", \"weight\": 1" },
        { "\"weight\": 3", "\"weight\": 1000" },
        { "TLSv1.2", "SSLv3" },
        { "ECDHE-ECDSA", "ECDHE ECDSA" },
        { "\"h2\"", "\"h2,h3\"" },
        { "\"id\": \"one\"", "\"id\": \"../one\"" },
        { "\"port\": 443, \"tls", "\"port\": 80, \"tls" },
        { "\"port\": 7, ", "\"port\": 0, " },
        { "\"protocol\": \"TCP\", \"port\"", "\"protocol\": \"HTTP\", \"port\"" },
        { "\"session\"", "\"session prefix\"" },
        { "\"roundrobin\"", "\"roundrobin\\n\"" },
        { "/health?deep=%20", "/health deep" },
        { "/health?deep=%20", "/'" },
        { "200-299,301", "200 ! 404" },
        { "\"health_interval_s\": 30", "\"health_interval_s\": 0" },
        { "172.31.1.11\", \"port\": 81", "172.31.1.11\", \"port\": 80" },
        { "web-0000000000000001.us-east-1.elb.amazonaws.com", "web server=1.2.3.4" },
        { "\"append\"", "\"prepend\"" },
        { "\"eni-08000000000000005\", \"eni-08000000000000007\"", "\"eni-08000000000000001\"" },
        { "lsn-08000000000000002", "lsn-08000000000000001" },
    };
    g_autofree char *text = example_text();

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *changed = replaced(text, cases[i][0], cases[i][1]);
        g_autoptr(GError) error = NULL;
        g_autoptr(VirgaVpcPlan) plan = virga_vpc_plan_from_text(changed, &error);

        if (plan)
            g_error("accepted: %s", cases[i][1]);
        g_assert_cmpint(error->code, ==, VIRGA_ERROR_INVALID);
    }
}

/* ---- no text of a tenant means anything but itself ---- */

/* The words that lines begin with: what a line is. */
static char *
skeleton(const char *config)
{
    g_auto(GStrv) lines = g_strsplit(config, "\n", -1);
    GString *text = g_string_new(NULL);

    for (char **line = lines; *line; line++) {
        g_auto(GStrv) words = g_strsplit(g_strstrip(*line), " ", 3);
        unsigned quotes = 0;

        for (const char *at = *line; *at; at++) {
            g_assert_true(*at >= ' ' && *at <= '~');
            quotes += *at == '\'';
            if (quotes % 2 == 0)
                g_assert_null(strchr("\"$\\", *at)); /* outside quotes nothing is special */
        }
        g_assert_cmpuint(quotes % 2, ==, 0);
        g_string_append_printf(text, "%s %s\n", words[0] ? words[0] : "",
                               words[0] && words[1] ? words[1] : "");
    }
    return g_string_free(text, FALSE);
}

static char *
random_text(void)
{
    static const char *const spices[] = { "'",    "\"",  "\\n", "\\r", " ",       "%[env(A)]",
                                          "\\\\", "#",   "{",   "}",   "$HOME",   "\\u0000",
                                          "*",    "?",   "|",   ")",   "#{host}", "%",
                                          "\\t",  "if ", "&",   "a",   "/",       "\\u00e9" };
    GString *text = g_string_new("/");

    for (int i = g_test_rand_int_range(0, 12); i > 0; i--)
        g_string_append(text, spices[g_test_rand_int_range(0, G_N_ELEMENTS(spices))]);
    return g_string_free(text, FALSE);
}

static void
test_injection(void)
{
    /* Each of these stands where a tenant writes. */
    static const char *const places[] = {
        "/old/*",
        "*.example.org",
        "it's \\\"$HOME\\\" (1+1)",
        "version",
        "2*",
        "any",
        "GET",
        "www.#{host}",
        "/%41/#{path}",
        "#{query}",
        "8080",
        "text/html",
        "<b>not",
        "/health?deep=%20",
        "200-299,301",
        "session\"",
        "X-Kind",
        "first",
    };
    g_autofree char *text = example_text();
    g_autoptr(VirgaHaproxy) plain = generate(text, NULL);
    g_autofree char *shape = skeleton(plain->config);
    unsigned taken = 0;

    for (int i = 0; i < 4000; i++) {
        const char *place = places[(size_t) i % G_N_ELEMENTS(places)];
        g_autofree char *spice = random_text();
        g_autofree char *new = g_str_has_suffix(place, "\"") && !strchr(place, ' ')
                                   ? g_strconcat(spice, "\"", NULL)
                                   : g_strdup(spice);
        g_autofree char *changed = replaced(text, place, new);
        g_autoptr(VirgaHaproxy) haproxy = generate(changed, NULL);
        g_autofree char *its = NULL;

        if (!haproxy)
            continue;
        taken++;
        its = skeleton(haproxy->config);
        /* A fixed query has one line less than one that is kept. */
        if (!g_str_equal(place, "#{query}"))
            g_assert_cmpstr(its, ==, shape);
    }
    g_assert_cmpuint(taken, >, 500); /* it has not been refused altogether */
}

/* ---- answers ---- */

static void
test_states(void)
{
    static const char answer[] = "1\n# be_id be_name …\n"
                                 "3 tg-08000000000000001 1 172.31.1.11:80 172.31.1.11 2 0 1 1 20 "
                                 "15 3 3 6 0 0 0 - 80 - 0 0 - "
                                 "- 0\n"
                                 "3 open-tg-08000000000000001 1 172.31.1.11:80 172.31.1.11 2 0 1 1 "
                                 "20 15 3 3 6 0 0 0 - 80 - 0 "
                                 "0 - - 0\n"
                                 "short line\n\n";
    g_autofree char *text = example_text();
    g_autoptr(VirgaHaproxy) haproxy = generate(text, NULL);
    g_autofree char *states = virga_haproxy_states(haproxy, answer);
    g_autofree char *none = virga_haproxy_states(haproxy, "");

    golden_assert("network/haproxy-states", states);
    g_assert_nonnull(strstr(states, "172.31.1.11:80 172.31.1.11 2 0"));
    g_assert_nonnull(strstr(none, "172.31.1.11:80 172.31.1.11 0 0"));
}

static void
test_health(void)
{
    static const char answer[] = "# pxname,svname,status,check_status,check_code,last\n"
                                 "tg-1,10.0.0.1:80,UP,L7OK,200,\n"
                                 "tg-1,10.0.0.2:80,UP 1/2,* L7STS,500,\n"
                                 "tg-1,10.0.0.3:80,DOWN,L7STS,404,\n"
                                 "tg-1,10.0.0.4:80,DOWN,L4TOUT,,\n"
                                 "tg-1,10.0.0.5:80,DOWN,INI,,\n"
                                 "tg-1,10.0.0.6:80,DOWN 1/5,L7OK,200,\n"
                                 "tg-1,10.0.0.7:80,DOWN,* L4CON,,\n"
                                 "tg-1,10.0.0.8:80,no check,,,\n"
                                 "tg-1,BACKEND,UP,,,\n"
                                 "open-tg-1,10.0.0.1:80,no check,,,\n"
                                 "tg-1,10.0.0.9\n"
                                 "tg-1,10.0.0.9:x,UP,L7OK,,\n";
    static const struct {
        bool healthy, known;
        const char *reason;
        int code;
    } want[] = {
        { true, true, NULL, 0 },       { true, true, NULL, 0 },   { false, true, "code", 404 },
        { false, true, "timeout", 0 }, { false, false, NULL, 0 }, { false, false, NULL, 0 },
        { false, true, "refused", 0 }, { true, true, NULL, 0 },
    };
    g_autoptr(GPtrArray) targets = virga_haproxy_parse_health(answer);
    g_autoptr(GPtrArray) none = virga_haproxy_parse_health("");
    g_autoptr(GPtrArray) foreign = virga_haproxy_parse_health("# a,b\n1,2\n");

    g_assert_cmpuint(targets->len, ==, G_N_ELEMENTS(want));
    for (guint i = 0; i < targets->len; i++) {
        const VirgaTargetHealth *is = targets->pdata[i];

        g_assert_cmpint(is->healthy, ==, want[i].healthy);
        g_assert_cmpint(is->known, ==, want[i].known);
        g_assert_cmpstr(is->reason, ==, want[i].reason);
        g_assert_cmpint(is->http_code, ==, want[i].code);
    }
    g_assert_cmpuint(none->len + foreign->len, ==, 0);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/balancer/round-trip", test_round_trip);
    g_test_add_func("/balancer/config", test_config);
    g_test_add_func("/balancer/policy", test_policy);
    g_test_add_func("/balancer/acls", test_acls);
    g_test_add_func("/balancer/udp-flows", test_udp_flows);
    g_test_add_func("/balancer/nowhere", test_nowhere);
    g_test_add_func("/balancer/refusals", test_refusals);
    g_test_add_func("/balancer/injection", test_injection);
    g_test_add_func("/balancer/states", test_states);
    g_test_add_func("/balancer/health", test_health);
    return g_test_run();
}
