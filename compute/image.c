/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/image.h"

#include "core/error.h"
#include "core/id.h"
#include "core/quota.h"
#include "core/tag.h"
#include "storage/snapshot.h"
#include "storage/volume.h"

#define DESCRIPTION_CHARS_MAX 255

/* $1: the account that asks. */
#define SHARED                                                                                     \
    "EXISTS (SELECT 1 FROM image_permission p WHERE p.image_id = i.id AND p.account_id = $1)"
#define USABLE "(i.account_id = $1 OR (i.state = 'available' AND (i.is_public OR " SHARED ")))"
/* One row for each device of an image; the image's own columns repeat. */
#define IMAGE_SELECT                                                                               \
    "SELECT i.id, i.account_id, i.name, i.description, i.architecture, i.boot_mode,"               \
    " i.root_device_name, i.imds_support, i.state, i.protection, i.is_public, i.ena_support,"      \
    " i.of_cloud, " SHARED ", coalesce(i.protected_until > now(), false), " TIMES ","              \
    " i.source_instance_id, i.state_reason, i.source_image_id, " WITH_DEVICES
#define WITH_DEVICES                                                                               \
    "d.device, d.snapshot_id, d.volume_type, d.size_gib, coalesce(d.iops, 0),"                     \
    " coalesce(d.throughput, 0), d.delete_on_termination, d.encrypted,"                            \
    " (SELECT s.key_id FROM snapshot s WHERE s.id = d.snapshot_id) FROM image i"                   \
    " LEFT JOIN image_device d ON d.image_id = i.id WHERE "
#define TIMES                                                                                      \
    VIRGA_SQL_TIME("i.created")                                                                    \
    ", " VIRGA_SQL_TIME("i.last_launched") ", " VIRGA_SQL_TIME("i.deprecated")
#define IN_ORDER " ORDER BY i.id, d.device <> i.root_device_name, d.device"
enum { IMAGE_ID = 0, LAUNCHABLE_DEVICE = 9, DEVICE = 21 };

/* One statement each: a prepared statement keeps its plan. */
static const char sql_list[] = IMAGE_SELECT USABLE IN_ORDER;
static const char sql_list_ids[] = IMAGE_SELECT "i.id = ANY ($2) AND " USABLE IN_ORDER;
static const char sql_launchable[] =
    "SELECT i.id, i.account_id, i.architecture, i.boot_mode, i.root_device_name, i.imds_support,"
    " i.state, " VIRGA_SQL_TIME(
        "i.last_launched") ","
                           " (SELECT encrypts FROM account WHERE id = $1), " WITH_DEVICES
                           "i.id = $2 AND " USABLE IN_ORDER;
static const char sql_lock[] = "SELECT 1 FROM image WHERE id = $1 AND account_id = $2 FOR UPDATE";
static const char sql_launched[] = "UPDATE image SET last_launched = now() WHERE id = $1";
static const char sql_permissions[] =
    "SELECT p.image_id, p.account_id FROM image_permission p JOIN image i ON i.id = p.image_id"
    " WHERE i.account_id = $1 AND ($2::text IS NULL OR i.id = $2)"
    " ORDER BY p.image_id, p.account_id";
static const char sql_share[] = "INSERT INTO image_permission (image_id, account_id)"
                                " SELECT $1, id FROM account WHERE id = $2"
                                " ON CONFLICT (image_id, account_id) DO UPDATE SET account_id = $2";
static const char sql_unshare[] =
    "DELETE FROM image_permission WHERE image_id = $1 AND ($2::text IS NULL OR account_id = $2)";
static const char sql_set_public[] = "UPDATE image SET is_public = $2 WHERE id = $1";
static const char sql_describe[] = "UPDATE image SET description = coalesce($2, description),"
                                   " imds_support = coalesce($3, imds_support) WHERE id = $1";
static const char sql_deprecate[] =
    "UPDATE image SET deprecated = to_timestamp(nullif($2::bigint, 0) / 1000000.0) WHERE id = $1";
