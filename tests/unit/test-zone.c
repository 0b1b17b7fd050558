/* SPDX-License-Identifier: Apache-2.0 */
#include "core/zone.h"

static void
test_ids(void)
{
    static const char *const rows[][3] = {
        { "us-east-1", "us-east-1a", "use1-az1" },
        { "eu-north-1", "eu-north-1b", "eun1-az2" },
        { "ap-southeast-2", "ap-southeast-2c", "apse2-az3" },
        { "eu-central-1", "eu-central-1a", "euc1-az1" },
        { "us-gov-west-1", "us-gov-west-1a", "usgw1-az1" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *id = virga_zone_id(rows[i][0], rows[i][1]);

        g_assert_cmpstr(id, ==, rows[i][2]);
    }
    g_assert_null(virga_zone_id("us-east-1", NULL));
    g_assert_null(virga_zone_id("us-east-1", ""));
    g_assert_null(virga_zone_id(NULL, "us-east-1a"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/zone/ids", test_ids);
    return g_test_run();
}
