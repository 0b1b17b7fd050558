/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a disk in a guest so that its content tells every write that reached it.
 *
 *   pattern write DEVICE SEED BLOCKS FIRST COUNT   writes FIRST, FIRST + 1, … until it is killed
 *   pattern check DEVICE SEED BLOCKS LOW HIGH      prints the last number there is, and bytes read
 *
 * Number n is one block of 4 KiB, at a place and with a content that follow from SEED and n alone;
 * it is on the disk (fdatasync) before it is printed and before the next one begins.  So at any
 * moment the disk is exactly what the numbers up to some n make of it: "check" finds that n, and
 * compares every byte with what n numbers leave.  COUNT is a file with the last number begun. */
#include <errno.h>
#include <error.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 4096
#define WORDS (BLOCK / sizeof(uint64_t))
#define BATCH 64 /* blocks that are read at once */

/* The finalizer of SplitMix64: every input has an output that looks like chance. */
static uint64_t
mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t
place_of(uint64_t seed, uint64_t n, uint64_t blocks)
{
    return mix(seed ^ mix(n)) % blocks;
}

/* The block's first word is n, so that a reader knows what the rest has to be. */
static void
fill(uint64_t block[static WORDS], uint64_t seed, uint64_t n)
{
    uint64_t state = mix(seed) ^ mix(~n);

    block[0] = n;
    for (size_t i = 1; i < WORDS; i++)
        block[i] = mix(state + i);
}

static uint64_t
number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);

    if (end == text || *end)
        error(2, 0, "\"%s\" is no number", text);
    return value;
}

static void
write_on(int fd, uint64_t seed, uint64_t blocks, uint64_t first, const char *count_path)
{
    int count_fd = open(count_path, O_RDWR | O_CREAT | O_TRUNC, 0644);
    char line[32];
    uint64_t block[WORDS];

    if (count_fd < 0)
        error(1, errno, "%s", count_path);
    for (uint64_t n = first;; n++) {
        int length = snprintf(line, sizeof line, "%020" PRIu64 "\n", n);

        if (pwrite(count_fd, line, length, 0) != length)
            error(1, errno, "%s", count_path);
        fill(block, seed, n);
        if (pwrite(fd, block, BLOCK, (off_t) (place_of(seed, n, blocks) * BLOCK)) != BLOCK ||
            fdatasync(fd) < 0)
            error(1, errno, "number %" PRIu64, n);
        printf("%" PRIu64 "\n", n);
        fflush(stdout);
    }
}

static void
read_all(int fd, char *into, uint64_t blocks)
{
    for (uint64_t at = 0; at < blocks; at += BATCH) {
        size_t wanted = (blocks - at < BATCH ? blocks - at : BATCH) * BLOCK;
        ssize_t got = pread(fd, into + at * BLOCK, wanted, (off_t) (at * BLOCK));

        if (got != (ssize_t) wanted)
            error(1, got < 0 ? errno : 0, "could not read block %" PRIu64, at);
    }
}

/* The numbers that each block shall have after 'last' of them; 0: none was there yet. */
static uint64_t *
numbers_after(uint64_t seed, uint64_t blocks, uint64_t last)
{
    uint64_t *numbers = calloc(blocks, sizeof *numbers);

    if (!numbers)
        error(1, errno, "no memory");
    for (uint64_t n = 1; n <= last; n++)
        numbers[place_of(seed, n, blocks)] = n;
    return numbers;
}

static void
check(int fd, uint64_t seed, uint64_t blocks, uint64_t low, uint64_t high)
{
    char *disk = aligned_alloc(BLOCK, blocks * BLOCK); /* the device is read past its cache */
    uint64_t expected[WORDS], last = 0, wrong = 0, *numbers;

    if (!disk)
        error(1, errno, "no memory");
    read_all(fd, disk, blocks);
    for (uint64_t at = 0; at < blocks; at++) {
        uint64_t n;

        memcpy(&n, disk + at * BLOCK, sizeof n);
        last = n > last && n <= high && place_of(seed, n, blocks) == at ? n : last;
    }
    numbers = numbers_after(seed, blocks, last);
    for (uint64_t at = 0; at < blocks; at++) {
        uint64_t found;

        memcpy(&found, disk + at * BLOCK, sizeof found);
        memset(expected, 0, sizeof expected);
        if (numbers[at])
            fill(expected, seed, numbers[at]);
        if (memcmp(disk + at * BLOCK, expected, BLOCK) != 0 && wrong++ < 8)
            fprintf(stderr,
                    "block %" PRIu64 " shall have number %" PRIu64 " and has %" PRIu64 "%s\n", at,
                    numbers[at], found, found == numbers[at] ? ", not whole" : "");
    }
    if (wrong)
        error(1, 0, "%" PRIu64 " blocks are not as after number %" PRIu64, wrong, last);
    if (last < low)
        error(1, 0, "the last number is %" PRIu64 ", and %" PRIu64 " had been synced", last, low);
    printf("%" PRIu64 " %" PRIu64 "\n", last, blocks * BLOCK);
}

int
main(int argc, char **argv)
{
    bool writes = argc == 7 && strcmp(argv[1], "write") == 0;
    uint64_t seed, blocks;
    int fd;

    if (!writes && (argc != 7 || strcmp(argv[1], "check") != 0))
        error(2, 0,
              "usage: pattern write DEVICE SEED BLOCKS FIRST COUNT |"
              " check DEVICE SEED BLOCKS LOW HIGH");
    fd = open(argv[2], writes ? O_RDWR : O_RDONLY | O_DIRECT);
    if (fd < 0)
        error(1, errno, "%s", argv[2]);
    seed = number(argv[3]);
    blocks = number(argv[4]);
    if (blocks == 0)
        error(2, 0, "no blocks");
    if (writes)
        write_on(fd, seed, blocks, number(argv[5]), argv[6]);
    check(fd, seed, blocks, number(argv[5]), number(argv[6]));
    return 0;
}