static const char sql_set_state[] = "UPDATE image SET state = $2 WHERE id = $1"
                                    " AND state IN ('available', 'disabled')";
/* What is pending is settled by the last of its snapshots, or by the first that failed.  Two that
 * end at the same time wait for each other here, so that the second one sees the first. */
static const char sql_lock_pending[] =
    "SELECT 1 FROM image WHERE state = 'pending' AND id IN (SELECT m.image_id FROM image_device m"
    " WHERE m.snapshot_id = $1) ORDER BY id FOR UPDATE";
static const char sql_settle[] =
    "UPDATE image i SET state = CASE WHEN u.failed THEN 'failed' ELSE 'available' END,"
    " state_reason = u.message FROM (SELECT d.image_id, bool_or(s.state = 'error') AS failed,"
    " bool_or(s.state = 'pending') AS pending, max(s.message) AS message FROM image_device d"
    " JOIN snapshot s ON s.id = d.snapshot_id WHERE d.image_id IN (SELECT m.image_id"
    " FROM image_device m WHERE m.snapshot_id = $1) GROUP BY d.image_id) u"
    " WHERE i.id = u.image_id AND i.state = 'pending' AND (u.failed OR NOT u.pending)";
#define DAMAGED "the data of snapshot "
static const char sql_damage[] =
    "UPDATE image i SET state = 'failed', state_reason = '" DAMAGED "' || u.damaged_by || ' is"
    " damaged' FROM (SELECT d.image_id, min(s.damaged_by) AS damaged_by FROM image_device d"
    " JOIN snapshot s ON s.id = d.snapshot_id WHERE s.damaged_by IS NOT NULL GROUP BY d.image_id) u"
    " WHERE i.id = u.image_id AND i.state = 'available'";
static const char sql_heal[] =
    "UPDATE image i SET state = 'available', state_reason = NULL WHERE i.state = 'failed'"
    " AND i.state_reason LIKE '" DAMAGED "%' AND NOT EXISTS (SELECT 1 FROM image_device d"
    " JOIN snapshot s ON s.id = d.snapshot_id WHERE d.image_id = i.id"
    " AND s.damaged_by IS NOT NULL)";
static const char sql_protect[] =
    "UPDATE image SET protection = $2, protected_until = CASE WHEN $2 = 'disabled'"
    " AND protection = 'enabled-with-cooldown' THEN now() + interval '1 day' END WHERE id = $1";
static const char sql_insert[] =
    "INSERT INTO image (id, account_id, name, description, architecture, boot_mode,"
    " root_device_name, imds_support, is_public, ena_support, of_cloud, state,"
    " source_instance_id, source_image_id)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $9, $11, $12, $13)"
    " ON CONFLICT (account_id, name) DO NOTHING";
static const char sql_insert_device[] =
    "INSERT INTO image_device (image_id, device, snapshot_id, size_gib, volume_type, iops,"
    " throughput, delete_on_termination, encrypted) VALUES ($1, $2, $3, $4, $5,"
    " nullif($6::bigint, 0), nullif($7::bigint, 0), $8, $9)";
static const char sql_delete[] = "DELETE FROM image WHERE id = $1 AND account_id = $2";

static VirgaImageDevice
read_device(const VirgaRows *rows, int row, int column, VirgaArena *arena)
{
    char *key_id = virga_rows_dup(rows, arena, row, column + 8);

    return (VirgaImageDevice){ .device = virga_rows_dup(rows, arena, row, column),
                               .snapshot_id = virga_rows_dup(rows, arena, row, column + 1),
                               .volume_type = virga_rows_dup(rows, arena, row, column + 2),
                               .size_gib = virga_rows_int(rows, row, column + 3),
                               .iops = virga_rows_int(rows, row, column + 4),
                               .throughput = virga_rows_int(rows, row, column + 5),
                               .delete_on_termination = virga_rows_bool(rows, row, column + 6),
                               .encrypted = key_id || virga_rows_bool(rows, row, column + 7),
                               .key_id = key_id };
}

