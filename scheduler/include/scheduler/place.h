/* SPDX-License-Identifier: Apache-2.0 */
/* Placement: a snapshot of hosts goes in, a choice and the reason of every refusal come out.
 * Pure: no clock, no database, no I/O.  The claim that follows is the caller's, in SQL; when it
 * loses a race the caller takes a new snapshot and asks again. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
    const char *id, *name, *zone;
    bool up;             /* heard of lately */
    const char *trouble; /* what the host says is wrong with it, or NULL */
    const char *barred;  /* why the caller does not want it ("holds …"), or NULL */
    gint64 vcpus, vcpus_claimed;
    gint64 memory_mib, memory_claimed_mib;
    gint64 disk_free_gib;
} VirgaPlaceHost;

typedef struct {
    const char *zone;    /* NULL: any */
    const char *host_id; /* NULL: any; set when local volumes bind the instance to a host */
    gint64 vcpus, memory_mib;
    gint64 disk_gib; /* must be free; 0: no matter */
} VirgaPlaceRequest;

/* Why a host is out of the question. */
typedef enum {
    VIRGA_PLACE_FITS,
    VIRGA_PLACE_OTHER_ZONE,
    VIRGA_PLACE_OTHER_HOST, /* the volumes are elsewhere */
    VIRGA_PLACE_DOWN,
    VIRGA_PLACE_TROUBLE,
    VIRGA_PLACE_BARRED,
    VIRGA_PLACE_NO_VCPUS,
    VIRGA_PLACE_NO_MEMORY,
    VIRGA_PLACE_NO_DISK,
} VirgaPlaceVerdict;

VirgaPlaceVerdict virga_place_judge(const VirgaPlaceRequest *request, const VirgaPlaceHost *host);

/* Best fit: among the hosts that fit, the one that the request fills most (memory first, then
 * vCPUs, then the smaller id, so that the choice is a function of the input).  NULL: none fits. */
const VirgaPlaceHost *virga_place(const VirgaPlaceRequest *request, const VirgaPlaceHost *hosts,
                                  size_t count);

/* One line per host: its name and which resource is short by how much.  The caller owns it. */
char *virga_place_explain(const VirgaPlaceRequest *request, const VirgaPlaceHost *hosts,
                          size_t count);
