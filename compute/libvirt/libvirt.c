/* SPDX-License-Identifier: Apache-2.0 */
/* Guests as persistent libvirt domains, named by instance id: their life. */
#include "libvirt-priv.h"

#include "core/error.h"
#include "core/id.h"

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

#define SCREEN_BYTES_MAX (64u << 20)
#define AGENT_S          5 /* after which a guest's agent is not waited for any more */

static void
read_state(int state, int reason, VirgaDomainState *ret_state, VirgaDomainReason *ret_reason)
{
    *ret_reason = VIRGA_DOMAIN_REASON_NONE;
    switch (state) {
    case VIR_DOMAIN_PAUSED:
        *ret_state = reason == VIR_DOMAIN_PAUSED_IOERROR ? VIRGA_DOMAIN_STUCK : VIRGA_DOMAIN_PAUSED;
        return;
    case VIR_DOMAIN_SHUTOFF:
    case VIR_DOMAIN_CRASHED:
        *ret_state = VIRGA_DOMAIN_OFF;
        if (reason == VIR_DOMAIN_SHUTOFF_SHUTDOWN)
            *ret_reason = VIRGA_DOMAIN_REASON_GUEST;
        else if (reason == VIR_DOMAIN_SHUTOFF_CRASHED || state == VIR_DOMAIN_CRASHED)
            *ret_reason = VIRGA_DOMAIN_REASON_CRASH;
        return;
    default: /* running, blocked, in shutdown */
        *ret_state = VIRGA_DOMAIN_RUNNING;
    }
}

static bool
libvirt_inspect(VirgaHypervisor *hypervisor, const char *id, VirgaDomainState *ret_state,
                VirgaDomainReason *ret_reason, GError **error)
{
    g_autoptr(GError) reason = NULL;
    virDomainPtr domain = libvirt_domain((Libvirt *) hypervisor, id, &reason);
    int state, detail;
    bool done;

    if (reason) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return false;
    }
    *ret_reason = VIRGA_DOMAIN_REASON_NONE;
    if (!domain) {
        *ret_state = VIRGA_DOMAIN_ABSENT;
        return true;
    }
    done = virDomainGetState(domain, &state, &detail, 0) == 0 ||
           libvirt_fail(error, "get the state of", id);
    if (done)
        read_state(state, detail, ret_state, ret_reason);
    virDomainFree(domain);
    return done;
}

static virDomainPtr
define(virConnectPtr connection, const VirgaDomainSpec *spec, const char *type, GError **error)
{
    g_autofree char *xml = virga_domain_xml(spec, type);
    virDomainPtr domain = virDomainDefineXML(connection, xml);

    if (!domain)
        libvirt_fail(error, "define", spec->id);
    return domain;
}

static bool
libvirt_start(VirgaHypervisor *hypervisor, const VirgaDomainSpec *spec, GError **error)
{
    Libvirt *libvirt = (Libvirt *) hypervisor;
    virConnectPtr connection = libvirt_connection(libvirt, error);
    virDomainPtr domain;
    bool done;

    if (!connection)
        return false;
    domain = define(connection, spec, libvirt->type, error);
    done = domain && libvirt_keep_secrets(connection, spec->disks, spec->disk_count, error) &&
           (virDomainIsActive(domain) == 1 ||
            virDomainCreateWithFlags(domain, VIR_DOMAIN_START_PAUSED) == 0 ||
            libvirt_fail(error, "start", spec->id));
    libvirt_drop_secrets(connection, spec->disks, spec->disk_count);
    virConnectClose(connection);
    if (domain)
        virDomainFree(domain);
    return done;
}

typedef int (*DomainCall)(virDomainPtr domain);

/* Calls on a domain that must be there.  OPERATION_INVALID: it is in the wanted state already. */
static bool
call_domain(VirgaHypervisor *hypervisor, const char *id, const char *verb, DomainCall call,
            GError **error)
{
    g_autoptr(GError) reason = NULL;
    virDomainPtr domain = libvirt_domain((Libvirt *) hypervisor, id, &reason);
    bool done;

    if (!domain) {
        if (reason)
            g_propagate_error(error, g_steal_pointer(&reason));
        else
            virga_fail(error, "domain", VIRGA_ERROR_NOT_FOUND, "could not %s %s: it is not defined",
                       verb, id);
        return false;
    }
    done = call(domain) == 0 || virGetLastErrorCode() == VIR_ERR_OPERATION_INVALID ||
           libvirt_fail(error, verb, id);
    virDomainFree(domain);
    return done;
}

