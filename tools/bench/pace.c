/* SPDX-License-Identifier: Apache-2.0 */
/* Asks for one URL at a steady rate over one connection and prints how long each answer took:
 *     pace HOST PORT TARGET RATE COUNT      microseconds, a line each; fails unless all are 200s
 * A client that costs next to nothing, so that what is measured is the server. */
#include <gio/gio.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX (16 << 20)

static void
die(const char *what, const GError *error)
{
    fprintf(stderr, "pace: %s%s%s\n", what, error ? ": " : "", error ? error->message : "");
    exit(1);
}

/* True once 'answer' holds its headers and the body that they announce. */
static bool
is_whole(const char *answer, gsize length)
{
    const char *body = strstr(answer, "\r\n\r\n");
    const char *announced = strstr(answer, "Content-Length: ");

    if (!body)
        return false;
    if (!announced || announced > body)
        die("an answer without Content-Length", NULL);
    return length >= (gsize) (body + 4 - answer) +
                         g_ascii_strtoull(announced + strlen("Content-Length: "), NULL, 10);
}

static void
ask(GSocket *socket, const char *request)
{
    static char answer[ANSWER_MAX + 1];
    g_autoptr(GError) error = NULL;
    gsize length = 0;

    if (g_socket_send(socket, request, strlen(request), NULL, &error) < 0)
        die("could not send", error);
    do {
        gssize got = g_socket_receive(socket, answer + length, ANSWER_MAX - length, NULL, &error);

        if (got <= 0)
            die("no answer", error);
        length += (gsize) got;
        answer[length] = '\0';
    } while (!is_whole(answer, length));
    if (!g_str_has_prefix(answer, "HTTP/1.1 200"))
        die(answer, NULL);
}

int
main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GSocketClient) client = g_socket_client_new();
    g_autoptr(GSocketConnection) connection = NULL;
    g_autofree char *request = NULL;
    gint64 begin, interval;
    guint64 port = 0, rate = 1, count = 0;

    if (argc != 6)
        die("usage: pace HOST PORT TARGET RATE COUNT", NULL);
    if (!g_ascii_string_to_unsigned(argv[2], 10, 1, G_MAXUINT16, &port, &error) ||
        !g_ascii_string_to_unsigned(argv[4], 10, 1, 100000, &rate, &error) ||
        !g_ascii_string_to_unsigned(argv[5], 10, 1, 1000000, &count, &error))
        die("bad argument", error);
    connection = g_socket_client_connect_to_host(client, argv[1], (guint16) port, NULL, &error);
    if (!connection)
        die("could not connect", error);
    request = g_strdup_printf("GET %s HTTP/1.1\r\nHost: %s:%s\r\n\r\n", argv[3], argv[1], argv[2]);
    interval = G_USEC_PER_SEC / (gint64) rate;
    begin = g_get_monotonic_time();
    for (gint64 i = 0; i < (gint64) count; i++) {
        gint64 early = begin + i * interval - g_get_monotonic_time();
        gint64 start;

        if (early > 0)
            g_usleep((gulong) early);
        start = g_get_monotonic_time();
        ask(g_socket_connection_get_socket(connection), request);
        printf("%" G_GINT64_FORMAT "\n", g_get_monotonic_time() - start);
    }
    return 0;
}
