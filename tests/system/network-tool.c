/* SPDX-License-Identifier: Apache-2.0 */
/* Drives the kernel network driver for tests: one command per line on standard input, one answer
 * per line: "ok MILLISECONDS CPU-MILLISECONDS [text]" or "error text".  Both are the driver's and
 * its programs' own: reading the plan is not counted.
 *
 *     apply PLAN   prepare PLAN PORT   plug PLAN PORT   tap-remove VPC|- TAP   remove VPC
 *     counters PLAN (PORT SENT-BYTES RECEIVED-BYTES of each)
 *     health PLAN (GROUP/ADDRESS:PORT healthy|initial|unhealthy/REASON/CODE of each target)
 *     list         listen VPC ADDRESS PORT  (answers every connection with its peer's address) */
#include "network/kernel.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static VirgaVpcPlan *
load(const char *path, GError **error)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, error))
        return NULL;
    return virga_vpc_plan_from_text(text, error);
}

static void *
serve(void *data)
{
    int fd = GPOINTER_TO_INT(data);
    struct pollfd ready = { fd, POLLIN, 0 };

    while (poll(&ready, 1, -1) > 0) {
        struct sockaddr_in peer;
        socklen_t length = sizeof peer;
        int client = accept(fd, (struct sockaddr *) &peer, &length);
        g_autofree char *text = NULL;

        if (client < 0)
            continue;
        text = g_strdup_printf("HTTP/1.0 200 OK\r\n\r\n%s", inet_ntoa(peer.sin_addr));
        if (write(client, text, strlen(text)) < 0)
            perror("write");
        shutdown(client, SHUT_WR);
        close(client);
    }
    return NULL;
}

static char *
describe(VirgaNetworkDriver *driver, GError **error)
{
    g_autoptr(VirgaNetworkInventory) inventory = virga_network_list(driver, error);
    g_autoptr(GString) text = NULL;

    if (!inventory)
        return NULL;
    text = g_string_new(NULL);
    for (char **id = inventory->vpc_ids; *id; id++)
        g_string_append_printf(text, "%s ", *id);
    for (guint i = 0; i < inventory->taps->len; i++) {
        VirgaNetworkTap *tap = inventory->taps->pdata[i];
        g_string_append_printf(text, "%s@%s ", tap->name, tap->vpc_id ? tap->vpc_id : "host");
    }
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static char *
count(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, GError **error)
{
    g_autoptr(GPtrArray) counters = virga_network_counters(driver, plan, error);
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; counters && i < counters->len; i++) {
        const VirgaNetworkCounter *each = counters->pdata[i];
        g_string_append_printf(text, "%s %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " ",
                               each->port_id, each->sent_bytes, each->received_bytes);
    }
    return counters ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

static char *
diagnose(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, GError **error)
{
    g_autoptr(GPtrArray) targets = virga_network_health(driver, plan, error);
    g_autoptr(GString) text = g_string_new(NULL);

    for (guint i = 0; targets && i < targets->len; i++) {
        const VirgaTargetHealth *each = targets->pdata[i];

        g_string_append_printf(text, "%s/%s:%u ", each->target_group_id, each->address, each->port);
        if (each->healthy || !each->known)
            g_string_append(text, each->healthy ? "healthy " : "initial ");
        else
            g_string_append_printf(text, "unhealthy/%s/%" G_GINT64_FORMAT " ", each->reason,
                                   each->http_code);
    }
    return targets ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

typedef struct {
    gint64 wall_us, cpu_us;
} Clock;

static Clock
now(void)
{
    Clock clock = { g_get_monotonic_time(), 0 };

    for (int who = 0; who < 2; who++) {
        struct rusage usage;

        getrusage(who ? RUSAGE_CHILDREN : RUSAGE_SELF, &usage);
        clock.cpu_us += (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * G_USEC_PER_SEC +
                        usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    }
    return clock;
}

static bool
run(VirgaNetworkDriver *driver, char **words, Clock *start, char **ret_text, GError **error)
{
    const char *command = words[0];
    g_autoptr(VirgaVpcPlan) plan = NULL;
    guint64 epoch;
    int fd;

    if (g_str_equal(command, "list"))
        return (*ret_text = describe(driver, error)) != NULL;
    if (g_str_equal(command, "remove"))
        return virga_network_remove(driver, words[1], error);
    if (g_str_equal(command, "tap-remove"))
        return virga_network_tap_remove(driver, *words[1] == '-' ? NULL : words[1], words[2],
                                        error);
    if (g_str_equal(command, "listen")) {
        if (!virga_network_listen(driver, words[1], words[2],
                                  (guint16) g_ascii_strtoull(words[3], NULL, 10), &fd, error))
            return false;
        g_thread_unref(g_thread_new("serve", serve, GINT_TO_POINTER(fd)));
        return true;
    }
    plan = load(words[1], error);
    if (!plan)
        return false;
    *start = now();
    if (g_str_equal(command, "counters"))
        return (*ret_text = count(driver, plan, error)) != NULL;
    if (g_str_equal(command, "health"))
        return (*ret_text = diagnose(driver, plan, error)) != NULL;
    if (g_str_equal(command, "prepare"))
        return virga_network_tap_prepare(driver, plan, words[2], 0, error);
    if (g_str_equal(command, "plug"))
        return virga_network_tap_plug(driver, plan, words[2], error);
    if (!virga_network_apply(driver, plan, &epoch, error))
        return false;
    *ret_text = g_strdup_printf("%" G_GUINT64_FORMAT, epoch);
    return true;
}

int
main(int argc, char **argv)
{
    VirgaKernelSettings settings = { .tag = "tst", .transit_cidr = NULL };
    g_autoptr(VirgaNetworkDriver) driver = NULL;
    g_autoptr(GError) error = NULL;
    const char *pool[] = { argc > 3 ? argv[3] : NULL, NULL };
    char line[1024];

    if (argc < 4) {
        fprintf(stderr, "usage: network-tool HOST-ID STATE-DIRECTORY POOL [TUNNEL-ADDRESS]\n");
        return 2;
    }
    settings.host_id = argv[1];
    settings.state_directory = argv[2];
    settings.public_cidrs = pool;
    settings.underlay_address = argv[4];
    settings.no_masquerade = g_getenv("VIRGA_NETWORK_NO_MASQUERADE") != NULL;
    driver = virga_network_kernel_new(&settings, &error);
    if (!driver) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    while (fgets(line, sizeof line, stdin)) {
        g_auto(GStrv) words = g_strsplit(g_strchomp(line), " ", 0);
        g_autoptr(GError) failure = NULL;
        g_autofree char *text = NULL;
        Clock start = now(), end;
        bool done = run(driver, words, &start, &text, &failure);

        end = now();
        if (done)
            printf("ok %.2f %.2f %s\n", (double) (end.wall_us - start.wall_us) / 1000,
                   (double) (end.cpu_us - start.cpu_us) / 1000, text ? text : "");
        else
            printf("error %s\n", failure->message);
        fflush(stdout);
    }
    return 0;
}
