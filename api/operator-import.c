/* SPDX-License-Identifier: Apache-2.0 */
/* An uploaded disk image becomes a snapshot's file and the rows of a snapshot and an image.
 *
 * The rows are written before the file gets its name and committed after it has: what remains of a
 * crash is a file that no row claims, which the next import takes away. */
#include "operator-priv.h"

#include "api/store.h"

#include "compute/image.h"
#include "core/error.h"
#include "core/log.h"
#include "storage/hash.h"
#include "storage/import.h"
#include "storage/snapshot.h"

#include <string.h>

#define ROOT_DEVICE "/dev/vda"
#define GIB         (1ll << 30)

static bool
add_rows(VirgaTxn *txn, VirgaArena *arena, const VirgaOperatorImport *import,
         const VirgaImport *disk, char *snapshot_id, char **ret_image_id, GError **error)
{
    gint64 size_gib = (disk->virtual_bytes + GIB - 1) / GIB;
    VirgaSnapshot snapshot = {
        .id = snapshot_id,
        .account_id = (char *) import->account_id,
        .description = virga_arena_printf(arena, "Imported for image %s", import->name),
        .sha256 = (char *) disk->sha256,
        .size_gib = size_gib,
        .bytes = disk->file_bytes,
    };
    VirgaImageDevice device = { .device = (char *) ROOT_DEVICE,
                                .snapshot_id = snapshot_id,
                                .volume_type = (char *) "gp2",
                                .size_gib = size_gib,
                                .delete_on_termination = true };
    VirgaImage image = {
        .account_id = (char *) import->account_id,
        .name = (char *) import->name,
        .description = (char *) import->description,
        .architecture = (char *) "x86_64",
        .boot_mode = (char *) import->boot_mode,
        .root_device_name = (char *) ROOT_DEVICE,
        .is_public = import->is_public,
        .ena_support = true,
        .devices = &device,
        .device_count = 1,
    };

    return virga_snapshot_create(txn, &snapshot, error) &&
           virga_operator_db_set_source(txn, snapshot_id, disk->source_sha256, error) &&
           virga_image_register(txn, arena, &image, ret_image_id, error);
}

/* True with *ret_id set if the image is there already and has these very bytes. */
static bool
find_existing(VirgaServices *services, VirgaArena *arena, const VirgaOperatorImport *import,
              char **ret_id, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(services->db, error);
    char sha256[65], *before;

    if (!txn || !virga_operator_db_image_named(txn, arena, import->account_id, import->name, ret_id,
                                               &before, error))
        return false;
    if (!*ret_id)
        return true;
    if (!virga_file_sha256(import->fd, sha256, error))
        return false;
    if (g_strcmp0(before, sha256) == 0)
        return true;
    return virga_fail(error, "image", VIRGA_ERROR_EXISTS,
                      "image \"%s\" is there already (%s) and has other content", import->name,
                      *ret_id);
}

static bool
make(VirgaServices *services, VirgaArena *arena, const VirgaOperatorImport *import,
     char **ret_image_id, GError **error)
{
    g_auto(VirgaStoreImport) file = { .lock = -1 };
    g_autoptr(VirgaTxn) txn = NULL;

    if (!virga_store_import(services, import->fd, (VirgaImportOptions){ 0 }, &file, error))
        return false;
    txn = virga_db_begin(services->db, error);
    /* Once its rows may be there the file stays: an answer to a commit may be lost. */
    file.kept = txn && add_rows(txn, arena, import, &file.disk, file.id, ret_image_id, error) &&
                virga_store_import_name(&file, error) && virga_store_sync(services, error);
    return file.kept && virga_txn_commit(txn, error);
}

bool
virga_operator_import(VirgaServices *services, VirgaArena *arena, const VirgaOperatorImport *import,
                      JsonBuilder *json, GError **error)
{
    char *id = NULL;
    bool created;

    if (!find_existing(services, arena, import, &id, error))
        return false;
    created = id == NULL;
    if (created) {
        virga_store_sweep(services);
        if (!make(services, arena, import, &id, error))
            return false;
        virga_notice("image", id, "imported as \"%s\"", import->name);
    }
    json_builder_set_member_name(json, "image");
    json_builder_add_string_value(json, id);
    json_builder_set_member_name(json, "created");
    json_builder_add_boolean_value(json, created);
    return true;
}
