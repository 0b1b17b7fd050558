/* SPDX-License-Identifier: Apache-2.0 */
/* Guests as persistent libvirt domains, named by instance id.
 *
 * One connection with keep-alive, shared by all threads (libvirt's connections are thread safe),
 * and one thread for events.  A connection that libvirtd has closed is dropped by whoever notices
 * and made anew by whoever needs it next; guests do not mind. */
#include "compute/hypervisor.h"

#include "core/arena.h"
#include "core/error.h"
#include "core/id.h"
#include "core/limits.h"
#include "core/log.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

#define SCREEN_BYTES_MAX (64u << 20)
#define KEEPALIVE_S      5
#define KEEPALIVE_COUNT  6
#define AGENT_S          5 /* after which a guest's agent is not waited for any more */

typedef struct {
    VirgaHypervisor base;
    char *uri, *type;
    VirgaHypervisorEvent event;
    gpointer data;
    GMutex lock;
    virConnectPtr connection; /* NULL: not connected; guarded by lock */
    GThread *events;
    int stopping;
} Libvirt;

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

static bool
fail(GError **error, const char *what, const char *id)
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
        fail(error, "connect to libvirt", NULL);
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

/* A reference to the connection; the caller closes it. */
static virConnectPtr
get_connection(Libvirt *libvirt, GError **error)
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

/* The domain, with a reference to its connection inside.  NULL without an error: not defined. */
static virDomainPtr
find_domain(Libvirt *libvirt, const char *id, GError **error)
{
    char uuid[VIRGA_UUID_SIZE];
    virConnectPtr connection = get_connection(libvirt, error);
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
        fail(error, "look up", id);
    virConnectClose(connection);
    return domain;
}

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
    virDomainPtr domain = find_domain((Libvirt *) hypervisor, id, &reason);
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
    done =
        virDomainGetState(domain, &state, &detail, 0) == 0 || fail(error, "get the state of", id);
    if (done)
        read_state(state, detail, ret_state, ret_reason);
    virDomainFree(domain);
    return done;
}

static bool
set_secret(virSecretPtr secret, const VirgaVolumeSource *source)
{
    g_autofree guchar *bytes = NULL;
    gsize size;
    bool done;

    if (source->passphrase)
        return virSecretSetValue(secret, (const unsigned char *) source->passphrase,
                                 strlen(source->passphrase), 0) == 0;
    bytes = g_base64_decode(source->key, &size);
    done = virSecretSetValue(secret, bytes, size, 0) == 0;
    explicit_bzero(bytes, size);
    return done;
}

/* The key by which a disk's source is opened, given to libvirt alone.  Asked for again, it is the
 * same one. */
static bool
keep_secret(virConnectPtr connection, const VirgaVolumeSource *source, GError **error)
{
    bool any = source && (source->key || source->passphrase);
    g_autofree char *xml = any ? virga_domain_secret_xml(source) : NULL;
    virSecretPtr secret;
    bool done;

    if (!any)
        return true;
    secret = virSecretDefineXML(connection, xml, 0);
    if (!secret)
        return fail(error, "define the secret for", source->name);
    done = set_secret(secret, source) || fail(error, "keep the secret for", source->name);
    virSecretFree(secret);
    return done;
}

/* QEMU has it: what opens a volume stays no longer than it is needed.  A Ceph cluster's key is not
 * that of one volume. */
static void
drop_secret(virConnectPtr connection, const VirgaVolumeSource *source)
{
    char uuid[VIRGA_UUID_SIZE];
    virSecretPtr secret;

    if (!source || !source->passphrase)
        return;
    virga_domain_secret_uuid(source, uuid);
    secret = virSecretLookupByUUIDString(connection, uuid);
    if (secret) {
        virSecretUndefine(secret);
        virSecretFree(secret);
    }
}

static bool
keep_secrets(virConnectPtr connection, const VirgaDomainDisk *disks, size_t count, GError **error)
{
    for (size_t i = 0; i < count; i++)
        if (!keep_secret(connection, disks[i].source, error))
            return false;
    return true;
}

static void
drop_secrets(virConnectPtr connection, const VirgaDomainDisk *disks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        drop_secret(connection, disks[i].source);
}

static virDomainPtr
define(virConnectPtr connection, const VirgaDomainSpec *spec, const char *type, GError **error)
{
    g_autofree char *xml = virga_domain_xml(spec, type);
    virDomainPtr domain = virDomainDefineXML(connection, xml);

    if (!domain)
        fail(error, "define", spec->id);
    return domain;
}