static int
press_button(virDomainPtr domain)
{
    return virDomainShutdownFlags(domain, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN);
}

static int
ask_reboot(virDomainPtr domain)
{
    return virDomainReboot(domain, VIR_DOMAIN_REBOOT_ACPI_POWER_BTN);
}

static int
reset(virDomainPtr domain)
{
    return virDomainReset(domain, 0);
}

static int
undefine(virDomainPtr domain)
{
    return virDomainUndefineFlags(domain, VIR_DOMAIN_UNDEFINE_NVRAM |
                                              VIR_DOMAIN_UNDEFINE_MANAGED_SAVE |
                                              VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                                              VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA);
}

static bool
libvirt_resume(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    return call_domain(hypervisor, id, "resume", virDomainResume, error);
}

static bool
libvirt_pause(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    return call_domain(hypervisor, id, "pause", virDomainSuspend, error);
}

static bool
libvirt_shutdown(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    return call_domain(hypervisor, id, "shut down", press_button, error);
}

static bool
libvirt_power_off(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    return call_domain(hypervisor, id, "power off", virDomainDestroy, error);
}

static bool
libvirt_reboot(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    return call_domain(hypervisor, id, "reboot", ask_reboot, error);
}

static bool
libvirt_reset(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    return call_domain(hypervisor, id, "reset", reset, error);
}

static bool
libvirt_remove(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    g_autoptr(GError) reason = NULL;

    if (call_domain(hypervisor, id, "undefine", undefine, &reason) ||
        virga_error_is(reason, "domain", VIRGA_ERROR_NOT_FOUND))
        return true;
    g_propagate_error(error, g_steal_pointer(&reason));
    return false;
}

static int
inject_nmi(virDomainPtr domain)
{
    return virDomainInjectNMI(domain, 0);
}

static bool
libvirt_interrupt(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    return call_domain(hypervisor, id, "interrupt", inject_nmi, error);
}

static bool
libvirt_freeze(VirgaHypervisor *hypervisor, const char *id, bool *ret_asked, GError **error)
{
    virDomainPtr domain = libvirt_need_domain(hypervisor, id, error);
    char *xml = domain ? libvirt_read_xml(domain, id, error) : NULL;
    bool done = xml != NULL;

    *ret_asked = done && virga_domain_xml_has_agent(xml);
    if (*ret_asked)
        done = virDomainAgentSetResponseTimeout(domain, AGENT_S, 0) == 0 &&
               virDomainFSFreeze(domain, NULL, 0, 0) >= 0;
    if (xml && !done)
        libvirt_fail(error, "freeze", id);
    free(xml);
    if (domain)
        virDomainFree(domain);
    return done;
}

static int
thaw(virDomainPtr domain)
{
    return virDomainAgentSetResponseTimeout(domain, AGENT_S, 0) == 0 &&
                   virDomainFSThaw(domain, NULL, 0, 0) >= 0
               ? 0
               : -1;
}

static bool
libvirt_thaw(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    g_autoptr(GError) reason = NULL;

    if (call_domain(hypervisor, id, "thaw", thaw, &reason) ||
        virga_error_is(reason, "domain", VIRGA_ERROR_NOT_FOUND))
        return true;
    g_propagate_error(error, g_steal_pointer(&reason));
    return false;
}

/* All of a stream's bytes; NULL if it breaks off or has no end. */
static GBytes *
read_stream(virStreamPtr stream)
{
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    char buffer[65536];
    int got;

    while ((got = virStreamRecv(stream, buffer, sizeof buffer)) > 0 &&
           bytes->len < SCREEN_BYTES_MAX)
        g_byte_array_append(bytes, (const guint8 *) buffer, (guint) got);
    return got == 0 ? g_byte_array_free_to_bytes(g_steal_pointer(&bytes)) : NULL;
}

