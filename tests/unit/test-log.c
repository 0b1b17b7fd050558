/* SPDX-License-Identifier: Apache-2.0 */
/* A process of its own logs into a pipe: one call is one line, whatever it is about. */
#include "core/log.h"

#include <string.h>

#define FORGED "x\n2026-01-02T03:04:05.678Z notice virgad forged: line\r\x1b[2J"

static void
run(const char *subtest)
{
    g_autofree char *path = g_strconcat("/log/", subtest, "/subprocess", NULL);

    g_test_trap_subprocess(path, 0, G_TEST_SUBPROCESS_DEFAULT);
    g_test_trap_assert_passed();
}

static void
lines_of_it(void)
{
    virga_log_init("virgad", false);
    virga_info("instance", "i-1", "%s -> %s", "pending", "running");
    virga_log_set_request("req-1");
    virga_notice("host", NULL, "joined");
    virga_log_set_request(NULL);
    virga_debug("host", "h-1", "unheard");
    virga_log(G_LOG_LEVEL_INFO, NULL, NULL, "plain");
    g_message("of a library");
}

static void
test_lines(void)
{
    run("lines");
    g_test_trap_assert_stderr("*Z info virgad instance i-1: pending -> running\n"
                              "*Z notice virgad host: joined request=req-1\n"
                              "*Z info virgad plain\n"
                              "*Z notice virgad of a library\n");
    g_test_trap_assert_stderr_unmatched("*unheard*");
}

static void
debug_of_it(void)
{
    virga_log_init("virga-node", true);
    virga_debug("host", "h-1", "heard");
}

static void
test_debug(void)
{
    run("debug");
    g_test_trap_assert_stderr("*Z debug virga-node host h-1: heard\n");
}

static void
forge_it(void)
{
    virga_log_init("virgad", false);
    virga_info("instance", "i-1", "%s", FORGED);
    virga_info("instance", FORGED, "id");
    virga_log_set_request(FORGED);
    virga_info("instance", "i-1", "request");
}

static void
test_forged(void)
{
    run("forged");
    g_test_trap_assert_stderr_unmatched("*\n2026-01-02*");
    g_test_trap_assert_stderr_unmatched("*\r*");
    g_test_trap_assert_stderr_unmatched("*\x1b*");
    g_test_trap_assert_stderr("*Z info virgad instance i-1: x\\x0a2026-*line\\x0d\\x1b[2J\n"
                              "*Z info virgad instance x\\x0a2026-*\\x1b[2J: id\n"
                              "*Z info virgad instance i-1: request request=x\\x0a2026-*2J\n");
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/lines", test_lines);
    g_test_add_func("/log/lines/subprocess", lines_of_it);
    g_test_add_func("/log/debug", test_debug);
    g_test_add_func("/log/debug/subprocess", debug_of_it);
    g_test_add_func("/log/forged", test_forged);
    g_test_add_func("/log/forged/subprocess", forge_it);
    return g_test_run();
}
