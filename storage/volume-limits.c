/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/volume-limits.h"

#define MIB            ((gint64) 1 << 20)
#define GP2_BURST_IOPS 3000
#define GP2_CREDITS    5400000 /* of I/O */
#define GP2_SMALL_GIB  170     /* up to here it has less throughput */
#define SSD_IO_KIB     256     /* the largest that counts as one */
#define MAGNETIC_IOPS  200
#define MAGNETIC_MIB   90

gint64
virga_volume_iops(const char *type, gint64 size_gib)
{
    if (g_str_equal(type, "gp3"))
        return 3000;
    if (g_str_equal(type, "gp2"))
        return CLAMP(size_gib * 3, 100, 16000);
    return 0;
}

gint64
virga_volume_throughput(const char *type)
{
    return g_str_equal(type, "gp3") ? 125 : 0;
}

/* Full buckets last for as long as the burst is more than what flows in. */
static VirgaVolumeLimits
general(gint64 size_gib)
{
    gint64 base = virga_volume_iops("gp2", size_gib);
    VirgaVolumeLimits limits = { .iops = base,
                                 .bytes = (size_gib <= GP2_SMALL_GIB ? 128 : 250) * MIB };

    if (base < GP2_BURST_IOPS) {
        limits.iops_burst = GP2_BURST_IOPS;
        limits.iops_burst_s = GP2_CREDITS / (GP2_BURST_IOPS - base);
    }
    return limits;
}

static VirgaVolumeLimits
provisioned(gint64 iops, gint64 mib_max)
{
    return (VirgaVolumeLimits){ .iops = iops,
                                .bytes = MIN(iops * SSD_IO_KIB / 1024, mib_max) * MIB };
}

/* So many MiB/s for each TiB; a bucket holds a volume's size. */
static VirgaVolumeLimits
spinning(gint64 size_gib, gint64 base_mib, gint64 burst_mib, gint64 burst_mib_max)
{
    gint64 base = size_gib * base_mib * MIB / 1024;
    gint64 burst = MIN(size_gib * burst_mib / 1024, burst_mib_max) * MIB;
    VirgaVolumeLimits limits = { .bytes = MIN(base, burst_mib_max * MIB) };

    if (burst > limits.bytes) {
        limits.bytes_burst = burst;
        limits.bytes_burst_s = size_gib * 1024 * MIB / (burst - limits.bytes);
    }
    return limits;
}

VirgaVolumeLimits
virga_volume_limits(const char *type, gint64 size_gib, gint64 iops, gint64 throughput)
{
    if (g_str_equal(type, "gp2"))
        return general(size_gib);
    if (g_str_equal(type, "gp3"))
        return (VirgaVolumeLimits){
            .iops = iops ? iops : virga_volume_iops(type, size_gib),
            .bytes = (throughput ? throughput : virga_volume_throughput(type)) * MIB
        };
    if (g_str_equal(type, "io1"))
        return provisioned(iops, 1000);
    if (g_str_equal(type, "io2"))
        return provisioned(iops, 4000);
    if (g_str_equal(type, "st1"))
        return spinning(size_gib, 40, 250, 500);
    if (g_str_equal(type, "sc1"))
        return spinning(size_gib, 12, 80, 250);
    if (g_str_equal(type, "standard"))
        return (VirgaVolumeLimits){ .iops = MAGNETIC_IOPS, .bytes = MAGNETIC_MIB * MIB };
    return (VirgaVolumeLimits){ 0 };
}
