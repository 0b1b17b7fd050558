/* SPDX-License-Identifier: Apache-2.0 */
/* How fast a volume is.
 *
 * A type that bursts has a bucket, as EC2's credits are: the burst's rate for so many seconds, then
 * the base rate, at which the bucket fills again. */
#pragma once

#include <glib.h>

typedef struct {
    gint64 iops, iops_burst, iops_burst_s; /* a second; 0: no limit, no burst */
    gint64 bytes, bytes_burst, bytes_burst_s;
} VirgaVolumeLimits;

/* Those of a volume; 'iops' and 'throughput' (MiB/s) 0: of its type.  Pure.  An unknown type has
 * none. */
VirgaVolumeLimits virga_volume_limits(const char *type, gint64 size_gib, gint64 iops,
                                      gint64 throughput);

/* What a volume is shown to have if nothing else was asked for; 0: the type has no such figure. */
gint64 virga_volume_iops(const char *type, gint64 size_gib);
gint64 virga_volume_throughput(const char *type);
