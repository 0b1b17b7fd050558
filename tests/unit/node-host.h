/* SPDX-License-Identifier: Apache-2.0 */
/* A host for tests of virga-node's worker: the fake drivers, and one guest with two disks and two
 * ports.  The test's own thread does the work. */
#pragma once

#include "node-priv.h"

#define VPC        "vpc-08000000000000001"
#define SUBNET     "subnet-08000000000000001"
#define GUEST      "i-08000000000000001"
#define HOST       "h-08000000000000001"
#define CALLS_MAX  100
#define VISITS_MAX 16
#define DISKS      2
#define PORTS      2

extern const char *const disk_ids[DISKS];
extern const char *const port_ids[PORTS];

typedef struct {
    char *directory;
    VirgaConfig *config;
    VirgaHttpClient *virgad;
    VirgaVolumeDriver *volumes;
    VirgaNetworkDriver *network;
    VirgaHypervisor *hypervisor;
    VirgaNode *node;
    gint64 generation, reboots;
    unsigned rebooted; /* events */
    bool hold_events, keep_data;
    bool has_data; /* the disk that stays was made once */
} Host;

Host *host_new(void);
void host_free(Host *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Host, host_free)

/* virga-node ends and begins anew with what it has kept. */
void host_restart_node(Host *host);

/* The file of the guest's console; the caller frees it. */
char *host_console(Host *host);

/* The controller's wish for the guest: "run", "stop", "terminate", or one of these. */
#define RUN_ONE  "run-one"  /* with the first port only */
#define RUN_DROP "run-drop" /* let the second one go */
void host_ask(Host *host, const char *wish);

Guest *host_guest(Host *host);

/* One visit of the worker; or visits until nobody has asked for another and no appointment is
 * made. */
void host_visit(Host *host);
void host_finish(Host *host);

bool host_has_volume(Host *host, const char *disk_id);
VirgaDomainState host_domain_state(Host *host);
guint host_count_volumes(Host *host);
guint host_count_taps(Host *host);
guint count_strings(char **strings); /* and frees them */

/* The guest runs as it was wished, with all disks and ports. */
void host_assert_running(Host *host);

/* Lets a driver's call of this number fail; 0: none. */
typedef enum { HYPERVISOR, VOLUMES, NETWORK, DRIVERS } Driver;
void host_fail_at(Host *host, Driver driver, unsigned call);
bool host_has_failed(Host *host, Driver driver);

/* For g_log_set_writer_func(): failures are what is tested. */
GLogWriterOutput host_write_log(GLogLevelFlags level, const GLogField *fields, gsize count,
                                gpointer data);
