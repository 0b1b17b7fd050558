/* SPDX-License-Identifier: Apache-2.0 */
/* The floor that a launch is measured against, and the clock of both sides.
 *
 *     libvirt-probe URI bare FILE     starts the domain of the XML in FILE, prints the milliseconds
 *                                     that virDomainCreateXML took, destroys it
 *     libvirt-probe URI watch         prints "NAME MICROSECONDS" for each domain that begins to
 *                                     run (its CPUs too), until standard input is closed */
#include <errno.h>
#include <glib.h>
#include <libvirt/libvirt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int
bare(virConnectPtr connection, const char *path)
{
    g_autofree char *xml = NULL;
    gint64 begin;
    virDomainPtr domain;

    if (!g_file_get_contents(path, &xml, NULL, NULL))
        return 1;
    begin = g_get_monotonic_time();
    domain = virDomainCreateXML(connection, xml, 0);
    if (!domain)
        return 1;
    printf("%.3f\n", (double) (g_get_monotonic_time() - begin) / 1000);
    virDomainDestroy(domain);
    virDomainFree(domain);
    return 0;
}

static int
on_event(virConnectPtr connection, virDomainPtr domain, int event, int detail, void *data)
{
    /* Virga starts domains paused: they run from the resume on. */
    if (event == VIR_DOMAIN_EVENT_RESUMED) {
        printf("%s %" G_GINT64_FORMAT "\n", virDomainGetName(domain), g_get_real_time());
        fflush(stdout);
    }
    return 0;
}

static void
on_input(int watch, int fd, int events, void *data)
{
    char buffer[64];

    if (read(fd, buffer, sizeof buffer) <= 0)
        *(bool *) data = true;
}

static int
watch(virConnectPtr connection)
{
    bool ended = false;

    virEventAddHandle(STDIN_FILENO, VIR_EVENT_HANDLE_READABLE | VIR_EVENT_HANDLE_HANGUP, on_input,
                      &ended, NULL);
    if (virConnectDomainEventRegisterAny(connection, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                         VIR_DOMAIN_EVENT_CALLBACK(on_event), NULL, NULL) < 0)
        return 1;
    printf("ready\n");
    fflush(stdout);
    while (!ended)
        virEventRunDefaultImpl();
    return 0;
}

int
main(int argc, char **argv)
{
    virConnectPtr connection;
    int status = 2;

    if (argc < 3) {
        fprintf(stderr, "usage: libvirt-probe URI bare FILE | watch\n");
        return 2;
    }
    virEventRegisterDefaultImpl();
    connection = virConnectOpen(argv[1]);
    if (!connection)
        return 1;
    if (g_str_equal(argv[2], "bare") && argc == 4)
        status = bare(connection, argv[3]);
    else if (g_str_equal(argv[2], "watch"))
        status = watch(connection);
    virConnectClose(connection);
    return status;
}
