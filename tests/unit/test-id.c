/* SPDX-License-Identifier: Apache-2.0 */
#include "core/id.h"

#include <string.h>

static void
test_round_trip(void)
{
    for (int i = 0; i < 1000; i++) {
        g_autofree char *id = virga_id_new("vol");
        g_autofree char *back = NULL;
        char uuid[VIRGA_UUID_SIZE];

        g_assert_true(virga_id_is(id, "vol"));
        g_assert_cmpuint(strlen(id), ==, 21); /* 20 bytes without the dash: a virtio serial */
        g_assert_true(virga_id_to_uuid(id, uuid));
        g_assert_true(g_str_has_prefix(uuid, "ec2"));
        g_assert_true(g_uuid_string_is_valid(uuid));
        back = virga_id_from_uuid("vol", uuid);
        g_assert_cmpstr(back, ==, id);
    }
}

static void
test_refuses(void)
{
    char uuid[VIRGA_UUID_SIZE];

    g_assert_true(virga_id_is("i-0123456789abcdef0", "i"));
    g_assert_true(virga_id_is("i-12345678", "i"));
    g_assert_false(virga_id_is("i-0123456789ABCDEF0", "i"));
    g_assert_false(virga_id_is("i-0123456789abcdef", "i"));
    g_assert_false(virga_id_is("i0123456789abcdef0", "i"));
    g_assert_false(virga_id_is("vol-0123456789abcdef0", "i"));
    g_assert_false(virga_id_is("", "i"));
    g_assert_false(virga_id_is(NULL, "i"));
    g_assert_false(virga_id_to_uuid("nonsense", uuid));
    g_assert_false(virga_id_to_uuid("i-12345678", uuid));
    g_assert_null(virga_id_from_uuid("i", "00000000-0000-4000-8000-000000000000"));
    g_assert_null(virga_id_from_uuid("i", "ec200000"));
}

static void
test_resource_type(void)
{
    g_assert_cmpstr(virga_id_resource_type("i-0123456789abcdef0"), ==, "instance");
    g_assert_cmpstr(virga_id_resource_type("sgr-0123456789abcdef0"), ==, "security-group-rule");
    g_assert_null(virga_id_resource_type("zebra-0123456789abcdef0"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/id/round-trip", test_round_trip);
    g_test_add_func("/id/refuses", test_refuses);
    g_test_add_func("/id/resource-type", test_resource_type);
    return g_test_run();
}
