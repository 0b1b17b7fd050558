/* SPDX-License-Identifier: Apache-2.0 */
/* One way of running guests on a host.  Every callback is required, may block, may be called from
 * any thread (never for one guest by two threads at a time), and must be idempotent.
 * All fail with noun "domain"; RETRY when the hypervisor cannot be reached just now. */
#pragma once

#include "core/id.h"
#include "storage/driver.h"
#include "storage/volume-limits.h"

#include <glib.h>
#include <stdbool.h>

typedef enum {
    VIRGA_DOMAIN_ABSENT, /* not defined */
    VIRGA_DOMAIN_OFF,
    VIRGA_DOMAIN_PAUSED, /* by us, before it was ever resumed */
    VIRGA_DOMAIN_RUNNING,
    VIRGA_DOMAIN_STUCK, /* paused by an I/O error: the disk is full */
} VirgaDomainState;

/* Why a domain is off. */
typedef enum {
    VIRGA_DOMAIN_REASON_NONE,  /* never started, or nobody knows: start it again */
    VIRGA_DOMAIN_REASON_GUEST, /* the guest switched itself off */
    VIRGA_DOMAIN_REASON_CRASH,
} VirgaDomainReason;

typedef struct {
    const VirgaVolumeSource *source; /* for start(), attach_disk() and cut() */
    const char *serial;
    const char *target; /* "vda"; plugged in, one that is free */
    const char *layer;  /* only for cut(): the file to go on with */
    gint64 size_gib;    /* only for tune() */
    VirgaVolumeLimits limits;
} VirgaDomainDisk;

typedef struct {
    const char *mac, *tap;
} VirgaDomainPort;

/* What comes and goes while a domain runs, and the key by which it is known. */
typedef enum {
    VIRGA_DEVICE_PORT, /* its MAC address */
    VIRGA_DEVICE_DISK, /* its serial number */
    VIRGA_DEVICE_KINDS,
} VirgaDeviceKind;

typedef struct {
    const char *id; /* the instance's */
    gint64 vcpus, memory_mib;
    bool uefi;
    const VirgaDomainDisk *disks;
    size_t disk_count;
    const VirgaDomainPort *ports;
    size_t port_count;
    const char *console_path; /* file to which the serial console is appended */
} VirgaDomainSpec;

typedef struct VirgaHypervisor VirgaHypervisor;

struct VirgaHypervisor {
    const char *name; /* "kvm", "qemu", "fake" */
    /* What the domain does now.  An absent one is a fact, not an error. */
    bool (*inspect)(VirgaHypervisor *hypervisor, const char *id, VirgaDomainState *ret_state,
                    VirgaDomainReason *ret_reason, GError **error);
    /* Defines the domain by the spec and starts it with its CPUs paused. */
    bool (*start)(VirgaHypervisor *hypervisor, const VirgaDomainSpec *spec, GError **error);
    bool (*resume)(VirgaHypervisor *hypervisor, const char *id, GError **error);
    /* Presses the power button; returns at once. */
    bool (*shutdown)(VirgaHypervisor *hypervisor, const char *id, GError **error);
    bool (*power_off)(VirgaHypervisor *hypervisor, const char *id, GError **error);
    /* Asks the guest to reboot; returns at once.  The end is told by the reboot callback. */
    bool (*reboot)(VirgaHypervisor *hypervisor, const char *id, GError **error);
    bool (*reset)(VirgaHypervisor *hypervisor, const char *id, GError **error);
    /* The keys of a running domain's devices of a kind, NULL-terminated, the caller's. */
    char **(*devices)(VirgaHypervisor *hypervisor, const char *id, VirgaDeviceKind kind,
                      GError **error);
    /* Plugs a port into a running domain; its tap is there.  CAPACITY: no slot is free. */
    bool (*attach_port)(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainPort *port,
                        GError **error);
    /* Plugs a disk into it, likewise. */
    bool (*attach_disk)(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainDisk *disk,
                        GError **error);
    /* Asks the guest to let go of a device; returns at once.  An event tells when it has. */
    bool (*detach)(VirgaHypervisor *hypervisor, const char *id, VirgaDeviceKind kind,
                   const char *key, GError **error);
    /* Holds all its CPUs; what it has written is with its disks.  resume() goes on. */
    bool (*pause)(VirgaHypervisor *hypervisor, const char *id, GError **error);
    /* Has a running domain's agent, if it has one that listens (*ret_asked), write out what its
     * file systems hold back, and hold them, in seconds or not at all.  Whatever comes of it,
     * thaw() is to follow. */
    bool (*freeze)(VirgaHypervisor *hypervisor, const char *id, bool *ret_asked, GError **error);
    /* Lets them go.  A domain that is off, or not frozen: success. */
    bool (*thaw)(VirgaHypervisor *hypervisor, const char *id, GError **error);
    /* From one and the same moment on, what the domain writes to these disks goes to their layers:
     * each is an overlay on what the disk has now.  Those that are there already, and disks that it
     * does not have, are passed over. */
    bool (*cut)(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainDisk *disks,
                size_t count, GError **error);
    /* Joins one layer of a disk with the one below: begins, or looks how far it has come.  What is
     * no layer of the disk is joined. */
    bool (*join)(VirgaHypervisor *hypervisor, const char *id, const char *key, const char *layer,
                 const char *below, bool *ret_done, GError **error);
    /* Makes disks of a running domain as large and as fast as that; none gets smaller.  Disks that
     * it does not have are passed over. */
    bool (*tune)(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainDisk *disks,
                 size_t count, GError **error);
    /* Takes the definition away; the domain is off. */
    bool (*remove)(VirgaHypervisor *hypervisor, const char *id, GError **error);
    /* What its screen shows, as PNG or PPM, the caller's. */
    GBytes *(*screenshot)(VirgaHypervisor *hypervisor, const char *id, GError **error);
    /* Sends it an interrupt that it cannot mask. */
    bool (*interrupt)(VirgaHypervisor *hypervisor, const char *id, GError **error);
    /* The ids of all domains of ours, NULL-terminated, the caller's. */
    char **(*list)(VirgaHypervisor *hypervisor, GError **error);
    void (*free)(VirgaHypervisor *hypervisor);
};

