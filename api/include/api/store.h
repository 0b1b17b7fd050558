/* SPDX-License-Identifier: Apache-2.0 */
/* The store of snapshots: a directory with a file for each that has one.  A row is there before its
 * file goes, and a file that no row claims is garbage. */
#pragma once

#include "api/services.h"

#define VIRGA_STORE_FILE   ".qcow2"
#define VIRGA_STORE_UPLOAD ".upload" /* as much as a host has sent */

/* The caller owns it. */
char *virga_store_path(const VirgaServices *services, const char *id, const char *suffix);

/* What was renamed in it is durable afterwards.  Noun "disk image". */
bool virga_store_sync(const VirgaServices *services, GError **error);

/* Removes files of snapshots whose rows are gone. */
void virga_store_forget(const VirgaServices *services, const char *const *ids);

/* Deleted snapshots on which nothing stands any more go, and their files. */
bool virga_store_collect(const VirgaServices *services, GError **error);

/* Removes what crashes left. */
void virga_store_sweep(VirgaServices *services);