static VirgaImage
read_image(const VirgaRows *rows, int row, VirgaArena *arena)
{
    return (VirgaImage){ .id = virga_rows_dup(rows, arena, row, IMAGE_ID),
                         .account_id = virga_rows_dup(rows, arena, row, 1),
                         .name = virga_rows_dup(rows, arena, row, 2),
                         .description = virga_rows_dup(rows, arena, row, 3),
                         .architecture = virga_rows_dup(rows, arena, row, 4),
                         .boot_mode = virga_rows_dup(rows, arena, row, 5),
                         .root_device_name = virga_rows_dup(rows, arena, row, 6),
                         .imds_support = virga_rows_dup(rows, arena, row, 7),
                         .state = virga_rows_dup(rows, arena, row, 8),
                         .protection = virga_rows_dup(rows, arena, row, 9),
                         .is_public = virga_rows_bool(rows, row, 10),
                         .ena_support = virga_rows_bool(rows, row, 11),
                         .of_cloud = virga_rows_bool(rows, row, 12),
                         .shared = virga_rows_bool(rows, row, 13),
                         .cooling = virga_rows_bool(rows, row, 14),
                         .created = virga_rows_time(rows, row, 15),
                         .last_launched = virga_rows_time(rows, row, 16),
                         .deprecated = virga_rows_time(rows, row, 17),
                         .source_instance_id = virga_rows_dup(rows, arena, row, 18),
                         .state_reason = virga_rows_dup(rows, arena, row, 19),
                         .source_image_id = virga_rows_dup(rows, arena, row, 20) };
}

bool
virga_image_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *const *ids,
                 VirgaImage **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows =
        ids ? virga_txn_query(txn, error, sql_list_ids, "sa", account_id, ids)
            : virga_txn_query(txn, error, sql_list, "s", account_id);
    VirgaImageDevice *devices;
    VirgaImage *image = NULL;

    if (!rows)
        return false;
    *ret = virga_arena_new_array(arena, VirgaImage, (size_t) virga_rows_count(rows));
    devices = virga_arena_new_array(arena, VirgaImageDevice, (size_t) virga_rows_count(rows));
    *ret_count = 0;
    for (int i = 0; i < virga_rows_count(rows); i++) {
        if (!image || !g_str_equal(image->id, virga_rows_text(rows, i, IMAGE_ID))) {
            image = &(*ret)[(*ret_count)++];
            *image = read_image(rows, i, arena);
        }
        if (!virga_rows_text(rows, i, DEVICE))
            continue; /* it is without any */
        devices[i] = read_device(rows, i, DEVICE, arena);
        if (image->device_count++ == 0)
            image->devices = &devices[i];
    }
    return true;
}

bool
virga_image_launchable_send(VirgaTxn *txn, const char *account_id, const char *id, GError **error)
{
    return virga_txn_send(txn, error, sql_launchable, "ss", account_id, id);
}

bool
virga_image_launchable_receive(VirgaTxn *txn, VirgaArena *arena, VirgaImage **ret, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_receive(txn, error);
    size_t count = rows ? (size_t) virga_rows_count(rows) : 0;
    VirgaImage *image = virga_arena_new_array(arena, VirgaImage, 1);

    *ret = count ? image : NULL;
    if (count == 0)
        return rows != NULL;
    *image = (VirgaImage){ .id = virga_rows_dup(rows, arena, 0, IMAGE_ID),
                           .account_id = virga_rows_dup(rows, arena, 0, 1),
                           .architecture = virga_rows_dup(rows, arena, 0, 2),
                           .boot_mode = virga_rows_dup(rows, arena, 0, 3),
                           .root_device_name = virga_rows_dup(rows, arena, 0, 4),
                           .imds_support = virga_rows_dup(rows, arena, 0, 5),
                           .state = virga_rows_dup(rows, arena, 0, 6),
                           .last_launched = virga_rows_time(rows, 0, 7),
                           .encrypts = virga_rows_bool(rows, 0, 8),
                           .devices = virga_arena_new_array(arena, VirgaImageDevice, count) };
    for (size_t i = 0; i < count && virga_rows_text(rows, (int) i, LAUNCHABLE_DEVICE); i++)
        image->devices[image->device_count++] =
            read_device(rows, (int) i, LAUNCHABLE_DEVICE, arena);
    return true;
}

