/* SPDX-License-Identifier: Apache-2.0 */
/* Schema steps: core/schema/NNNN-name.sql, compiled in as resources, applied in order of name. */
#include "db-priv.h"

#include "core/error.h"
#include "schema-resources.h"

#include <gio/gio.h>

#define SCHEMA_PATH "/virga/schema/"

static const char sql_lock[] = "SELECT pg_advisory_xact_lock(8473641)";
static const char sql_table[] =
    "CREATE TABLE IF NOT EXISTS schema_step ("
    " name text PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now())";
static const char sql_steps[] = "SELECT name FROM schema_step ORDER BY name";
static const char sql_record[] = "INSERT INTO schema_step (name) VALUES ($1)";

static int
compare_names(const void *a, const void *b)
{
    return g_strcmp0(*(const char *const *) a, *(const char *const *) b);
}

/* The names that the database has recorded, or NULL. */
static GHashTable *
applied_steps(VirgaTxn *txn, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_steps, "");
    GHashTable *applied;

    if (!rows)
        return NULL;
    applied = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (int i = 0; i < virga_rows_count(rows); i++)
        g_hash_table_add(applied, g_strdup(virga_rows_text(rows, i, 0)));
    return applied;
}

static bool
apply_step(VirgaTxn *txn, GResource *resource, const char *name, GError **error)
{
    g_autofree char *path = g_strconcat(SCHEMA_PATH, name, NULL);
    g_autoptr(GBytes) script =
        g_resource_lookup_data(resource, path, G_RESOURCE_LOOKUP_FLAGS_NONE, error);

    return script && virga_txn_script(txn, g_bytes_get_data(script, NULL), error) &&
           virga_txn_run(txn, error, NULL, sql_record, "s", name);
}

bool
virga_db_migrate(VirgaDb *db, GError **error)
{
    GResource *resource = schema_get_resource();
    g_auto(GStrv) names = NULL;
    g_autoptr(VirgaTxn) txn = virga_db_begin(db, error);
    g_autoptr(GHashTable) applied = NULL;

    if (!txn || !virga_txn_run(txn, error, NULL, sql_lock, "") ||
        !virga_txn_run(txn, error, NULL, sql_table, ""))
        return false;
    applied = applied_steps(txn, error);
    if (!applied)
        return false;
    names =
        g_resource_enumerate_children(resource, SCHEMA_PATH, G_RESOURCE_LOOKUP_FLAGS_NONE, error);
    if (!names)
        return false;
    qsort(names, g_strv_length(names), sizeof *names, compare_names);
    for (char **name = names; *name; name++) {
        if (!g_hash_table_remove(applied, *name) && !apply_step(txn, resource, *name, error))
            return false;
    }
    if (g_hash_table_size(applied) > 0)
        return virga_fail(error, "database", VIRGA_ERROR_UNSUPPORTED,
                          "the database was written by a newer Virga than %s", VIRGA_VERSION);
    return virga_txn_commit(txn, error);
}
