/* SPDX-License-Identifier: Apache-2.0 */
#include "api/errors.h"
#include "api/filter.h"
#include "api/page.h"
#include "core/error.h"
#include "tec2.h"

static const VirgaFilterField fields[] = {
    { "instance-state-name", "State.Name" },
    { "instance-state-code", "State.Code" },
    { "network-interface.group-id", "NetworkInterfaces.Groups.GroupId" },
    { "instance-id", "InstanceId" },
    { "reservation-id", NULL },
};

static const char *
outside(const char *name, const void *item, gpointer user_data)
{
    g_assert_cmpstr(name, ==, "reservation-id");
    return "r-1";
}

static bool
match(const char *name, const char *value, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    Tec2GroupIdentifier groups[] = { { .group_id = "sg-1" }, { .group_id = "sg-2" } };
    Tec2InstanceNetworkInterface interface = { .groups = { groups, 2 } };
    Tec2InstanceState state = { .name = "running", .code = 16, .has_code = true };
    Tec2Tag tags[] = { { .key = "Name", .value = "web-1" }, { .key = "env", .value = "" } };
    Tec2Instance instance = { .instance_id = "i-1",
                              .state = &state,
                              .tags = { tags, 2 },
                              .network_interfaces = { &interface, 1 } };
    const char *values[] = { "never", value };
    Tec2Filter asked[] = { { name, { values, 2 } }, { "instance-id", { &values[1], 0 } } };
    Tec2FilterList list = { asked, 1 };
    VirgaFilter *filter = virga_filter_new(arena, fields, &tec2_instance_shape, &list, error);

    return filter && virga_filter_match(filter, &instance, outside, NULL);
}

static void
test_match(void)
{
    g_assert_true(match("instance-state-name", "running", NULL));
    g_assert_true(match("instance-state-name", "run*", NULL));
    g_assert_false(match("instance-state-name", "Running", NULL));
    g_assert_true(match("instance-state-code", "16", NULL));
    g_assert_true(match("network-interface.group-id", "sg-2", NULL));
    g_assert_false(match("network-interface.group-id", "sg-3", NULL));
    g_assert_true(match("reservation-id", "r-?", NULL));
    g_assert_true(match("tag:Name", "web-*", NULL));
    g_assert_false(match("tag:name", "web-1", NULL));
    g_assert_true(match("tag:env", "", NULL));
    g_assert_true(match("tag-key", "env", NULL));
    g_assert_true(match("tag-value", "*-1", NULL));
    g_assert_false(match("tag-key", "web-1", NULL));
}

static void
test_unknown(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_false(match("colour", "red", &error));
    g_assert_true(virga_api_error_is(error, "InvalidParameterValue"));
    g_assert_cmpstr(error->message, ==, "The filter 'colour' is invalid");
}

static void
test_patterns(void)
{
    g_assert_true(virga_filter_pattern_match("*", ""));
    g_assert_true(virga_filter_pattern_match("", ""));
    g_assert_false(virga_filter_pattern_match("", "a"));
    g_assert_false(virga_filter_pattern_match("?", ""));
    g_assert_true(virga_filter_pattern_match("?", "\xC3\xA4"));
    g_assert_true(virga_filter_pattern_match("a*b*c", "a-b-b-c"));
    g_assert_false(virga_filter_pattern_match("a*b*c", "a-b-b-d"));
    g_assert_true(virga_filter_pattern_match("\\*", "*"));
    g_assert_false(virga_filter_pattern_match("\\*", "a"));
    g_assert_true(virga_filter_pattern_match("a\\\\b", "a\\b"));
    g_assert_true(virga_filter_pattern_match("\\", "\\"));
    g_assert_true(virga_filter_pattern_match("**a**", "bab"));
}