/* Tells of a guest whose state has changed, in a thread of the hypervisor; 'rebooted' when the
 * change is that it booted anew.  'id' NULL: any may have (a new connection). */
typedef void (*VirgaHypervisorEvent)(const char *id, bool rebooted, gpointer data);

typedef struct {
    const char *uri;  /* libvirt's */
    const char *type; /* "kvm" or "qemu" */
} VirgaLibvirtSettings;

/* Domains of libvirt, named by instance id.  Connects when needed, again after a loss. */
VirgaHypervisor *virga_hypervisor_libvirt_new(const VirgaLibvirtSettings *settings,
                                              VirgaHypervisorEvent event, gpointer data);

/* The domain XML of a spec; pure, for the golden test.  The caller owns the text. */
char *virga_domain_xml(const VirgaDomainSpec *spec, const char *type);

/* The XML of one port or disk, to be plugged in.  The caller owns the text. */
char *virga_domain_port_xml(const VirgaDomainPort *port);
char *virga_domain_disk_xml(const VirgaDomainDisk *disk);

/* The libvirt secret that holds the key or passphrase of a source: its id, a function of whose it
 * is, and its XML, the caller's. */
void virga_domain_secret_uuid(const VirgaVolumeSource *source, char uuid[static VIRGA_UUID_SIZE]);
char *virga_domain_secret_xml(const VirgaVolumeSource *source);

/* The keys of a domain's devices by its XML, NULL-terminated, and the alias of each (NULL: not
 * wanted); the caller's.  NULL: it is no domain's. */
char **virga_domain_xml_devices(const char *xml, VirgaDeviceKind kind, char ***ret_aliases);

/* A disk of a domain's XML by its serial number: its target ("vda"), and its layers' files, the
 * topmost first, NULL-terminated; both the caller's.  NULL: it has no such disk. */
char *virga_domain_xml_disk(const char *xml, const char *serial, char ***ret_layers);

/* True if an agent in a domain, by its XML, has its end of the channel open. */
bool virga_domain_xml_has_agent(const char *xml);

/* The XML of the moment from which on the disks with these targets are written to these paths. */
char *virga_domain_cut_xml(const VirgaDomainDisk *disks, size_t count);

/* The first of "vda", "vdb"… that no disk of the XML has.  The caller owns it. */
char *virga_domain_xml_free_target(const char *xml);

/* Guests that only pretend: they run at once and obey at once. */
VirgaHypervisor *virga_hypervisor_fake_new(VirgaHypervisorEvent event, gpointer data);
void virga_hypervisor_fake_fail_at(VirgaHypervisor *hypervisor, unsigned call);
bool virga_hypervisor_fake_failed(VirgaHypervisor *hypervisor);
/* Whether the guest's file systems are held. */
bool virga_hypervisor_fake_frozen(VirgaHypervisor *hypervisor, const char *id);
/* The guest acts by itself. */
/* Guests take no notice of the power button. */
void virga_hypervisor_fake_set_deaf(VirgaHypervisor *hypervisor, bool deaf);
void virga_hypervisor_fake_guest_off(VirgaHypervisor *hypervisor, const char *id);
