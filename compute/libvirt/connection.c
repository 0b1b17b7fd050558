/* SPDX-License-Identifier: Apache-2.0 */
#include "libvirt-priv.h"

#include "core/error.h"
#include "core/id.h"
#include "core/log.h"

#include <libvirt/virterror.h>

#define KEEPALIVE_S     5
#define KEEPALIVE_COUNT 6

static void
ignore_error(void *data, virErrorPtr reason)
{
    /* libvirt would print each error to stderr; they are all returned. */
}

static gpointer
events_main(gpointer data)
{
    Libvirt *libvirt = data;

    while (!g_atomic_int_get(&libvirt->stopping))
        virEventRunDefaultImpl();
    return NULL;
}

static void
on_tick(int timer, void *data)
{
    /* Only to let events_main() look at 'stopping'. */
}

static int
on_lifecycle(virConnectPtr connection, virDomainPtr domain, int event, int detail, void *data)
{
    Libvirt *libvirt = data;

    libvirt->event(virDomainGetName(domain), false, libvirt->data);
    return 0;
}

static void
on_reboot(virConnectPtr connection, virDomainPtr domain, void *data)
{
    Libvirt *libvirt = data;

    libvirt->event(virDomainGetName(domain), true, libvirt->data);
}

static void
on_device_removed(virConnectPtr connection, virDomainPtr domain, const char *alias, void *data)
{
    Libvirt *libvirt = data;

    libvirt->event(virDomainGetName(domain), false, libvirt->data);
}

static void
on_close(virConnectPtr connection, int reason, void *data)
{
    Libvirt *libvirt = data;

    g_mutex_lock(&libvirt->lock);
    if (libvirt->connection == connection) {
        virConnectClose(libvirt->connection);
        libvirt->connection = NULL;
    }
    g_mutex_unlock(&libvirt->lock);
    virga_notice("libvirt", NULL, "the connection was lost");
}

bool
libvirt_fail(GError **error, const char *what, const char *id)
{
    virErrorPtr reason = virGetLastError();
    int code = reason ? reason->code : VIR_ERR_INTERNAL_ERROR;
    /* A socket's errno says that a daemon is away; any other, that a file or a tap is wrong. */
    bool away = code == VIR_ERR_SYSTEM_ERROR &&
                (reason->domain == VIR_FROM_RPC || reason->domain == VIR_FROM_REMOTE);
    bool transient = away || code == VIR_ERR_NO_CONNECT || code == VIR_ERR_RPC ||
                     code == VIR_ERR_INVALID_CONN || code == VIR_ERR_OPERATION_TIMEOUT ||
                     code == VIR_ERR_AGENT_UNRESPONSIVE;

    return virga_fail(error, "domain", transient ? VIRGA_ERROR_RETRY : VIRGA_ERROR_INTERNAL,
                      "could not %s%s%s: %s", what, id ? " " : "", id ? id : "",
                      reason && reason->message ? reason->message : "unknown error");
}

static virConnectPtr
connect_now(Libvirt *libvirt, GError **error)
{
    virConnectPtr connection = virConnectOpen(libvirt->uri);

    if (!connection) {
        libvirt_fail(error, "connect to libvirt", NULL);
        return NULL;
    }
    virConnectSetKeepAlive(connection, KEEPALIVE_S, KEEPALIVE_COUNT);
    virConnectRegisterCloseCallback(connection, on_close, libvirt, NULL);
    virConnectDomainEventRegisterAny(connection, NULL, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                                     VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), libvirt, NULL);
    virConnectDomainEventRegisterAny(connection, NULL, VIR_DOMAIN_EVENT_ID_REBOOT,
                                     VIR_DOMAIN_EVENT_CALLBACK(on_reboot), libvirt, NULL);
    virConnectDomainEventRegisterAny(connection, NULL, VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
                                     VIR_DOMAIN_EVENT_CALLBACK(on_device_removed), libvirt, NULL);
    return connection;
}

virConnectPtr
libvirt_connection(Libvirt *libvirt, GError **error)
{
    virConnectPtr connection;
    bool fresh = false;

    g_mutex_lock(&libvirt->lock);
    if (!libvirt->connection) {
        libvirt->connection = connect_now(libvirt, error);
        fresh = libvirt->connection != NULL;
    }
    connection = libvirt->connection;
    if (connection)
        virConnectRef(connection);
    g_mutex_unlock(&libvirt->lock);
    if (fresh)
        libvirt->event(NULL, false, libvirt->data);
    return connection;
}

virDomainPtr
libvirt_domain(Libvirt *libvirt, const char *id, GError **error)
{
    char uuid[VIRGA_UUID_SIZE];
    virConnectPtr connection = libvirt_connection(libvirt, error);
    virDomainPtr domain;

    if (!connection)
        return NULL;
    if (!virga_id_to_uuid(id, uuid)) {
        virConnectClose(connection);
        virga_fail(error, "domain", VIRGA_ERROR_INVALID, "\"%s\" is no id of an instance", id);
        return NULL;
    }
    domain = virDomainLookupByUUIDString(connection, uuid);
    if (!domain && virGetLastErrorCode() != VIR_ERR_NO_DOMAIN)
        libvirt_fail(error, "look up", id);
    virConnectClose(connection);
    return domain;
}

virDomainPtr
libvirt_need_domain(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    g_autoptr(GError) reason = NULL;
    virDomainPtr domain = libvirt_domain((Libvirt *) hypervisor, id, &reason);

    if (!domain && reason)
        g_propagate_error(error, g_steal_pointer(&reason));
    else if (!domain)
        virga_fail(error, "domain", VIRGA_ERROR_NOT_FOUND, "%s is not defined", id);
    return domain;
}

char *
libvirt_read_xml(virDomainPtr domain, const char *id, GError **error)
{
    char *xml = virDomainGetXMLDesc(domain, 0);

    if (!xml)
        libvirt_fail(error, "read the devices of", id);
    return xml;
}

void
libvirt_begin(Libvirt *libvirt)
{
    g_mutex_init(&libvirt->lock);
    virInitialize();
    virSetErrorFunc(NULL, ignore_error);
    virEventRegisterDefaultImpl();
    virEventAddTimeout(1000, on_tick, NULL, NULL);
    libvirt->events = g_thread_new("libvirt", events_main, libvirt);
}

void
libvirt_end(Libvirt *libvirt)
{
    g_atomic_int_set(&libvirt->stopping, 1);
    g_thread_join(libvirt->events);
    g_mutex_lock(&libvirt->lock);
    if (libvirt->connection) {
        virConnectUnregisterCloseCallback(libvirt->connection, on_close);
        virConnectClose(libvirt->connection);
    }
    g_mutex_unlock(&libvirt->lock);
    g_mutex_clear(&libvirt->lock);
}