static void
test_pages(void)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(VirgaPager) pager = virga_pager_new("secret", 6);
    g_autoptr(VirgaPager) other = virga_pager_new("Secret", 6);
    const char *token = virga_page_token(pager, arena, "000000000001", "DescribeX", "i-\xC3\xA4/?");
    g_autofree char *forged = g_strdup(token);
    const char *key = "unset";

    g_assert_true(virga_page_key(pager, arena, "000000000001", "DescribeX", token, &key, NULL));
    g_assert_cmpstr(key, ==, "i-\xC3\xA4/?");
    g_assert_false(virga_page_key(pager, arena, "000000000002", "DescribeX", token, &key, NULL));
    g_assert_false(virga_page_key(pager, arena, "000000000001", "DescribeY", token, &key, NULL));
    g_assert_false(virga_page_key(other, arena, "000000000001", "DescribeX", token, &key, NULL));
    forged[0] = forged[0] == 'A' ? 'B' : 'A';
    g_assert_false(virga_page_key(pager, arena, "000000000001", "DescribeX", forged, &key, NULL));
    g_assert_false(virga_page_key(pager, arena, "000000000001", "DescribeX", "", &key, NULL));
    g_assert_false(virga_page_key(pager, arena, "000000000001", "DescribeX", "@@@", &key, NULL));
    g_assert_true(virga_page_key(pager, arena, "000000000001", "DescribeX", NULL, &key, NULL));
    g_assert_null(key);
}

static void
test_page_size(void)
{
    gint64 size;

    g_assert_true(virga_page_size(false, 0, 5, 1000, 0, &size, NULL));
    g_assert_cmpint(size, ==, 0);
    g_assert_true(virga_page_size(true, 5, 5, 1000, 0, &size, NULL));
    g_assert_cmpint(size, ==, 5);
    g_assert_false(virga_page_size(true, 4, 5, 1000, 0, &size, NULL));
    g_assert_false(virga_page_size(true, 1001, 5, 1000, 0, &size, NULL));
}

static void
assert_code(const char *noun, VirgaErrorCode code, const char *aws_code, unsigned status)
{
    g_autoptr(GError) error = NULL;

    virga_fail(&error, noun, code, "because");
    g_assert_cmpstr(virga_api_error(error).code, ==, aws_code);
    g_assert_cmpuint(virga_api_error(error).status, ==, status);
}

static void
test_errors(void)
{
    g_autoptr(GError) foreign = g_error_new(G_FILE_ERROR, 0, "disk on fire");

    assert_code("instance", VIRGA_ERROR_NOT_FOUND, "InvalidInstanceID.NotFound", 400);
    assert_code("instance", VIRGA_ERROR_RETRY, "Unavailable", 503);
    assert_code("database", VIRGA_ERROR_INTERNAL, "InternalError", 500);
    assert_code("security group", VIRGA_ERROR_IN_USE, "DependencyViolation", 400);
    assert_code("client token", VIRGA_ERROR_CONFLICT, "IdempotentParameterMismatch", 400);
    assert_code("instance", VIRGA_ERROR_CAPACITY, "InsufficientInstanceCapacity", 500);
    g_assert_cmpstr(virga_api_error(foreign).code, ==, "InternalError");
    g_assert_cmpstr(virga_api_error(foreign).message, !=, "disk on fire");
    g_assert_true(virga_api_error(foreign).hidden);
    g_assert_false(virga_api_check_id("i-1", "i", "InvalidInstanceID.Malformed", NULL));
    g_assert_true(virga_api_check_id("i-0123456789abcdef0", "i", "X", NULL));
}

/* The codec's handlers are not called here, but the tables point at them. */
#define HANDLER(name, Name)                                                                        \
    bool tec2_##name(VirgaCall *call, const Tec2##Name##Request *request,                          \
                     Tec2##Name##Response *response, GError **error)                               \
    {                                                                                              \
        return true;                                                                               \
    }
HANDLER(create_tags, CreateTags)
HANDLER(describe_instances, DescribeInstances)
HANDLER(describe_volumes, DescribeVolumes)
HANDLER(import_key_pair, ImportKeyPair)
HANDLER(run_instances, RunInstances)
HANDLER(associate_dhcp_options, AssociateDhcpOptions)

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/filter/match", test_match);
    g_test_add_func("/filter/unknown", test_unknown);
    g_test_add_func("/filter/patterns", test_patterns);
    g_test_add_func("/page/tokens", test_pages);
    g_test_add_func("/page/size", test_page_size);
    g_test_add_func("/errors/table", test_errors);
    return g_test_run();
}
