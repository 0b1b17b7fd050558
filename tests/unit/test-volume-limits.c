/* SPDX-License-Identifier: Apache-2.0 */
/* What each type of volume is worth. */
#include "storage/volume-limits.h"

#define MIB ((gint64) 1 << 20)

static const struct {
    const char *type;
    gint64 size_gib, iops, throughput;
    VirgaVolumeLimits limits;
} table[] = {
    { "gp3", 1, 0, 0, { .iops = 3000, .bytes = 125 * MIB } },
    { "gp3", 1, 5000, 400, { .iops = 5000, .bytes = 400 * MIB } },
    { "gp2",
      8,
      0,
      0,
      { .iops = 100, .iops_burst = 3000, .iops_burst_s = 1862, .bytes = 128 * MIB } },
    { "gp2",
      500,
      0,
      0,
      { .iops = 1500, .iops_burst = 3000, .iops_burst_s = 3600, .bytes = 250 * MIB } },
    { "gp2", 2000, 0, 0, { .iops = 6000, .bytes = 250 * MIB } },
    { "io1", 4, 100, 0, { .iops = 100, .bytes = 25 * MIB } },
    { "io1", 400, 20000, 0, { .iops = 20000, .bytes = 1000 * MIB } },
    { "io2", 400, 64000, 0, { .iops = 64000, .bytes = 4000 * MIB } },
    { "st1", 1024, 0, 0, { .bytes = 40 * MIB, .bytes_burst = 250 * MIB, .bytes_burst_s = 4993 } },
    { "st1", 16384, 0, 0, { .bytes = 500 * MIB } },
    { "sc1", 1024, 0, 0, { .bytes = 12 * MIB, .bytes_burst = 80 * MIB, .bytes_burst_s = 15420 } },
    { "standard", 10, 0, 0, { .iops = 200, .bytes = 90 * MIB } },
    { "nonesuch", 10, 0, 0, { 0 } },
};

static void
test_table(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        VirgaVolumeLimits limits = virga_volume_limits(table[i].type, table[i].size_gib,
                                                       table[i].iops, table[i].throughput);

        g_test_message("row %zu", i);
        g_assert_cmpmem(&limits, sizeof limits, &table[i].limits, sizeof table[i].limits);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/volume-limits/table", test_table);
    return g_test_run();
}
