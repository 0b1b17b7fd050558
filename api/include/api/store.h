/* SPDX-License-Identifier: Apache-2.0 */
/* The store of snapshots: a directory with a file for each that has one.  A row is there before its
 * file goes, and a file that no row claims is garbage. */
#pragma once

#include "api/services.h"
#include "storage/import.h"

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

/* A snapshot's file that is made of a disk image of others'. */
typedef struct {
    char *id; /* of the snapshot: a new one */
    char *path, *part;
    VirgaImport disk;
    int lock; /* -1: there is none */
    bool kept;
} VirgaStoreImport;

/* How many bytes there is room for.  Noun "disk image": CAPACITY. */
bool virga_store_room(const VirgaServices *services, gint64 *ret_bytes, GError **error);

/* Makes it, under a temporary name.  Fails as virga_import_convert() does. */
bool virga_store_import(const VirgaServices *services, int fd, VirgaImportOptions options,
                        VirgaStoreImport *ret, GError **error);
/* Gives it its name; the rows are written before and committed afterwards. */
bool virga_store_import_name(VirgaStoreImport *import, GError **error);
/* Takes the file away, whatever its name is, unless it is to be 'kept'. */
void virga_store_import_clear(VirgaStoreImport *import);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VirgaStoreImport, virga_store_import_clear)

/* Removes what crashes left. */
void virga_store_sweep(VirgaServices *services);
