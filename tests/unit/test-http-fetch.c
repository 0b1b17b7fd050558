/* SPDX-License-Identifier: Apache-2.0 */
#include "core/http-fetch.h"

#include "core/error.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

static bool
has(VirgaFetchScope scope, const char *text)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return virga_fetch_scope_has(scope, (const struct sockaddr *) (const void *) &v4);
    g_assert_cmpint(inet_pton(AF_INET6, text, &v6.sin6_addr), ==, 1);
    return virga_fetch_scope_has(scope, (const struct sockaddr *) (const void *) &v6);
}

static void
test_scope(void)
{
    static const char *const everywhere[] = { "93.184.216.34",        "1.1.1.1",
                                              "172.32.0.1",           "11.0.0.1",
                                              "2606:4700:4700::1111", "::ffff:1.1.1.1",
                                              "64:ff9b::101:101" };
    static const char *const private[] = { "10.1.2.3",       "172.16.0.1",   "172.31.255.255",
                                           "192.168.1.1",    "100.64.0.1",   "198.18.0.5",
                                           "fd00::1",        "192.0.0.1",    "::ffff:10.0.0.1",
                                           "64:ff9b::a00:1", "2002:a00:1::1" };
    static const char *const near[] = { "127.0.0.1",
                                        "127.9.9.9",
                                        "0.0.0.0",
                                        "169.254.169.254",
                                        "224.0.0.1",
                                        "255.255.255.255",
                                        "::1",
                                        "::",
                                        "fe80::1",
                                        "::ffff:127.0.0.1",
                                        "ff02::1",
                                        "64:ff9b::7f00:1",
                                        "::127.0.0.1",
                                        "2002:a9fe:a9fe::1",
                                        "::ffff:a9fe:a9fe" };

    for (size_t i = 0; i < G_N_ELEMENTS(everywhere); i++)
        g_assert_true(has(VIRGA_FETCH_PUBLIC, everywhere[i]));
    for (size_t i = 0; i < G_N_ELEMENTS(private); i++) {
        g_assert_false(has(VIRGA_FETCH_PUBLIC, private[i]));
        g_assert_true(has(VIRGA_FETCH_PRIVATE, private[i]));
    }
    for (size_t i = 0; i < G_N_ELEMENTS(near); i++) {
        g_assert_false(has(VIRGA_FETCH_PRIVATE, near[i]));
        g_assert_true(has(VIRGA_FETCH_ANY, near[i]));
    }
}

/* No packet leaves: what may not be reached is not connected to. */
static void
test_refused(void)
{
    static const struct {
        const char *url;
        VirgaErrorCode code;
    } urls[] = {
        { "http://127.0.0.1:1/", VIRGA_ERROR_DENIED },
        { "http://169.254.169.254/latest/meta-data/", VIRGA_ERROR_DENIED },
        { "http://[::1]:1/", VIRGA_ERROR_DENIED },
        { "http://2130706433/", VIRGA_ERROR_DENIED }, /* 127.0.0.1, too */
        { "file:///etc/passwd", VIRGA_ERROR_INVALID },
        { "gopher://127.0.0.1/", VIRGA_ERROR_INVALID },
    };
    const VirgaFetch fetch = { .bytes_max = 1 << 20, .timeout_s = 10 };
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("virga-fetch-XXXXXX", &path, NULL);

    for (size_t i = 0; i < G_N_ELEMENTS(urls); i++) {
        g_autoptr(GError) error = NULL;

        g_assert_false(virga_http_fetch(urls[i].url, fd, &fetch, &error));
        g_assert_true(virga_error_is(error, "fetch", urls[i].code));
    }
    g_assert_cmpint(lseek(fd, 0, SEEK_END), ==, 0);
    close(fd);
    unlink(path);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/http-fetch/scope", test_scope);
    g_test_add_func("/http-fetch/refused", test_refused);
    return g_test_run();
}