static bool
libvirt_start(VirgaHypervisor *hypervisor, const VirgaDomainSpec *spec, GError **error)
{
    Libvirt *libvirt = (Libvirt *) hypervisor;
    virConnectPtr connection = get_connection(libvirt, error);
    virDomainPtr domain;
    bool done;

    if (!connection)
        return false;
    domain = define(connection, spec, libvirt->type, error);
    done = domain && keep_secrets(connection, spec->disks, spec->disk_count, error) &&
           (virDomainIsActive(domain) == 1 ||
            virDomainCreateWithFlags(domain, VIR_DOMAIN_START_PAUSED) == 0 ||
            fail(error, "start", spec->id));
    drop_secrets(connection, spec->disks, spec->disk_count);
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
    virDomainPtr domain = find_domain((Libvirt *) hypervisor, id, &reason);
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
           fail(error, verb, id);
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

/* The domain, which must be there. */
static virDomainPtr
need_domain(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    g_autoptr(GError) reason = NULL;
    virDomainPtr domain = find_domain((Libvirt *) hypervisor, id, &reason);

    if (!domain && reason)
        g_propagate_error(error, g_steal_pointer(&reason));
    else if (!domain)
        virga_fail(error, "domain", VIRGA_ERROR_NOT_FOUND, "%s is not defined", id);
    return domain;
}

static char *
read_xml(virDomainPtr domain, const char *id, GError **error)
{
    char *xml = virDomainGetXMLDesc(domain, 0);

    if (!xml)
        fail(error, "read the devices of", id);
    return xml;
}

static char **
read_devices(virDomainPtr domain, const char *id, VirgaDeviceKind kind, char ***ret_aliases,
             GError **error)
{
    char *xml = read_xml(domain, id, error);
    char **keys = xml ? virga_domain_xml_devices(xml, kind, ret_aliases) : NULL;

    if (xml && !keys)
        virga_fail(error, "domain", VIRGA_ERROR_INTERNAL, "libvirt's XML of %s is none", id);
    free(xml);
    return keys;
}

static char **
libvirt_devices(VirgaHypervisor *hypervisor, const char *id, VirgaDeviceKind kind, GError **error)
{
    virDomainPtr domain = need_domain(hypervisor, id, error);
    char **keys = domain ? read_devices(domain, id, kind, NULL, error) : NULL;

    if (domain)
        virDomainFree(domain);
    return keys;
}

static bool
libvirt_attach_port(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainPort *port,
                    GError **error)
{
    virDomainPtr domain = need_domain(hypervisor, id, error);
    g_autofree char *xml = virga_domain_port_xml(port);
    bool done;

    if (!domain)
        return false;
    done = virDomainAttachDeviceFlags(domain, xml, VIR_DOMAIN_AFFECT_LIVE) == 0 ||
           fail(error, "plug a network interface into", id);
    virDomainFree(domain);
    return done;
}

static bool
libvirt_attach_disk(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainDisk *disk,
                    GError **error)
{
    virDomainPtr domain = need_domain(hypervisor, id, error);
    char *is = domain ? read_xml(domain, id, error) : NULL;
    g_autofree char *target = is ? virga_domain_xml_free_target(is) : NULL;
    VirgaDomainDisk device = {
        .source = disk->source, .serial = disk->serial, .target = target, .limits = disk->limits
    };
    g_autofree char *xml = target ? virga_domain_disk_xml(&device) : NULL;
    bool done = xml && keep_secret(virDomainGetConnect(domain), disk->source, error) &&
                (virDomainAttachDeviceFlags(domain, xml, VIR_DOMAIN_AFFECT_LIVE) == 0 ||
                 fail(error, "plug a disk into", id));

    if (xml)
        drop_secret(virDomainGetConnect(domain), disk->source);
    free(is);
    if (domain)
        virDomainFree(domain);
    return done;
}

/* QEMU refuses to ask again while the guest is still thinking about it. */
static bool
is_thinking(void)
{
    virErrorPtr reason = virGetLastError();

    return reason && reason->message && strstr(reason->message, "in the process of unplug");
}

/* A disk whose layers are being joined can be neither unplugged nor cut.  What is left of it is
 * done later. */
static void
stop_joining(virDomainPtr domain, const char *xml, const char *key)
{
    g_auto(GStrv) layers = NULL;
    g_autofree char *target = virga_domain_xml_disk(xml, key, &layers);
    virDomainBlockJobInfo job;

    if (target && virDomainGetBlockJobInfo(domain, target, &job, 0) == 1)
        virDomainBlockJobAbort(domain, target, 0);
}

static bool
libvirt_detach(VirgaHypervisor *hypervisor, const char *id, VirgaDeviceKind kind, const char *key,
               GError **error)
{
    virDomainPtr domain = need_domain(hypervisor, id, error);
    g_auto(GStrv) aliases = NULL;
    g_auto(GStrv) keys = domain ? read_devices(domain, id, kind, &aliases, error) : NULL;
    bool done = keys != NULL;

    if (done && kind == VIRGA_DEVICE_DISK) {
        char *xml = read_xml(domain, id, NULL);

        if (xml)
            stop_joining(domain, xml, key);
        free(xml);
    }
    for (size_t i = 0; done && keys[i]; i++)
        if (g_ascii_strcasecmp(keys[i], key) == 0)
            done = virDomainDetachDeviceAlias(domain, aliases[i], VIR_DOMAIN_AFFECT_LIVE) == 0 ||
                   is_thinking() || fail(error, "unplug a device from", id);
    if (domain)
        virDomainFree(domain);
    return done;
}

static const VirgaDomainDisk *
find_disk(const VirgaDomainDisk *disks, size_t count, const char *serial)
{
    for (size_t i = 0; i < count; i++)
        if (g_str_equal(disks[i].serial, serial))
            return &disks[i];
    return NULL;
}

/* The XML of the moment, which names every disk of the domain; NULL: none is to be moved. */
static char *
cut_xml(const char *xml, const VirgaDomainDisk *disks, size_t count)
{
    g_auto(GStrv) serials = virga_domain_xml_devices(xml, VIRGA_DEVICE_DISK, NULL);
    size_t serial_count = serials ? g_strv_length(serials) : 0, moved = 0;
    g_autoptr(VirgaArena) arena = virga_arena_new();
    VirgaDomainDisk *all = virga_arena_new_array(arena, VirgaDomainDisk, serial_count);

    for (size_t i = 0; i < serial_count; i++) {
        const VirgaDomainDisk *disk = find_disk(disks, count, serials[i]);
        g_auto(GStrv) layers = NULL;
        g_autofree char *target = virga_domain_xml_disk(xml, serials[i], &layers);

        all[i].target = virga_arena_strdup(arena, target);
        if (disk && layers && !g_strv_contains((const char *const *) layers, disk->layer)) {
            all[i].layer = disk->layer;
            all[i].source = disk->source;
            moved++;
        }
    }
    return moved ? virga_domain_cut_xml(all, serial_count) : NULL;
}

static bool
libvirt_freeze(VirgaHypervisor *hypervisor, const char *id, bool *ret_asked, GError **error)
{
    virDomainPtr domain = need_domain(hypervisor, id, error);
    char *xml = domain ? read_xml(domain, id, error) : NULL;
    bool done = xml != NULL;

    *ret_asked = done && virga_domain_xml_has_agent(xml);
    if (*ret_asked)
        done = virDomainAgentSetResponseTimeout(domain, AGENT_S, 0) == 0 &&
               virDomainFSFreeze(domain, NULL, 0, 0) >= 0;
    if (xml && !done)
        fail(error, "freeze", id);
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

static bool
libvirt_cut(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainDisk *disks, size_t count,
            GError **error)
{
    const unsigned flags =
        VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY | VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT |
        VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA | VIR_DOMAIN_SNAPSHOT_CREATE_ATOMIC;
    virDomainPtr domain = need_domain(hypervisor, id, error);
    char *is = domain ? read_xml(domain, id, error) : NULL;
    g_autofree char *xml = is ? cut_xml(is, disks, count) : NULL;
    virDomainSnapshotPtr cut = NULL;
    bool done;

    for (size_t i = 0; xml && i < count; i++)
        stop_joining(domain, is, disks[i].serial);
    done = is && (!xml || keep_secrets(virDomainGetConnect(domain), disks, count, error));
    if (done && xml) {
        cut = virDomainSnapshotCreateXML(domain, xml, flags);
        done = cut || fail(error, "cut the disks of", id);
    }
    if (xml)
        drop_secrets(virDomainGetConnect(domain), disks, count);
    if (cut)
        virDomainSnapshotFree(cut);
    free(is);
    if (domain)
        virDomainFree(domain);
    return done;
}

/* Whatever is not limited is said to be so: it may have been. */
static bool
set_limits(virDomainPtr domain, const char *id, const char *target, const VirgaVolumeLimits *limits,
           GError **error)
{
    const struct {
        const char *name;
        gint64 value;
    } all[] = {
        { VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC, limits->bytes },
        { VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_IOPS_SEC, limits->iops },
        { VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC_MAX, limits->bytes_burst },
        { VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_IOPS_SEC_MAX, limits->iops_burst },
        { VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_BYTES_SEC_MAX_LENGTH, limits->bytes_burst_s },
        { VIR_DOMAIN_BLOCK_IOTUNE_TOTAL_IOPS_SEC_MAX_LENGTH, limits->iops_burst_s },
    };
    virTypedParameterPtr parameters = NULL;
    int count = 0, capacity = 0;
    bool done = true;

    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        if (virTypedParamsAddULLong(&parameters, &count, &capacity, all[i].name,
                                    (unsigned long long) all[i].value) < 0)
            done = fail(error, "limit a disk of", id);
    done = done && (virDomainSetBlockIoTune(domain, target, parameters, count,
                                            VIR_DOMAIN_AFFECT_LIVE) == 0 ||
                    fail(error, "limit a disk of", id));
    virTypedParamsFree(parameters, count);
    return done;
}

static bool
grow(virDomainPtr domain, const char *id, const char *target, gint64 size_gib, GError **error)
{
    unsigned long long bytes = (unsigned long long) size_gib << 30;
    virDomainBlockInfo info;

    if (virDomainGetBlockInfo(domain, target, &info, 0) < 0)
        return fail(error, "look at a disk of", id);
    return info.capacity >= bytes ||
           virDomainBlockResize(domain, target, bytes, VIR_DOMAIN_BLOCK_RESIZE_BYTES) == 0 ||
           fail(error, "enlarge a disk of", id);
}

static bool
libvirt_tune(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainDisk *disks,
             size_t count, GError **error)
{
    virDomainPtr domain = need_domain(hypervisor, id, error);
    char *xml = domain ? read_xml(domain, id, error) : NULL;
    bool done = xml != NULL;

    for (size_t i = 0; done && i < count; i++) {
        g_auto(GStrv) layers = NULL;
        g_autofree char *target = virga_domain_xml_disk(xml, disks[i].serial, &layers);

        done = !target || (grow(domain, id, target, disks[i].size_gib, error) &&
                           set_limits(domain, id, target, &disks[i].limits, error));
    }
    free(xml);
    if (domain)
        virDomainFree(domain);
    return done;
}

/* A job that has ended is gone, and its layer with it. */
static bool
join_layers(virDomainPtr domain, const char *id, const char *target, const char *layer,
            const char *below, GError **error)
{
    virDomainBlockJobInfo job;
    int running = virDomainGetBlockJobInfo(domain, target, &job, 0);

    return running == 1 ||
           (running == 0 && virDomainBlockCommit(domain, target, below, layer, 0, 0) == 0) ||
           fail(error, "join layers of", id);
}

static bool
libvirt_join(VirgaHypervisor *hypervisor, const char *id, const char *key, const char *layer,
             const char *below, bool *ret_done, GError **error)
{
    virDomainPtr domain = need_domain(hypervisor, id, error);
    char *xml = domain ? read_xml(domain, id, error) : NULL;
    g_auto(GStrv) layers = NULL;
    g_autofree char *target = xml ? virga_domain_xml_disk(xml, key, &layers) : NULL;
    bool done = xml != NULL;

    *ret_done = done && !(layers && g_strv_contains((const char *const *) layers, layer));
    if (done && !*ret_done)
        done = join_layers(domain, id, target, layer, below, error);
    free(xml);
    if (domain)
        virDomainFree(domain);
    return done;
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
    virConnectPtr connection = get_connection(libvirt, error);
    g_autoptr(GError) reason = NULL;
    virDomainPtr domain = connection ? find_domain(libvirt, id, &reason) : NULL;
    virStreamPtr stream = domain ? virStreamNew(connection, 0) : NULL;
    g_autofree char *type = NULL;
    GBytes *picture = NULL;

    if (stream) {
        type = virDomainScreenshot(domain, stream, 0, 0);
        picture = type ? read_stream(stream) : NULL;
        if (!picture)
            fail(error, "take the picture of", id);
        else
            virStreamFinish(stream);
        virStreamFree(stream);
    } else if (reason) {
        g_propagate_error(error, g_steal_pointer(&reason));
    } else if (connection && !domain) {
        virga_fail(error, "domain", VIRGA_ERROR_NOT_FOUND, "%s is not defined", id);
    } else if (connection) {
        fail(error, "take the picture of", id);
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
    virConnectPtr connection = get_connection((Libvirt *) hypervisor, error);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    virDomainPtr *domains = NULL;
    int count;

    if (!connection)
        return NULL;
    count = virConnectListAllDomains(connection, &domains, 0);
    virConnectClose(connection);
    if (count < 0) {
        fail(error, "list the domains", NULL);
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

    g_atomic_int_set(&libvirt->stopping, 1);
    g_thread_join(libvirt->events);
    g_mutex_lock(&libvirt->lock);
    if (libvirt->connection) {
        virConnectUnregisterCloseCallback(libvirt->connection, on_close);
        virConnectClose(libvirt->connection);
    }
    g_mutex_unlock(&libvirt->lock);
    g_mutex_clear(&libvirt->lock);
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
    g_mutex_init(&libvirt->lock);
    virInitialize();
    virSetErrorFunc(NULL, ignore_error);
    virEventRegisterDefaultImpl();
    virEventAddTimeout(1000, on_tick, NULL, NULL);
    libvirt->events = g_thread_new("libvirt", events_main, libvirt);
    return &libvirt->base;
}
