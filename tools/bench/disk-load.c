/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a disk in a guest: "disk-load DEVICE read|write BYTES random|along SECONDS" prints how many
 * requests of BYTES it answered in a second, one after the other, past the guest's cache. */
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ALIGNMENT 4096
#define SPAN      ((uint64_t) 256 << 20) /* of the disk, which has been written before */

static double
now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec + (double) now.tv_nsec * 1e-9;
}

int
main(int argc, char **argv)
{
    bool writes, is_random;
    uint64_t size, places, chance = 88172645463325252u, count = 0;
    double end, start;
    char *bytes;
    int fd;

    if (argc != 6)
        error(2, 0, "usage: disk-load DEVICE read|write BYTES random|along SECONDS");
    writes = strcmp(argv[2], "write") == 0;
    is_random = strcmp(argv[4], "random") == 0;
    size = strtoull(argv[3], NULL, 10);
    if (size == 0 || size % ALIGNMENT || size > SPAN)
        error(2, 0, "\"%s\" bytes are no request", argv[3]);
    places = SPAN / size;
    fd = open(argv[1], (writes ? O_RDWR : O_RDONLY) | O_DIRECT);
    bytes = aligned_alloc(ALIGNMENT, size);
    if (fd < 0 || !bytes)
        error(1, errno, "%s", argv[1]);
    memset(bytes, 0x5a, size);
    start = now_s();
    end = start + strtod(argv[5], NULL);
    for (; now_s() < end; count++) {
        uint64_t place = count % places;
        off_t at;

        chance ^= chance << 13; /* Marsaglia's xorshift */
        chance ^= chance >> 7;
        chance ^= chance << 17;
        if (is_random)
            place = chance % places;
        at = (off_t) (place * size);
        if ((writes ? pwrite(fd, bytes, size, at) : pread(fd, bytes, size, at)) != (ssize_t) size)
            error(1, errno, "at %lld", (long long) at);
    }
    printf("%.1f\n", (double) count / (now_s() - start));
    return 0;
}