static GBytes *
libvirt_screenshot(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    Libvirt *libvirt = (Libvirt *) hypervisor;
    virConnectPtr connection = libvirt_connection(libvirt, error);
    g_autoptr(GError) reason = NULL;
    virDomainPtr domain = connection ? libvirt_domain(libvirt, id, &reason) : NULL;
    virStreamPtr stream = domain ? virStreamNew(connection, 0) : NULL;
    g_autofree char *type = NULL;
    GBytes *picture = NULL;

    if (stream) {
        type = virDomainScreenshot(domain, stream, 0, 0);
        picture = type ? read_stream(stream) : NULL;
        if (!picture)
            libvirt_fail(error, "take the picture of", id);
        else
            virStreamFinish(stream);
        virStreamFree(stream);
    } else if (reason) {
        g_propagate_error(error, g_steal_pointer(&reason));
    } else if (connection && !domain) {
        virga_fail(error, "domain", VIRGA_ERROR_NOT_FOUND, "%s is not defined", id);
    } else if (connection) {
        libvirt_fail(error, "take the picture of", id);
    }
    if (domain)
        virDomainFree(domain);
    if (connection)
        virConnectClose(connection);
    return picture;
}

/* Ours are those whose name is an instance id and whose UUID is made of it. */
static bool
is_ours(virDomainPtr domain)
{
    char uuid[VIRGA_UUID_SIZE], expected[VIRGA_UUID_SIZE];
    const char *name = virDomainGetName(domain);

    return virga_id_is(name, "i") && virga_id_to_uuid(name, expected) &&
           virDomainGetUUIDString(domain, uuid) == 0 && g_str_equal(uuid, expected);
}

static char **
libvirt_list(VirgaHypervisor *hypervisor, GError **error)
{
    virConnectPtr connection = libvirt_connection((Libvirt *) hypervisor, error);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    virDomainPtr *domains = NULL;
    int count;

    if (!connection)
        return NULL;
    count = virConnectListAllDomains(connection, &domains, 0);
    virConnectClose(connection);
    if (count < 0) {
        libvirt_fail(error, "list the domains", NULL);
        return NULL;
    }
    for (int i = 0; i < count; i++) {
        if (is_ours(domains[i]))
            g_strv_builder_add(builder, virDomainGetName(domains[i]));
        virDomainFree(domains[i]);
    }
    free(domains);
    return g_strv_builder_end(builder);
}

static void
libvirt_free(VirgaHypervisor *hypervisor)
{
    Libvirt *libvirt = (Libvirt *) hypervisor;

    libvirt_end(libvirt);
    g_free(libvirt->uri);
    g_free(libvirt->type);
    g_free(libvirt);
}

VirgaHypervisor *
virga_hypervisor_libvirt_new(const VirgaLibvirtSettings *settings, VirgaHypervisorEvent event,
                             gpointer data)
{
    Libvirt *libvirt = g_new0(Libvirt, 1);

    libvirt->base = (VirgaHypervisor){ .name = g_str_equal(settings->type, "kvm") ? "kvm" : "qemu",
                                       .inspect = libvirt_inspect,
                                       .start = libvirt_start,
                                       .resume = libvirt_resume,
                                       .shutdown = libvirt_shutdown,
                                       .power_off = libvirt_power_off,
                                       .reboot = libvirt_reboot,
                                       .reset = libvirt_reset,
                                       .devices = libvirt_devices,
                                       .attach_port = libvirt_attach_port,
                                       .attach_disk = libvirt_attach_disk,
                                       .detach = libvirt_detach,
                                       .pause = libvirt_pause,
                                       .freeze = libvirt_freeze,
                                       .thaw = libvirt_thaw,
                                       .cut = libvirt_cut,
                                       .join = libvirt_join,
                                       .tune = libvirt_tune,
                                       .remove = libvirt_remove,
                                       .screenshot = libvirt_screenshot,
                                       .interrupt = libvirt_interrupt,
                                       .list = libvirt_list,
                                       .free = libvirt_free };
    libvirt->uri = g_strdup(settings->uri);
    libvirt->type = g_strdup(settings->type);
    libvirt->event = event;
    libvirt->data = data;
    libvirt_begin(libvirt);
    return &libvirt->base;
}
