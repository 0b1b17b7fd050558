/* SPDX-License-Identifier: Apache-2.0 */
/* One way of making VPCs real on this host.
 *
 * A launch goes:  apply(plan with the port) -> tap_prepare -> start the domain paused -> tap_plug
 * -> resume the domain.  apply and tap_prepare may run at the same time as anything else of the
 * launch; the end is  tap_remove -> apply(plan without the port), or remove() with the last port.
 *
 * Every call may block for a few milliseconds, may be made from any thread, and is idempotent: the
 * reconciler repeats a step whenever it does not know whether it succeeded.  Calls for one VPC are
 * serialised inside; calls for different VPCs run side by side. */
#pragma once

#include "network/plan.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#define VIRGA_TAP_SIZE 16 /* bytes that hold a tap's name and its NUL */
#define VIRGA_TAG_SIZE 4  /* 3 lower-case letters or digits and NUL */

typedef struct {
    char *name;
    char *vpc_id; /* NULL: still in the host's own namespace */
} VirgaNetworkTap;

/* What exists on this host, wished for or not. */
typedef struct {
    char **vpc_ids;
    GPtrArray *taps; /* of VirgaNetworkTap */
} VirgaNetworkInventory;

void virga_network_inventory_free(VirgaNetworkInventory *inventory);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaNetworkInventory, virga_network_inventory_free)

/* What has passed, as the guest sees it, since its tap was made. */
typedef struct {
    char *port_id;
    guint64 received_bytes, received_packets;
    guint64 sent_bytes, sent_packets;
} VirgaNetworkCounter;

typedef struct VirgaNetworkDriver VirgaNetworkDriver;

/* Every callback is required.  The functions below check arguments, so that drivers need not. */
struct VirgaNetworkDriver {
    const char *name;
    char *host_id;
    char tag[VIRGA_TAG_SIZE]; /* of the cloud: several clouds live on one machine */
    GMutex lock;              /* of the generations */
    GHashTable *generations;  /* vpc id -> gint64, the newest that was applied */

    bool (*apply)(VirgaNetworkDriver *, const VirgaVpcPlan *, guint64 *ret_epoch, GError **);
    bool (*tap_prepare)(VirgaNetworkDriver *, const VirgaVpcPlan *, const VirgaVpcPort *,
                        uid_t owner, GError **);
    bool (*tap_plug)(VirgaNetworkDriver *, const VirgaVpcPlan *, const VirgaVpcPort *, GError **);
    bool (*tap_remove)(VirgaNetworkDriver *, const char *vpc_id, const char *tap, GError **);
    bool (*remove)(VirgaNetworkDriver *, const char *vpc_id, GError **);
    VirgaNetworkInventory *(*list)(VirgaNetworkDriver *, GError **);
    bool (*listen)(VirgaNetworkDriver *, const char *vpc_id, const char *address, guint16 port,
                   int *ret_fd, GError **);
    GStrv (*answering)(VirgaNetworkDriver *, const VirgaVpcPlan *, GError **);
    GPtrArray *(*counters)(VirgaNetworkDriver *, const VirgaVpcPlan *, GError **);
    GPtrArray *(*health)(VirgaNetworkDriver *, const VirgaVpcPlan *, GError **);
    void (*free)(VirgaNetworkDriver *);
};

/* Forgets the driver; what it made stays and goes on working. */
void virga_network_driver_free(VirgaNetworkDriver *driver);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaNetworkDriver, virga_network_driver_free)

/* The tap's name for the domain XML (<target dev='NAME' managed='no'/>); a function of the cloud
 * and the port's id alone.  The caller owns it. */
char *virga_network_tap_name(const VirgaNetworkDriver *driver, const char *port_id);

/* Where the VPC's network namespace is, for programs that are to run in it; a function of the cloud
 * and the VPC's id alone.  The caller owns it. */
char *virga_network_namespace(const VirgaNetworkDriver *driver, const char *vpc_id);

/* Brings this host's share of one VPC to the plan: namespace, uplink, policy, DHCP, DNS, routes.
 * What is as it should be is not touched; what somebody broke is repaired.  'ret_epoch' (may be
 * NULL) changes when the namespace had to be made anew: sockets from listen() are then dead and
 * guests that were plugged need a reboot.
 * Fails with INVALID for a bad plan, CONFLICT for one older than the newest that was applied. */
bool virga_network_apply(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, guint64 *ret_epoch,
                         GError **error);

/* Makes the port's tap in the host's own namespace, where QEMU running as 'owner' opens it by
 * name.  One that is plugged and that QEMU holds open is left alone (the guest is running); one
 * that is plugged with nobody behind it is made anew. */
bool virga_network_tap_prepare(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan,
                               const char *port_id, uid_t owner, GError **error);

/* Moves the tap into the VPC, where it is configured; what QEMU has open survives.  The plan must
 * have been applied.  Fails with STATE if there is no such VPC or tap here. */
bool virga_network_tap_plug(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan,
                            const char *port_id, GError **error);

/* Deletes a tap wherever it is; 'vpc_id' may be NULL for one that was never plugged. */
bool virga_network_tap_remove(VirgaNetworkDriver *driver, const char *vpc_id, const char *tap,
                              GError **error);

/* Deletes all of a VPC from this host, plugged taps too.  Sockets from listen() should be closed
 * first: they keep the empty namespace in memory, though nameless. */
bool virga_network_remove(VirgaNetworkDriver *driver, const char *vpc_id, GError **error);

/* What this cloud has on this host; the caller owns it. */
VirgaNetworkInventory *virga_network_list(VirgaNetworkDriver *driver, GError **error);

/* A listening TCP socket inside the VPC, close-on-exec, the caller's. */
bool virga_network_listen(VirgaNetworkDriver *driver, const char *vpc_id, const char *address,
                          guint16 port, int *ret_fd, GError **error);

/* The addresses of local guests that answer ARP for them, as of the last time that somebody asked;
 * asks them again for the next time.  NULL-terminated, the caller's. */
GStrv virga_network_answering(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan, GError **error);

/* Counters of the plan's plugged local ports (of VirgaNetworkCounter); the caller's.  Cheap: no
 * program is run.  An empty list if the VPC is not here. */
GPtrArray *virga_network_counters(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan,
                                  GError **error);

/* What the plan's balancers on this host know of their targets (of VirgaTargetHealth); the
 * caller's.  Cheap, as above.  Fails with STATE while they are not there. */
GPtrArray *virga_network_health(VirgaNetworkDriver *driver, const VirgaVpcPlan *plan,
                                GError **error);

/* For drivers: sets and clears what is common to all. */
void virga_network_driver_init(VirgaNetworkDriver *driver, const char *tag, const char *host_id);
void virga_network_driver_done(VirgaNetworkDriver *driver);
VirgaNetworkInventory *virga_network_inventory_new(void);
GPtrArray *virga_network_counters_new(void);
GPtrArray *virga_network_health_new(void);
void virga_network_inventory_add_tap(VirgaNetworkInventory *inventory, const char *name,
                                     const char *vpc_id);
