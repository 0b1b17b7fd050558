/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this driver share.
 *
 * One connection with keep-alive, shared by all threads (libvirt's connections are thread safe),
 * and one thread for events.  A connection that libvirtd has closed is dropped by whoever notices
 * and made anew by whoever needs it next; guests do not mind. */
#pragma once

#include "compute/hypervisor.h"

#include <libvirt/libvirt.h>

typedef struct {
    VirgaHypervisor base;
    char *uri, *type;
    VirgaHypervisorEvent event;
    gpointer data;
    GMutex lock;
    virConnectPtr connection; /* NULL: not connected; guarded by lock */
    GThread *events;
    int stopping; /* atomic */
} Libvirt;

/* ---- connection.c ---- */

void libvirt_begin(Libvirt *libvirt);
void libvirt_end(Libvirt *libvirt);

/* Fails with noun "domain" for libvirt's last error: RETRY when libvirtd is away, or INTERNAL. */
bool libvirt_fail(GError **error, const char *what, const char *id);
/* A reference to the connection; the caller closes it. */
virConnectPtr libvirt_connection(Libvirt *libvirt, GError **error);
/* The domain, with a reference to its connection inside.  NULL without an error: not defined. */
virDomainPtr libvirt_domain(Libvirt *libvirt, const char *id, GError **error);
/* The domain, which must be there: else NOT_FOUND. */
virDomainPtr libvirt_need_domain(VirgaHypervisor *hypervisor, const char *id, GError **error);
/* The caller's, to be freed by free(). */
char *libvirt_read_xml(virDomainPtr domain, const char *id, GError **error);

/* ---- secrets.c ---- */

/* The keys by which disks are opened, given to libvirt alone.  Asked for again, they are the same
 * ones. */
bool libvirt_keep_secrets(virConnectPtr connection, const VirgaDomainDisk *disks, size_t count,
                          GError **error);
/* QEMU has them: what opens a volume stays no longer than it is needed.  A Ceph cluster's key is
 * not that of one volume. */
void libvirt_drop_secrets(virConnectPtr connection, const VirgaDomainDisk *disks, size_t count);

/* ---- devices.c: as in hypervisor.h ---- */

char **libvirt_devices(VirgaHypervisor *hypervisor, const char *id, VirgaDeviceKind kind,
                       GError **error);
bool libvirt_attach_port(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainPort *port,
                         GError **error);
bool libvirt_attach_disk(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainDisk *disk,
                         GError **error);
bool libvirt_detach(VirgaHypervisor *hypervisor, const char *id, VirgaDeviceKind kind,
                    const char *key, GError **error);
bool libvirt_cut(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainDisk *disks,
                 size_t count, GError **error);
bool libvirt_tune(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainDisk *disks,
                  size_t count, GError **error);
bool libvirt_join(VirgaHypervisor *hypervisor, const char *id, const char *key, const char *layer,
                  const char *below, bool *ret_done, GError **error);
