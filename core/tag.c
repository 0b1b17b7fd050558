/* SPDX-License-Identifier: Apache-2.0 */
#include "core/tag.h"

#include "core/error.h"
#include "core/id.h"
#include "core/limits.h"

#include <string.h>

#define TAG_SELECT "SELECT resource_id, resource_type, key, value FROM tag WHERE account_id = $1"

/* One statement each, not one with "$2 IS NULL OR": a prepared statement keeps its plan. */
/* Services besides EC2 have lists of their own: their types have a colon. */
static const char sql_list[] =
    TAG_SELECT " AND resource_type NOT LIKE '%:%' ORDER BY resource_id, key";
static const char sql_list_ids[] =
    TAG_SELECT " AND resource_id = ANY ($2) ORDER BY resource_id, key";
static const char sql_list_type[] = TAG_SELECT " AND resource_type = $2 ORDER BY resource_id, key";
static const char sql_find[] =
    "SELECT resource_id FROM tag WHERE account_id = $1 AND key = $3 AND value = ANY ($4)"
    " AND resource_type = $2 ORDER BY resource_id";
static const char sql_set[] =
    "INSERT INTO tag (resource_id, key, value, account_id, resource_type)"
    " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (resource_id, key) DO UPDATE SET value = $3";
static const char sql_count[] =
    "SELECT count(*) FROM tag WHERE resource_id = $1 AND key NOT LIKE 'aws:%'";
static const char sql_unset[] =
    "DELETE FROM tag WHERE resource_id = $1 AND account_id = $2 AND key = $3"
    " AND ($4::text IS NULL OR value = $4)";
static const char sql_unset_all[] =
    "DELETE FROM tag WHERE resource_id = $1 AND account_id = $2 AND key NOT LIKE 'aws:%'";
static const char sql_forget[] = "DELETE FROM tag WHERE resource_id = $1";
static const char sql_owns[] =
    "SELECT EXISTS (SELECT 1 FROM instance WHERE id = $1 AND account_id = $2)"
    " OR EXISTS (SELECT 1 FROM volume WHERE id = $1 AND account_id = $2)"
    " OR EXISTS (SELECT 1 FROM snapshot WHERE id = $1 AND account_id = $2)"
    " OR EXISTS (SELECT 1 FROM image WHERE id = $1 AND account_id = $2)"
    " OR EXISTS (SELECT 1 FROM key_pair WHERE id = $1 AND account_id = $2)"
    " OR EXISTS (SELECT 1 FROM security_group WHERE id = $1 AND account_id = $2)"
    " OR EXISTS (SELECT 1 FROM security_group_rule WHERE id = $1 AND account_id = $2)"
    " OR EXISTS (SELECT 1 FROM network_interface WHERE id = $1 AND account_id = $2)"
    " OR EXISTS (SELECT 1 FROM nat_gateway WHERE id = $1 AND account_id = $2)"
    " OR EXISTS (SELECT 1 FROM public_address WHERE allocation_id = $1 AND account_id = $2)"
    " OR EXISTS (SELECT 1 FROM vpc WHERE id = $1 AND account_id = $2)"
    " OR EXISTS (SELECT 1 FROM subnet WHERE id = $1 AND account_id = $2)"
    " OR EXISTS (SELECT 1 FROM internet_gateway WHERE id = $1 AND account_id = $2)"
    " OR EXISTS (SELECT 1 FROM route_table WHERE id = $1 AND account_id = $2)"
    " OR EXISTS (SELECT 1 FROM network_acl WHERE id = $1 AND account_id = $2)"
    " OR EXISTS (SELECT 1 FROM dhcp_options WHERE id = $1 AND account_id = $2)"
    " OR EXISTS (SELECT 1 FROM import_task WHERE id = $1 AND account_id = $2)"
    " OR EXISTS (SELECT 1 FROM fleet WHERE id = $1 AND account_id = $2)"
    " OR EXISTS (SELECT 1 FROM placement_group WHERE id = $1 AND account_id = $2)"
    " OR EXISTS (SELECT 1 FROM launch_template WHERE id = $1 AND account_id = $2)";
static const char sql_event[] = "INSERT INTO event (subject, message) VALUES ($1, $2)";

static void
read_tags(const VirgaRows *rows, VirgaArena *arena, VirgaTag **ret, size_t *ret_count)
{
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaTag, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaTag){ .resource_id = virga_rows_dup(rows, arena, i, 0),
                                .resource_type = virga_rows_dup(rows, arena, i, 1),
                                .key = virga_rows_dup(rows, arena, i, 2),
                                .value = virga_rows_dup(rows, arena, i, 3) };
}

bool
virga_tag_list_send(VirgaTxn *txn, const char *account_id, const char *const *resource_ids,
                    GError **error)
{
    return resource_ids ? virga_txn_send(txn, error, sql_list_ids, "sa", account_id, resource_ids)
                        : virga_txn_send(txn, error, sql_list, "s", account_id);
}

bool
virga_tag_list_type_send(VirgaTxn *txn, const char *account_id, const char *resource_type,
                         GError **error)
{
    return virga_txn_send(txn, error, sql_list_type, "ss", account_id, resource_type);
}