VirgaImage *
virga_image_get(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                GError **error)
{
    const char *ids[] = { id, NULL };
    VirgaImage *image;
    size_t count;

    if (!virga_image_list(txn, arena, account_id, ids, &image, &count, error))
        return NULL;
    if (count == 0) {
        virga_fail(error, "image", VIRGA_ERROR_NOT_FOUND, "The image id '[%s]' does not exist", id);
        return NULL;
    }
    return image;
}

static bool
insert_device(VirgaTxn *txn, VirgaArena *arena, const VirgaImage *image, const char *id,
              const VirgaImageDevice *device, GError **error)
{
    gint64 size_gib = device->size_gib;

    if (device->snapshot_id) {
        VirgaSnapshot *snapshot =
            virga_snapshot_get(txn, arena, image->account_id, device->snapshot_id, error);

        if (!snapshot)
            return false;
        if (!image->state && !g_str_equal(snapshot->state, "completed"))
            return virga_fail(error, "snapshot", VIRGA_ERROR_STATE,
                              "Snapshot '%s' is not 'completed'.", snapshot->id);
        if (size_gib && size_gib < snapshot->size_gib)
            return virga_fail(error, "image", VIRGA_ERROR_INVALID,
                              "Volume of size %" G_GINT64_FORMAT "GB is smaller than snapshot "
                              "'%s', expect size >= %" G_GINT64_FORMAT "GB",
                              size_gib, snapshot->id, snapshot->size_gib);
        if (!size_gib)
            size_gib = snapshot->size_gib;
    }
    return virga_txn_run(txn, error, NULL, sql_insert_device, "sssisiibb", id, device->device,
                         device->snapshot_id, size_gib,
                         device->volume_type ? device->volume_type : "gp2", device->iops,
                         device->throughput, device->delete_on_termination,
                         device->encrypted && !device->snapshot_id);
}

static bool
check_description(const char *description, GError **error)
{
    return !description || g_utf8_strlen(description, -1) <= DESCRIPTION_CHARS_MAX ||
           virga_fail(error, "image", VIRGA_ERROR_INVALID,
                      "The description must have at most %d characters", DESCRIPTION_CHARS_MAX);
}

bool
virga_image_register(VirgaTxn *txn, VirgaArena *arena, const VirgaImage *image, char **ret_id,
                     GError **error)
{
    g_autofree char *fresh = image->id ? NULL : virga_id_new("ami");
    const char *id = image->id ? image->id : fresh;
    gint64 inserted;
    bool has_root = false;

    for (size_t i = 0; i < image->device_count; i++)
        has_root = has_root || (g_str_equal(image->devices[i].device, image->root_device_name) &&
                                image->devices[i].snapshot_id);
    if (!has_root)
        return virga_fail(error, "image", VIRGA_ERROR_INVALID,
                          "A root device '%s' with a snapshot must be given",
                          image->root_device_name);
    if (!check_description(image->description, error) ||
        !virga_txn_run(txn, error, &inserted, sql_insert, "ssssssssbbsss", id, image->account_id,
                       image->name, image->description, image->architecture, image->boot_mode,
                       image->root_device_name, image->imds_support, image->is_public,
                       image->ena_support, image->state ? image->state : "available",
                       image->source_instance_id, image->source_image_id))
        return false;
    if (inserted == 0)
        return virga_fail(error, "image", VIRGA_ERROR_EXISTS,
                          "AMI name %s is already in use by another AMI", image->name);
    for (size_t i = 0; i < image->device_count; i++)
        if (!insert_device(txn, arena, image, id, &image->devices[i], error))
            return false;
    *ret_id = virga_arena_strdup(arena, id);
    return virga_quota_claim(txn, image->account_id, VIRGA_QUOTA_IMAGES, 1, error);
}

