/* SPDX-License-Identifier: Apache-2.0 */
/* Placement: which host, and why not the others. */
#include "scheduler/place.h"

#include <string.h>

#define HOSTS_MAX 12
#define ROUNDS    20000

static VirgaPlaceHost
host_of(const char *id, gint64 vcpus, gint64 memory_mib)
{
    return (VirgaPlaceHost){ .id = id,
                             .name = id,
                             .zone = "us-east-1a",
                             .up = true,
                             .vcpus = vcpus,
                             .memory_mib = memory_mib,
                             .disk_free_gib = 100 };
}

static void
test_verdicts(void)
{
    VirgaPlaceRequest request = { .vcpus = 2, .memory_mib = 1024, .disk_gib = 1 };
    VirgaPlaceHost host = host_of("h-1", 2, 1024);

    g_assert_cmpint(virga_place_judge(&request, &host), ==, VIRGA_PLACE_FITS);
    host.vcpus_claimed = 1;
    g_assert_cmpint(virga_place_judge(&request, &host), ==, VIRGA_PLACE_NO_VCPUS);
    host.vcpus_claimed = 0;
    host.memory_claimed_mib = 1;
    g_assert_cmpint(virga_place_judge(&request, &host), ==, VIRGA_PLACE_NO_MEMORY);
    host.memory_claimed_mib = 0;
    host.disk_free_gib = 0;
    g_assert_cmpint(virga_place_judge(&request, &host), ==, VIRGA_PLACE_NO_DISK);
    request.disk_gib = 0; /* a start needs no new disk */
    g_assert_cmpint(virga_place_judge(&request, &host), ==, VIRGA_PLACE_FITS);
    host.barred = "holds another one";
    g_assert_cmpint(virga_place_judge(&request, &host), ==, VIRGA_PLACE_BARRED);
    host.trouble = "libvirt is away";
    g_assert_cmpint(virga_place_judge(&request, &host), ==, VIRGA_PLACE_TROUBLE);
    host.up = false;
    g_assert_cmpint(virga_place_judge(&request, &host), ==, VIRGA_PLACE_DOWN);
    request.zone = "us-east-1b";
    g_assert_cmpint(virga_place_judge(&request, &host), ==, VIRGA_PLACE_OTHER_ZONE);
    request.host_id = "h-2";
    g_assert_cmpint(virga_place_judge(&request, &host), ==, VIRGA_PLACE_OTHER_HOST);
}

static void
test_choice(void)
{
    VirgaPlaceRequest request = { .vcpus = 1, .memory_mib = 512, .zone = "us-east-1a" };
    VirgaPlaceHost hosts[] = { host_of("h-big", 16, 65536), host_of("h-b", 4, 2048),
                               host_of("h-a", 4, 2048), host_of("h-small", 4, 256) };

    /* The fullest that fits; of equals the smaller id. */
    g_assert_cmpstr(virga_place(&request, hosts, G_N_ELEMENTS(hosts))->id, ==, "h-a");
    hosts[1].vcpus = 2;
    g_assert_cmpstr(virga_place(&request, hosts, G_N_ELEMENTS(hosts))->id, ==, "h-b");
    hosts[0].memory_claimed_mib = 65536 - 600;
    g_assert_cmpstr(virga_place(&request, hosts, G_N_ELEMENTS(hosts))->id, ==, "h-big");
    request.host_id = "h-a";
    g_assert_cmpstr(virga_place(&request, hosts, G_N_ELEMENTS(hosts))->id, ==, "h-a");
    request.memory_mib = 4096;
    g_assert_null(virga_place(&request, hosts, G_N_ELEMENTS(hosts)));
    g_assert_null(virga_place(&request, hosts, 0));
}

