/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a launch share: instance-create.c makes it, launch-ask.c looks up what it
 * names, launch-disks.c and instance-nics.c know its disks and interfaces. */
#pragma once

#include "compute/image.h"
#include "compute/instance-type.h"
#include "compute/instance.h"
#include "compute/placement-group.h"
#include "core/error.h"
#include "network/interface.h"
#include "network/subnet.h"

/* One instance of the call. */
typedef struct {
    char *id;
    VirgaPlaceHost *host;
    gint64 partition; /* of the placement group; 0: none */
    VirgaInterfaceSpec interface;
    VirgaInterfaceDraft draft;
} Launched;

/* What all instances of one call have in common, looked up once. */
typedef struct {
    VirgaDb *db;
    const VirgaConfig *config;
    VirgaTxn *txn;
    VirgaArena *arena;
    const VirgaInstanceSpec *spec;
    const char *subnet_id; /* that was asked for, or NULL */
    const char *token;     /* NULL: none */
    const VirgaInstanceType *type;
    const VirgaImage *image;
    const VirgaSubnet *subnet;
    const char *public_key;
    const char *const *group_ids;
    VirgaDiskSpec *disks; /* the image's, changed by the call's; the root first */
    size_t disk_count;
    bool encrypts; /* the account, all of its new volumes */
    VirgaPlaceHost *hosts;
    size_t host_count;
    VirgaPlacement *placement; /* NULL: in no group */
    Launched *launched;
    size_t count;
    VirgaReservation made;
} Launch;

/* What one instance of the launch takes of a host in 'zone'. */
VirgaPlaceRequest virga_launch_place_request(const Launch *launch, const char *zone);

/* ---- launch-ask.c ---- */

/* Asks for everything that the launch names, without waiting. */
bool virga_launch_ask_send(const Launch *launch, GError **error);

/* Its answer: fills the members up to 'hosts'; NOT_FOUND names what does not exist. */
bool virga_launch_ask_receive(Launch *launch, GError **error);

/* ---- launch-disks.c ---- */

/* Settles 'disks' by the image and the call; INVALID if a size or the root is wrong. */
bool virga_launch_find_disks(Launch *launch, GError **error);

/* Makes the volumes of one instance, and adds them to what was made (there is room). */
bool virga_launch_add_disks(Launch *launch, const char *instance_id, const char *host_id,
                            GError **error);

/* ---- instance-nics.c ---- */

/* True if a launch wants more than one new interface with one address. */
bool virga_launch_has_nics(const VirgaInstanceSpec *spec);

/* The subnet of the existing interface that shall be the first. */
bool virga_launch_first_subnet(VirgaTxn *txn, VirgaArena *arena, const VirgaInstanceSpec *spec,
                               const char **ret_subnet_id, GError **error);

/* Locks existing interfaces, and checks that all fit the type, the zone and the VPC. */
bool virga_launch_check_nics(const Launch *launch, GError **error);

/* Makes an existing interface the instance's first, without waiting. */
bool virga_launch_attach_first(const Launch *launch, const char *instance_id, GError **error);

/* Gives an instance all but its first interface; that one, 'first_id', its further addresses. */
bool virga_launch_add_nics(const Launch *launch, const char *instance_id, const char *first_id,
                           GError **error);