VirgaImage *
virga_image_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                 GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_lock, "ss", id, account_id);
    VirgaImage *image = rows ? virga_image_get(txn, arena, account_id, id, error) : NULL;

    if (image && !g_str_equal(image->account_id, account_id)) {
        virga_fail(error, "image", VIRGA_ERROR_DENIED, "Not authorized for image:%s", id);
        return NULL;
    }
    return image;
}

bool
virga_image_deregister(VirgaTxn *txn, const char *account_id, const char *id, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    const VirgaImage *image = virga_image_lock(txn, arena, account_id, id, error);

    if (!image)
        return false;
    if (image->cooling || !g_str_equal(image->protection, "disabled"))
        return virga_fail(error, "image protection", VIRGA_ERROR_DENIED,
                          "The image '%s' is protected from deregistration%s", id,
                          image->cooling ? " until its cooldown period has passed" : "");
    return virga_txn_run(txn, error, NULL, sql_delete, "ss", id, account_id) &&
           virga_tag_forget(txn, id, error) &&
           virga_quota_claim(txn, account_id, VIRGA_QUOTA_IMAGES, -1, error);
}

bool
virga_image_launched(VirgaTxn *txn, const VirgaImage *image, GError **error)
{
    return image->last_launched > g_get_real_time() - G_TIME_SPAN_HOUR ||
           virga_txn_post(txn, error, sql_launched, "s", image->id);
}

bool
virga_image_permissions(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                        const char *image_id, VirgaImagePermission **ret, size_t *ret_count,
                        GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_permissions, "ss", account_id, image_id);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaImagePermission, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaImagePermission){ .image_id = virga_rows_dup(rows, arena, i, 0),
                                            .account_id = virga_rows_dup(rows, arena, i, 1) };
    return true;
}

bool
virga_image_share(VirgaTxn *txn, const char *id, const char *account_id, bool share, GError **error)
{
    gint64 shared;

    if (!share)
        return virga_txn_run(txn, error, NULL, sql_unshare, "ss", id, account_id);
    return virga_txn_run(txn, error, &shared, sql_share, "ss", id, account_id) &&
           (shared ||
            virga_fail(error, "image permission", VIRGA_ERROR_NOT_FOUND,
                       "Invalid attribute item value \"%s\" for userId item type.", account_id));
}

bool
virga_image_unshare(VirgaTxn *txn, const char *id, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_unshare, "ss", id, NULL) &&
           virga_image_set_public(txn, id, false, error);
}

bool
virga_image_set_public(VirgaTxn *txn, const char *id, bool is_public, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_set_public, "sb", id, is_public);
}

bool
virga_image_describe(VirgaTxn *txn, const char *id, const char *description,
                     const char *imds_support, GError **error)
{
    return check_description(description, error) &&
           virga_txn_run(txn, error, NULL, sql_describe, "sss", id, description, imds_support);
}

bool
virga_image_deprecate(VirgaTxn *txn, const char *id, gint64 at, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_deprecate, "si", id, at);
}

bool
virga_image_disable(VirgaTxn *txn, const char *id, bool disable, GError **error)
{
    gint64 updated;

    if (!virga_txn_run(txn, error, &updated, sql_set_state, "ss", id,
                       disable ? "disabled" : "available"))
        return false;
    if (!updated)
        return virga_fail(error, "image", VIRGA_ERROR_STATE, "The image '%s' is not available", id);
    return !disable || virga_image_unshare(txn, id, error);
}

bool
virga_image_settle(VirgaTxn *txn, const char *snapshot_id, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_lock_pending, "s", snapshot_id) &&
           virga_txn_run(txn, error, NULL, sql_settle, "s", snapshot_id);
}

bool
virga_image_protect(VirgaTxn *txn, const char *id, const char *protection, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_protect, "ss", id, protection);
}

bool
virga_image_note_damage(VirgaTxn *txn, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_damage, "") &&
           virga_txn_run(txn, error, NULL, sql_heal, "");
}
