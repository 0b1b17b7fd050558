/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/launch-template.h"

#include "core/error.h"
#include "core/quota.h"
#include "core/tag.h"

#define TEMPLATE_SELECT                                                                            \
    "SELECT t.id, t.account_id, t.name, t.created_by, t.default_version,"                          \
    " (SELECT max(v.version) FROM launch_template_version v WHERE v.template_id = t.id),"          \
    " t.versions + 1,"                                                                             \
    " " VIRGA_SQL_TIME("t.created") " FROM launch_template t WHERE t.account_id = $1"
#define VERSION_SELECT                                                                             \
    "SELECT v.template_id, t.name, v.description, v.created_by, v.data, v.version,"                \
    " v.version = t.default_version, " VIRGA_SQL_TIME("v.created") " FROM launch_template t"       \
                                                                   " JOIN launch_template_version" \
                                                                   " v ON v.template_id = t.id"    \
                                                                   " WHERE t.account_id = $1"

static const char sql_list[] =
    TEMPLATE_SELECT " AND ($2::text[] IS NULL OR t.id = ANY ($2))"
                    " AND ($3::text[] IS NULL OR t.name = ANY ($3)) ORDER BY t.id";
static const char sql_get[] =
    TEMPLATE_SELECT " AND ($2::text IS NULL OR t.id = $2) AND ($3::text IS NULL OR t.name = $3)";
static const char sql_lock[] = "SELECT 1 FROM launch_template WHERE account_id = $1"
                               " AND ($2::text IS NULL OR id = $2)"
                               " AND ($3::text IS NULL OR name = $3) FOR UPDATE";
static const char sql_insert[] = "INSERT INTO launch_template (id, account_id, name, created_by)"
                                 " VALUES ($1, $2, $3, $4)"
                                 " ON CONFLICT (account_id, name) DO NOTHING";
static const char sql_insert_version[] =
    "INSERT INTO launch_template_version (template_id, version, description, data, created_by)"
    " VALUES ($1, $2, $3, $4, $5)";
static const char sql_count[] =
    "SELECT count(*) FROM launch_template_version WHERE template_id = $1";
static const char sql_next[] = "UPDATE launch_template SET versions = $2 WHERE id = $1";
static const char sql_set_default[] =
    "UPDATE launch_template SET default_version = $2 WHERE id = $1 AND EXISTS"
    " (SELECT 1 FROM launch_template_version WHERE template_id = $1 AND version = $2)";
static const char sql_delete_version[] =
    "DELETE FROM launch_template_version WHERE template_id = $1 AND version = $2";
static const char sql_delete[] = "DELETE FROM launch_template WHERE id = $1";
static const char sql_versions[] = VERSION_SELECT " ORDER BY v.template_id, v.version";
static const char sql_versions_of[] = VERSION_SELECT " AND t.id = $2 ORDER BY v.version";
static const char sql_version[] = VERSION_SELECT " AND t.id = $2 AND v.version = $3";

static VirgaLaunchTemplate
read_template(const VirgaRows *rows, int row, VirgaArena *arena)
{
    return (VirgaLaunchTemplate){ .id = virga_rows_dup(rows, arena, row, 0),
                                  .account_id = virga_rows_dup(rows, arena, row, 1),
                                  .name = virga_rows_dup(rows, arena, row, 2),
                                  .created_by = virga_rows_dup(rows, arena, row, 3),
                                  .default_version = virga_rows_int(rows, row, 4),
                                  .latest_version = virga_rows_int(rows, row, 5),
                                  .next_version = virga_rows_int(rows, row, 6),
                                  .created = virga_rows_time(rows, row, 7) };
}

bool
virga_launch_template_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                           const char *const *ids, const char *const *names,
                           VirgaLaunchTemplate **ret, size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_list, "saa", account_id, ids, names);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaLaunchTemplate, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = read_template(rows, i, arena);
    return true;
}

/* The row is locked first: what is read before waiting for the lock may be old. */
static bool
lock_row(VirgaTxn *txn, const char *account_id, const char *id, const char *name, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_lock, "sss", account_id, id, name);

    return rows != NULL;
}

VirgaLaunchTemplate *
virga_launch_template_get(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                          const char *name, bool lock, GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;
    VirgaLaunchTemplate *found;

    if (id)
        name = NULL;
    if (lock && !lock_row(txn, account_id, id, name, error))
        return NULL;
    rows = virga_txn_query(txn, error, sql_get, "sss", account_id, id, name);
    if (!rows)
        return NULL;
    if (virga_rows_count(rows) == 0) {
        if (id)
            virga_fail(error, "launch template", VIRGA_ERROR_NOT_FOUND,
                       "The specified launch template, with template ID %s, does not exist.", id);
        else
            virga_fail(error, "launch template name", VIRGA_ERROR_NOT_FOUND,
                       "The specified launch template, with template name %s, does not exist.",
                       name);
        return NULL;
    }
    found = virga_arena_new_array(arena, VirgaLaunchTemplate, 1);
    *found = read_template(rows, 0, arena);
    return found;
}

