/* SPDX-License-Identifier: Apache-2.0 */
/* LISTEN on a connection of its own.  A notification is a hint: whoever acts on it also has a
 * timer, so a lost connection costs time and nothing else. */
#include "db-priv.h"

#include "core/limits.h"
#include "core/log.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct VirgaDbListener {
    char *dsn;
    char **channels;
    VirgaDbNotify notify;
    gpointer data;
    GThread *thread;
    int stop_fd;
};

/* True: time to stop.  Otherwise 'fd' (-1: none) is readable or the time is over. */
static bool
wait_for(VirgaDbListener *listener, int fd, int timeout_ms)
{
    struct pollfd fds[] = { { listener->stop_fd, POLLIN, 0 }, { fd, POLLIN, 0 } };

    while (poll(fds, G_N_ELEMENTS(fds), timeout_ms) < 0 && errno == EINTR)
        ;
    return fds[0].revents != 0;
}

static bool
listen_on(PGconn *pg, char **channels)
{
    for (; *channels; channels++) {
        char *name = PQescapeIdentifier(pg, *channels, strlen(*channels));
        g_autofree char *sql = g_strdup_printf("LISTEN %s", name); /* takes no parameter */
        PGresult *result = PQexec(pg, sql);
        bool done = PQresultStatus(result) == PGRES_COMMAND_OK;

        PQfreemem(name);
        PQclear(result);
        if (!done)
            return false;
    }
    return true;
}

/* Serves one connection until it breaks (false) or the listener is stopped (true). */
static bool
serve(VirgaDbListener *listener, PGconn *pg)
{
    if (PQstatus(pg) != CONNECTION_OK || !listen_on(pg, listener->channels))
        return false;
    listener->notify(NULL, NULL, listener->data);
    for (;;) {
        PGnotify *notification;

        while ((notification = PQnotifies(pg))) {
            listener->notify(notification->relname, notification->extra, listener->data);
            PQfreemem(notification);
        }
        if (wait_for(listener, PQsocket(pg), -1))
            return true;
        if (!PQconsumeInput(pg))
            return false;
    }
}

static gpointer
listener_main(gpointer data)
{
    VirgaDbListener *listener = data;
    bool stopped = false;

    while (!stopped) {
        PGconn *pg = PQconnectdb(listener->dsn);

        virga_db_silence(pg);
        stopped = serve(listener, pg);
        if (!stopped)
            virga_info("database", NULL, "notifications interrupted: %.100s", PQerrorMessage(pg));
        PQfinish(pg);
        if (!stopped)
            stopped = wait_for(listener, -1, VIRGA_RECONNECT_MS);
    }
    return NULL;
}

VirgaDbListener *
virga_db_listen(const char *dsn, const char *const *channels, VirgaDbNotify notify, gpointer data)
{
    VirgaDbListener *listener = g_new0(VirgaDbListener, 1);

    listener->dsn = g_strdup(dsn);
    listener->channels = g_strdupv((char **) channels);
    listener->notify = notify;
    listener->data = data;
    listener->stop_fd = eventfd(0, EFD_CLOEXEC);
    listener->thread = g_thread_new("db-listen", listener_main, listener);
    return listener;
}

void
virga_db_listener_free(VirgaDbListener *listener)
{
    if (!listener)
        return;
    eventfd_write(listener->stop_fd, 1);
    g_thread_join(listener->thread);
    close(listener->stop_fd);
    g_strfreev(listener->channels);
    g_free(listener->dsn);
    g_free(listener);
}