static void
test_explain(void)
{
    VirgaPlaceRequest request = {
        .zone = "us-east-1a", .vcpus = 4, .memory_mib = 8192, .disk_gib = 10
    };
    VirgaPlaceHost hosts[] = { host_of("h-1", 8, 16384), host_of("h-2", 8, 16384),
                               host_of("h-3", 8, 16384), host_of("h-4", 8, 16384),
                               host_of("h-5", 8, 16384), host_of("h-6", 8, 16384) };
    g_autofree char *text = NULL, *none = NULL;

    hosts[1].zone = "us-east-1b";
    hosts[2].up = false;
    hosts[3].vcpus_claimed = 6;
    hosts[4].memory_claimed_mib = 10240;
    hosts[5].disk_free_gib = 3;
    text = virga_place_explain(&request, hosts, G_N_ELEMENTS(hosts));
    g_assert_cmpstr(text, ==,
                    "h-1: fits\n"
                    "h-2: is in zone us-east-1b\n"
                    "h-3: has not been heard of lately\n"
                    "h-4: 2 of 8 vCPUs are free, 4 are needed\n"
                    "h-5: 6144 of 16384 MiB of memory are free, 8192 are needed\n"
                    "h-6: 3 GiB of disk are free, 10 are needed");
    none = virga_place_explain(&request, hosts, 0);
    g_assert_cmpstr(none, ==, "no host has joined the cloud");
}

static gint64
below(GRand *rand, gint32 limit)
{
    return g_rand_int_range(rand, 0, limit);
}

static size_t
random_hosts(GRand *rand, VirgaPlaceHost *hosts)
{
    static const char *const ids[HOSTS_MAX] = { "h-0", "h-1", "h-2", "h-3", "h-4", "h-5",
                                                "h-6", "h-7", "h-8", "h-9", "h-a", "h-b" };
    size_t count = (size_t) below(rand, HOSTS_MAX + 1);

    for (size_t i = 0; i < count; i++) {
        hosts[i] = host_of(ids[i], below(rand, 16), below(rand, 16) * 512);
        hosts[i].vcpus_claimed = below(rand, 16); /* more than there is: the host has shrunk */
        hosts[i].memory_claimed_mib = below(rand, 16) * 512;
        hosts[i].disk_free_gib = below(rand, 4);
        hosts[i].up = below(rand, 8) > 0;
        hosts[i].trouble = below(rand, 8) > 0 ? NULL : "trouble";
        hosts[i].zone = below(rand, 2) ? "us-east-1a" : "us-east-1b";
    }
    return count;
}

static void
shuffle(GRand *rand, VirgaPlaceHost *hosts, size_t count)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t) below(rand, (gint32) i);
        VirgaPlaceHost host = hosts[i - 1];

        hosts[i - 1] = hosts[j];
        hosts[j] = host;
    }
}

/* Whatever the cloud looks like: the choice fits, none is made only if none fits, and the order in
 * which hosts are listed does not matter. */
static void
test_random(void)
{
    g_autoptr(GRand) rand = g_rand_new_with_seed(20240607);

    for (int round = 0; round < ROUNDS; round++) {
        VirgaPlaceHost hosts[HOSTS_MAX];
        size_t count = random_hosts(rand, hosts), fitting = 0;
        VirgaPlaceRequest request = { .zone = below(rand, 2) ? "us-east-1a" : NULL,
                                      .vcpus = below(rand, 6),
                                      .memory_mib = below(rand, 6) * 512,
                                      .disk_gib = below(rand, 3) };
        const VirgaPlaceHost *host = virga_place(&request, hosts, count);
        const char *id = host ? host->id : NULL;

        if (host) {
            g_assert_cmpint(host->vcpus_claimed + request.vcpus, <=, host->vcpus);
            g_assert_cmpint(host->memory_claimed_mib + request.memory_mib, <=, host->memory_mib);
            g_assert_cmpint(host->disk_free_gib, >=, request.disk_gib);
            g_assert_true(host->up && !host->trouble);
            g_assert_true(!request.zone || g_str_equal(request.zone, host->zone));
        }
        for (size_t i = 0; i < count; i++)
            fitting += virga_place_judge(&request, &hosts[i]) == VIRGA_PLACE_FITS;
        g_assert_cmpint(fitting > 0, ==, host != NULL);
        shuffle(rand, hosts, count);
        host = virga_place(&request, hosts, count);
        g_assert_cmpstr(id, ==, host ? host->id : NULL);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/place/verdicts", test_verdicts);
    g_test_add_func("/place/choice", test_choice);
    g_test_add_func("/place/explain", test_explain);
    g_test_add_func("/place/random", test_random);
    return g_test_run();
}