bool
virga_launch_template_create(VirgaTxn *txn, const VirgaLaunchTemplate *made,
                             const char *description, const char *data, GError **error)
{
    gint64 inserted;

    if (!virga_txn_run(txn, error, &inserted, sql_insert, "ssss", made->id, made->account_id,
                       made->name, made->created_by))
        return false;
    if (inserted == 0)
        return virga_fail(error, "launch template", VIRGA_ERROR_EXISTS,
                          "Launch template name already in use.");
    return virga_txn_run(txn, error, NULL, sql_insert_version, "sisss", made->id, (gint64) 1,
                         description, data, made->created_by) &&
           virga_quota_claim(txn, made->account_id, VIRGA_QUOTA_LAUNCH_TEMPLATES, 1, error);
}

bool
virga_launch_template_add_version(VirgaTxn *txn, const VirgaLaunchTemplate *of,
                                  const char *created_by, const char *description, const char *data,
                                  GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_count, "s", of->id);
    gint64 limit;

    if (!rows ||
        !virga_quota_limit(txn, of->account_id, VIRGA_QUOTA_VERSIONS_PER_TEMPLATE, &limit, error))
        return false;
    if (virga_rows_int(rows, 0, 0) >= limit)
        return virga_fail(error, "launch template version", VIRGA_ERROR_QUOTA,
                          "The launch template %s has the most versions that are allowed, "
                          "%" G_GINT64_FORMAT,
                          of->id, limit);
    return virga_txn_run(txn, error, NULL, sql_next, "si", of->id, of->next_version) &&
           virga_txn_run(txn, error, NULL, sql_insert_version, "sisss", of->id, of->next_version,
                         description, data, created_by);
}

static bool
fail_version(const VirgaLaunchTemplate *of, gint64 version, GError **error)
{
    return virga_fail(error, "launch template version", VIRGA_ERROR_NOT_FOUND,
                      "Could not find the specified version %" G_GINT64_FORMAT
                      " for the launch template with ID %s.",
                      version, of->id);
}

bool
virga_launch_template_set_default(VirgaTxn *txn, const VirgaLaunchTemplate *of, gint64 version,
                                  GError **error)
{
    gint64 updated;

    return virga_txn_run(txn, error, &updated, sql_set_default, "si", of->id, version) &&
           (updated || fail_version(of, version, error));
}

bool
virga_launch_template_delete_version(VirgaTxn *txn, const VirgaLaunchTemplate *of, gint64 version,
                                     bool *ret_deleted, GError **error)
{
    gint64 deleted;

    g_assert(version != of->default_version);
    if (!virga_txn_run(txn, error, &deleted, sql_delete_version, "si", of->id, version))
        return false;
    *ret_deleted = deleted > 0;
    return true;
}

bool
virga_launch_template_delete(VirgaTxn *txn, const VirgaLaunchTemplate *gone, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_delete, "s", gone->id) &&
           virga_tag_forget(txn, gone->id, error) &&
           virga_quota_claim(txn, gone->account_id, VIRGA_QUOTA_LAUNCH_TEMPLATES, -1, error);
}

static void
read_versions(const VirgaRows *rows, VirgaArena *arena, VirgaLaunchTemplateVersion **ret,
              size_t *ret_count)
{
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaLaunchTemplateVersion, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] =
            (VirgaLaunchTemplateVersion){ .template_id = virga_rows_dup(rows, arena, i, 0),
                                          .template_name = virga_rows_dup(rows, arena, i, 1),
                                          .description = virga_rows_dup(rows, arena, i, 2),
                                          .created_by = virga_rows_dup(rows, arena, i, 3),
                                          .data = virga_rows_dup(rows, arena, i, 4),
                                          .version = virga_rows_int(rows, i, 5),
                                          .is_default = virga_rows_bool(rows, i, 6),
                                          .created = virga_rows_time(rows, i, 7) };
}

bool
virga_launch_template_versions(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                               const char *template_id, VirgaLaunchTemplateVersion **ret,
                               size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows =
        template_id ? virga_txn_query(txn, error, sql_versions_of, "ss", account_id, template_id)
                    : virga_txn_query(txn, error, sql_versions, "s", account_id);

    if (!rows)
        return false;
    read_versions(rows, arena, ret, ret_count);
    return true;
}

VirgaLaunchTemplateVersion *
virga_launch_template_version_get(VirgaTxn *txn, VirgaArena *arena, const VirgaLaunchTemplate *of,
                                  gint64 version, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_version, "ssi", of->account_id, of->id, version);
    VirgaLaunchTemplateVersion *found;
    size_t count;

    if (!rows)
        return NULL;
    read_versions(rows, arena, &found, &count);
    if (count == 0) {
        fail_version(of, version, error);
        return NULL;
    }
    return found;
}
