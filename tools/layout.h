/* SPDX-License-Identifier: Apache-2.0 */
/* What a cloud has on disk, below its state directory:
 *
 *     virga.conf     what "virga up" chose for this cloud
 *     credentials    of the first account, for root only
 *     endpoints/     what makes old AWS clients use this cloud
 *     postgresql.*   settings of the embedded database; pg/ is its data
 *     libvirt/       etc, run, lib, cache and log of the private libvirtd
 *     node/          this host's: volumes, base images, consoles
 *     store/         snapshots' files
 *     run/           sockets
 *     log/           the daemons' logs
 *     supervise/     who is running
 *
 * Everything that root writes is in directories that root owns.  All functions may be repeated and
 * change nothing that is right. */
#pragma once

#include "core/config.h"

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#define LAYOUT_USER "virga"

typedef struct {
    uid_t uid;
    gid_t gid;
} LayoutUser;

/* Makes the directories, and the system user if there is none.  Refuses a path that could not be a
 * state directory: too long for sockets, or with characters that connection strings do not bear. */
bool layout_ground(const char *state, LayoutUser *ret, GError **error);

/* True if this configuration runs a PostgreSQL, a libvirtd, of its own. */
bool layout_has_database(const VirgaConfig *config);
bool layout_has_libvirt(const VirgaConfig *config);

/* Makes the database cluster: whole or not at all. */
bool layout_database(const char *state, const LayoutUser *user, GError **error);
/* The directory of PostgreSQL's programs that fit the cluster, or would make one; the caller's. */
char *layout_database_programs(const char *state, GError **error);

/* The ground, and whatever this configuration needs on it. */
bool layout_prepare(const char *state, const VirgaConfig *config, GError **error);