bool
virga_tag_list_receive(VirgaTxn *txn, VirgaArena *arena, VirgaTag **ret, size_t *ret_count,
                       GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_receive(txn, error);

    if (!rows)
        return false;
    virga_rows_keep(rows, arena);
    read_tags(rows, arena, ret, ret_count);
    return true;
}

bool
virga_tag_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
               const char *const *resource_ids, VirgaTag **ret, size_t *ret_count, GError **error)
{
    return virga_tag_list_send(txn, account_id, resource_ids, error) &&
           virga_tag_list_receive(txn, arena, ret, ret_count, error);
}

bool
virga_tag_find(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *resource_type,
               const char *key, const char *const *values, const char ***ret_ids, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_find, "sssa", account_id, resource_type, key, values);
    const char **ids;

    if (!rows)
        return false;
    ids = virga_arena_new_array(arena, const char *, (size_t) virga_rows_count(rows) + 1);
    for (int i = 0; i < virga_rows_count(rows); i++)
        ids[i] = virga_rows_dup(rows, arena, i, 0);
    *ret_ids = ids;
    return true;
}

static bool
check_tag(const VirgaTag *tag, GError **error)
{
    if (!tag->key || !*tag->key || g_utf8_strlen(tag->key, -1) > 128)
        return virga_fail(error, "tag", VIRGA_ERROR_INVALID,
                          "Tag keys must have 1 to 128 characters");
    if (tag->value && g_utf8_strlen(tag->value, -1) > 256)
        return virga_fail(error, "tag", VIRGA_ERROR_INVALID,
                          "Tag value exceeds the maximum length of 256 characters");
    if (g_ascii_strncasecmp(tag->key, "aws:", 4) == 0)
        return virga_fail(error, "tag", VIRGA_ERROR_INVALID,
                          "Tag keys starting with 'aws:' are reserved for internal use");
    return true;
}

static bool
fail_count(const char *resource_id, GError **error)
{
    return virga_fail(error, "tag", VIRGA_ERROR_QUOTA,
                      "More than %d tags specified for the resource '%s'", VIRGA_TAGS_MAX,
                      resource_id);
}

bool
virga_tag_set(VirgaTxn *txn, const char *account_id, const char *resource_id, const VirgaTag *tags,
              size_t count, GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;

    for (size_t i = 0; i < count; i++)
        if (!check_tag(&tags[i], error) ||
            !virga_txn_run(txn, error, NULL, sql_set, "sssss", resource_id, tags[i].key,
                           tags[i].value ? tags[i].value : "", account_id,
                           virga_id_resource_type(resource_id)))
            return false;
    if (count == 0)
        return true;
    rows = virga_txn_query(txn, error, sql_count, "s", resource_id);
    if (!rows)
        return false;
    return virga_rows_int(rows, 0, 0) <= VIRGA_TAGS_MAX || fail_count(resource_id, error);
}

bool
virga_tag_set_first(VirgaTxn *txn, const char *account_id, const char *resource_id,
                    const VirgaTag *tags, size_t count, GError **error)
{
    if (count > VIRGA_TAGS_MAX)
        return fail_count(resource_id, error);
    for (size_t i = 0; i < count; i++)
        if (!check_tag(&tags[i], error) ||
            !virga_txn_post(txn, error, sql_set, "sssss", resource_id, tags[i].key,
                            tags[i].value ? tags[i].value : "", account_id,
                            virga_id_resource_type(resource_id)))
            return false;
    return true;
}

bool
virga_tag_set_reserved(VirgaTxn *txn, const char *account_id, const char *resource_id,
                       const VirgaTag *tags, size_t count, GError **error)
{
    for (size_t i = 0; i < count; i++)
        if (!virga_txn_post(txn, error, sql_set, "sssss", resource_id, tags[i].key, tags[i].value,
                            account_id, virga_id_resource_type(resource_id)))
            return false;
    return true;
}

bool
virga_tag_unset(VirgaTxn *txn, const char *account_id, const char *resource_id,
                const VirgaTag *tags, size_t count, GError **error)
{
    if (count == 0)
        return virga_txn_run(txn, error, NULL, sql_unset_all, "ss", resource_id, account_id);
    for (size_t i = 0; i < count; i++)
        if (!virga_txn_run(txn, error, NULL, sql_unset, "ssss", resource_id, account_id,
                           tags[i].key, tags[i].value))
            return false;
    return true;
}

bool
virga_tag_forget(VirgaTxn *txn, const char *resource_id, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_forget, "s", resource_id);
}

bool
virga_tag_owns(VirgaTxn *txn, const char *account_id, const char *resource_id, bool *ret_owns,
               GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_owns, "ss", resource_id, account_id);

    if (!rows)
        return false;
    *ret_owns = virga_rows_bool(rows, 0, 0);
    return true;
}

bool
virga_event_add(VirgaTxn *txn, GError **error, const char *subject, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    return virga_txn_post(txn, error, sql_event, "ss", subject, message);
}
